"""The preview's pages.

To add one: write its module with a PAGES tuple, then add its line here; one that people reach from
everywhere gets a line in `tabs` too.
"""

from __future__ import annotations

from collections.abc import Callable

from digest.preview.pages import (
    actions,
    api,
    calendar,
    edition,
    figures,
    fleet,
    history,
    lint,
    month,
    static,
    what_if,
    worksheet,
)

PAGES = (
    *edition.PAGES,
    *figures.PAGES,
    *actions.PAGES,
    *month.PAGES,
    *history.PAGES,
    *fleet.PAGES,
    *calendar.PAGES,
    *lint.PAGES,
    *api.PAGES,
    *static.PAGES,
    *worksheet.PAGES,
    *what_if.PAGES,
)


def tabs(gettext: Callable[[str], str]) -> tuple[tuple[str, str], ...]:
    """Return the pages of a digest that every page links to: (last part of the path, words)."""
    return (
        ("", gettext("Edition")),
        ("month", gettext("Month")),
        ("figures", gettext("Figures")),
        ("worksheet", gettext("Worksheet")),
        ("what-if", gettext("What if")),
        ("calendar", gettext("Calendar")),
        ("history", gettext("History")),
        ("lint", gettext("Checks")),
    )

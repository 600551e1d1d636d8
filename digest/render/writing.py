"""Everything of a mail that templates write: HTML, text and subject, checked before anybody gets them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from digest.errors import ConfigError
from digest.model import Brand, Edition
from digest.render import email, lint, text
from digest.render.locales import Locale, locale_for
from digest.render.view import MOST_ROWS, View, view

if TYPE_CHECKING:
    from digest.figures import Figures

FEWEST_ROWS = 5


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be written, for whom; `chart` tells whether a picture will be attached.

    With `figures` it is the explain view: HTML alone, in which every number leads to its record. With
    `source` it is the MJML alone of which the HTML is made.
    """

    edition: Edition
    language: str
    segments_first: tuple[str, ...]
    brand: Brand
    templates: Path | None
    chart: bool
    figures: Figures | None = None
    source: bool = False

    def view(
        self,
        most_rows: int = MOST_ROWS,
        *,
        edition: Edition | None = None,
        locale: Locale | None = None,
    ) -> View:
        """Return the values that its templates print, of another edition or as another locale writes."""
        return view(
            edition or self.edition,
            locale or locale_for(self.language),
            segments_first=self.segments_first,
            brand=self.brand,
            chart=self.chart,
            most_rows=most_rows,
        )


@dataclass(frozen=True, slots=True)
class Written:
    """The parts of one mail."""

    html: str = ""
    text: str = ""
    subject: str = ""
    mjml: str = ""


def write(wish: Wish, shown: View | None = None) -> Written:
    """Fill the templates; fewer rows are shown where the HTML would be clipped.

    Args:
        wish: what is to be written.
        shown: the values of `wish.view()`, from a caller that has them already.

    Raises:
        ConfigError: a user's template is at fault; names file and line.
    """
    locale = locale_for(wish.language)
    if wish.figures is not None:
        from digest.render.linked import explained

        return Written(explained(wish, wish.figures))
    shown, html = fitting(shown or wish.view(), wish.view, locale, wish.templates)
    if wish.source:
        return Written(mjml=email.mjml(shown, locale, wish.templates))
    body = text.text(shown, locale, wish.templates)
    _refuse(html, body, shown, wish.templates)
    return Written(html, body, text.subject(shown, locale, wish.templates))


def fitting(
    shown: View,
    again: Callable[[int], View],
    locale: Locale,
    templates: Path | None,
    as_sent: Callable[[str], str] = str,
) -> tuple[View, str]:
    """Return a view and its HTML, with as many rows as are not clipped.

    Args:
        shown: the view with the most rows.
        again: makes one with at most so many.
        locale: of the reader.
        templates: the user's folder.
        as_sent: turns the HTML into what would travel, whose size counts.
    """
    html = email.html(shown, locale, templates)
    for rows in range(MOST_ROWS - 5, FEWEST_ROWS - 1, -5):
        if lint.size(as_sent(html)) <= lint.LARGEST_HTML:
            break
        shown = again(rows)
        html = email.html(shown, locale, templates)
    return shown, html


def _refuse(html: str, body: str, shown: View, templates: Path | None) -> None:
    found = lint.findings(html, body, verbatim=lint.with_marks(lint.strings(shown)))
    if not found:
        return
    if templates is not None:
        raise ConfigError(*(f"{templates}: {sentence}" for sentence in found))
    raise RuntimeError("; ".join(found))

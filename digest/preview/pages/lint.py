"""What is worth mending in the mail on the screen: errors, warnings and notes, each with its place."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import Response

from digest.errors import ConfigError
from digest.preview.address import NotAllowedError
from digest.preview.desk import Showing
from digest.preview.page import Asked, Page
from digest.preview.records import explained
from digest.render.clients import CLIENTS
from digest.render.review import Remark, finished, rendered_in, review
from digest.render.traced import loose

# Where a part of the mail can be looked at, and how its lines are named there.
_PLACES = {"html": ("source", "#HTML-{}"), "text": ("text", ""), "subject": ("headers", "")}


@dataclass(frozen=True, slots=True)
class Row:
    """A remark as the page shows it; `href` leads to its place."""

    id: str
    level: str
    place: str
    href: str
    reason: str
    remedy: str


def lint(asked: Asked) -> Response:
    """Answer the table of remarks."""
    showing = asked.desk.show(asked.digest, asked.view)
    chosen = clients(asked)
    found, trouble = remarks(asked, showing, chosen)
    rows = [_row(asked, remark) for remark in found]
    return asked.page(
        "lint.html",
        trouble=trouble,
        showing=showing,
        rows=rows,
        count={
            level: sum(row.level == level for row in rows) for level in ("error", "warning", "note")
        },
        clients=CLIENTS,
        chosen=chosen[0] if len(chosen) == 1 else "",
    )


def clients(asked: Asked) -> tuple[str, ...]:
    """Return the mail programs that the address asks about, all when it names none.

    Raises:
        NotAllowedError: it names one that is not known.
    """
    given = [value for key, value in asked.query if key == "client" and value]
    for name in given:
        if name not in CLIENTS:
            raise NotAllowedError("client", name, ", ".join(CLIENTS))
    return tuple(given) or CLIENTS


def remarks(
    asked: Asked, showing: Showing, chosen: tuple[str, ...] = CLIENTS
) -> tuple[tuple[Remark, ...], ConfigError | None]:
    """Return what is noticed of the mail of a view; of one that cannot be made, why it is refused."""
    try:
        mail = asked.desk.mail(showing)
    except ConfigError as error:
        refused = (
            Remark("refused", "error", "message", None, "%(why)s", "", {"why": mistake})
            for mistake in error.mistakes
        )
        return tuple(refused), error
    templates = showing.settings.templates if showing.settings else None
    explain_view = explained(showing, mail, asked.desk.figures(showing))
    found = review(
        finished(
            mail.message,
            mail.content,
            templates=templates,
            loose=loose(explain_view, mail.message, showing.edition),
            clients=chosen,
        )
    )
    # Files for others are the same for the same input, and a time never is.
    seconds = None if asked.desk.anonymous else asked.desk.seconds(showing)
    return (*found, *_time(seconds)), None


def _time(seconds: float | None) -> tuple[Remark, ...]:
    if seconds is None:
        return ()
    return (rendered_in(seconds),)


def _row(asked: Asked, remark: Remark) -> Row:
    _ = asked.words.gettext
    parts = {
        "html": _("HTML"),
        "text": _("Text"),
        "subject": _("Subject"),
        "headers": _("Headers"),
        "message": _("Message"),
    }
    tab, anchor = _PLACES.get(remark.part, ("headers", ""))
    at = anchor.format(remark.line) if remark.line and anchor else ""
    line = _("line %(n)s", n=remark.line) if remark.line else ""
    return Row(
        remark.id,
        remark.level,
        " ".join(filter(None, (parts[remark.part], line))),
        f"{asked.href(tab=tab)}{at}",
        # The values are filled by hand: a value may hold a per cent sign.
        _(remark.reason) % remark.values,
        _(remark.remedy) % remark.values if remark.remedy else "",
    )


PAGES = (Page("/d/{digest}/lint", lint),)

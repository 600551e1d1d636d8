"""The only two actions: ask the sources again, and send a test to an allow-list."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse, Response

from digest.ledger import State
from digest.preview.address import NotAllowedError
from digest.preview.page import Asked, Page
from digest.preview.trial import send as send_test
from digest.preview.trial import ways
from digest.render.locales import languages

if TYPE_CHECKING:
    from digest.delivery import Outcome

LOOKS = {
    State.SENT: "good",
    State.REFUSED: "bad",
    State.DEFERRED: "warning",
    State.UNKNOWN: "warning",
}


def refresh(asked: Asked) -> Response:
    """Ask the sources anew, at most once a minute, and go back to the view."""
    rest = asked.desk.refresh(asked.digest)
    if rest is None:
        return RedirectResponse(asked.href(), status_code=303)
    return asked.page("wait.html", status=429, seconds=_seconds(rest), what="refresh")


def trial(asked: Asked) -> Response:
    """Show where a test may go, and what it would be."""
    showing = asked.desk.show(asked.digest, asked.view)
    return asked.page("trial.html", showing=showing, ways=ways(showing.settings), outcomes=())


def send(asked: Asked) -> Response:
    """Send the edition of the view as a test, and show what the other side said."""
    showing = asked.desk.show(asked.digest, asked.view)
    allowed = ways(showing.settings)
    to = next((value for key, value in asked.form if key == "to"), "")
    if to not in allowed or showing.settings is None:
        raise NotAllowedError("to", to, ", ".join(allowed) or "nobody: see [preview]")
    wanted = [value for key, value in asked.form if key == "language"] or [showing.language]
    for language in wanted:
        if language not in languages():
            raise NotAllowedError("language", language, ", ".join(languages()))
    rest = asked.services.allowance.take(len(wanted))
    if rest is not None:
        return asked.page("wait.html", status=429, seconds=_seconds(rest), what="test")
    outcomes = send_test(showing.settings, showing.edition, allowed[to], wanted, asked.desk.clock)
    said = list(zip(wanted, map(_said, outcomes), strict=True))
    return asked.page("trial.html", showing=showing, ways=allowed, outcomes=said)


def _said(outcome: Outcome) -> tuple[str, str]:
    return LOOKS.get(outcome.state, "neutral"), outcome.text


def _seconds(rest: timedelta) -> int:
    return max(1, round(rest.total_seconds()))


PAGES = (
    Page("/d/{digest}/refresh", refresh, acts=True),
    Page("/d/{digest}/test", trial),
    Page("/d/{digest}/test-send", send, acts=True),
)

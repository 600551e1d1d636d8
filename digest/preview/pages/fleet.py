"""How a fleet stands: totals, the clients that need a look, and every other one; no source is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from starlette.responses import Response

from digest.errors import ConfigError, LedgerError
from digest.preview.address import NotAllowedError
from digest.preview.page import Asked, Page

if TYPE_CHECKING:
    from digest.fleet.status import Fleet, Stand

# By state; its module comes with the database, which a preview of one digest starts without.
LOOKS = {
    **dict.fromkeys(("unknown", "late", "broken"), "bad"),
    **dict.fromkeys(("held", "paused"), "warning"),
    "done": "good",
}
MOST = 500  # clients on one page; a state to look at narrows them


def status(asked: Asked) -> Response:
    """Answer the fleet, or why there is none."""
    from digest.fleet.status import Stand

    _ = asked.words.gettext
    found, trouble = _found(asked)
    wanted = _wanted(asked)
    lines = [line for line in found.lines if line.stand in wanted] if found else []
    order = list(Stand)
    lines.sort(key=lambda line: (order.index(line.stand), line.client))
    return asked.page(
        "fleet.html",
        found=found,
        why=trouble,
        wanted=wanted,
        every=tuple(Stand),
        lines=lines[:MOST],
        more=max(len(lines) - MOST, 0),
        looks=LOOKS,
        means=meanings(_),
    )


def meanings(gettext: Callable[[str], str]) -> Mapping[Stand, str]:
    """Return what each state means, in words."""
    from digest.fleet.status import Stand

    return {
        Stand.UNKNOWN: gettext("an outcome that a person has to settle"),
        Stand.LATE: gettext("not sent in time"),
        Stand.BROKEN: gettext("its file is broken"),
        Stand.HELD: gettext("held, tried again"),
        Stand.DUE: gettext("in the queue or at work"),
        Stand.PAUSED: gettext("paused"),
        Stand.EARLY: gettext("due later"),
        Stand.FREE: gettext("no edition today"),
        Stand.DONE: gettext("sent"),
        Stand.GONE: gettext("its file is gone"),
    }


def _found(asked: Asked) -> tuple[Fleet | None, str | None]:
    from digest.fleet.status import fleet_facts

    try:
        reader = asked.desk.fleet()
        return (None, None) if reader is None else (fleet_facts(reader), None)
    except (LedgerError, ConfigError) as error:
        return None, str(error)


def _wanted(asked: Asked) -> tuple[Stand, ...]:
    from digest.fleet.status import NEEDS_A_LOOK, Stand

    named = [value for key, value in asked.query if key == "state"]
    for name in named:
        if name not in (*Stand, "all"):
            raise NotAllowedError("state", name, ", ".join((*Stand, "all")))
    if "all" in named:
        return tuple(Stand)
    return tuple(map(Stand, named)) or NEEDS_A_LOOK


PAGES = (Page("/fleet", status, keys=("state",)),)

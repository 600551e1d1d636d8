"""What the operators of a fleet are told: one letter for all clients, by cause, with the first names."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from digest.alerts import URGENT, Alert, Cause, Letter, read_alert, titled
from digest.errors import DeliveryError, DigestError
from digest.heartbeat import run_id
from digest.journal import KNOWN, secrets_in
from digest.ledger import fleet
from digest.ledger.backend import Lock
from digest.telling import ways_of

if TYPE_CHECKING:
    from datetime import datetime

    from digest.fleet.desk import Desk
    from digest.ledger.fleet import Waiting
    from digest.telling import Way

NAMED = 5  # clients of a cause
_TITLES: Mapping[Cause, str] = {
    Cause.SOURCE_AUTH: "the source refused the key",
    Cause.SOURCE_QUOTA: "the source's quota is used up",
    Cause.SOURCE_TRANSIENT: "the source did not answer",
    Cause.SOURCE_OVERFLOW: "more than can be counted",
    Cause.SOURCE_UNRECONCILED: "numbers that do not add up",
    Cause.SOURCE_STALE: "the source has nothing newer",
    Cause.DROP: "the month's leads fell",
    Cause.CONFIG: "the settings are wrong",
    Cause.TEMPLATE: "a template is broken",
    Cause.LEDGER: "the ledger cannot be used",
    Cause.CHANNEL: "a channel takes nothing",
    Cause.REFUSED: "a recipient was refused",
    Cause.ALL_REFUSED: "every recipient was refused",
    Cause.UNKNOWN: "unknown whether it arrived",
    Cause.EXPIRED: "not sent in time",
    Cause.BUG: "a fault of digest itself",
    Cause.RECOVERED: "over",
}


def tell(desk: Desk) -> str:
    """Tell every operator what is new; return what became of it."""
    with desk.ledger.change(Lock.SOME) as (connection, now):
        waiting = fleet.claim_alerts(connection, now, desk.limits.letters)
    said = []
    for operators, some in groupby(
        sorted(waiting, key=lambda one: one.operators), key=lambda one: one.operators
    ):
        own = list(some)
        way = _sent(desk, own)
        with desk.ledger.change(Lock.SOME) as (connection, now):
            noted = [one.noted for one in own]
            fleet.mark_alerts(connection, noted, way or fleet.FLEET, now)
            if way is not None:
                fleet.note_letter(connection, operators, now)
        said.append(f"{len(own)} alerts {'by ' + way if way else 'could be told to nobody'}")
    return "; ".join(said) or "nothing new"


def _sent(desk: Desk, waiting: Sequence[Waiting]) -> str | None:
    """Send one letter by the first way that takes it; return that way, None when none did."""
    now = desk.clock()
    letter = summary(waiting, host=socket.gethostname(), now=now)
    for name, send in _ways(desk, waiting):
        try:
            send(Letter(KNOWN(letter.subject), KNOWN(letter.text)))
        # Whatever breaks one way must not keep the next one from being tried.
        except (DeliveryError, ValueError, OSError) as error:
            desk.journal.message("warning", f"the operator could not be told by {name}: {error}")
            continue
        desk.journal.message("info", f"told the operator by {name}: {letter.subject}")
        return name
    return None


def _ways(desk: Desk, waiting: Sequence[Waiting]) -> Sequence[Way]:
    """Return the ways to the operators, from the first client whose settings can be read."""
    for path in dict.fromkeys(one.path for one in waiting):
        try:
            settings = desk.read(Path(path), desk.environment)
        except DigestError:
            continue
        KNOWN.learn(secrets_in(settings.alerts))
        return ways_of(
            settings.alerts,
            None,
            rid=run_id("fleet", desk.clock().date()),
            clock=desk.clock,
            zone=settings.timezone,
        )
    return ()


def summary(waiting: Sequence[Waiting], *, host: str, now: datetime) -> Letter:
    """Write alerts of many clients as one letter: by cause, the most urgent first."""
    found = [read_alert(one.noted) for one in waiting]
    ordered = sorted(found, key=lambda one: (URGENT.index(one.cause), one.digest))
    groups = [(cause, list(some)) for cause, some in groupby(ordered, key=lambda one: one.cause)]
    clients = {one.digest for one in found}
    many = "1 client" if len(clients) == 1 else f"{len(clients):,} clients"
    first, some = groups[0]
    also = f" and {len(groups) - 1} more" if len(groups) > 1 else ""
    subject = f"[digest] fleet, {many}: {_TITLES[first]} ({len(_clients(some)):,}){also}"
    parts = [f"{many} of the fleet", *(_section(cause, some) for cause, some in groups)]
    parts.append(
        f"Told by digest on {host}, {now:%Y-%m-%d %H:%M} UTC, once for each cause and day."
    )
    return Letter(subject, "\n\n".join(parts) + "\n")


def _section(cause: Cause, some: Sequence[Alert]) -> str:
    clients = _clients(some)
    rest = len(clients) - NAMED
    names = ", ".join(clients[:NAMED]) + (f" and {rest:,} more" if rest > 0 else "")
    example = some[0]
    return "\n\n".join(
        [
            f"== {_TITLES[cause]}: {len(clients):,} ==",
            *titled("Clients", [names]),
            *titled(f"For example {example.digest}", [example.happened, example.missed]),
            *titled("What happens next by itself", [example.follows]),
            *titled("What to run", [example.command]),
        ]
    )


def _clients(some: Sequence[Alert]) -> list[str]:
    return list(dict.fromkeys(one.digest for one in some))

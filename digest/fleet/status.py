"""How the fleet stands: per client and in total, as facts, as a table and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from digest.ledger import RunState, State, fleet
from digest.ledger.backend import Lock

if TYPE_CHECKING:
    from digest.ledger.fleet import Client
    from digest.ledger.store import Reader


class Stand(StrEnum):
    """How one client stands; of several the first."""

    UNKNOWN = "unknown"
    LATE = "late"
    BROKEN = "broken"
    HELD = "held"
    DUE = "due"
    PAUSED = "paused"
    EARLY = "early"
    FREE = "free"
    DONE = "done"
    GONE = "gone"


NEEDS_A_LOOK = (Stand.UNKNOWN, Stand.LATE, Stand.BROKEN, Stand.HELD)
_MEANS: Mapping[Stand, str] = {
    Stand.UNKNOWN: "an outcome that a person has to settle",
    Stand.LATE: "not sent in time",
    Stand.BROKEN: "its file is broken",
    Stand.HELD: "held, tried again",
    Stand.DUE: "in the queue or at work",
    Stand.PAUSED: "paused",
    Stand.EARLY: "due later",
    Stand.FREE: "no edition today",
    Stand.DONE: "sent",
    Stand.GONE: "its file is gone",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One client.

    Attributes:
        day: of the edition that is judged, None when there was none lately.
        sent, readers: recipients who have it, and all of them.
        why: what holds it, breaks it or pauses it; None when there is nothing to say.
        next_run_at: when the next edition is due.
    """

    client: str
    account: str
    stand: Stand
    day: date | None
    sent: int
    readers: int
    unknown: int
    why: str | None
    next_run_at: datetime


@dataclass(frozen=True, slots=True)
class Fleet:
    """The whole fleet at one instant.

    Attributes:
        totals: clients by how they stand. resting: accounts that are left alone, and until when.
        broken: files that are no digest, what is wrong with each, and since when.
        jobs: in the queue, by queue and state. lag: seconds since the oldest open edition was due.
    """

    now: datetime
    lines: tuple[Line, ...]
    totals: Mapping[Stand, int]
    resting: Mapping[str, datetime]
    broken: tuple[tuple[str, str, datetime], ...]
    jobs: Mapping[tuple[str, str], int]
    lag: float


def fleet_facts(ledger: Reader) -> Fleet:
    """Return how every client stands by the database's clock; changes nothing.

    Raises:
        LedgerError: the ledger cannot be read, or holds no fleet.
    """
    with ledger.transaction(Lock.NONE) as connection:
        now = fleet.time_of(connection)
        fleet.refuse_without_tables(connection, str(ledger))
        clients = fleet.clients(connection)
        resting = fleet.open_circuits(connection, now)
        broken = fleet.broken_files(connection)
        jobs = fleet.jobs(connection)
        lag = fleet.lag(connection, now)
    lines = tuple(line_of(client, now) for client in clients)
    counted = Counter(line.stand for line in lines)
    totals = {stand: counted[stand] for stand in Stand}
    return Fleet(now, lines, totals, resting, broken, jobs, lag)


def line_of(client: Client, now: datetime) -> Line:
    """Say how one client stands."""
    stand = _stand(client, now)
    why = {Stand.BROKEN: client.broken, Stand.PAUSED: client.paused}.get(stand, client.note)
    return Line(
        client.digest,
        client.account,
        stand,
        client.day,
        client.states.get(State.SENT, 0),
        sum(client.states.values()),
        client.unknown,
        why,
        client.next_run_at,
    )


def _stand(client: Client, now: datetime) -> Stand:
    today = now.astimezone(ZoneInfo(client.timezone)).date()
    if client.unknown or client.gone or client.broken:
        return Stand.UNKNOWN if client.unknown else Stand.GONE if client.gone else Stand.BROKEN
    if client.run is None or (client.day != today and client.run not in _OPEN):
        return Stand.PAUSED if client.paused else Stand.EARLY
    if client.states.get(State.EXPIRED):
        return Stand.LATE
    return _OF_RUN[client.run]


_OPEN = (
    *(RunState.PLANNED, RunState.COLLECTING, RunState.COLLECTED, RunState.RENDERED),
    *(RunState.SENDING, RunState.HELD),
)
_OF_RUN = {
    **dict.fromkeys(_OPEN, Stand.DUE),
    RunState.HELD: Stand.HELD,
    RunState.DONE: Stand.DONE,
    RunState.EXPIRED: Stand.LATE,
    RunState.SKIPPED: Stand.FREE,
}


# ------------------------------------------------------------------------------------- as text


def table(found: Fleet, *, every: bool, only: Iterable[Stand] = ()) -> str:
    """Write the fleet as a person reads it: totals, then the clients that need a look, or all."""
    wanted = tuple(only) or (tuple(Stand) if every else NEEDS_A_LOOK)
    shown = [
        f"{count:>7,}  {stand:<8} {_MEANS[stand]}" for stand, count in found.totals.items() if count
    ]
    parts = [f"{len(found.lines):,} clients, {found.now:%Y-%m-%d %H:%M} UTC", *shown]
    lines = [line for line in found.lines if line.stand in wanted]
    if lines:
        width = max(len(line.client) for line in lines)
        parts += ["", *(_row(line, width) for line in _urgent_first(lines))]
    if found.resting:
        parts += ["", "accounts that rest after many failures:"]
        parts += [f"  {name} until {until:%H:%M} UTC" for name, until in found.resting.items()]
    if found.broken:
        parts += ["", "broken files:"]
        parts += [f"  {_first(error)}" for _, error, _ in found.broken]
    waiting = sum(count for (_, state), count in found.jobs.items() if state == "todo")
    if waiting:
        parts += [
            "",
            f"{waiting:,} jobs in the queue; the oldest open edition is {found.lag:.0f} s late",
        ]
    return "\n".join(parts)


def _urgent_first(lines: Sequence[Line]) -> list[Line]:
    order = list(Stand)
    return sorted(lines, key=lambda line: (order.index(line.stand), line.client))


def _row(line: Line, width: int) -> str:
    day = "-" if line.day is None else line.day.isoformat()
    served = f"{line.sent}/{line.readers}" if line.readers else "-"
    why = f"  {_first(line.why)}" if line.why else ""
    return f"{line.client:<{width}}  {line.stand:<8} {day:<10}  {served:>7}{why}"


def _first(text: str) -> str:
    line = text.partition("\n")[0]
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


_LONGEST = 160


# ------------------------------------------------------------------------------------- as JSON


def as_facts(found: Fleet) -> dict[str, object]:
    """Return the fleet as JSON can carry it; public and versioned like every other output."""
    return {
        "version": 1,
        "at": found.now.isoformat(),
        "totals": {str(stand): count for stand, count in found.totals.items()},
        "lag_seconds": round(found.lag, 3),
        "clients": [
            {
                "digest": line.client,
                "account": line.account,
                "state": str(line.stand),
                "date": line.day and line.day.isoformat(),
                "sent": line.sent,
                "recipients": line.readers,
                "unknown": line.unknown,
                "why": line.why,
                "next_run_at": line.next_run_at.isoformat(),
            }
            for line in found.lines
        ],
        "resting_accounts": {name: until.isoformat() for name, until in found.resting.items()},
        "broken_files": [
            {"path": path, "error": error, "since": since.isoformat()}
            for path, error, since in found.broken
        ],
        "jobs": [
            {"queue": queue, "state": state, "count": count}
            for (queue, state), count in sorted(found.jobs.items())
        ],
    }


def exposition(found: Fleet) -> str:
    """Write the fleet's own figures for Prometheus; labels are closed sets, no client's name."""
    lines = ["# HELP digest_clients Clients by how they stand.", "# TYPE digest_clients gauge"]
    lines += [f'digest_clients{{state="{stand}"}} {n}' for stand, n in found.totals.items()]
    lines += ["# HELP digest_jobs Jobs in the queue.", "# TYPE digest_jobs gauge"]
    for (queue, state), n in sorted(found.jobs.items()):
        lines.append(f'digest_jobs{{queue="{queue}",state="{state}"}} {n}')
    lines += [
        "# HELP digest_due_lag_seconds Age of the oldest edition that is neither out nor given up.",
        "# TYPE digest_due_lag_seconds gauge",
        f"digest_due_lag_seconds {found.lag:.3f}",
        "# HELP digest_accounts_resting Accounts that are left alone after many failures.",
        "# TYPE digest_accounts_resting gauge",
        f"digest_accounts_resting {len(found.resting)}",
        "# HELP digest_broken_files Files that are no digest.",
        "# TYPE digest_broken_files gauge",
        f"digest_broken_files {len(found.broken)}",
    ]
    return "".join(f"{line}\n" for line in lines)

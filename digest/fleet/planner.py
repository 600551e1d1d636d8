"""Puts each due edition into the queue once: the run, the job and the digest's next date in one commit.

It looks at the state of the schedule and never at the time of a tick, so that ticks may be late, lost or
come twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from digest import alerts
from digest.alerts import Scene
from digest.fleet.roster import later_than
from digest.heartbeat import Ping
from digest.ledger import RunState, fleet
from digest.ledger.backend import Lock

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from digest.ledger.fleet import Due, Entry, Settled
    from digest.ledger.store import Ledger

CHUNK = 1000  # digests per transaction
LATE = "send_until has passed; no worker had taken it"


@dataclass(frozen=True, slots=True)
class Job:
    """One edition for the queue; nothing in it is secret or personal.

    Attributes:
        until: the end of sending; the tightest window is served first.
    """

    digest: str
    day: date
    stamp: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Call:
    """A sign of life that a digest's monitor waits for although nothing is sent."""

    digest: str
    day: date
    ping: Ping
    body: str


@dataclass(frozen=True, slots=True)
class Planned:
    """What one pass has put into the queue or written down."""

    jobs: int = 0
    skipped: int = 0
    expired: int = 0
    paused: int = 0
    overdue: int = 0

    def __add__(self, other: Planned) -> Planned:
        """Add up two chunks."""
        return Planned(
            self.jobs + other.jobs,
            self.skipped + other.skipped,
            self.expired + other.expired,
            self.paused + other.paused,
            self.overdue + other.overdue,
        )


# What puts jobs, pings and overdue editions into the queue, inside the given transaction.
Enqueue = Callable[["Connection", Sequence[Job], Sequence[Call], Sequence[tuple[str, date]]], None]


def plan(
    ledger: Ledger,
    enqueue: Enqueue,
    *,
    chunk: int = CHUNK,
    step: Callable[[str], None] = lambda _: None,
) -> Planned:
    """Plan everything that is due by the database's clock; any number of planners share the work.

    Args:
        ledger: the fleet's.
        enqueue: puts what was found into the queue, in the transaction at hand.
        chunk: digests per transaction.
        step: hears the name of each step just done.
    """
    total = Planned()
    while True:
        found = _plan_chunk(ledger, enqueue, chunk, step)
        if found is None:
            break
        total += found
        step("committed")
    while True:
        with ledger.change(Lock.SOME) as (connection, now):
            overdue = fleet.take_overdue(connection, now, chunk)
            if not overdue:
                return total
            enqueue(connection, (), (), overdue)
        total += Planned(overdue=len(overdue))


def _plan_chunk(
    ledger: Ledger, enqueue: Enqueue, chunk: int, step: Callable[[str], None]
) -> Planned | None:
    with ledger.change(Lock.SOME) as (connection, now):
        due = fleet.take_due(connection, now, chunk)
        if not due:
            return None
        step("taken")
        settled = [judged(one, now) for one in due]
        new = fleet.settle(connection, settled, now)
        step("runs written")
        expired = [
            one for one in settled if one.state is RunState.EXPIRED and one.entry.digest in new
        ]
        fleet.raise_alerts(
            connection, [_expired(one, now).noted() for one in expired if one.entry.operators], now
        )
        jobs = [_job(one) for one in settled if one.state is RunState.PLANNED]
        enqueue(connection, jobs, [call for one in settled for call in _calls(one, new)], ())
        step("jobs written")
    return Planned(
        jobs=len(jobs),
        skipped=sum(one.state is RunState.SKIPPED for one in settled),
        expired=len(expired),
        paused=sum(one.state is None for one in settled),
    )


def judged(due: Due, now: datetime) -> Settled:
    """Say what becomes of a due edition."""
    entry = due.entry
    later = later_than(entry, now)
    reason = json.loads(entry.free).get(entry.next_date.isoformat())
    if due.paused is not None:
        return fleet.Settled(entry, None, due.paused, later)
    if reason is not None:
        return fleet.Settled(entry, RunState.SKIPPED, reason, later)
    if now >= entry.next_until:
        return fleet.Settled(entry, RunState.EXPIRED, LATE, later)
    return fleet.Settled(entry, RunState.PLANNED, None, later)


def _job(one: Settled) -> Job:
    entry = one.entry
    return Job(entry.digest, entry.next_date, entry.stamp, entry.next_until)


def _calls(one: Settled, new: frozenset[str]) -> list[Call]:
    entry = one.entry
    if not entry.heartbeat:
        return []
    if one.state is None:
        return [Call(entry.digest, entry.next_date, Ping.SUCCESS, "paused")]
    if one.state is RunState.SKIPPED:
        return [Call(entry.digest, entry.next_date, Ping.SUCCESS, "no edition today")]
    if one.state is RunState.EXPIRED and entry.digest in new:
        return [Call(entry.digest, entry.next_date, Ping.FAIL, "failed: not sent")]
    return []


def _expired(one: Settled, now: datetime) -> alerts.Alert:
    return alerts.expired(
        scene_of(one.entry, one.entry.next_date, now), one.entry.next_date, missed=(), why=LATE
    )


def scene_of(entry: Entry, day: date, now: datetime) -> Scene:
    """Return what the alerts of a digest say alike, from the schedule's row alone."""
    return Scene(
        digest=entry.digest,
        config=Path(entry.path).name,
        business_date=day,
        zone=entry.timezone,
        until=entry.send_until,
        readers=entry.readers,
        now=now,
        since=now,
    )

"""A fleet whose clients are rows, or files that a fake source serves, on a real PostgreSQL."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from multiprocessing.pool import Pool
from typing import Any

from digest.fleet.planner import Planned, plan
from digest.fleet.queue import enqueue_with, planning_app
from digest.ledger import Postgres, fleet, open_ledger
from digest.ledger.fleet import Entry
from digest.ledger.store import Ledger
from tests.delivery.scene import run_in


def utc_now() -> datetime:
    """What the server's clock says, or nearly."""
    return datetime.now(UTC)  # noqa: TID251 - a test of real processes


def open_fleet(place: Postgres, connections: int = 0) -> Ledger:
    """The fleet's ledger as a process sees it that has just begun."""
    return open_ledger(
        replace(place, connections=connections), clock=utc_now, pin=None
    )  # the server's clock counts


def an_entry(digest: str = "anna", **changes: Any) -> Entry:  # noqa: ANN401 - any field
    """A client whose window is open now and for three more hours."""
    now = utc_now()
    given: dict[str, Any] = {
        "digest": digest,
        "root": "/fleet",
        "path": f"/fleet/{digest}.toml",
        "stamp": "of-today",
        "account": f"sql:{digest}",
        "operators": "ops",
        "heartbeat": False,
        "readers": 3,
        "timezone": "UTC",
        "send_at": time(0, 0),
        "send_until": time(23, 59),
        "spread_seconds": 0,
        "free": "{}",
        "known_until": now.date() + timedelta(days=40),
        "next_date": now.date(),
        "next_run_at": now - timedelta(minutes=1),
        "next_until": now + timedelta(hours=3),
    }
    return Entry(**{**given, **changes})


def enrol(ledger: Ledger, entries: Sequence[Entry]) -> None:
    """Put clients into the schedule."""
    with ledger.change() as (connection, _):
        fleet.write_entries(connection, entries)
        fleet.give_turns(connection)


def plan_now(ledger: Ledger, place: Postgres, **changes: Any) -> Planned:  # noqa: ANN401 - any argument
    """Plan what is due, as a process of its own would."""
    return plan(ledger, enqueue_with(planning_app(place)), **changes)


def rows(place: Postgres, query: str) -> list[tuple[Any, ...]]:
    """Ask the fleet's database."""
    return run_in(place, "SET search_path TO sla_digest", query)


def runs_of(place: Postgres, state: str = "planned") -> set[tuple[str, date]]:
    return set(rows(place, f"SELECT digest, business_date FROM runs WHERE state = '{state}'"))


def jobs_of(place: Postgres) -> list[tuple[str, date]]:
    """The deliveries in the queue, in the order in which workers take them."""
    found = rows(
        place,
        "SELECT args->>'digest', (args->>'day')::date FROM procrastinate_jobs "
        "WHERE task_name = 'deliver' AND status IN ('todo', 'doing') ORDER BY priority DESC, id",
    )
    return [(digest, day) for digest, day in found]


@contextmanager
def pool_of(size: int) -> Iterator[Pool]:
    """Processes of a server without threads: a copy of this one could wait for ever for a thread's lock."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    with context.Pool(size) as pool:
        yield pool

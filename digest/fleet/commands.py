"""What the commands of a fleet do, given the clock and the environment of an entry point."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from digest.due import today_of
from digest.errors import ConfigError, LedgerError
from digest.fleet import refuse_without_extra
from digest.fleet.roster import Roster, fleet_ledger, timetable_of, window_for
from digest.ledger import Postgres, fleet, open_ledger
from digest.ledger.backend import Lock

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from digest.fleet.status import Fleet
    from digest.journal import Journal
    from digest.ledger.store import Ledger
    from digest.schedule import Child

Clock = Callable[[], datetime]


def opened(
    paths: Sequence[Path], environment: Mapping[str, str], clock: Clock
) -> tuple[Ledger, Postgres]:
    """Return the ledger of a fleet, and where it is.

    Raises:
        ConfigError: the extra is missing, or the digests have no PostgreSQL ledger.
        LedgerError: it cannot be used.
    """
    refuse_without_extra()
    place = fleet_ledger(paths, environment)
    return open_ledger(place, clock=clock, pin=None), place


def enqueue(
    paths: Sequence[Path], environment: Mapping[str, str], clock: Clock
) -> tuple[list[str], list[ConfigError]]:
    """Plan what is due; return what was done and what is wrong with files."""
    refuse_missing(paths)
    ledger, place = opened(paths, environment, clock)
    from digest.fleet.planner import plan
    from digest.fleet.queue import enqueue_with, install, planning_app

    install(ledger)
    synced = Roster(paths, place, environment).sync(ledger)
    planned = plan(ledger, enqueue_with(planning_app(place)))
    lines = [f"{path} is gone: its digest is no longer planned" for path in synced.gone]
    lines.append(
        f"{planned.jobs} put into the queue, {planned.skipped} without an edition today, "
        f"{planned.paused} paused, {planned.expired + planned.overdue} not sent in time"
    )
    return lines, [ConfigError(*said.splitlines()) for said in synced.broken.values()]


def refuse_missing(paths: Sequence[Path]) -> None:
    """Raise ConfigError for a path that is not there."""
    if missing := [str(path) for path in paths if not path.exists()]:
        raise ConfigError(*(f"{path}: there is no such file or folder" for path in missing))


def work(
    paths: Sequence[Path],
    environment: Mapping[str, str],
    clock: Clock,
    journal: Journal,
    *,
    role: str,
    concurrency: int,
    memory_mb: int,
) -> int:
    """Be one worker process until it is over; return its exit code."""
    import time

    from digest.fleet.desk import Desk, Limits
    from digest.fleet.worker import run

    place = fleet_ledger(paths, environment)
    desk = Desk(
        place=replace(place, connections=concurrency),
        environment=environment,
        clock=clock,
        sleep=time.sleep,
        journal=journal,
        limits=Limits(concurrency=concurrency, memory_mb=memory_mb),
    )
    return run(desk, Roster(paths, place, environment) if role == "plan" else None)


def supervise(
    paths: Sequence[Path],
    environment: Mapping[str, str],
    clock: Clock,
    *,
    processes: int,
    plan: bool,
    metrics: tuple[str, int] | None,
    spawn: Callable[[str], Child],
    stop: Callable[[], bool],
    sleep: Callable[[float], None],
    tell: Callable[[str], None],
) -> None:
    """Keep the worker processes of this host running until asked to end."""
    refuse_missing(paths)
    ledger, place = opened(paths, environment, clock)
    from digest.fleet import supervisor
    from digest.fleet.queue import install

    install(ledger)
    if metrics is not None:
        serve_metrics(metrics, ledger)
    roles = [*(["plan"] if plan else []), *["deliver"] * processes]
    tell(f"{len(roles)} processes on {place}; SIGTERM or Ctrl-C ends them")
    host = supervisor.Host(monotonic=monotonic, sleep=sleep, stop=stop, spawn=spawn, tell=tell)
    supervisor.supervise(host, roles)


def serve_metrics(address: tuple[str, int], ledger: Ledger) -> None:
    """Answer GET /metrics in a thread, with the figures of the ledger and of the fleet.

    Raises:
        ConfigError: the port is taken.
    """
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    from digest.fleet.status import exposition, fleet_facts

    class Metrics(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            if self.path != "/metrics":
                self.send_error(404)
                return
            try:
                body = exposition(fleet_facts(ledger)).encode()
            except LedgerError:
                self.send_error(503)
                return
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with suppress(OSError):
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Stay quiet: a scrape each quarter of a minute is no news."""

    try:
        server = ThreadingHTTPServer(address, Metrics)
    except OSError as error:
        raise ConfigError(
            f"--metrics-port: {address[0]}:{address[1]} cannot be used ({error.strerror})"
        ) from error
    threading.Thread(target=server.serve_forever, daemon=True).start()


def facts(path: Path, environment: Mapping[str, str], clock: Clock) -> Fleet:
    """Return how the fleet stands; what a page or a table is made of."""
    from digest.fleet.status import fleet_facts

    ledger, _ = opened([path], environment, clock)
    return fleet_facts(ledger)


def pause(
    path: Path,
    environment: Mapping[str, str],
    clock: Clock,
    client: str,
    *,
    until: date | None,
    reason: str,
) -> str:
    """Leave a client out until it is resumed, or up to a date.

    Raises:
        ConfigError: the fleet has no such client, or the date lies behind it.
    """
    ledger, _ = opened([path], environment, clock)
    with ledger.change(Lock.SOME) as (connection, now):
        entry = _client(connection, client, str(ledger))
        today = today_of(timetable_of(entry), now)
        if until is not None and until < today:
            raise ConfigError(f"--until: {until} is over; today is {today}")
        fleet.pause(connection, client, now, until=until, reason=reason)
    return f"{client} is paused " + (f"up to {until}" if until else "until it is resumed")


def resume(path: Path, environment: Mapping[str, str], clock: Clock, client: str) -> str:
    """End a pause; today's edition still goes out while its window is open.

    Raises:
        ConfigError: the fleet has no such client.
    """
    ledger, _ = opened([path], environment, clock)
    with ledger.change(Lock.SOME) as (connection, now):
        entry = _client(connection, client, str(ledger))
        if not fleet.resume(connection, client):
            return f"{client} was not paused"
        today = today_of(timetable_of(entry), now)
        day = today if now < window_for(entry, today).until else today + timedelta(days=1)
        window = window_for(entry, day)
        fleet.plan_again(connection, client, (day, window.due_at, window.until))
    return f"{client} is resumed; its next edition is that of {day}"


def _client(connection: Connection, client: str, ledger: str) -> fleet.Entry:
    fleet.refuse_without_tables(connection, ledger)
    entry = fleet.entry_of(connection, client)
    if entry is None:
        raise ConfigError(
            f"the fleet has no client {client!r}; `digest fleet status --every` lists them"
        )
    return entry


def upgrade(path: Path, environment: Mapping[str, str], clock: Clock) -> list[str]:
    """Bring the queue's tables to the installed version; return what was done."""
    ledger, _ = opened([path], environment, clock)
    from digest.fleet import queue

    done: list[str] = []
    queue.upgrade(ledger, lambda name: done.append(f"applied {name}"))
    return [*done, f"the queue's tables are of version {queue.version()}"]

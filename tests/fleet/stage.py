"""Clients as files, a relay, and worker processes of their own that a test may kill."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from digest import delivery
from digest.dispatch import Now, Report, report_of
from digest.due import today_of
from digest.fleet import worker
from digest.fleet.desk import Desk, Limits
from digest.fleet.queue import install, working_app
from digest.fleet.roster import content_hash
from digest.journal import Journal
from digest.ledger import Postgres, open_ledger, postgres
from digest.ledger.fleet import Entry
from digest.ledger.store import Ledger
from digest.render import PACKERS
from digest.settings import Settings, load
from tests.delivery.scene import a_relay, an_edition, fork, from_json, render, to_json
from tests.fakes.smtp import SmtpServer, running
from tests.fleet.scene import an_entry, enrol, open_fleet, plan_now, rows, utc_now
from tests.test_compose import CONFIG

# Everything within a second or two instead of half a minute.
HASTY = Limits(
    concurrency=6,
    heartbeat=0.2,
    stalled=1.0,
    polling=0.2,
    grace=5.0,
    memory_mb=2_000,
    tick="* * * * * *",
    reap="* * * * * *",
    letters=timedelta(0),
)
OPEN_ALL_DAY = 'timezone = "UTC"\n[schedule]\nsend_at = 00:00:00\nsend_until = 23:59:59\n'


def quietly(_line: str) -> None:
    """Take a line of a journal that nobody reads."""


def a_desk(place: Postgres, **changes: Any) -> Desk:  # noqa: ANN401 - any field
    """The view of one process."""
    given: dict[str, Any] = {
        "place": replace(place, connections=4),
        "environment": {},
        "clock": utc_now,
        "sleep": time.sleep,
        "journal": Journal(write=quietly, clock=utc_now, host="host-a", pid=os.getpid()),
        "limits": HASTY,
    }
    return Desk(**{**given, **changes})


def served_with(kind: type[Ledger] = Ledger) -> Callable[..., Report]:
    """Send a small edition that costs nothing to compose, by a ledger of some kind."""

    def serve(settings: Settings, now: Now, _journal: Journal, **_: Any) -> Report:  # noqa: ANN401
        today = today_of(settings, now.clock())
        opened = open_ledger(settings.ledger, clock=now.clock)
        ledger = kind(opened._backend, clock=now.clock, owner=opened.owner, gone=opened._gone)
        result = delivery.send(
            digest_id=settings.id,
            business_date=today,
            channels=settings.channels,
            compose=lambda _: replace(an_edition(today), digest=settings.id),
            render=render,
            packers=PACKERS,
            ledger=ledger,
            clock=now.clock,
            sleep=now.sleep,
            to_json=to_json,
            from_json=from_json,
            patience=now.patience,
            stop=now.stop,
        )
        return report_of(result)

    return serve


def write_leads(folder: Path, days: Sequence[date]) -> None:
    """Make the source that CONFIG names, with a lead on each of some days."""
    with closing(sqlite3.connect(folder / "crm.sqlite")) as crm, crm:
        crm.execute("CREATE TABLE leads (day DATE, region TEXT)")
        crm.executemany("INSERT INTO leads VALUES (?, 'DACH')", [(str(day),) for day in days])


@dataclass
class Stage:
    """A fleet of small clients, its relay, and the processes that serve it."""

    folder: Path
    place: Postgres
    ledger: Ledger
    relay: SmtpServer
    whole: Settings
    kind: type[Ledger] = Ledger
    workers: list[int] = field(default_factory=list)

    def enrol(self, names: Sequence[str], **changes: Any) -> list[Entry]:  # noqa: ANN401 - any field
        """Make clients with a file and one reader each."""
        entries = []
        for name in names:
            path = self.folder / f"{name}.toml"
            path.write_text(f'id = "{name}"\n')
            entries.append(an_entry(name, path=str(path), stamp=content_hash(path), **changes))
        enrol(self.ledger, entries)
        return entries

    def read(self, path: Path, _environment: object) -> Settings:
        """Return a client's settings without reading them a hundred times."""
        channel = a_relay(self.relay.port, (f"{path.stem}@team.example",))
        return replace(self.whole, id=path.stem, path=path, channels={"smtp": channel})

    def desk(self, **changes: Any) -> Desk:  # noqa: ANN401 - any field
        given = {"read": self.read, "serve": served_with(self.kind)}
        return a_desk(self.place, **{**given, **changes})

    def a_source(self) -> None:
        """Give every client the same leads, for editions that are counted."""
        today = utc_now().date()
        write_leads(self.whole.folder, [today - timedelta(n) for n in range(250)])

    def start(self, **changes: Any) -> int:  # noqa: ANN401 - any field of the desk
        """Start a worker process."""
        child = fork()
        if child == 0:
            code = 70
            try:
                code = worker.run(self.desk(**changes), None)
            finally:
                os._exit(code)
        self.workers.append(child)
        return child

    def kill(self, child: int, number: signal.Signals = signal.SIGKILL) -> int:
        """End a worker and return its exit code."""
        self.workers.remove(child)
        with suppress(ProcessLookupError):
            os.kill(child, number)
            os.kill(child, signal.SIGCONT)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def plan(self) -> None:
        plan_now(self.ledger, self.place)

    def reap(self) -> int:
        """Take up what silent workers left, as the housekeeping does."""

        async def once() -> int:
            app = working_app(self.place, connections=1)
            async with app.open_async():
                return await worker.reaped(app, HASTY.stalled)

        return asyncio.run(once())

    def jobs_left(self) -> int:
        ((left,),) = rows(
            self.place,
            "SELECT count(*) FROM procrastinate_jobs "
            "WHERE task_name = 'deliver' AND status IN ('todo', 'doing')",
        )
        return int(left)

    def until_served(self, seconds: float, between: Callable[[], object] = lambda: None) -> None:
        """Wait until the queue is empty."""
        end = time.monotonic() + seconds
        while self.jobs_left():
            assert time.monotonic() < end, f"{self.jobs_left()} jobs are left"
            between()
            time.sleep(0.05)

    def copies(self) -> Counter[str]:
        """How many mails each client's reader has got."""
        truth = self.relay.truth
        assert truth is not None
        lines = truth.read_text().splitlines() if truth.exists() else []
        return Counter(line.partition("@")[0] for line in lines)

    def states(self) -> dict[str, str]:
        return dict(rows(self.place, "SELECT digest, state FROM deliveries"))


@contextmanager
def a_stage(folder: Path, place: Postgres, **relay: Any) -> Iterator[Stage]:  # noqa: ANN401
    """Set up a fleet without clients; every process of it has ended when the block has."""
    ledger = open_fleet(place)
    install(ledger)
    source = folder / "source"
    source.mkdir()
    (source / "digest.toml").write_text(CONFIG.replace("[calendar]", f"{OPEN_ALL_DAY}[calendar]"))
    whole = load(source / "digest.toml", environment={})
    whole = replace(whole, ledger=place)
    with running(SmtpServer(truth=folder / "accepted", **relay)) as server:
        stage = Stage(folder, place, ledger, server, whole)
        try:
            yield stage
        finally:
            for child in [*stage.workers]:
                stage.kill(child)
            # The next test of this process finds none that somebody has cut.
            postgres._kept_engine(replace(place, connections=4)).dispose()

"""What one worker process does with one job: look, reserve, send, and say when to come back.

Nothing here knows the queue but for `AgainError`, which puts the job back. Whatever happens, the rows of
the ledger say who has got what.
"""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from threading import Event, Lock
from time import monotonic
from typing import TYPE_CHECKING
from zlib import crc32

from digest import alerts, delivery
from digest.channels import Limited
from digest.connectors import Paced
from digest.dispatch import Now
from digest.due import today_of
from digest.errors import ConfigError, ConnectorError, DigestError, LedgerError, Reason
from digest.fleet import circuit
from digest.fleet.budget import heed, heeding, places, pull, serving
from digest.fleet.planner import scene_of
from digest.fleet.queue import AgainError
from digest.fleet.roster import content_hash, window_for
from digest.heartbeat import Ping, run_id, send_ping
from digest.journal import KNOWN, Journal, secrets_in
from digest.ledger import AT_WORK, WAITING, RunState, State, fleet, open_ledger
from digest.ledger.backend import Lock as LedgerLock
from digest.operation import named, operate
from digest.settings import Settings, load

if TYPE_CHECKING:
    from digest.channels import Channel
    from digest.dispatch import Report
    from digest.ledger import Postgres
    from digest.ledger.fleet import Entry, Task
    from digest.ledger.store import Ledger

BACK_OFF = (1, 2, 5, 10, 15)  # minutes
_NOT_SOON = (Reason.AUTH, Reason.QUOTA, Reason.DROP)  # each further question may make it worse
OTHER_COPY = timedelta(seconds=60)  # until another copy of the settings has arrived here
COPIES_TRIED = 3
_SOON = timedelta(seconds=15)
_CROWDED = timedelta(seconds=2)
_KEPT = 32  # settings in memory, for a job that comes back
_LOOKS = 4  # at a message whose outcome a channel may find out


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much a worker takes on, and how long it waits.

    Attributes:
        concurrency: jobs at once in one process.
        job_seconds: after so long a job starts no further message and comes back.
        heartbeat, stalled: seconds between two signs of life, and until a silent worker is given up.
        polling: seconds between two looks at what is to come back.
        grace: seconds from the request to end until whatever still waits is left behind.
        memory_mb: resident size above which a process ends and is started anew.
        tick, reap: cron expressions, the sixth field being seconds.
        letters: least time between two summaries for the same operators.
    """

    concurrency: int = 8
    job_seconds: float = 300.0
    stuck_seconds: float = 1_800.0
    heartbeat: float = 10.0
    stalled: float = 30.0
    polling: float = 1.0
    grace: float = 30.0
    memory_mb: int = 300
    tick: str = "* * * * *"
    reap: str = "* * * * *"
    letters: timedelta = timedelta(minutes=15)


@dataclass
class Desk:
    """One process's view of the fleet.

    Attributes:
        place: the fleet's ledger, with connections that are kept.
        environment: for the secrets of the digests.
        clock, sleep: of the machine; leases and budgets are the database's.
        journal: of this process.
        read, serve: load a digest and send its edition; a test has its own.
        running: jobs at work, and since when on the monotonic clock. ended: how many no longer are.
        stopping: set when the process shall end.
    """

    place: Postgres
    environment: Mapping[str, str]
    clock: Callable[[], datetime]
    sleep: Callable[[float], None]
    journal: Journal
    limits: Limits = Limits()
    stopping: Event = field(default_factory=Event)
    read: Callable[[Path, Mapping[str, str]], Settings] = lambda path, environment: load(
        path, environment=environment
    )
    serve: Callable[..., Report] = operate
    running: dict[int, float] = field(default_factory=dict)
    ended: int = 0
    _settings: dict[str, tuple[str, Settings]] = field(default_factory=dict)
    _at_once: Counter[str] = field(default_factory=Counter)
    _lock: Lock = field(default_factory=Lock)

    @cached_property
    def ledger(self) -> Ledger:
        """The fleet's ledger, on connections of this process."""
        return open_ledger(self.place, clock=self.clock, pin=None)

    # ---------------------------------------------------------------------------------- one edition

    def deliver(self, digest: str, day: date) -> str:
        """Serve the edition of a date as far as it can be now; return what became of the job.

        Raises:
            AgainError: it comes back at an instant before the end of its window.
        """
        try:
            return self._deliver(digest, day)
        except AgainError as error:
            again = error
        except LedgerError as error:  # also when the database is started anew
            raise AgainError(self.clock() + _SOON, str(error)) from error
        except Exception as error:  # noqa: BLE001 - one digest must not stop the others
            # The operator was told; perhaps the next try meets it no more.
            self.journal.message("error", f"{digest}: {fault(error)}")
            again = AgainError(self.clock() + timedelta(minutes=BACK_OFF[2]), "a fault of its own")
            again.__cause__ = error
        with self.ledger.transaction(LedgerLock.NONE) as connection:
            entry = fleet.entry_of(connection, digest)
        if entry is None or again.at >= window_for(entry, day).until:
            return f"left to the end of its window: {again}"
        raise again

    def _deliver(self, digest: str, day: date) -> str:
        with self.ledger.transaction(LedgerLock.NONE) as connection:
            task = fleet.task_of(connection, digest, day)
        if task is None or task.gone:
            return "it is no longer in the fleet"
        if task.paused is not None:
            return f"paused: {task.paused}"
        rests_until = max(
            (at for at in (task.blocked_until, task.closed_until) if at is not None),
            default=task.now,
        )
        if rests_until > task.now:
            # Not all at once, when the account is let in again.
            later = timedelta(seconds=crc32(digest.encode()) % 60)
            raise AgainError(rests_until + later, f"{task.entry.account} rests")
        settings = self._settings_of(task, day)
        if today_of(settings, self.clock()) != day:
            return "its day is over"
        if self.clock() < (due_at := window_for(task.entry, day).due_at):
            raise AgainError(due_at + _SOON, "this host's clock is behind the database's")
        with ExitStack() as held:
            held.enter_context(KNOWN.knowing(secrets_in(settings)))
            held.enter_context(self._turn(task.entry.account))
            held.enter_context(serving(task.entry.account))
            if isinstance(settings.connector, Paced) and self._is_unread(digest, day):
                rate = settings.connector.per_second
                held.enter_context(pull(self.ledger, task, rate, sleep=self.sleep))
            messages = self._messages(settings, day)
            if messages:
                held.enter_context(places(self.ledger, digest, messages, sleep=self.sleep))
            return self._served(task, settings, day)

    def _messages(self, settings: Settings, day: date) -> dict[str, tuple[int, float | None]]:
        """Return by account how many messages are still to be handed over, and how many in a second."""
        limited = {
            name: channel
            for name, channel in settings.channels.items()
            if isinstance(channel, Limited) and channel.limits
        }
        if not limited:
            return {}
        over = Counter(
            row.channel
            for row in self.ledger.deliveries(settings.id, day)
            if row.state not in WAITING
        )
        left: dict[str, tuple[int, float | None]] = {}
        for name, channel in limited.items():
            count = len(channel.recipients) - over[name]
            for account, per_second in channel.limits.items() if count > 0 else ():
                left[account] = (left.get(account, (0, None))[0] + count, per_second)
        return left

    def _served(self, task: Task, settings: Settings, day: date) -> str:
        try:
            report = self.serve(
                settings,
                self._now(settings),
                self.journal,
                ways=((fleet.FLEET, lambda _letter: None),) if task.entry.operators else (),
            )
        except DigestError as error:
            self._note_failure(task, error, day)
            raise self._again(task, error) from error
        if task.failures and report.edition is not None:
            circuit.worked(self.ledger, task.entry.account)
        at = self._comes_back(task, report, settings, day)
        if at is not None:
            raise AgainError(at, "somebody is not served yet")
        return "; ".join(report.lines[:1]) or "done"

    def _now(self, settings: Settings) -> Now:
        """Return the clock of one job; it ends when the process shall, or has had its time."""
        until = monotonic() + self.limits.job_seconds
        return Now(
            clock=self.clock,
            sleep=self.sleep,
            stop=lambda: self.stopping.is_set() or monotonic() > until,
            tell=lambda text: self.journal.message("info", f"{settings.id}: {text}"),
            patience=timedelta(0),
        )

    def _is_unread(self, digest: str, day: date) -> bool:
        """Whether an edition is not frozen yet, so that its source has to be asked."""
        run = self.ledger.run(digest, day)
        return run is None or run.edition is None

    # ------------------------------------------------------------------------------------- settings

    def _settings_of(self, task: Task, day: date) -> Settings:
        """Return a digest's settings as the schedule knows them.

        Raises:
            AgainError: they are broken, or this host has another copy of them.
        """
        entry = task.entry
        path = Path(entry.path)
        if content_hash(path) != entry.stamp:
            tries = self._tried(entry.digest)
            said = f"{path} is not the file that the schedule knows"
            if tries < COPIES_TRIED:
                raise AgainError(self.clock() + OTHER_COPY, said)
            self._hold(entry, day, f"{said}; give every host the same settings")
            raise AgainError(self.clock() + _wait(tries), said)
        kept = self._settings.get(entry.path)
        if kept is not None and kept[0] == entry.stamp:
            return kept[1]
        try:
            whole = self.read(path, self.environment)
        except ConfigError as error:
            raise AgainError(self.clock() + OTHER_COPY, str(error)) from error
        ledger = replace(self.place, connections=self.place.connections)
        channels = {name: self._heeded(channel) for name, channel in whole.channels.items()}
        settings = replace(whole, ledger=ledger, metrics_file=None, channels=channels)
        with self._lock:
            while len(self._settings) >= _KEPT:
                del self._settings[next(iter(self._settings))]
            self._settings[entry.path] = (entry.stamp, settings)
        return settings

    def _heeded(self, channel: Channel) -> Channel:
        """Let every worker hear when the other side of a channel asks to be left alone."""
        widest = next(iter(channel.limits), None) if isinstance(channel, Limited) else None
        if widest is None:
            return channel
        return heeding(channel, lambda seconds: heed(self.ledger, widest, seconds))

    def _hold(self, entry: Entry, day: date, why: str) -> None:
        self.ledger.mark_before_messages(entry.digest, day, RunState.HELD, why)
        alert = alerts.held(scene_of(entry, day, self.clock()), alerts.Cause.CONFIG, why, source="")
        if entry.operators:
            with self.ledger.change(LedgerLock.SOME) as (connection, now):
                fleet.raise_alerts(connection, [alert.noted()], now)

    # ------------------------------------------------------------------------------ when to come back

    def _note_failure(self, task: Task, error: DigestError, day: date) -> None:
        entry = task.entry
        if not circuit.failed(self.ledger, entry.account, error):
            return
        self.journal.message("warning", f"{entry.account} rests: {error}")
        if entry.operators and isinstance(error, ConnectorError):
            cause = alerts.BY_REASON[error.reason]
            alert = circuit.rests(scene_of(entry, day, self.clock()), cause, entry.account, error)
            with self.ledger.change(LedgerLock.SOME) as (connection, now):
                if not fleet.is_told_about(connection, entry.account, day):
                    fleet.raise_alerts(connection, [alert.noted()], now)

    def _again(self, task: Task, error: DigestError) -> AgainError:
        """Return when an edition that was held comes back."""
        tries = self._tried(task.entry.digest)
        wait = _wait(tries)
        if isinstance(error, ConnectorError) and error.reason in _NOT_SOON:
            wait = timedelta(minutes=BACK_OFF[-1])
        if isinstance(error, LedgerError):
            wait = _SOON if error.exit_code == ConnectorError.exit_code else _wait(1)
        return AgainError(self.clock() + wait, str(error).partition("\n")[0])

    def _comes_back(
        self, task: Task, report: Report, settings: Settings, day: date
    ) -> datetime | None:
        """Return when the job has something to do again, None when it is over."""
        now = self.clock()
        states = {one.state for one in report.outcomes}
        if self.stopping.is_set() and states & {*WAITING}:
            return now
        looks = any(
            one.state is State.UNKNOWN and settings.channels[one.channel].form != "mime"
            for one in report.outcomes
            if one.channel in settings.channels
        )
        if not states & {*WAITING, *AT_WORK} and not looks:
            return None
        tries = self._tried(task.entry.digest)
        if looks and not states & {*WAITING, *AT_WORK}:
            return now + _wait(tries) if tries <= _LOOKS else None
        if any(one.blocked for one in report.outcomes):
            return now + timedelta(minutes=BACK_OFF[-1])
        rows = self.ledger.deliveries(task.entry.digest, day)
        looks_at = now + _wait(tries)
        at = [
            # Who is at work has most likely ended long before its lease does.
            row.lease_until and min(row.lease_until, looks_at)
            if row.state in AT_WORK
            else row.next_at
            for row in rows
            if row.state in (*WAITING, *AT_WORK)
        ]
        soonest = min((one for one in at if one is not None), default=looks_at)
        return max(soonest, now + _SOON)

    def _tried(self, digest: str) -> int:
        with self.ledger.change(LedgerLock.SOME) as (connection, _):
            return fleet.note_try(connection, digest)

    @contextmanager
    def _turn(self, account: str) -> Iterator[None]:
        """Let an account have half of this process at most: a slow one must not keep all the others waiting.

        Raises:
            AgainError: it has its share.
        """
        most = max(1, self.limits.concurrency // 2)
        with self._lock:
            if self._at_once[account] >= most:
                raise AgainError(
                    self.clock() + _CROWDED, f"{account} has its share of this process"
                )
            self._at_once[account] += 1
        try:
            yield
        finally:
            with self._lock:
                self._at_once[account] -= 1
                if not self._at_once[account]:
                    del self._at_once[account]

    # ------------------------------------------------------------------------------- the other jobs

    def overdue(self, digest: str, day: date) -> str:
        """Give up on an edition whose time is over; needs neither its settings nor its source."""
        with self.ledger.transaction(LedgerLock.NONE) as connection:
            entry = fleet.entry_of(connection, digest)
        if entry is None:
            return "it is no longer in the fleet"
        result = delivery.expire(
            digest_id=digest, business_date=day, ledger=self.ledger, zone=entry.timezone
        )
        missed = [one for one in result.outcomes if one.state is State.EXPIRED]
        if result.outcomes and not missed:
            return "done"
        self.journal.of(digest, day, str(run_id(digest, day))).step("expired")
        why = next((one.note for one in missed if one.note), result.note or "")
        alert = alerts.expired(
            scene_of(entry, day, self.clock()),
            day,
            missed=[named(one.channel, one.recipient) for one in missed],
            why=why,
        )
        if entry.operators:
            with self.ledger.change(LedgerLock.SOME) as (connection, now):
                fleet.raise_alerts(connection, [alert.noted()], now)
        if entry.heartbeat:
            self.ping(digest, day, Ping.FAIL, "failed: not sent")
        return "given up"

    def ping(self, digest: str, day: date, kind: Ping, body: str) -> str:
        """Tell a digest's monitor how its day stands."""
        with self.ledger.transaction(LedgerLock.NONE) as connection:
            entry = fleet.entry_of(connection, digest)
        if entry is None:
            return "it is no longer in the fleet"
        url = self.read(Path(entry.path), self.environment).heartbeat
        if url is None:
            return "nobody listens"
        with KNOWN.knowing([url.reveal()]):
            problem = send_ping(url, kind, rid=run_id(digest, day), body=f"{digest} {body}")
            if problem is not None:
                self.journal.message("warning", f"{digest}: the heartbeat {problem}")
        return problem or "pinged"


def fault(error: Exception) -> str:
    """Name a fault and where it happened; its words may hold anything."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"


def _wait(tries: int) -> timedelta:
    return timedelta(minutes=BACK_OFF[min(max(tries, 1), len(BACK_OFF)) - 1])

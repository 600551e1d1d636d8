"""Runs one digest so that nobody finds out too late: pings, journal and alerts around `send_digest`.

What happened becomes a list of causes here; `alerts` has the words for each and `telling` the ways.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from time import monotonic
from types import MappingProxyType
from typing import TYPE_CHECKING

from digest import alerts
from digest.alerts import BY_REASON, PASSING, Alert, Cause, Scene, read_alert
from digest.dispatch import Now, Report, pin_of, refuse_passing_disk, send_digest
from digest.due import today_of, window_of
from digest.errors import ConfigError, ConnectorError, DigestError, LedgerError
from digest.heartbeat import Ping, run_id, send_ping
from digest.ledger import (
    AT_WORK,
    WAITING,
    RunState,
    State,
    current_owner,
    open_ledger,
    read_ledger,
)
from digest.metrics import STAGES
from digest.telling import GATHERED, Memory, Teller, Way, ways_of

if TYPE_CHECKING:
    from digest.delivery import Outcome
    from digest.journal import Journal
    from digest.ledger import Delivery
    from digest.ledger.alerts import AlertBook
    from digest.ledger.notes import Noted
    from digest.ledger.store import Reader
    from digest.settings import Settings

# Beside the settings: what was told while the ledger could not be used.
BESIDE = ".alerts.sqlite"
# An edition that expired unseen, because no call came after `send_until`, is told on one of these days.
_LOOKED_BACK = timedelta(days=4)
_RUNS_LOOKED_AT = 15
# What a journal hears at the beginning of each of `metrics.STAGES`.
_BEGINS = ("planned", "collected", "rendered")
_NOTHING_SET: Mapping[str, str] = MappingProxyType({})


def operate(
    settings: Settings,
    now: Now,
    journal: Journal,
    *,
    day: date | None = None,
    accept_drop: bool = False,
    environment: Mapping[str, str] = _NOTHING_SET,
    gathered: float = GATHERED,
    ways: Sequence[Way] | None = None,
) -> Report:
    """Send what is due as `send_digest` does, and tell whoever has to know what came of it.

    Whatever goes wrong with pings, alerts or the journal neither stops nor fails a send.

    Args:
        settings: the digest.
        now: clock and waiting.
        journal: of this process.
        day: as in `send_digest`; a person who names a date is told on the terminal what holds it.
        accept_drop: likewise.
        environment: of the process; it may say that the disk is gone after the job.
        gathered: seconds that a fact found during the send waits for others of its kind.
        ways: to the operator; None for those of the settings.

    Raises:
        DigestError: as `send_digest`, after the operator was told.
    """

    def send(now: Now) -> Report:
        refuse_passing_disk(settings, environment)
        return send_digest(settings, now, day=day, accept_drop=accept_drop)

    return _watched(_Watch(settings, now, journal, day, gathered, ways), send)


def operate_correction(
    settings: Settings,
    now: Now,
    journal: Journal,
    correct: Callable[[Now], Report],
    *,
    day: date | None = None,
    environment: Mapping[str, str] = _NOTHING_SET,
    gathered: float = GATHERED,
) -> Report:
    """Correct a sent edition, and tell as `operate` does who did not get the correction.

    The dead-man's switch and the causes that hold a day's edition are not concerned.

    Args:
        settings: the digest.
        now: clock and waiting.
        journal: of this process.
        correct: does it: `corrections.correct` of the same digest and day.
        day: the edition's date; None for the last one sent.
        environment: as in `operate`.
        gathered: likewise.

    Raises:
        DigestError: as `correct`, after the operator was told.
    """

    def send(now: Now) -> Report:
        refuse_passing_disk(settings, environment)
        return correct(now)

    named = day or _last_sent(settings) or today_of(settings, now.clock())
    return _watched(_Watch(settings, now, journal, named, gathered, correcting=True), send)


def _last_sent(settings: Settings) -> date | None:
    with suppress(DigestError):
        reader = read_ledger(settings.ledger)
        return reader.last_sent(settings.id) if reader else None
    return None


def _watched(watch: _Watch, send: Callable[[Now], Report]) -> Report:
    try:
        report = send(replace(watch.now, hear=watch.hear))
    except DigestError as error:
        watch.stopped(error)
        raise
    except Exception as error:
        watch.broke(error)
        raise
    watch.finished(report)
    return report


@dataclass
class _Watch:
    """What one call of one digest has to tell."""

    settings: Settings
    now: Now
    journal: Journal
    named: date | None
    gathered: float
    ways: Sequence[Way] | None = None
    correcting: bool = False
    frozen: bool = False
    # The run as it was before this call, which gives up on what is late.
    before: str | None = field(default=None, init=False)
    # When this call had come so far, on the monotonic clock.
    reached: dict[str, float] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.began = self.now.clock()
        self.day = self.named or today_of(self.settings, self.began)
        self.run = run_id(self.settings.id, self.day)
        self.log = self.journal.of(self.settings.id, self.day, str(self.run))
        if self.over:
            self.before = self._why_not_yet()

    # -------------------------------------------------------------------------------- during the send

    def hear(self, event: str, row: Delivery | None) -> None:
        """Take note of a step; nothing raised here may end a delivery between two of its steps."""
        self.log.step(event, row)
        if event in _BEGINS:
            self.reached.setdefault(event, monotonic())
        if event == "planned":
            self._ping(Ping.START, "begins", once="start")
        elif event == "collected":
            self.frozen = True
        elif row is not None and event in ("unknown", "refused", "deferred"):
            found = self._of_delivery(event, row)
            if found is not None:
                self.teller.soon(found)

    def _of_delivery(self, event: str, row: Delivery) -> Alert | None:
        if event == "unknown":
            whom = named(row.channel, row.recipient)
            return alerts.unknown(self.scene, row.key, whom, row.note or "")
        if event == "refused":
            return self._refused(row.key, row.channel, row.recipient, row.note or "")
        needs_a_person = row.state is State.PENDING and row.next_at is None and not self.now.stop()
        return (
            alerts.blocked(self.scene, row.channel, row.note or "", ()) if needs_a_person else None
        )

    # --------------------------------------------------------------------------------- after the send

    def stopped(self, error: DigestError) -> None:
        """Tell what kept the edition back, now or, where it may pass, once the day is over."""
        text = str(error)
        if isinstance(error, ConfigError):
            text = "\n".join(map(self.settings.located, error.mistakes))
        if not (self.correcting or isinstance(error, LedgerError)):
            self.log.step("held")
        cause = self._cause(error)
        final = cause is Cause.LEDGER or self.over
        found: list[Alert] = []
        if cause is Cause.LEDGER:
            found = [alerts.unusable(self.scene, text)]
        elif final:
            found = [alerts.expired(self.scene, self.day, missed=(), why=text)]
        elif cause not in PASSING and self.named is None:
            source = error.connector if isinstance(error, ConnectorError) else ""
            found = [alerts.held(self.scene, cause, text, source=source)]
        self._tell(found)
        if final:
            self._ping(Ping.FAIL, f"failed: {cause}", once=f"fail {cause}")
        else:
            self._ping(Ping.LOG, f"held: {cause}")
        self._write_metrics()

    def _cause(self, error: DigestError) -> Cause:
        if isinstance(error, LedgerError):
            return Cause.LEDGER
        if isinstance(error, ConnectorError):
            return BY_REASON[error.reason]
        return Cause.TEMPLATE if self._is_frozen() else Cause.CONFIG

    def _is_frozen(self) -> bool:
        """Whether there is an edition, so that only the way from it to a message can be broken."""
        if self.frozen:
            return True
        with suppress(DigestError):
            reader = self._reader()
            return reader is not None and reader.edition(self.settings.id, self.day) is not None
        return False

    def broke(self, error: Exception) -> None:
        """Tell that the fault is ours."""
        self._tell([alerts.broken(self.scene, type(error).__name__)])
        self._ping(Ping.FAIL, "failed: bug", once="fail bug")

    def finished(self, report: Report) -> None:
        """Tell who did not get the edition, and what is over; ping how the day stands."""
        today = [one for one in report.outcomes if self._is_ours(one)]
        given_up = any(one.state is State.EXPIRED for one in today)
        late = self.over and (given_up or (not today and report.exit_code != 0))
        if report.free:
            self.log.step("skipped")
        elif not report.outcomes and not late:
            return  # not due yet
        if late:
            self.log.step("expired")
        self._keep_stages()
        if self.teller.ways:
            found = [*self._unknown(report), *self._unserved(today, late=late)]
            if report.edition is not None and report.edition.stale:
                found.append(alerts.stale(self.scene, report.edition.scorecard.cut_off))
            if not self.correcting:
                found += [*self._left_behind(), *self._over(report, today, found)]
            self._tell(found)
        self._ping_how_it_stands(report, today, late=late)
        self._write_metrics()

    def _keep_stages(self) -> None:
        """Write down how long each stage took, of a run that this call did from its source on."""
        marks = [self.reached.get(event) for event in _BEGINS]
        if self.correcting or None in marks:
            return
        times = [*filter(None, marks), monotonic()]
        spent = [round(end - begin, 3) for begin, end in pairwise(times)]
        with suppress(DigestError):  # a figure for those who watch; the send is over
            ledger = open_ledger(
                self.settings.ledger, clock=self.now.clock, pin=pin_of(self.settings)
            )
            ledger.keep_stages(dict(zip(STAGES, spent, strict=True)))

    def _is_ours(self, outcome: Outcome) -> bool:
        """Whether an outcome is of the edition that this call is about, or of a correction of it."""
        edition = outcome.key.removeprefix(f"{self.settings.id}/{self.day.isoformat()}")
        return edition.startswith(".c" if self.correcting else "/")

    def _unknown(self, report: Report) -> Iterator[Alert]:
        """Of every day: what nobody has settled is told again each day."""
        found: dict[str, Outcome | Delivery] = {
            one.key: one for one in report.outcomes if one.state is State.UNKNOWN
        }
        with suppress(DigestError):
            reader = self._reader()
            rows = reader.unknown(self.settings.id) if reader else ()
            found |= {row.key: row for row in rows}
        for one in found.values():
            whom = named(one.channel, one.recipient)
            yield alerts.unknown(self.scene, one.key, whom, one.note or "")

    def _unserved(self, today: Sequence[Outcome], *, late: bool) -> Iterator[Alert]:
        refused = [one for one in today if one.state is State.REFUSED]
        if refused and len(refused) == len(today) and not self.correcting:
            self.teller.forget(Cause.REFUSED)
            yield alerts.all_refused(self.scene, (one.note for one in refused))
        else:
            for one in refused:
                yield self._refused(one.key, one.channel, one.recipient, one.note)
        blocked = [one for one in today if one.blocked]
        for channel in dict.fromkeys(one.channel for one in blocked):
            waiting = [one for one in blocked if one.channel == channel]
            note = next((one.note for one in waiting if one.note), "")
            yield alerts.blocked(
                self.scene, channel, note, [named(channel, one.recipient) for one in waiting]
            )
        expired = [one for one in today if one.state is State.EXPIRED]
        if expired or (late and not today):
            why = self.before or next((one.note for one in expired if one.note), "")
            missed = [named(one.channel, one.recipient) for one in expired]
            yield alerts.expired(self.scene, self.day, missed=missed, why=why)

    def _refused(self, key: str, channel: str, recipient: str, note: str) -> Alert:
        days = self._days(channel, recipient)
        return alerts.refused(self.scene, key, named(channel, recipient), note, days)

    def _days(self, channel: str, recipient: str) -> int:
        """How many editions in a row a recipient was refused."""
        count = 0
        with suppress(DigestError):
            reader = self._reader()
            for run in reader.runs(self.settings.id, limit=_RUNS_LOOKED_AT) if reader else ():
                if run.correction:
                    continue
                for row in reader.deliveries(run.digest, run.business_date) if reader else ():
                    if (row.channel, row.recipient) == (channel, recipient):
                        if row.state is not State.REFUSED:
                            return count
                        count += 1
        return count

    def _left_behind(self) -> Iterator[Alert]:
        """Editions of earlier days that a call of today gave up, because none had come in time."""
        with suppress(DigestError):
            reader = self._reader()
            for run in reader.runs(self.settings.id, limit=_RUNS_LOOKED_AT) if reader else ():
                lately = self.day - _LOOKED_BACK <= run.business_date < self.day
                if lately and not run.correction:
                    rows = reader.deliveries(run.digest, run.business_date) if reader else ()
                    missed = [row for row in rows if row.state is State.EXPIRED]
                    if missed or (run.state is RunState.EXPIRED and not rows):
                        why = next((row.note for row in missed if row.note), run.note or "")
                        names = [named(row.channel, row.recipient) for row in missed]
                        yield alerts.expired(self.scene, run.business_date, missed=names, why=why)

    # ------------------------------------------------------------------------------------ what is over

    def _over(
        self, report: Report, today: Sequence[Outcome], found: Sequence[Alert]
    ) -> Iterator[Alert]:
        """End the causes that are gone, and yield one notice for all of them; what was found is not gone."""
        if not report.outcomes:
            return
        standing = self.memory.standing(self.settings.id)
        still = {(one.cause, one.about) for one in found}
        gone = [
            one
            for one in standing
            if (one.cause, one.about) not in still and self._is_over(one, today)
        ]
        ended = self.memory.end(gone) if gone else ()
        worth_a_word = [one for one in ended if self._is_news(one)]
        if worth_a_word:
            untold = [read_alert(one) for one in worth_a_word if not one.told]
            yield alerts.recovered(self.scene, [*map(read_alert, worth_a_word)], untold)

    def _is_over(self, noted: Noted, today: Sequence[Outcome]) -> bool:
        cause = Cause(noted.cause)
        if cause is Cause.RECOVERED:
            return noted.told
        if cause is Cause.UNKNOWN:
            row = self._row(noted.about)
            return row is not None and row.state is not State.UNKNOWN
        if cause is Cause.REFUSED:
            whom = _whom(noted.about)
            served = {(one.channel, one.recipient) for one in today if one.state is State.SENT}
            return whom in served or whom not in self._readers
        served_all = bool(today) and all(one.state in _SETTLED for one in today)
        return served_all and any(one.state is State.SENT for one in today)

    def _is_news(self, noted: Noted) -> bool:
        """Whether the operator does not know yet that it is over, being the one who ended it."""
        cause = Cause(noted.cause)
        if cause is Cause.REFUSED:
            return _whom(noted.about) in self._readers
        if cause is Cause.UNKNOWN:
            row = self._row(noted.about)
            return row is not None and not (row.note or "").startswith("settled as")
        return cause is not Cause.RECOVERED

    def _row(self, key: str) -> Delivery | None:
        with suppress(DigestError):
            reader = self._reader()
            return reader.delivery(key) if reader else None
        return None

    @cached_property
    def _readers(self) -> frozenset[tuple[str, str]]:
        return frozenset(
            (name, recipient.address.casefold())
            for name, channel in self.settings.channels.items()
            for recipient in channel.recipients
        )

    # ------------------------------------------------------------------------------------------- pings

    def _ping_how_it_stands(self, report: Report, today: Sequence[Outcome], *, late: bool) -> None:
        states = {one.state for one in today}
        all_refused = states == {State.REFUSED}
        if late or all_refused or State.UNKNOWN in states or State.EXPIRED in states:
            what = "unknown" if State.UNKNOWN in states else "not sent"
            self._ping(Ping.FAIL, f"failed: {what}", once=f"fail {what}")
        elif states & set(WAITING):
            self._ping(Ping.LOG, "not everybody is served yet")
        elif not states & set(AT_WORK) and (today or report.free) and self._after_due():
            self._ping(Ping.SUCCESS, "no edition today" if report.free else "sent", once="success")

    def _after_due(self) -> bool:
        """A monitor that expects a ping from when a digest is due takes one of the night for yesterday's."""
        return self.now.clock() >= window_of(self.settings, self.day).due_at

    def _ping(self, ping: Ping, body: str, *, once: str = "") -> None:
        url, today = self.settings.heartbeat, today_of(self.settings, self.now.clock())
        if url is None or self.day != today or self.correcting:
            return
        if once and not self.memory.ping(self.settings.id, self.day, once):
            return
        problem = send_ping(url, ping, rid=self.run, body=f"{self.settings.id} {body}")
        if problem is not None:
            if once:
                self.memory.unping(self.settings.id, self.day, once)
            self.now.tell(f"warning: the heartbeat {problem}")

    # ------------------------------------------------------------------------------------- what it uses

    @property
    def over(self) -> bool:
        """Whether the time to send has passed; a person who names a date has all the time."""
        until = window_of(self.settings, self.day).until
        return self.named is None and self.now.clock() >= until

    @cached_property
    def scene(self) -> Scene:
        """What every alert of this call says alike."""
        settings, since = self.settings, self.began
        with suppress(DigestError):
            reader = self._reader()
            run = reader.run(settings.id, self.day) if reader else None
            since = run.created_at if run else since
        return Scene(
            digest=settings.id,
            config=str(settings.path),
            business_date=self.day,
            zone=settings.timezone,
            until=settings.send_until,
            readers=sum(len(channel.recipients) for channel in settings.channels.values()),
            now=self.now.clock(),
            since=since,
        )

    @cached_property
    def memory(self) -> Memory:
        """What was told and pinged before."""
        settings, clock = self.settings, self.now.clock

        def in_ledger() -> AlertBook | None:
            from digest.ledger.alerts import book_in_ledger

            return book_in_ledger(settings.ledger, clock=clock, pin=pin_of(settings))

        return Memory(in_ledger, settings.folder / BESIDE, clock)

    @cached_property
    def teller(self) -> Teller:
        """Who tells the operator."""
        settings = self.settings
        return Teller(
            title=settings.title,
            zone=settings.timezone,
            host=current_owner().host,
            ways=self._ways(),
            memory=self.memory,
            clock=self.now.clock,
            redact=self.journal.redact,
            say=self.now.tell,
            gathered=self.gathered,
        )

    def _ways(self) -> Sequence[Way]:
        if self.ways is not None:
            return self.ways
        settings = self.settings
        return ways_of(
            settings.alerts,
            settings.heartbeat,
            rid=self.run,
            clock=self.now.clock,
            zone=settings.timezone,
        )

    def _tell(self, found: Sequence[Alert]) -> None:
        """Tell these, and what an earlier run could tell nobody."""
        if not self.teller.ways:
            return
        left = [one for one in self.memory.standing(self.settings.id) if not one.told]
        self.teller.tell([*map(read_alert, left), *found])

    def _reader(self) -> Reader | None:
        return read_ledger(self.settings.ledger)

    def _why_not_yet(self) -> str:
        """Return what kept the edition back so far, as the ledger knows it."""
        with suppress(DigestError):
            reader = self._reader()
            run = reader.run(self.settings.id, self.day) if reader else None
            if run is None:
                return f"no call of `digest send` came before {self.settings.send_until:%H:%M}"
            return (run.note or "") if run.state is RunState.HELD else ""
        return ""

    def _write_metrics(self) -> None:
        path = self.settings.metrics_file
        if path is None:
            return
        try:
            write_metrics(self.settings, path, self.now.clock())
        except (OSError, LedgerError) as error:
            self.now.tell(f"warning: {path} was not written ({error})")


_SETTLED = (State.SENT, State.REFUSED, State.CANCELLED)


def named(channel: str, recipient: str) -> str:
    """Return a recipient as an operator knows it: an address says enough, a channel's id does not."""
    return recipient if "@" in recipient else f"{channel} ({recipient})"


def _whom(key: str) -> tuple[str, str]:
    """Return channel and recipient of a delivery key."""
    _, _, channel, recipient = key.split("/", 3)
    return channel, recipient.casefold()


def write_metrics(settings: Settings, path: Path, now: datetime) -> None:
    """Write the figures of the settings' ledger for Prometheus.

    Raises:
        LedgerError: the ledger cannot be read.
        OSError: the file cannot be written.
    """
    from digest.metrics import write_textfile

    text = metrics_of(settings, now)
    if text:
        write_textfile(path, text)


def metrics_of(settings: Settings, now: datetime) -> str:
    """Return the figures of the settings' ledger in Prometheus' text format, "" without a ledger.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    reader = read_ledger(settings.ledger)
    if reader is None:
        return ""
    from digest.ledger.figures import figures_of
    from digest.metrics import exposition

    return exposition(figures_of(reader), settings.channels, now)

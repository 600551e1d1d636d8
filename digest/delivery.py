"""Send once: the steps between a composed edition and every recipient having it, each its own commit.

Nothing irrevocable happens before the edition and every finished message are frozen in the ledger;
after that each recipient is claimed, offered, committed and recorded on its own. The ledger alone
decides who sends; any number of callers may run this at any time.
"""

from __future__ import annotations

import time as clocks
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, cast
from zoneinfo import ZoneInfo

from digest.addresses import ascii_address, masked
from digest.channels import (
    Channel,
    Completes,
    CorrectsInPlace,
    Reconciles,
    Remembers,
    Repeatable,
    Session,
)
from digest.errors import (
    ConfigError,
    ConnectorError,
    DeliveryError,
    LedgerError,
    OutcomeUnknownError,
    Reason,
)
from digest.ledger import (
    AT_WORK,
    WAITING,
    Claim,
    Decision,
    Delivery,
    Planned,
    Run,
    RunState,
    State,
    delivery_key,
)
from digest.model import Edition, Envelope, Message, Recipient

if TYPE_CHECKING:
    from digest.ledger.store import Ledger  # brings SQLAlchemy, slow to import

# What `send` announces through its hook, in this order; those from "claimed" on once per recipient.
STEPS = (
    "recovered",
    "run opened",
    "composed",
    "edition frozen",
    "rendered",
    "messages frozen",
    "claimed",
    "body sent",
    "committed",
    "replied",
    "recorded",
)
# What `send` lets be heard for a journal: one word for each commit that a person may want to read about.
EVENTS = (
    "planned",
    "collected",
    "rendered",
    "claimed",
    "committing",
    "sent",
    "refused",
    "deferred",
    "unknown",
    "reaped",
)
_HEARD = {State.SENT: "sent", State.REFUSED: "refused", State.UNKNOWN: "unknown"}
PATIENCE = timedelta(minutes=20)
_HARD_LIMIT = 420.0  # seconds from claim to the end of a message; a minute less than the lease
_BACK_OFF = (1, 5, 15, 30)  # minutes; greylisting wants 5 or more
_HOLD_BACK_OFF = (1, 2, 5, 10, 15)  # minutes between two questions to a source
# What asking again cannot mend: a login may get locked by it, a quota only gets smaller, and about a fall
# a person decides.
_NOT_ASKED_AGAIN = (Reason.AUTH, Reason.QUOTA, Reason.DROP)
# When to look for a message whose outcome is unknown, after the attempt.
_LOOKS = (timedelta(seconds=30), timedelta(minutes=2), timedelta(minutes=10))
_LONGEST_ATTEMPT = timedelta(seconds=90)  # of a channel that can look
_LONGEST_WAIT = (
    30  # seconds that this call waits when a channel asks for them; the next call waits longer
)
_NEVER = datetime.max.replace(tzinfo=UTC)
_RECORD_TRIES = 3
_FAILED = (*WAITING, State.REFUSED, State.EXPIRED)


# ---------------------------------------------------------------------------------------- the result


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one recipient; `text` is the line a person reads.

    Attributes:
        key: the delivery key, "" of a test. note: the other side's last words.
        blocked: its channel takes nothing from anybody before a person has mended it.
    """

    channel: str
    recipient: str
    state: State
    text: str
    key: str = ""
    note: str = ""
    blocked: bool = False


@dataclass(frozen=True, slots=True)
class SendResult:
    """What a call did.

    Attributes:
        exit_code: 0 all sent or in other hands, 4 somebody was not served, 5 an outcome is unknown.
        edition: the frozen edition, None when the call ended before there was one.
        note: why the run ended as it did, None when there is nothing to say.
    """

    exit_code: int
    outcomes: tuple[Outcome, ...]
    edition: Edition | None
    note: str | None = None

    @property
    def lines(self) -> tuple[str, ...]:
        """One line per recipient."""
        return tuple(outcome.text for outcome in self.outcomes)


# ------------------------------------------------------------------------------------------- sending

Packer = Callable[..., bytes]


@dataclass(frozen=True, slots=True)
class _Doubt:
    since: datetime
    looks: tuple[datetime, ...]


@dataclass(frozen=True, kw_only=True)
class _Job:
    digest_id: str
    business_date: date
    correction: int
    channels: Mapping[str, Channel]
    serves: Callable[[str, Recipient], bool]
    packers: Mapping[str, Packer]
    ledger: Ledger
    clock: Callable[[], datetime]
    sleep: Callable[[float], None]
    monotonic: Callable[[], float]
    until: datetime | None
    give_up: datetime  # waits for nothing later than this
    closes: datetime  # starts nothing later than this
    stop: Callable[[], bool]
    hook: Callable[[str], None]
    tell: Callable[[str], None]
    hear: Callable[[str, Delivery | None], None]
    # Channels that failed for everybody, and when they may be tried again.
    paused: dict[str, datetime] = field(default_factory=dict)
    # Those among them that a person has to mend.
    blocked: set[str] = field(default_factory=set)
    # Unknown outcomes that a channel can look up: since when, and the instants of the looks to come.
    doubts: dict[str, _Doubt] = field(default_factory=dict)
    # Unknown outcomes that this call has tried once more.
    repeated: set[str] = field(default_factory=set)
    # What a recipient's line says besides the outcome.
    remarks: dict[str, str] = field(default_factory=dict)
    # What this call has frozen and not yet offered, by its hash.
    frozen: dict[str, bytes] = field(default_factory=dict)

    def ends(self) -> bool:
        """Whether nothing more may be started in this call."""
        return self.stop() or self.clock() > self.closes or not self.in_time(self.clock())

    def may_wait_for(self, at: datetime) -> bool:
        """Whether something due at an instant belongs to this call."""
        return at <= self.give_up and self.in_time(at)

    def in_time(self, at: datetime) -> bool:
        return self.until is None or at < self.until

    def deliveries(self) -> tuple[Delivery, ...]:
        return self.ledger.deliveries(
            self.digest_id, self.business_date, correction=self.correction
        )

    def envelope(self, row: Delivery) -> Envelope:
        """Return a delivery with its frozen bytes: those at hand, if they have the hash of the ledger's."""
        content = self.frozen.pop(row.message, None)
        return Envelope(row.key, row.recipient, content or self.ledger.message(row))

    def mark(self, state: RunState, note: str | None = None) -> None:
        self.ledger.mark_before_messages(
            self.digest_id, self.business_date, state, note, correction=self.correction
        )


def send(
    *,
    digest_id: str,
    business_date: date,
    channels: Mapping[str, Channel],
    compose: Callable[[Edition | None], Edition],
    render: Callable[[Edition, Recipient], Message],
    packers: Mapping[str, Packer],
    ledger: Ledger,
    clock: Callable[[], datetime],
    sleep: Callable[[float], None],
    to_json: Callable[[Edition], str],
    from_json: Callable[[str], Edition],
    serves: Callable[[str, Recipient], bool] = lambda _channel, _recipient: True,
    correction: int = 0,
    until: datetime | None = None,
    named: bool = False,
    patience: timedelta = PATIENCE,
    monotonic: Callable[[], float] = clocks.monotonic,
    stop: Callable[[], bool] = lambda: False,
    hook: Callable[[str], None] = lambda _: None,
    tell: Callable[[str], None] = lambda _: None,
    hear: Callable[[str, Delivery | None], None] = lambda _event, _row: None,
) -> SendResult:
    """Serve every recipient who has not been served; call it as often as you like.

    Args:
        digest_id: id of the digest.
        business_date: the edition's date; whether it is due is the caller's question (`due.due`).
        channels: by the name that stands in the settings.
        compose: makes the edition, given the last one really sent; called only when none is frozen.
        render: makes the message for a recipient; recipients with the same wishes share one.
        packers: `render.PACKERS`.
        ledger: opened with the same clock.
        clock: tells the time, aware.
        sleep: waits so many seconds before a retry.
        to_json: writes an edition for the ledger.
        from_json: reads it back.
        serves: answers False for a recipient of a channel who gets no edition that day; nothing is planned
            then.
        correction: 0 for the edition of the day, n for its nth correction, which an operator asks for.
        until: no message is started after this instant, and what waits then expires.
        named: a person named the date: it may lie before the last one sent, and what expired
            waits again.
        patience: how long this call retries; whatever it is, no message is started after `PATIENCE`.
        monotonic: clock of the lease's hard limit.
        stop: answers True once the process has been asked to end.
        hook: hears the name of each step just done.
        tell: hears what a person who waits should know.
        hear: hears each of EVENTS as soon as it is in the ledger, with the delivery as it is then.

    Raises:
        ConnectorError, ConfigError: from `compose` and `render`; nobody has been mailed, and the run is
            held with the reason. A source that may answer later was asked again as long as the call's time
            allowed.
        LedgerError: the ledger cannot be used, or the date lies before the last edition sent.
    """
    job = _Job(
        digest_id=digest_id,
        business_date=business_date,
        correction=correction,
        channels=channels,
        serves=serves,
        packers=packers,
        ledger=ledger,
        clock=clock,
        sleep=sleep,
        monotonic=monotonic,
        until=until,
        give_up=clock() + patience,
        closes=clock() + max(patience, PATIENCE),
        stop=stop,
        hook=hook,
        tell=tell,
        hear=hear,
    )
    with ledger.connected():
        run = _opened(job, named=named)
    edition = _frozen_edition(job, run, compose, to_json, from_json)
    zone = edition.scorecard.period.timezone
    with ledger.connected():
        before = {one.key: one for one in job.deliveries()}
        keys = _freeze_messages(job, lambda recipient: render(edition, recipient), zone, before)
        planned = job.deliveries()
    rows = _serve(job, planned)
    return SendResult(*_close(job, rows, keys, before, zone), edition)


def expire(*, digest_id: str, business_date: date, ledger: Ledger, zone: str) -> SendResult:
    """Give up on what was not sent in time: for a call after `send_until`.

    The days are covered by the next edition, which starts at the last one really sent.
    """
    ledger.recover()
    ledger.expire_before(digest_id, business_date)
    run = ledger.open_run(digest_id, business_date)
    ledger.expire(digest_id, business_date)
    rows = ledger.deliveries(digest_id, business_date)
    late = not rows or any(row.state is State.EXPIRED for row in rows)
    note = run.note
    if late and run.state is not RunState.EXPIRED:
        held = run.state is RunState.HELD
        note = f"held until send_until: {run.note}" if held else "send_until has passed"
        ledger.mark_run(digest_id, business_date, RunState.EXPIRED, note)
    outcomes = tuple(_outcome(row, row, zone) for row in rows)
    return SendResult(max(_exit_code(outcomes), 4 if late else 0), outcomes, None, note)


def skip(*, digest_id: str, business_date: date, ledger: Ledger, reason: str) -> None:
    """Write down that a date has no edition, and why; a run that has begun stays as it is."""
    run = ledger.open_run(digest_id, business_date)
    if run.state is RunState.PLANNED:
        ledger.mark_before_messages(digest_id, business_date, RunState.SKIPPED, reason)


# Their runs and keys have a name space of their own: a digest's id cannot hold this.
NOTICES = ":held"


def send_notice(
    *,
    digest_id: str,
    business_date: date,
    channels: Mapping[str, Channel],
    render: Callable[[Recipient], Message],
    packers: Mapping[str, Packer],
    ledger: Ledger,
    clock: Callable[[], datetime],
    sleep: Callable[[float], None],
    zone: str,
    serves: Callable[[str, Recipient], bool] = lambda _channel, _recipient: True,
    until: datetime | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> SendResult:
    """Tell the recipients once that the edition of a date is held; tried once each, and never again.

    Nothing of it touches the edition that may follow: not its run, its keys, nor who has got it.

    Raises:
        LedgerError: the ledger cannot be used.
    """
    job = _Job(
        digest_id=f"{digest_id}{NOTICES}",
        business_date=business_date,
        correction=0,
        channels=channels,
        serves=serves,
        packers=packers,
        ledger=ledger,
        clock=clock,
        sleep=sleep,
        monotonic=clocks.monotonic,
        until=until,
        give_up=clock(),
        closes=clock() + PATIENCE,
        stop=stop,
        hook=lambda _: None,
        tell=lambda _: None,
        hear=lambda _event, _row: None,
    )
    ledger.open_run(job.digest_id, business_date)
    before = {one.key: one for one in job.deliveries()}
    keys = _freeze_messages(job, render, zone, before)
    _pass(job, [row for row in job.deliveries() if row.state in WAITING])
    ledger.expire(job.digest_id, business_date)
    return SendResult(*_close(job, job.deliveries(), keys, before, zone), None)


def test_send(
    *,
    edition: Edition,
    channels: Mapping[str, Channel],
    recipient: Recipient,
    render: Callable[[Edition, Recipient], Message],
    packers: Mapping[str, Packer],
    clock: Callable[[], datetime],
) -> SendResult:
    """Send an edition to one address through each channel, marked [TEST].

    There is no ledger here: a test can neither stop nor replace a real delivery.
    """
    message = render(edition, recipient)
    outcomes = []
    for name, channel in channels.items():
        now = clock()
        key = f"test/{edition.digest}/{edition.business_date}/{name}/{recipient.address}/{now.isoformat()}"
        zone = edition.scorecard.period.timezone
        content = _packed(
            packers, channel, message, recipient, zone=zone, key=key, now=now, test=True
        )
        state, words = State.SENT, ""
        try:
            with channel.session() as session:
                envelope = Envelope(key, recipient.address, content)
                words = session.deliver(envelope, commit=lambda: True)
        except OutcomeUnknownError as error:
            state, words = State.UNKNOWN, str(error)
        except DeliveryError as error:
            # Nobody tries a test again by itself; the word says that it may be worth it.
            state = State.REFUSED if error.permanent else State.DEFERRED
            words = str(error)
        shown = masked(recipient.address)
        outcomes.append(
            Outcome(name, recipient.address, state, f"{name} {shown}: test {state} ({words})")
        )
    return SendResult(_exit_code(outcomes), tuple(outcomes), edition)


# ------------------------------------------------------------------------------- before any message


def _opened(job: _Job, *, named: bool) -> Run:
    """Take up what was left, end what is over, and return the run of the day."""
    for left in job.ledger.recover():
        job.hear("reaped", left)
    job.hook("recovered")
    day = (job.digest_id, job.business_date)
    if not named:
        _refuse_the_past(job)
        job.ledger.expire_before(*day)
    run = job.ledger.open_run(*day, correction=job.correction)
    if named and run.state is not RunState.PLANNED:
        job.ledger.reopen(*day, correction=job.correction)
    job.hear("planned", None)
    job.hook("run opened")
    return run


def _refuse_the_past(job: _Job) -> None:
    last = job.ledger.last_sent(job.digest_id)
    if last is not None and job.business_date < last:
        raise LedgerError(
            f"{job.digest_id}: the edition of {last} was already sent, {job.business_date} is earlier",
            remedy="check this machine's clock, or name the date with --date",
        )


def _frozen_edition(
    job: _Job,
    run: Run,
    compose: Callable[[Edition | None], Edition],
    to_json: Callable[[Edition], str],
    from_json: Callable[[str], Edition],
) -> Edition:
    """Return the edition of the day: the stored one, or else a new one, stored before it is used."""
    attempts = 0
    number = {"correction": job.correction}
    while True:
        with job.ledger.connected():
            # Looked up anew after each wait: another process may have had more luck meanwhile.
            if attempts or run.edition is not None:
                frozen = job.ledger.edition(job.digest_id, job.business_date, **number)
                if frozen is not None:
                    break
            previous = job.ledger.previous_edition(job.digest_id, job.business_date)
            job.mark(RunState.COLLECTING)
        attempts += 1
        try:
            with _held_on_failure(job):
                edition = compose(from_json(previous) if previous else None)
        except ConnectorError as error:
            if not _asks_again(job, error, attempts):
                raise
            continue
        job.hook("composed")
        frozen = job.ledger.freeze_edition(
            job.digest_id, job.business_date, to_json(edition), **number
        )
        job.hear("collected", None)
        job.hook("edition frozen")
        break
    # Always through JSON, so that the first attempt and every later one render the same.
    return from_json(frozen)


@contextmanager
def _held_on_failure(job: _Job) -> Iterator[None]:
    """Leave the reason with the run when something keeps its edition back; a later call tries again."""
    try:
        yield
    except (ConnectorError, ConfigError) as error:
        job.mark(RunState.HELD, str(error))
        raise
    except Exception as error:
        # Its words may hold anything; they belong to whoever mends the bug.
        job.mark(RunState.HELD, f"a bug: {type(error).__name__}")
        raise


def _asks_again(job: _Job, error: ConnectorError, attempts: int) -> bool:
    """Wait until the source may be asked again; False when that is for a later call."""
    at = job.clock() + hold_back_off(attempts)
    if error.reason in _NOT_ASKED_AGAIN or job.ends() or not job.may_wait_for(at):
        return False
    job.tell(f"held: {error}; next try {at:%H:%M} UTC")
    job.sleep((at - job.clock()).total_seconds())
    return not job.ends()


def hold_back_off(attempts: int) -> timedelta:
    """Return how long to wait after a source has failed so many times."""
    return timedelta(minutes=_HOLD_BACK_OFF[min(attempts, len(_HOLD_BACK_OFF)) - 1])


def _freeze_messages(
    job: _Job,
    render: Callable[[Recipient], Message],
    zone: str,
    known: Mapping[str, Delivery],
) -> frozenset[str]:
    """Render and store the messages of new recipients, all before the first one is sent."""
    wanted = {
        delivery_key(
            job.digest_id, job.business_date, name, normalised(recipient), job.correction
        ): (name, recipient)
        for name, channel in job.channels.items()
        for recipient in channel.recipients
        if job.serves(name, recipient)
    }
    now = job.clock()
    rendered: dict[tuple[str | None, tuple[str, ...]], Message] = {}
    planned = []
    for key, (name, recipient) in wanted.items():
        if key in known:
            continue
        wishes = (recipient.language, recipient.segments)
        if wishes not in rendered:
            with _held_on_failure(job):
                rendered[wishes] = render(recipient)
        channel = job.channels[name]
        message = rendered[wishes]
        content = _packed(job.packers, channel, message, recipient, zone=zone, key=key, now=now)
        again = isinstance(channel, Repeatable) and channel.repeatable
        planned.append(Planned(key, name, normalised(recipient), content, again))
    if planned:
        job.mark(RunState.RENDERED)
    job.hook("rendered")
    run = (job.digest_id, job.business_date)
    if planned:
        job.ledger.plan(*run, planned, correction=job.correction)
        job.frozen.update((one.sha256, one.content) for one in planned)
        job.hear("rendered", None)
        job.hook("messages frozen")
    if known.keys() - wanted.keys():
        job.ledger.cancel_except(*run, tuple(wanted), correction=job.correction)
    if any(known[key].state is State.CANCELLED for key in known.keys() & wanted.keys()):
        job.ledger.restore(*run, tuple(wanted), correction=job.correction)
    return frozenset(wanted)


def _packed(
    packers: Mapping[str, Packer],
    channel: Channel,
    message: Message,
    recipient: Recipient,
    *,
    zone: str,
    key: str,
    now: datetime,
    test: bool = False,
) -> bytes:
    headers = replace(channel.headers, timezone=zone) if channel.headers else None
    pack = packers[channel.form]
    return pack(message, recipient=recipient, headers=headers, key=key, sent_at=now, test=test)


def normalised(recipient: Recipient) -> str:
    """Return a recipient's address as it stands in keys and in the ledger."""
    return (
        ascii_address(recipient.address) if "@" in recipient.address else recipient.address.strip()
    )


# ------------------------------------------------------------------------------ one pass, and retries


def _serve(job: _Job, rows: Sequence[Delivery]) -> Sequence[Delivery]:
    """Serve whoever waits and look for what is unknown; wait for what this call may still do.

    Returns:
        The deliveries as they are then.
    """
    _doubt_what_is_left(job, rows)
    while not job.ends():
        rows = _repeat_what_is_remembered(job, rows)
        waiting, doubtful = _waiting(job, rows), _doubtful(job, rows)
        if not waiting and not doubtful:
            break
        at = min((*waiting.values(), *doubtful.values()))
        if at > job.clock():
            if not job.may_wait_for(at):
                break
            if waiting:
                job.tell(f"{len(waiting)} not served yet, next attempt {at:%H:%M} UTC")
            if doubtful:
                job.tell(f"{len(doubtful)} of unknown outcome, next look {at:%H:%M} UTC")
            job.sleep((at - job.clock()).total_seconds())
        else:
            _look(job, [row for row, when in doubtful.items() if when <= job.clock()])
            _pass(job, [row for row, when in waiting.items() if when <= job.clock()])
        rows = job.deliveries()
    return rows


def _waiting(job: _Job, rows: Sequence[Delivery]) -> dict[Delivery, datetime]:
    """Return the deliveries that this call may try, each with the instant from which it may."""
    now = job.clock()
    return {
        row: max(row.next_at or now, job.paused.get(row.channel, now))
        for row in rows
        if row.state in WAITING
        and row.channel in job.channels
        and job.paused.get(row.channel) != _NEVER
    }


def _pass(job: _Job, rows: Sequence[Delivery]) -> None:
    for name, channel in job.channels.items():
        mine = [row for row in rows if row.channel == name]
        if mine:
            with channel.session() as session, job.ledger.connected():
                _serve_in_turn(job, session, mine)


def _serve_in_turn(job: _Job, session: Session, rows: Sequence[Delivery]) -> None:
    """Offer each message of a channel; with one's success the next delivery is claimed."""
    taken: _Taken | None = None
    for row, following in zip(rows, (*rows[1:], None), strict=True):
        if job.ends() or job.paused.get(row.channel, job.clock()) > job.clock():
            break
        if taken is not None and job.monotonic() >= taken.limit:
            _give_back(job, taken)
            taken = None
        taken = _attempt(job, session, row, taken, following)
    if taken is not None:
        _give_back(job, taken)


def _give_back(job: _Job, taken: _Taken) -> None:
    with suppress(LedgerError):  # its lease ends without it too
        job.ledger.record(taken.claim, State.PENDING, "stopped before it was begun")


# ---------------------------------------------------------------------------------- unknown outcomes


def _repeat_what_is_remembered(job: _Job, rows: Sequence[Delivery]) -> Sequence[Delivery]:
    """Let an unknown outcome be tried once more, in this call, where the other side knows it again.

    Its memory is counted from the first attempt: the one that may have been taken.

    Returns:
        The deliveries as they are then.
    """
    repeated = len(job.repeated)
    for row in rows:
        channel = job.channels.get(row.channel)
        if row.state is not State.UNKNOWN or not isinstance(channel, Remembers):
            continue
        period = channel.remembers(job.envelope(row))
        if row.key in job.repeated or period is None:
            continue
        run = (job.digest_id, job.business_date)
        tries = job.ledger.attempts(*run, correction=job.correction)
        first = min((one.began_at for one in tries if one.key == row.key), default=_attempted(row))
        if job.clock() + timedelta(seconds=_HARD_LIMIT) <= first + period:
            job.repeated.add(row.key)
            with suppress(LedgerError):  # another process may still finish it
                job.ledger.resolve(
                    row.key, Decision.RESEND, by="because its channel knows it again"
                )
    return rows if len(job.repeated) == repeated else job.deliveries()


def _doubt_what_is_left(job: _Job, rows: Sequence[Delivery]) -> None:
    """Take up the unknown outcomes of earlier calls that their channel can look up."""
    for row in rows:
        channel = job.channels.get(row.channel)
        if row.state is not State.UNKNOWN or channel is None:
            continue
        with channel.session() as session:
            if isinstance(session, Reconciles):
                _doubt(job, row.key, _attempted(row))


def _attempted(row: Delivery) -> datetime:
    """Return the instant of an unknown delivery's attempt, rather too early than too late."""
    from digest.ledger.store import COMMIT_LEASE  # brings SQLAlchemy, slow to import

    if row.lease_until is not None:  # its process ended in the middle
        return row.lease_until - COMMIT_LEASE
    return row.changed_at - _LONGEST_ATTEMPT


def _doubt(job: _Job, key: str, since: datetime) -> None:
    """Plan the looks to come; an old doubt is worth one look in each call."""
    now = job.clock()
    coming = tuple(since + after for after in _LOOKS if since + after > now)
    job.doubts[key] = _Doubt(since, coming if len(coming) == len(_LOOKS) else (now, *coming))


def _doubtful(job: _Job, rows: Sequence[Delivery]) -> dict[Delivery, datetime]:
    return {
        row: job.doubts[row.key].looks[0]
        for row in rows
        if row.state is State.UNKNOWN and row.key in job.doubts and job.doubts[row.key].looks
    }


def _look(job: _Job, rows: Sequence[Delivery]) -> None:
    for row in rows:
        doubt = job.doubts[row.key]
        job.doubts[row.key] = replace(doubt, looks=doubt.looks[1:])
        envelope = job.envelope(row)
        with job.channels[row.channel].session() as session:
            try:
                # Only a session that can look leaves a doubt behind.
                receipt = cast("Reconciles", session).find(envelope, since=doubt.since)
            except DeliveryError as error:
                job.remarks[row.key] = f"could not look it up: {error}"
                if error.permanent:
                    job.doubts[row.key] = replace(doubt, looks=())
                continue
            job.remarks.pop(row.key, None)
            if receipt is not None:
                _record(job, row, Claim(row.key, row.generation), State.SENT, receipt)
                _complete(job, session, envelope, receipt)
                _mark_what_was_corrected(job, session, row)


def _complete(job: _Job, session: Session, envelope: Envelope, receipt: str) -> None:
    """Let a channel add what never decides about the delivery; it is written down as sent already."""
    if isinstance(session, Completes) and not job.correction:
        warning = session.complete(envelope, receipt)
        if warning is not None:
            job.remarks[envelope.key] = warning


def _mark_what_was_corrected(job: _Job, session: Session, row: Delivery) -> None:
    """Let a channel mark the edition of a correction that was only found later."""
    edition = _corrected(job, session, row)
    if edition is None:
        return
    original, receipt = edition
    # Only a session that corrects in place has an edition to mark.
    warning = cast("CorrectsInPlace", session).mark_corrected(original=original, receipt=receipt)
    if warning is not None:
        job.remarks[row.key] = warning


def _corrected(job: _Job, session: Session, row: Delivery) -> tuple[Envelope, str] | None:
    """Return the edition that a correction is about, and what its delivery returned, where it stands."""
    if not (job.correction and isinstance(session, CorrectsInPlace)):
        return None
    key = delivery_key(job.digest_id, job.business_date, row.channel, row.recipient)
    first = job.ledger.delivery(key)
    if first is None:
        return None
    return job.envelope(first), first.note or ""


# -------------------------------------------------------------------------------------- one delivery


@dataclass
class _Gate:
    """The callback between body and final dot: lets it pass only while the delivery is ours."""

    job: _Job
    row: Delivery
    claim: Claim
    limit: float
    committed: bool = False
    fenced_off: bool = False
    closed: str | None = None

    def __call__(self) -> bool:
        job = self.job
        job.hook("body sent")
        if job.stop():
            self.closed = "stopped before the end of the message"
            return False
        self.committed = job.ledger.commit(self.claim)
        self.fenced_off = not self.committed
        if self.committed:
            job.hear("committing", replace(self.row, state=State.COMMITTING))
            job.hook("committed")
        # A pause of the machine since the claim must not lead to a late dot.
        if job.monotonic() >= self.limit:
            self.closed = "took too long before the end of the message"
        return self.committed and self.closed is None


@dataclass(frozen=True, slots=True)
class _Taken:
    """A delivery that is ours, and until when on the monotonic clock its message may be ended."""

    claim: Claim
    limit: float


def _attempt(
    job: _Job,
    session: Session,
    row: Delivery,
    taken: _Taken | None,
    following: Delivery | None,
) -> _Taken | None:
    """Claim a delivery, hand its frozen bytes over, and record what came of it.

    Returns:
        The following delivery, where it was claimed in the commit that recorded this one as sent.
    """
    taken = taken or _claimed(job, row)
    if taken is None:
        return None  # another process has it
    claim = taken.claim
    row = replace(row, state=State.CLAIMED, attempts=row.attempts + 1)
    job.hear("claimed", row)
    job.hook("claimed")
    gate = _Gate(job, row, claim, taken.limit)
    began = job.clock()
    next_at = began + back_off(row.attempts)
    try:
        envelope = job.envelope(row)
        words = _handed_over(job, session, row, envelope, gate)
    except OutcomeUnknownError as error:
        _record(job, row, claim, State.UNKNOWN, str(error))
        if isinstance(session, Reconciles):
            _doubt(job, row.key, began)
    except DeliveryError as error:
        if gate.fenced_off:
            return None  # it is no longer ours to write about
        if gate.closed:
            # A person who stopped the run may start it again at once.
            _record(
                job, row, claim, State.PENDING, gate.closed, next_at=None if job.stop() else next_at
            )
        else:
            _record_failure(job, row, claim, error, next_at)
    except BaseException:
        if not gate.committed:
            with suppress(LedgerError):
                job.ledger.record(claim, State.PENDING, "interrupted before the end of the message")
        raise
    else:
        job.hook("replied")
        coming = _record(job, row, claim, State.SENT, words, following=following)
        job.hook("recorded")
        _complete(job, session, envelope, words)
        return coming
    return None


def _claimed(job: _Job, row: Delivery) -> _Taken | None:
    limit = job.monotonic() + _HARD_LIMIT
    claim = job.ledger.claim(row.key)
    return None if claim is None else _Taken(claim, limit)


def _handed_over(
    job: _Job, session: Session, row: Delivery, envelope: Envelope, gate: _Gate
) -> str:
    """Deliver a message, a correction in its edition's place where the channel can."""
    edition = _corrected(job, session, row)
    if edition is None:
        return session.deliver(envelope, commit=gate)
    original, receipt = edition
    return cast("CorrectsInPlace", session).deliver_correction(
        envelope, original=original, receipt=receipt, commit=gate
    )


def _record_failure(
    job: _Job, row: Delivery, claim: Claim, error: DeliveryError, next_at: datetime
) -> None:
    later = False
    if error.retry_after is not None:
        next_at = job.clock() + timedelta(seconds=max(error.retry_after, 1))
        later = error.retry_after > _LONGEST_WAIT
    if error.concerns_all:
        job.paused[row.channel] = _NEVER if error.permanent or later else next_at
        if error.permanent:
            job.blocked.add(row.channel)
        _record(
            job, row, claim, State.PENDING, str(error), next_at=None if error.permanent else next_at
        )
    elif error.permanent:
        _record(job, row, claim, State.REFUSED, str(error))
    else:
        _record(job, row, claim, State.DEFERRED, str(error), next_at=next_at)


def _record(
    job: _Job,
    row: Delivery,
    claim: Claim,
    state: State,
    words: str,
    *,
    next_at: datetime | None = None,
    following: Delivery | None = None,
) -> _Taken | None:
    """Write an outcome down; whatever happens here, nothing is sent again because of it.

    Returns:
        `following`, claimed in the same commit; None where there is none or another process has it.
    """
    left = _RECORD_TRIES
    if job.ends():
        following = None
    while True:
        limit = job.monotonic() + _HARD_LIMIT
        coming: Claim | None = None
        try:
            if following is None:
                ours = job.ledger.record(claim, state, words, next_at=next_at)
            else:
                ours, coming = job.ledger.record_and_claim(claim, state, words, following.key)
        except LedgerError as error:
            left -= 1
            following = None  # the outcome alone needs less room
            if not left:
                raise LedgerError(
                    f"delivery {claim.key} is {state} ({words}) but this could not be written: {error}",
                    remedy="it stays unknown; settle it with `digest resolve`",
                    passing=True,
                ) from error
            job.sleep(1)
        else:
            if ours:
                done = replace(row, state=state, note=words, next_at=next_at)
                job.hear(_HEARD.get(state, "deferred"), done)
            return None if coming is None else _Taken(coming, limit)


def back_off(attempts: int) -> timedelta:
    """Return how long to wait after so many attempts."""
    return timedelta(minutes=_BACK_OFF[min(attempts, len(_BACK_OFF)) - 1])


# ------------------------------------------------------------------------------------ what it came to


def _close(
    job: _Job,
    found: Sequence[Delivery],
    keys: frozenset[str],
    before: Mapping[str, Delivery],
    zone: str,
) -> tuple[int, tuple[Outcome, ...]]:
    """Settle the run as far as it is over; return the exit code and what became of everybody."""
    if not job.in_time(job.clock()):
        job.ledger.expire(job.digest_id, job.business_date, correction=job.correction)
        found = job.deliveries()
    rows = [row for row in found if row.key in keys or row.state is State.UNKNOWN]
    # Of earlier days too, in every call until a person has settled them.
    rows += [
        row
        for row in job.ledger.unknown(job.digest_id)
        if _run_of(row) != (job.business_date, job.correction)
    ]
    if not any(row.state in (*WAITING, *AT_WORK) for row in rows):
        job.ledger.mark_run(
            job.digest_id, job.business_date, RunState.DONE, correction=job.correction
        )
    outcomes = tuple(
        replace(
            _outcome(row, before.get(row.key), zone, job.remarks.get(row.key, "")),
            blocked=row.state in WAITING and row.channel in job.blocked,
        )
        for row in rows
    )
    return _exit_code(outcomes), outcomes


def _run_of(row: Delivery) -> tuple[date, int]:
    return row.business_date, row.correction


def _exit_code(outcomes: Sequence[Outcome]) -> int:
    states = {outcome.state for outcome in outcomes}
    if State.UNKNOWN in states:
        return OutcomeUnknownError.exit_code
    return DeliveryError.exit_code if states & set(_FAILED) else 0


def _outcome(row: Delivery, before: Delivery | None, zone: str, remark: str = "") -> Outcome:
    words = _words(row, before, ZoneInfo(zone)) + (f"; {remark}" if remark else "")
    text = f"{row.channel} {masked(row.recipient)}: {words}"
    return Outcome(row.channel, row.recipient, row.state, text, row.key, row.note or "")


def _words(row: Delivery, before: Delivery | None, zone: ZoneInfo) -> str:
    host = row.owner.host if row.owner else "an operator"
    if row.state is State.SENT and row.sent_at:
        at = f"{row.sent_at.astimezone(zone):%H:%M}"
        earlier = before is not None and before.state is State.SENT
        return f"already sent {at} by {host}" if earlier else f"sent {at} ({row.note})"
    if row.state in AT_WORK and row.lease_until:
        return f"in progress on {host}, lease until {row.lease_until.astimezone(zone):%H:%M}"
    if row.state in WAITING:
        again = f", next attempt from {row.next_at.astimezone(zone):%H:%M}" if row.next_at else ""
        return f"not sent yet{again} ({row.note or 'not tried'})"
    if row.state is State.UNKNOWN:
        return f"outcome unknown ({row.note}); settle it with `digest resolve {row.key}`"
    return f"{row.state} ({row.note})" if row.note else str(row.state)

"""One digest from settings to sent: what `digest send`, the demo and later the schedule call.

Looking (`edition_to_show`, `message_for`) reads the ledger and writes nothing; `send_digest` is the only
way to a recipient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from digest import delivery
from digest.addresses import masked
from digest.clocks import REFUSE_SKEW, WARN_SKEW
from digest.compose import Memory, compose, due_on, facts_of, measured_deals
from digest.connectors import Metered, TellsTime
from digest.due import Standing, days_off, due, today_of, why_skipped
from digest.editions import drop_since, history_serves, without_news
from digest.errors import ConfigError, ConnectorError, LedgerError, Reason
from digest.ledger import WAITING, RunState, State, open_ledger, read_ledger
from digest.model import Period, month_start
from digest.snapshot import (
    counts_from_json,
    counts_to_json,
    edition_from_json,
    edition_to_json,
    fingerprint,
)

if TYPE_CHECKING:
    from digest.delivery import Outcome, SendResult
    from digest.editions import Due
    from digest.ledger import Delivery
    from digest.ledger.histories import History
    from digest.ledger.store import Ledger, Reader
    from digest.model import Edition, Finding, LeadCounts, Message, Recipient
    from digest.settings import Settings


# The last call before send_until sends without what is missing, or with the last figures; calls come every
# quarter of an hour.
LAST_CALL = timedelta(minutes=15)


@dataclass(frozen=True, kw_only=True)
class Now:
    """The clock and how to wait, handed down by an entry point.

    Attributes:
        patience: how long a call waits for what may be tried again.
    """

    clock: Callable[[], datetime]
    sleep: Callable[[float], None]
    stop: Callable[[], bool] = lambda: False
    tell: Callable[[str], None] = lambda _text: None
    hear: Callable[[str, Delivery | None], None] = lambda _event, _row: None
    patience: timedelta = delivery.PATIENCE


@dataclass(frozen=True, slots=True)
class Report:
    """What one call came to: an exit code and the lines a person reads.

    Attributes:
        happened: something was sent or failed in this call; `--quiet` prints only then.
        free: the date has no edition for anybody.
    """

    exit_code: int
    lines: tuple[str, ...]
    happened: bool
    edition: Edition | None = None
    outcomes: tuple[Outcome, ...] = ()
    free: bool = False


# ------------------------------------------------------------------------------------------ looking


def memory_of(settings: Settings, before: date) -> Memory:
    """Return what earlier editions said, without creating or changing a ledger."""
    reader = read_ledger(settings.ledger)
    if reader is None:
        return Memory()

    return Memory(
        last_told(settings, reader, before),
        _sent_on(settings, reader),
        _kept_history(settings, reader),
    )


def last_told(settings: Settings, reader: Reader, before: date) -> Edition | None:
    """Return the last edition sent that had figures of its own: what followed it is not told yet."""
    while (text := reader.previous_edition(settings.id, before)) is not None:
        edition = edition_from_json(text)
        if not edition.stale:
            return edition
        before = edition.business_date
    return None


def _sent_on(settings: Settings, reader: Reader) -> Callable[[date], Edition | None]:
    def sent_on(day: date) -> Edition | None:
        sent = reader.sent_editions(settings.id, since=day, before=day + timedelta(days=1))
        return edition_from_json(sent[0]) if sent else None

    return sent_on


HistoryOf = Callable[["Due", "Period", Callable[[], "LeadCounts"]], "LeadCounts"]


def _kept_history(
    settings: Settings, reader: Reader, keep: Callable[[History], None] = lambda _: None
) -> HistoryOf:
    """Return what answers with the closed months that are kept, and keeps those that it had to read.

    Only where the source's calls are limited: others are read daily, which finds late entries a few days
    earlier.
    """

    def history(due: Due, period: Period, read: Callable[[], LeadCounts]) -> LeadCounts:
        from digest.ledger.histories import History

        if not isinstance(settings.connector, Metered):
            return read()
        asked = fingerprint(repr((settings.connector, settings.segments, period)))
        kept = reader.history(settings.id)
        serves = (
            kept is not None
            and kept.question == asked
            and history_serves(
                due,
                kept.business_date,
                calendar=settings.calendar,
                after_workdays=settings.frozen_after_workdays,
                months=facts_of(settings).months,
            )
        )
        if kept is not None and serves:
            with suppress(ValueError):  # of another version
                return counts_from_json(kept.counts)
        counts = read()
        if kept is None or kept.business_date <= due.business_date:
            keep(History(asked, due.business_date, counts_to_json(counts)))
        return counts

    return history


def frozen_edition(settings: Settings, business_date: date) -> Edition | None:
    """Return the edition that was frozen for sending on a date, None when there is none."""
    reader = read_ledger(settings.ledger)
    if reader is None:
        return None
    # Where it was corrected, what people have read last.
    sent = reader.sent_editions(
        settings.id, since=business_date, before=business_date + timedelta(days=1)
    )
    text = sent[0] if sent else reader.edition(settings.id, business_date)
    return None if text is None else edition_from_json(text)


def edition_to_show(settings: Settings, business_date: date, now: datetime) -> Edition:
    """Return a date's frozen edition, or else compose what would be sent.

    Raises:
        ConfigError: the date has no edition or has not come yet.
        ConnectorError: the source gave no complete count.
    """
    today = today_of(settings, now)
    if business_date > today:
        raise ConfigError(f"--date: {business_date} has not come yet; today is {today}")
    frozen = frozen_edition(settings, business_date)
    if frozen is not None:
        return frozen
    return compose(settings, business_date, now=now, memory=memory_of(settings, business_date))


def message_for(settings: Settings, edition: Edition, recipient: Recipient) -> Message:
    """Render an edition as one recipient wants it."""
    from digest.render import render

    return render(
        edition,
        language=recipient.language,
        segments_first=recipient.segments,
        templates=settings.templates,
        brand=settings.brand,
    )


def write_edition(
    settings: Settings, edition: Edition, folder: Path, *, language: str | None, now: datetime
) -> tuple[Path, ...]:
    """Write an edition's files as the first mail recipient would get them; return their paths."""
    from digest.render.files import EXAMPLE_HEADERS, NOBODY, write_files

    mails = [channel for channel in settings.channels.values() if channel.form == "mime"]
    recipient = mails[0].recipients[0] if mails else NOBODY
    headers = (mails[0].headers if mails else None) or EXAMPLE_HEADERS
    message = message_for(
        settings, edition, replace(recipient, language=language or recipient.language)
    )
    try:
        return write_files(edition, message, folder, now=now, recipient=recipient, headers=headers)
    except OSError as error:
        raise ConfigError(
            f"--out: {folder} cannot be written ({error.strerror or error}); name another folder"
        ) from error


# ------------------------------------------------------------------------------------ the worksheet


def fill_worksheet(
    settings: Settings, *, today: date, now: datetime, valid_from: str | None = None
) -> tuple[Finding, ...]:
    """Write measured close rates, deal sizes and actuals up to yesterday into the settings' worksheet.

    Raises:
        ConfigError: the settings name no Excel worksheet, or it is wrong or open.
        ConnectorError: the source gave no complete answer; the worksheet is as it was.
    """
    from digest import notation
    from digest.worksheet import fill

    if settings.worksheet is None or settings.worksheet.suffix.casefold() != ".xlsx":
        raise ConfigError(
            f"{settings.path.name}, sla.worksheet: only an Excel worksheet can be filled; "
            'write worksheet = "sla.xlsx", made by `digest worksheet new`'
        )
    try:
        terms_from = notation.parse_month(valid_from) if valid_from else None
    except ValueError as error:
        raise ConfigError(f"--from: {error}") from error
    this_month = month_start(today)
    first = min((goal.month for goal in settings.plan.revenue_goals), default=this_month)
    counted = Period(first, today, settings.timezone) if first < today else None
    counts = (
        settings.connector.count_leads(period=counted, segments=settings.segments, now=now)
        if counted
        else None
    )
    deals = measured_deals(settings, today, now, counts)
    return fill(
        settings.worksheet,
        deals=deals,
        actuals=counts.rows if counts else (),
        covers=(counted.start, counted.end - timedelta(days=1)) if counted else None,
        valid_from=terms_from,
        method=settings.close_rates,
    )


# ------------------------------------------------------------------------------------------ sending


def in_turn(
    digests: Sequence[Settings],
    now: Now,
    serve: Callable[[Settings, Now], Sequence[Report] | None],
) -> Iterator[tuple[Settings, Sequence[Report]]]:
    """Serve every digest of one call, and yield what each came to.

    A relay that asks the first to come back in five minutes must not keep the others waiting: of several,
    each is served once before any is waited for, and all together are then waited for as long as one.

    Args:
        digests: what the call was asked for.
        now: clock and waiting.
        serve: does one; None when it failed, which it has told.
    """
    several = len(digests) > 1
    left: list[tuple[Settings, Sequence[Report]]] = []
    for settings in digests:
        reports = serve(settings, replace(now, patience=timedelta(0)) if several else now)
        if reports is None:
            continue
        if several and _unfinished(reports):
            left.append((settings, reports))
        else:
            yield settings, reports
    until = now.clock() + now.patience
    for settings, reports in left:
        if now.stop():
            yield settings, reports
        else:
            patient = replace(now, patience=max(until - now.clock(), timedelta(0)))
            yield settings, serve(settings, patient) or ()


def _unfinished(reports: Sequence[Report]) -> bool:
    """Whether waiting may yet serve somebody, or learn what became of a message."""
    states = {outcome.state for report in reports for outcome in report.outcomes}
    return not states.isdisjoint((*WAITING, State.UNKNOWN))


def send_digest(
    settings: Settings, now: Now, *, day: date | None = None, accept_drop: bool = False
) -> Report:
    """Send what is due and not yet sent; any number of calls send once.

    Args:
        settings: the digest.
        now: clock and waiting.
        day: a business date named by a person, whatever the time of day; None for today within
            `send_at` and `send_until`.
        accept_drop: send although the month's leads fell below the last edition's.

    Raises:
        ConfigError, ConnectorError, LedgerError: nothing was sent to anybody in this call.
    """
    asked = now.clock()
    business_date = day or today_of(settings, asked)
    if business_date > today_of(settings, asked):
        raise ConfigError(f"--date: {business_date} has not come yet")
    reason = why_skipped(settings, business_date)
    without = tuple(
        f"{channel} {masked(recipient.address)}: no edition on {business_date}: {why}"
        for (channel, recipient), why in days_off(settings, business_date).items()
    )
    if reason is not None:
        if day is None:
            ledger = open_ledger(settings.ledger, clock=now.clock, pin=pin_of(settings))
            delivery.skip(
                digest_id=settings.id, business_date=business_date, ledger=ledger, reason=reason
            )
        said = f"no edition on {business_date}: {reason}"
        of_the_digest = due_on(settings, business_date).kind is None
        lines = (said,) if of_the_digest else without
        return Report(0, lines, happened=False, free=True)
    until = None
    if day is None:
        answer = due(settings, asked)
        until = answer.day.window.until
        if answer.standing is Standing.EARLY:
            at = answer.day.window.due_at.astimezone(ZoneInfo(settings.timezone))
            return Report(0, (f"not due before {at:%H:%M} ({at:%Z})",), happened=False)
        if answer.standing is Standing.LATE:
            return _too_late(settings, now, business_date)
    try:
        result = _send(
            settings, now, business_date, until, accept_drop=accept_drop, named=bool(day)
        )
    except (ConnectorError, ConfigError):
        if until is not None and settings.notify_team_when_held:
            _tell_the_team(settings, now, business_date, until)
        raise
    report = report_of(result)
    return replace(report, lines=(*report.lines, *without))


def _send(
    settings: Settings,
    now: Now,
    business_date: date,
    until: datetime | None,
    *,
    accept_drop: bool,
    named: bool,
) -> SendResult:
    free = days_off(settings, business_date)
    ledger = open_ledger(settings.ledger, clock=now.clock, pin=pin_of(settings))

    def compose_checked(previous: Edition | None) -> Edition:
        kept = _kept_history(
            settings, ledger, lambda history: ledger.keep_history(settings.id, history)
        )
        if previous is not None and previous.stale:
            previous = last_told(settings, ledger, previous.business_date)
        memory = Memory(previous, _sent_on(settings, ledger), kept)
        asked = now.clock()
        may_wait = until is not None and asked < until - LAST_CALL
        whole = may_wait and settings.on_partial == "hold"
        try:
            edition = compose(settings, business_date, now=asked, memory=memory, whole=whole)
        except ConnectorError as error:
            last = None if may_wait else _last_figures(settings, error, business_date, previous)
            if last is None:
                raise
            now.tell(f"sent with the figures of {last.as_of:%Y-%m-%d}: {error}")
            return last
        refuse_skew(settings, now)
        if not accept_drop:
            refuse_a_drop(settings, previous, edition)
        return edition

    return deliver(
        settings,
        now,
        ledger,
        business_date,
        compose=compose_checked,
        serves=lambda channel, recipient: (channel, recipient) not in free,
        until=until,
        named=named,
    )


def _last_figures(
    settings: Settings, error: ConnectorError, business_date: date, previous: Edition | None
) -> Edition | None:
    """Return the last figures unjudged, where the settings want them rather than nothing."""
    if settings.on_stale != "banner" or error.reason is not Reason.STALE or previous is None:
        return None
    try:
        return without_news(due_on(settings, business_date, previous=previous), previous)
    except ValueError:  # of another month
        return None


def deliver(
    settings: Settings,
    now: Now,
    ledger: Ledger,
    business_date: date,
    *,
    compose: Callable[[Edition | None], Edition],
    serves: Callable[[str, Recipient], bool],
    named: bool,
    until: datetime | None = None,
    correction: int = 0,
) -> SendResult:
    """Hand an edition to the digest's channels as `delivery.send` does, rendered as the settings want it."""
    from digest.render import PACKERS

    return delivery.send(
        digest_id=settings.id,
        business_date=business_date,
        correction=correction,
        channels=settings.channels,
        compose=compose,
        render=lambda edition, recipient: message_for(settings, edition, recipient),
        packers=PACKERS,
        ledger=ledger,
        clock=now.clock,
        sleep=now.sleep,
        to_json=edition_to_json,
        from_json=edition_from_json,
        serves=serves,
        until=until,
        named=named,
        patience=now.patience,
        stop=now.stop,
        tell=now.tell,
        hear=now.hear,
    )


def _tell_the_team(settings: Settings, now: Now, business_date: date, until: datetime) -> None:
    """Send one plain line to the recipients of a held edition, once a day; its failure changes nothing."""
    from digest.render import PACKERS
    from digest.render.notice import held_notice

    ledger = open_ledger(settings.ledger, clock=now.clock, pin=pin_of(settings))
    run = ledger.run(settings.id, business_date)
    if run is None or run.state is not RunState.HELD:
        return
    free = days_off(settings, business_date)

    def notice(recipient: Recipient) -> Message:
        return held_notice(
            digest=settings.id,
            title=settings.title,
            business_date=business_date,
            language=recipient.language or settings.language,
            until=until,
            timezone=settings.timezone,
        )

    try:
        result = delivery.send_notice(
            digest_id=settings.id,
            business_date=business_date,
            channels=settings.channels,
            render=notice,
            packers=PACKERS,
            ledger=ledger,
            clock=now.clock,
            sleep=now.sleep,
            zone=settings.timezone,
            serves=lambda channel, recipient: (channel, recipient) not in free,
            until=until,
            stop=now.stop,
        )
    except LedgerError as error:
        now.tell(f"the team could not be told that the edition is held: {error}")
        return
    for line in result.lines:
        now.tell(f"told that the edition is held: {line}")


def _too_late(settings: Settings, now: Now, business_date: date) -> Report:
    ledger = open_ledger(settings.ledger, clock=now.clock, pin=pin_of(settings))
    before = ledger.run(settings.id, business_date)
    result = delivery.expire(
        digest_id=settings.id, business_date=business_date, ledger=ledger, zone=settings.timezone
    )
    if result.exit_code == 0:
        return Report(0, result.lines, happened=False, outcomes=result.outcomes)
    line = (
        f"too late: send_until was {settings.send_until:%H:%M}; the next edition covers these days, "
        f"or send this one now with --date {business_date}"
    )
    news = before is None or before.state is not RunState.EXPIRED
    reason = [result.note] if result.note else []
    lines = (line, *reason, *result.lines)
    return Report(result.exit_code, lines, happened=news, outcomes=result.outcomes)


def refuse_passing_disk(settings: Settings, environment: Mapping[str, str]) -> None:
    """Refuse a ledger in a file where the disk is gone after the job, as on a CI runner.

    Raises:
        ConfigError: the next job would find no ledger and send everything again.
    """
    name = next((name for name in _RUNNERS if environment.get(name, "").lower() not in _NO), None)
    if name is not None and isinstance(settings.ledger, Path):
        raise ConfigError(
            f"{settings.path.name}, ledger: found the file {settings.ledger.name}, but {name} is set: a "
            "runner's disk is gone after the job, so the next one would send everything again; "
            f"name a PostgreSQL ledger, or unset {name} where the disk stays"
        )


_RUNNERS = ("GITHUB_ACTIONS", "CI")
_NO = ("", "0", "false")


def pin_of(settings: Settings) -> Path:
    """Return the small file beside the settings that remembers which ledger is theirs."""
    return settings.folder / f".{settings.ledger.name}.id"


def refuse_skew(settings: Settings, now: Now) -> None:
    """Hold an edition whose source has another time than this machine: one of them cuts days wrongly.

    Raises:
        ConnectorError: the clocks differ by more than ten minutes; from two minutes on it is only told.
    """
    source = settings.connector
    theirs = source.source_time() if isinstance(source, TellsTime) else None
    if theirs is None:
        return
    off = abs(theirs - now.clock())
    what = f"this machine's clock and that of the source differ by {off // timedelta(minutes=1)} minutes"
    remedy = "set the clock that is wrong (NTP)"
    if off > REFUSE_SKEW:
        raise ConnectorError(settings.connector_name, Reason.TRANSIENT, what, remedy=remedy)
    if off > WARN_SKEW:
        now.tell(f"warning: {settings.connector_name}: {what}; {remedy}")


def refuse_a_drop(settings: Settings, previous: Edition | None, edition: Edition) -> None:
    """Hold an edition whose month fell more than corrections explain.

    Raises:
        ConnectorError: the month's leads fell by more than both limits of the settings.
    """
    fallen = drop_since(previous, edition)
    before = previous.scorecard.total.actual if previous else None
    if before is None or fallen <= max(
        Fraction(settings.max_drop_leads), settings.max_drop_share * before
    ):
        return
    raise ConnectorError(
        settings.connector_name,
        Reason.DROP,
        f"the month's leads fell from {before} to {before - fallen} since the last edition",
        remedy="look at the source; if the fall is real: "
        f"digest send {settings.path.name} --accept-drop",
    )


def send_test(settings: Settings, now: Now, recipient: Recipient, day: date | None) -> Report:
    """Send the edition to one address, marked [TEST]; recipients and ledger are left alone.

    Raises:
        ConfigError: no mail channel is set up, or the date has no edition.
    """
    from digest.compose import latest_business_date
    from digest.render import PACKERS

    mail = {
        name: channel
        for name, channel in settings.channels.items()
        if channel.form == "mime" and not getattr(channel, "repeatable", False)
    }
    if not mail:
        raise ConfigError(
            f"{settings.path.name}: --to needs a mail channel, such as [channels.smtp]"
        )
    business_date = day or latest_business_date(settings, today_of(settings, now.clock()))
    result = delivery.test_send(
        edition=edition_to_show(settings, business_date, now.clock()),
        channels=mail,
        recipient=recipient,
        render=lambda edition, reader: message_for(settings, edition, reader),
        packers=PACKERS,
        clock=now.clock,
    )
    return report_of(result)


def report_of(result: SendResult) -> Report:
    """Return a result as what a person reads."""
    quiet = all("already sent" in line for line in result.lines)
    return Report(
        result.exit_code,
        result.lines,
        happened=not quiet,
        edition=result.edition,
        outcomes=result.outcomes,
    )

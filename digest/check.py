"""`digest check`: would a send work, and if not, what to change."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from digest.channels import Channel
from digest.coming import coming, line, short, span
from digest.compose import (
    compose,
    due_on,
    facts_of,
    history_of,
    latest_business_date,
    month_before,
    nothing_there,
)
from digest.connectors import Checks, Connector, Costs
from digest.due import today_of
from digest.editions import CountingPlan, Month, Months, counting_plan, measured_window
from digest.errors import ConfigError, ConnectorError, DigestError, nearest
from digest.figures import figures_of
from digest.ledger import Place, Postgres, new_ledger, read_ledger
from digest.model import Edition, Finding, LeadCounts, Message, Note, NoteCode, Period
from digest.render import explain, render
from digest.render.files import EXAMPLE_HEADERS, NOBODY
from digest.render.locales import locale_for
from digest.render.mime import pack
from digest.render.review import finished, review
from digest.render.traced import loose
from digest.resources import templates_folder
from digest.settings import Settings
from digest.settings.places import SettingsPlaces
from digest.sla import Goal, goals
from digest.workdays import Calendar, weight_of

if TYPE_CHECKING:
    from digest.ledger.store import Reader

NEXT_EDITIONS = 5
NOTICE_DAYS = 30
_SHOWN_VALUES = 10

_WHY = {
    NoteCode.CLOSE_RATE_MISSING: "close rate missing",
    NoteCode.DEAL_SIZE_MISSING: "deal size missing",
    NoteCode.REVENUE_GOAL_MISSING: "revenue goal missing",
    NoteCode.SHARE_MISSING: "marketing share missing",
    NoteCode.NO_SLA: "the SLA has no revenue goals for this month",
}


def run(settings: Settings, *, now: datetime, business_date: date) -> tuple[Finding, ...]:
    """Look at everything a send needs and return what was found, in the order of a send.

    A finding of level "error" means that a send would not work. Contacts the source and the channels,
    sends nothing and writes nothing.

    Args:
        settings: one digest.
        now: the instant of asking, UTC.
        business_date: the date for which a send would be asked.
    """
    parts: tuple[tuple[str, Callable[[], Iterator[Finding]]], ...] = (
        ("config", lambda: _config(settings)),
        ("SLA", lambda: _plan(settings, business_date)),
        ("calendar", lambda: _calendar(settings, business_date)),
        ("next editions", lambda: _editions(settings, business_date, now)),
        ("source", lambda: _source(settings, business_date, now)),
        ("deals", lambda: _deals(settings, business_date, now)),
        ("follow-up", lambda: _follow_up(settings, business_date, now)),
        ("language", lambda: _languages(settings)),
        ("templates", lambda: _templates(settings, business_date, now)),
        *(
            (f"channel {name}", _channel_of(channel, name))
            for name, channel in settings.channels.items()
        ),
        ("ledger", lambda: _ledger(settings.ledger)),
        ("alerts", lambda: _alerts(settings)),
    )
    return tuple(
        replace(finding, text=settings.located(finding.text))
        if finding.level == "error"
        else finding
        for subject, part in parts
        for finding in _guarded(subject, part)
    )


def _guarded(subject: str, part: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """Turn what a person can mend into findings; anything else is a bug and goes on up."""
    try:
        yield from part()
    except ConfigError as error:
        for mistake in error.mistakes:
            yield Finding("error", subject, mistake)
    except DigestError as error:
        yield Finding("error", subject, str(error))


# -------------------------------------------------------------------------------- without any contact


def _config(settings: Settings) -> Iterator[Finding]:
    yield Finding("ok", "config", f"{settings.path} is valid")
    for warning in settings.warnings:
        yield Finding("warning", "config", warning)


def _plan(settings: Settings, business_date: date) -> Iterator[Finding]:
    month = _month(settings, business_date).plan_month
    owed = goals(settings.plan, month, on=business_date)
    known = [goal for goal in owed if goal.goal is not None]
    if known:
        total = sum(goal.goal or 0 for goal in known)
        listed = ", ".join(f"{goal.segment} {goal.goal}{_by_hand(goal)}" for goal in known)
        yield Finding("ok", "SLA", f"{month:%B %Y}: {listed}; {total} leads in total")
    missing: dict[str, list[str]] = {}
    for goal in owed:
        if goal.goal is None:
            missing.setdefault(_why(goal.notes), []).append(goal.segment)
    for why, segments in missing.items():
        yield Finding("warning", "SLA", f"no goal for {month:%B %Y}: {', '.join(segments)} ({why})")
    if not owed:
        yield Finding("warning", "SLA", "the SLA names no segment yet; fill in the worksheet")


def _month(settings: Settings, business_date: date) -> Month:
    try:
        return facts_of(settings).months.of(business_date)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _by_hand(goal: Goal) -> str:
    return " (set by hand)" if goal.by_hand else ""


def _why(notes: Sequence[Note]) -> str:
    return ", ".join(_WHY[note.code] for note in notes if note.code in _WHY) or "it is not defined"


def _calendar(settings: Settings, business_date: date) -> Iterator[Finding]:
    month = _month(settings, business_date).period
    named = {"": settings.calendar, **settings.calendars}
    for name, calendar in named.items():
        try:
            count = float(weight_of(calendar.days(month)))
        except ValueError as error:
            raise ConfigError(str(error)) from error
        subject = f"calendar {name}".rstrip()
        yield Finding(
            "ok",
            subject,
            f"{calendar.label}: {count:g} workdays from {short(month.start)} {month.start:%Y}",
        )
        yield from _ending(subject, calendar, business_date)
    yield from _ending("fiscal periods", facts_of(settings).months, business_date)


def _ending(subject: str, known: Calendar | Months, business_date: date) -> Iterator[Finding]:
    """Warn while there is time: without holidays or fiscal periods no edition can be made."""
    ask = known.day if isinstance(known, Calendar) else known.of
    for days in range(1, NOTICE_DAYS + 1):
        day = business_date + timedelta(days=days)
        try:
            ask(day)
        except ValueError as error:
            yield Finding("warning", subject, f"no edition from {short(day)} {day:%Y} on: {error}")
            return


def _editions(settings: Settings, business_date: date, now: datetime) -> Iterator[Finding]:
    """Show the next editions, from the date that was asked for, or after today's if that is over."""
    start = None if business_date == today_of(settings, now) else business_date
    shown = 0
    try:
        for edition in coming(settings, now, NEXT_EDITIONS, start=start):
            yield Finding("ok", "next edition", line(settings, edition))
            shown += 1
    except ConfigError as error:
        if not shown:
            raise
        yield Finding("warning", "next edition", f"none is known after these: {error}")


def _ledger(place: Place) -> Iterator[Finding]:
    if isinstance(place, Path):
        folder = place.parent
        if not folder.is_dir():
            yield Finding("error", "ledger", f"the folder {folder} does not exist; create it")
            return
        if not os.access(folder, os.W_OK | os.X_OK):
            yield Finding("error", "ledger", f"the folder {folder} cannot be written by this user")
            return
    reader = read_ledger(place)
    state = reader.describe() if reader else new_ledger(place)
    yield Finding("ok", "ledger", f"{place}: {state}")
    if isinstance(place, Postgres) and reader is not None:
        yield from _queue(reader)


def _queue(reader: Reader) -> Iterator[Finding]:
    from digest.fleet import has_extra

    if has_extra():
        from digest.fleet.queue import check

        found = check(reader)
        if found is not None:
            yield found


# -------------------------------------------------------------------------------- source and channels


def _source(settings: Settings, business_date: date, now: datetime) -> Iterator[Finding]:
    months = facts_of(settings).months
    plan = counting_plan(due_on(settings, business_date), months=months)
    period = plan.current
    found = tuple(_checked(settings.connector, settings, period, now))
    yield from found
    if any(finding.level == "error" for finding in found):
        return
    yield from _cost(settings, plan, business_date, now)
    counts = settings.connector.count_leads(period=period, segments=settings.segments, now=now)
    if not counts.total:
        history = history_of(settings, business_date, now)
        if nothing := nothing_there(settings, counts, history):
            raise nothing
    yield from _counted(settings, counts)


def _checked(
    connector: Connector, settings: Settings, period: Period, now: datetime
) -> Iterator[Finding]:
    if isinstance(connector, Checks):
        yield from connector.check(period=period, segments=settings.segments, now=now)


def _cost(
    settings: Settings, plan: CountingPlan, business_date: date, now: datetime
) -> Iterator[Finding]:
    """Say how many calls a run makes for its month, and more for closed months and deals once a week."""
    source = settings.connector
    if not isinstance(source, Costs):
        return
    own: object = source
    daily = [plan.current]
    if settings.follow_up and settings.follow_up[1] is own:
        before = month_before(due_on(settings, business_date), facts_of(settings), plan.current)
        daily += [before] if before else []
    weekly = [plan.current] if plan.history is None else [plan.current, plan.history]
    window = measured_window(business_date, settings.timezone) if settings.deals is own else None
    price = partial(source.cost, segments=settings.segments, now=now)
    calls, _ = price(counted=daily, deals=None)
    more = sum(price(counted=weekly, deals=window)) - calls
    why = "closed months" if window is None else "closed months and deals"
    once = f"; {more} more in the first of a week, which reads {why}" if more else ""
    yield Finding("ok", "cost of a run", f"{calls} calls{once}")


def _counted(settings: Settings, counts: LeadCounts) -> Iterator[Finding]:
    days = span(counts.period.start, counts.period.days()[-1])
    text = f"{counts.total} leads on {days}, read from {counts.origin.source}"
    if counts.reconciled:
        yield Finding("ok", "source", text)
    else:
        yield Finding("error", "source", f"{text}; the days do not add up to the total")
    for rule, records in counts.excluded:
        yield Finding("ok", "source", f"the exclusion {rule!r} takes out {records} records")
    unassigned = sum(leads for _, leads in counts.unknown)
    if unassigned:
        yield _unassigned(settings, counts, unassigned)


def _unassigned(settings: Settings, counts: LeadCounts, leads: int) -> Finding:
    values = ", ".join(
        f"{value!r} {count}" if value else f"no value {count}"
        for value, count in counts.unknown[:_SHOWN_VALUES]
    )
    rest = len(counts.unknown) - _SHOWN_VALUES
    more = f" and {rest} more values" if rest > 0 else ""
    many = leads >= settings.unassigned_leads or leads >= settings.unassigned_share * max(
        counts.total, 1
    )
    return Finding(
        "warning" if many else "ok",
        "segments",
        f"{leads} leads belong to no segment: {values}{more}; name them in `values` of a segment",
    )


def _deals(settings: Settings, business_date: date, now: datetime) -> Iterator[Finding]:
    yield from _of_its_own("deals", settings.deals, settings, business_date, now)
    own: object = settings.connector
    if settings.deals is not own and isinstance(settings.deals, Costs):
        window = measured_window(business_date, settings.timezone)
        calls = settings.deals.cost(counted=(), deals=window, segments=settings.segments, now=now)
        yield Finding("ok", "deals, cost of a run", f"{sum(calls)} calls in the first of a week")


def _follow_up(settings: Settings, business_date: date, now: datetime) -> Iterator[Finding]:
    source = settings.follow_up[1] if settings.follow_up else None
    yield from _of_its_own("follow-up", source, settings, business_date, now)


def _of_its_own(
    subject: str, source: object, settings: Settings, business_date: date, now: datetime
) -> Iterator[Finding]:
    """Check a source of deals or follow-up of its own; the connector's was checked with it."""
    if source is settings.connector or not isinstance(source, Checks):
        return
    months = facts_of(settings).months
    period = counting_plan(due_on(settings, business_date), months=months).current
    for finding in source.check(period=period, segments=settings.segments, now=now):
        yield replace(finding, subject=f"{subject}, {finding.subject}")


# ------------------------------------------------------------------------------------------ the mail


def _languages(settings: Settings) -> Iterator[Finding]:
    for language in _wanted(settings):
        locale_for(language)
    yield Finding("ok", "language", ", ".join(_wanted(settings)))


def _wanted(settings: Settings) -> tuple[str, ...]:
    """The languages of the digest and of its recipients."""
    recipients = (r for channel in settings.channels.values() for r in channel.recipients)
    chosen = (recipient.language for recipient in recipients if recipient.language)
    return tuple(dict.fromkeys((settings.language, *chosen)))


def _templates(settings: Settings, business_date: date, now: datetime) -> Iterator[Finding]:
    """Render the newest edition with the user's own templates; the built-in ones are proved by tests."""
    if settings.templates is None:
        return
    yield from _unread(settings.templates)
    try:
        edition = compose(settings, latest_business_date(settings, business_date), now=now)
    except ConnectorError:
        yield Finding("warning", "templates", "not tried out, since the source gave no numbers")
        return
    for language in _wanted(settings):
        message = render(
            edition, language=language, templates=settings.templates, brand=settings.brand
        )
        yield from _reviewed(message, edition, settings)
    yield Finding("ok", "templates", f"{settings.templates} renders {', '.join(_wanted(settings))}")


def _reviewed(message: Message, edition: Edition, settings: Settings) -> Iterator[Finding]:
    """Say what is worth mending in the mail; notes are for the preview."""
    content = pack(
        message, recipient=NOBODY, headers=EXAMPLE_HEADERS, key="check", sent_at=edition.as_of
    )
    explained = explain(
        edition,
        figures_of(edition, facts_of(settings), SettingsPlaces(settings)),
        language=message.language,
        templates=settings.templates,
        brand=settings.brand,
        chart=bool(message.images),
    )
    numbers = loose(explained, message, edition)
    for remark in review(finished(message, content, templates=settings.templates, loose=numbers)):
        if remark.level != "note":
            yield Finding(remark.level, "templates", f"{message.language}: {remark}")


def _unread(folder: Path) -> Iterator[Finding]:
    """Warn of files that replace no template: a slip in a name would go unseen for ever."""
    ours = templates_folder()
    names = [path.relative_to(ours).as_posix() for path in ours.rglob("*") if path.is_file()]
    theirs = sorted(path for path in folder.rglob("*") if path.is_file())
    included = "".join(path.read_text(encoding="utf-8", errors="replace") for path in theirs)
    for path in theirs:
        name = path.relative_to(folder).as_posix()
        if name not in names and name not in included and (hint := nearest(name, names)):
            yield Finding("warning", "templates", f"{path} replaces no template{hint}")


def _channel_of(channel: Channel, name: str) -> Callable[[], Iterator[Finding]]:
    def look() -> Iterator[Finding]:
        count = len(channel.recipients)
        yield Finding("ok", f"channel {name}", f"{count} recipient{'' if count == 1 else 's'}")
        for finding in channel.check():
            text = finding.text.removeprefix(f"{finding.subject}: ")
            yield replace(finding, subject=f"channel {name}", text=text)

    return look


# ---------------------------------------------------------------------------------- when something is wrong


def _alerts(settings: Settings) -> Iterator[Finding]:
    """Say who would be told; a way that does not work stops no send, so it is a warning."""
    alerts = settings.alerts
    if alerts.mail is None and alerts.slack is None and settings.heartbeat is None:
        yield Finding(
            "warning",
            "alerts",
            "nobody would be told when something is wrong; write [alerts] with an email, and "
            "[heartbeat] with the url of a service that notices when nothing runs",
        )
        return
    for name, channel in (("mail", alerts.mail), ("slack", alerts.slack)):
        if channel is not None:
            told = ", ".join(one.address for one in channel.recipients)
            yield Finding("ok", "alerts", f"{name} to {told}")
            for finding in channel.check():
                level = "warning" if finding.level == "error" else finding.level
                yield Finding(level, f"alerts by {name}", finding.text)
    if settings.heartbeat is None:
        text = "without [heartbeat] nobody notices that this host is dead"
        yield Finding("warning", "alerts", text)
    else:
        yield Finding("ok", "alerts", "a heartbeat is set; it is not pinged by a check")

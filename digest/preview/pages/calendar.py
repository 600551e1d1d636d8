"""When the next editions leave, and which days have none and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import dropwhile, groupby, islice
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from digest.coming import Coming, alike, coming
from digest.compose import reason_in_words
from digest.due import today_of
from digest.editions import upcoming
from digest.errors import ConfigError
from digest.model import month_start
from digest.preview.address import NotAllowedError
from digest.preview.page import Asked, Page

if TYPE_CHECKING:
    from starlette.responses import Response

    from digest.editions import Due
    from digest.render.locales import Locale
    from digest.settings import Settings

EDITIONS = 30
FORESEEN = timedelta(days=1100)


@dataclass(frozen=True, slots=True)
class Line:
    """An edition, or days without one.

    Attributes:
        first, last: the days. why: there is none, in words; None for an edition.
        local, utc: when it may leave; "" where nothing says so. closes: the month it closes.
        covers: first and last day.
    """

    first: date
    last: date
    why: str | None = None
    local: str = ""
    utc: str = ""
    closes: str | None = None
    covers: tuple[date, date] | None = None


def calendar(asked: Asked) -> Response:
    """Answer the next editions from a date on, from today when none is named."""
    settings = asked.desk.settings(asked.digest)
    ends: ConfigError | None = None
    found: list[Coming] = []
    made_up = settings is None or asked.view.scenario is not None
    try:
        if settings is None or made_up:
            found.extend(_of_scenario(asked))
        else:
            for one in _of_digest(settings, asked.desk.clock(), asked.view.date):
                found.append(one)  # noqa: PERF402 - what was found before a calendar ends is shown
    except ConfigError as error:
        ends = error
    except OverflowError as error:
        raise NotAllowedError(
            "date", str(asked.view.date), "a date with days before and after it"
        ) from error
    zone = None if settings is None or made_up else ZoneInfo(settings.timezone)
    lines = [line for one in found for line in _lines(asked.words, one, zone)]
    months = groupby(lines, key=lambda line: month_start(line.first))
    return asked.page(
        "calendar.html",
        months=[(month, list(group)) for month, group in months],
        made_up=made_up,
        settings=settings,
        editions=len(found),
        calendar=asked.desk.show(asked.digest, asked.view).facts.calendar.label
        if settings is None or made_up
        else settings.calendar.label,
        ends=ends,
        after=found[-1].due.business_date + timedelta(days=1) if found and not ends else None,
    )


def _of_digest(settings: Settings, now: datetime, start: date | None) -> Iterator[Coming]:
    """The editions from a date on; up to it each is taken to be sent on its day."""
    today = today_of(settings, now)
    if start is None or not today < start <= today + FORESEEN:
        yield from coming(settings, now, EDITIONS, start=start)
        return
    until_then = coming(settings, now, FORESEEN.days + EDITIONS)
    following = dropwhile(lambda one: one.due.business_date < start, until_then)
    yield from islice(following, EDITIONS)


def _of_scenario(asked: Asked) -> Iterator[Coming]:
    """The editions after a scenario's own; nothing says at which hour they would leave."""
    showing = asked.desk.show(asked.digest, asked.view)
    edition, facts = showing.edition, showing.facts
    start = showing.asked + timedelta(days=1)
    for one in upcoming(facts.calendar, start, EDITIONS, months=facts.months, previous=edition):
        skipped = tuple((day.day, reason_in_words(day.reason)) for day in one.skipped)
        yield Coming(one.due, edition.as_of, skipped)


def _lines(words: Locale, one: Coming, zone: ZoneInfo | None) -> Iterator[Line]:
    for (first, last), why in alike(one.skipped):
        yield Line(first, last, why=reason_shown(words, why))
    due = one.due
    yield Line(
        due.business_date,
        due.business_date,
        local=f"{one.due_at.astimezone(zone):%H:%M %Z}" if zone else "",
        utc=_utc(words, one.due_at, due.business_date) if zone else "",
        closes=_closes(words, due),
        covers=(due.covers[0], due.covers[-1]),
    )


def _utc(words: Locale, instant: datetime, day: date) -> str:
    utc = instant.astimezone(UTC)
    return f"{utc:%H:%M}" if utc.date() == day else f"{words.day(utc.date())}, {utc:%H:%M}"


def _closes(words: Locale, due: Due) -> str | None:
    return words.month_year(due.closes.period.start) if due.closes else None


def reason_shown(words: Locale, reason: str) -> str:
    """Return why a day has no edition in the language of the pages; a holiday keeps its own name."""
    known = {
        "weekend": words.gettext("weekend"),
        "company closure": words.gettext("company closure"),
        "day off": words.gettext("day off"),
        "no workday": words.gettext("no workday"),
        "every recipient has a day off": words.gettext("every recipient has a day off"),
    }
    return known.get(reason, reason)


PAGES = (Page("/d/{digest}/calendar", calendar),)

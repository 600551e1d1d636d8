"""The month behind an edition: its waterfall day by day, every row, the forecast in hindsight, a bridge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import accumulate
from typing import TYPE_CHECKING

from markupsafe import Markup

from digest.calculator import bridge
from digest.dispatch import memory_of
from digest.editions import course_of
from digest.errors import ConfigError, DigestError
from digest.forecast import hindsight
from digest.ledger import read_ledger
from digest.preview.address import NotAllowedError, View, path_of, view_of
from digest.preview.page import Asked, Page
from digest.preview.pages import edition as shell
from digest.preview.pages.calendar import reason_shown
from digest.preview.rows import between, headings, printed
from digest.render import words as said
from digest.render.charts import Waterfall, waterfall
from digest.render.locales import half_up
from digest.render.svg import linked_svg
from digest.render.view import period_days
from digest.snapshot import edition_from_json

if TYPE_CHECKING:
    from fractions import Fraction

    from starlette.responses import Response

    from digest.model import Bridge, DayCount, Edition, Forecast, LeadCounts, Period
    from digest.preview.desk import Showing
    from digest.render.locales import Locale
    from digest.settings import Settings

ONE_DAY = timedelta(days=1)
BAR = 100  # width of the strip in which ranges are drawn


def month(asked: Asked) -> Response:
    """Answer the month of the edition that the address means."""
    free = shell.free_day(asked)
    if free is not None:
        return shell.no_edition(asked, free, "month")
    showing = asked.desk.show(asked.digest, asked.view)
    card = showing.edition.judged
    before, after = shell.neighbours(asked, showing.edition.business_date)
    span = _span(asked, showing)
    picture = waterfall(showing.edition)
    days = _days(asked.words, showing.edition, picture, span)
    return asked.page(
        "month.html",
        showing=showing,
        card=card,
        standing=shell.standing(asked, showing),
        notes=shell.notes(asked, showing),
        before=before,
        after=after,
        headline=said.headline(asked.words, card),
        picture=_drawn(asked.words, showing.edition, picture, days),
        days=days,
        told=days[max(len(picture.new) - 1, 0)],
        headings=headings(asked.words),
        rows=printed(asked.words, card),
        value=_value(asked.words, showing.edition),
        hindsight=_hindsight(asked, showing),
        record=said.forecast_record(asked.words, showing.edition.history_hits),
        span=span,
        others=_others(asked, showing),
        address=lambda day: _address(asked, showing, day),
        correction=said.correction,
    )


def _address(asked: Asked, showing: Showing, day: date) -> str:
    """The address of the bridge from a day to the shown edition."""
    query = asked.view.query(date=showing.edition.business_date)
    return f"{path_of(asked.digest, 'month')}{query}&from={day}#bridge"


# -------------------------------------------------------------------------------------- the waterfall


@dataclass(frozen=True, slots=True)
class Step:
    """One day of the month, written; the facts are what stands beside the picture.

    Attributes:
        mark: of its row in the page. why: it is no plain workday.
        leads, total: "–" for days to come. corrections: "" for none.
    """

    mark: str
    day: str
    why: str
    leads: str
    total: str
    plan: str
    corrections: str
    to_come: bool

    def name(self, locale: Locale) -> str:
        """Say it all in one line, as the day's accessible name."""
        plan = locale.gettext("plan %(leads)s", leads=self.plan)
        if self.to_come:
            return locale.gettext("%(day)s: to come, %(plan)s", day=self.day, plan=plan)
        line = locale.gettext(
            "%(day)s: %(new)s new, %(total)s in all, %(plan)s",
            day=self.day,
            new=self.leads,
            total=self.total,
            plan=plan,
        )
        if not self.corrections:
            return line
        return locale.gettext(
            "%(sentence)s, corrections %(leads)s", sentence=line, leads=self.corrections
        )


def _days(
    words: Locale, edition: Edition, picture: Waterfall, span: Span | None
) -> tuple[Step, ...]:
    totals = tuple(accumulate(picture.new))
    reasons = {day.day: day.reason for day in edition.days}
    changes: dict[date, list[str]] = {}
    for change in span.bridge.corrections if span else ():
        name = said.segment_name(words, change.segment)
        changes.setdefault(change.day, []).append(f"{name} {words.signed(change.leads)}")
    steps = []
    for n in range(picture.length):
        day = picture.first + timedelta(days=n)
        counted = n < len(totals)
        reason = reasons.get(day)
        steps.append(
            Step(
                mark=f"day-{day}",
                day=words.day(day),
                why=reason_shown(words, reason) if reason else "",
                leads=words.number(picture.new[n]) if counted else said.NONE,
                total=words.number(totals[n]) if counted else said.NONE,
                plan=words.number(half_up(picture.staircase[n]))
                if picture.staircase
                else said.NONE,
                corrections=words.join(changes.get(day, [])),
                to_come=not counted,
            )
        )
    return tuple(steps)


def _drawn(words: Locale, edition: Edition, picture: Waterfall, days: Sequence[Step]) -> Markup:
    links = [(f"#{step.mark}", step.name(words)) for step in days]
    alt = said.chart_alt(words, edition.judged)
    # Every word in it is escaped where it is drawn.
    return Markup(linked_svg(picture, words, alt=alt, links=links))  # noqa: S704


def _value(words: Locale, edition: Edition) -> tuple[tuple[str, str], ...]:
    value = edition.judged.value
    if value is None:
        return ()
    share = said.NONE if value.attainment is None else words.percent(value.attainment)
    return (
        (words.gettext("Value goal"), words.money(value.goal, value.currency)),
        (words.gettext("Value so far"), words.money(value.actual, value.currency)),
        (words.gettext("Of the value goal"), share),
    )


# --------------------------------------------------------------------------------------- hindsight


@dataclass(frozen=True, slots=True)
class Said:
    """What one workday's edition would have said of the month's end, and what it did say.

    Attributes:
        mean, range: "–" when nothing would have been said. printed: what the edition sent that day said;
            "" when none was.
        off: by how much the mean missed. holds: the range holds the outcome; None without a range.
        bar: (from, width, mean) of the range in a strip of 100.
    """

    day: date
    leads: str
    mean: str
    range: str
    printed: str
    off: str
    holds: bool | None
    bar: tuple[int, int, int] | None


@dataclass(frozen=True, slots=True)
class Hindsight:
    """The back-test of a month.

    Attributes:
        outcome: the actual end of a closed month, else what is forecast now. at: its place in the strips.
        held, judged: of the ranges, how many hold the outcome.
        trouble: why the months before are not known.
    """

    said: tuple[Said, ...]
    outcome: str
    closed: bool
    at: int
    held: int
    judged: int
    trouble: str | None


def _hindsight(asked: Asked, showing: Showing) -> Hindsight | None:
    """None where there is no outcome to hold the forecasts against."""
    edition, words = showing.edition, asked.words
    card = edition.judged
    weights = period_days(edition, card.period)
    outcome = _outcome(edition)
    if outcome is None or not weights:
        return None
    history, trouble = _months_before(asked, showing)
    last = min(edition.business_date, card.period.end)
    days = [day for day, weight in weights if weight and day < last]
    found = _would_have_said(showing, weights, [day - ONE_DAY for day in days], history)
    did_say = _did_say(showing)
    ends = [outcome, *(end for _, one in found if one for end in (one.low, one.high))]
    lowest, width = min(ends), max(max(ends) - min(ends), 1)

    def at(leads: float) -> int:
        return round(BAR * (leads - lowest) / width)

    lines = []
    for day, (leads, month_end) in zip(days, found, strict=True):
        old = did_say.get(day)
        lines.append(
            Said(
                day=day,
                leads=words.number(leads),
                mean=words.number(month_end.mean) if month_end else said.NONE,
                range=between(words, month_end.low, month_end.high) if month_end else said.NONE,
                printed=_written(words, old) if old else "",
                off=words.signed(int(half_up(month_end.mean)) - outcome)
                if month_end
                else said.NONE,
                holds=month_end.low <= outcome <= month_end.high if month_end else None,
                bar=(at(month_end.low), at(month_end.high) - at(month_end.low), at(month_end.mean))
                if month_end
                else None,
            )
        )
    judged = [line.holds for line in lines if line.holds is not None]
    return Hindsight(
        said=tuple(lines),
        outcome=words.number(outcome),
        closed=card.closed,
        at=at(outcome),
        held=sum(judged),
        judged=len(judged),
        trouble=trouble,
    )


def _outcome(edition: Edition) -> int | None:
    total = edition.judged.total
    if edition.judged.closed:
        return total.actual
    return None if total.forecast is None else int(half_up(total.forecast.mean))


def _months_before(asked: Asked, showing: Showing) -> tuple[LeadCounts | None, str | None]:
    try:
        return asked.desk.months_before(showing), None
    except DigestError as error:
        return None, str(error)


def _would_have_said(
    showing: Showing,
    weights: Sequence[tuple[date, Fraction]],
    cut_offs: Sequence[date],
    history: LeadCounts | None,
) -> tuple[tuple[int, Forecast | None], ...]:
    card = showing.edition.judged
    course = course_of(showing.facts, showing.facts.months.of(card.period.start), history)
    leads: dict[date, int] = {}
    for row in showing.edition.counts:
        leads[row.day] = leads.get(row.day, 0) + row.leads
    return hindsight(
        [(day, weight, leads.get(day, 0)) for day, weight in weights],
        cut_offs,
        goal=card.total.goal or None,
        history=course.history,
    )


def _did_say(showing: Showing) -> Mapping[date, Forecast]:
    """What the editions sent so far said of the month's end, by business date."""
    settings, period = showing.settings, showing.edition.judged.period
    reader = None if settings is None else read_ledger(settings.ledger)
    if settings is None or reader is None:
        return {}
    texts = reader.sent_editions(
        settings.id, since=period.start, before=showing.edition.business_date
    )
    return {
        sent.business_date: sent.scorecard.total.forecast
        for sent in map(edition_from_json, texts)
        if sent.scorecard.period == period and sent.scorecard.total.forecast
    }


def _written(words: Locale, month_end: Forecast) -> str:
    return f"{words.number(month_end.mean)} ({between(words, month_end.low, month_end.high)})"


# ------------------------------------------------------------------------------------------- bridge


@dataclass(frozen=True, slots=True)
class Part:
    """One segment's way from one edition to the other, or everybody's; the four numbers add up."""

    name: str
    before: int
    new: int
    corrected: int
    now: int


@dataclass(frozen=True, slots=True)
class Span:
    """What lies between two editions.

    Attributes:
        earlier, later: their business dates, and what each rests on as (look, sentence).
        bridge: of all leads. parts: of each segment, everybody last.
        days: (day, leads, those of each segment).
        same_month: both are of the month that is bridged.
    """

    earlier: date
    later: date
    standings: tuple[tuple[str, str], tuple[str, str]]
    period: Period
    bridge: Bridge
    parts: tuple[Part, ...]
    days: tuple[tuple[date, int, tuple[tuple[str, int], ...]], ...]
    same_month: bool


def _span(asked: Asked, showing: Showing) -> Span | None:
    """The bridge to the shown edition from the one that the address names, or from the one before it."""
    other = _other(asked, showing)
    if other is None:
        return None
    both = sorted((other, showing), key=lambda one: one.edition.business_date)
    earlier, later = both[0].edition, both[1].edition
    period = later.judged.period
    cut_off = min(later.scorecard.cut_off, period.end - ONE_DAY)

    def across(segment: str | None) -> Bridge:
        def of(edition: Edition) -> tuple[DayCount, ...]:
            return tuple(row for row in edition.counts if segment in (None, row.segment))

        return bridge(
            month=period,
            cut_off=cut_off,
            counts=of(later),
            previous=of(earlier),
            previous_cut_off=earlier.scorecard.cut_off,
        )

    whole = across(None)
    counted = {row.segment for row in (*earlier.counts, *later.counts) if row.day in period}
    own = [row.segment for row in later.judged.segments if row.segment]
    segments = [*own, *sorted(counted - set(own), reverse=True)]  # the unassigned last
    parts = {segment: across(segment) for segment in segments}
    words = asked.words
    return Span(
        earlier=earlier.business_date,
        later=later.business_date,
        standings=(shell.standing(asked, both[0]), shell.standing(asked, both[1])),
        period=period,
        bridge=whole,
        parts=tuple(
            _part(said.segment_name(words, segment), one)
            for segment, one in [*parts.items(), (None, whole)]
        ),
        days=tuple(
            (
                day,
                leads,
                tuple(
                    (said.segment_name(words, segment), new)
                    for segment, one in parts.items()
                    if (new := dict(one.new).get(day, 0))
                ),
            )
            for day, leads in whole.new
        ),
        same_month=period in (earlier.judged.period, earlier.scorecard.period),
    )


def _part(name: str, one: Bridge) -> Part:
    return Part(
        name,
        one.previous_actual,
        sum(leads for _, leads in one.new),
        sum(change.leads for change in one.corrections),
        one.actual,
    )


def _other(asked: Asked, showing: Showing) -> Showing | None:
    """The other end of the bridge; None when nothing is named and there is no edition before."""
    texts = [text for key, text in asked.query if key == "from"]
    if len(texts) > 1:
        raise NotAllowedError("from", "the key twice", "each key once")
    if texts and texts[0]:
        return _named(asked, showing, texts[0])
    return _edition_before(asked, showing)


def _named(asked: Asked, showing: Showing, text: str) -> Showing:
    try:
        day = view_of([("date", text)], allowed={}).date
    except NotAllowedError as error:
        raise NotAllowedError("from", text, error.allowed) from error
    known = _known(asked, showing)
    if day == showing.edition.business_date or day is None:
        raise NotAllowedError("from", text, f"another edition, such as {known}")
    if showing.settings is None:
        before = _edition_before(asked, showing)
        if before is None or before.edition.business_date != day:
            raise NotAllowedError("from", text, known)
        return before
    view = replace(asked.view, date=day)
    try:
        reason = shell.free_day(replace(asked, view=view))
    except ConfigError as error:
        raise NotAllowedError("from", text, f"{known}; {error}") from error
    if reason is not None:
        raise NotAllowedError("from", text, f"a date with an edition, such as {known}")
    return _as_read_last(showing.settings, asked.desk.show(asked.digest, view))


def _edition_before(asked: Asked, showing: Showing) -> Showing | None:
    previous = showing.previous
    if previous is None:
        return None
    if showing.settings is None:
        return replace(showing, edition=previous, previous=None)
    view = replace(asked.view, date=previous.business_date)
    return _as_read_last(showing.settings, asked.desk.show(asked.digest, view))


def _as_read_last(settings: Settings, other: Showing) -> Showing:
    """With the correction in place of the edition, where people have read one.

    Raises:
        DigestError: the edition could not be made.
    """
    if other.trouble is not None:
        raise other.trouble
    day = other.edition.business_date
    return replace(other, edition=memory_of(settings, day).sent_on(day) or other.edition)


def _known(asked: Asked, showing: Showing) -> str:
    listed = [str(day) for day, _ in _others(asked, showing)]
    return ", ".join(listed[-8:]) or "none here"


def _others(asked: Asked, showing: Showing) -> tuple[tuple[date, str], ...]:
    """Dates of editions that a bridge may start from, oldest first: those of the month, one before it."""
    if showing.settings is None:
        previous = showing.previous
        return () if previous is None else ((previous.business_date, ""),)
    edition = showing.edition
    first = min(edition.judged.period.start, edition.business_date)
    days = [first + timedelta(days=n) for n in range((edition.business_date - first).days)]
    found = [day for day in days if shell.free_day(replace(asked, view=View(date=day))) is None]
    before, _ = shell.neighbours(asked, first)
    chosen = [*([before] if before else []), *found]
    return tuple((day, asked.words.day(day)) for day in chosen)


PAGES = (Page("/d/{digest}/month", month),)

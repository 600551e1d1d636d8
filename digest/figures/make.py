"""From an edition and what it was made of to a record for every number in it.

The records do not compute the numbers again: they take each from the edition and keep a formula only if it
gives that number from its inputs. Where today's settings no longer give it, the frozen edition is its origin.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Protocol

from digest.calculator import Course
from digest.editions import (
    HISTORY_MONTHS,
    USUAL_WEEKS,
    Facts,
    Month,
    courses_of,
    measured_window,
)
from digest.figures.expression import Value as Given
from digest.figures.expression import evaluate, same
from digest.figures.figure import (
    Asked,
    Before,
    Figure,
    Figures,
    Input,
    Label,
    Number,
    Origin,
    Place,
    Rounding,
    Unit,
)
from digest.forecast import outlook, prior
from digest.model import (
    UNASSIGNED,
    Bridge,
    Drift,
    Edition,
    FigureCode,
    FollowUp,
    Forecast,
    LeadCounts,
    Note,
    NoteCode,
    Period,
    Row,
    Scorecard,
    SegmentFollowUp,
    Status,
    Value,
    Workday,
    add_months,
)
from digest.sla import Plan, Terms, basis

CLOSED = "closed."
_NOT_AGREED: tuple[str, tuple[Input, ...], Rounding] = ("", (), Rounding.NONE)
_ORDER = ("corrects", "total", "month", "value", "bridge", "segments", "segment", "unassigned")


class Places(Protocol):
    """Answers where an input stands."""

    def setting(self, *key: str | int) -> Place:
        """Return where a setting stands, or that it is the default."""
        ...

    def revenue_goal(self, segment: str, month: date) -> Place:
        """Return where the revenue goal of a segment's month stands."""
        ...

    def terms(self, terms: Terms, name: str) -> Place:
        """Return where one of the agreed terms stands, by its name in `Terms`."""
        ...

    def rate(self, currency: str) -> Place:
        """Return where a plan rate stands."""
        ...

    def recorded(self, day: date, key: str) -> Place:
        """Return the edition of a day in which a number is frozen."""
        ...

    def source(self, what: str) -> tuple[str, str]:
        """Return connector and source of "deals" or "follow_up"."""
        ...


@dataclass(frozen=True, slots=True)
class ScenarioPlaces:
    """The places of a fixed example: everything stands in it."""

    name: str = ""

    def _place(self, key: str) -> Place:
        return Place("scenario", file=self.name, key=key)

    def setting(self, *key: str | int) -> Place:
        """Return the example."""
        return self._place(".".join(map(str, key)))

    def revenue_goal(self, segment: str, month: date) -> Place:
        """Return the example."""
        return self._place(f"{segment} {month:%Y-%m}")

    def terms(self, terms: Terms, name: str) -> Place:
        """Return the example."""
        return self._place(f"{terms.segment} {terms.valid_from:%Y-%m} {name}")

    def rate(self, currency: str) -> Place:
        """Return the example."""
        return self._place(currency)

    def recorded(self, day: date, key: str) -> Place:
        """Return the example."""
        return replace(self._place(key), day=day)

    def source(self, what: str) -> tuple[str, str]:
        """Return the example."""
        return what, self.name


def figures_of(
    edition: Edition,
    facts: Facts | None,
    places: Places,
    previous: Edition | None = None,
    *,
    history: LeadCounts | None = None,
) -> Figures:
    """Return the record of every number that readers of an edition see.

    Args:
        edition: composed or frozen.
        facts: what the settings say; None for an edition that has none, whose numbers are then as frozen.
        places: where inputs stand.
        previous: the edition sent before it, for the bridge and for the same number in it.
        history: the counts of the months before; without them what was learned from them is a leaf.
    """
    made = _Maker(edition, facts, places, previous, history).figures()
    if previous is None:
        return made
    then = _Maker(previous, facts, places, None, None).figures()
    return replace(
        made,
        by_id={
            figure.id: replace(figure, before=_before(figure, edition, then, previous))
            for figure in made.values()
        },
    )


def _before(figure: Figure, now: Edition, then: Figures, previous: Edition) -> Before | None:
    """Find the same number in the previous edition; a new month has none there."""
    closed = figure.id.startswith(CLOSED)
    card = now.closed.scorecard if closed and now.closed else now.scorecard
    if previous.scorecard.period != card.period:
        return None
    same_one = then.get(figure.id.removeprefix(CLOSED))
    return None if same_one is None else Before(previous.business_date, same_one.value)


def slugs(names: Iterable[str]) -> dict[str, str]:
    """Return a short name of letters, digits and hyphens for each name, no two alike."""
    found: dict[str, str] = {UNASSIGNED: "unassigned"}
    for number, name in enumerate(names, 1):
        plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
        slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40] or f"segment-{number}"
        taken = set(found.values())
        found.setdefault(name, slug if slug not in taken else f"{slug}-{number}")
    return found


def _of(name: str, *ids: str) -> Input:
    return Input(name, figures=ids)


@dataclass
class _Maker:
    """Collects the figures of one edition."""

    edition: Edition
    facts: Facts | None
    places: Places
    previous: Edition | None
    history: LeadCounts | None
    found: dict[str, Figure] = field(default_factory=dict)
    notes: dict[object, str] = field(default_factory=dict)
    slugs: dict[str, str] = field(default_factory=dict)

    def figures(self) -> Figures:
        edition = self.edition
        self.slugs = slugs(_names(edition))
        for rate in edition.plan_rates:
            self._leaf(
                f"rate.{rate.currency.lower()}",
                Label("plan_rate", rate.currency),
                rate.rate,
                Unit.NUMBER,
                self.places.rate(rate.currency),
            )
        if edition.closed is not None:
            self._card(CLOSED, edition.closed.scorecard)
            self._bridge(CLOSED, edition.closed.scorecard, edition.closed.bridge)
        self._card("", edition.scorecard)
        self._bridge("", edition.scorecard, edition.bridge)
        self._follow_up(edition.follow_up)
        for drift in edition.drift or ():
            self._drift(drift)
        self._footer()
        self._notes()
        self._corrects()
        ordered = sorted(self.found.values(), key=_rank)
        return Figures({figure.id: figure for figure in ordered}, self.slugs, self.notes)

    # --------------------------------------------------------------------------------- recording

    def _add(
        self,
        name: str,
        label: Label,
        value: Number | None,
        unit: Unit,
        formula: str,
        *inputs: Input,
        rounding: Rounding = Rounding.NONE,
        currency: str | None = None,
    ) -> None:
        """Record a number with its formula, or as frozen where the formula does not give it."""
        if value is None:
            return
        given = self._evaluated(formula, inputs) if formula else None
        if given is None or not same(given, value):
            origin = self.places.recorded(self.edition.business_date, name)
            inputs = (Input("recorded", values=(value,), origin=origin),)
            formula, rounding = "recorded", Rounding.NONE
        else:
            given = None
        self.found[name] = Figure(
            name, label, value, unit, formula, inputs, rounding, currency, None, given
        )

    def _evaluated(self, formula: str, inputs: Sequence[Input]) -> Number | None:
        values: dict[str, Given] = {}
        for one in inputs:
            if not all(name in self.found for name in one.figures):
                return None
            values[one.name] = one.values or tuple(self.found[n].value for n in one.figures)
        return evaluate(formula, values)

    def _leaf(
        self,
        name: str,
        label: Label,
        value: Number | None,
        unit: Unit,
        origin: Origin,
        *,
        currency: str | None = None,
    ) -> None:
        if value is not None:
            read = Input("read", values=(value,), origin=origin)
            self._add(name, label, value, unit, "read", read, currency=currency)

    # ------------------------------------------------------------------------------ what was asked

    def _leads(self, edition: Edition | None = None) -> Asked:
        """The question for the leads, of this edition or of the previous one."""
        one = edition or self.edition
        first = one.judged.period.start
        window = Period(
            min(first, one.scorecard.cut_off), one.business_date, one.scorecard.period.timezone
        )
        return Asked(
            "leads",
            one.origin.connector,
            one.origin.source,
            one.origin.query,
            window,
            one.as_of,
            rows=sum(row.day in window for row in one.counts),
            total=one.source_total,
            reconciled=one.reconciled,
            calls=one.origin.calls or None,
        )

    def _history(self) -> Asked:
        edition, counts = self.edition, self.history
        end = edition.scorecard.period.start
        window = Period(add_months(end, -HISTORY_MONTHS), end, edition.scorecard.period.timezone)
        if self.facts is not None:
            earlier = self.facts.months.before(self._month(edition.scorecard), HISTORY_MONTHS)
            window = replace(window, start=earlier[0].period.start) if earlier else window
        if counts is None:
            origin = edition.origin
            return Asked(
                "history", origin.connector, origin.source, origin.query, window, edition.as_of
            )
        return Asked(
            "history",
            counts.origin.connector,
            counts.origin.source,
            counts.origin.query,
            counts.period,
            counts.as_of,
            len(counts.rows),
            counts.total,
            counts.reconciled,
            counts.origin.calls or None,
        )

    def _other(self, what: str, window: Period) -> Asked:
        connector, source = self.places.source(what)
        kind = "deals" if what == "deals" else "follow_up"
        return Asked(kind, connector, source, None, window, self.edition.as_of)  # type: ignore[arg-type] # two of its literals

    # ----------------------------------------------------------------------------------- a month

    def _month(self, card: Scorecard) -> Month:
        if self.facts is None:
            return Month(card.period, card.period.start)
        return self.facts.months.of(card.period.start)

    def _card(self, prefix: str, card: Scorecard) -> None:
        month = card.period.start if prefix else None
        courses: dict[str | None, Course] = {}
        if self.facts is not None:
            this, own = self._month(card), self._month(self.edition.scorecard)
            courses = dict(courses_of(self.facts, this, own, self.history))
        days = tuple(day for day in self.edition.days if day.day in card.period)
        send_days = days
        if self.facts is not None:
            send_days = self.facts.calendar.days(card.period)
        known = {row.segment for row in card.segments}
        on = None if card.closed else self.edition.business_date
        self._days(f"{prefix}month", Label("", None, None, month), card, send_days, card, "")
        for row in card.segments:
            name = row.segment or ""
            base = f"{prefix}segment.{self.slugs[name]}"
            about = Label("", name, None, month)
            self._actual(base, about, card, row, {name})
            course = courses.get(name)
            calendar = self._calendar_of(name)
            self._days(base, about, row, course.days if course else days, card, calendar)
            self._plan(f"{prefix}plan.{self.slugs[name]}", base, about, row, card, on=on)
            self._expected(base, about, row)
            self._ratios(base, about, row, course)
            self._worth(base, about, row, card)
        if card.unassigned is not None:
            base, about = f"{prefix}unassigned", Label("", UNASSIGNED, None, month)
            elsewhere = {count.segment for count in self.edition.counts} - known
            self._actual(base, about, card, card.unassigned, elsewhere)
        self._total(prefix, Label("", None, None, month), card, days, courses.get(None))
        self._value(prefix, month, card.value)

    def _calendar_of(self, segment: str) -> str:
        segments = self.facts.segments if self.facts is not None else ()
        return next((one.calendar or "" for one in segments if one.name == segment), "")

    def _actual(
        self,
        base: str,
        about: Label,
        card: Scorecard,
        row: Row,
        segments: set[str | None] | set[str],
    ) -> None:
        leads: dict[date, int] = {}
        for count in self.edition.counts:
            counted = count.day in card.period and count.day <= card.cut_off
            if counted and count.segment in segments:
                leads[count.day] = leads.get(count.day, 0) + count.leads
        known = sorted((day, count) for day, count in leads.items() if count)
        days = Input(
            "days",
            values=tuple(count for _, count in known) or (0,),
            origin=self._leads(),
            days=tuple(day for day, _ in known),
        )
        label = replace(about, code="actual")
        self._add(f"{base}.actual", label, row.actual, Unit.LEADS, "sum(days)", days)

    def _days(
        self,
        base: str,
        about: Label,
        weights: Row | Scorecard,
        days: Sequence[Workday],
        card: Scorecard,
        calendar: str,
    ) -> None:
        """The weight of a month, of what has elapsed, and of what remains."""
        key = ("calendars", calendar) if calendar else ("calendar",)
        for code, value, upto in (
            ("workdays", weights.workdays, None),
            ("elapsed", weights.elapsed, card.cut_off),
        ):
            counted = [day for day in days if day.weight and (upto is None or day.day <= upto)]
            read = Input(
                "days",
                values=tuple(day.weight for day in counted) or (0,),
                origin=self.places.setting(*key),
                days=tuple(day.day for day in counted),
            )
            label = replace(about, code=code)
            self._add(f"{base}.{code}", label, value, Unit.WORKDAYS, "sum(days)", read)
        self._add(
            f"{base}.remaining",
            replace(about, code="remaining"),
            weights.remaining,
            Unit.WORKDAYS,
            "workdays - elapsed",
            _of("workdays", f"{base}.workdays"),
            _of("elapsed", f"{base}.elapsed"),
        )

    def _expected(self, base: str, about: Label, row: Row) -> None:
        self._add(
            f"{base}.expected",
            replace(about, code="expected"),
            row.expected,
            Unit.LEADS,
            "goal * elapsed / workdays",
            _of("goal", f"{base}.goal"),
            _of("elapsed", f"{base}.elapsed"),
            _of("workdays", f"{base}.workdays"),
            rounding=Rounding.HALF_UP,
        )

    def _ratios(self, base: str, about: Label, row: Row, course: Course | None) -> None:
        """What a row with an actual is measured by; `base` has its goal and days already."""
        actual, goal = _of("actual", f"{base}.actual"), _of("goal", f"{base}.goal")
        expected, elapsed = _of("expected", f"{base}.expected"), _of("elapsed", f"{base}.elapsed")
        self._add(
            f"{base}.gap", replace(about, code="gap"), row.gap, Unit.LEADS,
            "actual - half_up(expected)", actual, expected,
        )  # fmt: skip
        for code, value, formula, inputs in (
            ("attainment", row.attainment, "actual / goal", (actual, goal)),
            ("pace", row.pace, "actual / expected", (actual, expected)),
        ):
            self._add(
                f"{base}.{code}", replace(about, code=code), value, Unit.SHARE, formula, *inputs,
                rounding=Rounding.FLOOR,
            )  # fmt: skip
        self._add(
            f"{base}.rate_per_workday", replace(about, code="rate_per_workday"),
            row.rate_per_workday, Unit.PER_WORKDAY, "actual / elapsed", actual, elapsed,
        )  # fmt: skip
        if row.actual is not None and row.goal is not None:
            self._to_go(base, about, row)
        self._forecast(base, about, row, course)

    def _to_go(self, base: str, about: Label, row: Row) -> None:
        actual, goal = _of("actual", f"{base}.actual"), _of("goal", f"{base}.goal")
        missing = max((row.goal or 0) - (row.actual or 0), 0)
        over = (row.actual or 0) - (row.goal or 0)
        to_go = _of("to_go", f"{base}.to_go")
        self._add(
            f"{base}.to_go", replace(about, code="to_go"), missing, Unit.LEADS,
            "max(goal - actual, 0)", goal, actual,
        )  # fmt: skip
        self._add(
            f"{base}.against_goal", replace(about, code="against_goal"), over, Unit.LEADS,
            "actual - goal", actual, goal,
        )  # fmt: skip
        self._add(
            f"{base}.reached", replace(about, code="reached"), int(over >= 0), Unit.NUMBER,
            "at_least(actual, goal)", actual, goal,
        )  # fmt: skip
        self._add(
            f"{base}.required_per_workday",
            replace(about, code="required_per_workday"),
            row.required_per_workday,
            Unit.PER_WORKDAY,
            "tenth_up(to_go / remaining)" if row.remaining else "to_go",
            to_go,
            _of("remaining", f"{base}.remaining"),
            rounding=Rounding.TENTH_UP,
        )

    def _total(
        self,
        prefix: str,
        about: Label,
        card: Scorecard,
        days: Sequence[Workday],
        course: Course | None,
    ) -> None:
        base, total = f"{prefix}total", card.total
        rows = [f"{prefix}segment.{self.slugs[row.segment or '']}" for row in card.segments]
        counted = [*rows, *([f"{prefix}unassigned"] if card.unassigned else [])]
        for code, value, parts in (
            ("actual", total.actual, counted),
            ("goal", total.goal, rows),
        ):
            self._sum(f"{base}.{code}", replace(about, code=code), value, Unit.LEADS, parts)
        self._days(base, about, total, days, card, "")
        self._sum(
            f"{base}.expected", replace(about, code="expected"), total.expected, Unit.LEADS, rows,
            rounding=Rounding.HALF_UP,
        )  # fmt: skip
        self._ratios(base, about, total, course)
        if total.goal and card.workdays:
            self._add(
                f"{base}.needed_per_workday", replace(about, code="needed_per_workday"),
                Fraction(total.goal) / card.workdays, Unit.PER_WORKDAY, "goal / workdays",
                _of("goal", f"{base}.goal"), _of("workdays", f"{prefix}month.workdays"),
            )  # fmt: skip
        if card.closed:
            with_goal = [f"{name}.reached" for name in rows if f"{name}.reached" in self.found]
            reached = sum(row.status is Status.REACHED for row in card.segments)
            self._add(
                f"{prefix}segments.reached", replace(about, code="segments_reached"), reached,
                Unit.NUMBER, "sum(segments)", _of("segments", *with_goal),
            )  # fmt: skip
            self._add(
                f"{prefix}segments.with_goal", replace(about, code="segments_with_goal"),
                sum(row.goal is not None for row in card.segments),
                Unit.NUMBER, "count(segments)", _of("segments", *with_goal),
            )  # fmt: skip

    def _sum(
        self,
        name: str,
        label: Label,
        value: Number | None,
        unit: Unit,
        bases: Sequence[str],
        *,
        rounding: Rounding = Rounding.NONE,
        currency: str | None = None,
    ) -> None:
        """A total: the sum of the same figure of its rows, as far as they have it."""
        code = name.rpartition(".")[2]
        parts = [f"{base}.{code}" for base in bases if f"{base}.{code}" in self.found]
        self._add(
            name, label, value, unit, "sum(segments)", _of("segments", *parts),
            rounding=rounding, currency=currency,
        )  # fmt: skip

    # --------------------------------------------------------------------------------- the forecast

    def _forecast(self, base: str, about: Label, row: Row, course: Course | None) -> None:
        forecast = row.forecast
        if forecast is None or row.actual is None:
            return
        base = f"{base}.forecast"
        actual = _of("actual", base.replace(".forecast", ".actual"))
        known = prior(course.history) if course is not None and self.history is not None else None
        if not row.remaining:
            self._ended(base, about, forecast, actual)
        elif known is None or course is None:
            self._read_forecast(base, about, forecast, row.actual)
        else:
            self._learned(base, about, row, course)
        self._shown_forecast(base, about, forecast, actual, remaining=bool(row.remaining))

    def _ended(self, base: str, about: Label, forecast: Forecast, actual: Input) -> None:
        goal = _of("goal", base.replace(".forecast", ".goal"))
        self._add(
            f"{base}.chance", replace(about, code="chance"), forecast.chance, Unit.SHARE,
            "at_least(actual, goal)", actual, goal, rounding=Rounding.FLOOR,
        )  # fmt: skip

    def _read_forecast(self, base: str, about: Label, forecast: Forecast, counted: int) -> None:
        """Without the months before: what they say of the rest of this one is as good as read."""
        for code, value in (
            ("to_come", forecast.mean - counted),
            ("to_come_low", forecast.low - counted),
            ("to_come_high", forecast.high - counted),
        ):
            label = replace(about, code=code)
            self._leaf(f"{base}.{code}", label, value, Unit.LEADS, self._history())
        self._leaf(
            f"{base}.chance", replace(about, code="chance"), forecast.chance, Unit.SHARE,
            self._history(),
        )  # fmt: skip

    def _learned(self, base: str, about: Label, row: Row, course: Course) -> None:
        """The model of `forecast`, step by step from the months before."""
        known = prior(course.history)
        if known is None or row.actual is None or row.forecast is None:
            return
        asked = self._history()
        for code, value in (
            ("usual_rate", known.rate),
            ("rate_variance", known.variance),
            ("dispersion", known.phi),
        ):
            unit = Unit.PER_WORKDAY if code == "usual_rate" else Unit.NUMBER
            self._leaf(f"{base}.{code}", replace(about, code=code), value, unit, asked)
        early = self._before_start(row, course)
        counted = row.actual - early if row.elapsed else 0
        self._add(
            f"{base}.counted", replace(about, code="counted"), counted, Unit.LEADS,
            "actual - early" if row.elapsed else "0",
            _of("actual", base.replace(".forecast", ".actual")),
            Input("early", values=(early,), origin=self._leads()),
        )  # fmt: skip
        ahead = outlook(known, counted=counted, elapsed=row.elapsed, remaining=row.remaining)
        rate, variance, noise, leads = (
            _of(name, f"{base}.{name}")
            for name in ("usual_rate", "rate_variance", "dispersion", "counted")
        )
        days = base.removesuffix(".forecast")
        elapsed = _of("elapsed", f"{days}.elapsed")
        remaining = _of("remaining", f"{days}.remaining")
        shape, exposure = _of("shape", f"{base}.shape"), _of("exposure", f"{base}.exposure")
        self._add(
            f"{base}.shape", replace(about, code="shape"), ahead.shape, Unit.NUMBER,
            "usual_rate * usual_rate / rate_variance + counted / dispersion",
            rate, variance, leads, noise,
        )  # fmt: skip
        self._add(
            f"{base}.exposure", replace(about, code="exposure"), ahead.exposure, Unit.NUMBER,
            "usual_rate / rate_variance + elapsed / dispersion", rate, variance, elapsed, noise,
        )  # fmt: skip
        self._add(
            f"{base}.to_come", replace(about, code="to_come"), ahead.mean, Unit.LEADS,
            "shape / exposure * remaining", shape, exposure, remaining,
        )  # fmt: skip
        to_come = _of("to_come", f"{base}.to_come")
        self._add(
            f"{base}.spread", replace(about, code="spread"), ahead.variance, Unit.NUMBER,
            "dispersion * to_come + shape / exposure / exposure * remaining * remaining",
            noise, to_come, shape, exposure, remaining,
        )  # fmt: skip
        spread = _of("spread", f"{base}.spread")
        for end, value in (("low", row.forecast.low), ("high", row.forecast.high)):
            self._add(
                f"{base}.to_come_{end}", replace(about, code=f"to_come_{end}"), value - row.actual,
                Unit.LEADS, f"{end}(to_come, spread)", to_come, spread,
            )  # fmt: skip
        reached = row.goal is not None and row.actual >= row.goal
        counts = tuple(_of(name, f"{days}.{name}") for name in ("actual", "goal"))
        self._add(
            f"{base}.chance",
            replace(about, code="chance"),
            row.forecast.chance,
            Unit.SHARE,
            "at_least(actual, goal)" if reached else "reach(to_go, to_come, spread)",
            *(counts if reached else (_of("to_go", f"{days}.to_go"), to_come, spread)),
            rounding=Rounding.FLOOR,
        )

    def _before_start(self, row: Row, course: Course) -> int:
        start = course.start
        if start is None:
            return 0
        return sum(
            count.leads
            for count in self.edition.counts
            if count.segment == row.segment
            and count.day < start
            and count.day in self.edition.scorecard.period
        )

    def _shown_forecast(
        self, base: str, about: Label, forecast: Forecast, actual: Input, *, remaining: bool
    ) -> None:
        for code, part, value in (
            ("mean", "to_come", forecast.mean),
            ("low", "to_come_low", forecast.low),
            ("high", "to_come_high", forecast.high),
        ):
            inputs = (actual, _of(part, f"{base}.{part}")) if remaining else (actual,)
            self._add(
                f"{base}.{code}", replace(about, code=f"forecast_{code}"), value, Unit.LEADS,
                f"actual + {part}" if remaining else "actual", *inputs,
                rounding=Rounding.HALF_UP if code == "mean" else Rounding.NONE,
            )  # fmt: skip

    # ------------------------------------------------------------------------------------ the plan

    def _plan(
        self,
        at: str,
        base: str,
        about: Label,
        row: Row,
        card: Scorecard,
        *,
        on: date | None,
    ) -> None:
        """The goal of a segment and what a lead of it is worth, from what was agreed."""
        name, goal = row.segment or "", replace(about, code="goal")
        plan = self.facts.plan if self.facts is not None else None
        formula, inputs, rounding = _NOT_AGREED
        worth: tuple[str, tuple[Input, ...]] = ("", ())
        if plan is not None and name in plan.segments:
            agreed = basis(plan, name, self._month(card).plan_month, on=on)
            self._agreed(at, about, agreed.terms, agreed.month, agreed.revenue_goal, row.currency)
            formula, inputs, rounding = self._goal_formula(at, plan, agreed.terms)
            worth = self._lead_value_formula(at, agreed.terms)
        self._add(f"{base}.goal", goal, row.goal, Unit.LEADS, formula, *inputs, rounding=rounding)
        self._add(
            f"{base}.lead_value", replace(about, code="lead_value"), row.lead_value, Unit.MONEY,
            worth[0], *worth[1], currency=row.currency,
        )  # fmt: skip
        if f"{at}.revenue_goal" in self.found and f"{at}.marketing_share" in self.found:
            revenue = Fraction(self.found[f"{at}.revenue_goal"].value) * Fraction(
                self.found[f"{at}.marketing_share"].value
            )
            self._add(
                f"{at}.marketing_revenue", replace(about, code="marketing_revenue"), revenue,
                Unit.MONEY, "revenue_goal * marketing_share",
                _of("revenue_goal", f"{at}.revenue_goal"),
                _of("marketing_share", f"{at}.marketing_share"),
                currency=row.currency,
            )  # fmt: skip

    def _agreed(
        self,
        at: str,
        about: Label,
        terms: Terms | None,
        month: date,
        revenue_goal: Decimal | None,
        currency: str | None,
    ) -> None:
        """Record each input of a goal as a figure of its own."""
        name = about.segment or ""
        self._leaf(
            f"{at}.revenue_goal", replace(about, code="revenue_goal"), revenue_goal, Unit.MONEY,
            self.places.revenue_goal(name, month), currency=currency,
        )  # fmt: skip
        if terms is None:
            return
        for code in ("deal_size", "marketing_share", "close_rate", "goal"):
            value: Number | None = getattr(terms, code)
            unit = {"deal_size": Unit.MONEY, "goal": Unit.LEADS}.get(code, Unit.SHARE)
            self._leaf(
                f"{at}.{code}", replace(about, code="goal_by_hand" if code == "goal" else code),
                value, unit, self.places.terms(terms, code),
                currency=currency if unit is Unit.MONEY else None,
            )  # fmt: skip
        for number, rate in enumerate(terms.stage_rates, 1):
            self._leaf(
                f"{at}.stage_rate_{number}", replace(about, code=f"stage_rate_{number}"), rate,
                Unit.SHARE, self.places.terms(terms, "stage_rates"),
            )  # fmt: skip

    def _rates(self, terms: Terms) -> list[str]:
        stages = [f"stage_rate_{number}" for number, _ in enumerate(terms.stage_rates, 1)]
        return [*stages, *([] if terms.close_rate is None else ["close_rate"])]

    def _goal_formula(
        self, at: str, plan: Plan, terms: Terms | None
    ) -> tuple[str, tuple[Input, ...], Rounding]:
        if terms is not None and terms.goal is not None:
            return "goal_by_hand", (_of("goal_by_hand", f"{at}.goal"),), Rounding.NONE
        revenue = _of("revenue_goal", f"{at}.revenue_goal")
        wanted = self.found.get(f"{at}.revenue_goal")
        if terms is None or (wanted is not None and not wanted.value):
            return "revenue_goal", (revenue,), Rounding.NONE
        rates = self._rates(terms)
        inputs = (
            revenue,
            *(_of(name, f"{at}.{name}") for name in ("marketing_share", "deal_size", *rates)),
        )
        formula = "revenue_goal * marketing_share / deal_size"
        if plan.rounding == "once":
            return f"ceil({' / '.join((formula, *rates))})", inputs, Rounding.UP
        formula = f"ceil({formula})"
        for rate in reversed(rates):
            formula = f"ceil({formula} / {rate})"
        return formula, inputs, Rounding.UP

    def _lead_value_formula(self, at: str, terms: Terms | None) -> tuple[str, tuple[Input, ...]]:
        if terms is None:
            return "", ()
        names = ("deal_size", *self._rates(terms))
        return " * ".join(names), tuple(_of(name, f"{at}.{name}") for name in names)

    # --------------------------------------------------------------------------------- the value

    def _worth(self, base: str, about: Label, row: Row, card: Scorecard) -> None:
        """What goal and leads of a segment are worth in the plan currency."""
        if card.value is None or row.lead_value is None:
            return
        currency = card.value.currency
        rate = next(
            (r for r in self.edition.plan_rates if r.currency == row.currency != currency), None
        )
        factor = Fraction(1) if rate is None else Fraction(rate.rate)
        times = "" if rate is None else " * plan_rate"
        inputs = () if rate is None else (_of("plan_rate", f"rate.{rate.currency.lower()}"),)
        for code, leads in (("goal", row.goal), ("actual", row.actual)):
            if leads is not None:
                self._add(
                    f"{base}.value_{code}", replace(about, code=f"value_{code}"),
                    leads * row.lead_value * factor, Unit.MONEY, f"{code} * lead_value{times}",
                    _of(code, f"{base}.{code}"), _of("lead_value", f"{base}.lead_value"), *inputs,
                    currency=currency,
                )  # fmt: skip

    def _value(self, prefix: str, month: date | None, value: Value | None) -> None:
        if value is None:
            return
        base = f"{prefix}value"
        for code, amount in (("goal", value.goal), ("actual", value.actual)):
            parts = [
                name
                for name in self.found
                if name.startswith(f"{prefix}segment.") and name.endswith(f".value_{code}")
            ]
            self._add(
                f"{base}.{code}", Label(f"value_{code}", None, None, month), amount, Unit.MONEY,
                "sum(segments)", _of("segments", *parts), currency=value.currency,
                rounding=Rounding.HALF_UP,
            )  # fmt: skip
        self._add(
            f"{base}.attainment", Label("value_attainment", None, None, month), value.attainment,
            Unit.SHARE, "value_actual / value_goal",
            _of("value_actual", f"{base}.actual"), _of("value_goal", f"{base}.goal"),
            rounding=Rounding.FLOOR,
        )  # fmt: skip

    # ----------------------------------------------------------------------- since the last edition

    def _bridge(self, prefix: str, card: Scorecard, bridge: Bridge) -> None:
        base, month = f"{prefix}bridge", card.period.start if prefix else None
        self._opening(base, month, card, bridge)
        for day, leads in bridge.new:
            counts = [row.leads for row in self.edition.counts if row.day == day]
            read = Input("counts", values=tuple(counts) or (0,), origin=self._leads(), days=(day,))
            label = Label("new", None, day, month)
            self._add(f"{base}.new.{day}", label, leads, Unit.LEADS, "sum(counts)", read)
        new = [f"{base}.new.{day}" for day, _ in bridge.new]
        self._add(
            f"{base}.new", Label("new_leads", None, None, month), sum(n for _, n in bridge.new),
            Unit.LEADS, "sum(days)", _of("days", *new),
        )  # fmt: skip
        for change in bridge.corrections:
            self._correction(base, month, change.day, change.segment, change.leads)
        corrections = [name for name in self.found if name.startswith(f"{base}.correction.")]
        self._add(
            f"{base}.corrections", Label("corrections", None, None, month),
            sum(change.leads for change in bridge.corrections), Unit.LEADS, "sum(days)",
            _of("days", *corrections),
        )  # fmt: skip
        self._add(
            f"{base}.actual", Label("actual", None, None, month), bridge.actual, Unit.LEADS,
            "previous + new_leads + corrections",
            _of("previous", f"{base}.previous"), _of("new_leads", f"{base}.new"),
            _of("corrections", f"{base}.corrections"),
        )  # fmt: skip
        for day, usual in bridge.usual or ():
            self._usual(base, month, day, usual)

    def _known(self, bridge: Bridge, card: Scorecard) -> tuple[Edition, date]:
        """Whose counts the old count is made of, and up to which day."""
        if bridge.previous_cut_off is None:
            first = bridge.new[0][0] - timedelta(1) if bridge.new else card.cut_off
            return self.edition, first
        return self.previous or self.edition, bridge.previous_cut_off

    def _opening(self, base: str, month: date | None, card: Scorecard, bridge: Bridge) -> None:
        edition, upto = self._known(bridge, card)
        leads: dict[date, int] = {}
        if bridge.previous_cut_off is None or self.previous is not None:
            for row in edition.counts:
                if row.day in card.period and row.day <= upto:
                    leads[row.day] = leads.get(row.day, 0) + row.leads
        read = Input(
            "days",
            values=tuple(leads.values()) or (0,),
            origin=self._leads(edition),
            days=tuple(leads),
        )
        self._add(
            f"{base}.previous", Label("previous", None, upto, month), bridge.previous_actual,
            Unit.LEADS, "sum(days)", read,
        )  # fmt: skip

    def _correction(
        self, base: str, month: date | None, day: date, segment: str, leads: int
    ) -> None:
        def counted(edition: Edition | None) -> int:
            rows = edition.counts if edition is not None else ()
            return sum(row.leads for row in rows if (row.day, row.segment) == (day, segment))

        self._add(
            f"{base}.correction.{day}.{self.slugs.get(segment, 'other')}",
            Label("correction", segment, day, month), leads, Unit.LEADS, "now - then",
            Input("now", values=(counted(self.edition),), origin=self._leads(), days=(day,)),
            Input(
                "then",
                values=(counted(self.previous),),
                origin=self._leads(self.previous),
                days=(day,),
            ),
        )  # fmt: skip

    def _usual(self, base: str, month: date | None, day: date, usual: float) -> None:
        label, name = Label("usual", None, day, month), f"{base}.usual.{day}"
        if self.history is None:
            self._leaf(name, label, usual, Unit.LEADS, self._history())
            return
        weeks = [day - timedelta(weeks=week) for week in range(1, USUAL_WEEKS + 1)]
        start = self.edition.scorecard.period.start
        earlier = [one for one in weeks if one < start]
        here = [one for one in weeks if one >= start]
        inputs = (
            Input(
                "earlier",
                values=tuple(_leads_on(self.history.rows, one) for one in earlier) or (0,),
                origin=self._history(),
                days=tuple(earlier),
            ),
            Input(
                "this_month",
                values=tuple(_leads_on(self.edition.counts, one) for one in here) or (0,),
                origin=self._leads(),
                days=tuple(here),
            ),
        )
        formula = f"(sum(earlier) + sum(this_month)) / {USUAL_WEEKS}"
        self._add(name, label, usual, Unit.LEADS, formula, *inputs)

    # -------------------------------------------------------------------------------- the sales half

    def _follow_up(self, facts: FollowUp | None) -> None:
        if facts is None:
            return
        month = self.edition.judged.period
        window = Period(add_months(month.start, -1), self.edition.business_date, month.timezone)
        asked = self._other("follow_up", window)
        self._answers("follow_up", Label(""), facts, asked)
        for code in ("attempts_due", "attempts_kept"):
            self._leaf(f"follow_up.{code}", Label(code), getattr(facts, code), Unit.LEADS, asked)
        self._add(
            "follow_up.attempts_missing", Label("attempts_missing"),
            facts.attempts_due - facts.attempts_kept, Unit.LEADS, "attempts_due - attempts_kept",
            _of("attempts_due", "follow_up.attempts_due"),
            _of("attempts_kept", "follow_up.attempts_kept"),
        )  # fmt: skip
        self._leaf("follow_up.p90_minutes", Label("p90"), facts.p90_minutes, Unit.MINUTES, asked)
        self._leaf("follow_up.leads", Label("qualified"), facts.leads, Unit.LEADS, asked)
        if facts.due:
            self._add(
                "follow_up.share", Label("in_time_share"), Fraction(facts.in_time, facts.due),
                Unit.SHARE, "in_time / due", _of("in_time", "follow_up.in_time"),
                _of("due", "follow_up.due"), rounding=Rounding.FLOOR,
            )  # fmt: skip
        if facts.leads:
            self._add(
                "follow_up.rejected_share", Label("rejected_share"),
                Fraction(facts.rejected, facts.leads), Unit.SHARE, "rejected / qualified",
                _of("rejected", "follow_up.rejected"), _of("qualified", "follow_up.leads"),
                rounding=Rounding.FLOOR,
            )  # fmt: skip
        for code, unit in (
            ("respond_within", Unit.MINUTES),
            ("website_within", Unit.MINUTES),
            ("attempts", Unit.NUMBER),
            ("within_workdays", Unit.WORKDAYS),
        ):
            place = self.places.setting("follow_up", code)
            self._leaf(f"follow_up.{code}", Label(code), getattr(facts, code), unit, place)
        for part in facts.segments:
            slug = self.slugs.get(part.segment, "other")
            self._answers(f"follow_up.segment.{slug}", Label("", part.segment), part, asked)

    def _answers(
        self, base: str, about: Label, facts: FollowUp | SegmentFollowUp, asked: Asked
    ) -> None:
        for code in ("due", "in_time", "overdue", "accepted", "rejected"):
            label = replace(about, code=code)
            self._leaf(f"{base}.{code}", label, getattr(facts, code), Unit.LEADS, asked)
        label = replace(about, code="median")
        self._leaf(f"{base}.median_minutes", label, facts.median_minutes, Unit.MINUTES, asked)

    def _drift(self, drift: Drift) -> None:
        edition, slug = self.edition, self.slugs.get(drift.segment, "other")
        base, plan = f"drift.{slug}", f"plan.{slug}"
        about = Label("", drift.segment)
        currency = next(
            (row.currency for row in edition.scorecard.segments if row.segment == drift.segment),
            None,
        )
        window = measured_window(edition.business_date, edition.scorecard.period.timezone)
        deals = self._other("deals", window)
        rates = [
            name.rpartition(".")[2]
            for name in self.found
            if name.startswith(f"{plan}.")
            and name.endswith(("close_rate",))
            or name.startswith(f"{plan}.stage_rate_")
        ]
        self._add(
            f"{base}.agreed_close_rate", replace(about, code="close_rate"),
            drift.agreed_close_rate, Unit.SHARE, " * ".join(rates) or "",
            *(_of(name, f"{plan}.{name}") for name in rates),
        )  # fmt: skip
        self._add(
            f"{base}.agreed_deal_size", replace(about, code="deal_size"), drift.agreed_deal_size,
            Unit.MONEY, "deal_size", _of("deal_size", f"{plan}.deal_size"), currency=currency,
        )  # fmt: skip
        self._leaf(
            f"{base}.measured_close_rate", replace(about, code="measured_close_rate"),
            drift.measured_close_rate, Unit.SHARE, deals,
        )  # fmt: skip
        self._leaf(
            f"{base}.measured_deal_size", replace(about, code="measured_deal_size"),
            drift.measured_deal_size, Unit.MONEY, deals, currency=currency,
        )  # fmt: skip
        goal = f"segment.{slug}.goal"
        self._add(
            f"{base}.goal", replace(about, code="goal"), drift.goal, Unit.LEADS, "goal",
            _of("goal", goal),
        )  # fmt: skip
        self._at_measured(base, plan, about, drift)

    def _at_measured(self, base: str, plan: str, about: Label, drift: Drift) -> None:
        size = f"{base}.measured_deal_size"
        if size not in self.found:
            size = f"{base}.agreed_deal_size"
        revenue, formula = f"{plan}.marketing_revenue", "marketing_revenue"
        inputs = [_of("marketing_revenue", revenue)]
        if f"{plan}.goal" in self.found:  # set by hand: the revenue that it implies
            segment = f"segment.{self.slugs.get(drift.segment, 'other')}"
            formula = "goal * lead_value"
            inputs = [_of("goal", f"{segment}.goal"), _of("lead_value", f"{segment}.lead_value")]
        whole = f"{formula} / deal_size"
        cascade = self.facts is not None and self.facts.plan.rounding == "cascade"
        whole = f"ceil({whole})" if cascade else whole
        self._add(
            f"{base}.goal_at_measured", replace(about, code="goal_at_measured"),
            drift.goal_at_measured, Unit.LEADS, f"ceil({whole} / measured_close_rate)", *inputs,
            _of("deal_size", size), _of("measured_close_rate", f"{base}.measured_close_rate"),
            rounding=Rounding.UP,
        )  # fmt: skip

    # ------------------------------------------------------------------------------ the small print

    def _footer(self) -> None:
        edition = self.edition
        if edition.origin.quota is not None:
            used, allowed = edition.origin.quota
            self._leaf("quota.used", Label("quota_used"), used, Unit.NUMBER, self._leads())
            self._leaf("quota.allowed", Label("quota_allowed"), allowed, Unit.NUMBER, self._leads())
        for number, (rule, count) in enumerate(edition.excluded, 1):
            label = Label("excluded", rule)
            self._leaf(f"excluded.{number}", label, count, Unit.NUMBER, self._leads())
        lag = self.places.setting("sla", "lag_months")
        self._leaf("lag", Label("lag_months"), edition.lag_months or None, Unit.NUMBER, lag)
        if edition.history_hits is not None:
            for code, value in zip(("held", "judged"), edition.history_hits, strict=True):
                origin = self.places.recorded(edition.business_date, f"history_hits.{code}")
                self._leaf(f"hits.{code}", Label(f"hits_{code}"), value, Unit.NUMBER, origin)
        self._leaf(
            "forecast.range", Label("forecast_range"), Fraction(8, 10), Unit.SHARE,
            Place("default", key="forecast"),
        )  # fmt: skip
        rows = edition.scorecard.segments
        silent = sum(row.status is Status.NO_DATA for row in rows)
        self._leaf(
            "segments.silent", Label("segments_silent"), silent or None, Unit.NUMBER, self._leads()
        )
        bare = [
            f"segment.{self.slugs[row.segment or '']}.actual"
            for row in rows
            if row.goal is None and row.actual is not None
        ]
        for name, code, value in (
            (
                "goals.missing_leads",
                "leads_without_goal",
                sum(int(self.found[n].value) for n in bare),
            ),
            ("goals.missing", "segments_without_goal", len(bare)),
        ):
            formula = "sum(segments)" if code == "leads_without_goal" else "count(segments)"
            if bare:
                self._add(name, Label(code), value, Unit.NUMBER, formula, _of("segments", *bare))

    # ------------------------------------------------------------------------------------- the notes

    def _notes(self) -> None:
        edition = self.edition
        for note in edition.warnings:
            self._note(note, note.segment, "")
        closed = edition.closed.scorecard if edition.closed else None
        for prefix, card in ((CLOSED, closed), ("", edition.scorecard)):
            for row in _all_rows(card):
                for note in row.notes:
                    self._note(note, row.segment, prefix)

    def _note(self, note: Note, segment: str | None, prefix: str) -> None:
        if note in self.notes or (note.number is None and note.other is None):
            return
        slug = "" if segment is None else f".{self.slugs.get(segment, 'other')}"
        day = "" if note.day is None else f".{note.day}"
        name = f"note.{note.code}{slug}{day}"
        if f"{name}.number" in self.found or f"{name}.other" in self.found:
            name = f"{name}.{len(self.notes) + 1}"
        self.notes[note] = name
        for part, value in (("number", note.number), ("other", note.other), ("share", note.share)):
            if value is not None:
                self._note_part(note, f"{name}.{part}", part, value, segment, prefix)

    def _note_part(
        self,
        note: Note,
        name: str,
        part: str,
        value: Fraction,
        segment: str | None,
        prefix: str,
    ) -> None:
        base = self._base(prefix, segment)
        slug = self.slugs.get(segment or "", "other")
        label = Label(f"{note.code}_{part}", segment, note.day)
        match note.code, part:
            case NoteCode.WITHOUT_GOAL, "number":
                self._same(name, label, value, f"{base}.actual", "actual")
            case NoteCode.SET_BY_HAND, "number":
                self._same(name, label, value, f"{base}.goal", "goal")
            case NoteCode.SET_BY_HAND, _:
                self._add(
                    name, label, value, Unit.MONEY, "goal * lead_value",
                    _of("goal", f"{base}.goal"), _of("lead_value", f"{base}.lead_value"),
                    currency=note.text,
                )  # fmt: skip
            case NoteCode.GOAL_CHANGED, "other":
                self._same(name, label, value, f"{base}.goal", "goal")
            case NoteCode.GOAL_CHANGED, _:
                self._goal_before(name, label, value, slug, segment or "")
            case NoteCode.UNASSIGNED, "number":
                judged = CLOSED if self.edition.closed is not None else ""
                self._same(name, label, value, f"{judged}unassigned.actual", "actual")
            case NoteCode.UNASSIGNED, _:
                judged = CLOSED if self.edition.closed is not None else ""
                self._add(
                    name, label, value, Unit.SHARE, "unassigned / actual",
                    _of("unassigned", f"{judged}unassigned.actual"),
                    _of("actual", f"{judged}total.actual"), rounding=Rounding.FLOOR,
                )  # fmt: skip
            case NoteCode.IMPLAUSIBLE_ZERO, _:
                self._leaf(name, label, value, Unit.LEADS, self._history())
            case NoteCode.CALENDAR_CHANGED, "other":
                self._leaf(name, label, value, Unit.WORKDAYS, self.places.setting("calendar"))
            case NoteCode.LATE_ENTRIES, _:
                self._leaf(name, label, value, Unit.LEADS, self._history())
            case _:
                day = self.previous.business_date if self.previous else self.edition.business_date
                origin = self.places.recorded(day, name)
                self._leaf(name, label, value, Unit.WORKDAYS, origin)

    def _base(self, prefix: str, segment: str | None) -> str:
        if segment is None:
            return f"{prefix}total"
        if segment == UNASSIGNED:
            return f"{prefix}unassigned"
        return f"{prefix}segment.{self.slugs.get(segment, 'other')}"

    def _same(self, name: str, label: Label, value: Number, other: str, code: str) -> None:
        """A number that stands elsewhere as well."""
        self._add(name, label, value, Unit.LEADS, code, _of(code, other))

    def _goal_before(
        self, name: str, label: Label, value: Fraction, slug: str, segment: str
    ) -> None:
        """The goal before its change: by the terms of the month's first day, or as it was sent."""
        plan = self.facts.plan if self.facts is not None else None
        formula, inputs, rounding = _NOT_AGREED
        if plan is not None and segment in plan.segments:
            month = self._month(self.edition.scorecard).plan_month
            agreed = basis(plan, segment, month, on=month)
            at, about = f"plan.{slug}.before", replace(label, code="", day=None)
            currency = dict(plan.currencies)[segment]
            self._agreed(at, about, agreed.terms, agreed.month, agreed.revenue_goal, currency)
            formula, inputs, rounding = self._goal_formula(at, plan, agreed.terms)
        self._add(name, label, value, Unit.LEADS, formula, *inputs, rounding=rounding)

    def _corrects(self) -> None:
        corrects = self.edition.corrects
        codes = {FigureCode.LEADS: "actual", FigureCode.GOAL: "goal", FigureCode.GAP: "gap"}
        for number, moved in enumerate(corrects.figures if corrects else (), 1):
            code, name = codes[moved.figure], f"corrects.{number}"
            later = self.edition.scorecard.period.start
            base = self._base("" if moved.month == later else CLOSED, moved.segment)
            label = Label(code, moved.segment)
            origin = self.places.recorded(self.edition.business_date, f"{name}.before")
            before = replace(label, code=f"{code}_before")
            self._leaf(f"{name}.before", before, moved.before, Unit.LEADS, origin)
            if moved.now is not None:
                self._same(f"{name}.now", label, moved.now, f"{base}.{code}", code)


def _names(edition: Edition) -> list[str]:
    cards = [edition.scorecard, *([edition.closed.scorecard] if edition.closed else [])]
    named = [row.segment for card in cards for row in card.segments]
    named += [part.segment for part in edition.follow_up.segments] if edition.follow_up else []
    named += [drift.segment for drift in edition.drift or ()]
    named += [change.segment for change in edition.bridge.corrections]
    named += [count.segment for count in edition.counts]
    return list(dict.fromkeys(name for name in named if name))


def _all_rows(card: Scorecard | None) -> Iterator[Row]:
    if card is not None:
        yield from card.segments
        if card.unassigned is not None:
            yield card.unassigned
        yield card.total


def _leads_on(rows: Iterable[object], day: date) -> int:
    return sum(row.leads for row in rows if row.day == day)  # type: ignore[attr-defined] # DayCount


def _rank(figure: Figure) -> tuple[bool, int]:
    closed = figure.id.startswith(CLOSED)
    group = figure.id.removeprefix(CLOSED).partition(".")[0]
    return not closed, _ORDER.index(group) if group in _ORDER else len(_ORDER)

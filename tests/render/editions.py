"""The editions that all rendering tests and goldens share: built by hand, the same on every machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from fractions import Fraction
from functools import cache

from digest.editions import figures_moved
from digest.model import (
    UNASSIGNED,
    Bridge,
    ClosedMonth,
    CorrectedFigure,
    Correction,
    Corrects,
    DayCount,
    Drift,
    Edition,
    FigureCode,
    FollowUp,
    Forecast,
    Kind,
    Message,
    Note,
    NoteCode,
    Origin,
    Period,
    PlanRate,
    Row,
    Scorecard,
    SegmentFollowUp,
    Status,
    Value,
    Workday,
)
from digest.render import render

ZONE = "Europe/Zurich"
JUNE = Period(date(2026, 6, 1), date(2026, 7, 1), ZONE)
MAY = Period(date(2026, 5, 1), date(2026, 6, 1), ZONE)
BUSINESS_DATE = date(2026, 6, 15)
CUT_OFF = date(2026, 6, 14)

# Four regions: goal, actual, lead value, currency, status as the calculator would find it.
REGIONS = (
    ("DACH", 60, 26, 600, "CHF", Status.ON_TRACK),
    ("Benelux", 40, 10, 450, "EUR", Status.BEHIND),
    ("UK & Ireland", 28, 12, 240, "EUR", Status.ON_TRACK),
    ("Nordics", 12, 5, 420, "EUR", Status.AT_RISK),
)
ELAPSED, WORKDAYS = Fraction(10), Fraction(22)
# New leads of 1 to 14 June: workdays busy, weekends quiet; they add up to 55.
DAILY = (6, 5, 4, 7, 5, 1, 0, 6, 5, 4, 6, 5, 1, 0)


def half_up(value: Fraction) -> int:
    return int(value + Fraction(1, 2))


def required(goal: int, actual: int, remaining: Fraction) -> Decimal | None:
    if not remaining:
        return None
    left = Fraction(max(goal - actual, 0)) / remaining
    exact = Decimal(left.numerator) / Decimal(left.denominator)
    return exact.quantize(Decimal("0.1"), rounding=ROUND_CEILING)


def row(
    segment: str | None,
    status: Status,
    actual: int | None,
    goal: int | None,
    *,
    elapsed: Fraction = ELAPSED,
    workdays: Fraction = WORKDAYS,
    **more: object,
) -> Row:
    """Build a row whose figures follow from goal, actual and days, as the calculator's do."""
    expected = None if goal is None else goal * elapsed / workdays
    known = actual is not None and goal is not None and expected is not None
    plain = Row(
        segment=segment,
        status=status,
        actual=actual,
        goal=goal,
        expected=expected,
        gap=actual - half_up(expected) if known else None,  # type: ignore[operator,arg-type] # known above
        attainment=Fraction(actual, goal) if known and goal else None,  # type: ignore[arg-type] # known above
        pace=actual / expected if known and expected else None,  # type: ignore[operator] # known above
        required_per_workday=required(goal, actual, workdays - elapsed) if known else None,  # type: ignore[arg-type] # known above
        rate_per_workday=Fraction(actual) / elapsed if actual is not None and elapsed else None,
        workdays=workdays,
        elapsed=elapsed,
        remaining=workdays - elapsed,
    )
    return replace(plain, **more)  # type: ignore[arg-type] # fields of Row


def calendar(period: Period, free: Mapping[date, str]) -> tuple[Workday, ...]:
    return tuple(
        Workday(
            day,
            Fraction(0 if day.weekday() >= 5 or day in free else 1),
            free.get(day),
        )
        for day in period.days()
    )


def spread(first: date, daily: tuple[int, ...], names: tuple[str, ...]) -> tuple[DayCount, ...]:
    """Deal the leads of each day out to the segments in turn."""
    counts: dict[tuple[date, str], int] = {}
    turn = 0
    for n, leads in enumerate(daily):
        for _ in range(leads):
            key = (first + timedelta(n), names[turn % len(names)])
            counts[key] = counts.get(key, 0) + 1
            turn += 1
    return tuple(DayCount(day, name, leads) for (day, name), leads in sorted(counts.items()))


def scorecard() -> Scorecard:
    rows = tuple(
        row(
            name,
            status,
            actual,
            goal,
            lead_value=Fraction(value),
            currency=currency,
            sales_goal=goal // 2,
        )
        for name, goal, actual, value, currency, status in REGIONS
    )
    unassigned = row(UNASSIGNED, Status.NO_TARGET, 2, None)
    total = row(
        None,
        Status.AT_RISK,
        55,
        140,
        sales_goal=70,
        forecast=Forecast(mean=123.308, low=107, high=141, chance=0.1160),
        currency="CHF",
    )
    return Scorecard(
        period=JUNE,
        cut_off=CUT_OFF,
        workdays=WORKDAYS,
        elapsed=ELAPSED,
        remaining=WORKDAYS - ELAPSED,
        total=total,
        segments=rows,
        unassigned=unassigned,
        value=Value(
            "CHF", Fraction(64000), Fraction(24210), Fraction(24210, 64000), mix_warning=False
        ),
        unknown=(("APAC", 2),),
    )


def edition() -> Edition:
    """Monday, 15 June 2026: the reference case of the design, 55 of 140 leads after 10 of 22 workdays."""
    return Edition(
        digest="emea",
        title="Leads EMEA",
        business_date=BUSINESS_DATE,
        kind=Kind.MONTH_TO_DATE,
        language="en",
        scorecard=scorecard(),
        bridge=Bridge(
            previous_cut_off=date(2026, 6, 11),
            previous_actual=50,
            new=((date(2026, 6, 12), 5), (date(2026, 6, 13), 1), (date(2026, 6, 14), 0)),
            corrections=(Correction(date(2026, 6, 9), "DACH", -1),),
            actual=55,
            usual=(
                (date(2026, 6, 12), 6.25),
                (date(2026, 6, 13), 0.875),
                (date(2026, 6, 14), 0.5),
            ),
        ),
        closed=None,
        covers=(date(2026, 6, 12), date(2026, 6, 13), date(2026, 6, 14)),
        days=calendar(JUNE, {}),
        calendar="CH-ZH",
        counts=spread(JUNE.start, DAILY, ("DACH", "Benelux", "UK & Ireland", "Nordics", "DACH")),
        as_of=datetime(2026, 6, 15, 4, 2, tzinfo=UTC),
        origin=Origin("sql", "postgresql://crm.example/sales, leads", "SELECT ...", 2),
        reconciled=True,
        source_total=55,
        lead_definition="A contact that reached stage MQL or later, counted once, on the day it got there",
        sla_version="3f9a1c2b",
        plan_rates=(PlanRate("EUR", Decimal("0.95"), date(2026, 1, 5)),),
        history_hits=(5, 6),
        link="https://digest.example/emea?date=2026-06-15&view=full",
    )


def on_track() -> Edition:
    base = edition()
    figures = dict(
        zip(("DACH", "Benelux", "UK & Ireland", "Nordics"), (28, 19, 13, 6), strict=True)
    )
    rows = tuple(
        row(
            old.segment,
            Status.AHEAD if old.segment != "Benelux" else Status.ON_TRACK,
            figures[old.segment or ""],
            old.goal,
            lead_value=old.lead_value,
            currency=old.currency,
        )
        for old in base.scorecard.segments
    )
    total = row(
        None, Status.ON_TRACK, 66, 140, forecast=Forecast(146.2, 128, 165, 0.668), currency="CHF"
    )
    value = Value(
        "CHF", Fraction(64000), Fraction(30440), Fraction(30440, 64000), mix_warning=False
    )
    return replace(
        base,
        scorecard=replace(
            base.scorecard, segments=rows, total=total, unassigned=None, value=value, unknown=()
        ),
        bridge=replace(base.bridge, previous_actual=60, corrections=(), actual=66),
        counts=spread(JUNE.start, (*DAILY[:3], 18, *DAILY[4:]), ("DACH", "Benelux")),
        source_total=66,
    )


def behind() -> Edition:
    """Behind with several segments, a mix warning, late entries and unassigned leads."""
    base = edition()
    total = row(
        None, Status.BEHIND, 38, 140, forecast=Forecast(88.4, 74, 103, 0.0004), currency="CHF"
    )
    actuals = {"DACH": 15, "Benelux": 7, "UK & Ireland": 9, "Nordics": 3}
    rows = tuple(
        row(
            old.segment,
            Status.BEHIND if old.segment in ("DACH", "Benelux") else Status.AT_RISK,
            actuals[old.segment or ""],
            old.goal,
            lead_value=old.lead_value,
            currency=old.currency,
            notes=(Note(NoteCode.WITHIN_NORMAL_VARIATION, old.segment),)
            if old.segment == "Nordics"
            else (),
        )
        for old in base.scorecard.segments
    )
    return replace(
        base,
        scorecard=replace(
            base.scorecard,
            total=total,
            segments=rows,
            unassigned=row(UNASSIGNED, Status.NO_TARGET, 4, None),
            value=Value(
                "CHF", Fraction(64000), Fraction(11500), Fraction(11500, 64000), mix_warning=True
            ),
        ),
        bridge=replace(
            base.bridge,
            previous_actual=36,
            new=((date(2026, 6, 12), 1), (date(2026, 6, 13), 0), (date(2026, 6, 14), 0)),
            corrections=(
                Correction(date(2026, 6, 9), "DACH", -1),
                Correction(date(2026, 6, 10), "Benelux", 2),
            ),
            actual=38,
        ),
        counts=spread(JUNE.start, (4, 4, 3, 5, 4, 0, 0, 4, 4, 4, 5, 1, 0, 0), ("DACH", "Benelux")),
        source_total=38,
        warnings=(
            Note(
                NoteCode.UNASSIGNED, number=Fraction(4), share=Fraction(4, 38), text="APAC, LATAM"
            ),
            Note(
                NoteCode.LATE_ENTRIES,
                "DACH",
                number=Fraction(3),
                day=date(2026, 5, 28),
                text="frozen",
            ),
            Note(
                NoteCode.LATE_ENTRIES, "", number=Fraction(-1), day=date(2026, 5, 29), text="frozen"
            ),
            Note(
                NoteCode.CALENDAR_CHANGED,
                number=Fraction(1),
                other=Fraction(1, 2),
                day=date(2026, 6, 26),
                text="half_day",
            ),
        ),
        origin=replace(base.origin, quota=(96_120, 100_000)),
        excluded=(("test domains", 12), ("imports", 340)),
    )


def reached() -> Edition:
    """The goal is reached with days to spare; one segment still is not."""
    base = edition()
    actuals = {"DACH": 72, "Benelux": 38, "UK & Ireland": 31, "Nordics": 14}
    rows = tuple(
        row(
            old.segment,
            Status.REACHED if actuals[old.segment or ""] >= (old.goal or 0) else Status.AHEAD,
            actuals[old.segment or ""],
            old.goal,
            lead_value=old.lead_value,
            currency=old.currency,
        )
        for old in base.scorecard.segments
    )
    total = row(
        None, Status.REACHED, 157, 140, forecast=Forecast(262.0, 240, 285, 1.0), currency="CHF"
    )
    value = Value(
        "CHF", Fraction(64000), Fraction(71920), Fraction(71920, 64000), mix_warning=False
    )
    daily = tuple(3 * leads for leads in DAILY[:-1])
    return replace(
        base,
        scorecard=replace(base.scorecard, segments=rows, total=total, value=value),
        bridge=Bridge(
            date(2026, 6, 11),
            157 - 15 - 3,
            ((date(2026, 6, 12), 15), (date(2026, 6, 13), 3), (date(2026, 6, 14), 0)),
            (),
            157,
            base.bridge.usual,
        ),
        counts=spread(JUNE.start, (daily[0] - 8, *daily[1:]), ("DACH", "Benelux", "Nordics")),
        source_total=157,
    )


def too_early() -> Edition:
    """The second workday: the verdict waits."""
    base = edition()
    elapsed = Fraction(1)
    rows = tuple(
        row(
            name,
            Status.TOO_EARLY,
            leads,
            goal,
            elapsed=elapsed,
            lead_value=Fraction(value),
            currency=currency,
        )
        for (name, goal, _, value, currency, _), leads in zip(REGIONS, (3, 1, 1, 0), strict=True)
    )
    return replace(
        base,
        business_date=date(2026, 6, 2),
        scorecard=replace(
            base.scorecard,
            cut_off=date(2026, 6, 1),
            elapsed=elapsed,
            remaining=WORKDAYS - elapsed,
            total=row(None, Status.TOO_EARLY, 5, 140, elapsed=elapsed, currency="CHF"),
            segments=rows,
            unassigned=None,
            value=Value(
                "CHF", Fraction(64000), Fraction(2490), Fraction(2490, 64000), mix_warning=False
            ),
        ),
        bridge=Bridge(
            date(2026, 5, 31), 0, ((date(2026, 6, 1), 5),), (), 5, ((date(2026, 6, 1), 6.0),)
        ),
        covers=(date(2026, 6, 1),),
        counts=spread(JUNE.start, (5,), ("DACH", "Benelux", "UK & Ireland", "DACH", "DACH")),
        as_of=datetime(2026, 6, 2, 4, 2, tzinfo=UTC),
        source_total=5,
        history_hits=None,
    )


def first_edition() -> Edition:
    """No edition before this one: no previous count, no history, no link."""
    base = edition()
    bridge = Bridge(
        previous_cut_off=None,
        previous_actual=0,
        new=tuple((JUNE.start + timedelta(n), leads) for n, leads in enumerate(DAILY)),
        corrections=(),
        actual=55,
    )
    total = replace(base.scorecard.total, forecast=None)
    return replace(
        base,
        bridge=bridge,
        history_hits=None,
        link=None,
        scorecard=replace(base.scorecard, total=total),
    )


def no_goal() -> Edition:
    """A month without an SLA: counts only, and a banner."""
    base = edition()
    rows = tuple(
        row(name, Status.NO_TARGET, actual, None, notes=(Note(NoteCode.NO_SLA, name),))
        for name, _, actual, *_ in REGIONS
    )
    return replace(
        base,
        scorecard=replace(
            base.scorecard,
            total=row(None, Status.NO_TARGET, 55, None),
            segments=rows,
            value=None,
        ),
        warnings=(Note(NoteCode.NO_SLA, day=JUNE.start),),
        plan_rates=(),
    )


def no_data() -> Edition:
    """One of four sources gave nothing: the total is incomplete and has no status."""
    base = edition()
    rows = (
        *base.scorecard.segments[:1],
        row("Benelux", Status.NO_DATA, None, 40),
        *base.scorecard.segments[2:],
    )
    total = row(
        None,
        Status.NO_DATA,
        None,
        140,
        currency="CHF",
        notes=(Note(NoteCode.PARTIAL, text="Benelux"),),
    )
    return replace(
        base,
        scorecard=replace(base.scorecard, total=total, segments=rows, value=None),
        warnings=(Note(NoteCode.STALE, day=date(2026, 6, 12)),),
    )


def goal_changed() -> Edition:
    base = edition()
    first, *rest = base.scorecard.segments
    changed = replace(
        first,
        notes=(
            Note(
                NoteCode.GOAL_CHANGED,
                "DACH",
                number=Fraction(50),
                other=Fraction(60),
                day=date(2026, 6, 8),
            ),
        ),
    )
    by_hand = replace(rest[0], notes=(Note(NoteCode.SET_BY_HAND, "Benelux", number=Fraction(40)),))
    return replace(
        base,
        scorecard=replace(base.scorecard, segments=(changed, by_hand, *rest[1:])),
        lag_months=2,
    )


def one_segment() -> Edition:
    base = edition()
    only = replace(base.scorecard.total, segment="DACH", lead_value=Fraction(600))
    return replace(
        base,
        scorecard=replace(base.scorecard, segments=(only,), unassigned=None, unknown=()),
    )


def many_segments(count: int = 40) -> Edition:
    """Many long names and seven-digit numbers: what the layout must hold."""
    base = edition()
    rows = tuple(
        row(
            f"Vertriebsregion {n:02d} Nordrhein-Westfalen und Umland",
            Status.BEHIND if n % 3 == 0 else Status.ON_TRACK,
            123_456 - 1_103 * n,
            364_000,
            elapsed=Fraction(7) if n % 3 else Fraction(21, 2),
            lead_value=Fraction(1250),
            currency="CHF",
        )
        for n in range(1, count + 1)
    )
    actual = sum(r.actual or 0 for r in rows)
    total = row(
        None,
        Status.AT_RISK,
        actual,
        364_000 * count,
        forecast=Forecast(actual * 2.2, actual * 2, actual * 3, 0.05),
        currency="CHF",
    )
    return replace(
        base,
        scorecard=replace(
            base.scorecard,
            segments=rows,
            total=total,
            unassigned=None,
            unknown=(),
            value=Value(
                "CHF",
                Fraction(364_000 * count * 1250),
                Fraction(actual * 1250),
                Fraction(actual, 364_000 * count),
                mix_warning=False,
            ),
        ),
        counts=tuple(
            DayCount(day, rows[0].segment or "", actual // 14 + (actual % 14 if n == 0 else 0))
            for n, day in enumerate(JUNE.days()[:14])
        ),
        bridge=replace(
            base.bridge,
            previous_actual=actual - 12_006,
            new=((date(2026, 6, 12), 10_006), (date(2026, 6, 13), 2_001), (date(2026, 6, 14), 0)),
            actual=actual,
        ),
        source_total=actual,
    )


MAY_FREE = {
    date(2026, 5, 1): "Labour Day",
    date(2026, 5, 14): "Ascension",
    date(2026, 5, 25): "Whit Monday",
}
MAY_DAILY = tuple(
    0 if day.weekday() == 6 else 1 if day.weekday() == 5 or day in MAY_FREE else 5 + day.day % 3
    for day in MAY.days()
)


def month_close() -> Edition:
    """Monday, 1 June 2026 closes May and opens June."""
    base = edition()
    may_days = Fraction(18)
    results = (("DACH", 60, 61), ("Benelux", 40, 27), ("UK & Ireland", 28, 14), ("Nordics", 12, 12))
    rows = tuple(
        row(
            name,
            Status.REACHED if actual >= goal else Status.MISSED,
            actual,
            goal,
            elapsed=may_days,
            workdays=may_days,
            lead_value=Fraction(value),
            currency=currency,
        )
        for (name, goal, actual), (_, _, _, value, currency, _) in zip(
            results, REGIONS, strict=True
        )
    )
    may_total = sum(MAY_DAILY)
    unassigned = 2
    closed = Scorecard(
        period=MAY,
        cut_off=date(2026, 5, 31),
        workdays=may_days,
        elapsed=may_days,
        remaining=Fraction(0),
        total=row(
            None, Status.MISSED, may_total, 140, elapsed=may_days, workdays=may_days, currency="CHF"
        ),
        segments=rows,
        unassigned=row(UNASSIGNED, Status.NO_TARGET, unassigned, None),
        value=Value(
            "CHF", Fraction(64000), Fraction(54900), Fraction(54900, 64000), mix_warning=False
        ),
        closed=True,
    )
    nothing = Fraction(0)
    opening = replace(
        base.scorecard,
        cut_off=date(2026, 5, 31),
        elapsed=nothing,
        remaining=WORKDAYS,
        total=row(None, Status.TOO_EARLY, 0, 140, elapsed=nothing, currency="CHF"),
        segments=tuple(
            row(name, Status.TOO_EARLY, 0, goal, elapsed=nothing) for name, goal, *_ in REGIONS
        ),
        unassigned=None,
        value=None,
    )
    last = tuple((date(2026, 5, 29) + timedelta(n), MAY_DAILY[28 + n]) for n in range(3))
    return replace(
        base,
        business_date=date(2026, 6, 1),
        kind=Kind.MONTH_CLOSE,
        scorecard=opening,
        closed=ClosedMonth(
            closed,
            Bridge(
                date(2026, 5, 28),
                may_total - sum(leads for _, leads in last),
                last,
                (),
                may_total,
            ),
            forecast_held=True,
        ),
        bridge=Bridge(None, 0, (), (), 0),
        covers=tuple(day for day, _ in last),
        days=(*calendar(MAY, MAY_FREE), *calendar(JUNE, {})),
        counts=spread(MAY.start, MAY_DAILY, ("DACH", "DACH", "Benelux", "UK & Ireland", "Nordics")),
        as_of=datetime(2026, 6, 1, 4, 2, tzinfo=UTC),
        source_total=may_total,
    )


def sales_half() -> Edition:
    """A Monday with the sales half in the red and measured rates that drifted."""
    return replace(
        edition(),
        follow_up=FollowUp(
            due=41,
            in_time=29,
            median_minutes=Fraction(150),
            p90_minutes=Fraction(1205),
            p90_censored=True,
            overdue=4,
            attempts_due=30,
            attempts_kept=22,
            accepted=25,
            rejected=6,
            leads=48,
            website_within=60,
            segments=(
                SegmentFollowUp("DACH", 22, 19, 12, Fraction(190), False, 3, 11, 3),  # noqa: FBT003 - a row in short
                SegmentFollowUp("Benelux", 10, 9, 9, Fraction(55), False, 0, 7, 1),  # noqa: FBT003 - a row in short
                SegmentFollowUp("UK & Ireland", 12, 10, 7, Fraction(480), True, 1, 6, 1),  # noqa: FBT003 - a row in short
                SegmentFollowUp("Nordics", 4, 3, 1, None, False, 0, 1, 1),  # noqa: FBT003 - a row in short
            ),
        ),
        drift=(
            Drift(
                "DACH",
                Fraction(4, 100),
                Fraction(31, 1000),
                Decimal(15000),
                Decimal(14250),
                140,
                181,
                small_sample=False,
            ),
            Drift(
                "Nordics",
                Fraction(6, 100),
                Fraction(7, 100),
                Decimal(7000),
                None,
                48,
                42,
                small_sample=True,
            ),
        ),
    )


def fullest(count: int) -> Edition:
    """Every block the mail can have, on a bad day: what the size limits must hold."""
    told, bad = sales_half(), behind()
    assert told.follow_up is not None
    many = many_segments(count)
    names = [r.segment or "" for r in many.scorecard.segments]
    return replace(
        bad,
        scorecard=replace(
            bad.scorecard, segments=many.scorecard.segments, total=many.scorecard.total
        ),
        bridge=many.bridge,
        counts=many.counts,
        source_total=many.source_total,
        follow_up=replace(
            told.follow_up,
            segments=tuple(
                replace(told.follow_up.segments[n % 4], segment=name)
                for n, name in enumerate(names)
            ),
        ),
        drift=told.drift,
    )


def sales_kept() -> Edition:
    """A day on which sales kept its promise: one line is enough."""
    told = sales_half().follow_up
    assert told is not None
    kept = replace(told, in_time=39, overdue=0, attempts_kept=30, median_minutes=Fraction(45))
    return replace(edition(), follow_up=kept)


def hostile() -> Edition:
    """Names that try to break out of every layer."""
    base = edition()
    names = (
        '"><mj-raw><script>alert(1)</script>',
        "</mj-text>{{ 7*7 }}",
        "A\r\nBcc: x@evil.example\u202e\x00",
        "Über «É» 日本 🚀 " + "x" * 60,
    )
    rows = tuple(
        replace(old, segment=name) for old, name in zip(base.scorecard.segments, names, strict=True)
    )
    return replace(
        base,
        title='Leads <b>"EMEA"</b> & {% raw %}',
        scorecard=replace(base.scorecard, segments=rows),
        bridge=replace(base.bridge, corrections=(Correction(date(2026, 6, 9), names[0], -1),)),
        lead_definition="javascript:alert(1) url(http://evil.example) @import",
        calendar="<i>CH</i>",
        link="javascript:alert(1)",
        warnings=(Note(NoteCode.UNASSIGNED, number=Fraction(2), text=names[1]),),
    )


def last_workday() -> Edition:
    """Tuesday, 30 June 2026: one day is left, and its leads are still to come."""
    base = edition()
    elapsed = Fraction(21)
    actuals = {"DACH": 60, "Benelux": 31, "UK & Ireland": 27, "Nordics": 13}
    statuses = {"DACH": Status.REACHED, "Nordics": Status.REACHED, "Benelux": Status.BEHIND}
    rows = tuple(
        row(
            old.segment,
            statuses.get(old.segment or "", Status.AT_RISK),
            actuals[old.segment or ""],
            old.goal,
            elapsed=elapsed,
            lead_value=old.lead_value,
            currency=old.currency,
            notes=(Note(NoteCode.FORECAST_BELOW_GOAL, old.segment),)
            if old.segment == "UK & Ireland"
            else (),
        )
        for old in base.scorecard.segments
    )
    daily = (*DAILY, *DAILY, 21)
    total = row(
        None,
        Status.AT_RISK,
        131,
        140,
        elapsed=elapsed,
        forecast=Forecast(137.3, 134, 141, 0.1721),
        currency="CHF",
    )
    return replace(
        base,
        business_date=date(2026, 6, 30),
        scorecard=replace(
            base.scorecard,
            cut_off=date(2026, 6, 29),
            elapsed=elapsed,
            remaining=WORKDAYS - elapsed,
            total=total,
            segments=rows,
            unassigned=None,
            value=Value(
                "CHF", Fraction(64000), Fraction(61890), Fraction(61890, 64000), mix_warning=False
            ),
            unknown=(),
        ),
        bridge=Bridge(
            date(2026, 6, 28), 110, ((date(2026, 6, 29), 21),), (), 131, ((date(2026, 6, 29), 6.0),)
        ),
        covers=(date(2026, 6, 29),),
        counts=spread(JUNE.start, daily, ("DACH", "Benelux", "DACH", "UK & Ireland", "Nordics")),
        as_of=datetime(2026, 6, 30, 5, 31, tzinfo=UTC),
        source_total=131,
    )


def after_holiday() -> Edition:
    """Tuesday, 7 April 2026 in Zurich: the edition covers Maundy Thursday to Easter Monday."""
    base = edition()
    april = Period(date(2026, 4, 1), date(2026, 5, 1), ZONE)
    easter = {date(2026, 4, 3): "Good Friday", date(2026, 4, 6): "Easter Monday"}
    elapsed, workdays = Fraction(2), Fraction(20)
    daily = (6, 5, 1, 0, 0, 2)
    rows = tuple(
        row(
            name,
            Status.TOO_EARLY,
            leads,
            goal,
            elapsed=elapsed,
            workdays=workdays,
            lead_value=Fraction(value),
            currency=currency,
        )
        for (name, goal, _, value, currency, _), leads in zip(REGIONS, (7, 4, 2, 1), strict=True)
    )
    new = tuple((date(2026, 4, day), daily[day - 1]) for day in range(2, 7))
    return replace(
        base,
        business_date=date(2026, 4, 7),
        scorecard=replace(
            base.scorecard,
            period=april,
            cut_off=date(2026, 4, 6),
            workdays=workdays,
            elapsed=elapsed,
            remaining=workdays - elapsed,
            total=row(
                None,
                Status.TOO_EARLY,
                14,
                140,
                elapsed=elapsed,
                workdays=workdays,
                forecast=Forecast(131.0, 108, 155, 0.3106),
                currency="CHF",
            ),
            segments=rows,
            unassigned=None,
            value=None,
            unknown=(),
        ),
        bridge=Bridge(
            date(2026, 4, 1),
            6,
            new,
            (),
            14,
            tuple(
                (day, usual)
                for (day, _), usual in zip(new, (6.5, 5.75, 1.0, 0.5, 6.0), strict=True)
            ),
        ),
        covers=tuple(day for day, _ in new),
        days=calendar(april, easter),
        counts=spread(april.start, daily, ("DACH", "DACH", "Benelux", "UK & Ireland")),
        as_of=datetime(2026, 4, 7, 5, 31, tzinfo=UTC),
        source_total=14,
    )


def odd_goals() -> Edition:
    """Goals of 0, 3 and 30,000 side by side, and a segment that brings more than was asked."""
    base = edition()
    rows = (
        row(
            "Partners",
            Status.NO_TARGET,
            3,
            0,
            notes=(Note(NoteCode.WITHOUT_GOAL, number=Fraction(3)),),
        ),
        row("Key accounts", Status.TOO_EARLY, 0, 3),
        row("Web", Status.AHEAD, 16_480, 30_000, lead_value=Fraction(3, 2), currency="CHF"),
        row("Fairs", Status.REACHED, 250, 100, lead_value=Fraction(120), currency="CHF"),
    )
    total = row(
        None,
        Status.AHEAD,
        16_733,
        30_103,
        forecast=Forecast(36_800.4, 36_410, 37_195, 1.0),
        currency="CHF",
    )
    return replace(
        base,
        scorecard=replace(
            base.scorecard,
            total=total,
            segments=rows,
            unassigned=None,
            value=Value(
                "CHF",
                Fraction(57_000),
                Fraction(54_720),
                Fraction(54_720, 57_000),
                mix_warning=True,
            ),
            unknown=(),
        ),
        bridge=replace(
            base.bridge,
            previous_actual=15_233,
            corrections=(),
            actual=16_733,
            new=((date(2026, 6, 12), 1_500), (date(2026, 6, 13), 0), (date(2026, 6, 14), 0)),
        ),
        counts=spread(JUNE.start, (1_233, *(1_400,) * 10, 1_500, 0, 0), ("Web",)),
        source_total=16_733,
    )


def sources_silent() -> Edition:
    """Leads were counted; the systems of sales and of the deals did not answer."""
    return replace(
        edition(),
        warnings=(
            Note(NoteCode.FOLLOW_UP_MISSING, text="salesforce: the token was refused"),
            Note(NoteCode.DEALS_MISSING, text="salesforce: the token was refused"),
        ),
    )


def correction() -> Edition:
    """The edition of the day once more: two forms had not been counted, and a goal was mistyped."""
    was, now = edition(), on_track()
    return replace(
        now,
        corrects=Corrects(
            number=1,
            sent_at=datetime(2026, 6, 15, 5, 31, tzinfo=UTC),
            reason="Two forms of the website had not been counted since 8 June.",
            figures=(
                *figures_moved(was, now),
                CorrectedFigure(JUNE.start, "Benelux", FigureCode.GOAL, 1_340, 134),
            ),
        ),
    )


@cache
def message(scenario: str, language: str) -> Message:
    """Return what is sent of a scenario in a language; drawn once for all tests of a process."""
    return render(SCENARIOS[scenario](), language=language)


SCENARIOS: Mapping[str, Callable[[], Edition]] = {
    "at_risk": edition,
    "on_track": on_track,
    "behind": behind,
    "reached": reached,
    "too_early": too_early,
    "first_edition": first_edition,
    "no_goal": no_goal,
    "no_data": no_data,
    "goal_changed": goal_changed,
    "one_segment": one_segment,
    "many_segments": many_segments,
    "month_close": month_close,
    "last_workday": last_workday,
    "after_holiday": after_holiday,
    "odd_goals": odd_goals,
    "sources_silent": sources_silent,
    "sales_half": sales_half,
    "sales_kept": sales_kept,
    "hostile": hostile,
    "correction": correction,
}

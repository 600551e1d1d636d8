"""Step 6: every figure of a row, the border of every status, and the bridge that always adds up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest

from digest.calculator import (
    Course,
    Thresholds,
    bridge,
    floor_percent,
    implausible_zeros,
    list_unassigned,
    required_per_workday,
    round_half_up,
    scorecard,
    status_of,
    unassigned_warning,
)
from digest.errors import ConfigError
from digest.forecast import Day, cdf, chance_of_zero, prior
from digest.model import (
    Bridge,
    Correction,
    DayCount,
    Forecast,
    Note,
    NoteCode,
    Period,
    PlanRate,
    Row,
    Scorecard,
    Status,
    Workday,
)
from digest.sla import Goal, Plan, RevenueGoal, Terms, goals
from digest.workdays import Calendar, weigh

JUNE = Period(date(2026, 6, 1), date(2026, 7, 1))
ZURICH = Calendar("CH", "ZH")
DAYS = ZURICH.days(JUNE)
CUT_OFF = date(2026, 6, 14)


def owed(
    segment: str = "DACH", goal: int | None = 140, *, value: int | None = 600, currency: str = "CHF"
) -> Goal:
    return Goal(
        segment=segment,
        month=JUNE.start,
        goal=goal,
        sales_goal=None if goal is None else 10,
        lead_value=None if value is None else Fraction(value),
        currency=currency,
        marketing_revenue=None,
        customers=None,
        implied_revenue=None,
        by_hand=False,
        notes=(),
    )


PLAN = Plan("CHF", (), (), (), rates=(PlanRate("EUR", Decimal("0.5"), JUNE.start),))


def on(day: int, leads: int, segment: str = "DACH") -> DayCount:
    return DayCount(date(2026, 6, day), segment, leads)


def card(
    counts: Sequence[DayCount] | None,
    *owing: Goal,
    cut_off: date = CUT_OFF,
    courses: Mapping[str | None, Course] | None = None,
    closed: bool = False,
    show_forecast: bool = True,
    no_data: Sequence[str] = (),
    thresholds: Thresholds | None = None,
) -> Scorecard:
    all_goals = owing or (owed(),)
    course = Course(DAYS)
    return scorecard(
        plan=PLAN,
        goals=all_goals,
        counts=counts,
        courses={None: course, **{goal.segment: course for goal in all_goals}, **(courses or {})},
        period=JUNE,
        cut_off=cut_off,
        send_days=DAYS,
        closed=closed,
        show_forecast=show_forecast,
        no_data=no_data,
        thresholds=thresholds or Thresholds(),
    )


def months(leads: int, count: int = 6) -> tuple[tuple[Day, ...], ...]:
    start = date(2026, 1, 1)
    return tuple(
        tuple((start + timedelta(30 * m + n), Fraction(1), leads) for n in range(20))
        for m in range(count)
    )


# ------------------------------------------------------------------------------------ the reference


def test_the_pace_of_15_june_comes_out() -> None:
    found = card([on(1, 30), on(12, 25)])
    (row,) = found.segments
    assert (row.workdays, row.elapsed, row.remaining) == (Fraction(22), Fraction(10), Fraction(12))
    assert row.expected == Fraction(700, 11)
    assert float(row.expected) == pytest.approx(63.636, abs=5e-4)
    assert (row.gap, row.required_per_workday) == (-9, Decimal("7.1"))
    assert row.pace is not None
    assert floor_percent(row.pace) == 86
    assert row.attainment == Fraction(55, 140)
    assert row.rate_per_workday == Fraction(11, 2)
    assert row.status is Status.AT_RISK
    assert row.notes == ()
    assert (row.segment, row.goal, row.sales_goal, row.actual) == ("DACH", 140, 10, 55)
    assert (row.lead_value, row.currency) == (Fraction(600), "CHF")
    assert (found.workdays, found.elapsed, found.remaining) == (
        Fraction(22),
        Fraction(10),
        Fraction(12),
    )
    assert (found.period, found.cut_off, found.closed) == (JUNE, CUT_OFF, False)


@pytest.mark.parametrize(
    ("elapsed", "truncated"), [(1, 4545), (2, 9090), (3, 13636), (22, 100_000)]
)
def test_a_goal_of_100_000_is_spread_over_22_workdays_as_plecto_does(
    elapsed: int, truncated: int
) -> None:
    # September 2021 has 22 workdays in canton Zurich.
    period = Period(date(2021, 9, 1), date(2021, 10, 1))
    days = ZURICH.days(period)
    worked = [day.day for day in days if day.weight]
    found = scorecard(
        plan=PLAN,
        goals=[owed(goal=100_000)],
        counts=[],
        courses={None: Course(days), "DACH": Course(days)},
        period=period,
        cut_off=worked[elapsed - 1],
        send_days=days,
    )
    assert len(worked) == 22
    assert found.segments[0].expected is not None
    assert int(found.segments[0].expected) == truncated


# ------------------------------------------------------------------------------------------- rounding


@pytest.mark.parametrize(
    ("number", "rounded"),
    [("0", 0), ("0.49", 0), ("0.5", 1), ("1.5", 2), ("2.5", 3), ("63.636", 64), ("-0.5", 0)],
)
def test_halves_round_up(number: str, rounded: int) -> None:
    assert round_half_up(Fraction(number)) == rounded


@pytest.mark.parametrize(
    ("ratio", "shown"),
    [
        (Fraction(398, 400), 99),
        (Fraction(399_999, 400_000), 99),
        (Fraction(0), 0),
        (Fraction(1), 100),
        (Fraction(1004, 1000), 100),
        (Fraction(1005, 1000), 101),
    ],
)
def test_a_percentage_is_never_100_before_the_goal(ratio: Fraction, shown: int) -> None:
    assert floor_percent(ratio) == shown


@pytest.mark.parametrize(
    ("goal", "actual", "remaining", "needed"),
    [
        (140, 55, 12, "7.1"),  # 7.083
        (140, 56, 12, "7.0"),
        (140, 139, 12, "0.1"),
        (140, 140, 12, "0.0"),
        (140, 150, 12, "0.0"),
        (140, 140, 0, "0.0"),
        (1000, 0, 1, "1000.0"),
    ],
)
def test_what_is_needed_per_workday_is_rounded_up(
    goal: int, actual: int, remaining: int, needed: str
) -> None:
    found = required_per_workday(goal, actual, Fraction(remaining))
    assert found == Decimal(needed)
    assert str(found) == needed


def test_half_a_workday_needs_twice_as_much_and_none_left_is_undefined() -> None:
    assert required_per_workday(3, 2, Fraction(1, 2)) == Decimal("2.0")
    assert required_per_workday(3, 2, Fraction(0)) is None


# --------------------------------------------------------------------------------------------- status


def row(  # every figure of a row from which a status follows, on plan unless told otherwise
    *,
    actual: int | None = 100,
    goal: int | None = 200,
    expected: Fraction | None = Fraction(100),
    elapsed: int | Fraction = 10,
    remaining: int | Fraction = 10,
    mean: float | None = None,
) -> Row:
    return Row(
        segment="DACH",
        status=Status.NO_DATA,
        actual=actual,
        goal=goal,
        expected=expected,
        pace=actual / expected if actual is not None and expected else None,
        elapsed=Fraction(elapsed),
        remaining=Fraction(remaining),
        forecast=None if mean is None else Forecast(mean, 0, 0, None),
    )


@pytest.mark.parametrize(
    ("status", "given"),
    [
        (Status.NO_DATA, row(actual=None, goal=None)),
        (Status.NO_TARGET, row(goal=None)),
        (Status.NO_TARGET, row(goal=0)),
        (Status.REACHED, row(actual=200)),
        (Status.REACHED, row(actual=200, elapsed=0, expected=Fraction(0))),
        (Status.AHEAD, row(actual=199)),
        (Status.TOO_EARLY, row(elapsed=Fraction(5, 2))),
        (Status.AHEAD, row(elapsed=3, actual=199)),
        (Status.TOO_EARLY, row(expected=Fraction(499, 100))),
        (Status.AHEAD, row(expected=Fraction(5))),
        (Status.TOO_EARLY, row(expected=None)),
        (Status.TOO_EARLY, row(expected=Fraction(0))),
        (Status.AHEAD, row(actual=110)),
        (Status.ON_TRACK, row(actual=109)),
        (Status.ON_TRACK, row(actual=95)),
        (Status.AT_RISK, row(actual=94)),
        (Status.AT_RISK, row(actual=80)),
        (Status.BEHIND, row(actual=79)),
        (Status.BEHIND, row(actual=0)),
    ],
)
def test_each_status_begins_exactly_where_it_should(status: Status, given: Row) -> None:
    assert status_of(given) == (status, None)


@pytest.mark.parametrize(
    ("status", "given"),
    [
        (Status.NO_DATA, row(actual=None)),
        (Status.NO_TARGET, row(goal=0)),
        (Status.REACHED, row(actual=200)),
        (Status.MISSED, row(actual=199, expected=Fraction(200), remaining=0)),
    ],
)
def test_a_closed_month_is_reached_or_missed(status: Status, given: Row) -> None:
    assert status_of(given, closed=True) == (status, None)


def test_the_thresholds_are_those_of_the_agreement() -> None:
    per_cent = Fraction(1, 100)
    assert Thresholds() == Thresholds(
        ahead=110 * per_cent,
        on_track=95 * per_cent,
        at_risk=80 * per_cent,
        noise=10 * per_cent,
        mix_points=Fraction(5),
        min_elapsed=Fraction(3),
        min_expected=Fraction(5),
        final_workdays=Fraction(3),
        implausible=per_cent,
        unassigned_leads=3,
        unassigned_share=5 * per_cent,
    )


def test_thresholds_use_unrounded_values() -> None:
    almost = row(actual=110, expected=Fraction(100_001, 1000))  # 109.99... %
    assert status_of(almost)[0] is Status.ON_TRACK


def test_a_shortfall_within_the_noise_is_only_at_risk() -> None:
    # Poisson with mean 12.5: 8 or fewer have probability 12.5 %, 7 or fewer 7.0 %.
    assert cdf(8, 12.5) > 0.1 > cdf(7, 12.5)
    within = status_of(row(actual=8, expected=Fraction(25, 2)))
    beyond = status_of(row(actual=7, expected=Fraction(25, 2)))
    assert within == (Status.AT_RISK, NoteCode.WITHIN_NORMAL_VARIATION)
    assert beyond == (Status.BEHIND, None)


def test_the_noise_guard_needs_a_chance_below_its_threshold() -> None:
    given = row(actual=7, expected=Fraction(25, 2))
    exactly = Thresholds(noise=Fraction(cdf(7, 12.5)))
    assert status_of(given, thresholds=exactly)[0] is Status.AT_RISK


@pytest.mark.parametrize(
    ("status", "why", "remaining", "mean"),
    [
        (Status.AT_RISK, NoteCode.FORECAST_BELOW_GOAL, 3, 199.9),
        (Status.ON_TRACK, None, 3, 200.0),
        (Status.ON_TRACK, None, Fraction(7, 2), 199.9),
        (Status.AT_RISK, NoteCode.FORECAST_BELOW_GOAL, Fraction(1, 2), 199.9),
        (Status.ON_TRACK, None, 3, None),
    ],
)
def test_in_the_last_three_workdays_on_track_needs_the_forecast(
    status: Status, why: NoteCode | None, remaining: int, mean: float | None
) -> None:
    assert status_of(row(remaining=remaining, mean=mean)) == (status, why)


@pytest.mark.parametrize(("left", "status"), [(3, Status.AT_RISK), (4, Status.ON_TRACK)])
def test_the_last_three_workdays_are_counted_by_the_calendar(left: int, status: Status) -> None:
    given = row(remaining=7 - left, mean=199.9)  # as pacing weighs them
    assert status_of(given, workdays_left=Fraction(left))[0] is status


def test_ahead_needs_no_forecast_even_on_the_last_day() -> None:
    assert status_of(row(actual=110, remaining=1, mean=150.0)) == (Status.AHEAD, None)


def test_every_threshold_can_be_set() -> None:
    own = Thresholds(
        ahead=Fraction(3),
        on_track=Fraction(2),
        at_risk=Fraction(1),
        noise=Fraction(1),
        min_elapsed=Fraction(1),
        min_expected=Fraction(1),
        final_workdays=Fraction(0),
    )
    given = row(elapsed=1, expected=Fraction(1), goal=9)
    found = [
        status_of(replace(given, actual=n, pace=Fraction(n)), thresholds=own) for n in (3, 2, 1, 0)
    ]
    assert [status for status, _ in found] == [
        Status.AHEAD,
        Status.ON_TRACK,
        Status.AT_RISK,
        Status.BEHIND,
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"at_risk": Fraction(96, 100)},
        {"on_track": Fraction(111, 100)},
        {"at_risk": Fraction(-1)},
    ],
)
def test_thresholds_out_of_order_are_refused(wrong: dict[str, Fraction]) -> None:
    with pytest.raises(
        ValueError, match=r"; each must be at least the one before and none below 0$"
    ):
        Thresholds(**wrong)  # type: ignore[arg-type] # ratios only


def test_equal_thresholds_and_zero_are_allowed() -> None:
    zero = Fraction(0)
    assert Thresholds(ahead=zero, on_track=zero, at_risk=zero).ahead == 0


# ----------------------------------------------------------------------------------------------- rows


def test_days_outside_the_month_or_after_the_cut_off_do_not_count() -> None:
    outside = [
        DayCount(date(2026, 5, 31), "DACH", 100),
        DayCount(date(2026, 7, 1), "DACH", 100),
        on(15, 100),
    ]
    assert card([*outside, on(1, 1), on(14, 2)]).total.actual == 3


def test_leads_on_free_days_count_while_the_goal_stays_flat() -> None:
    friday, sunday = card([on(13, 5)], cut_off=date(2026, 6, 12)), card([on(13, 5)])
    assert (friday.total.actual, sunday.total.actual) == (0, 5)
    assert friday.total.expected == sunday.total.expected


@pytest.mark.failure("D16")
def test_without_elapsed_workdays_pace_and_rate_are_undefined() -> None:
    found = card([], cut_off=date(2026, 5, 31)).segments[0]
    assert (found.actual, found.expected, found.gap) == (0, Fraction(0), 0)
    assert (found.pace, found.rate_per_workday) == (None, None)
    assert found.status is Status.TOO_EARLY
    assert found.required_per_workday == Decimal("6.4")


@pytest.mark.failure("D16")
def test_without_remaining_workdays_what_is_needed_is_undefined() -> None:
    found = card([on(1, 139)], cut_off=date(2026, 6, 30)).segments[0]
    assert (found.remaining, found.required_per_workday) == (Fraction(0), None)


@pytest.mark.failure("D16")
def test_leads_without_a_goal_are_counted_and_named() -> None:
    found = card([on(1, 3), on(1, 50, "UKI")], owed(goal=0), owed("UKI"))
    none = found.segments[0]
    assert (none.status, none.attainment, none.pace) == (Status.NO_TARGET, None, None)
    assert (none.expected, none.gap, none.required_per_workday) == (Fraction(0), 3, None)
    assert none.notes == (Note(NoteCode.WITHOUT_GOAL, "DACH", number=Fraction(3)),)
    assert (found.total.actual, found.total.goal) == (53, 140)


def test_a_goal_of_zero_without_leads_needs_no_word() -> None:
    assert card([], owed(goal=0)).segments[0].notes == ()


@pytest.mark.failure("D16")
def test_an_undefined_goal_leaves_everything_derived_undefined() -> None:
    found = card([on(1, 3)], owed(goal=None))
    none = found.segments[0]
    assert none.status is Status.NO_TARGET
    assert (none.goal, none.expected, none.gap, none.attainment) == (None, None, None, None)
    assert (none.pace, none.required_per_workday) == (None, None)
    assert none.rate_per_workday == Fraction(3, 10)
    assert (found.total.goal, found.total.sales_goal) == (None, None)
    assert found.total.status is Status.NO_TARGET
    assert found.total.notes == (Note(NoteCode.WITHOUT_GOAL, None, number=Fraction(3)),)


def test_notes_of_the_goal_stay_on_its_row() -> None:
    note = Note(NoteCode.SET_BY_HAND, "DACH", number=Fraction(140))
    found = card([on(1, 1)], replace(owed(), notes=(note,)))
    assert found.segments[0].notes == (note,)


def test_no_lead_at_all_is_behind_although_one_would_be_within_the_noise() -> None:
    # Of 3 expected leads none come with probability 5 %, one at most with 20 %.
    eager = Thresholds(min_expected=Fraction(1))
    found = [
        card(counts, owed(goal=7), cut_off=date(2026, 6, 12), thresholds=eager).segments[0].status
        for counts in ([], [on(1, 1)])
    ]
    assert found == [Status.BEHIND, Status.AT_RISK]


def test_a_softened_status_says_why_on_its_row() -> None:
    # 10 of 22 workdays: expected 12.7, and 8 or fewer have probability 11 %.
    found = card([on(1, 8)], owed(goal=28))
    assert found.segments[0].status is Status.AT_RISK
    assert Note(NoteCode.WITHIN_NORMAL_VARIATION, "DACH") in found.segments[0].notes
    assert Note(NoteCode.WITHIN_NORMAL_VARIATION, None) in found.total.notes


def test_each_segment_keeps_its_own_pace() -> None:
    late = tuple(
        replace(day, weight=Fraction(0)) if day.day < date(2026, 6, 11) else day for day in DAYS
    )
    found = card([], owed(), owed("UKI"), courses={"UKI": Course(late)})
    dach, uki = found.segments
    assert (dach.elapsed, uki.elapsed) == (Fraction(10), Fraction(2))
    assert (dach.workdays, uki.workdays) == (Fraction(22), Fraction(14))
    assert uki.expected == Fraction(20)
    assert found.total.expected == Fraction(700, 11) + 20
    assert found.total.workdays == 22


@pytest.mark.failure("D16")
def test_a_segment_without_any_workday_expects_nothing_definite() -> None:
    never = Course(tuple(replace(day, weight=Fraction(0)) for day in DAYS))
    found = card([on(1, 2)], owed(goal=5), courses={"DACH": never, None: never})
    none = found.segments[0]
    assert (none.expected, none.gap, none.pace) == (None, None, None)
    assert none.status is Status.TOO_EARLY
    assert none.attainment == Fraction(2, 5)
    assert (found.total.expected, found.total.gap) == (None, None)


# ---------------------------------------------------------------------------------------------- total


def test_the_total_adds_up_what_is_shown() -> None:
    found = card(
        [on(1, 55), on(2, 4, "UKI"), on(3, 2, ""), on(3, 1, "Mars")],
        owed(),
        owed("UKI", 33),
    )
    total = found.total
    assert (total.segment, total.goal, total.sales_goal, total.actual) == (None, 173, 20, 62)
    assert total.expected == Fraction(1730, 22)
    assert total.gap == 62 - 79  # 78.6
    assert total.attainment == Fraction(62, 173)
    assert total.currency == "CHF"
    assert found.unassigned is not None
    assert (found.unassigned.segment, found.unassigned.actual) == ("", 3)
    assert found.unassigned.status is Status.NO_TARGET
    assert found.unassigned.notes == ()
    assert found.unassigned.forecast is None
    assert found.unassigned.rate_per_workday == Fraction(3, 10)


def test_a_total_on_track_does_not_hide_a_segment_that_is_behind() -> None:
    found = card([on(1, 100), on(1, 20, "UKI")], owed(), owed("UKI"))
    assert found.total.status is Status.AT_RISK or found.total.status is Status.ON_TRACK
    assert [row.status for row in found.segments] == [Status.AHEAD, Status.BEHIND]


def test_without_unassigned_leads_there_is_no_such_row() -> None:
    assert card([on(1, 1)]).unassigned is None
    assert card([on(1, 1), on(1, 0, "")]).unassigned is None


@pytest.mark.failure("D14")
def test_a_source_that_failed_gives_no_zeros() -> None:
    found = card(None, owed(), owed("UKI"))
    assert [row.status for row in (*found.segments, found.total)] == [Status.NO_DATA] * 3
    assert [row.actual for row in (*found.segments, found.total)] == [None] * 3
    assert (found.total.goal, found.total.expected, found.total.gap) == (280, None, None)
    assert found.total.notes == ()
    assert (found.unassigned, found.value) == (None, None)
    assert unassigned_warning(found) is None


def test_one_source_of_several_that_failed_withholds_the_total() -> None:
    found = card([on(1, 55)], owed(), owed("UKI"), no_data=["UKI"])
    assert [row.status for row in found.segments] == [Status.AT_RISK, Status.NO_DATA]
    assert (found.total.actual, found.total.status) == (None, Status.NO_DATA)
    assert found.total.notes == (Note(NoteCode.PARTIAL, text="UKI"),)


def test_the_total_names_every_segment_it_lacks() -> None:
    three = [owed("UKI"), owed(), owed("Benelux")]
    found = card([on(1, 30)], *three, no_data=("UKI", "Benelux"))
    assert Note(NoteCode.PARTIAL, text="Benelux, UKI") in found.total.notes


def test_a_failed_source_without_segments_still_has_no_total() -> None:
    found = scorecard(
        plan=PLAN,
        goals=[],
        counts=None,
        courses={None: Course(DAYS)},
        period=JUNE,
        cut_off=CUT_OFF,
        send_days=DAYS,
    )
    assert found.total.status is Status.NO_DATA


def test_a_closed_month_has_no_forecast() -> None:
    found = card([on(1, 139)], cut_off=date(2026, 6, 30), closed=True)
    assert found.closed
    assert (found.total.status, found.segments[0].status) == (Status.MISSED, Status.MISSED)
    assert found.segments[0].forecast is None
    assert found.segments[0].expected == 140


# ------------------------------------------------------------------------------------------- forecast


def test_rows_and_total_carry_the_forecast_of_their_own_history() -> None:
    found = card(
        [on(1, 55)],
        owed(),
        owed("UKI", 0),
        courses={None: Course(DAYS, months(9)), "DACH": Course(DAYS, months(6))},
    )
    dach, uki = (row.forecast for row in found.segments)
    total = found.total.forecast
    assert dach is not None
    assert total is not None
    assert uki is not None
    assert dach.mean < total.mean
    assert dach.chance is not None
    assert uki.chance is None  # a goal of 0 has no chance to be reached


def test_leads_from_before_a_segment_began_are_no_pace_to_forecast_from() -> None:
    start = date(2026, 6, 10)
    days = tuple(replace(day, weight=Fraction(0)) if day.day < start else day for day in DAYS)
    began: dict[str | None, Course] = {"DACH": Course(days, start=start)}
    own = [on(10, 2), on(11, 2), on(12, 2)]
    july = DayCount(date(2026, 7, 1), "DACH", 9)
    early = [on(9, 40), on(8, 5, "UKI"), DayCount(date(2026, 5, 29), "DACH", 30), july]
    (without,) = card(own, courses=began).segments
    (with_early, _) = card([*own, *early], owed(), owed("UKI"), courses=began).segments
    assert (without.actual, with_early.actual) == (6, 46)
    assert without.forecast is not None
    assert with_early.forecast is not None
    assert with_early.forecast.mean == pytest.approx(without.forecast.mean + 40)


def test_a_segment_without_a_goal_has_a_forecast_all_the_same() -> None:
    (row,) = card([on(1, 55)], owed(goal=None), courses={"DACH": Course(DAYS, months(6))}).segments
    assert row.forecast is not None
    assert (row.forecast.mean > 55, row.forecast.chance) == (True, None)


@pytest.mark.parametrize(
    ("cut_off", "leads", "status"), [(25, 115, Status.AT_RISK), (14, 64, Status.ON_TRACK)]
)
def test_the_last_three_workdays_are_the_calendars_whatever_paces_the_row(
    cut_off: int, leads: int, status: Status
) -> None:
    # Paced by all 30 days, five days are left after 25 June, of which three are workdays.
    paced = Course(weigh(DAYS, "calendar"), months(1), workdays=DAYS)
    found = card([on(1, leads)], cut_off=date(2026, 6, cut_off), courses={"DACH": paced})
    assert found.segments[0].status is status


def test_a_hidden_forecast_still_decides_the_last_days() -> None:
    quiet = Course(DAYS, months(1))
    counts = [on(1, 115)]
    shown = card(counts, cut_off=date(2026, 6, 25), courses={"DACH": quiet})
    hidden = card(counts, cut_off=date(2026, 6, 25), courses={"DACH": quiet}, show_forecast=False)
    assert shown.segments[0].remaining == 3
    assert shown.segments[0].forecast is not None
    assert hidden.segments[0].forecast is None
    assert hidden.segments[0].status is shown.segments[0].status is Status.AT_RISK
    assert Note(NoteCode.FORECAST_BELOW_GOAL, "DACH") in hidden.segments[0].notes


# ---------------------------------------------------------------------------------------------- value


def test_value_adds_up_in_the_plan_currency() -> None:
    found = card(
        [on(1, 70), on(1, 10, "UKI"), on(1, 5, "BE")],
        owed(),
        owed("UKI", 20, value=400, currency="EUR"),
        owed("BE", 7, value=None),
    ).value
    assert found is not None
    assert (found.currency, found.goal) == ("CHF", Fraction(140 * 600 + 20 * 200))
    assert found.actual == 70 * 600 + 10 * 200
    assert found.attainment == Fraction(44_000, 88_000)


@pytest.mark.parametrize(
    ("warned", "cheap", "dear"),
    [
        (False, 50, 50),
        (True, 60, 40),  # 50 % of the count, 42 % of the value
    ],
)
def test_cheap_leads_do_not_hide_a_value_miss(
    warned: bool,  # noqa: FBT001 - a column of the table
    cheap: int,
    dear: int,
) -> None:
    found = card(
        [on(1, cheap), on(1, dear, "UKI")], owed(goal=100, value=100), owed("UKI", 100, value=900)
    )
    assert found.value is not None
    assert found.value.mix_warning == warned


def test_a_difference_of_exactly_five_points_is_flagged_either_way() -> None:
    # Worth 0 and 1: value attainment is the second segment's alone.
    def differing(cheap: int, dear: int) -> bool:
        found = card(
            [on(1, cheap), on(1, dear, "UKI")],
            owed(goal=10_000, value=0),
            owed("UKI", 10_000, value=1),
        ).value
        assert found is not None
        return found.mix_warning

    assert differing(6000, 5000)  # 55 % of the count, 50 % of the value
    assert not differing(5992, 5000)  # 4.96 points
    assert differing(4000, 5000)
    assert not differing(4008, 5000)


def test_without_a_goal_value_has_no_attainment() -> None:
    found = card([on(1, 3)], owed(goal=0)).value
    assert found is not None
    assert (found.goal, found.actual, found.attainment) == (Fraction(0), Fraction(1800), None)
    assert not found.mix_warning


def test_leads_without_a_price_have_no_value() -> None:
    assert card([on(1, 3)], owed(value=None)).value is None


def test_value_without_count_attainment_warns_of_nothing() -> None:
    value = card([on(1, 3)], owed(goal=None)).value
    assert value is not None
    assert (value.goal, value.actual, value.mix_warning) == (Fraction(0), Fraction(1800), False)


@pytest.mark.failure("D17")
def test_an_unknown_currency_stops_the_scorecard() -> None:
    with pytest.raises(ConfigError, match="USD"):
        card([on(1, 1)], owed(currency="USD"))


# ------------------------------------------------------------------------------------------- warnings


@pytest.mark.parametrize(
    ("warned", "unassigned", "assigned"),
    [
        (True, 3, 997),
        (False, 2, 39),  # 4.9 %
        (True, 2, 38),  # 5 %
        (True, 1, 0),
        (False, 0, 100),
    ],
)
def test_unassigned_leads_warn_from_three_or_five_percent(
    warned: bool,  # noqa: FBT001 - a column of the table
    unassigned: int,
    assigned: int,
) -> None:
    note = unassigned_warning(card([on(1, assigned), on(1, unassigned, "")]))
    expected = Note(
        NoteCode.UNASSIGNED,
        number=Fraction(unassigned),
        share=Fraction(unassigned, unassigned + assigned),
    )
    assert note == (expected if warned else None)


def test_the_warning_lists_the_unassigned_values_as_the_source_writes_them() -> None:
    found = replace(card([on(1, 9, "")]), unknown=(("Mars", 4), ("", 3), ("vénus ", 2)))
    note = unassigned_warning(found)
    assert note is not None
    assert note.text == "Mars, vénus "
    silent = unassigned_warning(replace(found, unknown=(("", 9),)))
    assert silent is not None
    assert silent.text is None


def test_too_few_unassigned_leads_for_a_warning_are_listed_on_their_row() -> None:
    few = replace(card([on(1, 98), on(1, 2, "")]), unknown=(("Mars", 2),))
    listed = list_unassigned(few).unassigned
    assert listed is not None
    assert listed.notes == (Note(NoteCode.UNASSIGNED, "", number=Fraction(2), text="Mars"),)
    many = replace(card([on(1, 97), on(1, 3, "")]), unknown=(("Mars", 3),))
    assert list_unassigned(many) == many
    nobody = card([on(1, 97)])
    assert list_unassigned(nobody) == nobody


def test_the_limits_for_unassigned_leads_can_be_set() -> None:
    found = card([on(1, 90), on(1, 10, "")])
    lenient = Thresholds(unassigned_leads=11, unassigned_share=Fraction(11, 100))
    assert unassigned_warning(found, lenient) is None


def test_leads_that_own_limits_do_not_warn_of_are_listed_on_their_row() -> None:
    found = replace(card([on(1, 90), on(1, 10, "")]), unknown=(("Mars", 10),))
    lenient = Thresholds(unassigned_leads=11, unassigned_share=Fraction(11, 100))
    listed = list_unassigned(found, lenient).unassigned
    assert listed is not None
    assert [note.text for note in listed.notes] == ["Mars"]
    assert list_unassigned(found) == found


def test_a_zero_that_history_makes_improbable_is_doubted() -> None:
    course = Course(DAYS, months(7))
    monday = [date(2026, 6, 8)]
    (note,) = implausible_zeros({"DACH": 0}, {"DACH": course}, monday)
    assert (note.code, note.segment, note.number) == (
        NoteCode.IMPLAUSIBLE_ZERO,
        "DACH",
        Fraction(7),
    )
    assert note.share is not None
    assert 0 < note.share < Fraction(1, 100)


def test_zeros_that_are_no_surprise_pass() -> None:
    monday, saturday = [date(2026, 6, 8)], [date(2026, 6, 6)]
    busy, rare = Course(DAYS, months(7)), Course(DAYS, months(1))
    assert implausible_zeros({"DACH": 0}, {"DACH": busy}, saturday) == ()
    assert implausible_zeros({"DACH": 1}, {"DACH": busy}, monday) == ()
    assert implausible_zeros({"DACH": None}, {"DACH": busy}, monday) == ()
    assert implausible_zeros({"DACH": 0}, {"DACH": rare}, monday) == ()
    assert implausible_zeros({"DACH": 0}, {"DACH": Course(DAYS)}, monday) == ()


def test_the_doubt_begins_below_its_threshold() -> None:
    course = Course(DAYS, months(7))
    monday = [date(2026, 6, 8)]
    (note,) = implausible_zeros({"DACH": 0}, {"DACH": course}, monday)
    assert note.share is not None
    above, below = note.share + Fraction(1, 10**5), note.share - Fraction(1, 10**5)
    for limit, count in ((above, 1), (below, 0)):
        own = Thresholds(implausible=limit)
        assert len(implausible_zeros({"DACH": 0}, {"DACH": course}, monday, own)) == count


def test_a_chance_of_exactly_the_threshold_is_no_doubt() -> None:
    course = Course(DAYS, months(7))
    known = prior(course.history)
    assert known is not None
    two_days = [date(2026, 6, 8), date(2026, 6, 9)]
    exactly = Fraction(chance_of_zero(known, Fraction(2)))
    own = Thresholds(implausible=exactly)
    assert implausible_zeros({"DACH": 0}, {"DACH": course}, two_days, own) == ()
    own = Thresholds(implausible=exactly + Fraction(1, 10**12))
    (note,) = implausible_zeros({"DACH": 0}, {"DACH": course}, two_days, own)
    assert note.number == 14


def test_a_doubtful_total_speaks_for_its_segments() -> None:
    courses = {
        None: Course(DAYS, months(14)),
        "A": Course(DAYS, months(7)),
        "B": Course(DAYS, months(7)),
    }
    monday = [date(2026, 6, 8)]
    all_zero = implausible_zeros(dict.fromkeys(courses, 0), courses, monday)
    assert [note.segment for note in all_zero] == [None]
    some = implausible_zeros({None: 3, "A": 0, "B": 0}, courses, monday)
    assert [note.segment for note in some] == ["A", "B"]


# --------------------------------------------------------------------------------------------- bridge


def explain(
    now: Sequence[DayCount],
    before: Sequence[DayCount] | None,
    known_to: int,
    *,
    cut_off: int = 3,
    usual: Mapping[date, float] | None = None,
) -> Bridge:
    return bridge(
        month=JUNE,
        cut_off=date(2026, 6, cut_off),
        counts=now,
        previous=before,
        previous_cut_off=date(2026, 5, 31) + timedelta(known_to),
        usual=usual,
    )


@pytest.mark.failure("D10")
def test_new_days_and_corrections_lead_from_then_to_now() -> None:
    found = explain(
        [on(1, 4), on(1, 2, "UKI"), on(2, 3), on(3, 1), on(4, 99)],
        [on(1, 5), on(1, 2, "UKI"), on(1, 1, "")],
        1,
    )
    assert found == Bridge(
        previous_cut_off=date(2026, 6, 1),
        previous_actual=8,
        new=((date(2026, 6, 2), 3), (date(2026, 6, 3), 1)),
        corrections=(
            Correction(date(2026, 6, 1), "", -1),
            Correction(date(2026, 6, 1), "DACH", -1),
        ),
        actual=10,
        usual=None,
    )


def test_a_lead_that_moved_between_segments_is_two_corrections() -> None:
    found = explain([on(1, 1, "UKI")], [on(1, 1)], 1, cut_off=1)
    assert found.corrections == (
        Correction(date(2026, 6, 1), "DACH", -1),
        Correction(date(2026, 6, 1), "UKI", 1),
    )
    assert (found.new, found.previous_actual, found.actual) == ((), 1, 1)


def test_without_an_earlier_edition_of_the_month_known_days_are_not_new() -> None:
    found = explain([on(1, 4), on(2, 3), on(3, 1)], None, 2)
    assert (found.previous_cut_off, found.previous_actual) == (None, 7)
    assert (found.new, found.corrections) == (((date(2026, 6, 3), 1),), ())


def test_a_month_that_begins_is_new_from_its_first_day() -> None:
    found = explain([DayCount(date(2026, 5, 31), "DACH", 9), on(1, 4)], None, -3)
    assert (found.previous_actual, found.actual) == (0, 4)
    assert found.new == (
        (date(2026, 6, 1), 4),
        (date(2026, 6, 2), 0),
        (date(2026, 6, 3), 0),
    )


def test_a_bridge_never_reaches_beyond_its_cut_off() -> None:
    found = explain([on(1, 4), on(5, 1)], [on(1, 4), on(5, 1)], 5)
    assert found.previous_cut_off == date(2026, 6, 3)
    assert (found.previous_actual, found.actual, found.new) == (4, 4, ())


def test_usual_figures_stand_beside_new_days_only() -> None:
    usual = {date(2026, 6, day): float(day) for day in (1, 2, 3, 4)}
    found = explain([on(1, 1)], [on(1, 1)], 1, usual=usual)
    assert found.usual == ((date(2026, 6, 2), 2.0), (date(2026, 6, 3), 3.0))
    partly = explain([on(1, 1)], [on(1, 1)], 1, usual={date(2026, 6, 3): 3.0})
    assert partly.usual == ((date(2026, 6, 3), 3.0),)
    assert explain([], [], 1, usual={}).usual is None


def test_several_rows_of_one_day_and_segment_add_up() -> None:
    found = explain([on(1, 1), on(1, 2), on(2, 1), on(2, 1, "UKI")], [on(1, 1)], 1, cut_off=2)
    assert (found.previous_actual, found.actual) == (1, 5)
    assert found.corrections == (Correction(date(2026, 6, 1), "DACH", 2),)
    assert found.new == ((date(2026, 6, 2), 2),)


# -------------------------------------------------------------------------------------- end to end


def test_goals_of_the_plan_and_counts_make_the_scorecard() -> None:
    plan = Plan(
        "CHF",
        (("DACH", "CHF"),),
        (RevenueGoal("DACH", JUNE.start, Decimal(140_000)),),
        (Terms("DACH", JUNE.start, Decimal(15_000), Fraction("0.6"), Fraction("0.04")),),
    )
    course = Course(DAYS)
    found = scorecard(  # with its defaults: an open month that shows its forecast
        plan=plan,
        goals=goals(plan, JUNE.start),
        counts=[on(1, 55)],
        courses={None: course, "DACH": course},
        period=JUNE,
        cut_off=CUT_OFF,
        send_days=DAYS,
        unknown=(("Mars", 3),),
    )
    assert (found.total.goal, found.total.gap, found.unknown) == (140, -9, (("Mars", 3),))
    assert found.total.status is Status.AT_RISK
    assert found.total.forecast is not None
    assert not found.closed


def test_send_days_are_those_of_the_send_calendar_whatever_paces_the_rows() -> None:
    every_day = tuple(Workday(day, Fraction(1)) for day in JUNE.days())
    course = Course(every_day)
    found = card([], courses={None: course, "DACH": course})
    assert (found.workdays, found.elapsed, found.remaining) == (
        Fraction(22),
        Fraction(10),
        Fraction(12),
    )
    assert (found.total.workdays, found.total.elapsed) == (Fraction(30), Fraction(14))


def test_the_total_has_no_pace_before_its_first_workday_although_a_segment_has() -> None:
    elsewhere = Course(Calendar("NL").days(Period(date(2026, 5, 1), date(2026, 6, 1))))
    zurich = Course(ZURICH.days(Period(date(2026, 5, 1), date(2026, 6, 1))))
    found = scorecard(
        plan=PLAN,
        goals=(owed("DACH"), owed("Benelux", 38)),
        counts=[DayCount(date(2026, 5, 1), "Benelux", 3)],
        courses={None: zurich, "DACH": zurich, "Benelux": elsewhere},
        period=Period(date(2026, 5, 1), date(2026, 6, 1)),
        cut_off=date(2026, 5, 3),
        send_days=zurich.days,
    )
    benelux = found.segments[1]
    figures = (benelux.elapsed, benelux.expected, benelux.pace)
    assert figures == (Fraction(1), Fraction(2), Fraction(3, 2))
    assert (found.total.elapsed, found.total.expected) == (Fraction(0), Fraction(2))
    assert found.total.gap == 1
    assert (found.total.pace, found.total.rate_per_workday) == (None, None)


def test_a_month_without_an_sla_reuses_no_lead_value() -> None:
    bare = replace(owed(goal=None), notes=(Note(NoteCode.NO_SLA, "DACH", day=JUNE.start),))
    found = card([on(1, 5)], bare)
    assert found.segments[0].actual == 5
    assert found.segments[0].lead_value is None
    assert found.value is None

"""Steps 1 to 5: the leads owed follow from the agreed figures, exactly and whatever their order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from itertools import permutations, product
from math import ceil
from typing import Literal

import pytest

from digest.errors import ConfigError
from digest.model import (
    DealStatistics,
    Note,
    NoteCode,
    Origin,
    Period,
    PlanRate,
    SegmentDeals,
)
from digest.sla import (
    Basis,
    Goal,
    GoalChange,
    Measured,
    Plan,
    RevenueGoal,
    Terms,
    basis,
    cascaded_goal,
    drift,
    goal_for,
    goals,
    measured,
    missing_rates,
    to_plan_currency,
    value_goal,
)

JANUARY, MAY, JUNE, JULY = (date(2026, month, 1) for month in (1, 5, 6, 7))


def terms(
    segment: str = "DACH",
    size: str | None = "15000",
    share: str | None = "0.6",
    rate: str | None = "0.04",
    *,
    valid_from: date = JANUARY,
) -> Terms:
    return Terms(
        segment,
        valid_from,
        None if size is None else Decimal(size),
        None if share is None else Fraction(share),
        None if rate is None else Fraction(rate),
    )


def revenue(amount: str = "300000", segment: str = "DACH", month: date = JUNE) -> RevenueGoal:
    return RevenueGoal(segment, month, Decimal(amount))


def plan(
    *agreed: Terms,
    revenues: Sequence[RevenueGoal] = (revenue(),),
    currencies: tuple[tuple[str, str], ...] = (("DACH", "CHF"),),
) -> Plan:
    return Plan("CHF", currencies, tuple(revenues), agreed or (terms(),))


def only(found: Sequence[Goal]) -> Goal:
    (goal,) = found
    return goal


def codes(goal: Goal) -> list[NoteCode]:
    return [note.code for note in goal.notes]


FOUR_REGIONS = Plan(
    "CHF",
    (("DACH", "CHF"), ("Benelux", "EUR"), ("UKI", "EUR"), ("Nordics", "EUR")),
    (
        revenue("300000", "DACH"),
        revenue("120000", "Benelux"),
        revenue("90000", "UKI"),
        revenue("50000", "Nordics"),
    ),
    (
        terms("DACH", "15000", "0.60", "0.04"),
        terms("Benelux", "9000", "0.50", "0.05"),
        terms("UKI", "8000", "0.45", "0.03"),
        terms("Nordics", "7000", "0.40", "0.06"),
    ),
    rates=(PlanRate("EUR", Decimal("0.95"), JANUARY),),
)


# ------------------------------------------------------------------------------------ reference cases


@pytest.mark.parametrize(
    ("expected", "amount", "share", "size", "rate"),
    [
        pytest.param(140, 7, "1", 1, "0.05", id="HubSpot 2012: 7 customers at 5 %"),
        pytest.param(125, 200_000, "1", 160_000, "0.01", id="Weinbaum 2017"),
        pytest.param(152, 2_000_000, "1", 60_000, "0.22", id="pulserevops st214"),
        pytest.param(300, 300_000, "0.60", 15_000, "0.04", id="DACH"),
        pytest.param(134, 120_000, "0.50", 9_000, "0.05", id="Benelux"),
        pytest.param(169, 90_000, "0.45", 8_000, "0.03", id="UKI"),
        pytest.param(48, 50_000, "0.40", 7_000, "0.06", id="Nordics"),
    ],
)
def test_the_published_cases_come_out(
    expected: int, amount: int, share: str, size: int, rate: str
) -> None:
    assert expected == goal_for(amount, Fraction(share), size, Fraction(rate))


def test_a_deal_of_160_000_at_1_percent_makes_a_lead_worth_1_600() -> None:
    agreed = plan(terms(size="160000", share="1", rate="0.01"), revenues=[revenue("200000")])
    assert Fraction(1600) == only(goals(agreed, JUNE)).lead_value
    assert only(goals(agreed, JUNE)).goal == 125


def test_rounding_at_every_stage_costs_three_more_leads() -> None:
    agreed = plan(terms(size="60000", share="1", rate="0.22"), revenues=[revenue("2000000")])
    assert only(goals(agreed, JUNE)).goal == 152
    assert only(goals(replace(agreed, rounding="cascade"), JUNE)).goal == 155
    assert cascaded_goal(2_000_000, 60_000, [Fraction("0.22")]) == 155


def test_four_regions_owe_the_sum_of_the_shown_integers() -> None:
    found = goals(FOUR_REGIONS, JUNE)
    assert [goal.goal for goal in found] == [300, 134, 169, 48]
    assert [goal.sales_goal for goal in found] == [200, 134, 207, 72]
    assert sum(goal.goal or 0 for goal in found) == 651
    unrounded = sum((goal.marketing_revenue or 0) / (goal.lead_value or 1) for goal in found)
    assert ceil(unrounded) == 650


def test_the_parts_of_a_goal_are_exact() -> None:
    goal = only(goals(plan(), JUNE))
    assert Fraction(600) == goal.lead_value
    assert Fraction(180_000) == goal.marketing_revenue
    assert Fraction(12) == goal.customers
    assert goal.implied_revenue is None
    assert not goal.by_hand
    assert goal.currency == "CHF"
    assert goal.notes == ()


def test_no_float_makes_60_leads_61() -> None:
    assert ceil(10_000 * 0.45 / 2_500 / 0.03) == 61  # the trap
    assert goal_for(Decimal(10_000), Fraction("0.45"), Decimal(2_500), Fraction("0.03")) == 60


def test_every_input_on_which_floats_fail_is_exact_here() -> None:
    traps = 0
    for amount, share, size, rate in product(
        range(10_000, 100_001, 10_000), range(5, 100, 5), (2_500, 5_000, 7_500), range(1, 11)
    ):
        right = -(-amount * share // (size * rate))  # integers: the two per cents cancel
        found = goal_for(amount, Fraction(share, 100), size, Fraction(rate, 100))
        assert right == found, (amount, share, size, rate)
        traps += ceil(amount * (share / 100) / size / (rate / 100)) != right
    assert traps > 100


# --------------------------------------------------------------------------------- what is undefined


@pytest.mark.failure("D16")
@pytest.mark.parametrize(
    ("code", "agreed"),
    [
        (NoteCode.CLOSE_RATE_MISSING, terms(rate=None)),
        (NoteCode.CLOSE_RATE_MISSING, terms(rate="0")),
        (NoteCode.CLOSE_RATE_MISSING, replace(terms(), stage_rates=(Fraction(0),))),
        (NoteCode.DEAL_SIZE_MISSING, terms(size=None)),
        (NoteCode.DEAL_SIZE_MISSING, terms(size="0")),
        (NoteCode.SHARE_MISSING, terms(share=None)),
    ],
)
def test_a_missing_figure_leaves_the_goal_undefined_and_says_which(
    code: NoteCode, agreed: Terms
) -> None:
    goal = only(goals(plan(agreed), JUNE))
    assert goal.goal is None
    assert goal.sales_goal is None
    assert [Note(code, "DACH")] == list(goal.notes)


def test_everything_that_is_missing_is_said_at_once() -> None:
    goal = only(goals(plan(terms(size=None, share=None, rate=None)), JUNE))
    assert codes(goal) == [
        NoteCode.SHARE_MISSING,
        NoteCode.DEAL_SIZE_MISSING,
        NoteCode.CLOSE_RATE_MISSING,
    ]
    assert goal.lead_value is None
    assert goal.customers is None


def test_a_segment_without_terms_has_no_goal() -> None:
    later = terms(valid_from=JULY)
    goal = only(goals(plan(later), JUNE))
    assert goal.goal is None
    missing = (NoteCode.SHARE_MISSING, NoteCode.DEAL_SIZE_MISSING, NoteCode.CLOSE_RATE_MISSING)
    assert [Note(code, "DACH") for code in missing] == list(goal.notes)


@pytest.mark.failure("D16")
@pytest.mark.parametrize("agreed", [terms(), terms(size=None, share=None, rate=None)])
def test_a_revenue_goal_of_zero_owes_nothing(agreed: Terms) -> None:
    goal = only(goals(plan(agreed, revenues=[revenue("0")]), JUNE))
    assert (goal.goal, goal.sales_goal) == (0, 0)
    assert Fraction(0) == goal.marketing_revenue
    assert goal.notes == ()


def test_a_share_of_zero_owes_nothing_and_sales_owes_all() -> None:
    goal = only(goals(plan(terms(share="0")), JUNE))
    assert (goal.goal, goal.sales_goal) == (0, 500)
    all_marketing = only(goals(plan(terms(share="1")), JUNE))
    assert (all_marketing.goal, all_marketing.sales_goal) == (500, 0)


# ---------------------------------------------------------------------------------------- sales share


def test_leads_that_sales_sources_close_differently() -> None:
    agreed = replace(terms(), sales_deal_size=Decimal(20_000), sales_close_rate=Fraction("0.06"))
    goal = only(goals(plan(agreed), JUNE))
    assert (goal.goal, goal.sales_goal) == (300, 100)


def test_a_zero_for_sales_leaves_only_its_goal_undefined() -> None:
    agreed = replace(terms(), sales_deal_size=Decimal(0), sales_close_rate=Fraction(0))
    goal = only(goals(plan(agreed), JUNE))
    assert (goal.goal, goal.sales_goal) == (300, None)
    assert [
        Note(NoteCode.DEAL_SIZE_MISSING, "DACH", text="sales"),
        Note(NoteCode.CLOSE_RATE_MISSING, "DACH", text="sales"),
    ] == list(goal.notes)


def test_sales_has_a_goal_where_only_marketings_rate_is_missing() -> None:
    agreed = replace(terms(rate=None), sales_close_rate=Fraction("0.04"))
    goal = only(goals(plan(agreed), JUNE))
    assert (goal.goal, goal.sales_goal) == (None, 200)


def test_sales_rounds_at_every_stage_where_marketing_does() -> None:
    # 40 % of 290,000 is 7.73 customers: 193.3 leads at 4 %, and 8 customers take 200.
    once = plan(revenues=[revenue("290000")])
    found = [only(goals(p, JUNE)).sales_goal for p in (once, replace(once, rounding="cascade"))]
    assert found == [194, 200]


# ---------------------------------------------------------------------------------- stages and by hand


def test_stage_rates_multiply_and_round_up_once() -> None:
    stages = (Fraction("0.5"), Fraction("0.3"))
    agreed = replace(terms(size="1000", share="1", rate="0.7"), stage_rates=stages)
    goal = only(goals(plan(agreed, revenues=[revenue("10000")]), JUNE))
    assert Fraction(105) == goal.lead_value
    assert goal.goal == 96  # 10 customers / 0.105 = 95.2
    assert goal_for(10_000, 1, 1_000, Fraction("0.7"), *stages) == 96


def test_cascading_rounds_from_the_customer_back_to_the_lead() -> None:
    stages = (Fraction("0.5"), Fraction("0.3"))
    agreed = replace(terms(size="1000", share="1", rate="0.7"), stage_rates=stages)
    cascade = replace(plan(agreed, revenues=[revenue("10000")]), rounding="cascade")
    # 10 customers -> 15 (14.3) -> 50 -> 100
    assert only(goals(cascade, JUNE)).goal == 100


def test_a_chain_of_stages_needs_no_close_rate() -> None:
    agreed = replace(terms(rate=None), stage_rates=(Fraction("0.2"), Fraction("0.2")))
    goal = only(goals(plan(agreed), JUNE))
    assert (goal.goal, goal.sales_goal) == (300, 200)


def test_a_goal_set_by_hand_is_marked_and_its_revenue_implied() -> None:
    goal = only(goals(plan(replace(terms(), goal=140, sales_goal=9)), JUNE))
    assert (goal.goal, goal.sales_goal, goal.by_hand) == (140, 9, True)
    assert Fraction(84_000) == goal.implied_revenue
    (note,) = goal.notes
    assert (note.code, note.segment, note.number) == (NoteCode.SET_BY_HAND, "DACH", Fraction(140))
    assert (note.other, note.text) == (Fraction(84_000), "CHF")  # the reader is told


def test_a_goal_set_by_hand_needs_nothing_else() -> None:
    agreed = replace(terms(size=None, share=None, rate=None), goal=0)
    goal = only(goals(plan(agreed, revenues=[]), JUNE))
    assert (goal.goal, goal.sales_goal) == (0, None)
    assert goal.implied_revenue is None
    assert [Note(NoteCode.SET_BY_HAND, "DACH", number=Fraction(0))] == list(goal.notes)


# -------------------------------------------------------------------------------------- months, dates


def test_the_order_of_entry_changes_neither_goals_nor_version() -> None:
    steps = (
        terms(rate="0.04"),
        terms(rate="0.05", valid_from=MAY),
        terms(rate="0.06", valid_from=JULY),
    )
    found = {
        (plan(*order).version, tuple(only(goals(plan(*order), m)).goal for m in (MAY, JUNE, JULY)))
        for order in permutations(steps)
    }
    assert [numbers for _, numbers in found] == [(None, 240, None)]


def test_later_terms_replace_all_of_the_earlier_ones() -> None:
    hand_set = replace(terms(), goal=7)
    found = [only(goals(plan(hand_set, terms(valid_from=JUNE)), month)) for month in (MAY, JUNE)]
    assert [goal.goal for goal in found] == [7, 300]


@pytest.mark.failure("D15")
def test_a_change_during_the_month_holds_for_all_of_it_from_its_date_on() -> None:
    agreed = plan(terms(), terms(rate="0.06", valid_from=date(2026, 6, 15)))
    before = only(goals(agreed, JUNE, on=date(2026, 6, 14)))
    after = only(goals(agreed, JUNE, on=date(2026, 6, 15)))
    assert (before.goal, before.notes) == (300, ())
    assert after.goal == 200
    changed = Note(
        NoteCode.GOAL_CHANGED,
        "DACH",
        number=Fraction(300),
        other=Fraction(200),
        day=date(2026, 6, 15),
    )
    assert (changed,) == after.notes
    assert after == only(goals(agreed, JUNE))
    assert codes(only(goals(agreed, JULY))) == [NoteCode.NO_SLA]


def test_a_change_that_leaves_the_goal_alone_is_not_told() -> None:
    agreed = plan(terms(), terms("DACH", "30000", "0.6", "0.02", valid_from=date(2026, 6, 15)))
    assert only(goals(agreed, JUNE)).notes == ()


def test_terms_that_begin_during_the_month_replace_nothing() -> None:
    agreed = plan(terms(valid_from=date(2026, 6, 15)))
    assert ((goal := only(goals(agreed, JUNE))).goal, goal.notes) == (300, ())
    assert only(goals(agreed, JUNE, on=date(2026, 6, 14))).goal is None


def test_a_date_outside_the_month_asks_for_its_nearest_day() -> None:
    agreed = plan(terms(), terms(rate="0.06", valid_from=date(2026, 6, 15)))
    assert only(goals(agreed, JUNE, on=date(2026, 5, 1))).goal == 300
    assert only(goals(agreed, JUNE, on=date(2026, 12, 1))).goal == 200


def test_terms_of_the_last_day_still_belong_to_the_month() -> None:
    agreed = plan(terms(), terms(rate="0.06", valid_from=date(2026, 6, 30)))
    assert only(goals(agreed, JUNE)).goal == 200


def test_a_change_recorded_by_hand_is_told_from_its_day_on() -> None:
    change = GoalChange("DACH", JUNE, date(2026, 6, 10), 250, None)
    agreed = replace(plan(), changes=(change,))
    assert only(goals(agreed, JUNE, on=date(2026, 6, 9))).notes == ()
    assert only(goals(agreed, JULY)).notes[1:] == ()
    told = Note(NoteCode.GOAL_CHANGED, "DACH", number=Fraction(250), day=date(2026, 6, 10))
    assert (told,) == only(goals(agreed, JUNE, on=date(2026, 6, 10))).notes


def test_changes_recorded_by_hand_are_told_in_the_order_of_their_days() -> None:
    later = GoalChange("DACH", JUNE, date(2026, 6, 20), 260, 300)
    agreed = replace(plan(), changes=(later, GoalChange("DACH", JUNE, date(2026, 6, 10), 250, 260)))
    told = only(goals(agreed, JUNE)).notes
    assert [(note.day, note.number, note.other) for note in told] == [
        (date(2026, 6, 10), Fraction(250), Fraction(260)),
        (date(2026, 6, 20), Fraction(260), Fraction(300)),
    ]


def test_leads_may_serve_the_revenue_of_a_later_month() -> None:
    lagged = replace(plan(revenues=[revenue(month=JULY)]), lag_months=1)
    assert only(goals(lagged, JUNE)).goal == 300
    assert codes(only(goals(lagged, JULY))) == [NoteCode.NO_SLA]


def test_a_month_without_an_sla_has_no_goal() -> None:
    goal = only(goals(plan(), JULY))
    assert goal.goal is None
    assert [Note(NoteCode.NO_SLA, "DACH", day=JULY)] == list(goal.notes)


def test_the_last_sla_is_carried_forward_only_when_asked_and_says_so() -> None:
    both = plan(revenues=[revenue("600000", month=MAY), revenue()])
    carried = only(goals(replace(both, carry_forward=True), date(2026, 9, 1)))
    assert carried.goal == 300
    assert [Note(NoteCode.CARRIED_FORWARD, "DACH", day=JUNE)] == list(carried.notes)
    own = only(goals(replace(both, carry_forward=True), MAY))
    assert (own.goal, own.notes) == (600, ())


def test_the_basis_of_a_goal_is_what_it_is_computed_from() -> None:
    later = replace(terms(rate="0.03"), valid_from=date(2026, 6, 10))
    lagged = replace(plan(terms(), later, revenues=[revenue("600000", month=JULY)]), lag_months=1)

    before, after = (basis(lagged, "DACH", JUNE, on=date(2026, 6, day)) for day in (9, 10))

    assert (before.terms, before.month, before.revenue_goal) == (terms(), JULY, Decimal(600000))
    assert after.terms == later
    assert basis(lagged, "DACH", JUNE).terms == later
    assert basis(lagged, "DACH", JULY) == Basis(later, date(2026, 8, 1), None)
    assert basis(lagged, "DACH", date(2025, 12, 1)).terms is None


def test_the_basis_of_a_plan_carried_forward_names_the_month_that_it_takes() -> None:
    carried = replace(plan(), carry_forward=True)

    assert basis(carried, "DACH", JULY).month == JUNE
    assert basis(carried, "Nordics", JUNE).revenue_goal is None


def test_nothing_is_carried_from_the_future() -> None:
    goal = only(goals(replace(plan(), carry_forward=True), MAY))
    assert goal.goal is None
    assert codes(goal) == [NoteCode.NO_SLA]


def test_a_goal_by_hand_needs_no_carrying() -> None:
    by_hand = replace(plan(replace(terms(), goal=5)), carry_forward=True)
    assert codes(only(goals(by_hand, JULY))) == [NoteCode.SET_BY_HAND]


def test_one_segment_without_a_revenue_goal_is_not_a_month_without_an_sla() -> None:
    two = plan(terms(), terms("UKI"), currencies=(("DACH", "CHF"), ("UKI", "CHF")))
    found = goals(replace(two, carry_forward=True), JUNE)
    assert [goal.goal for goal in found] == [300, None]
    assert [Note(NoteCode.REVENUE_GOAL_MISSING, "UKI")] == list(found[1].notes)


# ------------------------------------------------------------------------------------------ currencies


@pytest.mark.failure("D17")
def test_totals_use_the_one_plan_rate() -> None:
    assert Fraction(95) == to_plan_currency(FOUR_REGIONS, 100, "EUR")
    assert Fraction(100) == to_plan_currency(FOUR_REGIONS, 100, "CHF")
    found = goals(FOUR_REGIONS, JUNE)
    # 300 x 600 + 0.95 x (134 x 450 + 169 x 240 + 48 x 420)
    assert Fraction(294_969) == value_goal(FOUR_REGIONS, found)


def test_undefined_goals_and_unpriced_leads_have_no_value() -> None:
    found = only(goals(plan(), JUNE))
    nothing = [replace(found, goal=None), replace(found, lead_value=None)]
    assert Fraction(0) == value_goal(plan(), nothing)
    assert Fraction(180_000) == value_goal(plan(), [found, *nothing])


@pytest.mark.failure("D17")
def test_an_unknown_currency_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"no rate from EURO to CHF.*CHF, EUR.*mean 'EUR'"):
        to_plan_currency(FOUR_REGIONS, 1, "EURO")
    with pytest.raises(ConfigError, match=r"known are CHF\. Add a plan rate for JPY"):
        to_plan_currency(plan(), 1, "JPY")


def test_missing_rates_are_listed_before_any_total_is_asked_for() -> None:
    assert missing_rates(FOUR_REGIONS) == ()
    assert missing_rates(replace(FOUR_REGIONS, rates=())) == ("EUR",)


# -------------------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("words", "changed"),
    [
        ("listed twice", {"currencies": (("DACH", "CHF"), ("DACH", "EUR"))}),
        ("no segment 'Dach'.*did you mean 'DACH'", {"terms": (terms("Dach"),)}),
        ("no segment 'X', known are DACH", {"revenue_goals": (revenue(segment="X"),)}),
        ("no segment 'X'", {"changes": (GoalChange("X", JUNE, JUNE, 1, 2),)}),
        ("first day of a month", {"revenue_goals": (revenue(month=date(2026, 6, 2)),)}),
        ("found -1, allowed is 0 or more", {"revenue_goals": (revenue("-1"),)}),
        ("both 1 and 2", {"revenue_goals": (revenue("1"), revenue("2"))}),
        ("two different terms", {"terms": (terms(), terms(rate="0.05"))}),
        ("close_rate is 101.0000%", {"terms": (terms(rate="1.01"),)}),
        ("close_rate is -1.0000%", {"terms": (terms(rate="-0.01"),)}),
        ("marketing_share is 150", {"terms": (terms(share="1.5"),)}),
        ("sales_close_rate", {"terms": (replace(terms(), sales_close_rate=Fraction(2)),)}),
        ("stage_rates", {"terms": (replace(terms(), stage_rates=(Fraction(2),)),)}),
        ("deal_size is -1", {"terms": (terms(size="-1"),)}),
        ("sales_deal_size", {"terms": (replace(terms(), sales_deal_size=Decimal(-1)),)}),
        (": goal is -1", {"terms": (replace(terms(), goal=-1),)}),
        ("sales_goal is -1", {"terms": (replace(terms(), sales_goal=-1),)}),
        ("lag_months is -1", {"lag_months": -1}),
        ("rate of EUR is 0", {"rates": (PlanRate("EUR", Decimal(0), JUNE),)}),
        (
            "EUR has two rates",
            {"rates": (PlanRate("EUR", Decimal(1), JUNE), PlanRate("EUR", Decimal(2), JUNE))},
        ),
    ],
)
def test_a_contradiction_is_refused_with_what_was_found(
    words: str, changed: dict[str, object]
) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        replace(plan(), **changed)  # type: ignore[arg-type] # any field, by name
    assert len(caught.value.mistakes) == 1


def test_the_limits_themselves_are_allowed_and_repetition_is_no_contradiction() -> None:
    edge = replace(
        terms(size="0", share="1", rate="1"), goal=0, sales_goal=0, stage_rates=(Fraction(0),)
    )
    agreed = plan(edge, edge, revenues=[revenue("0"), revenue("0.00")])
    assert only(goals(agreed, JUNE)).goal == 0


@pytest.mark.parametrize(
    ("where", "changed"),
    [
        (r"^plan: revenue goal of 'DACH' for 2026-06: ", {"revenue_goals": (revenue("-1"),)}),
        (r"^plan: 'DACH' from 2026-01-01: ", {"terms": (terms(rate="2"),)}),
        (r": sales_close_rate is 2", {"terms": (replace(terms(), sales_close_rate=Fraction(2)),)}),
        (r": stage_rates is 2", {"terms": (replace(terms(), stage_rates=(Fraction(2),)),)}),
        (r": sales_deal_size is -1", {"terms": (replace(terms(), sales_deal_size=Decimal(-1)),)}),
    ],
)
def test_a_mistake_says_where_it_stands(where: str, changed: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=where):
        replace(plan(), **changed)  # type: ignore[arg-type] # any field, by name


def test_an_unknown_segment_is_told_all_that_are_known() -> None:
    with pytest.raises(ConfigError, match="no segment 'X', known are DACH, Benelux, UKI, Nordics"):
        replace(FOUR_REGIONS, terms=(*FOUR_REGIONS.terms, terms("X")))


def test_each_currency_has_a_rate_of_its_own() -> None:
    euro, pound = PlanRate("EUR", Decimal("0.95"), JUNE), PlanRate("GBP", Decimal("1.1"), JUNE)
    agreed = replace(plan(), rates=(euro, pound))
    assert [to_plan_currency(agreed, 100, code) for code in ("EUR", "GBP")] == [95, 110]


def test_all_mistakes_come_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        plan(terms("X", share="2"), revenues=[revenue("-1"), revenue("-2")])
    assert len(caught.value.mistakes) == 5


def test_a_plan_without_segments_says_so() -> None:
    with pytest.raises(ConfigError, match="known are none"):
        plan(currencies=())


# --------------------------------------------------------------------------------------------- version


def test_the_version_follows_the_content_not_its_spelling() -> None:
    base = plan()
    assert len(base.version) == 12
    assert base.version == plan(terms(size="15000.00")).version
    assert base.version == plan(revenues=[revenue("3E5")]).version


@pytest.mark.parametrize(
    "other",
    [
        plan(terms(rate="0.05")),
        plan(terms(size="15001")),
        plan(terms(share="0.5")),
        plan(terms(valid_from=MAY)),
        plan(replace(terms(), stage_rates=(Fraction(1, 2),))),
        plan(replace(terms(), sales_deal_size=Decimal(15_000))),
        plan(replace(terms(), sales_close_rate=Fraction("0.04"))),
        plan(replace(terms(), goal=300)),
        plan(replace(terms(), sales_goal=200)),
        plan(revenues=[revenue("1")]),
        plan(revenues=[revenue(month=MAY)]),
        plan(currencies=(("DACH", "EUR"),)),
        replace(plan(), currency="EUR"),
        replace(plan(), lag_months=1),
        replace(plan(), rounding="cascade"),
        replace(plan(), carry_forward=True),
        replace(plan(), rates=(PlanRate("EUR", Decimal(1), JUNE),)),
        replace(plan(), changes=(GoalChange("DACH", JUNE, JUNE, 1, 2),)),
    ],
)
def test_every_change_of_content_changes_the_version(other: Plan) -> None:
    assert plan().version != other.version


def test_the_same_terms_for_another_segment_are_another_version() -> None:
    both = (("DACH", "CHF"), ("UKI", "CHF"))
    found = [plan(terms(name), revenues=[], currencies=both).version for name in ("DACH", "UKI")]
    assert found[0] != found[1]


def test_segments_keep_the_order_in_which_people_read_them() -> None:
    assert FOUR_REGIONS.segments == ("DACH", "Benelux", "UKI", "Nordics")
    turned = replace(FOUR_REGIONS, currencies=FOUR_REGIONS.currencies[::-1])
    assert turned.segments == ("Nordics", "UKI", "Benelux", "DACH")
    assert FOUR_REGIONS.version == turned.version


# ----------------------------------------------------------------------------------- measured and drift


def deals(
    segment: str = "DACH",
    *,
    leads: int = 1000,
    customers: int = 31,
    cohort: int = 20,
    won: int = 10,
    amount: str = "150000",
    priced: int = 10,
    currency: str | None = "CHF",
) -> SegmentDeals:
    return SegmentDeals(
        segment, won, 0, Decimal(amount), priced, currency, leads, customers, cohort
    )


def statistics(*entries: SegmentDeals) -> DealStatistics:
    window = Period(date(2025, 12, 1), JUNE)
    return DealStatistics(window, entries, datetime(2026, 6, 1, tzinfo=UTC), Origin("sql", "x"))


def measure(
    *entries: SegmentDeals, method: Literal["pooled", "cohort"] = "pooled", of: Plan | None = None
) -> Measured:
    return measured(of or plan(), statistics(*entries), method=method)[0]


def test_the_close_rate_pools_the_window() -> None:
    found = measure(deals(), deals("", leads=500, customers=0))
    assert (found.customers, found.leads, found.small_sample) == (31, 1000, False)
    assert Fraction(31, 1000) == found.raw_rate == found.close_rate
    assert found.maturing == ()


def test_a_cohort_counts_its_own_customers_and_flags_the_youngest_months() -> None:
    found = measure(deals(), method="cohort")
    assert Fraction(20, 1000) == found.close_rate
    # 90 days before 1 June is 3 March: leads of March to May are younger.
    assert (date(2026, 3, 1), date(2026, 4, 1), MAY) == found.maturing


def test_leads_of_ninety_days_and_more_have_matured() -> None:
    # 90 days before 1 March 2026 is 1 December 2025, when November was just over.
    window = Period(date(2025, 9, 1), date(2026, 3, 1))
    (found,) = measured(plan(), replace(statistics(deals()), window=window), method="cohort")
    assert found.maturing == (date(2025, 12, 1), date(2026, 1, 1), date(2026, 2, 1))


@pytest.mark.parametrize(
    ("small", "leads", "customers"),
    [(True, 29, 5), (True, 30, 4), (False, 30, 5)],
)
def test_a_sample_is_small_below_30_leads_or_5_customers(
    small: bool,  # noqa: FBT001 - a column of the table
    leads: int,
    customers: int,
) -> None:
    found = measure(deals(leads=leads, customers=customers))
    assert small == found.small_sample


def test_a_small_sample_shrinks_to_the_rate_of_everybody() -> None:
    found = measure(
        deals(leads=10, customers=1),
        deals("UKI", leads=980, customers=48),
        deals("", leads=10, customers=1),
    )
    assert Fraction(1, 10) == found.raw_rate
    assert (1 + 50 * Fraction(50, 1000)) / 60 == found.close_rate


def test_a_small_cohort_shrinks_to_the_cohorts_of_everybody() -> None:
    small = deals(leads=10, customers=9, cohort=1)
    found = measure(small, deals("UKI", leads=990, customers=400, cohort=49), method="cohort")
    assert (1 + 50 * Fraction(50, 1000)) / 60 == found.close_rate


def test_where_customers_are_not_known_no_rate_is_measured_but_deals_are() -> None:
    source = replace(statistics(deals(), deals("UKI")), no_customers="contacts carry no stage")
    (found,) = measured(plan(), source)
    assert (found.leads, found.customers, found.raw_rate, found.close_rate) == (0, 0, None, None)
    assert (found.deal_size, found.deals) == (Decimal(15_000), 10)


def test_the_win_rate_is_that_of_all_closed_deals() -> None:
    assert measure(replace(deals(won=10), lost=30), deals(won=0)).win_rate == Fraction(1, 4)
    assert measure(replace(deals(won=0), lost=0)).win_rate is None


def test_a_segment_without_leads_takes_the_rate_of_everybody() -> None:
    found = measure(deals("UKI", leads=1000, customers=50))
    assert found.raw_rate is None
    assert Fraction(50, 1000) == found.close_rate


@pytest.mark.parametrize(("customers", "leads"), [(0, 40), (60, 40), (0, 3), (9, 3)])
def test_a_rate_of_zero_or_above_one_is_none_to_plan_with(customers: int, leads: int) -> None:
    figure = measure(deals(leads=leads, customers=customers))
    assert Fraction(customers, leads) == figure.raw_rate
    assert figure.close_rate is None
    assert drift(plan(), JUNE, statistics(deals(leads=leads, customers=customers))) == ()


def test_a_rate_of_one_is_possible() -> None:
    assert measure(deals(leads=40, customers=40)).close_rate == 1


def test_without_any_lead_no_rate_is_invented() -> None:
    found = measure(deals(leads=0, customers=0))
    assert (found.raw_rate, found.close_rate) == (None, None)


def test_deal_size_is_the_mean_of_deals_with_an_amount() -> None:
    found = measure(deals(won=9, priced=6, amount="100000"))
    assert Decimal("16666.67") == found.deal_size
    assert (found.deals, found.deals_without_amount, found.few_deals) == (6, 3, False)
    half = measure(deals(priced=8, amount="1.00"))
    assert Decimal("0.13") == half.deal_size  # 0.125


def test_fewer_than_five_deals_are_flagged_and_none_have_no_size() -> None:
    assert not measure(deals(priced=5)).few_deals
    assert measure(deals(priced=4)).few_deals
    nothing = measure(deals(priced=0, amount="0", currency="XXX"))
    assert (nothing.deal_size, nothing.few_deals) == (None, True)


def test_amounts_of_several_currencies_meet_in_the_segments_own() -> None:
    found = measured(
        FOUR_REGIONS,
        statistics(
            deals("Benelux", priced=1, amount="9500", currency="CHF"),
            deals("Benelux", leads=0, customers=0, priced=2, amount="20000", currency="EUR"),
            deals("Benelux", leads=0, customers=0, priced=1, amount="10000", currency=None),
        ),
    )[1]
    assert (Decimal("10000.00"), "EUR") == (found.deal_size, found.currency)


@pytest.mark.failure("D17")
def test_a_deal_in_an_unknown_currency_is_an_error() -> None:
    with pytest.raises(ConfigError, match="no rate from USD"):
        measure(deals(currency="USD"))


def test_drift_says_what_the_goal_would_be() -> None:
    agreed = plan(revenues=[revenue("140000")])
    (found,) = drift(agreed, JUNE, statistics(deals()))
    assert (found.goal, found.goal_at_measured) == (140, 181)
    assert (Fraction("0.04"), Fraction("0.031")) == (
        found.agreed_close_rate,
        found.measured_close_rate,
    )
    assert (Decimal(15_000), Decimal(15_000)) == (found.agreed_deal_size, found.measured_deal_size)
    assert (found.segment, found.small_sample) == ("DACH", False)


def test_drift_rounds_as_the_goal_does() -> None:
    # 145,000 / 15,000 is 9.67 customers; at 3.1 % that is 311.8 leads, and 10 customers take 322.6.
    shared = plan(replace(terms(), marketing_share=Fraction(1)), revenues=[revenue("145000")])
    (once,) = drift(shared, JUNE, statistics(deals()))
    (cascade,) = drift(replace(shared, rounding="cascade"), JUNE, statistics(deals()))
    assert (once.goal, once.goal_at_measured) == (242, 312)
    assert (cascade.goal, cascade.goal_at_measured) == (250, 323)


def test_drift_takes_no_deal_size_that_rounds_to_nothing() -> None:
    (found,) = drift(plan(), JUNE, statistics(deals(priced=8, amount="0.01")))
    assert found.measured_deal_size == Decimal("0.00")
    assert found.goal_at_measured == 388


def test_drift_of_a_goal_by_hand_keeps_its_implied_revenue() -> None:
    (found,) = drift(plan(replace(terms(), goal=140)), JUNE, statistics(deals()))
    assert (found.goal, found.goal_at_measured) == (140, 181)


def test_drift_compares_with_the_product_of_all_stages() -> None:
    staged = replace(terms(rate="0.2"), stage_rates=(Fraction("0.2"),))
    (found,) = drift(plan(staged), JUNE, statistics(deals()))
    assert Fraction("0.04") == found.agreed_close_rate


def test_drift_uses_the_terms_in_force_on_the_day() -> None:
    agreed = plan(terms(), terms(size="30000", valid_from=date(2026, 6, 15)))
    (early,) = drift(agreed, JUNE, statistics(deals()), on=date(2026, 6, 14))
    (late,) = drift(agreed, JUNE, statistics(deals()))
    assert (Decimal(15_000), Decimal(30_000)) == (early.agreed_deal_size, late.agreed_deal_size)
    assert (early.goal, late.goal) == (300, 150)


def test_drift_keeps_the_agreed_size_where_no_deal_has_an_amount() -> None:
    (found,) = drift(plan(), JUNE, statistics(deals(priced=0, amount="0")))
    assert found.measured_deal_size is None
    assert found.goal_at_measured == 388  # 180,000 / 15,000 / 3.1 %
    assert not found.small_sample


def test_drift_flags_few_deals_as_a_small_sample() -> None:
    (found,) = drift(plan(), JUNE, statistics(deals(priced=4, amount="60000")))
    assert found.small_sample
    (few_leads,) = drift(plan(), JUNE, statistics(deals(leads=20, customers=5)))
    assert few_leads.small_sample


def test_drift_measures_a_cohort_when_asked() -> None:
    (found,) = drift(plan(), JUNE, statistics(deals()), method="cohort")
    assert Fraction(20, 1000) == found.measured_close_rate


@pytest.mark.parametrize(
    ("agreed", "entry"),
    [
        (plan(terms(rate=None)), deals()),
        (plan(terms(size=None)), deals()),
        (plan(terms(valid_from=JULY)), deals()),
        (plan(revenues=[revenue("0")]), deals()),
        (plan(replace(terms(), goal=0)), deals()),
        (plan(), deals(leads=0, customers=0)),
        (plan(), deals(customers=0)),
        (plan(replace(terms(rate=None), goal=3)), deals()),
    ],
)
def test_nothing_drifts_without_a_goal_or_a_measured_rate(
    agreed: Plan, entry: SegmentDeals
) -> None:
    assert drift(agreed, JUNE, statistics(entry)) == ()

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from digest.actions import MOST, actions
from digest.model import Action, ActionCode, Edition, Note, NoteCode, Status
from tests.render.editions import (
    SCENARIOS,
    behind,
    edition,
    last_workday,
    month_close,
    no_data,
    no_goal,
    on_track,
    one_segment,
    sales_half,
    sales_kept,
)


def codes(told: Edition) -> list[ActionCode]:
    return [action.code for action in actions(told)]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_there_are_never_more_than_three_and_each_has_its_number(scenario: str) -> None:
    found = actions(SCENARIOS[scenario]())

    assert len(found) <= MOST
    assert all(action.number is not None for action in found)


def test_a_day_on_which_all_is_as_agreed_needs_nothing() -> None:
    assert actions(on_track()) == ()


def test_who_is_behind_has_to_catch_up_the_largest_shortfall_first() -> None:
    first, second, *_ = actions(behind())

    assert first == Action(
        ActionCode.CATCH_UP, "DACH", Fraction("3.8"), Fraction(15, 10), pressing=True
    )
    assert second.segment == "Benelux"


def test_a_segment_behind_comes_before_one_at_risk_with_a_larger_gap() -> None:
    told = edition()
    rows = tuple(
        replace(row, status=Status.AT_RISK, gap=-30) if row.segment == "DACH" else row
        for row in told.scorecard.segments
    )

    found = actions(replace(told, scorecard=replace(told.scorecard, segments=rows)))

    assert [action.segment for action in found] == ["Benelux", "DACH", "Nordics"]


def test_a_reader_sees_the_own_segment_first() -> None:
    assert actions(behind(), first=("Nordics",))[0].segment == "Nordics"


def test_the_total_speaks_for_a_lone_segment_and_when_no_segment_is_behind() -> None:
    lone = one_segment()
    lone = replace(
        lone,
        scorecard=replace(
            lone.scorecard, total=replace(lone.scorecard.total, status=Status.BEHIND)
        ),
    )

    assert actions(lone)[0].segment is None
    assert actions(lone)[0].number == lone.scorecard.total.required_per_workday


def test_on_the_last_workday_the_leads_to_go_are_named_instead_of_a_pace() -> None:
    first = actions(last_workday())[0]

    assert first == Action(ActionCode.LAST_DAY, "Benelux", Fraction(9), pressing=True)


def test_a_zero_that_is_doubted_and_a_silent_source_come_before_everything() -> None:
    zero = Note(NoteCode.IMPLAUSIBLE_ZERO, "Nordics", number=Fraction(11))

    assert codes(replace(behind(), warnings=(zero,)))[0] is ActionCode.DOUBT_ZERO
    assert actions(no_data())[0] == Action(ActionCode.ASK_SOURCE, number=Fraction(1))


def test_goals_that_are_missing_are_one_action_however_many() -> None:
    assert codes(no_goal()).count(ActionCode.AGREE_GOALS) == 1
    assert actions(no_goal())[0].other is None


def test_a_goal_that_cannot_be_computed_asks_for_the_worksheet() -> None:
    told = edition()
    note = Note(NoteCode.CLOSE_RATE_MISSING, "Nordics")
    rows = tuple(
        replace(row, goal=None, status=Status.NO_TARGET, notes=(note,))
        if row.segment == "Nordics"
        else row
        for row in told.scorecard.segments
    )
    sales_only = (replace(note, text="sales"),)

    found = actions(replace(told, scorecard=replace(told.scorecard, segments=rows)))
    of_sales = actions(
        replace(
            told,
            scorecard=replace(
                told.scorecard,
                segments=tuple(replace(row, notes=sales_only) for row in told.scorecard.segments),
            ),
        )
    )

    assert found[0] == Action(ActionCode.COMPLETE_WORKSHEET, "Nordics", Fraction(5))
    assert ActionCode.COMPLETE_WORKSHEET not in [action.code for action in of_sales]


def test_some_goals_missing_names_how_many_segments_lack_one() -> None:
    told = edition()
    note = (Note(NoteCode.NO_SLA),)
    rows = tuple(
        replace(row, notes=note) if row.segment in ("DACH", "Nordics") else row
        for row in told.scorecard.segments
    )

    found = actions(replace(told, scorecard=replace(told.scorecard, segments=rows)))

    assert found[0] == Action(ActionCode.AGREE_GOALS, number=Fraction(31), other=Fraction(2))


def test_leads_that_wait_for_sales_are_an_action_and_a_kept_promise_is_none() -> None:
    answer = next(one for one in actions(sales_half()) if one.code is ActionCode.ANSWER)
    told = sales_half().follow_up
    assert told is not None

    assert answer.number == told.overdue
    assert answer.other == max(part.overdue for part in told.segments)
    assert ActionCode.ANSWER not in codes(sales_kept())


def test_too_few_attempts_are_an_action_once_nobody_waits() -> None:
    told = sales_half()
    assert told.follow_up is not None
    calm = replace(told.follow_up, overdue=0, attempts_due=30, attempts_kept=20)

    found = next(
        one
        for one in actions(replace(told, follow_up=calm))
        if one.code in (ActionCode.ANSWER, ActionCode.TRY_AGAIN)
    )

    assert found == Action(ActionCode.TRY_AGAIN, number=Fraction(10), other=Fraction(calm.attempts))


def test_the_first_day_of_a_month_sets_its_pace_against_the_closed_one() -> None:
    told = month_close()
    assert told.closed is not None

    assert actions(told) == (
        Action(
            ActionCode.NEW_PACE,
            number=Fraction("6.4"),
            other=told.closed.scorecard.total.rate_per_workday,
        ),
    )


def test_leads_without_a_segment_are_to_be_given_one() -> None:
    assert Action(ActionCode.ASSIGN, number=Fraction(4), text="APAC, LATAM") in actions(behind())


def test_an_assumption_that_moves_its_goal_by_a_tenth_is_worth_a_talk() -> None:
    told = sales_half()
    assert told.drift
    little = tuple(replace(one, goal_at_measured=one.goal + 1) for one in told.drift)
    unsure = tuple(replace(one, small_sample=True) for one in told.drift)

    assert Action(ActionCode.REVIEW, "DACH", Fraction(181), Fraction(140)) in actions(told)
    assert ActionCode.REVIEW not in codes(replace(told, drift=little))
    assert ActionCode.REVIEW not in codes(replace(told, drift=unsure))

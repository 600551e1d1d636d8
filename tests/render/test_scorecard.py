from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest

from digest.model import Correction, Value
from digest.render import render, scorecard_json
from digest.render.scorecard import _money
from tests.render.editions import SCENARIOS, edition, month_close, no_data

ROW = {
    "segment",
    "goal",
    "sales_goal",
    "actual",
    "expected",
    "gap",
    "attainment",
    "pace",
    "required_per_workday",
    "lead_value",
    "currency",
    "forecast",
    "status",
    "notes",
}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_edition_is_valid_json_with_the_promised_names(scenario: str) -> None:
    document = json.loads(
        json.dumps(scorecard_json(SCENARIOS[scenario](), "de-CH"), allow_nan=False)
    )

    assert set(document) >= {
        "schema",
        "digest",
        "date",
        "kind",
        "language",
        "period",
        "total",
        "segments",
        "unassigned",
        "bridge",
        "value",
        "follow_up",
        "drift",
        "closed",
        "origin",
        "warnings",
    }
    assert set(document["total"]) == ROW
    assert document["schema"] == 1
    assert document["language"] == "de-CH"


def test_numbers_are_not_rounded() -> None:
    total = scorecard_json(edition())["total"]

    assert isinstance(total, dict)
    assert total["expected"] == pytest.approx(140 * 10 / 22, abs=1e-12)
    assert total["attainment"] == 55 / 140
    assert total["required_per_workday"] == 7.1
    assert total["forecast"] == {"mean": 123.308, "low": 107, "high": 141, "chance": 0.116}


def test_what_the_reader_sees_is_the_scorecard_rounded() -> None:
    document = scorecard_json(edition())
    total = document["total"]
    assert isinstance(total, dict)

    text = render(edition(), chart=False).text

    assert f"{total['actual']}   of {total['goal']} · {int(total['attainment'] * 100)}%" in text
    assert f"expected {round(total['expected'])} · pace {int(total['pace'] * 100)}%" in text
    assert f"{total['required_per_workday']}   so far 5.5" in text


@pytest.mark.parametrize(
    ("amount", "written"),
    [
        (Fraction(600), "600"),
        (Fraction(12345, 10), "1234.5"),
        (Decimal("15000.00"), "15000"),
        (Fraction(1, 3), "0.333333333333"),
        (None, None),
    ],
)
def test_money_is_a_decimal_string(amount: Fraction | None, written: str | None) -> None:
    assert _money(amount) == written


def test_unknown_is_null_and_not_zero() -> None:
    total = scorecard_json(no_data())["total"]

    assert isinstance(total, dict)
    assert total["actual"] is None
    assert total["gap"] is None
    assert total["status"] == "no_data"


def test_a_month_close_has_both_months() -> None:
    document = scorecard_json(month_close())
    closed = document["closed"]

    assert document["kind"] == "month_close"
    assert isinstance(closed, dict)
    assert closed["total"]["status"] == "missed"
    assert closed["period"]["end"] == "2026-06-01"


def test_notes_and_warnings_are_words_of_the_language() -> None:
    german = scorecard_json(SCENARIOS["behind"](), "de-CH")

    warnings = german["warnings"]
    assert isinstance(warnings, list)
    assert warnings[0] == "4 Leads gehören zu keinem Segment (10%): APAC, LATAM"


def test_every_figure_stands_under_its_own_name() -> None:
    found = month_close()
    closed = found.closed
    assert closed is not None
    document = scorecard_json(
        replace(
            found,
            source_total=4321,
            scorecard=replace(
                found.scorecard,
                cut_off=date(2026, 6, 3),
                elapsed=Fraction(5, 2),
                remaining=Fraction(7),
            ),
            closed=replace(closed, forecast_held=True),
        )
    )
    period, origin, past = document["period"], document["origin"], document["closed"]
    assert isinstance(period, dict)
    assert isinstance(origin, dict)
    assert isinstance(past, dict)
    assert (period["workdays_elapsed"], period["workdays_remaining"]) == (2.5, 7)
    assert (period["start"], period["cut_off"]) == ("2026-06-01", "2026-06-03")
    assert origin["total"] == 4321
    assert past["forecast_held"] is True
    assert past["bridge"]["actual"] == closed.bridge.actual != found.bridge.actual
    assert set(past) == {
        "period",
        "total",
        "segments",
        "unassigned",
        "bridge",
        "value",
        "forecast_held",
    }


def test_a_correction_names_its_segment_and_sales_its_own_goal() -> None:
    found = edition()
    corrected = replace(
        found.bridge, corrections=(Correction(date(2026, 6, 9), "DACH", 1),), previous_cut_off=None
    )
    total = replace(found.scorecard.total, goal=140, sales_goal=77)
    value = Value("CHF", Fraction(84_000), Fraction(33_000), Fraction(33, 84), mix_warning=True)
    card = replace(found.scorecard, total=total, value=value)
    document = scorecard_json(replace(found, bridge=corrected, scorecard=card))
    assert isinstance(document["bridge"], dict)
    assert isinstance(document["total"], dict)
    assert document["bridge"]["previous_cut_off"] is None
    assert document["bridge"]["corrections"] == [
        {"day": "2026-06-09", "segment": "DACH", "leads": 1}
    ]
    assert (document["total"]["goal"], document["total"]["sales_goal"]) == (140, 77)
    assert document["value"] == {
        "currency": "CHF",
        "goal": "84000",
        "actual": "33000",
        "attainment": 33 / 84,
        "mix_warning": True,
    }

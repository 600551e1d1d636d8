"""What the ledger keeps of an edition is the edition: nothing lost, nothing changed, one way to write it."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from digest.model import (
    Bridge,
    ClosedMonth,
    Correction,
    DayCount,
    Drift,
    Edition,
    FollowUp,
    Forecast,
    Kind,
    Note,
    NoteCode,
    Origin,
    Period,
    PlanRate,
    Row,
    Scorecard,
    Status,
    Value,
    Workday,
)
from digest.snapshot import edition_from_json, edition_to_json, fingerprint
from tests.effort import effort
from tests.render.editions import SCENARIOS
from tests.render.editions import edition as plain_edition

T = TypeVar("T")


def few(values: st.SearchStrategy[T]) -> st.SearchStrategy[tuple[T, ...]]:
    return st.lists(values, max_size=2).map(tuple)


def maybe(values: st.SearchStrategy[T]) -> st.SearchStrategy[T | None]:
    return st.none() | values


# Every figure may be larger or finer than the numbers of JSON, and a text may hold any character.
texts = st.text(st.characters(codec="utf-8"), max_size=6)
counts = st.integers(-(10**20), 10**20)
fractions = st.fractions(max_denominator=10**9)
amounts = st.decimals(allow_nan=False, allow_infinity=False, places=4)
ratios = st.floats(allow_nan=False, allow_infinity=False)
days = st.dates(date(1999, 1, 1), date(2099, 12, 31))
# Ledgers hold instants of UTC, down to the microsecond.
instants = st.datetimes(datetime(1999, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - Hypothesis wants naive ends
hits = maybe(st.tuples(st.integers(0, 99), st.integers(0, 99)))

periods = st.builds(
    lambda start, length, zone: Period(start, start + timedelta(length), zone),
    days,
    st.integers(1, 40),
    st.sampled_from(["Europe/Zurich", "UTC", "America/Havana"]),
)
notes = st.builds(
    Note,
    st.sampled_from(NoteCode),
    segment=maybe(texts),
    number=maybe(fractions),
    other=maybe(fractions),
    share=maybe(fractions),
    day=maybe(days),
    text=maybe(texts),
)
forecasts = st.builds(Forecast, ratios, counts, counts, maybe(ratios))
rows = st.builds(
    Row,
    segment=maybe(texts),
    status=st.sampled_from(Status),
    actual=maybe(counts),
    goal=maybe(counts),
    sales_goal=maybe(counts),
    expected=maybe(fractions),
    gap=maybe(counts),
    attainment=maybe(fractions),
    pace=maybe(fractions),
    required_per_workday=maybe(amounts),
    rate_per_workday=maybe(fractions),
    workdays=fractions,
    elapsed=fractions,
    remaining=fractions,
    lead_value=maybe(fractions),
    currency=maybe(texts),
    forecast=maybe(forecasts),
    notes=few(notes),
)
values = st.builds(Value, texts, fractions, fractions, maybe(fractions), st.booleans())
cards = st.builds(
    Scorecard,
    period=periods,
    cut_off=days,
    workdays=fractions,
    elapsed=fractions,
    remaining=fractions,
    total=rows,
    segments=few(rows),
    unassigned=maybe(rows),
    value=maybe(values),
    closed=st.booleans(),
    unknown=few(st.tuples(texts, counts)),
)
bridges = st.builds(
    Bridge,
    previous_cut_off=maybe(days),
    previous_actual=counts,
    new=few(st.tuples(days, counts)),
    corrections=few(st.builds(Correction, days, texts, counts)),
    actual=counts,
    usual=maybe(few(st.tuples(days, ratios))),
)
drifts = st.builds(
    Drift, texts, fractions, fractions, amounts, maybe(amounts), counts, counts, st.booleans()
)
follow_ups = st.builds(
    FollowUp,
    due=counts,
    in_time=counts,
    median_minutes=maybe(fractions),
    p90_minutes=maybe(fractions),
    p90_censored=st.booleans(),
    overdue=counts,
    attempts_due=counts,
    attempts_kept=counts,
    accepted=counts,
    rejected=counts,
)
editions = st.builds(
    Edition,
    digest=texts,
    title=texts,
    business_date=days,
    kind=st.sampled_from(Kind),
    language=texts,
    scorecard=cards,
    bridge=bridges,
    closed=maybe(st.builds(ClosedMonth, cards, bridges, maybe(st.booleans()))),
    covers=few(days),
    days=few(st.builds(Workday, days, fractions, maybe(texts))),
    calendar=texts,
    counts=few(st.builds(DayCount, days, texts, counts)),
    as_of=instants,
    origin=st.builds(Origin, texts, texts, maybe(texts), counts),
    reconciled=st.booleans(),
    source_total=counts,
    lead_definition=texts,
    sla_version=texts,
    plan_rates=few(st.builds(PlanRate, texts, amounts, days)),
    lag_months=counts,
    warnings=few(notes),
    excluded=few(st.tuples(texts, counts)),
    follow_up=maybe(follow_ups),
    drift=maybe(few(drifts)),
    history_hits=hits,
    link=maybe(texts),
)


@settings(
    max_examples=effort(15, 60),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(edition=editions)
def test_an_edition_survives_json_and_back_and_has_one_way_to_be_written(edition: Edition) -> None:
    text = edition_to_json(edition)
    back = edition_from_json(text)
    assert back == edition
    assert edition_to_json(back) == text  # 1.50 stays 1.50, which `==` would not notice
    assert edition_to_json(deepcopy(edition)) == text


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_scenario_survives_json_and_back(scenario: str) -> None:
    edition = SCENARIOS[scenario]()
    assert edition_from_json(edition_to_json(edition)) == edition
    assert edition_to_json(SCENARIOS[scenario]()) == edition_to_json(edition)


def test_the_text_is_one_line_without_binary_floats_outside_the_forecast() -> None:
    edition = plain_edition()
    text = edition_to_json(edition)
    assert "\n" not in text
    total = json.loads(text)["scorecard"]["total"]
    assert total["expected"] == "700/11"
    assert total["required_per_workday"] == "7.1"


def test_another_figure_gives_another_text_and_fingerprint() -> None:
    edition = plain_edition()
    other = replace(edition, source_total=edition.source_total + 1)
    assert edition_to_json(other) != edition_to_json(edition)
    assert fingerprint("a") == "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"digest": "leads"}', "null"])
def test_a_text_that_is_no_edition_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="Edition"):
        edition_from_json(text)


def test_half_an_edition_is_refused() -> None:
    text = edition_to_json(plain_edition())
    with pytest.raises(ValueError, match="Invalid JSON"):
        edition_from_json(text[:-2])
    without = json.loads(text)
    del without["bridge"]
    with pytest.raises(ValueError, match="bridge"):
        edition_from_json(json.dumps(without))


def test_a_large_fraction_keeps_its_last_digit() -> None:
    edition = plain_edition()
    value = Value("CHF", Fraction(10**40 + 1, 3), Fraction(1, 3), None, mix_warning=False)
    changed = replace(edition, scorecard=replace(edition.scorecard, value=value))
    assert edition_from_json(edition_to_json(changed)).scorecard.value == value

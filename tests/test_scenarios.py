"""The scenarios: each is what its name says, renders clean, and follows from its counts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from fractions import Fraction

import pytest

from digest import editions
from digest.errors import Reason
from digest.model import Edition, Kind, NoteCode, Row, Status
from digest.render import render
from digest.render.lint import findings
from digest.render.locales import languages
from digest.scenarios import HELD, SCENARIOS, TITLES, Scenario
from tests.effort import effort

NAMES = list(SCENARIOS)


def total(edition: Edition) -> Row:
    return edition.judged.total


def statuses(edition: Edition) -> list[Status]:
    return [row.status for row in edition.judged.segments]


def codes(edition: Edition) -> set[NoteCode]:
    rows = (edition.judged.total, *edition.judged.segments)
    notes = (*edition.warnings, *(note for row in rows for note in row.notes))
    return {note.code for note in notes}


def untroubled(edition: Edition) -> bool:
    return not edition.warnings


def names(edition: Edition) -> str:
    return " ".join(row.segment or "" for row in edition.judged.segments)


PROMISES: dict[str, Callable[[Edition], bool]] = {
    "on-track": lambda e: total(e).status is Status.ON_TRACK and untroubled(e),
    "ahead": lambda e: total(e).status is Status.AHEAD,
    "at-risk": lambda e: total(e).status is Status.AT_RISK,
    "behind": lambda e: total(e).status is Status.BEHIND and Status.BEHIND in statuses(e),
    "noise-guard": lambda e: (
        total(e).status is Status.AT_RISK
        and (total(e).pace or 1) < Fraction(8, 10)
        and NoteCode.WITHIN_NORMAL_VARIATION in codes(e)
    ),
    "too-early": lambda e: set(statuses(e)) == {Status.TOO_EARLY} == {total(e).status},
    "month-close": lambda e: (
        e.kind is Kind.MONTH_CLOSE
        and e.closed is not None
        and e.closed.forecast_held is not None
        and e.covers == tuple(date(2026, *day) for day in ((4, 30), (5, 1), (5, 2), (5, 3)))
        and e.scorecard.elapsed == 0
        and e.scorecard.workdays == 18
        and set(statuses(e)) == {Status.REACHED, Status.MISSED}
    ),
    "monday": lambda e: len(e.covers) == 3 and e.business_date.weekday() == 0 and bool(e.drift),
    "after-holiday": lambda e: (
        e.covers == tuple(date(2026, 4, day) for day in range(2, 7))
        and {"Good Friday", "Easter Monday"} <= {day.reason for day in e.days if day.reason}
    ),
    "half-day": lambda e: (
        e.scorecard.elapsed.denominator == 2
        and [day.weight for day in e.days if day.day in e.covers] == [Fraction(1, 2)]
    ),
    "last-workday": lambda e: e.scorecard.remaining == 1,
    "zero-leads": lambda e: (
        total(e).actual == 0 and total(e).status is Status.BEHIND and untroubled(e)
    ),
    "goal-reached": lambda e: total(e).status is Status.REACHED and e.scorecard.remaining > 5,
    "no-goal": lambda e: total(e).goal is None and NoteCode.NO_SLA in codes(e),
    "goal-changed": lambda e: NoteCode.GOAL_CHANGED in codes(e) and total(e).goal == 685,
    "unassigned": lambda e: (
        [round(note.share or 0, 2) for note in e.warnings] == [Fraction(8, 100)]
        and NoteCode.UNASSIGNED in codes(e)
    ),
    "corrections": lambda e: {c.leads > 0 for c in e.bridge.corrections} == {True, False},
    "source-failed": lambda e: (
        {NoteCode.FOLLOW_UP_MISSING, NoteCode.DEALS_MISSING} <= codes(e)
        and e.follow_up is None
        and e.drift is None
    ),
    "stale": lambda e: (
        codes(e) == {NoteCode.STALE}
        and set(statuses(e)) == {Status.NO_DATA} == {total(e).status}
        and (total(e).actual or 0) > 0
        and e.scorecard.cut_off < e.business_date - timedelta(1)
    ),
    "implausible-zero": lambda e: (
        [(note.code, note.segment) for note in e.warnings] == [(NoteCode.IMPLAUSIBLE_ZERO, "UKI")]
    ),
    "forty-segments": lambda e: len(statuses(e)) == 40,
    "sixty-segments": lambda e: len(statuses(e)) == 60 and len(set(statuses(e))) > 3,
    "long-names": lambda e: any(len(row.segment or "") > 75 for row in e.scorecard.segments),
    "hostile-names": lambda e: all(
        part in names(e) for part in ("A & B <x>", '"', "'", "🚀", "ז", "ع", "<script>", "{{")
    ),
    "huge-numbers": lambda e: (
        (total(e).actual or 0) > 100_000
        and e.scorecard.value is not None
        # Over ten billion in the plan currency.
        and e.scorecard.value.goal > 10**10
    ),
    "two-currencies": lambda e: (
        {row.currency for row in e.scorecard.segments} == {"CHF", "EUR"}
        and e.scorecard.value is not None
        and e.scorecard.value.mix_warning
    ),
    "follow-up-red": lambda e: (
        e.follow_up is not None
        and e.follow_up.overdue > 0
        and Fraction(e.follow_up.in_time, e.follow_up.due) < e.follow_up.promised_share
    ),
    "no-history": lambda e: e.bridge.previous_cut_off is None and e.bridge.usual is None,
    "year-change": lambda e: (
        e.kind is Kind.MONTH_CLOSE
        and e.closed is not None
        and e.closed.scorecard.period.start == date(2026, 12, 1)
        and e.scorecard.period.start == date(2027, 1, 1)
        and total(e).goal != e.scorecard.total.goal
    ),
    "correction": lambda e: (
        e.corrects is not None
        and e.corrects.number == 1
        and {figure.segment for figure in e.corrects.figures} == {None, "DACH", "UKI"}
    ),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_scenario_is_what_its_name_says(name: str) -> None:
    assert PROMISES[name](SCENARIOS[name]().edition)


def test_a_promise_is_not_kept_by_any_edition() -> None:
    plain, other = SCENARIOS["on-track"]().edition, SCENARIOS["behind"]().edition
    kept = {n for n, kept in PROMISES.items() if kept(plain) and kept(other)}
    assert kept == set()


EVERYWHERE = ("hostile-names", "month-close", "source-failed")  # the most different ones


@pytest.mark.parametrize(
    ("name", "language"),
    [
        (name, language)
        for name in NAMES
        for language in languages()
        if language == "en" or name in effort(EVERYWHERE, tuple(NAMES))
    ],
)
def test_a_scenario_renders_clean_in_every_language(name: str, language: str) -> None:
    edition = SCENARIOS[name]().edition
    message = render(edition, language=language, chart=False)
    segments = [row.segment or "" for row in edition.judged.segments]

    assert findings(message.html, message.text, verbatim=segments) == ()
    assert message.brief is not None


def recomposed(found: Scenario) -> Edition:
    if found.edition.stale:
        assert found.previous is not None
        return editions.without_news(found.due, recomposed(SCENARIOS["on-track"]()))
    edition = editions.compose_edition(
        found.facts,
        found.due,
        counts=found.counts,
        history=found.history,
        previous=found.previous,
        printed_forecast=found.printed_forecast,
        history_hits=found.edition.history_hits,
        drift=found.edition.drift,
    )
    kept = found.edition.warnings[len(edition.warnings) :]
    return replace(
        edition,
        follow_up=found.edition.follow_up,
        corrects=found.edition.corrects,
        warnings=(*edition.warnings, *kept),
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_scenario_follows_from_its_counts(name: str) -> None:
    found = SCENARIOS[name]()
    card = found.edition.scorecard
    mine = [row for row in found.counts.rows if row.day in card.period]

    assert recomposed(found) == found.edition
    assert card.total.actual == sum(row.leads for row in mine)
    for row in card.segments:
        assert row.actual == sum(count.leads for count in mine if count.segment == row.segment)
    bridge = found.edition.bridge
    assert bridge.actual == card.total.actual
    assert bridge.actual == bridge.previous_actual + sum(n for _, n in bridge.new) + sum(
        correction.leads for correction in bridge.corrections
    )


def test_the_regions_owe_what_the_reference_says() -> None:
    card = SCENARIOS["on-track"]().edition.scorecard
    assert [row.goal for row in card.segments] == [300, 134, 169, 48]
    assert [row.lead_value for row in card.segments] == [600, 450, 240, 420]
    assert card.total.goal == 651


def test_a_source_that_does_not_answer_gives_its_operator_the_error_and_the_last_edition() -> None:
    held = HELD["all-failed"]()
    assert held.error.reason is Reason.TRANSIENT
    assert str(held.error) == (
        "scenario: no answer to the count within 30 s; the next run asks again by itself"
    )
    assert held.previous.business_date < held.due.business_date


def test_every_scenario_has_a_title_of_its_own() -> None:
    assert set(TITLES) == {*SCENARIOS, *HELD}
    assert len(set(TITLES.values())) == len(TITLES)
    assert all(SCENARIOS[name]().title == TITLES[name] for name in ("on-track", "monday"))


def test_a_scenario_is_built_once() -> None:
    assert SCENARIOS["on-track"]() is SCENARIOS["on-track"]()


def test_importing_the_scenarios_loads_no_vendor() -> None:
    vendors = {"holidays", "pydantic", "babel", "pandas", "sqlalchemy", "openpyxl"}
    done = subprocess.run(
        [sys.executable, "-c", "import sys, digest.scenarios; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "digest.scenarios" in done.stdout.split()
    assert vendors & set(done.stdout.split()) == set()

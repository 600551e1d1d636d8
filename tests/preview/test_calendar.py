"""The calendar page: the next editions, the days without one, the hour in both clocks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from digest.preview.pages.calendar import EDITIONS
from digest.render.locales import languages
from tests.preview.conftest import Stage, staged

HERE = "/d/demo/calendar"


def rows(html: str) -> list[str]:
    """The table's lines as one text each."""
    found = re.findall(r"<tr[^>]*>(.*?)</tr>", html, re.DOTALL)
    texts = (re.sub(r"<[^>]+>", " ", row) for row in found)
    return [" ".join(text.replace("\u00a0", " ").split()) for text in texts]


def test_the_next_thirty_editions_stand_with_the_days_between_them(stage: Stage) -> None:
    shown = rows(stage.ask.get(HERE).text)

    editions = [row for row in shown if re.search(r"\d\d:\d\d CE", row)]
    assert len(editions) == EDITIONS == 30
    # The demo's edition of the 16th is sent, so the next is that of the 17th.
    assert editions[0] == "Wed 17 Jun 07:30 CEST 05:30 month to date Tue 16 Jun"
    assert "Sat 20 Jun – Sun 21 Jun no edition: weekend" in shown
    assert "Wed 1 Jul 07:30 CEST 05:30 closes June 2026 Tue 30 Jun" in shown


def test_the_clock_change_moves_the_hour_in_utc_only(stage: Stage) -> None:
    shown = rows(stage.ask.get(f"{HERE}?date=2026-10-23").text)

    assert "Fri 23 Oct 07:30 CEST 05:30 month to date Thu 22 Oct" in shown
    assert "Mon 26 Oct 07:30 CET 06:30 month to date Fri 23 Oct – Sun 25 Oct" in shown


def test_a_later_start_takes_the_editions_before_it_as_sent(stage: Stage) -> None:
    shown = rows(stage.ask.get(f"{HERE}?date=2026-12-24").text)

    first, christmas, *_ = [row for row in shown if re.match(r"\w{3} \d", row)]
    assert first == "Thu 24 Dec 07:30 CET 06:30 month to date Wed 23 Dec"
    assert christmas == "Fri 25 Dec no edition: Christmas Day"


def test_where_the_calendar_ends_it_says_so(stage: Stage) -> None:
    answer = stage.ask.get(f"{HERE}?date=2100-12-20")

    assert answer.status_code == 200
    assert "Mon 20 Dec 07:30 CET" in rows(answer.text)[2]
    assert "allowed are the years 1801 to 2100" in answer.text


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
def test_a_date_at_the_end_of_time_is_answered(stage: Stage, day: str) -> None:
    answer = stage.ask.get(f"{HERE}?date={day}")

    assert answer.status_code == 200
    assert "allowed are the years" in answer.text


def test_what_is_no_date_is_refused_with_what_is_allowed(stage: Stage) -> None:
    answer = stage.ask.get(f"{HERE}?date=tomorrow")

    assert answer.status_code == 422
    assert "2026-06-15" in answer.text


@pytest.mark.parametrize("language", languages())
def test_reasons_are_in_the_language_of_the_pages(stage: Stage, language: str) -> None:
    answer = stage.ask.get(f"{HERE}?ui={language}")

    assert f'<html lang="{language}"' in answer.text
    assert ("weekend" in answer.text) == (language == "en")


def test_a_scenario_has_days_but_no_hour(demo: Path) -> None:
    stage = staged()
    shown = rows(stage.ask.get("/d/samples/calendar?scenario=behind").text)

    assert "Thu 18 Jun – – month to date Wed 17 Jun" in shown
    assert sum("month to date" in row or "closes" in row for row in shown) == EDITIONS
    beside = staged(demo).ask.get(f"{HERE}?scenario=monday")
    assert "A scenario has no settings" in beside.text

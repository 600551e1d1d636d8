"""The month page: every day and row as the edition has them, the forecast in hindsight, any two editions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from html import unescape
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from digest.preview import desk_of
from digest.preview.address import View
from digest.preview.app import application
from digest.render import render
from digest.render.locales import languages, locale_for
from digest.scenarios import SCENARIOS
from tests.preview.conftest import BASE, BUSINESS_DATE, PORT, Stage, staged, wanted

HERE = "/d/demo/month"


@pytest.fixture(scope="module")
def scenarios() -> Stage:
    """A preview that was given no settings."""
    return staged()


def table(html: str, name: str) -> list[list[str]]:
    """The lines of a table as the texts of their cells."""
    (found,) = re.findall(rf'<table class="{name}">(.*?)</table>', html, re.DOTALL)
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", found, re.DOTALL)
    return [
        [text_of(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)]
        for row in rows
    ]


def text_of(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).replace("\u00a0", " ").split())


def whole(text: str) -> int:
    return int(text.replace("\u2212", "-").replace(",", "").replace("+", ""))


# -------------------------------------------------------------------------------------- the waterfall


def test_every_day_of_the_month_is_a_link_that_says_what_the_table_says(stage: Stage) -> None:
    html = stage.ask.get(HERE).text
    links = re.findall(r'<a href="#(day-[\d-]+)" aria-label="([^"]+)">', html)
    lines = {
        mark: [text_of(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)]
        for mark, row in re.findall(r'<tr id="(day-[\d-]+)"[^>]*>(.*?)</tr>', html)
    }

    assert [mark for mark, _ in links] == [f"day-2026-06-{n:02}" for n in range(1, 31)]
    assert list(lines) == [mark for mark, _ in links]
    for mark, name in links[:15]:
        day, new, total, plan, corrections = lines[mark]
        said = f"{day.partition(' ·')[0]}: {new} new, {total} in all, plan {plan}"
        expected = said if corrections == "–" else f"{said}, corrections {corrections}"
        assert unescape(name).replace("\u00a0", " ") == expected
    assert all("to come" in name for _, name in links[15:])
    (edition,) = [stage.desk.show("demo", View()).edition]
    assert lines["day-2026-06-15"][2] == str(edition.scorecard.total.actual)


def test_corrections_stand_at_the_day_they_change(stage: Stage) -> None:
    html = stage.ask.get(HERE).text
    corrections = stage.desk.show("demo", View()).edition.bridge.corrections
    words = locale_for("en")

    assert corrections
    for change in corrections:
        row = re.search(rf'<tr id="day-{change.day}".*?</tr>', html)
        assert row
        assert f"{change.segment} {words.signed(change.leads)}" in unescape(row[0])


def test_names_from_a_source_stay_text_in_the_picture(scenarios: Stage) -> None:
    html = scenarios.ask.get("/d/samples/month?scenario=hostile-names").text

    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html


# --------------------------------------------------------------------------------------------- rows


def test_every_figure_of_every_row_is_there(scenarios: Stage) -> None:
    html = scenarios.ask.get("/d/samples/month?scenario=behind").text
    head, *rows = table(html, "rows")
    card = SCENARIOS["behind"]().edition.scorecard
    words = locale_for("en")

    assert len(rows) == len(card.segments) + 1
    shown = {
        row[0].split(" ■")[0].split(" ▲")[0].split(" ●")[0].split(" ○")[0]: row for row in rows
    }
    for segment in card.segments:
        row = dict(zip(head, shown[segment.segment or ""], strict=True))
        forecast = segment.forecast
        assert forecast is not None
        assert segment.lead_value is not None
        assert row["Goal"] == words.number(segment.goal or 0)
        assert row["Sales goal"] == words.number(segment.sales_goal or 0)
        assert row["Gap"] == words.signed(segment.gap or 0)
        assert row["Required per workday"] == words.number(segment.required_per_workday or 0, 1)
        assert row["80% range"] == f"{forecast.low}–{forecast.high}"
        assert row["Lead value"].replace(" ", "\u00a0") == words.money(
            segment.lead_value, segment.currency or "", 2
        )
    assert rows[-1][0].startswith("Total")


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_has_its_month(scenarios: Stage, name: str) -> None:
    answer = scenarios.ask.get(f"/d/samples/month?scenario={name}")

    assert answer.status_code == 200
    assert len(table(answer.text, "rows")) > 2
    assert "None" not in text_of(answer.text.replace("None.", ""))


def test_a_source_that_failed_shows_the_last_month_and_why(scenarios: Stage) -> None:
    answer = scenarios.ask.get("/d/samples/month?scenario=all-failed")

    assert answer.status_code == 200
    assert "no answer to the count within 30 s" in unescape(answer.text)


# ------------------------------------------------------------------------------------------ hindsight


def test_what_the_days_up_to_then_say_is_what_the_edition_of_then_said(scenarios: Stage) -> None:
    html = scenarios.ask.get("/d/samples/month?scenario=on-track").text
    found = SCENARIOS["on-track"]()
    lines = {line[0]: line for line in table(html, "hindsight")[1:]}
    words = locale_for("en")

    assert found.previous is not None
    said = found.previous.scorecard.total.forecast
    assert said is not None
    assert next(iter(lines)) == "Mon 1 Jun"
    assert len(lines) == 12  # the workdays before the 17th
    assert lines["Tue 16 Jun"][1:4] == [
        words.number(found.previous.scorecard.total.actual or 0),
        words.number(said.mean),
        f"{said.low}–{said.high}",
    ]
    assert "so far it held in 5 of 6 months" in html


def test_a_closed_month_is_held_against_its_end(scenarios: Stage) -> None:
    html = scenarios.ask.get("/d/samples/month?scenario=month-close").text
    closed = SCENARIOS["month-close"]().edition.closed
    assert closed is not None
    end = closed.scorecard.total.actual or 0

    assert f"The month ended at {end} leads." in text_of(html)
    lines = table(html, "hindsight")[1:]
    held = 0
    for _, _, mean, span, off, holds, _, _ in lines:
        low, high = (whole(text) for text in span.split("–"))
        assert whole(off) == whole(mean) - end
        assert holds == ("yes" if low <= end <= high else "no")
        held += holds == "yes"
    assert f"holds this on {held} of {len(lines)} workdays" in text_of(html)


def test_what_was_printed_stands_beside_what_is_known_now(stage: Stage) -> None:
    lines = table(stage.ask.get(HERE).text, "hindsight")[1:]
    sent = stage.desk.show("demo", View(date=date(2026, 6, 15))).edition.scorecard.total.forecast

    assert sent is not None
    assert [line[-1] for line in lines[:-1]] == ["–"] * (len(lines) - 1)
    assert lines[-1][0] == "Mon 15 Jun"
    assert lines[-1][-1] == f"{sent.mean:.0f} ({sent.low}–{sent.high})"


def test_without_the_months_before_it_says_so_and_goes_on(demo: Path) -> None:
    desk = desk_of(replace(wanted(demo), offline=True))
    app, door = application(desk, port=PORT)
    ask = TestClient(app, base_url=BASE)
    ask.get(door.address)
    html = ask.get(HERE).text

    assert "Without the months before, which are not known" in html
    assert "the preview runs offline" in html
    # Two workdays are too few to say anything without history.
    assert [line[2] for line in table(html, "hindsight")[1:4]] == ["–", "–", "–"]


# -------------------------------------------------------------------------------------------- bridge

PAIRS = [
    ("2026-06-15", "2026-06-16"),  # both sent
    ("2026-06-03", "2026-06-16"),  # one counted again
    ("2026-06-03", "2026-06-11"),  # both counted again
    ("2026-06-16", "2026-06-03"),  # the other way round
    ("2026-05-20", "2026-06-16"),  # of two months
    ("2026-05-20", "2026-06-01"),  # the second one closes the month
]


@pytest.mark.parametrize(("start", "shown"), PAIRS)
def test_between_any_two_editions_the_four_numbers_add_up(
    stage: Stage, start: str, shown: str
) -> None:
    html = stage.ask.get(f"{HERE}?date={shown}&from={start}").text
    rows = [(row[0], list(map(whole, row[1:]))) for row in table(html, "bridge")[1:]]
    later = stage.desk.show("demo", View(date=date.fromisoformat(max(start, shown)))).edition
    earlier = stage.desk.show("demo", View(date=date.fromisoformat(min(start, shown)))).edition

    for row in rows:
        before, new, corrected, now = row[1]
        assert before + new + corrected == now, row
    *parts, total = rows
    assert list(map(sum, zip(*(part[1] for part in parts), strict=True))) == total[1]
    assert total[1][3] == later.judged.total.actual
    same = earlier.scorecard.period == later.judged.period
    assert total[1][0] == (earlier.scorecard.total.actual if same else 0)
    assert ("is not about" in html) == (not same)


def test_the_new_leads_of_each_day_are_those_of_its_segments(stage: Stage) -> None:
    html = stage.ask.get(f"{HERE}?from=2026-06-03").text
    part = html.split("New leads per day")[-1].split("</table>")[0]
    days = re.findall(r'<td class="num">(\d+)</td><td>([^<]*)</td>', part)

    assert len(days) == 13
    for leads, segments in days:
        assert int(leads) == sum(int(n) for n in re.findall(r" (\d+)(?:,|$)", segments))


@pytest.mark.parametrize(
    ("query", "allowed"),
    [
        ("from=yesterday", "a date like 2026-06-15"),
        ("from=2026-06-13", "a date with an edition, such as"),
        ("from=2026-06-16", "another edition, such as"),
        ("from=2026-06-12&from=2026-06-11", "each key once"),
        ("scenario=behind&from=2026-06-12", "2026-06-16"),
        ("date=soon", "a date like 2026-06-15"),
    ],
)
def test_a_start_that_is_none_is_refused_with_what_is_allowed(
    stage: Stage, query: str, allowed: str
) -> None:
    answer = stage.ask.get(f"{HERE}?{query}")

    assert answer.status_code == 422
    assert allowed in answer.text


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31", "1700-05-05"])
def test_a_date_no_calendar_knows_is_answered(stage: Stage, day: str) -> None:
    shown = stage.ask.get(f"{HERE}?date={day}")
    start = stage.ask.get(f"{HERE}?from={day}")

    assert shown.status_code == 404  # as on every page that has a date
    assert "digest.toml" in shown.text
    assert start.status_code == 422
    assert "2026-06-15" in start.text


def test_a_free_day_says_why_and_what_is_near(stage: Stage) -> None:
    answer = stage.ask.get(f"{HERE}?date=2026-06-13&ui=de")

    assert answer.status_code == 200
    assert "Montag, 15. Juni 2026" in answer.text
    assert "Wochenende" in answer.text
    assert f'href="{HERE}?date=2026-06-15' in answer.text


def test_a_first_edition_can_be_bridged_from_any_date(stage: Stage) -> None:
    html = stage.ask.get(f"{HERE}?date=2026-06-11").text

    assert "No earlier edition was sent." in html
    starts = re.findall(r"from=([\d-]+)#bridge", html)
    assert starts == [
        "2026-05-29",
        *(f"2026-06-{n:02}" for n in (1, 2, 3, 4, 5, 8, 9, 10)),
    ]


@pytest.mark.parametrize("language", languages())
def test_numbers_are_the_same_in_every_language(stage: Stage, language: str) -> None:
    html = stage.ask.get(f"{HERE}?ui={language}").text

    def digits(rows: Sequence[Sequence[str]]) -> list[list[str]]:
        return [[re.sub(r"\D", "", cell) for cell in row[1:]] for row in rows[1:]]

    assert f'<html lang="{language}"' in html
    english = stage.ask.get(f"{HERE}?ui=en").text
    assert digits(table(html, "rows")) == digits(table(english, "rows"))
    assert digits(table(html, "bridge")) == digits(table(english, "bridge"))


def test_the_pictures_colours_come_from_where_it_stands_alone(stage: Stage) -> None:
    answer = stage.ask.get("/static/waterfall.css")

    assert answer.headers["content-type"].startswith("text/css")
    assert ".waterfall .goal" in answer.text
    assert "<style" not in stage.ask.get(HERE).text


def test_the_shown_date_is_that_of_the_demo(stage: Stage) -> None:
    assert f'datetime="{BUSINESS_DATE}"' in stage.ask.get(HERE).text


def test_known_leads_that_nothing_judges_are_not_called_no_data(stage: Stage) -> None:
    page = stage.ask.get("/d/demo/month?scenario=stale").text
    message = render(SCENARIOS["stale"]().edition, chart=False)

    for text in (page, message.html, message.text):
        assert "Not judged" in text
        assert "No data" not in text

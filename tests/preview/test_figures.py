"""The pages of figures, and the mail in which each number leads to its record."""

from __future__ import annotations

import re
from fractions import Fraction
from html import unescape

import pytest
from playwright.sync_api import Browser, Page

from tests.preview.conftest import Served, Stage
from tests.render.chromium import needs_chromium


def rows(html: str) -> list[str]:
    return re.findall(r'<tr id="([^"]*)"', html)


def test_the_table_holds_every_number_of_the_edition(stage: Stage) -> None:
    page = stage.ask.get("/d/demo/figures")
    known = stage.ask.get("/api/d/demo/figures").json()

    assert page.status_code == 200
    assert rows(page.text) == [figure["id"] for figure in known["figures"]]
    assert len(rows(page.text)) > 150


def test_a_search_keeps_what_has_all_its_words(stage: Stage) -> None:
    found = rows(stage.ask.get("/d/demo/figures?q=dach+goal").text)
    nothing = stage.ask.get("/d/demo/figures?q=warp+drive").text

    assert "segment.dach.goal" in found
    assert all("dach" in name for name in found)
    assert rows(nothing) == []
    assert "Nothing has such a name." in nothing


def test_a_search_that_is_too_long_is_refused(stage: Stage) -> None:
    assert stage.ask.get("/d/demo/figures?q=" + "x" * 81).status_code == 422


def test_a_figure_is_shown_down_to_cells_and_questions(stage: Stage) -> None:
    page = unescape(stage.ask.get("/d/demo/figures/total.gap").text)

    assert "293 \u2212 (325.5 → 326) = \u221233" in page
    assert "sla.xlsx, SLA!" in page  # a cell of the worksheet
    assert "digest.toml, line" in page  # a line of the settings
    assert "SELECT" in page  # what the source was asked
    assert page.count("<summary>SELECT") == page.count('<details class="long">') > 0
    assert "in UTC from 2026-05-31 22:00" in page
    assert "\u221228 in the edition of Monday, 15 June 2026" in page


def test_an_unknown_figure_names_those_that_there_are(stage: Stage) -> None:
    for path in ("/d/demo/figures/total.nothing", "/api/d/demo/figures/total.nothing"):
        answer = stage.ask.get(path)

        assert answer.status_code == 404
        assert "total.actual" in answer.text


def test_of_the_figures_that_there_are_the_likeliest_comes_first(stage: Stage) -> None:
    page = stage.ask.get("/d/demo/figures/DACH.goal").text
    said = stage.ask.get("/api/d/demo/figures/DACH.goal").json()["error"]["allowed"]

    first = page.partition('<ul class="list">')[2].partition("</li>")[0]
    assert '<a href="/d/demo/figures/segment.dach.goal">segment.dach.goal</a>' in first
    assert said.startswith("segment.dach.goal, ")


def test_a_record_is_answered_as_json_with_exact_values(stage: Stage) -> None:
    found = stage.ask.get("/api/d/demo/figures/total.expected").json()
    cell = stage.ask.get("/api/d/demo/figures/plan.dach.close_rate").json()
    asked = stage.ask.get("/api/d/demo/figures/segment.dach.actual").json()["inputs"][0]["origin"]

    assert Fraction(found["value"]) == Fraction(651, 2)
    assert (found["formula"], found["rounding"]) == ("sum(segments)", "half_up")
    assert found["before"]["business_date"] == "2026-06-15"
    assert cell["inputs"][0]["origin"]["cell"]
    assert (asked["kind"], asked["connector"], asked["total"]) == ("query", "sql", 293)
    assert asked["window_utc"] == ["2026-05-31T22:00:00+00:00", "2026-06-15T22:00:00+00:00"]


@pytest.mark.parametrize("name", ["month-close", "hostile-names"])
def test_a_scenario_has_its_figures_too(stage: Stage, name: str) -> None:
    answer = stage.ask.get(f"/d/demo/figures?scenario={name}")

    assert answer.status_code == 200
    assert "<script>alert" not in answer.text
    assert len(rows(answer.text)) > 200


def test_the_explain_view_says_that_it_is_not_what_is_sent(stage: Stage) -> None:
    shell = stage.ask.get("/d/demo?explain=1").text
    frame = stage.ask.get("/d/demo/frame?explain=1").text
    plain = stage.ask.get("/d/demo/frame").text

    assert "not the bytes that are sent" in shell
    assert 'href="#why-total.gap"' in frame
    assert 'id="why-total.gap"' in frame
    assert "why-" not in plain


@needs_chromium
def test_a_click_on_a_number_shows_its_record_inside_the_sandbox(
    page: Page, served: Served
) -> None:
    page.goto(f"{served.base}/d/demo?explain=1")
    mail = page.frame_locator("#frame")
    record = mail.locator('[id="why-total.gap"]')
    assert not record.is_visible()

    mail.locator('a[href="#why-total.gap"]').first.click()
    assert record.is_visible()
    assert "293 \u2212 (325.5 → 326) = \u221233" in record.inner_text()

    record.locator("a", has_text="Expected by the cut-off").click()
    assert not record.is_visible()
    assert mail.locator('[id="why-total.expected"]').is_visible()

    mail.locator('[id="why-total.expected"] .why-close a').click()
    assert mail.locator(".why-card:visible").count() == 0


@needs_chromium
def test_the_keyboard_and_a_deep_link_show_a_record_too(page: Page, served: Served) -> None:
    page.goto(f"{served.base}/d/demo/frame?explain=1#why-total.pace")
    assert page.locator('[id="why-total.pace"]').is_visible()

    page.locator('a.why[href="#why-total.actual"]').first.focus()
    page.keyboard.press("Enter")
    assert page.locator('[id="why-total.actual"]').is_visible()
    assert not page.locator('[id="why-total.pace"]').is_visible()


@needs_chromium
@pytest.mark.parametrize("width", [640, 375])
def test_figures_are_readable_without_script_and_fit_their_window(
    chromium: Browser, served: Served, width: int
) -> None:
    context = chromium.new_context(
        java_script_enabled=False, viewport={"width": width, "height": 900}
    )
    page = context.new_page()
    page.goto(served.door.address)
    for path in ("figures", "figures/total.gap"):
        page.goto(f"{served.base}/d/demo/{path}")
        box = page.locator("main").bounding_box()

        assert box is not None
        assert box["width"] <= width
        assert page.get_by_role("heading", level=1).is_visible()
    context.close()

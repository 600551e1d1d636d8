"""The what-if page: the same answer as the digest's, typed into a form, without a trace."""

from __future__ import annotations

import re
from fractions import Fraction
from html import unescape
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect

from digest.render.locales import languages
from digest.scenarios import SCENARIOS
from digest.whatif import answer, as_toml, read, situation
from digest.worksheet import load_plan
from tests.effort import effort
from tests.preview.conftest import Served, Stage
from tests.render.chromium import needs_chromium

PAGE = "/d/demo/what-if"
PATIENCE = 30_000  # milliseconds; the machine may have other things to do
REFERENCE = (
    ("DACH", "CHF 300’000", "60 %", "15'000", "4%", 300, "600"),
    ("Benelux", "120000", "0.5", "EUR 9'000.00", "0.05", 134, "450"),
    ("UKI", "90 000", "45,0%", "8000", "3 %", 169, "240"),
    ("Nordics", "€50'000", "40%", "7,000.00", "6%", 48, "420"),
)
FEW = ("no-goal", "hostile-names", "no-history", "month-close")  # the most different ones
NAMES = ("revenue_goal", "marketing_share", "deal_size", "close_rate")


def plain(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


def sentence(html: str) -> str:
    found = re.search(r'id="sentence"[^>]*>(.*?)</h2>', html, re.DOTALL)
    assert found is not None
    return plain(found[1])


def address(**texts: str) -> str:
    pairs = (f"{quote(key.replace('__', ':'))}={quote(text)}" for key, text in texts.items())
    return f"{PAGE}?{'&'.join(pairs)}"


# ------------------------------------------------------------------------------------- in process


def test_the_page_says_that_it_is_not_the_sla_and_begins_with_the_agreement(stage: Stage) -> None:
    page = stage.ask.get(PAGE)

    assert page.status_code == 200
    assert "What-if: not your SLA." in page.text
    assert sentence(page.text) == "As agreed. Change a figure to see what it would do."
    assert "agreed:" not in plain(page.text).split("By segment")[1]


def test_the_sentence_names_who_owes_how_many_more(stage: Stage) -> None:
    page = stage.ask.get(f"{PAGE}?scenario=on-track&close_rate:DACH=3%25")

    assert sentence(page.text) == (
        "With a close rate of 3% DACH owes 400 leads instead of 300, 10 more per workday."
    )
    assert 'close_rate = "3%"  # agreed: 4%' in unescape(page.text)


@pytest.mark.parametrize(
    ("query", "told"),
    [
        (
            "workdays=21",
            "With 21 workdays all segments owe 651 leads as agreed, 3.3 more per workday.",
        ),
        (
            "leads:UKI=99",
            "With 99 leads so far UKI owes 169 leads as agreed, 0.4 fewer per workday.",
        ),
        ("deal_size=20000", "With an average deal size of 20,000 all segments owe"),
        (
            "workdays:UKI=21",
            "With 21 workdays UKI owes 169 leads as agreed, 0.9 more per workday.",
        ),
        ("leads=330", "With these figures all segments owe 651 leads as agreed"),
        ("ahead=115%25", "With these figures all segments owe 651 leads as agreed."),
        ("lag_months=1", "With a lag of 1 month all segments owe 651 leads as agreed."),
    ],
)
def test_each_input_has_its_sentence(stage: Stage, query: str, told: str) -> None:
    assert told in sentence(stage.ask.get(f"{PAGE}?scenario=on-track&{query}").text)


def test_an_unreadable_figure_is_told_at_its_field_in_the_worksheets_words(stage: Stage) -> None:
    page = stage.ask.get(f"{PAGE}?close_rate:DACH=4&deal_size:UKI=9000")

    assert page.status_code == 422
    field = re.search(r'<input type="text" name="close_rate:DACH"[^>]*>', page.text)
    assert field is not None
    assert 'aria-invalid="true"' in field[0]
    assert 'aria-describedby="why-close_rate:DACH"' in field[0]
    message = "found '4', which reads as 4 % or as 400 %; write '4 %' or '400 %'"
    assert message in unescape(page.text.split('id="why-close_rate:DACH"')[1][:120])
    # What could be read is answered all the same.
    assert "UKI owes" in sentence(page.text)


@pytest.mark.parametrize(
    ("query", "allowed"),
    [
        ("close_rade=4%25", "close_rate"),
        ("close_rate:Mars=4%25", "DACH, Benelux, UKI, Nordics"),
        ("of=Mars", "DACH, Benelux, UKI, Nordics"),
        ("part=none", "page, answer"),
        ("lag_months:UKI=1", "lag_months"),
        ("ahead:UKI=120%25", "ahead"),
        ("ahead=115%25&ahead=116%25", "each key once"),
        ("scenario=none", "on-track"),
    ],
)
def test_an_address_that_means_nothing_says_what_is_allowed(
    stage: Stage, query: str, allowed: str
) -> None:
    page = stage.ask.get(f"{PAGE}?{query}")
    assert page.status_code == 422
    assert allowed in plain(page.text)


def test_what_is_left_empty_leaves_the_address(stage: Stage) -> None:
    page = stage.ask.get(f"{PAGE}?close_rate:DACH=&workdays=21&deal_size:UKI=%20")
    assert page.status_code == 303
    assert page.headers["location"] == f"{PAGE}?workdays=21"


@pytest.mark.parametrize("name", effort(FEW, tuple(SCENARIOS)))
def test_every_scenario_can_be_asked_in_every_language(stage: Stage, name: str) -> None:
    for language in languages():
        page = stage.ask.get(f"{PAGE}?scenario={name}&ui={language}&close_rate=3.3%25")
        assert page.status_code == 200
        assert "<script>alert" not in page.text


def test_the_json_says_the_same_unrounded(stage: Stage) -> None:
    found = SCENARIOS["behind"]()
    here = situation(found.facts, found.edition, found.history)
    changes, _ = read(here, [("close_rate:DACH", "3.1%")])
    expected = answer(here, changes)
    told = stage.ask.get("/api/d/demo/what-if?scenario=behind&close_rate:DACH=3.1%25").json()

    assert told["what_if"]["total"]["goal"] == expected.now.total.goal
    assert told["agreed"]["total"]["goal"] == 651
    assert told["what_if"]["segments"][0]["pace"] == float(expected.now.segments[0].pace or 0)
    assert told["toml"] == as_toml(here, changes)
    assert told["differences"] == [
        {"input": "close_rate", "segment": "DACH", "agreed": "0.04", "what_if": "0.031"}
    ]
    assert {entry["input"] for entry in told["sensitivity"]} >= {"close_rate", "workdays"}


def test_the_json_tells_what_could_not_be_read(stage: Stage) -> None:
    told = stage.ask.get("/api/d/demo/what-if?workdays=99")
    assert told.status_code == 422
    assert told.json()["problems"][0]["input"] == "workdays"
    assert "at most 22" in told.json()["problems"][0]["message"]


def test_the_changed_agreement_can_be_taken_as_a_workbook(
    stage: Stage, demo: Path, tmp_path: Path
) -> None:
    before = sorted(demo.parent.rglob("*"))
    answer_ = stage.ask.get("/d/demo/what-if.xlsx?close_rate:DACH=3.1%25")
    assert answer_.status_code == 200
    file = tmp_path / "changed.xlsx"
    file.write_bytes(answer_.content)
    plan = load_plan(file)

    rates = {(t.valid_from.month, t.close_rate) for t in plan.terms if t.segment == "DACH"}
    assert (6, Fraction(31, 1000)) in rates
    assert sorted(demo.parent.rglob("*")) == before


def test_figures_that_cannot_be_read_make_no_workbook(stage: Stage) -> None:
    assert stage.ask.get("/d/demo/what-if.xlsx?close_rate:DACH=4").status_code == 422


def test_of_many_segments_only_those_that_matter_have_fields(stage: Stage) -> None:
    page = stage.ask.get(f"{PAGE}?scenario=sixty-segments&of=Region 07&close_rate:Region 11=3%25")
    named = set(re.findall(r'name="close_rate:([^"]*)"', page.text))
    assert named == {"Region 07", "Region 11"}


# ----------------------------------------------------------------------------------- in a browser


def typed(page: Page, name: str, text: str) -> None:
    page.locator(f'[name="{name}"]').fill(text)


@needs_chromium
@pytest.mark.tool
def test_the_reference_cases_can_be_typed(page: Page, served: Served) -> None:
    blank = "revenue_goal=1&marketing_share=1%25&deal_size=1&close_rate=1%25"
    page.goto(f"{served.base}{PAGE}?{blank}")
    for segment, *texts, _, _ in REFERENCE:
        for name, text in zip(NAMES, texts, strict=True):
            typed(page, f"{name}:{segment}", text)
    rows = page.locator("#answer section:has(#by-segment) tbody tr")
    for number, (_, *_, goal, _) in enumerate(REFERENCE):
        expect(rows.nth(number).locator("td").first.locator("b")).to_have_text(
            str(goal), timeout=PATIENCE
        )
    expect(page.locator(".cards dd").first.locator("b")).to_have_text("651", timeout=PATIENCE)


@needs_chromium
@pytest.mark.tool
def test_sixty_not_sixty_one(page: Page, served: Served) -> None:
    page.goto(f"{served.base}{PAGE}")
    for name, text in zip(NAMES, ("10000", "45%", "2500", "3%"), strict=True):
        typed(page, f"{name}:DACH", text)
    first = page.locator("#answer section:has(#by-segment) tbody tr").first
    expect(first.locator("td").first.locator("b")).to_have_text("60", timeout=PATIENCE)


@needs_chromium
@pytest.mark.tool
def test_the_address_follows_the_typing_and_reset_is_the_agreement(
    page: Page, served: Served
) -> None:
    page.goto(f"{served.base}{PAGE}")
    agreed = page.locator("#answer").inner_text()
    typed(page, "close_rate:DACH", "3.1%")
    expect(page.locator("#sentence")).to_contain_text(
        "DACH owes 388 leads instead of 300", timeout=PATIENCE
    )
    assert page.url.endswith("close_rate%3ADACH=3.1%25")
    changed = page.locator("#answer").inner_text()
    page.reload()
    assert page.locator("#answer").inner_text() == changed
    page.locator("a", has_text="Reset to the agreement").click()
    assert page.locator("#answer").inner_text() == agreed


@needs_chromium
@pytest.mark.tool
def test_a_change_shows_while_typing(page: Page, served: Served) -> None:
    page.goto(f"{served.base}{PAGE}")
    typed(page, "close_rate:DACH", "3%")
    expect(page.locator("#sentence")).to_contain_text("400", timeout=PATIENCE)


@needs_chromium
@pytest.mark.tool
def test_an_unreadable_figure_marks_its_field_while_typing(page: Page, served: Served) -> None:
    page.goto(f"{served.base}{PAGE}")
    typed(page, "close_rate:DACH", "4")
    expect(page.locator('[name="close_rate:DACH"]')).to_have_attribute(
        "aria-invalid", "true", timeout=PATIENCE
    )
    expect(page.locator("[data-problem]")).to_contain_text(
        "reads as 4 % or as 400 %", timeout=PATIENCE
    )
    typed(page, "close_rate:DACH", "4%")
    expect(page.locator('[name="close_rate:DACH"]')).not_to_have_attribute(
        "aria-invalid", "true", timeout=PATIENCE
    )


@needs_chromium
@pytest.mark.tool
def test_without_script_the_form_answers(chromium: Browser, served: Served) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(served.door.address)
    page.goto(f"{served.base}{PAGE}")
    page.locator('[name="close_rate:DACH"]').fill("3%")
    page.get_by_role("button", name="Show").last.click()
    assert page.url.endswith(f"{PAGE}?close_rate%3ADACH=3%25")
    expect(page.locator("#sentence")).to_contain_text(
        "owes 400 leads instead of 300", timeout=PATIENCE
    )
    context.close()


@needs_chromium
@pytest.mark.tool
def test_the_lines_can_be_copied(chromium: Browser, served: Served) -> None:
    context = chromium.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto(served.door.address)
    page.goto(f"{served.base}{PAGE}?close_rate:DACH=3%25")
    page.locator("button.copy").click()
    expect(page.locator("button.copy")).to_have_text("Copied", timeout=PATIENCE)
    assert 'close_rate = "3%"  # agreed: 4%' in page.evaluate("navigator.clipboard.readText()")
    context.close()

"""The worksheet page: what was agreed, where it stands, what the CRM and `digest check` say of it."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from fractions import Fraction
from html import unescape
from pathlib import Path

import pytest
from openpyxl import load_workbook  # type: ignore[import-untyped] # has no types
from playwright.sync_api import Browser
from starlette.testclient import TestClient

from digest.preview import desk_of
from digest.preview.app import application
from digest.render.locales import languages
from digest.scenarios import HELD, SCENARIOS
from digest.settings import load
from digest.whatif import sla_as_toml
from digest.worksheet import check, load_plan
from tests.effort import effort
from tests.preview.conftest import PORT, Served, Stage, staged, wanted
from tests.preview.test_what_if import FEW, plain
from tests.render.chromium import needs_chromium
from tests.render.test_accessibility import AXE, FINDINGS, OPTIONS, axe

PAGE = "/d/demo/worksheet"
SEGMENTS = ("DACH", "Benelux", "UKI", "Nordics")


def rows(html: str) -> dict[str, list[str]]:
    """Segment to its cells, as text."""
    body = html.split("<tbody>")[1].split("</tbody>", maxsplit=1)[0]
    found = {}
    for row in body.split("<tr")[1:]:
        name = re.search(r'<span dir="auto">(.*?)</span>', row)
        assert name is not None
        found[plain(name[1])] = [plain(f"<td{cell}") for cell in row.split("<td")[1:]]
    return found


@pytest.fixture
def own(demo: Path, tmp_path: Path) -> Path:
    """A copy of the demo, whose files a test may change."""
    shutil.copytree(demo.parent, tmp_path / "demo")
    return tmp_path / "demo" / "digest.toml"


def test_each_figure_stands_beside_its_cell(stage: Stage, demo: Path) -> None:
    found = rows(stage.ask.get(PAGE).text)
    assert [name for name in found if name != "Total"] == list(SEGMENTS)
    book = load_workbook(demo.parent / "sla.xlsx")
    for name in SEGMENTS:
        for number, cell in enumerate(found[name][:4]):
            place = re.search(r"sla\.xlsx, (.+)!([A-Z]+)(\d+)$", cell)
            assert place is not None, cell
            sheet, column, row = place[1], place[2], place[3]
            value = book[sheet][f"{column}{row}"].value
            shown = cell.split(" CRM")[0]
            digits = Fraction(re.sub(r"[^\d.]", "", shown.split(" sla.xlsx")[0]))
            assert Fraction(str(value)) == (digits / 100 if number in (2, 3) else digits)


def test_tables_in_the_settings_are_named_by_line(own: Path) -> None:
    plan = load_plan(own.parent / "sla.xlsx")
    text = own.read_text().replace('[sla]\nworksheet = "sla.xlsx"\n', sla_as_toml(plan))
    own.write_text(text)
    found = rows(staged(own).ask.get(PAGE).text)
    lines = text.splitlines()
    keys = ("revenue_goal", "deal_size", "marketing_share", "close_rate")
    for name in SEGMENTS:
        for key, cell in zip(keys, found[name], strict=False):
            place = re.search(r"digest\.toml, line (\d+)$", cell)
            assert place is not None, cell
            assert lines[int(place[1]) - 1].startswith(f"{key} = ")


def test_the_measured_rate_stands_beside_the_agreed_one_with_what_it_would_take(
    stage: Stage,
) -> None:
    page = stage.ask.get(f"{PAGE}?scenario=monday")
    dach = rows(page.text)["DACH"]
    assert "CRM: 3.1% (55 of 1,749 leads)" in dach[3]
    assert "at 3.1% instead of 4% and deals of CHF 15,150 you need 378, not 300" in dach[3]
    assert "small sample" not in dach[3]
    assert "from 1 Dec 2025 to 31 May 2026" in plain(page.text)


def test_a_small_sample_is_flagged(stage: Stage) -> None:
    (cells, _) = rows(stage.ask.get(f"{PAGE}?scenario=zero-leads").text).values()
    assert "small sample" in cells[3]
    assert "small sample" in cells[1]


def test_what_digest_check_says_of_a_cell_stands_at_the_cell(own: Path) -> None:
    file = own.parent / "sla.xlsx"
    book = load_workbook(file)
    page = staged(own).ask.get(PAGE).text
    place = re.search(r"sla\.xlsx, (.+)!([A-Z]+\d+)$", rows(page)["UKI"][3])
    assert place is not None
    book[place[1]][place[2]] = "3 %"
    book.save(file)
    # LibreOffice is not asked to compute: what the digest reads are inputs.
    told = [one.text for one in check(file) if one.subject == f"{place[1]}!{place[2]}"]
    shown = rows(staged(own).ask.get(PAGE).text)["UKI"][3]
    assert told
    assert all(text in shown for text in told)


def test_terms_and_changed_goals_are_the_history(stage: Stage) -> None:
    history = plain(stage.ask.get(f"{PAGE}?scenario=goal-changed").text.split("<tbody>")[2])
    assert "the goal was changed during the month: 334 instead of 300" in history
    assert (
        "1 Jun 2026 DACH average deal size CHF 15,000, marketing share 60%, close rate 3.6%"
        in history
    )
    assert "1 Nov 2025 UKI average deal size EUR 8,000" in history


def test_the_worksheet_can_be_taken_and_reads_back_as_the_same_plan(
    stage: Stage, demo: Path, tmp_path: Path
) -> None:
    answer = stage.ask.get(f"{PAGE}.xlsx")
    assert answer.headers["content-disposition"] == 'attachment; filename="sla-2026-06.xlsx"'
    file = tmp_path / "sla.xlsx"
    file.write_bytes(answer.content)
    assert load_plan(file).version == load_plan(demo.parent / "sla.xlsx").version
    assert [one.level for one in check(file)] == ["ok"]


def test_a_plan_that_no_workbook_can_hold_says_why(own: Path) -> None:
    plan = replace(load_plan(own.parent / "sla.xlsx"), lag_months=1)
    text = own.read_text().replace('[sla]\nworksheet = "sla.xlsx"\n', sla_as_toml(plan))
    own.write_text(text)
    page = staged(own).ask.get(PAGE)
    assert page.status_code == 200
    assert "No workbook of this plan: worksheet: a plan with lag_months" in plain(page.text)


def test_a_source_that_is_not_asked_leaves_the_agreement_readable(demo: Path) -> None:
    asked = replace(wanted(demo), offline=True)
    app, door = application(desk_of(asked), port=PORT)
    client = TestClient(app, base_url=f"http://127.0.0.1:{PORT}", follow_redirects=False)
    client.get(door.address)
    page = client.get(PAGE)
    assert page.status_code == 200
    assert "not asked, since the preview runs offline" in unescape(page.text)
    assert "300" in rows(page.text)["DACH"][5]


def test_the_json_has_the_exact_figures_and_their_places(stage: Stage) -> None:
    told = stage.ask.get("/api/d/demo/worksheet").json()
    dach = told["segments"][0]
    assert (dach["segment"], dach["goal"], dach["lead_value"]) == ("DACH", 300, "600")
    assert dach["close_rate"]["agreed"] == "0.04"
    assert dach["close_rate"]["origin"]["file"] == "sla.xlsx"
    assert dach["measured"]["leads"] > 1000
    settings_version = told["sla_version"]
    assert re.fullmatch(r"[0-9a-f]{12}", settings_version)


@pytest.mark.parametrize("name", effort((*FEW, *HELD), (*SCENARIOS, *HELD)))
def test_every_scenario_has_its_worksheet_in_every_language(stage: Stage, name: str) -> None:
    for language in languages():
        page = stage.ask.get(f"{PAGE}?scenario={name}&ui={language}")
        assert page.status_code == 200
        assert "<script>alert" not in page.text


def test_the_demo_settings_are_those_of_the_page(stage: Stage, demo: Path) -> None:
    settings = load(demo, environment={})
    assert settings.plan.version in stage.ask.get(PAGE).text


# ----------------------------------------------------------------------------------- in a browser

ADDRESSES = (
    "/d/demo/worksheet",
    "/d/demo/worksheet?scenario=hostile-names",
    "/d/demo/what-if?close_rate:DACH=3%25&workdays=21&leads:UKI=4.5",
    "/d/demo/what-if?scenario=forty-segments&of=Region 07&close_rate=4%25",
)


@needs_chromium
@pytest.mark.tool
@pytest.mark.skipif(not AXE.exists(), reason="needs axe-core; `make test` installs it with npm")
@pytest.mark.parametrize(
    ("scheme", "width"),
    effort(
        [("light", 1100), ("dark", 375)],
        [(scheme, width) for scheme in ("light", "dark") for width in (1100, 375)],
    ),
)
def test_anyone_can_read_worksheet_and_what_if(
    chromium: Browser, served: Served, scheme: str, width: int
) -> None:
    context = chromium.new_context(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    page = context.new_page()
    page.goto(served.door.address)
    for address in ADDRESSES:
        page.goto(served.base + address)
        page.evaluate(axe())
        whole = {**OPTIONS, "rules": {}}
        assert page.evaluate(FINDINGS, whole) == [], address
        wide = page.evaluate(
            "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        )
        assert not wide, address
    context.close()


@needs_chromium
@pytest.mark.tool
@pytest.mark.parametrize("language", effort(("de-CH",), languages()))
def test_nothing_is_wider_than_a_phone_in_any_language(
    chromium: Browser, served: Served, language: str
) -> None:
    context = chromium.new_context(viewport={"width": 320, "height": 900})
    page = context.new_page()
    page.goto(served.door.address)
    for scenario in ("long-names", "huge-numbers"):
        for name in ("worksheet", "what-if"):
            query = f"scenario={scenario}&ui={language}" + (
                "&workdays=21" if name == "what-if" else ""
            )
            page.goto(f"{served.base}/d/demo/{name}?{query}")
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= 320, (scenario, name)
    context.close()

"""An input stands where its record says: the line holds the key, the cell holds the value."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from fractions import Fraction
from pathlib import Path

import openpyxl  # type: ignore[import-untyped] # has no types
import pytest

from digest.compose import compose, facts_of
from digest.demo import run
from digest.figures import Asked, Figure, Figures, Place, figures_of
from digest.settings import load
from digest.settings.places import SettingsPlaces
from digest.worksheet.places import spot_of, spots
from tests.preview.conftest import clock

DAY = date(2026, 6, 16)

TABLES = """
[sla]
currency = "CHF"

[[sla.rates]]
currency = "EUR"
rate = 0.94
as_of = 2026-01-05

[[sla.segments]]
segment = "DACH"
currency = "CHF"
valid_from = "2026-01"
revenue_goal = 300000
deal_size = 15000
marketing_share = "60%"
close_rate = "4%"

[[sla.segments]]
segment = "Benelux"
currency = "EUR"
valid_from = "2026-01"
revenue_goal = { 2026-05 = 110000, 2026-06 = 120000 }
deal_size = 9000
marketing_share = "50%"
stage_rates = ["50%"]
close_rate = "10%"

[[sla.segments]]
segment = "UKI"
currency = "EUR"
valid_from = "2026-01"
goal = 169
"""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("places") / "demo"
    run(folder, wanted=DAY)
    return folder / "digest.toml"


def figures(config: Path) -> Figures:
    settings = load(config, environment={})
    edition = compose(settings, DAY, now=clock())
    return figures_of(edition, facts_of(settings), SettingsPlaces(settings))


def places(found: Figures) -> list[tuple[Figure, Place]]:
    return [
        (figure, one.origin)
        for figure in found.values()
        for one in figure.inputs
        if isinstance(one.origin, Place)
    ]


def test_each_setting_stands_on_its_line(demo: Path) -> None:
    lines = demo.read_text().splitlines()

    found = [(f, at) for f, at in places(figures(demo)) if at.kind == "setting"]

    assert {at.key for _, at in found} >= {"calendar", "follow_up.attempts"}
    for _, at in found:
        assert at.file == demo.name
        assert at.line is not None
        assert re.search(rf"\b{at.key.rpartition('.')[2]}\b", lines[at.line - 1]), at


def test_each_cell_holds_its_value(demo: Path) -> None:
    book = openpyxl.load_workbook(demo.parent / "sla.xlsx")

    found = [(f, at) for f, at in places(figures(demo)) if at.kind == "cell"]

    assert {f.id.rpartition(".")[2] for f, _ in found} >= {
        "revenue_goal", "deal_size", "marketing_share", "close_rate", "eur",
    }  # fmt: skip
    for figure, at in found:
        held = book[at.sheet][at.cell].value
        assert Fraction(str(held)) == Fraction(figure.value), (figure.id, at)


def test_every_input_of_a_real_digest_ends_in_its_files_or_at_its_source(demo: Path) -> None:
    found = figures(demo)
    ends = {
        "query" if isinstance(one.origin, Asked) else one.origin.kind
        for figure in found.values()
        for one in figure.inputs
        if one.origin is not None
    }

    assert ends == {"query", "setting", "cell", "default"}
    assert [figure.id for figure in found.values() if figure.formula == "recorded"] == []


def test_tables_in_the_settings_are_found_by_line(demo: Path) -> None:
    text = demo.read_text()
    sla = re.compile(r"\[sla\]\n.*?(?=\n\[)", re.DOTALL)
    config = demo.parent / "tables.toml"
    config.write_text(sla.sub(lambda _: TABLES, text, count=1))
    lines = config.read_text().splitlines()
    settings = load(config, environment={})
    at = SettingsPlaces(settings)
    dach, benelux, uki = settings.plan.terms

    def line(place: Place) -> str:
        assert place.line is not None
        return lines[place.line - 1]

    assert line(at.terms(dach, "close_rate")) == 'close_rate = "4%"'
    assert line(at.terms(benelux, "stage_rates")) == 'stage_rates = ["50%"]'
    assert line(at.terms(uki, "goal")) == "goal = 169"
    assert line(at.revenue_goal("DACH", date(2026, 6, 1))) == "revenue_goal = 300000"
    assert "2026-06 = 120000" in line(at.revenue_goal("Benelux", date(2026, 6, 1)))
    assert line(at.rate("EUR")) == "rate = 0.94"
    assert at.setting("sla", "lag_months").kind == "default"


def test_a_plan_in_a_csv_is_found_by_line(tmp_path: Path) -> None:
    plan = tmp_path / "plan.csv"
    plan.write_text(
        "segment,month,currency,revenue_goal,deal_size,marketing_share,close_rate,plan_currency\n"
        "DACH,2026-05,CHF,280000,15000,60%,4%,CHF\n"
        "DACH,2026-06,CHF,300000,,,,CHF\n"
    )

    known = spots(plan)
    terms = spot_of(known, "deal_size", "DACH", date(2026, 5, 1))

    assert known["revenue_goal", "DACH", date(2026, 6, 1)].line == 3
    assert terms is not None
    assert terms.line == 2


def test_a_worksheet_that_can_no_longer_be_read_costs_only_the_cell(
    demo: Path, tmp_path: Path
) -> None:
    settings = load(demo, environment={})
    gone = SettingsPlaces(replace(settings, worksheet=tmp_path / "gone.xlsx"))

    place = gone.revenue_goal("DACH", date(2026, 6, 1))

    assert (place.kind, place.file, place.cell) == ("cell", "gone.xlsx", "")

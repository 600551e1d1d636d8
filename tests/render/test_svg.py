from __future__ import annotations

import re
from itertools import accumulate
from xml.etree import ElementTree as ET

import pytest

from digest.render import render
from digest.render.charts import Waterfall, waterfall
from digest.render.locales import locale_for
from digest.render.svg import HEIGHT, STYLE, WIDTH, linked_svg, svg, waterfall_svg
from tests.render.editions import SCENARIOS, edition, month_close, no_data

NAMESPACE = "{http://www.w3.org/2000/svg}"


def parsed(document: str) -> ET.Element:
    return ET.fromstring(document)  # noqa: S314 - written by the function under test


def of_kind(root: ET.Element, kind: str) -> list[ET.Element]:
    return [element for element in root.iter() if element.get("class") == kind]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_edition_gives_a_well_formed_picture_within_its_frame(scenario: str) -> None:
    source = SCENARIOS[scenario]()

    root = parsed(waterfall_svg(source, "de-CH"))

    assert root.get("aria-label") == render(source, language="de-CH").images[-1].alt
    for mark in [*of_kind(root, "new"), *of_kind(root, "before")]:
        x, y, width, height = (
            float(mark.get(name, "nan")) for name in ("x", "y", "width", "height")
        )
        assert 0 <= x <= x + width <= WIDTH
        assert 0 <= y <= y + height <= HEIGHT
    numbers = [float(n) for n in re.findall(r"[MLHV ](-?[\d.]+)", "".join(
        path.get("d", "") for path in root.iter(f"{NAMESPACE}path")))]  # fmt: skip
    assert all(0 <= number <= WIDTH for number in numbers)


def test_the_bars_are_to_scale_and_say_what_they_are() -> None:
    source = edition()
    picture = waterfall(source)
    root = parsed(waterfall_svg(source, "en"))

    bars = of_kind(root, "new")
    heights = [float(bar.get("height", "nan")) for bar in bars]
    titles = [title.text for title in root.iter(f"{NAMESPACE}title")]

    assert len(bars) == len(picture.new) == 14
    unit = sum(heights) / sum(picture.new)
    assert heights == pytest.approx([unit * new for new in picture.new], abs=0.11)
    assert [title.split(" new")[0].split()[-1] for title in titles if title] == [
        str(new) for new in picture.new
    ]
    assert [int(title.split(" in all")[0].split()[-1]) for title in titles if title] == list(
        accumulate(picture.new)
    )
    assert titles[11] == "Fri\u00a012\u00a0Jun: 5 new, 54 in all, 64 due"


def test_the_goal_is_a_staircase_that_ends_at_the_goal_and_is_flat_on_free_days() -> None:
    (stairs,) = of_kind(parsed(waterfall_svg(edition(), "en")), "goal")

    levels = [float(y) for y in re.findall(r"V([\d.]+)", stairs.get("d", ""))]

    assert len(levels) == 30
    assert levels[4] == levels[5] == levels[6]
    assert levels == sorted(levels, reverse=True)


def test_a_closed_month_has_no_forecast_and_an_open_one_has_a_fan() -> None:
    closed, opened = (
        parsed(waterfall_svg(month_close(), "en")),
        parsed(waterfall_svg(edition(), "en")),
    )

    assert of_kind(closed, "fan") == of_kind(closed, "cut-off") == []
    assert len(of_kind(opened, "fan")) == len(of_kind(opened, "cut-off")) == 1


def test_without_goal_and_forecast_only_the_leads_are_drawn() -> None:
    bare = Waterfall(edition().scorecard.period.start, 30, (1, 2), (), None, None, complete=True)

    root = parsed(svg(bare, locale_for("en"), alt='<b>"quoted"</b>'))

    assert root.get("aria-label") == '<b>"quoted"</b>'
    assert of_kind(root, "goal") == of_kind(root, "fan") == []
    assert [t.text for t in root.iter(f"{NAMESPACE}title")] == [
        "Mon\u00a01\u00a0Jun: 1 new, 1 in all",
        "Tue\u00a02\u00a0Jun: 2 new, 3 in all",
    ]


def test_a_goal_without_a_calendar_is_a_line() -> None:
    bare = Waterfall(edition().scorecard.period.start, 30, (1, 2), (), 140, None, complete=True)

    (goal,) = of_kind(parsed(svg(bare, locale_for("en"), alt="")), "goal")

    assert "V" not in goal.get("d", "")


def test_days_that_are_only_a_part_are_drawn_without_a_sum() -> None:
    known, in_part = parsed(waterfall_svg(edition(), "en")), parsed(waterfall_svg(no_data(), "en"))

    assert [text.text for text in of_kind(known, "now")] == ["55"]
    assert of_kind(in_part, "now") == []


def test_the_document_loads_nothing_and_runs_nothing() -> None:
    document = waterfall_svg(edition(), "en")

    assert not re.search(r"<script|href|url\(|@import|on[a-z]+=", document)


def test_in_a_page_each_day_is_a_link_over_the_same_picture() -> None:
    picture = waterfall(edition())
    links = [(f"#day-{n}", f'day {n} of "A & B" <x>') for n in range(picture.length)]
    document = linked_svg(picture, locale_for("en"), alt="told", links=links)
    root = parsed(document)
    alone = parsed(waterfall_svg(edition(), "en"))

    found = list(root.iter("a"))
    days = [a.find("rect") for a in found]
    assert [(a.get("href"), a.get("aria-label")) for a in found] == links
    assert root.get("role") == "group"
    assert "<style" not in document
    assert "<title" not in document
    new = [(bar.get("y"), bar.get("height")) for bar in of_kind(root, "new")]
    assert new == [(bar.get("y"), bar.get("height")) for bar in of_kind(alone, "new")]
    edges = [float(day.get("x", "nan")) for day in days if day is not None]
    assert edges == sorted(edges)
    assert len(edges) == picture.length == 30
    bars = [float(bar.get("x", "nan")) for bar in of_kind(root, "before")]
    assert edges[: len(bars)] == bars


def test_the_style_of_a_page_names_everything_that_is_drawn() -> None:
    root = parsed(waterfall_svg(edition(), "en"))
    kinds = {element.get("class", "") for element in root.iter()} - {"", "waterfall"}

    assert {kind for kind in kinds if f".{kind}" not in STYLE} == set()

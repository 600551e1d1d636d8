from __future__ import annotations

import io
import logging
from dataclasses import replace

import matplotlib as mpl
import pytest
from PIL import Image

from digest.model import DayCount
from digest.render import charts, render
from digest.render.locales import languages, locale_for
from tests.render.editions import SCENARIOS, edition, first_edition, month_close

ENGLISH = locale_for("en")


def far(colour: object, wanted: tuple[int, ...]) -> int:
    assert isinstance(colour, tuple)
    return sum(abs(a - b) for a, b in zip(colour, wanted, strict=True))


def opened(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png))


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_picture_has_double_density_few_colours_and_few_bytes(scenario: str) -> None:
    (image,) = render(SCENARIOS[scenario]()).images

    picture = opened(image.png)
    assert picture.size == (1184, 480)
    assert picture.mode == "P"
    assert len(image.png) < 25_000
    assert picture.info.get("Software") is None


def test_the_picture_is_white_at_its_corners_so_that_dark_mode_does_not_swallow_it() -> None:
    picture = opened(render(edition()).images[0].png).convert("RGB")

    corners = [(0, 0), (1183, 0), (0, 479), (1183, 479)]
    assert {picture.getpixel(corner) for corner in corners} == {(255, 255, 255)}


def test_nothing_of_a_picture_shows_through_the_next_one() -> None:
    pictures = [charts.waterfall(make()) for make in SCENARIOS.values()]
    draw = charts.png.__wrapped__  # as if none had been drawn before
    alone = []
    for picture in pictures:
        charts._SPARE.clear()
        alone.append(draw(picture, ENGLISH))

    assert [draw(picture, ENGLISH) for picture in pictures] == alone
    assert len(charts._SPARE) == 1


def test_ink_leads_and_fan_are_drawn() -> None:
    picture = opened(render(edition()).images[0].png).convert("RGB")

    colours = {colour for _, colour in picture.getcolors(1000) or []}
    for wanted in ((0x1F, 0x29, 0x33), (0x2F, 0x6D, 0xB5), (0xC9, 0xDC, 0xF2)):
        assert any(far(colour, wanted) < 30 for colour in colours), wanted


def test_the_staircase_is_flat_on_free_days_and_ends_at_the_goal() -> None:
    stairs = charts.waterfall(edition()).staircase

    assert len(stairs) == 30
    assert stairs[-1] == 140
    assert stairs[4] == stairs[5] == stairs[6]  # Friday 5 to Sunday 7 June
    assert stairs[3] < stairs[4]


def test_new_leads_add_up_to_the_actual() -> None:
    assert sum(charts.waterfall(edition()).new) == 55


def test_a_closed_month_is_drawn_whole_and_without_forecast() -> None:
    picture = charts.waterfall(month_close())

    assert picture.first.month == 5
    assert len(picture.new) == picture.length == 31
    assert picture.forecast is None


def test_without_calendar_and_forecast_there_is_still_a_picture() -> None:
    bare = replace(first_edition(), days=())

    picture = charts.waterfall(bare)

    assert picture.staircase == ()
    assert opened(charts.png(picture, ENGLISH)).size == (1184, 480)


def test_a_month_without_a_lead_is_drawn() -> None:
    empty = replace(edition(), counts=())

    assert opened(charts.png(charts.waterfall(empty), ENGLISH)).size == (1184, 480)


def test_leads_in_the_millions_are_drawn() -> None:
    many = replace(edition(), counts=(DayCount(edition().days[0].day, "DACH", 10**9),))

    assert opened(charts.png(charts.waterfall(many), ENGLISH)).size == (1184, 480)


def test_a_picture_that_cannot_be_drawn_costs_the_picture_and_not_the_mail(
    caplog: pytest.LogCaptureFixture,
) -> None:
    beyond = replace(edition(), counts=(DayCount(edition().days[0].day, "DACH", 10**400),))

    with caplog.at_level(logging.WARNING):
        message = render(beyond)

    assert message.images == ()
    assert "<img" not in message.html
    assert "the chart could not be drawn" in caplog.text


@pytest.mark.parametrize("language", languages())
@pytest.mark.parametrize("scenario", ["at_risk", "month_close", "many_segments"])
def test_what_is_written_into_the_picture_stays_inside_it(scenario: str, language: str) -> None:
    with mpl.rc_context():
        mpl.rcParams.update(charts._DEFAULTS)  # type: ignore[arg-type] # keys are checked at run time
        pen = charts.Pen()
        charts.draw(pen, charts.waterfall(SCENARIOS[scenario]()), locale_for(language))
    boxes = pen.texts

    assert len(boxes) > 5
    outside = [
        words
        for words, box in boxes.items()
        if box.left < 0 or box.top < 0 or box.right > 1184 or box.bottom > 480
    ]
    assert outside == []


def test_a_part_of_the_leads_is_not_written_as_if_it_were_the_month() -> None:
    assert charts.waterfall(edition()).complete
    assert not charts.waterfall(SCENARIOS["no_data"]()).complete


@pytest.mark.parametrize("top", [1, 3, 7, 55, 140, 999, 12_345, 145_600_000])
def test_the_scale_has_three_to_five_whole_steps(top: int) -> None:
    step = charts.step(top)

    assert step >= 1
    assert top / step <= 4
    assert top < 4 or top / step > 1

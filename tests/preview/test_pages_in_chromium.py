"""Month, history and calendar in a real browser: keys, mouse, no script, every width, both colour schemes."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from digest.render.brand import contrast
from tests.preview.conftest import Served
from tests.render.chromium import needs_chromium

pytestmark = needs_chromium

MONTH = "/d/demo/month"
PLACES = (
    MONTH,
    f"{MONTH}?date=2026-06-16&from=2026-05-20",
    f"{MONTH}?date=2026-06-01",
    f"{MONTH}?scenario=hostile-names",
    "/d/demo/history",
    "/d/demo/history/2026-06-15?recompose=1",
    "/d/demo/history/2026-06-16/0/1",
    "/d/demo/calendar",
)


def told(page: Page) -> list[str]:
    """What stands beside the picture."""
    return [text.replace("\u00a0", " ") for text in page.locator("#told dd").all_inner_texts()]


# ------------------------------------------------------------------------------- the waterfall


def test_the_keyboard_reaches_every_day_and_tells_it_beside_the_picture(
    page: Page, served: Served
) -> None:
    page.goto(f"{served.base}{MONTH}")
    days = page.locator(".picture a")
    lines = page.locator("[id^=day-]")

    expect(days).to_have_count(30)
    days.first.focus()
    for n in range(30):
        focused = page.evaluate("document.activeElement.getAttribute('href')")
        cells = lines.nth(n).locator("th, td").all_text_contents()
        assert focused == f"#day-2026-06-{n + 1:02}"
        assert told(page) == [cell.strip().replace("\u00a0", " ") for cell in cells]
        page.keyboard.press("ArrowRight" if n % 2 else "Tab")
    assert page.url.endswith(MONTH)  # arrows go from day to day here, not from edition to edition


def test_arrows_home_and_end_go_from_day_to_day(page: Page, served: Served) -> None:
    page.goto(f"{served.base}{MONTH}")
    page.locator(".picture a").nth(9).focus()
    reached = []
    for key in ("ArrowLeft", "ArrowRight", "ArrowRight", "End", "ArrowRight", "Home", "ArrowLeft"):
        page.keyboard.press(key)
        reached.append(page.evaluate("document.activeElement.getAttribute('href').slice(-2)"))

    assert reached == ["09", "10", "11", "30", "30", "01", "01"]


def test_the_mouse_tells_a_day_and_enter_opens_its_line(page: Page, served: Served) -> None:
    page.goto(f"{served.base}{MONTH}")
    page.locator(".picture a").nth(7).hover()

    assert told(page)[0] == "Mon 8 Jun"
    page.locator(".picture a").nth(10).focus()
    page.keyboard.press("Enter")
    line = page.locator("#day-2026-06-11")
    expect(line).to_be_visible()
    assert page.url.endswith("#day-2026-06-11")


def test_a_day_is_told_also_after_the_page_was_renewed(page: Page, served: Served) -> None:
    page.goto(f"{served.base}{MONTH}")
    page.evaluate(
        "async () => {"
        " const text = await (await fetch(location.href)).text();"
        " const next = new DOMParser().parseFromString(text, 'text/html');"
        " document.getElementById('main').replaceChildren(...next.getElementById('main').childNodes);"
        "}"
    )
    page.locator(".picture a").nth(3).focus()

    assert told(page)[0] == "Thu 4 Jun"


# --------------------------------------------------------------------------------- without script


@pytest.fixture
def bare(chromium: Browser, served: Served) -> Page:
    """A page of a browser that runs no script."""
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(served.door.address)
    return page


def test_without_script_a_day_leads_to_its_line(bare: Page, served: Served) -> None:
    bare.goto(f"{served.base}{MONTH}")
    bare.locator(".picture a").nth(11).click()

    line = bare.locator("#day-2026-06-12")
    expect(line).to_be_visible()
    expect(line).to_contain_text("Fri")
    bare.context.close()


def test_without_script_a_bridge_is_chosen_by_form_and_by_link(bare: Page, served: Served) -> None:
    bare.goto(f"{served.base}{MONTH}")
    bare.locator("#bridge input[name=from]").fill("2026-06-08")
    bare.locator("#bridge button").click()
    expect(bare.locator(".bridge thead")).to_contain_text("Mon\u00a08\u00a0Jun")

    bare.locator("#bridge details summary").click()
    bare.get_by_role("link", name="Wed\u00a03\u00a0Jun", exact=True).click()
    expect(bare.locator(".bridge thead")).to_contain_text("Wed\u00a03\u00a0Jun")
    bare.context.close()


def test_without_script_what_was_sent_opens_in_its_frame(bare: Page, served: Served) -> None:
    bare.goto(f"{served.base}/d/demo/history")
    bare.locator(".runs a").first.click()
    bare.get_by_role("link", name="Show what was sent").first.click()

    frame = bare.frame_locator("#frame")
    expect(frame.locator("body")).to_contain_text("Segments")
    assert bare.locator("#frame").get_attribute("sandbox") == ""
    bare.context.close()


# --------------------------------------------------------------------------- widths and colours


@pytest.mark.parametrize("place", PLACES)
def test_no_width_scrolls_the_page_sideways(page: Page, served: Served, place: str) -> None:
    for width in (1100, 640, 375):
        page.set_viewport_size({"width": width, "height": 900})
        page.goto(f"{served.base}{place}")
        wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")

        assert wide <= 0, (width, wide)


def test_words_in_the_picture_stand_out_from_its_ground(page: Page, served: Served) -> None:
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        page.goto(f"{served.base}{MONTH}")
        ground = colour(
            page.locator(".picture").evaluate("e => getComputedStyle(e).backgroundColor")
        )
        for text in page.locator(".picture text").all():
            written = colour(text.evaluate("e => getComputedStyle(e).fill"))

            assert contrast(written, ground) >= 4.5, (scheme, text.inner_text())


def colour(css: str) -> str:
    """Return "rgb(1, 2, 3)" as "#010203"."""
    return "#" + "".join(f"{int(part):02x}" for part in re.findall(r"\d+", css)[:3])


def test_no_page_says_anything_in_the_console(visitor: BrowserContext, served: Served) -> None:
    page = visitor.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    for place in PLACES:
        page.goto(f"{served.base}{place}")
        page.mouse.move(300, 300)

    # The stage has no stream of events, which every page asks for.
    assert [line for line in said if "404" not in line] == []


# ----------------------------------------------------------------------------------- side by side


@pytest.mark.parametrize(("width", "beside"), [(1100, True), (640, False), (375, False)])
def test_a_comparison_is_readable_at_every_width(
    page: Page, served: Served, width: int, *, beside: bool
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(f"{served.base}/d/demo?compare=date:2026-06-15")
    boxes = [page.locator(name).bounding_box() for name in ("#frame", "#beside")]
    assert boxes[0] is not None
    assert boxes[1] is not None

    assert (boxes[0]["y"] == boxes[1]["y"]) == beside
    for name in ("#frame", "#beside"):
        body = page.frame_locator(name).locator("body")
        expect(body).to_contain_text("Segments")
        assert (
            body.evaluate(
                "b => b.ownerDocument.documentElement.scrollWidth - b.ownerDocument.defaultView.innerWidth"
            )
            <= 0
        )
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0

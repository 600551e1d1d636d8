"""How the mail stands in a real browser: nothing overflows, nothing is clipped, nothing is fetched."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, sync_playwright

from digest.render import render
from tests.render.editions import SCENARIOS

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = [
    pytest.mark.tool,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Chromium at /usr/bin/chromium"),
]

# Elements whose content is wider than they are: what scrollWidth of the page does not tell.
CLIPPED = """() => [...document.querySelectorAll('td, th, div, span, h1, h2, p, a')]
  .filter(e => {
    const style = getComputedStyle(e);
    return style.display !== 'inline' && style.display !== 'none' && e.clientWidth > 0
      && e.scrollWidth > e.clientWidth + 1;
  }).map(e => e.outerHTML.slice(0, 160))"""
CONTRAST = """() => {
  const rgb = c => c.match(/[\\d.]+/g).map(Number);
  const lum = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = e => {
    for (; e; e = e.parentElement) {
      const c = rgb(getComputedStyle(e).backgroundColor);
      if (c.length === 3 || c[3] > 0) return c;
    }
    return [255, 255, 255];
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const bad = [];
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !e.getClientRects().length || e.closest('.b')) continue;
    const [a, b] = [lum(rgb(getComputedStyle(e).color)), lum(behind(e))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) bad.push(walker.currentNode.data.trim().slice(0, 60));
  }
  return bad;
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"]
        )
        yield started
        started.close()


def page_of(
    browser: Browser,
    html: str,
    width: int,
    scheme: str = "light",
    requests: list[str] | None = None,
) -> Page:
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if scheme == "dark" else "light",
        is_mobile=width < 500,  # a plain window is never narrower than 500
    )
    page = context.new_page()

    def refuse(route: Route) -> None:
        if requests is not None:
            requests.append(route.request.url)
        route.abort()

    page.route("**/*", refuse)
    page.set_content(html)
    return page


@cache
def html_of(scenario: str, language: str, *, images: bool = True) -> str:
    message = render(SCENARIOS[scenario](), language=language)
    html = message.html
    for image in message.images:
        data = "data:image/png;base64," + base64.b64encode(image.png).decode()
        html = html.replace(f"cid:{image.cid}", data if images else "about:blank#none")
    return html


@pytest.mark.parametrize("width", [640, 375, 320])
@pytest.mark.parametrize("language", ["en", "de-CH"])
def test_nothing_overflows_is_clipped_or_fetched(
    browser: Browser, width: int, language: str
) -> None:
    requests: list[str] = []
    page = page_of(browser, "", width, requests=requests)
    for scenario in SCENARIOS:
        page.set_content(html_of(scenario, language))

        assert page.evaluate("document.documentElement.scrollWidth") <= width, scenario
        assert page.evaluate(CLIPPED) == [], scenario
    assert [url for url in requests if not url.startswith("data:")] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_light_and_dark(browser: Browser, scheme: str) -> None:
    for scenario in ("at_risk", "behind", "month_close", "sales_half", "no_data", "reached"):
        page = page_of(browser, html_of(scenario, "en"), 640, scheme)

        assert page.evaluate(CONTRAST) == [], scenario
        page.context.close()


def test_the_contrast_check_bites(browser: Browser) -> None:
    page = page_of(browser, "<body style='background:#fff;color:#9aa5b1'>pale</body>", 640)

    assert page.evaluate(CONTRAST) == ["pale"]


def test_dark_mode_is_dark_to_the_edges(browser: Browser) -> None:
    page = page_of(browser, html_of("at_risk", "en"), 640, "dark")

    background = page.evaluate("getComputedStyle(document.body).backgroundColor")

    assert background == "rgb(20, 23, 26)"


@pytest.mark.parametrize(("width", "widest"), [(640, 640), (375, 460)])
def test_the_mail_holds_where_styles_are_dropped(browser: Browser, width: int, widest: int) -> None:
    for language in ("en", "de-CH"):
        bare = re.sub(r"<style.*?</style>", "", html_of("at_risk", language), flags=re.DOTALL)
        page = page_of(browser, bare, width)

        assert page.evaluate("document.documentElement.scrollWidth") <= widest
        page.context.close()


def test_with_images_off_the_alt_text_reads_as_text(browser: Browser) -> None:
    page = page_of(browser, html_of("at_risk", "en", images=False), 375)

    style = page.evaluate(
        "(() => { const s = getComputedStyle(document.querySelector('img'));"
        " return [s.fontSize, s.color]; })()"
    )

    assert style == ["14px", "rgb(31, 41, 51)"]


def test_a_number_too_wide_for_its_tile_would_be_noticed(browser: Browser) -> None:
    html = html_of("at_risk", "en").replace(">55</b>", ">1’865’000’000’000’000</b>")
    page = page_of(browser, html, 375)

    assert page.evaluate(CLIPPED) != []


@pytest.mark.parametrize("language", ["en", "de-CH"])
@pytest.mark.parametrize("width", [640, 375])
def test_the_four_figures_stand_on_one_line_each(
    browser: Browser, width: int, language: str
) -> None:
    page = page_of(browser, html_of("at_risk", language), width)

    lines = page.evaluate(
        "[...document.querySelectorAll('.tile div span:first-child')].map(e => e.getClientRects().length)"
    )

    assert lines == [1, 1, 1, 1]

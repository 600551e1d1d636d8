"""How the mail stands in a real browser: nothing overflows, nothing is clipped, nothing is fetched."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser

from digest.render import lint
from tests.effort import effort
from tests.render.chromium import CLIPPED, WIDTHS, broken_words, needs_chromium, overflow, page_of
from tests.render.outputs import EDITIONS, LOCALES, html_of, message_of

pytestmark = [pytest.mark.tool, needs_chromium]

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


# The languages with the longest words stand for all; .ci/run looks at each.
SHOWN = effort(("de", "fr"), LOCALES)


@pytest.mark.parametrize("locale", SHOWN)
def test_nothing_overflows_is_clipped_or_fetched(browser: Browser, locale: str) -> None:
    requests: list[str] = []
    desk, phone = (page_of(browser, "", width, requests=requests) for width in (640, 375))
    for edition in EDITIONS:
        for page, widths in ((desk, WIDTHS[:1]), (phone, WIDTHS[1:])):
            page.set_content(html_of(edition, locale))
            for width in widths:
                page.set_viewport_size({"width": width, "height": 900})

                assert overflow(page) == [], (edition, width)
    assert requests == []


@pytest.mark.parametrize("width", WIDTHS[:2])
@pytest.mark.parametrize("locale", SHOWN)
def test_no_word_of_any_language_is_broken(browser: Browser, locale: str, width: int) -> None:
    page = page_of(browser, "", width)
    for edition in ("behind", "first_edition", "month_close", "no_data", "no_goal", "sales_half"):
        page.set_content(html_of(edition, locale))

        assert broken_words(page) == [], edition


def test_a_broken_word_is_noticed(browser: Browser) -> None:
    html = html_of("behind", "fr").replace("white-space:nowrap", "")

    assert set(broken_words(page_of(browser, html, 640))) == {"juin"}


@pytest.mark.parametrize(
    "planted",
    [
        '<link rel="stylesheet" href="https://fonts.example/font.css">',
        "<style>@font-face{font-family:f;src:url(https://f.example/f)}p{font-family:f}</style><p>w</p>",
        '<img src="https://pixel.example/opened.png" alt="">',
    ],
)
def test_what_a_mail_would_fetch_is_noticed(browser: Browser, planted: str) -> None:
    requests: list[str] = []
    html = html_of("at_risk", "en").replace("</body>", f"{planted}</body>")

    page_of(browser, html, 640, requests=requests)

    assert len(requests) == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_light_and_dark(browser: Browser, scheme: str) -> None:
    page = page_of(browser, "", 640, scheme)
    for edition in ("at_risk", "behind", "month_close", "sales_half", "no_data", "reached"):
        page.set_content(html_of(edition, "en"))

        assert page.evaluate(CONTRAST) == [], edition


def test_the_contrast_check_bites(browser: Browser) -> None:
    page = page_of(browser, "<body style='background:#fff;color:#9aa5b1'>pale</body>", 640)

    assert page.evaluate(CONTRAST) == ["pale"]


def test_dark_mode_is_dark_to_the_edges(browser: Browser) -> None:
    page = page_of(browser, html_of("at_risk", "en"), 640, "dark")

    background = page.evaluate("getComputedStyle(document.body).backgroundColor")

    assert background == "rgb(20, 23, 26)"


@pytest.mark.parametrize(("width", "widest"), [(640, 640), (375, 460)])
def test_the_mail_holds_where_styles_are_dropped(browser: Browser, width: int, widest: int) -> None:
    for locale in LOCALES:
        bare = re.sub(r"<style.*?</style>", "", html_of("at_risk", locale), flags=re.DOTALL)
        page = page_of(browser, bare, width)

        assert page.evaluate("document.documentElement.scrollWidth") <= widest
        page.context.close()


# What stands in a picture's place: its sentence, and whether the sentence looks like the text around it.
PLACES = """() => [...document.images].map(e => {
  const [own, around] = [e, document.querySelector('.t div')].map(e => getComputedStyle(e));
  return [e.alt, own.fontSize, own.color === around.color];
})"""


@pytest.mark.parametrize("locale", LOCALES)
def test_with_images_off_the_alt_text_reads_as_text(browser: Browser, locale: str) -> None:
    page = page_of(browser, html_of("at_risk", locale, images=False), 375)

    alt = message_of("at_risk", locale).images[0].alt
    assert page.evaluate(PLACES) == [[alt, "14px", True]]


@pytest.mark.parametrize("locale", LOCALES)
def test_with_images_off_no_number_is_lost(browser: Browser, locale: str) -> None:
    page = page_of(browser, html_of("at_risk", locale, images=False), 640)
    shown = page.evaluate("document.body.innerText")

    alt = lint.numbers(message_of("at_risk", locale).images[0].alt)
    assert alt
    assert alt <= lint.numbers(shown)


def test_a_picture_without_words_or_with_words_in_another_look_would_be_noticed(
    browser: Browser,
) -> None:
    html = html_of("at_risk", "en", images=False)
    alt = message_of("at_risk", "en").images[0].alt

    mute = page_of(browser, html.replace(f'alt="{alt}"', ""), 375)
    loud = page_of(browser, html.replace("color:inherit", "color:#0000ee"), 375)

    assert mute.evaluate(PLACES) == [["", "14px", True]]
    assert loud.evaluate(PLACES) == [[alt, "14px", False]]


def test_a_number_too_wide_for_its_tile_would_be_noticed(browser: Browser) -> None:
    html = html_of("at_risk", "en").replace(">55</b>", ">1’865’000’000’000’000</b>")
    page = page_of(browser, html, 375)

    assert page.evaluate("document.documentElement.scrollWidth") == 375
    assert page.evaluate(CLIPPED) != []


def test_a_table_too_wide_for_a_phone_would_be_noticed(browser: Browser) -> None:
    html = html_of("at_risk", "en").replace(".hide{display:none", ".hide{display:table-cell")

    assert overflow(page_of(browser, html, 320)) != []


@pytest.mark.parametrize("language", effort(["de-CH"], ["en", "de-CH"]))
@pytest.mark.parametrize("width", [640, 375])
def test_the_four_figures_stand_on_one_line_each(
    browser: Browser, width: int, language: str
) -> None:
    page = page_of(browser, html_of("at_risk", language), width)

    lines = page.evaluate(
        "[...document.querySelectorAll('.tile div span:first-child')].map(e => e.getClientRects().length)"
    )

    assert lines == [1, 1, 1, 1]

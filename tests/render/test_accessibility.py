"""axe-core on real output: every colour pair in both colour schemes, at every width."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.effort import effort
from tests.render.chromium import WIDTHS, needs_chromium, overflow, page_of
from tests.render.outputs import EDITIONS, LOCALES, html_of

AXE = Path(__file__).parents[2] / ".ci" / "node" / "node_modules" / "axe-core" / "axe.min.js"
pytestmark = [
    pytest.mark.tool,
    needs_chromium,
    pytest.mark.skipif(not AXE.exists(), reason="needs axe-core; `make test` installs it with npm"),
]

OPTIONS = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"],
    # A mail stands inside the page of a mail program, which has the landmarks.
    "rules": {"region": {"enabled": False}, "landmark-one-main": {"enabled": False}},
    "resultTypes": ["violations", "incomplete"],
    "preload": False,  # there is nothing to fetch
}
# A contrast that axe cannot decide counts as one that is too low.
FINDINGS = """async options => {
  const { violations, incomplete } = await axe.run(document, options);
  return [...violations, ...incomplete.filter(rule => rule.id === 'color-contrast')]
    .flatMap(rule => rule.nodes.map(node => `${rule.id}: ${node.html.slice(0, 120)}`));
}"""
# Between them these four show every block, status and colour.
SHOWN_EVERYWHERE = ("fullest_8", "month_close", "no_data", "branded")
MANY = 8  # more rows of the same kind only take longer


@cache
def axe() -> str:
    return AXE.read_text(encoding="utf-8")


def show(page: Page, html: str) -> None:
    page.set_content(html)
    page.evaluate(axe())


def findings(page: Page) -> list[str]:
    found: list[str] = page.evaluate(FINDINGS, OPTIONS)
    return found


@pytest.mark.parametrize("widths", [WIDTHS[:1], WIDTHS[1:]], ids=["desk", "phone"])
def test_anyone_can_read_it_at_every_width_in_light_and_dark(
    browser: Browser, widths: tuple[int, ...]
) -> None:
    page = page_of(browser, "", widths[0])
    for edition in SHOWN_EVERYWHERE:
        show(page, html_of(edition, LOCALES[0]))
        for width in widths:
            page.set_viewport_size({"width": width, "height": 900})
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")

                assert findings(page) == [], (edition, width, scheme)
                assert overflow(page) == [], (edition, width, scheme)


def test_anyone_can_read_every_edition(browser: Browser) -> None:
    page = page_of(browser, "", 640)
    for edition in EDITIONS:
        if edition not in SHOWN_EVERYWHERE and len(EDITIONS[edition]().scorecard.segments) <= MANY:
            show(page, html_of(edition, LOCALES[0]))

            assert findings(page) == [], edition


@pytest.mark.parametrize("locale", effort(LOCALES[1:2], LOCALES[1:]))
def test_anyone_can_read_every_language(browser: Browser, locale: str) -> None:
    page = page_of(browser, "", 375, "dark")
    show(page, html_of("at_risk", locale))

    assert findings(page) == []


@pytest.mark.parametrize(
    ("found", "planted", "expected"),
    [
        ("</style>", "</style><style>.h { color: #9aa5b1 !important }</style>", "color-contrast"),
        (' lang="en"', "", "html-has-lang"),
        ("<h2", "<h5", "heading-order"),
        (' alt="', ' data-alt="', "image-alt"),
    ],
)
def test_axe_finds_what_is_planted(
    browser: Browser, found: str, planted: str, expected: str
) -> None:
    page = page_of(browser, "", 640)
    show(page, html_of("at_risk", "en").replace(found, planted))

    assert expected in {sentence.partition(":")[0] for sentence in findings(page)}


def test_dark_mode_is_looked_at_with_its_own_colours(browser: Browser) -> None:
    page = page_of(browser, "", 640, "dark")
    show(page, html_of("at_risk", "en").replace("#e6e9ed", "#3a424c"))

    assert "color-contrast" in {sentence.partition(":")[0] for sentence in findings(page)}

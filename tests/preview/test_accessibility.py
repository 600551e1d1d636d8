"""Every page of the preview for everybody: axe-core in light and dark, by keyboard, without JavaScript."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from digest.preview.pages import PAGES
from tests.effort import effort, every
from tests.preview.conftest import BUSINESS_DATE, Served
from tests.render.chromium import needs_chromium
from tests.render.test_accessibility import AXE, axe

pytestmark = [
    pytest.mark.tool,
    needs_chromium,
    pytest.mark.skipif(not AXE.exists(), reason="needs axe-core; `make test` installs it with npm"),
]

OPTIONS = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"],
    "resultTypes": ["violations", "incomplete"],
    "preload": False,  # there is nothing to fetch
    "iframes": False,  # the mail has a test of its own, and no script runs in its frame
}
# What axe does not judge: a single sign, words in a picture, lines that are scrolled out of sight.
UNJUDGED = ("nonBmp", "imgNode", "bgOverlap", "elmPartiallyObscured", "shortTextContent")
FINDINGS = """async ([options, unjudged]) => {
  const { violations, incomplete } = await axe.run(document, options);
  const pale = incomplete.filter(rule => rule.id === 'color-contrast').map(rule => ({
    id: rule.id,
    nodes: rule.nodes.filter(node => !unjudged.includes((node.any[0]?.data || {}).messageKey)),
  }));
  return [...violations, ...pale]
    .flatMap(rule => rule.nodes.map(node => `${rule.id}: ${node.html.slice(0, 160)}`));
}"""
FILES = re.compile(r"\.(eml|xlsx|json)$|^/api/|^/static/|/frame$|/message$")
# What stands for the names in a path; pages of others bring their own words here.
NAMES = {
    "digest": "demo",
    "figure": "total.actual",
    "day": BUSINESS_DATE.isoformat(),
    "channel": "smtp",
    "recipient": "1",
    "number": "1",
}
MORE = (
    "/d/demo?tab=text",
    "/d/demo?tab=slack",
    "/d/demo?tab=teams",
    "/d/demo?tab=headers",
    "/d/demo?tab=source",
    "/d/demo?explain=1",
    "/d/demo?compare=locale:fr",
    "/d/demo?scenario=all-failed",
    "/d/demo?date=2026-06-14",
    "/d/demo/month?date=2026-06-16&from=2026-05-20",
    "/d/demo/month?date=2026-06-01",
    "/d/demo/month?scenario=hostile-names",
    "/d/demo/history/2026-06-15?recompose=1",
    "/d/demo/history/2026-06-16/0/1",
    "/d/demo?tab=nope",
    "/d/nope",
    "/d/demo/a-page-of-a-name-that-is-longer-than-a-phone-is-wide",
)


def addresses() -> list[str]:
    """Return an address of every page that people read."""
    found = []
    for page in PAGES:
        if not page.acts and not FILES.search(page.path):
            address = page.path
            for name, value in NAMES.items():
                address = address.replace(f"{{{name}}}", value)
            if "{" not in address:
                found.append(address)
    return [*dict.fromkeys(found), *MORE]


@pytest.fixture(scope="module")
def reader(chromium: Browser, served: Served) -> Iterator[BrowserContext]:
    context = chromium.new_context(viewport={"width": 1100, "height": 900})
    page = context.new_page()
    page.goto(served.door.address)
    page.close()
    yield context
    context.close()


def look(page: Page, served: Served, address: str) -> None:
    page.goto(f"{served.base}{address}")
    for details in page.locator("details").all():
        details.evaluate("one => { one.open = true; }")
    # The policy of the pages lets no test put a script into them; the browser itself may.
    page.evaluate(axe())


def in_schemes() -> list[tuple[str, tuple[str, ...]]]:
    """Return every page with the colour schemes to look at: both, or in turn one while somebody works."""
    both = ("light", "dark")
    return [
        (address, effort(both[number % 2 :][:1], both))
        for number, address in enumerate(addresses())
    ]


@pytest.mark.parametrize(("address", "schemes"), in_schemes())
def test_anyone_can_read_every_page_in_light_and_dark(
    reader: BrowserContext, served: Served, address: str, schemes: tuple[str, ...]
) -> None:
    page = reader.new_page()
    look(page, served, address)
    for scheme in schemes:
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")

        assert page.evaluate(FINDINGS, [OPTIONS, UNJUDGED]) == [], scheme
    page.close()


@pytest.mark.parametrize(
    ("planted", "expected"),
    [
        ('<img src="data:,">', "image-alt"),
        ('<p style="color:#999;background:#fff">pale</p>', "color-contrast"),
        ("<select><option>x</option></select>", "select-name"),
    ],
)
def test_axe_finds_what_is_planted(
    reader: BrowserContext, served: Served, planted: str, expected: str
) -> None:
    page = reader.new_page()
    look(page, served, "/d/demo")
    page.evaluate(
        """([html]) => {
          const box = new DOMParser().parseFromString(html, 'text/html').body.firstChild;
          for (const one of [box, ...box.querySelectorAll('*')])
            if (one.getAttribute('style')) one.style.cssText = one.getAttribute('style');
          document.getElementById('main').append(document.adoptNode(box));
        }""",
        [planted],
    )

    assert expected in {
        one.partition(":")[0] for one in page.evaluate(FINDINGS, [OPTIONS, UNJUDGED])
    }
    page.close()


# ---------------------------------------------------------------------------------------- by hand


@pytest.fixture(scope="module")
def without_script(chromium: Browser, served: Served) -> Iterator[BrowserContext]:
    context = chromium.new_context(java_script_enabled=False)
    context.add_cookies(
        [
            {
                "name": served.door.keys.cookie,
                "value": served.door.keys.session,
                "url": served.base,
            }
        ]
    )
    yield context
    context.close()


@pytest.mark.parametrize("address", addresses()[:: every(3)])
def test_every_page_can_be_read_without_javascript(
    without_script: BrowserContext, served: Served, address: str
) -> None:
    page = without_script.new_page()
    page.goto(f"{served.base}{address}")

    expect(page.locator("h1").first).to_be_visible()
    main = page.locator("main").inner_text()
    assert len(main) > 40
    for form in page.locator("main form").all():
        expect(form.locator("button, input[type=submit]").first).to_be_visible()
    page.close()


def test_a_choice_without_javascript_takes_a_button(
    without_script: BrowserContext, served: Served
) -> None:
    page = without_script.new_page()
    page.goto(f"{served.base}/d/demo")
    page.locator("form.tools select[name=locale]").select_option("fr")
    page.locator("form.tools").get_by_role("button").first.click()

    assert "locale=fr" in page.url
    page.close()


def test_keys_lead_everywhere(reader: BrowserContext, served: Served) -> None:
    page = reader.new_page()
    page.goto(f"{served.base}/d/demo")

    def press(key: str, expected: str) -> None:
        page.locator("body").press(key)
        page.wait_for_url(re.compile(expected))

    press("2", "tab=text")
    press("3", "tab=slack")
    press("1", r"/d/demo$")
    press("d", "dark=author")
    press("m", "w=375")
    press("l", "locale=")
    page.goto(f"{served.base}/d/demo")
    press("ArrowLeft", "date=2026-06-15")
    press("ArrowRight", "date=2026-06-16")
    page.locator("body").press("?")
    expect(page.locator("#keys")).to_be_visible()
    page.locator("body").press("Escape")
    expect(page.locator("#keys")).to_be_hidden()
    page.close()


def test_keys_are_left_to_whoever_types(reader: BrowserContext, served: Served) -> None:
    page = reader.new_page()
    page.goto(f"{served.base}/d/demo")

    page.locator("form.tools input[name=date]").press("2")
    page.wait_for_timeout(200)

    assert "tab=" not in page.url
    page.close()


def test_the_first_tab_stop_leads_to_the_content(reader: BrowserContext, served: Served) -> None:
    page = reader.new_page()
    page.goto(f"{served.base}/d/demo")
    page.keyboard.press("Tab")

    expect(page.locator(".skip")).to_be_focused()
    page.close()

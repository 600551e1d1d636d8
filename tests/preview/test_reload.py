"""A saved file in a real browser: new pixels at once, the place kept, mistakes above the last good view."""

from __future__ import annotations

import gc
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from starlette.testclient import TestClient

from digest.preview.app import application
from tests.effort import effort
from tests.preview.conftest import BASE, PORT
from tests.preview.workshop import Workshop, change, copied, files_behind, workshop
from tests.render.chromium import needs_chromium

pytestmark = [pytest.mark.tool, needs_chromium]

TITLE = 'title = "Example Ltd"'


@pytest.fixture(scope="module")
def shop(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    with workshop(copied(demo, tmp_path_factory.mktemp("shop") / "own")) as found:
        yield found


@pytest.fixture(scope="module")
def visitor(chromium: Browser, shop: Workshop) -> Iterator[BrowserContext]:
    context = chromium.new_context(viewport={"width": 1100, "height": 900})
    page = context.new_page()
    page.goto(shop.door.address)
    page.close()
    yield context
    context.close()


@pytest.fixture
def page(visitor: BrowserContext, shop: Workshop) -> Iterator[Page]:
    """The edition with the built-in templates, as every test finds it and leaves it."""
    page = visitor.new_page()
    page.goto(f"{shop.base}/d/demo")
    yield page
    page.close()
    for path in shop.templates.rglob("*.*"):
        path.unlink()


def new_pixels(page: Page, path: Path, text: str, marker: str) -> float:
    """Save a file and return the seconds until the frame shows a text, painted."""
    frame = page.frame_locator("#frame").get_by_text(marker).first
    began = time.monotonic()
    path.write_text(text, encoding="utf-8")
    frame.wait_for(timeout=15_000)
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => done()))")
    return time.monotonic() - began


def saves(page: Page, shop: Workshop, count: int) -> list[float]:
    path = shop.own("parts/verdict.mjml")
    text = path.read_text(encoding="utf-8")
    taken = []
    for n in range(count):
        marked = text.replace("{{ headline }}", f"Save {n}. {{{{ headline }}}}", 1)
        assert marked != text
        taken.append(new_pixels(page, path, marked, f"Save {n}. "))
        time.sleep(0.2)
    return taken


def test_each_saved_template_shows(page: Page, shop: Workshop) -> None:
    assert len(saves(page, shop, 4)) == 4


def test_the_page_keeps_its_place_and_only_the_frame_loads_anew(page: Page, shop: Workshop) -> None:
    page.evaluate("window.scrollTo(0, 700)")
    page.evaluate("document.getElementById('frame').kept = true")
    path = shop.own("parts/verdict.mjml")

    new_pixels(page, path, path.read_text().replace("{{ headline }}", "Other words"), "Other words")

    assert page.evaluate("window.scrollY") == 700
    assert page.evaluate("document.getElementById('frame').kept")


def test_both_mails_of_a_comparison_load_anew(page: Page, shop: Workshop) -> None:
    page.goto(f"{shop.base}/d/demo?compare=locale:fr")
    mails = [page.frame_locator(f"#main figure:nth-of-type({n}) iframe") for n in (1, 2)]
    kept = page.locator("#main iframe")
    expect(kept).to_have_count(2)
    kept.evaluate_all("all => all.forEach(one => { one.kept = true })")
    path = shop.own("parts/verdict.mjml")

    path.write_text(path.read_text().replace("{{ headline }}", "Of both. {{ headline }}"))

    for mail in mails:
        expect(mail.get_by_text("Of both. ").first).to_be_visible()
    assert kept.evaluate_all("all => all.every(one => one.kept)")
    languages = [mail.locator("html").get_attribute("lang") for mail in mails]
    assert languages == ["en", "fr"]


def test_the_words_around_the_frame_are_those_of_the_saved_file(page: Page, shop: Workshop) -> None:
    (shop.templates / "digest.subject.txt").write_text("A subject of its own")

    expect(page.get_by_text("A subject of its own", exact=True).first).to_be_visible()
    assert "A subject of its own" in str(page.locator("#frame").get_attribute("title"))


def test_a_changed_title_shows_on_a_page_without_a_frame(page: Page, shop: Workshop) -> None:
    page.goto(f"{shop.base}/d/demo?tab=text")

    change(shop.config, TITLE, 'title = "Another name"')

    expect(page.locator("h1")).to_have_text("Another name")
    change(shop.config, 'title = "Another name"', TITLE)
    expect(page.locator("h1")).to_have_text("Example Ltd")


def test_a_field_that_somebody_fills_in_is_left_alone(page: Page, shop: Workshop) -> None:
    page.evaluate(
        """() => document.getElementById('main').insertAdjacentHTML(
          'beforeend', '<input id="mine" value="of the page">')"""
    )
    page.locator("#mine").fill("of mine")

    change(shop.config, TITLE, "titel = 1")

    expect(page.locator("#overlay")).to_contain_text("did you mean".capitalize())
    change(shop.config, "titel = 1", TITLE)
    expect(page.locator("#overlay")).to_be_empty()
    assert page.locator("#mine").input_value() == "of mine"


# ------------------------------------------------------------------------------------- mistakes


def test_a_broken_template_stands_above_the_last_good_mail_until_it_is_mended(
    page: Page, shop: Workshop
) -> None:
    path = shop.own("parts/verdict.mjml")
    good = path.read_text()
    new_pixels(page, path, good.replace("{{ headline }}", "Words of before"), "Words of before")
    overlay = page.get_by_role("alert").first

    path.write_text(good.replace("{{ headline }}", "{{ <script>x</script> }}"))

    expect(overlay).to_contain_text(f"{path}:6")
    expect(overlay).to_contain_text("<script>x</script>")
    expect(overlay.locator(".here")).to_have_count(1)
    expect(overlay.locator("pre span")).to_have_count(5)
    expect(page.frame_locator("#frame").get_by_text("Words of before")).to_be_visible()
    assert float(page.locator("#frame").evaluate("e => getComputedStyle(e).opacity")) < 1

    page.reload()  # the last good view is the server's, too
    expect(overlay).to_contain_text(f"{path}:6")
    expect(page.frame_locator("#frame").get_by_text("Words of before")).to_be_visible()

    path.write_text(good.replace("{{ headline }}", "Words of after"))

    expect(overlay).to_be_empty()
    expect(page.frame_locator("#frame").get_by_text("Words of after")).to_be_visible()
    expect(page.locator("body.stale")).to_have_count(0)


def test_broken_settings_are_told_with_line_column_and_what_is_allowed(
    page: Page, shop: Workshop
) -> None:
    overlay = page.get_by_role("alert").first
    change(shop.config, 'language = "en"', 'language = "eng"')

    expect(overlay).to_contain_text(f"{shop.config}:7")
    expect(overlay).to_contain_text("Did you mean: en")
    expect(overlay).to_contain_text("'de-CH', 'fr' or 'it'")
    expect(overlay.locator(".here")).to_contain_text('language = "eng"')
    expect(page.frame_locator("#frame").locator("h1")).to_be_visible()

    change(shop.config, 'language = "eng"', 'language = "en"')
    expect(overlay).to_be_empty()


def test_a_preview_that_starts_with_a_mistake_shows_it_and_goes_on(
    chromium: Browser, demo: Path, tmp_path: Path
) -> None:
    config = copied(demo, tmp_path / "own")
    change(config, TITLE, "title = ")
    with workshop(config) as shop:
        page = chromium.new_context().new_page()
        page.goto(shop.door.address)
        expect(page.get_by_role("alert").first).to_contain_text(f"{config}:6:9")

        change(config, "title = ", TITLE)

        expect(page.locator("h1")).to_have_text("Example Ltd", timeout=20_000)
        expect(page.get_by_role("alert").first).to_be_empty()
        page.context.close()


# Not wait_for_function, which asks a second time with eval, and that our own policy forbids.
OFFLINE = re.compile("^offline")


def test_a_tab_whose_server_is_gone_says_so(chromium: Browser, demo: Path, tmp_path: Path) -> None:
    with workshop(copied(demo, tmp_path / "own", templates=False)) as shop:
        page = chromium.new_context().new_page()
        page.goto(shop.door.address)
        assert "offline" not in page.title()

    expect(page).to_have_title(OFFLINE, timeout=10_000)
    page.context.close()


def test_a_lost_connection_catches_up_with_what_it_missed(page: Page, shop: Workshop) -> None:
    page.context.set_offline(True)
    (shop.templates / "digest.subject.txt").write_text("Written meanwhile")
    time.sleep(0.5)
    page.evaluate("stream.close(); listen()")
    expect(page).to_have_title(OFFLINE, timeout=10_000)

    page.context.set_offline(False)

    expect(page.get_by_text("Written meanwhile", exact=True).first).to_be_visible(timeout=10_000)
    expect(page).not_to_have_title(OFFLINE)


# --------------------------------------------------------------------------------------- memory


def resident() -> int:
    """Return the bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.parametrize("reloads", [effort(20, 30), pytest.param(500, marks=pytest.mark.long)])
def test_reloads_do_not_fill_the_memory(demo: Path, tmp_path: Path, reloads: int) -> None:
    config = copied(demo, tmp_path / "own", templates=False)
    files = files_behind(config)
    app, door = application(files.desk, port=PORT, version=files.versions, files=files.files)
    ask = TestClient(app, base_url=BASE, follow_redirects=False)
    ask.get(door.address)

    def reload(n: int) -> None:
        text = config.read_text()
        config.write_text(re.sub(r'title = ".*"', f'title = "Name {n:04}"', text))
        assert files.take()
        assert f"Name {n:04}" in ask.get("/d/demo").text
        assert ask.get("/d/demo/frame").status_code == 200

    for n in range(20):
        reload(n)
    gc.collect()
    before = resident()
    for n in range(reloads):
        reload(1000 + n)
    gc.collect()

    grown = (resident() - before) / 1e6
    assert grown <= 20, f"{grown:.1f} MB after {reloads} reloads"

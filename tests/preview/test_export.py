"""The pages as files: whole, the same each time, without recipients, readable from disk."""

from __future__ import annotations

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from shutil import copytree

import pytest
from playwright.sync_api import Browser

from digest import preview
from digest.errors import ConfigError
from digest.render.locales import languages
from tests.preview.conftest import wanted
from tests.render.chromium import PROGRAM, needs_chromium


def write_pages(demo: Path, folder: Path) -> None:
    """Write them in a thread of their own: the browser's driver keeps this one's event loop."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(preview.write_pages, wanted(demo), folder).result()


@pytest.fixture(scope="module")
def pages(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "pages"
    write_pages(demo, folder)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_no_recipient_no_form_and_no_script_is_in_it(pages: Path) -> None:
    for name, content in contents(pages).items():
        assert b"marketing@example.com" not in content, name
        assert b"sales@example.com" not in content, name
        if name.endswith(".html"):
            assert b"<form" not in content, name
            assert b"<script" not in content, name


def test_every_link_leads_to_a_file(pages: Path) -> None:
    for path in pages.rglob("*.html"):
        if path.parent.name == "frame":
            continue
        for target in re.findall(r'(?:href|src)="(?!data:)([^"#]+)[^"]*"', path.read_text()):
            assert (path.parent / target).is_file(), (path, target)


@needs_chromium
@pytest.mark.tool
def test_it_opens_from_disk_without_a_word_in_the_console(pages: Path, chromium: Browser) -> None:
    said: list[str] = []
    page = chromium.new_page()
    page.on("console", lambda message: said.append(message.text))
    page.on("requestfailed", lambda request: said.append(request.url))
    page.goto((pages / "index.html").as_uri())
    page.get_by_role("link").first.click()
    frame = page.frame_locator("#frame")

    assert "leads" in frame.locator("h1").first.inner_text()
    assert frame.locator("img").first.evaluate("image => image.naturalWidth") > 0
    assert said == []
    page.close()


def test_a_folder_of_somebody_else_is_left_alone(demo: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")

    with pytest.raises(ConfigError, match="holds something"):
        write_pages(demo, tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_an_earlier_export_is_replaced_by_the_same_bytes(
    demo: Path, pages: Path, tmp_path: Path
) -> None:
    folder = Path(copytree(pages, tmp_path / "pages"))
    (folder / "left-over.html").write_text("old")
    (folder / "index.html").write_text("old")

    write_pages(demo, folder)

    assert contents(folder) == contents(pages)


# ------------------------------------------------------------------------------------------ pictures


@needs_chromium
@pytest.mark.tool
def test_with_pictures_every_mail_and_page_has_one_of_each_width_and_colour(
    demo: Path, tmp_path: Path
) -> None:
    from PIL import Image, ImageStat

    asked = replace(wanted(demo), environment={"PATH": str(PROGRAM.parent)})
    with ThreadPoolExecutor(1) as pool:
        pool.submit(preview.write_pages, asked, tmp_path / "pages", png=True).result()
    taken = {
        str(one.relative_to(tmp_path / "pages" / "pictures")): one
        for one in (tmp_path / "pages" / "pictures").rglob("*.png")
    }

    names = {f"d/demo/frame/locale={tag}" for tag in languages()} | {
        f"d/demo{page}/index"
        for page in ("", "/month", "/figures", "/worksheet", "/calendar", "/lint")
    }
    assert taken.keys() == {
        f"{name},{width}-{scheme}.png"
        for name in names
        for width in (640, 375)
        for scheme in ("light", "dark")
    }
    light, dark, phone = (
        Image.open(taken[f"d/demo/frame/locale=en,{look}.png"]).convert("L")
        for look in ("640-light", "640-dark", "375-light")
    )
    assert (light.width, phone.width) == (640, 375)
    assert ImageStat.Stat(light).mean[0] > 200
    assert ImageStat.Stat(dark).mean[0] < 80
    # The mail within its page is drawn far below what a window shows, and no wider than a phone's.
    for width in (640, 375):
        page = Image.open(taken[f"d/demo/index,{width}-light.png"]).convert("L")
        assert page.width == width
        ((darkest, _),) = ImageStat.Stat(page.crop((20, 1900, width - 20, 2300))).extrema
        assert darkest < 60
        ((darkest, _),) = ImageStat.Stat(page.crop((width - 6, 0, width, page.height))).extrema
        assert darkest > 200


ROOT = Path(preview.__file__).parents[2]
ASKED = """
import sys
{before}
from pathlib import Path
from digest.preview.pictures import camera
from digest.errors import ConfigError
try:
    with camera({{"PATH": ""}}):
        print("took pictures")
except ConfigError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("before", "told"),
    [
        ("sys.modules['playwright.sync_api'] = None", "pip install playwright"),
        ("", "install the package chromium of this system, or run: playwright install chromium"),
    ],
)
def test_what_takes_pictures_and_is_missing_is_told(tmp_path: Path, before: str, told: str) -> None:
    said = subprocess.run(  # noqa: S603 - this interpreter, a program of this test
        [sys.executable, "-c", ASKED.format(before=before)],
        env={"PLAYWRIGHT_BROWSERS_PATH": str(tmp_path)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert said.startswith("--png: ")
    assert told in said

"""Pictures of an export: its mails and pages as a phone and a mail program show them, light and dark."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from digest.errors import ConfigError

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FOLDER = "pictures"
WIDTHS = (640, 375)  # CSS pixels: a mail program's column, a phone
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SAMPLE = "en"  # the one language of a scenario's mail: there are dozens of them
_HEIGHT = 900  # of the window; a picture is as long as its page
_OF_PAGES = frozenset(("date", "scenario"))
_OF_MAILS = frozenset(("date", "scenario", "locale"))


@contextmanager
def camera(environment: Mapping[str, str]) -> Iterator[Browser]:
    """Start what takes pictures, and end it.

    Raises:
        ConfigError: Playwright or a Chromium is missing; says what to install.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise ConfigError(
            "--png: Playwright is not installed; pip install playwright, and a Chromium beside it"
        ) from error
    with sync_playwright() as driver:
        path = environment.get("PATH", "")
        found = next(filter(None, (shutil.which(name, path=path) for name in PROGRAMS)), None)
        own = Path(driver.chromium.executable_path)
        if found is None and not own.is_file():
            raise ConfigError(
                "--png: no Chromium was found; install the package chromium of this system, or run: "
                "playwright install chromium"
            )
        browser = driver.chromium.launch(executable_path=found, args=["--disable-gpu"])
        yield browser
        browser.close()


def pictures(browser: Browser, folder: Path) -> int:
    """Take pictures of an export into a folder within it; return how many."""
    wanted = [path for path in sorted(folder.rglob("*.html")) if is_pictured(path, folder)]
    for width in WIDTHS:
        for scheme in SCHEMES:
            context = browser.new_context(color_scheme=scheme, offline=True)
            page = context.new_page()
            for path in wanted:
                place = folder / FOLDER / path.relative_to(folder).with_suffix("")
                page.set_viewport_size({"width": width, "height": _HEIGHT})
                page.goto(path.absolute().as_uri())
                if page.frames[1:]:  # of a frame only what is in sight is drawn
                    height = page.evaluate("document.documentElement.scrollHeight")
                    page.set_viewport_size({"width": width, "height": height})
                page.screenshot(path=f"{place},{width}-{scheme}.png", full_page=True)
            context.close()
    return len(wanted) * len(WIDTHS) * len(SCHEMES)


def is_pictured(path: Path, folder: Path) -> bool:
    """Whether a page of an export is worth a picture: every mail in each language, and each page once."""
    parts = path.relative_to(folder).parts
    state = dict(part.partition("=")[::2] for part in path.stem.split(",") if "=" in part)
    if "frame" not in parts:
        # Where there is one digest, the first page only leads on.
        return state.keys() <= _OF_PAGES and "<main" in path.read_text(encoding="utf-8")
    language = state.get("locale")
    of_scenario = "scenario" in state
    return state.keys() <= _OF_MAILS and (language == SAMPLE if of_scenario else bool(language))

"""From a saved template to new pixels in Chromium: a process that stands by, and none.

The page itself notes when its frame was painted: asking from outside costs more than a frame. Asking with
`wait_for_function` needs eval from its second time on, which the pages' own policy forbids.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from playwright.sync_api import Page, sync_playwright

from digest.demo import run
from digest.render import confined
from tests.preview.workshop import Workshop, copied, workshop
from tests.render.chromium import OPTIONS, PROGRAM

SAVES = 20
BUDGET = 0.3  # seconds, at the 95th percentile


# The next time that the frame was loaded and painted, as milliseconds since 1970.
PAINTED = """() => { window.painted = new Promise(done => {
  document.getElementById("frame").addEventListener("load", () =>
    requestAnimationFrame(() => setTimeout(() => done(performance.timeOrigin + performance.now()))),
    { once: true });
}); }"""


def saves(page: Page, shop: Workshop, count: int) -> list[float]:
    """Save a template so often; return the seconds until each save was painted."""
    path = shop.own("parts/verdict.mjml")
    text = path.read_text(encoding="utf-8")
    taken = []
    for n in range(count):
        page.evaluate(PAINTED)
        began = time.clock_gettime(time.CLOCK_REALTIME)
        path.write_text(text.replace("{{ headline }}", f"Save {n}. {{{{ headline }}}}"))
        taken.append(page.evaluate("() => window.painted") / 1000 - began)
        assert page.frame_locator("#frame").get_by_text(f"Save {n}. ").count()
        time.sleep(0.3)
    return sorted(taken)


@contextmanager
def nobody_stands_by() -> Iterator[None]:
    """Fill each mail in a process of its own, as a send does."""
    standing, confined._standing[:] = confined._standing[:], []  # noqa: SLF001 - the alternative
    yield
    confined._standing[:] = standing  # noqa: SLF001 - as above


def main() -> None:
    """Measure both."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        run(folder / "demo", wanted=date(2026, 6, 16))
        shop = stack.enter_context(
            workshop(copied(folder / "demo" / "digest.toml", folder / "own"))
        )
        driver = stack.enter_context(sync_playwright())
        browser = driver.chromium.launch(executable_path=str(PROGRAM), args=list(OPTIONS))
        page = browser.new_page()
        page.goto(shop.door.address)
        page.goto(f"{shop.base}/d/demo")
        page.frame_locator("#frame").locator("h1").wait_for()
        saves(page, shop, 4)
        told("a process stands by", saves(page, shop, SAVES))
        with nobody_stands_by():
            told("a process for each mail", saves(page, shop, 5))
        browser.close()


def told(name: str, taken: list[float]) -> None:
    """Print median and 95th percentile."""
    worst = taken[max(int(0.95 * len(taken)) - 1, 0)]
    within = "within" if worst <= BUDGET else "over"
    print(
        f"{name:<26} {len(taken):>3} saves: median {taken[len(taken) // 2] * 1000:4.0f} ms, "
        f"p95 {worst * 1000:4.0f} ms ({within} {BUDGET * 1000:.0f} ms)"
    )


if __name__ == "__main__":
    main()

"""How long the preview keeps people waiting, in the product itself and a real Chromium.

    python benchmarks/preview.py

Measured: `digest preview` from the command to its first answer and to the first page; a view with
another language or form; a what-if of sixty segments; from a typed figure to new pixels; and what 200 reloads
leave in memory. From a saved template to new pixels: `preview_reload.py`.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.request import HTTPCookieProcessor, OpenerDirector, build_opener

from playwright.sync_api import Page, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from digest import demo
from digest.scenarios import SCENARIOS
from digest.whatif import answer, read, situation
from tests.preview.workshop import DAY_AFTER, Workshop, copied, workshop
from tests.render.chromium import OPTIONS, PROGRAM

COMMAND = [sys.executable, "-m", "digest"]
VIEWS = ("", "?tab=text", "?tab=slack", "?locale=fr", "?locale=de-CH&tab=headers", "?dark=author")
CHANGE = """async text => {
  const field = document.querySelector('[name="close_rate:DACH"]');
  const sentence = () => document.getElementById('sentence').textContent;
  const before = sentence();
  const start = performance.now();
  field.value = text;
  field.dispatchEvent(new Event('input', { bubbles: true }));
  while (sentence() === before) await new Promise(requestAnimationFrame);
  return performance.now() - start;
}"""


def seconds_of(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def p95(taken: Sequence[float]) -> float:
    return sorted(taken)[max(int(0.95 * len(taken)) - 1, 0)]


def row(what: str, taken: Sequence[float], promise: str = "") -> None:
    print(
        f"| {what} | {statistics.median(taken) * 1000:.0f} | {p95(taken) * 1000:.0f} | {promise} |",
        flush=True,
    )


def started() -> tuple[float, float]:
    """Start `digest preview` on the scenarios; return seconds to its first answer and first page."""
    began = time.perf_counter()
    process = subprocess.Popen(  # noqa: S603 - this program itself
        [*COMMAND, "preview", "--no-browser"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found is not None
        opener = build_opener(HTTPCookieProcessor(CookieJar()))
        base = found[0].partition("/login")[0]
        opener.open(f"{base}/healthz", timeout=30).read()
        ready = time.perf_counter() - began
        opener.open(found[0], timeout=30).read()
        return ready, time.perf_counter() - began
    finally:
        process.terminate()
        process.wait()


def views(shop: Workshop, opener: OpenerDirector) -> list[float]:
    opener.open(shop.door.address, timeout=30).read()
    return [
        seconds_of(lambda view=view: opener.open(f"{shop.base}/d/demo{view}", timeout=30).read())  # type: ignore[misc] # mypy cannot type a default
        for _ in range(5)
        for view in VIEWS
    ]


def sixty_segments() -> list[float]:
    found = SCENARIOS["sixty-segments"]()
    here = situation(found.facts, found.edition, found.history)
    changes, problems = read(here, [("close_rate", "4.5%"), ("workdays", "21")])
    assert not problems
    return [seconds_of(lambda: answer(here, changes)) for _ in range(20)]


def saves(page: Page, shop: Workshop, count: int) -> None:
    """Save a template so often, and see each of them."""
    path = shop.own("parts/verdict.mjml")
    text = path.read_text(encoding="utf-8")
    for n in range(count):
        marker = f"Save {n}. "
        path.write_text(text.replace("{{ headline }}", f"{marker}{{{{ headline }}}}", 1), "utf-8")
        page.frame_locator("#frame").get_by_text(marker).first.wait_for(timeout=15_000)


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reloads", type=int, default=200)
    asked = parser.parse_args()
    print("| what | median ms | p95 ms | promise |")
    print("|---|---|---|---|")
    times = [started() for _ in range(5)]
    row("`digest preview` to its first answer", [ready for ready, _ in times], "1,500")
    row("and to its first page", [page for _, page in times])
    row("what-if of 60 segments, the answer", sixty_segments(), "100 for 50")
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "demo" / "digest.toml"
        demo.run(config.parent, wanted=DAY_AFTER - timedelta(1))
        with workshop(copied(config, Path(folder) / "own")) as shop, sync_playwright() as driver:
            row("another view", views(shop, build_opener(HTTPCookieProcessor(CookieJar()))), "300")
            browser = driver.chromium.launch(executable_path=str(PROGRAM), args=list(OPTIONS))
            page = browser.new_page(viewport={"width": 1100, "height": 900})
            # The one-time address was used; the next one is printed by the door itself.
            page.goto(shop.door.address)
            page.goto(f"{shop.base}/d/demo/what-if")
            typed = [page.evaluate(CHANGE, f"3.{n}%") / 1000 for n in range(1, 21)]
            row("a typed figure to new pixels", typed, "300")
            page.goto(f"{shop.base}/d/demo")
            saves(page, shop, 20)
            before = resident_mb()
            saves(page, shop, asked.reloads)
            grown = resident_mb() - before
            browser.close()
    print(f"\n{asked.reloads} reloads: {grown:+.1f} MB (promise: 20 for 500)")


if __name__ == "__main__":
    main()

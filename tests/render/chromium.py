"""Pages of a real browser that can reach nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route

PROGRAM = Path("/usr/bin/chromium")
OPTIONS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync")
needs_chromium = pytest.mark.skipif(
    not PROGRAM.exists(), reason=f"needs Chromium at {PROGRAM}; on Debian: apt install chromium"
)
WIDTHS = (640, 375, 320)
NARROWEST_WINDOW = 500  # what is narrower is emulated as a phone

# Elements whose content is wider than they are: what scrollWidth of the page does not tell.
CLIPPED = """() => [...document.querySelectorAll('td, th, div, span, h1, h2, p, a')]
  .filter(e => {
    const style = getComputedStyle(e);
    return style.display !== 'inline' && style.display !== 'none' && e.clientWidth > 0
      && e.scrollWidth > e.clientWidth + 1;
  }).map(e => e.outerHTML.slice(0, 160))"""

# Words with their letters on more than one line: a column that is too narrow breaks them anywhere.
BROKEN = """() => {
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    for (const word of node.data.matchAll(/[\\p{L}\\p{N}.,’%]{2,}/gu)) {
      const range = document.createRange();
      range.setStart(node, word.index);
      range.setEnd(node, word.index + word[0].length);
      const lines = new Set([...range.getClientRects()].map(box => Math.round(box.top)));
      if (lines.size > 1) found.push(word[0]);
    }
  }
  return found;
}"""


def page_of(
    browser: Browser,
    html: str,
    width: int,
    scheme: str = "light",
    requests: list[str] | None = None,
) -> Page:
    """Return a page that shows `html`; what it asks for is refused and written to `requests`."""
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if scheme == "dark" else "light",
        is_mobile=width < NARROWEST_WINDOW,
    )
    page = context.new_page()

    def refuse(route: Route) -> None:
        if requests is not None and not route.request.url.startswith("data:"):
            requests.append(route.request.url)
        route.abort()

    page.route("**/*", refuse)
    page.set_content(html)
    return page


def overflow(page: Page) -> list[str]:
    """Return what is wider than its place, the page itself first."""
    wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    clipped: list[str] = page.evaluate(CLIPPED)
    return [*([f"the page scrolls sideways by {wide} px"] if wide > 0 else []), *clipped]


def broken_words(page: Page) -> list[str]:
    """Return the words that are broken in the middle."""
    found: list[str] = page.evaluate(BROKEN)
    return found

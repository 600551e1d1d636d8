"""What readers really get, rendered once for all checks of one test process."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping
from functools import cache, partial

from PIL import Image

from digest.model import Brand, Edition, Message
from digest.render import PLAIN, email, render
from digest.render.brand import fit
from digest.render.locales import languages, locale_for
from digest.render.writing import Wish
from tests.render.editions import SCENARIOS, edition, fullest

LOCALES = languages()
EDITIONS: Mapping[str, Callable[[], Edition]] = {
    **SCENARIOS,
    "branded": edition,
    "fullest_8": partial(fullest, 8),
    "fullest_40": partial(fullest, 40),
}
# A picture costs ten times the mail around it, and its tag is the same in all of them.
WITH_CHART = ("at_risk", "month_close", "branded", "fullest_8")


@cache
def brand_of(name: str) -> Brand:
    if name != "branded":
        return PLAIN
    logo = io.BytesIO()
    Image.new("RGB", (300, 60), "#1a4f8b").save(logo, format="PNG")
    return Brand("#7a1fa2", fit(logo.getvalue()))


@cache
def message_of(name: str, locale: str) -> Message:
    return render(EDITIONS[name](), language=locale, brand=brand_of(name), chart=name in WITH_CHART)


@cache
def mjml_of(name: str, locale: str) -> str:
    wish = Wish(EDITIONS[name](), locale, (), brand_of(name), None, name in WITH_CHART)
    return email.mjml(wish.view(), locale_for(locale))


def html_of(name: str, locale: str, *, images: bool = True) -> str:
    """Return a mail as a browser can show it: with its pictures inside, or with some that never come."""
    message = message_of(name, locale)
    html = message.html
    for image in message.images:
        data = "data:image/png;base64," + base64.b64encode(image.png).decode()
        html = html.replace(f"cid:{image.cid}", data if images else "about:blank#none")
    return html

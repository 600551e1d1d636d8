"""What readers really get, rendered once for all checks of one test process."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from functools import cache, partial

from digest.model import Edition, Message
from digest.render import email, render
from digest.render.locales import languages, locale_for
from digest.render.view import view
from tests.render.editions import SCENARIOS, fullest

# German is checked in its Swiss form: the one the product is made for.
LOCALES = tuple({"de": "de-CH"}.get(language, language) for language in languages())
EDITIONS: Mapping[str, Callable[[], Edition]] = {
    **SCENARIOS,
    "fullest_8": partial(fullest, 8),
    "fullest_40": partial(fullest, 40),
}
# A picture costs ten times the mail around it, and its tag is the same in all of them.
WITH_CHART = ("at_risk", "month_close", "fullest_8")


@cache
def message_of(edition: str, locale: str) -> Message:
    return render(EDITIONS[edition](), language=locale, chart=edition in WITH_CHART)


@cache
def mjml_of(edition: str, locale: str) -> str:
    language = locale_for(locale)
    shown = view(EDITIONS[edition](), language, chart=edition in WITH_CHART)
    return email.mjml(shown, language)


def html_of(edition: str, locale: str, *, images: bool = True) -> str:
    """Return a mail as a browser can show it: with its picture inside, or with one that never comes."""
    message = message_of(edition, locale)
    html = message.html
    for image in message.images:
        data = "data:image/png;base64," + base64.b64encode(image.png).decode()
        html = html.replace(f"cid:{image.cid}", data if images else "about:blank#none")
    return html

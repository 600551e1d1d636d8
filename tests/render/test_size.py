"""How many bytes a mail has: Gmail shows only the first 100 kB, and phones load it on the road."""

from __future__ import annotations

import pytest

from digest.render import lint, render
from tests.render.editions import SCENARIOS, fullest
from tests.render.outputs import LOCALES


def size(count: int, locale: str) -> int:
    return len(render(fullest(count), language=locale).html.encode())


@pytest.mark.parametrize("locale", LOCALES)
def test_the_fullest_mail_of_eight_segments_has_at_most_60_kb(locale: str) -> None:
    assert size(8, locale) <= 60_000


@pytest.mark.failure("M9")
@pytest.mark.parametrize("locale", LOCALES)
def test_the_fullest_mail_of_forty_segments_has_at_most_90_kb_even_as_it_travels(
    locale: str,
) -> None:
    message = render(fullest(40), language=locale)

    assert len(message.html.encode()) <= 90_000
    assert lint.size(message.html) <= 90_000


def test_the_fullest_mail_is_the_largest_of_all() -> None:
    others = {
        name: len(render(edition(), language="en", chart=False).html.encode())
        for name, edition in SCENARIOS.items()
        if len(edition().scorecard.segments) <= 8
    }

    assert max(others.values()) < size(8, "en")

"""A corrected edition says what it corrects, why, and each figure that moved, wherever it is read."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from html import unescape

import pytest

from digest.model import CorrectedFigure, Edition, FigureCode
from digest.render import render, render_terminal
from digest.render.locales import languages, locale_for
from digest.render.slack import pack as pack_slack
from digest.render.teams import pack as pack_teams
from digest.render.text import plain_spaces
from digest.render.view import MOST_MOVED, view
from tests.render.editions import correction, edition
from tests.render.test_agreement import Sent, packed, parsed, sent_as, words_of

READ: dict[str, Callable[[Sent], str]] = {
    "html": lambda sent: unescape(re.sub(r"<[^>]*>", "\n", sent.message.html)),
    "text": lambda sent: sent.message.text,
    "terminal": lambda sent: render_terminal(sent.edition, sent.language),
    "slack": lambda sent: words_of(packed(pack_slack, sent)["blocks"]),
    "slack in plain text": lambda sent: str(packed(pack_slack, sent)["plain"]),
    "slack's thread": lambda sent: str(packed(pack_slack, sent)["correction"]),
    "teams": lambda sent: words_of(packed(pack_teams, sent)),
}
MOVED = re.compile(r": ([^:\n\t]+?) → ([^\n\t]+)")


def numbers(sent: Sent, written: str) -> list[tuple[Decimal | None, ...]]:
    return [
        tuple(None if one == "\N{EN DASH}" else parsed(one, sent.language) for one in both)
        for both in MOVED.findall(written)
    ]


@pytest.mark.parametrize("language", languages())
@pytest.mark.parametrize("surface", READ)
def test_every_figure_that_moved_is_read_back(surface: str, language: str) -> None:
    sent = sent_as(correction(), language)
    written = READ[surface](sent)

    assert sent.edition.corrects is not None
    expected = [(one.before, one.now) for one in sent.edition.corrects.figures]
    assert numbers(sent, written) == expected
    said = view(sent.edition, locale_for(language)).correction
    assert said is not None
    flat = " ".join(written.casefold().split())
    for sentence in (said.heading, str(said.reason)):
        assert " ".join(sentence.casefold().split()) in flat
    assert "07:31" in said.heading


@pytest.mark.parametrize("language", languages())
def test_the_subject_is_marked_and_an_ordinary_edition_says_nothing(language: str) -> None:
    ordinary = sent_as(replace(correction(), corrects=None), language)
    marked = sent_as(correction(), language)

    mark = plain_spaces(locale_for(language).gettext("Correction: %(subject)s", subject=""))
    assert marked.message.subject == mark + ordinary.message.subject
    assert mark.rstrip(" :") in ("Correction", "Korrektur", "Correzione")
    assert "→" not in READ["text"](ordinary) + READ["html"](ordinary)
    assert "correction" not in packed(pack_slack, ordinary)


def with_figures(count: int) -> Edition:
    source = correction()
    assert source.corrects is not None
    figures = tuple(
        CorrectedFigure(date(2026, 6, 1), f"Segment {n} " + "W" * 400, FigureCode.LEADS, n, n + 1)
        for n in range(count)
    )
    return replace(source, corrects=replace(source.corrects, figures=figures, reason="<b>&" * 200))


@pytest.mark.parametrize("count", [1, MOST_MOVED, MOST_MOVED + 1, 500])
@pytest.mark.parametrize("language", ["en", "fr"])
def test_what_is_too_much_to_name_is_counted(count: int, language: str) -> None:
    sent = sent_as(with_figures(count), language)

    for surface in ("html", "text", "terminal"):
        named = READ[surface](sent).count("→")
        assert named == min(count, MOST_MOVED)
    more = locale_for(language).ngettext("%(n)s more", "%(n)s more", count - MOST_MOVED)
    assert (more in READ["text"](sent)) is (count > MOST_MOVED)
    packed(pack_slack, sent)  # refuses what breaks a limit of Slack
    assert len(str(packed(pack_teams, sent))) < 20_000


def test_two_months_in_one_edition_are_told_apart() -> None:
    source = edition()
    figure = CorrectedFigure(date(2026, 5, 1), None, FigureCode.LEADS, 1, 2)
    from tests.render.editions import month_close

    closing = month_close()
    assert correction().corrects is not None
    facts = replace(correction().corrects, figures=(figure,))  # type: ignore[type-var]  # not None
    said = render(replace(closing, corrects=facts), chart=False).text

    assert "Total (May), leads: 1 → 2" in said
    assert source.corrects is None

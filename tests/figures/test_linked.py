"""The explain view is the mail itself, with links on its numbers and their records behind it."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from digest.figures import (
    Figure,
    Figures,
    ScenarioPlaces,
    figure_of,
    figures_of,
    with_figures,
)
from digest.model import Edition
from digest.render import PLAIN, explain, render
from digest.render.linked import numbered
from digest.render.locales import languages, locale_for
from digest.render.why import card
from digest.render.writing import Wish
from digest.resources import templates_folder
from digest.scenarios import SCENARIOS
from tests.figures.reading import read, unexplained
from tests.render import editions as by_hand

LINK = re.compile(r'<a class="why" href="#why-([a-z0-9._-]+)">(.*?)</a>')


def made(name: str) -> tuple[Edition, Figures]:
    found = SCENARIOS[name]()
    figures = figures_of(
        found.edition, found.facts, ScenarioPlaces(name), found.previous, history=found.history
    )
    return found.edition, figures


def without_records(html: str) -> str:
    """Return the page without what the explain view adds to a mail."""
    mail = re.sub(r'<div class="why-cards">.*</div>\n(?=</body>)', "", html, flags=re.DOTALL)
    return re.sub(r"<style>a\.why.*?</style>", "", LINK.sub(r"\2", mail), flags=re.DOTALL)


@pytest.mark.parametrize("name", ["month-close", "hostile-names", "forty-segments", "huge-numbers"])
@pytest.mark.parametrize("language", languages())
def test_without_links_and_records_it_is_the_mail_byte_for_byte(name: str, language: str) -> None:
    edition, figures = made(name)

    page = explain(edition, figures, language=language, chart=False)

    assert without_records(page) == render(edition, language=language, chart=False).html


def test_every_link_and_every_input_leads_to_one_record_in_the_page() -> None:
    edition, figures = made("month-close")

    page = explain(edition, figures, chart=False)
    there = re.findall(r'id="why-([^"]*)"', page)

    assert len(there) == len(set(there))
    assert set(re.findall(r'href="#why-([^"]*)"', page)) <= set(there)


@pytest.mark.parametrize("name", ["hostile-names", "at-risk"])
def test_no_attribute_title_or_hidden_text_holds_a_mark(name: str) -> None:
    edition, figures = made(name)

    page = explain(edition, figures, chart=True)

    assert re.search("[\U000f0000-\U0010ffff]", page) is None
    assert all(LINK.search(tag) is None for tag in re.findall(r"<(?!a )[a-z][^>]*>", page))
    hidden = re.search(r'<div style="display:none[^>]*>(.*?)</div>', page)
    assert hidden is not None
    assert hidden[1].startswith("Largest gap")


def test_an_edition_with_figures_is_the_same_edition_to_everybody_else() -> None:
    edition, figures = made("month-close")
    marked = with_figures(edition, figures)

    assert marked == edition
    assert figure_of(marked.scorecard.total.goal) == "total.goal"
    assert figure_of((marked.scorecard.total.goal or 0) + 1) is None


@pytest.mark.parametrize("language", languages())
def test_a_record_says_formula_numbers_origin_and_the_edition_before(language: str) -> None:
    _, figures = made("at-risk")

    told = card(figures["segment.dach.goal"], figures, locale_for(language))
    read_from = card(figures["segment.dach.actual"], figures, locale_for(language))

    assert told.shown == "300"
    assert " ÷ " in told.formula
    assert told.numbers.endswith("= 300")
    assert [part.figure for part in told.parts] == [
        "plan.dach.revenue_goal",
        "plan.dach.marketing_share",
        "plan.dach.deal_size",
        "plan.dach.close_rate",
    ]
    assert told.before.startswith("300 ")
    assert told.was == "300"
    assert len(read_from.facts) >= 6  # source, query, window, rows, total, reconciled, time


@cache
def one_of_each() -> list[tuple[Figure, Figures]]:
    """A figure for every name and formula that there is, beside the figures it belongs to."""
    found: dict[tuple[str, str], tuple[Figure, Figures]] = {}
    for name in SCENARIOS:
        edition, figures = made(name)
        if name in ("sixty-segments", "month-close", "follow-up-red"):
            wish = Wish(edition, "en", (), PLAIN, None, chart=False)
            figures = numbered(wish, figures).figures
        for figure in figures.values():
            found.setdefault((figure.label.code, figure.formula), (figure, figures))
    return list(found.values())


@pytest.mark.parametrize("language", languages())
def test_every_record_has_words_in_every_language(language: str) -> None:
    locale = locale_for(language)

    told = [card(figure, figures, locale) for figure, figures in one_of_each()]

    assert len(told) > 100
    assert all(one.label and one.shown for one in told)
    assert [one.id for one in told if "_" in one.label or "%(" in one.formula + one.label] == []


def test_a_formula_is_told_with_names_and_with_numbers() -> None:
    edition = by_hand.edition()
    figures = figures_of(edition, None, ScenarioPlaces())

    told = card(figures["total.required_per_workday"], figures, locale_for("en"))

    assert told.formula == "Leads to go ÷ workdays left"
    assert told.numbers == "85 ÷ 12 = 7.1"
    assert told.rounding == "Rounded up to one decimal."


def test_a_user_s_own_template_is_explained_as_well(tmp_path: Path) -> None:
    own = tmp_path / "parts" / "today.mjml"
    own.parent.mkdir()
    own.write_text(
        (templates_folder() / "parts" / "today.mjml")
        .read_text()
        .replace("padding:0 0 6px 4px", "padding:0")
    )
    edition, figures = made("behind")

    page = explain(edition, figures, templates=tmp_path, chart=False)

    assert without_records(page) == render(edition, templates=tmp_path, chart=False).html
    assert 'href="#why-segment.dach.required_per_workday"' in page


def test_a_number_that_no_figure_stands_behind_is_found() -> None:
    edition, figures = made("at-risk")
    page = numbered(Wish(edition, "en", (), PLAIN, None, chart=False), figures)

    text, _ = read(page.html.replace("</h1>", " 4,711</h1>", 1))

    assert unexplained(text, edition, "en") == ["4,711"]


def test_a_goal_that_the_settings_no_longer_give_is_told_with_what_they_give() -> None:
    found = SCENARIOS["at-risk"]()
    plan = found.facts.plan
    dearer = replace(
        plan,
        terms=tuple(
            replace(terms, close_rate=terms.close_rate / 2)
            for terms in plan.terms
            if terms.close_rate
        ),
    )

    figures = figures_of(found.edition, replace(found.facts, plan=dearer), ScenarioPlaces("x"))
    goal = figures["segment.dach.goal"]
    told = card(goal, figures, locale_for("en"))

    assert (goal.value, goal.otherwise, goal.formula) == (300, 600, "recorded")
    assert told.otherwise == "today’s settings would give 600"

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
from digest.render.traced import Loose, loose
from digest.render.why import card
from digest.render.writing import Wish
from digest.resources import templates_folder
from digest.scenarios import SCENARIOS
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
    message = render(edition, chart=False)
    page = explain(edition, figures, chart=False)
    line = message.html.count("\n", 0, message.html.index("</h1>")) + 1
    several = replace(message, subject="17 of 4,712", text=f"{message.text}\nIn all 4,713.\n")

    found = loose(page.replace("</h1>", " 4,711</h1>", 1), several, edition)

    assert found[0] == Loose("4,711", "html", line)
    assert [(one.part, one.number) for one in found[1:]] == [
        ("subject", "17"),
        ("subject", "4,712"),
        ("text", "4,713"),
    ]
    assert several.text.split("\n")[found[-1].line - 1].startswith("In all")


@pytest.mark.parametrize("name", ["at-risk", "correction", "year-change", "hostile-names"])
@pytest.mark.parametrize("language", languages())
def test_html_text_and_subject_have_no_number_of_their_own(name: str, language: str) -> None:
    edition, figures = made(name)
    message = render(edition, language=language, chart=False)
    page = explain(edition, figures, language=language, chart=False)

    assert loose(page, message, edition) == ()


def own_templates(folder: Path, piece: str) -> Path:
    """A folder whose verdict says one thing more."""
    own = folder / "parts" / "verdict.mjml"
    own.parent.mkdir()
    ours = (templates_folder() / "parts" / "verdict.mjml").read_text(encoding="utf-8")
    own.write_text(ours.replace("</mj-column>", f"{piece}</mj-column>", 1), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("We owe 640 leads.", ["640"]),
        ('<a href="https://a.example">All 640</a>', ["640"]),
        ("Of {{ table.total.goal }}, since 1 June 2026 at 07:30.", []),
        ('<a href="https://a.example">Goal {{ table.total.goal }}</a>', []),
    ],
)
def test_a_template_s_own_number_is_found_and_one_of_the_edition_or_a_day_is_not(
    tmp_path: Path, said: str, found: list[str]
) -> None:
    edition, figures = made("at-risk")
    folder = own_templates(tmp_path, f"<mj-text>{said}</mj-text>")
    message = render(edition, templates=folder, chart=False)
    page = explain(edition, figures, templates=folder, chart=False)

    several = loose(page, message, edition)

    assert [one.number for one in several if one.part == "html"] == found
    lines = message.html.split("\n")
    assert all(one.number in " ".join(lines[one.line - 1 : one.line + 3]) for one in several)


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

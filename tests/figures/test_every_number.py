"""Every number of every mail leads to one record, and every record down to what was set or read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from functools import cache, partial
from math import floor, isclose

import pytest

from digest.figures import Asked, Figure, Figures, Input, Number, ScenarioPlaces, Unit, figures_of
from digest.model import Edition
from digest.render import PLAIN
from digest.render.linked import Explained, numbered
from digest.render.locales import languages
from digest.render.traced import Link, names_of, read, unexplained
from digest.render.writing import Wish
from digest.scenarios import SCENARIOS
from tests.effort import effort
from tests.figures.evaluator import computed
from tests.figures.reading import number_of
from tests.render import editions as by_hand

Case = tuple[Edition, Figures]


def composed(name: str) -> Case:
    made = SCENARIOS[name]()
    figures = figures_of(
        made.edition, made.facts, ScenarioPlaces(name), made.previous, history=made.history
    )
    return made.edition, figures


def hand_built(make: Callable[[], Edition]) -> Case:
    edition = make()
    return edition, figures_of(edition, None, ScenarioPlaces("by hand"))


CASES: Mapping[str, Callable[[], Case]] = {
    **{name: cache(partial(composed, name)) for name in SCENARIOS},
    **{
        f"by hand: {name}": cache(partial(hand_built, make))
        for name, make in by_hand.SCENARIOS.items()
    },
    "by hand: fullest": cache(partial(hand_built, partial(by_hand.fullest, 40))),
}
EVERY = pytest.mark.parametrize("name", CASES)


def page(edition: Edition, figures: Figures, language: str) -> Explained:
    return numbered(Wish(edition, language, (), PLAIN, None, chart=False), figures)


# ---------------------------------------------------------------------------------- what is checked


def problems_of_page(edition: Edition, figures: Figures, language: str) -> list[str]:
    """Numbers without a record, links that lead nowhere, and records of another number."""
    shown = page(edition, figures, language)
    blocks, links = read(shown.html)
    names = names_of(edition)
    found = [
        f"no record: {number}"
        for _, text in blocks
        for number in unexplained(text, names, language)
    ]
    for link in links:
        figure = shown.figures.get(link.figure)
        if figure is None:
            found.append(f"leads nowhere: {link}")
        elif not is_written_as(figure, link, language):
            found.append(f"not its number: {link}, {figure.value}")
    return found


def is_written_as(figure: Figure, link: Link, language: str) -> bool:
    """Whether a written number can be the value of a figure: rounded, in per cent, or part of a duration."""
    written = number_of(link.written, language)
    value = abs(Fraction(figure.value))
    places = -int(written.as_tuple().exponent)
    if figure.unit is Unit.MINUTES:
        minutes = int(value + Fraction(1, 2))
        return written in (minutes // 60, minutes % 60)
    if "%" in link.written:
        floored = floor(value * 100)
        small = link.written.startswith("<") and value < Fraction(1, 100)
        return small or written in (floored, to(value * 100, places))
    return written == to(value, places)


def to(value: Fraction, places: int) -> Decimal:
    exact = Decimal(value.numerator) / Decimal(value.denominator)
    return exact.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)


def problems_of_figures(figures: Figures) -> list[str]:
    """Formulas that do not give their value, dead ends, and circles."""
    found = []
    for figure in figures.values():
        missing = [n for one in figure.inputs for n in one.figures if n not in figures]
        if missing:
            found.append(f"{figure.id}: a dead end at {', '.join(missing)}")
            continue
        value = computed(
            figure.formula, {one.name: values_of(one, figures) for one in figure.inputs}
        )
        if not same(value, figure.value):
            found.append(f"{figure.id}: {figure.formula} gives {value}, not {figure.value}")
    return found + list(circles(figures))


def values_of(one: Input, figures: Figures) -> tuple[Number, ...]:
    return one.values or tuple(figures[name].value for name in one.figures)


def same(one: Number, other: Number) -> bool:
    if isinstance(one, float) or isinstance(other, float):
        return isclose(one, other, rel_tol=1e-7, abs_tol=1e-7)
    return Fraction(one) == Fraction(other)


def circles(figures: Figures) -> Iterator[str]:
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> Iterator[str]:
        if name in above:
            yield f"{name} is made of itself"
        elif name not in done:
            for one in figures[name].inputs:
                for other in one.figures:
                    if other in figures:
                        yield from visit(other, (*above, name))
            done.add(name)

    for name in figures:
        yield from visit(name, ())


def ends_of(figures: Figures) -> dict[str, str]:
    """Where each input that is no figure was read: a place's kind, or "query"."""
    return {
        f"{figure.id}, {one.name}": "query"
        if isinstance(one.origin, Asked)
        else one.origin.kind
        if one.origin is not None
        else "nowhere"
        for figure in figures.values()
        for one in figure.inputs
        if not one.figures and one.values
    }


# ------------------------------------------------------------------------------------------- tests


# Each in one language while somebody works, in every language before a change lands; the widest in one.
PAIRS = [
    (name, language)
    for number, name in enumerate(CASES)
    for language in (
        ("en",)
        if "segments" in name
        else effort((languages()[number % len(languages())],), languages())
    )
]


@pytest.mark.parametrize(("name", "language"), PAIRS)
def test_every_number_of_a_mail_leads_to_the_record_of_that_number(
    name: str, language: str
) -> None:
    edition, figures = CASES[name]()

    assert problems_of_page(edition, figures, language) == []


@EVERY
def test_every_formula_gives_its_number_and_ends_where_something_was_set_or_read(
    name: str,
) -> None:
    edition, figures = CASES[name]()
    shown = page(edition, figures, "en")

    assert problems_of_figures(shown.figures) == []
    assert set(ends_of(shown.figures).values()) <= {"query", "scenario", "default", "layout"}


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_number_of_a_composed_edition_is_taken_as_it_is(name: str) -> None:
    _, figures = CASES[name]()

    assert [figure.id for figure in figures.values() if figure.formula == "recorded"] == []


def test_a_record_that_is_missing_is_noticed_whichever_it_is() -> None:
    edition, figures = CASES["month-close"]()
    shown = page(edition, figures, "en")
    needed = [name for name in shown.linked_to if name in figures]

    unnoticed = [name for name in needed if not problems(edition, without(figures, name))]

    assert len(needed) > 60
    assert unnoticed == []


def problems(edition: Edition, figures: Figures) -> list[str]:
    return problems_of_figures(figures) or problems_of_page(edition, figures, "en")


def without(figures: Figures, name: str) -> Figures:
    return replace(figures, by_id={n: f for n, f in figures.by_id.items() if n != name})

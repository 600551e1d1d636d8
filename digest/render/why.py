"""What a figure's record says, in words: its name, its formula with names and with numbers, its origin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from zoneinfo import ZoneInfo

from digest.figures import Asked, Figure, Figures, Input, Origin, Place
from digest.render.figure_words import (
    capital,
    exact,
    in_numbers,
    in_words,
    label,
    name,
    rounded,
    rounding,
    written,
)
from digest.render.locales import Locale, locale_for, shown

LONGEST_QUERY = 4_000
LEAVES = ("read", "recorded")  # formulas that only say that a value was read


@dataclass(frozen=True, slots=True)
class Part:
    """One input of a figure: what it is, its value, and the id of its own record; None for a leaf."""

    name: str
    value: str
    figure: str | None
    place: str


@dataclass(frozen=True, slots=True)
class Card:
    """A figure's record as people read it; every number written, every sentence in one language.

    Attributes:
        shown: as it is printed where it is rounded, else as `value`.
        formula: with names. numbers: the same with numbers. rounding: a sentence or "".
        facts: (label, text) of what was asked, and of the settings and cells.
        before: the same number in the previous edition, "" when there is none; `was` is the number alone.
        otherwise: what today's settings give for an edition that was frozen with other ones, or "".
    """

    id: str
    label: str
    value: str
    shown: str
    formula: str
    numbers: str
    rounding: str
    parts: tuple[Part, ...]
    facts: tuple[tuple[str, str], ...]
    before: str
    was: str
    otherwise: str


def card(figure: Figure, figures: Figures, locale: Locale) -> Card:
    """Return the record of a figure in a language."""
    plain = locale_for(locale.tag)
    leaf = figure.formula in LEAVES
    return Card(
        id=figure.id,
        label=label(plain, figure.label),
        value=written(plain, figure.value, figure),
        shown=rounded(plain, figure),
        formula="" if leaf else in_words(plain, figure),
        numbers="" if leaf else in_numbers(plain, figure, figures),
        rounding=rounding(plain, figure),
        parts=tuple(_parts(plain, figure, figures)),
        facts=tuple(_facts(plain, figure)),
        before=""
        if figure.before is None
        else plain.gettext(
            "%(value)s in the edition of %(day)s",
            value=written(plain, figure.before.value, figure),
            day=plain.full_day(figure.before.business_date),
        ),
        was="" if figure.before is None else written(plain, figure.before.value, figure),
        otherwise=""
        if figure.otherwise is None
        else plain.gettext(
            "today’s settings would give %(value)s",
            value=written(plain, figure.otherwise, figure),
        ),
    )


# ------------------------------------------------------------------------------------------- origins


def _parts(locale: Locale, figure: Figure, figures: Figures) -> Iterator[Part]:
    for one in figure.inputs:
        if not one.figures:
            yield Part(
                capital(name(locale, one.name)),
                _leaf_value(locale, one, figure),
                None,
                place(locale, one.origin),
            )
        for other in one.figures:
            known = figures[other]
            yield Part(label(locale, known.label), written(locale, known.value, known), other, "")


def _leaf_value(locale: Locale, one: Input, figure: Figure) -> str:
    if len(one.values) == 1 and figure.formula in LEAVES:
        return written(locale, one.values[0], figure)
    if len(one.values) == 1:
        return exact(locale, one.values[0])
    total = sum((Fraction(value) for value in one.values), Fraction(0))
    span = f", {locale.day(one.days[0])}\u2013{locale.day(one.days[-1])}" if one.days else ""
    numbers = locale.ngettext("%(n)s number", "%(n)s numbers", len(one.values))
    return f"{exact(locale, total)} ({numbers}{span})"


def place(locale: Locale, origin: Origin | None) -> str:
    """Return where an input stands: file and line, sheet and cell, or the question to a source."""
    if isinstance(origin, Asked):
        return f"{_asked(locale, origin)} ({origin.connector}, {shown(origin.source, 120)})"
    if origin is None:
        return ""
    at = _position(locale, origin)
    kinds = {
        "setting": at,
        "cell": at,
        "default": locale.gettext("default of the program: %(key)s", key=origin.key),
        "scenario": locale.gettext("fixed data of the scenario: %(key)s", key=origin.key),
        "edition": locale.gettext(
            "frozen with the edition of %(day)s",
            day=locale.full_day(origin.day) if origin.day else "",
        ),
        "layout": locale.gettext("counted for this page"),
    }
    return kinds[origin.kind]


def _position(locale: Locale, origin: Place) -> str:
    if origin.kind == "cell":
        at = f"{origin.sheet}!{origin.cell}" if origin.cell else origin.sheet
        return ", ".join(filter(None, (origin.file, at)))
    line = locale.gettext("line %(n)s", n=origin.line) if origin.line is not None else ""
    return ", ".join(filter(None, (origin.file, line, origin.key)))


def _asked(locale: Locale, asked: Asked) -> str:
    return {
        "leads": locale.gettext("count of the leads"),
        "history": locale.gettext("count of the months before"),
        "deals": locale.gettext("measured deals"),
        "follow_up": locale.gettext("measured follow-up"),
    }[asked.what]


def _facts(locale: Locale, figure: Figure) -> Iterator[tuple[str, str]]:
    origins = (one.origin for one in figure.inputs)
    for asked in dict.fromkeys(one for one in origins if isinstance(one, Asked)):
        yield from asked_facts(locale.tag, asked)


@lru_cache(maxsize=64)  # a handful of questions stand behind hundreds of figures
def asked_facts(language: str, asked: Asked) -> tuple[tuple[str, str], ...]:
    """Return what is known of a question to a source, as (label, text)."""
    return tuple(_told(locale_for(language), asked))


def _told(locale: Locale, asked: Asked) -> Iterator[tuple[str, str]]:
    zone, window = ZoneInfo(asked.window.timezone), asked.window
    first, end = (f"{instant:%Y-%m-%d %H:%M}" for instant in asked.utc)
    yield locale.gettext("Source"), f"{asked.connector}, {shown(asked.source, 200)}"
    yield (
        locale.gettext("Asked"),
        shown(asked.query, LONGEST_QUERY)
        if asked.query
        else locale.gettext("not kept with the edition"),
    )
    yield (
        locale.gettext("Window"),
        locale.gettext(
            "from %(first)s until before %(end)s (%(zone)s), in UTC from %(since)s until before %(until)s",
            first=locale.medium_day(window.start),
            end=locale.medium_day(window.end),
            zone=window.timezone,
            since=first,
            until=end,
        ),
    )
    counted = [
        (locale.gettext("Rows"), asked.rows),
        (locale.gettext("Total by a second question"), asked.total),
        (locale.gettext("Calls"), asked.calls),
    ]
    yield from ((what, locale.number(n)) for what, n in counted if n is not None)
    if asked.reconciled is not None:
        yield (
            locale.gettext("Reconciled"),
            locale.gettext("yes") if asked.reconciled else locale.gettext("no"),
        )
    yield (
        locale.gettext("As of"),
        f"{locale.full_day(asked.as_of.astimezone(zone).date())}, {asked.as_of.astimezone(zone):%H:%M}",
    )

"""The explain view: the mail as it is, in which every number leads to where it comes from.

Whoever writes a number writes letters of a private alphabet instead of its digits, one for each digit of each
figure. They are as many as the digits, so nothing that looks at lengths changes; in the finished HTML they
become the digits again, as links. The ordinary mail never passes through here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from typing import TypeVar

from digest.figures import (
    Figure,
    Figures,
    Input,
    Label,
    Number,
    Place,
    Unit,
    figure_of,
    tagged,
    with_figures,
)
from digest.figures.tags import with_figures_of_action
from digest.model import Action
from digest.render.email import environment_for
from digest.render.locales import Locale, locale_for
from digest.render.view import MOST_ROWS, View
from digest.render.why import Card, card
from digest.render.writing import Wish, fitting

N = TypeVar("N", bound=Number)

_FIRST, _PLANE, _PER_PLANE = 0xF0000, 0x10000, 6_553
MOST_FIGURES = 2 * _PER_PLANE
_LETTER = "[\U000f0000-\U000ffffd\U00100000-\U0010fffd]"
_SPACE = "(?:&nbsp;|[\u00a0\u202f])"
# What belongs to a number as it is read: sign, digits with their separators, per cent.
_NUMBER = re.compile(
    f"(?:[+\u2212]|&lt;)?{_LETTER}(?:(?:[.,\u2019]|{_SPACE})?{_LETTER})*(?:{_SPACE}?%)?"
)
_PIECE = re.compile(
    r"(<!--.*?-->|<(?:style|title)\b.*?</(?:style|title)>"
    r"|<[a-zA-Z/!](?:\"[^\"]*\"|'[^']*'|[^'\">])*>)",
    re.DOTALL,
)


@dataclass
class Marks:
    """The private alphabet of one rendering, and the figures that only the rendering knows.

    Attributes:
        order: figures in the order in which they were first written.
        own: figures that only this rendering has. linked_to: those that links lead to.
    """

    figures: Figures
    order: dict[str, int] = field(default_factory=dict)
    own: dict[str, Figure] = field(default_factory=dict)
    linked_to: dict[str, None] = field(default_factory=dict)

    def on(self, value: object, written: str) -> str:
        """Return a written number in the letters of its figure; as it is when it has none."""
        name = figure_of(value)
        if name is None:
            return written
        number = self.order.setdefault(name, len(self.order))
        if number >= MOST_FIGURES:
            return written
        first = _FIRST + _PLANE * (number // _PER_PLANE) + 10 * (number % _PER_PLANE)
        return written.translate({ord("0") + digit: first + digit for digit in range(10)})

    def _of(self, letter: str) -> tuple[str, str]:
        """Return the figure and the digit of a letter."""
        plane, place = divmod(ord(letter) - _FIRST, _PLANE)
        number, digit = divmod(place, 10)
        names = list(self.order)
        index = plane * _PER_PLANE + number
        return (names[index] if index < len(names) else ""), str(digit)

    def plain(self, text: str) -> str:
        """Return a text with its digits again."""
        return re.sub(_LETTER, lambda letter: self._of(letter[0])[1], text)

    def linked(self, html: str) -> str:
        """Return a document whose numbers are links; inside of another link they only name their figure."""
        pieces = _PIECE.split(html)
        inside, out = 0, []
        for piece in pieces:
            if piece.startswith(("<a ", "<a>")):
                inside += 1
            elif piece.startswith("</a"):
                inside -= 1
            if piece.startswith("<"):
                out.append(self.plain(piece))
            elif inside:
                out.append(re.sub(_LETTER + "+", lambda run: self._named(run[0]), piece))
            else:
                out.append(_NUMBER.sub(lambda found: self._link(found[0]), piece))
        return "".join(out)

    def _link(self, number: str) -> str:
        figures = {self._of(letter)[0] for letter in re.findall(_LETTER, number)}
        if len(figures) != 1:  # two numbers side by side, between which nothing stands
            return re.sub(_LETTER + "+", lambda run: self._link_one(run[0]), number)
        return self._link_one(number)

    def _named(self, number: str) -> str:
        return f'<span data-figure="{self._of(number[0])[0]}">{self.plain(number)}</span>'

    def _link_one(self, number: str) -> str:
        name = next(self._of(letter)[0] for letter in re.findall(_LETTER, number))
        self.linked_to[name] = None
        return f'<a class="why" href="#why-{name}">{self.plain(number)}</a>'

    def derive(
        self, value: N, code: str, formula: str, given: Mapping[str, Number | Sequence[Number]]
    ) -> N:
        """Record a number that is computed for the page, and return it with its figure."""
        inputs = tuple(_input(name, several) for name, several in given.items())
        units = [self._unit(name) for one in inputs for name in one.figures]
        figure = Figure(
            f"shown.{code}", Label(code), value, units[0] if units else Unit.NUMBER, formula, inputs
        )
        number = 1
        while (known := self.own.get(figure.id)) is not None and known != figure:
            number += 1
            figure = replace(figure, id=f"shown.{code}-{number}")
        self.own[figure.id] = figure
        return tagged(value, figure.id)

    def _unit(self, name: str) -> Unit:
        figure = self.figures.get(name) or self.own.get(name)
        return figure.unit if figure is not None else Unit.NUMBER

    def known(self) -> Figures:
        """Return the figures of the edition and those of the page."""
        return replace(self.figures, by_id={**self.figures.by_id, **self.own})


def _input(name: str, given: Number | Sequence[Number]) -> Input:
    several = (given,) if isinstance(given, int | float | Decimal | Fraction) else tuple(given)
    ids = [figure for value in several if (figure := figure_of(value)) is not None]
    if len(ids) == len(several) and ids:
        return Input(name, figures=tuple(ids))
    return Input(name, values=several, origin=Place("layout"))


@dataclass(frozen=True, eq=False)
class ExplainingLocale(Locale):
    """Writes numbers in the letters of their figures."""

    marks: Marks

    @classmethod
    def of(cls, locale: Locale, marks: Marks) -> ExplainingLocale:
        """Return a language that marks its numbers."""
        return cls(locale.tag, locale.babel, locale.translations, marks)

    def number(self, value: Number, decimals: int = 0) -> str:
        """Write a number."""
        return self.marks.on(value, super().number(value, decimals))

    def percent(self, ratio: Number) -> str:
        """Write a ratio as a floored percentage."""
        return self.marks.on(ratio, super().percent(ratio))

    def exact_percent(self, ratio: Number, decimals: int = 1) -> str:
        """Write a rate."""
        return self.marks.on(ratio, super().exact_percent(ratio, decimals))

    def money(self, amount: Number, currency: str, decimals: int = 0) -> str:
        """Write an amount."""
        return self.marks.on(amount, super().money(amount, currency, decimals))

    def traced(self, value: N, source: object, beside: str = "") -> N:
        """Give a value the figure of its source, or one beside it."""
        name = figure_of(source)
        if name is None:
            return value
        return self.named(value, f"{name.rpartition('.')[0]}.{beside}" if beside else name)

    def named(self, value: N, figure: str) -> N:
        """Give a value a figure, if there is such a one."""
        known = figure in self.marks.figures or figure in self.marks.own
        return tagged(value, figure) if known else value

    def derived(self, value: N, code: str, formula: str, **inputs: Number | Sequence[Number]) -> N:
        """Record a number that is computed for the page."""
        return self.marks.derive(value, code, formula, inputs)

    def known(self, todo: Action) -> Action:
        """Give the numbers of an action the figures that they follow from."""
        return with_figures_of_action(todo, self.marks.figures)


def without_marks(view: View, marks: Marks) -> View:
    """Return a view whose hidden texts have their digits: what is no page's text leads nowhere."""
    return replace(
        view,
        subject=marks.plain(view.subject),
        preheader=marks.plain(view.preheader),
        chart_alt=marks.plain(view.chart_alt),
    )


def with_sources(names: Iterable[str], figures: Figures) -> tuple[str, ...]:
    """Return ids and, after them, those of all figures that they are made of."""
    found = dict.fromkeys(names)
    waiting = list(found)
    while waiting:
        for one in figures[waiting.pop(0)].inputs:
            fresh = [name for name in one.figures if name not in found]
            found.update(dict.fromkeys(fresh))
            waiting += fresh
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Explained:
    """A mail whose numbers are links, without their records.

    Attributes:
        figures: those of the edition, and those that only this page has.
        linked_to: ids to which a link leads, in the order of the page.
    """

    html: str
    figures: Figures
    linked_to: tuple[str, ...]


def numbered(wish: Wish, figures: Figures) -> Explained:
    """Return the mail of a wish with every number as a link to the record of its figure.

    Raises:
        ConfigError: a user's template is at fault; names file and line.
    """
    marks = Marks(figures)
    locale = ExplainingLocale.of(locale_for(wish.language), marks)
    edition = with_figures(wish.edition, figures)

    def again(most_rows: int = MOST_ROWS) -> View:
        return without_marks(wish.view(most_rows, edition=edition, locale=locale), marks)

    _, html = fitting(again(), again, locale, wish.templates, marks.plain)
    linked = marks.linked(html)
    return Explained(linked, marks.known(), tuple(marks.linked_to))


def explained(wish: Wish, figures: Figures) -> str:
    """Return the same with all records in the page, each of which shows when a link leads to it.

    Raises:
        ConfigError: a user's template is at fault; names file and line.
    """
    page = numbered(wish, figures)
    locale = locale_for(wish.language)
    names = with_sources(page.linked_to, page.figures)
    cards = [card(page.figures[name], page.figures, locale) for name in names]
    return with_cards(page.html, cards, locale)


def with_cards(html: str, cards: Sequence[Card], locale: Locale) -> str:
    """Return a document with the records of its numbers, which show when a link leads to them."""
    environment = environment_for(None, markup=True)
    styles = environment.get_template("why.css").render()
    page = environment.get_template("why.html").render(
        cards=cards,
        words={
            "close": locale.gettext("Close"),
            "formula": locale.gettext("Formula"),
            "numbers": locale.gettext("With its numbers"),
            "inputs": locale.gettext("Made of"),
            "source": locale.gettext("Where it was read"),
            "before": locale.gettext("Previous edition"),
            "otherwise": locale.gettext("Changed since"),
            "rounding": locale.gettext("Rounding"),
        },
    )
    styled = html.replace("</head>", f"<style>{styles}</style></head>", 1)
    head, end, rest = styled.rpartition("</body>")
    return f"{head}{page}{end}{rest}"

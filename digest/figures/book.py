"""Where the figures of one edition are gathered: each with its formula, or as the edition froze it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from types import MappingProxyType
from typing import Literal, Protocol

from digest.editions import HISTORY_MONTHS, Facts, Month
from digest.figures.expression import Value as Given
from digest.figures.expression import evaluate, names_of, same
from digest.figures.figure import Asked, Figure, Input, Label, Number, Origin, Place, Rounding, Unit
from digest.model import UNASSIGNED, Edition, LeadCounts, Period, Scorecard, add_months
from digest.sla import Terms

CLOSED = "closed."
"""How the ids of a month that closes begin."""


class Places(Protocol):
    """Answers where an input stands."""

    def setting(self, *key: str | int) -> Place:
        """Return where a setting stands, or that it is the default."""
        ...

    def revenue_goal(self, segment: str, month: date) -> Place:
        """Return where the revenue goal of a segment's month stands."""
        ...

    def terms(self, terms: Terms, name: str) -> Place:
        """Return where one of the agreed terms stands, by its name in `Terms`."""
        ...

    def rate(self, currency: str) -> Place:
        """Return where a plan rate stands."""
        ...

    def recorded(self, day: date, key: str) -> Place:
        """Return the edition of a day in which a number is frozen."""
        ...

    def source(self, what: str) -> tuple[str, str]:
        """Return connector and source of "deals" or "follow_up"."""
        ...


@dataclass(frozen=True, slots=True)
class ScenarioPlaces:
    """The places of a fixed example: everything stands in it."""

    name: str = ""

    def _place(self, key: str) -> Place:
        return Place("scenario", file=self.name, key=key)

    def setting(self, *key: str | int) -> Place:
        """Return the example."""
        return self._place(".".join(map(str, key)))

    def revenue_goal(self, segment: str, month: date) -> Place:
        """Return the example."""
        return self._place(f"{segment} {month:%Y-%m}")

    def terms(self, terms: Terms, name: str) -> Place:
        """Return the example."""
        return self._place(f"{terms.segment} {terms.valid_from:%Y-%m} {name}")

    def rate(self, currency: str) -> Place:
        """Return the example."""
        return self._place(currency)

    def recorded(self, day: date, key: str) -> Place:
        """Return the example."""
        return replace(self._place(key), day=day)

    def source(self, what: str) -> tuple[str, str]:
        """Return the example."""
        return what, self.name


@dataclass(frozen=True, slots=True)
class At:
    """Where figures go: how their ids begin, and what they are about; see `Label`."""

    base: str
    segment: str | None = None
    month: date | None = None
    day: date | None = None

    def id(self, code: str) -> str:
        """Return the id of the figure called so here."""
        return f"{self.base}.{code}" if code else self.base

    def label(self, code: str) -> Label:
        """Return what it is called."""
        return Label(code, self.segment, self.day, self.month)


@dataclass
class Book:
    """Collects the figures of one edition, and knows what it was made of.

    Attributes:
        notes: id before ".number" of each note. slugs: how ids name segments.
    """

    edition: Edition
    facts: Facts | None
    places: Places
    previous: Edition | None
    history: LeadCounts | None
    found: dict[str, Figure] = field(default_factory=dict)
    notes: dict[object, str] = field(default_factory=dict)
    slugs: dict[str, str] = field(default_factory=dict)

    # -------------------------------------------------------------------------------- recording

    def add(  # noqa: PLR0917 - where, what, how much, of what, by which formula, from what
        self,
        at: At,
        code: str,
        value: Number | None,
        unit: Unit,
        formula: str,
        given: Mapping[str, str | Sequence[str] | Input] = MappingProxyType({}),
        *,
        called: str = "",
        rounding: Rounding = Rounding.NONE,
        currency: str | None = None,
    ) -> None:
        """Record a number with its formula, or as frozen where the formula does not give it.

        Args:
            at: where.
            code: what it is called there; together they are its id.
            value: None for a number that the edition does not have, which has no record.
            unit: of the value.
            formula: in the names of its inputs; "" when none is known.
            given: input of a name: ids of figures, or what was read. Any other name is a figure beside it.
            called: code of its label, where that differs.
            rounding: that the formula ends with, or that a page does.
            currency: of money.
        """
        if value is None:
            return
        inputs = tuple(self._input(at, name, given) for name in names_of(formula))
        result = self._evaluated(formula, inputs) if formula else None
        if result is None or not same(result, value):
            origin = self.places.recorded(self.edition.business_date, at.id(code))
            inputs = (Input("recorded", values=(value,), origin=origin),)
            formula, rounding, otherwise = "recorded", Rounding.NONE, result
        else:
            otherwise = None
        self.found[at.id(code)] = Figure(
            id=at.id(code),
            label=at.label(called or code),
            value=value,
            unit=unit,
            formula=formula,
            inputs=inputs,
            rounding=rounding,
            currency=currency,
            otherwise=otherwise,
        )

    @staticmethod
    def _input(at: At, name: str, given: Mapping[str, str | Sequence[str] | Input]) -> Input:
        found = given.get(name, at.id(name))
        if isinstance(found, Input):
            return found
        return Input(name, figures=(found,) if isinstance(found, str) else tuple(found))

    def _evaluated(self, formula: str, inputs: Sequence[Input]) -> Number | None:
        values: dict[str, Given] = {}
        for one in inputs:
            if not all(name in self.found for name in one.figures):
                return None
            values[one.name] = one.values or tuple(self.found[n].value for n in one.figures)
        return evaluate(formula, values)

    def leaf(
        self,
        at: At,
        code: str,
        value: Number | None,
        unit: Unit,
        origin: Origin,
        *,
        called: str = "",
        currency: str | None = None,
    ) -> None:
        """Record a number that was read as it is."""
        if value is not None:
            read = Input("read", values=(value,), origin=origin)
            self.add(
                at, code, value, unit, "read", {"read": read}, called=called, currency=currency
            )

    def parts(self, bases: Sequence[str], code: str) -> tuple[str, ...]:
        """Return the ids of one figure of several rows, as far as they have it."""
        return tuple(f"{base}.{code}" for base in bases if f"{base}.{code}" in self.found)

    # -------------------------------------------------------------------------------- its edition

    def slug(self, segment: str | None) -> str:
        """Return how ids name a segment."""
        return self.slugs.get(segment or "", "other")

    def row(self, prefix: str, segment: str | None) -> str:
        """Return how the ids of a row begin."""
        if segment is None:
            return f"{prefix}total"
        if segment == UNASSIGNED:
            return f"{prefix}unassigned"
        return f"{prefix}segment.{self.slug(segment)}"

    def month(self, card: Scorecard) -> Month:
        """Return the month of a scorecard."""
        if self.facts is None:
            return Month(card.period, card.period.start)
        return self.facts.months.of(card.period.start)

    # ------------------------------------------------------------------------------ what was asked

    def leads(self, edition: Edition | None = None) -> Asked:
        """Return the question for the leads, of this edition or of another one."""
        one = edition or self.edition
        first = one.judged.period.start
        window = Period(
            min(first, one.scorecard.cut_off), one.business_date, one.scorecard.period.timezone
        )
        return Asked(
            "leads",
            one.origin.connector,
            one.origin.source,
            one.origin.query,
            window,
            one.as_of,
            rows=sum(row.day in window for row in one.counts),
            total=one.source_total,
            reconciled=one.reconciled,
            calls=one.origin.calls or None,
        )

    def months_before(self) -> Asked:
        """Return the question for the months before; its answer is known when `history` is."""
        edition, counts = self.edition, self.history
        if counts is None:
            origin = edition.origin
            window = self._window_before()
            return Asked(
                "history", origin.connector, origin.source, origin.query, window, edition.as_of
            )
        return Asked(
            "history",
            counts.origin.connector,
            counts.origin.source,
            counts.origin.query,
            counts.period,
            counts.as_of,
            rows=len(counts.rows),
            total=counts.total,
            reconciled=counts.reconciled,
            calls=counts.origin.calls or None,
        )

    def _window_before(self) -> Period:
        card = self.edition.scorecard
        start = add_months(card.period.start, -HISTORY_MONTHS)
        if self.facts is not None:
            earlier = self.facts.months.before(self.month(card), HISTORY_MONTHS)
            start = earlier[0].period.start if earlier else start
        return Period(start, card.period.start, card.period.timezone)

    def asked(self, what: Literal["deals", "follow_up"], window: Period) -> Asked:
        """Return a question of which the edition keeps only the answer."""
        connector, source = self.places.source(what)
        return Asked(what, connector, source, None, window, self.edition.as_of)

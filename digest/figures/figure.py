"""What a number is made of: a formula, its inputs, and where each of them stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Literal

from digest.model import Period, local_midnight

Number = int | float | Decimal | Fraction


class Unit(StrEnum):
    """What a value counts; `render` writes it accordingly."""

    LEADS = "leads"
    PER_WORKDAY = "per_workday"
    WORKDAYS = "workdays"
    MONEY = "money"
    SHARE = "share"
    MINUTES = "minutes"
    NUMBER = "number"


class Rounding(StrEnum):
    """How a value was rounded, or is where it is shown."""

    NONE = "none"
    UP = "up"
    TENTH_UP = "tenth_up"
    HALF_UP = "half_up"
    FLOOR = "floor"


@dataclass(frozen=True, slots=True)
class Place:
    """Where an input stands when no source was asked for it.

    Attributes:
        kind: "setting" and "cell" can be opened. "default" stands in no file. "edition" was frozen with an
            edition and is no longer what the settings give. "layout" is what a page has room for.
        key: of the setting ("sla.segments[1].deal_size"), or the field of the edition.
        day: business date of the edition.
    """

    kind: Literal["setting", "cell", "default", "scenario", "edition", "layout"]
    file: str = ""
    line: int | None = None
    key: str = ""
    sheet: str = ""
    cell: str = ""
    day: date | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A question to a source, as far as the edition knows it; no secret, no lead.

    Attributes:
        what: "leads", "history", "deals" or "follow_up".
        window: the local days asked for; `utc` are its first instant and its exclusive end.
        rows: of day and segment that came back. total: as counted by a second question.
        query, rows, total, reconciled, calls: None where they were not kept.
    """

    what: Literal["leads", "history", "deals", "follow_up"]
    connector: str
    source: str
    query: str | None
    window: Period
    as_of: datetime
    rows: int | None = None
    total: int | None = None
    reconciled: bool | None = None
    calls: int | None = None

    @property
    def utc(self) -> tuple[datetime, datetime]:
        """The window's first instant and its exclusive end."""
        zone = self.window.timezone
        return local_midnight(self.window.start, zone), local_midnight(self.window.end, zone)


Origin = Place | Asked


@dataclass(frozen=True, slots=True)
class Input:
    """One name of a formula: other figures, or values that were read at an origin.

    Attributes:
        name: as the formula has it.
        figures: ids; several where the formula adds or counts them.
        values: what was read, where `figures` is empty; `days` says of which days.
    """

    name: str
    figures: tuple[str, ...] = ()
    values: tuple[Number, ...] = ()
    origin: Origin | None = None
    days: tuple[date, ...] = ()


@dataclass(frozen=True, slots=True)
class Label:
    """What a figure is called: a code for which `render` has the words, and what it is about.

    Attributes:
        segment: name, "" for unassigned, None for the total or the whole.
        day: of a daily figure. month: first day of the month where that is not the edition's own.
    """

    code: str
    segment: str | None = None
    day: date | None = None
    month: date | None = None


@dataclass(frozen=True, slots=True)
class Before:
    """The same figure in the previous edition of the month."""

    business_date: date
    value: Number


@dataclass(frozen=True, slots=True)
class Figure:
    """A number with its provenance.

    Attributes:
        id: stable ("total.expected", "segment.dach.goal").
        value: unrounded unless `rounding` is part of what the number is.
        formula: names, numbers, + - * / and the functions of `expression`; evaluated it gives `value`.
        rounding: what the formula does last, or how the number is shown.
        otherwise: what today's inputs give where the edition was frozen with another value.
    """

    id: str
    label: Label
    value: Number
    unit: Unit
    formula: str
    inputs: tuple[Input, ...]
    rounding: Rounding = Rounding.NONE
    currency: str | None = None
    before: Before | None = None
    otherwise: Number | None = None


@dataclass(frozen=True, slots=True)
class Figures(Mapping[str, Figure]):
    """The figures of an edition by id, in the order in which they are read.

    Attributes:
        slugs: how the id of a figure names a segment.
        notes: id before ".number" of each note; equal notes share one.
    """

    by_id: Mapping[str, Figure]
    slugs: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[object, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Figure:
        return self.by_id[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.by_id)

    def __len__(self) -> int:
        return len(self.by_id)

"""Conditions in the settings of a connector: which records it keeps, and which it leaves out by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal
from zoneinfo import ZoneInfo

Operator = Literal[
    "=", "!=", "in", "not in", "<", "<=", ">", ">=", "like", "is null", "is not null"
]
LARGEST = 2**63

# What a comparison asks of the sign of (value found - value wanted).
AGREES: Mapping[str, Callable[[int], bool]] = {
    "=": lambda sign: sign == 0,
    "!=": lambda sign: sign != 0,
    "<": lambda sign: sign < 0,
    "<=": lambda sign: sign <= 0,
    ">": lambda sign: sign > 0,
    ">=": lambda sign: sign >= 0,
}


@dataclass(frozen=True)
class Filter:
    """A condition on one column; several must all hold.

    `!=` and `not in` keep records without a value: a missing value is not the unwanted one.

    Attributes:
        column: name of a column, heading or property.
        op: the comparison; `like` knows % for any text and _ for one character.
        value: what to compare with; several values for `in` and `not in`, none for the null tests.
    """

    column: str
    op: Operator
    value: tuple[str, ...] | tuple[int, ...] | bool | int | float | str | date | None = None

    def __post_init__(self) -> None:
        if self.op in ("is null", "is not null"):
            if self.value is not None:
                raise ValueError(f"value: {self.op!r} compares with nothing, found {self.value!r}")
        elif self.op in ("in", "not in"):
            if not isinstance(self.value, tuple) or not self.value:
                raise ValueError(f"value: {self.op!r} needs a list of values, found {self.value!r}")
        elif self.value is None or isinstance(self.value, tuple):
            raise ValueError(f"value: {self.op!r} needs one value, found {self.value!r}")
        values = self.value if isinstance(self.value, tuple) else (self.value,)
        if any(isinstance(value, int) and abs(value) >= LARGEST for value in values):
            raise ValueError("value: found an integer that no database can hold")


@dataclass(frozen=True)
class Exclusion:
    """A named rule that takes records out of the count; its number of records is printed.

    A record that meets several rules counts for the first. All conditions of a rule must hold.
    """

    name: str
    where: tuple[Filter, ...]

    def __post_init__(self) -> None:
        if not self.where:
            raise ValueError("where: an exclusion needs at least one condition, found none")


def check_exclusions(rules: Sequence[Exclusion]) -> None:
    """Raise ValueError when two rules share a name."""
    names = [rule.name for rule in rules]
    if len(set(names)) != len(names):
        raise ValueError(f"exclusions: names must differ, found {', '.join(names)}")


def check_website(source: str | None, website: tuple[str, ...]) -> None:
    """Raise ValueError when only one is given of a source column and its values that mean the website."""
    if bool(source) != bool(website):
        raise ValueError(
            "website: the values of `source` that mean the website; give both or neither, found "
            f"source = {source!r} and website = {list(website)!r}"
        )


def check_zone(zone: str | None) -> None:
    """Raise ValueError when `stored_in` names no IANA time zone."""
    if zone is None:
        return
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(
            f"stored_in: {zone!r} is no IANA time zone; write one such as 'UTC' or 'Europe/Zurich'"
        ) from error

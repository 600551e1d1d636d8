"""What a connector keeps between its capabilities: the client, definitions, rows of the last reading."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from digest.model import Period

if TYPE_CHECKING:
    from digest.connectors.hubspot.schema import Property, Schema
    from digest.connectors.hubspot.transport import Session


@dataclass(frozen=True)
class Reading:
    """The records of one pull, without ids.

    Attributes:
        window: the days in which each has at least one of its dates. now: the instant of asking.
        rows: the properties that were asked for. stale: rows that the index should not have given.
        left_out: rows that the filters leave out.
    """

    window: Period
    now: datetime
    schema: Schema
    rows: tuple[Mapping[str, str | None], ...] = field(repr=False)
    stale: int
    left_out: int

    def covers(self, period: Period, now: datetime) -> bool:
        """Whether it holds all of a period, asked at the same instant."""
        same = self.now == now and self.window.timezone == period.timezone
        return same and self.window.start <= period.start and period.end <= self.window.end


@dataclass
class Definitions:
    """The properties of one object as one run found them.

    Attributes:
        asked: names that were asked for, whether they exist or not. all: every name, once it was needed.
        calls: made for them.
    """

    kind: str
    known: dict[str, Property] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    all: tuple[str, ...] | None = None
    calls: int = 0


class Kept:
    """The state of a connector; a new run has a new connector."""

    def __init__(self) -> None:
        self.session: Session | None = None
        self.reading: Reading | None = None
        self._asked_at: datetime | None = None
        self._definitions: dict[str, Definitions] = {}
        self._totals: dict[str, int] = {}

    def definitions_of(self, kind: str, now: datetime) -> Definitions:
        """Return what this run knows of an object; a later one asks anew, for names change."""
        self._begin(now)
        return self._definitions.setdefault(kind, Definitions(kind))

    def totals_of(self, now: datetime) -> dict[str, int]:
        """Return the totals that a check has asked for, by search."""
        self._begin(now)
        return self._totals

    def _begin(self, now: datetime) -> None:
        if now != self._asked_at:
            self._asked_at, self._definitions, self._totals = now, {}, {}

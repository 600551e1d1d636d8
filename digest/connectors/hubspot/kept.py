"""What a connector keeps between its capabilities: the client, and the rows of the last reading."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from digest.model import Period

if TYPE_CHECKING:
    from digest.connectors.hubspot.schema import Schema
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


class Kept:
    """The state of a connector; a new run has a new connector."""

    def __init__(self) -> None:
        self.session: Session | None = None
        self.reading: Reading | None = None

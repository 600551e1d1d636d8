"""Where lead counts come from. To add one: write its module, then add its line to CONNECTORS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol, runtime_checkable

from digest.connectors.hubspot import Hubspot
from digest.connectors.salesforce import Salesforce
from digest.connectors.spreadsheet import Spreadsheet
from digest.connectors.sql import Sql
from digest.model import DealStatistics, Finding, FollowUpRow, LeadCounts, Period, Segment


class Connector(Protocol):
    """A place that knows how many leads came in."""

    def count_leads(
        self, *, period: Period, segments: Sequence[Segment], now: datetime
    ) -> LeadCounts:
        """Count the leads of a period by local day and segment.

        Returns one row per day and segment that has leads; a missing row is a zero. Leads of no known
        segment come back as unassigned, never dropped. `now` is the instant of asking (UTC); it becomes
        `as_of` unless the source knows better.

        Raises:
            ConnectorError: any part could not be read. A partial count is no count.
            ConfigError: a table, column, file or sheet named in the settings does not exist.
        """


@runtime_checkable
class MeasuresDeals(Protocol):
    """A connector that also knows deals: steps 2 and 4 of the worksheet."""

    def deal_statistics(
        self, *, window: Period, segments: Sequence[Segment], now: datetime
    ) -> DealStatistics:
        """Measure deals and leads of a window of complete months, per segment and currency.

        Raises:
            ConnectorError: any part could not be read.
        """


@runtime_checkable
class MeasuresFollowUp(Protocol):
    """A connector that also knows what sales did with the leads."""

    def follow_up(
        self, *, period: Period, segments: Sequence[Segment], now: datetime
    ) -> tuple[FollowUpRow, ...]:
        """Return one row per lead qualified in the period, without identity.

        Raises:
            ConnectorError: any part could not be read.
        """


@runtime_checkable
class Checks(Protocol):
    """A connector that can prove beforehand that a run would work."""

    def check(
        self, *, period: Period, segments: Sequence[Segment], now: datetime
    ) -> tuple[Finding, ...]:
        """Look at credentials, tables, fields, permissions and time zones with the fewest calls.

        Never raises for something a person can mend: that is a finding of level "error".
        """


@runtime_checkable
class Metered(Protocol):
    """A connector whose calls are limited: closed months are read once a week and kept in between."""

    @property
    def metered(self) -> bool:
        """True."""


@runtime_checkable
class Costs(Protocol):
    """A connector whose calls are limited, and that can tell beforehand how many a run makes."""

    def cost(
        self,
        *,
        counted: Sequence[Period],
        deals: Period | None,
        segments: Sequence[Segment],
        now: datetime,
    ) -> tuple[int, int]:
        """Return the calls of a run that counts these periods, and those more that measure deals.

        `deals` is the window in which deals are measured, None when they are not.

        Raises:
            ConnectorError, ConfigError: such a run would not work.
        """


@runtime_checkable
class HasAccount(Protocol):
    """A connector whose source limits an account, which several digests may share."""

    @property
    def account(self) -> str:
        """A name for the account that shows no secret; the same in every process."""


@runtime_checkable
class Paced(HasAccount, Protocol):
    """A connector whose account allows only so many calls in a second, whoever makes them."""

    @property
    def per_second(self) -> float:
        """How many."""


@runtime_checkable
class TellsTime(Protocol):
    """A connector that knows what time it is at the source."""

    def source_time(self) -> datetime | None:
        """Return the time by the source's own clock; None when its answers have not told.

        Raises:
            ConnectorError: the source had to be asked and did not answer.
        """


CONNECTORS: Mapping[str, type[Connector]] = {
    "hubspot": Hubspot,
    "salesforce": Salesforce,
    "spreadsheet": Spreadsheet,
    "sql": Sql,
}

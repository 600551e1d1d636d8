"""Counts leads in a SQL database: one pushed-down aggregate over a read-only session.

Nothing but counts per day and segment leaves the database. Table and columns are looked up by
reflection and quoted by the dialect, values are always bound, and the counts are compared with a
second count in the same transaction.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from digest.conditions import Exclusion, Filter, check_exclusions, check_website, check_zone
from digest.model import (
    DealStatistics,
    Finding,
    FollowUpRow,
    LeadCounts,
    Period,
    Secret,
    Segment,
)

Format = Literal["iso-z", "iso-space", "epoch-s", "epoch-ms"]
DateType = Literal["with time zone", "without time zone", "date", "text", "integer"]

INLINE_PASSWORD = re.compile(
    r"://[^:/@]*:[^@]+@|[?&][^=&]*(password|passwd|pwd|token|secret)[^=&]*=", re.IGNORECASE
)


@dataclass(frozen=True)
class Deals:
    """Where closed deals stand, for measured close rates and deal sizes (worksheet steps 2 and 4).

    Attributes:
        table: name, schema-qualified where needed.
        closed: column with the date or time of closing.
        segment: column with the segment's value.
        outcome: column that tells won from lost; other values are open deals and are not counted.
        won, lost: values of `outcome`, compared trimmed and without case.
        amount: column with the deal's value; None when the table has none.
        currency: ISO code of every amount, or None.
        currency_column: column with an ISO code per deal, or None. One of the two goes with `amount`.
        stored_in, format: as for the leads' date columns.
    """

    table: str
    closed: str
    segment: str
    outcome: str
    won: tuple[str, ...]
    lost: tuple[str, ...] = ()
    amount: str | None = None
    currency: str | None = None
    currency_column: str | None = None
    stored_in: str | None = None
    format: Format | None = None
    filters: tuple[Filter, ...] = ()

    def __post_init__(self) -> None:
        if not self.won:
            raise ValueError(f"won: name the values of {self.outcome!r} that mean a won deal")
        if self.amount and (self.currency is None) == (self.currency_column is None):
            raise ValueError(
                "currency: an amount needs a currency; give either currency (one ISO code for all "
                "deals) or currency_column (a column with the code)"
            )
        check_zone(self.stored_in)


@dataclass(frozen=True)
class FollowUpColumns:
    """Where the sales half of the SLA stands: one row per qualified lead.

    Attributes:
        clock_start: column with the instant of qualification or assignment.
        first_response: column with the first human outbound activity, null while there is none.
        attempts: column with the number of outbound activities so far.
        outcome: column with the state of the lead, None when there is none (every lead is open).
        accepted, rejected, closed: values of `outcome`; any other value means open.
        source: column with where the lead came from. website: its values that mean the website, where a
            sooner answer is promised.
        table, segment, stored_in, format: None for those of the leads.
    """

    clock_start: str
    first_response: str
    attempts: str
    outcome: str | None = None
    accepted: tuple[str, ...] = ()
    rejected: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()
    source: str | None = None
    website: tuple[str, ...] = ()
    table: str | None = None
    segment: str | None = None
    stored_in: str | None = None
    format: Format | None = None
    filters: tuple[Filter, ...] = ()

    def __post_init__(self) -> None:
        check_website(self.source, self.website)
        check_zone(self.stored_in)


@dataclass(frozen=True)
class Sql:
    """A table or view with one row per lead, per event of a lead, or per day and segment.

    Attributes:
        url: SQLAlchemy URL without a password ("postgresql://digest@crm.example/sales"), or the whole
            URL as a secret. `postgres://`, `mysql://`, `mariadb://` and `mssql://` mean the drivers of
            our extras. A relative SQLite or DuckDB path counts from the configuration's folder.
        password: the role's password.
        table: table or view, schema-qualified where needed.
        dates: columns with the lead's dates; a lead counts once, on the earliest that it has.
        segment: column with the segment's value.
        stored_in: IANA zone of time columns without a zone; required for them.
        format: how a text or integer column writes time; required for them.
        count_column: column with the number of leads, for a table with a row per day and segment.
        distinct: column with the lead's id, for a table with a row per event; a row without an id
            counts as a lead of its own.
        distinct_segment: which event's segment such a lead has, the first or the last up to the cut-off.
        filters: conditions that every counted row meets.
        exclusions: named rules that take rows out.
        loaded_at: column with the time of the last load; its maximum becomes `as_of`, and data older
            than the cut-off is refused.
        customer: column with the date on which the lead became a customer.
        deals, follow_up_columns: where deals and follow-up stand; None when the database has none.
        timeout_seconds: limit of one statement.
        max_groups: limit of day-segment pairs in one answer.
        custom_sql: a SELECT used in place of `table`; needs allow_custom_sql and date_type.
        date_type: type of the date columns of custom_sql, which reflection cannot see.
        folder: folder of the configuration file; set by the settings.
    """

    url: str | Secret
    dates: tuple[str, ...]
    segment: str
    table: str | None = None
    password: Secret | None = None
    stored_in: str | None = None
    format: Format | None = None
    count_column: str | None = None
    distinct: str | None = None
    distinct_segment: Literal["first", "last"] = "first"
    filters: tuple[Filter, ...] = ()
    exclusions: tuple[Exclusion, ...] = ()
    loaded_at: str | None = None
    customer: str | None = None
    deals: Deals | None = None
    follow_up_columns: FollowUpColumns | None = None
    timeout_seconds: int = 30
    max_groups: int = 10_000
    custom_sql: str | None = None
    allow_custom_sql: bool = False
    date_type: DateType | None = None
    folder: Path = Path()

    @property
    def account(self) -> str:
        """The database: when it is down, it is down for every digest that reads it."""
        url = self.url.reveal() if isinstance(self.url, Secret) else self.url
        whole = f"{url} {self.folder if url.startswith(('sqlite', 'duckdb')) else ''}"
        return f"sql:{hashlib.sha256(whole.encode()).hexdigest()[:16]}"

    def __post_init__(self) -> None:
        _check_url(self.url)
        check_zone(self.stored_in)
        if not self.dates:
            raise ValueError("dates: name at least one column with the lead's date, found none")
        if self.distinct and self.count_column:
            raise ValueError("distinct: a row is either an event of a lead or a count, not both")
        if self.customer and self.count_column:
            raise ValueError("customer: a table of daily counts has no customers, found both")
        if not 1 <= self.timeout_seconds <= 600:  # noqa: PLR2004 - ten minutes, as the message says
            raise ValueError(f"timeout_seconds: found {self.timeout_seconds}, allowed 1 to 600")
        if self.max_groups < 1:
            raise ValueError(f"max_groups: found {self.max_groups}, allowed 1 or more")
        check_exclusions(self.exclusions)
        self._check_relation()

    def _check_relation(self) -> None:
        if (self.table is None) == (self.custom_sql is None):
            raise ValueError("table: give either table or custom_sql")
        if self.custom_sql is None:
            return
        if not self.allow_custom_sql:
            raise ValueError("custom_sql: set allow_custom_sql = true to use a SELECT of your own")
        if self.date_type is None:
            raise ValueError("date_type: required with custom_sql, whose column types are unknown")
        from digest.connectors.sql.guard import objections
        from digest.connectors.sql.session import backend

        found = objections(self.custom_sql, backend(self.url))
        if found:
            raise ValueError("custom_sql: " + "; ".join(found))

    def count_leads(
        self, *, period: Period, segments: Sequence[Segment], now: datetime
    ) -> LeadCounts:
        """See `digest.connectors.Connector`."""
        from digest.connectors.sql.counting import count_leads

        return count_leads(self, period, segments, now)

    def deal_statistics(
        self, *, window: Period, segments: Sequence[Segment], now: datetime
    ) -> DealStatistics:
        """See `digest.connectors.MeasuresDeals`.

        Leads and customers of a segment stand on its first entry (the currency of most won deals), so
        that sums over entries are right. Without a `customer` column a won deal is one customer, and the
        cohort is not measurable: it repeats the pooled figure.

        Raises:
            ConfigError: the settings have no [deals].
        """
        from digest.connectors.sql.dealing import deal_statistics

        return deal_statistics(self, window, segments, now)

    def follow_up(
        self, *, period: Period, segments: Sequence[Segment], now: datetime
    ) -> tuple[FollowUpRow, ...]:
        """See `digest.connectors.MeasuresFollowUp`.

        Raises:
            ConfigError: the settings have no [follow_up_columns].
        """
        from digest.connectors.sql.following import follow_up

        return follow_up(self, period, segments, now)

    def source_time(self) -> datetime | None:
        """See `digest.connectors.TellsTime`; one statement, on PostgreSQL only."""
        from digest.connectors.sql.session import server_time

        return server_time(self)

    def check(
        self, *, period: Period, segments: Sequence[Segment], now: datetime
    ) -> tuple[Finding, ...]:
        """See `digest.connectors.Checks`."""
        from digest.connectors.sql.checks import check

        return check(self, period, segments, now)


def _check_url(url: str | Secret) -> None:
    if isinstance(url, str) and INLINE_PASSWORD.search(url):
        raise ValueError(
            'url: holds a password; take it out and set password = { env = "DIGEST_DB_PASSWORD" } '
            "(or file, keyring), or give the whole url as such a reference"
        )
    if "://" not in (url if isinstance(url, str) else url.reveal()):
        raise ValueError("url: expected scheme://user@host/database, as in sqlite:///leads.db")

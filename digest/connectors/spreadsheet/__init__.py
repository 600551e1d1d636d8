"""Counts leads in an Excel, LibreOffice or CSV list, or in a Google sheet.

Columns are declared, values are read by `digest.notation`, and whatever cannot be read is refused with
its cell. Nothing but counts per day and segment leaves the file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Literal

from digest.conditions import Exclusion, Filter, check_exclusions, check_website, check_zone
from digest.errors import nearest
from digest.model import (
    DealStatistics,
    Finding,
    FollowUpRow,
    LeadCounts,
    Period,
    Secret,
    Segment,
)
from digest.notation import CURRENCIES, DateOrder, Locale
from digest.tables import Delimiter, Encoding, Web

_AGE = re.compile(r"(\d{1,4}) (days?|workdays?)")


@dataclass(frozen=True)
class Deals:
    """Where closed deals stand, for measured close rates and deal sizes (worksheet steps 2 and 4).

    Attributes:
        closed: column with the date or time of closing.
        segment: column with the segment's value.
        outcome: column that tells won from lost; other values are open deals and are not counted.
        won, lost: values of `outcome`, compared trimmed and without case.
        amount: column with the deal's value; None when the list has none.
        currency: ISO code of every amount, or None.
        currency_column: column with an ISO code per deal, or None. An amount needs one of the two unless
            every cell says its currency itself ("CHF 1’200").
        file, link, sheet: None for those of the leads; a file or link of its own starts at its first sheet.
        header_row: as for the leads.
        stored_in: IANA zone of closing times without a zone; None for plain dates.
    """

    closed: str
    segment: str
    outcome: str
    won: tuple[str, ...]
    lost: tuple[str, ...] = ()
    amount: str | None = None
    currency: str | None = None
    currency_column: str | None = None
    file: Path | None = None
    link: str | Secret | None = None
    sheet: str | None = None
    header_row: int | None = None
    stored_in: str | None = None
    filters: tuple[Filter, ...] = ()

    def __post_init__(self) -> None:
        if not self.won:
            raise ValueError(f"won: name the values of {self.outcome!r} that mean a won deal")
        if self.currency is not None and self.currency not in CURRENCIES:
            hint = nearest(self.currency, sorted(CURRENCIES))
            raise ValueError(f"currency: {self.currency!r} is no ISO 4217 code{hint}")
        if self.currency is not None and self.currency_column is not None:
            raise ValueError("currency: give either currency or currency_column, found both")
        if self.file is not None and self.link is not None:
            raise ValueError("file: give either file or link, found both")
        check_zone(self.stored_in)


@dataclass(frozen=True)
class FollowUpColumns:
    """Where the sales half of the SLA stands: one row per qualified lead.

    Attributes:
        clock_start: column with the instant of qualification or assignment; rows without it are left out.
        first_response: column with the first human outbound activity, blank while there is none.
        attempts: column with the number of outbound activities so far; blank is 0.
        outcome: column with the state of the lead, None when there is none (every lead is open).
        accepted, rejected, closed: values of `outcome`; any other value means open.
        source: column with where the lead came from. website: its values that mean the website, where a
            sooner answer is promised.
        file, link, sheet, segment, header_row, stored_in: None for those of the leads.
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
    segment: str | None = None
    file: Path | None = None
    link: str | Secret | None = None
    sheet: str | None = None
    header_row: int | None = None
    stored_in: str | None = None
    filters: tuple[Filter, ...] = ()

    def __post_init__(self) -> None:
        if self.file is not None and self.link is not None:
            raise ValueError("file: give either file or link, found both")
        check_website(self.source, self.website)
        check_zone(self.stored_in)


@dataclass(frozen=True)
class Spreadsheet:
    """A list with one row per lead, or with one row per day and segment and the number of leads.

    Attributes:
        dates: columns with the lead's dates; a lead counts once, on the earliest that it has.
        segment: column with the segment's value.
        file: .xlsx, .xls, .ods or .csv; a relative path counts from the configuration's folder.
        link: link to a Google sheet that anyone who has the link may view, best given as a secret.
        sheet: sheet of a workbook; its first one when not given.
        header_row: number of the row with the headings; the first row that is not blank when not given.
        count_column: column with the number of leads, for a list with a row per day and segment.
        stored_in: IANA zone of times without a zone; required for them. None for plain dates.
        date_order: settles dates such as 11/01/2026.
        locale: settles numbers such as 1.234 in count and amount columns.
        undated: what a row without any date is: a mistake to refuse, or no lead yet to skip.
        encoding, delimiter: of a CSV; the delimiter is found in the headings when not given.
        duplicate_key: column whose values must differ, to notice an export that was appended twice.
        filters: conditions that every counted row meets.
        exclusions: named rules that take rows out.
        max_age: how old the newest row may be at the cut-off: "3 workdays", "7 days", or "any" age.
            Workdays are Monday to Friday here.
        customer: column with the date on which the lead became a customer.
        deals, follow_up_columns: where deals and follow-up stand; None when there are none.
        folder: folder of the configuration file; set by the settings.
    """

    dates: tuple[str, ...]
    segment: str
    file: Path | None = None
    link: str | Secret | None = None
    sheet: str | None = None
    header_row: int | None = None
    count_column: str | None = None
    stored_in: str | None = None
    date_order: DateOrder | None = None
    locale: Locale | None = None
    undated: Literal["refuse", "skip"] = "refuse"
    encoding: Encoding = "utf-8"
    delimiter: Delimiter | None = None
    duplicate_key: str | None = None
    filters: tuple[Filter, ...] = ()
    exclusions: tuple[Exclusion, ...] = ()
    max_age: str = "3 workdays"
    customer: str | None = None
    deals: Deals | None = None
    follow_up_columns: FollowUpColumns | None = None
    folder: Path = Path()

    # Not a setting: a test reaches a server on loopback by a subclass with its own.
    web: ClassVar[Web] = Web()

    def __post_init__(self) -> None:
        if (self.file is None) == (self.link is None):
            raise ValueError("file: give either file or link")
        if not self.dates:
            raise ValueError("dates: name at least one column with the lead's date, found none")
        if self.customer and self.count_column:
            raise ValueError("customer: a list of daily counts has no customers, found both")
        if self.duplicate_key and self.count_column:
            raise ValueError("duplicate_key: a list of daily counts has no leads, found both")
        if self.header_row is not None and self.header_row < 1:
            raise ValueError(f"header_row: found {self.header_row}, allowed 1 or more")
        if self.max_age != "any" and not _AGE.fullmatch(self.max_age):
            raise ValueError(
                f"max_age: found {self.max_age!r}, allowed such as '3 workdays', '7 days', or 'any'"
            )
        check_exclusions(self.exclusions)
        check_zone(self.stored_in)

    @property
    def age_limit(self) -> tuple[int, bool] | None:
        """Days of `max_age` and whether they are workdays; None for any age."""
        match = _AGE.fullmatch(self.max_age)
        return (int(match[1]), match[2].startswith("work")) if match else None

    def count_leads(
        self, *, period: Period, segments: Sequence[Segment], now: datetime
    ) -> LeadCounts:
        """See `digest.connectors.Connector`."""
        from digest.connectors.spreadsheet.counting import count_leads

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
        from digest.connectors.spreadsheet.dealing import deal_statistics

        return deal_statistics(self, window, segments, now)

    def follow_up(
        self, *, period: Period, segments: Sequence[Segment], now: datetime
    ) -> tuple[FollowUpRow, ...]:
        """See `digest.connectors.MeasuresFollowUp`.

        Raises:
            ConfigError: the settings have no [follow_up_columns].
        """
        from digest.connectors.spreadsheet.following import follow_up

        return follow_up(self, period, segments, now)

    def check(
        self, *, period: Period, segments: Sequence[Segment], now: datetime
    ) -> tuple[Finding, ...]:
        """See `digest.connectors.Checks`."""
        from digest.connectors.spreadsheet.checks import check

        return check(self, period, segments, now)

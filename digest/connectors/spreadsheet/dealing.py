"""Measures deals: what was won and lost in a window, and how many leads became customers."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from digest.connectors.spreadsheet.clocks import DayColumn, blank
from digest.connectors.spreadsheet.conditions import all_of, columns_of
from digest.connectors.spreadsheet.counting import Leads
from digest.connectors.spreadsheet.reading import (
    NAME,
    origin_of,
    place_of,
    read,
    refuse_errors,
    refusing,
    text_of,
)
from digest.errors import ConfigError, nearest
from digest.model import (
    UNASSIGNED,
    DealStatistics,
    Period,
    Segment,
    SegmentMap,
    normalise,
)
from digest.notation import CURRENCIES, parse_money
from digest.tables import Table
from digest.tally import ClosedDeals, Funnel, known_values, segment_deals

if TYPE_CHECKING:
    from digest.connectors.spreadsheet import Deals, Spreadsheet


def deal_statistics(
    settings: Spreadsheet, window: Period, segments: Sequence[Segment], now: datetime
) -> DealStatistics:
    """Measure both lists, each in one pass."""
    deals = settings.deals
    if deals is None:
        raise ConfigError(
            f"{NAME}: deals: the settings name no list of deals; add [connector.deals] with closed, "
            "segment, outcome and won"
        )
    segment_map = SegmentMap(segments)
    place = place_of(settings, deals)
    closed, deals_as_of = read(
        settings, place, lambda table: _closed(settings, deals, table, window, segment_map), now
    )
    funnel, leads_as_of = read(
        settings,
        place_of(settings),
        lambda table: _funnel(settings, table, window, segment_map),
        now,
    )
    return DealStatistics(
        window,
        segment_deals(closed, funnel, segments),
        min(deals_as_of, leads_as_of),
        origin_of(place, calls=2),
    )


def _closed(
    settings: Spreadsheet, deals: Deals, table: Table, window: Period, segments: SegmentMap
) -> dict[tuple[str, str | None], ClosedDeals]:
    columns = _Columns(settings, deals, table, window)
    won, lost = known_values(deals.won), known_values(deals.lost)
    keep = all_of(table, deals.filters, locale=settings.locale, order=settings.date_order)
    days = len(window.days())
    found: dict[tuple[str, str | None], ClosedDeals] = defaultdict(ClosedDeals)
    for row, cells in table.rows:
        outcome = normalise(text_of(cells[columns.outcome]) or "")
        if outcome not in won | lost or (keep is not None and not keep(row, cells)):
            continue  # an open deal, or one the filters leave out
        if not 0 <= columns.closed.position(row, cells[columns.closed.column]) < days:
            continue
        name = segments.segment_of(text_of(cells[columns.segment])) or UNASSIGNED
        amount, currency = columns.money(row, cells)
        tally = found[name, currency]
        if outcome in lost:
            tally.lost += 1
            continue
        tally.won += 1
        if amount is not None and amount > 0:
            tally.with_amount += 1
            tally.amount += amount
    return dict(found)


class _Columns:
    """The columns of a list of deals.

    Raises:
        TableError: one does not exist, or shows an error such as #DIV/0!.
    """

    def __init__(self, settings: Spreadsheet, deals: Deals, table: Table, window: Period) -> None:
        self._table = table
        self._fixed = deals.currency
        self._locale = settings.locale
        self.closed = DayColumn(
            table,
            table.column(deals.closed),
            window,
            stored_in=deals.stored_in,
            order=settings.date_order,
        )
        self.segment = table.column(deals.segment)
        self.outcome = table.column(deals.outcome)
        self._amount = None if deals.amount is None else table.column(deals.amount)
        named = deals.currency_column
        self._currency = None if named is None else table.column(named)
        used = (self.closed.column, self.segment, self.outcome, self._amount, self._currency)
        refuse_errors(
            table, [*(c for c in used if c is not None), *columns_of(table, deals.filters)]
        )

    def money(self, row: int, cells: Sequence[object]) -> tuple[Decimal | None, str | None]:
        """Return the deal's amount, None when its cell is blank, and its currency.

        Raises:
            TableError: no amount, no currency, or two that differ.
        """
        currency = self._fixed
        if self._currency is not None and not blank(cells[self._currency]):
            currency = (text_of(cells[self._currency]) or "").upper()
            if currency not in CURRENCIES:
                hint = nearest(currency, sorted(CURRENCIES))
                message = (
                    f"found {currency[:20]!r}, no ISO 4217 currency{hint or '; write its code'}"
                )
                raise self._table.refuse(row, self._currency, message)
        if self._amount is None or blank(cells[self._amount]):
            return None, currency
        with refusing(self._table, row, self._amount):
            amount, written = parse_money(cells[self._amount], self._locale)
            if written and currency and written != currency:
                msg = f"found {written}, although the deal is in {currency}; correct one of the two"
                raise ValueError(msg)
            if not (written or currency):
                msg = (
                    "found an amount without a currency; set currency or currency_column in "
                    "[connector.deals]"
                )
                raise ValueError(msg)
        return amount, written or currency


def _funnel(settings: Spreadsheet, table: Table, window: Period, segments: SegmentMap) -> Funnel:
    leads = Leads(settings, table, window)
    days = len(window.days())
    counted, pooled, cohort = Counter[str](), Counter[str](), Counter[str]()
    became = None
    if settings.customer is not None:
        became = DayColumn(
            table,
            table.column(settings.customer),
            window,
            stored_in=settings.stored_in,
            order=settings.date_order,
        )
        refuse_errors(table, [became.column])
    for row, cells, position in leads.rows():
        if leads.excluded_by(row, cells) is not None:
            continue
        name = segments.segment_of(leads.segment_value(cells)) or UNASSIGNED
        inside = 0 <= position < days
        if inside:
            counted[name] += leads.number(row, cells)
        if became is None or blank(cells[became.column]):
            continue
        won = became.position(row, cells[became.column])
        pooled[name] += 0 <= won < days
        cohort[name] += inside
    return Funnel(counted) if became is None else Funnel(counted, pooled, cohort)

"""Measures closed deals, and leads and customers of the same months, from two pulls."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from digest.connectors.hubspot.counting import exclusion_tests, read_leads, segment_name
from digest.connectors.hubspot.failures import NAME
from digest.connectors.hubspot.schema import Catalogue, Property, lead_schema
from digest.connectors.hubspot.searching import (
    Condition,
    Dated,
    Query,
    Row,
    Span,
    condition,
    packed,
    pull,
)
from digest.connectors.hubspot.transport import Errand
from digest.connectors.hubspot.values import Days, asked_of_hubspot, number, parts, test_of
from digest.errors import ConfigError, ConnectorError, Reason
from digest.model import UNASSIGNED, DealStatistics, Origin, Period, Segment, SegmentMap
from digest.tally import ClosedDeals, Funnel, segment_deals

if TYPE_CHECKING:
    from digest.connectors.hubspot import Deals, Hubspot

CLOSED = "closedate"
IS_CLOSED, IS_WON = "hs_is_closed", "hs_is_closed_won"
AMOUNT, HOME_AMOUNT, CURRENCY = "amount", "amount_in_home_currency", "deal_currency_code"
NEEDED = (CLOSED, IS_CLOSED, IS_WON, AMOUNT)
OPTIONAL = (HOME_AMOUNT, CURRENCY)  # of portals with several currencies


def deal_statistics(
    settings: Hubspot, window: Period, segments: Sequence[Segment], now: datetime
) -> DealStatistics:
    """Measure deals by their close date, and leads by the rules of the count."""
    deals = settings.deals
    if deals is None:
        raise ConfigError(f"{NAME}: deals: the settings name none; add [connector.deals]")
    segment_map = SegmentMap(segments)
    errand = settings.errand(now, window.timezone)
    home = home_currency(settings, deals, errand)
    closed, loose = _closed(settings, deals, window, segment_map, errand, home=home)
    funnel = _funnel(settings, window, segment_map, errand)
    query = f"deals closed from {window.start} until before {window.end}, leads of the same days"
    if loose:
        query += f"; {loose} amounts not convertible and left out"
    return DealStatistics(
        window,
        segment_deals(closed, funnel, segments),
        now,
        Origin(NAME, "HubSpot, deals", query, errand.calls),
    )


def home_currency(settings: Hubspot, deals: Deals, errand: Errand) -> str:
    """Return the account's currency.

    Raises:
        ConfigError: the token may not read the account, and the settings name no currency.
    """
    try:
        found = settings.session().account(errand).get("companyCurrency")
    except ConnectorError as error:
        if error.reason is not Reason.AUTH or deals.currency is None:
            raise
        found = None
    currency = found if isinstance(found, str) and found else deals.currency
    if currency is None:
        raise ConfigError(
            f"{NAME}: deals.currency: the account names no currency; set it to its ISO code"
        )
    return currency


def deal_catalogue(settings: Hubspot, deals: Deals, errand: Errand) -> Mapping[str, Property]:
    """Read the definitions of the deals' properties.

    Raises:
        ConfigError: one is missing; deals are then not measurable.
    """
    definitions = settings.kept.definitions_of("deals", errand.now)
    catalogue = Catalogue(settings.session(), errand, definitions)
    own = [] if deals.segment is None else [deals.segment]
    needed = [*NEEDED, *own, *(entry.column for entry in deals.filters)]
    catalogue.read([*needed, *OPTIONAL])
    missing = catalogue.missing(needed)
    if missing:
        raise ConfigError(*(f"{NAME}: deals cannot be measured: {text}" for text in missing))
    return catalogue.known


def deal_query(deals: Deals, window: Period, known: Mapping[str, Property]) -> Query:
    """Return the search of the deals closed in a window; an open deal's close date is a hope."""
    names = [*NEEDED, *(name for name in OPTIONAL if name in known)]
    names += [] if deals.segment is None else [deals.segment]
    names += [entry.column for entry in deals.filters]
    closed: Condition = condition(IS_CLOSED, "EQ", "true")
    return Query(
        "deals",
        (Dated(CLOSED, known[CLOSED].type == "date"),),
        Span.of(window),
        (closed, *asked_of_hubspot(deals.filters, known)[:2]),
        tuple(dict.fromkeys(names)),
    )


def _closed(
    settings: Hubspot,
    deals: Deals,
    window: Period,
    segments: SegmentMap,
    errand: Errand,
    *,
    home: str,
) -> tuple[dict[tuple[str, str | None], ClosedDeals], int]:
    known = deal_catalogue(settings, deals, errand)
    found: dict[int, Row] = {}
    for part in packed(deal_query(deals, window, known)):
        found |= pull(settings.session(), part, errand) or {}
    days = Days(window, (Dated(CLOSED, known[CLOSED].type == "date"),))
    keeps = test_of(deals.filters, known, window.timezone)
    tallies: dict[tuple[str, str | None], ClosedDeals] = defaultdict(ClosedDeals)
    loose = 0
    for row in found.values():
        at = days.position(row)
        inside = at is not None and 0 <= at < days.length
        if not inside or not _true(row, IS_CLOSED) or not keeps(row):
            continue  # the index was older than the record, or a filter leaves it out
        name = None
        if deals.segment is not None:
            name = segments.segment_of(*parts(row, known[deals.segment]))
        tally = tallies[name or UNASSIGNED, home]
        if not _true(row, IS_WON):
            tally.lost += 1
            continue
        tally.won += 1
        amount, convertible = _amount(row, home)
        loose += not convertible
        if amount is not None and amount > 0:
            tally.with_amount += 1
            tally.amount += amount
    return dict(tallies), loose


def _true(row: Row, name: str) -> bool:
    return (row.get(name) or "").casefold() == "true"


def _amount(row: Row, home: str) -> tuple[Decimal | None, bool]:
    """Return the amount in the home currency, and whether what there is could be converted."""
    converted = number(row, HOME_AMOUNT)
    if converted is not None:
        return converted, True
    amount = number(row, AMOUNT)
    if amount is None or (row.get(CURRENCY) or home).casefold() == home.casefold():
        return amount, True
    return None, False


def _funnel(settings: Hubspot, window: Period, segments: SegmentMap, errand: Errand) -> Funnel:
    schema = lead_schema(settings, settings.session(), errand)
    also = () if schema.customer is None else (schema.customer,)
    reading = read_leads(settings, schema, window, errand, also=also)
    if reading is None:
        raise AssertionError("nothing ends this reading early")
    days = Days(window, schema.dates)
    rules = exclusion_tests(settings, schema, window.timezone)
    leads, pooled, cohort = Counter[str](), Counter[str](), Counter[str]()
    for row in reading.rows:
        if any(test(row) for _, test in rules):
            continue
        name = segment_name(row, schema, segments) or UNASSIGNED
        at = days.position(row)
        inside = at is not None and 0 <= at < days.length
        leads[name] += inside
        if schema.customer is None:
            continue
        won = days.place(row, schema.customer)
        pooled[name] += won is not None and 0 <= won < days.length
        cohort[name] += inside and won is not None
    return Funnel(leads) if schema.customer is None else Funnel(leads, pooled, cohort)

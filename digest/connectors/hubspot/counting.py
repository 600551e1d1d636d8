"""Counts the leads of a period by local day and segment, by reading every record or on the server."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from digest.connectors.hubspot.by_day import Counting
from digest.connectors.hubspot.failures import NAME, TRY_AGAIN
from digest.connectors.hubspot.kept import Reading
from digest.connectors.hubspot.schema import Schema, lead_schema
from digest.connectors.hubspot.searching import (
    MOST_BASE_FILTERS,
    Dated,
    Query,
    Row,
    Span,
    origin_query,
    packed,
    pull,
)
from digest.connectors.hubspot.transport import Errand
from digest.connectors.hubspot.values import Days, asked_of_hubspot, parts, test_of
from digest.errors import ConfigError, ConnectorError, Reason
from digest.model import LeadCounts, Origin, Period, Segment, SegmentMap, lead_counts

if TYPE_CHECKING:
    from digest.connectors.hubspot import Hubspot

_log = logging.getLogger(__name__)


def count_leads(
    settings: Hubspot, period: Period, segments: Sequence[Segment], now: datetime
) -> LeadCounts:
    """Count, by whichever way needs fewer calls."""
    segment_map = SegmentMap(segments)
    errand = settings.errand(now, period.timezone)
    window = window_of(settings, period)
    schema = lead_schema(settings, settings.session(), errand, settings.optional_properties)
    counting = Counting.of(settings, schema, period, segments)
    promised = 0

    def enough(total: int) -> bool:
        nonlocal promised
        promised = total
        return counting is not None and counting.is_cheaper(total)

    reading = read_leads(settings, schema, window, errand, enough=enough)
    if counting is not None and reading is None:
        return counting.count(settings.session(), errand, segments, promised)
    if reading is None:
        raise AssertionError("a reading ends early only for counting")
    settings.kept.reading = reading
    cells, excluded, before = _sorted_out(settings, reading, period, segment_map)
    total = len(reading.rows) - before - sum(excluded.values())
    if total != sum(cells.values()):
        raise ConnectorError(
            NAME,
            Reason.UNRECONCILED,
            "the records read and the leads counted differ",
            remedy=TRY_AGAIN,
        )
    if reading.stale:
        _log.info("%d records dropped that the search index gave by an old date", reading.stale)
    days = period.days()
    return lead_counts(
        period,
        segments,
        ((days[at], value, leads) for (at, value), leads in cells.items()),
        as_of=now,
        total=total,
        origin=origin_of(settings, schema.dates, window, errand, "paged"),
        excluded=tuple((rule.name, excluded[rule.name]) for rule in settings.exclusions),
    )


def origin_of(
    settings: Hubspot, dates: Sequence[Dated], window: Period, errand: Errand, how: str
) -> Origin:
    """Return what was asked, printable."""
    query = origin_query(settings.object, dates, window, how)
    return Origin(NAME, f"HubSpot, {settings.object}", query, errand.calls)


def window_of(settings: Hubspot, period: Period) -> Period:
    """Return the days that are read: with follow-up some before the period, too."""
    follow_up = settings.follow_up_properties
    if follow_up is None:
        return period
    return replace(period, start=period.start - timedelta(days=follow_up.days_before))


def read_leads(
    settings: Hubspot,
    schema: Schema,
    window: Period,
    errand: Errand,
    *,
    also: Sequence[Dated] = (),
    enough: Callable[[int], bool] = lambda _: False,
) -> Reading | None:
    """Read every record that has one of its dates in the window, each checked by its returned dates.

    Raises:
        ConnectorError: any page failed; what had arrived is no count.
    """
    dates = tuple(dict.fromkeys([*schema.dates, *also]))
    queries = lead_queries(settings, schema, window, dates)
    names = queries[0].properties
    found: dict[int, Row] = {}
    for part in queries:
        rows = pull(settings.session(), part, errand, enough)
        if rows is None:
            return None
        found |= rows
    days = Days(window, dates)
    keeps = test_of(settings.filters, schema.known, window.timezone)
    fresh = [row for row in found.values() if days.touches(row, dates)]
    kept = [row for row in fresh if keeps(row)]
    return Reading(
        window,
        errand.now,
        schema,
        tuple({name: row.get(name) for name in names} for row in kept),
        stale=len(found) - len(fresh),
        left_out=len(fresh) - len(kept),
    )


def lead_queries(
    settings: Hubspot, schema: Schema, window: Period, dates: tuple[Dated, ...]
) -> tuple[Query, ...]:
    """Return the searches of the records that have one of the dates in the window.

    Raises:
        ConfigError: they name more properties than one search takes.
    """
    optional = [name for name in settings.optional_properties if name in schema.known]
    names = dict.fromkeys([*(d.name for d in dates), *settings.lead_properties, *optional])
    query = Query(
        schema.kind,
        dates,
        Span.of(window),
        asked_of_hubspot(settings.filters, schema.known)[:MOST_BASE_FILTERS],
        tuple(names),
    )
    try:
        return packed(query)
    except ValueError as error:
        raise ConfigError(f"{NAME}: {error}") from error


def _sorted_out(
    settings: Hubspot, reading: Reading, period: Period, segments: SegmentMap
) -> tuple[Counter[tuple[int, str | None]], Counter[str], int]:
    """Return leads by day and value, records taken out by each exclusion, and records outside the period."""
    schema = reading.schema
    days = Days(period, schema.dates)
    rules = exclusion_tests(settings, schema, period.timezone)
    cells: Counter[tuple[int, str | None]] = Counter()
    excluded: Counter[str] = Counter()
    outside = 0
    for row in reading.rows:
        at = days.position(row)
        if at is None or not 0 <= at < days.length:
            outside += 1
            continue
        rule = next((name for name, test in rules if test(row)), None)
        if rule is not None:
            excluded[rule] += 1
            continue
        cells[at, value_of(row, schema, segments)] += 1
    return cells, excluded, outside


def exclusion_tests(
    settings: Hubspot, schema: Schema, zone: str
) -> list[tuple[str, Callable[[Row], bool]]]:
    """Return name and test of each exclusion."""
    return [(rule.name, test_of(rule.where, schema.known, zone)) for rule in settings.exclusions]


def value_of(row: Row, schema: Schema, segments: SegmentMap) -> str | None:
    """Return the value that decides the segment; of several the one of the segment that stands first."""
    text = row.get(schema.segment.name)
    values = parts(row, schema.segment)
    name = segments.segment_of(*values)
    if name is None or len(values) == 1:
        return text
    return next(value for value in values if segments.segment_of(value) == name)


def segment_name(row: Row, schema: Schema, segments: SegmentMap) -> str | None:
    """Return the segment of a record, None for unassigned."""
    return segments.segment_of(*parts(row, schema.segment))

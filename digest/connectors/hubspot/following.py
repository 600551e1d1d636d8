"""Reads what sales did with the leads from the rows of the count: times and counts, never who it was."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from digest.connectors.hubspot.counting import exclusion_tests, read_leads, segment_name
from digest.connectors.hubspot.failures import NAME
from digest.connectors.hubspot.kept import Reading
from digest.connectors.hubspot.schema import Catalogue, lead_schema
from digest.connectors.hubspot.values import Days, Row, instant, number
from digest.errors import ConfigError
from digest.model import UNASSIGNED, FollowUpRow, Period, Segment, SegmentMap, normalise
from digest.tally import outcomes

if TYPE_CHECKING:
    from digest.connectors.hubspot import FollowUpProperties, Hubspot

_log = logging.getLogger(__name__)


def follow_up(
    settings: Hubspot, period: Period, segments: Sequence[Segment], now: datetime
) -> tuple[FollowUpRow, ...]:
    """Return one row per lead qualified in the period, and nothing after `now`."""
    named = settings.follow_up_properties
    if named is None:
        raise ConfigError(
            f"{NAME}: follow_up_properties: the settings name none; add [connector.follow_up_properties]"
        )
    segment_map = SegmentMap(segments)
    reading = settings.kept.reading
    if reading is None or not reading.covers(period, now):
        # The edition of an earlier day asks as of that day.
        errand = settings.errand(now, period.timezone, present=False)
        schema = lead_schema(settings, settings.session(), errand, named.properties)
        reading = read_leads(settings, schema, period, errand)
    if reading is None:
        raise AssertionError("nothing ends this reading early")
    _refuse_missing(settings, named, reading, now, period.timezone)
    rows = sorted(
        _rows(settings, named, reading, period, segment_map),
        key=lambda row: (row.clock_start, row.segment, row.attempts, row.outcome),
    )
    return tuple(rows)


def _refuse_missing(
    settings: Hubspot, named: FollowUpProperties, reading: Reading, now: datetime, zone: str
) -> None:
    if all(name in reading.schema.known for name in named.properties):
        return
    definitions = settings.kept.definitions_of(settings.object, now)
    catalogue = Catalogue(
        settings.session(), settings.errand(now, zone, present=False), definitions
    )
    missing = catalogue.missing(named.properties)
    raise ConfigError(*(f"{NAME}: follow-up is not available: {mistake}" for mistake in missing))


def _rows(
    settings: Hubspot,
    named: FollowUpProperties,
    reading: Reading,
    period: Period,
    segments: SegmentMap,
) -> Iterator[FollowUpRow]:
    schema = reading.schema
    days = Days(period, schema.dates)
    rules = exclusion_tests(settings, schema, period.timezone)
    meaning = outcomes(accepted=named.accepted, rejected=named.rejected, closed=named.closed)
    restarted = 0
    for row in reading.rows:
        at = days.position(row)
        qualified = days.earliest(row)
        if at is None or qualified is None or not 0 <= at < days.length:
            continue
        if any(test(row) for _, test in rules):
            continue
        response = instant(row, named.outreach)
        if response is not None and response > reading.now:
            response = None  # a planned call is no response
        start = _start(named, row, qualified, response)
        restarted += start != qualified
        state = "" if named.outcome is None else normalise(row.get(named.outcome) or "")
        yield FollowUpRow(
            segment=segment_name(row, schema, segments) or UNASSIGNED,
            clock_start=start,
            first_response=response,
            attempts=max(0, int(number(row, named.attempts) or 0)),
            outcome=meaning.get(state, "open"),
        )
    if restarted:
        _log.info("%d clocks started at an assignment after the qualification", restarted)


def _start(
    named: FollowUpProperties, row: Row, qualified: datetime, response: datetime | None
) -> datetime:
    """Return the clock's start: an assignment after the first contact cannot hide a late response."""
    if named.clock == "qualified":
        return qualified
    assigned = instant(row, named.assigned)
    if assigned is None or assigned <= qualified:
        return qualified
    return assigned if response is None or assigned <= response else qualified

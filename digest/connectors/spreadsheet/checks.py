"""Proves beforehand that the lists can be read: what `digest check` says about a spreadsheet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from digest.connectors.spreadsheet.counting import Tally, refuse_stale, tally_of
from digest.connectors.spreadsheet.dealing import deal_statistics
from digest.connectors.spreadsheet.following import follow_up
from digest.connectors.spreadsheet.reading import place_of, read
from digest.errors import ConfigError, ConnectorError
from digest.model import Finding, Period, Segment, SegmentMap

if TYPE_CHECKING:
    from digest.connectors.spreadsheet import Spreadsheet


def check(
    settings: Spreadsheet, period: Period, segments: Sequence[Segment], now: datetime
) -> tuple[Finding, ...]:
    """Read each list once and report what was found."""
    findings = list(_leads(settings, period, segments, now))
    if settings.deals is not None:
        findings += _attempt("deals", lambda: _deals(settings, period, segments, now))
    if settings.follow_up_columns is not None:
        findings += _attempt("follow-up", lambda: _follow_up(settings, period, segments, now))
    return tuple(findings)


def _leads(
    settings: Spreadsheet, period: Period, segments: Sequence[Segment], now: datetime
) -> Iterator[Finding]:
    place = place_of(settings)
    try:
        segment_map = SegmentMap(segments)
        tally, as_of = read(settings, place, lambda table: tally_of(settings, table, period), now)
    except (ConfigError, ConnectorError) as error:
        yield Finding("error", place.source, str(error))
        return
    text = f"{tally.rows} rows read, {tally.total} leads in the period, saved {as_of:%Y-%m-%d %H:%M} UTC"
    yield Finding("ok", place.source, text)
    yield from (Finding("warning", place.source, remark) for remark in tally.remarks)
    yield from (
        Finding("ok", f"exclusion {rule.name!r}", f"takes out {tally.excluded[rule.name]} leads")
        for rule in settings.exclusions
    )
    yield from _unknown_values(settings, tally, segment_map)
    yield from _attempt(place.source, lambda: _age(settings, tally, period, now, place.source))


def _unknown_values(settings: Spreadsheet, tally: Tally, segments: SegmentMap) -> Iterator[Finding]:
    unknown: dict[str, int] = {}
    for (_, value), leads in tally.cells.items():
        if segments.segment_of(value) is None:
            unknown[value or ""] = unknown.get(value or "", 0) + leads
    if unknown:
        most = sorted(unknown.items(), key=lambda item: (-item[1], item[0]))[:10]
        listed = ", ".join(
            f"{value[:60]!r} ({leads})" if value else f"blank ({leads})" for value, leads in most
        )
        text = f"values that belong to no segment: {listed}; add them to a segment's values"
        yield Finding("warning", f"column {settings.segment!r}", text)


def _age(
    settings: Spreadsheet, tally: Tally, period: Period, now: datetime, source: str
) -> list[Finding]:
    refuse_stale(settings, tally, period, now, source)
    newest = tally.newest or "none"
    return [Finding("ok", source, f"newest row {newest}, max_age {settings.max_age}")]


def _deals(
    settings: Spreadsheet, period: Period, segments: Sequence[Segment], now: datetime
) -> list[Finding]:
    statistics = deal_statistics(settings, period, segments, now)
    won = sum(entry.won for entry in statistics.segments)
    lost = sum(entry.lost for entry in statistics.segments)
    return [
        Finding("ok", statistics.origin.source, f"{won} deals won and {lost} lost in the period")
    ]


def _follow_up(
    settings: Spreadsheet, period: Period, segments: Sequence[Segment], now: datetime
) -> list[Finding]:
    rows = follow_up(settings, period, segments, now)
    return [Finding("ok", "follow-up", f"{len(rows)} leads to follow up in the period")]


def _attempt(subject: str, look: Callable[[], list[Finding]]) -> list[Finding]:
    try:
        return look()
    except (ConfigError, ConnectorError) as error:
        return [Finding("error", subject, str(error))]

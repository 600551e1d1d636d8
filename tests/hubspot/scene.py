"""What the tests of HubSpot share: a portal on loopback, a clock that nobody waits for, and brute force."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from digest.connectors.hubspot import Hubspot
from digest.connectors.hubspot.transport import Wire
from digest.model import DayCount, LeadCounts, Period, Secret, Segment, SegmentMap
from tests.fakes.hubspot import TOKEN, Clock, Portal, moment_text, serving

NOW = datetime(2026, 11, 2, 6, tzinfo=UTC)
OCTOBER = Period(date(2026, 10, 1), date(2026, 11, 1))
SEGMENTS = (Segment("DACH"), Segment("Romandie"), Segment("Benelux", ("Benelux", "Nordics")))
MQL, SQL, OPP, CUS = "marketingqualifiedlead", "salesqualifiedlead", "opportunity", "customer"
STAGES = (MQL, SQL, OPP, CUS)


def entered(stage: str) -> str:
    return f"hs_v2_date_entered_{stage}"


def at(text: str, zone: str = "Europe/Zurich") -> str:
    """Return a local wall time as HubSpot writes instants."""
    return moment_text(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)))


def on(stage: str, text: str) -> dict[str, Any]:
    """Return the property of a stage entered at a wall time in Zurich."""
    return {entered(stage): at(text)}


@dataclass
class Scene:
    """A portal that is being served, and a connector to it."""

    portal: Portal
    clock: Clock
    wire: Wire
    settings: dict[str, Any] = field(default_factory=dict)

    def hubspot(self, **changes: Any) -> Hubspot:  # noqa: ANN401 - settings
        """A fresh connector, as a fresh run has one."""
        wire = self.wire

        class OnLoopback(Hubspot):
            pass

        OnLoopback.wire = wire
        given: dict[str, Any] = {"segment": "region"} | self.settings | changes
        if "oauth" not in given:
            given.setdefault("token", Secret(TOKEN))
        if given.get("count_by", "stage") == "stage":
            given.setdefault("stages", STAGES)
        return OnLoopback(**given)

    def count(
        self,
        period: Period = OCTOBER,
        segments: Sequence[Segment] = SEGMENTS,
        **changes: Any,  # noqa: ANN401 - settings
    ) -> LeadCounts:
        return self.hubspot(**changes).count_leads(period=period, segments=segments, now=NOW)


@contextmanager
def scene(
    portal: Portal | None = None,
    *,
    read_seconds: float = 5.0,
    **settings: Any,  # noqa: ANN401 - settings
) -> Iterator[Scene]:
    """Serve a portal whose clock agrees with NOW."""
    portal = portal or Portal()
    portal.today = portal.today or NOW
    clock = Clock()
    portal.clock = clock.now
    with serving(portal):
        wire = Wire(
            host=f"http://127.0.0.1:{portal.port}",
            clock=clock.now,
            sleep=clock.sleep,
            jitter=lambda: 0.0,
            read_seconds=read_seconds,
        )
        yield Scene(portal, clock, wire, settings)


def brute_force(
    portal: Portal,
    period: Period,
    segments: Sequence[Segment],
    *,
    dates: Sequence[str] = tuple(map(entered, STAGES)),
    segment: str = "region",
    skip: Mapping[str, str] | None = None,
) -> tuple[DayCount, ...]:
    """Count by looking at every record, with other means than the connector's."""
    names = SegmentMap(segments)
    zone = ZoneInfo(period.timezone)
    cells: Counter[tuple[date, str]] = Counter()
    for record in portal.records["contacts"].values():
        row = record.properties
        days = []
        for name in dates:
            text = row.get(name)
            if text and len(text) == len("2026-10-01"):
                days.append(date.fromisoformat(text))
            elif text:
                days.append(datetime.fromisoformat(text).astimezone(zone).date())
        if not days or not period.start <= min(days) < period.end:
            continue
        if any(row.get(name) == value for name, value in (skip or {}).items()):
            continue
        value = row.get(segment) or ""
        cells[min(days), names.segment_of(*value.split(";")) or ""] += 1
    return tuple(DayCount(day, name, n) for (day, name), n in sorted(cells.items()))

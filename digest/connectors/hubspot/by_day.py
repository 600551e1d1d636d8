"""Counts on the server, one search per day and segment, where that needs fewer calls than reading."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING

from digest.connectors.hubspot.failures import NAME
from digest.connectors.hubspot.schema import Schema
from digest.connectors.hubspot.searching import (
    CAP,
    Condition,
    Query,
    Span,
    UntrustworthyError,
    counted,
    origin_query,
    pages_of,
    total_of,
    twice,
)
from digest.connectors.hubspot.transport import Errand, Session
from digest.errors import ConnectorError, Reason
from digest.model import (
    LeadCounts,
    Origin,
    Period,
    Segment,
    SegmentMap,
    lead_counts,
    normalise,
)

if TYPE_CHECKING:
    from digest.connectors.hubspot import Hubspot

FEWEST_PAGES = 60
HOUR = 3_600_000


@dataclass(frozen=True)
class Counting:
    """A count by day and segment without reading a record.

    Attributes:
        values: for each segment that has any, its values among the property's options.
        others: the options of no segment.
    """

    query: Query
    period: Period
    values: tuple[tuple[str, tuple[str, ...]], ...]
    others: tuple[str, ...]
    segment: str
    source: str
    now_query: str

    @classmethod
    def of(
        cls, settings: Hubspot, schema: Schema, period: Period, segments: Sequence[Segment]
    ) -> Counting | None:
        """Return the count, None where a record must be seen to decide about it."""
        plain = schema.segment.type == "enumeration" and schema.segment.field_type != "checkbox"
        rows = settings.filters or settings.exclusions or settings.follow_up_properties
        if not plain or rows or len(schema.dates) != 1:
            return None
        segment_map = SegmentMap(segments)
        options = [value for _, value in schema.segment.options]
        spelt = {normalise(value) for value in options}
        if any(normalise(value) not in spelt for segment in segments for value in segment.matches):
            return None  # records keep a value that was taken out of the options; a search for it may not
        by_segment = {
            segment.name: tuple(v for v in options if segment_map.segment_of(v) == segment.name)
            for segment in segments
        }
        return cls(
            query=Query(schema.kind, schema.dates, Span.of(period)),
            period=period,
            values=tuple((name, values) for name, values in by_segment.items() if values),
            others=tuple(v for v in options if segment_map.segment_of(v) is None),
            segment=schema.segment.name,
            source=f"HubSpot, {schema.kind}",
            now_query=origin_query(schema.kind, schema.dates, period, "counted"),
        )

    @property
    def calls(self) -> int:
        """Searches needed, the first page aside."""
        return (len(self.values) + 1) * len(self.period.days()) + len(self.others)

    def is_cheaper(self, total: int) -> bool:
        """Whether counting needs fewer calls than reading so many records."""
        pages = pages_of(total)
        return pages > FEWEST_PAGES and self.calls + 1 < pages

    def count(
        self, session: Session, errand: Errand, segments: Sequence[Segment], promised: int
    ) -> LeadCounts:
        """Count, and compare with the total that was promised.

        Raises:
            ConnectorError: overflow, or unreconciled when two counts contradicted themselves.
        """
        errand.plan(promised, self.calls)
        cells, unknown = twice(lambda: self._count(session, errand, promised), errand)
        names = {segment.name: segment.matches[0] for segment in segments}
        counts = lead_counts(
            self.period,
            segments,
            ((day, names.get(name), leads) for (day, name), leads in cells.items()),
            as_of=errand.now,
            total=sum(cells.values()),
            origin=Origin(NAME, self.source, self.now_query, errand.calls),
        )
        return replace(counts, unknown=unknown)

    def _count(
        self, session: Session, errand: Errand, promised: int
    ) -> tuple[dict[tuple[date, str], int], tuple[tuple[str, int], ...]]:
        cells: dict[tuple[date, str], int] = {}
        for day in self.period.days():
            span = Span.of(Period(day, date.fromordinal(day.toordinal() + 1), self.period.timezone))
            query = replace(self.query, span=span)
            total = self._certain(session, errand, query)
            for name, values in self.values:
                cells[day, name] = self._certain(session, errand, self._with(query, values))
            cells[day, ""] = total - sum(cells[day, name] for name, _ in self.values)
            if cells[day, ""] < 0:
                raise UntrustworthyError("the segments of a day were more than the day")
        others = [
            (value, self._certain(session, errand, self._with(self.query, (value,))))
            for value in self.others
        ]
        loose = sum(leads for (_, name), leads in cells.items() if not name)
        empty = loose - sum(leads for _, leads in others)
        if empty < 0:
            raise UntrustworthyError("the values of no segment were more than the unassigned leads")
        self._reconcile(session, errand, sum(cells.values()), promised)
        unknown = [(value, leads) for value, leads in [*others, ("", empty)] if leads]
        return cells, tuple(sorted(unknown, key=lambda entry: (-entry[1], entry[0])))

    def _reconcile(self, session: Session, errand: Errand, came: int, promised: int) -> None:
        if came == promised or CAP == promised <= came:
            return
        again = total_of(session, self.query, errand)
        if not min(promised, again) <= came <= max(promised, again):
            raise UntrustworthyError(
                f"HubSpot promised {promised:,} records, the days held {came:,}, then it promised {again:,}"
            )

    def _with(self, query: Query, values: Sequence[str]) -> Query:
        chosen: Condition = {"propertyName": self.segment, "operator": "IN", "values": [*values]}
        return replace(query, conditions=(*query.conditions, chosen))

    def _certain(self, session: Session, errand: Errand, query: Query) -> int:
        """Count a span; a count that may be capped is not believed but halved."""
        found = counted(session, query, errand)
        if found < CAP:
            return found
        lower, upper = query.span.instants
        middle = (lower + upper) // 2
        if query.dates[0].plain or upper - lower <= HOUR:
            raise ConnectorError(
                NAME,
                Reason.OVERFLOW,
                f"more than {CAP:,} records carry the same date",
                remedy="narrow the records with `filters`, or count by another date",
            )
        halves = [(lower, middle), (middle, upper)]
        spans = [replace(query.span, instants=half) for half in halves]
        return sum(self._certain(session, errand, replace(query, span=span)) for span in spans)

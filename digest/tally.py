"""How closed deals and counted leads become deal statistics, the same for every connector."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from digest.model import (
    UNASSIGNED,
    DayCount,
    DealStatistics,
    Segment,
    SegmentDeals,
    normalise,
)


@dataclass
class ClosedDeals:
    """Closed deals of one segment and currency; `amount` sums the won amounts above 0."""

    won: int = 0
    lost: int = 0
    amount: Decimal = Decimal(0)
    with_amount: int = 0


@dataclass(frozen=True)
class Funnel:
    """Leads of a window and what became of them, by segment name; "" is unassigned.

    Attributes:
        pooled: customers won in the window. cohort: customers among the window's leads. None where the
            source does not say which lead became a customer; a won deal is then one customer.
    """

    leads: Mapping[str, int]
    pooled: Mapping[str, int] | None = None
    cohort: Mapping[str, int] | None = None


def segment_deals(
    closed: Mapping[tuple[str, str | None], ClosedDeals],
    funnel: Funnel,
    segments: Sequence[Segment],
) -> tuple[SegmentDeals, ...]:
    """Return one entry per segment and currency, the currency of most won deals first.

    Leads and customers of a segment stand on its first entry, so that sums over entries are right.
    Unassigned stands last, and only when there is something to say of it.
    """
    entries: list[SegmentDeals] = []
    for name in (*(segment.name for segment in segments), UNASSIGNED):
        mine = {code: deals for (owner, code), deals in closed.items() if owner == name}
        if name == UNASSIGNED and not mine and not funnel.leads.get(name):
            continue
        entries += _of_segment(name, _with_a_currency(mine), funnel)
    return tuple(entries)


def _of_segment(
    name: str, mine: Mapping[str | None, ClosedDeals], funnel: Funnel
) -> Iterable[SegmentDeals]:
    won = sum(deals.won for deals in mine.values())
    ordered = sorted(mine.items(), key=lambda item: (-item[1].won, item[0] or ""))
    for place, (code, deals) in enumerate(ordered or [(None, ClosedDeals())]):
        first = place == 0
        yield SegmentDeals(
            segment=name,
            won=deals.won,
            lost=deals.lost,
            won_amount=deals.amount,
            won_with_amount=deals.with_amount,
            currency=code,
            leads=funnel.leads.get(name, 0) if first else 0,
            customers=_customers(funnel.pooled, name, won) if first else 0,
            cohort_customers=_customers(funnel.cohort, name, won) if first else 0,
        )


def _customers(counted: Mapping[str, int] | None, name: str, won: int) -> int:
    return won if counted is None else counted.get(name, 0)


def _with_a_currency(
    mine: Mapping[str | None, ClosedDeals],
) -> Mapping[str | None, ClosedDeals]:
    """Count deals without currency and amount (most lost ones) with the segment's main currency."""
    loose = mine.get(None)
    if loose is None or loose.with_amount or len(mine) == 1:
        return mine
    named = {code: deals for code, deals in mine.items() if deals is not loose}
    code = max(named, key=lambda code: (named[code].won, code or ""))
    main = named[code]
    merged = ClosedDeals(
        main.won + loose.won, main.lost + loose.lost, main.amount, main.with_amount
    )
    return {**named, code: merged}


def with_leads(statistics: DealStatistics, rows: Iterable[DayCount]) -> DealStatistics:
    """Return deal statistics with leads that another system counted, on the first entry of each segment.

    A system that only knows deals has no leads of its own, or other ones than the digest counts.
    """
    leads: dict[str, int] = {}
    for row in rows:
        if row.day in statistics.window:
            leads[row.segment] = leads.get(row.segment, 0) + row.leads
    entries = [
        replace(entry, leads=leads.pop(entry.segment, 0)) for entry in statistics.segments
    ]  # popped: a further currency of the segment has none
    entries += [
        SegmentDeals(name, 0, 0, Decimal(0), 0, None, number, 0, 0)
        for name, number in sorted(leads.items())
    ]
    return replace(statistics, segments=tuple(entries))


def known_values(values: Iterable[str]) -> frozenset[str]:
    """Return values as they are compared: see `model.normalise`."""
    return frozenset(normalise(value) for value in values)


def outcomes(
    *, accepted: Iterable[str], rejected: Iterable[str], closed: Iterable[str]
) -> dict[str, str]:
    """Return the outcome of a FollowUpRow by the source's value, normalised; others are open.

    A value named for several outcomes is accepted before rejected before closed.
    """
    return {
        normalise(value): outcome
        for outcome, values in (("closed", closed), ("rejected", rejected), ("accepted", accepted))
        for value in values
    }

"""Search bodies within HubSpot's limits, and paging by the object id that loses and repeats nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time
from typing import TypeVar

from digest.connectors.hubspot.failures import NAME, TRY_AGAIN
from digest.connectors.hubspot.transport import Errand, Session
from digest.errors import ConnectorError, Reason
from digest.model import Period

PAGE = 200
CAP = 10_000  # a total of exactly so many may be more
MOST_GROUPS, MOST_PER_GROUP, MOST_FILTERS, LONGEST_BODY = 5, 6, 18, 3_000
MOST_BASE_FILTERS = 3
LARGEST_ID = 10**20

T = TypeVar("T")
Row = Mapping[str, str | None]
Condition = Mapping[str, object]


@dataclass(frozen=True)
class Dated:
    """A date property of an object; `plain` ones hold a day, the others an instant."""

    name: str
    plain: bool = False


@dataclass(frozen=True)
class Span:
    """Bounds of a search, half-open, as epoch milliseconds of instants and of plain days."""

    instants: tuple[int, int]
    days: tuple[int, int]

    @classmethod
    def of(cls, period: Period) -> Span:
        """Return the bounds of whole local days."""
        bounds = period.bounds()
        days = [datetime.combine(day, time(), tzinfo=UTC) for day in (period.start, period.end)]
        return cls(
            (_milliseconds(bounds[0]), _milliseconds(bounds[-1])),
            (_milliseconds(days[0]), _milliseconds(days[1])),
        )


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp()) * 1000


@dataclass(frozen=True)
class Query:
    """One search: records with any of the dates in the span that meet all conditions."""

    kind: str
    dates: tuple[Dated, ...]
    span: Span
    conditions: tuple[Condition, ...] = ()
    properties: tuple[str, ...] = ()

    def body(self, after: int | None = None, limit: int = PAGE) -> dict[str, object]:
        """Return the search of the next page after an id; a limit of 1 only counts."""
        cursor = [] if after is None else [condition("hs_object_id", "GT", str(after))]
        return {
            "filterGroups": [
                {"filters": [*self._bounds(dated), *self.conditions, *cursor]}
                for dated in self.dates
            ],
            "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
            "properties": ["hs_object_id"] if limit == 1 else [*self.properties],
            "limit": limit,
        }

    def _bounds(self, dated: Dated) -> list[Condition]:
        lower, upper = self.span.days if dated.plain else self.span.instants
        return [condition(dated.name, "GTE", str(lower)), condition(dated.name, "LT", str(upper))]

    @property
    def fits(self) -> bool:
        """Whether HubSpot takes it, the cursor included."""
        each = 2 + len(self.conditions) + 1
        return (
            len(self.dates) <= MOST_GROUPS
            and each <= MOST_PER_GROUP
            and len(self.dates) * each <= MOST_FILTERS
            and len(json.dumps(self.body(LARGEST_ID))) <= LONGEST_BODY
        )


def condition(name: str, operator: str, value: str) -> Condition:
    """Return one filter of a search."""
    return {"propertyName": name, "operator": operator, "value": value}


def packed(query: Query) -> tuple[Query, ...]:
    """Split a query into the fewest that HubSpot takes; conditions that do not fit are left to us.

    Raises:
        ValueError: not even one date fits, for the names of its properties are too many.
    """
    while query.conditions and not replace(query, dates=query.dates[:1]).fits:
        query = replace(query, conditions=query.conditions[:-1])
    parts: list[Query] = []
    rest = query.dates
    while rest:
        count = next(
            (n for n in range(len(rest), 0, -1) if replace(query, dates=rest[:n]).fits), None
        )
        if count is None:
            longest = len(json.dumps(replace(query, dates=rest[:1]).body(LARGEST_ID)))
            raise ValueError(
                f"properties: a search would have {longest:,} characters, HubSpot takes {LONGEST_BODY:,}; "
                "name fewer properties in exclusions and filters"
            )
        parts.append(replace(query, dates=rest[:count]))
        rest = rest[count:]
    return tuple(parts)


def pages_of(total: int) -> int:
    """Return how many pages hold so many records."""
    return max(1, -(-total // PAGE))


class UntrustworthyError(Exception):
    """Answers that contradict themselves or each other; worth one full repeat."""


@dataclass
class _Pages:
    """What a pull has collected: for each page the cursor it was asked with, total and number of rows."""

    rows: dict[int, Row] = field(default_factory=dict)
    asked: list[tuple[int | None, int, int]] = field(default_factory=list)


def pull(
    session: Session,
    query: Query,
    errand: Errand,
    enough: Callable[[int], bool] = lambda _: False,
) -> dict[int, Row] | None:
    """Return all records of a query by id; None when `enough` wants no more than the total.

    Raises:
        ConnectorError: overflow, or unreconciled when two full pulls contradicted themselves.
    """
    return twice(lambda: _pull(session, query, errand, enough), errand)


def twice(attempt: Callable[[], T], errand: Errand) -> T:
    """Do it, and once more from the start when the answers contradicted each other."""
    before = errand.pages
    try:
        return attempt()
    except UntrustworthyError:
        errand.pages = before
    try:
        return attempt()
    except UntrustworthyError as error:
        raise ConnectorError(
            NAME,
            Reason.UNRECONCILED,
            f"two full readings were not consistent: {error}",
            remedy=TRY_AGAIN,
        ) from error


def _pull(
    session: Session, query: Query, errand: Errand, enough: Callable[[int], bool]
) -> dict[int, Row] | None:
    pages = _Pages()
    last: int | None = None
    while True:
        errand.plan(pages.asked[-1][1] if pages.asked else 0, 1)
        total, rows = _page(session.search(query.kind, query.body(last), errand), last)
        if last is None:
            if enough(total):
                return None
            errand.plan(total, pages_of(total) - 1)
        pages.rows |= rows
        pages.asked.append((last, total, len(rows)))
        if total <= len(rows):
            break
        if not rows:
            raise UntrustworthyError(f"a page was empty although {total:,} records were left")
        last = max(rows)
    _reconcile(session, query, errand, pages)
    return pages.rows


def _reconcile(session: Session, query: Query, errand: Errand, pages: _Pages) -> None:
    """Compare what came with what was promised; records may move while they are read."""
    start = 0
    if pages.asked[0][1] == CAP:
        start = next(
            (n for n, (_, total, _) in enumerate(pages.asked) if total < CAP), len(pages.asked) - 1
        )
        if any(count < PAGE for _, _, count in pages.asked[:start]):
            raise UntrustworthyError(f"a short page although {CAP:,} or more records were left")
    cursor, promised, _ = pages.asked[start]
    came = sum(count for _, _, count in pages.asked[start:])
    if came == promised:
        return
    again = total_of(session, query, errand, cursor)
    if not min(promised, again) <= came <= max(promised, again):
        raise UntrustworthyError(
            f"HubSpot promised {promised:,} records, gave {came:,}, and then promised {again:,}"
        )


def total_of(session: Session, query: Query, errand: Errand, after: int | None = None) -> int:
    """Return how many records a query has, without reading them."""
    answer = session.search(query.kind, query.body(after, limit=1), errand)
    errand.pages -= 1  # a question of a reconciliation or check is no part of the plan
    total, _ = _page(answer, after)
    return total


def counted(session: Session, query: Query, errand: Errand) -> int:
    """Return how many records a query has, as one of the searches that were planned."""
    errand.plan(0, 1)
    total, _ = _page(session.search(query.kind, query.body(limit=1), errand), None)
    return total


def _page(answer: Mapping[str, object], last: int | None) -> tuple[int, dict[int, Row]]:
    """Return total and rows of an answer, if it can be true."""
    total, results = answer.get("total"), answer.get("results")
    if not isinstance(total, int) or isinstance(total, bool) or total < 0:
        raise UntrustworthyError("an answer had no total")
    if not isinstance(results, list) or total < len(results):
        raise UntrustworthyError("an answer had no results, or more than its total")
    rows: dict[int, Row] = {}
    newest = -1 if last is None else last
    for result in results:
        number, values = _row(result)
        if number <= newest:
            raise UntrustworthyError("record ids were repeated or out of order")
        rows[number] = values
        newest = number
    return total, rows


def _row(result: object) -> tuple[int, Row]:
    if isinstance(result, Mapping):
        number, values = result.get("id"), result.get("properties")
        plain = isinstance(number, str) and re.fullmatch(r"[0-9]{1,20}", number)
        if plain and isinstance(values, Mapping):
            return int(str(number)), {name: _text(value) for name, value in values.items()}
    raise UntrustworthyError("a record had no id or no properties")


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool | int):
        return str(value).lower()
    raise UntrustworthyError("a property was neither text nor null")


def origin_query(kind: str, dates: Sequence[Dated], period: Period, how: str) -> str:
    """Say what was asked, without a value of any record."""
    names = " or ".join(dated.name for dated in dates)
    return f"{kind} with {names} from {period.start} until before {period.end}, {how}"

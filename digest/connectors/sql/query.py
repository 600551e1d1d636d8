"""The one portable aggregate: GROUP BY over CASE buckets of instants, without any zone function.

The local midnights come from zoneinfo and are bound as values of the column's own kind, so the answer
does not depend on the database's zones, and the range stands on the raw column, so indexes and
partitions work. The sub-select keeps CASE in one place: drivers with positional parameters would make
the CASE in SELECT and in GROUP BY two different expressions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles

from digest.connectors.sql.clocks import Clock
from digest.connectors.sql.reflection import Relation
from digest.model import Period

if TYPE_CHECKING:
    from digest.conditions import Exclusion, Filter

Column = sa.ColumnElement[Any]
Condition = sa.ColumnElement[bool]


@dataclass(frozen=True)
class Leads:
    """The lead table as declared, with every name replaced by a reflected column.

    Attributes:
        dates: the lead's dates; t* is the earliest.
        clock: how they tell time.
        segment: the segment's value.
        count: number of leads per row, None for one.
        distinct: the lead's id in a table of events, None for one row per lead.
        last: the segment is that of the last event, not the first.
        filters: conditions every row meets.
        exclusions: conditions that take rows out; the first that holds counts.
        mark: rows of interest among the leads (those that became customers), None for all.
    """

    dates: tuple[Column, ...]
    clock: Clock
    segment: Column
    count: Column | None = None
    distinct: Column | None = None
    last: bool = False
    filters: tuple[Condition, ...] = ()
    exclusions: tuple[Condition, ...] = ()
    mark: Condition | None = None


@dataclass(frozen=True)
class Rows:
    """The leads of a window as expressions: one row per lead (or per count)."""

    segment: Column
    moment: Column
    count: Column | None
    where: tuple[Condition, ...]


@dataclass(frozen=True)
class Bounds:
    """The window's boundaries as bound values: one per day and the exclusive end."""

    values: tuple[sa.BindParameter[Any], ...]

    @classmethod
    def of(cls, clock: Clock, period: Period, *, whole: bool = False) -> Bounds:
        """Return the boundaries of each day, or only of the whole period."""
        values = clock.bounds(period)
        chosen = (values[0], values[-1]) if whole else values
        kind = clock.bind_type
        return cls(tuple(sa.bindparam(f"b{n}", value, kind) for n, value in enumerate(chosen)))

    def window(self, moment: Column) -> Condition:
        """Return the half-open range on a raw column."""
        return sa.and_(moment >= self.values[0], moment < self.values[-1])

    def bucket(self, moment: Column) -> Column:
        """Return the index of the day as CASE, halving the days so that 31 need five comparisons."""
        return self._halved(moment, 0, len(self.values) - 1)

    def _halved(self, moment: Column, first: int, end: int) -> Column:
        if end - first == 1:
            return sa.literal_column(str(first), sa.Integer())
        middle = (first + end) // 2
        return sa.case(
            (moment < self.values[middle], self._halved(moment, first, middle)),
            else_=self._halved(moment, middle, end),
        )


def rows_of(leads: Leads, bounds: Bounds) -> Rows:
    """Return the leads whose t* lies in the window."""
    kept = (*leads.filters, *not_excluded(leads.exclusions))
    if leads.distinct is not None:
        return _first_of_each(leads, leads.distinct, bounds, kept)
    marked = (*kept, leads.mark) if leads.mark is not None else kept
    if len(leads.dates) == 1:
        moment = leads.dates[0]
        return Rows(leads.segment, moment, leads.count, (bounds.window(moment), *marked))
    events = _events(leads, (sa.or_(*(bounds.window(column) for column in leads.dates)), *marked))
    return Rows(
        events.c.seg,
        events.c.ts,
        None if leads.count is None else events.c.n,
        (bounds.window(events.c.ts),),
    )


def grouped(rows: Rows, bounds: Bounds, *, limit: int) -> sa.Select[Any]:
    """Return (seg, d, n): leads per segment value and day index; one row more than `limit` at most."""
    columns = [rows.segment.label("seg"), bounds.bucket(rows.moment).label("d")]
    if rows.count is not None:
        columns.append(rows.count.label("n"))
    inner = sa.select(*columns).where(*rows.where).subquery("x")
    number = sa.func.count() if rows.count is None else sa.func.sum(inner.c.n)
    return (
        sa.select(inner.c.seg, inner.c.d, number.label("n"))
        .group_by(inner.c.seg, inner.c.d)
        .limit(limit + 1)
    )


def total(rows: Rows) -> sa.Select[Any]:
    """Return (n, rows, smallest, missing) of the window, without groups: the second question."""
    if rows.count is None:
        return sa.select(sa.func.count().label("n")).select_from(_from(rows)).where(*rows.where)
    count = rows.count
    return sa.select(
        sa.func.sum(count).label("n"),
        sa.func.count().label("found"),
        sa.func.min(count).label("smallest"),
        sa.func.count(count).label("present"),
    ).where(*rows.where)


def by_segment(rows: Rows, *, limit: int) -> sa.Select[Any]:
    """Return (seg, n), most first."""
    inner = sa.select(rows.segment.label("seg")).where(*rows.where).subquery("x")
    number = sa.func.count().label("n")
    return sa.select(inner.c.seg, number).group_by(inner.c.seg).order_by(number.desc()).limit(limit)


def excluded(leads: Leads, bounds: Bounds) -> sa.Select[Any]:
    """Return (rule, n): rows of the window that each exclusion took out; rules count from 1."""
    plain = Leads(
        leads.dates,
        leads.clock,
        sa.case(*_numbered(leads.exclusions), else_=sa.literal_column("0")),
        filters=(*leads.filters, sa.or_(*leads.exclusions)),
    )
    rows = rows_of(plain, bounds)
    inner = sa.select(rows.segment.label("rule")).where(*rows.where).subquery("x")
    return sa.select(inner.c.rule, sa.func.count().label("n")).group_by(inner.c.rule)


def _from(rows: Rows) -> sa.FromClause:
    (source,) = sa.select(rows.moment).get_final_froms()
    return source


def _numbered(rules: Sequence[Condition]) -> list[tuple[Condition, Column]]:
    return [
        (rule, sa.literal_column(str(number), sa.Integer())) for number, rule in enumerate(rules, 1)
    ]


def not_excluded(rules: Sequence[Condition]) -> tuple[Condition, ...]:
    """Return the condition that no exclusion holds."""
    if not rules:
        return ()
    # Not NOT(rule): that is null for a row without a value, which would lose the lead.
    zero = sa.literal_column("0", sa.Integer())
    return (sa.case(*_numbered(rules), else_=zero) == zero,)


def _earliest(dates: Sequence[Column]) -> Column:
    """Fold dates with CASE: LEAST treats nulls differently per database."""
    earliest = dates[0]
    for other in dates[1:]:
        earliest = sa.case(
            (earliest.is_(None), other),
            (sa.or_(other.is_(None), earliest <= other), earliest),
            else_=other,
        )
    return earliest


def _events(leads: Leads, where: Sequence[Condition], *more: sa.Label[Any]) -> sa.Subquery:
    columns = [leads.segment.label("seg"), _earliest(leads.dates).label("ts"), *more]
    if leads.count is not None:
        columns.append(leads.count.label("n"))
    return sa.select(*columns).where(*where).subquery("e")


def _first_of_each(
    leads: Leads, identity: Column, bounds: Bounds, kept: Sequence[Condition]
) -> Rows:
    """Reduce events to one row per lead: its earliest moment, and the segment of its first or last event.

    Every event before the window's end takes part, for a lead of an earlier month is not new. Events
    without an id count as leads of their own.
    """
    one = sa.literal_column("1", sa.Integer())
    zero = sa.literal_column("0", sa.Integer())
    # Events that are not yet marked keep their lead's earliest moment, so the mark is a column here.
    mark = one if leads.mark is None else sa.case((leads.mark, one), else_=zero)
    dated = sa.or_(*(column < bounds.values[-1] for column in leads.dates))
    events = _events(leads, (dated, *kept), identity.label("id"), mark.label("mark"))
    moment, segment, lead = events.c.ts, events.c.seg, events.c.id
    order = moment.desc() if leads.last else moment.asc()
    ranked = sa.select(
        segment,
        lead,
        sa.case((lead.is_(None), moment), else_=sa.func.min(moment).over(partition_by=lead)).label(
            "ts"
        ),
        sa.case(
            (lead.is_(None), events.c.mark),
            else_=sa.func.max(events.c.mark).over(partition_by=lead),
        ).label("mark"),
        # The segment breaks a tie, so that the same data always gives the same answer.
        sa.func.row_number()
        .over(
            partition_by=lead,
            order_by=[order, sa.case((segment.is_(None), one), else_=zero), segment],
        )
        .label("place"),
    ).subquery("r")
    return Rows(
        ranked.c.seg,
        ranked.c.ts,
        None,
        (
            bounds.window(ranked.c.ts),
            sa.or_(ranked.c.place == one, ranked.c.id.is_(None)),
            ranked.c.mark == one,
        ),
    )


def condition(relation: Relation, key: str, rule: Filter) -> Condition:
    """Return a filter as a condition with bound values; the column comes from reflection."""
    column = relation.column(key, rule.column)
    if rule.op == "is null":
        return column.is_(None)
    if rule.op == "is not null":
        return column.is_not(None)
    if isinstance(rule.value, tuple):
        values = [_bound(relation, value) for value in rule.value]
        if rule.op == "in":
            return column.in_(values)
        return sa.or_(column.not_in(values), column.is_(None))
    value = _bound(relation, rule.value)
    if rule.op == "!=":
        return sa.or_(column != value, column.is_(None))
    return column.op(rule.op.upper(), is_comparison=True)(value)


def _bound(relation: Relation, value: object) -> sa.BindParameter[Any]:
    # Without a type the server takes the column's, so that enums and uuids compare with text.
    if relation.dialect == "sqlite" and hasattr(value, "isoformat"):
        value = value.isoformat()
    return sa.bindparam(None, value, sa.types.NullType(), unique=True)


def all_of(relation: Relation, key: str, rules: Sequence[Filter]) -> tuple[Condition, ...]:
    """Return filters as conditions."""
    return tuple(condition(relation, f"{key}[{n}]", rule) for n, rule in enumerate(rules, 1))


def any_of(relation: Relation, key: str, rules: Sequence[Exclusion]) -> tuple[Condition, ...]:
    """Return each exclusion as one condition."""
    return tuple(
        sa.and_(*all_of(relation, f"{key}[{n}].where", rule.where))
        for n, rule in enumerate(rules, 1)
    )


class Explained(sa.Executable, sa.ClauseElement):
    """PostgreSQL's plan of a statement, which is not run."""

    inherit_cache = False

    def __init__(self, statement: sa.Select[Any]) -> None:
        self.statement = statement


@compiles(Explained)
def _explained(element: Explained, compiler: Any, **options: Any) -> str:  # noqa: ANN401 - SQLAlchemy's hook
    return "EXPLAIN (FORMAT JSON) " + str(compiler.process(element.statement, **options))

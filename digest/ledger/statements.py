"""What the ledger says to its database for every edition, each statement built once.

SQLAlchemy takes longer to build a statement than to run it, so these take all that changes as parameters:
"of_..." and "if_..." choose the rows, names of columns are what is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Executable,
    FromClause,
    Integer,
    LargeBinary,
    Row,
    Select,
    String,
    Table,
    Text,
    Update,
    bindparam,
    cast,
    insert,
    literal,
    literal_column,
    or_,
    select,
    union_all,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from digest.ledger import AT_WORK, WAITING, RunState, State
from digest.ledger.tables import (
    COMMITS,
    Instant,
    attempts,
    closed,
    contents,
    deliveries,
    meta,
    runs,
)

ENDED = (RunState.DONE, RunState.EXPIRED, RunState.SKIPPED)
Parameters = Mapping[str, object]

# From which states an outcome may still be written; a late answer settles an unknown delivery.
_BEFORE = {
    State.SENT: (State.COMMITTING, State.UNKNOWN),
    State.UNKNOWN: (State.COMMITTING, State.UNKNOWN),
    State.REFUSED: (*AT_WORK, State.UNKNOWN),
    State.DEFERRED: (*AT_WORK, State.UNKNOWN),
    State.PENDING: (*AT_WORK, State.UNKNOWN),
}


@dataclass(frozen=True, slots=True)
class Change:
    """An update of one row at most, and what is asked about that row then."""

    change: Update
    asked: Select[Any]
    _both: Executable

    @classmethod
    def of(cls, change: Update, asked: Select[Any]) -> Change:
        """Join the two, for databases that answer a change."""
        return cls(change, asked, change.returning(*asked.selected_columns))

    def run(self, connection: Connection, parameters: Parameters) -> Row[Any] | None:
        """Return the answer; None when no row was changed."""
        if connection.dialect.update_returning:
            return connection.execute(self._both, parameters).one_or_none()
        # SQLite before 3.35, where nobody else writes meanwhile.
        if connection.execute(self.change, parameters).rowcount != 1:
            return None
        return connection.execute(self.asked, parameters).one()


def of_run(digest: str, business_date: date, correction: int) -> dict[str, object]:
    """Return the parameters that choose a run, or the deliveries of a run."""
    return {"of_digest": digest, "of_date": business_date, "of_correction": correction}


def _is_of_run(table: Table) -> tuple[ColumnElement[bool], ...]:
    return (
        table.c.digest == bindparam("of_digest"),
        table.c.business_date == bindparam("of_date"),
        table.c.correction == bindparam("of_correction"),
    )


def _of_run_as(table: Table) -> tuple[ColumnElement[Any], ...]:
    """Return the parameters that choose a run, as columns."""
    return (
        bindparam("of_digest", type_=table.c.digest.type),
        bindparam("of_date", type_=table.c.business_date.type),
        bindparam("of_correction", type_=table.c.correction.type),
    )


def is_in(column: ColumnElement[str], states: Iterable[StrEnum]) -> ColumnElement[bool]:
    """Whether a state is one of some.

    They are words of the statement: the database plans for them, and nothing is expanded in each call.
    """
    return column.in_([literal_column(f"'{state}'") for state in states])


def has(states: Iterable[State], run: FromClause = runs) -> ColumnElement[bool]:
    """Whether a run has a delivery in one of the states."""
    return (
        select(deliveries.c.key)
        .where(
            deliveries.c.digest == run.c.digest,
            deliveries.c.business_date == run.c.business_date,
            deliveries.c.correction == run.c.correction,
            is_in(deliveries.c.state, states),
        )
        .exists()
    )


@cache
def insert_new(dialect: str, table: Table) -> Any:  # noqa: ANN401 - each database has its own
    """Return an insert of rows whose key is not there yet."""
    own = postgresql.insert if dialect == "postgresql" else sqlite.insert
    return own(table).on_conflict_do_nothing()


# ------------------------------------------------------------------------------------------ looking

RUN = select(runs).where(*_is_of_run(runs))
DELIVERIES = select(deliveries).where(*_is_of_run(deliveries)).order_by(deliveries.c.key)
LEFT_AT_WORK = select(deliveries).where(is_in(deliveries.c.state, AT_WORK))
UNKNOWN = (
    select(deliveries)
    .where(is_in(deliveries.c.state, (State.UNKNOWN,)))
    .order_by(deliveries.c.business_date, deliveries.c.key)
)
UNKNOWN_OF_DIGEST = UNKNOWN.where(deliveries.c.digest == bindparam("of_digest"))
CLOSED = select(closed.c.until).where(closed.c.digest == bindparam("of_digest"))


def _snapshots(chosen: Select[Any]) -> Select[Any]:
    """Add the snapshots of some runs; read with them, so that they are one question."""
    joined = chosen.outerjoin(contents, runs.c.edition == contents.c.sha256)
    return joined.add_columns(contents.c.content)


EDITION = _snapshots(RUN.where(runs.c.edition.is_not(None)))


@cache
def sent_runs(*, since: bool, before: bool) -> Select[Any]:
    """Return the question for the runs of a digest that reached somebody, newest first.

    Of a date with corrections it is the newest of them. Its parameters: of_digest, if_limit, and where
    asked for if_since (inclusive) and if_before (exclusive).
    """
    later = runs.alias()
    corrected = select(later.c.digest).where(
        later.c.digest == runs.c.digest,
        later.c.business_date == runs.c.business_date,
        later.c.correction > runs.c.correction,
        has((State.SENT,), later),
    )
    query = select(runs).where(
        runs.c.digest == bindparam("of_digest"),
        runs.c.edition.is_not(None),
        has((State.SENT,)),
        ~corrected.exists(),
    )
    if since:
        query = query.where(runs.c.business_date >= bindparam("if_since"))
    if before:
        query = query.where(runs.c.business_date < bindparam("if_before"))
    newest = query.order_by(runs.c.business_date.desc())
    return newest.limit(bindparam("if_limit", type_=Integer))


@cache
def sent_editions(*, since: bool, before: bool) -> Select[Any]:
    """Likewise, with their snapshots."""
    return _snapshots(sent_runs(since=since, before=before))


# What is left of earlier dates.
RUNS_LEFT_BEFORE = (
    runs.c.digest == bindparam("of_digest"),
    runs.c.business_date < bindparam("if_before"),
    ~is_in(runs.c.state, ENDED),
    ~has(AT_WORK),
)
DELIVERIES_LEFT_BEFORE = (
    deliveries.c.digest == bindparam("of_digest"),
    deliveries.c.business_date < bindparam("if_before"),
    is_in(deliveries.c.state, WAITING),
)
LEFT_BEFORE = union_all(
    select(runs.c.digest).where(*RUNS_LEFT_BEFORE),
    select(deliveries.c.key).where(*DELIVERIES_LEFT_BEFORE),
).limit(1)

# --------------------------------------------------------------------------------------------- runs

_CLOSED = (
    select(closed.c.digest)
    .where(
        closed.c.digest == bindparam("of_digest"),
        closed.c.until >= bindparam("of_date"),
        # A correction is a person's explicit act with a key of its own.
        bindparam("of_correction", type_=Integer) == 0,
    )
    .exists()
)

MARK = update(runs).where(*_is_of_run(runs))
MARK_BEFORE_MESSAGES = MARK.where(~has(State))
MARK_UNLESS_CLOSED = MARK.where(~_CLOSED)
FREEZE = MARK.where(runs.c.edition.is_(None))


@cache
def open_run(dialect: str) -> Executable:
    """Return what makes a run that is not there yet, of a date that is not closed; asks for `now` too."""
    row = select(
        *_of_run_as(runs),
        literal(RunState.PLANNED, String),
        bindparam("now", type_=Instant),
        bindparam("now", type_=Instant),
    )
    columns = ["digest", "business_date", "correction", "state", "created_at", "changed_at"]
    made: Executable = insert_new(dialect, runs).from_select(columns, row.where(~_CLOSED))
    return made.execution_options(preserve_rowcount=True)  # otherwise kept of changes alone


@cache
def store_edition(dialect: str) -> Executable:
    """Return what stores the content of a run that has no edition yet; asks for it and its `sha256` too."""
    row = select(bindparam("sha256", type_=String), bindparam("content", type_=LargeBinary))
    waits = select(runs.c.digest).where(*_is_of_run(runs), runs.c.edition.is_(None)).exists()
    stored: Executable = insert_new(dialect, contents).from_select(
        ["sha256", "content"], row.where(waits)
    )
    return stored


# --------------------------------------------------------------------------------------- deliveries

CLAIM = Change.of(
    update(deliveries)
    .where(
        deliveries.c.key == bindparam("of_key"),
        is_in(deliveries.c.state, WAITING),
        or_(deliveries.c.next_at.is_(None), deliveries.c.next_at <= bindparam("if_due")),
    )
    .values(
        state=State.CLAIMED,
        generation=deliveries.c.generation + 1,
        attempts=deliveries.c.attempts + 1,
        next_at=None,
    ),
    select(deliveries.c.generation).where(deliveries.c.key == bindparam("of_key")),
)
BEGIN_ATTEMPT = insert(attempts)
END_ATTEMPT = update(attempts).where(
    attempts.c.key == bindparam("of_key"), attempts.c.generation == bindparam("of_generation")
)
_OURS = update(deliveries).where(
    deliveries.c.key == bindparam("of_key"), deliveries.c.generation == bindparam("of_generation")
)
COMMIT = _OURS.where(
    deliveries.c.state == State.CLAIMED, deliveries.c.lease_until > bindparam("if_now")
).values(state=State.COMMITTING)
RECORD = {
    state: _OURS.where(is_in(deliveries.c.state, before)) for state, before in _BEFORE.items()
}

_OTHER = meta.alias()
# In one statement, the last before the commit: two digests may let a message go at once.
COUNT_COMMIT = Change.of(
    update(meta)
    .where(meta.c.key == COMMITS)
    .values(value=cast(cast(meta.c.value, Integer) + 1, Text)),
    select(
        meta.c.value,
        select(_OTHER.c.value)
        .where(_OTHER.c.key == "instance_id")
        .scalar_subquery()
        .label("instance"),
    ).where(meta.c.key == COMMITS),
)

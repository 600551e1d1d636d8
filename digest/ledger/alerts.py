"""What an operator has been told, and what was pinged: once, whoever asks how often.

The same two tables stand in the ledger and, for when that cannot be used, in a small file beside the
settings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Date,
    RowMapping,
    String,
    Table,
    Text,
    and_,
    delete,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from digest.errors import LedgerError
from digest.ledger import Place, open_ledger, read_ledger
from digest.ledger.notes import Noted
from digest.ledger.tables import Instant, metadata

# Longer than it takes to find out that neither mail nor Slack can be reached.
TELLING_LEASE = timedelta(minutes=5)
_KEPT = timedelta(days=400)
# Nobody waits half a minute for a locked ledger a second time, only to learn that it is still locked.
_BUSY_SECONDS = 3.0

alerts = Table(
    "alerts",
    metadata,
    Column("digest", String(200), primary_key=True),
    Column("cause", String(40), primary_key=True),
    Column("business_date", Date, primary_key=True),
    Column("about", String(700), primary_key=True),
    Column("text", Text, nullable=False),
    Column("raised_at", Instant, nullable=False),
    Column("lease_until", Instant),
    Column("told_at", Instant),
    Column("way", String(40)),
    Column("ended_at", Instant),
)

pings = Table(
    "pings",
    metadata,
    Column("digest", String(200), primary_key=True),
    Column("business_date", Date, primary_key=True),
    Column("kind", String(40), primary_key=True),
    Column("pinged_at", Instant, nullable=False),
)


class AlertBook:
    """Remembers alerts and pings; each method is one commit and raises LedgerError when it cannot."""

    def __init__(
        self,
        transaction: Callable[[], AbstractContextManager[Connection]],
        clock: Callable[[], datetime],
    ) -> None:
        self._begin = transaction
        self._clock = clock

    def claim(self, noted: Sequence[Noted]) -> tuple[Noted, ...]:
        """Take the alerts that nobody has told or is telling; they are ours until a lease runs out."""
        now = self._clock()
        with self._transaction() as connection:
            connection.execute(delete(alerts).where(alerts.c.raised_at < now - _KEPT))
            connection.execute(delete(pings).where(pings.c.pinged_at < now - _KEPT))
            return tuple(one for one in noted if _take(connection, one, now))

    def told(self, noted: Sequence[Noted], way: str) -> None:
        """Write down that somebody was told, and by which way."""
        values = {"told_at": self._clock(), "way": way, "lease_until": None}
        with self._transaction() as connection:
            for one in noted:
                connection.execute(update(alerts).where(_is(one)).values(values))

    def untold(self, noted: Sequence[Noted]) -> None:
        """Give alerts back that no way took: the next run tells them."""
        with self._transaction() as connection:
            for one in noted:
                query = update(alerts).where(_is(one), alerts.c.told_at.is_(None))
                connection.execute(query.values(lease_until=None))

    def standing(self, digest: str) -> tuple[Noted, ...]:
        """Return the alerts of a digest whose cause has not ended, oldest first."""
        query = select(alerts).where(alerts.c.digest == digest, alerts.c.ended_at.is_(None))
        ordered = query.order_by(alerts.c.raised_at, alerts.c.cause, alerts.c.about)
        with self._transaction() as connection:
            return tuple(_as_noted(row) for row in connection.execute(ordered).mappings())

    def end(self, noted: Sequence[Noted]) -> tuple[Noted, ...]:
        """Write down that causes have ended; return those that nobody else had ended."""
        now = self._clock()
        with self._transaction() as connection:
            return tuple(
                one
                for one in noted
                if connection.execute(
                    update(alerts)
                    .where(_is(one), alerts.c.ended_at.is_(None))
                    .values(ended_at=now, lease_until=None)
                ).rowcount
            )

    def ping(self, digest: str, business_date: date, kind: str) -> bool:
        """Answer True to the first who asks for a kind of ping of a date."""
        row = {"digest": digest, "business_date": business_date, "kind": kind}
        with self._transaction() as connection:
            return _insert(connection, pings, {**row, "pinged_at": self._clock()})

    def unping(self, digest: str, business_date: date, kind: str) -> None:
        """Forget a ping that did not get through, so that the next call tries it again."""
        chosen = (
            pings.c.digest == digest,
            pings.c.business_date == business_date,
            pings.c.kind == kind,
        )
        with self._transaction() as connection:
            connection.execute(delete(pings).where(*chosen))

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            with self._begin() as connection:
                yield connection
        except DBAPIError as error:  # such as a ledger of an older version, which lacks the tables
            raise LedgerError(
                f"alerts cannot be remembered ({type(error.orig).__name__})",
                remedy="`digest check` says what is wrong with the ledger",
            ) from error


def book_in_ledger(
    place: Place, *, clock: Callable[[], datetime], pin: Path | None
) -> AlertBook | None:
    """Return the book in the ledger; None while there is no ledger, which no alert may create.

    Raises:
        LedgerError: the ledger cannot be used.
    """
    if read_ledger(place, busy_seconds=_BUSY_SECONDS) is None:
        return None
    ledger = open_ledger(place, clock=clock, pin=pin, busy_seconds=_BUSY_SECONDS)
    return AlertBook(ledger.transaction, clock)


def book_beside(path: Path, *, clock: Callable[[], datetime]) -> AlertBook:
    """Return the book in a small file of its own, made at the first use.

    Raises:
        LedgerError: the file can be neither made nor used.
    """
    # Whoever makes a ledger asks this module for its tables, so it cannot ask back at its top.
    from digest.ledger.file import SqliteBackend, sqlite_engine
    from digest.ledger.store import Reader

    try:
        path.touch(mode=0o600)
    except OSError as error:
        raise LedgerError(
            f"{path} cannot be written ({error.strerror})", remedy="check its folder"
        ) from error
    reader = Reader(SqliteBackend(path, sqlite_engine(path, busy_seconds=_BUSY_SECONDS)))
    with reader.transaction() as connection:
        metadata.create_all(connection, tables=[alerts, pings])
    return AlertBook(reader.transaction, clock)


def _take(connection: Connection, one: Noted, now: datetime) -> bool:
    facts = {
        "digest": one.digest,
        "cause": one.cause,
        "business_date": one.business_date,
        "about": one.about,
    }
    lease = now + TELLING_LEASE
    row = {**facts, "text": one.text, "raised_at": now, "lease_until": lease}
    if _insert(connection, alerts, row):
        return True
    free = or_(alerts.c.lease_until.is_(None), alerts.c.lease_until <= now)
    open_ = and_(alerts.c.told_at.is_(None), alerts.c.ended_at.is_(None), free)
    taken = connection.execute(update(alerts).where(_is(one), open_).values(lease_until=lease))
    return taken.rowcount == 1


def _insert(connection: Connection, table: Table, row: dict[str, object]) -> bool:
    own = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    # Asked for the row, since an insert's rowcount is not kept on every database.
    new = own(table).values(row).on_conflict_do_nothing().returning(table.c.digest)
    return connection.execute(new).first() is not None


def _is(one: Noted) -> ColumnElement[bool]:
    return and_(
        alerts.c.digest == one.digest,
        alerts.c.cause == one.cause,
        alerts.c.business_date == one.business_date,
        alerts.c.about == one.about,
    )


def _as_noted(row: RowMapping) -> Noted:
    return Noted(
        row["digest"],
        row["cause"],
        row["business_date"],
        row["about"],
        row["text"],
        row["told_at"] is not None,
    )

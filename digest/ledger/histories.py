"""The closed months' counts as they were last read: a source whose calls are limited is not asked daily."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from sqlalchemy import Column, Date, String, Table, Text, delete, insert, select

from digest.ledger.tables import metadata

if TYPE_CHECKING:
    from sqlalchemy import Connection

# One row per digest, replaced when it is read anew; deleting it costs a few calls and nothing else.
histories = Table(
    "histories",
    metadata,
    Column("digest", String(200), primary_key=True),
    Column("question", String(64), nullable=False),
    Column("business_date", Date, nullable=False),
    Column("counts", Text, nullable=False),
)


@dataclass(frozen=True, slots=True)
class History:
    """Counts of closed months.

    Attributes:
        question: fingerprint of what was asked of which source.
        business_date: date of the edition that read them.
        counts: as `snapshot.counts_to_json` wrote them.
    """

    question: str
    business_date: date
    counts: str


def read_history(connection: Connection, digest: str) -> History | None:
    """Return what is kept of a digest."""
    row = connection.execute(select(histories).where(histories.c.digest == digest)).one_or_none()
    return None if row is None else History(row.question, row.business_date, row.counts)


def write_history(connection: Connection, digest: str, history: History) -> None:
    """Keep the newest reading only."""
    connection.execute(delete(histories).where(histories.c.digest == digest))
    row = {
        "digest": digest,
        "question": history.question,
        "business_date": history.business_date,
        "counts": history.counts,
    }
    connection.execute(insert(histories).values(row))

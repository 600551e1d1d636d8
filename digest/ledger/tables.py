"""The ledger's tables; public and versioned, the same on every database."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Date,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

SCHEMA_VERSION = 2
PRODUCT = "sla-digest ledger"
COMMITS = "commits"  # key of `meta`: how many messages were let go
STAGES = "stages"  # key of `meta`: how long the stages of the last run took


class Instant(TypeDecorator[datetime]):
    """A UTC instant; on SQLite as text that sorts by time, which a person can read as well."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Take text on SQLite, whose own DateTime forgets the zone."""
        own: TypeEngine[Any] = String(32) if dialect.name == "sqlite" else DateTime(timezone=True)
        return dialect.type_descriptor(own)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | datetime | None:
        """Write an aware time of any zone."""
        if value is None or dialect.name != "sqlite":
            return value
        return value.astimezone(UTC).isoformat(timespec="microseconds")

    def process_result_value(
        self, value: str | datetime | None, dialect: Dialect
    ) -> datetime | None:
        """Read it back as UTC."""
        del dialect
        instant = datetime.fromisoformat(value) if isinstance(value, str) else value
        return None if instant is None else instant.astimezone(UTC)


metadata = MetaData()

meta = Table(
    "meta",
    metadata,
    Column("key", String(40), primary_key=True),
    Column("value", Text, nullable=False),
)

# Snapshots and finished mails by their SHA-256: the same content is kept once and any change shows.
contents = Table(
    "contents",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("content", LargeBinary, nullable=False),
)

runs = Table(
    "runs",
    metadata,
    Column("digest", String(200), primary_key=True),
    Column("business_date", Date, primary_key=True),
    Column("correction", Integer, primary_key=True, autoincrement=False, server_default="0"),
    Column("state", String(20), nullable=False),
    Column("edition", ForeignKey("contents.sha256")),
    Column("note", Text),
    Column("created_at", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("key", String(700), primary_key=True),
    Column("digest", String(200), nullable=False),
    Column("business_date", Date, nullable=False),
    Column("correction", Integer, nullable=False, server_default="0"),
    Column("channel", String(100), nullable=False),
    Column("recipient", String(320), nullable=False),
    Column("state", String(20), nullable=False),
    # No reference: the hash stays when the bytes are purged, so that a copy can still be compared.
    Column("message", String(64), nullable=False),
    Column("repeatable", Boolean, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("owner", String(400)),
    Column("lease_until", Instant),
    Column("next_at", Instant),
    Column("note", Text),
    Column("changed_at", Instant, nullable=False),
    Column("sent_at", Instant),
    ForeignKeyConstraint(
        ["digest", "business_date", "correction"],
        ["runs.digest", "runs.business_date", "runs.correction"],
    ),
    Index("deliveries_of_a_run", "digest", "business_date", "correction"),
    Index("deliveries_by_state", "state"),
)

# One row per claim; open while `outcome` is NULL.
attempts = Table(
    "attempts",
    metadata,
    Column("key", ForeignKey("deliveries.key"), primary_key=True),
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("owner", String(400), nullable=False),
    Column("began_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("outcome", String(20)),
    Column("words", Text),
)

# Up to which date no edition is begun any more: its records were purged, or lost with a restored backup.
closed = Table(
    "closed",
    metadata,
    Column("digest", String(200), primary_key=True),
    Column("until", Date, nullable=False),
)

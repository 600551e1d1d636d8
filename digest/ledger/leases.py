"""Which process runs the schedule of a ledger.

A lease only keeps two schedules from doing the same work; that nothing is sent twice rests on the rows of
the deliveries alone.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Integer,
    Row,
    String,
    Table,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from digest.ledger.owner import Owner, read_owner
from digest.ledger.tables import Instant, metadata

leases = Table(
    "leases",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("owner", String(400), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("lease_until", Instant, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Lease:
    """Who has something, and until when; `generation` counts the owners."""

    name: str
    owner: Owner
    generation: int
    lease_until: datetime


def take(
    connection: Connection,
    name: str,
    owner: Owner,
    *,
    now: datetime,
    length: timedelta,
    gone: Callable[[Owner], bool],
) -> Lease:
    """Take or renew a lease that is free, ours, over, or whose owner has provably ended.

    Returns:
        The lease as it stands; it is ours when its owner is.
    """
    until = now + length
    found = _read(connection, name)
    if found is None:
        first = {"name": name, "owner": str(owner), "generation": 1, "lease_until": until}
        # Another process may be faster.
        with suppress(IntegrityError), connection.begin_nested():
            connection.execute(insert(leases).values(first))
        return _held(connection, name)
    if found.owner != owner and found.lease_until > now and not gone(found.owner):
        return found
    if found.owner == owner and found.lease_until - now > length / 2:
        return found  # each renewal is a commit, which waits for the disk
    generation = found.generation + (found.owner != owner)
    connection.execute(
        update(leases)
        # Of two that see the same lease one changes it.
        .where(
            leases.c.name == name,
            leases.c.generation == found.generation,
            leases.c.lease_until == found.lease_until,
        )
        .values(owner=str(owner), generation=generation, lease_until=until)
    )
    return _held(connection, name)


def give_back(connection: Connection, name: str, owner: Owner) -> None:
    """End a lease, if it is still this owner's."""
    connection.execute(delete(leases).where(leases.c.name == name, leases.c.owner == str(owner)))


def _read(connection: Connection, name: str) -> Lease | None:
    row = connection.execute(select(leases).where(leases.c.name == name)).one_or_none()
    return None if row is None else _as_lease(row)


def _held(connection: Connection, name: str) -> Lease:
    return _as_lease(connection.execute(select(leases).where(leases.c.name == name)).one())


def _as_lease(row: Row[Any]) -> Lease:
    return Lease(row.name, read_owner(row.owner), row.generation, row.lease_until)

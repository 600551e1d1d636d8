"""What the ledger needs of the database it is kept in; SQLite and PostgreSQL each answer in their way."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from enum import Enum
from typing import Protocol

from sqlalchemy import Connection, Engine


class Lock(Enum):
    """Who has to wait for a transaction, besides a digest's id: then only writers of that digest.

    SQLite has one writer at a time whatever is asked for.
    """

    ALL = "every other writer"
    SOME = "only who locks all"
    NONE = "nobody"


class Backend(Protocol):
    """One database. As text it is what messages call the ledger, free of secrets."""

    @property
    def engine(self) -> Engine:
        """Where connections come from; a transaction on one of them begins with `begin`."""

    def begin(self, connection: Connection, lock: Lock | str, *, alone: bool = False) -> None:
        """Begin a transaction with all that makes it safe, in the database as SQLAlchemy has done.

        Args:
            connection: SQLAlchemy's, in a transaction of its own.
            lock: who has to wait.
            alone: it is one statement that changes nothing.
        """

    def explained(self) -> AbstractContextManager[None]:
        """Turn the database's errors that a person can act on into LedgerError; others are bugs."""

    def now(self, connection: Connection, clock: Callable[[], datetime]) -> datetime:
        """Tell the one time with which every process that shares the ledger compares leases."""

    def free(self) -> int | None:
        """Return how many bytes can still be stored, None when that cannot be known."""

    def describe(self) -> str:
        """Say which database this is, in which mode, and whom it can serve."""

    def compact(self) -> None:
        """Give back the room of what was deleted."""

"""What was sent, to whom, with which numbers; the one place that decides who may send.

`open_ledger` is for whoever sends, `read_ledger` for whoever looks (show, render, preview): it never
creates or changes anything. The tables are in `tables`, the file's rules in `file`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from digest.ledger.owner import Owner, current_owner, is_gone
from digest.model import Secret

if TYPE_CHECKING:
    from digest.ledger.backend import Backend
    from digest.ledger.store import Ledger, Reader


class RunState(StrEnum):
    """How far one digest's edition for one business date has come."""

    PLANNED = "planned"
    COLLECTING = "collecting"
    COLLECTED = "collected"
    RENDERED = "rendered"
    SENDING = "sending"
    DONE = "done"
    HELD = "held"
    EXPIRED = "expired"
    SKIPPED = "skipped"


class State(StrEnum):
    """The state of one delivery; sent, refused, unknown, expired and cancelled are final."""

    PENDING = "pending"
    CLAIMED = "claimed"
    COMMITTING = "committing"
    SENT = "sent"
    DEFERRED = "deferred"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


__all__ = [
    "AT_WORK",
    "WAITING",
    "Attempt",
    "Claim",
    "Decision",
    "Delivery",
    "Owner",
    "Place",
    "Planned",
    "Postgres",
    "Run",
    "RunState",
    "State",
    "current_owner",
    "delivery_key",
    "is_gone",
    "new_ledger",
    "open_ledger",
    "read_ledger",
]

WAITING = (State.PENDING, State.DEFERRED)
AT_WORK = (State.CLAIMED, State.COMMITTING)


@dataclass(frozen=True, slots=True)
class Postgres:
    """A ledger in PostgreSQL, which several hosts may share.

    Attributes:
        url: "postgresql://user@host:port/database" and what libpq knows behind a "?", no password.
        password: the role's.
    """

    url: str
    password: Secret | None = None

    def __str__(self) -> str:
        """Name server and database; no user, no option."""
        parts = urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]
        return f"postgresql://{host}{parts.path}"

    @property
    def name(self) -> str:
        """A file name for what is remembered about it beside the settings."""
        return "".join(c if c.isalnum() or c in ".-" else "_" for c in str(self))


Place = Path | Postgres


class Decision(StrEnum):
    """How a person settles an unknown delivery."""

    SENT = "sent"
    RESEND = "resend"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class Run:
    """One digest on one business date. `edition` is the hash of the frozen snapshot.

    `correction` is 0 for the edition of the day and n for its nth correction.
    """

    digest: str
    business_date: date
    state: RunState
    edition: str | None
    note: str | None
    created_at: datetime
    changed_at: datetime
    correction: int = 0


@dataclass(frozen=True, slots=True)
class Delivery:
    """One recipient of one run.

    Attributes:
        key: unique name; also the source of Message-ID and MIME boundaries.
        message: hash of the frozen bytes that every attempt sends; it outlives the bytes.
        generation: counts claims; a process with an older one may not send.
        owner, lease_until: who works on it; kept on an unknown delivery to know who left it.
        next_at: earliest next attempt.
        note: the other side's last words, or why it failed.
    """

    key: str
    digest: str
    business_date: date
    channel: str
    recipient: str
    state: State
    message: str
    repeatable: bool
    generation: int
    attempts: int
    owner: Owner | None
    lease_until: datetime | None
    next_at: datetime | None
    note: str | None
    changed_at: datetime
    sent_at: datetime | None
    correction: int = 0


@dataclass(frozen=True, slots=True)
class Attempt:
    """One claim of a delivery: who, from when to when, and what came of it.

    `outcome` is the state that the delivery was left in, None while somebody is at work.
    """

    key: str
    generation: int
    owner: Owner
    began_at: datetime
    ended_at: datetime | None
    outcome: State | None
    words: str | None


@dataclass(frozen=True, slots=True)
class Planned:
    """A delivery about to be stored, with its finished bytes."""

    key: str
    channel: str
    recipient: str
    content: bytes = field(repr=False)
    repeatable: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on one delivery until the lease ends or somebody claims it anew."""

    key: str
    generation: int


def delivery_key(
    digest: str, business_date: date, channel: str, recipient: str, correction: int = 0
) -> str:
    """Return the name of a delivery; the same on every host and attempt.

    A correction has a key of its own: `2026-06-15.c1` stands in place of the date.

    Raises:
        ValueError: digest or channel contain the separator, so two deliveries could share a key.
    """
    for name, value in (("digest", digest), ("channel", channel)):
        if "/" in value or not value:
            msg = f"{name} {value!r} must not be empty or contain /"
            raise ValueError(msg)
    edition = business_date.isoformat() + (f".c{correction}" if correction else "")
    return f"{digest}/{edition}/{channel}/{recipient}"


def open_ledger(
    place: Place,
    *,
    clock: Callable[[], datetime],
    owner: Owner | None = None,
    pin: Path | None = None,
    gone: Callable[[Owner], bool] = is_gone,
    busy_seconds: float = 30,
) -> Ledger:
    """Open the ledger for sending; create it when it never existed, upgrade it when it is older.

    Before an upgrade the file is copied to `name.vN.bak` beside it.

    Args:
        place: the SQLite file, on a local disk, or the PostgreSQL database.
        clock: tells the time in UTC; leases in SQLite are compared with it.
        owner: who this process is; found out when not given.
        pin: small file that remembers the ledger's identity after the first use, so that a lost
            or exchanged ledger is noticed instead of everything being sent again.
        gone: says whether another owner's process has provably ended.
        busy_seconds: how long to wait for another process's write.

    Raises:
        LedgerError: missing after use, empty, foreign, corrupt, newer, on a network disk, not to be
            reached or not to be written.
    """
    from digest.ledger.store import Ledger

    backend: Backend
    if isinstance(place, Postgres):
        from digest.ledger.postgres import PostgresBackend

        backend = PostgresBackend(place, busy_seconds=busy_seconds)
        backend.open_or_create(pin)
    else:
        from digest.ledger.file import SqliteBackend, open_or_create, sqlite_engine

        open_or_create(place, pin, busy_seconds=busy_seconds)
        backend = SqliteBackend(place, sqlite_engine(place, busy_seconds=busy_seconds))
    return Ledger(backend, clock=clock, owner=owner or current_owner(), gone=gone)


def read_ledger(place: Place, *, busy_seconds: float = 30) -> Reader | None:
    """Open the ledger for looking only; None when there is none yet.

    An older ledger is read from an upgraded copy in memory; the file waits for the next send.

    Raises:
        LedgerError: empty, foreign, corrupt, newer or not to be reached.
    """
    from digest.ledger.store import Reader

    if isinstance(place, Postgres):
        from digest.ledger.postgres import PostgresBackend

        backend = PostgresBackend(place, busy_seconds=busy_seconds, only_read=True)
        return None if backend.recognise() is None else Reader(backend)

    from digest.ledger.file import SqliteBackend, recognise, sqlite_engine, upgraded_in_memory
    from digest.ledger.tables import SCHEMA_VERSION

    if not place.exists():
        return None
    known = recognise(place, busy_seconds=busy_seconds)
    if known.version < SCHEMA_VERSION:
        engine = upgraded_in_memory(place, known.version, busy_seconds=busy_seconds)
    else:
        engine = sqlite_engine(place, busy_seconds=busy_seconds, only_read=True)
    return Reader(SqliteBackend(place, engine))


def new_ledger(place: Place) -> str:
    """Say which ledger the first send will make here.

    Raises:
        LedgerError: it will not be able to.
    """
    if isinstance(place, Postgres):
        from digest.ledger.postgres import PostgresBackend

        backend = PostgresBackend(place, busy_seconds=30, only_read=True)
        backend.refuse_without_rights()
        return f"will be created by the first send; {backend.describe()}"

    from digest.ledger.file import describe, read_mounts, refuse_network_disk

    refuse_network_disk(place, read_mounts())
    return f"will be created by the first send; {describe()}"

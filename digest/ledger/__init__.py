"""What was sent, to whom, with which numbers; the one place that decides who may send.

`open_ledger` is for whoever sends, `read_ledger` for whoever looks (show, render, preview): it never
creates or changes anything. The tables are in `tables`, the file's rules in `file`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import StrEnum
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from digest.ledger.owner import Owner, current_owner, is_gone
from digest.model import Secret

if TYPE_CHECKING:
    from digest.ledger.backend import Backend
    from digest.ledger.identity import Known
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
    "Restored",
    "Run",
    "RunState",
    "State",
    "accept_restored",
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
        connections: how many this process keeps open between transactions; 0 for none.
    """

    url: str
    password: Secret | None = None
    connections: int = 0

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

    @property
    def sha256(self) -> str:
        """The hash under which the bytes are kept."""
        return sha256(self.content).hexdigest()


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
        LedgerError: missing after use, empty, foreign, corrupt, newer, restored from a backup, on a
            network disk, not to be reached or not to be written.
    """
    from digest.ledger.seal import parts_of, read_seal, refuse_older

    if isinstance(place, Postgres) and place.connections:
        from digest.ledger.postgres import PostgresBackend
        from digest.ledger.store import Ledger

        _look_once(place, pin)
        backend = PostgresBackend(place, busy_seconds=busy_seconds)
        seal = None if pin is None else parts_of(pin)
        return Ledger(backend, clock=clock, owner=owner or current_owner(), gone=gone, seal=seal)
    ledger, known, seal = _opened(
        place, clock=clock, owner=owner, pin=pin, gone=gone, busy_seconds=busy_seconds
    )
    refuse_older(str(ledger), known, read_seal(seal))
    return ledger


@cache
def _look_once(place: Postgres, pin: Path | None) -> None:
    """Open a ledger whose connections are kept with all checks: once in a process is enough.

    Raises:
        LedgerError: as `open_ledger`.
    """
    open_ledger(replace(place, connections=0), clock=_server_s_clock, pin=pin)


def _server_s_clock() -> datetime:  # pragma: no cover - nobody reads it
    msg = "PostgreSQL tells the time itself"
    raise AssertionError(msg)


@dataclass(frozen=True, slots=True)
class Restored:
    """A ledger that is older than its seal.

    Attributes:
        ledger: what a message calls it.
        known, committed: messages handed over that the ledger knows of, and that there were.
        newest: date of the newest edition that somebody may have, by digest.
        unknown: deliveries that may have been made since; settled by hand.
    """

    ledger: str
    known: int
    committed: int
    newest: Mapping[str, date]
    unknown: tuple[Delivery, ...]


def accept_restored(
    place: Place,
    *,
    clock: Callable[[], datetime],
    pin: Path | None,
    do: bool,
) -> Restored | None:
    """Go on with a ledger restored from a backup, or only say what that would do; None when it is none.

    Raises:
        LedgerError: as `open_ledger`.
    """
    from digest.ledger.seal import is_older, read_seal

    ledger, known, path = _opened(place, clock=clock, pin=pin)
    seal = read_seal(path)
    if seal is None or not is_older(known, seal):
        return None
    unknown = ledger.accept_restored(seal, do=do)
    return Restored(str(ledger), known.commits, seal.commits, seal.newest, unknown)


def _opened(
    place: Place,
    *,
    clock: Callable[[], datetime],
    pin: Path | None,
    owner: Owner | None = None,
    gone: Callable[[Owner], bool] = is_gone,
    busy_seconds: float = 30,
) -> tuple[Ledger, Known, Path | None]:
    from digest.ledger.store import Ledger

    backend: Backend
    if isinstance(place, Postgres):
        from digest.ledger.postgres import PostgresBackend

        database = PostgresBackend(place, busy_seconds=busy_seconds)
        known, backend = database.open_or_create(pin), database
        seal = None if pin is None else pin.with_suffix(".seal")
    else:
        from digest.ledger.file import SqliteBackend, open_or_create, sqlite_engine

        known = open_or_create(place, pin, busy_seconds=busy_seconds)
        engine = sqlite_engine(place, busy_seconds=busy_seconds)
        backend = SqliteBackend(place, engine, busy_seconds)
        seal = place.with_name(f".{place.name}.seal")
    owner = owner or current_owner()
    return Ledger(backend, clock=clock, owner=owner, gone=gone, seal=seal), known, seal


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
        if place.connections:  # whoever keeps them has opened it
            return Reader(backend)
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
    return Reader(SqliteBackend(place, engine, only_read=True))


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

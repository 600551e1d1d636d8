"""The SQLite file behind a ledger: made whole or not at all, recognised before use, never mistaken."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import cast
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool, StaticPool

from digest.errors import LedgerError
from digest.ledger.backend import Lock
from digest.ledger.identity import RESTORE, Known, check_pin, identify, write_pin
from digest.ledger.migrations import TABLES, create, migrate
from digest.ledger.tables import SCHEMA_VERSION, meta

_BEGIN = "BEGIN IMMEDIATE"
_MAGIC = b"SQLite format 3\0"
_NETWORK_DISKS = frozenset(
    ("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ncpfs", "fuse.sshfs", "fuse.rclone")
)


def describe(mode: str | None = None) -> str:
    """Say which SQLite this is, in the mode of a ledger or of a new one, and whom it can serve."""
    shown = mode or journal_mode(sqlite3.sqlite_version_info)
    return f"SQLite {sqlite3.sqlite_version}, journal mode {shown}; serves one host only"


def journal_mode(version: tuple[int, ...]) -> str:
    """Return the safe journal mode of an SQLite version.

    3.7.0 to 3.51.2 can lose a committed write in WAL mode (the WAL-reset bug, sqlite.org/wal.html), but
    for the back-ported fixes in 3.50.7 and 3.44.6.
    """
    return "wal" if any(low <= version < high for low, high in _SAFE) else "delete"


_SAFE: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...] = (
    ((3, 44, 6), (3, 45)),
    ((3, 50, 7), (3, 51)),
    ((3, 51, 3), (sys.maxsize,)),
)


def open_or_create(path: Path, pin: Path | None, *, busy_seconds: float) -> Known:
    """Return what the ledger at `path` says of itself, creating it when it never existed.

    Raises:
        LedgerError: see `recognise`; missing or another one although `pin` remembers it.
    """
    refuse_network_disk(path, read_mounts())
    if not path.exists():
        check_pin(f"ledger {path}", pin, None)
        _create(path)
    known = recognise(path, busy_seconds=busy_seconds)
    check_pin(f"ledger {path}", pin, known)
    _check_keys(path, busy_seconds)
    if known.version < SCHEMA_VERSION:
        _upgrade(path, busy_seconds)
    _check_columns(path, busy_seconds)
    write_pin(pin, known.instance)
    return known


def recognise(path: Path, *, busy_seconds: float) -> Known:
    """Return what an existing ledger says of itself.

    Raises:
        LedgerError: empty, foreign, corrupt, unreadable, or written by a newer version.
    """
    try:
        with path.open("rb") as file:
            start = file.read(len(_MAGIC))
    except OSError as error:
        raise LedgerError(
            f"ledger {path} cannot be read ({error.strerror})",
            remedy="check its folder and permissions",
        ) from error
    if not start:
        raise LedgerError(f"ledger {path} is empty (0 bytes)", remedy=RESTORE)
    if start != _MAGIC:
        raise LedgerError(f"ledger {path} is damaged or no ledger at all", remedy=RESTORE)
    known = _read_meta(path, busy_seconds)
    return identify(f"ledger {path}", known, own="set `ledger` to a file of its own")


def _check_keys(path: Path, busy_seconds: float) -> None:
    """Refuse a file in which a key has changed: its row would no longer stop a second send."""
    with explained(path), closing(_connect(path, busy_seconds, only_read=True)) as connection:
        for table in ("runs", "deliveries"):
            ((found, *_), *_) = connection.execute(f"PRAGMA integrity_check({table})")
            if found != "ok":
                raise LedgerError(f"ledger {path} is damaged ({found})", remedy=RESTORE)


def _check_columns(path: Path, busy_seconds: float) -> None:
    """Refuse a file in which a table or column has lost its name."""
    with explained(path), closing(_connect(path, busy_seconds, only_read=True)) as connection:
        for table in TABLES:
            there = {name for _, name, *_ in connection.execute(f"PRAGMA table_info({table.name})")}
            if missing := [column.name for column in table.c if column.name not in there]:
                raise LedgerError(
                    f"ledger {path} is damaged (its table {table.name} has no {', '.join(missing)})",
                    remedy=RESTORE,
                )


def _upgrade(path: Path, busy_seconds: float) -> None:
    """Bring an older ledger to this version's schema, all or nothing, with a copy of it beside.

    The write lock lets one starter do it; the others wait here and then find it done.
    """
    engine = sqlite_engine(path, busy_seconds=busy_seconds)
    with explained(path), engine.connect() as connection:
        # SQLite ignores this inside a transaction, and rebuilding a table needs it; checked below.
        raw = cast("sqlite3.Connection", connection.connection.driver_connection)
        raw.execute("PRAGMA foreign_keys=OFF")
        with connection.begin():
            connection.exec_driver_sql(_BEGIN)
            version = int(
                connection.execute(
                    select(meta.c.value).where(meta.c.key == "schema_version")
                ).scalar_one()
            )
            if version == SCHEMA_VERSION:
                return
            _copy(path, path.with_name(f"{path.name}.v{version}.bak"), busy_seconds)
            migrate(connection, version)
            broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
            if broken:
                raise LedgerError(
                    f"ledger {path} is damaged: rows of {broken[0][0]} belong to nothing",
                    remedy=RESTORE,
                )


def _copy(path: Path, copy: Path, busy_seconds: float) -> None:
    draft = copy.with_name(f".{copy.name}.{uuid.uuid4().hex}")
    try:
        os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        with (
            closing(_connect(path, busy_seconds, only_read=True)) as source,
            closing(sqlite3.connect(draft)) as target,
        ):
            source.backup(target)
        draft.replace(copy)
    except OSError as error:
        raise LedgerError(
            f"ledger {path} cannot be copied to {copy.name} before it is upgraded ({error.strerror})",
            remedy="check that its folder can be written and has room",
        ) from error
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def upgraded_in_memory(path: Path, version: int, *, busy_seconds: float) -> Engine:
    """Return a copy of an older ledger in memory, upgraded there: looking changes no file."""
    copy = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    with explained(path), closing(_connect(path, busy_seconds, only_read=True)) as source:
        source.backup(copy)
    engine = create_engine("sqlite://", creator=lambda: copy, poolclass=StaticPool)
    with explained(path), engine.begin() as connection:
        migrate(connection, version)
    return engine


def _read_meta(path: Path, busy_seconds: float) -> dict[str, str]:
    with explained(path), closing(_connect(path, busy_seconds, only_read=True)) as connection:
        try:
            return dict(connection.execute("SELECT key, value FROM meta"))
        except sqlite3.OperationalError as error:
            if "no such" not in str(error):
                raise
            return {}  # no such table or column: another program's database


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn the database's errors that a person can act on into LedgerError; others are bugs."""
    try:
        yield
    except ValueError as error:  # a state, date or time that nobody wrote
        raise LedgerError(f"ledger {path} is damaged ({error})", remedy=RESTORE) from error
    except (DBAPIError, sqlite3.DatabaseError) as error:
        text = str(getattr(error, "orig", None) or error)
        for sign, what, remedy, passing in _FAILURES:
            if sign in text:
                raise LedgerError(
                    f"ledger {path} {what} ({text})", remedy=remedy, passing=passing
                ) from error
        raise


_FAILURES = (
    ("locked", "is in use by another process", "try again in a minute", True),
    ("full", "has no room on its disk", "free some space, then run again", True),
    ("disk I/O error", "had a disk error", "check the disk, then run again", True),
    ("not a database", "is damaged", RESTORE, False),
    ("malformed", "is damaged", RESTORE, False),
    ("unsupported file format", "is damaged", RESTORE, False),
    ("Could not decode", "is damaged", RESTORE, False),
    ("readonly", "cannot be written", "check the permissions of the file and its folder", False),
    (
        "unable to open",
        "cannot be opened",
        "check the permissions of the file and its folder",
        False,
    ),
)


@dataclass(frozen=True)
class SqliteBackend:
    """A ledger in a file on one host; see `backend.Backend`."""

    path: Path
    engine: Engine
    busy_seconds: float = 30
    only_read: bool = False

    def __str__(self) -> str:
        return f"ledger {self.path}"

    def begin(self, connection: Connection, lock: Lock | str, *, alone: bool = False) -> None:
        """Take the one write lock at once, or never to look.

        A transaction that reads first and writes later can fail with "busy" at any time; BEGIN IMMEDIATE
        waits in line instead.
        """
        del lock
        if not alone:
            connection.exec_driver_sql("BEGIN" if self.only_read else _BEGIN)

    def explained(self) -> AbstractContextManager[None]:
        """See `explained`."""
        return explained(self.path)

    def now(self, connection: Connection, clock: Callable[[], datetime]) -> datetime:
        """Tell this host's time: no other host shares the file."""
        del connection
        return clock()

    def free(self) -> int:
        """Return the free bytes of the disk."""
        return shutil.disk_usage(self.path.parent).free

    def describe(self) -> str:
        """Name version and journal mode."""
        with self.explained(), self.engine.begin() as connection:
            mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()
        return describe(mode)

    def compact(self) -> None:
        """Rewrite the file without the pages that are no longer used."""
        with self.explained(), closing(_connect(self.path, self.busy_seconds)) as connection:
            connection.execute("VACUUM")


@lru_cache(maxsize=16)  # an engine keeps the SQL it has compiled; connections it keeps none
def sqlite_engine(path: Path, *, busy_seconds: float, only_read: bool = False) -> Engine:
    """Return an engine with a connection for each transaction, so that a fork shares none."""
    return create_engine(
        "sqlite://",
        creator=lambda: _connect(path, busy_seconds, only_read=only_read),
        poolclass=NullPool,
    )


def _connect(path: Path, busy_seconds: float, *, only_read: bool = False) -> sqlite3.Connection:
    # mode=rw never creates. Readers need it too, to roll back the journal of a killed writer.
    address = f"file:{quote(str(path.absolute()))}?mode=rw"
    connection = sqlite3.connect(address, uri=True, timeout=busy_seconds, isolation_level=None)
    try:
        # EXTRA is FULL plus a sync of the folder, without which a power cut can undo a commit.
        connection.execute("PRAGMA synchronous=EXTRA")
        connection.execute("PRAGMA foreign_keys=ON")
        if only_read:
            connection.execute("PRAGMA query_only=ON")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _create(path: Path) -> None:
    """Build the ledger beside its place and link it there: two starters get one ledger, none half."""
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        with explained(path):
            _fill(draft)
        with suppress(FileExistsError):  # another process was faster: use its ledger
            os.link(draft, path)
    except OSError as error:
        raise LedgerError(
            f"ledger {path} cannot be created ({error.strerror})",
            remedy="check that its folder exists, is a local disk and can be written",
        ) from error
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def _fill(draft: Path) -> None:
    # The journal mode is set once, here: changing it at each open can fail with "locked".
    with closing(_connect(draft, 30)) as connection:
        connection.execute(f"PRAGMA journal_mode={journal_mode(sqlite3.sqlite_version_info)}")
    engine = sqlite_engine(draft, busy_seconds=30)
    with engine.begin() as connection:
        connection.exec_driver_sql(_BEGIN)
        create(connection)


def refuse_network_disk(path: Path, mounts: str) -> None:
    """Raise LedgerError when `path` lies on a disk whose locks cannot be relied on."""
    kind = disk_kind(path.absolute(), mounts)
    if kind in _NETWORK_DISKS:
        raise LedgerError(
            f"ledger {path} lies on a network disk ({kind}), where locks cannot be relied on",
            remedy="move it to a local disk",
        )


def read_mounts(table: Path = Path("/proc/self/mounts")) -> str:
    """Return the mount table, "" where the system has none."""
    try:
        return table.read_text()
    except OSError:
        return ""


def disk_kind(path: Path, mounts: str) -> str:
    """Return the file-system type that holds `path` according to a mount table, "" if it is not told."""
    best, kind = -1, ""
    for line in mounts.splitlines():
        fields = line.split(" ")
        folder = Path(fields[1].replace("\\040", " "))
        if path.is_relative_to(folder) and len(folder.parts) >= best:
            best, kind = len(folder.parts), fields[2]
    return kind

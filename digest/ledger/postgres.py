"""A ledger in PostgreSQL: one schema of its own, one writer at a time, the server's clock."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import Any
from zlib import crc32

from sqlalchemy import Connection, Engine, create_engine, func, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import NullPool

from digest.errors import LedgerError
from digest.ledger import Postgres
from digest.ledger.backend import Lock
from digest.ledger.identity import RESTORE, Known, check_pin, identify, write_pin
from digest.ledger.migrations import create
from digest.ledger.tables import meta

SCHEMA = "sla_digest"
# Of one digest there is one writer at a time, as SQLite has it: each statement then sees what every
# earlier commit wrote. What concerns several digests waits for all of them.
_LOCK = int.from_bytes(b"digest")
_DIGESTS = int.from_bytes(b"dige")
# A host that is cut off in the middle lets go of the lock after this, before others give up waiting.
_IDLE_SECONDS = 15
_TOLD = "digest_now"  # in a connection's info: the time that its transaction was told as it began
_STATEMENT_SECONDS = 60
# For libpq, unless the URL says otherwise: a connection that is cut is noticed within half a minute.
_LIMITS: Mapping[str, Any] = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
    "application_name": "digest",
}


class PostgresBackend:
    """See `backend.Backend`.

    Args:
        place: which database.
        busy_seconds: how long to wait for another process's write.
        only_read: begin transactions that cannot change anything.
    """

    def __init__(self, place: Postgres, *, busy_seconds: float, only_read: bool = False) -> None:
        self._name = f"ledger {place}"
        self._secrets = () if place.password is None else (place.password.reveal(),)
        with self.explained():
            self._engine = _kept_engine(place) if place.connections else _new_engine(place)
        limits = _limits(int(busy_seconds * 1000))
        if place.connections:  # the others are the session's
            limits = {name: value for name, value in limits.items() if value != _KEPT_LIMITS[name]}
        # Of a transaction: they hold behind a pooler too, which gives each another session.
        self._limits = [f"SELECT set_config('{one}', '{limits[one]}', true)" for one in limits]
        self._only_read = only_read

    def __str__(self) -> str:
        return self._name

    @property
    def engine(self) -> Engine:
        """Connections on which nothing is begun, to the server as it is."""
        return self._engine

    def begin(self, connection: Connection, lock: Lock | str, *, alone: bool = False) -> None:
        """Begin in one message; a statement alone needs none where all limits are the session's."""
        if alone and not self._limits:
            return
        locks = [] if self._only_read else _locks(lock)
        # The statements before a BEGIN in one message belong to its transaction. It comes after them because
        # SQLAlchemy hands on what follows only when the first one has an answer to be read.
        begin = [*self._limits, *locks, "BEGIN READ ONLY" if self._only_read else "BEGIN"]
        if locks:
            # Whoever locks asks for the time next, and it counts once nobody else writes.
            begin.append("SELECT clock_timestamp()")
        connection.info.pop(_TOLD, None)
        with connection.exec_driver_sql("; ".join(begin)) as told:
            if locks:
                while told.cursor.nextset():
                    pass
                ((connection.info[_TOLD],),) = told.cursor.fetchall()

    @contextmanager
    def _begun(self) -> Iterator[Connection]:
        with self.explained(), self._engine.begin() as connection:
            self.begin(connection, Lock.ALL)
            yield connection

    def explained(self) -> AbstractContextManager[None]:
        """See `explained`."""
        return explained(self._name, self._secrets)

    def now(self, connection: Connection, clock: Callable[[], datetime]) -> datetime:
        """Ask the server: hosts may disagree about the time, a lease may not."""
        del clock
        now: datetime | None = connection.info.pop(_TOLD, None)
        return now or connection.execute(select(func.clock_timestamp())).scalar_one()

    def free(self) -> None:
        """Return None: the server does not tell."""
        return

    def describe(self) -> str:
        """Name the server's version."""
        with self._begun() as connection:
            version = connection.exec_driver_sql("SHOW server_version").scalar_one()
        return f"PostgreSQL {version}, schema {SCHEMA}; several hosts may share it"

    def compact(self) -> None:
        """Do nothing: the server cleans up by itself."""

    def open_or_create(self, pin: Path | None) -> Known:
        """Return what the ledger says of itself, made when it never existed.

        Raises:
            LedgerError: see `open_ledger`.
        """
        with self._begun() as connection:
            known = self._known(connection)
            check_pin(self._name, pin, known)
            if known is None:
                if not _schema_exists(connection):
                    connection.exec_driver_sql(f"CREATE SCHEMA {SCHEMA}")
                known = create(connection)
        write_pin(pin, known.instance)
        return known

    def recognise(self) -> Known | None:
        """Return what the ledger says of itself, None when there is none.

        Raises:
            LedgerError: see `read_ledger`.
        """
        with self._begun() as connection:
            return self._known(connection)

    def refuse_without_rights(self) -> None:
        """Raise LedgerError when the first send could not make a ledger here."""
        with self._begun() as connection:

            def told(question: str) -> Any:  # noqa: ANN401 - a value of the database
                return connection.exec_driver_sql(f"SELECT {question}").scalar_one()

            reads = "pg_is_in_recovery() OR current_setting('default_transaction_read_only')::bool"
            if told(reads):
                raise LedgerError(
                    f"{self} can only be read",
                    remedy="name the primary server, not a replica",
                )
            allowed = (
                f"has_schema_privilege('{SCHEMA}', 'CREATE') AND has_schema_privilege('{SCHEMA}', 'USAGE')"
                if _schema_exists(connection)
                else "has_database_privilege(current_database(), 'CREATE')"
            )
            if not told(allowed):
                raise LedgerError(
                    f"{self} does not let the role {told('current_user')} make tables",
                    remedy=f"let an administrator run: CREATE SCHEMA {SCHEMA} AUTHORIZATION that role",
                )

    def _known(self, connection: Connection) -> Known | None:
        tables = "SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace(%s)"
        if not connection.exec_driver_sql(tables, (SCHEMA,)).scalar_one():
            return None
        facts = {}
        columns = (
            "SELECT count(*) FROM pg_attribute WHERE attrelid = to_regclass(%s) "
            "AND attname IN ('key', 'value')"
        )
        if connection.exec_driver_sql(columns, (f"{SCHEMA}.meta",)).scalar_one() == len(meta.c):
            rows = connection.execute(select(meta.c.key, meta.c.value))
            facts = {str(key): str(value) for key, value in rows}
        own = f"its schema {SCHEMA} is taken; name a database of its own"
        return identify(self._name, facts, own=own)


def _schema_exists(connection: Connection) -> bool:
    found = connection.exec_driver_sql("SELECT to_regnamespace(%s)", (SCHEMA,)).scalar_one()
    return found is not None


@cache
def _kept_engine(place: Postgres) -> Engine:
    """Return the one engine of a process that keeps its connections; a fork makes its own."""
    engine = _new_engine(place)
    if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has no fork
        os.register_at_fork(after_in_child=partial(engine.dispose, close=False))
    return engine


def _new_engine(place: Postgres) -> Engine:
    url = _url(place)
    limits = {key: value for key, value in _LIMITS.items() if key not in url.query}
    pool: dict[str, Any] = {"poolclass": NullPool}  # one per transaction, so a fork shares none
    if place.connections:
        # After the first one that the server has cut, all are made anew.
        pool = {"pool_size": place.connections, "max_overflow": 4}
        own = url.query.get("options", "")
        limits["options"] = f"{own if isinstance(own, str) else ' '.join(own)} {_KEPT_OPTIONS}"
    else:
        # A prepared statement would be lost behind a pooler that changes the connection.
        limits["prepare_threshold"] = None
    try:
        # Each transaction begins with a BEGIN of our own, in one message with all that makes it safe.
        return create_engine(url, connect_args=limits, isolation_level="AUTOCOMMIT", **pool)
    except ModuleNotFoundError as error:
        raise LedgerError(
            f"ledger {place}: the package {error.name} is not installed",
            remedy='install it with pip install "sla-digest[postgres]"',
        ) from error


def _limits(busy: int) -> Mapping[str, str]:
    return {
        "search_path": SCHEMA,
        "lock_timeout": f"{busy}ms",
        "statement_timeout": f"{_STATEMENT_SECONDS}s",
        "idle_in_transaction_session_timeout": f"{_IDLE_SECONDS}s",
        # Off, a crash of the server could forget that a message was about to be handed over.
        "synchronous_commit": "on",
    }


# Of a session that is kept, so that a transaction need not set them; those of its URL come first.
_KEPT_LIMITS = _limits(30_000)
_KEPT_OPTIONS = " ".join(f"-c {name}={value}" for name, value in _KEPT_LIMITS.items())


def _locks(lock: Lock | str) -> list[str]:
    """Return what makes a transaction wait for those whose work it must not mix with."""
    if lock is Lock.NONE:
        return []
    if lock is Lock.ALL:
        return [f"SELECT pg_advisory_xact_lock({_LOCK})"]
    shared = [f"SELECT pg_advisory_xact_lock_shared({_LOCK})"]
    if isinstance(lock, str):
        # Two ids with one checksum wait for one another, which is all that happens.
        own = crc32(lock.encode()) - 2**31
        shared.append(f"SELECT pg_advisory_xact_lock({_DIGESTS}, {own})")
    return shared


def _url(place: Postgres) -> URL:
    url = make_url("postgresql+psycopg://" + place.url.partition("://")[2])
    return url if place.password is None else url.set(password=place.password.reveal())


@contextmanager
def explained(ledger: str, secrets: tuple[str, ...] = ()) -> Iterator[None]:
    """Turn the server's errors that a person can act on into LedgerError; others are bugs."""
    try:
        yield
    except ArgumentError as error:
        raise LedgerError(f"{ledger} cannot be reached ({error})", remedy=_URL) from error
    except DBAPIError as error:
        text = next(iter(str(error.orig).splitlines()), "")
        for secret in secrets:
            text = text.replace(secret, "***")
        state = getattr(error.orig, "sqlstate", None) or ""
        found = (
            next((one for sign, one in _STATES if state.startswith(sign)), None)
            if state
            else next((one for sign, one in _WORDS if sign in text), _UNREACHABLE)
        )
        if found is None:
            raise
        what, remedy, passing = found
        raise LedgerError(f"{ledger} {what} ({text})", remedy=remedy, passing=passing) from error


_NETWORK = "check host, port, network and TLS, then run again"
_ROLE = "check the role, its password and pg_hba.conf"
_RIGHTS = f"the role needs USAGE and CREATE on the schema {SCHEMA}, or to own it"
_AGAIN = "try again in a minute"
_URL = "correct its URL"
_Failure = tuple[str, str, bool]
_UNREACHABLE: _Failure = ("cannot be reached", _NETWORK, True)
# SQLSTATE and its classes; of two that fit, the first.
_STATES: tuple[tuple[str, _Failure], ...] = (
    ("08", _UNREACHABLE),
    ("57P", ("is being shut down or started", _AGAIN, True)),
    ("53100", ("has no room on its disk", "free some space, then run again", True)),
    ("53", ("has no resources left", _AGAIN, True)),
    ("55P03", ("is in use by another process", _AGAIN, True)),
    ("57014", ("did not answer in time", _AGAIN, True)),
    ("25P", ("closed a transaction that took too long", _AGAIN, True)),
    ("40", ("could not finish because of another process", _AGAIN, True)),
    ("25006", ("cannot be written", "name the primary server, not a replica", False)),
    ("42501", ("does not let the role in", _RIGHTS, False)),
    ("XX00", ("is damaged", RESTORE, False)),
    ("28", ("did not let us in", _ROLE, False)),
)
# While connecting the driver gives no state; then the server's words tell what waiting will not mend.
_WORDS: tuple[tuple[str, _Failure], ...] = (
    ("password authentication failed", ("did not let us in", _ROLE, False)),
    ("no password supplied", ("did not let us in", "set its password in the settings", False)),
    ("pg_hba", ("did not let us in", _ROLE, False)),
    ('role "', ("did not let us in", _ROLE, False)),
    ('database "', ("is missing", "create the database, or correct its name", False)),
    (
        "certificate",
        ("did not prove who it is", "check sslmode and sslrootcert of its URL", False),
    ),
    ("invalid ", ("cannot be reached", _URL, False)),
)

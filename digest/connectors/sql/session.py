"""One read-only connection with limits: how each database is asked not to write and not to linger."""

from __future__ import annotations

import socket
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from pathlib import Path
from threading import Timer
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.pool import NullPool

from digest.connectors.sql.failures import Cause, Context, cause_of, translated, unreachable
from digest.errors import ConfigError, ConnectorError, Reason, nearest
from digest.model import Secret

if TYPE_CHECKING:
    from digest.connectors.sql import Sql

T = TypeVar("T")

CONNECT_SECONDS = 5
LOCK_SECONDS = 2.0
GRACE_SECONDS = 3
TRIES = {Cause.CONNECTION: 2, Cause.LOCK: 3}

# What people write -> the driver our extras install (sqlalchemy's own default may need a compiler).
DRIVERS = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
    "mssql": "mssql+pymssql",
    "sqlserver": "mssql+pymssql",
    "clickhouse": "clickhousedb",
    "oracle": "oracle+oracledb",
    "redshift": "redshift+psycopg2",
}
EXTRAS = {
    "postgresql": "postgres",
    "mysql": "mysql",
    "mariadb": "mysql",
    "mssql": "mssql",
    "snowflake": "snowflake",
    "bigquery": "bigquery",
    "clickhousedb": "clickhouse",
    "trino": "trino",
    "duckdb": "duckdb",
}
PACKAGES = {
    "oracle": "oracledb",
    "redshift": "sqlalchemy-redshift and psycopg2-binary",
    "databricks": "databricks-sqlalchemy",
}


def backend(url: str | Secret) -> str:
    """Return the database's name in SQLAlchemy ("postgresql"), from the scheme alone."""
    scheme = (url if isinstance(url, str) else url.reveal()).partition("://")[0].lower()
    return DRIVERS.get(scheme, scheme).partition("+")[0]


def address(sql: Sql) -> URL:
    """Return the URL with our driver, the password and an absolute path for file databases.

    Raises:
        ConfigError: the URL cannot be read; its text is not repeated, it may hold a secret.
    """
    text = sql.url if isinstance(sql.url, str) else sql.url.reveal()
    scheme, _, rest = text.partition("://")
    try:
        url = make_url(f"{DRIVERS.get(scheme.lower(), scheme)}://{rest}")
    except (exc.ArgumentError, ValueError):
        raise ConfigError(
            "sql: url cannot be read; write scheme://user@host:port/database and percent-encode "
            "special characters in its parts"
        ) from None
    if sql.password is not None:
        url = url.set(password=sql.password.reveal())
    return url


def source_name(url: URL) -> str:
    """Return the database as a person knows it: no user, no password, no options."""
    shown = URL.create(url.get_backend_name(), host=url.host, port=url.port, database=url.database)
    return shown.render_as_string(hide_password=True)


@dataclass
class Reader:
    """The one connection of a run; counts its statements and keeps the text of the last one."""

    connection: sa.Connection
    limit: Limit
    calls: int = 0
    text: str = ""

    @property
    def dialect(self) -> str:
        """Name of the database in SQLAlchemy."""
        return self.connection.dialect.name

    def all(
        self, statement: sa.Executable, values: dict[str, object] | None = None
    ) -> Sequence[Any]:
        """Run one statement within the limit and return every row."""
        self.calls += 1
        with self.limit.running(self.connection):
            result = self.connection.execute(statement, values or {})
            if result.context.compiled is not None:
                self.text = str(result.context.compiled)
            return result.all()

    def one(self, statement: sa.Executable, values: dict[str, object] | None = None) -> Any:  # noqa: ANN401 - a row of the database
        """Run one statement that has exactly one row."""
        (row,) = self.all(statement, values)
        return row


@dataclass
class Limit:
    """The statement limit on our side of the wire, for servers that have none or do not answer."""

    seconds: int
    deadline: float = 0.0

    @contextmanager
    def running(self, connection: sa.Connection) -> Iterator[None]:
        """Let statements run until the limit, then break them off."""
        self.deadline = monotonic() + self.seconds
        stop = _breaker(connection)
        if stop is None:
            yield
            return
        seconds, action = stop
        timer = Timer(self.seconds + seconds, action)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def exceeded(self) -> int:
        """Return 1 past the deadline, for SQLite's progress handler."""
        return int(monotonic() > self.deadline)


def _breaker(connection: sa.Connection) -> tuple[int, Callable[[], object]] | None:
    """Return how to break a statement off from another thread, and how long after its limit."""
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name == "duckdb":
        # DuckDB knows no statement timeout.
        return 0, getattr(driver, "_ConnectionWrapper__c", driver).interrupt
    if connection.dialect.driver == "psycopg":
        # The server keeps statement_timeout; this is for a server that hangs. Only the socket ends a
        # wait inside the driver: close() and cancel() would wait for the same server.
        return GRACE_SECONDS, lambda: None if driver.closed else _hang_up(driver.fileno())
    return None


def _hang_up(descriptor: int) -> None:
    with suppress(OSError), socket.socket(fileno=_duplicate(descriptor)) as line:
        line.shutdown(socket.SHUT_RDWR)


def _duplicate(descriptor: int) -> int:
    import os

    return os.dup(descriptor)


def read(sql: Sql, work: Callable[[Reader], T]) -> T:
    """Run `work` in one read-only transaction, again after a lost connection or a lock.

    Nothing of a failed try is kept: work starts over on a new connection.

    Raises:
        ConfigError, ConnectorError: see `failures`.
    """
    url = address(sql)
    limit = Limit(sql.timeout_seconds)
    engine = _engine(url, sql, limit)
    context = Context(
        source_name(url),
        sql.timeout_seconds,
        tuple(secret for secret in (url.password,) if secret),
        sql.table or "the table",
    )
    attempt = 0
    try:
        while True:
            attempt += 1
            try:
                with _transaction(engine) as connection:
                    return work(Reader(connection, limit))
            except exc.SQLAlchemyError as error:
                if attempt < TRIES.get(cause_of(error), 1):
                    continue
                raise translated(error, context) from error
            except _network_errors() as error:
                raise unreachable(error, context) from error
    finally:
        engine.dispose()


def server_time(sql: Sql) -> datetime | None:
    """Return the time by the server's clock; None for a database whose clock is not asked."""
    if backend(sql.url) != "postgresql":
        return None
    (moment,) = read(sql, lambda reader: reader.one(sa.select(sa.func.clock_timestamp())))
    return moment if isinstance(moment, datetime) else None


@contextmanager
def _transaction(engine: Engine) -> Iterator[sa.Connection]:
    with engine.connect() as plain:
        options: dict[str, Any] = {}
        if plain.dialect.name == "postgresql":
            options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        connection = plain.execution_options(**options)
        if connection.dialect.name == "sqlite":
            # sqlite3 opens no transaction for a SELECT, so count and reconciliation could differ.
            connection.exec_driver_sql("BEGIN")
        yield connection


def _engine(url: URL, sql: Sql, limit: Limit) -> Engine:
    try:
        return _connectable(url, sql, limit)
    except (ModuleNotFoundError, ImportError, exc.NoSuchModuleError) as error:
        name = url.get_backend_name()
        if name not in EXTRAS and name not in PACKAGES:
            known = sorted({"sqlite", *EXTRAS, *PACKAGES})
            raise ConfigError(
                f"sql: url: unknown database {name!r}{nearest(name, known)}; allowed: "
                + ", ".join(known)
            ) from error
        package = f"sla-digest[{EXTRAS[name]}]" if name in EXTRAS else PACKAGES[name]
        raise ConfigError(
            f"sql: url: the driver for {name} is not installed; install {package}"
        ) from error
    except _google_errors() as error:
        raise ConnectorError(
            "sql",
            Reason.AUTH,
            "Google found no credentials for BigQuery",
            remedy="set GOOGLE_APPLICATION_CREDENTIALS to a service account's key file with the role "
            "BigQuery Data Viewer on the table",
        ) from error
    except (exc.ArgumentError, TypeError, ValueError) as error:
        raise ConfigError(
            f"sql: url: {source_name(url)} is not a usable address for {url.get_backend_name()}; "
            "write scheme://user@host:port/database"
        ) from error


def _network_errors() -> tuple[type[Exception], ...]:
    """Return the errors of HTTP clients that trino, clickhouse-connect and databricks let through."""
    try:
        from urllib3.exceptions import HTTPError
    except ImportError:
        return (OSError,)
    return (OSError, HTTPError)


def _google_errors() -> tuple[type[Exception], ...]:
    """Return the errors that sqlalchemy-bigquery raises while an engine is made, when it is installed."""
    try:
        from google.auth.exceptions import GoogleAuthError
    except ImportError:
        return ()
    return (GoogleAuthError,)


def _connectable(url: URL, sql: Sql, limit: Limit) -> Engine:
    name = url.get_backend_name()
    if name == "sqlite":
        return _sqlite(_existing(url, sql.folder), limit)
    if name == "duckdb":
        url = url.set(database=str(_existing(url, sql.folder)))
    options = CONNECT_ARGUMENTS.get(name, _no_arguments)(sql.timeout_seconds, url)
    engine_options: dict[str, Any] = {}
    if name == "postgresql":
        # Saves a look-up of the hstore type at each connect.
        engine_options["use_native_hstore"] = False
        url = url.difference_update_query(["options"])
    engine = sa.create_engine(
        url, poolclass=NullPool, hide_parameters=True, connect_args=options, **engine_options
    )
    statements = SESSION_STATEMENTS.get(name)
    if statements is not None:
        sa.event.listen(engine, "connect", statements(sql.timeout_seconds))
    return engine


def _existing(url: URL, folder: Path) -> Path:
    name = (url.database or "").removeprefix("file:")
    if name in ("", ":memory:"):
        raise ConfigError(
            f"sql: url: {url.get_backend_name()} needs a file with the leads, found "
            f"{name or 'no name'!r}; write {url.get_backend_name()}:///leads.db"
        )
    path = (folder / name).resolve()
    if not path.is_file():
        raise ConfigError(
            f"sql: url: no file {path}; a relative path counts from the configuration's folder"
        )
    return path


def _sqlite(path: Path, limit: Limit) -> Engine:
    def connect() -> sqlite3.Connection:
        # A plain path would create a missing file; mode=ro neither creates nor writes.
        connection = sqlite3.connect(
            path.as_uri() + "?mode=ro",
            uri=True,
            timeout=_lock_seconds(limit.seconds),
            check_same_thread=False,
        )
        connection.set_progress_handler(limit.exceeded, 10_000)
        return connection

    limit.deadline = monotonic() + limit.seconds
    return sa.create_engine("sqlite://", creator=connect, poolclass=NullPool, hide_parameters=True)


# ------------------------------------------------------------------------- limits, database by database


def _lock_seconds(seconds: int) -> float:
    """Return the wait for a lock, below the statement's limit so that the lock is what gets named."""
    return min(LOCK_SECONDS, seconds / 2)


def _no_arguments(seconds: int, url: URL) -> dict[str, Any]:
    del seconds, url
    return {}


def _postgresql(seconds: int, url: URL) -> dict[str, Any]:
    own = url.query.get("options", "")
    settings = {
        "default_transaction_read_only": "on",
        "statement_timeout": f"{seconds}s",
        "lock_timeout": f"{_lock_seconds(seconds) * 1000:.0f}ms",
        "idle_in_transaction_session_timeout": "10s",
        "application_name": "digest",
        "timezone": "UTC",
    }
    ours = " ".join(f"-c {name}={value}" for name, value in settings.items())
    return {
        "options": f"{own if isinstance(own, str) else ' '.join(own)} {ours}".strip(),
        "connect_timeout": CONNECT_SECONDS,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
    }


def _redshift(seconds: int, url: URL) -> dict[str, Any]:
    del url
    return {"connect_timeout": CONNECT_SECONDS, "options": f"-c statement_timeout={seconds * 1000}"}


def _mysql(seconds: int, url: URL) -> dict[str, Any]:
    del url
    return {
        # As the first statement: issued later it did not protect the transaction already open.
        "init_command": "SET SESSION TRANSACTION READ ONLY",
        "charset": "utf8mb4",
        "connect_timeout": CONNECT_SECONDS,
        "read_timeout": seconds + GRACE_SECONDS,
        "write_timeout": seconds + GRACE_SECONDS,
    }


def _duckdb(seconds: int, url: URL) -> dict[str, Any]:
    del seconds, url
    # Read-only alone still reads any file of the machine through read_csv().
    return {"read_only": True, "config": {"enable_external_access": "false"}}


def _mssql(seconds: int, url: URL) -> dict[str, Any]:
    del url
    return {"login_timeout": CONNECT_SECONDS, "timeout": seconds, "appname": "digest"}


def _snowflake(seconds: int, url: URL) -> dict[str, Any]:
    del url
    return {
        "login_timeout": CONNECT_SECONDS,
        "session_parameters": {
            "STATEMENT_TIMEOUT_IN_SECONDS": seconds,
            "TIMEZONE": "UTC",
            "QUERY_TAG": "digest",
        },
    }


def _trino(seconds: int, url: URL) -> dict[str, Any]:
    options = {"session_properties": {"query_max_run_time": f"{seconds}s"}, "source": "digest"}
    # Trino refuses a password in the clear.
    return options | ({"http_scheme": "https"} if url.password else {})


def _clickhouse(seconds: int, url: URL) -> dict[str, Any]:
    del url
    return {
        "connect_timeout": CONNECT_SECONDS,
        "send_receive_timeout": seconds + GRACE_SECONDS,
        # 2 and not 1: the driver sends settings of its own, which 1 refuses.
        "ch_readonly": "2",
        "ch_max_execution_time": str(seconds),
    }


def _databricks(seconds: int, url: URL) -> dict[str, Any]:
    del url
    # Without these a dead host is tried again for a quarter of an hour.
    return {"_socket_timeout": seconds + GRACE_SECONDS, "_retry_stop_after_attempts_count": 1}


def _oracle(seconds: int, url: URL) -> dict[str, Any]:
    del seconds, url
    return {"tcp_connect_timeout": CONNECT_SECONDS}


CONNECT_ARGUMENTS: dict[str, Callable[[int, URL], dict[str, Any]]] = {
    "postgresql": _postgresql,
    "redshift": _redshift,
    "mysql": _mysql,
    "mariadb": _mysql,
    "duckdb": _duckdb,
    "mssql": _mssql,
    "snowflake": _snowflake,
    "trino": _trino,
    "oracle": _oracle,
    "clickhousedb": _clickhouse,
    "databricks": _databricks,
}

Listener = Callable[[Any, object], None]


def _mysql_session(seconds: int) -> Listener:
    def set_up(connection: Any, record: object) -> None:  # noqa: ANN401 - a driver's own connection
        del record
        mariadb = "mariadb" in str(connection.get_server_info()).lower()
        limit = (
            f"max_statement_time={seconds}" if mariadb else f"max_execution_time={seconds * 1000}"
        )
        with connection.cursor() as cursor:
            cursor.execute(
                f"SET time_zone='+00:00', lock_wait_timeout={ceil(_lock_seconds(seconds))}, {limit}"
            )

    return set_up


def _oracle_session(seconds: int) -> Listener:
    def set_up(connection: Any, record: object) -> None:  # noqa: ANN401 - a driver's own connection
        del record
        connection.call_timeout = seconds * 1000
        with connection.cursor() as cursor:
            cursor.execute("ALTER SESSION SET TIME_ZONE = 'UTC'")

    return set_up


SESSION_STATEMENTS: dict[str, Callable[[int], Listener]] = {
    "mysql": _mysql_session,
    "mariadb": _mysql_session,
    "oracle": _oracle_session,
}

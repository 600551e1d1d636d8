"""What a database's complaint means for the reader: mend the settings, the role, or wait."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from sqlalchemy import exc

from digest.errors import ConfigError, ConnectorError, DigestError, Reason


class Cause(Enum):
    """Why a statement or a connection failed."""

    SETTINGS = "settings"
    AUTH = "auth"
    TIMEOUT = "timeout"
    LOCK = "lock"
    CONNECTION = "connection"
    OTHER = "other"


@dataclass(frozen=True)
class Context:
    """What a message may say of the connection: `source` is free of secrets, `secrets` never appear."""

    source: str
    timeout_seconds: int
    secrets: tuple[str, ...] = ()
    table: str = "the table"


# SQLSTATE classes and codes of PostgreSQL, errors.html of its manual; the longest prefix wins.
STATES = {
    "08": Cause.CONNECTION,
    "22": Cause.SETTINGS,
    "25006": Cause.SETTINGS,
    "28": Cause.AUTH,
    "3D": Cause.SETTINGS,
    "3F": Cause.SETTINGS,
    "40": Cause.LOCK,
    "42": Cause.SETTINGS,
    "42501": Cause.AUTH,
    "53": Cause.CONNECTION,
    "55P03": Cause.LOCK,
    "57014": Cause.TIMEOUT,
    "57P": Cause.CONNECTION,
}
# Error numbers of MySQL and MariaDB, mysqld_error.txt.
NUMBERS = {
    1040: Cause.CONNECTION,
    1044: Cause.AUTH,
    1045: Cause.AUTH,
    1049: Cause.SETTINGS,
    1053: Cause.CONNECTION,
    1054: Cause.SETTINGS,
    1064: Cause.SETTINGS,
    1142: Cause.AUTH,
    1143: Cause.AUTH,
    1146: Cause.SETTINGS,
    1205: Cause.LOCK,
    1213: Cause.LOCK,
    1227: Cause.AUTH,
    1317: Cause.TIMEOUT,
    1698: Cause.AUTH,
    1969: Cause.TIMEOUT,
    2002: Cause.CONNECTION,
    2003: Cause.CONNECTION,
    2005: Cause.CONNECTION,
    2006: Cause.CONNECTION,
    2013: Cause.CONNECTION,
    3024: Cause.TIMEOUT,
}
# Words for drivers that give no code: psycopg while connecting, sqlite3, DuckDB, the warehouses.
WORDS = (
    (
        re.compile(r"invalid (port|connection option|integer|uri|dsn)", re.IGNORECASE),
        Cause.SETTINGS,
    ),
    (
        re.compile(r"(unable to|cannot|can't|could not) connect|refused", re.IGNORECASE),
        Cause.CONNECTION,
    ),
    (
        re.compile(
            r"password|authentica|login failed|pg_hba|access denied|permission denied|role \"",
            re.IGNORECASE,
        ),
        Cause.AUTH,
    ),
    (
        re.compile(r"timed? ?out|timeout expired|interrupt|canceling statement", re.IGNORECASE),
        Cause.TIMEOUT,
    ),
    (re.compile(r"locked|could not set lock|deadlock|serializ", re.IGNORECASE), Cause.LOCK),
    (
        re.compile(
            r"does not exist|no such (table|column)|not a database|unknown database|not found"
            r"|unable to open database|syntax error|binder error|catalog error",
            re.IGNORECASE,
        ),
        Cause.SETTINGS,
    ),
    (
        re.compile(
            r"refused|connection|could not translate|resolve|unreachable|ssl|tls|closed|reset"
            r"|starting up|shutting down|no such file",
            re.IGNORECASE,
        ),
        Cause.CONNECTION,
    ),
)


def cause_of(error: exc.SQLAlchemyError) -> Cause:
    """Classify a failure by its code, else by its words."""
    original = getattr(error, "orig", None)
    state = getattr(original, "sqlstate", None) or ""
    for length in (5, 3, 2):
        if state[:length] in STATES:
            return STATES[state[:length]]
    number = original.args[0] if isinstance(original, Exception) and original.args else None
    if isinstance(number, int) and number in NUMBERS:
        return NUMBERS[number]
    words = _words(error)
    found = next((cause for pattern, cause in WORDS if pattern.search(words)), None)
    if found is not None:
        return found
    if isinstance(error, exc.DBAPIError) and error.connection_invalidated:
        return Cause.CONNECTION
    if isinstance(error, exc.ProgrammingError | exc.DataError):
        return Cause.SETTINGS
    # Anything that is not the driver's is a value it could not even send.
    return Cause.OTHER if isinstance(error, exc.DBAPIError) else Cause.SETTINGS


def translated(error: exc.SQLAlchemyError, context: Context) -> DigestError:
    """Return the failure in the reader's words, without a secret."""
    cause = cause_of(error)
    said = _first_line(_words(error), context.secrets)
    where = context.source
    if "unsupported startup parameter" in said:
        return ConfigError(
            f"sql: {where} is behind a PgBouncer that refuses our limits: {said}; connect to PostgreSQL "
            "itself, or add options to ignore_startup_parameters in pgbouncer.ini and set "
            "statement_timeout on the role"
        )
    if cause is Cause.SETTINGS:
        return ConfigError(
            f"sql: {where} refused the question: {said}; "
            "compare url, table, columns and filter values of [connector] with the database"
        )
    if cause is Cause.AUTH:
        return ConnectorError(
            "sql",
            Reason.AUTH,
            f"{where} did not let us in: {said}",
            remedy=f"check the role and its password, and GRANT SELECT on {context.table} to it",
        )
    what, remedy = {
        Cause.TIMEOUT: (
            f"{where} did not answer within {context.timeout_seconds} s: {said}",
            "put an index on the date column, or raise timeout_seconds (up to 600)",
        ),
        Cause.LOCK: (
            f"{where} is locked by somebody else: {said}",
            "the next run tries again; keep loads and maintenance out of the sending time",
        ),
        Cause.CONNECTION: (
            f"the connection to {where} failed: {said}",
            "check host, port, network and TLS; the next run tries again",
        ),
        Cause.OTHER: (f"{where} failed: {said}", "the next run tries again"),
    }[cause]
    return ConnectorError("sql", Reason.TRANSIENT, what, remedy=remedy)


def unreachable(error: Exception, context: Context) -> ConnectorError:
    """Return a network failure that the driver did not wrap."""
    return ConnectorError(
        "sql",
        Reason.TRANSIENT,
        f"the connection to {context.source} failed: {_first_line(str(error), context.secrets)}",
        remedy="check host, port, network and TLS; the next run tries again",
    )


def _words(error: exc.SQLAlchemyError) -> str:
    original = getattr(error, "orig", None)
    said = original.args[-1] if isinstance(original, Exception) and original.args else None
    if isinstance(said, tuple) and said:  # pymssql wraps number and bytes
        said = said[-1]
    if isinstance(said, bytes):
        return said.decode("utf-8", "replace")
    return said if isinstance(said, str) else str(original or error)


def _first_line(text: str, secrets: tuple[str, ...]) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    line = lines[0][:300] if lines else "no reason given"
    for secret in secrets:
        line = line.replace(secret, "***")
    return line

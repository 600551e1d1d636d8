"""What the connector may not do, and what it says when a database does not answer."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from threading import Thread
from time import monotonic, sleep
from typing import Any

import pytest
import sqlalchemy as sa

from digest.conditions import Filter
from digest.connectors.sql import Sql
from digest.connectors.sql.session import Reader, address, read, source_name
from digest.errors import ConfigError, ConnectorError, DigestError, Reason
from digest.model import Period, Secret, Segment
from tests.sql.databases import NOW, Database

MARCH = Period(date(2026, 3, 1), date(2026, 4, 1))
SEGMENTS = (Segment("DACH"),)
MARCH_5 = datetime(2026, 3, 5, 12, tzinfo=UTC)


def total(sql: Sql) -> int:
    return sql.count_leads(period=MARCH, segments=SEGMENTS, now=NOW).total


def staged(database: Database) -> Database:
    database.create(seg="text", ts=database.moment)
    database.fill([{"seg": "DACH", "ts": MARCH_5}])
    return database


# ------------------------------------------------------------------------------------------ read-only


def writing(reader: Reader, table: str) -> None:
    reader.connection.exec_driver_sql(f"DELETE FROM {table}")


def test_a_delete_through_our_session_fails_on_every_database(database: Database) -> None:
    staged(database)
    if database.server is not None:
        table = database.table
        rights = (
            f"GRANT INSERT, DELETE ON {table} TO reader"
            if database.name == "postgresql"
            else f"GRANT INSERT, DELETE ON crm.{table} TO reader@'127.0.0.1'"
        )
        database.server.run(rights)
    with pytest.raises(DigestError, match=r"(?i)read.?only"):
        read(database.sql(), lambda reader: writing(reader, database.table))
    assert total(database.sql()) == 1


def test_a_missing_sqlite_file_is_named_and_not_created(tmp_path: Path) -> None:
    sql = Sql(url="sqlite:///no.db", table="leads", dates=("ts",), segment="seg", folder=tmp_path)
    with pytest.raises(ConfigError, match=f"no file {tmp_path / 'no.db'}"):
        total(sql)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_a_mistake_in_the_settings(tmp_path: Path) -> None:
    (tmp_path / "leads.db").write_bytes(b"PK\x03\x04" * 600)
    sql = Sql(
        url="sqlite:///leads.db", table="leads", dates=("ts",), segment="seg", folder=tmp_path
    )
    with pytest.raises(ConfigError, match="file is not a database"):
        total(sql)


def test_duckdb_reads_no_other_file(tmp_path: Path) -> None:
    import duckdb

    duckdb.connect(str(tmp_path / "a.duckdb")).close()
    (tmp_path / "secret.csv").write_text("x\n1\n")
    sql = Sql(url="duckdb:///a.duckdb", table="t", dates=("ts",), segment="seg", folder=tmp_path)
    statement = sa.text(f"SELECT * FROM read_csv('{tmp_path / 'secret.csv'}')")
    with pytest.raises(DigestError, match="disabled by configuration"):
        read(sql, lambda reader: reader.all(statement))


# --------------------------------------------------------------------------------- limits and failures


def slow_view(pg: Database, seconds: float) -> str:
    staged(pg)
    view = f"slow_{pg.table}"
    pg.run(
        f"CREATE VIEW {view} AS SELECT seg, ts FROM {pg.table}, pg_sleep({seconds}) AS nap",
        f"GRANT SELECT ON {view} TO reader",
    )
    return view


@pytest.mark.failure("D5")
def test_a_slow_postgresql_is_stopped_at_the_limit(pg: Database) -> None:
    view = slow_view(pg, 60)
    start = monotonic()
    with pytest.raises(ConnectorError, match=r"within 1 s.*index on the date column") as caught:
        total(pg.sql(table=view, timeout_seconds=1))
    assert caught.value.reason == Reason.TRANSIENT
    assert monotonic() - start < 4


@pytest.mark.tool
def test_a_slow_mariadb_is_stopped_at_the_limit(maria: Database) -> None:
    staged(maria)
    view = f"slow_{maria.table}"
    maria.run(f"CREATE VIEW {view} AS SELECT seg, ts FROM {maria.table} WHERE sleep(20) = 0")
    with pytest.raises(ConnectorError, match=r"within 1 s") as caught:
        total(maria.sql(table=view, timeout_seconds=1, stored_in="UTC"))
    assert caught.value.reason == Reason.TRANSIENT


NUMBERS = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 2000000000)"


@pytest.mark.parametrize("name", ["sqlite", "duckdb"])
def test_a_slow_file_database_is_stopped_at_the_limit(name: str, tmp_path: Path) -> None:
    from tests.sql.databases import duckdb_database, sqlite_database

    database = (sqlite_database if name == "sqlite" else duckdb_database)(tmp_path)
    staged(database)
    endless = (
        f"CREATE VIEW endless AS {NUMBERS} SELECT seg, ts FROM leads, c WHERE n < 0"
        if name == "sqlite"
        else "CREATE VIEW endless AS SELECT seg, ts FROM leads, range(300000) a, range(3000000) b"
        " WHERE a.range * 7 + b.range % 11 = -1"
    )
    database.run(endless)
    start = monotonic()
    with pytest.raises(ConnectorError, match=r"within 1 s") as caught:
        total(
            database.sql(
                table="endless", timeout_seconds=1, stored_in=None if name == "duckdb" else "UTC"
            )
        )
    assert caught.value.reason == Reason.TRANSIENT
    assert monotonic() - start < 5


def backend(pg: Database, view: str, *, after: int = 0) -> int:
    """Wait for the connector's backend to run, another one than before, and return its process id."""
    engine = sa.create_engine(pg.server.admin if pg.server else "", poolclass=sa.NullPool)
    question = sa.text(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'digest' AND query LIKE :q"
        " AND state = 'active' AND pid <> :after"
    )
    end = monotonic() + 30
    while monotonic() < end:
        with engine.connect() as connection:
            pid = connection.execute(question, {"q": f"%{view}%", "after": after}).scalar()
        if pid is not None:
            return int(pid)
        sleep(0.05)
    pytest.fail("the connector never asked")


def outcome_of(sql: Sql) -> tuple[Thread, list[object]]:
    found: list[object] = []

    def run() -> None:
        try:
            found.append(total(sql))
        except DigestError as error:
            found.append(error)

    thread = Thread(target=run)
    thread.start()
    return thread, found


@pytest.mark.failure("D6")
def test_a_connection_killed_in_mid_query_is_no_count(pg: Database) -> None:
    view = slow_view(pg, 5)
    thread, found = outcome_of(pg.sql(table=view))
    first = backend(pg, view)
    pg.run(f"SELECT pg_terminate_backend({first})")
    second = backend(pg, view, after=first)  # one more try on a new connection
    pg.run(f"SELECT pg_terminate_backend({second})")
    thread.join(60)
    (error,) = found
    assert isinstance(error, ConnectorError)
    assert error.reason == Reason.TRANSIENT


def test_a_lost_connection_is_tried_once_more(pg: Database) -> None:
    view = slow_view(pg, 0.7)
    thread, found = outcome_of(pg.sql(table=view))
    pg.run(f"SELECT pg_terminate_backend({backend(pg, view)})")
    thread.join(60)
    assert found == [1]


@pytest.mark.failure("D5")
@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="stops a process")
def test_a_server_that_hangs_is_left_soon_after_the_limit(pg: Database) -> None:
    view = slow_view(pg, 60)
    thread, found = outcome_of(pg.sql(table=view, timeout_seconds=1))
    pid = backend(pg, view)
    try:
        os.kill(pid, signal.SIGSTOP)
        # The second try is stopped by the server itself, after its one second.
        thread.join(15)
    finally:
        os.kill(pid, signal.SIGCONT)
    (error,) = found
    assert isinstance(error, ConnectorError)
    assert error.reason == Reason.TRANSIENT


def test_a_locked_table_is_somebody_elses_lock(pg: Database) -> None:
    staged(pg)
    engine = sa.create_engine(pg.server.admin if pg.server else "", poolclass=sa.NullPool)
    with engine.begin() as holder:
        holder.exec_driver_sql(f"LOCK TABLE {pg.table} IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(ConnectorError, match="is locked by somebody else") as caught:
            total(pg.sql(timeout_seconds=1))
    assert caught.value.reason == Reason.TRANSIENT


def test_a_locked_sqlite_file_is_somebody_elses_lock(lite: Database) -> None:
    staged(lite)
    holder = sqlite3.connect(lite.folder / "leads.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(ConnectorError, match="locked") as caught:
            total(lite.sql(timeout_seconds=1))
    finally:
        holder.close()
    assert caught.value.reason == Reason.TRANSIENT


@pytest.mark.failure("D5")
@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
def test_a_refused_connection_is_transient(scheme: str) -> None:
    sql = Sql(
        url=f"{scheme}://digest@127.0.0.1:9/sales",
        password=Secret("hunter22"),
        table="leads",
        dates=("ts",),
        segment="seg",
    )
    with pytest.raises(ConnectorError, match=r"127\.0\.0\.1") as caught:
        total(sql)
    assert caught.value.reason == Reason.TRANSIENT
    assert "hunter22" not in str(caught.value)


def test_an_unknown_role_is_a_matter_of_authentication(pg: Database) -> None:
    staged(pg)
    with pytest.raises(ConnectorError, match="GRANT SELECT") as caught:
        total(pg.sql(url=pg.url.replace("reader@", "nobody@")))
    assert caught.value.reason == Reason.AUTH


@pytest.mark.failure("D1")
@pytest.mark.tool
def test_a_wrong_password_is_refused_without_being_repeated(maria: Database) -> None:
    staged(maria)
    with pytest.raises(ConnectorError, match="Access denied") as caught:
        total(maria.sql(password=Secret("wrong-pw-77")))
    assert caught.value.reason == Reason.AUTH
    seen = "".join(map(str, (caught.value, caught.value.__cause__, repr(maria.sql()))))
    assert "wrong-pw-77" not in seen


@pytest.mark.failure("D2")
def test_a_table_the_role_may_not_read_is_a_matter_of_rights(pg: Database) -> None:
    staged(pg)
    pg.run(f"REVOKE SELECT ON {pg.table} FROM reader")
    with pytest.raises(ConnectorError, match=f"GRANT SELECT on {pg.table}") as caught:
        total(pg.sql())
    assert caught.value.reason == Reason.AUTH


def test_an_unknown_database_is_a_mistake_in_the_settings(pg: Database) -> None:
    with pytest.raises(ConfigError, match='database "nosuch" does not exist'):
        total(pg.sql(url=pg.url.replace("/postgres?", "/nosuch?"), table="t"))


def test_a_filter_value_of_the_wrong_type_is_a_mistake_in_the_settings(pg: Database) -> None:
    pg.create(seg="text", ts="aware", score="integer")
    with pytest.raises(ConfigError, match="invalid input syntax"):
        total(pg.sql(filters=(Filter("score", "=", "many"),)))


# --------------------------------------------------------------------------------------- url and driver


def plain(url: str | Secret, **settings: Any) -> Sql:  # noqa: ANN401 - any setting of Sql
    return Sql(**({"url": url, "table": "leads", "dates": ("ts",), "segment": "seg"} | settings))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://digest:pw-in-url@crm.example/sales",
        "mysql://digest:p/w@crm.example/sales",
        "databricks://token:dapi123@crm.example?http_path=x",
        "postgresql://crm.example/sales?sslpassword=pw-in-url",
    ],
)
def test_a_password_in_the_url_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(ValueError, match="url: holds a password") as caught:
        plain(url)
    assert "pw-in-url" not in str(caught.value)
    assert "dapi123" not in str(caught.value)


def test_a_whole_url_may_be_a_secret() -> None:
    sql = plain(Secret("postgresql://digest:pw-in-url@crm.example/sales"))
    assert "pw-in-url" not in repr(sql)
    assert address(sql).drivername == "postgresql+psycopg"
    assert source_name(address(sql)) == "postgresql://crm.example/sales"


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("postgres://u@h/d", "postgresql+psycopg"),
        ("postgresql://u@h/d", "postgresql+psycopg"),
        ("postgresql+psycopg://u@h/d", "postgresql+psycopg"),
        ("mysql://u@h/d", "mysql+pymysql"),
        ("mariadb://u@h/d", "mariadb+pymysql"),
        ("mssql://u@h/d", "mssql+pymssql"),
    ],
)
def test_urls_are_taken_as_people_have_them(url: str, driver: str) -> None:
    assert driver == address(plain(url)).drivername


def test_a_missing_driver_names_the_extra() -> None:
    absent = sys.modules.get("pymssql")
    sys.modules["pymssql"] = None  # type: ignore[assignment] # how Python marks a module as not importable
    try:
        with pytest.raises(ConfigError, match=r"install sla-digest\[mssql\]"):
            total(plain("mssql://u@h/d"))
    finally:
        del sys.modules["pymssql"]
        if absent is not None:
            sys.modules["pymssql"] = absent


def test_an_unknown_scheme_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"unknown database 'mongodb'; allowed: bigquery"):
        total(plain("mongodb://u@h/d"))
    with pytest.raises(
        ConfigError, match=r"unknown database 'postgre'; did you mean 'postgresql'\?"
    ):
        total(plain("postgre://u@h/d"))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"dates": ()}, "dates: name at least one"),
        ({"timeout_seconds": 601}, "timeout_seconds: found 601, allowed 1 to 600"),
        ({"stored_in": "Zurich"}, "stored_in: 'Zurich' is no IANA time zone"),
        ({"distinct": "id", "count_column": "n"}, "distinct:"),
        ({"table": None}, "table: give either"),
        ({"url": "leads.db"}, "url: expected scheme"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        plain(settings.pop("url", "sqlite:///leads.db"), **settings)


def test_a_port_that_is_none_is_a_mistake_in_the_settings() -> None:
    with pytest.raises(ConfigError, match="invalid port number"):
        total(plain("postgresql://u@127.0.0.1:99999/d"))


def test_a_filter_value_no_database_holds_is_refused_with_the_settings() -> None:
    with pytest.raises(ValueError, match="no database can hold"):
        Filter("score", "in", (1, 2**63))


def test_a_value_the_driver_cannot_send_is_a_mistake_in_the_settings(pg: Database) -> None:
    staged(pg)
    with pytest.raises(ConfigError, match="NUL"):
        total(pg.sql(filters=(Filter("seg", "=", "a\x00b"),)))

"""`check` says beforehand whether a count would work, and that the role can do nothing else."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Any

import pytest

from digest.connectors import Checks
from digest.connectors.sql import Deals, Sql
from digest.model import Finding, Period, Secret, Segment
from tests.sql.databases import NOW, Database

MARCH = Period(date(2026, 3, 1), date(2026, 4, 1))
MARCH_5 = datetime(2026, 3, 5, 12, tzinfo=UTC)
SEGMENTS = (Segment("DACH"), Segment("Nord"))


def checked(sql: Sql, period: Period = MARCH) -> tuple[Finding, ...]:
    assert isinstance(sql, Checks)
    return sql.check(period=period, segments=SEGMENTS, now=NOW)


def texts(findings: tuple[Finding, ...], level: str) -> str:
    return "\n".join(f"{one.subject}: {one.text}" for one in findings if one.level == level)


def staged(database: Database, **columns: str) -> Database:
    database.create(**{"seg": "text", "ts": database.moment, **columns})
    database.fill([{"seg": "DACH", "ts": MARCH_5}, {"seg": "Nord", "ts": MARCH_5}])
    return database


def test_a_source_that_works_has_no_error_and_no_warning(database: Database) -> None:
    findings = checked(staged(database).sql())
    assert {"ok"} == {finding.level for finding in findings}, findings
    assert "2 leads from 2026-03-01" in texts(findings, "ok")


@pytest.mark.parametrize("right", ["INSERT", "UPDATE", "DELETE"])
def test_a_postgresql_role_that_can_write_is_an_error_with_the_recipe(
    pg: Database, right: str
) -> None:
    staged(pg).run(f"GRANT {right} ON {pg.table} TO reader")
    found = texts(checked(pg.sql()), "error")
    assert f"reader can write to {pg.table}" in found
    assert f'GRANT SELECT ON "public"."{pg.table}" TO digest_reader' in found


def test_a_superuser_is_an_error(pg: Database) -> None:
    staged(pg)
    found = texts(checked(pg.sql(url=pg.url.replace("reader@", "postgres@"))), "error")
    assert "postgres is a superuser" in found


@pytest.mark.tool
def test_a_mariadb_role_that_can_write_is_an_error_with_the_recipe(maria: Database) -> None:
    staged(maria)
    url = maria.url.replace("reader@", "root@")
    found = texts(checked(maria.sql(url=url, password=Secret(""))), "error")
    assert "ALL PRIVILEGES" in found
    assert f"GRANT SELECT ON `crm`.`{maria.table}`" in found


@pytest.mark.tool
def test_a_mariadb_role_that_can_write_this_table_is_an_error_and_another_table_is_not(
    maria: Database,
) -> None:
    staged(maria)
    assert maria.server
    maria.server.run(
        f"CREATE TABLE crm.other_{maria.table} (a INT)",
        f"GRANT UPDATE ON crm.other_{maria.table} TO reader@'127.0.0.1'",
    )
    assert texts(checked(maria.sql()), "error") == ""
    maria.server.run(f"GRANT UPDATE ON crm.{maria.table} TO reader@'127.0.0.1'")
    assert "can UPDATE" in texts(checked(maria.sql()), "error")


def test_mistakes_in_the_settings_are_errors_all_at_once(database: Database) -> None:
    found = texts(checked(staged(database).sql(dates=("tss",), segment="sg")), "error")
    assert "did you mean 'ts'?" in found
    assert "did you mean 'seg'?" in found


def test_a_naive_column_without_stored_in_is_an_error(database: Database) -> None:
    database.create(seg="text", ts="naive")
    assert "set stored_in" in texts(checked(database.sql(stored_in=None)), "error")


def test_values_that_are_not_written_as_declared_are_counted(lite: Database) -> None:
    lite.create(seg="text", ts="text")
    good, bad = "2026-03-05T10:00:00Z", "05.03.2026 10:00"
    lite.fill([{"seg": "DACH", "ts": good if n % 10 else bad} for n in range(1500)])
    found = texts(checked(lite.sql(format="iso-z")), "error")
    assert "100 of 1,000 sampled values" in found


def test_a_missing_file_is_an_error(lite: Database) -> None:
    assert "no file" in texts(checked(lite.sql(stored_in="UTC")), "error")


def test_a_server_that_is_down_is_an_error() -> None:
    sql = Sql(url="postgresql://x@127.0.0.1:9/d", table="leads", dates=("ts",), segment="seg")
    assert "connection" in texts(checked(sql), "error")


@pytest.mark.parametrize(
    ("stored_in", "timezone", "month", "turned_back"),
    [
        ("Europe/Zurich", "Atlantic/Cape_Verde", 10, "2026-10-25"),
        ("Europe/Zurich", "Europe/Zurich", 10, ""),
        ("America/Santiago", "America/Santiago", 4, ""),
        ("America/Havana", "America/Havana", 11, ""),
    ],
)
def test_a_clock_turned_back_past_a_midnight_is_a_warning(
    lite: Database, stored_in: str, timezone: str, month: int, turned_back: str
) -> None:
    lite.zone = stored_in
    lite.create(seg="text", ts="naive")
    period = Period(date(2026, month, 1), date(2026, month + 1, 1), timezone)
    found = texts(checked(lite.sql(), period), "warning")
    assert bool(turned_back) == ("the clock is turned back" in found)
    assert turned_back in found


def test_values_that_fit_no_segment_are_a_warning(database: Database) -> None:
    database.create(seg="text", ts=database.moment)
    database.fill([{"seg": "Norden", "ts": MARCH_5}])
    found = texts(checked(database.sql()), "warning")
    assert "no lead belongs to DACH, Nord" in found
    assert "'Norden' (1)" in found


def test_outcomes_that_never_occur_are_a_warning(lite: Database) -> None:
    staged(lite, closed="naive", outcome="text")
    deals = Deals(
        table="leads",
        closed="closed",
        segment="seg",
        outcome="outcome",
        won=("w",),
        stored_in="UTC",
    )
    found = texts(checked(lite.sql(deals=deals)), "warning")
    assert "no deal since 2025-09-01 is won or lost" in found
    assert "without `customer`" in found


def test_deals_are_looked_for_over_half_a_year(lite: Database) -> None:
    staged(lite, closed="naive", outcome="text")
    lite.fill([{"closed": datetime(2025, 10, 7, 12, 0), "outcome": "w"}])  # noqa: DTZ001 - a naive column
    deals = Deals(
        table="leads",
        closed="closed",
        segment="seg",
        outcome="outcome",
        won=("w",),
        stored_in="UTC",
    )

    found = checked(lite.sql(deals=deals))

    assert "1 won and 0 lost deals since 2025-09-01" in texts(found, "ok")
    assert "won or lost;" not in texts(found, "warning")


def test_a_table_read_from_end_to_end_is_a_warning(pg: Database) -> None:
    staged(pg)
    # What VACUUM would write for a table of this size; PostgreSQL plans with it.
    pg.run(
        f"UPDATE pg_class SET reltuples = 5000000, relpages = 100000 WHERE relname = '{pg.table}'"
    )
    assert "put an index on the date column" in texts(checked(pg.sql()), "warning")


def test_the_view_in_a_schema_is_found(pg: Database) -> None:
    staged(pg)
    pg.run(
        f'CREATE SCHEMA "crm.{pg.table}"',
        f'CREATE VIEW "crm.{pg.table}".v AS SELECT * FROM {pg.table}',
        f'GRANT USAGE ON SCHEMA "crm.{pg.table}" TO reader',
        f'GRANT SELECT ON "crm.{pg.table}".v TO reader',
    )
    findings = checked(pg.sql(table=f'"crm.{pg.table}".v'))
    assert {"ok"} == {finding.level for finding in findings}, findings


def custom(database: Database, statement: str, **settings: Any) -> Sql:  # noqa: ANN401 - any setting of Sql
    kind = "with time zone" if database.moment == "aware" else "without time zone"
    return database.sql(
        table=None, custom_sql=statement, allow_custom_sql=True, date_type=kind, **settings
    )


def test_a_custom_select_counts_like_a_table(database: Database) -> None:
    staged(database)
    statement = f"select upper(seg) as seg, ts from {database.table} where seg <> ':x 100%';"
    counts = custom(database, statement).count_leads(period=MARCH, segments=SEGMENTS, now=NOW)
    assert counts.total == 2
    assert counts.unknown == ()


def test_only_our_statements_reach_the_server(pg: Database) -> None:
    hostile = 'leads"; drop table x;--'
    quoted = '"' + hostile.replace('"', '""') + '"'
    pg.run(
        f"DROP TABLE IF EXISTS {quoted}",
        f"CREATE TABLE {quoted} (seg text, {quoted} timestamptz)",
        f"INSERT INTO {quoted} VALUES ('DACH', '2026-03-05 12:00+00')",
        f"GRANT SELECT ON {quoted} TO reader",
        "ALTER ROLE reader SET log_statement = 'all'",
    )
    assert pg.server is not None
    try:
        sql = pg.sql(table=hostile, dates=(hostile,))
        assert sql.count_leads(period=MARCH, segments=SEGMENTS, now=NOW).total == 1
    finally:
        pg.run("ALTER ROLE reader RESET log_statement")
    text = (pg.server.folder / "log").read_text(encoding="utf-8", errors="replace")
    sent = re.findall(r"LOG: +(?:statement|execute [^:]+): (.*?)(?=\n\d{4}-|\Z)", text, re.DOTALL)
    ours = [statement for statement in sent if quoted in statement]
    assert len(ours) == 2
    assert {statement.split()[0].upper() for statement in sent} <= {
        "SELECT", "BEGIN", "ROLLBACK", "SHOW"
    }  # fmt: skip
    assert [one for one in sent if "drop table" in one.replace(quoted, "")] == []

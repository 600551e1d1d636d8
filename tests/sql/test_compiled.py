"""The count's statement for databases we cannot start, against stored text.

`pytest tests/sql/test_compiled.py` names the file of a difference; delete the file and run with
DIGEST_WRITE_SQL=1 to store the new text.
"""

from __future__ import annotations

import importlib
import os
import re
from datetime import date
from pathlib import Path

import pytest
import sqlalchemy as sa

from digest.connectors.sql.clocks import Clock, clock_of, family
from digest.connectors.sql.query import Bounds, Leads, grouped, rows_of, total
from digest.model import Period

STORED = Path(__file__).parent / "compiled"
WRITE = os.environ.get("DIGEST_WRITE_SQL") == "1"  # noqa: TID251 - the test run is an entry point
DAYS = Period(date(2026, 3, 28), date(2026, 4, 1))
DIALECTS = {
    "postgresql": ("sqlalchemy.dialects.postgresql.psycopg", "PGDialect_psycopg"),
    "mysql": ("sqlalchemy.dialects.mysql.pymysql", "MySQLDialect_pymysql"),
    "sqlite": ("sqlalchemy.dialects.sqlite.pysqlite", "SQLiteDialect_pysqlite"),
    "duckdb": ("duckdb_engine", "Dialect"),
    "mssql": ("sqlalchemy.dialects.mssql.pymssql", "MSDialect_pymssql"),
    "oracle": ("sqlalchemy.dialects.oracle.oracledb", "OracleDialect_oracledb"),
    "snowflake": ("snowflake.sqlalchemy.snowdialect", "SnowflakeDialect"),
    "bigquery": ("sqlalchemy_bigquery", "BigQueryDialect"),
    "redshift": ("sqlalchemy_redshift.dialect", "RedshiftDialect_psycopg2"),
    "trino": ("trino.sqlalchemy.dialect", "TrinoDialect"),
    "clickhousedb": ("clickhouse_connect.cc_sqlalchemy.dialect", "ClickHouseDialect"),
    "databricks": ("databricks.sqlalchemy", "DatabricksDialect"),
}
ZONE_FUNCTIONS = re.compile(
    r"at time zone|convert_tz|convert_timezone|from_utc|to_utc|date_trunc|timezone|_tz\(",
    re.IGNORECASE,
)


def dialect_of(name: str) -> sa.Dialect:
    module, attribute = DIALECTS[name]
    dialect: sa.Dialect = getattr(importlib.import_module(module), attribute)()
    return dialect


def compiled(dialect: sa.Dialect) -> tuple[str, dict[str, object]]:
    quote = None if dialect.requires_name_normalize else True
    table = sa.table(
        sa.quoted_name("Lead Events", quote),
        *(
            sa.column(sa.quoted_name(column, quote))
            for column in ("qualified at", "sales at", "region of lead")
        ),
        schema=sa.quoted_name("crm", quote),
    )
    clock = Clock("aware")
    bounds = Bounds.of(clock, DAYS)
    one, two, segment = table.c["qualified at"], table.c["sales at"], table.c["region of lead"]
    texts = []
    values: dict[str, object] = {}
    for dates in ((one,), (one, two)):
        rows = rows_of(Leads(dates, clock, segment), bounds)
        for statement in (grouped(rows, bounds, limit=10_000), total(rows)):
            made = statement.compile(dialect=dialect)
            values |= dict(made.params)
            texts.append(re.sub(r"\s*\n\s*", "\n", str(made)).strip())
    return "\n\n".join(texts) + "\n", values


@pytest.mark.parametrize("name", DIALECTS)
def test_the_statement_is_the_stored_one(name: str) -> None:
    text, _ = compiled(dialect_of(name))
    path = STORED / f"{name}.sql"
    if WRITE:
        path.write_text(text, encoding="utf-8")
    assert path.exists(), f"no stored text {path}; write it with DIGEST_WRITE_SQL=1"
    assert path.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("name", DIALECTS)
def test_no_zone_function_and_no_literal_value_is_in_the_statement(name: str) -> None:
    text, values = compiled(dialect_of(name))
    assert ZONE_FUNCTIONS.search(text.replace("TIMESTAMP WITH TIME ZONE", "")) is None
    assert "2026" not in text
    assert re.findall(r"'[^']*'", text) == []
    moments = [value for key, value in values.items() if re.fullmatch(r"b\d+", key)]
    assert len(DAYS.days()) + 1 == len(moments)


@pytest.mark.parametrize("name", DIALECTS)
def test_names_that_need_quotes_are_quoted(name: str) -> None:
    text, _ = compiled(dialect_of(name))
    unquoted = re.sub(r'"[^"]*"|`[^`]*`|\[[^\]]*\]', "", text)
    assert not any(
        word in unquoted for word in ("Lead Events", "qualified at", "sales at", "region of lead")
    )


@pytest.mark.parametrize(
    ("dialect", "type_name", "expected"),
    [
        ("postgresql", "timestamp with time zone", "with time zone"),
        ("postgresql", "timestamp without time zone", "without time zone"),
        ("postgresql", "date", "date"),
        ("postgresql", "character varying", "text"),
        ("postgresql", "interval", "other"),
        ("mysql", "DATETIME(6)", "without time zone"),
        ("mysql", "TIMESTAMP", "instant in the session's zone"),
        ("mssql", "DATETIMEOFFSET(7)", "with time zone"),
        ("mssql", "DATETIME2", "without time zone"),
        ("oracle", "DATE", "without time zone"),
        ("oracle", "TIMESTAMP(6) WITH LOCAL TIME ZONE", "with time zone"),
        ("snowflake", "TIMESTAMP_NTZ", "without time zone"),
        ("snowflake", "TIMESTAMP_LTZ(9)", "with time zone"),
        ("bigquery", "TIMESTAMP", "with time zone"),
        ("bigquery", "DATETIME", "without time zone"),
        ("databricks", "TIMESTAMP", "with time zone"),
        ("databricks", "TIMESTAMP_NTZ", "without time zone"),
        ("clickhousedb", "Nullable(DateTime64(3))", "with time zone"),
        ("clickhousedb", "Date32", "date"),
        ("trino", "TIMESTAMP(3) WITH TIME ZONE", "with time zone"),
        ("duckdb", "TIMESTAMP_MS", "without time zone"),
        ("duckdb", "HUGEINT", "integer"),
    ],
)
def test_each_databases_types_say_what_they_know_of_time(
    dialect: str, type_name: str, expected: str
) -> None:
    assert expected == family(type_name, dialect)


@pytest.mark.parametrize(
    ("found", "stored_in", "fmt", "words"),
    [
        ("without time zone", None, None, "set stored_in"),
        ("text", None, None, "set format to one of"),
        ("integer", None, None, "set format to one of"),
        ("integer", None, "iso-z", "cannot hold format"),
        ("text", None, "iso-space", "set stored_in"),
        ("with time zone", None, "iso-z", "take format = 'iso-z' out"),
        ("other", None, None, "holds no time"),
    ],
)
def test_what_must_not_be_guessed_is_asked_for(
    found: str, stored_in: str | None, fmt: str | None, words: str
) -> None:
    mistake = clock_of(
        key="dates", column="ts", found=found, dialect="postgresql", stored_in=stored_in, fmt=fmt
    )
    assert isinstance(mistake, str)
    assert words in mistake

"""Looks tables and columns up, so that a statement holds no name the database did not give us."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

from digest.connectors.sql.clocks import Clock, clock_of, family
from digest.connectors.sql.session import Reader
from digest.errors import ConfigError, nearest

# Databases whose quoting of hostile names is executed in the tests. sqlalchemy-bigquery 1.17 leaves a
# backtick in a name as it is, so elsewhere such names are refused.
QUOTING_PROVED = ("postgresql", "mysql", "mariadb", "sqlite", "duckdb")
QUOTE_MARKS = re.compile(r"""["'`\\\[\];\x00-\x1f]""")
NAME_PARTS = re.compile(r'"((?:[^"]|"")+)"|([^.]+)')

# One question instead of SQLAlchemy's three (columns, domains, enums), and materialised views as well.
# ANY over an array parameter keeps it one statement for the leads and the deals.
POSTGRESQL_COLUMNS = sa.text(
    "SELECT a.attname, format_type(CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE a.atttypid END,"
    " NULL)"
    " FROM pg_catalog.pg_attribute a"
    " JOIN pg_catalog.pg_class c ON c.oid = a.attrelid"
    " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " JOIN pg_catalog.pg_type t ON t.oid = a.atttypid"
    " WHERE c.relname = :name AND a.attnum > 0 AND NOT a.attisdropped"
    " AND c.relkind IN ('r', 'p', 'v', 'm', 'f')"
    " AND (n.nspname = :schema OR (CAST(:schema AS text) IS NULL"
    " AND pg_catalog.pg_table_is_visible(c.oid)))"
    " ORDER BY a.attnum"
)
# duckdb-engine 0.17 reflects through pg_catalog.pg_collation, which DuckDB 2.0 does not have.
DUCKDB_COLUMNS = sa.text(
    "SELECT column_name, data_type FROM information_schema.columns"
    " WHERE table_name = :name AND table_schema = coalesce(:schema, current_schema())"
    " ORDER BY ordinal_position"
)
DUCKDB_TABLES = sa.text(
    "SELECT table_name FROM information_schema.tables"
    " WHERE table_schema = coalesce(:schema, current_schema()) ORDER BY table_name LIMIT 1000"
)
SQLITE_COLUMNS = sa.text(
    "SELECT name, type FROM pragma_table_xinfo(:name, coalesce(:schema, 'main'))"
)

COLUMNS = {
    "postgresql": POSTGRESQL_COLUMNS,
    "duckdb": DUCKDB_COLUMNS,
    "sqlite": SQLITE_COLUMNS,
}


@dataclass(frozen=True)
class Relation:
    """A table, view or custom SELECT whose columns the database told us.

    Attributes:
        name: as the settings write it.
        types: SQL type per column name.
        source: the FROM object.
        dialect: the database's name in SQLAlchemy.
    """

    name: str
    types: Mapping[str, str]
    source: sa.FromClause
    dialect: str

    def column(self, key: str, name: str) -> sa.ColumnElement[Any]:
        """Return a column by its name; a different case is accepted when it is unmistakable.

        Raises:
            ConfigError: there is no such column; the nearest name is offered.
        """
        return self.source.c[self.actual_name(key, name)]

    def actual_name(self, key: str, name: str) -> str:
        """Return the column's name as the database writes it."""
        if name in self.types:
            return name
        alike = [known for known in self.types if known.casefold() == name.casefold()]
        if len(alike) == 1:
            return alike[0]
        raise ConfigError(
            f"sql: {key}: {self.name} has no column {name!r}{nearest(name, list(self.types))}; "
            f"it has {', '.join(list(self.types)[:20])}"
        )

    def clock(
        self,
        key: str,
        names: Sequence[str],
        *,
        stored_in: str | None,
        fmt: str | None,
        declared: str | None = None,
    ) -> Clock:
        """Return how the columns tell time; all of them must tell it alike.

        Raises:
            ConfigError: a declaration is missing, does not fit, or the columns differ.
        """
        clocks: list[Clock] = []
        mistakes = []
        for name in names:
            column = self.actual_name(key, name)
            found = clock_of(
                key=key,
                column=column,
                found=declared or family(self.types[column], self.dialect),
                dialect=self.dialect,
                stored_in=stored_in,
                fmt=fmt,
            )
            if isinstance(found, Clock):
                clocks.append(found)
            else:
                mistakes.append(f"sql: {found}")
        if mistakes:
            raise ConfigError(*mistakes)
        if len(set(clocks)) > 1:
            raise ConfigError(
                f"sql: {key}: {', '.join(names)} tell time in different ways "
                f"({', '.join(self.types[self.actual_name(key, name)] for name in names)}); the earliest "
                "of them cannot be told; make a view that converts them to one type"
            )
        return clocks[0]


def name_parts(table: str) -> tuple[str, str | None]:
    """Split a table's name into (name, schema); parts with a dot stand in double quotes."""
    parts = [(quoted.replace('""', '"') or plain) for quoted, plain in NAME_PARTS.findall(table)]
    return parts[-1], ".".join(parts[:-1]) or None


def reflect(reader: Reader, key: str, table: str) -> Relation:
    """Return a table or view with its columns.

    Raises:
        ConfigError: the database has no such table, or hides it from this role.
    """
    name, schema = name_parts(table)
    types = _columns(reader, name, schema)
    if not types:
        known = _tables(reader, schema)
        raise ConfigError(
            f"sql: {key}: the database has no table or view {table!r} that this role can see"
            f"{nearest(name, known)}; it has {', '.join(known[:20]) or 'none'}"
        )
    _check_names(reader.dialect, key, (name, schema or "", *types))
    quote = None if reader.connection.dialect.requires_name_normalize else True
    source = sa.table(
        sa.quoted_name(name, quote),
        *(sa.column(sa.quoted_name(column, quote)) for column in types),
        schema=None if schema is None else sa.quoted_name(schema, quote),
    )
    return Relation(table, types, source, reader.dialect)


def _check_names(dialect: str, key: str, names: Sequence[str]) -> None:
    if dialect in QUOTING_PROVED:
        return
    hostile = [name for name in names if QUOTE_MARKS.search(name)]
    if hostile:
        raise ConfigError(
            f"sql: {key}: names with quote marks, brackets, semicolons or backslashes are not read on "
            f"{dialect}, found {hostile[0]!r}; make a view with plain names"
        )


def custom(reader: Reader, statement: str) -> Relation:
    """Return the user's own SELECT (approved by `guard`) as a relation."""
    text = statement.strip().rstrip(";").replace(":", r"\:")
    probe = sa.text(f"SELECT * FROM ({text}) AS leads WHERE 0 = :one")  # noqa: S608 - approved by guard
    reader.calls += 1
    with reader.limit.running(reader.connection):
        names = list(reader.connection.execute(probe, {"one": 1}).keys())
    quote = None if reader.connection.dialect.requires_name_normalize else True
    source = (
        sa.text(text)
        .columns(*(sa.column(sa.quoted_name(name, quote)) for name in names))
        .subquery("leads")
    )
    return Relation("custom_sql", dict.fromkeys(names, ""), source, reader.dialect)


def _columns(reader: Reader, name: str, schema: str | None) -> dict[str, str]:
    question = COLUMNS.get(reader.dialect)
    if question is not None:
        rows = reader.all(question, {"name": name, "schema": schema})
        return {column: kind or "" for column, kind in rows}
    reader.calls += 1
    try:
        found = sa.inspect(reader.connection).get_columns(name, schema=schema)
    except exc.NoSuchTableError:
        return {}
    return {item["name"]: _type_name(item["type"], reader.connection) for item in found}


def _type_name(kind: sa.types.TypeEngine[Any], connection: sa.Connection) -> str:
    try:
        return kind.compile(connection.dialect)
    except exc.CompileError:
        return str(kind)


def _tables(reader: Reader, schema: str | None) -> list[str]:
    if reader.dialect == "duckdb":
        return [name for (name,) in reader.all(DUCKDB_TABLES, {"schema": schema})]
    reader.calls += 1
    inspector = sa.inspect(reader.connection)
    try:
        return [*inspector.get_table_names(schema=schema), *inspector.get_view_names(schema=schema)]
    except (exc.NoSuchTableError, NotImplementedError):
        return []

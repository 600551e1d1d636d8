"""One way to put the same rows into each executed database, and the settings that read them back."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from digest.connectors.sql import Sql
from digest.model import Secret
from tests.servers import Server

NOW = datetime(2027, 6, 1, 6, tzinfo=UTC)
EXECUTED = ("sqlite", "duckdb", "postgresql", "mariadb")


@dataclass
class Database:
    """A place for one table of leads.

    Attributes:
        types: SQL type per kind of column: aware, naive, date, text, integer.
        zone: zone in which naive columns are written.
    """

    name: str
    url: str
    folder: Path
    table: str
    types: Mapping[str, str]
    server: Server | None = None
    password: Secret | None = None
    zone: str = "UTC"
    columns: dict[str, str] = field(default_factory=dict)

    @property
    def moment(self) -> str:
        """The kind of column in which this database keeps an instant."""
        return "aware" if "aware" in self.types else "naive"

    def create(self, **columns: str) -> None:
        """Create the table anew; columns are name = kind."""
        self.columns = columns
        listed = ", ".join(f"{name} {self.types[kind]}" for name, kind in columns.items())
        self.run(f"DROP TABLE IF EXISTS {self.table}", f"CREATE TABLE {self.table} ({listed})")
        if self.name == "postgresql":
            self.run(f"GRANT SELECT ON {self.table} TO reader")

    def fill(self, rows: Sequence[Mapping[str, object]]) -> None:
        """Replace the table's rows; instants are aware, and written as the column's kind demands."""
        self.run(f"DELETE FROM {self.table}")
        values = [
            {name: self._written(kind, row.get(name)) for name, kind in self.columns.items()}
            for row in rows
        ]
        if values:
            self._insert(values)

    def run(self, *statements: str) -> None:
        """Run statements as the owner."""
        if self.server is not None:
            self.server.run(*statements)
        elif self.name == "sqlite":
            with sqlite3.connect(self.folder / "leads.db") as connection:
                for statement in statements:
                    connection.execute(statement)
            connection.close()
        else:
            import duckdb

            with duckdb.connect(str(self.folder / "leads.duckdb")) as duck:
                for statement in statements:
                    duck.execute(statement)

    def sql(self, **settings: Any) -> Sql:  # noqa: ANN401 - any setting of Sql
        """Return the connector on this table."""
        given: dict[str, Any] = {
            "url": self.url,
            "table": self.table,
            "dates": ("ts",),
            "segment": "seg",
            "folder": self.folder,
            "password": self.password,
        }
        if self.columns.get("ts") == "naive":
            given["stored_in"] = self.zone
        return Sql(**(given | settings))

    def _written(self, kind: str, value: object) -> object:
        if not isinstance(value, datetime):
            return value.isoformat() if isinstance(value, date) and self.name == "sqlite" else value
        if kind == "aware":
            return value
        if kind == "date":
            return value.date()
        wall = value.astimezone(ZoneInfo(self.zone)).replace(tzinfo=None)
        return str(wall) if self.name == "sqlite" else wall

    def _insert(self, values: list[dict[str, Any]]) -> None:
        names = list(self.columns)
        listed = ", ".join(names)
        if self.server is not None:
            marks = ", ".join(f":{name}" for name in names)
            self.server.insert(f"INSERT INTO {self.table} ({listed}) VALUES ({marks})", values)
            return
        marks = ", ".join("?" for _ in names)
        statement = f"INSERT INTO {self.table} ({listed}) VALUES ({marks})"
        rows = [tuple(row[name] for name in names) for row in values]
        if self.name == "sqlite":
            with sqlite3.connect(self.folder / "leads.db") as connection:
                connection.executemany(statement, rows)
            connection.close()
        else:
            import duckdb

            with duckdb.connect(str(self.folder / "leads.duckdb")) as duck:
                duck.executemany(statement, rows)


def sqlite_database(folder: Path) -> Database:
    return Database(
        "sqlite",
        "sqlite:///leads.db",
        folder,
        "leads",
        {"naive": "TIMESTAMP", "date": "DATE", "text": "TEXT", "integer": "INTEGER"},
    )


def duckdb_database(folder: Path) -> Database:
    types = {
        "aware": "TIMESTAMPTZ",
        "naive": "TIMESTAMP",
        "date": "DATE",
        "text": "VARCHAR",
        "integer": "BIGINT",
    }
    return Database("duckdb", "duckdb:///leads.duckdb", folder, "leads", types)


def postgresql_database(server: Server, folder: Path) -> Database:
    server.run(
        "DO $$ BEGIN CREATE ROLE reader LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
    )
    types = {
        "aware": "timestamptz",
        "naive": "timestamp",
        "date": "date",
        "text": "text",
        "integer": "bigint",
    }
    url = server.admin.replace("postgres:@", "reader@", 1)
    return Database("postgresql", url, folder, server.new_name(), types, server)


def mariadb_database(server: Server, folder: Path) -> Database:
    types = {
        "naive": "DATETIME(6)",
        "instant": "TIMESTAMP(6) NULL DEFAULT NULL",
        "date": "DATE",
        "text": "VARCHAR(200)",
        "integer": "BIGINT",
    }
    url = server.admin.replace("mysql+pymysql://root@", "mariadb://reader@", 1)
    return Database("mariadb", url, folder, server.new_name(), types, server, Secret("pw-maria"))

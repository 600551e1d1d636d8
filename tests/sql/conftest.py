from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers import mariadb, postgresql
from tests.sql.databases import (
    EXECUTED,
    Database,
    duckdb_database,
    mariadb_database,
    postgresql_database,
    sqlite_database,
)

__all__ = ["database", "lite", "maria", "mariadb", "pg", "postgresql"]

PARAMETERS = [
    pytest.param(name, marks=pytest.mark.tool) if name == "mariadb" else name for name in EXECUTED
]


@pytest.fixture(params=PARAMETERS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """Every executed database in turn."""
    if request.param == "sqlite":
        return sqlite_database(tmp_path)
    if request.param == "duckdb":
        return duckdb_database(tmp_path)
    server = request.getfixturevalue(request.param)
    make = postgresql_database if request.param == "postgresql" else mariadb_database
    return make(server, tmp_path)


@pytest.fixture
def lite(tmp_path: Path) -> Database:
    return sqlite_database(tmp_path)


@pytest.fixture
def pg(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    return postgresql_database(request.getfixturevalue("postgresql"), tmp_path)


@pytest.fixture
def maria(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    return mariadb_database(request.getfixturevalue("mariadb"), tmp_path)

from __future__ import annotations

from pathlib import Path

import pytest

from digest.ledger import Place, Postgres
from tests.delivery.scene import empty_postgres
from tests.servers import postgresql

__all__ = ["pg", "place", "postgresql"]


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Where a ledger may be kept, each in turn; nothing is there yet."""
    if request.param == "sqlite":
        return tmp_path / "ledger.db"
    pg: Postgres = request.getfixturevalue("pg")
    return pg


@pytest.fixture
def pg(request: pytest.FixtureRequest) -> Postgres:
    """A PostgreSQL database in which no ledger is yet."""
    return empty_postgres(request.getfixturevalue("postgresql"))

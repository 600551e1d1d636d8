from __future__ import annotations

import pytest

from digest.fleet.queue import install
from digest.ledger import Postgres
from digest.ledger.store import Ledger
from tests.delivery.scene import empty_postgres
from tests.fleet.scene import open_fleet
from tests.servers import postgresql

__all__ = ["ledger", "pg", "postgresql"]


@pytest.fixture
def pg(request: pytest.FixtureRequest) -> Postgres:
    """A PostgreSQL database in which no ledger is yet."""
    return empty_postgres(request.getfixturevalue("postgresql"))


@pytest.fixture
def ledger(pg: Postgres) -> Ledger:
    """A fleet's ledger with its queue, in which nobody is yet."""
    opened = open_fleet(pg)
    install(opened)
    return opened

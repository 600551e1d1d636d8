"""The queue's tables and the package that works with them: told apart, and brought together."""

from __future__ import annotations

import asyncio
from importlib import resources
from pathlib import Path
from time import monotonic, sleep

import pytest

from digest.check import _ledger as ledger_findings
from digest.errors import ConfigError
from digest.fleet import queue
from digest.fleet.queue import working_app
from digest.ledger import Postgres, fleet
from digest.ledger.store import Ledger
from tests.effort import effort
from tests.fleet.scene import open_fleet, rows

FUNCTIONS = (
    "SELECT p.proname, md5(p.prosrc) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace "
    "WHERE n.nspname = 'sla_digest' ORDER BY 1, 2"
)
COLUMNS = (
    "SELECT table_name, column_name, data_type FROM information_schema.columns "
    "WHERE table_schema = 'sla_digest' AND table_name LIKE 'procrastinate%' ORDER BY 1, 2"
)


def said_by_check(place: Postgres) -> list[tuple[str, str]]:
    return [(one.level, one.text) for one in ledger_findings(place) if one.subject == "queue"]


def remember(ledger: Ledger, version: str) -> None:
    with ledger.change() as (connection, _):
        fleet.write_fact(connection, "queue_version", version)


@pytest.mark.usefixtures("ledger")
def test_a_check_says_that_package_and_queue_fit(pg: Postgres) -> None:
    assert said_by_check(pg) == [
        ("ok", f"its tables are of version {queue.version()}, as the package wants")
    ]


def test_a_check_names_the_command_that_upgrades_the_queue(ledger: Ledger, pg: Postgres) -> None:
    remember(ledger, "03.03.00")

    ((level, text),) = said_by_check(pg)

    assert level == "error"
    assert text.startswith("the queue's tables are of version 03.03.00")
    assert text.endswith("stop the workers, then run `digest fleet upgrade`")
    with pytest.raises(ConfigError, match="digest fleet upgrade"):
        queue.install(ledger)


def test_a_queue_newer_than_the_package_is_never_taken_back(ledger: Ledger, pg: Postgres) -> None:
    remember(ledger, "99.00.00")

    assert said_by_check(pg)[0][1].endswith("install the package that the other hosts have")
    with pytest.raises(ConfigError, match="the other hosts"):
        queue.upgrade(ledger, print)


def test_of_a_ledger_without_a_fleet_and_of_a_file_no_queue_is_said(
    pg: Postgres, tmp_path: Path
) -> None:
    open_fleet(pg)

    assert said_by_check(pg) == []
    assert not [one for one in ledger_findings(tmp_path / "ledger") if one.subject == "queue"]


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize(
    "many", [effort(5_000, 20_000), pytest.param(100_000, marks=pytest.mark.long)]
)
def test_of_thousands_of_jobs_that_just_came_in_the_next_one_is_found_at_once(
    pg: Postgres, many: int
) -> None:
    rows(
        pg,
        "INSERT INTO procrastinate_jobs (queue_name, task_name, lock) "
        f"SELECT 'deliver', 'deliver', n || '|day' FROM generate_series(1, {many}) n RETURNING 1",
    )

    async def fetch() -> None:
        app = working_app(pg, connections=1)
        async with app.open_async():
            worker = await app.job_manager.register_worker()
            for _ in range(9):
                assert await app.job_manager.fetch_job(queues=["deliver"], worker_id=worker)

    before = rows_read(pg)
    asyncio.run(fetch())

    # As the server would do it by itself, each fetch reads them all.
    assert rows_read(pg, more_than=before) - before < many


def rows_read(pg: Postgres, *, more_than: int = -1) -> int:
    """Return how many rows of jobs the server has read; it counts them soon after they were."""
    end = monotonic() + 20
    while True:
        ((read,),) = rows(
            pg,
            "SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables "
            "WHERE relname = 'procrastinate_jobs' AND schemaname = 'sla_digest'",
        )
        if read > more_than:
            return int(read)
        assert monotonic() < end
        sleep(0.05)


def test_an_upgraded_queue_is_that_of_a_new_fleet_and_keeps_its_jobs(
    ledger: Ledger, pg: Postgres
) -> None:
    wanted = rows(pg, FUNCTIONS), rows(pg, COLUMNS)
    folder = resources.files("procrastinate.sql") / "migrations"
    *older, last = queue._migrations()
    before = [name for name in older if name.partition("_")[0] < last.partition("_")[0]]
    rows(pg, "DROP SCHEMA sla_digest CASCADE; CREATE SCHEMA sla_digest; SELECT 1")
    open_fleet(pg)
    fleet.make_tables(ledger)
    with ledger.change() as (connection, _):
        for name in before:
            connection.exec_driver_sql((folder / name).read_text().replace("%", "%%"))
        fleet.write_fact(connection, "queue_version", before[-1].partition("_")[0])
    waiting = (
        "INSERT INTO procrastinate_jobs (queue_name, task_name) VALUES ('deliver', 'deliver') "
    )
    rows(pg, f"{waiting} RETURNING id")
    done: list[str] = []

    queue.upgrade(ledger, done.append)

    assert done[-1] == last
    assert (rows(pg, FUNCTIONS), rows(pg, COLUMNS)) == wanted
    assert rows(pg, "SELECT task_name, status FROM procrastinate_jobs") == [("deliver", "todo")]
    assert said_by_check(pg)[0][0] == "ok"

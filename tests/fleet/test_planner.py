"""What is due is planned once, whoever plans, and whenever a planner dies."""

from __future__ import annotations

import json
import os
import random
import signal
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest

from digest.fleet.planner import Planned
from digest.ledger import Postgres, fleet
from digest.ledger.store import Ledger
from tests.delivery.scene import fork
from tests.effort import effort
from tests.fleet.scene import (
    an_entry,
    enrol,
    jobs_of,
    open_fleet,
    plan_now,
    pool_of,
    rows,
    runs_of,
    utc_now,
)


def plan_in_a_process(place: Postgres, chunk: int) -> int:
    """Plan, and return the jobs."""
    return plan_now(open_fleet(place), place, chunk=chunk).jobs


@pytest.mark.parametrize(
    "many", [effort(1000, 4_000), pytest.param(10_000, marks=pytest.mark.long)]
)
def test_four_planners_plan_each_due_edition_once(ledger: Ledger, pg: Postgres, many: int) -> None:
    enrol(ledger, [an_entry(f"c{n}", account=f"a{n % 50}") for n in range(many)])

    with pool_of(4) as pool:
        planned = pool.starmap(plan_in_a_process, [(pg, many // 20)] * 4)

    assert sum(planned) == many
    assert len(runs_of(pg)) == many
    assert Counter(Counter(jobs_of(pg)).values()) == {1: many}
    assert plan_now(ledger, pg) == Planned()


@pytest.mark.parametrize("times", [effort(5, 25), pytest.param(50, marks=pytest.mark.long)])
def test_a_planner_killed_at_any_moment_leaves_runs_and_jobs_alike(
    ledger: Ledger, pg: Postgres, times: int
) -> None:
    enrol(ledger, [an_entry(f"c{n}") for n in range(200)])
    moments = random.Random(7)  # noqa: S311 - reproducible

    for _ in range(times):
        wanted = moments.randrange(1, 16)
        child = fork()
        if child == 0:
            left = iter(range(wanted))

            def die(_step: str, left: Iterator[int] = left) -> None:
                if next(left, None) is None:
                    os.kill(os.getpid(), signal.SIGKILL)

            plan_now(open_fleet(pg), pg, chunk=10, step=die)
            os._exit(0)
        os.waitpid(child, 0)

        assert sorted(runs_of(pg)) == sorted(jobs_of(pg))

    plan_now(ledger, pg)
    assert len(runs_of(pg)) == len(jobs_of(pg)) == 200


@pytest.mark.parametrize("step", ["taken", "runs written", "jobs written"])
def test_run_and_job_are_one_commit(ledger: Ledger, pg: Postgres, step: str) -> None:
    enrol(ledger, [an_entry()])

    def fail(here: str) -> None:
        if here == step:
            raise InterruptedError(here)

    with pytest.raises(InterruptedError):
        plan_now(ledger, pg, step=fail)
    assert (runs_of(pg), jobs_of(pg)) == (set(), [])

    assert plan_now(ledger, pg) == Planned(jobs=1)
    assert list(runs_of(pg)) == jobs_of(pg)


def test_the_next_date_is_planned_at_its_own_time(ledger: Ledger, pg: Postgres) -> None:
    today = utc_now().date()
    enrol(ledger, [an_entry(timezone="Europe/Zurich")])
    plan_now(ledger, pg)

    with ledger.transaction() as connection:
        entry = fleet.entry_of(connection, "anna")

    assert entry is not None
    assert entry.next_date >= today + timedelta(days=1)
    # Midnight in Zurich is 23:00 UTC in winter and 22:00 in summer.
    assert entry.next_run_at.hour in (22, 23)


def test_a_free_day_is_written_down_and_no_job(ledger: Ledger, pg: Postgres) -> None:
    today = utc_now().date()
    free = json.dumps({today.isoformat(): "Christmas"})
    enrol(ledger, [an_entry("anna", free=free, heartbeat=True), an_entry("bert")])

    assert plan_now(ledger, pg) == Planned(jobs=1, skipped=1)
    assert runs_of(pg, "skipped") == {("anna", today)}
    assert jobs_of(pg) == [("bert", today)]
    pings = rows(pg, "SELECT args->>'kind' FROM procrastinate_jobs WHERE task_name = 'ping'")
    assert pings == [("SUCCESS",)]


def test_after_an_outage_the_lost_editions_are_told_and_none_is_queued(
    ledger: Ledger, pg: Postgres
) -> None:
    past = utc_now() - timedelta(hours=9)
    lost = {"next_run_at": past, "next_until": past + timedelta(hours=3)}
    enrol(ledger, [an_entry(f"c{n}", **lost) for n in range(100)])

    assert plan_now(ledger, pg) == Planned(expired=100)
    assert (len(runs_of(pg, "expired")), jobs_of(pg)) == (100, [])
    with ledger.transaction() as connection:
        waiting = fleet.waiting_alerts(connection)
    assert {one.noted.cause for one in waiting} == {"expired"}
    assert len(waiting) == 100


def test_an_outage_of_days_leaves_no_backlog(ledger: Ledger, pg: Postgres) -> None:
    today = utc_now().date()
    past = utc_now() - timedelta(days=5)
    old = an_entry(next_date=past.date(), next_run_at=past, next_until=past)
    enrol(ledger, [old])

    assert plan_now(ledger, pg) == Planned(jobs=1, expired=1)
    assert runs_of(pg, "expired") == {("anna", past.date())}
    assert jobs_of(pg) == [("anna", today)]


def test_a_paused_client_is_passed_over_until_its_date(ledger: Ledger, pg: Postgres) -> None:
    today = utc_now().date()
    enrol(ledger, [an_entry("anna"), an_entry("bert"), an_entry("cleo")])
    with ledger.change() as (connection, now):
        fleet.pause(connection, "anna", now, until=None, reason="moving house")
        fleet.pause(connection, "bert", now, until=today, reason="until today")
        fleet.pause(connection, "cleo", now, until=today - timedelta(days=1), reason="over")

    assert plan_now(ledger, pg) == Planned(jobs=1, paused=2)
    assert jobs_of(pg) == [("cleo", today)]


def test_accounts_take_turns_and_the_tightest_window_comes_first(
    ledger: Ledger, pg: Postgres
) -> None:
    soon = utc_now() + timedelta(hours=1)
    big = [an_entry(f"big{n}", account="portal") for n in range(6)]
    small = [an_entry(f"z{n}") for n in range(3)]
    later = {one.next_until for one in (*big, *small)}
    enrol(
        ledger,
        [*(_until(one, max(later)) for one in (*big, *small)), an_entry("urgent", next_until=soon)],
    )

    plan_now(ledger, pg)

    order = [digest for digest, _ in jobs_of(pg)]
    assert order[0] == "urgent"
    assert set(order[1:5]) == {"big0", "z0", "z1", "z2"}


def _until(entry: fleet.Entry, until: datetime) -> fleet.Entry:
    from dataclasses import replace

    return replace(entry, next_until=until)


def test_what_is_left_at_the_end_of_its_time_is_found_once(ledger: Ledger, pg: Postgres) -> None:
    enrol(ledger, [an_entry("anna"), an_entry("bert")])
    plan_now(ledger, pg)
    rows_ended = "UPDATE fleet_schedule SET open_until = now() - interval '1 second' RETURNING 1"
    rows(pg, rows_ended)
    rows(pg, "UPDATE runs SET state = 'done' WHERE digest = 'bert' RETURNING 1")

    assert plan_now(ledger, pg) == Planned(overdue=1)
    assert plan_now(ledger, pg) == Planned()
    found = rows(pg, "SELECT args->>'digest' FROM procrastinate_jobs WHERE task_name = 'overdue'")
    assert found == [("anna",)]


def test_a_date_that_does_not_exist_in_a_zone_is_still_planned_once() -> None:
    from digest.fleet.roster import later_than

    before = an_entry(
        timezone="Asia/Beirut",
        next_date=date(2027, 3, 27),
        next_run_at=datetime(2027, 3, 26, 22, tzinfo=UTC),
    )
    day, due_at, _ = later_than(before, datetime(2027, 3, 27, 8, tzinfo=UTC))

    assert (day, due_at) == (date(2027, 3, 28), datetime(2027, 3, 27, 22, tzinfo=UTC))

"""An account's pace holds across processes, and a crowded account keeps no other waiting."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import chain
from pathlib import Path

import pytest

from digest.dispatch import Now, Report
from digest.fleet.budget import LATENESS, SharedPace, pull
from digest.fleet.queue import AgainError
from digest.journal import Journal
from digest.ledger import Postgres, fleet
from digest.ledger.store import Ledger
from digest.settings import Settings
from tests.effort import effort
from tests.fleet.scene import an_entry, enrol, open_fleet, pool_of, rows, utc_now
from tests.fleet.stage import Stage, a_stage, served_with

RATE = 20.0


def take_for(place: Postgres, account: str, seconds: float) -> list[float]:
    """Call an account as often as it allows; return the instants of the calls."""
    ledger = open_fleet(place, connections=2)
    pace = SharedPace(lambda: ledger, account, RATE)
    end, calls = time.monotonic() + seconds, []
    while time.monotonic() < end:
        time.sleep(pace.reserve(time.monotonic()))
        calls.append(time.monotonic())
    return calls


def test_four_processes_share_one_pace_and_obey_a_retry_after(ledger: Ledger, pg: Postgres) -> None:
    with pool_of(4) as pool:
        calls = pool.starmap(take_for, [(pg, "portal", effort(2.0, 8.0))] * 4)
        quiet = effort(1.5, 12.0)
        SharedPace(lambda: ledger, "portal", RATE).slow_down(0.0, quiet)
        began = time.monotonic()
        after = pool.starmap(take_for, [(pg, "portal", 0.1), (pg, "another", 0.1)], chunksize=1)

    shared = sorted(chain.from_iterable(calls))
    # A call leaves a little after its instant when the machine is busy, so two may come closer.
    in_a_second = max(sum(at <= one < at + 1 for one in shared) for at in shared)
    assert in_a_second <= RATE + 1 + RATE / 4
    assert len(shared) <= (shared[-1] - shared[0]) * RATE + 2
    blocked, free = after
    assert blocked[0] - began >= quiet - 0.3
    assert free[0] - began < quiet - 0.3


def test_a_pull_further_away_than_a_second_gives_its_slot_back(ledger: Ledger) -> None:
    enrol(ledger, [an_entry(name, account="portal") for name in ("anna", "bert")])
    slept: list[float] = []

    with pull(ledger, _task(ledger, "anna"), 1.0, sleep=slept.append):
        pass
    _reserve(ledger, calls=4)
    with (
        pytest.raises(AgainError) as put_off,
        pull(ledger, _task(ledger, "bert"), 1.0, sleep=slept.append),
    ):
        raise AssertionError("its turn had not come")
    reserved = _task(ledger, "bert").slot_at

    assert slept == [0.0]
    assert put_off.value.first
    assert reserved == put_off.value.at
    assert 2 < (reserved - utc_now()).total_seconds() < 5


def test_a_reservation_is_used_when_its_time_has_come_and_lapses_when_it_is_over(
    ledger: Ledger, pg: Postgres
) -> None:
    enrol(ledger, [an_entry("anna", account="portal")])
    _reserve(ledger, calls=40)
    task = _task(ledger, "anna")
    before = rows(pg, "SELECT tat FROM fleet_budgets")

    with pull(ledger, replace(task, slot_at=task.now), 1.0, sleep=lambda _: None):
        pass
    assert rows(pg, "SELECT tat FROM fleet_budgets") == before

    late = replace(task, slot_at=task.now - timedelta(seconds=2 * LATENESS))
    with pytest.raises(AgainError), pull(ledger, late, 1.0, sleep=lambda _: None):
        pass


def test_calls_that_were_not_needed_go_back_unless_somebody_has_reserved_behind_them(
    ledger: Ledger, pg: Postgres
) -> None:
    enrol(ledger, [an_entry("anna", account="portal")])

    with pull(ledger, _task(ledger, "anna"), 0.1, sleep=lambda _: None):
        SharedPace(lambda: ledger, "portal", 0.1).reserve(time.monotonic())
    ((left,),) = rows(pg, "SELECT extract(epoch FROM tat - now()) FROM fleet_budgets")
    ((calls,),) = rows(pg, "SELECT calls FROM fleet_schedule")

    # Of four calls at ten seconds each one was made.
    assert 8 < float(left) <= 10
    assert calls == 1


def _task(ledger: Ledger, digest: str) -> fleet.Task:
    with ledger.transaction() as connection:
        found = fleet.task_of(connection, digest, utc_now().date())
    assert found is not None
    return found


def _reserve(ledger: Ledger, calls: int) -> None:
    with ledger.transaction() as connection:
        fleet.take(connection, "portal", calls, 1.0)


# ------------------------------------------------------------------------------- with real workers


@dataclass(frozen=True)
class Portal:
    """A source that allows few calls in a second; the pace of its account is asked as HubSpot's is."""

    account: str
    per_second: float


@pytest.fixture
def stage(tmp_path: Path, pg: Postgres) -> Iterator[Stage]:
    with a_stage(tmp_path, pg) as found:
        yield found


def test_a_big_account_keeps_the_small_ones_waiting_for_nothing(stage: Stage) -> None:
    big, small = effort(12, 80), effort(8, 40)
    rate = 4.0
    stage.enrol([f"big{n}" for n in range(big)], account="portal")
    for n in range(small):
        stage.enrol([f"small{n}"], account=f"other{n}")
    plain = served_with()
    at = stage.folder / "served"

    def read(path: Path, environment: object) -> Settings:
        settings = stage.read(path, environment)
        if not path.stem.startswith("big"):
            return settings
        return replace(settings, connector=Portal("portal", rate))  # type: ignore[arg-type] # never asked to count

    def serve(settings: Settings, now: Now, journal: Journal, **given: object) -> Report:
        if isinstance(settings.connector, Portal):
            pace = SharedPace(lambda: open_fleet(stage.place, 2), "portal", rate)
            for _ in range(4):
                time.sleep(pace.reserve(time.monotonic()))
        report = plain(settings, now, journal, **given)
        with at.open("a") as file:
            file.write(f"{settings.id} {time.monotonic()}\n")
        return report

    stage.plan()
    stage.start(read=read, serve=serve)
    stage.until_served(effort(60, 200))

    served = dict(line.split() for line in at.read_text().splitlines())
    ends = {
        kind: sorted(float(when) for name, when in served.items() if name.startswith(kind))
        for kind in ("big", "small")
    }
    assert len(served) == big + small
    # The small ones are out while most of the big account still waits for its turn.
    assert ends["small"][-1] < ends["big"][big // 2]
    # Each of the big ones takes a second of its account: so fast and no faster.
    assert ends["big"][-1] - ends["big"][0] > (big - 2) * 4 / rate * 0.9

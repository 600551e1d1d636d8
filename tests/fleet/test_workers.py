"""Workers that are killed, stopped and slow: nobody gets two mails, and nobody is forgotten."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from digest.dispatch import Now, Report
from digest.errors import ConnectorError, Reason
from digest.journal import Journal
from digest.ledger import Postgres
from digest.ledger.store import Ledger
from digest.operation import operate
from digest.settings import Settings
from tests.delivery.scene import Unfenced
from tests.effort import effort
from tests.fleet.scene import rows
from tests.fleet.stage import HASTY, Stage, a_stage, served_with


@pytest.fixture
def stage(tmp_path: Path, pg: Postgres) -> Iterator[Stage]:
    with a_stage(tmp_path, pg, reply_delay=0.02) as found:
        yield found


def killed_at_random(stage: Stage, many: int, kills: int, seconds: float) -> None:
    stage.a_source()
    stage.enrol([f"c{n}" for n in range(many)])
    stage.plan()
    chance = random.Random(3)  # noqa: S311 - reproducible
    stage.start(serve=operate)
    stage.start(serve=operate)
    left = kills

    def disturb() -> None:
        nonlocal left
        time.sleep(chance.uniform(0.05, 0.3))
        if left and stage.copies().total() > (kills - left + 0.5) * many / (kills + 1):
            left -= 1
            stage.kill(chance.choice(stage.workers))
            stage.start(serve=operate)
        stage.reap()

    stage.until_served(seconds, disturb)
    assert left == 0
    assert len(stage.states()) == many


def assert_once_or_told(stage: Stage) -> None:
    """Nobody got two copies; who is sent got one; of whom nobody can know, the operator is told."""
    copies, states = stage.copies(), stage.states()
    told = rows(stage.place, "SELECT digest FROM alerts WHERE cause = 'unknown' AND way = 'fleet'")
    assert {name for name, state in states.items() if state == "unknown"} == {
        name for (name,) in told
    }
    for name, state in states.items():
        assert copies[name] <= 1, name
        assert state in ("sent", "unknown"), name
        assert (state == "sent") <= (copies[name] == 1), name


def test_workers_killed_at_random_send_each_edition_once(stage: Stage) -> None:
    killed_at_random(stage, effort(16, 60), effort(2, 6), seconds=120)

    assert_once_or_told(stage)


@pytest.mark.kills
def test_twenty_workers_killed_among_four_hundred_editions(stage: Stage) -> None:
    killed_at_random(stage, 400, 20, seconds=900)

    assert_once_or_told(stage)


def test_without_the_fence_a_kill_makes_a_second_mail(stage: Stage) -> None:
    stage.kind = Unfenced
    stage.relay.reply_delay = 1.0
    stage.enrol(["anna"])
    stage.plan()
    first = stage.start()
    while not stage.copies():
        time.sleep(0.02)
    stage.kill(first)
    stage.start()
    stage.until_served(30, stage.reap)

    assert stage.copies()["anna"] == 2


def test_with_the_fence_the_same_kill_leaves_an_unknown_one(stage: Stage) -> None:
    stage.relay.reply_delay = 1.0
    stage.a_source()
    stage.enrol(["anna"])
    stage.plan()
    first = stage.start(serve=operate)
    while not stage.copies():
        time.sleep(0.02)
    stage.kill(first)
    stage.start(serve=operate)
    stage.until_served(30, stage.reap)

    assert stage.states() == {"anna": "unknown"}
    assert stage.copies()["anna"] == 1
    assert_once_or_told(stage)


class Hasty(Ledger):
    """Leases that run out while a test waits."""

    claim_lease = timedelta(seconds=0.5)
    commit_lease = timedelta(seconds=2)


def test_a_worker_that_sleeps_is_replaced_and_sends_no_second_mail(stage: Stage) -> None:
    stage.kind = Hasty
    slept = stage.folder / "slept"

    def stop_once(stage_: str, _recipient: str) -> None:
        # Right before its message is taken, the worker's process is stopped.
        if stage_ == "DATA" and not slept.exists():
            slept.touch()
            first.append(stage.workers[0])
            os.kill(stage.workers[0], signal.SIGSTOP)

    first: list[int] = []
    stage.relay.on_stage = stop_once
    stage.enrol(["anna"])
    stage.plan()
    stage.start()
    while not first:
        time.sleep(0.02)
    stage.start()

    def taken_up() -> bool:
        stage.reap()
        return stage.copies()["anna"] > 0

    until = time.monotonic() + 30
    while not taken_up():
        assert time.monotonic() < until
        time.sleep(0.1)
    os.kill(first[0], signal.SIGCONT)
    stage.until_served(30, stage.reap)

    ((attempts,),) = rows(stage.place, "SELECT count(*) FROM attempts")
    assert attempts == 2
    assert stage.copies()["anna"] == 1
    assert stage.states() == {"anna": "sent"}


def test_a_worker_that_is_asked_to_end_finishes_its_messages(stage: Stage) -> None:
    stage.relay.reply_delay = 0.5
    stage.enrol([f"c{n}" for n in range(4)])
    stage.plan()
    child = stage.start()
    while not stage.copies():
        time.sleep(0.02)

    assert stage.kill(child, signal.SIGTERM) == 0
    assert set(stage.states().values()) <= {"sent", "pending"}
    stage.start()
    stage.until_served(30)
    assert set(stage.states().values()) == {"sent"}
    assert set(stage.copies().values()) == {1}


def test_a_client_that_waits_for_its_next_try_keeps_no_other_waiting(stage: Stage) -> None:
    plain = served_with()

    def serve(settings: Settings, now: Now, journal: Journal, **given: object) -> Report:
        if settings.id == "c0":
            raise ConnectorError("sql", Reason.UNRECONCILED, "does not add up", remedy="look")
        return plain(settings, now, journal, **given)

    stage.enrol([f"c{n}" for n in range(8)], account="one-account")
    stage.plan()
    stage.start(serve=serve)
    end = time.monotonic() + 30
    while stage.jobs_left() > 1:
        assert time.monotonic() < end
        time.sleep(0.05)

    assert set(stage.copies()) == {f"c{n}" for n in range(1, 8)}
    ((waits,),) = rows(
        stage.place,
        "SELECT scheduled_at - now() FROM procrastinate_jobs WHERE task_name = 'deliver'",
    )
    assert timedelta(seconds=30) < waits <= timedelta(minutes=1)


def test_a_job_that_blocks_for_long_does_not_make_its_worker_look_dead(stage: Stage) -> None:
    plain, began = served_with(), stage.folder / "began"

    def serve(settings: Settings, now: Now, journal: Journal, **given: object) -> Report:
        with began.open("a") as file:
            file.write(f"{settings.id}\n")
        time.sleep(3 * HASTY.stalled)
        return plain(settings, now, journal, **given)

    taken_up: list[int] = []
    stage.enrol(["anna"])
    stage.plan()
    for _ in range(2):
        stage.start(serve=serve)
    stage.until_served(30, lambda: taken_up.append(stage.reap()))

    # A worker that blocked its loop would be silent, and the other one would begin as well.
    assert began.read_text().split() == ["anna"]
    assert sum(taken_up) == 0
    assert stage.copies()["anna"] == 1

"""An account's pace holds across processes, and a crowded account keeps no other waiting."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import chain
from pathlib import Path
from typing import ClassVar

import pytest

from digest.channels import Limited, Reconciles
from digest.channels.graph import Graph
from digest.channels.slack import Slack
from digest.channels.smtp import Smtp
from digest.dispatch import Now, Report
from digest.errors import ConnectorError, DeliveryError, Reason
from digest.fleet.budget import LATENESS, SharedPace, heed, heeding, places, pull, serving
from digest.fleet.queue import AgainError
from digest.journal import Journal
from digest.ledger import Postgres, fleet
from digest.ledger.store import Ledger
from digest.model import Recipient, Secret
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


@pytest.mark.parametrize(
    ("big", "small"),
    [effort((12, 8), (40, 20)), pytest.param(80, 40, marks=pytest.mark.long)],
)
def test_a_big_account_keeps_the_small_ones_waiting_for_nothing(
    stage: Stage, big: int, small: int
) -> None:
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
    stage.until_served(60 + 2 * big)

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


# -------------------------------------------------------------------------------------- messages


def test_a_relay_s_messages_have_their_places_and_who_is_late_comes_back(ledger: Ledger) -> None:
    slept: list[float] = []
    asked = {"smtp:relay": (4, 1.0)}

    with places(ledger, "anna", asked, sleep=slept.append):
        pass
    with (
        pytest.raises(AgainError) as put_off,
        places(ledger, "bert", asked, sleep=slept.append),
    ):
        raise AssertionError("its turn had not come")

    assert slept == [0.0]
    assert put_off.value.first
    assert 3 < (put_off.value.at - utc_now()).total_seconds() <= 4


def test_a_place_that_was_kept_is_used_once_and_lapses(ledger: Ledger, pg: Postgres) -> None:
    asked = {"smtp:relay": (4, 1.0)}
    with places(ledger, "anna", asked, sleep=lambda _: None):
        pass
    with pytest.raises(AgainError), places(ledger, "bert", asked, sleep=lambda _: None):
        pass
    before = rows(pg, "SELECT tat FROM fleet_budgets")

    with pytest.raises(AgainError), places(ledger, "bert", asked, sleep=lambda _: None):
        pass
    rows(pg, "UPDATE fleet_turns SET begins_at = clock_timestamp() RETURNING 1")
    with places(ledger, "bert", asked, sleep=lambda _: None):
        pass
    assert rows(pg, "SELECT tat FROM fleet_budgets") == before
    assert rows(pg, "SELECT * FROM fleet_turns") == []

    with pytest.raises(AgainError), places(ledger, "bert", asked, sleep=lambda _: None):
        pass
    rows(
        pg, "UPDATE fleet_turns SET begins_at = clock_timestamp() - interval '1 minute' RETURNING 1"
    )
    with pytest.raises(AgainError), places(ledger, "bert", asked, sleep=lambda _: None):
        pass
    assert rows(pg, "SELECT tat FROM fleet_budgets") > before


def test_an_edition_that_is_held_gives_its_places_back(ledger: Ledger, pg: Postgres) -> None:
    held = AgainError(utc_now(), "held")
    held.__cause__ = ConnectorError("sql", Reason.TRANSIENT, "away", remedy="wait")

    with (
        pytest.raises(AgainError),
        places(ledger, "anna", {"smtp:relay": (40, 1.0)}, sleep=lambda _: None),
    ):
        raise held

    ((left,),) = rows(pg, "SELECT extract(epoch FROM tat - now()) FROM fleet_budgets")
    assert left <= 0


def test_whose_turn_has_not_come_everywhere_leaves_the_other_places_free(
    ledger: Ledger, pg: Postgres
) -> None:
    with places(ledger, "anna", {"slack:app:C1": (9, 1.0)}, sleep=lambda _: None):
        pass

    with (
        pytest.raises(AgainError),
        places(
            ledger, "bert", {"slack:app": (1, 0.1), "slack:app:C1": (1, 1.0)}, sleep=lambda _: None
        ),
    ):
        pass

    ((left,),) = rows(
        pg, "SELECT extract(epoch FROM tat - now()) FROM fleet_budgets WHERE account = 'slack:app'"
    )
    assert left <= 0


def test_four_processes_keep_a_relay_s_minute(stage: Stage) -> None:
    rate = 4.0
    names = [f"c{n}" for n in range(effort(12, 60))]
    stage.enrol(names)

    def read(path: Path, environment: object) -> Settings:
        settings = stage.read(path, environment)
        relay = replace(settings.channels["smtp"], max_per_minute=int(rate * 60))  # type: ignore[type-var] # an Smtp
        return replace(settings, channels={"smtp": relay})

    at = stage.folder / "served"
    plain = served_with()

    def serve(settings: Settings, now: Now, journal: Journal, **given: object) -> Report:
        with at.open("a") as file:  # as its turn has come: how long it then takes is its own
            file.write(f"{time.monotonic()}\n")
        return plain(settings, now, journal, **given)

    stage.plan()
    for _ in range(effort(2, 4)):
        stage.start(read=read, serve=serve)
    stage.until_served(effort(60, 200))

    times = sorted(map(float, at.read_text().split()))
    assert set(stage.copies().values()) == {1}
    assert len(times) == len(names)
    assert times[-1] - times[0] > (len(names) - 2) / rate * 0.9
    # One that is kept waiting by a busy machine starts late; the next ones keep their distance from its turn.
    early = [n / rate - (one - times[0]) for n, one in enumerate(times)]
    assert max(early) <= 2


@dataclass(frozen=True)
class Busy:
    """A channel whose other side asks to be left alone."""

    limits: ClassVar[Mapping[str, float | None]] = {"slack:app": 4.0}

    @contextmanager
    def session(self) -> Iterator[BusySession]:
        yield BusySession()


class BusySession:
    def deliver(self, _envelope: object, *, commit: object) -> str:
        del commit
        raise DeliveryError("slack", "busy", permanent=False, concerns_all=True, retry_after=30.0)

    def find(self, _envelope: object, *, since: object) -> str | None:
        """It can be asked what became of a message."""


def test_a_channel_that_asks_to_be_left_alone_is_left_alone_by_every_worker(ledger: Ledger) -> None:
    channel = heeding(Busy(), lambda seconds: heed(ledger, "slack:app", seconds))  # type: ignore[arg-type] # what is asked of one

    with channel.session() as session, pytest.raises(DeliveryError):
        session.deliver(None, commit=lambda: True)  # type: ignore[arg-type] # nothing to hand over

    with channel.session() as session:
        assert isinstance(session, Reconciles)
    with (
        pytest.raises(AgainError) as rests,
        places(ledger, "bert", {"slack:app": (1, 4.0)}, sleep=lambda _: None),
    ):
        pass
    assert 28 < (rests.value.at - utc_now()).total_seconds() < 91
    with places(ledger, "bert", {"slack:other": (1, 4.0)}, sleep=lambda _: None):
        pass


def test_accounts_are_told_apart_and_show_no_secret() -> None:
    team = Recipient("team@team.example")
    letterhead = {"recipients": (team,), "sender": "digest@sender.example"}
    bot = Slack(token=Secret("xoxb-secret-of-acme"), channel="C0123456789")
    hook = Secret("https://hooks.slack.com/services/T0/B0/secret-of-acme")
    relay = Smtp(host="relay.example", max_per_minute=600, **letterhead)  # type: ignore[arg-type] # of a letterhead
    app = {"tenant": "acme.example", "client_id": "c", "client_secret": Secret("secret-of-acme")}
    graph = Graph(**app, **letterhead)  # type: ignore[arg-type] # likewise
    limited: list[Limited] = [bot, Slack(webhook=hook), relay, replace(relay, port=2525), graph]

    accounts = [name for channel in limited for name in channel.limits]

    assert len(set(accounts)) == len(accounts) == 6
    assert not [name for name in accounts if "secret" in name or len(name) > 200]
    assert relay.limits == replace(relay, sender="Leads <other@sender.example>").limits
    assert list(relay.limits.values()) == [10.0]
    assert replace(relay, max_per_minute=None).limits == {}


def test_a_wait_holds_for_every_key_of_an_account(ledger: Ledger) -> None:
    enrol(ledger, [an_entry("anna", account="agency")])
    with serving("agency"):
        heed(ledger, "salesforce:acme.my", 30.0)

    blocked = _task(ledger, "anna").blocked_until

    assert blocked is not None
    assert 28 < (blocked - utc_now()).total_seconds() <= 30
    with serving("agency"):
        assert SharedPace(lambda: ledger, "salesforce:other.my", 4.0).reserve(0.0) > 28

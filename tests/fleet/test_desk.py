"""One job: when it works, when it comes back, and when it is over. The queue is played by the test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from digest.dispatch import Now, Report
from digest.errors import ConnectorError, LedgerError, Reason
from digest.fleet import circuit
from digest.fleet.desk import Desk
from digest.fleet.planner import Call, plan
from digest.fleet.queue import AgainError
from digest.fleet.roster import content_hash, entry_of
from digest.heartbeat import run_id
from digest.journal import Journal
from digest.ledger import Postgres, fleet
from digest.ledger.store import Ledger
from digest.model import Secret
from digest.operation import operate
from digest.settings import Settings, load
from digest.settings.values import Alerts
from tests.delivery.scene import ToldTime, a_relay
from tests.fakes.healthchecks import Checks
from tests.fakes.healthchecks import running as checking
from tests.fakes.smtp import Fault, SmtpServer, running
from tests.fleet.scene import enrol, jobs_of, rows, runs_of, utc_now
from tests.fleet.stage import HASTY, Stage, a_desk, a_stage, served_with, write_leads
from tests.operation.scene import Refusing, source_error
from tests.test_compose import CONFIG

TUESDAY = date(2026, 6, 16)


@pytest.fixture
def stage(tmp_path: Path, pg: Postgres) -> Iterator[Stage]:
    with a_stage(tmp_path, pg) as found:
        yield found


def put_off(desk: Desk, digest: str = "anna", day: date | None = None) -> AgainError:
    with pytest.raises(AgainError) as caught:
        desk.deliver(digest, day or utc_now().date())
    return caught.value


# --------------------------------------------------------------------------------- when it works


def test_an_edition_is_sent_once_however_often_its_job_runs(stage: Stage) -> None:
    stage.enrol(["anna"])
    desk = stage.desk()

    for _ in range(3):
        assert desk.deliver("anna", utc_now().date()).startswith("smtp")
    assert stage.copies() == {"anna": 1}


def test_a_client_that_has_gone_or_is_paused_gets_nothing(stage: Stage) -> None:
    stage.enrol(["anna", "bert"])
    today = utc_now().date()
    with stage.ledger.change() as (connection, now):
        fleet.pause(connection, "anna", now, until=None, reason="moving house")
        fleet.write_gone(connection, [str(stage.folder / "bert.toml")], now)
    desk = stage.desk()

    assert desk.deliver("anna", today) == "paused: moving house"
    assert desk.deliver("bert", today) == "it is no longer in the fleet"
    assert desk.deliver("nobody", today) == "it is no longer in the fleet"
    assert not stage.copies()


def test_another_copy_of_the_settings_puts_the_job_off_and_is_told_at_the_third_time(
    stage: Stage,
) -> None:
    stage.enrol(["anna"])
    (stage.folder / "anna.toml").write_text('id = "anna"  # of another host\n')
    desk = stage.desk()

    waits = [put_off(desk).at - utc_now() for _ in range(3)]

    assert [round(wait.total_seconds(), -1) for wait in waits[:2]] == [60, 60]
    assert rows(stage.place, "SELECT cause, way FROM alerts") == [("config", "fleet")]
    assert not stage.copies()


def test_an_account_has_half_of_a_process_at_most(stage: Stage) -> None:
    stage.enrol(["anna", "bert"], account="portal")
    desk = stage.desk(limits=replace(HASTY, concurrency=2))

    with desk._turn("portal"):
        again = put_off(desk, "bert")
        with desk._turn("another"):
            pass

    assert "has its share" in str(again)
    assert again.at - utc_now() < timedelta(seconds=3)
    assert desk.deliver("bert", utc_now().date()).startswith("smtp")


def test_a_host_whose_clock_is_behind_waits_for_the_window(stage: Stage) -> None:
    stage.enrol(["anna"], timezone="UTC")
    midnight = datetime.combine(utc_now().date(), datetime.min.time(), UTC)
    behind = [midnight]
    desk = stage.desk(clock=lambda: behind[0])
    rows(stage.place, "UPDATE fleet_schedule SET send_at = '00:00:05' RETURNING 1")

    assert put_off(desk).at == midnight + timedelta(seconds=20)
    behind[0] += timedelta(seconds=20)
    assert desk.deliver("anna", utc_now().date()).startswith("smtp")


# ------------------------------------------------------------------------------- when it is held


def failing(error: Exception) -> Any:  # noqa: ANN401 - in the place of `operate`
    def serve(_settings: Settings, _now: Now, _journal: Journal, **_: object) -> Report:
        raise error

    return serve


def test_what_another_worker_has_at_hand_is_looked_at_again_in_a_minute(stage: Stage) -> None:
    found: list[AgainError] = []

    def meanwhile(step: str, _recipient: str) -> None:
        if step == "DATA" and not found:
            found.append(put_off(stage.desk()))

    stage.relay.on_stage = meanwhile
    stage.enrol(["anna"])
    stage.desk().deliver("anna", utc_now().date())

    assert [str(again) for again in found] == ["somebody is not served yet"]
    assert timedelta(seconds=45) < found[0].at - utc_now() <= timedelta(minutes=1)
    assert stage.desk().deliver("anna", utc_now().date()).startswith("smtp")
    assert stage.copies() == {"anna": 1}
    assert runs_of(stage.place, "done") == {("anna", utc_now().date())}


def test_a_held_edition_comes_back_later_each_time(stage: Stage) -> None:
    stage.enrol(["anna"])
    error = ConnectorError("sql", Reason.UNRECONCILED, "does not add up", remedy="look")
    desk = stage.desk(serve=failing(error))

    waits = [put_off(desk).at - utc_now() for _ in range(6)]

    assert [round(wait.total_seconds() / 60) for wait in waits] == [1, 2, 5, 10, 15, 15]


def test_a_refused_key_is_not_tried_every_minute(stage: Stage) -> None:
    stage.enrol(["anna"])
    desk = stage.desk(serve=failing(source_error(Reason.AUTH)))

    assert put_off(desk).at - utc_now() > timedelta(minutes=14)


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (LedgerError("the ledger is being started", remedy="wait", passing=True), 15),
        (ZeroDivisionError("anna's leads"), 300),
    ],
)
def test_a_fault_that_is_not_the_source_s_is_tried_again(
    stage: Stage, error: Exception, seconds: int
) -> None:
    stage.enrol(["anna"])
    lines: list[str] = []
    journal = Journal(write=lines.append, clock=utc_now, host="host-a", pid=1)
    desk = stage.desk(serve=failing(error), journal=journal)

    wait = put_off(desk).at - utc_now()

    assert abs(wait.total_seconds() - seconds) < 3
    assert not any("leads" in line for line in lines)


def test_what_would_come_back_after_its_window_is_left_to_the_end_of_it(stage: Stage) -> None:
    stage.enrol(["anna"])
    error = ConnectorError("sql", Reason.UNRECONCILED, "does not add up", remedy="look")
    late = datetime.combine(utc_now().date(), datetime.max.time(), UTC) - timedelta(seconds=30)
    desk = stage.desk(serve=failing(error), clock=lambda: late)
    rows(stage.place, "UPDATE fleet_schedule SET send_until = '23:59:50' RETURNING 1")

    assert desk.deliver("anna", utc_now().date()).startswith("left to the end of its window")


def test_an_account_that_fails_for_everybody_rests_and_is_let_in_again(stage: Stage) -> None:
    names = [f"c{n}" for n in range(circuit.LIMIT + 3)]
    stage.enrol(names, account="portal")
    stage.enrol(["other"], account="another")
    called: list[str] = []

    def serve(settings: Settings, _now: Now, _journal: Journal, **_: object) -> Report:
        called.append(settings.id)
        raise source_error(Reason.TRANSIENT, "no answer")

    desk = stage.desk(serve=serve)
    reasons = [str(put_off(desk, name)) for name in names]

    assert len(called) == circuit.LIMIT
    assert reasons[-1] == "portal rests"
    told = rows(stage.place, "SELECT about, cause, way FROM alerts")
    assert told == [("portal", "source_transient", "fleet")]
    assert stage.desk().deliver("other", utc_now().date()).startswith("smtp")
    rows(stage.place, "UPDATE fleet_circuits SET open_until = now() RETURNING 1")
    # After its rest one more failure is enough.
    put_off(desk, names[-1])
    assert str(put_off(desk, names[-2])) == "portal rests"
    assert rows(stage.place, "SELECT count(*) FROM alerts") == [(1,)]
    rows(stage.place, "UPDATE fleet_circuits SET open_until = now() RETURNING 1")
    assert stage.desk().deliver(names[-1], utc_now().date()).startswith("smtp")
    assert rows(stage.place, "SELECT count(*) FROM fleet_circuits") == [(0,)]


# --------------------------------------------------------- a whole day, with a clock that is told


@dataclass
class Day:
    """A client whose source is down, the queue and the database's clock played by the test."""

    stage: Stage
    settings: Settings
    now: datetime
    back: datetime | None
    jobs: dict[date, datetime] = field(default_factory=dict)
    ledger: Ledger = field(init=False)
    desk: Desk = field(init=False)

    def __post_init__(self) -> None:
        backend = ToldTime(replace(self.stage.place, connections=2), busy_seconds=30)
        opened = self.stage.ledger
        self.ledger = Ledger(backend, clock=lambda: self.now, owner=opened.owner, gone=opened._gone)
        self.desk = a_desk(
            self.stage.place,
            read=lambda _path, _environment: self.settings_now(),
            serve=operate,
            clock=lambda: self.now,
        )
        self.desk.__dict__["ledger"] = self.ledger

    def settings_now(self) -> Settings:
        down = self.back is None or self.now < self.back
        error = source_error(Reason.TRANSIENT, "no answer") if down else None
        return replace(self.settings, connector=Refusing(self.settings, error))

    def tick(self) -> None:
        """Plan, do what is due, and let five minutes pass."""

        def enqueue(_connection: object, jobs: Any, calls: Any, overdue: Any) -> None:  # noqa: ANN401
            self.jobs |= {job.day: self.now for job in jobs}
            pings.extend(calls)
            given_up.extend(overdue)

        pings: list[Call] = []
        given_up: list[tuple[str, date]] = []
        plan(self.ledger, enqueue)
        for call in pings:
            self.desk.ping(call.digest, call.day, call.ping, call.body)
        for day, at in [*self.jobs.items()]:
            if at <= self.now:
                self.desk._settings.clear()
                try:
                    self.desk.deliver("leads", day)
                except AgainError as again:
                    self.jobs[day] = again.at
                else:
                    del self.jobs[day]
        for digest, day in given_up:
            self.desk.overdue(digest, day)
        self.now += timedelta(minutes=5)


def at(hour: int, minute: int = 0, day: date = TUESDAY) -> datetime:
    return datetime(day.year, day.month, day.day, hour - 2, minute, tzinfo=UTC)


@pytest.fixture
def beginning() -> datetime:
    return at(7, 25)


@pytest.fixture
def a_day(stage: Stage, tmp_path: Path, beginning: datetime) -> Iterator[Day]:
    home = tmp_path / "clients"
    home.mkdir()
    write_leads(home, [date(2026, 1, 1) + timedelta(n) for n in range(250)])
    (home / "leads.toml").write_text(CONFIG)
    with running(SmtpServer()) as operator:
        settings = replace(
            load(home / "leads.toml", environment={}),
            alerts=Alerts(mail=a_relay(operator.port, ("ops@company.example",))),
        )
        day = Day(stage, settings, beginning, None)
        entry = entry_of(settings, root=str(home), stamp="", now=beginning)
        enrol(
            day.ledger,
            [replace(entry, stamp=content_hash(home / "leads.toml"), account="sql:crm")],
        )
        yield day


def test_a_source_that_comes_back_in_time_gets_its_edition_out_by_a_quarter_past(
    a_day: Day,
) -> None:
    a_day.back = at(9)
    while a_day.now <= at(9, 15):
        a_day.tick()

    assert len(list((a_day.settings.folder / "out").glob("*.eml"))) == 1
    assert a_day.jobs == {}
    assert runs_of(a_day.stage.place, "done") == {("leads", TUESDAY)}


def test_a_source_that_stays_away_is_given_up_and_told_five_minutes_later(a_day: Day) -> None:
    while a_day.now <= at(11, 5):
        a_day.tick()

    assert not (a_day.settings.folder / "out").exists()
    assert a_day.jobs == {}
    assert runs_of(a_day.stage.place, "expired") == {("leads", TUESDAY)}
    told = rows(a_day.stage.place, "SELECT cause, way FROM alerts WHERE cause = 'expired'")
    assert told == [("expired", "fleet")]
    assert jobs_of(a_day.stage.place) == []


# ------------------------------------------------------------------------------- signs of life

# The week of Whit Monday in Zurich: a holiday, a good day, a hold that passes, a lost day, nobody at work.
WEEK = [date(2026, 5, 25) + timedelta(n) for n in range(7)]


@pytest.mark.parametrize("beginning", [at(7, 25, WEEK[0])])
def test_a_monitor_hears_of_each_day_of_a_week_as_it_was(a_day: Day) -> None:
    with checking(Checks()) as checks:
        a_day.settings = replace(a_day.settings, heartbeat=Secret(checks.url))
        rows(a_day.stage.place, "UPDATE fleet_schedule SET heartbeat = true RETURNING 1")
        for day, back in (
            (WEEK[0], at(7, 0, WEEK[0])),  # Whit Monday
            (WEEK[1], at(7, 0, WEEK[1])),
            (WEEK[2], at(8, 0, WEEK[2])),  # held until eight
            (WEEK[3], None),  # lost: the source never comes back
            (WEEK[5], at(7, 0, WEEK[5])),  # Saturday; nobody was at work on Friday
        ):
            a_day.now, a_day.back = at(7, 25, day), back
            while a_day.now <= at(11, 10, day):
                a_day.tick()

    by_day: dict[UUID, Counter[str]] = {run_id("leads", day): Counter() for day in WEEK}
    for call in checks.calls:
        by_day[UUID(call.rid)][call.kind] += 1
    held = by_day[run_id("leads", WEEK[2])].pop("log"), by_day[run_id("leads", WEEK[3])].pop("log")
    assert min(held) >= 2
    assert [dict(found) for found in by_day.values()] == [
        {"success": 1},
        {"start": 1, "success": 1},
        {"start": 1, "success": 1},
        {"start": 1, "fail": 1},
        {"fail": 1},
        {"success": 1},
        {},
    ]


# ------------------------------------------------------------------------------------ giving up


def test_an_overdue_edition_is_given_up_without_its_settings(stage: Stage) -> None:
    stage.enrol(["anna"])
    stage.plan()
    (stage.folder / "anna.toml").unlink()
    desk = stage.desk()

    assert desk.overdue("anna", utc_now().date()) == "given up"
    assert runs_of(stage.place, "expired") == {("anna", utc_now().date())}


def test_an_edition_that_was_sent_is_not_given_up(stage: Stage) -> None:
    stage.enrol(["anna"])
    desk = stage.desk()
    desk.deliver("anna", utc_now().date())

    assert desk.overdue("anna", utc_now().date()) == "done"
    assert rows(stage.place, "SELECT count(*) FROM alerts") == [(0,)]


def test_who_is_put_off_by_the_relay_comes_back_when_it_asked(stage: Stage) -> None:
    stage.relay.faults = (Fault("RCPT", "450 4.7.1 greylisted", times=1),)
    stage.enrol(["anna"])
    desk = stage.desk(serve=served_with())

    again = put_off(desk)

    assert str(again) == "somebody is not served yet"
    assert timedelta(seconds=45) < again.at - utc_now() < timedelta(minutes=6)

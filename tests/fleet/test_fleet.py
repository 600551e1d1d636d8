"""The commands and the housekeeping, from a folder of files to what an operator reads."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from digest.alerts import Cause, expired, held
from digest.cli import World, cli
from digest.due import window_of
from digest.errors import ConfigError
from digest.fleet import commands, supervisor, worker
from digest.fleet.desk import Desk
from digest.fleet.planner import scene_of
from digest.fleet.roster import Roster, Synced, content_hash, entry_of, window_for
from digest.fleet.status import Stand, exposition, fleet_facts
from digest.fleet.summary import summary, tell
from digest.fleet.worker import RECYCLE
from digest.journal import Journal
from digest.ledger import Postgres, fleet
from digest.ledger.fleet import Waiting
from digest.ledger.store import Ledger
from digest.settings import Settings, load
from digest.settings.values import Alerts
from tests.delivery.scene import a_relay, fork, run_in
from tests.effort import effort
from tests.fakes.smtp import SmtpServer, running
from tests.fleet.scene import (
    an_entry,
    enrol,
    jobs_of,
    open_fleet,
    rows,
    runs_of,
    utc_now,
)
from tests.fleet.stage import HASTY, OPEN_ALL_DAY, a_desk, a_stage
from tests.test_compose import CONFIG

EVERY_DAY = 'subdivision = "ZH"\nworkweek = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]\n'


@dataclass
class Folder:
    """A folder of clients and the commands that serve it."""

    path: Path
    place: Postgres
    lines: list[str] = field(default_factory=list)

    def client(self, name: str, more: str = "") -> Path:
        file = self.path / f"{name}.toml"
        file.write_text(f'id = "{name}"\n{more}')
        return file

    def call(self, *arguments: str) -> Result:
        world = World(environment={})
        return CliRunner().invoke(cli, arguments, obj=world)

    def enqueue(self) -> Result:
        return self.call("enqueue", str(self.path))

    def status(self) -> dict[str, str]:
        result = self.call("fleet", "status", str(self.path), "--format", "json")
        assert result.exit_code == 0, result.output
        return {one["digest"]: one["state"] for one in json.loads(result.stdout)["clients"]}


@pytest.fixture
def folder(tmp_path: Path, pg: Postgres) -> Folder:
    path = tmp_path / "clients"
    path.mkdir()
    body = CONFIG.partition("\n")[2].replace('subdivision = "ZH"\n', EVERY_DAY)
    (path / "defaults.toml").write_text(f'ledger = "{pg.url}"\n{OPEN_ALL_DAY}{body}')
    return Folder(path, pg)


# ---------------------------------------------------------------------------------- the roster


def test_a_broken_file_is_named_and_stops_no_other(folder: Folder) -> None:
    folder.client("anna")
    folder.client("bert")
    (folder.path / "zoe.toml").write_text("id = zoe")

    result = folder.enqueue()

    assert result.exit_code == 2
    assert "zoe.toml, line 1" in result.stderr
    assert "2 put into the queue" in result.stderr
    assert {digest for digest, _ in jobs_of(folder.place)} == {"anna", "bert"}
    shown = folder.call("fleet", "status", str(folder.path))
    assert "zoe.toml, line 1" in shown.stdout


def test_a_client_is_added_changed_and_removed_at_run_time(folder: Folder) -> None:
    folder.client("anna")
    assert folder.enqueue().exit_code == 0

    folder.client("bert")
    assert "1 put into the queue" in folder.enqueue().stderr
    assert folder.status() == {"anna": "due", "bert": "due"}
    before = rows(folder.place, "SELECT stamp FROM fleet_schedule WHERE digest = 'anna'")
    folder.client("anna", 'title = "New name"\n')
    assert folder.enqueue().exit_code == 0
    assert rows(folder.place, "SELECT stamp FROM fleet_schedule WHERE digest = 'anna'") != before
    (folder.path / "bert.toml").unlink()
    assert "bert.toml is gone" in folder.enqueue().stderr

    assert folder.status() == {"anna": "due", "bert": "gone"}
    folder.client("bert")
    assert folder.enqueue().exit_code == 0
    assert folder.status() == {"anna": "due", "bert": "due"}


def test_an_empty_or_missing_folder_takes_nobody_out(folder: Folder, ledger: Ledger) -> None:
    folder.client("anna")
    assert folder.enqueue().exit_code == 0
    roster = Roster([folder.path], folder.place, {})
    (folder.path / "anna.toml").rename(folder.path / "anna.kept")

    synced = roster.sync(ledger)

    assert synced.gone == ()
    assert "holds no .toml file" in next(iter(synced.broken.values()))
    assert folder.call("fleet", "pause", "anna", "--config", str(folder.path)).exit_code == 2
    (folder.path / "anna.kept").rename(folder.path / "anna.toml")
    assert folder.status() == {"anna": "due"}


def test_two_files_with_one_id_are_both_left_out(folder: Folder) -> None:
    folder.client("anna")
    (folder.path / "copy.toml").write_text('id = "anna"\n')

    result = folder.enqueue()

    assert result.exit_code == 2
    assert "id: 'anna' is used by" in result.stderr
    assert jobs_of(folder.place) == []


def test_what_has_not_changed_is_not_read_again(folder: Folder, ledger: Ledger) -> None:
    for n in range(5):
        folder.client(f"c{n}")
    roster = Roster([folder.path], folder.place, {})

    assert roster.sync(ledger).read == 5
    assert roster.sync(ledger).read == 0
    folder.client("c3", 'title = "New"\n')
    assert roster.sync(ledger).read == 1
    (folder.path / "defaults.toml").write_text(
        (folder.path / "defaults.toml").read_text() + "\n# changed\n"
    )
    assert roster.sync(ledger).read == 5
    # Another process knows what stands in the schedule.
    assert Roster([folder.path], folder.place, {}).sync(ledger).read == 0


def test_a_row_says_when_its_edition_is_due_as_the_settings_do(tmp_path: Path) -> None:
    (tmp_path / "digest.toml").write_text(CONFIG)
    settings = replace(
        load(tmp_path / "digest.toml", environment={}),
        spread=timedelta(minutes=40),
        timezone="America/New_York",
    )
    entry = entry_of(settings, root="", stamp="", now=datetime(2026, 3, 1, tzinfo=UTC))

    days = [datetime(2026, 3, 1, tzinfo=UTC).date() + timedelta(n) for n in range(300)]
    assert [window_for(entry, day) for day in days] == [window_of(settings, day) for day in days]


def test_a_digest_with_another_ledger_is_refused(folder: Folder) -> None:
    folder.client("anna")
    folder.client("bert", 'ledger = "ledger.sqlite"\n')

    result = folder.enqueue()

    assert result.exit_code == 2
    assert "the fleet's is postgresql://" in result.stderr
    assert [digest for digest, _ in jobs_of(folder.place)] == ["anna"]


def test_a_fleet_with_its_ledger_in_a_file_is_told_what_to_write(folder: Folder) -> None:
    text = (folder.path / "defaults.toml").read_text().partition("\n")[2]
    (folder.path / "defaults.toml").write_text(text)
    folder.client("anna")

    result = folder.enqueue()

    assert result.exit_code == 2
    assert 'write ledger = { url = "postgresql://user@host/database" }' in result.stderr


def test_files_that_are_not_there_are_named(folder: Folder) -> None:
    result = folder.call("enqueue", str(folder.path / "nowhere"))

    assert result.exit_code == 2
    assert "nowhere: there is no such file or folder" in result.stderr


# ------------------------------------------------------------------------------- pause and resume


def test_a_client_is_paused_and_resumed_while_workers_run(folder: Folder) -> None:
    folder.client("anna")
    folder.client("bert")
    assert folder.enqueue().exit_code == 0
    options = ("--config", str(folder.path))

    paused = folder.call("fleet", "pause", "anna", "--reason", "moving\thouse", *options)
    assert paused.stdout == "anna is paused until it is resumed\n"
    tomorrow = (utc_now() + timedelta(days=1)).date()
    assert folder.call("fleet", "pause", "bert", "--until", str(tomorrow), *options).exit_code == 0
    rows(folder.place, "UPDATE fleet_schedule SET next_run_at = now() RETURNING 1")
    assert "2 paused" in folder.enqueue().stderr
    shown = folder.call("fleet", "status", str(folder.path), "--every").stdout
    assert "moving house" not in shown.partition("paused ")[0]

    resumed = folder.call("fleet", "resume", "anna", *options)
    assert f"its next edition is that of {utc_now().date()}" in resumed.stdout
    assert "1 put into the queue" in folder.enqueue().stderr
    assert folder.call("fleet", "resume", "anna", *options).stdout == "anna was not paused\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("pause", "nobody"), "the fleet has no client 'nobody'"),
        (("resume", "nobody"), "the fleet has no client 'nobody'"),
        (("pause", "anna", "--until", "2020-01-01"), "--until: 2020-01-01 is over"),
    ],
)
def test_what_cannot_be_paused_is_said(folder: Folder, arguments: Sequence[str], said: str) -> None:
    folder.client("anna")
    assert folder.enqueue().exit_code == 0

    result = folder.call("fleet", *arguments, "--config", str(folder.path))

    assert result.exit_code == 2
    assert said in result.stderr


def test_a_ledger_without_a_fleet_says_so(folder: Folder) -> None:
    folder.client("anna")

    result = folder.call("fleet", "status", str(folder.path))

    assert "holds no fleet yet" in result.stderr


# ---------------------------------------------------------------------------------------- status


def test_the_status_counts_every_client_once(ledger: Ledger, pg: Postgres) -> None:
    today = utc_now().date()
    names = ("due", "done", "held", "late", "free", "early", "paused", "unknown", "gone", "broken")
    enrol(ledger, [an_entry(name) for name in names])
    states = {"due": "sending", "done": "done", "held": "held", "late": "expired"}
    states |= {"free": "skipped", "unknown": "done"}
    for name, state in states.items():
        insert = (
            "INSERT INTO runs VALUES "
            f"('{name}', '{today}', 0, '{state}', NULL, 'why', now(), now()) RETURNING 1"
        )
        rows(pg, insert)
    rows(
        pg,
        "INSERT INTO deliveries VALUES "
        f"('k', 'unknown', '{today}', 0, 'smtp', 'a@b.example', 'unknown', 'm', false, 1, 1, "
        "NULL, NULL, NULL, 'no answer', now(), NULL) RETURNING 1",
    )
    with ledger.change() as (connection, now):
        fleet.pause(connection, "paused", now, until=None, reason="moving house")
        fleet.write_gone(connection, ["/fleet/gone.toml"], now)
        fleet.write_broken(
            connection, ["/fleet"], {"/fleet/broken.toml": ("/fleet", "line 3: wrong")}, now
        )

    found = fleet_facts(ledger)

    assert {line.client: str(line.stand) for line in found.lines} == {name: name for name in names}
    assert set(found.totals.values()) == {1}
    assert sum(found.totals.values()) == len(names)
    assert found.lag > 0
    text = exposition(found)
    assert all(f'digest_clients{{state="{stand}"}} 1' in text for stand in Stand)
    assert "/fleet" not in text


def test_a_file_that_was_mended_is_forgotten_and_one_that_broke_otherwise_is_news(
    ledger: Ledger,
) -> None:
    def written(**errors: str) -> tuple[str, ...]:
        told = {f"/fleet/{name}.toml": ("/fleet", error) for name, error in errors.items()}
        with ledger.change() as (connection, now):
            return fleet.write_broken(connection, ["/fleet"], told, now)

    assert written(anna="line 3", bert="line 4") == ("/fleet/anna.toml", "/fleet/bert.toml")
    assert written(anna="line 3", bert="line 5") == ("/fleet/bert.toml",)
    assert written(bert="line 5") == ()
    assert written(anna="line 3", bert="line 5") == ("/fleet/anna.toml",)


def test_figures_are_served_to_whoever_scrapes_them(ledger: Ledger) -> None:
    enrol(ledger, [an_entry()])
    port = _free_port()
    commands.serve_metrics(("127.0.0.1", port), ledger)
    with pytest.raises(ConfigError, match="cannot be used"):
        commands.serve_metrics(("127.0.0.1", port), ledger)

    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/metrics")
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.request("GET", "/")
    other = connection.getresponse()
    other.read()
    connection.close()

    assert (answer.status, other.status) == (200, 404)
    assert 'digest_clients{state="early"} 1' in body


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# ----------------------------------------------------------------------------------- the summary


def waiting_of(names: Sequence[str], *, cause: Cause = Cause.EXPIRED) -> list[Waiting]:
    now = utc_now()
    found = []
    for name in names:
        entry = an_entry(name)
        scene = scene_of(entry, now.date(), now)
        alert = (
            expired(scene, now.date(), missed=(), why="no answer")
            if cause is Cause.EXPIRED
            else held(scene, cause, "the key was refused", source="hubspot")
        )
        found.append(Waiting(alert.noted(), "ops", entry.path, over=False))
    return found


def test_an_operator_gets_one_letter_for_all_clients_by_cause() -> None:
    late = [f"late{n:03}" for n in range(300)]
    refused = ["anna", "bert"]

    letter = summary(
        [*waiting_of(late), *waiting_of(refused, cause=Cause.SOURCE_AUTH)],
        host="host-a",
        now=utc_now(),
    )

    assert letter.subject == "[digest] fleet, 302 clients: not sent in time (300) and 1 more"
    assert "late000, late001, late002, late003, late004 and 295 more" in letter.text
    assert "== the source refused the key: 2 ==" in letter.text
    assert "anna, bert" in letter.text
    assert len(letter.text) < 4_000


def test_the_letter_is_told_once_and_the_next_one_waits(tmp_path: Path, pg: Postgres) -> None:
    with a_stage(tmp_path, pg) as stage, running(SmtpServer()) as operators:
        stage.enrol(["anna", "bert"])

        def read(path: Path, environment: object) -> Settings:
            mail = a_relay(operators.port, ("ops@company.example",))
            return replace(stage.read(path, environment), alerts=Alerts(mail=mail))

        desk: Desk = a_desk(pg, read=read, limits=replace(HASTY, letters=timedelta(minutes=15)))
        _raise(stage.ledger, waiting_of(["anna"]))
        assert tell(desk) == "1 alerts by email"
        assert tell(desk) == "nothing new"
        _raise(stage.ledger, waiting_of(["bert"]))
        assert tell(desk) == "nothing new"  # a quarter of an hour has not passed
        rows(pg, "UPDATE fleet_letters SET told_at = now() - interval '16 minutes' RETURNING 1")
        assert tell(desk) == "1 alerts by email"

    assert len(operators.accepted) == 2
    assert b"fleet, 1 client: not sent in time" in operators.accepted[0].content


def test_a_letter_that_nobody_takes_waits(tmp_path: Path, pg: Postgres) -> None:
    with a_stage(tmp_path, pg) as stage:
        stage.enrol(["anna"])
        desk = stage.desk()
        _raise(stage.ledger, waiting_of(["anna"]))

        assert tell(desk) == "1 alerts could be told to nobody"
        assert rows(pg, "SELECT way FROM alerts") == [("fleet",)]


def _raise(ledger: Ledger, waiting: Sequence[Waiting]) -> None:
    with ledger.change() as (connection, now):
        fleet.raise_alerts(connection, [one.noted for one in waiting], now)


# ---------------------------------------------------------------------------- the housekeeping


class Counting(Roster):
    """Writes each look down."""

    looks = Path()

    def sync(self, ledger: Ledger) -> Synced:
        with self.looks.open("a") as file:
            file.write(f"{time.monotonic()}\n")
        return super().sync(ledger)


def test_three_houses_keep_one_clock(folder: Folder, ledger: Ledger, tmp_path: Path) -> None:
    del ledger  # it has made the queue's tables
    folder.client("anna")
    Counting.looks, said = tmp_path / "looks", tmp_path / "said"
    Counting.looks.touch()

    def write(line: str) -> None:
        with said.open("a") as file:
            file.write(f"{line}\n")

    children = []
    began = time.monotonic()
    for _ in range(3):
        child = fork()
        if child == 0:
            journal = Journal(write=write, clock=utc_now, host="host-a", pid=os.getpid())
            desk = a_desk(folder.place, journal=journal)
            code = 70
            try:
                code = worker.run(desk, Counting([folder.path], folder.place, {}))
            finally:
                os._exit(code)
        children.append(child)
    try:
        end = time.monotonic() + 60
        while len(Counting.looks.read_text().splitlines()) < effort(4, 20):
            assert time.monotonic() < end
            time.sleep(0.1)
    finally:
        for child in children:
            os.kill(child, signal.SIGTERM)
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    took = time.monotonic() - began

    assert codes == [0, 0, 0]
    # One tick a second, whoever of the three takes it; at their start the one just past is made up for.
    assert len(Counting.looks.read_text().splitlines()) <= took + 2
    assert not said.exists(), said.read_text()
    assert jobs_of(folder.place) == [("anna", utc_now().date())]
    assert runs_of(folder.place) == {("anna", utc_now().date())}


def test_a_restart_of_the_database_is_survived(tmp_path: Path, pg: Postgres) -> None:
    with a_stage(tmp_path, pg, reply_delay=0.05) as stage:
        stage.enrol([f"c{n}" for n in range(20)])
        stage.plan()
        child = stage.start()
        while stage.copies().total() < 5:
            time.sleep(0.02)
        # Every connection of the fleet is cut, as when the server is started anew.
        run_in(
            pg,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )

        def keep() -> None:
            # As the supervisor does, when a process has given up.
            if os.waitpid(child, os.WNOHANG)[0] == child and child in stage.workers:
                stage.workers.remove(child)
                stage.start()
            rows(
                pg,
                "UPDATE procrastinate_jobs SET scheduled_at = NULL WHERE status = 'todo' RETURNING 1",
            )
            stage.reap()

        def once() -> None:
            if child in stage.workers:
                keep()
            else:
                stage.reap()

        stage.until_served(60, once)

        assert set(stage.copies().values()) == {1}
        assert set(stage.states().values()) <= {"sent", "unknown"}
        assert len(stage.states()) == 20


# -------------------------------------------------------------------------------- the supervisor


@dataclass
class FakeChild:
    """A process that ends as told."""

    codes: Iterator[int | None]
    terminated: bool = False
    killed: bool = False
    code: int | None = None

    def poll(self) -> int | None:
        if self.code is None:
            self.code = 0 if self.terminated else next(self.codes, None)
        return self.code

    def terminate(self) -> None:
        self.terminated = True

    def kill(self) -> None:
        self.killed = True
        self.code = -9


def supervised(
    codes: dict[str, list[list[int | None]]], seconds: int
) -> tuple[list[str], list[str]]:
    """Run a supervisor for a while on a clock that is told; return what it started and said."""
    clock = [0.0]
    started: list[str] = []
    said: list[str] = []

    def spawn(role: str) -> FakeChild:
        started.append(f"{role}@{clock[0]:.0f}")
        left = codes.get(role, [])
        return FakeChild(iter(left.pop(0) if left else []))

    def sleep(length: float) -> None:
        clock[0] += length

    host = supervisor.Host(
        monotonic=lambda: clock[0],
        sleep=sleep,
        stop=lambda: clock[0] >= seconds,
        spawn=spawn,
        tell=said.append,
    )
    supervisor.supervise(host, ["plan", "deliver"])
    return started, said


def test_a_process_that_grew_is_started_anew_at_once_and_a_crash_a_little_later() -> None:
    started, said = supervised(
        {"deliver": [[None] * 4 + [RECYCLE], [None, -9], [-9], [-9]]}, seconds=30
    )

    assert started[:2] == ["plan@0", "deliver@0"]
    assert started[2] == "deliver@2"
    gaps = [int(one.partition("@")[2]) for one in started[2:]]
    assert gaps[1] - gaps[0] in (1, 2)
    assert gaps[2] - gaps[1] >= 2
    assert len(said) == 3
    assert "ended with -9" in said[0]


def test_the_supervisor_asks_its_processes_to_end() -> None:
    started, said = supervised({}, seconds=5)

    assert started == ["plan@0", "deliver@0"]
    assert said == []


def test_a_worker_above_its_memory_ends_with_its_own_code(tmp_path: Path, pg: Postgres) -> None:
    with a_stage(tmp_path, pg) as stage:
        child = stage.start(limits=replace(HASTY, memory_mb=1))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        stage.workers.remove(child)

    assert code == RECYCLE


def test_a_hash_is_of_the_file_and_what_it_inherits(tmp_path: Path) -> None:
    file = tmp_path / "anna.toml"
    file.write_text('id = "anna"\n')
    alone = content_hash(file)
    (tmp_path / "defaults.toml").write_text('language = "fr"\n')

    assert content_hash(file) not in ("", alone)
    assert content_hash(tmp_path / "nobody.toml") == ""


def test_opening_keeps_to_the_extra(folder: Folder) -> None:
    folder.client("anna")
    ledger, place = commands.opened([folder.path], {}, utc_now)

    assert place == folder.place
    assert str(ledger) == str(open_fleet(place))

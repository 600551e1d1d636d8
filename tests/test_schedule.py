"""The resident schedule on a virtual clock: nights, sleep, clock changes, crashes, broken files."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import click
import pytest

from digest.cli import World, cli, waiting
from digest.coming import coming
from digest.dispatch import Now, pin_of, send_digest
from digest.errors import DigestError
from digest.ledger import Decision, Owner, RunState, open_ledger, read_ledger
from digest.schedule import BACK_OFF, BATCH, LEASE, TICK, Host, run
from digest.settings import Settings, load_many
from digest.settings.watch import Watch
from digest.snapshot import edition_from_json
from tests.effort import effort
from tests.test_compose import CONFIG

MONDAY = date(2026, 6, 15)


def at(hour: int, minute: int = 0, second: int = 0, *, day: date = MONDAY) -> datetime:
    """An instant of a summer day in Zurich, which is two hours ahead of UTC."""
    return datetime(day.year, day.month, day.day, hour - 2, minute, second, tzinfo=UTC)


@dataclass
class Sender:
    """A child process that sends in no time, unless told otherwise."""

    code: int | None
    asked_to_end: list[float] = field(default_factory=list)
    killed: list[float] = field(default_factory=list)
    now: Callable[[], float] = lambda: 0.0
    stubborn: bool = False

    def poll(self) -> int | None:
        return self.code

    def terminate(self) -> None:
        self.asked_to_end.append(self.now())
        if not self.stubborn:
            self.code = 4

    def kill(self) -> None:
        self.killed.append(self.now())
        self.code = -9


@dataclass
class Machine:
    """A host whose time passes only when somebody sleeps.

    Attributes:
        until: when the schedule is asked to end.
        jumps: (when, to when) the wall clock is moved, by sleep or by hand; no process notices.
        stride: how long a sleep takes at least, so that a night is short.
        reports: exit codes by digest and instant, of what really was sent.
        fate: what becomes of a child; by default it sends like `digest send`.
    """

    folder: Path
    now: datetime
    until: datetime
    jumps: list[tuple[datetime, datetime]] = field(default_factory=list)
    stride: float = TICK
    monotonic: float = 0
    calls: list[tuple[datetime, tuple[str, ...]]] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    children: list[Sender] = field(default_factory=list)
    fate: Callable[[Machine, Sequence[Path]], Sender] | None = None

    def sleep(self, seconds: float) -> None:
        step = max(seconds, self.stride)
        self.monotonic += step
        self.now += timedelta(seconds=step)
        while self.jumps and self.now >= self.jumps[0][0]:
            self.now = self.jumps.pop(0)[1]

    def spawn(self, paths: Sequence[Path]) -> Sender:
        self.calls.append((self.now, tuple(path.stem for path in paths)))
        child = self.fate(self, paths) if self.fate else self.send(paths)
        child.now = lambda: self.monotonic
        self.children.append(child)
        return child

    def send(self, paths: Sequence[Path]) -> Sender:
        """Do what `digest send` does."""
        loaded, errors = load_many(paths, environment={})
        codes = [error.exit_code for error in errors]
        now = Now(clock=lambda: self.now, sleep=lambda _: None)
        for settings in loaded:
            try:
                codes.append(send_digest(settings, now).exit_code)
            except DigestError as error:
                codes.append(error.exit_code)
        return Sender(max(codes))

    def run(self, *, jobs: int = 2) -> Machine:
        host = Host(
            clock=lambda: self.now,
            monotonic=lambda: self.monotonic,
            sleep=self.sleep,
            stop=lambda: self.now >= self.until,
            spawn=self.spawn,
            tell=self.told.append,
        )
        run(Watch([self.folder], {}), host, jobs=jobs)
        return self

    def times(self, name: str = "leads") -> list[str]:
        """When a digest was offered, as local wall times of a summer day."""
        return [
            f"{when + timedelta(hours=2):%d %H:%M}" for when, names in self.calls if name in names
        ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one digest that writes files: 07:30 to 11:00 in Zurich."""
    days = [date(2026, 1, 1) + timedelta(n) for n in range(250)]
    rows = [(str(day), "DACH") for day in days if day.weekday() < 5 for _ in range(6)]
    with closing(sqlite3.connect(tmp_path / "crm.sqlite")) as crm, crm:
        crm.execute("CREATE TABLE leads (day DATE, region TEXT)")
        crm.executemany("INSERT INTO leads VALUES (?, ?)", rows)
    a_digest(tmp_path, "leads")
    return tmp_path


def a_digest(folder: Path, name: str, text: str = CONFIG) -> Path:
    path = folder / f"{name}.toml"
    path.write_text(text.replace('id = "leads"', f'id = "{name}"').replace('"out"', f'"{name}"'))
    return path


def settings_of(folder: Path, name: str = "leads") -> Settings:
    (settings,), _ = load_many([folder / f"{name}.toml"], environment={})
    return settings


def state_of(folder: Path, day: date = MONDAY, name: str = "leads") -> RunState | None:
    reader = read_ledger(folder / "ledger.sqlite")
    found = reader.run(name, day) if reader else None
    return found.state if found else None


def mails(folder: Path, name: str = "leads") -> list[str]:
    return sorted(path.name for path in folder.glob(f"{name}/**/*.eml"))


# ------------------------------------------------------------------------------------ when it sends


def test_an_edition_goes_out_at_send_at_and_once(folder: Path) -> None:
    machine = Machine(folder, at(7, 20), until=at(11, 30), stride=60).run()

    assert machine.times() == ["15 07:30"]
    assert (state_of(folder), len(mails(folder))) == (RunState.DONE, 1)


@pytest.mark.failure("T5")
def test_a_host_that_wakes_before_send_until_sends_at_once(folder: Path) -> None:
    asleep = [(at(7, 0), at(9, 10))]
    machine = Machine(folder, at(6, 50), until=at(11, 30), jumps=asleep, stride=60).run()

    assert machine.times() == ["15 09:10"]
    assert len(mails(folder)) == 1


@pytest.mark.failure("T5")
def test_a_host_that_wakes_too_late_has_the_run_expired_and_told_once(folder: Path) -> None:
    asleep = [(at(7, 0), at(13, 0))]
    machine = Machine(folder, at(6, 50), until=at(15, 0), jumps=asleep, stride=60).run()

    assert machine.times() == ["15 13:00"]
    assert [child.code for child in machine.children] == [4]  # told by `send`
    assert (state_of(folder), mails(folder)) == (RunState.EXPIRED, [])


@pytest.mark.failure("T5")
def test_the_morning_after_sends_one_edition_that_covers_the_days_slept_through(
    folder: Path,
) -> None:
    thursday = date(2026, 6, 11)
    Machine(folder, at(7, 29, day=thursday), until=at(7, 31, day=thursday)).run()
    asleep = [(at(7, 0, day=date(2026, 6, 12)), at(8, 0, day=date(2026, 6, 17)))]
    friday = at(6, 55, day=date(2026, 6, 12))
    machine = Machine(folder, friday, until=at(9, 0, day=date(2026, 6, 17)), jumps=asleep).run()

    assert machine.times() == ["17 08:00"]
    reader = read_ledger(folder / "ledger.sqlite")
    assert reader
    edition = edition_from_json(reader.edition("leads", date(2026, 6, 17)) or "")
    assert [day.day for day in edition.covers] == [11, 12, 13, 14, 15, 16]


@pytest.mark.failure("T2")
def test_a_clock_set_back_after_sending_sends_nothing_again(folder: Path) -> None:
    back = [(at(8, 0), at(6, 0)), (at(8, 30), at(6, 30))]
    machine = Machine(folder, at(7, 0), until=at(9, 0), jumps=back, stride=60).run()

    assert (machine.times(), len(mails(folder))) == (["15 07:30"], 1)


def test_a_clock_put_right_after_the_run_expired_lets_it_go_out(folder: Path) -> None:
    wrong = [(at(12, 30), at(8, 0))]
    machine = Machine(folder, at(12, 0), until=at(12, 40), jumps=wrong, stride=60)
    for _ in range(2):
        machine.run()
        machine.until = at(8, 30)

    assert machine.times() == ["15 12:00", "15 08:00"]
    assert (state_of(folder), len(mails(folder))) == (RunState.DONE, 1)


def test_a_day_off_is_written_down_once_at_send_at(folder: Path) -> None:
    sunday = date(2026, 6, 14)
    machine = Machine(folder, at(7, 20, day=sunday), until=at(9, 0, day=sunday), stride=60).run()

    assert machine.times() == ["14 07:30"]
    assert (state_of(folder, sunday), mails(folder)) == (RunState.SKIPPED, [])


def nights(first: date, days: int) -> list[tuple[datetime, datetime]]:
    """From 08:00 on a laptop sleeps until 07:00 of the next day."""
    dates = [first + timedelta(n) for n in range(days)]
    return [(at(8, 0, day=day), at(7, 0, day=day + timedelta(1))) for day in dates]


@pytest.mark.failure("T3")
def test_what_next_foretells_is_what_many_days_really_send(folder: Path) -> None:
    first = date(2026, 4, 1)  # with Easter, and in two months Labour Day, Ascension and Whit Monday
    length = effort(12, 60)
    last = first + timedelta(length)
    begin = at(7, 0, day=first)
    foretold = list(coming(settings_of(folder), begin, 39))

    machine = Machine(
        folder, begin, at(6, 0, day=last), jumps=nights(first, length), stride=900
    ).run()

    reader = read_ledger(folder / "ledger.sqlite")
    assert reader
    runs = sorted(reader.runs("leads", limit=100), key=lambda one: one.business_date)
    sent = [one.business_date for one in runs if one.state is RunState.DONE]
    skipped = [(one.business_date, one.note) for one in runs if one.state is RunState.SKIPPED]
    assert sent == [one.due.business_date for one in foretold if one.due.business_date < last]
    assert skipped == [pair for one in foretold for pair in one.skipped if pair[0] < last]
    assert len(mails(folder)) == len(sent) == effort(6, 38)
    assert {f"{when:%H:%M}" for when, _ in machine.calls} == {"05:30"}


# ------------------------------------------------------------------------- who starts it how often


@pytest.mark.parametrize("count", [effort(4, 8), pytest.param(60, marks=pytest.mark.long)])
def test_a_starter_that_fires_none_to_five_times_a_slot_sends_one_edition_a_workday(
    folder: Path, count: int
) -> None:
    chance = random.Random(5)  # noqa: S311 - no secret
    settings = settings_of(folder)
    days = [date(2026, 6, 1) + timedelta(n) for n in range(count)]
    for day in days:
        slots = [0, 1, 2, 5]  # times at 07:15, 07:30, 07:45 and 08:00, in any order
        chance.shuffle(slots)
        for quarter, times in enumerate(slots):
            starter = Machine(folder, at(7, 15, day=day) + timedelta(minutes=15 * quarter), at(23))
            for _ in range(times):
                starter.send([settings.path])

    reader = read_ledger(settings.ledger)
    assert reader
    done = [one for one in reader.runs("leads", limit=100) if one.state is RunState.DONE]
    workdays = [day for day in days if settings.calendar.is_workday(day)]
    assert sorted(one.business_date for one in done) == workdays
    assert len(mails(folder)) == len(workdays)


# ------------------------------------------------------------------------------------- the children


def test_what_a_killed_child_left_is_taken_up_one_by_one(folder: Path) -> None:
    for name in ("a", "b", "c"):
        a_digest(folder, name)
    machine = Machine(folder, at(7, 20), until=at(8, 10))

    def fate(machine: Machine, paths: Sequence[Path]) -> Sender:
        """Serve the first digest of the first batch, then die in the middle of the next one."""
        first = len(machine.calls) == 1
        sent = machine.send(paths[:1] if first else paths)
        return Sender(-9) if first else sent

    machine.fate = fate

    machine.run(jobs=1)

    assert [names for _, names in machine.calls] == [
        ("a", "b", "c", "leads"), ("b",), ("c",), ("leads",)
    ]  # fmt: skip
    assert all(len(mails(folder, name)) == 1 for name in ("a", "b", "c", "leads"))
    lost = "a.toml, b.toml, c.toml, leads.toml"
    assert machine.told == [
        f"a sending process ended with -9 ({lost}); what is left is tried again"
    ]


def test_a_digest_that_kills_every_child_harms_no_other(folder: Path) -> None:
    a_digest(folder, "a")
    machine = Machine(folder, at(7, 25), until=at(8, 0))
    machine.fate = lambda m, paths: (
        Sender(70) if any(path.stem == "a" for path in paths) else m.send(paths)
    )

    machine.run(jobs=1)

    assert len(mails(folder)) == 1
    assert {names for _, names in machine.calls[1:]} == {("leads",), ("a",)}


def test_a_child_that_hangs_is_asked_to_end_after_20_minutes_and_ended_a_minute_later(
    folder: Path,
) -> None:
    a_digest(folder, "b")
    machine = Machine(folder, at(7, 29), until=at(8, 0), stride=1)
    fates = iter([Sender(None, stubborn=True)])
    machine.fate = lambda m, paths: next(fates, None) or m.send(paths)

    machine.run(jobs=2)

    hung = machine.children[0]
    begun = 60.0
    assert (hung.asked_to_end[0], hung.killed) == (begun + 20 * 60, [begun + 21 * 60])
    # The other was served meanwhile, the one that hung by the next tick after its wait.
    assert machine.times() == ["15 07:30"]
    assert machine.times("b") == ["15 07:30", "15 07:52"]
    assert (len(mails(folder)), len(mails(folder, "b"))) == (1, 1)


def test_a_digest_that_is_held_is_offered_again_after_1_2_5_10_and_15_minutes(
    folder: Path,
) -> None:
    machine = Machine(folder, at(7, 29), until=at(8, 40), stride=10)
    machine.fate = lambda _machine, _paths: Sender(3)

    machine.run()

    gaps = [
        (later - earlier).total_seconds() / 60
        for (earlier, _), (later, _) in pairwise(machine.calls)
    ]
    assert BACK_OFF == (1, 2, 5, 10, 15)
    assert [int(gap) for gap in gaps] == [1, 2, 5, 10, 15, 15, 15]
    assert all(gap % 1 <= (TICK + 10) / 60 for gap in gaps)


def test_many_digests_go_to_children_of_at_most_twenty(folder: Path) -> None:
    (folder / "leads.toml").unlink()
    for n in range(45):
        a_digest(folder, f"d{n:02}")
    machine = Machine(folder, at(7, 29), until=at(7, 29, 59), stride=1)
    machine.until = at(7, 30, 30)
    machine.fate = lambda _machine, _paths: Sender(None)

    machine.run(jobs=2)

    assert [len(names) for _, names in machine.calls] == [BATCH, BATCH]
    assert [child.asked_to_end for child in machine.children] == [[90.0], [90.0]]

    machine = Machine(folder, at(7, 29), until=at(7, 32), fate=lambda *_: Sender(4)).run(jobs=2)
    assert [len(names) for _, names in machine.calls][:4] == [20, 20, 3, 2]
    assert len({name for _, names in machine.calls for name in names}) == 45


def test_a_host_without_a_process_to_spare_tries_again(folder: Path) -> None:
    machine = Machine(folder, at(7, 25), until=at(8, 0))
    fates: Iterator[Exception] = iter([BlockingIOError(11, "Resource temporarily unavailable")])

    def fate(machine: Machine, paths: Sequence[Path]) -> Sender:
        if error := next(fates, None):
            raise error
        return machine.send(paths)

    machine.fate = fate
    machine.run()

    assert machine.times() == ["15 07:30", "15 07:31"]
    assert len(mails(folder)) == 1
    assert "Resource temporarily unavailable" in machine.told[0]


def test_at_the_end_children_get_a_minute_and_nothing_new_is_started(folder: Path) -> None:
    a_digest(folder, "b")
    machine = Machine(folder, at(7, 30), until=at(7, 31), stride=1)
    fates = iter([Sender(None), Sender(None, stubborn=True)])
    machine.fate = lambda _machine, _paths: next(fates)

    machine.run(jobs=2)

    polite, stubborn = machine.children
    assert (polite.asked_to_end, polite.killed) == ([60.0], [])
    assert (stubborn.asked_to_end, stubborn.killed) == ([60.0], [120.0])


# ---------------------------------------------------------------------------------------- the files


def test_a_broken_file_stops_its_digest_only_and_is_handed_over_once(folder: Path) -> None:
    a_digest(folder, "b", CONFIG.replace("goal = 140", 'goal = "many"'))
    machine = Machine(folder, at(7, 29), until=at(7, 40)).run()

    assert machine.told == ["b.toml: not sent until it is mended"]
    assert machine.times("b") == ["15 07:29"]  # its mistakes and its alert are `send`'s
    assert (len(mails(folder)), mails(folder, "b")) == (1, [])


def test_a_file_mended_during_the_day_is_sent_and_broken_again_is_told_again(
    folder: Path,
) -> None:
    a_digest(folder, "b", "nonsense = 1\n")
    edits = iter(
        [
            (at(8, 0), lambda: a_digest(folder, "b")),
            (at(8, 30), lambda: a_digest(folder, "b", "nonsense = 1\n")),
            (at(9, 0), lambda: a_digest(folder, "b", "nonsense = 2\n")),
        ]
    )
    machine = editing(Machine(folder, at(7, 0), until=at(9, 30)), edits)

    machine.run()

    assert machine.times("b") == ["15 07:00", "15 08:00", "15 08:30", "15 09:00"]
    assert len(mails(folder, "b")) == 1
    assert machine.told == ["b.toml: not sent until it is mended"] * 3


Edit = tuple[datetime, Callable[[], object]]


def editing(machine: Machine, edits: Iterator[Edit]) -> Machine:
    """Do something to the files at some instants."""
    coming_edit = next(edits, None)
    sleep = machine.sleep

    def sleep_and_edit(seconds: float) -> None:
        nonlocal coming_edit
        sleep(seconds)
        if coming_edit and machine.now >= coming_edit[0]:
            coming_edit[1]()
            coming_edit = next(edits, None)

    machine.sleep = sleep_and_edit  # type: ignore[method-assign] # this machine's own time
    return machine


def test_files_come_and_go_while_it_runs(folder: Path) -> None:
    edits: Iterator[Edit] = iter(
        [
            (at(7, 10), lambda: a_digest(folder, "new")),
            (at(7, 20), (folder / "leads.toml").unlink),
        ]
    )
    machine = editing(Machine(folder, at(7, 20), until=at(8, 10)), edits).run()

    assert [names for _, names in machine.calls] == [("new",)]


def test_a_recipient_added_after_sending_gets_the_days_edition(folder: Path) -> None:
    def add() -> None:
        path = folder / "leads.toml"
        path.write_text(
            path.read_text().replace('"ana@company', '"bo@company.example", "ana@company')
        )

    late = iter([(at(9, 0), add), (at(12, 0), add)])
    machine = editing(Machine(folder, at(7, 0), until=at(13, 0), stride=60), late).run()

    assert machine.times() == ["15 07:30", "15 09:00"]  # and none after send_until
    assert len(mails(folder)) == 2


def test_two_files_with_one_id_are_refused_together(folder: Path) -> None:
    (folder / "twin.toml").write_text((folder / "leads.toml").read_text())
    machine = Machine(folder, at(7, 20), until=at(8, 10)).run()

    assert [(names, child.code) for (_, names), child in zip(
        machine.calls, machine.children, strict=True
    )] == [(("leads", "twin"), 2)]  # fmt: skip
    assert mails(folder) == []


def test_an_empty_folder_is_told_once_and_filled_later(tmp_path: Path, folder: Path) -> None:
    text = (folder / "leads.toml").read_text()
    (folder / "leads.toml").unlink()
    edits = iter([(at(8, 0), lambda: (folder / "leads.toml").write_text(text))])
    machine = editing(Machine(tmp_path, at(7, 0), until=at(9, 0)), edits).run()

    assert machine.told == [f"config folder {tmp_path} holds no .toml file"]
    assert machine.times() == ["15 08:00"]


def test_a_worksheet_mended_is_noticed_although_the_settings_stay(folder: Path) -> None:
    text = CONFIG.replace(CONFIG[CONFIG.index("[sla]") : CONFIG.index("[connector]")], "")
    a_digest(folder, "b", text.replace("[connector]", '[sla]\nworksheet = "b.csv"\n[connector]'))
    plan = "segment;currency;valid_from;goal\nDACH;CHF;2026-01;140\n"
    edits = iter([(at(8, 0), lambda: (folder / "b.csv").write_text(plan))])
    machine = editing(Machine(folder, at(7, 20), until=at(8, 10)), edits).run()

    assert machine.times("b") == ["15 07:20", "15 08:00"]
    assert len(mails(folder, "b")) == 1


# ------------------------------------------------------------------------------------- the ledger

ELSEWHERE = Owner("host-b", "another-boot", 77, "1")


def elsewhere(folder: Path, now: datetime) -> None:
    """Let a schedule on another host take or renew its lease."""
    settings = settings_of(folder)
    ledger = open_ledger(settings.ledger, clock=lambda: now, owner=ELSEWHERE, pin=pin_of(settings))
    ledger.take_lease("schedule", LEASE)


@pytest.mark.failure("T7")
def test_a_second_schedule_waits_and_takes_over_when_the_first_is_gone(folder: Path) -> None:
    elsewhere(folder, at(7, 29))
    renewals = iter([(at(7, 30), lambda: elsewhere(folder, at(7, 30)))])
    machine = editing(Machine(folder, at(7, 25), until=at(8, 0)), renewals).run()

    assert machine.told == ["leads: the schedule on host-b, process 77 is at work; this one waits"]
    assert machine.times() == ["15 07:32"]
    assert len(mails(folder)) == 1


def test_a_schedule_that_ends_gives_its_lease_back(folder: Path) -> None:
    Machine(folder, at(7, 0), until=at(7, 31)).run()

    settings = settings_of(folder)
    ledger = open_ledger(
        settings.ledger, clock=lambda: at(7, 31), owner=ELSEWHERE, pin=pin_of(settings)
    )
    assert ledger.take_lease("schedule", LEASE).owner == ELSEWHERE


def test_a_ledger_that_cannot_be_used_is_left_to_send_to_tell(folder: Path) -> None:
    Machine(folder, at(7, 29), until=at(7, 40)).run()
    (folder / "ledger.sqlite").write_bytes(b"no ledger at all")
    tomorrow = date(2026, 6, 16)
    machine = Machine(folder, at(7, 0, day=tomorrow), until=at(7, 35, day=tomorrow)).run()

    assert machine.times() == ["16 07:30", "16 07:31", "16 07:33"]
    assert {child.code for child in machine.children} == {2}


def test_a_delivery_that_a_person_lets_go_again_is_taken_up(folder: Path) -> None:
    Machine(folder, at(7, 29), until=at(7, 40)).run()
    settings = settings_of(folder)
    ledger = open_ledger(settings.ledger, clock=lambda: at(8, 0), pin=pin_of(settings))
    (row,) = ledger.deliveries("leads", MONDAY)
    with closing(sqlite3.connect(folder / "ledger.sqlite")) as raw, raw:
        raw.execute("UPDATE deliveries SET state = 'unknown', owner = NULL, lease_until = NULL")
    assert Machine(folder, at(8, 0), until=at(8, 10)).run().times() == ["15 08:00"]  # read anew

    ledger.resolve(row.key, Decision.RESEND)
    machine = Machine(folder, at(8, 10), until=at(9, 0)).run()

    assert machine.times() == ["15 08:10"]
    reader = read_ledger(settings.ledger)
    assert reader
    assert [one.state for one in reader.deliveries("leads", MONDAY)] == ["sent"]


def test_a_date_that_no_calendar_knows_is_left_to_send_to_tell(folder: Path) -> None:
    path = folder / "leads.toml"
    path.write_text(path.read_text().replace('"CH"', '"LK"').replace('subdivision = "ZH"\n', ""))
    later = date(2027, 6, 15)  # known to 2026 by its almanac
    machine = Machine(folder, at(7, 0, day=later), until=at(7, 5, day=later)).run()

    assert {child.code for child in machine.children} == {2}
    assert machine.times() == ["15 07:00", "15 07:01", "15 07:03"]


def test_the_modification_time_is_not_all_that_tells_a_change(folder: Path) -> None:
    path = folder / "leads.toml"
    watch = Watch([folder], {})
    watch.look()
    before = path.stat()
    path.write_text(path.read_text().replace("ana@", "anna@"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert watch.look().fresh == {path}
    assert watch.look().fresh == frozenset()


def test_asked_to_end_it_waits_for_its_children_and_is_not_hurried_itself() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with click.Context(cli):
        now = waiting(World(grace_seconds=0.2), hurry=False)
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            now.sleep(0.1)
            assert now.stop()
            assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
        finally:
            signal.signal(signal.SIGTERM, before)

"""A ledger that was put back from a backup is noticed, and a person decides how to go on."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from digest.errors import LedgerError
from digest.ledger import (
    Decision,
    Place,
    Planned,
    Postgres,
    State,
    accept_restored,
    delivery_key,
    open_ledger,
)
from digest.ledger.file import recognise
from digest.ledger.postgres import SCHEMA
from digest.ledger.seal import Seal, read_seal, write_seal
from digest.ledger.store import Ledger
from tests.delivery.scene import HERE, TEAM, TODAY, Clock, Sender, a_relay, an_edition, run_in
from tests.delivery.test_ledger import KEY, claimed, planned, sent
from tests.fakes.smtp import Fault, SmtpServer, running

YESTERDAY, TOMORROW = date(2026, 4, 2), date(2026, 4, 8)


@dataclass
class Backup:
    """What an administrator does at night."""

    place: Place
    folder: Path

    def take(self) -> None:
        if isinstance(self.place, Path):
            shutil.copy(self.place, self.folder / "backup")
            return
        tables = run_in(
            self.place, f"SELECT tablename FROM pg_tables WHERE schemaname = '{SCHEMA}'"
        )
        copies = (f"CREATE TABLE nightly.{name} AS TABLE {SCHEMA}.{name}" for (name,) in tables)
        run_in(
            self.place, "DROP SCHEMA IF EXISTS nightly CASCADE", "CREATE SCHEMA nightly", *copies
        )

    def put_back(self) -> None:
        if isinstance(self.place, Path):
            shutil.copy(self.folder / "backup", self.place)
            return
        order = ("meta", "contents", "runs", "deliveries", "attempts", "closed", "histories")
        everything = ", ".join(f"{SCHEMA}.{name}" for name in order)
        copies = (f"INSERT INTO {SCHEMA}.{name} TABLE nightly.{name}" for name in order)
        run_in(self.place, f"TRUNCATE {everything}", *copies)


@dataclass
class Day:
    """Sends for real, each call with a ledger opened anew."""

    place: Place
    folder: Path
    relay: SmtpServer
    clock: Clock = field(default_factory=Clock)

    @property
    def pin(self) -> Path:
        return self.folder / ".ledger.id"

    @property
    def seal(self) -> Path:
        where = self.place.with_name(".ledger.db.seal") if isinstance(self.place, Path) else None
        return where or self.folder / ".ledger.seal"

    def ledger(self) -> Ledger:
        return open_ledger(self.place, clock=self.clock, owner=HERE, pin=self.pin)

    def send(self, day: date) -> int:
        sender = Sender(self.ledger(), self.clock, {"mail": a_relay(self.relay.port)})
        return sender.send(business_date=day, compose=lambda _: an_edition(day)).exit_code

    def copies(self) -> Counter[str]:
        return Counter(one.recipient for one in self.relay.accepted)


@pytest.fixture
def day(place: Place, tmp_path: Path) -> Iterator[Day]:
    with running(SmtpServer()) as relay:
        yield Day(place, tmp_path, relay)


@pytest.mark.failure("P10")
def test_a_restored_ledger_sends_nothing_until_a_person_says_so(day: Day, tmp_path: Path) -> None:
    backup = Backup(day.place, tmp_path)
    day.send(YESTERDAY)
    backup.take()
    day.send(TODAY)
    backup.put_back()

    with pytest.raises(
        LedgerError, match=r"knows of 3 .* the seal of 6 \(leads up to 2026-04-07\)"
    ):
        day.send(TODAY)

    said = accept_restored(day.place, clock=day.clock, pin=day.pin, do=False)
    with pytest.raises(LedgerError, match="is older than its seal"):
        day.send(TODAY)
    assert accept_restored(day.place, clock=day.clock, pin=day.pin, do=True) == said
    assert said is not None
    assert (said.known, said.committed, said.newest) == (3, 6, {"leads": TODAY})
    with pytest.raises(LedgerError, match="edition of 2026-04-07 may have been sent"):
        day.send(TODAY)
    assert day.copies() == Counter(dict.fromkeys(TEAM, 2))
    assert accept_restored(day.place, clock=day.clock, pin=day.pin, do=True) is None

    assert day.send(TOMORROW) == 0
    assert day.copies() == Counter(dict.fromkeys(TEAM, 3))


@pytest.mark.failure("P10")
def test_what_waited_in_a_backup_of_the_same_day_is_unknown_afterwards(
    day: Day, tmp_path: Path
) -> None:
    backup = Backup(day.place, tmp_path)
    day.relay.faults = (Fault("RCPT", "450 greylisted", TEAM[1], times=1),)
    assert day.send(TODAY) == 4
    backup.take()
    day.clock.forward(minutes=10)
    assert day.send(TODAY) == 0
    backup.put_back()

    with pytest.raises(LedgerError, match=r"knows of 2 .* the seal of 3"):
        day.send(TODAY)
    found = accept_restored(day.place, clock=day.clock, pin=day.pin, do=True)

    assert found is not None
    assert [one.recipient for one in found.unknown] == [TEAM[1]]
    assert day.send(TODAY) == 5
    assert day.copies() == Counter(TEAM)
    day.ledger().resolve(found.unknown[0].key, Decision.SENT)
    assert day.send(TODAY) == 0
    assert day.copies() == Counter(TEAM)


def test_a_recipient_added_on_the_day_of_a_restored_backup_is_not_begun(
    place: Place, tmp_path: Path
) -> None:
    pin = tmp_path / "pin"
    ledger = planned(open_ledger(place, clock=Clock(), owner=HERE, pin=pin))
    ledger.accept_restored(Seal("", 7, {"leads": TODAY}), do=True)
    other = delivery_key("leads", TODAY, "mail", "new@team.example")

    assert ledger.open_run("leads", TODAY).digest == "leads"
    with pytest.raises(LedgerError, match="may have been sent"):
        ledger.plan("leads", TODAY, [Planned(other, "mail", "new@team.example", b"x")])
    ledger.open_run("leads", TODAY, correction=1)


def test_an_attempt_in_a_backup_ends_unknown(place: Place) -> None:
    ledger = open_ledger(place, clock=Clock(), owner=HERE)
    claimed(ledger)
    ledger.accept_restored(Seal("", 7, {"leads": TODAY}), do=True)

    assert [one.outcome for one in ledger.attempts("leads", TODAY)] == [State.UNKNOWN]


def test_a_restored_backup_leaves_other_digests_and_later_dates_alone(place: Place) -> None:
    ledger = open_ledger(place, clock=Clock(), owner=HERE)
    claimed(ledger)
    for digest, day in (("other", TODAY), ("leads", TODAY + timedelta(1))):
        key = delivery_key(digest, day, "mail", "ana@team.example")
        ledger.open_run(digest, day)
        ledger.plan(digest, day, [Planned(key, "mail", "ana@team.example", b"x")])
    ledger.open_run("third", TODAY)
    third = delivery_key("third", TODAY, "mail", "ana@team.example")
    ledger.plan("third", TODAY, [Planned(third, "mail", "ana@team.example", b"x")])
    seal = Seal("", 7, {"leads": TODAY, "third": TODAY})

    lost = ledger.accept_restored(seal, do=True)
    assert [(row.digest, row.business_date) for row in lost] == [("leads", TODAY), ("third", TODAY)]
    left, also = ledger.unknown()
    assert (left.key, also.key) == (lost[0].key, lost[1].key)
    assert left.note == "perhaps sent before the ledger was restored from a backup"


def test_the_seal_is_written_before_the_end_of_a_message(place: Place, tmp_path: Path) -> None:
    pin = tmp_path / ".ledger.id"
    ledger = open_ledger(place, clock=Clock(), owner=HERE, pin=pin)
    path = Day(place, tmp_path, SmtpServer()).seal
    claim = claimed(ledger)
    assert read_seal(path) is None
    assert ledger.commit(claim)

    seal = read_seal(path)
    assert seal is not None
    assert (seal.commits, seal.newest) == (1, {"leads": TODAY})
    assert seal.instance == pin.read_text().strip()


def test_a_seal_never_forgets(tmp_path: Path) -> None:
    path = tmp_path / "seal"
    write_seal(path, Seal("a", 5, {"one": TODAY, "two": YESTERDAY}))
    write_seal(path, Seal("a", 4, {"two": TODAY, "one": YESTERDAY}))

    assert read_seal(path) == Seal("a", 5, {"one": TODAY, "two": TODAY})
    write_seal(path, Seal("a", 6, {"three": TODAY}))
    assert read_seal(path) == Seal("a", 6, {"one": TODAY, "two": TODAY, "three": TODAY})
    write_seal(path, Seal("b", 1, {"two": YESTERDAY}))
    assert read_seal(path) == Seal("b", 1, {"two": YESTERDAY})


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"newest": 5}', "\xff", '{"newest": {"a": 1}}']
)
def test_a_seal_that_a_power_cut_spoiled_counts_as_none(tmp_path: Path, content: str) -> None:
    path = tmp_path / "seal"
    path.write_text(content, encoding="latin-1")

    assert read_seal(path) is None


def test_a_seal_that_cannot_be_written_does_not_stop_a_send(tmp_path: Path) -> None:
    folder = tmp_path / "missing"
    write_seal(folder / "seal", Seal("a", 1, {}))
    write_seal(None, Seal("a", 1, {}))

    assert not folder.exists()
    assert read_seal(None) is None


def test_a_seal_of_another_ledger_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    open_ledger(path, clock=Clock(), owner=HERE)
    write_seal(path.with_name(".ledger.db.seal"), Seal("another", 9, {"leads": TODAY}))

    sent(planned(open_ledger(path, clock=Clock(), owner=HERE)), KEY)

    assert json.loads(path.with_name(".ledger.db.seal").read_text())["commits"] == 1


def test_a_ledger_without_a_place_for_its_seal_still_sends(pg: Postgres) -> None:
    sent(planned(open_ledger(pg, clock=Clock(), owner=HERE)), KEY)


CONFIG = """\
id = "leads"
language = "en"
timezone = "Europe/Zurich"
ledger = "ledger.db"
[calendar]
country = "CH"
subdivision = "ZH"
[sla]
currency = "CHF"
[[sla.segments]]
segment = "DACH"
currency = "CHF"
valid_from = "2026-01"
goal = 100
[connector]
type = "sql"
url = "sqlite:///crm.db"
table = "leads"
dates = ["created_at"]
segment = "segment"
stored_in = "UTC"
[channels.file]
path = "out"
recipients = ["ana@team.example"]
"""


@pytest.mark.failure("P10")
def test_the_command_says_what_it_would_do_and_does_it_when_told(tmp_path: Path) -> None:
    from digest.cli import World, cli

    (tmp_path / "digest.toml").write_text(CONFIG)
    path = tmp_path / "ledger.db"
    planned(open_ledger(path, clock=Clock(), owner=HERE))
    write_seal(
        path.with_name(".ledger.db.seal"),
        Seal(recognise(path, busy_seconds=30).instance, 2, {"leads": TODAY}),
    )

    def resolve(*arguments: str) -> tuple[int, str]:
        config = ("--config", str(tmp_path / "digest.toml"))
        world = World(clock=Clock(), environment={})
        done = CliRunner().invoke(cli, ["resolve", *arguments, *config], obj=world)
        return done.exit_code, done.output

    assert resolve(KEY, "--sent")[0] == 2
    code, said = resolve("--after-restore")
    assert code == 0
    assert "knows of 0 messages handed over, there were 2" in said
    assert "leads: no edition up to 2026-04-07 would be begun any more" in said
    assert f"{KEY}: would be unknown, for you to settle" in said
    assert "to do it: digest resolve --after-restore --yes" in said
    assert f"{KEY}: is now unknown" in resolve("--after-restore", "--yes")[1]
    assert resolve("--after-restore") == (
        0,
        "the ledger is not older than its seal; there is nothing to do\n",
    )
    assert resolve(KEY, "--sent")[0] == 0
    assert resolve("--after-restore", KEY)[0] == 2
    assert resolve()[0] == 2
    assert resolve(KEY)[0] == 2

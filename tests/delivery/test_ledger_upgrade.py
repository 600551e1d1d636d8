"""A ledger of an earlier release opens, keeps what it knows, and nothing is sent twice on that day.

`ledgers/schema_N.sql` are dumps of ledgers that the release with that schema wrote: a day on which all
was sent, and a morning that was interrupted with a delivery in every state a process can leave behind.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import date
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from digest.errors import LedgerError
from digest.ledger import RunState, State, open_ledger, read_ledger
from digest.ledger.file import recognise
from digest.ledger.identity import RESTORE
from digest.ledger.tables import SCHEMA_VERSION
from tests.delivery.scene import (
    HERE,
    THERE,
    TODAY,
    Clock,
    Sender,
    a_ledger,
    a_relay,
    fork,
    from_json,
)
from tests.fakes.smtp import SmtpServer, running

LEDGERS = Path(__file__).parent / "ledgers"
RELEASED = sorted(path.stem for path in LEDGERS.glob("schema_*.sql"))
NAMES = ("ana", "ben", "cleo", "dora", "emil", "finn")
TEAM = tuple(f"{name}@team.example" for name in NAMES)
YESTERDAY = date(2026, 4, 2)


@pytest.fixture(params=RELEASED)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A ledger of every released schema."""
    path = tmp_path / "ledger.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((LEDGERS / f"{request.param}.sql").read_text())
    return path


def shape(path: Path) -> dict[str, object]:
    """Everything a database says of its tables, whatever the order in which they were made."""
    with closing(sqlite3.connect(path)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {
            f"{pragma} {name}": sorted(
                tuple(map(str, row[1:])) for row in connection.execute(f"PRAGMA {pragma}({name})")
            )
            for (name,) in tables.fetchall()
            for pragma in ("table_info", "foreign_key_list", "index_list")
        }


def version_of(path: Path) -> int:
    return recognise(path, busy_seconds=30).version


def test_every_earlier_schema_has_its_ledger() -> None:
    assert [f"schema_{number}" for number in range(1, SCHEMA_VERSION)] == RELEASED


def test_an_upgraded_ledger_has_the_tables_of_a_new_one(old: Path, tmp_path: Path) -> None:
    a_ledger(old, Clock())
    a_ledger(tmp_path / "new.db", Clock())

    assert shape(old) == shape(tmp_path / "new.db")
    assert version_of(old) == SCHEMA_VERSION


def test_an_upgraded_ledger_knows_what_it_knew(old: Path) -> None:
    ledger = a_ledger(old, Clock())

    states = {
        row.recipient.partition("@")[0]: row.state for row in ledger.deliveries("leads", TODAY)
    }
    assert states == dict(
        zip(
            NAMES,
            (
                State.SENT,
                State.UNKNOWN,
                State.DEFERRED,
                State.CLAIMED,
                State.COMMITTING,
                State.PENDING,
            ),
            strict=True,
        )
    )
    assert {row.state for row in ledger.deliveries("leads", YESTERDAY)} == {State.SENT}
    assert ledger.last_sent("leads") == TODAY
    previous = ledger.previous_edition("leads", TODAY)
    assert previous is not None
    assert from_json(previous).scorecard.total.actual == 17
    skipped = ledger.run("other", TODAY)
    assert skipped is not None
    assert (skipped.state, skipped.note) == (RunState.SKIPPED, "Easter Monday")
    for row in ledger.deliveries("leads", TODAY):
        assert row.recipient.encode() in ledger.message(row)
    assert ledger.attempts("leads", TODAY) == ()


def test_the_file_is_copied_before_it_is_upgraded(old: Path) -> None:
    before = recognise(old, busy_seconds=30)
    a_ledger(old, Clock())

    copy = old.with_name(f"ledger.db.v{before.version}.bak")
    assert recognise(copy, busy_seconds=30) == before
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert sorted(one.name for one in old.parent.iterdir()) == ["ledger.db", copy.name]


def test_nothing_is_sent_twice_on_the_day_of_the_upgrade(old: Path, tmp_path: Path) -> None:
    clock, truth = Clock(), tmp_path / "accepted"
    clock.forward(minutes=30)  # every lease of the earlier release has run out
    with running(SmtpServer(truth=truth)) as relay:
        ledger = a_ledger(old, clock, THERE)
        sender = Sender(ledger, clock, {"mail": a_relay(relay.port, TEAM)})
        first, second = sender.send(), sender.send()

    # ana has hers, ben and emil may have theirs: only the three that certainly have none get it.
    assert Counter(truth.read_text().split()) == Counter((TEAM[2], TEAM[3], TEAM[5]))
    assert sender.composed == []
    assert first.exit_code == second.exit_code == 5
    assert set(sender.states().values()) == {"sent", "unknown"}
    assert [row.recipient for row in ledger.unknown()] == [TEAM[1], TEAM[4]]


def test_a_process_of_the_earlier_release_may_finish_what_it_had_begun(old: Path) -> None:
    """Its statements know no corrections; they still find their rows in the upgraded tables."""
    a_ledger(old, Clock())
    with closing(sqlite3.connect(old)) as connection, connection:
        connection.execute("PRAGMA foreign_keys=ON")
        changed = connection.execute(
            "UPDATE deliveries SET state = 'committing' WHERE state = 'claimed' AND generation = 2"
        )
        connection.execute(
            "INSERT INTO runs (digest, business_date, state, created_at, changed_at) "
            "VALUES ('leads', '2026-04-07', 'planned', '', '') ON CONFLICT DO NOTHING"
        )

    assert changed.rowcount == 1


def test_two_starters_at_once_upgrade_once(old: Path) -> None:
    barrier, seen = threading.Barrier(6), []

    def start() -> None:
        barrier.wait()
        seen.append(len(open_ledger(old, clock=Clock(), owner=HERE).deliveries("leads", TODAY)))

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert seen == [6] * 6
    assert recognise(old.with_name("ledger.db.v1.bak"), busy_seconds=30).version == 1


@pytest.mark.parametrize(
    "statement",
    ["ALTER TABLE runs", "DROP TABLE deliveries_1", "UPDATE meta", "PRAGMA foreign_key_c"],
)
def test_a_process_killed_while_upgrading_leaves_the_earlier_ledger(
    old: Path, tmp_path: Path, statement: str
) -> None:
    before = version_of(old)
    child = fork()
    if not child:

        def kill(_connection: object, _cursor: object, text: str, *_: object) -> None:
            if text.startswith(statement):
                os.kill(os.getpid(), signal.SIGKILL)

        event.listen(Engine, "before_cursor_execute", kill)
        open_ledger(old, clock=Clock(), owner=HERE)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL

    assert version_of(old) == before
    a_ledger(tmp_path / "new.db", Clock())
    a_ledger(old, Clock())
    assert shape(old) == shape(tmp_path / "new.db")


def test_a_ledger_whose_rows_belong_to_nothing_is_not_upgraded(old: Path) -> None:
    with closing(sqlite3.connect(old)) as connection, connection:
        connection.execute("DELETE FROM runs WHERE business_date = '2026-04-02'")
    before = old.read_bytes()

    with pytest.raises(LedgerError, match="rows of deliveries belong to nothing") as caught:
        open_ledger(old, clock=Clock(), owner=HERE)

    assert str(caught.value).endswith(f"; {RESTORE}")

    assert old.read_bytes() == before


def test_a_ledger_that_cannot_be_copied_is_not_upgraded(old: Path) -> None:
    old.with_name("ledger.db.v1.bak").mkdir()
    before = old.read_bytes()

    with pytest.raises(
        LedgerError,
        match=r"cannot be copied to ledger\.db\.v1\.bak before it is upgraded \(.+\); "
        r"check that its folder can be written and has room$",
    ):
        open_ledger(old, clock=Clock(), owner=HERE)

    assert old.read_bytes() == before
    assert len(list(old.parent.iterdir())) == 2


def test_looking_reads_an_earlier_ledger_and_changes_nothing(old: Path) -> None:
    before = old.read_bytes()

    reader = read_ledger(old)

    assert reader is not None
    assert len(reader.deliveries("leads", TODAY)) == 6
    assert reader.last_sent("leads") == TODAY
    assert old.read_bytes() == before
    assert [one.name for one in old.parent.iterdir()] == ["ledger.db"]


def test_an_earlier_ledger_is_read_in_threads_and_from_memory_alone(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    reader = read_ledger(old.absolute())
    assert reader is not None

    with ThreadPoolExecutor(1) as pool:
        assert len(pool.submit(reader.deliveries, "leads", TODAY).result()) == 6

    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_recipient_added_on_the_day_of_the_upgrade_gets_the_frozen_edition(
    old: Path, tmp_path: Path
) -> None:
    clock, truth = Clock(), tmp_path / "accepted"
    clock.forward(minutes=30)
    with running(SmtpServer(truth=truth)) as relay:
        channel = a_relay(relay.port, (*TEAM, "gina@team.example"))
        sender = Sender(a_ledger(old, clock, THERE), clock, {"mail": channel}, actual=99)
        sender.send()

    subject = message_from_bytes(relay.accepted[-1].content, policy=default)["Subject"]
    assert relay.accepted[-1].recipient == "gina@team.example"
    assert "23 of 100" in subject

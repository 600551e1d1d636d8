from __future__ import annotations

import os
import sqlite3
import stat
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import Connection, event, select, update

from digest.errors import LedgerError
from digest.ledger import (
    Claim,
    Decision,
    Owner,
    Place,
    Planned,
    Postgres,
    RunState,
    State,
    delivery_key,
    new_ledger,
    open_ledger,
    read_ledger,
)
from digest.ledger.backend import Lock
from digest.ledger.figures import figures_of
from digest.ledger.file import (
    SqliteBackend,
    disk_kind,
    explained,
    journal_mode,
    read_mounts,
    refuse_network_disk,
    sqlite_engine,
)
from digest.ledger.histories import History
from digest.ledger.owner import current_owner, is_gone, read_owner
from digest.ledger.seal import read_seal
from digest.ledger.store import CLAIM_LEASE, COMMIT_LEASE, REMOVED, Ledger
from digest.ledger.tables import contents
from digest.model import Secret
from tests.delivery.scene import (
    HERE,
    START,
    THERE,
    TODAY,
    Clock,
    a_ledger,
    empty_postgres,
    fork,
    without_rights,
)
from tests.effort import effort
from tests.servers import start_postgresql

KEY = "leads/2026-04-07/mail/ana@team.example"
ANA = Planned(KEY, "mail", "ana@team.example", b"mail for ana")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(place: Place, clock: Clock) -> Ledger:
    return a_ledger(place, clock)


def planned(ledger: Ledger, day: date = TODAY, *rows: Planned) -> Ledger:
    ledger.open_run("leads", day)
    ledger.freeze_edition("leads", day, f"edition of {day}")
    ledger.plan("leads", day, rows or (ANA,))
    return ledger


def claimed(ledger: Ledger) -> Claim:
    claim = planned(ledger).claim(KEY)
    assert claim is not None
    return claim


def state_of(ledger: Ledger, key: str = KEY) -> State:
    row = ledger.delivery(key)
    assert row is not None
    return row.state


# ----------------------------------------------------------------------------------------- opening


def test_a_new_ledger_is_for_its_owner_only(path: Path, clock: Clock) -> None:
    assert a_ledger(path, clock).runs() == ()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["ledger.db"]


def test_many_starters_at_once_get_one_ledger(place: Place, clock: Clock) -> None:
    barrier, seen = threading.Barrier(8), []

    def start() -> None:
        barrier.wait()
        seen.append(open_ledger(place, clock=clock, owner=HERE).open_run("leads", TODAY))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(seen) == 8
    assert len(a_ledger(place, clock).runs()) == 1
    if isinstance(place, Path):
        assert [one.name for one in place.parent.iterdir()] == ["ledger.db"]


def overwrite(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def another_program(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE orders (id)")


def a_meta_of_another_program(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE meta (key, value)")


def newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE meta SET value = '99' WHERE key = 'schema_version'")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


@pytest.mark.failure("P6")
@pytest.mark.failure("P8")
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (Path.unlink, "is missing although it was used before"),
        (overwrite(b""), r"is empty \(0 bytes\)"),
        (overwrite(b"PK\x03\x04 a spreadsheet"), "is damaged or no ledger at all"),
        (overwrite(b"SQLite format 3\0 and then rubbish" * 50), "is damaged"),
        (cut, "is damaged"),
        (another_program, "is a database of another program"),
        (a_meta_of_another_program, "is a database of another program"),
        (newer, r"written by a newer version \(schema 99, this is 2\)"),
    ],
    ids=["missing", "empty", "foreign file", "rubbish", "cut", "foreign", "foreign meta", "newer"],
)
def test_a_ledger_that_cannot_be_trusted_is_refused_and_told_apart(
    tmp_path: Path, clock: Clock, damage: Callable[[Path], object], message: str
) -> None:
    path = tmp_path / "ledger.db"
    pin = tmp_path / ".ledger-id"
    open_ledger(path, clock=clock, owner=HERE, pin=pin)
    damage(path)

    with pytest.raises(LedgerError, match=message) as raised:
        open_ledger(path, clock=clock, owner=HERE, pin=pin)

    assert raised.value.exit_code == 2
    assert not path.exists() or damage != Path.unlink


def test_an_exchanged_ledger_is_noticed(tmp_path: Path, clock: Clock) -> None:
    pin, path = tmp_path / "pin", tmp_path / "ledger.db"
    open_ledger(path, clock=clock, owner=HERE, pin=pin)
    open_ledger(path, clock=clock, owner=HERE, pin=pin)
    open_ledger(tmp_path / "other.db", clock=clock, owner=HERE)
    (tmp_path / "other.db").replace(path)

    with pytest.raises(LedgerError, match="is not the one used before"):
        open_ledger(path, clock=clock, owner=HERE, pin=pin)


def test_a_settings_folder_that_cannot_remember_does_not_stop_a_send(
    tmp_path: Path, clock: Clock
) -> None:
    pin = tmp_path / "missing folder" / "pin"

    assert open_ledger(tmp_path / "l.db", clock=clock, owner=HERE, pin=pin).runs() == ()
    assert not pin.exists()


@pytest.mark.failure("P9")
def test_a_folder_that_cannot_hold_a_ledger_is_named(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(LedgerError, match=r"file/ledger\.db cannot be created"):
        open_ledger(tmp_path / "file" / "ledger.db", clock=clock, owner=HERE)


def test_a_folder_in_place_of_the_ledger_is_named(tmp_path: Path, clock: Clock) -> None:
    with pytest.raises(LedgerError, match="cannot be read"):
        open_ledger(tmp_path, clock=clock, owner=HERE)


def test_a_ledger_on_a_network_disk_is_recognised() -> None:
    mounts = (
        "overlay / overlay rw 0 0\n"
        "server:/export /mnt/share nfs4 rw 0 0\n"
        "//pc/my /mnt/my\\040files cifs rw 0 0\n"
    )

    assert disk_kind(Path("/mnt/share/digest/ledger.db"), mounts) == "nfs4"
    assert disk_kind(Path("/mnt/my files/ledger.db"), mounts) == "cifs"
    assert disk_kind(Path("/mnt/shared/ledger.db"), mounts) == "overlay"
    assert disk_kind(Path("/x"), "") == ""
    with pytest.raises(LedgerError, match=r"lies on a network disk \(nfs4\)"):
        refuse_network_disk(Path("/mnt/share/ledger.db"), mounts)
    refuse_network_disk(Path("/var/ledger.db"), mounts)


def test_a_system_without_a_mount_table_is_taken_as_local(tmp_path: Path) -> None:
    assert read_mounts(tmp_path / "none") == ""
    assert " / " in read_mounts()


@pytest.mark.parametrize(
    ("version", "mode"),
    [
        ((3, 40, 1), "delete"),
        ((3, 44, 5), "delete"),
        ((3, 44, 6), "wal"),
        ((3, 45, 0), "delete"),
        ((3, 50, 6), "delete"),
        ((3, 50, 7), "wal"),
        ((3, 51, 2), "delete"),
        ((3, 51, 3), "wal"),
        ((4, 0, 0), "wal"),
    ],
)
def test_the_journal_mode_avoids_versions_that_can_lose_a_commit(
    version: tuple[int, ...], mode: str
) -> None:
    assert journal_mode(version) == mode


@pytest.mark.failure("P7")
def test_a_ledger_in_use_by_another_process_can_pass(path: Path, clock: Clock) -> None:
    ledger = a_ledger(path, clock, busy_seconds=0.05)
    quick = open_ledger(path, clock=clock, owner=HERE, busy_seconds=0.05)
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerError, match="in use by another process") as raised:
            quick.open_run("leads", TODAY)

    assert raised.value.exit_code == 3
    assert ledger.open_run("leads", TODAY).state is RunState.PLANNED


@pytest.mark.failure("P7")
def test_a_ledger_locked_against_readers_can_pass_as_well(path: Path, clock: Clock) -> None:
    a_ledger(path, clock)
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(LedgerError, match="in use by another process"):
            read_ledger(path, busy_seconds=0.05)


@pytest.mark.failure("P4")
def test_a_full_disk_can_pass_and_stores_nothing(path: Path, clock: Clock) -> None:
    from sqlalchemy import Engine, event

    ledger = a_ledger(path, clock)
    ledger.open_run("leads", TODAY)
    engine: Engine = ledger._backend.engine

    @event.listens_for(engine, "connect")
    def limit(connection: sqlite3.Connection, _: object) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages}")

    with pytest.raises(LedgerError, match="has no room on its disk") as raised:
        ledger.plan("leads", TODAY, [Planned(KEY, "mail", "x", os.urandom(100_000))])

    assert raised.value.exit_code == 3
    assert ledger.deliveries("leads", TODAY) == ()


def test_a_bug_in_a_statement_is_not_dressed_up_as_a_ledger_problem(path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError), explained(path):
        raise sqlite3.OperationalError("no such column: x")


@pytest.mark.failure("P4")
def test_a_plan_needs_room_on_the_disk(path: Path, clock: Clock) -> None:
    ledger = a_ledger(path, clock)
    ledger.open_run("leads", TODAY)
    ledger.room = 2**60

    with pytest.raises(LedgerError, match="MB left on its disk"):
        ledger.plan("leads", TODAY, [ANA])


# ------------------------------------------------------------------------------------- only looking


def test_looking_creates_and_changes_nothing(place: Place, clock: Clock) -> None:
    assert read_ledger(place) is None
    assert read_ledger(place) is None
    planned(a_ledger(place, clock))
    before = place.read_bytes() if isinstance(place, Path) else b""

    reader = read_ledger(place)
    assert reader is not None
    assert reader.edition("leads", TODAY) == "edition of 2026-04-07"
    assert not isinstance(place, Path) or place.read_bytes() == before
    with pytest.raises(LedgerError, match="cannot be written"), reader._transaction() as connection:
        connection.exec_driver_sql("DELETE FROM meta")


def test_looking_still_works_after_a_writer_was_killed(path: Path, clock: Clock) -> None:
    """A killed writer leaves a journal, which a plain read-only connection could not roll back."""
    a_ledger(path, clock)
    child = fork()
    if not child:
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("PRAGMA cache_size=1")
        connection.execute("BEGIN IMMEDIATE")
        for number in range(200):
            connection.execute("INSERT INTO meta VALUES (?, ?)", (str(number), "x" * 5000))
        os._exit(0)
    os.waitpid(child, 0)
    assert path.with_name("ledger.db-journal").exists()

    reader = read_ledger(path)

    assert reader is not None
    assert reader.runs() == ()


def test_history_is_newest_first_and_can_be_narrowed(ledger: Ledger) -> None:
    for day in (1, 3, 2):
        ledger.open_run("leads", date(2026, 4, day))
    ledger.open_run("other", date(2026, 4, 9))

    assert [run.business_date.day for run in ledger.runs("leads")] == [3, 2, 1]
    assert [run.digest for run in ledger.runs(limit=1)] == ["other"]


def test_the_previous_edition_is_the_last_one_that_somebody_got(
    ledger: Ledger, clock: Clock
) -> None:
    for day in (1, 2, 3):
        key = delivery_key("leads", date(2026, 4, day), "mail", "a@b.example")
        planned(ledger, date(2026, 4, day), Planned(key, "mail", "a@b.example", b"x"))
        claim = ledger.claim(key)
        assert claim is not None
        assert ledger.commit(claim)
        ledger.record(claim, State.SENT if day < 3 else State.UNKNOWN, "")

    assert ledger.previous_edition("leads", TODAY) == "edition of 2026-04-02"
    assert ledger.previous_edition("leads", date(2026, 4, 2)) == "edition of 2026-04-01"
    assert ledger.previous_edition("leads", date(2026, 4, 1)) is None
    assert ledger.previous_edition("other", TODAY) is None
    assert ledger.last_sent("leads") == date(2026, 4, 2)
    assert ledger.last_sent("other") is None
    assert ledger.sent_editions("leads", since=date(2026, 4, 2)) == ("edition of 2026-04-02",)
    assert [row.business_date.day for row in ledger.unknown()] == [3]
    assert clock.slept == []


def test_no_more_editions_are_read_than_were_asked_for(ledger: Ledger) -> None:
    for day in (date(2026, 4, 1), date(2026, 4, 2)):
        key = delivery_key("leads", day, "mail", "ana@team.example")
        sent(planned(ledger, day, Planned(key, "mail", "ana@team.example", b"x")), key)

    assert ledger.sent_editions("leads", limit=1) == ("edition of 2026-04-02",)


def test_what_a_person_has_to_settle_is_listed_by_date_and_key(ledger: Ledger) -> None:
    for day, names in ((TODAY, ("ben", "ana")), (date(2026, 4, 2), ("cleo",))):
        keys = [delivery_key("leads", day, "mail", f"{name}@team.example") for name in names]
        rows = [Planned(key, "mail", "one@team.example", key.encode()) for key in keys]
        planned(ledger, day, *rows)
        for key in keys:
            claim = ledger.claim(key)
            assert claim is not None
            assert ledger.commit(claim)
            assert ledger.record(claim, State.UNKNOWN, "")

    listed = [row.key.partition("/")[2] for row in ledger.unknown()]
    assert listed == [
        "2026-04-02/mail/cleo@team.example",
        "2026-04-07/mail/ana@team.example",
        "2026-04-07/mail/ben@team.example",
    ]


def test_content_that_was_altered_is_noticed(ledger: Ledger) -> None:
    planned(ledger)
    with ledger._transaction() as connection:
        connection.execute(update(contents).values(content=b"altered"))

    with pytest.raises(LedgerError, match=r"content \w+ has changed; restore it from a backup$"):
        ledger.edition("leads", TODAY)


def test_there_is_no_edition_before_one_is_frozen(ledger: Ledger) -> None:
    assert ledger.edition("leads", TODAY) is None
    ledger.open_run("leads", TODAY)
    assert ledger.edition("leads", TODAY) is None
    assert ledger.delivery("nothing") is None


# ------------------------------------------------------------------------------- the way of a delivery


def test_the_first_frozen_edition_wins(ledger: Ledger) -> None:
    ledger.open_run("leads", TODAY)

    assert ledger.freeze_edition("leads", TODAY, "one") == "one"
    assert ledger.freeze_edition("leads", TODAY, "two") == "one"


def test_planning_again_keeps_what_is_known(ledger: Ledger) -> None:
    planned(ledger)
    ledger.plan("leads", TODAY, [Planned(KEY, "mail", "ana@team.example", b"other bytes")])
    ledger.plan("leads", TODAY, [])

    row = ledger.delivery(KEY)
    assert row is not None
    assert ledger.message(row) == b"mail for ana"


def test_equal_messages_are_kept_once(ledger: Ledger) -> None:
    rows = [Planned(f"{KEY}{n}", "mail", f"{n}", b"the same") for n in range(3)]
    planned(ledger, TODAY, *rows)

    with ledger._transaction() as connection:
        assert len(connection.execute(select(contents)).all()) == 2


def test_a_run_that_is_opened_is_told_as_it_is_written(ledger: Ledger) -> None:
    assert ledger.open_run("leads", TODAY) == ledger.run("leads", TODAY)


def test_a_claim_is_a_change_of_its_delivery(ledger: Ledger, clock: Clock) -> None:
    planned(ledger)
    clock.forward(minutes=1)

    assert ledger.claim(KEY)
    assert getattr(ledger.delivery(KEY), "changed_at", None) == clock()


@pytest.mark.failure("T7")
def test_only_one_claim_succeeds(ledger: Ledger, place: Place, clock: Clock) -> None:
    claim = claimed(ledger)

    assert claim == Claim(KEY, 1)
    assert a_ledger(place, clock, THERE).claim(KEY) is None


def test_a_delivery_that_waits_is_claimed_only_when_its_time_has_come(
    ledger: Ledger, clock: Clock
) -> None:
    ledger.record(claimed(ledger), State.DEFERRED, "450", next_at=clock() + timedelta(minutes=5))

    assert ledger.claim(KEY) is None
    clock.forward(minutes=5)
    assert ledger.claim(KEY) == Claim(KEY, 2)


BEN = Planned(KEY.replace("ana", "ben"), "mail", "ben@team.example", b"mail for ben")


def test_an_outcome_and_the_next_claim_are_one_commit(ledger: Ledger, clock: Clock) -> None:
    planned(ledger, TODAY, ANA, BEN)
    claim = ledger.claim(KEY)
    assert claim is not None
    assert ledger.commit(claim)
    commits: list[int] = []
    event.listen(ledger._backend.engine, "commit", lambda _: commits.append(1))

    answer = ledger.record_and_claim(claim, State.SENT, "250", BEN.key)

    assert (answer, commits) == ((True, Claim(BEN.key, 1)), [1])
    rows = ledger.deliveries("leads", TODAY)
    assert [(row.state, row.note) for row in rows] == [(State.SENT, "250"), (State.CLAIMED, None)]
    assert rows[1].lease_until == clock() + CLAIM_LEASE
    outcomes = [one.outcome for one in ledger.attempts("leads", TODAY)]
    assert outcomes == [State.SENT, None]


def test_an_outcome_is_written_although_another_process_has_the_next_one(
    ledger: Ledger, place: Place, clock: Clock
) -> None:
    planned(ledger, TODAY, ANA, BEN)
    claim = ledger.claim(KEY)
    assert claim is not None
    ledger.commit(claim)
    a_ledger(place, clock, THERE).claim(BEN.key)

    assert ledger.record_and_claim(claim, State.SENT, "250", BEN.key) == (True, None)
    assert state_of(ledger) is State.SENT


def test_a_late_outcome_leaves_the_next_claim_to_the_caller(ledger: Ledger, clock: Clock) -> None:
    planned(ledger, TODAY, ANA, BEN)
    claim = ledger.claim(KEY)
    assert claim is not None
    clock.now += CLAIM_LEASE
    ledger.recover()

    assert ledger.record_and_claim(claim, State.SENT, "250", BEN.key) == (
        False,
        Claim(BEN.key, 1),
    )
    assert state_of(ledger) is State.PENDING


def test_one_connection_serves_a_block_and_none_is_left_open(ledger: Ledger) -> None:
    planned(ledger)
    opened: list[object] = []
    closed: list[object] = []
    event.listen(ledger._backend.engine, "engine_connect", opened.append)
    event.listen(ledger._backend.engine.pool, "close", lambda *given: closed.append(given))

    with ledger.connected():
        claim = ledger.claim(KEY)
        assert claim is not None
        assert ledger.commit(claim)
        assert state_of(ledger) is State.COMMITTING

    assert (len(opened), len(closed)) == (1, 1)
    assert state_of(ledger) is State.COMMITTING
    assert (len(opened), len(closed)) == (2, 2)


def test_a_block_in_a_block_shares_its_connection(ledger: Ledger) -> None:
    planned(ledger)
    opened: list[object] = []
    event.listen(ledger._backend.engine, "engine_connect", opened.append)

    with ledger.connected():
        with ledger.connected():
            claim = ledger.claim(KEY)
        assert claim is not None
        assert ledger.commit(claim)

    assert len(opened) == 1


def test_a_database_that_does_not_answer_a_change_is_asked_afterwards(
    path: Path, clock: Clock
) -> None:
    """SQLite before 3.35 has no RETURNING."""
    place = path.with_name("old.db")
    ledger = planned(a_ledger(place, clock), TODAY, ANA, BEN)
    ledger._seal = place.with_name("seal")
    ledger._backend.engine.dialect.update_returning = False

    claim = ledger.claim(KEY)

    assert claim == Claim(KEY, 1)
    assert ledger.claim(KEY) is None
    assert ledger.commit(claim)
    later = ledger.claim(BEN.key)
    assert later is not None
    assert ledger.commit(later)
    seal = read_seal(ledger._seal)
    assert seal is not None
    assert seal.commits == 2


def test_a_commit_passes_once(ledger: Ledger) -> None:
    claim = claimed(ledger)

    assert ledger.commit(claim)
    assert not ledger.commit(claim)


@pytest.mark.failure("P3")
def test_a_commit_after_the_lease_does_not_pass(ledger: Ledger, clock: Clock) -> None:
    claim = claimed(ledger)
    clock.now += CLAIM_LEASE

    assert not ledger.commit(claim)


@pytest.mark.failure("P3")
def test_a_commit_of_an_older_generation_does_not_pass(ledger: Ledger, clock: Clock) -> None:
    stale = claimed(ledger)
    clock.now += CLAIM_LEASE
    ledger.recover()
    assert ledger.claim(KEY) == Claim(KEY, 2)

    assert not ledger.commit(stale)
    assert not ledger.record(stale, State.SENT, "250")
    assert state_of(ledger) is State.CLAIMED


def test_a_claim_that_runs_out_waits_again(ledger: Ledger, clock: Clock) -> None:
    claimed(ledger)
    assert ledger.recover() == ()
    clock.now += CLAIM_LEASE

    assert [row.key for row in ledger.recover()] == [KEY]
    assert state_of(ledger) is State.PENDING


def test_a_commit_that_runs_out_is_unknown_and_a_late_answer_settles_it(
    ledger: Ledger, clock: Clock
) -> None:
    claim = claimed(ledger)
    assert ledger.commit(claim)
    clock.now += COMMIT_LEASE - timedelta(seconds=1)
    assert ledger.recover() == ()
    clock.forward(seconds=1)
    ledger.recover()
    assert state_of(ledger) is State.UNKNOWN

    assert ledger.record(claim, State.SENT, "250 late")
    assert state_of(ledger) is State.SENT


def test_a_commit_of_a_repeatable_delivery_that_runs_out_waits_again(
    ledger: Ledger, clock: Clock
) -> None:
    planned(ledger, TODAY, Planned(KEY, "files", "ana@team.example", b"x", repeatable=True))
    claim = ledger.claim(KEY)
    assert claim is not None
    assert ledger.commit(claim)
    clock.now += COMMIT_LEASE
    ledger.recover()

    assert state_of(ledger) is State.PENDING


def test_an_owner_that_is_provably_gone_is_not_waited_for(place: Place, clock: Clock) -> None:
    claimed(a_ledger(place, clock, THERE))

    assert a_ledger(place, clock, HERE, gone=lambda _: False).recover() == ()
    assert len(a_ledger(place, clock, HERE, gone=lambda owner: owner == THERE).recover()) == 1


def test_removed_recipients_are_cancelled_only_while_they_wait(ledger: Ledger) -> None:
    claimed(ledger)

    assert ledger.cancel_except("leads", TODAY, ()) == 0
    assert ledger.record(Claim(KEY, 1), State.PENDING, "")
    assert ledger.cancel_except("leads", TODAY, (KEY,)) == 0
    assert ledger.cancel_except("leads", TODAY, ()) == 1
    assert state_of(ledger) is State.CANCELLED


BERT = Planned(
    "leads/2026-04-07/mail/bert@team.example", "mail", "bert@team.example", b"mail for bert"
)


def test_of_those_removed_only_who_is_named_again_waits_again(ledger: Ledger) -> None:
    planned(ledger, TODAY, ANA, BERT)
    ledger.cancel_except("leads", TODAY, ())

    assert ledger.restore("leads", TODAY, (KEY,)) == 1
    assert state_of(ledger) is State.PENDING
    assert state_of(ledger, BERT.key) is State.CANCELLED


def test_what_a_person_cancelled_is_not_restored(ledger: Ledger) -> None:
    planned(ledger).resolve(KEY, Decision.CANCEL)

    assert ledger.restore("leads", TODAY, (KEY,)) == 0
    assert state_of(ledger) is State.CANCELLED


def test_what_was_never_removed_is_not_restored(ledger: Ledger) -> None:
    claim = claimed(ledger)
    assert ledger.record(claim, State.DEFERRED, REMOVED)

    assert ledger.restore("leads", TODAY, (KEY,)) == 0
    assert state_of(ledger) is State.DEFERRED


def test_what_waits_can_expire(ledger: Ledger) -> None:
    planned(ledger)

    assert ledger.expire("leads", TODAY) == 1
    assert state_of(ledger) is State.EXPIRED
    assert ledger.claim(KEY) is None


def test_what_earlier_dates_left_expires_and_this_date_stays_open(
    ledger: Ledger, clock: Clock
) -> None:
    for day in (date(2026, 4, 2), TODAY):
        key = delivery_key("leads", day, "mail", "ana@team.example")
        planned(ledger, day, Planned(key, "mail", "ana@team.example", b"x"))
    ledger.open_run("other", date(2026, 4, 2))
    clock.forward(minutes=1)

    assert ledger.expire_before("leads", TODAY) == 1
    assert getattr(ledger.run("leads", date(2026, 4, 2)), "changed_at", None) == clock()
    states = {(run.digest, run.business_date.day): run.state for run in ledger.runs()}
    assert states == {
        ("leads", 7): RunState.SENDING,
        ("leads", 2): RunState.EXPIRED,
        ("other", 2): RunState.PLANNED,
    }
    assert state_of(ledger) is State.PENDING


def test_an_earlier_date_that_is_still_being_sent_does_not_expire(ledger: Ledger) -> None:
    claimed(ledger)

    assert ledger.expire_before("leads", TODAY + timedelta(1)) == 0
    assert [run.state for run in ledger.runs()] == [RunState.SENDING]
    assert state_of(ledger) is State.CLAIMED


# -------------------------------------------------------------------------------------- corrections

CORRECTED = "leads/2026-04-07.c1/mail/ana@team.example"


def sent(ledger: Ledger, key: str) -> None:
    claim = ledger.claim(key)
    assert claim is not None
    assert ledger.commit(claim)
    assert ledger.record(claim, State.SENT, "250")


def corrected(ledger: Ledger) -> Ledger:
    """Send the day's edition, then plan a correction of it."""
    sent(planned(ledger), KEY)
    ledger.open_run("leads", TODAY, correction=1)
    ledger.freeze_edition("leads", TODAY, "corrected", correction=1)
    row = Planned(CORRECTED, "mail", "ana@team.example", b"corrected mail")
    ledger.plan("leads", TODAY, [row], correction=1)
    return ledger


def test_a_correction_is_a_run_of_its_own(ledger: Ledger) -> None:
    corrected(ledger)
    ledger.mark_run("leads", TODAY, RunState.DONE)
    ledger.mark_before_messages("leads", TODAY, RunState.HELD, correction=1)

    assert [(run.correction, run.state) for run in ledger.runs("leads")] == [
        (1, RunState.SENDING),
        (0, RunState.DONE),
    ]
    assert ledger.edition("leads", TODAY) == "edition of 2026-04-07"
    assert ledger.edition("leads", TODAY, correction=1) == "corrected"
    assert [row.key for row in ledger.deliveries("leads", TODAY)] == [KEY]
    assert [row.key for row in ledger.deliveries("leads", TODAY, correction=1)] == [CORRECTED]
    assert ledger.run("leads", TODAY, correction=2) is None


def test_a_correction_waits_expires_and_is_cancelled_alone(ledger: Ledger) -> None:
    corrected(ledger)

    assert ledger.expire("leads", TODAY) == 0
    assert ledger.expire("leads", TODAY, correction=1) == 1
    assert ledger.reopen("leads", TODAY) == 0
    assert ledger.reopen("leads", TODAY, correction=1) == 1
    assert ledger.cancel_except("leads", TODAY, ()) == 0
    assert ledger.cancel_except("leads", TODAY, (), correction=1) == 1
    assert ledger.restore("leads", TODAY, (CORRECTED,)) == 0
    assert ledger.restore("leads", TODAY, (CORRECTED,), correction=1) == 1
    assert state_of(ledger, CORRECTED) is State.PENDING
    assert state_of(ledger) is State.SENT


def test_the_next_edition_follows_the_correction_that_somebody_got(ledger: Ledger) -> None:
    tomorrow = date(2026, 4, 8)
    corrected(ledger)
    assert ledger.previous_edition("leads", tomorrow) == "edition of 2026-04-07"

    sent(ledger, CORRECTED)

    assert ledger.previous_edition("leads", tomorrow) == "corrected"
    assert ledger.sent_editions("leads") == ("corrected",)
    assert ledger.last_sent("leads") == TODAY


# --------------------------------------------------------------------------------------- attempts


def test_each_claim_is_kept_as_an_attempt(ledger: Ledger, clock: Clock) -> None:
    ledger.record(claimed(ledger), State.DEFERRED, "450", next_at=clock() + timedelta(minutes=5))
    clock.forward(minutes=5)
    claim = ledger.claim(KEY)
    assert claim is not None
    ledger.commit(claim)
    open_one = ledger.attempts("leads", TODAY)[-1]
    clock.forward(seconds=1)
    ledger.record(claim, State.SENT, "250")

    assert (open_one.outcome, open_one.ended_at) == (None, None)
    assert [
        (one.key, one.generation, one.owner, one.outcome, one.words)
        for one in ledger.attempts("leads", TODAY)
    ] == [(KEY, 1, HERE, State.DEFERRED, "450"), (KEY, 2, HERE, State.SENT, "250")]
    last = ledger.attempts("leads", TODAY)[-1]
    assert (last.began_at, last.ended_at) == (START + timedelta(minutes=5), clock())


def test_attempts_are_listed_by_delivery_and_then_in_their_order(
    ledger: Ledger, clock: Clock
) -> None:
    planned(ledger, TODAY, ANA, BERT)
    for key in (BERT.key, KEY, BERT.key, KEY):
        claim = ledger.claim(key)
        assert claim is not None
        ledger.record(claim, State.DEFERRED, "450", next_at=clock())

    found = [(one.key, one.generation) for one in ledger.attempts("leads", TODAY)]
    assert found == [(KEY, 1), (KEY, 2), (BERT.key, 1), (BERT.key, 2)]


@pytest.mark.parametrize(
    ("committed", "outcome", "words"),
    [
        (False, State.PENDING, "host-a boot 1 1 ended before the end of the message"),
        (True, State.UNKNOWN, "host-a boot 1 1 ended before the answer came"),
    ],
)
def test_recovery_ends_the_attempt_of_whoever_is_gone(
    ledger: Ledger, clock: Clock, *, committed: bool, outcome: State, words: str
) -> None:
    claim = claimed(ledger)
    if committed:
        ledger.commit(claim)
    clock.now += COMMIT_LEASE
    ledger.recover()

    (one,) = ledger.attempts("leads", TODAY)
    assert (one.outcome, one.words, one.ended_at) == (outcome, words, clock())


def test_an_outcome_that_comes_too_late_ends_no_attempt(ledger: Ledger, clock: Clock) -> None:
    stale = claimed(ledger)
    clock.now += CLAIM_LEASE
    ledger.recover()

    assert not ledger.record(stale, State.SENT, "250")
    assert ledger.attempts("leads", TODAY)[0].outcome is State.PENDING


# -------------------------------------------------------------------------------------- by hand


def unknown(ledger: Ledger) -> Claim:
    claim = claimed(ledger)
    assert ledger.commit(claim)
    assert ledger.record(claim, State.UNKNOWN, "no answer")
    return claim


@pytest.mark.parametrize(
    ("decision", "state"),
    [
        (Decision.SENT, State.SENT),
        (Decision.RESEND, State.PENDING),
        (Decision.CANCEL, State.CANCELLED),
    ],
)
def test_a_person_settles_an_unknown_delivery(
    ledger: Ledger, clock: Clock, decision: Decision, state: State
) -> None:
    claim = unknown(ledger)

    clock.forward(minutes=1)

    settled = ledger.resolve(KEY, decision)

    assert settled.state is state
    assert settled.generation == claim.generation + (decision is Decision.RESEND)
    assert (settled.changed_at, settled.lease_until) == (clock(), None)
    assert settled.note == f"settled as {decision} by hand; before: no answer"
    assert (settled.sent_at == START) == (decision is Decision.SENT)
    assert not ledger.record(claim, State.SENT, "250 late")


def test_only_what_is_unknown_or_waits_can_be_settled(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match=r"no delivery 'x'; `digest history` lists the keys$"):
        ledger.resolve("x", Decision.SENT)
    planned(ledger)
    with pytest.raises(
        LedgerError,
        match=r"is pending, which needs no decision; "
        r"only unknown deliveries can be settled, and waiting ones cancelled$",
    ):
        ledger.resolve(KEY, Decision.SENT)
    settled = ledger.resolve(KEY, Decision.CANCEL)
    assert (settled.state, settled.note) == (
        State.CANCELLED,
        "settled as cancel by hand; before: nothing",
    )


def test_a_delivery_that_waited_for_its_time_waits_no_more_once_it_is_cancelled(
    ledger: Ledger, clock: Clock
) -> None:
    ledger.record(claimed(ledger), State.DEFERRED, "450", next_at=clock() + timedelta(minutes=5))

    assert ledger.resolve(KEY, Decision.CANCEL).next_at is None


@pytest.mark.parametrize(
    ("who", "living", "allowed"),
    [
        (HERE, (HERE,), False),
        (HERE, (), True),
        (THERE, (THERE,), True),
        (Owner("host-a", "other boot", 1, "1"), (HERE,), True),
    ],
    ids=["alive here", "gone here", "elsewhere, lease over", "earlier boot"],
)
def test_a_delivery_is_not_resent_while_its_process_may_still_finish_it(
    place: Place, clock: Clock, who: Owner, living: tuple[Owner, ...], *, allowed: bool
) -> None:
    left = a_ledger(place, clock, who)
    assert left.commit(claimed(left))
    clock.forward(minutes=12)
    me = Owner("host-a", "boot", 9, "9")
    operator = a_ledger(place, clock, me, gone=lambda owner: owner not in living)
    operator.recover()

    if allowed:
        assert operator.resolve(KEY, Decision.RESEND).state is State.PENDING
    else:
        with pytest.raises(
            LedgerError, match=r"may still be finished.*; end that process first, or wait for it$"
        ) as caught:
            operator.resolve(KEY, Decision.RESEND)
        assert caught.value.exit_code == 3


def test_a_process_of_another_host_is_not_waited_for_once_its_lease_is_over(
    place: Place, clock: Clock
) -> None:
    left = a_ledger(place, clock, THERE)
    assert left.commit(claimed(left))
    operator = a_ledger(place, clock, HERE, gone=lambda _: False)

    clock.now += COMMIT_LEASE
    operator.recover()

    assert operator.resolve(KEY, Decision.RESEND).state is State.PENDING


def test_a_run_is_marked_with_its_reason_and_no_other_run_is(place: Place, clock: Clock) -> None:
    ledger = a_ledger(place, clock)
    later = TODAY + timedelta(days=1)
    runs = [("leads", TODAY, 0), ("leads", TODAY, 1), ("leads", later, 0), ("other", TODAY, 0)]
    for digest, day, correction in runs:
        ledger.open_run(digest, day, correction=correction)

    def stand() -> list[tuple[str, str | None]]:
        found = [ledger.run(digest, day, correction=number) for digest, day, number in runs]
        return [(str(run.state), run.note) for run in found if run]

    ledger.mark_before_messages("leads", TODAY, RunState.HELD, "no answer")
    assert stand() == [("held", "no answer"), *[("planned", None)] * 3]
    ledger.mark_run("leads", TODAY, RunState.EXPIRED, "too late")
    assert stand() == [("expired", "too late"), *[("planned", None)] * 3]
    ledger.mark_before_messages("leads", TODAY, RunState.HELD, "no key", correction=1)
    assert stand()[:2] == [("expired", "too late"), ("held", "no key")]


# -------------------------------------------------------------------------------------- owners


def test_an_owner_survives_being_written_down() -> None:
    for owner in (HERE, current_owner(), Owner("mac", "", 7, "")):
        assert read_owner(str(owner)) == owner


def test_this_process_is_not_gone() -> None:
    assert not is_gone(current_owner())


def test_a_system_without_proc_still_names_its_process(tmp_path: Path) -> None:
    owner = current_owner(tmp_path)

    assert (owner.boot, owner.started) == ("", "")
    assert owner.pid == os.getpid()
    assert read_owner(str(owner)) == owner


def test_an_owner_names_the_start_of_its_machine_and_its_process_space(tmp_path: Path) -> None:
    (tmp_path / "sys/kernel/random").mkdir(parents=True)
    (tmp_path / "sys/kernel/random/boot_id").write_text("5f0c\n")
    (tmp_path / "self/ns").mkdir(parents=True)
    (tmp_path / "self/ns/pid").symlink_to("pid:[4026531836]")
    owner = current_owner(tmp_path)

    assert (owner.host, owner.boot) == (os.uname().nodename, "5f0c+4026531836")


@pytest.mark.parametrize(("named", "host"), [("the big one", "the_big_one"), ("", "unknown")])
def test_an_owner_s_host_is_one_word(
    monkeypatch: pytest.MonkeyPatch, named: str, host: str
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: named)

    assert current_owner().host == host


def test_an_owner_s_start_is_read_behind_whatever_its_program_is_called(tmp_path: Path) -> None:
    stat = tmp_path / str(os.getpid()) / "stat"
    stat.parent.mkdir()
    stat.write_text(f"{os.getpid()} (a) Z 1 (b) S {' '.join(map(str, range(100, 140)))}\n")

    # The 22nd field of proc(5); the name in brackets is the second one.
    assert current_owner(tmp_path).started == "118"


def test_an_ended_process_is_gone_even_before_it_is_reaped() -> None:
    read, write = os.pipe()
    child = fork()
    if not child:
        os.close(write)
        os.read(read, 1)
        os._exit(0)
    os.close(read)
    me = current_owner()
    other = Owner(me.host, me.boot, child, "")
    assert not is_gone(other)
    os.close(write)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert is_gone(other)
    os.waitpid(child, 0)
    assert is_gone(other)


def test_a_number_given_to_another_process_is_not_the_owner() -> None:
    me = current_owner()

    assert is_gone(Owner(me.host, me.boot, me.pid, "1"))
    assert not is_gone(Owner("elsewhere", me.boot, me.pid, "1"))
    assert not is_gone(Owner(me.host, "another boot", me.pid, "1"))
    assert not is_gone(Owner(me.host, me.boot, 1, ""))


def test_a_correction_has_a_key_of_its_own() -> None:
    day = date(2026, 6, 15)

    assert delivery_key("leads", day, "mail", "a@b.example") == "leads/2026-06-15/mail/a@b.example"
    assert (
        delivery_key("leads", day, "mail", "a@b.example", 1)
        == "leads/2026-06-15.c1/mail/a@b.example"
    )


def test_a_key_with_two_readings_is_refused() -> None:
    with pytest.raises(ValueError, match="digest 'a/b'"):
        delivery_key("a/b", TODAY, "mail", "x")
    with pytest.raises(ValueError, match="channel ''"):
        delivery_key("a", TODAY, "", "x")


def test_a_process_of_another_user_is_not_gone(tmp_path: Path) -> None:
    """The system does not let us ask about it, so nothing is proven."""
    read, write = os.pipe()
    child = fork()
    if not child:
        if os.geteuid() == 0:
            os.setuid(65533)
        os.close(write)
        os.read(read, 1)
        os._exit(0)
    os.close(read)
    me = current_owner()
    # Without root every child is ours; the first process is not.
    owner = Owner(me.host, me.boot, child if os.geteuid() == 0 else 1, "")
    with without_rights(tmp_path):
        assert not is_gone(owner)
    os.close(write)
    os.waitpid(child, 0)


# ------------------------------------------------------------------------- what it says and keeps


def test_a_ledger_says_in_what_it_is_kept(place: Place, clock: Clock) -> None:
    before = new_ledger(place)
    a_ledger(place, clock)
    reader = read_ledger(place)

    assert reader is not None
    kind = "serves one host only" if isinstance(place, Path) else "several hosts may share it"
    assert reader.describe().endswith(kind)
    assert before == f"will be created by the first send; {reader.describe()}"
    if isinstance(place, Path):
        with closing(sqlite3.connect(place)) as raw:
            ((mode,),) = raw.execute("PRAGMA journal_mode")
        assert f"journal mode {mode}; " in before
    assert str(reader) == f"ledger {place}"


def test_a_place_has_a_name_for_files() -> None:
    place = Postgres("postgresql://digest@db.example:5433/l?sslmode=require", Secret("planted"))

    assert place.name == "postgresql___db.example_5433_l"
    assert "planted" not in repr(place)


def test_runs_that_have_ended_are_told_from_those_with_work_left(ledger: Ledger) -> None:
    before = date(2026, 4, 2)
    for day in (before, TODAY):
        key = delivery_key("leads", day, "mail", "ana@team.example")
        planned(ledger, day, Planned(key, "mail", "ana@team.example", b"x"))
        ledger.mark_run("leads", day, RunState.DONE)
    sent(ledger, KEY)

    assert ledger.ended_runs([before, TODAY]) == {("leads", TODAY): RunState.DONE}
    ledger.open_run("leads", before, correction=1)
    ledger.mark_run("leads", before, RunState.DONE, correction=1)
    assert ledger.ended_runs([before]) == {}


def test_the_newest_reading_of_closed_months_is_kept(ledger: Ledger) -> None:
    assert ledger.history("leads") is None
    for counts in ("[1]", "[2]"):
        ledger.keep_history("leads", History("question", TODAY, counts))

    ledger.keep_history("other", History("another", TODAY, "[3]"))

    assert ledger.history("leads") == History("question", TODAY, "[2]")
    assert ledger.history("other") == History("another", TODAY, "[3]")


def test_how_long_the_stages_took_is_kept_of_the_last_run(ledger: Ledger) -> None:
    assert figures_of(ledger).stages == {}

    for seconds in (1.5, 2.5):
        ledger.keep_stages({"collect": seconds, "deliver": 0.25})

    assert figures_of(ledger).stages == {"collect": 2.5, "deliver": 0.25}


def test_a_lease_has_one_owner_at_a_time(place: Place, clock: Clock) -> None:
    here, there = a_ledger(place, clock, HERE), a_ledger(place, clock, THERE)
    length = timedelta(minutes=1)

    assert here.take_lease("schedule", length).owner == HERE
    assert there.take_lease("schedule", length).owner == HERE
    clock.forward(seconds=40)
    assert here.take_lease("schedule", length).generation == 1
    clock.forward(seconds=59)
    assert there.take_lease("schedule", length).owner == HERE
    clock.forward(seconds=1)
    assert there.take_lease("schedule", length).generation == 2
    there.give_lease_back("schedule")
    here.give_lease_back("schedule")
    assert here.take_lease("schedule", length).owner == HERE
    assert here.take_lease("schedule", length) == here.take_lease("schedule", length)


# ------------------------------------------------------------------------------- who waits for whom


@dataclass(frozen=True)
class Noting(SqliteBackend):
    """A ledger in a file that writes down what each transaction locks where there are locks to choose."""

    locks: list[Lock | str] = field(default_factory=list)

    def begin(self, connection: Connection, lock: Lock | str, *, alone: bool = False) -> None:
        if not alone:
            self.locks.append(lock)
        super().begin(connection, lock, alone=alone)


def test_what_concerns_one_digest_waits_for_its_own_writers_alone(path: Path, clock: Clock) -> None:
    a_ledger(path, clock)
    backend = Noting(path, sqlite_engine(path, busy_seconds=30))
    ledger = Ledger(backend, clock=clock, owner=HERE, gone=lambda _: False)
    tomorrow = TODAY + timedelta(1)

    planned(ledger)
    claim = ledger.claim(KEY)
    assert claim is not None
    assert ledger.commit(claim)
    ledger.record_and_claim(claim, State.UNKNOWN, "no answer", KEY)
    ledger.record(claim, State.SENT, "late")
    ledger.mark_before_messages("leads", TODAY, RunState.HELD)
    ledger.mark_run("leads", TODAY, RunState.DONE)
    ledger.keep_history("leads", History("question", TODAY, "[1]"))
    planned(ledger, tomorrow, Planned(f"{KEY}2", "mail", "bert@team.example", b"mail for bert"))
    for act in (ledger.expire, ledger.reopen):
        assert act("leads", tomorrow) == 1
    assert ledger.cancel_except("leads", tomorrow, ()) == 1
    assert ledger.restore("leads", tomorrow, (f"{KEY}2",)) == 1
    assert ledger.expire_before("leads", tomorrow + timedelta(1)) == 1

    assert set(backend.locks) == {"leads"}


# ------------------------------------------------------------------------- any order of events


class AnyOrder(RuleBasedStateMachine):
    """Two hosts, crashes, stalls, clock jumps and an operator: dots per key never exceed one,
    but for what an operator asks for."""

    def place(self) -> Place:
        return Path(self.folder.name) / "ledger.db"

    @initialize()
    def start(self) -> None:
        from tempfile import TemporaryDirectory

        self.folder = TemporaryDirectory()
        self.clock = Clock()
        place = self.place()
        self.hosts = [a_ledger(place, self.clock, one) for one in (HERE, THERE)]
        planned(self.hosts[0])
        self.claims: list[list[Claim]] = [[], []]
        self.committed: list[Claim] = []
        self.dots = 0
        self.allowed = 1

    def teardown(self) -> None:
        self.folder.cleanup()

    @rule(host=st.integers(0, 1))
    def claim(self, host: int) -> None:
        claim = self.hosts[host].claim(KEY)
        if claim:
            self.claims[host].append(claim)

    @rule(host=st.integers(0, 1), data=st.data())
    def finish(self, host: int, data: st.DataObject) -> None:
        """Any process, however old its claim, comes to its commit and sends the dot if it may."""
        if not self.claims[host]:
            return
        claim = data.draw(st.sampled_from(self.claims[host]))
        if self.hosts[host].commit(claim):
            self.dots += 1
            self.committed.append(claim)

    @rule(
        host=st.integers(0, 1),
        state=st.sampled_from([State.SENT, State.UNKNOWN, State.REFUSED]),
        data=st.data(),
    )
    def answer(self, host: int, state: State, data: st.DataObject) -> None:
        if self.committed:
            self.hosts[host].record(data.draw(st.sampled_from(self.committed)), state, "")

    @rule(host=st.integers(0, 1), data=st.data())
    def not_sent(self, host: int, data: st.DataObject) -> None:
        """Only a process that has not sent the dot may say so."""
        free = [one for one in self.claims[host] if one not in self.committed]
        if free:
            self.hosts[host].record(data.draw(st.sampled_from(free)), State.DEFERRED, "")

    @rule(host=st.integers(0, 1))
    def recover(self, host: int) -> None:
        self.hosts[host].recover()

    @rule(seconds=st.sampled_from([-600, 1, 300, 500, 700]))
    def time_passes(self, seconds: int) -> None:
        self.clock.forward(seconds=seconds)

    @rule(decision=st.sampled_from(Decision))
    def decide(self, decision: Decision) -> None:
        if state_of(self.hosts[0]) is State.UNKNOWN:
            try:
                self.hosts[0].resolve(KEY, decision)
            except LedgerError:
                return
            self.allowed += decision is Decision.RESEND

    @invariant()
    def no_dot_more_than_allowed(self) -> None:
        assert getattr(self, "dots", 0) <= getattr(self, "allowed", 1)


class AnyOrderInPostgres(AnyOrder):
    def place(self) -> Place:
        return empty_postgres(start_postgresql())


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = hypothesis_settings(
    max_examples=effort(15, 60), stateful_step_count=30, deadline=None
)
TestAnyOrderInPostgres = AnyOrderInPostgres.TestCase
TestAnyOrderInPostgres.settings = hypothesis_settings(
    max_examples=effort(2, 15), stateful_step_count=20, deadline=None
)


def test_a_run_has_ended_when_its_state_says_so_and_nobody_waits(
    place: Place, clock: Clock
) -> None:
    ledger = a_ledger(place, clock)
    for name, state in (
        ("held", RunState.HELD),
        ("gone", RunState.EXPIRED),
        ("free", RunState.SKIPPED),
        ("leads", RunState.DONE),
    ):
        ledger.open_run(name, TODAY)
        ledger.mark_run(name, TODAY, state)
    ended = {
        ("gone", TODAY): RunState.EXPIRED,
        ("free", TODAY): RunState.SKIPPED,
        ("leads", TODAY): RunState.DONE,
    }
    assert ledger.ended_runs({TODAY}) == ended
    assert ledger.ended_runs({TODAY + timedelta(1)}) == {}

    # A message that a person lets go again is work left.
    ledger.plan("leads", TODAY, [ANA])
    ledger.mark_run("leads", TODAY, RunState.DONE)
    assert ledger.ended_runs({TODAY}).keys() == {("gone", TODAY), ("free", TODAY)}
    ledger.cancel_except("leads", TODAY, [])
    assert ledger.ended_runs({TODAY}) == ended

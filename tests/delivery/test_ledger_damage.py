"""A ledger's file that is cut, altered, full or closed to us: nothing is sent on the strength of it."""

from __future__ import annotations

import os
import random
import sqlite3
import stat
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import event

from digest.errors import LedgerError
from digest.ledger import Claim, State, open_ledger
from digest.ledger.store import Ledger
from tests.delivery.scene import (
    HERE,
    TEAM,
    THERE,
    TODAY,
    Clock,
    Sender,
    a_ledger,
    a_relay,
    without_rights,
)
from tests.effort import effort, every
from tests.fakes.smtp import SmtpServer, running

PAGE = 4096


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A ledger after a morning on which all was sent."""
    path, clock = tmp_path_factory.mktemp("whole") / "ledger.db", Clock()
    with running(SmtpServer()) as relay:
        Sender(a_ledger(path, clock), clock, {"mail": a_relay(relay.port)}).send()
    return path.read_bytes()


def copies_after_another_send(path: Path) -> Counter[str]:
    """Send once more with what is left of the ledger; return what the relay took this time."""
    clock = Clock()
    with running(SmtpServer()) as relay:
        with suppress(LedgerError):
            ledger = open_ledger(path, clock=clock, owner=THERE)
            Sender(ledger, clock, {"mail": a_relay(relay.port)}).send()
        return Counter(one.recipient for one in relay.accepted)


@pytest.mark.failure("P6")
def test_a_ledger_cut_at_any_page_is_refused(tmp_path: Path, whole: bytes) -> None:
    path = tmp_path / "ledger.db"
    for size in range(0, len(whole), PAGE * every(4)):
        path.write_bytes(whole[:size])
        with pytest.raises(LedgerError, match=r"damaged|empty") as raised:
            open_ledger(path, clock=Clock(), owner=HERE).runs()
        assert raised.value.exit_code == 2


@pytest.mark.failure("P6")
@pytest.mark.parametrize("seed", range(effort(10, 60)))
def test_a_ledger_with_a_flipped_byte_sends_nothing_twice(
    tmp_path: Path, whole: bytes, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - a place in a file, not a secret
    broken = bytearray(whole)
    broken[chance.randrange(len(broken))] ^= chance.randrange(1, 256)
    path = tmp_path / "ledger.db"
    path.write_bytes(broken)

    assert copies_after_another_send(path) == Counter()


@pytest.mark.failure("P6")
@pytest.mark.parametrize(
    ("table", "column", "text"),
    [
        ("deliveries", "key", "leads/2026-04-07/mail/anb@team.example"),
        ("deliveries", "business_date", "2026-04-09"),
        ("runs", "business_date", "2026-04-09"),
        ("deliveries", "state", "sfnt"),
        ("deliveries", "changed_at", "2026-04-07T05:31:00.000000+99:00"),
    ],
)
def test_a_value_that_was_altered_in_the_file_is_noticed(
    tmp_path: Path, whole: bytes, table: str, column: str, text: str
) -> None:
    """The letters change where the table keeps them, not where its index does."""
    path = tmp_path / "ledger.db"
    path.write_bytes(whole)
    with closing(sqlite3.connect(path)) as connection, connection:
        indexes = connection.execute(
            "SELECT name, rootpage FROM sqlite_master WHERE tbl_name = ?", (table,)
        ).fetchall()
        root = dict(indexes)[table]
        (old,) = connection.execute(
            f"SELECT {column} FROM {table} ORDER BY rowid DESC LIMIT 1"
        ).fetchone()
    broken = bytearray(whole)
    start = (root - 1) * PAGE
    place = broken.index(old.encode(), start, start + PAGE)
    broken[place : place + len(old)] = text.encode()[: len(old)].ljust(len(old))
    path.write_bytes(broken)

    with pytest.raises(LedgerError, match="is damaged"):
        open_ledger(path, clock=Clock(), owner=HERE).deliveries("leads", TODAY)
    assert copies_after_another_send(path) == Counter()


@pytest.mark.failure("P6")
@pytest.mark.parametrize(
    ("was", "is_now"),
    [
        (b"changed_at VARCHAR", b"chinged_at VARCHAR"),
        (b"instance_id", b"instbnce_id"),
        (b"schema_version2", b"schema_versionx"),
        (b"schema_version", b"schema\xfeversion"),
    ],
)
def test_a_name_that_was_altered_in_the_file_is_noticed(
    tmp_path: Path, whole: bytes, was: bytes, is_now: bytes
) -> None:
    path = tmp_path / "ledger.db"
    assert was in whole
    path.write_bytes(whole.replace(was, is_now))

    with pytest.raises(LedgerError, match="is damaged"):
        open_ledger(path, clock=Clock(), owner=HERE)


@contextmanager
def full_disk(ledger: Ledger) -> Iterator[None]:
    """Let the ledger's file grow no further, and no page of it be written."""

    def refuse(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("UPDATE deliveries"):
            raise sqlite3.OperationalError("database or disk is full")

    engine = ledger._backend.engine
    event.listen(engine, "before_cursor_execute", refuse)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", refuse)


class FullAfterTheDot(Ledger):
    """Its disk is full from the moment a message has been let go."""

    def record(self, claim: Claim, state: State, note: str, **_: object) -> bool:
        with full_disk(self):
            return super().record(claim, state, note)


@pytest.mark.failure("P5")
def test_an_outcome_that_finds_no_room_is_named_and_never_leads_to_a_second_mail(
    tmp_path: Path,
) -> None:
    path, clock = tmp_path / "ledger.db", Clock()
    with running(SmtpServer()) as relay:
        channels = {"mail": a_relay(relay.port, TEAM[:1])}
        sender = Sender(a_ledger(path, clock, kind=FullAfterTheDot), clock, channels)
        with pytest.raises(LedgerError, match=r"ana@team\.example is sent .* could not be written"):
            sender.send()
        assert clock.slept == [1, 1]
        assert sender.states() == {TEAM[0]: "committing"}

        clock.forward(minutes=12)
        again = Sender(a_ledger(path, clock, THERE), clock, channels)
        assert again.send().exit_code == 5
        assert again.send().exit_code == 5
        assert again.states() == {TEAM[0]: "unknown"}
        assert [one.recipient for one in relay.accepted] == [TEAM[0]]


class Unopened:
    """A ledger that is opened when it is first used, as the command does before it asks a source."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path, self._clock = path, clock

    def __getattr__(self, name: str) -> object:
        return getattr(open_ledger(self._path, clock=self._clock, owner=HERE), name)


@pytest.mark.failure("P9")
@pytest.mark.skipif(
    os.geteuid() == 0 and not Path("/proc").exists(), reason="no way to drop rights"
)
@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_ledger_that_may_not_be_written_is_named_before_anything_is_asked_of_a_source(
    tmp_path: Path, what: str
) -> None:
    folder = tmp_path / "closed"
    path, clock = folder / "ledger.db", Clock()
    a_ledger(path, clock)
    path.chmod(stat.S_IRUSR if what == "file" else 0o600)
    folder.chmod(0o700 if what == "file" else 0o500)
    sender = Sender(cast("Ledger", Unopened(path, clock)), clock, {})
    try:
        with without_rights(tmp_path), pytest.raises(LedgerError, match=r"cannot be|permissions"):
            sender.send()
    finally:
        folder.chmod(0o700)
    assert sender.composed == []

"""What is settled goes when its time has come, and what has gone is never sent again."""

from __future__ import annotations

import stat
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from digest.errors import LedgerError
from digest.ledger import Place, Planned, RunState, State, delivery_key, open_ledger
from digest.ledger.store import Ledger, Purged
from digest.ledger.tables import attempts, contents, deliveries
from tests.delivery.scene import HERE, TODAY, Clock, a_ledger
from tests.delivery.test_ledger import planned, sent
from tests.delivery.test_seal import CONFIG

OLD, LATER, LAST = date(2025, 1, 6), date(2026, 3, 2), date(2026, 4, 2)
MESSAGES_BEFORE, EDITIONS_BEFORE = TODAY - timedelta(14), TODAY - timedelta(400)


@pytest.fixture
def ledger(place: Place) -> Ledger:
    return a_ledger(place, Clock())


def key_of(day: date, name: str = "ana", digest: str = "leads") -> str:
    return delivery_key(digest, day, "mail", f"{name}@team.example")


def row_of(day: date, name: str = "ana", digest: str = "leads") -> Planned:
    content = f"{digest} {day} {name}".encode()
    return Planned(key_of(day, name, digest), "mail", f"{name}@team.example", content)


def edition(ledger: Ledger, day: date, state: State, digest: str = "leads") -> None:
    """Make a run with one delivery in a state."""
    key = key_of(day, digest=digest)
    ledger.open_run(digest, day)
    ledger.freeze_edition(digest, day, f"{digest} {day}")
    ledger.plan(digest, day, [row_of(day, digest=digest)])
    if state is State.PENDING:
        return
    if state in (State.EXPIRED, State.CANCELLED):
        settle = ledger.expire if state is State.EXPIRED else ledger.cancel_except
        settle(digest, day, *(() if state is State.EXPIRED else ((),)))
        return
    claim = ledger.claim(key)
    assert claim is not None
    if state is State.CLAIMED:
        return
    assert ledger.commit(claim)
    if state is not State.COMMITTING:
        ledger.record(claim, state, "")


def purge(ledger: Ledger, digest: str = "leads") -> Purged:
    return ledger.purge(digest, messages_before=MESSAGES_BEFORE, editions_before=EDITIONS_BEFORE)


def kept(ledger: Ledger) -> set[str]:
    with ledger._transaction() as connection:
        return {content.decode() for (content,) in connection.execute(select(contents.c.content))}


def test_editions_and_messages_go_when_their_time_has_come(ledger: Ledger) -> None:
    for day in (OLD, LATER, LAST):
        edition(ledger, day, State.SENT)

    purged = purge(ledger)

    assert (purged.editions, purged.contents) == (1, 3)
    assert purged.size == len("leads 2025-01-06") * 3 + len(" ana") * 2
    assert kept(ledger) == {"leads 2026-03-02", "leads 2026-04-02", "leads 2026-04-02 ana"}
    assert [run.business_date for run in ledger.runs("leads")] == [LAST, LATER]
    (row,) = ledger.deliveries("leads", LATER)
    assert row.state is State.SENT
    assert not ledger.has(row.message)
    with pytest.raises(LedgerError, match="no longer has the content"):
        ledger.message(row)
    with ledger._transaction() as connection:
        assert len(connection.execute(select(attempts)).all()) == 2
        assert len(connection.execute(select(deliveries)).all()) == 2
    assert purge(ledger) == Purged(0, 0, 0)


def test_what_is_exactly_as_old_as_its_retention_stays(ledger: Ledger) -> None:
    edition(ledger, EDITIONS_BEFORE, State.SENT)
    edition(ledger, MESSAGES_BEFORE, State.SENT)
    edition(ledger, LAST, State.SENT)

    assert purge(ledger) == Purged(0, 1, len(f"leads {EDITIONS_BEFORE} ana"))
    assert f"leads {MESSAGES_BEFORE} ana" in kept(ledger)
    with pytest.raises(
        LedgerError, match=r"no longer has the content.*its hash is all that is left"
    ):
        ledger.message(ledger.deliveries("leads", EDITIONS_BEFORE)[0])


@pytest.mark.parametrize("state", State)
def test_only_what_is_settled_goes(ledger: Ledger, state: State) -> None:
    edition(ledger, OLD, state)
    edition(ledger, LAST, State.SENT)

    purged = purge(ledger)

    settled = state in (State.SENT, State.REFUSED, State.EXPIRED, State.CANCELLED)
    assert purged.editions == (1 if settled else 0)
    assert ("leads 2025-01-06 ana" in kept(ledger)) is not settled
    assert (ledger.run("leads", OLD) is None) is settled


def test_what_was_purged_is_never_sent_again(ledger: Ledger) -> None:
    edition(ledger, OLD, State.SENT)
    edition(ledger, LAST, State.SENT)
    purge(ledger)

    with pytest.raises(LedgerError, match="edition of 2025-01-06 may have been sent"):
        ledger.open_run("leads", OLD)
    with pytest.raises(LedgerError, match="edition of 2024-12-30 may have been sent"):
        ledger.open_run("leads", date(2024, 12, 30))
    assert ledger.open_run("leads", date(2025, 1, 7)).state is RunState.PLANNED
    assert ledger.open_run("other", OLD).state is RunState.PLANNED


def test_the_last_edition_sent_stays_however_old(ledger: Ledger) -> None:
    edition(ledger, OLD, State.SENT)

    assert purge(ledger).editions == 0
    assert ledger.last_sent("leads") == OLD
    assert ledger.previous_edition("leads", TODAY) == "leads 2025-01-06"


def test_other_digests_keep_theirs(ledger: Ledger) -> None:
    for digest in ("leads", "other"):
        edition(ledger, OLD, State.SENT, digest)
        edition(ledger, LAST, State.SENT, digest)
    purge(ledger)

    assert {"other 2025-01-06", "other 2025-01-06 ana"} <= kept(ledger)
    assert ledger.open_run("other", OLD).edition is not None


def test_what_shares_its_bytes_with_something_kept_keeps_them(ledger: Ledger) -> None:
    shared = Planned(key_of(LATER), "mail", "ana@team.example", b"shared")
    also = Planned(key_of(LAST), "mail", "ana@team.example", b"shared")
    planned(ledger, LATER, shared)
    sent(ledger, shared.key)
    planned(ledger, LAST, also)
    purge(ledger)

    assert "shared" in kept(ledger)


@pytest.mark.parametrize("state", [State.EXPIRED, State.CANCELLED])
def test_what_lost_its_bytes_does_not_wait_again(ledger: Ledger, state: State) -> None:
    edition(ledger, LATER, state)
    edition(ledger, LAST, State.SENT)
    purge(ledger)

    assert ledger.reopen("leads", LATER) == 0
    assert ledger.restore("leads", LATER, (key_of(LATER),)) == 0


def test_a_file_becomes_smaller(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    ledger = a_ledger(path, Clock())
    big = Planned(key_of(LATER), "mail", "ana@team.example", bytes(2_000_000))
    planned(ledger, LATER, big)
    sent(ledger, big.key)
    edition(ledger, LAST, State.SENT)
    before = path.stat().st_size

    assert purge(ledger).size == 2_000_000
    assert path.stat().st_size < before - 1_900_000


def test_a_file_in_use_is_compacted_another_time(tmp_path: Path) -> None:
    import sqlite3

    path = tmp_path / "ledger.db"
    ledger = a_ledger(path, Clock(), busy_seconds=0.1)
    edition(ledger, LATER, State.SENT)
    edition(ledger, LAST, State.SENT)
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM meta").fetchone()
        with pytest.raises(LedgerError, match="in use by another process"):
            ledger._backend.compact()


# ------------------------------------------------------------------------------------ the command


def history(folder: Path, *arguments: str) -> tuple[int, str]:
    from click.testing import CliRunner

    from digest.cli import World, cli

    world = World(clock=Clock(), environment={})
    done = CliRunner().invoke(cli, ["history", str(folder / "digest.toml"), *arguments], obj=world)
    return done.exit_code, done.output


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "digest.toml").write_text(CONFIG)
    return tmp_path


def test_the_command_says_what_it_removed(folder: Path) -> None:
    assert history(folder, "--purge")[1].startswith("nothing sent yet")
    ledger = open_ledger(folder / "ledger.db", clock=Clock(), owner=HERE)
    for day in (OLD, LATER, LAST):
        edition(ledger, day, State.SENT)

    code, said = history(folder, "--purge")
    assert code == 0
    assert "removed editions before 2025-03-03: 1; contents nobody needs" in said
    assert "with messages before 2026-03-24: 3 (0.0 MB); what is unsettled stays" in said


def test_the_very_bytes_can_be_exported(folder: Path) -> None:
    ledger = open_ledger(folder / "ledger.db", clock=Clock(), owner=HERE)
    ledger.open_run("leads", LAST)
    ledger.freeze_edition("leads", LAST, '{"a": "é"}')
    rows = (
        Planned(key_of(LAST), "mail", "ana@team.example", b"From: x\r\n\r\nhello\r\n"),
        Planned("leads/2026-04-02/slack/#le/ads", "slack", "#le/ads", b'{"text": "hello"}'),
    )
    ledger.plan("leads", LAST, rows)
    ledger.open_run("leads", LAST, correction=1)
    ledger.freeze_edition("leads", LAST, '{"a": "corrected"}', correction=1)
    out = folder / "out"

    code, said = history(folder, "--date", str(LAST), "--export", str(out))

    assert code == 0
    files = sorted(out.iterdir())
    assert sorted(said.split()) == [str(file) for file in files]
    assert {file.read_bytes() for file in files} == {
        '{"a": "é"}'.encode(),
        b'{"a": "corrected"}',
        b"From: x\r\n\r\nhello\r\n",
        b'{"text": "hello"}',
    }
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)
    assert [file.suffix for file in files] == [".json", ".eml", ".json", ".json"]
    assert not any("ana@" in file.name for file in files)
    assert history(folder, "--date", str(LAST), "--export", str(out))[0] == 0


def test_an_export_says_what_it_cannot_give(folder: Path) -> None:
    ledger = open_ledger(folder / "ledger.db", clock=Clock(), owner=HERE)
    edition(ledger, LATER, State.SENT)
    edition(ledger, LAST, State.SENT)
    purge(ledger)

    said = history(folder, "--date", str(LATER), "--export", str(folder / "out"))[1]
    assert "mail an…@team.example: its bytes were purged" in said
    assert history(folder, "--export", str(folder / "out"))[0] == 2
    assert history(folder, "--date", str(OLD), "--export", str(folder / "out"))[0] == 2
    (folder / "file").write_text("")
    code, said = history(folder, "--date", str(LAST), "--export", str(folder / "file" / "x"))
    assert code == 2
    assert "cannot be written" in said


def test_an_export_does_not_write_through_a_link(folder: Path) -> None:
    ledger = open_ledger(folder / "ledger.db", clock=Clock(), owner=HERE)
    edition(ledger, LAST, State.SENT)
    out, victim = folder / "out", folder / "victim"
    out.mkdir()
    victim.write_text("mine")
    (out / "leads-2026-04-02-edition.json").symlink_to(victim)
    history(folder, "--date", str(LAST), "--export", str(out))

    assert victim.read_text() == "mine"
    assert (out / "leads-2026-04-02-edition.json").read_text() == "leads 2026-04-02"


def test_history_shows_each_attempt(folder: Path) -> None:
    clock = Clock()
    ledger = open_ledger(folder / "ledger.db", clock=clock, owner=HERE, gone=lambda _: False)
    planned(ledger, LAST, row_of(LAST))
    claim = ledger.claim(key_of(LAST))
    assert claim is not None
    clock.forward(seconds=2)
    ledger.record(claim, State.DEFERRED, "450 greylisted", next_at=clock())
    clock.forward(minutes=5)
    ledger.claim(key_of(LAST))

    said = history(folder, "--date", str(LAST))[1]

    assert "        07:31:00-07:31:02 host-a  deferred: 450 greylisted\n" in said
    assert "        07:36:02 host-a  at work\n" in said
    assert '"began_at": "2026-04-07T07:36:02+02:00"' in history(folder, "--format", "json")[1]

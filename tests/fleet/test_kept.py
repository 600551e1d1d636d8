"""A process that keeps its connections to the ledger: as safe as one that opens each anew."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import event

from digest.errors import LedgerError
from digest.ledger import (
    Planned,
    Postgres,
    RunState,
    _look_once,
    delivery_key,
    open_ledger,
    postgres,
    read_ledger,
)
from digest.ledger.backend import Lock
from digest.ledger.seal import parts_of, read_seal
from digest.ledger.store import Ledger
from tests.delivery.scene import Clock, Sender, run_in
from tests.delivery.test_delivery import Outbox
from tests.fleet.scene import utc_now

DAY = date(2026, 6, 15)


@pytest.fixture
def kept(pg: Postgres) -> Iterator[Postgres]:
    """A place as a process sees it that has just begun."""
    _look_once.cache_clear()
    place = replace(pg, connections=4)
    yield place
    postgres._kept_engine(place).dispose()


def opened(place: Postgres, pin: Path | None = None) -> Ledger:
    return open_ledger(place, clock=utc_now, pin=pin)


def let_go(ledger: Ledger, digest: str) -> None:
    """Let one message go, as a send does."""
    key = delivery_key(digest, DAY, "smtp", f"{digest}@team.example")
    ledger.open_run(digest, DAY)
    ledger.plan(digest, DAY, [Planned(key, "smtp", f"{digest}@team.example", b"hello")])
    claim = ledger.claim(key)
    assert claim is not None
    assert ledger.commit(claim)


def test_a_kept_session_has_the_limits_of_a_transaction(kept: Postgres) -> None:
    settings = ("search_path", "lock_timeout", "statement_timeout", "synchronous_commit")
    found = []
    for place in (kept, replace(kept, connections=0)):
        with opened(place).transaction() as connection:
            found.append(
                [connection.exec_driver_sql(f"SHOW {name}").scalar_one() for name in settings]
            )

    assert found[0] == found[1] == ["sla_digest", "30s", "1min", "on"]


def test_a_reader_cannot_write_on_a_kept_connection_either(kept: Postgres) -> None:
    opened(kept)
    reader = read_ledger(kept)
    assert reader is not None

    with pytest.raises(LedgerError, match="cannot be written"), reader.transaction() as connection:
        connection.exec_driver_sql("DELETE FROM runs")


def test_of_one_digest_there_is_one_writer_and_of_two_there_are_two(kept: Postgres) -> None:
    ledger = opened(kept)

    def at_once(first: Lock | str, second: Lock | str) -> bool:
        """Whether a second writer gets in while the first is at work."""
        entered = threading.Event()

        def enter() -> None:
            with ledger.change(second):
                entered.set()

        with ledger.change(first):
            other = threading.Thread(target=enter)
            other.start()
            got_in = entered.wait(0.3)
        other.join(10)
        assert entered.is_set()
        return got_in

    assert at_once("anna", "bert")
    assert at_once(Lock.SOME, "bert")
    assert at_once("anna", Lock.NONE)
    assert not at_once("anna", "anna")
    assert not at_once("anna", Lock.ALL)
    assert not at_once(Lock.ALL, "anna")
    assert not at_once(Lock.ALL, Lock.SOME)


def test_messages_of_many_digests_at_once_are_counted_one_by_one(
    kept: Postgres, tmp_path: Path
) -> None:
    pin = tmp_path / ".ledger.id"
    ledger = opened(kept, pin)
    many = [threading.Thread(target=let_go, args=(ledger, f"c{n}")) for n in range(20)]
    for one in many:
        one.start()
    for one in many:
        one.join()

    seal = read_seal(pin.with_suffix(".seal"))
    ((commits,),) = run_in(kept, "SELECT value FROM sla_digest.meta WHERE key = 'commits'")
    assert commits == "20"
    assert seal is not None
    assert (seal.commits, len(seal.newest)) == (20, 20)
    assert len([*parts_of(pin).iterdir()]) > 1


def test_an_older_copy_of_the_ledger_is_refused_by_a_process_that_begins(
    kept: Postgres, tmp_path: Path
) -> None:
    pin = tmp_path / ".ledger.id"
    let_go(opened(kept, pin), "anna")
    run_in(kept, "UPDATE sla_digest.meta SET value = '0' WHERE key = 'commits' RETURNING 1")

    with pytest.raises(LedgerError, match="older than its seal"):
        open_ledger(replace(kept, connections=0), clock=utc_now, pin=pin)


def test_the_first_connection_that_was_cut_costs_one_transaction(kept: Postgres) -> None:
    ledger = opened(kept)
    ledger.open_run("anna", DAY)
    run_in(
        kept,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )

    attempts: list[Callable[[], object]] = [lambda: ledger.run("anna", DAY)] * 2
    with pytest.raises(LedgerError) as caught:
        attempts[0]()
    assert caught.value.exit_code == 3
    run = attempts[1]()
    assert getattr(run, "state", None) is RunState.PLANNED


def test_an_edition_for_three_is_so_many_statements(kept: Postgres) -> None:
    """Each takes processor time on both sides, which decides how many editions a host can serve."""
    outbox = Outbox()
    sender = Sender(opened(kept), Clock(utc_now()), {"mail": outbox})
    sender.send(digest_id="another")  # the first one of a ledger and of a process costs some more
    said: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        said.append(statement)

    engine = postgres._kept_engine(kept)
    event.listen(engine, "before_cursor_execute", note)
    try:
        assert sender.send().exit_code == 0
    finally:
        event.remove(engine, "before_cursor_execute", note)

    assert len(outbox.sent) == 6
    begun = [one for one in said if "BEGIN" in one]
    assert (len(begun), len(said) - len(begun)) == (13, 35)

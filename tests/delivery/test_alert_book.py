"""What was told and pinged is remembered once, on every kind of ledger."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from digest.errors import LedgerError
from digest.ledger import Place, open_ledger
from digest.ledger.alerts import TELLING_LEASE, AlertBook, book_beside, book_in_ledger
from digest.ledger.notes import Noted
from tests.delivery.scene import TODAY, Clock, fork

ONE = Noted("leads", "source_auth", TODAY, "", "{}")
OTHER = replace(ONE, cause="unknown", about="leads/2026-04-07/smtp/ana@team.example")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def book(place: Place, clock: Clock) -> AlertBook:
    open_ledger(place, clock=clock)
    found = book_in_ledger(place, clock=clock, pin=None)
    assert found is not None
    return found


def test_no_alert_creates_a_ledger(place: Place, clock: Clock) -> None:
    assert book_in_ledger(place, clock=clock, pin=None) is None


def test_a_file_that_cannot_be_made_is_named(tmp_path: Path, clock: Clock) -> None:
    with pytest.raises(LedgerError, match=r"gone/\.alerts\.sqlite cannot be written"):
        book_beside(tmp_path / "gone" / ".alerts.sqlite", clock=clock)


def test_an_alert_is_ours_once_and_another_one_is_another(book: AlertBook) -> None:
    assert book.claim([ONE]) == (ONE,)
    assert book.claim([ONE, OTHER]) == (OTHER,)
    assert book.claim([replace(ONE, business_date=date(2026, 4, 8))]) != ()
    assert book.claim([replace(ONE, digest="other")]) != ()


def test_what_was_told_is_never_ours_again(book: AlertBook, clock: Clock) -> None:
    book.claim([ONE])
    book.told([ONE], "email")
    clock.forward(days=1)

    assert book.claim([ONE]) == ()
    assert book.standing("leads") == (replace(ONE, told=True),)


def test_what_nobody_took_is_free_at_once_and_what_somebody_is_telling_after_his_lease(
    book: AlertBook, clock: Clock
) -> None:
    book.claim([ONE, OTHER])
    book.untold([ONE])
    assert book.claim([ONE, OTHER]) == (ONE,)

    clock.now += TELLING_LEASE - timedelta(seconds=1)
    assert book.claim([OTHER]) == ()
    clock.forward(seconds=1)
    assert book.claim([OTHER]) == (OTHER,)


def test_a_cause_ends_once(book: AlertBook) -> None:
    book.claim([ONE, OTHER])

    assert book.end([ONE]) == (ONE,)
    assert book.end([ONE]) == ()
    assert book.standing("leads") == (OTHER,)
    assert book.claim([ONE]) == (), "over for this day, so not told again"


def test_a_ping_is_sent_once_a_day_unless_it_did_not_get_through(book: AlertBook) -> None:
    assert book.ping("leads", TODAY, "start")
    assert not book.ping("leads", TODAY, "start")
    assert book.ping("leads", TODAY, "success")
    assert book.ping("leads", date(2026, 4, 8), "start")
    book.unping("leads", TODAY, "start")
    assert book.ping("leads", TODAY, "start")


def test_what_is_older_than_four_hundred_days_goes(book: AlertBook, clock: Clock) -> None:
    book.claim([ONE])
    clock.forward(days=401)
    book.claim([OTHER])

    assert book.standing("leads") == (OTHER,)


def test_four_processes_claim_an_alert_once(place: Place, book: AlertBook) -> None:
    del book  # it has made the ledger

    def one_process() -> int:
        child = fork()
        if not child:
            code = 9
            try:
                mine = book_in_ledger(place, clock=Clock(), pin=None)
                code = len(mine.claim([ONE, OTHER])) if mine else 9
            finally:
                os._exit(code)
        return child

    children = [one_process() for _ in range(4)]
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]

    assert sum(codes) == 2


def test_a_ledger_that_lacks_the_tables_says_so(
    place: Place, book: AlertBook, clock: Clock
) -> None:
    with open_ledger(place, clock=clock).transaction() as connection:
        connection.exec_driver_sql("DROP TABLE alerts")

    with pytest.raises(LedgerError, match="alerts cannot be remembered"):
        book.claim([ONE])

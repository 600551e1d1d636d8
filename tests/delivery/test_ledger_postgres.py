"""What only PostgreSQL can do to a ledger: be far away, closed, somebody else's, or of another time."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.exc import DBAPIError

from digest.errors import LedgerError
from digest.ledger import Postgres, new_ledger, open_ledger, read_ledger
from digest.ledger.postgres import SCHEMA, explained
from digest.ledger.store import CLAIM_LEASE
from digest.model import Secret
from tests.delivery.scene import HERE, THERE, TODAY, Clock, a_ledger, run_in
from tests.delivery.test_ledger import KEY, planned


def as_role(pg: Postgres, role: str) -> Postgres:
    """The same database for a role that owns nothing."""
    make = (
        f"DO $$ BEGIN CREATE ROLE {role} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
    )
    run_in(pg, make)
    return Postgres(pg.url.replace("postgres@", f"{role}@"))


def refused(place: Postgres, message: str, pin: Path | None = None) -> int:
    with pytest.raises(LedgerError, match=message) as raised:
        open_ledger(place, clock=Clock(), owner=HERE, pin=pin, busy_seconds=0.2)
    assert "planted" not in str(raised.value)
    return raised.value.exit_code


@pytest.fixture
def closed_port() -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        yield probe.getsockname()[1]


def test_a_server_that_is_not_there_can_pass(closed_port: int) -> None:
    place = Postgres(f"postgresql://digest@127.0.0.1:{closed_port}/ledger", Secret("planted-9"))

    assert refused(place, r"ledger postgresql://127\.0\.0\.1:\d+/ledger cannot be reached") == 3


def test_a_server_that_hangs_up_while_connecting_can_pass() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            listener.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        place = Postgres(f"postgresql://digest@127.0.0.1:{listener.getsockname()[1]}/l")

        assert refused(place, "cannot be reached") == 3
        thread.join()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("postgres@", "nobody@"), "did not let us in"),
        (("/ledgers", "/nowhere"), "is missing"),
        (("?host", "?sslmode=planted-9&host"), "cannot be reached"),
        (("?host", "?port=x&host"), "cannot be reached"),
    ],
    ids=["role", "database", "sslmode", "port"],
)
def test_a_wrong_address_has_to_be_mended(
    pg: Postgres, change: tuple[str, str], message: str
) -> None:
    place = Postgres(pg.url.replace(*change), Secret("planted-9"))

    assert refused(place, message) == 2


def test_a_role_without_rights_is_named_before_and_while_sending(pg: Postgres) -> None:
    guest = as_role(pg, "ledger_guest")

    assert refused(guest, "does not let the role in") == 2
    with pytest.raises(LedgerError, match="does not let the role ledger_guest make tables"):
        new_ledger(guest)
    run_in(pg, f"CREATE SCHEMA {SCHEMA}")
    with pytest.raises(LedgerError, match="let an administrator run: CREATE SCHEMA"):
        new_ledger(guest)
    run_in(pg, f"GRANT USAGE, CREATE ON SCHEMA {SCHEMA} TO ledger_guest")
    assert new_ledger(guest).startswith("will be created by the first send; PostgreSQL ")
    assert open_ledger(guest, clock=Clock(), owner=HERE).runs() == ()
    run_in(pg, f"DROP SCHEMA {SCHEMA} CASCADE")


def test_a_ledger_that_another_role_may_not_touch_is_refused(pg: Postgres) -> None:
    a_ledger(pg, Clock())
    guest = as_role(pg, "ledger_guest")

    assert refused(guest, "does not let the role in") == 2
    with pytest.raises(LedgerError, match="does not let the role in"):
        read_ledger(guest)


def test_a_database_that_can_only_be_read_is_refused(pg: Postgres) -> None:
    a_ledger(pg, Clock())
    readonly = Postgres(pg.url + "&options=-c%20default_transaction_read_only%3Don")

    with pytest.raises(LedgerError, match="cannot be written") as raised:
        open_ledger(readonly, clock=Clock(), owner=HERE).open_run("leads", TODAY)
    assert raised.value.exit_code == 2
    assert read_ledger(readonly) is not None
    with pytest.raises(LedgerError, match="can only be read; name the primary"):
        new_ledger(readonly)


def test_a_driver_that_is_missing_is_named() -> None:
    name = "psycopg"
    absent = sys.modules[name]
    sys.modules[name] = None  # type: ignore[assignment] # how Python marks a module as not importable
    try:
        code = refused(Postgres("postgresql://digest@db.example/l"), r"pip install .*\[postgres\]")
    finally:
        sys.modules[name] = absent

    assert code == 2


@pytest.mark.parametrize(
    ("statements", "message"),
    [
        ((f"DROP SCHEMA {SCHEMA} CASCADE",), "is missing although it was used before"),
        (
            (f"DROP SCHEMA {SCHEMA} CASCADE", f"CREATE SCHEMA {SCHEMA}"),
            "is missing although it was used before",
        ),
        (
            (
                f"DROP SCHEMA {SCHEMA} CASCADE",
                f"CREATE SCHEMA {SCHEMA}",
                f"CREATE TABLE {SCHEMA}.orders (id int)",
            ),
            "is a database of another program",
        ),
        ((f"DROP TABLE {SCHEMA}.meta",), "is a database of another program"),
        (
            (f"ALTER TABLE {SCHEMA}.meta RENAME value TO worth",),
            "is a database of another program",
        ),
        (
            (f"UPDATE {SCHEMA}.meta SET value = '99' WHERE key = 'schema_version'",),
            r"written by a newer version \(schema 99, this is \d\)",
        ),
        (
            (f"UPDATE {SCHEMA}.meta SET value = 'other' WHERE key = 'instance_id'",),
            "is not the one used before",
        ),
    ],
    ids=["missing", "emptied", "foreign", "without meta", "foreign meta", "newer", "exchanged"],
)
@pytest.mark.failure("P6")
@pytest.mark.failure("P8")
def test_a_database_that_cannot_be_trusted_is_refused_and_told_apart(
    pg: Postgres, tmp_path: Path, statements: tuple[str, ...], message: str
) -> None:
    pin = tmp_path / "pin"
    open_ledger(pg, clock=Clock(), owner=HERE, pin=pin)
    run_in(pg, *statements)

    assert refused(pg, message, pin) == 2


def test_a_ledger_is_found_again(pg: Postgres, tmp_path: Path) -> None:
    pin = tmp_path / "pin"
    planned(open_ledger(pg, clock=Clock(), owner=HERE, pin=pin))

    again = open_ledger(pg, clock=Clock(), owner=THERE, pin=pin)

    assert again.edition("leads", TODAY) == "edition of 2026-04-07"
    assert again.describe().endswith(f"schema {SCHEMA}; several hosts may share it")
    again._backend.compact()


@pytest.mark.failure("P7")
def test_a_ledger_that_another_process_writes_can_pass(pg: Postgres) -> None:
    quick = open_ledger(pg, clock=Clock(), owner=HERE, busy_seconds=0.2)
    other = open_ledger(pg, clock=Clock(), owner=THERE)
    with other._transaction(), pytest.raises(LedgerError, match="in use by another") as raised:
        quick.open_run("leads", TODAY)

    assert raised.value.exit_code == 3
    assert quick.open_run("leads", TODAY).digest == "leads"


def test_a_kept_connection_that_has_waited_in_vain_serves_on(pg: Postgres) -> None:
    quick = open_ledger(pg, clock=Clock(), owner=HERE, busy_seconds=0.2)
    other = open_ledger(pg, clock=Clock(), owner=THERE)
    with quick.connected():
        with other._transaction(), pytest.raises(LedgerError, match="in use by another"):
            quick.open_run("leads", TODAY)

        assert quick.open_run("leads", TODAY).digest == "leads"
    assert other.run("leads", TODAY) is not None


@pytest.mark.failure("T7")
def test_a_lease_is_compared_with_the_clock_of_the_server(pg: Postgres) -> None:
    """A host whose clock is an hour fast neither takes a lease away nor holds one too long."""
    right, fast = Clock(), Clock()
    fast.forward(hours=1)
    mine = open_ledger(pg, clock=right, owner=HERE, gone=lambda _: False)
    theirs = open_ledger(pg, clock=fast, owner=THERE, gone=lambda _: False)
    planned(mine)
    claim = mine.claim(KEY)
    assert claim is not None

    assert theirs.recover() == ()
    row = mine.delivery(KEY)
    assert row is not None
    assert row.lease_until is not None
    (now,) = run_in(pg, "SELECT clock_timestamp()")[0]
    assert timedelta() < row.lease_until - now <= CLAIM_LEASE
    assert mine.commit(claim)


@pytest.mark.parametrize("ended", [True, False])
def test_a_kept_connection_that_the_server_has_ended_is_made_anew(
    pg: Postgres, *, ended: bool
) -> None:
    ledger = planned(a_ledger(pg, Clock()))
    with ledger.connected():
        with ledger._transaction() as connection:
            (mine,) = connection.exec_driver_sql("SELECT pg_backend_pid()").one()
        if ended:
            run_in(pg, f"SELECT pg_terminate_backend({mine}, 5000)")

        claim = ledger.claim(KEY)

        assert claim is not None
        assert ledger.commit(claim)
        with ledger._transaction() as connection:
            (later,) = connection.exec_driver_sql("SELECT pg_backend_pid()").one()
    assert (later == mine) is not ended


def test_a_commit_is_on_disk_before_it_counts(pg: Postgres) -> None:
    run_in(pg, "ALTER DATABASE ledgers SET synchronous_commit TO off")
    try:
        with a_ledger(pg, Clock())._transaction() as connection:
            shown = connection.exec_driver_sql("SHOW synchronous_commit").scalar_one()
            waits = connection.exec_driver_sql("SHOW lock_timeout").scalar_one()
    finally:
        run_in(pg, "ALTER DATABASE ledgers RESET synchronous_commit")

    assert (shown, waits) == ("on", "30s")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (psycopg.errors.DiskFull, 3),
        (psycopg.errors.TooManyConnections, 3),
        (psycopg.errors.AdminShutdown, 3),
        (psycopg.errors.QueryCanceled, 3),
        (psycopg.errors.IdleInTransactionSessionTimeout, 3),
        (psycopg.errors.SerializationFailure, 3),
        (psycopg.errors.DataCorrupted, 2),
        (psycopg.errors.InvalidPassword, 2),
    ],
)
@pytest.mark.failure("P4")
def test_what_the_server_says_is_put_into_words(error: type[psycopg.Error], code: int) -> None:
    with pytest.raises(LedgerError) as raised, explained("ledger x", ("planted",)):
        raise DBAPIError("SELECT", {}, error("it is so because planted"))

    assert raised.value.exit_code == code
    assert str(raised.value).startswith("ledger x ")
    assert "planted" not in str(raised.value)


def test_a_bug_in_a_statement_is_not_dressed_up(pg: Postgres) -> None:
    with pytest.raises(DBAPIError, match="no_such"), a_ledger(pg, Clock())._transaction() as one:
        one.exec_driver_sql("SELECT no_such")

"""Asked to end while the relay does not answer: a short wait for the answer, then an honest unknown."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from digest.cli import World, cli
from digest.ledger import State, open_ledger
from tests.delivery.test_kill import in_a_child
from tests.fakes.smtp import Fault, SmtpServer, running
from tests.test_compose import CONFIG

MONDAY = date(2026, 6, 15)
NOW = datetime(2026, 6, 15, 6, tzinfo=UTC)
RELAY = """\
[channels.smtp]
host = "127.0.0.1"
port = {port}
security = "none"
sender = "Leads <digest@sender.example>"
recipients = ["ana@company.example", "ben@company.example"]
"""

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


def a_config(folder: Path, port: int) -> Path:
    with closing(sqlite3.connect(folder / "crm.sqlite")) as crm, crm:
        crm.execute("CREATE TABLE leads (day DATE, region TEXT)")
        days = [str(date(2026, 6, 1) + timedelta(n)) for n in range(12)]
        crm.executemany("INSERT INTO leads VALUES (?, 'DACH')", [(day,) for day in days])
    config = folder / "digest.toml"
    config.write_text(CONFIG.partition("[channels")[0] + RELAY.format(port=port))
    return config


def send(config: Path, grace: float) -> int:
    world = World(clock=lambda: NOW, environment={}, grace_seconds=grace)
    return CliRunner().invoke(cli, ["send", str(config)], obj=world).exit_code


def asked_to_end(config: Path, relay: SmtpServer, *, grace: float, delay: float) -> int:
    """Send in a child, ask it to end once the relay has the first mail; return its exit code."""
    child = in_a_child(lambda: os._exit(send(config, grace)))
    until = time.monotonic() + 30
    while not relay.accepted and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(delay)
    os.kill(child, signal.SIGTERM)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def states(config: Path) -> list[State]:
    ledger = open_ledger(config.parent / "ledger.sqlite", clock=lambda: NOW)
    ledger.recover()
    return [row.state for row in ledger.deliveries("leads", MONDAY)]


@pytest.mark.failure("P2")
def test_a_relay_that_does_not_answer_is_left_after_the_grace_and_never_asked_again(
    tmp_path: Path,
) -> None:
    with running(SmtpServer(faults=[Fault("reply", "hang", times=1)])) as relay:
        config = a_config(tmp_path, relay.port)
        code = asked_to_end(config, relay, grace=0.3, delay=0)
        assert (code, states(config)) == (4, [State.UNKNOWN, State.PENDING])

        assert send(config, 30) == 5

    assert sorted(mail.recipient for mail in relay.accepted) == [
        "ana@company.example",
        "ben@company.example",
    ]


@pytest.mark.failure("P2")
def test_an_answer_within_the_grace_still_counts(tmp_path: Path) -> None:
    with running(SmtpServer(reply_delay=1.0)) as relay:
        config = a_config(tmp_path, relay.port)
        code = asked_to_end(config, relay, grace=30, delay=0)

        assert (code, states(config)) == (4, [State.SENT, State.PENDING])
        assert len(relay.accepted) == 1
        assert send(config, 30) == 0

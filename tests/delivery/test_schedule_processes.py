"""`digest schedule` with real processes: it sends through a real conversation and ends when asked to."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from digest.ledger import RunState, State, read_ledger
from tests.fakes.smtp import Fault, SmtpServer, running
from tests.test_compose import CONFIG

PATIENCE = 60.0  # seconds for what takes a second or two on a machine that is not busy


def noon() -> tuple[str, str]:
    """Return a zone where it is about noon now, and the date there: the day is open for long."""
    now = datetime.now(UTC)  # noqa: TID251 - real processes need the real clock
    ahead = 12 - now.hour
    # The names count westwards: Etc/GMT-2 is two hours ahead.
    return f"Etc/GMT{-ahead:+}" if ahead else "Etc/GMT", f"{now + timedelta(hours=ahead):%Y-%m-%d}"


def a_digest(folder: Path, name: str, port: int, recipients: tuple[str, ...]) -> Path:
    zone, today = noon()
    text = CONFIG[: CONFIG.index("[channels.file]")]
    text = text.replace('id = "leads"', f'id = "{name}"\ntimezone = "{zone}"')
    text = text.replace(
        "[sla]",
        f'workweek = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]\nremove = [{today}]\n'
        '[schedule]\nsend_at = "00:01"\nsend_until = "23:58"\n[sla]',
    )
    path = folder / f"{name}.toml"
    path.write_text(
        f'{text}[channels.smtp]\nhost = "127.0.0.1"\nport = {port}\nsecurity = "none"\n'
        f'sender = "digest@firm.example"\nrecipients = {list(recipients)}\n'
    )
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    zone_day = noon()[1]
    first = datetime.fromisoformat(zone_day).date() - timedelta(days=400)
    rows = [(str(first + timedelta(n)), "DACH") for n in range(400)]
    with closing(sqlite3.connect(tmp_path / "crm.sqlite")) as crm, crm:
        crm.execute("CREATE TABLE leads (day DATE, region TEXT)")
        crm.executemany("INSERT INTO leads VALUES (?, ?)", rows)
    return tmp_path


@contextmanager
def a_schedule(folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-P", "-m", "digest", "schedule", str(folder), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(what: Callable[[], object]) -> None:
    until = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.05)


def children_of(process: subprocess.Popen[str]) -> list[int]:
    text = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(one) for one in text.split()]


def states(folder: Path, name: str) -> set[State]:
    day = datetime.fromisoformat(noon()[1]).date()
    reader = read_ledger(folder / "ledger.sqlite")
    return {one.state for one in reader.deliveries(name, day)} if reader else set()


@pytest.mark.e2e
@pytest.mark.failure("T7")
def test_two_schedules_send_each_edition_once_and_end_when_asked_to(folder: Path) -> None:
    team = ("ana@firm.example", "bo@firm.example")
    with running(SmtpServer()) as relay:
        for name in ("a", "b", "c"):
            a_digest(folder, name, relay.port, team)
        (folder / "broken.toml").write_text("nonsense = 1\n")
        with a_schedule(folder, "--jobs", "2") as first, a_schedule(folder) as second:
            wait_for(lambda: len(relay.accepted) >= 6)
            wait_for(lambda: not children_of(first) and not children_of(second))
            for process in (first, second):
                process.send_signal(signal.SIGTERM)
            said = [process.communicate(timeout=PATIENCE)[0] for process in (first, second)]

    assert (first.returncode, second.returncode) == (0, 0), said
    received = sorted((mail.recipient, mail.content.count(b"Subject:")) for mail in relay.accepted)
    assert [recipient for recipient, _ in received] == sorted([*team] * 3)
    day = datetime.fromisoformat(noon()[1]).date()
    reader = read_ledger(folder / "ledger.sqlite")
    assert reader
    assert {reader.run(name, day).state for name in "abc"} == {RunState.DONE}  # type: ignore[union-attr] # all ran
    assert all(text.count("broken.toml: not sent until it is mended") == 1 for text in said)
    assert any("is at work; this one waits" in text for text in said)


@pytest.mark.e2e
def test_asked_to_end_it_lets_the_message_on_its_way_arrive_and_starts_no_other(
    folder: Path,
) -> None:
    team = tuple(f"r{n}@firm.example" for n in range(20))
    with running(SmtpServer(reply_delay=0.5)) as relay:
        a_digest(folder, "a", relay.port, team)
        with a_schedule(folder) as process:
            wait_for(lambda: relay.accepted)
            process.send_signal(signal.SIGTERM)
            said, _ = process.communicate(timeout=PATIENCE)

    assert process.returncode == 0, said
    assert 0 < len(relay.accepted) < 20
    # Each that arrived is known to have arrived, the others wait for the next schedule.
    assert states(folder, "a") == {State.SENT, State.PENDING}


@pytest.mark.e2e
def test_a_child_killed_in_mid_batch_is_replaced_and_nobody_gets_two(folder: Path) -> None:
    faults = [Fault("DATA", "hang", times=1)]
    with running(SmtpServer(faults=faults)) as relay:
        for name in ("a", "b"):
            a_digest(folder, name, relay.port, (f"{name}@firm.example",))
        with a_schedule(folder, "--jobs", "1") as process:
            wait_for(lambda: relay.count("DATA"))
            (child,) = children_of(process)
            os.kill(child, signal.SIGKILL)
            # The next offer comes after a minute: look at what the ledger and the line say meanwhile.
            wait_for(lambda: not children_of(process))
            time.sleep(1.5)
            process.send_signal(signal.SIGTERM)
            said, _ = process.communicate(timeout=PATIENCE)
        assert "ended with -9" in said
        assert relay.accepted == []
        with a_schedule(folder, "--jobs", "1") as process:
            wait_for(lambda: len(relay.accepted) == 2)
            wait_for(lambda: not children_of(process))
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=PATIENCE)

    assert sorted(mail.recipient for mail in relay.accepted) == [
        "a@firm.example",
        "b@firm.example",
    ]
    assert states(folder, "a") | states(folder, "b") == {State.SENT}

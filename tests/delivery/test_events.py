"""What a journal may hear of a delivery: one word for each commit."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from digest import delivery
from digest.ledger import Delivery
from digest.model import Secret
from tests.delivery.scene import START, TEAM, THERE, Clock, Sender, a_ledger, a_relay
from tests.fakes.smtp import Fault, SmtpServer, running


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_journal_hears_each_commit_with_the_delivery_as_it_is_then(
    tmp_path: Path, clock: Clock
) -> None:
    heard: list[tuple[str, str, str, int]] = []
    noted: dict[str, tuple[str | None, datetime | None]] = {}

    def hear(event: str, row: Delivery | None) -> None:
        assert event in delivery.EVENTS
        if row:
            noted[event] = (row.note, row.next_at)
        heard.append(
            (event, *((row.recipient, str(row.state), row.attempts) if row else ("", "", 0)))
        )

    faults = (Fault("RCPT", "550 no such user", TEAM[0]), Fault("RCPT", "450 later", TEAM[1]))
    with running(SmtpServer(faults=faults)) as relay:
        ledger = a_ledger(tmp_path / "ledger.db", clock)
        sender = Sender(ledger, clock, {"mail": a_relay(relay.port)})
        sender.send(hear=hear)

    assert heard == [
        ("planned", "", "", 0),
        ("collected", "", "", 0),
        ("rendered", "", "", 0),
        ("claimed", TEAM[0], "claimed", 1),
        ("refused", TEAM[0], "refused", 1),
        ("claimed", TEAM[1], "claimed", 1),
        ("deferred", TEAM[1], "deferred", 1),
        ("claimed", TEAM[2], "claimed", 1),
        ("committing", TEAM[2], "committing", 1),
        ("sent", TEAM[2], "sent", 1),
    ]
    assert noted["sent"] == ("250 2.0.0 queued for cl…@team.example", None)
    said, again = noted["deferred"]
    assert said is not None
    assert said.endswith("450 later")
    assert again == START + timedelta(minutes=1)
    assert noted["claimed"] == noted["committing"] == (None, None)


def test_what_a_dead_process_left_is_heard_as_reaped(tmp_path: Path, clock: Clock) -> None:
    heard: list[tuple[str, str]] = []
    with running(SmtpServer()) as relay:
        dead = a_ledger(tmp_path / "ledger.db", clock)
        channels = {"mail": a_relay(relay.port, TEAM[:1])}
        with pytest.raises(KeyboardInterrupt):
            Sender(dead, clock, channels).send(hook=_interrupt_at("committed"))
        alive = a_ledger(tmp_path / "ledger.db", clock, THERE, gone=lambda _: True)
        Sender(alive, clock, channels).send(
            hear=lambda event, row: heard.append((event, row.recipient if row else ""))
        )

    assert heard[0] == ("reaped", TEAM[0])


def _interrupt_at(step: str) -> Callable[[str], None]:
    def hook(name: str) -> None:
        if name == step:
            raise KeyboardInterrupt

    return hook


def test_a_channel_that_a_person_has_to_mend_marks_everybody_who_waits_for_it(
    tmp_path: Path, clock: Clock
) -> None:
    with running(SmtpServer(users={"digest": "right"})) as relay:
        login: dict[str, Any] = {"username": "digest", "password": Secret("wrong")}
        ledger = a_ledger(tmp_path / "ledger.db", clock)
        result = Sender(ledger, clock, {"mail": a_relay(relay.port, **login)}).send()
        busy = Sender(a_ledger(tmp_path / "other.db", clock), clock, {"mail": a_relay(1)}).send()

    assert [outcome.blocked for outcome in result.outcomes] == [True, True, True]
    assert [outcome.blocked for outcome in busy.outcomes] == [False, False, False]

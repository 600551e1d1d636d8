"""Real Postfix at the other end: STARTTLS, a refusal, greylisting, and what then lies in the mailboxes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from digest.channels.smtp import Smtp
from digest.errors import DeliveryError
from digest.model import Envelope
from tests import postfix
from tests.delivery.scene import TODAY, Clock, Sender, a_ledger, a_relay
from tests.delivery.test_signing import holds, pair
from tests.postfix import Postfix

pytestmark = pytest.mark.tool


MANY = tuple(f"r{number}" for number in range(50))


class Doorkeeper:
    """Answers Postfix's questions; each test says how."""

    answer: Callable[[str], str] = staticmethod(lambda _: "dunno")

    def __call__(self, recipient: str) -> str:
        return self.answer(recipient)


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Postfix, Doorkeeper]]:
    door = Doorkeeper()
    with postfix.running(("ana", "ben", "cleo", "dora", *MANY), answer=door) as server:
        yield server, door


@pytest.fixture
def server(running: tuple[Postfix, Doorkeeper]) -> Postfix:
    return running[0]


def a_channel(server: Postfix, *names: str, **settings: Any) -> Smtp:  # noqa: ANN401 - any setting
    return a_relay(
        server.port,
        tuple(f"{name}@{postfix.DOMAIN}" for name in names),
        host="localhost",
        security="starttls",
        ca_file=server.ca_file,
        sender="Leads digest <digest@company.example>",
        dkim=pair()[0],
        **settings,
    )


def as_sent(found: bytes) -> bytes:
    """Return a mail of a mailbox as it was handed over: with CRLF and without what servers put above it."""
    mail = re.sub(rb"(?<!\r)\n", b"\r\n", found)
    return mail[mail.index(b"DKIM-Signature:") :]


@pytest.mark.failure("M3", "M4")
def test_postfix_greylists_one_refuses_one_takes_the_rest_and_nobody_gets_two(
    running: tuple[Postfix, Doorkeeper], tmp_path: Path
) -> None:
    server, door = running
    clock = Clock()
    seen: dict[str, datetime] = {}

    def greylisting(recipient: str) -> str:
        """Take a new recipient's mail five minutes after its first attempt."""
        if recipient.startswith("ana@"):
            first = seen.setdefault(recipient, clock.now)
            if clock.now < first + timedelta(minutes=5):
                return "450 4.2.0 Greylisted, come back in five minutes"
        return "dunno"

    door.answer = greylisting
    channel = a_channel(server, "ana", "gone", "ben", "cleo")
    ledger = a_ledger(tmp_path / "ledger.db", clock)
    sender = Sender(ledger, clock, {"mail": channel})
    early = sender.send()
    states_before = dict(sender.states())
    first = sender.send(patience=timedelta(minutes=20))
    second = sender.send(patience=timedelta(minutes=20))
    mailboxes = {name: server.mails(name) for name in ("ana", "ben", "cleo")}

    assert states_before == {
        "ana@team.example": "deferred",
        "gone@team.example": "refused",
        "ben@team.example": "sent",
        "cleo@team.example": "sent",
    }
    assert sender.states() == {**states_before, "ana@team.example": "sent"}
    assert (early.exit_code, first.exit_code, second.exit_code) == (4, 4, 4)  # one is refused
    assert clock.slept == [60, 300]
    told = "\n".join(early.lines)
    assert "450 4.2.0 <an…@team.example>: Recipient address rejected: Greylisted" in told
    assert "550 5.1.1 <go…@team.example>: Recipient address rejected: User unknown" in told
    assert re.search(r"be…@team.example: sent 07:31 \(250 2\.0\.0 Ok: queued as [0-9A-F]+\)", told)
    frozen = {row.recipient: ledger.message(row) for row in ledger.deliveries("leads", TODAY)}
    for name, mails in mailboxes.items():
        (mail,) = mails
        assert as_sent(mail) == frozen[f"{name}@team.example"]
        assert holds(re.sub(rb"(?<!\r)\n", b"\r\n", mail))
        assert b"by relay.example (Postfix) with ESMTPS id" in mail


def test_postfix_gives_fifty_people_one_mail_each_over_one_connection(
    server: Postfix, tmp_path: Path
) -> None:
    clock = Clock()
    channel = a_channel(server, *MANY)
    sender = Sender(a_ledger(tmp_path / "ledger.db", clock), clock, {"mail": channel})

    result = sender.send()

    mailboxes = {name: server.mails(name) for name in MANY}
    assert result.exit_code == 0
    assert {name: len(mails) for name, mails in mailboxes.items()} == dict.fromkeys(MANY, 1)
    assert all(f"To: {name}@team.example".encode() in mailboxes[name][0] for name in MANY)
    assert "mail=50 rcpt=50 data=50 quit=1" in server.log()  # of one connection
    assert "fatal" not in server.log()


@pytest.mark.failure("M9")
def test_postfix_names_its_size_and_a_larger_mail_is_not_offered(server: Postfix) -> None:
    channel = a_channel(server, "dora")

    described = channel.check()[0]
    with channel.session() as session, pytest.raises(DeliveryError, match="up to 100000") as raised:
        session.deliver(
            Envelope("k", "dora@team.example", b"x: y\r\n" * 20_000), commit=lambda: True
        )

    assert "TLSv1.3, no login, SIZE 100000" in described.text
    assert raised.value.permanent
    assert server.mails("dora", 0) == []


@pytest.mark.failure("M1")
def test_postfix_with_a_certificate_of_another_name_gets_nothing(server: Postfix) -> None:
    channel = replace(a_channel(server, "dora"), host="127.0.0.1")

    with channel.session() as session, pytest.raises(DeliveryError, match="TLS handshake"):
        session.deliver(Envelope("k", "dora@team.example", b"a: b\r\n"), commit=lambda: True)

    assert server.mails("dora", 0) == []

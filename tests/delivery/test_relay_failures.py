"""What becomes of an edition when a relay fails: real conversations on a virtual clock."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from digest import delivery
from digest.channels.file import File
from digest.channels.smtp import Smtp, Timeouts
from digest.delivery import SendResult
from digest.model import Recipient, Secret
from tests.delivery.scene import FAST, START, TEAM, TODAY, Clock, Sender, a_ledger, a_relay
from tests.fakes.smtp import Fault, SmtpServer, running

ANA, BEN, CLEO = TEAM
CALL = timedelta(minutes=20)
UNTIL = START + timedelta(hours=3, minutes=29)  # 11:00 in Zurich
PASSWORD = "canary-4b1d"


@pytest.fixture
def sender(tmp_path: Path) -> Sender:
    clock = Clock()
    return Sender(a_ledger(tmp_path / "ledger.db", clock), clock, {})


@pytest.fixture
def relay() -> Iterator[SmtpServer]:
    with running(SmtpServer()) as server:
        yield server


def send(sender: Sender, channel: Smtp, **changes: Any) -> SendResult:  # noqa: ANN401 - any argument
    return replace(sender, channels={"mail": channel}).send(**{"patience": CALL, **changes})


def until_it_is_late(sender: Sender, channel: Smtp) -> SendResult:
    """Call every 15 minutes from send_at to send_until, as a timer does, then once more."""
    while sender.clock() < UNTIL:
        began = sender.clock()
        send(sender, channel, until=UNTIL)
        left = (began + timedelta(minutes=15) - sender.clock()).total_seconds()
        sender.clock.forward(seconds=max(left, 0))
    return delivery.expire(
        digest_id="leads", business_date=TODAY, ledger=sender.ledger, zone="Europe/Zurich"
    )


# ------------------------------------------------------------------- M1: it cannot be reached safely


@pytest.mark.failure("M1")
def test_a_relay_that_is_down_is_tried_until_send_until_and_then_the_edition_expires(
    sender: Sender,
) -> None:
    with closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))
        channel = a_relay(unused.getsockname()[1])

        first = send(sender, channel, until=UNTIL)
        last = until_it_is_late(sender, channel)

    assert first.exit_code == last.exit_code == 4
    assert "cannot be reached (Connection refused)" in first.lines[0]
    assert sender.clock.slept[:2] == [60, 300]
    assert set(sender.states().values()) == {"expired"}


@pytest.mark.failure("M1")
def test_a_name_that_is_not_in_the_dns_is_told_and_tried_again(sender: Sender) -> None:
    # On an interface that is not there: the resolver's own answer for a missing name, and nobody is asked.
    channel = a_relay(25, host="fe80::1%none", allow_plaintext=True)

    result = send(sender, channel, patience=timedelta())

    assert "fe80::1%none:25 cannot be reached (" in result.lines[0]
    assert set(sender.states().values()) == {"pending"}


@pytest.mark.failure("M1")
def test_a_relay_whose_certificate_is_bad_never_gets_the_mail_in_plain_text(
    sender: Sender, tmp_path: Path
) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    with running(SmtpServer(tls=context)) as server:
        channel = a_relay(
            server.port, host="localhost", security="starttls", ca_file=tmp_path / "ca.pem"
        )
        result = until_it_is_late(sender, channel)

    assert result.exit_code == 4
    assert set(sender.states().values()) == {"expired"}
    assert server.connections > 5  # tried again and again
    assert server.count("MAIL") == 0


# ---------------------------------------------------------------------------- M2: the login is refused


@pytest.mark.failure("M2")
def test_a_refused_login_is_tried_once_a_call_and_another_channel_is_served(
    sender: Sender, tmp_path: Path
) -> None:
    with running(SmtpServer(users={"u": "right"})) as server:
        channel = a_relay(server.port, username="u", password=Secret(PASSWORD))
        file = File(path=tmp_path / "inbox", recipients=(Recipient(ANA),))
        both = replace(sender, channels={"mail": channel, "file": file})

        first = both.send(patience=CALL)
        tried = server.count("AUTH")
        second = both.send(patience=CALL)

    assert (first.exit_code, second.exit_code) == (4, 4)
    assert (tried, server.count("AUTH"), server.count("MAIL")) == (1, 2, 0)
    assert sender.clock.slept == []
    assert "535 5.7.8 wrong user or password" in "\n".join(first.lines)
    assert PASSWORD not in repr(first)
    assert len(list((tmp_path / "inbox").glob("*.eml"))) == 1


# --------------------------------------------------------------------------------- M3: it says "later"


@pytest.mark.failure("M3")
@pytest.mark.parametrize("code", ["421", "450", "451", "452"])
def test_who_is_put_off_is_tried_after_1_5_15_and_30_minutes_until_the_mail_is_taken(
    sender: Sender, relay: SmtpServer, code: str
) -> None:
    relay.faults = (Fault("RCPT", code, recipient=BEN, times=5),)

    result = send(sender, a_relay(relay.port), patience=timedelta(hours=3))

    assert result.exit_code == 0
    assert sender.clock.slept == [60, 300, 900, 1800, 1800]
    assert sorted(mail.recipient for mail in relay.accepted) == sorted(TEAM)


@pytest.mark.failure("M3")
def test_who_is_put_off_all_morning_is_given_up_at_send_until_and_nobody_gets_two(
    sender: Sender, relay: SmtpServer
) -> None:
    relay.faults = (Fault("RCPT", "450 4.2.0 greylisted", recipient=BEN),)

    result = until_it_is_late(sender, a_relay(relay.port))

    assert result.exit_code == 4
    assert sender.states() == {ANA: "sent", BEN: "expired", CLEO: "sent"}
    assert [mail.recipient for mail in relay.accepted] == [ANA, CLEO]
    # 07:31, 07:32, 07:37, 07:52, then every half hour by the calls of the timer.
    assert 7 <= sum(line == f"RCPT TO:<{BEN}>" for line in relay.commands) <= 10


# ------------------------------------------------------------------------------ M4, M5: it says "never"


@pytest.mark.failure("M4")
def test_who_is_refused_is_reported_and_not_tried_again_while_the_others_are_served(
    sender: Sender, relay: SmtpServer
) -> None:
    relay.faults = (Fault("RCPT", "550 5.1.1 no such user", recipient=BEN),)

    first, second = send(sender, a_relay(relay.port)), send(sender, a_relay(relay.port))

    assert (first.exit_code, second.exit_code) == (4, 4)
    assert sender.states() == {ANA: "sent", BEN: "refused", CLEO: "sent"}
    assert "refused be…@team.example at RCPT: 550 5.1.1 no such user" in first.lines[1]
    assert relay.count("RCPT") == 3


@pytest.mark.failure("M5")
@pytest.mark.parametrize("stage", ["RCPT", "DATA", "dot"])
def test_when_everybody_is_refused_the_call_fails_and_nothing_is_tried_again(
    sender: Sender, relay: SmtpServer, stage: str
) -> None:
    relay.faults = (Fault(stage, "550 5.7.1 not from you"),)

    first, second = send(sender, a_relay(relay.port)), send(sender, a_relay(relay.port))

    assert (first.exit_code, second.exit_code) == (4, 4)
    assert set(sender.states().values()) == {"refused"}
    assert relay.count("RCPT") == 3
    assert relay.accepted == []


@pytest.mark.failure("M5")
def test_a_refused_sender_is_told_once_and_kept_for_when_it_is_mended(
    sender: Sender, relay: SmtpServer
) -> None:
    relay.faults = (Fault("MAIL", "550 5.7.1 not your domain", times=1),)

    first = send(sender, a_relay(relay.port))
    tried = relay.count("MAIL")
    send(sender, a_relay(relay.port))

    assert first.exit_code == 4
    assert tried == 1
    assert "refused the sender digest@sender.example" in first.lines[1]
    assert [mail.recipient for mail in relay.accepted] == [BEN, CLEO]


# ---------------------------------------------------------------------- M6, M7: at the end of the message


@pytest.mark.failure("M6")
def test_a_message_put_off_after_it_was_sent_goes_out_again_and_arrives_once(
    sender: Sender, relay: SmtpServer
) -> None:
    relay.faults = (Fault("dot", "451 4.3.0 queue file write error", recipient=BEN, times=1),)

    result = send(sender, a_relay(relay.port))

    assert result.exit_code == 0
    assert sender.clock.slept == [60]
    assert sorted(mail.recipient for mail in relay.accepted) == sorted(TEAM)


@pytest.mark.failure("M6")
def test_a_message_refused_after_it_was_sent_is_refused_for_that_one(
    sender: Sender, relay: SmtpServer
) -> None:
    relay.faults = (Fault("dot", "554 5.6.0 content rejected", recipient=BEN),)

    result = send(sender, a_relay(relay.port))

    assert result.exit_code == 4
    assert sender.states() == {ANA: "sent", BEN: "refused", CLEO: "sent"}
    assert "at the end of the message: 554 5.6.0 content rejected" in result.lines[1]


@pytest.mark.failure("M7")
@pytest.mark.parametrize("stage", ["dot", "reply"])  # before and after the relay has taken it
@pytest.mark.parametrize("mode", ["hang", "drop", "reset"])
def test_a_message_without_an_answer_is_unknown_told_in_each_call_and_never_sent_again(
    sender: Sender, relay: SmtpServer, stage: str, mode: str
) -> None:
    relay.faults = (Fault(stage, mode, recipient=BEN),)
    channel = a_relay(relay.port, timeouts=FAST if mode == "hang" else Timeouts())

    first = send(sender, channel)
    last = until_it_is_late(sender, channel)

    assert (first.exit_code, last.exit_code) == (5, 5)
    assert sender.states() == {ANA: "sent", BEN: "unknown", CLEO: "sent"}
    assert f"digest resolve leads/{TODAY}/mail/{BEN}" in first.lines[1]
    assert relay.count("DATA") == 3
    taken = [ANA, BEN, CLEO] if stage == "reply" else [ANA, CLEO]
    assert [mail.recipient for mail in relay.accepted] == taken


@pytest.mark.failure("M7")
@pytest.mark.parametrize(("memory", "state", "code"), [(60, "sent", 0), (5, "unknown", 5)])
def test_a_relay_that_knows_a_mail_again_is_given_it_once_more_while_it_remembers(
    sender: Sender, relay: SmtpServer, memory: int, state: str, code: int
) -> None:
    relay.knows_by = "Resend-Idempotency-Key"
    relay.faults = (Fault("reply", "drop", recipient=BEN, times=1),)
    channel = a_relay(
        relay.port,
        idempotency_header="Resend-Idempotency-Key",
        idempotency_minutes=memory,
        on_unknown="resend",
    )

    result = send(sender, channel)

    assert (sender.states()[BEN], result.exit_code) == (state, code)
    assert sorted(mail.recipient for mail in relay.accepted) == sorted(TEAM)
    assert relay.count("DATA") == (4 if state == "sent" else 3)


@pytest.mark.failure("M7")
def test_the_answer_to_a_message_is_waited_for_as_long_as_the_rfc_asks() -> None:
    assert Timeouts().reply == 600


# ------------------------------------------------------------------------------------------- M9, M10


@pytest.mark.failure("M9")
def test_a_mail_above_the_relays_size_is_refused_and_named(
    sender: Sender, relay: SmtpServer
) -> None:
    relay.size = 100

    result = send(sender, a_relay(relay.port))

    assert result.exit_code == 4
    assert "takes messages up to 100 bytes, this one has" in result.lines[0]
    assert relay.count("MAIL") == 0


@pytest.mark.failure("M10")
@pytest.mark.parametrize("setting", ["recipients", "sender", "reply_to", "bounce_address"])
def test_a_local_part_that_needs_smtputf8_is_refused_with_the_settings(setting: str) -> None:
    given: dict[str, Any] = {setting: "änna@team.example"}
    if setting == "recipients":
        given = {"recipients": (Recipient("änna@team.example"),)}

    with pytest.raises(ValueError, match=f"{setting}: .* letters outside ASCII before the @"):
        a_relay(25, **given)


@pytest.mark.failure("M10")
def test_a_domain_of_other_letters_travels_in_idna_and_gets_its_mail(
    sender: Sender, relay: SmtpServer
) -> None:
    result = send(sender, a_relay(relay.port, ("ana@bücher.example",)))

    assert result.exit_code == 0
    assert [mail.recipient for mail in relay.accepted] == ["ana@xn--bcher-kva.example"]
    assert b"To: ana@xn--bcher-kva.example\r\n" in relay.accepted[0].content

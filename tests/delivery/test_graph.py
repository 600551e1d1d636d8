"""A mailbox of Microsoft 365: one request a mail, and what may have been sent is never sent again."""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from digest.channels.graph import LARGEST, Graph
from digest.errors import DeliveryError
from digest.model import Envelope, Finding, Recipient, Secret
from digest.tokens import HOSTS
from tests.delivery.scene import Clock, Sender, a_ledger
from tests.fakes import graph as fake
from tests.fakes import identity
from tests.fakes.graph import REQUEST, TEAM, GraphServer
from tests.fakes.identity import SECRET, IdentityServer

PATIENCE = timedelta(minutes=20)
APP: dict[str, Any] = {
    "tenant": "company.example",
    "client_id": "c",
    "client_secret": Secret("s"),
    "sender": "digest@sender.example",
}
MAIL = b"From: digest@sender.example\r\nTo: ana@team.example\r\nSubject: x\r\n\r\nbody\r\n"


@pytest.fixture
def server() -> Iterator[GraphServer]:
    with identity.running(IdentityServer()) as logins, fake.running(GraphServer(logins)) as one:
        yield one


@pytest.fixture
def sender(tmp_path: Path, server: GraphServer) -> Sender:
    clock = Clock()
    channel = server.channel(recipients=(Recipient(TEAM[0]),))
    return Sender(a_ledger(tmp_path / "ledger.db", clock), clock, {"mail": channel})


def state(sender: Sender) -> str:
    return sender.states()[TEAM[0]]


def post_one(channel: Graph, content: bytes = MAIL, commits: list[str] | None = None) -> str:
    def commit() -> bool:
        (commits if commits is not None else []).append("commit")
        return True

    with channel.session() as session:
        return session.deliver(Envelope("k", TEAM[0], content), commit=commit)


def test_everybody_gets_a_mail_of_their_own_with_one_token(
    server: GraphServer, tmp_path: Path
) -> None:
    clock = Clock()
    sender = Sender(a_ledger(tmp_path / "ledger.db", clock), clock, {"mail": server.channel()})

    first, second = sender.send(), sender.send()

    assert (first.exit_code, second.exit_code) == (0, 0)
    assert [re.findall(rb"(?m)^To: (\S+)", mail) for mail in server.mails] == [
        [one.encode()] for one in TEAM
    ]
    assert first.lines[0].endswith(f"sent 07:31 (accepted by Exchange (request {REQUEST}))")
    assert (server.requests, server.identity.requests) == (3, 1)


def test_the_mail_travels_byte_for_byte(server: GraphServer) -> None:
    post_one(server.channel())

    assert server.mails == [MAIL]


@pytest.mark.failure("M7")
@pytest.mark.parametrize("answer", ["drop", "500", "502", "503", "504", "200", "307"])
def test_what_may_have_been_sent_is_unknown_and_never_repeated(
    sender: Sender, server: GraphServer, answer: str
) -> None:
    server.answers = [answer]
    server.headers = {"Location": f"http://127.0.0.1:{server.port}/elsewhere", "Retry-After": "1"}

    first, second = sender.send(patience=PATIENCE), sender.send(patience=PATIENCE)

    assert (first.exit_code, second.exit_code) == (5, 5)
    assert state(sender) == "unknown"
    assert server.requests == 1
    assert sender.clock.slept == []


@pytest.mark.failure("M7")
def test_an_answer_that_does_not_come_in_time_is_unknown(
    sender: Sender, server: GraphServer
) -> None:
    server.answers, server.patience = ["hang"], 0.3
    channel = server.channel(recipients=(Recipient(TEAM[0]),))

    result = replace(sender, channels={"mail": channel}).send(patience=PATIENCE)

    assert result.exit_code == 5
    assert "no answer came (timed out)" in result.lines[0]
    assert len(server.mails) == 1


@pytest.mark.failure("M3")
@pytest.mark.parametrize(
    ("answer", "asked", "slept"), [("429", "7", [7]), ("429", None, [30]), ("408", "2", [2])]
)
def test_a_busy_service_is_given_the_time_it_asks_for(
    sender: Sender, server: GraphServer, answer: str, asked: str | None, slept: list[int]
) -> None:
    server.answers, server.headers = [answer], {"Retry-After": asked} if asked else {}

    result = sender.send(patience=PATIENCE)

    assert result.exit_code == 0
    assert sender.clock.slept == slept
    assert len(server.mails) == 1


@pytest.mark.failure("M4")
@pytest.mark.parametrize(
    "answer", ["400 ErrorInvalidRecipients", "413 ErrorMessageSizeExceeded", "400", "422 Odd-Code"]
)
def test_a_refused_mail_concerns_its_recipient_only(
    server: GraphServer, tmp_path: Path, answer: str
) -> None:
    clock = Clock()
    sender = Sender(a_ledger(tmp_path / "ledger.db", clock), clock, {"mail": server.channel()})
    server.answers = [answer]

    result = sender.send(patience=PATIENCE)

    assert result.exit_code == 4
    assert list(sender.states().values()) == ["refused", "sent", "sent"]
    assert "refused the mail for an…@team.example" in result.lines[0]
    assert TEAM[0] not in result.lines[0]


@pytest.mark.failure("M2", "M5")
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("403 ErrorAccessDenied", "Mail.Send with an admin's consent"),
        ("403 ErrorSendAsDenied", "set sender to the mailbox's own"),
        ("404 ErrorInvalidUser", "the tenant has no such user"),
        ("404 MailboxNotEnabledForRESTAPI", "no licence"),
        ("403", "refused the app (403)"),
    ],
)
def test_a_refused_app_stops_the_mails_of_a_call_and_says_what_to_do(
    server: GraphServer, tmp_path: Path, answer: str, words: str
) -> None:
    clock = Clock()
    sender = Sender(a_ledger(tmp_path / "ledger.db", clock), clock, {"mail": server.channel()})
    server.answers = [answer]

    result = sender.send(patience=PATIENCE)

    assert result.exit_code == 4
    assert set(sender.states().values()) == {"pending"}
    assert words in result.lines[0]
    assert (server.requests, clock.slept) == (1, [])


@pytest.mark.failure("M2")
def test_a_token_that_ended_before_its_time_is_renewed_once_with_one_commit(
    server: GraphServer,
) -> None:
    channel, commits = server.channel(), list[str]()
    post_one(channel)
    server.ended = {"token-1"}

    post_one(channel, commits=commits)
    server.ended.add("token-2")
    with pytest.raises(DeliveryError, match=r"\(401 InvalidAuthenticationToken\)") as raised:
        post_one(channel)

    assert raised.value.permanent
    assert commits == ["commit"]
    assert len(server.mails) == server.identity.requests == 2
    assert server.requests == 4


@pytest.mark.failure("M2")
def test_a_token_refused_at_once_is_not_fetched_a_second_time(server: GraphServer) -> None:
    server.ended = {"token-1"}

    with pytest.raises(DeliveryError, match="401"):
        post_one(server.channel())

    assert server.requests == server.identity.requests == 1


@pytest.mark.failure("M1")
def test_without_a_token_nothing_is_committed(server: GraphServer) -> None:
    commits: list[str] = []
    server.identity.answers = ["status 503"]

    with pytest.raises(DeliveryError, match="no access token") as raised:
        post_one(server.channel(), commits=commits)

    assert not raised.value.permanent
    assert (commits, server.requests) == ([], 0)


@pytest.mark.failure("M1")
def test_a_service_that_cannot_be_reached_has_nothing_and_is_tried_again(
    sender: Sender, server: GraphServer
) -> None:
    with closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))
        server.port = unused.getsockname()[1]

    result = replace(
        sender, channels={"mail": server.channel(recipients=(Recipient(TEAM[0]),))}
    ).send()

    assert (state(sender), result.exit_code) == ("pending", 4)
    assert "cannot be reached (Connection refused)" in result.lines[0]


@pytest.mark.failure("M9")
def test_a_mail_too_large_for_a_request_is_refused_before_it_is_committed(
    server: GraphServer,
) -> None:
    commits: list[str] = []
    fits = MAIL + b"x" * (LARGEST // 4 * 3 - len(MAIL))

    post_one(server.channel(), fits)
    with pytest.raises(DeliveryError, match="takes mails up to 4000000 bytes") as raised:
        post_one(server.channel(), fits + b"x", commits)

    assert raised.value.permanent
    assert (commits, server.requests) == ([], 1)


def test_another_mailbox_may_send_and_its_name_is_one_part_of_the_address() -> None:
    channel = Graph(**APP, mailbox="../me?x=ü@sender.example")

    assert channel.url == (
        "https://graph.microsoft.com/v1.0/users/..%2Fme%3Fx%3D%C3%BC@sender.example/sendMail"
    )
    assert Graph.token_hosts is HOSTS


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"client_secret": None}, "give client_secret or certificate: one of both"),
        ({"certificate": Secret("x")}, "give client_secret or certificate: one of both"),
        ({"tenant": "../x"}, "tenant: '../x' is neither a directory's id nor a domain"),
        ({"client_secret": None, "certificate": Secret("x")}, "certificate: has no certificate"),
        ({"sender": "nobody"}, "sender: 'nobody' is not a mail address"),
        ({"reply_to": "a@b@c"}, "reply_to: 'a@b@c'"),
        ({"recipients": (Recipient("x"),)}, "recipients: 'x' is not a mail address"),
        ({"unsubscribe": ("http://x.example",)}, "must begin with https:// or mailto:"),
    ],
)
def test_a_wrong_setting_is_named_with_what_was_found(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Graph(**{**APP, **change})


def test_a_check_logs_in_and_says_what_it_cannot_see(server: GraphServer) -> None:
    good = server.channel().check()
    server.identity.answers = ["error invalid_client 401"]
    (bad,) = server.channel().check()

    assert good == (
        Finding(
            "ok",
            "graph",
            "the app logs in; whether its mailbox may send cannot be checked without sending",
        ),
    )
    assert (bad.level, "no access token" in bad.text) == ("error", True)
    assert server.requests == 0


def test_no_secret_and_no_token_is_found_in_any_output(
    tmp_path: Path,
    server: GraphServer,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    seen = [repr(server.channel())]
    for number, answer in enumerate(("", "403 ErrorAccessDenied", "429", "500", "drop", "302")):
        server.answers = [answer]
        ledger = a_ledger(tmp_path / f"{number}.db", Clock())
        seen.append(repr(Sender(ledger, Clock(), {"mail": server.channel()}).send()))
        seen.append((tmp_path / f"{number}.db").read_bytes().decode("latin-1"))

    printed = capfd.readouterr()
    everything = "\n".join((*seen, caplog.text, printed.out, printed.err))
    assert SECRET not in everything
    assert "token-1" not in everything

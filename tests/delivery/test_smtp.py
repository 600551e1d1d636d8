from __future__ import annotations

import base64
import re
import socket
import ssl
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from digest.channels import Remembers, smtp
from digest.channels.smtp import Smtp, SmtpSession, Timeouts, stuffed
from digest.errors import DeliveryError, OutcomeUnknownError
from digest.model import Envelope, Recipient, Secret
from digest.render.mime import pack
from tests.delivery.scene import FAST, PATIENT, START, TEAM, a_relay, an_edition, render
from tests.fakes.smtp import STAGES, Accepted, Fault, SmtpServer, running

MAIL = b"Subject: x\r\n\r\n.dot\r\nbody\r\n"
PASSWORD = "canary-9f3e"
KEY_HEADER = "Resend-Idempotency-Key"


@dataclass
class Told:
    """What became of each recipient of one session."""

    outcomes: dict[str, str] = field(default_factory=dict)
    errors: dict[str, DeliveryError] = field(default_factory=dict)
    commits: int = 0

    def commit(self) -> bool:
        self.commits += 1
        return True


def outcome_of(error: DeliveryError) -> str:
    if isinstance(error, OutcomeUnknownError):
        return "unknown"
    if error.concerns_all:
        return "not sent"
    return "refused" if error.permanent else "deferred"


def deliver_all(
    relay: Smtp, team: tuple[str, ...] = TEAM, commit: Callable[[], bool] | None = None
) -> Told:
    told = Told()
    with relay.session() as session:
        for recipient in team:
            try:
                session.deliver(Envelope(recipient, recipient, MAIL), commit=commit or told.commit)
                told.outcomes[recipient] = "sent"
            except DeliveryError as error:
                told.outcomes[recipient] = outcome_of(error)
                told.errors[recipient] = error
    return told


@contextmanager
def server(*faults: Fault, **settings: Any) -> Iterator[SmtpServer]:  # noqa: ANN401 - any setting
    with running(SmtpServer(faults=faults, **settings)) as one:
        yield one


def test_each_recipient_gets_one_message_over_one_connection() -> None:
    with server() as relay:
        told = deliver_all(a_relay(relay.port))

    assert set(told.outcomes.values()) == {"sent"}
    assert relay.connections == 1
    assert [Accepted("digest@sender.example", one, MAIL) for one in TEAM] == relay.accepted
    assert told.commits == 3


@pytest.mark.failure("M1", "M3")
@pytest.mark.parametrize("mode", ["hang", "drop", "reset", "slow", "421 4.3.2 closing"])
@pytest.mark.parametrize("stage", ["greeting", "EHLO", "STARTTLS", "AUTH"])
def test_nobody_is_mailed_when_the_beginning_fails_and_it_may_be_tried_again(
    authority: Authority, stage: str, mode: str
) -> None:
    timeouts = impatient(setup=0.6, command=0.5) if mode in ("hang", "slow") else PATIENT
    fault = Fault(stage, mode)
    with server(
        fault, tls=authority.context("localhost"), users={"u": PASSWORD}, interval=0.2
    ) as relay:
        settings = a_relay(
            relay.port,
            host="localhost",
            security="starttls",
            ca_file=authority.file,
            username="u",
            password=Secret(PASSWORD),
            timeouts=timeouts,
        )
        told = deliver_all(settings)

    assert list(told.outcomes.values()) == ["not sent"] * 3
    assert not told.errors[TEAM[0]].permanent
    assert (relay.connections, relay.count("MAIL"), relay.accepted) == (1, 0, [])


@pytest.mark.failure("M6", "M7")
@pytest.mark.parametrize("mode", ["hang", "drop", "reset", "slow", "421 4.3.2 closing", "500 what"])
def test_an_error_on_quit_changes_nothing_any_more(mode: str) -> None:
    with server(Fault("QUIT", mode), interval=0.3) as relay:
        began = time.monotonic()
        told = deliver_all(a_relay(relay.port), TEAM[:1])

    assert told.outcomes == {TEAM[0]: "sent"}
    assert len(relay.accepted) == 1
    assert time.monotonic() - began < 9  # a goodbye is waited for five seconds


def test_nothing_is_contacted_before_the_first_delivery() -> None:
    with server() as relay, a_relay(relay.port).session():
        pass

    assert relay.connections == 0


@pytest.mark.failure("M1", "M3", "M7")
@pytest.mark.parametrize("mode", ["hang", "drop", "reset", "421 4.3.2 closing"])
@pytest.mark.parametrize("stage", STAGES)
def test_a_fault_at_any_stage_has_the_right_outcome(stage: str, mode: str) -> None:
    timeouts = FAST if mode == "hang" else PATIENT
    with server(Fault(stage, mode, times=1)) as relay:
        told = deliver_all(a_relay(relay.port, timeouts=timeouts), TEAM[:1])

    before_the_dot = "not sent" if stage in ("greeting", "EHLO") else "deferred"
    at_the_dot = "deferred" if mode.startswith("421") else "unknown"
    expected = {"dot": at_the_dot, "QUIT": "sent"}.get(stage, before_the_dot)
    assert told.outcomes[TEAM[0]] == expected
    assert len(relay.accepted) == (1 if stage == "QUIT" else 0)
    assert relay.connections == 1


@pytest.mark.failure("M7")
@pytest.mark.parametrize("mode", ["hang", "drop", "reset"])
def test_a_lost_answer_to_an_accepted_message_is_unknown_and_the_others_are_served(
    mode: str,
) -> None:
    timeouts = FAST if mode == "hang" else PATIENT
    with server(Fault("reply", mode, recipient=TEAM[0])) as relay:
        told = deliver_all(a_relay(relay.port, timeouts=timeouts))

    assert list(told.outcomes.values()) == ["unknown", "sent", "sent"]
    assert [mail.recipient for mail in relay.accepted] == list(TEAM)
    assert relay.connections == 2


@pytest.mark.failure("M3", "M4", "M6")
@pytest.mark.parametrize("position", [0, 1, 2])
@pytest.mark.parametrize("code", ["450", "452", "550", "552", "554"])
@pytest.mark.parametrize("stage", ["RCPT", "DATA", "dot"])
def test_a_code_for_one_recipient_concerns_only_that_one(
    stage: str, code: str, position: int
) -> None:
    with server(Fault(stage, code, recipient=TEAM[position])) as relay:
        told = deliver_all(a_relay(relay.port))

    expected = dict.fromkeys(TEAM, "sent")
    expected[TEAM[position]] = "refused" if code.startswith("5") else "deferred"
    assert told.outcomes == expected
    assert relay.connections == 1
    assert [mail.recipient for mail in relay.accepted] == [
        one for one in TEAM if one != TEAM[position]
    ]


@pytest.mark.failure("M5")
def test_a_refused_sender_is_refused_once_and_stops_the_rest() -> None:
    with server(Fault("MAIL", "550 5.7.1 not your domain")) as relay:
        told = deliver_all(a_relay(relay.port))

    assert list(told.outcomes.values()) == ["refused", "not sent", "not sent"]
    assert relay.count("MAIL") == 1
    assert "refused the sender digest@sender.example" in str(told.errors[TEAM[1]])


@pytest.mark.failure("M1")
def test_a_relay_that_is_down_is_tried_once_for_all_recipients() -> None:
    with server(Fault("greeting", "554 5.3.2 no service")) as relay:
        told = deliver_all(a_relay(relay.port))

    assert list(told.outcomes.values()) == ["not sent"] * 3
    assert relay.connections == 1


@pytest.mark.failure("M1")
def test_a_closed_port_says_which_relay_cannot_be_reached() -> None:
    with server() as relay:
        port = relay.port

    told = deliver_all(a_relay(port), TEAM[:1])

    assert f"smtp: 127.0.0.1:{port} cannot be reached" in str(told.errors[TEAM[0]])


@pytest.mark.failure("M3")
def test_a_sender_refused_for_now_is_deferred_on_the_same_connection() -> None:
    with server(Fault("MAIL", "451 4.7.1 slow down", skip=1, times=1)) as relay:
        told = deliver_all(a_relay(relay.port))

    assert list(told.outcomes.values()) == ["sent", "deferred", "sent"]
    assert relay.connections == 1


def test_a_deadline_that_fires_when_nothing_is_open_does_nothing() -> None:
    session = SmtpSession(a_relay(1))

    session._cut()
    session.quit()

    assert session._smtp is None


@pytest.mark.parametrize("mode", ["drop", "421 4.4.2 idle for too long"])
def test_a_connection_closed_between_recipients_is_opened_once_more(mode: str) -> None:
    with server(Fault("MAIL", mode, skip=1, times=1)) as relay:
        told = deliver_all(a_relay(relay.port))

    assert set(told.outcomes.values()) == {"sent"}
    assert relay.connections == 2


def test_a_relay_that_keeps_dropping_is_left_alone_after_two_reconnects() -> None:
    team = tuple(f"r{n}@team.example" for n in range(6))
    with server(Fault("DATA", "drop")) as relay:
        told = deliver_all(a_relay(relay.port), team)

    assert list(told.outcomes.values()) == ["deferred"] * 3 + ["not sent"] * 3
    assert relay.connections == 3


def test_no_more_messages_a_minute_than_the_relay_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's clock moves by the time that is waited for, and by a second a message."""
    clock, waited = [1000.0], []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        clock[0] += seconds

    def commit() -> bool:
        clock[0] += 1 if len(waited) < 4 else 20
        return True

    monkeypatch.setattr(smtp, "monotonic", lambda: clock[0])
    monkeypatch.setattr(smtp, "sleep", sleep)
    with running(SmtpServer()) as relay:
        team = tuple(f"r{n}@team.example" for n in range(6))
        told = deliver_all(a_relay(relay.port, max_per_minute=10), team, commit)

    assert [*told.outcomes.values()] == ["sent"] * 6
    assert waited == [0, 5, 5, 5, 0, 0]  # who was slow anyway waits for nothing


def test_a_limit_of_messages_per_connection_is_kept_without_counting_as_trouble() -> None:
    team = tuple(f"r{n}@team.example" for n in range(7))
    with server() as relay:
        told = deliver_all(a_relay(relay.port, max_per_connection=1), team)

    assert set(told.outcomes.values()) == {"sent"}
    assert relay.connections == 7


def test_when_another_process_owns_the_delivery_the_dot_is_not_sent() -> None:
    with server() as relay:
        told = deliver_all(a_relay(relay.port), TEAM[:1], commit=lambda: False)

    assert told.outcomes[TEAM[0]] == "deferred"
    assert relay.count("DATA") == 1
    assert relay.accepted == []


def test_when_the_ledger_fails_at_the_commit_the_dot_is_not_sent() -> None:
    def broken() -> bool:
        raise RuntimeError("disk full")

    with server() as relay, pytest.raises(RuntimeError, match="disk full"):
        deliver_all(a_relay(relay.port), TEAM[:1], commit=broken)

    assert relay.accepted == []


@pytest.mark.failure("M7")
@pytest.mark.parametrize("answer", ["399 what", "nonsense"])
def test_an_unreadable_answer_to_the_dot_is_unknown(answer: str) -> None:
    with server(Fault("dot", f"{answer} ")) as relay:
        told = deliver_all(a_relay(relay.port), TEAM[:1])

    assert told.outcomes[TEAM[0]] == "unknown"


def impatient(**changes: float) -> Timeouts:
    return replace(PATIENT, **changes)


@pytest.mark.failure("M1")
@pytest.mark.parametrize(
    ("stage", "timeouts"),
    [
        ("greeting", impatient(setup=0.5)),
        ("MAIL", impatient(command=0.5)),
        ("RCPT", impatient(transfer=0.5)),
        ("DATA", impatient(transfer=0.5)),
    ],
)
def test_a_server_that_dribbles_is_cut_off_by_a_deadline(stage: str, timeouts: Timeouts) -> None:
    with server(Fault(stage, "slow"), interval=0.4) as relay:  # never silent for long
        began = time.monotonic()
        told = deliver_all(a_relay(relay.port, timeouts=timeouts), TEAM[:1])

    assert told.outcomes[TEAM[0]] in ("not sent", "deferred")
    assert time.monotonic() - began < 4
    assert relay.accepted == []


@pytest.mark.failure("M7")
@pytest.mark.parametrize("encrypted", [False, True])
def test_a_server_that_dribbles_its_answer_to_the_dot_leaves_the_outcome_unknown(
    authority: Authority, *, encrypted: bool
) -> None:
    context = authority.context("localhost") if encrypted else None
    with server(Fault("dot", "slow"), interval=0.4, tls=context) as relay:
        settings = a_relay(
            relay.port,
            host="localhost",
            security="starttls" if encrypted else "none",
            ca_file=authority.file,
            timeouts=impatient(reply=0.5),
        )
        told = deliver_all(settings, TEAM[:1])

    assert told.outcomes[TEAM[0]] == "unknown"
    assert len(relay.accepted) == 1


@pytest.mark.failure("M7")
def test_half_an_answer_to_the_dot_is_no_answer() -> None:
    """smtplib alone reads the first three letters of "250-" or "250 " as success."""
    with server(Fault("dot", "slow"), interval=0.1) as relay:  # cut at or after "250"
        told = deliver_all(a_relay(relay.port, timeouts=impatient(reply=0.35)), TEAM[:1])

    assert told.outcomes[TEAM[0]] == "unknown"


@pytest.mark.failure("M9")
def test_a_message_above_the_relays_size_is_refused_before_it_is_offered() -> None:
    with server(size=10) as relay:
        told = deliver_all(a_relay(relay.port), TEAM[:1])

    assert told.outcomes[TEAM[0]] == "refused"
    assert relay.count("MAIL") == 0


def test_the_size_is_announced_and_the_name_said_at_ehlo_is_the_senders_domain() -> None:
    with server() as relay:
        deliver_all(a_relay(relay.port), TEAM[:1])

    assert "ehlo sender.example" in relay.commands
    assert f"MAIL FROM:<digest@sender.example> SIZE={len(MAIL)}" in relay.commands


def test_bounces_go_to_the_bounce_address_and_domains_travel_in_idna() -> None:
    with server() as relay:
        settings = a_relay(relay.port, bounce_address="bounce@müller.example")
        deliver_all(settings, ("ana@bücher.example",))

    assert relay.accepted[0].sender == "bounce@xn--mller-kva.example"
    assert relay.accepted[0].recipient == "ana@xn--bcher-kva.example"


def test_a_reply_is_kept_in_one_printable_line_without_the_full_address() -> None:
    with server(Fault("RCPT", "550 <ana@team.example>\x1b[31m unknown")) as relay:
        told = deliver_all(a_relay(relay.port), TEAM[:1])

    text = str(told.errors[TEAM[0]])
    assert "550 <an…@team.example>?[31m unknown" in text
    assert "ana@team" not in text


@pytest.mark.parametrize("content", [b"a\nb\r\n", b"a\rb\r\n", b"\n"])
def test_a_bare_line_end_is_never_offered(content: bytes) -> None:
    with pytest.raises(ValueError, match="CRLF"):
        stuffed(content)


def test_dots_at_line_starts_are_doubled_and_the_last_line_is_ended() -> None:
    assert stuffed(b".a\r\nb.\r\n..c") == b"..a\r\nb.\r\n...c\r\n"


# --------------------------------------------------------------------------------------------- TLS


@dataclass(frozen=True)
class Authority:
    ca: trustme.CA
    file: Path

    def context(self, *names: str, **settings: Any) -> ssl.SSLContext:  # noqa: ANN401 - any setting
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert(*names, **settings).configure_cert(context)
        return context


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    ca = trustme.CA()
    file = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca.cert_pem.write_to_path(str(file))
    return Authority(ca, file)


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_verified_certificate_is_accepted(authority: Authority, security: str) -> None:
    context = authority.context("localhost")
    with server(tls=context, implicit_tls=security == "tls") as relay:
        settings = a_relay(
            relay.port,
            host="localhost",
            security=security,
            ca_file=Path(authority.file.name),
            folder=authority.file.parent,
        )
        told = deliver_all(settings)

    assert set(told.outcomes.values()) == {"sent"}
    assert relay.connections == 1


def of_old_tls(authority: Authority) -> ssl.SSLContext:
    """A server that has never heard of TLS 1.2."""
    context = authority.context("localhost")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


@pytest.mark.failure("M1")
@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_relay_with_tls_of_the_last_century_gets_nothing(
    authority: Authority, security: str
) -> None:
    implicit = security == "tls"
    with server(tls=of_old_tls(authority), implicit_tls=implicit, users={"u": PASSWORD}) as relay:
        settings = a_relay(
            relay.port,
            host="localhost",
            security=security,
            ca_file=authority.file,
            username="u",
            password=Secret(PASSWORD),
        )
        told = deliver_all(settings)

    assert list(told.outcomes.values()) == ["not sent"] * 3
    assert "the TLS handshake" in str(told.errors[TEAM[0]])
    assert (relay.count("AUTH"), relay.count("MAIL"), relay.connections) == (0, 0, 1)


def test_a_client_that_is_less_careful_would_talk_to_that_relay(authority: Authority) -> None:
    careless = ssl.create_default_context(cafile=str(authority.file))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        careless.minimum_version = ssl.TLSVersion.TLSv1
    careless.set_ciphers("ALL:@SECLEVEL=0")
    with (
        server(tls=of_old_tls(authority), implicit_tls=True) as relay,
        socket.create_connection(("127.0.0.1", relay.port), 5) as plain,
        careless.wrap_socket(plain, server_hostname="localhost") as encrypted,
    ):
        assert encrypted.version() == "TLSv1.1"


@pytest.mark.failure("M1")
@pytest.mark.parametrize("security", ["starttls", "tls"])
@pytest.mark.parametrize("fault", ["self-signed", "wrong host", "expired"])
def test_a_bad_certificate_sends_nothing_and_says_no_password(
    authority: Authority, fault: str, security: str
) -> None:
    from datetime import UTC, datetime

    contexts = {
        "self-signed": lambda: Authority(trustme.CA(), authority.file).context("localhost"),
        "wrong host": lambda: authority.context("other.example"),
        "expired": lambda: authority.context(
            "localhost",
            not_before=datetime(2019, 1, 1, tzinfo=UTC),
            not_after=datetime(2020, 1, 1, tzinfo=UTC),
        ),
    }
    with server(
        tls=contexts[fault](), implicit_tls=security == "tls", users={"u": PASSWORD}
    ) as relay:
        settings = a_relay(
            relay.port,
            host="localhost",
            security=security,
            ca_file=authority.file,
            username="u",
            password=Secret(PASSWORD),
        )
        told = deliver_all(settings)

    assert list(told.outcomes.values()) == ["not sent"] * 3
    assert relay.count("AUTH") == relay.count("MAIL") == 0
    assert relay.connections == 1
    assert "the TLS handshake" in str(told.errors[TEAM[0]])


@pytest.mark.failure("M1")
def test_a_relay_without_starttls_gets_neither_mail_nor_password() -> None:
    with server(users={"u": PASSWORD}) as relay:
        settings = a_relay(relay.port, security="starttls", username="u", password=Secret(PASSWORD))
        told = deliver_all(settings)

    assert list(told.outcomes.values()) == ["not sent"] * 3
    assert relay.count("AUTH") == relay.count("MAIL") == 0
    assert "offers no STARTTLS" in str(told.errors[TEAM[0]])


def test_a_reply_forged_before_the_handshake_is_not_believed_after_it(authority: Authority) -> None:
    with server(Fault("STARTTLS", "inject"), tls=authority.context("localhost")) as relay:
        settings = a_relay(
            relay.port,
            host="localhost",
            security="starttls",
            ca_file=authority.file,
            username="u",
            password=Secret(PASSWORD),
        )
        told = deliver_all(settings, TEAM[:1])

    assert relay.count("AUTH") == 0
    assert told.outcomes[TEAM[0]] == "not sent"


@pytest.mark.failure("M1")
def test_a_tls_handshake_that_dribbles_is_cut_off(authority: Authority) -> None:
    timeouts = impatient(setup=0.5)
    with server() as relay:  # speaks plain text, so the handshake waits for ever
        relay.faults = (Fault("greeting", "hang"),)
        settings = a_relay(
            relay.port, host="localhost", security="tls", ca_file=authority.file, timeouts=timeouts
        )
        began = time.monotonic()
        told = deliver_all(settings, TEAM[:1])

    assert told.outcomes[TEAM[0]] == "not sent"
    assert time.monotonic() - began < 4


# -------------------------------------------------------------------------------------------- AUTH


@pytest.mark.parametrize(
    ("offered", "wanted", "used"),
    [
        (("PLAIN", "LOGIN"), None, "PLAIN"),
        (("LOGIN",), None, "LOGIN"),
        (("LOGIN", "PLAIN"), "login", "LOGIN"),
        (("XOAUTH2", "PLAIN"), "xoauth2", "XOAUTH2"),
    ],
)
def test_one_mechanism_logs_in(offered: tuple[str, ...], wanted: str | None, used: str) -> None:
    with server(users={"u": PASSWORD}, mechanisms=offered) as relay:
        settings = a_relay(relay.port, username="u", password=Secret(PASSWORD), mechanism=wanted)
        told = deliver_all(settings, TEAM[:1])

    assert told.outcomes[TEAM[0]] == "sent"
    assert [line.split()[1] for line in relay.commands if line.startswith("AUTH")] == [used]


@pytest.mark.failure("M2")
@pytest.mark.parametrize("mechanism", ["plain", "login", "xoauth2"])
def test_a_wrong_password_is_tried_exactly_once_and_never_shown(mechanism: str) -> None:
    with server(users={"u": "right"}, mechanisms=("PLAIN", "LOGIN", "XOAUTH2")) as relay:
        settings = a_relay(relay.port, username="u", password=Secret(PASSWORD), mechanism=mechanism)
        told = deliver_all(settings)

    error = told.errors[TEAM[0]]
    assert list(told.outcomes.values()) == ["not sent"] * 3
    assert error.permanent
    assert "535 5.7.8 wrong user or password" in str(error)
    assert relay.count("AUTH") == 1
    assert relay.count("MAIL") == 0
    chain = f"{error!r}{error.__cause__!r}{error.__context__!r}{settings!r}"
    for form in (PASSWORD, base64.b64encode(PASSWORD.encode()).decode()):
        assert form not in chain


def test_a_login_that_fails_for_now_is_not_permanent() -> None:
    with server(Fault("AUTH", "454 4.7.0 later"), users={"u": PASSWORD}) as relay:
        settings = a_relay(relay.port, username="u", password=Secret(PASSWORD))
        told = deliver_all(settings, TEAM[:1])

    assert not told.errors[TEAM[0]].permanent


def test_a_mechanism_that_is_not_offered_is_named() -> None:
    with server(users={"u": PASSWORD}, mechanisms=("LOGIN",)) as relay:
        settings = a_relay(relay.port, username="u", password=Secret(PASSWORD), mechanism="xoauth2")
        told = deliver_all(settings, TEAM[:1])

    assert "offers LOGIN, not XOAUTH2" in str(told.errors[TEAM[0]])


# ------------------------------------------------------------------------------------------- check


def test_check_logs_in_and_never_sends(authority: Authority) -> None:
    with server(
        tls=authority.context("localhost"), users={"u": PASSWORD}, size=35_000_000
    ) as relay:
        settings = a_relay(
            relay.port,
            host="localhost",
            security="starttls",
            ca_file=authority.file,
            username="u",
            password=Secret(PASSWORD),
        )
        findings = settings.check()

    assert [finding.level for finding in findings] == ["ok", "ok"]
    assert "TLSv1.3, logged in as u, SIZE 35000000, mechanisms PLAIN" in findings[0].text
    assert "sign mail from sender.example with DKIM" in findings[1].text
    assert relay.count("NOOP") == 1
    assert relay.count("MAIL") == 0


def test_check_reports_a_relay_that_cannot_be_used() -> None:
    with server(Fault("NOOP", "drop")) as relay:
        findings = a_relay(relay.port).check()

    assert [finding.level for finding in findings] == ["error"]
    assert "failed at NOOP" in findings[0].text


def test_check_reports_a_relay_that_refuses_everybody() -> None:
    with server(Fault("greeting", "554 5.7.1 your network is blocked")) as relay:
        text = a_relay(relay.port).check()[0].text

    assert text.endswith("refused at the greeting: 554 5.7.1 your network is blocked")


def test_check_describes_a_plain_relay() -> None:
    with server() as relay:
        text = a_relay(relay.port).check()[0].text

    assert text.endswith("not encrypted, no login, no SIZE limit, mechanisms none")


def test_plain_text_to_another_machine_is_a_warning() -> None:
    findings = tuple(a_relay(1, host="relay.example", allow_plaintext=True)._advice())

    assert findings[1].level == "warning"


# ---------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"host": " "}, "host: is empty"),
        ({"host": "relay..example"}, "host: 'relay..example' is no name"),
        ({"host": f"{'x' * 64}.example"}, "is no name that the DNS can have"),
        ({"port": 70_000}, "port: 70000"),
        ({"max_per_connection": 0}, "max_per_connection: 0"),
        ({"username": "u"}, "username and password belong together"),
        ({"host": "relay.example"}, "readable to relay.example"),
        ({"sender": "nobody"}, "sender: 'nobody' is not a mail address"),
        ({"reply_to": "a@b@c"}, "reply_to: 'a@b@c'"),
        ({"bounce_address": "ä@b.example"}, "bounce_address: 'ä@b.example' has letters outside"),
        ({"recipients": (Recipient("x"),)}, "recipients: 'x' is not a mail address"),
        ({"list_id": "a b"}, "list_id: 'a b' must be plain"),
        ({"unsubscribe": ("https://x.example/<",)}, "unsubscribe: 'https://x.example/<' must be"),
        ({"list_id": "x" * 900}, "list_id: 904 characters are too many"),
        (
            {"unsubscribe": ("mailto:" + "x" * 500, "https://" + "x" * 500)},
            "unsubscribe: 1023 char",
        ),
        ({"unsubscribe": ("http://x.example",)}, "must begin with https:// or mailto:"),
        ({"one_click": True, "unsubscribe": ("mailto:a@b.example",)}, "one_click: needs an https"),
        (
            {"idempotency_header": "Subject", "idempotency_minutes": 1},
            "'Subject' is no such header",
        ),
        ({"idempotency_header": KEY_HEADER}, "idempotency_header and idempotency_minutes belong"),
        ({"idempotency_minutes": 5}, "idempotency_header and idempotency_minutes belong together"),
        (
            {"idempotency_header": KEY_HEADER, "idempotency_minutes": 0},
            "idempotency_minutes: 0; allowed: 1 to 10080",
        ),
        ({"on_unknown": "resend"}, 'on_unknown: "resend" needs a relay that knows its mails again'),
    ],
)
def test_a_wrong_setting_is_named_with_what_was_found(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        a_relay(change.pop("port", 25), **change)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"reply": 0}, "timeouts.reply: 0 must be above"), ({"transfer": 301}, "allowed are 300")],
)
def test_a_timeout_that_would_outlive_the_lease_is_refused(
    change: dict[str, float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Timeouts(**change)


@pytest.mark.parametrize(("security", "port"), [("starttls", 587), ("tls", 465), ("none", 25)])
def test_each_security_has_its_usual_port(security: str, port: int) -> None:
    settings = a_relay(None, security=security, local_hostname="here.example")

    assert settings.address == f"127.0.0.1:{port}"
    assert settings.hello == "here.example"


def test_the_longest_unsubscribe_link_that_may_be_set_can_be_written() -> None:
    relay = a_relay(25, unsubscribe=("https://x.example/" + "t" * 828,), list_id="x" * 846)
    mail = pack(
        render(an_edition(), relay.recipients[0]),
        recipient=relay.recipients[0],
        headers=relay.headers,
        key="k",
        sent_at=START,
    )

    assert b"\r\nList-Unsubscribe: <https://x.example/ttt" in mail


@pytest.mark.parametrize(
    ("settings", "header", "minutes"),
    [
        ({"on_unknown": "resend"}, KEY_HEADER, 15),
        ({}, KEY_HEADER, None),
        # Frozen before the setting was there: the relay has never seen a key of this mail.
        ({"on_unknown": "resend"}, None, None),
    ],
)
def test_a_mail_may_go_out_once_more_only_while_the_relay_remembers_its_key(
    settings: dict[str, Any], header: str | None, minutes: int | None
) -> None:
    relay = a_relay(25, idempotency_header=KEY_HEADER, idempotency_minutes=15, **settings)
    content = pack(
        render(an_edition(), relay.recipients[0]),
        recipient=relay.recipients[0],
        headers=replace(relay.headers, idempotency_header=header),
        key="k",
        sent_at=START,
    )

    assert isinstance(relay, Remembers)
    remembered = relay.remembers(Envelope("k", TEAM[0], content))
    assert remembered == (timedelta(minutes=minutes) if minutes else None)


def test_a_relay_without_memory_remembers_nothing() -> None:
    assert a_relay(25).remembers(Envelope("k", TEAM[0], MAIL)) is None


def test_the_letterhead_comes_from_the_settings() -> None:
    settings = a_relay(
        1,
        reply_to="ana@team.example",
        list_id="leads.team.example",
        unsubscribe=("https://team.example/u", "mailto:ana@team.example"),
        one_click=True,
    )

    assert settings.form == "mime"
    assert settings.headers.reply_to == "ana@team.example"
    assert settings.headers.one_click


def test_a_session_that_was_cut_between_two_messages_goes_on_with_a_new_connection() -> None:
    with server() as relay:
        session = SmtpSession(a_relay(relay.port))
        session._connect().close()
        session.deliver(Envelope("k", TEAM[0], MAIL), commit=lambda: True)
        session.quit()

    assert len(relay.accepted) == 1
    assert relay.connections == 2


def test_a_session_that_is_cut_before_the_dot_sends_nothing() -> None:
    with server() as relay, a_relay(relay.port).session() as session:

        def cut() -> bool:
            smtp = session._smtp
            assert smtp is not None
            smtp.close()
            return True

        with pytest.raises(DeliveryError) as raised:
            session.deliver(Envelope("k", TEAM[0], MAIL), commit=cut)

    assert outcome_of(raised.value) == "deferred"
    assert relay.accepted == []

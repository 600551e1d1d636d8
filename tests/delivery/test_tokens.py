"""Access tokens: asked for once, kept while they live, renewed once when refused, and shown to nobody."""

from __future__ import annotations

import base64
import re
import socket
import ssl
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from digest.channels.smtp import Smtp
from digest.errors import DeliveryError
from digest.model import Envelope, Recipient, Secret
from digest.tokens import HOSTS, SECONDS, OAuth, Tokens
from tests.delivery.scene import PATIENT, Clock, Sender, a_ledger
from tests.fakes import identity
from tests.fakes.identity import (
    ACCOUNT,
    CLIENT,
    MAILBOX,
    NOW,
    REFRESH,
    SECRET,
    TENANT,
    IdentityServer,
)
from tests.fakes.smtp import Fault, SmtpServer, running

SCOPES = {
    "microsoft": "https://outlook.office365.com/.default",
    "google": "https://mail.google.com/",
}
BY_SECRET: dict[str, Any] = {
    "provider": "microsoft",
    "tenant": TENANT,
    "client_id": CLIENT,
    "client_secret": Secret(SECRET),
}
BY_REFRESH: dict[str, Any] = {
    "provider": "google",
    "client_id": CLIENT,
    "client_secret": Secret(SECRET),
    "refresh_token": Secret(REFRESH),
}


def by_certificate() -> dict[str, Any]:
    pem = identity.private_pem() + identity.certificate_pem()
    return {**BY_SECRET, "client_secret": None, "certificate": Secret(pem)}


def by_account() -> dict[str, Any]:
    return {"provider": "google", "service_account": Secret(identity.account_json())}


WAYS = {
    "microsoft: secret": lambda: BY_SECRET,
    "microsoft: certificate": by_certificate,
    "google: refresh token": lambda: BY_REFRESH,
    "google: service account": by_account,
}


@pytest.fixture
def server() -> Iterator[IdentityServer]:
    with identity.running(IdentityServer()) as one:
        yield one


class Ticking:
    """Seconds that only grow, when told."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def tokens(
    server: IdentityServer,
    clock: Ticking | None = None,
    seconds: float = SECONDS,
    **way: Any,  # noqa: ANN401 - any setting
) -> Tokens:
    given = OAuth(**(way or BY_SECRET))
    return Tokens(
        given,
        scope=SCOPES[given.provider],
        mailbox=MAILBOX,
        channel="smtp",
        hosts=server.hosts,
        seconds=seconds,
        clock=clock or Ticking(),
        wall=lambda: NOW,
    )


@pytest.mark.parametrize("way", WAYS)
def test_each_way_of_logging_in_brings_a_token(server: IdentityServer, way: str) -> None:
    found = tokens(server, **WAYS[way]()).token()

    assert server.refusals == []
    assert found == ("token-1", False)


def test_a_token_is_kept_while_it_lives_and_fetched_anew_five_minutes_before_it_ends(
    server: IdentityServer,
) -> None:
    clock = Ticking()
    mine = tokens(server, clock)

    first = mine.token()
    clock.now += 3299
    kept = mine.token()
    clock.now += 1
    fetched = mine.token()

    assert (first, kept, fetched) == (("token-1", False), ("token-1", True), ("token-2", False))
    assert server.requests == 2


@pytest.mark.parametrize("life", [None, "soon", -5, 1.5, True, 0])
def test_a_token_of_unknown_life_is_used_at_once_and_not_kept(
    server: IdentityServer, life: object
) -> None:
    server.life = life
    mine = tokens(server)

    assert [mine.token(), mine.token()] == [("token-1", False), ("token-2", False)]


def test_a_life_written_as_text_counts(server: IdentityServer) -> None:
    server.life = "3600"
    mine = tokens(server)

    assert [mine.token(), mine.token()] == [("token-1", False), ("token-1", True)]


@pytest.mark.failure("M2")
@pytest.mark.parametrize(
    ("way", "wrong", "words"),
    [
        (
            "microsoft: secret",
            {"client_secret": Secret("canary-old-1f")},
            "has expired: make a new one",
        ),
        ("microsoft: secret", {"client_id": "other"}, "check tenant and client_id"),
        (
            "google: refresh token",
            {"client_secret": Secret("canary-old-1f")},
            "check client_id and",
        ),
        (
            "google: refresh token",
            {"refresh_token": Secret("canary-old-1f")},
            "the consent has ended",
        ),
    ],
)
def test_an_app_that_is_refused_is_told_what_to_renew_and_no_secret(
    server: IdentityServer, way: str, wrong: dict[str, Any], words: str
) -> None:
    mine = tokens(server, **{**WAYS[way](), **wrong})

    with pytest.raises(DeliveryError, match=words) as raised:
        mine.token()

    assert raised.value.permanent
    assert raised.value.concerns_all
    assert (
        "canary" not in f"{raised.value!r} {raised.value.__cause__!r} {raised.value.__context__!r}"
    )
    assert server.requests == 1


def test_microsofts_number_of_a_refusal_is_shown_and_its_words_are_not(
    server: IdentityServer,
) -> None:
    with pytest.raises(DeliveryError) as raised:
        tokens(server, **{**BY_SECRET, "client_secret": Secret("canary-old-1f")}).token()

    assert "(invalid_client, AADSTS7000215)" in str(raised.value)
    assert "Invalid client secret provided" not in str(raised.value)


@pytest.mark.failure("M1")
@pytest.mark.parametrize(
    "answer",
    ["drop", "html", "token", "status 500", "status 503", "status 400", "status 302",
     "error temporarily_unavailable 400", "error server_error 400", "error Not_A_Code 400"],
)  # fmt: skip
def test_what_may_pass_is_tried_again_later(server: IdentityServer, answer: str) -> None:
    server.answers = [answer]
    mine = tokens(server)

    with pytest.raises(DeliveryError) as raised:
        mine.token()

    assert not raised.value.permanent
    assert raised.value.concerns_all
    assert "canary" not in f"{raised.value!r} {raised.value.__cause__!r}"
    assert mine.token() == ("token-1", False)


def test_a_busy_login_server_is_given_the_time_it_asks_for(server: IdentityServer) -> None:
    server.answers, server.headers = ["status 429"], {"Retry-After": "17"}

    with pytest.raises(DeliveryError) as raised:
        tokens(server).token()

    assert raised.value.retry_after == 17


def test_a_login_server_that_is_away_says_so(server: IdentityServer) -> None:
    with closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))
        server.port = unused.getsockname()[1]

    with pytest.raises(
        DeliveryError, match=r"login server cannot be reached \(Connection refused\)"
    ):
        tokens(server).token()


def test_a_login_server_that_hangs_costs_a_limited_time(server: IdentityServer) -> None:
    server.answers = ["hang"]
    began = time.monotonic()

    with pytest.raises(DeliveryError, match="timed out") as raised:
        tokens(server, seconds=0.3).token()

    assert not raised.value.permanent
    assert time.monotonic() - began < 4


def test_a_redirect_takes_no_secret_elsewhere(server: IdentityServer) -> None:
    server.answers, server.headers = ["status 307"], {"Location": f"{server.hosts['google']}/token"}

    with pytest.raises(DeliveryError, match="answered 307"):
        tokens(server).token()

    assert server.requests == 1


def test_tokens_come_from_two_hosts_only_whatever_a_key_file_says() -> None:
    assert HOSTS == {
        "microsoft": "https://login.microsoftonline.com",
        "google": "https://oauth2.googleapis.com",
    }
    assert "evil.example" in identity.account_json()
    assert Smtp.token_hosts is HOSTS


# ---------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("way", "change", "message"),
    [
        ("microsoft: secret", {"client_secret": None}, 'provider: "microsoft" needs'),
        (
            "microsoft: secret",
            {"refresh_token": Secret("x")},
            "found client_id, client_secret, refr",
        ),
        ("google: refresh token", {"tenant": "x"}, 'provider: "google" needs'),
        (
            "google: service account",
            {"client_id": "x"},
            "needs client_id, client_secret, refresh_tok",
        ),
        ("microsoft: secret", {"tenant": "../common"}, "tenant: '../common' is neither"),
        ("microsoft: secret", {"tenant": ""}, "tenant: '' is neither"),
        (
            "google: service account",
            {"service_account": Secret("{}")},
            "service_account: this is no JSON",
        ),
        (
            "google: service account",
            {"service_account": Secret("[1]")},
            "service_account: this is no JSON",
        ),
        (
            "google: service account",
            {"service_account": Secret('{"client_email": "a", "private_key": "canary"}')},
            "service_account: its private key is no RSA key",
        ),
        (
            "microsoft: certificate",
            {"certificate": Secret("canary")},
            "certificate: has no certificate",
        ),
    ],
)
def test_settings_that_cannot_work_are_named(
    way: str, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as raised:
        OAuth(**{**WAYS[way](), **change})

    assert "canary" not in f"{raised.value!r} {raised.value.__cause__!r}"


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (identity.certificate_pem, "its private key is no RSA key"),
        (
            lambda: (
                identity.private_pem() + "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----"
            ),
            "the certificate is not in PEM form",
        ),
    ],
)
def test_a_certificate_needs_its_key_and_the_other_way_round(part: Any, words: str) -> None:  # noqa: ANN401 - a text made late
    with pytest.raises(ValueError, match=words):
        OAuth(**{**by_certificate(), "certificate": Secret(part())})


def test_without_the_package_a_certificate_says_what_to_install() -> None:
    given = by_certificate()
    present = sys.modules["jwt"]
    sys.modules["jwt"] = None  # type: ignore[assignment] # how Python marks a module as not importable
    try:
        with pytest.raises(ValueError, match=re.escape('pip install "sla-digest[oauth]"')):
            OAuth(**given)
    finally:
        sys.modules["jwt"] = present


def test_a_secret_that_could_not_be_read_is_not_told_twice() -> None:
    assert OAuth(provider="google", service_account=Secret("")).service_account == Secret("")


def test_no_secret_is_in_what_the_settings_say_of_themselves() -> None:
    for make in WAYS.values():
        shown = repr(OAuth(**make()))
        assert "canary" not in shown
        assert "PRIVATE" not in shown


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"username": None}, "oauth: needs username, the mailbox, and no password"),
        ({"password": Secret("x")}, "oauth: needs username, the mailbox, and no password"),
        ({"mechanism": "plain"}, "mechanism: 'plain' takes no access token"),
    ],
)
def test_a_mailbox_with_a_token_has_no_password(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        a_mailbox(1, HOSTS, **change)


# ------------------------------------------------------------------------------------- at the relay


def a_mailbox(port: int, hosts: Mapping[str, str], **settings: Any) -> Smtp:  # noqa: ANN401 - any setting
    class OnLoopback(Smtp):
        token_hosts = hosts

    given: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": port,
        "security": "none",
        "sender": MAILBOX,
        "username": MAILBOX,
        "oauth": OAuth(**BY_SECRET),
        "recipients": (Recipient("ana@team.example"), Recipient("ben@team.example")),
        "timeouts": PATIENT,
    }
    return OnLoopback(**{**given, **settings})


def a_server(*faults: Fault, good: str = "token-1", **settings: Any) -> SmtpServer:  # noqa: ANN401 - any setting
    return SmtpServer(
        faults=faults, users={MAILBOX: good}, mechanisms=("LOGIN", "XOAUTH2"), **settings
    )


def post_one(relay: Smtp, commits: list[str] | None = None) -> str:
    def commit() -> bool:
        (commits if commits is not None else []).append("commit")
        return True

    with relay.session() as session:
        return session.deliver(
            Envelope("k", "ana@team.example", b"Subject: x\r\n\r\nbody\r\n"), commit=commit
        )


def test_a_mail_goes_out_with_a_token_over_verified_tls(
    server: IdentityServer, tmp_path: Path
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with running(a_server(tls=context)) as smtp:
        post_one(
            a_mailbox(
                smtp.port,
                server.hosts,
                host="localhost",
                security="starttls",
                ca_file=tmp_path / "ca.pem",
            )
        )

    said = [line for line in smtp.commands if line.startswith("AUTH")]
    blob = base64.b64decode(said[0].removeprefix("AUTH XOAUTH2 "))
    assert len(smtp.accepted) == len(said) == 1
    assert blob == f"user={MAILBOX}\1auth=Bearer token-1\1\1".encode()


def test_the_token_is_fetched_before_the_relay_is_contacted(server: IdentityServer) -> None:
    server.answers = ["status 503"]
    with running(a_server()) as smtp:
        relay = a_mailbox(smtp.port, server.hosts)
        with pytest.raises(DeliveryError, match="answered 503"):
            post_one(relay)

    assert smtp.connections == 0


def test_one_token_serves_all_sessions_of_a_process(server: IdentityServer) -> None:
    with running(a_server()) as smtp:
        relay = a_mailbox(smtp.port, server.hosts)
        post_one(relay)
        post_one(relay)

    assert len(smtp.accepted) == 2
    assert server.requests == 1


@pytest.mark.failure("M2")
def test_a_token_that_ended_before_its_time_is_renewed_once(server: IdentityServer) -> None:
    with running(a_server()) as smtp:
        relay = a_mailbox(smtp.port, server.hosts)
        post_one(relay)
        smtp.users = {MAILBOX: "token-2"}
        post_one(relay)
        smtp.users = {MAILBOX: "token-3"}
        with pytest.raises(DeliveryError, match="535") as raised:
            post_one(relay)

    assert len(smtp.accepted) == 2
    assert smtp.count("AUTH") == 4  # the first, a refused and a renewed one, and the last refused
    assert server.requests == 2
    assert raised.value.permanent


@pytest.mark.failure("M2")
def test_a_token_refused_at_once_is_not_fetched_a_second_time(server: IdentityServer) -> None:
    commits: list[str] = []
    with running(a_server(good="another")) as smtp, pytest.raises(DeliveryError) as raised:
        post_one(a_mailbox(smtp.port, server.hosts), commits)

    assert raised.value.permanent
    assert raised.value.concerns_all
    assert (smtp.count("AUTH"), smtp.count("MAIL"), server.requests, commits) == (1, 0, 1, [])


def test_a_login_refused_for_now_does_not_cost_the_token(server: IdentityServer) -> None:
    with running(a_server(Fault("AUTH", "454 4.7.0 later", skip=1, times=1))) as smtp:
        relay = a_mailbox(smtp.port, server.hosts)
        post_one(relay)
        with pytest.raises(DeliveryError) as raised:
            post_one(relay)
        post_one(relay)

    assert not raised.value.permanent
    assert server.requests == 1


def test_the_remainder_of_a_refusal_is_asked_for_with_an_empty_line(
    server: IdentityServer,
) -> None:
    with (
        running(a_server(good="another")) as smtp,
        pytest.raises(DeliveryError, match=r"535 5\.7\.8"),
    ):
        post_one(a_mailbox(smtp.port, server.hosts))

    assert smtp.continuations == [b"\r\n"]


def test_a_relay_that_takes_no_tokens_is_named(server: IdentityServer) -> None:
    with (
        running(SmtpServer(users={MAILBOX: "x"}, mechanisms=("PLAIN",))) as smtp,
        pytest.raises(DeliveryError, match="offers PLAIN, not XOAUTH2"),
    ):
        post_one(a_mailbox(smtp.port, server.hosts))


@pytest.mark.failure("M1")
def test_everybody_waits_while_there_is_no_token_and_is_served_in_the_same_call(
    server: IdentityServer, tmp_path: Path
) -> None:
    server.answers = ["drop", "status 503"]
    clock = Clock()
    with running(a_server()) as smtp:
        channel = a_mailbox(smtp.port, server.hosts)
        sender = Sender(a_ledger(tmp_path / "ledger.db", clock), clock, {"mail": channel})
        result = sender.send(patience=timedelta(minutes=20))

    assert result.exit_code == 0
    assert clock.slept == [60, 300]
    assert len(smtp.accepted) == 2


@pytest.mark.failure("M2")
def test_an_app_that_is_refused_stops_the_mails_of_a_call_and_keeps_them(
    server: IdentityServer, tmp_path: Path
) -> None:
    server.answers = ["error invalid_client 401"] * 9
    clock = Clock()
    with running(a_server()) as smtp:
        channel = a_mailbox(smtp.port, server.hosts)
        sender = Sender(a_ledger(tmp_path / "ledger.db", clock), clock, {"mail": channel})
        result = sender.send(patience=timedelta(minutes=20))

    assert result.exit_code == 4
    assert set(sender.states().values()) == {"pending"}
    assert (server.requests, smtp.connections, clock.slept) == (1, 0, [])
    assert "make a new one in Entra" in result.lines[0]
    assert SECRET not in repr(result) + (tmp_path / "ledger.db").read_bytes().decode("latin-1")


def test_check_says_that_the_mailbox_can_log_in_or_why_not(server: IdentityServer) -> None:
    with running(a_server()) as smtp:
        good = a_mailbox(smtp.port, server.hosts).check()
        server.answers = ["error unauthorized_client 400"]
        bad = a_mailbox(smtp.port, server.hosts).check()

    assert good[0].text.endswith(f"logged in as {MAILBOX}, no SIZE limit, mechanisms LOGIN XOAUTH2")
    assert [finding.level for finding in bad] == ["error"]
    assert "this tenant does not know the app" in bad[0].text


def test_the_account_of_a_key_file_is_the_one_that_asks(server: IdentityServer) -> None:
    other = identity.account_json().replace(ACCOUNT, "other@project.iam.example")

    with pytest.raises(DeliveryError, match="invalid_grant"):
        tokens(server, provider="google", service_account=Secret(other)).token()

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from email import message_from_bytes
from functools import cache
from pathlib import Path

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from digest.channels.smtp import Smtp
from digest.model import Dkim, MailHeaders, Recipient, Secret
from digest.render.mime import pack
from tests.delivery.scene import START
from tests.delivery.test_channel_contract import MESSAGE

HEADERS = MailHeaders(
    sender="Leads digest <digest@mail.company.example>",
    reply_to="ana@company.example",
    list_id="leads.company.example",
    unsubscribe=("https://company.example/u?id=1", "mailto:ana@company.example"),
    one_click=True,
)


@cache
def pair() -> tuple[Dkim, bytes]:
    """Return a signing key and the TXT record that a DNS server would answer with."""
    key = rsa.generate_private_key(65537, 2048)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    ).decode()
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    record = b"v=DKIM1; k=rsa; p=" + b"".join(public.splitlines()[1:-1])
    return Dkim("company.example", "digest2026", Secret(private)), record


def signed(headers: MailHeaders = HEADERS) -> bytes:
    return pack(
        MESSAGE,
        recipient=Recipient("ana@team.example"),
        headers=replace(headers, dkim=pair()[0]),
        key="leads/2026-06-15/smtp/ana@team.example",
        sent_at=START,
    )


def holds(content: bytes) -> bool:
    def answer(name: bytes, **_: object) -> bytes:
        assert name == b"digest2026._domainkey.company.example."
        return pair()[1]

    return bool(dkim.verify(content, dnsfunc=answer))


def test_a_signed_mail_verifies_with_the_published_key() -> None:
    assert holds(signed())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"Subject: ", b"Subject: Paid "),
        (b"List-Unsubscribe-Post: List-Unsubscribe=One-Click", b"List-Unsubscribe-Post: no"),
        (b"https://company.example/u?id=1", b"https://company.example/u?id=2"),
        (b"From: ", b"From: evil@company.example\r\nFrom: "),
        (b"Leads\r\n", b"Leads!\r\n"),
    ],
)
def test_a_changed_mail_does_not_verify(before: bytes, after: bytes) -> None:
    mail = signed()
    assert mail.count(before) >= 1

    assert not holds(mail.replace(before, after, 1))


def test_the_rest_of_a_signed_mail_is_the_unsigned_one() -> None:
    bare = pack(
        MESSAGE,
        recipient=Recipient("ana@team.example"),
        headers=HEADERS,
        key="leads/2026-06-15/smtp/ana@team.example",
        sent_at=START,
    )

    assert signed().endswith(bare)
    assert signed().startswith(b"DKIM-Signature: ")
    assert max(map(len, signed().split(b"\r\n"))) <= 998


# ------------------------------------------------------------------------------------ the settings


def channel(**fields: object) -> Smtp:
    wanted: dict[str, object] = {
        "host": "127.0.0.1",
        "sender": "digest@mail.company.example",
        "dkim": pair()[0],
    }
    return Smtp(**{**wanted, **fields})  # type: ignore[arg-type] # fields of Smtp


@pytest.mark.parametrize(
    "domain", ["company.example", "mail.company.example", "MAIL.company.example"]
)
def test_the_domain_may_be_the_senders_or_one_above_it(domain: str) -> None:
    headers = channel(dkim=replace(pair()[0], domain=domain)).headers

    assert headers.dkim is not None
    assert headers.dkim.domain == domain


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"domain": "other.example"},
            "dkim.domain: 'other.example' is not the domain of the sender",
        ),
        ({"domain": "any.example"}, "dkim.domain"),
        ({"selector": "no space"}, "dkim.selector: 'no space' is no name in the DNS"),
        ({"private_key": Secret("planted-key-31")}, "private_key: this is no RSA key in PEM form"),
        (
            {"private_key": Secret("-----BEGIN RSA PRIVATE KEY-----\nplanted-key-31\n")},
            "no RSA key",
        ),
    ],
)
def test_a_key_that_cannot_sign_is_found_when_settings_are_loaded(
    change: dict[str, object], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        channel(dkim=replace(pair()[0], **change))  # type: ignore[arg-type] # fields of Dkim

    assert "planted-key-31" not in str(caught.value)


def test_without_the_package_the_way_to_install_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "dkim.py").write_text("raise ModuleNotFoundError('dkim')")
    program = (
        "from digest.model import Dkim, Secret\n"
        "from digest.signing import check_key\n"
        "check_key(Dkim('a.example', 's', Secret('k')))"
    )

    done = subprocess.run(  # noqa: S603 - this interpreter, a constant program
        [sys.executable, "-c", program],
        env={"PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2]}", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )

    assert 'pip install "sla-digest[dkim]"' in done.stderr


# ------------------------------------------------------------------------------ one conversation


def threaded(digest: str = "leads", *, month_close: bool = False) -> dict[str, str]:
    message = replace(MESSAGE, digest=digest)
    if month_close:
        message = replace(message, month=message.month.replace(month=5), thread_subject="Leads May")
    mail = message_from_bytes(
        pack(
            message,
            recipient=Recipient("ana@team.example"),
            headers=replace(HEADERS, thread=True),
            key="k",
            sent_at=START,
        )
    )
    return {name: str(mail[name]) for name in ("Subject", "References", "In-Reply-To")}


def test_the_mails_of_a_month_share_subject_and_reference() -> None:
    first = threaded()

    assert first["Subject"] == MESSAGE.thread_subject
    assert first["References"] == first["In-Reply-To"] == "<leads.2026-06@mail.company.example>"
    assert threaded(month_close=True)["References"] == "<leads.2026-05@mail.company.example>"
    assert threaded("other")["References"] != first["References"]


def test_by_default_a_mail_answers_nothing_and_says_the_verdict() -> None:
    mail = message_from_bytes(signed())

    assert mail["References"] is None
    assert mail["In-Reply-To"] is None
    assert Smtp(host="127.0.0.1", sender="digest@company.example").headers.thread is False
    assert channel(thread="month").headers.thread is True

"""What a spam filter and a strict reader say of the bytes that travel."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from digest.model import MailHeaders, Recipient
from digest.render.mime import pack
from tests.effort import EVERYTHING
from tests.render.outputs import EDITIONS, LOCALES, message_of

SPAMASSASSIN = shutil.which("spamassassin")
RULES = (
    "/usr/share/spamassassin"  # the packaged rules: what was downloaded since differs by machine
)
LIMIT = 1.0
SCORE = re.compile(
    rb"^X-Spam-Status: \S+ score=(-?[\d.]+) .*?tests=(.*?) autolearn", re.MULTILINE | re.DOTALL
)
HEADERS = MailHeaders(
    sender="Leads EMEA <digest@sender.example>",
    reply_to="Ana Müller <ana@sender.example>",
    list_id="leads-emea.sender.example",
    unsubscribe=("https://sender.example/u/7f3a", "mailto:ana@sender.example"),
    one_click=True,
)
AT = datetime(2026, 6, 15, 4, 31, 12, tzinfo=UTC)
# Some rules look at the letters of the Message-ID, so a suspicious style counts in one mail of three:
# each of these has another one.
# The filter takes a second for each.
FILTERED = (
    ("at_risk", "behind", "month_close", "sales_half", "no_data", "branded", "fullest_8")
    if EVERYTHING
    else ("at_risk", "fullest_8")
)


@cache
def packed(edition: str, locale: str) -> bytes:
    return pack(
        message_of(edition, locale),
        recipient=Recipient("ben@team.example"),
        headers=HEADERS,
        key=f"emea/2026-06-15/mail/{edition}",
        sent_at=AT,
    )


def scores(mails: Mapping[str, bytes]) -> dict[str, tuple[float, str]]:
    """Return score and rules per mail; one process, because its start costs more than a mail."""
    with TemporaryDirectory() as folder:
        files = [Path(folder, f"{number}.eml") for number in range(len(mails))]
        for file, content in zip(files, mails.values(), strict=True):
            file.write_bytes(content)
        done = subprocess.run(  # noqa: S603 - our own files
            [
                SPAMASSASSIN or "spamassassin",
                *("--local", "--test-mode", f"--configpath={RULES}"),
                *("--nocreate-prefs", f"--prefspath={folder}/none", *map(str, files)),
            ],
            capture_output=True,
            check=True,
            env={"HOME": folder, "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        )
    found = SCORE.findall(done.stdout)
    assert len(found) == len(mails), done.stderr.decode()
    return {
        name: (float(score), b" ".join(rules.split()).decode())
        for name, (score, rules) in zip(mails, found, strict=True)
    }


def spoiled() -> dict[str, bytes]:
    good = packed("at_risk", "en")
    pale = b'<body><div style=3D"color:#ffffff;background:#ffffff">Unsichtbar</div'
    return {
        "no date": re.sub(rb"\r\nDate: [^\r]*", b"", good),
        "no message id": re.sub(rb"\r\nMessage-ID: [^\r]*", b"", good),
        # The Message-ID of this mail is one that makes such a style suspicious.
        "tiny letters": re.sub(
            rb"<body\b",
            b'<body><p style=3D"font-size:1px;">tiny</p',
            packed("no_data", "en"),
            count=1,
        ),
        "white on white": re.sub(rb"<body\b", pale, good, count=1),
    }


@cache
def filtered() -> dict[str, tuple[float, str]]:
    mails = {
        f"{name}, {locale}": packed(name, locale)
        for name in FILTERED
        for locale in LOCALES
        if locale == LOCALES[0] or (EVERYTHING and name in ("at_risk", "fullest_8"))
    }
    return scores({**mails, **spoiled()})


needs_spamassassin = pytest.mark.skipif(
    SPAMASSASSIN is None, reason="needs SpamAssassin; on Debian: apt install spamassassin"
)


@pytest.mark.tool
@needs_spamassassin
def test_a_spam_filter_has_nothing_against_our_mails() -> None:
    ours = {name: found for name, found in filtered().items() if name not in spoiled()}

    assert len(ours) >= len(FILTERED)
    assert {name: found for name, found in ours.items() if found[0] >= LIMIT} == {}


@pytest.mark.tool
@needs_spamassassin
@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("no date", "MISSING_DATE"),
        ("no message id", "MISSING_MID"),
        ("tiny letters", "FONT_INVIS_MSGID"),
        ("white on white", "HTML_FONT_LOW_CONTRAST"),
    ],
)
def test_the_spam_filter_finds_what_is_spoiled(name: str, rule: str) -> None:
    score, rules = filtered()[name]

    assert rule in rules
    assert score > filtered()["at_risk, en"][0] + 0.1


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("edition", EDITIONS)
def test_every_mail_reads_back_without_a_defect(edition: str, locale: str) -> None:
    content = packed(edition, locale)  # compares headers, bodies and pictures with what was meant
    mail = message_from_bytes(content, policy=default)

    assert [(part.get_content_type(), part.defects) for part in mail.walk() if part.defects] == []
    assert [(name, value.defects) for name, value in mail.items() if value.defects] == []
    assert b"\n" not in content.replace(b"\r\n", b"")
    assert max(map(len, content.partition(b"\r\n\r\n")[2].split(b"\r\n"))) <= 76
    assert b"?==?" not in content


def test_a_defect_would_be_noticed() -> None:
    content = packed("at_risk", "en")
    cut = message_from_bytes(content[: len(content) // 2], policy=default)

    assert [part for part in cut.walk() if part.defects]

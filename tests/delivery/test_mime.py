from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from digest.addresses import mailbox
from digest.model import Image, MailHeaders, Message, Recipient
from digest.render import mime
from digest.render.mime import ParseBackError, clean_subject, pack
from tests.effort import effort

ROOT = Path(__file__).parents[2]
CHART = Image("chart@digest", "chart.png", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20, "a chart")
MESSAGE = Message(
    digest="leads",
    business_date=date(2026, 4, 7),
    month=date(2026, 6, 1),
    thread_subject="Leads June 2026 - Leads",
    language="de-CH",
    subject="Leads April: 23 von 100 – à Genève",
    preheader="",
    html="<p>Grüezi " + "x" * 5000 + '</p><img src="cid:chart@digest" alt="">',
    text="Guten Tag\n.ein Punkt\nFrom hier\nGrüsse \n",
    images=(CHART,),
)
HEADERS = MailHeaders(
    sender="Leads <digest@sender.example>",
    reply_to="Ana Müller <ana@team.example>",
    list_id="leads.sender.example",
    unsubscribe=("https://sender.example/u/" + "t" * 200, "mailto:ana@team.example"),
    one_click=True,
)
AT = datetime(2026, 4, 7, 5, 31, 12, 345, tzinfo=UTC)
KEY = "leads/2026-04-07/mail/ben@team.example"


def packed(message: Message = MESSAGE, headers: MailHeaders = HEADERS, **changes: Any) -> bytes:  # noqa: ANN401 - any argument
    given: dict[str, Any] = {"recipient": Recipient("ben@team.example"), "key": KEY, "sent_at": AT}
    return pack(message, headers=headers, **{**given, **changes})


def read(content: bytes) -> EmailMessage:
    return BytesParser(policy=default).parsebytes(content)


def types_of(mail: EmailMessage) -> list[str]:
    return [part.get_content_type() for part in mail.walk()]


def raw_header(content: bytes, name: bytes) -> bytes:
    return content.partition(b"\r\n" + name + b": ")[2].partition(b"\r\n")[0]


def test_the_parts_stand_in_the_order_that_readers_expect() -> None:
    assert types_of(read(packed())) == [
        "multipart/alternative",
        "text/plain",
        "multipart/related",
        "text/html",
        "image/png",
    ]


def test_a_message_without_pictures_needs_no_related_part() -> None:
    message = replace(MESSAGE, html="<p>x</p>", images=())

    assert types_of(read(packed(message))) == ["multipart/alternative", "text/plain", "text/html"]


def test_bodies_and_picture_arrive_as_they_were() -> None:
    mail = read(packed())
    parts = {part.get_content_type(): part for part in mail.walk()}

    assert parts["text/plain"].get_content().replace("\r\n", "\n") == MESSAGE.text
    assert parts["text/html"].get_content() == MESSAGE.html + "\r\n"
    assert parts["image/png"].get_content() == CHART.png
    assert parts["image/png"]["Content-ID"] == "<chart@digest>"
    assert parts["image/png"].get_content_disposition() == "inline"
    assert parts["multipart/related"].get_param("type") == "text/html"


def test_the_bytes_are_plain_ascii_with_crlf_and_short_body_lines() -> None:
    content = packed()
    body = content.partition(b"\r\n\r\n")[2]

    assert content.isascii()
    assert b"\n" not in content.replace(b"\r\n", b"")
    assert max(len(line) for line in body.split(b"\r\n")) <= 76
    assert b"Content-Transfer-Encoding: 8bit" not in content


@pytest.mark.parametrize("body", ["Grüsse", "plain", "ü" * 400, "x" * 22_000])
def test_both_text_parts_are_quoted_printable_whatever_they_say(body: str) -> None:
    # Left to itself the library takes base64 for the first, 7bit for the second, 8bit if it may.
    mail = read(packed(replace(MESSAGE, text=body, html=f"<p>{body}</p>", images=())))

    encodings = [part["Content-Transfer-Encoding"] for part in mail.iter_parts()]
    assert encodings == ["quoted-printable"] * 2


def test_the_headers_say_who_what_and_that_a_machine_wrote_it() -> None:
    mail = read(packed())

    assert mail["From"] == "Leads <digest@sender.example>"
    assert mail["To"] == "ben@team.example"
    assert mail["Reply-To"] == "Ana Müller <ana@team.example>"
    assert mail["Date"] == "Tue, 07 Apr 2026 07:31:12 +0200"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["X-Auto-Response-Suppress"] == "All"
    assert mail["Content-Language"] == "de-CH"
    assert mail["List-Id"] == "<leads.sender.example>"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    for absent in ("Cc", "Bcc", "Precedence", "References", "In-Reply-To"):
        assert mail[absent] is None


def test_a_long_unsubscribe_link_stays_in_one_piece() -> None:
    raw = raw_header(packed(), b"List-Unsubscribe")

    assert raw == f"<https://sender.example/u/{'t' * 200}>, <mailto:ana@team.example>".encode()


def test_the_message_id_comes_from_the_key_alone() -> None:
    first = raw_header(packed(), b"Message-ID")

    assert first.endswith(b"@sender.example>")
    assert len(first) == len("<@sender.example>") + 24
    assert raw_header(packed(sent_at=AT.replace(hour=9)), b"Message-ID") == first
    assert raw_header(packed(key=f"{KEY}x"), b"Message-ID") != first


def test_the_key_for_a_relay_that_remembers_stands_in_one_line_and_names_nobody() -> None:
    named = replace(HEADERS, idempotency_header="Resend-Idempotency-Key")
    mark = raw_header(packed(headers=named), b"Resend-Idempotency-Key").decode()

    assert mark == hashlib.sha256(KEY.encode()).hexdigest()
    assert packed(headers=named).replace(f"Resend-Idempotency-Key: {mark}\r\n".encode(), b"") == (
        packed()
    )


def test_one_click_is_promised_only_when_an_address_answers_post() -> None:
    mail = read(packed(headers=replace(HEADERS, one_click=False)))

    assert mail["List-Unsubscribe"] is not None
    assert mail["List-Unsubscribe-Post"] is None


def test_letterhead_without_extras_has_no_list_headers() -> None:
    mail = read(packed(headers=MailHeaders("digest@sender.example")))

    assert [name for name in mail if name.startswith(("List", "Reply"))] == []


def test_a_test_mail_says_so_in_its_subject() -> None:
    assert read(packed(test=True))["Subject"] == f"[TEST] {MESSAGE.subject}"


def test_domains_are_written_in_idna() -> None:
    headers = MailHeaders("Müller <digest@straße.example>")
    content = packed(headers=headers, recipient=Recipient("ben@BÜCHER.example"))

    assert raw_header(content, b"To") == b"ben@xn--bcher-kva.example"
    assert content.startswith(b"From: =?utf-8?q?M=C3=BCller?= <digest@xn--strae-oqa.example>")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"unsubscribe": ("http://x.example",)}, "neither an https:// nor a mailto:"),
        ({"unsubscribe": ("https://x.example/a b",)}, "plain ASCII"),
        ({"unsubscribe": ("mailto:a@b.example",), "one_click": True}, "needs an https://"),
        ({"list_id": "läads"}, "plain ASCII"),
        ({"sender": "nobody"}, "not a mail address"),
        ({"unsubscribe": ("https://x.example/" + "t" * 900,)}, "allowed are 900"),
    ],
)
def test_a_letterhead_that_cannot_stand_in_a_mail_is_refused(
    change: dict[str, Any], message: str
) -> None:
    headers = replace(HEADERS, one_click=False)
    with pytest.raises(ValueError, match=message):
        packed(headers=replace(headers, **change))


def test_a_picture_that_no_one_shows_is_a_bug() -> None:
    with pytest.raises(ParseBackError, match="cid"):
        packed(replace(MESSAGE, html="<p>no picture</p>"))


def test_a_picture_that_is_missing_is_a_bug() -> None:
    with pytest.raises(ParseBackError, match="cid"):
        packed(replace(MESSAGE, images=()))


@pytest.mark.parametrize(
    ("attribute", "value", "difference"),
    [
        ("subject", "another", "Subject"),
        ("sender", mailbox("x@sender.example"), "From"),
        ("recipient", mailbox("x@y.example"), "To"),
        ("reply_to", None, "Reply-To"),
        ("date", AT, "Date"),
        ("listing", (), "List-*"),
        ("token", "0", "Message-ID"),
        ("idempotency", ("Idempotency-Key", "0"), "idempotency"),
    ],
)
def test_the_parse_back_notices_each_header_that_differs(
    attribute: str, value: object, difference: str
) -> None:
    letter = mime._letter(MESSAGE, Recipient("ben@team.example"), HEADERS, KEY, AT, test=False)
    content = packed()
    mime._parse_back(content, MESSAGE, letter)

    changes: dict[str, Any] = {attribute: value}
    with pytest.raises(ParseBackError) as raised:
        mime._parse_back(content, MESSAGE, replace(letter, **changes))

    assert str(raised.value) == f"the packed mail differs from the message in: {difference}"


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ((b"Guten", b"Guter"), "text"),
        ((b"Gr=C3=BCezi", b"Gr=C3=B6ezi"), "html"),
        ((b"image/png", b"image/gif"), "parts"),
        ((b"multipart/related", b"multipart/mixed"), "parts"),
        ((b"\r\n\r\n--", b"\n\r\n--"), "line ends"),
        ((b"Guten Tag\r\n", b"Guten Tag\r"), "line ends"),
    ],
)
def test_the_parse_back_notices_a_changed_body(
    change: tuple[bytes, bytes], difference: str
) -> None:
    letter = mime._letter(MESSAGE, Recipient("ben@team.example"), HEADERS, KEY, AT, test=False)
    content = packed().replace(*change)

    with pytest.raises(ParseBackError, match=difference):
        mime._parse_back(content, MESSAGE, letter)


# --------------------------------------------------------------------------- subjects and names

LETTERS = "abcdefghij KLMN 0123456789 .,:;!?%()[]\"'`-_=?=?<>@\\ äöüéèàçñœßÄÖ’–€«»\u00a0\u202f 中😀"
WORDS = st.text(alphabet=LETTERS, min_size=0, max_size=120)


def subject_of(content: bytes) -> str:
    return str(read(content)["Subject"])


@pytest.mark.parametrize(
    "subject",
    [
        "Leads April: " + "lang " * 40,
        "x" * 300,
        "=?utf-8?q?not_encoded?=",
        "Région Suisse romande à Genève " * 5,
        "a  b   c",
        "",
        "é" * 200,
        "Leads: 1’234 von 2’000 (62 %)",
    ],
)
def test_awkward_subjects_arrive_as_they_were(subject: str) -> None:
    content = packed(replace(MESSAGE, subject=subject))

    assert subject_of(content) == clean_subject(subject)
    assert b"?==?" not in content.replace(b"?=\r\n =?", b"")


def test_control_characters_cannot_add_a_header() -> None:
    subject = "Leads\r\nBcc: x@evil.example\x00\x1b[31m\u2028\x85\ud800 end"
    mail = read(packed(replace(MESSAGE, subject=subject)))

    assert mail["Bcc"] is None
    assert mail["Subject"] == "Leads Bcc: x@evil.example [31m  end"


def write_and_read_subject(text: str) -> tuple[str, str]:
    mail = EmailMessage(policy=mime._POLICY)
    mail["Subject"] = clean_subject(text)
    return clean_subject(text), subject_of(mail.as_bytes())


@hypothesis_settings(max_examples=300, deadline=None)
@given(WORDS)
def test_any_subject_arrives_as_it_was(text: str) -> None:
    meant, found = write_and_read_subject(text)

    assert found == meant


def random_texts(seed: int, count: int, alphabet: str, longest: int) -> Sequence[str]:
    import random

    source = random.Random(seed)  # noqa: S311 - examples, not secrets
    return ["".join(source.choices(alphabet, k=source.randint(1, longest))) for _ in range(count)]


GERMAN_FRENCH = "abcdefghijklmnopqrstuvwxyz ABC 0123456789 .,:%-() äöüéèàçêœ    "
ASCII = "abcdefghijklmnopqrstuvwxyz ABC 0123456789 .,:%-()\"'=?_    "


@pytest.mark.parametrize(("seed", "alphabet"), [(1, GERMAN_FRENCH), (2, ASCII)])
def test_random_subjects_arrive_as_they_were(seed: int, alphabet: str) -> None:
    subjects = random_texts(seed, effort(200, 2000), alphabet, 150)

    wrong = [text for text in subjects if len(set(write_and_read_subject(text))) > 1]

    assert wrong == []


def test_random_names_arrive_as_they_were() -> None:
    alphabet = "abcdefgh IJK äöüéèç .,;:@\"\\'()[]"
    wrong, kept = [], 0
    for text in random_texts(3, effort(300, 3000), alphabet, 24):
        try:
            box = mailbox(f'"{_quoted(text)}" <ana@team.example>')
        except ValueError:
            continue  # too long for one encoded word: refused when the settings are read
        kept += 1
        mail = EmailMessage(policy=mime._POLICY)
        mail["From"] = box.header()
        if mime._boxes(read(mail.as_bytes()), "From") != [box]:
            wrong.append(text)

    assert wrong == []
    assert kept > effort(250, 2500)


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def test_a_long_name_is_folded_before_the_address() -> None:
    headers = MailHeaders(f"{'Leads ' * 11}<digest@sender-with-a-long-name.example>")
    content = packed(headers=headers)

    assert content.startswith(b"From: " + b"Leads " * 10 + b"Leads\r\n <digest@sender")


# -------------------------------------------------------------------------------- determinism

SCRIPT = """
import sys, hashlib
from tests.delivery.test_mime import packed
sys.stdout.write(hashlib.sha256(packed()).hexdigest())
"""


def test_two_processes_with_two_hash_seeds_make_the_same_bytes() -> None:
    results = {
        subprocess.run(  # noqa: S603 - our own interpreter and script
            [sys.executable, "-c", SCRIPT],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }

    assert len(results) == 1

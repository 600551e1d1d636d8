"""From a Message and one recipient to the bytes of a mail: the same input gives the same bytes."""

from __future__ import annotations

import hashlib
import re
from base64 import encodebytes
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email import quoprimime
from email.header import Header
from email.headerregistry import HeaderRegistry
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import EmailPolicy, default
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast
from zoneinfo import ZoneInfo

from digest.addresses import Mailbox, mailbox
from digest.model import Image, MailHeaders, Message, Recipient
from digest.signing import sign

if TYPE_CHECKING:
    from email.headerregistry import AddressHeader
    from email.message import Message as EmailPart

TEST_PREFIX = "[TEST] "
_UNFOLDED = frozenset(
    (
        *("list-id", "list-unsubscribe", "list-unsubscribe-post"),
        *("message-id", "references", "in-reply-to", "content-id"),
    )
)
_IDEMPOTENCY = "idempotency"  # in every such header's name: the channel sees to it
_ADDRESSES = frozenset(("from", "reply-to", "to"))
_END = b"\r\n"
_LONGEST_LINE = 900
_LONGEST_WORD = 60
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
# Only in attributes and url(): a segment may be called "cid:x" and stands in the text as such.
_CID = re.compile(r"""(?:=\s*["']|\(\s*["']?)cid:([^"'\s<>)]+)""")


def pack(
    message: Message,
    *,
    recipient: Recipient,
    headers: MailHeaders,
    key: str,
    sent_at: datetime,
    test: bool = False,
) -> bytes:
    """Return one recipient's mail, CRLF line ends, 7-bit, ready for every attempt to send it.

    Boundaries and Message-ID are made from `key`, `Date` from `sent_at` in the digest's zone: nothing
    in the bytes is random.

    Raises:
        ValueError: an address, a List-* value or a picture's name cannot stand in a mail, or the DKIM
            key cannot be used.
        ParseBackError: the bytes do not say what was meant, which is a bug.
    """
    letter = _letter(message, recipient, headers, key, sent_at, test=test)
    content = _assembled(message, letter)
    _parse_back(content, message, letter)
    return sign(content, headers.dkim) if headers.dkim else content


@dataclass(frozen=True)
class _Letter:
    """What the header of one mail must say, cleaned and checked."""

    sender: Mailbox
    recipient: Mailbox
    reply_to: Mailbox | None
    subject: str
    date: datetime
    token: str
    listing: tuple[tuple[str, str], ...]
    thread: str | None
    idempotency: tuple[str, str] | None

    @property
    def message_id(self) -> str:
        return f"<{self.token}@{self.sender.domain}>"


class ParseBackError(Exception):
    """A packed mail read back differs from what was meant: a bug, so nothing is sent."""


def _letter(
    message: Message,
    recipient: Recipient,
    headers: MailHeaders,
    key: str,
    sent_at: datetime,
    *,
    test: bool,
) -> _Letter:
    sender = mailbox(headers.sender)
    subject = message.thread_subject if headers.thread else message.subject
    mark = hashlib.sha256(key.encode()).hexdigest()
    return _Letter(
        sender=sender,
        # One person, one address: a name would be one more thing to encode.
        recipient=Mailbox("", mailbox(recipient.address).address),
        reply_to=mailbox(headers.reply_to) if headers.reply_to else None,
        subject=(TEST_PREFIX if test else "") + clean_subject(subject),
        date=sent_at.astimezone(ZoneInfo(headers.timezone)).replace(microsecond=0),
        token=mark[:24],
        listing=tuple(_listing(headers)),
        # The conversation has no first mail: every one answers the same name of the month.
        thread=f"<{message.digest}.{message.month:%Y-%m}@{sender.domain}>"
        if headers.thread
        else None,
        idempotency=(headers.idempotency_header, mark) if headers.idempotency_header else None,
    )


def clean_subject(subject: str) -> str:
    """Return a subject without line breaks, control characters and lone surrogates."""
    text = subject.encode("utf-8", "ignore").decode()
    return _CONTROL.sub(" ", text).strip()


def _listing(headers: MailHeaders) -> list[tuple[str, str]]:
    values = []
    if headers.list_id:
        values.append(("List-Id", f"<{_plain('list_id', headers.list_id)}>"))
    for link in headers.unsubscribe:
        if not link.startswith(("https://", "mailto:")):
            msg = f"unsubscribe: {link!r} is neither an https:// nor a mailto: address"
            raise ValueError(msg)
        _plain("unsubscribe", link)
    if headers.unsubscribe:
        links = ", ".join(f"<{link}>" for link in headers.unsubscribe)
        values.append(("List-Unsubscribe", links))
    if headers.one_click:
        # RFC 8058: without an https address there is nothing to POST to.
        if not any(link.startswith("https://") for link in headers.unsubscribe):
            msg = "one_click: needs an https:// address in unsubscribe that answers POST"
            raise ValueError(msg)
        values.append(("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"))
    return values


def _plain(key: str, value: str) -> str:
    if not value.isascii() or not value.isprintable() or set(value) & set("<>, "):
        msg = f"{key}: {value!r} must be plain ASCII without spaces, commas and angle brackets"
        raise ValueError(msg)
    return value


class _Policy(EmailPolicy):
    """The standard policy with the headers that it writes wrongly written by hand.

    A long List-Unsubscribe becomes an encoded word (cpython #85725), a folded non-ASCII subject loses
    its spaces (cpython #144156), and so do display names.
    """

    def header_store_parse(self, name: str, value: Any) -> tuple[str, Any]:  # noqa: ANN401 - as the base
        # Parsed, a subject that shows "=?utf-8?q?x?=" would be decoded before it is ever sent.
        return (
            (name, value) if name.lower() == "subject" else super().header_store_parse(name, value)
        )

    def fold(self, name: str, value: Any) -> str:  # noqa: ANN401 - the base class takes any header
        return self._written(name, value) or super().fold(name, value)

    def fold_binary(self, name: str, value: Any) -> bytes:  # noqa: ANN401 - as above
        return self.fold(name, value).encode("ascii")

    def _written(self, name: str, value: Any) -> str | None:  # noqa: ANN401 - as above
        lowered = name.lower()
        if lowered == "subject":
            return f"Subject: {_encoded_subject(str(value))}\r\n"
        if lowered in _ADDRESSES:
            boxes = cast("AddressHeader", value).addresses
            return _address_line(name, [Mailbox(box.display_name, box.addr_spec) for box in boxes])
        if lowered in _UNFOLDED or _IDEMPOTENCY in lowered:
            line = f"{name}: {value}"
            if len(line) > _LONGEST_LINE:
                msg = f"{name} is {len(line)} characters long, allowed are {_LONGEST_LINE}"
                raise ValueError(msg)
            return f"{line}\r\n"
        return None


class _Headers(HeaderRegistry):
    """The library's headers; most of a mail are those of the one before, and each costs much to read."""

    def __call__(self, name: str, value: Any) -> Any:  # noqa: ANN401 - as the base
        # Of text alone: two times are equal in two zones.
        return _known(name, value) if type(value) is str else super().__call__(name, value)


_known = lru_cache(maxsize=256)(HeaderRegistry())
# 76, not the library's 78: the same figure limits quoted-printable lines (RFC 2045 section 6.7).
_LINE = 76
_POLICY = _Policy(
    linesep="\r\n",
    max_line_length=_LINE,
    cte_type="7bit",
    raise_on_defect=True,
    header_factory=_Headers(),
)
_READING = default.clone(header_factory=_Headers())


@lru_cache(maxsize=8)
def _encoded_subject(text: str) -> str:
    # Plain text that looks like an encoded word must be encoded, or readers decode it; and a word
    # too long for a line would leave the first line empty.
    words = text.split(" ")
    plain = text.isascii() and "=?" not in text and max(map(len, words)) < _LONGEST_WORD
    header = Header(text, "us-ascii" if plain else "utf-8", maxlinelen=75, header_name="Subject")
    return header.encode(linesep="\r\n")


def _address_line(name: str, boxes: list[Mailbox]) -> str:
    line = f"{name}: {', '.join(box.header() for box in boxes)}\r\n"
    return line if len(line) <= _LINE else line.replace(" <", "\r\n <", 1)


def _assembled(message: Message, letter: _Letter) -> bytes:
    """Return the header of one recipient above the body that all who get this message share."""
    mail = EmailMessage(policy=_POLICY)
    mail["From"] = letter.sender.header()
    mail["To"] = letter.recipient.header()
    if letter.reply_to:
        mail["Reply-To"] = letter.reply_to.header()
    mail["Subject"] = letter.subject
    mail["Date"] = letter.date
    mail["Message-ID"] = letter.message_id
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    if letter.thread:
        mail["In-Reply-To"] = mail["References"] = letter.thread
    for name, value in (*letter.listing, *filter(None, (letter.idempotency,))):
        mail[name] = value
    mail["Content-Language"] = message.language
    return mail.as_bytes().removesuffix(_END) + _body(message)


# Its two parts and the picture cost more than all the rest of a mail, and twenty recipients share them.
@lru_cache(maxsize=8)
def _body(message: Message) -> bytes:
    """Return the parts, under the two headers that say how they are put together.

    Written out, in the library's own words: it reads each header that it writes, which takes ten times
    as long. What is written here is read back.
    """
    texts = (message.text, message.html, *(image.cid for image in message.images))
    token = hashlib.sha256("\0".join(texts).encode()).hexdigest()[:24]
    plain, html = _text_part("plain", message.text), _text_part("html", message.html)
    if message.images:
        pictures = map(_picture_part, message.images)
        html = _joined('related; type="text/html"', f"=_related_{token}", (html, *pictures))
    return _joined("alternative", f"=_alternative_{token}", (plain, html))


def _joined(kind: str, boundary: str, parts: Sequence[bytes]) -> bytes:
    # "=_" cannot occur in quoted-printable or base64, so a boundary never occurs in a body.
    head = f'MIME-Version: 1.0\r\nContent-Type: multipart/{kind};\r\n boundary="{boundary}"\r\n'
    between = f"\r\n--{boundary}\r\n".encode()
    return b"".join((head.encode(), *(between + part for part in parts), between[:-2], b"--\r\n"))


def _text_part(kind: str, text: str) -> bytes:
    # Quoted-printable always: left to itself the library picks 8bit, or base64 for short texts.
    lines = b"\n".join(text.encode().splitlines()) + b"\n"
    body = quoprimime.body_encode(lines.decode("latin-1"), _LINE)
    head = f'Content-Type: text/{kind}; charset="utf-8"\nContent-Transfer-Encoding: quoted-printable\n\n'
    return f"{head}{body}".replace("\n", "\r\n").encode()


def _picture_part(image: Image) -> bytes:
    head = (
        "Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n"
        f'Content-Disposition: inline; filename="{image.filename}"\r\n'
        f"Content-ID: <{_plain('cid', image.cid)}>\r\nMIME-Version: 1.0\r\n\r\n"
    )
    return head.encode() + encodebytes(image.png).replace(b"\n", b"\r\n")


def _parse_back(content: bytes, message: Message, letter: _Letter) -> None:
    """Read the finished bytes as a mail program would and compare with what was meant."""
    head, end, _ = content.partition(_END * 2)
    mail = BytesParser(policy=_READING).parsebytes(head + end, headersonly=True)
    differences = [
        what
        for what, found, meant in (
            ("Subject", mail["Subject"], letter.subject),
            ("From", _boxes(mail, "From"), [letter.sender]),
            ("To", _boxes(mail, "To"), [letter.recipient]),
            ("Reply-To", _boxes(mail, "Reply-To"), [letter.reply_to] if letter.reply_to else []),
            ("Content-Language", mail["Content-Language"], message.language),
            ("Message-ID", mail["Message-ID"], letter.message_id),
            ("References", mail["References"], letter.thread),
            ("In-Reply-To", mail["In-Reply-To"], letter.thread),
            ("Date", mail["Date"].datetime, letter.date),
            ("List-*", _found_listing(mail), letter.listing),
            ("idempotency", _found_idempotency(mail), letter.idempotency),
        )
        if found != meant
    ]
    differences += _differences(content[_start_of_body(head) :], message)
    if not content.count(b"\r") == content.count(b"\n") == content.count(_END):
        differences.append("line ends")
    if differences:
        msg = f"the packed mail differs from the message in: {', '.join(differences)}"
        raise ParseBackError(msg)


def _start_of_body(head: bytes) -> int:
    """Return where the last headers begin, those that every recipient of a message has in common."""
    return head.rfind(_END + b"MIME-Version: ") + len(_END)


@lru_cache(maxsize=8)
def _differences(body: bytes, message: Message) -> tuple[str, ...]:
    """Return in what the parts differ from the message; the same bytes are read once."""
    # With the policy that leaves headers as text: the other parses them anew at every look.
    mail = BytesParser().parsebytes(body)
    parts = [*mail.walk()]
    types = [part.get_content_type() for part in parts]
    by_type = dict(zip(types, parts, strict=True))
    images = {
        part["Content-ID"]: part.get_payload(decode=True)
        for part, kind in zip(parts, types, strict=True)
        if kind == "image/png"
    }
    related = ["multipart/related"] if message.images else []
    order = ["multipart/alternative", "text/plain", *related, "text/html"]
    return tuple(
        what
        for what, found, meant in (
            ("text", _text_in(by_type.get("text/plain")), _lines(message.text)),
            ("html", _text_in(by_type.get("text/html")), _lines(message.html)),
            ("images", images, {f"<{image.cid}>": image.png for image in message.images}),
            ("cid", set(_CID.findall(message.html)), {image.cid for image in message.images}),
            ("parts", types, [*order, *("image/png" for _ in message.images)]),
            ("defects", [part.defects for part in parts if part.defects], []),
        )
        if found != meant
    )


def _text_in(part: EmailPart | None) -> list[str] | None:
    """Return the lines of a part, read as its own headers say."""
    if part is None:
        return None
    content = cast("bytes", part.get_payload(decode=True))
    return _lines(content.decode(part.get_content_charset("ascii"), "replace"))


def _boxes(mail: EmailMessage, name: str) -> list[Mailbox]:
    header = cast("AddressHeader | None", mail[name])
    return [Mailbox(box.display_name, box.addr_spec) for box in header.addresses] if header else []


def _found_listing(mail: EmailMessage) -> tuple[tuple[str, str], ...]:
    # By name: `items` would parse every header there is.
    return tuple((name, str(mail[name])) for name in mail if name.startswith("List-"))


def _found_idempotency(mail: EmailMessage) -> tuple[str, str] | None:
    found = [(name, str(mail[name])) for name in mail if _IDEMPOTENCY in name.lower()]
    return found[0] if found else None


def _lines(text: str) -> list[str]:
    return re.split(r"\r\n|\r|\n", text.rstrip("\r\n"))


def plain_mail(
    subject: str, text: str, *, recipient: str, headers: MailHeaders, key: str, sent_at: datetime
) -> bytes:
    """Return a mail of plain text alone, such as an alert, in the form of `pack`'s mails.

    It names the sender and nothing of a list: it is for one person and no subscription.

    Raises:
        ValueError: an address cannot stand in a mail, or the DKIM key cannot be used.
    """
    sender = mailbox(headers.sender)
    token = hashlib.sha256(key.encode()).hexdigest()[:24]
    mail = EmailMessage(policy=_POLICY)
    mail["From"] = sender.header()
    mail["To"] = mailbox(recipient).address
    mail["Subject"] = clean_subject(subject)
    mail["Date"] = sent_at.astimezone(ZoneInfo(headers.timezone)).replace(microsecond=0)
    mail["Message-ID"] = f"<{token}@{sender.domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    mail.set_content(text, cte="quoted-printable")
    mail["Content-Language"] = "en"
    content = mail.as_bytes()
    return sign(content, headers.dkim) if headers.dkim else content

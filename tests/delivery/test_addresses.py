from __future__ import annotations

import pytest

from digest.addresses import Mailbox, ascii_address, mailbox, masked


@pytest.mark.failure("M10")
@pytest.mark.parametrize(
    ("text", "address"),
    [
        (" Ana.Li+x@Team.Example ", "Ana.Li+x@team.example"),
        ("ana@MÜLLER.example", "ana@xn--mller-kva.example"),
        ("ana@faß.example", "ana@xn--fa-hia.example"),
        ("digest@localhost", "digest@localhost"),
    ],
)
def test_an_address_has_one_spelling(text: str, address: str) -> None:
    assert ascii_address(text) == address


@pytest.mark.failure("M10")
@pytest.mark.parametrize(
    "text",
    [
        "",
        "no-at",
        "@b.example",
        "a@",
        "a@b@c",
        "a b@c.example",
        ".a@c.example",
        "a..b@c.example",
        "a@b..example",
        "a@-b.example",
        "a@b_c.example",
        "a@b.example\r\nBcc: x",
        "ü@b.example",
        f"{'a' * 65}@b.example",
    ],
)
def test_what_no_server_would_take_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="mail"):
        ascii_address(text)


@pytest.mark.parametrize(
    ("text", "box"),
    [
        ("ana@b.example", Mailbox("", "ana@b.example")),
        ("Ana Li <ana@b.example>", Mailbox("Ana Li", "ana@b.example")),
        ('"Li, Ana \\"A\\"" <ana@b.example>', Mailbox('Li, Ana "A"', "ana@b.example")),
        ("<ana@b.example>", Mailbox("", "ana@b.example")),
    ],
)
def test_a_name_may_stand_before_the_address(text: str, box: Mailbox) -> None:
    assert mailbox(text) == box


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A\nB <a@b.example>", "cannot stand in a mail header"),
        ("=?utf-8?q?x?= <a@b.example>", "cannot stand in a mail header"),
        ("ö" * 30 + " <a@b.example>", "too long for a mail header"),
        ("A <a>", "not a mail address"),
    ],
)
def test_a_name_that_cannot_stand_in_a_header_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mailbox(text)


def test_output_shows_enough_of_an_address_to_recognise_it() -> None:
    assert masked("ana@team.example") == "an…@team.example"
    assert masked("C0123") == "C0123"

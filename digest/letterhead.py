"""What a mail channel's settings say of sender and list, checked before anything runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from digest.addresses import ascii_address, mailbox
from digest.model import MailHeaders, Recipient


@dataclass(frozen=True, kw_only=True)
class Letterhead:
    """The settings that every mail channel has.

    Attributes:
        sender: From, "Name <address>".
        recipients: who gets each edition.
        reply_to: where answers go, default the sender.
        list_id, unsubscribe, one_click: the List-* headers; unsubscribe are https or mailto addresses.
        thread: "month" makes one conversation of a month's mails; their subject then stays the same.
    """

    sender: str
    recipients: tuple[Recipient, ...] = ()
    reply_to: str | None = None
    list_id: str | None = None
    unsubscribe: tuple[str, ...] = ()
    one_click: bool = False
    thread: Literal["none", "month"] = "none"

    @property
    def form(self) -> str:
        """Mails."""
        return "mime"

    @property
    def headers(self) -> MailHeaders:
        """What the mail says of its sender."""
        return MailHeaders(
            sender=self.sender,
            reply_to=self.reply_to,
            list_id=self.list_id,
            unsubscribe=self.unsubscribe,
            one_click=self.one_click,
            thread=self.thread == "month",
        )

    def check_letterhead(self, *, bounce_address: str | None = None) -> None:
        """Check every address and what becomes of the List-* headers.

        Raises:
            ValueError: the sentence begins with the setting's name.
        """
        check_addresses(
            self.recipients,
            sender=self.sender,
            reply_to=self.reply_to,
            bounce_address=bounce_address,
        )
        check_listing(self.list_id, self.unsubscribe, one_click=self.one_click)


_LONGEST_LIST = 850  # a header that may not be folded must stay well below the 998 of RFC 5322
_NO_HEADER = str.maketrans(dict.fromkeys("<>,", " "))


def check_addresses(
    recipients: Sequence[Recipient], *, bounce_address: str | None = None, **boxes: str | None
) -> None:
    """Check every address; `boxes` are settings that may have a display name, None where one is not set.

    Raises:
        ValueError: the sentence begins with the setting's name.
    """
    asked: list[tuple[str, Callable[[str], object], tuple[str | None, ...]]] = [
        *((name, mailbox, (value,)) for name, value in boxes.items()),
        ("bounce_address", ascii_address, (bounce_address,)),
        ("recipients", ascii_address, tuple(one.address for one in recipients)),
    ]
    for name, read, values in asked:
        for value in values:
            try:
                read(value) if value is not None else None
            except ValueError as error:
                msg = f"{name}: {error}"
                raise ValueError(msg) from error


def check_listing(list_id: str | None, unsubscribe: Sequence[str], *, one_click: bool) -> None:
    """Check what becomes of the List-* headers.

    Raises:
        ValueError: the sentence begins with the setting's name.
    """
    for name, value in (("list_id", list_id), *(("unsubscribe", link) for link in unsubscribe)):
        if value is not None and not re.fullmatch(r"[!-~]+", value.translate(_NO_HEADER)):
            msg = f"{name}: {value!r} must be plain ASCII without spaces, commas and angle brackets"
            raise ValueError(msg)
    for name, links in (("list_id", (list_id or "",)), ("unsubscribe", unsubscribe)):
        if (length := sum(len(link) + len("<>, ") for link in links)) > _LONGEST_LIST:
            msg = f"{name}: {length} characters are too many for a header, allowed are {_LONGEST_LIST}"
            raise ValueError(msg)
    for link in unsubscribe:
        if not link.startswith(("https://", "mailto:")):
            msg = f"unsubscribe: {link!r} must begin with https:// or mailto:"
            raise ValueError(msg)
    if one_click and not any(link.startswith("https://") for link in unsubscribe):
        raise ValueError("one_click: needs an https:// address in unsubscribe that answers POST")

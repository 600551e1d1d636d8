"""What a mail channel's settings say of sender and list, checked before anything runs."""

from __future__ import annotations

import re
from collections.abc import Sequence

from digest.addresses import ascii_address, mailbox
from digest.model import Recipient

_LONGEST_LIST = 850  # a header that may not be folded must stay well below the 998 of RFC 5322
_NO_HEADER = str.maketrans(dict.fromkeys("<>,", " "))


def check_addresses(
    recipients: Sequence[Recipient], *, bounce_address: str | None = None, **boxes: str | None
) -> None:
    """Check every address; `boxes` are settings that may have a display name, None where one is not set.

    Raises:
        ValueError: the sentence begins with the setting's name.
    """
    for name, read, values in (
        *((name, mailbox, (value,)) for name, value in boxes.items()),
        ("bounce_address", ascii_address, (bounce_address,)),
        ("recipients", ascii_address, tuple(one.address for one in recipients)),
    ):
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

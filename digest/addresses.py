"""Mail addresses: one spelling for each, and an error for what no server would take."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.utils import formataddr
from functools import lru_cache

_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_NAMED = re.compile(r"(?P<name>[^<>]*)<(?P<address>[^<>]+)>")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_ENCODED_WORD = 75  # RFC 2047 section 2: longer ones are not decoded by every reader


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A display name, maybe empty, and an address in its ASCII spelling."""

    name: str
    address: str

    @property
    def domain(self) -> str:
        """The part after the @."""
        return self.address.rpartition("@")[2]

    def header(self) -> str:
        """Return how a header writes it: "Name <address>", encoded where it has to be."""
        return formataddr((self.name, self.address)) if self.name else self.address


@lru_cache(maxsize=1024)  # each is asked for by settings, mail and ledger in turn
def ascii_address(text: str) -> str:
    """Return an address trimmed, its domain in lower case and IDNA form.

    Raises:
        ValueError: it is not one plain address, or its local part is not ASCII (servers without
            SMTPUTF8 refuse it).
    """
    import idna

    address = text.strip()
    local, at, domain = address.rpartition("@")
    if not at or not local:
        msg = f"{text!r} is not a mail address; write it as name@domain"
        raise ValueError(msg)
    if not local.isascii():
        msg = f"{text!r} has letters outside ASCII before the @, which mail servers refuse"
        raise ValueError(msg)
    if not _LOCAL.fullmatch(local) or len(local) > 64:  # noqa: PLR2004 - RFC 5321 4.5.3.1.1
        msg = f"{text!r} is not a mail address: the part before the @ is not valid"
        raise ValueError(msg)
    try:
        encoded = idna.encode(domain, uts46=True).decode().lower()
    except idna.IDNAError as error:
        msg = f"{text!r} is not a mail address: the domain is not valid ({error})"
        raise ValueError(msg) from error
    return f"{local}@{encoded}"


def mailbox(text: str) -> Mailbox:
    """Read "Name <address>" or a bare address.

    Raises:
        ValueError: the address is not valid, or the name cannot stand in a header.
    """
    match = _NAMED.fullmatch(text.strip())
    if not match:
        return Mailbox("", ascii_address(text))
    name = match["name"].strip()
    if len(name) > 1 and name[0] == name[-1] == '"':
        name = re.sub(r"\\(.)", r"\1", name[1:-1])
    if _CONTROL.search(name) or "=?" in name:
        msg = f"{text!r} has characters in its name that cannot stand in a mail header"
        raise ValueError(msg)
    # Readers fold runs of spaces in names, so they are not worth telling apart.
    box = Mailbox(" ".join(name.split()), ascii_address(match["address"]))
    if len(box.header()) - len(box.address) - 3 > _ENCODED_WORD:
        msg = f"the name in {text!r} is too long for a mail header; shorten it"
        raise ValueError(msg)
    return box


def masked(address: str) -> str:
    """Return an address as output shows it: enough to recognise, not enough to write to."""
    local, at, domain = address.rpartition("@")
    return f"{local[:2]}…@{domain}" if at else address

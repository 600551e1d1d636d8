"""Signs a finished mail with the sender's own DKIM key, for relays that do not (RFC 6376)."""

from __future__ import annotations

from email import message_from_bytes
from functools import cache

from digest.model import Dkim

# Signed where a mail has them. dkimpy's own list lacks List-Unsubscribe-Post, which RFC 8058 wants signed.
_HEADERS = (
    "From",
    "Reply-To",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "In-Reply-To",
    "References",
    "MIME-Version",
    "Content-Type",
    "Auto-Submitted",
    "List-Id",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
)
_A_MAIL = b"From: digest@company.example\r\n\r\nA test.\r\n"


def sign(content: bytes, dkim: Dkim) -> bytes:
    """Return the mail with a DKIM-Signature above its header (rsa-sha256, relaxed/relaxed).

    The time in the signature is the only thing in a mail that its input does not decide; every attempt
    sends the bytes of the first, so it does not change either.

    Raises:
        ValueError: the package is missing or the key cannot be used; the text holds no part of it.
    """
    mail = message_from_bytes(content)
    present = [name.lower().encode() for name in _HEADERS if name in mail]
    # Named once more than it occurs, From cannot be added to on the way (RFC 6376 section 8.15).
    return _signature(content, dkim, (*present, b"from")) + content


def check_key(dkim: Dkim) -> None:
    """Sign a test, so that a key that cannot be used is found before it is needed.

    Raises:
        ValueError: as `sign`.
    """
    _checked(dkim)


@cache
def _checked(dkim: Dkim) -> None:
    _signature(_A_MAIL, dkim, (b"from", b"from"))


def _signature(content: bytes, dkim: Dkim, headers: tuple[bytes, ...]) -> bytes:
    try:
        import dkim as dkimpy
    except ModuleNotFoundError as error:
        raise ValueError(
            'the package for it is missing; run: pip install "sla-digest[dkim]"'
        ) from error
    try:
        signature: bytes = dkimpy.sign(
            content,
            selector=dkim.selector.encode("ascii"),
            domain=dkim.domain.encode("idna"),
            privkey=dkim.private_key.reveal().encode("ascii"),
            canonicalize=(b"relaxed", b"relaxed"),
            include_headers=headers,
        )
    except (dkimpy.DKIMException, ValueError, IndexError, TypeError) as error:
        raise ValueError(
            "private_key: this is no RSA key in PEM form, which begins with -----BEGIN"
        ) from error
    return signature

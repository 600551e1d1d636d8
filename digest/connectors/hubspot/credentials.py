"""How a portal is entered: with a key that stays, or with access that an installed app renews."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from digest.model import Secret

_AHEAD = 300.0  # seconds before its end from which an access token is renewed


@dataclass(frozen=True)
class OAuth:
    """An app that is installed in many portals, by one refresh token each.

    Attributes:
        client_id, client_secret: of the app, the same for all of its portals.
        refresh_token: of the one portal that is counted.
    """

    client_id: str
    client_secret: Secret
    refresh_token: Secret

    def __post_init__(self) -> None:
        check_word("client_id", self.client_id)
        check_word("client_secret", self.client_secret.reveal())
        check_word("refresh_token", self.refresh_token.reveal())

    @property
    def form(self) -> tuple[tuple[str, str], ...]:
        """The form that asks for an access token; it belongs into a body, never into an address."""
        return (
            ("grant_type", "refresh_token"),
            ("client_id", self.client_id),
            ("client_secret", self.client_secret.reveal()),
            ("refresh_token", self.refresh_token.reveal()),
        )


@dataclass
class Access:
    """The access token of one refresh token, shared by all connectors of a process.

    Attributes:
        lock: whoever holds it renews; the others wait, and find the new token.
        renew_at: on the wire's clock. scopes: what the portal granted, None before the first token.
    """

    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    token: str = field(default="", repr=False)
    renew_at: float = float("-inf")
    scopes: tuple[str, ...] | None = None

    def take(self, answer: Mapping[str, object], asked_at: float) -> bool:
        """Take a new token over; False when the answer holds none."""
        token, seconds = answer.get("access_token"), answer.get("expires_in")
        if not isinstance(token, str) or not _is_word(token):
            return False
        if not isinstance(seconds, int) or isinstance(seconds, bool) or seconds <= 0:
            return False
        scopes = answer.get("scopes")
        self.token = token
        self.renew_at = asked_at + seconds - min(_AHEAD, seconds / 2)
        self.scopes = tuple(map(str, scopes)) if isinstance(scopes, list) else ()
        return True


def check_word(key: str, text: str) -> None:
    """Refuse what was copied wrongly.

    Raises:
        ValueError: without the text, which is a secret.
    """
    if not _is_word(text):
        raise ValueError(
            f"{key}: is empty or holds characters that no key has (a space, a line break); copy it "
            "again, without quotes"
        )


def _is_word(text: str) -> bool:
    return bool(text) and text.isascii() and text.isprintable() and " " not in text

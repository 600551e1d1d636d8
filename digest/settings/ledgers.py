"""Reads `ledger`: a file, or a PostgreSQL database whose password is kept elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from digest.ledger import Place, Postgres
from digest.model import Secret
from digest.settings.adapters import build
from digest.settings.mistakes import shown
from digest.settings.reading import Reading

LEDGER = "ledger.sqlite"
_ALLOWED = (
    'a file on a local disk such as "ledger.sqlite", or "postgresql://user@host/database" '
    "without a password"
)
_SCHEMES = ("postgresql", "postgres")


@dataclass(frozen=True)
class LedgerSection:
    """Ledger as a table: a PostgreSQL database and the password of its role."""

    url: str | Secret
    password: Secret | None = None


def ledger_of(reading: Reading) -> Place:
    """Return where the ledger is; mistakes are noted."""
    value = reading.data.get("ledger", LEDGER)
    if isinstance(value, Mapping):
        section = build(LedgerSection, value, ("ledger",), reading.mistakes)
        if section is not None:
            return _database(reading, ("ledger", "url"), section.url, section.password)
    elif isinstance(value, Secret) or (isinstance(value, str) and "://" in value):
        return _database(reading, ("ledger",), value, None)
    elif isinstance(value, str) and value.strip():
        return reading.folder / value
    else:
        reading.mistakes.add(("ledger",), f"found {shown(value)}; allowed: {_ALLOWED}")
    return reading.folder / LEDGER


def _database(
    reading: Reading, at: tuple[str, ...], url: str | Secret, password: Secret | None
) -> Place:
    text = url.reveal() if isinstance(url, Secret) else url
    reading.mistakes.hide(url)
    try:
        parts = urlsplit(text)
        usable = parts.port is None or parts.port > 0
    except ValueError:  # a port that is none, brackets that do not match
        usable, parts = False, urlsplit("")
    if not usable or parts.scheme not in _SCHEMES or not parts.path.strip("/"):
        # What was written is not repeated: it may hold a password.
        what = "a secret" if isinstance(url, Secret) else "a URL"
        reading.mistakes.add(at, f"found {what} of another kind; allowed: {_ALLOWED}")
    elif not isinstance(url, Secret) and (parts.password or "password" in parse_qs(parts.query)):
        reading.mistakes.hide(parts.password)
        reading.mistakes.add(
            at,
            "a password stands in the URL; take it out and write "
            'ledger = { url = "...", password = { env = "NAME" } }',
        )
    else:
        inline = Secret(unquote(parts.password)) if parts.password else None
        return Postgres(_without_password(text, parts), password or inline)
    return reading.folder / LEDGER


def _without_password(text: str, parts: SplitResult) -> str:
    user, at, host = parts.netloc.rpartition("@")
    return text.replace(parts.netloc, user.partition(":")[0] + at + host, 1) if at else text

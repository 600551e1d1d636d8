"""An Edition as JSON and back, unchanged: what the ledger freezes and every retry reads."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import TYPE_CHECKING

from digest.model import Edition, LeadCounts

if TYPE_CHECKING:
    from pydantic import TypeAdapter


@cache
def _adapter() -> TypeAdapter[Edition]:
    from pydantic import TypeAdapter

    return TypeAdapter(Edition)


def edition_to_json(edition: Edition) -> str:
    """Return the edition as one line of JSON; an edition made again of the same values gives the same text.

    Figures keep the digits they were written with: a rate of 0.950 stays one, though it equals 0.95.
    Fractions are "n/d", decimals and dates are strings, so nothing passes through a binary float
    except the forecast and what a day usually brings, which are such.
    """
    return _adapter().dump_json(edition).decode()


def edition_from_json(text: str) -> Edition:
    """Return the edition that `edition_to_json` wrote.

    Raises:
        ValueError: the text is not an edition of this version.
    """
    return _adapter().validate_json(text)


@cache
def _counts_adapter() -> TypeAdapter[LeadCounts]:
    from pydantic import TypeAdapter

    return TypeAdapter(LeadCounts)


def counts_to_json(counts: LeadCounts) -> str:
    """Return counts as one line of JSON."""
    return _counts_adapter().dump_json(counts).decode()


def counts_from_json(text: str) -> LeadCounts:
    """Return the counts that `counts_to_json` wrote.

    Raises:
        ValueError: the text is not of this version.
    """
    return _counts_adapter().validate_json(text)


def fingerprint(text: str) -> str:
    """Return the SHA-256 of a frozen text, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()

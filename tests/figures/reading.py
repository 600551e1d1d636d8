"""Written numbers, read back without the code that wrote them."""

from __future__ import annotations

import re
from decimal import Decimal


def number_of(written: str, language: str) -> Decimal:
    """Return the size of a written number, without sign and unit."""
    group, point = {
        "en": (",", "."),
        "de": (".", ","),
        "de-CH": ("’", "."),
        "fr": ("\u202f", ","),
        "it": (".", ","),
    }[language]
    digits = written.replace("\u00a0", "").replace(group, "").replace(point, ".")
    found = re.search(r"\d+(?:\.\d+)?", digits)
    assert found is not None, written
    return Decimal(found[0])

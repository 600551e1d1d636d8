"""Which CSS some mail programs do not have, of what mails are written with.

Facts of 2025 about the properties whose loss changes where things stand or whether they are seen. What only
looks plainer (round corners, shadows, moves) is left out: a mail may use it and lose nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

GMAIL, OUTLOOK, APPLE = "Gmail", "Outlook for Windows", "Apple Mail"
CLIENTS = (GMAIL, OUTLOOK, APPLE)

# A declaration as "property" or "property: value", and who ignores it.
LACKING: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("align-items", (GMAIL, OUTLOOK)),
    ("aspect-ratio", (GMAIL, OUTLOOK)),
    ("background-image", (OUTLOOK,)),
    ("background-size", (OUTLOOK,)),
    ("box-sizing", (OUTLOOK,)),
    ("clip-path", (GMAIL, OUTLOOK)),
    ("column-count", (OUTLOOK,)),
    ("display: flex", (OUTLOOK,)),
    ("display: grid", (GMAIL, OUTLOOK)),
    ("filter", (GMAIL, OUTLOOK)),
    ("flex-wrap", (GMAIL, OUTLOOK)),
    ("float", (OUTLOOK,)),
    ("inset", (GMAIL, OUTLOOK)),
    ("justify-content", (GMAIL, OUTLOOK)),
    ("list-style-image", (GMAIL, OUTLOOK)),
    ("mask-image", (GMAIL, OUTLOOK)),
    ("mix-blend-mode", (OUTLOOK,)),
    ("object-fit", (OUTLOOK,)),
    ("object-position", (OUTLOOK,)),
    ("opacity", (OUTLOOK,)),
    ("position", (GMAIL, OUTLOOK)),
    ("shape-outside", (GMAIL, OUTLOOK)),
    ("transform", (GMAIL, OUTLOOK)),
    ("visibility", (GMAIL, OUTLOOK)),
    ("writing-mode", (OUTLOOK,)),
    ("z-index", (GMAIL, OUTLOOK)),
)
# Units that Word does not know, in any property.
UNITS: tuple[tuple[str, tuple[str, ...]], ...] = (("rem", (OUTLOOK,)), ("vw", (OUTLOOK,)))
_UNIT = re.compile(r"(?<![\w#])-?[\d.]+(rem|vw)\b")


def lacking(name: str, value: str, clients: Iterable[str] = CLIENTS) -> Iterator[tuple[str, str]]:
    """Yield (what, client) for each of some clients that ignores a declaration."""
    asked = tuple(clients)
    for known, without in LACKING:
        wanted, _, only = known.partition(": ")
        if name == wanted and (not only or value.split()[:1] == [only]):
            yield from ((known, client) for client in without if client in asked)
    for unit in dict.fromkeys(_UNIT.findall(value)):
        without = dict(UNITS)[unit]
        yield from ((f"{name} in {unit}", client) for client in without if client in asked)

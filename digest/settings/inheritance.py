"""What the digests of a folder have in common: `defaults.toml` beside them.

A table of a digest is laid over the table of the defaults, anything else takes its place. Two tables with
different `type` are two different things, and so are two ways to a secret: there nothing is inherited.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path as FilePath

from digest.settings.document import read
from digest.settings.lines import Path
from digest.settings.mistakes import KEPT_IN, Mistakes

DEFAULTS = "defaults.toml"
Table = Mapping[str, object]


def inherit(path: FilePath, own: Table, mistakes: Mistakes) -> Table:
    """Return a digest's document over the defaults of its folder; their places are noted for its mistakes.

    Raises:
        ConfigError: the defaults cannot be read, or hold what only one digest can have.
    """
    beside = path.with_name(DEFAULTS)
    if path.name == DEFAULTS or not beside.exists():
        return own
    given, theirs = read(beside)
    if "id" in given:
        theirs.add(("id",), "each digest has an id of its own; write it into the digest's file")
        raise theirs.error() or AssertionError(f"{beside}: rejected without a reason")
    taken: set[Path] = set()
    merged = _over(given, own, (), taken)
    mistakes.take_over(theirs, taken)
    return merged


def _over(given: Table, own: Table, at: Path, taken: set[Path]) -> Table:
    merged = dict(own)
    for key, value in given.items():
        mine = own.get(key)
        if key not in own:
            merged[key] = value
            taken.add((*at, key))
        elif isinstance(mine, Mapping) and isinstance(value, Mapping) and _alike(mine, value):
            merged[key] = _over(value, mine, (*at, key), taken)
    return merged


def _alike(mine: Table, theirs: Table) -> bool:
    """Whether two tables are of one kind, so that one can stand over the other."""
    if "type" in mine and mine["type"] != theirs.get("type"):
        return False
    return not any(len(one) == 1 and next(iter(one)) in KEPT_IN for one in (mine, theirs))

"""A small file outside the ledger that notices when an older copy of the ledger is put in its place.

It counts the hand-overs that the ledger has committed, and is written before each end of a message. A
ledger that knows of fewer was restored from a backup, and would send again what it no longer knows.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from threading import get_ident
from zlib import crc32

from digest.errors import LedgerError
from digest.ledger.identity import Known

_PARTS = 256
_MOST_NAMED = 20


@dataclass(frozen=True, slots=True)
class Seal:
    """What was committed, of one ledger.

    Attributes:
        instance: the ledger's id.
        commits: how many messages it has let go.
        newest: business date of the last one, by digest.
    """

    instance: str
    commits: int
    newest: Mapping[str, date]

    def joined(self, other: Seal | None) -> Seal:
        """Return what both know, if they are of one ledger."""
        if other is None or other.instance != self.instance:
            return self
        digests = self.newest.keys() | other.newest.keys()
        newest = {
            digest: max(filter(None, (self.newest.get(digest), other.newest.get(digest))))
            for digest in digests
        }
        return Seal(self.instance, max(self.commits, other.commits), newest)


def parts_of(seal: Path) -> Path:
    """Return the folder of a seal in parts, which whoever sends for thousands of digests writes.

    As one file it would name them all and be written anew for each message.
    """
    return seal.with_suffix(".seals")


def read_seal(path: Path | None) -> Seal | None:
    """Return the seal with its parts; None when there is none, or when a power cut has spoiled it."""
    if path is None:
        return None
    seal = _read(path)
    for part in sorted(parts_of(path).glob("*.seal")):
        found = _read(part)
        seal = found if found is None or seal is None else seal.joined(found)
    return seal


def _read(path: Path) -> Seal | None:
    try:
        facts = json.loads(path.read_bytes())
        newest = {digest: date.fromisoformat(day) for digest, day in facts["newest"].items()}
        return Seal(facts["instance"], int(facts["commits"]), newest)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def write_seal(path: Path | None, seal: Seal) -> None:
    """Add to the seal what is newly known.

    Two processes may write at once, and one may then miss what the other adds until its next message:
    a seal may know less than its ledger, never more.
    """
    if path is None:
        return
    if path == parts_of(path):
        with suppress(OSError):
            path.mkdir(exist_ok=True)
        path = path / f"{crc32(min(seal.newest).encode()) % _PARTS:02x}.seal"
    before = _read(path)
    joined = seal.joined(before)
    facts = {
        "instance": joined.instance,
        "commits": joined.commits,
        "newest": {digest: day.isoformat() for digest, day in sorted(joined.newest.items())},
    }
    draft = path.with_name(f"{path.name}.{os.getpid()}.{get_ident()}")
    # Like the pin it is a net, not the record: where it cannot be written, sending goes on.
    with suppress(OSError), draft.open("w", encoding="ascii") as file:
        file.write(json.dumps(facts) + "\n")
        file.flush()
        if before is None or before.newest != joined.newest:  # the first message of a run
            os.fsync(file.fileno())
        draft.replace(path)


def is_older(known: Known, seal: Seal | None) -> bool:
    """Whether a ledger knows less than its seal."""
    return seal is not None and seal.instance == known.instance and known.commits < seal.commits


def refuse_older(ledger: str, known: Known, seal: Seal | None) -> None:
    """Raise LedgerError when the ledger was restored from a backup."""
    if seal is not None and is_older(known, seal):
        newest = sorted(seal.newest.items())
        days = ", ".join(f"{digest} up to {day}" for digest, day in newest[:_MOST_NAMED])
        days += f" and {len(newest) - _MOST_NAMED} more" if len(newest) > _MOST_NAMED else ""
        raise LedgerError(
            f"{ledger} is older than its seal: it knows of {known.commits} messages handed over and the "
            f"seal of {seal.commits} ({days}), so it was restored from a backup and would send again",
            remedy="put the newer one back, or see what `digest resolve --after-restore` would do",
        )

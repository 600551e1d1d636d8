"""Which ledger this is: what it says of itself, and what the settings' folder remembers of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from digest.errors import LedgerError
from digest.ledger.tables import COMMITS, PRODUCT, SCHEMA_VERSION

RESTORE = "restore it from a backup, or ask `digest history` on the host that sends"


@dataclass(frozen=True, slots=True)
class Known:
    """What a ledger says of itself; `commits` counts the messages that it has let go."""

    instance: str
    version: int
    commits: int = 0


def identify(ledger: str, facts: Mapping[str, str], *, own: str) -> Known:
    """Read what stands in the table `meta` of what may be a ledger.

    Args:
        ledger: what a message calls it.
        facts: the table's keys and values, empty when it has no such table.
        own: what to do when it belongs to somebody else.

    Raises:
        LedgerError: another program's, or written by a newer version.
    """
    if facts.get("product") != PRODUCT:
        raise LedgerError(f"{ledger} is a database of another program", remedy=own)
    try:
        version, commits = int(facts["schema_version"]), int(facts.get(COMMITS, 0))
        instance = facts["instance_id"]
    except (KeyError, ValueError) as error:
        raise LedgerError(
            f"{ledger} is damaged: its table meta cannot be read", remedy=RESTORE
        ) from error
    if version > SCHEMA_VERSION:
        raise LedgerError(
            f"{ledger} was written by a newer version (schema {version}, this is {SCHEMA_VERSION})",
            remedy="update this installation",
        )
    return Known(instance, version, commits)


def check_pin(ledger: str, pin: Path | None, known: Known | None) -> None:
    """Compare a ledger, None when there is none, with what was remembered.

    Raises:
        LedgerError: missing after use, or another one.
    """
    if pin is None or not pin.exists():
        return
    expected = pin.read_text(encoding="ascii", errors="replace").strip()
    if known is None:
        raise LedgerError(
            f"{ledger} is missing although it was used before",
            remedy=f"{RESTORE}; to start anew and risk sending twice, delete {pin}",
        )
    if known.instance != expected:
        raise LedgerError(
            f"{ledger} is not the one used before ({known.instance} instead of {expected})",
            remedy=f"put the right one back; to accept this one, delete {pin}",
        )


def write_pin(pin: Path | None, instance: str) -> None:
    """Remember a ledger, once."""
    if pin is None or pin.exists():
        return
    # A settings folder may be read-only, as in a container; then a lost ledger is not noticed.
    with suppress(OSError):
        draft = pin.with_name(f"{pin.name}.{os.getpid()}")
        draft.write_text(f"{instance}\n", encoding="ascii")
        draft.replace(pin)

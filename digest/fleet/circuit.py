"""An account that fails for everybody is left alone for a while, and its operator told once."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from digest.errors import ConnectorError, Reason
from digest.ledger import fleet
from digest.ledger.backend import Lock

if TYPE_CHECKING:
    from digest.alerts import Alert, Cause, Scene
    from digest.ledger.store import Ledger

LIMIT = 5  # failures
MEMORY = timedelta(minutes=10)
REST = timedelta(minutes=5)
# What says something of the account; numbers that do not add up concern one digest alone.
_OF_THE_ACCOUNT = frozenset((Reason.AUTH, Reason.QUOTA, Reason.TRANSIENT))


def failed(ledger: Ledger, account: str, error: Exception) -> bool:
    """Count a failure; True when the account rests from now on."""
    if not isinstance(error, ConnectorError) or error.reason not in _OF_THE_ACCOUNT:
        return False
    with ledger.change(Lock.SOME) as (connection, now):
        return fleet.note_failure(connection, account, now, limit=LIMIT, memory=MEMORY, rest=REST)


def rests(scene: Scene, cause: Cause, account: str, error: ConnectorError) -> Alert:
    """Say that an account is left alone, once for all its digests."""
    minutes = REST // timedelta(minutes=1)
    return scene.alert(
        cause,
        account,
        head=f"{account} fails for every digest",
        happened=f"{account} has failed {LIMIT} times in a row: {error}",
        missed="Its digests wait, and none of them calls it meanwhile.",
        follows=f"It is tried again every {minutes} minutes until each digest's send_until; as soon as it "
        "answers, their editions go out.",
        command="digest fleet status --only held --only due",
    )


def worked(ledger: Ledger, account: str) -> bool:
    """Forget an account's failures; True when it had rested."""
    with ledger.change(Lock.SOME) as (connection, _):
        return fleet.note_success(connection, account)

"""One pace for an account, whatever process asks: reserved in the database, spent in the job.

A job reserves the calls of its whole pull in a row before it begins. Is its turn far away, it goes back to
the queue until then, so that an agency's five hundred digests keep no slot of a worker waiting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING

from digest.fleet.queue import AgainError
from digest.ledger import fleet
from digest.ledger.backend import Lock as LedgerLock

if TYPE_CHECKING:
    from digest.ledger.fleet import Reservation, Task
    from digest.ledger.store import Ledger

# Calls that a digest is taken to need as long as nobody knows better.
FIRST_PULL = 4
# A reservation further away than this is worth another job in the slot.
PATIENCE = 1.0
# How long after its beginning a reservation still counts: by then others' calls follow it.
LATENESS = 2.0


@dataclass
class Allowance:
    """The calls that one job has reserved, evenly spaced from its beginning on.

    Attributes:
        calls: reserved; more are asked for one by one. used: so far.
    """

    account: str
    per_second: float
    calls: int
    end: datetime | None = None
    used: int = 0
    _next: float = 0.0
    _lock: Lock = field(default_factory=Lock)

    def reserve(self, now: float) -> float | None:
        """Return the seconds until the next reserved call, None when none is left."""
        with self._lock:
            self.used += 1
            if self.used > self.calls:
                return None
            place = max(now, self._next)
            self._next = place + 1 / self.per_second
            return place - now


_CURRENT: ContextVar[Allowance | None] = ContextVar("allowance", default=None)


@dataclass(frozen=True)
class SharedPace:
    """What a connector asks before each call; see `connectors.hubspot.transport.Budget`."""

    ledger: Callable[[], Ledger]
    account: str
    per_second: float

    def reserve(self, now: float) -> float:
        """Return the seconds until the next call may leave, every other process considered."""
        allowance = _CURRENT.get()
        ours = allowance if allowance is not None and allowance.account == self.account else None
        with self.ledger().transaction(LedgerLock.NONE) as connection:
            blocked = fleet.blocked_for(connection, self.account)
            own = None if ours is None else ours.reserve(now + blocked)
            if own is not None:
                return blocked + own
            return max(blocked, fleet.take(connection, self.account, 1, self.per_second).wait)

    def slow_down(self, now: float, seconds: float | None = None) -> None:
        """Let nobody call the account for as long as it asks for."""
        del now
        with self.ledger().transaction(LedgerLock.NONE) as connection:
            fleet.retry_after(connection, self.account, max(seconds or 0.0, 1.0))


@contextmanager
def pull(
    ledger: Ledger, task: Task, per_second: float, *, sleep: Callable[[float], None]
) -> Iterator[None]:
    """Hold the calls of one job's pull; what it did not need goes back, what it needed is remembered.

    Raises:
        AgainError: its turn is further away than a slot can wait.
    """
    account, digest = task.entry.account, task.entry.digest
    calls = task.calls or FIRST_PULL
    end = _reserved(ledger, task, calls, per_second, sleep)
    allowance = Allowance(account, per_second, calls, end)
    token = _CURRENT.set(allowance)
    try:
        yield
    finally:
        _CURRENT.reset(token)
        spare = calls - allowance.used
        with ledger.transaction(LedgerLock.NONE) as connection:
            # A job that failed early says nothing of what a whole pull takes.
            fleet.note_pull(connection, digest, max(allowance.used, 1) if allowance.used else calls)
            if spare > 0 and end is not None:
                fleet.give_back(connection, account, end, spare / per_second)


def _reserved(
    ledger: Ledger, task: Task, calls: int, per_second: float, sleep: Callable[[float], None]
) -> datetime | None:
    """Wait for the job's turn when it is near; return the end of a reservation made just now."""
    entry = task.entry
    if task.slot_at is not None:
        early = (task.slot_at - task.now).total_seconds()
        if early > PATIENCE:
            raise AgainError(task.slot_at, "its calls are reserved for later", first=True)
        if early > -LATENESS:
            sleep(max(early, 0.0))
            return None
    with ledger.transaction(LedgerLock.NONE) as connection:
        taken = fleet.take(connection, entry.account, calls, per_second)
        far = taken.wait > PATIENCE
        slot_at = _begins(taken, calls, per_second)
        if far:
            fleet.keep_slot(connection, entry.digest, slot_at)
    if far:
        raise AgainError(slot_at, "its calls are reserved for later", first=True)
    sleep(taken.wait)
    return taken.end


def _begins(taken: Reservation, calls: int, per_second: float) -> datetime:
    return taken.end - timedelta(seconds=calls / per_second)

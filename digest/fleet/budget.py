"""One pace for an account, whatever process asks: reserved in the database, spent in the job.

A job reserves the calls of its whole pull in a row before it begins. Is its turn far away, it goes back to
the queue until then, so that an agency's five hundred digests keep no slot of a worker waiting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING
from zlib import crc32

from digest.errors import DeliveryError, DigestError
from digest.fleet.queue import AgainError
from digest.ledger import fleet
from digest.ledger.backend import Lock as LedgerLock

if TYPE_CHECKING:
    from digest.channels import Channel, Session
    from digest.ledger.fleet import Reservation, Task
    from digest.ledger.store import Ledger
    from digest.model import Envelope

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
# What the settings of the digest at work call its account, which may have several keys.
_ACCOUNT: ContextVar[str | None] = ContextVar("account", default=None)


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
            blocked = max(fleet.blocked_for(connection, name) for name in _names(self.account))
            own = None if ours is None else ours.reserve(now + blocked)
            if own is not None:
                return blocked + own
            return max(blocked, fleet.take(connection, self.account, 1, self.per_second).wait)

    def slow_down(self, now: float, seconds: float | None = None) -> None:
        """Let nobody call the account for as long as it asks for."""
        del now
        heed(self.ledger(), self.account, seconds or 0.0)


def heed(ledger: Ledger, account: str, seconds: float) -> None:
    """Let no process call an account for a while; also not under the name that the settings give it."""
    with ledger.transaction(LedgerLock.NONE) as connection:
        for name in _names(account):
            fleet.retry_after(connection, name, max(seconds, 1.0))


def _names(account: str) -> tuple[str, ...]:
    return tuple(sorted({account, _ACCOUNT.get() or account}))


@contextmanager
def serving(account: str) -> Iterator[None]:
    """Know, while the block runs, what the settings call the account of the digest at work."""
    token = _ACCOUNT.set(account)
    try:
        yield
    finally:
        _ACCOUNT.reset(token)


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


# --------------------------------------------------------------------------------------- messages


@contextmanager
def places(
    ledger: Ledger,
    digest: str,
    messages: Mapping[str, tuple[int, float | None]],
    *,
    sleep: Callable[[float], None],
) -> Iterator[None]:
    """Hold places for a digest's messages where a relay, a workspace or a mailbox limits them.

    Args:
        ledger: the fleet's.
        digest: whose.
        messages: by account, how many and how many in a second; None where only a Retry-After counts.
        sleep: waits so many seconds.

    Raises:
        AgainError: their turn is further away than a slot can wait.
    """
    wanted = [_Wanted(digest, account, *rest) for account, rest in messages.items()]
    taken: dict[_Wanted, datetime] = {}
    begun = False
    try:
        for one in wanted:
            end = _place(ledger, one, sleep)
            if end is not None:
                taken[one] = end
        begun = True
        yield
    except AgainError as again:
        # Nothing was handed over: it is not our turn everywhere, or there was no edition.
        if not begun or isinstance(again.__cause__, DigestError):
            with ledger.transaction(LedgerLock.NONE) as connection:
                for one, end in taken.items():
                    fleet.give_back(connection, one.account, end, one.count / (one.per_second or 1))
        raise


@dataclass(frozen=True, slots=True)
class _Wanted:
    digest: str
    account: str
    count: int
    per_second: float | None


def _place(ledger: Ledger, one: _Wanted, sleep: Callable[[float], None]) -> datetime | None:
    """Wait for the turn of some messages when it is near; return the end of a reservation made just now."""
    with ledger.transaction(LedgerLock.NONE) as connection:
        now = fleet.time_of(connection)
        blocked = fleet.blocked_for(connection, one.account)
        if blocked > PATIENCE:
            later = timedelta(seconds=blocked + crc32(one.digest.encode()) % 60)
            raise AgainError(now + later, f"{one.account} asks to be left alone")
        early = fleet.take_turn(connection, one.digest, one.account, PATIENCE)
        taken = None
        if one.per_second is not None and (early is None or early <= -LATENESS):
            taken = fleet.take(connection, one.account, one.count, one.per_second)
            early = taken.wait
            if early > PATIENCE:
                begins_at = _begins(taken, one.count, one.per_second)
                fleet.keep_turn(connection, one.digest, one.account, begins_at)
    wait = max(early or 0.0, 0.0)
    if wait > PATIENCE:
        raise AgainError(
            now + timedelta(seconds=wait), f"{one.account} has its turn later", first=True
        )
    sleep(max(wait, blocked))
    return None if taken is None else taken.end


def heeding(channel: Channel, heard: Callable[[float], None]) -> Channel:
    """Return a channel whose other side's wish to be left alone is heard, in seconds."""

    @contextmanager
    def session() -> Iterator[Session]:
        with channel.session() as opened:
            deliver = opened.deliver

            def told(envelope: Envelope, *, commit: Callable[[], bool]) -> str:
                try:
                    return deliver(envelope, commit=commit)
                except DeliveryError as error:
                    if error.retry_after:
                        heard(error.retry_after)
                    raise

            # Not a session around it: what else a session can do is asked of the session itself.
            vars(opened)["deliver"] = told
            yield opened

    same = copy(channel)
    vars(same)["session"] = session
    return same

"""The resident starter: asks every 20 seconds what is due and lets child processes send it.

It decides nothing that `digest send` would not decide by itself; it only knows when a call is worth it.
Wall-clock time is compared in every tick and never slept until, so that a host that was asleep, or whose
clock was set, is right again with the next tick.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from digest.dispatch import pin_of
from digest.due import Day, Standing, day_of, judge, today_of
from digest.errors import DigestError, LedgerError
from digest.ledger import RunState, open_ledger

if TYPE_CHECKING:
    from digest.ledger.store import Ledger
    from digest.settings import Settings
    from digest.settings.watch import Seen, Watch

TICK = 20.0  # seconds
BATCH = 20  # digests a child serves
PATIENCE, GRACE = 20 * 60.0, 60.0  # seconds until a child is asked to end, and until it is made to
BACK_OFF = (1, 2, 5, 10, 15)  # minutes until a digest that is still due is offered again
LEASE = timedelta(minutes=2)
_LEASE_NAME = "schedule"
_GLANCE = 1.0  # seconds between two looks at the children and at a request to end
# As `digest send` ends; anything else is a crash, and one of its digests may be the reason.
_ORDERLY = frozenset({0, 2, 3, 4, 5})


class Child(Protocol):
    """A process that sends, as `subprocess.Popen` is one."""

    def poll(self) -> int | None:
        """Return its exit code, None while it runs."""

    def terminate(self) -> None:
        """Ask it to end after the message on its way."""

    def kill(self) -> None:
        """End it."""


@dataclass(frozen=True, kw_only=True)
class Host:
    """What a schedule needs of its machine.

    Attributes:
        clock: the wall clock, aware. monotonic: seconds that no setting of the clock changes.
        sleep: waits so many seconds. stop: answers True once the schedule has been asked to end.
        spawn: starts `digest send` for some files.
        tell: takes a line for the operator.
    """

    clock: Callable[[], datetime]
    monotonic: Callable[[], float]
    sleep: Callable[[float], None]
    stop: Callable[[], bool]
    spawn: Callable[[Sequence[Path]], Child]
    tell: Callable[[str], None]


Key = tuple[Path, date]  # a digest's file and the business date


@dataclass(slots=True)
class _Offer:
    """How often a digest was offered for a date, and when it may be again."""

    count: int = 0
    not_before: float = 0
    alone: bool = False

    def wait(self, now: float) -> None:
        """Offer it again after a while, counted from `now`."""
        self.not_before = now + 60 * BACK_OFF[min(self.count, len(BACK_OFF)) - 1]


@dataclass(frozen=True, slots=True)
class _Batch:
    child: Child
    paths: tuple[Path, ...]
    keys: tuple[Key, ...]  # none for broken files
    started: float


@dataclass
class _State:
    batches: list[_Batch] = field(default_factory=list)
    waiting: list[Key] = field(default_factory=list)
    offers: dict[Key, _Offer] = field(default_factory=dict)
    days: dict[Path, tuple[Settings, Day]] = field(default_factory=dict)
    # Broken files, to be handed to `digest send` once: its alert tells the operator.
    alerts: list[tuple[Path, ...]] = field(default_factory=list)
    said: frozenset[str] = frozenset()  # what is wrong with the files, as it was told
    fresh: set[Path] = field(default_factory=set)  # read since they were last offered
    holders: dict[object, str] = field(default_factory=dict)  # who keeps us from a ledger
    held: dict[object, Ledger] = field(default_factory=dict)


def run(watch: Watch, host: Host, *, jobs: int) -> None:
    """Keep sending what is due until asked to stop; then end the children and return.

    Args:
        watch: the digests.
        host: clock, waiting, child processes.
        jobs: how many children at once.
    """
    state = _State()
    next_tick = host.monotonic()
    try:
        while not host.stop():
            if host.monotonic() >= next_tick:
                next_tick = host.monotonic() + TICK
                state.waiting = _due_now(watch, host, state)
            _reap(host, state)
            _start(host, state, jobs)
            host.sleep(max(0.0, min(next_tick - host.monotonic(), _GLANCE)))
    finally:
        _wind_down(host, state)


# ----------------------------------------------------------------------------------- what is due


def _due_now(watch: Watch, host: Host, state: _State) -> list[Key]:
    """Return the digests to offer, the longest due first; tell what is wrong with the files."""
    seen = watch.look()
    _tell_mistakes(seen, host, state)
    state.fresh = (state.fresh | seen.fresh) & {one.path for one in seen.digests}
    now = host.clock()
    asked: dict[object, list[tuple[Settings, Day | None]]] = {}
    for settings in seen.digests:
        day = _today(settings, now, state)
        if day is None or judge(day, now).calls:
            asked.setdefault(settings.ledger, []).append((settings, day))
    found: dict[Key, datetime] = {}
    for digests in asked.values():
        found |= _unsettled(digests, now, host, state)
    busy = {key for batch in state.batches for key in batch.keys}
    state.offers = {key: state.offers.get(key) or _Offer() for key in {*found, *busy}}
    ready = [key for key in found if state.offers[key].not_before <= host.monotonic()]
    return sorted(ready, key=lambda key: (found[key], key))


def _tell_mistakes(seen: Seen, host: Host, state: _State) -> None:
    """Say once what is wrong with a file or folder, and again after it had been right."""
    mistakes: dict[str, tuple[tuple[Path, ...], str]] = {
        str(error): ((), str(error)) for error in seen.errors
    }
    for one in seen.broken:
        names = ", ".join(path.name for path in one.paths)
        mistakes[f"{names} {one.stamps}: {one.error}"] = (
            one.paths,
            f"{names}: not sent until it is mended",
        )
    for cause, (paths, line) in mistakes.items():
        if cause not in state.said:
            host.tell(line)
            if paths:
                state.alerts.append(paths)
    state.said = frozenset(mistakes)


def _today(settings: Settings, now: datetime, state: _State) -> Day | None:
    """Return what today is for a digest; None when not even that can be said, which `send` then tells."""
    date_there = today_of(settings, now)
    known, day = state.days.get(settings.path, (None, None))
    if known is settings and day is not None and day.business_date == date_there:
        return day
    try:
        day = day_of(settings, date_there)
    except DigestError:
        return None
    state.days[settings.path] = (settings, day)
    return day


def _unsettled(
    digests: Sequence[tuple[Settings, Day | None]], now: datetime, host: Host, state: _State
) -> dict[Key, datetime]:
    """Return those of one ledger's digests with work left, and since when each is due."""
    one = digests[0][0]
    ended: Mapping[tuple[str, date], RunState] = {}
    try:
        ledger = open_ledger(one.ledger, clock=host.clock, pin=pin_of(one))
        if not _ours(one, ledger, host, state):
            return {}
        ended = ledger.ended_runs({day.business_date for _, day in digests if day})
    except (LedgerError, OSError):
        pass  # `send` meets the same trouble and tells the operator
    return dict(_calls(digests, ended, now, state))


def _calls(
    digests: Sequence[tuple[Settings, Day | None]],
    ended: Mapping[tuple[str, date], RunState],
    now: datetime,
    state: _State,
) -> Iterator[tuple[Key, datetime]]:
    for settings, day in digests:
        if day is None:
            yield (settings.path, today_of(settings, now)), now
            continue
        answer = judge(day, now, ended.get((settings.id, day.business_date)))
        window = day.window
        # A file that has changed may name a recipient whom the day's edition has not reached.
        again = answer.standing is Standing.SENT and settings.path in state.fresh
        if answer.calls or (again and window.due_at <= now < window.until):
            yield (settings.path, day.business_date), window.due_at


def _ours(settings: Settings, ledger: Ledger, host: Host, state: _State) -> bool:
    """Whether this process runs the schedule of a ledger; else another one does, which is said once."""
    lease = ledger.take_lease(_LEASE_NAME, LEASE)
    key = settings.ledger
    if lease.owner == ledger.owner:
        state.held[key] = ledger
        state.holders.pop(key, None)
        return True
    state.held.pop(key, None)
    holder = f"{lease.owner.host}, process {lease.owner.pid}"
    if state.holders.get(key) != holder:
        state.holders[key] = holder
        host.tell(f"{settings.id}: the schedule on {holder} is at work; this one waits")
    return False


# ---------------------------------------------------------------------------------- the children


def _start(host: Host, state: _State, jobs: int) -> None:
    """Hand what waits to as many children as there may be."""
    while len(state.batches) < jobs and (state.alerts or state.waiting):
        keys: tuple[Key, ...] = ()
        if state.alerts:
            paths = state.alerts.pop(0)
        else:
            keys = tuple(_next_batch(state, jobs - len(state.batches)))
            paths = tuple(path for path, _ in keys)
        state.waiting = [key for key in state.waiting if key not in keys]
        state.fresh -= set(paths)
        for key in keys:
            state.offers[key].count += 1
            state.offers[key].not_before = math.inf
        try:
            state.batches.append(_Batch(host.spawn(paths), paths, keys, host.monotonic()))
        except OSError as error:
            host.tell(f"no process could be started ({error.strerror}); trying again")
            for key in keys:
                state.offers[key].wait(host.monotonic())


def _next_batch(state: _State, free: int) -> list[Key]:
    """Return what the next child serves: a fair share, or one digest whose child had crashed."""
    if state.offers[state.waiting[0]].alone:
        return state.waiting[:1]
    sound = [key for key in state.waiting if not state.offers[key].alone]
    return sound[: min(BATCH, math.ceil(len(sound) / free))]


def _reap(host: Host, state: _State) -> None:
    """Take leave of children that have ended, and end those that take too long."""
    now, running = host.monotonic(), []
    for batch in state.batches:
        code = batch.child.poll()
        if code is None:
            running.append(batch)
            if now - batch.started >= PATIENCE + GRACE:
                batch.child.kill()
            elif now - batch.started >= PATIENCE:
                batch.child.terminate()
            continue
        crashed = code not in _ORDERLY
        if crashed:
            names = ", ".join(path.name for path in batch.paths)
            host.tell(f"a sending process ended with {code} ({names}); what is left is tried again")
        for key in batch.keys:
            state.offers[key].alone |= crashed
            state.offers[key].wait(now)
    state.batches = running


def _wind_down(host: Host, state: _State) -> None:
    """Ask the children to end, wait a minute, end what is left, and let another schedule take over."""
    try:
        for batch in _alive(state.batches):
            batch.child.terminate()
        until = host.monotonic() + GRACE
        while _alive(state.batches) and host.monotonic() < until:
            host.sleep(_GLANCE / 4)
    finally:
        for batch in _alive(state.batches):
            batch.child.kill()
        for ledger in state.held.values():
            with suppress(LedgerError):
                ledger.give_lease_back(_LEASE_NAME)


def _alive(batches: Iterable[_Batch]) -> list[_Batch]:
    return [batch for batch in batches if batch.child.poll() is None]

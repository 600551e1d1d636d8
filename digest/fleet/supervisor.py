"""Keeps the worker processes of one host: starts them, starts those anew that end, passes the end on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from digest.fleet.worker import RECYCLE

if TYPE_CHECKING:
    from digest.schedule import Child

GRACE = 45.0  # seconds that processes have to end after they were asked
_GLANCE = 0.5
_BACK_OFF = (1, 2, 5, 10, 30, 60)  # seconds until a process that crashed is started again
_LIVED = 300.0  # after so many seconds a crash is a new one


@dataclass(frozen=True, kw_only=True)
class Host:
    """What a supervisor needs of its machine.

    Attributes:
        monotonic: seconds. sleep: waits so many. stop: answers True once asked to end.
        spawn: starts the worker of a role. tell: takes a line for the operator.
    """

    monotonic: Callable[[], float]
    sleep: Callable[[float], None]
    stop: Callable[[], bool]
    spawn: Callable[[str], Child]
    tell: Callable[[str], None]


@dataclass
class _Place:
    role: str
    child: Child | None = None
    started: float = 0.0
    crashes: int = 0
    not_before: float = field(default=0.0)


def supervise(host: Host, roles: Sequence[str]) -> None:
    """Keep one process in each role until asked to end; then end them and return."""
    places = [_Place(role) for role in roles]
    try:
        while not host.stop():
            for place in places:
                _look_after(host, place)
            host.sleep(_GLANCE)
    finally:
        _wind_down(host, places)


def _look_after(host: Host, place: _Place) -> None:
    now = host.monotonic()
    if place.child is not None:
        code = place.child.poll()
        if code is None:
            return
        place.child = None
        if code == RECYCLE:
            place.crashes, place.not_before = 0, now
        else:
            lived = now - place.started >= _LIVED
            place.crashes = 1 if lived else place.crashes + 1
            wait = _BACK_OFF[min(place.crashes, len(_BACK_OFF)) - 1]
            place.not_before = now + wait
            host.tell(
                f"a {place.role} process ended with {code}; its jobs are taken up again, "
                f"the next one starts in {wait} s"
            )
    if now >= place.not_before:
        try:
            place.child, place.started = host.spawn(place.role), now
        except OSError as error:
            place.not_before = now + _BACK_OFF[-1]
            host.tell(f"no process could be started ({error.strerror}); trying again")


def _wind_down(host: Host, places: Sequence[_Place]) -> None:
    living = [place.child for place in places if place.child is not None]
    for child in living:
        if child.poll() is None:
            child.terminate()
    until = host.monotonic() + GRACE
    while any(child.poll() is None for child in living) and host.monotonic() < until:
        host.sleep(_GLANCE / 2)
    for child in living:
        if child.poll() is None:
            child.kill()

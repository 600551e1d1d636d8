"""The lease of the schedule: one holder, taken over when it is over or its owner is gone."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from digest.ledger import Owner, Place, leases
from digest.ledger.store import Ledger
from tests.delivery.scene import Clock, a_ledger

NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)
LENGTH = timedelta(minutes=2)


@pytest.fixture
def clock() -> Clock:
    return Clock(NOON)


def ledger(
    place: Place, clock: Clock, host: str, gone: Callable[[Owner], bool] = lambda _: False
) -> Ledger:
    return a_ledger(place, clock, Owner(host, "boot", 1, "1"), gone=gone)


def test_the_first_has_it_and_the_second_is_told_who(place: Place, clock: Clock) -> None:
    first = ledger(place, clock, "a").take_lease("schedule", LENGTH)
    second = ledger(place, clock, "b").take_lease("schedule", LENGTH)

    assert (first.owner.host, first.generation, first.lease_until) == ("a", 1, NOON + LENGTH)
    assert second == first


def test_a_lease_is_renewed_only_when_half_of_it_is_gone(place: Place, clock: Clock) -> None:
    a = ledger(place, clock, "a")
    begun = a.take_lease("schedule", LENGTH)

    clock.now += timedelta(seconds=59)
    assert a.take_lease("schedule", LENGTH) == begun
    clock.now += timedelta(seconds=1)
    renewed = a.take_lease("schedule", LENGTH)
    assert (renewed.generation, renewed.lease_until) == (1, clock.now + LENGTH)


@pytest.mark.failure("T7")
def test_a_lease_that_is_over_is_taken_over_with_a_new_generation(
    place: Place, clock: Clock
) -> None:
    a, b = ledger(place, clock, "a"), ledger(place, clock, "b")
    a.take_lease("schedule", LENGTH)

    clock.now += LENGTH - timedelta(microseconds=1)
    assert b.take_lease("schedule", LENGTH).owner.host == "a"
    clock.now += timedelta(microseconds=1)
    taken = b.take_lease("schedule", LENGTH)
    assert (taken.owner.host, taken.generation) == ("b", 2)
    assert a.take_lease("schedule", LENGTH) == taken


def test_a_lease_whose_owner_is_provably_gone_is_free(place: Place, clock: Clock) -> None:
    ledger(place, clock, "a").take_lease("schedule", LENGTH)
    b = ledger(place, clock, "b", gone=lambda owner: owner.host == "a")

    assert b.take_lease("schedule", LENGTH).owner.host == "b"


def test_only_its_owner_gives_a_lease_back(place: Place, clock: Clock) -> None:
    a, b = ledger(place, clock, "a"), ledger(place, clock, "b")
    a.take_lease("schedule", LENGTH)

    b.give_lease_back("schedule")
    assert b.take_lease("schedule", LENGTH).owner.host == "a"
    a.give_lease_back("schedule")
    assert b.take_lease("schedule", LENGTH).owner.host == "b"


def test_names_have_leases_of_their_own(place: Place, clock: Clock) -> None:
    ledger(place, clock, "a").take_lease("schedule", LENGTH)

    assert ledger(place, clock, "b").take_lease("other", LENGTH).owner.host == "b"


def test_giving_one_lease_back_keeps_the_others(place: Place, clock: Clock) -> None:
    a, b = ledger(place, clock, "a"), ledger(place, clock, "b")
    for name in ("schedule", "other"):
        a.take_lease(name, LENGTH)

    a.give_lease_back("schedule")

    assert b.take_lease("other", LENGTH).owner.host == "a"


def test_taking_one_lease_over_leaves_others_of_the_same_time_alone(
    place: Place, clock: Clock
) -> None:
    first, second = ledger(place, clock, "host-a"), ledger(place, clock, "host-b")
    for name in ("schedule", "purge"):
        assert first.take_lease(name, LENGTH).name == name
    clock.now += LENGTH

    assert second.take_lease("schedule", LENGTH).owner.host == "host-b"
    clock.now -= LENGTH
    assert second.take_lease("purge", LENGTH).owner.host == "host-a"


@pytest.mark.parametrize("seen", ["nothing", "before it was renewed", "before it was taken over"])
def test_who_looked_before_another_took_a_lease_does_not_get_it(
    place: Place, clock: Clock, monkeypatch: pytest.MonkeyPatch, seen: str
) -> None:
    first, second, third = (ledger(place, clock, f"host-{n}") for n in "abc")
    stale = first.take_lease("schedule", LENGTH)
    clock.now += LENGTH
    other = first if seen == "before it was renewed" else second
    held = other.take_lease("schedule", LENGTH)
    if seen == "before it was taken over":  # by one whose lease ends at the same instant
        stale = replace(stale, lease_until=held.lease_until)
    clock.now += LENGTH
    found = None if seen == "nothing" else stale
    monkeypatch.setattr(leases, "_read", lambda _connection, _name: found)

    assert third.take_lease("schedule", LENGTH) == held


@pytest.mark.failure("T7")
def test_of_eight_that_ask_at_once_one_has_it(place: Place, clock: Clock) -> None:
    ledgers = [ledger(place, clock, f"host-{n}") for n in range(8)]
    for _ in range(5):
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda one: one.take_lease("schedule", LENGTH), ledgers))
        assert len(set(found)) == 1
        clock.now += LENGTH

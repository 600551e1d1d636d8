"""Killed with SIGKILL at every step, started twice more: nobody gets two mails, nobody is forgotten.

The server's file of accepted mails is the truth, the ledger is what is compared with it. Each step is
tried once in the ordinary run and several times in `.ci/run`; `make kills` tries more than 2,000.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from digest import delivery
from digest.channels.smtp import Smtp
from digest.delivery import STEPS
from digest.ledger import Claim, Owner, Place, Postgres, State, open_ledger
from digest.ledger.store import Ledger
from digest.model import Edition
from digest.render.mime import pack
from tests.delivery.scene import (
    TODAY,
    Unfenced,
    a_relay,
    an_edition,
    fork,
    from_json,
    render,
    to_json,
)
from tests.effort import effort
from tests.fakes.smtp import SmtpServer, running

# Steps that the server announces while the client waits for its answer.
ON_THE_WIRE = ("greeting", "EHLO", "MAIL", "RCPT", "DATA", "body", "reply", "QUIT")
BETWEEN_COMMIT_AND_RECORD = {"committed", "replied", "body", "reply"}


def now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - real processes need the real clock


def send_for_real(
    place: Place,
    channel: Smtp,
    hook: Callable[[str], None] = lambda _: None,
    kind: type[Ledger] = Ledger,
    *,
    stop: Callable[[], bool] = lambda: False,
    owner: Owner | None = None,
) -> int:
    def compose(_: Edition | None) -> Edition:
        return an_edition()

    opened = open_ledger(place, clock=now, owner=owner)
    ledger = kind(opened._backend, clock=now, owner=opened.owner, gone=opened._gone)
    result = delivery.send(
        digest_id="leads",
        business_date=TODAY,
        channels={"mail": channel},
        compose=compose,
        render=render,
        packers={"mime": pack},
        ledger=ledger,
        clock=now,
        sleep=time.sleep,
        to_json=to_json,
        from_json=from_json,
        patience=timedelta(),
        stop=stop,
        hook=hook,
    )
    return result.exit_code


def in_a_child(work: Callable[[], object]) -> int:
    """Fork, do the work, leave without any of pytest's own farewell; return the child's id."""
    child = fork()
    if child:
        return child
    try:
        work()
        os._exit(0)
    except BaseException:  # noqa: BLE001 - nothing of the child may run on in the parent's code
        os._exit(1)


def ended(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kill_me() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def at(step: str, occurrence: int, action: Callable[[], None]) -> Callable[[str], None]:
    seen: Counter[str] = Counter()

    def hook(name: str) -> None:
        seen[name] += 1
        if name == step and seen[name] == occurrence:
            action()

    return hook


def truth(path: Path) -> Counter[str]:
    return Counter(path.read_text().split()) if path.exists() else Counter()


def assert_nobody_got_two_and_nobody_was_forgotten(
    team: tuple[str, ...], place: Place, file: Path
) -> int:
    """Compare truth and ledger; return how many outcomes are unknown."""
    copies = truth(file)
    opened = open_ledger(place, clock=now)
    states = {row.recipient: row.state for row in opened.deliveries("leads", TODAY)}
    assert set(states) == set(team)
    assert set(states.values()) <= {State.SENT, State.UNKNOWN}
    assert all(copies[one] <= 1 for one in team), copies
    assert all(copies[one] == 1 for one in team if states[one] is State.SENT)
    return list(states.values()).count(State.UNKNOWN)


def a_team(size: int) -> tuple[str, ...]:
    return tuple(f"r{number}@team.example" for number in range(size))


# ------------------------------------------------------------------------------ killed at each step


def kill_and_restart(place: Place, folder: Path, step: str, occurrence: int, size: int) -> int:
    team, file = a_team(size), folder / "accepted"
    server = SmtpServer(truth=file)
    with running(server) as relay:
        channel = a_relay(relay.port, team)
        children: list[int] = []
        if step in STEPS:
            hook = at(step, occurrence, kill_me)
        else:
            hook = at("", 1, kill_me)
            announced = at(step, occurrence, lambda: os.kill(children[0], signal.SIGKILL))
            relay.on_stage = lambda stage, _: announced(stage)
        children.append(in_a_child(lambda: send_for_real(place, channel, hook)))
        assert ended(children[0]) == -signal.SIGKILL
        relay.on_stage = lambda _stage, _recipient: None

        first = send_for_real(place, channel)
        accepted = truth(file)
        second = send_for_real(place, channel)

        assert truth(file) == accepted, "the second restart must change nothing"
    unknown = assert_nobody_got_two_and_nobody_was_forgotten(team, place, file)
    assert first == second == (5 if unknown else 0)
    return unknown


def killed_at(place: Place, folder: Path, step: str, number: int = 1) -> None:
    """Kill at the second recipient, or at another one for another number."""
    each = step in (*STEPS[6:], "MAIL", "RCPT", "DATA", "body", "reply")
    occurrence, size = (1 + number % 3, 3) if each else (1, 2)

    unknown = kill_and_restart(place, folder, step, occurrence, size)

    # Unknown is reserved for a death between the commit and its record; never a way out elsewhere.
    assert unknown == (1 if step in BETWEEN_COMMIT_AND_RECORD else 0)


@pytest.mark.failure("P1")
@pytest.mark.parametrize("number", range(1, 1 + effort(1, 4)))
@pytest.mark.parametrize("step", [*STEPS, *ON_THE_WIRE])
def test_a_process_killed_at_a_step_neither_repeats_nor_forgets(
    tmp_path: Path, step: str, number: int
) -> None:
    killed_at(tmp_path / "ledger.db", tmp_path, step, number)


# In an ordinary run those around the commit; the others differ in nothing that the database decides.
SOME_STEPS = effort(
    ("messages frozen", "claimed", "body sent", "committed", "replied", "reply"),
    (*STEPS, *ON_THE_WIRE),
)


@pytest.mark.failure("P1")
@pytest.mark.parametrize("number", range(1, 1 + effort(1, 3)))
@pytest.mark.parametrize("step", SOME_STEPS)
def test_a_process_with_its_ledger_in_postgresql_killed_at_a_step_does_neither(
    pg: Postgres, tmp_path: Path, step: str, number: int
) -> None:
    killed_at(pg, tmp_path, step, number)


@pytest.mark.kills
@pytest.mark.parametrize("number", range(25))
@pytest.mark.parametrize("step", [*STEPS, *ON_THE_WIRE])
def test_a_process_killed_at_any_step_any_time_neither_repeats_nor_forgets(
    place: Place, tmp_path: Path, step: str, number: int
) -> None:
    killed_at(place, tmp_path, step, number)


# ------------------------------------------------------------------------------ at a random moment


def disturbed_at_random(place: Place, folder: Path, seed: int, number: signal.Signals) -> int:
    """Send a signal at some moment of a send, then send twice more."""
    chance = random.Random(seed)  # noqa: S311 - a moment, not a secret
    team, file = a_team(4), folder / "accepted"
    stopped: list[int] = []

    def work() -> None:
        signal.signal(signal.SIGTERM, lambda given, _: stopped.append(given))
        send_for_real(place, channel, stop=lambda: bool(stopped))

    with running(SmtpServer(truth=file, reply_delay=0.005)) as relay:
        channel = a_relay(relay.port, team)
        child = in_a_child(work)
        # About as long as the whole send takes, so that every part of it is hit.
        time.sleep(chance.uniform(0, 0.25 if isinstance(place, Path) else 0.6))
        os.kill(child, number)
        ended(child)
        send_for_real(place, channel)
        send_for_real(place, channel)
    return assert_nobody_got_two_and_nobody_was_forgotten(team, place, file)


@pytest.mark.failure("P1")
@pytest.mark.parametrize("seed", range(effort(2, 40)))
def test_a_process_killed_at_a_random_moment_neither_repeats_nor_forgets(
    place: Place, tmp_path: Path, seed: int
) -> None:
    assert disturbed_at_random(place, tmp_path, seed, signal.SIGKILL) <= 1


@pytest.mark.kills
@pytest.mark.parametrize("seed", range(1000, 1450))
def test_a_process_killed_at_any_of_many_moments_neither_repeats_nor_forgets(
    place: Place, tmp_path: Path, seed: int
) -> None:
    assert disturbed_at_random(place, tmp_path, seed, signal.SIGKILL) <= 1


# ------------------------------------------------------------------------------------ asked to end


@pytest.mark.failure("P2")
@pytest.mark.parametrize("step", effort(("claimed", "body sent", "committed"), STEPS))
def test_a_process_asked_to_end_at_a_step_leaves_nothing_unknown(
    place: Place, tmp_path: Path, step: str
) -> None:
    team, file = a_team(3), tmp_path / "accepted"
    stopped: list[str] = []
    with running(SmtpServer(truth=file)) as relay:
        channel = a_relay(relay.port, team)
        hook = at(step, 1, lambda: stopped.append(step))
        send_for_real(place, channel, hook, stop=lambda: bool(stopped))
        begun = truth(file)
        assert send_for_real(place, channel) == 0

    # What was committed is finished, and nothing more is begun.
    committed = step in STEPS[STEPS.index("committed") :]
    assert begun == (Counter(team[:1]) if committed else Counter())
    assert assert_nobody_got_two_and_nobody_was_forgotten(team, place, file) == 0


@pytest.mark.kills
@pytest.mark.parametrize("seed", range(75))
def test_a_process_asked_to_end_at_any_of_many_moments_leaves_nothing_unknown(
    place: Place, tmp_path: Path, seed: int
) -> None:
    assert disturbed_at_random(place, tmp_path, seed, signal.SIGTERM) <= 1


# ------------------------------------------------------------------------- stopped past its lease


class Hasty(Ledger):
    """Leases that run out while a test waits."""

    claim_lease = timedelta(seconds=0.4)
    commit_lease = timedelta(seconds=0.4)


def stopped_and_continued(place: Place, folder: Path, step: str) -> None:
    team, file = a_team(2), folder / "accepted"
    with running(SmtpServer(truth=file)) as relay:
        channel = a_relay(relay.port, team)
        hook = at(step, 1, lambda: os.kill(os.getpid(), signal.SIGSTOP))
        child = in_a_child(lambda: send_for_real(place, channel, hook, Hasty))
        os.waitpid(child, os.WUNTRACED)
        time.sleep(0.5)
        meanwhile = send_for_real(place, channel)
        before = truth(file)
        os.kill(child, signal.SIGCONT)
        assert ended(child) == 0
        after = truth(file)
        final = send_for_real(place, channel)

    unknown = assert_nobody_got_two_and_nobody_was_forgotten(team, place, file)
    if step in ("committed", "replied"):
        # Its lease ran out after the commit: unknown to the others, then its answer settles it.
        assert (meanwhile, unknown, final) == (5, 0, 0)
    else:
        # The others have served everybody; what wakes up sends nothing.
        assert (meanwhile, after, final) == (0, before, 0)


@pytest.mark.failure("P3")
@pytest.mark.parametrize("step", ["claimed", "body sent", "committed", "replied", "recorded"])
def test_a_process_that_sleeps_past_its_lease_sends_no_second_mail(
    place: Place, tmp_path: Path, step: str
) -> None:
    stopped_and_continued(place, tmp_path, step)


@pytest.mark.kills
@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize("step", ["claimed", "body sent", "committed", "replied", "recorded"])
def test_a_process_that_sleeps_past_its_lease_sends_no_second_mail_however_often(
    place: Place, tmp_path: Path, step: str, number: int
) -> None:
    del number
    stopped_and_continued(place, tmp_path, step)


# ------------------------------------------------------------------------- a suite that cannot fail


def test_without_the_write_ahead_the_kill_sweep_finds_a_duplicate(
    place: Place, tmp_path: Path
) -> None:
    team, file = a_team(1), tmp_path / "accepted"
    with running(SmtpServer(truth=file)) as relay:
        channel = a_relay(relay.port, team)
        hook = at("replied", 1, kill_me)
        ended(in_a_child(lambda: send_for_real(place, channel, hook, Unfenced)))
        send_for_real(place, channel)

    assert truth(file)[team[0]] == 2
    with pytest.raises(AssertionError):
        assert_nobody_got_two_and_nobody_was_forgotten(team, place, file)


class Forgetful(Ledger):
    """What the product must not be: it writes down that a mail was sent before it is."""

    def commit(self, claim: Claim) -> bool:
        return super().commit(claim) and self.record(claim, State.SENT, "soon")


def test_recording_before_the_end_of_the_message_the_kill_sweep_finds_a_lost_one(
    place: Place, tmp_path: Path
) -> None:
    team, file = a_team(1), tmp_path / "accepted"
    with running(SmtpServer(truth=file)) as relay:
        channel = a_relay(relay.port, team)
        hook = at("committed", 1, kill_me)
        ended(in_a_child(lambda: send_for_real(place, channel, hook, Forgetful)))
        send_for_real(place, channel)

    assert truth(file) == Counter()
    with pytest.raises(AssertionError):
        assert_nobody_got_two_and_nobody_was_forgotten(team, place, file)


class Unleased(Hasty):
    """What the product must not be: whoever wakes up goes on as if nothing had happened."""

    def commit(self, claim: Claim) -> bool:
        return super().commit(claim) or True


def test_without_the_fence_a_process_that_sleeps_sends_a_second_mail(
    place: Place, tmp_path: Path
) -> None:
    team, file = a_team(1), tmp_path / "accepted"
    with running(SmtpServer(truth=file)) as relay:
        channel = a_relay(relay.port, team)
        hook = at("claimed", 1, lambda: os.kill(os.getpid(), signal.SIGSTOP))
        child = in_a_child(lambda: send_for_real(place, channel, hook, Unleased))
        os.waitpid(child, os.WUNTRACED)
        time.sleep(0.5)
        send_for_real(place, channel)
        os.kill(child, signal.SIGCONT)
        ended(child)

    assert truth(file)[team[0]] == 2


# ------------------------------------------------------------------------------- four at once


def race(place: Place, folder: Path, size: int) -> None:
    team, file = a_team(size), folder / "accepted"
    with running(SmtpServer(truth=file)) as relay:
        channel = a_relay(relay.port, team)
        children = [in_a_child(lambda: send_for_real(place, channel)) for _ in range(4)]
        codes = [ended(child) for child in children]

    assert codes == [0] * 4
    assert truth(file) == Counter(team)
    assert assert_nobody_got_two_and_nobody_was_forgotten(team, place, file) == 0


@pytest.mark.failure("T7")
@pytest.mark.parametrize("number", range(effort(2, 20)))
def test_four_processes_at_once_send_each_mail_once(
    place: Place, tmp_path: Path, number: int
) -> None:
    del number
    race(place, tmp_path, size=4)


@pytest.mark.kills
@pytest.mark.parametrize("number", range(200))
def test_four_processes_at_once_send_each_mail_once_in_many_rounds(
    place: Place, tmp_path: Path, number: int
) -> None:
    del number
    race(place, tmp_path, size=10)

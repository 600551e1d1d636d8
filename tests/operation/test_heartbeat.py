"""The dead-man's switch: one start and one success a day, failure only when it is final, never a delay."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from digest.due import delay_of
from digest.errors import Reason
from digest.heartbeat import Ping, address, run_id, send_ping
from digest.ledger import Owner, open_ledger
from digest.model import Secret
from tests.fakes.healthchecks import Checks, running
from tests.fakes.smtp import Fault
from tests.operation.scene import MONDAY, TEAM, a_stage, at, source_error

RID = run_id("leads", MONDAY)
# The week of Whit Monday in Zurich: a holiday, a good day, a hold that passes, a lost day, a refusal.
WEEK = [date(2026, 5, 25) + timedelta(days=n) for n in range(7)]


@pytest.mark.failure("T6")
def test_a_week_with_a_holiday_a_hold_and_a_lost_day(tmp_path: Path) -> None:
    with a_stage(tmp_path, team=TEAM[:1]) as stage:
        for day, hours in (
            (WEEK[0], (0, 7, 8, 12)),  # Whit Monday
            (WEEK[1], (7, 8, 9, 12)),
            (WEEK[2], (8, 9, 10, 12)),  # held until nine
            (WEEK[3], (8, 9, 10, 12)),  # lost: the source never comes back
            (WEEK[4], (8, 9, 12)),
            (WEEK[5], (8, 12)),  # Saturday
        ):
            for hour in hours:
                held = day == WEEK[3] or (day == WEEK[2] and hour < 9)
                stage.source(source_error(Reason.TRANSIENT) if held else None)
                stage.call(at(hour, 45, day=day) if hour > 1 else at(2, 0, day=day))
        # On Sunday nothing runs: the host is dead, and only the service outside can notice.

        by_day: dict[UUID, Counter[str]] = {run_id("leads", day): Counter() for day in WEEK}
        for call in stage.checks.calls:
            by_day[UUID(call.rid)][call.kind] += 1
        assert [dict(found) for found in by_day.values()] == [
            {"success": 1},
            {"start": 1, "success": 1},
            {"start": 1, "log": 1, "success": 1},
            {"start": 1, "log": 3, "fail": 1},
            {"start": 1, "success": 1},
            {"success": 1},
            {},
        ]
        assert all(call.query["create"] == ["1"] for call in stage.checks.calls)
        assert not any(letter.isdigit() for call in stage.checks.calls for letter in call.body)


def test_a_free_day_is_a_success_from_send_at_on_and_not_before(tmp_path: Path) -> None:
    with a_stage(tmp_path) as stage:
        sunday = MONDAY - timedelta(days=1)
        stage.call(at(2, 0, day=sunday))
        assert stage.checks.kinds() == []
        stage.call(at(7, 30, day=sunday))
        stage.call(at(7, 45, day=sunday))
        assert stage.checks.kinds() == ["success"]


def test_a_free_day_is_a_success_only_after_the_digests_share_of_the_spread(
    tmp_path: Path,
) -> None:
    with a_stage(tmp_path) as stage:
        stage.settings = replace(stage.settings, spread=timedelta(minutes=29))
        sunday = MONDAY - timedelta(days=1)
        share = delay_of(stage.settings)
        assert share > timedelta(minutes=1)
        stage.call(at(7, 30, day=sunday) + share - timedelta(seconds=1))
        assert stage.checks.kinds() == []
        stage.call(at(7, 30, day=sunday) + share)
        assert stage.checks.kinds() == ["success"]


def test_a_refusal_that_was_reported_is_a_success(tmp_path: Path) -> None:
    with a_stage(tmp_path, relay={"faults": (Fault("RCPT", "550 no", TEAM[0]),)}) as stage:
        for hour in (7, 8, 12):
            stage.call(at(hour, 31))
        assert stage.checks.kinds() == ["start", "success"]


@pytest.mark.parametrize(
    "fault",
    [Fault("RCPT", "550 no"), Fault("reply", "drop", TEAM[0])],
    ids=["all refused", "unknown"],
)
def test_all_refused_and_unknown_are_failures_told_once(tmp_path: Path, fault: Fault) -> None:
    with a_stage(tmp_path, relay={"faults": (fault,)}) as stage:
        stage.call(at(7, 31))
        stage.call(at(7, 46))
        assert stage.checks.kinds() == ["start", "fail"]


def test_an_unusable_ledger_is_a_failure(tmp_path: Path) -> None:
    with a_stage(tmp_path) as stage:
        stage.call(at(7, 31))
        (tmp_path / "ledger.sqlite").write_bytes(b"")
        stage.call(at(7, 31, day=MONDAY + timedelta(days=1)))
        assert stage.checks.kinds() == ["start", "success", "fail"]


def test_who_waits_for_greylisting_is_only_logged(tmp_path: Path) -> None:
    faults = (Fault("RCPT", "450 greylisted", TEAM[0]),)
    with a_stage(tmp_path, relay={"faults": faults}) as stage:
        stage.call(at(7, 31))
        assert stage.checks.kinds() == ["start", "log"]


def test_what_another_process_is_at_work_on_is_left_to_it(tmp_path: Path) -> None:
    faults = (Fault("RCPT", "450 greylisted"),)
    with a_stage(tmp_path, team=TEAM[:1], relay={"faults": faults}) as stage:
        stage.call(at(7, 31))
        there = Owner("host-b", "boot", 2, "2")
        other = open_ledger(tmp_path / "ledger.sqlite", clock=lambda: at(9, 0), owner=there)
        assert other.claim(f"leads/{MONDAY}/smtp/{TEAM[0]}") is not None

        stage.call(at(9, 1))
        assert stage.checks.kinds() == ["start", "log"]


def test_an_earlier_date_that_a_person_names_is_none_of_its_business(tmp_path: Path) -> None:
    with a_stage(tmp_path) as stage:
        assert stage.call(at(9, 0), day=date(2026, 6, 12)) == 0
        assert stage.checks.calls == []


# ---------------------------------------------------------------------------------------- the protocol


@pytest.mark.parametrize(
    ("url", "ping", "where"),
    [
        ("https://hc.example/u1", Ping.START, "https://hc.example/u1/start?rid={}"),
        ("https://hc.example/u1/", Ping.SUCCESS, "https://hc.example/u1?rid={}"),
        (
            "https://hc.example/k/slug?create=1",
            Ping.FAIL,
            "https://hc.example/k/slug/fail?create=1&rid={}",
        ),
        ("https://hc.example/u1?a=1&b=%2F", Ping.LOG, "https://hc.example/u1/log?a=1&b=%2F&rid={}"),
    ],
)
def test_a_ping_goes_below_the_address_and_keeps_its_query(
    url: str, ping: Ping, where: str
) -> None:
    assert address(url, ping, RID) == where.format(RID)


def test_one_edition_has_one_id_on_every_host_and_another_one_another() -> None:
    assert run_id("leads", MONDAY) == RID == UUID("4af29c97-34e8-5cab-b11b-d5903bce409b")
    assert run_id("leads", MONDAY + timedelta(days=1)) != RID
    assert run_id("other", MONDAY) != RID


@pytest.mark.parametrize(
    ("answers", "asked", "problem"),
    [
        ((200,), 1, None),
        ((500, 503, 200), 3, None),
        ((500,), 3, "answered 500"),
        ((429, 200), 2, None),
        ((404,), 1, "answered 404"),
        ((302,), 1, "answered 302"),
    ],
)
def test_what_may_pass_is_tried_three_times_and_what_will_not_once(
    answers: tuple[int, ...], asked: int, problem: str | None
) -> None:
    with running(Checks(answers=answers)) as checks:
        found = send_ping(
            Secret(checks.url), Ping.SUCCESS, rid=RID, body="a\nb\r\n" + "c" * 500, pause=0
        )

        assert found == problem
        assert checks.asked == asked
        assert [call.body for call in checks.calls] == ([] if problem else ["a b " + "c" * 196])


def test_a_service_that_hangs_costs_three_times_the_timeout_and_no_more() -> None:
    with running(Checks(answers=(0,))) as checks:
        began = time.monotonic()
        found = send_ping(Secret(checks.url), Ping.START, rid=RID, timeout=0.2, pause=0)

        assert time.monotonic() - began < 2
        assert found is not None
        assert "cannot be reached" in found
        assert "canary" not in found


def test_a_service_that_is_down_neither_stops_nor_fails_a_send_and_is_told_later(
    tmp_path: Path,
) -> None:
    with a_stage(tmp_path, answers=(404,)) as stage:
        assert stage.call(at(7, 31)) == 0
        assert stage.got == sorted(TEAM)
        assert stage.said == ["warning: the heartbeat answered 404"] * 2

        stage.checks.answers = (200,)
        assert stage.call(at(7, 46)) == 0
        assert stage.checks.kinds() == ["start", "success"]


def test_without_a_memory_it_pings_rather_twice_than_never(tmp_path: Path) -> None:
    with a_stage(tmp_path) as stage:
        stage.call(at(7, 31))
        (tmp_path / ".alerts.sqlite").mkdir()
        stage.settings = replace(stage.settings, ledger=tmp_path / "digest.toml" / "ledger.sqlite")
        stage.call(at(8, 0))
        stage.call(at(8, 15))
        assert stage.checks.kinds() == ["start", "success", "fail", "fail"]

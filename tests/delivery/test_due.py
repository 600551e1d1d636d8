from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from digest.delivery import due
from digest.model import local_instant

ZURICH = "Europe/Zurich"
SEND_AT, SEND_UNTIL = time(7, 30), time(11)


@pytest.mark.parametrize(
    ("day", "wall", "zone", "utc"),
    [
        (date(2026, 1, 15), time(7, 30), ZURICH, "2026-01-15 06:30"),
        (date(2026, 7, 15), time(7, 30), ZURICH, "2026-07-15 05:30"),
        (date(2027, 3, 28), time(2, 30), ZURICH, "2027-03-28 01:00"),  # in the gap: 03:00
        (date(2027, 3, 28), time(2, 0), ZURICH, "2027-03-28 01:00"),
        (date(2027, 3, 28), time(3, 0), ZURICH, "2027-03-28 01:00"),
        (date(2027, 3, 28), time(1, 59), ZURICH, "2027-03-28 00:59"),
        (date(2026, 10, 25), time(2, 30), ZURICH, "2026-10-25 00:30"),  # the first of two
        (date(2027, 3, 28), time(0, 0), "Asia/Beirut", "2027-03-27 22:00"),  # gap at midnight
        (date(2026, 10, 4), time(2, 15), "Australia/Lord_Howe", "2026-10-03 15:30"),  # half an hour
        (
            date(2011, 12, 30),
            time(7, 30),
            "Pacific/Apia",
            "2011-12-30 10:00",
        ),  # a day that never was
    ],
)
def test_a_wall_time_is_one_instant(day: date, wall: time, zone: str, utc: str) -> None:
    assert f"{local_instant(day, wall, zone):%Y-%m-%d %H:%M}" == utc


@pytest.mark.parametrize(
    ("at", "answer"),
    [
        ("05:29:59", "early"),
        ("05:30:00", "open"),
        ("08:59:59", "open"),
        ("09:00:00", "late"),
    ],
)
def test_the_window_is_half_open(at: str, answer: str) -> None:
    now = datetime.fromisoformat(f"2026-07-15T{at}+00:00")

    assert due(now, date(2026, 7, 15), SEND_AT, SEND_UNTIL, ZURICH) == answer


def test_any_other_day_is_early_or_late() -> None:
    now = datetime(2026, 7, 15, 6, tzinfo=UTC)

    assert due(now, date(2026, 7, 16), SEND_AT, SEND_UNTIL, ZURICH) == "early"
    assert due(now, date(2026, 7, 14), SEND_AT, SEND_UNTIL, ZURICH) == "late"


def count_problems(zone: str, start: date, end: date) -> int:
    """Count times that do not follow each other, or fall on another local date, outside gaps."""
    info, previous, wrong = ZoneInfo(zone), datetime.min.replace(tzinfo=UTC), 0
    day = start
    while day < end:
        for half_hour in range(48):
            wall = time(half_hour // 2, half_hour % 2 * 30)
            instant = local_instant(day, wall, zone)
            wrong += instant < previous or instant.astimezone(info).date() != day
            wrong += instant.astimezone(info).time().replace(tzinfo=None) < wall
            previous = instant
        day += timedelta(1)
    return wrong


@pytest.mark.parametrize("zone", [ZURICH, "Australia/Lord_Howe"])
def test_every_half_hour_of_two_years_comes_in_order_on_its_own_day(zone: str) -> None:
    assert count_problems(zone, date(2026, 1, 1), date(2028, 1, 1)) == 0


@pytest.mark.long
@pytest.mark.parametrize(
    "zone",
    [
        ZURICH,
        "America/New_York",
        "Asia/Kolkata",
        "Australia/Lord_Howe",
        "Africa/Casablanca",
        "Asia/Beirut",
    ],
)
def test_every_half_hour_of_twenty_years_comes_in_order_on_its_own_day(zone: str) -> None:
    assert count_problems(zone, date(2020, 1, 1), date(2041, 1, 1)) == 0

"""When an edition may leave: the window, the days off, the spread and the clock changes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from digest.due import Answer, Standing, delay_of, due, window_of
from digest.ledger import RunState
from digest.model import local_instant
from digest.settings import Settings, load
from digest.workdays import Calendar
from tests.effort import effort
from tests.test_compose import CONFIG

ZURICH = "Europe/Zurich"
KNOWN_DELAYS = [656, 542, 208]


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


# ---------------------------------------------------------------------------------------- the window


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "digest.toml").write_text(CONFIG)
    return load(tmp_path / "digest.toml", environment={})


def answer(settings: Settings, at: str, run: RunState | None = None) -> Answer:
    return due(settings, datetime.fromisoformat(f"{at}+00:00"), run)


@pytest.mark.parametrize(
    ("at", "standing"),
    [
        ("2026-07-14T22:00:00", Standing.EARLY),  # midnight in Zurich: the day begins
        ("2026-07-15T05:29:59", Standing.EARLY),
        ("2026-07-15T05:30:00", Standing.OPEN),
        ("2026-07-15T08:59:59", Standing.OPEN),
        ("2026-07-15T09:00:00", Standing.LATE),
        ("2026-07-15T21:59:59", Standing.LATE),
    ],
)
def test_the_window_is_half_open(settings: Settings, at: str, standing: Standing) -> None:
    found = answer(settings, at)

    assert (found.standing, found.day.business_date) == (standing, date(2026, 7, 15))
    assert found.calls == (standing is not Standing.EARLY)
    sent = answer(settings, at, RunState.DONE)
    assert (sent.standing, sent.calls) == (Standing.SENT, False)


@pytest.mark.parametrize(
    ("at", "run", "called_for"),
    [
        ("2026-07-15T09:00", RunState.EXPIRED, False),  # the operator was told once
        ("2026-07-15T08:00", RunState.EXPIRED, True),  # the clock was wrong when it expired
        ("2026-07-15T08:00", RunState.SKIPPED, True),  # the calendar has been put right
        ("2026-07-12T05:29", None, False),
        ("2026-07-12T05:30", None, True),  # a Sunday is written down with its reason
        ("2026-07-12T05:30", RunState.SKIPPED, False),
    ],
)
def test_what_the_ledger_says_decides_whether_a_send_is_called_for(
    settings: Settings,
    at: str,
    run: RunState | None,
    called_for: bool,  # noqa: FBT001 - a column of the table
) -> None:
    assert answer(settings, at, run).calls is called_for


@pytest.mark.parametrize("hour", [0, 5, 8, 21])
def test_a_day_off_is_skipped_at_any_hour_and_says_why(settings: Settings, hour: int) -> None:
    found = answer(settings, f"2026-05-01T{hour:02}:00")

    assert (found.standing, found.day.reason) == (Standing.SKIPPED, "Labor Day")
    assert answer(settings, "2026-05-02T08:00").day.reason == "weekend"


def test_a_spread_delays_each_digest_by_a_share_of_its_own(settings: Settings) -> None:
    spread = [
        replace(settings, spread=timedelta(minutes=15), id=f"digest-{n}") for n in range(10_000)
    ]
    minutes = Counter(delay_of(one) // timedelta(minutes=1) for one in spread)

    assert sorted(minutes) == list(range(15))
    # Measured over 10,000 names: between 622 and 712 a minute.
    assert 600 < min(minutes.values()) <= max(minutes.values()) < 730
    assert delay_of(settings) == timedelta(0)
    # Known values: the same on every host and in every version of Python.
    assert [delay_of(one).total_seconds() for one in spread[:3]] == KNOWN_DELAYS


SUNDAYS = replace(Calendar("CH", "ZH"), workweek=(6, 0, 1, 2, 3))


@pytest.mark.failure("T3")
@pytest.mark.parametrize(
    ("day", "times", "due_at", "until"),
    [
        # The clock goes from 02:00 to 03:00 (01:00 UTC) on 28 March 2027.
        (date(2027, 3, 28), (time(1, 30), time(4, 0)), "00:30", "02:00"),
        (date(2027, 3, 28), (time(2, 30), time(6, 0)), "01:00", "04:00"),
        (date(2027, 3, 28), (time(1, 0), time(2, 30)), "00:00", "01:00"),
        # Swallowed whole, or down to less than half an hour: the window keeps its length.
        (date(2027, 3, 28), (time(2, 0), time(2, 45)), "01:00", "01:45"),
        (date(2027, 3, 28), (time(1, 45), time(2, 30)), "00:45", "01:30"),
        # It goes back from 03:00 to 02:00 (01:00 UTC) on 25 October 2026: the first 02:30 counts.
        (date(2026, 10, 25), (time(2, 30), time(6, 0)), "00:30", "05:00"),
        (date(2026, 10, 25), (time(1, 30), time(2, 30)), "23:30", "00:30"),
    ],
)
def test_a_clock_change_moves_the_window_but_never_closes_it(
    settings: Settings, day: date, times: tuple[time, time], due_at: str, until: str
) -> None:
    sundays = replace(settings, calendar=SUNDAYS, send_at=times[0], send_until=times[1])

    window = window_of(sundays, day)

    assert (f"{window.due_at:%H:%M}", f"{window.until:%H:%M}") == (due_at, until)
    assert due(sundays, window.due_at).standing is Standing.OPEN


def test_a_delay_in_a_shortened_window_still_leaves_time_to_send(settings: Settings) -> None:
    late = replace(settings, send_at=time(1, 0), send_until=time(2, 30), spread=timedelta(hours=1))
    longest = max((replace(late, id=f"d{n}") for n in range(500)), key=delay_of)

    window = window_of(longest, date(2027, 3, 28))

    assert delay_of(longest) > timedelta(minutes=59)
    assert window.due_at < window.until


# --------------------------------------------------------------------------------- every date there is


@dataclass
class Sweep:
    """Every date of some years in one zone, at each half hour, as `local_instant` places it."""

    zone: str
    gaps: int = 0  # half hours that the clock leaves out
    folds: int = 0  # half hours that come twice
    wrong: list[datetime] = field(default_factory=list)

    def run(self, start: date, end: date) -> Sweep:
        info, yesterday = ZoneInfo(self.zone), [datetime.min.replace(tzinfo=UTC)] * 48
        for n in range((end - start).days):
            day = start + timedelta(n)
            walls = [datetime.combine(day, time(half // 2, half % 2 * 30)) for half in range(48)]
            instants = [local_instant(day, wall.time(), self.zone) for wall in walls]
            local = [instant.astimezone(info).replace(tzinfo=None) for instant in instants]
            self.wrong += [
                wall
                for wall, shown, instant, earlier in zip(
                    walls, local, instants, yesterday, strict=True
                )
                # Once a date, never before the time that was asked for, always on its own date.
                if not (instant > earlier and shown >= wall and shown.date() == day)
            ]
            self.wrong += [walls[0] for one, two in pairwise(instants) if one > two]
            self.gaps += sum(wall != shown for wall, shown in zip(walls, local, strict=True))
            self.folds += sum(comes_twice(wall.replace(tzinfo=info)) for wall in walls)
            yesterday = instants
        return self


def comes_twice(wall: datetime) -> bool:
    first, second = wall.replace(fold=0).utcoffset(), wall.replace(fold=1).utcoffset()
    return (first or timedelta(0)) > (second or timedelta(0))


@pytest.mark.no_cover
@pytest.mark.failure("T3")
@pytest.mark.parametrize(("zone", "changed"), [(ZURICH, 2), ("Australia/Lord_Howe", 1)])
def test_every_half_hour_of_many_years_comes_once_a_date_and_in_order(
    zone: str, changed: int
) -> None:
    years = effort(4, 10)
    sweep = Sweep(zone).run(date(2020, 1, 1), date(2020 + years, 1, 1))

    assert (sweep.wrong, sweep.gaps, sweep.folds) == ([], changed * years, changed * years)


@pytest.mark.long
@pytest.mark.failure("T3")
def test_every_half_hour_of_twenty_years_in_six_zones_comes_once_a_date_and_in_order() -> None:
    zones = (
        ZURICH,
        "America/New_York",
        "Asia/Kolkata",
        "Australia/Lord_Howe",
        "Africa/Casablanca",
        "Asia/Beirut",
    )
    sweeps = [Sweep(zone).run(date(2020, 1, 1), date(2041, 1, 1)) for zone in zones]

    assert [sweep.wrong for sweep in sweeps] == [[]] * len(zones)
    assert (sum(one.gaps for one in sweeps), sum(one.folds for one in sweeps)) == (191, 191)

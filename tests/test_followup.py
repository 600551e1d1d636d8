"""The sales half: business time, who is due, how soon, how persistently."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digest.followup import BusinessClock, Hours, Promise, business_minutes, follow_up
from digest.model import FollowUp, FollowUpRow, Period, SegmentFollowUp
from digest.workdays import Calendar
from tests.effort import effort

ZONE = "Europe/Zurich"
ZURICH = Calendar("CH", "ZH")
DUTCH = Calendar("NL")
JUNE = Period(date(2026, 6, 1), date(2026, 7, 1), ZONE)
NINE_TO_FIVE = Hours(time(9), time(17))
MINUTE = timedelta(minutes=1)


def at(text: str, zone: str = ZONE) -> datetime:
    """The UTC instant of a local time in June 2026: "16 09:30", or a whole "2026-03-29 02:30"."""
    whole = text if text.startswith("20") else f"2026-06-{text}"
    return datetime.fromisoformat(whole).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def minutes(
    start: str,
    end: str,
    *,
    calendar: Calendar = ZURICH,
    hours: Hours = NINE_TO_FIVE,
    zone: str = ZONE,
) -> Fraction:
    return business_minutes(
        at(start, zone), at(end, zone), calendar=calendar, hours=hours, timezone=zone
    )


# ------------------------------------------------------------------------------------- business time


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("09 10:00", "09 12:30", 150),  # Tuesday morning: the domain's reference
        ("05 16:30", "08 09:30", 60),  # Friday to Monday: the domain's reference
        ("09 10:00", "09 10:00", 0),
        ("09 12:30", "09 10:00", 0),  # a call before the lead was qualified
        ("09 18:00", "10 08:00", 0),  # a night
        ("06 10:00", "07 20:00", 0),  # a weekend
        ("08 00:00", "13 00:00", 5 * 8 * 60),
        ("2026-05-22 16:00", "2026-05-26 10:00", 120),  # Whit Monday is free in Zurich
        ("2026-04-30 16:00", "2026-05-04 10:00", 120),  # so is 1 May
    ],
)
def test_business_time_is_the_overlap_of_hours_on_workdays(
    start: str, end: str, expected: int
) -> None:
    assert minutes(start, end) == expected


def test_seconds_are_not_lost() -> None:
    assert minutes("09 10:00:00", "09 10:00:20") == Fraction(1, 3)


def test_another_calendar_has_other_workdays() -> None:
    assert minutes("2026-04-30 16:00", "2026-05-04 10:00", calendar=DUTCH) == 120 + 8 * 60


def test_a_half_day_is_open_for_its_first_half() -> None:
    half = replace(ZURICH, half=(date(2026, 12, 24),))
    assert minutes("2026-12-24 08:00", "2026-12-24 20:00", calendar=half) == 240
    assert minutes("2026-12-24 12:30", "2026-12-24 13:30", calendar=half) == 30


def test_midnight_as_an_end_is_the_end_of_the_day() -> None:
    around = Hours(time(0), time(0))
    assert around.length == timedelta(days=1)
    assert minutes("09 00:00", "10 12:00", hours=around) == 36 * 60


# An operation that also works on Sundays, when clocks change.
EVERY_DAY = replace(ZURICH, workweek=(0, 1, 2, 3, 4, 5, 6))


@pytest.mark.parametrize(
    ("day", "hours", "expected"),
    [
        ("2026-03-29", Hours(time(0), time(0)), 23 * 60),
        ("2026-10-25", Hours(time(0), time(0)), 25 * 60),
        ("2026-03-29", Hours(time(1), time(5)), 3 * 60),
        ("2026-10-25", Hours(time(1), time(5)), 5 * 60),
        ("2026-03-29", Hours(time(2, 30), time(5)), 120),  # 02:30 does not exist: opens at 03:00
        ("2026-03-29", Hours(time(1), time(2, 30)), 60),
        ("2026-10-25", Hours(time(2, 30), time(4)), 150),  # opens at the first 02:30
        ("2026-03-29", NINE_TO_FIVE, 480),
    ],
)
def test_a_clock_change_within_the_hours_makes_the_day_longer_or_shorter(
    day: str, hours: Hours, expected: int
) -> None:
    after = (date.fromisoformat(day) + timedelta(1)).isoformat()
    assert minutes(f"{day} 00:00", f"{after} 00:00", calendar=EVERY_DAY, hours=hours) == expected


def test_a_day_that_a_zone_skipped_has_no_business_time() -> None:
    found = minutes("2011-12-29 09:00", "2011-12-31 09:00", calendar=EVERY_DAY, zone="Pacific/Apia")
    assert found == 8 * 60  # Thursday; Samoa had no 30 December, a Friday


@pytest.mark.parametrize("closes", [time(9), time(8)])
def test_hours_that_end_before_they_begin_are_refused(closes: time) -> None:
    with pytest.raises(
        ValueError, match=r"business_hours: found 09:00-0[89]:00; allowed: an end after"
    ):
        Hours(time(9), closes)


# ------------------------------------------------------------------------------ against brute force


def brute_minutes(
    start: datetime, end: datetime, *, calendar: Calendar, hours: Hours, zone: str
) -> int:
    """Walk every minute and look at the clock on the wall; knows nothing of intervals."""
    opens = hours.opens.hour * 60 + hours.opens.minute
    closes = hours.closes.hour * 60 + hours.closes.minute or 24 * 60
    local = ZoneInfo(zone)
    counted = 0
    # Begin at the start of the local day, because a repeated hour is open once it was reached once.
    moment = start - timedelta(hours=26)
    day, reached, ended = date.min, False, False
    open_minutes: dict[date, list[datetime]] = {}
    while moment < end + timedelta(hours=26):
        wall = moment.astimezone(local)
        if wall.date() != day:
            day, reached, ended = wall.date(), False, False
        passed = wall.hour * 60 + wall.minute
        reached, ended = reached or passed >= opens, ended or passed >= closes
        if reached and not ended:
            open_minutes.setdefault(day, []).append(moment)
        moment += MINUTE
    for that_day, moments in open_minutes.items():
        weight = calendar.day(that_day).weight
        worked = moments[: int(len(moments) * weight)]
        counted += sum(start <= moment < end for moment in worked)
    return counted


HALF_DAYS = replace(EVERY_DAY, half=(date(2026, 3, 28), date(2026, 10, 25)))
PLACES = [
    (ZURICH, ZONE),
    (EVERY_DAY, ZONE),
    (HALF_DAYS, ZONE),
    (DUTCH, "Europe/Amsterdam"),
    (Calendar("US", "CA"), "America/Los_Angeles"),
    (Calendar("IN"), "Asia/Kolkata"),
    (replace(ZURICH, workweek=(5, 6)), "Australia/Lord_Howe"),  # its clock changes by half an hour
]
AROUND_CHANGES = [datetime(2026, 3, 27, tzinfo=UTC), datetime(2026, 10, 23, tzinfo=UTC)]
HOURS = st.sampled_from(
    [
        NINE_TO_FIVE,
        Hours(time(0), time(0)),
        Hours(time(1, 30), time(2, 30)),
        Hours(time(2, 30), time(10)),
        Hours(time(8, 15), time(18, 45)),
        Hours(time(22), time(0)),
    ]
)


@given(
    place=st.sampled_from(PLACES),
    hours=HOURS,
    base=st.sampled_from(AROUND_CHANGES),
    start=st.integers(0, 3 * 1440),
    length=st.integers(-600, 3 * 1440),
)
@settings(deadline=None, max_examples=60)
def test_business_time_equals_counting_minutes_on_the_wall(
    place: tuple[Calendar, str], hours: Hours, base: datetime, start: int, length: int
) -> None:
    calendar, zone = place
    begin = base + start * MINUTE
    end = begin + length * MINUTE

    found = business_minutes(begin, end, calendar=calendar, hours=hours, timezone=zone)

    slack = 1 if calendar.half else 0  # half of an odd number of minutes ends within one
    expected = brute_minutes(begin, end, calendar=calendar, hours=hours, zone=zone)
    assert abs(found - expected) <= slack


@pytest.mark.long
@given(
    place=st.sampled_from(PLACES),
    hours=HOURS,
    base=st.sampled_from(AROUND_CHANGES),
    start=st.integers(0, 3 * 1440),
    length=st.integers(-600, 5 * 1440),
)
@settings(deadline=None, max_examples=effort(200, 2000))
def test_business_time_equals_counting_minutes_two_thousand_times(
    place: tuple[Calendar, str], hours: Hours, base: datetime, start: int, length: int
) -> None:
    test_business_time_equals_counting_minutes_on_the_wall.hypothesis.inner_test(  # type: ignore[attr-defined]  # Hypothesis keeps the function it wraps there
        place, hours, base, start, length
    )


@given(
    starts=st.lists(st.integers(0, 20 * 1440), min_size=2, max_size=2).map(sorted),
)
def test_business_time_adds_up(starts: list[int]) -> None:
    clock = BusinessClock(ZURICH, NINE_TO_FIVE, ZONE, date(2026, 3, 20), date(2026, 4, 12))
    first, second = (datetime(2026, 3, 20, tzinfo=UTC) + n * MINUTE for n in starts)
    expected = business_minutes(first, second, calendar=ZURICH, hours=NINE_TO_FIVE, timezone=ZONE)
    assert Fraction((clock.at(second) - clock.at(first)) // MINUTE) == expected


# --------------------------------------------------------------------------------- who is due, when


def lead(  # qualified on Monday 1 June at 09:00 unless told otherwise
    start: str = "01 09:00",
    answered: str | None = None,
    *,
    segment: str = "DACH",
    attempts: int = 0,
    outcome: str = "open",
    website: bool = False,
) -> FollowUpRow:
    return FollowUpRow(
        segment, at(start), at(answered) if answered else None, attempts, outcome, website
    )


# Eight business hours: the time of a whole workday.
DAY = Promise(respond_within=480, website_within=60)


def kept(
    *rows: FollowUpRow,
    now: str = "15 07:30",
    promise: Promise = DAY,
    month: Period = JUNE,
    calendars: Mapping[str, Calendar] | None = None,
) -> FollowUp:
    return follow_up(
        rows,
        promise,
        month=month,
        now=at(now),
        segments=("DACH", "Benelux"),
        calendar=ZURICH,
        calendars=calendars or {},
    )


def test_nothing_to_follow_up_is_no_share_and_no_time() -> None:
    found = kept()

    assert (found.leads, found.due, found.in_time, found.overdue) == (0, 0, 0, 0)
    assert (found.median_minutes, found.p90_minutes) == (None, None)
    assert (found.median_censored, found.p90_censored) == (False, False)
    assert [part.segment for part in found.segments] == ["DACH", "Benelux"]


def test_the_promise_stands_beside_what_was_kept() -> None:
    found = kept(lead(website=True), promise=replace(DAY, attempts=3, clock="elapsed"))

    assert (found.respond_within, found.website_within) == (480, 60)
    assert (found.attempts, found.within_workdays, found.clock) == (3, 10, "elapsed")
    assert found.promised_share == Fraction(9, 10)
    assert kept(lead()).website_within is None


@pytest.mark.parametrize(
    ("row", "due", "in_time", "overdue"),
    [
        (lead("12 10:00", "12 10:05"), 1, 1, 0),
        (lead("11 10:00", "12 10:00"), 1, 1, 0),  # exactly the promised time
        (lead("11 10:00", "12 10:01"), 1, 0, 0),
        (lead("11 10:00", "08 10:00"), 1, 1, 0),  # called before it was qualified
        (lead("12 10:00"), 0, 0, 0),  # its time is not over
        (lead("11 17:00"), 0, 0, 0),  # over, but not by a minute: a call at night is in time
        (lead("11 16:59"), 1, 0, 1),
        (lead("10 10:00", "16 10:00"), 1, 0, 1),  # answered after `now`
        (lead("16 10:00"), 0, 0, 0),  # qualified after `now`
        (lead("10 10:00", outcome="rejected"), 1, 0, 0),  # a breach, but nobody has to call
        (lead("10 10:00", outcome="closed"), 1, 0, 0),
        (lead("10 10:00", outcome="accepted"), 1, 0, 1),
        (lead("12 15:00", website=True), 1, 0, 1),
        (lead("12 15:00", "12 16:00", website=True), 1, 1, 0),
        (lead("12 15:00", "12 16:01", website=True), 1, 0, 0),
    ],
)
def test_due_are_leads_that_were_contacted_or_whose_time_is_over(
    row: FollowUpRow, due: int, in_time: int, overdue: int
) -> None:
    found = kept(row)
    assert (found.due, found.in_time, found.overdue) == (due, in_time, overdue)


def test_around_the_clock_a_weekend_counts() -> None:
    friday = lead("12 10:00", "15 06:00")
    elapsed = kept(friday, promise=replace(DAY, clock="elapsed"))
    assert (elapsed.median_minutes, elapsed.in_time) == (Fraction(68 * 60), 0)
    assert kept(friday).median_minutes == 7 * 60


def test_a_lead_of_the_month_before_counts_only_as_a_task() -> None:
    old = lead("2026-05-28 10:00")
    found = kept(old, lead("2026-05-28 10:00", "02 10:00", outcome="rejected"))

    assert (found.leads, found.due, found.rejected) == (0, 0, 0)
    assert (found.overdue, found.attempts_due) == (1, 1)
    assert found.segments[0] == SegmentFollowUp("DACH", 0, 0, 0, None, False, 1, 0, 0)  # noqa: FBT003 - a row in short


def test_a_lead_of_the_month_after_is_no_lead_of_a_closed_month() -> None:
    may = Period(date(2026, 5, 1), date(2026, 6, 1), ZONE)
    found = kept(lead("2026-05-31 23:59"), lead("2026-06-01 00:00"), month=may)
    assert (found.leads, found.overdue) == (1, 2)


def test_each_segment_waits_by_its_own_calendar() -> None:
    # Monday 27 April 2026 is King's Day in the Netherlands.
    april = Period(date(2026, 4, 1), date(2026, 5, 1), ZONE)
    start, answer = "2026-04-24 16:00", "2026-04-28 10:00"
    found = kept(
        lead(start, answer),
        lead(start, answer, segment="Benelux"),
        now="2026-04-30 07:30",
        month=april,
        calendars={"Benelux": DUTCH},
    )
    assert [part.median_minutes for part in found.segments] == [600, 120]


def test_leads_without_a_segment_have_their_own_line() -> None:
    found = kept(lead(), lead(segment="", outcome="rejected"))
    assert [(part.segment, part.leads, part.rejected) for part in found.segments] == [
        ("DACH", 1, 0),
        ("Benelux", 0, 0),
        ("", 1, 1),
    ]
    assert (found.leads, found.rejected) == (2, 1)


# --------------------------------------------------------------------------------------- how soon


def answered_after(*hours: int) -> list[FollowUpRow]:
    return [lead("02 09:00", f"02 {9 + hour:02}:00") for hour in hours]


def test_the_median_of_an_even_number_is_the_mean_of_the_two_in_the_middle() -> None:
    found = kept(*answered_after(1, 2, 4, 5))
    assert (found.median_minutes, found.median_censored) == (Fraction(180), False)


def test_nine_of_ten_answers_came_within_the_ninth() -> None:
    found = kept(*answered_after(1, 1, 1, 1, 2, 2, 3, 4, 5, 8))
    assert (found.p90_minutes, found.p90_censored) == (Fraction(300), False)


def test_an_untouched_lead_makes_a_high_quantile_a_lower_bound() -> None:
    # Waiting since Wednesday 10 June 09:00: three days of eight hours.
    found = kept(*answered_after(1, 2, 3), lead("10 09:00"))
    assert (found.median_minutes, found.median_censored) == (Fraction(150), False)
    assert (found.p90_minutes, found.p90_censored) == (Fraction(3 * 480), True)


def test_a_short_wait_hides_behind_longer_answers_only_as_a_bound() -> None:
    late = [lead("02 09:00", "05 09:00") for _ in range(3)]  # 24 hours each
    waiting = lead("12 08:00", website=True)  # 8 hours so far, promised within one
    found = kept(waiting, *late)
    assert (found.median_minutes, found.median_censored) == (Fraction(1440), False)
    assert (kept(waiting, late[0]).median_minutes, kept(waiting, late[0]).median_censored) == (
        Fraction(480 + 1440, 2),
        True,
    )


# ------------------------------------------------------------------------------------- persistence


@pytest.mark.parametrize(
    ("row", "due", "met"),
    [
        (lead("01 09:00", attempts=5), 1, 1),
        (lead("01 09:00", attempts=4), 1, 0),
        (lead("02 09:00", attempts=0), 0, 0),  # nine workdays old
        (lead("01 09:01", attempts=9), 0, 0),  # a minute short of ten workdays
        (lead("01 09:00", attempts=9, outcome="accepted"), 0, 0),
        (lead("01 09:00", attempts=9, outcome="rejected"), 0, 0),
        (lead("01 09:00", attempts=9, outcome="closed"), 0, 0),
    ],
)
def test_attempts_are_due_on_open_leads_that_are_old_enough(
    row: FollowUpRow, due: int, met: int
) -> None:
    found = kept(row)
    assert (found.attempts_due, found.attempts_kept) == (due, met)


# ----------------------------------------------------------------------- an independent calculation

MOMENTS = st.integers(0, 40 * 24).map(
    lambda hour: at("2026-05-18 00:00") + hour * timedelta(hours=1)
)
ROWS = st.builds(
    FollowUpRow,
    segment=st.sampled_from(["DACH", "Benelux", ""]),
    clock_start=MOMENTS,
    first_response=st.none() | MOMENTS,
    attempts=st.integers(0, 7),
    outcome=st.sampled_from(["open", "accepted", "rejected", "closed"]),
    website=st.booleans(),
)


def walked(start: datetime, end: datetime) -> int:
    """Business minutes, an hour at a time: everything in this test happens on the hour."""
    counted, moment = 0, start
    while moment < end:
        wall = moment.astimezone(ZoneInfo(ZONE))
        counted += 60 * (9 <= wall.hour < 17 and ZURICH.is_workday(wall.date()))
        moment += timedelta(hours=1)
    return counted


def brute_quantile(times: list[tuple[int, bool]], ranks: list[int]) -> tuple[Fraction, bool]:
    """The least and the greatest value that a quantile can have, whatever the open ends come to."""
    least = sorted(time for time, _ in times)
    most = sorted(time if known else 10**9 for time, known in times)
    low = Fraction(sum(least[rank - 1] for rank in ranks), len(ranks))
    high = Fraction(sum(most[rank - 1] for rank in ranks), len(ranks))
    return low, low != high


@given(rows=st.lists(ROWS, max_size=12), now=MOMENTS)
@settings(deadline=None, max_examples=150)
def test_every_figure_equals_a_plain_count(rows: list[FollowUpRow], now: datetime) -> None:
    promise = Promise(respond_within=600, website_within=60, attempts=3, within_workdays=4)
    found = follow_up(
        rows, promise, month=JUNE, now=now, segments=("DACH", "Benelux"),
        calendar=ZURICH, calendars={},
    )  # fmt: skip

    times: list[tuple[int, bool]] = []
    in_time = overdue = attempts_due = attempts_kept = accepted = rejected = 0
    for row in rows:
        of_june = row.clock_start.astimezone(ZoneInfo(ZONE)).month == 6
        called = row.first_response is not None and row.first_response <= now
        took = walked(row.clock_start, row.first_response if called and row.first_response else now)
        allowed = 60 if row.website else 600
        if of_june and (called or took > allowed):
            times.append((took, called))
            in_time += called and took <= allowed
        overdue += not called and took > allowed and row.outcome in ("open", "accepted")
        if row.outcome == "open" and walked(row.clock_start, now) >= 4 * 480:
            attempts_due += 1
            attempts_kept += row.attempts >= 3
        accepted += of_june and row.outcome == "accepted"
        rejected += of_june and row.outcome == "rejected"
    assert (found.due, found.in_time, found.overdue) == (len(times), in_time, overdue)
    assert (found.attempts_due, found.attempts_kept) == (attempts_due, attempts_kept)
    assert (found.accepted, found.rejected) == (accepted, rejected)
    if times:
        n = len(times)
        middle = [n // 2 + 1] if n % 2 else [n // 2, n // 2 + 1]
        assert (found.median_minutes, found.median_censored) == brute_quantile(times, middle)
        nine_of_ten = -(-9 * n // 10)
        assert (found.p90_minutes, found.p90_censored) == brute_quantile(times, [nine_of_ten])
    for name in ("leads", "due", "in_time", "overdue", "accepted", "rejected"):
        assert sum(getattr(part, name) for part in found.segments) == getattr(found, name)

"""The values that flow: time, segments and counts."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.errors import ConfigError
from digest.model import (
    DayCount,
    Origin,
    Period,
    Secret,
    Segment,
    SegmentMap,
    lead_counts,
    local_midnight,
    normalise,
)

ORIGIN = Origin("sql", "a table")
NOW = datetime(2026, 5, 4, 5, 30, tzinfo=UTC)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("day", "zone", "instant"),
    [
        (date(2026, 5, 1), "Europe/Zurich", "2026-04-30 22:00"),
        (date(2026, 1, 1), "Europe/Zurich", "2025-12-31 23:00"),
        (date(2026, 5, 1), "Asia/Kolkata", "2026-04-30 18:30"),
        # At these midnights the clock went forward: the day began an hour or half an hour later.
        (date(2027, 3, 28), "Asia/Beirut", "2027-03-27 22:00"),
        (date(2018, 11, 4), "America/Sao_Paulo", "2018-11-04 03:00"),
        # A repeated midnight is the first one.
        (date(2026, 11, 1), "America/Havana", "2026-11-01 04:00"),
        # Samoa had no 30 December 2011: the day is empty and begins where the next one does.
        (date(2011, 12, 30), "Pacific/Apia", "2011-12-30 10:00"),
        (date(2011, 12, 31), "Pacific/Apia", "2011-12-30 10:00"),
    ],
)
def test_a_local_day_begins_at_this_instant(day: date, zone: str, instant: str) -> None:
    assert local_midnight(day, zone) == utc(instant)


@given(
    st.dates(date(2000, 1, 1), date(2037, 12, 30)),
    st.sampled_from(
        ["Europe/Zurich", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Asia/Beirut"]
    ),
)
def test_a_day_holds_the_instants_that_show_its_date(day: date, zone: str) -> None:
    start, end = Period(day, day + timedelta(days=1), zone).bounds()
    info = ZoneInfo(zone)

    assert start.astimezone(info).date() == day
    assert (start - timedelta(seconds=1)).astimezone(info).date() == day - timedelta(days=1)
    assert (end - timedelta(seconds=1)).astimezone(info).date() == day


@pytest.mark.parametrize(
    ("day", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25), (date(2026, 5, 1), 24)]
)
def test_days_of_clock_changes_are_shorter_or_longer(day: date, hours: int) -> None:
    start, end = Period(day, day + timedelta(days=1)).bounds()

    assert end - start == timedelta(hours=hours)


@pytest.mark.parametrize("written", ["DACH", "dach", " DACH ", "DaCh", "\tdach\n"])
def test_values_are_compared_without_case_and_outer_space(written: str) -> None:
    assert SegmentMap([Segment("DACH")]).segment_of(written) == "DACH"


def test_composed_and_decomposed_letters_are_the_same() -> None:
    assert normalise("Su\u0308d & O\u0308st") == normalise("Süd  & Öst")


def test_two_segments_cannot_claim_one_value() -> None:
    with pytest.raises(ConfigError, match="'uk ' belongs to both 'UKI' and 'Britain'"):
        SegmentMap([Segment("UKI", ("UK", "IE")), Segment("Britain", ("uk ",))])


def test_of_several_values_the_first_segment_of_the_settings_counts() -> None:
    places = SegmentMap([Segment("DACH"), Segment("UKI")])

    assert places.segment_of("UKI", "DACH", "APAC") == "DACH"
    assert places.segment_of(None, "", "APAC") is None


def test_counts_keep_unknown_values_verbatim_and_inside_the_total() -> None:
    period = Period(date(2026, 5, 1), date(2026, 5, 3))
    found = lead_counts(
        period,
        [Segment("DACH")],
        [
            (date(2026, 5, 2), "dach", 2),
            (date(2026, 5, 1), "DACH", 1),
            (date(2026, 5, 2), "DACH", 3),
            (date(2026, 5, 1), " Asia  Pacific", 4),
            (date(2026, 5, 1), None, 1),
            (date(2026, 5, 2), "", 0),
        ],
        as_of=NOW,
        total=11,
        origin=ORIGIN,
    )

    assert found.rows == (
        DayCount(date(2026, 5, 1), "", 5),
        DayCount(date(2026, 5, 1), "DACH", 1),
        DayCount(date(2026, 5, 2), "DACH", 5),
    )
    assert found.unknown == (("Asia Pacific", 4), ("", 1))
    assert found.reconciled


def test_counts_that_do_not_add_up_say_so() -> None:
    period = Period(date(2026, 5, 1), date(2026, 5, 2))
    rows = [(date(2026, 5, 1), "DACH", 1)]

    assert not lead_counts(
        period, [Segment("DACH")], rows, as_of=NOW, total=2, origin=ORIGIN
    ).reconciled


def test_a_count_outside_the_period_is_a_bug() -> None:
    period = Period(date(2026, 5, 1), date(2026, 5, 2))
    with pytest.raises(ValueError, match="2026-05-02 is outside"):
        lead_counts(period, [], [(date(2026, 5, 2), "x", 1)], as_of=NOW, total=1, origin=ORIGIN)


def test_a_secret_shows_itself_only_when_asked() -> None:
    secret = Secret("planted-1")

    assert "planted" not in f"{secret} {secret!r} {[secret]}"
    assert secret.reveal() == "planted-1"
    assert secret == Secret("planted-1") != Secret("planted-2")
    assert len({secret, Secret("planted-1")}) == 1

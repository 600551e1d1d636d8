"""The pushed-down count against brute force, on every database we can start."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from digest.conditions import Exclusion, Filter
from digest.errors import ConfigError, ConnectorError, Reason
from digest.model import DayCount, LeadCounts, Period, Segment, add_months, normalise
from tests.sql.databases import NOW, Database

MARCH = Period(date(2026, 3, 1), date(2026, 4, 1))
OCTOBER = Period(date(2026, 10, 1), date(2026, 11, 1))
SEGMENTS = (Segment("DACH", ("DACH", "o'brien")), Segment("Nord", ("Nord", "Süd 🚀")))
ZONES = ("Europe/Zurich", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "UTC")
VALUES = ("DACH", "dach ", "o'brien", "Nord", "Süd 🚀", "", None, "x';--", "Ödland")

Lead = tuple[str | None, tuple[datetime | None, ...]]


def brute_force(leads: list[Lead], period: Period) -> tuple[DayCount, ...]:
    owners = {normalise(value): seg.name for seg in SEGMENTS for value in seg.matches}
    cells: Counter[tuple[date, str]] = Counter()
    for value, dates in leads:
        known = [moment for moment in dates if moment is not None]
        if not known:
            continue
        day = min(known).astimezone(ZoneInfo(period.timezone)).date()
        if period.start <= day < period.end:
            cells[day, owners.get(normalise(value or ""), "")] += 1
    return tuple(DayCount(day, name, number) for (day, name), number in sorted(cells.items()))


def counted(
    database: Database,
    period: Period = MARCH,
    **settings: Any,  # noqa: ANN401 - any setting of Sql
) -> LeadCounts:
    return database.sql(**settings).count_leads(period=period, segments=SEGMENTS, now=NOW)


@st.composite
def situations(draw: st.DrawFn) -> tuple[Period, list[Lead]]:
    zone = draw(st.sampled_from(ZONES))
    month = draw(st.sampled_from([date(2026, m, 1) for m in (2, 3, 4, 10, 11)]))
    end = draw(st.dates(month + timedelta(1), add_months(month, 1)))
    period = Period(month, end, zone)
    edges = st.builds(
        lambda bound, seconds: bound + timedelta(seconds=seconds),
        st.sampled_from(period.bounds()),
        st.sampled_from((-1, 0, 1, -3600, 3600, 40_000)),
    )
    moments = st.tuples(edges, edges | st.none(), edges | st.none())
    leads = st.lists(st.tuples(st.sampled_from(VALUES), moments), max_size=25)
    return period, draw(leads)


def agrees(database: Database, examples: int) -> None:
    kind = database.moment
    database.create(seg="text", ts="text" if database.name == "none" else kind, b=kind, c=kind)
    several = ("ts", "b", "c")

    @settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
    )
    @given(situations(), st.integers(1, 3))
    def run(situation: tuple[Period, list[Lead]], columns: int) -> None:
        period, leads = situation
        database.fill([{"seg": seg, "ts": a, "b": b, "c": c} for seg, (a, b, c) in leads])
        counts = counted(database, period, dates=several[:columns])
        expected = brute_force([(seg, dates[:columns]) for seg, dates in leads], period)
        assert expected == counts.rows
        assert counts.reconciled
        assert counts.total == sum(row.leads for row in expected)

    run()


def test_counts_equal_brute_force_in_any_zone_at_any_cut_off(database: Database) -> None:
    agrees(database, 60 if database.name == "sqlite" else 15)


@pytest.mark.long
def test_counts_equal_brute_force_over_many_examples(database: Database) -> None:
    agrees(database, 1000)


@pytest.mark.failure("T4")
@pytest.mark.parametrize("period", [MARCH, OCTOBER], ids=["23 hours", "25 hours"])
def test_a_lead_one_second_either_side_of_every_midnight_has_its_day(
    database: Database, period: Period
) -> None:
    database.create(seg="text", ts=database.moment)
    leads: list[Lead] = [
        ("DACH", (bound + timedelta(seconds=seconds),))
        for bound in period.bounds()
        for seconds in (-1, 0, 1)
    ]
    database.fill([{"seg": seg, "ts": dates[0]} for seg, dates in leads])
    rows = counted(database, period).rows
    assert brute_force(leads, period) == rows
    assert sum(row.leads for row in rows) == 3 * 31


def test_no_leads_at_all_are_zero_rows_that_reconcile(database: Database) -> None:
    database.create(seg="text", ts=database.moment)
    counts = counted(database)
    assert (counts.rows, counts.total, counts.reconciled) == ((), 0, True)


def test_a_date_column_is_never_shifted(database: Database) -> None:
    database.create(seg="text", ts="date")
    database.fill([
        {"seg": "DACH", "ts": date(2026, 2, 28)},
        {"seg": "DACH", "ts": date(2026, 3, 1)},
        {"seg": "DACH", "ts": date(2026, 3, 31)},
        {"seg": "DACH", "ts": date(2026, 4, 1)},
    ])  # fmt: skip
    for zone in ZONES:
        period = Period(MARCH.start, MARCH.end, zone)
        assert (
            DayCount(date(2026, 3, 1), "DACH", 1),
            DayCount(date(2026, 3, 31), "DACH", 1),
        ) == counted(database, period).rows


@pytest.mark.parametrize("zone", ["UTC", "Europe/Zurich", "America/New_York"])
def test_naive_times_count_in_the_zone_in_which_they_were_written(
    database: Database, zone: str
) -> None:
    database.zone = zone
    database.create(seg="text", ts="naive")
    leads: list[Lead] = [
        ("DACH", (bound + timedelta(seconds=s),)) for bound in MARCH.bounds() for s in (-1, 0, 1)
    ]
    database.fill([{"seg": seg, "ts": dates[0]} for seg, dates in leads])
    assert brute_force(leads, MARCH) == counted(database).rows


def test_a_naive_column_without_stored_in_is_refused(database: Database) -> None:
    database.create(seg="text", ts="naive")
    with pytest.raises(ConfigError, match=r"dates: column 'ts'.*set stored_in"):
        counted(database, stored_in=None)


FORMATS: dict[str, Callable[[datetime], object]] = {
    "iso-z": lambda moment: moment.isoformat().replace("+00:00", "Z"),
    "iso-space": lambda moment: str(moment.replace(tzinfo=None)),
    "epoch-s": lambda moment: int(moment.timestamp()),
    "epoch-ms": lambda moment: int(moment.timestamp()) * 1000,
}


@pytest.mark.parametrize("fmt", FORMATS)
def test_text_and_epoch_columns_count_as_declared(database: Database, fmt: str) -> None:
    database.create(seg="text", ts="integer" if fmt.startswith("epoch") else "text")
    moments = [bound + timedelta(seconds=s) for bound in MARCH.bounds() for s in (-1, 0, 1)]
    database.fill([{"seg": "DACH", "ts": FORMATS[fmt](moment)} for moment in moments])
    leads: list[Lead] = [("DACH", (moment,)) for moment in moments]
    zone = "UTC" if fmt == "iso-space" else None
    assert brute_force(leads, MARCH) == counted(database, format=fmt, stored_in=zone).rows


def test_text_that_is_not_written_as_declared_is_refused(database: Database) -> None:
    database.create(seg="text", ts="text")
    database.fill([{"seg": "DACH", "ts": "2026-03-05 10:00:00"}])
    with pytest.raises(ConfigError, match="not written as iso-z"):
        counted(database, format="iso-z")


def test_a_text_column_without_a_format_is_refused_with_the_choices(database: Database) -> None:
    database.create(seg="text", ts="text")
    with pytest.raises(ConfigError, match=r"'iso-z' \(2026-11-01T00:30:00Z\)"):
        counted(database)


def test_mysql_timestamps_are_instants_whatever_the_servers_zone(maria: Database) -> None:
    maria.create(seg="text", ts="instant")
    maria.run("SET GLOBAL time_zone = '+05:00'")
    try:
        # The owner's session writes in +05:00: 03:59:59 there is 22:59:59 UTC.
        maria.run(
            f"INSERT INTO {maria.table} VALUES ('DACH', '2026-03-01 03:59:59'),"
            " ('DACH', '2026-03-01 04:00:00')"
        )
        assert (DayCount(date(2026, 3, 1), "DACH", 1),) == counted(maria).rows
    finally:
        maria.run("SET GLOBAL time_zone = 'SYSTEM'")


def test_the_roles_own_session_zone_changes_nothing(pg: Database) -> None:
    pg.create(seg="text", ts="naive")
    pg.fill([{"seg": "DACH", "ts": datetime(2026, 2, 28, 23, tzinfo=UTC)}])
    for zone in ZONES:
        pg.run(f"ALTER ROLE reader SET timezone = '{zone}'")
        assert (DayCount(date(2026, 3, 1), "DACH", 1),) == counted(pg).rows
    pg.run("ALTER ROLE reader RESET timezone")


MARCH_5 = datetime(2026, 3, 5, 12, tzinfo=UTC)


def test_filters_keep_rows_without_a_value_unless_they_ask_for_one(database: Database) -> None:
    database.create(seg="text", ts=database.moment, status="text", score="integer")
    database.fill([
        {"seg": "DACH", "ts": MARCH_5, "status": "spam", "score": 1},
        {"seg": "DACH", "ts": MARCH_5, "status": "o'k", "score": 2},
        {"seg": "DACH", "ts": MARCH_5, "status": None, "score": None},
    ])  # fmt: skip
    expected = {
        ("status", "=", "spam"): 1,
        ("status", "!=", "spam"): 2,
        ("status", "in", ("spam", "o'k")): 2,
        ("status", "not in", ("spam", "o'k")): 1,
        ("status", "like", "o%"): 1,
        ("status", "is null", None): 1,
        ("status", "is not null", None): 2,
        ("score", "<", 2): 1,
        ("score", "<=", 2): 2,
        ("score", ">", 1): 1,
        ("score", ">=", 1): 2,
        ("score", "in", (1, 3)): 1,
    }
    found = {
        rule: counted(database, filters=(Filter(*rule),)).total  # type: ignore[arg-type] # table of cases
        for rule in expected
    }
    assert expected == found


def test_exclusions_are_counted_once_each_and_lose_no_row_without_a_value(
    database: Database,
) -> None:
    database.create(seg="text", ts=database.moment, email="text", kind="text")
    database.fill([
        {"seg": "DACH", "ts": MARCH_5, "email": "a@test.example", "kind": "import"},
        {"seg": "DACH", "ts": MARCH_5, "email": "b@b.example", "kind": "import"},
        {"seg": "DACH", "ts": MARCH_5, "email": None, "kind": None},
        {"seg": "DACH", "ts": MARCH_5, "email": "c@c.example", "kind": "web"},
        {"seg": "DACH", "ts": datetime(2026, 4, 5, tzinfo=UTC), "email": "d@test.example"},
    ])  # fmt: skip
    rules = (
        Exclusion("test domains", (Filter("email", "like", "%@test.example"),)),
        Exclusion("imports", (Filter("kind", "=", "import"),)),
        Exclusion("never", (Filter("kind", "=", "x"), Filter("email", "is null"))),
    )
    counts = counted(database, exclusions=rules)
    assert counts.total == 2
    assert counts.excluded == (("test domains", 1), ("imports", 1), ("never", 0))


EVENTS = [
    ("a", "Nord", datetime(2026, 2, 10, tzinfo=UTC)),  # an older lead, back in March
    ("a", "Nord", datetime(2026, 3, 10, tzinfo=UTC)),
    ("b", "DACH", datetime(2026, 3, 2, tzinfo=UTC)),
    ("b", "Nord", datetime(2026, 3, 9, tzinfo=UTC)),
    ("b", "DACH", datetime(2026, 4, 9, tzinfo=UTC)),  # after the window: it decides nothing
    (None, "DACH", datetime(2026, 3, 20, tzinfo=UTC)),
    (None, "DACH", datetime(2026, 3, 20, tzinfo=UTC)),
]


@pytest.mark.parametrize(("which", "segment"), [("first", "DACH"), ("last", "Nord")])
def test_a_lead_with_many_events_counts_once_on_its_first_day(
    database: Database, which: str, segment: str
) -> None:
    database.create(seg="text", ts=database.moment, lead_id="text")
    database.fill([{"seg": seg, "ts": ts, "lead_id": lead} for lead, seg, ts in EVENTS])
    counts = counted(database, distinct="lead_id", distinct_segment=which)
    assert (
        DayCount(date(2026, 3, 2), segment, 1),
        DayCount(date(2026, 3, 20), "DACH", 2),
    ) == counts.rows


def test_a_table_of_daily_counts_is_summed(database: Database) -> None:
    database.create(seg="text", ts="date", n="integer")
    database.fill([
        {"seg": "DACH", "ts": date(2026, 3, 1), "n": 5},
        {"seg": "dach ", "ts": date(2026, 3, 1), "n": 2},
        {"seg": "Nord", "ts": date(2026, 3, 2), "n": 0},
    ])  # fmt: skip
    counts = counted(database, count_column="n")
    assert (DayCount(date(2026, 3, 1), "DACH", 7),) == counts.rows
    assert counts.total == 7


@pytest.mark.parametrize(
    ("numbers", "words"), [((5, -1), "-1"), ((5, None), "1 rows have no number")]
)
def test_daily_counts_that_are_no_counts_are_no_answer(
    database: Database, numbers: tuple[int | None, ...], words: str
) -> None:
    database.create(seg="text", ts="date", n="integer")
    database.fill([{"seg": "DACH", "ts": date(2026, 3, 1), "n": n} for n in numbers])
    with pytest.raises(ConnectorError, match=words) as caught:
        counted(database, count_column="n")
    assert caught.value.reason == Reason.UNRECONCILED


def test_fractional_daily_counts_are_no_answer(pg: Database) -> None:
    pg.types = {**pg.types, "integer": "numeric"}
    pg.create(seg="text", ts="date", n="integer")
    pg.fill([{"seg": "DACH", "ts": date(2026, 3, 1), "n": 1.5}])
    with pytest.raises(ConnectorError, match=r"1\.5"):
        counted(pg, count_column="n")


def test_the_newest_load_becomes_as_of(database: Database) -> None:
    database.create(seg="text", ts=database.moment, loaded=database.moment)
    loaded = datetime(2026, 4, 1, 3, tzinfo=UTC)
    database.fill([{"seg": "DACH", "ts": MARCH_5, "loaded": loaded}])
    assert loaded == counted(database, loaded_at="loaded").as_of


def test_a_table_loaded_before_the_cut_off_is_no_answer(database: Database) -> None:
    database.create(seg="text", ts=database.moment, loaded=database.moment)
    database.fill([{"seg": "DACH", "ts": MARCH_5, "loaded": datetime(2026, 3, 31, 21, tzinfo=UTC)}])
    with pytest.raises(ConnectorError, match="ends at 2026-03-31 21:00 UTC") as caught:
        counted(database, loaded_at="loaded")
    assert caught.value.reason == Reason.STALE


@pytest.mark.failure("D9")
def test_too_many_segment_values_overflow_without_naming_a_person(database: Database) -> None:
    database.create(seg="text", ts=database.moment)
    database.fill([{"seg": f"p{n}@example.com", "ts": MARCH_5} for n in range(12)])
    with pytest.raises(ConnectorError, match="too many values") as caught:
        counted(database, max_groups=10)
    assert caught.value.reason == Reason.OVERFLOW
    assert "@" not in str(caught.value)


@pytest.mark.failure("D11")
def test_unknown_values_are_listed_and_counted(database: Database) -> None:
    database.create(seg="text", ts=database.moment)
    database.fill([{"seg": value, "ts": MARCH_5} for value in ("Mars", "Mars", None, "", "DACH")])
    counts = counted(database)
    assert counts.total == 5
    assert dict(counts.unknown) == {"Mars": 2, "": 2}


def test_columns_that_tell_time_differently_are_refused(database: Database) -> None:
    database.create(seg="text", ts=database.moment, day="date")
    with pytest.raises(ConfigError, match="tell time in different ways"):
        counted(database, dates=("ts", "day"))


@pytest.mark.failure("D11")
def test_all_unknown_names_are_reported_at_once_with_the_nearest(database: Database) -> None:
    database.create(seg="text", ts=database.moment)
    with pytest.raises(ConfigError) as caught:
        counted(database, dates=("tss",), segment="sec", filters=(Filter("zz", "=", 1),))
    assert len(caught.value.mistakes) == 3
    assert "did you mean 'ts'?" in caught.value.mistakes[0]
    assert "did you mean 'seg'?" in caught.value.mistakes[1]


def test_an_unknown_table_is_reported_with_the_nearest(database: Database) -> None:
    database.create(seg="text", ts=database.moment)
    with pytest.raises(ConfigError, match=f"did you mean '{database.table}'"):
        counted(database, table=database.table + "s")


HOSTILE = 'leads"; drop table x;--'


def test_hostile_names_and_values_stay_names_and_values(lite: Database) -> None:
    quoted = '"' + HOSTILE.replace('"', '""') + '"'
    lite.run(
        "CREATE TABLE x (n integer)",
        f"CREATE TABLE {quoted} ({quoted} TIMESTAMP, seg TEXT)",
        f"INSERT INTO {quoted} VALUES ('2026-03-05 12:00:00', 'x'';--')",
    )
    settings_: dict[str, Any] = {"table": HOSTILE, "dates": (HOSTILE,), "stored_in": "UTC"}
    value = Filter("seg", "=", "x';--")
    assert counted(lite, **settings_, filters=(value,)).total == 1
    assert counted(lite, **settings_, filters=(Filter("seg", "=", "' OR 1=1 --"),)).total == 0
    lite.run("INSERT INTO x VALUES (1)")


def test_the_origin_says_where_without_user_or_password(database: Database) -> None:
    database.create(seg="text", ts=database.moment)
    origin = counted(database).origin
    assert "reader" not in origin.source
    assert database.table in origin.source
    assert "pw-maria" not in repr(origin)
    assert origin.calls >= 3


@pytest.mark.failure("D8")
def test_two_counts_that_keep_differing_are_no_answer(lite: Database) -> None:
    lite.run(
        "CREATE VIEW restless AS SELECT 'DACH' AS seg, '2026-03-05 12:00:00' AS ts,"
        " abs(random()) % 1000000000 AS n"
    )
    with pytest.raises(
        ConnectorError, match=r"groups add up to .* the second count says"
    ) as caught:
        counted(lite, table="restless", format="iso-space", stored_in="UTC", count_column="n")
    assert caught.value.reason == Reason.UNRECONCILED


@pytest.mark.failure("D9")
def test_a_segment_column_that_is_an_id_overflows_at_ten_thousand(lite: Database) -> None:
    lite.create(seg="text", ts="naive")
    lite.fill([{"seg": f"id {n}", "ts": MARCH_5} for n in range(10_001)])
    with pytest.raises(ConnectorError, match="more than 10,000 pairs") as caught:
        counted(lite)
    assert caught.value.reason == Reason.OVERFLOW

"""What every connector must do: the same leads, wherever they are kept, give the same counts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from digest.connectors import CONNECTORS
from digest.errors import ConfigError, ConnectorError
from digest.model import DayCount, LeadCounts, Period, Segment, add_months
from tests.contracts.stages import DAMAGE, STAGES, Lead, stage_of

NOW = datetime(2026, 11, 2, 6, tzinfo=UTC)
SEGMENTS = (Segment("DACH", ("DACH", "D-A-CH")), Segment("Romandie"), Segment("Süd"))
VALUES = ("DACH", " dach", "D-A-CH", "Romandie", "SU\u0308D", "Mars", "", None)
MONTHS = {
    "March, 23 hours": date(2026, 3, 1),
    "October, 25 hours": date(2026, 10, 1),
    "June": date(2026, 6, 1),
}
NAMES = sorted({*CONNECTORS, *STAGES})
PARAMETERS = [
    pytest.param(name, marks=pytest.mark.tool) if name == "sql: mariadb" else name for name in NAMES
]
every_connector = pytest.mark.parametrize("name", PARAMETERS)


def month_of(start: date) -> Period:
    return Period(start, add_months(start, 1))


def leads_around(period: Period) -> list[Lead]:
    """Leads on every midnight, a second either side, and through the hour that the clocks change."""
    moments = [
        bound + timedelta(seconds=seconds)
        for bound in period.bounds()
        for seconds in (-1, 0, 1, 40_000)
    ]
    change = datetime(period.start.year, period.start.month, 25, 0, 30, tzinfo=UTC)
    moments += [change + timedelta(minutes=30 * step) for step in range(6)]
    return [Lead(VALUES[n % len(VALUES)], moment) for n, moment in enumerate(moments)]


def by_pandas(leads: Sequence[Lead], period: Period) -> tuple[DayCount, ...]:
    """Count by other means: pandas converts the zone, and a table of spellings finds the segment."""
    spelt = {
        "DACH": "DACH",
        " dach": "DACH",
        "D-A-CH": "DACH",
        "Romandie": "Romandie",
        "SU\u0308D": "Süd",
    }
    frame = pd.DataFrame(
        {
            "moment": pd.to_datetime([lead.moment for lead in leads], utc=True),
            "segment": [spelt.get(lead.value or "", "") for lead in leads],
        }
    )
    frame["day"] = frame["moment"].dt.tz_convert(period.timezone).dt.date
    inside = frame[(frame["day"] >= period.start) & (frame["day"] < period.end)]
    sizes = inside.groupby(["day", "segment"]).size()
    return tuple(DayCount(day, segment, int(n)) for (day, segment), n in sizes.items())


def counted(name: str, folder: Path, leads: Sequence[Lead], period: Period) -> LeadCounts:
    connector = stage_of(name)(folder, leads)
    return connector.count_leads(period=period, segments=SEGMENTS, now=NOW)


@every_connector
@pytest.mark.parametrize("month", MONTHS)
def test_the_same_month_gives_the_same_counts(name: str, month: str, tmp_path: Path) -> None:
    period = month_of(MONTHS[month])
    leads = leads_around(period)
    counts = counted(name, tmp_path, leads, period)
    assert counts.rows == by_pandas(leads, period)
    assert counts.reconciled
    assert counts.total == sum(row.leads for row in counts.rows)


@every_connector
def test_a_month_up_to_the_cut_off_has_nothing_of_the_day_after(name: str, tmp_path: Path) -> None:
    whole = month_of(MONTHS["June"])
    so_far = Period(whole.start, date(2026, 6, 15))
    leads = leads_around(whole)
    assert counted(name, tmp_path, leads, so_far).rows == by_pandas(leads, so_far)


@pytest.mark.failure("D11")
@every_connector
def test_leads_of_no_known_segment_come_back_as_unassigned(name: str, tmp_path: Path) -> None:
    noon = datetime(2026, 6, 3, 10, tzinfo=UTC)
    leads = [Lead(value, noon) for value in ("Mars", "Mars", "", None, "DACH")]
    counts = counted(name, tmp_path, leads, month_of(MONTHS["June"]))
    assert counts.rows == (
        DayCount(date(2026, 6, 3), "", 4),
        DayCount(date(2026, 6, 3), "DACH", 1),
    )
    assert counts.unknown == (("", 2), ("Mars", 2))


@every_connector
def test_a_month_without_leads_is_empty_and_reconciled(name: str, tmp_path: Path) -> None:
    other_month = [Lead("DACH", datetime(2026, 7, 3, 10, tzinfo=UTC))]
    counts = counted(name, tmp_path, other_month, month_of(MONTHS["June"]))
    assert (counts.rows, counts.total, counts.reconciled) == ((), 0, True)


@every_connector
def test_the_origin_names_the_connector_and_no_lead(name: str, tmp_path: Path) -> None:
    period = month_of(MONTHS["June"])
    counts = counted(name, tmp_path, leads_around(period), period)
    assert counts.origin.connector == name.partition(":")[0]
    assert "Mars" not in repr(counts.origin)


@pytest.mark.failure("D6")
@pytest.mark.parametrize("name", sorted({*CONNECTORS, *DAMAGE}))
def test_a_source_that_breaks_off_gives_an_error_and_never_a_smaller_number(
    name: str, tmp_path: Path
) -> None:
    period = month_of(MONTHS["June"])
    leads = leads_around(period) * 60
    connector = stage_of(name)(tmp_path, leads)
    before = connector.count_leads(period=period, segments=SEGMENTS, now=NOW)
    assert before.total > 0
    if name not in DAMAGE:
        pytest.fail(f"no damage for {name}: add it to tests/contracts/stages.py")
    DAMAGE[name](tmp_path)
    # A file that a person can mend is a ConfigError (exit 2), anything else a ConnectorError (exit 3).
    with pytest.raises((ConnectorError, ConfigError)):
        connector.count_leads(period=period, segments=SEGMENTS, now=NOW)


def test_a_connector_without_a_stage_is_named() -> None:
    with pytest.raises(pytest.fail.Exception, match="no stage for telepathy"):
        stage_of("telepathy")

"""From settings and a date to an Edition: what is counted, and what earlier editions lend it."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from digest.compose import Memory, compose, latest_business_date
from digest.connectors import Connector
from digest.errors import ConfigError, ConnectorError, Reason
from digest.model import Edition, Forecast, Kind, LeadCounts, Period, Segment
from digest.settings import Settings, load

NOW = datetime(2026, 7, 2, 6, tzinfo=UTC)
CONFIG = """\
id = "leads"
[calendar]
country = "CH"
subdivision = "ZH"
[sla]
currency = "CHF"
[[sla.segments]]
segment = "DACH"
currency = "CHF"
valid_from = "2026-01"
goal = 140
[connector]
type = "sql"
url = "sqlite:///crm.sqlite"
table = "leads"
dates = ["day"]
segment = "region"
[channels.file]
path = "out"
recipients = ["ana@company.example"]
"""


def june(day: int) -> date:
    return date(2026, 6, day)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A digest whose source has six leads on every weekday of 2026."""
    connection = sqlite3.connect(tmp_path / "crm.sqlite")
    connection.execute("CREATE TABLE leads (day DATE, region TEXT)")
    days = [date(2026, 1, 1) + timedelta(n) for n in range(250)]
    rows = [(str(day), "DACH") for day in days if day.weekday() < 5 for _ in range(6)]
    connection.executemany("INSERT INTO leads VALUES (?, ?)", rows)
    connection.commit()
    connection.close()
    (tmp_path / "digest.toml").write_text(CONFIG)
    return load(tmp_path / "digest.toml", environment={})


def sent(settings: Settings, day: date, memory: Memory | None = None) -> Edition:
    return compose(settings, day, now=NOW, memory=memory or Memory())


def remembering(previous: Edition | None, printed: Mapping[date, Edition]) -> Memory:
    return Memory(previous, printed.get)


def with_forecast(edition: Edition, low: int, high: int) -> Edition:
    total = replace(edition.scorecard.total, forecast=Forecast(1.0, low, high, None))
    return replace(edition, scorecard=replace(edition.scorecard, total=total))


def test_leads_are_counted_to_the_day_before_and_history_from_six_months_before(
    settings: Settings,
) -> None:
    found = sent(settings, june(15))
    assert (found.scorecard.total.actual, found.scorecard.cut_off) == (60, june(14))
    assert max(row.day for row in found.counts) == june(12)
    assert found.scorecard.total.forecast is not None
    assert 130 < found.scorecard.total.forecast.mean < 140


@pytest.mark.parametrize(
    ("low", "high", "held"),
    [(132, 140, True), (120, 132, True), (133, 140, False), (120, 131, False)],
)
def test_the_forecast_printed_at_mid_month_is_judged_at_the_close(
    settings: Settings,
    low: int,
    high: int,
    held: bool,  # noqa: FBT001 - a column of the table
) -> None:
    middle = with_forecast(sent(settings, june(16)), low, high)
    other = with_forecast(sent(settings, june(30)), 0, 1)
    closing = sent(settings, date(2026, 7, 1), remembering(other, {june(16): middle}))
    assert closing.kind is Kind.MONTH_CLOSE
    assert closing.closed is not None
    assert closing.closed.scorecard.total.actual == 132
    assert closing.closed.forecast_held is held


def test_a_month_without_an_edition_at_mid_month_is_not_judged(settings: Settings) -> None:
    last = sent(settings, june(30))
    closing = sent(settings, date(2026, 7, 1), remembering(last, {june(15): last}))
    assert closing.closed is not None
    assert closing.closed.forecast_held is None


def test_the_record_of_forecasts_is_carried_from_edition_to_edition(settings: Settings) -> None:
    last = replace(sent(settings, june(30)), history_hits=(4, 5))
    closing = sent(settings, date(2026, 7, 1), remembering(last, {}))
    assert closing.history_hits == (4, 5)
    assert closing.closed is not None
    day = date(2026, 7, 2)
    for held, record in ((True, (5, 6)), (False, (4, 6)), (None, (4, 5))):
        judged = replace(closing, closed=replace(closing.closed, forecast_held=held))
        assert sent(settings, day, Memory(judged)).history_hits == record
    first = replace(closing, history_hits=None)
    judged = replace(first, closed=replace(closing.closed, forecast_held=True))
    assert sent(settings, day, Memory(judged)).history_hits == (1, 1)
    assert sent(settings, day).history_hits is None


@pytest.mark.parametrize(
    ("day", "reason"), [(june(14), "weekend"), (date(2026, 5, 14), "Ascension Day")]
)
def test_a_day_without_an_edition_says_why(settings: Settings, day: date, reason: str) -> None:
    with pytest.raises(ConfigError, match=f"no edition on {day}: {reason}"):
        sent(settings, day)


@dataclass(frozen=True)
class Contradicting:
    """A source whose second question gives another total than its days, from a month on."""

    inner: Connector
    until: date

    def count_leads(
        self, *, period: Period, segments: Sequence[Segment], now: datetime
    ) -> LeadCounts:
        counts = self.inner.count_leads(period=period, segments=segments, now=now)
        return replace(counts, total=61, reconciled=period.end > self.until)


@pytest.mark.failure("D8")
@pytest.mark.parametrize("until", [june(15), june(1)])
def test_counts_that_contradict_themselves_hold_the_edition(
    settings: Settings, until: date
) -> None:
    source = Contradicting(settings.connector, until)

    with pytest.raises(ConnectorError, match="the source counts 61") as raised:
        sent(replace(settings, connector=source), june(15))

    assert raised.value.reason is Reason.UNRECONCILED


def test_the_latest_business_date_is_today_or_the_workday_before(settings: Settings) -> None:
    assert latest_business_date(settings, june(15)) == june(15)
    assert latest_business_date(settings, june(14)) == june(12)
    assert latest_business_date(settings, date(2026, 4, 6)) == date(2026, 4, 2)


def test_a_source_without_a_single_lead_gives_no_edition(
    settings: Settings, tmp_path: Path
) -> None:
    with sqlite3.connect(tmp_path / "crm.sqlite") as crm:
        crm.execute("DELETE FROM leads")
    crm.close()

    with pytest.raises(ConnectorError, match=r"leads holds no lead at all since 2025-12-01; look"):
        sent(settings, june(15))

    with sqlite3.connect(tmp_path / "crm.sqlite") as crm:
        crm.execute("INSERT INTO leads VALUES ('2025-12-24', NULL)")
    crm.close()
    assert sent(settings, june(15)).scorecard.total.actual == 0


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize(("region", "refused"), [("DACH", False), ("APAC", True)])
def test_leads_that_a_rule_takes_out_are_leads(
    tmp_path: Path,
    region: str,
    refused: bool,  # noqa: FBT001 - a column of the table
) -> None:
    rule = (
        '[[connector.exclusions]]\nname = "all"\n'
        f'where = [{{ column = "region", op = "=", value = "{region}" }}]\n'
    )
    config = tmp_path / "digest.toml"
    config.write_text(config.read_text().replace("[channels.file]", f"{rule}[channels.file]"))
    if refused:
        with sqlite3.connect(tmp_path / "crm.sqlite") as crm:
            crm.execute("DELETE FROM leads")
        crm.close()

    settings = load(config, environment={})
    if refused:
        with pytest.raises(ConnectorError, match="no lead at all"):
            sent(settings, june(15))
    else:
        assert sent(settings, june(15)).scorecard.total.actual == 0

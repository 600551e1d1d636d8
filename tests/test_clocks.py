"""The clock of a source: heard from its answers, compared with ours before anything is sent."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from digest.clocks import OtherClock, clock_of
from digest.connectors import Connector, TellsTime
from digest.dispatch import Now, send_digest
from digest.errors import ConnectorError, Reason
from digest.ledger import RunState, read_ledger
from digest.model import LeadCounts, Period, Segment
from digest.settings import Settings
from tests.fakes.hubspot import Portal
from tests.fakes.salesforce import Org, shared
from tests.hubspot.scene import NOW as HUBSPOT_NOW
from tests.hubspot.scene import scene
from tests.salesforce.orgs import JUNE, NOON, SEGMENTS, connector
from tests.sql.conftest import pg, postgresql
from tests.sql.databases import Database
from tests.test_dispatch import MONDAY, at, mails, settings

__all__ = ["pg", "postgresql", "settings"]  # fixtures of other modules


@dataclass(frozen=True)
class Elsewhere:
    """A source whose clock is so far from ours, None when it does not tell."""

    inner: Connector
    off: timedelta | None

    def count_leads(
        self, *, period: Period, segments: Sequence[Segment], now: datetime
    ) -> LeadCounts:
        return self.inner.count_leads(period=period, segments=segments, now=now)

    def source_time(self) -> datetime | None:
        return None if self.off is None else at(8, 0) + self.off


def sent(settings: Settings, off: timedelta | None) -> list[str]:
    told: list[str] = []

    def refuse_to_wait(seconds: float) -> None:
        raise AssertionError(f"waited {seconds} s")

    now = Now(clock=lambda: at(8, 0), sleep=refuse_to_wait, tell=told.append)
    there = replace(settings, connector=Elsewhere(settings.connector, off))
    assert send_digest(there, now, day=MONDAY).exit_code == 0
    return told


@pytest.mark.failure("T1")
@pytest.mark.parametrize("sign", [1, -1])
def test_a_clock_more_than_two_minutes_off_is_told(settings: Settings, sign: int) -> None:
    (told,) = sent(settings, sign * timedelta(minutes=2, seconds=1))

    assert told == (
        "warning: sql: this machine's clock and that of the source differ by 2 minutes; "
        "set the clock that is wrong (NTP)"
    )
    assert mails(settings) == 1


@pytest.mark.failure("T1")
@pytest.mark.parametrize("off", [timedelta(minutes=2), timedelta(0), None])
def test_a_clock_that_is_right_or_silent_is_not_mentioned(
    settings: Settings, off: timedelta | None
) -> None:
    assert sent(settings, off) == []


@pytest.mark.failure("T1")
@pytest.mark.parametrize("sign", [1, -1])
def test_a_clock_more_than_ten_minutes_off_holds_the_edition_until_it_is_set(
    settings: Settings, sign: int
) -> None:
    assert len(sent(replace(settings, ledger=settings.folder / "other"), timedelta(minutes=10)))
    for mail in (settings.folder / "out").iterdir():
        mail.unlink()
    wrong = Elsewhere(settings.connector, sign * timedelta(minutes=10, seconds=1))
    clock = [at(8, 0)]

    def set_it(seconds: float) -> None:
        assert seconds == 60
        run = (read_ledger(settings.ledger) or pytest.fail("no ledger")).run("leads", MONDAY)
        assert run is not None
        assert run.state is RunState.HELD
        assert "differ by 10 minutes" in str(run.note)
        clock.append(at(8, 0) + wrong.off if wrong.off else at(8, 0))

    now = Now(clock=lambda: clock[-1], sleep=set_it)
    assert send_digest(replace(settings, connector=wrong), now, day=MONDAY).exit_code == 0
    assert mails(settings) == 1


@pytest.mark.failure("T1")
def test_a_clock_that_stays_wrong_ends_the_call(settings: Settings) -> None:
    wrong = replace(settings, connector=Elsewhere(settings.connector, timedelta(hours=1)))
    now = Now(clock=lambda: at(8, 0), sleep=lambda _: None, stop=lambda: True)

    with pytest.raises(ConnectorError, match="differ by 60 minutes") as held:
        send_digest(wrong, now, day=MONDAY)

    assert held.value.reason is Reason.TRANSIENT
    assert mails(settings) == 0


def test_another_clock_goes_on_as_ours_does() -> None:
    noon = datetime(2026, 6, 15, 12, tzinfo=UTC)
    heard = OtherClock(noon, time.monotonic() - 90)

    assert timedelta(seconds=90) <= heard.now() - noon < timedelta(seconds=120)


@pytest.mark.parametrize(
    ("header", "showed"),
    [
        ("Mon, 15 Jun 2026 12:00:00 GMT", "2026-06-15T12:00:00+00:00"),
        ("Mon, 15 Jun 2026 14:00:00 +0200", "2026-06-15T14:00:00+02:00"),
        ("Mon, 15 Jun 2026 12:00:00 -0000", "2026-06-15T12:00:00+00:00"),
        ("", None),
        ("soon", None),
        ("Mon, 99 Jun 2026 12:00:00 GMT", None),
    ],
)
def test_a_date_header_is_a_clock_or_nothing(header: str, showed: str | None) -> None:
    found = clock_of(header)

    assert (found and found.showed.isoformat()) == showed


# ------------------------------------------------------------------------------- what sources tell


def test_hubspot_tells_its_time_with_its_answers() -> None:
    portal = Portal()
    portal.today = HUBSPOT_NOW + timedelta(minutes=3)
    with scene(portal) as here:
        hubspot = here.hubspot()
        assert isinstance(hubspot, TellsTime)
        assert hubspot.source_time() is None
        hubspot.session().account(hubspot.errand(HUBSPOT_NOW, "UTC"))
        told = hubspot.source_time()

    assert told is not None
    assert abs(told - portal.today) < timedelta(seconds=30)


def test_salesforce_tells_its_time_with_its_answers() -> None:
    source = connector(shared(Org(date="Wed, 03 Jun 2026 10:05:00 GMT")))
    assert isinstance(source, TellsTime)
    assert source.source_time() is None

    source.count_leads(period=JUNE, segments=SEGMENTS, now=NOON)

    told = source.source_time()
    assert told is not None
    assert timedelta(minutes=5) <= told - NOON < timedelta(minutes=6)


def test_a_postgresql_server_tells_its_time_and_a_file_has_none(
    pg: Database, settings: Settings
) -> None:
    source, here = pg.sql(), settings.connector
    assert isinstance(source, TellsTime)
    assert isinstance(here, TellsTime)

    before = datetime.now(UTC)  # noqa: TID251 - the server is real
    told = source.source_time()

    assert told is not None
    assert abs(told - before) < timedelta(minutes=1)
    assert here.source_time() is None


def test_a_server_that_is_gone_has_no_time(tmp_path: Path, pg: Database) -> None:
    del tmp_path
    gone = pg.sql(url="postgresql://nobody@127.0.0.1:1/none")

    with pytest.raises(ConnectorError):
        gone.source_time()

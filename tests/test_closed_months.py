"""Closed months of a source whose calls are limited are read once a week, and kept in between."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from digest.compose import compose
from digest.dispatch import Now, edition_to_show, send_digest
from digest.editions import due, history_serves
from digest.ledger import open_ledger
from digest.model import Edition, NoteCode
from digest.settings import Settings, load
from digest.workdays import Calendar
from tests.fakes.salesforce import Org, shared
from tests.salesforce.orgs import connector, given_to

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
revenue_goal = 210000
deal_size = 15000
marketing_share = "40%"
close_rate = "4%"
[connector]
type = "salesforce"
domain = "acme.my"
consumer_key = "key"
consumer_secret = { env = "ORG" }
dates = ["MQL_Date__c"]
segment = "Region__c"
[channels.file]
path = "out"
recipients = ["ana@company.example"]
"""
MONDAY = date(2026, 11, 16)


def at_seven(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 7, tzinfo=UTC)


def a_lead(day: date) -> dict[str, object]:
    return {"Region__c": "DACH", "MQL_Date__c": at_seven(day) + timedelta(hours=3)}


@pytest.fixture
def org() -> Org:
    """One lead a day from April to the end of November 2026."""
    found = shared(Org())
    first = date(2026, 4, 1)
    found.insert("Lead", [a_lead(first + timedelta(days)) for days in range(244)])
    return found


def settings_of(folder: Path, org: Org) -> Settings:
    (folder / "digest.toml").write_text(CONFIG)
    settings = load(folder / "digest.toml", environment={"ORG": "consumer-secret"})
    return replace(settings, connector=connector(org, **given_to(settings.connector)))


def send(settings: Settings, day: date) -> Edition:
    report = send_digest(settings, Now(clock=lambda: at_seven(day), sleep=lambda _: None))
    assert report.exit_code == 0, report.lines
    assert report.edition is not None
    return report.edition


def composites(org: Org) -> int:
    made = sum(path.endswith("/composite") for _, path, _ in org.calls)
    org.calls.clear()
    return made


def test_a_salesforce_digest_is_one_composite_call_and_one_more_in_the_first_of_a_week(
    org: Org, tmp_path: Path
) -> None:
    made = {}
    for day in (MONDAY + timedelta(days) for days in range(-3, 9)):
        if day.weekday() < 5:
            send(settings_of(tmp_path, org), day)
            made[day] = composites(org)
    assert made == {day: 2 if day in (*made,)[:1] or not day.weekday() else 1 for day in made}


def test_an_edition_with_kept_months_is_the_one_that_reads_them_itself(
    org: Org, tmp_path: Path
) -> None:
    send(settings_of(tmp_path, org), MONDAY)
    tuesday = MONDAY + timedelta(1)
    kept = send(settings_of(tmp_path, org), tuesday)
    read = compose(settings_of(tmp_path, org), tuesday, now=at_seven(tuesday))
    assert kept.scorecard == read.scorecard
    assert kept.scorecard.total.forecast is not None
    assert kept.bridge.actual == read.bridge.actual


def test_a_late_entry_of_a_closed_month_is_told_in_the_first_edition_of_the_next_week(
    org: Org, tmp_path: Path
) -> None:
    def late(day: date) -> list[date | None]:
        notes = send(settings_of(tmp_path, org), day).warnings
        return [note.day for note in notes if note.code is NoteCode.LATE_ENTRIES]

    assert late(MONDAY) == []
    org.insert("Lead", [a_lead(date(2026, 10, 20))])
    assert late(MONDAY + timedelta(1)) == []
    assert late(MONDAY + timedelta(7)) == [date(2026, 10, 20)]
    assert late(MONDAY + timedelta(8)) == [date(2026, 10, 20)]


def test_until_the_last_month_is_frozen_every_edition_reads_it(org: Org, tmp_path: Path) -> None:
    made = []
    # 1 November is a Sunday; the month before is frozen from the fourth workday on.
    for day in range(2, 8):
        if date(2026, 11, day).weekday() < 5:
            send(settings_of(tmp_path, org), date(2026, 11, day))
            made.append(composites(org))
    assert made == [2, 2, 2, 2, 1]


def test_other_segments_are_another_question(org: Org, tmp_path: Path) -> None:
    send(settings_of(tmp_path, org), MONDAY)
    composites(org)
    other = settings_of(tmp_path, org)
    other = replace(other, segments=(replace(other.segments[0], values=("DACH", "Austria")),))
    send(other, MONDAY + timedelta(1))
    assert composites(org) == 2


def test_looking_uses_what_is_kept_and_keeps_nothing(org: Org, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, org)
    send(settings, MONDAY)
    ledger = open_ledger(settings.ledger, clock=lambda: at_seven(MONDAY))
    before = ledger.history("leads")
    composites(org)
    tuesday, week_after = MONDAY + timedelta(1), MONDAY + timedelta(7)
    edition_to_show(settings, tuesday, at_seven(tuesday))
    assert composites(org) == 1
    edition_to_show(settings, week_after, at_seven(week_after))
    assert composites(org) == 2
    assert ledger.history("leads") == before


def test_what_another_version_kept_is_read_anew(org: Org, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, org)
    send(settings, MONDAY)
    ledger = open_ledger(settings.ledger, clock=lambda: at_seven(MONDAY))
    kept = ledger.history("leads")
    assert kept is not None
    ledger.keep_history("leads", replace(kept, counts='{"rows": "of a future version"}'))
    composites(org)
    send(settings_of(tmp_path, org), MONDAY + timedelta(1))
    assert composites(org) == 2


def test_an_earlier_date_does_not_replace_newer_months(org: Org, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, org)
    send(settings, MONDAY)
    ledger = open_ledger(settings.ledger, clock=lambda: at_seven(MONDAY))
    before = ledger.history("leads")
    now = Now(clock=lambda: at_seven(MONDAY), sleep=lambda _: None)
    assert send_digest(settings, now, day=MONDAY - timedelta(3)).exit_code == 0
    assert ledger.history("leads") == before


@pytest.mark.parametrize(
    ("edition", "read_on", "serves"),
    [
        (date(2026, 11, 17), date(2026, 11, 16), True),
        (date(2026, 11, 17), date(2026, 11, 17), True),
        (date(2026, 11, 17), date(2026, 11, 13), False),
        (date(2026, 11, 17), date(2026, 11, 18), False),
        (date(2026, 11, 6), date(2026, 11, 4), False),
        (date(2026, 11, 6), date(2026, 11, 5), True),
    ],
)
def test_closed_months_serve_in_their_week_once_they_are_frozen(
    edition: date, read_on: date, *, serves: bool
) -> None:
    calendar = Calendar(country="CH", subdivision="ZH")
    found = history_serves(due(edition, calendar), read_on, calendar=calendar, after_workdays=3)
    assert found is serves

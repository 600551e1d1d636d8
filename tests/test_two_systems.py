"""Leads in HubSpot, deals and follow-up in Salesforce: one edition out of both, sent."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from digest.connectors.salesforce import Salesforce
from digest.dispatch import Now, fill_worksheet, send_digest
from digest.errors import ConfigError
from digest.model import Edition, NoteCode, Secret
from digest.settings import Settings, load
from digest.worksheet import load_plan, write_new
from tests.fakes.hubspot import TOKEN, Portal
from tests.fakes.salesforce import Fault, Org, shared
from tests.hubspot.scene import MQL, Scene, scene
from tests.hubspot.scene import on as entered_on
from tests.salesforce.orgs import connector as salesforce_to
from tests.salesforce.orgs import given_to

MONDAY = date(2026, 10, 19)
NOW = datetime(2026, 10, 19, 6, tzinfo=UTC)
OCTOBER = datetime(2026, 10, 5, 8, tzinfo=UTC)  # a Monday, 10:00 in Zurich
PLANTED = ("Muster", "lead@example.com", "consumer-secret", "planted-access", TOKEN)
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
type = "hubspot"
token = { env = "HUBSPOT" }
segment = "region"
stages = ["marketingqualifiedlead", "customer"]
[deals]
type = "salesforce"
domain = "acme.my"
consumer_key = "key"
consumer_secret = { env = "ORG" }
dates = ["MQL_Date__c"]
segment = "Region__c"
[deals.deals]
segment = "Region__c"
currency = "CHF"
[follow_up]
respond_within = "8 h"
website_within = "1 h"
[follow_up.connector]
type = "salesforce"
domain = "acme.my"
consumer_key = "key"
consumer_secret = { env = "ORG" }
dates = ["MQL_Date__c"]
segment = "Region__c"
[follow_up.connector.follow_up_columns]
clock_start = "MQL_Date__c"
source = "LeadSource"
website = ["Web"]
[channels.file]
path = "out"
recipients = ["ana@company.example"]
"""


def settings_of(folder: Path, portal: Scene, org: Org) -> Settings:
    """Load the file, then lead its three connectors to loopback, each with its own settings."""
    (folder / "digest.toml").write_text(CONFIG)
    settings = load(
        folder / "digest.toml", environment={"HUBSPOT": TOKEN, "ORG": "consumer-secret"}
    )
    assert settings.follow_up is not None
    promise, followed = settings.follow_up
    hubspot = portal.hubspot(**given_to(settings.connector))
    return replace(
        settings,
        connector=hubspot,
        deals=to_fake(org, settings.deals),
        follow_up=(promise, to_fake(org, followed)),
    )


def to_fake(org: Org, source: object) -> Salesforce:
    assert isinstance(source, Salesforce)
    assert source.consumer_secret == Secret("consumer-secret")
    return salesforce_to(org, **given_to(source))


def an_org() -> Org:
    """Five customers of ten leads; of the four of October one is answered late and one not at all."""
    org = shared(Org())
    won = org.insert(
        "Opportunity",
        [
            {"Region__c": "DACH", "Amount": 15_000, "CloseDate": date(2026, 9, n), "IsWon": True,
             "IsClosed": True, "Name": "Muster Ltd"}
            for n in range(1, 6)
        ],
    )  # fmt: skip
    person = {"Region__c": "DACH", "LastName": "Muster", "Email": "lead@example.com"}
    june = OCTOBER - timedelta(days=120)
    org.insert(
        "Lead",
        [
            person | {"MQL_Date__c": june, "IsConverted": True, "ConvertedOpportunityId": deal}
            for deal in won
        ],
    )
    minutes = (30, 60, 2 * 24 * 60, None)
    ids = org.insert(
        "Lead",
        [person | {"MQL_Date__c": OCTOBER, "IsConverted": False, "LeadSource": "Fair"} for _ in minutes],
    )  # fmt: skip
    org.insert(
        "Task",
        [
            {"WhoId": who, "IsClosed": True, "CompletedDateTime": OCTOBER + timedelta(minutes=after)}
            for who, after in zip(ids, minutes, strict=True)
            if after is not None
        ],
    )  # fmt: skip
    return org


def leads_of(portal: Scene) -> None:
    """A hundred leads of the six months before, and fifty-five of October."""
    before = [(f"2026-{month:02}-{day:02}") for month in (4, 5, 6, 8) for day in range(1, 26)]
    now = [f"2026-10-{day:02}" for day in range(1, 12) for _ in range(5)]
    portal.portal.add_all(
        "contacts",
        [
            {
                "region": "DACH", "lastname": "Muster", "email": "lead@example.com",
                **entered_on(MQL, f"{day} 10:00"),
            }
            for day in (*before, *now)
        ],
    )  # fmt: skip


def sent(settings: Settings) -> Edition:
    waits: list[float] = []
    report = send_digest(settings, Now(clock=lambda: NOW, sleep=waits.append), day=MONDAY)
    assert report.exit_code == 0, report.lines
    assert report.edition is not None
    return report.edition


def test_one_edition_comes_out_of_two_systems_and_names_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    org = an_org()
    with scene(Portal(today=NOW)) as portal:
        leads_of(portal)
        edition = sent(settings_of(tmp_path, portal, org))

    assert edition.warnings == ()
    assert edition.scorecard.total.actual == 55
    # 210,000 x 40 % at 15,000 a deal: 140 leads at 4 %, 112 at the 5 customers of HubSpot's 100 leads.
    [drift] = edition.drift or ()
    assert (drift.goal, drift.goal_at_measured) == (140, 112)
    assert drift.measured_close_rate == Fraction(5, 100)
    kept = edition.follow_up
    assert kept is not None
    assert (kept.leads, kept.due, kept.in_time, kept.overdue) == (4, 4, 2, 1)
    # In business time: 30, 60 and 960 minutes, and ten workdays so far.
    assert (kept.median_minutes, kept.median_censored) == (Fraction(60 + 960, 2), False)
    assert (kept.p90_minutes, kept.p90_censored) == (Fraction(10 * 480 - 60), True)

    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert {path.suffix for path in files} >= {".eml", ".sqlite"}
    everything = b"\n".join([*files.values(), caplog.text.encode(), repr(edition).encode()])
    assert [word for word in PLANTED if word.encode() in everything] == []


def test_the_worksheet_is_filled_from_both(tmp_path: Path) -> None:
    org = an_org()
    path = tmp_path / "sla.xlsx"
    write_new(path, language="en", currency="CHF", year=2026, segments=("DACH",))
    with scene(Portal(today=NOW)) as portal:
        leads_of(portal)
        settings = replace(settings_of(tmp_path, portal, org), worksheet=path)
        findings = fill_worksheet(settings, today=MONDAY, now=NOW)

    assert "error" not in {finding.level for finding in findings}
    [dach] = load_plan(path).terms
    assert (dach.close_rate, dach.deal_size) == (Fraction(5, 100), Decimal(15_000))


@pytest.mark.failure("D14")
def test_a_failing_system_of_sales_does_not_hold_the_leads(tmp_path: Path) -> None:
    org = an_org()
    org.faults = [Fault(503, "<html>Muster</html>", path="/")] * 30
    with scene(Portal(today=NOW)) as portal:
        leads_of(portal)
        edition = sent(settings_of(tmp_path, portal, org))

    assert edition.scorecard.total.actual == 55
    assert (edition.follow_up, edition.drift) == (None, None)
    assert {note.code for note in edition.warnings} == {
        NoteCode.FOLLOW_UP_MISSING,
        NoteCode.DEALS_MISSING,
    }
    assert not any("Muster" in str(note.text) for note in edition.warnings)


def test_an_org_that_cannot_tell_customers_is_named_in_the_edition(tmp_path: Path) -> None:
    org = an_org()
    org.no_conversions = True
    with scene(Portal(today=NOW)) as portal:
        leads_of(portal)
        edition = sent(settings_of(tmp_path, portal, org))

    assert edition.drift is None
    [note] = edition.warnings
    assert note.code is NoteCode.DEALS_MISSING
    assert "the org does not tell which lead became a customer" in str(note.text)


def test_close_rates_may_follow_the_leads_of_the_six_months(tmp_path: Path) -> None:
    org = an_org()
    [late] = org.insert(
        "Opportunity",
        [{"Region__c": "DACH", "CloseDate": MONDAY, "IsWon": True, "IsClosed": True, "Amount": 15_000}],
    )  # fmt: skip
    june = OCTOBER - timedelta(days=120)
    org.insert(
        "Lead",
        [{"Region__c": "DACH", "MQL_Date__c": june, "IsConverted": True, "ConvertedOpportunityId": late}],
    )  # fmt: skip
    with scene(Portal(today=NOW)) as portal:
        leads_of(portal)
        cohort = replace(settings_of(tmp_path, portal, org), close_rates="cohort")
        [drift] = sent(cohort).drift or ()
    assert drift.measured_close_rate == Fraction(6, 100)


def test_a_wrong_kind_of_close_rate_is_refused(tmp_path: Path) -> None:
    (tmp_path / "digest.toml").write_text('close_rates = "pooled "\n' + CONFIG)
    with pytest.raises(ConfigError, match=r"close_rates: found 'pooled '.*'pooled' or 'cohort'"):
        load(tmp_path / "digest.toml", environment={"HUBSPOT": "x", "ORG": "y"})

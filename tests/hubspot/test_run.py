"""HubSpot in whole runs: calls as `digest check` promised, deals elsewhere, nothing that tells of a lead."""

from __future__ import annotations

import logging
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from digest.check import run
from digest.compose import compose, measured_deals
from digest.connectors.hubspot import Hubspot
from digest.dispatch import Now, send_digest
from digest.errors import ConnectorError
from digest.model import Secret
from digest.settings import Settings, load
from tests.fakes.hubspot import TOKEN, Definition, Fault, Portal
from tests.hubspot.scene import CUS, MQL, NOW, Scene, at, on, scene

ROOT = Path(__file__).parents[2]
LEAD = "Ottilie Plantedlead"
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
[[segments]]
name = "DACH"
[connector]
type = "hubspot"
token = { env = "HUBSPOT_TOKEN" }
segment = "region"
stages = ["marketingqualifiedlead", "customer"]
customer_stage = "customer"
[channels.file]
path = "out"
recipients = ["ana@company.example"]
"""
DEALS = """\
[connector.deals]
segment = "region"
[connector.follow_up_properties]
outcome = "hs_lead_status"
[follow_up]
respond_within = "8 h"
"""
DEALS_ELSEWHERE = """\
[deals]
type = "sql"
url = "sqlite:///sales.sqlite"
table = "leads"
dates = ["day"]
segment = "region"
[deals.deals]
table = "deals"
closed = "closed"
outcome = "won"
won = ["1"]
lost = ["0"]
amount = "amount"
segment = "region"
currency = "CHF"
"""


def portal() -> Portal:
    """A lead a day from April to October, every fifth a customer; a deal each, and an owner who called."""
    found = Portal()
    found.define("contacts", Definition("mail"))
    for month in range(4, 11):
        for day in range(1, 29):
            when = f"2026-{month:02}-{day:02}T10:00"
            found.add(
                firstname=LEAD,
                lastname=LEAD,
                email="plantedlead@firm.example",
                region="DACH",
                hs_first_outreach_date=at(when.replace("T10", "T11")),
                num_contacted_notes="1",
                **on(MQL, when),
                **(on(CUS, when) if day % 5 == 0 else {}),
            )
            if day % 5 == 0:
                won: dict[str, Any] = {"hs_is_closed": "true", "hs_is_closed_won": "true"}
                found.add(
                    "deals", dealname=LEAD, closedate=at(when), amount="900", region="DACH", **won
                )
    return found


@pytest.fixture
def here() -> Iterator[Scene]:
    with scene(portal()) as served:
        yield served


def settings_of(folder: Path, here: Scene, config: str) -> Settings:
    """Load a config, and point its HubSpot at the portal on loopback."""
    (folder / "digest.toml").write_text(config)
    settings = load(folder / "digest.toml", environment={"HUBSPOT_TOKEN": TOKEN})
    named = settings.connector
    assert isinstance(named, Hubspot)
    given = {field.name: getattr(named, field.name) for field in fields(named) if field.init}
    moved = here.hubspot(**given)
    one: object = named
    own = settings.deals is one
    follow_up = settings.follow_up and (settings.follow_up[0], moved)
    return replace(
        settings, connector=moved, deals=moved if own else settings.deals, follow_up=follow_up
    )


MONDAY = date(2026, 11, 2)


def on_october(day: int) -> datetime:
    return datetime(2026, 10, day, 7, tzinfo=UTC)


def a_clock(now: datetime) -> Now:
    return Now(clock=lambda: now, sleep=lambda _: None)


@pytest.mark.parametrize("more", ["", DEALS], ids=["leads", "with deals and follow-up"])
def test_the_check_promises_the_calls_that_runs_then_make(
    more: str, here: Scene, tmp_path: Path
) -> None:
    october = here.portal.today = on_october(19)
    found = run(
        settings_of(tmp_path, here, CONFIG + more), now=october, business_date=october.date()
    )
    assert [finding for finding in found if finding.level == "error"] == []
    (cost,) = [finding.text for finding in found if finding.subject == "cost of a run"]
    daily, *weekly = map(int, re.findall(r"\d+", cost))
    made = []
    for now in (october, on_october(20)):  # Monday and Tuesday
        here.portal.asked.clear()
        here.portal.today = now
        report = send_digest(settings_of(tmp_path, here, CONFIG + more), a_clock(now))
        assert report.edition is not None
        assert report.edition.warnings == ()
        made.append(len(here.portal.asked))
    assert made == [daily + sum(weekly), daily]
    assert weekly
    assert ("deals" in cost) == bool(more)


def test_the_check_of_a_small_portal_makes_the_fewest_calls(here: Scene, tmp_path: Path) -> None:
    found = run(settings_of(tmp_path, here, CONFIG + DEALS), now=NOW, business_date=MONDAY)
    assert [finding for finding in found if finding.level == "error"] == []
    # Definitions, account, totals of the month, of the one before (whose follow-up is read too) and of
    # the half-year, deals closed in the month and in the half-year with their definitions, leads of
    # the half-year, and the one real count.
    assert len(here.portal.asked) == 10


def test_leads_in_hubspot_are_set_against_deals_elsewhere(here: Scene, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "sales.sqlite") as sales:
        sales.execute("CREATE TABLE leads (day DATE, region TEXT)")
        sales.execute("CREATE TABLE deals (closed DATE, won INTEGER, amount NUMERIC, region TEXT)")
        rows = [(f"2026-0{month}-15", 1, 12_000, "DACH") for month in range(5, 10)] * 2
        sales.executemany("INSERT INTO deals VALUES (?, ?, ?, ?)", rows)
    sales.close()
    settings = settings_of(tmp_path, here, CONFIG + DEALS_ELSEWHERE)
    deals = measured_deals(settings, MONDAY, NOW)
    assert deals is not None
    dach = next(entry for entry in deals.segments if entry.segment == "DACH")
    assert (dach.won, dach.won_amount, dach.leads) == (10, Decimal(120_000), 6 * 28)
    assert not any("/deals/" in asked.path for asked in here.portal.asked)
    edition = compose(settings, MONDAY, now=NOW)
    assert edition.drift is not None
    assert edition.warnings == ()


def test_neither_token_nor_lead_is_in_any_log_error_ledger_or_output(
    here: Scene, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    settings = settings_of(tmp_path, here, CONFIG + DEALS)
    said = [repr(settings)]
    clock = Now(clock=lambda: NOW, sleep=lambda _: None, tell=said.append)
    report = send_digest(settings, clock, day=MONDAY)
    assert report.exit_code == 0
    said += [repr(report), repr(run(settings, now=NOW, business_date=MONDAY))]
    for fault in (
        Fault(400, {"message": f"no property {TOKEN}", "category": "VALIDATION_ERROR"}),
        Fault(500, f"{LEAD} {TOKEN}"),
        Fault(401, {"message": f"{TOKEN}"}),
        Fault(200, f'{{"results": ["{LEAD}"'),
    ):
        here.portal.faults.extend([fault] * 4)
        said.append(repr(run(settings, now=NOW.replace(minute=len(said)), business_date=MONDAY)))
        here.portal.faults.clear()
    with pytest.raises(ConnectorError) as caught:
        compose(replace(settings, connector=here.hubspot(token=Secret("wrong"))), MONDAY, now=NOW)
    said += [str(caught.value), caplog.text]
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "digest.toml"]
    assert len(files) > 1
    written = b"".join(path.read_bytes() for path in files)
    for planted in (TOKEN, "Plantedlead", "plantedlead"):
        assert planted.encode() not in written
        assert not [text[:300] for text in said if planted in text]


def test_a_person_can_check_a_real_config_against_the_fake_by_hand(tmp_path: Path) -> None:
    (tmp_path / "digest.toml").write_text(CONFIG)
    environment = {**os.environ, "HUBSPOT_TOKEN": TOKEN, "PYTHONPATH": str(ROOT)}  # noqa: TID251 - of the child
    fake = [sys.executable, "-u", "-m", "tests.fakes.hubspot", "--port", "0", "--contacts", "500"]
    with subprocess.Popen(fake, cwd=ROOT, stdout=subprocess.PIPE, text=True) as served:  # noqa: S603 - as written above
        assert served.stdout is not None
        port = re.search(r":(\d+),", served.stdout.readline())
        assert port is not None
        check = [sys.executable, "-m", "tests.hubspot.by_hand", port[1], "check", "digest.toml"]
        done = subprocess.run(  # noqa: S603 - as written above
            check, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        served.terminate()
    assert "the token is accepted" in done.stdout
    assert re.search(r"[1-9]\d* leads on ", done.stdout)
    assert "✗" not in done.stdout
    assert done.returncode == 0, done.stdout + done.stderr

"""HubSpot: generated portals, counted by the connector and by looking at every record, are equal."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from digest.conditions import Exclusion, Filter
from digest.connectors.hubspot.searching import PAGE
from digest.model import Period, Segment, add_months
from tests.effort import effort
from tests.fakes.hubspot import Definition, Portal, moment_text
from tests.hubspot.scene import NOW, Scene, brute_force, entered, scene

ORDINARY, MANY = effort(60, 150), 10_000
SIZES = (0, 1, 2, 5, 20, 60, 199, 200, 201, 410)
THOUSANDS = (1_999, 3_000, 4_801)
VERSIONS = ("2026-09", "2026-03", "v3")
ZONES = ("Europe/Zurich", "America/Los_Angeles", "Asia/Kolkata", "UTC", "Pacific/Apia")
MONTHS = (
    date(2026, 3, 1),
    date(2026, 10, 1),
    date(2028, 2, 1),
    date(2026, 6, 1),
    date(2026, 11, 1),
)
SEGMENTS = (Segment("DACH", ("DACH", "d-a-ch")), Segment("Süd"), Segment("Nordics"))
VALUES = ("DACH", " dach", "D-A-CH", "SU\u0308D", "Nordics;DACH", "Mars;Nordics", "Mars", "", None)
STAGE_POOL = (
    "subscriber",
    "lead",
    "marketingqualifiedlead",
    "salesqualifiedlead",
    "opportunity",
    "customer",
)


def portal_of(
    luck: random.Random, period: Period, stages: tuple[str, ...], sizes: tuple[int, ...]
) -> Portal:
    """Build a portal whose records crowd around the midnights of the month and of its neighbours."""
    portal = Portal(capped=luck.random() < 0.2, page=luck.choice((200, 200, 50, 7)))
    if sizes == THOUSANDS:
        portal.page = max(portal.page, 50)  # else the budget would, rightly, refuse
    if luck.random() < 0.3:
        portal.define("contacts", Definition(entered(stages[0]), "date"))
    bounds = period.bounds()
    rows: list[dict[str, str | None]] = []
    for _ in range(luck.choice(sizes)):
        row: dict[str, str | None] = {"region": luck.choice(VALUES)}
        if luck.random() < 0.1:
            row["hs_email_domain"] = luck.choice(("test.example", "Firm.example"))
        for stage in stages:
            if luck.random() < 0.6:
                row[entered(stage)] = value(luck, portal, bounds, entered(stage))
        rows.append(row)
    portal.add_all("contacts", rows, luck.choice((1, 95, 10**9)))
    return portal


def value(luck: random.Random, portal: Portal, bounds: tuple[datetime, ...], name: str) -> str:
    edge = luck.choice(bounds) + timedelta(milliseconds=luck.choice((-1, 0, 1)))
    anywhere = bounds[0] + (bounds[-1] - bounds[0]) * luck.uniform(-0.5, 1.5)
    moment = luck.choice((edge, anywhere))
    if portal.definitions["contacts"][name].type == "date":
        return moment.astimezone(UTC).date().isoformat()
    return moment_text(moment)


def agree(here: Scene, luck: random.Random, sizes: tuple[int, ...] = SIZES) -> None:
    start = luck.choice(MONTHS)
    end = luck.choice((add_months(start, 1), start + timedelta(days=luck.randint(1, 27))))
    period = Period(start, end, luck.choice(ZONES))
    stages = tuple(luck.sample(STAGE_POOL, luck.randint(1, 6)))
    here.portal.__dict__.update(
        portal_of(luck, period, stages, sizes).__dict__ | served(here.portal)
    )
    excludes = luck.random() < 0.3
    rule = Exclusion("tests", (Filter("hs_email_domain", "=", "TEST.example"),))
    settings: dict[str, Any] = {"exclusions": (rule,)} if excludes else {}
    settings |= {"stages": stages, "api_version": luck.choice(VERSIONS)}
    planned = here.hubspot(**settings).cost(
        counted=(period,), deals=None, segments=SEGMENTS, now=NOW
    )
    here.portal.asked.clear()
    counts = here.count(period, SEGMENTS, **settings)
    expected = brute_force(
        here.portal,
        period,
        SEGMENTS,
        dates=[entered(stage) for stage in stages],
        skip={"hs_email_domain": "test.example"} if excludes else None,
    )
    assert counts.rows == expected
    assert counts.reconciled
    assert counts.total == sum(row.leads for row in expected)
    assert counts.origin.calls == len(here.portal.asked)
    if (
        here.portal.page == PAGE
    ):  # a portal that gives less than it is asked for needs more searches
        assert (counts.origin.calls, 0) == planned
    unassigned = sum(row.leads for row in expected if not row.segment)
    assert sum(leads for _, leads in counts.unknown) == unassigned


def served(portal: Portal) -> dict[str, object]:
    """What the running server needs to keep."""
    return {"port": portal.port, "today": portal.today, "clock": portal.clock}


def agreeing(seeds: range, sizes: tuple[int, ...] = SIZES) -> None:
    with scene() as here:
        for seed in seeds:
            agree(here, random.Random(seed), sizes)  # noqa: S311 - a portal that can be built again


@pytest.mark.no_cover
def test_generated_portals_are_counted_as_by_brute_force() -> None:
    agreeing(range(ORDINARY))


@pytest.mark.no_cover
def test_generated_portals_of_thousands_are_counted_as_by_brute_force() -> None:
    agreeing(range(300, 308), THOUSANDS)


@pytest.mark.long
@pytest.mark.parametrize("part", range(20))
def test_ten_thousand_generated_portals_are_counted_as_by_brute_force(part: int) -> None:
    each = MANY // 20
    start, end = 1000 + part * each, 1000 + (part + 1) * each
    agreeing(range(start + 5, end))
    agreeing(range(start, start + 5), THOUSANDS)

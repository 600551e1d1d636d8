"""HubSpot: deals, follow-up, the check before a run, and the settings."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from digest.conditions import Exclusion, Filter
from digest.connectors.hubspot import Deals, FollowUpProperties, Hubspot
from digest.connectors.hubspot.credentials import OAuth
from digest.errors import ConfigError, ConnectorError, Reason
from digest.model import DealStatistics, FollowUpRow, Period, Secret, SegmentDeals
from digest.settings.adapters import build
from digest.settings.mistakes import Mistakes
from tests.fakes.hubspot import (
    CLIENT_ID,
    CLIENT_SECRET,
    REFRESH_TOKEN,
    TOKEN,
    Definition,
    Portal,
    populate,
)
from tests.hubspot.scene import (
    CUS,
    MQL,
    NOW,
    OCTOBER,
    OPP,
    SEGMENTS,
    STAGES,
    Scene,
    at,
    on,
    scene,
)

APP = OAuth(CLIENT_ID, Secret(CLIENT_SECRET), Secret(REFRESH_TOKEN))
HALF_YEAR = Period(date(2026, 4, 1), date(2026, 10, 1))


def measured(here: Scene, **settings: Any) -> DealStatistics:  # noqa: ANN401 - settings
    settings.setdefault("deals", Deals(segment="region"))
    connector = here.hubspot(**settings)
    return connector.deal_statistics(window=HALF_YEAR, segments=SEGMENTS, now=NOW)


def deal(portal: Portal, closed: str = "2026-05-05T10:00", **more: str) -> None:
    won: dict[str, Any] = {"hs_is_closed": "true", "hs_is_closed_won": "true", "region": "DACH"}
    portal.add("deals", closedate=at(closed), **(won | more))


def by_segment(found: DealStatistics) -> dict[str, SegmentDeals]:
    return {entry.segment: entry for entry in found.segments}


def test_closed_deals_are_measured_exactly_and_currencies_are_never_added() -> None:
    portal = Portal()
    deal(portal, amount_in_home_currency="0.1", amount="0.1")
    deal(portal, amount_in_home_currency="0.2", amount="9", deal_currency_code="EUR")
    deal(portal, amount="1000", deal_currency_code="CHF")
    deal(portal, amount="5000", deal_currency_code="EUR")  # nobody converted it
    deal(portal, amount="0")
    deal(portal)
    deal(portal, hs_is_closed_won="false", amount="77")
    deal(portal, hs_is_closed="false", hs_is_closed_won="false")  # an open deal's hope
    deal(portal, "2026-10-01T00:00", amount="1")
    deal(portal, "2026-03-31T23:59", amount="1")
    deal(portal, region="Mars", amount="3")
    with scene(portal) as here:
        found = measured(here)
        assert found.origin.calls == len(portal.asked) == 1 + 2 + 2
    dach = by_segment(found)["DACH"]
    assert (dach.won, dach.lost, dach.won_with_amount) == (6, 1, 3)
    assert dach.won_amount == Decimal("1000.3")
    assert dach.currency == "CHF"
    assert by_segment(found)[""].won_amount == Decimal(3)
    assert "1 amounts not convertible" in str(found.origin.query)


def test_a_deal_that_was_opened_again_is_not_counted_by_an_old_index() -> None:
    portal = Portal()
    deal(portal, amount="5")
    deal(portal, amount="7", hs_is_closed="false")
    portal.records["deals"][102].index = {"hs_is_closed": "true"}
    with scene(portal) as here:
        assert by_segment(measured(here))["DACH"].won == 1


def test_without_a_segment_of_their_own_deals_stand_under_the_total_only() -> None:
    portal = Portal()
    deal(portal, amount="5")
    portal.add(region="DACH", **on(MQL, "2026-05-05T10:00"))
    with scene(portal) as here:
        found = by_segment(measured(here, deals=Deals()))
    assert (found[""].won, found["DACH"].won, found["DACH"].leads) == (1, 0, 1)


def test_customers_are_pooled_by_the_date_of_their_stage_and_followed_as_a_cohort() -> None:
    portal = Portal()
    portal.add(region="DACH", **on(MQL, "2026-05-05T10:00"), **on(CUS, "2026-06-05T10:00"))
    portal.add(region="DACH", **on(MQL, "2026-05-05T10:00"), **on(CUS, "2026-10-05T10:00"))
    portal.add(region="DACH", **on(MQL, "2026-02-05T10:00"), **on(CUS, "2026-06-05T10:00"))
    portal.add(region="DACH", **on(OPP, "2026-05-05T10:00"))
    portal.add(region="DACH", hs_email_domain="test.example", **on(MQL, "2026-05-05T10:00"))
    rule = Exclusion("tests", (Filter("hs_email_domain", "=", "test.example"),))
    for stages in (STAGES, STAGES[:3]):
        with scene(portal) as here:
            found = measured(here, customer_stage=CUS, stages=stages, exclusions=(rule,))
        dach = by_segment(found)["DACH"]
        assert (dach.leads, dach.customers, dach.cohort_customers) == (3, 2, 2)


def test_an_account_that_may_not_be_read_needs_the_currency_in_the_settings() -> None:
    portal = Portal(account_readable=False)
    deal(portal, amount="5")
    with scene(portal) as here:
        with pytest.raises(ConnectorError, match="scope account-info"):
            measured(here)
        assert by_segment(measured(here, deals=Deals("region", "EUR")))["DACH"].currency == "EUR"


def test_deals_that_cannot_be_measured_say_why() -> None:
    with scene() as here:
        with pytest.raises(
            ConfigError, match=r"deals have no property 'regio'.*did you mean 'region'"
        ):
            measured(here, deals=Deals(segment="regio"))
        with pytest.raises(ConfigError, match=r"add \[connector\.deals\]"):
            measured(here, deals=None)
        here.portal.scopes.discard("crm.objects.deals.read")
        with pytest.raises(ConnectorError, match=r"crm\.objects\.deals\.read"):
            measured(here)
        assert here.count().total == 0  # the leads are counted all the same


# --------------------------------------------------------------------------------------- follow-up


FOLLOW_UP = FollowUpProperties(
    outcome="hs_lead_status",
    accepted=("CONNECTED",),
    rejected=("unqualified",),
    closed=("BAD_TIMING",),
)


def followed(here: Scene, **settings: Any) -> tuple[FollowUpRow, ...]:  # noqa: ANN401 - settings
    connector = here.hubspot(**{"follow_up_properties": FOLLOW_UP} | settings)
    return connector.follow_up(period=OCTOBER, segments=SEGMENTS, now=NOW)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("assigned", "outreach", "start"),
    [
        (None, None, "2026-10-05T08:00"),
        ("2026-10-06T10:00", None, "2026-10-06T08:00"),
        ("2026-10-06T10:00", "2026-10-07T10:00", "2026-10-06T08:00"),
        ("2026-10-09T10:00", "2026-10-07T10:00", "2026-10-05T08:00"),
        ("2026-10-01T10:00", "2026-10-07T10:00", "2026-10-05T08:00"),
        (None, "2026-10-02T10:00", "2026-10-05T08:00"),
    ],
)
def test_a_reassignment_after_the_first_contact_cannot_hide_a_late_answer(
    assigned: str | None, outreach: str | None, start: str
) -> None:
    portal = Portal()
    portal.add(
        region="DACH",
        hubspot_owner_assigneddate=assigned and at(assigned),
        hs_first_outreach_date=outreach and at(outreach),
        num_contacted_notes="3.0",
        hs_lead_status="connected",
        **on(MQL, "2026-10-05T10:00"),
    )
    response = None if outreach is None else utc(outreach) - timedelta(hours=2)
    with scene(portal) as here:
        assert followed(here) == (FollowUpRow("DACH", utc(start), response, 3, "accepted"),)
        by_qualification = FollowUpProperties(clock="qualified")
        (row,) = followed(here, follow_up_properties=by_qualification)
    assert (row.clock_start, row.outcome) == (utc("2026-10-05T08:00"), "open")


def test_follow_up_after_a_count_costs_no_call_and_leaves_the_month_as_it_is() -> None:
    portal = Portal()
    portal.add(region="DACH", **on(MQL, "2026-09-25T10:00"))
    portal.add(region=None, hs_lead_status="BAD_TIMING", **on(MQL, "2026-10-05T10:00"))
    portal.add(
        region="DACH", hs_first_outreach_date=at("2026-12-05T10:00"), **on(MQL, "2026-10-06T10:00")
    )
    with scene(portal) as here:
        connector = here.hubspot(follow_up_properties=FOLLOW_UP)
        counts = connector.count_leads(period=OCTOBER, segments=SEGMENTS, now=NOW)
        assert counts.total == 2
        assert len(portal.asked) == 2
        assert len(portal.searches) == 1
        rows = connector.follow_up(period=OCTOBER, segments=SEGMENTS, now=NOW)
        earlier = Period(date(2026, 9, 20), date(2026, 11, 1))
        assert len(connector.follow_up(period=earlier, segments=SEGMENTS, now=NOW)) == 3
        assert len(portal.asked) == 2
        connector.follow_up(period=OCTOBER, segments=SEGMENTS, now=NOW + timedelta(seconds=1))
        assert len(portal.asked) == 4
    assert [(row.segment, row.first_response, row.outcome) for row in rows] == [
        ("", None, "closed"),
        ("DACH", None, "open"),
    ]


def test_follow_up_as_of_an_earlier_day_is_no_wrong_clock() -> None:
    portal = Portal()
    portal.add(
        region="DACH", hs_first_outreach_date=at("2026-10-20T10:00"), **on(MQL, "2026-10-05T10:00")
    )
    with scene(portal) as here:
        connector = here.hubspot(follow_up_properties=FOLLOW_UP)
        week_ago = NOW - timedelta(days=15)
        (row,) = connector.follow_up(period=OCTOBER, segments=SEGMENTS, now=week_ago)
        assert row.first_response is None
        portal.today = NOW - timedelta(minutes=11)
        with pytest.raises(ConnectorError, match="differ by 11 minutes"):
            connector.count_leads(period=OCTOBER, segments=SEGMENTS, now=NOW)


def test_a_hidden_property_makes_follow_up_unavailable_and_not_the_count() -> None:
    portal = Portal()
    del portal.definitions["contacts"]["hs_first_outreach_date"]
    portal.add(region="DACH", **on(MQL, "2026-10-05T10:00"))
    with scene(portal) as here:
        assert here.count(follow_up_properties=FOLLOW_UP).total == 1
        with pytest.raises(
            ConfigError, match=r"follow-up is not available: .*hs_first_outreach_date"
        ):
            followed(here)
        with pytest.raises(ConfigError, match=r"add \[connector.follow_up_properties\]"):
            followed(here, follow_up_properties=None)


# ------------------------------------------------------------------------------------------- check


def checked(here: Scene, **settings: Any) -> list[tuple[str, str]]:  # noqa: ANN401 - settings
    found = here.hubspot(**settings).check(period=OCTOBER, segments=SEGMENTS, now=NOW)
    return [(finding.level, f"{finding.subject}: {finding.text}") for finding in found]


def test_the_check_names_the_searches_that_a_count_then_makes() -> None:
    portal = Portal()
    populate(portal, 700, month=date(2026, 10, 1), share=0.9)
    everything = {"deals": Deals("region"), "follow_up_properties": FOLLOW_UP}
    with scene(portal) as here:
        for settings in ({}, everything, {"stages": ("Marketingqualifiedlead",)}):
            found = checked(here, **settings)
            assert {level for level, _ in found} == {"ok"}
            (cost,) = [text for _, text in found if text.startswith("cost of the count")]
            portal.asked.clear()
            here.count(**settings)
            assert f": {len(portal.searches)} searches of " in cost


@pytest.mark.parametrize("contacts", [0, 150, 3000])
@pytest.mark.parametrize(
    ("settings", "oauth"),
    [
        ({}, False),
        ({"deals": Deals("region"), "customer_stage": CUS}, False),
        ({"deals": Deals(), "follow_up_properties": FOLLOW_UP}, True),
        ({"stages": ("Marketingqualifiedlead",)}, False),
    ],
)
def test_the_calls_of_a_run_are_known_beforehand(
    settings: dict[str, Any], contacts: int, *, oauth: bool
) -> None:
    portal = Portal()
    populate(portal, contacts, month=date(2026, 10, 1), share=0.3)
    for number in range(contacts // 5):
        deal(portal, f"2026-0{4 + number % 6}-15T10:00", amount="5")
    if oauth:
        settings = settings | {"oauth": APP}
    with scene(portal) as here:
        window = HALF_YEAR if "deals" in settings else None
        calls, more = here.hubspot(**settings).cost(
            counted=(OCTOBER, HALF_YEAR), deals=window, segments=SEGMENTS, now=NOW
        )
        portal.asked.clear()
        here.wire.accesses.clear()
        connector = here.hubspot(**settings)
        made = [
            connector.count_leads(period=period, segments=SEGMENTS, now=NOW).origin.calls
            for period in (OCTOBER, HALF_YEAR)
        ]
        assert sum(made) == calls == len(portal.asked)
        if window is not None:
            found = connector.deal_statistics(window=window, segments=SEGMENTS, now=NOW)
            assert found.origin.calls == more == len(portal.asked) - calls
        else:
            assert more == 0


def test_a_run_that_its_limits_cannot_hold_is_said_so_before_the_first_morning() -> None:
    portal = Portal()
    fill(portal)
    portal.add_all("contacts", [on(MQL, "2026-05-05T10:00")] * 4200, 10_000)
    with scene(portal) as here:
        enough = here.hubspot(max_calls=21)
        assert enough.cost(counted=(HALF_YEAR,), deals=None, segments=SEGMENTS, now=NOW)[0] == 22
        limits: tuple[tuple[dict[str, Any], str], ...] = (
            ({"max_calls": 20}, "4,200 records need 21 searches, max_calls allows 20"),
            ({"max_seconds": 5}, "21 searches need about 5 s, max_seconds allows 5"),
        )
        for limit, words in limits:
            connector = here.hubspot(**limit)
            with pytest.raises(ConnectorError, match=words) as caught:
                connector.cost(counted=(HALF_YEAR,), deals=None, segments=SEGMENTS, now=NOW)
            assert caught.value.reason is Reason.OVERFLOW


def test_the_check_warns_of_what_will_differ() -> None:
    portal = Portal(
        account={"timeZone": "US/Eastern"}, headers={"X-HubSpot-RateLimit-Daily-Remaining": "12"}
    )
    options = (("D-A-CH", "DACH"), ("Nordic countries", "Nordics"), ("Mars", "Mars"))
    portal.define("contacts", Definition("region", "enumeration", "Region", options))
    portal.today = NOW + timedelta(minutes=3)
    with scene(portal) as here:
        found = checked(here, api_version="v3")
        warned = "\n".join(text for level, text in found if level == "warning")
        assert "ends in September 2027" in warned
        assert "options of no segment: 'Mars'" in warned
        assert "'Romandie' is no option" in warned
        assert "days begin in US/Eastern" in warned
        assert "differs from HubSpot's by 3 minutes" in warned
        assert ("ok", "quota: 12 requests left today") in found
        portal.account_readable = False
        assert any("may not read the account" in text for _, text in checked(here))


@pytest.mark.parametrize(
    ("version", "now", "words"),
    [
        ("2026-09", "2027-08-31", ""),
        ("2026-09", "2027-09-01", "2026-09 ends in March 2028"),
        ("2026-09", "2028-03-01", "2026-09 ended in March 2028"),
        ("2026-03", "2026-11-02", ""),
        ("2026-03", "2027-03-01", "2026-03 ends in September 2027"),
        ("v3", "2026-11-02", "v3 ends in September 2027"),
        ("v3", "2027-09-01", "v3 ended in September 2027"),
    ],
)
def test_the_check_warns_of_the_end_of_a_version_half_a_year_ahead(
    version: str, now: str, words: str
) -> None:
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    with scene(Portal(today=moment)) as here:
        connector = here.hubspot(api_version=version)
        found = connector.check(period=OCTOBER, segments=SEGMENTS, now=moment)
    warned = [finding.text for finding in found if finding.level == "warning"]
    assert len(warned) == bool(words)
    assert all(text.startswith(words) for text in warned)


def test_the_check_warns_of_an_app_that_may_write_and_says_that_a_key_keeps_its_scopes_to_itself() -> (
    None
):
    reads = ["oauth", "crm.objects.contacts.read"]
    with scene() as here:
        assert "HubSpot does not tell the scopes of a key" in scopes_of(here)[1]
        for granted, level, words in (
            (reads, "ok", "can only read: oauth, crm.objects.contacts.read"),
            (
                [*reads, "crm.objects.contacts.write", "contacts"],
                "warning",
                "contacts.write, contacts;",
            ),
            (None, "ok", "did not tell the app's scopes"),
        ):
            here.portal.granted = granted
            here.wire.accesses.clear()
            found = scopes_of(here, oauth=APP)
            assert found[0] == level
            assert words in found[1]


def scopes_of(here: Scene, **settings: Any) -> tuple[str, str]:  # noqa: ANN401 - settings
    (found,) = [entry for entry in checked(here, **settings) if entry[1].startswith("scopes: ")]
    return found


def test_the_check_says_that_values_of_free_text_cannot_be_compared_beforehand() -> None:
    portal = Portal()
    portal.define("contacts", Definition("region", "string"))
    with scene(portal) as here:
        warned = [text for level, text in checked(here) if level == "warning"]
    assert len(warned) == 1
    assert "property 'region': is free text" in warned[0]


def hide_status(portal: Portal) -> None:
    del portal.definitions["contacts"]["hs_lead_status"]


def fill(portal: Portal) -> None:
    portal.add_all("contacts", [on(MQL, "2026-10-05T10:00")] * 201)


@pytest.mark.parametrize(
    ("spoil", "settings", "words"),
    [
        (lambda _: None, {"token": Secret("pat-wrong")}, "token was refused"),
        (lambda _: None, {"segment": "regoin"}, "did you mean 'region'"),
        (lambda p: p.scopes.clear(), {}, "crm.objects.contacts.read"),
        (lambda p: p.scopes.discard("crm.objects.deals.read"), {"deals": Deals()}, "crm.objects.deals.read"),
        (hide_status, {"follow_up_properties": FOLLOW_UP}, "hides it"),
        (fill, {"max_calls": 1}, "201 records need 2 searches, max_calls allows 1"),
        (lambda _: None, {"api_version": "2030-03"}, "no longer offers API version '2030-03'"),
    ],
)  # fmt: skip
def test_the_check_says_what_to_mend_and_never_raises(
    spoil: Callable[[Portal], object], settings: dict[str, Any], words: str
) -> None:
    with scene() as here:
        spoil(here.portal)
        found = checked(here, **settings)
    errors = [text for level, text in found if level == "error"]
    assert len(errors) == 1
    assert words in errors[0]
    assert TOKEN not in repr(found)


# ---------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"token": Secret("pat with space")}, "token: is empty or holds characters"),
        ({"token": Secret("")}, "token: is empty"),
        ({"stages": ()}, "stages: count_by = 'stage' needs at least one"),
        ({"stages": (MQL, MQL)}, "stages: found a name twice"),
        ({"dates": ("x",)}, "dates: not used with count_by = 'stage'"),
        ({"object": "leads"}, "leads have no lifecycle stage"),
        ({"segment": "email"}, "segment: 'email' is personal data"),
        ({"filters": (Filter("FirstName", "=", "x"),)}, "filters: 'FirstName' is personal data"),
        ({"exclusions": (Exclusion("a", (Filter("phone", "is null"),)),)}, "exclusions: 'phone'"),
        ({"api_version": "v2"}, "api_version: found 'v2'"),
        ({"api_version": "2026-13"}, "they come in March and September"),
        ({"max_calls": 0}, "max_calls: found 0"),
        ({"max_seconds": 1}, "max_seconds: found 1"),
        (
            {"filters": tuple(Filter(f"a_property_of_many_{n:080}", "=", "x") for n in range(30))},
            "HubSpot takes 3,000",
        ),
    ],
)
def test_a_setting_that_cannot_work_is_refused_when_it_is_read(
    settings: dict[str, Any], words: str
) -> None:
    given: dict[str, Any] = {"token": Secret(TOKEN), "segment": "region", "stages": STAGES}
    with pytest.raises(ValueError, match=r".") as caught:
        Hubspot(**given | settings)
    assert words in str(caught.value)
    assert "pat" not in str(caught.value)


def test_parts_of_the_settings_are_refused_too() -> None:
    with pytest.raises(ValueError, match="no ISO 4217 code"):
        Deals(currency="CHFX")
    with pytest.raises(ValueError, match="allowed 14 to 92"):
        FollowUpProperties(days_before=3)


def test_settings_of_a_file_become_a_connector_and_hold_no_more_than_they_say() -> None:
    mistakes = Mistakes("digest.toml")
    table = {
        "token": Secret(TOKEN),
        "segment": "region",
        "stages": [MQL],
        "deals": {"segment": "x"},
    }
    built = build(Hubspot, table, ("connector",), mistakes)
    assert mistakes.found == []
    assert built is not None
    assert built.deals == Deals("x")
    assert build(Hubspot, table | {"object": "contcats"}, ("connector",), mistakes) is None
    assert "did you mean 'contacts'? allowed: 'contacts', 'companies' or 'leads'" in str(
        mistakes.error()
    )
    assert build(Hubspot, table | {"kept": 1}, ("connector",), mistakes) is None
    assert build(Hubspot, table | {"wire": 1}, ("connector",), mistakes) is None

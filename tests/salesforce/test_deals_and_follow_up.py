"""Deals, customers and follow-up of a fake org, and what `digest check` says of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from digest import sla
from digest.conditions import Exclusion, Filter
from digest.connectors.salesforce import Deals, FollowUpColumns
from digest.errors import ConfigError, ConnectorError, Reason
from digest.model import Finding, FollowUpRow, Period, SegmentDeals
from digest.sla import Plan
from tests.effort import CUTS
from tests.fakes.salesforce import Fault, Org, shared
from tests.salesforce.orgs import JUNE, NOON, NOW, SEGMENTS, connector

WINDOW = Period(date(2026, 1, 1), date(2026, 7, 1))
MARCH = date(2026, 3, 5)
SOON = NOON + timedelta(minutes=90)


def deal(
    region: str | None = "DACH", amount: float | None = 1000, *, won: bool = True, **more: object
) -> dict[str, Any]:
    known = {"Region__c": region, "Amount": amount, "CloseDate": MARCH, "IsClosed": True}
    return {**known, "IsWon": won, **more}


def measured(org: Org, deals: Deals | None = None, **settings: Any) -> tuple[SegmentDeals, ...]:  # noqa: ANN401 - any setting
    told = deals or Deals(segment="Region__c", currency="CHF")
    source = connector(org, deals=told, **settings)
    return source.deal_statistics(window=WINDOW, segments=SEGMENTS, now=NOW).segments


def test_won_and_lost_deals_their_amounts_and_customers_are_measured_by_segment_in_two_calls() -> (
    None
):
    org = shared(Org())
    won = org.insert(
        "Opportunity",
        [
            deal(),
            deal("dach", 500.25),
            deal(amount=0),
            deal(amount=None),
            deal(amount=700, won=False),
            deal(IsClosed=False, won=False),
            deal(CloseDate=date(2026, 7, 1)),
            deal("Mars", won=False),
            deal(CloseDate=date(2025, 12, 31)),
        ],
    )
    org.insert(
        "Lead",
        [
            {
                "CreatedDate": NOON,
                "Region__c": "DACH",
                "IsConverted": True,
                "ConvertedOpportunityId": won[n],
            }
            for n in (0, 0, 1, 4, 6)
        ]
        + [{"CreatedDate": NOON, "Region__c": "DACH"}]
        + [
            {
                "CreatedDate": datetime(2025, 12, 5, tzinfo=UTC),
                "Region__c": "Romandie",
                "IsConverted": True,
                "ConvertedOpportunityId": won[2],
            }
        ],
    )
    dach, romandie, unassigned = measured(org)
    assert (dach.won, dach.lost, dach.won_amount) == (4, 1, Decimal("1500.25"))
    assert (dach.won_with_amount, dach.currency) == (2, "CHF")
    assert (dach.leads, dach.customers, dach.cohort_customers) == (6, 2, 3)
    assert (romandie.leads, romandie.customers, romandie.cohort_customers) == (0, 1, 0)
    assert (unassigned.segment, unassigned.lost) == ("", 1)
    assert [path.rpartition("/")[2] for _, path, _ in org.calls] == [
        "token",
        "composite",
        "composite",
    ]


def test_amounts_of_several_currencies_are_never_summed_across_them() -> None:
    org = shared(Org(multi_currency=True))
    org.insert(
        "Opportunity",
        [
            deal(amount=100, CurrencyIsoCode="EUR"),
            deal(amount=200, CurrencyIsoCode="EUR"),
            deal(amount=50, CurrencyIsoCode="CHF"),
            deal(amount=None, CurrencyIsoCode="CHF"),
            deal(amount=9, won=False, CurrencyIsoCode="CHF"),
        ],
    )
    eur, chf, _ = measured(org)
    assert (eur.currency, eur.won_amount, eur.won_with_amount) == ("EUR", Decimal(300), 2)
    assert (chf.currency, chf.won_amount, chf.won_with_amount) == ("CHF", Decimal(50), 1)
    assert (eur.won + chf.won, eur.lost + chf.lost) == (4, 1)
    assert not any("SUM" in query and "CurrencyIsoCode" in query for query in org.queries)


def test_won_amounts_of_several_currencies_are_read_to_the_last_page() -> None:
    org = shared(Org(multi_currency=True))
    org.insert("Opportunity", [deal(amount=1, CurrencyIsoCode="EUR")] * 4_100)
    [eur, _] = measured(org)
    assert (eur.won_amount, eur.won) == (Decimal(4_100), 4_100)
    assert len(org.calls) == 1 + 2 + 3
    org.faults = [Fault(200, {"totalSize": 4100, "done": True, "records": []}, path="/query/")]
    with pytest.raises(ConnectorError, match="announced 4,100 records"):
        measured(org)


def test_exclusions_and_filters_hold_for_the_leads_of_the_close_rate_too() -> None:
    org = shared(Org())
    [won] = org.insert("Opportunity", [deal()])
    org.insert(
        "Lead",
        [
            {
                "CreatedDate": NOON, "Region__c": "DACH", "IsTest__c": test, "IsConverted": True,
                "ConvertedOpportunityId": won,
            }
            for test in (True, False)
        ],
    )  # fmt: skip
    rule = Exclusion("tests", (Filter("IsTest__c", "=", value=True),))
    dach, _ = measured(org, exclusions=(rule,))
    assert (dach.leads, dach.customers) == (1, 1)


@pytest.mark.parametrize(
    ("deals", "words"),
    [
        (
            Deals("Regoin__c", "CHF"),
            "deals.segment: Opportunity has no field 'Regoin__c'; did you mean",
        ),
        (Deals("Region__c", "CHF", amount="Amuont"), "deals.amount: .* did you mean 'Amount'"),
        (Deals("Region__c"), "deals.currency: .* has one currency"),
    ],
)
def test_a_mistake_in_the_deals_names_its_key(deals: Deals, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        measured(shared(Org()), deals)


def test_an_org_that_does_not_tell_customers_says_how_to_go_on() -> None:
    org = shared(Org())
    org.insert("Opportunity", [deal()])
    broken = [{"errorCode": "INVALID_FIELD", "message": "No such column"}]
    org.faults = [Fault(400, broken, part=0, path="/never"), Fault(path="/composite")]
    source = connector(org, deals=Deals("Region__c", "CHF"))
    source.deal_statistics(window=WINDOW, segments=SEGMENTS, now=NOW)
    org.faults = [Fault(path="/composite"), Fault(400, broken, part=1, path="/composite")]
    told = source.deal_statistics(window=WINDOW, segments=SEGMENTS, now=NOW)
    assert "customers = 'won deals'" in str(told.no_customers)
    dach, _ = measured(org, Deals("Region__c", "CHF", customers="won deals"))
    assert (dach.customers, dach.cohort_customers) == (1, 1)


def test_deal_sizes_stay_right_where_the_org_does_not_know_what_a_lead_became() -> None:
    org = shared(Org(no_conversions=True))
    org.insert("Opportunity", [deal(), deal(amount=3000), deal(won=False)])
    org.insert("Lead", [{"CreatedDate": NOON, "Region__c": "DACH"}] * 100)
    source = connector(org, deals=Deals("Region__c", "CHF"))
    found = source.deal_statistics(window=WINDOW, segments=SEGMENTS, now=NOW)
    plan = Plan("CHF", (("DACH", "CHF"),), (), ())
    [dach] = sla.measured(plan, found)
    assert (dach.close_rate, dach.raw_rate, dach.leads) == (None, None, 0)
    assert (dach.deal_size, dach.win_rate) == (Decimal(2000), Fraction(2, 3))
    texts = worst(org, deals=Deals("Region__c", "CHF"))
    assert any("no close rates: deals.customers: the org does not tell" in text for text in texts)


@pytest.mark.parametrize(
    ("part", "rows"),
    [
        (0, [{"s0": "DACH", "w": True, "n": 5}]),
        (3, [{"s0": "DACH", "n": 5}]),
    ],
)
def test_groups_that_differ_from_their_count_are_asked_for_once_more(
    part: int, rows: list[dict[str, object]]
) -> None:
    org = shared(Org())
    org.insert("Opportunity", [deal()])
    body = {"totalSize": 1, "done": True, "records": rows}
    org.faults = [Fault(body=body, part=part, path="/composite")]
    assert measured(org)[0].won == 1
    org.faults = [Fault(body=body, part=part, path="/composite"), Fault(path="/composite")] * 2
    with pytest.raises(ConnectorError, match="differ from their count") as caught:
        measured(org)
    assert caught.value.reason is Reason.UNRECONCILED


def test_more_segments_of_deals_than_one_answer_holds_name_the_reason() -> None:
    org = shared(Org(refuses_second_page=True))
    org.insert("Opportunity", [deal(f"value {n}") for n in range(2_001)])
    with pytest.raises(ConnectorError, match="the deals has too many different values") as caught:
        measured(org)
    assert caught.value.reason is Reason.OVERFLOW


def test_without_deals_in_the_settings_there_are_none() -> None:
    with pytest.raises(ConfigError, match=r"add \[connector.deals\]"):
        connector(Org()).deal_statistics(window=WINDOW, segments=SEGMENTS, now=NOW)


# --------------------------------------------------------------------------------------- follow-up


def followed(org: Org, columns: FollowUpColumns, **settings: Any) -> Sequence[FollowUpRow]:  # noqa: ANN401 - any setting
    source = connector(org, follow_up_columns=columns, **settings)
    return source.follow_up(period=JUNE, segments=SEGMENTS, now=NOW)


def test_a_maintained_field_gives_response_attempts_and_outcome() -> None:
    org = shared(Org())
    later = NOON + timedelta(days=1)
    org.insert(
        "Lead",
        [
            {"MQL_Date__c": NOON, "Region__c": "DACH", "First_Response__c": SOON, "Calls__c": 3,
             "Status": " won "},
            {"MQL_Date__c": later, "Region__c": "X", "First_Response__c": NOON, "Status": "No"},
            {"MQL_Date__c": later + timedelta(days=1), "First_Response__c": NOW + timedelta(days=1)},
            {"MQL_Date__c": datetime(2026, 6, 30, 22, tzinfo=UTC)},
        ],
    )  # fmt: skip
    columns = FollowUpColumns(
        clock_start="MQL_Date__c",
        first_response="First_Response__c",
        attempts="Calls__c",
        outcome="Status",
        accepted=("Won",),
        rejected=("no",),
    )
    assert followed(org, columns) == (
        FollowUpRow("DACH", NOON, SOON, 3, "accepted"),
        FollowUpRow("", later, later, 0, "rejected"),
        FollowUpRow("", later + timedelta(days=1), None, 0, "open"),
    )
    assert not any(" Id" in query.partition("FROM")[0] for query in org.queries)


def test_activities_are_found_on_the_lead_or_on_the_contact_it_became() -> None:
    org = shared(Org())
    [contact] = org.insert("Contact", [{"LastName": "Muster"}])
    first, _, third = org.insert(
        "Lead",
        [
            {"CreatedDate": NOON, "Region__c": "DACH", "IsConverted": False},
            {
                "CreatedDate": NOON + timedelta(hours=1), "Region__c": "DACH", "IsConverted": True,
                "ConvertedContactId": contact,
            },
            {"CreatedDate": NOON + timedelta(hours=2), "Region__c": "DACH", "IsConverted": False},
        ],
    )  # fmt: skip
    done = {"IsClosed": True, "CreatedDate": NOON - timedelta(days=3), "CreatedById": "005human"}
    org.insert(
        "Task",
        [
            done | {"WhoId": first, "CompletedDateTime": SOON},
            done | {"WhoId": first, "CompletedDateTime": SOON + timedelta(hours=1)},
            done | {"WhoId": first, "CompletedDateTime": NOON, "CreatedById": "005robot"},
            done | {"WhoId": first, "CompletedDateTime": None, "IsClosed": False},
            done | {"WhoId": contact, "CompletedDateTime": SOON + timedelta(hours=2)},
        ],
    )
    org.insert(
        "Event",
        [
            {"WhoId": contact, "StartDateTime": SOON, "CreatedById": "005human"},
            {"WhoId": third, "StartDateTime": NOW + timedelta(days=2), "CreatedById": "005human"},
        ],
    )
    columns = FollowUpColumns(clock_start="CreatedDate", automation_users=("005robot",))
    assert followed(org, columns) == (
        FollowUpRow("DACH", NOON, SOON, 2, "open"),
        FollowUpRow("DACH", NOON + timedelta(hours=1), SOON, 2, "accepted"),
        FollowUpRow("DACH", NOON + timedelta(hours=2), None, 0, "open"),
    )
    assert len(org.calls) == 4  # login, describe, leads, one call for the activities


def converted(contact: str, moment: datetime) -> dict[str, object]:
    return {
        "CreatedDate": moment, "Region__c": "DACH", "IsConverted": True, "ConvertedContactId": contact
    }  # fmt: skip


def test_leads_that_became_one_contact_have_the_activities_after_their_own_start() -> None:
    org = shared(Org())
    shared_by, alone = org.insert("Contact", [{"LastName": "Muster"}, {"LastName": "Beispiel"}])
    hours = [NOON + timedelta(hours=n) for n in range(7)]
    org.insert(
        "Lead",
        [converted(shared_by, hours[n]) for n in (0, 2, 6)] + [converted(alone, hours[3])],
    )
    done = {"IsClosed": True, "CreatedById": "005human"}
    org.insert(
        "Task",
        [done | {"WhoId": shared_by, "CompletedDateTime": hours[n]} for n in (1, 4)]
        + [done | {"WhoId": shared_by, "CompletedDateTime": hours[0], "CreatedById": "005robot"}]
        + [done | {"WhoId": alone, "CompletedDateTime": hours[1]}],
    )
    org.insert("Event", [{"WhoId": shared_by, "StartDateTime": hours[5]}])
    columns = FollowUpColumns(clock_start="CreatedDate", automation_users=("005robot",))
    assert followed(org, columns) == (
        FollowUpRow("DACH", hours[0], hours[1], 3, "accepted"),
        FollowUpRow("DACH", hours[2], hours[4], 2, "accepted"),
        FollowUpRow("DACH", hours[3], hours[3], 1, "accepted"),  # contacted before
        FollowUpRow("DACH", hours[6], None, 0, "accepted"),
    )


def test_where_tasks_have_no_least_completion_they_count_from_their_creation(
    caplog: pytest.LogCaptureFixture,
) -> None:
    org = shared(Org(least_completion=False))
    [who] = org.insert("Lead", [{"CreatedDate": NOON, "IsConverted": False}])
    task = {"WhoId": who, "IsClosed": True, "CreatedDate": SOON, "CompletedDateTime": NOW}
    org.insert("Task", [task])
    rows = followed(org, FollowUpColumns(clock_start="CreatedDate"))
    assert [(row.first_response, row.attempts) for row in rows] == [(SOON, 1)]
    assert "a task counts from its creation" in caplog.text


def test_sales_engagement_gives_the_first_call_or_mail_of_a_lead() -> None:
    org = shared(Org())
    first, second, third = org.insert(
        "Lead",
        [{"CreatedDate": NOON + timedelta(hours=n), "IsConverted": n == 1} for n in range(3)],
    )
    later = SOON + timedelta(hours=5)
    org.insert(
        "ActivityMetric",
        [
            {"BaseId": first, "FirstCallDateTime": later, "FirstEmailDateTime": SOON},
            {"BaseId": second, "FirstCallDateTime": later},
            {"BaseId": third, "FirstEmailDateTime": NOW + timedelta(days=1)},
        ],
    )
    columns = FollowUpColumns(clock_start="CreatedDate", activities="sales engagement")
    rows = followed(org, columns)
    assert [(row.first_response, row.attempts, row.outcome) for row in rows] == [
        (SOON, 2, "open"),
        (later, 1, "accepted"),
        (None, 0, "open"),
    ]


def test_leads_of_the_website_are_told_apart() -> None:
    org = shared(Org())
    org.insert(
        "Lead",
        [
            {"CreatedDate": NOON + timedelta(minutes=n), "LeadSource": source}
            for n, source in enumerate(("Web", " WEB ", "Fair", None))
        ],
    )
    columns = FollowUpColumns(
        clock_start="CreatedDate",
        first_response="First_Response__c",
        source="LeadSource",
        website=("web",),
    )
    assert [row.website for row in followed(org, columns)] == [True, True, False, False]
    with pytest.raises(ValueError, match="website: the values of `source`"):
        FollowUpColumns(clock_start="CreatedDate", source="LeadSource")


def test_activities_are_not_looked_for_where_nobody_keeps_them() -> None:
    columns = FollowUpColumns(clock_start="FirstRespondedDate")
    with pytest.raises(ValueError, match="tasks and events belong to leads and contacts, not to"):
        connector(Org(), object="CampaignMember", follow_up_columns=columns)


def test_the_object_may_be_written_in_any_case() -> None:
    org = shared(Org())
    [contact] = org.insert("Contact", [{"LastName": "Muster"}])
    org.insert("Lead", [converted(contact, NOON)])
    org.insert("Task", [{"WhoId": contact, "IsClosed": True, "CompletedDateTime": SOON}])
    columns = FollowUpColumns(clock_start="CreatedDate")
    assert [row.first_response for row in followed(org, columns, object="lead")] == [SOON]
    assert measured(org, object="LEAD")[0].leads == 1


def test_more_pages_of_leads_than_calls_allowed_are_no_follow_up() -> None:
    org = shared(Org())
    org.insert("Lead", [{"CreatedDate": NOON}] * 6_100)
    columns = FollowUpColumns(clock_start="CreatedDate", first_response="First_Response__c")
    with pytest.raises(ConnectorError, match="more follow-up than 2 calls") as caught:
        followed(org, columns, max_calls=2)
    assert caught.value.reason is Reason.OVERFLOW


@pytest.mark.no_cover
@pytest.mark.parametrize("kind", ["deals", "rows", "page"])
@pytest.mark.parametrize("step", CUTS)
def test_a_cut_answer_gives_the_right_deals_and_rows_or_none(kind: str, step: int) -> None:
    org = shared(Org())
    org.insert("Opportunity", [deal()])
    leads = org.insert("Lead", [{"MQL_Date__c": NOON, "Region__c": "DACH"}])
    org.insert("Task", [{"WhoId": leads[0], "IsClosed": True, "CompletedDateTime": SOON}])
    if kind == "page":
        org.insert("Lead", [{"MQL_Date__c": NOON, "Region__c": "DACH"}] * 2_002)
    path = "/query/" if kind == "page" else "/composite"
    first = "First_Response__c" if kind == "page" else None
    source = connector(
        org,
        deals=Deals("Region__c", "CHF"),
        follow_up_columns=FollowUpColumns(clock_start="MQL_Date__c", first_response=first),
    )

    def asked() -> object:
        if kind == "deals":
            return source.deal_statistics(window=WINDOW, segments=SEGMENTS, now=NOW).segments
        return source.follow_up(period=JUNE, segments=SEGMENTS, now=NOW)

    right = asked()
    size = next(
        size for (_, where, _), size in zip(org.calls, org.sizes, strict=True) if path in where
    )
    for cut in range(0, size, (60 if kind == "page" else 3) * step):
        org.faults = [Fault(cut=cut, path=path, promise=cut % 2 == 0)]
        assert asked() == right, cut
        assert org.faults == [], cut
        org.faults = [Fault(cut=cut, path=path)] * 3
        with pytest.raises(ConnectorError) as caught:
            asked()
        assert caught.value.reason is Reason.TRANSIENT


def test_more_leads_than_groups_in_one_answer_are_asked_about_in_parts() -> None:
    org = shared(Org())
    leads = [
        {"CreatedDate": NOON + timedelta(minutes=n), "Region__c": "DACH", "IsConverted": False}
        for n in range(4_000)
    ]
    ids = org.insert("Lead", leads)
    done = {"IsClosed": True, "CreatedById": "005", "CompletedDateTime": NOW}
    org.insert("Task", [done | {"WhoId": who} for who in ids])
    rows = followed(org, FollowUpColumns(clock_start="CreatedDate"))
    assert [row.attempts for row in rows] == [1] * 4_000
    assert len(org.calls) <= 4 + 8
    with pytest.raises(ConnectorError) as caught:
        followed(org, FollowUpColumns(clock_start="CreatedDate"), max_calls=3)
    assert caught.value.reason is Reason.OVERFLOW


def test_a_page_that_is_none_is_no_smaller_number_of_rows() -> None:
    org = shared(Org())
    org.insert("Lead", [{"MQL_Date__c": NOON}] * 2_100)
    columns = FollowUpColumns(clock_start="MQL_Date__c", first_response="First_Response__c")
    assert len(followed(org, columns)) == 2_100
    bodies: list[object] = [
        {"done": True}, [], {"totalSize": 2_100, "done": True, "records": [7]}
    ]  # fmt: skip
    for body in bodies:
        org.faults = [Fault(200, body, path="/query/")] * 3
        with pytest.raises(ConnectorError) as caught:
            followed(org, columns)
        assert caught.value.reason is Reason.TRANSIENT


def test_activities_that_are_too_many_for_the_user_are_asked_for_in_halves() -> None:
    org = shared(Org())
    ids = org.insert("Lead", [{"CreatedDate": NOON, "IsConverted": False}])
    org.insert("Task", [{"WhoId": ids[0], "IsClosed": True, "CompletedDateTime": SOON}])
    refused = [
        {"errorCode": "OPERATION_TOO_LARGE", "message": "exceeded 100000 distinct who/what's"}
    ]
    columns = FollowUpColumns(clock_start="CreatedDate")
    org.faults = [Fault(path="/composite"), Fault(400, refused, part=0, path="/composite")]
    assert [row.first_response for row in followed(org, columns)] == [SOON]
    org.faults = [Fault(path="/composite"), *[Fault(400, refused, part=0, path="/composite")] * 30]
    with pytest.raises(ConnectorError, match=r"calls can read|View All Data") as caught:
        followed(org, columns)
    assert caught.value.reason is Reason.OVERFLOW


@pytest.mark.parametrize("body", [{}, [1], {"fields": [{"type": "string"}]}])
def test_a_description_that_is_none_is_tried_again_and_given_up(body: object) -> None:
    org = shared(Org())
    org.faults = [Fault(200, body, path="/describe")] * 3
    with pytest.raises(ConnectorError) as caught:
        followed(org, FollowUpColumns(clock_start="CreatedDate"))
    assert caught.value.reason is Reason.TRANSIENT


def test_a_clock_needs_a_time_of_day() -> None:
    with pytest.raises(ConfigError, match="needs a date/time field"):
        followed(shared(Org()), FollowUpColumns(clock_start="MQL_Day__c"))
    with pytest.raises(ConfigError, match=r"add \[connector.follow_up_columns\]"):
        connector(Org()).follow_up(period=JUNE, segments=SEGMENTS, now=NOW)


# ------------------------------------------------------------------------------------------- check


def findings(org: Org, **settings: Any) -> tuple[Finding, ...]:  # noqa: ANN401 - any setting
    return connector(org, **settings).check(period=JUNE, segments=SEGMENTS, now=NOW)


def worst(org: Org, **settings: Any) -> list[str]:  # noqa: ANN401 - any setting
    return [each.text for each in findings(org, **settings) if each.level != "ok"]


def leads_of(org: Org, number: int = 10) -> Org:
    org.insert("Lead", [{"CreatedDate": NOON, "Region__c": "DACH"}] * number)
    org.insert("Opportunity", [deal(CloseDate=date(2026, 6, 3))] * 4 if org.sees_half else [])
    return org


def test_a_sound_org_is_told_with_what_a_run_costs() -> None:
    org = leads_of(shared(Org()))
    found = findings(org, deals=Deals("Region__c", "CHF"))
    texts = [each.text for each in found if each.level == "ok"]
    assert "one run costs 1 call beside the login" in texts
    assert "sees 10 of about 10 records of Lead" in texts
    assert "18 of 100,000 API calls used in 24 hours" in texts
    assert [each.text for each in found if each.level != "ok"] == [
        "values of Region__c that belong to no segment: 'Mars'"
    ]
    assert "days begin at midnight in Europe/Zurich" in " ".join(texts)
    assert "the forecast's six months of history cost 1 call more, once a week" in texts
    assert "Opportunity can be read, amounts in CHF; once a week 2 calls more" in texts
    assert "sees 0 of about 0 records of Opportunity" in texts
    # Login, Lead, what is visible in two calls, a trial of the deals in two, and Opportunity.
    assert len(org.calls) == 7


@pytest.mark.parametrize(
    ("switches", "settings", "words"),
    [
        ({"writes": True}, {}, "may write to Lead"),
        ({"writes": True}, {"deals": Deals("Region__c", "CHF")}, "may write to Opportunity"),
        (
            {"sees_half": True},
            {"deals": Deals("Region__c", "CHF")},
            "of about 4 records of Opportunity",
        ),
        ({}, {"segment": "Owner.Nam"}, "segment: User has no field 'Nam'; did you mean 'Name'"),
        (
            {},
            {"follow_up_columns": FollowUpColumns("CreatedDate", outcome="Statsu")},
            "no field 'Statsu'",
        ),
        ({}, {"follow_up_columns": FollowUpColumns("MQL_Day__c")}, "needs a date/time field"),
        ({"sees_half": True}, {}, "sees 5 of about 10 records of Lead, so every count is too low"),
        ({"record_count_refused": True}, {}, "could not be compared"),
        ({"used": 95_001}, {}, "the digest is held"),
        ({}, {"api_version": "40.0"}, "retires it in Summer '28"),
        ({}, {"filters": (Filter("Status", "=", "MQL"),)}, "the month shrinks"),
        ({}, {"filters": (Filter("IsConverted", "=", value=False),)}, "marketing's best"),
        ({}, {"segment": "Nowhere__c"}, "Lead has no field 'Nowhere__c'"),
        ({}, {"deals": Deals("Nowhere__c", "CHF")}, "Opportunity has no field 'Nowhere__c'"),
        ({}, {"deals": Deals("Region__c")}, "set its ISO code"),
        ({"no_composite": True}, {}, "check domain and api_version"),
        ({"consumer": ("other", "other")}, {}, "run-as user"),
    ],
)
def test_what_would_mislead_or_fail_is_said_beforehand(
    switches: dict[str, Any], settings: dict[str, Any], words: str
) -> None:
    org = leads_of(shared(Org(**switches)))
    assert any(words in text for text in worst(org, **settings))


def test_the_check_reads_the_follow_up_once_and_says_what_it_costs() -> None:
    org = leads_of(shared(Org()))
    columns = FollowUpColumns("CreatedDate")
    texts = [each.text for each in findings(org, follow_up_columns=columns)]
    assert "of 10 leads can be read; 2 calls more for the month, and for the month before" in texts
    assert "sees 0 of about 0 records of Task" in texts


def test_what_is_wrong_with_the_deals_does_not_hide_what_is_right() -> None:
    found = findings(leads_of(shared(Org())), deals=Deals("Nowhere__c", "CHF"))
    assert [each.subject for each in found if each.level == "error"] == ["salesforce deals"]
    assert any("can be read" in each.text for each in found)
    assert any("API calls used" in each.text for each in found)


def test_segments_that_the_picklist_does_not_offer_are_named() -> None:
    org = leads_of(shared(Org()))
    segments = (*SEGMENTS, replace(SEGMENTS[0], name="Nordics", values=("SE", "DK")))
    found = connector(org).check(period=JUNE, segments=segments, now=NOW)
    assert any(each.text == "Region__c offers no value for Nordics" for each in found)


def test_a_check_of_an_empty_period_asks_for_no_count() -> None:
    org = leads_of(shared(Org()))
    none = Period(JUNE.start, JUNE.start)
    found = connector(org).check(period=none, segments=SEGMENTS, now=NOW)
    assert not any("one run costs" in each.text for each in found)

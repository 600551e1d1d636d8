"""How closed deals become deal statistics, whatever connector counted them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

from digest.model import DayCount, DealStatistics, Origin, Period, Segment, SegmentDeals
from digest.tally import ClosedDeals, Funnel, outcomes, segment_deals, with_leads

DACH, UKI = Segment("DACH"), Segment("UKI")


def entries(
    closed: dict[tuple[str, str | None], ClosedDeals], funnel: Funnel
) -> tuple[SegmentDeals, ...]:
    return segment_deals(closed, funnel, [DACH, UKI])


def test_leads_and_customers_stand_on_the_currency_of_most_won_deals() -> None:
    euro, franc = ClosedDeals(2, 1, Decimal(900), 2), ClosedDeals(3, 0, Decimal(4500), 3)
    funnel = Funnel({"DACH": 100}, pooled={"DACH": 5}, cohort={"DACH": 4})

    found = entries({("DACH", "EUR"): euro, ("DACH", "CHF"): franc}, funnel)

    assert [(e.currency, e.won, e.leads, e.customers, e.cohort_customers) for e in found] == [
        ("CHF", 3, 100, 5, 4),
        ("EUR", 2, 0, 0, 0),
        (None, 0, 0, 0, 0),
    ]


def test_without_a_customer_column_a_won_deal_is_a_customer() -> None:
    (dach, _) = entries({("DACH", "CHF"): ClosedDeals(won=7)}, Funnel({"DACH": 100}))

    assert (dach.customers, dach.cohort_customers) == (7, 7)


def test_lost_deals_without_a_currency_join_the_main_one() -> None:
    closed = {
        ("DACH", None): ClosedDeals(won=1, lost=9),
        ("DACH", "CHF"): ClosedDeals(3, 2, Decimal(300), 3),
        ("DACH", "EUR"): ClosedDeals(1, 0, Decimal(50), 1),
    }
    found = [entry for entry in entries(closed, Funnel({})) if entry.segment == "DACH"]

    assert [(e.currency, e.won, e.lost, e.won_amount) for e in found] == [
        ("CHF", 4, 11, Decimal(300)),
        ("EUR", 1, 0, Decimal(50)),
    ]
    assert closed["DACH", "CHF"].won == 3, "the argument is left alone"


def test_amounts_without_a_currency_stay_apart() -> None:
    closed = {
        ("DACH", None): ClosedDeals(1, 0, Decimal(10), 1),
        ("DACH", "CHF"): ClosedDeals(3, 2, Decimal(300), 3),
    }
    found = [entry for entry in entries(closed, Funnel({})) if entry.segment == "DACH"]

    assert [e.currency for e in found] == ["CHF", None]


def test_unassigned_stands_last_and_only_when_there_is_something() -> None:
    assert [e.segment for e in entries({}, Funnel({}))] == ["DACH", "UKI"]
    assert [e.segment for e in entries({}, Funnel({"": 1}))] == ["DACH", "UKI", ""]
    assert [e.segment for e in entries({("", "CHF"): ClosedDeals(lost=1)}, Funnel({}))][-1] == ""


def test_a_value_named_twice_is_accepted_before_rejected_before_closed() -> None:
    meaning = outcomes(accepted=["SQL "], rejected=["sql", "No"], closed=["no", "Done"])

    assert meaning == {"sql": "accepted", "no": "rejected", "done": "closed"}


def test_leads_of_another_system_take_the_place_of_the_deals_own() -> None:
    closed: dict[tuple[str, str | None], ClosedDeals] = {
        ("DACH", "CHF"): ClosedDeals(3, 0, Decimal(300), 3),
        ("DACH", "EUR"): ClosedDeals(1, 0, Decimal(50), 1),
    }
    window = Period(date(2026, 1, 1), date(2026, 7, 1))
    deals = entries(closed, Funnel({"DACH": 999, "UKI": 999}))
    now = datetime(2026, 7, 2, tzinfo=UTC)
    rows = [
        DayCount(date(2025, 12, 31), "DACH", 1000),
        DayCount(date(2026, 1, 1), "DACH", 20),
        DayCount(date(2026, 6, 30), "DACH", 30),
        DayCount(date(2026, 6, 30), "", 4),
        DayCount(date(2026, 7, 1), "UKI", 1000),
    ]

    found = with_leads(DealStatistics(window, deals, now, Origin("crm", "crm")), rows).segments

    assert [(e.segment, e.currency, e.won, e.leads) for e in found] == [
        ("DACH", "CHF", 3, 50),
        ("DACH", "EUR", 1, 0),
        ("UKI", None, 0, 0),
        ("", None, 0, 4),
    ]

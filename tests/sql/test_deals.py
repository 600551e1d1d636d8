"""Measured deals (worksheet steps 2 and 4) and follow-up rows, on every database."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from digest.conditions import Filter
from digest.connectors.sql import Deals, FollowUpColumns, Sql
from digest.errors import ConfigError
from digest.model import FollowUpRow, Period, Segment, SegmentDeals
from tests.sql.databases import NOW, Database

WINDOW = Period(date(2026, 1, 1), date(2026, 7, 1))
SEGMENTS = (Segment("DACH"), Segment("Nord"))
MARCH = datetime(2026, 3, 5, 12, tzinfo=UTC)
SOON = MARCH + timedelta(minutes=90)
PLANNED = NOW + timedelta(1)


def with_deals(database: Database, rows: list[dict[str, Any]], **deals: Any) -> Sql:  # noqa: ANN401 - settings of Deals
    """Stage leads with a customer date and, in the same table, deals (rows with an outcome)."""
    moment = database.moment
    database.create(
        seg="text",
        ts=moment,
        won_at=moment,
        closed=moment,
        outcome="text",
        amount="integer",
        code="text",
    )
    database.fill(rows)
    zone = "UTC" if moment == "naive" else None
    settings: dict[str, Any] = {
        "table": database.table,
        "closed": "closed",
        "segment": "seg",
        "outcome": "outcome",
        "won": ("Won",),
        "lost": ("lost",),
        "amount": "amount",
        "currency": "CHF",
        "stored_in": zone,
    }
    return database.sql(deals=Deals(**(settings | deals)))


def deal(
    seg: str | None, outcome: str, amount: int | None = None, **more: object
) -> dict[str, Any]:
    return {"seg": seg, "closed": MARCH, "outcome": outcome, "amount": amount, **more}


def measured(sql: Sql) -> tuple[SegmentDeals, ...]:
    return sql.deal_statistics(window=WINDOW, segments=SEGMENTS, now=NOW).segments


def test_won_and_lost_deals_and_their_amounts_are_measured_by_segment(database: Database) -> None:
    late = {"closed": datetime(2026, 6, 30, 22, tzinfo=UTC)}  # local midnight of 1 July
    rows = [
        deal("DACH", "won ", 1000),
        deal("dach", "Won", 500),
        deal("DACH", "Won", 0),
        deal("DACH", "Won"),
        deal("DACH", "Lost", 700),
        deal("DACH", "open", 9000),
        deal("DACH", "Won", 9000) | late,
        deal("Mars", "lost"),
    ]
    dach, nord, unassigned = measured(with_deals(database, rows))
    assert (dach.won, dach.lost) == (4, 1)
    assert (dach.won_amount, dach.won_with_amount, dach.currency) == (Decimal(1500), 2, "CHF")
    assert (nord.segment, nord.won, nord.leads) == ("Nord", 0, 0)
    assert (unassigned.segment, unassigned.lost) == ("", 1)


def test_pooled_customers_and_the_cohort_are_measured_apart(database: Database) -> None:
    before, inside, after = (datetime(2026, month, 5, tzinfo=UTC) for month in (1, 4, 8))
    rows = [
        {"seg": "DACH", "ts": before - timedelta(30), "won_at": inside},  # pooled only
        {"seg": "DACH", "ts": before, "won_at": after},  # cohort only
        {"seg": "DACH", "ts": inside, "won_at": inside},  # both
        {"seg": "DACH", "ts": inside, "won_at": None},
    ]
    sql = with_deals(database, rows)
    dach = measured(database.sql(deals=sql.deals, customer="won_at"))[0]
    assert (dach.leads, dach.customers, dach.cohort_customers) == (3, 2, 2)


def test_without_a_customer_column_a_won_deal_is_one_customer(database: Database) -> None:
    dach = measured(with_deals(database, [deal("DACH", "won", 5), {"seg": "DACH", "ts": MARCH}]))[0]
    assert (dach.leads, dach.customers, dach.cohort_customers) == (1, 1, 1)


def test_each_currency_has_its_entry_and_leads_stand_on_the_first(database: Database) -> None:
    rows = [
        deal("DACH", "won", 10, code="chf "),
        deal("DACH", "won", 20, code="CHF"),
        deal("DACH", "won", 30, code="EUR"),
        deal("DACH", "lost", None, code=None),
        {"seg": "DACH", "ts": MARCH},
    ]
    sql = with_deals(database, rows, currency=None, currency_column="code")
    francs, euros, _ = measured(sql)
    assert (francs.currency, francs.won, francs.lost, francs.won_amount) == (
        "CHF",
        2,
        1,
        Decimal(30),
    )
    assert (euros.currency, euros.won, euros.lost, euros.won_amount) == ("EUR", 1, 0, Decimal(30))
    assert (francs.leads, euros.leads) == (1, 0)


def test_an_amount_without_currency_stays_apart(database: Database) -> None:
    rows = [deal("DACH", "won", 10, code="CHF"), deal("DACH", "won", 20, code=None)]
    sql = with_deals(database, rows, currency=None, currency_column="code")
    assert {"CHF", None} == {entry.currency for entry in measured(sql) if entry.won}


def test_deals_of_other_tables_and_filters_are_possible(lite: Database) -> None:
    sql = with_deals(lite, [deal("DACH", "won", 10), deal("DACH", "won", 90)])
    assert sql.deals is not None
    kept = Deals(**(vars(sql.deals) | {"filters": (Filter("amount", "<", 50),)}))
    assert measured(lite.sql(deals=kept))[0].won_amount == 10


def test_an_amount_needs_a_currency() -> None:
    with pytest.raises(ValueError, match="currency: an amount needs a currency"):
        Deals(table="d", closed="c", segment="s", outcome="o", won=("won",), amount="a")


def test_deals_that_are_not_configured_are_a_mistake_in_the_settings(lite: Database) -> None:
    lite.create(seg="text", ts="naive")
    with pytest.raises(ConfigError, match=r"add \[connector.deals\]"):
        measured(lite.sql())


# ------------------------------------------------------------------------------------------- follow-up

COLUMNS = FollowUpColumns(
    clock_start="ts",
    first_response="responded",
    attempts="tries",
    outcome="state",
    accepted=("SQL",),
    rejected=("recycled",),
    closed=("won", "lost"),
)


def followed(
    database: Database,
    rows: list[dict[str, Any]],
    **settings: Any,  # noqa: ANN401 - any setting of Sql
) -> tuple[FollowUpRow, ...]:
    moment = database.moment
    database.create(seg="text", ts=moment, responded=moment, tries="integer", state="text")
    database.fill(rows)
    sql = database.sql(follow_up_columns=COLUMNS, **settings)
    return sql.follow_up(period=WINDOW, segments=SEGMENTS, now=NOW)


def test_follow_up_rows_are_instants_and_counts_without_identity(database: Database) -> None:
    rows = [
        {"seg": "dach", "ts": MARCH, "responded": SOON, "tries": 2, "state": "sql "},
        {"seg": "Mars", "ts": MARCH + timedelta(1), "responded": None, "tries": None, "state": None},
        {"seg": "Nord", "ts": MARCH + timedelta(2), "responded": PLANNED, "tries": 0, "state": "Lost"},
        {"seg": "Nord", "ts": datetime(2026, 7, 1, tzinfo=UTC), "tries": 0},
    ]  # fmt: skip
    assert followed(database, rows) == (
        FollowUpRow("DACH", MARCH, SOON, 2, "accepted"),
        FollowUpRow("", MARCH + timedelta(1), None, 0, "open"),
        FollowUpRow("Nord", MARCH + timedelta(2), None, 0, "closed"),
    )


def test_leads_of_the_website_are_known_by_their_source(lite: Database) -> None:
    moment = lite.moment
    lite.create(seg="text", ts=moment, responded=moment, tries="integer", state="text", src="text")
    start = {"seg": "DACH", "ts": MARCH, "tries": 0}
    lite.fill([{**start, "src": src} for src in (" Web ", "fair", None)])
    columns = replace(COLUMNS, source="src", website=("web",))
    rows = lite.sql(follow_up_columns=columns).follow_up(period=WINDOW, segments=SEGMENTS, now=NOW)
    assert sorted(row.website for row in rows) == [False, False, True]


@pytest.mark.parametrize("given", [{"source": "src"}, {"website": ("web",)}])
def test_a_source_and_its_values_go_together(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="give both or neither, found source = "):
        replace(COLUMNS, **given)


def test_filters_of_the_leads_hold_for_their_follow_up(database: Database) -> None:
    rows = [{"seg": "DACH", "ts": MARCH, "tries": n} for n in (0, 1, 2)]
    kept = followed(database, rows, filters=(Filter("tries", ">=", 1),))
    assert [row.attempts for row in kept] == [1, 2]


def test_a_date_is_no_start_of_a_clock(database: Database) -> None:
    database.create(seg="text", ts="date", responded="date", tries="integer", state="text")
    with pytest.raises(ConfigError, match="needs a time of day"):
        database.sql(follow_up_columns=COLUMNS).follow_up(period=WINDOW, segments=SEGMENTS, now=NOW)

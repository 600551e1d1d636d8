"""Measures deals: what was won and lost in a window, and how many leads became customers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from digest.connectors.salesforce import soql
from digest.connectors.salesforce.client import Answer, Client, client_of
from digest.connectors.salesforce.counting import (
    GROUPS,
    explain,
    lead_dates,
    segment_text,
    whole_number,
)
from digest.connectors.salesforce.failures import NAME, SETTINGS, overflow, unreconciled
from digest.connectors.salesforce.slicing import Window
from digest.errors import ConfigError, ConnectorError, Reason
from digest.model import UNASSIGNED, DealStatistics, Origin, Period, Segment, SegmentMap
from digest.tally import ClosedDeals, Funnel, segment_deals

if TYPE_CHECKING:
    from digest.connectors.salesforce import Deals, Salesforce

_DEALS, _LEADS = "the deals", "the leads of the deals' window"


def deal_statistics(
    settings: Salesforce, window: Period, segments: Sequence[Segment], now: datetime
) -> DealStatistics:
    """Measure in two calls, in one more per 2,000 won deals where the org has several currencies."""
    if settings.deals is None:
        raise ConfigError(
            "salesforce: deals: the settings name none; add [connector.deals] with segment and currency"
        )
    client = client_of(settings)
    started = client.calls
    measure = _Measure(client, settings, settings.deals, window, SegmentMap(segments))
    try:
        closed, funnel = measure.run()
    except ConnectorError as error:
        if error.reason is not Reason.UNRECONCILED:
            raise
        closed, funnel = measure.run()  # a deal may have come or gone between two questions
    origin = Origin(
        NAME,
        f"{client.host}, Opportunity",
        measure.questions["closed"],
        client.calls - started,
    )
    return DealStatistics(
        window, segment_deals(closed, funnel, segments), now, origin, measure.no_customers
    )


class _Measure:
    def __init__(
        self,
        client: Client,
        settings: Salesforce,
        deals: Deals,
        window: Period,
        segments: SegmentMap,
    ) -> None:
        self.client, self.settings, self.deals, self.segments = client, settings, deals, segments
        dates = lead_dates(client, settings)
        self.no_customers: str | None = None
        closing = f"CloseDate >= {window.start} AND CloseDate < {window.end}"
        own = soql.all_of([closing, *(soql.condition(each) for each in deals.filters)])
        dated = soql.all_of(
            [
                dates.within(Window.of(window.days(), window.timezone)),
                *self._leads(),
            ]
        )
        seg, lead_seg = deals.segment, settings.segment
        deal, lead = "FROM Opportunity WHERE", f"FROM {settings.object} WHERE"
        self.won = f"{deal} IsWon = true AND {deals.amount} > 0 AND {own}"
        self.questions = {
            "closed": f"SELECT {seg} s0, IsWon w, COUNT(Id) n {deal} IsClosed = true AND {own} "
            f"GROUP BY {seg}, IsWon",
            "closed total": f"SELECT COUNT() {deal} IsClosed = true AND {own}",
            "currency": "SELECT IsoCode FROM CurrencyType WHERE IsCorporate = true",
            "leads": f"SELECT {lead_seg} s0, COUNT(Id) n {lead} {dated} GROUP BY {lead_seg}",
            "leads total": f"SELECT COUNT() {lead} {dated}",
        }
        if deals.amount:
            self.questions["amounts"] = (
                f"SELECT {seg} s0, SUM({deals.amount}) a, COUNT(Id) n {self.won} GROUP BY {seg}"
            )
        if deals.customers == "converted leads":
            won = "IsConverted = true AND ConvertedOpportunity.IsWon = true AND"
            distinct = (
                f"SELECT {lead_seg} s0, COUNT_DISTINCT(ConvertedOpportunityId) n {lead} {won}"
            )
            closing = closing.replace("CloseDate", "ConvertedOpportunity.CloseDate")
            pooled = soql.all_of([closing, *self._leads()])
            self.questions["customers"] = f"{distinct} {pooled} GROUP BY {lead_seg}"
            self.questions["cohort"] = f"{distinct} {dated} GROUP BY {lead_seg}"

    def _leads(self) -> list[str]:
        return [
            *(soql.condition(each) for each in self.settings.filters),
            *(soql.kept_by(rule) for rule in self.settings.exclusions),
        ]

    def run(self) -> tuple[Mapping[tuple[str, str | None], ClosedDeals], Funnel]:
        self.no_customers = None
        answers = dict(
            zip(self.questions, self.client.ask(list(self.questions.values())), strict=True)
        )
        currencies = answers.pop("currency")
        for key, answer in answers.items():
            self._usable(key, answer)
        closed = self._closed(answers, several=self._several(currencies))
        leads = self._by_segment(answers["leads"])
        if sum(leads.values()) != answers["leads total"].total:
            raise unreconciled(f"{_LEADS} by segment differ from their count")
        if self.no_customers:
            return closed, Funnel(leads, {}, {})
        if "customers" not in answers:
            return closed, Funnel(leads)
        return closed, Funnel(
            leads, self._by_segment(answers["customers"]), self._by_segment(answers["cohort"])
        )

    def _usable(self, key: str, answer: Answer) -> None:
        if answer.refusal:
            if key in {"customers", "cohort"} and answer.refusal.code in SETTINGS:
                # Deal sizes are right without it.
                self.no_customers = (
                    "salesforce: deals.customers: the org does not tell which lead became a customer "
                    f"({answer.refusal.code}: {answer.refusal.said}); set customers = 'won deals'"
                )
                return
            if key in {"leads", "leads total"}:
                raise explain(self.client, self.settings, answer.refusal)
            raise explain_deals(self.client, self.deals, answer)
        if not answer.whole or len(answer.rows) >= GROUPS:
            raise overflow(
                f"the segment field of {_DEALS if key in {'closed', 'amounts'} else _LEADS} has too many "
                "different values",
                "choose the field that holds the segment, not a name or an id",
            )

    def _several(self, answer: Answer) -> bool:
        """Whether the org has several currencies; the object does not exist where there is one."""
        if answer.refusal is None:
            return True
        if answer.refusal.code == "INVALID_TYPE":
            return False
        raise self.client.failure(answer.refusal)

    def _closed(
        self, answers: Mapping[str, Answer], *, several: bool
    ) -> Mapping[tuple[str, str | None], ClosedDeals]:
        closed: dict[tuple[str, str | None], ClosedDeals] = defaultdict(ClosedDeals)
        number = 0
        code = None if several else self.deals.currency
        if not several and self.deals.amount and code is None:
            raise ConfigError(
                f"salesforce: deals.currency: {self.client.host} has one currency; set its ISO code, "
                'such as currency = "CHF"'
            )
        for row in answers["closed"].rows:
            tally = closed[self._segment(row), code]
            found = whole_number(row.get("n"))
            number += found
            if row.get("w") is True:
                tally.won += found
            else:
                tally.lost += found
        if number != answers["closed total"].total:
            raise unreconciled(f"{_DEALS} by segment differ from their count")
        if "amounts" not in answers:
            return closed
        if several:
            return self._by_currency(closed, answers["amounts"])
        for row in answers["amounts"].rows:
            tally = closed[self._segment(row), code]
            tally.amount += _money(row.get("a"))
            tally.with_amount += whole_number(row.get("n"))
        return closed

    def _by_currency(
        self, closed: Mapping[tuple[str, str | None], ClosedDeals], amounts: Answer
    ) -> Mapping[tuple[str, str | None], ClosedDeals]:
        """Read each won amount with its own currency: sums are in the corporate one whatever is asked."""
        found = dict(closed)
        seg = self.deals.segment
        question = f"SELECT {self.deals.amount}, CurrencyIsoCode, {seg} {self.won}"
        number = 0
        for row in self.client.whole(question):
            name = self._segment({"s0": along(row, seg)})
            code = segment_text(along(row, "CurrencyIsoCode"))
            own = found.setdefault((name, code), ClosedDeals())
            rest = found.setdefault((name, None), ClosedDeals())
            own.won += 1
            rest.won -= 1
            own.with_amount += 1
            own.amount += _money(along(row, self.deals.amount or ""))
            number += 1
        agreed = sum(whole_number(row.get("n")) for row in amounts.rows)
        if number != agreed or any(deals.won < 0 for deals in found.values()):
            raise unreconciled(f"{number:,} won amounts were read, {agreed:,} were counted")
        return {key: deals for key, deals in found.items() if deals != ClosedDeals()}

    def _by_segment(self, answer: Answer) -> dict[str, int]:
        numbers: dict[str, int] = defaultdict(int)
        for row in answer.rows:
            numbers[self._segment(row)] += whole_number(row.get("n"))
        return dict(numbers)

    def _segment(self, row: Mapping[str, Any]) -> str:
        return self.segments.segment_of(segment_text(row.get("s0"))) or UNASSIGNED


def explain_deals(client: Client, deals: Deals, answer: Answer) -> Exception:
    """Return a refused question about deals, with the nearest names when one is wrong."""
    refusal = answer.refusal
    if refusal is None:
        raise AssertionError("an answer is no refusal")
    if refusal.code in SETTINGS:
        named = [("deals.segment", deals.segment)]
        named += [("deals.amount", deals.amount)] if deals.amount else []
        named += [("deals.filters", each.column) for each in deals.filters]
        mistakes = client.fields("Opportunity").objections(named)
        if mistakes:
            return ConfigError(*(f"salesforce: {text}" for text in mistakes))
    return client.failure(refusal)


def along(row: Mapping[str, Any], path: str) -> object:
    """Return a value of a record, along the path of its relationships, whatever the case of the names."""
    found: object = row
    for step in path.split("."):
        if not isinstance(found, Mapping):
            return None
        found = next((value for key, value in found.items() if key.lower() == step.lower()), None)
    return found


def _money(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise unreconciled("an amount is not a number")
    return Decimal(value)

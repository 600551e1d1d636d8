"""Counts leads in HubSpot: one packed search, paged by object id, every date checked again here.

Nothing but counts, and for the sales half instants and counts, leaves the portal: no id, name, address
or owner is asked for or kept.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import ClassVar, Literal

from digest.conditions import Exclusion, Filter, check_exclusions
from digest.connectors.hubspot.credentials import OAuth, check_word
from digest.connectors.hubspot.kept import Kept
from digest.connectors.hubspot.schema import entry_names
from digest.connectors.hubspot.searching import Dated, Query, Span, packed
from digest.connectors.hubspot.transport import (
    SEARCHES_PER_SECOND,
    Errand,
    Session,
    Wire,
    account_of,
)
from digest.model import (
    DealStatistics,
    Finding,
    FollowUpRow,
    LeadCounts,
    Period,
    Secret,
    Segment,
)
from digest.notation import CURRENCIES

ObjectName = Literal["contacts", "companies", "leads"]

_PERSONAL = frozenset(
    {"email", "firstname", "lastname", "phone", "mobilephone", "hs_additional_emails", "address",
     "hs_full_name_or_email", "work_email", "hubspot_owner_id"}
)  # fmt: skip
_VERSION = re.compile(r"v3|20\d\d-(03|09)")
_CREATED = {
    "contacts": ("createdate",),
    "companies": ("createdate",),
    "leads": ("createdate", "hs_createdate"),
}
_LONGEST_PERIOD = Period(date(2026, 1, 1), date(2027, 1, 1))  # for the length of its milliseconds


@dataclass(frozen=True)
class Deals:
    """How closed deals are measured, for close rates and deal sizes (worksheet steps 2 and 4).

    Attributes:
        segment: the deals' own property with the segment's value; None measures all deals together,
            for a contact's segment does not stand on its deals.
        currency: ISO code of the account, needed only when the token may not read the account.
        filters: conditions that every counted deal meets.
    """

    segment: str | None = None
    currency: str | None = None
    filters: tuple[Filter, ...] = ()

    def __post_init__(self) -> None:
        if self.currency is not None and self.currency not in CURRENCIES:
            raise ValueError(f"currency: {self.currency!r} is no ISO 4217 code")
        _refuse_personal("filters", [entry.column for entry in self.filters])


@dataclass(frozen=True)
class FollowUpProperties:
    """Where the sales half of the SLA stands, on the record that is the lead.

    Attributes:
        clock: what starts the clock: the assignment to the present owner when it came after the
            qualification and before any outreach, or always the qualification.
        outreach: property with the first outreach by sales.
        assigned: property with the assignment to the present owner.
        attempts: property with the number of times contacted.
        outcome: property with the state of the lead, None when there is none (every lead is open).
        accepted, rejected, closed: values of `outcome`; any other value means open.
        days_before: so many days before the month are read along, so that the leads of the month's end
            stay in sight.
    """

    clock: Literal["assigned", "qualified"] = "assigned"
    outreach: str = "hs_first_outreach_date"
    assigned: str = "hubspot_owner_assigneddate"
    attempts: str = "num_contacted_notes"
    outcome: str | None = None
    accepted: tuple[str, ...] = ()
    rejected: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()
    days_before: int = 14

    def __post_init__(self) -> None:
        if not 14 <= self.days_before <= 92:  # noqa: PLR2004 - as the message says
            raise ValueError(f"days_before: found {self.days_before}, allowed 14 to 92")

    @property
    def properties(self) -> tuple[str, ...]:
        """The properties it needs."""
        assigned = (self.assigned,) if self.clock == "assigned" else ()
        outcome = () if self.outcome is None else (self.outcome,)
        return (self.outreach, self.attempts, *assigned, *outcome)


@dataclass(frozen=True)
class Hubspot:
    """Contacts, companies or leads of a HubSpot portal.

    Attributes:
        segment: internal name of the property with the segment's value.
        token: service key or private-app token with read scopes.
        oauth: access by an app, for those who host the digests of many portals; instead of `token`.
        object: what is counted: contacts, companies or leads (Sales Hub Professional).
        count_by: "stage" counts a record on the earliest date on which it entered one of `stages`,
            "date" on the earliest of `dates`, "create_date" on its creation.
        stages: the SLA stage and every later one, in order, by label or internal name: records skip
            stages.
        dates: internal names of date properties.
        customer_stage: stage that makes a customer, for close rates; None counts won deals.
        filters: conditions that every counted record meets.
        exclusions: named rules that take records out.
        deals, follow_up_properties: how deals and follow-up are measured; None when they are not.
        api_version: dated version of HubSpot's API, or v3.
        max_calls: most searches of one count.
        max_seconds: longest time of one count.
    """

    segment: str
    token: Secret | None = None
    oauth: OAuth | None = None
    object: ObjectName = "contacts"
    count_by: Literal["stage", "date", "create_date"] = "stage"
    stages: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()
    customer_stage: str | None = None
    filters: tuple[Filter, ...] = ()
    exclusions: tuple[Exclusion, ...] = ()
    deals: Deals | None = None
    follow_up_properties: FollowUpProperties | None = None
    api_version: str = "2026-09"
    max_calls: int = 400
    max_seconds: int = 120
    kept: Kept = field(default_factory=Kept, init=False, repr=False, compare=False)

    # Not a setting: a test reaches a server on loopback by a subclass with its own.
    wire: ClassVar[Wire] = Wire()

    def __post_init__(self) -> None:
        _ = self.credential
        self._check_dates()
        _refuse_personal("segment", [self.segment])
        _refuse_personal("filters", [entry.column for entry in self.filters])
        _refuse_personal("exclusions", [c.column for rule in self.exclusions for c in rule.where])
        check_exclusions(self.exclusions)
        if not _VERSION.fullmatch(self.api_version):
            raise ValueError(
                f"api_version: found {self.api_version!r}, allowed a dated version such as '2026-09' (they "
                "come in March and September), or 'v3'"
            )
        if not 1 <= self.max_calls <= 10_000:  # noqa: PLR2004 - as the message says
            raise ValueError(f"max_calls: found {self.max_calls}, allowed 1 to 10000")
        if not 5 <= self.max_seconds <= 3_600:  # noqa: PLR2004 - as the message says
            raise ValueError(f"max_seconds: found {self.max_seconds}, allowed 5 to 3600")
        self._check_body()

    def _check_dates(self) -> None:
        wanted = {"stage": "stages", "date": "dates"}.get(self.count_by)
        for name, given in (("stages", self.stages), ("dates", self.dates)):
            if name == wanted and not given:
                raise ValueError(
                    f"{name}: count_by = {self.count_by!r} needs at least one, found none"
                )
            if name != wanted and given:
                raise ValueError(
                    f"{name}: not used with count_by = {self.count_by!r}; remove one of the two"
                )
            if len(set(given)) != len(given):
                raise ValueError(f"{name}: found a name twice: {', '.join(given)}")
        if self.object == "leads" and (self.stages or self.customer_stage):
            raise ValueError(
                "stages: leads have no lifecycle stage; use count_by = 'create_date', or 'date' with the "
                "dates of their own stages"
            )

    def _check_body(self) -> None:
        """Refuse before the first morning what no search could hold."""
        names = [name for stage in self.all_stages for name in entry_names(stage)[:1]]
        dates = tuple(Dated(name) for name in (*names, *self.date_properties))
        span = Span.of(_LONGEST_PERIOD)
        dated = [entry.name for entry in dates]
        properties = dict.fromkeys([*dated, *self.lead_properties, *self.optional_properties])
        packed(Query(self.object, dates, span, (), tuple(properties)))

    @property
    def credential(self) -> Secret | OAuth:
        """What opens the portal."""
        if self.token is not None and self.oauth is not None:
            raise ValueError("oauth: stands beside token; keep one of the two")
        if self.oauth is not None:
            return self.oauth
        if self.token is None:
            raise ValueError(
                'a token is missing: write token = { env = "HUBSPOT_TOKEN" }, or [connector.oauth] where '
                "an app is installed in many portals"
            )
        check_word("token", self.token.reveal())
        return self.token

    @property
    def account(self) -> str:
        """The portal, as far as its key tells: each has its own, so that none is repeated."""
        credential = self.credential
        key = credential.refresh_token if isinstance(credential, OAuth) else credential
        return account_of(key)

    @property
    def per_second(self) -> float:
        """How many searches a portal allows, with room for whoever else uses it."""
        return SEARCHES_PER_SECOND

    @property
    def all_stages(self) -> tuple[str, ...]:
        """The stages whose dates are read."""
        customer = () if self.customer_stage is None else (self.customer_stage,)
        return tuple(dict.fromkeys((*self.stages, *customer)))

    @property
    def date_properties(self) -> tuple[str, ...]:
        """The date properties that are named, stages aside; of a created record the ones to try."""
        return _CREATED[self.object] if self.count_by == "create_date" else self.dates

    @property
    def lead_properties(self) -> tuple[str, ...]:
        """The properties that a count cannot do without, dates aside."""
        conditions = [*self.filters, *(c for rule in self.exclusions for c in rule.where)]
        return tuple(dict.fromkeys((self.segment, *(entry.column for entry in conditions))))

    @property
    def optional_properties(self) -> tuple[str, ...]:
        """The properties of the sales half, which a count can do without."""
        return () if self.follow_up_properties is None else self.follow_up_properties.properties

    def session(self) -> Session:
        """Return the one client of this connector."""
        if self.kept.session is None:
            self.kept.session = Session(self.wire, self.credential, self.api_version)
        return self.kept.session

    def errand(self, now: datetime, zone: str, *, present: bool = True) -> Errand:
        """Return the limits of one capability, whose time begins now."""
        ends = self.wire.clock() + self.max_seconds
        return Errand(now, zone, ends, self.max_calls, self.max_seconds, present)

    @property
    def metered(self) -> bool:
        """See `digest.connectors.Metered`."""
        return True

    def count_leads(
        self, *, period: Period, segments: Sequence[Segment], now: datetime
    ) -> LeadCounts:
        """See `digest.connectors.Connector`."""
        from digest.connectors.hubspot.counting import count_leads

        return count_leads(self, period, segments, now)

    def deal_statistics(
        self, *, window: Period, segments: Sequence[Segment], now: datetime
    ) -> DealStatistics:
        """See `digest.connectors.MeasuresDeals`.

        Without `customer_stage` a won deal is one customer, and the cohort is not measurable: it repeats
        the pooled figure. Amounts are those that HubSpot converted to the account's currency.

        Raises:
            ConfigError: the settings have no [deals], or the portal lacks a property.
        """
        from digest.connectors.hubspot.dealing import deal_statistics

        return deal_statistics(self, window, segments, now)

    def follow_up(
        self, *, period: Period, segments: Sequence[Segment], now: datetime
    ) -> tuple[FollowUpRow, ...]:
        """See `digest.connectors.MeasuresFollowUp`; costs no call after a count with the same `now`.

        Raises:
            ConfigError: the settings have no [follow_up_properties], or the portal lacks one of them.
        """
        from digest.connectors.hubspot.following import follow_up

        return follow_up(self, period, segments, now)

    def source_time(self) -> datetime | None:
        """See `digest.connectors.TellsTime`; costs no call."""
        told = self.kept.session and self.kept.session.told
        return told.now() if told else None

    def check(
        self, *, period: Period, segments: Sequence[Segment], now: datetime
    ) -> tuple[Finding, ...]:
        """See `digest.connectors.Checks`."""
        from digest.connectors.hubspot.checks import check

        return check(self, period, segments, now)

    def cost(
        self,
        *,
        counted: Sequence[Period],
        deals: Period | None,
        segments: Sequence[Segment],
        now: datetime,
    ) -> tuple[int, int]:
        """See `digest.connectors.Costs`."""
        from digest.connectors.hubspot.checks import cost

        return cost(self, counted, deals, segments, now)


def _refuse_personal(key: str, names: Sequence[str]) -> None:
    found = [name for name in names if name.casefold() in _PERSONAL]
    if found:
        raise ValueError(
            f"{key}: {found[0]!r} is personal data and is never read; hs_email_domain tells test domains"
        )

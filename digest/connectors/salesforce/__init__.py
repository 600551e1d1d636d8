"""Counts leads in Salesforce: `GROUP BY` counts in one composite call, never records.

Day boundaries are UTC instants computed from the digest's zone, so the running user's time zone has no
part in them, and every answer is compared with an independent count in the same call.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib.util import find_spec
from typing import ClassVar, Literal

from digest.conditions import Exclusion, Filter, check_exclusions, check_website
from digest.connectors.salesforce.kept import Kept
from digest.connectors.salesforce.soql import condition
from digest.connectors.salesforce.wire import Wire
from digest.errors import ConfigError, nearest
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

Login = Literal["client credentials", "jwt", "session", "soap"]

NAME = re.compile(r"[A-Za-z]\w{0,254}(\.[A-Za-z]\w{0,254}){0,5}", re.ASCII)
SOAP_ENDS = (
    "login = 'soap' ends when Salesforce retires SOAP login() in Summer '27 and is off in new orgs; create "
    "an External Client App and set login = 'client credentials'"
)
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*")
_LAST_SOAP = 64
_CONTACTED = {"lead", "contact"}
# What each way in needs, and the only arguments that its login is given.
CREDENTIALS: dict[Login, tuple[str, ...]] = {
    "client credentials": ("consumer_key", "consumer_secret"),
    "jwt": ("consumer_key", "username", "private_key"),
    "session": ("access_token",),
    "soap": ("username", "password", "security_token"),
}

FOLLOW_UP_FIELDS = ("clock_start", "first_response", "attempts", "outcome", "source", "segment")


@dataclass(frozen=True)
class Deals:
    """Where closed deals stand, for measured close rates and deal sizes (worksheet steps 2 and 4).

    Attributes:
        segment: field of Opportunity with the segment's value.
        currency: ISO code of every amount in an org with one currency; the org's own codes count otherwise.
        amount: field with the deal's value; None when deals have none.
        customers: who is a customer: a lead whose converted opportunity was won, or any won deal. The first
            needs the object Lead.
        filters: conditions that every deal meets.
    """

    segment: str
    currency: str | None = None
    amount: str | None = "Amount"
    customers: Literal["converted leads", "won deals"] = "converted leads"
    filters: tuple[Filter, ...] = ()

    def __post_init__(self) -> None:
        _check_names("segment", self.segment)
        _check_names("amount", *([] if self.amount is None else [self.amount]))
        _check_filters("filters", self.filters)
        if self.currency is not None and self.currency not in CURRENCIES:
            hint = nearest(self.currency, sorted(CURRENCIES))
            raise ValueError(f"currency: {self.currency!r} is no ISO 4217 code{hint}")


@dataclass(frozen=True)
class FollowUpColumns:
    """Where the sales half of the SLA stands: one row per qualified lead.

    Attributes:
        clock_start: field with the time of qualification or assignment.
        first_response: field with the first human outbound activity; None to take `activities`.
        attempts: field with the number of outbound activities; 0 or 1 by first_response when None.
        outcome: field with the state of the lead; when None a converted lead is accepted, others are open.
        accepted, rejected, closed: values of `outcome`; any other value means open.
        activities: what is a response without first_response: closed tasks and past events, or the first
            call or mail that Sales Engagement keeps (ActivityMetric).
        automation_users: ids of users whose tasks are no human's.
        source: field with where the lead came from. website: its values that mean the website, where a
            sooner answer is promised.
        segment: None for that of the leads.
        filters: conditions beyond those of the leads.
    """

    clock_start: str
    first_response: str | None = None
    attempts: str | None = None
    outcome: str | None = None
    accepted: tuple[str, ...] = ()
    rejected: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()
    activities: Literal["tasks and events", "sales engagement"] = "tasks and events"
    automation_users: tuple[str, ...] = ()
    source: str | None = None
    website: tuple[str, ...] = ()
    segment: str | None = None
    filters: tuple[Filter, ...] = ()

    def __post_init__(self) -> None:
        for key in FOLLOW_UP_FIELDS:
            name = getattr(self, key)
            if name is not None:
                _check_names(key, name)
        check_website(self.source, self.website)
        _check_filters("filters", self.filters)

    @property
    def reads(self) -> Literal["tasks and events", "sales engagement"] | None:
        """What is read beside the leads; None where they say themselves when they were answered."""
        return self.activities if self.first_response is None else None


@dataclass(frozen=True)
class Salesforce:
    """An org, and the object whose records are leads.

    Attributes:
        domain: My Domain of the org, "acme.my" or its pasted address; of a sandbox "acme--uat.sandbox.my".
        dates: fields with the lead's dates; a lead counts once, on the earliest that it has.
        segment: field with the segment's value, or a path such as "Account.BillingCountry".
        object: Lead, Contact, CampaignMember or a custom object.
        login: how to get a token: client credentials or jwt of an External Client App, session for a ready
            access token, soap for user name and password until Salesforce retires it.
        consumer_key, consumer_secret: of the app; client credentials.
        username, private_key: jwt, with consumer_key; the key is PEM text.
        access_token: session.
        password, security_token: soap, with username.
        api_version: version of the REST API.
        filters: conditions that every counted record meets.
        exclusions: named rules that take records out.
        max_calls: limit of calls in one run.
        deals, follow_up_columns: where deals and follow-up stand; None when they are not measured here.
    """

    domain: str
    dates: tuple[str, ...]
    segment: str
    object: str = "Lead"
    login: Login = "client credentials"
    consumer_key: str | Secret | None = None
    consumer_secret: Secret | None = None
    username: str | None = None
    private_key: Secret | None = None
    access_token: Secret | None = None
    password: Secret | None = None
    security_token: Secret | None = None
    api_version: str = "64.0"
    filters: tuple[Filter, ...] = ()
    exclusions: tuple[Exclusion, ...] = ()
    max_calls: int = 20
    deals: Deals | None = None
    follow_up_columns: FollowUpColumns | None = None
    kept: Kept = field(default_factory=Kept, init=False, repr=False, compare=False)

    # Not a setting: a test reaches a server on loopback by a subclass with its own.
    wire: ClassVar[Wire] = Wire()

    def __post_init__(self) -> None:
        if not self.dates:
            raise ValueError("dates: name at least one field with the lead's date, found none")
        _check_names("dates", *self.dates)
        _check_names("segment", self.segment)
        _check_names("object", self.object)
        _check_filters("filters", self.filters)
        _check_filters("exclusions", [each for rule in self.exclusions for each in rule.where])
        check_exclusions(self.exclusions)
        if not re.fullmatch(r"\d{2,3}\.0", self.api_version):
            raise ValueError(f"api_version: found {self.api_version!r}, allowed such as '64.0'")
        if not 1 <= self.max_calls <= 1_000:  # noqa: PLR2004 - a hundredth of the smallest daily quota
            raise ValueError(f"max_calls: found {self.max_calls}, allowed 1 to 1000")
        if self.segment.endswith("Id") and "." not in self.segment:
            raise ValueError(
                f"segment: {self.segment!r} holds ids, not names; name a field of the related record, "
                f"such as {self.segment.removesuffix('Id')}.Name"
            )
        if self.deals and self.deals.customers == "converted leads" and not self.counts_leads:
            raise ValueError(
                f"deals: only the object Lead is converted, found {self.object!r}; set customers = "
                "'won deals'"
            )
        follow = self.follow_up_columns
        if follow and follow.first_response is None and self.object.lower() not in _CONTACTED:
            raise ValueError(
                f"follow_up_columns: tasks and events belong to leads and contacts, not to {self.object!r}; "
                "name a field with the first_response"
            )
        self._check_login()

    @property
    def counts_leads(self) -> bool:
        """Whether the object is Lead, which alone is converted."""
        return self.object.lower() == "lead"

    def _check_login(self) -> None:
        missing = [name for name in CREDENTIALS[self.login] if getattr(self, name) is None]
        if missing:
            raise ValueError(f"login: {self.login!r} also needs {', '.join(missing)}")
        if self.login == "soap" and float(self.api_version) > _LAST_SOAP:
            raise ValueError(
                f"login: SOAP login() does not exist in API version {self.api_version}; {SOAP_ENDS}"
            )
        if self.host_stem in {"login", "test"} and self.login != "soap":
            raise ValueError(
                f"domain: {self.host_stem!r} is the login page of all orgs, and {self.login} needs the "
                "org's own My Domain, such as 'acme.my' (Setup, My Domain)"
            )

    @property
    def host_stem(self) -> str:
        """The host without ".salesforce.com".

        Raises:
            ValueError: it is no host of Salesforce.
        """
        host = self.domain.strip().lower().removeprefix("https://").partition("/")[0]
        stem = host.removesuffix(".salesforce.com").removesuffix(".lightning.force.com")
        if host.endswith(".lightning.force.com"):
            stem += ".my"
        if not _HOST.fullmatch(stem) or stem.endswith((".com", ".net", ".org", ".example")):
            raise ValueError(
                f"domain: found {self.domain!r}; allowed: the My Domain of the org, such as 'acme.my' or "
                "'https://acme.my.salesforce.com'"
            )
        return stem

    @property
    def account(self) -> str:
        """The org, whose calls of a day are limited."""
        return f"salesforce:{self.host_stem}"

    @property
    def metered(self) -> bool:
        """See `digest.connectors.Metered`."""
        return True

    def count_leads(
        self, *, period: Period, segments: Sequence[Segment], now: datetime
    ) -> LeadCounts:
        """See `digest.connectors.Connector`."""
        _check_vendor()
        from digest.connectors.salesforce.counting import count_leads

        return count_leads(self, period, segments, now)

    def deal_statistics(
        self, *, window: Period, segments: Sequence[Segment], now: datetime
    ) -> DealStatistics:
        """See `digest.connectors.MeasuresDeals`.

        A customer is a lead whose converted opportunity was won: in the window (pooled), or at any time of
        the leads dated in the window (cohort). Several leads of one opportunity are one customer.

        Raises:
            ConfigError: the settings have no [deals].
        """
        _check_vendor()
        from digest.connectors.salesforce.dealing import deal_statistics

        return deal_statistics(self, window, segments, now)

    def follow_up(
        self, *, period: Period, segments: Sequence[Segment], now: datetime
    ) -> tuple[FollowUpRow, ...]:
        """See `digest.connectors.MeasuresFollowUp`.

        Raises:
            ConfigError: the settings have no [follow_up_columns].
        """
        _check_vendor()
        from digest.connectors.salesforce.following import follow_up

        return follow_up(self, period, segments, now)

    def source_time(self) -> datetime | None:
        """See `digest.connectors.TellsTime`; costs no call."""
        told = self.kept.client and self.kept.client.session.told
        return told.now() if told else None

    def check(
        self, *, period: Period, segments: Sequence[Segment], now: datetime
    ) -> tuple[Finding, ...]:
        """See `digest.connectors.Checks`."""
        _check_vendor()
        from digest.connectors.salesforce.checks import check

        return check(self, period, segments, now)


def _check_vendor() -> None:
    """Raise ConfigError where the vendor's client is not installed."""
    if find_spec("simple_salesforce") is None:
        raise ConfigError(
            'salesforce: the package for it is missing; pip install "sla-digest[salesforce]"'
        )


def _check_filters(key: str, filters: Sequence[Filter]) -> None:
    _check_names(key, *(each.column for each in filters))
    for each in filters:
        try:
            condition(each)
        except ValueError as error:
            raise ValueError(f"{key}: {each.column!r} is compared with {error}") from None


def _check_names(key: str, *names: str) -> None:
    """Raise ValueError for what is no name of a field or object: names stand in queries as they are."""
    for name in _not_names(names):
        raise ValueError(
            f"{key}: found {name!r}; allowed: an API name such as 'Region__c' (Setup, Object Manager)"
        )


def _not_names(names: Sequence[str]) -> Iterator[str]:
    return (name for name in names if not NAME.fullmatch(name))

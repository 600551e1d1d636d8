"""Proves beforehand that a run would work: what `digest check` says about HubSpot, in a handful of calls."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import TYPE_CHECKING

from digest.clocks import WARN_SKEW
from digest.connectors.hubspot.by_day import Counting
from digest.connectors.hubspot.counting import lead_queries, window_of
from digest.connectors.hubspot.dealing import deal_catalogue, deal_query
from digest.connectors.hubspot.failures import NAME
from digest.connectors.hubspot.schema import Schema, lead_schema
from digest.connectors.hubspot.searching import (
    Query,
    UntrustworthyError,
    packed,
    pages_of,
    total_of,
)
from digest.connectors.hubspot.transport import SEARCHES_PER_SECOND, Errand
from digest.errors import ConfigError, ConnectorError, DigestError, Reason
from digest.model import Finding, Period, Segment, SegmentMap, add_months, normalise

if TYPE_CHECKING:
    from digest.connectors.hubspot import Deals, Hubspot

_MANY = 10
_V3_ENDS = date(2027, 9, 1)
_SUPPORTED_MONTHS, _WARN_MONTHS = 18, 6


def check(
    settings: Hubspot, period: Period, segments: Sequence[Segment], now: datetime
) -> tuple[Finding, ...]:
    """Read definitions and account, count once, and say what a run costs."""
    errand = settings.errand(now, period.timezone)
    return tuple(_Check(settings, period, segments, errand).findings())


def cost(
    settings: Hubspot,
    counted: Sequence[Period],
    deals: Period | None,
    segments: Sequence[Segment],
    now: datetime,
) -> tuple[int, int]:
    """Return the calls of a run that counts these periods, and those more that measure deals of a window.

    Raises:
        ConfigError, ConnectorError: the run would not work; overflow where a limit of the settings is
            too low for it.
    """
    zone = next((period.timezone for period in (*counted, deals) if period is not None), "UTC")
    errand = settings.errand(now, zone)
    session = settings.session()
    schema = lead_schema(settings, session, errand, settings.optional_properties)
    calls = settings.kept.definitions_of(settings.object, now).calls + (settings.oauth is not None)
    for period in counted:
        calls += searches_for(settings, schema, period, segments, errand)[0]
    if deals is None or settings.deals is None:
        return calls, 0
    known = deal_catalogue(settings, settings.deals, errand)
    dates = tuple(dict.fromkeys(date for date in (*schema.dates, schema.customer) if date))
    parts = (
        *packed(deal_query(settings.deals, deals, known)),
        *lead_queries(settings, schema, deals, dates),
    )
    totals = [_total(settings, part, errand) for part in parts]
    searches = sum(map(pages_of, totals))
    _within(searches, sum(totals), errand)
    definitions = settings.kept.definitions_of("deals", now).calls
    return calls, searches + definitions + 1  # for the currency of the account


def searches_for(
    settings: Hubspot, schema: Schema, period: Period, segments: Sequence[Segment], errand: Errand
) -> tuple[int, int]:
    """Return the searches that count a period, and the records that they find.

    Raises:
        ConnectorError: overflow, when the settings allow fewer searches or less time.
    """
    parts = lead_queries(settings, schema, window_of(settings, period), schema.dates)
    totals = [_total(settings, part, errand) for part in parts]
    searches = sum(map(pages_of, totals))
    counting = Counting.of(settings, schema, period, segments)
    if counting is not None and counting.is_cheaper(totals[0]):
        searches = 1 + counting.calls
    _within(searches, sum(totals), errand)
    return searches, sum(totals)


def _total(settings: Hubspot, query: Query, errand: Errand) -> int:
    key = json.dumps([query.kind, query.body(limit=1)])
    totals = settings.kept.totals_of(errand.now)
    if key not in totals:
        totals[key] = total_of(settings.session(), query, errand)
    return totals[key]


def _within(searches: int, records: int, errand: Errand) -> None:
    replace(errand, pages=0).plan(records, searches)
    if (seconds := searches / SEARCHES_PER_SECOND) > errand.max_seconds:
        raise ConnectorError(
            NAME,
            Reason.OVERFLOW,
            f"{searches:,} searches need about {seconds:.0f} s, max_seconds allows {errand.max_seconds}",
            remedy="raise max_seconds, or narrow the records with `filters`",
        )


@dataclass(frozen=True)
class _Check:
    settings: Hubspot
    period: Period
    segments: Sequence[Segment]
    errand: Errand

    def findings(self) -> Iterator[Finding]:
        try:
            segment_map = SegmentMap(self.segments)
            schema = lead_schema(
                self.settings,
                self.settings.session(),
                self.errand,
                self.settings.optional_properties,
            )
        except (ConfigError, ConnectorError) as error:
            yield from _errors("HubSpot", error)
            return
        yield Finding(
            "ok", "HubSpot", f"the token is accepted, API version {self.settings.api_version}"
        )
        yield from self._version()
        yield from self._scopes()
        yield from self._properties(schema)
        yield from self._values(schema, segment_map)
        yield from self._attempt("account", self._account)
        yield from self._attempt("leads", lambda: self._cost(schema))
        yield from self._follow_up(schema)
        deals = self.settings.deals
        if deals is not None:
            yield from self._attempt("deals", lambda: self._deals(deals))
        yield from self._headers()

    def _attempt(self, subject: str, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
        try:
            yield from list(look())
        except (ConfigError, ConnectorError) as error:
            yield from _errors(subject, error)
        except UntrustworthyError as error:
            yield Finding("error", subject, f"{NAME}: {error}")

    def _version(self) -> Iterator[Finding]:
        version = self.settings.api_version
        ends = _end_of(version)
        today = self.errand.now.date()
        if version == "v3" or ends <= add_months(today, _WARN_MONTHS):
            verb = "ended" if ends <= today else "ends"
            text = (
                f"{version} {verb} in {ends:%B %Y}: HubSpot supports it no longer then; remove api_version "
                "to use the newest that this release knows, or install a newer release"
            )
            yield Finding("warning", "API version", text)

    def _scopes(self) -> Iterator[Finding]:
        scopes = self.settings.session().scopes
        if scopes is None:
            text = "HubSpot does not tell the scopes of a key: see for yourself that it has read scopes only"
            yield Finding("ok", "scopes", text)
        elif not scopes:
            text = "HubSpot did not tell the app's scopes: see for yourself that it only reads"
            yield Finding("ok", "scopes", text)
        elif more := [scope[:80] for scope in scopes if not _only_reads(scope)]:
            text = (
                f"the app may do more than read: {', '.join(more)}; the digest needs no such scope, take "
                "it from the app"
            )
            yield Finding("warning", "scopes", text)
        else:
            yield Finding("ok", "scopes", f"the app can only read: {', '.join(scopes)}")

    def _properties(self, schema: Schema) -> Iterator[Finding]:
        for stage in schema.stages:
            text = f"{stage.label} ({stage.id}), dated by {stage.dated.name}, as HubSpot holds it today"
            yield Finding("ok", f"stage {stage.written!r}", text)
        staged = {stage.dated.name for stage in schema.stages}
        names = [d.name for d in schema.dates if d.name not in staged]
        for name in dict.fromkeys([*names, *self.settings.lead_properties]):
            known = schema.known[name]
            yield Finding("ok", f"property {name!r}", f"{known.label}, {known.type}")
        if self.settings.object != "contacts":
            yield Finding("ok", "object", f"{self.settings.object} are counted, not contacts")

    def _values(self, schema: Schema, segments: SegmentMap) -> Iterator[Finding]:
        subject = f"property {schema.segment.name!r}"
        options = [value for _, value in schema.segment.options]
        if schema.segment.type == "string":
            text = (
                "is free text, so its values cannot be compared with the segments beforehand; those of no "
                "segment are listed with the count"
            )
            yield Finding("warning", subject, text)
        if schema.segment.type != "enumeration":
            return
        loose = [value for value in options if segments.segment_of(value) is None]
        if loose:
            more = f" and {len(loose) - _MANY} more" if len(loose) > _MANY else ""
            listed = ", ".join(repr(value[:60]) for value in loose[:_MANY])
            text = f"options of no segment: {listed}{more}; add them to a segment's values"
            yield Finding("warning", subject, text)
        known = {normalise(value) for value in options}
        labels = {normalise(label): value for label, value in schema.segment.options}
        for segment in self.segments:
            for value in segment.matches:
                if normalise(value) not in known:
                    inner = labels.get(normalise(value))
                    hint = f"; its label belongs to {inner!r}, write that" if inner else ""
                    text = f"segment {segment.name!r}: {value!r} is no option of the property{hint}"
                    yield Finding("warning", subject, text)

    def _account(self) -> Iterator[Finding]:
        try:
            account = self.settings.session().account(self.errand)
        except ConnectorError as error:
            if error.reason is not Reason.AUTH:
                raise
            text = (
                "the token may not read the account; the digest's time zone and currency are used"
            )
            yield Finding("warning", "account", text)
            return
        zone, currency = account.get("timeZone"), account.get("companyCurrency")
        text = f"portal {account.get('portalId')}, time zone {zone}, currency {currency}"
        yield Finding("ok", "account", text)
        if zone != self.period.timezone:
            text = (
                f"the portal's days begin in {zone}, the digest's in {self.period.timezone}: HubSpot's own "
                "reports will differ near midnight"
            )
            yield Finding("warning", "account", text)

    def _cost(self, schema: Schema) -> Iterator[Finding]:
        searches, records = searches_for(
            self.settings, schema, self.period, self.segments, self.errand
        )
        text = (
            f"{searches} {_plural(searches, 'search', 'searches')} of {records:,} records, about "
            f"{searches / SEARCHES_PER_SECOND:.1f} s"
        )
        yield Finding("ok", "cost of the count", text)

    def _follow_up(self, schema: Schema) -> Iterator[Finding]:
        named = self.settings.follow_up_properties
        if named is None:
            return
        missing = [name for name in named.properties if name not in schema.known]
        if missing:
            text = f"not available: the portal has no {', '.join(map(repr, missing))} or hides it"
            yield Finding("error", "follow-up", text)
        else:
            yield Finding("ok", "follow-up", f"{', '.join(named.properties)} can be read")

    def _deals(self, deals: Deals) -> Iterator[Finding]:
        known = deal_catalogue(self.settings, deals, self.errand)
        query = deal_query(deals, self.period, known)
        total = _total(self.settings, query, self.errand)
        yield Finding("ok", "deals", f"{total:,} deals closed in the period")
        if deals.segment is None:
            text = "deals have no segment property; they are measured for the total only"
            yield Finding("ok", "deals", text)

    def _headers(self) -> Iterator[Finding]:
        session = self.settings.session()
        if session.daily_left is not None:
            yield Finding("ok", "quota", f"{session.daily_left[:20]} requests left today")
        if session.skew is not None and abs(session.skew) > WARN_SKEW:
            minutes = abs(session.skew).total_seconds() / 60
            text = f"this machine's clock differs from HubSpot's by {minutes:.0f} minutes; set it (NTP)"
            yield Finding("warning", "clock", text)
        text = f"to know this took {self.errand.calls} calls"
        yield Finding("ok", "HubSpot", text)


def _end_of(version: str) -> date:
    """Return the first day without support: a dated version has 18 months, counted from its name."""
    if version == "v3":
        return _V3_ENDS
    return add_months(date.fromisoformat(f"{version}-01"), _SUPPORTED_MONTHS)


def _plural(count: int, one: str, many: str) -> str:
    return one if count == 1 else many


def _only_reads(scope: str) -> bool:
    """Tell whether a scope can change nothing; "oauth" is what every app has."""
    return scope == "oauth" or scope.endswith(".read")


def _errors(subject: str, error: DigestError) -> Iterator[Finding]:
    mistakes = error.mistakes if isinstance(error, ConfigError) else (str(error),)
    for mistake in mistakes:
        yield Finding("error", subject, mistake)

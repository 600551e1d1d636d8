"""Proves beforehand that a count would work, what it costs, and that the user sees all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from digest.connectors.salesforce import SOAP_ENDS
from digest.connectors.salesforce.client import Client, client_of
from digest.connectors.salesforce.counting import described, lead_dates, planned_calls
from digest.errors import ConfigError, ConnectorError, DigestError
from digest.model import Finding, Period, Segment, SegmentMap, normalise

if TYPE_CHECKING:
    from digest.connectors.salesforce import Salesforce
    from digest.connectors.salesforce.fields import Fields

OLDEST_KEPT = 41
VISIBLE, USED = 0.9, 0.95
SHOWN = 10
RECIPE = (
    "use an API-only integration user with read and 'View All' on the object, Opportunity, Task and Event, "
    "and no write permission"
)


def check(
    settings: Salesforce, period: Period, segments: Sequence[Segment], now: datetime
) -> tuple[Finding, ...]:
    """Return what a run would meet, errors as findings."""
    del now
    try:
        return tuple(_findings(settings, period, segments))
    except ConfigError as error:
        return tuple(
            Finding("error", "salesforce", mistake.removeprefix("salesforce: "))
            for mistake in error.mistakes
        )
    except DigestError as error:
        return (Finding("error", "salesforce", str(error).removeprefix("salesforce: ")),)


def _findings(
    settings: Salesforce, period: Period, segments: Sequence[Segment]
) -> Iterator[Finding]:
    SegmentMap(segments)
    client = client_of(settings)
    fields = described(client, settings)
    dates = lead_dates(client, settings)
    kinds = ", ".join(
        f"{name} ({'date' if plain else 'date/time'})"
        for name, plain in zip(dates.names, dates.plain, strict=True)
    )
    yield Finding("ok", "salesforce", f"{client.host}: {fields.owner}, {kinds} can be read")
    yield from _version(settings)
    yield from _definition(settings)
    if fields.writable:
        yield Finding(
            "warning",
            "salesforce user",
            f"the user of the login may write to {fields.owner}; {RECIPE}",
        )
    yield from _values(settings, fields, segments)
    yield from _visible(client, settings)
    yield from _deals(client, settings)
    if period.days():
        calls = planned_calls(settings, period, segments)
        yield Finding("ok", "salesforce calls", f"one run costs {_plural(calls)} beside the login")
    yield from _quota(client)


def _plural(calls: int) -> str:
    return "1 call" if calls == 1 else f"{calls} calls"


def _version(settings: Salesforce) -> Iterator[Finding]:
    if settings.login == "soap":
        yield Finding("warning", "salesforce login", SOAP_ENDS)
    if float(settings.api_version) < OLDEST_KEPT:
        yield Finding(
            "warning",
            "salesforce api_version",
            f"Salesforce deprecates API version {settings.api_version} in Summer '27 and retires it in "
            'Summer \'28; set api_version = "64.0"',
        )


def _definition(settings: Salesforce) -> Iterator[Finding]:
    if any(each.column.lower() == "status" and each.op in {"=", "in"} for each in settings.filters):
        yield Finding(
            "warning",
            "salesforce filters",
            "a filter keeps the leads that are in a status now, so the month shrinks as sales works them; "
            "count by a field with the date on which the lead reached it",
        )
    if any(each.column.lower() == "isconverted" for each in settings.filters):
        yield Finding(
            "warning",
            "salesforce filters",
            "a filter on IsConverted takes out leads that sales converted; these are marketing's best",
        )


def _values(settings: Salesforce, fields: Fields, segments: Sequence[Segment]) -> Iterator[Finding]:
    info = fields.get(settings.segment)
    if info is None or not info.values:
        return
    segment_map = SegmentMap(segments)
    loose = [value for value in info.values if segment_map.segment_of(value) is None]
    if loose:
        shown = ", ".join(repr(value) for value in loose[:SHOWN])
        more = f" and {len(loose) - SHOWN} more" if len(loose) > SHOWN else ""
        yield Finding(
            "warning",
            "salesforce segments",
            f"values of {info.name} that belong to no segment: {shown}{more}",
        )
    offered = {normalise(value) for value in info.values}
    silent = [
        segment.name
        for segment in segments
        if not any(normalise(value) in offered for value in segment.matches)
    ]
    if silent:
        yield Finding(
            "warning",
            "salesforce segments",
            f"{info.name} offers no value for {', '.join(silent)}",
        )


def _visible(client: Client, settings: Salesforce) -> Iterator[Finding]:
    answer = client.ask([f"SELECT COUNT() FROM {settings.object}"])[0]  # noqa: S608 - a checked name
    if answer.refusal and not answer.refusal.too_large:
        raise client.failure(answer.refusal)
    try:
        if answer.refusal:
            raise client.failure(answer.refusal)
        whole = client.get(f"limits/recordCount?sObjects={settings.object}")
    except (ConnectorError, ConfigError):
        yield Finding(
            "warning",
            "salesforce user",
            f"whether the user of the login sees every record of {settings.object} could not be compared "
            f"(needs 'View Setup and Configuration'); {RECIPE}",
        )
        return
    listed = whole.get("sObjects") if isinstance(whole, Mapping) else None
    first = listed[0] if isinstance(listed, list) and listed else None
    number = first.get("count") if isinstance(first, Mapping) else None
    if isinstance(number, int) and answer.total < VISIBLE * number:
        yield Finding(
            "warning",
            "salesforce user",
            f"the user of the login sees {answer.total:,} of about {number:,} records of "
            f"{settings.object}, so every count is too low; {RECIPE}",
        )
    elif isinstance(number, int):
        yield Finding(
            "ok",
            "salesforce user",
            f"sees {answer.total:,} of about {number:,} records of {settings.object}",
        )


def _deals(client: Client, settings: Salesforce) -> Iterator[Finding]:
    deals = settings.deals
    if deals is None:
        return
    fields = client.fields("Opportunity")
    named = [("deals.segment", deals.segment), ("deals.amount", deals.amount or "Id")]
    named += [("deals.filters", each.column) for each in deals.filters]
    mistakes = fields.objections(named)
    for mistake in mistakes:
        yield Finding("error", "salesforce deals", mistake)
    if not mistakes:
        several = fields.get("CurrencyIsoCode") is not None
        what = "each in its own currency" if several else f"in {deals.currency or 'one currency'}"
        yield Finding("ok", "salesforce deals", f"Opportunity can be read, amounts {what}")
        if not several and deals.amount and deals.currency is None:
            yield Finding(
                "error",
                "salesforce deals",
                'the org has one currency; set its ISO code, such as currency = "CHF"',
            )


def _quota(client: Client) -> Iterator[Finding]:
    usage = client.session.usage
    if usage is None:
        return
    used, allowed = usage
    level = "warning" if used > USED * allowed else "ok"
    text = f"{used:,} of {allowed:,} API calls used in 24 hours"
    if level == "warning":
        text += "; beyond that Salesforce refuses every call, and the digest is held"
    yield Finding(level, "salesforce quota", text)

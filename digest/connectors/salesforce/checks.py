"""Proves beforehand that a count would work, what it costs, and that the user sees all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from digest.connectors.salesforce import SOAP_ENDS
from digest.connectors.salesforce.client import Client, client_of
from digest.connectors.salesforce.counting import described, lead_dates, planned_calls, prove_paths
from digest.connectors.salesforce.dealing import deal_statistics
from digest.connectors.salesforce.following import follow_up
from digest.errors import ConfigError, ConnectorError, DigestError
from digest.model import Finding, Period, Segment, SegmentMap, add_months, month_start, normalise

if TYPE_CHECKING:
    from digest.connectors.salesforce import Salesforce
    from digest.connectors.salesforce.fields import Fields

OLDEST_KEPT = 41
VISIBLE = 0.9
SHOWN, MONTHS = 10, 6
RECIPE = (
    "use an API-only integration user with read and 'View All' on the object, Opportunity, Task and Event, "
    "and no write permission"
)


def check(
    settings: Salesforce, period: Period, segments: Sequence[Segment], now: datetime
) -> tuple[Finding, ...]:
    """Return what a run would meet, errors as findings."""
    found = list(_guarded("salesforce", lambda: _leads(settings, period, segments)))
    if any(finding.level == "error" for finding in found):
        return tuple(found)
    deals = lambda: _deals(settings, period, segments, now)  # noqa: E731 - asked for in its turn
    follow_up = lambda: _follow_up(settings, period, segments, now)  # noqa: E731 - likewise
    found += _guarded("salesforce deals", deals)
    found += _guarded("salesforce follow-up", follow_up)
    found += _quota(client_of(settings))
    return tuple(found)


def _guarded(subject: str, part: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """Turn what a person can mend into findings, after those that were found before."""
    try:
        yield from part()
    except ConfigError as error:
        for mistake in error.mistakes:
            yield Finding("error", subject, mistake.removeprefix("salesforce: "))
    except DigestError as error:
        yield Finding("error", subject, str(error).removeprefix("salesforce: "))


def _leads(settings: Salesforce, period: Period, segments: Sequence[Segment]) -> Iterator[Finding]:
    SegmentMap(segments)
    client = client_of(settings)
    fields = described(client, settings)
    prove_paths(client, settings)
    dates = lead_dates(client, settings)
    kinds = ", ".join(
        f"{name} ({'date' if plain else 'date/time'})"
        for name, plain in zip(dates.names, dates.plain, strict=True)
    )
    yield Finding("ok", "salesforce", f"{client.host}: {fields.owner}, {kinds} can be read")
    yield from _version(settings)
    yield from _definition(settings)
    yield from _writable(fields)
    yield from _values(settings, fields, segments)
    yield from _visible(client, settings)
    yield from _calls(settings, period, segments)


def _writable(fields: Fields) -> Iterator[Finding]:
    if fields.writable:
        yield Finding(
            "warning",
            "salesforce user",
            f"the user of the login may write to {fields.owner}; {RECIPE}",
        )


def _calls(settings: Salesforce, period: Period, segments: Sequence[Segment]) -> Iterator[Finding]:
    if not period.days():
        return
    calls = planned_calls(settings, period, segments)
    yield Finding("ok", "salesforce calls", f"one run costs {_plural(calls)} beside the login")
    history = planned_calls(settings, _months_before(period), segments)
    yield Finding(
        "ok",
        "salesforce calls",
        f"the forecast's six months of history cost {_plural(history)} more, once a week",
    )
    yield Finding(
        "ok",
        "salesforce days",
        f"days begin at midnight in {period.timezone}, whatever the time zone of the user of the login",
    )


def _months_before(period: Period) -> Period:
    month = month_start(period.start)
    return Period(add_months(month, -MONTHS), month, period.timezone)


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
    """Compare what the user sees with what the org has: hidden records make every figure too low."""
    follow = settings.follow_up_columns
    names = [settings.object]
    names += ["Opportunity"] if settings.deals else []
    names += ["Task", "Event"] if follow and follow.reads == "tasks and events" else []
    answers = client.ask([f"SELECT COUNT() FROM {name}" for name in names])  # noqa: S608 - checked names
    try:
        for answer in answers:
            if answer.refusal and not answer.refusal.too_large:
                raise client.failure(answer.refusal)
        whole = _record_counts(client.get(f"limits/recordCount?sObjects={','.join(names)}"))
    except ConnectorError:
        whole = {}
    for name, answer in zip(names, answers, strict=True):
        yield _seen(name, None if answer.refusal else answer.total, whole.get(name.lower()))


def _record_counts(answer: object) -> dict[str, int]:
    listed = answer.get("sObjects") if isinstance(answer, Mapping) else None
    return {
        str(each.get("name")).lower(): each["count"]
        for each in (listed if isinstance(listed, list) else ())
        if isinstance(each, Mapping) and isinstance(each.get("count"), int)
    }


def _seen(name: str, visible: int | None, number: int | None) -> Finding:
    if visible is None or number is None:
        return Finding(
            "warning",
            "salesforce user",
            f"whether the user of the login sees every record of {name} could not be compared "
            f"(needs 'View Setup and Configuration'); {RECIPE}",
        )
    if visible < VISIBLE * number:
        return Finding(
            "warning",
            "salesforce user",
            f"the user of the login sees {visible:,} of about {number:,} records of {name}, so every count "
            f"is too low; {RECIPE}",
        )
    return Finding(
        "ok", "salesforce user", f"sees {visible:,} of about {number:,} records of {name}"
    )


def _deals(
    settings: Salesforce, period: Period, segments: Sequence[Segment], now: datetime
) -> Iterator[Finding]:
    """Measure once, as the first edition of a week does: only the org knows what it refuses."""
    if settings.deals is None:
        return
    client = client_of(settings)
    measured = deal_statistics(settings, _months_before(period), segments, now)
    if measured.no_customers:
        text = measured.no_customers.removeprefix("salesforce: ")
        yield Finding("warning", "salesforce deals", f"no close rates: {text}")
    fields = client.fields("Opportunity")
    several = fields.get("CurrencyIsoCode") is not None
    what = "each in its own currency" if several else f"in {settings.deals.currency}"
    amounts = f", amounts {what}" if settings.deals.amount else ""
    yield Finding(
        "ok",
        "salesforce deals",
        f"Opportunity can be read{amounts}; once a week {_plural(measured.origin.calls)} more",
    )
    yield from _writable(fields)


def _follow_up(
    settings: Salesforce, period: Period, segments: Sequence[Segment], now: datetime
) -> Iterator[Finding]:
    """Read the month's follow-up once: only the org knows which questions about activities it takes."""
    if settings.follow_up_columns is None or not period.days():
        return
    client = client_of(settings)
    before = client.calls
    rows = follow_up(settings, period, segments, now)
    cost = _plural(client.calls - before)
    yield Finding(
        "ok",
        "salesforce follow-up",
        f"of {len(rows):,} leads can be read; {cost} more for the month, and for the month before",
    )


def _quota(client: Client) -> Iterator[Finding]:
    usage = client.session.usage
    if usage is None:
        return
    used, allowed = usage
    level = "warning" if client.session.almost_used else "ok"
    text = f"{used:,} of {allowed:,} API calls used in 24 hours"
    if level == "warning":
        text += "; beyond that Salesforce refuses every call, and the digest is held"
    yield Finding(level, "salesforce quota", text)

"""Constructs what [connector], [deals], [follow_up] and [channels.NAME] describe, from the two registries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import TypeVar

from digest.channels import CHANNELS, Channel
from digest.channels.slack import Slack
from digest.connectors import CONNECTORS, Connector, MeasuresDeals, MeasuresFollowUp
from digest.errors import nearest
from digest.followup import Promise
from digest.model import Recipient
from digest.settings.adapters import build, is_table, known_keys
from digest.settings.lines import Path as KeyPath
from digest.settings.mistakes import clip, shown, unknown
from digest.settings.reading import Reading, Table
from digest.settings.recipients import address_problem, check_recipients, check_wishes
from digest.settings.sections import AlertsSection, FollowUpSection, PreviewSection
from digest.settings.values import Alerts, Trials

T = TypeVar("T")
_MOST_CHANNELS = 100


def connector_of(reading: Reading, key: str, registry: Mapping[str, type[T]]) -> T | None:
    """Construct the connector that [connector] or [deals] describes."""
    if key not in reading.data:
        example = "spreadsheet" if "spreadsheet" in registry else next(iter(registry))
        reading.mistakes.add(
            (), f'the table [{key}] is missing; it says where leads are counted: type = "{example}"'
        )
        return None
    table = reading.table(key)
    return None if table is None else _of_its_type(reading, table, (key,), registry)


def _of_its_type(
    reading: Reading, table: Table, at: KeyPath, registry: Mapping[str, type[T]]
) -> T | None:
    kind = table.get("type")
    if kind is None:
        reading.mistakes.add(
            at, f"the setting 'type' is missing; allowed: {', '.join(sorted(registry))}"
        )
        return None
    return _construct(reading, kind, table, at, registry)


def _construct(
    reading: Reading, kind: object, table: Table, at: KeyPath, registry: Mapping[str, type[T]]
) -> T | None:
    if not isinstance(kind, str) or kind not in registry:
        names = sorted(registry)
        hint = nearest(clip(kind), names) if isinstance(kind, str) else ""
        reading.mistakes.add(
            (*at, "type"), f"found {shown(kind)}{hint or ';'} allowed: {', '.join(names)}"
        )
        return None
    rest = {key: value for key, value in table.items() if key != "type"}
    return build(
        registry[kind], rest, at, reading.mistakes, folder=reading.folder, also_known=("type",)
    )


def deals_of(reading: Reading, connector: Connector | None) -> MeasuresDeals | None:
    """Construct what [deals] describes; without it the connector, if it was told of deals."""
    if "deals" not in reading.data:
        if not isinstance(connector, MeasuresDeals):
            return None
        # A connector whose own field `deals` is empty was told of no deals.
        return None if getattr(connector, "deals", connector) is None else connector
    deals = connector_of(reading, "deals", CONNECTORS)
    if deals is None or isinstance(deals, MeasuresDeals):
        return deals
    able = [name for name, cls in CONNECTORS.items() if hasattr(cls, "deal_statistics")]
    reading.mistakes.add(
        ("deals", "type"), f"this source knows no deals; allowed: {', '.join(sorted(able))}"
    )
    return None


# [follow_up.connector]: where sales works, when the leads are counted elsewhere.
SOURCE = "connector"


def follow_up_of(
    reading: Reading, connector: Connector | None
) -> tuple[Promise, MeasuresFollowUp] | None:
    """Return what sales promised and where it is measured; None without [follow_up]."""
    at = ["follow_up"]
    table = reading.table("follow_up")
    if "follow_up" not in reading.data or table is None:
        return None
    terms = {key: value for key, value in table.items() if key != SOURCE}
    section = build(FollowUpSection, terms, tuple(at), reading.mistakes, also_known=(SOURCE,))
    source: object = connector
    if SOURCE in table:
        at.append(SOURCE)
        entry = is_table(table[SOURCE], tuple(at), reading.mistakes)
        source = None if entry is None else _of_its_type(reading, entry, tuple(at), CONNECTORS)
    if section is None or source is None:
        return None
    _check_calendar(reading, section.calendar)
    own = _own_table(source)
    if not isinstance(source, MeasuresFollowUp) or getattr(source, own, None) is None:
        able = [name for name, cls in CONNECTORS.items() if hasattr(cls, "follow_up")]
        reading.mistakes.add(
            tuple(at),
            "the source of the leads does not say what sales did with them; write "
            f"[{'.'.join(at) if SOURCE in table else SOURCE}.{own}], or name another source in "
            f"[follow_up.{SOURCE}] of type {', '.join(sorted(able))}",
        )
        return None
    return section.promise, source


def _own_table(source: object) -> str:
    """Return the connector's own setting of where follow-up stands: columns, fields or properties."""
    names = (field.name for field in fields(source) if field.name.startswith("follow_up_"))  # type: ignore[arg-type]  # CONNECTORS holds dataclasses
    return next(names, "follow_up_columns")


def _check_calendar(reading: Reading, name: str | None) -> None:
    known = _calendars(reading)
    if name is not None and name not in known:
        reading.mistakes.add(("follow_up", "calendar"), unknown(name, known, "calendar"))


def _calendars(reading: Reading) -> tuple[str, ...]:
    calendars = reading.data.get("calendars")
    return tuple(calendars) if isinstance(calendars, Mapping) else ()


def channels_of(reading: Reading, segments: Sequence[str] | None) -> dict[str, Channel]:
    """Construct the channels; `segments` are the names recipients may use, None when not known."""
    table = reading.table("channels")
    if table is None:
        return {}
    if not table:
        reading.mistakes.add(
            (), f"no channel is set; write [channels.NAME], allowed: {', '.join(sorted(CHANNELS))}"
        )
    if len(table) > _MOST_CHANNELS:
        reading.mistakes.add(("channels",), f"{len(table)} channels; allowed: {_MOST_CHANNELS}")
        return {}
    found: dict[str, Channel] = {}
    for name in table:
        at = ("channels", name)
        entry = is_table(table[name], at, reading.mistakes)
        channel = None if entry is None else _channel(reading, name, entry, at, segments)
        if channel is not None:
            found[name] = channel
    return found


def _channel(
    reading: Reading, name: str, table: Table, at: KeyPath, segments: Sequence[str] | None
) -> Channel | None:
    kind = table.get("type", name)
    if kind == name and name not in CHANNELS:
        reading.mistakes.add(
            at, f"{unknown(name, sorted(CHANNELS), 'channel')}; another name needs a type = ..."
        )
        return None
    cls = CHANNELS.get(kind) if isinstance(kind, str) else None
    if cls is None or "recipients" not in known_keys(cls)[()]:
        # Of a channel that is its own recipient.
        check_wishes(table, at, reading.mistakes, segments, _calendars(reading))
        return _construct(reading, kind, table, at, CHANNELS)
    if "recipients" not in table:
        reading.mistakes.add(
            at, "the setting 'recipients' is missing, so nobody would get the digest"
        )
        return _construct(reading, kind, table, at, CHANNELS)
    recipients = check_recipients(
        table["recipients"],
        (*at, "recipients"),
        reading.mistakes,
        segments=segments,
        calendars=_calendars(reading),
        mail="sender" in known_keys(cls)[()],  # what has a sender is mail
    )
    return _construct(reading, kind, {**table, "recipients": recipients}, at, CHANNELS)


# ------------------------------------------------------------------------------------ whom to tell

# Tables of [alerts]: the same settings as a channel of that name.
WAYS = ("smtp", "slack")


def alerts_of(reading: Reading, channels: Mapping[str, Channel]) -> Alerts:
    """Return whom to tell when something is wrong; nobody without [alerts]."""
    at = ("alerts",)
    table = reading.table("alerts") or {}
    own = {name: table[name] for name in WAYS if name in table}
    rest = {name: value for name, value in table.items() if name not in WAYS}
    section = build(AlertsSection, rest, at, reading.mistakes, also_known=WAYS)
    operators = section.email if section else ()
    for address in operators:
        if problem := address_problem(address):
            reading.mistakes.add((*at, "email"), problem)
            return Alerts()
    made = {name: _way(reading, name, value, operators) for name, value in own.items()}
    _warn_of_readers(reading, channels, operators)
    mail = made.get("smtp")
    if operators and "smtp" not in own:
        mail = _mail_to(channels, operators)
        if mail is None:
            reading.mistakes.add(
                (*at, "email"),
                "the digest has no mail channel to send an alert by; write [alerts.smtp], "
                "which takes the settings of [channels.smtp]",
            )
    return Alerts(mail, made.get("slack"))


def trials_of(reading: Reading, channels: Mapping[str, Channel]) -> Trials:
    """Return to whom the preview may send a test; to nobody without [preview]."""
    section = reading.section(PreviewSection, "preview")
    if section is None:
        return Trials()
    for address in section.test_recipients:
        if problem := address_problem(address):
            reading.mistakes.add(("preview", "test_recipients"), problem)
            return Trials()
    mail = next((one for one in channels.values() if one.form == "mime"), None)
    return Trials(mail, section.test_recipients, _test_channel(reading, channels, section))


def _test_channel(
    reading: Reading, channels: Mapping[str, Channel], section: PreviewSection
) -> Channel | None:
    if section.slack_channel is None:
        return None
    at = ("preview", "slack_channel")
    posts = next((one for one in channels.values() if isinstance(one, Slack) and one.token), None)
    if posts is None:
        reading.mistakes.add(
            at, "needs [channels.slack] with a token; a webhook has one channel only, the readers'"
        )
        return None
    if section.slack_channel == posts.channel:
        reading.mistakes.add(at, "is the channel of the readers; name another one for tests")
        return None
    try:
        return replace(posts, channel=section.slack_channel)
    except ValueError as error:
        reading.mistakes.add(at, str(error).removeprefix("channel: "))
        return None


def _way(reading: Reading, name: str, value: object, operators: Sequence[str]) -> Channel | None:
    at = ("alerts", name)
    table = is_table(value, at, reading.mistakes)
    if table is None:
        return None
    if name != "smtp":
        return _construct(reading, name, table, at, CHANNELS)
    if "recipients" in table:
        reading.mistakes.add((*at, "recipients"), "who is told stands in alerts.email; take it out")
        return None
    if not operators:
        reading.mistakes.add(at, 'nobody is told by mail; write email = "ops@company.example"')
        return None
    given = {**table, "recipients": [{"address": address} for address in operators]}
    return _construct(reading, name, given, at, CHANNELS)


def _mail_to(channels: Mapping[str, Channel], operators: Sequence[str]) -> Channel | None:
    """Return the digest's own mail channel with the operators instead of its readers."""
    team = tuple(map(Recipient, operators))
    for channel in channels.values():
        if channel.form == "mime" and not getattr(channel, "repeatable", False):
            return replace(channel, recipients=team)  # type: ignore[type-var]  # CHANNELS holds dataclasses
    return None


def _warn_of_readers(
    reading: Reading, channels: Mapping[str, Channel], operators: Sequence[str]
) -> None:
    """Alerts are for whoever runs the digest; an address of the team's list would get them all."""
    readers = {one.address.casefold() for way in channels.values() for one in way.recipients}
    for address in operators:
        if address.casefold() in readers:
            reading.mistakes.warn(
                ("alerts", "email"),
                f"{address!r} also gets the digest; if it is a list, the whole team reads the alerts",
            )

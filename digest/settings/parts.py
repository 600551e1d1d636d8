"""Reads a document part by part, so that a mistake in one part does not hide those in another."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import fields
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import cast
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from digest.calculator import Thresholds
from digest.channels import CHANNELS
from digest.connectors import CONNECTORS, Connector
from digest.errors import ConfigError, nearest
from digest.model import Brand, Secret, Segment, SegmentMap
from digest.settings.adapters import build, is_table, known_keys
from digest.settings.document import DEEPEST
from digest.settings.edges import (
    WAYS,
    alerts_of,
    channels_of,
    connector_of,
    deals_of,
    follow_up_of,
    trials_of,
)
from digest.settings.fiscal import read_periods
from digest.settings.ledgers import LedgerSection, ledger_of
from digest.settings.lines import Path as KeyPath
from digest.settings.mistakes import (
    PASSWORD_IN_URL,
    REFERENCE_INSTEAD,
    Mistakes,
    clip,
    file_problem,
    paths_in,
    shown,
    unknown,
)
from digest.settings.plan import plan_of
from digest.settings.reading import Reading, Table
from digest.settings.sections import (
    AlertsSection,
    BrandSection,
    CalendarSection,
    FollowUpSection,
    Head,
    HeartbeatSection,
    Hold,
    PreviewSection,
    Retention,
    Schedule,
    SegmentSection,
    SlaSection,
    StatusThresholds,
    Unassigned,
)
from digest.settings.values import FiscalPeriod, Settings
from digest.sla import Plan
from digest.workdays import WEEKDAYS, Calendar

SHORTEST_WINDOW = timedelta(minutes=30)
_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_MOST_CALENDARS = 100
_MOST_SEGMENTS = 500
_MOST_UNKNOWN = 60  # more than are shown; finding the nearest name takes its time
# Any day serves to compare two wall-clock times.
_SOME_DAY = date(2026, 1, 1)

# Their provinces have the same public holidays (compared for 2026 and 2027), so none needs a name.
_ALIKE = frozenset({"AM", "AT", "BE", "MO", "NL", "NO", "PL"})


_HEAD = known_keys(Head)[()]
TOP = (
    *_HEAD,
    "ledger",
    "brand",
    "schedule",
    "hold",
    "retention",
    "unassigned",
    "thresholds",
    "calendar",
    "calendars",
    "segments",
    "sla",
    "connector",
    "deals",
    "follow_up",
    "channels",
    "alerts",
    "heartbeat",
    "preview",
)


def assemble(path: Path, data: Table, mistakes: Mistakes) -> Settings | None:
    """Return the settings, or None when mistakes were noted."""
    reading = Reading(data, path.parent.absolute(), mistakes)
    for key in [key for key in data if key not in TOP][:_MOST_UNKNOWN]:
        mistakes.add((key,), unknown(key, TOP))
    _refuse_passwords(reading)
    head = _head(reading)
    schedule = _schedule(reading)
    hold = reading.section(Hold, "hold")
    retention = reading.section(Retention, "retention")
    unassigned = reading.section(Unassigned, "unassigned")
    limits = reading.section(StatusThresholds, "thresholds")
    language = head.language if head else "en"
    calendar, calendars = _calendar(reading, language), _calendars(reading, language)
    plan = _plan(reading)
    segments = _segments(reading, plan)
    connector = connector_of(reading, "connector", CONNECTORS)
    deals = deals_of(reading, connector)
    follow_up = follow_up_of(reading, connector)
    channels = channels_of(reading, plan.segments if plan else None)
    alerts = alerts_of(reading, channels)
    trials = trials_of(reading, channels)
    heartbeat = _heartbeat(reading)
    ledger = ledger_of(reading)
    templates = _templates(reading, head)
    brand = _brand(reading)
    periods = _fiscal_periods(reading, head)
    if mistakes.found:
        return None
    # A part that is None has noted a mistake, so from here on there is none.
    head, schedule = cast("Head", head), cast("Schedule", schedule)
    retention = cast("Retention", retention)
    hold, unassigned = cast("Hold", hold), cast("Unassigned", unassigned)
    return Settings(
        path=path.absolute(),
        id=head.id,
        title=head.title or head.id,
        language=head.language,
        timezone=head.timezone,
        lead_definition=head.lead_definition or "",
        segment_kind=head.segment_kind,
        segments=segments,
        calendar=cast("Calendar", calendar),
        calendars=MappingProxyType(calendars),
        plan=cast("Plan", plan),
        connector=cast("Connector", connector),
        connector_name=str(cast("Table", data["connector"])["type"]),
        deals=deals,
        follow_up=follow_up,
        channels=MappingProxyType(channels),
        thresholds=_thresholds(cast("StatusThresholds", limits), unassigned),
        weighting=head.weighting,
        close_rates=head.close_rates,
        forecast=head.forecast,
        send_at=schedule.send_at,
        send_until=schedule.send_until,
        spread=timedelta(minutes=schedule.spread_minutes),
        ledger=ledger,
        messages_days=retention.messages_days,
        editions_days=retention.editions_days,
        worksheet=_worksheet(reading),
        max_drop_leads=hold.max_drop_leads,
        max_drop_share=hold.max_drop_share,
        on_partial=hold.on_partial,
        on_stale=hold.on_stale,
        notify_team_when_held=hold.notify_team_when_held,
        unassigned_leads=unassigned.warn_leads,
        unassigned_share=unassigned.warn_share,
        frozen_after_workdays=head.frozen_after_workdays,
        link=head.link,
        templates=templates,
        brand=brand,
        fiscal_periods=periods,
        alerts=alerts,
        trials=trials,
        heartbeat=heartbeat,
        metrics_file=reading.folder / head.metrics_file if head.metrics_file else None,
        account=head.account,
        warnings=mistakes.warnings,
        lines=MappingProxyType(dict(mistakes.lines)),
        inherited=MappingProxyType(dict(mistakes.inherited_lines())),
    )


def _refuse_passwords(reading: Reading) -> None:
    """Find passwords in URLs wherever they stand; these three keys have a better sentence of their own."""
    for at, value in paths_in(reading.data, deepest=DEEPEST):
        if isinstance(value, str) and at[-1] not in {"url", "link", "ledger"}:
            for user_and_password in PASSWORD_IN_URL.finditer(value):
                reading.mistakes.hide(user_and_password.group().rstrip("@").partition(":")[2])
                reading.mistakes.add(at, f"a password stands in the URL; {REFERENCE_INSTEAD}")


# ------------------------------------------------------------------------------- above the first table


def _head(reading: Reading) -> Head | None:
    given = {key: value for key, value in reading.data.items() if key in _HEAD}
    head = build(Head, given, (), reading.mistakes)
    if head is None:
        return None
    if not _ID.fullmatch(head.id):
        reading.mistakes.add(
            ("id",), f"found {shown(head.id)}; allowed: up to 64 of a-z, 0-9, - and _"
        )
    if problem := zone_problem(head.timezone):
        reading.mistakes.add(("timezone",), problem)
    if head.link is not None and (problem := _link_problem(head.link)):
        reading.mistakes.add(("link",), problem)
    return head


def zone_problem(name: str) -> str | None:
    """Return what is wrong with a time zone, None when nothing is."""
    with suppress(KeyError, ValueError, OSError):  # a name that is none, a folder, a hostile path
        ZoneInfo(name)
        return None
    zones = available_timezones()
    cities = {zone.rpartition("/")[2]: zone for zone in sorted(zones)}
    hint = nearest(clip(name), sorted(zones))
    if not hint and (city := nearest(clip(name).replace(" ", "_"), sorted(cities))):
        hint = f"; did you mean {cities[city.split(chr(39))[1]]!r}?"
    return f"no time zone {clip(name)!r}{hint or ';'} allowed: an IANA name such as Europe/Zurich"


def _link_problem(link: str) -> str | None:
    allowed = "allowed: an address that starts with https://"
    try:
        parts = urlsplit(link)
        host = parts.hostname
    except ValueError:
        return f"found {shown(link)}; {allowed}"
    if parts.scheme != "https" or not host or any(letter.isspace() for letter in link):
        return f"found {shown(link)}; {allowed}"
    if parts.username or parts.password:
        return "the address holds a user name or password; take it out, everybody sees the link"
    return None


def _templates(reading: Reading, head: Head | None) -> Path | None:
    if head is None:
        return None
    if head.templates is None:
        beside = reading.folder / "templates"
        return beside if _is(beside, "is_dir") else None
    folder = reading.folder / head.templates
    if not _is(folder, "is_dir"):
        reading.mistakes.add(("templates",), f"the folder {clip(str(folder), 300)} does not exist")
    return folder


def _brand(reading: Reading) -> Brand:
    section = reading.section(BrandSection, "brand")
    if section is None or section.logo is None:
        return Brand(section.accent if section else None)
    from digest.render.brand import LARGEST_LOGO, LogoError, fit

    path = reading.folder / section.logo
    try:
        with path.open("rb") as file:
            return Brand(section.accent, fit(file.read(LARGEST_LOGO + 1)))
    except LogoError as error:
        problem = f"{clip(str(path), 300)}: {error}"
    except OSError as error:
        problem = file_problem(path, error)
    except ValueError:  # a NUL in the name
        problem = f"found {shown(section.logo)}; allowed: the name of a file"
    reading.mistakes.add(("brand", "logo"), problem)
    return Brand(section.accent)


def _is(path: Path, what: str) -> bool:
    try:
        return bool(getattr(path, what)())
    except (OSError, ValueError):  # a name that is too long, a NUL
        return False


def _schedule(reading: Reading) -> Schedule | None:
    schedule = reading.section(Schedule, "schedule")
    if schedule is None:
        return None
    begin = datetime.combine(_SOME_DAY, schedule.send_at, UTC)
    window = datetime.combine(_SOME_DAY, schedule.send_until, UTC) - begin
    at = ("schedule", "send_until")
    found = f"found {schedule.send_until:%H:%M} with send_at {schedule.send_at:%H:%M}"
    if window <= timedelta(0):
        reading.mistakes.add(at, f"{found}; allowed: a later time of the same day")
    elif window < SHORTEST_WINDOW:
        reading.mistakes.add(
            at, f"{found}; allowed: at least 30 minutes later, to leave time to retry"
        )
    elif timedelta(minutes=schedule.spread_minutes) >= window:
        reading.mistakes.add(
            ("schedule", "spread_minutes"),
            f"found {schedule.spread_minutes}; allowed: less than the "
            f"{window // timedelta(minutes=1)} minutes between send_at and send_until",
        )
    return schedule


def _thresholds(limits: StatusThresholds, unassigned: Unassigned) -> Thresholds:
    return Thresholds(
        **{field.name: Fraction(getattr(limits, field.name)) for field in fields(limits)},
        unassigned_leads=unassigned.warn_leads,
        unassigned_share=unassigned.warn_share,
    )


def _heartbeat(reading: Reading) -> Secret | None:
    if "heartbeat" not in reading.data:
        return None
    # Whoever knows the address can report success, so no message shows it.
    reading.mistakes.hide((reading.table("heartbeat") or {}).get("url"))
    section = reading.section(HeartbeatSection, "heartbeat")
    return section.url if section else None


def _worksheet(reading: Reading) -> Path | None:
    named = reading.table("sla") or {}
    return reading.folder / str(named["worksheet"]) if named.get("worksheet") else None


# ------------------------------------------------------------------------------------------- calendars


def _calendar(reading: Reading, language: str) -> Calendar | None:
    if "calendar" not in reading.data:
        reading.mistakes.add(
            (),
            "the table [calendar] is missing; it says which days count, "
            'for example country = "CH" and subdivision = "ZH"',
        )
        return None
    table = reading.table("calendar")
    return None if table is None else _one_calendar(reading, table, ("calendar",), language)


def _calendars(reading: Reading, language: str) -> dict[str, Calendar]:
    table = reading.table("calendars") or {}
    if len(table) > _MOST_CALENDARS:
        reading.mistakes.add(("calendars",), f"{len(table)} calendars; allowed: {_MOST_CALENDARS}")
        return {}
    found: dict[str, Calendar] = {}
    for name in table:
        at = ("calendars", name)
        entry = is_table(table[name], at, reading.mistakes)
        calendar = None if entry is None else _one_calendar(reading, entry, at, language)
        if calendar is not None:
            found[name] = calendar
    return found


def _one_calendar(reading: Reading, table: Table, at: KeyPath, language: str) -> Calendar | None:
    section = build(CalendarSection, table, at, reading.mistakes)
    if section is None:
        return None
    try:
        calendar = Calendar(
            country=section.country,
            subdivision=section.subdivision,
            add=section.add,
            remove=section.remove,
            half=section.half,
            closures=tuple((closure.first, closure.last) for closure in section.closures),
            workweek=tuple(sorted({WEEKDAYS.index(day) for day in section.workweek})),
            half_days=section.half_days,
            categories=section.categories,
            language=language,
        )
    except ValueError as error:
        reading.mistakes.add_about(at, str(error), table)
        return None
    if calendar.is_coarse and calendar.country not in _ALIKE:
        reading.mistakes.warn(
            at,
            f"{calendar.country} has holidays of single regions and no subdivision is set; "
            "only the country's own holidays count",
        )
    return calendar


# ------------------------------------------------------------------------------- the SLA and its segments


def _plan(reading: Reading) -> Plan | None:
    if "sla" not in reading.data:
        reading.mistakes.add(
            (), 'the table [sla] is missing; it says what was promised: worksheet = "sla.xlsx"'
        )
        return None
    section = reading.section(SlaSection, "sla")
    return None if section is None else plan_of(section, reading.folder, reading.mistakes)


def _segments(reading: Reading, plan: Plan | None) -> tuple[Segment, ...]:
    if "segments" not in reading.data:
        return () if plan is None else tuple(map(Segment, plan.segments))
    before = len(reading.mistakes.found)
    entries = tuple(_segment_sections(reading))
    if len(reading.mistakes.found) > before:
        return ()
    known_calendars = cast("Table", reading.data.get("calendars", {}))
    first: dict[str, int] = {}
    for number, entry in enumerate(entries):
        at = ("segments", number)
        if entry.calendar is not None and entry.calendar not in known_calendars:
            reading.mistakes.add(
                (*at, "calendar"), unknown(entry.calendar, tuple(known_calendars), "calendar")
            )
        if first.setdefault(entry.name, number) != number:
            reading.mistakes.add((*at, "name"), f"the segment {clip(entry.name)!r} is there twice")
        elif plan is not None and entry.name not in plan.segments:
            reading.mistakes.add(
                (*at, "name"), unknown(entry.name, plan.segments, "segment in the SLA")
            )
    segments = tuple(
        Segment(entry.name, entry.values, entry.calendar, entry.active_from) for entry in entries
    )
    return _complete(reading, segments, plan)


def _complete(
    reading: Reading, segments: tuple[Segment, ...], plan: Plan | None
) -> tuple[Segment, ...]:
    """Add the segments of the plan that the file does not mention; refuse values claimed twice."""
    named = {segment.name for segment in segments}
    rest = () if plan is None else tuple(Segment(n) for n in plan.segments if n not in named)
    try:
        SegmentMap((*segments, *rest))
    except ConfigError as error:
        for mistake in error.mistakes:
            reading.mistakes.add(("segments",), mistake.removeprefix("segments: "))
    return (*segments, *rest)


def _segment_sections(reading: Reading) -> Iterator[SegmentSection]:
    listed = reading.data["segments"]
    if not isinstance(listed, list):
        reading.mistakes.add(
            ("segments",), f"found {shown(listed)}; allowed: tables, each written [[segments]]"
        )
        return
    if len(listed) > _MOST_SEGMENTS:
        reading.mistakes.add(("segments",), f"{len(listed)} segments; allowed: {_MOST_SEGMENTS}")
        return
    for number, entry in enumerate(listed):
        at = ("segments", number)
        if not isinstance(entry, Mapping):
            reading.mistakes.add(
                at, f"found {shown(entry)}; allowed: a table, written [[segments]]"
            )
        elif (section := build(SegmentSection, entry, at, reading.mistakes)) is not None:
            yield section


# ------------------------------------------------------------------------------------- fiscal periods


def _fiscal_periods(reading: Reading, head: Head | None) -> tuple[FiscalPeriod, ...]:
    if head is None or head.fiscal_periods is None:
        return ()
    path = reading.folder / head.fiscal_periods
    try:
        return read_periods(path)
    except OSError as error:
        reading.mistakes.add(("fiscal_periods",), file_problem(path, error))
    except (ValueError, csv.Error) as error:
        reading.mistakes.add(("fiscal_periods",), f"{clip(str(path), 300)}{error}")
    return ()


# --------------------------------------------------------------------------------- every known setting


def all_settings() -> tuple[str, ...]:
    """Return the dotted name of every setting there is, adapters' included, as documentation needs it."""
    sections = {
        "ledger": LedgerSection,
        "brand": BrandSection,
        "schedule": Schedule,
        "hold": Hold,
        "retention": Retention,
        "unassigned": Unassigned,
        "thresholds": StatusThresholds,
        "calendar": CalendarSection,
        "segments": SegmentSection,
        "sla": SlaSection,
        "follow_up": FollowUpSection,
        "alerts": AlertsSection,
        "heartbeat": HeartbeatSection,
        "preview": PreviewSection,
        **{f"connector ({name})": cls for name, cls in CONNECTORS.items()},
        **{f"channels.{name}": cls for name, cls in CHANNELS.items()},
    }
    nested = (
        ".".join((name, *map(str, path), key))
        for name, cls in sections.items()
        for path, keys in known_keys(cls).items()
        for key in keys
    )
    return (*_HEAD, "ledger", *(f"alerts.{way}" for way in WAYS), *nested)

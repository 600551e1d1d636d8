"""What was agreed, where each figure of it stands, and what the CRM says of it: for worksheet and what-if."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING

from digest import sla
from digest.compose import NOTHING_SENT, due_on, history_of, measured_deals
from digest.dispatch import memory_of
from digest.editions import counting_plan
from digest.errors import DigestError
from digest.ledger import read_ledger
from digest.model import DealStatistics, Drift, Finding, LeadCounts
from digest.scenarios import HELD, SCENARIOS
from digest.whatif import Situation, situation

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from digest.preview.desk import Showing
    from digest.preview.page import Asked
    from digest.settings import Settings

_CELL = re.compile(r"(?:[^,]+, )?(?P<cell>[^!]+![A-Z]{1,3}\d+)(?:: (?P<text>.*))?", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """An edition's month beside its agreement.

    Attributes:
        now: where the month stands, by the settings as they are.
        same: that is what the edition says; else the settings have changed since, or history is missing.
        deals: what the CRM knows of deals, with what could not be read in `trouble`.
        measured, drift: by segment.
    """

    showing: Showing
    now: Situation
    same: bool
    deals: DealStatistics | None
    measured: Mapping[str, sla.Measured] = field(default_factory=dict)
    drift: Mapping[str, Drift] = field(default_factory=dict)
    trouble: tuple[DigestError, ...] = ()


def agreement(asked: Asked, *, with_deals: bool) -> Agreement:
    """Return the agreement of the edition that an address means.

    Raises:
        DigestError: there is no edition.
    """
    showing = asked.desk.show(asked.digest, asked.view)
    trouble: list[DigestError] = []
    history = _history(asked, showing, trouble)
    now = situation(showing.facts, showing.edition, history)
    deals = _deals(asked, showing, history, trouble) if with_deals else None
    method = showing.settings.close_rates if showing.settings else "pooled"
    plan, on = showing.facts.plan, showing.edition.business_date
    return Agreement(
        showing=showing,
        now=now,
        same=now.agreed == showing.edition.scorecard,
        deals=deals,
        measured={one.segment: one for one in sla.measured(plan, deals, method=method)}
        if deals
        else {},
        drift={one.segment: one for one in sla.drift(plan, now.month, deals, method=method, on=on)}
        if deals
        else {},
        trouble=tuple(trouble),
    )


def _history(asked: Asked, showing: Showing, trouble: list[DigestError]) -> LeadCounts | None:
    """The months before, as the edition was composed with them."""
    name = showing.view.scenario
    if name is not None:
        return SCENARIOS["on-track" if name in HELD else name]().history
    asking = asked.desk.asking(asked.digest)
    if asking is None:
        return None
    settings, asked_at = asking
    try:
        return _kept_history(settings, showing, asked_at)
    except DigestError as error:
        trouble.append(error)
        return None


def _kept_history(settings: Settings, showing: Showing, now: datetime) -> LeadCounts | None:
    day = showing.edition.business_date
    due = due_on(settings, day)
    wanted = counting_plan(due, months=showing.facts.months).history
    if wanted is None:
        return None
    memory = memory_of(settings, day) if read_ledger(settings.ledger) else NOTHING_SENT

    def read() -> LeadCounts:
        found = history_of(settings, day, now)
        assert found is not None  # noqa: S101 - some are wanted
        return found

    return memory.history(due, wanted, read)


def _deals(
    asked: Asked, showing: Showing, history: LeadCounts | None, trouble: list[DigestError]
) -> DealStatistics | None:
    name = showing.view.scenario
    if name is not None:
        return SCENARIOS["on-track" if name in HELD else name]().deals
    asking = asked.desk.asking(asked.digest)
    if asking is None:
        return None
    settings, asked_at = asking
    try:
        return measured_deals(settings, showing.edition.business_date, asked_at, history)
    except DigestError as error:
        trouble.append(error)
        return None


# ------------------------------------------------------------------------------------- where it stands


@dataclass(frozen=True, slots=True)
class Origins:
    """Where the figures of one month stand, as people name the place; "" where nobody wrote one.

    Attributes:
        places: (input, segment) to file and cell or line.
        findings: what `digest check` says, by cell as in `places`; "" for what concerns no cell shown.
    """

    places: Mapping[tuple[str, str], str]
    findings: Mapping[str, tuple[Finding, ...]]


NOWHERE = Origins({}, {})
_OF_TERMS = ("deal_size", "marketing_share", "close_rate")


def origins(found: Agreement) -> Origins:
    """Return where each figure of an agreement stands."""
    settings = found.showing.settings
    if settings is None:
        return NOWHERE
    if settings.worksheet is None:
        return Origins(_lines(settings, found.now), {})
    if settings.worksheet.suffix.casefold() == ".csv":
        name = settings.worksheet.name
        keys = ("revenue_goal", *_OF_TERMS)
        places = {(key, segment): name for key in keys for segment in found.now.segments}
        return Origins(places, _findings(settings.worksheet))
    return Origins(_cells(settings.worksheet, found.now), _findings(settings.worksheet))


def _lines(settings: Settings, now: Situation) -> dict[tuple[str, str], str]:
    """File and line of tables in the settings; the plan's terms stand in the order of the tables."""
    plan, file = settings.plan, settings.path.name
    places = {}
    for segment in now.segments:
        tables = [n for n, terms in enumerate(plan.terms) if terms.segment == segment]
        terms = sla.terms_in_force(plan, segment, now.month, on=now.due.business_date)
        current = next((n for n in tables if plan.terms[n] is terms), None)
        for key in _OF_TERMS:
            line = settings.lines.get(("sla", "segments", current or 0, key))
            if current is not None and line is not None:
                places[key, segment] = f"{file}, {line}"
        line = _revenue_line(settings, tables, sla.revenue_month(plan, now.month))
        if line is not None:
            places["revenue_goal", segment] = f"{file}, {line}"
    return places


def _revenue_line(settings: Settings, tables: Sequence[int], month: date) -> int | None:
    found = None
    for table in tables:
        base = ("sla", "segments", table, "revenue_goal")
        exact = settings.lines.get((*base, f"{month:%Y-%m}"))
        if exact is not None:
            return exact
        if settings.plan.terms[table].valid_from <= month and base in settings.lines:
            found = settings.lines[base]
    return found


def _cells(path: Path, now: Situation) -> dict[tuple[str, str], str]:
    from digest.worksheet.layout import column_letter

    sheet = _worksheet(path, path.stat().st_mtime_ns) if path.exists() else None
    if sheet is None:
        return {}
    month = sla.revenue_month(now.facts.plan, now.month)
    column = sheet.place.months.get(month)
    places = {}
    for row, segment in sheet.inputs.segments.items():
        if column is not None:
            cell = f"{sheet.sheets['goals']}!{column_letter(column)}{row}"
            places["revenue_goal", segment] = cell
    for segment in now.segments:
        in_force = [
            (terms.valid_from, row)
            for row, terms in sheet.inputs.terms.items()
            if terms.segment == segment and terms.valid_from <= now.due.business_date
        ]
        if not in_force:
            continue
        _, row = max(in_force)
        for key in _OF_TERMS:
            letter = column_letter(sheet.place.terms.columns[key])
            places[key, segment] = f"{sheet.sheets['sla']}!{letter}{row}"
    return places


if TYPE_CHECKING:
    from digest.worksheet.read import Worksheet


@lru_cache(maxsize=16)
def _worksheet(path: Path, _changed: int) -> Worksheet | None:
    """A workbook takes its time to read, so it is kept until its file changes."""
    from digest.worksheet.read import read

    try:
        return read(path)
    except DigestError:
        return None


def _findings(path: Path) -> Mapping[str, tuple[Finding, ...]]:
    return _checked(path, path.stat().st_mtime_ns if path.exists() else 0)


@lru_cache(maxsize=16)
def _checked(path: Path, _changed: int) -> Mapping[str, tuple[Finding, ...]]:
    from digest.worksheet import check

    found: dict[str, list[Finding]] = {}
    for finding in check(path):
        if finding.level == "ok":
            continue
        # A cell is the subject of a finding, or stands in the text after the file's name.
        said = _CELL.fullmatch(finding.text if finding.subject == path.name else finding.subject)
        cell = said["cell"].strip("'") if said else ""
        found.setdefault(cell, []).append(finding)
    return {cell: tuple(findings) for cell, findings in found.items()}

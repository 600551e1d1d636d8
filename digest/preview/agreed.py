"""What was agreed, where each figure of it stands, and what the CRM says of it: for worksheet and what-if."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from digest import sla
from digest.compose import NOTHING_SENT, due_on, history_of, measured_deals
from digest.dispatch import memory_of
from digest.editions import Facts, counting_plan
from digest.errors import DigestError
from digest.ledger import read_ledger
from digest.model import DealStatistics, Drift, Edition, Finding, LeadCounts
from digest.scenarios import HELD, SCENARIOS
from digest.whatif import TERMS, Input, Situation, situation

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from digest.figures import Place
    from digest.preview.desk import Showing
    from digest.preview.page import Asked
    from digest.settings import Settings
    from digest.settings.places import SettingsPlaces
    from digest.worksheet.places import Key, Spot

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
    now = _situation(showing, history)
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


_RECENT: deque[tuple[Facts, Edition, LeadCounts | None, Situation]] = deque(maxlen=8)


def _situation(showing: Showing, history: LeadCounts | None) -> Situation:
    """A what-if asks of the same month with every key that is typed, so the last ones are kept."""
    asked = showing.facts, showing.edition, history
    for *known, found in list(_RECENT):
        if tuple(known) == asked:
            return found
    fresh = situation(*asked)
    _RECENT.append((*asked, fresh))
    return fresh


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
    """Where the figures of one month stand.

    Attributes:
        places: by input and segment; nothing for scenarios, whose figures nobody wrote.
        findings: what `digest check` says, by cell as "Sheet!C5"; "" for what names no cell.
    """

    places: Mapping[tuple[Input, str], Place]
    findings: Mapping[str, tuple[Finding, ...]]


def origins(found: Agreement) -> Origins:
    """Return where each figure of an agreement stands."""
    from digest.settings.places import SettingsPlaces

    settings = found.showing.settings
    if settings is None:
        return Origins({}, {})
    worksheet = settings.worksheet
    known = SettingsPlaces(settings)
    if worksheet is not None and worksheet.exists():
        vars(known)["_spots"] = _spots(worksheet, worksheet.stat().st_mtime_ns)
    return Origins(
        dict(_places(known, settings.plan, found.now)),
        {} if worksheet is None else _findings(worksheet),
    )


def _places(
    known: SettingsPlaces, plan: sla.Plan, now: Situation
) -> Iterator[tuple[tuple[Input, str], Place]]:
    for segment in now.segments:
        basis = sla.basis(plan, segment, now.month, on=now.due.business_date)
        if basis.revenue_goal is not None:
            place = known.revenue_goal(segment, basis.month)
            yield (Input.REVENUE_GOAL, segment), place
        if basis.terms is not None:
            for kind in TERMS:
                if getattr(basis.terms, kind.value) is not None:
                    yield (kind, segment), known.terms(basis.terms, kind.value)


@lru_cache(maxsize=16)
def _spots(path: Path, _changed: int) -> Mapping[Key, Spot]:
    """A workbook takes its time to read, so what it says is kept until its file changes."""
    from digest.worksheet.places import spots

    try:
        return spots(path)
    except DigestError:
        return {}


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

"""What a configuration comes to: checked values and constructed adapters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, time, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Literal

from digest.calculator import Thresholds
from digest.channels import Channel
from digest.connectors import Connector, MeasuresDeals, MeasuresFollowUp
from digest.followup import Promise
from digest.model import Brand, Segment
from digest.sla import Plan
from digest.workdays import Calendar


@dataclass(frozen=True, slots=True)
class FiscalPeriod:
    """One period of a fiscal year; it ends where the next one starts."""

    year: int
    period: int
    start: date


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One digest, ready to run. No field shows a secret.

    Attributes:
        path: the file. id: names the digest in the ledger. title: names it for people.
        segments: in the order in which people read them; a name of the plan each.
        calendar: decides the days of an edition. calendars: pacing calendars by id, for segments.
        connector: counts leads. deals: measures deals, None when nothing was set up for it.
        follow_up: what sales promised and who measures it, None when nobody asks for it.
        send_at, send_until: local times. spread: delay that is the same every day for one digest.
        ledger: file. worksheet: the file of the plan, None when it stands in the settings.
        max_drop_leads, max_drop_share: a larger fall of the month's leads holds the edition.
        unassigned_leads, unassigned_share: from here on leads without a segment call for a warning.
        warnings: what works but deserves a look, as sentences.
    """

    path: Path
    id: str
    title: str
    language: str
    timezone: str
    lead_definition: str
    segment_kind: Literal["region", "persona", "channel"]
    segments: tuple[Segment, ...]
    calendar: Calendar
    calendars: Mapping[str, Calendar]
    plan: Plan
    connector: Connector
    connector_name: str
    deals: MeasuresDeals | None
    follow_up: tuple[Promise, MeasuresFollowUp] | None
    channels: Mapping[str, Channel]
    thresholds: Thresholds
    weighting: Literal["workday", "calendar", "historical"]
    forecast: bool
    send_at: time
    send_until: time
    spread: timedelta
    ledger: Path
    worksheet: Path | None
    max_drop_leads: int
    max_drop_share: Fraction
    on_partial: Literal["withhold", "banner"]
    unassigned_leads: int
    unassigned_share: Fraction
    frozen_after_workdays: int
    link: str | None
    templates: Path | None
    brand: Brand
    fiscal_periods: tuple[FiscalPeriod, ...]
    warnings: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """The folder of the config file, against which its paths count."""
        return self.path.parent

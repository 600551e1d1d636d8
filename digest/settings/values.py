"""What a configuration comes to: checked values and constructed adapters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, time, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Literal

from digest.calculator import Thresholds
from digest.channels import Channel
from digest.connectors import Connector, MeasuresDeals, MeasuresFollowUp
from digest.followup import Promise
from digest.ledger import Place
from digest.model import Brand, Secret, Segment
from digest.settings.inheritance import DEFAULTS
from digest.settings.lines import Path as KeyPath
from digest.sla import Plan
from digest.workdays import Calendar

_SETTING = re.compile(
    r"(?:\w+: )?(?P<key>[a-z_]+(?:\.[a-z_]+)*)(?:\[(?P<entry>\d+)\])?: (?P<what>.*)", re.DOTALL
)
# Where a connector may stand; its own words know neither the table nor the file.
_CONNECTOR_TABLES: tuple[KeyPath, ...] = (("connector",), ("deals",), ("follow_up", "source"))


@dataclass(frozen=True, slots=True)
class FiscalPeriod:
    """One period of a fiscal year; it ends where the next one starts."""

    year: int
    period: int
    start: date


@dataclass(frozen=True)
class Alerts:
    """Whom to tell when something is wrong: whoever runs the digest, never its readers.

    Attributes:
        mail: channel whose recipients are the operators. slack: their channel. None for not set.
    """

    mail: Channel | None = None
    slack: Channel | None = None


@dataclass(frozen=True)
class Trials:
    """To whom the preview may send a test, and by what.

    Attributes:
        mail: the digest's mail channel; None without one. addresses: the only ones it may write to.
        slack: the channel that tests are posted to, None for none.
    """

    mail: Channel | None = None
    addresses: tuple[str, ...] = ()
    slack: Channel | None = None


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One digest, ready to run. No field shows a secret.

    Attributes:
        path: the file. id: names the digest in the ledger. title: names it for people.
        segments: in the order in which people read them; a name of the plan each.
        calendar: decides the days of an edition. calendars: pacing calendars by id, for segments.
        connector: counts leads. deals: measures deals, None when nothing was set up for it.
        follow_up: what sales promised and who measures it, None when nobody asks for it.
        close_rates: which customers a measured close rate counts, see `sla.measured`.
        send_at, send_until: local times. spread: delay that is the same every day for one digest.
        ledger: file or database. worksheet: the file of the plan, None when it stands in the settings.
        messages_days, editions_days: how long a purge keeps what is settled.
        max_drop_leads, max_drop_share: a larger fall of the month's leads holds the edition.
        on_partial: whether deals or follow-up that do not answer hold it too, while there is time.
        on_stale: whether an edition goes out with the last figures, unjudged, when the source has had
            nothing newer all morning.
        notify_team_when_held: the recipients of a held edition get one plain line.
        unassigned_leads, unassigned_share: from here on leads without a segment call for a warning.
        alerts: whom to tell. trials: to whom the preview may send a test.
        heartbeat: address of the dead-man's switch, None for none.
        metrics_file: where figures for Prometheus are written after each send, None for nowhere.
        account: what the limits of the source belong to, where a fleet cannot tell; None for what it can.
        warnings: what works but deserves a look, as sentences.
        lines: on which line of the file a key stands. inherited: the same of the folder's defaults.
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
    close_rates: Literal["pooled", "cohort"]
    forecast: bool
    send_at: time
    send_until: time
    spread: timedelta
    ledger: Place
    messages_days: int
    editions_days: int
    worksheet: Path | None
    max_drop_leads: int
    max_drop_share: Fraction
    on_partial: Literal["banner", "hold"]
    on_stale: Literal["banner", "hold"]
    notify_team_when_held: bool
    unassigned_leads: int
    unassigned_share: Fraction
    frozen_after_workdays: int
    link: str | None
    templates: Path | None
    brand: Brand
    fiscal_periods: tuple[FiscalPeriod, ...]
    alerts: Alerts = Alerts()
    trials: Trials = Trials()
    heartbeat: Secret | None = None
    metrics_file: Path | None = None
    account: str | None = None
    warnings: tuple[str, ...] = ()
    lines: Mapping[KeyPath, int] = field(default_factory=dict, repr=False)
    inherited: Mapping[KeyPath, int] = field(default_factory=dict, repr=False)

    @property
    def folder(self) -> Path:
        """The folder of the config file, against which its paths count."""
        return self.path.parent

    def located(self, mistake: str) -> str:
        """Return what a connector says about one of its settings with file, line and key in front.

        "sql: table: the database has no table 'laeds'" becomes "digest.toml, line 23, connector.table: the
        database ..."; a sentence about anything else stays as it is.
        """
        said = _SETTING.fullmatch(mistake)
        if said is None:
            return mistake
        entry = f"[{said['entry']}]" if said["entry"] else ""
        for table in _CONNECTOR_TABLES:
            path = (*table, *said["key"].split("."))
            key = ".".join(map(str, (*table, said["key"])))
            for name, lines in ((self.path.name, self.lines), (DEFAULTS, self.inherited)):
                if path in lines:
                    return f"{name}, line {lines[path]}, {key}{entry}: {said['what']}"
        return mistake

"""Where each input of a digest's figures stands: file and line, or sheet and cell of the worksheet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING

from digest.connectors import CONNECTORS
from digest.errors import ConfigError
from digest.figures import Place
from digest.model import month_start
from digest.settings.lines import Path
from digest.settings.mistakes import dotted
from digest.settings.values import Settings
from digest.sla import Terms

if TYPE_CHECKING:
    from digest.worksheet.places import Key, Spot

_FOLLOW_UP = ("follow_up", "connector")


@dataclass(frozen=True)
class SettingsPlaces:
    """Answers for one digest, as `digest.figures.Places` asks."""

    settings: Settings

    @cached_property
    def _spots(self) -> Mapping[Key, Spot]:
        """The worksheet's cells; none when it can no longer be read, which is said elsewhere."""
        from digest.worksheet.places import spots

        path = self.settings.worksheet
        try:
            return spots(path) if path is not None else {}
        except ConfigError:
            return {}

    def setting(self, *key: str | int) -> Place:
        """Return file and line of a setting, or that it is left at its default."""
        file, line = self.settings.path.name, self.settings.lines.get(key)
        if line is None:
            return Place("default", file=file, key=dotted(key))
        return Place("setting", file=file, line=line, key=dotted(key))

    def revenue_goal(self, segment: str, month: date) -> Place:
        """Return where the revenue goal of a segment's month stands."""
        if self.settings.worksheet is not None:
            return self._cell("revenue_goal", segment, month)
        written = f"{month:%Y-%m}"
        for number in reversed(self._tables(segment, month)):
            at: Path = ("sla", "segments", number, "revenue_goal")
            for key in ((*at, written), at):
                if key in self.settings.lines:
                    return self.setting(*key)
        return self.setting("sla", "segments")

    def _tables(self, segment: str, month: date) -> list[int]:
        """The tables of a segment that begin up to a month, by number; their order is that of the plan."""
        return [
            number
            for number, terms in enumerate(self.settings.plan.terms)
            if terms.segment == segment and month_start(terms.valid_from) <= month
        ]

    def terms(self, terms: Terms, name: str) -> Place:
        """Return where one of the agreed terms stands."""
        if self.settings.worksheet is not None:
            return self._cell(name, terms.segment, terms.valid_from)
        number = self.settings.plan.terms.index(terms)
        return self.setting("sla", "segments", number, name)

    def rate(self, currency: str) -> Place:
        """Return where a plan rate stands."""
        rates = [rate.currency for rate in self.settings.plan.rates]
        at: Path = ("sla", "rates", rates.index(currency) if currency in rates else 0, "rate")
        if at in self.settings.lines or self.settings.worksheet is None:
            return self.setting(*at)
        spot = self._spots.get(("rate", currency, None))
        return self._place(spot, "rate")

    def recorded(self, day: date, key: str) -> Place:
        """Return the edition with which a number was frozen."""
        return Place("edition", key=key, day=day)

    def source(self, what: str) -> tuple[str, str]:
        """Return the connector of deals or follow-up, and where it is set up."""
        settings = self.settings
        follow_up = settings.follow_up[1] if settings.follow_up else None
        source: object = settings.deals if what == "deals" else follow_up
        at: Path = ("deals",) if what == "deals" else _FOLLOW_UP
        place = self.setting(*(at if at in settings.lines else ("connector",)))
        name = next((n for n, cls in CONNECTORS.items() if isinstance(source, cls)), what)
        return name, f"{place.file}, {place.key}"

    def _cell(self, name: str, segment: str, month: date) -> Place:
        from digest.worksheet.places import spot_of

        return self._place(spot_of(self._spots, name, segment, month), name)

    def _place(self, spot: Spot | None, name: str) -> Place:
        worksheet = self.settings.worksheet
        file = worksheet.name if worksheet is not None else self.settings.path.name
        from digest.worksheet.places import Spot

        spot = spot or Spot()
        return Place("cell", file=file, line=spot.line, key=name, sheet=spot.sheet, cell=spot.cell)

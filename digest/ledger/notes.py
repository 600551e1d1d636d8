"""An alert as it is remembered: the form that passes between who writes it and who keeps it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Noted:
    """One alert as it is remembered.

    Attributes:
        about: what of the cause it concerns, such as a delivery key; "" for the whole edition.
        text: the alert as its writer put it, so that a later run can repeat it.
        told: somebody has been told.
    """

    digest: str
    cause: str
    business_date: date
    about: str
    text: str
    told: bool = False

    @property
    def key(self) -> tuple[str, str, date, str]:
        """What makes it one alert."""
        return (self.digest, self.cause, self.business_date, self.about)

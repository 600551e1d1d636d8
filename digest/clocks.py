"""The clock of another machine, as far as its answers tell.

A source that thinks it is another hour cuts days in another place, and so does this machine.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

WARN_SKEW = timedelta(minutes=2)
REFUSE_SKEW = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class OtherClock:
    """What another clock showed when we heard of it; it goes on since then as ours does.

    Attributes:
        showed: aware.
        heard: `time.monotonic()` of that moment.
    """

    showed: datetime
    heard: float = field(default_factory=time.monotonic)

    def now(self) -> datetime:
        """Return what it shows now."""
        return self.showed + timedelta(seconds=time.monotonic() - self.heard)


def clock_of(date_header: str) -> OtherClock | None:
    """Return the clock of a server that answered with this `Date`; None when it is none."""
    try:
        moment = parsedate_to_datetime(date_header)
    except (TypeError, ValueError):
        return None
    return OtherClock(moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment)

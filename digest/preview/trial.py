"""Tests sent from the preview: to an allow-list, without a ledger, at most a few in ten minutes."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from digest.delivery import test_send
from digest.dispatch import message_for
from digest.model import Recipient

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from digest.channels import Channel
    from digest.delivery import Outcome
    from digest.model import Edition
    from digest.settings import Settings

MOST, WITHIN = 5, timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Way:
    """One place that a test may go to, as people pick it."""

    name: str
    channel: Channel
    recipient: Recipient


@dataclass(eq=False)
class Allowance:
    """Counts tests, so that a stuck key cannot fill an inbox."""

    clock: Callable[[], datetime]
    _sent: deque[datetime] = field(default_factory=deque)

    def take(self, wanted: int) -> timedelta | None:
        """Take so many tests; where there are too many, how long to wait, and none is taken."""
        now = self.clock()
        while self._sent and now - self._sent[0] >= WITHIN:
            self._sent.popleft()
        if len(self._sent) + wanted > MOST:
            return self._sent[0] + WITHIN - now if self._sent else WITHIN
        self._sent.extend([now] * wanted)
        return None


def ways(settings: Settings | None) -> Mapping[str, Way]:
    """Return where tests may go, by what the form sends; nowhere for scenarios without settings."""
    if settings is None:
        return {}
    tests = settings.trials
    found = {}
    if tests.mail is not None:
        found = {
            address: Way(address, tests.mail, Recipient(address)) for address in tests.addresses
        }
    if tests.slack is not None:
        recipient = tests.slack.recipients[0]
        found[recipient.address] = Way(f"Slack {recipient.address}", tests.slack, recipient)
    return found


def send(
    settings: Settings,
    edition: Edition,
    way: Way,
    languages: Sequence[str],
    clock: Callable[[], datetime],
) -> tuple[Outcome, ...]:
    """Send an edition to one place, once for each language; what became of each, in the relay's words."""
    from digest.render import PACKERS

    outcomes: list[Outcome] = []
    for language in languages:
        result = test_send(
            edition=edition,
            channels={"slack" if way.channel is settings.trials.slack else "mail": way.channel},
            recipient=replace(way.recipient, language=language),
            render=lambda shown, reader: message_for(settings, shown, reader),
            packers=PACKERS,
            clock=clock,
        )
        outcomes.extend(result.outcomes)
    return tuple(outcomes)

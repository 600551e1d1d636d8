"""What a whole ledger adds up to, for those who watch it rather than read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from digest.ledger import AT_WORK, WAITING, RunState, State
from digest.ledger.store import Reader
from digest.ledger.tables import deliveries, runs

_OPEN = (
    RunState.PLANNED,
    RunState.COLLECTING,
    RunState.COLLECTED,
    RunState.RENDERED,
    RunState.SENDING,
    RunState.HELD,
)


@dataclass(frozen=True, slots=True)
class Figures:
    """Counts over every digest of a ledger.

    Attributes:
        runs: by state. deliveries: by (channel as the settings name it, state).
        open_since: when the oldest edition began that neither went out nor was given up.
        last_success: when the last message was taken, or a day without an edition was noted.
    """

    runs: Mapping[RunState, int]
    deliveries: Mapping[tuple[str, State], int]
    open_since: datetime | None
    last_success: datetime | None


def figures_of(reader: Reader) -> Figures:
    """Add a ledger up.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    with reader.transaction() as connection:
        by_state = connection.execute(select(runs.c.state, func.count()).group_by(runs.c.state))
        by_channel = connection.execute(
            select(deliveries.c.channel, deliveries.c.state, func.count()).group_by(
                deliveries.c.channel, deliveries.c.state
            )
        )
        waiting = select(deliveries.c.key).where(
            deliveries.c.digest == runs.c.digest,
            deliveries.c.business_date == runs.c.business_date,
            deliveries.c.state.in_((*WAITING, *AT_WORK)),
        )
        open_ = runs.c.state.in_(_OPEN) | waiting.exists()
        since = connection.execute(select(func.min(runs.c.created_at)).where(open_))
        sent = connection.execute(
            select(func.max(deliveries.c.sent_at)).where(deliveries.c.state == State.SENT)
        ).scalar_one()
        # A weekend is no silence.
        free = connection.execute(
            select(func.max(runs.c.changed_at)).where(runs.c.state == RunState.SKIPPED)
        ).scalar_one()
        return Figures(
            {RunState(state): count for state, count in by_state},
            {(channel, State(state)): count for channel, state, count in by_channel},
            since.scalar_one(),
            max((one for one in (sent, free) if one is not None), default=None),
        )

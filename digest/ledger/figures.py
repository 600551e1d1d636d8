"""What a whole ledger adds up to, for those who watch it rather than read it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, func, select

from digest.ledger import AT_WORK, WAITING, RunState, State
from digest.ledger.store import Reader
from digest.ledger.tables import STAGES, deliveries, meta, runs

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
        stages: seconds that each stage of the last run took, by its name.
    """

    runs: Mapping[RunState, int]
    deliveries: Mapping[tuple[str, State], int]
    open_since: datetime | None
    last_success: datetime | None
    stages: Mapping[str, float] = field(default_factory=dict)


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
        stages = connection.execute(select(meta.c.value).where(meta.c.key == STAGES)).scalar()
        return Figures(
            {RunState(state): count for state, count in by_state},
            {(channel, State(state)): count for channel, state, count in by_channel},
            since.scalar_one(),
            _last_success(connection),
            json.loads(stages) if stages else {},
        )


def last_success(reader: Reader, digest: str) -> datetime | None:
    """Return when a digest's last message was taken or its last free day noted, None when never.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    with reader.transaction() as connection:
        return _last_success(connection, digest)


def _last_success(connection: Connection, digest: str | None = None) -> datetime | None:
    sent = select(func.max(deliveries.c.sent_at)).where(deliveries.c.state == State.SENT)
    # A weekend is no silence.
    free = select(func.max(runs.c.changed_at)).where(runs.c.state == RunState.SKIPPED)
    if digest is not None:
        sent = sent.where(deliveries.c.digest == digest)
        free = free.where(runs.c.digest == digest)
    found = (connection.execute(query).scalar_one() for query in (sent, free))
    return max((one for one in found if one is not None), default=None)

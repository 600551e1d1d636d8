"""A correction: an operator's explicit act that tells those who read wrong numbers the right ones, once."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

from digest import delivery
from digest.compose import Memory, compose
from digest.dispatch import Now, Report, deliver, memory_of, pin_of, refuse_skew, report_of
from digest.editions import figures_moved
from digest.errors import ConfigError
from digest.ledger import State, open_ledger
from digest.model import Corrects
from digest.snapshot import edition_from_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from digest.ledger.store import Ledger
    from digest.model import CorrectedFigure, Edition, Recipient
    from digest.settings import Settings

Served = tuple[str, str]  # channel and recipient, as the ledger has them


def correct(
    settings: Settings, now: Now, *, day: date | None = None, reason: str | None = None
) -> Report:
    """Count a sent edition's date again and tell its readers what has changed; nothing changed, nothing sent.

    A call that was cut off is finished by the next one, with the same words. A change after that is a
    correction of its own, measured against the one before.

    Args:
        settings: the digest.
        now: clock and waiting.
        day: the edition's date; None for the last one sent.
        reason: what the operator has to say of it.

    Raises:
        ConfigError: nobody got an edition of that date.
        ConnectorError, LedgerError: nothing was sent to anybody in this call.
    """
    ledger = open_ledger(settings.ledger, clock=now.clock, pin=pin_of(settings))
    business_date = day or ledger.last_sent(settings.id)
    got = {} if business_date is None else _got(ledger, settings, business_date)
    if business_date is None or not got:
        which = f"of {business_date} " if business_date else ""
        raise ConfigError(
            f"{settings.path.name}: no edition {which}has reached anybody, so there is nothing to correct"
        )
    number, read = _newest(ledger, settings, business_date)
    fresh = _counted_again(settings, now, business_date)
    refuse_skew(settings, now)
    figures = figures_moved(read, fresh)
    if figures:
        number += 1
        facts = Corrects(number, min(got.values()), reason, figures)
        now.tell(_announced(business_date, facts, _readers(settings, got)))
        fresh = replace(fresh, corrects=facts)
    elif not number:
        text = f"nothing has changed since the edition of {business_date}, so nothing was sent"
        return Report(0, (text,), happened=False)
    return _send(settings, now, ledger, fresh, number=number, got=got)


def _got(ledger: Ledger, settings: Settings, business_date: date) -> dict[Served, datetime]:
    """Return who got the edition of the day, and when."""
    return {
        (row.channel, row.recipient): row.sent_at or row.changed_at
        for row in ledger.deliveries(settings.id, business_date)
        if row.state is State.SENT
    }


def _newest(ledger: Ledger, settings: Settings, business_date: date) -> tuple[int, Edition]:
    """Return the number of the last correction, 0 for none, and its edition."""
    number, text = 0, ledger.edition(settings.id, business_date)
    while later := ledger.edition(settings.id, business_date, correction=number + 1):
        number, text = number + 1, later
    return number, edition_from_json(text or "")


def _counted_again(settings: Settings, now: Now, business_date: date) -> Edition:
    """Compose the date once more: the same cut-off and the same edition before it."""
    before = memory_of(settings, business_date)
    memory = Memory(
        before.previous, before.sent_on
    )  # what is kept of closed months may be what is wrong
    return compose(settings, business_date, now=now.clock(), memory=memory)


def _readers(settings: Settings, got: Mapping[Served, datetime]) -> int:
    return sum(
        (name, delivery.normalised(recipient)) in got
        for name, channel in settings.channels.items()
        for recipient in channel.recipients
    )


def _announced(business_date: date, facts: Corrects, readers: int) -> str:
    moved = "; ".join(map(_figure, facts.figures))
    said = f"; why: {facts.reason}" if facts.reason else ""
    return (
        f"correction {facts.number} of the edition of {business_date}, to {readers} of its recipients: "
        f"{moved}{said}"
    )


def _figure(one: CorrectedFigure) -> str:
    name = "total" if one.segment is None else one.segment or "unassigned"
    before, now = ("none" if n is None else n for n in (one.before, one.now))
    return f"{name}, {one.figure} {before} -> {now}"


def _send(
    settings: Settings,
    now: Now,
    ledger: Ledger,
    edition: Edition,
    *,
    number: int,
    got: Mapping[Served, datetime],
) -> Report:
    def serves(channel: str, recipient: Recipient) -> bool:
        return (channel, delivery.normalised(recipient)) in got

    result = deliver(
        settings,
        now,
        ledger,
        edition.business_date,
        compose=lambda _previous: edition,
        serves=serves,
        named=True,
        correction=number,
    )
    report = report_of(result)
    about = f"correction {number} of {edition.business_date}"
    return replace(report, lines=tuple(f"{about}: {line}" for line in report.lines))

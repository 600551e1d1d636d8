"""What was sent, as facts and as a table for a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from email.parser import BytesHeaderParser
from email.policy import default
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from digest.addresses import masked
from digest.ledger import Delivery, Run, State

if TYPE_CHECKING:
    from digest.ledger.store import Reader
    from digest.settings import Settings

Facts = Mapping[str, Any]


def facts(reader: Reader, settings: Settings, *, day: date | None, last: int) -> Facts:
    """Return the runs of a digest, newest first, and every open outcome, ready for JSON.

    Recipients are masked; only the key of an open outcome names its address, because settling it needs it.
    """
    chosen = [
        run for run in reader.runs(settings.id, limit=10_000) if day in (None, run.business_date)
    ]
    return {
        "digest": settings.id,
        "ledger": str(settings.ledger),
        "unknown": [
            _open(one, reader.message(one), settings.timezone)
            for one in reader.unknown()
            if one.digest == settings.id
        ],
        "runs": [
            _run(
                run,
                reader.deliveries(settings.id, run.business_date, correction=run.correction),
                settings.timezone,
            )
            for run in chosen[:last]
        ],
    }


def _run(run: Run, deliveries: Sequence[Delivery], timezone: str) -> Facts:
    return {
        "date": run.business_date.isoformat(),
        "correction": run.correction,
        "state": str(run.state),
        "note": run.note,
        "changed_at": _local(run.changed_at, timezone),
        "edition": run.edition,
        "deliveries": [
            {
                "channel": one.channel,
                "recipient": masked(one.recipient),
                "state": str(one.state),
                "attempts": one.attempts,
                "sent_at": one.sent_at and _local(one.sent_at, timezone),
                "reply": one.note,
                "message": one.message,
            }
            for one in deliveries
        ],
    }


def _open(one: Delivery, message: bytes, timezone: str) -> Facts:
    """What a person needs to find a mail in the relay's log."""
    return {
        "key": one.key,
        "since": _local(one.changed_at, timezone),
        "reply": one.note,
        "message_id": BytesHeaderParser(policy=default).parsebytes(message)["Message-ID"],
    }


def _local(instant: datetime, timezone: str) -> str:
    return instant.astimezone(ZoneInfo(timezone)).isoformat(timespec="seconds")


def table(found: Facts) -> str:
    """Return the facts as lines for a person: open outcomes first, then an edition a line."""
    lines = [
        f"outcome unknown: {one['key']}\n"
        f"  since {one['since']}: {one['reply']}\n"
        f"  look for Message-ID {one['message_id']} in the relay's log, then:\n"
        f"  digest resolve {one['key']} --sent, --resend or --cancel"
        for one in found["unknown"]
    ]
    if not found["runs"]:
        lines.append("no edition yet")
    for run in found["runs"]:
        states = Counter(one["state"] for one in run["deliveries"])
        counted = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
        note = f" ({run['note']})" if run["note"] else ""
        which = f" correction {run['correction']}" if run["correction"] else ""
        lines.append(f"{run['date']}{which}  {run['state']:<10} {counted or 'nobody'}{note}")
        if len(found["runs"]) == 1 or set(states) - {State.SENT}:
            lines += [_recipient(one) for one in run["deliveries"]]
    return "\n".join(lines)


def _recipient(one: Facts) -> str:
    when = f" {one['sent_at'][11:16]}" if one["sent_at"] else ""
    tries = f", {one['attempts']} attempts" if one["attempts"] > 1 else ""
    reply = f": {one['reply']}" if one["reply"] else ""
    return f"    {one['channel']} {one['recipient']}  {one['state']}{when}{tries}{reply}"

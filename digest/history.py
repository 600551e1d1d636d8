"""What was sent, as facts and as a table for a terminal."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from email.parser import BytesHeaderParser
from email.policy import default
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from digest.addresses import masked
from digest.dispatch import pin_of
from digest.errors import ConfigError
from digest.ledger import Attempt, Delivery, Restored, Run, State, open_ledger, read_ledger

if TYPE_CHECKING:
    from digest.ledger.store import Reader
    from digest.settings import Settings

Facts = Mapping[str, Any]
_UNSAFE = re.compile(r"[^A-Za-z0-9@._-]")  # in a file name


def facts(reader: Reader, settings: Settings, *, day: date | None, last: int) -> Facts:
    """Return the runs of a digest, newest first, and every open outcome, ready for JSON.

    Recipients are masked; only the key of an open outcome names its address, because settling it needs it.
    The Message-ID of each delivery is looked up when the runs are those of one `day`.
    """

    def known_as(one: Delivery) -> str | None:
        found = day is not None and reader.has(one.message)
        return _message_id(reader.message(one)) if found else None

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
                reader.attempts(settings.id, run.business_date, correction=run.correction),
                settings.timezone,
                known_as,
            )
            for run in chosen[:last]
        ],
    }


def _message_id(message: bytes) -> str | None:
    """None where the message is no mail."""
    found = BytesHeaderParser(policy=default).parsebytes(message)["Message-ID"]
    return None if found is None else str(found)


def _run(
    run: Run,
    deliveries: Sequence[Delivery],
    attempts: Sequence[Attempt],
    timezone: str,
    known_as: Callable[[Delivery], str | None],
) -> Facts:
    return {
        "date": run.business_date.isoformat(),
        "correction": run.correction,
        "state": str(run.state),
        "note": run.note,
        "began_at": _local(run.created_at, timezone),
        "changed_at": _local(run.changed_at, timezone),
        "edition": run.edition,
        "deliveries": [
            {
                "channel": one.channel,
                "recipient": masked(one.recipient),
                "state": str(one.state),
                "attempts": one.attempts,
                "tries": [_try(each, timezone) for each in attempts if each.key == one.key],
                "sent_at": one.sent_at and _local(one.sent_at, timezone),
                "reply": one.note,
                "message": one.message,
                "message_id": known_as(one),
            }
            for one in deliveries
        ],
    }


def _try(attempt: Attempt, timezone: str) -> Facts:
    return {
        "number": attempt.generation,
        "host": attempt.owner.host,
        "began_at": _local(attempt.began_at, timezone),
        "ended_at": attempt.ended_at and _local(attempt.ended_at, timezone),
        "outcome": attempt.outcome and str(attempt.outcome),
        "words": attempt.words,
    }


def freshness(settings: Settings, now: datetime, max_age: timedelta) -> tuple[str, bool]:
    """Say when a digest last had success, and whether that was within `max_age`.

    Success is a message that was taken or a day noted to have no edition.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    from digest.ledger.figures import last_success

    reader = read_ledger(settings.ledger)
    last = None if reader is None else last_success(reader, settings.id)
    if last is None:
        return "no success yet", False
    return f"last success {_local(last, settings.timezone)}", now - last <= max_age


def _open(one: Delivery, message: bytes, timezone: str) -> Facts:
    """What a person needs to find a mail in the relay's log."""
    return {
        "key": one.key,
        "since": _local(one.changed_at, timezone),
        "reply": one.note,
        "message_id": _message_id(message),
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
            for one in run["deliveries"]:
                lines.append(_recipient(one))
                if len(found["runs"]) == 1 and len(one["tries"]) > 1:
                    lines += [_tried(each) for each in one["tries"]]
    return "\n".join(lines)


def _tried(attempt: Facts) -> str:
    ended = attempt["ended_at"] and f"-{attempt['ended_at'][11:19]}"
    words = f": {attempt['words']}" if attempt["words"] else ""
    return (
        f"        {attempt['began_at'][11:19]}{ended or ''} {attempt['host']}  "
        f"{attempt['outcome'] or 'at work'}{words}"
    )


def export(reader: Reader, settings: Settings, day: date, folder: Path) -> tuple[str, ...]:
    """Write what is frozen of a date, byte by byte, and say where each file is.

    Raises:
        ConfigError: there was no edition on that date, or the folder cannot be written.
    """
    chosen = [
        run
        for run in reader.runs(settings.id, limit=10_000)
        if run.business_date == day and run.edition
    ]
    if not chosen:
        raise ConfigError(f"--date: no edition of {day} is in the ledger; see `digest history`")
    said = []
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for run in chosen:
            which = f"{settings.id}-{day}" + (f".c{run.correction}" if run.correction else "")
            text = reader.edition(settings.id, day, correction=run.correction) or ""
            said.append(_written(folder / f"{which}-edition.json", text.encode()))
            for one in reader.deliveries(settings.id, day, correction=run.correction):
                if not reader.has(one.message):
                    said.append(f"{one.channel} {masked(one.recipient)}: its bytes were purged")
                    continue
                content = reader.message(one)
                kind = "json" if content.startswith((b"{", b"[")) else "eml"
                name = f"{which}-{one.channel}-{masked(one.recipient)}-{one.message[:8]}.{kind}"
                said.append(_written(folder / _UNSAFE.sub("_", name), content))
    except OSError as error:
        raise ConfigError(
            f"--export: {folder} cannot be written ({error.strerror}); name another folder"
        ) from error
    return tuple(said)


def _written(path: Path, content: bytes) -> str:
    """Write a file that only its owner can read; never through a link that lies in its place."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    return str(path)


def removed(settings: Settings, *, clock: Callable[[], datetime]) -> str:
    """Remove what the settings no longer keep, and say what it was.

    Raises:
        LedgerError: as for sending; a ledger that cannot be trusted is not purged.
    """
    ledger = open_ledger(settings.ledger, clock=clock, pin=pin_of(settings))
    today = clock().astimezone(ZoneInfo(settings.timezone)).date()
    messages = today - timedelta(days=settings.messages_days)
    editions = today - timedelta(days=settings.editions_days)
    purged = ledger.purge(settings.id, messages_before=messages, editions_before=editions)
    return (
        f"{settings.id}: removed editions before {editions}: {purged.editions}; "
        f"contents nobody needs, with messages before {messages}: {purged.contents} "
        f"({purged.size / 1_000_000:.1f} MB); what is unsettled stays"
    )


def about_restored(found: Restored | None, *, done: bool) -> str:
    """Return what becomes of a ledger that was restored from a backup, as lines for a person."""
    if found is None:
        return "the ledger is not older than its seal; there is nothing to do"
    closed, lost = ("is", "is now") if done else ("would be", "would be")
    lines = [
        f"{found.ledger} knows of {found.known} messages handed over, there were {found.committed}",
        *(
            f"{digest}: no edition up to {day} {closed} begun any more; "
            "the next one covers its days"
            for digest, day in sorted(found.newest.items())
        ),
        *(f"{one.key}: {lost} unknown, for you to settle" for one in found.unknown),
    ]
    if not done:
        lines.append("nothing is changed yet; to do it: digest resolve --after-restore --yes")
    return "\n".join(lines)


def _recipient(one: Facts) -> str:
    when = f" {one['sent_at'][11:16]}" if one["sent_at"] else ""
    tries = f", {one['attempts']} attempts" if one["attempts"] > 1 else ""
    reply = f": {one['reply']}" if one["reply"] else ""
    return f"    {one['channel']} {one['recipient']}  {one['state']}{when}{tries}{reply}"

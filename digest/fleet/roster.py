"""Mirrors the settings of some folders into the schedule, so that planning opens no file.

Only what is new or has changed is read. A broken file is named and stops no other; a folder that cannot
be read, or is suddenly empty, takes nobody out of the schedule.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from digest.connectors import HasAccount
from digest.due import Window, day_of, today_of, window_of
from digest.errors import ConfigError, DigestError
from digest.ledger import Postgres, fleet
from digest.ledger.backend import Lock
from digest.settings import files_of, load
from digest.settings.inheritance import DEFAULTS
from digest.settings.watch import Stamp, stamp_of
from digest.snapshot import fingerprint

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from digest.ledger.fleet import Entry, Known
    from digest.ledger.store import Ledger
    from digest.settings import Settings

# So far ahead the free days of a digest are known without its settings; they are read again in time.
HORIZON = timedelta(days=45)
_RENEWED = timedelta(days=14)
_CHUNK = 200  # digests per transaction
_MOST_SAID = 10


@dataclass(frozen=True, slots=True)
class Timetable:
    """What decides when a digest's edition of a date is due, its calendar aside."""

    id: str
    timezone: str
    send_at: time
    send_until: time
    spread: timedelta


@dataclass(frozen=True, slots=True)
class Synced:
    """What a look at the folders has changed.

    Attributes:
        broken: by file, the sentences that say what is wrong. fresh: those among them that are new.
        gone: files that have vanished.
    """

    read: int
    broken: Mapping[str, str]
    fresh: tuple[str, ...]
    gone: tuple[str, ...]


@dataclass
class Roster:
    """The files of one fleet and what is remembered of them between two looks.

    Attributes:
        paths: files and folders, as they were named.
        place: the fleet's ledger; a digest with another one is refused, it would be sent from two places.
        environment: variables that a digest's secrets may name.
    """

    paths: Sequence[Path]
    place: Postgres
    environment: Mapping[str, str]
    _hashes: dict[Path, tuple[Stamp, str]] = field(default_factory=dict)

    def sync(self, ledger: Ledger) -> Synced:
        """Bring the schedule up to what the files say."""
        found, errors = self._files()
        roots = sorted({*found.values(), *(str(root) for root, _ in errors)})
        broken = {str(root): (str(root), said) for root, said in errors}
        with ledger.transaction() as connection:
            known = fleet.known_files(connection, roots)
        today = _now(ledger).date()
        wanted = [path for path in found if self._is_news(path, known.get(str(path)), today)]
        read = 0
        for start in range(0, len(wanted), _CHUNK):
            chunk = wanted[start : start + _CHUNK]
            entries, wrong = self._read(chunk, found, _now(ledger))
            broken |= wrong
            with ledger.change() as (connection, _):
                twice = _refuse_twins(connection, entries, known, set(map(str, found)))
                broken |= twice
                fleet.write_entries(connection, [e for e in entries if e.path not in twice])
            read += len(entries)
        empty = {str(root) for root, _ in errors}
        vanished = [
            path
            for path, one in known.items()
            if Path(path) not in found and not one.gone and _root_of(path, roots) not in empty
        ]
        with ledger.change() as (connection, now):
            still = fleet.broken_files(connection)
            # Broken files are read in each look: what breaks one may stand in another file.
            fresh = fleet.write_broken(connection, roots, broken, now)
            fleet.write_gone(connection, vanished, now)
            if read or vanished or len(still) != len(broken):
                fleet.give_turns(connection)
        return Synced(
            read, {path: said for path, (_, said) in broken.items()}, fresh, tuple(vanished)
        )

    def _files(self) -> tuple[dict[Path, str], list[tuple[Path, str]]]:
        """Return the files with the folder each was found in, and the folders that cannot be used."""
        found: dict[Path, str] = {}
        errors: list[tuple[Path, str]] = []
        for path in self.paths:
            root = path.absolute()
            files, wrong = files_of([path])
            errors += [(root, str(error)) for error in wrong]
            for file in files:
                found[file.absolute()] = str(root if root.is_dir() else root.parent)
        return found, errors

    def _is_news(self, path: Path, known: Known | None, today: date) -> bool:
        return (
            known is None
            or known.gone
            or known.stamp != self.hash_of(path)
            or known.known_until < today + _RENEWED
        )

    def hash_of(self, path: Path) -> str:
        """Return the hash of a file with what it inherits; "" when it cannot be read."""
        stamp = stamp_of(path)
        before = self._hashes.get(path)
        if before is not None and before[0] == stamp:
            return before[1]
        found = content_hash(path)
        if stamp is not None:
            self._hashes[path] = (stamp, found)
        return found

    def _read(
        self, paths: Sequence[Path], roots: Mapping[Path, str], now: datetime
    ) -> tuple[list[Entry], dict[str, tuple[str, str]]]:
        entries: list[Entry] = []
        wrong: dict[str, tuple[str, str]] = {}
        for path in paths:
            stamp = self.hash_of(path)
            try:
                settings = load(path, environment=self.environment)
                refuse_other_ledger(settings, self.place)
                entries.append(entry_of(settings, root=roots[path], stamp=stamp, now=now))
            except DigestError as error:
                self._hashes.pop(path, None)
                wrong[str(path)] = (roots[path], str(error))
            except Exception as error:  # noqa: BLE001 - one file must not stop the others
                self._hashes.pop(path, None)
                wrong[str(path)] = (roots[path], f"{path}: {type(error).__name__}")
        return entries, wrong


def content_hash(path: Path) -> str:
    """Return the hash of a settings file with the defaults beside it; "" when it cannot be read."""
    whole = hashlib.sha256()
    try:
        whole.update(path.read_bytes())
    except OSError:
        return ""
    with suppress(OSError):
        whole.update(b"\0" + path.with_name(DEFAULTS).read_bytes())
    return whole.hexdigest()


def entry_of(settings: Settings, *, root: str, stamp: str, now: datetime) -> Entry:
    """Return what the schedule has to know of a digest.

    Raises:
        ConfigError: the calendar or the fiscal periods end before the horizon begins.
    """
    today = today_of(settings, now)
    window = window_of(settings, today)
    first = today if now < window.until else today + timedelta(days=1)
    free, known_until = _free_days(settings, today)
    window = window_of(settings, first)
    return fleet.Entry(
        digest=settings.id,
        root=root,
        path=str(settings.path),
        stamp=stamp,
        account=account_of(settings),
        operators=_operators(settings),
        heartbeat=settings.heartbeat is not None,
        readers=sum(len(channel.recipients) for channel in settings.channels.values()),
        timezone=settings.timezone,
        send_at=settings.send_at,
        send_until=settings.send_until,
        spread_seconds=int(settings.spread.total_seconds()),
        free=json.dumps({day.isoformat(): reason for day, reason in free.items()}),
        known_until=known_until,
        next_date=first,
        next_run_at=window.due_at,
        next_until=window.until,
    )


def _operators(settings: Settings) -> str:
    told = settings.alerts
    return fingerprint(repr(told)) if told.mail is not None or told.slack is not None else ""


def _free_days(settings: Settings, today: date) -> tuple[dict[date, str], date]:
    """Return the days without an edition, and up to where they are known."""
    free: dict[date, str] = {}
    day = today
    for ahead in range(HORIZON.days):
        day = today + timedelta(days=ahead)
        try:
            reason = day_of(settings, day).reason
        except ConfigError:
            if ahead == 0:
                raise
            return free, day - timedelta(days=1)  # `send` says it, when the day has come
        if reason is not None:
            free[day] = reason
    return free, day


def account_of(settings: Settings) -> str:
    """Return what the limits of a digest's source belong to; a source without limits is its own account."""
    connector = settings.connector
    own = f"{settings.connector_name}:{settings.id}"
    return settings.account or (connector.account if isinstance(connector, HasAccount) else own)


def later_than(entry: Entry, now: datetime) -> tuple[date, datetime, datetime]:
    """Return the date after an entry's next one, or today's when that is later, with its window.

    After an outage of days nothing is made up for: the next edition covers them.
    """
    following = max(entry.next_date + timedelta(days=1), today_of(timetable_of(entry), now))
    window = window_for(entry, following)
    return following, window.due_at, window.until


def window_for(entry: Entry, day: date) -> Window:
    """Return when the edition of a date may leave, from the schedule's row alone."""
    return window_of(timetable_of(entry), day)


def timetable_of(entry: Entry) -> Timetable:
    """Return when a digest is due, as its settings had it."""
    spread = timedelta(seconds=entry.spread_seconds)
    return Timetable(entry.digest, entry.timezone, entry.send_at, entry.send_until, spread)


def refuse_other_ledger(settings: Settings, place: Postgres) -> None:
    """Raise ConfigError for a digest whose ledger is not the fleet's."""
    if settings.ledger != place:
        raise ConfigError(
            f"{settings.path}, ledger: found {settings.ledger}, the fleet's is {place}; one fleet has one "
            f"ledger, best set in {DEFAULTS}"
        )


def _refuse_twins(
    connection: Connection, entries: Sequence[Entry], known: Mapping[str, Known], files: set[str]
) -> dict[str, tuple[str, str]]:
    """Return the files whose id another file has, each with what is wrong."""
    owners = fleet.owners_of(connection, [entry.digest for entry in entries])
    by_id: dict[str, dict[str, str]] = {}
    for entry in entries:
        by_id.setdefault(entry.digest, {})[entry.path] = entry.root
        owner = owners.get(entry.digest)
        if owner is not None and owner != entry.path and owner in files and owner in known:
            by_id[entry.digest][owner] = entry.root
    return {
        path: (
            root,
            f"id: {digest!r} is used by {', '.join(sorted(same))}; give each file its own id",
        )
        for digest, same in by_id.items()
        if len(same) > 1
        for path, root in same.items()
    }


def _root_of(path: str, roots: Sequence[str]) -> str:
    return next((root for root in roots if Path(path).parent == Path(root)), "")


def _now(ledger: Ledger) -> datetime:
    with ledger.change(Lock.NONE) as (_, now):
        return now


def fleet_ledger(paths: Sequence[Path], environment: Mapping[str, str]) -> Postgres:
    """Return the ledger that the digests of some files and folders share: that of the first sound one.

    Raises:
        ConfigError: no file is sound, or its ledger is a file.
    """
    files, errors = files_of(paths)
    failed: list[DigestError] = list(errors)
    for settings in _sound(files, environment, failed):
        if isinstance(settings.ledger, Postgres):
            return settings.ledger
        raise ConfigError(
            f"{settings.path}, ledger: found the file {settings.ledger.name}; a fleet shares a PostgreSQL "
            f'database: write ledger = {{ url = "postgresql://user@host/database" }} into {DEFAULTS}'
        )
    lines = dict.fromkeys(line for error in failed for line in str(error).splitlines())
    raise ConfigError(*[*lines][:_MOST_SAID])


def _sound(
    files: Sequence[Path], environment: Mapping[str, str], failed: list[DigestError]
) -> Iterator[Settings]:
    for path in files:
        try:
            yield load(path, environment=environment)
        except DigestError as error:
            failed.append(error)

"""The tables of many digests on many hosts, beside the ledger's in its PostgreSQL schema.

When each digest is due next, who is paused, what an account allows in a second, which files are broken.
None of it decides whether a message may be sent: that is what the ledger's own rows are for. A lost row
here costs a look at the settings and nothing else.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime, time, timedelta

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Date,
    Index,
    Integer,
    RowMapping,
    String,
    Table,
    Text,
    Time,
    and_,
    delete,
    func,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert

from digest.errors import LedgerError
from digest.ledger import AT_WORK, WAITING, RunState, State
from digest.ledger.alerts import alerts
from digest.ledger.notes import Noted
from digest.ledger.statements import ENDED
from digest.ledger.store import Ledger
from digest.ledger.tables import Instant, deliveries, meta, metadata, runs

schedule = Table(
    "fleet_schedule",
    metadata,
    Column("digest", String(200), primary_key=True),
    Column("root", Text, nullable=False),
    Column("path", Text, nullable=False),
    # Of the file and what it inherits, so that a host with another copy notices it.
    Column("stamp", String(64), nullable=False),
    Column("account", String(200), nullable=False),
    Column("operators", String(64), nullable=False),
    Column("heartbeat", Boolean, nullable=False),
    Column("readers", Integer, nullable=False),
    Column("timezone", String(64), nullable=False),
    Column("send_at", Time, nullable=False),
    Column("send_until", Time, nullable=False),
    Column("spread_seconds", Integer, nullable=False),
    # Days without an edition up to `known_until`, as JSON: date -> reason.
    Column("free", Text, nullable=False),
    Column("known_until", Date, nullable=False),
    Column("turn", Integer, nullable=False, server_default="0"),
    Column("next_date", Date, nullable=False),
    Column("next_run_at", Instant, nullable=False),
    Column("next_until", Instant, nullable=False),
    # The edition that was put into the queue last, until somebody has looked how it ended.
    Column("open_date", Date),
    Column("open_until", Instant),
    # What the last pull asked of its account, and when the calls reserved for the next one begin.
    Column("calls", Integer),
    Column("slot_at", Instant),
    # How often the open edition has been held or put off, for the next wait.
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("gone_at", Instant),
    Index("fleet_schedule_due", "next_run_at"),
    Index("fleet_schedule_open", "open_until"),
)

pauses = Table(
    "fleet_pauses",
    metadata,
    Column("digest", String(200), primary_key=True),
    Column("since", Instant, nullable=False),
    Column("until", Date),
    Column("reason", Text, nullable=False),
)

budgets = Table(
    "fleet_budgets",
    metadata,
    Column("account", String(200), primary_key=True),
    # When the next call may leave at the earliest (the theoretical arrival time of GCRA).
    Column("tat", Instant, nullable=False),
    Column("blocked_until", Instant),
)

# When the places reserved for a digest's messages begin, by what takes them.
turns = Table(
    "fleet_turns",
    metadata,
    Column("digest", String(200), primary_key=True),
    Column("account", String(200), primary_key=True),
    Column("begins_at", Instant, nullable=False),
)

circuits = Table(
    "fleet_circuits",
    metadata,
    Column("account", String(200), primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("failed_at", Instant, nullable=False),
    Column("open_until", Instant),
)

broken = Table(
    "fleet_broken",
    metadata,
    Column("path", Text, primary_key=True),
    Column("root", Text, nullable=False),
    Column("error", Text, nullable=False),
    Column("since", Instant, nullable=False),
)

# When the operators got a summary last, by their fingerprint.
letters = Table(
    "fleet_letters",
    metadata,
    Column("operators", String(64), primary_key=True),
    Column("told_at", Instant, nullable=False),
)

TABLES = (schedule, pauses, budgets, turns, circuits, broken, letters)
FLEET = "fleet"  # the way of an alert that waits for its summary
TELLING = "fleet, being told"
_TELLING_LEASE = timedelta(minutes=5)
_KEPT_GONE = timedelta(days=7)
_LATELY = 8  # days


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What the schedule knows of one digest; instants are UTC.

    Attributes:
        root: the folder that was asked for. stamp: hash of the file and what it inherits.
        account: what its source's limits belong to. operators: fingerprint of whom its alerts tell.
        free: days without an edition up to `known_until`, JSON of date -> reason.
        next_date: the edition that is planned next, due at `next_run_at` and lost after `next_until`.
    """

    digest: str
    root: str
    path: str
    stamp: str
    account: str
    operators: str
    heartbeat: bool
    readers: int
    timezone: str
    send_at: time
    send_until: time
    spread_seconds: int
    free: str
    known_until: date
    next_date: date
    next_run_at: datetime
    next_until: datetime


@dataclass(frozen=True, slots=True)
class Due:
    """A due row and the pause that covers its date, None when nothing does."""

    entry: Entry
    paused: str | None


@dataclass(frozen=True, slots=True)
class Settled:
    """What the planner made of a due row.

    Attributes:
        state: planned, skipped or expired; None for a paused digest, of which nothing is written.
        later: the entry's next date, due instant and end.
    """

    entry: Entry
    state: RunState | None
    note: str | None
    later: tuple[date, datetime, datetime]


@dataclass(frozen=True, slots=True)
class Known:
    """What the schedule has of a file, to see whether it has to be read."""

    digest: str
    path: str
    stamp: str
    known_until: date
    gone: bool


@dataclass(frozen=True, slots=True)
class Task:
    """What a worker asks before it begins with an edition.

    Attributes:
        blocked_until: an account's Retry-After. closed_until: its circuit is open. failures: it had lately.
        now: the database's time.
    """

    entry: Entry
    gone: bool
    paused: str | None
    calls: int | None
    slot_at: datetime | None
    blocked_until: datetime | None
    closed_until: datetime | None
    failures: int
    now: datetime


@dataclass(frozen=True, slots=True)
class Client:
    """One digest as `fleet status` sees it.

    Attributes:
        run: of `day`, None when there is none. states: its deliveries by state.
        unknown: outcomes of any day that a person has to settle.
    """

    digest: str
    path: str
    account: str
    timezone: str
    next_date: date
    next_run_at: datetime
    day: date | None
    run: RunState | None
    note: str | None
    states: Mapping[State, int]
    unknown: int
    paused: str | None
    broken: str | None
    gone: bool


def make_tables(ledger: Ledger) -> None:
    """Make what is missing of the fleet's tables."""
    with ledger.change() as (connection, _):
        metadata.create_all(connection, tables=TABLES)


def refuse_without_tables(connection: Connection, ledger: str) -> None:
    """Raise LedgerError for a ledger in which no fleet was ever planned."""
    if connection.execute(select(func.to_regclass(schedule.name))).scalar_one() is None:
        raise LedgerError(
            f"{ledger} holds no fleet yet", remedy="`digest enqueue` or a worker makes it"
        )


def read_fact(connection: Connection, key: str) -> str | None:
    """Return what the ledger remembers of itself."""
    return connection.execute(select(meta.c.value).where(meta.c.key == key)).scalar_one_or_none()


def write_fact(connection: Connection, key: str, value: str) -> None:
    """Remember something of the ledger itself."""
    new = upsert(meta).values(key=key, value=value)
    connection.execute(new.on_conflict_do_update(index_elements=["key"], set_={"value": value}))


# -------------------------------------------------------------------------------- the schedule's rows


def known_files(connection: Connection, roots: Collection[str]) -> dict[str, Known]:
    """Return what is scheduled from some folders, by path."""
    chosen = select(schedule).where(schedule.c.root.in_(roots))
    return {
        row["path"]: Known(
            row["digest"],
            row["path"],
            row["stamp"],
            row["known_until"],
            row["gone_at"] is not None,
        )
        for row in connection.execute(chosen).mappings()
    }


def owners_of(connection: Connection, digests: Collection[str]) -> dict[str, str]:
    """Return the files in which some ids stand, by id."""
    chosen = select(schedule.c.digest, schedule.c.path).where(
        schedule.c.digest.in_(digests), schedule.c.gone_at.is_(None)
    )
    return {row.digest: row.path for row in connection.execute(chosen)}


def write_entries(connection: Connection, entries: Sequence[Entry]) -> None:
    """Put new and changed digests into the schedule."""
    if not entries:
        return
    rows = [{name: getattr(one, name) for name in _ENTRY} for one in entries]
    new = upsert(schedule)
    changed = {name: new.excluded[name] for name in _ENTRY if name != "digest"}
    # Who has read the same file a moment earlier has perhaps planned it already: its next date stands.
    differs = or_(
        schedule.c.stamp != new.excluded.stamp,
        schedule.c.path != new.excluded.path,
        schedule.c.known_until != new.excluded.known_until,
        schedule.c.gone_at.is_not(None),
    )
    connection.execute(
        new.on_conflict_do_update(
            index_elements=["digest"], set_={**changed, "gone_at": None}, where=differs
        ),
        rows,
    )


def give_turns(connection: Connection) -> None:
    """Number each account's digests, so that they take turns with those of others."""
    connection.execute(
        text(
            "UPDATE fleet_schedule s SET turn = r.n FROM (SELECT digest, row_number() OVER "
            "(PARTITION BY account ORDER BY digest) AS n FROM fleet_schedule) r "
            "WHERE r.digest = s.digest AND r.n IS DISTINCT FROM s.turn"
        )
    )


def write_gone(connection: Connection, paths: Collection[str], now: datetime) -> None:
    """Take the digests of vanished files out of the schedule, and forget those long gone."""
    if paths:
        vanished = update(schedule).where(schedule.c.path.in_(paths), schedule.c.gone_at.is_(None))
        connection.execute(vanished.values(gone_at=now))
    connection.execute(delete(schedule).where(schedule.c.gone_at < now - _KEPT_GONE))


def write_broken(
    connection: Connection,
    roots: Collection[str],
    errors: Mapping[str, tuple[str, str]],
    now: datetime,
) -> tuple[str, ...]:
    """Write down which files of some folders are broken; return those that were not, or otherwise.

    Args:
        connection: inside a transaction.
        roots: the folders.
        errors: by path, the folder and what is wrong.
        now: the database's time.
    """
    before = dict(
        connection.execute(
            select(broken.c.path, broken.c.error).where(broken.c.root.in_(roots))
        ).all()
    )
    mended = [path for path in before if path not in errors]
    if mended:
        connection.execute(delete(broken).where(broken.c.path.in_(mended)))
    fresh = tuple(path for path, (_, error) in errors.items() if before.get(path) != error)
    rows = [
        {"path": path, "root": errors[path][0], "error": errors[path][1], "since": now}
        for path in fresh
    ]
    if rows:
        new = upsert(broken)
        values = {"error": new.excluded.error, "since": new.excluded.since}
        connection.execute(new.on_conflict_do_update(index_elements=["path"], set_=values), rows)
    return fresh


# --------------------------------------------------------------------------------------- planning


def take_due(connection: Connection, now: datetime, limit: int) -> tuple[Due, ...]:
    """Take due rows that no other planner has, the tightest window first, accounts in turn.

    They are ours until the transaction ends; whoever plans has to move each to its next date.
    """
    query = (
        select(schedule)
        .where(schedule.c.next_run_at <= now, schedule.c.gone_at.is_(None))
        .order_by(schedule.c.next_until, schedule.c.turn, schedule.c.digest)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = connection.execute(query).mappings().all()
    paused = _paused(connection, [row["digest"] for row in rows])
    return tuple(
        Due(_entry(row), _reason(paused.get(row["digest"]), row["next_date"])) for row in rows
    )


def settle(connection: Connection, settled: Sequence[Settled], now: datetime) -> frozenset[str]:
    """Write the runs and move each digest to its next date; return the digests whose run is new.

    An expired edition that somebody had begun stays as it is: `take_overdue` finds it.

    Args:
        connection: inside the transaction that took them.
        settled: at least one.
        now: the database's time.
    """
    written = [one for one in settled if one.state is not None]
    new: set[str] = set()
    if written:
        asked = {
            "digests": [one.entry.digest for one in written],
            "days": [one.entry.next_date for one in written],
            "states": [str(one.state) for one in written],
            "notes": [one.note for one in written],
            "now": now,
        }
        new = set(connection.execute(text(_NEW_RUNS), asked).scalars())
    begun = [
        one.entry
        if one.state is RunState.PLANNED
        or (one.state is RunState.EXPIRED and one.entry.digest not in new)
        else None
        for one in settled
    ]
    moved = {
        "digests": [one.entry.digest for one in settled],
        "days": [one.later[0] for one in settled],
        "dues": [one.later[1] for one in settled],
        "ends": [one.later[2] for one in settled],
        "open": [entry and entry.next_date for entry in begun],
        "open_ends": [entry and entry.next_until for entry in begun],
    }
    connection.execute(text(_MOVE), moved)
    return frozenset(new)


# Columns as lists: a thousand rows as seven thousand parameters take longer to write down than to insert.
_NEW_RUNS = """
INSERT INTO runs (digest, business_date, correction, state, note, created_at, changed_at)
SELECT digest, day, 0, state, note, CAST(:now AS timestamptz), CAST(:now AS timestamptz)
FROM unnest(CAST(:digests AS text[]), CAST(:days AS date[]), CAST(:states AS text[]),
            CAST(:notes AS text[])) AS n (digest, day, state, note)
ON CONFLICT DO NOTHING RETURNING digest
"""
_MOVE = """
UPDATE fleet_schedule s
SET next_date = m.day, next_run_at = m.due, next_until = m.until, tries = 0,
    open_date = coalesce(m.open, s.open_date), open_until = coalesce(m.open_until, s.open_until)
FROM unnest(CAST(:digests AS text[]), CAST(:days AS date[]), CAST(:dues AS timestamptz[]),
            CAST(:ends AS timestamptz[]), CAST(:open AS date[]), CAST(:open_ends AS timestamptz[]))
     AS m (digest, day, due, until, open, open_until)
WHERE s.digest = m.digest
"""


def take_overdue(connection: Connection, now: datetime, limit: int) -> tuple[tuple[str, date], ...]:
    """Return editions whose time is over with somebody left unserved; each is returned once."""
    left = select(deliveries.c.key).where(
        deliveries.c.digest == schedule.c.digest,
        deliveries.c.business_date == schedule.c.open_date,
        deliveries.c.correction == 0,
        deliveries.c.state.in_((*WAITING, *AT_WORK)),
    )
    over = select(runs.c.digest).where(
        runs.c.digest == schedule.c.digest,
        runs.c.business_date == schedule.c.open_date,
        runs.c.correction == 0,
        runs.c.state.in_(ENDED),
    )
    query = (
        select(
            schedule.c.digest, schedule.c.open_date, (over.exists() & ~left.exists()).label("over")
        )
        .where(schedule.c.open_until <= now)
        .order_by(schedule.c.open_until, schedule.c.digest)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = connection.execute(query).all()
    if rows:
        chosen = update(schedule).where(schedule.c.digest.in_([row.digest for row in rows]))
        connection.execute(chosen.values(open_date=None, open_until=None))
    return tuple((row.digest, row.open_date) for row in rows if not row.over)


def plan_again(connection: Connection, digest: str, later: tuple[date, datetime, datetime]) -> None:
    """Set the date that is planned next for a digest."""
    day, due_at, until = later
    connection.execute(
        update(schedule)
        .where(schedule.c.digest == digest)
        .values(next_date=day, next_run_at=due_at, next_until=until)
    )


def entry_of(connection: Connection, digest: str) -> Entry | None:
    """Return a digest's entry, None when it is not in the schedule."""
    query = select(schedule).where(schedule.c.digest == digest, schedule.c.gone_at.is_(None))
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else _entry(row)


# ------------------------------------------------------------------------------------- the work


def task_of(connection: Connection, digest: str, day: date) -> Task | None:
    """Return what a worker has to know before it begins, in one question."""
    query = (
        select(
            schedule,
            pauses.c.reason.label("paused"),
            pauses.c.until.label("paused_until"),
            budgets.c.blocked_until,
            circuits.c.open_until.label("closed_until"),
            circuits.c.failures,
            func.clock_timestamp().label("now"),
        )
        .outerjoin(pauses, pauses.c.digest == schedule.c.digest)
        .outerjoin(budgets, budgets.c.account == schedule.c.account)
        .outerjoin(circuits, circuits.c.account == schedule.c.account)
        .where(schedule.c.digest == digest)
    )
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        return None
    pause = None if row["paused"] is None else (row["paused"], row["paused_until"])
    return Task(
        _entry(row),
        row["gone_at"] is not None,
        _reason(pause, day),
        row["calls"],
        row["slot_at"],
        row["blocked_until"],
        row["closed_until"],
        row["failures"] or 0,
        row["now"],
    )


def note_pull(connection: Connection, digest: str, calls: int) -> None:
    """Remember how many calls a digest's pull took, and that its reservation is used up."""
    values = {"calls": calls, "slot_at": None}
    connection.execute(update(schedule).where(schedule.c.digest == digest).values(values))


def note_try(connection: Connection, digest: str) -> int:
    """Count one more try of a digest's open edition, and return how many there were."""
    counted = (
        update(schedule)
        .where(schedule.c.digest == digest)
        .values(tries=schedule.c.tries + 1)
        .returning(schedule.c.tries)
    )
    return connection.execute(counted).scalar_one_or_none() or 1


def keep_slot(connection: Connection, digest: str, slot_at: datetime | None) -> None:
    """Remember when the calls reserved for a digest begin."""
    connection.execute(update(schedule).where(schedule.c.digest == digest).values(slot_at=slot_at))


def keep_turn(connection: Connection, digest: str, account: str, begins_at: datetime) -> None:
    """Remember when the places reserved for a digest's messages begin."""
    row = {"digest": digest, "account": account, "begins_at": begins_at}
    new = upsert(turns).values(row)
    connection.execute(new.on_conflict_do_update(index_elements=["digest", "account"], set_=row))


def take_turn(connection: Connection, digest: str, account: str, within: float) -> float | None:
    """Return the seconds until a digest's reserved places begin, None when none are; negative once they have.

    A turn that begins within so many seconds, or has begun, is forgotten: it is being used, or lost.
    """
    chosen = and_(turns.c.digest == digest, turns.c.account == account)
    early = func.extract("epoch", turns.c.begins_at - func.clock_timestamp())
    left = connection.execute(select(early).where(chosen)).scalar_one_or_none()
    if left is not None and left <= within:
        connection.execute(delete(turns).where(chosen))
    return None if left is None else float(left)


@dataclass(frozen=True, slots=True)
class Reservation:
    """Calls of an account in a row.

    Attributes:
        wait: seconds until the first may leave. end: when the account is free again; names it.
    """

    wait: float
    end: datetime


def take(connection: Connection, account: str, calls: int, per_second: float) -> Reservation:
    """Reserve calls of an account in a row.

    GCRA without a burst, by the database's clock, in one statement: whoever asks at the same time gets
    another place.
    """
    asked = {"account": account, "seconds": calls / per_second}
    wait, end = connection.execute(text(_TAKE), asked).one()
    return Reservation(float(wait), end)


_TAKE = """
INSERT INTO fleet_budgets AS b (account, tat)
VALUES (:account, clock_timestamp() + make_interval(secs => :seconds))
ON CONFLICT (account) DO UPDATE
SET tat = greatest(b.tat, clock_timestamp()) + make_interval(secs => :seconds)
RETURNING greatest(extract(epoch FROM tat - make_interval(secs => :seconds) - clock_timestamp()), 0), tat
"""


def give_back(connection: Connection, account: str, end: datetime, seconds: float) -> bool:
    """Return reserved time that was not needed; False when somebody has reserved behind it."""
    given = connection.execute(
        text(
            "UPDATE fleet_budgets SET tat = greatest(tat - make_interval(secs => :seconds), "
            "clock_timestamp()) WHERE account = :account AND tat = :end"
        ),
        {"account": account, "seconds": seconds, "end": end},
    )
    return given.rowcount == 1


def retry_after(connection: Connection, account: str, seconds: float) -> None:
    """Let nobody call an account for a while, as its vendor asks."""
    connection.execute(text(_RETRY_AFTER), {"account": account, "seconds": seconds})


_RETRY_AFTER = """
INSERT INTO fleet_budgets AS b (account, tat, blocked_until)
VALUES (:account, clock_timestamp() + make_interval(secs => :seconds),
        clock_timestamp() + make_interval(secs => :seconds))
ON CONFLICT (account) DO UPDATE
SET tat = greatest(b.tat, excluded.tat), blocked_until = greatest(b.blocked_until, excluded.tat)
"""


def blocked_for(connection: Connection, account: str) -> float:
    """Return the seconds that an account's vendor still asks for."""
    left = func.extract("epoch", budgets.c.blocked_until - func.clock_timestamp())
    query = select(left).where(
        budgets.c.account == account, budgets.c.blocked_until > func.clock_timestamp()
    )
    return float(connection.execute(query).scalar_one_or_none() or 0)


# ------------------------------------------------------------------------------------- the circuit


def note_failure(
    connection: Connection,
    account: str,
    now: datetime,
    *,
    limit: int,
    memory: timedelta,
    rest: timedelta,
) -> bool:
    """Count a failure of an account; True when this one is the last that it may have for now.

    From the `limit`th within `memory` on, the account rests; after a rest a single failure is enough.
    """
    row = connection.execute(
        text(_FAILURE),
        {"account": account, "now": now, "limit": limit, "memory": memory, "rest": rest},
    ).one_or_none()
    return row is not None and bool(row.opened)


_FAILURE = """
INSERT INTO fleet_circuits AS c (account, failures, failed_at, open_until)
VALUES (:account, 1, :now, CASE WHEN :limit <= 1 THEN CAST(:now AS timestamptz) + :rest END)
ON CONFLICT (account) DO UPDATE SET
  failures = CASE WHEN c.failed_at < CAST(:now AS timestamptz) - CAST(:memory AS interval)
             THEN 1 ELSE c.failures + 1 END,
  failed_at = :now,
  open_until = CASE WHEN c.open_until > :now THEN c.open_until
    WHEN c.failed_at >= CAST(:now AS timestamptz) - CAST(:memory AS interval)
     AND c.failures + 1 >= :limit THEN CAST(:now AS timestamptz) + CAST(:rest AS interval) END
RETURNING open_until = CAST(:now AS timestamptz) + CAST(:rest AS interval) AS opened
"""


def note_success(connection: Connection, account: str) -> bool:
    """Forget an account's failures; True when its circuit had been open."""
    gone = delete(circuits).where(circuits.c.account == account).returning(circuits.c.open_until)
    row = connection.execute(gone).one_or_none()
    return row is not None and row.open_until is not None


def time_of(connection: Connection) -> datetime:
    """Return the database's own time, with which every host compares."""
    now: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return now


def open_circuits(connection: Connection, now: datetime) -> dict[str, datetime]:
    """Return the accounts that rest, and until when."""
    query = select(circuits.c.account, circuits.c.open_until).where(circuits.c.open_until > now)
    return {row.account: row.open_until for row in connection.execute(query)}


# --------------------------------------------------------------------------------------- pauses


def pause(
    connection: Connection, digest: str, now: datetime, *, until: date | None, reason: str
) -> None:
    """Plan nothing for a digest, up to and with a date or until it is resumed."""
    row = {"digest": digest, "since": now, "until": until, "reason": reason}
    new = upsert(pauses).values(row)
    connection.execute(new.on_conflict_do_update(index_elements=["digest"], set_=row))


def resume(connection: Connection, digest: str) -> bool:
    """End a pause; False when there was none."""
    return connection.execute(delete(pauses).where(pauses.c.digest == digest)).rowcount == 1


def _paused(
    connection: Connection, digests: Collection[str] | None = None
) -> dict[str, tuple[str, date | None]]:
    query = select(pauses.c.digest, pauses.c.reason, pauses.c.until)
    if digests is not None:
        query = query.where(pauses.c.digest.in_(digests))
    return {digest: (reason, until) for digest, reason, until in connection.execute(query)}


def _reason(pause: tuple[str, date | None] | None, day: date) -> str | None:
    """Return why a digest is paused on a date, None when it is not."""
    if pause is None or (pause[1] is not None and day > pause[1]):
        return None
    return pause[0]


# ---------------------------------------------------------------------------------------- status


def clients(connection: Connection) -> tuple[Client, ...]:
    """Return every digest with the newest of its editions that has begun, by id."""
    newest = (
        select(runs.c.digest, func.max(runs.c.business_date).label("day"))
        .where(runs.c.correction == 0, runs.c.business_date >= func.current_date() - _LATELY)
        .group_by(runs.c.digest)
        .subquery()
    )
    query = (
        select(schedule, runs.c.business_date, runs.c.state, runs.c.note, broken.c.error)
        .outerjoin(newest, newest.c.digest == schedule.c.digest)
        .outerjoin(
            runs,
            (runs.c.digest == newest.c.digest)
            & (runs.c.business_date == newest.c.day)
            & (runs.c.correction == 0),
        )
        .outerjoin(broken, broken.c.path == schedule.c.path)
        .order_by(schedule.c.digest)
    )
    rows = connection.execute(query).mappings().all()
    days = {row["business_date"] for row in rows if row["business_date"] is not None}
    states: dict[tuple[str, date], dict[State, int]] = {}
    counted = (
        select(deliveries.c.digest, deliveries.c.business_date, deliveries.c.state, func.count())
        .where(deliveries.c.business_date.in_(days), deliveries.c.correction == 0)
        .group_by(deliveries.c.digest, deliveries.c.business_date, deliveries.c.state)
    )
    for digest, day, state, count in connection.execute(counted):
        states.setdefault((digest, day), {})[State(state)] = count
    open_ = (
        select(deliveries.c.digest, func.count())
        .where(deliveries.c.state == State.UNKNOWN)
        .group_by(deliveries.c.digest)
    )
    unknown = {digest: count for digest, count in connection.execute(open_)}  # noqa: C416 - rows
    paused = _paused(connection)
    return tuple(
        Client(
            row["digest"],
            row["path"],
            row["account"],
            row["timezone"],
            row["next_date"],
            row["next_run_at"],
            row["business_date"],
            None if row["state"] is None else RunState(row["state"]),
            row["note"],
            states.get((row["digest"], row["business_date"]), {}),
            unknown.get(row["digest"], 0),
            _reason(paused.get(row["digest"]), row["next_date"]),
            row["error"],
            row["gone_at"] is not None,
        )
        for row in rows
    )


def jobs(connection: Connection) -> dict[tuple[str, str], int]:
    """Return how many jobs there are, by queue and state."""
    query = "SELECT queue_name, status, count(*) FROM procrastinate_jobs GROUP BY 1, 2"
    return {(queue, state): count for queue, state, count in connection.execute(text(query))}


def lag(connection: Connection, now: datetime) -> float:
    """Return the seconds since the oldest edition was due that is neither out nor given up."""
    planned = select(func.min(runs.c.created_at)).where(
        runs.c.state.not_in(ENDED),
        runs.c.business_date >= func.current_date() - _LATELY,
        runs.c.digest.in_(select(schedule.c.digest)),
    )
    unplanned = select(func.min(schedule.c.next_run_at)).where(
        schedule.c.next_run_at <= now, schedule.c.gone_at.is_(None)
    )
    since = [connection.execute(query).scalar_one() for query in (planned, unplanned)]
    return max(((now - one).total_seconds() for one in since if one is not None), default=0.0)


def broken_files(connection: Connection) -> tuple[tuple[str, str, datetime], ...]:
    """Return each broken file, what is wrong with it, and since when."""
    query = select(broken.c.path, broken.c.error, broken.c.since).order_by(broken.c.path)
    return tuple((path, error, since) for path, error, since in connection.execute(query))


# ---------------------------------------------------------------------------------------- alerts


@dataclass(frozen=True, slots=True)
class Waiting:
    """An alert that waits for the fleet's summary.

    Attributes:
        operators: fingerprint of whom it concerns. path: of the settings that name them.
        over: its cause has ended before anybody was told.
    """

    noted: Noted
    operators: str
    path: str
    over: bool


def raise_alerts(connection: Connection, noted: Iterable[Noted], now: datetime) -> None:
    """Write alerts down for the fleet's summary; those that stand already stay as they are."""
    rows = [
        {
            "digest": one.digest,
            "cause": one.cause,
            "business_date": one.business_date,
            "about": one.about,
            "text": one.text,
            "raised_at": now,
            "told_at": now,
            "way": FLEET,
        }
        for one in noted
    ]
    if rows:
        connection.execute(upsert(alerts).on_conflict_do_nothing(), rows)


def is_told_about(connection: Connection, about: str, day: date) -> bool:
    """Whether something was raised of a subject on a date, whichever digest found it."""
    query = select(alerts.c.digest).where(alerts.c.about == about, alerts.c.business_date == day)
    return connection.execute(query.limit(1)).first() is not None


def claim_alerts(connection: Connection, now: datetime, every: timedelta) -> tuple[Waiting, ...]:
    """Take what the operators have not been told yet, oldest first; nobody else tells it meanwhile.

    Whoever got a summary less than `every` ago gets the next one later.
    """
    lately = select(letters.c.operators).where(letters.c.told_at > now - every)
    stuck = and_(alerts.c.way == TELLING, alerts.c.told_at < now - _TELLING_LEASE)
    query = (
        select(alerts, schedule.c.operators, schedule.c.path)
        .join(schedule, schedule.c.digest == alerts.c.digest)
        .where(or_(alerts.c.way == FLEET, stuck), schedule.c.operators.not_in(lately))
        .order_by(alerts.c.raised_at, alerts.c.digest)
        .with_for_update(of=alerts, skip_locked=True)
    )
    found = tuple(_waiting(row) for row in connection.execute(query).mappings())
    mark_alerts(connection, [one.noted for one in found], TELLING, now)
    return found


def waiting_alerts(connection: Connection) -> tuple[Waiting, ...]:
    """Return what the operators have not been told yet, oldest first."""
    query = (
        select(alerts, schedule.c.operators, schedule.c.path)
        .join(schedule, schedule.c.digest == alerts.c.digest)
        .where(alerts.c.way.in_((FLEET, TELLING)))
        .order_by(alerts.c.raised_at, alerts.c.digest)
    )
    return tuple(_waiting(row) for row in connection.execute(query).mappings())


def _waiting(row: RowMapping) -> Waiting:
    noted = Noted(row["digest"], row["cause"], row["business_date"], row["about"], row["text"])
    return Waiting(noted, row["operators"], row["path"], row["ended_at"] is not None)


def mark_alerts(connection: Connection, noted: Iterable[Noted], way: str, now: datetime) -> None:
    """Write down how far the telling of alerts has come."""
    rows = [
        {
            "which": one.digest,
            "why": one.cause,
            "day": one.business_date,
            "what": one.about,
            "way": way,
            "at": now,
        }
        for one in noted
    ]
    if rows:
        connection.execute(
            text(
                "UPDATE alerts SET way = :way, told_at = :at WHERE digest = :which "
                "AND cause = :why AND business_date = :day AND about = :what"
            ),
            rows,
        )


def note_letter(connection: Connection, operators: str, now: datetime) -> None:
    """Remember when somebody got a summary."""
    new = upsert(letters).values(operators=operators, told_at=now)
    connection.execute(
        new.on_conflict_do_update(index_elements=["operators"], set_={"told_at": now})
    )


# --------------------------------------------------------------------------------------- the reading


_ENTRY = tuple(field.name for field in fields(Entry))


def _entry(row: RowMapping) -> Entry:
    return Entry(**{name: row[name] for name in _ENTRY})

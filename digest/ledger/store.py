"""Reading and writing the ledger; each method that changes something is one commit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Connection,
    RootTransaction,
    RowMapping,
    Select,
    Table,
    and_,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.exc import DBAPIError

from digest.errors import LedgerError
from digest.ledger import (
    AT_WORK,
    WAITING,
    Attempt,
    Claim,
    Decision,
    Delivery,
    Planned,
    Run,
    RunState,
    State,
    leases,
    statements,
)
from digest.ledger.backend import Backend, Lock
from digest.ledger.histories import History, read_history, write_history
from digest.ledger.leases import Lease
from digest.ledger.owner import Owner, read_owner
from digest.ledger.seal import Seal, write_seal
from digest.ledger.statements import ENDED, Parameters, has, of_run
from digest.ledger.tables import (
    COMMITS,
    STAGES,
    attempts,
    closed,
    contents,
    deliveries,
    meta,
    runs,
)

CLAIM_LEASE = timedelta(seconds=480)
COMMIT_LEASE = timedelta(seconds=660)  # the 600 s wait for the reply and a minute

T = TypeVar("T")
REMOVED = "recipient removed from the settings"

# What may be sent once more: its bytes have not been purged.
_KEPT = deliveries.c.message.in_(select(contents.c.sha256))
_OPEN = (*WAITING, *AT_WORK, State.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Purged:
    """What `purge` removed: editions with all that belongs to them, and the bytes of messages."""

    editions: int
    contents: int
    size: int


class Reader:
    """Looks at a ledger and never changes it."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._kept: Connection | None = None

    def run(self, digest: str, business_date: date, *, correction: int = 0) -> Run | None:
        """Return the run of a digest and date, None when there was none."""
        of = of_run(digest, business_date, correction)
        return next(iter(self._all(statements.RUN, _as_run, of)), None)

    def runs(self, digest: str | None = None, *, limit: int = 30) -> tuple[Run, ...]:
        """Return runs, corrections too, newest first."""
        newest = (runs.c.business_date.desc(), runs.c.digest, runs.c.correction.desc())
        query = select(runs).order_by(*newest).limit(limit)
        chosen = query if digest is None else query.where(runs.c.digest == digest)
        return self._all(chosen, _as_run)

    def deliveries(
        self, digest: str, business_date: date, *, correction: int = 0
    ) -> tuple[Delivery, ...]:
        """Return the deliveries of a run, by key."""
        of = of_run(digest, business_date, correction)
        return self._all(statements.DELIVERIES, _as_delivery, of)

    def delivery(self, key: str) -> Delivery | None:
        """Return one delivery, None when the key is not known."""
        query = select(deliveries).where(deliveries.c.key == key)
        return next(iter(self._all(query, _as_delivery)), None)

    def attempts(
        self, digest: str, business_date: date, *, correction: int = 0
    ) -> tuple[Attempt, ...]:
        """Return every attempt of a run's deliveries, by key and in order."""
        chosen = _run(deliveries, digest, business_date, correction)
        query = select(attempts).join(deliveries).where(*chosen)
        return self._all(query.order_by(attempts.c.key, attempts.c.generation), _as_attempt)

    def unknown(self, digest: str | None = None) -> tuple[Delivery, ...]:
        """Return the deliveries whose outcome a person has to settle, of one digest or all, oldest first."""
        if digest is None:
            return self._all(statements.UNKNOWN, _as_delivery)
        return self._all(statements.UNKNOWN_OF_DIGEST, _as_delivery, {"of_digest": digest})

    def ended_runs(self, dates: Collection[date]) -> dict[tuple[str, date], RunState]:
        """Return how the runs of some dates ended, by digest and date, but for those with work left."""
        query = select(runs.c.digest, runs.c.business_date, runs.c.state).where(
            runs.c.business_date.in_(tuple(dates)),
            runs.c.correction == 0,
            runs.c.state.in_(ENDED),
            ~has((*WAITING, *AT_WORK)),
        )
        return {
            (row["digest"], row["business_date"]): RunState(row["state"])
            for row in self._rows(query)
        }

    def edition(self, digest: str, business_date: date, *, correction: int = 0) -> str | None:
        """Return the frozen edition as JSON, None when none was frozen."""
        of = of_run(digest, business_date, correction)
        return next(iter(self._editions(statements.EDITION, of)), None)

    def sent_editions(
        self,
        digest: str,
        *,
        since: date | None = None,
        before: date | None = None,
        limit: int = 400,
    ) -> tuple[str, ...]:
        """Return editions that reached at least one recipient, as JSON, newest first.

        Of a date with corrections it is the newest of them that reached somebody.

        Args:
            digest: id of the digest.
            since: first business date, inclusive.
            before: last business date, exclusive.
            limit: at most so many.
        """
        query = statements.sent_editions(since=since is not None, before=before is not None)
        limits = {"if_since": since, "if_before": before, "if_limit": limit}
        return self._editions(query, {"of_digest": digest, **limits})

    def previous_edition(self, digest: str, before: date) -> str | None:
        """Return the last edition really sent before a business date, as JSON."""
        return next(iter(self.sent_editions(digest, before=before, limit=1)), None)

    def last_sent(self, digest: str) -> date | None:
        """Return the newest business date of which somebody got the edition."""
        query = statements.sent_runs(since=False, before=False)
        rows = self._rows(query, {"of_digest": digest, "if_limit": 1})
        return rows[0]["business_date"] if rows else None

    def history(self, digest: str) -> History | None:
        """Return the closed months' counts that are kept of a digest."""
        with self._look() as connection:
            return read_history(connection, digest)

    def message(self, delivery: Delivery) -> bytes:
        """Return the frozen bytes of a delivery."""
        return self._content(delivery.message)

    def __str__(self) -> str:
        return str(self._backend)

    def _editions(self, query: Select[Any], parameters: Parameters) -> tuple[str, ...]:
        rows = self._rows(query, parameters)
        return tuple(self._checked(row["edition"], row["content"]).decode() for row in rows)

    def _content(self, sha256: str) -> bytes:
        rows = self._rows(select(contents.c.content).where(contents.c.sha256 == sha256))
        return self._checked(sha256, rows[0]["content"] if rows else None)

    def _checked(self, sha256: str, content: bytes | None) -> bytes:
        if content is None:
            raise LedgerError(
                f"{self._backend} no longer has the content {sha256[:12]}",
                remedy="it was purged when its retention was over; its hash is all that is left",
            )
        if hashlib.sha256(content).hexdigest() != sha256:
            raise LedgerError(
                f"{self._backend} is damaged: content {sha256[:12]} has changed",
                remedy="restore it from a backup",
            )
        return content

    def _all(
        self,
        query: Select[Any],
        read: Callable[[RowMapping], T],
        parameters: Parameters | None = None,
    ) -> tuple[T, ...]:
        # Read inside, because a row that cannot be read is a damage like any other.
        with self._look() as connection:
            return tuple(read(row) for row in connection.execute(query, parameters).mappings())

    def _rows(
        self, query: Select[Any] | CompoundSelect[Any], parameters: Parameters | None = None
    ) -> Sequence[RowMapping]:
        with self._look() as connection:
            return connection.execute(query, parameters).mappings().all()

    def transaction(self, lock: Lock | str = Lock.ALL) -> AbstractContextManager[Connection]:
        """Open a transaction, for a table that is declared in a module of its own."""
        return self._transaction(lock)

    def has(self, sha256: str) -> bool:
        """Whether a content is there, or was purged."""
        return bool(self._rows(select(contents.c.sha256).where(contents.c.sha256 == sha256)))

    def describe(self) -> str:
        """Say which database the ledger is in, and whom it can serve."""
        return self._backend.describe()

    @contextmanager
    def connected(self) -> Iterator[None]:
        """Keep one connection for all transactions of a block; otherwise each opens its own.

        For a block that neither waits for long nor forks; in one of these it is the one of the outer block.
        """
        if self._kept is not None:
            yield
            return
        with self._backend.explained():
            self._kept = self._backend.engine.connect()
        try:
            with self._kept:
                yield
        finally:
            self._kept = None

    def _look(self) -> AbstractContextManager[Connection]:
        """Open a transaction for one statement that changes nothing."""
        return self._transaction(Lock.NONE, alone=True)

    @contextmanager
    def _transaction(
        self, lock: Lock | str = Lock.ALL, *, alone: bool = False
    ) -> Iterator[Connection]:
        kept = self._kept
        with (
            self._backend.explained(),
            self._backend.engine.connect() if kept is None else nullcontext(kept) as connection,
            self._begun(connection, lock, alone=alone),
        ):
            yield connection

    def _begun(self, connection: Connection, lock: Lock | str, *, alone: bool) -> RootTransaction:
        """Begin a transaction, on a fresh connection where the server has ended the kept one."""
        try:
            return self._begin(connection, lock, alone=alone)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
            return self._begin(connection, lock, alone=alone)

    def _begin(self, connection: Connection, lock: Lock | str, *, alone: bool) -> RootTransaction:
        transaction = connection.begin()
        try:
            self._backend.begin(connection, lock, alone=alone)
        except BaseException:
            transaction.rollback()
            raise
        return transaction


class Ledger(Reader):
    """Decides who sends what; every method is one durable commit.

    Attributes:
        owner: this process.
        room: bytes that must be free before a run's messages are stored.
    """

    room = 50_000_000
    claim_lease = CLAIM_LEASE
    commit_lease = COMMIT_LEASE

    def __init__(
        self,
        backend: Backend,
        *,
        clock: Callable[[], datetime],
        owner: Owner,
        gone: Callable[[Owner], bool],
        seal: Path | None = None,
    ) -> None:
        super().__init__(backend)
        self._seal = seal
        self._clock = clock
        self._gone = gone
        self.owner = owner

    # -------------------------------------------------------------------------------------- runs

    def open_run(self, digest: str, business_date: date, *, correction: int = 0) -> Run:
        """Return the run of a digest and date, made when it is the first call."""
        of = of_run(digest, business_date, correction)
        with self.change(digest) as (connection, now):
            made = statements.open_run(connection.dialect.name)
            if connection.execute(made, {**of, "now": now}).rowcount == 1:
                at = now.astimezone(UTC)
                return Run(digest, business_date, RunState.PLANNED, None, None, at, at, correction)
            if connection.execute(statements.DELIVERIES, of).first() is None:
                _refuse_closed(connection, digest, business_date, correction)
            return _as_run(connection.execute(statements.RUN, of).mappings().one())

    def mark_run(
        self,
        digest: str,
        business_date: date,
        state: RunState,
        note: str | None = None,
        *,
        correction: int = 0,
    ) -> None:
        """Write how far a run has come, and why."""
        of = of_run(digest, business_date, correction)
        with self.change(digest) as (connection, now):
            connection.execute(statements.MARK, {**of, **_so_far(state, now, note)})

    def mark_before_messages(
        self,
        digest: str,
        business_date: date,
        state: RunState,
        note: str | None = None,
        *,
        correction: int = 0,
    ) -> None:
        """Likewise, unless messages are stored already, perhaps by another process that sends them."""
        of = of_run(digest, business_date, correction)
        with self.change(digest) as (connection, now):
            marked = {**of, **_so_far(state, now, note)}
            connection.execute(statements.MARK_BEFORE_MESSAGES, marked)

    def freeze_edition(
        self, digest: str, business_date: date, text: str, *, correction: int = 0
    ) -> str:
        """Store the edition unless one is stored, and return the stored one: the first wins."""
        of = of_run(digest, business_date, correction)
        row = _content_row(text.encode())
        with self.change(digest) as (connection, now):
            connection.execute(statements.store_edition(connection.dialect.name), {**of, **row})
            frozen = {"edition": row["sha256"], **_so_far(RunState.COLLECTED, now)}
            if connection.execute(statements.FREEZE, {**of, **frozen}).rowcount == 1:
                return text
            stored = connection.execute(statements.EDITION, of).one()
            return str(stored.content, "utf-8")

    def keep_stages(self, seconds: Mapping[str, float]) -> None:
        """Keep how long the stages of the last run took, of whichever digest it was."""
        with self._transaction(Lock.SOME) as connection:
            _set_fact(connection, STAGES, json.dumps(dict(seconds)))

    def keep_history(self, digest: str, history: History) -> None:
        """Keep the closed months' counts until they are read anew."""
        with self._transaction(digest) as connection:
            write_history(connection, digest, history)

    def plan(
        self,
        digest: str,
        business_date: date,
        planned: Sequence[Planned],
        *,
        correction: int = 0,
    ) -> None:
        """Store deliveries with their finished messages, all or none; known keys stay as they are."""
        free = self._backend.free()
        if free is not None and free < self.room:
            raise LedgerError(
                f"{self._backend} has less than {self.room // 1_000_000} MB left on its disk",
                remedy="free some space, then run again",
                passing=True,
            )
        with self.change(digest) as (connection, now):
            rows = [
                {
                    "key": one.key,
                    "digest": digest,
                    "business_date": business_date,
                    "correction": correction,
                    "channel": one.channel,
                    "recipient": one.recipient,
                    "state": State.PENDING,
                    "message": one.sha256,
                    "repeatable": one.repeatable,
                    "generation": 0,
                    "attempts": 0,
                    "changed_at": now,
                }
                for one in planned
            ]
            of = of_run(digest, business_date, correction)
            sending = {**of, **_so_far(RunState.SENDING, now)}
            if connection.execute(statements.MARK_UNLESS_CLOSED, sending).rowcount == 0:
                _refuse_closed(connection, digest, business_date, correction)
            if rows:
                _insert_new(connection, contents, [_content_row(one.content) for one in planned])
                _insert_new(connection, deliveries, rows)

    def cancel_except(
        self, digest: str, business_date: date, keys: Sequence[str], *, correction: int = 0
    ) -> int:
        """Cancel waiting deliveries whose recipient is no longer wanted; return how many."""
        run = _run(deliveries, digest, business_date, correction)
        return self._settle_waiting(
            digest, (*run, deliveries.c.key.not_in(keys)), State.CANCELLED, REMOVED
        )

    def restore(
        self, digest: str, business_date: date, keys: Sequence[str], *, correction: int = 0
    ) -> int:
        """Let deliveries wait again whose recipient had been removed; what a person cancelled stays so."""
        query = update(deliveries).where(
            *_run(deliveries, digest, business_date, correction),
            deliveries.c.key.in_(keys),
            deliveries.c.state == State.CANCELLED,
            deliveries.c.note == REMOVED,
            _KEPT,
        )
        with self.change(digest) as (connection, now):
            values = {"state": State.PENDING, "note": None, "changed_at": now}
            return connection.execute(query.values(values)).rowcount

    def expire(self, digest: str, business_date: date, *, correction: int = 0) -> int:
        """Give up on waiting deliveries because the time to send has passed; return how many."""
        chosen = _run(deliveries, digest, business_date, correction)
        return self._settle_waiting(digest, chosen, State.EXPIRED, None)

    def expire_before(self, digest: str, business_date: date) -> int:
        """End the runs of earlier dates that nobody came back to in time; return how many deliveries."""
        before = {"of_digest": digest, "if_before": business_date}
        # On most days there is nothing to end, and looking waits for nobody.
        if not self._rows(statements.LEFT_BEFORE, before):
            return 0
        left = update(runs).where(*statements.RUNS_LEFT_BEFORE)
        served = left.where(has(State), ~has(WAITING))
        with self.change(digest) as (connection, now):
            for runs_left, state in ((served, RunState.DONE), (left, RunState.EXPIRED)):
                ended = {**before, "state": state, "changed_at": now}
                connection.execute(runs_left, ended)
        late = statements.DELIVERIES_LEFT_BEFORE
        return self._settle_waiting(digest, late, State.EXPIRED, None, before)

    def reopen(self, digest: str, business_date: date, *, correction: int = 0) -> int:
        """Let expired deliveries wait again, because a person asks; no part of them was ever sent."""
        with self.change(digest) as (connection, now):
            values = {"state": State.PENDING, "changed_at": now}
            query = update(deliveries).where(
                *_run(deliveries, digest, business_date, correction),
                deliveries.c.state == State.EXPIRED,
                _KEPT,
            )
            return connection.execute(query.values(values)).rowcount

    def _settle_waiting(
        self,
        digest: str,
        chosen: Sequence[ColumnElement[bool]],
        state: State,
        note: str | None,
        parameters: Parameters | None = None,
    ) -> int:
        with self.change(digest) as (connection, now):
            values: dict[str, object] = {"state": state, "changed_at": now, "next_at": None}
            if note is not None:
                values["note"] = note
            query = update(deliveries).where(*chosen, deliveries.c.state.in_(WAITING))
            return connection.execute(query.values(values), parameters).rowcount

    def purge(self, digest: str, *, messages_before: date, editions_before: date) -> Purged:
        """Remove what is settled and older than its retention, and give its room back.

        The last edition sent stays, because the next one continues it. What is removed is not begun
        again: its date is closed.

        Args:
            digest: id of the digest; what others need is kept.
            messages_before: of earlier dates the messages' bytes go; rows and hashes stay.
            editions_before: of earlier dates everything goes.
        """
        last = self.last_sent(digest)
        with self.change() as (connection, _):
            old = select(runs.c.business_date, runs.c.correction).where(
                runs.c.digest == digest, runs.c.business_date < editions_before, ~has(_OPEN)
            )
            going = [row for row in connection.execute(old).all() if row[0] != last]
            for day, correction in going:
                self._forget(connection, digest, day, correction)
            if going:
                _close(connection, digest, max(day for day, _ in going))
            removed = connection.execute(
                select(func.count(), func.sum(func.length(contents.c.content))).where(
                    *_unneeded(digest, messages_before)
                )
            ).one()
            connection.execute(delete(contents).where(*_unneeded(digest, messages_before)))
        self._backend.compact()
        return Purged(len(going), removed[0], removed[1] or 0)

    @staticmethod
    def _forget(connection: Connection, digest: str, day: date, correction: int) -> None:
        keys = select(deliveries.c.key).where(*_run(deliveries, digest, day, correction))
        connection.execute(delete(attempts).where(attempts.c.key.in_(keys)))
        for table in (deliveries, runs):
            connection.execute(delete(table).where(*_run(table, digest, day, correction)))

    # -------------------------------------------------------------------------------- deliveries

    def claim(self, key: str) -> Claim | None:
        """Take a waiting delivery that is due; None when it is not, or another process has it."""
        with self.change(digest_of(key)) as (connection, now):
            return self._take(connection, key, now)

    def _take(self, connection: Connection, key: str, now: datetime) -> Claim | None:
        taken = statements.CLAIM.run(
            connection,
            {
                "of_key": key,
                # It was set by a caller's clock, so it is compared with a caller's clock.
                "if_due": self._clock(),
                "owner": str(self.owner),
                "lease_until": now + self.claim_lease,
                "changed_at": now,
            },
        )
        if taken is None:
            return None
        claim = Claim(key, taken.generation)
        began = {"generation": claim.generation, "owner": str(self.owner), "began_at": now}
        connection.execute(statements.BEGIN_ATTEMPT, {"key": key, **began})
        return claim

    def commit(self, claim: Claim) -> bool:
        """Write down that the next thing sent hands the message over; False: send nothing.

        This is the fence: a process whose lease has run out, or whose delivery somebody else has
        taken since, changes no row here. What it lets pass is known to the seal before it is sent.
        """
        with self.change(digest_of(claim.key)) as (connection, now):
            lease = {"lease_until": now + self.commit_lease, "changed_at": now}
            fenced = connection.execute(statements.COMMIT, {**_of(claim), "if_now": now, **lease})
            if fenced.rowcount != 1:
                return False
            seal = _count_commit(connection, claim.key)
        write_seal(self._seal, seal)
        return True

    def record(
        self, claim: Claim, state: State, note: str, *, next_at: datetime | None = None
    ) -> bool:
        """Write an attempt's outcome; False when somebody else has decided about it meanwhile."""
        with self.change(digest_of(claim.key)) as (connection, now):
            return _written(connection, claim, state, note, now=now, next_at=next_at)

    def record_and_claim(
        self, claim: Claim, state: State, note: str, key: str
    ) -> tuple[bool, Claim | None]:
        """Do what `record` and then `claim` of the same digest do, in one commit: each waits for the disk."""
        with self.change(digest_of(claim.key)) as (connection, now):
            ours = _written(connection, claim, state, note, now=now)
            return ours, self._take(connection, key, now)

    def recover(self) -> tuple[Delivery, ...]:
        """Take up what dead or stalled processes left; return those deliveries as they were.

        A claimed one waits again: no end of message was sent. A committing one becomes unknown,
        unless doing it twice is harmless.
        """
        query = statements.LEFT_AT_WORK
        # Of a thousand calls one finds something; the others need not wait for every writer.
        with self._look() as connection:
            if not self._left(connection, query):
                return ()
        with self.change() as (connection, now):
            left = self._left(connection, query.with_for_update())
            for one in left:
                again = one.state is State.CLAIMED or one.repeatable
                state = State.PENDING if again else State.UNKNOWN
                before = "the end of the message" if again else "the answer came"
                words = f"{one.owner} ended before {before}"
                connection.execute(
                    update(deliveries)
                    .where(deliveries.c.key == one.key)
                    .values(state=state, note=None if again else words, changed_at=now)
                )
                _end_attempt(connection, Claim(one.key, one.generation), now, state, words)
        return tuple(left)

    def resolve(self, key: str, decision: Decision, *, by: str = "by hand") -> Delivery:
        """Settle an unknown delivery by somebody's decision and return it as it is now.

        Raises:
            LedgerError: there is no such delivery, it is not open to a decision, or a process
                may still be working on it.
        """
        with self.change() as (connection, now):
            query = select(deliveries).where(deliveries.c.key == key)
            row = connection.execute(query.with_for_update()).mappings().one_or_none()
            if row is None:
                raise LedgerError(f"no delivery {key!r}", remedy="`digest history` lists the keys")
            one = _as_delivery(row)
            self._check_decision(one, decision, now)
            choices: dict[Decision, dict[str, object]] = {
                Decision.SENT: {"state": State.SENT, "sent_at": one.changed_at},
                # A new generation: a late answer to the earlier attempt no longer counts.
                Decision.RESEND: {"state": State.PENDING, "generation": one.generation + 1},
                Decision.CANCEL: {"state": State.CANCELLED},
            }
            values = choices[decision]
            note = f"settled as {decision} {by}; before: {one.note or 'nothing'}"
            changed = update(deliveries).where(deliveries.c.key == key)
            connection.execute(
                changed.values(note=note, changed_at=now, next_at=None, lease_until=None, **values)
            )
            return _as_delivery(connection.execute(query).mappings().one())

    # ------------------------------------------------------------------------------------ leases

    def take_lease(self, name: str, length: timedelta) -> Lease:
        """Take or renew a lease for this process; it may be somebody else's still, see `leases.take`."""
        with self.change() as (connection, now):
            return leases.take(
                connection, name, self.owner, now=now, length=length, gone=self._gone
            )

    def give_lease_back(self, name: str) -> None:
        """End this process's lease, so that another need not wait for its end."""
        with self._transaction() as connection:
            leases.give_back(connection, name, self.owner)

    def accept_restored(self, seal: Seal, *, do: bool) -> tuple[Delivery, ...]:
        """Go on with a ledger that was restored from a backup; return what becomes unknown by it.

        Without `do` nothing changes.

        What was sent since the backup is not known any more. So no edition is begun up to the newest
        one that the seal knows, and what waits of them becomes unknown, for a person to settle.
        """
        words = "perhaps sent before the ledger was restored from a backup"
        lost: list[Delivery] = []
        with self.change() as (connection, now):
            for digest, day in seal.newest.items():
                query = select(deliveries).where(
                    deliveries.c.digest == digest,
                    deliveries.c.business_date <= day,
                    deliveries.c.state.in_((*WAITING, *AT_WORK)),
                )
                rows = connection.execute(query).mappings().all()
                lost += [_as_delivery(row) for row in rows]
            if not do:
                return tuple(lost)
            for digest, day in seal.newest.items():
                _close(connection, digest, day)
            for one in lost:
                values = {"state": State.UNKNOWN, "note": words, "changed_at": now}
                connection.execute(
                    update(deliveries).where(deliveries.c.key == one.key).values(values)
                )
                claim = Claim(one.key, one.generation)
                if one.state in AT_WORK:
                    _end_attempt(connection, claim, now, State.UNKNOWN, words)
            _set_commits(connection, seal.commits)
        return tuple(lost)

    def _check_decision(self, one: Delivery, decision: Decision, now: datetime) -> None:
        allowed = {State.UNKNOWN} | (set(WAITING) if decision is Decision.CANCEL else set())
        if one.state not in allowed:
            raise LedgerError(
                f"delivery {one.key!r} is {one.state}, which needs no decision",
                remedy="only unknown deliveries can be settled, and waiting ones cancelled",
            )
        if decision is Decision.RESEND and self._may_still_work(one, now):
            raise LedgerError(
                f"delivery {one.key!r} may still be finished by {one.owner}",
                remedy="end that process first, or wait for it",
                passing=True,
            )

    def _may_still_work(self, one: Delivery, now: datetime) -> bool:
        """Whether the process that left it unknown could yet send; of another host only its lease tells."""
        if one.owner is None or one.lease_until is None or self._gone(one.owner):
            return False
        here = (one.owner.host, one.owner.boot) == (self.owner.host, self.owner.boot)
        return here or one.lease_until > now

    def _left(self, connection: Connection, query: Select[Any]) -> list[Delivery]:
        at_work = [_as_delivery(row) for row in connection.execute(query).mappings()]
        if not at_work:
            return []
        now = self._backend.now(connection, self._clock)
        return [one for one in at_work if self._is_left(one, now)]

    def _is_left(self, one: Delivery, now: datetime) -> bool:
        expired = one.lease_until is None or one.lease_until <= now
        return expired or (
            one.owner is not None and one.owner != self.owner and self._gone(one.owner)
        )

    @contextmanager
    def change(self, lock: Lock | str = Lock.ALL) -> Iterator[tuple[Connection, datetime]]:
        """One commit, and the time for it, asked once nobody else writes what the lock is about."""
        with self._transaction(lock) as connection:
            yield connection, self._backend.now(connection, self._clock)


def digest_of(key: str) -> str:
    """Return the digest of a delivery key."""
    return key.partition("/")[0]


def day_of(key: str) -> date:
    """Return the business date of a delivery key, an edition's or a correction's."""
    return date.fromisoformat(key.split("/")[1][: len("2026-06-15")])


def _so_far(state: RunState, now: datetime, note: str | None = None) -> dict[str, object]:
    """Return what a run's row says of how far it has come."""
    return {"state": state, "note": note, "changed_at": now}


def _run(
    table: Table, digest: str, business_date: date, correction: int
) -> tuple[ColumnElement[bool], ...]:
    return (
        table.c.digest == digest,
        table.c.business_date == business_date,
        table.c.correction == correction,
    )


def _unneeded(digest: str, before: date) -> tuple[ColumnElement[bool], ...]:
    """What no edition and no message that has to be kept refers to."""
    over = and_(
        deliveries.c.digest == digest,
        deliveries.c.business_date < before,
        deliveries.c.state.not_in(_OPEN),
    )
    return (
        contents.c.sha256.not_in(select(runs.c.edition).where(runs.c.edition.is_not(None))),
        contents.c.sha256.not_in(select(deliveries.c.message).where(~over)),
    )


def _refuse_closed(
    connection: Connection, digest: str, business_date: date, correction: int
) -> None:
    """Raise LedgerError for a date of which it is no longer known who got what."""
    until = connection.execute(statements.CLOSED, {"of_digest": digest}).scalar_one_or_none()
    if until is not None and business_date <= until and not correction:
        raise LedgerError(
            f"{digest}: the edition of {business_date} may have been sent, but its records were purged "
            f"or lost with a restored backup (up to {until}); it is not sent again",
            remedy="the next edition covers its days",
        )


def _close(connection: Connection, digest: str, until: date) -> None:
    """Begin no edition any more up to a date."""
    _insert_new(connection, closed, [{"digest": digest, "until": until}])
    later = (closed.c.digest == digest, closed.c.until < until)
    connection.execute(update(closed).where(*later).values(until=until))


def _count_commit(connection: Connection, key: str) -> Seal:
    counted = statements.COUNT_COMMIT.run(connection, {})
    if counted is None:
        _insert_new(connection, meta, [{"key": COMMITS, "value": "0"}])
        return _count_commit(connection, key)
    return Seal(counted.instance, int(counted.value), {digest_of(key): day_of(key)})


def _set_commits(connection: Connection, commits: int) -> None:
    _set_fact(connection, COMMITS, str(commits))


def _set_fact(connection: Connection, key: str, value: str) -> None:
    """Write a fact about the whole ledger."""
    _insert_new(connection, meta, [{"key": key, "value": value}])
    connection.execute(update(meta).where(meta.c.key == key).values(value=value))


def _written(
    connection: Connection,
    claim: Claim,
    state: State,
    note: str,
    *,
    now: datetime,
    next_at: datetime | None = None,
) -> bool:
    values = {
        "state": state,
        "note": note,
        "next_at": next_at,
        "lease_until": None,
        "changed_at": now,
        "sent_at": now if state is State.SENT else None,
    }
    written = connection.execute(statements.RECORD[state], {**_of(claim), **values})
    if written.rowcount != 1:
        return False
    _end_attempt(connection, claim, now, state, note)
    return True


def _of(claim: Claim) -> dict[str, object]:
    """Return the parameters that choose a delivery, or its attempt, while the claim holds."""
    return {"of_key": claim.key, "of_generation": claim.generation}


def _end_attempt(
    connection: Connection, claim: Claim, now: datetime, state: State, words: str
) -> None:
    values = {"ended_at": now, "outcome": state, "words": words}
    connection.execute(statements.END_ATTEMPT, {**_of(claim), **values})


def _content_row(content: bytes) -> dict[str, object]:
    return {"sha256": hashlib.sha256(content).hexdigest(), "content": content}


def _insert_new(connection: Connection, table: Table, rows: list[dict[str, object]]) -> None:
    """Insert rows whose key is not there yet."""
    connection.execute(statements.insert_new(connection.dialect.name, table), rows)


def _as_run(row: RowMapping) -> Run:
    return Run(**{**dict(row), "state": RunState(row["state"])})


def _as_delivery(row: RowMapping) -> Delivery:
    owner = read_owner(row["owner"]) if row["owner"] else None
    return Delivery(**{**dict(row), "state": State(row["state"]), "owner": owner})


def _as_attempt(row: RowMapping) -> Attempt:
    outcome = State(row["outcome"]) if row["outcome"] else None
    return Attempt(**{**dict(row), "owner": read_owner(row["owner"]), "outcome": outcome})

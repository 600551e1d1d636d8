"""The queue: Procrastinate in the ledger's own schema, so that a job and its run are one commit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from importlib import resources
from typing import TYPE_CHECKING, Any

import procrastinate
from procrastinate import RetryDecision
from procrastinate.jobs import Job as QueueJob
from procrastinate.retry import BaseRetryStrategy
from procrastinate.schema import SchemaManager

from digest.errors import ConfigError
from digest.ledger.backend import Lock
from digest.ledger.postgres import SCHEMA
from digest.model import Finding

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from digest.fleet.planner import Call, Enqueue, Job
    from digest.ledger import Postgres
    from digest.ledger.store import Ledger, Reader

DELIVER, PLAN, HOUSEKEEPING = "deliver", "plan", "housekeeping"
_VERSION = "queue_version"  # key of the ledger's `meta`
# The package asks of each waiting job whether another one has its lock, and brings no index for that.
_BY_LOCK = "fleet_jobs_lock"
# Thousands of jobs come in at once, and until the server has counted them it takes the table for empty and
# reads all of it for each job that is fetched. What these connections ask has an index.
_BY_INDEX = " ".join(
    f"-c enable_{way}=off" for way in ("seqscan", "bitmapscan", "sort", "hashjoin", "mergejoin")
)
# Hours that a job is kept that ended badly: it is a clue, the ledger is the record.
KEPT_HOURS = 48


class AgainError(Exception):
    """The job goes back to the queue until an instant; it has not failed.

    Attributes:
        first: it has a reservation that would lapse, so nobody goes before it.
    """

    def __init__(self, at: datetime, why: str, *, first: bool = False) -> None:
        super().__init__(why)
        self.at = at
        self.first = first


class WhenAsked(BaseRetryStrategy):
    """Tries again what asks for it itself, at the instant it names."""

    def get_retry_decision(
        self, *, exception: BaseException, job: QueueJob
    ) -> RetryDecision | None:
        """Return when a job comes back, None for one that has failed."""
        del job
        if not isinstance(exception, AgainError):
            return None
        return RetryDecision(retry_at=exception.at, priority=_FIRST if exception.first else None)


_FIRST = 1_000


def priority_of(until: datetime) -> int:
    """Return a job's priority: the sooner its window ends, the higher."""
    return -int(until.timestamp() // 60)


def enqueue_with(app: procrastinate.App) -> Enqueue:
    """Return what puts the planner's finds into the queue, inside the planner's transaction.

    Args:
        app: with a synchronous connector, since the ledger's connections are such.
    """

    def enqueue(
        connection: Connection,
        jobs: Sequence[Job],
        calls: Sequence[Call],
        overdue: Sequence[tuple[str, date]],
    ) -> None:
        found = [
            *map(_delivery, jobs),
            *map(_ping, calls),
            *(_overdue(digest, day) for digest, day in overdue),
        ]
        if found:
            raw = connection.connection.driver_connection
            app.job_manager.batch_defer_jobs(found, connection=raw)

    return enqueue


def _delivery(job: Job) -> QueueJob:
    return QueueJob(
        queue=DELIVER,
        task_name="deliver",
        priority=priority_of(job.until),
        # Nothing wider: a job that waits for its next try keeps every other one with its lock waiting.
        lock=f"{job.digest}|{job.day}",
        queueing_lock=None,
        task_kwargs={"digest": job.digest, "day": job.day.isoformat(), "stamp": job.stamp},
    )


def _ping(call: Call) -> QueueJob:
    return QueueJob(
        queue=HOUSEKEEPING,
        task_name="ping",
        lock=None,
        queueing_lock=None,
        task_kwargs={
            "digest": call.digest,
            "day": call.day.isoformat(),
            "kind": call.ping.name,
            "body": call.body,
        },
    )


def _overdue(digest: str, day: date) -> QueueJob:
    # No lock: the delivery's own job may wait behind it for a worker that does not come.
    return QueueJob(
        queue=HOUSEKEEPING,
        task_name="overdue",
        lock=None,
        queueing_lock=None,
        task_kwargs={"digest": digest, "day": day.isoformat()},
    )


# ------------------------------------------------------------------------------------- connecting


def planning_app(place: Postgres) -> procrastinate.App:
    """Return what puts jobs into the queue on the ledger's connections; it opens none of its own."""
    return procrastinate.App(
        connector=procrastinate.SyncPsycopgConnector(**_connection_of(place, 1))
    )


def working_app(place: Postgres, *, connections: int) -> procrastinate.App:
    """Return what takes jobs out; its tasks are added by the worker."""
    return procrastinate.App(
        connector=procrastinate.PsycopgConnector(**_connection_of(place, connections))
    )


def _connection_of(place: Postgres, connections: int) -> dict[str, Any]:
    password = {} if place.password is None else {"password": place.password.reveal()}
    return {
        "conninfo": place.url,
        "min_size": 1,
        "max_size": connections,
        "kwargs": {
            **password,
            "application_name": "digest-queue",
            "options": f"-c search_path={SCHEMA} {_BY_INDEX}",
            "connect_timeout": 10,
        },
    }


# ------------------------------------------------------------------------------------ its tables


def install(ledger: Ledger) -> None:
    """Make the queue's tables beside the ledger's where there are none.

    Raises:
        ConfigError: they are of another version of Procrastinate.
    """
    from digest.ledger import fleet

    fleet.make_tables(ledger)
    with ledger.change() as (connection, _):
        found = fleet.read_fact(connection, _VERSION)
        if found is None:
            connection.exec_driver_sql(SchemaManager.get_schema().replace("%", "%%"))
            fleet.write_fact(connection, _VERSION, version())
        elif problem := _mismatch(found):
            raise ConfigError(problem)
        # Looked for first: making one that is there would still wait for everybody who writes.
        if connection.exec_driver_sql(f"SELECT to_regclass('{_BY_LOCK}')").scalar_one() is None:
            connection.exec_driver_sql(
                f"CREATE INDEX IF NOT EXISTS {_BY_LOCK} ON procrastinate_jobs (lock) "
                "WHERE status IN ('todo', 'doing')"
            )


def check(reader: Reader) -> Finding | None:
    """Say whether the installed package works with a ledger's queue; None where there is no fleet."""
    from digest.ledger import fleet

    with reader.transaction(Lock.NONE) as connection:
        found = fleet.read_fact(connection, _VERSION)
    if found is None:
        return None
    if problem := _mismatch(found):
        return Finding("error", "queue", problem)
    return Finding("ok", "queue", f"its tables are of version {found}, as the package wants")


def _mismatch(found: str) -> str | None:
    wanted = version()
    if found == wanted:
        return None
    said = f"the queue's tables are of version {found}, the installed procrastinate wants {wanted}"
    if found > wanted:
        return f"{said}; install the package that the other hosts have"
    return f"{said}; stop the workers, then run `digest fleet upgrade`"


def version() -> str:
    """Return the version of the tables that the installed package works with: its last migration."""
    return _migrations()[-1].partition("_")[0]


def upgrade(ledger: Ledger, said: Callable[[str], None]) -> None:
    """Bring the queue's tables to the installed package's version, in one transaction.

    Args:
        ledger: the fleet's; its workers are stopped.
        said: hears each migration.

    Raises:
        ConfigError: they are of a newer version.
    """
    from digest.ledger import fleet

    fleet.make_tables(ledger)
    with ledger.change() as (connection, _):
        found = fleet.read_fact(connection, _VERSION)
        if found is not None and found > version():
            raise ConfigError(str(_mismatch(found)))
        for name in _migrations() if found is not None else ():
            if name.partition("_")[0] > (found or ""):
                text = (resources.files("procrastinate.sql") / "migrations" / name).read_text()
                connection.exec_driver_sql(text.replace("%", "%%"))
                said(name)
        if found is not None:
            fleet.write_fact(connection, _VERSION, version())
    install(ledger)


def _migrations() -> list[str]:
    folder = resources.files("procrastinate.sql") / "migrations"
    return sorted(file.name for file in folder.iterdir() if file.name.endswith(".sql"))

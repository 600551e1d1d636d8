"""One worker process: takes jobs out of the queue and lets threads do them.

The loop only beats the heart; an edition is composed and sent in a thread, so that no work of it can make a
living worker look dead.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import date
from time import monotonic
from typing import TYPE_CHECKING

import procrastinate
from procrastinate import JobContext
from procrastinate.exceptions import ConnectorException
from procrastinate.worker import Worker

from digest.connectors.hubspot import Hubspot
from digest.connectors.salesforce import Salesforce
from digest.errors import DigestError
from digest.fleet.budget import SharedPace, heed
from digest.fleet.desk import fault
from digest.fleet.planner import plan
from digest.fleet.queue import (
    DELIVER,
    HOUSEKEEPING,
    KEPT_HOURS,
    PLAN,
    AgainError,
    WhenAsked,
    enqueue_with,
    planning_app,
    working_app,
)
from digest.fleet.summary import tell
from digest.heartbeat import Ping

if TYPE_CHECKING:
    from digest.fleet.desk import Desk
    from digest.fleet.roster import Roster

RECYCLE = 75  # exit code: this process grew too large, start it anew
_GLANCE = 1.0  # seconds between two looks at whether the process shall end
_OWN_JOBS = 10.0  # seconds between two looks for jobs that only seem to be at work here
# Objects made and not yet freed between two looks for cycles: an edition leaves next to none, so looking at
# Python's 700 finds nothing twice an edition.
_YOUNG = 10_000
_WARM = 16  # jobs, after which a process imports and compiles nothing any more
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


def run(desk: Desk, roster: Roster | None) -> int:
    """Work until asked to end or grown too large; return the exit code.

    Args:
        desk: what to do with a job.
        roster: plan and keep house for these files; None to deliver.
    """
    share_paces(desk)
    gc.set_threshold(_YOUNG, 10, 10)
    return asyncio.run(_run(desk, roster))


async def _run(desk: Desk, roster: Roster | None) -> int:
    limits = desk.limits
    queues = [DELIVER] if roster is None else [PLAN, HOUSEKEEPING]
    concurrency = limits.concurrency if roster is None else 4
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, facts: _told_by_the_loop(desk, facts))
    loop.set_default_executor(ThreadPoolExecutor(concurrency + 2, thread_name_prefix="job"))
    app = working_app(desk.place, connections=4)
    _add_deliveries(app, desk)
    if roster is not None:
        _add_housekeeping(app, desk, roster)
    worker = Worker(
        app,
        queues=queues,
        concurrency=concurrency,
        fetch_job_polling_interval=limits.polling,
        update_heartbeat_interval=limits.heartbeat,
        stalled_worker_timeout=limits.stalled,
        shutdown_graceful_timeout=limits.grace,
        delete_jobs="successful",
        install_signal_handlers=False,
    )
    code: list[int] = []

    def end(why: int) -> None:
        if not code:
            code.append(why)
            desk.stopping.set()
            worker.stop()  # type: ignore[no-untyped-call] # the package types its parameters only
            # A thread that waits for a relay's answer cannot be ended otherwise.
            last = threading.Timer(limits.grace + 5, os._exit, [why])
            last.daemon = True
            last.start()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end, 0)
    async with app.open_async():
        watching = asyncio.create_task(_watch(desk, worker, app, end))
        try:
            await worker.run()  # type: ignore[no-untyped-call] # likewise
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
    return code[0] if code else 1


def _told_by_the_loop(desk: Desk, facts: Mapping[str, object]) -> None:
    """Say in one line what nobody waits for."""
    error = facts.get("exception")
    if isinstance(error, ConnectorException):
        said = "a job's end was not written down: another worker has it, or the database is away"
    else:
        said = fault(error) if isinstance(error, Exception) else str(facts.get("message"))
    desk.journal.message("warning", said)


async def _watch(
    desk: Desk, worker: Worker, app: procrastinate.App, end: Callable[[int], None]
) -> None:
    """End the process when it has grown, hangs, or nobody looks after it any more."""
    parent, limits = os.getppid(), desk.limits
    next_look, frozen = monotonic() + _OWN_JOBS, False
    while True:
        await asyncio.sleep(_GLANCE)
        if not frozen and desk.ended >= _WARM:
            # What was imported and compiled stays for good; looking it through takes a tenth of a second.
            gc.collect()
            gc.freeze()
            frozen = True
        if os.getppid() != parent:
            end(0)
        elif resident_mb() > limits.memory_mb:
            desk.journal.message("info", f"{resident_mb()} MB: this process is started anew")
            end(RECYCLE)
        elif any(monotonic() - began > limits.stuck_seconds for began in desk.running.values()):
            desk.journal.message("warning", "a job does not end: this process is started anew")
            end(RECYCLE)
        elif monotonic() >= next_look:
            next_look = monotonic() + _OWN_JOBS
            with suppress(ConnectorException):
                await _give_up_lost_jobs(desk, worker, app)


async def _give_up_lost_jobs(desk: Desk, worker: Worker, app: procrastinate.App) -> None:
    """Let jobs be taken again whose end could not be written down while the database was away.

    Their worker lives, so no missing heartbeat would ever tell.
    """
    jobs = await app.job_manager.list_jobs_async(status="doing", worker_id=worker.worker_id)
    for job in jobs:
        if job.id is not None and job.id not in desk.running:
            # Just fetched or just done: look twice.
            await asyncio.sleep(_GLANCE)
            again = await app.job_manager.list_jobs_async(id=job.id, status="doing")
            if any(True for _ in again) and job.id not in desk.running:
                await app.job_manager.retry_job(job)


def resident_mb() -> int:
    """Return the memory of this process; 0 where the system does not tell."""
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - a second's glance
            return int(file.read().split()[1]) * _PAGE // 1_000_000
    except OSError:
        return 0


def share_paces(desk: Desk) -> None:
    """Let every HubSpot of this process ask the fleet before it searches, and every Salesforce tell it."""

    def budget(account: str) -> SharedPace:
        from digest.connectors.hubspot.transport import SEARCHES_PER_SECOND

        return SharedPace(lambda: desk.ledger, account, SEARCHES_PER_SECOND)

    from dataclasses import replace

    Hubspot.wire = replace(Hubspot.wire, budget=budget)
    Salesforce.wire = replace(
        Salesforce.wire, heed=lambda account, seconds: heed(desk.ledger, account, seconds)
    )


# ------------------------------------------------------------------------------------------ tasks


def _add_deliveries(app: procrastinate.App, desk: Desk) -> None:
    @app.task(name="deliver", queue=DELIVER, retry=WhenAsked(), pass_context=True)
    def deliver(context: JobContext, *, digest: str, day: str, stamp: str) -> str:
        del stamp  # for whoever reads the queue; the schedule's is the one that counts
        with _running(desk, context):
            return desk.deliver(digest, date.fromisoformat(day))


def _add_housekeeping(app: procrastinate.App, desk: Desk, roster: Roster) -> None:
    limits = desk.limits
    planning = planning_app(desk.place)

    @app.task(name="overdue", queue=HOUSEKEEPING, pass_context=True)
    def overdue(context: JobContext, *, digest: str, day: str) -> str:
        with _running(desk, context):
            return desk.overdue(digest, date.fromisoformat(day))

    @app.task(name="ping", queue=HOUSEKEEPING, pass_context=True)
    def ping(context: JobContext, *, digest: str, day: str, kind: str, body: str) -> str:
        with _running(desk, context):
            return desk.ping(digest, date.fromisoformat(day), Ping[kind], body)

    @app.periodic(cron=limits.tick)
    @app.task(name="tick", queue=PLAN, queueing_lock=PLAN, pass_context=True)
    def tick(context: JobContext, timestamp: int) -> str:
        del timestamp  # what counts is the schedule's state, not when somebody meant to look
        with _running(desk, context):
            synced = roster.sync(desk.ledger)
            for path in synced.fresh:
                desk.journal.message("error", f"{path} is broken: {synced.broken[path]}")
            for path in synced.gone:
                desk.journal.message("info", f"{path} is gone")
            return str(plan(desk.ledger, enqueue_with(planning)))

    @app.periodic(cron=limits.tick)
    @app.task(name="tell", queue=HOUSEKEEPING, queueing_lock="tell", pass_context=True)
    def tell_operators(context: JobContext, timestamp: int) -> str:
        del timestamp
        with _running(desk, context):
            return tell(desk)

    # A queueing lock only: with a lock it could itself be what is stalled.
    @app.periodic(cron=limits.reap)
    @app.task(name="reap", queue=HOUSEKEEPING, queueing_lock="reap", pass_context=True)
    async def reap(context: JobContext, timestamp: int) -> str:
        del timestamp
        return f"{await reaped(context.app, limits.stalled)} taken up again"

    @app.periodic(cron="17 3 * * *")
    @app.task(name="forget", queue=HOUSEKEEPING, queueing_lock="forget", pass_context=True)
    async def forget(context: JobContext, timestamp: int) -> None:
        del timestamp
        await context.app.job_manager.delete_old_jobs(
            KEPT_HOURS, include_failed=True, include_cancelled=True, include_aborted=True
        )


async def reaped(app: procrastinate.App, stalled: float) -> int:
    """Put the jobs of silent workers back into the queue; return how many."""
    count = 0
    for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=stalled):
        # Another host's reaper may be faster.
        with suppress(ConnectorException):
            await app.job_manager.retry_job(job)
            count += 1
    return count


@contextmanager
def _running(desk: Desk, context: JobContext) -> Iterator[None]:
    """Note that a job of this process is at work, and what ended it."""
    number = context.job.id or 0
    desk.running[number] = monotonic()
    try:
        yield
    except AgainError:
        raise
    except DigestError as error:
        desk.journal.message("error", f"{context.job.task_name}: {error}")
        raise
    except Exception as error:
        desk.journal.message("error", f"{context.job.task_name}: {fault(error)}")
        raise
    finally:
        desk.running.pop(number, None)
        desk.ended += 1

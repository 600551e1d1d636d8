"""Ten thousand digests, once each: two workers beside one, and with workers killed at random.

    python benchmarks/fleet.py --count 300 --workers 1 2 --kills 20

A real PostgreSQL, real files, the real composing, rendering (chart included), MIME and SMTP; only the source
is none: it answers each question after `--latency` with counts made up on the spot, and the relay on
loopback, a process of its own, appends what it has accepted to a file before it answers. That file is the
truth that the ledger is compared with. Each way of running starts with an empty database.

Beside it a fixed piece of work is timed all the while: a core that is shared takes longer, in processor time
too, so that two runs can be compared by how far the median of that work lies above its best.

`--profile FILE` writes where one worker thread spends its time (cProfile), for one run with one process.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from digest.connectors import CONNECTORS
from digest.fleet import worker
from digest.fleet.desk import Desk, Limits
from digest.fleet.planner import plan
from digest.fleet.queue import enqueue_with, install, planning_app
from digest.fleet.roster import Roster
from digest.journal import Journal
from digest.ledger import Postgres, open_ledger
from digest.model import LeadCounts, Origin, Period, Segment, lead_counts
from tests.delivery.scene import empty_postgres, run_in
from tests.fakes.smtp import SmtpServer
from tests.fakes.smtp import running as mailing
from tests.servers import Server, start_postgresql

DEFAULTS = """\
timezone = "UTC"
ledger = "{ledger}"
[schedule]
send_at = 00:00:00
send_until = 23:59:59
[calendar]
country = "CH"
subdivision = "ZH"
workweek = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
[sla]
currency = "CHF"
[[sla.segments]]
segment = "DACH"
currency = "CHF"
valid_from = "2026-01"
goal = 140
[[sla.segments]]
segment = "Benelux"
currency = "CHF"
valid_from = "2026-01"
goal = 60
[connector]
type = "made_up"
latency = {latency}
[channels.smtp]
host = "127.0.0.1"
port = {port}
security = "none"
sender = "Leads <digest@sender.example>"
"""
CLIENT = """\
id = "client-{n:05}"
[connector]
type = "made_up"
seed = {n}
[channels.smtp]
recipients = [{readers}]
"""
READERS = 3


def now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - an entry point


@dataclass(frozen=True)
class MadeUp:
    """A CRM that takes its time and counts six leads a weekday for each segment."""

    latency: float
    seed: int = 0

    def count_leads(
        self, *, period: Period, segments: Sequence[Segment], now: datetime
    ) -> LeadCounts:
        """Count otherwise for each client, so that no picture is drawn once for all of them."""
        time.sleep(self.latency)
        values = [
            (
                day,
                segment.name,
                3 + (day.toordinal() * 2654435761 + self.seed * 40503 + number) % 1009 % 7,
            )
            for day in period.days()
            if day.weekday() < 5  # noqa: PLR2004 - Saturday
            for number, segment in enumerate(segments)
        ]
        return lead_counts(
            period,
            segments,
            values,
            as_of=now,
            total=sum(leads for _, _, leads in values),
            origin=Origin("made_up", "made up"),
        )


CONNECTORS["made_up"] = MadeUp  # type: ignore[index] # a source of this benchmark alone


@dataclass(frozen=True)
class Asked:
    """What a run asked of its database; each figure an edition, planning included.

    Attributes:
        commits: transactions that wrote or read. wal: bytes of its journal. kept: bytes by table, indexes and
            what is stored out of line included. connections: the most at once, of the workers alone.
    """

    commits: float
    wal: float
    kept: dict[str, float]
    connections: int


@dataclass(frozen=True)
class Result:
    """What one way of running came to."""

    name: str
    editions: int
    sent_once: int
    duplicates: int
    lost: int
    unknown: int
    kills: int = 0
    planned_in: float = 0.0
    seconds: float = 0.0
    latest: tuple[float, float] = (0.0, 0.0)  # seconds until half and 95 % were out
    rss: tuple[int, ...] = ()  # MB of the largest worker, at each tenth
    # CPU ms an edition, once the workers have warmed up: of the workers, the database, the relay.
    cpu: tuple[float, ...] = ()
    pace: tuple[float, float] = (0.0, 0.0)  # CPU ms of a fixed piece of work: median and best
    asked: Asked | None = None


@dataclass
class Relay:
    """The process that takes the mails."""

    process: multiprocessing.process.BaseProcess
    port: int
    truth: Path
    stop: Connection = field(repr=False)


def _relay(truth: Path, pipe: Connection) -> None:
    with mailing(SmtpServer(truth=truth)) as server:
        server.accepted = _Nothing()
        server.commands = _Nothing()
        pipe.send(server.port)
        pipe.recv()


class _Nothing(list):  # type: ignore[type-arg] # keeps nothing, so that a long run stays small
    def append(self, _item: object) -> None:
        """Forget it."""


@contextmanager
def a_relay(folder: Path) -> Iterator[Relay]:
    ours, theirs = multiprocessing.Pipe()
    truth = folder / "accepted"
    context = multiprocessing.get_context("fork")
    process = context.Process(target=_relay, args=(truth, theirs), daemon=True)
    process.start()
    try:
        yield Relay(process, ours.recv(), truth, ours)
    finally:
        with suppress(OSError):
            ours.send(None)
        process.join(10)


def start(place: Postgres, concurrency: int, profile: str | None) -> int:
    """Start one worker process and return its id."""
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        limits = Limits(concurrency=concurrency, memory_mb=2_000)
        desk = Desk(
            place=replace(place, connections=concurrency),
            environment={},
            clock=now,
            sleep=time.sleep,
            journal=Journal(write=lambda _: None, clock=now, host="host", pid=os.getpid()),
            limits=limits,
        )
        if profile:
            _profile_threads(desk, profile)
        code = worker.run(desk, None)
    finally:
        os._exit(code)


def _profile_threads(desk: Desk, file: str) -> None:
    import cProfile

    plain, profiler = desk.deliver, cProfile.Profile(time.thread_time)
    busy = multiprocessing.get_context("fork").Lock()

    def deliver(*asked: object) -> str:
        # One thread at a time has the profiler; the others run as ever.
        if not busy.acquire(block=False):
            return plain(*asked)  # type: ignore[arg-type] # as it was called
        try:
            profiler.enable()
            return plain(*asked)  # type: ignore[arg-type] # likewise
        finally:
            profiler.disable()
            profiler.dump_stats(file)
            busy.release()

    desk.deliver = deliver  # type: ignore[method-assign,assignment] # measured, not changed


def cpu_of(pid: int | None) -> float:
    """Return the CPU seconds of a process and its children, those that have ended too; 0 for none."""
    if pid is None:
        return 0.0
    try:
        own = sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]))
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0.0
    return own / os.sysconf("SC_CLK_TCK") + sum(map(cpu_of, map(int, children)))


def postmaster(server: Server) -> int:
    """Return the process of which all others of a database server are children."""
    return int((server.folder / "postmaster.pid").read_text().split()[0])


def rss_of(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") // 1_000_000


@dataclass
class Crew:
    """The worker processes of one run."""

    place: Postgres
    concurrency: int
    profile: str | None
    children: list[int] = field(default_factory=list)
    ended: float = 0.0  # CPU seconds of those that have ended

    def start(self) -> None:
        """Start one more."""
        self.children.append(start(self.place, self.concurrency, self.profile))

    def end(self, child: int, number: signal.Signals) -> None:
        """End one and wait for it."""
        self.children.remove(child)
        with suppress(ProcessLookupError):
            os.kill(child, number)
        used = os.wait4(child, 0)[2]
        self.ended += used.ru_utime + used.ru_stime

    def largest(self) -> int:
        """Return the MB of the largest."""
        return max(rss_of(child) for child in self.children)

    def cpu(self) -> float:
        """Return the CPU seconds of all, whether they live or not."""
        return self.ended + sum(map(cpu_of, self.children))


@dataclass(frozen=True)
class Way:
    """How a run is done."""

    name: str
    count: int
    workers: int
    kills: int
    latency: float
    concurrency: int
    profile: str | None = None


def run(way: Way) -> Result:
    folder = Path(tempfile.mkdtemp(prefix="digest-fleet-"))
    server = start_postgresql()
    place = empty_postgres(server)
    crew = Crew(place, way.concurrency, way.profile)
    try:
        with a_relay(folder) as relay:
            before = _counters(place)
            planned_in = _planned(way, folder, place, relay)
            began = time.monotonic()
            for _ in range(way.workers):
                crew.start()
            meters = (
                crew.cpu,
                partial(cpu_of, postmaster(server)),
                partial(cpu_of, relay.process.pid),
            )
            rss, kills, cpu, pace, connections = _watched(way, crew, meters)
            seconds = time.monotonic() - began
            latest = _latest(place)
            for child in [*crew.children]:
                crew.end(child, signal.SIGTERM)
            found = _counted(way, relay.truth, place)
            return replace(
                found,
                kills=kills,
                planned_in=planned_in,
                seconds=seconds,
                latest=latest,
                rss=tuple(rss),
                cpu=cpu,
                pace=pace,
                asked=_asked(place, before, way.count, connections),
            )
    finally:
        for child in [*crew.children]:
            crew.end(child, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)


def _planned(way: Way, folder: Path, place: Postgres, relay: Relay) -> float:
    """Write the clients' files and plan them; return the seconds that planning took."""
    clients = folder / "clients"
    clients.mkdir()
    (clients / "defaults.toml").write_text(
        DEFAULTS.format(ledger=place.url, latency=way.latency, port=relay.port)
    )
    for n in range(way.count):
        readers = ", ".join(f'"r{k}@c{n}.example"' for k in range(READERS))
        (clients / f"client-{n:05}.toml").write_text(CLIENT.format(n=n, readers=readers))
    ledger = open_ledger(place, clock=now, pin=None)
    install(ledger)
    synced = Roster([clients], place, {}).sync(ledger)
    assert not synced.broken, next(iter(synced.broken.values()))
    began = time.monotonic()
    planned = plan(ledger, enqueue_with(planning_app(place)))
    assert planned.jobs == way.count, planned
    return time.monotonic() - began


def _watched(
    way: Way, crew: Crew, meters: Sequence[Callable[[], float]]
) -> tuple[list[int], int, tuple[float, ...], tuple[float, float], int]:
    """Wait until the queue is empty, killing workers.

    Returns:
        The workers' size by tenths, the kills, and what each meter of CPU seconds says for an edition, in
        ms, after the first fifth: until then a worker imports and compiles. The pace: median and best. The
        connections that workers had at most.
    """
    chance = random.Random(way.count)  # noqa: S311 - reproducible
    rss, kills = [0] * 10, 0
    paces = [_fixed_work()]
    connections = 0
    next_reap = time.monotonic() + 5
    warm: tuple[int, list[float]] | None = None
    while left := _jobs_left(crew.place):
        time.sleep(0.25)
        paces.append(_fixed_work())
        connections = max(connections, _connections(crew.place))
        done = way.count - left
        if warm is None and done >= way.count / 5:
            warm = (done, [meter() for meter in meters])
        tenth = min(9, done * 10 // way.count)
        rss[tenth] = max(rss[tenth], crew.largest())
        if kills < way.kills and done > (kills + 0.5) * way.count / (way.kills + 1):
            kills += 1
            crew.end(chance.choice(crew.children), signal.SIGKILL)
            crew.start()
        if time.monotonic() > next_reap:
            next_reap = time.monotonic() + 5
            _reap(crew.place)
    since, before = warm or (0, [0.0] * len(meters))
    spent = zip((meter() for meter in meters), before, strict=True)
    each = tuple((now - then) / (way.count - since) * 1000 for now, then in spent)
    return rss, kills, each, (median(paces), min(paces)), connections


def _fixed_work() -> float:
    """Return the CPU ms that the same piece of work takes just now."""
    began = time.thread_time()
    made = [{"day": number, "leads": str(number) * 3} for number in range(400)]
    for _ in range(4):
        made = json.loads(json.dumps(made))
    return (time.thread_time() - began) * 1000


def _counted(way: Way, truth: Path, place: Postgres) -> Result:
    """Compare what the relay took with what the ledger says."""
    copies = Counter(truth.read_text().split())
    states = dict(run_in(place, "SELECT recipient, state FROM sla_digest.deliveries"))
    readers = [[f"r{k}@c{n}.example" for k in range(READERS)] for n in range(way.count)]
    wanted = list(chain.from_iterable(readers))
    unknown = {one for one, state in states.items() if state == "unknown"}
    wrong = [one for one in wanted if states.get(one) == "sent" and copies[one] != 1]
    assert not wrong, f"the ledger and the relay disagree about {wrong[:3]}"
    return Result(
        name=way.name,
        editions=way.count,
        sent_once=sum(all(copies[one] == 1 for one in some) for some in readers),
        duplicates=sum(number - 1 for number in copies.values() if number > 1),
        lost=sum(not copies[one] and one not in unknown for one in wanted),
        unknown=len(unknown),
    )


def _counters(place: Postgres) -> tuple[int, int]:
    """Return the commits and the bytes of the journal of a server so far."""
    ((commits, wal),) = run_in(
        place,
        "SELECT (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()), "
        "pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')",
    )
    return int(commits), int(wal)


def _asked(place: Postgres, before: tuple[int, int], editions: int, connections: int) -> Asked:
    time.sleep(1.5)  # a session reports its commits a second late
    commits, wal = (
        (now - then) / editions for now, then in zip(_counters(place), before, strict=True)
    )
    sizes = run_in(
        place,
        "SELECT relname, pg_total_relation_size(oid) FROM pg_class WHERE relkind = 'r' "
        "AND relnamespace = 'sla_digest'::regnamespace AND reltuples <> 0",
    )
    return Asked(commits, wal, {name: size / editions for name, size in sizes}, connections)


def _connections(place: Postgres) -> int:
    ((count,),) = run_in(
        place,
        "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'digest%'",
    )
    return int(count)


def _jobs_left(place: Postgres) -> int:
    ((left,),) = run_in(
        place,
        "SELECT count(*) FROM sla_digest.procrastinate_jobs WHERE task_name = 'deliver' "
        "AND status IN ('todo', 'doing')",
    )
    return int(left)


def _latest(place: Postgres) -> tuple[float, float]:
    ((median, most),) = run_in(
        place,
        "SELECT extract(epoch FROM percentile_disc(0.5) WITHIN GROUP (ORDER BY sent_at) - first), "
        "extract(epoch FROM percentile_disc(0.95) WITHIN GROUP (ORDER BY sent_at) - first) "
        "FROM sla_digest.deliveries, (SELECT min(created_at) AS first FROM sla_digest.runs) f "
        "WHERE sent_at IS NOT NULL GROUP BY first",
    )
    return float(median), float(most)


def _reap(place: Postgres) -> None:
    import asyncio

    from digest.fleet.queue import working_app

    async def once() -> None:
        app = working_app(place, connections=1)
        async with app.open_async():
            await worker.reaped(app, Limits().stalled)

    asyncio.run(once())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--kills", type=int, default=20, help="in one more run, with two workers")
    parser.add_argument("--latency", type=float, default=0.2)
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--profile", help="one run with one worker; where its profile is written")
    given = parser.parse_args()
    way = Way("", given.count, 1, 0, given.latency, given.concurrency, given.profile)
    if given.profile:
        show(run(replace(way, name="1 worker, profiled")))
        return
    found = []
    for n in given.workers:
        found.append(run(replace(way, name=f"{n} workers", workers=n)))
        show(found[-1])
    if len(found) > 1:
        gain = found[0].seconds / found[-1].seconds
        print(f"{found[-1].name} are {gain:.2f} times as fast as {found[0].name}")
    if given.kills:
        show(run(replace(way, name="2 workers, killed at random", workers=2, kills=given.kills)))


def show(one: Result) -> None:
    workers, database, relay = one.cpu
    print(
        f"{one.name}: {one.sent_once:,} of {one.editions:,} editions sent once in {one.seconds:.0f} s "
        f"({one.editions / one.seconds:.1f}/s), {one.duplicates} duplicates, {one.lost} lost, "
        f"{one.unknown} unknown, {one.kills} kills\n"
        f"  planned in {one.planned_in:.1f} s; half out after {one.latest[0]:.0f} s, 95 % after "
        f"{one.latest[1]:.0f} s\n"
        f"  CPU an edition: workers {workers:.0f} ms, database {database:.0f} ms, relay {relay:.0f} ms, "
        f"together {sum(one.cpu):.0f} ms; pace {one.pace[0]:.1f} ms, {one.pace[1]:.1f} at best\n"
        f"  largest worker by tenths: {' '.join(f'{mb}' for mb in one.rss)} MB",
        flush=True,
    )
    if one.asked is not None:
        kept = sorted(one.asked.kept.items(), key=lambda row: -row[1])
        print(
            f"  the database an edition: {one.asked.commits:.1f} commits, {one.asked.wal / 1000:.0f} kB of "
            f"journal, {sum(one.asked.kept.values()) / 1000:.1f} kB kept ("
            + ", ".join(f"{name} {size / 1000:.1f}" for name, size in kept[:6])
            + f"); {one.asked.connections} connections at most",
            flush=True,
        )


if __name__ == "__main__":
    main()

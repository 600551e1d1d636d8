"""Where the processor time of one edition goes, stage by stage, in a process that has done some before.

    python benchmarks/stages.py [--rounds N] [--only sqlite|postgresql|start] [--profile FILE]

The edition is one of `fleet.py`: two segments, seven months of counts, a picture, a mail for each of three
people, sent over loopback without TLS to a relay in another process. Every round is another client, so
nothing is found in a cache that a worker would not find there. `delivery.send` is handed its parts, and each
part's time is taken where it is handed in; what remains is the sending's own. The source costs nothing.

Times are of the processor (`time.process_time`), wall time beside them: it says what a busy machine and the
disk add. Start-up is measured as whole processes, by what the system says that they took.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from statistics import median
from time import perf_counter, process_time, sleep
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.fleet import CLIENT, DEFAULTS, READERS, a_relay, cpu_of, postmaster
from digest import delivery, demo
from digest.compose import Memory, compose
from digest.ledger import Place, open_ledger
from digest.model import Edition, Message, Recipient
from digest.render import PACKERS, charts, render
from digest.render.locales import locale_for
from digest.settings import Settings, load
from digest.snapshot import edition_from_json, edition_to_json
from tests.delivery.scene import empty_postgres
from tests.servers import start_postgresql

DAY = date(2026, 6, 15)
NOW = datetime(2026, 6, 15, 6, 0, tzinfo=UTC)
WARM_UP = 5  # editions, after which nothing is imported or compiled any more
STAGES = (
    "settings",
    "compose",
    "freeze as JSON",
    "chart",
    "HTML, text, short form",
    "MIME",
    "SMTP hand-over",
    "ledger",
    "the sending's own",
)


@dataclass
class Watch:
    """Adds up what each stage took, what is nested in it left out."""

    spent: dict[str, list[float]] = field(default_factory=dict)  # [processor, wall] seconds
    _open: list[str] = field(default_factory=list)
    _since: tuple[float, float] = (0.0, 0.0)

    @contextmanager
    def on(self, stage: str) -> Iterator[None]:
        """Count the block for a stage."""
        self._turn()
        self._open.append(stage)
        try:
            yield
        finally:
            self._turn()
            self._open.pop()

    def _turn(self) -> None:
        now = (process_time(), perf_counter())
        if self._open:
            spent = self.spent.setdefault(self._open[-1], [0.0, 0.0])
            spent[0] += now[0] - self._since[0]
            spent[1] += now[1] - self._since[1]
        self._since = now

    def of(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, counted for a stage."""

        def counted(*args: object, **kwargs: object) -> object:
            with self.on(stage):
                return function(*args, **kwargs)

        return counted


class Counted:
    """Anything whose every method is counted for one stage."""

    def __init__(self, watch: Watch, stage: str, inner: object) -> None:
        self._watch, self._stage, self._inner = watch, stage, inner

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever stands behind it
        found = getattr(self._inner, name)
        return self._watch.of(self._stage, found) if callable(found) else found

    @contextmanager
    def entered(self, name: str) -> Iterator[Any]:
        """Enter and leave a context manager of it, counted; the block in it is not."""
        inner = getattr(self._inner, name)()
        with self._watch.on(self._stage):
            value = inner.__enter__()
        try:
            yield value
        finally:
            with self._watch.on(self._stage):
                inner.__exit__(None, None, None)


class CountedLedger(Counted):
    """A ledger."""

    def connected(self) -> Any:  # noqa: ANN401 - as above
        """Keep one connection."""
        return self.entered("connected")


class CountedChannel(Counted):
    """A channel and its sessions; `form` and the like are read as they are."""

    @contextmanager
    def session(self) -> Iterator[Counted]:
        """Open a session."""
        with self.entered("session") as session:
            yield Counted(self._watch, self._stage, session)


# -------------------------------------------------------------------------------------- one edition


def edition_of(settings: Settings, ledger: Any, watch: Watch) -> None:  # noqa: ANN401 - counted or not
    """Compose and send one edition with every part counted."""

    def drawn_and_written(edition: Edition, recipient: Recipient) -> Message:
        locale = locale_for(recipient.language or edition.language)
        with watch.on("chart"):  # kept, so that `render` need not draw it
            charts.png(charts.waterfall(edition), locale)
        with watch.on("HTML, text, short form"):
            return render(edition, language=recipient.language)

    with watch.on("the sending's own"):
        done = delivery.send(
            digest_id=settings.id,
            business_date=DAY,
            channels={
                name: CountedChannel(watch, "SMTP hand-over", channel)
                for name, channel in settings.channels.items()
            },
            compose=watch.of(
                "compose",
                lambda previous: compose(settings, DAY, now=NOW, memory=Memory(previous)),
            ),
            render=drawn_and_written,
            packers={name: watch.of("MIME", pack) for name, pack in PACKERS.items()},
            ledger=CountedLedger(watch, "ledger", ledger),  # type: ignore[arg-type] # stands for one
            clock=lambda: NOW,
            sleep=sleep,
            to_json=watch.of("freeze as JSON", edition_to_json),
            from_json=watch.of("freeze as JSON", edition_from_json),
            named=True,
        )
    assert [str(one.state) for one in done.outcomes] == ["sent"] * READERS, done.lines


def measured(
    folder: Path, place: Place, port: int, rounds: int, profile: cProfile.Profile | None
) -> tuple[list[Watch], float]:
    """Send an edition of each of many clients; return the watches, and the server's seconds for each."""
    clients = folder / "clients"
    shutil.rmtree(clients, ignore_errors=True)
    clients.mkdir()
    name = place if isinstance(place, Path) else place.url
    (clients / "defaults.toml").write_text(DEFAULTS.format(ledger=name, latency=0, port=port))
    watches = []
    ledger = open_ledger(place, clock=lambda: NOW)
    server = None if isinstance(place, Path) else postmaster(start_postgresql())
    before = 0.0
    for number in range(WARM_UP + rounds):
        readers = ", ".join(f'"r{k}@c{number}.example"' for k in range(READERS))
        path = clients / f"client-{number:05}.toml"
        path.write_text(CLIENT.format(n=number, readers=readers))
        watch = Watch()
        if number == WARM_UP:
            before = cpu_of(server)
            if profile:
                profile.enable()
        with watch.on("settings"):
            settings = load(path, environment={})
        edition_of(settings, ledger, watch)
        watches.append(watch)
    if profile:
        profile.disable()
    return watches[WARM_UP:], (cpu_of(server) - before) / rounds


def shown(name: str, watches: Sequence[Watch], server: float) -> None:
    """Print the table of one way of keeping the ledger."""
    print(f"{name}; median of {len(watches)} editions, {READERS} recipients each")
    print(f"  {'stage':24}{'processor ms':>14}{'share':>8}{'wall ms':>10}")
    times = {
        stage: [median(one.spent.get(stage, (0.0, 0.0))[k] for one in watches) for k in (0, 1)]
        for stage in STAGES
    }
    whole = [sum(time[k] for time in times.values()) for k in (0, 1)]
    for stage, (processor, wall) in times.items():
        print(f"  {stage:24}{processor * 1000:14.1f}{processor / whole[0]:8.0%}{wall * 1000:10.1f}")
    print(f"  {'together':24}{whole[0] * 1000:14.1f}{1:8.0%}{whole[1] * 1000:10.1f}")
    if server:
        print(f"  {'the database server':24}{server * 1000:14.1f}")
    print(flush=True)


# ------------------------------------------------------------------------------------------ start-up


def started(folder: Path, rounds: int) -> None:
    """Print what whole commands take, from fork to end."""
    demo.run(folder / "demo", wanted=DAY)
    shown_ = ["show", str(folder / "demo/digest.toml"), "--date", DAY.isoformat()]
    print(f"a process of its own; median of {rounds}")
    print(f"  {'command':24}{'processor ms':>14}{'':8}{'wall ms':>10}")
    for name, arguments in (("digest --help", ["--help"]), ("digest show", shown_)):
        found = [_once(arguments) for _ in range(rounds + 1)][1:]
        processor, wall = (median(one[k] for one in found) for k in (0, 1))
        print(f"  {name:24}{processor * 1000:14.0f}{'':8}{wall * 1000:10.0f}")


def _once(arguments: Sequence[str]) -> tuple[float, float]:
    began = perf_counter()
    child = os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", "digest", *arguments],
        os.environ,  # noqa: TID251 - an entry point
        file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)],
    )
    _, status, used = os.wait4(child, 0)
    assert status == 0, arguments
    return used.ru_utime + used.ru_stime, perf_counter() - began


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--rounds", type=int, default=20)
    options.add_argument("--only", choices=("sqlite", "postgresql", "start"), action="append")
    options.add_argument("--profile", help="where the profile of the editions is written")
    given = options.parse_args()
    wanted = given.only or ["sqlite", "postgresql", "start"]
    profile = cProfile.Profile() if given.profile else None
    with tempfile.TemporaryDirectory() as name, a_relay(Path(name)) as relay:
        folder = Path(name)
        if "sqlite" in wanted:
            found = measured(folder, folder / "ledger.sqlite", relay.port, given.rounds, profile)
            shown("ledger in SQLite", *found)
        if "postgresql" in wanted:
            place = replace(empty_postgres(start_postgresql()), connections=1)
            shown(
                "ledger in PostgreSQL, connection kept",
                *measured(folder, place, relay.port, given.rounds, profile),
            )
        if "start" in wanted:
            started(folder, given.rounds)
    if profile:
        profile.dump_stats(given.profile)


if __name__ == "__main__":
    main()

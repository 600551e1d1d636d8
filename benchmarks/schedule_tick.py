"""What a tick of `digest schedule` costs with 1,000 digests, on one ledger and on a ledger each.

Usage: python benchmarks/schedule_tick.py

Milliseconds of one look: every file asked whether it has changed, every digest whether it is due, and the
ledger what has been done. The alternative beside it loads every file in each tick.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from digest.dispatch import pin_of
from digest.ledger import RunState, open_ledger
from digest.schedule import Child, Host, _due_now, _State
from digest.settings import load_many
from digest.settings.watch import Watch
from tests.test_compose import CONFIG

DIGESTS, DAY = 1000, date(2026, 6, 15)
EARLY, OPEN = datetime(2026, 6, 15, 5, 0, tzinfo=UTC), datetime(2026, 6, 15, 6, 0, tzinfo=UTC)


def host_at(now: datetime) -> Host:
    def spawn(paths: Sequence[Path]) -> Child:
        raise AssertionError(paths)  # nothing is started here

    return Host(
        clock=lambda: now,
        monotonic=time.monotonic,
        sleep=lambda _: None,
        stop=lambda: False,
        spawn=spawn,
        tell=print,
    )


def milliseconds(work: Callable[[], object], times: int = 15) -> str:
    work()
    taken = []
    for _ in range(times):
        began = time.process_time()
        work()
        taken.append((time.process_time() - began) * 1000)
    return f"{statistics.median(taken):8.1f} {max(taken):8.1f}"


def measure(folder: Path, *, own_ledgers: bool) -> None:
    for n in range(DIGESTS):
        own = f'ledger = "own/{n}.sqlite"\n' if own_ledgers else ""
        (folder / f"d{n:04}.toml").write_text(
            CONFIG.replace('id = "leads"', f'{own}id = "d{n:04}"')
        )
    watch, state = Watch([folder], {}), _State()
    began = time.perf_counter()
    seen = watch.look()
    print(f"reading {len(seen.digests)} files once: {time.perf_counter() - began:.1f} s")
    print("                                    median      max   ms of the processor")
    early, due = host_at(EARLY), host_at(OPEN)
    print(
        f"before send_at                    {milliseconds(lambda: _due_now(watch, early, state))}"
    )
    assert len(_due_now(watch, due, state)) == DIGESTS
    print(f"all due                           {milliseconds(lambda: _due_now(watch, due, state))}")
    for settings in seen.digests:
        ledger = open_ledger(settings.ledger, clock=lambda: OPEN, pin=pin_of(settings))
        ledger.open_run(settings.id, DAY)
        ledger.mark_run(settings.id, DAY, RunState.DONE)
    assert _due_now(watch, due, state) == []
    print(f"all sent                          {milliseconds(lambda: _due_now(watch, due, state))}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as one:
        print(f"{DIGESTS} digests, one ledger")
        measure(Path(one), own_ledgers=False)
        paths = [Path(one)]
        print(
            f"alternative, reading every file   {milliseconds(lambda: load_many(paths, environment={}), 3)}"
        )
    with tempfile.TemporaryDirectory() as many:
        print(f"{DIGESTS} digests, a ledger each")
        measure(Path(many), own_ledgers=True)

"""From counts to a finished message for the demo, stage by stage, beside a dashboard picture by mail.

Composing and rendering are measured in this process after all imports and one warm-up. The alternative
is what a scheduled dashboard mail does with the same counts: a pandas pivot as an HTML table and a
default matplotlib picture of it, with neither a goal, nor a verdict, nor a layout.
"""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path
from statistics import median
from time import perf_counter

import matplotlib as mpl
import pandas as pd

from digest import demo, editions
from digest.compose import due_on, facts_of
from digest.dispatch import memory_of
from digest.model import Edition, LeadCounts
from digest.render import render
from digest.settings import Settings, load

DAY = date(2026, 6, 15)
ROUNDS = 40
LIMITS = {"compose and render, no chart": 25.0, "compose and render, with chart": 150.0}


def main() -> None:
    """Measure and print; the exit code says whether the limits hold."""
    mpl.use("Agg")
    with tempfile.TemporaryDirectory() as folder:
        demo.run(Path(folder) / "demo", wanted=DAY)
        settings = load(Path(folder) / "demo/digest.toml", environment={})
        stages = _stages(settings)
    print(f"demo edition of {DAY}, median and p95 of {ROUNDS}, milliseconds")
    late = False
    for name, work in stages.items():
        took = _measure(work)
        limit = LIMITS.get(name)
        late = late or (limit is not None and median(took) > limit)
        note = f"   (limit {limit:g})" if limit else ""
        print(f"{name:<34} {median(took):7.1f} {took[int(len(took) * 0.95)]:7.1f}{note}")
    sys.exit(late)


def _stages(settings: Settings) -> dict[str, Callable[[], object]]:
    memory = memory_of(settings, DAY)
    facts, due = facts_of(settings), due_on(settings, DAY, previous=memory.previous)
    wanted = editions.counting_plan(due, months=facts.months)
    assert wanted.history is not None
    now = demo.morning(DAY)
    connector, segments = settings.connector, settings.segments
    counts = connector.count_leads(period=wanted.current, segments=segments, now=now)
    history = connector.count_leads(period=wanted.history, segments=segments, now=now)

    def compose() -> Edition:
        return editions.compose_edition(
            facts, due, counts=counts, history=history, previous=memory.previous
        )

    edition = compose()
    return {
        "compose from counts": compose,
        "render HTML and text": lambda: render(edition, chart=False),
        "compose and render, no chart": lambda: render(compose(), chart=False),
        "compose and render, with chart": lambda: render(compose()),
        "alternative: pandas table + picture": lambda: _dashboard(counts),
    }


def _dashboard(counts: LeadCounts) -> tuple[str, bytes]:
    from matplotlib import pyplot as plt

    frame = pd.DataFrame(
        [(r.day, r.segment, r.leads) for r in counts.rows], columns=["day", "segment", "n"]
    )
    pivot = frame.pivot_table(index="day", columns="segment", values="n", aggfunc="sum").fillna(0)
    axes = pivot.cumsum().plot()
    picture = io.BytesIO()
    axes.figure.savefig(picture)
    plt.close("all")
    return pivot.to_html(), picture.getvalue()


def _measure(work: Callable[[], object]) -> list[float]:
    work()
    took = []
    for _ in range(ROUNDS):
        start = perf_counter()
        work()
        took.append((perf_counter() - start) * 1000)
    return sorted(took)


if __name__ == "__main__":
    main()

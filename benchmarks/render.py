"""What rendering an edition costs, beside the quick alternative: pandas' table, matplotlib's defaults.

Run: python benchmarks/render.py [--repeat N]
Times are CPU milliseconds after imports and one warm-up, so that a busy machine does not count.
The alternative is what "a picture of a dashboard" costs: DataFrame.to_html without any layout, and
Figure.savefig with matplotlib's defaults at the same size.
"""

from __future__ import annotations

import argparse
import io
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from digest.render import charts, lint, render, scorecard_json
from digest.render.locales import locale_for
from tests.render.editions import edition, many_segments

EDITION, MANY = edition(), many_segments(25)
GERMAN = locale_for("de-CH")


def alternative_table() -> str:
    rows = [
        (row.segment, row.actual, float(row.expected or 0), row.gap, row.goal)
        for row in EDITION.scorecard.segments
    ]
    frame = pd.DataFrame(rows, columns=["segment", "actual", "expected", "gap", "goal"])
    return str(frame.to_html())


def alternative_chart() -> bytes:
    picture = charts.waterfall(EDITION)
    figure = Figure(figsize=(charts.WIDTH / charts.DPI, charts.HEIGHT / charts.DPI), dpi=charts.DPI)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    days = range(1, len(picture.new) + 1)
    axes.bar(days, picture.new)
    axes.plot(range(1, picture.length + 1), picture.staircase)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def anew(work: Callable[[], object]) -> object:
    """Draw although the same picture was drawn before."""
    charts.png.cache_clear()
    return work()


def median_ms(work: Callable[[], object], repeat: int) -> tuple[float, float]:
    """Return the median and the 95th percentile in milliseconds of this process's own CPU time."""
    work()
    times = []
    for _ in range(repeat):
        start = time.process_time()
        work()
        times.append((time.process_time() - start) * 1000)
    return statistics.median(times), statistics.quantiles(times, n=20)[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=40)
    repeat = parser.parse_args().repeat
    picture = charts.waterfall(EDITION)
    message = render(EDITION, language="de-CH")
    assert "DACH" in alternative_table()
    assert "140" in message.html
    work: list[tuple[str, Callable[[], object], str]] = [
        (
            "HTML + text, 4 segments",
            lambda: render(EDITION, language="de-CH", chart=False),
            f"{lint.size(message.html) / 1000:.0f} KB",
        ),
        (
            "HTML + text, 25 segments",
            lambda: render(MANY, language="de-CH", chart=False),
            f"{lint.size(render(MANY, language='de-CH', chart=False).html) / 1000:.0f} KB",
        ),
        (
            "chart alone",
            lambda: anew(lambda: charts.png(picture, GERMAN)),
            f"{len(message.images[0].png) / 1000:.0f} KB",
        ),
        ("whole message with chart", lambda: anew(lambda: render(EDITION, language="de-CH")), ""),
        ("scorecard as JSON", lambda: scorecard_json(EDITION, "de-CH"), ""),
        (
            "alternative: DataFrame.to_html",
            alternative_table,
            f"{len(alternative_table()) / 1000:.0f} KB, no layout",
        ),
        (
            "alternative: default savefig",
            alternative_chart,
            f"{len(alternative_chart()) / 1000:.0f} KB",
        ),
    ]
    print("| step | median ms | p95 ms | size |")
    print("|---|---|---|---|")
    for name, function, size in work:
        median, p95 = median_ms(function, repeat)
        print(f"| {name} | {median:.1f} | {p95:.1f} | {size} |")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\nPeak memory of this process, pandas included: {peak:.0f} MB")


if __name__ == "__main__":
    main()

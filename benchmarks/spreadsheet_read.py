"""Counts a month from a 200,000-row workbook, and with --csv ROWS from a CSV, next to pandas.

Each way runs in a process of its own, so that time includes its imports and memory is its own peak. Next
to the wall clock stands the processor's time, which other work on the machine hardly changes.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

MONTH = date(2026, 6, 1), date(2026, 7, 1)
REGIONS = ("Zürich", "Bern", "Romandie", "Ticino")
HEADER = ("lead_id", "created", "region", "source", "owner", "score")
SECONDS, MEGABYTES = 5.0, 300.0


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=200_000)
    options.add_argument(
        "--csv", type=int, default=0, metavar="ROWS", help="also a CSV of so many rows"
    )
    options.add_argument("--run", nargs=2, metavar=("WAY", "FILE"), help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.run:
        print(json.dumps(WAYS[given.run[0]](Path(given.run[1]))))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "leads.xlsx"
        write_xlsx(path, given.rows)
        print(
            f"{path.name}: {given.rows:,} rows x {len(HEADER)}, {path.stat().st_size / 1e6:.1f} MB"
        )
        seconds, megabytes = compare(path, ("digest", "pandas + calamine", "pandas + openpyxl"))
        assert seconds < SECONDS, f"{seconds:.1f} s of processor, allowed {SECONDS}"
        assert megabytes < MEGABYTES, f"{megabytes:.0f} MB, allowed {MEGABYTES}"
        if given.csv:
            path = Path(folder) / "leads.csv"
            write_csv(path, given.csv)
            print(
                f"{path.name}: {given.csv:,} rows x {len(HEADER)}, {path.stat().st_size / 1e6:.1f} MB"
            )
            compare(path, ("digest", "pandas csv"))


def compare(path: Path, ways: tuple[str, ...]) -> tuple[float, float]:
    """Run each way, require equal counts, print the figures; return processor seconds and MB of the first."""
    results = {way: run(way, path) for way in ways}
    first, *others = (result[0] for result in results.values())
    assert all(other == first for other in others), "the ways disagree"
    for way, (counts, wall, processor, megabytes) in results.items():
        figures = f"{wall:6.1f} s {processor:6.1f} s of processor {megabytes:6.0f} MB"
        print(f"  {way:20} {figures}  {sum(counts.values()):,} leads")
    return results[ways[0]][2:]


def run(way: str, path: Path) -> tuple[dict[str, int], float, float, float]:
    started, used = time.perf_counter(), processor_seconds()
    done = subprocess.run(  # noqa: S603 - this script itself
        [sys.executable, __file__, "--run", way, str(path)],
        capture_output=True,
        check=True,
        text=True,
    )
    seconds = time.perf_counter() - started
    counts, megabytes = json.loads(done.stdout)
    return counts, seconds, processor_seconds() - used, megabytes


def processor_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime


def counted(counts: dict[str, int]) -> tuple[dict[str, int], float]:
    return counts, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def with_digest(path: Path) -> tuple[dict[str, int], float]:
    from digest.connectors.spreadsheet import Spreadsheet
    from digest.model import Period, Segment

    leads = Spreadsheet(
        dates=("created",), segment="region", file=path, stored_in="Europe/Zurich", max_age="any"
    ).count_leads(
        period=Period(*MONTH),
        segments=[Segment(region) for region in REGIONS],
        now=datetime(2026, 7, 1, tzinfo=UTC),
    )
    counts: dict[str, int] = {}
    for row in leads.rows:
        counts[row.segment] = counts.get(row.segment, 0) + row.leads
    return counted(counts)


def with_pandas(engine: str) -> Callable[[Path], tuple[dict[str, int], float]]:
    def read(path: Path) -> tuple[dict[str, int], float]:
        import pandas as pd

        if engine == "csv":
            frame = pd.read_csv(path, usecols=["created", "region"], parse_dates=["created"])
        else:
            frame = pd.read_excel(path, engine=engine, usecols=["created", "region"])
        inside = frame["created"].between(*map(pd.Timestamp, MONTH), inclusive="left")
        sizes = frame[inside].groupby("region").size()
        return counted({str(region): int(number) for region, number in sizes.items()})

    return read


WAYS = {
    "digest": with_digest,
    "pandas + calamine": with_pandas("calamine"),
    "pandas + openpyxl": with_pandas("openpyxl"),
    "pandas csv": with_pandas("csv"),
}


def created(draw: random.Random) -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None) + timedelta(
        seconds=draw.randrange(330 * 86_400)
    )


def write_xlsx(path: Path, rows: int) -> None:
    import xlsxwriter  # type: ignore[import-untyped] # has no types

    draw = random.Random(2)  # noqa: S311 - sample data
    with xlsxwriter.Workbook(path, {"constant_memory": True}) as book:
        sheet, style = (
            book.add_worksheet("Leads"),
            book.add_format({"num_format": "yyyy-mm-dd hh:mm"}),
        )
        sheet.write_row(0, 0, HEADER)
        for row in range(1, rows + 1):
            sheet.write_number(row, 0, row)
            sheet.write_datetime(row, 1, created(draw), style)
            sheet.write_string(row, 2, draw.choice(REGIONS))
            sheet.write_string(row, 3, draw.choice(("web", "fair", "phone")))
            sheet.write_string(row, 4, f"owner {draw.randrange(40)}")
            sheet.write_number(row, 5, draw.randrange(100))


def write_csv(path: Path, rows: int) -> None:
    draw = random.Random(2)  # noqa: S311 - sample data
    with path.open("w", encoding="utf-8") as stream:
        stream.write(",".join(HEADER) + "\n")
        for row in range(1, rows + 1):
            stream.write(
                f"{row},{created(draw)},{draw.choice(REGIONS)},web,owner {draw.randrange(40)},"
                f"{draw.randrange(100)}\n"
            )


if __name__ == "__main__":
    main()

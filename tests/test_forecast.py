"""Where the month will end: the published reference, its limits, and exact sums beside it."""

from __future__ import annotations

from datetime import date, timedelta
from fractions import Fraction
from math import comb, exp, factorial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digest import forecast as forecasting
from digest.forecast import (
    HIGH,
    LOW,
    Day,
    Prior,
    _Law,
    cdf,
    chance_of_zero,
    forecast,
    forecast_from,
    hindsight,
    outlook,
    prior,
    quantile,
)
from digest.model import Forecast

KNOWN = Prior(6.0, 1.44, 1.5)


def month(leads: list[int], weights: list[int] | None = None) -> list[Day]:
    first = date(2026, 1, 1)
    return [
        (first + timedelta(n), Fraction(weight), count)
        for n, (count, weight) in enumerate(zip(leads, weights or [1] * len(leads), strict=True))
    ]


def at(
    *,
    actual: int = 55,
    elapsed: int = 10,
    remaining: int = 12,
    goal: int | None = 140,
    known: Prior | None = KNOWN,
) -> Forecast:
    found = forecast_from(
        known, actual=actual, elapsed=Fraction(elapsed), remaining=Fraction(remaining), goal=goal
    )
    assert found is not None
    return found


def test_the_reference_case_comes_out() -> None:
    found = at()
    assert found.mean == pytest.approx(123.308, abs=5e-4)
    assert (found.low, found.high) == (107, 141)
    assert found.chance == pytest.approx(0.1160, abs=5e-5)


def test_leads_from_before_a_segment_was_active_are_in_but_say_nothing_of_its_pace() -> None:
    late = forecast_from(
        KNOWN,
        actual=75,
        elapsed=Fraction(10),
        remaining=Fraction(12),
        goal=160,
        before_start=20,
    )
    assert late is not None
    whole = at()
    assert late.mean == pytest.approx(whole.mean + 20)
    assert (late.low, late.high) == (whole.low + 20, whole.high + 20)
    assert late.chance == pytest.approx(whole.chance)


# ---------------------------------------------------------------------------------------- hindsight


@given(
    leads=st.lists(st.integers(0, 12), min_size=4, max_size=24),
    later=st.integers(0, 9),
    data=st.data(),
)
def test_hindsight_is_the_forecast_of_the_days_up_to_then(
    leads: list[int], later: int, data: st.DataObject
) -> None:
    days = month(leads, [n % 7 < 5 for n in range(len(leads))])
    history = [month([3, 5, 4, 6, 2] * 4), month([4, 4, 7, 3, 5] * 4)]
    n = data.draw(st.integers(0, len(days) - 1))
    past, rest = days[: n + 1], days[n + 1 :]
    elapsed = sum((weight for _, weight, _ in past), Fraction(0))

    ((count, said),) = hindsight(days, [days[n][0]], goal=60, history=history)

    assert count == sum(leads[: n + 1])
    assert said == forecast(
        actual=count,
        elapsed=elapsed,
        remaining=sum((weight for _, weight, _ in rest), Fraction(0)),
        goal=60,
        history=history,
    )
    changed = [*past, *((day, weight, later) for day, weight, _ in rest)]
    assert hindsight(changed, [days[n][0]], goal=60, history=history) == ((count, said),)


def test_before_the_month_hindsight_is_what_history_says_alone() -> None:
    days = month([5] * 10)
    ((count, said),) = hindsight(days, [date(2025, 12, 31)], goal=None, history=[month([6] * 20)])

    assert count == 0
    assert said is not None
    assert said.mean == pytest.approx(60.0)
    assert hindsight(days, [date(2025, 12, 31)], goal=None, history=[]) == ((0, None),)


# --------------------------------------------------------------------------------------- its limits


def test_at_the_end_of_the_month_the_forecast_is_the_actual() -> None:
    assert at(actual=140, elapsed=22, remaining=0) == Forecast(140.0, 140, 140, 1.0)
    assert at(actual=139, elapsed=22, remaining=0) == Forecast(139.0, 139, 139, 0.0)
    assert at(actual=139, elapsed=22, remaining=0, goal=None) == Forecast(139.0, 139, 139, None)


def test_a_reached_goal_is_certain_and_no_goal_has_no_chance() -> None:
    assert at(actual=140).chance == 1.0
    assert (at(actual=139, elapsed=21, remaining=1).chance or 0) < 1.0
    assert at(goal=None).chance is None


def test_the_chance_of_one_more_lead_is_that_of_not_staying_at_zero() -> None:
    found = at(actual=139)
    shape, exposure = 139 / 1.5 + 25, 10 / 1.5 + 25 / 6
    mean = shape / exposure * 12
    variance = 1.5 * mean + shape / exposure**2 * 144
    assert found.chance == pytest.approx(1 - cdf(0, mean, variance))


def test_before_the_first_workday_history_alone_speaks() -> None:
    found = at(actual=3, elapsed=0, remaining=22)
    assert found.mean == pytest.approx(3 + 6 * 22)


def test_without_history_nothing_is_said_before_the_third_workday() -> None:
    early = forecast_from(None, actual=9, elapsed=Fraction(5, 2), remaining=Fraction(19), goal=140)
    assert early is None
    assert at(known=None, actual=9, elapsed=3, remaining=19).mean == pytest.approx(9 + 9.5 / 3 * 19)


def test_without_history_the_spread_is_poisson_and_gamma() -> None:
    found = at(known=None, actual=9, elapsed=3, remaining=19)
    mean, variance = 9.5 / 3 * 19, 9.5 / 3 * 19 + 9.5 / 9 * 19**2
    assert (found.low, found.high) == (
        9 + quantile(0.1, mean, variance),
        9 + quantile(0.9, mean, variance),
    )


def test_forecast_learns_from_the_months_it_is_given() -> None:
    history = [month([6] * 20), month([7] * 20)]
    direct = forecast(
        actual=55, elapsed=Fraction(10), remaining=Fraction(12), goal=140, history=history
    )
    known = prior(history)
    assert known is not None
    assert direct == at(known=known)


def test_a_quiet_month_after_busy_ones_is_pulled_up() -> None:
    run_rate = 20 + 20 / 10 * 12
    assert run_rate < at(actual=20).mean < 20 + 6 * 12


# ---------------------------------------------------------------------------------------------- prior


def test_the_rate_pools_all_months_by_weight() -> None:
    known = prior([month([4, 4]), month([10, 10, 10, 10])])
    assert known is not None
    assert known.rate == pytest.approx(48 / 6)


def test_even_months_still_differ_by_fifteen_percent() -> None:
    known = prior([month([5] * 20), month([5] * 20)])
    assert known is not None
    assert known.variance == pytest.approx((0.15 * 5) ** 2)
    assert known.phi == 1.0


def test_one_month_says_nothing_of_differences_between_months() -> None:
    known = prior([month([4, 6] * 10)])
    assert known is not None
    assert known.variance == pytest.approx((0.15 * 5) ** 2)


def test_months_that_differ_widen_the_prior_beyond_the_noise() -> None:
    known = prior([month([4] * 20), month([8] * 20)])
    assert known is not None
    # Rates 4 and 8 have variance 8; noise of a month is phi x 6 / 20 with phi clipped to 1.
    assert known.variance == pytest.approx(8 - 6 / 20)


def test_restless_days_explain_more_of_the_difference_between_months() -> None:
    known = prior([month([2, 10] * 10), month([5, 13] * 10)])
    assert known is not None
    # Rates 6 and 9 have variance 4.5; phi is (53.3 + 35.6) / 38, so a month's noise is phi x 7.5 / 20.
    phi = (20 * 16 / 6 + 20 * 16 / 9) / 38
    assert known.variance == pytest.approx(4.5 - phi * 7.5 / 20)
    assert phi > 2


def test_differences_between_three_months_are_divided_by_two() -> None:
    known = prior([month([rate] * 20) for rate in (4, 6, 8)])
    assert known is not None
    assert known.variance == pytest.approx(4 - 6 / 20)


def test_dispersion_is_pearsons_chi_square_within_months() -> None:
    known = prior([month([2, 10] * 10), month([5, 13] * 10)])
    assert known is not None
    chi_square = 20 * 16 / 6 + 20 * 16 / 9
    assert known.phi == pytest.approx(chi_square / (19 + 19))


def test_dispersion_respects_the_weight_of_a_day() -> None:
    # Half-days bring half: no dispersion at all, clipped to 1 from below.
    known = prior([month([4, 2, 4, 2], [2, 1, 2, 1])])
    assert known is not None
    assert (known.rate, known.phi) == (2.0, 1.0)


def test_dispersion_is_clipped_at_five() -> None:
    known = prior([month([0, 40] * 10)])
    assert known is not None
    assert known.phi == 5.0


def test_leads_of_free_days_count_in_the_rate_but_are_no_noise() -> None:
    known = prior([month([5, 5, 5, 5, 5, 3, 2], [1, 1, 1, 1, 1, 0, 0])])
    assert known is not None
    assert (known.rate, known.phi) == (6.0, 1.0)


def test_a_month_of_free_leads_only_has_no_noise_to_measure() -> None:
    known = prior([month([0, 4], [1, 0])])
    assert known is not None
    assert (known.rate, known.phi) == (4.0, 1.0)


def test_one_day_of_history_has_no_freedom() -> None:
    known = prior([month([7])])
    assert known is not None
    assert known.phi == 1.0


@pytest.mark.parametrize(
    "history", [[], [[]], [month([0, 0])], [month([9], [0])], [[], month([0])]]
)
def test_no_leads_or_no_workdays_teach_nothing(history: list[list[Day]]) -> None:
    assert prior(history) is None


def test_months_without_workdays_are_left_out() -> None:
    assert prior([month([9], [0]), month([5, 5])]) == prior([month([5, 5])])


def test_the_chance_of_a_zero_follows_from_history() -> None:
    assert chance_of_zero(KNOWN, Fraction(0)) == 1.0
    mean, variance = 12.0, 1.5 * 12 + 1.44 * 4
    size = mean**2 / (variance - mean)
    assert chance_of_zero(KNOWN, Fraction(2)) == pytest.approx((size / (size + mean)) ** size)


# --------------------------------------------------------------------------------------- distributions


def test_poisson_sums_agree_with_the_textbook() -> None:
    for count in range(12):
        exact = sum(exp(-5) * 5**k / factorial(k) for k in range(count + 1))
        assert cdf(count, 5.0) == pytest.approx(exact, rel=1e-12)


def test_negative_binomial_sums_agree_with_the_textbook() -> None:
    # size 4, probability 1/3: mean 8, variance 24.
    for count in range(30):
        exact = sum(comb(k + 3, k) * (1 / 3) ** 4 * (2 / 3) ** k for k in range(count + 1))
        assert cdf(count, 8.0, 24.0) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("variance", [None, 3.0, 8.0, 8.000001])
def test_a_variance_up_to_the_mean_is_poisson(variance: float | None) -> None:
    assert cdf(6, 8.0, variance) == pytest.approx(cdf(6, 8.0), rel=1e-5)
    assert cdf(6, 8.0, 9.0) != pytest.approx(cdf(6, 8.0), rel=1e-3)


def test_nothing_is_expected_of_a_mean_of_zero() -> None:
    assert (cdf(-1, 5.0), cdf(-1, 0.0), cdf(0, 0.0), cdf(7, 0.0)) == (0.0, 0.0, 1.0, 1.0)


@pytest.mark.parametrize("mean", [745.0, 1e4, 1e6])
@pytest.mark.parametrize("spread", [1.0, 5.0, 200.0])
def test_large_means_lose_no_probability(mean: float, spread: float) -> None:
    middle = quantile(0.5, mean, mean * spread)
    assert abs(middle - mean) < 2 + spread
    assert cdf(int(mean + 9 * (mean * spread) ** 0.5), mean, mean * spread) == pytest.approx(1.0)


def test_a_wide_law_starts_at_zero_and_still_sums() -> None:
    mean = 1e5
    size = 36.0
    variance = mean + mean**2 / size
    assert 0.5 < cdf(int(mean), mean, variance) < 0.55


@pytest.mark.parametrize(
    ("mean", "variance"), [(3.0, 3.0), (30.0, 60.0), (0.5, 40.0), (900.0, 90_000.0)]
)
def test_a_goal_beyond_all_reason_costs_no_more_than_one_that_is_certain(
    mean: float, variance: float
) -> None:
    """A deal size that was typed in cents makes goals of billions; to add up as many terms takes for ever."""
    law = _Law.of(mean, variance)
    total, term = 0.0, law.first
    for k in range(law.start, 100_000):
        total += term
        term *= law.ratio(k)

    assert cdf(10**18, mean, variance) == min(total, 1.0)


@pytest.mark.parametrize("spread", [1.0, 5.0, 1_000.0])
@pytest.mark.parametrize("share", [LOW, 0.5, HIGH, 0.99])
def test_means_of_many_thousands_need_no_sum_and_give_what_it_gives(
    monkeypatch: pytest.MonkeyPatch, spread: float, share: float
) -> None:
    mean = 40_000.0
    summed = quantile(share, mean, mean * spread)
    at = cdf(summed, mean, mean * spread)
    monkeypatch.setattr(forecasting, "LARGE", 30_000)

    assert quantile(share, mean, mean * spread) == pytest.approx(summed, rel=2e-4)
    assert cdf(summed, mean, mean * spread) == pytest.approx(at, abs=1e-3)


def test_millions_of_leads_have_a_forecast_too() -> None:
    months = [month([400_000 + 9_000 * (number % 3)] * 22) for number in range(6)]
    found = forecast(
        actual=5_000_000,
        elapsed=Fraction(12),
        remaining=Fraction(10),
        goal=9_167_000,
        history=months,
    )

    assert found is not None
    assert found.mean == pytest.approx(9_000_000, rel=0.02)
    assert 9_100_000 < found.low < found.mean < found.high < 9_200_000
    assert 0.4 < (found.chance or 0) < 0.6


LAW = settings(deadline=None)


@LAW
@given(
    mean=st.floats(0.01, 300),
    spread=st.floats(1, 6),
    share=st.sampled_from([0.1, 0.5, 0.9]),
)
def test_a_quantile_is_the_first_count_that_reaches_its_share(
    mean: float, spread: float, share: float
) -> None:
    found = quantile(share, mean, mean * spread)
    assert cdf(found, mean, mean * spread) >= share - 1e-9
    assert cdf(found - 1, mean, mean * spread) < share + 1e-9


@LAW
@given(
    actual=st.integers(0, 400),
    elapsed=st.integers(0, 22),
    goal=st.integers(1, 400),
    rate=st.floats(0.1, 30),
    phi=st.floats(1, 5),
)
def test_more_leads_never_lower_a_forecast(
    actual: int, elapsed: int, goal: int, rate: float, phi: float
) -> None:
    known = Prior(rate, (0.3 * rate) ** 2, phi)
    fewer = at(known=known, actual=actual, elapsed=elapsed, remaining=22 - elapsed, goal=goal)
    more = at(known=known, actual=actual + 1, elapsed=elapsed, remaining=22 - elapsed, goal=goal)
    assert fewer.mean < more.mean
    assert fewer.low <= more.low
    assert (fewer.chance or 0) <= (more.chance or 0) + 1e-9
    assert actual <= fewer.low <= fewer.high
    assert 0.0 <= (fewer.chance or 0) <= 1.0


def test_the_outlook_is_the_step_before_the_forecast() -> None:
    ahead = outlook(KNOWN, counted=55, elapsed=Fraction(10), remaining=Fraction(12))
    known = forecast_from(KNOWN, actual=55, elapsed=Fraction(10), remaining=Fraction(12), goal=140)

    assert known is not None
    assert ahead.shape == pytest.approx(25 + 55 / 1.5)
    assert ahead.exposure == pytest.approx(25 / 6 + 10 / 1.5)
    assert ahead.mean == pytest.approx(known.mean - 55)
    assert ahead.variance == pytest.approx(
        1.5 * ahead.mean + ahead.shape / ahead.exposure**2 * 12**2
    )

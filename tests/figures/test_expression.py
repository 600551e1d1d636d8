"""The language of formulas."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest

from digest.figures.expression import Value, evaluate, names_of, parse, same
from tests.figures.evaluator import computed


@pytest.mark.parametrize(
    ("formula", "values", "result"),
    [
        ("a - b - c", {"a": 10, "b": 3, "c": 2}, 5),
        ("a / b / c", {"a": 12, "b": 3, "c": 2}, 2),
        ("a + b * c", {"a": 1, "b": 2, "c": 3}, 7),
        ("(a + b) * c", {"a": 1, "b": 2, "c": 3}, 9),
        ("ceil(a * b / c / d)", {"a": 10_000, "b": Decimal("0.45"), "c": 2_500, "d": Decimal("0.03")}, 60),
        ("half_up(a)", {"a": Fraction(127, 2)}, 64),
        ("tenth_up(a / b)", {"a": 85, "b": 12}, Fraction(71, 10)),
        ("max(a - b, 0)", {"a": 3, "b": 5}, 0),
        ("min(max(a, 0.001), 0.99)", {"a": 1}, Fraction(99, 100)),
        ("sum(a) / 8", {"a": (1, 2, 3)}, Fraction(3, 4)),
        ("count(a)", {"a": (7, 7)}, 2),
        ("at_least(a, b)", {"a": 5, "b": 5}, 1),
    ],
)  # fmt: skip
def test_a_formula_gives_what_a_second_evaluator_gives(
    formula: str, values: dict[str, Value], result: Fraction
) -> None:
    several = {
        name: value if isinstance(value, tuple) else (value,) for name, value in values.items()
    }

    given = evaluate(formula, values)

    assert given == result
    assert computed(formula, several) == result


@pytest.mark.parametrize("formula", ["a +", "a b", "ceil(a", "a ^ b", "(a", "a)", "max(a,"])
def test_what_is_no_formula_is_refused(formula: str) -> None:
    with pytest.raises(ValueError, match="formula"):
        parse(formula)


def test_a_division_by_zero_gives_nothing() -> None:
    assert evaluate("a / b", {"a": 1, "b": 0}) is None


def test_names_are_told_once_and_in_order() -> None:
    assert names_of("b * a / (a + sum(c))") == ("b", "a", "c")
    assert names_of("") == ()


def test_floats_are_the_same_up_to_their_last_digits_and_exact_numbers_only_exactly() -> None:
    assert same(0.1 + 0.2, Fraction(3, 10))
    assert not same(Fraction(1, 3), Fraction(333_333_333, 1_000_000_000))


@pytest.mark.parametrize(("mean", "variance"), [(12.5, 20.0), (267.7, 467.0), (3.0, 3.0)])
def test_distributions_are_those_of_a_second_opinion(mean: float, variance: float) -> None:
    values = {"m": mean, "v": variance, "n": 15}
    several = {name: (value,) for name, value in values.items()}

    for formula in ("low(m, v)", "high(m, v)", "reach(n, m, v)"):
        given = evaluate(formula, values)
        assert given == pytest.approx(computed(formula, several), abs=1e-9)

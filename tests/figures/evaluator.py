"""A second opinion on formulas: Python's own parser, exact fractions, distributions added up term by term.

It shares nothing with the product but the text of the formula.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from math import ceil, exp, floor, fsum, lgamma, log, log1p

Number = int | float | Decimal | Fraction
Known = Mapping[str, Sequence[Number]]


def computed(formula: str, known: Known) -> Number:
    """Return what a formula gives; every name stands for its values, one or several."""
    return _of(ast.parse(formula, mode="eval").body, known)


def _of(node: ast.expr, known: Known) -> Number:
    match node:
        case ast.Constant(value=int() | float() as value):
            return Fraction(str(value))
        case ast.Name(id=name):
            (only,) = known[name]
            return _exact(only)
        case ast.BinOp(left=left, op=op, right=right):
            return _OPERATORS[type(op)](_exact(_of(left, known)), _exact(_of(right, known)))
        case ast.Call(func=ast.Name(id="sum"), args=[ast.Name(id=name)]):
            return _total(known[name])
        case ast.Call(func=ast.Name(id="count"), args=[ast.Name(id=name)]):
            return len(known[name])
        case ast.Call(func=ast.Name(id=function), args=arguments):
            return _FUNCTIONS[function](*(_of(one, known) for one in arguments))
    raise AssertionError(f"no formula: {ast.dump(node)}")


def _exact(number: Number) -> Fraction | float:
    return number if isinstance(number, float) else Fraction(number)


def _total(parts: Sequence[Number]) -> Number:
    if any(isinstance(part, float) for part in parts):
        return fsum(float(part) for part in parts)
    return sum(map(Fraction, map(str, parts)), Fraction(0))


_OPERATORS: Mapping[type[ast.operator], Callable[..., Number]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
}


def probability(k: int, mean: float, variance: float) -> float:
    """P(X = k) of a negative binomial; of Poisson where the variance is not above the mean."""
    if variance <= mean * (1 + 1e-6):
        return exp(k * log(mean) - mean - lgamma(k + 1))
    size = mean * mean / (variance - mean)
    odds = log1p(mean / size)
    return exp(
        lgamma(k + size)
        - lgamma(size)
        - lgamma(k + 1)
        - size * odds
        + k * (log(mean / size) - odds)
    )


def _quantile(share: float) -> Callable[[Number, Number], int]:
    def quantile(mean: Number, variance: Number) -> int:
        total, k = 0.0, 0
        while True:
            total += probability(k, float(mean), float(variance))
            if total >= share:
                return k
            k += 1

    return quantile


def _reach(missing: Number, mean: Number, variance: Number) -> float:
    below = fsum(probability(k, float(mean), float(variance)) for k in range(int(missing)))
    return max(0.0, 1.0 - below)


_FUNCTIONS: Mapping[str, Callable[..., Number]] = {
    "ceil": ceil,
    "floor": floor,
    "half_up": lambda number: floor(number + Fraction(1, 2)),
    "tenth_up": lambda number: Fraction(ceil(10 * number), 10),
    "max": max,
    "min": min,
    "at_least": lambda number, least: 1 if number >= least else 0,
    "low": _quantile(0.1),
    "high": _quantile(0.9),
    "reach": _reach,
}

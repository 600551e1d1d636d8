"""The formulas of figures: a tiny language that people can read and a program can evaluate.

    ceil(revenue_goal * marketing_share / deal_size / close_rate)

Names stand for one value, or for several inside `sum` and `count`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from math import ceil, floor, isclose

from digest.calculator import round_half_up
from digest.figures.figure import Number
from digest.forecast import cdf, quantile

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?)|(?P<name>[a-z_][a-z_0-9]*)|(?P<sign>[-+*/(),]))"
)


@dataclass(frozen=True, slots=True)
class Literal:
    """A number that stands in the formula itself."""

    value: Fraction


@dataclass(frozen=True, slots=True)
class Name:
    """An input."""

    name: str


@dataclass(frozen=True, slots=True)
class Operation:
    """Two terms and one of + - * /."""

    sign: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Call:
    """A function of FUNCTIONS."""

    function: str
    arguments: tuple[Node, ...]


Node = Literal | Name | Operation | Call
Value = Number | Sequence[Number]

FUNCTIONS: Mapping[str, Callable[..., Number]] = {
    "ceil": ceil,
    "floor": floor,
    "half_up": round_half_up,
    "tenth_up": lambda number: Fraction(ceil(number * 10), 10),
    "max": max,
    "min": min,
    "sum": lambda parts: sum(map(_exact, parts), Fraction(0)),
    "count": len,
    "at_least": lambda number, least: int(number >= least),
    "low": lambda mean, variance: quantile(0.1, float(mean), float(variance)),
    "high": lambda mean, variance: quantile(0.9, float(mean), float(variance)),
    "reach": lambda missing, mean, variance: (
        1.0 - cdf(int(missing) - 1, float(mean), float(variance))
    ),
}


@lru_cache(maxsize=512)
def parse(formula: str) -> Node:
    """Return the tree of a formula.

    Raises:
        ValueError: it is none.
    """
    tokens: list[str] = []
    at = 0
    while at < len(formula.rstrip()):
        match = _TOKEN.match(formula, at)
        if match is None:
            raise ValueError(f"formula {formula!r}: found {formula[at:]!r}")
        tokens.append(match[0].strip())
        at = match.end()
    reader = _Reader(tokens)
    tree = reader.sum()
    if reader.tokens:
        raise ValueError(f"formula {formula!r}: {reader.tokens[0]!r} is left over")
    return tree


class _Reader:
    """Reads tokens from the left, sums of products of terms."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens

    def sum(self) -> Node:
        return self._chain("+-", self._product)

    def _product(self) -> Node:
        return self._chain("*/", self._term)

    def _chain(self, signs: str, part: Callable[[], Node]) -> Node:
        tree = part()
        while self.tokens and self.tokens[0] in signs:
            sign = self.tokens.pop(0)
            tree = Operation(sign, tree, part())
        return tree

    def _term(self) -> Node:
        if not self.tokens:
            raise ValueError("a formula ends in the middle")
        token = self.tokens.pop(0)
        if token == "(":  # noqa: S105 - a bracket
            inner = self.sum()
            self._expect(")")
            return inner
        if token[0].isdigit():
            return Literal(Fraction(token))
        if token in FUNCTIONS and self.tokens[:1] == ["("]:
            self._expect("(")
            arguments = [self.sum()]
            while self.tokens[:1] == [","]:
                self._expect(",")
                arguments.append(self.sum())
            self._expect(")")
            return Call(token, tuple(arguments))
        return Name(token)

    def _expect(self, token: str) -> None:
        if self.tokens[:1] != [token]:
            raise ValueError(f"a formula has {self.tokens[:1]} where {token!r} belongs")
        self.tokens.pop(0)


def names_of(formula: str) -> tuple[str, ...]:
    """Return the names of a formula, each once, in order; none of an empty one."""
    return tuple(dict.fromkeys(_names(parse(formula)))) if formula else ()


def _names(node: Node) -> Iterator[str]:
    match node:
        case Name():
            yield node.name
        case Operation():
            yield from _names(node.left)
            yield from _names(node.right)
        case Call():
            for argument in node.arguments:
                yield from _names(argument)


def evaluate(formula: str, values: Mapping[str, Value]) -> Number | None:
    """Return what a formula gives; None where it divides by 0.

    Raises:
        KeyError: a name has no value.
        ValueError: it is no formula.
    """
    try:
        return value_of(parse(formula), values)
    except ZeroDivisionError:
        return None


def value_of(node: Node, values: Mapping[str, Value]) -> Number:
    """Return what a part of a formula gives.

    Raises:
        KeyError: a name has no value. ZeroDivisionError: it divides by 0.
    """
    match node:
        case Literal():
            return node.value
        case Name():
            found = values[node.name]
            return (
                _exact(found)
                if isinstance(found, int | float | Decimal | Fraction)
                else _one(found)
            )
        case Operation():
            left, right = value_of(node.left, values), value_of(node.right, values)
            return _SIGNS[node.sign](left, right)
        case Call(("sum" | "count") as function, (Name(name),)):
            found = values[name]
            several = found if isinstance(found, Sequence) else (found,)
            return FUNCTIONS[function](several)
        case Call():
            return FUNCTIONS[node.function](*(value_of(part, values) for part in node.arguments))


_SIGNS: Mapping[str, Callable[[Number, Number], Number]] = {
    "+": lambda left, right: _exact(left) + _exact(right),
    "-": lambda left, right: _exact(left) - _exact(right),
    "*": lambda left, right: _exact(left) * _exact(right),
    "/": lambda left, right: _exact(left) / _exact(right),
}


def _one(found: Sequence[Number]) -> Number:
    (only,) = found
    return _exact(only)


def _exact(number: Number) -> Fraction | float:
    return number if isinstance(number, float) else Fraction(number)


def same(one: Number, other: Number) -> bool:
    """Whether two values are the same number; those that pass through floats up to their last digits."""
    if isinstance(one, float) or isinstance(other, float):
        return isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
    return Fraction(one) == Fraction(other)

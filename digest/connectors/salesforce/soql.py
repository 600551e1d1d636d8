"""SOQL from checked names and literals of our own: nothing is ever formatted in unquoted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal

from digest.conditions import Exclusion, Filter

LONGEST_TEXT = 4_000
_ESCAPED = {
    "\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f",
}  # fmt: skip
_OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "=": "!=", "in": "NOT IN"}
_NULL_KEPT = {"!=": "=", "not in": "in"}


def literal(value: object) -> str:
    """Return a value as SOQL writes it.

    Raises:
        ValueError: a kind of value that SOQL has no safe form for.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        if len(value) > LONGEST_TEXT:
            raise ValueError(f"a text of {len(value):,} characters; allowed: {LONGEST_TEXT:,}")
        return "'" + "".join(_ESCAPED.get(letter, letter) for letter in value) + "'"
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("a time without a zone")
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, int | Decimal) or (isinstance(value, float) and math.isfinite(value)):
        return format(Decimal(str(value)), "f")
    raise ValueError(f"{value!r} has no form in a query")


def condition(rule: Filter) -> str:
    """Return a filter as a condition that means the same whatever the server makes of null."""
    field, op, value = rule.column, rule.op, rule.value
    if op == "is null":
        return f"{field} = null"
    if op == "is not null":
        return f"{field} != null"
    if op in _NULL_KEPT:
        return _or_null(field, value, f"{field} {op.upper()} {_value(value)}")
    if op == "in":
        return f"{field} IN {_value(value)}"
    return f"{field} {op.upper()} {_value(value)}"


def opposite(rule: Filter) -> str:
    """Return the condition that holds exactly where `condition` does not."""
    field, op, value = rule.column, rule.op, rule.value
    if op in {"is null", "is not null"}:
        return f"{field} {'!=' if op == 'is null' else '='} null"
    if op in _NULL_KEPT:
        return f"{field} {_NULL_KEPT[op].upper()} {_value(value)}"
    if op == "like":
        return f"((NOT {field} LIKE {_value(value)}) OR {field} = null)"
    return _or_null(field, value, f"{field} {_OPPOSITE[op]} {_value(value)}")


def excluded_by(rule: Exclusion) -> str:
    """Return what a rule takes out."""
    return all_of([condition(each) for each in rule.where])


def kept_by(rule: Exclusion) -> str:
    """Return what a rule leaves in."""
    parts = [opposite(each) for each in rule.where]
    return parts[0] if len(parts) == 1 else "(" + " OR ".join(f"({part})" for part in parts) + ")"


def all_of(conditions: Sequence[str]) -> str:
    """Join conditions; each is a comparison or stands in parentheses."""
    return " AND ".join(conditions)


def _value(value: object) -> str:
    if isinstance(value, tuple):
        return "(" + ", ".join(literal(each) for each in value) + ")"
    return literal(value)


def _or_null(field: str, value: object, text: str) -> str:
    # A checkbox is never without a value, and comparing one with null is an error.
    return text if isinstance(value, bool) else f"({text} OR {field} = null)"

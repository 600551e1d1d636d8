"""Reads a custom SELECT and objects to everything that is not a plain question.

An allow-list, node by node: what the parser does not know as harmless is refused. The database role
remains the barrier; this keeps a copied statement from doing more than its author saw.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

DIALECTS = {
    "postgresql": "postgres",
    "mssql": "tsql",
    "mariadb": "mysql",
    "clickhousedb": "clickhouse",
}
# Comments, escapes, dollar quotes, batches and variables: read differently by parser and server.
LEXICAL = (
    (re.compile(r"--|/\*|\*/|#"), "holds a comment"),
    (re.compile(r"\\"), "holds a backslash"),
    (re.compile(r"\$"), "holds a dollar sign"),
    (re.compile(r"@"), "holds a variable (@)"),
    (re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]"), "holds control characters"),
)
STRUCTURE = (
    exp.Select, exp.From, exp.Join, exp.Where, exp.Group, exp.Having, exp.Order, exp.Ordered, exp.Limit,
    exp.Fetch, exp.Distinct, exp.Subquery, exp.With, exp.CTE, exp.Union, exp.Table, exp.TableAlias, exp.Alias,
    exp.Column, exp.Identifier, exp.Star, exp.Literal, exp.Boolean, exp.Null, exp.Paren, exp.Tuple,
    exp.Interval, exp.Var, exp.Case, exp.If, exp.Cast, exp.DataType, exp.DataTypeParam, exp.Window,
    exp.WindowSpec, exp.Exists,
)  # fmt: skip
OPERATORS = (
    exp.And, exp.Or, exp.Not, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Is, exp.In, exp.Between,
    exp.Like, exp.ILike, exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.Neg, exp.DPipe, exp.AtTimeZone,
)  # fmt: skip
FUNCTIONS = (
    exp.Count, exp.Sum, exp.Min, exp.Max, exp.Avg, exp.Coalesce, exp.Nullif, exp.Lower, exp.Upper, exp.Trim,
    exp.Substring, exp.Concat, exp.Length, exp.Abs, exp.Round, exp.Extract, exp.TimestampTrunc, exp.DateTrunc,
    exp.Date, exp.Greatest, exp.Least, exp.RowNumber, exp.CurrentDate, exp.CurrentTimestamp,
)  # fmt: skip
ALLOWED = frozenset(STRUCTURE + OPERATORS + FUNCTIONS)
TYPES = frozenset(
    getattr(exp.DataType.Type, name)
    for name in (
        "BIGINT", "BOOLEAN", "CHAR", "DATE", "DATETIME", "DATETIME2", "DECIMAL", "DOUBLE", "FLOAT", "INT",
        "NCHAR", "NVARCHAR", "SMALLINT", "TEXT", "TIMESTAMP", "TIMESTAMPNTZ", "TIMESTAMPTZ",
        "TIMESTAMPLTZ", "TINYINT", "VARCHAR",
    )
)  # fmt: skip
NAME = re.compile(r"[\w \-]+")
SYSTEM = re.compile(
    r"pg_.*|information_schema|mysql|sys|performance_schema|sqlite_.*|duckdb_.*|all_users|dba_.*|v_?\$.*"
    r"|master|msdb|system|account_usage|user|sysusers|sysobjects",
    re.IGNORECASE,
)


def objections(statement: str, dialect: str) -> tuple[str, ...]:
    """Return what speaks against a statement, one phrase each; nothing when it is one plain SELECT.

    Args:
        statement: the SELECT, a closing semicolon is fine.
        dialect: the database's name in SQLAlchemy.
    """
    text = statement.strip().removesuffix(";")
    lexical = tuple(words for pattern, words in LEXICAL if pattern.search(text))
    if ";" in text:
        lexical += ("holds more than one statement",)
    if not re.match(r"(?i)(select|with)\b", text):
        lexical += ("does not begin with SELECT or WITH",)
    if lexical:
        return lexical
    try:
        trees = sqlglot.parse(text, dialect=DIALECTS.get(dialect, dialect))
    except (SqlglotError, ValueError, RecursionError):
        return ("cannot be read as one SELECT",)
    if len(trees) != 1 or not isinstance(trees[0], exp.Select):
        return ("is not exactly one SELECT",)
    return tuple(dict.fromkeys(_found(trees[0])))


def _found(tree: exp.Expr) -> Iterator[str]:
    for node in tree.walk():
        if type(node) not in ALLOWED:
            yield f"uses {_called(node)}, which is not among the allowed functions and clauses"
        elif isinstance(node, exp.DataType) and node.this not in TYPES:
            yield f"casts to {node.sql()}, which is not an allowed type"
        elif isinstance(node, exp.Table):
            yield from _table(node)


def _table(node: exp.Table) -> Iterator[str]:
    if not isinstance(node.this, exp.Identifier):
        name = _called(node.this) if isinstance(node.this, exp.Expr) else "something"
        yield f"reads from {name}, which is not a table"
        return
    for part in node.parts:
        if not NAME.fullmatch(part.name):
            yield f"reads from {part.name!r}, which does not look like a table's name"
        elif SYSTEM.fullmatch(part.name):
            yield f"reads from {part.name!r}, which belongs to the database itself"


def _called(node: exp.Expr) -> str:
    name = node.name if isinstance(node, exp.Anonymous | exp.AnonymousAggFunc) else node.key
    return f"{name.upper() or node.key.upper()}"

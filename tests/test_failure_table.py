"""Every way in which a digest may fail is named, and the tests that prove what happens then carry its name.

`@pytest.mark.failure("M3")` marks a test as a proof of row M3. A test may prove several rows.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent

TABLE = {
    "D1": "the source refuses the login",
    "D2": "a scope or field permission is missing",
    "D3": "the source asks to wait, or the quota is used up",
    "D4": "the source answers with a server error, or with HTML",
    "D5": "name, connect or read timeout, one byte per second",
    "D6": "one page of several fails",
    "D7": "a body is cut, of the wrong length, or badly compressed",
    "D8": "the total changes, a cursor repeats, ids come twice, pages never end",
    "D9": "more rows than the source ever lists",
    "D10": "the source's index lags, leads are entered late",
    "D11": "a property is renamed, a value is new, a segment is empty",
    "D12": "no lead on the first workday",
    "D13": "the month's leads drop",
    "D14": "one of several sources fails",
    "D15": "the goal changes in the middle of the month",
    "D16": "no goal, a goal of 0, no workdays",
    "D17": "amounts in several currencies",
    "T1": "the clocks of the source and of this machine differ",
    "T2": "the clock is set back after sending",
    "T3": "the hour of sending is skipped or repeated",
    "T4": "a lead at the edge of the month",
    "T5": "the machine sleeps at the hour of sending",
    "T6": "the machine is dead all day",
    "T7": "two machines, or a timer and a person",
    "T8": "the calendar ends, or is missing",
    "P1": "the process is killed between any two steps",
    "P2": "the process is asked to end",
    "P3": "the process is stopped past its lease and continued",
    "P4": "the disk is full before anything is sent",
    "P5": "the disk is full after a message was handed over",
    "P6": "the ledger is corrupt, cut, empty or missing",
    "P7": "the ledger is locked",
    "P8": "the ledger is of a newer version",
    "P9": "the folder is read-only, or belongs to somebody else",
    "P10": "the ledger was restored from a backup",
    "M1": "the relay cannot be reached, or has a bad certificate",
    "M2": "the relay refuses the login",
    "M3": "the relay asks to come later",
    "M4": "one recipient is refused",
    "M5": "everybody is refused",
    "M6": "the message is refused after it was sent",
    "M7": "no answer after the message was handed over",
    "M8": "the message is accepted and bounces later",
    "M9": "the message is too large",
    "M10": "an address that the relay cannot take",
    "S1": "Slack asks to wait",
    "S2": "Slack does not answer a request that may have worked",
    "S3": "Slack refuses the blocks",
    "S4": "the channel is archived, the webhook revoked",
    "S5": "Slack says 200 and ok: false",
    "R1": "a template is at fault",
    "R2": "a template is edited just before sending",
    "R3": "the settings are wrong",
    "R4": "the worksheet is locked, broken or without values",
    "R5": "recipients are missing, double or mistyped",
    "A1": "the alert cannot be sent",
    "A2": "the same alert over and over",
}


def marked(source: str) -> Iterator[str]:
    """Yield the rows that a module's marks name."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.failure":
            yield from (ast.literal_eval(argument) for argument in node.args)


@pytest.fixture(scope="module")
def proofs() -> dict[str, list[str]]:
    """Which modules prove each row."""
    found: dict[str, list[str]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        for row in marked(path.read_text()):
            found.setdefault(row, []).append(path.name)
    return found


def test_a_mark_names_a_row_of_the_table(proofs: dict[str, list[str]]) -> None:
    assert {row: paths for row, paths in proofs.items() if row not in TABLE} == {}


def test_every_row_of_the_table_has_a_proof(proofs: dict[str, list[str]]) -> None:
    assert [row for row in TABLE if row not in proofs] == []


def test_marks_are_found_wherever_they_stand() -> None:
    source = """
pytestmark = pytest.mark.failure("M3")
@pytest.mark.parametrize("a", [pytest.param(1, marks=pytest.mark.failure("D1"))])
@pytest.mark.failure("D4", "D5")
def test_one(): ...
"""
    assert sorted(marked(source)) == ["D1", "D4", "D5", "M3"]

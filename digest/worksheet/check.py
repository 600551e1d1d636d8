"""Compares a worksheet with the digest's own calculation, cell by cell."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from datetime import date
from pathlib import Path

from digest.errors import ConfigError, nearest
from digest.model import Finding, normalise
from digest.notation import shown
from digest.sla import Plan
from digest.worksheet.book import ERRORS, Book, Content
from digest.worksheet.layout import (
    BY_HAND,
    CARD_COLUMNS,
    IN_FORCE,
    Derived,
    Value,
    column_letter,
    derived,
    serial,
)
from digest.worksheet.long_form import read_csv
from digest.worksheet.read import Worksheet, is_date, read_book
from digest.worksheet.words import label_in_any_language, plain

TOLERANCE = 1e-9
_REFERENCE = re.compile(
    r"(?:'(?:[^']|'')*'!|[^\W\d]\w*!)?\$?[A-Z]{1,3}\$?\d+(?::\$?[A-Z]{1,3}\$?\d+)?"
)


def check(path: Path) -> tuple[Finding, ...]:
    """Return what is wrong or worth knowing about a worksheet, by cell.

    A cell whose value differs from the digest's is an error: its formula was changed, its value is stale,
    or a number was typed over it. A goal set by hand is a warning. Without errors the last line is "ok".
    A CSV holds inputs only.
    """
    try:
        if path.suffix.casefold() == ".csv":
            return _checked_csv(path)
        with Book(path) as book:
            sheet = read_book(book, everything=True)
            found = [
                *(Finding("warning", cell, text) for cell, text in sheet.notes),
                *_differences(book, sheet),
                *_gaps(sheet),
                *_set_by_hand(sheet),
            ]
    except ConfigError as error:
        return tuple(Finding("error", path.name, mistake) for mistake in error.mistakes)
    if any(finding.level == "error" for finding in found):
        return tuple(found)
    plan = sheet.inputs.plan
    summary = (
        f"{len(plan.segments)} segments, {len(sheet.place.months)} months, "
        f"{len(plan.terms)} terms; every computed cell agrees"
    )
    return (*found, Finding("ok", path.name, summary))


def _checked_csv(path: Path) -> tuple[Finding, ...]:
    plan = read_csv(path)
    months = sorted({goal.month for goal in plan.revenue_goals})
    summary = (
        f"{len(plan.segments)} segments, {len(months)} months, {len(plan.terms)} terms; a CSV has no "
        "computed cells to compare"
    )
    return (*_without_goal(plan, months, path.name), Finding("ok", path.name, summary))


def _differences(book: Book, sheet: Worksheet) -> Iterator[Finding]:
    if missing := missing_columns(sheet):
        yield Finding(
            "warning",
            sheet.sheets["sla"],
            f"the months of steps 5 and 6 lack {missing}, so their formulas are not compared; the goals are "
            "computed all the same",
        )
    for cell in computed_cells(sheet):
        name = sheet.sheets[cell.sheet]
        there = book.cells(name).get((cell.row, cell.column))
        stored = book.stored(name).get((cell.row, cell.column))
        subject = f"{name}!{cell.address}"
        formula = str(there.content) if there is not None and there.formula else None
        if not same_value(stored, cell.value):
            yield Finding(
                "error", subject, _difference(cell, stored, formula, texts=bool(sheet.notes))
            )
        elif formula is None and there is None and cell.value == "":
            continue
        elif formula is None:
            yield Finding(
                "warning", subject,
                f"{_what(cell)}: {shown(there.content if there else None)} was typed over the "
                "formula; it agrees now but will not follow changes",
            )  # fmt: skip
        elif shape(formula) != shape(cell.formula):
            yield Finding(
                "warning", subject,
                f"{_what(cell)}: the formula was changed to {shown(formula)}; its value agrees "
                "now; the original is "
                f"{'=' + cell.formula}",
            )  # fmt: skip


def computed_cells(sheet: Worksheet) -> Iterator[Derived]:
    """Every formula cell that this workbook has room for, with the value it must show."""
    place = sheet.place
    if missing_columns(sheet):
        from dataclasses import replace

        place = replace(place, cards=())
    return derived(place, sheet.inputs)


def missing_columns(sheet: Worksheet) -> str:
    """Headings of steps 5 and 6 without which their formulas cannot be compared; "" when complete."""
    if not sheet.place.cards:
        return "their headings"
    wanted = [*CARD_COLUMNS, *(f"in_force.{key}" for key in IN_FORCE)]
    lacking = [key for key in wanted if key not in sheet.place.card_columns]
    return ", ".join(lacking)


def same_value(theirs: Content, ours: Value) -> bool:
    """Whether a stored value is what the digest computes, numbers to a relative 1e-9."""
    if is_date(theirs) and not isinstance(ours, str):
        return serial(theirs.date() if hasattr(theirs, "date") else theirs) == ours  # type: ignore[union-attr,arg-type] # a date
    if ours == "":
        return theirs is None or theirs == ""
    if isinstance(ours, str):
        return isinstance(theirs, str) and " ".join(theirs.split()) == " ".join(ours.split())
    if isinstance(theirs, bool) or not isinstance(theirs, int | float):
        return False
    try:
        return abs(theirs - ours) <= TOLERANCE * max(1.0, abs(theirs), abs(ours))
    except OverflowError:  # no cell holds a number as large as ours
        return False


def shape(formula: str) -> str:
    """A formula without its references, which move when rows and columns are inserted."""
    bare = _REFERENCE.sub("@", formula.lstrip("=").replace("_xlfn.", ""))
    return re.sub(r"\s+", "", bare).upper()


def _difference(cell: Derived, stored: Content, formula: str | None, *, texts: bool) -> str:
    theirs = "nothing" if stored is None or stored == "" else shown(stored)
    ours = "nothing" if cell.value == "" else shown(cell.value)
    beginning = f"{_what(cell)}: found {theirs}, computed {ours}"
    if formula is None and stored is None:
        return f"{beginning}; the formula was deleted, restore {'=' + cell.formula}"
    if formula is None:
        return f"{beginning}; a value was typed over the formula, restore {'=' + cell.formula}"
    if shape(formula) != shape(cell.formula):
        return (
            f"{beginning}; the formula was changed to {shown(formula)}, "
            f"restore {'=' + cell.formula}"
        )
    if isinstance(stored, str) and stored in ERRORS:
        return f"{beginning}; the formula meets an error, correct the cells it refers to"
    first = "enter the texts named above as numbers, then " if texts else ""
    return (
        f"{beginning}; the stored value is stale, {first}open the file in Excel or LibreOffice and "
        "save it"
    )


def _what(cell: Derived) -> str:
    parts = (
        cell.key.removeprefix("in_force.").replace("_", " "),
        f"of {cell.segment}" if cell.segment else "",
        f"in {cell.month:%Y-%m}" if cell.month else "",
    )
    return " ".join(part for part in parts if part)


def _gaps(sheet: Worksheet) -> Iterator[Finding]:
    """What the formulas cannot show because a row or an entry is missing."""
    shown_rows = {source for card in sheet.place.cards for _, source in card.lines}
    for row, name in sheet.inputs.segments.items():
        if sheet.place.cards and row not in shown_rows:
            yield Finding(
                "warning",
                f"{sheet.sheets['goals']}!{column_letter(sheet.place.goals.columns['segment'])}{row}",
                f"{name!r} has no line in steps 5 and 6 of {sheet.sheets['sla']!r}; the digest "
                "computes its goals all "
                "the same, a new worksheet shows them",
            )
    yield from _unknown_names(sheet)
    yield from _without_goal(sheet.inputs.plan, sheet.place.months, sheet.sheets["sla"])


def _without_goal(plan: Plan, months: Collection[date], subject: str) -> Iterator[Finding]:
    from digest.sla import goals

    missing: dict[tuple[str, str], list[date]] = {}
    for month in months:
        for goal in goals(plan, month):
            reasons = ", ".join(note.code.value.replace("_", " ") for note in goal.notes)
            if goal.goal is None:
                missing.setdefault((goal.segment, reasons), []).append(month)
    for (segment, reasons), gaps in missing.items():
        if gaps == list(months):
            when = "in any month" if len(gaps) > 1 else f"in {gaps[0]:%Y-%m}"
        else:
            when = f"in {', '.join(f'{month:%Y-%m}' for month in gaps)}"
        yield Finding("warning", subject, f"{segment} has no goal {when}: {reasons}")


def _unknown_names(sheet: Worksheet) -> Iterator[Finding]:
    """Leads on the sheet Actual under a name that no segment has: most often a slip of the pen."""
    block, names = sheet.place.actual, sheet.inputs.plan.segments
    if block is None:
        return
    known = {normalise(name) for name in names} | {""}
    lines: dict[str, int] = {}
    for row, (_, name, _) in sorted(sheet.actual_rows.items()):
        if normalise(name) not in known and plain(name) not in label_in_any_language("unassigned"):
            lines.setdefault(name, row)
    for name, row in lines.items():
        yield Finding(
            "warning",
            f"{sheet.sheets['actual']}!{column_letter(block.columns['segment'])}{row}",
            f"{shown(name)} is no segment of {sheet.sheets['goals']!r}, so its leads count for none"
            f"{nearest(name, names)}",
        )


def _set_by_hand(sheet: Worksheet) -> Iterator[Finding]:
    from digest.sla import goals

    for month, segment, key in sorted(sheet.inputs.by_hand):
        card = next(card for card in sheet.place.cards if card.month == month)
        row = next(
            row for row, source in card.lines if sheet.inputs.segments.get(source) == segment
        )
        goal = next(goal for goal in goals(sheet.inputs.plan, month) if goal.segment == segment)
        address = f"{column_letter(sheet.place.card_columns[key])}{row}"
        amount = goal.goal if key == BY_HAND[0] else goal.sales_goal
        yield Finding(
            "warning",
            f"{sheet.sheets['sla']}!{address}",
            f"{key.replace('_', ' ')} of {segment} in {month:%Y-%m}: {amount} is set by hand",
        )

"""The text part, the subject, and the edition in a terminal: written for reading, not converted."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from digest.model import Edition
from digest.render.email import environment_for, fill
from digest.render.locales import ELLIPSIS, Locale, locale_for
from digest.render.view import FollowUpLine, Line, Table, View
from digest.render.view import view as view_of
from digest.render.words import SIGNS

if TYPE_CHECKING:
    from jinja2 import Environment

WIDTH = 72
LONGEST_SUBJECT = 120
NAME_COLUMN = 26


def text(view: View, locale: Locale, templates: Path | None = None) -> str:
    """Return the text part: lines of at most 72 characters, the same numbers as the HTML."""
    filled = fill(environment(templates), "digest.txt", view, locale, templates)
    return "\n".join(line.rstrip() for line in plain_spaces(filled).splitlines()) + "\n"


def subject(view: View, locale: Locale, templates: Path | None = None) -> str:
    """Return the subject: one line, at most 120 characters."""
    filled = fill(environment(templates), "digest.subject.txt", view, locale, templates)
    line = " ".join(plain_spaces(filled).split())
    return line if len(line) <= LONGEST_SUBJECT else line[: LONGEST_SUBJECT - 1] + ELLIPSIS


def environment(templates: Path | None) -> Environment:
    """Return the environment of text templates, with what sets columns and lines."""
    found = environment_for(templates, markup=False)
    found.filters.update(_FILTERS)
    return found


def plain_spaces(written: str) -> str:
    """Replace no-break spaces: they did their work while lines were wrapped, and confuse terminals."""
    return written.replace("\u00a0", " ").replace("\u202f", " ")


# --------------------------------------------------------------------------------------- columns


def cells(name: str) -> int:
    """Return the columns a terminal needs for a text: combining marks none, wide letters two."""
    if name.isascii():
        return len(name)
    return sum(
        0 if unicodedata.combining(letter) else 1 + (unicodedata.east_asian_width(letter) in "WF")
        for letter in name
    )


def left(value: str, width: int) -> str:
    """Pad or cut a text to a column; a cut shows as an ellipsis."""
    while cells(value) > width:
        value = value[:-2].rstrip() + ELLIPSIS
    return value + " " * (width - cells(value))


def right(value: str, width: int) -> str:
    """Pad a number to a column; a number is never cut."""
    return " " * (width - cells(value)) + value


def wrap(value: str, indent: int = 0, hanging: int | None = None, *, width: int = WIDTH) -> str:
    """Break a sentence into lines of the text part's width, or of another."""
    # The library counts letters; with wide ones among them fewer fit, at worst half as many.
    wide = max(0, cells(value) - len(value))
    return textwrap.fill(
        value,
        max(width - wide, width // 2),
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent if hanging is None else hanging),
        break_on_hyphens=False,
        break_long_words=True,
    )


def columns(rows: Iterable[Sequence[str]], indent: int = 0, gap: int = 2) -> str:
    """Set rows in columns: the first to the left, numbers to the right."""
    table = [list(row) for row in rows]
    if not table:
        return ""
    widths = [max(cells(row[n]) for row in table) for n in range(len(table[0]))]
    widths[0] = min(widths[0], WIDTH - indent - sum(widths[1:]) - gap * (len(widths) - 1))
    between = " " * gap
    return "\n".join(
        " " * indent
        + between.join(
            [left(row[0], widths[0])]
            + [right(value, width) for value, width in zip(row[1:], widths[1:], strict=True)]
        )
        for row in table
    )


def table_rows(table: Table, headings: Sequence[str]) -> str:
    """Set the segment table of the text part: name, status, actual, expected, gap, attainment.

    A name too long for its column has a line of its own: cut names could look alike.
    """
    body = [_row(line) for line in (*table.lines, table.rest) if line is not None]
    foot = [_row(line) for line in (table.unassigned, table.total) if line is not None]
    rows = [list(headings), *body, *foot]
    numbers = [max(cells(row[n]) for row in rows) for n in range(2, len(headings))]
    pill = max(cells(row[1]) for row in rows)
    name = min(max(cells(row[0]) for row in rows), WIDTH - pill - sum(numbers) - 2 * 5)

    def set_row(row: Sequence[str]) -> str:
        fits = cells(row[0]) <= name
        line = "  ".join(
            [left(row[0] if fits else "", name), left(row[1], pill)]
            + [right(value, width) for value, width in zip(row[2:], numbers, strict=True)]
        )
        return line if fits else f"{left(row[0], WIDTH)}\n{line}"

    rule = "-" * (name + pill + sum(numbers) + 2 * 5)
    lines = [set_row(headings), rule, *map(set_row, body), rule, *map(set_row, foot)]
    if table.rest_names:
        lines += ["", wrap(table.rest_names, 0, 2)]
    return "\n".join(lines)


def sales_rows(lines: Sequence[FollowUpLine], headings: Sequence[str], indent: int = 0) -> str:
    """Set the segments in which sales is behind in columns."""
    rows = [[line.name, line.in_time, line.overdue, line.median] for line in lines]
    return columns([headings, *rows], indent=indent, gap=3)


def _row(line: Line) -> list[str]:
    pill = f"{line.pill.sign} {line.pill.word}" if line.pill else ""
    return [line.name, pill, line.actual, line.expected, line.gap, line.attainment]


_FILTERS = {
    "wrap": wrap,
    "columns": columns,
    "table": table_rows,
    "sales": sales_rows,
    "left": left,
    "right": right,
}


# -------------------------------------------------------------------------------------- terminal

TERMINAL = 80
LONGEST_NAME, STUMP = 30, 13  # a name is cut to save a line, but not to where names look alike


def render_terminal(edition: Edition, language: str | None = None, *, colour: bool = False) -> str:
    """Return an edition for a terminal: the verdict, the figures and the table with every column."""
    locale = locale_for(language or edition.language)
    written = terminal(view_of(edition, locale, most_rows=len(edition.scorecard.segments)), locale)
    return _coloured(written) if colour else written


_COLOURS = {"good": "32", "warning": "33", "bad": "31", "neutral": "2"}


def _coloured(written: str) -> str:
    """Colour the signs, which stand beside every status and nowhere else."""
    for look, sign in SIGNS.items():
        written = written.replace(f"{sign} ", f"\x1b[{_COLOURS[look]}m{sign}\x1b[0m ")
    return written


def terminal(view: View, locale: Locale) -> str:
    """Lay out the blocks of a terminal's edition, in 80 columns."""
    blocks = [
        f"{view.title}  ·  {view.date}",
        _terminal_correction(view, locale),
        "\n".join(
            [
                _line(f"{view.pill.sign} {view.pill.word.upper()}  {view.headline}", 0, 2),
                *(_line(sentence, 2, 2) for sentence in view.support),
            ]
        ),
        "\n".join(_line(f"! {sentence}", 0, 2) for sentence in view.banner),
        _terminal_figures(view),
        _terminal_change(view, locale),
        _terminal_table(view.table, locale),
        "\n".join(_line(sentence) for sentence in view.best_worst),
        _terminal_new_month(view),
        "\n".join(_line(part) for part in (view.value.sentence, view.value.warning) if part)
        if view.value
        else "",
        _terminal_follow_up(view, locale),
        "\n".join(_line(f"→ {todo}", 0, 2) for todo in view.today),
        "\n".join(_line(sentence, 0, 2) for sentence in view.drift),
        "\n".join(
            _line(locale.gettext("%(label)s: %(value)s", label=label, value=value), 0, 2)
            for label, value in view.footer
        ),
        view.link or "",
    ]
    return plain_spaces("\n\n".join(block.rstrip() for block in blocks if block.strip())) + "\n"


def _line(sentence: str, indent: int = 0, hanging: int = 0) -> str:
    return wrap(sentence, indent, hanging, width=TERMINAL)


def _terminal_correction(view: View, locale: Locale) -> str:
    said = view.correction
    if said is None:
        return ""
    figures = [
        locale.gettext("%(label)s: %(value)s", label=what, value=moved)
        for what, moved in said.figures
    ]
    lines = (f"! {said.heading}", *filter(None, [said.reason, *figures, said.more]))
    return "\n".join(_line(line, 2 if number else 0, 4) for number, line in enumerate(lines))


def _terminal_figures(view: View) -> str:
    rows = columns([(figure.label, figure.number) for figure in view.figures], indent=2, gap=3)
    return "\n".join(
        f"{row}   {' · '.join(filter(None, figure.notes))}"
        for row, figure in zip(rows.splitlines(), view.figures, strict=True)
    )


def _terminal_change(view: View, locale: Locale) -> str:
    if view.change is None:
        return ""
    rows = [(day.day, day.leads, day.usual) for day in view.change.days]
    head = [("", locale.gettext("New"), locale.gettext("Usual"))] if view.change.with_usual else []
    shown_rows = [row if view.change.with_usual else row[:2] for row in [*head, *rows]]
    lines = [view.change.summary, columns(shown_rows, indent=2, gap=3)]
    return "\n".join([*lines, *(f"  {line}" for line in view.change.corrections)])


def _terminal_follow_up(view: View, locale: Locale) -> str:
    block = view.follow_up
    if block is None:
        return ""
    headings = [
        locale.gettext("Segment"),
        locale.gettext("In time"),
        locale.gettext("Overdue"),
        locale.gettext("Median"),
    ]
    parts = (
        _line(f"{block.pill.sign} {block.sentence}", 0, 2),
        _line(block.promise, 2, 2) if block.promise else "",
        columns(block.facts, indent=2, gap=3),
        "\n" + sales_rows(block.segments, headings, indent=2) if block.segments else "",
    )
    return "\n".join(part for part in parts if part)


def _terminal_new_month(view: View) -> str:
    if view.new_month is None:
        return ""
    return f"{view.new_month.heading}\n{columns(view.new_month.facts, indent=2, gap=3)}"


def _terminal_table(table: Table, locale: Locale) -> str:
    headings = [
        locale.gettext("Segment"),
        locale.gettext("Status"),
        locale.gettext("Actual"),
        locale.gettext("Goal") if table.closed else locale.gettext("Expected"),
        locale.gettext("Gap") if table.closed else locale.gettext("To plan"),
        locale.gettext("Goal"),
        locale.gettext("Needed"),
        locale.gettext("Forecast"),
        locale.gettext("Lead value"),
    ]
    lines = [*table.lines, *([table.unassigned] if table.unassigned else []), table.total]
    rows = [headings, *(_terminal_row(line) for line in lines)]
    # What a lead is worth is agreed, not news: it has room beside a result, and is in the JSON always.
    rows = [row[:5] + row[8:] if table.closed else row[:8] for row in rows]
    widths, room = _room(rows)
    if room < widths[0] and not table.closed:
        # The range of a segment's forecast is the first thing that can go; the total's stands above.
        rows = [[*row[:-1], row[-1].partition(" (")[0]] for row in rows]
        widths, room = _room(rows)
    if (
        room < STUMP and not table.closed
    ):  # a segment's goal is agreed too; long words need its room
        rows = [row[:5] + row[6:] for row in rows]
        widths, room = _room(rows)
    widths[0] = min(widths[0], LONGEST_NAME, room if room >= STUMP else LONGEST_NAME)
    written = [
        "  ".join(
            left(value, width) if n < 2 else right(value, width)  # noqa: PLR2004 - name and status
            for n, (value, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    rule = "─" * max(cells(line) for line in written)
    written.insert(1, rule)
    written.insert(len(table.lines) + 2, rule)
    return "\n".join(written)


def _room(rows: Sequence[Sequence[str]]) -> tuple[list[int], int]:
    """Return the widths of the columns, and what the others leave to the first one."""
    widths = [max(cells(row[n]) for row in rows) for n in range(len(rows[0]))]
    return widths, TERMINAL - sum(widths[1:]) - 2 * (len(widths) - 1)


def _terminal_row(line: Line) -> list[str]:
    pill = f"{line.pill.sign} {line.pill.word}" if line.pill else ""
    return [
        line.name,
        pill,
        line.actual,
        line.expected,
        line.gap,
        line.goal,
        line.required,
        line.forecast,
        line.lead_value,
    ]

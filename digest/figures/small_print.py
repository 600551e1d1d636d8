"""The footer, the notes and warnings, and what a correction corrects."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction

from digest.figures.agreed import goal_before
from digest.figures.book import CLOSED, At, Book
from digest.figures.figure import Origin, Place, Rounding, Unit
from digest.model import FigureCode, Note, NoteCode, Row, Scorecard


def of_footer(book: Book) -> None:
    """Record what stands at the foot, and the counts that actions name."""
    edition, asked = book.edition, book.leads()
    for code, number in zip(("used", "allowed"), edition.origin.quota or (), strict=False):
        book.leaf(At("quota"), code, number, Unit.NUMBER, asked, called=f"quota_{code}")
    for number, (rule, count) in enumerate(edition.excluded, 1):
        at = At("excluded", rule)
        book.leaf(at, str(number), count, Unit.NUMBER, asked, called="excluded")
    lag = book.places.setting("sla", "lag_months")
    book.leaf(At("lag"), "", edition.lag_months or None, Unit.NUMBER, lag, called="lag_months")
    for code, number in zip(("held", "judged"), edition.history_hits or (), strict=False):
        origin = book.places.recorded(edition.business_date, f"hits.{code}")
        book.leaf(At("hits"), code, number, Unit.NUMBER, origin, called=f"hits_{code}")
    book.leaf(
        At("forecast"), "range", Fraction(8, 10), Unit.SHARE, Place("default", key="forecast"),
        called="forecast_range",
    )  # fmt: skip
    _without(book, edition.scorecard)


def _without(book: Book, card: Scorecard) -> None:
    """Segments that nobody can judge: without numbers, or without a goal."""
    silent = sum(row.actual is None for row in card.segments) or None
    asked = book.leads()
    book.leaf(At("segments"), "silent", silent, Unit.NUMBER, asked, called="segments_silent")
    rows = [book.row("", row.segment) for row in card.segments if row.goal is None]
    parts = book.parts(rows, "actual")
    leads = sum(int(book.found[name].value) for name in parts)
    for code, value, formula in (
        ("missing_leads", leads, "sum(segments)"),
        ("missing", len(parts), "count(segments)"),
    ):
        if parts:
            book.add(
                At("goals"), code, value, Unit.NUMBER, formula, {"segments": parts},
                called="leads_without_goal" if code == "missing_leads" else "segments_without_goal",
            )  # fmt: skip


# ---------------------------------------------------------------------------------------------- notes


def of_notes(book: Book) -> None:
    """Record the numbers of warnings and of the notes on rows; equal notes share theirs."""
    edition = book.edition
    for note in edition.warnings:
        _note(book, note, note.segment, "")
    closed = edition.closed.scorecard if edition.closed else None
    for prefix, card in ((CLOSED, closed), ("", edition.scorecard)):
        for row in _all_rows(card):
            for note in row.notes:
                _note(book, note, row.segment, prefix)


def _note(book: Book, note: Note, segment: str | None, prefix: str) -> None:
    if note in book.notes or (note.number is None and note.other is None):
        return
    slug = "" if segment is None else f".{book.slug(segment)}"
    day = "" if note.day is None else f".{note.day}"
    name = f"note.{note.code}{slug}{day}"
    if name in book.notes.values():
        name = f"{name}.{len(book.notes) + 1}"
    book.notes[note] = name
    at = At(name, segment, day=note.day)
    _NUMBERS[note.code](book, at, note, book.row(prefix, segment))


def _elsewhere(code: str) -> Callable[[Book, At, Note, str], None]:
    """A number that is one of its row."""

    def record(book: Book, at: At, note: Note, row: str) -> None:
        called = f"{note.code}_number"
        given = {code: f"{row}.{code}"}
        book.add(at, "number", note.number, Unit.LEADS, code, given, called=called)

    return record


def _by_hand(book: Book, at: At, note: Note, row: str) -> None:
    _elsewhere("goal")(book, at, note, row)
    book.add(
        at, "other", note.other, Unit.MONEY, "goal * lead_value",
        {"goal": f"{row}.goal", "lead_value": f"{row}.lead_value"},
        called=f"{note.code}_other", currency=note.text,
    )  # fmt: skip


def _goal_changed(book: Book, at: At, note: Note, row: str) -> None:
    goal_before(book, at, note)
    given = {"goal": f"{row}.goal"}
    called = f"{note.code}_other"
    book.add(at, "other", note.other, Unit.LEADS, "goal", given, called=called)


def _unassigned(book: Book, at: At, note: Note, _row: str) -> None:
    prefix = CLOSED if book.edition.closed is not None else ""
    given = {
        "unassigned": f"{prefix}unassigned.actual",
        "actual": f"{prefix}total.actual",
    }
    book.add(
        at, "number", note.number, Unit.LEADS, "unassigned", given, called=f"{note.code}_number"
    )
    book.add(
        at, "share", note.share, Unit.SHARE, "unassigned / actual", given,
        called=f"{note.code}_share", rounding=Rounding.FLOOR,
    )  # fmt: skip


def _read_from(origin: Callable[[Book], Origin]) -> Callable[[Book, At, Note, str], None]:
    def record(book: Book, at: At, note: Note, _row: str) -> None:
        called = f"{note.code}_number"
        book.leaf(at, "number", note.number, Unit.LEADS, origin(book), called=called)

    return record


def _calendar_changed(book: Book, at: At, note: Note, _row: str) -> None:
    day = (book.previous or book.edition).business_date
    before = book.places.recorded(day, at.id("number"))
    now = book.places.setting("calendar")
    for part, value, place in (("number", note.number, before), ("other", note.other, now)):
        book.leaf(at, part, value, Unit.WORKDAYS, place, called=f"{note.code}_{part}")


_NUMBERS: Mapping[NoteCode, Callable[[Book, At, Note, str], None]] = {
    NoteCode.WITHOUT_GOAL: _elsewhere("actual"),
    NoteCode.SET_BY_HAND: _by_hand,
    NoteCode.GOAL_CHANGED: _goal_changed,
    NoteCode.UNASSIGNED: _unassigned,
    NoteCode.IMPLAUSIBLE_ZERO: _read_from(Book.months_before),
    NoteCode.LATE_ENTRIES: _read_from(Book.months_before),
    NoteCode.CALENDAR_CHANGED: _calendar_changed,
}


def _all_rows(card: Scorecard | None) -> Iterator[Row]:
    if card is not None:
        yield from card.segments
        if card.unassigned is not None:
            yield card.unassigned
        yield card.total


# ---------------------------------------------------------------------------------------- corrections


def of_corrections(book: Book) -> None:
    """Record what figures were when people read them last, beside what they are."""
    edition = book.edition
    codes = {FigureCode.LEADS: "actual", FigureCode.GOAL: "goal", FigureCode.GAP: "gap"}
    for number, moved in enumerate(edition.corrects.figures if edition.corrects else (), 1):
        code, at = codes[moved.figure], At(f"corrects.{number}", moved.segment)
        prefix = "" if moved.month == edition.scorecard.period.start else CLOSED
        sent = book.places.recorded(edition.business_date, at.id("before"))
        book.leaf(at, "before", moved.before, Unit.LEADS, sent, called=f"{code}_before")
        given = {code: f"{book.row(prefix, moved.segment)}.{code}"}
        book.add(at, "now", moved.now, Unit.LEADS, code, given, called=code)

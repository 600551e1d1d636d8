"""What happened since the last edition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta

from digest.editions import USUAL_WEEKS
from digest.figures.book import At, Book
from digest.figures.figure import Input, Unit
from digest.model import Bridge, Correction, DayCount, Edition, Scorecard


def of_bridge(book: Book, prefix: str, card: Scorecard, bridge: Bridge) -> None:
    """Record the way from the old count to the new one, and what each day usually brings."""
    at = At(f"{prefix}bridge", month=card.period.start if prefix else None)
    _opening(book, at, card, bridge)
    for day, leads in bridge.new:
        counts = tuple(row.leads for row in book.edition.counts if row.day == day)
        read = Input("counts", (), counts or (0,), book.leads(), (day,))
        here = replace(at, day=day)
        book.add(
            here, f"new.{day}", leads, Unit.LEADS, "sum(counts)", {"counts": read}, called="new"
        )
    for change in bridge.corrections:
        _correction(book, at, change)
    new = sum(leads for _, leads in bridge.new)
    corrected = sum(change.leads for change in bridge.corrections)
    for code, value, beginning in (("new", new, "new."), ("corrections", corrected, "correction.")):
        days = {"days": [name for name in book.found if name.startswith(at.id(beginning))]}
        called = "new_leads" if code == "new" else code
        book.add(at, code, value, Unit.LEADS, "sum(days)", days, called=called)
    book.add(
        at, "actual", bridge.actual, Unit.LEADS, "previous + new_leads + corrections",
        {"new_leads": at.id("new")},
    )  # fmt: skip
    for day, usual in bridge.usual or ():
        _usual(book, replace(at, day=day), day, usual)


def _opening(book: Book, at: At, card: Scorecard, bridge: Bridge) -> None:
    """The old count: of the previous edition, or of the days before the new ones."""
    edition, upto = book.previous, bridge.previous_cut_off
    if upto is None:
        edition = book.edition
        upto = bridge.new[0][0] - timedelta(1) if bridge.new else card.cut_off
    leads: dict[date, int] = {}
    for row in edition.counts if edition is not None else ():
        if row.day in card.period and row.day <= upto:
            leads[row.day] = leads.get(row.day, 0) + row.leads
    read = Input("days", (), tuple(leads.values()) or (0,), book.leads(edition), tuple(leads))
    here = replace(at, day=upto)
    book.add(here, "previous", bridge.previous_actual, Unit.LEADS, "sum(days)", {"days": read})


def _correction(book: Book, at: At, change: Correction) -> None:
    def counted(name: str, edition: Edition | None) -> Input:
        rows = edition.counts if edition is not None else ()
        key = (change.day, change.segment)
        leads = sum(row.leads for row in rows if (row.day, row.segment) == key)
        return Input(name, (), (leads,), book.leads(edition), (change.day,))

    book.add(
        replace(at, segment=change.segment, day=change.day),
        f"correction.{change.day}.{book.slug(change.segment)}", change.leads, Unit.LEADS,
        "now - then",
        {"now": counted("now", book.edition), "then": counted("then", book.previous)},
        called="correction",
    )  # fmt: skip


def _usual(book: Book, at: At, day: date, usual: float) -> None:
    if book.history is None:
        asked = book.months_before()
        book.leaf(at, f"usual.{day}", usual, Unit.LEADS, asked, called="usual")
        return
    weeks = [day - timedelta(weeks=week) for week in range(1, USUAL_WEEKS + 1)]
    start = book.edition.scorecard.period.start
    earlier = tuple(one for one in weeks if one < start)
    here = tuple(one for one in weeks if one >= start)
    book.add(
        at, f"usual.{day}", usual, Unit.LEADS,
        f"(sum(earlier) + sum(this_month)) / {USUAL_WEEKS}",
        {
            "earlier": Input(
                "earlier", (), _leads_on(book.history.rows, earlier), book.months_before(), earlier
            ),
            "this_month": Input(
                "this_month", (), _leads_on(book.edition.counts, here), book.leads(), here
            ),
        },
        called="usual",
    )  # fmt: skip


def _leads_on(rows: Sequence[DayCount], days: Sequence[date]) -> tuple[int, ...]:
    return tuple(sum(row.leads for row in rows if row.day == day) for day in days) or (0,)

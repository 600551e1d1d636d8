"""From an edition and what it was made of to a record for every number in it.

The records do not compute the numbers again: they take each from the edition and keep a formula only if it
gives that number from its inputs. Where today's settings no longer give it, the frozen edition is its origin.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import replace

from digest.editions import Facts
from digest.figures.book import CLOSED, At, Book, Places
from digest.figures.figure import Before, Figure, Figures, Unit
from digest.figures.month import of_card
from digest.figures.sales import of_drift, of_follow_up
from digest.figures.since import of_bridge
from digest.figures.small_print import of_corrections, of_footer, of_notes
from digest.model import UNASSIGNED, Edition, LeadCounts

_ORDER = ("corrects", "total", "month", "value", "bridge", "segments", "segment", "unassigned")


def figures_of(
    edition: Edition,
    facts: Facts | None,
    places: Places,
    previous: Edition | None = None,
    *,
    history: LeadCounts | None = None,
) -> Figures:
    """Return the record of every number that readers of an edition see.

    Args:
        edition: composed or frozen.
        facts: what the settings say; None for an edition that has none, whose numbers are then as frozen.
        places: where inputs stand.
        previous: the edition sent before it, for the bridge and for the same number in it.
        history: the counts of the months before; without them what was learned from them is a leaf.
    """
    made = _gathered(Book(edition, facts, places, previous, history))
    if previous is None:
        return made
    then = _gathered(Book(previous, facts, places, None, None))
    return replace(
        made,
        by_id={
            figure.id: replace(figure, before=_before(figure, edition, then, previous))
            for figure in made.values()
        },
    )


def _before(figure: Figure, now: Edition, then: Figures, previous: Edition) -> Before | None:
    """Find the same number in the previous edition; a new month has none there."""
    closed = figure.id.startswith(CLOSED)
    card = now.closed.scorecard if closed and now.closed else now.scorecard
    if previous.scorecard.period != card.period:
        return None
    same_one = then.get(figure.id.removeprefix(CLOSED))
    return None if same_one is None else Before(previous.business_date, same_one.value)


def slugs(names: Iterable[str]) -> dict[str, str]:
    """Return a short name of letters, digits and hyphens for each name, no two alike."""
    found: dict[str, str] = {UNASSIGNED: "unassigned"}
    for number, name in enumerate(names, 1):
        plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
        slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40] or f"segment-{number}"
        taken = set(found.values())
        found.setdefault(name, slug if slug not in taken else f"{slug}-{number}")
    return found


def _gathered(book: Book) -> Figures:
    edition = book.edition
    book.slugs = slugs(_names(edition))
    for rate in edition.plan_rates:
        at, place = At("rate", rate.currency), book.places.rate(rate.currency)
        code = rate.currency.lower()
        book.leaf(at, code, rate.rate, Unit.NUMBER, place, called="plan_rate")
    closed = edition.closed
    if closed is not None:
        of_card(book, CLOSED, closed.scorecard)
        of_bridge(book, CLOSED, closed.scorecard, closed.bridge)
    of_card(book, "", edition.scorecard)
    of_bridge(book, "", edition.scorecard, edition.bridge)
    of_follow_up(book, edition.follow_up)
    for drift in edition.drift or ():
        of_drift(book, drift)
    of_footer(book)
    of_notes(book)
    of_corrections(book)
    ordered = sorted(book.found.values(), key=_rank)
    return Figures({figure.id: figure for figure in ordered}, book.slugs, book.notes)


def _names(edition: Edition) -> list[str]:
    cards = [edition.scorecard, *([edition.closed.scorecard] if edition.closed else [])]
    named = [row.segment for card in cards for row in card.segments]
    named += [part.segment for part in edition.follow_up.segments] if edition.follow_up else []
    named += [drift.segment for drift in edition.drift or ()]
    named += [change.segment for change in edition.bridge.corrections]
    named += [count.segment for count in edition.counts]
    return list(dict.fromkeys(name for name in named if name))


def _rank(figure: Figure) -> tuple[bool, int]:
    closed = figure.id.startswith(CLOSED)
    group = figure.id.removeprefix(CLOSED).partition(".")[0]
    return not closed, _ORDER.index(group) if group in _ORDER else len(_ORDER)

"""A scorecard's rows as the pages print them: every figure, in one order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from digest.model import Row, Scorecard
from digest.render import words as said
from digest.render.locales import Locale

NONE = said.NONE
NEVER, SURELY = Fraction(1, 1000), Fraction(99, 100)


@dataclass(frozen=True, slots=True)
class Printed:
    """A row, written.

    Attributes:
        status: (word, sign, look); None for leads of no segment. cells: as `headings` names them.
    """

    name: str
    status: tuple[str, str, str] | None
    cells: tuple[str, ...]
    notes: tuple[str, ...]


def headings(locale: Locale) -> tuple[str, ...]:
    """Return what each cell of a row is."""
    _ = locale.gettext
    return (
        _("Goal"),
        _("Sales goal"),
        _("Actual"),
        _("Expected"),
        _("Gap"),
        _("Attainment"),
        _("Pace"),
        _("Per workday so far"),
        _("Required per workday"),
        _("Forecast"),
        _("80% range"),
        _("Chance of the goal"),
        _("Lead value"),
    )


def printed(locale: Locale, card: Scorecard) -> tuple[Printed, ...]:
    """Return the segments, the largest shortfall first, then the unassigned leads and the total."""
    segments = sorted(card.segments, key=lambda row: (row.gap is None, row.gap or 0))
    unassigned = [card.unassigned] if card.unassigned else []
    return tuple(_printed(locale, row) for row in (*segments, *unassigned, card.total))


def _printed(locale: Locale, row: Row) -> Printed:
    look = said.LOOKS[row.status]
    status = (said.judgement(locale, row), said.SIGNS[look], look)
    month_end = row.forecast
    return Printed(
        name=said.segment_name(locale, row.segment),
        status=None if row.segment == "" else status,
        cells=(
            _or_none(row.goal, locale.number),
            _or_none(row.sales_goal, locale.number),
            _or_none(row.actual, locale.number),
            _or_none(row.expected, locale.number),
            _or_none(row.gap, locale.signed),
            _or_none(row.attainment, locale.percent),
            _or_none(row.pace, locale.percent),
            _or_none(row.rate_per_workday, lambda rate: locale.number(rate, 1)),
            _or_none(row.required_per_workday, lambda required: locale.number(required, 1)),
            _or_none(month_end and month_end.mean, locale.number),
            between(locale, month_end.low, month_end.high) if month_end else NONE,
            _or_none(_chance(row), locale.percent),
            NONE
            if row.lead_value is None or row.currency is None
            else locale.money(row.lead_value, row.currency, 2),
        ),
        notes=tuple(said.bare_note(locale, fact) for fact in row.notes if row.segment is not None),
    )


def between(locale: Locale, low: int, high: int) -> str:
    """Write a range."""
    return f"{locale.number(low)}\N{EN DASH}{locale.number(high)}"


def _chance(row: Row) -> Fraction | None:
    """The chance of the goal; off 0 % and 100 % while days remain and the goal is not reached."""
    if row.forecast is None or row.forecast.chance is None:
        return None
    chance = Fraction(row.forecast.chance)
    if not row.remaining or row.goal is None or (row.actual or 0) >= row.goal:
        return chance
    return min(max(chance, NEVER), SURELY)


def _or_none(value: object, write: Callable[..., str]) -> str:
    return NONE if value is None else write(value)


def differing(
    before: Sequence[Printed], now: Sequence[Printed], labels: Sequence[str], status: str
) -> tuple[tuple[tuple[str, str, str, str], ...], int]:
    """Compare two tables cell by cell.

    Args:
        before: as `printed` made them.
        now: likewise.
        labels: of the cells.
        status: label of the status.

    Returns:
        (row, figure, before, now) of what differs, and how many figures were compared.
    """
    old, new = ({row.name: row for row in rows} for rows in (before, now))
    found, compared = [], 0
    for name in dict.fromkeys((*new, *old)):
        was, is_ = _figures(old.get(name), labels, status), _figures(new.get(name), labels, status)
        for label in dict.fromkeys((*is_, *was)):
            compared += 1
            pair = was.get(label, NONE), is_.get(label, NONE)
            if pair[0] != pair[1]:
                found.append((name, label, *pair))
    return tuple(found), compared


def _figures(row: Printed | None, labels: Sequence[str], status: str) -> dict[str, str]:
    if row is None:
        return {}
    word = {status: row.status[0]} if row.status else {}
    return {**word, **dict(zip(labels, row.cells, strict=True))}

"""Numbers that know which figure they are, so that whoever writes them can say so.

They equal the plain numbers and compute like them; what is computed from them is a plain number again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import TypeVar, cast

from digest.figures.book import CLOSED
from digest.figures.figure import Figures, Number
from digest.model import (
    Action,
    ActionCode,
    Bridge,
    CorrectedFigure,
    Drift,
    Edition,
    FollowUp,
    Forecast,
    Note,
    NoteCode,
    Row,
    Scorecard,
    SegmentFollowUp,
    Value,
)

N = TypeVar("N", bound=Number)
T = TypeVar("T")


class _Int(int):
    figure: str


class _Float(float):
    figure: str


class _Decimal(Decimal):
    figure: str


class _Fraction(Fraction):
    figure: str


_KINDS: Mapping[type, type] = {
    int: _Int,
    float: _Float,
    Decimal: _Decimal,
    Fraction: _Fraction,
    _Int: _Int,
    _Float: _Float,
    _Decimal: _Decimal,
    _Fraction: _Fraction,
}


def tagged(value: N, figure: str) -> N:
    """Return an equal number that knows its figure."""
    known = _KINDS[type(value)](value)
    known.figure = figure
    return cast("N", known)


def figure_of(value: object) -> str | None:
    """Return the figure of a number, None for one that knows none."""
    return getattr(value, "figure", None)


class _Tagger:
    """Puts the figures' ids on the numbers of an edition, where there is a figure."""

    def __init__(self, figures: Figures) -> None:
        self.figures = figures

    def one(self, value: N | None, name: str) -> N | None:
        return tagged(value, name) if value is not None and name in self.figures else value

    def sure(self, value: N, name: str) -> N:
        return tagged(value, name) if name in self.figures else value

    def fields(self, thing: T, base: str, names: Iterable[str]) -> T:
        """The fields that are called like their figures."""
        changed = {name: self.one(getattr(thing, name), f"{base}.{name}") for name in names}
        return replace(thing, **changed)  # type: ignore[type-var] # frozen dataclasses


_ROW = (
    "actual", "goal", "expected", "gap", "attainment", "pace", "required_per_workday",
    "rate_per_workday", "workdays", "elapsed", "remaining", "lead_value",
)  # fmt: skip
_DRIFT = (
    "agreed_close_rate", "measured_close_rate", "agreed_deal_size", "measured_deal_size", "goal",
    "goal_at_measured",
)  # fmt: skip
_ANSWERS = ("due", "in_time", "overdue", "accepted", "rejected", "median_minutes")
_PROMISE = (
    "p90_minutes", "attempts_due", "attempts_kept", "leads", "respond_within", "website_within",
    "attempts", "within_workdays",
)  # fmt: skip


def with_figures(edition: Edition, figures: Figures) -> Edition:
    """Return the same edition, each of its numbers with the id of its figure."""
    tag = _Tagger(figures)
    closed = edition.closed
    return replace(
        edition,
        scorecard=_card(tag, edition.scorecard, ""),
        bridge=_bridge(tag, edition.bridge, ""),
        closed=closed
        and replace(
            closed,
            scorecard=_card(tag, closed.scorecard, CLOSED),
            bridge=_bridge(tag, closed.bridge, CLOSED),
        ),
        warnings=tuple(_note(tag, note) for note in edition.warnings),
        follow_up=edition.follow_up and _follow_up(tag, edition.follow_up),
        drift=edition.drift and tuple(_drift(tag, drift) for drift in edition.drift),
        origin=replace(edition.origin, quota=_quota(tag, edition.origin.quota)),
        excluded=tuple(
            (rule, tag.sure(count, f"excluded.{number}"))
            for number, (rule, count) in enumerate(edition.excluded, 1)
        ),
        plan_rates=tuple(
            replace(rate, rate=tag.sure(rate.rate, f"rate.{rate.currency.lower()}"))
            for rate in edition.plan_rates
        ),
        lag_months=tag.sure(edition.lag_months, "lag"),
        history_hits=edition.history_hits
        and (
            tag.sure(edition.history_hits[0], "hits.held"),
            tag.sure(edition.history_hits[1], "hits.judged"),
        ),
        corrects=edition.corrects
        and replace(
            edition.corrects,
            figures=tuple(
                _corrected(tag, moved, f"corrects.{number}")
                for number, moved in enumerate(edition.corrects.figures, 1)
            ),
        ),
    )


def _card(tag: _Tagger, card: Scorecard, prefix: str) -> Scorecard:
    marked = tag.fields(card, f"{prefix}month", ("workdays", "elapsed", "remaining"))
    slugs = tag.figures.slugs
    return replace(
        marked,
        total=_row(tag, card.total, f"{prefix}total"),
        segments=tuple(
            _row(tag, row, f"{prefix}segment.{slugs.get(row.segment or '', '')}")
            for row in card.segments
        ),
        unassigned=card.unassigned and _row(tag, card.unassigned, f"{prefix}unassigned"),
        value=card.value and _value(tag, card.value, f"{prefix}value"),
    )


def _row(tag: _Tagger, row: Row, base: str) -> Row:
    return replace(
        tag.fields(row, base, _ROW),
        forecast=row.forecast and _forecast(tag, row.forecast, f"{base}.forecast"),
        notes=tuple(_note(tag, note) for note in row.notes),
    )


def _forecast(tag: _Tagger, forecast: Forecast, base: str) -> Forecast:
    return tag.fields(forecast, base, ("mean", "low", "high", "chance"))


def _value(tag: _Tagger, value: Value, base: str) -> Value:
    return tag.fields(value, base, ("goal", "actual", "attainment"))


def _note(tag: _Tagger, note: Note) -> Note:
    name = tag.figures.notes.get(note)
    return note if name is None else tag.fields(note, name, ("number", "other", "share"))


def _bridge(tag: _Tagger, bridge: Bridge, prefix: str) -> Bridge:
    base, slugs = f"{prefix}bridge", tag.figures.slugs

    def daily(entries: tuple[tuple[date, N], ...], code: str) -> tuple[tuple[date, N], ...]:
        return tuple((day, tag.sure(value, f"{base}.{code}.{day}")) for day, value in entries)

    return replace(
        bridge,
        previous_actual=tag.sure(bridge.previous_actual, f"{base}.previous"),
        new=daily(bridge.new, "new"),
        corrections=tuple(
            replace(
                change,
                leads=tag.sure(
                    change.leads,
                    f"{base}.correction.{change.day}.{slugs.get(change.segment, 'other')}",
                ),
            )
            for change in bridge.corrections
        ),
        actual=tag.sure(bridge.actual, f"{base}.actual"),
        usual=bridge.usual and daily(bridge.usual, "usual"),
    )


def _follow_up(tag: _Tagger, facts: FollowUp) -> FollowUp:
    slugs = tag.figures.slugs

    def part(entry: SegmentFollowUp) -> SegmentFollowUp:
        base = f"follow_up.segment.{slugs.get(entry.segment, 'other')}"
        return tag.fields(entry, base, _ANSWERS)

    marked = tag.fields(facts, "follow_up", (*_ANSWERS, *_PROMISE))
    return replace(marked, segments=tuple(map(part, facts.segments)))


def _drift(tag: _Tagger, drift: Drift) -> Drift:
    return tag.fields(drift, f"drift.{tag.figures.slugs.get(drift.segment, 'other')}", _DRIFT)


def _quota(tag: _Tagger, quota: tuple[int, int] | None) -> tuple[int, int] | None:
    if quota is None:
        return None
    return tag.sure(quota[0], "quota.used"), tag.sure(quota[1], "quota.allowed")


def _corrected(tag: _Tagger, moved: CorrectedFigure, base: str) -> CorrectedFigure:
    return tag.fields(moved, base, ("before", "now"))


# ------------------------------------------------------------------------------------------- actions


def with_figures_of_action(action: Action, figures: Figures) -> Action:
    """Return what is to be done, its numbers with the figures that they follow from."""
    number, other = _ids(action, figures)
    tag = _Tagger(figures)
    return replace(
        action, number=tag.one(action.number, number), other=tag.one(action.other, other)
    )


def _ids(action: Action, figures: Figures) -> tuple[str, str]:
    slug = figures.slugs.get(action.segment or "", "other")
    base = "total" if action.segment is None else f"segment.{slug}"
    ids: Mapping[ActionCode, tuple[str, str]] = {
        ActionCode.ASK_SOURCE: ("segments.silent", ""),
        ActionCode.AGREE_GOALS: ("goals.missing_leads", "goals.missing"),
        ActionCode.COMPLETE_WORKSHEET: ("goals.missing_leads", ""),
        ActionCode.CATCH_UP: (f"{base}.required_per_workday", f"{base}.rate_per_workday"),
        ActionCode.LAST_DAY: (f"{base}.to_go", ""),
        ActionCode.ANSWER: ("follow_up.overdue", f"follow_up.segment.{slug}.overdue"),
        ActionCode.TRY_AGAIN: ("follow_up.attempts_missing", "follow_up.attempts"),
        ActionCode.NEW_PACE: (
            "total.required_per_workday",
            f"{CLOSED}total.rate_per_workday",
        ),
        ActionCode.REVIEW: (f"drift.{slug}.goal_at_measured", f"drift.{slug}.goal"),
        ActionCode.DOUBT_ZERO: (_of_note(figures, NoteCode.IMPLAUSIBLE_ZERO, action.segment), ""),
        ActionCode.ASSIGN: (_of_note(figures, NoteCode.UNASSIGNED, action.segment), ""),
    }
    return ids[action.code]


def _of_note(figures: Figures, code: NoteCode, segment: str | None) -> str:
    found = (
        name
        for note, name in figures.notes.items()
        if isinstance(note, Note) and (note.code, note.segment) == (code, segment)
    )
    return f"{next(found, '')}.number"

"""What today needs: at most three actions, derived from an edition by rule."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import islice

from digest.model import (
    Action,
    ActionCode,
    Drift,
    Edition,
    FollowUp,
    Note,
    NoteCode,
    Row,
    Scorecard,
    Status,
)

MOST = 3
WORTH_A_TALK = Fraction(1, 10)  # share by which a goal must move before the agreement is questioned
_BEHIND = (Status.BEHIND, Status.AT_RISK)
_INPUT_MISSING = (
    NoteCode.CLOSE_RATE_MISSING,
    NoteCode.DEAL_SIZE_MISSING,
    NoteCode.REVENUE_GOAL_MISSING,
    NoteCode.SHARE_MISSING,
)


def actions(edition: Edition, *, first: tuple[str, ...] = ()) -> tuple[Action, ...]:
    """Return what today needs, the most pressing first; nothing when all is as agreed.

    The order of the rules is their rank: figures that cannot be trusted come before what they say, a goal
    that is missing before one that is missed, and a lead that waits before an assumption that drifted.
    Each action carries the number it follows from.

    Args:
        edition: the edition of the day; on a month close the new month counts.
        first: names of the segments that the reader answers for; theirs come first among equals.
    """
    return tuple(islice(_ranked(edition, first), MOST))


def _ranked(edition: Edition, first: tuple[str, ...]) -> Iterator[Action]:
    card = edition.scorecard
    yield from _distrust(edition)
    yield from _missing_goals(card)
    late = _segments_behind(card, first)
    yield from late[:1]
    yield from _sales(edition.follow_up)
    yield from _new_month(edition)
    yield from (action for action in late[1:] if action.pressing)
    yield from _without_segment(edition)
    yield from _drifted(edition.drift or (), first)
    yield from (action for action in late[1:] if not action.pressing)


def _distrust(edition: Edition) -> Iterator[Action]:
    for fact in edition.warnings:
        if fact.code is NoteCode.IMPLAUSIBLE_ZERO:
            yield Action(ActionCode.DOUBT_ZERO, fact.segment, number=fact.number)
    silent = [row for row in edition.scorecard.segments if row.actual is None]
    if silent:
        yield Action(ActionCode.ASK_SOURCE, number=Fraction(len(silent)))
    elif edition.stale:
        yield Action(ActionCode.ASK_SOURCE)


def _missing_goals(card: Scorecard) -> Iterator[Action]:
    """Ask for the goals that nobody can be measured by; one action, however many they are."""
    without = [row for row in card.segments if any(map(_leaves_no_goal, row.notes))]
    if not without:
        return
    leads = Fraction(sum(row.actual or 0 for row in without))
    if len(without) == 1 < len(card.segments):
        yield Action(ActionCode.COMPLETE_WORKSHEET, without[0].segment, number=leads)
    else:
        all_of_them = len(without) == len(card.segments)
        other = None if all_of_them else Fraction(len(without))
        yield Action(ActionCode.AGREE_GOALS, number=leads, other=other)


def _leaves_no_goal(note: Note) -> bool:
    # With a text the note is about the sales half, which has a goal of its own.
    return note.code is NoteCode.NO_SLA or (note.code in _INPUT_MISSING and not note.text)


def _segments_behind(card: Scorecard, first: tuple[str, ...]) -> list[Action]:
    """Return who has to catch up, the reader's segments and the largest shortfall first."""
    rows = [row for row in card.segments if row.status in _BEHIND and row.required_per_workday]
    rows.sort(
        key=lambda row: (row.segment not in first, row.status is not Status.BEHIND, row.gap or 0)
    )
    if len(card.segments) == 1 or not rows:  # the total speaks for a lone segment
        rows = [card.total] if card.total.status in _BEHIND else []
    return [_catch_up(row) for row in rows if row.required_per_workday]


def _catch_up(row: Row) -> Action:
    pressing = row.status is Status.BEHIND
    if row.remaining <= 1:
        left = max((row.goal or 0) - (row.actual or 0), 0)
        return Action(ActionCode.LAST_DAY, row.segment, number=Fraction(left), pressing=pressing)
    return Action(
        ActionCode.CATCH_UP,
        row.segment,
        number=Fraction(row.required_per_workday or 0),
        other=row.rate_per_workday,
        pressing=pressing,
    )


def _sales(facts: FollowUp | None) -> Iterator[Action]:
    if facts is None:
        return
    if facts.overdue:
        worst = max(facts.segments, key=lambda part: part.overdue, default=None)
        shared = worst is not None and 0 < worst.overdue < facts.overdue
        yield Action(
            ActionCode.ANSWER,
            worst.segment if worst and shared else None,
            number=Fraction(facts.overdue),
            other=Fraction(worst.overdue) if worst and shared else None,
        )
    elif facts.attempts_kept < facts.promised_share * facts.attempts_due:
        yield Action(
            ActionCode.TRY_AGAIN,
            number=Fraction(facts.attempts_due - facts.attempts_kept),
            other=Fraction(facts.attempts),
        )


def _new_month(edition: Edition) -> Iterator[Action]:
    total = edition.scorecard.total
    if edition.closed is not None and total.required_per_workday:
        yield Action(
            ActionCode.NEW_PACE,
            number=Fraction(total.required_per_workday),
            other=edition.closed.scorecard.total.rate_per_workday,
        )


def _without_segment(edition: Edition) -> Iterator[Action]:
    for fact in edition.warnings:
        if fact.code is NoteCode.UNASSIGNED and fact.number:
            yield Action(ActionCode.ASSIGN, number=fact.number, text=fact.text)


def _drifted(drift: tuple[Drift, ...], first: tuple[str, ...]) -> Iterator[Action]:
    """Name the one assumption that moves its goal most; a small sample proves nothing."""
    worth = [
        (abs(Fraction(fact.goal_at_measured - fact.goal, fact.goal)), fact)
        for fact in drift
        if fact.goal and not fact.small_sample
    ]
    moved = [(share, fact) for share, fact in worth if share >= WORTH_A_TALK]
    if moved:
        _, fact = max(moved, key=lambda pair: (pair[1].segment in first, pair[0]))
        yield Action(
            ActionCode.REVIEW,
            fact.segment,
            number=Fraction(fact.goal_at_measured),
            other=Fraction(fact.goal),
        )

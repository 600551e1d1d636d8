"""What is said about an edition: every sentence that email, text, terminal and Slack share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from itertools import accumulate
from zoneinfo import ZoneInfo

from digest.model import (
    UNASSIGNED,
    Action,
    ActionCode,
    CorrectedFigure,
    Correction,
    Edition,
    FigureCode,
    Note,
    NoteCode,
    Row,
    Scorecard,
    Status,
)
from digest.render.locales import NO_BREAK, Locale, half_up, shown

NONE = "\u2013"

# The one place where a status gets its look; the colours of a look are in templates/cells.css.
LOOKS = {
    Status.REACHED: "good",
    Status.AHEAD: "good",
    Status.ON_TRACK: "good",
    Status.AT_RISK: "warning",
    Status.BEHIND: "bad",
    Status.MISSED: "bad",
    Status.NO_DATA: "neutral",
    Status.NO_TARGET: "neutral",
    Status.TOO_EARLY: "neutral",
}
SIGNS = {"good": "●", "warning": "▲", "bad": "■", "neutral": "○"}


def status_word(locale: Locale, status: Status) -> str:
    """Return the status as a reader sees it."""
    words = {
        Status.REACHED: locale.gettext("Reached"),
        Status.AHEAD: locale.gettext("Ahead"),
        Status.ON_TRACK: locale.gettext("On track"),
        Status.AT_RISK: locale.gettext("At risk"),
        Status.BEHIND: locale.gettext("Behind"),
        Status.MISSED: locale.gettext("Missed"),
        Status.NO_DATA: locale.gettext("No data"),
        Status.NO_TARGET: locale.gettext("No goal"),
        Status.TOO_EARLY: locale.gettext("Too early"),
    }
    return words[status]


def judgement(locale: Locale, row: Row) -> str:
    """Return the status of a row as a reader sees it; leads that are known are never called no data."""
    if row.status is Status.NO_DATA and row.actual is not None:
        return locale.gettext("Not judged")
    return status_word(locale, row.status)


def segment_name(locale: Locale, name: str | None) -> str:
    """Return what a segment is called; None is the total."""
    if name is None:
        return locale.gettext("Total")
    return locale.gettext("Unassigned") if name == UNASSIGNED else shown(name)


# ------------------------------------------------------------------------------------- the verdict


def verdict(locale: Locale, card: Scorecard) -> str:
    """Say in a few words how the total stands: "9 behind plan", "goal missed by 8"."""
    total = card.total
    fixed = {
        Status.NO_DATA: _why_no_data(locale, card),
        Status.NO_TARGET: locale.gettext("no goal set"),
        Status.TOO_EARLY: locale.gettext("too early for a verdict"),
    }
    if total.status in fixed:
        return fixed[total.status]
    over = (total.actual or 0) - (total.goal or 0)
    by = locale.traced(abs(over), total.actual, "against_goal")
    if card.closed and over < 0:
        return locale.ngettext("goal missed by %(n)s", "goal missed by %(n)s", by)
    if card.closed or total.status is Status.REACHED:
        if over == 0:
            return locale.gettext("goal reached")
        return locale.ngettext("goal exceeded by %(n)s", "goal exceeded by %(n)s", by)
    return plan_gap(locale, total.gap or 0)


def _why_no_data(locale: Locale, card: Scorecard) -> str:
    if card.total.actual is not None:
        return locale.gettext("nothing newer")
    if _known_in_part(card):
        return locale.gettext("the figures are incomplete")
    return locale.gettext("the source gave no numbers")


def _known_in_part(card: Scorecard) -> bool:
    return any(row.actual is not None for row in card.segments)


def plan_gap(locale: Locale, gap: int) -> str:
    """Say where the count stands against the plan."""
    if gap == 0:
        return locale.gettext("on plan")
    if gap < 0:
        behind = locale.traced(-gap, gap)
        return locale.ngettext("%(n)s behind plan", "%(n)s behind plan", behind)
    return locale.ngettext("%(n)s ahead of plan", "%(n)s ahead of plan", gap)


def subject(locale: Locale, card: Scorecard, *, corrects: bool = False) -> str:
    """Return the subject: month, figures, verdict and what each day must bring; marked in a correction."""
    said = _subject(locale, card)
    return locale.gettext("Correction: %(subject)s", subject=said) if corrects else said


def corrected_edition(locale: Locale, day: date, sent_at: datetime, zone: str) -> str:
    """Name the edition that is corrected, by its day and the hour at which people got it."""
    at = f"{sent_at.astimezone(ZoneInfo(zone)):%H:%M}"
    return locale.gettext(
        "Correction of the edition of %(day)s, sent at %(time)s",
        day=locale.full_day(day),
        time=at,
    )


def corrected_figure(locale: Locale, figure: CorrectedFigure, *, with_month: bool) -> str:
    """Name a figure that moved; with its month where an edition speaks of two."""
    name = segment_name(locale, figure.segment)
    if with_month:
        name = f"{name} ({locale.month(figure.month)})"
    codes = {
        FigureCode.LEADS: locale.gettext("%(name)s, leads", name=name),
        FigureCode.GOAL: locale.gettext("%(name)s, goal", name=name),
        FigureCode.GAP: locale.gettext("%(name)s, gap to plan", name=name),
    }
    return codes[figure.figure]


def _subject(locale: Locale, card: Scorecard) -> str:
    total = card.total
    month = locale.month(card.period.start)
    values = {
        "month": month,
        "actual": NONE if total.actual is None else locale.number(total.actual),
        "goal": NONE if total.goal is None else locale.number(total.goal),
        "verdict": verdict(locale, card),
    }
    if total.actual is None:
        return locale.gettext("Leads %(month)s: %(verdict)s", **values)
    if total.goal is None or total.status is Status.NO_TARGET:
        return locale.gettext("Leads %(month)s: %(actual)s - %(verdict)s", **values)
    if card.closed:
        return locale.gettext(
            "Leads %(month)s closed: %(actual)s of %(goal)s - %(verdict)s", **values
        )
    if not total.required_per_workday:
        return locale.gettext("Leads %(month)s: %(actual)s of %(goal)s - %(verdict)s", **values)
    values["required"] = tenths(locale, total.required_per_workday)
    return locale.gettext(
        "Leads %(month)s: %(actual)s of %(goal)s - %(verdict)s, %(required)s per workday needed",
        **values,
    )


def thread_subject(locale: Locale, title: str, month: date) -> str:
    """Return a subject that stays the same all month: mail programs thread by it."""
    return locale.gettext(
        "Leads %(month)s - %(title)s", month=locale.month_year(month), title=shown(title, 60)
    )


LETTERS_OF_OPENING = 66


def preheader(locale: Locale, edition: Edition, card: Scorecard) -> str:
    """Return the line an inbox shows after the subject: worst segment and data time."""
    data_time = locale.gettext(
        "data as of %(time)s", time=locale.instant(edition.as_of, card.period.timezone)
    )
    worst = worst_row(card)
    if worst is None:
        opening = edition.title
    elif worst.gap is not None and worst.gap < 0:
        gap = plan_gap(locale, worst.gap) if not card.closed else goal_gap(locale, worst.gap)
        opening = locale.gettext("Largest gap: %(segment)s, %(gap)s", segment="", gap=gap)
        opening = locale.gettext(
            "Largest gap: %(segment)s, %(gap)s",
            segment=shown(worst.segment or "", max(12, min(40, LETTERS_OF_OPENING - len(opening)))),
            gap=gap,
        )
    else:
        opening = locale.gettext("No segment is behind its plan")
    return f"{shown(opening, LETTERS_OF_OPENING)} · {data_time}"


def goal_gap(locale: Locale, gap: int) -> str:
    """Say where a closed month ended against its goal."""
    if gap < 0:
        short = locale.traced(-gap, gap)
        return locale.ngettext("%(n)s short of its goal", "%(n)s short of its goal", short)
    if gap == 0:
        return locale.gettext("exactly at its goal")
    return locale.ngettext("%(n)s above its goal", "%(n)s above its goal", gap)


def worst_row(card: Scorecard) -> Row | None:
    """Return the segment with the largest shortfall, None when no segment has a gap."""
    rows = [row for row in card.segments if row.gap is not None]
    return min(rows, key=lambda row: row.gap or 0) if rows else None


def best_row(card: Scorecard) -> Row | None:
    """Return the segment with the highest attainment, None when none has a goal."""
    rows = [row for row in card.segments if row.attainment is not None]
    return max(rows, key=lambda row: row.attainment or 0) if rows else None


SHORT_VERDICT = 18


def headline(locale: Locale, card: Scorecard) -> str:
    """Return the one sentence of the mail; a short verdict stays on one line."""
    sentence = _headline(locale, card)
    return sentence[:1].upper() + sentence[1:]  # a month has a small letter in many languages


def _held_together(judged: str) -> str:
    """Keep a short verdict on one line, and in a long one its number beside what it counts."""
    if len(judged) <= SHORT_VERDICT:
        return judged.replace(" ", NO_BREAK)
    return judged if judged[0].isalpha() else judged.replace(" ", NO_BREAK, 1)


def _headline(locale: Locale, card: Scorecard) -> str:
    total = card.total
    judged = verdict(locale, card)
    if total.actual is None:
        return _without_total(locale, card, judged)
    values = {
        "month": locale.month(card.period.start),
        "verdict": _held_together(judged),
        "actual": locale.number(total.actual),
        "goal": "" if total.goal is None else locale.number(total.goal),
    }
    if total.status is Status.NO_DATA:
        return _nothing_newer(locale, total.actual, total.goal, locale.day(card.cut_off))
    if total.goal is None or total.status is Status.NO_TARGET:
        return locale.ngettext(
            "%(month)s stands at %(n)s lead, %(verdict)s.",
            "%(month)s stands at %(n)s leads, %(verdict)s.",
            total.actual,
            **values,
        )
    if card.closed:
        return locale.ngettext(
            "%(month)s closed at %(actual)s of %(n)s lead: %(verdict)s.",
            "%(month)s closed at %(actual)s of %(n)s leads: %(verdict)s.",
            total.goal,
            **values,
        )
    return locale.ngettext(
        "%(month)s stands at %(actual)s of %(n)s lead, %(verdict)s.",
        "%(month)s stands at %(actual)s of %(n)s leads, %(verdict)s.",
        total.goal,
        **values,
    )


def _without_total(locale: Locale, card: Scorecard, judged: str) -> str:
    month = locale.month(card.period.start)
    judged = _held_together(judged)
    if _known_in_part(card):
        return locale.gettext(
            "No total for %(month)s today: %(verdict)s.", month=month, verdict=judged
        )
    return locale.gettext(
        "No figures for %(month)s today: %(verdict)s.", month=month, verdict=judged
    )


def _nothing_newer(locale: Locale, actual: int, goal: int | None, day: str) -> str:
    if goal is None:
        return locale.ngettext(
            "%(n)s lead up to %(day)s, nothing newer.",
            "%(n)s leads up to %(day)s, nothing newer.",
            actual,
            day=day,
        )
    return locale.ngettext(
        "%(actual)s of %(n)s lead up to %(day)s, nothing newer.",
        "%(actual)s of %(n)s leads up to %(day)s, nothing newer.",
        goal,
        actual=locale.number(actual),
        day=day,
    )


def support(locale: Locale, card: Scorecard) -> tuple[str, ...]:
    """Return the sentences under the headline: who is behind, what the rest of the month takes."""
    return tuple(
        sentence for sentence in (_who(locale, card), _rest_of_month(locale, card)) if sentence
    )


def _who(locale: Locale, card: Scorecard) -> str | None:
    named = {status: _named(locale, card, status) for status in Status}
    if len(card.segments) < 2:  # noqa: PLR2004 - the total already speaks for a lone segment
        return None
    if named[Status.MISSED][0]:
        names, count = named[Status.MISSED]
        return locale.ngettext(
            "Goal missed: %(names)s.", "Goals missed: %(names)s.", count, names=names
        )
    if named[Status.BEHIND][0]:
        names, count = named[Status.BEHIND]
        return locale.ngettext("Behind: %(names)s.", "Behind: %(names)s.", count, names=names)
    if named[Status.AT_RISK][0]:
        names, count = named[Status.AT_RISK]
        return locale.ngettext("At risk: %(names)s.", "At risk: %(names)s.", count, names=names)
    return None


LETTERS_OF_NAMES = 90


def _named(locale: Locale, card: Scorecard, status: Status) -> tuple[str, int]:
    """Name the rows of a status, the largest shortfall first, as far as they fit in a sentence."""
    rows = sorted(
        (row for row in card.segments if row.status is status), key=lambda row: row.gap or 0
    )
    names = [shown(row.segment or "", 40) for row in rows]
    return as_far_as_fits(locale, names, LETTERS_OF_NAMES), len(rows)


def as_far_as_fits(locale: Locale, names: list[str], letters: int) -> str:
    """List names up to so many letters, at least one, and count the others."""
    if not names:
        return ""
    lengths = accumulate(map(len, names))
    fitting = max(1, sum(1 for length in lengths if length <= letters))
    rest = locale.derived(
        len(names) - fitting, "more_names", "all - named", all=len(names), named=fitting
    )
    if rest > 0:
        names = [*names[:fitting], locale.ngettext("%(n)s more", "%(n)s more", rest)]
    return locale.join(names)


def _rest_of_month(locale: Locale, card: Scorecard) -> str | None:
    total = card.total
    judged = total.status is not Status.NO_DATA
    if card.closed or not judged or total.actual is None or total.goal is None:
        return None
    if total.status is Status.REACHED:
        return locale.gettext("%(days)s.", days=days_left(locale, card.remaining))
    if total.required_per_workday is None:
        return locale.gettext("No workday is left in %(month)s.", month=_month(locale, card))
    if card.remaining <= 1:  # "each" of one day, or of half a one, would be a riddle
        return locale.ngettext(
            "%(days)s, %(n)s lead to go.",
            "%(days)s, %(n)s leads to go.",
            locale.traced(max(total.goal - total.actual, 0), total.actual, "to_go"),
            days=days_left(locale, card.remaining),
        )
    return locale.gettext(
        "%(days)s: each must bring in %(required)s leads to reach the goal.",
        days=days_left(locale, card.remaining),
        required=tenths(locale, total.required_per_workday),
    )


def _month(locale: Locale, card: Scorecard) -> str:
    return locale.month(card.period.start)


def days_left(locale: Locale, weight: Fraction) -> str:
    """Say how many workdays remain, half-days included."""
    return locale.ngettext(
        "%(n)s workday left", "%(n)s workdays left", weight, n=tenths(locale, weight)
    )


def short_days_left(locale: Locale, weight: Fraction) -> str:
    """Say the same where there is little room and the context tells that workdays are meant."""
    return locale.ngettext("%(n)s day left", "%(n)s days left", weight, n=tenths(locale, weight))


def tenths(locale: Locale, value: Fraction | Decimal) -> str:
    """Write days or leads per day: 12, or 12.5 where there is a half."""
    rounded = half_up(value, 1)
    return locale.number(value, 0 if rounded == rounded.to_integral_value() else 1)


# ------------------------------------------------------------------------------------------- notes


def note(locale: Locale, fact: Note) -> str:
    """Return the sentence of a note or warning."""
    sentence = _NOTES[fact.code](locale, fact)
    if fact.segment is None or fact.code in _NAMES_ITSELF:
        return sentence
    return locale.gettext(
        "%(segment)s: %(sentence)s", segment=segment_name(locale, fact.segment), sentence=sentence
    )


def bare_note(locale: Locale, fact: Note) -> str:
    """Return the sentence of a note, without the segment's name in front."""
    return _NOTES[fact.code](locale, fact)


def _count(locale: Locale, number: Fraction | None) -> str:
    return NONE if number is None else locale.number(number)


def _whole(locale: Locale, number: Fraction | None) -> int:
    return 0 if number is None else locale.traced(int(number), number)


def _implied(locale: Locale, fact: Note) -> str:
    if fact.other is None or fact.text is None:
        return locale.gettext("goal set by hand")
    return locale.gettext(
        "goal set by hand; it implies a revenue of %(amount)s",
        amount=locale.money(fact.other, fact.text),
    )


def _goal_changed(locale: Locale, fact: Note) -> str:
    values = {"old": _count(locale, fact.number), "new": _count(locale, fact.other)}
    if fact.day is None:
        return locale.gettext("goal changed from %(old)s to %(new)s", **values)
    return locale.gettext(
        "goal changed from %(old)s to %(new)s on %(day)s",
        **values,
        day=locale.medium_day(fact.day),
    )


def _carried(locale: Locale, fact: Note) -> str:
    if fact.day is None:
        return locale.gettext(
            "no SLA for this month; the goals of the last one are carried forward"
        )
    return locale.gettext(
        "no SLA for this month; the goals of %(month)s are carried forward",
        month=locale.month_year(fact.day),
    )


def _unassigned(locale: Locale, fact: Note) -> str:
    sentence = locale.ngettext(
        "%(n)s lead belongs to no segment",
        "%(n)s leads belong to no segment",
        _whole(locale, fact.number),
    )
    if fact.share is not None:
        sentence = locale.gettext(
            "%(sentence)s (%(share)s)", sentence=sentence, share=locale.percent(fact.share)
        )
    if fact.text:
        sentence = locale.gettext(
            "%(sentence)s: %(values)s", sentence=sentence, values=shown(fact.text, 200)
        )
    return sentence


def _late(locale: Locale, fact: Note) -> str:
    return _late_entries(locale, [fact])


def _late_entries(locale: Locale, changes: Sequence[Note]) -> str:
    """Say in one sentence what changed in a month after its close, first days first."""
    month = (
        locale.month_year(changes[0].day) if changes[0].day else locale.gettext("a closed month")
    )
    listed = [
        correction(
            locale, Correction(change.day, change.segment or "", _whole(locale, change.number))
        )
        for change in changes[:_MOST_LATE_ENTRIES]
        if change.day is not None
    ]
    rest = locale.derived(
        len(changes) - len(listed),
        "more_entries",
        "all - named",
        all=len(changes),
        named=len(listed),
    )
    if rest:
        listed.append(locale.ngettext("%(n)s more", "%(n)s more", rest))
    if changes[0].text == "frozen":
        sentence = locale.gettext(
            "late entries for %(month)s, which is frozen and stays as reported: %(listed)s",
            month=month,
            listed=locale.gettext("; ").join(listed),
        )
    else:
        sentence = locale.gettext(
            "%(month)s was corrected after its close: %(listed)s",
            month=month,
            listed=locale.gettext("; ").join(listed),
        )
    return sentence


def warnings(locale: Locale, facts: Sequence[Note]) -> list[str]:
    """Return a sentence for each warning; the late entries of a month share one."""
    sentences = [note(locale, fact) for fact in facts if fact.code is not NoteCode.LATE_ENTRIES]
    late: dict[tuple[int, int, str | None], list[Note]] = {}
    for fact in facts:
        if fact.code is NoteCode.LATE_ENTRIES and fact.day is not None:
            late.setdefault((fact.day.year, fact.day.month, fact.text), []).append(fact)
    return [*sentences, *(_late_entries(locale, changes) for changes in late.values())]


def _partial(locale: Locale, fact: Note) -> str:
    if fact.text:
        return locale.gettext(
            "the source gave no numbers for %(segments)s", segments=shown(fact.text, 200)
        )
    return locale.gettext("the source gave only part of the data")


def _stale(locale: Locale, fact: Note) -> str:
    if fact.day is None:
        return locale.gettext("the source has not been loaded since the cut-off")
    return locale.gettext(
        "the source has nothing newer: these are the leads up to %(day)s, and nothing is judged today",
        day=locale.day(fact.day),
    )


def _implausible(locale: Locale, fact: Note) -> str:
    if fact.number is None:
        return locale.gettext("no lead came in, which is unusual; please check the source")
    return locale.gettext(
        "no lead came in where about %(usual)s are usual; please check the source",
        usual=locale.number(fact.number),
    )


def _calendar_changed(locale: Locale, fact: Note) -> str:
    if fact.number is None or fact.other is None or fact.day is None:
        return locale.gettext("the calendar changed since the last edition")
    return locale.gettext(
        "the calendar changed since the last edition: %(day)s counts as %(new)s instead of %(old)s "
        "workday (%(reason)s)",
        day=locale.day(fact.day),
        old=tenths(locale, fact.number),
        new=tenths(locale, fact.other),
        reason=day_reason(locale, fact.text),
    )


def day_reason(locale: Locale, reason: str | None) -> str:
    """Return why a day is no plain workday: a word for a code of `workdays`, or the holiday's name."""
    known = {
        None: locale.gettext("workday"),
        "weekend": locale.gettext("weekend"),
        "closure": locale.gettext("company closure"),
        "day_off": locale.gettext("day off"),
        "half_day": locale.gettext("half-day"),
    }
    return known.get(reason) or shown(reason or "")


def _active_from(locale: Locale, fact: Note) -> str:
    if fact.day is None:
        return locale.gettext("began during the month")
    return locale.gettext("owes leads from %(day)s", day=locale.short_day(fact.day))


def _without_goal(locale: Locale, fact: Note) -> str:
    return locale.gettext(
        "%(leads)s without a goal", leads=locale.signed(_whole(locale, fact.number))
    )


def _close_rate_missing(locale: Locale, fact: Note) -> str:
    if fact.text:
        return locale.gettext("sales goal cannot be computed: close rate missing")
    return locale.gettext("goal cannot be computed: close rate missing")


def _deal_size_missing(locale: Locale, fact: Note) -> str:
    if fact.text:
        return locale.gettext("sales goal cannot be computed: deal size missing")
    return locale.gettext("goal cannot be computed: deal size missing")


def _follow_up_missing(locale: Locale, fact: Note) -> str:
    return locale.gettext(
        "sales follow-up could not be measured: %(why)s", why=shown(fact.text or NONE, 200)
    )


def _deals_missing(locale: Locale, fact: Note) -> str:
    return locale.gettext(
        "close rates and deal sizes could not be measured: %(why)s",
        why=shown(fact.text or NONE, 200),
    )


_NOTES: dict[NoteCode, Callable[[Locale, Note], str]] = {
    NoteCode.WITHIN_NORMAL_VARIATION: lambda locale, _: locale.gettext("within normal variation"),
    NoteCode.FORECAST_BELOW_GOAL: lambda locale, _: locale.gettext("forecast below the goal"),
    NoteCode.WITHOUT_GOAL: _without_goal,
    NoteCode.SET_BY_HAND: _implied,
    NoteCode.CLOSE_RATE_MISSING: _close_rate_missing,
    NoteCode.DEAL_SIZE_MISSING: _deal_size_missing,
    NoteCode.REVENUE_GOAL_MISSING: lambda locale, _: locale.gettext(
        "goal cannot be computed: revenue goal missing"
    ),
    NoteCode.SHARE_MISSING: lambda locale, _: locale.gettext(
        "goal cannot be computed: marketing share missing"
    ),
    NoteCode.NO_SLA: lambda locale, _: locale.gettext(
        "no SLA has been agreed for this month; counts are shown without goals"
    ),
    NoteCode.CARRIED_FORWARD: _carried,
    NoteCode.GOAL_CHANGED: _goal_changed,
    NoteCode.UNASSIGNED: _unassigned,
    NoteCode.IMPLAUSIBLE_ZERO: _implausible,
    NoteCode.CALENDAR_CHANGED: _calendar_changed,
    NoteCode.LATE_ENTRIES: _late,
    NoteCode.ACTIVE_FROM: _active_from,
    NoteCode.PARTIAL: _partial,
    NoteCode.STALE: _stale,
    NoteCode.FOLLOW_UP_MISSING: _follow_up_missing,
    NoteCode.DEALS_MISSING: _deals_missing,
}
_NAMES_ITSELF = {NoteCode.UNASSIGNED, NoteCode.LATE_ENTRIES}
_MOST_LATE_ENTRIES = 6

# Said in the footer, where the agreement is described, and not beside a segment's figures.
ABOUT_THE_AGREEMENT = {NoteCode.SET_BY_HAND, NoteCode.GOAL_CHANGED, NoteCode.CARRIED_FORWARD}


# ----------------------------------------------------------------------------------- what to do


def action(locale: Locale, todo: Action, edition: Edition) -> str:
    """Return an action as one sentence with the number it follows from."""
    todo = locale.known(todo)
    sentence = _ACTIONS[todo.code](locale, todo, edition)
    if todo.segment is None or todo.code in _ACTION_NAMES_ITSELF:
        return sentence[:1].upper() + sentence[1:]
    return locale.gettext(
        "%(segment)s: %(sentence)s", segment=segment_name(locale, todo.segment), sentence=sentence
    )


def _doubt_zero(locale: Locale, todo: Action, _: Edition) -> str:
    if todo.number is None:
        return locale.gettext("check the source, no lead came in.")
    return locale.gettext(
        "check the source, no lead came in where about %(usual)s are usual.",
        usual=locale.number(todo.number),
    )


def _ask_source(locale: Locale, todo: Action, _: Edition) -> str:
    if todo.number is None:
        return locale.gettext("check why the source has nothing newer.")
    return locale.ngettext(
        "check the source, it gave no numbers for %(n)s segment.",
        "check the source, it gave no numbers for %(n)s segments.",
        _whole(locale, todo.number),
    )


def _agree_goals(locale: Locale, todo: Action, edition: Edition) -> str:
    leads = locale.ngettext(
        "%(n)s lead has none", "%(n)s leads have none", _whole(locale, todo.number)
    )
    if todo.other is None:
        month = locale.month_year(edition.scorecard.period.start)
        return locale.gettext("agree the goals of %(month)s: %(leads)s.", month=month, leads=leads)
    return locale.ngettext(
        "agree the goals of %(n)s segment: %(leads)s.",
        "agree the goals of %(n)s segments: %(leads)s.",
        _whole(locale, todo.other),
        leads=leads,
    )


def _complete_worksheet(locale: Locale, todo: Action, _: Edition) -> str:
    return locale.ngettext(
        "complete the worksheet, %(n)s lead has no goal.",
        "complete the worksheet, %(n)s leads have no goal.",
        _whole(locale, todo.number),
    )


def _catch_up(locale: Locale, todo: Action, _: Edition) -> str:
    required = tenths(locale, todo.number or Fraction(0))
    if todo.other is None:
        return locale.gettext(
            "bring in %(required)s leads per workday from today.", required=required
        )
    return locale.gettext(
        "bring in %(required)s leads per workday from today; so far it was %(rate)s.",
        required=required,
        rate=tenths(locale, todo.other),
    )


def _last_day(locale: Locale, todo: Action, _: Edition) -> str:
    return locale.ngettext(
        "%(n)s lead to go today, the last workday.",
        "%(n)s leads to go today, the last workday.",
        _whole(locale, todo.number),
    )


def _answer(locale: Locale, todo: Action, _: Edition) -> str:
    sentence = locale.ngettext(
        "contact %(n)s lead that has waited too long",
        "contact %(n)s leads that have waited too long",
        _whole(locale, todo.number),
    )
    if todo.segment is None or todo.other is None:
        return locale.gettext("sales: %(sentence)s.", sentence=sentence)
    return locale.gettext(
        "sales: %(sentence)s; %(segment)s has %(share)s of them.",
        sentence=sentence,
        segment=segment_name(locale, todo.segment),
        share=locale.number(todo.other),
    )


def _try_again(locale: Locale, todo: Action, _: Edition) -> str:
    return locale.ngettext(
        "sales: try %(n)s lead again that had fewer than %(attempts)s attempts.",
        "sales: try %(n)s leads again that had fewer than %(attempts)s attempts.",
        _whole(locale, todo.number),
        attempts=locale.number(todo.other or 0),
    )


def _new_pace(locale: Locale, todo: Action, edition: Edition) -> str:
    values = {
        "month": locale.month(edition.scorecard.period.start),
        "required": tenths(locale, todo.number or Fraction(0)),
    }
    if todo.other is None or edition.closed is None:
        return locale.gettext("%(month)s needs %(required)s leads per workday.", **values)
    return locale.gettext(
        "%(month)s needs %(required)s leads per workday; %(before)s brought %(rate)s.",
        before=locale.month(edition.closed.scorecard.period.start),
        rate=tenths(locale, todo.other),
        **values,
    )


def _assign(locale: Locale, todo: Action, _: Edition) -> str:
    sentence = locale.ngettext(
        "give %(n)s lead a segment", "give %(n)s leads a segment", _whole(locale, todo.number)
    )
    if not todo.text:
        return f"{sentence}."
    return locale.gettext(
        "%(sentence)s: %(values)s.", sentence=sentence, values=shown(todo.text, 80)
    )


def _review(locale: Locale, todo: Action, _: Edition) -> str:
    return locale.gettext(
        "talk about the agreement: at the measured rates it takes %(new)s leads, not %(old)s.",
        new=locale.number(todo.number or 0),
        old=locale.number(todo.other or 0),
    )


_ACTIONS: dict[ActionCode, Callable[[Locale, Action, Edition], str]] = {
    ActionCode.DOUBT_ZERO: _doubt_zero,
    ActionCode.ASK_SOURCE: _ask_source,
    ActionCode.AGREE_GOALS: _agree_goals,
    ActionCode.COMPLETE_WORKSHEET: _complete_worksheet,
    ActionCode.CATCH_UP: _catch_up,
    ActionCode.LAST_DAY: _last_day,
    ActionCode.ANSWER: _answer,
    ActionCode.TRY_AGAIN: _try_again,
    ActionCode.NEW_PACE: _new_pace,
    ActionCode.ASSIGN: _assign,
    ActionCode.REVIEW: _review,
}
_ACTION_NAMES_ITSELF = {ActionCode.ANSWER}


# ------------------------------------------------------------------------------------ other blocks


def mix_warning(locale: Locale, card: Scorecard) -> str | None:
    """Say that cheap leads hide a value miss, or the reverse."""
    value, total = card.value, card.total
    if value is None or not value.mix_warning or value.attainment is None:
        return None
    counted = total.attainment or Fraction(0)
    if value.attainment < counted:
        return locale.gettext(
            "The count flatters: too many of the leads are low-value ones, so value lags behind."
        )
    return locale.gettext(
        "The count undersells: many of the leads are high-value ones, so value is ahead."
    )


def correction(locale: Locale, change: Correction) -> str:
    """Write one correction: "Tue 9 Jun, DACH +1"."""
    return locale.gettext(
        "%(day)s, %(change)s",
        day=locale.day(change.day),
        change=f"{segment_name(locale, change.segment)}{NO_BREAK}{locale.signed(change.leads)}",
    )


def chart_alt(locale: Locale, card: Scorecard) -> str:
    """Describe the waterfall in at most 200 characters."""
    total = card.total
    if total.goal is None or total.actual is None:
        return shown(headline(locale, card), 200)
    values = {
        "month": locale.month_year(card.period.start),
        "actual": locale.number(total.actual),
        "goal": locale.number(total.goal),
        "verdict": verdict(locale, card),
    }
    if card.closed or total.expected is None:
        sentence = locale.gettext(
            "Leads waterfall %(month)s: %(actual)s of %(goal)s leads, %(verdict)s.", **values
        )
    else:
        sentence = locale.gettext(
            "Leads waterfall %(month)s: %(actual)s of %(goal)s leads, expected %(expected)s, %(verdict)s.",
            expected=locale.number(total.expected),
            **values,
        )
    worst = worst_row(card)
    if worst is not None and worst.gap is not None and worst.gap < 0 and len(card.segments) > 1:
        gap = goal_gap(locale, worst.gap) if card.closed else plan_gap(locale, worst.gap)
        sentence = locale.gettext(
            "%(sentence)s Largest gap: %(segment)s, %(gap)s.",
            sentence=sentence,
            segment=shown(worst.segment or "", 40),
            gap=gap,
        )
    return shown(sentence, 200)


def forecast_record(locale: Locale, hits: tuple[int, int] | None) -> str | None:
    """Say how often the range that was printed has held."""
    if hits is None or hits[1] == 0:
        return None
    return locale.ngettext(
        "so far it held in %(held)s of %(n)s month",
        "so far it held in %(held)s of %(n)s months",
        hits[1],
        held=locale.number(hits[0]),
    )

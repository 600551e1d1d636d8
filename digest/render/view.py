"""The template variables: an edition in one language, every number and date already written.

`View` is what a user's own template may rely on; its names are a public contract.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import Literal
from urllib.parse import urlsplit

from digest.actions import actions
from digest.model import (
    Brand,
    Bridge,
    CorrectedFigure,
    Drift,
    Edition,
    FigureCode,
    FollowUp,
    NoteCode,
    Period,
    Row,
    Scorecard,
    Status,
    Value,
)
from digest.render import words
from digest.render.brand import Look, look
from digest.render.locales import NO_BREAK, Locale, half_up, shown
from digest.render.words import NONE

MOST_ROWS = 25
WIDEST_NOTE = 90
LETTERS_OF_REST = 600
LONGEST_REASON = 300
MOST_MOVED = 9  # the total and the segments of most digests; the scorecard has all


@dataclass(frozen=True, slots=True)
class Pill:
    """A status as word, sign and look ("good", "warning", "bad", "neutral")."""

    word: str
    sign: str
    look: str


@dataclass(frozen=True, slots=True)
class Figure:
    """One of the four tiles: one number, what it is, and two short lines of what it is measured against."""

    label: str
    number: str
    notes: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Cell:
    """A piece of a bar; the widths of a bar's cells are whole percents and sum to 100."""

    kind: Literal["fill", "marker", "track"]
    width: int


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the segment table.

    Attributes:
        bar: empty when there is no goal to measure against.
        progress: "39% of 140", the bar in words.
    """

    name: str
    pill: Pill | None
    actual: str
    expected: str
    gap: str
    goal: str
    attainment: str
    progress: str
    required: str
    forecast: str
    lead_value: str
    notes: tuple[str, ...]
    bar: tuple[Cell, ...]
    look: str


@dataclass(frozen=True, slots=True)
class Table:
    """The segment table: the shown lines, the rest summed up, unassigned and total.

    Attributes:
        rest: "15 more segments" with their sums, None when all are shown.
        rest_names: the same with their names, for below the table.
    """

    lines: tuple[Line, ...]
    rest: Line | None
    rest_names: str | None
    unassigned: Line | None
    total: Line
    closed: bool


@dataclass(frozen=True, slots=True)
class DayLine:
    """New leads of one day beside what the weekday usually brings."""

    day: str
    leads: str
    usual: str


@dataclass(frozen=True, slots=True)
class Change:
    """Since the last edition: new leads per day, and the bridge from the old count to the new one."""

    since: str | None
    days: tuple[DayLine, ...]
    with_usual: bool
    bridge: tuple[tuple[str, str], ...]
    corrections: tuple[str, ...]
    summary: str


@dataclass(frozen=True, slots=True)
class ValueLine:
    """What the leads are worth, and whether their mix hides something."""

    sentence: str
    warning: str | None


@dataclass(frozen=True, slots=True)
class NewMonth:
    """The month that begins, in the edition that closes the old one."""

    heading: str
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class FollowUpLine:
    """A segment in which sales is behind its promise; `in_time` is "7 of 9"."""

    name: str
    in_time: str
    overdue: str
    median: str


@dataclass(frozen=True, slots=True)
class FollowUpBlock:
    """The sales half of the agreement: one sentence, and more only while the promise is not kept.

    Attributes:
        facts: (label, number). promise: what they are measured against. segments: where it is not kept,
            most overdue first.
    """

    pill: Pill
    sentence: str
    facts: tuple[tuple[str, str], ...]
    promise: str
    segments: tuple[FollowUpLine, ...]


@dataclass(frozen=True, slots=True)
class Correction:
    """What is corrected, why (None when nobody says), and (what, "old → new") of figures that moved.

    Attributes:
        more: "3 more" where there are too many figures to name, else None.
    """

    heading: str
    reason: str | None
    figures: tuple[tuple[str, str], ...]
    more: str | None


@dataclass(frozen=True, slots=True)
class View:
    """Everything a template can print.

    Attributes:
        correction: None in the edition of the day.
        support: sentences under the headline. banner: data warnings. best_worst: month close only.
        today: what the day needs, at most three sentences. footer: (label, text) pairs in order.
        chart_alt: the picture in words; the picture itself is there when `chart` is true.
    """

    language: str
    direction: str
    title: str
    date: str
    month: str
    subject: str
    preheader: str
    pill: Pill
    headline: str
    correction: Correction | None
    support: tuple[str, ...]
    banner: tuple[str, ...]
    figures: tuple[Figure, ...]
    chart: bool
    chart_cid: str
    chart_alt: str
    change: Change | None
    table: Table
    value: ValueLine | None
    best_worst: tuple[str, ...]
    new_month: NewMonth | None
    follow_up: FollowUpBlock | None
    today: tuple[str, ...]
    drift: tuple[str, ...]
    footer: tuple[tuple[str, str], ...]
    link: str | None
    brand: Look


CHART_CID = "waterfall@digest"


def view(
    edition: Edition,
    locale: Locale,
    *,
    segments_first: tuple[str, ...] = (),
    brand: Brand = Brand(),  # noqa: B008 - frozen
    chart: bool = True,
    most_rows: int = MOST_ROWS,
) -> View:
    """Write every figure of an edition in one language.

    On a month close the closed month is the subject of the mail and the new month has its own box.
    """
    closed = edition.closed
    card = edition.judged
    bridge = closed.bridge if closed else edition.bridge
    return View(
        language=locale.tag,
        direction=locale.direction,
        title=shown(edition.title),
        date=locale.full_day(edition.business_date),
        month=locale.month_year(card.period.start),
        subject=words.subject(locale, card, corrects=edition.corrects is not None),
        preheader=words.preheader(locale, edition, card),
        pill=_pill(locale, card.total),
        headline=_without_orphan(words.headline(locale, card)),
        correction=_correction(locale, edition),
        support=words.support(locale, card),
        banner=_banner(locale, edition, card),
        figures=_closed_figures(locale, card) if card.closed else _figures(locale, card),
        chart=chart,
        chart_cid=CHART_CID,
        chart_alt=words.chart_alt(locale, card),
        change=_change(locale, bridge, closed=card.closed)
        if card.total.status is not Status.NO_DATA
        else None,
        table=_table(locale, card, segments_first, most_rows),
        value=_value(locale, card),
        best_worst=_best_worst(locale, edition, card),
        new_month=_new_month(locale, edition.scorecard) if closed else None,
        follow_up=_follow_up(locale, edition.follow_up),
        today=tuple(
            words.action(locale, todo, edition) for todo in actions(edition, first=segments_first)
        ),
        drift=tuple(_drift(locale, drift, edition.scorecard) for drift in edition.drift or ()),
        footer=tuple(_footer(locale, edition, card)),
        link=safe_link(edition.link),
        brand=look(brand),
    )


def safe_link(link: str | None) -> str | None:
    """Return the link when it is an https or mailto address, otherwise None."""
    if link is None or any(ord(letter) < ord("!") for letter in link):
        return None
    parts = urlsplit(link)
    allowed = (parts.scheme == "https" and parts.netloc) or (
        parts.scheme == "mailto" and parts.path
    )
    return link if allowed else None


# ------------------------------------------------------------------------------------ a correction


def _correction(locale: Locale, edition: Edition) -> Correction | None:
    facts = edition.corrects
    if facts is None:
        return None
    zone = edition.scorecard.period.timezone
    reason = shown(facts.reason, LONGEST_REASON) if facts.reason else None
    return Correction(
        words.corrected_edition(locale, edition.business_date, facts.sent_at, zone),
        reason and locale.gettext("Why: %(reason)s", reason=reason),
        tuple(
            (
                words.corrected_figure(locale, figure, with_month=edition.closed is not None),
                " → ".join(_corrected(locale, figure, n) for n in (figure.before, figure.now)),
            )
            for figure in facts.figures[:MOST_MOVED]
        ),
        _more_figures(locale, len(facts.figures)) if len(facts.figures) > MOST_MOVED else None,
    )


def _more_figures(locale: Locale, moved: int) -> str:
    more = locale.derived(
        moved - MOST_MOVED, "more_figures", "all - named", all=moved, named=MOST_MOVED
    )
    return locale.ngettext("%(n)s more", "%(n)s more", more)


def _corrected(locale: Locale, figure: CorrectedFigure, value: int | None) -> str:
    if value is None:
        return NONE
    return locale.signed(value) if figure.figure is FigureCode.GAP else locale.number(value)


# ------------------------------------------------------------------------------- verdict and tiles


def _pill(locale: Locale, row: Row) -> Pill:
    look = words.LOOKS[row.status]
    return Pill(words.judgement(locale, row), words.SIGNS[look], look)


def _banner(locale: Locale, edition: Edition, card: Scorecard) -> tuple[str, ...]:
    facts = words.warnings(locale, edition.warnings)
    facts += [words.note(locale, fact) for fact in card.total.notes if fact.code in _BANNER]
    return tuple(_capitalised(fact) + "." for fact in dict.fromkeys(facts))


_BANNER = {NoteCode.NO_SLA, NoteCode.PARTIAL, NoteCode.STALE}


def _without_orphan(sentence: str) -> str:
    """Keep the last two words together, so that no line holds a lone one."""
    last = sentence.rpartition(" ")[2]
    # What is held together already would grow wider than a phone.
    return sentence if NO_BREAK in last else NO_BREAK.join(sentence.rsplit(" ", 1))


def _capitalised(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _figures(locale: Locale, card: Scorecard) -> tuple[Figure, ...]:
    total = card.total
    return (
        _actual_figure(locale, total),
        Figure(
            locale.gettext("Gap to plan"),
            NONE if total.gap is None else locale.signed(total.gap),
            (
                _of(locale.gettext("expected %(n)s"), total.expected, locale.number),
                _of(locale.gettext("pace %(n)s"), total.pace, locale.percent),
            ),
        ),
        Figure(
            locale.gettext("Needed per workday"),
            _required(locale, total),
            (
                _of(
                    locale.gettext("so far %(n)s"),
                    total.rate_per_workday,
                    partial(words.tenths, locale),
                ),
                "" if _withheld(total) else words.short_days_left(locale, card.remaining),
            ),
        ),
        _forecast_figure(locale, card),
    )


def _withheld(total: Row) -> bool:
    """Whether leads are known but not judged, for they are not up to the cut-off."""
    return total.status is Status.NO_DATA and total.actual is not None


def _required(locale: Locale, total: Row) -> str:
    required = total.required_per_workday
    return NONE if required is None else words.tenths(locale, required)


def _of(message: str, value: Fraction | Decimal | None, write: Callable[..., str]) -> str:
    return "" if value is None else message % {"n": write(value)}


def _tenths(locale: Locale, value: Fraction | Decimal | None) -> str:
    return NONE if value is None else locale.number(value, 1 if value else 0)


def _actual_figure(locale: Locale, total: Row) -> Figure:
    if total.goal is None:
        notes = (locale.gettext("no goal set"), "")
    else:
        notes = (
            locale.gettext("of %(goal)s", goal=locale.number(total.goal)),
            _of(locale.gettext("%(n)s of the goal"), total.attainment, locale.percent),
        )
    return Figure(
        locale.gettext("Leads"),
        NONE if total.actual is None else locale.number(total.actual),
        notes,
    )


def _forecast_figure(locale: Locale, card: Scorecard) -> Figure:
    forecast = card.total.forecast
    label = locale.gettext("Forecast")
    if forecast is None:
        why = "" if _withheld(card.total) else locale.gettext("not enough data")
        return Figure(label, NONE, (why, ""))
    chance = None if forecast.chance is None else _still_open(locale, card, forecast.chance)
    return Figure(
        label,
        locale.number(forecast.mean),
        (
            _range(locale, forecast.low, forecast.high),
            _of(locale.gettext("chance of goal %(n)s"), chance, locale.percent),
        ),
    )


def _still_open(locale: Locale, card: Scorecard, forecast: float) -> Fraction:
    """Keep a chance off 0% and 100% while days remain and the goal is not reached."""
    total = card.total
    chance = locale.traced(Fraction(forecast), forecast)
    if not card.remaining or total.goal is None or (total.actual or 0) >= total.goal:
        return chance
    kept = min(max(chance, Fraction(1, 1000)), Fraction(99, 100))
    if kept == chance:
        return chance
    return locale.derived(kept, "chance_open", "min(max(chance, 0.001), 0.99)", chance=forecast)


def _range(locale: Locale, low: int, high: int) -> str:
    return f"{locale.number(low)}\u2013{locale.number(high)}"


def _closed_figures(locale: Locale, card: Scorecard) -> tuple[Figure, ...]:
    total, value = card.total, card.value
    with_goal = [row for row in card.segments if row.goal is not None]
    reached = sum(row.status is Status.REACHED for row in with_goal)
    needed = Fraction(total.goal) / card.workdays if total.goal and card.workdays else None
    if needed is not None:
        needed = locale.traced(needed, total.goal, "needed_per_workday")
    return (
        _actual_figure(locale, total),
        Figure(
            locale.gettext("Against the goal"),
            NONE if total.gap is None else locale.signed(total.gap),
            (
                _of(
                    locale.gettext("%(n)s per day"),
                    total.rate_per_workday,
                    partial(words.tenths, locale),
                ),
                _of(locale.gettext("%(n)s were needed"), needed, partial(words.tenths, locale)),
            ),
        ),
        Figure(
            locale.gettext("Goals reached"),
            locale.number(locale.named(reached, "closed.segments.reached")),
            (
                locale.ngettext(
                    "of %(n)s segment",
                    "of %(n)s segments",
                    locale.named(len(with_goal), "closed.segments.with_goal"),
                ),
                "",
            ),
        ),
        _value_figure(locale, value),
    )


def _value_figure(locale: Locale, value: Value | None) -> Figure:
    label = locale.gettext("Value")
    if value is None or value.attainment is None:
        return Figure(label, NONE, ("", ""))
    return Figure(
        label,
        locale.percent(value.attainment),
        (
            locale.money(value.actual, value.currency),
            locale.gettext("of %(goal)s", goal=locale.money(value.goal, value.currency)),
        ),
    )


# ----------------------------------------------------------------------------------- segment table


def _table(locale: Locale, card: Scorecard, first: tuple[str, ...], most_rows: int) -> Table:
    kept = _never_hiding_the_behind(card.segments, first, most_rows)
    rest = [row for row in card.segments if row not in kept]
    unassigned = card.unassigned
    return Table(
        lines=tuple(_line(locale, card, row) for row in _largest_shortfall_first(kept, first)),
        rest=_rest(locale, card, rest) if rest else None,
        rest_names=_rest_names(locale, rest) if rest else None,
        unassigned=None if unassigned is None else _line(locale, card, unassigned),
        total=_line(locale, card, card.total),
        closed=card.closed,
    )


def _never_hiding_the_behind(
    rows: Sequence[Row], first: tuple[str, ...], most_rows: int
) -> list[Row]:
    """Choose the rows that are shown: asked for, then behind, then by shortfall."""
    ranked = sorted(
        _largest_shortfall_first(rows, first),
        key=lambda row: row.segment not in first and words.LOOKS[row.status] != "bad",
    )
    return ranked[:most_rows]


def _largest_shortfall_first(rows: Sequence[Row], first: tuple[str, ...]) -> list[Row]:
    def rank(row: Row) -> tuple[int, bool, int]:
        asked = first.index(row.segment) if row.segment in first else len(first)
        return asked, row.gap is None, row.gap or 0

    return sorted(rows, key=rank)


def _rest(locale: Locale, card: Scorecard, rows: Sequence[Row]) -> Line:
    line = _line(locale, card, _summed(locale, card, rows))
    return replace(line, name=_more(locale, rows), pill=None, look="neutral")


def _rest_names(locale: Locale, rows: Sequence[Row]) -> str:
    names = [shown(row.segment or "", 40) for row in rows]
    return locale.gettext(
        "%(segments)s: %(names)s",
        segments=_more(locale, rows),
        names=words.as_far_as_fits(locale, names, LETTERS_OF_REST),
    )


def _summed(locale: Locale, card: Scorecard, rows: Sequence[Row]) -> Row:
    """Add rows up; a sum with an unknown part is unknown."""
    actual = _sum(locale, "rest_actual", [row.actual for row in rows])
    goal = _sum(locale, "rest_goal", [row.goal for row in rows])
    expected = _sum(locale, "rest_expected", [row.expected for row in rows])
    due = goal if card.closed else expected
    gap, attainment = None, None
    if actual is not None and due is not None:
        # As in every row: the shown figures add up.
        gap = locale.derived(
            int(actual) - int(half_up(due)),
            "rest_gap",
            "rest_actual - half_up(due)",
            rest_actual=actual,
            due=due,
        )
    if actual is not None and goal:
        attainment = locale.derived(
            actual / goal,
            "rest_attainment",
            "rest_actual / rest_goal",
            rest_actual=actual,
            rest_goal=goal,
        )
    return Row(
        segment=None,
        status=Status.NO_TARGET,
        actual=None if actual is None else locale.traced(int(actual), actual),
        goal=None if goal is None else locale.traced(int(goal), goal),
        expected=expected,
        gap=gap,
        attainment=attainment,
    )


def _sum(locale: Locale, code: str, parts: Sequence[Fraction | int | None]) -> Fraction | None:
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    return locale.derived(
        sum(map(Fraction, known), Fraction(0)), code, "sum(segments)", segments=known
    )


def _more(locale: Locale, rest: Sequence[Row]) -> str:
    count = locale.derived(
        len(rest), "more_segments", "count(segments)", segments=[row.actual or 0 for row in rest]
    )
    sentence = locale.ngettext("%(n)s more segment", "%(n)s more segments", count)
    late = [row.gap or 0 for row in rest if words.LOOKS[row.status] == "bad"]
    if not late:
        return sentence
    behind = locale.derived(len(late), "more_behind", "count(segments)", segments=late)
    return locale.ngettext(
        "%(sentence)s, %(n)s of them behind",
        "%(sentence)s, %(n)s of them behind",
        behind,
        sentence=sentence,
    )


def _line(locale: Locale, card: Scorecard, row: Row) -> Line:
    return Line(
        name=words.segment_name(locale, row.segment),
        pill=_pill(locale, row) if row.segment != "" else None,
        actual=NONE if row.actual is None else locale.number(row.actual),
        expected=_count(locale, row.goal if card.closed else row.expected),
        gap=NONE if row.gap is None else locale.signed(row.gap),
        goal=_count(locale, row.goal),
        attainment=NONE if row.attainment is None else locale.percent(row.attainment),
        progress=_progress(locale, row) if row.goal is not None else "",
        required=_tenths(locale, row.required_per_workday),
        forecast=NONE
        if row.forecast is None
        else f"{locale.number(row.forecast.mean)} "
        f"({_range(locale, row.forecast.low, row.forecast.high)})",
        lead_value=NONE
        if row.lead_value is None or row.currency is None
        else locale.money(row.lead_value, row.currency, 2),
        notes=tuple(
            shown(words.bare_note(locale, fact), WIDEST_NOTE)
            for fact in row.notes
            if row.segment is not None and fact.code not in words.ABOUT_THE_AGREEMENT
        ),
        bar=_row_bar(card, row),
        look=words.LOOKS[row.status],
    )


def _count(locale: Locale, value: Fraction | int | None) -> str:
    return NONE if value is None else locale.number(value)


def _progress(locale: Locale, row: Row) -> str:
    goal = _count(locale, row.goal)
    if row.attainment is None:
        return locale.gettext("goal %(goal)s", goal=goal)
    return locale.gettext("%(share)s of %(goal)s", share=locale.percent(row.attainment), goal=goal)


def _row_bar(card: Scorecard, row: Row) -> tuple[Cell, ...]:
    if row.attainment is None or not row.goal:
        return ()
    expected = None if card.closed or row.expected is None else row.expected / row.goal
    return bar(row.attainment, expected)


MARKER_WIDTH = 2


def bar(filled: Fraction, marker: Fraction | None) -> tuple[Cell, ...]:
    """Cut a bar into cells: filled part, pace marker, track.

    Widths are whole percents that sum to 100, and none is 0: mail clients draw a cell of width 0.
    """
    fill = _percent_of_bar(filled)
    if marker is None:
        pieces = [("fill", fill), ("track", 100 - fill)]
    else:
        start = min(max(_percent_of_bar(marker) - MARKER_WIDTH // 2, 1), 99 - MARKER_WIDTH)
        end = start + MARKER_WIDTH
        pieces = [
            ("fill", min(fill, start)),
            ("track", start - min(fill, start)),
            ("marker", MARKER_WIDTH),
            ("fill", max(fill - end, 0)),
            ("track", 100 - max(fill, end)),
        ]
    return tuple(Cell(kind, width) for kind, width in pieces if width)  # type: ignore[arg-type] # literals above


def _percent_of_bar(share: Fraction) -> int:
    return min(max(int(half_up(share * 100)), 0), 100)


# -------------------------------------------------------------------------- since the last edition


def _change(locale: Locale, bridge: Bridge, *, closed: bool) -> Change:
    usual = dict(bridge.usual or ())
    new = locale.traced(sum(leads for _, leads in bridge.new), bridge.actual, "new")
    corrected = locale.traced(
        sum(change.leads for change in bridge.corrections), bridge.actual, "corrections"
    )
    since = _since(bridge)
    steps = [
        (_opening(locale, bridge), locale.number(bridge.previous_actual)),
        (locale.gettext("New leads"), locale.signed(new)),
    ]
    if bridge.corrections:
        steps.append((locale.gettext("Corrections of earlier days"), locale.signed(corrected)))
    now = locale.gettext("At the end of the month") if closed else locale.gettext("Now")
    steps.append((now, locale.number(bridge.actual)))
    return Change(
        since=None if since is None else locale.day(since),
        days=_day_lines(locale, bridge.new, usual),
        with_usual=bool(usual),
        bridge=tuple(steps),
        corrections=tuple(words.correction(locale, change) for change in bridge.corrections),
        summary=_change_summary(locale, bridge, new, corrected),
    )


def _since(bridge: Bridge) -> date | None:
    """Return the last day of the old count; without an earlier edition, the day before the new ones."""
    if bridge.previous_cut_off is not None or not bridge.previous_actual or not bridge.new:
        return bridge.previous_cut_off
    return bridge.new[0][0] - timedelta(days=1)


def _opening(locale: Locale, bridge: Bridge) -> str:
    since = _since(bridge)
    if since is None:
        return locale.gettext("At the start of the month")
    if bridge.previous_cut_off is None:
        return locale.gettext("Up to %(day)s", day=locale.day(since))
    return locale.gettext("Last edition, up to %(day)s", day=locale.day(since))


MOST_DAYS = 10


def _day_lines(
    locale: Locale, new: tuple[tuple[date, int], ...], usual: dict[date, float]
) -> tuple[DayLine, ...]:
    """List the latest days; a first edition late in a month would otherwise list all of it."""
    earlier = [leads for _, leads in new[:-MOST_DAYS]]
    total = locale.derived(sum(earlier), "earlier_days", "sum(days)", days=earlier)
    before = [DayLine(locale.gettext("Earlier days"), locale.number(total), NONE)]
    latest = [
        DayLine(
            locale.day(day),
            locale.number(leads),
            locale.number(usual[day], 1) if day in usual else NONE,
        )
        for day, leads in new[-MOST_DAYS:]
    ]
    return tuple(before + latest if earlier else latest)


def _change_summary(locale: Locale, bridge: Bridge, new: int, corrected: int) -> str:
    since = _since(bridge)
    if since is None:
        return locale.ngettext(
            "%(n)s new lead since the start of the month",
            "%(n)s new leads since the start of the month",
            new,
        )
    sentence = locale.ngettext(
        "%(n)s new lead since %(day)s",
        "%(n)s new leads since %(day)s",
        new,
        day=locale.day(since),
    )
    if not bridge.corrections:
        return sentence
    return locale.gettext(
        "%(sentence)s, corrections %(leads)s", sentence=sentence, leads=locale.signed(corrected)
    )


# ------------------------------------------------------------------------------ value, month close


def _value(locale: Locale, card: Scorecard) -> ValueLine | None:
    value = card.value
    if value is None:
        return None
    amount = locale.money(value.actual, value.currency)
    if value.attainment is None:
        return ValueLine(locale.gettext("The leads are worth %(amount)s.", amount=amount), None)
    sentence = locale.gettext(
        "The leads are worth %(amount)s of the %(goal)s planned: %(share)s of the value goal, "
        "%(count)s of the lead goal.",
        amount=amount,
        goal=locale.money(value.goal, value.currency),
        share=locale.percent(value.attainment),
        count=NONE if card.total.attainment is None else locale.percent(card.total.attainment),
    )
    return ValueLine(sentence, words.mix_warning(locale, card))


def _best_worst(locale: Locale, edition: Edition, card: Scorecard) -> tuple[str, ...]:
    if edition.closed is None:
        return ()
    lines = []
    best, worst = words.best_row(card), words.worst_row(card)
    if best and best.attainment is not None and len(card.segments) > 1:
        lines.append(
            locale.gettext(
                "Best: %(segment)s at %(share)s of its goal.",
                segment=words.segment_name(locale, best.segment),
                share=locale.percent(best.attainment),
            )
        )
    if worst and worst is not best and worst.gap is not None and worst.gap < 0:
        lines.append(
            locale.gettext(
                "Largest gap: %(segment)s, %(gap)s.",
                segment=words.segment_name(locale, worst.segment),
                gap=words.goal_gap(locale, worst.gap),
            )
        )
    held = edition.closed.forecast_held
    if held is not None:
        lines.append(
            locale.gettext("The forecast held: the result is within the range given mid-month.")
            if held
            else locale.gettext(
                "The forecast did not hold: the result is outside the range given mid-month."
            )
        )
    return tuple(lines)


def _new_month(locale: Locale, card: Scorecard) -> NewMonth:
    total = card.total
    facts = [
        (locale.gettext("Goal"), _count(locale, total.goal)),
        (locale.gettext("Workdays"), words.tenths(locale, card.workdays)),
        (
            locale.gettext("Needed per workday"),
            _required(locale, total),
        ),
        (locale.gettext("Already in"), _count(locale, total.actual)),
    ]
    return NewMonth(
        locale.gettext("%(month)s begins", month=locale.month_year(card.period.start)), tuple(facts)
    )


# ----------------------------------------------------------------------- follow-up and assumptions


def _follow_up(locale: Locale, facts: FollowUp | None) -> FollowUpBlock | None:
    if facts is None:
        return None
    sentence = locale.ngettext(
        "Sales responded in time to %(in_time)s of %(n)s lead due.",
        "Sales responded in time to %(in_time)s of %(n)s leads due.",
        facts.due,
        in_time=locale.number(facts.in_time),
    )
    pill = _pill_for_follow_up(locale, facts)
    kept = pill.look == "good"
    return FollowUpBlock(
        pill,
        sentence if facts.due else locale.gettext("No response from sales is due yet."),
        () if kept else tuple(_follow_up_facts(locale, facts)),
        "" if kept else _promise(locale, facts),
        () if kept else _behind(locale, facts),
    )


def _pill_for_follow_up(locale: Locale, facts: FollowUp) -> Pill:
    """Judge what was kept: too many late answers are worse than a lead to call or to call again."""
    late = facts.in_time < facts.promised_share * facts.due
    if late or facts.overdue:
        look = "bad" if late else "warning"
        word = locale.gettext("Overdue") if facts.overdue else locale.gettext("Too late")
    elif facts.attempts_kept < facts.promised_share * facts.attempts_due:
        look, word = "warning", locale.gettext("Too few attempts")
    else:
        look, word = "good", locale.gettext("In time")
    return Pill(word, words.SIGNS[look], look)


def _follow_up_facts(locale: Locale, facts: FollowUp) -> Iterable[tuple[str, str]]:
    if facts.due:
        yield (
            locale.gettext("Responded in time"),
            locale.percent(
                locale.traced(Fraction(facts.in_time, facts.due), facts.in_time, "share")
            ),
        )
    yield locale.gettext("Overdue now"), locale.number(facts.overdue)
    if facts.median_minutes is not None:
        yield (
            locale.gettext("Median response"),
            _at_least(locale, facts.median_minutes, censored=facts.median_censored),
        )
    if facts.p90_minutes is not None:
        yield (
            locale.gettext("Nine in ten within"),
            _at_least(locale, facts.p90_minutes, censored=facts.p90_censored),
        )
    if facts.attempts_due:
        yield (
            locale.gettext("Leads with enough attempts"),
            _some_of(locale, facts.attempts_kept, facts.attempts_due),
        )
    yield locale.gettext("Accepted"), locale.number(facts.accepted)
    yield locale.gettext("Rejected, still counted"), _rejected(locale, facts)


def _rejected(locale: Locale, facts: FollowUp) -> str:
    count = locale.number(facts.rejected)
    if not facts.leads:
        return count
    share = locale.percent(
        locale.traced(Fraction(facts.rejected, facts.leads), facts.rejected, "rejected_share")
    )
    return locale.gettext("%(n)s (%(share)s)", n=count, share=share)


def _some_of(locale: Locale, kept: int, due: int) -> str:
    return locale.gettext("%(kept)s of %(due)s", kept=locale.number(kept), due=locale.number(due))


def _promise(locale: Locale, facts: FollowUp) -> str:
    """Say what sales promised: "first contact within 24 h of business time; 5 attempts ..."."""
    within = _duration(locale, facts.respond_within)
    if facts.clock == "elapsed":
        terms = [locale.gettext("first contact within %(time)s, day or night", time=within)]
    else:
        terms = [locale.gettext("first contact within %(time)s of business time", time=within)]
    if facts.website_within is not None:
        sooner = _duration(locale, facts.website_within)
        terms.append(locale.gettext("website leads within %(time)s", time=sooner))
    terms.append(
        locale.ngettext(
            "%(n)s attempt within %(days)s workdays",
            "%(n)s attempts within %(days)s workdays",
            facts.attempts,
            days=locale.number(facts.within_workdays),
        )
    )
    return locale.gettext("Promised: %(terms)s.", terms=locale.gettext("; ").join(terms))


_MOST_BEHIND = 8


def _behind(locale: Locale, facts: FollowUp) -> tuple[FollowUpLine, ...]:
    late = [part for part in facts.segments if part.overdue or part.in_time < part.due]
    late.sort(key=lambda part: (-part.overdue, part.in_time - part.due))
    return tuple(
        FollowUpLine(
            words.segment_name(locale, part.segment),
            _some_of(locale, part.in_time, part.due) if part.due else NONE,
            locale.number(part.overdue),
            NONE
            if part.median_minutes is None
            else _at_least(locale, part.median_minutes, censored=part.median_censored),
        )
        for part in late[:_MOST_BEHIND]
    )


def _at_least(locale: Locale, minutes: Fraction, *, censored: bool) -> str:
    return ("≥" + NO_BREAK if censored else "") + _duration(locale, minutes)


def _duration(locale: Locale, duration: Fraction | int) -> str:
    hours, rest = divmod(int(half_up(duration)), 60)
    minutes = locale.number(locale.traced(rest, duration))
    if not hours:
        return locale.gettext("%(minutes)s min", minutes=minutes)
    whole = locale.number(locale.traced(hours, duration))
    if not rest:
        return locale.gettext("%(hours)s h", hours=whole)
    return locale.gettext("%(hours)s h %(minutes)s min", hours=whole, minutes=minutes)


def _drift(locale: Locale, drift: Drift, card: Scorecard) -> str:
    """Say what the goal would be, and which of the two assumptions makes the difference."""
    terms = [
        locale.gettext(
            "at a close rate of %(measured)s instead of %(agreed)s",
            measured=locale.exact_percent(drift.measured_close_rate),
            agreed=locale.exact_percent(drift.agreed_close_rate),
        )
    ]
    size = drift.measured_deal_size
    currency = next((row.currency for row in card.segments if row.segment == drift.segment), None)
    if size is not None and size != drift.agreed_deal_size and currency is not None:
        terms.append(
            locale.gettext(
                "deals of %(measured)s instead of %(agreed)s",
                measured=locale.money(size, currency),
                agreed=locale.money(drift.agreed_deal_size, currency),
            )
        )
    sentence = locale.gettext(
        "%(segment)s: %(terms)s, the goal would be %(new)s leads, not %(old)s",
        segment=words.segment_name(locale, drift.segment),
        terms=locale.join(terms),
        new=locale.number(drift.goal_at_measured),
        old=locale.number(drift.goal),
    )
    if drift.small_sample:
        return locale.gettext("%(sentence)s (small sample).", sentence=sentence)
    return f"{sentence}."


# ------------------------------------------------------------------------------------------ footer


def _footer(locale: Locale, edition: Edition, card: Scorecard) -> Iterable[tuple[str, str]]:
    zone = card.period.timezone
    yield locale.gettext("Lead"), shown(edition.lead_definition, 300)
    yield (
        locale.gettext("Counted up to"),
        locale.gettext(
            "%(day)s, end of day in %(zone)s", day=locale.full_day(card.cut_off), zone=zone
        ),
    )
    yield (
        locale.gettext("Source"),
        locale.gettext(
            "%(source)s, read %(time)s",
            source=shown(edition.origin.source, 120),
            time=locale.instant(edition.as_of, zone),
        ),
    )
    if edition.origin.quota is not None:
        used, allowed = edition.origin.quota
        yield (
            locale.gettext("Calls to the CRM"),
            locale.gettext(
                "%(used)s of %(allowed)s in 24 hours used; beyond that no edition can be made",
                used=locale.number(used),
                allowed=locale.number(allowed),
            ),
        )
    if edition.excluded:
        yield locale.gettext("Not counted"), _excluded(locale, edition.excluded)
    yield (
        locale.gettext("Calendar"),
        locale.gettext(
            "%(calendar)s, %(elapsed)s of %(days)s workdays elapsed",
            calendar=shown(edition.calendar),
            elapsed=words.tenths(locale, card.elapsed),
            days=words.tenths(locale, card.workdays),
        ),
    )
    yield from _agreement(locale, edition)
    if card.total.forecast is not None or edition.history_hits is not None:
        yield locale.gettext("Forecast"), _method(locale, edition)


def _excluded(locale: Locale, rules: tuple[tuple[str, int], ...]) -> str:
    return locale.join(
        [f"{locale.quote(shown(rule))} ({locale.number(count)})" for rule, count in rules]
    )


def _agreement(locale: Locale, edition: Edition) -> Iterable[tuple[str, str]]:
    for rate in edition.plan_rates:
        yield (
            locale.gettext("Plan rate"),
            locale.gettext(
                "1 %(currency)s = %(rate)s, fixed on %(day)s",
                currency=rate.currency,
                rate=_rate(locale, edition, rate.rate),
                day=locale.medium_day(rate.as_of),
            ),
        )
    if edition.lag_months:
        yield (
            locale.gettext("Lag"),
            locale.ngettext(
                "this month’s leads feed revenue %(n)s month later",
                "this month’s leads feed revenue %(n)s months later",
                edition.lag_months,
            ),
        )
    yield locale.gettext("SLA version"), shown(edition.sla_version, 40)
    changes = [
        words.note(locale, fact)
        for row in (*edition.scorecard.segments, edition.scorecard.total)
        for fact in row.notes
        if fact.code in words.ABOUT_THE_AGREEMENT and fact not in edition.warnings
    ]
    if changes:
        yield locale.gettext("Goals"), locale.gettext("; ").join(dict.fromkeys(changes))


def _rate(locale: Locale, edition: Edition, rate: Decimal) -> str:
    digits = max(2, -int(rate.as_tuple().exponent))
    return " ".join(filter(None, (locale.number(rate, digits), edition.scorecard.total.currency)))


def _method(locale: Locale, edition: Edition) -> str:
    method = locale.gettext(
        "Gamma-Poisson with six months of history; %(share)s range",
        share=locale.percent(locale.named(Fraction(8, 10), "forecast.range")),
    )
    record = words.forecast_record(locale, edition.history_hits)
    return method if record is None else locale.gettext("; ").join((method, record))


def period_days(edition: Edition, period: Period) -> tuple[tuple[date, Fraction], ...]:
    """Return the weight of each day of a period, empty when the edition does not hold its calendar."""
    weights = tuple((day.day, day.weight) for day in edition.days if day.day in period)
    return weights if len(weights) == (period.end - period.start).days else ()

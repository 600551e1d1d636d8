"""What a figure's record says, in words: its name, its formula with names and with numbers, its origin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from zoneinfo import ZoneInfo

from digest.figures import (
    Asked,
    Figure,
    Figures,
    Input,
    Label,
    Number,
    Origin,
    Place,
    Rounding,
    Unit,
)
from digest.figures.expression import (
    Call,
    Literal,
    Name,
    Node,
    Operation,
    parse,
    value_of,
)
from digest.render.locales import Locale, half_up, locale_for, shown
from digest.render.words import segment_name

DECIMALS = 3
MOST_TERMS = 12
LONGEST_QUERY = 4_000
_SIGNS = {"+": " + ", "-": " \u2212 ", "*": " × ", "/": " ÷ "}


@dataclass(frozen=True, slots=True)
class Part:
    """One input of a figure: what it is, its value, and the id of its own record; None for a leaf."""

    name: str
    value: str
    figure: str | None
    place: str


@dataclass(frozen=True, slots=True)
class Card:
    """A figure's record as people read it; every number written, every sentence in one language.

    Attributes:
        shown: as it is printed where it is rounded, else as `value`.
        formula: with names. numbers: the same with numbers. rounding: a sentence or "".
        facts: (label, text) of what was asked, and of the settings and cells.
        before: the same number in the previous edition, "" when there is none.
        otherwise: what today's settings give for an edition that was frozen with other ones, or "".
    """

    id: str
    label: str
    value: str
    shown: str
    formula: str
    numbers: str
    rounding: str
    parts: tuple[Part, ...]
    facts: tuple[tuple[str, str], ...]
    before: str
    otherwise: str


def card(figure: Figure, figures: Figures, locale: Locale) -> Card:
    """Return the record of a figure in a language."""
    plain = locale_for(locale.tag)
    value = written(plain, figure.value, figure)
    said = rounded(plain, figure)
    tree = parse(figure.formula)
    leaf = figure.formula in ("read", "recorded")
    result = "" if leaf else f"{_numbers(plain, tree, figure, figures)} = {_result(plain, figure)}"
    return Card(
        id=figure.id,
        label=label(plain, figure.label),
        value=value,
        shown=said,
        formula="" if leaf else _capital(_words(plain, _inner(tree), figure)),
        numbers=result,
        rounding=_rounding(plain, figure),
        parts=tuple(_parts(plain, figure, figures)),
        facts=tuple(_facts(plain, figure)),
        before=""
        if figure.before is None
        else plain.gettext(
            "%(value)s in the edition of %(day)s",
            value=written(plain, figure.before.value, figure),
            day=plain.full_day(figure.before.business_date),
        ),
        otherwise=""
        if figure.otherwise is None
        else plain.gettext(
            "today’s settings would give %(value)s",
            value=written(plain, figure.otherwise, figure),
        ),
    )


# ---------------------------------------------------------------------------------------------- names


def label(locale: Locale, about: Label) -> str:
    """Return what a figure is called: "DACH: expected by the cut-off"."""
    words = name(locale, about.code)
    if about.day is not None:
        words = f"{words} ({locale.day(about.day)})"
    if about.month is not None:
        words = f"{words} ({locale.month_year(about.month)})"
    if about.segment is None:
        return _capital(words)
    segment = segment_name(locale, about.segment)
    return locale.gettext("%(segment)s: %(sentence)s", segment=segment, sentence=words)


def name(locale: Locale, code: str) -> str:
    """Return the words for a code of a label or a name of a formula."""
    base, _, number = code.rpartition("_")
    if base == "stage_rate":
        return f"{_names(locale.tag)['stage_rate']} {number}"
    return _names(locale.tag)[code]


@cache
def _names(tag: str) -> Mapping[str, str]:
    _ = locale_for(tag).gettext
    names = {
        "actual": _("leads up to the cut-off"),
        "goal": _("goal"),
        "expected": _("expected by the cut-off"),
        "gap": _("gap to plan"),
        "attainment": _("share of the goal"),
        "pace": _("pace"),
        "required_per_workday": _("needed per workday"),
        "rate_per_workday": _("leads per workday so far"),
        "workdays": _("workdays of the month"),
        "elapsed": _("workdays elapsed"),
        "remaining": _("workdays left"),
        "lead_value": _("value of a lead"),
        "to_go": _("leads to go"),
        "against_goal": _("leads against the goal"),
        "reached": _("goal reached, 1 for yes"),
        "needed_per_workday": _("goal per workday"),
        "segments_reached": _("segments that reached their goal"),
        "segments_with_goal": _("segments with a goal"),
        "forecast_mean": _("forecast of the month’s end"),
        "forecast_low": _("lower end of the forecast"),
        "forecast_high": _("upper end of the forecast"),
        "chance": _("chance to reach the goal"),
        "chance_open": _("chance to reach the goal while the month is open"),
        "to_come": _("leads still to come"),
        "to_come_low": _("leads still to come, lower end"),
        "to_come_high": _("leads still to come, upper end"),
        "usual_rate": _("leads per workday in the months before"),
        "rate_variance": _("variance of that rate from month to month"),
        "dispersion": _("dispersion of daily leads"),
        "counted": _("leads that tell the pace"),
        "early": _("leads before the segment began"),
        "shape": _("shape of the rate’s distribution"),
        "exposure": _("exposure of the rate’s distribution"),
        "spread": _("variance of the leads still to come"),
        "revenue_goal": _("revenue goal"),
        "marketing_share": _("marketing’s share"),
        "marketing_revenue": _("marketing’s part of the revenue"),
        "deal_size": _("deal size"),
        "close_rate": _("close rate"),
        "stage_rate": _("rate of stage"),
        "goal_by_hand": _("goal set by hand"),
        "plan_rate": _("plan rate"),
        "value_goal": _("value of the goal"),
        "value_actual": _("value of the leads"),
        "value_attainment": _("share of the value goal"),
        "new": _("new leads"),
        "new_leads": _("new leads since the last edition"),
        "previous": _("count of the last edition"),
        "correction": _("correction"),
        "corrections": _("corrections of earlier days"),
        "earlier_days": _("new leads of earlier days"),
        "usual": _("usual leads of such a weekday"),
        "now": _("count now"),
        "then": _("count in the last edition"),
        "due": _("leads whose answer is due"),
        "in_time": _("answered in time"),
        "in_time_share": _("share answered in time"),
        "overdue": _("overdue now"),
        "accepted": _("accepted by sales"),
        "rejected": _("rejected by sales"),
        "rejected_share": _("share rejected"),
        "qualified": _("leads of the month"),
        "median": _("median response time"),
        "p90": _("time within which nine in ten were answered"),
        "attempts_due": _("leads that are due for all attempts"),
        "attempts_kept": _("leads with enough attempts"),
        "attempts_missing": _("leads with too few attempts"),
        "respond_within": _("promised time to answer"),
        "website_within": _("promised time for website leads"),
        "attempts": _("promised attempts"),
        "within_workdays": _("workdays for the attempts"),
        "measured_close_rate": _("measured close rate"),
        "measured_deal_size": _("measured deal size"),
        "goal_at_measured": _("goal at measured rates"),
        "quota_used": _("calls used"),
        "quota_allowed": _("calls allowed"),
        "excluded": _("records not counted"),
        "lag_months": _("months between lead and revenue"),
        "hits_held": _("forecasts that held"),
        "hits_judged": _("forecasts judged"),
        "forecast_range": _("share of outcomes within the range"),
        "segments_silent": _("segments without numbers"),
        "leads_without_goal": _("leads without a goal"),
        "segments_without_goal": _("segments without a goal"),
        "unassigned": _("leads without a segment"),
        "unassigned_share": _("share of leads without a segment"),
        "implied_revenue": _("revenue that the goal implies"),
        "goal_before": _("goal before the change"),
        "actual_before": _("leads as sent before"),
        "gap_before": _("gap as sent before"),
        "weight_before": _("weight of the day before"),
        "weight_now": _("weight of the day now"),
        "late_entries": _("leads entered late"),
        "more_names": _("names that are not shown"),
        "more_entries": _("entries that are not shown"),
        "more_figures": _("figures that are not shown"),
        "more_segments": _("segments without a row of their own"),
        "more_behind": _("of these behind"),
        "all": _("all"),
        "named": _("shown by name"),
        "rest_actual": _("leads of the segments that are summed up"),
        "rest_goal": _("goal of the segments that are summed up"),
        "rest_expected": _("expected of the segments that are summed up"),
        "rest_gap": _("gap of the segments that are summed up"),
        "rest_attainment": _("share of the goal of the segments that are summed up"),
        "segments": _("segments"),
        "days": _("days"),
        "counts": _("segments"),
        "earlier": _("days of earlier months"),
        "this_month": _("days of this month"),
        "read": _("as read"),
        "recorded": _("as frozen with the edition"),
    }
    aliases = {
        "without_goal_number": "actual",
        "set_by_hand_number": "goal_by_hand",
        "set_by_hand_other": "implied_revenue",
        "goal_changed_number": "goal_before",
        "goal_changed_other": "goal",
        "unassigned_number": "unassigned",
        "implausible_zero_number": "usual",
        "implausible_zero_share": "chance",
        "calendar_changed_number": "weight_before",
        "calendar_changed_other": "weight_now",
        "late_entries_number": "late_entries",
    }
    return {**names, **{code: names[other] for code, other in aliases.items()}}


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


# --------------------------------------------------------------------------------------------- values


def written(locale: Locale, value: Number, figure: Figure) -> str:
    """Write an unrounded value in its unit, with at most three decimals."""
    if figure.unit is Unit.SHARE:
        return locale.exact_percent(value, 2)
    if figure.unit is Unit.MONEY and figure.currency is not None:
        whole = Fraction(value).denominator == 1
        return locale.money(value, figure.currency, 0 if whole else 2)
    if figure.unit is Unit.MINUTES:
        return locale.gettext("%(minutes)s min", minutes=exact(locale, value))
    return exact(locale, value)


def exact(locale: Locale, value: Number) -> str:
    """Write a number with as many decimals as it has, three at most."""
    for decimals in range(DECIMALS):
        if half_up(value, decimals) == half_up(value, DECIMALS):
            return locale.number(value, decimals)
    return locale.number(value, DECIMALS)


def rounded(locale: Locale, figure: Figure) -> str:
    """Write a value as it is printed, where its rounding is only for the page."""
    if figure.rounding is Rounding.HALF_UP and figure.unit is not Unit.MONEY:
        return locale.number(figure.value)
    if figure.rounding is Rounding.HALF_UP and figure.currency is not None:
        return locale.money(figure.value, figure.currency)
    if figure.rounding is Rounding.FLOOR:
        return locale.percent(figure.value)
    return written(locale, figure.value, figure)


def _rounding(locale: Locale, figure: Figure) -> str:
    return {
        Rounding.NONE: "",
        Rounding.UP: locale.gettext("Rounded up to a whole lead, once, at the end."),
        Rounding.TENTH_UP: locale.gettext("Rounded up to one decimal."),
        Rounding.HALF_UP: locale.gettext("Shown rounded to a whole number, halves upwards."),
        Rounding.FLOOR: locale.gettext("Shown rounded down to a whole per cent."),
    }[figure.rounding]


# ------------------------------------------------------------------------------------------- formulas


def _inner(tree: Node) -> Node:
    """Leave off the outermost rounding, which the card says in a sentence of its own."""
    if isinstance(tree, Call) and tree.function in ("ceil", "tenth_up", "half_up"):
        return tree.arguments[0]
    return tree


def _words(locale: Locale, node: Node, figure: Figure) -> str:
    """The formula with names."""
    match node:
        case Literal():
            return exact(locale, node.value)
        case Name():
            return name(locale, node.name)
        case Operation():
            left, right = (_words(locale, part, figure) for part in (node.left, node.right))
            return f"{_bracketed(node, node.left, left)}{_SIGNS[node.sign]}" + _bracketed(
                node, node.right, right
            )
        case Call(("sum" | "count") as function, (Name(several),)):
            return _several(locale, function, several)
        case Call():
            arguments = [_words(locale, part, figure) for part in node.arguments]
            return _call(locale, node.function, arguments)


def _several(locale: Locale, function: str, several: str) -> str:
    if function == "count":
        return locale.gettext("number of: %(what)s", what=name(locale, several))
    return locale.gettext("sum of: %(what)s", what=name(locale, several))


def _call(locale: Locale, function: str, arguments: Sequence[str]) -> str:
    first, *others = arguments
    rest = others[0] if others else ""
    last = others[-1] if others else ""
    sentences = {
        "ceil": locale.gettext("(%(value)s, rounded up)", value=first),
        "tenth_up": locale.gettext("(%(value)s, rounded up)", value=first),
        "half_up": locale.gettext("(%(value)s, rounded)", value=first),
        "max": locale.gettext("(%(value)s, at least %(least)s)", value=first, least=rest),
        "min": locale.gettext("(%(value)s, at most %(most)s)", value=first, most=rest),
        "at_least": locale.gettext("is %(value)s at least %(least)s?", value=first, least=rest),
        "low": locale.gettext(
            "tenth percentile of %(mean)s (negative binomial, %(variance)s)",
            mean=first,
            variance=last,
        ),
        "high": locale.gettext(
            "ninetieth percentile of %(mean)s (negative binomial, %(variance)s)",
            mean=first,
            variance=last,
        ),
        "reach": locale.gettext(
            "chance that %(mean)s reach %(value)s (negative binomial, %(variance)s)",
            value=first,
            mean=rest,
            variance=last,
        ),
    }
    return sentences[function]


def _bracketed(parent: Operation, part: Node, text: str) -> str:
    """Set a sum in brackets inside of a product, and whatever follows a minus or a division."""
    if not isinstance(part, Operation):
        return text
    weaker = parent.sign in "*/" and part.sign in "+-"
    behind = part is parent.right and parent.sign in "-/"
    return f"({text})" if weaker or behind else text


def _numbers(locale: Locale, tree: Node, figure: Figure, figures: Figures) -> str:
    """The formula with numbers."""
    values = {one.name: _values(locale, one, figure, figures) for one in figure.inputs}
    raw = {
        one.name: one.values or tuple(figures[other].value for other in one.figures)
        for one in figure.inputs
    }

    def text(node: Node) -> str:
        match node:
            case Literal():
                return exact(locale, node.value)
            case Name():
                return values[node.name][0]
            case Operation():
                left, right = text(node.left), text(node.right)
                return f"{_bracketed(node, node.left, left)}{_SIGNS[node.sign]}" + _bracketed(
                    node, node.right, right
                )
            case Call("count", (Name(several),)):
                return locale.number(len(values[several]))
            case Call("sum", (Name(several),)):
                return _added(locale, values[several])
            case Call(("half_up" | "ceil"), (inner,)):
                whole = locale.number(value_of(node, raw))
                before = text(inner)
                return whole if whole == before else f"({before} → {whole})"
            case Call():
                return _call(locale, node.function, [text(part) for part in node.arguments])

    return text(_inner(tree))


def _added(locale: Locale, terms: Sequence[str]) -> str:
    if len(terms) <= MOST_TERMS:
        return " + ".join(terms) or locale.number(0)
    shown_terms = " + ".join(terms[: MOST_TERMS - 1])
    rest = locale.ngettext("%(n)s more", "%(n)s more", len(terms) - MOST_TERMS + 1)
    return f"{shown_terms} + … ({rest})"


def _values(locale: Locale, one: Input, figure: Figure, figures: Figures) -> tuple[str, ...]:
    if one.figures:
        known = [figures[name] for name in one.figures]
        return tuple(_bare(locale, other.value, other) for other in known)
    return tuple(exact(locale, value) for value in one.values)


def _bare(locale: Locale, value: Number, figure: Figure) -> str:
    """A value within a formula: money without its code, which would hide the numbers."""
    return exact(locale, value) if figure.unit is Unit.MONEY else written(locale, value, figure)


def _result(locale: Locale, figure: Figure) -> str:
    unrounded, printed = written(locale, figure.value, figure), rounded(locale, figure)
    return unrounded if unrounded == printed else f"{unrounded} → {printed}"


# ------------------------------------------------------------------------------------------- origins


def _parts(locale: Locale, figure: Figure, figures: Figures) -> Iterator[Part]:
    for one in figure.inputs:
        if not one.figures:
            yield Part(
                _capital(name(locale, one.name)),
                _leaf_value(locale, one, figure),
                None,
                place(locale, one.origin),
            )
        for other in one.figures:
            known = figures[other]
            yield Part(label(locale, known.label), written(locale, known.value, known), other, "")


def _leaf_value(locale: Locale, one: Input, figure: Figure) -> str:
    if len(one.values) == 1 and figure.formula in ("read", "recorded"):
        return written(locale, one.values[0], figure)
    if len(one.values) == 1:
        return exact(locale, one.values[0])
    total = sum((Fraction(value) for value in one.values), Fraction(0))
    span = f", {locale.day(one.days[0])}\u2013{locale.day(one.days[-1])}" if one.days else ""
    numbers = locale.ngettext("%(n)s number", "%(n)s numbers", len(one.values))
    return f"{exact(locale, total)} ({numbers}{span})"


def place(locale: Locale, origin: Origin | None) -> str:
    """Return where an input stands: file and line, sheet and cell, or the question to a source."""
    if isinstance(origin, Asked):
        return f"{_asked(locale, origin)} ({origin.connector}, {shown(origin.source, 120)})"
    if origin is None:
        return ""
    at = _position(locale, origin)
    kinds = {
        "setting": at,
        "cell": at,
        "default": locale.gettext("default of the program: %(key)s", key=origin.key),
        "scenario": locale.gettext("fixed data of the scenario: %(key)s", key=origin.key),
        "edition": locale.gettext(
            "frozen with the edition of %(day)s",
            day=locale.full_day(origin.day) if origin.day else "",
        ),
        "layout": locale.gettext("counted for this page"),
    }
    return kinds[origin.kind]


def _position(locale: Locale, origin: Place) -> str:
    if origin.kind == "cell":
        at = f"{origin.sheet}!{origin.cell}" if origin.cell else origin.sheet
        return ", ".join(filter(None, (origin.file, at)))
    line = locale.gettext("line %(n)s", n=origin.line) if origin.line is not None else ""
    return ", ".join(filter(None, (origin.file, line, origin.key)))


def _asked(locale: Locale, asked: Asked) -> str:
    return {
        "leads": locale.gettext("count of the leads"),
        "history": locale.gettext("count of the months before"),
        "deals": locale.gettext("measured deals"),
        "follow_up": locale.gettext("measured follow-up"),
    }[asked.what]


def _facts(locale: Locale, figure: Figure) -> Iterator[tuple[str, str]]:
    told: list[Asked] = []
    for one in figure.inputs:
        if isinstance(one.origin, Asked) and one.origin not in told:
            told.append(one.origin)
            yield from asked_facts(locale, one.origin)


def asked_facts(locale: Locale, asked: Asked) -> Iterator[tuple[str, str]]:
    """Return what is known of a question to a source, as (label, text)."""
    zone, window = ZoneInfo(asked.window.timezone), asked.window
    first, end = (f"{instant:%Y-%m-%d %H:%M}" for instant in asked.utc)
    yield locale.gettext("Source"), f"{asked.connector}, {shown(asked.source, 200)}"
    yield (
        locale.gettext("Asked"),
        shown(asked.query, LONGEST_QUERY)
        if asked.query
        else locale.gettext("not kept with the edition"),
    )
    yield (
        locale.gettext("Window"),
        locale.gettext(
            "from %(first)s until before %(end)s (%(zone)s), in UTC from %(since)s until before %(until)s",
            first=locale.medium_day(window.start),
            end=locale.medium_day(window.end),
            zone=window.timezone,
            since=first,
            until=end,
        ),
    )
    counted = [
        (locale.gettext("Rows"), asked.rows),
        (locale.gettext("Total by a second question"), asked.total),
        (locale.gettext("Calls"), asked.calls),
    ]
    yield from ((what, locale.number(n)) for what, n in counted if n is not None)
    if asked.reconciled is not None:
        yield (
            locale.gettext("Reconciled"),
            locale.gettext("yes") if asked.reconciled else locale.gettext("no"),
        )
    yield (
        locale.gettext("As of"),
        f"{locale.full_day(asked.as_of.astimezone(zone).date())}, {asked.as_of.astimezone(zone):%H:%M}",
    )

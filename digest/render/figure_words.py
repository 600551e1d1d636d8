"""Figures in words: what they are called, how their values are written, and how a formula reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cache
from typing import Protocol

from digest.figures import Figure, Figures, Input, Label, Number, Rounding, Unit
from digest.figures.expression import Call, Literal, Name, Node, Operation, parse, value_of
from digest.render.locales import Locale, half_up, locale_for
from digest.render.words import segment_name

DECIMALS = 3
MOST_TERMS = 12
_SIGNS = {"+": " + ", "-": " \u2212 ", "*": " \u00d7 ", "/": " ÷ "}
_ROUNDINGS = ("ceil", "tenth_up", "half_up")

# ---------------------------------------------------------------------------------------------- names


def label(locale: Locale, about: Label) -> str:
    """Return what a figure is called: "DACH: expected by the cut-off"."""
    words = name(locale, about.code)
    if about.day is not None:
        words = f"{words} ({locale.day(about.day)})"
    if about.month is not None:
        words = f"{words} ({locale.month_year(about.month)})"
    if about.segment is None:
        return capital(words)
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


def capital(text: str) -> str:
    """Return a text with a capital letter in front."""
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


def rounding(locale: Locale, figure: Figure) -> str:
    """Return a sentence about how a value is rounded, "" when it is not."""
    return {
        Rounding.NONE: "",
        Rounding.UP: locale.gettext("Rounded up to a whole lead, once, at the end."),
        Rounding.TENTH_UP: locale.gettext("Rounded up to one decimal."),
        Rounding.HALF_UP: locale.gettext("Shown rounded to a whole number, halves upwards."),
        Rounding.FLOOR: locale.gettext("Shown rounded down to a whole per cent."),
    }[figure.rounding]


# ------------------------------------------------------------------------------------------- formulas


def in_words(locale: Locale, figure: Figure) -> str:
    """Return a formula with names; what it rounds at its end is said apart (`rounding`)."""
    return capital(_told(locale, _without_rounding(figure), _Names(locale)))


def in_numbers(locale: Locale, figure: Figure, figures: Figures) -> str:
    """Return the same with numbers and its result: "140 ÷ 22 = 6.364 → 6"."""
    unrounded, printed = written(locale, figure.value, figure), rounded(locale, figure)
    result = unrounded if unrounded == printed else f"{unrounded} → {printed}"
    terms = _told(locale, _without_rounding(figure), _Numbers(locale, figure, figures))
    return f"{terms} = {result}"


def _without_rounding(figure: Figure) -> Node:
    tree = parse(figure.formula)
    if isinstance(tree, Call) and tree.function in _ROUNDINGS:
        return tree.arguments[0]
    return tree


class _Teller(Protocol):
    """Says what stands for a name, for a list of them, and for a rounded part."""

    def one(self, name: str) -> str: ...
    def several(self, function: str, name: str) -> str: ...
    def rounded(self, part: Call, text: str) -> str: ...


def _told(locale: Locale, node: Node, teller: _Teller) -> str:
    match node:
        case Literal():
            return exact(locale, node.value)
        case Name():
            return teller.one(node.name)
        case Operation():
            left, right = (_told(locale, part, teller) for part in (node.left, node.right))
            ends = _bracketed(node, node.left, left), _bracketed(node, node.right, right)
            return _SIGNS[node.sign].join(ends)
        case Call(("sum" | "count") as function, (Name(several),)):
            return teller.several(function, several)
    arguments = [_told(locale, part, teller) for part in node.arguments]
    if node.function in _ROUNDINGS:
        return teller.rounded(node, arguments[0])
    return _call(locale, node.function, arguments)


class _Names:
    """A formula with the names of its inputs."""

    def __init__(self, locale: Locale) -> None:
        self.locale = locale

    def one(self, code: str) -> str:
        return name(self.locale, code)

    def several(self, function: str, code: str) -> str:
        what = name(self.locale, code)
        if function == "count":
            return self.locale.gettext("number of: %(what)s", what=what)
        return self.locale.gettext("sum of: %(what)s", what=what)

    def rounded(self, part: Call, text: str) -> str:
        if part.function == "half_up":
            return self.locale.gettext("(%(value)s, rounded)", value=text)
        return self.locale.gettext("(%(value)s, rounded up)", value=text)


class _Numbers:
    """A formula with its numbers."""

    def __init__(self, locale: Locale, figure: Figure, figures: Figures) -> None:
        self.locale = locale
        self.values = {one.name: _values(one, figures) for one in figure.inputs}
        self.texts = {one.name: _texts(locale, one, figures) for one in figure.inputs}

    def one(self, code: str) -> str:
        return self.texts[code][0]

    def several(self, function: str, code: str) -> str:
        if function == "count":
            return self.locale.number(len(self.values[code]))
        return _added(self.locale, self.texts[code])

    def rounded(self, part: Call, text: str) -> str:
        whole = exact(self.locale, value_of(part, self.values))
        return whole if whole == text else f"({text} → {whole})"


def _values(one: Input, figures: Figures) -> tuple[Number, ...]:
    return one.values or tuple(figures[name].value for name in one.figures)


def _texts(locale: Locale, one: Input, figures: Figures) -> tuple[str, ...]:
    """The values of an input; money without its code, which would hide the numbers."""
    known = [figures[name] for name in one.figures]
    if not known:
        return tuple(exact(locale, value) for value in one.values)
    return tuple(
        exact(locale, other.value)
        if other.unit is Unit.MONEY
        else written(locale, other.value, other)
        for other in known
    )


def _added(locale: Locale, terms: Sequence[str]) -> str:
    if len(terms) > 2 and len(set(terms)) == 1:  # noqa: PLR2004 - "1 + 1" is as short as "2 times 1"
        return _SIGNS["*"].join((locale.number(len(terms)), terms[0]))
    if len(terms) <= MOST_TERMS:
        return _SIGNS["+"].join(terms) or locale.number(0)
    first = _SIGNS["+"].join(terms[: MOST_TERMS - 1])
    rest = locale.ngettext("%(n)s more", "%(n)s more", len(terms) - MOST_TERMS + 1)
    return f"{first} + … ({rest})"


def _bracketed(parent: Operation, part: Node, text: str) -> str:
    """Set a sum in brackets inside of a product, and whatever follows a minus or a division."""
    if not isinstance(part, Operation):
        return text
    weaker = parent.sign in "*/" and part.sign in "+-"
    behind = part is parent.right and parent.sign in "-/"
    return f"({text})" if weaker or behind else text


def _call(locale: Locale, function: str, arguments: Sequence[str]) -> str:
    first, *others = arguments
    rest = others[0] if others else ""
    last = others[-1] if others else ""
    sentences = {
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

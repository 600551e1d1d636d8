"""Writes the worksheet: a workbook that computes by itself and already shows what `sla` computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

from digest.errors import ConfigError, nearest
from digest.model import DayCount, PlanRate, Workday, add_months, month_start
from digest.notation import CURRENCIES
from digest.sla import Plan, RevenueGoal, Terms, goals
from digest.worksheet.files import replace_file
from digest.worksheet.layout import ACTUAL_LAST_ROW, BY_HAND, Inputs, geometry_for, same_segment
from digest.worksheet.pages import Content, workbook_bytes, write_workbook
from digest.worksheet.words import LANGUAGES, WORDS, label_in_any_language, plain

SPARE_SEGMENTS, SPARE_TERMS, EMPTY_SEGMENTS = 2, 6, 8
EXAMPLE_LEADS = {
    "DACH": (291, 306, 288, 312, 295),
    "Benelux": (140, 129, 137, 131, 142),
    "UKI": (158, 171, 149, 163, 170),
    "Nordics": (51, 44, 49, 53, 47),
}


def write_new(
    path: Path,
    *,
    language: str,
    segments: Sequence[str] = (),
    currency: str,
    year: int,
    start_month: int = 1,
    segment_kind: str = "region",
    currencies: Mapping[str, str] | None = None,
    plan: Plan | None = None,
    days: Sequence[Workday] = (),
    actuals: Sequence[DayCount] = (),
    overwrite: bool = False,
) -> None:
    """Write a new workbook: a filled example, then the same sheets for the user's own figures.

    Args:
        path: where to write; the folder exists.
        language: one of words.LANGUAGES.
        segments: names to start with, none for empty rows; ignored when `plan` is given.
        currency: the plan currency.
        year: of the first month.
        start_month: 1 to 12, where the SLA year begins in that year.
        segment_kind: "region", "persona" or "channel"; a word on the sheet.
        currencies: a segment's own currency where it differs.
        plan: inputs to fill in; its revenue goals lie in the twelve months.
        days: weights for the Calendar.
        actuals: leads for the sheet Actual.
        overwrite: replace an existing file and keep it as `name.bak.xlsx`.

    Raises:
        ConfigError: a name, currency or month that the worksheet cannot hold; the file exists or is open.
    """
    if path.suffix.casefold() != ".xlsx":
        raise ConfigError(
            f"{path.name}: a worksheet is an Excel workbook, which Excel knows by its ending; name it "
            f"{path.stem}.xlsx"
        )
    if path.exists() and not overwrite:
        raise ConfigError(
            f"{path.name}: the file exists already; give another name, or move the file away first"
        )
    content = content_for(
        language=language,
        plan=plan or empty_plan(segments, currency, currencies or {}),
        year=year,
        start_month=start_month,
        kind=segment_kind,
        days=days,
        actuals=actuals,
    )
    replace_file(path, lambda target: write_workbook(target, content, example_content(content)))


def as_workbook(
    plan: Plan,
    month: date,
    *,
    language: str,
    segment_kind: str = "region",
    days: Sequence[Workday] = (),
    actuals: Sequence[DayCount] = (),
) -> bytes:
    """Return a workbook with the twelve months of a plan around a month, for who writes no files.

    Args:
        plan: its years begin with the month of its first revenue goal.
        month: the first day of one.
        language: one of words.LANGUAGES.
        segment_kind: "region", "persona" or "channel".
        days: weights for the Calendar; those of the twelve months are taken.
        actuals: leads for the sheet Actual, likewise.

    Raises:
        ConfigError: the plan holds what the worksheet cannot.
    """
    content = _content_of_year(
        plan, month, language=language, kind=segment_kind, days=days, actuals=actuals
    )
    return workbook_bytes(content, example_content(content))


def check_plan(plan: Plan, month: date, *, language: str) -> None:
    """Raise what `as_workbook` would, without making the workbook."""
    _content_of_year(plan, month, language=language, kind="region", days=(), actuals=())


def _content_of_year(
    plan: Plan,
    month: date,
    *,
    language: str,
    kind: str,
    days: Sequence[Workday],
    actuals: Sequence[DayCount],
) -> Content:
    start = plan_year(plan, month)
    end = add_months(start, 12)
    year = replace(
        plan,
        revenue_goals=tuple(goal for goal in plan.revenue_goals if start <= goal.month < end),
        terms=tuple(terms for terms in plan.terms if terms.valid_from < end),
        changes=(),
    )
    return content_for(
        language=language,
        plan=year,
        year=start.year,
        start_month=start.month,
        kind=kind,
        days=[day for day in days if start <= day.day < end],
        actuals=[count for count in actuals if start <= count.day < end],
    )


def plan_year(plan: Plan, month: date) -> date:
    """Return the first month of the plan's year in which a month lies."""
    first = min((goal.month for goal in plan.revenue_goals), default=month.replace(month=1))
    months = (month.year - first.year) * 12 + month.month - first.month
    return add_months(first, months // 12 * 12)


def empty_plan(segments: Sequence[str], currency: str, currencies: Mapping[str, str]) -> Plan:
    """Return a plan that names segments and currencies and agrees on nothing yet."""
    unknown = sorted(set(currencies) - set(segments))
    if unknown:
        raise ConfigError(
            *(f"currencies: no segment {name!r}{nearest(name, list(segments))}" for name in unknown)
        )
    return Plan(
        currency=currency,
        currencies=tuple((name, currencies.get(name, currency)) for name in segments),
        revenue_goals=(),
        terms=(),
    )


def content_for(
    *,
    language: str,
    plan: Plan,
    year: int,
    start_month: int = 1,
    kind: str = "region",
    days: Sequence[Workday] = (),
    actuals: Sequence[DayCount] = (),
) -> Content:
    """Check what was asked for and arrange it.

    Raises:
        ConfigError: see `write_new`; all mistakes at once.
    """
    mistakes = [
        *_mistakes_in_request(language, year, start_month, kind),
        *_mistakes_in_plan(plan),
    ]
    if mistakes:
        raise ConfigError(*mistakes)
    months = tuple(add_months(date(year, start_month, 1), index) for index in range(12))
    outside = sorted({goal.month for goal in plan.revenue_goals} - set(months))
    if outside:
        raise ConfigError(
            f"worksheet: revenue goals of {', '.join(f'{month:%Y-%m}' for month in outside)} lie outside "
            f"{months[0]:%Y-%m} to {months[-1]:%Y-%m}; write one worksheet per SLA year"
        )
    words = WORDS[language]
    terms = sorted(
        plan.terms, key=lambda entry: (plan.segments.index(entry.segment), entry.valid_from)
    )
    place = geometry_for(
        words.sheets,
        months=months,
        rows=len(plan.segments) + SPARE_SEGMENTS if plan.segments else EMPTY_SEGMENTS,
        terms=max(len(terms), len(plan.segments), EMPTY_SEGMENTS - SPARE_TERMS) + SPARE_TERMS,
        example=False,
    )
    counts = tuple(_fitting(actuals))
    by_hand = frozenset(
        (month, goal.segment, key)
        for month in months
        for goal in goals(plan, month)
        for key in _set_by_hand(plan, goal.segment, month)
    )
    inputs = Inputs(
        plan=plan,
        segments=dict(enumerate(plan.segments, start=place.goals.first)),
        terms=dict(enumerate(terms, start=place.terms.first)),
        leads=leads_by_month(counts),
        counted=frozenset(month_start(count.day) for count in counts),
        workdays=workdays_by_month(days),
        by_hand=by_hand,
    )
    return Content(words, words.kinds[kind], place, inputs, months, tuple(days), counts)


def _set_by_hand(plan: Plan, segment: str, month: date) -> tuple[str, ...]:
    known = [t for t in plan.terms if t.segment == segment and t.valid_from <= month]
    terms = max(known, key=lambda entry: entry.valid_from, default=None)
    return tuple(key for key in BY_HAND if terms is not None and getattr(terms, key) is not None)


def leads_by_month(counts: Sequence[DayCount]) -> dict[tuple[date, str], int]:
    """Add up leads by month and segment."""
    found: dict[tuple[date, str], int] = {}
    for count in counts:
        key = (month_start(count.day), count.segment)
        found[key] = found.get(key, 0) + count.leads
    return found


def workdays_by_month(days: Sequence[Workday]) -> dict[date, Fraction]:
    """Add up weights by month."""
    found: dict[date, Fraction] = {}
    for day in days:
        month = month_start(day.day)
        found[month] = found.get(month, Fraction(0)) + day.weight
    return {month: weight for month, weight in found.items() if weight}


def _fitting(counts: Sequence[DayCount]) -> Sequence[DayCount]:
    """Days as they are, or months when the sheet has no room for the days."""
    if len(counts) <= ACTUAL_LAST_ROW - 5:
        return sorted(counts)
    months = leads_by_month(counts)
    return sorted(DayCount(month, segment, leads) for (month, segment), leads in months.items())


def _mistakes_in_request(language: str, year: int, start_month: int, kind: str) -> list[str]:
    kinds = tuple(WORDS["en"].kinds)
    return [
        *(
            [
                (f"worksheet: language {language!r} is not known; allowed are {', '.join(LANGUAGES)}"
                f"{nearest(language, LANGUAGES)}")
            ]
            if language not in LANGUAGES
            else []
        ),
        *([f"worksheet: year {year} must lie from 2000 to 2150"] if not 2000 <= year <= 2150 else []),  # noqa: PLR2004 - Excel and the parser both read these
        *([f"worksheet: month {start_month} must lie from 1 to 12"] if not 1 <= start_month <= 12 else []),  # noqa: PLR2004 - months
        *(
            [f"worksheet: kind {kind!r} is not known; allowed are {', '.join(kinds)}{nearest(kind, kinds)}"]
            if kind not in kinds
            else []
        ),
    ]  # fmt: skip


def _mistakes_in_plan(plan: Plan) -> list[str]:
    totals = label_in_any_language("total")
    codes = {plan.currency, *(code for _, code in plan.currencies)}
    return [
        *(
            f"worksheet: currency {code!r} is not known{nearest(code, sorted(CURRENCIES))}; "
            "use a code of three letters, such as CHF"
            for code in sorted(codes - CURRENCIES)
        ),
        *(
            f"worksheet: the segments {first!r} and {name!r} are the same word to the digest and to Excel; "
            "give each its own name"
            for index, name in enumerate(plan.segments)
            for first in plan.segments[:index]
            if same_segment(first, name)
        ),
        *(
            f"worksheet: a segment cannot be called {name!r}; the sheets use that word for the totals"
            for name in plan.segments
            if plain(name) in totals
        ),
        *(f"worksheet: segment {name!r} is empty or has "
            "line breaks" for name in plan.segments if name.split() == [] or len(name.splitlines()) > 1),
        *(
            f"worksheet: terms of {terms.segment!r} begin on {terms.valid_from}; the worksheet dates them "
            "by month, so use the first day of one"
            for terms in plan.terms
            if terms.valid_from.day != 1
        ),
        *(
            f"worksheet: terms of {terms.segment!r} have stage rates, for which the worksheet has no column; "
            "multiply them into the close rate"
            for terms in plan.terms
            if terms.stage_rates
        ),
        *(
            ["worksheet: a plan with lag_months or cascaded rounding cannot be written; keep it in TOML"]
            if plan.lag_months or plan.rounding != "once"
            else []
        ),
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------- example


def example_content(content: Content) -> Content:
    """The four regions of the reference example, with a change of terms in the middle of the year."""
    months, half = content.months, content.months[6]
    figures = (
        ("DACH", "CHF", 300_000, 60, 15_000, "0.04"),
        ("Benelux", "EUR", 120_000, 50, 9_000, "0.05"),
        ("UKI", "EUR", 90_000, 45, 8_000, "0.03"),
        ("Nordics", "EUR", 50_000, 40, 7_000, "0.06"),
    )
    terms = tuple(
        Terms(name, months[0], Decimal(size), Fraction(share, 100), Fraction(rate))
        for name, _, _, share, size, rate in figures
    )
    plan = Plan(
        currency="CHF",
        currencies=tuple((name, currency) for name, currency, *_ in figures),
        revenue_goals=tuple(
            RevenueGoal(name, month, Decimal(amount))
            for name, _, amount, *_ in figures
            for month in months
        ),
        terms=(terms[0], replace(terms[0], valid_from=half, deal_size=Decimal(16_000)), *terms[1:]),
        rates=(PlanRate("EUR", Decimal("0.95"), months[0]),),
    )
    place = geometry_for(content.words.sheets, months=months, rows=4, terms=5, example=True)
    leads = {
        (months[index], name): count
        for name, counts in EXAMPLE_LEADS.items()
        for index, count in enumerate(counts)
    }
    inputs = Inputs(
        plan=plan,
        segments=dict(enumerate(plan.segments, start=place.goals.first)),
        terms=dict(enumerate(plan.terms, start=place.terms.first)),
        leads=leads,
        counted=frozenset(month for month, _ in leads),
        # Mondays to Fridays: which holidays there are depends on the place, and the example has none.
        workdays={month: _weekdays(month) for month in months},
    )
    return replace(content, kind=content.words.kinds["region"], place=place, inputs=inputs)


def _weekdays(month: date) -> Fraction:
    days = (add_months(month, 1) - month).days
    return Fraction(sum((month + timedelta(index)).weekday() < 5 for index in range(days)))  # noqa: PLR2004 - Saturday

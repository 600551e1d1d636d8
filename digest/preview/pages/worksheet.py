"""The SLA as its worksheet has it: six steps per segment, where each figure stands, and what the CRM says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from digest import sla
from digest.editions import Facts
from digest.errors import ConfigError
from digest.model import Drift, Finding, Note, NoteCode, Period, Row, add_months
from digest.preview.agreed import Agreement, Origins, agreement, origins
from digest.preview.page import Asked, Page
from digest.preview.pages.what_if import figure
from digest.render import words as mail_words
from digest.render.locales import Locale
from digest.render.words import LOOKS, judgement, segment_name
from digest.whatif import Input, agreed

if TYPE_CHECKING:
    from digest.figures import Place

NAME = "worksheet"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@dataclass(frozen=True, slots=True)
class Figure:
    """A cell of the worksheet.

    Attributes:
        shown: the figure. origin: where it stands, or how it is computed.
        measured: what the CRM says beside it. drift: what that would do to the goal.
        problems: (look, text) of what `digest check` says of the cell.
    """

    head: str
    shown: str
    origin: str = ""
    measured: str = ""
    drift: str = ""
    problems: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Sheet:
    """A segment's row, or the total's."""

    name: str
    look: str
    status: str
    figures: tuple[Figure, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the agreement's history."""

    day: date
    segment: str
    text: str


def page(asked: Asked) -> Response:
    """Answer the worksheet of the edition's month."""
    found = agreement(asked, with_deals=True)
    places = origins(found)
    words = asked.words
    return asked.page(
        "worksheet.html",
        showing=found.showing,
        found=found,
        month=found.now.month,
        sheets=[*_sheets(words, found, places), _total(words, found)],
        heads=_heads(words),
        elsewhere=_elsewhere(places),
        window=_window(words, found),
        missing=[str(error).partition("\n")[0] for error in found.trouble],
        changes=_changes(words, found),
        refused=_refused(found, words),
    )


def _heads(words: Locale) -> tuple[tuple[str, int], ...]:
    """The steps above the columns, with how many columns each has."""
    _ = words.gettext
    return (
        (_("Step 1"), 1), (_("Step 2"), 1), (_("Step 3"), 1), (_("Step 4"), 1), (_("Step 5"), 3),
        (_("Step 6"), 2),
    )  # fmt: skip


# ------------------------------------------------------------------------------------------- a row


def _sheets(words: Locale, found: Agreement, places: Origins) -> Iterator[Sheet]:
    goals = {
        goal.segment: goal
        for goal in sla.goals(found.now.facts.plan, found.now.month, on=found.now.due.business_date)
    }
    for row in found.now.agreed.segments:
        segment = str(row.segment)
        yield Sheet(
            name=segment_name(words, segment),
            look=LOOKS[row.status],
            status=judgement(words, row),
            figures=tuple(_figures(words, found, places, row, goals.get(segment))),
            notes=tuple(_note(words, note) for note in row.notes),
        )


def _note(words: Locale, note: Note) -> str:
    return mail_words.bare_note(words, note)


def _figures(
    words: Locale, found: Agreement, places: Origins, row: Row, goal: sla.Goal | None
) -> Iterator[Figure]:
    _ = words.gettext
    from digest.worksheet.words import WORDS

    head = WORDS[words.tag].headings
    segment, currency = str(row.segment), row.currency or found.now.facts.plan.currency
    measured, drift = found.measured.get(segment), found.drift.get(segment)

    def entered(kind: Input, **more: Any) -> Figure:  # noqa: ANN401 - fields of Figure
        value = agreed(found.now, (kind, segment))
        money = kind in (Input.REVENUE_GOAL, Input.DEAL_SIZE)
        written = "–"
        if value is not None:
            written = _money(words, value, currency) if money else figure(words, kind, value)
        place = places.places.get((kind, segment))
        return Figure(
            head[kind.value],
            written,
            _origin(words, found, place),
            problems=() if place is None else _problems(places, place),
            **more,
        )

    yield entered(Input.REVENUE_GOAL)
    yield entered(Input.DEAL_SIZE, measured=_measured_size(words, measured, currency))
    yield entered(Input.MARKETING_SHARE)
    yield entered(
        Input.CLOSE_RATE,
        measured=_measured_rate(words, measured),
        drift=_drift(words, drift, currency),
    )
    computed = _("deal size × close rate")
    value = "–" if row.lead_value is None else _money(words, row.lead_value, currency)
    yield Figure(head["lead_value"], value, computed)
    by_hand = goal is not None and goal.by_hand
    yield Figure(
        head["goal"],
        _count(words, row.goal),
        _("set by hand") if by_hand else _("revenue goal × share ÷ lead value"),
    )
    yield Figure(head["sales_goal"], _count(words, row.sales_goal), _("sales’ own share"))
    yield Figure(head["actual"], _count(words, row.actual), _counted(words, found))
    reached = "–" if row.attainment is None else words.percent(row.attainment)
    yield Figure(head["attainment"], reached, _("leads ÷ goal"))


def _count(words: Locale, number: int | None) -> str:
    return "–" if number is None else words.number(number)


def _money(words: Locale, amount: Decimal | Fraction | int, currency: str) -> str:
    whole = Fraction(amount).denominator == 1
    return words.money(amount, currency, 0 if whole else 2)


def _origin(words: Locale, found: Agreement, place: Place | None) -> str:
    if found.showing.settings is None:
        return words.gettext("made up for this scenario")
    if place is None:
        return words.gettext("not agreed")
    if place.cell:
        return f"{place.file}, {_cell(place)}"
    if place.line is not None:
        return words.gettext("%(file)s, line %(line)s", file=place.file, line=place.line)
    return place.file or ""


def _cell(place: Place) -> str:
    return f"{place.sheet}!{place.cell}"


def _problems(places: Origins, place: Place) -> tuple[tuple[str, str], ...]:
    return tuple(map(_problem, places.findings.get(_cell(place), ())))


def _problem(finding: Finding) -> tuple[str, str]:
    return ("bad" if finding.level == "error" else "warning"), finding.text


def _elsewhere(places: Origins) -> list[tuple[str, str]]:
    """What `digest check` says of cells that this page does not show."""
    here = {_cell(place) for place in places.places.values()}
    return [
        (look, text if finding.subject in text else f"{finding.subject}: {text}")
        for cell, findings in places.findings.items()
        if cell not in here
        for finding in findings
        for look, text in [_problem(finding)]
    ]


def _counted(words: Locale, found: Agreement) -> str:
    edition = found.showing.edition
    zone = edition.scorecard.period.timezone
    return words.gettext(
        "%(source)s, %(when)s",
        source=edition.origin.source,
        when=words.instant(edition.as_of, zone),
    )


def _measured_rate(words: Locale, one: sla.Measured | None) -> str:
    _ = words.gettext
    if one is None or one.close_rate is None:
        return ""
    said = _(
        "CRM: %(rate)s (%(customers)s of %(leads)s leads)",
        rate=words.exact_percent(one.close_rate),
        customers=words.number(one.customers),
        leads=words.number(one.leads),
    )
    return _("%(figure)s, small sample", figure=said) if one.small_sample else said


def _measured_size(words: Locale, one: sla.Measured | None, currency: str) -> str:
    _ = words.gettext
    if one is None or one.deal_size is None:
        return ""
    said = words.ngettext(
        "CRM: %(size)s (%(n)s won deal)", "CRM: %(size)s (%(n)s won deals)", one.deals,
        size=_money(words, one.deal_size, currency),
    )  # fmt: skip
    return _("%(figure)s, small sample", figure=said) if one.few_deals else said


def _drift(words: Locale, drift: Drift | None, currency: str) -> str:
    if drift is None or drift.goal == drift.goal_at_measured:
        return ""
    _ = words.gettext
    numbers = {"new": words.number(drift.goal_at_measured), "old": words.number(drift.goal)}
    measured = words.exact_percent(drift.measured_close_rate)
    agreed_rate = words.exact_percent(drift.agreed_close_rate)
    size = drift.measured_deal_size
    if size is None or size == drift.agreed_deal_size:
        return _(
            "at %(measured)s instead of %(agreed)s you need %(new)s, not %(old)s",
            measured=measured, agreed=agreed_rate, **numbers,
        )  # fmt: skip
    return _(
        "at %(measured)s instead of %(agreed)s and deals of %(size)s you need %(new)s, not %(old)s",
        measured=measured, agreed=agreed_rate, size=_money(words, size, currency), **numbers,
    )  # fmt: skip


def _total(words: Locale, found: Agreement) -> Sheet:
    from digest.worksheet.words import WORDS

    head = WORDS[words.tag].headings
    row = found.now.agreed.total
    value = found.now.agreed.value
    worth = "–" if value is None else words.money(value.goal, value.currency)
    reached = "–" if row.attainment is None else words.percent(row.attainment)
    blank = tuple(Figure(head[key], "") for key in ("revenue_goal", "deal_size", "marketing_share"))
    return Sheet(
        name=segment_name(words, None),
        look=LOOKS[row.status],
        status=judgement(words, row),
        figures=(
            *blank,
            Figure(head["close_rate"], ""),
            Figure(head["value"], worth, words.gettext("goal × lead value, added up")),
            Figure(head["goal"], _count(words, row.goal)),
            Figure(head["sales_goal"], _count(words, row.sales_goal)),
            Figure(head["actual"], _count(words, row.actual)),
            Figure(head["attainment"], reached),
        ),
        notes=tuple(_note(words, note) for note in row.notes),
    )


def _window(words: Locale, found: Agreement) -> str:
    if found.deals is None:
        return ""
    window = found.deals.window
    return words.gettext(
        "Measured in %(source)s from %(first)s to %(last)s.",
        source=found.deals.origin.source,
        first=words.medium_day(window.start),
        last=words.medium_day(window.end - timedelta(1)),
    )


# ------------------------------------------------------------------------------- history of changes


def _changes(words: Locale, found: Agreement) -> list[Change]:
    plan = found.now.facts.plan
    seen = [note for note in found.showing.edition.warnings if note.code is NoteCode.GOAL_CHANGED]
    recorded = {(note.segment, note.day) for note in seen}
    lines = [
        *(_terms_line(words, plan, terms) for terms in plan.terms),
        *(
            _goal_line(words, change.day, change.segment, change.old, change.new)
            for change in plan.changes
            if (change.segment, change.day) not in recorded
        ),
        *(
            _goal_line(words, note.day, note.segment, note.number, note.other)
            for note in seen
            if note.day is not None
        ),
    ]
    return sorted(lines, key=lambda line: (line.day, line.segment), reverse=True)


def _terms_line(words: Locale, plan: sla.Plan, terms: sla.Terms) -> Change:
    _ = words.gettext
    currency = dict(plan.currencies)[terms.segment]
    parts = []
    if terms.deal_size is not None:
        size = _money(words, terms.deal_size, currency)
        parts.append(_("average deal size %(value)s", value=size))
    if terms.marketing_share is not None:
        share = figure(words, Input.MARKETING_SHARE, terms.marketing_share)
        parts.append(_("marketing share %(value)s", value=share))
    if terms.close_rate is not None:
        rate = figure(words, Input.CLOSE_RATE, terms.close_rate)
        parts.append(_("close rate %(value)s", value=rate))
    day = terms.valid_from
    goal = next(one.goal for one in sla.goals(plan, day, on=day) if one.segment == terms.segment)
    if goal is not None:
        parts.append(words.ngettext("goal %(n)s lead", "goal %(n)s leads", goal))
    return Change(
        terms.valid_from,
        segment_name(words, terms.segment),
        ", ".join(parts) or _("nothing agreed"),
    )


def _goal_line(
    words: Locale,
    day: date,
    segment: str | None,
    old: Fraction | int | None,
    new: Fraction | int | None,
) -> Change:
    before, after = ("–" if n is None else words.number(n) for n in (old, new))
    text = words.gettext(
        "the goal was changed during the month: %(new)s instead of %(old)s", new=after, old=before
    )
    return Change(day, segment_name(words, segment), text)


# ----------------------------------------------------------------------------------------- download


def download(asked: Asked) -> Response:
    """Answer the agreement as a workbook with live formulas.

    Raises:
        ConfigError: the worksheet cannot hold the plan.
    """
    found = agreement(asked, with_deals=False)
    return workbook(asked, found, found.now.facts, name="sla")


def workbook(asked: Asked, found: Agreement, facts: Facts, *, name: str) -> Response:
    """Return a plan as a workbook to download; nothing is written."""
    from digest.worksheet import as_workbook

    return Response(
        as_workbook(
            facts.plan,
            found.now.month,
            language=asked.words.tag,
            segment_kind=_kind(found),
            days=_days(facts, found),
            actuals=found.now.counts.rows,
        ),
        media_type=XLSX,
        headers={
            "Content-Disposition": f'attachment; filename="{name}-{found.now.month:%Y-%m}.xlsx"'
        },
    )


def _kind(found: Agreement) -> str:
    settings = found.showing.settings
    return "region" if settings is None else settings.segment_kind


def _days(facts: Facts, found: Agreement) -> Sequence[Any]:
    from digest.worksheet import plan_year

    start = plan_year(facts.plan, found.now.month)
    period = Period(start, add_months(start, 12), found.now.due.month.period.timezone)
    return facts.calendar.days(period)


def _refused(found: Agreement, words: Locale) -> str:
    """Why there is no workbook of this plan, "" when there is one."""
    from digest.worksheet import check_plan

    try:
        check_plan(found.now.facts.plan, found.now.month, language=words.tag)
    except ConfigError as error:
        return str(error).partition("\n")[0]
    return ""


# ------------------------------------------------------------------------------ for other programs


def as_json(asked: Asked) -> Response:
    """Answer the agreement as JSON: what is agreed, where it stands, what was measured."""
    found = agreement(asked, with_deals=True)
    places = origins(found).places
    rows = []
    for row in found.now.agreed.segments:
        segment = str(row.segment)
        one, drift = found.measured.get(segment), found.drift.get(segment)
        inputs = {
            kind.value: {
                "agreed": _text(agreed(found.now, (kind, segment))),
                "origin": None if (place := places.get((kind, segment))) is None else _written(place),
            }
            for kind in (
                Input.REVENUE_GOAL, Input.DEAL_SIZE, Input.MARKETING_SHARE, Input.CLOSE_RATE,
            )
        }  # fmt: skip
        rows.append(
            {
                "segment": segment,
                "currency": row.currency,
                **inputs,
                "lead_value": _text(row.lead_value),
                "goal": row.goal,
                "sales_goal": row.sales_goal,
                "actual": row.actual,
                "attainment": None if row.attainment is None else float(row.attainment),
                "measured": None
                if one is None
                else {
                    "close_rate": _text(one.close_rate),
                    "customers": one.customers,
                    "leads": one.leads,
                    "small_sample": one.small_sample,
                    "deal_size": _text(one.deal_size),
                    "deals": one.deals,
                    "few_deals": one.few_deals,
                },
                "goal_at_measured": None if drift is None else drift.goal_at_measured,
            }
        )
    return JSONResponse(
        {
            "schema": 1,
            "digest": asked.digest,
            "month": found.now.month.isoformat(),
            "currency": found.now.facts.plan.currency,
            "sla_version": found.now.facts.plan.version,
            "segments": rows,
            "trouble": [str(error) for error in found.trouble],
        }
    )


def _written(place: Place) -> dict[str, str | int | None]:
    return {"file": place.file, "line": place.line, "sheet": place.sheet, "cell": place.cell}


def _text(value: Decimal | Fraction | int | None) -> str | None:
    """Write an exact number as text, so that no float rounds it."""
    if value is None:
        return None
    exact = Fraction(value)
    written = f"{Decimal(exact.numerator) / Decimal(exact.denominator):f}"
    return written.rstrip("0").rstrip(".") if "." in written else written


PAGES = (
    Page("/d/{digest}/worksheet", page),
    Page("/d/{digest}/worksheet.xlsx", download),
    Page("/api/d/{digest}/worksheet", as_json, keys=()),
)

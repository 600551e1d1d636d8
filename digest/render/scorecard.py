"""The scorecard as JSON: a public contract, versioned by `schema`; docs/scorecard.md describes it."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from digest.actions import actions
from digest.model import (
    Action,
    Bridge,
    Corrects,
    Drift,
    Edition,
    FollowUp,
    Forecast,
    Row,
    Scorecard,
    Value,
)
from digest.render import words
from digest.render.locales import Locale, half_up, locale_for
from digest.render.view import safe_link

SCHEMA = 1

Json = dict[str, object]


def scorecard_json(edition: Edition, language: str | None = None) -> Json:
    """Return an edition for other programs: numbers unrounded, money as decimal strings, notes as text."""
    locale = locale_for(language or edition.language)
    card = edition.scorecard
    return {
        "schema": SCHEMA,
        "digest": edition.digest,
        "title": edition.title,
        "date": edition.business_date.isoformat(),
        "kind": edition.kind.value,
        "language": locale.tag,
        "period": _period(card),
        "total": _row(locale, card.total),
        "segments": [_row(locale, row) for row in card.segments],
        "unassigned": None if card.unassigned is None else _row(locale, card.unassigned),
        "bridge": _bridge(edition.bridge),
        "value": _value(card.value),
        "follow_up": _follow_up(edition.follow_up),
        "today": [_action(action) for action in actions(edition)],
        "drift": None if edition.drift is None else [_drift(drift) for drift in edition.drift],
        "closed": _closed(locale, edition),
        "origin": {
            "connector": edition.origin.connector,
            "source": edition.origin.source,
            "as_of": edition.as_of.isoformat(),
            "reconciled": edition.reconciled,
            "total": edition.source_total,
            "quota": _quota(edition.origin.quota),
        },
        "warnings": words.warnings(locale, edition.warnings),
        "link": safe_link(edition.link),
        "correction": _correction(edition.corrects),
    }


def _correction(facts: Corrects | None) -> Json | None:
    if facts is None:
        return None
    return {
        "number": facts.number,
        "sent_at": facts.sent_at.isoformat(),
        "reason": facts.reason,
        "figures": [
            {
                "month": one.month.isoformat(),
                "segment": one.segment,
                "figure": one.figure.value,
                "before": one.before,
                "now": one.now,
            }
            for one in facts.figures
        ],
    }


def _quota(quota: tuple[int, int] | None) -> Json | None:
    return None if quota is None else {"used": quota[0], "allowed": quota[1]}


def _action(action: Action) -> Json:
    return {
        "action": action.code.value,
        "segment": action.segment,
        "number": _ratio(action.number),
        "other": _ratio(action.other),
    }


def _ratio(value: Fraction | Decimal | None) -> float | None:
    return None if value is None else float(value)


def _days(value: Fraction) -> int | float:
    return int(value) if value.denominator == 1 else float(value)


def _money(value: Fraction | Decimal | None) -> str | None:
    """Write an exact decimal when there is one, otherwise twelve digits after the point."""
    if value is None:
        return None
    exact = Fraction(value)
    digits = next((n for n in range(13) if exact * 10**n == int(exact * 10**n)), 12)
    return str(half_up(exact, digits))


def _period(card: Scorecard) -> Json:
    return {
        "start": card.period.start.isoformat(),
        "end": card.period.end.isoformat(),
        "cut_off": card.cut_off.isoformat(),
        "timezone": card.period.timezone,
        "workdays": _days(card.workdays),
        "workdays_elapsed": _days(card.elapsed),
        "workdays_remaining": _days(card.remaining),
    }


def _row(locale: Locale, row: Row) -> Json:
    return {
        "segment": row.segment,
        "goal": row.goal,
        "sales_goal": row.sales_goal,
        "actual": row.actual,
        "expected": _ratio(row.expected),
        "gap": row.gap,
        "attainment": _ratio(row.attainment),
        "pace": _ratio(row.pace),
        "required_per_workday": _ratio(row.required_per_workday),
        "lead_value": _money(row.lead_value),
        "currency": row.currency,
        "forecast": _forecast(row.forecast),
        "status": row.status.value,
        "notes": [words.bare_note(locale, fact) for fact in row.notes],
    }


def _forecast(forecast: Forecast | None) -> Json | None:
    if forecast is None:
        return None
    return {
        "mean": forecast.mean,
        "low": forecast.low,
        "high": forecast.high,
        "chance": forecast.chance,
    }


def _bridge(bridge: Bridge) -> Json:
    before = bridge.previous_cut_off
    return {
        "previous_cut_off": None if before is None else before.isoformat(),
        "previous_actual": bridge.previous_actual,
        "new": [{"day": day.isoformat(), "leads": leads} for day, leads in bridge.new],
        "corrections": [
            {"day": change.day.isoformat(), "segment": change.segment, "leads": change.leads}
            for change in bridge.corrections
        ],
        "actual": bridge.actual,
    }


def _value(value: Value | None) -> Json | None:
    if value is None:
        return None
    return {
        "currency": value.currency,
        "goal": _money(value.goal),
        "actual": _money(value.actual),
        "attainment": _ratio(value.attainment),
        "mix_warning": value.mix_warning,
    }


def _closed(locale: Locale, edition: Edition) -> Json | None:
    if edition.closed is None:
        return None
    card = edition.closed.scorecard
    return {
        "period": _period(card),
        "total": _row(locale, card.total),
        "segments": [_row(locale, row) for row in card.segments],
        "unassigned": None if card.unassigned is None else _row(locale, card.unassigned),
        "bridge": _bridge(edition.closed.bridge),
        "value": _value(card.value),
        "forecast_held": edition.closed.forecast_held,
    }


def _follow_up(facts: FollowUp | None) -> Json | None:
    if facts is None:
        return None
    return {
        "due": facts.due,
        "in_time": facts.in_time,
        "median_minutes": _ratio(facts.median_minutes),
        "p90_minutes": _ratio(facts.p90_minutes),
        "p90_censored": facts.p90_censored,
        "overdue": facts.overdue,
        "attempts_due": facts.attempts_due,
        "attempts_kept": facts.attempts_kept,
        "accepted": facts.accepted,
        "rejected": facts.rejected,
        "median_censored": facts.median_censored,
        "leads": facts.leads,
        "promise": {
            "respond_within": facts.respond_within,
            "website_within": facts.website_within,
            "attempts": facts.attempts,
            "within_workdays": facts.within_workdays,
            "in_time": float(facts.promised_share),
            "clock": facts.clock,
        },
        "segments": [
            {
                "segment": part.segment,
                "leads": part.leads,
                "due": part.due,
                "in_time": part.in_time,
                "overdue": part.overdue,
                "median_minutes": _ratio(part.median_minutes),
                "median_censored": part.median_censored,
                "accepted": part.accepted,
                "rejected": part.rejected,
            }
            for part in facts.segments
        ],
    }


def _drift(drift: Drift) -> Json:
    return {
        "segment": drift.segment,
        "agreed_close_rate": float(drift.agreed_close_rate),
        "measured_close_rate": float(drift.measured_close_rate),
        "agreed_deal_size": _money(drift.agreed_deal_size),
        "measured_deal_size": _money(drift.measured_deal_size),
        "goal": drift.goal,
        "goal_at_measured": drift.goal_at_measured,
        "small_sample": drift.small_sample,
    }

"""What would be with other figures: the worksheet's inputs as a form, and the answer beside the agreement."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

from starlette.responses import JSONResponse, RedirectResponse, Response

from digest.model import Row, Scorecard
from digest.preview.address import NotAllowedError, View, path_of
from digest.preview.agreed import Agreement, agreement
from digest.preview.page import Asked, Page
from digest.render import scorecard_json
from digest.render.locales import Locale
from digest.render.words import LOOKS, judgement, segment_name, tenths
from digest.whatif import (
    BY_SEGMENT,
    THRESHOLDS,
    Answer,
    Changes,
    Enough,
    Input,
    Line,
    Number,
    Problem,
    Said,
    Situation,
    Sway,
    agreed,
    answer,
    as_toml,
    changed_facts,
    differences,
    key_of,
    name_of,
    read,
)

NAME = "what-if"
MOST_ROWS = (
    12  # segments whose inputs are all shown at once; of more, the one chosen and the changed ones
)
_OWN = frozenset(("part", "of"))
_VIEW = frozenset(field.name for field in fields(View))
_RATIOS = (
    Input.MARKETING_SHARE,
    Input.CLOSE_RATE,
    Input.AHEAD,
    Input.ON_TRACK,
    Input.AT_RISK,
    Input.NOISE,
)
_MONEY = (Input.REVENUE_GOAL, Input.DEAL_SIZE)
BAR = 160  # widest bar of the sensitivity strip, in CSS pixels


# --------------------------------------------------------------------------------------- the request


@dataclass(frozen=True, kw_only=True)
class Question:
    """A request, read.

    Attributes:
        texts: what was typed, by name. of: the segment whose sensitivity is asked for.
    """

    found: Agreement
    texts: Mapping[str, str]
    changes: Changes
    problems: tuple[Problem, ...]
    of: str | None

    @property
    def now(self) -> Situation:
        """Where the month stands."""
        return self.found.now


def _question(asked: Asked) -> Question:
    """Read the address.

    Raises:
        NotAllowedError: an input, segment or part that there is not; what there is says the error.
    """
    found = agreement(asked, with_deals=False)
    texts: dict[str, str] = {}
    for name, text in asked.query:
        if name in _VIEW | _OWN:
            continue
        _refuse_unknown(found.now, name)
        if name in texts:
            raise NotAllowedError(name, "the key twice", "each key once")
        texts[name] = text
    of = next((value for key, value in asked.query if key == "of"), "")
    if of and of not in found.now.segments:
        raise NotAllowedError("of", of, ", ".join(found.now.segments))
    changes, problems = read(found.now, list(texts.items()))
    return Question(found=found, texts=texts, changes=changes, problems=problems, of=of or None)


def _refuse_unknown(now: Situation, name: str) -> None:
    word, _, segment = name.partition(":")
    known = [kind.value for kind in Input]
    if word not in known:
        raise NotAllowedError("input", name, ", ".join(known))
    if segment and segment not in now.segments:
        raise NotAllowedError(word, segment, ", ".join(now.segments))
    try:
        key_of(now, name)
    except ValueError as error:
        raise NotAllowedError("input", name, str(error).partition("; ")[2]) from error


# ------------------------------------------------------------------------------------------ the page


def page(asked: Asked) -> Response:
    """Answer the form with its answer; with part=answer the answer alone, for the script."""
    if any(not text.strip() for key, text in asked.query if key not in _VIEW):
        return RedirectResponse(_address(asked), status_code=303)
    part = next((value for key, value in asked.query if key == "part"), "page")
    if part not in ("page", "answer"):
        raise NotAllowedError("part", part, "page, answer")
    question = _question(asked)
    result = answer(question.now, _sound(question), segment=question.of)
    return asked.page(
        "what_if.html" if part == "page" else "what_if_answer.html",
        status=422 if question.problems else 200,
        showing=question.found.showing,
        question=question,
        problems={problem.key: problem for problem in question.problems},
        form=_form(asked.words, question),
        shown=_shown(asked, question, result),
        hidden=[(key, value) for key, value in asked.query if key in _VIEW],
        reset=asked.href(NAME),
    )


def _address(asked: Asked) -> str:
    """The same state without what was left empty."""
    from urllib.parse import urlencode

    kept = [(key, value) for key, value in asked.query if value.strip()]
    return path_of(asked.digest, NAME) + (f"?{urlencode(kept)}" if kept else "")


def _sound(question: Question) -> Changes:
    """The changes without those that contradict each other; they are told at their fields."""
    wrong = {problem.key for problem in question.problems}
    orders = {kind.value for kind in THRESHOLDS}
    return {
        key: value
        for key, value in question.changes.items()
        if name_of(key) not in wrong and not (wrong & orders and key[0] in THRESHOLDS)
    }


@dataclass(frozen=True, slots=True)
class Field:
    """One input of the form."""

    name: str
    label: str
    text: str
    hint: str
    problem: str | None
    changed: bool


@dataclass(frozen=True, slots=True)
class Form:
    """The form: a row of inputs for all segments, one for each shown, and those of the digest."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Field, ...]], ...]
    digest: tuple[Field, ...]
    thresholds: tuple[Field, ...]
    more: tuple[str, ...]


def _form(words: Locale, question: Question) -> Form:
    touched = {name.partition(":")[2] for name in question.texts} | {question.of or ""}
    segments = question.now.segments
    shown = [s for s in segments if len(segments) <= MOST_ROWS or s in touched]
    rows = []
    for segment in (None, *shown):
        name = words.gettext("All segments") if segment is None else segment_name(words, segment)
        cells = tuple(_field(words, question, kind, segment, name) for kind in BY_SEGMENT)
        rows.append((name, cells))
    digest = (_field(words, question, Input.LAG_MONTHS, None, ""),)
    thresholds = tuple(_field(words, question, kind, None, "") for kind in THRESHOLDS)
    hidden = tuple(s for s in segments if s not in shown)
    heads = tuple(label(words, kind) for kind in BY_SEGMENT)
    return Form(heads, tuple(rows), digest, thresholds, hidden)


def _field(words: Locale, question: Question, kind: Input, segment: str | None, row: str) -> Field:
    name = name_of((kind, segment))
    now = agreed(question.now, (kind, segment))
    problem = next((one.message for one in question.problems if one.key == name), None)
    return Field(
        name=name,
        label=f"{label(words, kind)}, {row}" if row else label(words, kind),
        text=question.texts.get(name, ""),
        hint="" if now is None else typed(kind, now),
        problem=problem,
        changed=(kind, segment) in question.changes
        or ((kind, segment) == (Input.LEADS, None) and bool(question.texts.get(name))),
    )


def label(words: Locale, kind: Input) -> str:
    """Return what an input is called."""
    _ = words.gettext
    return {
        Input.REVENUE_GOAL: _("Revenue goal"),
        Input.MARKETING_SHARE: _("Marketing share"),
        Input.DEAL_SIZE: _("Average deal size"),
        Input.CLOSE_RATE: _("Close rate"),
        Input.LEADS: _("Leads so far"),
        Input.LAG_MONTHS: _("Lag in months"),
        Input.WORKDAYS: _("Workdays of the month"),
        Input.AHEAD: _("Ahead from a pace of"),
        Input.ON_TRACK: _("On track from a pace of"),
        Input.AT_RISK: _("At risk from a pace of"),
        Input.NOISE: _("Behind needs a chance below"),
        Input.MIN_ELAPSED: _("Judged after workdays"),
        Input.MIN_EXPECTED: _("Judged from leads expected"),
        Input.FINAL_WORKDAYS: _("Forecast must reach the goal in the last workdays"),
    }[kind]


def typed(kind: Input, value: Number) -> str:
    """Return a figure as it can be typed, in any language: "300’000", "3.1%"."""
    if kind in _RATIOS:
        return f"{_plain(Fraction(value) * 100)}%"
    whole, point, rest = _plain(value).partition(".")
    grouped = f"{int(whole):,}".replace(",", "’") if kind in _MONEY else whole
    return grouped + point + rest


def _plain(value: Number) -> str:
    exact = Fraction(value)
    text = f"{Decimal(exact.numerator) / Decimal(exact.denominator):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


# ---------------------------------------------------------------------------------------- the answer


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure as it would be; `was` and `change` only where it is another one."""

    now: str
    was: str = ""
    change: str = ""
    look: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """The answer, written.

    Attributes:
        total: label and figure. rows: of each segment, a name and its figures.
        reverse: segment, and what would make its pace enough.
        sways: (input, less, more, width of the bar in CSS pixels); less and more are (goal, per workday).
    """

    sentence: str
    changed: bool
    total: tuple[tuple[str, Cell], ...]
    heads: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    reverse: tuple[tuple[str, str], ...]
    sways: tuple[tuple[str, str, str, int], ...]
    sways_of: str
    toml: str
    differences: tuple[tuple[str, str, str], ...]
    download: str


def _shown(asked: Asked, question: Question, result: Answer) -> Shown:
    words, now = asked.words, question.now
    _ = words.gettext
    settings = question.found.showing.settings
    whole = settings is not None and settings.worksheet is not None
    heads = (
        _("Goal"), _("Per workday"), _("Expected"), _("Pace"), _("Status"), _("Chance"),
    )  # fmt: skip
    largest = max((sway.effect for sway in result.sways), default=Fraction(0))
    return Shown(
        sentence=_sentence(words, result),
        changed=bool(result.changes),
        total=(*zip(heads, _cells(words, result.total), strict=True), *_value(words, result)),
        heads=heads,
        rows=tuple(
            (segment_name(words, line.segment), _cells(words, line)) for line in result.segments
        ),
        reverse=tuple(_reverse(words, now, result.segments)),
        sways=tuple(_sway(words, sway, largest) for sway in result.sways),
        sways_of=segment_name(words, question.of),
        toml=as_toml(now, result.changes, whole=whole),
        differences=tuple(
            (
                label(words, one.kind)
                if one.segment is None
                else f"{label(words, one.kind)}, {segment_name(words, one.segment)}",
                _("nothing") if one.before is None else figure(words, one.kind, one.before),
                figure(words, one.kind, one.now),
            )
            for one in differences(now, result.changes)
        ),
        download=_address(replace(asked, query=_without_part(asked.query))).replace(
            f"/{NAME}", f"/{NAME}.xlsx", 1
        ),
    )


def _without_part(query: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(key, value) for key, value in query if key != "part"]


def figure(words: Locale, kind: Input, value: Number) -> str:
    """Write a figure for reading."""
    if kind in _RATIOS:
        return words.exact_percent(Fraction(value), _digits(Fraction(value) * 100))
    return words.number(value, _digits(Fraction(value)))


def _digits(value: Fraction, most: int = 4) -> int:
    return next((n for n in range(most) if (value * 10**n).denominator == 1), most)


def _cells(words: Locale, line: Line) -> tuple[Cell, ...]:
    was, now = line.agreed, line.now
    number = words.number
    required = _cell(
        was.required_per_workday, now.required_per_workday, lambda n: tenths(words, n), None
    )
    return (
        _cell(was.goal, now.goal, number, number),
        replace(required, change=_more(words, line)),
        _cell(was.expected, now.expected, lambda n: number(n, 1), lambda n: number(n, 1)),
        _cell(was.pace, now.pace, words.percent, None),
        Cell(
            judgement(words, now),
            "" if was.status is now.status else judgement(words, was),
            look=LOOKS[now.status],
        ),
        _cell(_chance(was), _chance(now), words.percent, None),
    )  # fmt: skip


def _chance(row: Row) -> float | None:
    return None if row.forecast is None else row.forecast.chance


def _cell(
    was: Any,  # noqa: ANN401 - int, Fraction, Decimal or float, as the row has it
    now: Any,  # noqa: ANN401 - likewise
    write: Callable[[Any], str],
    difference: Callable[[Any], str] | None,
) -> Cell:
    before, after = ("–" if value is None else write(value) for value in (was, now))
    if was == now:
        return Cell(after)
    change = ""
    if difference is not None and was is not None and now is not None:
        change = _signed(now - was, difference)
    return Cell(after, before, change)


def _signed(value: Any, write: Callable[[Any], str]) -> str:  # noqa: ANN401 - a number
    return f"+{write(value)}" if value > 0 else write(value)


def _more(words: Locale, line: Line) -> str:
    more = line.more_per_workday
    return _signed(more, lambda n: tenths(words, n)) if more else ""


def _value(words: Locale, result: Answer) -> Iterator[tuple[str, Cell]]:
    _ = words.gettext
    was, now = result.agreed.value, result.now.value
    if now is None:
        return

    def money(amount: Fraction) -> str:
        return words.money(amount, now.currency)

    before_goal, before = (None, None) if was is None else (was.goal, was.actual)
    yield _("Value of the goal"), _cell(before_goal, now.goal, money, money)
    yield _("Value so far"), _cell(before, now.actual, money, money)


def _sentence(words: Locale, result: Answer) -> str:
    _ = words.gettext
    if not result.changes:
        return _("As agreed. Change a figure to see what it would do.")
    said = result.said
    if said is None:
        return _("With these figures a goal cannot be computed.")
    tail = ""
    if said.more_per_workday:
        size = tenths(words, abs(said.more_per_workday))
        tail = (
            _(", %(n)s more per workday", n=size)
            if said.more_per_workday > 0
            else _(", %(n)s fewer per workday", n=size)
        )
    facts = {
        "what": _with_what(words, said),
        "who": segment_name(words, said.segment) if said.segment is not None else "",
        "new": words.number(said.goal),
        "old": words.number(said.before),
        "tail": tail,
    }
    if said.goal == said.before and said.segment is not None:
        return _("With %(what)s %(who)s owes %(old)s leads as agreed%(tail)s.", **facts)
    if said.goal == said.before:
        return _("With %(what)s all segments owe %(old)s leads as agreed%(tail)s.", **facts)
    if said.segment is not None:
        return _("With %(what)s %(who)s owes %(new)s leads instead of %(old)s%(tail)s.", **facts)
    return _("With %(what)s all segments owe %(new)s leads instead of %(old)s%(tail)s.", **facts)


def _with_what(words: Locale, said: Said) -> str:
    _ = words.gettext
    if said.key is None or said.value is None or said.key[0] in THRESHOLDS:
        return _("these figures")
    kind = said.key[0]
    value = figure(words, kind, said.value)
    return {
        Input.REVENUE_GOAL: _("a revenue goal of %(value)s", value=value),
        Input.MARKETING_SHARE: _("a marketing share of %(value)s", value=value),
        Input.DEAL_SIZE: _("an average deal size of %(value)s", value=value),
        Input.CLOSE_RATE: _("a close rate of %(value)s", value=value),
        Input.LEADS: words.ngettext(
            "%(n)s lead so far", "%(n)s leads so far", int(said.value)
        ),
        Input.LAG_MONTHS: words.ngettext(
            "a lag of %(n)s month", "a lag of %(n)s months", int(said.value)
        ),
        Input.WORKDAYS: words.ngettext(
            "%(n)s workday", "%(n)s workdays", Fraction(said.value), n=tenths(words, Fraction(said.value))
        ),
    }[kind]  # fmt: skip


def _reverse(words: Locale, now: Situation, lines: Sequence[Line]) -> Iterator[tuple[str, str]]:
    currencies = dict(now.facts.plan.currencies)
    for line in lines:
        if line.enough is not None:
            currency = currencies[str(line.segment)]
            yield segment_name(words, line.segment), _would_do(words, line.enough, currency)


def _would_do(words: Locale, enough: Enough, currency: str) -> str:
    _ = words.gettext
    at_this_pace = words.ngettext(
        "At this pace %(n)s lead by the month’s end", "At this pace %(n)s leads by the month’s end",
        enough.leads,
    )  # fmt: skip
    if enough.already:
        return _("%(pace)s: enough.", pace=at_this_pace)
    rate = None if enough.close_rate is None else figure(words, Input.CLOSE_RATE, enough.close_rate)
    size = None if enough.deal_size is None else words.money(enough.deal_size, currency)
    if rate and size:
        return _(
            "%(pace)s: enough with a close rate of %(rate)s, or with an average deal size of %(size)s.",
            pace=at_this_pace, rate=rate, size=size,
        )  # fmt: skip
    if size:
        return _(
            "%(pace)s: enough with an average deal size of %(size)s, with no close rate.",
            pace=at_this_pace, size=size,
        )  # fmt: skip
    return _("%(pace)s: no close rate and no deal size makes that enough.", pace=at_this_pace)


def _sway(words: Locale, sway: Sway, largest: Fraction) -> tuple[str, str, str, int]:
    width = round(BAR * sway.effect / largest) if largest else 0
    less, more = (_outcome(words, one) for one in (sway.less, sway.more))
    return label(words, sway.kind), less, more, max(1, width)


def _outcome(words: Locale, outcome: tuple[int, Decimal | None]) -> str:
    goal, required = outcome
    if required is None:
        return words.ngettext("%(n)s lead", "%(n)s leads", goal)
    return words.gettext(
        "%(goal)s leads, %(rate)s per workday",
        goal=words.number(goal),
        rate=tenths(words, required),
    )


# ------------------------------------------------------------------------------ for other programs


def as_json(asked: Asked) -> Response:
    """Answer the same as JSON: numbers unrounded, as in the scorecard."""
    question = _question(asked)
    result = answer(question.now, _sound(question), segment=question.of)
    edition = question.found.showing.edition
    settings = question.found.showing.settings
    body = {
        "schema": 1,
        "digest": asked.digest,
        "date": edition.business_date.isoformat(),
        "as_agreed": not result.changes,
        "problems": [
            {"input": one.key, "found": one.text, "message": one.message}
            for one in question.problems
        ],
        "agreed": _card_json(question, result.agreed),
        "what_if": _card_json(question, result.now),
        "more_per_workday": {
            "total": _number(result.total.more_per_workday),
            "segments": [
                {"segment": line.segment, "leads": _number(line.more_per_workday)}
                for line in result.segments
            ],
        },
        "enough": [
            {
                "segment": line.segment,
                "leads": line.enough.leads,
                "already": line.enough.already,
                "close_rate": _number(line.enough.close_rate),
                "deal_size": None if line.enough.deal_size is None else str(line.enough.deal_size),
            }
            for line in result.segments
            if line.enough is not None
        ],
        "sensitivity": [
            {
                "input": sway.kind.value,
                "less": {"goal": sway.less[0], "required_per_workday": _number(sway.less[1])},
                "more": {"goal": sway.more[0], "required_per_workday": _number(sway.more[1])},
            }
            for sway in result.sways
        ],
        "differences": [
            {
                "input": one.kind.value,
                "segment": one.segment,
                "agreed": None if one.before is None else _plain(one.before),
                "what_if": _plain(one.now),
            }
            for one in differences(question.now, result.changes)
        ],
        "toml": as_toml(
            question.now,
            result.changes,
            whole=settings is not None and settings.worksheet is not None,
        ),
    }
    return JSONResponse(body, status_code=422 if question.problems else 200)


def _card_json(question: Question, card: Scorecard) -> dict[str, object]:
    edition = replace(question.found.showing.edition, scorecard=card)
    written = scorecard_json(edition)
    return {key: written[key] for key in ("period", "total", "segments", "value")}


def _number(value: Fraction | Decimal | None) -> float | None:
    return None if value is None else float(value)


# ----------------------------------------------------------------------------------------- download


def download(asked: Asked) -> Response:
    """Answer the changed agreement as a workbook with live formulas.

    Raises:
        NotAllowedError: figures that cannot be read. ConfigError: the worksheet cannot hold the plan.
    """
    from digest.preview.pages.worksheet import workbook

    question = _question(asked)
    if question.problems:
        first = question.problems[0]
        raise NotAllowedError(first.key, first.text, first.message)
    facts = changed_facts(question.now, question.changes)
    return workbook(asked, question.found, facts, name="what-if")


PAGES = (
    Page("/d/{digest}/what-if", page),
    Page("/d/{digest}/what-if.xlsx", download),
    Page("/api/d/{digest}/what-if", as_json),
)

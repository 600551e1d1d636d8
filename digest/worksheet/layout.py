"""The one description of the worksheet: where things stand, and every formula with its value.

The writer makes a Geometry from counts, the reader finds one by the headings; `derived` lists the
formula cells of either, so that writing, checking and filling agree on what each cell holds.
All rows and columns are 1-based, as people see them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from fractions import Fraction

from digest.calculator import required_per_workday
from digest.model import add_months, month_start, normalise
from digest.sla import Goal, Plan, Terms, goals, missing_rates, to_plan_currency, value_goal

SHEETS = ("example_goals", "example_sla", "goals", "sla", "readme", "calendar", "actual", "rates")
GOALS_COLUMNS = ("segment", "currency", "rate")  # then the months, then the year
TERMS_COLUMNS = (
    "segment", "valid_from", "currency", "deal_size", "marketing_share", "sales_share", "close_rate",
    "sales_deal_size", "sales_close_rate", "lead_value", "sales_lead_value", "shares_total", "note",
)  # fmt: skip
CARD_COLUMNS = (
    "segment", "terms_from", "currency", "revenue_goal", "marketing_revenue", "customers", "goal",
    "sales_goal", "lead_value", "value", "actual", "attainment", "missing", "per_workday",
)  # fmt: skip
# The terms in force in the card's month, in grouped columns beside it; on the row of the totals the first
# two say whether "Actual" has anything in the month, and the day on which the month is over.
IN_FORCE = (
    "row", "deal_size", "marketing_share", "sales_share", "close_rate", "sales_deal_size",
    "sales_close_rate",
)  # fmt: skip
ACTUAL_COLUMNS = ("date", "segment", "leads")
RATES_COLUMNS = ("currency", "rate", "date")
CALENDAR_COLUMNS = ("date", "weight", "reason")
NO_RATE = "?"  # beside a segment whose currency has no plan rate yet
BY_HAND = ("goal", "sales_goal")  # formulas that a plain number may replace
ACTUAL_LAST_ROW = 5000
CALENDAR_LAST_ROW = 1000

Value = int | float | str


@dataclass(frozen=True, slots=True)
class Block:
    """A list on a sheet: one heading row and the rows from `first` to `last`; `columns` by key."""

    heading: int
    first: int
    last: int
    columns: Mapping[str, int]

    def span(self, key: str, sheet: str = "") -> str:
        """The whole column of the list, absolute."""
        letter = column_letter(self.columns[key])
        return f"{sheet}${letter}${self.first}:${letter}${self.last}"

    def cell(self, key: str, row: int, sheet: str = "") -> str:
        """One cell, with an absolute column."""
        return f"{sheet}${column_letter(self.columns[key])}{row}"

    @property
    def rows(self) -> range:
        """Every row of the list."""
        return range(self.first, self.last + 1)


@dataclass(frozen=True, slots=True)
class Card:
    """Steps 5 and 6 of one month, or of the year when `month` is None; `total` is its last row.

    `sources` are the rows of the goals sheet whose segments the lines from `first` on show; 0 for none.
    """

    month: date | None
    heading: int
    first: int
    total: int
    sources: tuple[int, ...]

    @property
    def rows(self) -> range:
        """The rows of the segments."""
        return range(self.first, self.total)

    @property
    def lines(self) -> tuple[tuple[int, int], ...]:
        """Row and source of every line that shows a segment's row of the goals sheet."""
        pairs = zip(self.rows, self.sources, strict=True)
        return tuple((row, source) for row, source in pairs if source)


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """Where everything stands in one workbook.

    Attributes:
        names: sheet key to the sheet's name. months: month to column, on the goals sheet.
        goals_total: row of the totals, None when there is none. plan_currency: (row, column).
        cards: by month, the year last. card_columns: also the grouped ones, as "in_force.row".
        example: the filled example, whose rates, leads and workdays are plain numbers.
    """

    names: Mapping[str, str]
    goals: Block
    months: Mapping[date, int]
    goals_total: int | None
    plan_currency: tuple[int, int]
    terms: Block
    cards: tuple[Card, ...]
    card_columns: Mapping[str, int]
    rates: Block | None = None
    actual: Block | None = None
    calendar: Block | None = None
    example: bool = False

    def sheet(self, key: str) -> str:
        """A sheet's name as a formula writes it before a cell."""
        quoted = self.names[key].replace("'", "''")
        return f"'{quoted}'!"


@dataclass(frozen=True, slots=True)
class Inputs:
    """What people or the CRM entered, by the row in which it stands.

    Attributes:
        plan: everything the goals follow from, goals set by hand included.
        segments: row of the goals sheet to segment. terms: row of the terms to what it says.
        leads: (month, segment) to leads; a month in `counted` without an entry has 0.
        workdays: month to the sum of its weights.
        by_hand: (month, segment, "goal" or "sales_goal") of the goals set by hand.
    """

    plan: Plan
    segments: Mapping[int, str]
    terms: Mapping[int, Terms]
    leads: Mapping[tuple[date, str], int] = field(default_factory=dict)
    counted: frozenset[date] = frozenset()
    workdays: Mapping[date, Fraction] = field(default_factory=dict)
    by_hand: frozenset[tuple[date, str, str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Derived:
    """A formula cell and the value it must show; "" is an empty cell."""

    sheet: str
    row: int
    column: int
    key: str
    formula: str
    value: Value
    segment: str | None = None
    month: date | None = None

    @property
    def address(self) -> str:
        """The cell as people name it: "G30"."""
        return f"{column_letter(self.column)}{self.row}"


def column_letter(column: int) -> str:
    """Return the letters of a 1-based column."""
    letters = ""
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


def serial(day: date) -> int:
    """Return Excel's number of a day."""
    return (day - date(1899, 12, 30)).days


def geometry_for(
    names: Mapping[str, str], *, months: tuple[date, ...], rows: int, terms: int, example: bool
) -> Geometry:
    """Return the geometry of a new workbook with room for `rows` segments and `terms` lines of terms."""
    goals_block = Block(7, 8, 7 + rows, _numbered(*GOALS_COLUMNS))
    month_columns = {month: 4 + index for index, month in enumerate(months)}
    terms_block = Block(6, 7, 6 + terms, _numbered(*TERMS_COLUMNS))
    cards, row = [], terms_block.last + 4
    for month in (*months, None):
        cards.append(Card(month, row, row + 1, row + 1 + rows, tuple(goals_block.rows)))
        row += rows + 3
    pages = {"goals": "example_goals", "sla": "example_sla"} if example else {}
    return Geometry(
        names={**names, **{page: names[other] for page, other in pages.items()}},
        goals=replace(goals_block, columns={**goals_block.columns, "year": 4 + len(months)}),
        months=month_columns,
        goals_total=goals_block.last + 1,
        plan_currency=(4, 2),
        terms=terms_block,
        cards=tuple(cards),
        card_columns=_numbered(*CARD_COLUMNS, *(f"in_force.{key}" for key in IN_FORCE)),
        rates=Block(5, 6, 25, _numbered(*RATES_COLUMNS)),
        actual=Block(5, 6, ACTUAL_LAST_ROW, _numbered(*ACTUAL_COLUMNS)),
        calendar=Block(5, 6, CALENDAR_LAST_ROW, _numbered(*CALENDAR_COLUMNS)),
        example=example,
    )


def _numbered(*keys: str) -> dict[str, int]:
    return {key: number for number, key in enumerate(keys, start=1)}


# ------------------------------------------------------------------------------------------ formulas


def derived(place: Geometry, inputs: Inputs) -> Iterator[Derived]:
    """List every formula cell with its formula (without "=") and the value it must show.

    The values come from `sla`; only sums of shown cells are added up here.
    """
    yield from _goals_sheet(place, inputs)
    yield from _terms_rows(place, inputs)
    year = _Year()
    for card in place.cards:
        if card.month is not None:
            yield from _month_card(place, inputs, card, year)
    for card in place.cards:
        if card.month is None:
            yield from _year_card(place, inputs, card, year)


def _goals_sheet(place: Geometry, inputs: Inputs) -> Iterator[Derived]:
    block, plan = place.goals, inputs.plan
    amounts = {(goal.segment, goal.month): Fraction(goal.amount) for goal in plan.revenue_goals}
    totals: dict[int, Fraction] = {}
    letters = sorted(place.months.values())
    first, last = column_letter(letters[0]), column_letter(letters[-1])
    plan_cell = f"${column_letter(place.plan_currency[1])}${place.plan_currency[0]}"
    for row in block.rows:
        name = inputs.segments.get(row)
        rate = "" if name is None else _shown_rate(plan, name)
        if not place.example and "rate" in block.columns:
            yield Derived(
                "goals", row, block.columns["rate"], "rate", _rate_formula(place, row, plan_cell), rate, name
            )  # fmt: skip
        shown = {
            c: amounts[name, m] for m, c in place.months.items() if name and (name, m) in amounts
        }
        if name is not None:
            for column, amount in shown.items():
                totals[column] = totals.get(column, Fraction(0)) + amount * _rate(plan, name)
        if "year" in block.columns:
            cells = f"{first}{row}:{last}{row}"
            total = _sum(shown.values())
            yield Derived(
                "goals",
                row,
                block.columns["year"],
                "year",
                f'IF(COUNT({cells})=0,"",SUM({cells}))',
                _number(total),
                name,
            )
            if name is not None and total is not None:
                column = block.columns["year"]
                totals[column] = totals.get(column, Fraction(0)) + total * _rate(plan, name)
    if place.goals_total is None or "rate" not in block.columns:
        return
    if "currency" in block.columns:
        yield Derived(
            "goals", place.goals_total, block.columns["currency"], "currency", plan_cell, plan.currency
        )  # fmt: skip
    for column in [*letters, *([block.columns["year"]] if "year" in block.columns else [])]:
        letter = column_letter(column)
        cells = f"{letter}{block.first}:{letter}{block.last}"
        yield Derived(
            "goals", place.goals_total, column, "total",
            f'IF(COUNT({cells})=0,"",SUMPRODUCT({block.span("rate")},{cells}))', _number(totals.get(column)),
        )  # fmt: skip


def _rate_formula(place: Geometry, row: int, plan_cell: str) -> str:
    name, currency = place.goals.cell("segment", row), place.goals.cell("currency", row)
    if place.rates is None:
        return f'IF({name}="","",1)'
    rates = place.sheet("rates")
    found = (
        f"INDEX({place.rates.span('rate', rates)},"
        f"MATCH({currency},{place.rates.span('currency', rates)},0))"
    )
    return f'IF({name}="","",IF(OR({currency}="",{currency}={plan_cell}),1,IFERROR({found},"{NO_RATE}")))'


def _terms_rows(place: Geometry, inputs: Inputs) -> Iterator[Derived]:
    block = place.terms
    for row in block.rows:
        terms = inputs.terms.get(row)
        values = _terms_values(inputs.plan, terms)
        for key, formula in _terms_formulas(place, row).items():
            if key in block.columns:
                name = terms.segment if terms else None
                yield Derived("sla", row, block.columns[key], key, formula, values[key], name)


def _terms_formulas(place: Geometry, row: int) -> dict[str, str]:
    block = place.terms
    cell = {key: block.cell(key, row) for key in block.columns}
    sheet = place.sheet("goals")
    names, currencies = place.goals.span("segment", sheet), ""
    if "currency" in place.goals.columns:
        currencies = place.goals.span("currency", sheet)
    plan = f"{sheet}${column_letter(place.plan_currency[1])}${place.plan_currency[0]}"
    head = place.goals.cell("segment", place.goals.heading, sheet)
    position = f"SUMPRODUCT(MAX(({names}={cell['segment']})*(ROW({names})-ROW({head}))))"
    currency = f"INDEX({currencies},{position})" if currencies else plan
    size, rate = cell["deal_size"], cell["close_rate"]
    sales_size, sales_rate = cell.get("sales_deal_size", size), cell.get("sales_close_rate", rate)
    share, rest = cell["marketing_share"], cell.get("sales_share", cell["marketing_share"])
    return {
        "currency": f'IF({cell["segment"]}="","",IF({position}=0,"",IF({currency}="",{plan},{currency})))',
        "lead_value": f'IF(OR(N({size})<=0,N({rate})<=0),"",{size}*{rate})',
        "sales_lead_value": (
            f'IF(OR(AND({sales_size}="",{sales_rate}=""),'
            f'N(IF({sales_size}="",{size},{sales_size}))<=0,N(IF({sales_rate}="",{rate},{sales_rate}))<=0),"",'
            f'IF({sales_size}="",{size},{sales_size})*IF({sales_rate}="",{rate},{sales_rate}))'
        ),
        "shares_total": f'IF(OR({share}="",{rest}=""),"",{share}+{rest})',
    }


def _terms_values(plan: Plan, terms: Terms | None) -> dict[str, Value]:
    if terms is None:
        return {"currency": "", "lead_value": "", "sales_lead_value": "", "shares_total": ""}
    own = terms.sales_deal_size is None and terms.sales_close_rate is None
    sales = replace(
        terms,
        deal_size=terms.deal_size if terms.sales_deal_size is None else terms.sales_deal_size,
        close_rate=terms.close_rate if terms.sales_close_rate is None else terms.sales_close_rate,
    )
    return {
        "currency": dict(plan.currencies)[terms.segment],
        "lead_value": _number(_lead_value(plan, terms)),
        "sales_lead_value": "" if own else _number(_lead_value(plan, sales)),
        "shares_total": "" if terms.marketing_share is None else 1,
    }


def _lead_value(plan: Plan, terms: Terms) -> Fraction | None:
    """What `sla` makes of these terms alone."""
    alone = replace(
        plan,
        terms=(replace(terms, goal=None, sales_goal=None),),
        revenue_goals=(),
        changes=(),
        currencies=((terms.segment, dict(plan.currencies)[terms.segment]),),
    )
    return goals(alone, terms.valid_from)[0].lead_value


TOTAL = "\0total"  # no segment is called that


class _Year:
    """Adds up what the cards of the months show, by segment and column."""

    def __init__(self) -> None:
        self.sums: dict[tuple[str | None, str], Fraction] = {}

    def add(self, segment: str | None, key: str, amount: Fraction | int | None) -> None:
        if amount is not None:
            known = self.sums.get((segment, key), Fraction(0))
            self.sums[segment, key] = known + amount

    def get(self, segment: str | None, key: str) -> Fraction | None:
        return self.sums.get((segment, key))


SUMMED = (
    "revenue_goal", "marketing_revenue", "customers", "goal", "sales_goal", "value", "actual",
)  # fmt: skip
_IN_PLAN_CURRENCY = ("revenue_goal", "marketing_revenue")


def _month_card(place: Geometry, inputs: Inputs, card: Card, year: _Year) -> Iterator[Derived]:
    assert card.month is not None  # noqa: S101 - the caller's own selection
    month, plan, columns = card.month, inputs.plan, place.card_columns
    known = {goal.segment: goal for goal in goals(plan, month)}
    workdays = inputs.workdays.get(month)

    def cell(row: int, key: str, formula: str, value: Value, segment: str | None = None) -> Derived:
        return Derived("sla", row, columns[key], key, formula, value, segment, month)

    yield from _card_heading(place, inputs, card)
    figures: dict[str, dict[str, Fraction | int | None]] = {}
    for row, source in card.lines:
        name = inputs.segments.get(source)
        figure = {} if name is None else _figures(inputs, known[name], month, workdays)
        if name is not None:
            figures[name] = figure
            for key in SUMMED:
                year.add(name, key, figure[key])
        words = _card_words(inputs, name, month)
        for key, formula in _card_formulas(place, card, row, source).items():
            if key not in columns or (name and (month, name, key) in inputs.by_hand):
                continue
            yield cell(
                row, key, formula, words[key] if key in words else _number(figure.get(key)), name
            )
    totals = _totals(plan, known, figures, workdays)
    for key in SUMMED:
        year.add(TOTAL, key, totals[key])
    for key, formula in _total_formulas(place, card).items():
        if key in columns:
            yield cell(card.total, key, formula, _number(totals[key]))


def _card_heading(place: Geometry, inputs: Inputs, card: Card) -> Iterator[Derived]:
    assert card.month is not None  # noqa: S101 - the caller's own selection
    month, columns = card.month, place.card_columns
    source = f"{place.sheet('goals')}{column_letter(place.months[month])}${place.goals.heading}"
    head = f"$A${card.heading}"
    yield Derived("sla", card.heading, 1, "month", source, serial(month), None, month)
    if "in_force.row" not in columns or "in_force.deal_size" not in columns:
        return
    if place.actual is not None and not place.example:
        days = place.actual.span("date", place.sheet("actual"))
        formula = f'COUNTIFS({days},">="&{head},{days},"<"&{_until(place, card)})'
        counted = int(month in inputs.counted)
        yield Derived(
            "sla", card.total, columns["in_force.row"], "counted", f"MIN(1,{formula})", counted, None, month
        )  # fmt: skip
    yield Derived(
        "sla", card.total, columns["in_force.deal_size"], "until",
        f"DATE(YEAR({head}),MONTH({head})+1,1)", serial(add_months(month, 1)), None, month,
    )  # fmt: skip


def _until(place: Geometry, card: Card) -> str:
    return f"${column_letter(place.card_columns['in_force.deal_size'])}${card.total}"


def _card_words(inputs: Inputs, name: str | None, month: date) -> dict[str, Value]:
    if name is None:
        return {}
    found: dict[str, Value] = {
        "segment": name,
        "currency": dict(inputs.plan.currencies)[name],
    }
    in_force = terms_row(inputs, name, month)
    if in_force is None:
        return found
    row, terms = in_force
    size, rate = terms.deal_size, terms.close_rate
    share = terms.marketing_share
    amounts = {
        "deal_size": size or 0,
        "close_rate": rate or 0,
        "sales_deal_size": (size or 0) if terms.sales_deal_size is None else terms.sales_deal_size,
        "sales_close_rate": (rate or 0)
        if terms.sales_close_rate is None
        else terms.sales_close_rate,
        "marketing_share": share,
        "sales_share": None if share is None else 1 - share,
    }
    found["terms_from"] = serial(month_start(terms.valid_from))
    found["in_force.row"] = row
    for key, amount in amounts.items():
        found[f"in_force.{key}"] = _number(None if amount is None else Fraction(amount))
    return found


def terms_row(inputs: Inputs, segment: str, month: date) -> tuple[int, Terms] | None:
    """Return the position (1 is the first line of terms) and terms in force in a month, None without."""
    first = min(inputs.terms, default=0)
    known = [
        (row, terms)
        for row, terms in inputs.terms.items()
        if terms.segment == segment and terms.valid_from <= month
    ]
    found = max(known, key=lambda entry: entry[1].valid_from, default=None)
    return None if found is None else (found[0] - first + 1, found[1])


def _figures(
    inputs: Inputs, goal: Goal, month: date, workdays: Fraction | None
) -> dict[str, Fraction | int | None]:
    amounts = {
        entry.month: entry.amount
        for entry in inputs.plan.revenue_goals
        if entry.segment == goal.segment
    }
    actual = inputs.leads.get((month, goal.segment), 0) if month in inputs.counted else None
    revenue = amounts.get(month)
    value = None
    if goal.goal is not None and goal.lead_value is not None:
        value = to_plan_currency(inputs.plan, goal.goal * goal.lead_value, goal.currency)
    return {
        "revenue_goal": None if revenue is None else Fraction(revenue),
        "marketing_revenue": goal.marketing_revenue,
        "customers": goal.customers,
        "goal": goal.goal,
        "sales_goal": goal.sales_goal,
        "lead_value": goal.lead_value,
        "value": value,
        "actual": actual,
        **_performance(goal.goal, actual, workdays),
    }


def _performance(
    goal: Fraction | int | None, actual: Fraction | int | None, workdays: Fraction | None
) -> dict[str, Fraction | int | None]:
    """Step 6 for a whole month: attainment, leads still missing, goal per workday rounded up to 0.1."""
    missing = None if goal is None or actual is None else max(Fraction(0), Fraction(goal - actual))
    return {
        "attainment": Fraction(actual) / goal if actual is not None and goal else None,
        "missing": missing,
        "per_workday": (
            Fraction(required_per_workday(int(goal), 0, workdays) or 0)
            if goal and workdays
            else None
        ),
    }


def _totals(
    plan: Plan,
    known: Mapping[str, Goal],
    figures: Mapping[str, Mapping[str, Fraction | int | None]],
    workdays: Fraction | None,
) -> dict[str, Fraction | int | None]:
    totals: dict[str, Fraction | int | None] = {}
    for key in SUMMED:
        shown = {name: Fraction(f[key]) for name, f in figures.items() if f[key] is not None}  # type: ignore[arg-type] # not None
        if key in _IN_PLAN_CURRENCY:
            shown = {name: amount * _rate(plan, name) for name, amount in shown.items()}
        totals[key] = _sum(shown.values())
    if totals["value"] is not None:
        totals["value"] = value_goal(plan, known.values())
    performance = _performance(totals["goal"], totals["actual"], workdays)
    return {**totals, **performance, "terms_from": workdays}


def _card_formulas(place: Geometry, card: Card, row: int, source: int) -> dict[str, str]:
    c = {key: f"${column_letter(column)}{row}" for key, column in place.card_columns.items()}
    month = card.month
    assert month is not None  # noqa: S101 - the caller's own selection
    sheet, terms = place.sheet("goals"), place.terms
    name, names, starts = c["segment"], terms.span("segment"), terms.span("valid_from")
    head = f"$A${card.heading}"
    start = place.goals.cell("segment", source, sheet)
    plan = f"{sheet}${column_letter(place.plan_currency[1])}${place.plan_currency[0]}"
    currency = plan
    if "currency" in place.goals.columns:
        own = place.goals.cell("currency", source, sheet)
        currency = f'IF({own}="",{plan},{own})'
    amount = f"{sheet}{column_letter(place.months[month])}{source}"
    applies = f"({names}={name})*({starts}>0)*({starts}<={head})"
    position = c.get("in_force.row", "")
    formulas = {
        "segment": f'IF({start}="","",{start})',
        "currency": f'IF({name}="","",{currency})',
        "terms_from": (
            f'IF({name}="","",IF(SUMPRODUCT({applies})=0,"",SUMPRODUCT(MAX({applies}*{starts}))))'
        ),
        "in_force.row": (
            f'IF({c["terms_from"]}="","",SUMPRODUCT(({names}={name})*({starts}={c["terms_from"]})'
            f"*(ROW({names})-ROW({terms.cell('segment', terms.heading)}))))"
        ),
        **_in_force_formulas(terms, position),
        "revenue_goal": f'IF(OR({name}="",{amount}=""),"",{amount})',
        "attainment": f'IF(OR(N({c["goal"]})=0,{c["actual"]}=""),"",{c["actual"]}/{c["goal"]})',
        "missing": f'IF(OR({c["goal"]}="",{c["actual"]}=""),"",MAX(0,{c["goal"]}-{c["actual"]}))',
        "per_workday": _per_workday(
            c["goal"], f"{c['terms_from'].rstrip('0123456789')}${card.total}"
        ),
        **_sla_formulas(
            c, place.goals.cell("rate", source, sheet) if "rate" in place.goals.columns else "1"
        ),
    }
    if place.actual is not None and not place.example:
        formulas["actual"] = _actual_formula(place, card, name)
    return formulas


def _in_force_formulas(terms: Block, position: str) -> dict[str, str]:
    def of(key: str) -> str:
        return f"INDEX({terms.span(key)},{position})"

    def known(key: str, otherwise: str) -> str:
        return f'IF({position}="","",IF({of(key)}="",{otherwise},{of(key)}))'

    size, rate, share = of("deal_size"), of("close_rate"), of("marketing_share")
    rest = f'IF({share}="","",1-{share})'
    has = terms.columns.__contains__
    return {
        "in_force.deal_size": known("deal_size", "0"),
        "in_force.close_rate": known("close_rate", "0"),
        "in_force.marketing_share": known("marketing_share", '""'),
        "in_force.sales_share": (
            known("sales_share", rest) if has("sales_share") else f'IF({position}="","",{rest})'
        ),
        "in_force.sales_deal_size": (
            known("sales_deal_size", f"N({size})")
            if has("sales_deal_size")
            else known("deal_size", "0")
        ),
        "in_force.sales_close_rate": (
            known("sales_close_rate", f"N({rate})")
            if has("sales_close_rate")
            else known("close_rate", "0")
        ),
    }


def _sla_formulas(c: Mapping[str, str], rate: str) -> dict[str, str]:
    """Step 5. The inner ROUND takes the noise of doubles away before the one ROUNDUP."""
    revenue, share, rest = (
        c["revenue_goal"],
        c["in_force.marketing_share"],
        c["in_force.sales_share"],
    )
    size, close = c["in_force.deal_size"], c["in_force.close_rate"]
    sales_size, sales_close = c["in_force.sales_deal_size"], c["in_force.sales_close_rate"]
    own = c["marketing_revenue"]
    return {
        "marketing_revenue": (
            f'IF({revenue}="","",IF({revenue}=0,0,IF({share}="","",{revenue}*{share})))'
        ),
        "customers": f'IF(OR({own}="",N({size})<=0),"",{own}/{size})',
        "goal": (
            f'IF({own}="","",IF({own}=0,0,IF(OR(N({size})<=0,N({close})<=0),"",'
            f"ROUNDUP(ROUND({own}/({size}*{close}),9),0))))"
        ),
        "sales_goal": (
            f'IF({revenue}="","",IF({revenue}=0,0,IF({rest}="","",IF({rest}=0,0,'
            f'IF(OR(N({sales_size})<=0,N({sales_close})<=0),"",'
            f"ROUNDUP(ROUND({revenue}*{rest}/({sales_size}*{sales_close}),9),0))))))"
        ),
        "lead_value": f'IF(OR(N({size})<=0,N({close})<=0),"",{size}*{close})',
        "value": (
            f'IF(OR({c["goal"]}="",{c["lead_value"]}=""),"",{c["goal"]}*{c["lead_value"]}*{rate})'
        ),
    }


def _actual_formula(place: Geometry, card: Card, name: str) -> str:
    """Segments are matched by = inside SUMPRODUCT: the criteria of SUMIFS are patterns ("S*")."""
    assert place.actual is not None  # noqa: S101 - the caller asked
    sheet, until = place.sheet("actual"), _until(place, card)
    days, names = place.actual.span("date", sheet), place.actual.span("segment", sheet)
    counted = f"${column_letter(place.card_columns['in_force.row'])}${card.total}"
    return (
        f'IF(OR({name}="",{counted}=0),"",SUMPRODUCT(({names}={name})*({days}>=$A${card.heading})'
        f"*({days}<{until}),{place.actual.span('leads', sheet)}))"
    )


def _per_workday(goal: str, workdays: str) -> str:
    return f'IF(OR(N({goal})=0,N({workdays})=0),"",ROUNDUP(ROUND({goal}/{workdays},9),1))'


def _total_formulas(place: Geometry, card: Card) -> dict[str, str]:
    letters = {key: f"${column_letter(column)}" for key, column in place.card_columns.items()}
    first, last, row = card.first, card.total - 1, card.total

    def cells(key: str) -> str:
        return f"{letters[key]}{first}:{letters[key]}{last}"

    def total(key: str) -> str:
        return f"{letters[key]}{row}"

    rates = (
        place.goals.span("rate", place.sheet("goals")) if "rate" in place.goals.columns else None
    )
    formulas = {}
    for key in SUMMED:
        added = f"SUM({cells(key)})"
        if key in _IN_PLAN_CURRENCY and rates:
            added = f"SUMPRODUCT({rates},{cells(key)})"
        formulas[key] = f'IF(COUNT({cells(key)})=0,"",{added})'
    formulas |= _performance_formulas(total("goal"), total("actual"))
    if card.month is not None:
        workdays = total("terms_from")
        formulas["per_workday"] = _per_workday(total("goal"), workdays)
        if place.calendar is not None and not place.example:
            formulas["terms_from"] = _workdays_formula(place, card)
    return formulas


def _performance_formulas(goal: str, actual: str) -> dict[str, str]:
    return {
        "attainment": f'IF(OR(N({goal})=0,{actual}=""),"",{actual}/{goal})',
        "missing": f'IF(OR({goal}="",{actual}=""),"",MAX(0,{goal}-{actual}))',
    }


def _workdays_formula(place: Geometry, card: Card) -> str:
    assert place.calendar is not None  # noqa: S101 - the caller asked
    sheet = place.sheet("calendar")
    days, weights = place.calendar.span("date", sheet), place.calendar.span("weight", sheet)
    total = f'SUMIFS({weights},{days},">="&$A${card.heading},{days},"<"&{_until(place, card)})'
    return f'IF({total}=0,"",{total})'


def _year_card(place: Geometry, inputs: Inputs, card: Card, year: _Year) -> Iterator[Derived]:
    columns = place.card_columns
    months = [other for other in place.cards if other.month is not None]
    for row, source in card.lines:
        name = inputs.segments.get(source)
        cell = place.goals.cell("segment", source, place.sheet("goals"))
        rows = [line for other in months for line, origin in other.lines if origin == source]
        yield Derived(
            "sla", row, columns["segment"], "segment", f'IF({cell}="","",{cell})', name or "", name
        )  # fmt: skip
        yield from _year_row(columns, row, rows, name, year)
    yield from _year_row(columns, card.total, [other.total for other in months], TOTAL, year)


def _year_row(
    columns: Mapping[str, int], row: int, rows: list[int], name: str | None, year: _Year
) -> Iterator[Derived]:
    c = {key: f"${column_letter(column)}" for key, column in columns.items()}
    segment = None if name == TOTAL else name
    for key in SUMMED:
        if key in columns:
            cells = ",".join(f"{c[key]}{other}" for other in rows)
            formula = f'IF(COUNT({cells})=0,"",SUM({cells}))'
            yield Derived(
                "sla", row, columns[key], key, formula, _number(year.get(name, key)), segment
            )
    figures = _performance(year.get(name, "goal"), year.get(name, "actual"), None)
    for key, formula in _performance_formulas(f"{c['goal']}{row}", f"{c['actual']}{row}").items():
        if key in columns:
            yield Derived("sla", row, columns[key], key, formula, _number(figures[key]), segment)


def _rate(plan: Plan, segment: str) -> Fraction:
    return to_plan_currency(plan, 1, dict(plan.currencies)[segment])


def _shown_rate(plan: Plan, segment: str) -> Value:
    """The rate as the sheet shows it: a new worksheet names a currency before anyone gave its rate."""
    if dict(plan.currencies)[segment] in missing_rates(plan):
        return NO_RATE
    return _number(_rate(plan, segment))


def _sum(amounts: Iterable[Fraction]) -> Fraction | None:
    found = list(amounts)
    return sum(found, Fraction(0)) if found else None


def _number(amount: Fraction | int | None) -> Value:
    """A number as Excel keeps it; nothing is an empty text."""
    if amount is None:
        return ""
    whole = Fraction(amount)
    return int(whole) if whole.denominator == 1 else float(whole)


def same_segment(left: str, right: str) -> bool:
    """Whether two names mean one segment."""
    return normalise(left) == normalise(right)

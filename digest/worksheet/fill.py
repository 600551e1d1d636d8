"""Writes measured close rates, deal sizes and actual leads into a worksheet that people work in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Literal

from digest.errors import ConfigError
from digest.model import DayCount, DealStatistics, Finding, month_start, normalise
from digest.sla import Measured, Terms, measured
from digest.worksheet.book import Book
from digest.worksheet.check import computed_cells, same_value
from digest.worksheet.depends import Place, dependents
from digest.worksheet.files import backup_path, replace_file
from digest.worksheet.layout import ACTUAL_COLUMNS, Value, column_letter, serial
from digest.worksheet.package import Edit, Package
from digest.worksheet.read import TERMS_INPUTS, Worksheet, read_book, with_goals_by_hand
from digest.worksheet.words import WORDS


def fill(
    path: Path,
    *,
    deals: DealStatistics | None = None,
    actuals: Sequence[DayCount] = (),
    covers: tuple[date, date] | None = None,
    valid_from: date | None = None,
    method: Literal["pooled", "cohort"] = "pooled",
) -> tuple[Finding, ...]:
    """Fill in what the CRM knows and keep everything else in the file; the old file stays as `.bak.xlsx`.

    Every formula keeps a stored value: the digest's own where it computes one. A formula of the user's
    that depends on a filled cell is named; Excel computes it when it opens the file.

    Args:
        path: the workbook.
        deals: sets close rate and deal size of the terms in force when the window ends.
        actuals: leads by day and segment; lines of the sheet Actual that are there already are updated.
        covers: first and last day of which `actuals` is complete; a line without a count becomes 0.
            By default from its first to its last day.
        valid_from: a month: write measured figures to the terms that begin there, as a new line if need be.
        method: how `sla.measured` counts customers.

    Raises:
        ConfigError: the worksheet is wrong (nothing is written), full, or open in Excel.
    """
    with Book(path) as book:
        sheet = read_book(book, everything=True)
        work = _Work(book, sheet)
        if deals is not None:
            work.measure(deals, valid_from, method)
        if actuals or covers:
            work.count(actuals, covers)
        if not work.edits:
            return (*work.findings, Finding("ok", path.name, "nothing to change"))
        changed = work.recompute()
        package = Package(path, book.content)
        for name, edits in work.by_sheet().items():
            package.edit(name, edits)
        package.recalculate_on_load()
        stale = tuple(work.stale(changed))
    replace_file(path, package.save)
    kept = Finding("ok", path.name, f"filled; the previous file is {backup_path(path).name}")
    return (*work.findings, *stale, kept)


@dataclass
class _Work:
    """What is going to be written."""

    book: Book
    sheet: Worksheet
    edits: dict[Place, Edit] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    terms: dict[int, Terms] = field(default_factory=dict)
    rows: dict[int, tuple[date, str, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.terms = dict(self.sheet.inputs.terms)
        self.rows = dict(self.sheet.actual_rows)

    def by_sheet(self) -> dict[str, dict[tuple[int, int], Edit]]:
        found: dict[str, dict[tuple[int, int], Edit]] = {}
        for place, edit in self.edits.items():
            found.setdefault(place.sheet, {})[place.row, place.column] = edit
        return found

    # ------------------------------------------------------------------------ steps 2 and 4

    def measure(
        self, deals: DealStatistics, valid_from: date | None, method: Literal["pooled", "cohort"]
    ) -> None:
        if valid_from is not None and valid_from.day != 1:
            raise ConfigError(
                f"{self.sheet.path.name}: terms begin with a month; found {valid_from}, write "
                f"{month_start(valid_from)}"
            )
        if deals.no_customers:
            self._say("warning", "sla", None, f"close rates stay as they are: {deals.no_customers}")
        for figure in measured(self.sheet.inputs.plan, deals, method=method):
            if not figure.leads and figure.deal_size is None:
                self._say(
                    "warning",
                    "sla",
                    None,
                    f"{figure.segment}: no leads and no won deals in the window; left as it was",
                )
                continue
            row = self._row_for(figure.segment, valid_from, month_start(deals.window.end))
            if row is not None:
                self._write_terms(row, figure)

    def _row_for(self, segment: str, valid_from: date | None, month: date) -> int | None:
        own = {row: terms for row, terms in self.terms.items() if terms.segment == segment}
        if valid_from is not None:
            same = [row for row, terms in own.items() if terms.valid_from == valid_from]
            return same[0] if same else self._new_row(segment, valid_from, own)
        started = {row: terms for row, terms in own.items() if terms.valid_from <= month}
        if started:
            return max(started, key=lambda row: started[row].valid_from)
        if own:
            return min(own, key=lambda row: own[row].valid_from)
        return self._new_row(segment, min(self.sheet.place.months, default=month), own)

    def _new_row(self, segment: str, start: date, own: Mapping[int, Terms]) -> int | None:
        block, name = self.sheet.place.terms, self.sheet.sheets["sla"]
        cells = self.book.cells(name)
        free = next(
            (
                row
                for row in block.rows
                if row not in self.terms
                and not any(
                    (row, block.columns[key]) in cells
                    for key in TERMS_INPUTS
                    if key in block.columns
                )
            ),
            None,
        )
        if free is None:
            self._say(
                "error", "sla", None,
                f"{segment}: no free line for terms from {start:%Y-%m}; delete a line that no "
                "month needs, or insert "
                "one in Excel",
            )  # fmt: skip
            return None
        before = [terms for terms in own.values() if terms.valid_from <= start]
        agreed = max(
            before,
            key=lambda terms: terms.valid_from,
            default=Terms(segment, start, None, None, None),
        )
        terms = replace(agreed, valid_from=start)
        self.terms[free] = terms
        share = terms.marketing_share
        for key, value in (
            ("segment", segment),
            ("valid_from", serial(start)),
            ("marketing_share", share),
            ("sales_share", None if share is None else 1 - share),
            ("deal_size", terms.deal_size),
            ("close_rate", terms.close_rate),
            ("sales_deal_size", terms.sales_deal_size),
            ("sales_close_rate", terms.sales_close_rate),
        ):
            if value is not None and key in block.columns:
                self._put(
                    "sla",
                    free,
                    block.columns[key],
                    value if isinstance(value, str) else _number(value),
                )
        return free

    def _write_terms(self, row: int, figure: Measured) -> None:
        columns, terms = self.sheet.place.terms.columns, self.terms[row]
        flags = (
            "; few customers or leads, drawn towards the rate of all segments"
            if figure.small_sample
            else ""
        )
        if figure.maturing:
            first, last = figure.maturing[0], figure.maturing[-1]
            flags += f"; leads of {first:%Y-%m} to {last:%Y-%m} may still become customers"
        if figure.win_rate is not None:
            flags += f"; of the closed deals {float(figure.win_rate):.0%} were won"
        few = "; fewer than five deals" if figure.few_deals else ""
        if figure.leads and figure.close_rate is None:
            self._say(
                "warning", "sla", (row, columns["close_rate"]),
                f"close rate of {figure.segment} stays: {figure.customers} customers of {figure.leads} "
                "leads are no rate to plan with",
            )  # fmt: skip
        if (
            figure.leads
            and figure.close_rate is not None
            and self._free("sla", row, columns["close_rate"], figure.segment)
        ):
            rate = Fraction(str(float(figure.close_rate)))  # what the cell can hold
            self._put("sla", row, columns["close_rate"], float(rate))
            self._say(
                "ok", "sla", (row, columns["close_rate"]),
                f"close rate of {figure.segment}: {_shown(terms.close_rate)} -> {float(rate):.2%}{flags}",
            )  # fmt: skip
            terms = replace(terms, close_rate=rate)
        if figure.deal_size is not None and self._free(
            "sla", row, columns["deal_size"], figure.segment
        ):
            self._put("sla", row, columns["deal_size"], _number(figure.deal_size))
            old = "nothing" if terms.deal_size is None else f"{terms.deal_size}"
            self._say(
                "ok", "sla", (row, columns["deal_size"]),
                f"deal size of {figure.segment}: {old} -> {figure.deal_size} {figure.currency}{few}",
            )  # fmt: skip
            terms = replace(terms, deal_size=figure.deal_size)
        self.terms[row] = terms

    def _free(self, key: str, row: int, column: int, segment: str) -> bool:
        """Formulas that people wrote in input cells stay."""
        cell = self.book.cells(self.sheet.sheets[key]).get((row, column))
        if cell is None or not cell.formula:
            return True
        self._say("warning", key, (row, column), f"{segment}: your formula {cell.content} was kept")
        return False

    # ------------------------------------------------------------------------ step 6

    def count(self, actuals: Sequence[DayCount], covers: tuple[date, date] | None) -> None:
        block, plan = self.sheet.place.actual, self.sheet.inputs.plan
        if block is None:
            self._say(
                "error",
                "sla",
                None,
                "the sheet Actual is missing, so no leads were written; restore it",
            )
            return
        unassigned = self._unassigned_word()
        names = {normalise(name): name for name in plan.segments}
        known: dict[tuple[date, str], list[int]] = {}
        for row, (day, text, _) in sorted(self.rows.items()):
            known.setdefault((day, names.get(normalise(text), "")), []).append(row)
        new = Counter[tuple[date, str]]()
        for count in actuals:
            new[count.day, names.get(normalise(count.segment), "")] += count.leads
        first, last = covers or (
            min(count.day for count in actuals),
            max(count.day for count in actuals),
        )
        new.update({key: 0 for key in known if first <= key[0] <= last})
        free = (
            max([block.heading, *(row for row, _ in self.book.cells(self.sheet.sheets["actual"]))])
            + 1
        )
        added = [key for key in sorted(new) if key not in known and new[key]]
        if free + len(added) - 1 > block.last:
            self._count_by_month(new, known, names)
            return
        for key in sorted(set(new) & set(known)):
            # Several lines of one day and segment: the first holds the count, the others nothing.
            for row, leads in zip(known[key], (new[key], *[0] * len(known[key])), strict=False):
                self._update_line(row, leads, key[1])
        for row, (day, segment) in enumerate(added, start=free):
            name = segment or unassigned
            like = max(self.sheet.actual_rows, default=0)
            for column, value in (
                ("date", serial(day)),
                ("segment", name),
                ("leads", new[day, segment]),
            ):
                where = block.columns[column]
                self._put("actual", row, where, value, like=(like, where) if like else None)
            self.rows[row] = (day, name, new[day, segment])
        self._say(
            "ok",
            "actual",
            None,
            f"leads from {first} to {last}: {sum(new.values()):,} in {len(added)} new lines",
        )

    def _count_by_month(
        self,
        new: Mapping[tuple[date, str], int],
        known: Mapping[tuple[date, str], list[int]],
        names: Mapping[str, str],
    ) -> None:
        """Write one line per month and segment, because the sheet has no room for the days."""
        block, sheet = self.sheet.place.actual, self.sheet.sheets["actual"]
        if block is None:
            return
        months = Counter[tuple[date, str]]()
        for (day, segment), leads in new.items():
            months[month_start(day), segment] += leads
        for key, rows in known.items():
            if key not in new:
                months[month_start(key[0]), key[1]] += sum(self.rows[row][2] for row in rows)
        lines = dict(enumerate(sorted(months), start=block.first))
        before, self.rows = sorted(self.rows), {}
        for row in before:
            if row not in lines:
                for part in ACTUAL_COLUMNS:
                    self._put("actual", row, block.columns[part], "")
        for row, (month, segment) in lines.items():
            name = names.get(normalise(segment), "") or self._unassigned_word()
            leads = months[month, segment]
            for part, value in (("date", serial(month)), ("segment", name), ("leads", leads)):
                self._put("actual", row, block.columns[part], value)
            self.rows[row] = (month, name, leads)
        self._say(
            "warning", "actual", None,
            f"{sheet} has no room for every day, so leads stand there by month, on its first day",
        )  # fmt: skip

    def _update_line(self, row: int, leads: int, segment: str) -> None:
        block = self.sheet.place.actual
        if block is None or self.rows[row][2] == leads:
            return
        if self._free("actual", row, block.columns["leads"], segment):
            self._put("actual", row, block.columns["leads"], leads)
            self.rows[row] = (*self.rows[row][:2], leads)

    def _unassigned_word(self) -> str:
        words = next(
            (
                words
                for words in WORDS.values()
                if words.sheets["actual"] == self.sheet.sheets["actual"]
            ),
            WORDS["en"],
        )
        return words.labels["unassigned"]

    # ------------------------------------------------------------------------ what follows

    def recompute(self) -> set[Place]:
        """Give every formula of the worksheet its new stored value; return every changed cell."""
        inputs, names = self.sheet.inputs, self.sheet.inputs.plan.segments
        by_hand = self._goals_by_hand()
        plan = replace(inputs.plan, terms=with_goals_by_hand(tuple(self.terms.values()), by_hand))
        lookup = {normalise(name): name for name in names}
        leads: dict[tuple[date, str], int] = {}
        for day, text, count in self.rows.values():
            key = (month_start(day), lookup.get(normalise(text), ""))
            leads[key] = leads.get(key, 0) + count
        after = replace(
            self.sheet,
            inputs=replace(
                inputs,
                plan=plan,
                terms=self.terms,
                leads=leads,
                counted=frozenset(month_start(day) for day, _, _ in self.rows.values()),
            ),
        )
        changed = set(self.edits)
        for cell in computed_cells(after):
            name = self.sheet.sheets[cell.sheet]
            there = self.book.cells(name).get((cell.row, cell.column))
            if there is None or not there.formula:
                continue
            if not same_value(self.book.stored(name).get((cell.row, cell.column)), cell.value):
                place = Place(name, cell.row, cell.column)
                self.edits[place] = Edit(cell.value, stored=True)
                changed.add(place)
        return changed

    def _goals_by_hand(self) -> dict[tuple[date, str, str], int]:
        from digest.sla import goals

        found = {}
        for month, segment, key in self.sheet.inputs.by_hand:
            goal = next(
                goal for goal in goals(self.sheet.inputs.plan, month) if goal.segment == segment
            )
            amount = goal.goal if key == "goal" else goal.sales_goal
            if amount is not None:
                found[month, segment, key] = amount
        return found

    def stale(self, changed: set[Place]) -> Iterator[Finding]:
        """Name the user's own formulas whose stored value is no longer theirs."""
        ours = {
            Place(self.sheet.sheets[c.sheet], c.row, c.column) for c in computed_cells(self.sheet)
        }
        inputs = set(self._input_places())
        for place in dependents(self.book, changed, skip=ours):
            address = f"{place.sheet}!{column_letter(place.column)}{place.row}"
            if place in inputs:
                yield Finding(
                    "error", address,
                    "your formula in this input depends on a filled cell; open the file in "
                    "Excel and save it before the "
                    "digest reads it, then run digest worksheet check",
                )  # fmt: skip
            else:
                yield Finding(
                    "warning", address,
                    "your formula depends on a filled cell; it shows the new value once Excel "
                    "has opened the file",
                )  # fmt: skip

    def _input_places(self) -> Iterator[Place]:
        place, names = self.sheet.place, self.sheet.sheets
        for row in place.terms.rows:
            for key in TERMS_INPUTS:
                if key in place.terms.columns:
                    yield Place(names["sla"], row, place.terms.columns[key])
        for row in place.goals.rows:
            for column in (*place.months.values(), place.goals.columns.get("currency", 0)):
                yield Place(names["goals"], row, column)

    def _put(
        self, key: str, row: int, column: int, value: Value, like: tuple[int, int] | None = None
    ) -> None:
        self.edits[Place(self.sheet.sheets[key], row, column)] = Edit(value, like=like)

    def _say(self, level: str, key: str, cell: tuple[int, int] | None, text: str) -> None:
        subject = self.sheet.sheets[key]
        if cell is not None:
            subject = f"{subject}!{column_letter(cell[1])}{cell[0]}"
        self.findings.append(Finding(level, subject, text))


def _number(amount: Decimal | Fraction | int) -> Value:
    exact = Fraction(amount)
    return int(exact) if exact.denominator == 1 else float(exact)


def _shown(ratio: Fraction | None) -> str:
    return "nothing" if ratio is None else f"{float(ratio):.2%}"

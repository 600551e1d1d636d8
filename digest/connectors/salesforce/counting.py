"""Counts leads: groups and an independent count in one call, and an answer only when they agree."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from digest.connectors.salesforce import FOLLOW_UP_FIELDS, soql
from digest.connectors.salesforce.client import QUERIES, Answer, Client, client_of
from digest.connectors.salesforce.failures import (
    NAME,
    SETTINGS,
    TIMEOUT,
    Refusal,
    overflow,
    transient,
    unreconciled,
)
from digest.connectors.salesforce.fields import STANDARD, FieldInfo, Fields
from digest.connectors.salesforce.slicing import Band, Window, bands, windows
from digest.errors import ConfigError
from digest.model import (
    LeadCounts,
    Origin,
    Period,
    Segment,
    SegmentMap,
    lead_counts,
    normalise,
)

if TYPE_CHECKING:
    from digest.connectors.salesforce import Salesforce

_log = logging.getLogger(__name__)

GROUPS = 2_000
ESTIMATE = 1_500
TOO_MANY = "(too many different values)"

Cell = tuple[date, str | None, int]


class _TooLargeError(Exception):
    """The window has more groups than one answer holds, or takes the server too long."""

    def __init__(self, refusal: Refusal | None = None) -> None:
        super().__init__()
        self.refusal = refusal


class _UnreconciledError(Exception):
    """Two answers differ; the words say how."""


def count_leads(
    settings: Salesforce, period: Period, segments: Sequence[Segment], now: datetime
) -> LeadCounts:
    """Count; ask everything once more when two answers differ, because records come and go meanwhile."""
    SegmentMap(segments)
    if not period.days():
        origin = Origin(NAME, _source(settings), None, 0)
        return lead_counts(period, segments, (), as_of=now, total=0, origin=origin)
    before = client_of(settings).calls
    try:
        return _Count(settings, period, segments).run(now)
    except _UnreconciledError:
        try:
            counts = _Count(settings, period, segments).run(now)
        except _UnreconciledError as error:
            raise unreconciled(str(error)) from None
    calls = client_of(settings).calls - before
    return replace(counts, origin=replace(counts.origin, calls=calls))


def planned_calls(settings: Salesforce, period: Period, segments: Sequence[Segment]) -> int:
    """Return the calls of a count beyond login and describe, when nothing overflows."""
    count = _Count(settings, period, segments)
    parts = count.windows(period.days())
    sizes = [len(count.queries(part)) for part in parts]
    sizes[0] += count.loose_queries(len(parts))
    return sum(-(-size // QUERIES) for size in sizes)


@dataclass(frozen=True)
class Dates:
    """The lead's date fields and whether each is a plain date."""

    names: tuple[str, ...]
    plain: tuple[bool, ...]
    formula: bool = False

    def within(self, window: Window) -> str:
        """Return the condition that the earliest date lies in the window."""
        starts = [soql.literal(window.days[0] if plain else window.start) for plain in self.plain]
        ends = [soql.literal(window.after if plain else window.end) for plain in self.plain]
        every = list(zip(self.names, starts, ends, strict=True))
        pairs = [f"{name} >= {start} AND {name} < {end}" for name, start, end in every]
        if len(pairs) == 1:
            return pairs[0]
        hit = " OR ".join(f"({pair})" for pair in pairs)
        none_before = (f"({name} = null OR {name} >= {start})" for name, start, _ in every)
        return f"({hit}) AND " + " AND ".join(none_before)


def lead_dates(client: Client, settings: Salesforce) -> Dates:
    """Return the date fields with their types, looked up unless Salesforce defines them."""
    known = [STANDARD.get(name.lower()) for name in settings.dates]
    formula = False
    if None in known:
        fields = described(client, settings)
        infos = [fields.get(name) for name in settings.dates]
        known = [info.type if info else "datetime" for info in infos]
        formula = any(info is not None and info.formula for info in infos)
        wrong = [
            f"salesforce: dates: {name!r} is of type {kind}, not a date or date/time"
            for name, kind in zip(settings.dates, known, strict=True)
            if kind not in {"date", "datetime"}
        ]
        if wrong:
            raise ConfigError(*wrong)
    return Dates(settings.dates, tuple(kind == "date" for kind in known), formula)


def described(client: Client, settings: Salesforce) -> Fields:
    """Return the fields of the leads' object.

    Raises:
        ConfigError: names in the settings that it does not have, or that cannot be used as they are.
    """
    fields = client.fields(settings.object)
    mistakes = [
        f"salesforce: {text}"
        for text in (*fields.objections(named_fields(settings)), *_unusable(fields, settings))
    ]
    if mistakes:
        raise ConfigError(*dict.fromkeys(mistakes))
    return fields


def prove_paths(client: Client, settings: Salesforce) -> None:
    """Look at the fields at the ends of paths, such as Account.BillingCountry.

    Raises:
        ConfigError: a related record has no such field, or the segment's cannot be grouped by.
    """
    mistakes: list[str] = []
    for key, name in named_fields(settings):
        fields: Fields | None = client.fields(settings.object)
        *path, last = name.split(".")
        for step in path:
            owners = fields.related(step) if fields else ()
            # A lookup to several objects, such as Owner, shows only what they have in common.
            fields = client.fields(owners[0]) if len(owners) == 1 else None
        if not path or fields is None:
            continue
        info = fields.get(last)
        if info is None:
            mistakes += fields.objections([(key, last)])
        elif key == "segment" and not info.groupable:
            mistakes.append(_ungroupable(name, info))
    if mistakes:
        raise ConfigError(*(f"salesforce: {text}" for text in dict.fromkeys(mistakes)))


def named_fields(settings: Salesforce) -> Iterator[tuple[str, str]]:
    """Yield every field of the leads' object that the settings name, with its key."""
    yield from (("dates", name) for name in settings.dates)
    yield "segment", settings.segment
    yield from (("filters", each.column) for each in settings.filters)
    yield from (
        (f"exclusions, {rule.name!r}", each.column)
        for rule in settings.exclusions
        for each in rule.where
    )
    follow = settings.follow_up_columns
    if follow is not None:
        for key in FOLLOW_UP_FIELDS:
            name = getattr(follow, key)
            if name is not None:
                yield f"follow_up_columns.{key}", name
        yield from (("follow_up_columns.filters", each.column) for each in follow.filters)


def _unusable(fields: Fields, settings: Salesforce) -> Iterator[str]:
    segment = fields.get(settings.segment)
    if segment is not None and segment.type == "reference":
        yield (
            f"segment: {segment.name!r} holds ids, not names; name a field of the related record, such as "
            f"'{segment.relationship}.Name'"
        )
    elif segment is not None and not segment.groupable:
        yield _ungroupable(segment.name, segment)
    for key, name in named_fields(settings):
        info = fields.get(name)
        if info is not None and not info.filterable and key != "segment":
            yield f"{key}: Salesforce cannot filter by {info.name!r}"


def _ungroupable(name: str, info: FieldInfo) -> str:
    kind = "a formula" if info.formula else f"of type {info.type}"
    return (
        f"segment: {name!r} is {kind}, and Salesforce cannot group by it; keep the value in a picklist or "
        "text field"
    )


def explain(client: Client, settings: Salesforce, refusal: Refusal) -> Exception:
    """Return a refused query as the error that the reader sees, with the nearest names when one is wrong."""
    if refusal.code in SETTINGS:
        described(client, settings)
        prove_paths(client, settings)
    return client.failure(refusal)


class _Count:
    """One count of a period."""

    def __init__(self, settings: Salesforce, period: Period, segments: Sequence[Segment]) -> None:
        self.settings, self.period, self.segments = settings, period, segments
        self.client = client_of(settings)
        self.started = self.client.calls
        self.dates = lead_dates(self.client, settings)
        self.zone = period.timezone
        self.slow: Refusal | None = None
        self.filters = [soql.condition(each) for each in settings.filters]
        self.kept = [soql.kept_by(rule) for rule in settings.exclusions]
        # A longer value stands in no field, and in no query.
        self.values = [
            value
            for segment in segments
            for value in segment.matches
            if len(value) <= soql.LONGEST_TEXT
        ]

    # ------------------------------------------------------------------------------- questions

    def where(self, window: Window, *more: str | None) -> str:
        parts = [
            self.dates.within(window),
            *self.filters,
            *self.kept,
            *(part for part in more if part),
        ]
        return f"FROM {self.settings.object} WHERE {soql.all_of(parts)}"

    def by_segment(self, window: Window, *more: str) -> str:
        seg = self.settings.segment
        return f"SELECT {seg} s0, COUNT(Id) n {self.where(window, *more)} GROUP BY {seg}"

    def total(self, window: Window) -> str:
        return f"SELECT COUNT() {self.where(window)}"

    def by_day(self, window: Window, day: str, *more: str | None) -> str:
        seg = self.settings.segment
        where = self.where(window, *more)
        return f"SELECT {seg} s0, {day} d, COUNT(Id) n {where} GROUP BY {seg}, {day}"

    def bands(self, window: Window) -> tuple[Band, ...] | None:
        """Return the bands of hours; None when days must be asked for one by one."""
        single = len(self.dates.names) == 1 and not self.dates.formula
        return bands(window, self.zone) if single and not self.dates.plain[0] else None

    @property
    def by_plain_date(self) -> bool:
        return len(self.dates.names) == 1 and self.dates.plain[0] and not self.dates.formula

    def windows(self, days: Sequence[date]) -> list[Window]:
        grouped = self.by_plain_date or self.bands(Window.of(days, self.zone)) is not None
        rows = (len(self.values) + 2) if grouped else 0
        return windows(days, self.zone, rows_a_day=rows, most=ESTIMATE)

    def queries(self, window: Window) -> list[str]:
        """Return the questions of a window: its segments, its total, and its days."""
        asked = [self.by_segment(window), self.total(window)]
        if len(window.days) == 1:
            return asked
        name = self.dates.names[0]
        if self.by_plain_date:
            return [*asked, self.by_day(window, name)]
        parts = self.bands(window)
        if parts is not None:
            return [
                *asked,
                *(self.by_day(window, f"DAY_ONLY({name})", part.condition(name)) for part in parts),
            ]
        return [*asked, *(self.by_segment(Window.of([day], self.zone)) for day in window.days)]

    def loose_queries(self, parts: int) -> int:
        """How many questions stand beside those of the windows: exclusions, and a total."""
        return len(self.settings.exclusions) + (parts > 1)

    def excluded(self, place: int) -> Callable[[Window], str]:
        """Return the question how many records an exclusion takes out of a window."""

        def question(window: Window) -> str:
            parts = [
                self.dates.within(window),
                *self.filters,
                *self.kept[:place],
                soql.excluded_by(self.settings.exclusions[place]),
            ]
            return f"SELECT COUNT() FROM {self.settings.object} WHERE {soql.all_of(parts)}"  # noqa: S608 - checked names

        return question

    # -------------------------------------------------------------------------------- answers

    def run(self, now: datetime) -> LeadCounts:
        days = self.period.days()
        whole = Window.of(days, self.zone)
        cells: list[Cell] = []
        total = 0
        todo = deque(self.windows(days))
        several = len(todo) > 1
        first = self.queries(todo[0])[0]
        questions = [self.excluded(place) for place in range(len(self.kept))]
        questions += [self.total] if several else []
        loose = [question(whole) for question in questions]
        answered: list[Answer] = []
        # They go along with the first window, where they often fit into the same call.
        while todo:
            window = todo.popleft()
            try:
                found, number, loose_answers = self._window(window, loose)
            except _TooLargeError as error:
                self._give_up_on_slowness(window, error.refusal)
                halves = window.halves(self.zone, whole_days=any(self.dates.plain))
                if halves is None:
                    found, number = self._smallest(window)
                    loose_answers = None
                else:
                    todo.extendleft(reversed(halves))
                    continue
            if loose_answers is not None:
                loose, answered = [], loose_answers
            cells += found
            total += number
        answers = self._ask(loose) if loose else answered
        numbers = [
            self._number(question, whole, answer)
            for question, answer in zip(questions, answers, strict=True)
        ]
        self._warn_of_quota()
        if several and numbers[-1] != total:
            raise _UnreconciledError(
                f"the parts add up to {total:,} leads, the whole to {numbers[-1]:,}"
            )
        counts = lead_counts(
            self.period,
            self.segments,
            cells,
            as_of=self.client.session.told_at or now,
            total=total,
            origin=Origin(
                NAME,
                _source(self.settings),
                first,
                self.client.calls - self.started,
                self.client.session.usage if self.client.session.almost_used else None,
            ),
            excluded=tuple(
                (rule.name, n) for rule, n in zip(self.settings.exclusions, numbers, strict=False)
            ),
        )
        if not counts.reconciled:
            found_leads = sum(row.leads for row in counts.rows)
            raise _UnreconciledError(
                f"the days add up to {found_leads:,} leads, the count to {total:,}"
            )
        return counts

    def _warn_of_quota(self) -> None:
        usage = self.client.session.usage
        if usage is not None and self.client.session.almost_used:
            _log.warning(
                "salesforce: %s of %s API calls of 24 hours are used; beyond that the digest is held",
                f"{usage[0]:,}",
                f"{usage[1]:,}",
            )

    def _window(
        self, window: Window, loose: Sequence[str]
    ) -> tuple[list[Cell], int, list[Answer] | None]:
        """Ask for a window, and for the loose questions along with it."""
        queries = self.queries(window)
        answers = self._ask([*queries, *loose])
        own, others = answers[: len(queries)], answers[len(queries) :]
        segments = self._groups(own[0])
        total = self._total(own[1])
        if sum(number for _, number in segments) != total:
            found = sum(number for _, number in segments)
            raise _UnreconciledError(
                f"the segments add up to {found:,} leads, the count of the same moment to {total:,}"
            )
        if len(window.days) == 1:
            cells = [(window.days[0], value, number) for value, number in segments]
        else:
            cells = list(self._cells(window, own[2:]))
            if _by_value(segments) != _by_value((value, number) for _, value, number in cells):
                raise _UnreconciledError(
                    f"the days add up to {sum(cell[2] for cell in cells):,} leads, their segments to "
                    f"{total:,}"
                )
        return cells, total, list(others) if loose else None

    def _cells(self, window: Window, answers: Sequence[Answer]) -> Iterator[Cell]:
        if self.by_plain_date:
            for value, number, day in self._day_groups(answers[0]):
                yield self._inside(window, day), value, number
            return
        parts = self.bands(window)
        if parts is None:
            for day, answer in zip(window.days, answers, strict=True):
                for value, number in self._groups(answer):
                    yield day, value, number
            return
        for part, answer in zip(parts, answers, strict=True):
            for value, number, day in self._day_groups(answer):
                if day not in part.local:
                    raise _UnreconciledError(f"a lead is counted on {day}, outside the period")
                yield part.local[day], value, number

    @staticmethod
    def _inside(window: Window, day: date) -> date:
        if not window.days[0] <= day < window.after:
            raise _UnreconciledError(f"a lead is counted on {day}, outside the period")
        return day

    def _number(self, question: Callable[[Window], str], window: Window, answer: Answer) -> int:
        """Return a count, in parts where the whole takes the server too long."""
        try:
            return self._total(answer)
        except _TooLargeError as error:
            self._give_up_on_slowness(window, error.refusal)
        halves = window.halves(self.zone, whole_days=True)
        if halves is None:
            raise self._too_many()
        answers = self._ask([question(half) for half in halves])
        return sum(
            self._number(question, half, part) for half, part in zip(halves, answers, strict=True)
        )

    def _give_up_on_slowness(self, window: Window, refusal: Refusal | None) -> None:
        """Remember that the server is slow; raise where it is so for a single day."""
        if refusal is None or refusal.code not in TIMEOUT:
            return
        self.slow = refusal
        if len(window.days) == 1:
            raise transient(f"{self.client.host} takes too long even for one day: {refusal.said}")

    def _smallest(self, window: Window) -> tuple[list[Cell], int]:
        """Count a window that cannot be cut: the configured values by name, the others as one number."""
        seg = self.settings.segment
        named = soql.all_of([f"{seg} IN ({', '.join(soql.literal(v) for v in self.values)})"])
        asked = [self.by_segment(window, named)] if self.values else []
        answers = self._ask([*asked, self.total(window)])
        try:
            groups = self._groups(answers[0]) if self.values else []
            total = self._total(answers[-1])
        except _TooLargeError:
            raise self._too_many() from None
        rest = total - sum(number for _, number in groups)
        if rest < 0:
            raise _UnreconciledError(f"more leads in the segments than the {total:,} of the day")
        day = window.days[0]
        return [*((day, value, n) for value, n in groups), (day, TOO_MANY, rest)], total

    def _ask(self, queries: Sequence[str]) -> list[Answer]:
        planned = -(-len(queries) // QUERIES)
        if self.client.calls - self.started + planned > self.settings.max_calls:
            raise self._too_many()
        answers = self.client.ask(queries)
        for answer in answers:
            if answer.refusal and not answer.refusal.too_large:
                raise explain(self.client, self.settings, answer.refusal)
        return answers

    def _too_many(self) -> Exception:
        if self.slow is not None:
            calls = f"{self.settings.max_calls} calls"
            return transient(
                f"{self.client.host} is too slow to count in {calls}: {self.slow.said}"
            )
        return overflow(
            f"the segment field {self.settings.segment!r} has too many different values to count in "
            f"{self.settings.max_calls} calls",
            "choose the field that holds the segment, not a name or an id, or raise max_calls",
        )

    def _total(self, answer: Answer) -> int:
        if answer.refusal:
            raise _TooLargeError(answer.refusal)
        if answer.rows or not answer.whole:
            raise transient(f"{self.client.host} answered a count with records")
        return answer.total

    def _groups(self, answer: Answer) -> list[tuple[str | None, int]]:
        self._fits(answer)
        return [(segment_text(row.get("s0")), whole_number(row.get("n"))) for row in answer.rows]

    def _day_groups(self, answer: Answer) -> list[tuple[str | None, int, date]]:
        self._fits(answer)
        return [
            (segment_text(row.get("s0")), whole_number(row.get("n")), _day(row.get("d")))
            for row in answer.rows
        ]

    def _fits(self, answer: Answer) -> None:
        if answer.refusal:
            raise _TooLargeError(answer.refusal)
        if not answer.whole or len(answer.rows) >= GROUPS or answer.total != len(answer.rows):
            raise _TooLargeError


def _source(settings: Salesforce) -> str:
    return f"{settings.host_stem}.salesforce.com, {settings.object}, {', '.join(settings.dates)}"


def _by_value(groups: Iterable[tuple[str | None, int]]) -> Mapping[str, int]:
    """Sum by value as it is compared: the server may show another spelling of a group each time."""
    found: Counter[str] = Counter()
    for value, number in groups:
        found[normalise(value or "")] += number
    return +found


def segment_text(value: object) -> str | None:
    """Return a segment's value as text; None stays None."""
    if value is None or isinstance(value, str):
        return value
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def whole_number(value: object) -> int:
    """Return a count.

    Raises:
        ConnectorError: it is missing, negative or not whole.
    """
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return whole_number(int(value))
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise unreconciled("a group has no number of leads")
    return value


def _day(value: object) -> date:
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise unreconciled("a group has no day") from None

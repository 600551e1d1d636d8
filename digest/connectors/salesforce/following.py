"""Reads what sales did with the leads: times and counts per lead, never who it was."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from digest.connectors.salesforce import soql
from digest.connectors.salesforce.client import QUERIES, Answer, Client, client_of
from digest.connectors.salesforce.counting import (
    GROUPS,
    described,
    explain,
    segment_text,
    whole_number,
)
from digest.connectors.salesforce.dealing import along
from digest.connectors.salesforce.failures import SETTINGS, overflow, transient
from digest.connectors.salesforce.slicing import Window
from digest.errors import ConfigError
from digest.model import UNASSIGNED, FollowUpRow, Period, Segment, SegmentMap, normalise
from digest.tally import known_values, outcomes

if TYPE_CHECKING:
    from digest.connectors.salesforce import FollowUpColumns, Salesforce

_log = logging.getLogger(__name__)

LEADS_A_WINDOW = 1_500
PEOPLE = 500
FINISHED, CREATED = "CompletedDateTime", "CreatedDate"


@dataclass(frozen=True)
class _Touched:
    """First activity and number of activities of one lead or contact."""

    first: datetime | None
    attempts: int


def follow_up(
    settings: Salesforce, period: Period, segments: Sequence[Segment], now: datetime
) -> tuple[FollowUpRow, ...]:
    """Read one row per lead whose clock started in the period, and nothing after `now`."""
    columns = settings.follow_up_columns
    if columns is None:
        raise ConfigError(
            "salesforce: follow_up_columns: the settings name none; add [connector.follow_up_columns] "
            "with clock_start"
        )
    if not period.days():
        return ()
    client = client_of(settings)
    info = described(client, settings).get(columns.clock_start)
    if info is not None and info.type != "datetime":
        raise ConfigError(
            f"salesforce: follow_up_columns.clock_start: {info.name!r} is of type {info.type}; a response "
            "time needs a date/time field"
        )
    reader = _Reader(client, settings, columns, SegmentMap(segments), now)
    rows = reader.rows(Window.of(period.days(), period.timezone), period.timezone)
    return tuple(
        sorted(rows, key=lambda row: (row.clock_start, row.segment, row.attempts, row.outcome))
    )


class _Reader:
    def __init__(
        self,
        client: Client,
        settings: Salesforce,
        columns: FollowUpColumns,
        segments: SegmentMap,
        now: datetime,
    ) -> None:
        self.client, self.settings, self.columns = client, settings, columns
        self.segments, self.now = segments, now
        self.segment = columns.segment or settings.segment
        self.meaning = outcomes(
            accepted=columns.accepted, rejected=columns.rejected, closed=columns.closed
        )
        self.website = known_values(columns.website)
        self.converts = settings.counts_leads
        self.task_time = FINISHED
        self.started = client.calls

    def where(self, window: Window) -> str:
        start = self.columns.clock_start
        return soql.all_of(
            [
                f"{start} >= {soql.literal(window.start)} AND {start} < {soql.literal(window.end)}",
                *(soql.condition(each) for each in self.settings.filters),
                *(soql.kept_by(rule) for rule in self.settings.exclusions),
                *(soql.condition(each) for each in self.columns.filters),
            ]
        )

    def rows(self, window: Window, timezone: str) -> list[FollowUpRow]:
        records = list(self._read(self._question(window)))
        touched: dict[str, _Touched] = {}
        apart: dict[str, list[datetime]] = {}
        if self.columns.reads == "sales engagement" and records:
            touched = self._engagements(window)
        elif self.columns.reads == "tasks and events":
            for part in self._parts(window, timezone, records):
                touched.update(self._activities(part, timezone))
            apart = self._one_by_one(_shared(records) & touched.keys())
        return [self._row(record, touched, apart) for record in records]

    def _read(self, question: str) -> Iterator[Mapping[str, Any]]:
        self._afford(1)
        for record in self.client.whole(question):
            self._afford(0)  # a page more than 2,000 records is a call as well
            yield record

    def _afford(self, calls: int) -> None:
        if self.client.calls - self.started + calls > self.settings.max_calls:
            raise overflow(
                f"more follow-up than {self.settings.max_calls} calls can read",
                "name a field with the first response, narrow the filters, or raise max_calls",
            )

    def _question(self, window: Window) -> str:
        columns = self.columns
        named = [self.segment, columns.clock_start, columns.outcome, columns.first_response]
        named += [columns.attempts, columns.source, "IsConverted" if self.converts else None]
        if columns.first_response is None:
            named += ["Id", "ConvertedContactId" if self.converts else None]
        chosen = dict.fromkeys(name for name in named if name)
        source = f"FROM {self.settings.object} WHERE {self.where(window)}"
        return f"SELECT {', '.join(chosen)} {source}"

    def _parts(
        self, window: Window, timezone: str, records: Sequence[Mapping[str, Any]]
    ) -> Iterator[Window]:
        """Cut a window so that each part has few enough leads for one group per lead."""
        starts = [self._start(record) for record in records]
        todo = [window]
        while todo:
            part = todo.pop()
            number = sum(part.start <= moment < part.end for moment in starts)
            halves = part.halves(timezone, whole_days=False)
            if number > LEADS_A_WINDOW and halves is not None:
                todo += halves
            elif number:
                yield part

    def _engagements(self, window: Window) -> dict[str, _Touched]:
        """Return the first call or mail by lead, where Sales Engagement keeps them."""
        leads = f"SELECT Id FROM {self.settings.object} WHERE {self.where(window)}"  # noqa: S608 - checked names
        names = ("FirstCallDateTime", "FirstEmailDateTime")
        question = (
            f"SELECT BaseId, {', '.join(names)} FROM ActivityMetric WHERE BaseId IN ({leads})"  # noqa: S608 - checked names
        )
        found: dict[str, _Touched] = {}
        for record in self._read(question):
            moments = [_instant(along(record, name)) for name in names]
            known = [moment for moment in moments if moment is not None and moment <= self.now]
            if known:
                found[str(along(record, "BaseId"))] = _Touched(min(known), len(known))
        return found

    def _activities(self, window: Window, timezone: str) -> dict[str, _Touched]:
        """Return activities by the id of lead or contact; ids stay in this process."""
        answers = self._asked(list(self._activity_questions(window)))
        if self.task_time == FINISHED and any(_names_are_wrong(answer) for answer in answers):
            # Not every org can take the least of the times at which tasks were completed.
            self.task_time = CREATED
            _log.warning(
                "salesforce: %s cannot be asked for, so a task counts from its creation", FINISHED
            )
            answers = self._asked(list(self._activity_questions(window)))
        if any(self._too_large(answer) for answer in answers):
            halves = window.halves(timezone, whole_days=False)
            if halves is None:
                raise overflow(
                    "the activities of one moment are more than one answer holds",
                    "give the user of the login 'View All Data', or name a field with the first response",
                )
            return {
                **self._activities(halves[0], timezone),
                **self._activities(halves[1], timezone),
            }
        found: dict[str, _Touched] = {}
        for answer in answers:
            if answer.refusal:
                raise explain(self.client, self.settings, answer.refusal)
            for row in answer.rows:
                who = str(row.get("WhoId"))
                found[who] = _joined(
                    found.get(who),
                    _Touched(_instant(row.get("a")), whole_number(row.get("n"))),
                )
        return found

    def _asked(self, queries: Sequence[str]) -> list[Answer]:
        self._afford(-(-len(queries) // QUERIES))
        return self.client.ask(queries)

    def _one_by_one(self, people: AbstractSet[str]) -> dict[str, list[datetime]]:
        """Return the time of every activity of contacts that several leads became."""
        found: dict[str, list[datetime]] = {who: [] for who in sorted(people)}
        for start in range(0, len(found), PEOPLE):
            some = ", ".join(soql.literal(who) for who in list(found)[start : start + PEOPLE])
            for name, when, done in self._kinds():
                question = f"SELECT WhoId, {when} FROM {name} WHERE WhoId IN ({some}) AND {done}"  # noqa: S608 - checked names
                for record in self._read(question):
                    moment = _instant(along(record, when))
                    if moment is not None:
                        found[str(along(record, "WhoId"))].append(moment)
        return found

    @staticmethod
    def _too_large(answer: Answer) -> bool:
        if answer.refusal:
            return answer.refusal.too_large
        return not answer.whole or len(answer.rows) >= GROUPS

    def _kinds(self) -> Iterator[tuple[str, str, str]]:
        """Yield what counts as an activity: object, field with its time, condition that a person did it."""
        users = ", ".join(soql.literal(user) for user in self.columns.automation_users)
        human = f" AND CreatedById NOT IN ({users})" if users else ""
        now = soql.literal(self.now)
        yield (
            "Task",
            self.task_time,
            f"IsClosed = true AND {self.task_time} <= {now}{human}",
        )
        yield "Event", "StartDateTime", f"StartDateTime <= {now}{human}"

    def _activity_questions(self, window: Window) -> Iterator[str]:
        leads = f"FROM {self.settings.object} WHERE {self.where(window)}"
        people = [f"SELECT Id {leads}"]
        if self.converts:
            people = [
                f"SELECT Id {leads} AND IsConverted = false",
                f"SELECT ConvertedContactId {leads} AND IsConverted = true",
            ]
        for name, when, done in self._kinds():
            for inner in people:
                where = f"WHERE WhoId IN ({inner}) AND {done} GROUP BY WhoId"
                yield f"SELECT WhoId, MIN({when}) a, COUNT(Id) n FROM {name} {where}"  # noqa: S608 - checked names

    def _row(
        self,
        record: Mapping[str, Any],
        touched: Mapping[str, _Touched],
        apart: Mapping[str, Sequence[datetime]],
    ) -> FollowUpRow:
        start = self._start(record)
        converted = along(record, "IsConverted") is True
        columns = self.columns
        if columns.first_response is not None:
            response = _instant(along(record, columns.first_response))
            attempts = int(response is not None and response <= self.now)
        else:
            who = str(along(record, self._touched_as(converted=converted)))
            activity = touched.get(who, _Touched(None, 0))
            if who in apart:
                # Each of the leads that became one contact has the activities after its own start.
                own = [moment for moment in apart[who] if moment >= start]
                activity = _Touched(min(own, default=None), len(own))
            response, attempts = activity.first, activity.attempts
        if columns.attempts is not None:
            value = along(record, columns.attempts)
            attempts = 0 if value is None else whole_number(value)
        if response is not None and response > self.now:
            response = None  # a planned call is no response
        if response is not None and response < start:
            response = start  # contacted before
        outcome = "accepted" if converted else "open"
        if columns.outcome is not None:
            value = segment_text(along(record, columns.outcome))
            outcome = self.meaning.get(normalise(value or ""), "open")
        segment = self.segments.segment_of(segment_text(along(record, self.segment)))
        source = segment_text(along(record, columns.source)) if columns.source else None
        website = normalise(source or "") in self.website
        return FollowUpRow(segment or UNASSIGNED, start, response, attempts, outcome, website)

    def _touched_as(self, *, converted: bool) -> str:
        """Return the field by whose id activities are found: those of a lead move to its contact."""
        moved = converted and self.columns.activities == "tasks and events"
        return "ConvertedContactId" if moved else "Id"

    def _start(self, record: Mapping[str, Any]) -> datetime:
        moment = _instant(along(record, self.columns.clock_start))
        if moment is None:
            raise transient(f"{self.client.host} sent a lead without the time that was asked for")
        return moment


def _shared(records: Sequence[Mapping[str, Any]]) -> set[str]:
    """Return the contacts that several of the leads became."""
    contacts = Counter(
        str(along(record, "ConvertedContactId"))
        for record in records
        if along(record, "IsConverted") is True
    )
    return {contact for contact, leads in contacts.items() if leads > 1}


def _names_are_wrong(answer: Answer) -> bool:
    return answer.refusal is not None and answer.refusal.code in SETTINGS


def _joined(one: _Touched | None, other: _Touched) -> _Touched:
    if one is None:
        return other
    moments = [moment for moment in (one.first, other.first) if moment is not None]
    return _Touched(min(moments, default=None), one.attempts + other.attempts)


def _instant(value: object) -> datetime | None:
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        raise transient("a time is not written as Salesforce writes it") from None
    return moment.astimezone(UTC)

"""Reads what sales did with the leads: times and counts per lead, never who it was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
from digest.connectors.salesforce.failures import overflow, transient
from digest.connectors.salesforce.slicing import Window
from digest.errors import ConfigError
from digest.model import UNASSIGNED, FollowUpRow, Period, Segment, SegmentMap, normalise
from digest.tally import outcomes

if TYPE_CHECKING:
    from digest.connectors.salesforce import FollowUpColumns, Salesforce

LEADS_A_WINDOW = 1_500
FIRST = "CompletedDateTime"


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
        self.converts = settings.object == "Lead"
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
        records = list(self.client.whole(self._question(window)))
        touched: dict[str, _Touched] = {}
        if self.columns.first_response is None:
            for part in self._parts(window, timezone, records):
                touched.update(self._activities(part, timezone))
        return [self._row(record, touched) for record in records]

    def _question(self, window: Window) -> str:
        columns = self.columns
        named = [self.segment, columns.clock_start, columns.outcome, columns.first_response]
        named += [columns.attempts, "IsConverted" if self.converts else None]
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

    def _activities(self, window: Window, timezone: str) -> dict[str, _Touched]:
        """Return activities by the id of lead or contact; ids stay in this process."""
        queries = list(self._activity_questions(window))
        if self.client.calls - self.started + -(-len(queries) // QUERIES) > self.settings.max_calls:
            raise overflow(
                f"more follow-up than {self.settings.max_calls} calls can read",
                "name a field with the first response, narrow the filters, or raise max_calls",
            )
        answers = self.client.ask(queries)
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

    @staticmethod
    def _too_large(answer: Answer) -> bool:
        if answer.refusal:
            return answer.refusal.too_large
        return not answer.whole or len(answer.rows) >= GROUPS

    def _activity_questions(self, window: Window) -> Iterator[str]:
        users = ", ".join(soql.literal(user) for user in self.columns.automation_users)
        human = f" AND CreatedById NOT IN ({users})" if users else ""
        now = soql.literal(self.now)
        sources = (
            ("Task", FIRST, f"IsClosed = true AND {FIRST} <= {now}"),
            ("Event", "StartDateTime", f"StartDateTime <= {now}"),
        )
        leads = f"FROM {self.settings.object} WHERE {self.where(window)}"
        people = [f"SELECT Id {leads}"]
        if self.converts:
            people = [
                f"SELECT Id {leads} AND IsConverted = false",
                f"SELECT ConvertedContactId {leads} AND IsConverted = true",
            ]
        for name, when, done in sources:
            for inner in people:
                where = f"WHERE WhoId IN ({inner}) AND {done}{human} GROUP BY WhoId"
                yield f"SELECT WhoId, MIN({when}) a, COUNT(Id) n FROM {name} {where}"  # noqa: S608 - checked names

    def _row(self, record: Mapping[str, Any], touched: Mapping[str, _Touched]) -> FollowUpRow:
        start = self._start(record)
        converted = along(record, "IsConverted") is True
        columns = self.columns
        if columns.first_response is not None:
            response = _instant(along(record, columns.first_response))
            attempts = int(response is not None and response <= self.now)
        else:
            who = along(record, "ConvertedContactId" if converted else "Id")
            activity = touched.get(str(who), _Touched(None, 0))
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
        return FollowUpRow(segment or UNASSIGNED, start, response, attempts, outcome)

    def _start(self, record: Mapping[str, Any]) -> datetime:
        moment = _instant(along(record, self.columns.clock_start))
        if moment is None:
            raise transient(f"{self.client.host} sent a lead without the time that was asked for")
        return moment


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

"""The frozen values that flow from a connector to the reader's inbox.

Counts are int, money and ratios are Decimal or Fraction, days are local dates. None means "not known"
and is never 0. No value here holds a lead's personal data or text made for a reader.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from zoneinfo import ZoneInfo

from digest.errors import ConfigError


class Secret:
    """A value that no repr, log line or traceback may show."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the secret itself, for the one call that needs it."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


# ---------------------------------------------------------------------------------------- segments


def normalise(value: str) -> str:
    """Return the form in which segment values are compared: NFC, trimmed, inner space folded, casefolded."""
    folded = unicodedata.normalize("NFC", value).casefold()
    return unicodedata.normalize("NFC", " ".join(folded.split()))


@dataclass(frozen=True, slots=True)
class Segment:
    """The unit that owns a goal: a region, persona or channel.

    Attributes:
        name: what people read, unique in a digest.
        values: what the source writes for it; the name itself when nothing is given.
        calendar: id of the segment's own pacing calendar, None for the digest's.
        active_from: first day on which the segment owes leads, None for always.
    """

    name: str
    values: tuple[str, ...] = ()
    calendar: str | None = None
    active_from: date | None = None

    @property
    def matches(self) -> tuple[str, ...]:
        """The source values that belong to this segment."""
        return self.values or (self.name,)


class SegmentMap:
    """Decides which segment a source value belongs to.

    Raises:
        ConfigError: two segments claim the same value.
    """

    def __init__(self, segments: Sequence[Segment]) -> None:
        self._names: dict[str, str] = {}
        clashes = []
        for segment in segments:
            for value in segment.matches:
                owner = self._names.setdefault(normalise(value), segment.name)
                if owner != segment.name:
                    clashes.append(
                        f"segments: {value!r} belongs to both {owner!r} and {segment.name!r}; "
                        "give each source value to one segment"
                    )
        if clashes:
            raise ConfigError(*clashes)
        self._priority = {segment.name: rank for rank, segment in enumerate(segments)}

    def segment_of(self, *values: str | None) -> str | None:
        """Return the segment's name, or None for unassigned.

        Several values (a multiple choice field) go to the segment that stands first in the settings.
        """
        names = {
            self._names[key]
            for value in values
            if value and (key := normalise(value)) in self._names
        }
        return min(names, key=self._priority.__getitem__) if names else None


# -------------------------------------------------------------------------------------------- time


def local_instant(day: date, wall: time, timezone: str) -> datetime:
    """Return the UTC instant of a local wall time.

    A time skipped by a clock change is the instant of the change; a repeated one is the first.
    """
    zone = ZoneInfo(timezone)
    local = datetime.combine(day, wall, tzinfo=zone)
    instant = local.astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None):
        return instant
    # In a gap fold=1 lies before the change and fold=0 after it: find the second between them.
    early, late = local.replace(fold=1).astimezone(UTC), instant
    after = late.astimezone(zone).utcoffset()
    while late - early > timedelta(seconds=1):
        middle = (early + (late - early) / 2).replace(microsecond=0)
        if middle.astimezone(zone).utcoffset() == after:
            late = middle
        else:
            early = middle
    return late


def local_midnight(day: date, timezone: str) -> datetime:
    """Return the UTC instant at which a local day begins, by the rule of `local_instant`."""
    return local_instant(day, time(), timezone)


@dataclass(frozen=True, slots=True)
class Period:
    """Local days [start, end) of an IANA time zone; `end` is exclusive."""

    start: date
    end: date
    timezone: str = "Europe/Zurich"

    def days(self) -> tuple[date, ...]:
        """Every local day, in order."""
        return tuple(self.start + timedelta(n) for n in range((self.end - self.start).days))

    def bounds(self) -> tuple[datetime, ...]:
        """The UTC instants of the local midnights: one per day and the exclusive end."""
        return tuple(local_midnight(day, self.timezone) for day in (*self.days(), self.end))

    def __contains__(self, day: date) -> bool:
        return self.start <= day < self.end


def month_start(day: date) -> date:
    """Return the first day of the day's month."""
    return day.replace(day=1)


def add_months(month: date, count: int) -> date:
    """Return the first day of the month `count` months after `month` (before, when negative)."""
    index = month.year * 12 + month.month - 1 + count
    return date(index // 12, index % 12 + 1, 1)


# ------------------------------------------------------------------------- what a connector returns


@dataclass(frozen=True, slots=True, order=True)
class DayCount:
    """Leads of one local day and segment; segment "" holds the unassigned ones."""

    day: date
    segment: str
    leads: int


UNASSIGNED = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a count came from, printable: no secret, no lead.

    Attributes:
        connector: name in CONNECTORS.
        source: what was read, as the user knows it ("leads.xlsx", "postgresql://crm.example/sales, leads").
        query: what was asked, without secrets; None when there was no query.
        calls: requests or statements made.
        quota: calls that the source's account has used and may make in 24 hours, once few are left.
    """

    connector: str
    source: str
    query: str | None = None
    calls: int = 0
    quota: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class LeadCounts:
    """Complete counts of a period by local day and segment.

    Attributes:
        rows: one per day and segment that has leads, sorted; a missing row is a zero.
        as_of: UTC instant at which the source was read, or at which its data was last loaded.
        total: leads of the whole period as counted by a second question to the source.
        reconciled: the rows add up to `total`.
        unknown: values of the segment field that belong to no segment, with their leads, most first;
            "" stands for an empty or missing value.
        excluded: exclusion rules with the number of records each removed.
    """

    period: Period
    rows: tuple[DayCount, ...]
    as_of: datetime
    total: int
    reconciled: bool
    origin: Origin
    unknown: tuple[tuple[str, int], ...] = ()
    excluded: tuple[tuple[str, int], ...] = ()


def lead_counts(
    period: Period,
    segments: Sequence[Segment],
    values: Iterable[tuple[date, str | None, int]],
    *,
    as_of: datetime,
    total: int,
    origin: Origin,
    excluded: tuple[tuple[str, int], ...] = (),
) -> LeadCounts:
    """Build LeadCounts from (local day, value of the segment field, leads).

    This is the one place where source values are mapped to segments, so that no connector does it
    differently. Days outside the period are a bug of the caller and raise ValueError.
    """
    segment_map = SegmentMap(segments)
    cells: dict[tuple[date, str], int] = {}
    unknown: dict[str, int] = {}
    for day, value, leads in values:
        if day not in period:
            msg = f"{day} is outside {period}"
            raise ValueError(msg)
        segment = segment_map.segment_of(value)
        if segment is None:
            shown = " ".join((value or "").split())
            unknown[shown] = unknown.get(shown, 0) + leads
        key = (day, UNASSIGNED if segment is None else segment)
        cells[key] = cells.get(key, 0) + leads
    rows = tuple(
        DayCount(day, segment, leads) for (day, segment), leads in sorted(cells.items()) if leads
    )
    return LeadCounts(
        period=period,
        rows=rows,
        as_of=as_of,
        total=total,
        reconciled=sum(row.leads for row in rows) == total,
        origin=origin,
        unknown=tuple(
            sorted(((v, n) for v, n in unknown.items() if n), key=lambda item: (-item[1], item[0]))
        ),
        excluded=excluded,
    )


@dataclass(frozen=True, slots=True)
class SegmentDeals:
    """Deals and leads of one segment in a window of complete months; segment "" is unassigned.

    Attributes:
        won, lost: closed deals by outcome.
        won_amount: sum of the won amounts above 0, in `currency`.
        won_with_amount: won deals that carry such an amount.
        leads: leads dated in the window.
        customers: leads that became customers in the window (pooled).
        cohort_customers: of the leads dated in the window, those that became customers so far.
    """

    segment: str
    won: int
    lost: int
    won_amount: Decimal
    won_with_amount: int
    currency: str | None
    leads: int
    customers: int
    cohort_customers: int


@dataclass(frozen=True, slots=True)
class DealStatistics:
    """What steps 2 and 4 of the worksheet measure; one entry per segment and currency.

    Attributes:
        no_customers: why the source cannot tell which leads became customers; there are no close rates
            then, whatever the entries say. None when it can.
    """

    window: Period
    segments: tuple[SegmentDeals, ...]
    as_of: datetime
    origin: Origin
    no_customers: str | None = None


@dataclass(frozen=True, slots=True)
class FollowUpRow:
    """One qualified lead's way through sales, without identity.

    Attributes:
        segment: segment name, "" for unassigned.
        clock_start: UTC instant of qualification or assignment.
        first_response: UTC instant of the first human outbound activity, None when there was none.
        attempts: outbound activities so far.
        outcome: "accepted", "rejected", "open" or "closed".
        website: the lead came from the website, where a sooner answer is promised.
    """

    segment: str
    clock_start: datetime
    first_response: datetime | None
    attempts: int
    outcome: str
    website: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `digest check`. Levels: "ok", "warning", "error"."""

    level: str
    subject: str
    text: str


# ------------------------------------------------------------------------------------ the scorecard


class Status(StrEnum):
    """The state of a goal on a business date."""

    NO_DATA = "no_data"
    NO_TARGET = "no_target"
    REACHED = "reached"
    MISSED = "missed"
    TOO_EARLY = "too_early"
    AHEAD = "ahead"
    ON_TRACK = "on_track"
    AT_RISK = "at_risk"
    BEHIND = "behind"


class Kind(StrEnum):
    """The two kinds of edition."""

    MONTH_TO_DATE = "month_to_date"
    MONTH_CLOSE = "month_close"


class NoteCode(StrEnum):
    """What a note or warning says; `render` has the words for each."""

    WITHIN_NORMAL_VARIATION = "within_normal_variation"
    FORECAST_BELOW_GOAL = "forecast_below_goal"
    WITHOUT_GOAL = "without_goal"
    SET_BY_HAND = "set_by_hand"
    CLOSE_RATE_MISSING = "close_rate_missing"
    DEAL_SIZE_MISSING = "deal_size_missing"
    REVENUE_GOAL_MISSING = "revenue_goal_missing"
    SHARE_MISSING = "share_missing"
    NO_SLA = "no_sla"
    CARRIED_FORWARD = "carried_forward"
    GOAL_CHANGED = "goal_changed"
    UNASSIGNED = "unassigned"
    IMPLAUSIBLE_ZERO = "implausible_zero"
    CALENDAR_CHANGED = "calendar_changed"
    LATE_ENTRIES = "late_entries"
    ACTIVE_FROM = "active_from"
    PARTIAL = "partial"
    STALE = "stale"
    FOLLOW_UP_MISSING = "follow_up_missing"
    DEALS_MISSING = "deals_missing"


@dataclass(frozen=True, slots=True)
class Note:
    """A fact worth saying, as a code and its figures; `render` makes the sentence.

    Attributes:
        segment: the segment it concerns, None for the whole.
        number: its main figure (leads, an old goal); `other` the second one (a new goal).
        share: a ratio.
        day: a date (of a change, of a first day).
        text: verbatim words from the source or the settings.
    """

    code: NoteCode
    segment: str | None = None
    number: Fraction | None = None
    other: Fraction | None = None
    share: Fraction | None = None
    day: date | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Forecast:
    """Month-end leads: mean, the 80 % range [low, high], and the chance of reaching the goal (0 to 1)."""

    mean: float
    low: int
    high: int
    chance: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the scorecard: a segment, the unassigned leads, or the total.

    Attributes:
        segment: name; "" for unassigned; None for the total.
        goal, sales_goal: leads owed by marketing and by sales; None when undefined.
        actual: leads up to the cut-off; None when the source gave nothing.
        expected: part of the goal due by the cut-off. gap: actual - round_half_up(expected).
        attainment: actual / goal. pace: actual / expected. Undefined ratios are None.
        required_per_workday: leads each remaining workday must bring, rounded up to one decimal.
        rate_per_workday: leads each elapsed workday brought.
        workdays, elapsed, remaining: weights of the row's own calendar.
        lead_value: currency units per lead, in `currency`.
    """

    segment: str | None
    status: Status
    actual: int | None
    goal: int | None = None
    sales_goal: int | None = None
    expected: Fraction | None = None
    gap: int | None = None
    attainment: Fraction | None = None
    pace: Fraction | None = None
    required_per_workday: Decimal | None = None
    rate_per_workday: Fraction | None = None
    workdays: Fraction = Fraction(0)
    elapsed: Fraction = Fraction(0)
    remaining: Fraction = Fraction(0)
    lead_value: Fraction | None = None
    currency: str | None = None
    forecast: Forecast | None = None
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class Value:
    """What the leads are worth, in the plan currency.

    Attributes:
        goal: sum of goal x lead value. actual: sum of actual x lead value.
        attainment: actual / goal, None when there is no goal.
        mix_warning: value and count attainment differ by 5 points or more.
    """

    currency: str
    goal: Fraction
    actual: Fraction
    attainment: Fraction | None
    mix_warning: bool


@dataclass(frozen=True, slots=True)
class Scorecard:
    """Step 6 of the worksheet for one month: where it stands at the cut-off.

    Attributes:
        period: the whole month. cut_off: last counted day, before period.start when nothing is counted yet.
        workdays, elapsed, remaining: weights of the send calendar.
        closed: the month is over, statuses are reached or missed.
        unknown: source values without a segment, with their leads.
    """

    period: Period
    cut_off: date
    workdays: Fraction
    elapsed: Fraction
    remaining: Fraction
    total: Row
    segments: tuple[Row, ...]
    unassigned: Row | None
    value: Value | None
    closed: bool = False
    unknown: tuple[tuple[str, int], ...] = ()


# -------------------------------------------------------------------------------------- the edition


@dataclass(frozen=True, slots=True)
class Workday:
    """One day of a calendar: weight 1, 0.5 or 0 (or a historical weight), and why when it is not plain."""

    day: date
    weight: Fraction
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Correction:
    """A change of a count on a day that the previous edition already covered."""

    day: date
    segment: str
    leads: int


@dataclass(frozen=True, slots=True)
class Bridge:
    """previous_actual + sum(new) + sum(corrections) = actual, always.

    Attributes:
        previous_cut_off: None when there was no earlier edition of this month.
        new: leads per day since the previous cut-off, zero days included.
        usual: mean leads of the same weekday in the eight weeks before, None without history.
    """

    previous_cut_off: date | None
    previous_actual: int
    new: tuple[tuple[date, int], ...]
    corrections: tuple[Correction, ...]
    actual: int
    usual: tuple[tuple[date, float], ...] | None = None


@dataclass(frozen=True, slots=True)
class ClosedMonth:
    """The final figures of the previous month, in the edition of a month's first workday.

    Attributes:
        forecast_held: the actual lay in the 80 % range that was printed at mid-month; None when none was.
    """

    scorecard: Scorecard
    bridge: Bridge
    forecast_held: bool | None = None


@dataclass(frozen=True, slots=True)
class Drift:
    """What the goal would be at the measured close rate and deal size."""

    segment: str
    agreed_close_rate: Fraction
    measured_close_rate: Fraction
    agreed_deal_size: Decimal
    measured_deal_size: Decimal | None
    goal: int
    goal_at_measured: int
    small_sample: bool


@dataclass(frozen=True, slots=True)
class SegmentFollowUp:
    """The sales half of one segment ("" for unassigned); see FollowUp."""

    segment: str
    leads: int
    due: int
    in_time: int
    median_minutes: Fraction | None
    median_censored: bool
    overdue: int
    accepted: int
    rejected: int


@dataclass(frozen=True, slots=True)
class FollowUp:
    """The sales half of the SLA; durations in business minutes.

    Attributes:
        due: leads of the month that were contacted, or whose time is over. in_time: contacted in time.
        median_minutes, p90_minutes: response times of due leads, None without any. Where untouched leads
            could make them larger they are lower bounds, and `..._censored` is true.
        overdue: untouched leads whose time is over and that are neither rejected nor closed, leads of the
            month before included.
        attempts_due: leads old enough that are neither reached nor closed, likewise. attempts_kept: of
            these, those with enough attempts.
        leads: qualified in the month. accepted, rejected: of these.
        respond_within, website_within: the promised minutes; None when no lead is known to be of the
            website.
        attempts, within_workdays: the promised persistence. promised_share: of leads in time.
        clock: "business" when minutes are business minutes, "elapsed" when they run day and night.
    """

    due: int
    in_time: int
    median_minutes: Fraction | None
    p90_minutes: Fraction | None
    p90_censored: bool
    overdue: int
    attempts_due: int
    attempts_kept: int
    accepted: int
    rejected: int
    median_censored: bool = False
    leads: int = 0
    respond_within: int = 24 * 60
    website_within: int | None = None
    attempts: int = 5
    within_workdays: int = 10
    promised_share: Fraction = Fraction(9, 10)
    clock: str = "business"
    segments: tuple[SegmentFollowUp, ...] = ()


class ActionCode(StrEnum):
    """What an action asks for; `render` has the words for each."""

    DOUBT_ZERO = "doubt_zero"
    ASK_SOURCE = "ask_source"
    AGREE_GOALS = "agree_goals"
    COMPLETE_WORKSHEET = "complete_worksheet"
    CATCH_UP = "catch_up"
    LAST_DAY = "last_day"
    ANSWER = "answer"
    TRY_AGAIN = "try_again"
    NEW_PACE = "new_pace"
    ASSIGN = "assign"
    REVIEW = "review"


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that today needs, and the number it follows from.

    Attributes:
        segment: whose it is, None for all. For ANSWER the segment that waits most.
        number: leads usual (DOUBT_ZERO), segments without numbers (ASK_SOURCE; None when the
            source has nothing newer), leads that stand without a
            goal (AGREE_GOALS, COMPLETE_WORKSHEET), leads per workday (CATCH_UP, NEW_PACE), leads to go
            (LAST_DAY), leads (ANSWER, TRY_AGAIN, ASSIGN), the goal at measured rates (REVIEW).
        other: what it is set against: the rate so far (CATCH_UP) or of the closed month (NEW_PACE), the
            segment's share (ANSWER), the promised attempts (TRY_AGAIN), the agreed goal (REVIEW); the number
            of segments where not all lack a goal (AGREE_GOALS).
        text: verbatim values of the source (ASSIGN).
        pressing: the segment is behind, not only at risk.
    """

    code: ActionCode
    segment: str | None = None
    number: Fraction | None = None
    other: Fraction | None = None
    text: str | None = None
    pressing: bool = False


class FigureCode(StrEnum):
    """Which figure a correction changed."""

    LEADS = "leads"
    GOAL = "goal"
    GAP = "gap"


@dataclass(frozen=True, slots=True)
class CorrectedFigure:
    """A figure that people have read in another size.

    Attributes:
        month: first day of the month it belongs to.
        segment: name; "" for unassigned; None for the total.
        before, now: None where there was no figure.
    """

    month: date
    segment: str | None
    figure: FigureCode
    before: int | None
    now: int | None


@dataclass(frozen=True, slots=True)
class Corrects:
    """What makes an edition a correction of one that was sent.

    Attributes:
        number: 1 for the first correction of a date.
        sent_at: UTC instant at which the first recipient got the edition of the day.
        reason: what the operator says of it, None for nothing.
        figures: that moved since what the recipients have read last; never empty.
    """

    number: int
    sent_at: datetime
    reason: str | None
    figures: tuple[CorrectedFigure, ...]


@dataclass(frozen=True, slots=True)
class PlanRate:
    """The one exchange rate of an SLA year: units of the plan currency per unit of `currency`."""

    currency: str
    rate: Decimal
    as_of: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition:
    """One digest for one business date: everything a reader, a retry and a later bridge need.

    Attributes:
        digest: id of the digest. title: its name for people.
        days: the month's calendar, a closed month's before it. covers: days since the last edition.
        counts: leads by day and segment of the month and, on a month close, of the closed month.
        history_hits: of the forecasts printed so far, (held, judged).
        corrects: None for the edition of the day.
    """

    digest: str
    title: str
    business_date: date
    kind: Kind
    language: str
    scorecard: Scorecard
    bridge: Bridge
    closed: ClosedMonth | None
    covers: tuple[date, ...]
    days: tuple[Workday, ...]
    calendar: str
    counts: tuple[DayCount, ...]
    as_of: datetime
    origin: Origin
    reconciled: bool
    source_total: int
    lead_definition: str
    sla_version: str
    plan_rates: tuple[PlanRate, ...] = ()
    lag_months: int = 0
    warnings: tuple[Note, ...] = ()
    excluded: tuple[tuple[str, int], ...] = ()
    history_hits: tuple[int, int] | None = None
    follow_up: FollowUp | None = None
    drift: tuple[Drift, ...] | None = None
    link: str | None = None
    corrects: Corrects | None = None

    @property
    def judged(self) -> Scorecard:
        """The scorecard that the verdict is about: the closed month's on a month close, else the month's."""
        return self.closed.scorecard if self.closed else self.scorecard

    @property
    def stale(self) -> bool:
        """The source had nothing newer than an earlier edition, whose figures these are."""
        return any(fact.code is NoteCode.STALE for fact in self.warnings)


# -------------------------------------------------------------------------------------- the message


@dataclass(frozen=True, slots=True)
class Image:
    """A picture that belongs to a message; `cid` is how the HTML names it."""

    cid: str
    filename: str
    png: bytes = field(repr=False)
    alt: str


@dataclass(frozen=True, slots=True)
class Logo:
    """A logo as mails show it: opaque, at double density; `width` and `height` in CSS pixels."""

    png: bytes = field(repr=False)
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Brand:
    """A customer's own look. `accent` is "#rrggbb"; what is None stays the product's."""

    accent: str | None = None
    logo: Logo | None = None


@dataclass(frozen=True, slots=True)
class BriefFigure:
    """One of the four figures of a short form: what it is, the number, what it is measured against."""

    label: str
    number: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Brief:
    """The short form of an edition in one language, for channels that carry no mail; all numbers written.

    Attributes:
        title: the mail's subject. summary: verdict and worst segment in one line, for a notification.
        status: (word, sign, look); the looks are "good", "warning", "bad" and "neutral".
        sentences: the verdict and what follows from it. warnings: about the data.
        figures: four, always.
        changes: since the last edition, corrections one by one; the month that begins.
        columns, rows: behind first, at risk next, each by shortfall; before them what the reader asked for.
        total: the last row of that table.
        link: (words, https address), None without one.
        facts: (label, text) of cut-off, source with its time, calendar.
        correction: of a corrected edition what it corrects, why, and each figure that moved; else empty.
        corrected: what stands above an edition that somebody corrected in its thread.
    """

    title: str
    summary: str
    status: tuple[str, str, str]
    sentences: tuple[str, ...]
    warnings: tuple[str, ...]
    figures: tuple[BriefFigure, ...]
    changes: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    total: tuple[str, ...]
    link: tuple[str, str] | None
    facts: tuple[tuple[str, str], ...]
    corrected: str
    correction: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """An edition in one language, rendered for every channel; it knows no recipient.

    Attributes:
        month: first day of the month it is about; on a month close of the closed one.
        thread_subject: a subject that stays the same all month, for mails that form one conversation.
        html, text: the mail's parts, to which `images` belong.
        brief: what other channels are packed from.
    """

    digest: str
    business_date: date
    month: date
    language: str
    subject: str
    thread_subject: str
    preheader: str
    html: str = field(repr=False)
    text: str = field(repr=False)
    images: tuple[Image, ...] = ()
    brief: Brief | None = None


@dataclass(frozen=True, slots=True)
class Recipient:
    """Who gets an edition through a channel.

    Attributes:
        address: mail address, channel id or folder, as the channel takes it.
        language: None for the digest's language.
        segments: names of the segments to show first; empty for the digest's order.
        calendar: id of the calendar on whose free days the recipient gets no edition; None for none.
    """

    address: str
    language: str | None = None
    segments: tuple[str, ...] = ()
    calendar: str | None = None


@dataclass(frozen=True)
class Dkim:
    """The sender's own DKIM key: selector and domain under which its public half stands in the DNS."""

    domain: str
    selector: str
    private_key: Secret


@dataclass(frozen=True, slots=True)
class MailHeaders:
    """What a mail says of its sender; made by the channel, written by `render.mime`.

    Attributes:
        sender: From, "Name <address>" or a bare address. reply_to: likewise, None for none.
        list_id: List-Id without angle brackets, None for none.
        unsubscribe: https or mailto addresses for List-Unsubscribe.
        one_click: an https address among them answers POST (RFC 8058).
        timezone: IANA zone of the Date header.
        thread: the mails of a month form one conversation, which costs them the verdict in the subject.
        dkim: key to sign with, None to leave that to the relay.
        idempotency_header: name of the header in which the relay looks for a key of the delivery, to
            know again what it has taken; None for none.
    """

    sender: str
    reply_to: str | None = None
    list_id: str | None = None
    unsubscribe: tuple[str, ...] = ()
    one_click: bool = False
    timezone: str = "Europe/Zurich"
    thread: bool = False
    dkim: Dkim | None = None
    idempotency_header: str | None = None


@dataclass(frozen=True, slots=True)
class Envelope:
    """One recipient's finished message: the bytes that every attempt sends.

    Attributes:
        key: the delivery key (digest id, business date, channel, recipient), unique in the ledger.
        recipient: address or channel id as the channel takes it.
    """

    key: str
    recipient: str
    content: bytes = field(repr=False)

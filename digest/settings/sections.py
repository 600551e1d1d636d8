"""The parts of a configuration that belong to no adapter, and how people write their values."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import PlainValidator

from digest import notation
from digest.errors import nearest
from digest.followup import Hours, Promise
from digest.model import Secret
from digest.settings.mistakes import shown
from digest.workdays import WEEKDAYS

LANGUAGES = ("en", "de", "de-CH", "fr", "it")
T = TypeVar("T")


def _needs(what: str, value: object) -> ValueError:
    return ValueError(f"found {shown(value)}; allowed: {what}")


def _clock(value: object) -> time:
    if isinstance(value, str):
        try:
            value = time.fromisoformat(value.strip())
        except ValueError:
            raise _needs('a time of day such as "07:30"', value) from None
    if isinstance(value, time) and value.tzinfo is None:
        return value
    raise _needs('a time of day such as "07:30", without a zone', value)


def _day(value: object) -> date:
    if isinstance(value, datetime):
        raise _needs("a day such as 2026-11-23, without a time", value)
    if isinstance(value, date | str):
        return notation.parse_date(value)
    raise _needs("a day such as 2026-11-23", value)


def _month(value: object) -> date:
    if isinstance(value, str) or (isinstance(value, date) and not isinstance(value, datetime)):
        return notation.parse_month(value)
    raise _needs('a month such as "2026-11"', value)


def _ratio(value: object) -> Fraction:
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise _needs('a share such as "4%" or 0.04', value)
    return notation.parse_ratio(value)


def _amount(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise _needs("an amount such as 12000", value)
    amount, currency = notation.parse_money(value)
    if currency is not None:
        raise ValueError(f"found {shown(value)}; write the currency in its own setting, currency")
    if amount < 0:
        raise _needs("an amount of at least 0", value)
    return amount


def _amounts(value: object) -> Decimal | tuple[tuple[date, Decimal], ...]:
    if isinstance(value, Mapping):
        return tuple(sorted((_month(key), _amount(amount)) for key, amount in value.items()))
    return _amount(value)


def _currency(value: object) -> str:
    if not isinstance(value, str):
        raise _needs('an ISO currency code such as "CHF"', value)
    code = value.strip().upper()
    if code not in notation.CURRENCIES:
        hint = nearest(code, sorted(notation.CURRENCIES)) or ";"
        raise ValueError(f"found {shown(value)}{hint} allowed: an ISO currency code such as CHF")
    return code


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _needs("a text in quotes, not empty", value)
    return value.strip()


def _whole(lowest: int, highest: int) -> Callable[[object], int]:
    def whole(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
            raise _needs(f"a whole number from {lowest} to {highest}", value)
        return value

    return whole


def _colour(value: object) -> str:
    if not isinstance(value, str) or not _COLOUR.fullmatch(value.strip()):
        raise _needs('a colour such as "#1a4f8b"', value)
    return value.strip().lower()


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise _needs("true or false", value)
    return value


def _list_of(one: Callable[[object], T]) -> Callable[[object], tuple[T, ...]]:
    def many(value: object) -> tuple[T, ...]:
        if not isinstance(value, list | tuple):
            raise _needs("a list [ ... ]", value)
        return tuple(one(item) for item in value)

    return many


def _text_or_texts(value: object) -> tuple[str, ...]:
    return (_text(value),) if isinstance(value, str) else _list_of(_text)(value)


def _ping_url(value: object) -> Secret:
    """Take a reference or the address itself; either way it is a secret, so no message may show it."""
    url = value.reveal() if isinstance(value, Secret) else value
    if url == "":  # a reference that leads nowhere, which has been told
        return Secret("")
    needed = 'an address that begins with https://, or where it is kept: { env = "NAME" }'
    try:
        parts = urlsplit(url.strip()) if isinstance(url, str) else None
        host = (parts.hostname or "") if parts else ""
    except ValueError:
        parts, host = None, ""
    secure = parts is not None and (parts.scheme == "https" or host in _THIS_MACHINE)
    if parts is None or not host or not secure or not str(url).strip().isprintable():
        raise ValueError(f"is no usable address; allowed: {needed}")
    if parts.scheme not in ("http", "https") or parts.username or parts.password or parts.fragment:
        raise ValueError(f"holds a user name, a password or a #; allowed: {needed}")
    return Secret(str(url).strip())


def _weekday(value: object) -> str:
    if value not in WEEKDAYS:
        raise _needs(", ".join(WEEKDAYS), value)
    return str(value)


_DURATION = re.compile(r"(?:(\d{1,4}) ?h)?(?: ?(\d{1,5}) ?min)?")
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_HOURS = re.compile(r"(\d\d?:\d\d) ?[-\u2013] ?(\d\d?:\d\d)")
_LONGEST_MINUTES = 30 * 24 * 60


def _duration(value: object) -> int:
    found = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    minutes = int(found[1] or 0) * 60 + int(found[2] or 0) if found else 0
    if not 0 < minutes <= _LONGEST_MINUTES:
        raise _needs('hours and minutes such as "24 h" or "1 h 30 min", at most 720 h', value)
    return minutes


def _hours(value: object) -> tuple[time, time]:
    found = _HOURS.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise _needs('a span of one day such as "09:00-17:00"', value)
    opens, closes = (
        _clock("00:00" if part == "24:00" else part.zfill(5)) for part in found.groups()
    )
    try:
        Hours(opens, closes)
    except ValueError:
        raise _needs('a span of one day such as "09:00-17:00"', value) from None
    return opens, closes


Clock = Annotated[time, PlainValidator(_clock)]
Duration = Annotated[int, PlainValidator(_duration)]
HoursOfADay = Annotated[tuple[time, time], PlainValidator(_hours)]
Day = Annotated[date, PlainValidator(_day)]
Days = Annotated[tuple[date, ...], PlainValidator(_list_of(_day))]
Month = Annotated[date, PlainValidator(_month)]
Ratio = Annotated[Fraction, PlainValidator(_ratio)]
Ratios = Annotated[tuple[Fraction, ...], PlainValidator(_list_of(_ratio))]
Amount = Annotated[Decimal, PlainValidator(_amount)]
Amounts = Annotated[Decimal | tuple[tuple[date, Decimal], ...], PlainValidator(_amounts)]
Colour = Annotated[str, PlainValidator(_colour)]
Currency = Annotated[str, PlainValidator(_currency)]
Text = Annotated[str, PlainValidator(_text)]
Texts = Annotated[tuple[str, ...], PlainValidator(_list_of(_text))]
TextOrTexts = Annotated[tuple[str, ...], PlainValidator(_text_or_texts)]
PingUrl = Annotated[Secret, PlainValidator(_ping_url)]
Flag = Annotated[bool, PlainValidator(_flag)]
Weekdays = Annotated[tuple[str, ...], PlainValidator(_list_of(_weekday))]
UpTo1000 = Annotated[int, PlainValidator(_whole(0, 1000))]
UpTo100 = Annotated[int, PlainValidator(_whole(0, 100))]
UpToADay = Annotated[int, PlainValidator(_whole(0, 24 * 60))]
MessagesDays = Annotated[int, PlainValidator(_whole(1, 4000))]
# The forecast's record and the usual pace look back a year.
EditionsDays = Annotated[int, PlainValidator(_whole(62, 4000))]
AtLeastOne = Annotated[int, PlainValidator(_whole(1, 100))]
Count = Annotated[int, PlainValidator(_whole(0, 10_000_000))]


@dataclass(frozen=True)
class Head:
    """The settings above the first table."""

    id: Text
    title: Text | None = None
    language: Literal["en", "de", "de-CH", "fr", "it"] = "en"
    timezone: Text = "Europe/Zurich"
    lead_definition: Text | None = None
    segment_kind: Literal["region", "persona", "channel"] = "region"
    weighting: Literal["workday", "calendar", "historical"] = "workday"
    close_rates: Literal["pooled", "cohort"] = "pooled"
    forecast: Flag = True
    frozen_after_workdays: UpTo100 = 3
    link: Text | None = None
    templates: Text | None = None
    fiscal_periods: Text | None = None
    metrics_file: Text | None = None
    account: Text | None = None


@dataclass(frozen=True)
class BrandSection:
    """[brand]: the customer's own look."""

    accent: Colour | None = None
    logo: Text | None = None


@dataclass(frozen=True)
class Schedule:
    """[schedule]: when an edition may leave, in the digest's time zone."""

    send_at: Clock = time(7, 30)
    send_until: Clock = time(11, 0)
    spread_minutes: UpToADay = 0


@dataclass(frozen=True)
class Hold:
    """[hold]: when nothing is sent because the numbers cannot be trusted."""

    max_drop_leads: Count = 5
    max_drop_share: Ratio = Fraction(5, 100)
    on_partial: Literal["banner", "hold"] = "banner"
    on_stale: Literal["banner", "hold"] = "hold"
    notify_team_when_held: Flag = False


@dataclass(frozen=True)
class AlertsSection:
    """[alerts]: who is told when something is wrong; its tables `smtp` and `slack` are channels."""

    email: TextOrTexts = ()


@dataclass(frozen=True)
class HeartbeatSection:
    """[heartbeat]: the dead-man's switch outside."""

    url: PingUrl


@dataclass(frozen=True)
class PreviewSection:
    """[preview]: to whom `digest preview` may send a test."""

    test_recipients: TextOrTexts = ()
    slack_channel: Text | None = None


@dataclass(frozen=True)
class Retention:
    """[retention]: how long `digest history --purge` keeps what is settled, in days."""

    messages_days: MessagesDays = 14
    editions_days: EditionsDays = 400

    def __post_init__(self) -> None:
        if self.messages_days > self.editions_days:
            raise ValueError(
                f"messages_days: found {self.messages_days}; "
                f"allowed: at most the {self.editions_days} of editions_days"
            )


@dataclass(frozen=True)
class Unassigned:
    """[unassigned]: how many leads without a segment call for a warning."""

    warn_leads: Count = 3
    warn_share: Ratio = Fraction(5, 100)


@dataclass(frozen=True)
class StatusThresholds:
    """[thresholds]: where a status begins."""

    ahead: Ratio = Fraction(110, 100)
    on_track: Ratio = Fraction(95, 100)
    at_risk: Ratio = Fraction(80, 100)
    noise: Ratio = Fraction(10, 100)
    mix_points: UpTo100 = 5
    min_elapsed: UpTo100 = 3
    min_expected: UpTo1000 = 5
    final_workdays: UpTo100 = 3
    implausible: Ratio = Fraction(1, 100)

    def __post_init__(self) -> None:
        if not self.ahead > self.on_track > self.at_risk > 0:
            raise ValueError(
                "ahead, on_track and at_risk must fall in this order and stay above 0%; "
                f"found {_percent(self.ahead)}, {_percent(self.on_track)}, {_percent(self.at_risk)}"
            )
        for name in ("noise", "implausible"):
            share = getattr(self, name)
            if not 0 < share < 1:
                raise ValueError(f"{name}: found {_percent(share)}; allowed: between 0% and 100%")


def _percent(ratio: Fraction) -> str:
    return f"{float(ratio * 100):g}%"


@dataclass(frozen=True)
class Closure:
    """Days on which the company is closed, both ends included."""

    first: Day
    last: Day

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise ValueError(f"last: found {self.last}; allowed: {self.first} or later")


@dataclass(frozen=True)
class CalendarSection:
    """[calendar] and [calendars.NAME]: which days count."""

    country: Text
    subdivision: Text | None = None
    add: Days = ()
    remove: Days = ()
    half: Days = ()
    closures: tuple[Closure, ...] = ()
    workweek: Weekdays = WEEKDAYS[:5]
    half_days: Flag = False
    categories: Texts = ()


_PROMISED = Promise()


@dataclass(frozen=True)
class FollowUpSection:
    """[follow_up]: what sales promised; its table alone asks for the sales half."""

    respond_within: Duration = _PROMISED.respond_within
    website_within: Duration = _PROMISED.website_within
    attempts: AtLeastOne = _PROMISED.attempts
    within_workdays: AtLeastOne = _PROMISED.within_workdays
    in_time: Ratio = _PROMISED.in_time
    business_hours: HoursOfADay = (_PROMISED.hours.opens, _PROMISED.hours.closes)
    calendar: Text | None = None
    clock: Literal["business", "elapsed"] = "business"

    def __post_init__(self) -> None:
        if not 0 < self.in_time <= 1:
            raise ValueError(
                f"in_time: found {_percent(self.in_time)}; allowed: above 0%, at most 100%"
            )

    @property
    def promise(self) -> Promise:
        """The promise as `followup` takes it."""
        return Promise(
            respond_within=self.respond_within,
            website_within=self.website_within,
            attempts=self.attempts,
            within_workdays=self.within_workdays,
            in_time=self.in_time,
            hours=Hours(*self.business_hours),
            calendar=self.calendar,
            clock=self.clock,
        )


@dataclass(frozen=True)
class SegmentSection:
    """[[segments]]: what the source writes for a segment, and when it counts."""

    name: Text
    values: Texts = ()
    calendar: Text | None = None
    active_from: Day | None = None


@dataclass(frozen=True)
class SlaSegment:
    """[[sla.segments]]: one segment's terms from a month on."""

    segment: Text
    currency: Currency
    valid_from: Month
    valid_to: Month | None = None
    revenue_goal: Amounts | None = None
    deal_size: Amount | None = None
    marketing_share: Ratio | None = None
    close_rate: Ratio | None = None
    stage_rates: Ratios = ()
    sales_deal_size: Amount | None = None
    sales_close_rate: Ratio | None = None
    goal: Count | None = None
    sales_goal: Count | None = None

    def __post_init__(self) -> None:
        if self.valid_to is not None and self.valid_to < self.valid_from:
            raise ValueError(
                f"valid_to: found {self.valid_to:%Y-%m}; allowed: {self.valid_from:%Y-%m} or later"
            )
        if self.valid_to is not None and not isinstance(self.revenue_goal, Decimal):
            raise ValueError("valid_to: ends one revenue goal for every month; there is none here")
        for name in ("close_rate", "sales_close_rate", "marketing_share"):
            ratio = getattr(self, name)
            if ratio is not None and ratio > 1:
                raise ValueError(f"{name}: found {_percent(ratio)}; allowed: at most 100%")
        for ratio in self.stage_rates:
            if not 0 < ratio <= 1:
                raise ValueError(
                    f"stage_rates: found {_percent(ratio)}; allowed: above 0%, at most 100%"
                )


@dataclass(frozen=True)
class SlaRate:
    """[[sla.rates]]: the one exchange rate of the SLA year."""

    currency: Currency
    rate: Amount
    as_of: Day

    def __post_init__(self) -> None:
        if self.rate <= 0:
            raise ValueError(f"rate: found {self.rate}; allowed: a number above 0")


@dataclass(frozen=True)
class SlaSection:
    """[sla]: what marketing and sales promised each other."""

    worksheet: Text | None = None
    currency: Currency | None = None
    lag_months: UpTo100 | None = None
    rounding: Literal["once", "cascade"] | None = None
    carry_forward: Flag | None = None
    rates: tuple[SlaRate, ...] = ()
    segments: tuple[SlaSegment, ...] = ()

    def __post_init__(self) -> None:
        if self.worksheet and self.segments:
            raise ValueError("worksheet: found together with [[sla.segments]]; keep one of the two")
        if not self.worksheet and not self.segments:
            raise ValueError(
                'found neither a worksheet nor segments; write worksheet = "sla.xlsx" '
                "(.xlsx or .csv) or at least one [[sla.segments]]"
            )
        if self.segments and self.currency is None:
            raise ValueError(
                "the setting 'currency' is missing; write the plan currency, currency = \"CHF\""
            )

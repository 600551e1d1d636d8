"""How people write numbers, money, ratios, counts, dates, months and timestamps.

One parser per type, used for Excel text, CSV and Google Sheets alike, so that no text gives two different
values on two ways in. Where a text has two readings and nothing settles them, it is refused and both are
shown. Every refusal is a ValueError that begins with "found", so that the caller can put the cell before it.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from digest.errors import nearest

Locale = Literal["de-CH", "de", "en", "fr", "it"]
DateOrder = Literal["dmy", "mdy"]
LOCALES: tuple[str, ...] = get_args(Locale)

CURRENCIES = frozenset(  # ISO 4217, without funds, metals and test codes
    """
    AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD
    CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ
    GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR
    LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN
    PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB
    TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW
    ZWG
    """.split()  # noqa: SIM905 - 153 codes read better as prose than as a list
)

_SYMBOLS = {"€": "EUR", "£": "GBP", "fr.": "CHF", "fr": "CHF", "sfr.": "CHF", "sfr": "CHF"}

# The mark that separates decimals; the other one groups. Swiss German groups with an apostrophe, so that
# in de-CH a lone comma before three digits stays open.
_DECIMAL_MARK = {"de-CH": ".", "en": ".", "de": ",", "fr": ",", "it": ","}

_LONGEST = (
    64  # characters of a number or date; longer text is no such thing and costs time to parse
)
_YEARS = range(1900, 2200)

_MINUS = "-\u2212\u2013"
_TWO_READINGS = re.compile(r"([1-9]\d{0,2})([.,])(\d{3})")
_ONE_READING = (  # whole part, decimals
    re.compile(r"(\d*)(?:[.,](\d+))?"),
    re.compile(r"(\d{1,3}(?:['\u2019]\d{3})+|\d{1,3}(?: \d{3})+)(?:[.,](\d+))?"),
    re.compile(r"(\d{1,3}(?:\.\d{3})+),(\d+)"),
    re.compile(r"(\d{1,3}(?:,\d{3})+)\.(\d+)"),
    re.compile(r"(\d{1,3}(?:\.\d{3}){2,}|\d{1,3}(?:,\d{3}){2,})()"),
)
_SWISS_WHOLE = re.compile(r"[.,][-\u2013\u2014]{1,2}$")
_CURRENCY = re.compile(r"([^\W\d_]+\.?|[€£$¥])\s*(.*)|(.*?)\s*([^\W\d_]+\.?|[€£$¥])", re.DOTALL)

_YEAR_FIRST = re.compile(r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})")
_YEAR_LAST = re.compile(r"(\d{1,2})([-/.])\s?(\d{1,2})\2\s?(\d{4}|\d{2})")
_DAY_NAME_YEAR = re.compile(r"(\d{1,2})(?:\.|er|º|°)? ([^\W\d_]+\.?),? (\d{4})")
_NAME_DAY_YEAR = re.compile(r"([^\W\d_]+\.?) (\d{1,2}),? (\d{4})")
_MIDNIGHT = re.compile(r"[T ]00:00(?::00(?:\.0+)?)?$")
_MONTH_YEAR = re.compile(r"(\d{1,2})[./-](\d{4})")
_YEAR_MONTH = re.compile(r"(\d{4})[./-](\d{1,2})")
_NAME_YEAR = re.compile(r"([^\W\d_]+\.?)[ ,.-]*(\d{4})|(\d{4})[ -]([^\W\d_]+\.?)")
_CLOCK = re.compile(
    r"(?P<day>.+?)(?:T|,? )(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<part>\d+))?)?"
    r" ?(?P<half>[AaPp]\.?[Mm]\.?)? ?(?P<zone>Z|z|UTC|GMT|[+-]\d{2}(?::?\d{2})?)?"
)
_PERCENT_LITERAL = re.compile(r'"[^"]*"|\\.|\[[^\]]*\]')

_MONTH_NAMES = """
    january jan januar janner jaenner janvier janv gennaio genn gen
    february feb februar febr feber fevrier fevr fev febbraio febbr
    march mar marz maerz mrz mars marzo
    april apr avril avr aprile
    may mai maggio magg mag
    june jun juni juin giugno giu
    july jul juli juillet juil luglio lug
    august aug aout aou agosto ago
    september sep sept septembre settembre sett set
    october oct oktober okt octobre ottobre ott
    november nov novembre
    december dec dezember dez decembre dicembre dic
"""
_MONTHS = {
    name: number
    for number, line in enumerate(_MONTH_NAMES.strip().splitlines(), start=1)
    for name in line.split()
}


def shown(value: object) -> str:
    """Return a value as an error message quotes it: printable, on one line, at most 60 characters."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return "nothing"
    text = value if isinstance(value, str) else str(value)
    short = text if len(text) <= _LONGEST else text[:57] + "..."
    return repr(short) if isinstance(value, str) else short


# ---------------------------------------------------------------------------------- numbers and money


def parse_number(value: object, locale: str | None = None) -> Decimal:
    """Return the number that a cell or text holds.

    `1.234` and `1,234` have two readings; `locale` (one of LOCALES) settles them. Any text with one reading
    only is read the same in every locale.

    Raises:
        ValueError: no number, or one with two readings.
    """
    if isinstance(value, str):
        return _number_in(value, _tidy(value), locale)
    return _number_cell(value)


def parse_money(value: object, locale: str | None = None) -> tuple[Decimal, str | None]:
    """Return the amount and the ISO currency written beside it, None when there is none.

    Raises:
        ValueError: no amount, an unknown currency, or two readings.
    """
    if not isinstance(value, str):
        return _number_cell(value), None
    text = _tidy(value)
    sign, text = _split_sign(text)
    amount, currency = _split_currency(value, text)
    if currency and not sign:
        sign, amount = _split_sign(amount)
    amount = _SWISS_WHOLE.sub("", amount)
    number = _number_in(value, amount, locale)
    return (-number if sign == "-" else number), currency


def parse_amount(value: object, currency: str | None = None, locale: str | None = None) -> Decimal:
    """Return an amount of at least 0; one with another currency beside it than `currency` is refused.

    Raises:
        ValueError: no amount, a negative one, or one in another currency.
    """
    amount, written = parse_money(value, locale)
    if amount < 0:
        msg = f"found {shown(value)}; an amount is 0 or more"
        raise ValueError(msg)
    if written is not None and currency and written != currency:
        msg = (
            f"found an amount in {written}; the segment's currency is {currency}; "
            "change one of the two"
        )
        raise ValueError(msg)
    return amount


def parse_count(value: object, locale: str | None = None) -> int:
    """Return a whole number of at least 0.

    Raises:
        ValueError: a fraction, a negative number, or no number.
    """
    number = parse_number(value, locale)
    if number != number.to_integral_value() or number < 0:
        msg = f"found {shown(value)}; a count is a whole number of at least 0"
        raise ValueError(msg)
    return int(number)


def parse_ratio(
    value: object, number_format: str | None = None, locale: str | None = None
) -> Fraction:
    """Return a share or rate as a fraction of 1.

    Text says its unit (`60 %`, `60,5%`) or lies below 1 (`0.6`). A number cell is what Excel means by it:
    0.6, shown as 60 % by a percent format. A bare `60`, `4` or `1` has two readings and is refused.

    Args:
        value: the cell's value.
        number_format: Excel number format of a number cell, None when the reader does not know it.
        locale: settles numbers with two readings.

    Raises:
        ValueError: two readings, negative, or no ratio.
    """
    if isinstance(value, str) and "%" in value:
        text = _tidy(value)
        if not text.endswith("%") or text.count("%") > 1:
            msg = f"found {shown(value)}; write a ratio as '60 %' or '0.6'"
            raise ValueError(msg)
        ratio = Fraction(_number_in(value, text[:-1].rstrip(), locale)) / 100
    else:
        ratio = _bare_ratio(value, parse_number(value, locale), number_format)
    if ratio < 0:
        msg = f"found {shown(value)}; a ratio is at least 0 %"
        raise ValueError(msg)
    return ratio


def parse_share(
    value: object, number_format: str | None = None, locale: str | None = None
) -> Fraction:
    """Return a ratio from 0 to 1; see `parse_ratio`.

    Raises:
        ValueError: as there, or above 100 %.
    """
    ratio = parse_ratio(value, number_format, locale)
    if ratio > 1:
        percent = f"{float(ratio):.4%}".rstrip("%").rstrip("0").rstrip(".")
        msg = f"found {percent} %; allowed is 0 % to 100 %"
        raise ValueError(msg)
    return ratio


def _bare_ratio(value: object, number: Decimal, number_format: str | None) -> Fraction:
    if number_format and not isinstance(value, str) and "%" in number_format:
        if "%" in _PERCENT_LITERAL.sub("", number_format):
            return Fraction(number)
        # A quoted percent sign is only ink: the cell holds 0.6 and shows "0.6 %".
        open_question = number != 0
    else:
        open_question = number >= 1
    if open_question:
        msg = (
            f"found {shown(value)}, which reads as {_trim(number)} % or as {_trim(number * 100)} %; "
            f"write '{_trim(number)} %' or '{_trim(number * 100)} %'"
        )
        raise ValueError(msg)
    return Fraction(number)


def _number_cell(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        msg = f"found {shown(value)}; a number is needed"
        raise ValueError(msg)  # noqa: TRY004 - callers catch one class for every unreadable cell
    number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not number.is_finite():
        msg = f"found {value}; a number is needed"
        raise ValueError(msg)
    return number


def _number_in(value: str, text: str, locale: str | None) -> Decimal:
    if locale is not None and locale not in LOCALES:
        msg = f"locale {locale!r} is unknown; allowed are {', '.join(LOCALES)}"
        raise ValueError(msg)
    sign, digits = _split_sign(text)
    number = _digits(value, digits, locale) if len(text) <= _LONGEST else None
    if number is None:
        msg = f"found {shown(value)}; a number is needed, such as 120000 or 120’000.50"
        raise ValueError(msg)
    return -number if sign == "-" else number


def _digits(value: str, text: str, locale: str | None) -> Decimal | None:
    if not re.fullmatch(r"[0-9.,' \u2019]*[0-9]", text):
        return None
    if match := _TWO_READINGS.fullmatch(text):
        return _settled(value, match, locale)
    for form in _ONE_READING:
        if match := form.fullmatch(text):
            return _joined(match[1], match[2])
    return None


def _settled(value: str, match: re.Match[str], locale: str | None) -> Decimal:
    whole, mark, part = match.groups()
    decimal, grouped = Decimal(f"{whole}.{part}"), Decimal(whole + part)
    if locale is not None and _DECIMAL_MARK[locale] == mark:
        return decimal
    if locale is not None and locale != "de-CH":
        return grouped
    remedy = (
        f"write {grouped} or {_unmistakable(whole, part)}"
        if locale == "de-CH"
        else f"write {grouped} or {_unmistakable(whole, part)}, or declare the file's locale"
    )
    msg = f"found {shown(value)}, which reads as {grouped} or as {decimal}; {remedy}"
    raise ValueError(msg)


def _unmistakable(whole: str, part: str) -> str:
    # A fourth decimal takes the second reading away: 1.2340 groups nothing.
    return f"{whole}.{part}0"


def _joined(whole: str, part: str | None) -> Decimal:
    digits = re.sub(r"\D", "", whole) or "0"
    return Decimal(f"{digits}.{part}" if part else digits)


def _split_sign(text: str) -> tuple[str, str]:
    if text and text[0] in _MINUS:
        return "-", text[1:].lstrip()
    if text.startswith("+"):
        return "+", text[1:].lstrip()
    return "", text


def _split_currency(value: str, text: str) -> tuple[str, str | None]:
    match = _CURRENCY.fullmatch(text)
    if match is None:
        return text, None
    word, rest = (match[1], match[2]) if match[1] else (match[4], match[3])
    code = _SYMBOLS.get(word.casefold(), word.upper())
    if code in CURRENCIES:
        return rest, code
    if word in "$¥":
        msg = (
            f"found {shown(value)}; {word} is used by several currencies, write the code (USD, JPY)"
        )
    elif re.search(r"\d", rest):
        msg = (
            f"found {shown(value)}; {word!r} is no ISO 4217 currency"
            f"{nearest(word, sorted(CURRENCIES))}"
        )
    else:
        msg = f"found {shown(value)}; an amount is needed, such as 120000 or CHF 120’000.50"
    raise ValueError(msg)


def _tidy(text: str) -> str:
    """Trim, and make every kind of space (thin, no-break, narrow no-break) the plain one."""
    composed = unicodedata.normalize("NFC", text)
    return "".join(" " if character.isspace() else character for character in composed).strip()


def _trim(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


# -------------------------------------------------------------------------------------- days and months


def parse_date(value: object, order: str | None = None) -> date:
    """Return the local day that a cell or text holds.

    `11/01/2026` has two readings; `order` ("dmy" or "mdy") settles them. Two-digit years are 20yy.

    Raises:
        ValueError: no date, two readings, or a time of day that would be lost.
    """
    if isinstance(value, datetime):
        if value.tzinfo is not None or value.time() != time():
            msg = f"found {value.isoformat(' ')}, which has a time of day; a date alone is needed"
            raise ValueError(msg)
        return _in_range(value, value.date())
    if isinstance(value, date):
        return _in_range(value, value)
    if not isinstance(value, str):
        raise ValueError(_no_date(value))  # noqa: TRY004 - one class for every unreadable cell
    text = _MIDNIGHT.sub("", _tidy(value))
    if len(text) > _LONGEST:
        raise ValueError(_no_date(value))
    if match := _YEAR_FIRST.fullmatch(text):
        return _day(value, match[1], match[3], match[4])
    if match := _YEAR_LAST.fullmatch(text):
        return _year_last(value, match, order)
    if match := _DAY_NAME_YEAR.fullmatch(text):
        return _day(value, match[3], str(_month_named(value, match[2])), match[1])
    if match := _NAME_DAY_YEAR.fullmatch(text):
        return _day(value, match[3], str(_month_named(value, match[1])), match[2])
    raise ValueError(_no_date(value))


def parse_month(value: object) -> date:
    """Return the first day of the month that a cell or text names.

    Raises:
        ValueError: no month, a day in mid-month, or two readings.
    """
    if isinstance(value, str):
        text = _tidy(value)
        if len(text) <= _LONGEST and (month := _month_in(value, text)):
            return month
    try:
        day = parse_date(value)
    except ValueError as error:
        if "reads as" in str(error):
            raise
        msg = f"found {shown(value)}; a month is needed, such as 2026-11, 11.2026 or November 2026"
        raise ValueError(msg) from error
    if day.day != 1:
        msg = f"found {shown(value)}; a month is written as its first day, {day.replace(day=1)}"
        raise ValueError(msg)
    return day


def _month_in(value: str, text: str) -> date | None:
    if match := _MONTH_YEAR.fullmatch(text):
        return _first_day(value, match[2], match[1])
    if match := _YEAR_MONTH.fullmatch(text):
        return _first_day(value, match[1], match[2])
    if match := _NAME_YEAR.fullmatch(text):
        name, year = (match[1], match[2]) if match[1] else (match[4], match[3])
        return _day(value, year, str(_month_named(value, name)), "1")
    return None


def _first_day(value: str, year: str, month: str) -> date:
    if not 1 <= int(month) <= 12:  # noqa: PLR2004 - months of a year
        msg = f"found {shown(value)}; a year has the months 1 to 12"
        raise ValueError(msg)
    return _day(value, year, month, "1")


def _month_named(value: str, name: str) -> int:
    decomposed = unicodedata.normalize("NFKD", name.casefold())
    plain = "".join(c for c in decomposed if not unicodedata.combining(c)).rstrip(".")
    if plain not in _MONTHS:
        msg = f"found {shown(value)}; {name!r} is no month in German, English, French or Italian"
        raise ValueError(msg)
    return _MONTHS[plain]


def _year_last(value: str, match: re.Match[str], order: str | None) -> date:
    first, mark, second, year = match.groups()
    year = year if len(year) > 2 else "20" + year  # noqa: PLR2004 - two digits
    if order == "dmy" or (mark == "." and order is None):
        return _day(value, year, second, first)
    if order == "mdy" and mark != ".":
        return _day(value, year, first, second)
    readings = _readings(year, first, second)
    if len(readings) == 1:
        return _in_range(value, readings[0])
    if not readings:
        raise ValueError(_no_date(value))
    msg = f"found {shown(value)}, which reads as {readings[0]} or as {readings[1]}; " + (
        "write it as YYYY-MM-DD" if order else "write it as YYYY-MM-DD or declare date_order"
    )
    raise ValueError(msg)


def _readings(year: str, first: str, second: str) -> list[date]:
    found = []
    for month, day in ((second, first), (first, second)):
        try:
            reading = date(int(year), int(month), int(day))
        except ValueError:
            continue
        if reading not in found:
            found.append(reading)
    return found


def _day(value: object, year: str, month: str, day: str) -> date:
    try:
        found = date(int(year), int(month), int(day))
    except ValueError as error:
        msg = f"found {shown(value)}, which is no day of the calendar"
        raise ValueError(msg) from error
    return _in_range(value, found)


def _in_range(value: object, day: date) -> date:
    if day.year not in _YEARS:
        msg = f"found {shown(value)}; years from {_YEARS[0]} to {_YEARS[-1]} are read"
        raise ValueError(msg)
    return day


def _no_date(value: object) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"found the number {value}; a date is needed, format the cell as a date"
    return f"found {shown(value)}; a date is needed, such as 2026-11-01 or 01.11.2026"


# ------------------------------------------------------------------------------------------ timestamps


def parse_timestamp(value: object, stored_in: str | None, order: str | None = None) -> datetime:
    """Return the UTC instant that a cell or text holds.

    Args:
        value: a datetime, a date (midnight), or text such as `2026-11-01T08:30:00Z`.
        stored_in: IANA zone of values that carry none.
        order: as in `parse_date`.

    Raises:
        ValueError: no timestamp, two readings, or no zone and no `stored_in`.
    """
    if isinstance(value, datetime):
        return _instant(value, value, stored_in)
    if isinstance(value, date):
        return _instant(value, datetime.combine(value, time()), stored_in)
    if not isinstance(value, str):
        raise ValueError(_no_timestamp(value))  # noqa: TRY004 - one class for every unreadable cell
    text = _tidy(value)
    if len(text) > _LONGEST:
        raise ValueError(_no_timestamp(value))
    match = _CLOCK.fullmatch(text)
    if match is None:
        return _instant(value, datetime.combine(parse_date(value, order), time()), stored_in)
    clock = _time_of_day(value, match)
    day = parse_date(match["day"], order)
    return _instant(value, datetime.combine(day, clock), stored_in, match["zone"])


def has_zone(value: object) -> bool:
    """Say whether a timestamp carries its own zone, so that a column can be refused that mixes both."""
    if isinstance(value, datetime):
        return value.tzinfo is not None
    if not isinstance(value, str) or len(value) > _LONGEST:
        return False
    match = _CLOCK.fullmatch(_tidy(value))
    return match is not None and match["zone"] is not None


def _time_of_day(value: str, match: re.Match[str]) -> time:
    hour = int(match["hour"])
    if match["half"]:
        if not 1 <= hour <= 12:  # noqa: PLR2004 - a clock with halves
            raise ValueError(_no_timestamp(value))
        hour = hour % 12 + (12 if match["half"][0] in "Pp" else 0)
    microsecond = int((match["part"] or "0")[:6].ljust(6, "0"))
    try:
        return time(hour, int(match["minute"]), int(match["second"] or 0), microsecond)
    except ValueError as error:
        raise ValueError(_no_timestamp(value)) from error


def _instant(
    value: object, moment: datetime, stored_in: str | None, offset: str | None = None
) -> datetime:
    _in_range(value, moment.date())
    if moment.tzinfo is not None:
        return moment.astimezone(UTC)
    if offset is not None:
        return moment.replace(tzinfo=_offset(value, offset)).astimezone(UTC)
    if stored_in is None:
        msg = (
            f"found {shown(value)}, which has no time zone; "
            "declare stored_in (UTC or a zone such as Europe/Zurich)"
        )
        raise ValueError(msg)
    return moment.replace(tzinfo=_zone(stored_in)).astimezone(UTC)


def _offset(value: object, offset: str) -> timezone:
    digits = re.sub(r"\D", "", offset)
    if not digits:
        return UTC
    ahead = timedelta(hours=int(digits[:2]), minutes=int(digits[2:] or 0))
    if ahead > timedelta(hours=14) or int(digits[2:] or 0) > 59:  # noqa: PLR2004 - minutes of an hour
        msg = f"found {shown(value)}; {offset} is no offset from UTC"
        raise ValueError(msg)
    return timezone(-ahead if offset[0] == "-" else ahead)


@cache
def _zone(stored_in: str) -> ZoneInfo:
    try:
        return ZoneInfo(stored_in)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        msg = (
            f"stored_in {stored_in!r} is no IANA time zone such as UTC or Europe/Zurich"
            f"{nearest(stored_in, sorted(available_timezones()))}"
        )
        raise ValueError(msg) from error


def _no_timestamp(value: object) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"found the number {value}; a date with time is needed, format the cell as one"
    return f"found {shown(value)}; a timestamp is needed, such as 2026-11-01T08:30:00Z"

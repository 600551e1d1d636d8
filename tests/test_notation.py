"""Numbers, money, ratios, counts, dates, months and timestamps as people type them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest import notation

D = Decimal

NUMBERS: list[tuple[object, str | None, str]] = [
    ("120000", None, "120000"),
    ("120'000", None, "120000"),
    ("120’000", None, "120000"),
    ("120'000.50", None, "120000.50"),
    ("120’000.50", None, "120000.50"),
    ("120’000,50", None, "120000.50"),
    ("1'234'567", None, "1234567"),
    ("1'234’567", None, "1234567"),
    ("1’234’567.891", None, "1234567.891"),
    ("120\u2009000", None, "120000"),
    ("120\u00a0000", None, "120000"),
    ("120\u202f000,50", None, "120000.50"),
    ("120 000", None, "120000"),
    ("1 234,567", None, "1234.567"),
    ("1.234,50", "de", "1234.50"),
    ("1.234,50", "fr", "1234.50"),
    ("1.234,50", "it", "1234.50"),
    ("1.234,50", None, "1234.50"),
    ("1,234.50", None, "1234.50"),
    ("1,234.50", "en", "1234.50"),
    ("1.234.567", None, "1234567"),
    ("1,234,567", None, "1234567"),
    ("1.234.567,8", None, "1234567.8"),
    ("1.234", "de", "1234"),
    ("1.234", "fr", "1234"),
    ("1.234", "it", "1234"),
    ("1.234", "en", "1.234"),
    ("1.234", "de-CH", "1.234"),
    ("1,234", "en", "1234"),
    ("1,234", "de", "1.234"),
    ("1,234", "fr", "1.234"),
    ("0.234", None, "0.234"),
    ("0,234", None, "0.234"),
    ("0,5", "en", "0.5"),
    ("12.5", None, "12.5"),
    ("12,5", None, "12.5"),
    ("1.2345", None, "1.2345"),
    ("1234.567", None, "1234.567"),
    (".5", None, "0.5"),
    ("  42 ", None, "42"),
    ("\u00a042\u00a0", None, "42"),
    ("-5", None, "-5"),
    ("\u22125", None, "-5"),
    ("+5", None, "5"),
    ("-1’234.5", None, "-1234.5"),
    ("0800", None, "800"),
    (5, None, "5"),
    (0.1, None, "0.1"),
    (120000.0, None, "120000"),
    (D("1.10"), None, "1.10"),
]

NO_NUMBERS: list[tuple[object, str | None, str]] = [
    ("1.234", None, "reads as 1234 or as 1.234"),
    ("1,234", None, "reads as 1234 or as 1.234"),
    ("1,234", "de-CH", "reads as 1234 or as 1.234"),
    ("-12.345", None, "reads as 12345 or as 12.345"),
    ("", None, "found nothing"),
    ("  \u00a0", None, "found nothing"),
    (None, None, "found nothing"),
    (True, None, "found True"),
    ("abc", None, "found 'abc'"),
    ("1.2.3", None, "found '1.2.3'"),
    ("1,2.3", None, "found '1,2.3'"),
    ("1'23", None, 'found "1\'23"'),
    ("1234'567", None, "found"),
    ("12 34", None, "found '12 34'"),
    ("1.2E+05", None, "found '1.2E+05'"),
    ("5.", None, "found '5.'"),
    ("--5", None, "found '--5'"),
    ("60 %", None, "found '60 %'"),
    ("١٢", None, "found"),
    ("#DIV/0!", None, "found '#DIV/0!'"),
    ("=1+1", None, "found '=1+1'"),
    ("9" * 100, None, "found '9"),
    (float("nan"), None, "found nan"),
    (float("inf"), None, "found inf"),
    (date(2026, 11, 1), None, "found 2026-11-01"),
    ("5", "xx", "locale 'xx' is unknown"),
]

MONEY: list[tuple[object, str | None, str, str | None]] = [
    ("CHF 120'000.–", None, "120000", "CHF"),
    ("CHF 120’000.–", None, "120000", "CHF"),
    ("CHF 120'000.--", None, "120000", "CHF"),
    ("CHF 120'000.-", None, "120000", "CHF"),
    ("CHF 120’000.—", None, "120000", "CHF"),
    ("120'000.–", None, "120000", None),
    ("Fr. 50.–", None, "50", "CHF"),
    ("SFr. 1'250.50", None, "1250.50", "CHF"),
    ("chf 5", None, "5", "CHF"),
    ("CHF\u00a0120\u202f000", None, "120000", "CHF"),
    ("120000 CHF", None, "120000", "CHF"),
    ("€ 1.234,50", "de", "1234.50", "EUR"),
    ("1.234,50 €", None, "1234.50", "EUR"),
    ("£5", None, "5", "GBP"),
    ("USD 1,234", "en", "1234", "USD"),
    ("-CHF 5", None, "-5", "CHF"),
    ("CHF -5.50", None, "-5.50", "CHF"),
    (120000, None, "120000", None),
    (99.95, None, "99.95", None),
]

NO_MONEY: list[tuple[object, str | None, str]] = [
    ("CHF 1.234", None, "reads as 1234 or as 1.234"),
    ("1.234 CHF", None, "reads as 1234 or as 1.234"),
    ("$ 5", None, "used by several currencies"),
    ("XYZ 5", None, "'XYZ' is no ISO 4217 currency"),
    ("CFH 5", None, "did you mean 'CHF'?"),
    ("CHF", None, "a number is needed"),
    ("CHF 5 EUR", None, "found 'CHF 5 EUR'"),
    ("", None, "found nothing"),
    ("n/a", None, "found 'n/a'"),
]

RATIOS: list[tuple[object, str | None, Fraction]] = [
    ("60 %", None, Fraction(3, 5)),
    ("60%", None, Fraction(3, 5)),
    ("60\u202f%", None, Fraction(3, 5)),
    ("60,5%", None, Fraction(605, 1000)),
    ("60.5 %", None, Fraction(605, 1000)),
    ("100%", None, Fraction(1)),
    ("4 %", None, Fraction(1, 25)),
    ("0 %", None, Fraction(0)),
    ("0.04", None, Fraction(1, 25)),
    ("0,6", None, Fraction(3, 5)),
    (0.6, "0.0%", Fraction(3, 5)),
    (0.6, "0%", Fraction(3, 5)),
    (0.6, "General", Fraction(3, 5)),
    (0.6, None, Fraction(3, 5)),
    (1, "0%", Fraction(1)),
    (1.0, "0.00%", Fraction(1)),
    (0, None, Fraction(0)),
    (0, '0.0"%"', Fraction(0)),
]

NO_RATIOS: list[tuple[object, str | None, str]] = [
    ("60", None, "reads as 60 % or as 6000 %"),
    ("4", None, "reads as 4 % or as 400 %"),
    ("1", None, "reads as 1 % or as 100 %"),
    ("1.0", None, "reads as 1 % or as 100 %"),
    (60, None, "reads as 60 % or as 6000 %"),
    (4.0, "General", "reads as 4 % or as 400 %"),
    (1, "0.0", "reads as 1 % or as 100 %"),
    (0.6, '0.0"%"', "reads as 0.6 % or as 60 %"),
    (0.6, "0.0\\%", "reads as 0.6 % or as 60 %"),
    (60, '0"%"', "reads as 60 % or as 6000 %"),
    ("12.345 %", None, "reads as 12345 or as 12.345"),
    ("-5 %", None, "at least 0 %"),
    (-0.1, None, "at least 0 %"),
    ("% 60", None, "'60 %' or '0.6'"),
    ("60 %%", None, "'60 %' or '0.6'"),
    ("%", None, "found '%'"),
    ("sixty", None, "found 'sixty'"),
    ("", None, "found nothing"),
    (None, None, "found nothing"),
    ("1/3", None, "found '1/3'"),
]

COUNTS: list[tuple[object, int]] = [
    ("5", 5),
    (5, 5),
    (5.0, 5),
    ("0", 0),
    ("1’234", 1234),
    ("5.0", 5),
    (D(7), 7),
]

NO_COUNTS: list[tuple[object, str]] = [
    ("3.5", "whole number"),
    (3.5, "whole number"),
    ("-1", "at least 0"),
    (-1, "at least 0"),
    ("many", "found 'many'"),
    ("1.234", "reads as 1234 or as 1.234"),
    (True, "found True"),
    ("", "found nothing"),
]

DATES: list[tuple[object, str | None, date]] = [
    (date(2026, 11, 1), None, date(2026, 11, 1)),
    (datetime(2026, 11, 1), None, date(2026, 11, 1)),  # noqa: DTZ001 - Excel dates carry no zone
    ("01.11.2026", None, date(2026, 11, 1)),
    ("1.11.2026", None, date(2026, 11, 1)),
    ("1. 11. 2026", None, date(2026, 11, 1)),
    ("1.11.26", None, date(2026, 11, 1)),
    ("2026-11-01", None, date(2026, 11, 1)),
    ("2026/11/01", None, date(2026, 11, 1)),
    ("2026-11-01 00:00:00", None, date(2026, 11, 1)),
    (" 2026-11-01\u00a0", None, date(2026, 11, 1)),
    ("11/01/2026", "dmy", date(2026, 1, 11)),
    ("11/01/2026", "mdy", date(2026, 11, 1)),
    ("11-01-26", "mdy", date(2026, 11, 1)),
    ("25/11/2026", None, date(2026, 11, 25)),
    ("11/25/2026", None, date(2026, 11, 25)),
    ("11/11/2026", None, date(2026, 11, 11)),
    ("25.11.2026", "mdy", date(2026, 11, 25)),
    ("1. November 2026", None, date(2026, 11, 1)),
    ("1er août 2026", None, date(2026, 8, 1)),
    ("1º marzo 2026", None, date(2026, 3, 1)),
    ("Nov 1, 2026", None, date(2026, 11, 1)),
    ("29.02.2028", None, date(2028, 2, 29)),
]

NO_DATES: list[tuple[object, str | None, str]] = [
    ("11/01/2026", None, "reads as 2026-01-11 or as 2026-11-01"),
    ("11-01-2026", None, "declare date_order"),
    ("11.01.2026", "mdy", "reads as 2026-01-11 or as 2026-11-01"),
    ("25/11/2026", "mdy", "no day of the calendar"),
    ("11/25/2026", "dmy", "no day of the calendar"),
    ("31.02.2026", None, "no day of the calendar"),
    ("29.02.2026", None, "no day of the calendar"),
    ("2026-13-01", None, "no day of the calendar"),
    ("99/99/2026", None, "a date is needed"),
    (46327, None, "found the number 46327"),
    (46327.0, None, "found the number 46327.0"),
    ("46327", None, "found '46327'"),
    ("20261101", None, "found '20261101'"),
    ("2026-11-01 08:30", None, "found '2026-11-01 08:30'"),
    (datetime(2026, 11, 1, 8, 30), None, "has a time of day"),  # noqa: DTZ001 - as Excel gives it
    (datetime(2026, 11, 1, tzinfo=UTC), None, "has a time of day"),
    ("", None, "found nothing"),
    (None, None, "found nothing"),
    (True, None, "found True"),
    ("yesterday", None, "found 'yesterday'"),
    ("1. Brumaire 2026", None, "'Brumaire' is no month"),
    ("01.11.1026", None, "years from 1900 to 2199"),
    (date(1899, 12, 31), None, "years from 1900 to 2199"),
]

MONTHS: list[tuple[object, date]] = [
    (date(2026, 11, 1), date(2026, 11, 1)),
    ("01.11.2026", date(2026, 11, 1)),
    ("2026-11-01", date(2026, 11, 1)),
    ("11.2026", date(2026, 11, 1)),
    ("11/2026", date(2026, 11, 1)),
    ("1.2026", date(2026, 1, 1)),
    ("2026-11", date(2026, 11, 1)),
    ("November 2026", date(2026, 11, 1)),
    ("2026 November", date(2026, 11, 1)),
    ("Nov. 2026", date(2026, 11, 1)),
    ("MÄRZ 2026", date(2026, 3, 1)),
    ("Maerz 2026", date(2026, 3, 1)),
    ("fe\u0301vrier\u00a02026", date(2026, 2, 1)),
]

NO_MONTHS: list[tuple[object, str]] = [
    ("11/12", "a month is needed"),
    ("11.26", "a month is needed"),
    ("Nov 26", "a month is needed"),
    ("15.11.2026", "its first day, 2026-11-01"),
    (date(2026, 11, 2), "its first day"),
    ("13.2026", "a year has the months 1 to 12"),
    ("2027-13", "a year has the months 1 to 12"),
    ("11/01/2026", "reads as 2026-01-11 or as 2026-11-01"),
    ("Brumaire 2026", "no month"),
    (11, "a month is needed"),
    (46327, "a month is needed"),
    ("", "found nothing"),
]

NAMES = {
    "de-CH": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "de": "Jänner Februar März April Mai Juni Juli August September Oktober November Dezember",
    "en": "January February March April May June July August September October November December",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "it": "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
    "de short": "Jan Feb Mär Apr Mai Jun Jul Aug Sep Okt Nov Dez",
    "en short": "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec",
    "fr short": "janv. févr. mars avr. mai juin juil. août sept. oct. nov. déc.",
    "it short": "gen feb mar apr mag giu lug ago set ott nov dic",
}

NAIVE = datetime(2026, 11, 1, 8, 30)  # noqa: DTZ001 - as Excel gives it
TIMESTAMPS: list[tuple[object, str | None, str | None, str]] = [
    ("2026-11-01T08:30:00Z", None, None, "2026-11-01T08:30:00+00:00"),
    ("2026-11-01T08:30:00+01:00", None, None, "2026-11-01T07:30:00+00:00"),
    ("2026-11-01 08:30:00+0100", None, None, "2026-11-01T07:30:00+00:00"),
    ("2026-11-01 08:30:00-05", None, None, "2026-11-01T13:30:00+00:00"),
    ("2026-11-01 08:30:00 UTC", None, None, "2026-11-01T08:30:00+00:00"),
    ("2026-11-01T08:30:00.123456789Z", None, None, "2026-11-01T08:30:00.123456+00:00"),
    ("2026-11-01T08:30", "UTC", None, "2026-11-01T08:30:00+00:00"),
    ("2026-11-01 08:30", "Europe/Zurich", None, "2026-11-01T07:30:00+00:00"),
    ("2026-07-01 08:30", "Europe/Zurich", None, "2026-07-01T06:30:00+00:00"),
    ("01.11.2026 08:30", "Europe/Zurich", None, "2026-11-01T07:30:00+00:00"),
    ("01.11.2026, 08:30:15", "UTC", None, "2026-11-01T08:30:15+00:00"),
    ("11/01/2026 2:05 PM", "UTC", "mdy", "2026-11-01T14:05:00+00:00"),
    ("11/01/2026 12:05 am", "UTC", "mdy", "2026-11-01T00:05:00+00:00"),
    ("2026-11-01", "Europe/Zurich", None, "2026-10-31T23:00:00+00:00"),
    (date(2026, 11, 1), "Europe/Zurich", None, "2026-10-31T23:00:00+00:00"),
    (NAIVE, "Europe/Zurich", None, "2026-11-01T07:30:00+00:00"),
    (NAIVE.replace(tzinfo=UTC), None, None, "2026-11-01T08:30:00+00:00"),
    (
        NAIVE.replace(tzinfo=timezone(timedelta(hours=2))),
        "Asia/Tokyo",
        None,
        "2026-11-01T06:30:00+00:00",
    ),
]

NO_TIMESTAMPS: list[tuple[object, str | None, str]] = [
    ("2026-11-01T08:30:00", None, "declare stored_in"),
    (NAIVE, None, "declare stored_in"),
    ("2026-11-01", None, "declare stored_in"),
    ("2026-11-01T08:30:00", "Europe/Zürich", "no IANA time zone"),
    ("2026-11-01T08:30:00", "Europe/Zurik", "did you mean 'Europe/Zurich'?"),
    ("2026-11-01T08:30:00", "../../etc/passwd", "no IANA time zone"),
    ("2026-11-01T25:30:00Z", None, "a timestamp is needed"),
    ("2026-11-01T08:30:60Z", None, "a timestamp is needed"),
    ("2026-11-01 13:30 PM", "UTC", "a timestamp is needed"),
    ("2026-11-01T08:30:00+25:00", None, "no offset from UTC"),
    ("2026-02-30T08:30:00Z", None, "no day of the calendar"),
    ("11/01/2026 08:30", "UTC", "reads as 2026-01-11 or as 2026-11-01"),
    (1777777777, "UTC", "found the number 1777777777"),
    ("1777777777", "UTC", "a date is needed"),
    ("", "UTC", "found nothing"),
    ("soon", "UTC", "found 'soon'"),
]


@pytest.mark.parametrize(("value", "locale", "expected"), NUMBERS)
def test_a_number_with_one_reading_is_read(
    value: object, locale: str | None, expected: str
) -> None:
    assert notation.parse_number(value, locale) == D(expected)


@pytest.mark.parametrize(("value", "locale", "message"), NO_NUMBERS)
def test_no_number_is_refused(value: object, locale: str | None, message: str) -> None:
    assert message in _refusal(lambda: notation.parse_number(value, locale))


@pytest.mark.parametrize(("value", "locale", "amount", "currency"), MONEY)
def test_money_is_read_with_its_currency(
    value: object, locale: str | None, amount: str, currency: str | None
) -> None:
    assert notation.parse_money(value, locale) == (D(amount), currency)


@pytest.mark.parametrize(("value", "locale", "message"), NO_MONEY)
def test_no_money_is_refused(value: object, locale: str | None, message: str) -> None:
    assert message in _refusal(lambda: notation.parse_money(value, locale))


@pytest.mark.parametrize(("value", "number_format", "expected"), RATIOS)
def test_a_ratio_with_its_unit_is_read(
    value: object, number_format: str | None, expected: Fraction
) -> None:
    assert notation.parse_ratio(value, number_format) == expected


@pytest.mark.parametrize(("value", "number_format", "message"), NO_RATIOS)
def test_a_ratio_with_two_readings_is_refused(
    value: object, number_format: str | None, message: str
) -> None:
    assert message in _refusal(lambda: notation.parse_ratio(value, number_format))


@pytest.mark.parametrize(("value", "expected"), COUNTS)
def test_a_whole_number_is_a_count(value: object, expected: int) -> None:
    assert notation.parse_count(value) == expected


@pytest.mark.parametrize(("value", "message"), NO_COUNTS)
def test_no_count_is_refused(value: object, message: str) -> None:
    assert message in _refusal(lambda: notation.parse_count(value))


@pytest.mark.parametrize(("value", "order", "expected"), DATES)
def test_a_date_with_one_reading_is_read(value: object, order: str | None, expected: date) -> None:
    assert notation.parse_date(value, order) == expected


@pytest.mark.parametrize(("value", "order", "message"), NO_DATES)
def test_no_date_is_refused(value: object, order: str | None, message: str) -> None:
    assert message in _refusal(lambda: notation.parse_date(value, order))


@pytest.mark.parametrize(("value", "expected"), MONTHS)
def test_a_month_is_read(value: object, expected: date) -> None:
    assert notation.parse_month(value) == expected


@pytest.mark.parametrize(("value", "message"), NO_MONTHS)
def test_no_month_is_refused(value: object, message: str) -> None:
    assert message in _refusal(lambda: notation.parse_month(value))


@pytest.mark.parametrize("language", NAMES)
def test_months_are_known_by_name_in_five_locales(language: str) -> None:
    read = [notation.parse_month(f"{name} 2026") for name in NAMES[language].split()]
    assert [date(2026, month, 1) for month in range(1, 13)] == read


@pytest.mark.parametrize(("value", "stored_in", "order", "expected"), TIMESTAMPS)
def test_a_timestamp_becomes_a_utc_instant(
    value: object, stored_in: str | None, order: str | None, expected: str
) -> None:
    read = notation.parse_timestamp(value, stored_in, order)
    assert (expected, UTC) == (read.isoformat(), read.tzinfo)


@pytest.mark.parametrize(("value", "stored_in", "message"), NO_TIMESTAMPS)
def test_no_timestamp_is_refused(value: object, stored_in: str | None, message: str) -> None:
    assert message in _refusal(lambda: notation.parse_timestamp(value, stored_in))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-11-01T08:30:00Z", True),
        ("2026-11-01 08:30 +01:00", True),
        ("2026-11-01 08:30", False),
        ("2026-11-01", False),
        (NAIVE, False),
        (NAIVE.replace(tzinfo=UTC), True),
        ("", False),
        (None, False),
    ],
)
def test_a_zone_is_seen(value: object, expected: bool) -> None:  # noqa: FBT001 - a table of cases
    assert notation.has_zone(value) is expected


def test_the_table_of_cases_holds_at_least_120_strings() -> None:
    tables: tuple[list[tuple[object, ...]], ...] = (
        [*NUMBERS, *NO_NUMBERS],
        [*MONEY, *NO_MONEY],
        [*RATIOS, *NO_RATIOS],
        [*COUNTS, *NO_COUNTS],
        [*DATES, *NO_DATES],
        [*MONTHS, *NO_MONTHS],
        [*TIMESTAMPS, *NO_TIMESTAMPS],
    )
    assert sum(isinstance(case[0], str) for table in tables for case in table) >= 120


PARSERS: tuple[Callable[[object], object], ...] = (
    notation.parse_number,
    notation.parse_money,
    notation.parse_ratio,
    notation.parse_count,
    notation.parse_date,
    notation.parse_month,
    lambda value: notation.parse_timestamp(value, "Europe/Zurich"),
)


@pytest.mark.parametrize("parse", PARSERS)
@given(value=st.one_of(st.text(max_size=80), st.text("0123456789.,'’ -/:%TZCHF–", max_size=20)))
def test_any_text_is_read_or_refused_in_one_line(
    parse: Callable[[object], object], value: str
) -> None:
    refusal = ""
    try:
        parse(value)
    except ValueError as error:
        refusal = str(error)
    assert refusal == "" or refusal.startswith("found ")
    assert "\n" not in refusal
    assert len(refusal) < 600


@given(
    number=st.integers(-(10**12), 10**12), grouping=st.sampled_from(["'", "’", "\u202f", "\u00a0"])
)
def test_grouped_whole_numbers_keep_their_value(number: int, grouping: str) -> None:
    assert notation.parse_number(f"{number:,}".replace(",", grouping)) == number


@given(
    text=st.from_regex(r"\d{1,4}([.,'’ ]\d{1,4}){0,3}", fullmatch=True),
    locale=st.sampled_from(notation.LOCALES),
)
def test_a_locale_only_settles_what_has_two_readings(text: str, locale: str) -> None:
    without = _reading(text, None)
    assert without == _reading(text, locale) or without == "two readings"


def _reading(text: str, locale: str | None) -> Decimal | str:
    try:
        return notation.parse_number(text, locale)
    except ValueError as error:
        return "two readings" if "reads as" in str(error) else "none"


def _refusal(call: Callable[[], object]) -> str:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the caller compares the message
        call()
    return str(caught.value)

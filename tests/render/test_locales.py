from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.errors import ConfigError
from digest.render.locales import Locale, half_up, languages, locale_for, printable, shown
from digest.render.words import headline, short_days_left
from tests.render.editions import month_close

SWISS = locale_for("de-CH")
GERMAN = locale_for("de")
ENGLISH = locale_for("en")
FRENCH = locale_for("fr")
ITALIAN = locale_for("it")


def test_swiss_numbers_have_an_apostrophe_a_point_and_a_real_minus() -> None:
    assert SWISS.number(Decimal("1234.5"), 1) == "1\u2019234.5"
    assert SWISS.number(-1234) == "\u22121\u2019234"
    assert SWISS.signed(3) == "+3"
    assert SWISS.signed(0) == "0"


def test_swiss_money_and_percent_look_as_agreed() -> None:
    assert SWISS.money(Decimal("12345.6"), "CHF", 2) == "CHF\u00a012\u2019345.60"
    assert SWISS.percent(Fraction(86, 100)) == "86%"


def test_german_and_english_have_their_own_signs() -> None:
    assert GERMAN.money(Decimal("12345.6"), "EUR", 2) == "12.345,60\u00a0EUR"
    assert GERMAN.percent(Fraction(86, 100)) == "86\u00a0%"
    assert ENGLISH.money(Decimal("12345.6"), "EUR", 2) == "EUR\u00a012,345.60"


def test_french_sets_groups_and_percent_apart_with_narrow_spaces() -> None:
    assert FRENCH.number(Decimal("1234567.5"), 1) == "1\u202f234\u202f567,5"
    assert FRENCH.money(Decimal("12345.6"), "EUR", 2) == "12\u202f345,60\u00a0EUR"
    assert FRENCH.percent(Fraction(86, 100)) == "86\u202f%"
    assert FRENCH.percent(Fraction(1, 1000)) == "<1\u202f%"


def test_italian_has_points_for_groups_and_no_space_before_percent() -> None:
    assert ITALIAN.number(Decimal("1234567.5"), 1) == "1.234.567,5"
    assert ITALIAN.money(Decimal("12345.6"), "EUR", 2) == "12.345,60\u00a0EUR"
    assert ITALIAN.percent(Fraction(86, 100)) == "86%"


@pytest.mark.parametrize(
    ("locale", "expected"),
    [
        (SWISS, "«Messe»"),
        (GERMAN, "\u201eMesse\u201c"),
        (ENGLISH, "\u201cMesse\u201d"),
        (FRENCH, "«\u202fMesse\u202f»"),
        (ITALIAN, "«Messe»"),
    ],
)
def test_words_from_elsewhere_stand_in_the_marks_of_the_language(
    locale: Locale, expected: str
) -> None:
    assert locale.quote("Messe") == expected


@pytest.mark.parametrize(
    ("locale", "expected"),
    [
        (ENGLISH, ("0 days left", "0.5 days left", "1 day left", "1.5 days left", "2 days left")),
        (
            FRENCH,
            ("0 jour restant", "0,5 jour restant", "1 jour restant", "1,5 jour restant", "2 jours restants"),
        ),
        (
            ITALIAN,
            ("0 giorni rimasti", "0,5 giorni rimasti", "1 giorno rimasto", "1,5 giorni rimasti",
             "2 giorni rimasti"),
        ),
        (GERMAN, ("noch 0 Tage", "noch 0,5 Tage", "noch 1 Tag", "noch 1,5 Tage", "noch 2 Tage")),
    ],
)  # fmt: skip
def test_plurals_follow_the_language_half_days_included(
    locale: Locale, expected: tuple[str, ...]
) -> None:
    weights = (Fraction(0), Fraction(1, 2), Fraction(1), Fraction(3, 2), Fraction(2))

    assert tuple(short_days_left(locale, weight) for weight in weights) == expected


def test_french_and_italian_write_the_first_of_a_month_as_an_ordinal() -> None:
    first, eleventh = date(2026, 6, 1), date(2026, 6, 11)

    assert FRENCH.full_day(first) == "lundi 1er juin 2026"
    assert FRENCH.day(first) == "lun.\u00a01er\u00a0juin"
    assert ITALIAN.medium_day(first) == "1º giu 2026"
    assert FRENCH.medium_day(eleventh) == "11 juin 2026"
    assert FRENCH.month_year(first) == "juin 2026"
    assert GERMAN.full_day(first) == "Montag, 1. Juni 2026"


def test_a_sentence_that_begins_with_a_month_has_a_capital() -> None:
    assert headline(ITALIAN, month_close().closed.scorecard).startswith("Maggio ")  # type: ignore[union-attr] # it closes May


def test_percentages_are_floored_so_that_398_of_400_is_not_the_goal() -> None:
    assert ENGLISH.percent(Fraction(398, 400)) == "99%"
    assert ENGLISH.percent(Fraction(400, 400)) == "100%"
    assert ENGLISH.percent(Fraction(0)) == "0%"
    assert ENGLISH.percent(Fraction(1, 1000)) == "<1%"


def test_rates_keep_a_decimal_only_where_there_is_one() -> None:
    assert ENGLISH.exact_percent(Fraction(31, 1000)) == "3.1%"
    assert ENGLISH.exact_percent(Fraction(4, 100)) == "4%"


@given(st.integers(-(10**9), 10**9), st.integers(1, 10**6), st.integers(0, 3))
def test_rounding_is_half_away_from_zero_and_exact(
    numerator: int, denominator: int, decimals: int
) -> None:
    value = Fraction(numerator, denominator)

    rounded = Fraction(half_up(value, decimals))

    unit = Fraction(1, 10**decimals)
    assert abs(rounded - value) <= unit / 2
    assert abs(rounded) >= abs(value) or abs(value) - abs(rounded) < unit / 2


def test_days_are_written_without_a_stumbling_comma_and_never_break() -> None:
    monday = date(2026, 6, 15)

    assert SWISS.day(monday) == "Mo\u00a015.\u00a0Juni"
    assert ENGLISH.day(monday) == "Mon\u00a015\u00a0Jun"
    assert SWISS.full_day(monday) == "Montag, 15. Juni 2026"


def test_an_instant_is_told_in_the_zone_of_the_digest() -> None:
    instant = datetime(2026, 6, 15, 4, 2, tzinfo=UTC)

    assert ENGLISH.instant(instant, "Europe/Zurich") == "Mon\u00a015\u00a0Jun, 06:02"


def test_large_numbers_are_short_where_room_is_scarce() -> None:
    assert ENGLISH.compact(1200) == "1,200"
    assert ENGLISH.compact(145_600_000) == "145.6M"


def test_english_comes_first_and_german_is_there() -> None:
    assert languages()[0] == "en"
    assert "de" in languages()


@pytest.mark.parametrize("tag", ["xx", "tlh", "Deutsch!", ""])
def test_an_unknown_language_is_a_settings_mistake_that_names_the_known_ones(tag: str) -> None:
    with pytest.raises(ConfigError, match="allowed: en, de"):
        locale_for(tag)


def test_a_country_adds_its_words_to_those_of_its_language() -> None:
    assert SWISS.gettext("Total") == "Total"
    assert GERMAN.gettext("Total") == "Gesamt"
    assert SWISS.gettext("Segments") == GERMAN.gettext("Segments") == "Segmente"
    assert SWISS.ngettext("%(n)s more", "%(n)s more", 2) == "2 weitere"


def test_a_country_without_its_own_words_takes_those_of_its_language() -> None:
    assert locale_for("de-AT").gettext("Segments") == "Segmente"
    assert locale_for("en-US").gettext("Segments") == "Segments"


@given(st.text())
def test_shown_names_hold_one_line_and_fit(name: str) -> None:
    result = shown(name)

    assert len(result) <= 80
    assert result == printable(result)
    assert "\n" not in result
    assert "\r" not in result


def test_names_lose_what_reorders_or_breaks_text() -> None:
    assert shown("A\u202eB\x00C\r\nD \ud800") == "ABC D"

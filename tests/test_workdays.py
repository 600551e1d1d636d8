"""Which days count: cantons, company days, and weights learned from history."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from fractions import Fraction

import pytest

from digest.model import Period, Workday
from digest.workdays import Calendar, weigh, weight_of

ZURICH = Calendar("CH", "ZH")
YEAR = Period(date(2026, 1, 1), date(2027, 1, 1))
MAY = Period(date(2026, 5, 1), date(2026, 6, 1))
HALF = Fraction(1, 2)


def weight(calendar: Calendar, *day: int) -> Fraction:
    return calendar.day(date(*day)).weight


def reason(calendar: Calendar, *day: int) -> str | None:
    return calendar.day(date(*day)).reason


# --------------------------------------------------------------------------------------------- places


@pytest.mark.parametrize(
    ("workdays", "cantons"),
    [
        (250, "TI"),
        (251, "AG JU SZ UR"),
        (252, "LU"),
        (253, "AI GE TG VD"),
        (254, "BE BL BS GL NW OW SH ZH"),
        (255, "AR NE SG VS ZG"),
        (256, "GR"),
        (257, "FR SO"),
    ],
)
def test_every_canton_has_its_workdays_of_2026(workdays: int, cantons: str) -> None:
    found = {canton: weight_of(Calendar("CH", canton).days(YEAR)) for canton in cantons.split()}
    assert dict.fromkeys(cantons.split(), Fraction(workdays)) == found


def test_the_city_of_zurich_has_a_day_less_than_its_canton() -> None:
    city = Calendar("CH", "Stadt Zurich")
    assert weight_of(city.days(YEAR)) == 253
    assert weight(ZURICH, 2026, 1, 2) == 1
    assert weight(city, 2026, 1, 2) == 0
    assert city.label == "CH-Stadt Zurich"


def test_all_weekdays_of_2026_are_261() -> None:
    plain = replace(ZURICH, remove=tuple(day for day in YEAR.days() if not weight_of_day(day)))
    assert weight_of(plain.days(YEAR)) == 261


def weight_of_day(day: date) -> Fraction:
    return ZURICH.day(day).weight


def test_may_2026_has_18_workdays_in_canton_zurich() -> None:
    assert weight_of(ZURICH.days(MAY)) == 18
    assert len(ZURICH.days(MAY)) == 31


@pytest.mark.parametrize(("given", "label"), [("ZH", "CH-ZH"), ("Zürich", "CH-ZH")])
def test_a_canton_goes_by_code_or_name(given: str, label: str) -> None:
    calendar = Calendar("CH", given)
    assert calendar.label == label
    assert weight_of(calendar.days(MAY)) == 18


def test_countries_without_regions_need_none() -> None:
    calendar = Calendar("LI")
    assert (calendar.label, calendar.is_coarse) == ("LI", False)


def test_a_country_with_regions_and_none_named_is_coarse() -> None:
    assert Calendar("AT").is_coarse
    assert not Calendar("AT", "9").is_coarse
    assert not ZURICH.is_coarse


@pytest.mark.parametrize(
    ("words", "country", "subdivision"),
    [
        ("subdivision: missing for CH.*AG, AI.*ZH", "CH", None),
        ("subdivision: missing for DE.*BB, BE", "DE", None),
        ("found 'ZX' for CH, allowed are AG, AI, .*Stadt Zurich$", "CH", "ZX"),
        ("found 'Zuerich'.*did you mean 'Zürich'", "CH", "Zuerich"),
        ("found 'X' for LI, LI has none", "LI", "X"),
        ("country: found 'ch'.*did you mean 'CH'", "ch", "ZH"),
        ("country: found 'Atlantis'", "Atlantis", None),
        ("country: found 'CHE'", "CHE", "ZH"),
    ],
)
def test_a_place_that_is_not_known_is_refused(
    words: str, country: str, subdivision: str | None
) -> None:
    with pytest.raises(ValueError, match=words):
        Calendar(country, subdivision)


@pytest.mark.failure("T8")
@pytest.mark.parametrize("year", [1800, 2101])
def test_a_year_the_library_does_not_know_is_refused_not_empty(year: int) -> None:
    with pytest.raises(ValueError, match=rf"holidays of {year} are not known.*1801 to 2100"):
        ZURICH.day(date(year, 6, 1))


@pytest.mark.parametrize("year", [1801, 2100])
def test_the_first_and_last_known_year_work(year: int) -> None:
    assert weight(ZURICH, year, 12, 25) == 0


# -------------------------------------------------------------------------------------------- reasons


@pytest.mark.parametrize(
    ("language", "name"),
    [
        ("de-CH", "Tag der Arbeit"),
        ("de", "Tag der Arbeit"),
        ("fr", "Fête du Travail"),
        ("en", "Labor Day"),
        ("en_US", "Labor Day"),
        ("pt", "Labor Day"),
    ],
)
def test_a_holiday_is_named_in_the_calendars_language_or_in_english(
    language: str, name: str
) -> None:
    labour_day = replace(ZURICH, language=language).day(date(2026, 5, 1))
    assert labour_day == Workday(date(2026, 5, 1), Fraction(0), name)


def test_a_language_is_found_in_the_countrys_own_form_of_it() -> None:
    found = reason(Calendar("BR", language="pt-PT"), 2026, 1, 1)
    assert found == "Confraternização Universal"


def test_a_country_without_translations_keeps_its_own_names() -> None:
    assert reason(Calendar("ZA", language="de"), 2026, 1, 1) == "New Year's Day"


def test_a_plain_workday_needs_no_reason() -> None:
    assert ZURICH.day(date(2026, 5, 4)) == Workday(date(2026, 5, 4), Fraction(1))
    assert reason(ZURICH, 2026, 5, 2) == "weekend"
    assert reason(ZURICH, 2026, 8, 1) == "National Day"  # a Saturday


# ------------------------------------------------------------------------------------- company's days


def test_the_company_adds_removes_and_halves_dates() -> None:
    own = replace(
        ZURICH,
        add=(date(2026, 1, 2), date(2026, 5, 1)),
        remove=(date(2026, 5, 14),),
        half=(date(2026, 5, 25), date(2026, 12, 24)),
    )
    assert own.day(date(2026, 1, 2)) == Workday(date(2026, 1, 2), Fraction(0), "day_off")
    assert own.day(date(2026, 5, 1)) == Workday(date(2026, 5, 1), Fraction(0), "Labor Day")
    assert own.day(date(2026, 5, 14)) == Workday(date(2026, 5, 14), Fraction(1))
    assert own.day(date(2026, 5, 25)) == Workday(date(2026, 5, 25), HALF, "Pentecost Monday")
    assert own.day(date(2026, 12, 24)) == Workday(date(2026, 12, 24), HALF, "half_day")


def test_no_list_makes_a_workday_of_a_weekend() -> None:
    saturdays = (date(2026, 5, 2), date(2026, 5, 9))
    own = replace(ZURICH, half=saturdays[:1], remove=saturdays[1:])
    assert [own.day(day).weight for day in saturdays] == [0, 0]


def test_a_closure_includes_both_ends_and_wins() -> None:
    first, last = date(2026, 12, 24), date(2026, 12, 31)
    own = replace(ZURICH, closures=((first, last),), half=(first,), remove=(date(2026, 12, 25),))
    assert [own.day(first + timedelta(n)).weight for n in (-1, 0, 7)] == [1, 0, 0]
    assert own.day(date(2027, 1, 4)).weight == 1
    assert reason(own, 2026, 12, 24) == "closure"
    assert reason(own, 2026, 12, 25) == "Christmas Day"
    assert reason(own, 2026, 12, 26) == "Saint Stephen's Day"


def test_a_closure_of_one_day_is_allowed() -> None:
    day = date(2026, 5, 4)
    assert replace(ZURICH, closures=((day, day),)).day(day).weight == 0


def test_a_week_from_sunday_to_thursday_works() -> None:
    own = replace(ZURICH, workweek=(6, 0, 1, 2, 3))
    assert [weight(own, 2026, 5, day) for day in (7, 8, 9, 10)] == [1, 0, 0, 1]


def test_half_days_of_the_city_count_half_when_asked() -> None:
    city = Calendar("CH", "Stadt Zurich", half_days=True)
    halves = [day.day for day in city.days(YEAR) if day.weight == HALF]
    assert halves == [
        date(2026, month, day)
        for month, day in [(4, 2), (4, 20), (5, 13), (9, 14), (12, 24), (12, 31)]
    ]
    assert reason(city, 2026, 4, 20) == "Sechseläuten"
    assert weight_of(city.days(YEAR)) == 250
    assert city.is_workday(date(2026, 4, 20))


def test_a_further_category_of_holidays_is_free() -> None:
    thanksgiving = date(2026, 9, 20)
    own = replace(ZURICH, categories=("de_facto",), workweek=tuple(range(7)))
    assert own.day(thanksgiving).weight == 0
    assert replace(own, categories=()).day(thanksgiving).weight == 1
    assert own.day(date(2026, 5, 1)).weight == 0


@pytest.mark.parametrize(
    ("words", "changed"),
    [
        ("found 'bank', allowed for CH are de_facto, half_day,", {"categories": ("bank",)}),
        ("did you mean 'public'", {"categories": ("publik",)}),
        (r"workweek: found \(\)", {"workweek": ()}),
        ("workweek: found.*7", {"workweek": (0, 7)}),
        ("the last day is before", {"closures": ((date(2026, 5, 2), date(2026, 5, 1)),)}),
        ("remove: 2026-05-01 is also in `add`", {"add": (MAY.start,), "remove": (MAY.start,)}),
        ("half: 2026-05-01 is also in `add`", {"add": (MAY.start,), "half": (MAY.start,)}),
        ("half: 2026-05-01 is also in `remove`", {"remove": (MAY.start,), "half": (MAY.start,)}),
    ],
)
def test_contradictory_days_are_refused(words: str, changed: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=words):
        replace(ZURICH, **changed)  # type: ignore[arg-type] # any field, by name


def test_a_date_may_stand_twice_in_one_list() -> None:
    assert replace(ZURICH, add=(MAY.start, MAY.start)).day(MAY.start).weight == 0


def test_half_days_need_a_country_that_has_them() -> None:
    with pytest.raises(
        ValueError, match=r"half-days of LI are not known; name the dates in `half`$"
    ):
        Calendar("LI", half_days=True)


# ------------------------------------------------------------------------------------------ searching


def test_the_next_workday_after_thursday_30_april_is_monday() -> None:
    assert ZURICH.next_workday(date(2026, 4, 30)) == date(2026, 5, 4)
    assert ZURICH.previous_workday(date(2026, 5, 4)) == date(2026, 4, 30)
    assert ZURICH.previous_workday(date(2026, 4, 7)) == date(2026, 4, 2)
    assert ZURICH.next_workday(date(2026, 5, 4)) == date(2026, 5, 5)


def test_a_search_ends_after_a_year() -> None:
    closed = replace(ZURICH, closures=((date(2026, 1, 1), date(2030, 1, 1)),))
    with pytest.raises(ValueError, match="no workday in the 366 days after 2027-01-01"):
        closed.next_workday(date(2027, 1, 1))
    with pytest.raises(ValueError, match="CH-ZH: no workday in the 366 days before 2029-01-01"):
        closed.previous_workday(date(2029, 1, 1))


def test_a_search_finds_the_366th_day() -> None:
    # 366 days after 30 December 2026 is Friday 31 December 2027.
    closed = replace(ZURICH, closures=((date(2026, 12, 31), date(2027, 12, 30)),))
    assert closed.next_workday(date(2026, 12, 30)) == date(2027, 12, 31)


def test_a_search_does_not_find_the_367th_day() -> None:
    # 367 days after 29 December 2026 is Friday 31 December 2027.
    closed = replace(ZURICH, closures=((date(2026, 12, 30), date(2027, 12, 30)),))
    with pytest.raises(ValueError, match="no workday in the 366 days after 2026-12-29"):
        closed.next_workday(date(2026, 12, 29))


# ------------------------------------------------------------------------------------------ weighting


def test_weights_add_up_to_and_including_a_day() -> None:
    days = ZURICH.days(MAY)
    assert weight_of(days, date(2026, 5, 3)) == 0
    assert weight_of(days, date(2026, 5, 4)) == 1
    assert weight_of(days, date(2026, 5, 5)) == 2
    assert weight_of(days) == weight_of(days, MAY.end)


def test_plain_weighting_leaves_the_calendar_alone() -> None:
    assert weigh(ZURICH.days(MAY), "workday", quiet_fridays(200)) == ZURICH.days(MAY)


def test_calendar_weighting_makes_every_day_one() -> None:
    days = weigh(ZURICH.days(MAY), "calendar")
    assert weight_of(days) == 31
    assert [day.reason for day in days] == [day.reason for day in ZURICH.days(MAY)]


def quiet_fridays(days: int, calendar: Calendar = ZURICH) -> list[tuple[Workday, int]]:
    """Ten leads from Monday to Thursday, five on Fridays, one on Saturdays, two on holidays."""
    by_weekday = (10, 10, 10, 10, 5, 1, 0)
    first = date(2025, 10, 1)
    known = [calendar.day(first + timedelta(n)) for n in range(days)]
    return [
        (day, 2 if day.reason not in {None, "weekend"} else by_weekday[day.day.weekday()])
        for day in known
    ]


def test_historical_weights_make_an_average_workday_one() -> None:
    history = quiet_fridays(212)
    worked = [leads for day, leads in history if day.weight == 1]
    usual = Fraction(sum(worked), len(worked))
    days = {day.day.day: day.weight for day in weigh(ZURICH.days(MAY), "historical", history)}
    assert days[4] == 10 / usual  # Monday
    assert days[8] == 5 / usual  # Friday
    assert days[9] == 1 / usual  # Saturday
    assert days[10] == 0  # Sunday
    assert days[1] == 2 / usual  # a holiday on a Friday
    assert sum(
        (weigh([day], "historical", history)[0].weight for day, _ in history), Fraction(0)
    ) == (sum(leads for _, leads in history) / usual)


def test_half_days_are_a_type_of_their_own() -> None:
    own = replace(ZURICH, half=(date(2025, 10, 6), date(2026, 5, 4)))
    history = [(day, 3 if day.weight == HALF else 10) for day, _ in quiet_fridays(60, own)]
    (day,) = weigh([own.day(date(2026, 5, 4))], "historical", history)
    assert day.weight == Fraction(3, 10)


def test_a_type_of_day_without_history_keeps_the_calendars_weight() -> None:
    own = replace(ZURICH, half=(date(2026, 5, 4),))
    (day,) = weigh([own.day(date(2026, 5, 4))], "historical", quiet_fridays(60))
    assert day.weight == HALF


@pytest.mark.parametrize(
    ("learns", "days", "leads"),
    [(False, 55, 10), (True, 56, 10), (False, 56, 0)],
)
def test_eight_weeks_and_leads_on_workdays_are_needed(
    learns: bool,  # noqa: FBT001 - a column of the table
    days: int,
    leads: int,
) -> None:
    first = date(2026, 1, 5)
    history = [
        (ZURICH.day(first + timedelta(n)), leads if (first + timedelta(n)).weekday() == 0 else 0)
        for n in range(days)
    ]
    if days == 56 and leads:
        history[0] = (history[0][0], 30)  # 7 x 10 + 30 = 100 leads
    found = weigh(ZURICH.days(MAY), "historical", history)
    assert learns == (found != ZURICH.days(MAY))


@pytest.mark.parametrize(("learns", "leads"), [(False, 99), (True, 100)])
def test_a_hundred_leads_are_needed(
    learns: bool,  # noqa: FBT001 - a column of the table
    leads: int,
) -> None:
    history = [(day, 0) for day, _ in quiet_fridays(60)]
    history[0] = (history[0][0], leads)
    found = weigh(ZURICH.days(MAY), "historical", history)
    assert learns == (found != ZURICH.days(MAY))


def test_leads_on_free_days_alone_teach_nothing() -> None:
    history = [(day, 0 if day.weight else 50) for day, _ in quiet_fridays(60)]
    assert weigh(ZURICH.days(MAY), "historical", history) == ZURICH.days(MAY)

"""Which days count, and how much: public holidays of a place plus what the company adds to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from digest.errors import nearest
from digest.model import Period, Workday

if TYPE_CHECKING:
    from holidays import HolidayBase

Weighting = Literal["workday", "calendar", "historical"]

# Without a canton Switzerland has 4 public holidays in 2026 and canton Zurich 9; Germany likewise.
SUBDIVISION_MANDATORY = frozenset({"CH", "DE"})
FULL, HALF, FREE = Fraction(1), Fraction(1, 2), Fraction(0)
WEEK = range(7)
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")  # as the settings write them
LONGEST_SEARCH = 366

# Reasons that are no holiday's name; `render` has the words for them.
WEEKEND, CLOSURE, DAY_OFF, HALF_DAY = "weekend", "closure", "day_off", "half_day"


@dataclass(frozen=True, slots=True)
class Calendar:
    """The workdays of a place.

    Attributes:
        country: ISO 3166 code. subdivision: canton, state or province, by code or name.
        add: further free days. remove: holidays that are worked. half: days of weight 0.5, holidays
            included. None of them changes a day outside the work week.
        closures: company closures, (first day, last day), both inclusive.
        workweek: the days worked, Monday is 0.
        half_days: read the library's half-day holidays with weight 0.5.
        categories: further categories of holidays, free as the public ones ("bank", "catholic").
        language: of the holidays' names; English where the library lacks it.

    Raises:
        ValueError: unknown country, subdivision or category, or dates that contradict each other.
    """

    country: str
    subdivision: str | None = None
    add: tuple[date, ...] = ()
    remove: tuple[date, ...] = ()
    half: tuple[date, ...] = ()
    closures: tuple[tuple[date, date], ...] = ()
    workweek: tuple[int, ...] = (0, 1, 2, 3, 4)
    half_days: bool = False
    categories: tuple[str, ...] = ()
    language: str = "en"

    def __post_init__(self) -> None:
        _check_place(self.country, self.subdivision)
        _check_categories(self)
        _check_days(self)

    @property
    def label(self) -> str:
        """Short name of the place: "CH-ZH"."""
        code = _subdivision_code(self.country, self.subdivision)
        return self.country if code is None else f"{self.country}-{code}"

    @property
    def is_coarse(self) -> bool:
        """The country has regional holidays and no region was named."""
        return self.subdivision is None and bool(_place(self.country).subdivisions)

    def day(self, day: date) -> Workday:
        """Return a day with its weight, and the reason when it is not a plain workday.

        The reason is a holiday's name or one of "weekend", "closure", "day_off", "half_day".

        Raises:
            ValueError: the library knows no holidays of that year.
        """
        holiday, half = _names(self, day.year)
        name = holiday.get(day) or half.get(day)
        if day.weekday() not in self.workweek:
            return Workday(day, FREE, name or WEEKEND)
        if (configured := self._configured(day)) is not None:
            weight, reason = configured
            return Workday(day, weight, None if weight == FULL else name or reason)
        weight = FREE if day in holiday else HALF if day in half else FULL
        return Workday(day, weight, name)

    def _configured(self, day: date) -> tuple[Fraction, str] | None:
        if any(first <= day <= last for first, last in self.closures):
            return FREE, CLOSURE
        lists = ((self.add, FREE, DAY_OFF), (self.half, HALF, HALF_DAY), (self.remove, FULL, ""))
        return next(((weight, reason) for days, weight, reason in lists if day in days), None)

    def days(self, period: Period) -> tuple[Workday, ...]:
        """Return every day of a period, in order."""
        return tuple(self.day(day) for day in period.days())

    def is_workday(self, day: date) -> bool:
        """Whether the day has any weight; half-days are workdays."""
        return self.day(day).weight > 0

    def next_workday(self, day: date) -> date:
        """Return the first workday after the day."""
        return self._search(day, timedelta(1))

    def previous_workday(self, day: date) -> date:
        """Return the last workday before the day."""
        return self._search(day, timedelta(-1))

    def _search(self, day: date, step: timedelta) -> date:
        for count in range(1, LONGEST_SEARCH + 1):
            if self.is_workday(day + count * step):
                return day + count * step
        direction = "after" if step > timedelta(0) else "before"
        msg = f"calendar {self.label}: no workday in the {LONGEST_SEARCH} days {direction} {day}"
        raise ValueError(msg)


def weight_of(days: Iterable[Workday], upto: date | None = None) -> Fraction:
    """Return the weight of the days up to and including `upto` (of all of them when None)."""
    return sum((day.weight for day in days if upto is None or day.day <= upto), Fraction(0))


# ----------------------------------------------------------------------------------------- weighting

ENOUGH_DAYS, ENOUGH_LEADS = 56, 100  # eight weeks


def weigh(
    days: Sequence[Workday],
    weighting: Weighting,
    history: Sequence[tuple[Workday, int]] = (),
) -> tuple[Workday, ...]:
    """Return the days with the weights that pacing uses.

    "workday" keeps the calendar's weights and "calendar" makes every day 1. "historical" gives each
    type of day (a weekday, a half-day, a holiday) its mean leads relative to the mean of a full
    workday, so that 1 remains an average workday. `history` is (day, leads) without gaps; under eight
    weeks or 100 leads, or without leads on workdays, the calendar's weights stay.
    """
    if weighting == "calendar":
        return tuple(replace(day, weight=FULL) for day in days)
    learned = _learned(history) if weighting == "historical" else {}
    if not learned:
        return tuple(days)
    return tuple(replace(day, weight=learned.get(_type_of(day), day.weight)) for day in days)


def _learned(history: Sequence[tuple[Workday, int]]) -> Mapping[str, Fraction]:
    if len(history) < ENOUGH_DAYS or sum(leads for _, leads in history) < ENOUGH_LEADS:
        return {}
    full = [leads for day, leads in history if day.weight == FULL]
    if not sum(full):
        return {}
    usual = Fraction(sum(full), len(full))
    types: dict[str, list[int]] = {}
    for day, leads in history:
        types.setdefault(_type_of(day), []).append(leads)
    return {kind: Fraction(sum(counts), len(counts)) / usual for kind, counts in types.items()}


def _type_of(day: Workday) -> str:
    if day.weight == FREE and day.reason != WEEKEND:
        return "holiday"
    return "half" if day.weight == HALF else f"{day.weight > 0}-{day.day.weekday()}"


# -------------------------------------------------------------------------- the library behind it


def _place(country: str) -> type[HolidayBase]:
    """The library's class of a country.

    Raises:
        ValueError: it knows none.
    """
    import holidays

    known = holidays.list_supported_countries(include_aliases=False)
    if country not in known:
        msg = (
            f"country: found {country!r}, allowed is an ISO code in capitals such as 'CH' or 'DE'"
            f"{nearest(country, sorted(known))}"
        )
        raise ValueError(msg)
    found: type[HolidayBase] = getattr(holidays, country)
    return found


def _subdivision_code(country: str, subdivision: str | None) -> str | None:
    if subdivision is None:
        return None
    return _place(country).subdivisions_aliases.get(subdivision, subdivision)


def _check_place(country: str, subdivision: str | None) -> None:
    place = _place(country)
    codes = tuple(place.subdivisions)
    names = place.subdivisions_aliases
    if subdivision is None and country in SUBDIVISION_MANDATORY:
        msg = (
            f"subdivision: missing for {country}, whose holidays differ from place to place; "
            f"allowed are {', '.join(codes)}"
        )
        raise ValueError(msg)
    if subdivision is not None and subdivision not in codes and subdivision not in names:
        allowed = f"allowed are {', '.join(codes)}" if codes else f"{country} has none"
        msg = f"subdivision: found {subdivision!r} for {country}, {allowed}"
        raise ValueError(msg + nearest(subdivision, (*codes, *names)))


def _check_categories(calendar: Calendar) -> None:
    known = tuple(_place(calendar.country).supported_categories)
    for category in calendar.categories:
        if category not in known:
            msg = (
                f"categories: found {category!r}, allowed for {calendar.country} are "
                f"{', '.join(known)}{nearest(category, known)}"
            )
            raise ValueError(msg)
    if calendar.half_days and "half_day" not in known:
        msg = (
            f"half_days: found true, but half-days of {calendar.country} are not known; "
            "name the dates in `half`"
        )
        raise ValueError(msg)


def _check_days(calendar: Calendar) -> None:
    if not calendar.workweek or not set(calendar.workweek) <= set(WEEK):
        msg = f"workweek: found {calendar.workweek}, allowed are one or more of 0 (Monday) to 6"
        raise ValueError(msg)
    for first, last in calendar.closures:
        if last < first:
            msg = f"closures: found {first} to {last}, the last day is before the first"
            raise ValueError(msg)
    lists = {"add": calendar.add, "remove": calendar.remove, "half": calendar.half}
    owner: dict[date, str] = {}
    for key, days in lists.items():
        for day in days:
            if owner.setdefault(day, key) != key:
                msg = f"{key}: {day} is also in `{owner[day]}`; a date belongs to one list"
                raise ValueError(msg)


def _language(place: type[HolidayBase], wanted: str) -> str | None:
    """The library's name of a language, None for the country's own."""
    known: tuple[str, ...] = tuple(place.supported_languages)
    base = wanted.replace("-", "_").split("_")[0]
    same = [name for name in known if name.split("_")[0] == base]
    names: tuple[str, ...] = (*same, "en_US")
    return next((name for name in names if name in known), None)


Names = Mapping[date, str]


def _names(calendar: Calendar, year: int) -> tuple[Names, Names]:
    categories = frozenset({"public", *calendar.categories})
    place = (calendar.country, calendar.subdivision, year, calendar.language)
    half = _holidays(*place, frozenset({"half_day"})) if calendar.half_days else {}
    return _holidays(*place, categories), half


@lru_cache(maxsize=1024)
def _holidays(
    country: str, subdivision: str | None, year: int, language: str, categories: frozenset[str]
) -> Names:
    place = _place(country)
    if not place.start_year <= year <= place.end_year:
        # The library answers such a year with an empty calendar and no error.
        msg = (
            f"calendar {country}: holidays of {year} are not known, allowed are the years "
            f"{place.start_year} to {place.end_year}"
        )
        raise ValueError(msg)
    found = place(
        years=year,
        expand=False,
        subdiv=_subdivision_code(country, subdivision),
        language=_language(place, language),
        categories=tuple(sorted(categories)),
    )
    return dict(found.items())

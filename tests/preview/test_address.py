"""The address holds the whole state: written back it is read as the same, and what is wrong is named."""

from __future__ import annotations

from datetime import date
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.preview.address import DARK, TABS, NotAllowedError, View, refuse_other_keys, view_of

ALLOWED = {"scenario": ("behind", "on-track"), "locale": ("en", "de-CH"), "ui": ("en", "fr")}

views = st.builds(
    View,
    date=st.none() | st.dates(date(1, 1, 1), date(9999, 12, 31)),
    correction=st.integers(0, 9999),
    scenario=st.none() | st.sampled_from(ALLOWED["scenario"]),
    locale=st.none() | st.sampled_from(ALLOWED["locale"]),
    recipient=st.integers(1, 9999),
    tab=st.sampled_from(TABS),
    w=st.integers(240, 1600),
    dark=st.sampled_from(DARK),
    images=st.sampled_from(("on", "off")),
    explain=st.booleans(),
    masked=st.booleans(),
    compare=st.none()
    | st.tuples(st.just("locale"), st.sampled_from(ALLOWED["locale"]))
    | st.tuples(st.just("date"), st.dates(date(1, 1, 1), date(9999, 12, 31)))
    | st.tuples(st.just("correction"), st.integers(0, 9999)),
    ui=st.none() | st.sampled_from(ALLOWED["ui"]),
)


@given(views)
def test_a_view_written_is_read_as_the_same(view: View) -> None:
    query = view.query()

    assert view_of(parse_qsl(query.lstrip("?")), allowed=ALLOWED) == view


def test_the_plain_view_has_no_query() -> None:
    assert View().query() == ""
    assert View(tab="text").query(tab="email") == ""


@pytest.mark.parametrize(
    ("key", "text", "allowed"),
    [
        ("date", "2026-13-01", "a date like 2026-06-15"),
        ("date", "20260615", "a date like 2026-06-15"),
        ("scenario", "nope", "behind, on-track"),
        ("locale", "xx", "en, de-CH"),
        ("correction", "-1", "a whole number from 0 to 9999"),
        ("recipient", "0", "a whole number from 1 to 9999"),
        ("recipient", "²", "a whole number from 1 to 9999"),
        ("recipient", "9" * 5000, "a whole number from 1 to 9999"),
        ("tab", "html", "email, text, slack, teams, headers, source"),
        ("w", "239", "a whole number from 240 to 1600"),
        ("dark", "yes", "no, author, forced"),
        ("images", "", "on, off"),
        ("explain", "true", "0, 1"),
        ("compare", "locale:xx", "en, de-CH"),
        ("compare", "date:today", "a date like 2026-06-15"),
        (
            "compare",
            "tab:text",
            "one of locale, date, correction, as in locale:fr, date:2026-06-15, correction:1",
        ),
    ],
)
def test_a_value_that_is_not_allowed_is_named(key: str, text: str, allowed: str) -> None:
    with pytest.raises(NotAllowedError) as refused:
        view_of([(key, text)], allowed=ALLOWED)

    assert (refused.value.key, refused.value.allowed) == (key, allowed)
    assert refused.value.found == text[:80]


def test_a_correction_stays_behind_with_its_date() -> None:
    view = View(date=date(2026, 6, 16), correction=1)

    assert "correction=1" in view.query(locale="fr")
    assert view.query(date=date(2026, 6, 15)) == "?date=2026-06-15"
    assert view.query(date=date(2026, 6, 15), correction=2) == "?date=2026-06-15&correction=2"


def test_no_scenario_chosen_in_a_form_is_none() -> None:
    assert view_of([("compare", "")], allowed=ALLOWED) == View()
    assert view_of([("scenario", ""), ("tab", "text")], allowed=ALLOWED) == View(tab="text")
    with pytest.raises(NotAllowedError, match="scenario"):
        refuse_other_keys([("scenario", "")], ())


def test_a_key_that_stands_twice_is_refused() -> None:
    with pytest.raises(NotAllowedError, match="twice"):
        view_of([("tab", "text"), ("tab", "email")], allowed=ALLOWED)

"""The sales half as a reader sees it: one line while it is kept, what is wrong when it is not."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from html import unescape

import pytest

from digest.model import Edition, FollowUp, SegmentFollowUp
from digest.render import render, render_terminal, scorecard_json
from digest.render.locales import NO_BREAK, locale_for
from digest.render.view import FollowUpBlock, FollowUpLine, view
from tests.render.editions import sales_half, sales_kept


def of(edition: Edition) -> FollowUp:
    assert edition.follow_up is not None
    return edition.follow_up


HALF, KEPT = of(sales_half()), of(sales_kept())


def block(facts: FollowUp, language: str = "en") -> FollowUpBlock:
    found = view(replace(sales_half(), follow_up=facts), locale_for(language)).follow_up
    assert found is not None
    return found


def plain(text: str) -> str:
    return text.replace(NO_BREAK, " ")


@pytest.mark.parametrize(
    ("facts", "look", "word"),
    [
        (KEPT, "good", "In time"),
        (replace(KEPT, due=0, in_time=0, attempts_due=0, attempts_kept=0), "good", "In time"),
        (replace(KEPT, due=40, in_time=36), "good", "In time"),  # exactly the promised 90 %
        (replace(KEPT, overdue=1), "warning", "Overdue"),
        (replace(KEPT, attempts_kept=26), "warning", "Too few attempts"),
        (replace(KEPT, in_time=36), "bad", "Too late"),
        (replace(KEPT, in_time=36, overdue=1), "bad", "Overdue"),
        (replace(KEPT, in_time=36, promised_share=Fraction(8, 10)), "good", "In time"),
    ],
)
def test_the_pill_says_what_is_wrong(facts: FollowUp, look: str, word: str) -> None:
    found = block(facts)

    assert (found.pill.look, found.pill.word) == (look, word)
    assert bool(found.facts) == bool(found.promise) == (look != "good")


def test_a_kept_promise_is_one_line() -> None:
    assert block(KEPT) == FollowUpBlock(
        block(KEPT).pill, "Sales responded in time to 39 of 41 leads due.", (), "", ()
    )
    assert block(replace(KEPT, due=0, in_time=0)).sentence == "No response from sales is due yet."


def test_what_was_promised_stands_beside_what_was_kept() -> None:
    promised = plain(block(HALF).promise)
    assert promised == (
        "Promised: first contact within 24 h of business time; website leads within 1 h; "
        "5 attempts within 10 workdays."
    )
    other = replace(HALF, website_within=None, clock="elapsed", respond_within=270, attempts=1)
    assert plain(block(other).promise) == (
        "Promised: first contact within 4 h 30 min, day or night; 1 attempt within 10 workdays."
    )
    assert "innert 24 h Geschäftszeit" in plain(block(HALF, "de-CH").promise)


def facts_of(facts: FollowUp) -> dict[str, str]:
    return {label: plain(number) for label, number in block(facts).facts}


def test_a_censored_time_is_at_least_that_long() -> None:
    assert facts_of(HALF)["Median response"] == "2 h 30 min"
    assert facts_of(HALF)["Nine in ten within"] == "≥ 20 h 5 min"
    open_ended = replace(HALF, median_minutes=Fraction(119, 2), median_censored=True)
    assert facts_of(open_ended)["Median response"] == "≥ 1 h"
    assert facts_of(replace(HALF, median_minutes=Fraction(59)))["Median response"] == "59 min"


def test_what_is_not_known_is_not_said() -> None:
    nothing = replace(
        HALF, due=0, in_time=0, median_minutes=None, p90_minutes=None, attempts_due=0, leads=0, rejected=0
    )  # fmt: skip
    assert facts_of(nothing) == {
        "Overdue now": "4",
        "Accepted": "25",
        "Rejected, still counted": "0",
    }


def test_rejected_leads_are_a_share_of_the_months_leads() -> None:
    assert facts_of(HALF)["Rejected, still counted"] == "6 (12%)"  # of 48, floored


def test_segments_in_which_sales_is_behind_come_most_overdue_first() -> None:
    lines = [
        (line.name, line.in_time, line.overdue, plain(line.median)) for line in block(HALF).segments
    ]
    assert lines == [
        ("DACH", "12 of 19", "3", "3 h 10 min"),
        ("UK & Ireland", "7 of 10", "1", "≥ 8 h"),
        ("Nordics", "1 of 3", "0", "–"),
    ]


def test_a_segment_without_due_leads_may_have_overdue_ones_of_the_month_before() -> None:
    part = SegmentFollowUp(
        "", 0, 0, 0, None, median_censored=False, overdue=2, accepted=0, rejected=0
    )
    (line,) = block(replace(HALF, segments=(part,))).segments
    assert line == FollowUpLine("Unassigned", "–", "2", "–")


def test_at_most_eight_segments_are_listed() -> None:
    parts = tuple(
        SegmentFollowUp(
            f"S{n}", 9, 9, 0, None, median_censored=False, overdue=n, accepted=0, rejected=0
        )
        for n in range(20)
    )
    found = block(replace(HALF, segments=parts)).segments
    assert [line.name for line in found] == [f"S{n}" for n in range(19, 11, -1)]


@pytest.mark.parametrize("language", ["en", "de-CH"])
def test_every_form_of_the_mail_says_the_same(language: str) -> None:
    edition = sales_half()
    said = block(HALF, language)
    message = render(edition, language=language, chart=False)
    terminal = render_terminal(edition, language=language)
    for written in (message.text, terminal):
        flat = " ".join(plain(written).split())
        for label, number in said.facts:
            assert f"{label} {plain(number)}" in flat
        for line in said.segments:
            assert f"{line.name} {line.in_time} {line.overdue} {plain(line.median)}" in flat
        assert plain(said.promise) in flat
        assert said.sentence in flat
    for words in (said.promise, *(number for _, number in said.facts)):
        assert plain(words) in plain(unescape(message.html))


def drifted(size: str | None) -> str:
    edition = sales_half()
    assert edition.drift is not None
    changed = replace(edition.drift[0], measured_deal_size=None if size is None else Decimal(size))
    return plain(view(replace(edition, drift=(changed,)), locale_for("en")).drift[0])


def test_drift_names_the_deal_size_where_it_differs() -> None:
    beginning = "DACH: at a close rate of 3.1% instead of 4%"
    end = ", the goal would be 181 leads, not 140."
    sizes = "and deals of CHF 14,250 instead of CHF 15,000"
    assert drifted("14250") == f"{beginning} {sizes}{end}"
    assert drifted("15000.00") == drifted(None) == f"{beginning}{end}"


def test_the_scorecard_holds_the_promise_and_every_segment() -> None:
    document = scorecard_json(sales_half())
    found = document["follow_up"]
    assert isinstance(found, dict)
    assert found["promise"] == {
        "respond_within": 1440,
        "website_within": 60,
        "attempts": 5,
        "within_workdays": 10,
        "in_time": 0.9,
        "clock": "business",
    }
    assert found["segments"][2] == {
        "segment": "UK & Ireland",
        "leads": 12,
        "due": 10,
        "in_time": 7,
        "overdue": 1,
        "median_minutes": 480,
        "median_censored": True,
        "accepted": 6,
        "rejected": 1,
    }
    assert [sum(part[name] for part in found["segments"]) for name in ("due", "in_time")] == [
        found["due"],
        found["in_time"],
    ]


def test_without_a_promise_nothing_is_said() -> None:
    edition: Edition = replace(sales_half(), follow_up=None, drift=None)
    assert "Sales" not in render(edition, language="en", chart=False).text
    assert scorecard_json(edition)["follow_up"] is None

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from digest.errors import ConfigError
from digest.model import Edition, Forecast, Note, NoteCode, Scorecard, Status
from digest.render import render, render_terminal
from digest.render.lint import LARGEST_HTML, numbers, size, visible
from digest.render.locales import half_up, languages, locale_for
from digest.render.text import TERMINAL, WIDTH, cells
from digest.render.view import view
from tests.render.editions import SCENARIOS, edition, many_segments, message, on_track

ROOT = Path(__file__).parent.parent.parent
EVERY = pytest.mark.parametrize(
    ("scenario", "language"), [(name, tag) for name in SCENARIOS for tag in languages()]
)


@EVERY
def test_subject_preheader_and_alt_keep_their_lengths(scenario: str, language: str) -> None:
    sent = message(scenario, language)

    assert len(sent.subject) <= 120
    assert "\n" not in sent.subject
    assert 20 <= len(sent.preheader) <= 110
    assert all(len(image.alt) <= 200 for image in sent.images)


@EVERY
def test_text_lines_fit_into_72_columns(scenario: str, language: str) -> None:
    sent = message(scenario, language)

    too_long = [
        line
        for line in sent.text.splitlines()
        if cells(line) > WIDTH and not line.startswith("https://")
    ]
    assert too_long == []


@EVERY
def test_the_picture_is_named_once_and_attached_once(scenario: str, language: str) -> None:
    sent = message(scenario, language)

    assert re.findall(r'src="cid:([^"]+)"', sent.html) == [i.cid for i in sent.images]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_mail_without_the_picture_loses_no_number(scenario: str) -> None:
    source = SCENARIOS[scenario]()

    without = render(source, chart=False)

    assert without.images == ()
    assert "<img" not in without.html
    assert numbers(render(source).images[0].alt) <= numbers(visible(without.html))


def test_the_subject_carries_the_verdict_of_the_reference_case() -> None:
    subject = render(edition(), chart=False).subject

    assert subject == "Leads June: 55 of 140 - 9 behind plan, 7.1 per workday needed"


def test_the_total_names_the_segments_behind_even_when_it_is_on_track() -> None:
    base = on_track()
    behind = replace(edition().scorecard.segments[1])
    card = replace(base.scorecard, segments=(behind, *base.scorecard.segments[1:]))

    text = render(replace(base, scorecard=card), chart=False).text

    assert "● On track" in text
    assert "Behind: Benelux." in text


def test_every_number_of_the_text_follows_from_the_scorecard() -> None:
    """Parse the reference text back: each number is a figure of the edition, written as agreed."""
    text = render(edition(), chart=False).text
    body = text.split("\n--\n", 1)[0].replace("https://digest.example/emea?date=2026-06-15", "")

    known = {
        *("15", "2026"),  # Monday, 15 June 2026
        *("55", "140", "39", "9", "64", "86", "7.1", "5.5", "12"),  # the total
        *("123", "107", "141", "11"),  # the forecast
        *("6", "11", "1"),  # new, since 11 June, corrections
        *("5", "13", "14", "0", "6.3", "0.9", "0.5"),  # the days: 12, 13 and 14 June
        *("10", "18", "8", "25"),  # Benelux
        *("26", "27", "43"),  # DACH
        *("42",),  # UK & Ireland: 12 of expected 13, 42% of 28
        *("41",),  # Nordics: 5 of expected 5, 41% of 12
        *("2",),  # unassigned
        *("24,210", "64,000", "37"),  # value
        *("2.5", "1", "0.6", "0.5"),  # what today needs: Benelux and Nordics, needed and so far
    }
    assert numbers(body) <= known
    assert {"55", "140", "64", "7.1", "123", "24,210"} <= numbers(body)


def test_the_largest_shortfall_comes_first_and_own_segments_before_it() -> None:
    plain = render(edition(), chart=False).text
    mine = render(edition(), segments_first=("Nordics", "DACH"), chart=False).text

    def order(text: str) -> list[str]:
        table = text.split("SEGMENTS", 1)[1]
        return sorted(("Benelux", "DACH", "UK & Ireland", "Nordics"), key=table.index)

    assert order(plain) == ["Benelux", "DACH", "UK & Ireland", "Nordics"]
    assert order(mine) == ["Nordics", "DACH", "Benelux", "UK & Ireland"]


@pytest.mark.parametrize(
    ("count", "rows", "more"),
    [
        (4, 4, None),
        (25, 25, None),
        (26, 25, "1 more segment"),
        (90, 25, "65 more segments"),
    ],
)
def test_long_tables_are_cut_and_say_so(count: int, rows: int, more: str | None) -> None:
    message = render(many_segments(count), chart=False)

    assert message.html.count('class="r name"') == rows + bool(more)  # the rest is one row
    assert size(message.html) <= LARGEST_HTML
    assert (more in message.html) if more else ("more segment" not in message.html)


def test_a_cut_table_says_how_many_of_the_rest_are_behind() -> None:
    message = render(many_segments(90), chart=False)

    behind = 90 // 3
    assert f"65 more segments, {behind - 25} of them behind" in message.html


def test_the_rest_of_a_cut_table_is_summed_up_and_named() -> None:
    source = many_segments(27)
    rows = sorted(source.scorecard.segments, key=lambda row: row.gap or 0)
    behind = [row for row in rows if row.status is Status.BEHIND]
    rest = [row for row in rows if row not in behind][25 - len(behind) :]
    locale = locale_for("en")

    table = view(source, locale).table

    assert table.rest is not None
    assert table.rest.actual == locale.number(sum(row.actual or 0 for row in rest))
    assert table.rest.goal == locale.number(sum(row.goal or 0 for row in rest))
    expected = sum((row.expected or Fraction(0) for row in rest), Fraction(0))
    assert table.rest.expected == locale.number(expected)
    assert table.rest.gap == locale.signed(
        sum(row.actual or 0 for row in rest) - int(half_up(expected))
    )
    assert table.rest_names == (
        "2 more segments: Vertriebsregion 01 Nordrhein-Westfalen… and "
        "Vertriebsregion 02 Nordrhein-Westfalen…"
    )
    assert table.rest_names in visible(render(source, chart=False).html)


def test_a_sum_with_an_unknown_part_is_unknown() -> None:
    source = many_segments(27)
    silent = tuple(
        replace(row, actual=None, gap=None, status=Status.NO_DATA)
        if (row.segment or "").startswith("Vertriebsregion 01")
        else row
        for row in source.scorecard.segments
    )

    table = view(
        replace(source, scorecard=replace(source.scorecard, segments=silent)), locale_for("en")
    ).table

    assert table.rest is not None
    assert table.rest.actual == table.rest.gap == "–"
    assert table.rest.goal == "728,000"


def test_two_processes_with_two_hash_seeds_write_the_same_bytes() -> None:
    program = (
        "import hashlib\n"
        "from digest.render import render\n"
        "from tests.render.editions import SCENARIOS\n"
        "for name in ('behind', 'month_close', 'hostile'):\n"
        "    m = render(SCENARIOS[name](), language='de-CH')\n"
        "    print(m.subject, m.preheader, hashlib.sha256(\n"
        "        m.html.encode() + m.text.encode() + m.images[0].png).hexdigest())\n"
    )
    outputs = {
        subprocess.run(  # noqa: S603 - this interpreter, a constant program
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT), "PATH": "", "TZ": zone},
            capture_output=True,
            check=True,
            cwd=ROOT,
        ).stdout
        for seed, zone in (("1", "Asia/Tokyo"), ("2", "America/Lima"))
    }

    assert len(outputs) == 1


def test_rendering_the_same_edition_twice_gives_the_same_message() -> None:
    assert render(edition()) == render(edition())


def test_the_engine_is_the_one_that_was_measured() -> None:
    """Two distributions install a package `mjml`; the other one has another API."""
    assert set(packages_distributions()["mjml"]) == {"mjml-python"}


def test_no_request_leaves_the_machine_of_the_reader() -> None:
    html = render(edition()).html

    addresses = re.findall(r'(?:src|href)="([^"]+)"', html)
    assert addresses != []
    assert all(address.startswith(("cid:", "https://digest.example/")) for address in addresses)
    assert "googleapis" not in html


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(ConfigError, match="no translation for 'es'"):
        render(edition(), language="es", chart=False)


def test_headings_and_cells_are_marked_for_screen_readers() -> None:
    html = render(edition()).html

    assert '<html lang="en"' in html
    assert html.count("<h1") == 1
    assert html.count('scope="row"') > 10
    assert 'scope="col"' in html


# --------------------------------------------------------------------------------------- injection

HOSTILE = (
    '"><mj-raw><script>alert(1)</script>',
    "</mj-text></mj-column></mj-section>",
    "{{7*7}}",
    "{% include 'x' %}",
    "a\r\nBcc: x@evil.example",
    "\u202egnp.exe",
    "".join(map(chr, range(32))),
    "\ud800",
    "x" * 10_000,
    "<![CDATA[ ]]>",
    "<?xml version='1.0'?>",
    "&bogus; &lt; &",
    "<!-- -->",
    "' onmouseover='x",
    "javascript:alert(1)",
    "url(http://evil.example/x.png) @import",
    "=?utf-8?q?x?=",
    "%(n)s %s %%",
)


def named(name: str) -> Edition:
    """Put a name wherever a name from outside can stand."""
    base = edition()
    first, *others = base.scorecard.segments
    card = replace(base.scorecard, segments=(replace(first, segment=name or "x"), *others))
    corrections = tuple(replace(old, segment=name or "x") for old in base.bridge.corrections)
    return replace(
        base,
        title=name or "x",
        scorecard=card,
        bridge=replace(base.bridge, corrections=corrections),
        lead_definition=name,
        calendar=name,
        sla_version=name,
        link=name,
        origin=replace(base.origin, source=name),
        excluded=((name, 3),),
        warnings=(Note(NoteCode.UNASSIGNED, number=Fraction(2), text=name),),
    )


def check_harmless(name: str) -> None:
    message = render(named(name), chart=False)  # refuses what lint finds

    assert "<script" not in message.html.lower()
    assert "\n" not in message.subject
    assert "\r" not in message.subject + message.text + message.html
    for line in message.text.splitlines():
        assert min(cells(line), len(line)) <= WIDTH
    message.html.encode()
    message.text.encode()


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_stay_text(name: str) -> None:
    check_harmless(name)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.text(max_size=60)
    | st.lists(st.sampled_from([*HOSTILE, "<", ">", '"', "'", "{{", "}}", "&"]), max_size=4).map(
        "".join
    )
)
@example("}")
def test_any_name_stays_text(name: str) -> None:
    check_harmless(name)


def test_hostile_names_are_seen_as_they_are() -> None:
    message = render(named("</mj-text>{{ 7*7 }}"), chart=False)

    assert "&lt;/mj-text&gt;{{ 7*7 }}" in message.html
    assert "</mj-text>{{ 7*7 }}" in message.text


@pytest.mark.parametrize(
    "link",
    ["javascript:alert(1)", "http://a.example", "https://", "https://a\n.example", "x", None],
)
def test_a_link_that_is_no_safe_address_is_left_out(link: str | None) -> None:
    message = render(replace(edition(), link=link), chart=False)

    assert "<a " not in message.html
    assert "The figures in full" not in message.text


def test_a_link_keeps_its_query() -> None:
    message = render(edition(), chart=False)

    assert 'href="https://digest.example/emea?date=2026-06-15&amp;view=full"' in message.html
    assert "https://digest.example/emea?date=2026-06-15&view=full\n" in message.text


# ---------------------------------------------------------------------------------------- terminal


@EVERY
def test_the_terminal_shows_every_segment(scenario: str, language: str) -> None:
    source = SCENARIOS[scenario]()

    shown = render_terminal(source, language)

    card = source.closed.scorecard if source.closed else source.scorecard
    assert shown.count("\n") > 10 + len(card.segments)
    assert "\x1b" not in shown


@pytest.mark.parametrize("language", languages())
@pytest.mark.parametrize("scenario", sorted(set(SCENARIOS) - {"many_segments"}))  # millions do not
def test_the_terminal_has_room_for_the_words_of_every_language(
    scenario: str, language: str
) -> None:
    lines = render_terminal(SCENARIOS[scenario](), language).splitlines()

    assert [line for line in lines if cells(line) > TERMINAL] == []


def test_colour_is_only_there_on_request_and_only_on_signs() -> None:
    plain = render_terminal(edition())

    coloured = render_terminal(edition(), colour=True)

    assert "\x1b[33m▲\x1b[0m AT RISK" in coloured
    assert re.sub(r"\x1b\[\d+m", "", coloured) == plain


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_editions_of_these_tests_add_up(scenario: str) -> None:
    """A golden approved on figures that contradict each other would prove nothing."""
    source = SCENARIOS[scenario]()
    bridge = source.closed.bridge if source.closed else source.bridge
    card = source.closed.scorecard if source.closed else source.scorecard
    if card.total.actual is None:
        return

    rows = (*card.segments, *((card.unassigned,) if card.unassigned else ()))
    bridged = bridge.previous_actual + sum(n for _, n in bridge.new)
    if scenario != "one_segment":
        assert sum(row.actual or 0 for row in rows) == card.total.actual
    assert bridged + sum(change.leads for change in bridge.corrections) == bridge.actual
    assert bridge.actual == card.total.actual
    assert sum(row.leads for row in source.counts if row.day in card.period) == card.total.actual


def test_without_an_earlier_edition_the_bridge_starts_the_day_before_the_new_leads() -> None:
    base = edition()
    bridge = replace(base.bridge, previous_cut_off=None)

    text = render(replace(base, bridge=bridge), chart=False).text

    assert "6 new leads since Thu 11 Jun, corrections" in text
    assert "start of the month" not in text


def test_the_last_workday_says_what_is_left_and_not_what_each_day_must_bring() -> None:
    last = replace(edition(), scorecard=on_remaining(Fraction(1)))

    assert "1 workday left, 85 leads to go." in render(last, chart=False).text
    assert "noch 1 Arbeitstag: Zum Ziel fehlen 85 Leads." in " ".join(
        render(last, language="de-CH", chart=False).text.split()
    )


def test_half_a_workday_does_not_ask_for_twice_of_what_is_missing_in_a_sentence() -> None:
    last = replace(edition(), scorecard=on_remaining(Fraction(1, 2)))

    assert "0.5 workdays left, 85 leads to go." in render(last, chart=False).text


def on_remaining(left: Fraction) -> Scorecard:
    card = edition().scorecard
    return replace(card, elapsed=card.workdays - left, remaining=left)


@pytest.mark.parametrize(("chance", "said"), [(0.0, "<1%"), (1.0, "99%"), (0.116, "11%")])
def test_an_open_goal_is_neither_impossible_nor_certain(chance: float, said: str) -> None:
    card = edition().scorecard
    forecast = Forecast(mean=123.308, low=107, high=141, chance=chance)
    total = replace(card.total, forecast=forecast)

    text = render(replace(edition(), scorecard=replace(card, total=total)), chart=False).text

    assert f"chance of goal {said}" in text


def test_a_source_that_failed_in_part_is_not_said_to_have_failed() -> None:
    message = render(SCENARIOS["no_data"](), chart=False)

    assert message.subject == "Leads June: the figures are incomplete"
    assert "No total for June today: the figures are incomplete." in message.text


def test_the_preheader_cuts_a_long_name_before_it_cuts_the_gap() -> None:
    preheader = render(many_segments(), language="de-CH", chart=False).preheader

    assert "…, 93’288 unter Plan · Daten von" in preheader


@pytest.mark.parametrize("language", ["en", "de-CH"])
@pytest.mark.parametrize("scenario", sorted(set(SCENARIOS) - {"many_segments", "hostile"}))
def test_the_terminal_needs_80_columns(scenario: str, language: str) -> None:
    shown = render_terminal(SCENARIOS[scenario](), language)

    assert [line for line in shown.splitlines() if cells(line) > 80] == []


def test_names_in_the_terminal_are_not_cut_until_they_look_alike() -> None:
    shown = render_terminal(many_segments())

    assert "Vertriebsregion 39" in shown

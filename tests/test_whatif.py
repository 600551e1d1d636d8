"""What-if: the reference cases, the worksheet's way to read, and every answer against a real run."""

from __future__ import annotations

import json
import sqlite3
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from digest import editions
from digest.cli import World, cli
from digest.compose import compose
from digest.model import DayCount, Origin, Scorecard, lead_counts
from digest.scenarios import SCENARIOS, Scenario
from digest.settings import load
from digest.sla import goal_for
from digest.whatif import (
    BY_SEGMENT,
    NOTHING,
    OF_SEGMENTS,
    OF_THE_DIGEST,
    Changes,
    Input,
    Situation,
    agreed,
    answer,
    as_toml,
    changed_facts,
    differences,
    key_of,
    name_of,
    read,
    situation,
    sla_as_toml,
)
from tests.effort import effort


def of(name: str = "on-track") -> Situation:
    found = SCENARIOS[name]()
    return situation(found.facts, found.edition, found.history)


def changes_of(here: Situation, *texts: tuple[str, str]) -> Changes:
    changes, problems = read(here, texts)
    assert problems == ()
    return changes


def goals(card: Scorecard) -> list[int | None]:
    return [row.goal for row in card.segments]


def on_the_first_of_june() -> Situation:
    """Before anything of June was counted: 22 workdays remain."""
    facts = SCENARIOS["on-track"]().facts
    due = editions.due(date(2026, 6, 1), facts.calendar)
    counts = lead_counts(
        editions.counting_plan(due).current,
        facts.segments,
        [(date(2026, 5, 29), "DACH", 3)],
        as_of=datetime(2026, 6, 1, 5, tzinfo=UTC),
        total=3,
        origin=Origin("test", "rows of this test"),
    )
    edition = editions.compose_edition(facts, due, counts=counts)
    return situation(facts, edition, None)


# ------------------------------------------------------------------------------ the reference cases


def test_the_reference_goals_can_be_typed() -> None:
    here = of("two-currencies")
    blank = [
        (f"{kind}:{name}", text)
        for name in here.segments
        for kind, text in (
            ("revenue_goal", "1"), ("marketing_share", "1%"), ("deal_size", "1"), ("close_rate", "1%"),
        )
    ]  # fmt: skip
    typed = [
        ("revenue_goal:DACH", "CHF 300’000"), ("marketing_share:DACH", "60 %"),
        ("deal_size:DACH", "15'000"), ("close_rate:DACH", "4%"),
        ("revenue_goal:Benelux", "120000"), ("marketing_share:Benelux", "0.5"),
        ("deal_size:Benelux", "EUR 9'000.00"), ("close_rate:Benelux", "0.05"),
        ("revenue_goal:UKI", "90 000"), ("marketing_share:UKI", "45,0%"),
        ("deal_size:UKI", "8000"), ("close_rate:UKI", "3 %"),
        ("revenue_goal:Nordics", "€50'000"), ("marketing_share:Nordics", "40%"),
        ("deal_size:Nordics", "7,000.00"), ("close_rate:Nordics", "6%"),
    ]  # fmt: skip
    changed = replace(here, facts=changed_facts(here, changes_of(here, *blank)))
    found = answer(changed, changes_of(changed, *typed))

    assert goals(found.now) == [300, 134, 169, 48]
    assert found.now.total.goal == 651
    assert [row.lead_value for row in found.now.segments] == [600, 450, 240, 420]


@pytest.mark.parametrize(
    ("revenue", "share", "size", "rate", "goal"),
    [
        ("10000", "45%", "2500", "3%", 60),
        ("84000", "100%", "15000", "4%", 140),
        ("84000", "100%", "15000", "3.1%", 181),
        ("2000000", "100%", "60000", "22%", 152),
    ],
)
def test_one_segment_gives_its_exact_goal(
    revenue: str, share: str, size: str, rate: str, goal: int
) -> None:
    here = of()
    texts = [
        ("revenue_goal:DACH", revenue), ("marketing_share:DACH", share),
        ("deal_size:DACH", size), ("close_rate:DACH", rate),
    ]  # fmt: skip
    assert answer(here, changes_of(here, *texts)).segments[0].now.goal == goal


def test_the_sentence_names_the_goal_and_what_each_workday_must_bring_more() -> None:
    here = of()
    said = answer(here, changes_of(here, ("close_rate:DACH", "3%"))).said
    assert said is not None
    assert (said.segment, said.goal, said.before) == ("DACH", 400, 300)
    assert said.key == (Input.CLOSE_RATE, "DACH")
    assert said.value == Fraction(3, 100)
    # 100 leads more over the 10 workdays that remain of June on the 17th.
    assert said.more_per_workday == Decimal("10.0")


def test_at_the_month_s_beginning_a_hundred_leads_more_are_4_6_more_per_workday() -> None:
    here = on_the_first_of_june()
    found = answer(here, changes_of(here, ("close_rate:DACH", "3%")))
    assert (found.segments[0].agreed.goal, found.segments[0].now.goal) == (300, 400)
    assert found.said is not None
    assert found.said.more_per_workday == Decimal("4.6")


def test_fewer_leads_owed_are_a_negative_number_a_day() -> None:
    here = on_the_first_of_june()
    found = answer(here, changes_of(here, ("close_rate:DACH", "6%")))
    assert found.segments[0].now.goal == 200
    assert found.segments[0].more_per_workday == Decimal("-4.6")


def test_the_sentence_is_about_all_when_several_segments_changed() -> None:
    here = of()
    changes = changes_of(here, ("close_rate:DACH", "3%"), ("deal_size:UKI", "7000"))
    said = answer(here, changes).said
    assert said is not None
    assert (said.segment, said.key, said.before) == (None, None, 651)


@pytest.mark.parametrize("name", list(SCENARIOS))
def test_without_changes_the_agreement_stands_exactly(name: str) -> None:
    here = of(name)
    found = answer(here, NOTHING)
    # Where there is nothing newer, it is what came last.
    judged = "on-track" if name == "stale" else name
    assert found.now == found.agreed == SCENARIOS[judged]().edition.scorecard
    assert found.said is None
    assert as_toml(here, NOTHING) == ""
    assert differences(here, NOTHING) == ()


def test_typing_what_is_agreed_changes_nothing() -> None:
    here = of()
    texts = [
        (name_of((kind, name)), written(agreed(here, (kind, name))))
        for kind in OF_SEGMENTS
        for name in here.segments
    ]
    texts += [(kind.value, written(agreed(here, (kind, None)))) for kind in OF_THE_DIGEST]
    texts += [(f"workdays:{name}", "22") for name in here.segments]
    texts += [("leads", written(agreed(here, (Input.LEADS, None))))]
    assert len(texts) == 4 * 5 + 9 + 4 + 1
    assert changes_of(here, *texts) == {}


def written(value: object) -> str:
    if isinstance(value, Fraction) and value.denominator != 1:
        return f"{float(value * 100):g}%"
    return str(value)


# ------------------------------------------------------------------------------------- what is typed


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("close_rate:DACH", "3.1%", Fraction(31, 1000)),
        ("close_rate:DACH", "3,1 %", Fraction(31, 1000)),
        ("close_rate:DACH", "0.031", Fraction(31, 1000)),
        ("revenue_goal:DACH", "120'000", Decimal(120_000)),
        ("revenue_goal:DACH", "CHF 12’345.60", Decimal("12345.60")),
        ("deal_size:UKI", "12345.60 €", Decimal("12345.60")),
        ("leads:UKI", "120", 120),
        ("lag_months", "2", 2),
        ("workdays", "21.5", Fraction(43, 2)),
        ("ahead", "115%", Fraction(115, 100)),
        ("min_elapsed", "5", 5),
    ],
)
def test_inputs_are_read_as_cells_of_the_worksheet(name: str, text: str, value: object) -> None:
    here = of()
    assert changes_of(here, (name, text)) == {key_of(here, name): value}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "close_rate:DACH",
            "4",
            "found '4', which reads as 4 % or as 400 %; write '4 %' or '400 %'",
        ),
        ("close_rate:DACH", "104%", "found 104 %; allowed is 0 % to 100 %"),
        (
            "close_rate:DACH",
            "four",
            "found 'four'; a number is needed, such as 120000 or 120’000.50",
        ),
        ("revenue_goal:DACH", "-5", "found '-5'; an amount is 0 or more"),
        (
            "revenue_goal:DACH",
            "EUR 5000",
            "found an amount in EUR; the segment's currency is CHF; change one of the two",
        ),
        (
            "deal_size:DACH",
            "1.234",
            (
                "found '1.234', which reads as 1234 or as 1.234; write 1234 or 1.2340, "
                "or declare the file's locale"
            ),
        ),
        ("leads:DACH", "2.5", "found '2.5'; a count is a whole number of at least 0"),
        (
            "workdays",
            "7",
            (
                "found 7; 2026-06 has 13 workdays up to 2026-06-17, and at most 22; "
                "allowed are whole and half ones between"
            ),
        ),
        (
            "ahead",
            "90%",
            (
                "ahead, on_track and at_risk must fall in this order and stay above 0%; "
                "found 90%, 95%, 80%"
            ),
        ),
        ("noise", "0%", "noise: found 0%; allowed: between 0% and 100%"),
        ("lag_months", "101", "found 101; allowed is 0 to 100"),
        ("deal_sise:DACH", "5", "did you mean 'deal_size'?"),
        ("deal_size:DACHH", "5", "did you mean 'DACH'?"),
        ("lag_months:DACH", "1", "stands in the settings once, for all segments"),
        ("ahead:DACH", "120%", "stands in the settings once, for all segments, write 'ahead'"),
        ("workdays:DACH", "5", "found 5; 2026-06 has 13 workdays up to 2026-06-17"),
    ],
)
def test_what_the_worksheet_refuses_is_refused_in_its_words(
    name: str, text: str, message: str
) -> None:
    changes, problems = read(of(), [(name, text)])
    assert [(one.key, message in one.message) for one in problems][:1] == [(name, True)], problems
    assert changes == {} or name in ("ahead", "noise")


def test_a_value_for_all_yields_to_one_for_a_segment() -> None:
    here = of()
    found = answer(here, changes_of(here, ("close_rate", "3%"), ("close_rate:DACH", "4%")))
    rates = changed_facts(here, found.changes).plan
    assert found.now.segments[0].goal == 300
    assert {t.close_rate for t in rates.terms if t.valid_from == here.month} == {
        Fraction(3, 100), Fraction(4, 100),
    }  # fmt: skip


def test_leads_of_all_segments_are_shared_out_in_proportion() -> None:
    here = of()
    before = [row.actual or 0 for row in here.agreed.segments]
    found = answer(here, changes_of(here, ("leads", str(2 * sum(before) + 1))))
    after = [row.actual or 0 for row in found.now.segments]

    assert sum(after) == 2 * sum(before) + 1
    assert [n - 2 * was for n, was in zip(after, before, strict=True)].count(0) == 3
    assert max(n - 2 * was for n, was in zip(after, before, strict=True)) == 1

    one = answer(here, changes_of(here, ("leads", "100"), ("leads:DACH", "40")))
    assert one.now.segments[0].actual == 40
    assert sum(row.actual or 0 for row in one.now.segments) == 100


def test_leads_of_all_that_the_segments_own_contradict_are_refused() -> None:
    here = of()
    changes, problems = read(here, [("leads", "30"), ("leads:DACH", "40")])

    assert [one.message for one in problems] == ["found 30; the segments' own leads come to 40"]
    assert set(changes) == {(Input.LEADS, "DACH")}


def test_leads_of_all_without_any_yet_are_shared_out_evenly() -> None:
    here = of()
    none = answer(here, changes_of(here, *((f"leads:{name}", "0") for name in here.segments))).now
    empty = replace(here, counts=replace(here.counts, rows=(), total=0), agreed=none)
    found = answer(empty, changes_of(empty, ("leads", "10")))

    assert sorted(row.actual or 0 for row in found.now.segments) == [2, 2, 3, 3]


def test_a_segment_can_have_workdays_of_its_own_and_the_others_keep_theirs() -> None:
    here = of()
    found = answer(here, changes_of(here, ("workdays:DACH", "20"), ("workdays", "21")))
    dach, *others = found.now.segments

    assert dach.workdays == 20
    assert {row.workdays for row in others} == {21}
    assert found.now.total.workdays == 21
    assert (dach.required_per_workday or 0) > (found.agreed.segments[0].required_per_workday or 0)


def test_a_segment_that_keeps_its_workdays_while_all_others_lose_some_says_so() -> None:
    here = of()
    changes = changes_of(here, ("workdays", "20"), ("workdays:DACH", "22"))

    assert answer(here, changes).now.segments[0].workdays == 22
    assert 'calendar = "DACH"  # agreed: 22' in as_toml(here, changes).splitlines()
    is_a_real_run("on-track", [("workdays", "20"), ("workdays:DACH", "22")])


def test_a_segment_s_workdays_are_pasted_as_a_calendar_of_its_own() -> None:
    here = of()
    lines = as_toml(here, changes_of(here, ("workdays:DACH", "21"))).splitlines()
    tables = tomllib.loads("\n".join(lines))

    assert 'calendar = "DACH"  # agreed: 22' in lines
    assert [one["name"] for one in tables["segments"]] == list(here.segments)
    assert tables["calendars"]["DACH"]["add"] == [date(2026, 6, 30)]
    assert tables["calendars"]["DACH"]["country"] == "CH"


def test_leads_of_a_month_without_a_counted_day_are_refused() -> None:
    _, problems = read(on_the_first_of_june(), [("leads:DACH", "5")])
    assert [problem.message for problem in problems] == [
        "found 5; no day of 2026-06 has been counted yet, so it has no leads"
    ]


# ------------------------------------------------------------------------------------------ workdays


def test_fewer_workdays_free_the_last_days_and_more_take_holidays_to_come() -> None:
    here = of("after-holiday")  # 7 April; 20 workdays, no holiday to come
    shorter = changed_facts(here, changes_of(here, ("workdays", "18.5"))).calendar
    assert shorter.add == (date(2026, 4, 30),)
    assert shorter.half == (date(2026, 4, 29),)

    may = of("month-close")  # 4 May; Ascension and Whit Monday are still to come
    longer = changed_facts(may, changes_of(may, ("workdays", "19.5"))).calendar
    assert longer.remove == (date(2026, 5, 14),)
    assert longer.half == (date(2026, 5, 25),)
    assert answer(may, changes_of(may, ("workdays", "19.5"))).now.workdays == Fraction(39, 2)


# ------------------------------------------------------------------------------ the reverse question


def goal_with(here: Situation, name: str, text: str) -> int:
    changed = answer(here, changes_of(here, (name, text)))
    goal = next(line.now.goal for line in changed.segments if name.endswith(f":{line.segment}"))
    assert goal is not None
    return goal


@pytest.mark.parametrize("name", ["behind", "at-risk", "monday", "unassigned"])
def test_the_least_close_rate_and_deal_size_that_make_the_pace_enough(name: str) -> None:
    here = of(name)
    found = 0
    for line in answer(here, NOTHING).segments:
        enough = line.enough
        assert enough is not None
        assert enough.already == ((line.now.goal or 0) <= enough.leads)
        if enough.already:
            continue
        found += 1
        assert enough.close_rate is not None
        assert enough.deal_size is not None
        for kind, least, step in (
            ("close_rate", f"{float(enough.close_rate):.4%}", Fraction(1, 10_000)),
            ("deal_size", str(enough.deal_size), 1),
        ):
            key = f"{kind}:{line.segment}"
            assert goal_with(here, key, least) <= enough.leads
            value = enough.close_rate if kind == "close_rate" else Fraction(enough.deal_size)
            less = f"{float(value - step):.4%}" if kind == "close_rate" else str(value - step)
            assert goal_with(here, key, less) > enough.leads
    assert found


def test_a_month_without_leads_has_no_pace_that_could_be_enough() -> None:
    enough = answer(of("zero-leads"), NOTHING).segments[0].enough
    assert enough is not None
    assert (enough.leads, enough.close_rate, enough.deal_size) == (0, None, None)


# --------------------------------------------------------------------------------------- sensitivity


def test_the_inputs_stand_by_their_effect() -> None:
    here = of("behind")
    sways = answer(here, NOTHING).sways
    assert {sway.kind for sway in sways} == {*OF_SEGMENTS, Input.WORKDAYS}
    assert [sway.effect for sway in sways] == sorted((s.effect for s in sways), reverse=True)
    rate = next(sway for sway in sways if sway.kind is Input.CLOSE_RATE)
    assert rate.less[0] == sum(
        goal_for(*terms)
        for terms in (
            (300_000, Fraction(60, 100), 15_000, Fraction(36, 1000)),
            (120_000, Fraction(50, 100), 9_000, Fraction(45, 1000)),
            (90_000, Fraction(45, 100), 8_000, Fraction(27, 1000)),
            (50_000, Fraction(40, 100), 7_000, Fraction(54, 1000)),
        )
    )


def test_the_sensitivity_of_one_segment_is_that_of_its_own_what_if() -> None:
    here = of("behind")
    sways = answer(here, NOTHING, segment="UKI").sways
    by_kind = {sway.kind: sway for sway in sways}
    assert by_kind[Input.CLOSE_RATE].less[0] == goal_with(here, "close_rate:UKI", "2.7%")
    assert by_kind[Input.DEAL_SIZE].more[0] == goal_with(here, "deal_size:UKI", "8800")
    assert by_kind[Input.REVENUE_GOAL].more[0] == goal_with(here, "revenue_goal:UKI", "99000")
    assert by_kind[Input.MARKETING_SHARE].less[0] == goal_with(here, "marketing_share:UKI", "40.5%")


# -------------------------------------------------------------------- against a run with these values

HEAD = """\
id = "scenario"
title = "Leads EMEA"
[connector]
type = "sql"
url = "sqlite:///crm.sqlite"
table = "leads"
dates = ["day"]
segment = "region"
count_column = "n"
[channels.file]
path = "out"
recipients = ["ana@company.example"]
"""
CALENDAR = '[calendar]\ncountry = "CH"\nsubdivision = "ZH"\n'
SHARES = (Input.MARKETING_SHARE, Input.CLOSE_RATE)


def config(here: Situation, changes: Changes) -> str:
    """The settings with the lines to paste in their places."""
    pasted = as_toml(here, changes, whole=True)
    pasted, _, own = pasted.partition("# instead of every [[segments]]:\n")
    blocks = pasted.split("\n\n# in [")
    agreement = blocks[0] if "[sla]" in blocks[0] else sla_as_toml(here.facts.plan)
    sections = dict(block.partition("]:\n")[::2] for block in pasted.split("# in [")[1:])
    calendar = sections.get("calendar", "")
    lists = [
        f"{key} = [{', '.join(map(str, getattr(here.facts.calendar, key)))}]"
        for key in ("add", "half", "remove")
        if f"{key} = " not in calendar
    ]
    thresholds = sections.get("thresholds", "")
    parts = (HEAD, CALENDAR, *lists, calendar, "[thresholds]", thresholds, agreement, own)
    return "\n".join(parts)


def source(path: Path, found: Scenario, leads: Mapping[str, int]) -> None:
    """A CRM with the scenario's leads; those of a changed segment all lie on the month's first day."""
    card = found.edition.scorecard
    rows: list[DayCount] = [*found.history.rows]
    rows += [
        row
        for row in found.counts.rows
        if row.day in card.period and row.segment and row.segment not in leads
    ]
    values = [(str(row.day), row.segment or None, row.leads) for row in rows]
    values += [(str(card.period.start), name, count) for name, count in leads.items()]
    if card.unassigned is not None and card.unassigned.actual:
        values += [(str(card.period.start), value or None, n) for value, n in card.unknown]
    with sqlite3.connect(path) as crm:
        crm.execute("CREATE TABLE leads (day DATE, region TEXT, n INTEGER)")
        crm.executemany("INSERT INTO leads VALUES (?, ?, ?)", values)
    crm.close()


def a_real_run(folder: Path, name: str, here: Situation, changes: Changes) -> Scorecard:
    found = SCENARIOS[name]()
    leads = {
        str(segment): int(value)
        for (kind, segment), value in changes.items()
        if kind is Input.LEADS
    }
    source(folder / "crm.sqlite", found, leads)
    (folder / "digest.toml").write_text(config(here, changes))
    settings = load(folder / "digest.toml", environment={})
    return compose(settings, found.edition.business_date, now=found.now).scorecard


CASES = ("on-track", "behind", "at-risk", "monday", "half-day", "last-workday", "year-change",
         "month-close", "unassigned", "too-early", "hostile-names", "no-goal", "goal-reached")  # fmt: skip
PERCENTS = st.integers(1, 9999).map(lambda n: f"{n / 100:g}%")
AMOUNTS = st.one_of(
    st.integers(0, 10**7).map(str), st.integers(1, 10**9).map(lambda n: f"{n / 100:.2f}")
)
TEXTS: Mapping[Input, st.SearchStrategy[str]] = {
    Input.REVENUE_GOAL: AMOUNTS,
    Input.DEAL_SIZE: AMOUNTS,
    Input.MARKETING_SHARE: PERCENTS,
    Input.CLOSE_RATE: PERCENTS,
    Input.LEADS: st.integers(0, 900).map(str),
    Input.LAG_MONTHS: st.integers(0, 3).map(str),
    Input.WORKDAYS: st.integers(26, 46).map(lambda n: f"{n / 2:g}"),
    Input.AHEAD: st.integers(101, 150).map(lambda n: f"{n}%"),
    Input.ON_TRACK: st.integers(81, 100).map(lambda n: f"{n}%"),
    Input.AT_RISK: st.integers(1, 94).map(lambda n: f"{n}%"),
    Input.NOISE: st.integers(1, 99).map(lambda n: f"{n}%"),
    Input.MIN_ELAPSED: st.integers(0, 20).map(str),
    Input.MIN_EXPECTED: st.integers(0, 400).map(str),
    Input.FINAL_WORKDAYS: st.integers(0, 15).map(str),
}


@st.composite
def typed(draw: st.DrawFn) -> tuple[str, list[tuple[str, str]]]:
    name = draw(st.sampled_from(CASES))
    here = of(name)
    kinds = draw(st.lists(st.sampled_from(list(Input)), min_size=1, max_size=4, unique=True))
    texts = []
    for kind in kinds:
        segments: list[str | None] = [None]
        if kind in BY_SEGMENT:
            choice = st.sampled_from([*here.segments, None])
            segments = draw(st.lists(choice, min_size=1, max_size=3, unique=True))
        texts += [(name_of((kind, segment)), draw(TEXTS[kind])) for segment in segments]
    return name, texts


SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large)


@pytest.mark.no_cover
@settings(max_examples=effort(12, 30), deadline=None, suppress_health_check=SLOW)
@given(typed())
def test_every_what_if_is_what_a_run_with_these_values_says(
    asked: tuple[str, list[tuple[str, str]]],
) -> None:
    is_a_real_run(*asked)


@pytest.mark.long
@settings(max_examples=500, deadline=None, suppress_health_check=SLOW)
@given(typed())
def test_five_hundred_what_ifs_are_what_runs_with_these_values_say(
    asked: tuple[str, list[tuple[str, str]]],
) -> None:
    is_a_real_run(*asked)


def is_a_real_run(name: str, texts: list[tuple[str, str]]) -> None:
    here = of(name)
    changes, problems = read(here, texts)
    refused = {problem.key.partition(":")[0] for problem in problems}
    if refused & {kind.value for kind in OF_THE_DIGEST[2:]}:
        with pytest.raises(ValueError, match="fall in this order"):
            changed_facts(here, changes)
        return
    assert refused <= {"workdays", "leads"}
    with tempfile.TemporaryDirectory() as folder:
        assert a_real_run(Path(folder), name, here, changes) == answer(here, changes).now


def test_the_command_shows_what_the_what_if_says(tmp_path: Path) -> None:
    here = of()
    changes = changes_of(here, ("close_rate:DACH", "3%"), ("workdays", "21"))
    now = answer(here, changes).now
    a_real_run(tmp_path, "on-track", here, changes)
    world = World(clock=lambda: datetime(2026, 6, 17, 6, tzinfo=UTC), environment={})
    command = ["show", str(tmp_path / "digest.toml"), "--format", "json"]
    shown = CliRunner().invoke(cli, command, obj=world)
    assert shown.exit_code == 0, shown.output
    card = json.loads(shown.stdout)
    assert card["total"]["goal"] == now.total.goal == 751
    assert [row["required_per_workday"] for row in card["segments"]] == [
        float(row.required_per_workday or 0) for row in now.segments
    ]


# --------------------------------------------------------------------------------------- the lines


def test_the_lines_to_paste_show_the_difference_beside_the_new_figures() -> None:
    here = of()
    changes = changes_of(
        here, ("close_rate:DACH", "3%"), ("revenue_goal:DACH", "310000"), ("ahead", "112%"),
        ("lag_months", "0"), ("workdays", "21"), ("leads:UKI", "99"),
    )  # fmt: skip
    lines = as_toml(here, changes).splitlines()
    assert '# instead of every [[sla.segments]] of "DACH":' in lines
    assert 'close_rate = "3%"  # agreed: 4%' in lines
    assert "revenue_goal = { 2026-06 = 310000, 2026-07 = 300000 }  # agreed: 300000" in lines
    assert 'ahead = "112%"  # agreed: 110%' in lines
    assert "add = [2026-06-30]  # agreed: 22" in lines
    assert '# leads so far are counted, not agreed: "UKI" 99 instead of 95' in lines
    tables = tomllib.loads("\n".join(line for line in lines if not line.startswith("# in")))
    assert [table["valid_from"] for table in tables["sla"]["segments"]] == ["2025-11", "2026-06"]
    assert {one.kind for one in differences(here, changes)} == {
        Input.CLOSE_RATE, Input.REVENUE_GOAL, Input.AHEAD, Input.WORKDAYS, Input.LEADS,
    }  # fmt: skip

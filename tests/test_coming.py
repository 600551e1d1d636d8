"""The next editions and the skipped days, as `digest schedule --next` and `digest check` show them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from digest.cli import World, cli
from digest.coming import coming, facts, line, table
from digest.dispatch import pin_of
from digest.errors import ConfigError
from digest.ledger import RunState, open_ledger
from digest.settings import FiscalPeriod, Settings, load
from digest.workdays import Calendar
from tests.test_compose import CONFIG

EASTER = datetime(2026, 4, 2, 4, 0, tzinfo=UTC)  # 06:00 in Zurich, Maundy Thursday


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    text = CONFIG.replace('id = "leads"', 'id = "leads"\nlanguage = "de-CH"')
    (tmp_path / "digest.toml").write_text(text)
    return load(tmp_path / "digest.toml", environment={})


def dates(settings: Settings, now: datetime, count: int) -> list[str]:
    return [str(one.due.business_date) for one in coming(settings, now, count)]


def test_the_editions_around_easter_and_labour_day_in_canton_zurich(settings: Settings) -> None:
    shown = {
        str(one.due.business_date): line(settings, one) for one in coming(settings, EASTER, 20)
    }

    assert "2026-04-03" not in shown
    assert shown["2026-04-07"] == (
        "Tue 7 Apr 2026 07:30 (05:30 UTC), month to date, covers 2 Apr to 6 Apr; none on "
        "3 Apr (Karfreitag); 4 Apr to 5 Apr (weekend); 6 Apr (Ostermontag)"
    )
    assert "2026-05-01" not in shown
    assert shown["2026-05-04"] == (
        "Mon 4 May 2026 07:30 (05:30 UTC), closes April, covers 30 Apr to 3 May; none on "
        "1 May (Tag der Arbeit); 2 May to 3 May (weekend)"
    )


def test_the_table_stands_in_columns(settings: Settings) -> None:
    lines = table(settings, list(coming(settings, EASTER, 3)))

    assert [text for text, _ in lines] == [
        "date             at          UTC    edition        covers",
        "Thu  2 Apr 2026  07:30 CEST  05:30  month to date  1 Apr",
        "Fri  3 Apr 2026  no edition: Karfreitag",
        "4 to 5 Apr       no edition: weekend",
        "Mon  6 Apr 2026  no edition: Ostermontag",
        "Tue  7 Apr 2026  07:30 CEST  05:30  month to date  2 Apr to 6 Apr",
        "Wed  8 Apr 2026  07:30 CEST  05:30  month to date  7 Apr",
    ]
    assert [aside for _, aside in lines] == [True, False, True, True, True, False, False]


def test_where_utc_has_another_date_it_says_so(settings: Settings) -> None:
    auckland = replace(
        settings, timezone="Pacific/Auckland", calendar=Calendar("NZ", "AUK"), spread=timedelta(0)
    )
    (one,) = coming(auckland, EASTER, 1)

    assert "Mon 19:30" in table(auckland, [one])[-1][0]


def test_programs_get_every_skipped_day_by_itself(settings: Settings) -> None:
    found = facts(settings, list(coming(settings, datetime(2026, 4, 30, 12, tzinfo=UTC), 1)))

    assert found["editions"] == [
        {
            "date": "2026-05-04",
            "at": "2026-05-04T07:30:00+02:00",
            "utc": "2026-05-04T05:30:00+00:00",
            "kind": "month_close",
            "closes": "2026-04",
            "covers": ["2026-04-30", "2026-05-01", "2026-05-02", "2026-05-03"],
            "skipped": [
                {"date": "2026-05-01", "reason": "Tag der Arbeit"},
                {"date": "2026-05-02", "reason": "weekend"},
                {"date": "2026-05-03", "reason": "weekend"},
            ],
        }
    ]


@pytest.mark.parametrize(
    ("utc", "first"),
    [("05:29", "2026-04-07"), ("08:59", "2026-04-07"), ("09:00", "2026-04-08")],
)
def test_todays_edition_is_shown_until_it_can_no_longer_go_out(
    settings: Settings, utc: str, first: str
) -> None:
    assert dates(settings, datetime.fromisoformat(f"2026-04-07T{utc}+00:00"), 1) == [first]


def test_what_was_sent_today_is_not_to_come(settings: Settings) -> None:
    ledger = open_ledger(settings.ledger, clock=lambda: EASTER, pin=pin_of(settings))
    ledger.open_run("leads", date(2026, 4, 2))
    assert dates(settings, EASTER, 1) == ["2026-04-02"]

    ledger.mark_run("leads", date(2026, 4, 2), RunState.DONE)
    assert dates(settings, EASTER, 1) == ["2026-04-07"]


def test_without_a_ledger_none_is_made(settings: Settings) -> None:
    assert len(dates(settings, EASTER, 3)) == 3
    assert sorted(path.name for path in settings.folder.iterdir()) == ["digest.toml"]


# ---------------------------------------------------------------------------- what is not known


@pytest.mark.failure("T8")
def test_the_editions_end_where_the_calendar_ends(settings: Settings) -> None:
    periods = tuple(
        FiscalPeriod(2026, n + 1, date(2026, 4, 1) + timedelta(weeks=4 * n)) for n in range(3)
    )
    fiscal = replace(settings, fiscal_periods=periods)
    editions = coming(fiscal, EASTER, 60)
    known = [next(editions).due.business_date for _ in range(34)]

    assert known[-1] == date(2026, 5, 26)
    with pytest.raises(ConfigError, match="fiscal_periods: 2026-05-27 is outside"):
        next(editions)


# ----------------------------------------------------------------------------------- the command


def digest(*arguments: str | Path, environment: dict[str, str] | None = None) -> Result:
    world = World(clock=lambda: EASTER, environment=environment or {})
    return CliRunner().invoke(cli, [str(one) for one in arguments], obj=world)


def test_next_prints_a_table_for_each_digest_of_a_folder(settings: Settings) -> None:
    text = settings.path.read_text().replace('"leads"', '"other"', 1)
    (settings.folder / "other.toml").write_text(text)

    shown = digest("schedule", settings.folder, "--next", "2")

    assert shown.exit_code == 0
    assert shown.stdout.startswith("leads  Europe/Zurich, CH-ZH\ndate ")
    assert "\n\nother  Europe/Zurich, CH-ZH\n" in shown.stdout
    assert shown.stdout.count("no edition: Karfreitag") == 2


def test_the_table_in_the_documentation_is_what_is_printed(settings: Settings) -> None:
    page = (Path(__file__).parents[1] / "docs/schedule.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"^```text\n(leads .*?)^```", page, re.MULTILINE | re.DOTALL)

    assert digest("schedule", settings.path, "--next", "3").stdout == shown


def test_next_as_json_is_a_list_of_digests(settings: Settings) -> None:
    shown = digest("schedule", settings.path, "--next", "2", "--format", "json")

    (only,) = json.loads(shown.stdout)
    assert only["digest"] == "leads"
    assert [one["date"] for one in only["editions"]] == ["2026-04-02", "2026-04-07"]


def test_a_broken_file_among_others_is_named_and_the_others_are_shown(settings: Settings) -> None:
    (settings.folder / "b.toml").write_text("nonsense = 1\n")

    shown = digest("schedule", settings.folder, "--next", "1")

    assert shown.exit_code == 2
    assert "leads  Europe/Zurich" in shown.stdout
    assert "b.toml" in shown.stderr


def test_a_path_that_is_not_there_is_a_mistake_not_a_long_wait(tmp_path: Path) -> None:
    shown = digest("schedule", tmp_path / "missing")

    assert (shown.exit_code, "there is no such file or folder" in shown.stderr) == (2, True)
    assert digest("schedule", tmp_path, "--format", "json").exit_code == 2


# ------------------------------------------------------------------------------------ CI runners


@pytest.mark.parametrize("name", ["CI", "GITHUB_ACTIONS"])
def test_a_ledger_in_a_file_is_refused_on_a_runner_whose_disk_is_gone_afterwards(
    settings: Settings, name: str
) -> None:
    refused = digest("send", settings.path, environment={name: "true"})

    assert refused.exit_code == 2
    assert f"{name} is set: a runner's disk is gone" in refused.stderr
    assert not (settings.folder / "ledger.sqlite").exists()
    # Looking and a test leave no trace, so they may.
    assert digest("schedule", settings.path, "--next", "1", environment={name: "1"}).exit_code == 0
    assert digest("send", settings.path, environment={name: "false"}).exit_code == 0


def test_a_correction_is_refused_there_as_well(settings: Settings) -> None:
    done = digest("send", settings.path, "--correct", environment={"CI": "true"})

    assert done.exit_code == 2
    assert "CI is set: a runner's disk is gone" in done.stderr


def test_a_ledger_on_postgresql_is_welcome_there(settings: Settings) -> None:
    text = settings.path.read_text().replace(
        "[calendar]", 'ledger = "postgresql://digest@127.0.0.1:1/digest"\n[calendar]'
    )
    settings.path.write_text(text)

    done = digest("send", settings.path, environment={"CI": "true"})

    assert "runner" not in done.stderr


def test_the_demo_works_on_a_runner(tmp_path: Path) -> None:
    shown = digest("demo", tmp_path / "demo", environment={"CI": "true", "GITHUB_ACTIONS": "true"})

    assert shown.exit_code == 0, shown.stderr

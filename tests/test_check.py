"""`digest check`: what it says of a digest that works, and of each thing that does not."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from digest.check import run
from digest.connectors import Connector
from digest.errors import ConnectorError, Reason
from digest.model import (
    Finding,
    LeadCounts,
    Origin,
    Period,
    Segment,
    lead_counts,
)
from digest.settings import Settings, load

NOW = datetime(2026, 5, 4, 6, 0, tzinfo=UTC)
CONFIG = """\
id = "leads"
[calendar]
country = "CH"
subdivision = "ZH"
closures = [{ first = 2026-05-07, last = 2026-05-08 }]
[sla]
currency = "CHF"
[[sla.segments]]
segment = "DACH"
currency = "CHF"
valid_from = "2026-01"
revenue_goal = 300000
deal_size = 15000
marketing_share = "60%"
close_rate = "4%"
[[sla.segments]]
segment = "Benelux"
currency = "CHF"
valid_from = "2026-01"
goal = 134
[[segments]]
name = "DACH"
[connector]
type = "sql"
url = "sqlite:///crm.sqlite"
table = "leads"
dates = ["day"]
segment = "region"
[channels.file]
path = "out"
recipients = ["ana@company.example"]
"""


BEFORE = (("2026-02-03", "DACH"),)  # a source that never had a lead is an error of its own


def settings_of(
    folder: Path, config: str = CONFIG, leads: Sequence[tuple[str, str | None]] = BEFORE
) -> Settings:
    with sqlite3.connect(folder / "crm.sqlite") as crm:
        crm.execute("CREATE TABLE IF NOT EXISTS leads (day DATE, region TEXT)")
        crm.executemany("INSERT INTO leads VALUES (?, ?)", leads)
    crm.close()
    (folder / "digest.toml").write_text(config)
    return load(folder / "digest.toml", environment={})


def check(settings: Settings, on: date = date(2026, 5, 4)) -> tuple[Finding, ...]:
    return run(settings, now=NOW, business_date=on)


def texts(findings: Sequence[Finding], subject: str) -> list[tuple[str, str]]:
    return [(found.level, found.text) for found in findings if found.subject == subject]


def errors(findings: Sequence[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.level == "error"]


def test_a_digest_that_works_has_no_errors_and_names_its_goals(tmp_path: Path) -> None:
    leads = [("2026-04-29", "DACH"), ("2026-05-01", "DACH"), ("2026-05-02", "Benelux")]
    findings = check(settings_of(tmp_path, leads=leads))

    assert errors(findings) == []
    assert texts(findings, "SLA") == [
        ("ok", "May 2026: DACH 300, Benelux 134 (set by hand); 434 leads in total")
    ]
    assert ("ok", "3 leads on 1 Apr to 3 May, read from") in [
        (level, text[: len("3 leads on 1 Apr to 3 May, read from")])
        for level, text in texts(findings, "source")
    ]
    assert texts(findings, "calendar") == [("ok", "CH-ZH: 16 workdays from 1 May 2026")]


def test_the_next_five_editions_come_with_their_skipped_days_and_reasons(tmp_path: Path) -> None:
    findings = check(settings_of(tmp_path), on=date(2026, 4, 30))

    assert [text for _, text in texts(findings, "next edition")] == [
        "Thu 30 Apr 2026 07:30 (05:30 UTC), month to date, covers 29 Apr",
        (
            "Mon 4 May 2026 07:30 (05:30 UTC), closes April, covers 30 Apr to 3 May; "
            "none on 1 May (Labor Day); 2 May to 3 May (weekend)"
        ),
        "Tue 5 May 2026 07:30 (05:30 UTC), month to date, covers 4 May",
        "Wed 6 May 2026 07:30 (05:30 UTC), month to date, covers 5 May",
        (
            "Mon 11 May 2026 07:30 (05:30 UTC), month to date, covers 6 May to 10 May; "
            "none on 7 May to 8 May (company closure); 9 May to 10 May (weekend)"
        ),
    ]


# Known by its almanac, year by year: until 2026.
LANKA = CONFIG.replace('"CH"', '"LK"').replace('subdivision = "ZH"\n', "")


@pytest.mark.failure("T8")
@pytest.mark.parametrize(("on", "warned"), [(date(2026, 12, 1), False), (date(2026, 12, 2), True)])
def test_holidays_that_end_are_told_thirty_days_ahead(
    tmp_path: Path,
    on: date,
    warned: bool,  # noqa: FBT001 - a column of the table
) -> None:
    findings = check(settings_of(tmp_path, LANKA), on=on)

    ending = [text for level, text in texts(findings, "calendar") if level == "warning"]
    assert bool(ending) == warned
    assert all(
        "no edition from 1 Jan 2027 on: calendar LK: holidays of 2027" in one for one in ending
    )


@pytest.mark.failure("T8")
def test_the_last_known_editions_are_shown_and_then_the_end(tmp_path: Path) -> None:
    findings = check(settings_of(tmp_path, LANKA), on=date(2026, 12, 30))

    shown = texts(findings, "next edition")
    assert [level for level, _ in shown] == ["ok", "ok", "warning"]
    assert "none is known after these" in shown[-1][1]


@pytest.mark.failure("T8")
def test_holidays_that_are_not_known_are_an_error(tmp_path: Path) -> None:
    findings = check(settings_of(tmp_path, LANKA), on=date(2027, 6, 15))

    wrong = [one for one in findings if one.level == "error"]
    assert {"calendar", "next editions"} <= {one.subject for one in wrong}
    assert all(
        "holidays of 2027 are not known" in one.text for one in wrong if one.subject != "source"
    )


@pytest.mark.failure("T8")
def test_fiscal_periods_that_end_are_told_thirty_days_ahead(tmp_path: Path) -> None:
    starts = [date(2025 + (6 + n) // 12, (6 + n) % 12 + 1, 1) for n in range(13)]
    rows = [f"{2026 + n // 12},{n % 12 + 1},{start}" for n, start in enumerate(starts)]
    (tmp_path / "fiscal.csv").write_text("year,period,start\n" + "\n".join(rows) + "\n")
    settings = settings_of(tmp_path, 'fiscal_periods = "fiscal.csv"\n' + CONFIG)

    assert texts(check(settings, on=date(2026, 5, 4)), "fiscal periods") == []
    ((level, text),) = texts(check(settings, on=date(2026, 6, 4)), "fiscal periods")
    assert (level, text.startswith("no edition from 1 Jul 2026 on: ")) == ("warning", True)


def test_a_goal_that_cannot_be_computed_is_a_warning_with_the_reason(tmp_path: Path) -> None:
    findings = check(settings_of(tmp_path, CONFIG.replace('close_rate = "4%"\n', "")))

    assert texts(findings, "SLA") == [
        ("ok", "May 2026: Benelux 134 (set by hand); 134 leads in total"),
        ("warning", "no goal for May 2026: DACH (close rate missing)"),
    ]
    assert errors(findings) == []


def test_a_month_without_an_sla_is_said(tmp_path: Path) -> None:
    findings = check(settings_of(tmp_path), on=date(2027, 1, 5))

    assert (
        "warning",
        "no goal for January 2027: DACH (the SLA has no revenue goals for this month)",
    ) in texts(findings, "SLA")


def test_values_of_no_segment_are_listed_and_many_of_them_are_a_warning(tmp_path: Path) -> None:
    leads = [("2026-05-01", "APAC")] * 2 + [("2026-05-02", None)] + [("2026-05-02", "DACH")] * 97

    assert texts(check(settings_of(tmp_path, leads=leads)), "segments") == [
        (
            "warning",
            "3 leads belong to no segment: 'APAC' 2, no value 1; name them in `values` of a segment",
        )
    ]


def test_a_lead_or_two_of_no_segment_are_no_warning(tmp_path: Path) -> None:
    leads = [("2026-05-01", "APAC")] + [("2026-05-02", "DACH")] * 99

    ((level, _),) = texts(check(settings_of(tmp_path, leads=leads)), "segments")
    assert level == "ok"


def test_a_table_that_is_absent_is_an_error_and_the_rest_is_still_checked(tmp_path: Path) -> None:
    findings = check(settings_of(tmp_path, CONFIG.replace('"leads"\ndates', '"leeds"\ndates')))

    (found,) = errors(findings)
    line = (tmp_path / "digest.toml").read_text().split("\n").index('table = "leeds"') + 1
    assert found.text.startswith(f"digest.toml, line {line}, connector.table: the database has no")
    assert "did you mean 'leads'? it has" in found.text
    assert texts(findings, "ledger") != []
    assert texts(findings, "channel file") != []


def test_a_source_without_a_single_lead_is_an_error(tmp_path: Path) -> None:
    (found,) = errors(check(settings_of(tmp_path, leads=())))

    assert "sqlite:///crm.sqlite, leads holds no lead at all since 2025-" in found.text
    assert "look whether it is the right one" in found.text


def test_a_database_that_is_absent_is_an_error(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    (tmp_path / "crm.sqlite").unlink()

    assert len(errors(check(settings))) == 1
    assert not (tmp_path / "crm.sqlite").exists()


def test_it_writes_nothing(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    before = sorted(tmp_path.iterdir())

    check(settings)

    assert sorted(tmp_path.iterdir()) == before


def test_a_ledger_folder_that_is_absent_is_an_error(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, 'ledger = "state/ledger.sqlite"\n' + CONFIG)

    assert texts(check(settings), "ledger") == [
        ("error", f"the folder {tmp_path / 'state'} does not exist; create it")
    ]


def test_a_file_that_is_no_ledger_is_an_error(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    (tmp_path / "ledger.sqlite").write_text("notes")

    ((level, _),) = texts(check(settings), "ledger")
    assert level == "error"


def test_warnings_of_the_settings_are_repeated(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, CONFIG.replace("ana@company.example", "ana@gmial.com"))

    assert [text for level, text in texts(check(settings), "config") if level == "warning"] == list(
        settings.warnings
    )


def test_a_date_outside_the_fiscal_periods_is_an_error(tmp_path: Path) -> None:
    starts = [date(2026, 1, 1) + timedelta(days=28 * n) for n in range(13)]
    rows = "\n".join(f"2026,{n + 1},{start}" for n, start in enumerate(starts))
    (tmp_path / "fiscal.csv").write_text(rows)
    settings = settings_of(tmp_path, 'fiscal_periods = "fiscal.csv"\n' + CONFIG)

    found = errors(check(settings, on=date(2028, 1, 3)))

    assert found
    assert all("fiscal_periods" in finding.text for finding in found)


def test_every_language_that_is_asked_for_is_there(tmp_path: Path) -> None:
    recipient = '{ address = "ana@company.example", language = "de-CH" }'
    settings = settings_of(tmp_path, CONFIG.replace('"ana@company.example"', recipient))

    assert texts(check(settings), "language") == [("ok", "en, de-CH")]


def test_own_templates_are_tried_out_on_the_newest_edition(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    settings = settings_of(tmp_path, 'templates = "templates"\n' + CONFIG)

    ((level, text),) = texts(check(settings), "templates")
    assert (level, text) == ("ok", f"{tmp_path / 'templates'} renders en")


def test_a_template_with_an_error_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "digest.txt").write_text("{{ nothing.of.this }}")
    settings = settings_of(tmp_path, 'templates = "templates"\n' + CONFIG)

    ((level, text),) = texts(check(settings), "templates")
    assert level == "error"
    assert "digest.txt" in text


def test_a_slip_in_the_name_of_a_template_is_a_warning(tmp_path: Path) -> None:
    parts = tmp_path / "templates" / "parts"
    parts.mkdir(parents=True)
    (parts / "fotter.mjml").write_text("")
    (parts / "footers.mjml").write_text("")
    (parts / "footer.mjml").write_text('{% include "parts/footers.mjml" %}')
    settings = settings_of(tmp_path, 'templates = "templates"\n' + CONFIG)

    found = texts(check(settings), "templates")

    assert [text for level, text in found if level == "warning"] == [
        f"{parts / 'fotter.mjml'} replaces no template; did you mean 'parts/footer.mjml'?"
    ]


def test_templates_wait_for_a_source_that_answers(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    settings = settings_of(tmp_path, 'templates = "templates"\n' + CONFIG)
    fields = {name: getattr(settings, name) for name in settings.__dataclass_fields__}
    broken = Settings(**{**fields, "connector": Broken(Reason.QUOTA), "deals": None})

    assert [level for level, _ in texts(check(broken), "templates")] == ["warning"]


class Broken:
    """A source without a check of its own that answers with an error, or with days that do not add up."""

    def __init__(self, reason: Reason | None) -> None:
        self.reason = reason

    def count_leads(
        self, *, period: Period, segments: Sequence[Segment], now: datetime
    ) -> LeadCounts:
        if self.reason:
            raise ConnectorError("crm", self.reason, "it does not answer", remedy="try again later")
        return lead_counts(
            period,
            segments,
            [(period.start, "DACH", 2)],
            as_of=now,
            total=3,
            origin=Origin("crm", "crm"),
        )


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (Reason.TRANSIENT, "crm: it does not answer; try again later"),
        (None, "3 leads on 1 Apr to 3 May, read from crm; the days do not add up to the total"),
    ],
)
def test_a_source_without_a_check_is_counted_instead(
    tmp_path: Path, reason: Reason | None, text: str
) -> None:
    connector: Connector = Broken(reason)
    settings = settings_of(tmp_path)
    fields = {name: getattr(settings, name) for name in settings.__dataclass_fields__}

    findings = check(Settings(**{**fields, "connector": connector, "deals": None}))

    assert texts(findings, "source") == [("error", text)]


FOLLOWED = """
[follow_up]
[follow_up.connector]
type = "sql"
url = "sqlite:///crm.sqlite"
table = "leads"
dates = ["day"]
segment = "region"
follow_up_columns = { clock_start = "assigned", first_response = "called", attempts = "calls" }
"""


def test_a_source_of_follow_up_of_its_own_is_checked_as_well(tmp_path: Path) -> None:
    findings = check(settings_of(tmp_path, CONFIG + FOLLOWED))

    about = [found for found in findings if found.subject.startswith("follow-up, ")]
    assert [found.level for found in about].count("error") == 1
    assert "'assigned'" in next(found.text for found in about if found.level == "error")

"""config/example.toml: it loads, and it mentions every setting there is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import PIL.Image

from digest.connectors.spreadsheet import Spreadsheet
from digest.connectors.sql import Sql
from digest.resources import config_folder
from digest.settings import Settings, all_settings, load
from digest.sla import goals
from digest.worksheet import write_new

ENVIRONMENT = {
    "DIGEST_DB_PASSWORD": "planted",
    "DIGEST_SMTP_PASSWORD": "planted",
    "APP_SECRET": "planted",
    "DIGEST_SLACK_TOKEN": "xoxb-planted",
    "DIGEST_TEAMS_WEBHOOK": "https://0.11.environment.api.powerplatform.com/workflows/planted",
    "DIGEST_ALERTS_WEBHOOK": "https://hooks.slack.com/services/planted",
    "DIGEST_HEARTBEAT_URL": "https://ping.example/planted",
}
EXAMPLE = (config_folder() / "example.toml").read_text(encoding="utf-8")
_HEADING = re.compile(r"^(?:# )?\[+([a-z_.]+)\]+(?:\s|$)", re.MULTILINE)
_KEY = re.compile(r"(?:^|^# |[{,] )([a-z_]+) = ", re.MULTILINE)
# Where the example shows an adapter: the spreadsheet as the source of deals, the database as that of leads.
_SHOWN_IN = {
    "connector (sql)": "connector",
    "connector (hubspot)": "connector",
    "connector (spreadsheet)": "deals",
    "connector (salesforce)": "connector",
    "": "",
}


def example(folder: Path, text: str = EXAMPLE) -> Settings:
    """Load the example with the files it names beside it."""
    files_for(folder)
    (folder / "example.toml").write_text(text, encoding="utf-8")
    return load(folder / "example.toml", environment=ENVIRONMENT)


def files_for(folder: Path) -> None:
    """Write the files that the example names."""
    (folder / "templates").mkdir()
    PIL.Image.new("RGB", (80, 40), "#1a4f8b").save(folder / "logo.png")
    starts = (date(2026, 1, 1) + timedelta(days=28 * n) for n in range(13))
    rows = (f"{2026 + n // 12},{n % 12 + 1},{start}" for n, start in enumerate(starts))
    (folder / "fiscal.csv").write_text("year,period,start\n" + "\n".join(rows))
    write_new(
        folder / "sla.xlsx", language="en", segments=("DACH", "Benelux"), currency="CHF", year=2026
    )


def with_tables(text: str) -> str:
    """The example with its commented SLA tables instead of the worksheet."""
    before, rest = text.split('worksheet = "sla.xlsx"\n')
    tables, after = rest.split("\n\n", 1)
    plain = "\n".join(line.removeprefix("#").removeprefix(" ") for line in tables.splitlines())
    benelux = '[[sla.segments]]\nsegment = "Benelux"\ncurrency = "EUR"\nvalid_from = "2026-01"\n'
    return f"{before}{plain[plain.index('currency =') :]}\n{benelux}\n{after}"


def test_the_example_loads_without_a_warning(tmp_path: Path) -> None:
    settings = example(tmp_path)

    assert settings.warnings == ()
    assert isinstance(settings.connector, Sql)
    assert isinstance(settings.deals, Spreadsheet)
    assert set(settings.channels) == {"smtp", "graph", "file", "slack", "teams"}
    assert len(settings.fiscal_periods) == 13


def test_the_tables_in_its_comments_load_as_well(tmp_path: Path) -> None:
    plan = example(tmp_path, with_tables(EXAMPLE)).plan

    assert plan.currencies == (("DACH", "CHF"), ("Benelux", "EUR"))
    assert plan.terms[0].close_rate == Fraction(4, 100)
    assert [goal.goal for goal in goals(plan, date(2026, 1, 1))] == [140, None]
    assert plan.rates[0].rate == Decimal("0.94")


def blocks(text: str) -> Mapping[str, str]:
    """The text below each heading, commented headings included; "" is what stands above the first."""
    found: dict[str, str] = {}
    places = [("", 0), *((match[1], match.end()) for match in _HEADING.finditer(text))]
    ends = [match.start() for match in _HEADING.finditer(text)] + [len(text)]
    for (name, start), end in zip(places, ends, strict=True):
        found[name] = found.get(name, "") + text[start:end]
    return found


def shown(setting: str, text: Mapping[str, str]) -> bool:
    """Whether the block of a setting's table, or the one around an inline table, has its key."""
    *path, key = setting.split(".")
    table = ".".join([_SHOWN_IN.get(path[0], path[0]), *path[1:]]) if path else ""
    while table not in text:
        table = table.rpartition(".")[0]
    return key in _KEY.findall(text[table]) or f"{table}.{key}" in text


def test_it_mentions_every_setting_there_is() -> None:
    text = blocks(EXAMPLE)

    assert [setting for setting in all_settings() if not shown(setting, text)] == []


def test_a_setting_that_it_forgets_is_noticed() -> None:
    text = blocks(
        EXAMPLE.replace("max_groups", "most_groups").replace("{ connect =", "{ xonnect =")
    )

    assert [setting for setting in all_settings() if not shown(setting, text)] == [
        "connector (sql).max_groups",
        "channels.smtp.timeouts.connect",
    ]


def test_its_comments_name_no_setting_that_does_not_exist() -> None:
    known = {setting.rpartition(".")[2] for setting in all_settings()} | {
        "type",
        "env",
        "file",
        "keyring",
    }

    assert {key for block in blocks(EXAMPLE).values() for key in _KEY.findall(block)} <= known


def test_values_that_are_called_defaults_are_the_defaults(tmp_path: Path) -> None:
    """A file with only what must be there equals the example wherever that gives no example of its own."""
    full = example(tmp_path)
    short = """
id = "leads-example"
[calendar]
country = "CH"
subdivision = "ZH"
[sla]
worksheet = "sla.xlsx"
[connector]
type = "sql"
url = "sqlite:///crm.sqlite"
table = "leads"
dates = ["qualified_at"]
segment = "region"
[channels.file]
path = "outbox"
recipients = ["archive@company.example"]
"""
    (tmp_path / "short.toml").write_text(short)
    default = load(tmp_path / "short.toml", environment={})

    assert full.thresholds == default.thresholds
    for name in (
        "language", "timezone", "segment_kind", "weighting", "forecast", "send_at", "send_until", "spread",
        "ledger", "max_drop_leads", "max_drop_share", "on_partial", "on_stale",
        "notify_team_when_held",
        "unassigned_leads", "unassigned_share", "frozen_after_workdays", "plan",
    ):  # fmt: skip
        assert getattr(full, name) == getattr(default, name), name
    assert replace(full.calendar, add=(), half=(), closures=()) == default.calendar

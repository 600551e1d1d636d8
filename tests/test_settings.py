"""Settings: everything a person can get wrong, and the sentence it gets."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from datetime import time as clock
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from digest.channels import CHANNELS
from digest.channels.smtp import Smtp
from digest.connectors import CONNECTORS
from digest.connectors.sql import Deals, Sql
from digest.errors import ConfigError
from digest.followup import Hours, Promise
from digest.ledger import Postgres
from digest.model import Recipient, Secret, Segment
from digest.settings import Settings, load, load_many
from digest.settings.adapters import build, known_keys
from digest.settings.lines import key_lines
from digest.settings.mistakes import Mistakes
from digest.settings.parts import TOP
from digest.sla import Plan, goals
from digest.worksheet import write_new
from tests.effort import effort
from tests.test_example import ENVIRONMENT as EXAMPLE_ENVIRONMENT
from tests.test_example import EXAMPLE, files_for, with_tables

ENVIRONMENT = {"DB_PASSWORD": "planted-db-secret", "SMTP_PASSWORD": "planted-smtp-secret"}
VALID = """\
id = "leads-dach"
title = "Leads DACH"
language = "de-CH"
timezone = "Europe/Zurich"
link = "https://digest.company.example/"
ledger = "ledger.sqlite"

[schedule]
send_at = "07:30"
send_until = "11:00"
spread_minutes = 15

[hold]
max_drop_share = "5%"

[thresholds]
ahead = "110%"
on_track = "95%"

[calendar]
country = "CH"
subdivision = "ZH"
closures = [{ first = 2026-12-24, last = 2026-12-31 }]

[calendars.benelux]
country = "NL"

[sla]
currency = "CHF"

[[sla.rates]]
currency = "EUR"
rate = 0.94
as_of = 2026-01-05

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
currency = "EUR"
valid_from = "2026-01"
revenue_goal = { 2026-01 = 120000, 2026-02 = 130000 }
deal_size = 9000
marketing_share = 0.5
close_rate = 0.05

[[segments]]
name = "DACH"
values = ["dach", "Schweiz"]

[[segments]]
name = "Benelux"
calendar = "benelux"

[connector]
type = "sql"
url = "postgresql://digest@crm.example/sales"
password = { env = "DB_PASSWORD" }
table = "leads"
dates = ["qualified_at"]
segment = "region"
stored_in = "UTC"

[channels.smtp]
host = "mail.company.example"
sender = "Leads digest <digest@company.example>"
username = "digest"
password = { env = "SMTP_PASSWORD" }
recipients = [
    "ana@company.example",
    { address = "bo@company.example", language = "en", segments = ["Benelux"] },
]
"""


BROKEN = tomllib.loads(Path(__file__).with_name("broken_settings.toml").read_text("utf-8"))[
    "broken"
]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(tmp_path)
    yield
    os.chdir(before)


def read(text: str, environment: Mapping[str, str] = ENVIRONMENT) -> Settings:
    Path("digest.toml").write_text(text, encoding="utf-8")
    return load(Path("digest.toml"), environment=environment)


def mistakes_in(text: str | bytes, environment: Mapping[str, str] = ENVIRONMENT) -> tuple[str, ...]:
    Path("digest.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as caught:
        load(Path("digest.toml"), environment=environment, keyring=lambda _service, _user: None)
    return caught.value.mistakes


def swapped(old: str, new: str, text: str = VALID) -> str:
    assert old in text
    return text.replace(old, new, 1)


# ------------------------------------------------------------------------------------ what is valid


def test_a_valid_file_becomes_settings() -> None:
    settings = read(VALID)

    assert settings.id == "leads-dach"
    assert settings.title == "Leads DACH"
    assert settings.language == "de-CH"
    assert settings.calendar.label == "CH-ZH"
    assert settings.calendar.closures == ((date(2026, 12, 24), date(2026, 12, 31)),)
    assert settings.calendars["benelux"].country == "NL"
    assert settings.segments == (
        Segment("DACH", ("dach", "Schweiz")),
        Segment("Benelux", calendar="benelux"),
    )
    assert (settings.send_at, settings.send_until) == (clock(7, 30), clock(11, 0))
    assert settings.spread == timedelta(minutes=15)
    assert settings.max_drop_share == Fraction(5, 100)
    assert settings.thresholds.ahead == Fraction(110, 100)
    assert settings.ledger == Path.cwd() / "ledger.sqlite"
    assert settings.connector_name == "sql"
    assert settings.deals is None
    assert settings.warnings == ()


def test_adapters_come_constructed_with_their_secrets_and_folder() -> None:
    settings = read(VALID)

    assert isinstance(settings.connector, Sql)
    assert settings.connector.password == Secret("planted-db-secret")
    assert settings.connector.folder == Path.cwd()
    smtp = settings.channels["smtp"]
    assert isinstance(smtp, Smtp)
    assert smtp.password == Secret("planted-smtp-secret")
    assert smtp.recipients == (
        Recipient("ana@company.example"),
        Recipient("bo@company.example", "en", ("Benelux",)),
    )


def test_tables_give_the_goals_of_the_reference_case() -> None:
    plan = read(VALID).plan

    assert [(goal.segment, goal.goal) for goal in goals(plan, date(2026, 1, 1))] == [
        ("DACH", 300),
        ("Benelux", 134),
    ]


def _plan_from(source: str) -> Plan:
    tables = VALID[VALID.index("[sla]") : VALID.index("[[segments]]")]
    return read(swapped(tables, f'[sla]\nworksheet = "{source}"\n')).plan


def test_worksheet_csv_and_tables_give_the_same_plan() -> None:
    plan = read(VALID).plan
    write_new(Path("sla.xlsx"), language="de-CH", currency="CHF", year=2026, plan=plan)
    csv = [
        "segment;month;currency;revenue_goal;deal_size;marketing_share;close_rate;plan_currency;plan_rate"
    ]
    for month in range(1, 13):
        terms = "15000;60%;4%;CHF;" if month == 1 else ";;;CHF;"
        csv.append(f"DACH;2026-{month:02};CHF;300000;{terms}")
    csv.append("Benelux;2026-01;EUR;120000;9000;50%;5%;CHF;0.94")
    csv.append("Benelux;2026-02;EUR;130000;;;;CHF;0.94")
    Path("sla.csv").write_text("\n".join(csv))

    for source in ("sla.xlsx", "sla.csv"):
        found = _plan_from(source)
        assert found.currencies == plan.currencies
        assert sorted(map(repr, found.revenue_goals)) == sorted(map(repr, plan.revenue_goals))
        assert sorted(map(repr, found.terms)) == sorted(map(repr, plan.terms))
        for month in (1, 2, 3):
            assert goals(found, date(2026, month, 1)) == goals(plan, date(2026, month, 1))


def test_settings_beside_a_worksheet_prevail() -> None:
    write_new(
        Path("sla.xlsx"), language="en", segments=("DACH", "Benelux"), currency="CHF", year=2026
    )
    tables = VALID[VALID.index("[sla]") : VALID.index("[[segments]]")]
    beside = 'worksheet = "sla.xlsx"\nlag_months = 2\nrounding = "cascade"\ncarry_forward = true\n'

    plan = read(swapped(tables, f"[sla]\n{beside}")).plan

    assert (plan.lag_months, plan.rounding, plan.carry_forward) == (2, "cascade", True)


@pytest.mark.failure("R4")
def test_a_worksheet_that_cannot_be_read_is_named_with_its_own_mistakes() -> None:
    Path("sla.xlsx").write_bytes(b"PK not a workbook")
    tables = VALID[VALID.index("[sla]") : VALID.index("[[segments]]")]

    (found,) = mistakes_in(swapped(tables, '[sla]\nworksheet = "sla.xlsx"\n'))

    assert found.startswith("digest.toml, line 29, sla.worksheet: sla.xlsx")


def test_a_revenue_goal_holds_until_the_terms_change_or_the_year_ends() -> None:
    later = """[[sla.segments]]
segment = "DACH"
currency = "CHF"
valid_from = 2026-07
revenue_goal = 330000
deal_size = 15000
marketing_share = "60%"
close_rate = "4%"

[[segments]]
""".replace("2026-07", '"2026-07"')
    plan = read(swapped("[[segments]]\n", later)).plan

    dach = {goal.month: goal.amount for goal in plan.revenue_goals if goal.segment == "DACH"}
    assert (min(dach), max(dach), len(dach)) == (date(2026, 1, 1), date(2026, 12, 1), 12)
    assert dach[date(2026, 6, 1)] == 300_000
    assert dach[date(2026, 7, 1)] == 330_000


def test_segments_that_the_file_does_not_mention_come_from_the_sla() -> None:
    start = VALID.index("[[segments]]")
    settings = read(VALID[:start] + VALID[VALID.index("[connector]") :])

    assert settings.segments == (Segment("DACH"), Segment("Benelux"))


FOLLOWED = """
[follow_up]
respond_within = "4 h 30 min"
website_within = "30 min"
attempts = 3
within_workdays = 5
in_time = "80%"
business_hours = "8:00 – 24:00"
calendar = "benelux"
clock = "elapsed"

[follow_up.connector]
type = "sql"
url = "sqlite:///calls.sqlite"
table = "calls"
dates = ["at"]
segment = "region"
follow_up_columns = { clock_start = "at", first_response = "called", attempts = "calls" }
"""


def test_sales_may_promise_something_and_work_in_another_system() -> None:
    settings = read(VALID + FOLLOWED)

    assert settings.follow_up is not None
    promise, source = settings.follow_up
    assert promise == Promise(
        270, 30, 3, 5, Fraction(8, 10), Hours(clock(8), clock(0)), "benelux", "elapsed"
    )
    assert isinstance(source, Sql)
    assert source.table == "calls"
    assert read(VALID).follow_up is None


def test_what_sales_promises_has_defaults() -> None:
    columns = 'follow_up_columns = { clock_start = "a", first_response = "b", attempts = "c" }'
    text = swapped('stored_in = "UTC"', f'stored_in = "UTC"\n{columns}')
    settings = read(text + "\n[follow_up]\n")

    assert isinstance(settings.connector, Sql)
    assert settings.follow_up == (Promise(), settings.connector)


def test_a_channel_may_have_another_name_than_its_type() -> None:
    settings = read(
        VALID + '\n[channels.archive]\ntype = "file"\npath = "out"\nrecipients = ["a@b.example"]\n'
    )

    assert list(settings.channels) == ["smtp", "archive"]


CHAT = {
    **ENVIRONMENT,
    "SLACK": "xoxb-planted-1f7c",
    "HOOK": "https://hooks.slack.com.evil.example/services/planted-1f7c",
}


def test_a_chat_channel_reads_in_its_own_language_with_its_segments_first() -> None:
    table = """
[channels.team]
type = "slack"
token = { env = "SLACK" }
channel = "C0123456789"
language = "fr"
segments = ["Benelux"]
"""
    settings = read(VALID + table, CHAT)

    assert settings.channels["team"].recipients == (Recipient("C0123456789", "fr", ("Benelux",)),)


def test_the_mistakes_of_chat_channels_come_together_and_show_no_secret() -> None:
    tables = """
[channels.slack]
token = { env = "SLACK" }
channel = "#marketing"
language = "es"
segments = ["Benelu"]
base_url = "https://evil.example/"

[channels.hook]
type = "slack"
webhook = { env = "HOOK" }

[channels.off]
type = "slack"
token = { env = "NOT_SET" }
channel = "C0123456789"

[channels.plain]
type = "teams"
webhook = "https://planted-1f7c.example/"
"""
    found = mistakes_in(VALID + tables, CHAT)

    said = "\n".join(found)
    assert "channels.slack.language: no language 'es'" in said
    assert "channels.slack.segments[1]: no segment 'Benelu'; did you mean 'Benelux'?" in said
    assert "channels.slack.base_url: no setting 'base_url'" in said
    assert "channels.hook.webhook: is no address of https://hooks.slack.com/services/" in said
    assert "channels.off.token.env: the environment variable 'NOT_SET' is not set" in said
    assert "channels.plain.webhook: the secret itself stands in the file" in said
    assert "planted" not in said
    assert len(found) == 6


# --------------------------------------------------------------------------------- what is not valid


@pytest.mark.failure("R3", "R5")
@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken["what"])
def test_a_mistake_gets_its_sentence(broken: Mapping[str, Any]) -> None:
    lists = {
        "{folder}": str(Path.cwd()),
        "{top}": ", ".join(TOP),
        "{sql}": ", ".join(("type", *known_keys(Sql)[()])),
        "{deals}": ", ".join(known_keys(Deals)[()]),
        "{connectors}": ", ".join(sorted(CONNECTORS)),
        "{channels}": ", ".join(sorted(CHANNELS)),
    }
    expected = list(broken["sentences"])
    for name, text in lists.items():
        expected = [sentence.replace(name, text) for sentence in expected]

    found = mistakes_in(swapped(broken["instead_of"], broken["found"]))

    # A sentence that ends in … goes on in the words of another module.
    shown = [
        f"{sentence[: len(wanted) - 1]}…" if wanted.endswith("…") else sentence
        for sentence, wanted in zip(found, expected, strict=False)
    ]
    assert expected == [*shown, *found[len(expected) :]]
    assert "planted" not in str(found)


def test_the_table_of_broken_files_is_long_enough_to_mean_something() -> None:
    assert len({broken["what"] for broken in BROKEN}) >= 110


@pytest.mark.failure("R3")
def test_every_mistake_is_reported_at_once_in_the_order_of_the_file() -> None:
    text = VALID
    for old, new in [
        ('language = "de-CH"', 'language = "fr-CH"'),
        ('"11:00"', '"07:31"'),
        ('subdivision = "ZH"', 'subdivision = "ZX"'),
        ('close_rate = "4%"', "close_rate = 4"),
        ('table = "leads"', 'tabel = "leads"'),
        ("SMTP_PASSWORD", "MAIL_PASSWORD"),
        ('"ana@company.example"', '"ana"'),
    ]:
        text = swapped(old, new, text)

    found = mistakes_in(text)

    keys = [sentence.split(", ", 2)[2].split(":")[0] for sentence in found]
    assert keys == [
        "language",
        "schedule.send_until",
        "calendar.subdivision",
        "sla.segments[1].close_rate",
        "connector.tabel",
        "channels.smtp.password.env",
        "channels.smtp.recipients[1]",
    ]


@pytest.mark.parametrize(
    ("start", "end", "sentence"),
    [
        ("[sla]", "[[segments]]", "the table [sla] is missing"),
        ("[calendar]", "[calendars.benelux]", "the table [calendar] is missing"),
        ("[connector]", "[channels.smtp]", "the table [connector] is missing"),
        ("[channels.smtp]", None, "no channel is set"),
    ],
)
def test_a_missing_table_says_what_it_is_for(start: str, end: str | None, sentence: str) -> None:
    rest = VALID[VALID.index(end) :] if end else ""
    found = mistakes_in(VALID[: VALID.index(start)] + rest)

    assert f"digest.toml, line 1: {sentence}" in found[0]
    assert len(found) == 1


def test_a_file_that_is_absent_too_large_or_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config file absent\.toml does not exist"):
        load(Path("absent.toml"), environment={})
    with pytest.raises(ConfigError, match="is a folder, not a file"):
        load(tmp_path, environment={})
    assert mistakes_in(b"# " + b"x" * 256 * 1024) == (
        "digest.toml: the file is too large; allowed: 262,144 bytes",
    )
    assert mistakes_in(b'id = "a"\ntitle = "Z\xfcrich"\n') == (
        "digest.toml, line 2: byte 0xfc is not UTF-8; save the file with the encoding UTF-8",
    )


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "[" * 5000 + "]" * 5000,
        "x = " + "{a=" * 4000 + "1" + "}" * 4000,
        ".".join(["a"] * 100_000) + " = 1",
        "[" + ".".join(["a"] * 100_000) + "]",
        ".".join(['"a"'] * 60_000) + " = 1",
        "x = " + "9" * 5000,
        "x = 0x" + "f" * 100_000,
        "x = 1979-13-45",
        "x = " + "9" * 100 + ".5",
        "\n".join(f"k{n} = 1" for n in range(20_000)),
        "\n".join(f"password{n} = 'secret{n}'" for n in range(8_000)),
        "\n".join(f"[calendars.c{n}]" for n in range(10_000)),
        "\n".join("[[segments]]" for n in range(20_000)),
        "\n".join('[[sla.segments]]\nsegment="x"' for n in range(8_000)),
        "[channels.smtp]\nrecipients = [" + "'a', " * 40_000 + "]",
        "id = '" + "x" * 250_000 + "'",
        "'" + "y" * 250_000 + "' = 1",
        "id = 'x'\nsegments = [" + "'" * 2 + ", 1, {}, [], 2026-01-01, 1.5, true]",
        "calendar = 1\nsla = 2\nconnector = 3\nchannels = 4\nsegments = 5\nschedule = []",
        "a.b = 1\na.b.c = 2",
        "",
        "\x00",
    ],
    ids=lambda text: text[:12] or "empty",
)
def test_a_hostile_file_is_refused_within_two_seconds(text: str) -> None:
    mistakes_in("")  # what is imported once is not the file's doing
    # Counting branches makes every line several times as slow.
    seconds = 2 if sys.gettrace() is None else 10
    start = time.process_time()

    found = mistakes_in(text)

    assert time.process_time() - start < seconds
    assert all(len(sentence) < 1000 for sentence in found)
    assert len(found) <= 60


@dataclass(frozen=True)
class Picky:
    """An adapter whose own checks find two mistakes."""

    table: str
    folder: Path = Path()

    def __post_init__(self) -> None:
        raise ConfigError("table: not this one", "and not today")


def test_mistakes_that_an_adapter_finds_get_their_place() -> None:
    mistakes = Mistakes("digest.toml", {(): 1, ("connector",): 3, ("connector", "table"): 7})

    assert build(Picky, {"table": "leads"}, ("connector",), mistakes, folder=Path("x")) is None

    error = mistakes.error()
    assert error is not None
    assert error.mistakes == (
        "digest.toml, line 3, connector: and not today",
        "digest.toml, line 7, connector.table: not this one",
    )


# ------------------------------------------------------------------------------------------ secrets


def test_a_secret_comes_from_a_file_without_its_line_end() -> None:
    Path("smtp.txt").write_text("planted-file-secret\n")
    Path("smtp.txt").chmod(0o600)

    settings = read(swapped('{ env = "SMTP_PASSWORD" }', '{ file = "smtp.txt" }'))

    assert settings.channels["smtp"] == replace(
        read(VALID).channels["smtp"],  # type: ignore[type-var] # channels are dataclasses
        password=Secret("planted-file-secret"),
    )
    assert settings.warnings == ()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no permission bits")
def test_a_secret_file_that_others_can_read_is_a_warning() -> None:
    Path("smtp.txt").write_text("planted-file-secret")
    Path("smtp.txt").chmod(0o644)

    settings = read(swapped('{ env = "SMTP_PASSWORD" }', '{ file = "smtp.txt" }'))

    path = Path.cwd() / "smtp.txt"
    expected = f"the secret file {path} can be read by others; chmod 600 {path}"
    assert list(settings.warnings) == [f"digest.toml, line 75, channels.smtp.password: {expected}"]


def test_a_secret_file_in_a_home_that_does_not_exist_is_a_mistake() -> None:
    (found,) = mistakes_in(swapped('{ env = "SMTP_PASSWORD" }', '{ file = "~no-such-user/smtp" }'))
    assert "'~no-such-user/smtp' names a home folder that does not exist" in found


def test_a_secret_comes_from_the_keyring_it_is_handed() -> None:
    Path("digest.toml").write_text(
        swapped('{ env = "SMTP_PASSWORD" }', '{ keyring = "digest/mail" }')
    )
    entries = {("digest", "mail"): "planted-keyring-secret"}

    settings = load(
        Path("digest.toml"),
        environment=ENVIRONMENT,
        keyring=lambda service, user: entries.get((service, user)),
    )

    smtp = settings.channels["smtp"]
    assert isinstance(smtp, Smtp)
    assert smtp.password == Secret("planted-keyring-secret")
    with pytest.raises(
        ConfigError, match="the keyring has no entry for service 'digest', user 'mail'"
    ):
        load(Path("digest.toml"), environment=ENVIRONMENT, keyring=lambda _service, _user: None)


@pytest.mark.parametrize("works", [True, False])
def test_the_keyring_of_the_operating_system_is_asked(works: bool) -> None:  # noqa: FBT001 - a parameter
    program = f"""
import keyring, keyring.backend, keyring.backends.fail
class Memory(keyring.backend.KeyringBackend):
    priority = 1
    def get_password(self, service, username):
        return "planted" if (service, username) == ("digest", "mail") else None
    def set_password(self, service, username, password): ...
    def delete_password(self, service, username): ...
keyring.set_keyring(Memory() if {works} else keyring.backends.fail.Keyring())
from digest.settings.references import system_keyring
try:
    print(system_keyring("digest", "mail"), system_keyring("digest", "other"))
except LookupError as error:
    print(str(error)[:32])
"""
    done = subprocess.run(  # noqa: S603 - our own interpreter and arguments
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[1],
    )

    assert done.stdout.strip() == ("planted None" if works else "the keyring cannot be opened (No")


def test_an_empty_variable_counts_as_not_set() -> None:
    found = mistakes_in(VALID, {**ENVIRONMENT, "SMTP_PASSWORD": " "})

    assert found == (
        (
            "digest.toml, line 75, channels.smtp.password.env: the environment variable 'SMTP_PASSWORD' is "
            "empty; set it"
        ),
    )


def test_no_secret_stands_in_a_repr() -> None:
    assert "planted" not in repr(read(VALID))


@pytest.mark.parametrize(
    ("ledger", "found"),
    [
        ('{ env = "DB_PASSWORD" }', "found a secret of another kind"),
        ('"mysql://digest@db.example/ledger"', "found a URL of another kind"),
        ('"postgresql://digest@db.example"', "found a URL of another kind"),
        ('"postgresql://digest@db.example:x/ledger"', "found a URL of another kind"),
        ('"  "', "found '  '"),
        ("7", "found 7"),
    ],
)
def test_the_ledger_is_a_file_or_a_database(ledger: str, found: str) -> None:
    (mistake,) = mistakes_in(swapped('"ledger.sqlite"', ledger))

    assert found in mistake
    assert 'allowed: a file on a local disk such as "ledger.sqlite"' in mistake
    assert "planted" not in mistake


@pytest.mark.parametrize(
    "ledger",
    [
        '"postgresql://digest:planted-9@db.example/ledger"',
        '"postgresql://digest@db.example/ledger?password=planted-9"',
        '{ url = "postgresql://digest:planted-9@db.example/ledger" }',
    ],
)
def test_the_password_of_the_ledger_does_not_stand_in_its_url(ledger: str) -> None:
    (mistake,) = mistakes_in(swapped('"ledger.sqlite"', ledger))

    assert "a password stands in the URL" in mistake
    assert "planted" not in mistake


@pytest.mark.parametrize(
    ("ledger", "url", "password"),
    [
        ('"postgresql://digest@db.example/l"', "postgresql://digest@db.example/l", None),
        ('"postgres:///l?host=/run/pg"', "postgres:///l?host=/run/pg", None),
        (
            '{ url = "postgresql://digest@db.example:5433/l", password = { env = "DB_PASSWORD" } }',
            "postgresql://digest@db.example:5433/l",
            "planted-db",
        ),
        ('{ env = "LEDGER_URL" }', "postgresql://digest@db.example/l?sslmode=require", "pl@nted"),
    ],
)
def test_the_ledger_may_be_a_database(ledger: str, url: str, password: str | None) -> None:
    environment = {
        **ENVIRONMENT,
        "DB_PASSWORD": "planted-db",
        "LEDGER_URL": "postgresql://digest:pl%40nted@db.example/l?sslmode=require",
    }
    found = read(swapped('"ledger.sqlite"', ledger), environment).ledger

    assert isinstance(found, Postgres)
    assert found.url == url
    assert (found.password and found.password.reveal()) == password
    assert "planted" not in repr(found)
    assert str(found) in (
        "postgresql://db.example/l",
        "postgresql://db.example:5433/l",
        "postgresql:///l",
    )
    assert found.name.startswith("postgresql___")
    assert "/" not in found.name


@pytest.mark.parametrize(
    "line",
    [
        'password = "planted-1"',
        "pasword = 'planted-2'",
        "password = ['planted-3']",
        "password = { value = 'planted-4' }",
        "password = { env = 'planted-5', file = 'x' }",
        "token = 'planted-6'",
        "host = 'https://u:planted-7@mail.example'",
        'password = """\nplanted-8"""',
        "api_key = { inner = ['planted-9'] }",
    ],
)
def test_no_secret_written_into_the_file_stands_in_a_message(line: str) -> None:
    name = line.split(" ", 1)[0]
    old = next(
        (
            row
            for row in VALID[VALID.index("[channels") :].splitlines()
            if row.startswith(f"{name} ")
        ),
        'username = "digest"',
    )
    before, after = VALID.split("[channels.smtp]")
    text = f"{before}[channels.smtp]{after.replace(old, line)}"
    Path("digest.toml").write_text(text)

    try:
        shown = repr(load(Path("digest.toml"), environment=ENVIRONMENT))
    except ConfigError as error:
        shown = f"{error}{error.mistakes}{error!r}"

    assert "planted" not in shown


# --------------------------------------------------------------------------------------- recipients


@pytest.mark.failure("R5")
def test_an_address_that_is_there_twice_gets_one_mail_and_a_warning() -> None:
    settings = read(
        swapped('"ana@company.example"', '"Ana@Company.example", "ana@company.example"')
    )

    assert [recipient.address for recipient in settings.channels["smtp"].recipients] == [
        "Ana@Company.example",
        "bo@company.example",
    ]
    assert settings.warnings == (
        (
            "digest.toml, line 77, channels.smtp.recipients[2]: 'ana@company.example' is listed twice; "
            "it gets one mail"
        ),
    )


@pytest.mark.failure("R5")
@pytest.mark.parametrize(
    ("address", "meant"),
    [("ana@gmial.com", "gmail.com"), ("ana@bluewinn.ch", "bluewin.ch"), ("ana@gmx.hc", "gmx.ch")],
)
def test_a_slip_in_a_common_domain_is_a_warning(address: str, meant: str) -> None:
    settings = read(swapped("ana@company.example", address))

    assert settings.warnings == (
        f"digest.toml, line 77, channels.smtp.recipients[1]: found '{address}'; did you mean '{meant}'?",
    )


def test_a_domain_that_only_resembles_a_common_one_is_no_warning() -> None:
    assert read(swapped("ana@company.example", "ana@gmail.example")).warnings == ()


# -------------------------------------------------------------------------------------- fiscal years


def periods(count: int) -> str:
    return "year,period,start\n" + "\n".join(
        f"{2026 + n // 12},{n % 12 + 1},{date(2026, 1, 1) + timedelta(days=28 * n)}"
        for n in range(count)
    )


def test_a_fiscal_calendar_is_read_from_its_csv() -> None:
    Path("fiscal.csv").write_text(periods(13))

    found = read(swapped("ledger =", 'fiscal_periods = "fiscal.csv"\nledger =')).fiscal_periods

    assert len(found) == 13
    assert (found[0].year, found[0].period, found[0].start) == (2026, 1, date(2026, 1, 1))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (periods(12), "fiscal.csv has 12 periods; allowed: at least 13, a year and the next start"),
        (
            periods(13).replace("2026,2,", "2026,x,"),
            "fiscal.csv, line 3: found '2026, x, 2026-01-29'",
        ),
        (
            periods(13).replace("2026-01-29", "2025-01-29"),
            "line 3: the period starts on 2025-01-29",
        ),
        ("", "has 0 periods"),
    ],
)
def test_a_broken_fiscal_calendar_names_its_line(content: str, sentence: str) -> None:
    Path("fiscal.csv").write_text(content)

    (found,) = mistakes_in(swapped("ledger =", 'fiscal_periods = "fiscal.csv"\nledger ='))

    assert sentence in found


# ---------------------------------------------------------------------------------------- the fleet


def test_a_folder_is_a_fleet_and_a_broken_file_stops_only_itself(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(VALID)
    (tmp_path / "b.toml").write_text(swapped('"leads-dach"', '"leads-b"'))
    (tmp_path / "c.toml").write_text(swapped('"leads-dach"', '"Leads C"'))
    (tmp_path / "notes.txt").write_text("not a digest")

    loaded, errors = load_many([tmp_path, tmp_path / "a.toml"], environment=ENVIRONMENT)

    assert [settings.id for settings in loaded] == ["leads-dach", "leads-b"]
    assert [error.mistakes for error in errors] == [
        (f"{tmp_path}/c.toml, line 1, id: found 'Leads C'; allowed: up to 64 of a-z, 0-9, - and _",)
    ]


def test_two_files_with_one_id_are_both_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.toml").write_text(VALID)

    loaded, errors = load_many([tmp_path], environment=ENVIRONMENT)

    assert loaded == []
    assert [str(error) for error in errors] == [
        f"id: 'leads-dach' is used by {tmp_path}/a.toml, {tmp_path}/b.toml; give each file its own id"
    ]


def test_an_empty_folder_and_an_absent_file_are_errors(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    loaded, errors = load_many([tmp_path / "empty", tmp_path / "absent.toml"], environment={})

    assert loaded == []
    assert [str(error) for error in errors] == [
        f"config folder {tmp_path}/empty holds no .toml file",
        f"config file {tmp_path}/absent.toml does not exist; `digest init` writes one",
    ]


def test_a_misspelt_file_is_answered_with_the_one_beside_it(tmp_path: Path) -> None:
    (tmp_path / "digest.toml").write_text(VALID)

    with pytest.raises(ConfigError, match=r"does not exist; did you mean 'digest\.toml'\?$"):
        load(tmp_path / "digets.toml", environment={})


def test_leftovers_of_editors_in_a_folder_are_no_digests(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(VALID)
    (tmp_path / "._a.toml").write_bytes(b"\x00\x05")

    loaded, errors = load_many([tmp_path], environment=ENVIRONMENT)

    assert ([settings.id for settings in loaded], errors) == (["leads-dach"], [])


@pytest.mark.parametrize(
    ("said", "placed"),
    [
        (
            "sql: table: the database has no table 'leads'",
            "digest.toml, line 66, connector.table: the database has no table 'leads'",
        ),
        ("dates[1]: no such", "digest.toml, line 67, connector.dates[1]: no such"),
        ("sql: the server is full; wait", "sql: the server is full; wait"),
        ("--date: 2026-06-15 has not come yet", "--date: 2026-06-15 has not come yet"),
    ],
)
def test_what_only_the_source_knows_to_be_wrong_gets_its_line(said: str, placed: str) -> None:
    assert read(VALID).located(said) == placed


# ----------------------------------------------------------------------------------------- line numbers


def test_every_way_to_write_a_key_has_its_line() -> None:
    text = """# comment = 1
a = 1
"b c".d = "x # no comment"
[t.'u']
e = [
  1,  # one
  [2,
   3],
]
f = { g = 1, h.i = { j = 2 } }
s = '''
k = 1
'''
m = \"\"\"
\\"\"\"n = 1 \"\"\"
[[x]]
y = 1
[[x]]
z.w = 1
[x.v]
q = 2026-01-01 07:30:00
[[x.r]]
p = true
"""
    tomllib.loads(text)
    lines = key_lines(text)

    assert {
        ("a",): 2,
        ("b c", "d"): 3,
        ("t",): 4,
        ("t", "u", "e", 0): 6,
        ("t", "u", "e", 1, 1): 8,
        ("t", "u", "f", "h", "i", "j"): 10,
        ("t", "u", "s"): 11,
        ("t", "u", "m"): 14,
        ("x", 0, "y"): 17,
        ("x", 1): 18,
        ("x", 1, "z", "w"): 19,
        ("x", 1, "v", "q"): 21,
        ("x", 1, "r", 0, "p"): 23,
    }.items() <= lines.items()
    assert ("t", "u", "k") not in lines


_KEYS = st.text("ab-_1", min_size=1, max_size=3) | st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=4
).map(lambda text: "'" + text.replace("'", "") + "'")
_LEAVES = st.sampled_from(
    ["1", "true", "1.5", "2026-01-01", "2026-01-01 07:30:00", "07:30:00", '"a # ] } \\" b"', "'c \"'",
     '"""x\n[k]\n"y\n"""', "'''x\n''y = 1\n'''", "[]", "{}"]
)  # fmt: skip
_VALUES = st.recursive(
    _LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: "[\n " + ", # c ]\n ".join(items) + "\n]")
        | st.lists(
            st.tuples(_KEYS, inner), max_size=3, unique_by=lambda pair: pair[0].strip("'")
        ).map(lambda pairs: "{ " + ", ".join(f"{key} = {value}" for key, value in pairs) + " }")
    ),
    max_leaves=6,
)
_DOCUMENTS = st.lists(
    st.tuples(_KEYS, _KEYS, _VALUES).map(lambda parts: "{} . {} = {}".format(*parts))
    | st.tuples(_KEYS, _VALUES).map(lambda parts: "{} = {} # c".format(*parts))
    | st.tuples(_KEYS, _KEYS).map(lambda parts: "[ {} . {} ]".format(*parts))
    | _KEYS.map(lambda key: f"[[{key}]]"),
    max_size=8,
).map("\n\n".join)


@given(_DOCUMENTS)
@hypothesis_settings(max_examples=300, deadline=None)
def test_whatever_tomllib_reads_has_a_line_for_every_key(text: str) -> None:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    lines = key_lines(text)
    rows = text.split("\n")

    for path in paths(document):
        assert path in lines
        if path and isinstance(path[-1], str) and path[-1]:
            assert path[-1] in rows[lines[path] - 1]


def paths(value: object, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    yield at
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from paths(inner, (*at, key))
    if isinstance(value, list):
        for number, inner in enumerate(value):
            yield from paths(inner, (*at, number))


# ----------------------------------------------------------------------------------------- mutations

MUTATIONS = effort(300, 1_000)
_ODD = ['""', "''", "-1", "0", "1e9", "nan", "-inf", "true", "[]", "{}", "[[]]", '"x"', '"\\u0000"', '"%"',
    "2026-02-30", "2026-02-28", "9" * 30, '"../../.."', '"=1+1"', '"ß"', "{ env = 1 }", '{ file = "/" }',
    '{ file = "/dev/zero" }', '{ env = "HOME" }', '{ keyring = "a/b" }', "07:30:00", "1979-05-27T07:32:00Z",
    '"' + "x" * 5000 + '"']  # fmt: skip


def mutated(raw: bytes, dice: random.Random) -> bytes:
    """A file after one to three accidents: bytes, lines, values or keys."""
    for _ in range(dice.choice((1, 1, 2, 3))):
        raw = dice.choice((_bytes, _bytes, _lines, _value, _value, _key, _cut))(raw, dice)
    return raw


def _bytes(raw: bytes, dice: random.Random) -> bytes:
    at = dice.randrange(len(raw) + 1)
    return (
        raw[:at] + bytes(dice.randrange(256) for _ in range(dice.choice((0, 1, 2)))) + raw[at + 1 :]
    )


def _lines(raw: bytes, dice: random.Random) -> bytes:
    lines = raw.splitlines(keepends=True) or [b""]
    at, other = dice.randrange(len(lines)), dice.randrange(len(lines))
    if dice.random() < 0.3:
        lines.insert(other, lines[at])
    elif dice.random() < 0.5:
        lines[at], lines[other] = lines[other], lines[at]
    else:
        del lines[at]
    return b"".join(lines)


def _value(raw: bytes, dice: random.Random) -> bytes:
    lines = raw.split(b"\n")
    at = dice.choice([n for n, line in enumerate(lines) if b" = " in line] or [0])
    lines[at] = lines[at].split(b" = ")[0] + b" = " + dice.choice(_ODD).encode()
    return b"\n".join(lines)


def _key(raw: bytes, dice: random.Random) -> bytes:
    lines = raw.split(b"\n")
    at = dice.choice([n for n, line in enumerate(lines) if b" = " in line] or [0])
    key, _, rest = lines[at].partition(b" = ")
    new = dice.choice(
        (key + b"s", key[:-1], key.upper(), b"type", b"folder", b"name", key + b".x", b'""')
    )
    lines[at] = new + b" = " + rest
    return b"\n".join(lines)


def _cut(raw: bytes, dice: random.Random) -> bytes:
    return raw[: dice.randrange(len(raw) + 1)] if dice.random() < 0.3 else raw


@pytest.mark.no_cover
def test_generated_mutations_end_in_settings_or_in_sentences() -> None:
    outcomes = survive(range(MUTATIONS))
    assert outcomes["refused"] > outcomes["loaded"] > MUTATIONS // 20


@pytest.mark.long
@pytest.mark.fuzz
@pytest.mark.parametrize("part", range(30))
def test_thirty_thousand_mutations_end_in_settings_or_in_sentences(part: int) -> None:
    survive(range(10_000 + part * 1_000, 10_000 + (part + 1) * 1_000))


def survive(seeds: range) -> dict[str, int]:
    """Load every mutation; return how many were settings and how many were refused."""
    path = Path("digest.toml")
    environment = {**ENVIRONMENT, **EXAMPLE_ENVIRONMENT, "HOME": "planted-home"}
    every_setting = with_tables(EXAMPLE)
    files_for(Path.cwd())
    path.write_text(every_setting)
    load(path, environment=environment)
    slowest, outcomes = 0.0, {"loaded": 0, "refused": 0}
    for seed in seeds:
        base = every_setting if seed % 2 else VALID
        path.write_bytes(mutated(base.encode(), random.Random(seed)))  # noqa: S311 - the same accidents every time
        start = time.process_time()
        try:
            shown = repr(load(path, environment=environment, keyring=lambda *_: "planted-key"))
            outcomes["loaded"] += 1
        except ConfigError as error:
            shown = f"{error}{error!r}"
            outcomes["refused"] += 1
        slowest = max(slowest, time.process_time() - start)
        assert "planted" not in shown, seed
        assert "\x00" not in shown, seed

    assert slowest < 2
    return outcomes


def test_loading_imports_no_vendor_of_an_adapter() -> None:
    program = """
import sys
import digest.settings
heavy = {"pandas", "sqlalchemy", "openpyxl", "matplotlib", "python_calamine", "smtplib", "xlsxwriter",
         "holidays", "mjml", "keyring", "sqlglot"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run(  # noqa: S603 - our own interpreter and arguments
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[1],
    )

    assert done.stdout.strip() == "[]"


def test_a_pipe_as_a_config_file_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "digest.toml"
    os.mkfifo(pipe)

    with pytest.raises(ConfigError, match="is a pipe; write the settings into a file"):
        load(pipe, environment={})

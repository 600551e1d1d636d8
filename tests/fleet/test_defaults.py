"""What a folder's digests inherit, and whose line a mistake names."""

from __future__ import annotations

from pathlib import Path

import pytest

from digest.errors import ConfigError
from digest.settings import load, load_many
from digest.settings.watch import Watch

DEFAULTS = """\
timezone = "Europe/Zurich"
language = "fr"
[calendar]
country = "CH"
subdivision = "ZH"
[sla]
currency = "CHF"
[[sla.segments]]
segment = "DACH"
currency = "CHF"
valid_from = "2026-01"
goal = 140
[connector]
type = "sql"
url = "sqlite:///crm.sqlite"
table = "leads"
dates = ["day"]
segment = "region"
[channels.smtp]
host = "relay.example"
sender = "Leads <digest@sender.example>"
recipients = ["all@company.example"]
[schedule]
send_at = 07:30:00
"""
CLIENT = 'id = "{}"\n[channels.smtp]\nrecipients = ["{}@client.example"]\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "defaults.toml").write_text(DEFAULTS)
    for name in ("anna", "bert"):
        (tmp_path / f"{name}.toml").write_text(CLIENT.format(name, name))
    return tmp_path


def mistakes_of(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path, environment={})
    return str(caught.value)


def test_a_digest_stands_over_the_defaults_of_its_folder(folder: Path) -> None:
    (folder / "bert.toml").write_text(
        CLIENT.format("bert", "bert").replace("\n", '\nlanguage = "it"\n', 1)
    )
    loaded, errors = load_many([folder], environment={})

    assert errors == []
    assert [one.id for one in loaded] == ["anna", "bert"]
    assert [one.language for one in loaded] == ["fr", "it"]
    assert [
        [recipient.address for recipient in one.channels["smtp"].recipients] for one in loaded
    ] == [["anna@client.example"], ["bert@client.example"]]


def test_a_mistake_names_the_file_and_line_where_it_stands(folder: Path) -> None:
    (folder / "defaults.toml").write_text(DEFAULTS.replace('"fr"', '"xx"'))
    (folder / "anna.toml").write_text(CLIENT.format("anna", "anna") + "recipient = 1\n")

    said = mistakes_of(folder / "anna.toml").splitlines()

    assert said[0].startswith(f"{folder}/anna.toml, line 4, channels.smtp.recipient: ")
    assert said[1].startswith(f"{folder}/defaults.toml, line 2, language: ")


def test_what_a_source_says_of_an_inherited_key_names_the_defaults(folder: Path) -> None:
    settings = load(folder / "anna.toml", environment={})

    said = settings.located("sql: table: the database has no table 'leads'")

    assert said == "defaults.toml, line 16, connector.table: the database has no table 'leads'"


def test_of_another_type_nothing_is_inherited(folder: Path) -> None:
    (folder / "anna.toml").write_text(
        CLIENT.format("anna", "anna") + '[connector]\ntype = "spreadsheet"\n'
    )

    said = mistakes_of(folder / "anna.toml")

    assert "url" not in said
    assert "defaults.toml" not in said
    assert said.startswith(f"{folder}/anna.toml, line 4, connector")


def test_another_way_to_a_secret_replaces_the_inherited_one(folder: Path) -> None:
    given = DEFAULTS.replace(
        'host = "relay.example"',
        'host = "relay.example"\nusername = "digest"\npassword = { file = "missing" }',
    )
    (folder / "defaults.toml").write_text(given)
    (folder / "anna.toml").write_text(
        CLIENT.format("anna", "anna") + 'password = { env = "ANNA" }\n'
    )

    assert load(folder / "anna.toml", environment={"ANNA": "planted"}).id == "anna"
    assert "defaults.toml, line 22, channels.smtp.password.file" in mistakes_of(
        folder / "bert.toml"
    )


def test_defaults_with_an_id_are_refused_and_said_once(folder: Path) -> None:
    (folder / "defaults.toml").write_text(f'id = "all"\n{DEFAULTS}')

    loaded, errors = load_many([folder], environment={})

    assert loaded == []
    assert len(errors) == 1
    assert "defaults.toml, line 1, id: each digest has an id of its own" in str(errors[0])


def test_one_broken_digest_stops_no_other(folder: Path) -> None:
    (folder / "anna.toml").write_text("id = anna")

    loaded, errors = load_many([folder], environment={})

    assert [one.id for one in loaded] == ["bert"]
    assert "anna.toml, line 1" in str(errors[0])


def test_changed_defaults_are_seen_without_a_new_start(folder: Path) -> None:
    watch = Watch([folder], {})
    assert {one.language for one in watch.look().digests} == {"fr"}
    assert watch.look().fresh == frozenset()

    (folder / "defaults.toml").write_text(DEFAULTS.replace('"fr"', '"it"  # Ticino'))

    assert {one.language for one in watch.look().digests} == {"it"}

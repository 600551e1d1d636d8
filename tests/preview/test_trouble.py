"""A mistake above a page: its place, five lines, what is allowed, the nearest name; never a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from digest.errors import ConfigError, ConnectorError, Reason
from digest.preview.trouble import Trouble, troubles_of, without_secrets

CONFIG = """id = "demo"
title = "Example"

[connector]
token = "hush-hush"
url = "https://me:hush-hush@crm.example"
language = "eng"
"""


def one(sentence: str, *files: Path) -> Trouble:
    (found,) = troubles_of([ConfigError(sentence)], files)
    return found


def test_a_setting_is_shown_with_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "digest.toml"
    path.write_text(CONFIG)
    found = one(
        f"{path}, line 7, connector.language: found 'eng'; did you mean 'en'? allowed: 'en' or 'de'",
        path,
    )

    assert (found.kind, found.place, found.key) == ("settings", f"{path}:7", "connector.language")
    assert (found.reason, found.nearest, found.allowed) == ("found 'eng'", "en", "'en' or 'de'")
    assert [number for number, _, _ in found.lines] == [5, 6, 7, 8]
    assert [text for _, text, here in found.lines if here] == ['language = "eng"']
    assert "hush" not in str(found.lines)


def test_a_column_is_part_of_the_place(tmp_path: Path) -> None:
    found = one(
        f"{tmp_path}/digest.toml, line 3, column 9: this is not TOML: invalid value; quotes"
    )

    assert found.place == f"{tmp_path}/digest.toml:3:9"
    assert found.reason == "this is not TOML: invalid value; quotes"


def test_a_cell_of_a_worksheet_is_the_place() -> None:
    found = one(
        "digest.toml, line 9, sla.worksheet: sla.xlsx, SLA!D7: found 'x'; allowed: a number"
    )

    assert (found.kind, found.place) == ("worksheet", "sla.xlsx, SLA!D7")
    assert (found.reason, found.allowed, found.lines) == ("found 'x'", "a number", ())


def test_a_template_is_told_as_one(tmp_path: Path) -> None:
    path = tmp_path / "digest.mjml"
    path.write_text("\n".join("abcdefg"))
    found = one(f"{path}, line 4: 'x' is undefined; docs/templates.md lists the values", path)

    assert found.kind == "template"
    assert [text for _, text, _ in found.lines] == list("bcdef")


def test_a_source_that_fails_names_no_file() -> None:
    error = ConnectorError("sql", Reason.TRANSIENT, "no answer", remedy="try later")
    (found,) = troubles_of([error], ())

    assert (found.kind, found.place, found.reason) == ("source", "", "sql: no answer; try later")


def test_a_file_that_is_not_watched_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "passwd"
    path.write_text("secret")

    assert one(f"{path}, line 1: found something").lines == ()


def test_each_mistake_is_told_once() -> None:
    errors = [
        ConfigError("a.toml, line 1: x", "b.toml, line 2: y"),
        ConfigError("a.toml, line 1: x"),
    ]

    assert [found.place for found in troubles_of(errors, ())] == ["a.toml:1", "b.toml:2"]


@pytest.mark.parametrize(
    "text",
    [
        'token = "hush-hush"',
        "password = 'hush-hush'",
        'token = "hush-hush',
        "api_key = hush-hush",
        'smtp = { user = "me", password = "hush-hush" }',
        'url = "https://me:hush-hush@crm.example"',
        'tokens = [\n  "hush-hush",\n  "hush-hush",\n]',
        'private_key = """\nhush-hush\nhush-hush\n"""',
        'channels.slack.webhook = "hush-hush"',
    ],
)
def test_a_secret_is_never_shown_however_broken_the_file(text: str) -> None:
    shown = without_secrets(f'title = "Example"\n{text}\nid = "demo"')

    assert "hush" not in shown
    assert shown.startswith('title = "Example"\n')
    assert shown.endswith('\nid = "demo"')


def test_a_reference_to_a_secret_is_shown() -> None:
    line = 'token = { env = "CRM_TOKEN" }'

    assert without_secrets(line) == line

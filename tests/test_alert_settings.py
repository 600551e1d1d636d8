"""[alerts] and [heartbeat]: who is told, how, and that no message shows the secrets in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from digest.channels.smtp import Smtp
from digest.errors import ConfigError
from digest.settings import Settings, load
from tests.test_compose import CONFIG

SMTP = """
[channels.smtp]
host = "mail.company.example"
sender = "Leads <digest@company.example>"
list_id = "leads.company.example"
recipients = ["team@company.example"]
"""
HOOK = "https://hooks.slack.com/services/T0/B0/planted-hook"
PING = "https://ping.example/planted-uuid?create=1"
ENVIRONMENT = {"HOOK": HOOK, "PING": PING, "PASSWORD": "planted-password"}


def read(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "digest.toml"
    path.write_text(f"{CONFIG}{text}")
    return load(path, environment=ENVIRONMENT)


def refused(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    return str(caught.value)


def test_without_alerts_nobody_is_told(tmp_path: Path) -> None:
    settings = read(tmp_path, "")

    assert (settings.alerts.mail, settings.alerts.slack, settings.heartbeat) == (None, None, None)


@pytest.mark.parametrize("email", ['"ops@company.example"', '["ops@company.example"]'])
def test_operators_are_mailed_by_the_digests_own_relay_unless_another_is_named(
    tmp_path: Path, email: str
) -> None:
    settings = read(tmp_path, f"{SMTP}[alerts]\nemail = {email}\n")

    mail = settings.alerts.mail
    assert isinstance(mail, Smtp)
    assert (mail.host, [one.address for one in mail.recipients]) == (
        "mail.company.example",
        ["ops@company.example"],
    )
    assert [one.address for one in settings.channels["smtp"].recipients] == ["team@company.example"]


def test_alerts_may_have_a_relay_and_a_slack_channel_of_their_own(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        f"""{SMTP}
[alerts]
email = ["ops@company.example", "oncall@company.example"]
[alerts.smtp]
host = "mail2.company.example"
sender = "alerts@company.example"
username = "alerts"
password = {{ env = "PASSWORD" }}
[alerts.slack]
webhook = {{ env = "HOOK" }}
""",
    )

    mail, slack = settings.alerts.mail, settings.alerts.slack
    assert isinstance(mail, Smtp)
    assert (mail.host, len(mail.recipients)) == ("mail2.company.example", 2)
    assert slack is not None
    assert "planted" not in repr(settings)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('[alerts]\nemail = "ops@company.example"', "has no mail channel to send an alert by"),
        (f'{SMTP}[alerts]\nemail = "ops"', "alerts.email: 'ops' is not a mail address"),
        (f"{SMTP}[alerts]\nemail = 3", "alerts.email: found 3"),
        (
            f'{SMTP}[alerts]\nmail = "ops@company.example"',
            "no setting 'mail'; did you mean 'email'?",
        ),
        (
            f'{SMTP}[alerts.smtp]\nhost = "a.example"\nsender = "a@a.example"',
            "alerts.smtp: nobody is told by mail",
        ),
        (
            (
                '[alerts]\nemail = "ops@company.example"\n[alerts.smtp]\nhost = "a.example"\n'
                'sender = "a@a.example"\nrecipients = ["b@a.example"]'
            ),
            "alerts.smtp.recipients: who is told stands in alerts.email",
        ),
        ('[alerts.slack]\nchannel = "C0123456789"', "give a token with a channel, or a webhook"),
        ('[alerts.slack]\nwebhook = "https://hooks.slack.com/planted"', "secret itself stands"),
    ],
)
def test_a_mistake_gets_its_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    said = refused(tmp_path, text)

    assert sentence in said
    assert "planted" not in said


def test_an_operator_who_is_a_reader_too_is_a_warning(tmp_path: Path) -> None:
    settings = read(tmp_path, f'{SMTP}[alerts]\nemail = "Team@company.example"\n')

    assert "also gets the digest" in settings.warnings[0]


@pytest.mark.parametrize(
    "url", [f'"{PING}"', '{ env = "PING" }', '"http://127.0.0.1:8000/planted"']
)
def test_the_address_of_the_heartbeat_is_a_secret_however_it_is_written(
    tmp_path: Path, url: str
) -> None:
    settings = read(tmp_path, f"[heartbeat]\nurl = {url}\n")

    assert settings.heartbeat is not None
    assert "planted" in settings.heartbeat.reveal()
    assert "planted" not in repr(settings)


@pytest.mark.parametrize(
    "url",
    [
        '"http://ping.example/planted"',
        '"ping.example/planted"',
        '"https://user:planted@ping.example/x"',
        '"https://ping.example/planted#x"',
        '"https://ping.example/planted x\\u0007"',
        '"ftp://127.0.0.1/planted"',
        '"https://[planted"',
        "3",
        '{ env = "PLANTED_NAME" }',
    ],
)
def test_an_address_that_cannot_be_pinged_is_refused_without_being_shown(
    tmp_path: Path, url: str
) -> None:
    said = refused(tmp_path, f"[heartbeat]\nurl = {url}\n")

    assert "heartbeat.url" in said
    assert "planted" not in said

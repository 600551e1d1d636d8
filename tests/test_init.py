"""`digest init`: what it asks, what it never asks, and that what it writes can be read back."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from digest.channels.smtp import Smtp
from digest.connectors import hubspot
from digest.connectors.hubspot.credentials import OAuth
from digest.connectors.salesforce import Deals, Salesforce
from digest.connectors.spreadsheet import Spreadsheet
from digest.connectors.sql import Sql
from digest.errors import ConfigError
from digest.init import Answers, LeadList, Relay, SecretPlace, ask_and_write, asked, files
from digest.model import Secret
from digest.settings import Settings, load
from tests.effort import effort

TODAY = date(2026, 11, 23)
ANSWERS: Mapping[str, str] = {
    "Name of the digest": "Leads Zürich",
    "Language": "de-CH",
    "Country": "ch",
    "Canton": "ZH",
    "Your segments are": "region",
    "Names of the regions": 'DACH, Benelux, O\'Brien & "Söhne"',
    "Currency": "chf",
    "Leads are in": "sql",
    "Database URL": "postgresql://digest@crm.example/sales",
    "Where its password": "DB_PASSWORD",
    "Mail relay": "mail.company.example",
    "Sender": "Leads digest <digest@company.example>",
    "User name": "digest",
    "Where the relay's password": "file:smtp.txt",
    "Who gets it": "ana@company.example, bo@company.example",
    "Slack channel": "C0123456789",
    "Where the app's bot token": "SLACK_TOKEN",
    "Who is told": "ops@company.example",
}
ENVIRONMENT = {"DB_PASSWORD": "planted", "SLACK_TOKEN": "xoxb-planted"}


class Person:
    """Answers by the beginning of the question; presses Enter at the others."""

    def __init__(self, answers: Mapping[str, str | list[str]]) -> None:
        self.answers = {key: iter([a] if isinstance(a, str) else a) for key, a in answers.items()}
        self.asked: list[str] = []

    def __call__(self, text: str, *, default: str) -> str:
        self.asked.append(text)
        question = text.rpartition("\n")[2]
        key = next((key for key in self.answers if question.startswith(key)), None)
        return default if key is None else next(self.answers[key])


def test_what_it_writes_loads_without_a_mistake(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "digest"

    written = ask_and_write(folder, ask=Person(ANSWERS), today=TODAY)

    assert written == (folder / "digest.toml", folder / "sla.xlsx")
    (folder / "smtp.txt").write_text("planted\n")
    (folder / "smtp.txt").chmod(0o600)
    settings = load(folder / "digest.toml", environment=ENVIRONMENT)
    assert settings.warnings == ()
    assert settings.id == "leads-zuerich"
    assert settings.title == "Leads Zürich"
    assert settings.calendar.label == "CH-ZH"
    assert settings.plan.segments == ("DACH", "Benelux", 'O\'Brien & "Söhne"')
    assert settings.plan.currency == "CHF"
    assert isinstance(settings.connector, Sql)
    assert settings.connector.password == Secret("planted")
    smtp = settings.channels["smtp"]
    assert isinstance(smtp, Smtp)
    assert (smtp.security, smtp.username) == ("starttls", "digest")
    assert [recipient.address for recipient in smtp.recipients] == [
        "ana@company.example",
        "bo@company.example",
    ]
    assert settings.alerts.mail is not None
    assert [one.address for one in settings.alerts.mail.recipients] == ["ops@company.example"]
    assert settings.channels["slack"] == replace(
        settings.channels["slack"],
        token=Secret("xoxb-planted"),
        channel="C0123456789",  # type: ignore[type-var] # a dataclass
    )


def test_a_list_of_leads_and_a_relay_on_this_machine_need_no_secret(tmp_path: Path) -> None:
    person = Person(
        {
            "Leads are in": "spreadsheet",
            "Country": "NL",
            "Sender": "digest@company.example",
            "Who gets it": "ana@company.example",
        }
    )

    ask_and_write(tmp_path, ask=person, today=TODAY)

    settings = load(tmp_path / "digest.toml", environment={})
    assert list(settings.channels) == ["smtp"]
    assert settings.alerts.mail is None
    assert isinstance(settings.connector, Spreadsheet)
    assert settings.timezone == "Europe/Amsterdam"
    assert not any("password" in question for question in person.asked if "URL" not in question)


PORTAL: Mapping[str, str] = {
    **ANSWERS,
    "Leads are in": "hubspot",
    "Where the key": "file:hubspot.txt",
    "Lifecycle stages": "MQL, Übergeben, customer",
    "Property of the deals": "deal_region",
}
APP: Mapping[str, str] = {
    "HubSpot is entered": "app",
    "Client id": "app-1",
    "Where the app's client secret": "CLIENT_SECRET",
    "Where the refresh token": "keyring:hubspot/acme",
}


def portal_of(folder: Path, answers: Mapping[str, str]) -> tuple[hubspot.Hubspot, Settings]:
    ask_and_write(folder, ask=Person(answers), today=TODAY)
    for name in ("smtp.txt", "hubspot.txt"):
        (folder / name).write_text("planted-hubspot\n")
        (folder / name).chmod(0o600)
    environment = {**ENVIRONMENT, "CLIENT_SECRET": "planted-client"}
    settings = load(
        folder / "digest.toml", environment=environment, keyring=lambda *_: "planted-refresh"
    )
    assert settings.warnings == ()
    assert isinstance(settings.connector, hubspot.Hubspot)
    return settings.connector, settings


def test_a_portal_of_hubspot_is_asked_about_and_what_is_written_loads(tmp_path: Path) -> None:
    connector, settings = portal_of(tmp_path, PORTAL)

    assert connector.credential == Secret("planted-hubspot")
    assert (connector.object, connector.segment) == ("contacts", "region")
    assert connector.stages == ("MQL", "Übergeben", "customer")
    assert connector.customer_stage == "customer"
    assert connector.deals == hubspot.Deals("deal_region")
    assert settings.follow_up is None
    written = (tmp_path / "digest.toml").read_text()
    assert "crm.objects.contacts.read, crm.objects.deals.read." in written
    assert "planted" not in written


def test_an_app_of_many_portals_follow_up_and_leads_that_have_no_stage(tmp_path: Path) -> None:
    more = {"What is counted": "leads", "Measure closed": "no", "Measure the follow-up": "yes"}
    connector, settings = portal_of(tmp_path, {**PORTAL, **APP, **more})

    assert connector.credential == OAuth(
        "app-1", Secret("planted-client"), Secret("planted-refresh")
    )
    assert (connector.object, connector.count_by) == ("leads", "create_date")
    assert connector.deals is None
    assert settings.follow_up is not None
    assert settings.follow_up[1] is connector


SALESFORCE = {
    **ANSWERS,
    "Leads are in": "salesforce",
    "My Domain": "https://Company.lightning.force.com/",
    "The app's consumer key": "3MVG9",
    "Where the app's consumer": "env:ORG_SECRET",
    "Its fields with the dates": "MQL_Date__c, SQL_Date__c",
    "Its field with the segment": "Region__c",
}


def org_of(folder: Path, answers: Mapping[str, str | list[str]]) -> tuple[Settings, Salesforce]:
    ask_and_write(folder, ask=Person(answers), today=TODAY)
    for name in ("smtp.txt", "org.pem"):
        (folder / name).write_text("planted")
        (folder / name).chmod(0o600)
    settings = load(
        folder / "digest.toml", environment={**ENVIRONMENT, "ORG_SECRET": "planted-secret"}
    )
    assert settings.warnings == ()
    assert isinstance(settings.connector, Salesforce)
    return settings, settings.connector


def test_leads_in_salesforce_need_a_domain_an_app_and_names_of_fields(tmp_path: Path) -> None:
    settings, org = org_of(tmp_path, SALESFORCE)

    assert (org.host_stem, org.login, org.consumer_key) == (
        "company.my",
        "client credentials",
        "3MVG9",
    )
    assert org.consumer_secret == Secret("planted-secret")
    assert (org.object, org.dates, org.segment) == (
        "Lead",
        ("MQL_Date__c", "SQL_Date__c"),
        "Region__c",
    )
    assert (settings.deals, settings.follow_up) == (None, None)


def test_a_certificate_and_deals_are_set_up_by_choice(tmp_path: Path) -> None:
    answers = {
        **SALESFORCE,
        "Login": "JWT",
        "The app's user": "digest@company.example",
        "Where the app's private": "file:org.pem",
        "Object": "Contact",
        "Field of Opportunity": "Region__c",
    }
    settings, org = org_of(tmp_path, answers)

    assert (org.login, org.username) == ("jwt", "digest@company.example")
    assert org.private_key == Secret("planted")
    assert org.deals == Deals("Region__c", "CHF", customers="won deals")
    assert settings.deals is not None


def test_the_rest_of_the_sales_half_waits_in_comments(tmp_path: Path) -> None:
    ask_and_write(tmp_path, ask=Person(SALESFORCE), today=TODAY)
    config = tmp_path / "digest.toml"
    named = re.compile("# (?=(.connector.(deals|follow_up_columns).|.follow_up.)$|[a-z_]+ = )")
    lines = config.read_text().splitlines()
    first = next(n for n, line in enumerate(lines) if line.startswith("# Close rates"))
    last = next(n for n, line in enumerate(lines) if line == "[channels.smtp]")
    lines[first:last] = [named.sub("", line) for line in lines[first:last]]
    config.write_text("\n".join(lines))
    (tmp_path / "smtp.txt").write_text("planted")
    (tmp_path / "smtp.txt").chmod(0o600)

    settings = load(config, environment={**ENVIRONMENT, "ORG_SECRET": "planted"})

    assert settings.deals is not None
    assert settings.follow_up is not None


@pytest.mark.parametrize(
    ("question", "wrong", "right", "reason"),
    [
        ("My Domain", "login", "company.my", "is the login page of all orgs"),
        ("My Domain", "crm.example", "company.my", "allowed: the My Domain of the org"),
        ("Login", "soap", "jwt", "allowed: client credentials, jwt"),
        ("The app's consumer key", "", "3MVG9", "An answer is needed"),
        ("Object", "My leads", "Lead", "No API name 'My leads'"),
        ("Its fields with the dates", "CreatedDate,", "CreatedDate", "No API name ''"),
        ("Field of Opportunity", "Region c", "", "No API name 'Region c'"),
        ("Where the app's consumer", "planted hunter!", "ORG_SECRET", "no name of a variable"),
    ],
)
def test_an_answer_about_the_org_that_is_of_no_use_is_asked_again(
    question: str, wrong: str, right: str, reason: str
) -> None:
    jwt = {"The app's user": "digest@company.example"}
    person = Person({**SALESFORCE, **jwt, question: [wrong, right]})

    asked(person)

    again = [text for text in person.asked if text.rpartition("\n")[2].startswith(question)]
    assert len(again) == 2
    assert reason in again[1]
    assert "hunter" not in again[1]


@pytest.mark.parametrize("name", ["digest.toml", "sla.xlsx"])
def test_it_overwrites_nothing_and_asks_nothing_then(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    person = Person(ANSWERS)

    with pytest.raises(ConfigError, match=f"{name} already, which stays as it is"):
        ask_and_write(tmp_path, ask=person, today=TODAY)

    assert person.asked == []
    assert (tmp_path / name).read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("question", "wrong", "right", "reason"),
    [
        ("Language", "german", "de", "allowed: en, de, de-CH, fr, it"),
        ("Country", "Schweiz", "CH", "country: found 'SCHWEIZ'"),
        ("Canton", "", "ZH", "subdivision: missing for CH"),
        ("Slack channel", "#marketing", "C0123456789", "channel: found '#marketing'"),
        ("Canton", "Zuerich", "ZH", "subdivision: found 'Zuerich' for CH"),
        ("Time zone", "Zurich", "Europe/Zurich", "did you mean 'Europe/Zurich'"),
        ("Names of the regions", " , ", "DACH", "At least one name is needed"),
        ("Names of the regions", "DACH, dach", "DACH", "A name is there twice"),
        ("Currency", "CFH", "CHF", "did you mean 'CHF'"),
        ("Leads are in", "hubspott", "sql", "No 'hubspott'"),
        ("Database URL", "crm.example/sales", "sqlite:///a.db", "scheme://user@host/database"),
        ("Lifecycle stages", "MQL, MQL", "MQL", "found a name twice"),
        ("Lifecycle stages", " , ", "MQL", "needs at least one, found none"),
        ("Property with", "email", "region", "'email' is personal data"),
        ("Where the key", "pat-planted-7f 3a", "HUBSPOT", "That is no name of a variable"),
        ("Mail relay", "https://mail.example", "mail.example", "A host name is needed"),
        ("Sender", "Leads", "a@b.example", "not a mail address"),
        ("Who gets it", "", "a@b.example", "At least one address is needed"),
        ("Who gets it", "ana@gmial", "a@b.example", "did you mean 'gmail.com'"),
    ],
)
def test_an_answer_of_no_use_is_asked_again_with_the_reason(
    question: str, wrong: str, right: str, reason: str
) -> None:
    answers = PORTAL if question.startswith(("Lifecycle", "Property", "Where the key")) else ANSWERS
    person = Person({**answers, question: [wrong, right]})

    asked(person)

    again = [text for text in person.asked if text.rpartition("\n")[2].startswith(question)]
    assert len(again) == 2
    assert reason in again[1]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Where the relay's password", "planted-hunter 2!"),
        ("Database URL", "postgresql://digest:planted-x@crm.example/sales"),
    ],
)
def test_a_secret_given_by_mistake_is_neither_repeated_nor_written(
    question: str, answer: str, tmp_path: Path
) -> None:
    person = Person({**ANSWERS, question: [answer, ANSWERS[question]]})

    ask_and_write(tmp_path, ask=person, today=TODAY)

    assert "planted" not in "".join(person.asked)
    assert b"planted" not in (tmp_path / "digest.toml").read_bytes()


def test_a_person_who_never_answers_well_gets_an_error_and_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Nothing was written"):
        ask_and_write(tmp_path, ask=Person({"Currency": ["nothing"] * 9}), today=TODAY)

    assert list(tmp_path.iterdir()) == []


_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=9)


def _simple() -> Answers:
    return asked(Person(ANSWERS))


@given(_TEXT, st.lists(_TEXT, min_size=1, max_size=4), _TEXT)
@hypothesis_settings(max_examples=effort(40, 200), deadline=None)
def test_any_name_survives_the_way_into_the_file(title: str, names: list[str], column: str) -> None:
    answers = replace(
        _simple(),
        title=title,
        segments=tuple(names),
        source=LeadList(column, column, column),
        relay=Relay(column, "a@b.example", column, SecretPlace("keyring", f"{column}/x")),
    )

    document = tomllib.loads(files(answers)["digest.toml"])

    assert document["title"] == title
    assert [segment["name"] for segment in document["segments"]] == names
    assert document["connector"]["dates"] == [column]
    assert document["channels"]["smtp"]["password"] == {"keyring": f"{column}/x"}


def test_every_setting_in_the_file_has_a_comment_near_it() -> None:
    text = files(_simple())["digest.toml"]

    for block in text.split("\n\n"):
        assert "#" in block or block.startswith("[channels"), block
    assert all(len(line) <= 110 for line in _comments(text))


def _comments(text: str) -> Iterator[str]:
    return (line for line in text.splitlines() if line.startswith("#"))

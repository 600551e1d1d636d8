"""The fake refuses what Salesforce refuses, or it would prove nothing; and the edges of the connector."""

from __future__ import annotations

import gc
import re
import subprocess
import sys
from pathlib import Path
from time import perf_counter
from weakref import ref

import pytest
import requests

from digest.conditions import Filter
from digest.connectors.salesforce import FollowUpColumns, Salesforce
from digest.connectors.salesforce.client import client_of
from digest.connectors.salesforce.soql import literal
from digest.connectors.salesforce.wire import Wire
from digest.errors import ConnectorError, Reason
from digest.resources import config_folder
from digest.settings import load
from tests.fakes.salesforce import Fault, Org, RefusedError, ToLoopback, session_to, shared
from tests.salesforce.orgs import JUNE, NOON, NOW, SEGMENTS, connector, given_to

GROUP = "SELECT Region__c s0, COUNT(Id) n FROM Lead"
SEMI_JOIN = "WhoId IN (SELECT Id FROM Lead)"
REFUSED = [
    ("SELECT Region__c AS s0, COUNT(Id) n FROM Lead GROUP BY Region__c", "MALFORMED_QUERY"),
    ("SELECT Region__c n, COUNT(Id) n FROM Lead GROUP BY Region__c", "MALFORMED_QUERY"),
    ("SELECT COUNT() FROM Lead WHERE Email = 'a' AND Email = 'b' OR Email = 'c'", "MALFORMED_QUERY"),
    ("SELECT WEEKDAY(CreatedDate) d FROM Lead", "MALFORMED_QUERY"),
    ("SELECT COUNT() FROM Lead extra words", "MALFORMED_QUERY"),
    ("SELECT COUNT(), COUNT(Id) n FROM Lead", "MALFORMED_QUERY"),
    ("SELECT Nothing__c FROM Lead", "INVALID_FIELD"),
    ("SELECT COUNT() FROM Laed", "INVALID_TYPE"),
    ("SELECT COUNT() FROM CurrencyType", "INVALID_TYPE"),
    ("SELECT COUNT() FROM Lead WHERE CreatedDate > '2026-01-01T00:00:00Z'", "INVALID_FIELD"),
    ("SELECT COUNT() FROM Lead WHERE CreatedDate > 2026-01-01", "INVALID_FIELD"),
    ("SELECT COUNT() FROM Lead WHERE MQL_Day__c > 2026-01-01T00:00:00Z", "INVALID_FIELD"),
    (GROUP + " GROUP BY Region__c, CreatedDate", "MALFORMED_QUERY"),
    (GROUP + " GROUP BY Region__c, Formula_Region__c", "MALFORMED_QUERY"),
    (GROUP + " GROUP BY Region__c, Notes__c", "MALFORMED_QUERY"),
    (GROUP + " GROUP BY Status", "MALFORMED_QUERY"),
    ("SELECT COUNT(Id) n FROM Lead LIMIT 5", "MALFORMED_QUERY"),
    ("SELECT convertTimezone(CreatedDate) d FROM Lead", "MALFORMED_QUERY"),
    (
        "SELECT COUNT() FROM Task WHERE (WhoId IN (SELECT Id FROM Lead) OR IsClosed = true)",
        "MALFORMED_QUERY",
    ),
    ("SELECT COUNT() FROM Lead WHERE Id IN (SELECT WhoId FROM Task)", "MALFORMED_QUERY"),
    (f"SELECT COUNT() FROM Task WHERE {' AND '.join([SEMI_JOIN] * 3)}", "MALFORMED_QUERY"),
    ("SELECT COUNT() FROM Lead WHERE Email = '" + "x" * 4_001 + "'", "MALFORMED_QUERY"),
]  # fmt: skip


@pytest.mark.parametrize(("query", "code"), REFUSED)
def test_the_fake_refuses_what_salesforce_refuses(query: str, code: str) -> None:
    with pytest.raises(RefusedError, match=code):
        Org().query(query)


@pytest.mark.parametrize(
    "text", ["O'Brien & Söhne", "\\", "a\\' OR Id != '", "%_", "\n\r\t\b\f", "🦄", "", "x" * 4_000]
)
def test_a_text_stays_the_same_text_in_a_query(text: str) -> None:
    org = Org()
    org.insert("Lead", [{"Status": text}, {"Status": "other"}])
    answer = org.query(f"SELECT Status FROM Lead WHERE Status = {literal(text)}")
    assert [record["Status"] for record in answer["records"]] == [text]


@pytest.mark.parametrize("value", [float("nan"), NOON.replace(tzinfo=None), None, (), "x" * 4_001])
def test_a_value_without_a_safe_form_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        literal(value)


def test_a_filter_with_such_a_value_is_refused_with_its_key() -> None:
    with pytest.raises(ValueError, match="filters: 'Status' is compared with a text of 4,001"):
        connector(Org(), filters=(Filter("Status", "=", "x" * 4_001),))


def test_a_request_without_a_timeout_fails_the_test() -> None:
    with pytest.raises(AssertionError, match="without a timeout"):
        session_to(shared(Org())).get("https://acme.my.salesforce.com/")


def test_more_than_five_queries_in_a_call_and_longer_addresses_are_refused() -> None:
    org = shared(Org(tokens={"token"}))
    session = session_to(org)
    session.headers["Authorization"] = "Bearer token"
    base = "https://acme.my.salesforce.com/services/data/v64.0"
    part = {"method": "GET", "referenceId": "q", "url": "/services/data/v64.0/query/?q=x"}
    too_many = {"compositeRequest": [part] * 6}
    assert session.post(f"{base}/composite", json=too_many, timeout=5).status_code == 400
    assert session.get(f"{base}/query/?q={'x' * 17_000}", timeout=5).status_code == 414


def test_the_fake_can_be_used_by_hand() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.fakes.salesforce", "--port", "0", "--leads", "50"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as server:
        assert server.stdout
        port = server.stdout.readline().partition("127.0.0.1:")[2].partition(";")[0]
        base = f"http://127.0.0.1:{port}/services"
        token = requests.post(
            f"{base}/oauth2/token",
            {"grant_type": "client_credentials"},
            auth=("key", "consumer-secret"),
            timeout=10,
        ).json()["access_token"]
        counted = requests.get(
            f"{base}/data/v64.0/query/?q=SELECT COUNT() FROM Lead",
            headers={"Authorization": f"Bearer {token}"},
            timeout=10,
        ).json()
        server.terminate()
    assert counted["totalSize"] == 50


# ------------------------------------------------------------------------------- the connector's edges


def test_a_server_that_never_answers_is_given_up() -> None:
    org = shared(Org())

    class Hasty(Salesforce):
        wire = Wire(
            adapter=lambda: ToLoopback(org),
            sleep=lambda _: None,
            connect_seconds=1,
            read_seconds=0.1,
        )

    source = Hasty(**given_to(connector(org)))
    org.faults = [Fault(seconds=0.4, path="/composite")] * 3
    began = perf_counter()
    with pytest.raises(ConnectorError, match="Timeout") as caught:
        source.count_leads(period=JUNE, segments=SEGMENTS, now=NOW)
    assert caught.value.reason is Reason.TRANSIENT
    assert perf_counter() - began < 2


def test_a_connector_that_is_gone_leaves_no_connection_behind() -> None:
    org = shared(Org())
    source = connector(org)
    source.count_leads(period=JUNE, segments=SEGMENTS, now=NOW)
    client = ref(client_of(source))
    assert client() is client_of(source)
    del source
    gc.collect()
    assert client() is None


def test_without_the_vendors_package_the_message_says_what_to_install() -> None:
    program = """
import sys
from importlib.machinery import PathFinder
found = PathFinder.find_spec
PathFinder.find_spec = lambda name, *rest: None if name == "simple_salesforce" else found(name, *rest)
from datetime import UTC, date, datetime
from digest.connectors.salesforce import Salesforce
from digest.errors import ConfigError
from digest.model import Period, Secret
source = Salesforce("acme.my", ("CreatedDate",), "Region__c", consumer_key="k", consumer_secret=Secret("s"))
try:
    period = Period(date(2026, 6, 1), date(2026, 7, 1))
    source.count_leads(period=period, segments=(), now=datetime(2026, 7, 1, tzinfo=UTC))
except ConfigError as error:
    print(error)
"""
    done = subprocess.run(  # noqa: S603 - our own interpreter and program
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert 'pip install "sla-digest[salesforce]"' in done.stdout


def test_the_example_of_the_settings_builds_the_connector(tmp_path: Path) -> None:
    text = (config_folder() / "example.toml").read_text(encoding="utf-8")
    block = text[text.index("# Salesforce instead of the database") :].split("\n\n")[0]
    lines = [line.removeprefix("#").removeprefix(" ") for line in block.splitlines()[2:]]
    plain = "\n".join(line for line in lines if re.match(r"[a-z_]+ = |\[", line))
    (tmp_path / "salesforce.pem").write_text("-----BEGIN PRIVATE KEY-----")
    (tmp_path / "digest.toml").write_text(
        'id = "x"\n[calendar]\ncountry = "CH"\nsubdivision = "ZH"\n[sla]\ncurrency = "CHF"\n'
        f'[[sla.segments]]\nsegment = "DACH"\ncurrency = "CHF"\nvalid_from = "2026-01"\n{plain}\n'
        '[channels.file]\npath = "outbox"\nrecipients = ["a@company.example"]\n'
    )
    names = ("SECRET", "TOKEN", "PASSWORD", "SECURITY_TOKEN")
    environment = {f"DIGEST_SALESFORCE_{name}": "planted" for name in names}
    source = load(tmp_path / "digest.toml", environment=environment).connector
    assert isinstance(source, Salesforce)
    assert source.dates == ("MQL_Date__c", "SQL_Date__c")
    assert source.exclusions[0].name == "partners"
    assert isinstance(source.follow_up_columns, FollowUpColumns)
    assert source.deals
    assert source.deals.currency == "CHF"

"""What goes wrong between the org and us: an exact count, or one error of the right kind."""

from __future__ import annotations

import base64
import json
import logging
import traceback
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from digest.connectors.salesforce import Salesforce
from digest.connectors.salesforce.wire import Wire
from digest.errors import ConfigError, ConnectorError, DigestError, Reason
from digest.model import DayCount, LeadCounts, Secret
from tests.effort import CUTS
from tests.fakes.salesforce import Fault, Org, shared
from tests.salesforce.orgs import JUNE, NOON, NOW, SEGMENTS, connector, given_to

HTML = "<html><body>We are down for maintenance</body></html>"
EXPIRED = [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]
COMPOSITE = "/composite"
RIGHT = (DayCount(NOON.date(), "DACH", 2),)
PLANTED = ("consumer-secret", "planted-access", "Muster", "planted-key", "planted-password")


def org_of_two(**switches: Any) -> Org:  # noqa: ANN401 - any switch
    org = shared(Org(**switches))
    two = {"CreatedDate": NOON, "Region__c": "DACH", "LastName": "Muster", "Email": "m@example.com"}
    org.insert("Lead", [two, two])
    return org


def counted(org: Org, **settings: Any) -> LeadCounts:  # noqa: ANN401 - any setting
    return connector(org, **settings).count_leads(period=JUNE, segments=SEGMENTS, now=NOW)


def error(code: str, message: str = "as told by the server", status: int = 400) -> dict[str, Any]:
    return {"status": status, "body": [{"message": message, "errorCode": code}]}


def answer(total: int, *records: object) -> dict[str, Any]:
    return {"totalSize": total, "done": True, "records": list(records)}


PASSING = {
    "connection reset": Fault(reset=True),
    "500": Fault(500, HTML),
    "503 as JSON": Fault(**error("SERVER_UNAVAILABLE", status=503)),
    "406": Fault(**error("NOT_ACCEPTABLE", status=406)),
    "420": Fault(420, HTML),
    "429": Fault(429, HTML, {"Retry-After": "7"}),
    "HTML with 200": Fault(200, HTML),
    "a redirect": Fault(302, HTML, {"Location": "https://elsewhere.example/"}),
    "null": Fault(200, json.loads("null")),
    "a number": Fault(200, 7),
    "a list": Fault(200, [1]),
    "an empty object": Fault(200, {}),
    "no parts": Fault(200, {"compositeResponse": None}),
    "parts of nothing": Fault(200, {"compositeResponse": [None] * 4}),
    "a part missing": Fault(part=2, missing=True),
    "a part renamed": Fault(part=1, renamed=True),
    "a part without a size": Fault(part=1, body={"done": True, "records": []}),
    "a part with a text for a size": Fault(part=1, body={"totalSize": "2", "done": True, "records": []}),
    "a part without records": Fault(part=0, body={"totalSize": 1, "done": True}),
    "a part with a failing server": Fault(part=3, **error("UNKNOWN_EXCEPTION", status=500)),
    "cut within the promise": Fault(cut=99, promise=True),
}  # fmt: skip


@pytest.mark.failure("D3", "D4", "D7")
@pytest.mark.parametrize("name", [name for name in PASSING if name != "null"])
def test_what_may_pass_is_tried_again_and_then_right(name: str) -> None:
    org = org_of_two()
    fault = PASSING[name]
    org.faults = [Fault(**(vars(fault) | {"path": COMPOSITE}))] * 2
    waits: list[float] = []
    counts = counted(org, waits=waits)
    assert counts.rows == RIGHT
    assert len(org.calls) == 4
    assert waits == ([7.0, 7.0] if name == "429" else [4.0, 16.0])


@pytest.mark.failure("D4")
@pytest.mark.parametrize("name", [name for name in PASSING if name != "null"])
def test_what_does_not_pass_is_given_up_after_three_tries(name: str) -> None:
    org = org_of_two()
    org.faults = [Fault(**(vars(PASSING[name]) | {"path": COMPOSITE}))] * 3
    with pytest.raises(ConnectorError) as caught:
        counted(org)
    assert caught.value.reason is Reason.TRANSIENT
    assert len(org.calls) == 4


@pytest.mark.failure("D3")
def test_a_server_that_asks_for_a_long_wait_is_not_waited_for() -> None:
    org = org_of_two()
    org.faults = [Fault(429, HTML, {"Retry-After": "120"}, path=COMPOSITE)]
    with pytest.raises(ConnectorError) as caught:
        counted(org)
    assert caught.value.reason is Reason.TRANSIENT
    assert len(org.calls) == 2


def test_who_else_calls_the_org_hears_how_long_it_wants_to_be_left_alone() -> None:
    org = org_of_two()
    org.faults = [Fault(429, HTML, {"Retry-After": "7"}, path=COMPOSITE)]
    heard: list[tuple[str, float]] = []
    source = connector(org)
    wire = replace(
        type(source).wire, heed=lambda account, seconds: heard.append((account, seconds))
    )
    type(source).wire = wire

    assert source.count_leads(period=JUNE, segments=SEGMENTS, now=NOW).rows == RIGHT
    assert heard == [("salesforce:acme.my", 7.0)]


@pytest.mark.no_cover
@pytest.mark.failure("D7")
@pytest.mark.parametrize("step", CUTS)
def test_an_answer_cut_at_any_byte_gives_the_right_count_or_none(step: int) -> None:
    org = org_of_two()
    source = connector(org)
    source.count_leads(period=JUNE, segments=SEGMENTS, now=NOW)
    length = answer_length(org)
    for cut in range(0, length, step):
        org.faults = [Fault(cut=cut, path=COMPOSITE)]
        counts = source.count_leads(period=JUNE, segments=SEGMENTS, now=NOW)
        assert counts.rows == RIGHT, cut
        assert org.faults == []
    for cut in range(0, length, 50 * step):
        org.faults = [Fault(cut=cut, path=COMPOSITE, promise=cut % 100 == 0)] * 3
        with pytest.raises(ConnectorError) as caught:
            source.count_leads(period=JUNE, segments=SEGMENTS, now=NOW)
        assert caught.value.reason is Reason.TRANSIENT


def answer_length(org: Org) -> int:
    bodies = [org.query(query) for query in org.queries[:4]]
    parts = [
        {"body": body, "httpHeaders": {}, "httpStatusCode": 200, "referenceId": f"q{n}"}
        for n, body in enumerate(bodies, 1)
    ]
    return len(json.dumps({"compositeResponse": parts}, separators=(",", ":")))


# ------------------------------------------------------------------------------------ told by name

TOLD: list[tuple[str, Fault, Reason | None, str]] = [
    ("quota", Fault(**error("REQUEST_LIMIT_EXCEEDED", "Limit", 403)), Reason.QUOTA, "18 of 100,000"),
    ("quota, until when", Fault(**error("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.", 403),
                                headers={"Date": "Mon, 02 Nov 2026 06:12:00 GMT"}),
     Reason.QUOTA, "by 2026-11-03 06:12 UTC at the latest"),
    ("calls at once", Fault(**error("REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests Limit exceeded.", 403)),
     Reason.QUOTA, "in a few minutes"),
    ("API off", Fault(**error("API_DISABLED_FOR_ORG", status=403)), Reason.AUTH, "API Enabled"),
    ("no access", Fault(**error("INSUFFICIENT_ACCESS", status=403)), Reason.AUTH, "API Enabled"),
    ("version", Fault(**error("UNSUPPORTED_API_VERSION", status=410)), None, "api_version"),
    ("gone", Fault(410, HTML), None, "api_version"),
    ("not found", Fault(**error("NOT_FOUND", status=404)), None, "check domain and api_version"),
    ("too long", Fault(414, HTML), Reason.OVERFLOW, "too large"),
    ("a field", Fault(part=1, **error("INVALID_FIELD", "No such column 'x'")), None, "No such column 'x'"),
    ("a type", Fault(part=0, **error("INVALID_TYPE")), None, "refused the question"),
    ("a query", Fault(part=2, **error("MALFORMED_QUERY")), None, "refused the question"),
    ("quota in a part", Fault(part=2, **error("REQUEST_LIMIT_EXCEEDED", status=403)), Reason.QUOTA, "calls"),
    ("a count with records", Fault(part=1, body=answer(2, {})), Reason.TRANSIENT, "records"),
    ("no number", Fault(part=0, body=answer(1, {"s0": "DACH"})), Reason.UNRECONCILED, "number"),
    ("no day", Fault(part=2, body=answer(1, {"s0": "DACH", "n": 2})), Reason.UNRECONCILED, "day"),
]  # fmt: skip


@pytest.mark.failure("D2", "D3")
@pytest.mark.parametrize("case", range(len(TOLD)), ids=[case[0] for case in TOLD])
def test_what_does_not_pass_is_told_at_once_with_what_to_mend(case: int) -> None:
    _, fault, reason, words = TOLD[case]
    org = org_of_two()
    org.faults = [Fault(**(vars(fault) | {"path": COMPOSITE}))]
    with pytest.raises(ConfigError if reason is None else ConnectorError, match=words) as caught:
        counted(org)
    assert getattr(caught.value, "reason", None) is reason
    assert sum(path.endswith(COMPOSITE) for _, path, _ in org.calls) == 1


@pytest.mark.parametrize("per_app", [True, False])
def test_the_usage_is_read_whatever_stands_beside_it(*, per_app: bool) -> None:
    org = org_of_two(per_app=per_app, used=96_000)
    findings = connector(org).check(period=JUNE, segments=SEGMENTS, now=NOW)
    assert [f.level for f in findings if "96,000 of 100,000" in f.text] == ["warning"]


@pytest.mark.parametrize(("used", "said"), [(95_000, False), (95_001, True)])
def test_an_edition_says_when_hardly_any_call_is_left(
    used: int, caplog: pytest.LogCaptureFixture, *, said: bool
) -> None:
    counts = counted(org_of_two(used=used))
    assert counts.origin.quota == ((used, 100_000) if said else None)
    assert ("95,001 of 100,000 API calls" in caplog.text) is said


def test_the_time_of_the_numbers_is_that_of_the_servers_clock() -> None:
    assert counted(org_of_two(date="Mon, 02 Nov 2026 06:12:00 GMT")).as_of == NOW.replace(minute=12)
    assert counted(org_of_two(date="yesterday")).as_of == NOW


def test_days_outside_the_period_are_no_count() -> None:
    org = org_of_two()
    row = {"s0": "DACH", "n": 2, "d": "2027-01-01"}
    fault = Fault(part=2, body={"totalSize": 1, "done": True, "records": [row]}, path=COMPOSITE)
    org.faults = [fault] * 2
    with pytest.raises(ConnectorError, match="outside the period") as caught:
        counted(org)
    assert caught.value.reason is Reason.UNRECONCILED


# ------------------------------------------------------------------------------------------- login


@pytest.mark.failure("D1")
@pytest.mark.parametrize(
    "body",
    [EXPIRED, HTML, {"error": "expired"}, []],
    ids=["as documented", "HTML", "an object", "an empty list"],
)
def test_an_expired_token_is_renewed_once_and_everything_asked_again(body: object) -> None:
    org = org_of_two()
    org.faults = [Fault(401, body, path=COMPOSITE)]
    assert counted(org).rows == RIGHT
    assert [path.rpartition("/")[2] for _, path, _ in org.calls] == [
        "token", "composite", "token", "composite",
    ]  # fmt: skip


def test_a_token_that_expires_between_two_questions_is_renewed() -> None:
    org = org_of_two()
    org.faults = [Fault(401, EXPIRED, part=2, path=COMPOSITE)]
    assert counted(org).rows == RIGHT
    assert len(org.calls) == 4


@pytest.mark.failure("D1")
def test_a_token_refused_twice_is_an_error_of_the_login() -> None:
    org = org_of_two()
    org.faults = [Fault(401, EXPIRED, path=COMPOSITE)] * 2
    with pytest.raises(ConnectorError) as caught:
        counted(org)
    assert caught.value.reason is Reason.AUTH
    assert len(org.calls) == 4


def test_a_renewal_on_another_instance_is_followed() -> None:
    org = org_of_two()
    source = connector(org)
    source.count_leads(period=JUNE, segments=SEGMENTS, now=NOW)
    org.instance = "acme2.my.salesforce.com"
    assert source.count_leads(period=JUNE, segments=SEGMENTS, now=NOW).rows == RIGHT
    assert len(org.calls) == 5


def test_a_login_that_leads_away_from_salesforce_is_not_followed() -> None:
    org = org_of_two(instance="salesforce.com.attacker.example")
    with pytest.raises(ConnectorError, match="leads to") as caught:
        counted(org)
    assert caught.value.reason is Reason.AUTH
    assert len(org.calls) == 1


@pytest.mark.failure("D1")
def test_a_wrong_secret_is_told_once_and_not_tried_again() -> None:
    org = org_of_two()
    with pytest.raises(ConnectorError, match=r"invalid_client.*run-as user") as caught:
        counted(org, consumer_secret=Secret("planted-key"))
    assert caught.value.reason is Reason.AUTH
    assert len(org.calls) == 1


@pytest.mark.parametrize(
    "fault", [Fault(503, HTML), Fault(reset=True), Fault(200, HTML), Fault(200, {})]
)
def test_a_login_server_that_is_down_is_tried_again(fault: Fault) -> None:
    org = org_of_two()
    org.faults = [fault] * 2
    assert counted(org).rows == RIGHT
    org.faults = [fault] * 3
    with pytest.raises(ConnectorError) as caught:
        counted(org)
    assert caught.value.reason is Reason.TRANSIENT


@pytest.mark.parametrize("body", [HTML, {"error": "not_found"}])
def test_a_domain_without_a_login_is_a_wrong_domain(body: object) -> None:
    org = org_of_two()
    org.faults = [Fault(404, body, path="token")]
    with pytest.raises(
        ConfigError, match=r"domain: acme.my.salesforce.com has no login.*My Domain"
    ):
        counted(org)
    assert len(org.calls) == 1


def test_a_host_that_nobody_knows_points_at_the_domain() -> None:
    class Nowhere(Salesforce):
        wire = Wire(sleep=lambda _: None)

    source = Nowhere(**given_to(connector(Org())) | {"domain": "nobody-knows-this.invalid"})
    with pytest.raises(ConnectorError, match=r"no host of this name; check domain") as caught:
        source.count_leads(period=JUNE, segments=SEGMENTS, now=NOW)
    assert caught.value.reason is Reason.TRANSIENT


@pytest.mark.parametrize("token", ["planted access", "planted-access\n", "planted-accéss"])
def test_a_malformed_token_is_told_without_a_call_and_without_itself(token: str) -> None:
    org = org_of_two()
    with pytest.raises(ConnectorError, match="characters that no token has") as caught:
        counted(org, login="session", access_token=Secret(token))
    assert caught.value.reason is Reason.AUTH
    assert token not in str(caught.value)
    assert org.calls == []


def test_client_credentials_send_the_key_and_secret_and_nothing_else() -> None:
    org = org_of_two()
    counted(org, username="digest@example.com", password=Secret("planted-password"))
    assert org.login_forms == [{"grant_type": "client_credentials"}]


def key_pair() -> tuple[str, str]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private.decode(), public.decode()


def test_jwt_stays_jwt_even_with_a_secret_in_the_settings() -> None:
    private, public = key_pair()
    org = org_of_two(public_key=public)
    login = {"login": "jwt", "username": "digest@example.com"}
    assert counted(org, **login, private_key=Secret(private)).rows == RIGHT
    [form] = org.login_forms
    claims = json.loads(base64.urlsafe_b64decode(form["assertion"].split(".")[1] + "=="))
    assert set(form) == {"grant_type", "assertion"}
    assert (claims["iss"], claims["sub"]) == ("key", "digest@example.com")
    assert claims["aud"] == "https://acme.my.salesforce.com"
    other, _ = key_pair()
    with pytest.raises(ConnectorError, match="invalid_grant") as caught:
        counted(org, **login, private_key=Secret(other))
    assert caught.value.reason is Reason.AUTH
    with pytest.raises(ConnectorError, match="private_key cannot sign") as caught:
        counted(org, **login, private_key=Secret("planted-key"))
    assert caught.value.reason is Reason.AUTH


def test_a_ready_token_is_used_without_a_login_and_not_renewed() -> None:
    org = org_of_two()
    org.tokens = {"00D!planted-access"}
    assert counted(org, login="session", access_token=Secret("00D!planted-access")).rows == RIGHT
    assert len(org.calls) == 1
    with pytest.raises(ConnectorError, match="no longer valid") as caught:
        counted(org, login="session", access_token=Secret("old"))
    assert caught.value.reason is Reason.AUTH
    assert len(org.calls) == 2


SOAP: dict[str, Any] = {
    "login": "soap",
    "username": "digest@example.com",
    "password": Secret("planted-password"),
    "security_token": Secret("planted-key"),
}


def test_soap_login_works_and_every_check_says_when_it_ends() -> None:
    org = org_of_two()
    source = connector(org, **SOAP)
    assert source.count_leads(period=JUNE, segments=SEGMENTS, now=NOW).rows == RIGHT
    assert org.login_forms[0]["soap"] == "64.0"
    findings = source.check(period=JUNE, segments=SEGMENTS, now=NOW)
    assert any(f.level == "warning" and "Summer '27" in f.text for f in findings)


@pytest.mark.parametrize(
    "said",
    [
        "The SOAP Login operation is not available in the API version specified (65.0)",
        "SOAP API login() is disabled by default in this org",
    ],
)
def test_a_refused_soap_login_names_its_end_and_what_replaces_it(said: str) -> None:
    org = org_of_two(soap_fault=("INVALID_OPERATION", said))
    with pytest.raises(ConnectorError, match=r"Summer '27.*client credentials") as caught:
        counted(org, **SOAP)
    assert caught.value.reason is Reason.AUTH
    assert len(org.calls) == 1


# ---------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("domain", "stem"),
    [
        ("acme.my", "acme.my"),
        ("acme.my.salesforce.com", "acme.my"),
        ("https://acme.my.salesforce.com/lightning/page/home", "acme.my"),
        ("https://acme.lightning.force.com/", "acme.my"),
        (" ACME--uat.sandbox.my ", "acme--uat.sandbox.my"),
    ],
)
def test_a_pasted_address_is_cut_down_to_the_domain(domain: str, stem: str) -> None:
    assert connector(Org(), domain=domain).host_stem == stem


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"domain": "login"}, "domain: 'login' is the login page of all orgs"),
        ({"domain": "https://test.salesforce.com"}, "domain: 'test'"),
        ({"domain": "evil.example"}, "domain: found 'evil.example'"),
        ({"domain": "acme.my@evil"}, "domain: found"),
        ({"domain": "evil.com/acme.my"}, "domain: found"),
        ({"dates": ()}, "dates: name at least one"),
        ({"dates": ("CreatedDate OR Id",)}, "dates: found 'CreatedDate OR Id'"),
        ({"segment": "Region__c FROM Lead"}, "segment: found"),
        ({"segment": "OwnerId"}, "Owner.Name"),
        ({"object": "Lead;"}, "object: found"),
        ({"api_version": "v64.0"}, "api_version: found 'v64.0'"),
        ({"max_calls": 0}, "max_calls: found 0"),
        ({"consumer_secret": None}, "also needs consumer_secret"),
        ({"login": "jwt"}, "also needs username, private_key"),
        (SOAP | {"api_version": "65.0"}, "does not exist in API version 65.0"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_with_its_key(
    settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        connector(Org(), **settings)


# ----------------------------------------------------------------------------------------- secrets


def test_planted_secrets_and_leads_appear_in_no_message_log_or_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    private, public = key_pair()
    logins: list[dict[str, Any]] = [
        {},
        SOAP,
        {"login": "session", "access_token": Secret("00D!planted-access")},
        {"login": "jwt", "username": "digest@example.com", "private_key": Secret(private)},
    ]
    caplog.set_level(logging.DEBUG)
    shown: list[str] = []
    faults = [fault for name, fault in PASSING.items() if name != "null"] + [
        case[1] for case in TOLD
    ]
    for login in logins:
        for fault in [*faults, Fault(400, {"error": "invalid_grant"}, path="token")]:
            org = org_of_two(public_key=public)
            org.tokens = {"00D!planted-access"}
            org.faults = [fault] * 3
            try:
                shown.append(repr(counted(org, **login)))
            except DigestError as failure:
                shown.append("".join(traceback.format_exception(failure)) + repr(failure))
        shown.append(repr(connector(org, **login)))
    everything = "\n".join([*shown, caplog.text])
    assert [word for word in (*PLANTED, private[60:120]) if word in everything] == []


def test_the_connector_is_what_the_settings_build() -> None:
    assert isinstance(connector(Org()), Salesforce)

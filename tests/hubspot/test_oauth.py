"""HubSpot by an app in many portals: access is renewed ahead of its end, once for all, and never shown."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from digest.connectors.hubspot import Hubspot
from digest.connectors.hubspot.credentials import OAuth
from digest.errors import ConfigError, ConnectorError, DigestError, Reason
from digest.model import LeadCounts, Secret
from digest.settings import load
from tests.fakes.hubspot import (
    CLIENT_ID,
    CLIENT_SECRET,
    REFRESH_TOKEN,
    TOKEN,
    Asked,
    Fault,
    Portal,
)
from tests.hubspot.scene import MQL, NOW, OCTOBER, SEGMENTS, Scene, on, scene

APP = OAuth(CLIENT_ID, Secret(CLIENT_SECRET), Secret(REFRESH_TOKEN))
PLANTED = (CLIENT_SECRET, REFRESH_TOKEN, "planted-access", "planted-other")


def portal_of(count: int) -> Portal:
    portal = Portal(token="none")
    portal.add_all("contacts", [{"region": "DACH", **on(MQL, "2026-10-05T10:00")}] * count)
    return portal


def renewals(here: Scene) -> list[Asked]:
    return [asked for asked in here.portal.asked if asked.path.startswith("/oauth/")]


def held(here: Scene, **settings: Any) -> DigestError:  # noqa: ANN401 - settings
    with pytest.raises(DigestError) as caught:
        here.count(**{"oauth": APP} | settings)
    return caught.value


@pytest.mark.parametrize("version", ["2026-09", "2026-03", "v3"])
def test_an_app_posts_a_form_to_the_dated_path_and_counts_with_what_it_gets(version: str) -> None:
    with scene(portal_of(3)) as here:
        counts = here.count(oauth=APP, api_version=version)
    assert counts.total == 3
    assert counts.origin.calls == len(here.portal.asked) == 3
    renewal, *others = here.portal.asked
    assert renewal.path == f"/oauth/{version}/token"
    assert renewal.token == ""
    assert renewal.body == {
        "grant_type": "refresh_token",
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "refresh_token": REFRESH_TOKEN,
    }
    assert {asked.token for asked in others} == {"planted-access-0"}
    assert not any("planted" in asked.path for asked in here.portal.asked)


def test_access_is_renewed_ahead_of_its_end_and_a_pull_goes_on_with_it() -> None:
    portal = portal_of(1000)
    portal.lifetime = 1800
    with scene(portal) as here:
        connector = here.hubspot(oauth=APP, max_seconds=3600)

        def count() -> LeadCounts:
            return connector.count_leads(period=OCTOBER, segments=SEGMENTS, now=NOW)

        assert count().total == 1000
        here.clock.sleep(1400)
        assert count().total == 1000
        assert len(renewals(here)) == 1
        portal.before_search = lambda number: here.clock.sleep(120) if number == 12 else None
        assert count().total == 1000
    assert len(renewals(here)) == 2
    used = [asked.token for asked in portal.searches]
    assert used == ["planted-access-0"] * 12 + ["planted-access-1"] * 3
    assert len(here.portal.asked) == 1 + 3 * 5 + 2


def test_a_short_life_is_renewed_at_its_half() -> None:
    portal = portal_of(1)
    portal.lifetime = 20
    with scene(portal) as here:
        connector = here.hubspot(oauth=APP)
        for wait in (0, 9, 9):
            here.clock.sleep(wait)
            connector.count_leads(period=OCTOBER, segments=SEGMENTS, now=NOW)
    assert len(renewals(here)) == 2


def test_many_digests_at_once_renew_the_access_of_a_portal_once() -> None:
    found: list[int] = []
    with scene(portal_of(201)) as here:
        start = threading.Barrier(8)

        def count() -> None:
            start.wait()
            found.append(here.count(oauth=APP).total)

        threads = [threading.Thread(target=count) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == [201] * 8
    assert len(renewals(here)) == 1


def test_two_portals_of_one_app_keep_their_access_and_their_pace_apart() -> None:
    portal = portal_of(2)
    portal.refresh_tokens.add("planted-other")
    other = OAuth(CLIENT_ID, Secret(CLIENT_SECRET), Secret("planted-other"))
    with scene(portal) as here:
        one, two = here.hubspot(oauth=APP), here.hubspot(oauth=other)
        for connector in (one, two, one, two):
            connector.count_leads(period=OCTOBER, segments=SEGMENTS, now=NOW)
    assert [asked.body["refresh_token"] for asked in renewals(here)] == [
        REFRESH_TOKEN,
        "planted-other",
    ]
    assert [asked.token[-1] for asked in portal.searches] == ["0", "1", "0", "1"]


REFUSED = {"status": "BAD_REFRESH_TOKEN", "message": f"bad refresh token {REFRESH_TOKEN}\n"}


@pytest.mark.failure("D1")
@pytest.mark.parametrize(
    ("settings", "fault", "words"),
    [
        ({"oauth": OAuth(CLIENT_ID, Secret(CLIENT_SECRET), Secret("planted-other"))}, None, "refresh"),
        ({"oauth": OAuth("wrong", Secret(CLIENT_SECRET), Secret(REFRESH_TOKEN))}, None, "no such app"),
        ({}, Fault(400, REFUSED), r"bad refresh token \*\*\*"),
        ({}, Fault(401, REFUSED), "does not renew"),
        ({}, Fault(403, "<html>"), "does not renew"),
    ],
)  # fmt: skip
def test_an_app_that_was_removed_is_asked_for_once_and_told_to_be_installed_again(
    settings: Mapping[str, Any], fault: Fault | None, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with scene(portal_of(1)) as here:
        here.portal.faults.append(fault)
        error = held(here, **settings)
    assert isinstance(error, ConnectorError)
    assert error.reason is Reason.AUTH
    assert "install the app in this portal again" in str(error)
    assert len(here.portal.asked) == 1
    assert re.search(words, str(error))
    for text in (str(error), caplog.text, repr(here.hubspot(oauth=APP))):
        assert not any(planted in text for planted in PLANTED)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(502, "<html>"),
        Fault(429),
        Fault(manner="reset"),
        Fault(200, "<html>"),
        Fault(cut=30, promise=False),
    ],
    ids=repr,
)
def test_a_renewal_that_fails_in_passing_is_repeated_as_any_other_call(fault: Fault) -> None:
    with scene(portal_of(2)) as here:
        here.portal.faults.append(fault)
        counts = here.count(oauth=APP)
    assert (counts.total, counts.origin.calls) == (2, 4)
    assert len(renewals(here)) == 2


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"access_token": "", "expires_in": 1800},
        {"access_token": "planted-access\n", "expires_in": 1800},
        {"access_token": "planted-access", "expires_in": "soon"},
        {"access_token": "planted-access", "expires_in": True},
        {"access_token": "planted-access", "expires_in": 0},
    ],
    ids=repr,
)
def test_an_answer_without_a_usable_token_holds_the_count(answer: dict[str, object]) -> None:
    with scene(portal_of(2)) as here:
        here.portal.faults.append(Fault(200, answer))
        error = held(here)
    assert "without an access token" in str(error)
    assert "planted" not in str(error)
    assert not here.portal.searches


@pytest.mark.failure("D1")
def test_access_that_a_portal_takes_back_is_said_so_and_not_renewed_over_and_over() -> None:
    with scene(portal_of(2)) as here:
        here.portal.faults.extend([None, None, Fault(401)])
        error = held(here)
    assert "the app's access was refused" in str(error)
    assert len(renewals(here)) == 1


@pytest.mark.failure("D2")
def test_a_missing_scope_of_an_app_says_where_to_add_it() -> None:
    with scene(portal_of(2)) as here:
        here.portal.scopes.clear()
        error = held(here)
    assert "the app lacks the scope crm.objects.contacts.read; add it to the app" in str(error)


CONFIG = """\
id = "leads"
[calendar]
country = "CH"
subdivision = "ZH"
[sla]
currency = "CHF"
[[sla.segments]]
segment = "DACH"
currency = "CHF"
valid_from = "2026-01"
goal = 134
[[segments]]
name = "DACH"
[connector]
type = "hubspot"
segment = "region"
stages = ["customer"]
{credential}
[channels.file]
path = "out"
recipients = ["ana@company.example"]
"""
APP_TABLE = """\
[connector.oauth]
client_id = "app-4242"
client_secret = { env = "HUBSPOT_CLIENT_SECRET" }
refresh_token = { env = "HUBSPOT_REFRESH_TOKEN" }
"""
ENVIRONMENT = {
    "HUBSPOT_CLIENT_SECRET": CLIENT_SECRET,
    "HUBSPOT_REFRESH_TOKEN": REFRESH_TOKEN,
    "HUBSPOT_TOKEN": TOKEN,
    "SPACED": "planted access",
}


def connector_of(folder: Path, credential: str) -> object:
    (folder / "digest.toml").write_text(CONFIG.format(credential=credential))
    return load(folder / "digest.toml", environment=ENVIRONMENT).connector


def test_the_settings_hold_references_to_the_secrets_of_the_app(tmp_path: Path) -> None:
    connector = connector_of(tmp_path, APP_TABLE)
    assert isinstance(connector, Hubspot)
    assert connector.credential == APP
    assert not any(planted in repr(connector) for planted in PLANTED)


@pytest.mark.parametrize(
    ("credential", "words"),
    [
        ("", r"a token is missing: write token = \{ env = "),
        ('token = { env = "HUBSPOT_TOKEN" }\n' + APP_TABLE, "oauth: stands beside token"),
        (APP_TABLE.replace('{ env = "HUBSPOT_REFRESH_TOKEN" }', '"planted-refresh-c2"'), "secret itself"),
        (APP_TABLE.replace("HUBSPOT_REFRESH_TOKEN", "SPACED"), "refresh_token: is empty or holds"),
        (APP_TABLE.replace("HUBSPOT_REFRESH_TOKEN", "NOWHERE"), "'NOWHERE' is not set"),
        (APP_TABLE.replace("client_id", "cleint_id"), "did you mean 'client_id'"),
    ],
)  # fmt: skip
def test_a_credential_that_cannot_work_is_refused_when_it_is_read(
    credential: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        connector_of(tmp_path, credential)
    assert not any(planted in str(caught.value) for planted in (*PLANTED, "planted access"))

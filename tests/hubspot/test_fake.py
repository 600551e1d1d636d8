"""The fake HubSpot is honest: its answers are what the vendor's own client takes for HubSpot's."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from hubspot import oauth
from hubspot.crm import objects, properties

from digest.connectors.hubspot import Deals
from tests.fakes.hubspot import CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN, TOKEN, Asked, Portal
from tests.hubspot.live import facts
from tests.hubspot.scene import CUS, MQL, NOW, OCTOBER, SEGMENTS, STAGES, Scene, on, scene
from tests.hubspot.test_sales import FOLLOW_UP, HALF_YEAR, deal

# Fields that HubSpot sends, and that the client of May 2025 does not know.
NEWER = {"TokenResponseIF": {"hub_id", "scopes"}, "Error": {"status"}}
PAGE = "CollectionResponseWithTotalSimplePublicObjectForwardPaging"
V3 = "/crm/v3"
SEARCH = {"filterGroups": [], "properties": ["region", "nothing"], "limit": 1}
DEFINITIONS = {"archived": False, "dataSensitivity": "non_sensitive"}
GRANT = {
    "grant_type": "refresh_token",
    "client_id": CLIENT_ID,
    "client_secret": CLIENT_SECRET,
    "refresh_token": REFRESH_TOKEN,
}


@dataclass
class Body:
    """An answer as the client's `deserialize` wants one."""

    data: str


def asked(path: str, body: Mapping[str, object] | None) -> Asked:
    return Asked("GET" if body is None else "POST", path, body, 1)


def portal() -> Portal:
    found = Portal()
    for region in ("DACH", None, "Mars"):
        found.add(region=region, firstname="Planted", **on(MQL, "2026-10-05T10:00"))
    found.add("leads", createdate="2026-10-05T10:00:00.000Z")
    return found


ANSWERS = {
    "a page and its next": (objects, PAGE, f"{V3}/objects/contacts/search", SEARCH, 200),
    "the last page": (objects, PAGE, "/crm/objects/2026-09/leads/search", SEARCH, 200),
    "definitions": (
        properties, "BatchResponseProperty", f"{V3}/properties/contacts/batch/read",
        DEFINITIONS | {"inputs": [{"name": "region"}]}, 200,
    ),
    "definitions but for some": (
        properties, "BatchResponsePropertyWithErrors", f"{V3}/properties/contacts/batch/read",
        DEFINITIONS | {"inputs": [{"name": "region"}, {"name": MQL}]}, 207,
    ),
    "all definitions": (
        properties, "CollectionResponsePropertyNoPaging", f"{V3}/properties/deals", None, 200,
    ),
    "an access token": (oauth, "TokenResponseIF", "/oauth/2026-09/token", GRANT, 200),
    "an unknown property": (
        objects, "Error", f"{V3}/objects/contacts/search",
        {"filterGroups": [{"filters": [{"propertyName": "nothing", "operator": "EQ", "value": "1"}]}]}, 400,
    ),
    "a missing scope": (objects, "Error", f"{V3}/objects/companies/search", SEARCH, 403),
    "a refused token": (objects, "Error", "/account-info/v3/details", None, 401),
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
def test_every_kind_of_answer_is_one_that_the_client_of_hubspot_can_read(name: str) -> None:
    package, model, path, body, status = ANSWERS[name]
    found = portal()
    found.scopes.discard("crm.objects.companies.read")
    token = "another" if status == 401 else TOKEN
    given, answer = found.answer(asked(path, body), token, 0)
    assert given == status
    read = package.ApiClient().deserialize(Body(json.dumps(answer)), model)
    assert read.to_dict()
    assert list(strangers(package, model, answer)) == []


def strangers(package: Any, kind: str, value: Any) -> Iterator[str]:  # noqa: ANN401 - JSON, and the vendor's modules
    """Yield the fields that the client's models do not have."""
    inner = re.fullmatch(r"list\[(.*)]|dict\[str, (.*)]", kind)
    if inner and isinstance(value, list):
        for entry in value:
            yield from strangers(package, inner[1], entry)
    elif inner:
        for entry in value.values():
            yield from strangers(package, inner[2], entry)
    elif (model := getattr(package.models, kind, None)) and isinstance(value, Mapping):
        by_name = {written: own for own, written in model.attribute_map.items()}
        for name, entry in value.items():
            if name in by_name:
                yield from strangers(package, model.openapi_types[by_name[name]], entry)
            elif name not in NEWER.get(kind, ()):
                yield f"{kind}.{name}"


def test_every_search_of_the_connector_has_the_fields_that_the_client_knows() -> None:
    found = portal()
    deal(found, amount="5")
    with scene(found) as here:
        for search in searches_of(here):
            body = dict(search.body)
            # Documented as objects; the client's model of them is a list of texts.
            assert body.pop("sorts") == [{"propertyName": "hs_object_id", "direction": "ASCENDING"}]
            assert list(strangers(objects, "PublicObjectSearchRequest", body)) == []


def searches_of(here: Scene) -> list[Asked]:
    connector = here.hubspot(
        deals=Deals("region"), follow_up_properties=FOLLOW_UP, customer_stage=CUS
    )
    connector.count_leads(period=OCTOBER, segments=SEGMENTS, now=NOW)
    connector.deal_statistics(window=HALF_YEAR, segments=SEGMENTS, now=NOW)
    connector.check(period=OCTOBER, segments=SEGMENTS, now=NOW)
    assert here.portal.searches
    return here.portal.searches


def refusal(body: Mapping[str, object], length: int = 0) -> str:
    status, answer = portal().answer(asked(f"{V3}/objects/contacts/search", body), TOKEN, length)
    return "" if status == 200 else f"{status} {answer['message']}"


def many(groups: int, each: int) -> dict[str, object]:
    one = {"propertyName": "region", "operator": "EQ", "value": "DACH"}
    return {"filterGroups": [{"filters": [one] * each}] * groups}


@pytest.mark.parametrize(
    ("body", "length", "refused"),
    [
        (many(5, 3), 0, False),
        (many(6, 3), 0, True),
        (many(3, 6), 0, False),
        (many(2, 7), 0, True),
        (many(5, 4), 0, True),
        ({"limit": 0}, 0, False),
        ({"limit": 200}, 3000, False),
        ({"limit": 201}, 0, True),
        ({"limit": 10}, 3001, True),
        ({"limit": 200, "after": 9800}, 0, False),
        ({"limit": 200, "after": 9801}, 0, True),
        ({"sorts": [{"propertyName": name} for name in STAGES[:2]]}, 0, True),
        ({"filterGroups": [{"filters": [{"propertyName": "region", "operator": "IS"}]}]}, 0, True),
        ({"filterGroups": [{"filters": [{"propertyName": "regoin", "operator": "EQ"}]}]}, 0, True),
    ],
)
def test_the_fake_refuses_what_hubspot_refuses(
    body: Mapping[str, object], length: int, *, refused: bool
) -> None:
    assert refusal(body, length).startswith("400 ") == refused


def matching(operator: str, name: str, **value: object) -> int:
    found = Portal()
    for region, country in (("DACH", "CH"), ("dach", "ch"), (None, None)):
        found.add(region=region, country=country, num_contacted_notes=country and "2.0")
    condition = {"propertyName": name, "operator": operator} | value
    body = {"filterGroups": [{"filters": [condition]}], "limit": 1}
    status, answer = found.answer(asked(f"{V3}/objects/contacts/search", body), TOKEN, 0)
    assert status == 200
    total = answer["total"]
    assert isinstance(total, int)
    return total


def test_the_fake_matches_as_hubspot_does() -> None:
    assert matching("EQ", "region", value="DACH") == 1  # a choice is exact
    assert matching("EQ", "country", value="CH") == 2  # a text is not
    assert matching("IN", "country", values=["ch"]) == 2
    assert matching("IN", "country", values=["CH"]) == 0  # lists of texts must be in lower case
    assert matching("NEQ", "region", value="DACH") == 1  # and null matches neither
    assert matching("NOT_IN", "region", values=["DACH"]) == 1
    assert matching("NOT_HAS_PROPERTY", "region") == 1
    assert matching("GTE", "num_contacted_notes", value="2") == 2


def test_without_a_list_of_properties_hubspot_gives_personal_data() -> None:
    body: dict[str, object] = {"limit": 1}
    _, answer = portal().answer(asked(f"{V3}/objects/contacts/search", body), TOKEN, 0)
    assert "Planted" in json.dumps(answer["results"])


def test_what_a_live_portal_would_be_asked_is_read_without_a_value_of_a_record() -> None:
    found = portal()
    found.add(region="DACH", firstname="Planted", createdate="2026-02-03T04:05:06.789Z")
    with scene(found) as here:
        lines = list(facts(here.hubspot(), NOW))
    assert lines[0] == "account details: readable, zone Europe/Zurich"
    assert "not there ['a_property_that_nobody_has']" in lines[1]
    assert (
        "ids ascend: True; full page: True; shapes of dates ['', '0000-00-00T00:00:00.000Z']"
        in lines[2]
    )
    assert "unknown name is dropped: True" in lines[2]
    assert lines[3] == "all pages of this year: 1 records, reconciled"
    assert "no longer offers API version '2025-03'" in lines[5]
    assert "Planted" not in "".join(lines)

"""The JSON of the preview does what its description says, whatever it is asked."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import Case, GenerationMode
from starlette.testclient import TestClient

from tests.effort import effort
from tests.preview.conftest import BASE, Stage

OPERATIONS = (
    "/api/digests",
    "/api/d/{digest}/edition",
    "/api/d/{digest}/standing",
    "/api/d/{digest}/lint",
    "/api/d/{digest}/figures",
    "/api/d/{digest}/figures/{figure}",
    "/api/d/{digest}/worksheet",
    "/api/d/{digest}/what-if",
)
METHODS = ("POST", "PUT", "DELETE", "PATCH", "TRACE", "OPTIONS", "INVENTED")


def test_the_description_names_every_path_of_the_interface(stage: Stage) -> None:
    from digest.preview.pages import PAGES

    described = stage.ask.get("/openapi.json").json()["paths"]

    assert set(described) == set(OPERATIONS)
    assert set(described) == {page.path for page in PAGES if page.path.startswith("/api/")}


@pytest.mark.parametrize(
    ("mode", "path"),
    [
        *((GenerationMode.POSITIVE, path) for path in OPERATIONS),
        *((GenerationMode.NEGATIVE, path) for path in OPERATIONS if "{" in path),
    ],
)
def test_whatever_it_is_asked_it_answers_as_described(
    stage: Stage, path: str, mode: GenerationMode
) -> None:
    description = stage.ask.get("/openapi.json").json()
    if mode is GenerationMode.NEGATIVE:  # that strangers are refused is another test
        del description["security"]
    schema = schemathesis.openapi.from_dict(description)
    schema.app = stage.ask.app
    operation = schema[path]["GET"]

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=effort(8, 20),
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: Case[Any]) -> None:
        case.call_and_validate(
            base_url=BASE,
            headers={"Origin": BASE},
            cookies=dict(stage.ask.cookies),
        )

    ask()


@pytest.mark.parametrize("path", ["/", "/d/demo", "/d/demo/frame", "/api/digests", "/openapi.json"])
@pytest.mark.parametrize("method", METHODS)
def test_a_method_that_a_page_does_not_have_is_named(stage: Stage, path: str, method: str) -> None:
    answer = stage.ask.request(method, path, headers={"origin": BASE})

    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}


def test_what_is_not_there_says_what_is_as_json(stage: Stage) -> None:
    answer = stage.ask.get("/api/d/nope/edition")

    assert answer.status_code == 404
    assert answer.json() == {"error": {"what": "digest", "found": "nope", "allowed": "demo"}}


def test_an_address_that_is_not_there_says_which_are_as_json(stage: Stage) -> None:
    answer = stage.ask.get("/api/d/demo/sla")

    assert answer.status_code == 404
    error = answer.json()["error"]
    assert (error["what"], error["found"]) == ("page", "/api/d/demo/sla")
    assert "/api/d/{digest}/worksheet, " in error["allowed"]


def test_a_free_day_says_why_as_json(stage: Stage) -> None:
    answer = stage.ask.get("/api/d/demo/edition?date=2026-06-14")

    assert answer.status_code == 404
    assert answer.json()["error"]["found"] == "2026-06-14: weekend"


def test_the_edition_is_that_of_digest_show(stage: Stage) -> None:
    body = stage.ask.get("/api/d/demo/edition").json()

    assert (body["digest"], body["date"], body["schema"]) == ("demo", "2026-06-16", 1)
    assert stage.ask.get("/api/d/demo/standing").json()["deliveries"] == {"sent": 2}


def test_the_interface_is_closed_to_strangers(stage: Stage) -> None:
    stranger: TestClient = stage.stranger

    for path in ("/api/digests", "/openapi.json"):
        assert stranger.get(path).status_code == 401
        headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"}
        assert stage.ask.get(path, headers=headers).status_code == 403

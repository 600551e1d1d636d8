"""HubSpot: every failure of the table is repeated as it says, and ends in an exact count or in none."""

from __future__ import annotations

import json
import logging
import math
import re
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from digest.connectors.hubspot.transport import Pace
from digest.errors import ConfigError, ConnectorError, DigestError, Reason
from digest.model import Secret
from tests.effort import CUTS
from tests.fakes.hubspot import DAILY, ROLLING, SECONDLY, TOKEN, Definition, Fault, Portal
from tests.hubspot.scene import MQL, NOW, OCTOBER, SEGMENTS, Scene, at, entered, scene

NAME = "Ottilie Plantedlead"
HTML = "<html><body>Bad gateway für alle</body></html>"


def portal_of(count: int) -> Portal:
    portal = Portal()
    row = {
        entered(MQL): at("2026-10-05T10:00"),
        "region": "DACH",
        "firstname": NAME,
        "lastname": NAME,
    }
    portal.add_all("contacts", [row] * count)
    return portal


def json_fault(status: int, body: Mapping[str, object], **headers: str) -> Fault:
    return Fault(status, body, headers={k.replace("_", "-"): v for k, v in headers.items()})


MISSING = {
    "status": "error",
    "category": "MISSING_SCOPES",
    "message": "required scopes",
    "errors": [{"context": {"requiredGranularScopes": ["crm.objects.contacts.read"]}}],
}
INVALID = {
    "status": "error",
    "category": "VALIDATION_ERROR",
    "message": f"Property 'x' {TOKEN}\n bad",
}


@dataclass(frozen=True)
class Case:
    """A fault, the requests it leads to when it stays, the waits between them, and what is raised."""

    fault: Fault
    waits: tuple[float, ...]
    error: type[DigestError] = ConnectorError
    reason: Reason | None = Reason.TRANSIENT
    words: str = ""


PASSING = (0.5, 1.0, 2.0)
CASES = {
    "429 secondly": Case(json_fault(429, SECONDLY), (1, 2, 3, 4, 5)),
    "429 secondly, 0": Case(json_fault(429, SECONDLY, Retry_After="0"), (0,) * 5),
    "429 secondly, 7": Case(json_fault(429, SECONDLY, Retry_After="7"), (7,) * 5),
    "429 secondly, 900": Case(json_fault(429, SECONDLY, Retry_After="900"), (30, 30, 30)),
    "429 secondly, date": Case(
        json_fault(429, SECONDLY, Retry_After="Fri, 31 Dec 2026 23:59:59 GMT"), (1, 2, 3, 4, 5)
    ),
    "429 secondly, garbage": Case(json_fault(429, SECONDLY, Retry_After="soon²"), (1, 2, 3, 4, 5)),
    "429 without a body": Case(Fault(429), (1, 2, 3, 4, 5)),
    "429 rolling": Case(json_fault(429, ROLLING), (10, 10)),
    "429 daily": Case(json_fault(429, DAILY), (), reason=Reason.QUOTA, words="2026-11-03 00:00"),
    "423": Case(json_fault(423, {"message": "locked"}), (2, 2)),
    "477": Case(json_fault(477, {}, Retry_After="40"), (40, 40), words="portal until 2026-11-02 06:00"),
    "477 for a day": Case(json_fault(477, {}, Retry_After="86400"), (), words="2026-11-03 06:00 UTC"),
    "500": Case(json_fault(500, {"message": "oops"}), PASSING, words="answered 500"),
    "502 HTML": Case(Fault(502, HTML, content_type="text/html"), PASSING, words="answered 502"),
    "502 Latin-1": Case(Fault(502, HTML.encode("latin-1")), PASSING, words="answered 502"),
    "503": Case(Fault(503), PASSING),
    "504": Case(Fault(504), PASSING),
    "521": Case(Fault(521), PASSING),
    "522": Case(Fault(522), PASSING),
    "523": Case(Fault(523), PASSING),
    "524": Case(Fault(524), PASSING),
    "redirect": Case(Fault(302, headers={"Location": "http://127.0.0.1:9/"}), PASSING),
    "reset": Case(Fault(manner="reset"), PASSING, words="connection"),
    "cut": Case(Fault(cut=40), PASSING, words="broke off"),
    "cut unannounced": Case(Fault(cut=40, promise=False), PASSING, words="cut off"),
    "HTML with 200": Case(Fault(200, HTML), PASSING, words="no JSON"),
    "a list with 200": Case(Fault(200, "[1]"), PASSING, words="no JSON object"),
    "deep JSON": Case(Fault(200, "[" * 100_000), PASSING, words="no JSON"),
    "401": Case(json_fault(401, {"category": "INVALID_AUTHENTICATION"}), (), reason=Reason.AUTH),
    "530": Case(Fault(530), (), reason=Reason.AUTH, words="refused as malformed.*key"),
    "403 scopes": Case(json_fault(403, MISSING), (), reason=Reason.AUTH, words="crm.objects.contacts.read"),
    "403": Case(Fault(403, HTML), (), reason=Reason.AUTH, words="read scopes"),
    "400": Case(json_fault(400, INVALID), (), error=ConfigError, reason=None, words=r"'x' \*\*\* bad"),
    "404": Case(Fault(404), (), error=ConfigError, reason=None, words="version '2026-09'"),
    "410": Case(Fault(410), (), error=ConfigError, reason=None, words="no longer offers"),
    "418": Case(Fault(418), ()),
}  # fmt: skip


def held(here: Scene, **settings: Any) -> DigestError:  # noqa: ANN401 - settings
    with pytest.raises(DigestError) as caught:
        here.count(**settings)
    return caught.value


def waits(here: Scene) -> list[float]:
    """The waits that are no mere pace between requests."""
    return [round(wait, 2) for wait in here.clock.slept if wait >= 0.45]


@pytest.mark.failure("D1", "D2", "D3", "D4", "D6", "D7")
@pytest.mark.parametrize("page", [1, 2], ids=["first page", "second page"])
@pytest.mark.parametrize("name", CASES)
def test_a_failure_that_stays_is_repeated_as_the_table_says_and_holds_the_count(
    name: str, page: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    case = CASES[name]
    with scene(portal_of(600)) as here:
        here.portal.faults.extend([None] * page + [case.fault] * 20)
        error = held(here)
        requests = len(here.portal.asked) - page
    assert type(error) is case.error
    if isinstance(error, ConnectorError):
        assert error.reason is case.reason
    if case.words:
        assert re.search(case.words, str(error)), str(error)
    if 0 not in case.waits:  # the slower pace then shows instead
        assert waits(here) == [float(wait) for wait in case.waits]
    assert requests == len(case.waits) + 1
    assert sum(here.clock.slept) <= 120
    for text in (str(error), repr(error), caplog.text, repr(here.hubspot())):
        assert TOKEN not in text
        assert NAME not in text


@pytest.mark.failure("D3", "D4", "D6")
@pytest.mark.parametrize("page", [1, 2], ids=["first page", "second page"])
@pytest.mark.parametrize(
    "name", [name for name, case in CASES.items() if case.waits and "900" not in name]
)
def test_a_failure_that_passes_costs_a_repeat_and_no_lead(name: str, page: int) -> None:
    with scene(portal_of(600)) as here:
        here.portal.faults.extend([None] * page + [CASES[name].fault])
        counts = here.count()
        assert (counts.total, counts.reconciled) == (600, True)
        assert counts.origin.calls == len(here.portal.asked) == 1 + 3 + 1


@pytest.mark.failure("D3")
@pytest.mark.parametrize(
    ("now", "zone", "midnight"),
    [
        ("2026-10-31T22:30:00+00:00", "Europe/Zurich", "2026-11-01 00:00"),
        ("2026-10-31T23:30:00+00:00", "Europe/Zurich", "2026-11-02 00:00"),
        ("2026-11-01T03:00:00+00:00", "America/Los_Angeles", "2026-11-01 00:00"),
    ],
)
def test_a_used_up_day_ends_at_the_local_midnight_and_not_at_that_of_utc(
    now: str, zone: str, midnight: str
) -> None:
    moment = datetime.fromisoformat(now)
    portal = portal_of(1)
    portal.today = moment
    with scene(portal) as here:
        portal.faults.extend([None, json_fault(429, DAILY)])
        with pytest.raises(ConnectorError, match=f"\\({midnight} if that is {zone}\\)"):
            here.hubspot().count_leads(
                period=replace(OCTOBER, timezone=zone), segments=SEGMENTS, now=moment
            )


@pytest.mark.failure("D5")
def test_a_portal_that_does_not_answer_is_asked_again() -> None:
    with scene(portal_of(1), read_seconds=0.05) as here:
        here.portal.faults.extend([None, Fault(manner="silent")])
        assert here.count().total == 1
        here.portal.asked.clear()
        here.portal.faults.extend([None, *[Fault(manner="silent")] * 4])
        assert "no answer in time" in str(held(here))
        assert len(here.portal.asked) == 1 + 4


@pytest.mark.failure("D5")
def test_an_answer_byte_by_byte_never_outlasts_the_time_of_the_count() -> None:
    with scene(portal_of(200), read_seconds=60) as here:
        here.portal.faults.extend([None, *[Fault(manner="trickle")] * 9])
        here.portal.before_search = lambda _: here.clock.sleep(4)  # of the five seconds
        started = time.monotonic()
        with pytest.raises(ConnectorError) as caught:
            here.count(max_seconds=5)
    assert caught.value.reason is Reason.TRANSIENT
    assert time.monotonic() - started < 7
    assert len(here.portal.asked) == 2


@pytest.mark.failure("D5")
@pytest.mark.parametrize("fault", [Fault(manner="trickle"), Fault(502, HTML * 9, manner="trickle")])
def test_an_answer_byte_by_byte_is_given_up_at_the_deadline(fault: Fault) -> None:
    with scene(portal_of(200), read_seconds=0.15) as here:
        here.portal.faults.extend([None, *[fault] * 9])
        error = held(here)
    assert "too long" in str(error) or "connection" in str(error)
    assert len(here.portal.asked) == 1 + 4


@pytest.mark.no_cover
@pytest.mark.failure("D7")
@pytest.mark.parametrize("step", CUTS)
def test_an_answer_cut_at_any_byte_is_repeated_or_held_and_never_counted(step: int) -> None:
    with scene(portal_of(2)) as here:
        assert here.count().total == 2
        whole = len(json.dumps(here.portal._answer(here.portal.asked[-1], TOKEN, 0)[1]))
        assert whole > 300
        connector = here.hubspot()
        for cut in range(0, whole, step):
            here.portal.faults = deque([None, Fault(cut=cut, promise=cut % 2 == 0)])
            later = NOW + timedelta(milliseconds=cut)  # a run of its own
            counts = connector.count_leads(period=OCTOBER, segments=SEGMENTS, now=later)
            assert (counts.total, counts.origin.calls) == (2, 3), cut
        for cut in range(0, whole, 16 * step):
            here.portal.faults = deque([None, *[Fault(cut=cut, promise=False)] * 4])
            assert isinstance(held(here), ConnectorError)


@pytest.mark.failure("D8")
@pytest.mark.parametrize(
    "damage",
    [
        {"total": None},
        {"total": "7"},
        {"total": True},
        {"total": -1},
        {"total": 1},
        {"results": None},
        {"results": [{"id": "200", "properties": {}}, {"id": "200", "properties": {}}]},
        {"results": [{"id": "300", "properties": {}}, {"id": "200", "properties": {}}]},
        {"results": []},
        {"results": [{"id": "x", "properties": {}}]},
        {"results": [{"id": "²", "properties": {}}]},
        {"results": [{"id": "9" * 5000, "properties": {}}]},
        {"results": [{"id": "1", "properties": None}]},
        {"results": [{"id": "1", "properties": {"region": ["DACH"]}}]},
        {"results": ["x"]},
    ],
    ids=repr,
)
def test_an_answer_that_cannot_be_true_is_read_once_more_and_then_held(
    damage: dict[str, object],
) -> None:
    with scene(portal_of(450)) as here:
        here.portal.alter = lambda number, body: body.update(damage) if number == 2 else None
        assert here.count().total == 450
        here.portal.asked.clear()
        here.portal.alter = lambda _, body: body.update(damage)
        error = held(here)
    assert isinstance(error, ConnectorError)
    assert error.reason is Reason.UNRECONCILED


@pytest.mark.failure("D8")
def test_a_total_that_never_agrees_is_held_with_all_three_numbers() -> None:
    with scene(portal_of(450)) as here:

        def more(number: int, body: dict[str, Any]) -> None:
            if number in (1, 5) or len(body["results"]) == 1:
                body["total"] = 470

        here.portal.alter = more
        error = held(here)
    assert "promised 470 records, gave 450, and then promised 470" in str(error)
    assert len(here.portal.asked) == 1 + 2 * (3 + 1)


@pytest.mark.parametrize("page", [1, 7, 150])
def test_short_pages_lose_nothing(page: int) -> None:
    portal = portal_of(301)
    portal.page = page
    with scene(portal, max_calls=400) as here:
        assert here.count().total == 301
        assert len(portal.searches) == math.ceil(301 / page)


def test_five_searches_a_second_are_never_exceeded() -> None:
    portal = portal_of(25 * 200)
    portal.per_second = 5
    with scene(portal) as here:
        assert here.count().total == 5000
        assert len(portal.searches) == 25


def test_a_portal_out_of_requests_is_asked_half_as_often_for_ten_seconds() -> None:
    pace = Pace(4)
    assert [pace.reserve(0) for _ in range(3)] == [0, 0.25, 0.5]
    pace.slow_down(0.6)
    assert [pace.reserve(0.6) for _ in range(3)] == pytest.approx([0.15, 0.65, 1.15])
    assert pace.reserve(20) == 0
    assert pace.reserve(20) == 0.25
    with scene(portal_of(1)) as here:
        here.portal.faults.extend([None, *[json_fault(429, SECONDLY, Retry_After="0")] * 4])
        assert here.count().total == 1
    assert sum(here.clock.slept) == pytest.approx(0.25 + 3 * 0.5, abs=0.2)


def test_another_app_that_eats_the_limit_costs_calls_and_no_lead() -> None:
    portal = portal_of(25 * 200)
    portal.per_second, portal.others = 5, 3
    with scene(portal) as here:
        assert here.count().total == 5000
        assert 25 < len(portal.searches) <= 60
        assert sum(here.clock.slept) < 120


def test_a_pull_that_cannot_end_in_time_ends_at_the_deadline() -> None:
    portal = portal_of(200 * 60)
    with scene(portal) as here:
        error = held(here, max_seconds=10)
    assert "was not finished within 10 s" in str(error)
    assert sum(here.clock.slept) <= 10


@pytest.mark.failure("T1")
def test_a_clock_that_is_ten_minutes_off_holds_the_count() -> None:
    portal = portal_of(1)
    portal.today = NOW + timedelta(minutes=11)
    with scene(portal) as here:
        assert "differ by 11 minutes" in str(held(here))
        portal.today = NOW - timedelta(minutes=9)
        assert here.count().total == 1


@pytest.mark.failure("D5")
def test_a_port_where_nobody_listens_is_a_passing_failure() -> None:
    with scene(portal_of(1)) as here:
        pass
    error = held(here)
    assert isinstance(error, ConnectorError)
    assert error.reason is Reason.TRANSIENT
    assert TOKEN not in str(error)


@pytest.mark.failure("D1", "D2")
def test_a_refused_token_and_a_missing_scope_say_what_to_do() -> None:
    with scene(portal_of(1)) as here:
        error = held(here, token=Secret("pat-other"))
        assert "service key" in str(error)
        assert "refused, or it has expired" in str(error)
        assert "pat-other" not in str(error)
        here.portal.scopes.clear()
        assert "crm.objects.contacts.read" in str(held(here))


def test_the_loggers_of_others_keep_their_levels() -> None:
    logger = logging.getLogger("urllib3")
    logger.setLevel(logging.DEBUG)
    try:
        with scene(portal_of(1)) as here:
            here.count()
        assert logger.level == logging.DEBUG
    finally:
        logger.setLevel(logging.NOTSET)


def test_no_lead_and_no_token_leaves_the_connector(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    portal = portal_of(3)
    portal.define("contacts", Definition("nickname"))
    with scene(portal) as here:
        connector = here.hubspot()
        counts = connector.count_leads(period=OCTOBER, segments=SEGMENTS, now=NOW)
        found = connector.check(period=OCTOBER, segments=SEGMENTS, now=NOW)
    for text in (repr(counts), repr(found), repr(connector), caplog.text):
        assert TOKEN not in text
        assert NAME not in text
        assert "'101'" not in text

"""A stateful HubSpot on loopback: search, definitions, account and access tokens, with limits and faults.

By hand: `python -m tests.fakes.hubspot --port 8808 --contacts 20000`, and in another terminal a real config
against it: `HUBSPOT_TOKEN=pat-planted-7f3a9c python -m tests.hubspot.by_hand 8808 check digest.toml`.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import socket
import sys
import threading
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime, formatdate
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl

TOKEN = "pat-planted-7f3a9c"
CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN = "app-4242", "planted-secret-b1", "planted-refresh-c2"
LONG_AGO = "2020-01-01T00:00:00.000Z"
STAGES = (
    "subscriber", "lead", "marketingqualifiedlead", "salesqualifiedlead", "opportunity", "customer",
    "evangelist", "other",
)  # fmt: skip
SCOPES = {
    "contacts": "crm.objects.contacts.read",
    "companies": "crm.objects.companies.read",
    "leads": "crm.objects.leads.read",
    "deals": "crm.objects.deals.read",
}
OPERATORS = frozenset(
    ["EQ", "NEQ", "LT", "LTE", "GT", "GTE", "IN", "NOT_IN", "HAS_PROPERTY", "NOT_HAS_PROPERTY"]
)
MOST_GROUPS, MOST_PER_GROUP, MOST_FILTERS, LONGEST_BODY, LAST_RESULT = 5, 6, 18, 3000, 10_000
_PATH = re.compile(
    r"/crm/(?:v3/objects|objects/(?P<v1>\d{4}-\d\d))/(?P<searched>\w+)/search"
    r"|/crm/(?:v3/properties|properties/(?P<v2>\d{4}-\d\d))/(?P<defined>\w+)(?P<batch>/batch/read)?"
    r"|/crm/v3/objects/(?P<listed>\w+)\?(?P<query>.*)"
    r"|/account-info/(?P<account>v3|\d{4}-\d\d)/details"
    r"|/oauth/(?P<oauth>v3|\d{4}-\d\d)/token"
)

Properties = Mapping[str, str | None]


@dataclass
class Record:
    """A record; `index` holds values that the search index has not caught up with."""

    id: int
    properties: dict[str, str | None]
    index: dict[str, str | None] = field(default_factory=dict)

    def indexed(self, name: str) -> str | None:
        """The value that search matches on."""
        if name == "hs_object_id":
            return str(self.id)
        return self.index[name] if name in self.index else self.properties.get(name)


@dataclass(frozen=True)
class Definition:
    """A property: datetime, date, number, bool, enumeration or string."""

    name: str
    type: str = "string"
    label: str = ""
    options: tuple[tuple[str, str], ...] = ()  # label, value
    field_type: str = ""

    def as_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "label": self.label or self.name,
            "type": self.type,
            "fieldType": self.field_type or {"enumeration": "select"}.get(self.type, "text"),
            "groupName": "contactinformation",
            "description": "",
            "options": [
                {"label": label, "value": value, "displayOrder": n, "hidden": False}
                for n, (label, value) in enumerate(self.options)
            ],
            "archived": False,
        }


@dataclass(frozen=True)
class Fault:
    """What one request gets instead of, or done to, its answer.

    Attributes:
        status: None answers as usual, with the body cut after `cut` bytes or sent byte by byte.
        promise: announce the whole length although the body is cut.
        manner: answer, reset, silent (nothing within 3 s) or trickle (a byte each 20 ms).
    """

    status: int | None = None
    body: bytes | str | Mapping[str, object] = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None
    promise: bool = True
    manner: str = "answer"
    content_type: str = "application/json;charset=utf-8"

    @property
    def payload(self) -> bytes:
        if isinstance(self.body, Mapping):
            return json.dumps(self.body).encode()
        return self.body.encode() if isinstance(self.body, str) else self.body


SECONDLY = {
    "status": "error",
    "message": "You have reached your secondly limit.",
    "category": "RATE_LIMITS",
    "correlationId": "0d8f3c1e",
}
ROLLING = {
    "status": "error",
    "message": "You have reached your ten_secondly_rolling limit.",
    "errorType": "RATE_LIMIT",
    "policyName": "TEN_SECONDLY_ROLLING",
}
DAILY = {
    "status": "error",
    "message": "You have reached your daily limit.",
    "errorType": "RATE_LIMIT",
    "policyName": "DAILY",
}


@dataclass(frozen=True)
class Asked:
    """One request as it came in."""

    method: str
    path: str
    body: Any
    port: int
    token: str = ""

    @property
    def search(self) -> bool:
        return self.path.endswith("/search")


class Clock:
    """Real seconds plus those that were slept without waiting."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self._ahead = 0.0

    def now(self) -> float:
        return time.monotonic() + self._ahead

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._ahead += seconds


class _RefusalError(Exception):
    def __init__(self, status: int, body: Mapping[str, object]) -> None:
        super().__init__(status)
        self.status = status
        self.body = body


@dataclass
class Portal:
    """The state of one account.

    Attributes:
        asked: every request. faults: what the next requests get, None for a plain answer.
        today: the Date header, the machine's when None.
        per_second: searches per second of all apps; `others` are those of another app.
        clock: seconds; the limit counts by it.
        lifetime: seconds of an access token of the app. granted: what its answer says of scopes.
        capped: `total` never exceeds 10,000. page: most rows of a page, whatever is asked.
        before_search: called with the number of the search, from 1, before it is answered.
        alter: changes a search's answer before it is sent.
    """

    records: dict[str, dict[int, Record]] = field(default_factory=dict)
    definitions: dict[str, dict[str, Definition]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    faults: deque[Fault | None] = field(default_factory=deque)
    scopes: set[str] = field(default_factory=lambda: set(SCOPES.values()))
    token: str = TOKEN
    refresh_tokens: set[str] = field(default_factory=lambda: {REFRESH_TOKEN})
    lifetime: float = 1800
    granted: list[str] | None = field(default_factory=lambda: ["oauth", *SCOPES.values()])
    account: dict[str, object] = field(default_factory=dict)
    account_readable: bool = True
    today: datetime | None = None
    headers: dict[str, str] = field(default_factory=dict)
    per_second: int | None = None
    others: int = 0
    clock: Callable[[], float] = time.monotonic
    capped: bool = False
    page: int = 200
    versions: tuple[str, ...] = ("v3", "2026-03", "2026-09")
    before_search: Callable[[int], None] = lambda _: None
    alter: Callable[[int, dict[str, Any]], object] = lambda _, body: body
    port: int = 0
    _issued: dict[str, float] = field(default_factory=dict)
    _answered: deque[float] = field(default_factory=deque)
    _found: dict[str, tuple[list[int], list[Record]]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        for name in SCOPES:
            self.records.setdefault(name, {})
        if not self.definitions:
            self.definitions = standard_definitions()
        self.account = {
            "portalId": 4242,
            "timeZone": "Europe/Zurich",
            "companyCurrency": "CHF",
            "additionalCurrencies": [],
            "utcOffset": "+02:00",
            "utcOffsetMilliseconds": 7_200_000,
            "uiDomain": "app.hubspot.com",
            "dataHostingLocation": "eu1",
        } | self.account

    # ------------------------------------------------------------------------------------- state

    def add(
        self,
        kind: str = "contacts",
        *,
        number: int | None = None,
        **properties: Any,  # noqa: ANN401 - text or None, by any name
    ) -> Record:
        """Add a record; ids grow."""
        table = self.records[kind]
        number = max(table, default=100) + 1 if number is None else number
        table[number] = Record(number, dict(properties))
        self.changed()
        return table[number]

    def add_all(self, kind: str, rows: Sequence[Properties], first: int = 101) -> None:
        """Add many records at once."""
        self.records[kind] |= {n: Record(n, dict(row)) for n, row in enumerate(rows, first)}
        self.changed()

    def archive(self, *ids: int, kind: str = "contacts") -> None:
        for number in ids:
            del self.records[kind][number]
        self.changed()

    def define(self, kind: str, *definitions: Definition) -> None:
        self.definitions[kind] |= {definition.name: definition for definition in definitions}

    def changed(self) -> None:
        """Forget what was found before a change."""
        self._found.clear()

    @property
    def searches(self) -> list[Asked]:
        return [asked for asked in self.asked if asked.search]

    # ---------------------------------------------------------------------------------- requests

    def answer(self, asked: Asked, token: str, length: int) -> tuple[int, Mapping[str, object]]:
        """Answer one request; every refusal has HubSpot's body."""
        with self._lock:
            try:
                return self._answer(asked, token, length)
            except _RefusalError as refusal:
                return refusal.status, refusal.body

    def _answer(  # noqa: C901 - one refusal after the other
        self, asked: Asked, token: str, length: int
    ) -> tuple[int, Mapping[str, object]]:
        match = _PATH.fullmatch(asked.path)
        named = match and (match["v1"] or match["v2"] or match["account"] or match["oauth"])
        version = named or "v3"
        if not match or version not in self.versions:
            raise _RefusalError(404, {"status": "error", "message": "resource not found"})
        if match["oauth"]:
            return 200, self._grant(asked.body)
        if not token.isascii() or " " in token:
            raise _RefusalError(530, {"status": "error", "message": "malformed"})
        if token in self._issued and self.clock() >= self._issued[token]:
            raise _RefusalError(401, _error("EXPIRED_AUTHENTICATION", "The access token expired."))
        if token != self.token and token not in self._issued:
            body = _error("INVALID_AUTHENTICATION", "Authentication credentials not found.")
            raise _RefusalError(401, body)
        if match["account"]:
            if not self.account_readable:
                raise _scopes("account-info.read")
            return 200, self.account
        kind = match["searched"] or match["defined"] or match["listed"]
        if kind not in self.records:
            raise _RefusalError(404, {"status": "error", "message": "Unable to infer object type"})
        if SCOPES[kind] not in self.scopes:
            raise _scopes(SCOPES[kind])
        if match["listed"]:
            return 200, self._list(kind, parse_qs(match["query"]))
        if match["defined"] and not match["batch"]:
            return 200, {"results": [d.as_json() for d in self.definitions[kind].values()]}
        if match["defined"]:
            return self._definitions(kind, asked.body)
        number = len(self.searches)
        self._limit()
        self.before_search(number)
        found = self._search(kind, asked.body, length)
        return 200, self.alter(number, found) or found  # type: ignore[return-value] # a test may answer anything

    def _grant(self, form: Mapping[str, str]) -> dict[str, object]:
        """Exchange the app's refresh token for a new access token, as a form in the body."""
        if form.get("grant_type") != "refresh_token":
            raise _RefusalError(400, {"status": "BAD_GRANT_TYPE", "message": "unknown grant type"})
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            raise _RefusalError(400, {"status": "BAD_CLIENT_ID", "message": "no such app"})
        refresh = form.get("refresh_token", "")
        if refresh not in self.refresh_tokens:
            said = f"missing or invalid refresh token {refresh}"
            raise _RefusalError(400, {"status": "BAD_REFRESH_TOKEN", "message": said})
        token = f"planted-access-{len(self._issued)}"
        self._issued[token] = self.clock() + self.lifetime
        answer: dict[str, object] = {
            "token_type": "bearer",
            "refresh_token": refresh,
            "access_token": token,
            "expires_in": round(self.lifetime),
            "hub_id": self.account["portalId"],
        }
        return answer if self.granted is None else answer | {"scopes": self.granted}

    def _limit(self) -> None:
        if self.per_second is None:
            return
        now = self.clock()
        while self._answered and now - self._answered[0] >= 1:
            self._answered.popleft()
        if len(self._answered) >= self.per_second - self.others:
            raise _RefusalError(429, SECONDLY)
        self._answered.append(now)

    def _definitions(self, kind: str, body: Any) -> tuple[int, Mapping[str, object]]:  # noqa: ANN401 - JSON
        if not {"archived", "dataSensitivity", "inputs"} <= body.keys():
            raise _validation("archived, dataSensitivity and inputs are required")
        names = [entry["name"] for entry in body["inputs"]]
        known = self.definitions[kind]
        missing = [name for name in names if name not in known]
        answer: dict[str, object] = {
            "status": "COMPLETE",
            "startedAt": LONG_AGO,
            "completedAt": LONG_AGO,
            "results": [known[name].as_json() for name in names if name in known],
        }
        if not missing:
            return 200, answer
        errors = [{"status": "error", "category": "OBJECT_NOT_FOUND", "context": {"name": missing}}]
        return 207, answer | {"numErrors": len(errors), "errors": errors}

    def _list(self, kind: str, query: Mapping[str, list[str]]) -> dict[str, object]:
        """Every record, page by page, as the vendor's get_all reads them."""
        ids = list(self.records[kind])
        start = bisect_right(ids, int(query.get("after", ["0"])[0]))
        page = ids[start : start + min(int(query.get("limit", ["10"])[0]), 100)]
        names = ",".join(query.get("properties", ["firstname,lastname,email"])).split(",")
        rows = [self._row(kind, self.records[kind][number], names) for number in page]
        more = start + len(page) < len(ids)
        return {"results": rows} | ({"paging": {"next": {"after": str(page[-1])}}} if more else {})

    # ------------------------------------------------------------------------------------ search

    def _search(self, kind: str, body: Any, length: int) -> dict[str, Any]:  # noqa: ANN401 - JSON
        groups = body.get("filterGroups", [])
        limit, after = body.get("limit", 10), int(body.get("after") or 0)
        if length > LONGEST_BODY:
            raise _validation(f"The request body is longer than {LONGEST_BODY} characters")
        if len(groups) > MOST_GROUPS or sum(len(g["filters"]) for g in groups) > MOST_FILTERS:
            raise _validation("too many filterGroups or filters")
        if any(len(group["filters"]) > MOST_PER_GROUP for group in groups):
            raise _validation("too many filters in a group")
        if not 0 <= limit <= 200 or after + limit > LAST_RESULT:  # 200: largest page
            raise _validation("limit or paging is out of range")
        if len(body.get("sorts", [])) > 1:
            raise _validation("only one sort is allowed")
        for condition in (f for group in groups for f in group["filters"]):
            if condition["propertyName"] not in self.definitions[kind]:
                name = condition["propertyName"]
                raise _validation(f"Property {name!r} does not exist")
            if condition["operator"] not in OPERATORS:
                raise _validation(f"{condition['operator']} is no operator")
        found = self._remaining(kind, groups, body.get("sorts", []))
        page = found[after : after + min(limit, self.page)]
        total = min(len(found), LAST_RESULT) if self.capped else len(found)
        names = body.get("properties", ["firstname", "lastname", "email"])
        rows = [self._row(kind, record, names) for record in page]
        answer: dict[str, Any] = {"total": total, "results": rows}
        if len(found) > after + len(page):
            answer["paging"] = {"next": {"after": str(after + len(page))}}
        return answer

    def _row(self, kind: str, record: Record, names: Sequence[str]) -> dict[str, object]:
        known = self.definitions[kind]
        shown = {name: record.properties.get(name) for name in names if name in known}
        return {
            "id": str(record.id),
            "properties": shown | {"hs_object_id": str(record.id)},
            "createdAt": record.properties.get("createdate") or LONG_AGO,
            "updatedAt": record.properties.get("createdate") or LONG_AGO,
            "archived": False,
        }

    def _remaining(self, kind: str, groups: Any, sorts: Any) -> list[Record]:  # noqa: ANN401 - JSON
        """Filter and sort once per query, however many pages are asked of it."""
        cursors = {_cursor(group) for group in groups}
        cursor = cursors.pop() if len(cursors) == 1 else None
        rest = groups if cursor is None else [_without_cursor(group) for group in groups]
        key = json.dumps([kind, rest, sorts])
        if key not in self._found:
            tests = [self._group(kind, group) for group in rest]
            kept = [
                r for r in self.records[kind].values() if not groups or any(t(r) for t in tests)
            ]
            kept.sort(key=lambda record: record.id)
            for sort in sorts:
                name = sort["propertyName"]
                if name != "hs_object_id":
                    has = [record for record in kept if record.indexed(name)]
                    values = {record.id: self._typed(kind, name, record) for record in has}
                    has.sort(key=lambda record: values[record.id])
                    kept = [record for record in kept if record.id not in values] + has
                if sort.get("direction") == "DESCENDING":
                    kept.reverse()
            self._found[key] = ([record.id for record in kept], kept)
        ids, kept = self._found[key]
        return kept if cursor is None else kept[bisect_right(ids, cursor) :]

    def _typed(self, kind: str, name: str, record: Record) -> Any:  # noqa: ANN401 - by type of the property
        return typed(self.definitions[kind][name].type, record.indexed(name))

    def _group(self, kind: str, group: Any) -> Callable[[Record], bool]:  # noqa: ANN401 - JSON
        tests = [self._condition(kind, condition) for condition in group["filters"]]
        return lambda record: all(test(record) for test in tests)

    def _condition(self, kind: str, condition: Any) -> Callable[[Record], bool]:  # noqa: ANN401 - JSON
        name, operator = condition["propertyName"], condition["operator"]
        of = self.definitions[kind][name].type
        if operator in ("HAS_PROPERTY", "NOT_HAS_PROPERTY"):
            has = operator == "HAS_PROPERTY"
            return lambda record: bool(record.indexed(name)) is has
        if operator in ("IN", "NOT_IN"):
            # Values of a string property must come in lower case; others match nothing.
            wanted = {v if of == "string" else typed(of, v) for v in condition["values"]}
            return lambda record: (
                (value := typed(of, record.indexed(name))) is not None
                and (value in wanted) is (operator == "IN")
            )
        other = typed(of, condition["value"])
        compare: Callable[[Any], bool] = {
            "EQ": lambda value: value == other,
            "NEQ": lambda value: value != other,
            "LT": lambda value: value < other,
            "LTE": lambda value: value <= other,
            "GT": lambda value: value > other,
            "GTE": lambda value: value >= other,
        }[operator]
        return lambda record: (
            (value := typed(of, record.indexed(name))) is not None and compare(value)
        )


def _cursor(group: Any) -> int | None:  # noqa: ANN401 - JSON
    for condition in group["filters"]:
        if condition["propertyName"] == "hs_object_id" and condition["operator"] == "GT":
            return int(condition["value"])
    return None


def _without_cursor(group: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    cursor = ("hs_object_id", "GT")
    kept = [f for f in group["filters"] if (f["propertyName"], f["operator"]) != cursor]
    return {"filters": kept}


@lru_cache(maxsize=400_000)
def typed(of: str, text: str | None) -> Any:  # noqa: ANN401 - by type of the property
    """Return a value as HubSpot compares it; None matches nothing."""
    if text is None or text == "":
        return None
    if of in ("datetime", "date"):
        if text.isdigit():
            return int(text)
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    if of == "number":
        return Decimal(text)
    return text if of == "enumeration" else text.lower()


def _error(category: str, message: str, **more: object) -> dict[str, object]:
    return {
        "status": "error",
        "message": message,
        "category": category,
        "correlationId": "a1b2",
    } | more


def _validation(message: str) -> _RefusalError:
    return _RefusalError(400, _error("VALIDATION_ERROR", message))


def _scopes(scope: str) -> _RefusalError:
    context = {"requiredGranularScopes": [scope]}
    errors = [{"message": "One or more of the following scopes are required.", "context": context}]
    message = "This app hasn't been granted all required scopes to make this call."
    return _RefusalError(403, _error("MISSING_SCOPES", message, errors=errors))


# ------------------------------------------------------------------------------------------- server


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    portal: Portal
    wbufsize = -1  # head and body in one segment

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        form = self.headers.get_content_type() == "application/x-www-form-urlencoded"
        body = (dict(parse_qsl(raw.decode())) if form else json.loads(raw)) if raw else None
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        asked = Asked(self.command, self.path, body, self.client_address[1], token)
        self.portal.asked.append(asked)
        fault = (self.portal.faults.popleft() if self.portal.faults else None) or Fault()
        if fault.manner == "reset":
            self.close_connection = True
            linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()
            return
        if fault.manner == "silent":
            time.sleep(3)
            self.close_connection = True
            return
        if fault.status is None:
            status, answer = self.portal.answer(asked, token, len(raw))
            payload = json.dumps(answer).encode()
        else:
            status, payload = fault.status, fault.payload
        with suppress(OSError):
            self._send(status, payload, fault)

    def _send(self, status: int, payload: bytes, fault: Fault) -> None:
        today = self.portal.today
        self.send_response_only(status)
        date_header = format_datetime(today, usegmt=True) if today else formatdate(usegmt=True)
        self.send_header("Date", date_header)
        self.send_header("Content-Type", fault.content_type)
        for name, value in {**self.portal.headers, **fault.headers}.items():
            self.send_header(name, value)
        sent = payload[: fault.cut]
        if fault.cut is not None:
            self.close_connection = True
        if fault.promise:
            self.send_header("Content-Length", str(len(payload)))
        else:
            self.send_header("Connection", "close")
        self.end_headers()
        if fault.manner == "trickle":
            for byte in sent:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                time.sleep(0.02)
        else:
            self.wfile.write(sent)
        self.wfile.flush()

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    disable_nagle_algorithm = True

    def handle_error(self, *_: object) -> None:
        pass  # a client that hangs up is what the tests are about


@contextmanager
def serving(portal: Portal, port: int = 0) -> Iterator[Portal]:
    """Serve a portal on loopback until the context ends; `portal.port` is where."""
    handler = type("Handler", (_Handler,), {"portal": portal})
    with _Server(("127.0.0.1", port), handler) as server:
        portal.port = server.server_port
        thread = threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        thread.start()
        try:
            yield portal
        finally:
            server.shutdown()
            thread.join()


# ------------------------------------------------------------------------------------------ contents


def standard_definitions() -> dict[str, dict[str, Definition]]:
    """The properties that every portal has, and `region`."""
    moment = [
        *(f"hs_v2_date_entered_{stage}" for stage in STAGES),
        *(f"hs_lifecyclestage_{stage}_date" for stage in STAGES),
        "createdate", "lastmodifieddate", "hs_first_outreach_date", "hubspot_owner_assigneddate",
    ]  # fmt: skip
    regions = tuple((name, name) for name in ("DACH", "Romandie", "Benelux", "Nordics"))
    shared = [
        Definition("hs_object_id", "number"),
        *(Definition(name, "datetime") for name in moment),
        Definition("firstname"), Definition("lastname"), Definition("email"), Definition("country"),
        Definition("hs_email_domain"), Definition("num_contacted_notes", "number"),
        Definition("lifecyclestage", "enumeration", "Lifecycle Stage", tuple((s.title(), s) for s in STAGES)),
        Definition("hs_lead_status", "enumeration", "Lead Status",
                   tuple((s.title(), s) for s in ("NEW", "CONNECTED", "UNQUALIFIED", "BAD_TIMING"))),
        Definition("region", "enumeration", "Region", regions),
    ]  # fmt: skip
    deals = [
        Definition("hs_object_id", "number"), Definition("closedate", "datetime"),
        Definition("createdate", "datetime"), Definition("dealname"),
        Definition("hs_is_closed", "bool"), Definition("hs_is_closed_won", "bool"),
        Definition("amount", "number"), Definition("amount_in_home_currency", "number"),
        Definition("deal_currency_code", "enumeration"), Definition("pipeline", "enumeration"),
        Definition("region", "enumeration", "Region", regions),
    ]  # fmt: skip
    kinds = {"contacts": shared, "companies": shared, "leads": shared, "deals": deals}
    return {kind: {d.name: d for d in found} for kind, found in kinds.items()}


def moment_text(moment: datetime) -> str:
    """Return an instant as HubSpot writes it."""
    return (
        moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}Z"
    )


def populate(
    portal: Portal, contacts: int, *, month: date, share: float = 0.1, seed: int = 1
) -> None:
    """Fill with contacts that went through the stages; `share` of them in the month, some skipping."""
    luck = random.Random(seed)  # noqa: S311 - the same portal each time
    start = datetime(month.year, month.month, 1, tzinfo=UTC)
    regions = ("DACH", "Romandie", "Benelux", "Nordics", None)
    rows: list[Properties] = []
    for number in range(contacts):
        inside = luck.random() < share
        days = luck.uniform(0, 27) if inside else -luck.uniform(3, 900)
        moment = start + timedelta(days=days)
        row: dict[str, str | None] = {
            "firstname": "Planted",
            "lastname": f"Person{number}",
            "email": f"planted{number}@example.org",
            "region": luck.choice(regions),
            "createdate": moment_text(moment - timedelta(days=2)),
        }
        for stage in STAGES[2:6]:
            if luck.random() < 0.75:
                row[f"hs_v2_date_entered_{stage}"] = moment_text(moment)
            moment += timedelta(days=luck.uniform(0.1, 6))
        rows.append(row)
    portal.add_all("contacts", rows)


def populate_sales(portal: Portal, *, seed: int = 1) -> None:
    """Give the contacts of `populate` a follow-up, and a closed deal to every third customer."""
    luck = random.Random(seed)  # noqa: S311 - the same portal each time
    deals: list[Properties] = []
    for record in portal.records["contacts"].values():
        row = record.properties
        entered = row.get("hs_v2_date_entered_marketingqualifiedlead")
        if entered and luck.random() < 0.8:
            call = datetime.fromisoformat(entered) + timedelta(hours=luck.expovariate(1 / 9))
            row["hs_first_outreach_date"] = moment_text(call)
            row["num_contacted_notes"] = str(luck.randint(1, 7))
        won = row.get("hs_v2_date_entered_customer")
        if won and luck.random() < 0.3:
            amount = str(luck.randint(5, 400) * 100)
            deals.append(
                {
                    "dealname": "Planted deal",
                    "closedate": won,
                    "hs_is_closed": "true",
                    "hs_is_closed_won": str(luck.random() < 0.4).lower(),
                    "amount": amount,
                    "amount_in_home_currency": amount,
                    "region": row["region"],
                }
            )
    portal.add_all("deals", deals)


def main(arguments: Sequence[str]) -> None:
    """Serve until interrupted."""
    today = datetime.now(UTC).date()  # noqa: TID251 - an entry point
    parser = argparse.ArgumentParser(prog="python -m tests.fakes.hubspot")
    parser.add_argument("--port", type=int, default=8808)
    parser.add_argument("--contacts", type=int, default=2000)
    parser.add_argument("--month", type=date.fromisoformat, default=today.replace(day=1))
    options = parser.parse_args(arguments)
    portal = Portal(per_second=5)
    populate(portal, options.contacts, month=options.month)
    populate_sales(portal)
    with serving(portal, options.port):
        sys.stdout.write(f"HubSpot on http://127.0.0.1:{portal.port}, token {TOKEN}\n")
        sys.stdout.flush()
        with suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1:])

"""A Salesforce org on loopback: it parses the SOQL it receives, refuses what Salesforce refuses and runs
the rest on an in-memory SQLite, so that a wrong question gives a wrong answer here too.

By hand: `python -m tests.fakes.salesforce --port 8088 --leads 20000`, then
`curl -d grant_type=client_credentials -u key:consumer-secret http://127.0.0.1:8088/services/oauth2/token`.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import re
import socket
import sqlite3
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, quote, unquote, urlsplit
from zoneinfo import ZoneInfo

import jwt
import requests
from requests.adapters import HTTPAdapter

PAGE = 2_000
LONGEST_URI = 16_384
MOST_QUERIES, MOST_PARTS = 5, 25
UNGROUPABLE = {"datetime", "textarea", "multipicklist", "currency", "double"}


class RefusedError(Exception):
    """What Salesforce answers with an error: status, errorCode and message."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.status, self.body = status, [{"message": message, "errorCode": code}]


def malformed(message: str) -> RefusedError:
    return RefusedError("MALFORMED_QUERY", message)


# ------------------------------------------------------------------------------------------ the org


@dataclass(frozen=True)
class Field:
    """A field as describe tells it; `to` is the object that a lookup refers to."""

    name: str
    type: str = "string"
    to: str | None = None
    formula: bool = False
    values: tuple[str, ...] = ()

    @property
    def groupable(self) -> bool:
        return self.type not in UNGROUPABLE and not self.formula

    @property
    def relationship(self) -> str | None:
        return re.sub("Id$", "", self.name).replace("__c", "__r") if self.to else None


def _fields(*fields: Field | str) -> tuple[Field, ...]:
    return tuple(Field(item) if isinstance(item, str) else item for item in fields)


def _by_name(*fields: Field) -> dict[str, Field]:
    return {item.name.lower(): item for item in fields}


OBJECTS: dict[str, tuple[Field, ...]] = {
    "Lead": _fields(
        Field("Id", "id"),
        Field("CreatedDate", "datetime"),
        Field("MQL_Date__c", "datetime"),
        Field("SQL_Date__c", "datetime"),
        Field("Won_Date__c", "datetime"),
        Field("MQL_Day__c", "date"),
        Field("Formula_Day__c", "date", formula=True),
        Field("Region__c", "picklist", values=("DACH", "Romandie", "Mars")),
        Field("Formula_Region__c", formula=True),
        Field("Notes__c", "textarea"),
        Field("Regions__c", "multipicklist", values=("DACH", "Romandie")),
        "Email",
        "Status",
        "LeadSource",
        "LastName",
        Field("Score__c", "double"),
        Field("Calls__c", "double"),
        Field("First_Response__c", "datetime"),
        Field("IsTest__c", "boolean"),
        Field("IsConverted", "boolean"),
        Field("ConvertedDate", "date"),
        Field("ConvertedContactId", "reference", to="Contact"),
        Field("ConvertedOpportunityId", "reference", to="Opportunity"),
        Field("OwnerId", "reference", to="User"),
    ),
    "Contact": _fields(
        Field("Id", "id"),
        Field("CreatedDate", "datetime"),
        "LastName",
        "Region__c",
        Field("AccountId", "reference", to="Account"),
    ),
    "Account": _fields(Field("Id", "id"), "Name", "BillingCountry"),
    "CampaignMember": _fields(
        Field("Id", "id"),
        Field("FirstRespondedDate", "date"),
        Field("HasResponded", "boolean"),
        Field("LeadOrContactId", "string"),
        "Country",
    ),
    "Application__c": _fields(
        Field("Id", "id"), Field("Qualified__c", "datetime"), Field("Region__c", "picklist")
    ),
    "Opportunity": _fields(
        Field("Id", "id"),
        Field("CloseDate", "date"),
        Field("Amount", "currency"),
        Field("IsWon", "boolean"),
        Field("IsClosed", "boolean"),
        Field("Region__c", "picklist"),
        "Name",
    ),
    "User": _fields(Field("Id", "id"), "Name", "TimeZoneSidKey"),
    "ActivityMetric": _fields(
        Field("Id", "id"),
        Field("BaseId", "reference", to="Lead"),
        Field("FirstCallDateTime", "datetime"),
        Field("FirstEmailDateTime", "datetime"),
    ),
    "Task": _fields(
        Field("Id", "id"),
        Field("WhoId", "reference", to="Lead"),
        Field("CreatedDate", "datetime"),
        Field("CompletedDateTime", "datetime"),
        Field("CreatedById", "reference", to="User"),
        Field("IsClosed", "boolean"),
        Field("IsDeleted", "boolean"),
    ),
    "Event": _fields(
        Field("Id", "id"),
        Field("WhoId", "reference", to="Lead"),
        Field("StartDateTime", "datetime"),
        Field("CreatedById", "reference", to="User"),
        Field("IsDeleted", "boolean"),
    ),
}
CURRENCY = Field("CurrencyIsoCode", "picklist")


@dataclass(frozen=True)
class Fault:
    """How one call goes wrong, or one part of a composite.

    Attributes:
        status, body, headers: the answer instead of the real one; text or JSON.
        cut: send only so many bytes of the real answer; `promise` keeps the whole Content-Length.
        reset: drop the connection. seconds: wait before the answer.
        part: index of the part of the composite that fails with `body`, or is `missing` or `renamed`.
        path: only calls whose path contains this.
    """

    status: int = 200
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None
    promise: bool = False
    reset: bool = False
    seconds: float = 0.0
    part: int | None = None
    missing: bool = False
    renamed: bool = False
    path: str = ""


@dataclass
class Org:
    """A stateful org; rows go in with `insert`, switches are plain attributes.

    Attributes:
        refuses_second_page: over 2,000 groups come as a first page whose next one fails, not as an error.
        merges_case: GROUP BY merges spellings. drops_nulls: != and NOT IN leave out records without a value.
        slow_days: queries over more days of CreatedDate fail with QUERY_TIMEOUT.
        least_completion: MIN(CompletedDateTime) is possible. date: of every answer, as HTTP writes it.
        no_conversions: the path ConvertedOpportunity is unknown.
        between: called before the query of that number (from 0) of every composite.
    """

    user_zone: str = "UTC"
    multi_currency: bool = False
    rates: Mapping[str, float] = field(default_factory=lambda: {"CHF": 1.0, "EUR": 1.1})
    refuses_second_page: bool = False
    merges_case: bool = False
    drops_nulls: bool = False
    sees_half: bool = False
    userinfo_refused: bool = False
    record_count_refused: bool = False
    no_composite: bool = False
    writes: bool = False
    per_app: bool = False
    used: int = 18
    slow_days: float | None = None
    least_completion: bool = True
    no_conversions: bool = False
    date: str | None = None
    instance: str = "acme.my.salesforce.com"
    consumer: tuple[str, str] = ("key", "consumer-secret")
    soap_fault: tuple[str, str] | None = None
    public_key: str = ""
    faults: list[Fault] = field(default_factory=list)
    between: dict[int, Callable[[], None]] = field(default_factory=dict)
    calls: list[tuple[str, str, int]] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    queries: list[str] = field(default_factory=list)
    login_forms: list[dict[str, str]] = field(default_factory=list)
    timeouts: list[object] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    port: int = 0
    _ids: int = 0

    def __post_init__(self) -> None:
        self.lock = threading.RLock()
        self.locators: dict[str, tuple[list[dict[str, Any]], int]] = {}
        self.objects = {
            name: _by_name(*items, *self._currency(name)) for name, items in OBJECTS.items()
        }
        if self.multi_currency:
            self.objects["CurrencyType"] = _by_name(
                Field("IsoCode"), Field("IsCorporate", "boolean"), Field("Id", "id")
            )
        self.base = sqlite3.connect(":memory:", check_same_thread=False)
        self.base.create_collation(
            "SOQL", lambda a, b: (a.casefold() > b.casefold()) - (a.casefold() < b.casefold())
        )
        self.base.create_function("zone_day", 2, _zone_day, deterministic=True)
        self.base.create_function("zone_hour", 2, _zone_hour, deterministic=True)
        self.base.create_function("rate", 1, lambda code: self.rates.get(code, 1.0))
        self.base.execute("PRAGMA case_sensitive_like = OFF")
        for name, fields in self.objects.items():
            columns = ", ".join(f'"{item.name}"' for item in fields.values())
            self.base.execute(f'CREATE TABLE "{name}" ({columns})')
        if self.multi_currency:
            self.insert("CurrencyType", [{"IsoCode": "CHF", "IsCorporate": True}])
            self.insert("CurrencyType", [{"IsoCode": "EUR", "IsCorporate": False}])

    def _currency(self, name: str) -> tuple[Field, ...]:
        return (CURRENCY,) if self.multi_currency and name == "Opportunity" else ()

    def insert(self, name: str, rows: Sequence[Mapping[str, object]]) -> list[str]:
        """Add records; return their ids."""
        known = [item.name for item in self.objects[name].values()]
        ids, values = [], []
        for row in rows:
            self._ids += 1
            ids.append(str(row.get("Id") or f"{name[:3]}{self._ids:012d}"))
            full = {"Id": ids[-1], **row}
            assert set(full) <= set(known), set(full) - set(known)
            values.append([_stored(full.get(column)) for column in known])
        marks = ", ".join("?" * len(known))
        with self.lock:
            self.base.executemany(f'INSERT INTO "{name}" VALUES ({marks})', values)
        return ids

    def multiply(self, name: str, times: int) -> None:
        """Have every record so many times; quicker than to put them in."""
        numbers = "WITH RECURSIVE n(i) AS (VALUES (2) UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
        with self.lock:
            self.base.execute(
                f'{numbers} INSERT INTO "{name}" SELECT r.* FROM "{name}" r, n', (times,)
            )

    def delete(self, name: str, record: str) -> None:
        with self.lock:
            self.base.execute(f'DELETE FROM "{name}" WHERE Id = ?', (record,))

    # ---------------------------------------------------------------------------------- answering

    def query(self, text: str) -> dict[str, Any]:
        """Answer a query in Salesforce's shape."""
        self.queries.append(text)
        if len(text) > 100_000:
            raise malformed("SOQL statements cannot be longer than 100000 characters.")
        with self.lock:
            return _Query(self, text).answer()

    def page(self, records: list[dict[str, Any]], start: int) -> dict[str, Any]:
        """Return up to 2,000 records and where the next ones are."""
        rest = records[start : start + PAGE]
        answer = {"totalSize": len(records), "done": start + PAGE >= len(records), "records": rest}
        if not answer["done"]:
            locator = f"01g{len(self.locators):012d}-{start + PAGE}"
            self.locators[locator] = (records, start + PAGE)
            answer["nextRecordsUrl"] = f"/services/data/v64.0/query/{locator}"
        return answer

    def describe(self, name: str) -> dict[str, Any]:
        known = {each.lower(): each for each in self.objects}
        if name.lower() not in known:
            raise RefusedError("NOT_FOUND", "The requested resource does not exist", 404)
        name = known[name.lower()]
        fields = [
            {
                "name": item.name,
                "type": item.type,
                "groupable": item.groupable,
                "filterable": item.type != "textarea",
                "aggregatable": item.type != "textarea",
                "calculated": item.formula,
                "relationshipName": item.relationship,
                "referenceTo": [item.to] if item.to else [],
                "picklistValues": [{"value": value, "active": True} for value in item.values],
            }
            for item in self.objects[name].values()
        ]
        may = dict.fromkeys(("createable", "updateable", "deletable"), self.writes)
        return {"name": name, "queryable": True, "fields": fields, **may}

    def count(self, name: str) -> int:
        with self.lock:
            return int(self.base.execute(f'SELECT COUNT(*) FROM "{name}"').fetchone()[0])


def _stored(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, date):
        return value.isoformat()
    return int(value) if isinstance(value, bool) else value


def _local(text: str | None, zone: str) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).astimezone(ZoneInfo(zone))


def _zone_day(text: str | None, zone: str) -> str | None:
    moment = _local(text, zone)
    return None if moment is None else moment.date().isoformat()


def _zone_hour(text: str | None, zone: str) -> int | None:
    moment = _local(text, zone)
    return None if moment is None else moment.hour


# -------------------------------------------------------------------------------------------- SOQL

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:\\.|[^'\\])*')"
    r"|(?P<datetime>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d))"
    r"|(?P<date>\d{4}-\d\d-\d\d)|(?P<number>-?\d+(?:\.\d+)?)"
    r"|(?P<name>[A-Za-z][\w.]*)|(?P<sign>!=|<=|>=|[=<>(),]))",
    re.DOTALL,
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
_AGGREGATES = {"COUNT", "COUNT_DISTINCT", "SUM", "MIN", "MAX", "AVG"}
_DAYS = {"DAY_ONLY", "HOUR_IN_DAY"}
_KEYWORDS = {"FROM", "WHERE", "GROUP", "ORDER", "LIMIT", "AND", "OR", "NOT", "IN", "LIKE", "AS"}


@dataclass(frozen=True)
class _Expression:
    """A part of SQL, the Salesforce type of its value and the field it stands for."""

    sql: str
    type: str
    field: Field | None = None
    aggregate: bool = False
    text: str = ""


class _Query:
    """One query: read, checked and translated in one pass over its tokens."""

    def __init__(self, org: Org, text: str) -> None:
        self.org, self.place, self.tokens = org, 0, list(self._cut(text))
        self.parameters: list[object] = []
        self.semi_joins = 0
        self.began = ""
        self.fields: Mapping[str, Field] = {}
        self.object = ""

    @staticmethod
    def _cut(text: str) -> Iterator[tuple[str, str]]:
        place, end = 0, len(text.rstrip())
        while place < end:
            match = _TOKEN.match(text, place)
            if match is None:
                raise malformed(f"unexpected token: {text[place : place + 20]!r}")
            yield str(match.lastgroup), match[match.lastgroup or 0]
            place = match.end()

    # -------------------------------------------------------------------------- tokens

    def peek(self, ahead: int = 0) -> tuple[str, str]:
        place = self.place + ahead
        return self.tokens[place] if place < len(self.tokens) else ("end", "")

    def word(self, *words: str) -> bool:
        """Take these keywords when they come next."""
        found = [self.peek(n)[1].upper() for n in range(len(words))]
        if found != list(words):
            return False
        self.place += len(words)
        return True

    def take(self, kind: str, text: str | None = None) -> str:
        found, value = self.peek()
        if found != kind or (text is not None and value != text):
            raise malformed(f"expecting {text or kind}, found '{value or '<EOF>'}'")
        self.place += 1
        return value

    # -------------------------------------------------------------------------- clauses

    def answer(self) -> dict[str, Any]:
        selected, sql, grouped, limit = self.statement()
        if self.peek()[0] != "end":
            raise malformed(f"unexpected token: '{self.peek()[1]}'")
        rows = [list(row) for row in self.org.base.execute(sql, self.parameters)]
        if selected == [("", "count()")]:
            return {"totalSize": rows[0][0], "done": True, "records": []}
        records = [self._record(selected, row, grouped=grouped) for row in rows]
        if not grouped:
            return self.org.page(records, 0)
        if len(records) > PAGE and limit is None:
            if not self.org.refuses_second_page:
                raise RefusedError(
                    "EXCEEDED_ID_LIMIT",
                    "Aggregate query does not support queryMore(), use LIMIT to restrict the results "
                    "to a single batch",
                )
            answer = self.org.page(records, 0)
            self.org.locators.pop(answer["nextRecordsUrl"].rpartition("/")[2])
            return answer
        return {"totalSize": len(records), "done": True, "records": records}

    def _record(
        self, selected: list[tuple[str, str]], row: list[object], *, grouped: bool
    ) -> dict[str, Any]:
        kind = "AggregateResult" if grouped else self.object
        record: dict[str, Any] = {"attributes": {"type": kind}}
        for (name, type_), value in zip(selected, row, strict=True):
            shown = bool(value) if type_ == "boolean" and value is not None else value
            if type_ == "datetime" and isinstance(shown, str):
                shown = shown.replace("Z", ".000+0000")
            path, _, last = name.rpartition(".")
            if path and not grouped:
                related = record.setdefault(path, {"attributes": {"type": path}})
                related[last] = shown
            else:
                record[last] = shown
        return record

    def statement(self) -> tuple[list[tuple[str, str]], str, bool, int | None]:
        if not self.word("SELECT"):
            raise malformed(f"unexpected token: '{self.peek()[1]}'")
        chosen = self._selected_from()
        where = f" WHERE {self._conditions(top=True)}" if self.word("WHERE") else ""
        where = self._limited_view(where)
        keys: list[_Expression] = []
        if self.word("GROUP", "BY"):
            keys = [self._group_key()]
            while self.peek() == ("sign", ","):
                self.place += 1
                keys.append(self._group_key())
        self._order()
        limit = int(self.take("number")) if self.word("LIMIT") else None
        aggregate = any(item.aggregate for _, item in chosen)
        counting = [item.text for _, item in chosen] == ["COUNT()"]
        if keys or aggregate:
            self._check_groups(chosen, keys)
        if aggregate and not keys and limit is not None:
            raise malformed(
                "Non-grouped query that uses overall aggregate functions cannot also use LIMIT"
            )
        sql = f'SELECT {", ".join(item.sql for _, item in chosen)} FROM "{self.object}" t{where}'
        if keys:
            collate = " COLLATE SOQL" if self.org.merges_case else ""
            sql += " GROUP BY " + ", ".join(
                key.sql + (collate if key.type in {"string", "picklist"} else "") for key in keys
            )
        if limit is not None:
            sql += f" LIMIT {limit}"
        names = [("", "count()")] if counting else [(name, item.type) for name, item in chosen]
        return names, sql, bool(keys) or (aggregate and not counting), limit

    def _selected_from(self) -> list[tuple[str, _Expression]]:
        """Read FROM first: it says what the names before it mean."""
        start = self.place
        while self.peek()[1].upper() != "FROM" and self.peek()[0] != "end":
            self.place += 1
        end = self.place
        if not self.word("FROM"):
            raise malformed("expecting a FROM clause")
        self.object = self._object(self.take("name"))
        self.fields = self.org.objects[self.object]
        after, self.place = self.place, start
        chosen = self._select()
        if self.place != end:
            raise malformed(f"unexpected token: '{self.peek()[1]}'")
        self.place = after
        return chosen

    def _limited_view(self, where: str) -> str:
        if self.org.sees_half and self.object != "CurrencyType":
            return f"{where} {'AND' if where else 'WHERE'} t.rowid % 2 = 0"
        return where

    def _object(self, name: str) -> str:
        known = {each.lower(): each for each in self.org.objects}
        if name.lower() not in known:
            raise RefusedError("INVALID_TYPE", f"sObject type '{name}' is not supported.")
        return known[name.lower()]

    def _select(self) -> list[tuple[str, _Expression]]:
        chosen: list[tuple[str, _Expression]] = []
        anonymous = 0
        while True:
            item = self._expression()
            name = item.text
            kind, value = self.peek()
            if kind == "name" and value.upper() not in _KEYWORDS:
                name = self.take("name")
            elif value.upper() == "AS":
                raise malformed("unexpected token: 'AS'")
            elif item.aggregate or item.field is None:
                name, anonymous = f"expr{anonymous}", anonymous + 1
            if name.lower() in {other.lower() for other, _ in chosen}:
                raise malformed(f"duplicate alias: {name}")
            chosen.append((name, item))
            if self.peek() != ("sign", ","):
                break
            self.place += 1
        if any(item.text == "COUNT()" for _, item in chosen) and len(chosen) > 1:
            raise malformed("COUNT() must be the only element in the SELECT list")
        return chosen

    def _group_key(self) -> _Expression:
        key = self._expression()
        bare = key.field is not None and key.text.upper().partition("(")[0] not in _DAYS
        if key.aggregate or (bare and key.field and not key.field.groupable):
            raise malformed(f"field '{key.text}' can not be grouped in a query call")
        return key

    @staticmethod
    def _check_groups(chosen: list[tuple[str, _Expression]], keys: list[_Expression]) -> None:
        for _, item in chosen:
            if not item.aggregate and item.sql not in [key.sql for key in keys]:
                raise malformed(f"Field must be grouped or aggregated: {item.text}")

    def _order(self) -> None:
        if not self.word("ORDER", "BY"):
            return
        self._expression()
        while self.peek()[1].upper() in {"ASC", "DESC", "NULLS", "FIRST", "LAST"}:
            self.place += 1

    # -------------------------------------------------------------------------- expressions

    def _expression(self) -> _Expression:
        name = self.take("name")
        if self.peek() != ("sign", "("):
            return self._field(name)
        function = name.upper()
        self.place += 1
        if function == "COUNT" and self.peek() == ("sign", ")"):
            self.place += 1
            return _Expression("COUNT(*)", "int", None, aggregate=True, text="COUNT()")
        if function in _AGGREGATES:
            inner = self._field(self.take("name"))
            self.take("sign", ")")
            return self._aggregated(function, inner)
        if function in _DAYS:
            return self._of_day(function)
        if function == "CONVERTTIMEZONE":
            raise malformed("convertTimezone can only be used inside a date function")
        raise malformed(f"unknown function: {name}")

    def _aggregated(self, function: str, inner: _Expression) -> _Expression:
        if inner.text == "CompletedDateTime" and not self.org.least_completion:
            raise malformed(f"field {inner.text} does not support aggregate operator {function}")
        sql = inner.sql
        if inner.type == "currency" and self.org.multi_currency:
            sql = f'{sql} * rate(t."CurrencyIsoCode")'
        distinct = function == "COUNT_DISTINCT"
        sql = f"COUNT(DISTINCT {sql})" if distinct else f"{function}({sql})"
        kind = inner.type if function in {"MIN", "MAX"} else "double"
        return _Expression(sql, kind, inner.field, aggregate=True, text=f"{function}({inner.text})")

    def _of_day(self, function: str) -> _Expression:
        name = self.take("name")
        converted = name.upper() == "CONVERTTIMEZONE"
        if converted:
            self.take("sign", "(")
            name = self.take("name")
        inner = self._field(name)
        if converted:
            self.take("sign", ")")
        self.take("sign", ")")
        if inner.type != "datetime" or (inner.field and inner.field.formula):
            raise malformed(f"{function} needs a datetime field, found {name}")
        if converted:
            sql = f"zone_{'day' if function == 'DAY_ONLY' else 'hour'}({inner.sql}, '{self.org.user_zone}')"
        elif function == "DAY_ONLY":
            sql = f"substr({inner.sql}, 1, 10)"
        else:
            sql = f"CAST(substr({inner.sql}, 12, 2) AS INTEGER)"
        kind = "date" if function == "DAY_ONLY" else "int"
        return _Expression(sql, kind, inner.field, text=f"{function}({name})")

    def _field(self, name: str) -> _Expression:
        sql, fields, owner = "t", self.fields, self.object
        *path, last = name.split(".")
        alias = "t"
        wrap: list[str] = []
        for depth, step in enumerate(path):
            lookup = next(
                (
                    item
                    for item in fields.values()
                    if (item.relationship or "").lower() == step.lower()
                ),
                None,
            )
            hidden = self.org.no_conversions and step == "ConvertedOpportunity"
            if lookup is None or hidden:
                raise RefusedError(
                    "INVALID_FIELD",
                    f"Didn't understand relationship '{step}' in field path.",
                )
            inner = f"r{depth}"
            wrap.append(
                f'(SELECT % FROM "{lookup.to}" {inner} WHERE {inner}.Id = {alias}."{lookup.name}")'
            )
            owner, alias = str(lookup.to), inner
            fields = self.org.objects[owner]
        if last.lower() not in fields:
            raise RefusedError(
                "INVALID_FIELD", f"No such column '{last}' on entity '{owner}'. Check the name."
            )
        found = fields[last.lower()]
        sql = f'{alias}."{found.name}"'
        for around in reversed(wrap):
            sql = around.replace("%", sql, 1)
        return _Expression(sql, found.type, found, text=name)

    # -------------------------------------------------------------------------- conditions

    def _conditions(self, *, top: bool) -> str:
        parts, joined = [self._condition(top=top)], ""
        while (word := self.peek()[1].upper()) in {"AND", "OR"}:
            if joined and word != joined:
                raise malformed("AND and OR may not be mixed without parentheses")
            if word == "OR" and self.semi_joins and top:
                raise malformed("Semi join sub-selects are only allowed at the top level")
            joined = word
            self.place += 1
            parts.append(self._condition(top=top and word == "AND"))
        return f" {joined} ".join(parts)

    def _condition(self, *, top: bool) -> str:
        if self.word("NOT"):
            inner = self._condition(top=False)
            return f"(NOT {inner})" if self.org.drops_nulls else f"(NOT COALESCE({inner}, 0))"
        if self.peek() == ("sign", "("):
            self.place += 1
            inner = self._conditions(top=False)
            self.take("sign", ")")
            return f"({inner})"
        return self._comparison(top=top)

    def _comparison(self, *, top: bool) -> str:
        left = self._expression()
        if left.aggregate:
            raise malformed("aggregates are not allowed in WHERE")
        if left.type == "textarea":
            raise RefusedError(
                "INVALID_FIELD", f"field '{left.text}' can not be filtered in a query call"
            )
        negated = self.word("NOT")
        if self.word("IN"):
            return self._membership(left, negated=negated, top=top)
        if negated:
            raise malformed("expecting IN after NOT")
        return self._like(left) if self.word("LIKE") else self._compared(left)

    def _like(self, left: _Expression) -> str:
        if left.type not in {"string", "picklist"}:
            raise RefusedError("INVALID_OPERATOR", f"invalid operator on field {left.text}")
        self.parameters.append(_unquoted(self.take("text"), keep_wildcards=True))
        return f"{left.sql} LIKE ? ESCAPE '\\'"

    def _compared(self, left: _Expression) -> str:
        sign = self.take("sign")
        if sign not in {"=", "!=", "<", "<=", ">", ">="}:
            raise malformed(f"unexpected token: '{sign}'")
        value = self._literal(left)
        if value is None:
            if sign not in {"=", "!="}:
                raise malformed("null can only be compared with = and !=")
            return f"{left.sql} IS {'NOT ' if sign == '!=' else ''}NULL"
        self._slow(left, sign, value)
        self.parameters.append(value)
        collate = " COLLATE SOQL" if left.type in {"string", "picklist"} else ""
        compared = f"{left.sql}{collate} {sign} ?"
        if sign == "!=" and not self.org.drops_nulls:
            return f"({left.sql} IS NULL OR {compared})"
        return compared

    def _slow(self, left: _Expression, sign: str, value: object) -> None:
        if self.org.slow_days is None or left.type != "datetime":
            return
        if sign == ">=":
            self.began = str(value)
        elif sign == "<" and self.began:
            span = datetime.fromisoformat(str(value)) - datetime.fromisoformat(self.began)
            if span > timedelta(days=self.org.slow_days):
                raise RefusedError("QUERY_TIMEOUT", "Your query request was running for too long.")

    def _membership(self, left: _Expression, *, negated: bool, top: bool) -> str:
        self.take("sign", "(")
        word = " NOT IN" if negated else " IN"
        if self.peek()[1].upper() == "SELECT":
            return self._semi_join(left, word, top=top)
        values = [self._literal(left)]
        while self.peek() == ("sign", ","):
            self.place += 1
            values.append(self._literal(left))
        self.take("sign", ")")
        self.parameters += values
        collate = " COLLATE SOQL" if left.type in {"string", "picklist"} else ""
        marks = ", ".join("?" * len(values))
        compared = f"{left.sql}{collate}{word} ({marks})"
        if negated and not self.org.drops_nulls:
            return f"({left.sql} IS NULL OR {compared})"
        return compared

    def _semi_join(self, left: _Expression, word: str, *, top: bool) -> str:
        self.semi_joins += 1
        if not top:
            raise malformed("Semi join sub-selects are only allowed at the top level of WHERE")
        if self.semi_joins > 2:
            raise malformed("At most 2 semi join sub-selects are allowed")
        inner = _Query(self.org, "")
        inner.tokens, inner.place = self.tokens, self.place
        selected, sql, grouped, limit = inner.statement()
        if inner.semi_joins or grouped or limit is not None:
            raise malformed("Semi join sub-selects may not be nested, grouped or limited")
        if inner.object in {"Task", "Event"}:
            raise malformed(f"Entity '{inner.object}' is not supported for semi join inner selects")
        if len(selected) != 1 or selected[0][1] not in {"id", "reference"}:
            raise malformed("Semi join sub-selects need one id field")
        self.place = inner.place
        self.parameters += inner.parameters
        self.take("sign", ")")
        return f"{left.sql}{word} ({sql})"

    def _literal(self, left: _Expression) -> object:
        kind, value = self.peek()
        self.place += 1
        wanted = left.type
        if kind == "name" and value.lower() in {"true", "false", "null"}:
            if value.lower() == "null":
                return None
            if wanted != "boolean":
                raise self._wrong(left)
            return int(value.lower() == "true")
        allowed = {
            "datetime": {"datetime"},
            "date": {"date"},
            "text": {"string", "picklist", "id", "reference", "multipicklist"},
            "number": {"double", "currency", "int"},
        }.get(kind)
        if allowed is None:
            raise malformed(f"unexpected token: '{value or '<EOF>'}'")
        if wanted not in allowed:
            raise self._wrong(left)
        if kind == "text":
            text = str(_unquoted(value))
            if len(text) > 4_000:
                raise malformed("string literal too long")
            return text
        if kind == "number":
            return float(value)
        if kind == "datetime":
            return _stored(datetime.fromisoformat(value))
        return date.fromisoformat(value).isoformat()

    @staticmethod
    def _wrong(left: _Expression) -> RefusedError:
        return RefusedError(
            "INVALID_FIELD",
            f"value of filter criterion for field '{left.text}' must be of type {left.type} and should "
            "not be enclosed in quotes",
        )


def _unquoted(text: str, *, keep_wildcards: bool = False) -> str:
    def plain(match: re.Match[str]) -> str:
        letter = match[1]
        if letter in _ESCAPES:
            return _ESCAPES[letter]
        if letter in "%_" and keep_wildcards:
            return f"\\{letter}"
        if letter == "\\" and keep_wildcards:
            return "\\\\"
        if letter in "'\"\\_%":
            return letter
        raise malformed(f"illegal escape: \\{letter}")

    return re.sub(r"\\(.)", plain, text[1:-1], flags=re.DOTALL)


# ------------------------------------------------------------------------------------------ the wire


class Handler(BaseHTTPRequestHandler):
    """Salesforce's endpoints."""

    org: ClassVar[Org]
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        self._serve(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    def _serve(self, body: bytes) -> None:
        path = urlsplit(self.path).path
        parts = 0
        if path.endswith("/composite"):
            parts = len(json.loads(body)["compositeRequest"])
        self.org.calls.append((self.command, path, parts))
        fault = self._fault(path)
        if fault and fault.seconds:
            time.sleep(fault.seconds)
        if fault and fault.reset:
            self._reset()
            return
        kind = "application/json;charset=UTF-8"
        try:
            if fault and fault.body is not None and fault.part is None:
                status, answer = fault.status, fault.body
            else:
                status, answer = 200, self._answer(path, body, fault)
        except RefusedError as error:
            status, answer = error.status, error.body
        if isinstance(answer, str):
            kind, data = "text/html", answer.encode()
        else:
            data = json.dumps(answer, separators=(",", ":")).encode()
        self._send(status, data, kind, fault)

    def _fault(self, path: str) -> Fault | None:
        for place, fault in enumerate(self.org.faults):
            if fault.path in path:
                return self.org.faults.pop(place)
        return None

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _send(self, status: int, data: bytes, kind: str, fault: Fault | None) -> None:
        self.org.sizes.append(len(data))
        sent = data if fault is None or fault.cut is None else data[: fault.cut]
        promised = len(data) if fault and fault.promise else len(sent)
        self.send_response_only(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(promised))
        per_app = "; per-app-api-usage=17/250(appName=digest)" if self.org.per_app else ""
        self.send_header("Sforce-Limit-Info", f"api-usage={self.org.used}/100000{per_app}")
        if self.org.date:
            self.send_header("Date", self.org.date)
        for name, value in (fault.headers if fault else {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(sent)
        if promised != len(sent):
            self.close_connection = True

    # -------------------------------------------------------------------------- endpoints

    def _answer(self, path: str, body: bytes, fault: Fault | None) -> object:
        if len(self.path) > LONGEST_URI:
            raise RefusedError("URI_TOO_LONG", "The URI is too long.", 414)
        if path == "/services/oauth2/token":
            return self._token({key: values[0] for key, values in parse_qs(body.decode()).items()})
        if path.startswith("/services/Soap/u/"):
            return self._soap(path.rpartition("/")[2], body.decode())
        self._authorised()
        if path == "/services/oauth2/userinfo":
            if self.org.userinfo_refused:
                raise RefusedError("Bad_OAuth_Token", "no scope", 403)
            return {
                "user_id": "005",
                "zoneinfo": self.org.user_zone,
                "preferred_username": "digest",
            }
        match = re.fullmatch(r"/services/data/v(\d+\.\d)(/.*)", path)
        if match is None:
            raise RefusedError("NOT_FOUND", "The requested resource does not exist", 404)
        if float(match[1]) <= 30:
            raise RefusedError("UNSUPPORTED_API_VERSION", "The API version is retired.", 410)
        if match[2] == "/composite":
            if self.org.no_composite:
                raise RefusedError("NOT_FOUND", "The requested resource does not exist", 404)
            return self._composite(json.loads(body), fault)
        return self._resource(match[2], urlsplit(self.path).query)

    def _authorised(self) -> None:
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        by_hand = self.headers["Host"].startswith("127.0.0.1")
        here = by_hand or self.headers["Host"] == self.org.instance
        if token not in self.org.tokens or not here:
            raise RefusedError("INVALID_SESSION_ID", "Session expired or invalid", 401)

    def _resource(self, path: str, query: str) -> object:
        asked = parse_qs(query)
        if path in {"/query", "/query/", "/queryAll", "/queryAll/"}:
            return self.org.query(asked["q"][0])
        if path.startswith("/query/"):
            if path[7:] not in self.org.locators:
                raise RefusedError("INVALID_QUERY_LOCATOR", "invalid query locator")
            return self.org.page(*self.org.locators[path[7:]])
        if path == "/sobjects":
            return {"sobjects": [{"name": name} for name in self.org.objects]}
        if path.startswith("/sobjects/") and path.endswith("/describe"):
            return self.org.describe(path.split("/")[2])
        if path == "/limits/recordCount":
            if self.org.record_count_refused:
                raise RefusedError("INSUFFICIENT_ACCESS", "insufficient access", 403)
            names = asked["sObjects"][0].split(",")
            return {"sObjects": [{"name": name, "count": self.org.count(name)} for name in names]}
        if path == "/limits":
            left = 100_000 - self.org.used
            return {"DailyApiRequests": {"Max": 100_000, "Remaining": left}}
        raise RefusedError("NOT_FOUND", "The requested resource does not exist", 404)

    def _composite(self, asked: dict[str, Any], fault: Fault | None) -> object:
        parts = asked["compositeRequest"]
        queries = [part for part in parts if "/query" in part["url"]]
        if len(parts) > MOST_PARTS or len(queries) > MOST_QUERIES:
            raise RefusedError("LIMIT_EXCEEDED", f"The limit is {MOST_QUERIES} queries a request.")
        answers = []
        for place, part in enumerate(parts):
            self.org.between.get(place, lambda: None)()
            where = urlsplit(part["url"])
            assert part["method"] == "GET"
            try:
                path = re.sub(r"^/services/data/v[\d.]+", "", where.path)
                status, body = 200, self._resource(path, where.query)
            except RefusedError as error:
                status, body = error.status, error.body
            name = part["referenceId"]
            if fault and fault.part == place:
                if fault.missing:
                    continue
                if fault.renamed:
                    name = "q99"
                elif fault.body is not None:
                    status, body = fault.status, fault.body
            answers.append(
                {"body": body, "httpHeaders": {}, "httpStatusCode": status, "referenceId": name}
            )
        return {"compositeResponse": answers}

    def _token(self, form: dict[str, str]) -> object:
        self.org.login_forms.append(form)
        kind = form.get("grant_type")
        if kind == "client_credentials":
            basic = base64.b64encode(":".join(self.org.consumer).encode()).decode()
            if self.headers.get("Authorization") != f"Basic {basic}":
                raise self._no_login("invalid_client", "invalid client credentials")
        elif kind == "urn:ietf:params:oauth:grant-type:jwt-bearer":
            try:
                jwt.decode(
                    form["assertion"],
                    self.org.public_key,
                    algorithms=["RS256"],
                    audience=f"https://{self.headers['Host']}",
                )
            except jwt.PyJWTError as error:
                raise self._no_login("invalid_grant", "invalid assertion") from error
        else:
            raise self._no_login("unsupported_grant_type", "grant type not supported")
        return {"access_token": self._new_token(), "instance_url": f"https://{self.org.instance}"}

    def _new_token(self) -> str:
        token = f"00D!planted-access-{len(self.org.login_forms)}"
        self.org.tokens = {token}
        return token

    @staticmethod
    def _no_login(error: str, description: str) -> RefusedError:
        refused = RefusedError(error, description)
        refused.body = {"error": error, "error_description": description}  # type: ignore[assignment] # OAuth answers an object
        return refused

    def _soap(self, version: str, body: str) -> str:
        self.org.login_forms.append({"soap": version, "body": body})
        fault = self.org.soap_fault
        if float(version) > 64 and fault is None:
            fault = (
                "INVALID_OPERATION",
                f"The SOAP Login operation is not available in the API version specified ({version})",
            )
        if fault is not None:
            text = (
                f"<e xmlns:sf='x'><sf:exceptionCode>{fault[0]}</sf:exceptionCode>"
                f"<sf:exceptionMessage>{fault[1]}</sf:exceptionMessage></e>"
            )
            refused = RefusedError(*fault, status=500)
            refused.body = text  # type: ignore[assignment] # SOAP answers XML
            raise refused
        return (
            f"<e><sessionId>{self._new_token()}</sessionId>"
            f"<serverUrl>https://{self.org.instance}/services/Soap/u/{version}/00D</serverUrl></e>"
        )


class ToLoopback(HTTPAdapter):
    """Carries what is meant for Salesforce to the fake, and notes every timeout."""

    def __init__(self, org: Org) -> None:
        super().__init__()
        self.org = org

    def send(self, request: Any, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - as in requests
        self.org.timeouts.append(options.get("timeout"))
        assert options.get("timeout"), f"{request.url} was asked without a timeout"
        request.headers["Host"] = urlsplit(request.url).netloc
        return super().send(request, *args, **options)

    def get_connection_with_tls_context(self, *_: Any, **__: Any) -> Any:  # noqa: ANN401 - as in requests
        return self.poolmanager.connection_from_host("127.0.0.1", self.org.port, scheme="http")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_: object) -> None:
        pass  # a client that hangs up is what the tests are about


@contextmanager
def serve(org: Org, port: int = 0) -> Iterator[Org]:
    """Serve an org until the context ends."""
    handler = type("OrgHandler", (Handler,), {"org": org})
    with _Server(("127.0.0.1", port), handler) as server:
        org.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield org
        finally:
            server.shutdown()
            thread.join()


_shared: list[tuple[_Server, type[Handler]]] = []


def shared(org: Org) -> Org:
    """Serve an org until the process ends, in place of the one shared before."""
    if not _shared:
        handler = type("SharedHandler", (Handler,), {"org": org})
        server = _Server(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        _shared.append((server, handler))
    server, kind = _shared[0]
    kind.org, org.port = org, server.server_port
    return org


def shared_org() -> Org:
    """Return the org that is shared now."""
    return _shared[0][1].org


def session_to(org: Org) -> requests.Session:
    """A plain session whose every address is the fake, for a vendor client used by itself."""
    session = requests.Session()
    session.trust_env = False
    session.mount("https://", ToLoopback(org))
    return session


def sample_leads(count: int, *, seed: int = 1) -> list[dict[str, object]]:
    """Leads of the year 2026, by region, a quarter of them converted."""
    draw = random.Random(seed)  # noqa: S311 - made-up leads
    start = datetime(2026, 1, 1, tzinfo=UTC)
    return [
        {
            "CreatedDate": start + timedelta(seconds=draw.randrange(365 * 86_400)),
            "Region__c": draw.choice(["DACH", "Romandie", "Nordics", "UKI", "Mars", None]),
            "IsConverted": draw.random() < 0.25,
            "LastName": f"Lead {n}",
            "Email": f"lead{n}@example.com",
        }
        for n in range(count)
    ]


def main() -> None:
    """Serve sample leads until interrupted."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--port", type=int, default=8088)
    options.add_argument("--leads", type=int, default=20_000)
    given = options.parse_args()
    org = Org()
    org.insert("Lead", sample_leads(given.leads))
    with serve(org, given.port):
        example = quote("SELECT COUNT() FROM Lead")
        print(  # noqa: T201 - used by hand
            f"{given.leads:,} leads on http://127.0.0.1:{org.port}; consumer key {org.consumer[0]!r}, secret "
            f"{org.consumer[1]!r}\nthen e.g. /services/data/v64.0/query/?q={example}  "
            f"({unquote(example)})",
            flush=True,
        )
        threading.Event().wait()


if __name__ == "__main__":
    main()

"""What only a live portal can settle, read and printed: counts and shapes, never a value of a record.

    HUBSPOT_TOKEN=... python -m tests.hubspot.live region

Nothing is written. Each fact has a safe default in the connector; this tells whether it is needed.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime

from digest.connectors.hubspot import FollowUpProperties, Hubspot
from digest.connectors.hubspot.searching import CAP, PAGE, Dated, Query, Span, pull
from digest.connectors.hubspot.transport import Errand, Session
from digest.errors import DigestError
from digest.model import Period, Secret

CREATED = (Dated("createdate"),)
EVER = Span.of(Period(date(2006, 1, 1), date(2036, 1, 1)))
NOBODYS = "a_property_that_nobody_has"
STAGE = "hs_v2_date_entered_marketingqualifiedlead"


def facts(hubspot: Hubspot, now: datetime) -> Iterator[str]:
    """Yield one line per fact."""
    session, errand = hubspot.session(), hubspot.errand(now, "UTC")
    asked = Query("contacts", CREATED, EVER, properties=("createdate", STAGE, NOBODYS))
    looks: tuple[tuple[str, Callable[[], str]], ...] = (
        ("account details", lambda: f"readable, zone {session.account(errand).get('timeZone')}"),
        ("properties", lambda: _properties(hubspot, session, errand)),
        ("search, sorted by an object", lambda: _search(session, asked, errand)),
        ("all pages of this year", lambda: _year(session, asked, errand, now)),
        ("daily requests left", lambda: str(session.daily_left or "not told")),
        ("an old version", lambda: _old(hubspot, asked, errand)),
    )
    for what, look in looks:
        try:
            yield f"{what}: {look()}"
        except DigestError as error:
            yield f"{what}: {error}"


def _properties(hubspot: Hubspot, session: Session, errand: Errand) -> str:
    names = [*FollowUpProperties().properties, "hs_email_domain", STAGE, hubspot.segment, NOBODYS]
    found = {entry["name"] for entry in session.definitions("contacts", names, errand)["results"]}
    return f"there {sorted(found)}, not there {sorted({*names} - found)}"


def _search(session: Session, query: Query, errand: Errand) -> str:
    answer = session.search(query.kind, query.body(), errand)
    total, rows = answer["total"], answer["results"]
    ids = [int(row["id"]) for row in rows]
    values = [row["properties"].get(name) or "" for row in rows for name in ("createdate", STAGE)]
    shapes = {re.sub(r"\d", "0", value) for value in values}
    capped = {True: "below the cap", False: "above the cap, so exact"}[total < CAP]
    return (
        f"total {'10,000, the cap' if total == CAP else capped}; ids ascend: {ids == sorted(ids)}; "
        f"full page: {len(rows) == min(total, PAGE)}; shapes of dates {sorted(shapes)}; "
        f"unknown name is dropped: {not any(NOBODYS in row['properties'] for row in rows)}"
    )


def _year(session: Session, query: Query, errand: Errand, now: datetime) -> str:
    span = Span.of(Period(date(now.year, 1, 1), date(now.year + 1, 1, 1)))
    rows = pull(session, Query(query.kind, query.dates, span, properties=("createdate",)), errand)
    return f"{len(rows or ())} records, reconciled"


def _old(hubspot: Hubspot, query: Query, errand: Errand) -> str:
    old = Session(hubspot.wire, hubspot.credential, "2025-03")
    return f"still answers with {len(old.search(query.kind, query.body(limit=1), errand))} fields"


if __name__ == "__main__":
    key = Secret(os.environ["HUBSPOT_TOKEN"])  # noqa: TID251 - an entry point
    portal = Hubspot(segment=sys.argv[1], token=key, count_by="create_date")
    for line in facts(portal, datetime.now(UTC)):  # noqa: TID251 - an entry point
        sys.stdout.write(line + "\n")

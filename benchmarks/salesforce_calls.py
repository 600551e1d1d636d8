"""Counts one month of an org's leads, next to the vendor's client reading the records for pandas.

Both ask the same fake org on loopback, in a process of its own: its time is in the figures of both, the
network's is not. `query_all` reads the month's records only, `query_all, every lead` all of them.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

START, END = date(2026, 6, 1), date(2026, 7, 1)
REGIONS = ("DACH", "Romandie", "Nordics", "UKI")
FEWER_CALLS = 40
Result = tuple[dict[str, int], int]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--leads", type=int, default=100_000)
    options.add_argument("--run", nargs=2, metavar=("WAY", "PORT"), help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.run:
        print(json.dumps(measured(WAYS[given.run[0]], int(given.run[1]))))
        return
    with org_of(given.leads) as port:
        results = {way: run(way, port) for way in WAYS}
    first = results["digest"][0]
    assert all(result[0] == first for result in results.values()), "the ways disagree"
    print(f"{given.leads:,} leads, {sum(first.values()):,} of them in the month")
    for way, (_, calls, wall, megabytes) in results.items():
        print(f"  {way:22} {calls:4} calls {wall:6.2f} s {megabytes:6.0f} MB")
    # Each way logs in once; what grows with the org are the other calls.
    ours, theirs = (results[way][1] - 1 for way in ("digest", "query_all, every lead"))
    print(f"  beside the login {theirs / ours:.0f} times fewer calls than reading every lead")
    if given.leads >= 100_000:  # noqa: PLR2004 - fewer leads are fewer pages
        assert theirs >= FEWER_CALLS * ours, f"promised {FEWER_CALLS} times fewer calls"


@contextmanager
def org_of(leads: int) -> Iterator[int]:
    """Serve an org in a process of its own and give its port."""
    with subprocess.Popen(  # noqa: S603 - our own fake
        [sys.executable, "-m", "tests.fakes.salesforce", "--port", "0", "--leads", str(leads)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout
        line = server.stdout.readline()
        try:
            yield int(line.partition("127.0.0.1:")[2].partition(";")[0])
        finally:
            server.terminate()


def run(way: str, port: int) -> tuple[dict[str, int], int, float, float]:
    done = subprocess.run(  # noqa: S603 - this script itself
        [sys.executable, __file__, "--run", way, str(port)],
        capture_output=True,
        text=True,
        check=True,
    )
    counts, calls, wall, megabytes = json.loads(done.stdout.splitlines()[-1])
    return counts, calls, wall, megabytes


def measured(way: Callable[[int], Result], port: int) -> tuple[dict[str, int], int, float, float]:
    began = time.perf_counter()
    counts, calls = way(port)
    wall = time.perf_counter() - began
    return counts, calls, wall, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def by_digest(port: int) -> Result:
    from digest.model import Period, Segment
    from tests.fakes.salesforce import Org
    from tests.salesforce.orgs import connector

    org = Org(port=port)
    counts = connector(org).count_leads(
        period=Period(START, END),
        segments=[Segment(name) for name in REGIONS],
        now=datetime(2026, 7, 1, tzinfo=UTC),
    )
    found: dict[str, int] = {}
    for row in counts.rows:
        key = f"{row.day} {row.segment}"
        found[key] = found.get(key, 0) + row.leads
    return found, len(org.timeouts)


def by_reading(port: int, where: str) -> Result:
    import pandas as pd
    from simple_salesforce.api import Salesforce

    from tests.fakes.salesforce import Org, session_to

    org = Org(port=port)
    session = session_to(org)
    session.request = with_timeout(session.request)  # type: ignore[method-assign] # the client has none
    client = Salesforce(
        consumer_key="key", consumer_secret="consumer-secret", domain="acme.my", session=session,  # noqa: S106 - of the fake
    )  # fmt: skip
    records = client.query_all(f"SELECT CreatedDate, Region__c FROM Lead{where}")["records"]
    frame = pd.DataFrame(
        {
            "moment": pd.to_datetime([record["CreatedDate"] for record in records], utc=True),
            "region": [record["Region__c"] for record in records],
        }
    )
    frame["day"] = frame["moment"].dt.tz_convert("Europe/Zurich").dt.date
    frame["region"] = frame["region"].where(frame["region"].isin(REGIONS), "")
    inside = frame[(frame["day"] >= START) & (frame["day"] < END)]
    sizes = inside.groupby(["day", "region"]).size()
    return {f"{day} {region}": int(n) for (day, region), n in sizes.items()}, len(org.timeouts)


def with_timeout(request: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *rest, **options: request(*rest, **{"timeout": 60, **options})


MONTH = " WHERE CreatedDate >= 2026-05-31T22:00:00Z AND CreatedDate < 2026-06-30T22:00:00Z"
WAYS: dict[str, Callable[[int], Result]] = {
    "digest": by_digest,
    "query_all, the month": lambda port: by_reading(port, MONTH),
    "query_all, every lead": lambda port: by_reading(port, ""),
}

if __name__ == "__main__":
    main()

"""Calls, time and memory of one month in a portal, beside the vendor client's `get_all` counted in pandas.

Both meet the same fake on loopback, in a process of their own each; a real portal adds its own time to
every call, and grants five searches a second.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from datetime import UTC, date, datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

START, END, ZONE = date(2026, 6, 1), date(2026, 7, 1), "Europe/Zurich"
STAGES = ("marketingqualifiedlead", "salesqualifiedlead", "opportunity", "customer")
DATES = [f"hs_v2_date_entered_{stage}" for stage in STAGES]
REGIONS = ("DACH", "Romandie", "Benelux", "Nordics")


def digest(port: int, *, paced: bool) -> int:
    from digest.connectors.hubspot import Hubspot
    from digest.connectors.hubspot.transport import Wire
    from digest.model import Period, Secret, Segment
    from tests.fakes.hubspot import TOKEN

    class OnLoopback(Hubspot):
        wire = Wire(
            host=f"http://127.0.0.1:{port}",
            sleep=time.sleep if paced else lambda _: None,
        )

    connector = OnLoopback(token=Secret(TOKEN), segment="region", stages=STAGES)
    segments = tuple(Segment(name) for name in REGIONS)
    now = datetime.now(UTC)  # noqa: TID251 - a benchmark is an entry point
    return connector.count_leads(period=Period(START, END, ZONE), segments=segments, now=now).total


def vendor(port: int) -> int:
    import pandas as pd
    from hubspot import HubSpot

    from tests.fakes.hubspot import TOKEN

    client = HubSpot(access_token=TOKEN, host=f"http://127.0.0.1:{port}")
    rows = client.crm.contacts.get_all(properties=[*DATES, "region"])
    frame = pd.DataFrame([row.properties for row in rows])
    moments = frame[DATES].apply(pd.to_datetime, utc=True, format="ISO8601").min(axis=1)
    days = moments.dt.tz_convert(ZONE).dt.date
    inside = frame[(days >= START) & (days < END)]
    return int(inside.groupby([days[inside.index], inside["region"].fillna("")]).size().sum())


WAYS = {
    "digest": lambda port: digest(port, paced=True),
    "digest, without its pace": lambda port: digest(port, paced=False),
    "get_all and pandas": vendor,
}


def one(way: str, port: int) -> None:
    started = time.perf_counter()
    total = WAYS[way](port)
    seconds = time.perf_counter() - started
    status = Path("/proc/self/status").read_text()  # ru_maxrss would count the parent's portal, too
    peak = int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) / 1024
    print(json.dumps({"total": total, "seconds": seconds, "peak": peak}))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--contacts", type=int, default=100_000)
    parser.add_argument("--leads", type=int, default=2_000)
    parser.add_argument("--one", nargs=2)
    options = parser.parse_args()
    if options.one:
        one(options.one[0], int(options.one[1]))
        return
    from tests.fakes.hubspot import Portal, populate, serving

    portal = Portal()
    populate(portal, options.contacts, month=START, share=options.leads / options.contacts)
    print("| way | leads | calls | wall s | peak MB |\n|---|---|---|---|---|")
    totals = set()
    calls = {}
    with serving(portal):
        for way in WAYS:
            portal.asked.clear()
            done = subprocess.run(  # noqa: S603 - this very script
                [sys.executable, __file__, "--one", way, str(portal.port)],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            found = json.loads(done.stdout)
            totals.add(found["total"])
            calls[way] = len(portal.asked)
            figures = f"{calls[way]:,} | {found['seconds']:.1f} | {found['peak']:.0f}"
            print(f"| {way} | {found['total']:,} | {figures} |")
    assert len(totals) == 1, totals
    print(f"\n{calls['get_all and pandas'] / calls['digest']:.0f} times fewer calls (promise: 40)")


if __name__ == "__main__":
    main()

"""What a mail of 8 segments costs, and its MJML beside the reference engine in JavaScript.

Run: python benchmarks/mjml_engines.py [--repeat N]; `make node` installs the reference engine.
Times are processor milliseconds after imports and warm-up, so that a busy machine does not count. Both
engines get the same filled template, and both results must read the same before they are timed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from mjml import mjml2html

from digest.model import Edition, Message, Recipient
from digest.render import charts, email, lint, render, slack
from digest.render.locales import locale_for
from digest.render.view import view
from tests.render.editions import fullest, many_segments

NODE = Path(__file__).resolve().parent.parent / ".ci" / "node"
LOCALE = locale_for("de-CH")
AT = datetime(2026, 6, 15, 4, 31, tzinfo=UTC)
PLAIN, FULL = many_segments(8), fullest(8)


def reference(source: str, repeat: int) -> tuple[str, list[float]]:
    """Return HTML and times of the reference engine, warm and in one process of its own."""
    done = subprocess.run(  # noqa: S603 - our own script
        ["node", str(NODE / "time.mjs"), str(repeat)],  # noqa: S607 - the machine's Node
        input=source,
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    return found["html"], found["ms"]


def cold(source: str) -> float:
    """Return the seconds of the reference engine's command for one document, start included."""
    start = time.monotonic()
    subprocess.run(  # noqa: S603 - our own command
        [str(NODE / "node_modules" / ".bin" / "mjml"), "-i", "-s"],
        input=source,
        capture_output=True,
        text=True,
        check=True,
    )
    return time.monotonic() - start


def timed(work: Callable[[], object], repeat: int) -> list[float]:
    work()
    times = []
    for _ in range(repeat):
        start = time.process_time()
        work()
        times.append((time.process_time() - start) * 1000)
    return times


def mail_and_slack(edition: Edition) -> Message:
    """Return the message, packed for Slack too: all that leaves without a picture."""
    message = render(edition, language="de-CH", chart=False)
    slack.pack(message, recipient=Recipient("C0123456789"), key="leads/slack", sent_at=AT)
    return message


def line(step: str, times: Sequence[float], promise: str, size: str = "") -> None:
    median, p95 = statistics.median(times), statistics.quantiles(times, n=20)[-1]
    print(f"| {step} | {median:.1f} | {p95:.1f} | {promise} | {size} |")


def kilobytes(html: str) -> str:
    return f"{len(html.encode()) / 1000:.1f} kB, {lint.size(html) / 1000:.1f} as sent"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=40)
    repeat = parser.parse_args().repeat
    print("| step | median ms | p95 ms | promise | HTML |")
    print("|---|---|---|---|---|")
    for name, edition in (("8 segments", PLAIN), ("8 segments, every block", FULL)):
        line(
            f"HTML, text and Slack without chart, {name}",
            timed(partial(mail_and_slack, edition), repeat),
            "15" if edition is PLAIN else "",
            kilobytes(mail_and_slack(edition).html),
        )
    picture = charts.waterfall(PLAIN)
    line("chart", timed(lambda: charts.png.__wrapped__(picture, LOCALE), repeat), "120")

    source = email.mjml(view(FULL, LOCALE), LOCALE)
    ours = mjml2html(source, fonts={}, disable_comments=True)
    line(
        "MJML to HTML, every block: ours",
        timed(lambda: mjml2html(source, fonts={}, disable_comments=True), repeat),
        "",
        kilobytes(ours),
    )
    if not (NODE / "node_modules").exists():
        sys.exit("\nThe reference engine is not installed; run `make node`.")
    theirs, times = reference(source, repeat)
    assert lint.visible(theirs).split() == lint.visible(ours).split()
    line("MJML to HTML, every block: reference", times, "", kilobytes(theirs))
    print(f"\nThe reference engine's command, start included: {cold(source):.2f} s wall")


if __name__ == "__main__":
    main()

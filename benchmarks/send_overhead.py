"""What a day's send for 20 recipients costs beside the SMTP conversation itself.

Usage: python benchmarks/send_overhead.py [--rounds N] [--profile]

The conversation is smtplib over one connection with the very bytes that the send froze, to the same
relay in a process of its own, with STARTTLS. It is the best there is: TCP_NODELAY set, nothing recorded,
no retry, no check of what was accepted. The send is all of it: read the source, compose, draw, pack,
freeze, send, record; without the start of the process. The relay answers at once; 50 ms after each
message; or stands 20 ms away as well, as one on another network does. Rounds alternate, so that a busy
machine slows both; a busy disk slows the send alone, for only the send waits for it.

The promise: under 1.5 times for a relay that is reached over a network, with an idle disk. The others are
printed beside it: next to a relay that answers at once any record of what was sent is most of the cost.
"""

from __future__ import annotations

import argparse
import cProfile
import multiprocessing
import pstats
import shutil
import smtplib
import socket
import ssl
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from time import perf_counter, sleep

sys.path.insert(0, str(Path(__file__).parents[1]))

import trustme

from digest import demo
from digest.channels.smtp import Smtp
from digest.dispatch import Now, send_digest
from digest.ledger import read_ledger
from digest.model import Recipient
from digest.settings import Settings, load
from tests.fakes.smtp import SmtpServer, running

DAY = date(2026, 6, 15)
TEAM = tuple(f"r{number}@team.example" for number in range(20))
SENDER = "digest@company.example"
# Seconds: until the relay says that it has taken a message, and before each of its replies.
RELAYS = {
    "at once": (0.0, 0.0),
    "50 ms after each message": (0.05, 0.0),
    "50 ms after each message, 20 ms away": (0.05, 0.02),
}
JUDGED = "50 ms after each message, 20 ms away"
LIMIT = 1.5


def main() -> None:
    """Measure and print; the exit code says whether the promise holds."""
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--profile", action="store_true", help="what the send itself spends")
    given = options.parse_args()
    kept = True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        demo.run(folder / "demo", wanted=DAY)
        for what, (delay, latency) in RELAYS.items():
            with relay(folder, delay, latency) as (port, authority):
                took = measured(folder, port, authority, given.rounds)
            within = report(what, took)
            kept = kept and (within or what != JUDGED)
            if given.profile:
                took.profile.print_stats(25)
    sys.exit(not kept)


@dataclass
class Took:
    """Seconds of each round."""

    conversation: list[float] = field(default_factory=list)
    send: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    profile: pstats.Stats = field(default_factory=pstats.Stats)


def report(what: str, took: Took) -> bool:
    """Print one relay's figures; say whether the promise holds there."""
    conversation, send, first = (median(one) for one in (took.conversation, took.send, took.first))
    print(f"{len(TEAM)} recipients, the relay answers {what}; median of {len(took.send)}")
    print(f"  the conversation alone           {conversation * 1000:8.1f} ms")
    print(
        f"  the send, from source to ledger  {send * 1000:8.1f} ms   {send / conversation:.2f} times"
    )
    print(f"    of which before the first mail {first * 1000:8.1f} ms")
    if what == JUDGED:
        print(f"    promised{LIMIT:36.2f} times at most")
    rest = send - first
    print(
        f"    the rest                       {rest * 1000:8.1f} ms   {rest / conversation:.2f} times"
    )
    return send / conversation < LIMIT


def measured(folder: Path, port: int, authority: Path, rounds: int) -> Took:
    took, profile = Took(), cProfile.Profile()
    for number in range(rounds + 1):  # the first one warms up
        settings = fresh(folder, port, authority)
        first: list[float] = []
        began = perf_counter()
        send(settings, lambda began=began, first=first: first.append(perf_counter() - began))  # type: ignore[misc] # bound now
        sent = perf_counter() - began
        mails = frozen(settings)
        began = perf_counter()
        converse(mails, port, authority)
        if number:
            took.conversation.append(perf_counter() - began)
            took.send.append(sent)
            took.first.append(first[0])
    settings = fresh(folder, port, authority)
    profile.enable()
    send(settings, lambda: None)
    profile.disable()
    took.profile = pstats.Stats(profile).sort_stats("cumulative")
    return took


def fresh(folder: Path, port: int, authority: Path) -> Settings:
    """Return the demo's settings with 20 recipients and a ledger that has sent nothing yet."""
    here = folder / "round"
    shutil.rmtree(here, ignore_errors=True)
    shutil.copytree(folder / "demo", here)
    for path in (*here.glob("ledger*"), *here.glob(".ledger*")):
        path.unlink()
    settings = load(here / "digest.toml", environment={})
    channel = Smtp(
        host="localhost",
        port=port,
        ca_file=authority,
        sender=f"Leads digest <{SENDER}>",
        recipients=tuple(Recipient(one) for one in TEAM),
    )
    return replace(settings, channels={"smtp": channel})


def send(settings: Settings, at_first: Callable[[], None]) -> None:
    called: list[str] = []

    def hear(event: str, _: object) -> None:
        if event == "claimed" and not called:
            called.append(event)
            at_first()

    done = send_digest(
        settings, Now(clock=lambda: demo.morning(DAY), sleep=sleep, hear=hear), day=DAY
    )
    assert done.exit_code == 0, done.lines


def frozen(settings: Settings) -> dict[str, bytes]:
    reader = read_ledger(settings.ledger)
    assert reader is not None
    rows = reader.deliveries(settings.id, DAY)
    assert [str(row.state) for row in rows] == ["sent"] * len(TEAM)
    return {row.recipient: reader.message(row) for row in rows}


def converse(mails: dict[str, bytes], port: int, authority: Path) -> None:
    """Send the same bytes with the standard library, as fast as one connection can."""
    smtp = smtplib.SMTP("localhost", port, local_hostname="company.example", timeout=30)
    assert smtp.sock is not None
    smtp.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    smtp.starttls(context=ssl.create_default_context(cafile=str(authority)))
    for recipient, content in mails.items():
        assert smtp.sendmail(SENDER, [recipient], content) == {}
    smtp.quit()


@contextmanager
def relay(folder: Path, delay: float, latency: float = 0) -> Iterator[tuple[int, Path]]:
    """Run the relay in a process of its own, so that both sides pay for their own work only."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(
        str(folder / "relay.pem")
    )
    spawning = multiprocessing.get_context("spawn")
    ours, theirs = spawning.Pipe()
    child = spawning.Process(
        target=serve, args=(theirs, folder / "relay.pem", delay, latency), daemon=True
    )
    child.start()
    try:
        yield ours.recv(), folder / "ca.pem"
    finally:
        ours.send("stop")
        child.join()


def serve(pipe: Connection, certificate: Path, delay: float, latency: float) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with running(SmtpServer(tls=context, reply_delay=delay, latency=latency)) as server:
        pipe.send(server.port)
        pipe.recv()


if __name__ == "__main__":
    main()

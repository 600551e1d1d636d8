"""How fast mail leaves: 76 KB over TLS on loopback, with and without TCP_NODELAY, and a run of 100.

Usage: python benchmarks/delivery_throughput.py
"""

from __future__ import annotations

import socket
import ssl
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import trustme

sys.path.insert(0, str(Path(__file__).parents[1]))

from digest.channels.smtp import Smtp
from digest.model import Envelope, Recipient
from tests.delivery.scene import Clock, Sender, a_ledger, a_relay, render
from tests.fakes.smtp import SmtpServer, running

MAILS = 200
CONTENT = b"Subject: x\r\n\r\n" + (b"x" * 74 + b"\r\n") * 1000


def over_tls(folder: Path, patch: Callable[[], None]) -> float:
    """Return mails a second through one encrypted connection."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with running(SmtpServer(tls=context)) as relay:
        channel: Smtp = a_relay(
            relay.port,
            (),
            host="localhost",
            security="starttls",
            ca_file=folder / "ca.pem",
            max_per_connection=MAILS,
        )
        patch()
        with channel.session() as session:
            session.deliver(Envelope("0", "a@b.example", CONTENT), commit=lambda: True)
            began = time.perf_counter()
            for number in range(MAILS):
                envelope = Envelope(str(number), "a@b.example", CONTENT)
                session.deliver(envelope, commit=lambda: True)
            return MAILS / (time.perf_counter() - began)


def whole_run(folder: Path, recipients: int) -> float:
    """Return the seconds of a run with ledger: render, freeze, claim, send, record."""
    clock = Clock()
    with running(SmtpServer()) as relay:
        team = tuple(f"r{number}@team.example" for number in range(recipients))
        channel = a_relay(relay.port, team)
        sender = Sender(a_ledger(folder / "ledger.db", clock), clock, {"mail": channel})
        began = time.perf_counter()
        result = sender.send(
            render=lambda edition, who: replace(
                render(edition, Recipient(who.address)), text="x" * 30_000
            )
        )
        seconds = time.perf_counter() - began
        assert result.exit_code == 0
        assert len(relay.accepted) == recipients
    return seconds


def without_nodelay() -> None:
    """Switch Nagle on again for what is opened from here on."""
    real = socket.socket.setsockopt

    def kept(self: socket.socket, level: int, name: int, value: int) -> None:
        if (level, name) != (socket.IPPROTO_TCP, socket.TCP_NODELAY):
            real(self, level, name, value)

    socket.socket.setsockopt = kept  # type: ignore[assignment,method-assign] # the alternative to compare with


def main() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seconds = whole_run(folder, 100)
        print(f"100 recipients, ledger included: {seconds:.2f} s (promise: under 5 s)")
        fast = over_tls(folder, lambda: None)
        slow = over_tls(folder, without_nodelay)
        print(f"{len(CONTENT) // 1000} KB over TLS: {fast:.0f}/s (promise: 50/s)")
        print(f"the same without TCP_NODELAY: {slow:.0f}/s")


if __name__ == "__main__":
    main()

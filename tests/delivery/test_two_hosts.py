"""Two hosts share a ledger in PostgreSQL, and one of them is cut off from it in the middle of a send.

The relay stays within reach of both: that is the worst case, because a host that cannot ask the ledger any
more could still send.
"""

from __future__ import annotations

import json
import os
import socket
import time
import traceback
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from digest.delivery import STEPS
from digest.errors import LedgerError
from digest.ledger import Owner, Postgres
from digest.ledger.store import Ledger
from tests.delivery.hosts import (
    WIRES,
    Cable,
    Forwarder,
    Proxy,
    Wire,
    at_loopback,
    die_with_parent,
    leave_the_network,
    to_unix,
)
from tests.delivery.scene import a_relay
from tests.delivery.test_kill import (
    a_team,
    assert_nobody_got_two_and_nobody_was_forgotten,
    at,
    ended,
    in_a_child,
    send_for_real,
    truth,
)
from tests.effort import effort
from tests.fakes.smtp import SmtpServer, running

TEAM = a_team(3)
# A cut connection is noticed in seconds instead of half a minute, one to a busy machine is not cut.
QUICK = "connect_timeout=4&tcp_user_timeout=3000"
CUT_AT = ("run opened", "messages frozen", *STEPS[6:])
FAST_STEPS = ("body sent", "committed")


class Host:
    """One host: each of its sends is a new process in its network."""

    def __init__(self, name: str, wire: Wire, relay: str, options: str) -> None:
        self.name, self.wire, self.relay, self.options = name, wire, relay, options

    def send(self) -> Sending:
        """Start a send that nothing keeps up."""
        return Sending(self, "", Ledger)

    def send_until(self, step: str) -> Sending:
        """Start a send that waits at a step until it may go on, with leases that run out meanwhile."""
        return Sending(self, step, Impatient)


class Impatient(Ledger):
    """Leases that a waiting process loses soon, and one at work on a busy machine keeps."""

    claim_lease = timedelta(seconds=2)
    commit_lease = timedelta(seconds=2)


class Sending:
    def __init__(self, host: Host, step: str, kind: type[Ledger]) -> None:
        self._there, there = os.pipe(), os.pipe()
        self._here = there
        self.child = in_a_child(lambda: os._exit(self._work(host, step, kind)))
        os.close(self._there[1])  # what is left is the child's: its end is heard
        if isinstance(host.wire, Cable):
            self.wait()
        host.wire.attach(self.child)
        self.go()

    def wait(self) -> None:
        """Until the process has something to say.

        Raises:
            ChildProcessError: it ended before.
        """
        if not os.read(self._there[0], 1):
            raise ChildProcessError(f"a send ended with {self.code()} before it came to its step")

    def go(self) -> None:
        os.write(self._here[1], b".")

    def code(self) -> int:
        return ended(self.child)

    def _say_and_wait(self) -> None:
        os.write(self._there[1], b".")
        os.read(self._here[0], 1)

    def _work(self, host: Host, step: str, kind: type[Ledger]) -> int:
        die_with_parent()
        if isinstance(host.wire, Cable):
            leave_the_network(as_root=True)
            self._say_and_wait()
        else:
            os.read(self._here[0], 1)
        name, port = host.wire.address()
        place = Postgres(f"postgresql://postgres@{name}:{port}/ledgers?{host.options}")
        relay = Forwarder(at_loopback(), to_unix(host.relay)).start()
        channel = a_relay(relay.listener.getsockname()[1], TEAM)
        owner = Owner(host.name, "boot", os.getpid(), "1")
        try:
            send_for_real(place, channel, at(step, 1, self._say_and_wait), kind, owner=owner)
        except LedgerError as error:
            return error.exit_code
        return 0


def play(
    make: type[Proxy | Cable], database: str, relay: str, step: str, *, stalled: bool
) -> dict[str, int]:
    """Let one host be cut off at a step, and mended while it still waits if `stalled`."""
    if make is Cable:
        leave_the_network(as_root=os.geteuid() == 0)
    options = "connect_timeout=20" if stalled else QUICK
    wires = [make(number, database) for number in (1, 2)]
    one, other = (
        Host(name, wire, relay, options)
        for name, wire in zip(("host-a", "host-b"), wires, strict=True)
    )
    codes = {}
    cut_off = one.send_until(step)
    cut_off.wait()
    wires[0].cut()
    meanwhile = other.send()
    cut_off.go()
    codes["meanwhile"] = meanwhile.code()
    if not stalled:
        codes["cut off"] = cut_off.code()
    time.sleep(Impatient.commit_lease.total_seconds() + 0.1)
    codes["other"] = other.send().code()
    wires[0].mend()
    if stalled:
        codes["cut off"] = cut_off.code()
    codes["again"] = one.send().code()
    return codes


def two_hosts(
    pg: Postgres, folder: Path, make: type[Proxy | Cable], step: str, *, stalled: bool
) -> tuple[dict[str, int], int]:
    """Return how each send ended, and how many outcomes are unknown."""
    socket_folder = parse_qs(urlsplit(pg.url).query)["host"][0]
    result, path, file = folder / "result", folder / "relay", folder / "accepted"

    def lab() -> None:
        die_with_parent()
        try:
            database = f"{socket_folder}/.s.PGSQL.5432"
            codes = play(make, database, str(path), step, stalled=stalled)
            result.write_text(json.dumps(codes))
        except BaseException:
            result.write_text(traceback.format_exc())
            raise

    with running(SmtpServer(truth=file)) as server, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        Forwarder(listener, lambda: socket.create_connection(("127.0.0.1", server.port))).start()
        code = ended(in_a_child(lab))
    assert code == 0, result.read_text()
    unknown = assert_nobody_got_two_and_nobody_was_forgotten(TEAM, pg, file)
    assert sum(truth(file).values()) == len(TEAM)
    return json.loads(result.read_text()), unknown


@pytest.mark.failure("T7")
@pytest.mark.parametrize(
    ("make", "step"),
    # The last wire is the most real one that this machine has.
    [
        (make, step)
        for make in WIRES
        for step in effort(FAST_STEPS, CUT_AT if make is WIRES[-1] else FAST_STEPS)
    ],
)
def test_a_host_that_is_cut_off_from_the_ledger_neither_repeats_nor_forgets(
    pg: Postgres, tmp_path: Path, make: type[Proxy | Cable], step: str
) -> None:
    codes, unknown = two_hosts(pg, tmp_path, make, step, stalled=False)

    assert codes == {"meanwhile": 0, "cut off": 3, "other": 0, "again": 0}
    assert unknown == (1 if step in ("committed", "replied") else 0)


if Cable in WIRES:  # a wire stalls in network name spaces only, which this machine may not allow

    @pytest.mark.failure("T7")
    @pytest.mark.parametrize("step", effort(FAST_STEPS, STEPS[6:]))
    def test_a_host_whose_wire_stalls_until_others_have_taken_over_sends_nothing_more(
        pg: Postgres, tmp_path: Path, step: str
    ) -> None:
        """What it had asked of the ledger arrives late: the fence refuses a commit, and takes an answer."""
        codes, unknown = two_hosts(pg, tmp_path, Cable, step, stalled=True)

        assert codes == {"meanwhile": 0, "cut off": 0, "other": 0, "again": 0}
        assert unknown == 0

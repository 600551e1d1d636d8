"""A real Postfix in a folder of its own: its configuration, queue and mailboxes vanish with the test.

It takes mail for `DOMAIN` on a port of loopback with STARTTLS, asks a policy server of the test about each
recipient, and has no way to send anything anywhere else.
"""

from __future__ import annotations

import os
import shutil
import socket
import socketserver
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

import pytest
import trustme

DOMAIN = "team.example"
POSTFIX = Path("/usr/sbin/postfix")
_NOBODY = 65534
_MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""
_MAIN = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/log/postfix.log
maillog_file_prefixes = {folder}
myhostname = relay.example
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = loopback-only
inet_protocols = ipv4
default_transport = error:nothing leaves this machine
relay_transport = error:nothing leaves this machine
message_size_limit = {size}
smtpd_tls_security_level = encrypt
smtpd_tls_cert_file = {folder}/conf/relay.pem
smtpd_tls_key_file = {folder}/conf/relay.pem
smtpd_relay_restrictions = reject_unauth_destination
smtpd_recipient_restrictions = reject_unlisted_recipient, check_policy_service inet:127.0.0.1:{policy}, permit
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = texthash:{folder}/conf/mailboxes
virtual_uid_maps = static:{nobody}
virtual_gid_maps = static:{nobody}
virtual_minimum_uid = 1
"""


@dataclass(frozen=True)
class Postfix:
    """A running instance; `ca_file` is the authority of its certificate, which names localhost."""

    port: int
    ca_file: Path
    folder: Path

    def mails(self, name: str, count: int = 1) -> list[bytes]:
        """Return a mailbox, once it holds so many mails or ten seconds have passed."""
        end = monotonic() + 10
        while True:
            found = sorted((self.folder / "mail" / name / "new").glob("*"))
            if len(found) >= count or monotonic() > end:
                return [one.read_bytes() for one in found]
            sleep(0.02)

    def log(self) -> str:
        """Return what the instance has logged."""
        return (self.folder / "log" / "postfix.log").read_text()


@contextmanager
def policy(answer: Callable[[str], str]) -> Iterator[int]:
    """Answer Postfix's questions about recipients; `answer` gets the address and returns an action."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            asked: dict[str, str] = {}
            for line in self.rfile:
                name, equals, value = line.decode().strip().partition("=")
                if equals:
                    asked[name] = value
                    continue
                self.wfile.write(f"action={answer(asked['recipient'])}\n\n".encode())
                asked = {}

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as listener:
        thread = threading.Thread(target=listener.serve_forever, args=(0.005,), daemon=True)
        thread.start()
        try:
            yield listener.server_address[1]
        finally:
            listener.shutdown()
            thread.join()


@contextmanager
def running(
    names: Sequence[str], *, answer: Callable[[str], str], size: int = 100_000
) -> Iterator[Postfix]:
    """Run an instance while the block runs.

    Args:
        names: the mailboxes of DOMAIN.
        answer: see `policy`.
        size: bytes of the largest mail it takes.
    """
    if not POSTFIX.exists():
        pytest.skip("Postfix is not installed (Debian: postfix)")
    if os.geteuid() != 0:
        pytest.skip("Postfix starts as root only")
    folder = Path(tempfile.mkdtemp(prefix="digest-postfix-"))
    folder.chmod(0o755)
    try:
        with policy(answer) as asked:
            yield from _started(folder, names, {"policy": str(asked), "size": str(size)})
    finally:
        shutil.rmtree(folder)


def _started(folder: Path, names: Sequence[str], facts: Mapping[str, str]) -> Iterator[Postfix]:
    for name in ("conf", "queue", "data", "log", "mail"):
        (folder / name).mkdir(mode=0o755)
    shutil.chown(folder / "data", "postfix")
    os.chown(folder / "mail", _NOBODY, _NOBODY)
    port, conf = _free_port(), folder / "conf"
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(conf / "ca.pem"))
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(
        str(conf / "relay.pem")
    )
    (conf / "mailboxes").write_text("".join(f"{name}@{DOMAIN} {name}/\n" for name in names))
    (conf / "master.cf").write_text(_MASTER.format(port=port))
    (conf / "main.cf").write_text(
        _MAIN.format(folder=folder, domain=DOMAIN, nobody=_NOBODY, **facts)
    )
    _run(conf, "start")
    try:
        _wait_for(port)
        yield Postfix(port, conf / "ca.pem", folder)
    finally:
        _run(conf, "stop")


def _run(conf: Path, what: str) -> None:
    done = subprocess.run(  # noqa: S603 - arguments of our own
        [POSTFIX, "-c", conf, what], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int) -> None:
    end = monotonic() + 20
    while monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        sleep(0.05)
    pytest.fail("Postfix did not start")

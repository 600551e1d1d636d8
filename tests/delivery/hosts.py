"""Two hosts on one machine, each with a wire of its own to the database that can be cut.

With network name spaces each host is a process with its own interfaces, and a cut wire swallows what is
sent, as a real one does. Where the system allows none, a proxy on loopback stands for the wire: cutting it
breaks connections off, which a host notices at once.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

_NEW_USER, _NEW_NET = 0x10000000, 0x40000000  # of unshare(2)
_DIE_WITH_PARENT = 1  # of prctl(2)
_CHUNK = 65536


class Wire(Protocol):
    """The way of one host to the database."""

    def attach(self, host: int) -> None:
        """Lay it to the process of a host; called outside of it."""

    def address(self) -> tuple[str, int]:
        """Return where that host finds the database; called inside of it."""

    def cut(self) -> None: ...

    def mend(self) -> None: ...


# ----------------------------------------------------------------------------------- forwarding bytes


@dataclass
class Forwarder:
    """Carries connections from a listener to somewhere else, in threads, until it is cut."""

    listener: socket.socket
    connect: Callable[[], socket.socket]
    closed: bool = False
    pairs: list[tuple[socket.socket, socket.socket]] = field(default_factory=list)

    def start(self) -> Forwarder:
        self.listener.listen(50)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def cut(self) -> None:
        self.closed = True
        for pair in self.pairs:
            for end in pair:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        self.closed = False

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return  # the listener was closed
            if self.closed:
                near.close()
                continue
            try:
                far = self.connect()
            except OSError:  # nobody is there any more
                near.close()
                continue
            self.pairs.append((near, far))
            threading.Thread(target=_carry, args=(near, far), daemon=True).start()


def _carry(near: socket.socket, far: socket.socket) -> None:
    back = threading.Thread(target=_pump, args=(far, near), daemon=True)
    back.start()
    _pump(near, far)
    back.join()
    for end in (near, far):
        end.close()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(_CHUNK):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def to_unix(path: str) -> Callable[[], socket.socket]:
    """Connect to a socket in the file system, which every name space sees."""

    def connect() -> socket.socket:
        far = socket.socket(socket.AF_UNIX)
        far.connect(path)
        return far

    return connect


def at_loopback() -> socket.socket:
    """Return a socket on a free port of this name space's loopback."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    return listener


# ---------------------------------------------------------------------------------------- the wires


class Proxy:
    """A wire through loopback."""

    def __init__(self, number: int, database: str) -> None:
        del number
        self._listener = at_loopback()
        self._forwarder = Forwarder(self._listener, to_unix(database)).start()

    def attach(self, host: int) -> None:
        del host

    def address(self) -> tuple[str, int]:
        name, port = self._listener.getsockname()
        return str(name), int(port)

    def cut(self) -> None:
        self._forwarder.cut()

    def mend(self) -> None:
        self._forwarder.mend()


class Cable:
    """A pair of interfaces between the name space of the database and that of a host."""

    def __init__(self, number: int, database: str) -> None:
        self._here, self._number = f"wire{number}", number
        self._hardware = f"02:00:00:00:00:0{number}"
        self._listener = socket.socket()
        self._listener.bind(("0.0.0.0", 0))  # noqa: S104 - in a name space with nothing else in it
        Forwarder(self._listener, to_unix(database)).start()

    def attach(self, host: int) -> None:
        with suppress(subprocess.CalledProcessError):  # that of an earlier process of this host
            _ip("link", "del", self._here)
        kind = ("type", "veth", "peer", "name", "eth0", "netns", str(host))
        _ip("link", "add", self._here, "address", self._hardware, *kind)
        _ip("addr", "add", f"10.77.{self._number}.1/24", "dev", self._here)
        self.mend()

    def address(self) -> tuple[str, int]:
        own_network()
        _ip("addr", "add", f"10.77.{self._number}.2/24", "dev", "eth0")
        _ip("link", "set", "eth0", "up")
        # Known for good, or the system gives up looking for it after three seconds of a stalled wire.
        near = ("to", f"10.77.{self._number}.1", "lladdr", self._hardware)
        _ip("neigh", "replace", *near, "dev", "eth0", "nud", "permanent")
        return f"10.77.{self._number}.1", int(self._listener.getsockname()[1])

    def cut(self) -> None:
        _ip("link", "set", self._here, "down")

    def mend(self) -> None:
        with suppress(subprocess.CalledProcessError):  # it went with the process that was cut off
            _ip("link", "set", self._here, "up")


def _ip(*arguments: str) -> None:
    subprocess.run([IP, *arguments], check=True, capture_output=True)  # noqa: S603 - arguments of our own


def own_network() -> None:
    """Give this process the loopback of its new name space."""
    _ip("link", "set", "lo", "up")


def leave_the_network(*, as_root: bool) -> None:
    """Move this process into a network of its own; without root it becomes root of a name space."""
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    if libc.unshare(_NEW_NET if as_root else _NEW_NET | _NEW_USER):
        raise OSError(ctypes.get_errno(), "unshare")
    if not as_root:
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"0 {user} 1"),
            ("gid_map", f"0 {group} 1"),
        ):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:  # noqa: PTH123 - a file of the kernel
                file.write(text)


def die_with_parent() -> None:
    """Leave no process behind when a test fails."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, int(signal.SIGKILL))


def _cables_possible() -> bool:
    unshare = shutil.which("unshare")
    if unshare is None or not IP:
        return False
    options = "-n" if os.geteuid() == 0 else "-rn"
    made = [unshare, options, IP, "link", "add", "one", "type", "veth", "peer", "name", "two"]
    return subprocess.run(made, capture_output=True, check=False).returncode == 0  # noqa: S603 - as above


IP = shutil.which("ip") or shutil.which("ip", path="/usr/sbin:/sbin") or ""
WIRES: tuple[type[Proxy | Cable], ...] = (Proxy, Cable) if _cables_possible() else (Proxy,)

"""Who works on a delivery, and whether that process has provably ended."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

_STATE, _START = 0, 19  # fields of /proc/PID/stat after the name, see proc(5)


@dataclass(frozen=True, slots=True)
class Owner:
    """One process on one host, in one boot.

    Attributes:
        boot: boot id and process-id name space, empty where the system has none: two containers
            may share a host name and still not see each other's processes.
        started: start time of the process in the system's ticks, empty when it is not known.
    """

    host: str
    boot: str
    pid: int
    started: str

    def __str__(self) -> str:
        return f"{self.host} {self.boot or '-'} {self.pid} {self.started or '-'}"


def read_owner(text: str) -> Owner:
    """Return the owner that `str` wrote."""
    host, boot, pid, started = text.rsplit(" ", 3)
    return Owner(host, boot.strip("-") and boot, int(pid), "" if started == "-" else started)


def current_owner(proc: Path = Path("/proc")) -> Owner:
    """Return this process; `proc` is where the system describes its processes."""
    pid = os.getpid()
    host = socket.gethostname().replace(" ", "_") or "unknown"
    return Owner(host, _boot(proc), pid, _stat(pid, proc)[1])


def is_gone(owner: Owner) -> bool:
    """Whether the owner's process has certainly ended: same host and boot, and no such process.

    Never guesses: for another host, and where the system does not tell, the answer is False and only
    the lease decides.
    """
    me = current_owner()
    # On Windows os.kill would end the process instead of asking.
    if os.name == "nt" or (owner.host, owner.boot) != (me.host, me.boot):
        return False
    try:
        os.kill(owner.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    state, started = _stat(owner.pid)
    # A zombie runs no code any more; another start time means the number was given away again.
    return state in ("Z", "X") or bool(owner.started and started and started != owner.started)


def _boot(proc: Path) -> str:
    try:
        boot = (proc / "sys/kernel/random/boot_id").read_text().strip()
        space = (proc / "self/ns/pid").readlink().name
    except OSError:  # no /proc, as on macOS
        return ""
    return f"{boot}+{space.strip('pid:[]')}"


def _stat(pid: int, proc: Path = Path("/proc")) -> tuple[str, str]:
    try:
        text = (proc / str(pid) / "stat").read_text()
    except OSError:
        return ("", "")
    fields = text.rpartition(")")[2].split()  # the name before it may hold spaces and brackets
    return fields[_STATE], fields[_START]

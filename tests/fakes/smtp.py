"""A real SMTP server in threads on loopback that misbehaves on request and keeps what it accepted.

What it has accepted is appended to a file after the final dot and before the reply, so the file is the
truth that a ledger can be compared with, whatever happens to the client.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
import socket
import socketserver
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from pathlib import Path
from typing import BinaryIO

STAGES = ("greeting", "EHLO", "MAIL", "RCPT", "DATA", "dot", "QUIT")


@dataclass(frozen=True)
class Fault:
    """What goes wrong, and when.

    Attributes:
        stage: one of STAGES, or STARTTLS, AUTH, RSET, NOOP, or "reply": after the mail was recorded.
        mode: "hang", "drop", "reset", "slow" (one byte per `interval`), "inject" (a forged reply in the
            clear behind the answer to STARTTLS), or a reply such as "450" or "550 5.1.1 no such user";
            421 closes the connection.
        recipient: only for this one; None for everybody.
        times: so often; None for always.
        skip: not the first so many times.
    """

    stage: str
    mode: str
    recipient: str | None = None
    times: int | None = None
    skip: int = 0


@dataclass(frozen=True)
class Accepted:
    """A mail that the server has taken."""

    sender: str
    recipient: str
    content: bytes


@dataclass
class SmtpServer:
    """The server and everything a test may ask it; start it with `running`."""

    faults: Sequence[Fault] = ()
    truth: Path | None = None
    tls: ssl.SSLContext | None = None
    implicit_tls: bool = False
    users: Mapping[str, str] = field(default_factory=dict)
    mechanisms: tuple[str, ...] = ("PLAIN",)
    size: int = 0
    interval: float = 0.05
    reply_delay: float = 0
    latency: float = 0
    knows_by: str = ""
    on_stage: Callable[[str, str], None] = lambda _stage, _recipient: None

    accepted: list[Accepted] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    continuations: list[bytes] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    closing: threading.Event = field(default_factory=threading.Event)
    _known: set[str | None] = field(default_factory=set)
    _seen: dict[int, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, verb: str) -> int:
        """How often a command came."""
        return sum(command.split(" ")[0].upper() == verb for command in self.commands)

    def fault(self, stage: str, recipient: str) -> str | None:
        """Return the mode of the fault that applies now."""
        with self._lock:
            for number, one in enumerate(self.faults):
                if one.stage != stage or one.recipient not in (None, recipient):
                    continue
                seen = self._seen[number] = self._seen.get(number, 0) + 1
                if seen > one.skip and (one.times is None or seen <= one.skip + one.times):
                    return one.mode
        return None

    def accept(self, mail: Accepted) -> None:
        """Record a mail; one write, so that processes and threads cannot mix their lines.

        One whose header `knows_by` has been seen is taken for the same mail and not recorded again.
        """
        mark = message_from_bytes(mail.content)[self.knows_by] if self.knows_by else None
        with self._lock:
            if mark is not None and mark in self._known:
                return
            self._known.add(mark)
            self.accepted.append(mail)
        if self.truth is not None:
            handle = os.open(self.truth, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                os.write(handle, f"{mail.recipient}\n".encode())
            finally:
                os.close(handle)


@contextmanager
def running(server: SmtpServer) -> Iterator[SmtpServer]:
    """Serve on a free port of loopback while the block runs."""

    class Handler(_Conversation):
        state = server

    class Threading(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True
        request_queue_size = 50

        def handle_error(self, *_: object) -> None:
            """Stay quiet: a client that dies is what these tests are about."""

    with Threading(("127.0.0.1", 0), Handler) as listener:
        server.port = listener.server_address[1]
        thread = threading.Thread(target=listener.serve_forever, args=(0.005,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.closing.set()
            listener.shutdown()
            thread.join()


class _Gone(Exception):  # noqa: N818 - a signal to end the conversation, not an error
    """The conversation is over."""


class _Conversation(socketserver.BaseRequestHandler):
    state: SmtpServer
    request: socket.socket

    def setup(self) -> None:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.request.settimeout(20)
        self.file: BinaryIO | None = None
        self.sender = ""
        self.recipient = ""
        self.state.connections += 1

    def finish(self) -> None:
        if self.file is not None:
            self.file.close()
        self.request.close()

    def handle(self) -> None:
        with contextlib.suppress(_Gone, OSError, ValueError):
            if self.state.implicit_tls:
                self.encrypt()
            self.reply("greeting", "220 fake.example ESMTP")
            while True:
                self.command(self.line().decode("ascii", "replace").strip())

    def line(self) -> bytes:
        if self.file is None:
            self.file = self.request.makefile("rb")
        line = self.file.readline(100_000)
        if not line:
            raise _Gone
        return line

    def say(self, text: str, pause: float = 0) -> None:
        if self.state.latency and self.state.closing.wait(self.state.latency):
            raise _Gone
        data = f"{text}\r\n".encode()
        if not pause:
            self.request.sendall(data)
            return
        for byte in data:
            self.request.sendall(bytes([byte]))
            if self.state.closing.wait(pause):
                raise _Gone

    def reply(self, stage: str, text: str) -> bool:
        """Answer, or do the fault planned for this stage; True when the answer was the good one."""
        self.state.on_stage(stage, self.recipient)
        mode = self.state.fault(stage, self.recipient)
        if mode is None:
            self.say(text)
            return True
        self.misbehave(mode, text)
        return False

    def misbehave(self, mode: str, text: str) -> None:
        if mode == "hang":
            self.state.closing.wait(20)
        elif mode == "reset":
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif mode == "slow":
            self.say(text, self.state.interval)
            return
        elif mode == "inject":
            self.say(f"{text}\r\n250-forged\r\n250 AUTH PLAIN")
            return
        elif mode != "drop":
            self.say(mode if " " in mode else f"{mode} 4.0.0 not now for {self.recipient}")
            if not mode.startswith("421"):
                return
        raise _Gone

    def command(self, line: str) -> None:
        self.state.commands.append(line)
        verb, _, argument = line.partition(" ")
        known: Mapping[str, Callable[[str], object]] = {
            "EHLO": lambda _: self.reply("EHLO", self.greeting()),
            "STARTTLS": self.start_tls,
            "AUTH": self.authenticate,
            "MAIL": self.mail,
            "RCPT": self.rcpt,
            "DATA": self.data,
            "RSET": lambda _: self.reply("RSET", "250 ok"),
            "NOOP": lambda _: self.reply("NOOP", "250 ok"),
            "QUIT": self.leave,
        }
        if verb.upper() in known:
            known[verb.upper()](argument)
        else:
            self.say("500 unknown command")

    def start_tls(self, _: str) -> None:
        self.reply("STARTTLS", "220 go ahead")
        self.encrypt()

    def mail(self, argument: str) -> None:
        self.sender, self.recipient = _path(argument), ""
        self.reply("MAIL", "250 sender ok")

    def rcpt(self, argument: str) -> None:
        self.recipient = _path(argument)
        self.reply("RCPT", "250 recipient ok")

    def data(self, _: str) -> None:
        if self.reply("DATA", "354 go on"):
            self.body()

    def leave(self, _: str) -> None:
        self.reply("QUIT", "221 bye")
        raise _Gone

    def greeting(self) -> str:
        state = self.state
        lines = ["fake.example", f"SIZE {state.size}" if state.size else "SIZE"]
        encrypted = isinstance(self.request, ssl.SSLSocket)
        if state.tls and not encrypted:
            lines.append("STARTTLS")
        if state.users:
            lines.append("AUTH " + " ".join(state.mechanisms))
        return "\r\n".join(f"250{' ' if line is lines[-1] else '-'}{line}" for line in lines)

    def encrypt(self) -> None:
        if self.state.tls is None:
            raise _Gone
        if self.file is not None:
            self.file.close()
        self.file = None
        self.request = self.state.tls.wrap_socket(self.request, server_side=True)

    def authenticate(self, argument: str) -> None:
        mechanism, _, initial = argument.partition(" ")
        if mechanism == "LOGIN":
            user = _decoded(initial) or self.ask("VXNlcm5hbWU6")
            good = self.state.users.get(user) == self.ask("UGFzc3dvcmQ6")
        elif mechanism == "XOAUTH2":
            fields = dict(part.split("=", 1) for part in _decoded(initial).split("\1") if part)
            good = fields.get("auth") == f"Bearer {self.state.users.get(fields.get('user', ''))}"
            if not good and not self.gives_up():
                return
        else:
            _, user, password = _decoded(initial).split("\0")
            good = self.state.users.get(user) == password
        self.reply("AUTH", "235 welcome" if good else "535 5.7.8 wrong user or password")

    def gives_up(self) -> bool:
        """Tell why a token is refused; whoever hears it has to answer with an empty line."""
        why = b'{"status":"401","schemes":"Bearer","scope":"https://mail.example/"}'
        self.say(f"334 {base64.b64encode(why).decode()}")
        self.state.continuations.append(self.line())
        if self.state.continuations[-1] != b"\r\n":
            self.say("501 5.5.2 an empty line was expected")
            return False
        return True

    def ask(self, challenge: str) -> str:
        self.say(f"334 {challenge}")
        return _decoded(self.line().decode().strip())

    def body(self) -> None:
        lines = []
        while (line := self.line()) != b".\r\n":
            lines.append(line.removeprefix(b"."))
        self.state.on_stage("body", self.recipient)
        mode = self.state.fault("dot", self.recipient)
        if mode is not None and mode != "slow":
            self.state.on_stage("dot", self.recipient)
            self.misbehave(mode, "")
            return
        self.state.accept(Accepted(self.sender, self.recipient, b"".join(lines)))
        if self.state.reply_delay and self.state.closing.wait(self.state.reply_delay):
            raise _Gone
        if mode == "slow":
            self.misbehave(mode, "250 queued")
            return
        self.reply("reply", f"250 2.0.0 queued for {self.recipient}")


def _path(argument: str) -> str:
    return argument.partition("<")[2].partition(">")[0]


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""

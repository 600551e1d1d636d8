"""A process that stands by with all that filling a user's templates needs, so that a preview need not wait.

It forks for each mail; the fork has the limits of `confined` and ends with its answer. Nothing of a user's
ever runs in the process itself.
"""

from __future__ import annotations

import os
import select
import signal
import struct
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Self

_SIZES = struct.Struct(">iQQ")
_ASKED = struct.Struct(">dQ")


class Standby:
    """Runs a function of bytes in a fork of a warm process.

    Args:
        program: Python for the process; it ends in a call of `serve`.
    """

    def __init__(self, program: str) -> None:
        self._program = program
        self._busy = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Allow the process; it starts when it is missed for the first time."""
        return self

    def __exit__(self, *_error: object) -> None:
        """End it."""
        with self._busy:
            self._end()

    def run(self, asked: bytes, *, seconds: float) -> subprocess.CompletedProcess[bytes]:
        """Return what the fork wrote and how it ended.

        Raises:
            subprocess.TimeoutExpired: it took longer than so many seconds.
            ConnectionError: there was no process; one gets ready for the next time.
        """
        with self._busy:
            process = self._process
            if process is None:
                self._start()
                raise ConnectionError("no process stood by")
            try:
                assert process.stdin is not None  # noqa: S101 - both are pipes
                assert process.stdout is not None  # noqa: S101 - as above
                process.stdin.write(_ASKED.pack(seconds, len(asked)) + asked)
                process.stdin.flush()
                code, out, err = _SIZES.unpack(_exactly(process.stdout, _SIZES.size))
                answer, words = _exactly(process.stdout, out), _exactly(process.stdout, err)
            except (OSError, EOFError) as error:
                self._end()
                self._start()
                raise ConnectionError(f"the process that stood by is gone: {error}") from error
        if code == -signal.SIGALRM:
            raise subprocess.TimeoutExpired("templates", seconds)
        return subprocess.CompletedProcess("templates", code, answer, words)

    def _start(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - this interpreter, a program of our own
            [sys.executable, "-c", self._program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(OSError), process:  # what it was still to be told goes nowhere
            process.kill()


def serve(answer: Callable[[bytes], bytes]) -> None:
    """Answer each question of standard input in a fork, until it ends."""
    questions, answers = sys.stdin.buffer, sys.stdout.buffer
    while True:
        try:
            seconds, size = _ASKED.unpack(_exactly(questions, _ASKED.size))
            code, out, err = _forked(answer, _exactly(questions, size), seconds)
        except EOFError:
            return
        answers.write(_SIZES.pack(code, len(out), len(err)) + out + err)
        answers.flush()


def _forked(
    answer: Callable[[bytes], bytes], asked: bytes, seconds: float
) -> tuple[int, bytes, bytes]:
    out, err = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        _child(answer, asked, out[1], err[1])
    os.close(out[1])
    os.close(err[1])
    written, timely = _read({out[0]: b"", err[0]: b""}, time.monotonic() + seconds)
    if not timely:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status) if timely else -signal.SIGALRM
    return code, written[out[0]], written[err[0]]


def _child(answer: Callable[[bytes], bytes], asked: bytes, out: int, err: int) -> None:
    """Answer and end; the ways to whoever asks are closed before anything of a user's runs."""
    code = 1
    try:
        os.dup2(err, 2)
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        os.dup2(nothing, 1)
        with os.fdopen(out, "wb") as pipe:
            pipe.write(answer(asked))
        code = 0
    except BaseException:  # noqa: BLE001 - a fork must never run what its parent would do next
        with suppress(OSError):
            os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(code)


def _read(pipes: dict[int, bytes], until: float) -> tuple[dict[int, bytes], bool]:
    """Read pipes to their end; the second value tells whether that came in time."""
    reading = set(pipes)
    while reading:
        ready, _, _ = select.select(reading, [], [], max(until - time.monotonic(), 0))
        if not ready:
            break
        for pipe in ready:
            piece = os.read(pipe, 1 << 16)
            pipes[pipe] += piece
            if not piece:
                reading.discard(pipe)
    for pipe in pipes:
        os.close(pipe)
    return pipes, not reading


def _exactly(file: IO[bytes], size: int) -> bytes:
    found = file.read(size)
    if len(found) != size:
        raise EOFError
    return found

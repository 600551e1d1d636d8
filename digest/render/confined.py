"""Fills a user's templates in a process of its own, with limits.

The sandbox keeps a template from reaching out, but not from `'a' * 10**9`, from loops in loops, or from an
element so deep that the mail engine crashes: those end the child, and the parent says why.
"""

from __future__ import annotations

import json
import logging
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date
from pathlib import Path

from digest.errors import ConfigError
from digest.render import email, text
from digest.render.locales import languages, locale_for
from digest.render.standby import Standby, serve
from digest.render.writing import Wish, Written, write
from digest.resources import templates_folder

log = logging.getLogger(__name__)

SECONDS = 10
MEMORY = 1 << 30  # bytes of address space
_ROOT = str(Path(__file__).parents[2])
_BEFORE = f"import sys; {_ROOT!r} in sys.path or sys.path.insert(0, {_ROOT!r}); "
_PROGRAM = f"{_BEFORE} from digest.render.confined import main; main()"
_STANDBY = f"{_BEFORE} from digest.render.confined import stand_by; stand_by()"
_standing: list[Standby] = []


@contextmanager
def standing_by() -> Iterator[None]:
    """Keep a warm process for `write_confined` within the block: a mail then takes no start of Python.

    Where processes cannot fork each mail has a process of its own, as outside the block.
    """
    if not hasattr(os, "fork"):
        yield
        return
    with Standby(_STANDBY) as standby:
        _standing.append(standby)
        try:
            yield
        finally:
            _standing.remove(standby)


def write_confined(wish: Wish, *, seconds: int = SECONDS) -> Written:
    """Do what `write` does, with at most so many seconds of the processor and 1 GB.

    Raises:
        ConfigError: as `write`; also when the templates took more than that, or crashed the engine.
    """
    try:
        done = _done(pickle.dumps((wish, seconds)), 3 * seconds)
    except subprocess.TimeoutExpired as error:
        raise _too_much(wish, f"took longer than {seconds} seconds") from error
    if done.returncode:
        raise _ended(wish, done, seconds)
    # Never unpickled: what ran in the child may be a stranger's.
    answer = json.loads(done.stdout)
    if "mistakes" in answer:
        raise ConfigError(*answer["mistakes"])
    return Written(**answer)


def _done(asked: bytes, seconds: int) -> subprocess.CompletedProcess[bytes]:
    if _standing:
        try:
            return _standing[-1].run(asked, seconds=seconds)
        except ConnectionError as error:  # then as if none stood by
            log.debug("%s", error)
    return subprocess.run(  # noqa: S603 - this interpreter, a program of our own
        [sys.executable, "-c", _PROGRAM],
        input=asked,
        capture_output=True,
        timeout=seconds,
        check=False,
    )


def _ended(wish: Wish, done: subprocess.CompletedProcess[bytes], seconds: int) -> Exception:
    reason = done.stderr.decode(errors="replace")
    if "MemoryError" in reason or "memory allocation of" in reason:
        return _too_much(wish, "needed more than 1 GB of memory")
    if -done.returncode in (signal.SIGKILL, getattr(signal, "SIGXCPU", signal.SIGKILL)):
        return _too_much(wish, f"took longer than {seconds} seconds")
    if done.returncode < 0:
        return _too_much(wish, f"crashed the mail engine (signal {-done.returncode})")
    return RuntimeError(f"rendering ended with {done.returncode}: {reason}")


def _too_much(wish: Wish, what: str) -> ConfigError:
    folder = wish.templates or Path()
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return ConfigError(
        f"{folder}: filling these templates {what}; look for a loop or a repetition without end in: "
        f"{', '.join(files)}"
    )


def main() -> None:
    """Write what standard input wishes to standard output, as JSON."""
    sys.stdout.write(_answer(sys.stdin.buffer.read()).decode())


def stand_by() -> None:
    """Load and compile everything of our own, then answer wishes, each in a fork."""
    own = templates_folder()
    email.load_engines()
    email.compile_all(email.environment_for(own, markup=True), "mjml", "css")
    email.compile_all(text.environment(own), "txt")
    for tag in languages():  # Babel keeps what it has read
        locale_for(tag).full_day(date(2026, 1, 1))
    # Translations may change while this process stands by.
    locale_for.cache_clear()
    email.environment_for.cache_clear()
    serve(_answer)


def _answer(asked: bytes) -> bytes:
    wish: Wish
    seconds: int
    wish, seconds = pickle.loads(asked)  # noqa: S301 - from our own parent
    _limit(seconds)
    try:
        answer: dict[str, object] = asdict(write(wish))
    except ConfigError as error:
        answer = {"mistakes": error.mistakes}
    return json.dumps(answer).encode()


def _limit(seconds: int) -> None:
    try:
        import resource
    except ImportError:  # Windows has no such limits; there the parent's clock is the only one
        return
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))

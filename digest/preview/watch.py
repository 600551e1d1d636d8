"""Watches the files behind the pages: a change is read, counted, and told to every open page.

A save becomes one version, however the editor writes; what the sources answered stays.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
import tomllib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from digest.errors import ConfigError, DigestError
from digest.preview.page import forget_words
from digest.resources import templates_folder
from digest.settings import files_of, load, shared_ids
from digest.settings.mistakes import names_a_secret, paths_in

if TYPE_CHECKING:
    from digest.preview.desk import Desk
    from digest.settings import Settings

SETTLED = 0.05  # seconds: two saves within them are one
AHEAD = 0.5  # seconds that open pages wait for their view to be ready before they are told
MOST_LOOKS = 20  # at files that never stop changing, until pages are told
GONE = 0.3  # seconds that an editor may leave between deleting a file and writing it anew
STREAM_SECONDS = 25  # a stream ends by itself; the page asks again with the version it has
NOTICED = 0.5  # seconds until a stream notices that the server ends
RETRY_MILLISECONDS = 400
READ_BY_SETTINGS = (".toml", ".xlsx", ".xlsm", ".ods", ".csv", ".png", ".jpg", ".jpeg")
READ_BY_TEMPLATES = (".mjml", ".txt", ".css", ".html", ".js", ".mo")

Stamp = tuple[int, int, int]
Load = Callable[[Path], "Settings"]


class Versions:
    """Counts changes, and wakes whoever waits for the next one.

    Attributes:
        ended: whether the server is about to end; streams then end too, so that it need not wait.
    """

    def __init__(self) -> None:
        self.ended: Callable[[], bool] = lambda: False
        # Not from 0: a page of an earlier start must not take its number for ours.
        self._version = secrets.randbelow(1 << 30) * 1_000_000
        self._waiting: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}
        self._busy = threading.Lock()

    def __call__(self) -> int:
        """Return the version that a page shows when it is made now."""
        return self._version

    def advance(self) -> None:
        """Count a change; called by any thread."""
        with self._busy:
            self._version += 1
            waiting = dict(self._waiting)
        for event, loop in waiting.items():
            try:
                loop.call_soon_threadsafe(event.set)
            except RuntimeError:  # its loop has ended, and with it whoever waited
                self._leave(event)

    @contextmanager
    def _wait(self) -> Iterator[asyncio.Event]:
        event = asyncio.Event()
        with self._busy:
            self._waiting[event] = asyncio.get_running_loop()
        try:
            yield event
        finally:
            self._leave(event)

    def _leave(self, event: asyncio.Event) -> None:
        with self._busy:
            self._waiting.pop(event, None)

    async def stream(self, seconds: float = STREAM_SECONDS) -> AsyncIterator[str]:
        """Yield server-sent events: the version there is, and each later one."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + seconds
        with self._wait() as event:
            told = self()
            yield f"retry: {RETRY_MILLISECONDS}\nid: {told}\ndata: {told}\n\n"
            while (left := ends - loop.time()) > 0 and not self.ended():
                try:
                    await asyncio.wait_for(event.wait(), min(left, NOTICED))
                except TimeoutError:
                    continue
                event.clear()
                if told != self():
                    told = self()
                    yield f"id: {told}\ndata: {told}\n\n"


def events(versions: Versions) -> Route:
    """Return the route that tells open pages of changes."""

    async def answer(_request: Request) -> StreamingResponse:
        return StreamingResponse(versions.stream(), media_type="text/event-stream")

    return Route("/events", answer)


@dataclass(eq=False)
class Files:
    """The files behind a desk, and what they came to when they were last read.

    Attributes:
        paths: files and folders of settings, as the person named them.
        load: reads one file of settings.
    """

    desk: Desk
    paths: Sequence[Path]
    load: Load
    versions: Versions = field(default_factory=Versions)
    _good: dict[Path, Settings] = field(default_factory=dict)
    _stamps: dict[Path, Stamp | None] = field(default_factory=dict)

    def read(self) -> None:
        """Read every file of settings; what a broken one said before stays on the desk."""
        loaded: dict[Path, Settings] = {}
        found, folders = files_of(self.paths)
        broken: dict[Path, DigestError] = {}
        for path in found:
            try:
                loaded[path] = self._good[path] = self.load(path)
            except DigestError as error:
                broken[path] = error
                if path in self._good:
                    loaded[path] = self._good[path]
        shared = shared_ids(list(loaded.values()))
        self._good = {path: self._good[path] for path in found if path in self._good}
        whose = {path: settings.id for path, settings in self._good.items()}
        self.desk.put(
            [settings for settings in loaded.values() if settings.id not in shared],
            broken=(
                *((whose.get(path), error) for path, error in broken.items()),
                *((None, error) for error in (*shared.values(), *folders)),
            ),
        )
        self._stamps = _stamps(self.files())

    def take(self) -> bool:
        """Read again what has changed since the last look; tell whether anything had."""
        now = _stamps(self.files())
        changed = {
            path for path in now.keys() | self._stamps.keys() if _moved(path, self._stamps, now)
        }
        self._stamps = now
        if not changed:
            return False
        templates = self._templates()
        if any(path.suffix == ".mo" for path in changed):
            forget_words()
        if all(any(path.is_relative_to(folder) for folder in templates) for path in changed):
            self.desk.forget_messages()
        else:
            self.read()
        return True

    def missing(self) -> bool:
        """Whether a file that was there is not: an editor may be about to write it anew."""
        return any(stamp is not None and not path.exists() for path, stamp in self._stamps.items())

    def files(self) -> frozenset[Path]:
        """Return every file whose text a page may depend on, whether it is there or not."""
        return frozenset((*self._of_settings(), *self._of_templates()))

    def folders(self) -> frozenset[Path]:
        """Return the folders to watch; files come and go, folders stay."""
        beside = {path.parent for path in self._of_settings()}
        inside = {path.parent for path in self._of_templates()}
        named = {path for path in self.paths if path.is_dir()}
        wanted = (*beside, *inside, *named, *self._templates())
        return frozenset(path for path in wanted if path.is_dir())

    def _of_settings(self) -> Iterator[Path]:
        found, _ = files_of(self.paths)
        for path in found:
            yield path
            yield from _named_in(path)
        for path, settings in self._good.items():
            yield path
            if settings.worksheet is not None:
                yield settings.worksheet.absolute()

    def _of_templates(self) -> Iterator[Path]:
        for folder in self._templates():
            yield from (path for path in folder.rglob("*") if path.suffix in READ_BY_TEMPLATES)

    def _templates(self) -> frozenset[Path]:
        theirs = (settings.templates for settings in self._good.values() if settings.templates)
        return frozenset((templates_folder(), *(path.absolute() for path in theirs)))


def _named_in(path: Path) -> Iterator[Path]:
    """Yield the files that a file of settings names; a broken one names those it can be read for."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return
    for at, value in paths_in(document, deepest=20):
        secret = any(names_a_secret(str(part)) for part in at)
        if isinstance(value, str) and value.lower().endswith(READ_BY_SETTINGS) and not secret:
            yield (path.parent / value).absolute()


def _stamps(files: Iterable[Path]) -> dict[Path, Stamp | None]:
    return {path: _stamp(path) for path in files}


def _stamp(path: Path) -> Stamp | None:
    try:
        found = path.stat()
    except (OSError, ValueError):  # ValueError: a NUL in a name that the settings hold
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _moved(
    path: Path, before: Mapping[Path, Stamp | None], now: Mapping[Path, Stamp | None]
) -> bool:
    return before.get(path) != now.get(path)


@dataclass(eq=False)
class Watcher:
    """A thread that looks at the files whenever something in their folders happens.

    Attributes:
        wait: sleeps for so many seconds.
    """

    files: Files
    wait: Callable[[float], None] = time.sleep
    _ended: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Start watching."""
        self._thread = threading.Thread(target=self._run, name="preview files", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        """End the thread."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        from watchfiles import watch

        while not self._ended.is_set():
            folders = self.files.folders()
            for _happened in watch(
                *folders,
                watch_filter=None,
                debounce=10,
                step=2,
                recursive=False,
                stop_event=self._ended,
                rust_timeout=1000,
                yield_on_timeout=True,  # what no event tells, such as a file on a network drive
                raise_interrupt=False,
                ignore_permission_denied=True,
            ):
                ready = self._settle()
                moved = self.files.folders() != folders
                if ready is not None:
                    ready.wait(AHEAD)
                    self.files.versions.advance()
                if moved:
                    break

    def _settle(self) -> threading.Event | None:
        """Read what has changed until nothing does; what is returned happens once the open view is made anew.

        It is made while more changes may come, so that a page that is told of them finds it ready.
        """
        waited = 0.0
        while self.files.missing() and waited < GONE:
            self.wait(SETTLED)
            waited += SETTLED
        ready = None
        for _ in range(MOST_LOOKS):
            if not self.files.take():
                break
            ready = threading.Event()
            prepare, told = self.files.desk.prepare, ready.set
            threading.Thread(target=prepare, args=(told,), daemon=True).start()
            self.wait(SETTLED)
        return ready


def loading(environment: Mapping[str, str]) -> Load:
    """Return what reads one file of settings, and takes whatever goes wrong for the file's fault."""

    def read(path: Path) -> Settings:
        try:
            return load(path, environment=environment)
        except DigestError:
            raise
        except Exception as error:  # one file must not stop the others
            raise ConfigError(f"{path}: {type(error).__name__}") from error

    return read

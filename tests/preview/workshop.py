"""A preview whose files a test may change: a copy of the demo, watched, behind a real socket."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from digest.demo import morning
from digest.preview import Wanted, files_of, listening
from digest.preview.app import Door, application
from digest.preview.desk import Desk
from digest.preview.watch import Files, Versions, Watcher, events
from digest.render.confined import standing_by
from digest.resources import templates_folder

DAY_AFTER = date(2026, 6, 17)  # the demo's edition of the day before was sent; this one is composed


def day_after() -> datetime:
    return morning(DAY_AFTER).astimezone(UTC)


@dataclass(frozen=True)
class Workshop:
    """A preview with its files.

    Attributes:
        config: the settings. templates: the user's folder, empty at first.
    """

    config: Path
    files: Files
    door: Door
    port: int

    @property
    def desk(self) -> Desk:
        return self.files.desk

    @property
    def templates(self) -> Path:
        return self.config.parent / "templates"

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def own(self, name: str) -> Path:
        """Copy a built-in template to the user's folder."""
        path = self.templates / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(templates_folder() / name, path)
        return path


def copied(demo: Path, folder: Path, *, templates: bool = True) -> Path:
    """Copy the demo, with a templates folder of its own."""
    shutil.copytree(demo.parent, folder, ignore=shutil.ignore_patterns("inbox", "edition"))
    config = folder / demo.name
    if templates:
        (folder / "templates").mkdir()
        change(config, 'language = "en"', 'language = "en"\ntemplates = "templates"')
    return config


def change(path: Path, old: str, new: str) -> None:
    """Write a file anew with one passage changed."""
    text = path.read_text(encoding="utf-8")
    assert old in text, old
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def files_behind(*config: Path, now: Callable[[], datetime] = day_after) -> Files:
    return files_of(Wanted(config=config, environment={}, clock=now))


@contextmanager
def listens(
    app: ASGIApp, listener: socket.socket, versions: Versions | None = None
) -> Iterator[None]:
    """Answer on a socket until the block ends."""
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=2,
        )
    )
    if versions is not None:
        versions.ended = lambda: server.should_exit
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@contextmanager
def workshop(config: Path, now: Callable[[], datetime] = day_after) -> Iterator[Workshop]:
    """Serve a preview of some settings, and watch its files."""
    files = files_behind(config, now=now)
    listener = listening("127.0.0.1", 0)
    port = listener.getsockname()[1]
    app, door = application(
        files.desk,
        port=port,
        version=files.versions,
        files=files.files,
        more=[events(files.versions)],
    )
    with listens(app, listener, files.versions), standing_by(), Watcher(files):
        yield Workshop(config, files, door, port)

"""The day's edition in a browser, before anybody receives it: one more reader of the same editions.

Writes nothing and sends nothing but tests. `address` reads the state from the URL, `desk` holds what is
shown, `pages` answer, `guard` decides who may ask.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from digest.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, datetime

    from digest.preview.desk import Desk
    from digest.preview.watch import Files

PORT = 8765
PORTS_TRIED = 20


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a person asked of the preview.

    Attributes:
        config: files and folders; none for the scenarios alone.
        port: to listen on; None for the first free one from 8765.
        offline: sources are never asked.
        tell: prints a line. open_browser: is given the address once it answers.
    """

    config: Sequence[Path]
    environment: Mapping[str, str]
    clock: Callable[[], datetime]
    host: str = "127.0.0.1"
    port: int | None = None
    offline: bool = False
    tell: Callable[[str], None] = lambda _text: None
    open_browser: Callable[[str], object] | None = None


def desk_of(wanted: Wanted, *, anonymous: bool = False) -> Desk:
    """Return the desk with the digests of some files, as they are now."""
    return files_of(wanted, anonymous=anonymous).desk


def files_of(wanted: Wanted, *, anonymous: bool = False) -> Files:
    """Return the files that a person named, read, with their desk; a broken one is told there.

    Raises:
        ConfigError: there is no such file or folder.
    """
    from digest.preview.desk import Desk
    from digest.preview.watch import Files, loading
    from digest.scenarios import HELD, SCENARIOS

    nowhere = [str(path) for path in wanted.config if not path.exists()]
    if nowhere:
        raise ConfigError(*(f"{path}: there is no such file or folder" for path in nowhere))
    desk = Desk(
        clock=wanted.clock,
        anonymous=anonymous,
        offline=wanted.offline,
        samples={**SCENARIOS, **HELD},
    )
    files = Files(desk, wanted.config, loading(wanted.environment))
    files.read()
    return files


def serve(wanted: Wanted) -> None:
    """Answer browsers until interrupted.

    Raises:
        ConfigError: the extra is missing, no digest can be read, or no port is free.
    """
    with needing_the_extra():
        import uvicorn
        import watchfiles  # noqa: F401 - its own thread loads it, where nobody would be told

        from digest.preview.app import application
        from digest.preview.watch import Watcher, events
        from digest.render.confined import standing_by
    files = files_of(wanted)
    listener = listening(wanted.host, wanted.port)
    port = listener.getsockname()[1]
    app, door = application(
        files.desk,
        host=wanted.host,
        port=port,
        version=files.versions,
        files=files.files,
        more=[events(files.versions)],
        tell=lambda address: wanted.tell(f"for another browser: {address}"),
    )
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            http="h11",
            ws="none",
            lifespan="off",
            limit_concurrency=64,
            timeout_keep_alive=5,
            h11_max_incomplete_event_size=32 * 1024,
            timeout_graceful_shutdown=2,
        )
    )
    files.versions.ended = lambda: server.should_exit
    wanted.tell(f"preview: {door.address}\n(ends with Ctrl-C)")
    if wanted.open_browser is not None:
        wanted.open_browser(door.address)
    with listener, standing_by(), Watcher(files):
        server.run(sockets=[listener])


@contextmanager
def needing_the_extra() -> Iterator[None]:
    """Say what to install when a package of the preview is missing."""
    try:
        yield
    except ImportError as error:
        raise ConfigError(
            f"preview: {error.name} is not installed; pip install 'sla-digest[preview]'"
        ) from error


def write_pages(
    wanted: Wanted,
    folder: Path,
    *,
    dates: Sequence[date] = (),
    history: bool = False,
    png: bool = False,
) -> int:
    """Write the pages as files to a folder and return how many; recipients are left out.

    Args:
        wanted: what a person asked for.
        folder: is made, or replaced where it is an earlier export.
        dates: business dates; none for the latest edition of each digest.
        history: what was sent, too.
        png: pictures of the pages, too.

    Raises:
        ConfigError: the extra is missing, or what takes pictures, no digest can be read, or the folder
            cannot be written.
    """
    with needing_the_extra():
        from digest.preview.app import inner_application
        from digest.preview.export import Chosen, export
    desk = desk_of(wanted, anonymous=True)
    if desk.broken:
        raise ConfigError(*(line for _, error in desk.broken for line in str(error).splitlines()))
    app, chosen = inner_application(desk), Chosen(tuple(dates), history)
    if not png:
        return export(app, desk, folder, chosen)
    from digest.preview.pictures import camera, pictures

    # The camera first: what is missing is told before anything is written. Pages are made in a thread, as
    # the camera keeps an event loop in this one.
    with camera(wanted.environment) as browser, ThreadPoolExecutor(1) as pool:
        written = pool.submit(export, app, desk, folder, chosen).result()
        return written + pictures(browser, folder)


def listening(host: str, port: int | None) -> socket.socket:
    """Return a bound socket: on the port asked for, or the first free one from 8765 on.

    Raises:
        ConfigError: the port is taken, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    candidates = range(PORT, PORT + PORTS_TRIED) if port is None else (port,)
    reason = ""
    for candidate in candidates:
        listener = socket.socket(family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, candidate))
        except OSError as error:
            listener.close()
            reason = error.strerror or str(error)
        else:
            listener.listen(64)
            return listener
    asked = f"{host}:{candidates[0]}" + ("" if port is not None else f" to {candidates[-1]}")
    raise ConfigError(f"--port: cannot listen on {asked} ({reason}); name another port")

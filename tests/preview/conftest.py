"""A preview of the demo, asked in process and by a real browser."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from starlette.testclient import TestClient

from digest.demo import morning, run
from digest.preview import Wanted, desk_of, listening
from digest.preview.app import Door, application
from digest.preview.desk import Desk
from tests.render.chromium import OPTIONS, PROGRAM

BUSINESS_DATE = date(2026, 6, 16)
PORT = 8765
BASE = f"http://127.0.0.1:{PORT}"


@dataclass(frozen=True)
class Stage:
    """A preview that answers in process; `ask` has been let in, `stranger` has not."""

    desk: Desk
    door: Door
    ask: TestClient
    stranger: TestClient


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The settings of a demo whose edition of Tuesday, 16 June 2026 was sent."""
    folder = tmp_path_factory.mktemp("preview") / "demo"
    run(folder, wanted=BUSINESS_DATE)
    return folder / "digest.toml"


def clock() -> datetime:
    return morning(BUSINESS_DATE).astimezone(UTC)


def wanted(*config: Path, now: Callable[[], datetime] = clock) -> Wanted:
    return Wanted(config=config, environment={}, clock=now)


def staged(*config: Path, now: Callable[[], datetime] = clock) -> Stage:
    desk = desk_of(wanted(*config, now=now))
    app, door = application(desk, port=PORT)
    ask = TestClient(app, base_url=BASE, follow_redirects=False)
    ask.get(door.address)
    stranger = TestClient(app, base_url=BASE, follow_redirects=False)
    return Stage(desk, door, ask, stranger)


@pytest.fixture(scope="session")
def stage(demo: Path) -> Stage:
    """The preview of the demo, shared by tests that only look."""
    return staged(demo)


@dataclass(frozen=True)
class Served:
    """A preview that listens on a port of this machine."""

    port: int
    door: Door
    desk: Desk

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture(scope="session")
def served(demo: Path) -> Iterator[Served]:
    """The preview of the demo behind a real socket."""
    desk = desk_of(wanted(demo))
    listener = listening("127.0.0.1", 0)
    port = listener.getsockname()[1]
    app, door = application(desk, port=port)
    server = uvicorn.Server(
        uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off", ws="none")
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield Served(port, door, desk)
    server.should_exit = True
    thread.join()
    listener.close()


OWN_HOSTS = frozenset(("127.0.0.1", "localhost", "evil.test"))


def asked_by_pages(log: Path) -> set[str]:
    """Return the hosts that pages asked, out of the browser's own record of its network."""
    events = json.loads(log.read_text(encoding="utf-8"))["events"]
    asked = [event["params"] for event in events if "initiator" in event.get("params", {})]
    hosts = {urlsplit(one["url"]).hostname for one in asked if one["initiator"] != "not an origin"}
    return {host for host in hosts if host}


# Of one module: the driver keeps an event loop in its thread for as long as it lives.
@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A Chromium; evil.test is this machine, as a rebound name would be.

    At the end no page of its tests may have asked another machine.
    """
    log = tmp_path_factory.mktemp("network") / "log.json"
    options = [*OPTIONS, "--host-resolver-rules=MAP evil.test 127.0.0.1", f"--log-net-log={log}"]
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(PROGRAM), args=options)
        yield browser
        browser.close()
    assert asked_by_pages(log) <= OWN_HOSTS


@pytest.fixture
def visitor(chromium: Browser, served: Served) -> Iterator[BrowserContext]:
    """A browser profile that has been let in."""
    context = chromium.new_context(viewport={"width": 1100, "height": 900})
    page = context.new_page()
    page.goto(served.door.address)
    page.close()
    yield context
    context.close()


@pytest.fixture
def page(visitor: BrowserContext) -> Page:
    """A page of that profile."""
    return visitor.new_page()

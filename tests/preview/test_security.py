"""Attacks in a real browser, each against the preview and against a twin without the guard, where it works.

The attacker's pages stand on evil.test, which is this machine, as a name that was rebound would be.
"""

from __future__ import annotations

import http.client
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, BrowserContext, Page
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from digest.preview import listening
from digest.preview.address import View
from digest.preview.app import application, inner_application
from digest.preview.desk import Desk
from digest.preview.watch import Versions, events
from digest.resources import templates_folder
from tests.preview.conftest import asked_by_pages
from tests.preview.workshop import copied, files_behind, listens
from tests.render.chromium import OPTIONS, PROGRAM, needs_chromium

pytestmark = [pytest.mark.tool, needs_chromium]

PATIENCE = 400  # milliseconds in which an attack would have happened


@dataclass
class Recorded:
    """An application, and the status of each answer it gave."""

    app: ASGIApp
    answers: list[tuple[str, str, int]] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.answers.append((scope["method"], scope["path"], message["status"]))
            await send(message)

        await self.app(scope, receive, noted)

    def statuses(self, path: str) -> set[int]:
        return {status for _, asked, status in self.answers if asked == path}


@dataclass(frozen=True)
class Unmarked:
    """An application whose pages neither sandbox the mail nor say what it may do."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start: list[Message] = []
        body = b""

        async def bare(message: Message) -> None:
            nonlocal body
            if message["type"] == "http.response.start":
                start.append(message)
                return
            body += message.get("body", b"")
            if not message.get("more_body"):
                plain = body.replace(b' sandbox=""', b"")
                dropped = (b"content-security-policy", b"content-length")
                headers = [pair for pair in start[0]["headers"] if pair[0].lower() not in dropped]
                headers.append((b"content-length", str(len(plain)).encode()))
                await send({**start[0], "headers": headers})
                await send({"type": "http.response.body", "body": plain})

        await self.app(scope, receive, bare)


@dataclass
class Place:
    """A server of a test: what it answers, where, and what it was asked."""

    recorded: Recorded
    port: int

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def served(app_of: Callable[[int], ASGIApp]) -> Iterator[Place]:
    listener = listening("127.0.0.1", 0)
    port = listener.getsockname()[1]
    recorded = Recorded(app_of(port))
    with listens(recorded, listener):
        yield Place(recorded, port)


@dataclass(frozen=True)
class Battlefield:
    """The preview, its twin without a guard, and the attacker's server.

    Attributes:
        token: of the twin's forms, as if it had leaked; `own_token` that of the preview's.
        way_in: lets a browser into the preview.
    """

    preview: Place
    twin: Place
    evil: Place
    desk: Desk
    way_in: str
    token: str
    own_token: str


def attackers_page(request: Request) -> Response:
    return HTMLResponse(f"<!doctype html><title>evil</title>{request.query_params.get('html', '')}")


def anything(_request: Request) -> Response:
    return PlainTextResponse("sunk")


@pytest.fixture(scope="module")
def field_of(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Battlefield]:
    config = copied(demo, tmp_path_factory.mktemp("battle") / "own", templates=False)
    desk = files_behind(config).desk
    doors = []

    def guarded(port: int) -> ASGIApp:
        app, door = application(
            desk, port=port, version=Versions(), more=[events(short_lived(Versions()))]
        )
        doors.append(door)
        return app

    def bare(_port: int) -> ASGIApp:
        return inner_application(desk, more=[events(short_lived(Versions()))])

    def evil(_port: int) -> ASGIApp:
        return Starlette(
            routes=[
                Route("/page", attackers_page),
                Route("/{rest:path}", anything, methods=["GET", "POST"]),
            ]
        )

    with ExitStack() as stack:
        preview, twin, bad = (stack.enter_context(served(one)) for one in (guarded, bare, evil))
        way_in = doors[0].address
        yield Battlefield(
            preview, twin, bad, desk, way_in, token_of(twin), token_of(preview, way_in)
        )


def short_lived(versions: Versions) -> Versions:
    versions.ended = lambda: True
    return versions


def token_of(place: Place, way_in: str | None = None) -> str:
    """Read the token of a form out of a page, as its own browser would."""
    connection = http.client.HTTPConnection("127.0.0.1", place.port)
    cookie = ""
    if way_in:
        connection.request("GET", way_in.removeprefix(place.base))
        answer = connection.getresponse()
        answer.read()
        cookie = str(answer.headers["set-cookie"]).partition(";")[0]
    connection.request("GET", "/d/demo/test", headers={"Cookie": cookie})
    found = re.search(r'name="token" value="([^"]+)"', connection.getresponse().read().decode())
    connection.close()
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def victim(chromium: Browser, field_of: Battlefield) -> Iterator[BrowserContext]:
    """A browser that was let in and then goes elsewhere."""
    context = chromium.new_context()
    context.add_cookies(
        [
            {
                # Lax: even if the browser sent the cookie along, the guard refuses.
                "name": f"digest_preview_{field_of.preview.port}",
                "value": session_of(field_of),
                "url": field_of.preview.base,
                "httpOnly": True,
            }
        ]
    )
    yield context
    context.close()


def session_of(battle: Battlefield) -> str:
    guard = battle.preview.recorded.app
    session: str = guard.keys.session  # type: ignore[attr-defined]
    return session


@pytest.fixture
def page(victim: BrowserContext, field_of: Battlefield) -> Iterator[Page]:
    field_of.preview.recorded.answers.clear()
    field_of.twin.recorded.answers.clear()
    page = victim.new_page()
    yield page
    page.close()


def lure(page: Page, battle: Battlefield, html: str) -> None:
    """Open a page of the attacker and wait until its attack has happened."""
    page.goto(f"http://evil.test:{battle.evil.port}/page?html={quote(html)}")
    page.wait_for_timeout(PATIENCE)


def both(battle: Battlefield) -> Iterator[tuple[Place, str]]:
    yield battle.preview, battle.own_token
    yield battle.twin, battle.token


def test_a_rebound_name_reads_nothing(page: Page, field_of: Battlefield) -> None:
    answer = page.goto(f"http://evil.test:{field_of.preview.port}/d/demo")
    assert answer is not None
    assert answer.status == 400
    assert "Example Ltd" not in page.content()

    page.goto(f"http://evil.test:{field_of.twin.port}/d/demo")
    assert "Example Ltd" in page.content()


ATTACKS = {
    "fetch": ("<script>fetch('{base}/d/demo', {{mode:'no-cors',credentials:'include'}})</script>"),
    "fetch of the interface": (
        "<script>fetch('{base}/api/digests',{{mode:'no-cors',credentials:'include'}})</script>"
    ),
    "event stream": "<script>new EventSource('{base}/events', {{withCredentials:true}})</script>",
    "frame": '<iframe src="{base}/d/demo"></iframe>',
    "frame of the mail": '<iframe src="{base}/d/demo/frame"></iframe>',
    "image": '<img src="{base}/d/demo/message.eml">',
    "script": '<script src="{base}/static/preview.js"></script>',
    "style sheet": '<link rel="stylesheet" href="{base}/static/preview.css">',
    "object": '<object data="{base}/d/demo/headers"></object><object data="{base}/d/demo"></object>',
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_page_of_another_site_gets_no_answer(
    page: Page, field_of: Battlefield, attack: str
) -> None:
    for place, _ in both(field_of):
        lure(page, field_of, ATTACKS[attack].format(base=place.base))

    assert {status for _, _, status in field_of.preview.recorded.answers} == {403}
    assert 200 in {status for _, _, status in field_of.twin.recorded.answers}


def test_a_script_of_ours_does_not_run_elsewhere(page: Page, field_of: Battlefield) -> None:
    ran = []
    for place, _ in both(field_of):
        lure(page, field_of, f'<script src="{place.base}/static/preview.js"></script>')
        ran.append(page.evaluate("typeof prepare"))

    assert ran == ["undefined", "function"]


def test_no_site_can_frame_a_page(page: Page, field_of: Battlefield) -> None:
    seen = []
    for place, _ in both(field_of):
        lure(page, field_of, f'<iframe src="{place.base}/d/demo"></iframe>')
        seen.append("Example Ltd" in "".join(frame.content() for frame in page.frames[1:]))

    assert seen == [False, True]


def test_a_form_of_another_site_changes_nothing_even_with_a_leaked_token(
    page: Page, field_of: Battlefield
) -> None:
    for place, token in both(field_of):
        lure(
            page,
            field_of,
            f'<form method="post" action="{place.base}/d/demo/refresh">'
            f'<input name="token" value="{token}"></form><script>document.forms[0].submit()</script>',
        )

    assert field_of.preview.recorded.statuses("/d/demo/refresh") == {403}
    posted = {
        status
        for method, path, status in field_of.twin.recorded.answers
        if (method, path) == ("POST", "/d/demo/refresh")
    }
    # 429: it was done within the last minute, so the attack got as far as the page itself.
    assert posted
    assert posted <= {200, 303, 429}


# ------------------------------------------------------------------------------------- the mail

HOSTILE = {
    "script": "<script>{act}</script>",
    "onerror": '<img src="data:image/png;base64,x" onerror="{act}">',
    "form": (
        '<form action="{evil}/form" method="post" id="f"><input name="a" value="b"></form>'
        "<script>document.getElementById('f').submit()</script>"
    ),
    "meta refresh": '<meta http-equiv="refresh" content="0;url={evil}/refresh">',
    "base": '<base href="{evil}/"><img src="picture-of-base.png">',
    "remote picture": '<img src="{evil}/pixel.png"><div style="background:url({evil}/bg.png)">x</div>',
    "style sheet": '<link rel="stylesheet" href="{evil}/x.css"><style>@import "{evil}/y.css";</style>',
    "frame": '<iframe src="{evil}/inner"></iframe><object data="{evil}/object"></object>',
}
ACT = "top.document.title='taken'; new Image().src='{evil}/script'"


@contextmanager
def hostile_mail(desk: Desk, html: str) -> Iterator[None]:
    """Let the desk believe that it has rendered a mail that no template could get past the checks."""
    showing = desk.show("demo", View())
    good = desk.message(showing)
    key = next(key for key, message in desk._messages.items() if message is good)
    spoiled = re.sub(r"<body[^>]*>", lambda body: body[0] + html, good.html, count=1)
    desk._messages[key] = replace(good, html=spoiled)
    try:
        yield
    finally:
        desk._messages[key] = good


@pytest.fixture(scope="module")
def bare_shell(field_of: Battlefield) -> Iterator[Place]:
    """The same pages, neither sandboxed nor with a policy."""
    with served(lambda _port: Unmarked(inner_application(field_of.desk))) as place:
        yield place


@pytest.mark.parametrize("attack", HOSTILE)
def test_a_hostile_mail_does_nothing_in_the_frame(
    victim: BrowserContext, field_of: Battlefield, bare_shell: Place, attack: str
) -> None:
    evil = f"http://evil.test:{field_of.evil.port}"
    act = escape(ACT.format(evil=evil)) if attack == "onerror" else ACT.format(evil=evil)
    sunk = field_of.evil.recorded.answers
    outcome = []
    with hostile_mail(field_of.desk, HOSTILE[attack].format(evil=evil, act=act)):
        for place in (field_of.preview, bare_shell):
            for path in ("/d/demo", "/d/demo/frame"):  # in the shell, and opened by itself
                sunk.clear()
                page = victim.new_page()
                page.goto(f"{place.base}{path}")
                page.wait_for_timeout(PATIENCE)
                same = page.url == f"{place.base}{path}" and page.title() != "taken"
                outcome.append((bool(sunk), same, len(victim.pages)))
                page.close()

    assert outcome[:2] == [(False, True, 1), (False, True, 1)]
    assert any(sunk or not same for sunk, same, _ in outcome[2:]), outcome


@pytest.mark.parametrize("target", ["_top", "_blank", "_parent"])
def test_a_link_in_the_mail_leads_nowhere(
    victim: BrowserContext, field_of: Battlefield, bare_shell: Place, target: str
) -> None:
    evil = f"http://evil.test:{field_of.evil.port}"
    link = f'<a id="bait" href="{evil}/bait{target}" target="{target}">a link of the mail</a>'
    sunk = field_of.evil.recorded.answers
    outcome = []
    with hostile_mail(field_of.desk, link):
        for place in (field_of.preview, bare_shell):
            sunk.clear()
            page = victim.new_page()
            page.goto(f"{place.base}/d/demo")
            page.frame_locator("#frame").locator("#bait").click()
            page.wait_for_timeout(PATIENCE)
            # By name: what a page of an earlier test still asked for may come only now.
            bitten = any(path == f"/bait{target}" for _, path, _ in sunk)
            outcome.append((bitten, page.url == f"{place.base}/d/demo"))
            for other in victim.pages:
                other.close()

    assert outcome[0] == (False, True)
    assert outcome[1][0]


# ----------------------------------------------------------------------------------------- paths

PATHS = (
    "/static/..%2f..%2fpyproject.toml",
    "/static/../../pyproject.toml",
    "/static/%2e%2e/%2e%2e/pyproject.toml",
    "/static/..%5c..%5cpyproject.toml",
    "/static/....//....//pyproject.toml",
    "/static/%252e%252e%252fpyproject.toml",
    "/static//etc/passwd",
    "/static/preview.css%00.html",
    "/d/..%2f..%2f..%2fetc%2fpasswd",
    "/d/demo/..%2f..%2f..%2fetc%2fpasswd",
    "/d/demo/figures/..%2f..%2fpyproject.toml",
    "/d/demo/history/..%2f..%2fpyproject.toml",
    "/d/%00",
    "/static/" + "x" * 5_000,
    "/d/demo?scenario=..%2f..%2fpyproject.toml",
    "/d/demo?locale=..%2f..%2fpyproject.toml",
)


def raw(place: Place, path: str, cookie: str = "") -> tuple[int, str]:
    """Ask for a path exactly as it is written, which no browser does."""
    connection = http.client.HTTPConnection("127.0.0.1", place.port)
    connection.putrequest("GET", path)
    connection.putheader("Cookie", cookie)
    connection.endheaders()
    answer = connection.getresponse()
    text = answer.read().decode("utf-8", "replace")
    connection.close()
    return answer.status, text


@pytest.mark.parametrize("path", PATHS)
def test_no_path_leads_out_of_the_known_names(field_of: Battlefield, path: str) -> None:
    cookie = f"digest_preview_{field_of.preview.port}={session_of(field_of)}"

    status, text = raw(field_of.preview, path, cookie)

    assert status in (400, 404, 414, 422)
    assert "[project]" not in text
    assert "root:x:" not in text


def test_a_server_that_joins_paths_would_be_led_out() -> None:
    def careless(request: Request) -> Response:
        folder = templates_folder() / "preview"
        return PlainTextResponse((folder / request.path_params["name"]).read_text())

    with served(lambda _port: Starlette(routes=[Route("/static/{name:path}", careless)])) as place:
        assert "[project]" in raw(place, PATHS[0])[1]


# ------------------------------------------------------------------------------ nothing leaves


def test_a_browser_on_our_pages_asks_nobody_else(
    victim: BrowserContext, field_of: Battlefield
) -> None:
    sunk = field_of.evil.recorded.answers
    sunk.clear()
    answered: list[str] = []
    victim.on("response", lambda response: answered.append(response.url))
    evil = f"http://evil.test:{field_of.evil.port}"
    pictures = "".join(f'<img src="{evil}/{n}.png"><a href="{evil}/{n}">x</a>' for n in range(20))
    page = victim.new_page()
    with hostile_mail(field_of.desk, pictures):
        for path in ("/", "/d/demo", "/d/demo/grid?by=locale", "/d/demo/lint", "/d/demo/month"):
            page.goto(f"{field_of.preview.base}{path}")
            page.wait_for_timeout(300)
    assert answered
    assert {url for url in answered if not url.startswith(field_of.preview.base)} == set()
    assert sunk == []

    page.goto(f"{evil}/page?html={quote(pictures)}")  # a page without our policy does ask
    page.wait_for_timeout(300)
    page.close()
    assert len(sunk) > 20


def test_the_record_of_the_whole_suite_knows_who_was_asked(
    chromium: Browser, tmp_path: Path
) -> None:
    log = tmp_path / "log.json"
    browser = chromium.browser_type.launch(
        executable_path=str(PROGRAM), args=[*OPTIONS, f"--log-net-log={log}"]
    )
    page = browser.new_page()
    page.set_content('<img src="http://other.invalid/x.png">')
    page.wait_for_timeout(PATIENCE)
    browser.close()

    assert asked_by_pages(log) == {"other.invalid"}

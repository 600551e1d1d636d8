"""The preview as an ASGI application: pages, errors that say what is there, and the guard around them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from digest.errors import DigestError
from digest.preview.address import (
    NotAllowedError,
    UnknownError,
    View,
    refuse_other_keys,
    view_of,
)
from digest.preview.guard import LARGEST_BODY, Guard, Keys
from digest.preview.page import Asked, Page, Services, words_of
from digest.preview.pages import PAGES
from digest.preview.trial import Allowance
from digest.render.locales import languages

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from digest.preview.desk import Desk


MOST_FIELDS = 200


@dataclass(eq=False)
class Door:
    """The one-time addresses that let a browser in.

    Attributes:
        keys: the cookie that is set.
        tell: is given the next address when one has been used.
    """

    keys: Keys
    base: str
    tell: Callable[[str], None] = lambda _address: None
    _token: str = field(default_factory=lambda: secrets.token_urlsafe(24))

    @property
    def address(self) -> str:
        """The address that lets the next browser in."""
        return f"{self.base}/login?token={self._token}"

    def login(self, request: Request) -> Response:
        """Exchange the token for a cookie; it serves once."""
        if self.keys.opens(request.headers.get("cookie", "")):
            return RedirectResponse("/", status_code=303)
        given = request.query_params.get("token", "")
        if not secrets.compare_digest(given.encode(), self._token.encode()):
            return PlainTextResponse(
                "this address has been used or is not complete; the terminal shows a new one\n", 403
            )
        self._token = secrets.token_urlsafe(24)
        self.tell(self.address)
        answer = RedirectResponse("/", status_code=303)
        answer.set_cookie(
            self.keys.cookie, self.keys.session, httponly=True, samesite="strict", path="/"
        )
        return answer


def application(
    desk: Desk,
    *,
    port: int,
    host: str = "127.0.0.1",
    tell: Callable[[str], None] = lambda _address: None,
    version: Callable[[], int] = lambda: 0,
    files: Callable[[], Iterable[Path]] = tuple,
    more: Sequence[Route] = (),
) -> tuple[ASGIApp, Door]:
    """Return the guarded application and its door.

    Args:
        desk: what it shows.
        port: on which it will listen: part of the allowed hosts and of the cookie's name.
        host: address to which it is bound.
        tell: is given each new address that lets a browser in.
        version: counts the changes of the files behind the pages.
        files: returns these files.
        more: routes that are no pages.
    """
    keys = Keys(f"digest_preview_{port}", secrets.token_urlsafe(32))
    door = Door(keys, f"http://{_shown(host)}:{port}", tell)
    names = {"127.0.0.1", "localhost", "[::1]", _shown(host).lower()}
    inner = inner_application(
        desk,
        version=version,
        files=files,
        cookie=keys.cookie,
        more=(
            Route("/login", door.login),
            Route("/healthz", lambda _request: PlainTextResponse("ready\n")),
            *more,
        ),
    )
    return Guard(inner, frozenset(f"{name}:{port}" for name in names), keys), door


def inner_application(
    desk: Desk,
    *,
    version: Callable[[], int] = lambda: 0,
    files: Callable[[], Iterable[Path]] = tuple,
    cookie: str = "",
    more: Sequence[Route] = (),
) -> Starlette:
    """Return the pages without the guard, for a caller that nobody else can reach."""
    services = Services(version, secrets.token_urlsafe(24), Allowance(desk.clock), files, cookie)
    return Starlette(
        routes=[*more, *(_route(page, desk, services) for page in PAGES)],
        exception_handlers={HTTPException: _http_error(desk, services), Exception: _bug},
    )


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _route(page: Page, desk: Desk, services: Services) -> Route:
    async def endpoint(request: Request) -> Response:
        form: Sequence[tuple[str, str]] = ()
        if page.acts:
            try:
                form = _form(request, await request.body())
            except ClientDisconnect:
                return PlainTextResponse(f"at most {LARGEST_BODY} bytes are taken\n", 413)
            except ValueError:
                return PlainTextResponse("what was sent is no form of a page\n", 415)
            if ("token", services.token) not in form:
                return PlainTextResponse(
                    "the form is of an earlier start; load its page again\n", 403
                )
        return await run_in_threadpool(_answer, page, desk, services, request, form)

    return Route(page.path, endpoint, methods=["POST"] if page.acts else ["GET"])


def _form(request: Request, body: bytes) -> list[tuple[str, str]]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise ValueError(kind)
    return parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS)


def _answer(
    page: Page,
    desk: Desk,
    services: Services,
    request: Request,
    form: Sequence[tuple[str, str]] = (),
) -> Response:
    parts = {key: str(value) for key, value in request.path_params.items()}
    query = request.query_params.multi_items()
    asked = Asked(
        desk=desk,
        services=services,
        view=View(),
        parts=parts,
        query=query,
        words=words_of(_language(desk, parts, query)),
        version=services.version(),
        form=form,
    )
    try:
        if "digest" in parts:
            desk.settings(parts["digest"])
        if page.keys is not None:
            refuse_other_keys(query, page.keys)
        view = view_of(query, allowed=_allowed(desk))
        return page.answer(replace(asked, view=view))
    except (NotAllowedError, UnknownError, DigestError) as error:
        # Of a date that somebody chose, what is wrong is the date: there is no edition of it.
        missing = 404 if any(key == "date" for key, _ in query) else 503
        if page.path.startswith("/api/"):
            return _refused_as_json(error, missing)
        return _refused(asked, error, missing)


def _refused(asked: Asked, error: Exception, missing: int) -> Response:
    if isinstance(error, NotAllowedError):
        return asked.page("refused.html", status=422, error=error)
    if isinstance(error, UnknownError):
        return asked.page("unknown.html", status=404, error=error)
    assert isinstance(error, DigestError)  # noqa: S101 - whoever calls has caught no other
    return asked.page("trouble.html", status=missing, trouble=error)


def _refused_as_json(error: Exception, missing: int) -> Response:
    match error:
        case NotAllowedError():
            status, what, found, allowed = 422, error.key, error.found, error.allowed
        case UnknownError():
            status, what, found, allowed = 404, error.what, error.found, ", ".join(error.known)
        case _:
            status, what, found, allowed = missing, "edition", str(error), ""
    return JSONResponse(
        {"error": {"what": what, "found": found, "allowed": allowed}}, status_code=status
    )


def _allowed(desk: Desk) -> dict[str, tuple[str, ...]]:
    known = languages()
    return {"scenario": tuple(desk.samples), "locale": known, "ui": known}


def _language(desk: Desk, parts: dict[str, str], query: Sequence[tuple[str, str]]) -> str:
    """The language of the pages: as the address says, else the digest's, else English."""
    asked = next((value for key, value in query if key == "ui"), None)
    if asked in languages():
        return str(asked)
    try:
        settings = desk.settings(parts.get("digest", "")) if parts.get("digest") else None
    except UnknownError:
        settings = None
    return settings.language if settings is not None else "en"


def _http_error(desk: Desk, services: Services) -> Callable[[Request, Exception], Response]:
    def answer(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for no other
        if error.status_code != 404:  # noqa: PLR2004 - only an unknown path has something to list
            return PlainTextResponse(f"{error.detail}\n", error.status_code, headers=error.headers)
        path, query = request.url.path, request.query_params.multi_items()
        if path.startswith("/api/"):
            known = [page.path for page in PAGES if page.path.startswith("/api/")]
            return _refused_as_json(UnknownError("page", path, known), 404)
        digest = path.removeprefix("/d/").partition("/")[0]
        parts = {"digest": digest} if path.startswith("/d/") and digest in desk.digests else {}
        asked = Asked(
            desk=desk,
            services=services,
            view=View(),
            parts=parts,
            query=(),
            words=words_of(_language(desk, parts, query)),
            version=services.version(),
        )
        return asked.page("unknown.html", status=404, error=UnknownError("page", path, ()))

    return answer


def _bug(_request: Request, error: Exception) -> Response:
    return PlainTextResponse(
        f"the preview failed with {type(error).__name__}; the terminal shows where\n", 500
    )

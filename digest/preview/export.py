"""Every page as plain files in one folder, for a pull request or a meeting: opens from disk, no script."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from html import escape, unescape
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from digest.errors import ConfigError
from digest.preview.address import TABS, View, path_of
from digest.preview.guard import FRAME_POLICY
from digest.render.locales import languages

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message

    from digest.preview.desk import Desk

MARKER = "made-by-digest-preview.txt"
MOST_PAGES = 20_000
# A policy in a meta element can neither sandbox nor say who may frame; the frames' own attribute stays.
POLICY = (
    "default-src 'none'; style-src 'self' file:; img-src data:; frame-src 'self' file:; "
    "base-uri 'none'; form-action 'none'"
)
_ATTRIBUTE = re.compile(r'\b(href|src)="(/[^"]*)"')
_FORM = re.compile(r"<form\b.*?</form>", re.DOTALL)
_SCRIPT = re.compile(r"<script\b[^>]*></script>\n?")
_TOKEN = re.compile(r' data-version="\d+"')
# What only makes sense while somebody answers.
_LEFT_OUT = re.compile(r"^/d/[^/]+/(test|what-if|history)(/|$)")
_OF_THE_MAIL = re.compile(r"^/d/[^/]+(/frame|/grid|/message\.eml)?$")
_LOOKS = frozenset(("tab", "dark", "explain", "w", "images"))
_FOLLOWED = frozenset(
    ("locale", "tab", "scenario", "date", "by", "ui", "dark", "explain", "correction")
)


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is exported.

    Attributes:
        dates: business dates; empty for the latest edition. history: sent editions and their states too.
    """

    dates: Sequence[date] = ()
    history: bool = False


def export(app: ASGIApp, desk: Desk, folder: Path, chosen: Chosen) -> int:
    """Write every page that can be reached from the first ones; return how many files.

    Args:
        app: the application without its guard: nobody else can ask here.
        desk: what it shows.
        folder: is made, or replaced where it is an earlier export.
        chosen: which editions.

    Raises:
        ConfigError: the folder holds something else, or cannot be written.
    """
    _refuse_what_is_not_ours(folder)
    pages = asyncio.run(_crawled(app, list(_first(desk, chosen)), chosen))
    names = {address: _name(address) for address in pages}
    draft = folder.with_name(f".{folder.name}.draft")
    try:
        shutil.rmtree(draft, ignore_errors=True)
        for address, (kind, body) in pages.items():
            path = draft / names[address]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_finished(address, kind, body, names))
        (draft / MARKER).write_text("Written by digest preview --export.\n", encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        draft.replace(folder)
    except OSError as error:
        shutil.rmtree(draft, ignore_errors=True)
        raise ConfigError(
            f"--export: {folder} cannot be written ({error.strerror or error}); name another folder"
        ) from error
    return len(pages)


def _refuse_what_is_not_ours(folder: Path) -> None:
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise ConfigError(f"--export: {folder} is no folder; name another one")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARKER).is_file():
        raise ConfigError(
            f"--export: {folder} holds something that is no earlier export; name another folder"
        )


def _first(desk: Desk, chosen: Chosen) -> Iterator[str]:
    yield "/"
    for digest in desk.digests:
        shown = [View(date=day) for day in chosen.dates] or [View()]
        if desk.settings(digest) is None:
            shown = [View(scenario=name) for name in desk.samples]
        for view in shown:
            for locale in languages():
                for tab in TABS:
                    yield path_of(digest) + view.query(locale=locale, tab=tab)
                yield path_of(digest) + view.query(locale=locale, dark="author")
                yield path_of(digest) + view.query(locale=locale, explain=True)


async def _crawled(
    app: ASGIApp, first: Sequence[str], chosen: Chosen
) -> dict[str, tuple[str, bytes]]:
    found: dict[str, tuple[str, bytes]] = {}
    waiting = list(dict.fromkeys(first))
    seen = set(waiting)
    while waiting and len(found) < MOST_PAGES:
        address = waiting.pop(0)
        status, headers, body = await _asked(app, address)
        if status in (301, 302, 303, 307):
            target = headers["location"]
            if target not in seen:
                seen.add(target)
                waiting.append(target)
            found[address] = ("text/html", _moved(target))
            continue
        if status != 200:  # noqa: PLR2004 - a page that is not there is no part of the export
            continue
        kind = headers.get("content-type", "")
        found[address] = (kind, body)
        if kind.startswith("text/html"):
            for target in _links(body.decode()):
                if target not in seen and _wanted(target, chosen):
                    seen.add(target)
                    waiting.append(target)
    return found


def _moved(target: str) -> bytes:
    return (
        f'<!doctype html><title>digest</title><p><a href="{escape(target)}">digest</a></p>\n'
    ).encode()


async def _asked(app: ASGIApp, address: str) -> tuple[int, dict[str, str], bytes]:
    """Ask the application for one page, as a server would."""
    parts = urlsplit(address)
    status, headers, body = 0, {}, b""
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": unquote(parts.path),
        "raw_path": parts.path.encode(),
        "root_path": "",
        "query_string": parts.query.encode(),
        "headers": [(b"host", b"localhost")],
        "server": None,
        "client": None,
    }

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status, headers, body
        if message["type"] == "http.response.start":
            status = message["status"]
            headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            body += message.get("body", b"")

    await app(scope, receive, send)
    return status, headers, body


def _links(html: str) -> Iterator[str]:
    for _, address in _ATTRIBUTE.findall(html):
        yield _same_page(unescape(address).partition("#")[0])


def _same_page(address: str) -> str:
    """Return the address without what only changes how the mail looks, where the page shows no mail."""
    parts = urlsplit(address)
    if _OF_THE_MAIL.match(parts.path):
        return address
    kept = [(key, value) for key, value in parse_qsl(parts.query) if key not in _LOOKS]
    return f"{parts.path}?{urlencode(kept)}" if kept else parts.path


def _wanted(address: str, chosen: Chosen) -> bool:
    parts = urlsplit(address)
    if "/figures/" in parts.path:  # hundreds of pages that say what the table and the cards say
        return False
    left_out = _LEFT_OUT.match(parts.path)
    if left_out and not (chosen.history and left_out[1] == "history"):
        return False
    query = dict(parse_qsl(parts.query))
    if "tab" in query and query.keys() & {"dark", "explain"}:  # looks of the mail alone
        return False
    dates = {str(day) for day in chosen.dates}
    return query.keys() <= _FOLLOWED and query.get("date") in {None, *dates}


def _name(address: str) -> str:
    """Return the file of a page: its path as folders, its state as the file's name."""
    parts = urlsplit(address)
    folder = [_safe(unquote(piece)) for piece in parts.path.split("/") if piece]
    state = ",".join(f"{_safe(key)}={_safe(value)}" for key, value in parse_qsl(parts.query))
    if folder and "." in folder[-1]:
        return "/".join((*folder[:-1], f"{state},{folder[-1]}" if state else folder[-1]))
    return "/".join((*folder, f"{state or 'index'}.html"))


def _safe(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", lambda letter: f"_{ord(letter[0]):x}_", text).lstrip(".")


def _finished(address: str, kind: str, body: bytes, names: Mapping[str, str]) -> bytes:
    if not kind.startswith("text/html"):
        return body
    html = body.decode()
    here = Path(names[address]).parent
    framed = urlsplit(address).path.endswith("/frame")
    if framed:
        return _with_policy(html, FRAME_POLICY.replace(" sandbox;", "").partition("; frame-anc")[0])
    html = _TOKEN.sub("", _SCRIPT.sub("", _FORM.sub("", html)))

    def relative(found: re.Match[str]) -> str:
        whole, hash_, part = unescape(found[2]).partition("#")
        target = _same_page(whole)
        if target not in names:
            return ""
        return f'{found[1]}="{escape(os.path.relpath(names[target], here))}{hash_}{escape(part)}"'

    return _with_policy(_ATTRIBUTE.sub(relative, html), POLICY)


def _with_policy(html: str, policy: str) -> bytes:
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    return html.replace("<head>", f"<head>{meta}", 1).encode()

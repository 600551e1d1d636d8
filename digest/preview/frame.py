"""A mail's HTML for the frame: the bytes that are sent, but for pictures, and the three ways to see it."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import default
from typing import Any

from digest.model import Image

_PREFERS_DARK = re.compile(r"@media\s*\(\s*prefers-color-scheme\s*:\s*dark\s*\)")
_SCHEME_META = re.compile(r'(<meta name="(?:color-scheme|supported-color-schemes)" content=")[^"]*')
_SCHEME_CSS = re.compile(r"(color-scheme\s*:\s*)light dark")
_IMAGE = re.compile(r"(<img\b[^>]*?\bsrc=)(\"[^\"]*\"|'[^']*')", re.IGNORECASE)
INVERTED = (
    "<style>html{filter:invert(1) hue-rotate(180deg);background:#fff}"
    "img{filter:invert(1) hue-rotate(180deg)}</style>"
)


@dataclass(frozen=True, slots=True)
class Opened:
    """What a mail's bytes hold."""

    subject: str
    html: str = field(repr=False)
    text: str = field(repr=False)
    images: tuple[Image, ...]


def opened(content: bytes, alts: Mapping[str, str]) -> Opened:
    """Open a mail; `alts` are the texts that stand for its pictures, by content id."""
    parsed: Any = BytesParser(policy=default).parsebytes(content)
    html, text = parsed.get_body(("html",)), parsed.get_body(("plain",))
    images = tuple(
        Image(cid, part.get_filename() or "picture.png", part.get_content(), alts.get(cid, ""))
        for part in parsed.walk()
        if (cid := str(part["Content-ID"] or "").strip("<> "))
    )
    return Opened(
        subject=str(parsed["Subject"]),
        html=html.get_content().replace("\r\n", "\n") if html else "",
        text=text.get_content().replace("\r\n", "\n") if text else "",
        images=images,
    )


def with_pictures(html: str, images: Iterable[Image]) -> str:
    """Return the HTML with its attached pictures inside: a frame may load nothing."""
    for image in images:
        html = html.replace(
            f"cid:{image.cid}", f"data:image/png;base64,{b64encode(image.png).decode()}"
        )
    return html


def as_dark_author(html: str) -> str:
    """Return the mail as clients show it that honour its own dark styles.

    The rewriting looks the same as the browser's own dark preference, canvas included, which cannot be
    switched inside a frame.
    """
    media = _PREFERS_DARK.sub("@media all", html)
    return _SCHEME_CSS.sub(r"\1dark", _SCHEME_META.sub(r"\1dark", media))


def as_dark_forced(html: str) -> str:
    """Return an approximation of clients that invert whatever they show."""
    return html.replace("</head>", f"{INVERTED}</head>", 1)


def without_pictures(html: str) -> str:
    """Return the mail as it looks before a reader allows pictures: their alternative texts."""
    return _IMAGE.sub(r'\1""', html)


def as_seen(html: str, *, dark: str = "no", images: str = "on") -> str:
    """Return the HTML in one of the ways to see it; with neither asked for, as it is."""
    seen = without_pictures(html) if images == "off" else html
    if dark == "author":
        return as_dark_author(seen)
    return as_dark_forced(seen) if dark == "forced" else seen

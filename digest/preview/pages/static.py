"""Our own style sheet and script, looked up by name in a dict: no path is ever made of an address."""

from __future__ import annotations

from starlette.responses import Response

from digest.preview.address import UnknownError
from digest.preview.page import Asked, Page
from digest.render.svg import STYLE
from digest.resources import templates_folder

KINDS = {
    "preview.css": "text/css",
    "waterfall.css": "text/css",
    "month.js": "text/javascript",
    "preview.js": "text/javascript",
    "what_if.js": "text/javascript",
}


def _content(name: str) -> bytes:
    if name == "waterfall.css":  # which the picture carries itself where it stands alone
        return STYLE.encode()
    return (templates_folder() / "preview" / name).read_bytes()


def static(asked: Asked) -> Response:
    """Answer one of the files."""
    name = asked.parts["name"]
    if name not in KINDS:
        raise UnknownError("file", name, tuple(KINDS))
    return Response(_content(name), media_type=KINDS[name])


PAGES = (Page("/static/{name}", static),)

"""HTTPS to Google and nowhere else; apart, because its imports are slow."""

from __future__ import annotations

import http.client
import socket
import ssl
import urllib.request
from functools import partial
from urllib.parse import urlsplit

from digest.tables.google import FOLLOWED, Web, not_shared

_REDIRECTS = 5


def opener(web: Web) -> urllib.request.OpenerDirector:
    """Return an opener without plain http, cookies, and proxies or passwords from the environment."""
    made = urllib.request.OpenerDirector()
    for handler in (
        _Https(web),
        _Redirects(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        made.add_handler(handler)
    return made


class _Connection(http.client.HTTPSConnection):
    def __init__(self, host: str, *, web: Web, timeout: float | None = None) -> None:
        super().__init__(host, timeout=timeout)
        self._web = web

    def connect(self) -> None:
        address = self._web.reach(self.host, self.port)
        trusted = self._web.context or ssl.create_default_context()
        plain = socket.create_connection(address, timeout=self.timeout)
        self.sock = trusted.wrap_socket(plain, server_hostname=self.host)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, web: Web) -> None:
        super().__init__()
        self._web = web

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(partial(_Connection, web=self._web), req)


class _Redirects(urllib.request.HTTPRedirectHandler):
    max_redirections = _REDIRECTS
    max_repeats = _REDIRECTS

    def redirect_request(  # type: ignore[no-untyped-def] # its arguments are the standard library's
        self,
        req,  # noqa: ANN001
        fp,  # noqa: ANN001
        *rest,  # noqa: ANN002
    ) -> urllib.request.Request | None:
        try:
            _refuse_elsewhere(rest[-1])
        except ValueError:
            fp.close()
            raise
        return super().redirect_request(req, fp, *rest)


def _refuse_elsewhere(address: str) -> None:
    parts = urlsplit(address)
    host = parts.hostname or ""
    if parts.scheme != "https" or not host.endswith(FOLLOWED) or parts.port not in {None, 443}:
        raise not_shared(f"a redirect to {host[:60] or 'nowhere'!r}")
    if host == "accounts.google.com":
        raise not_shared("Google's login page")

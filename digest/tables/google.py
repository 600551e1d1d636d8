"""Fetches a Google sheet by its link, as CSV or as a workbook.

The link alone gives access, so it is treated as a secret and stands in no message.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal
from urllib.parse import parse_qs, urlsplit

from digest.errors import Reason
from digest.tables.refusal import TableError

if TYPE_CHECKING:
    import http.client
    import ssl

Form = Literal["csv", "xlsx"]

NAME = "the Google sheet"
_HOST = "docs.google.com"
FOLLOWED = (".google.com", ".googleusercontent.com")
_LARGEST = 10_000_000
_SECONDS = 30.0
_KEY = re.compile(r"/spreadsheets/d/([A-Za-z0-9_-]{10,200})(?:/[^/]*)?/?")
_PUBLISHED = re.compile(r"/spreadsheets/d/e/[A-Za-z0-9_-]{10,300}/pub")
_TYPES = {
    "csv": "text/csv",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
_SHARE = "share it with anyone who has the link, and allow download (share settings, gear wheel)"

Reach = Callable[[str, int], tuple[str, int]]


def _directly(host: str, port: int) -> tuple[str, int]:
    return host, port


@dataclass(frozen=True)
class Web:
    """How the web is reached; tests reach a server on loopback under Google's names.

    Attributes:
        reach: the address to connect to for a host and port.
        context: whom TLS trusts, None for the system's authorities.
        seconds: limit of one whole download. largest: limit of its bytes.
    """

    reach: Reach = _directly
    context: ssl.SSLContext | None = None
    seconds: float = _SECONDS
    largest: int = _LARGEST


@dataclass(frozen=True)
class Download:
    """A fetched sheet and the instant the server states for it, None when it states none."""

    content: bytes
    as_of: datetime | None


def export_address(link: str, form: Form) -> str:
    """Return the address that exports the sheet a person's link shows.

    Raises:
        TableError: not a link to a Google sheet.
    """
    parts = urlsplit(link.strip())
    try:
        plain = parts.hostname == _HOST and parts.port in {None, 443} and not parts.username
    except ValueError:
        plain = False
    if parts.scheme != "https" or not plain:
        raise TableError(
            f"link: expected https://{_HOST}/spreadsheets/d/..., found another address",
            "copy the link from the sheet's address bar or its share button",
            None,
        )
    query = parse_qs(parts.query)
    if _PUBLISHED.fullmatch(parts.path):
        gid = _gid(query, "")
        return f"https://{_HOST}{parts.path}?output={form}" + (
            f"&gid={gid}&single=true" if gid and form == "csv" else ""
        )
    match = _KEY.fullmatch(parts.path)
    if match is None or match[1] == "e":
        raise TableError(
            "link: found a Google address that names no sheet",
            "copy the link from the sheet's address bar; it ends in /edit#gid=...",
            None,
        )
    gid = _gid(query, parts.fragment)
    address = f"https://{_HOST}/spreadsheets/d/{match[1]}/export?format={form}"
    return address + (f"&gid={gid}" if gid and form == "csv" else "")


def names_sheet(link: str) -> bool:
    """Say whether a link names one of the spreadsheet's sheets; otherwise the first is read."""
    parts = urlsplit(link)
    return bool(_gid(parse_qs(parts.query), parts.fragment))


def fetch(link: str, form: Form = "csv", web: Web | None = None) -> Download:
    """Download a sheet.

    Raises:
        TableError: not shared, too large, too slow, or not what was asked for.
    """
    import http.client
    import urllib.error
    import urllib.request

    from digest.tables.https import opener

    web = web or Web()
    address = export_address(link, form)
    deadline = time.monotonic() + web.seconds
    request = urllib.request.Request(address, headers={"User-Agent": "sla-digest"})  # noqa: S310 - https, see export_address
    try:
        with opener(web).open(request, timeout=web.seconds) as response:
            _check_type(response.headers.get_content_type(), form)
            content = _body(response, deadline, web)
            headers = response.headers
    except urllib.error.HTTPError as error:
        with error:
            raise _refused(error.code) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        if isinstance(error, TableError):
            raise
        raise _unreachable(error) from error
    if content.lstrip()[:1] == b"<":
        raise not_shared("a web page")
    return Download(content, _stated(headers))


def _gid(query: Mapping[str, list[str]], fragment: str) -> str:
    for found in (*query.get("gid", []), *parse_qs(fragment).get("gid", [])):
        if re.fullmatch(r"[0-9]{1,20}", found):
            return found
    return ""


def _check_type(found: str, form: Form) -> None:
    if found == _TYPES[form]:
        return
    if found == "text/html":
        raise not_shared("a web page")
    raise TableError(f"{NAME}: expected {_TYPES[form]}, found {found[:60]!r}", _SHARE, Reason.AUTH)


def _body(response: http.client.HTTPResponse, deadline: float, web: Web) -> bytes:
    import http.client

    content = bytearray()
    while chunk := response.read1(65_536):
        content += chunk
        if len(content) > web.largest:
            raise TableError(
                f"{NAME} has more than {web.largest:,} bytes",
                "keep the current year in it, or export it as a file",
                Reason.OVERFLOW,
            )
        if time.monotonic() > deadline:
            raise TimeoutError
    if response.length:
        raise http.client.IncompleteRead(b"")
    return bytes(content)


def _stated(headers: Mapping[str, str]) -> datetime | None:
    from email.utils import parsedate_to_datetime

    for name in ("Last-Modified", "Date"):
        try:
            return parsedate_to_datetime(headers[name]).astimezone(UTC)
        except (KeyError, TypeError, ValueError):
            continue
    return None


def not_shared(found: str) -> TableError:
    """Return the refusal of an answer that is not the sheet."""
    return TableError(f"{NAME} answered with {found} instead of its cells", _SHARE, Reason.AUTH)


def _refused(code: int) -> TableError:
    if code in {401, 403}:
        return TableError(f"{NAME} is not shared (HTTP {code})", _SHARE, Reason.AUTH)
    if code in {400, 404, 410}:
        return TableError(
            f"{NAME} does not exist (HTTP {code})", "copy its link from the address bar again", None
        )
    reason = Reason.QUOTA if code == 429 else Reason.TRANSIENT  # noqa: PLR2004 - too many requests
    return TableError(f"{NAME} cannot be had now (HTTP {code})", "try again later", reason)


def _unreachable(error: Exception) -> TableError:
    import ssl
    import urllib.error

    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        what = f"{NAME}: the certificate of the server is not trusted ({cause.verify_message})"
        return TableError(what, "check the clock and the network's proxy", Reason.TRANSIENT)
    if isinstance(cause, TimeoutError):
        what = f"{NAME} did not answer in {_SECONDS:.0f} s"
    else:
        what = f"{NAME} cannot be reached ({type(cause).__name__})"
    return TableError(what, "check the network and try again", Reason.TRANSIENT)

"""One wire to HubSpot: the vendor's client with our paths, deadline, pace and repeats.

The client gives host, authentication, TLS, pooling and serialisation; its generated methods know only
API versions that end. It has no deadline of its own and raises away the status of an error that is not
UTF-8, so its connection pool is wrapped: an answer is read whole, in limited time, before the client
sees it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from digest.connectors.hubspot.failures import (
    NAME,
    TRY_AGAIN,
    Asking,
    Failure,
    Kind,
    of_status,
    passing,
)
from digest.errors import ConfigError, ConnectorError, Reason
from digest.model import Secret

SEARCHES_PER_SECOND = 4.0
OTHERS_PER_SECOND = 8.0
SLOW_SECONDS = 10.0
LARGEST_ANSWER = 64_000_000
WARN_SKEW = timedelta(minutes=2)
REFUSE_SKEW = timedelta(minutes=10)
_log = logging.getLogger(__name__)


class Pace:
    """Spaces requests evenly; half as fast for ten seconds after the portal complained."""

    def __init__(self, per_second: float) -> None:
        self._interval = 1 / per_second
        self._next = 0.0
        self._slow_until = 0.0
        self._lock = threading.Lock()

    def reserve(self, now: float) -> float:
        """Take the next free place and return the seconds until it."""
        with self._lock:
            place = max(now, self._next)
            self._next = place + self._interval * (2 if place < self._slow_until else 1)
            return place - now

    def slow_down(self, now: float) -> None:
        """Halve the pace for a while."""
        with self._lock:
            self._slow_until = now + SLOW_SECONDS


@dataclass(frozen=True)
class Wire:
    """How HubSpot is reached; a test brings its own host, clock and sleep.

    Attributes:
        paces: per token, so that all digests of a process share the portal's limit.
    """

    host: str = "https://api.hubapi.com"
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random
    connect_seconds: float = 5.0
    read_seconds: float = 30.0
    paces: dict[str, tuple[Pace, Pace]] = field(default_factory=dict, repr=False, compare=False)

    def pace(self, token: str, *, search: bool) -> Pace:
        """Return the pace of a token's searches, or of its other requests."""
        key = hashlib.sha256(token.encode()).hexdigest()
        fresh = (Pace(SEARCHES_PER_SECOND), Pace(OTHERS_PER_SECOND))
        return self.paces.setdefault(key, fresh)[0 if search else 1]


@dataclass
class Errand:
    """One capability at work: its limits, and what it has used.

    Attributes:
        ends: on the wire's clock. calls: requests made, repeats included. pages: searches answered.
    """

    now: datetime
    zone: str
    ends: float
    max_calls: int
    max_seconds: int
    calls: int = 0
    pages: int = 0

    def plan(self, total: int, more: int) -> None:
        """Refuse before the first superfluous page what the budget does not hold.

        Raises:
            ConnectorError: overflow, with the total, the calls needed and the setting.
        """
        if self.pages + more > self.max_calls:
            raise ConnectorError(
                NAME,
                Reason.OVERFLOW,
                f"{total:,} records need {self.pages + more:,} searches, max_calls allows {self.max_calls:,}",
                remedy="raise max_calls and max_seconds, or narrow the records with `filters`",
            )


class Session:
    """The client of one token: one connection pool for a connector's life."""

    def __init__(self, wire: Wire, token: Secret, version: str) -> None:
        self._wire = wire
        self._token = token
        self._version = version
        self._client, self._pool = _client(wire, token)
        self.skew: timedelta | None = None
        self.daily_left: str | None = None

    def search(self, kind: str, body: Mapping[str, object], errand: Errand) -> Mapping[str, Any]:
        """Ask one search."""
        path = self._path("objects", f"{kind}/search")
        found = self._call("POST", path, body, errand, what=f"the search of {kind}")
        errand.pages += 1
        return found

    def definitions(self, kind: str, names: list[str], errand: Errand) -> Mapping[str, Any]:
        """Read the definitions of properties; those that do not exist are missing in the answer."""
        body = {
            "archived": False,
            "dataSensitivity": "non_sensitive",
            "inputs": [{"name": name} for name in names],
        }
        path = self._path("properties", f"{kind}/batch/read")
        return self._call("POST", path, body, errand, what=f"the properties of {kind}")

    def all_definitions(self, kind: str, errand: Errand) -> Mapping[str, Any]:
        """Read the definitions of all properties, to name the nearest of a misspelt one."""
        path = self._path("properties", kind)
        return self._call("GET", path, None, errand, what=f"the properties of {kind}")

    def account(self, errand: Errand) -> Mapping[str, Any]:
        """Read the account's zone, currency and id."""
        path = f"/account-info/{self._version}/details"
        return self._call("GET", path, None, errand, what="the account details")

    def _path(self, part: str, rest: str) -> str:
        if self._version == "v3":
            return f"/crm/v3/{part}/{rest}"
        return f"/crm/{part}/{self._version}/{rest}"

    def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None,
        errand: Errand,
        *,
        what: str,
    ) -> Mapping[str, Any]:
        asking = Asking(what, self._version, errand.now, errand.zone, self._token.reveal())
        pace = self._wire.pace(asking.token, search=path.endswith("/search"))
        failed: Counter[Kind] = Counter()
        while True:
            self._rest(pace.reserve(self._wire.clock()), errand, asking, None)
            errand.calls += 1
            found = self._once(method, path, body, errand, asking)
            if not isinstance(found, Failure):
                return found
            failed[found.kind] += 1
            _log.info("%s: attempt %d: %s", what, failed.total(), found.kind.name)
            if found.kind is Kind.SECONDLY:
                pace.slow_down(self._wire.clock())
            wait = found.wait(failed[found.kind])
            if wait is None:
                raise found.error
            self._rest(wait * (1 + self._wire.jitter() / 4), errand, asking, found)

    def _rest(self, wait: float, errand: Errand, asking: Asking, failure: Failure | None) -> None:
        """Wait, but never across the deadline."""
        if self._wire.clock() + wait < errand.ends:
            if wait > 0:
                self._wire.sleep(wait)
            return
        if failure is not None:
            raise failure.error
        raise ConnectorError(
            NAME,
            Reason.TRANSIENT,
            f"{asking.what} was not finished within {errand.max_seconds} s",
            remedy=f"{TRY_AGAIN}; raise max_seconds if this happens often",
        )

    def _once(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None,
        errand: Errand,
        asking: Asking,
    ) -> Mapping[str, Any] | Failure:
        from hubspot.crm.objects.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        self._pool.seconds = min(errand.ends - self._wire.clock(), 2 * self._wire.read_seconds)
        try:
            answer = self._client.call_api(
                path,
                method,
                header_params={"Accept": "application/json", "Content-Type": "application/json"},
                body=body,
                auth_settings=["oauth2"],
                _preload_content=False,
                _return_http_data_only=True,
                _request_timeout=(self._wire.connect_seconds, self._wire.read_seconds),
            )
        except ApiException as error:
            if not error.status:  # the client's word for a TLS failure
                return passing(asking, "the TLS connection could not be made")
            self._note(error.headers or {}, errand)
            return of_status(asking, error.status, error.headers or {}, error.body or "")
        except (HTTPError, OSError) as error:
            return passing(asking, _words(error))
        self._note(answer.headers, errand)
        try:
            found = json.loads(answer.data)
        except (ValueError, RecursionError):
            return passing(asking, "the answer was cut off or is no JSON")
        return found if isinstance(found, dict) else passing(asking, "the answer is no JSON object")

    def _note(self, headers: Mapping[str, str], errand: Errand) -> None:
        """Keep what the headers say of the clock and of the day's quota."""
        self.daily_left = headers.get("X-HubSpot-RateLimit-Daily-Remaining") or self.daily_left
        if self.skew is not None:
            return
        with suppress(TypeError, ValueError):
            self.skew = parsedate_to_datetime(headers.get("Date", "")) - errand.now
        if self.skew is not None and abs(self.skew) > REFUSE_SKEW:
            minutes = round(abs(self.skew).total_seconds() / 60)
            self.skew = None
            raise ConnectorError(
                NAME,
                Reason.TRANSIENT,
                f"this machine's clock and HubSpot's differ by {minutes} minutes, so the day would be cut "
                "in the wrong place",
                remedy="set the machine's clock (NTP)",
            )


@dataclass(frozen=True)
class _Answer:
    """A whole answer as the client expects one."""

    status: int
    reason: str
    headers: Mapping[str, str]
    data: bytes

    def getheaders(self) -> Mapping[str, str]:
        return self.headers


class _Pool:
    """The client's connection pool, reading the whole answer before the time is over.

    Attributes:
        seconds: for the next answer, from the request to the last byte.
    """

    def __init__(self, inner: Any) -> None:  # noqa: ANN401 - a urllib3.PoolManager
        self._inner = inner
        self._sockets: list[socket.socket] = []
        self.seconds = 0.0
        inner.pool_classes_by_scheme = _watched_pools(self._sockets)

    def request(self, method: str, url: str, **options: Any) -> _Answer:  # noqa: ANN401 - urllib3's
        """Ask, and read the answer; an answer that is late is as good as none."""
        options["preload_content"] = False
        with self._limit():
            response = self._inner.request(method, url, redirect=False, **options)
            try:
                data = _read(response)
            finally:
                response.release_conn()
        if not 200 <= response.status <= 299:  # noqa: PLR2004 - the client decodes these as UTF-8
            data = data.decode("utf-8", "replace").encode()
        return _Answer(response.status, response.reason or "", response.headers, data)

    @contextmanager
    def _limit(self) -> Iterator[None]:
        """Hang up when the time is over: a server that sends byte by byte never meets a read timeout."""
        over = threading.Event()

        def hang_up() -> None:
            over.set()
            for connection in self._sockets:
                with suppress(OSError):
                    # Not the TLS object's own method, which another thread must not call.
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)

        timer = threading.Timer(max(self.seconds, 0.001), hang_up)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
        if over.is_set():
            raise TimeoutError("the answer took too long")


def _read(response: Any) -> bytes:  # noqa: ANN401 - a urllib3.HTTPResponse
    parts: list[bytes] = []
    length = 0
    while part := response.read(65_536):
        parts.append(part)
        length += len(part)
        if length > LARGEST_ANSWER:
            response.close()
            raise OSError("the answer is larger than any page can be")
    return b"".join(parts)


def _watched_pools(sockets: list[socket.socket]) -> dict[str, Any]:
    """Return urllib3's pools with connections that enter their socket into the list."""
    from urllib3.connection import HTTPConnection, HTTPSConnection
    from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

    def enter(connection: Any) -> None:  # noqa: ANN401 - one of the two below
        sockets[:] = [entered for entered in sockets if entered.fileno() >= 0]
        sockets.append(connection.sock)

    class Plain(HTTPConnection):
        def connect(self) -> None:
            super().connect()
            enter(self)

    class Encrypted(HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            enter(self)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class EncryptedPool(HTTPSConnectionPool):
        ConnectionCls = Encrypted

    return {"http": PlainPool, "https": EncryptedPool}


def _client(wire: Wire, token: Secret) -> tuple[Any, _Pool]:
    try:
        from hubspot import HubSpot
        from urllib3.util.retry import Retry
    except ImportError as error:
        raise ConfigError(
            f"{NAME}: HubSpot's client is not installed; run: pip install 'sla-digest[hubspot]'"
        ) from error
    # Connections alone are repeated by urllib3; the wait after an answer depends on its body.
    retry = Retry(total=2, connect=2, read=0, status=0, redirect=0, other=0)
    loggers = [logging.getLogger(name) for name in ("urllib3", "hubspot.crm.objects")]
    levels = [logger.level for logger in loggers]
    try:
        client = HubSpot(access_token=token.reveal(), host=wire.host, retry=retry)
        api_client = client.crm.objects.search_api.api_client
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)  # the client silences them for the whole process
    pool = _Pool(api_client.rest_client.pool_manager)
    api_client.rest_client.pool_manager = pool
    return api_client, pool


def _words(error: Exception) -> str:
    """Name a network failure without what urllib3 says of host and pool."""
    names = {
        "ReadTimeoutError": "no answer in time",
        "TimeoutError": "the answer took too long",
        "ConnectTimeoutError": "the connection could not be made in time",
        "MaxRetryError": "the connection could not be made",
        "ProtocolError": "the connection broke off",
        "IncompleteRead": "the connection broke off",
    }
    return names.get(type(error).__name__, f"network failure ({type(error).__name__})")

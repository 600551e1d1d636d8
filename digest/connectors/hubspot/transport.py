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
from typing import Any, Protocol

from digest.clocks import REFUSE_SKEW, OtherClock, clock_of
from digest.connectors.hubspot.credentials import Access, OAuth
from digest.connectors.hubspot.failures import (
    NAME,
    TRY_AGAIN,
    Asking,
    Failure,
    Kind,
    of_renewal,
    of_status,
    passing,
)
from digest.errors import ConfigError, ConnectorError, Reason
from digest.model import Secret

SEARCHES_PER_SECOND = 4.0
OTHERS_PER_SECOND = 8.0
SLOW_SECONDS = 10.0
LARGEST_ANSWER = 64_000_000
_log = logging.getLogger(__name__)


class Budget(Protocol):
    """Tells when the next search of a portal may leave."""

    def reserve(self, now: float) -> float:
        """Take the next free place and return the seconds until it."""

    def slow_down(self, now: float, seconds: float | None = None) -> None:
        """Hear that the portal complained, and how long it wants to be left alone."""


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

    def slow_down(self, now: float, seconds: float | None = None) -> None:
        """Halve the pace for a while; who was refused waits as long as the portal asked by itself."""
        del seconds
        with self._lock:
            self._slow_until = now + SLOW_SECONDS


@dataclass(frozen=True)
class Wire:
    """How HubSpot is reached; a test brings its own host, clock and sleep.

    Attributes:
        paces: per credential, so that all digests of a process share the portal's limit.
        accesses: per refresh token, so that they share the access token, too.
        budget: of an account's searches, where other processes share it; None for this process alone.
    """

    host: str = "https://api.hubapi.com"
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random
    connect_seconds: float = 5.0
    read_seconds: float = 30.0
    paces: dict[str, tuple[Pace, Pace]] = field(default_factory=dict, repr=False, compare=False)
    accesses: dict[str, Access] = field(default_factory=dict, repr=False, compare=False)
    budget: Callable[[str], Budget] | None = None

    def pace(self, credential: Secret, *, search: bool) -> Budget:
        """Return the pace of a credential's searches, or of its other requests."""
        if search and self.budget is not None:
            return self.budget(account_of(credential))
        fresh = (Pace(SEARCHES_PER_SECOND), Pace(OTHERS_PER_SECOND))
        return self.paces.setdefault(_digest(credential), fresh)[0 if search else 1]

    def access(self, refresh_token: Secret) -> Access:
        """Return the access that a refresh token gave last."""
        return self.accesses.setdefault(_digest(refresh_token), Access())


def account_of(credential: Secret) -> str:
    """Return the name of the portal that a credential opens."""
    return f"hubspot:{_digest(credential)[:16]}"


def _digest(credential: Secret) -> str:
    return hashlib.sha256(credential.reveal().encode()).hexdigest()


@dataclass
class Errand:
    """One capability at work: its limits, and what it has used.

    Attributes:
        present: `now` is this very moment, so that HubSpot's clock can be compared with it.
        ends: on the wire's clock. calls: requests made, repeats included. pages: searches answered.
    """

    now: datetime
    zone: str
    ends: float
    max_calls: int
    max_seconds: int
    present: bool = True
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


@dataclass(frozen=True)
class _Request:
    """What is asked: `what` is its name in messages; a form is posted as such, and without a token."""

    method: str
    path: str
    what: str
    body: Mapping[str, object] | None = None
    form: tuple[tuple[str, str], ...] = field(default=(), repr=False)


class Session:
    """The client of one credential: one connection pool for a connector's life."""

    def __init__(self, wire: Wire, credential: Secret | OAuth, version: str) -> None:
        self._wire = wire
        self._oauth = credential if isinstance(credential, OAuth) else None
        self._lasting = credential.refresh_token if isinstance(credential, OAuth) else credential
        self._version = version
        self._client, self._pool = _client(wire)
        if self._oauth is None:
            self._client.configuration.access_token = self._lasting.reveal()
        self.skew: timedelta | None = None
        self.told: OtherClock | None = None
        self.daily_left: str | None = None

    @property
    def scopes(self) -> tuple[str, ...] | None:
        """What the portal granted to an app; None for a key, whose scopes HubSpot does not tell."""
        return None if self._oauth is None else self._wire.access(self._lasting).scopes

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
        request = _Request(method, path, what, body)
        return self._answer(request, errand, before=lambda: self._renew(errand))

    def _renew(self, errand: Errand) -> None:
        """Have an access token that lasts: in time, for HubSpot's 401 is no call to renew it."""
        if self._oauth is None:
            return
        access = self._wire.access(self._lasting)
        with access.lock:
            asked_at = self._wire.clock()
            if asked_at >= access.renew_at:
                path = f"/oauth/{self._version}/token"
                request = _Request("POST", path, "the access token", form=self._oauth.form)
                if not access.take(self._answer(request, errand), asked_at):
                    raise ConnectorError(
                        NAME,
                        Reason.TRANSIENT,
                        "HubSpot renewed the access without an access token",
                        remedy=TRY_AGAIN,
                    )
            self._client.configuration.access_token = access.token

    def _answer(
        self, request: _Request, errand: Errand, before: Callable[[], None] = lambda: None
    ) -> Mapping[str, Any]:
        """Ask until there is an answer, as the table of failures says."""
        pace = self._wire.pace(self._lasting, search=request.path.endswith("/search"))
        failed: Counter[Kind] = Counter()
        while True:
            self._rest(pace.reserve(self._wire.clock()), errand, request, None)
            before()
            errand.calls += 1
            found = self._once(request, errand)
            if not isinstance(found, Failure):
                return found
            failed[found.kind] += 1
            _log.info("%s: attempt %d: %s", request.what, failed.total(), found.kind.name)
            if found.kind is Kind.SECONDLY:
                pace.slow_down(self._wire.clock(), found.retry_after)
            wait = found.wait(failed[found.kind])
            if wait is None:
                raise found.error
            self._rest(wait * (1 + self._wire.jitter() / 4), errand, request, found)

    def _rest(
        self, wait: float, errand: Errand, request: _Request, failure: Failure | None
    ) -> None:
        """Wait, but never across the deadline."""
        if self._wire.clock() + wait < errand.ends:
            if wait > 0:
                self._wire.sleep(wait)
            return
        raise _out_of_time(request, errand) if failure is None else failure.error

    def _asking(self, request: _Request, errand: Errand) -> Asking:
        access = str(self._client.configuration.access_token or "")
        hidden = (access, *(value for name, value in request.form if name != "grant_type"))
        oauth = self._oauth is not None
        return Asking(request.what, self._version, errand.now, errand.zone, hidden, oauth=oauth)

    def _once(self, request: _Request, errand: Errand) -> Mapping[str, Any] | Failure:
        from hubspot.crm.objects.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        asking = self._asking(request, errand)
        left = errand.ends - self._wire.clock()
        self._pool.seconds = min(left, 2 * self._wire.read_seconds)
        began = time.monotonic()
        kind = "application/x-www-form-urlencoded" if request.form else "application/json"
        try:
            answer = self._client.call_api(
                request.path,
                request.method,
                header_params={"Accept": "application/json", "Content-Type": kind},
                body=request.body,
                post_params=[*request.form],
                auth_settings=[] if request.form else ["oauth2"],
                _preload_content=False,
                _return_http_data_only=True,
                _request_timeout=(self._wire.connect_seconds, self._wire.read_seconds),
            )
        except ApiException as error:
            if not error.status:  # the client's word for a TLS failure
                return passing(asking, "the TLS connection could not be made")
            self._note(error.headers or {}, errand)
            failure = of_renewal if request.form else of_status
            return failure(asking, error.status, error.headers or {}, error.body or "")
        except (HTTPError, OSError) as error:
            if (
                time.monotonic() - began >= left
            ):  # it broke off because the time of the whole was up
                raise _out_of_time(request, errand) from error
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
        self.told = clock_of(headers.get("Date", "")) or self.told
        if self.skew is not None or not errand.present:
            return
        if self.told is not None:
            self.skew = self.told.showed - errand.now
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


def _client(wire: Wire) -> tuple[Any, _Pool]:
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
        client = HubSpot(host=wire.host, retry=retry)
        api_client = client.crm.objects.search_api.api_client
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)  # the client silences them for the whole process
    pool = _Pool(api_client.rest_client.pool_manager)
    api_client.rest_client.pool_manager = pool
    return api_client, pool


def _out_of_time(request: _Request, errand: Errand) -> ConnectorError:
    return ConnectorError(
        NAME,
        Reason.TRANSIENT,
        f"{request.what} was not finished within {errand.max_seconds} s",
        remedy=f"{TRY_AGAIN}; raise max_seconds if this happens often",
    )


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

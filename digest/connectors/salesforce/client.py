"""Login, token renewal and calls with the vendor's client, over a session of our own."""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote
from xml.parsers.expat import ExpatError

import requests
from jwt import PyJWTError
from simple_salesforce.api import Salesforce as Api
from simple_salesforce.exceptions import SalesforceAuthenticationFailed, SalesforceError
from simple_salesforce.login import SalesforceLogin

from digest.connectors.salesforce import SOAP_ENDS
from digest.connectors.salesforce.failures import (
    NAME,
    NOT_FOUND,
    UNAUTHORISED,
    NotFoundError,
    Refusal,
    no_such_org,
    one_line,
    refusal_of,
    transient,
    translated,
)
from digest.connectors.salesforce.fields import Fields
from digest.connectors.salesforce.session import LimitedSession
from digest.errors import ConfigError, ConnectorError, DigestError, Reason, nearest
from digest.model import Secret

if TYPE_CHECKING:
    from digest.connectors.salesforce import Salesforce

T = TypeVar("T")

# What the vendor's client raises when an answer is not what it expects.
NO_ANSWER = (ValueError, KeyError, IndexError, TypeError, AttributeError)
TRIES = 3
QUERIES = 5
LONGEST_WAIT = 30.0
FIRST_WAIT = 1.0


class _PassingError(Exception):
    """The same call may work in a moment."""


class _ExpiredError(Exception):
    """The token is no longer accepted."""


@dataclass(frozen=True)
class Answer:
    """What one query answered.

    Attributes:
        rows: records or groups. total: `totalSize`. whole: no further page.
        refusal: why there is no answer; None when there is one.
        next_page: path of the next page of records.
    """

    rows: Sequence[Mapping[str, Any]] = ()
    total: int = 0
    whole: bool = True
    refusal: Refusal | None = None
    next_page: str | None = None


class Client:
    """One org, one token, and a count of the calls made."""

    def __init__(self, settings: Salesforce) -> None:
        self._settings = settings
        self._wire = settings.wire
        self.session = LimitedSession(self._wire)
        self._api: Api | None = None
        self._fields: dict[str, Fields] = {}

    @property
    def calls(self) -> int:
        """Requests made so far, logins included."""
        return self.session.calls

    @property
    def host(self) -> str:
        """The org's host as people know it."""
        return f"{self._settings.host_stem}.salesforce.com"

    def failure(self, refusal: Refusal) -> DigestError:
        """Return a refusal as the error that the reader sees."""
        return translated(
            refusal,
            host=self.host,
            version=self._settings.api_version,
            usage=self.session.usage,
            told_at=self.session.told_at,
        )

    def ask(self, queries: Sequence[str]) -> list[Answer]:
        """Answer queries in order, five in a call.

        Raises:
            DigestError: a call failed as a whole, or a part in a way that a later try may mend.
        """
        answers: list[Answer] = []
        for start in range(0, len(queries), QUERIES):
            answers += self._composite(queries[start : start + QUERIES])
        return answers

    def whole(self, query: str) -> Iterator[Mapping[str, Any]]:
        """Yield every record of a query, page by page.

        Raises:
            ConnectorError: the pages hold another number of records than announced.
        """
        answer = self.ask([query])[0]
        if answer.refusal:
            raise self.failure(answer.refusal)
        total, seen = answer.total, 0
        while True:
            seen += len(answer.rows)
            yield from answer.rows
            if answer.whole:
                break
            answer = self.page(answer)
        if seen != total:
            raise transient(f"{self.host} announced {total:,} records and sent {seen:,}")

    def page(self, answer: Answer) -> Answer:
        """Return the page after an answer."""
        marker = f"/services/data/v{self._settings.api_version}/"
        where = answer.next_page or ""
        if not where.startswith(marker) or not answer.rows:
            raise transient(f"{self.host} announced a further page and did not say where it is")
        path = where.removeprefix(marker)
        return self._call(lambda api: _answer_of(200, api.restful(path)))

    def get(self, path: str) -> object:
        """Return what a path below the version answers."""
        return self._call(lambda api: api.restful(path))

    def fields(self, name: str) -> Fields:
        """Return the fields of an object, asked once."""
        if name not in self._fields:
            try:
                path = f"sobjects/{name}/describe"
                self._fields[name] = self._call(lambda api: Fields.of(name, api.restful(path)))
            except NotFoundError:
                raise self._no_object(name) from None
        return self._fields[name]

    def _no_object(self, name: str) -> ConfigError:
        answer = self.get("sobjects")
        listed = answer.get("sobjects") if isinstance(answer, Mapping) else None
        names = [str(each.get("name")) for each in listed or () if isinstance(each, Mapping)]
        return ConfigError(
            f"salesforce: object: {self.host} has no object {name!r} that the user of the login may see"
            f"{nearest(name, names)}"
        )

    def _composite(self, queries: Sequence[str]) -> list[Answer]:
        base = f"/services/data/v{self._settings.api_version}/query/?q="
        names = [f"q{n}" for n in range(1, len(queries) + 1)]
        body = {
            "allOrNone": False,
            "compositeRequest": [
                {"method": "GET", "referenceId": name, "url": base + quote(query, safe="")}
                for name, query in zip(names, queries, strict=True)
            ],
        }

        def once(api: Api) -> list[Answer]:
            parts = _parts(api.restful("composite", method="POST", json=body), names)
            for part in parts:
                if part.refusal and part.refusal.passing:
                    raise _PassingError(f"{part.refusal.code}: {part.refusal.said}")
                if part.refusal and part.refusal.status == UNAUTHORISED:
                    raise _ExpiredError(f"{part.refusal.code}: {part.refusal.said}")
            return parts

        return self._call(once)

    # ------------------------------------------------------------------------------------ one call

    def _call(self, work: Callable[[Api], T]) -> T:
        """Make a call, with a new login when the token has expired and new tries when it may pass."""
        began = time.monotonic()
        renewed = False
        tries = 0
        while True:
            try:
                return self._once(work)
            except _ExpiredError as error:
                if renewed or self._settings.login == "session":
                    raise self._not_let_in(str(error)) from None
                renewed, self._api = True, None
            except _PassingError as error:
                tries += 1
                wait = self._wire.spread(0, FIRST_WAIT * 4**tries)
                asked = self.session.retry_after
                if asked is not None:
                    wait = max(asked, 0.1)
                    if self._wire.heed is not None:
                        self._wire.heed(self._settings.account, wait)
                spent = time.monotonic() - began
                if tries >= TRIES or wait > LONGEST_WAIT or spent + wait > self._wire.call_seconds:
                    raise transient(f"{self.host} gave no answer: {error}") from None
                self._wire.sleep(wait)

    def _once(self, work: Callable[[Api], T]) -> T:
        if self._api is None:
            self._api = self._log_in()
        try:
            return work(self._api)
        except SalesforceError as error:
            refusal = refusal_of(int(error.status), error.content)
        except requests.RequestException as error:
            # Its words hold addresses with the query in them; the kind says enough.
            raise _PassingError(_kind(error)) from None
        except NO_ANSWER:
            raise _PassingError("the answer is not what Salesforce sends") from None
        if refusal.status == UNAUTHORISED:
            raise _ExpiredError(f"{refusal.code}: {refusal.said}")
        if refusal.passing or 300 <= refusal.status < 400:  # noqa: PLR2004 - a redirect, to maintenance
            raise _PassingError(f"status {refusal.status}, {refusal.code}: {refusal.said}")
        raise self.failure(refusal)

    # --------------------------------------------------------------------------------------- login

    def _log_in(self) -> Api:
        settings = self._settings
        if settings.login == "session":
            token, instance = _text(settings.access_token), self.host
            if token and not re.fullmatch(r"[!-~]+", token):
                raise self._not_let_in("access_token holds characters that no token has")
        else:
            token, instance = self._token()
        if not token:
            raise _PassingError("the login answered without a token")
        if not instance.endswith(".salesforce.com") or "/" in instance or "@" in instance:
            raise self._not_let_in(f"the login leads to {one_line(instance)[:80]!r}")
        return Api(
            session_id=token,
            instance=instance,
            version=settings.api_version,
            domain=settings.host_stem,
            session=self.session,
            parse_float=Decimal,
        )

    def _token(self) -> tuple[str, str]:
        # The client warns with an address that holds the consumer key.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return SalesforceLogin(**login_arguments(self._settings, self.session))
            except SalesforceAuthenticationFailed as error:
                code, said = str(error.code), one_line(str(error.message))
                failed = code, said
            except requests.RequestException as error:
                raise _PassingError(f"login: {self._unreached(error)}") from None
            except (*NO_ANSWER, PyJWTError, ExpatError) as error:
                raise self._unusable(error) from None
        status = self.session.status or 0
        if status == NOT_FOUND:
            raise no_such_org(self.host)
        passing = status >= 500 or status in {406, 420, 429}  # noqa: PLR2004 - any failing server
        if code.isdigit() or code == "None" or (passing and not code.startswith("INVALID_")):
            raise _PassingError(f"login: status {status}")
        raise self._not_let_in(": ".join(failed))

    def _unreached(self, error: requests.RequestException) -> str:
        """Return the kind of failure; a name that nobody knows is most often a wrong domain."""
        unknown = "NameResolutionError" in repr(error) or "getaddrinfo" in repr(error)
        return "no host of this name; check domain, and the network" if unknown else _kind(error)

    def _unusable(self, error: Exception) -> Exception:
        """Return why a login ended without an answer: a key that cannot sign, or no JSON."""
        if self._settings.login == "jwt" and self.session.status is None:
            return ConnectorError(
                NAME,
                Reason.AUTH,
                f"private_key cannot sign ({type(error).__name__})",
                remedy="give the PEM text of the RSA key that belongs to the app's certificate",
            )
        return _PassingError("login: the answer is not what Salesforce sends")

    def _not_let_in(self, said: str) -> ConnectorError:
        login = self._settings.login
        remedy = {
            "client credentials": "check consumer_key and consumer_secret, that the app allows the client "
            "credentials flow and has a run-as user, and that domain is the org's My Domain",
            "jwt": "check consumer_key, username and that private_key belongs to the app's certificate",
            "session": "the access token is no longer valid; renew it, or use client credentials",
            "soap": SOAP_ENDS,
        }[login]
        return ConnectorError(
            NAME, Reason.AUTH, f"{self.host} refused login = {login!r}: {said}", remedy=remedy
        )


def login_arguments(settings: Salesforce, session: LimitedSession) -> dict[str, Any]:
    """Return the arguments of a way in, and none that would make the vendor's client choose another."""
    stem = settings.host_stem
    if settings.login == "client credentials":
        return {
            "session": session,
            "domain": stem,
            "consumer_key": _text(settings.consumer_key),
            "consumer_secret": _text(settings.consumer_secret),
        }
    if settings.login == "jwt":
        return {
            "session": session,
            "domain": stem,
            "username": settings.username or "",
            "consumer_key": _text(settings.consumer_key),
            "privatekey": _text(settings.private_key),
        }
    return {
        "session": session,
        "domain": stem,
        "username": settings.username or "",
        "password": _text(settings.password),
        "security_token": _text(settings.security_token),
        "sf_version": settings.api_version,
    }


def client_of(settings: Salesforce) -> Client:
    """Return the client of a connector: its token and its fields serve every question of a process."""
    if settings.kept.client is None:
        settings.kept.client = Client(settings)
    return settings.kept.client


def _kind(error: Exception) -> str:
    return type(error).__name__


def _text(value: str | Secret | None) -> str:
    return value.reveal() if isinstance(value, Secret) else value or ""


def _parts(answer: object, names: Sequence[str]) -> list[Answer]:
    """Return the parts of a composite in the order asked; any doubt makes it no answer."""
    parts = answer.get("compositeResponse") if isinstance(answer, Mapping) else None
    if not isinstance(parts, list):
        raise _PassingError("the answer has no parts")
    found: dict[object, Answer] = {}
    for part in parts:
        status = part["httpStatusCode"]
        if isinstance(status, bool) or not isinstance(status, int) or part["referenceId"] in found:
            raise _PassingError("a part of the answer is not what Salesforce sends")
        found[part["referenceId"]] = _answer_of(status, part["body"])
    if set(found) != set(names):
        raise _PassingError("the parts of the answer are not those asked for")
    return [found[name] for name in names]


def _answer_of(status: int, body: object) -> Answer:
    if status != 200:  # noqa: PLR2004 - HTTP OK
        return Answer(refusal=refusal_of(status, body))
    if not isinstance(body, Mapping):
        raise _PassingError("a part of the answer is not what Salesforce sends")
    total, rows, done = body.get("totalSize"), body.get("records"), body.get("done")
    if isinstance(total, bool) or not isinstance(total, int) or total < 0:
        raise _PassingError("a part of the answer has no size")
    if not isinstance(rows, list) or not isinstance(done, bool):
        raise _PassingError("a part of the answer has no records")
    if not all(isinstance(row, Mapping) for row in rows):
        raise _PassingError("a record of the answer is not what Salesforce sends")
    return Answer(rows, total, done, next_page=body.get("nextRecordsUrl"))

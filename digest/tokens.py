"""Access tokens for mail: fetched with an app's own credentials, kept while they live, never written down."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal
from urllib.parse import urlencode

from digest.errors import DeliveryError
from digest.model import Secret
from digest.posting import Answer, post, reason, seconds_to_wait

HOSTS: Mapping[str, str] = {
    "microsoft": "https://login.microsoftonline.com",
    "google": "https://oauth2.googleapis.com",
}
SECONDS = 20.0  # for one token
_MARGIN = 300.0  # seconds of a token's life that are not used: a send takes up to that long
_ASSERTED = 300  # seconds for which a signed assertion is good
_LONGEST_TOKEN = 16_000
_TOKEN = re.compile(r"[!-~]+")
_TENANT = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_CODE = re.compile(r"[a-z][a-z_]{1,60}")
_DETAIL = re.compile(r"AADSTS\d{4,9}")
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----([^-]+)-----END CERTIFICATE-----")
_BY_ASSERTION = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

_REMEDIES = {
    "microsoft": {
        "invalid_client": "check client_id; the app's client secret or certificate is wrong or has "
        "expired: make a new one in Entra and store it",
        "unauthorized_client": "check tenant and client_id: this tenant does not know the app",
        "invalid_request": "check tenant and client_id",
        "invalid_grant": "check tenant, and that an admin has consented to the app's permissions",
    },
    "google": {
        "invalid_client": "check client_id and client_secret",
        "invalid_grant": "the consent has ended: a refresh token expires when it is not used for half a "
        "year, when the password changes, or after 7 days while the app is in testing; make a new one. Of a "
        "service account, check the mailbox and this machine's clock",
        "unauthorized_client": "allow the service account's client id the scope https://mail.google.com/ "
        "in the admin console (domain-wide delegation)",
    },
}


@dataclass(frozen=True, kw_only=True)
class OAuth:
    """How to get an access token for a mailbox.

    Attributes:
        provider: "microsoft" logs an app in by itself (client credentials); "google" acts for a person by a
            refresh token, or for a mailbox of the domain by a service account.
        client_id: the app. client_secret: its secret.
        tenant: of Microsoft, the directory's id or domain.
        certificate: of Microsoft, instead of client_secret: PEM text of private key and certificate.
        refresh_token: of Google, with client_id and client_secret.
        service_account: of Google, instead of these: the text of its JSON key file.
    """

    provider: Literal["microsoft", "google"]
    client_id: str | None = None
    client_secret: Secret | None = None
    tenant: str | None = None
    certificate: Secret | None = None
    refresh_token: Secret | None = None
    service_account: Secret | None = None

    def __post_init__(self) -> None:
        """Check that exactly one way of logging in is complete, and that its key can be used."""
        given = {
            one.name
            for one in fields(self)
            if one.name != "provider" and getattr(self, one.name) is not None
        }
        ways = _WAYS[self.provider]
        if given not in ways:
            allowed = "; or ".join(", ".join(sorted(way)) for way in ways)
            msg = f'provider: "{self.provider}" needs {allowed}; found {", ".join(sorted(given)) or "none"}'
            raise ValueError(msg)
        if self.tenant is not None and not _TENANT.fullmatch(self.tenant):
            msg = f"tenant: {self.tenant!r} is neither a directory's id nor a domain"
            raise ValueError(msg)
        # An empty secret is one that could not be read, which has been told already.
        for name in ("certificate", "service_account"):
            secret = getattr(self, name)
            if secret is not None and secret.reveal():
                try:
                    _form(self, "check", "a@b.example", 0.0)
                except ValueError as error:
                    msg = f"{name}: {error}"
                    raise ValueError(msg) from None


_WAYS: Mapping[str, tuple[set[str], ...]] = {
    "microsoft": ({"tenant", "client_id", "client_secret"}, {"tenant", "client_id", "certificate"}),
    "google": ({"client_id", "client_secret", "refresh_token"}, {"service_account"}),
}


class Tokens:
    """The access token of one mailbox; fetched when it is needed, kept in memory only.

    Args:
        oauth: how.
        scope: what for. mailbox: whose.
        channel: named in errors.
        hosts: by provider; a token request goes nowhere else.
        seconds: for one request.
        clock: seconds that only grow.
        wall: seconds since 1970, for an assertion.
    """

    def __init__(
        self,
        oauth: OAuth,
        *,
        scope: str,
        mailbox: str,
        channel: str,
        hosts: Mapping[str, str] = HOSTS,
        seconds: float = SECONDS,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,  # noqa: TID251 - an assertion says when it was signed
    ) -> None:
        self._oauth = oauth
        self._scope = scope
        self._mailbox = mailbox
        self._channel = channel
        self._hosts = hosts
        self._seconds = seconds
        self._clock = clock
        self._wall = wall
        self._token: str | None = None
        self._good_until = 0.0
        self._doubted = False

    def token(self) -> tuple[str, bool]:
        """Return a token, and whether it was at hand already.

        Raises:
            DeliveryError: there is none; `permanent` when asking again is of no use.
        """
        if self._token is not None and self._clock() < self._good_until:
            return self._token, True
        began = self._clock()
        token, life = self._fetched()
        self._token, self._good_until = token, began + life - _MARGIN
        return token, False

    def doubt(self) -> bool:
        """Forget a token that was refused before its time; True once, because more would lock accounts."""
        first, self._doubted, self._token = not self._doubted, True, None
        return first

    def _fetched(self) -> tuple[str, float]:
        host = self._hosts[self._oauth.provider]
        form = _form(self._oauth, self._scope, self._mailbox, self._wall())
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
        }
        url = host + _path(self._oauth)
        try:
            answer = post(url, urlencode(form).encode(), headers, seconds=self._seconds)
        except Exception as error:  # noqa: BLE001 - whatever broke, there is no token
            raise self._error(f"cannot be reached ({reason(error)})") from None
        found = _read(answer)
        token, life = found.get("access_token"), found.get("expires_in", 0)
        if answer.status != 200:  # noqa: PLR2004 - OK
            raise self._refusal(answer, found)
        if not isinstance(token, str) or not _TOKEN.fullmatch(token) or len(token) > _LONGEST_TOKEN:
            raise self._error("gave no access token that can be used")
        known = isinstance(life, int | str) and str(life).isascii() and str(life).isdigit()
        return token, float(str(life)[:9]) if known else 0.0

    def _refusal(self, answer: Answer, found: Mapping[str, Any]) -> DeliveryError:
        """Return what a refusal means; of its words only codes are repeated, the rest may hold anything."""
        code = str(found.get("error", ""))
        if answer.status == 429 or answer.status >= 500 or not _CODE.fullmatch(code):  # noqa: PLR2004 - busy, or broken
            wait = answer.headers.get("retry-after")
            return self._error(
                f"answered {answer.status}", retry_after=seconds_to_wait(wait) if wait else None
            )
        if code in ("temporarily_unavailable", "server_error"):
            return self._error(f"answered {code}")
        detail = _DETAIL.search(str(found.get("error_description", "")))
        shown = f"{code}, {detail[0]}" if detail else code
        remedy = _REMEDIES[self._oauth.provider].get(code, "check the settings under oauth")
        return self._error(f"refused the app ({shown}); {remedy}", permanent=True)

    def _error(
        self, what: str, *, permanent: bool = False, retry_after: float | None = None
    ) -> DeliveryError:
        return DeliveryError(
            self._channel,
            f"no access token: {_NAMES[self._oauth.provider]} {what}",
            permanent=permanent,
            concerns_all=True,
            retry_after=retry_after,
        )


_NAMES = {"microsoft": "Microsoft's login server", "google": "Google's login server"}


def _read(answer: Answer) -> Mapping[str, Any]:
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _path(oauth: OAuth) -> str:
    return f"/{oauth.tenant}/oauth2/v2.0/token" if oauth.provider == "microsoft" else "/token"


def _form(oauth: OAuth, scope: str, mailbox: str, now: float) -> dict[str, str]:
    """Return the fields of a token request.

    Raises:
        ValueError: a key cannot be used; the text holds no part of it.
    """
    audience = HOSTS[oauth.provider] + _path(oauth)
    client = str(oauth.client_id)
    if oauth.provider == "microsoft":
        form = {"grant_type": "client_credentials", "client_id": client, "scope": scope}
        if oauth.certificate is None:
            return {**form, "client_secret": _revealed(oauth.client_secret)}
        claims = {"aud": audience, "iss": client, "sub": client, **_times(now)}
        assertion = _by_certificate(claims, oauth.certificate.reveal())
        return {**form, "client_assertion_type": _ASSERTION_TYPE, "client_assertion": assertion}
    if oauth.service_account is None:
        return {
            "grant_type": "refresh_token",
            "client_id": client,
            "client_secret": _revealed(oauth.client_secret),
            "refresh_token": _revealed(oauth.refresh_token),
        }
    account, key = _account(oauth.service_account.reveal())
    claims = {"iss": account, "sub": mailbox, "scope": scope, "aud": audience, **_times(now)}
    return {"grant_type": _BY_ASSERTION, "assertion": _signed(claims, key, "RS256", {})}


def _revealed(secret: Secret | None) -> str:
    return secret.reveal() if secret is not None else ""


def _times(now: float) -> dict[str, int]:
    return {"iat": int(now), "exp": int(now) + _ASSERTED}


def _account(text: str) -> tuple[str, str]:
    """Return address and private key of a service account; its own URLs are not believed."""
    try:
        found = json.loads(text)
        return str(found["client_email"]), str(found["private_key"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ValueError("this is no JSON key file of a service account") from None


def _by_certificate(claims: dict[str, Any], pem: str) -> str:
    """Sign as an app that Entra knows by its certificate, which is named by its SHA-256 thumbprint."""
    from uuid import uuid4

    block = _CERTIFICATE.search(pem)
    if block is None:
        raise ValueError("has no certificate; it must hold the private key and the certificate")
    try:
        der = base64.b64decode("".join(block[1].split()), validate=True)
    except ValueError:
        raise ValueError("the certificate is not in PEM form") from None
    thumbprint = hashlib.sha256(der).digest()
    named = {"x5t#S256": base64.urlsafe_b64encode(thumbprint).decode().rstrip("=")}
    claims = {**claims, "jti": str(uuid4()), "nbf": claims["iat"]}
    return _signed(claims, pem.replace(block[0], ""), "PS256", named)


def _signed(claims: dict[str, Any], key: str, algorithm: str, header: dict[str, str]) -> str:
    try:
        import jwt
        from jwt.exceptions import PyJWTError
    except ModuleNotFoundError:
        raise ValueError(
            'the package for it is missing; run: pip install "sla-digest[oauth]"'
        ) from None
    try:
        return jwt.encode(claims, key, algorithm, headers=header)
    except (PyJWTError, ValueError, TypeError):
        raise ValueError(
            "its private key is no RSA key in PEM form, which begins with -----BEGIN"
        ) from None

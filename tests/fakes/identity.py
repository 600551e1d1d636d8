"""The login servers of Microsoft and Google on loopback: strict about every field, and failing as told."""

from __future__ import annotations

import base64
import hashlib
import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

TENANT = "9a8b7c6d-0000-4000-8000-tenant000001"
CLIENT = "11112222-3333-4444-5555-666677778888"
SECRET = "canary-app-secret-5d1f"
REFRESH = "canary-refresh-77c0"
ACCOUNT = "digest@project.iam.example"
MAILBOX = "digest@sender.example"
SCOPES = frozenset(
    ("https://outlook.office365.com/.default", "https://graph.microsoft.com/.default")
)
GOOGLE_SCOPE = "https://mail.google.com/"
NOW = 1_775_540_000.0  # what the fake's clock says
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@cache
def key() -> rsa.RSAPrivateKey:
    """The key of the app and of the service account."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def private_pem() -> str:
    """The same as text."""
    return (
        key()
        .private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        .decode()
    )


@cache
def certificate_pem() -> str:
    """A certificate of the key, signed by itself."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "digest")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key().public_key())
        .serial_number(1)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2036, 1, 1, tzinfo=UTC))
        .sign(key(), hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode()


def account_json() -> str:
    """The key file of a service account; its URL is not ours to believe."""
    return json.dumps(
        {
            "type": "service_account",
            "client_email": ACCOUNT,
            "private_key": private_pem(),
            "token_uri": "https://evil.example/token",
        }
    )


@dataclass
class IdentityServer:
    """Both login servers; start them with `running`.

    Attributes:
        answers: what happens to the requests to come: "error CODE STATUS", "status 503", "html", "drop",
            "hang", or "" for the good answer.
        headers: sent with each of these answers.
        life: `expires_in` of the tokens, which are called token-1, token-2 and so on.
        refusals: why requests were refused by themselves.
    """

    answers: list[str] = field(default_factory=list)
    headers: Mapping[str, str] = field(default_factory=dict)
    life: object = 3600
    issued: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    requests: int = 0
    port: int = 0
    closing: threading.Event = field(default_factory=threading.Event)

    @property
    def hosts(self) -> Mapping[str, str]:
        """What a test gives in place of the real hosts."""
        return dict.fromkeys(("microsoft", "google"), f"http://127.0.0.1:{self.port}")

    def judge(self, path: str, form: Mapping[str, str]) -> tuple[int, dict[str, object]]:
        """Return status and body of the answer to one request."""
        code = _microsoft(form) if path == f"/{TENANT}/oauth2/v2.0/token" else None
        code = _google(form) if path == "/token" else code
        if code is None:
            return 404, {}
        if code:
            self.refusals.append(code)
            words = f"AADSTS7000215: Invalid client secret provided: {form.get('client_secret')}"
            return 401, {"error": code, "error_description": words}
        self.issued.append(f"token-{len(self.issued) + 1}")
        body = {"token_type": "Bearer", "access_token": self.issued[-1], "expires_in": self.life}
        return 200, body


def _microsoft(form: Mapping[str, str]) -> str:
    """Return the code of what is wrong, nothing when all is well."""
    fields = {"grant_type", "client_id", "scope"}
    by_secret, by_key = {"client_secret"}, {"client_assertion_type", "client_assertion"}
    if set(form) - fields not in (by_secret, by_key) or not fields <= set(form):
        return "invalid_request"
    fixed = {"grant_type": "client_credentials", "client_id": CLIENT}
    if not fixed.items() <= form.items() or form["scope"] not in SCOPES:
        wrong = "scope" if form["client_id"] == CLIENT else "client"
        return {"scope": "invalid_scope", "client": "unauthorized_client"}[wrong]
    if "client_secret" in form:
        return "" if form["client_secret"] == SECRET else "invalid_client"
    audience = f"https://login.microsoftonline.com/{TENANT}/oauth2/v2.0/token"
    claims = _claims(form["client_assertion"], "PS256", audience)
    der = ssl.PEM_cert_to_DER_cert(certificate_pem())
    thumbprint = base64.urlsafe_b64encode(hashlib.sha256(der).digest()).decode().rstrip("=")
    named = jwt.get_unverified_header(form["client_assertion"]).get("x5t#S256")
    good = (
        claims.get("iss") == claims.get("sub") == CLIENT
        and "jti" in claims
        and named == thumbprint
        and form["client_assertion_type"] == _ASSERTION_TYPE
    )
    return "" if good else "invalid_client"


def _google(form: Mapping[str, str]) -> str:
    """Likewise."""
    if set(form) == {"grant_type", "client_id", "client_secret", "refresh_token"}:
        if form["grant_type"] != "refresh_token":
            return "unsupported_grant_type"
        if (form["client_id"], form["client_secret"]) != (CLIENT, SECRET):
            return "invalid_client"
        return "" if form["refresh_token"] == REFRESH else "invalid_grant"
    if set(form) != {"grant_type", "assertion"}:
        return "invalid_request"
    if form["grant_type"] != "urn:ietf:params:oauth:grant-type:jwt-bearer":
        return "unsupported_grant_type"
    claims = _claims(form["assertion"], "RS256", "https://oauth2.googleapis.com/token")
    wanted = {"iss": ACCOUNT, "sub": MAILBOX, "scope": GOOGLE_SCOPE}
    return "" if wanted.items() <= claims.items() else "invalid_grant"


def _claims(assertion: str, algorithm: str, audience: str) -> dict[str, object]:
    """Return what a well signed assertion of the present hour says, nothing of any other."""
    try:
        claims: dict[str, object] = jwt.decode(
            assertion,
            key().public_key(),
            algorithms=[algorithm],
            audience=audience,
            options={"verify_exp": False, "verify_iat": False, "verify_nbf": False},
        )
    except jwt.InvalidTokenError:
        return {}
    began, ends = claims.get("iat"), claims.get("exp")
    fits = isinstance(began, int) and isinstance(ends, int) and began <= NOW < ends <= began + 3600
    return claims if fits else {}


def told(
    server: IdentityServer, planned: str, path: str, content_type: str, body: bytes
) -> tuple[int, bytes]:
    """Return status and body of the planned answer, or of the right one."""
    kind, *rest = planned.split(" ")
    if kind == "error":
        said = {"error": rest[0], "error_description": f"with {SECRET} in its words"}
        return int(rest[1]), json.dumps(said).encode()
    if kind == "status":
        return int(rest[0]), b"{}"
    if kind == "html":
        return 200, b"<html>Sign in</html>"
    if kind == "token":
        return 200, json.dumps({"access_token": "two\nlines", "expires_in": 3600}).encode()
    fields = parse_qs(body.decode(), strict_parsing=True)
    form = {name: values[0] for name, values in fields.items() if len(values) == 1}
    right = content_type == "application/x-www-form-urlencoded" and len(form) == len(fields)
    status, answer = server.judge(path, form if right else {})
    return status, json.dumps(answer).encode()


@contextmanager
def running(server: IdentityServer) -> Iterator[IdentityServer]:
    """Serve on a free port of loopback while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

        def do_POST(self) -> None:
            server.requests += 1
            body = self.rfile.read(int(self.headers["Content-Length"]))
            planned = server.answers.pop(0) if server.answers else ""
            if planned in ("drop", "hang"):
                if planned == "hang":
                    server.closing.wait(20)
                self.close_connection = True
                return
            kind = self.headers["Content-Type"]
            self.answer(*told(server, planned, self.path, kind, body))

        def answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            for name, value in server.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        listener.daemon_threads = True
        server.port = listener.server_address[1]
        thread = threading.Thread(target=listener.serve_forever, args=(0.005,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.closing.set()
            listener.shutdown()
            thread.join()

"""Mail over SMTP: one message per recipient, one connection, and never in doubt about what was taken.

smtplib raises the same error for a connection lost before and after the final dot, so its steps are
driven one by one here and the stage decides what an error means.
"""

from __future__ import annotations

import hashlib
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import Enum
from functools import cached_property
from ipaddress import ip_address
from math import inf
from pathlib import Path
from threading import Condition, Thread
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from digest.addresses import ascii_address, mailbox, masked
from digest.errors import DeliveryError, OutcomeUnknownError
from digest.letterhead import Letterhead
from digest.model import Dkim, Envelope, Finding, MailHeaders, Secret
from digest.signing import check_key
from digest.tokens import HOSTS, OAuth, Tokens

if TYPE_CHECKING:
    import smtplib
    import ssl

_SCOPES = {
    "microsoft": "https://outlook.office365.com/.default",
    "google": "https://mail.google.com/",
}
_PORTS = {"starttls": 587, "tls": 465, "none": 25}
_RECONNECTS = 2
_QUIT_SECONDS = 5.0
_LONGEST_REPLY = 300  # characters of a relay's words that are kept
_DONE, _NEVER, _CLOSING = 2, 5, 421
_SELECTOR = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,61}[A-Za-z0-9])?")
# The word in its name keeps it apart from every other header.
_KEY_HEADER = re.compile(r"(?i)(?=.*idempotency)[a-z][a-z0-9-]{0,59}")
_LONGEST_MEMORY = 7 * 24 * 60  # minutes


@dataclass(frozen=True, kw_only=True)
class Timeouts:
    """Seconds; each is a deadline as well, so a server that dribbles bytes cannot hold a run.

    Attributes:
        connect: one TCP connection. setup: from the greeting to the end of the login.
        command: one reply. body: the transfer of a message. transfer: from MAIL to before the final dot.
        reply: the answer to the final dot; RFC 5321 4.5.3.2.6 asks for 10 minutes, less risks an
            unknown outcome.
    """

    connect: float = 15
    setup: float = 90
    command: float = 60
    body: float = 180
    transfer: float = 300
    reply: float = 600

    def __post_init__(self) -> None:
        """Refuse what would outlive a delivery's lease."""
        for name in ("connect", "setup", "command", "body", "transfer", "reply"):
            if getattr(self, name) <= 0:
                msg = f"timeouts.{name}: {getattr(self, name)} must be above 0 seconds"
                raise ValueError(msg)
        for name, most in (("connect", 30), ("setup", 90), ("transfer", 300), ("reply", 600)):
            if getattr(self, name) > most:
                msg = f"timeouts.{name}: {getattr(self, name)} is too long, allowed are {most} seconds"
                raise ValueError(msg)


@dataclass(frozen=True, kw_only=True)
class Smtp(Letterhead):
    """A mail relay and who gets mail through it.

    Attributes:
        security: "starttls" (port 587), "tls" (465), or "none" (25), which is for this machine only
            unless `allow_plaintext` is set. Certificates are always verified.
        mechanism: how to log in; None takes PLAIN, or LOGIN where a server has nothing else.
            "xoauth2" takes `password` as the access token.
        oauth: fetches and renews the access token of the mailbox `username`, instead of a password.
        ca_file: certificate authority of the relay when it is a private one; relative to the settings.
        bounce_address: envelope sender, default the From address.
        dkim: signs with the sender's own key; leave it out where the relay signs.
        local_hostname: what EHLO says, default the sender's domain.
        max_per_connection: messages before a fresh connection.
        max_per_minute: messages that the relay takes from this login: each session spaces its own, and a
            fleet's workers keep it together.
        idempotency_header: header in which the relay looks for a key of the delivery, if it has one.
        idempotency_minutes: how long it remembers a key.
        on_unknown: "resend" hands a message of unknown outcome over once more while its key is remembered.
        folder: where relative paths start; not a setting.
    """

    token_hosts: ClassVar[Mapping[str, str]] = HOSTS

    host: str
    port: int | None = None
    security: Literal["starttls", "tls", "none"] = "starttls"
    allow_plaintext: bool = False
    username: str | None = None
    password: Secret | None = None
    mechanism: Literal["plain", "login", "xoauth2"] | None = None
    oauth: OAuth | None = None
    ca_file: Path | None = None
    bounce_address: str | None = None
    dkim: Dkim | None = None
    local_hostname: str | None = None
    timeouts: Timeouts = field(default_factory=Timeouts)
    max_per_connection: int = 100
    max_per_minute: int | None = None
    idempotency_header: str | None = None
    idempotency_minutes: int | None = None
    on_unknown: Literal["hold", "resend"] = "hold"
    folder: Path = Path()

    def __post_init__(self) -> None:
        """Check addresses, port and security before anything runs."""
        if not self.host.strip():
            raise ValueError("host: is empty, expected the name of the mail relay")
        try:
            self.host.encode("idna")  # as the socket will
        except UnicodeError as error:
            msg = f"host: {self.host!r} is no name that the DNS can have"
            raise ValueError(msg) from error
        if self.port is not None and not 0 < self.port < 2**16:
            msg = f"port: {self.port} is not a port, allowed are 1 to 65535"
            raise ValueError(msg)
        for name in ("max_per_connection", "max_per_minute"):
            most = getattr(self, name)
            if most is not None and most < 1:
                msg = f"{name}: {most} must be 1 or more"
                raise ValueError(msg)
        self._check_login()
        if self.security == "none" and not (self.allow_plaintext or _is_loopback(self.host)):
            msg = (
                f'security: "none" would send mail and password readable to {self.host}; '
                'use "starttls" or "tls", or set allow_plaintext = true if the network is trusted'
            )
            raise ValueError(msg)
        self.check_letterhead(bounce_address=self.bounce_address)
        self._check_idempotency()
        # An empty key is one that could not be read, which has been told already.
        if self.dkim is not None and self.dkim.private_key.reveal():
            self._check_dkim(self.dkim)

    def _check_dkim(self, dkim: Dkim) -> None:
        sender, domain = mailbox(self.sender).domain, dkim.domain.lower()
        if sender != domain and not sender.endswith(f".{domain}"):
            msg = (
                f"dkim.domain: {dkim.domain!r} is not the domain of the sender; "
                f"receivers trust a signature of {sender} or a domain above it"
            )
            raise ValueError(msg)
        if not _SELECTOR.fullmatch(dkim.selector):
            msg = f"dkim.selector: {dkim.selector!r} is no name in the DNS, such as digest2026"
            raise ValueError(msg)
        try:
            check_key(dkim)
        except ValueError as error:
            msg = f"dkim: {error}"
            raise ValueError(msg) from error

    def _check_login(self) -> None:
        if self.oauth is None:
            if (self.username is None) != (self.password is None):
                raise ValueError("username and password belong together: give both or none")
        elif self.username is None or self.password is not None:
            raise ValueError("oauth: needs username, the mailbox, and no password")
        elif self.mechanism not in (None, "xoauth2"):
            msg = f'mechanism: {self.mechanism!r} takes no access token; leave it out or set "xoauth2"'
            raise ValueError(msg)

    def _check_idempotency(self) -> None:
        header, minutes = self.idempotency_header, self.idempotency_minutes
        if header is not None and not _KEY_HEADER.fullmatch(header):
            msg = (
                f"idempotency_header: {header!r} is no such header; example: Resend-Idempotency-Key"
            )
            raise ValueError(msg)
        if (header is None) != (minutes is None):
            raise ValueError(
                "idempotency_header and idempotency_minutes belong together: give both or none"
            )
        if minutes is not None and not 0 < minutes <= _LONGEST_MEMORY:
            msg = f"idempotency_minutes: {minutes}; allowed: 1 to {_LONGEST_MEMORY}"
            raise ValueError(msg)
        if self.on_unknown == "resend" and header is None:
            raise ValueError(
                'on_unknown: "resend" needs a relay that knows its mails again; set idempotency_header'
            )

    @property
    def headers(self) -> MailHeaders:
        """What the mail says of its sender, with this relay's own signature and key."""
        return replace(super().headers, dkim=self.dkim, idempotency_header=self.idempotency_header)

    def remembers(self, envelope: Envelope) -> timedelta | None:
        """Return how long the relay knows this mail again; see `digest.channels.Remembers`.

        A mail that was frozen before the header was set carries no key.
        """
        if self.on_unknown == "hold" or self.idempotency_minutes is None:
            return None
        header = envelope.content.partition(b"\r\n\r\n")[0]
        name = re.escape(f"{self.idempotency_header}: ".encode())
        carries = re.search(rb"(?m)^" + name, header)
        return timedelta(minutes=self.idempotency_minutes) if carries else None

    @cached_property
    def tokens(self) -> Tokens | None:
        """The mailbox's access token, one for all sessions of this process."""
        if self.oauth is None:
            return None
        return Tokens(
            self.oauth,
            scope=_SCOPES[self.oauth.provider],
            mailbox=str(self.username),
            channel="smtp",
            hosts=self.token_hosts,
        )

    @property
    def limits(self) -> Mapping[str, float | None]:
        """The login at the relay, where its rate is known; see `digest.channels.Limited`."""
        if self.max_per_minute is None:
            return {}
        login = hashlib.sha256(f"{self.address} {self.username}".encode()).hexdigest()
        return {f"smtp:{login[:16]}": self.max_per_minute / 60}

    @property
    def address(self) -> str:
        """Host and port, as messages name the relay."""
        return f"{self.host}:{self.used_port}"

    @property
    def used_port(self) -> int:
        """The configured port or the usual one of the chosen security."""
        return self.port or _PORTS[self.security]

    @property
    def envelope_sender(self) -> str:
        """Where bounces go."""
        return ascii_address(self.bounce_address or mailbox(self.sender).address)

    @property
    def hello(self) -> str:
        """The name for EHLO; asking the system can block on DNS and shows container names."""
        return self.local_hostname or mailbox(self.sender).domain

    @contextmanager
    def session(self) -> Iterator[SmtpSession]:
        """Open a session; the relay is contacted at the first delivery."""
        session = SmtpSession(self)
        try:
            yield session
        finally:
            session.end()

    def check(self) -> tuple[Finding, ...]:
        """Connect, log in and say NOOP; no mail is sent."""
        session = SmtpSession(self)
        try:
            return (*session.probe(), *self._advice())
        except DeliveryError as error:
            return (Finding("error", "smtp", str(error)),)
        finally:
            session.end()

    def _advice(self) -> Iterator[Finding]:
        domain = mailbox(self.sender).domain
        if self.dkim is None:
            yield Finding("ok", "smtp", f"the relay should sign mail from {domain} with DKIM")
        else:
            name = f"{self.dkim.selector}._domainkey.{self.dkim.domain}"
            yield Finding("ok", "smtp", f"mails are signed; the public key must stand at {name}")
        if self.thread == "month":
            text = (
                "a month's mails form one conversation: their subject has no verdict, and Gmail "
                "clips long conversations"
            )
            yield Finding("warning", "smtp", text)
        if self.security == "none" and not _is_loopback(self.host):
            text = f"mail to {self.host} travels unencrypted (allow_plaintext)"
            yield Finding("warning", "smtp", text)


class Stage(Enum):
    """How far the conversation has come; from DOT on the message may have been taken."""

    CONNECT = "connecting"
    GREETING = "the greeting"
    EHLO = "EHLO"
    STARTTLS = "STARTTLS"
    TLS = "the TLS handshake"
    AUTH = "the login"
    NOOP = "NOOP"
    RSET = "RSET"
    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    BODY = "the message"
    DOT = "the end of the message"
    DONE = "QUIT"


class SmtpSession:
    """One conversation with a relay; reconnects at most twice."""

    def __init__(self, settings: Smtp) -> None:
        self._settings = settings
        self._smtp: smtplib.SMTP | None = None
        self._stage = Stage.CONNECT
        self._recipient = ""
        self._connections = 0
        self._served = 0
        self._half_done = False
        self._next_at = 0.0  # on the monotonic clock: when the relay takes another message
        self._stopped: DeliveryError | None = None
        self._watchdog = _Watchdog(self._cut)

    def deliver(self, envelope: Envelope, *, commit: Callable[[], bool]) -> str:
        """Send one message; see `digest.channels.Session`."""
        if self._stopped:
            raise self._stopped
        self._recipient = ascii_address(envelope.recipient)
        self._keep_pace()
        smtp = self._begin(envelope)
        self._transfer(smtp, envelope)
        # Without the dot the relay throws the body away, so closing here means: nothing was accepted.
        try:
            owned = commit()
        except BaseException:
            self._close()
            raise
        if not owned:
            self._close()
            raise self._error("another process owns this delivery, so it was not sent from here")
        return self._finish(smtp)

    def _keep_pace(self) -> None:
        per_minute = self._settings.max_per_minute
        if per_minute is None:
            return
        now = monotonic()
        turn = max(self._next_at, now)
        self._next_at = turn + 60 / per_minute
        sleep(turn - now)

    def probe(self) -> Iterator[Finding]:
        """Connect, log in, say NOOP, and yield what was seen."""
        smtp = self._connect()
        with self._before_the_dot(self._settings.timeouts.command):
            self._say(smtp, Stage.NOOP)
        yield Finding("ok", "smtp", f"{self._settings.address} answers: {self._described(smtp)}")

    def end(self) -> None:
        """Say goodbye, and watch over nothing more."""
        self.quit()
        self._watchdog.end()

    def quit(self) -> None:
        """Say goodbye; whatever the relay answers changes nothing any more."""
        import smtplib

        if self._smtp is None:
            return
        if self._stage not in (Stage.BODY, Stage.DOT):
            with suppress(OSError, smtplib.SMTPException), self._watchdog.deadline(_QUIT_SECONDS):
                self._smtp.docmd("QUIT")
        self._close()

    # ------------------------------------------------------------------------------ connection

    def _connect(self) -> smtplib.SMTP:
        """Open, encrypt and log in; a failure concerns every recipient and is not tried again."""
        if self._connections > _RECONNECTS:
            raise self._stop(
                self._error(f"lost {self._connections} connections, giving up for now")
            )
        self._connections += 1
        try:
            return self._logged_in()
        except DeliveryError as error:
            self._close()
            raise self._stop(error) from error

    def _logged_in(self) -> smtplib.SMTP:
        tokens = self._settings.tokens
        if tokens is None:
            password = self._settings.password
            return self._set_up(password.reveal() if password else "")
        # Before connecting: no relay waits while another server is asked.
        token, was_at_hand = tokens.token()
        try:
            return self._set_up(token)
        except DeliveryError as error:
            # A token can end before its time; one that was just fetched and refused will not get better.
            expired = was_at_hand and error.reply.startswith("535")
            if not expired or not tokens.doubt():
                raise
            self._close()
        token, _ = tokens.token()
        return self._set_up(token)

    def _set_up(self, secret: str) -> smtplib.SMTP:
        smtp = self._open()
        with self._before_the_dot(self._settings.timeouts.setup):
            self._converse(smtp, secret)
        return smtp

    def _open(self) -> smtplib.SMTP:
        import smtplib

        settings = self._settings
        self._stage, self._served, self._half_done = Stage.CONNECT, 0, False
        try:
            sock = socket.create_connection(
                (settings.host, settings.used_port), settings.timeouts.connect
            )
        except OSError as error:
            raise self._error(
                f"cannot be reached ({_reason(error)}); check host, port and firewall"
            ) from error
        # Nagle and delayed ACK together cost about 45 ms a mail over TLS; set on the plain socket.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(settings.timeouts.command)
        self._smtp = smtplib.SMTP(local_hostname=settings.hello)
        self._smtp.sock = sock
        self._smtp.file = _WholeLines(sock)
        return self._smtp

    def _converse(self, smtp: smtplib.SMTP, secret: str) -> None:
        if self._settings.security == "tls":
            self._encrypt(smtp)
        self._stage = Stage.GREETING
        self._require(smtp.getreply())
        self._hello(smtp)
        if self._settings.security == "starttls":
            if not smtp.has_extn("starttls"):
                raise self._error(
                    "offers no STARTTLS, so nothing was sent; check host, port and security"
                )
            self._say(smtp, Stage.STARTTLS)
            self._encrypt(smtp)
            self._hello(smtp)
        if self._settings.username is not None:
            self._log_in(smtp, self._settings.username, secret)

    def _hello(self, smtp: smtplib.SMTP) -> None:
        self._stage = Stage.EHLO
        self._require(smtp.ehlo())

    def _encrypt(self, smtp: smtplib.SMTP) -> None:
        """Start TLS with a verified certificate and forget what was said in the clear."""
        self._stage = Stage.TLS
        context = _tls_context(self._settings)
        sock = context.wrap_socket(
            _socket(smtp), server_hostname=self._settings.host, do_handshake_on_connect=False
        )
        smtp.sock = sock
        sock.do_handshake()
        # A new reader: a reply injected before the handshake must not be read after it.
        smtp.file = _WholeLines(sock)
        smtp.ehlo_resp = None
        smtp.esmtp_features = {}
        smtp.does_esmtp = False

    def _log_in(self, smtp: smtplib.SMTP, user: str, password: str) -> None:
        """Try exactly one mechanism: `login()` tries all, so one wrong password locks accounts."""
        import smtplib

        self._stage = Stage.AUTH
        offered = smtp.esmtp_features.get("auth", "").upper().split()
        fallback = "login" if "PLAIN" not in offered and "LOGIN" in offered else "plain"
        if self._settings.oauth is not None:
            fallback = "xoauth2"
        mechanism = (self._settings.mechanism or fallback).upper()
        if mechanism not in offered:
            found = ", ".join(offered) or "no login"
            raise self._error(f"offers {found}, not {mechanism}; check mechanism", permanent=True)
        smtp.user, smtp.password = user, password

        def bearer(challenge: bytes | None = None) -> str:
            # An error comes as a challenge; an empty answer then brings the real refusal.
            return "" if challenge else f"user={user}\1auth=Bearer {password}\1\1"

        answers: dict[str, Any] = {
            "PLAIN": smtp.auth_plain,
            "LOGIN": smtp.auth_login,
            "XOAUTH2": bearer,
        }
        try:
            smtp.auth(mechanism, answers[mechanism])
        except smtplib.SMTPAuthenticationError as error:
            said = error.smtp_error
            words = said.encode() if isinstance(said, str) else said
            raise self._refusal((error.smtp_code, words)) from None

    def _described(self, smtp: smtplib.SMTP) -> str:
        import ssl

        sock, features = smtp.sock, smtp.esmtp_features
        user = self._settings.username
        return ", ".join(
            (
                str(sock.version()) if isinstance(sock, ssl.SSLSocket) else "not encrypted",
                f"logged in as {user}" if user else "no login",
                f"SIZE {features['size']}" if features.get("size") else "no SIZE limit",
                f"mechanisms {features.get('auth', '').strip() or 'none'}",
            )
        )

    # --------------------------------------------------------------------------------- message

    def _begin(self, envelope: Envelope) -> smtplib.SMTP:
        """Say MAIL, on a fresh connection when the one at hand has been closed meanwhile."""
        if self._smtp is not None and self._served >= self._settings.max_per_connection:
            self.quit()
            self._connections -= 1  # planned, so not one of the reconnects
        if self._smtp is None:
            return self._mail(self._connect(), envelope)
        try:
            return self._mail(self._smtp, envelope)
        except DeliveryError:
            if self._smtp is not None:
                raise
            return self._mail(self._connect(), envelope)

    def _mail(self, smtp: smtplib.SMTP, envelope: Envelope) -> smtplib.SMTP:
        size = len(envelope.content)
        limit = smtp.esmtp_features.get("size", "")
        if limit.isdigit() and 0 < int(limit) < size:
            what = f"takes messages up to {limit} bytes, this one has {size}"
            raise self._error(what, permanent=True)
        sender = self._settings.envelope_sender
        parameter = f" SIZE={size}" if smtp.has_extn("size") else ""
        with self._before_the_dot(self._settings.timeouts.command):
            if self._half_done:
                self._say(smtp, Stage.RSET)
            self._half_done = True
            try:
                self._say(smtp, Stage.MAIL, f"FROM:<{sender}>{parameter}")
            except DeliveryError as error:
                if error.permanent:
                    # It is the sender that was refused, so nobody else need be tried.
                    self._stop(
                        self._error(f"refused the sender {sender}: {error.reply}", permanent=True)
                    )
                raise
        return smtp

    def _transfer(self, smtp: smtplib.SMTP, envelope: Envelope) -> None:
        """Say RCPT and DATA and stream the body without the dot: nothing is accepted yet."""
        timeouts = self._settings.timeouts
        with self._before_the_dot(timeouts.transfer):
            self._say(smtp, Stage.RCPT, f"TO:<{self._recipient}>")
            self._say(smtp, Stage.DATA, wanted=3)
            self._stage = Stage.BODY
            sock = _socket(smtp)
            sock.settimeout(timeouts.body)
            sock.sendall(stuffed(envelope.content))

    def _finish(self, smtp: smtplib.SMTP) -> str:
        """Write the dot and read the answer; from here on silence means unknown."""
        import smtplib

        timeouts = self._settings.timeouts
        with self._before_the_dot(timeouts.command):
            sock = _socket(smtp)
            sock.settimeout(timeouts.reply)
        self._stage = Stage.DOT
        try:
            with self._watchdog.deadline(timeouts.reply):
                sock.sendall(b".\r\n")
                reply = smtp.getreply()
        except (OSError, smtplib.SMTPException) as error:
            self._close()
            raise self._unknown(f"no answer ({_reason(error)})") from error
        if reply[0] // 100 in (4, 5):
            raise self._refusal(reply)
        if reply[0] // 100 != _DONE:
            self._close()
            raise self._unknown(f"the unreadable answer {self._shown(reply)}")
        sock.settimeout(timeouts.command)
        self._stage, self._half_done = Stage.DONE, False
        self._served += 1
        return self._shown(reply)

    # --------------------------------------------------------------------------------- replies

    def _say(
        self, smtp: smtplib.SMTP, stage: Stage, argument: str = "", *, wanted: int = _DONE
    ) -> None:
        self._stage = stage
        self._require(smtp.docmd(stage.name, argument), wanted=wanted)

    def _require(self, reply: tuple[int, bytes], *, wanted: int = _DONE) -> None:
        if reply[0] // 100 != wanted:
            raise self._refusal(reply)

    def _refusal(self, reply: tuple[int, bytes]) -> DeliveryError:
        """Return the error of an answer that says no: the relay did not take the message."""
        if reply[0] // 100 not in (4, 5) or reply[0] == _CLOSING:
            self._close()
        shown = self._shown(reply)
        whom = f" {masked(self._recipient)}" if self._recipient else ""
        what = f"refused{whom} at {self._stage.value}: {shown}"
        return self._error(what, permanent=reply[0] // 100 == _NEVER, reply=shown)

    def _shown(self, reply: tuple[int, bytes]) -> str:
        """Return a reply fit for a log: printable, on one line, without the full address."""
        text = " ".join(reply[1].decode("utf-8", "replace").split())[:_LONGEST_REPLY]
        text = "".join(letter if letter.isprintable() else "?" for letter in text)
        if self._recipient:
            text = re.sub(
                re.escape(self._recipient), masked(self._recipient), text, flags=re.IGNORECASE
            )
        return f"{reply[0]} {text}".strip()

    # ---------------------------------------------------------------------------------- errors

    @contextmanager
    def _before_the_dot(self, seconds: float) -> Iterator[None]:
        """Run steps under a deadline; whatever breaks here, nothing was taken."""
        import smtplib

        try:
            with self._watchdog.deadline(seconds):
                yield
        except (OSError, smtplib.SMTPException) as error:
            self._close()
            raise self._error(f"failed at {self._stage.value} ({_reason(error)})") from error

    def _cut(self) -> None:
        if self._smtp is not None and self._smtp.sock is not None:
            with suppress(OSError):
                # The plain method also on a TLS socket, whose own would race with the reader.
                socket.socket.shutdown(self._smtp.sock, socket.SHUT_RDWR)

    def _close(self) -> None:
        if self._smtp is not None:
            self._smtp.close()
            self._smtp = None

    def _error(self, what: str, *, permanent: bool = False, reply: str = "") -> DeliveryError:
        return DeliveryError(
            "smtp", f"{self._settings.address} {what}", permanent=permanent, reply=reply
        )

    def _unknown(self, what: str) -> OutcomeUnknownError:
        text = f"{self._settings.address} had the whole message for {masked(self._recipient)}, then {what}"
        return OutcomeUnknownError("smtp", text)

    def _stop(self, error: DeliveryError) -> DeliveryError:
        """Remember an error that concerns everybody, so that nobody else is tried."""
        what = str(error).removeprefix("smtp: ")
        self._stopped = DeliveryError(
            "smtp",
            what,
            permanent=error.permanent,
            concerns_all=True,
            reply=error.reply,
            retry_after=error.retry_after,
        )
        return self._stopped


class _Watchdog:
    """Acts when a deadline has passed: a socket's own timeout starts anew with every byte.

    One thread for a whole session: to start one for each step costs more than the step.
    """

    def __init__(self, act: Callable[[], None]) -> None:
        self._act = act
        self._changed = Condition()
        self._until: float | None = None
        self._wakes = inf
        self._thread: Thread | None = None
        self._ended = False

    @contextmanager
    def deadline(self, seconds: float) -> Iterator[None]:
        """Act if the block takes longer; one block at a time."""
        with self._changed:
            self._until = monotonic() + seconds
            if self._thread is None:
                self._thread = Thread(target=self._watch, daemon=True)
                self._thread.start()
            elif self._until < self._wakes:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._until = None

    def end(self) -> None:
        """Let the thread go."""
        with self._changed:
            self._ended = True
            self._changed.notify()

    def _watch(self) -> None:
        with self._changed:
            while not self._ended:
                if self._until is not None and monotonic() >= self._until:
                    self._until = None
                    self._act()
                # A later deadline need not wake it: it then goes back to sleep until that one.
                self._wakes = inf if self._until is None else self._until
                self._changed.wait(None if self._wakes == inf else self._wakes - monotonic())


class _WholeLines:
    """The reader that smtplib takes replies from; smtplib itself believes half a line.

    A connection lost after "250" of "250 queued" or of "250-more to come" would count as taken.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._file = sock.makefile("rb")

    def readline(self, limit: int) -> bytes:
        """Return a line with its end, or nothing at the end of the conversation."""
        line = self._file.readline(limit)
        if line and not line.endswith(b"\n") and len(line) < limit:
            raise ConnectionError("the reply was cut off")
        return line

    def close(self) -> None:
        """Let go of the socket."""
        self._file.close()


def stuffed(content: bytes) -> bytes:
    """Return a message as DATA carries it: dots at line starts doubled, a line end at the end.

    Raises:
        ValueError: a line does not end with CRLF; some servers split a message there.
    """
    if not content.count(b"\r") == content.count(b"\n") == content.count(b"\r\n"):
        raise ValueError("a mail's lines must end with CRLF")
    body = (b"." if content.startswith(b".") else b"") + content.replace(b"\r\n.", b"\r\n..")
    return body if body.endswith(b"\r\n") else body + b"\r\n"


def _tls_context(settings: Smtp) -> ssl.SSLContext:
    """Return a context that verifies; without one smtplib accepts any certificate (cpython #91826)."""
    import ssl

    authority = settings.folder / settings.ca_file if settings.ca_file else None
    context = ssl.create_default_context(cafile=authority)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _socket(smtp: smtplib.SMTP) -> socket.socket:
    if smtp.sock is None:  # cut by a deadline between two steps
        raise ConnectionError("the connection is closed")
    return smtp.sock


def _reason(error: BaseException) -> str:
    """Return an error's words, without the number and the source line that OpenSSL adds."""
    text = getattr(error, "verify_message", None) or getattr(error, "strerror", None) or str(error)
    return str(text) or type(error).__name__


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"

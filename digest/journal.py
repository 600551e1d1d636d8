"""A line for each step, for a person with --verbose or for a machine with --json-logs; no secret in either.

The words of the journal are a closed list, control characters are escaped, and a last net takes out every
secret that was loaded, however it is spelled.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, date, datetime
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus, unquote, urlsplit

if TYPE_CHECKING:
    from digest.ledger import Delivery

# What a line may be about. "message" carries what the program or a library says besides, in `text`.
EVENTS = (
    "planned",
    "skipped",
    "collected",
    "held",
    "rendered",
    "claimed",
    "committing",
    "sent",
    "refused",
    "deferred",
    "unknown",
    "expired",
    "resolved",
    "reaped",
    "message",
)
LEVELS = {"held": "warning", "refused": "warning", "unknown": "error", "expired": "error"}
# These print whole addresses of requests, and with them a webhook's secret.
LOUD = ("httpx", "httpcore", "urllib3", "slack_sdk", "requests", "hubspot", "simple_salesforce")
_ORDER = (
    *("ts", "level", "event", "digest", "date", "run", "attempt", "channel", "recipient", "state"),
    *("ms", "host", "pid", "text"),
)
_SHORTEST_SECRET = 4  # shorter ones occur in ordinary words
_A_LINE = 12
_HIDDEN = "***"


# ------------------------------------------------------------------------------------ the last net


class Redactor:
    """Takes every secret it has learned out of a text: plain, URL-encoded, in JSON, and within base64."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._passing: Counter[str] = Counter()
        self._pattern: re.Pattern[str] | None = None
        self._lock = Lock()

    def learn(self, secrets: Iterable[str]) -> None:
        """Remember secrets; what is too short to be told from an ordinary word is left alone."""
        new = {form for secret in secrets for form in spellings(secret)}
        with self._lock:
            if new - self._known:
                self._known |= new
                self._compile()

    @contextmanager
    def knowing(self, secrets: Iterable[str]) -> Iterator[None]:
        """Know secrets while the block runs: of ten thousand digests' keys no pattern could be made."""
        forms = {form for secret in secrets for form in spellings(secret)}
        with self._lock:
            self._passing.update(forms)
            self._compile()
        try:
            yield
        finally:
            with self._lock:
                self._passing -= Counter(forms)
                self._compile()

    def _compile(self) -> None:
        longest_first = sorted(self._known | self._passing.keys(), key=len, reverse=True)
        known = "|".join(map(re.escape, longest_first))
        self._pattern = re.compile(known) if known else None

    def __call__(self, text: str) -> str:
        """Return the text without them."""
        pattern = self._pattern  # another thread may change it
        return pattern.sub(_HIDDEN, text) if pattern else text


# Of this process: what is loaded anywhere must not be printed anywhere.
KNOWN = Redactor()


def spellings(secret: str) -> Iterator[str]:
    """Yield the forms in which a secret, or a telling part of it, can turn up."""
    for part in {*_parts(secret)}:
        yield from (
            part,
            quote(part, safe=""),
            quote(part),
            quote_plus(part),
            json.dumps(part)[1:-1],
        )
        yield from _in_base64(part.encode())


def _parts(secret: str) -> Iterator[str]:
    whole = secret.strip()
    if len(whole) >= _SHORTEST_SECRET:
        yield whole
    # A key file is met line by line; "-----BEGIN ... KEY-----" is the same for everybody.
    lines = whole.splitlines()
    if len(lines) > 1:
        yield from (s for s in map(str.strip, lines) if len(s) >= _A_LINE and s[0] != "-")
    with suppress(ValueError):
        url = urlsplit(whole)
        if url.scheme == "https" and len(url.path) >= _A_LINE:  # what is secret in a webhook
            yield url.path
        if url.password and len(url.password) >= _SHORTEST_SECRET:
            yield unquote(url.password)


def _in_base64(secret: bytes) -> Iterator[str]:
    """Yield what stays the same in base64 whatever stands before and after, for each of three offsets."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(secret).decode()
        for offset in range(3):
            whole = encode(b"\0" * offset + secret).decode().rstrip("=")
            start = -(-offset * 8 // 6)
            end = (offset + len(secret)) * 8 // 6
            if len(core := whole[start:end]) >= 2 * _SHORTEST_SECRET:
                yield core


def secrets_in(value: object) -> Iterator[str]:
    """Yield every secret that settings or adapters hold, however deep."""
    from digest.model import Secret

    if isinstance(value, Secret):
        yield value.reveal()
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            yield from secrets_in(getattr(value, field.name, None))
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from secrets_in(inner)
    elif isinstance(value, tuple | list | frozenset | set):
        for inner in value:
            yield from secrets_in(inner)


# ----------------------------------------------------------------------------------------- the journal


@dataclass(frozen=True, kw_only=True)
class Journal:
    """Writes lines for one process.

    Attributes:
        write: takes a finished line; whatever it raises is left aside, a log decides nothing.
        steps: steps are written as well, not only messages. as_json: an object a line.
    """

    write: Callable[[str], None]
    clock: Callable[[], datetime]
    host: str
    pid: int
    steps: bool = False
    as_json: bool = False
    redact: Callable[[str], str] = KNOWN

    def of(self, digest: str, business_date: date, run: str) -> RunJournal:
        """Return the journal of one edition."""
        return RunJournal(self, {"digest": digest, "date": business_date.isoformat(), "run": run})

    def message(self, level: str, text: str) -> None:
        """Write what the program or a library says."""
        if self.as_json:
            self.line("message", {"level": level, "text": text})
        else:
            prefix = "" if level == "info" else f"{level}: "
            with suppress(OSError, ValueError):
                self.write(self.redact(f"{prefix}{escaped(text)}"))

    def line(self, event: str, facts: Mapping[str, object]) -> None:
        """Write one line about an event of EVENTS."""
        if event not in EVENTS:
            msg = f"{event!r} is no event of the journal"
            raise ValueError(msg)
        with suppress(OSError, ValueError):  # a closed or broken stderr must not end a delivery
            self._logger().info(event, **facts)

    def _logger(self) -> Any:  # noqa: ANN401 - structlog's wrappers are typed so
        import structlog

        return structlog.wrap_logger(
            _Lines(self.write),
            processors=[self._stamp, _in_order, self._written],
            wrapper_class=structlog.make_filtering_bound_logger(0),
            cache_logger_on_first_use=False,
        )

    def _stamp(self, _logger: object, _name: str, facts: MutableMapping[str, Any]) -> Any:  # noqa: ANN401 - as structlog declares it
        now = self.clock().astimezone(UTC)
        facts["ts"] = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        facts.setdefault("level", LEVELS.get(facts["event"], "info"))
        facts["host"], facts["pid"] = self.host, self.pid
        return facts

    def _written(self, _logger: object, _name: str, facts: MutableMapping[str, Any]) -> str:
        return self.redact(json.dumps(facts) if self.as_json else _for_a_person(facts))


class RunJournal:
    """The journal of one edition; each line says how long it took since the one before."""

    def __init__(self, journal: Journal, facts: Mapping[str, object]) -> None:
        self._journal = journal
        self._facts = facts
        self._last = monotonic()

    def step(self, event: str, row: Delivery | None = None) -> None:
        """Write a step, with its delivery where it has one."""
        now = monotonic()
        spent, self._last = round((now - self._last) * 1000), now
        if not self._journal.steps:
            return
        about = {} if row is None else _about(row)
        self._journal.line(event, {**self._facts, **about, "ms": spent})


def _about(row: Delivery) -> dict[str, object]:
    return {
        "attempt": row.attempts,
        "channel": row.channel,
        "recipient": hashed(row.recipient),
        "state": str(row.state),
    }


def hashed(recipient: str) -> str:
    """Return what stands for an address in a log: the same each day, and no address."""
    return hashlib.sha256(recipient.encode()).hexdigest()[:12]


class _Lines:
    """What structlog takes for a logger."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self.info = write


def _in_order(_logger: object, _name: str, facts: MutableMapping[str, Any]) -> Any:  # noqa: ANN401 - as structlog declares it
    return {name: facts[name] for name in _ORDER if name in facts}


def _for_a_person(facts: Mapping[str, Any]) -> str:
    what = (
        f"{facts['ts'][11:]} {facts['event']:<10} {facts.get('digest', '')} {facts.get('date', '')}"
    )
    if "channel" in facts:
        what += f" {facts['channel']} {facts['recipient']} attempt {facts['attempt']}"
    return escaped(f"{what} +{facts['ms']} ms" if "ms" in facts else what)


def escaped(text: str) -> str:
    """Return text whose control characters are visible and steer nothing."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


# -------------------------------------------------------------------------------------------- libraries


class FromLibraries(logging.Handler):
    """Brings warnings of the standard library's logging into the journal."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(logging.WARNING)
        self._journal = journal

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record without its traceback."""
        with suppress(Exception):  # as every handler of `logging`: a bad record ends nothing
            self._journal.message(record.levelname.casefold(), record.getMessage())


def listen_to_libraries(journal: Journal) -> None:
    """Let warnings of libraries come through the journal, and keep those silent that print addresses."""
    root = logging.getLogger()
    for handler in [one for one in root.handlers if isinstance(one, FromLibraries)]:
        root.removeHandler(handler)
    root.addHandler(FromLibraries(journal))
    for name in LOUD:
        logging.getLogger(name).setLevel(logging.WARNING)

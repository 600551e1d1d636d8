"""The address of a page is its whole state: read strictly, written back without what is the default."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date
from typing import Any
from urllib.parse import quote, urlencode

TABS = ("email", "text", "slack", "teams", "headers", "source")
DARK = ("no", "author", "forced")
WIDTHS = (600, 375, 320)
NARROWEST, WIDEST = 240, 1600


class NotAllowedError(Exception):
    """A value in the address that no page has: what was found and what is allowed."""

    def __init__(self, key: str, found: str, allowed: str) -> None:
        super().__init__(f"{key}: found {found[:80]!r}; allowed: {allowed}")
        self.key, self.found, self.allowed = key, found[:80], allowed


class UnknownError(Exception):
    """A digest, edition or figure that is not there, and the ones that are."""

    def __init__(self, what: str, found: str, known: Sequence[str]) -> None:
        listed = ", ".join(known[:40]) or "none"
        super().__init__(f"{what}: found {found[:80]!r}; allowed: {listed}")
        self.what, self.found, self.known = what, found[:80], tuple(known)


@dataclass(frozen=True, slots=True)
class View:
    """What is looked at, and how.

    Attributes:
        date: the business date; None for the latest.
        correction: number of the correction of that date; 0 for the edition that was sent first.
        scenario: name of a scenario instead of the digest's own edition.
        locale: language of the edition; None for the recipient's.
        recipient: number of the recipient among all of the digest's, from 1.
        tab: which form of the edition.
        w: width of the frame in CSS pixels.
        dark: "author" for the mail's own dark styles, "forced" for a client that inverts.
        images: "off" shows what a reader sees before allowing pictures.
        explain: every number is a link to where it comes from.
        masked: recipients' addresses are masked.
        compare: another language, date or edition beside it: (key of a view, value).
        ui: language of the pages themselves; None for the digest's.
    """

    date: date | None = None
    correction: int = 0
    scenario: str | None = None
    locale: str | None = None
    recipient: int = 1
    tab: str = "email"
    w: int = 600
    dark: str = "no"
    images: str = "on"
    explain: bool = False
    masked: bool = True
    compare: tuple[str, Any] | None = None
    ui: str | None = None

    @property
    def beside(self) -> View | None:
        """The same look at what this view is compared with, None when it is with nothing."""
        if self.compare is None:
            return None
        key, value = self.compare
        changes = {"correction": 0, key: value} if key == "date" else {key: value}
        return replace(self, compare=None, **changes)

    def query(self, **changes: Any) -> str:  # noqa: ANN401 - fields of View
        """Return the query string of this view with some fields changed, "" when all are the defaults.

        A correction belongs to its date: another date or a scenario leaves it behind.
        """
        if changes.keys() & {"date", "scenario"}:
            changes = {"correction": 0, **changes}
        changed = replace(self, **changes)
        pairs = [
            (field.name, _written(getattr(changed, field.name)))
            for field in fields(changed)
            if getattr(changed, field.name) != field.default
        ]
        return f"?{urlencode(pairs)}" if pairs else ""


def path_of(digest: str, *parts: str) -> str:
    """Return the path of a digest's page."""
    return "/" + "/".join(quote(part, safe="") for part in ("d", digest, *parts) if part)


def _written(value: object) -> str:
    if isinstance(value, tuple):
        return ":".join(map(_written, value))
    if isinstance(value, bool):
        return "1" if value else "0"
    return str(value)


def view_of(query: Sequence[tuple[str, str]], *, allowed: Mapping[str, Sequence[str]]) -> View:
    """Read the state of a page.

    Args:
        query: pairs of the query string; keys that no view has belong to the page. An empty one of
            `_OPTIONAL` is what a form sends when nothing is chosen.
        allowed: values of "scenario", "locale" and "ui".

    Raises:
        NotAllowedError: a value that is not allowed, or a key given twice.
    """
    names = [key for key, _ in query if key in _READ]
    for name in names:
        if names.count(name) > 1:
            raise NotAllowedError(name, "the key twice", "each key once")
    return View(
        **{
            key: _READ[key](key, text, allowed)
            for key, text in query
            if key in _READ and (text or key not in _OPTIONAL)
        }
    )


Read = Callable[[str, str, Mapping[str, Sequence[str]]], Any]


def _date(key: str, text: str, _allowed: Mapping[str, Sequence[str]]) -> date:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.isoformat() != text:
        raise NotAllowedError(key, text, "a date like 2026-06-15")
    return found


def _one_of(*values: str) -> Read:
    def read(key: str, text: str, allowed: Mapping[str, Sequence[str]]) -> str:
        choice = values or tuple(allowed["locale" if key == "compare" else key])
        if text not in choice:
            raise NotAllowedError(key, text, ", ".join(choice) or "none here")
        return text

    return read


def _whole(lowest: int, highest: int) -> Read:
    def read(key: str, text: str, _allowed: Mapping[str, Sequence[str]]) -> int:
        plain = text.isascii() and text.isdigit() and len(text) <= len(str(highest))
        if not plain or not lowest <= int(text) <= highest:
            raise NotAllowedError(key, text, f"a whole number from {lowest} to {highest}")
        return int(text)

    return read


def _flag(key: str, text: str, _allowed: Mapping[str, Sequence[str]]) -> bool:
    if text not in ("0", "1"):
        raise NotAllowedError(key, text, "0, 1")
    return text == "1"


def _comparison(key: str, text: str, allowed: Mapping[str, Sequence[str]]) -> tuple[str, Any]:
    what, _, value = text.partition(":")
    if what not in _COMPARED:
        examples = ", ".join(_COMPARED.values())
        raise NotAllowedError(key, text, f"one of {', '.join(_COMPARED)}, as in {examples}")
    try:
        return what, _READ[what](key, value, allowed)
    except NotAllowedError as error:
        raise NotAllowedError(key, text, error.allowed) from error


_OPTIONAL = frozenset(("scenario", "compare"))
_COMPARED = {"locale": "locale:fr", "date": "date:2026-06-15", "correction": "correction:1"}


def refuse_other_keys(query: Sequence[tuple[str, str]], keys: Sequence[str]) -> None:
    """Refuse a query string that holds something else than a view and some keys, each once.

    Raises:
        NotAllowedError: at the first such key.
    """
    allowed = (*_READ, *keys)
    names = [name for name, _ in query]
    for name, text in query:
        if name not in allowed:
            raise NotAllowedError("key", name, ", ".join(allowed))
        if not text:
            raise NotAllowedError(name, text, "a value")
        if names.count(name) > 1:
            raise NotAllowedError(name, "the key twice", "each key once")


_READ: Mapping[str, Read] = {
    "date": _date,
    "correction": _whole(0, 9999),
    "scenario": _one_of(),
    "locale": _one_of(),
    "recipient": _whole(1, 9999),
    "tab": _one_of(*TABS),
    "w": _whole(NARROWEST, WIDEST),
    "dark": _one_of(*DARK),
    "images": _one_of("on", "off"),
    "explain": _flag,
    "masked": _flag,
    "compare": _comparison,
    "ui": _one_of(),
}

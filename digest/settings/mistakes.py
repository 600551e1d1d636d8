"""Turns what is wrong with a configuration into sentences: file, line, key, found, allowed, nearest name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, time
from decimal import Decimal
from pathlib import Path as FilePath
from typing import Any

from pydantic import ValidationError

from digest.errors import ConfigError, nearest
from digest.model import Secret
from digest.settings.lines import Path, line_of

REFERENCE_INSTEAD = (
    'write where it is kept instead: { env = "NAME" }, { file = "path" } or '
    '{ keyring = "service/user" }'
)
KEPT_IN = ("env", "file", "keyring")
PASSWORD_IN_URL = re.compile(r"(?<=://)([^/\s:@'\"]*):[^\s'\"]*@")
_LONGEST_PATH = 300
_SECRET_NAME = re.compile(
    r"password|passwd|secret|token|webhook|private|credential|api_?key", re.IGNORECASE
)
_MANY = 50
_SHORTEST_SECRET = 4  # hiding shorter words would only make the messages unreadable


@dataclass
class Mistakes:
    """The mistakes of one file, gathered while it is read.

    Attributes:
        name: the file as the reader knows it.
        lines: line of each key, from `key_lines`.
        hidden: words that no message may contain.
        unresolved: keys whose secret reference leads nowhere, which is noted already.
        inherited: the file from which the keys `taken` come, None for none.
    """

    name: str
    lines: Mapping[Path, int] = field(default_factory=lambda: {(): 1})
    hidden: set[str] = field(default_factory=set, repr=False)
    unresolved: set[Path] = field(default_factory=set)
    found: list[tuple[Path, str]] = field(default_factory=list, repr=False)
    warned: list[tuple[Path, str]] = field(default_factory=list, repr=False)
    inherited: Mistakes | None = None
    taken: frozenset[Path] = frozenset()

    def add(self, path: Path, what: str) -> None:
        """Note a mistake at a key; `what` is the rest of the sentence."""
        self.found.append((path, what))

    def add_about(self, at: Path, words: str, data: Mapping[str, object]) -> None:
        """Note a sentence that may begin with the key it concerns ("table: ...") in the table at `at`."""
        key, colon, rest = words.partition(": ")
        if colon and key in data:
            if (*at, key) not in self.unresolved:
                self.add((*at, key), rest)
        else:
            self.add(at, words)

    def warn(self, path: Path, what: str) -> None:
        """Note something that works but deserves a look."""
        self.warned.append((path, what))

    @property
    def warnings(self) -> tuple[str, ...]:
        """The warnings as sentences, in the order of the file."""
        return self._sentences(self.warned)

    def error(self) -> ConfigError | None:
        """Return all mistakes as one error, in the order of the file; None when there is none."""
        return ConfigError(*self._sentences(self.found)) if self.found else None

    def _sentences(self, notes: Sequence[tuple[Path, str]]) -> tuple[str, ...]:
        """Return "digest.toml, line 12, connector.table: what" for the first fifty notes."""
        ordered = sorted(dict.fromkeys(notes), key=lambda note: self._where(note[0])[1:])
        sentences = [self._sentence(path, what) for path, what in ordered[:_MANY]]
        if rest := len(ordered) - len(sentences):
            sentences.append(f"{self.name}: and {rest:,} more")
        return tuple(dict.fromkeys(sentences))

    def _sentence(self, path: Path, what: str) -> str:
        name, _, line = self._where(path)
        place = f"{name}, line {line}"
        return self._clean(": ".join((f"{place}, {dotted(path)}" if path else place, what)))

    def _where(self, path: Path) -> tuple[str, bool, int]:
        """Return the file in which a path stands, whether it is the inherited one, and the line."""
        above = self.inherited
        if above is not None and any(path[:n] in self.taken for n in range(1, len(path) + 1)):
            return above.name, True, line_of(above.lines, path)
        return self.name, False, line_of(self.lines, path)

    def take_over(self, other: Mistakes, taken: Iterable[Path]) -> None:
        """Let what stands at some paths be that of another file."""
        self.inherited, self.taken = other, frozenset(taken)
        self.hidden |= other.hidden

    def inherited_lines(self) -> Mapping[Path, int]:
        """Return the lines of what came from the other file."""
        lines = self.inherited.lines if self.inherited else {}
        return {
            path: line
            for path, line in lines.items()
            if any(path[:n] in self.taken for n in range(1, len(path) + 1))
        }

    def _clean(self, text: str) -> str:
        for word in sorted(self.hidden, key=len, reverse=True):
            text = text.replace(word, "***")
        text = PASSWORD_IN_URL.sub(r"\1:***@", text)
        return "".join(letter if letter.isprintable() else " " for letter in text)

    def hide(self, value: object) -> None:
        """Keep a value, and everything in it, out of every message."""
        match value:
            case Secret():
                self.hide(value.reveal())
            case str() if len(value.strip()) >= _SHORTEST_SECRET:
                self.hidden.add(value.strip())
            case Mapping():
                for inner in value.values():
                    self.hide(inner)
            case list() | tuple():
                for inner in value:
                    self.hide(inner)
            case _:
                pass


def dotted(path: Path) -> str:
    """Return a path as people write it: connector.table, segments[2].name (counted from 1)."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part + 1}]"
        else:
            bare = re.fullmatch(r"[A-Za-z0-9_-]+", part)
            text += ("." if text else "") + (clip(part) if bare else f'"{clip(part)}"')
    return text


def clip(text: str, longest: int = 60) -> str:
    """Return a text short enough to quote."""
    return text if len(text) <= longest else text[: longest - 3] + "..."


def shown(value: object) -> str:
    """Return a found value as a reader would write it; a secret or a table is only named."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return repr(clip(value))
    if isinstance(value, int | Decimal | date | time):
        return clip(str(value))
    kinds: Mapping[type, str] = {Secret: "a secret reference", dict: "a table", list: "a list"}
    return kinds.get(type(value), f"a {type(value).__name__}")


def names_a_secret(key: str) -> bool:
    """Tell whether a key sounds as if its value were secret."""
    return _SECRET_NAME.search(key) is not None


def unknown(name: str, known: Sequence[str], what: str = "setting") -> str:
    """Return the sentence for a name that does not exist."""
    allowed = f"allowed: {', '.join(known)}" if known else "there is none yet"
    hint = nearest(clip(name), known) or ";"
    return f"no {what} {clip(name)!r}{hint} {allowed}"


# -------------------------------------------------------------------------------- pydantic's errors


def add_validation_error(
    mistakes: Mistakes,
    error: ValidationError,
    *,
    data: Mapping[str, object],
    at: Path,
    known: Mapping[Path, Sequence[str]],
) -> None:
    """Note every mistake pydantic found in the table `data`, which stands at `at`.

    `known` are the allowed keys by path within the table, for the nearest name.
    """
    grouped: dict[Path, list[Mapping[str, Any]]] = {}
    for entry in error.errors(include_url=False):
        path = _path_in(data, entry["loc"], missing=entry["type"] in _ABSENT)
        grouped.setdefault(path, []).append(dict(entry))
    for path, entries in grouped.items():
        if len(mistakes.found) > 2 * _MANY:
            return  # nobody reads them, and finding the nearest name takes its time
        first = entries[0]
        if first["type"] == "value_error":
            mistakes.add_about((*at, *path), str(first["ctx"]["error"]), _value_at(data, path))
        else:
            mistakes.add(*_one(path, entries, at=at, known=known, mistakes=mistakes))


def _one(
    path: Path,
    entries: Sequence[Mapping[str, Any]],
    *,
    at: Path,
    known: Mapping[Path, Sequence[str]],
    mistakes: Mistakes,
) -> tuple[Path, str]:
    first = entries[0]
    kind, found = str(first["type"]), first["input"]
    if kind in _UNKNOWN:
        return (*at, *path), unknown(str(path[-1]), _keys_at(known, path[:-1]))
    if kind in _MISSING:
        return (*at, *path[:-1]), f"the setting {str(path[-1])!r} is missing"
    if isinstance(found, str) and any(_is_secret(entry) for entry in entries):
        mistakes.hide(found)
        return (*at, *path), f"the secret itself stands in the file; {REFERENCE_INSTEAD}"
    if isinstance(found, Mapping) and len(found) == 1 and any(map(_is_secret, entries)):
        return (*at, *path), unknown(str(next(iter(found))), KEPT_IN, "place of a secret called")
    allowed = " or ".join(dict.fromkeys(filter(None, map(_allowed, entries))))
    masked = path and names_a_secret(str(path[-1])) and isinstance(found, str | int | Decimal)
    what = "a secret" if masked else shown(found)
    return (*at, *path), f"found {what}{_nearest_choice(first) or ';'} allowed: {allowed}"


def _is_secret(entry: Mapping[str, Any]) -> bool:
    return bool(entry.get("ctx", {}).get("class") == "Secret")


def _value_at(data: Mapping[str, object], path: Path) -> Mapping[str, object]:
    here: object = data
    for part in path:
        here = here[part]  # type: ignore[index] # the path was found in the data
    return here if isinstance(here, Mapping) else {}


_UNKNOWN = {"unexpected_keyword_argument", "extra_forbidden"}
_MISSING = {"missing", "missing_argument", "missing_keyword_only_argument"}
_ABSENT = _UNKNOWN | _MISSING
_WRONG_KIND = ("type", "parsing", "from_float", "exact", "required", "number", "format", "size")
_WORDS = {
    "string": "a text in quotes",
    "int": "a whole number",
    "float": "a number",
    "decimal": "a number",
    "finite": "a finite number",
    "bool": "true or false",
    "date": "a date such as 2026-11-23",
    "datetime": "a date and time such as 2026-11-23T07:30:00Z",
    "time": "a time such as 07:30:00",
    "tuple": "a list [ ... ]",
    "list": "a list [ ... ]",
    "frozen": "a list [ ... ]",
    "set": "a list [ ... ]",
    "dict": "a table { ... }",
    "mapping": "a table { ... }",
    "dataclass": "a table { ... }",
    "model": "a table { ... }",
    "path": "a path in quotes",
    "none": "nothing",
}


def _allowed(entry: Mapping[str, Any]) -> str:
    kind = str(entry["type"])
    context = entry.get("ctx", {})
    if kind in {"literal_error", "enum"}:
        return str(context["expected"])
    if kind == "is_instance_of":
        if context.get("class") == "Secret":
            return 'a secret reference such as { env = "NAME" }'
        return str(context.get("class", ""))
    noun, _, fault = kind.partition("_")
    if noun in _WORDS and fault.endswith(_WRONG_KIND):
        return _WORDS[noun]
    message = str(entry["msg"])
    return message.removeprefix("Input should be ").removeprefix("Value error, ")


def _nearest_choice(entry: Mapping[str, Any]) -> str:
    if entry["type"] != "literal_error" or not isinstance(entry["input"], str):
        return ""
    return nearest(clip(entry["input"]), re.findall(r"'([^']*)'", str(entry["ctx"]["expected"])))


def _path_in(data: object, loc: Iterable[str | int], *, missing: bool) -> Path:
    """Return the part of pydantic's path that exists in the data; it also names union members."""
    parts = list(loc)
    path: list[str | int] = []
    for number, part in enumerate(parts):
        found, inner = _step(data, part)
        if found:
            data = inner
        if found or (missing and number == len(parts) - 1):
            path.append(part)
    return tuple(path)


def _step(data: object, part: str | int) -> tuple[bool, object]:
    if isinstance(data, Mapping) and part in data:
        return True, data[part]
    if isinstance(data, list | tuple) and isinstance(part, int) and part < len(data):
        return True, data[part]
    return False, None


def _keys_at(known: Mapping[Path, Sequence[str]], path: Path) -> Sequence[str]:
    """Return the allowed keys of a table; any list entry stands for all."""
    return known.get(tuple(part for part in path if not isinstance(part, int)), ())


def file_problem(path: FilePath, error: OSError) -> str:
    """Return why a file cannot be read, in one phrase."""
    name = clip(str(path), _LONGEST_PATH)
    match error:
        case FileNotFoundError():
            return f"{name} does not exist"
        case IsADirectoryError():
            return f"{name} is a folder, not a file"
        case PermissionError():
            return f"{name} may not be read by this user; check its permissions"
        case _:
            return f"{name} cannot be read: {error.strerror or error}"


def paths_in(document: object, *, deepest: int) -> Iterator[tuple[Path, object]]:
    """Yield every path of a document with its value, down to one level below `deepest`."""
    todo: list[tuple[Path, object]] = [((), document)]
    while todo:
        path, here = todo.pop()
        yield path, here
        if len(path) > deepest:
            continue
        if isinstance(here, Mapping):
            todo.extend(((*path, str(key)), inner) for key, inner in here.items())
        elif isinstance(here, list | tuple):
            todo.extend(((*path, index), inner) for index, inner in enumerate(here))

"""On which line of a TOML text each key stands, since `tomllib` does not say."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress

Path = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"""(?:"{0,2})'  # up to two quotes may stand before the closing three
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}#\n]+")


def key_lines(text: str) -> Mapping[Path, int]:
    """Return the line of every key, table and list entry of a text that `tomllib` has accepted.

    A path is ("connector", "table") or ("segments", 1, "name"). What cannot be found is left out, so a
    caller falls back to the nearest known parent. () is line 1.
    """
    scanner = _Scanner(text)
    # What was found up to an error is right; a line number is not worth a second failure.
    with suppress(RecursionError, _LostError):
        scanner.document()
    return scanner.lines


def line_of(lines: Mapping[Path, int], path: Path) -> int:
    """Return the line of a path, or of its nearest parent that has one."""
    while path not in lines:
        path = path[:-1]
    return lines[path]


class _LostError(Exception):
    """The text is not what the scanner takes it for."""


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text.replace("\r\n", "\n")
        self.at = 0
        self.lines: dict[Path, int] = {(): 1}
        self._counts: dict[Path, int] = {}
        self._line = 1
        self._counted = 0

    def document(self) -> None:
        table: Path = ()
        while self._after_blank():
            if self.text.startswith("[", self.at):
                table = self._header()
            else:
                self._pair(table)

    def _header(self) -> Path:
        many = self.text.startswith("[[", self.at)
        line = self._line_here()
        self.at += 2 if many else 1
        parts = list(self._keys())
        self._expect("]]" if many else "]")
        path: Path = ()
        for part in parts[:-1]:
            path = self._last((*path, part))
            self.lines.setdefault(path, line)
        path = (*path, parts[-1])
        if not many:
            path = self._last(path)
            self.lines[path] = line
            return path
        self.lines.setdefault(path, line)
        self._counts[path] = self._counts.get(path, -1) + 1
        path = (*path, self._counts[path])
        self.lines[path] = line
        return path

    def _last(self, path: Path) -> Path:
        """Return the entry a path means: of a list of tables the newest."""
        return (*path, self._counts[path]) if path in self._counts else path

    def _pair(self, table: Path) -> None:
        line = self._line_here()
        path = table
        for part in self._keys():
            path = (*path, part)
            self.lines.setdefault(path, line)
        self._expect("=")
        self._value(path)

    def _value(self, path: Path) -> None:
        self._skip(_SPACE)
        opening = self.text[self.at : self.at + 1]
        if opening == "[":
            self._array(path)
        elif opening == "{":
            self._inline_table(path)
        elif opening in {'"', "'"}:
            self._take(_STRING)
        else:
            self._take(_SCALAR)

    def _array(self, path: Path) -> None:
        self.at += 1
        index = 0
        while self._after_blank() and not self._passed("]"):
            self.lines[(*path, index)] = self._line_here()
            self._value((*path, index))
            index += 1
            self._after_blank()
            self._passed(",")

    def _inline_table(self, path: Path) -> None:
        self.at += 1
        while self._after_blank() and not self._passed("}"):
            self._pair(path)
            self._after_blank()
            self._passed(",")

    def _keys(self) -> Iterator[str]:
        while True:
            self._skip(_SPACE)
            if self.text[self.at : self.at + 1] in {'"', "'"}:
                yield str(tomllib.loads(f"key = {self._take(_STRING)}")["key"])
            else:
                yield self._take(_BARE_KEY)
            self._skip(_SPACE)
            if not self._passed("."):
                return

    # ------------------------------------------------------------------------------- small steps

    def _after_blank(self) -> bool:
        """Pass over blanks, line ends and comments; False at the end of the text."""
        self._skip(_BLANK)
        return self.at < len(self.text)

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self.text, self.at)
        self.at = match.end() if match else self.at

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.at)
        if match is None or not match.group():
            raise _LostError
        self.at = match.end()
        return match.group()

    def _passed(self, token: str) -> bool:
        if not self.text.startswith(token, self.at):
            return False
        self.at += len(token)
        return True

    def _expect(self, token: str) -> None:
        self._skip(_SPACE)
        if not self._passed(token):
            raise _LostError

    def _line_here(self) -> int:
        self._line += self.text.count("\n", self._counted, self.at)
        self._counted = self.at
        return self._line

"""Reads a TOML file into plain values that are safe to work with, or says on which line it is broken."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path as FilePath

from digest.errors import ConfigError, nearest
from digest.settings.lines import Path, key_lines
from digest.settings.mistakes import Mistakes, clip, file_problem, names_a_secret, paths_in

LARGEST = 256 * 1024
DEEPEST = 20
_LONGEST_TEXT = 20_000
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_MOST_ENTRIES = 5_000
_MOST_DOTS = 100
_LONGEST_NUMBER = 40
_HIGHEST = 2**63
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'|#.*")
_KEY_TUPLE, _KEY = re.compile(r"\(('.*)\)"), re.compile(r"'([^']*)'")
_PLACE = re.compile(r" \(at line (\d+), column (\d+)\)$| \(at end of document\)$")


class _NumberError(ValueError):
    """A number that nobody means."""


def read(path: FilePath) -> tuple[Mapping[str, object], Mistakes]:
    """Return the document and the place to note its mistakes.

    Raises:
        ConfigError: the file cannot be read, or is no TOML.
    """
    text = _text(path)
    _refuse_endless_keys(path, text)
    document = _parsed(path, text)
    mistakes = Mistakes(str(path), key_lines(text))
    for at, value in paths_in(document, deepest=DEEPEST):
        if at and names_a_secret(str(at[-1])) and not isinstance(value, Mapping):
            mistakes.hide(value)
    for at, value in paths_in(document, deepest=DEEPEST):
        _check_value(at, value, mistakes)
    if error := mistakes.error():
        raise error
    return document, mistakes


def _text(path: FilePath) -> str:
    try:
        if path.is_fifo():  # opening one would wait for a writer that may never come
            raise ConfigError(f"config file {path} is a pipe; write the settings into a file")
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        problem = (
            file_problem(path, error) if isinstance(error, OSError) else f"{path!r} is no file name"
        )
        raise ConfigError(f"config file {problem}{_way_out(path, error)}") from error
    if len(raw) > LARGEST:
        raise ConfigError(f"{path}: the file is too large; allowed: {LARGEST:,} bytes")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{path}, line {line}: byte 0x{raw[error.start]:02x} is not UTF-8; "
            "save the file with the encoding UTF-8"
        ) from error


def _way_out(path: FilePath, error: Exception) -> str:
    match error:
        case FileNotFoundError():
            beside = [other.name for other in path.parent.glob("*.toml")]
            return nearest(path.name, beside) or "; `digest init` writes one"
        case IsADirectoryError():
            return "; name one of the files in it"
        case _:
            return ""


def _parsed(path: FilePath, text: str) -> Mapping[str, object]:
    try:
        return tomllib.loads(text, parse_float=_decimal)
    except _NumberError as error:
        line = text.count("\n", 0, max(text.find(str(error)), 0)) + 1
        raise ConfigError(
            f"{path}, line {line}: found the number {clip(str(error))}; "
            f"allowed: finite numbers of at most {_LONGEST_NUMBER} digits"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(_syntax_error(path, text, str(error))) from error
    except RecursionError as error:
        raise ConfigError(
            f"{path}: lists or tables lie too deep in one another; allowed: {DEEPEST} levels"
        ) from error
    except ValueError as error:  # int() refuses over 4,300 digits; dates out of range
        raise ConfigError(
            f"{path}: a number or date is out of range ({clip(str(error))})"
        ) from error


def _refuse_endless_keys(path: FilePath, text: str) -> None:
    """Refuse a.a.a.a... before tomllib spends a minute on it: its time grows with the square."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.count(".") > _MOST_DOTS and _QUOTED.sub("", line).count(".") > _MOST_DOTS:
            raise ConfigError(
                f"{path}, line {number}: a line with more than {_MOST_DOTS} dots outside quotes is "
                "not a setting; break it up"
            )


def _decimal(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise _NumberError(text) from None
    # 1e999999999 is short to write and takes the machine's memory as an exact fraction.
    if not number.is_finite() or abs(number.adjusted()) > _LONGEST_NUMBER:
        raise _NumberError(text)
    if len(number.as_tuple().digits) > _LONGEST_NUMBER:
        raise _NumberError(text)
    return number


def _syntax_error(path: FilePath, text: str, message: str) -> str:
    place = _PLACE.search(message)
    what = _PLACE.sub("", message)
    if place is None:
        where = f"{path}"
    elif place.group(1):
        where = f"{path}, line {place.group(1)}, column {place.group(2)}"
    else:
        where = f"{path}, line {text.count(chr(10)) + 1}"
    printable = "".join(c if c.isprintable() else "?" for c in what)
    named = _KEY_TUPLE.sub(lambda match: repr(".".join(_KEY.findall(match[1]))), printable)
    return f"{where}: this is not TOML: {clip(_lower(named), 200)}{_advice(printable)}"


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _advice(what: str) -> str:
    advice = {
        "Invalid value": "; a text needs quotes, true and false are written small",
        "Expected '='": "; each line is: key = value",
        "Cannot overwrite": "; the key is there twice, keep one",
        "Cannot declare": "; the table is there twice, put its settings under one heading",
        "Invalid initial character": "; in a key use letters, digits, - and _, or quotes",
        "Expected newline": "; a text needs quotes, and each setting its own line",
        "Unescaped '\\'": "; write paths with / or in single quotes",
        "Unclosed": "; a closing bracket is missing",
        "Expected": "; a quote or bracket is missing",
        "Illegal character": "; a closing quote is missing, or a control character is in the text",
    }
    return next((words for start, words in advice.items() if what.startswith(start)), "")


def _check_value(at: Path, value: object, mistakes: Mistakes) -> None:
    if len(at) > DEEPEST:
        mistakes.add(at[:DEEPEST], f"lies too deep; allowed: {DEEPEST} levels")
    elif isinstance(value, int) and not -_HIGHEST <= value < _HIGHEST:
        mistakes.add(at, "the number is too large; allowed: whole numbers of 64 bits")
    elif isinstance(value, str) and _CONTROL.search(value):
        mistakes.add(at, "the text holds a control character; remove it")
    elif isinstance(value, str) and len(value) > _LONGEST_TEXT:
        mistakes.add(at, f"the text is too long; allowed: {_LONGEST_TEXT:,} characters")
    elif isinstance(value, Mapping | list) and len(value) > _MOST_ENTRIES:
        mistakes.add(at, f"there are {len(value):,} entries; allowed: {_MOST_ENTRIES:,}")
    elif at and isinstance(at[-1], str) and _CONTROL.search(at[-1]):
        mistakes.add(at, "the key holds a control character; remove it")

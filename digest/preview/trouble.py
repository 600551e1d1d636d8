"""What stands above a page while a file is broken: where, the lines around it, what is allowed.

The product's own sentences are taken apart; no file is opened but those that the preview watches.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from digest.errors import ConfigError, DigestError
from digest.settings.mistakes import PASSWORD_IN_URL, names_a_secret

AROUND = 2  # lines before and after the one at fault
LONGEST_LINE = 200
MOST = 12
_TEMPLATES = (".mjml", ".txt", ".css")

_LINE = re.compile(
    r"(?P<file>[^\n]+?), line (?P<line>\d+)(?:, column (?P<column>\d+))?(?:, (?P<key>[^:\n]+))?: "
    r"(?P<what>.+)",
    re.DOTALL,
)
_CELL = re.compile(
    r"(?P<file>[^\n:]+\.(?:xlsx|xlsm|ods|csv)), (?:(?P<cell>[^:\n]+![A-Z]+\d+)|(?P<sheet>[^:\n]+)): "
    r"(?P<what>.+)",
    re.DOTALL | re.IGNORECASE,
)
_ALLOWED = re.compile(r"[;.]?\s*allowed: (?P<allowed>.+)$", re.DOTALL)
_NEAREST = re.compile(r"[;.]?\s*did you mean (?P<quote>['\"])(?P<name>.*?)(?P=quote)\?")
_PAIR = re.compile(r"(?P<key>[\w.-]+|\"[^\"]*\")(?P<sign>\s*=\s*)(?P<value>\"[^\"]*\"?|'[^']*'?)")


Lines = tuple[tuple[int, str, bool], ...]


@dataclass(frozen=True, slots=True)
class Trouble:
    """One mistake in a file.

    Attributes:
        kind: "settings", "worksheet", "template" or "source".
        place: file with line and column, or sheet and cell; "" when the sentence names none.
        key: which setting.
        lines: (number, text, whether it is the one at fault) of those around the place, secrets hidden.
    """

    kind: str
    place: str
    key: str
    reason: str
    allowed: str
    nearest: str
    lines: Lines

    def title(self, gettext: Callable[[str], str]) -> str:
        """Say what kind of file is broken."""
        _ = gettext
        titles = {
            "settings": _("The settings have a mistake"),
            "worksheet": _("The worksheet has a mistake"),
            "template": _("A template has a mistake"),
            "source": _("The source gives no numbers"),
        }
        return titles[self.kind]


def troubles_of(errors: Sequence[DigestError], files: Iterable[Path]) -> tuple[Trouble, ...]:
    """Take apart what is wrong, each mistake once; lines are shown of `files` only."""
    known = tuple(files)
    sentences = dict.fromkeys(
        (sentence, isinstance(error, ConfigError))
        for error in errors
        for sentence in (error.mistakes if isinstance(error, ConfigError) else (str(error),))
    )
    return tuple(_trouble(sentence, known, ours=ours) for sentence, ours in list(sentences)[:MOST])


def _trouble(sentence: str, known: Sequence[Path], *, ours: bool) -> Trouble:
    at = _LINE.fullmatch(sentence)
    what = at["what"] if at else sentence
    cell = _CELL.fullmatch(what)
    lines: Lines = ()
    if cell is not None:
        where, key, what = f"{cell['file']}, {cell['cell'] or cell['sheet']}", "", cell["what"]
        kind = "worksheet"
    elif at is not None:
        file, line = at["file"], int(at["line"])
        column = f":{at['column']}" if at["column"] else ""
        where, key = f"{file}:{line}{column}", at["key"] or ""
        kind = "template" if file.endswith(_TEMPLATES) else "settings"
        lines = _lines(_found(file, known), line)
    else:
        where = key = ""
        kind = "settings" if ours else "source"
    reason, allowed, nearest = _parts(what)
    return Trouble(kind, where, key, reason, allowed, nearest, lines)


def _parts(what: str) -> tuple[str, str, str]:
    allowed = _ALLOWED.search(what)
    rest = what[: allowed.start()] if allowed else what
    nearest = _NEAREST.search(rest)
    reason = _NEAREST.sub("", rest, count=1)
    return (
        " ".join(reason.split()).strip(" ;"),
        allowed["allowed"] if allowed else "",
        nearest["name"] if nearest else "",
    )


def _found(file: str, known: Sequence[Path]) -> Path | None:
    """The watched file of a name; none when the name fits several."""
    exact = [path for path in known if str(path) == file]
    fitting = exact or [path for path in known if str(path).endswith(f"/{file.lstrip('/')}")]
    return fitting[0] if len(fitting) == 1 else None


def _lines(path: Path | None, line: int) -> Lines:
    if path is None:
        return ()
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ()
    shown = without_secrets(text) if path.suffix == ".toml" else text
    first = max(line - AROUND, 1)
    around = shown.split("\n")[first - 1 : line + AROUND]
    return tuple(
        (number, part[:LONGEST_LINE].rstrip(), number == line)
        for number, part in enumerate(around, first)
    )


def without_secrets(text: str) -> str:
    """Return a text of settings, broken or not, with every value of a key that names a secret hidden."""
    until = ""
    lines = []
    for line in text.split("\n"):
        if until:
            lines.append("***")
            until = "" if until in line else until
            continue
        key, _, value = line.partition("=")
        until = _unclosed(value.strip()) if names_a_secret(key) else ""
        lines.append(_hidden(line, whole=bool(until)))
    return "\n".join(lines)


def _unclosed(value: str) -> str:
    """What ends a value that goes on in the next lines, "" when it does not."""
    for opening, closing in (('"""', '"""'), ("'''", "'''"), ("[", "]")):
        if value.startswith(opening) and closing not in value.removeprefix(opening):
            return closing
    return ""


def _hidden(line: str, *, whole: bool) -> str:
    key, sign, value = line.partition("=")
    if sign and names_a_secret(key) and (whole or not value.strip().startswith("{")):
        return f"{key}= ***"
    shown = _PAIR.sub(
        lambda pair: f"{pair['key']}{pair['sign']}***" if names_a_secret(pair["key"]) else pair[0],
        line,
    )
    return PASSWORD_IN_URL.sub(r"\1:***@", shown)

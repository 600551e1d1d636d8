"""What a finished mail may not contain; asked before every send, because templates can be the user's own."""

from __future__ import annotations

import quopri
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from functools import lru_cache
from html import unescape

LARGEST_HTML = 90_000  # Gmail clips at about 100 KB of HTML as sent
_FORBIDDEN = re.compile(
    r"<(script|form|iframe|object|embed|svg|base|link)\b|</?(mj-[a-z-]+)", re.IGNORECASE
)
_TAG = re.compile(r"<[a-zA-Z](?:\"[^\"]*\"|'[^']*'|[^'\">])*>")
_EVENT = re.compile(r"[\s\"'/]on[a-z]+\s*=", re.IGNORECASE)
_VALUE = re.compile(r"\"[^\"]*\"|'[^']*'")
_ADDRESS = re.compile(
    r"\b(href|src|background|action)\s*=\s*(\"[^\"]*\"|'[^']*'|[^\s>]+)", re.IGNORECASE
)
_URL = re.compile(r"url\(\s*['\"]?([^)'\"]*)", re.IGNORECASE)
_STYLE = re.compile(r"<style\b.*?</style>", re.IGNORECASE | re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_NOT_A_NUMBER = re.compile(r"(?<![\w])(NaN|nan|inf|Infinity|None|-0)(?![\w.,])")
_FIGURE = re.compile(r"<td\b[^>]*\bclass=\"[^\"]*\bnum\b[^\"]*\"[^>]*>(.*?)</td>", re.DOTALL)
_SINGLE_QUOTED = re.compile(r"<[a-zA-Z][^<>\"]*(?:\"[^\"]*\"[^<>\"]*)*\s[\w-]+='")
_REFRESH = re.compile(r"^<meta\b.*http-equiv\s*=\s*[\"']?refresh", re.IGNORECASE | re.DOTALL)
_STYLE_ATTRIBUTE = re.compile(r"\bstyle\s*=\s*(\"[^\"]*\"|'[^']*')", re.IGNORECASE)
# A number that was cut short by an ellipsis says nothing.
_NUMBER = re.compile(r"\d+(?:[.,:\u2019]\d+)*(?![\d\u2026])")
_ADDRESS_IN_TEXT = re.compile(r"https?://\S+")
_BROKEN_WORD = re.compile(r"(?<=\S{40})\n\s*(?=\S)")
ELLIPSIS = "\u2026"
MARKS = ("{{", "}}", "{%", "%}", "{#")


@dataclass(frozen=True, slots=True)
class _Mail:
    """A mail taken apart once; `tags` are the distinct ones, which is a fifth of all."""

    html: str
    text: str
    tags: tuple[str, ...]
    styles: str
    shown: str


def findings(html: str, text: str, *, verbatim: Iterable[str] = ()) -> tuple[str, ...]:
    """Return what is wrong with a mail, nothing when it may be sent.

    Args:
        html: the HTML part.
        text: the text part.
        verbatim: words from the source that may hold template marks.
    """
    tags = tuple(dict.fromkeys(_TAG.findall(html)))
    inline = [unescape(value) for tag in tags for value in _STYLE_ATTRIBUTE.findall(tag)]
    mail = _Mail(html, text, tags, "".join((*_STYLE.findall(html), *inline)), visible(html))
    return (
        *_forbidden(mail),
        *_addresses(mail),
        *_loads(mail),
        *_unresolved(mail, tuple(verbatim)),
        *_figures(mail),
        *_missing_numbers(mail),
        *_too_large(mail),
    )


def mjml_findings(mjml: str) -> tuple[str, ...]:
    """Return what the MJML engine would turn into broken HTML without a word."""
    if _SINGLE_QUOTED.search(mjml):
        return ("the MJML has a single-quoted attribute; write double quotes",)
    return ()


@lru_cache(maxsize=2)  # asked again for the same mail by who looks whether it fits
def size(html: str) -> int:
    """Return the bytes of the HTML part as it travels, quoted-printable."""
    return len(quopri.encodestring(html.encode()))


def visible(html: str) -> str:
    """Return the text of a document, without styles and comments."""
    bare = _COMMENT.sub("", _STYLE.sub("", html))
    return unescape(_TAG.sub(" ", re.sub(r"</[a-zA-Z][^>]*>", " ", bare)))


def numbers(text: str) -> set[str]:
    """Return the numbers written in a text, as written; groups set apart by spaces count one by one."""
    return set(_NUMBER.findall(text))


def strings(value: object) -> Iterator[str]:
    """Yield the words in dataclasses and tuples, however deep; a value of an enumeration is no word."""
    if isinstance(value, Enum):
        return
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple):
        for one in value:
            yield from strings(one)
    elif is_dataclass(value):
        for field in fields(value):
            yield from strings(getattr(value, field.name))


def with_marks(words: Iterable[str]) -> tuple[str, ...]:
    """Return the words that hold a template mark."""
    return tuple(text for text in words if any(mark in text for mark in MARKS))


def _forbidden(mail: _Mail) -> Iterable[str]:
    # Between quotes "<" is only text: an alt may hold a name that looks like a tag.
    bare = mail.html
    for tag in mail.tags:
        if "<" in tag[1:]:
            bare = bare.replace(tag, _VALUE.sub('""', tag))
    for element, unknown in dict.fromkeys(_FORBIDDEN.findall(bare)):
        if element:
            yield f"the HTML has a {element.lower()}"
        else:
            yield f"the HTML has an MJML element that the engine did not know: {unknown}"
    for tag in mail.tags:
        if _EVENT.search(_VALUE.sub('""', tag)):
            yield f"the HTML has an event attribute: {tag[:80]}"
        if _REFRESH.search(tag):
            yield "the HTML has a refresh"


def _addresses(mail: _Mail) -> Iterable[str]:
    for tag in mail.tags:
        for name, quoted in _ADDRESS.findall(tag):
            address = unescape(quoted.strip("\"'")).strip()
            image = tag[:4].lower() == "<img"
            if image and not address.startswith("cid:"):
                yield f"an image is not attached by cid: {address[:80]}"
            if not image and not address.startswith(("https://", "mailto:")):
                yield f"{name} is neither https nor mailto: {address[:80]}"


def _loads(mail: _Mail) -> Iterable[str]:
    for address in _URL.findall(mail.styles):
        yield f"a style loads {address[:80]}"
    if "@import" in mail.styles.lower():
        yield "a style has @import"


def _unresolved(mail: _Mail, verbatim: tuple[str, ...]) -> Iterable[str]:
    written = _without_spaces(mail.shown + mail.text)
    for words in sorted(map(_without_spaces, verbatim), key=len, reverse=True):
        written = written.replace(words, "")
        for length in range(
            len(words) - 1, 1, -1
        ):  # names are cut to their column in the text part
            written = written.replace(words[:length] + ELLIPSIS, "")
    as_read = f"{mail.shown} {mail.text}"
    for mark in MARKS:
        # Without spaces "39%" and a segment called "}" look like a mark; with them they do not.
        if mark in written and mark in as_read:
            yield f"a template mark was not filled: {mark}"


def _without_spaces(text: str) -> str:
    return "".join(text.split())


def _figures(mail: _Mail) -> Iterable[str]:
    for cell in _FIGURE.findall(mail.html):
        found = _NOT_A_NUMBER.search(unescape(_TAG.sub(" ", cell)))
        if found:
            yield f"a figure reads {found[0]}"


def _missing_numbers(mail: _Mail) -> Iterable[str]:
    whole = _ADDRESS_IN_TEXT.sub(" ", _BROKEN_WORD.sub("", mail.text))
    missing = numbers(whole) - numbers(mail.shown)
    if missing:
        yield f"the text part has numbers that the HTML lacks: {', '.join(sorted(missing)[:5])}"


def _too_large(mail: _Mail) -> Iterable[str]:
    found = size(mail.html)
    if found > LARGEST_HTML:
        yield f"the HTML has {found} bytes, more than {LARGEST_HTML}; Gmail would clip it"

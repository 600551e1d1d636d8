"""Reads a linked mail as a person would: which numbers stand in it, and which of them lead somewhere.

What is no figure is told by rule: days, times, names that came from elsewhere, and words of the language that
happen to hold a digit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from decimal import Decimal
from enum import Enum
from functools import cache
from html.parser import HTMLParser

from babel.dates import get_month_names
from babel.messages.mofile import read_mo

from digest.model import Edition
from digest.render.locales import locale_for
from digest.resources import templates_folder

ELLIPSIS = "\u2026"
LINKED = "\ue000"  # stands where a number was a link


@dataclass(frozen=True)
class Link:
    """A number that leads somewhere: the figure's id, and what is written."""

    figure: str
    written: str


class _Reader(HTMLParser):
    """Gathers the visible text; links to figures become a sign, hidden text and styles nothing."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.text: list[str] = []
        self.links: list[Link] = []
        self._hidden: list[str] = []
        self._figure: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        style = (given.get("style") or "").replace(" ", "")
        if self._hidden:
            if tag == self._hidden[-1]:
                self._hidden.append(tag)
        elif tag in ("style", "title") or "display:none" in style:
            self._hidden.append(tag)
        elif tag == "a" and (given.get("href") or "").startswith("#why-"):
            self._figure = str(given["href"]).removeprefix("#why-")
            self.links.append(Link(self._figure, ""))
            self.text.append(LINKED)
        elif tag in ("td", "th", "div", "p", "br", "li", "h1", "h2", "span"):
            self.text.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if self._hidden and tag == self._hidden[-1]:
            self._hidden.pop()
        elif tag == "a":
            self._figure = None

    def handle_data(self, data: str) -> None:
        if self._hidden:
            return
        if self._figure is None:
            self.text.append(data)
        else:
            last = self.links.pop()
            self.links.append(Link(last.figure, last.written + data))


def read(html: str) -> tuple[str, tuple[Link, ...]]:
    """Return the visible text without the numbers that are links, and these links."""
    reader = _Reader()
    reader.feed(html)
    return "".join(reader.text), tuple(reader.links)


def unexplained(text: str, edition: Edition, language: str) -> list[str]:
    """Return the numbers of a text that are no days, times, names or words."""
    rest = _without_names(" ".join(text.split()), edition)
    for pattern in _words_with_digits(language):
        rest = pattern.sub(lambda found: " ".join(filter(None, found.groups())), rest)
    rest = re.sub(r"\b\d{1,2}:\d{2}\b", " ", rest)
    rest = _days(language).sub(" ", rest)
    return re.findall(r"(?<!\w)\d[\d.,’]*(?!\w)", rest)


def _without_names(text: str, edition: Edition) -> str:
    names = sorted({" ".join(name.split()) for name in _strings(edition)}, key=len, reverse=True)
    for name in names:
        if not re.search(r"\d", name):
            continue
        text = text.replace(name, " ")
        for length in range(len(name) - 1, 11, -1):  # cut where there was no room
            text = text.replace(name[:length].rstrip() + ELLIPSIS, " ")
    return text


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, Enum):
        return
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple):
        for one in value:
            yield from _strings(one)
    elif is_dataclass(value):
        for field in fields(value):
            yield from _strings(getattr(value, field.name))


@cache
def _days(language: str) -> re.Pattern[str]:
    """A day or a year beside the name of a month."""
    babel = locale_for(language).babel
    names = {
        str(name).rstrip(".")
        for width in ("wide", "abbreviated")
        for context in ("format", "stand-alone")
        for name in get_month_names(width, context, locale=babel).values()
    }
    month = "|".join(sorted(map(re.escape, names), key=len, reverse=True))
    return re.compile(
        rf"\b\d{{1,2}}(?:\.|er|º)?\s(?:{month})\.?(?:\s\d{{4}})?|\b(?:{month})\.?\s\d{{4}}",
        re.IGNORECASE,
    )


@cache
def _words_with_digits(language: str) -> tuple[re.Pattern[str], ...]:
    """Messages of the language that hold a digit themselves; their values are the groups."""
    spaced = (" ".join(message.split()) for message in _messages(language))
    split = [re.split(r"%\(\w+\)s", message) for message in spaced]
    return tuple(
        re.compile(r"\b" + "(.{1,60}?)".join(map(re.escape, pieces)))
        for pieces in split
        if any(re.search(r"\d", piece) for piece in pieces)
    )


def _messages(language: str) -> tuple[str, ...]:
    name = locale_for(language).babel.language
    path = templates_folder() / "locale" / name / "LC_MESSAGES" / "digest.mo"
    if not path.is_file():  # English is the language of the messages themselves
        path = templates_folder() / "locale" / "de" / "LC_MESSAGES" / "digest.mo"
    with path.open("rb") as file:
        entries = [entry for entry in read_mo(file) if entry.id]
    texts = [entry.id if name == "en" else entry.string for entry in entries]
    several = [(one,) if isinstance(one, str) else tuple(one or ()) for one in texts]
    return tuple(text for some in several for text in some if text)


def number_of(written: str, language: str) -> Decimal:
    """Return the size of a written number, without sign and unit."""
    group, point = {
        "en": (",", "."),
        "de": (".", ","),
        "de-CH": ("’", "."),
        "fr": ("\u202f", ","),
        "it": (".", ","),
    }[language]
    digits = written.replace("\u00a0", "").replace(group, "").replace(point, ".")
    found = re.search(r"\d+(?:\.\d+)?", digits)
    assert found is not None, written
    return Decimal(found[0])

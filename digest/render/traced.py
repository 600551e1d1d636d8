"""Numbers of a mail that no figure stands behind: typed into a template, or written past the records.

The explain view is read as a person would. What is no figure is told by rule: days, times, names that came
from elsewhere, and words of the language that happen to hold a digit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from html.parser import HTMLParser

from digest.model import Edition, Message
from digest.render.lint import strings
from digest.render.locales import SOURCE, languages, locale_for, spoken

ELLIPSIS = "\u2026"
_DIGIT = re.compile(r"\d")
_NUMBER = re.compile(r"(?<!\w)\d+(?:[.,’]\d+)*(?!\w)")
_BLOCKS = frozenset(("td", "th", "div", "p", "br", "li", "h1", "h2", "h3"))
_LEADS = "#why-"


@dataclass(frozen=True, slots=True)
class Link:
    """A number that leads to its record: the figure's id, and what is written."""

    figure: str
    written: str


@dataclass(frozen=True, slots=True)
class Loose:
    """A number without a figure. part, line: where it stands, as a remark names it."""

    number: str
    part: str
    line: int


class _Reader(HTMLParser):
    """Gathers the visible text block by block; links to figures are taken out, hidden text is left out."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.blocks: list[tuple[int, list[str]]] = [(1, [])]
        self.links: list[Link] = []
        self._hidden: list[str] = []
        self._ends: str | None = None  # of the number that is being read

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        figure = given.get("data-figure", "")
        if tag == "a" and given.get("href", "").startswith(_LEADS):
            figure = given["href"].removeprefix(_LEADS)
        style = given.get("style", "").replace(" ", "")
        if self._hidden:
            if tag == self._hidden[-1]:
                self._hidden.append(tag)
        elif (
            tag in ("style", "title")
            or "display:none" in style
            or given.get("class") == "why-cards"
        ):
            self._hidden.append(tag)
        elif figure:
            self._ends = tag
            self.links.append(Link(figure, ""))
            self.blocks[-1][1].append("\ue000")  # so that what stands around it is not one number
        elif tag in _BLOCKS:
            self.blocks.append((self.getpos()[0], []))
        elif tag == "span":
            self.blocks[-1][1].append(" ")

    def handle_endtag(self, tag: str) -> None:
        if self._hidden and tag == self._hidden[-1]:
            self._hidden.pop()
        elif tag == self._ends:
            self._ends = None
        elif tag in _BLOCKS:
            self.blocks.append((self.getpos()[0], []))

    def handle_data(self, data: str) -> None:
        if self._hidden:
            return
        if self._ends is None:
            self.blocks[-1][1].append(data)
        else:
            last = self.links.pop()
            self.links.append(Link(last.figure, last.written + data))


def read(explained: str) -> tuple[tuple[tuple[int, str], ...], tuple[Link, ...]]:
    """Return the visible text of an explain view, and the numbers in it that lead to a record.

    Returns:
        (line, text without these numbers) of each block, and the numbers.
    """
    reader = _Reader()
    reader.feed(explained)
    blocks = tuple((line, "".join(pieces)) for line, pieces in reader.blocks)
    return blocks, tuple(reader.links)


def loose(explained: str, message: Message, edition: Edition) -> tuple[Loose, ...]:
    """Return the numbers of a mail that lead to no record, in HTML, subject and text.

    Args:
        explained: the explain view of the mail.
        message: the mail; numbers of its subject and text are to stand in the HTML with their records.
        edition: what the mail tells.
    """
    language = message.language
    blocks, links = read(explained)
    added = _head(explained) - _head(message.html)
    names = names_of(edition)
    found = [
        Loose(number, "html", line - added)
        for line, words in blocks
        for number in unexplained(words, names, language)
    ]
    known = {number for link in links for number in _NUMBER.findall(_plain(link.written))}
    known |= {one.number for one in found}
    # Paragraph by paragraph: a name or a sentence may go on in the next line.
    paragraphs, line = [("subject", 1, message.subject)], 1
    for piece in message.text.split("\n\n"):
        paragraphs.append(("text", line, piece))
        line += piece.count("\n") + 2
    found += [
        Loose(number, part, line)
        for part, line, piece in paragraphs
        for number in dict.fromkeys(unexplained(piece, names, language))
        if number not in known
    ]
    return tuple(found)


def _head(html: str) -> int:
    return html.count("\n", 0, max(html.find("</head>"), 0))


def _plain(text: str) -> str:
    return " ".join(text.split())


def unexplained(text: str, names: tuple[str, ...], language: str) -> list[str]:
    """Return the numbers of a text that are no days, times, names or words of the language."""
    if not _DIGIT.search(text):
        return []
    rest = _without_names(_plain(text), names)
    for pattern in _words_with_digits(language):
        rest = pattern.sub(lambda found: " ".join(filter(None, found.groups())), rest)
    rest = re.sub(r"\b\d{1,2}:\d{2}\b", " ", rest)
    rest = _days(language).sub(" ", rest)
    return _NUMBER.findall(rest)


def names_of(edition: Edition) -> tuple[str, ...]:
    """Return the words of an edition that hold a digit, the longest first."""
    names = {_plain(name) for name in strings(edition) if _DIGIT.search(name)}
    return tuple(sorted(names, key=len, reverse=True))


def _without_names(text: str, names: tuple[str, ...]) -> str:
    for name in names:
        text = text.replace(name, " ")
        if ELLIPSIS in text:
            for length in range(len(name) - 1, 11, -1):  # cut where there was no room
                text = text.replace(name[:length].rstrip() + ELLIPSIS, " ")
    return text


@cache
def _days(language: str) -> re.Pattern[str]:
    """A day or a year beside the name of a month."""
    from babel.dates import get_month_names

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
    spaced = (_plain(message) for message in _messages(language))
    split = [re.split(r"%\(\w+\)s", message) for message in spaced]
    return tuple(
        re.compile(r"(?<!\w)" + "(.{1,60}?)".join(map(re.escape, pieces)))
        for pieces in split
        if any(map(_DIGIT.search, pieces))
    )


def _messages(language: str) -> tuple[str, ...]:
    """Every sentence of a language; English is that of the messages themselves."""
    if locale_for(language).babel.language == SOURCE:
        other = next(tag for tag in languages() if tag != SOURCE)
        return tuple(words for asked, _ in spoken(other) for words in asked)
    return tuple(words for _, told in spoken(language) for words in told if words)

"""What is worth mending in a finished mail, beyond what `lint` refuses to send at all. Offline.

Each remark has an id, a level, a place, a reason and a remedy. Nothing here is asked of a network, and no
link is followed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from html import unescape
from typing import TYPE_CHECKING, Literal

from digest.render import cascade, lint
from digest.render.clients import CLIENTS, lacking

if TYPE_CHECKING:
    from pathlib import Path

    from digest.model import Image, Message
    from digest.render.traced import Loose

Level = Literal["error", "warning", "note"]

LARGE_HTML = 80_000  # bytes as they travel; from 90,000 on nothing is sent
LARGE_MESSAGE = 150_000  # bytes of everything: phones load more only when asked
WIDEST = 640  # CSS pixels: the columns in which mail programs show a mail
NARROWEST = 320  # of phones
SUBJECT_SHOWN = 70  # letters of a subject that lists on a desk show
LONGEST_SUBJECT = 120
PREHEADER = (30, 120)  # letters: with fewer the list goes on with whatever comes next
WIDEST_TEXT = 72
CONTRAST, CONTRAST_LARGE = 4.5, 3.0  # WCAG 2.1, level AA
LEAST_LETTERS = 40  # of words that may not be broken, beside which a phone shows nothing

_LINK_WORDS = frozenset(
    [
        "here",
        "click here",
        "link",
        "more",
        "hier",
        "klick hier",
        "klicken sie hier",
        "mehr",
        "ici",
        "cliquez ici",
        "lien",
        "plus",
        "qui",
        "clicca qui",
        "clic",
        "altro",
    ]
)
_PIXELS = re.compile(r"(\d+(?:\.\d+)?)px")
_FIGURE = re.compile(r"\d")
REPLACEMENT = "\ufffd"


def _(text: str) -> str:
    """Mark a text for translation where it is shown."""
    return text


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing that was noticed.

    Attributes:
        part: "html", "text", "subject", "headers" or "message".
        line: in that part, from 1; None where it concerns all of it.
        reason, remedy: sentences with named places for `values`, English.
    """

    id: str
    level: Level
    part: str
    line: int | None
    reason: str
    remedy: str = ""
    values: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """Write the remark as one English sentence."""
        place = f"{self.part}, line {self.line}" if self.line else self.part
        sentence = f"{place}: {self.reason % self.values}"
        return f"{sentence}; {self.remedy % self.values}" if self.remedy else sentence


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """A mail as it is sent, with what belongs to it.

    Attributes:
        content: all bytes of the mail.
        untranslated: words of templates that the reader's language lacks.
        loose: numbers that no figure stands behind, as `traced.loose` finds them.
    """

    html: str
    text: str
    subject: str
    preheader: str
    images: Sequence[Image]
    content: bytes = b""
    untranslated: Sequence[str] = ()
    loose: Sequence[Loose] = ()
    clients: Sequence[str] = CLIENTS


def finished(
    message: Message,
    content: bytes,
    *,
    templates: Path | None = None,
    loose: Sequence[Loose] = (),
    clients: Sequence[str] = CLIENTS,
) -> Finished:
    """Return a message as it is looked through."""
    return Finished(
        html=message.html,
        text=message.text,
        subject=message.subject,
        preheader=message.preheader,
        images=message.images,
        content=content,
        untranslated=untranslated(templates, message.language),
        loose=loose,
        clients=clients,
    )


def review(mail: Finished) -> tuple[Remark, ...]:
    """Return what is worth mending, errors first, each kind in the order of the mail."""
    root, styles = cascade.read(mail.html)
    elements = tuple(root.walk())
    parts = (
        partial(_words, mail),
        partial(_lists, mail),
        partial(_images, elements, mail),
        partial(_links, elements),
        partial(_contrast, root, styles),
        partial(_widths, elements),
        partial(_clients, elements, styles, mail.clients),
        partial(_sizes, mail, elements),
    )
    found = [remark for part in parts for remark in part()]
    order: Sequence[Level] = ("error", "warning", "note")
    return tuple(sorted(found, key=lambda remark: order.index(remark.level)))


# ------------------------------------------------------------------------------------------ words


def _words(mail: Finished) -> Iterator[Remark]:
    for part, text in (("subject", mail.subject), ("html", mail.html), ("text", mail.text)):
        line = _line_with(text, REPLACEMENT)
        if line:
            yield Remark(
                "replacement",
                "error",
                part,
                line,
                _("a letter was lost on its way from the source: �"),
                _("look at the encoding of the source"),
            )
    if not mail.text.strip():
        yield Remark(
            "no-text",
            "error",
            "text",
            None,
            _("there is no text part"),
            _("write digest.txt"),
        )
    for n, line_of_text in enumerate(mail.text.split("\n"), 1):
        if len(line_of_text) > WIDEST_TEXT and not _is_address(line_of_text):
            yield Remark(
                "text-line",
                "warning",
                "text",
                n,
                _("a line of %(found)s letters; mail programs break it after %(most)s"),
                _("use the filter wrap"),
                {"found": str(len(line_of_text)), "most": str(WIDEST_TEXT)},
            )
    for words in mail.untranslated:
        yield Remark(
            "untranslated",
            "error",
            "html",
            None,
            _("%(words)s has no translation into the reader's language"),
            _("write the words without _() or in words that the catalogue has"),
            {"words": repr(words)},
        )
    for one in mail.loose:
        yield Remark(
            "no-figure",
            "error",
            one.part,
            one.line,
            _("no figure stands behind the number %(number)s"),
            _("print a value of the edition; a number that is none belongs into words"),
            {"number": one.number},
        )
    if any(byte > 127 for byte in _head(mail.content)):  # noqa: PLR2004 - the last one of ASCII
        yield Remark(
            "header",
            "error",
            "headers",
            None,
            _("a header holds bytes that not every server takes"),
            _("encode it as RFC 2047 says"),
        )


def _is_address(line: str) -> bool:
    return len(line.split()) == 1 and "://" in line


def _head(content: bytes) -> bytes:
    return content.replace(b"\r\n", b"\n").partition(b"\n\n")[0]


def _line_with(text: str, what: str) -> int:
    """The line of the first place with something, 0 when there is none."""
    at = text.find(what)
    return 0 if at < 0 else text.count("\n", 0, at) + 1


def _lists(mail: Finished) -> Iterator[Remark]:
    """What lists of mails show: subject, then preheader."""
    subject = " ".join(mail.subject.split())
    length = {"found": str(len(subject)), "most": str(LONGEST_SUBJECT), "shown": str(SUBJECT_SHOWN)}
    if not subject:
        yield Remark(
            "subject-empty",
            "error",
            "subject",
            None,
            _("the subject is empty"),
            _("write digest.subject.txt"),
        )
    elif len(subject) > LONGEST_SUBJECT:
        yield Remark(
            "subject-long",
            "error",
            "subject",
            None,
            _("%(found)s letters; at most %(most)s are kept"),
            _("say the verdict first, and less"),
            length,
        )
    elif len(subject) > SUBJECT_SHOWN and not _FIGURE.search(subject[:SUBJECT_SHOWN]):
        yield Remark(
            "subject-cut",
            "warning",
            "subject",
            None,
            _("%(found)s letters, and the first %(shown)s hold no figure: lists cut the verdict"),
            _("say the verdict first"),
            length,
        )
    fewest, most = PREHEADER
    preheader = " ".join(mail.preheader.split())
    if not fewest <= len(preheader) <= most:
        yield Remark(
            "preheader",
            "warning",
            "html",
            _line_with(mail.html, "display:none") or None,
            _("the preheader has %(found)s letters; %(fewest)s to %(most)s are of use"),
            _("say the second most important thing in it"),
            {"found": str(len(preheader)), "fewest": str(fewest), "most": str(most)},
        )


# --------------------------------------------------------------------------------------- elements


def _images(elements: Iterable[cascade.Element], mail: Finished) -> Iterator[Remark]:
    attached = {image.cid for image in mail.images}
    used: set[str] = set()
    for image in (element for element in elements if element.tag == "img"):
        source = image.attributes.get("src", "")
        cid = source.removeprefix("cid:")
        if "alt" not in image.attributes:
            yield Remark(
                "alt",
                "error",
                "html",
                image.line,
                _("a picture without alt: whoever sees no pictures learns nothing"),
                _('say what it shows, or write alt="" when it only decorates'),
            )
        if source.startswith("cid:") and cid not in attached:
            yield Remark(
                "cid-missing",
                "error",
                "html",
                image.line,
                _("the picture %(cid)s is not attached"),
                _("use chart_cid or brand.logo_cid"),
                {"cid": cid[:80]},
            )
        used.add(cid)
    for cid in sorted(attached - used):
        yield Remark(
            "cid-unused",
            "warning",  # it arrives as a file beside the mail
            "html",
            None,
            _("the picture %(cid)s is attached, and nothing shows it"),
            _("show it with parts/chart.mjml or parts/masthead.mjml"),
            {"cid": cid},
        )


def _links(elements: Iterable[cascade.Element]) -> Iterator[Remark]:
    for link in (element for element in elements if element.tag == "a"):
        words = " ".join(link.words.split())
        if words.strip(" .…→").casefold() in _LINK_WORDS:
            yield Remark(
                "link-words",
                "warning",
                "html",
                link.line,
                _("the link says %(words)s: read alone, it does not say where it leads"),
                _("name what is behind it"),
                {"words": repr(words)},
            )


def _contrast(root: cascade.Element, styles: Sequence[str]) -> Iterator[Remark]:
    for dark in (False, True):
        if dark and not cascade.has_dark_styles(styles):
            return
        seen: set[tuple[object, object]] = set()
        for shown in cascade.shown(root, styles, dark=dark):
            contrast, pair = shown.contrast, (shown.ink, shown.ground)
            least = CONTRAST_LARGE if shown.large else CONTRAST
            if contrast is None or contrast >= least or pair in seen:
                continue
            seen.add(pair)
            yield Remark(
                "contrast-dark" if dark else "contrast",
                "warning",
                "html",
                shown.line,
                _("%(text)s: %(ink)s on %(ground)s has a contrast of %(found)s; at least %(least)s")
                if not dark
                else _(
                    "%(text)s on a dark screen: %(ink)s on %(ground)s has a contrast of %(found)s; at "
                    "least %(least)s"
                ),
                _("take a darker colour, or a lighter one"),
                {
                    "text": repr(shown.text[:40]),
                    "ink": _hex(shown.ink),
                    "ground": _hex(shown.ground),
                    "found": f"{contrast:.1f}",
                    "least": f"{least:g}",
                },
            )


def _hex(colour: cascade.Colour | None) -> str:
    return "" if colour is None else "#{:02x}{:02x}{:02x}".format(*colour)


def _widths(elements: Iterable[cascade.Element]) -> Iterator[Remark]:
    for element in elements:
        style = cascade.style_of(element)
        widest = max(_pixels(style.get(name)) for name in ("width", "max-width", "min-width"))
        if widest > WIDEST:
            yield Remark(
                "width",
                "warning",
                "html",
                element.line,
                _("%(found)s pixels wide; mail programs show %(most)s"),
                _("make it narrower"),
                {"found": f"{widest:g}", "most": str(WIDEST)},
            )
        fixed = max(_pixels(style.get("min-width")), _fixed(element, style))
        if NARROWEST < fixed <= WIDEST:
            yield Remark(
                "overflow",
                "warning",
                "html",
                element.line,
                _("%(found)s pixels that cannot shrink; a phone has %(most)s"),
                _("write width:100%% with max-width"),
                {"found": f"{fixed:g}", "most": str(NARROWEST)},
            )
        if style.get("white-space") == "nowrap":
            for line, text in element.texts:
                if len(text) > LEAST_LETTERS:
                    yield Remark(
                        "overflow",
                        "warning",
                        "html",
                        line,
                        _("%(found)s letters that may not be broken; a phone shows %(most)s"),
                        _("leave out white-space:nowrap"),
                        {"found": str(len(text)), "most": str(LEAST_LETTERS)},
                    )


def _pixels(value: str | None) -> float:
    found = _PIXELS.fullmatch(value or "")
    return float(found[1]) if found else 0.0


def _fixed(element: cascade.Element, style: Mapping[str, str]) -> float:
    """Return a width in pixels that nothing lets shrink; that of a table is only its wish."""
    if (
        element.tag in ("table", "td", "th")
        or "max-width" in style
        or "%" in style.get("width", "")
        or style.get("width") == "auto"
    ):
        return 0.0
    given = _pixels(style.get("width"))
    attribute = element.attributes.get("width", "")
    return given or (float(attribute) if attribute.isdigit() else 0.0)


def _clients(
    elements: Iterable[cascade.Element], styles: Sequence[str], clients: Sequence[str]
) -> Iterator[Remark]:
    seen: dict[str, tuple[int | None, dict[str, None]]] = {}
    declared = [
        *((None, pair) for style in styles for pair in cascade.declarations(style)),
        *(
            (element.line, (name, value))
            for element in elements
            for name, value in cascade.style_of(element).items()
        ),
    ]
    for line, (name, value) in declared:
        for what, client in lacking(name, value, clients):
            seen.setdefault(what, (line, {}))[1][client] = None
    for what, (line, without) in seen.items():
        yield Remark(
            "css",
            "warning",
            "html",
            line,
            _("%(what)s does nothing in %(clients)s"),
            _("build it with tables, or make sure that the mail is whole without it"),
            {"what": what, "clients": ", ".join(without)},
        )


# ------------------------------------------------------------------------------------------ notes


def _sizes(mail: Finished, elements: Iterable[cascade.Element]) -> Iterator[Remark]:
    size, whole = lint.size(mail.html), len(mail.content)
    if size > LARGE_HTML:
        yield Remark(
            "html-large",
            "warning",
            "html",
            None,
            _(
                "%(found)s bytes; Gmail clips at about 100,000, and nothing is sent from %(most)s on"
            ),
            _("show fewer rows, or leave blocks out"),
            {"found": f"{size:,}", "most": f"{lint.LARGEST_HTML:,}"},
        )
    if whole > LARGE_MESSAGE:
        yield Remark(
            "message-large",
            "warning",
            "message",
            None,
            _("%(found)s bytes in all; phones load the rest of more than %(most)s when asked"),
            _("make pictures smaller"),
            {"found": f"{whole:,}", "most": f"{LARGE_MESSAGE:,}"},
        )
    pictures = sum(len(image.png) for image in mail.images)
    yield Remark(
        "sizes",
        "note",
        "message",
        None,
        _("%(html)s bytes of HTML, %(text)s of text, %(pictures)s of pictures, %(whole)s in all"),
        "",
        {
            "html": f"{size:,}",
            "text": f"{len(mail.text.encode()):,}",
            "pictures": f"{pictures:,}",
            "whole": f"{whole:,}",
        },
    )
    links = [
        (element.line, unescape(element.attributes["href"]))
        for element in elements
        if element.tag == "a" and element.attributes.get("href")
    ]
    for line, address in links:
        yield Remark(
            "link",
            "note",
            "html",
            line,
            _("a link to %(address)s; it is not followed"),
            "",
            {"address": address[:200]},
        )


def rendered_in(seconds: float) -> Remark:
    """Return the note of how long a mail took to make."""
    values = {"found": f"{1000 * seconds:.0f}"}
    return Remark("time", "note", "message", None, _("rendered in %(found)s ms"), "", values)


# ----------------------------------------------------------------------------------- translations


def untranslated(templates: Path | None, language: str) -> tuple[str, ...]:
    """Return the words that a user's templates ask to translate and that the language lacks."""
    from digest.render.email import messages_of
    from digest.render.locales import SOURCE, locale_for, translated

    if templates is None or locale_for(language).babel.language == SOURCE:
        return ()
    known = translated(language)
    return tuple(words for words in messages_of(templates) if words not in known)

"""What colours a mail's text has on which ground, in light and in dark, worked out without a browser.

Knows of CSS what mails are written with: inline styles, and rules of types, classes and ids with descendants
and children, for every screen or for dark ones. Rules for narrow screens change no colour and are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser

Colour = tuple[int, int, int]

WHITE: Colour = (255, 255, 255)
BLACK: Colour = (0, 0, 0)
LARGE, LARGE_BOLD = 24.0, 18.66  # CSS pixels from which WCAG 2.1 asks for 3 to 1 only
BOLD = 600
_VOID = frozenset(
    ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr")
)
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_BLOCK = re.compile(r"([^{};]+)\{((?:[^{}]|\{[^{}]*\})*)\}")
_SIMPLE = re.compile(r"(?P<tag>[a-zA-Z][\w-]*|\*)?(?P<rest>(?:[.#:][\w-]+)*)")
_STEP = re.compile(r"\s*>\s*|\s+")
_LENGTH = re.compile(r"([\d.]+)px")


@dataclass(eq=False, slots=True)
class Element:
    """A tag with its place; `inside` are its children and the words directly in it, with their lines."""

    tag: str
    attributes: Mapping[str, str]
    parent: Element | None
    line: int
    inside: list[Element | tuple[int, str]] = field(default_factory=list)

    @property
    def texts(self) -> list[tuple[int, str]]:
        """The words directly in it, each piece with its line."""
        return [piece for piece in self.inside if isinstance(piece, tuple)]

    @property
    def children(self) -> list[Element]:
        """The tags directly in it."""
        return [piece for piece in self.inside if isinstance(piece, Element)]

    @property
    def words(self) -> str:
        """All the words in it, as they are read."""
        return " ".join(
            piece.words if isinstance(piece, Element) else piece[1] for piece in self.inside
        )

    @property
    def classes(self) -> frozenset[str]:
        """The names that rules of style sheets ask for."""
        return frozenset(self.attributes.get("class", "").split())

    def walk(self) -> Iterator[Element]:
        """Yield this element and all in it, in the order of the document."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True, slots=True)
class _Simple:
    tag: str
    classes: frozenset[str]
    id: str

    def fits(self, element: Element) -> bool:
        return (
            self.tag in ("", "*", element.tag)
            and (not self.id or element.attributes.get("id") == self.id)
            and self.classes <= element.classes
        )


@dataclass(frozen=True, slots=True)
class _Rule:
    """A selector as its simple parts from right to left, each with whether it must be the parent."""

    parts: tuple[tuple[_Simple, bool], ...]
    declared: tuple[tuple[str, str, bool], ...]

    @property
    def weight(self) -> tuple[int, int, int]:
        simple = [part for part, _ in self.parts]
        return (
            sum(bool(part.id) for part in simple),
            sum(len(part.classes) for part in simple),
            sum(part.tag not in ("", "*") for part in simple),
        )

    def fits(self, element: Element) -> bool:
        return self.parts[0][0].fits(element) and self._above(element, 1)

    def _above(self, element: Element, at: int) -> bool:
        if at == len(self.parts):
            return True
        part, direct = self.parts[at][0], self.parts[at - 1][1]
        above = element.parent
        while above is not None:
            if part.fits(above) and self._above(above, at + 1):
                return True
            if direct:
                return False
            above = above.parent
        return False


@dataclass(frozen=True, slots=True)
class Shown:
    """Words as a reader sees them.

    Attributes:
        ink, ground: colours; None where they cannot be told.
        large: whether the letters are so large that less contrast does.
    """

    line: int
    text: str
    ink: Colour | None
    ground: Colour | None
    large: bool

    @property
    def contrast(self) -> float | None:
        """Return the contrast as WCAG 2.1 defines it, 1 to 21."""
        if self.ink is None or self.ground is None:
            return None
        bright, dim = sorted((_luminance(self.ink), _luminance(self.ground)), reverse=True)
        return (bright + 0.05) / (dim + 0.05)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("", {}, None, 1)
        self.at = self.root
        self.styles: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        line, _ = self.getpos()
        given = {name: value or "" for name, value in attrs}
        element = Element(tag, given, self.at, line)
        self.at.inside.append(element)
        if tag not in _VOID:
            self.at = element

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        found: Element | None = self.at
        while found is not None and found.tag != tag:
            found = found.parent
        if found is not None and found.parent is not None:
            self.at = found.parent

    def handle_data(self, data: str) -> None:
        if self.at.tag == "style":
            if "max-width" not in self.at.attributes.get("media", ""):
                self.styles.append(data)
        elif data.strip():
            line, _ = self.getpos()
            first = len(data) - len(data.lstrip())
            self.at.inside.append((line + data.count("\n", 0, first), " ".join(data.split())))


def read(html: str) -> tuple[Element, tuple[str, ...]]:
    """Return the document as a tree, and the texts of its style sheets."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.root, tuple(reader.styles)


def has_dark_styles(styles: Iterable[str]) -> bool:
    """Whether the mail says how it looks on a dark screen."""
    return any("prefers-color-scheme" in style for style in styles)


def shown(root: Element, styles: Sequence[str], *, dark: bool) -> Iterator[Shown]:
    """Yield every piece of text that can be seen, with its colours."""
    rules = [
        (rule.weight, n, rule)
        for n, rule in enumerate(
            rule for style in styles for rule in _rules(_COMMENT.sub("", style), dark=dark)
        )
    ]
    ordered = [rule for _, _, rule in sorted(rules, key=lambda each: each[:2])]
    canvas = BLACK if dark and has_dark_styles(styles) else WHITE
    ink = WHITE if canvas is BLACK else BLACK
    yield from _seen(root, ordered, _Inherited(ink, canvas, 16.0, 400))


@dataclass(frozen=True, slots=True)
class _Inherited:
    ink: Colour | None
    ground: Colour | None
    size: float
    weight: int


def _seen(element: Element, rules: Sequence[_Rule], above: _Inherited) -> Iterator[Shown]:
    style = style_of(element, rules)
    if style.get("display") == "none" or element.tag in ("head", "script", "title"):
        return
    size, weight = _size(style, above.size), _weight(element, style, above.weight)
    ground = _ground(element, style, above.ground)
    ink = _colour(style["color"], ground, above.ink) if "color" in style else above.ink
    if size > 1:
        large = size >= LARGE or (size >= LARGE_BOLD and weight >= BOLD)
        for line, text in element.texts:
            yield Shown(line, text, ink, ground, large)
    for child in element.children:
        yield from _seen(child, rules, _Inherited(ink, ground, size, weight))


def declarations(css: str) -> Iterator[tuple[str, str]]:
    """Yield what a style sheet declares for every screen."""
    for selectors, inside in _BLOCK.findall(_COMMENT.sub("", css)):
        if not selectors.strip().startswith("@"):
            yield from ((name, value) for name, value, _ in _declared(inside))


def style_of(element: Element, rules: Sequence[_Rule] = ()) -> dict[str, str]:
    """Return what holds for an element: rules, then its own style, then what is marked important."""
    fitting = [each for rule in rules if rule.fits(element) for each in rule.declared]
    own = tuple(_declared(element.attributes.get("style", "")))
    layers = (
        (fitting, False),
        (own, False),
        (fitting, True),
        (own, True),
    )
    return {
        name: value
        for declared, important in layers
        for name, value, marked in declared
        if marked is important
    }


def _rules(css: str, *, dark: bool) -> Iterator[_Rule]:
    for selectors, inside in _BLOCK.findall(css):
        if selectors.strip().startswith("@media"):
            condition = "".join(selectors.split()).lower()
            if "max-width" in condition or ("prefers-color-scheme:dark" in condition and not dark):
                continue
            yield from _rules(inside, dark=dark)
        elif not selectors.strip().startswith("@"):
            declared = tuple(_declared(inside))
            for selector in selectors.split(","):
                parts = tuple(_parts(selector.strip()))
                if parts:
                    yield _Rule(parts, declared)


def _parts(selector: str) -> Iterator[tuple[_Simple, bool]]:
    """Yield the parts from right to left; nothing for a selector that is not understood."""
    simple = _STEP.split(selector)
    steps = [">" in step for step in _STEP.findall(selector)]
    found = [_SIMPLE.fullmatch(part) for part in simple]
    if not all(found) or any(":" in part for part in simple):
        return
    for part, direct in zip(reversed(found), [*reversed(steps), False], strict=True):
        assert part is not None  # noqa: S101 - looked at above
        rest = part["rest"]
        yield (
            _Simple(
                (part["tag"] or "").lower(),
                frozenset(re.findall(r"\.([\w-]+)", rest)),
                "".join(re.findall(r"#([\w-]+)", rest)[:1]),
            ),
            direct,
        )


def _declared(css: str) -> Iterator[tuple[str, str, bool]]:
    for declaration in css.split(";"):
        name, colon, value = declaration.partition(":")
        if colon:
            bare = value.strip()
            important = bare.lower().endswith("!important")
            bare = bare[: -len("!important")].strip() if important else bare
            plain = name.strip().lower()
            # So that the short form and the long one replace each other, as in a browser.
            colour_only = plain == "background" and "url(" not in bare and "gradient" not in bare
            yield "background-color" if colour_only else plain, bare, important


def _ground(element: Element, style: Mapping[str, str], above: Colour | None) -> Colour | None:
    if "background" in style or "background-image" in style:
        return None  # a picture: nobody knows where the words stand on it
    value = style.get("background-color", element.attributes.get("bgcolor", ""))
    if not value:
        return above
    return _colour(value if "(" in value else value.split()[0], above, above)


def _size(style: Mapping[str, str], above: float) -> float:
    found = _LENGTH.fullmatch(style.get("font-size", ""))
    return float(found[1]) if found else above


def _weight(element: Element, style: Mapping[str, str], above: int) -> int:
    value = style.get("font-weight", "")
    if value.isdigit():
        return int(value)
    if value in ("bold", "normal"):
        return 700 if value == "bold" else 400
    return 700 if element.tag in ("b", "strong", "th", "h1", "h2", "h3", "h4") else above


def _colour(text: str, under: Colour | None, otherwise: Colour | None) -> Colour | None:
    """Read a colour; what shines through is mixed with the colour under it."""
    from PIL import ImageColor

    word = text.strip().lower()
    if word in ("inherit", "transparent", "none", "unset", "initial", "currentcolor"):
        return otherwise
    try:
        red, green, blue, *rest = ImageColor.getrgb(_with_alpha(word))
    except ValueError:
        return None
    if not rest or under is None:
        return (red, green, blue)
    alpha = rest[0] / 255
    mixed = [
        round(over * alpha + below * (1 - alpha))
        for over, below in zip((red, green, blue), under, strict=True)
    ]
    return (mixed[0], mixed[1], mixed[2])


def _with_alpha(word: str) -> str:
    """Write the alpha of rgba() as the library reads it: 0 to 255."""
    found = re.fullmatch(r"rgba?\(([^,]+),([^,]+),([^,]+),\s*([\d.]+)\s*\)", word)
    if found is None:
        return word
    return f"rgba({found[1]},{found[2]},{found[3]},{round(float(found[4]) * 255)})"


def _luminance(colour: Colour) -> float:
    """Relative luminance as WCAG 2.1 defines it."""
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4  # noqa: PLR2004 - sRGB
        for part in (each / 255 for each in colour)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue

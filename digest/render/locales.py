"""One language: its words from the gettext catalogue, its way to write numbers, money and dates."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal
from fractions import Fraction
from functools import cache, cached_property
from gettext import NullTranslations
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from zoneinfo import ZoneInfo

from digest.errors import ConfigError
from digest.resources import templates_folder

if TYPE_CHECKING:
    from babel import Locale as BabelLocale

    from digest.model import Action

Number = int | float | Decimal | Fraction
N = TypeVar("N", bound=Number)

SOURCE = "en"
MAIL = "digest"  # the catalogue of everything that is sent
MINUS = "\u2212"
NO_BREAK = "\u00a0"
NARROW = "\u202f"
ELLIPSIS = "\u2026"
NAME_LENGTH = 80

# English without a country is written the European way: "15 June", not "June 15".
_REGION = {"en": "en_GB"}
_QUOTES = {
    "de_CH": ("«", "»"),
    "de": ("\u201e", "\u201c"),
    "fr": (f"«{NARROW}", f"{NARROW}»"),
    "it": ("«", "»"),
}
_ENGLISH_QUOTES = ("\u201c", "\u201d")
# CLDR writes "1 juin", which a French reader takes for a slip.
_FIRST_OF_MONTH = {"fr": "1er", "it": "1º"}

_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff\u202a-\u202e\u2066-\u2069]"
)


def printable(text: str) -> str:
    """Remove what breaks the MJML engine or reorders text: controls, lone surrogates, bidi overrides."""
    return text if text.isprintable() else _UNPRINTABLE.sub("", text)


def shown(name: str, length: int = NAME_LENGTH) -> str:
    """Return a name from a source as people may see it: printable, NFC, one line, at most `length` long."""
    clean = " ".join(unicodedata.normalize("NFC", printable(name)).split())
    return clean if len(clean) <= length else clean[: length - 1].rstrip() + ELLIPSIS


def half_up(value: Number, decimals: int = 0) -> Decimal:
    """Round half away from zero, exactly."""
    if isinstance(value, int):
        return Decimal(value)
    return _rounded(value, decimals, ROUND_HALF_UP)


def _rounded(value: Number, decimals: int, rounding: str) -> Decimal:
    exact = Fraction(value)
    # In whole numbers, which take a tenth of the time of fractions.
    scaled, parts = exact.numerator * 10**decimals, exact.denominator
    if rounding == ROUND_FLOOR:
        whole = scaled // parts
    else:
        whole = (2 * abs(scaled) + parts) // (2 * parts) * (1 if scaled >= 0 else -1)
    return Decimal(whole).scaleb(-decimals)


@dataclass(frozen=True, eq=False)
class Locale:
    """How one language speaks and writes.

    Attributes:
        tag: the language as configured ("de-CH"); also Content-Language and the `lang` attribute.
    """

    tag: str
    babel: BabelLocale
    translations: NullTranslations

    # ------------------------------------------------------------------------------------ words

    def gettext(self, message: str, **values: object) -> str:
        """Translate a message and fill in its named values, if any are given."""
        translated = self.translations.gettext(message)
        return translated % values if values else translated

    def ngettext(self, one: str, many: str, count: int | Fraction, **values: object) -> str:
        """Translate by number; `%(n)s` is the formatted number itself."""
        values.setdefault("n", self.number(count))
        return self.translations.ngettext(one, many, self._counted(count)) % values

    def _counted(self, count: int | Fraction) -> int:
        """Return a whole number with the plural of `count`: "1.5 days" but "1,5 jour"."""
        size = abs(Fraction(count))
        if size.denominator == 1:
            return int(size)
        return 1 if self.babel.plural_form(float(size)) == "one" else 2

    def join(self, names: Sequence[str]) -> str:
        """Write "A, B and C"."""
        from babel.lists import format_list

        return format_list(list(names), locale=self.babel)

    def quote(self, text: str) -> str:
        """Put verbatim words from elsewhere in this language's quotation marks."""
        opening, closing = _QUOTES.get(
            str(self.babel), _QUOTES.get(self.babel.language, _ENGLISH_QUOTES)
        )
        return f"{opening}{text}{closing}"

    @property
    def direction(self) -> str:
        """Return "ltr" or "rtl"."""
        return str(self.babel.text_direction)

    # ------------------------------------------------------------------------------- provenance
    #
    # Which figure of `digest.figures` a number is. It concerns the explain view alone; here numbers
    # are numbers.

    def traced(self, value: N, source: object, beside: str = "") -> N:
        """Return a value that is its source written otherwise, or the figure called so beside it."""
        del source, beside
        return value

    def named(self, value: N, figure: str) -> N:
        """Return a value that is the figure of this id."""
        del figure
        return value

    def derived(self, value: N, code: str, formula: str, **inputs: Number | Sequence[Number]) -> N:
        """Return a value that is computed for the page alone, by this formula from these inputs."""
        del code, formula, inputs
        return value

    def known(self, todo: Action) -> Action:
        """Return what is to be done; its numbers are figures that stand elsewhere."""
        return todo

    # ---------------------------------------------------------------------------------- numbers

    def number(self, value: Number, decimals: int = 0) -> str:
        """Write a number with exactly `decimals` decimals, rounded half up."""
        return self._grouped(half_up(value, decimals), decimals)

    def signed(self, value: int) -> str:
        """Write a difference with its sign; zero has none."""
        return f"+{self.number(value)}" if value > 0 else self.number(value)

    def percent(self, ratio: Number) -> str:
        """Write a ratio as a percentage, floored: 398 of 400 is 99%, never 100% before the goal."""
        if 0 < ratio < Fraction(1, 100):
            return f"<{self._percent(1)}"
        return self._percent(_rounded(Fraction(ratio) * 100, 0, ROUND_FLOOR))

    def exact_percent(self, ratio: Number, decimals: int = 1) -> str:
        """Write a rate with up to `decimals` decimals ("3.1%", "4%"), rounded half up."""
        rounded = half_up(Fraction(ratio) * 100, decimals)
        whole = rounded == rounded.to_integral_value()
        return self._percent(rounded, 0 if whole else decimals)

    def money(self, amount: Number, currency: str, decimals: int = 0) -> str:
        """Write an amount with its ISO code; `decimals` 0 for totals, 2 for single values."""
        number = self._grouped(half_up(amount, decimals), decimals)
        if self._currency_first:
            return f"{currency}{NO_BREAK}{number}"
        return f"{number}{NO_BREAK}{currency}"

    def compact(self, value: Number) -> str:
        """Write a number for a narrow place: "1,200", but "145.6M"."""
        from babel.numbers import format_compact_decimal

        if abs(half_up(value)) < 100_000:  # noqa: PLR2004 - six characters fit everywhere
            return self.number(value)
        written = format_compact_decimal(float(value), locale=self.babel, fraction_digits=1)
        return str(written).replace("-", MINUS)

    def _grouped(self, value: Decimal, decimals: int = 0) -> str:
        digits = f"{abs(value):,.{decimals}f}"
        written = digits.translate(self._separators)
        return f"{MINUS}{written}" if value < 0 else written

    def _percent(self, value: Number, decimals: int = 0) -> str:
        return self._percent_pattern.replace("#", self._grouped(half_up(value, decimals), decimals))

    # The separators come from CLDR once; formatting each number through Babel takes 0.03 ms, and a
    # mail holds hundreds.
    @cached_property
    def _separators(self) -> dict[int, str]:
        from babel.numbers import format_decimal

        sample = format_decimal(Decimal("1234567.5"), locale=self.babel)
        return {ord(","): sample[1], ord("."): sample[-2]}

    @cached_property
    def _percent_pattern(self) -> str:
        from babel.numbers import format_percent

        pattern = str(format_percent(Decimal("0.07"), locale=self.babel)).replace("7", "#")
        return pattern.replace(NO_BREAK, NARROW) if self.babel.language == "fr" else pattern

    @cached_property
    def _currency_first(self) -> bool:
        return str(self.babel.currency_formats["standard"].pattern).startswith("¤")

    # ------------------------------------------------------------------------------------ dates

    def day(self, day: date) -> str:
        """Write "Mon 15 Jun", never broken between two lines."""
        written = self._skeleton(day, "MMMEd").replace("., ", " ")  # "Mo., 15. Juni" stumbles
        return written.replace(" ", NO_BREAK)

    def short_day(self, day: date) -> str:
        """Write "15 Jun"."""
        return self._skeleton(day, "MMMd")

    def full_day(self, day: date) -> str:
        """Write "Monday, 15 June 2026"."""
        from babel.dates import format_date

        return self._ordinal(day, str(format_date(day, "full", locale=self.babel)))

    def medium_day(self, day: date) -> str:
        """Write "15 Jun 2026"."""
        return self._skeleton(day, "yMMMd")

    def month(self, day: date) -> str:
        """Write "June"."""
        from babel.dates import format_date

        return str(format_date(day, "LLLL", locale=self.babel))

    def month_year(self, day: date) -> str:
        """Write "June 2026"."""
        return self._skeleton(day, "yMMMM")

    def instant(self, instant: datetime, timezone: str) -> str:
        """Write "Mon 15 Jun, 06:02" in the given zone."""
        local = instant.astimezone(ZoneInfo(timezone))
        return f"{self.day(local.date())}, {local:%H:%M}"

    def _skeleton(self, day: date, skeleton: str) -> str:
        from babel.dates import format_skeleton

        return self._ordinal(day, str(format_skeleton(skeleton, day, locale=self.babel)))

    def _ordinal(self, day: date, written: str) -> str:
        """Write the first of a month as an ordinal where the language demands it."""
        first = _FIRST_OF_MONTH.get(self.babel.language)
        return re.sub(r"\b1\b", first, written) if first and day.day == 1 else written


def languages(folder: Path | None = None) -> tuple[str, ...]:
    """Return the languages that have a catalogue, English first."""
    found = sorted(
        path.parent.parent.name.replace("_", "-")
        for path in ((folder or templates_folder()) / "locale").glob("*/LC_MESSAGES/digest.mo")
    )
    return (SOURCE, *found)


@cache
def locale_for(tag: str, domain: str = MAIL) -> Locale:
    """Return the locale of a language tag, with the words of a catalogue and those of the mail's.

    "de-CH" says what its own catalogue holds and takes the rest from "de"; a country without a
    catalogue, such as "de-AT", takes all from its language.

    Raises:
        ConfigError: the tag is none, or there is no catalogue for it.
    """
    from babel import Locale as BabelLocale
    from babel import UnknownLocaleError

    try:
        plain = BabelLocale.parse(tag.replace("-", "_"))
        babel = BabelLocale.parse(_REGION.get(str(plain), str(plain)))
    except (UnknownLocaleError, ValueError) as error:
        raise ConfigError(f"language: {tag!r} is no language tag; {_allowed()}") from error
    return Locale(tag, babel, _translations(tag, domain, str(plain), babel.language))


def _translations(tag: str, domain: str, *names: str) -> NullTranslations:
    from gettext import GNUTranslations

    found: list[NullTranslations] = []
    for catalogue in dict.fromkeys((domain, MAIL)):
        for name in dict.fromkeys(names):
            path = templates_folder() / "locale" / name / "LC_MESSAGES" / f"{catalogue}.mo"
            if path.is_file():
                with path.open("rb") as file:
                    found.append(GNUTranslations(file))
    if SOURCE in names:
        found.append(NullTranslations())
    if not found:
        raise ConfigError(f"language: there is no translation for {tag!r}; {_allowed()}")
    for first, second in pairwise(found):
        first.add_fallback(second)
    return found[0]


def translated(tag: str) -> frozenset[str]:
    """Return the words that the mail's catalogue of a language translates."""
    return frozenset(words for asked, _ in spoken(tag) for words in asked)


def spoken(tag: str) -> tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]:
    """Return the sentences of the mail's catalogue of a language: each in the source's words and in its own.

    Those of a country come before those of its language; a sentence with a number has several forms.
    """
    from babel.messages.mofile import read_mo

    found: list[tuple[tuple[str, ...], tuple[str, ...]]] = []
    for name in (tag.replace("-", "_"), tag.partition("-")[0]):
        path = templates_folder() / "locale" / name / "LC_MESSAGES" / f"{MAIL}.mo"
        if path.is_file():
            with path.open("rb") as file:
                found += [(_forms(one.id), _forms(one.string)) for one in read_mo(file) if one.id]
    return tuple(found)


def _forms(message: str | Sequence[str] | None) -> tuple[str, ...]:
    return (message,) if isinstance(message, str) else tuple(message or ())


def _allowed() -> str:
    return f"allowed: {', '.join(languages())}, each also with a country, as in 'de-AT'"

"""Whoever reads an edition, wherever and in whatever language, reads the same numbers.

Every number is parsed back from what people see, by rules that stand here and not in the product, and
compared with the scorecard JSON, which no language touches. A new form of the message is one line in
SURFACES.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal
from fractions import Fraction
from functools import cache
from html import escape, unescape
from typing import Any

import pytest

from digest.model import Edition, Forecast, Message, Recipient, Status
from digest.render import charts, render, render_terminal, scorecard_json
from digest.render.locales import languages, locale_for
from digest.render.slack import pack as pack_slack
from digest.render.teams import pack as pack_teams
from digest.render.text import plain_spaces
from digest.render.view import view
from tests.render.editions import DAILY, JUNE, SCENARIOS, edition, row, spread

EVERY = pytest.mark.parametrize(
    ("scenario", "language"), [(name, tag) for name in SCENARIOS for tag in languages()]
)
Facts = Mapping[str, Decimal]


# ------------------------------------------------------------------- how a person reads a number

# Signs between groups, and the decimal sign. The text part has plain spaces where the HTML has narrow ones.
SIGNS = {
    "en": (",", "."),
    "de": (".", ","),
    "de-CH": ("’", "."),
    "fr": ("\u202f ", ","),
    "it": (".", ","),
}


MINUS = "\u2212"


def number(language: str) -> str:
    """Return the pattern of a number: digits in groups of three, or in one run."""
    group, decimal = SIGNS[language]
    return rf"[{MINUS}+]?(?:\d{{1,3}}(?:[{group}]\d{{3}}(?!\d))+|\d+)(?:[{decimal}]\d+)?"


def parsed(written: str, language: str) -> Decimal:
    group, decimal = SIGNS[language]
    digits = "".join(letter for letter in written if letter not in group)
    return Decimal(digits.replace(decimal, ".").replace(MINUS, "-"))


def numbers(text: str, language: str) -> set[Decimal]:
    """Return every number of a text, without sign; addresses, versions and times hold none."""
    bare = re.sub(r"\w+://\S+|\d\d:\d\d", " ", text)
    found = re.findall(rf"(?<![\w.,’])(?:{number(language)})(?=er\b|º|\W|$)", bare)
    return {abs(parsed(written, language)) for written in found}


# ----------------------------------------------------------------- how a person reads a sentence

Said = tuple[tuple[str, ...], Mapping[str, str]]  # singular and plural; place -> the fact it states

_TOTAL = {"actual": "actual", "goal": "of", "n": "of", "required": "to_do"}
WITHOUT_GOAL: Said = (
    (
        "%(month)s stands at %(n)s lead, %(verdict)s.",
        "%(month)s stands at %(n)s leads, %(verdict)s.",
    ),
    {"n": "actual"},
)
HEADLINES: tuple[Said, ...] = (
    (
        (
            "%(month)s stands at %(actual)s of %(n)s lead, %(verdict)s.",
            "%(month)s stands at %(actual)s of %(n)s leads, %(verdict)s.",
        ),
        _TOTAL,
    ),
    (
        (
            "%(month)s closed at %(actual)s of %(n)s lead: %(verdict)s.",
            "%(month)s closed at %(actual)s of %(n)s leads: %(verdict)s.",
        ),
        _TOTAL,
    ),
    WITHOUT_GOAL,
)
SUPPORT: tuple[Said, ...] = (
    (
        ("%(days)s: each must bring in %(required)s leads to reach the goal.",),
        {"required": "each"},
    ),
    (("%(days)s, %(n)s lead to go.", "%(days)s, %(n)s leads to go."), {"n": "left"}),
)
SUBJECTS: tuple[Said, ...] = (
    (
        ("Leads %(month)s: %(actual)s of %(goal)s - %(verdict)s, %(required)s per workday needed",),
        _TOTAL,
    ),
    (("Leads %(month)s closed: %(actual)s of %(goal)s - %(verdict)s",), _TOTAL),
    (("Leads %(month)s: %(actual)s of %(goal)s - %(verdict)s",), _TOTAL),
    (("Leads %(month)s: %(actual)s - %(verdict)s",), _TOTAL),
)
ALTS: tuple[Said, ...] = (
    (
        (
            "Leads waterfall %(month)s: %(actual)s of %(goal)s leads, expected %(expected)s, %(verdict)s.",
        ),
        {**_TOTAL, "expected": "due"},
    ),
    (("Leads waterfall %(month)s: %(actual)s of %(goal)s leads, %(verdict)s.",), _TOTAL),
    WITHOUT_GOAL,
)
WORST: tuple[Said, ...] = ((("Largest gap: %(segment)s, %(gap)s",), {}),)
DRAWN = {"Goal %(goal)s": ("goal", "goal"), "Forecast %(mean)s": ("mean", "forecast")}
# A tile, or its line in the text: the label and, beside or under it, its number.
FIGURES = {
    "Leads": "actual",
    "Gap to plan": "gap",
    "Against the goal": "gap",
    "Needed per workday": "required",
    "Forecast": "forecast",
}
# What a verdict or a gap says, and which way its number counts.
VERDICTS = {
    "%(n)s behind plan": -1,
    "%(n)s ahead of plan": 1,
    "goal missed by %(n)s": -1,
    "goal exceeded by %(n)s": 1,
    "%(n)s short of its goal": -1,
    "on plan": 0,
    "goal reached": 0,
}


@cache
def pattern(message: tuple[str, ...], numeric: tuple[str, ...], language: str) -> re.Pattern[str]:
    """Return what reads a message back in any of its forms, whatever the spaces and line breaks."""
    translations = locale_for(language).translations
    one, many = message[0], message[-1]
    forms = {translations.gettext(one)} if one == many else set()
    forms |= {translations.ngettext(one, many, count) for count in (1, 2)}
    known = [form for form in forms if form not in message] or list(dict.fromkeys(message))
    return re.compile(
        "|".join(_reading(form, numeric, language, n) for n, form in enumerate(known))
    )


WORDS = r"[^\t]+?"


def _reading(form: str, numeric: tuple[str, ...], language: str, nth: int) -> str:
    parts = re.split(r"%\((\w+)\)s", form)
    for n, part in enumerate(parts):
        if not n % 2:
            parts[n] = r"\s+".join(map(re.escape, re.split(r"\s+", part)))
        else:
            read_as = number(language) if part in numeric else WORDS
            parts[n] = f"(?P<{part}_{nth}>{read_as})"
    return "".join(parts) + r"(?!\d)"  # the point in "2.584.402" ends no sentence


def read(
    text: str, said: Sequence[Said], language: str, *, whole: bool = False
) -> dict[str, Decimal]:
    """Return the facts of the first sentence that is found; a verdict inside counts with its sign."""
    for message, places in said:
        reading = pattern(message, tuple(places), language)
        match = reading.fullmatch(text) if whole else reading.search(text)
        if match is None:
            continue
        found = {
            name.rpartition("_")[0]: written
            for name, written in match.groupdict().items()
            if written is not None
        }
        facts = {places[p]: parsed(w, language) for p, w in found.items() if p in places}
        judged = verdict(found.get("verdict") or found.get("gap") or "", language)
        return facts if judged is None else {**facts, "verdict": judged}
    return {}


def verdict(words: str, language: str) -> Decimal | None:
    for message, way in VERDICTS.items():
        match = pattern((message, message), ("n",), language).fullmatch(words)
        if match is not None:
            written = next((w for w in match.groups() if w), "0")
            return way * parsed(written, language)
    return None


def figures(text: str, language: str) -> dict[str, Decimal]:
    """Return what the tiles say, or their lines: the first number after each label."""
    facts: dict[str, Decimal] = {}
    for message, fact in FIGURES.items():
        label = re.escape(locale_for(language).gettext(message))
        match = re.search(rf"(?:^|[\t\n])\s*{label}[ \t\n]+({number(language)})(?=\s)", text)
        if match is not None:
            facts[fact] = parsed(match[1], language)
    return facts


# ------------------------------------------------------------------------- where numbers are read


@dataclass(frozen=True)
class Sent:
    """An edition in one language, as each of its readers gets it."""

    edition: Edition
    language: str
    message: Message


@dataclass(frozen=True)
class Surface:
    """One place where numbers are read.

    Attributes:
        facts: reads them. says: the facts it owes, as far as the JSON knows them.
    """

    facts: Callable[[Sent], Facts]
    says: frozenset[str]


def visible(html: str) -> str:
    """Return the text of a mail; what stands in different cells is set apart by tabs."""
    bare = re.sub(r"<style\b.*?</style>|<!--.*?-->|<title>.*?</title>", "", html, flags=re.DOTALL)
    return re.sub(r"\s*\t\s*", "\t", unescape(re.sub(r"<[^>]*>", "\t", bare)))


def as_tabs(text: str) -> str:
    """Set columns apart by tabs, as cells are; a single space or break stays within a sentence."""
    return re.sub(r" {2,}(?=\S)", "\t", re.sub(r"\n +", "\n", text))


def verdict_and_figures(text: str, language: str) -> Facts:
    said = [read(text, sentences, language) for sentences in (HEADLINES, SUPPORT)]
    tiles = figures(text, language)
    for facts in said:  # a figure in a sentence that differs from its tile is a third reading
        tiles = {**tiles, **{f"said {name}": fact for name, fact in facts.items()}}
    return tiles


def drawn(sent: Sent) -> str:
    """Return what is written in the picture, label by label."""
    pen = charts.Pen()
    charts.draw(pen, charts.waterfall(sent.edition), locale_for(sent.language))
    return "\t".join(pen.texts)


def picture(sent: Sent) -> Facts:
    """Return what the picture is drawn from, and what is written into it."""
    shown, labels = charts.waterfall(sent.edition), drawn(sent)
    facts = {}
    if shown.goal is not None:
        facts["goal"] = Decimal(shown.goal)
    if shown.complete:
        facts["actual"] = Decimal(sum(shown.new))
    if shown.forecast is not None:
        facts["forecast"] = whole(shown.forecast.mean)
    for message, (place, fact) in DRAWN.items():
        label = pattern((message, message), (place,), sent.language).pattern
        found = re.search(rf"(?:^|\t){label}(\s(?:M|Mio\.|Mln)|M)?(?=\t|$)", labels)
        if found is not None:
            facts[f"drawn {fact}"] = parsed(found[1], sent.language) * (10**6 if found[2] else 1)
    return facts


def html(sent: Sent) -> Facts:
    return verdict_and_figures(visible(sent.message.html), sent.language)


def text(sent: Sent) -> Facts:
    return verdict_and_figures(as_tabs(sent.message.text), sent.language)


def terminal(sent: Sent) -> Facts:
    return verdict_and_figures(as_tabs(render_terminal(sent.edition, sent.language)), sent.language)


def slack(sent: Sent) -> Facts:
    return chat(words_of(packed(pack_slack, sent)["blocks"]), sent.language)


def teams(sent: Sent) -> Facts:
    return chat(words_of(packed(pack_teams, sent)), sent.language)


def chat(words: str, language: str) -> Facts:
    """Read a short message; of a month close it leaves out the new month and what that requires."""
    facts = verdict_and_figures(words, language)
    return {"asked" if name == "required" else name: fact for name, fact in facts.items()}


def packed(pack: Callable[..., bytes], sent: Sent) -> Any:  # noqa: ANN401 - JSON
    recipient = Recipient("C0123456789")
    return json.loads(pack(sent.message, recipient=recipient, key="k", sent_at=sent.edition.as_of))


def words_of(document: object) -> str:
    """Return what people read of a message's JSON, set apart by tabs, without marks of emphasis."""
    written = (unescape(re.sub(r"[*_]", "", text)) for text in _texts(document))
    return "\t".join(written) + "\t"


def _texts(document: object) -> Iterator[str]:
    if isinstance(document, Mapping):
        if isinstance(document.get("text"), str):
            yield document["text"]
        for part in document.values():
            yield from _texts(part)
    elif isinstance(document, list):
        for part in document:
            yield from _texts(part)


def subject(sent: Sent) -> Facts:
    written = sent.message.subject
    if sent.edition.corrects is not None:
        mark = plain_spaces(
            locale_for(sent.language).gettext("Correction: %(subject)s", subject="")
        )
        assert written.startswith(mark)
        written = written.removeprefix(mark)
    return read(written, SUBJECTS, sent.language, whole=True)


def preheader(sent: Sent) -> Facts:
    facts = read(sent.message.preheader.partition(" · ")[0], WORST, sent.language, whole=True)
    return {"worst": facts["verdict"]} if "verdict" in facts else {}


def alt(sent: Sent) -> Facts:
    return read(view(sent.edition, locale_for(sent.language)).chart_alt, ALTS, sent.language)


TILES = {"actual", "gap", "required", "forecast"}
SHORT = {"actual", "gap", "asked", "forecast"}
TOLD = {"said actual", "said of", "said verdict", "said each", "said left"}
SURFACES: Mapping[str, Surface] = {
    "html": Surface(html, frozenset(TILES | TOLD)),
    "slack": Surface(slack, frozenset(SHORT | TOLD)),
    "teams": Surface(teams, frozenset(SHORT | TOLD)),
    "text": Surface(text, frozenset(TILES | TOLD)),
    "terminal": Surface(terminal, frozenset(TILES | TOLD)),
    "subject": Surface(subject, frozenset({"actual", "of", "verdict", "to_do"})),
    "preheader": Surface(preheader, frozenset({"worst"})),
    "alt": Surface(alt, frozenset({"actual", "of", "due", "verdict"})),
    "picture": Surface(
        picture, frozenset({"actual", "goal", "forecast", "drawn goal", "drawn forecast"})
    ),
}


# -------------------------------------------------------------------------------- what is the truth


def whole(value: float | Decimal) -> Decimal:
    return Decimal(str(value)).quantize(Decimal(1), rounding=ROUND_HALF_UP)


def truth(document: Mapping[str, Any]) -> Facts:
    """Return the facts of a scorecard JSON, rounded as readers see them; unknown ones are left out."""
    card = document["closed"] or document
    total, days = card["total"], document["total"]["required_per_workday"]
    closed = document["closed"] is not None
    known: dict[str, Any] = {
        "actual": total["actual"],
        "goal": total["goal"],
        "gap": total["gap"],
        "required": None if days is None else Decimal(str(days)),
        "forecast": None if closed or not total["forecast"] else whole(total["forecast"]["mean"]),
        "asked": None if closed or days is None else Decimal(str(days)),
        "verdict": judged(total, closed=closed),
        "to_do": Decimal(str(days))
        if days and not closed and total["actual"] is not None
        else None,
    }
    if known["to_do"] is not None:  # on the last workday "each" would be a riddle
        alone = document["period"]["workdays_remaining"] <= 1
        known["left" if alone else "each"] = (
            total["goal"] - total["actual"] if alone else known["to_do"]
        )
    if total["actual"] is not None:  # otherwise no sentence measures it against anything
        known["of"] = total["goal"]
        known["due"] = None if closed or total["goal"] is None else whole(total["expected"])
    known["drawn goal"], known["drawn forecast"] = map(compact, (known["goal"], known["forecast"]))
    gaps = [part["gap"] for part in card["segments"] if part["gap"] is not None]
    known["worst"] = min(gaps) if gaps and min(gaps) < 0 else None
    return {name: Decimal(value) for name, value in known.items() if value is not None}


def compact(value: int | Decimal | None) -> Decimal | None:
    """Round as the picture does where there is no room: to 0.1 million."""
    if value is None or value < 100_000:
        return None if value is None else Decimal(value)
    return (Decimal(value) / 10**6).quantize(Decimal("0.1"), rounding=ROUND_HALF_UP) * 10**6


def judged(total: Mapping[str, Any], *, closed: bool) -> int | None:
    if total["status"] in {Status.NO_DATA, Status.NO_TARGET, Status.TOO_EARLY}:
        return None
    if closed or total["status"] == Status.REACHED:
        return int(total["actual"] - total["goal"])
    return int(total["gap"])


def disagreements(sent: Sent, document: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Return each (surface, fact) that is missing, too many, or differs from the JSON."""
    known = truth(document)
    found = set()
    for name, surface in SURFACES.items():
        facts = surface.facts(sent)
        for fact in surface.says:
            if facts.get(fact) != known.get(fact.removeprefix("said ")):
                found.add((name, fact))
    return found


def unfounded(sent: Sent, document: Mapping[str, Any]) -> set[Decimal]:
    """Return the numbers of the HTML that stand neither in the text part nor in the JSON."""
    shown = numbers(visible(sent.message.html), sent.language)
    known = numbers(sent.message.text, sent.language)
    for value in (*leaves(document), *leaves(summed_up(sent, document))):
        known |= set(roundings(value, sent.language))
    return shown - known


def summed_up(sent: Sent, document: Mapping[str, Any]) -> list[int]:
    """Return the sums of the segments that the mail has no row for."""
    segments = (document["closed"] or document)["segments"]
    named = re.findall(r'scope="row"[^>]*>([^<]*)<', sent.message.html)
    rest = [part for part in segments if escape(part["segment"]) not in named]
    return [sum(part[name] or 0 for part in rest) for name in ("goal", "actual", "gap")]


def leaves(value: object) -> Iterator[object]:
    if isinstance(value, Mapping):
        for part in value.values():
            yield from leaves(part)
    elif isinstance(value, list):
        for part in value:
            yield from leaves(part)
    else:
        yield value


def roundings(value: object, language: str) -> Iterable[Decimal]:
    """Return how a value of the JSON may be written: whole, in tenths, as a floored percentage."""
    if isinstance(value, str) and not re.fullmatch(r"-?\d+(\.\d+)?", value):
        yield from numbers(value, language)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        exact = abs(Decimal(str(value)))
        for step in (Decimal(1), Decimal("0.1")):
            yield exact.quantize(step, rounding=ROUND_HALF_UP).normalize()
        if isinstance(value, float):
            yield (exact * 100).quantize(Decimal(1), rounding=ROUND_FLOOR)


# ------------------------------------------------------------------------------------------- tests


def sent_as(source: Edition, language: str) -> Sent:
    return Sent(source, language, render(source, language=language, chart=False))


@cache
def staged(scenario: str, language: str) -> Sent:
    return sent_as(SCENARIOS[scenario](), language)


@EVERY
def test_every_reader_of_an_edition_reads_the_same_figures(scenario: str, language: str) -> None:
    sent = staged(scenario, language)

    assert disagreements(sent, scorecard_json(sent.edition, language)) == set()


@EVERY
def test_every_number_of_the_mail_is_in_the_text_or_the_json(scenario: str, language: str) -> None:
    sent = staged(scenario, language)

    assert unfounded(sent, scorecard_json(sent.edition, language)) == set()


@EVERY
def test_the_json_says_the_same_in_every_language(scenario: str, language: str) -> None:
    source = SCENARIOS[scenario]()

    assert truth(scorecard_json(source, language)) == truth(scorecard_json(source, "en"))


def other() -> Edition:
    """The reference case with every figure of the total changed, and the worst segment's gap."""
    base = edition()
    first, *rest = base.scorecard.segments
    return replace(
        base,
        scorecard=replace(
            base.scorecard,
            total=row(
                None,
                Status.AT_RISK,
                61,
                150,
                currency="CHF",
                forecast=Forecast(mean=130.2, low=111, high=149, chance=0.1),
            ),
            segments=(replace(first, gap=-19), *rest),
        ),
        counts=spread(JUNE.start, (12, *DAILY[1:]), ("DACH", "Benelux")),
    )


def owed(document: Mapping[str, Any], surfaces: Iterable[str]) -> set[tuple[str, str]]:
    known = truth(document)
    return {
        (name, fact)
        for name in surfaces
        for fact in SURFACES[name].says
        if fact.removeprefix("said ") in known
    }


@pytest.mark.parametrize("language", languages())
def test_a_figure_that_differs_anywhere_is_found(language: str) -> None:
    document = scorecard_json(edition(), language)

    found = disagreements(sent_as(other(), language), document)

    assert found == owed(document, SURFACES)


@pytest.mark.parametrize("language", languages())
def test_a_figure_that_is_missing_is_found(language: str) -> None:
    sent = sent_as(edition(), language)
    silent = replace(sent.message, subject="Leads", preheader="", text="", html="<p></p>")

    document = scorecard_json(edition(), language)
    found = disagreements(replace(sent, message=silent), document)

    assert found == owed(document, ("html", "text", "subject", "preheader"))


@pytest.mark.parametrize(
    ("language", "planted"), [("en", "4,711"), ("fr", "4\u202f711"), ("it", "4.711")]
)
def test_a_number_that_only_the_mail_knows_is_found(language: str, planted: str) -> None:
    sent = sent_as(edition(), language)
    spoiled = replace(sent.message, html=sent.message.html.replace("</body>", f"{planted}</body>"))

    found = unfounded(replace(sent, message=spoiled), scorecard_json(edition(), language))

    assert found == {Decimal(4711)}


@pytest.mark.parametrize(
    ("language", "written"),
    [
        ("en", "1,234,567.5"),
        ("de", "1.234.567,5"),
        ("de-CH", "1’234’567.5"),
        ("fr", "1\u202f234\u202f567,5"),
        ("it", "1.234.567,5"),
    ],
)
def test_numbers_are_read_by_the_rules_of_each_language(language: str, written: str) -> None:
    assert numbers(f"x {written} y", language) == {Decimal("1234567.5")}
    assert locale_for(language).number(Fraction(12345675, 10), 1) == written

"""Every language says everything, and what ships compiled is what people edited."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
from babel.messages.mofile import read_mo

from digest.render.locales import languages, locale_for
from digest.resources import templates_folder
from digest.settings.sections import LANGUAGES
from digest.worksheet.words import WORDS

TOOL = Path(__file__).parent.parent.parent / ".ci" / "messages.py"
LOCALE = templates_folder() / "locale"
NAMES = [language.replace("-", "_") for language in languages() if language != "en"]
DOMAINS = ("digest", "preview")
CATALOGUES = [(domain, name) for domain in DOMAINS for name in NAMES]
COUNTRIES = [(domain, name) for domain, name in CATALOGUES if "_" in name]
WHOLE = [(domain, name) for domain, name in CATALOGUES if "_" not in name]
PLACEHOLDER = re.compile(r"%\((\w+)\)s|%%")
# Before these a French printer sets a narrow space; a "%(" only opens a placeholder.
UNSPACED = re.compile(r"(?<!\u202f)[:;!?»]|«(?!\u202f)|(?<![\u202f%])%(?!\()")


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("messages", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TOOLS = load()
CURRENT = {domain: {entry.id for entry in TOOLS.messages(domain) if entry.id} for domain in DOMAINS}


def frozen(text: object) -> object:
    return tuple(text) if isinstance(text, list) else text


def catalogue(domain: str, language: str) -> Path:
    return LOCALE / language / "LC_MESSAGES" / f"{domain}.po"


def strings(language: str) -> list[str]:
    found: list[str] = []
    for domain in DOMAINS:
        for entry in TOOLS.read(catalogue(domain, language)):
            if entry.id:
                found += [entry.string] if isinstance(entry.string, str) else entry.string
    return found


def test_every_language_of_the_settings_has_a_catalogue() -> None:
    assert set(languages()) == set(LANGUAGES)


@pytest.mark.parametrize(("domain", "language"), WHOLE)
def test_each_message_is_translated_and_none_is_left_over(domain: str, language: str) -> None:
    entries = [entry for entry in TOOLS.read(catalogue(domain, language)) if entry.id]

    assert {entry.id for entry in entries} == CURRENT[domain]
    assert [entry.id for entry in entries if not TOOLS.all_of(entry.string) or entry.fuzzy] == []


@pytest.mark.parametrize(("domain", "country"), COUNTRIES)
def test_a_country_holds_only_what_it_says_otherwise(domain: str, country: str) -> None:
    found = TOOLS.read(catalogue(domain, country))
    own = {entry.id: frozen(entry.string) for entry in found if entry.id}
    language = TOOLS.read(catalogue(domain, country.partition("_")[0]))
    shared = {entry.id: frozen(entry.string) for entry in language if entry.id}

    assert own.keys() <= CURRENT[domain]
    assert [message for message in own if own[message] == shared[message]] == []
    assert all(map(TOOLS.all_of, own.values()))


@pytest.mark.parametrize(("domain", "language"), CATALOGUES)
def test_each_translation_has_the_places_of_its_message(domain: str, language: str) -> None:
    for entry in TOOLS.read(catalogue(domain, language)):
        ids = entry.id if isinstance(entry.id, tuple) else (entry.id,)
        strings = entry.string if isinstance(entry.string, tuple) else (entry.string,)
        if not entry.id:
            continue
        for number, string in enumerate(strings):
            # The form for one may leave the number out where the message does.
            allowed = ids if number == 0 else ids[-1:]
            places = [set(PLACEHOLDER.findall(message)) for message in allowed]
            assert set(PLACEHOLDER.findall(string)) in places, string


@pytest.mark.parametrize(("domain", "language"), CATALOGUES)
def test_the_compiled_catalogue_is_the_edited_one(domain: str, language: str) -> None:
    path = catalogue(domain, language)
    edited = {entry.id: frozen(entry.string) for entry in TOOLS.read(path) if entry.id}

    with path.with_suffix(".mo").open("rb") as file:
        compiled = {frozen(entry.id): frozen(entry.string) for entry in read_mo(file) if entry.id}

    assert compiled == edited, "run: make catalogues"


@pytest.mark.parametrize("domain", DOMAINS)
def test_switzerland_writes_no_sharp_s(domain: str) -> None:
    swiss = locale_for("de-CH", domain).translations
    said = [
        swiss.ngettext(message[0], message[1], count)
        if isinstance(message, tuple)
        else swiss.gettext(message)
        for message in CURRENT[domain]
        for count in (1, 2)
    ]

    assert said
    assert [text for text in said if "ß" in text] == []


def test_germany_writes_no_helvetisms() -> None:
    helvetisms = (
        r"\binnert\b|\bTotal\b|\btief(?:e[mnrs]?)?\b|[Gg]ross|[Aa]usser|schliess|Ende Monat"
    )

    assert [text for text in strings("de") if re.search(helvetisms, text)] == []


def test_french_sets_narrow_spaces_and_addresses_nobody() -> None:
    assert [text for text in strings("fr") if UNSPACED.search(text)] == []
    assert [
        text for text in strings("fr") if re.search(r"\b(?:vous|votre|vos|veuillez)\b", text)
    ] == []


def test_french_of_the_worksheet_sets_narrow_spaces_too() -> None:
    french = WORDS["fr"]
    texts = [
        *french.headings.values(),
        *french.labels.values(),
        *french.messages.values(),
        *(text for pair in french.readme for text in pair),
    ]

    assert [text for text in texts if UNSPACED.search(text) and not text.startswith("[$")] == []


@pytest.mark.parametrize("text", ["Objectif: 3", "Objectif : 3", "39 %", "«oui»", "Quoi?"])
def test_the_rule_of_narrow_spaces_bites(text: str) -> None:
    assert UNSPACED.search(text)


@pytest.mark.parametrize("language", NAMES)
def test_apostrophes_and_quotation_marks_are_printed_ones(language: str) -> None:
    assert [text for text in strings(language) if re.search("['\"]|\\.\\.\\.", text)] == []


def test_messages_are_collected_from_code_and_templates() -> None:
    assert "Since the last edition" in CURRENT["digest"]
    assert ("%(n)s behind plan", "%(n)s behind plan") in CURRENT["digest"]
    assert "Explain each number" in CURRENT["preview"]

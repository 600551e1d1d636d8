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
CATALOGUES = [language.replace("-", "_") for language in languages() if language != "en"]
COUNTRIES = [name for name in CATALOGUES if "_" in name]
WHOLE = [name for name in CATALOGUES if "_" not in name]
PLACEHOLDER = re.compile(r"%\((\w+)\)s|%%")
# Before these a French printer sets a narrow space; a "%(" only opens a placeholder.
UNSPACED = re.compile(r"(?<!\u202f)[:;!?»]|«(?!\u202f)|(?<!\u202f)%(?!\()")


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("messages", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TOOLS = load()
CURRENT = {entry.id for entry in TOOLS.messages() if entry.id}


def frozen(text: object) -> object:
    return tuple(text) if isinstance(text, list) else text


def catalogue(language: str) -> Path:
    return LOCALE / language / "LC_MESSAGES" / "digest.po"


def strings(language: str) -> list[str]:
    found: list[str] = []
    for entry in TOOLS.read(catalogue(language)):
        if entry.id:
            found += [entry.string] if isinstance(entry.string, str) else entry.string
    return found


def test_every_language_of_the_settings_has_a_catalogue() -> None:
    assert set(languages()) == set(LANGUAGES)


@pytest.mark.parametrize("language", WHOLE)
def test_each_message_is_translated_and_none_is_left_over(language: str) -> None:
    entries = [entry for entry in TOOLS.read(catalogue(language)) if entry.id]

    assert {entry.id for entry in entries} == CURRENT
    assert [entry.id for entry in entries if not TOOLS.all_of(entry.string) or entry.fuzzy] == []


@pytest.mark.parametrize("country", COUNTRIES)
def test_a_country_holds_only_what_it_says_otherwise(country: str) -> None:
    own = {entry.id: frozen(entry.string) for entry in TOOLS.read(catalogue(country)) if entry.id}
    language = TOOLS.read(catalogue(country.partition("_")[0]))
    shared = {entry.id: frozen(entry.string) for entry in language if entry.id}

    assert own.keys() <= CURRENT
    assert [message for message in own if own[message] == shared[message]] == []
    assert all(map(TOOLS.all_of, own.values()))


@pytest.mark.parametrize("language", CATALOGUES)
def test_each_translation_has_the_places_of_its_message(language: str) -> None:
    for entry in TOOLS.read(catalogue(language)):
        ids = entry.id if isinstance(entry.id, tuple) else (entry.id,)
        strings = entry.string if isinstance(entry.string, tuple) else (entry.string,)
        if not entry.id:
            continue
        for string in strings:
            assert set(PLACEHOLDER.findall(string)) == set(PLACEHOLDER.findall(ids[-1])), string


@pytest.mark.parametrize("language", CATALOGUES)
def test_the_compiled_catalogue_is_the_edited_one(language: str) -> None:
    path = catalogue(language)
    edited = {entry.id: frozen(entry.string) for entry in TOOLS.read(path) if entry.id}

    with path.with_suffix(".mo").open("rb") as file:
        compiled = {frozen(entry.id): frozen(entry.string) for entry in read_mo(file) if entry.id}

    assert compiled == edited, "run: make catalogues"


def test_switzerland_writes_no_sharp_s() -> None:
    swiss = locale_for("de-CH").translations
    said = [
        swiss.ngettext(message[0], message[1], count)
        if isinstance(message, tuple)
        else swiss.gettext(message)
        for message in CURRENT
        for count in (1, 2)
    ]

    assert "Total" in said
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


@pytest.mark.parametrize("language", CATALOGUES)
def test_apostrophes_and_quotation_marks_are_printed_ones(language: str) -> None:
    assert [text for text in strings(language) if re.search("['\"]|\\.\\.\\.", text)] == []


def test_messages_are_collected_from_code_and_templates() -> None:
    assert "Since the last edition" in CURRENT
    assert ("%(n)s behind plan", "%(n)s behind plan") in CURRENT

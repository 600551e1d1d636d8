"""Every language says everything, and what ships compiled is what people edited."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
from babel.messages.mofile import read_mo

from digest.render.locales import languages
from digest.resources import templates_folder

TOOL = Path(__file__).parent.parent.parent / ".ci" / "messages.py"
LOCALE = templates_folder() / "locale"
TRANSLATED = [language.replace("-", "_") for language in languages() if language != "en"]
PLACEHOLDER = re.compile(r"%\((\w+)\)s|%%")


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


@pytest.mark.parametrize("language", TRANSLATED)
def test_each_message_is_translated_and_none_is_left_over(language: str) -> None:
    entries = [entry for entry in TOOLS.read(catalogue(language)) if entry.id]

    assert {entry.id for entry in entries} == CURRENT
    assert [entry.id for entry in entries if not TOOLS.all_of(entry.string) or entry.fuzzy] == []


@pytest.mark.parametrize("language", TRANSLATED)
def test_each_translation_has_the_places_of_its_message(language: str) -> None:
    for entry in TOOLS.read(catalogue(language)):
        ids = entry.id if isinstance(entry.id, tuple) else (entry.id,)
        strings = entry.string if isinstance(entry.string, tuple) else (entry.string,)
        if not entry.id:
            continue
        for string in strings:
            assert set(PLACEHOLDER.findall(string)) == set(PLACEHOLDER.findall(ids[-1])), string


@pytest.mark.parametrize("language", TRANSLATED)
def test_the_compiled_catalogue_is_the_edited_one(language: str) -> None:
    path = catalogue(language)
    edited = {entry.id: frozen(entry.string) for entry in TOOLS.read(path) if entry.id}

    with path.with_suffix(".mo").open("rb") as file:
        compiled = {frozen(entry.id): frozen(entry.string) for entry in read_mo(file) if entry.id}

    assert compiled == edited, "run: python .ci/messages.py"


def test_german_needs_no_sharp_s_so_that_it_serves_switzerland_too() -> None:
    text = catalogue("de").read_text(encoding="utf-8")

    assert re.findall(r"\w*ß\w*|\b[Gg]röss\w*|\b[Aa]usser\w*|\w*schliess\w*", text) == []


def test_messages_are_collected_from_code_and_templates() -> None:
    assert "Since the last edition" in CURRENT
    assert ("%(n)s behind plan", "%(n)s behind plan") in CURRENT

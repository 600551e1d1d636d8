"""Bring the translations up to date: `python .ci/messages.py [LANGUAGE...]`.

Collects the messages of code and templates, merges them into templates/locale/*/LC_MESSAGES/*.po (a new
LANGUAGE gets fresh files), and compiles each to the .mo that ships. `digest` is what is sent, `preview` the
pages of the preview. The catalogue of a country,
such as de_CH, holds only what the country says otherwise; a fresh one lists every message, and what stays
empty is taken from the language.
"""

from __future__ import annotations

import io
import sys
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ALWAYS = datetime(2026, 1, 1, tzinfo=UTC)
ROOT = Path(__file__).resolve().parent.parent
LOCALE = ROOT / "templates" / "locale"
KEYWORDS = {"gettext": None, "_": None, "ngettext": (1, 2)}
SOURCES = {
    "digest": (
        # The remarks are read in the preview only.
        (ROOT / "digest" / "render", [("review.py", "ignore"), ("**.py", "python")]),
        (ROOT / "templates", [("**.mjml", "jinja2"), ("**.txt", "jinja2")]),
    ),
    "preview": (
        (ROOT / "digest" / "preview", [("**.py", "python")]),
        (ROOT / "digest" / "render", [("review.py", "python")]),
        (ROOT / "templates" / "preview", [("**.html", "jinja2")]),
    ),
}

CHANGES_WITH_EVERY_RUN = tuple(
    f'"{name}:'.encode()
    for name in (
        "POT-Creation-Date",
        "PO-Revision-Date",
        "Last-Translator",
        "Language-Team",
        "Report-Msgid-Bugs-To",
        "Project-Id-Version",
        "Generated-By",
    )
)


def messages(domain: str = "digest") -> Catalog:
    """Collect every message of code and templates."""
    catalog = Catalog(charset="utf-8", fuzzy=False)
    for folder, methods in SOURCES[domain]:
        for name, _line, message, comments, context in extract_from_dir(
            str(folder), method_map=methods, keywords=KEYWORDS
        ):
            # Files without lines: a moved line is no change to a translation.
            place = (str((folder / name).relative_to(ROOT)), 0)
            catalog.add(message, None, [place], auto_comments=comments, context=context)
    return catalog


def read(path: Path) -> Catalog:
    """Read a catalogue."""
    with path.open("rb") as file:
        return read_po(file, locale=path.parent.parent.name)


def po(catalog: Catalog) -> bytes:
    """Write a catalogue as people edit it."""
    file = io.BytesIO()
    catalog.header_comment = (
        f"# Translation into {catalog.locale}; brought up to date by .ci/messages.py"
    )
    write_po(file, catalog, width=100, include_lineno=False, sort_output=True, ignore_obsolete=True)
    lines = file.getvalue().splitlines(keepends=True)
    return b"".join(line for line in lines if not line.startswith(CHANGES_WITH_EVERY_RUN))


def mo(catalog: Catalog) -> bytes:
    """Compile a catalogue; the same messages give the same bytes."""
    catalog.creation_date = catalog.revision_date = ALWAYS
    file = io.BytesIO()
    write_mo(file, catalog)
    return file.getvalue()


def update(path: Path) -> list[str]:
    """Merge the current messages into a catalogue, compile it, and return what is untranslated."""
    catalog = read(path) if path.exists() else Catalog(locale=path.parent.parent.name, fuzzy=False)
    catalog.update(messages(path.stem), no_fuzzy_matching=True)
    if path.exists() and of_a_country(path):
        catalog = without_the_empty(catalog)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(po(catalog))
    path.with_suffix(".mo").write_bytes(mo(catalog))
    return [str(entry.id) for entry in catalog if entry.id and not all_of(entry.string)]


def of_a_country(path: Path) -> bool:
    """Tell whether a catalogue only adds to that of its language: de_CH to de."""
    name = path.parent.parent.name
    language = name.partition("_")[0]
    return language != name and (LOCALE / language).is_dir()


def without_the_empty(catalog: Catalog) -> Catalog:
    """Return a catalogue without the messages that it does not translate."""
    kept = Catalog(locale=catalog.locale, charset="utf-8", fuzzy=False)
    for entry in catalog:
        if entry.id and all_of(entry.string):
            kept[entry.id] = entry
    return kept


def all_of(string: object) -> bool:
    """Tell whether a message is translated in every plural form."""
    return all(string) if isinstance(string, (list, tuple)) else bool(string)


def main() -> int:
    """Update the named languages, or all."""
    asked = sys.argv[1:] or sorted(path.name for path in LOCALE.iterdir() if path.is_dir())
    missing = 0
    for language in asked:
        folder = LOCALE / language.replace("-", "_") / "LC_MESSAGES"
        for domain in SOURCES:
            for message in update(folder / f"{domain}.po"):
                missing += 1
                print(f"{language}: {domain}: not translated: {message}")
    return 1 if missing else 0


if __name__ == "__main__":
    raise SystemExit(main())

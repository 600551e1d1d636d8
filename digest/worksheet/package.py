"""Edits single cells in the XML of a workbook and leaves every other byte of it as it was.

openpyxl would lose every stored value, chart and picture on saving, so nothing here goes through it.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from xml.sax.saxutils import escape, unescape

from digest.errors import ConfigError
from digest.worksheet.layout import Value, column_letter
from digest.worksheet.read import column_number

_DATA = re.compile(r"<sheetData\s*/>|<sheetData\s*>.*?</sheetData>", re.DOTALL)
_ROW = re.compile(r"<row\b([^>]*?)(?:/>|>(.*?)</row>)", re.DOTALL)
_CELL = re.compile(r"<c\b([^>]*?)(?:/>|>(.*?)</c>)", re.DOTALL)
_FORMULA = re.compile(r"<f\b[^>]*?/>|<f\b[^>]*>.*?</f>", re.DOTALL)
_COLUMN = re.compile(r"<col\b[^>]*>")


@dataclass(frozen=True, slots=True)
class Edit:
    """A new value of a cell: of an input (`stored` False) or beside a formula that stays (`stored` True).

    Attributes:
        value: a number, a text, or "" for an empty cell.
        like: (row, column) whose style a cell without one takes.
    """

    value: Value
    stored: bool = False
    like: tuple[int, int] | None = None


Edits = Mapping[tuple[int, int], Edit]


class Package:
    """The parts of an .xlsx file."""

    def __init__(self, path: Path, content: bytes) -> None:
        self.path = path
        with zipfile.ZipFile(BytesIO(content)) as archive:
            self._infos = archive.infolist()
            self._parts = {info.filename: archive.read(info) for info in self._infos}
        self._sheets = self._sheet_parts()

    def _text(self, part: str) -> str:
        try:
            return self._parts[part].decode("utf-8")
        except (KeyError, UnicodeDecodeError) as error:
            raise self._foreign(f"its part {part} cannot be edited") from error

    def _foreign(self, why: str) -> ConfigError:
        return ConfigError(
            f"{self.path.name}: {why}; open the file in Excel, save it as .xlsx, and run this again "
            "(nothing was changed)"
        )

    def _sheet_parts(self) -> dict[str, str]:
        book, links = self._text("xl/workbook.xml"), self._text("xl/_rels/workbook.xml.rels")
        targets = {}
        for link in re.findall(r"<Relationship\b[^>]*>", links):
            target = _attribute(link, "Target").lstrip("/")
            targets[_attribute(link, "Id")] = target if target.startswith("xl/") else f"xl/{target}"
        return {
            _attribute(sheet, "name"): targets.get(_attribute(sheet, r"\w+:id"), "")
            for sheet in re.findall(r"<sheet\b[^>]*>", book)
        }

    def edit(self, sheet: str, edits: Edits) -> None:
        """Change cells of a sheet.

        Raises:
            ConfigError: the sheet is written in a way that cannot be edited safely.
        """
        part = self._sheets.get(sheet, "")
        text = self._text(part)
        found = _DATA.search(text)
        if found is None:
            raise self._foreign(f"the cells of the sheet {sheet!r} are written in an unusual way")
        columns = _column_styles(text[: found.start()])
        data = _edited(found[0], edits, columns)
        if data is None:
            raise self._foreign(f"the cells of the sheet {sheet!r} carry no addresses")
        text = text[: found.start()] + data + text[found.end() :]
        self._parts[part] = _wider(text, edits).encode("utf-8")

    def recalculate_on_load(self) -> None:
        """Ask Excel to compute every formula when it opens the file."""
        text = self._text("xl/workbook.xml")
        mark = ' fullCalcOnLoad="1"'
        if found := re.search(r"<calcPr\b[^>]*?(?=/?>)", text):
            bare = re.sub(r'\s+fullCalcOnLoad="[^"]*"', "", found[0])
            text = text[: found.start()] + bare + mark + text[found.end() :]
        else:
            ends = [
                match.end()
                for match in re.finditer(
                    r"</(?:sheets|functionGroups|externalReferences|definedNames)>", text
                )
            ]
            text = f"{text[: ends[-1]]}<calcPr{mark}/>{text[ends[-1] :]}" if ends else text
        self._parts["xl/workbook.xml"] = text.encode("utf-8")

    def save(self, path: Path) -> None:
        """Write every part in its old order and compression."""
        with zipfile.ZipFile(path, "w") as archive:
            for info in self._infos:
                archive.writestr(info, self._parts[info.filename], compress_type=info.compress_type)


def _attribute(tag: str, name: str) -> str:
    match = re.search(rf"""\s{name}\s*=\s*(?:"([^"]*)"|'([^']*)')""", tag)
    if match is None:
        return ""
    return unescape(match[1] or match[2] or "", {"&quot;": '"', "&apos;": "'"})


def _column_styles(head: str) -> list[tuple[int, int, str]]:
    found = []
    for column in _COLUMN.findall(head):
        style = _attribute(column, "style")
        if style:
            found.append((int(_attribute(column, "min")), int(_attribute(column, "max")), style))
    return found


@dataclass
class _Line:
    attributes: str
    cells: dict[int, str]


def _edited(data: str, edits: Edits, columns: list[tuple[int, int, str]]) -> str | None:
    lines: dict[int, _Line] = {}
    for match in _ROW.finditer(data):
        number = _attribute(match[1], "r")
        cells: dict[int, str] = {}
        for cell in _CELL.finditer(match[2] or ""):
            address = re.fullmatch(r"([A-Z]{1,3})\d+", _attribute(cell[1], "r"))
            if address is None:
                return None
            cells[column_number(address[1])] = cell[0]
        if not number.isdecimal():
            return None
        lines[int(number)] = _Line(match[1], cells)
    known = {
        (row, column): text for row, line in lines.items() for column, text in line.cells.items()
    }
    for (row, column), edit in edits.items():
        line = lines.setdefault(row, _Line(f' r="{row}"', {}))
        style = _style(known.get((row, column)))
        if not style and edit.like is not None:
            style = _style(known.get(edit.like))
        if not style:
            style = next((s for first, last, s in columns if first <= column <= last), "")
        line.cells[column] = _cell(row, column, style, edit, known.get((row, column)))
    return f"<sheetData>{''.join(_row(line) for _, line in sorted(lines.items()))}</sheetData>"


def _row(line: _Line) -> str:
    # "spans" is a hint about the first and last cell; without it Excel looks for itself.
    attributes = re.sub(r'\s+spans="[^"]*"', "", line.attributes)
    if not line.cells:
        return f"<row{attributes}/>"
    return f"<row{attributes}>{''.join(text for _, text in sorted(line.cells.items()))}</row>"


def _style(cell: str | None) -> str:
    head = re.match(r"<c\b[^>]*", cell) if cell else None
    return _attribute(head[0], "s") if head else ""


def _cell(row: int, column: int, style: str, edit: Edit, before: str | None) -> str:
    start = f'<c r="{column_letter(column)}{row}"' + (f' s="{style}"' if style else "")
    formula = ""
    if edit.stored and before is not None and (found := _FORMULA.search(before)):
        formula = found[0]
    if isinstance(edit.value, str):
        text = escape(edit.value)
        if formula:
            return f'{start} t="str">{formula}<v>{text}</v></c>'
        if not edit.value:
            return f"{start}/>"
        return f'{start} t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>'
    return f"{start}>{formula}<v>{edit.value!r}</v></c>"


def _wider(text: str, edits: Edits) -> str:
    """Keep the sheet's own claim about its size true."""
    match = re.search(r'<dimension\b[^>]*?ref="([A-Z]{1,3})(\d+)(?::([A-Z]{1,3})(\d+))?"', text)
    if match is None or not edits:
        return text
    right = column_number(match[3] or match[1])
    bottom = int(match[4] or match[2])
    right = max(right, *(column for _, column in edits))
    bottom = max(bottom, *(row for row, _ in edits))
    left = min(column_number(match[1]), *(column for _, column in edits))
    top = min(int(match[2]), *(row for row, _ in edits))
    reference = f"{column_letter(left)}{top}:{column_letter(right)}{bottom}"
    start, end = match.span(0)
    return text[:start] + re.sub(r'ref="[^"]*"', f'ref="{reference}"', text[start:end]) + text[end:]

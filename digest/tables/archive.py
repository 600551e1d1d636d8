"""Looks at a workbook's zip archive before any parser does, so that a bomb is refused unopened."""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from digest.errors import Reason
from digest.tables.refusal import TableError, patiently, regular_file

_CHUNK = 1 << 20
_SMALL = 1 << 20  # bytes; a small entry may be as repetitive as it likes
_END = b"PK\x05\x06"
_HIDDEN_ROW = re.compile(rb"<row [^>]*hidden=\"(?:1|true)\"")
_ERROR_CELL = re.compile(
    rb"<c (?=[^>]*t=\"e\")[^>]*r=\"([A-Z]{1,3})([0-9]{1,7})\"[^>]*>(?:<f[^>]*/>|<f[^>]*>[^<]*</f>)?"
    rb"(?:<v>([^<]{0,40})</v>)?"
)
_UNCACHED_CELL = re.compile(
    rb"<c (?![^>]*t=\"str\")[^>]*r=\"([A-Z]{1,3})([0-9]{1,7})\"[^>]*>(?:<f[^>]*/>|<f[^>]*>[^<]*</f>)"
    rb"(?:<v></v>|<v ?/>)?</c>"
)
_UNCACHED_ENDS = (b"</f></c>", b"/></c>", b"<v></v></c>")
_MAX_ODS_CELLS = 10_000_000
_OVERLAP = 4096  # bytes kept between chunks, so that no cell is cut in two


@dataclass
class SheetFacts:
    """What a sheet's XML says that calamine leaves out.

    Attributes:
        errors: texts of error cells by row number and column index.
        uncached: formula cells without a stored value, likewise; a formula whose value is an empty text
            says so (t="str") and is none of them.
        hidden: number of hidden rows.
    """

    errors: dict[tuple[int, int], str] = field(default_factory=dict)
    uncached: set[tuple[int, int]] = field(default_factory=set)
    hidden: int = 0


def check_archive(path: Path, *, max_bytes: int, max_ratio: int, max_entries: int) -> None:
    """Refuse an archive that would unpack to more than it should, without unpacking it into memory.

    First the directory is read, then each entry is inflated and thrown away, because a directory may lie
    about sizes.

    Args:
        path: a zip file, such as .xlsx or .ods.
        max_bytes: of the whole content, unpacked.
        max_ratio: unpacked to packed; entries under 1 MB are free.
        max_entries: files in the archive.

    Raises:
        TableError: too large, encrypted, damaged, or with an XML document type.
    """
    size = regular_file(path)
    with patiently(lambda: path.open("rb"), path) as stream:
        if size > max_bytes:
            raise _too_large(path, f"{size:,} bytes", f"{max_bytes:,}")
        if _entries(stream, size) > max_entries:
            raise _too_large(path, f"{_entries(stream, size):,} parts", f"{max_entries:,}")
        try:
            with zipfile.ZipFile(stream) as archive:
                infos = archive.infolist()
        except (
            zipfile.BadZipFile,
            OSError,
            ValueError,
            NotImplementedError,
            struct.error,
        ) as error:
            raise _damaged(path, "its zip directory cannot be read") from error
        if len(infos) > max_entries:
            raise _too_large(path, f"{len(infos):,} parts", f"{max_entries:,}")
        _check_sizes(path, infos, max_bytes, max_ratio)
        for info in infos:
            _check_entry(path, stream, info)


def sheet_facts(path: Path, sheet: str, *, max_rows: int) -> SheetFacts:
    """Return what the XML of an .xlsx sheet says about errors, formulas and hidden rows.

    Args:
        path: a workbook that `check_archive` has passed.
        sheet: the sheet's name.
        max_rows: more `row` elements than this are refused before they are parsed.

    Raises:
        TableError: too many rows.
    """
    facts = SheetFacts()
    rows = 0
    with path.open("rb") as stream, zipfile.ZipFile(stream) as archive:
        part = _sheet_part(archive, sheet)
        if part is None:
            return facts
        kept = b""
        for chunk in _inflated(stream, archive.getinfo(part)):
            rows += chunk.count(b"<row")
            if rows > max_rows + 1:  # the header
                raise too_many_rows(path, max_rows)
            _note_facts(facts, kept + chunk, len(kept))
            kept = (kept + chunk)[-_OVERLAP:]
    return facts


def check_ods(path: Path, *, max_rows: int) -> None:
    """Refuse an .ods that is not well-formed, or whose repeated cells stand for more than one should build.

    calamine 0.9 never returns from a table without its end tag, and fills repeated cells before it counts.

    Raises:
        TableError: damaged, too many rows, or too many cells.
    """
    from xml.parsers import expat

    extent = _Extent()
    parser = expat.ParserCreate()
    parser.StartElementHandler = extent.start
    with path.open("rb") as stream, zipfile.ZipFile(stream) as archive:
        if "content.xml" not in archive.namelist():
            return
        try:
            for chunk in _inflated(stream, archive.getinfo("content.xml")):
                parser.Parse(chunk, False)  # noqa: FBT003 - more is to come; it takes no keywords
                if extent.rows > max_rows + 1:
                    raise too_many_rows(path, max_rows)
                if extent.rows * extent.columns > _MAX_ODS_CELLS:
                    found = f"a sheet of {extent.rows:,} x {extent.columns:,} cells"
                    raise _too_large(path, found, f"{_MAX_ODS_CELLS:,}")
            parser.Parse(b"", True)  # noqa: FBT003 - that was all; it takes no keywords
        except (expat.ExpatError, ValueError) as error:
            if isinstance(error, TableError):
                raise
            raise _damaged(path, f"'content.xml' is not XML ({error})") from error


@dataclass
class _Extent:
    """How far the cells with a value reach, in the largest sheet so far."""

    rows: int = 0
    columns: int = 0
    _before: int = 0  # rows that ended
    _repeat: int = 0  # of the current row
    _column: int = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "table:table":
            self._before = self._repeat = 0
        elif tag == "table:table-row":
            self._before += self._repeat
            self._repeat = int(attributes.get("table:number-rows-repeated", "1"))
            self._column = 0
        elif tag in ("table:table-cell", "table:covered-table-cell"):
            self._column += int(attributes.get("table:number-columns-repeated", "1"))
            if "office:value-type" in attributes:
                self.rows = max(self.rows, self._before + self._repeat)
                self.columns = max(self.columns, self._column)


def too_many_rows(path: Path, max_rows: int) -> TableError:
    """Return the refusal of a sheet that belongs into a CSV."""
    return TableError(
        f"{path.name} has more than {max_rows:,} rows",
        "export the list as CSV, which has no such limit",
        Reason.OVERFLOW,
    )


def _note_facts(facts: SheetFacts, window: bytes, seen: int) -> None:
    if b'hidden="' in window:
        facts.hidden += sum(m.end() > seen for m in _HIDDEN_ROW.finditer(window))
    if any(end in window for end in _UNCACHED_ENDS):  # cheaper than the pattern on every formula
        facts.uncached.update(
            (int(match[2]), _column_index(match[1].decode()))
            for match in _UNCACHED_CELL.finditer(window)
        )
    if b't="e"' in window:
        for match in _ERROR_CELL.finditer(window):
            cell = int(match[2]), _column_index(match[1].decode())
            found = (match[3] or b"").decode("ascii", "replace")
            if found or cell not in facts.errors:
                facts.errors[cell] = found or "of a formula"


def _column_index(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number - 1


def _sheet_part(archive: zipfile.ZipFile, sheet: str) -> str | None:
    from defusedxml.ElementTree import fromstring  # type: ignore[import-untyped] # has no types

    try:
        book = fromstring(archive.read("xl/workbook.xml"))
        links = fromstring(archive.read("xl/_rels/workbook.xml.rels"))
        targets = {link.get("Id"): link.get("Target", "") for link in links}
        for element in book.iter():
            if element.tag.endswith("}sheet") and element.get("name") == sheet:
                key = next(value for name, value in element.attrib.items() if name.endswith("}id"))
                target = targets[key]
                part = target.lstrip("/") if target.startswith("/") else f"xl/{target}"
                return part if part in archive.namelist() else None
    except Exception:  # noqa: BLE001 - an unusual but valid workbook; calamine is the judge of it
        return None
    return None


def _entries(stream: BinaryIO, size: int) -> int:
    """The number of entries that the end record promises; 65,535 stands for that or more."""
    stream.seek(max(0, size - 65_557))
    tail = stream.read()
    at = tail.rfind(_END)
    return struct.unpack_from("<H", tail, at + 10)[0] if 0 <= at <= len(tail) - 22 else 0


def _check_sizes(path: Path, infos: list[zipfile.ZipInfo], max_bytes: int, max_ratio: int) -> None:
    unpacked = sum(info.file_size for info in infos)
    if unpacked > max_bytes:
        raise _too_large(path, f"{unpacked:,} bytes when unpacked", f"{max_bytes:,}")
    for info in infos:
        if info.file_size > _SMALL and info.file_size > max_ratio * max(info.compress_size, 1):
            times = info.file_size // max(info.compress_size, 1)
            raise _too_large(
                path, f"a part that unpacks to {times:,} times its size", f"{max_ratio}"
            )


def _check_entry(path: Path, stream: BinaryIO, info: zipfile.ZipInfo) -> None:
    if info.flag_bits & 0x1:
        raise TableError(
            f"{path.name} is protected with a password", "remove the password and save it again"
        )
    total = 0
    try:
        for chunk in _inflated(stream, info):
            if not total and b"<!DOCTYPE" in chunk[:4096]:
                raise TableError(
                    f"{path.name} holds an XML document type in {info.filename!r}, which no workbook needs",
                    "open it in Excel or LibreOffice and save it again",
                )
            total += len(chunk)
            if total > info.file_size:
                raise _damaged(path, f"{info.filename!r} is larger than its directory says")
    except (zlib.error, struct.error, NotImplementedError) as error:
        raise _damaged(path, f"{info.filename!r} cannot be unpacked") from error
    if total != info.file_size:
        raise _damaged(path, f"{info.filename!r} is cut off")


def _inflated(stream: BinaryIO, info: zipfile.ZipInfo) -> Iterator[bytes]:
    # zipfile itself stops at the size the directory claims, and so would not see a lie.
    if info.header_offset < 0:
        raise struct.error
    stream.seek(info.header_offset + 26)
    name_length, extra_length = struct.unpack("<HH", stream.read(4))
    stream.seek(info.header_offset + 30 + name_length + extra_length)
    left = info.compress_size
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise NotImplementedError
    inflate = zlib.decompressobj(-15) if info.compress_type == zipfile.ZIP_DEFLATED else None
    while left > 0 and (packed := stream.read(min(_CHUNK, left))):
        left -= len(packed)
        if inflate is None:
            yield packed
            continue
        while packed:
            yield inflate.decompress(packed, _CHUNK)
            packed = inflate.unconsumed_tail
    if inflate is not None:
        while not inflate.eof and (chunk := inflate.decompress(inflate.unconsumed_tail, _CHUNK)):
            yield chunk


def _too_large(path: Path, found: str, allowed: str) -> TableError:
    return TableError(
        f"{path.name} holds {found}, allowed {allowed}",
        "split it, or export the sheet alone as CSV",
        Reason.OVERFLOW,
    )


def _damaged(path: Path, how: str) -> TableError:
    return TableError(
        f"{path.name} is damaged or was cut off: {how}",
        "open it in Excel or LibreOffice and save it again",
    )

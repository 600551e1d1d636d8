"""Opening workbooks, CSV files and Google sheets: what is read, and how everything else is refused."""

from __future__ import annotations

import io
import os
import socket
import struct
import time
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from digest.errors import Reason
from digest.tables import (
    Table,
    TableError,
    Web,
    cell_text,
    check_archive,
    column_letters,
    csv_table,
    fetch,
    names_sheet,
    open_csv,
    open_workbook,
    patiently,
    read_unchanged,
)
from digest.tables.google import export_address
from tests.fakes.google_sheets import EXPORT, KEY, LINK, GoogleSheets, Reply, google_sheets
from tests.fakes.ods import ods

LIMITS = {"max_bytes": 500_000_000, "max_ratio": 100, "max_entries": 200}


# -------------------------------------------------------------------------------------------- workbooks


@pytest.fixture
def awkward(tmp_path: Path) -> Path:
    """The cells of which the readers disagree; written by XlsxWriter, beginning at C3."""
    import xlsxwriter  # type: ignore[import-untyped] # has no types

    path = tmp_path / "awkward.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet("Leads")
        day = book.add_format({"num_format": "yyyy-mm-dd"})
        minute = book.add_format({"num_format": "yyyy-mm-dd hh:mm"})
        percent = book.add_format({"num_format": "0.0%"})
        moment = datetime(2026, 11, 1, 8, 30, tzinfo=UTC).replace(tzinfo=None)
        sheet.write_row(2, 2, ["what", "cell"])
        cells: list[tuple[str, Callable[[int, int], object]]] = [
            ("cached", lambda r, c: sheet.write_formula(r, c, "=1+1", None, 2)),
            ("error", lambda r, c: sheet.write_formula(r, c, "=1/0", None, "#DIV/0!")),
            ("no value", lambda r, c: sheet.write_formula(r, c, "=1+1")),
            ("blank value", lambda r, c: sheet.write_formula(r, c, "=1+1", None, "")),
            ("percent", lambda r, c: sheet.write_number(r, c, 0.6, percent)),
            ("date", lambda r, c: sheet.write_datetime(r, c, date(2026, 11, 1), day)),
            ("midnight", lambda r, c: sheet.write_datetime(r, c, date(2026, 11, 1), minute)),
            ("time", lambda r, c: sheet.write_datetime(r, c, moment, minute)),
            ("integer", lambda r, c: sheet.write_number(r, c, 5)),
            ("text", lambda r, c: sheet.write_string(r, c, "0800")),
            ("truth", lambda r, c: sheet.write_boolean(r, c, True)),  # noqa: FBT003 - a cell's value
        ]
        for row, (name, write) in enumerate(cells, start=3):
            sheet.write_string(row, 2, name)
            write(row, 3)
    return path


def test_calamine_gives_awkward_cells_as_expected(awkward: Path) -> None:
    table = open_workbook(awkward, "Leads")
    assert {cells[2]: cells[3] for _, cells in table.rows} == {
        "cached": 2.0,
        "error": "",
        "no value": 0.0,
        "blank value": "",
        "percent": 0.6,
        "date": date(2026, 11, 1),
        "midnight": date(2026, 11, 1),
        "time": datetime(2026, 11, 1, 8, 30),  # noqa: DTZ001 - Excel times carry no zone
        "integer": 5.0,
        "text": "0800",
        "truth": True,
    }


def test_an_error_cell_is_known_although_calamine_gives_nothing(awkward: Path) -> None:
    table = open_workbook(awkward)
    assert table.errors == {(5, 3): "#DIV/0!"}
    assert "awkward.xlsx, sheet 'Leads', D5: found the error #DIV/0!" in str(
        table.refuse(5, 3, "found nothing")
    )


def test_a_formula_without_a_value_is_known_although_calamine_gives_nothing(awkward: Path) -> None:
    table = open_workbook(awkward)
    assert table.uncached == {(7, 3)}
    assert "D7: found a formula without a stored value" in str(table.refuse(7, 3, "found nothing"))


def test_openpyxl_gives_awkward_cells_as_expected(awkward: Path) -> None:
    import openpyxl  # type: ignore[import-untyped] # has no types

    views = [
        openpyxl.load_workbook(awkward, data_only=data_only)["Leads"] for data_only in (False, True)
    ]
    formulas, values = ({row[2].value: row[3] for row in sheet["A4:D14"]} for sheet in views)
    moment = datetime(2026, 11, 1, tzinfo=UTC).replace(tzinfo=None)
    assert {
        "cached": ("=1+1", "f", 2),
        "error": ("=1/0", "f", "#DIV/0!"),
        "no value": ("=1+1", "f", 0),
        "blank value": ("=1+1", "f", None),
        "percent": (0.6, "n", 0.6),
        "date": (moment, "d", moment),
        "midnight": (moment, "d", moment),
        "time": (moment.replace(hour=8, minute=30), "d", moment.replace(hour=8, minute=30)),
        "integer": (5, "n", 5),
        "text": ("0800", "s", "0800"),
        "truth": (True, "b", True),
    } == {name: (cell.value, cell.data_type, values[name].value) for name, cell in formulas.items()}
    assert formulas["percent"].number_format == "0.0%"


def test_a_formula_saved_by_openpyxl_has_no_value(tmp_path: Path) -> None:
    import openpyxl

    path = tmp_path / "resaved.xlsx"
    book = openpyxl.Workbook()
    book.active.append(["a", "b"])
    book.active.append(["x", "=1+1"])
    book.save(path)
    assert [(row, list(cells)) for row, cells in open_workbook(path).rows] == [(2, ["x", ""])]
    assert openpyxl.load_workbook(path, data_only=True).active["B2"].value is None


def test_rows_and_columns_keep_the_users_numbers(tmp_path: Path) -> None:
    table = open_workbook(workbook(tmp_path, [[], ["", "when"], [], ["", "x"]]))
    assert [(row, list(cells)) for row, cells in table.rows] == [(4, ["", "x"])]
    assert table.at(4, table.column("When ")) == "book.xlsx, sheet 'Sheet1', B4"


def test_the_row_of_the_headings_can_be_named(tmp_path: Path) -> None:
    path = workbook(tmp_path, [["Leads of November"], ["when"], ["x"]])
    assert open_workbook(path, header_row=2).header == ("when",)
    assert "found no heading in row 9" in refusal(lambda: open_workbook(path, header_row=9))


def test_a_missing_sheet_is_answered_with_the_nearest(tmp_path: Path) -> None:
    path = workbook(tmp_path, [["a"]])
    assert open_workbook(path, " SHEET1").header == ("a",)
    error = refused(lambda: open_workbook(path, "Sheets1"))
    assert error.reason is None
    assert "has no sheet 'Sheets1', found 'Sheet1'" in str(error)
    assert "did you mean 'Sheet1'?" in str(error)


def test_a_missing_or_doubled_column_is_answered_with_the_headings(tmp_path: Path) -> None:
    table = open_workbook(workbook(tmp_path, [["Erstellt am", "Region", "region "]]))
    assert table.column("erstellt  AM") == 0
    assert "no column is headed 'Erstelt am', found 'Erstellt am', 'Region', 'region'" in refusal(
        lambda: table.column("Erstelt am")
    )
    assert "2 columns are headed 'Region'" in refusal(lambda: table.column("Region"))


def test_hidden_rows_are_read_and_said(tmp_path: Path) -> None:
    table = open_workbook(workbook(tmp_path, [["a"], ["1"], ["2"]], hidden=[1]))
    assert len(list(table.rows)) == 2
    assert table.remarks == ("1 hidden rows are read too; a filter hides, it does not delete",)


def test_several_sheets_without_a_name_are_said(tmp_path: Path) -> None:
    table = open_workbook(workbook(tmp_path, [["a"]], sheets=2))
    assert table.remarks == ("no sheet is named in the settings; the first of 2 is read",)


def test_merged_cells_are_refused_under_the_headings_only(tmp_path: Path) -> None:
    above = workbook(tmp_path, [[], ["a", "b"], ["1", "2"]], merged=(0, 0, 0, 1))
    assert open_workbook(above, header_row=2).header == ("a", "b")
    below = workbook(tmp_path, [["a", "b"], [], ["1", "2"]], merged=(1, 0, 1, 1))
    assert "sheet 'Sheet1', A2:B2: found merged cells" in refusal(lambda: open_workbook(below))


def test_a_sheet_of_too_many_rows_is_refused_quickly(tmp_path: Path) -> None:
    path = raw_workbook(
        tmp_path, b"".join(b"<row><c><v>%d</v></c></row>" % n for n in range(1_048_576))
    )
    error, seconds, _ = measured(lambda: open_workbook(path))
    assert "has more than 300,000 rows; export the list as CSV" in str(error)
    assert error.reason is Reason.OVERFLOW
    assert seconds < 0.5


@pytest.mark.parametrize(("index", "letters"), [(0, "A"), (25, "Z"), (26, "AA"), (16_383, "XFD")])
def test_columns_have_excels_letters(index: int, letters: str) -> None:
    assert column_letters(index) == letters


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("x", "x"),
        (None, ""),
        (5.0, "5"),
        (5.5, "5.5"),
        (True, "TRUE"),
        (False, "FALSE"),
        (date(2026, 11, 1), "2026-11-01"),
        (datetime(2026, 11, 1, 8, tzinfo=UTC), "2026-11-01 08:00:00+00:00"),
    ],
)
def test_a_cell_reads_as_its_csv_export(value: object, text: str) -> None:
    assert cell_text(value) == text


# ------------------------------------------------------------------------------------------- bad files

ENCRYPTED = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2_000)

BAD_FILES: list[tuple[str, bytes, str]] = [
    ("empty.xlsx", b"", "empty.xlsx is empty (0 bytes); export it again"),
    ("page.xlsx", b"<!DOCTYPE html><html></html>", "page.xlsx is a web page (HTML) or XML"),
    ("page.xls", b"\r\n <html><table></table></html>", "page.xls is a web page (HTML) or XML"),
    (
        "list.xlsx",
        b"created;region\n2026-11-01;Bern\n",
        "list.xlsx is text, not a workbook; name it .csv",
    ),
    ("utf16.xlsx", "created;region".encode("utf-16"), "utf16.xlsx is text, not a workbook"),
    (
        "picture.xlsx",
        b"\x89PNG\r\n\x1a\n",
        "picture.xlsx is not a workbook (it begins with 89 50 4e 47)",
    ),
    ("locked.xlsx", ENCRYPTED, "locked.xlsx is protected with a password or is a damaged old .xls"),
    ("old.xls", ENCRYPTED, "old.xls is protected with a password or is a damaged old .xls"),
    ("cut.xlsx", b"PK\x03\x04" + bytes(40), "cut.xlsx is damaged or was cut off"),
    ("~$leads.xlsx", b"\x06Someone", "is the lock file that Excel keeps beside an open workbook"),
]


@pytest.mark.parametrize(("name", "content", "message"), BAD_FILES)
def test_a_bad_file_is_diagnosed_by_its_first_bytes(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert message in refusal(lambda: open_workbook(path))


def test_a_zip_that_is_no_workbook_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path, {"readme.txt": b"hello"})
    assert "a.xlsx is damaged or not a workbook" in refusal(lambda: open_workbook(path))


def test_a_workbook_with_a_password_on_its_zip_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path, {"x": b"1"})
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    assert "protected with a password" in refusal(lambda: open_workbook(path))


def test_a_panic_over_a_damaged_xls_stays_silent(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    header = bytearray(ENCRYPTED[:8] + bytes(504))
    struct.pack_into("<5H", header, 24, 0x3E, 3, 0xFFFE, 9, 6)
    struct.pack_into("<7I", header, 44, 1, 1, 0, 4096, 0xFFFFFFFE, 0, 0xFFFFFFFE)
    struct.pack_into("<109I", header, 76, 0, *[0xFFFFFFFF] * 108)
    sectors = struct.pack("<2I", 0xFFFFFFFD, 0xFFFFFFFE) + b"\xff" * 504
    path = tmp_path / "old.xls"
    path.write_bytes(header + sectors + b"a directory entry that was cut off" * 3)
    assert "old.xls is protected with a password or is a damaged" in refusal(
        lambda: open_workbook(path)
    )
    assert capfd.readouterr().err == ""


def test_an_old_xls_that_fills_memory_is_refused(tmp_path: Path) -> None:
    # A sector that follows itself, of which calamine without a limit makes an endless stream.
    header = bytearray(ENCRYPTED[:8] + bytes(504))
    struct.pack_into("<5H", header, 24, 0x3E, 3, 0xFFFE, 9, 6)
    struct.pack_into("<7I", header, 44, 1, 1, 0, 4096, 0xFFFFFFFE, 0, 0xFFFFFFFE)
    struct.pack_into("<109I", header, 76, 0, *[0xFFFFFFFF] * 108)
    path = tmp_path / "loop.xls"
    path.write_bytes(header + struct.pack("<2I", 0xFFFFFFFD, 1) + b"\xff" * 504 + bytes(512))
    error, _, peak = measured(lambda: open_workbook(path))
    assert "loop.xls is protected with a password or is a damaged" in str(error)
    assert peak < 10_000_000


def test_a_link_that_points_nowhere_is_not_its_own_suggestion(tmp_path: Path) -> None:
    (tmp_path / "leads.xlsx").symlink_to(tmp_path / "gone.xlsx")

    error = refusal(lambda: open_workbook(tmp_path / "leads.xlsx"))
    assert "leads.xlsx does not exist" in str(error)
    assert "did you mean" not in str(error)


def test_a_folder_a_pipe_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.xlsx")
    (tmp_path / "leads.xlsx").write_bytes(b"x")
    assert "is a folder; name a file" in refusal(lambda: open_workbook(tmp_path))
    assert "is a device or pipe" in refusal(lambda: open_workbook(tmp_path / "pipe.xlsx"))
    error = refused(lambda: open_workbook(tmp_path / "lead.xlsx"))
    assert "lead.xlsx does not exist; did you mean 'leads.xlsx'?" in str(error)
    assert error.reason is None
    assert "does not exist" in refusal(lambda: open_workbook(Path("a\0b.xlsx")))


def test_a_link_to_a_file_is_followed(tmp_path: Path) -> None:
    (tmp_path / "link.xlsx").symlink_to(workbook(tmp_path, [["a"]]))
    assert open_workbook(tmp_path / "link.xlsx").header == ("a",)


@pytest.mark.failure("R4")
def test_a_file_that_excel_holds_is_tried_for_ten_seconds() -> None:
    waited: list[float] = []

    def held() -> None:
        raise PermissionError(13, "Permission denied")

    error = refused(lambda: patiently(held, Path("leads.xlsx"), waited.append))
    assert "cannot be opened: permission denied; close it in Excel" in str(error)
    assert error.reason is Reason.TRANSIENT
    assert waited == [5.0, 5.0]


def test_a_share_that_fails_is_transient() -> None:
    def broken() -> None:
        raise OSError(5, "Input/output error")

    error = refused(lambda: patiently(broken, Path("leads.xlsx"), lambda _: None))
    assert "leads.xlsx cannot be read (Input/output error)" in str(error)
    assert error.reason is Reason.TRANSIENT


@pytest.mark.failure("D7")
def test_every_cut_of_a_workbook_is_refused(tmp_path: Path) -> None:
    whole = workbook(tmp_path, [["a"], ["1"]]).read_bytes()
    path = tmp_path / "cut.xlsx"
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        assert refusal(lambda: open_workbook(path)).startswith("cut.xlsx")


# ----------------------------------------------------------------------------------------------- bombs


def test_a_bomb_is_refused_from_its_directory(tmp_path: Path) -> None:
    path = archive(tmp_path, {"xl/worksheets/sheet1.xml": bytes(200_000_000)})
    assert path.stat().st_size < 250_000
    error, seconds, peak = measured(lambda: check_archive(path, **LIMITS))
    assert "a part that unpacks to" in str(error)
    assert error.reason is Reason.OVERFLOW
    assert seconds < 0.5
    assert peak < 5_000_000


def test_a_directory_that_lies_about_sizes_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path, {"xl/worksheets/sheet1.xml": bytes(50_000_000)})
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", content, content.index(signature) + offset, 1_000)
    path.write_bytes(content)
    error, seconds, peak = measured(lambda: check_archive(path, **LIMITS))
    assert "is larger than its directory says" in str(error)
    assert seconds < 0.5
    assert peak < 20_000_000


def test_too_much_content_is_refused_even_if_it_packs_badly(tmp_path: Path) -> None:
    path = archive(tmp_path, {"a": os.urandom(400_000), "b": os.urandom(400_000)})
    limits = {**LIMITS, "max_bytes": 900_000}
    check_archive(path, **limits)
    assert "allowed 700,000" in refusal(
        lambda: check_archive(path, **{**limits, "max_bytes": 700_000})
    )


def test_ten_thousand_entries_are_refused(tmp_path: Path) -> None:
    path = archive(tmp_path, {f"x{number}": b"" for number in range(10_000)})
    error, seconds, _ = measured(lambda: check_archive(path, **LIMITS))
    assert "holds 10,000 parts, allowed 200" in str(error)
    assert seconds < 0.5


def test_a_directory_whose_end_record_promises_less_is_counted(tmp_path: Path) -> None:
    path = archive(tmp_path, {f"x{number}": b"" for number in range(300)})
    content = bytearray(path.read_bytes())
    struct.pack_into("<H", content, content.rindex(b"PK\x05\x06") + 10, 5)
    path.write_bytes(content)
    assert "a.xlsx" in refusal(lambda: check_archive(path, **LIMITS))


def test_an_xml_document_type_is_refused(tmp_path: Path) -> None:
    laughs = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><x>&b;</x>'
    path = archive(tmp_path, {"xl/workbook.xml": laughs})
    assert "holds an XML document type in 'xl/workbook.xml'" in refusal(
        lambda: check_archive(path, **LIMITS)
    )


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        (1_048_576, 1, "more than 300,000 rows"),
        (1_000, 16_000, "a sheet of 1,000 x 16,000 cells"),
        (200_000, 1_000, "a sheet of 200,000 x 1,000 cells"),
    ],
)
def test_an_ods_of_repeated_cells_is_refused(
    tmp_path: Path, rows: int, columns: int, message: str
) -> None:
    path = tmp_path / "wide.ods"
    path.write_bytes(ods([["x"]], repeat_rows=rows, repeat_columns=columns))
    error, seconds, _ = measured(lambda: open_workbook(path))
    assert message in str(error)
    assert seconds < 0.5


def test_an_ods_without_an_end_tag_does_not_hang(tmp_path: Path) -> None:
    path = tmp_path / "cut.ods"
    source = io.BytesIO(ods([["a", "b"], ["1", "2"]]))
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).partition(b"</table:table>")[0])
    assert "cut.ods is damaged or was cut off: 'content.xml' is not XML" in refusal(
        lambda: open_workbook(path)
    )


def test_an_ods_padded_with_blank_cells_is_read(tmp_path: Path) -> None:
    padding = (
        b'<table:table-row table:number-rows-repeated="1048000"><table:table-cell '
        b'table:number-columns-repeated="16384"/></table:table-row></table:table>'
    )
    path = tmp_path / "padded.ods"
    source = io.BytesIO(ods([["a", "b"], ["1", "2"]]))
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b"</table:table>", padding))
    assert [list(cells) for _, cells in open_workbook(path).rows] == [["1", "2"]]


# -------------------------------------------------------------------------------------------------- csv

CSV: list[tuple[bytes, dict[str, Any], list[tuple[int, list[str]]]]] = [
    (b"a,b\n1,2\n", {}, [(2, ["1", "2"])]),
    (b"a;b\r\n1;2\r\n", {}, [(2, ["1", "2"])]),
    (b"a\tb\n1\t2", {}, [(2, ["1", "2"])]),
    (b"\xef\xbb\xbfa;b\n1;2\n", {}, [(2, ["1", "2"])]),
    (b"sep=;\r\na;b\r\n1,5;2\r\n", {}, [(3, ["1,5", "2"])]),
    (b"SEP=,\na,b;c\n1,2\n", {}, [(3, ["1", "2"])]),
    (b"\n\na,b\n\n1,2\n\n", {}, [(5, ["1", "2"])]),
    (b"a,b\n,\n1,2\n", {}, [(3, ["1", "2"])]),
    (b"Title\na,b\n1,2\n", {"header_row": 2}, [(3, ["1", "2"])]),
    (b'a,b\n"x\ny",2\n3,4\n', {}, [(2, ["x\ny", "2"]), (4, ["3", "4"])]),
    (b'a,b\n"say ""hi""",2\n', {}, [(2, ['say "hi"', "2"])]),
    (b"a;b,c\n1;2\n", {"delimiter": ";"}, [(2, ["1", "2"])]),
    ("a;b\nZürich;2\n".encode("cp1252"), {"encoding": "cp1252"}, [(2, ["Zürich", "2"])]),
    (b"only\nx\n", {}, [(2, ["x"])]),
    (b"a,b\n", {}, []),
]

BAD_CSV: list[tuple[bytes, str]] = [
    (b"", "leads.csv is empty (0 bytes)"),
    (b"\n \n;;\n", "leads.csv: found no heading; export the list with its headings"),
    (b"a,b\n1\n", "line 2: found 1 cells under 2 headings"),
    (b"a,b\n1,2\n1,2,3\n", "line 3: found 3 cells under 2 headings"),
    (b'a,b\n1,2\n"x,2\n3,4\n', "from line 3: found a quotation mark opens and never closes"),
    (b'a,b\n"x"y,2\n', "from line 2: found a cell that is not CSV"),
    (
        b"a,b\n" + b"x" * 140_000 + b",2\n",
        "from line 2: found a cell of more than 131,072 characters",
    ),
    (b"a,b\n" + b"x" * 2_100_000, "line 2: found a line of 2,000,000 characters or more"),
    (b"a,b\n1,2\n\x00,3\n", "line 3: found a NUL character"),
    (b"a,b\n1,2\nZ\xfcrich,3\n", "line 3: found byte 0xfc at position 2, which is not utf-8"),
    (b"a,b;c\n1,2\n", "line 1: the headings can be split at ';' and ',' alike"),
    ("a,b\n1,2\n".encode("utf-16"), 'leads.csv is UTF-16 text; save it as "CSV UTF-8"'),
    (b"PK\x03\x04 and so on", "leads.csv is a workbook, not CSV"),
    (ENCRYPTED, "leads.csv is a workbook, not CSV"),
    (b'"a,b\n1,2\n', "from line 1: found a quotation mark opens and never closes"),
]


@pytest.mark.parametrize(("content", "options", "expected"), CSV)
def test_csv_is_read_with_line_numbers(
    tmp_path: Path, content: bytes, options: dict[str, Any], expected: list[tuple[int, list[str]]]
) -> None:
    assert rows_of(tmp_path, content, **options) == expected


@pytest.mark.parametrize(("content", "message"), BAD_CSV)
def test_csv_that_would_lose_rows_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    assert message in refusal(lambda: rows_of(tmp_path, content))


def test_cp1252_has_bytes_that_mean_nothing(tmp_path: Path) -> None:
    message = refusal(lambda: rows_of(tmp_path, b"a,b\n\x81,2\n", encoding="cp1252"))
    assert "line 2: found byte 0x81 at position 1, which is not cp1252" in message


def test_a_bad_byte_far_into_a_csv_is_found(tmp_path: Path) -> None:
    content = b"a,b\n" + b"1,2\n" * 50_000 + b"\xff,2\n"
    assert "leads.csv, line 50002: found byte 0xff" in refusal(lambda: rows_of(tmp_path, content))


def test_a_csv_cut_at_the_end_of_a_row_looks_complete(tmp_path: Path) -> None:
    # The limit that no reader of the file alone can see; the module says so.
    assert rows_of(tmp_path, b"a,b\n1,2\n") == [(2, ["1", "2"])]
    assert rows_of(tmp_path, b"a,b\n1,2\n3,4\n") == [(2, ["1", "2"]), (3, ["3", "4"])]


def test_a_csv_is_read_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "leads.csv"
    path.write_bytes(b"a,b\n" + b"some text,more text\n" * 100_000)
    tracemalloc.start()
    with open_csv(path) as table:
        assert sum(1 for _ in table.rows) == 100_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


def test_cells_of_a_csv_have_line_and_column() -> None:
    with csv_table(lambda: io.BytesIO(b"when\nx\n"), "a list") as table:
        assert table.at(2, 0) == "a list, line 2, column 'when'"


# ------------------------------------------------------------------------------- files that change


def test_a_file_that_changes_while_read_is_read_again_once(tmp_path: Path) -> None:
    path = tmp_path / "leads.csv"
    path.write_text("a")
    os.utime(path, ns=(0, 1_000_000_000))
    reads: list[str] = []

    def read() -> str:
        reads.append(path.read_text())
        if len(reads) == 1:
            path.write_text("ab")
            os.utime(path, ns=(0, 2_000_000_000))
        return reads[-1]

    assert read_unchanged(path, read) == ("ab", datetime(1970, 1, 1, 0, 0, 2, tzinfo=UTC))


def test_a_file_that_keeps_changing_is_transient(tmp_path: Path) -> None:
    path = tmp_path / "leads.csv"
    path.write_text("a")

    def read() -> None:
        path.write_text(path.read_text() + "a")
        raise TableError("half a row", "wait")

    error = refused(lambda: read_unchanged(path, read))
    assert "leads.csv changed while it was being read, twice" in str(error)
    assert error.reason is Reason.TRANSIENT


def test_a_share_that_fails_in_mid_read_is_transient(tmp_path: Path) -> None:
    def read() -> None:
        raise OSError(116, "Stale file handle")

    error = refused(lambda: read_unchanged(tmp_path / "leads.csv", read))
    assert "leads.csv cannot be read (Stale file handle)" in str(error)
    assert error.reason is Reason.TRANSIENT


# --------------------------------------------------------------------------------------- Google sheets


@pytest.fixture(scope="module")
def served() -> Iterator[GoogleSheets]:
    with google_sheets(seconds=2.0, largest=100_000) as sheets:
        yield sheets


@pytest.fixture
def google(served: GoogleSheets) -> GoogleSheets:
    served.replies.clear()
    served.asked.clear()
    served.headers.clear()
    return served


BASE = f"https://docs.google.com/spreadsheets/d/{KEY}"
PUBLISHED = "https://docs.google.com/spreadsheets/d/e/2PACX-1vAbCdEfGhIjKlMnOp/pub"


@pytest.mark.parametrize(
    ("link", "address"),
    [
        (f"{BASE}/edit?gid=7#gid=7", f"{BASE}/export?format=csv&gid=7"),
        (f"{BASE}/edit#gid=0", f"{BASE}/export?format=csv&gid=0"),
        (f"{BASE}/edit?usp=sharing", f"{BASE}/export?format=csv"),
        (f"  {BASE}  ", f"{BASE}/export?format=csv"),
        (f"{BASE}/export?format=xlsx&gid=3", f"{BASE}/export?format=csv&gid=3"),
        (f"{PUBLISHED}?gid=0&single=true&output=csv", f"{PUBLISHED}?output=csv&gid=0&single=true"),
        (f"{BASE}/edit#gid=1;drop", f"{BASE}/export?format=csv"),
    ],
)
def test_a_link_becomes_the_address_of_its_export(link: str, address: str) -> None:
    assert export_address(link, "csv") == address


def test_a_workbook_is_exported_whole() -> None:
    assert export_address(LINK, "xlsx") == f"{BASE}/export?format=xlsx"


@pytest.mark.parametrize(
    "link",
    [
        f"http://docs.google.com/spreadsheets/d/{KEY}/edit",
        f"https://docs.google.com.evil.example/spreadsheets/d/{KEY}/edit",
        f"https://docs.google.com@evil.example/spreadsheets/d/{KEY}/edit",
        f"https://user@docs.google.com/spreadsheets/d/{KEY}/edit",
        f"https://docs.google.com:8443/spreadsheets/d/{KEY}/edit",
        f"https://docs.google.com:x/spreadsheets/d/{KEY}/edit",
        "https://docs.google.com/document/d/1aBcDeFgHiJkLmNo/edit",
        "https://docs.google.com/spreadsheets/d/../../x",
        "file:///etc/passwd",
        "",
    ],
)
def test_any_other_address_is_refused_without_showing_it(link: str) -> None:
    error = refused(lambda: export_address(link, "csv"))
    assert error.reason is None
    assert KEY not in str(error)


def test_a_link_says_whether_it_names_a_sheet() -> None:
    assert names_sheet(LINK)
    assert not names_sheet(f"{BASE}/edit")


def test_a_shared_sheet_is_fetched_without_cookies(google: GoogleSheets) -> None:
    headers = {"Last-Modified": "Sun, 01 Nov 2026 08:00:00 GMT", "Set-Cookie": "a=b"}
    google.share(Reply(b"a,b\n1,2\n", headers=headers))
    download = fetch(LINK, web=google.web)
    assert download.content == b"a,b\n1,2\n"
    assert download.as_of == datetime(2026, 11, 1, 8, tzinfo=UTC)
    assert "Cookie" not in google.headers[0]


def test_a_redirect_to_googles_storage_is_followed(google: GoogleSheets) -> None:
    storage = "doc-0c-sheets.googleusercontent.com"
    google.share(Reply(status=307, headers={"Location": f"https://{storage}/export/x"}))
    google.share(Reply(b"a\n1\n"), "/export/x", storage)
    assert fetch(LINK, web=google.web).content == b"a\n1\n"
    assert google.asked == [f"docs.google.com {EXPORT}", f"{storage} /export/x"]


def redirect(address: str) -> Reply:
    return Reply(status=302, headers={"Location": address})


GOOGLE: list[tuple[Reply, Reason | None, str]] = [
    (Reply(b"<html>", content_type="text/html; charset=UTF-8"), Reason.AUTH, "a web page instead"),
    (Reply(b"\n<!DOCTYPE html>"), Reason.AUTH, "answered with a web page"),
    (Reply(b"x", content_type="application/pdf"), Reason.AUTH, "found 'application/pdf'"),
    (redirect("https://accounts.google.com/ServiceLogin"), Reason.AUTH, "Google's login page"),
    (redirect("https://evil.example/x"), Reason.AUTH, "a redirect to 'evil.example'"),
    (redirect("https://googleusercontent.com.evil.example/"), Reason.AUTH, "a redirect to"),
    (redirect("http://docs.google.com/x"), Reason.AUTH, "a redirect to 'docs.google.com'"),
    (redirect("https://docs.google.com:8443/x"), Reason.AUTH, "a redirect to"),
    (redirect(f"https://docs.google.com{EXPORT}"), Reason.TRANSIENT, "HTTP 302"),
    (Reply(status=401), Reason.AUTH, "is not shared (HTTP 401); share it with anyone"),
    (Reply(status=403), Reason.AUTH, "allow download"),
    (Reply(status=404), None, "does not exist (HTTP 404)"),
    (Reply(status=429), Reason.QUOTA, "HTTP 429"),
    (Reply(status=503), Reason.TRANSIENT, "HTTP 503"),
    (Reply(b"x" * 100_001), Reason.OVERFLOW, "more than 100,000 bytes"),
    (Reply(b"a,b\n", promised=900), Reason.TRANSIENT, "cannot be reached (IncompleteRead)"),
    (Reply(b"a,b\n", seconds=2.5), Reason.TRANSIENT, "did not answer in"),
]


@pytest.mark.parametrize(("reply", "reason", "message"), GOOGLE)
def test_anything_but_the_sheet_is_refused(
    google: GoogleSheets, reply: Reply, reason: Reason | None, message: str
) -> None:
    google.share(reply)
    error = refused(lambda: fetch(LINK, web=google.web))
    assert message in str(error)
    assert error.reason is reason
    assert KEY not in str(error)


def test_six_redirects_are_too_many(google: GoogleSheets) -> None:
    google.share(redirect("https://docs.google.com/1"))
    for number in range(1, 8):
        google.share(redirect(f"https://docs.google.com/{number + 1}"), f"/{number}")
    assert "cannot be had now" in refusal(lambda: fetch(LINK, web=google.web))
    assert len(google.asked) == 6


def test_a_server_without_a_trusted_certificate_is_refused(google: GoogleSheets) -> None:
    google.share(Reply(b"a,b\n"))
    error = refused(lambda: fetch(LINK, web=Web(reach=google.web.reach, seconds=2.0)))
    assert "certificate of the server is not trusted" in str(error)
    assert google.asked == []


def test_a_network_that_is_down_is_transient() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = unused.getsockname()
        error = refused(lambda: fetch(LINK, web=Web(reach=lambda _host, _port: address)))
    assert "the Google sheet cannot be reached (ConnectionRefusedError)" in str(error)
    assert error.reason is Reason.TRANSIENT


# --------------------------------------------------------------------------------------------- material


def refused(call: Callable[[], object]) -> TableError:
    with pytest.raises(TableError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return caught.value


def refusal(call: Callable[[], object]) -> str:
    return str(refused(call))


def measured(call: Callable[[], object]) -> tuple[TableError, float, int]:
    tracemalloc.start()
    started = time.process_time()
    error = refused(call)
    seconds = time.process_time() - started
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return error, seconds, peak


def archive(folder: Path, parts: dict[str, bytes]) -> Path:
    path = folder / "a.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
        for name, content in parts.items():
            book.writestr(name, content)
    return path


def workbook(
    folder: Path,
    rows: list[list[str]],
    *,
    hidden: list[int] | None = None,
    merged: tuple[int, int, int, int] | None = None,
    sheets: int = 1,
) -> Path:
    import xlsxwriter

    path = folder / "book.xlsx"
    with xlsxwriter.Workbook(path) as book:
        first, *_ = [book.add_worksheet() for _ in range(sheets)]
        for number, cells in enumerate(rows):
            for column, cell in enumerate(cells):
                if cell:
                    first.write_string(number, column, cell)
        for number in hidden or []:
            first.set_row(number, None, None, {"hidden": True})
        if merged:
            first.merge_range(*merged, "merged")
    return path


def raw_workbook(folder: Path, rows: bytes) -> Path:
    """A workbook whose one sheet holds the given row elements."""
    source = workbook(folder, [["a"]])
    path = folder / "raw.xlsx"
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith("sheet1.xml"):
                head, _, tail = content.partition(b"<sheetData>")
                noise = os.urandom(100_000).hex().encode()  # so that it is no bomb by its ratio
                content = (
                    head
                    + b"<sheetData>"
                    + rows
                    + b"<!-- "
                    + noise
                    + b" --></sheetData>"
                    + tail.partition(b"</sheetData>")[2]
                )
            new.writestr(name, content)
    return path


def rows_of(folder: Path, content: bytes, **options: Any) -> list[tuple[int, list[Any]]]:  # noqa: ANN401 - passed through
    path = folder / "leads.csv"
    path.write_bytes(content)
    with open_csv(path, **options) as table:
        assert isinstance(table, Table)
        return [(line, list(cells)) for line, cells in table.rows]

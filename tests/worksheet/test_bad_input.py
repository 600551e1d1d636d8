"""Whatever is wrong in a worksheet becomes one sentence with file, sheet and cell."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from digest.errors import ConfigError
from digest.worksheet import check, load_plan, write_new
from digest.worksheet.layout import serial
from digest.worksheet.package import Edit, Package
from tests.worksheet.build import regions, with_cells, written

Sheets = Any  # openpyxl has no types


def changed(folder: Path, change: Callable[[Sheets], None]) -> Path:
    """The workbook of the four regions after somebody changed it and saved it with openpyxl."""
    from openpyxl import load_workbook  # type: ignore[import-untyped] # has no types

    path = written(folder)
    book = load_workbook(path)
    change(book)
    book.save(path)
    return path


def mistakes(path: Path) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load_plan(path)
    assert all("Traceback" not in mistake and mistake.strip() for mistake in caught.value.mistakes)
    return caught.value.mistakes


@dataclass(frozen=True)
class Put:
    """One cell that somebody changed."""

    sheet: str
    cell: str
    value: object
    number_format: str | None = None

    def __call__(self, book: Sheets) -> None:
        book[self.sheet][self.cell] = self.value
        if self.number_format is not None:
            book[self.sheet][self.cell].number_format = self.number_format

    def done(self, folder: Path) -> Path:
        value = "" if self.value is None else self.value
        if isinstance(value, datetime):
            value = serial(value.date())
        plain = self.number_format is None and not isinstance(value, bool)
        if plain and isinstance(value, str | int | float) and not str(value).startswith("="):
            return with_cells(written(folder), (self.sheet, self.cell, value))
        return changed(folder, self)


put = Put


GOALS, SLA = "Monthly revenue goals", "SLA"

CELLS = [
    ("text in a number cell", put(SLA, "D7", "many"), "sla.xlsx, SLA!D7: found 'many'"),
    ("negative amount", put(GOALS, "E8", -5), f"{GOALS}!E8: found -5"),
    ("two readings", put(GOALS, "E8", "1.234"), "reads as 1234 or as 1.234"),
    ("amount in another currency", put(GOALS, "E8", "USD 5000"), "USD"),
    ("an error typed in", put(SLA, "D7", "#DIV/0!"), "SLA!D7: found the error #DIV/0!"),
    ("an uncached formula", put(SLA, "D7", "=Notes!B3"), ("SLA!D7: found the formula '=Notes!B3' "
        "without a stored")),
    ("bare 4 as a rate", put(SLA, "G7", 4, "General"), "SLA!G7: found 4, which reads as 4 % or as 400 %"),
    ("bare 1 as a share", put(SLA, "E7", 1, "0.00"), "SLA!E7: found 1, which reads as 1 % or as 100 %"),
    ("400 % by its format", put(SLA, "G7", 4, "0%"), "SLA!G7: found 400 %; allowed is 0 % to 100 %"),
    ("shares of 90 %", put(SLA, "F7", 0.3), "60 % in E7 and 30 % in F7, together 90 %"),
    ("a share without the other", put(SLA, "E7", None), ("SLA!E7: found nothing, although the "
        "sales share in F7 is 40 %")),
    ("mid-month", put(SLA, "B7", datetime(2026, 1, 15)), "SLA!B7: found 2026-01-15"),  # noqa: DTZ001 - Excel has no zones
    ("no month", put(SLA, "B7", None), "SLA!B7: found nothing; write the month"),
    ("month as a number", put(SLA, "B7", 12), "SLA!B7: found 1900-01-12"),
    ("unknown segment", put(SLA, "A7", "DAHC"), "SLA!A7: found the segment 'DAHC'"),
    ("nearest segment", put(SLA, "A7", "DAHC"), "did you mean 'DACH'"),
    ("line without a segment", put(SLA, "A7", None), "SLA!A7: found nothing; name the segment"),
    ("segment twice", put(GOALS, "A9", "dach"), (f"{GOALS}!A9: found the segment 'dach' a second "
        "time, after A8")),
    ("amount without a segment", put(GOALS, "A8", None), f"{GOALS}!A8: found nothing, although D8 holds"),
    ("terms twice", put(SLA, "A8", "DACH"), "SLA!B8: found 'DACH' from 2026-01 a second time, after row 7"),
    ("unknown currency", put(GOALS, "B9", "EURO"), f"{GOALS}!B9: found 'EURO', which is no currency"),
    ("no plan rate", put(GOALS, "B9", "SEK"), (f"{GOALS}!B9: found SEK, for which the sheet "
        "'Rates' has no plan rate")),
    ("no plan currency", put(GOALS, "B4", None), f"{GOALS}!B4: found nothing; write the plan currency"),
    ("rate of 0", put("Rates", "B6", 0), "Rates!B6: found 0; a rate is above 0"),
    ("rate as text", put("Rates", "B6", "abc"), "Rates!B6: found 'abc'"),
    ("goal typed as text", put(SLA, "G22", "many"), "SLA!G22: found 'many'"),
    ("goal by hand with a fraction", put(SLA, "G22", 3.5), "SLA!G22: found 3.5"),
    ("renamed heading", put(SLA, "G6", "Closing rat"), "SLA!G6: found the heading 'Closing rat'"),
    ("missing heading", put(SLA, "G6", "Zzz"), "SLA: the heading 'Close rate' is missing in row 6"),
    ("heading twice", put(SLA, "M6", "Close rate"), "SLA!M6: found a second column 'Close rate' beside G6"),
    ("month twice", put(GOALS, "E7", datetime(2026, 1, 1)), f"{GOALS}!E7: found 2026-01 a second time"),  # noqa: DTZ001 - Excel has no zones
    ("a boolean", put(SLA, "D7", True), "SLA!D7: found True"),  # noqa: FBT003 - a cell's value
]  # fmt: skip


@pytest.mark.failure("R4")
@pytest.mark.parametrize(
    ("change", "expected"), [case[1:] for case in CELLS], ids=[case[0] for case in CELLS]
)
def test_a_wrong_cell_is_named(tmp_path: Path, change: Put, expected: str) -> None:
    found = mistakes(change.done(tmp_path))
    assert expected in "\n".join(found)
    assert all(mistake.startswith("sla.xlsx") for mistake in found)


@pytest.mark.parametrize("weight", [-0.5, 1.5])
def test_a_day_weighs_at_most_one_day(tmp_path: Path, weight: float) -> None:
    found = check(with_cells(written(tmp_path), ("Calendar", "B7", weight)))
    (wrong,) = [finding.text for finding in found if finding.level == "error"]
    assert f"Calendar!B7: found {weight}; a day weighs 0 (free) to 1" in wrong


def test_every_mistake_is_reported_at_once(tmp_path: Path) -> None:
    wrong = ((SLA, "D7", "x"), (SLA, "D8", "y"), (GOALS, "E8", "z"), (GOALS, "B9", "??"))
    text = "\n".join(mistakes(with_cells(written(tmp_path), *wrong)))
    assert all(cell in text for cell in ("SLA!D7", "SLA!D8", f"{GOALS}!E8", f"{GOALS}!B9"))


def test_merged_cells_are_named(tmp_path: Path) -> None:
    path = changed(tmp_path, lambda book: book[SLA].merge_cells("A7:A8"))
    assert "SLA!A7:A8: found merged cells" in "\n".join(mistakes(path))


@pytest.mark.failure("R4")
@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ('t="e"><f>1/0</f><v>#DIV/0!</v>', "SLA!D7: found the error #DIV/0! from '=1/0'"),
        (
            't="str"><f>""</f><v></v>',
            "where the formula gives an empty text, clear the cell",
        ),
    ],
)
def test_a_formula_in_an_input_that_gives_no_figure_is_named(
    tmp_path: Path, cell: str, expected: str
) -> None:
    path = written(tmp_path)
    package = Package(path, path.read_bytes())
    part = package._sheets[SLA]
    text = package._parts[part].decode()
    text = re.sub(r'<c r="D7"([^>]*)>.*?</c>', rf'<c r="D7"\1 {cell}</c>', text)
    package._parts[part] = text.encode()
    package.save(path)
    assert expected in "\n".join(mistakes(path))


def test_a_missing_sheet_is_named_with_what_was_found(tmp_path: Path) -> None:
    def change(book: Sheets) -> None:
        del book[SLA]
        del book.defined_names["digest_sla"]

    text = "\n".join(mistakes(changed(tmp_path, change)))
    assert "the sheet 'SLA' is missing; found 'Example - monthly revenue goals'" in text


def test_an_empty_worksheet_asks_for_a_segment(tmp_path: Path) -> None:
    path = tmp_path / "new.xlsx"
    write_new(path, language="de-CH", currency="CHF", year=2026)
    assert mistakes(path) == (
        "new.xlsx, Umsatzziele pro Monat!A8: found nothing; name at least one segment",
    )


def test_the_example_sheets_are_never_read(tmp_path: Path) -> None:
    def change(book: Sheets) -> None:
        book["Example - SLA"]["D7"] = "nonsense"
        book["Example - monthly revenue goals"]["A8"] = "Changed"

    assert regions() == load_plan(changed(tmp_path, change))


def test_renamed_sheets_and_moved_columns_are_found(tmp_path: Path) -> None:
    def change(book: Sheets) -> None:
        book[SLA].title = "Our agreement"
        book[GOALS].title = "Goals 2026 (v2)"

    assert regions() == load_plan(changed(tmp_path, change))


def test_a_workbook_of_ones_own_needs_only_the_headings(tmp_path: Path) -> None:
    from openpyxl import Workbook

    book = Workbook()
    goals = book.active
    goals.title = "Ziele"
    goals.append(["Planwährung", "CHF"])
    goals.append(["Region", "Januar 2026", "Februar 2026"])
    goals.append(["DACH", "300'000", 310_000])
    terms = book.create_sheet("Abmachung")
    terms.append(["Kanal", "Abschlussquote", "Auftragsvolumen", "Marketinganteil", "Gültig ab"])
    terms.append(["DACH", "4 %", "CHF 15'000.–", "60%", "01.2026"])
    path = tmp_path / "own.xlsx"
    book.save(path)
    plan = load_plan(path)
    assert plan.segments == ("DACH",)
    assert f"{(plan.terms[0].close_rate or 0) * 100}/100" == "4/100"


def test_a_number_typed_over_a_goal_is_a_goal_set_by_hand(tmp_path: Path) -> None:
    from digest.sla import goals

    path = changed(tmp_path, put(SLA, "G30", 280))
    plan = load_plan(path)
    found = [goals(plan, date(2026, month, 1))[0] for month in (1, 2, 3)]
    assert [(goal.goal, goal.by_hand) for goal in found] == [
        (300, False),
        (280, True),
        (300, False),
    ]


# ------------------------------------------------------------------------------------- broken files


def bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", b"0" * 200_000_000)


FILES: list[tuple[str, Callable[[Path], object], str]] = [
    ("empty", lambda path: path.write_bytes(b""), "is empty"),
    ("HTML", lambda path: path.write_bytes(b"<html><body>login</body></html>"), "HTML"),
    ("CSV named .xlsx", lambda path: path.write_bytes(b"segment;month\nDACH;2026-01\n"), "is text, not"),
    ("encrypted or .xls", lambda path: path.write_bytes(b"\xd0\xcf\x11\xe0" + bytes(600)), "password"),
    ("zip without a workbook", lambda path: zipfile.ZipFile(path, "w").close(), "damaged"),
    ("garbage", lambda path: path.write_bytes(bytes(range(256))), "not a workbook"),
    ("cut off", lambda path: path.write_bytes(written(path.parent).read_bytes()[:4000]), "damaged"),
    ("zip bomb", bomb, "200,000,000"),
    ("a folder", lambda path: path.mkdir(), "a folder"),
    ("missing", lambda _: None, "does not exist"),
]  # fmt: skip


@pytest.mark.failure("R4")
@pytest.mark.parametrize(
    ("make", "expected"), [case[1:] for case in FILES], ids=[case[0] for case in FILES]
)
def test_a_broken_file_is_refused_with_its_likely_cause(
    tmp_path: Path, make: Callable[[Path], object], expected: str
) -> None:
    path = tmp_path / "plan.xlsx"
    make(path)
    (mistake,) = mistakes(path)
    assert expected in mistake
    assert "plan.xlsx" in mistake


def test_an_entity_bomb_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path)
    package = Package(path, path.read_bytes())
    entities = "".join(
        f'<!ENTITY a{n} "{f"&a{n - 1};" * 10 if n else "x" * 100}">' for n in range(9)
    )
    part = package._sheets[SLA]
    head, rest = package._parts[part].split(b"?>", 1)
    package._parts[part] = head + b"?><!DOCTYPE x [" + entities.encode() + b"]>" + rest
    package.save(path)
    mistakes(path)


def test_rows_without_end_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path)
    package = Package(path, path.read_bytes())
    package.edit(SLA, {(5500, 3): Edit(1)})
    package.save(path)
    assert "more than 5,000 rows" in "\n".join(mistakes(path))


def test_excel_lock_files_and_other_endings_are_named(tmp_path: Path) -> None:
    (tmp_path / "~$sla.xlsx").write_bytes(b"x")
    assert "lock file" in mistakes(tmp_path / "~$sla.xlsx")[0]
    (tmp_path / "sla.ods").write_bytes(b"x")
    assert ".ods" in mistakes(tmp_path / "sla.ods")[0]


# ------------------------------------------------------------------------------------------ writing


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"language": "pt"}, "language 'pt'"),
        ({"currency": "XYZ"}, "currency 'XYZ'"),
        ({"segments": ("Total",)}, "'Total'"),
        ({"segments": ("DACH", "DACH")}, "listed twice"),
        ({"segments": ("DACH", "Süd", "süd ")}, "'Süd' and 'süd ' are the same word"),
        ({"segments": ("DACH",), "currencies": {"DAHC": "EUR"}}, "no segment 'DAHC'"),
        ({"segments": (" ",)}, "is empty"),
        ({"start_month": 13}, "month 13"),
        ({"segment_kind": "planet"}, "kind 'planet'"),
    ],
)
def test_a_worksheet_that_could_not_be_read_back_is_not_written(
    tmp_path: Path, arguments: dict[str, Any], expected: str
) -> None:
    path = tmp_path / "sla.xlsx"
    with pytest.raises(ConfigError, match=re.escape(expected)):
        write_new(path, **{"language": "en", "currency": "CHF", "year": 2026, **arguments})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["sla.csv", "sla", "sla.xlsm"])
def test_a_worksheet_that_excel_would_not_open_is_not_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"name it sla\.xlsx"):
        write_new(tmp_path / name, language="en", currency="CHF", year=2026)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_replaced_only_on_request_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "sla.xlsx"
    path.write_bytes(b"precious")
    with pytest.raises(ConfigError, match="exists already"):
        write_new(path, language="en", currency="CHF", year=2026)
    write_new(path, language="en", currency="CHF", year=2026, overwrite=True)
    assert (tmp_path / "sla.bak.xlsx").read_bytes() == b"precious"
    assert {"sla.xlsx", "sla.bak.xlsx"} == {entry.name for entry in tmp_path.iterdir()}


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing can be written"):
        write_new(tmp_path / "nowhere" / "sla.xlsx", language="en", currency="CHF", year=2026)

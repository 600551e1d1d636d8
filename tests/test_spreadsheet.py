"""The spreadsheet connector: equal counts from every kind of list, and refusals with their cell."""

from __future__ import annotations

import os
import random
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from digest.conditions import Exclusion, Filter
from digest.connectors.spreadsheet import Deals, FollowUpColumns, Spreadsheet
from digest.errors import ConfigError, ConnectorError, DigestError, Reason
from digest.model import DayCount, FollowUpRow, LeadCounts, Period, Secret, Segment, SegmentDeals
from tests.fakes.google_sheets import KEY, LINK, GoogleSheets, Reply, google_sheets
from tests.fakes.ods import ods

NOVEMBER = Period(date(2026, 11, 1), date(2026, 11, 23))
NOW = datetime(2026, 11, 23, 6, tzinfo=UTC)
SEGMENTS = (Segment("Zürich", ("Zürich", "ZH")), Segment("Romandie"))
HEADER = ("Id", "Created", "Region")
LEADS: list[Sequence[object]] = [
    (1, date(2026, 11, 2), "Zürich"),
    (2, date(2026, 11, 2), " zh "),
    (3, date(2026, 11, 3), "Romandie"),
    (4, date(2026, 11, 20), "Bern"),
    (5, date(2026, 11, 20), ""),
    (6, date(2026, 10, 31), "Zürich"),
    (7, date(2026, 11, 23), "Zürich"),
]
EXPECTED = (
    DayCount(date(2026, 11, 2), "Zürich", 2),
    DayCount(date(2026, 11, 3), "Romandie", 1),
    DayCount(date(2026, 11, 20), "", 2),
)


# ------------------------------------------------------------------------------ one list, every form


def test_a_csv_an_xlsx_an_ods_and_a_google_sheet_count_alike(tmp_path: Path) -> None:
    found = [counted(made(tmp_path, form, [HEADER, *LEADS])) for form in WRITERS]
    with google_sheets() as google:
        google.share(Reply(csv_of([HEADER, *LEADS], ",").encode()))
        found.append(counted(from_google(google)))
    for counts in found:
        assert counts.rows == EXPECTED
        assert (counts.total, counts.reconciled) == (5, True)
        assert counts.unknown == (("", 1), ("Bern", 1))


@pytest.mark.tool
def test_an_old_xls_counts_like_the_others(tmp_path: Path) -> None:
    import shutil
    import subprocess

    office = shutil.which("soffice")
    if office is None:
        pytest.skip("LibreOffice is not installed")
    made(tmp_path, "xlsx", [HEADER, *LEADS])
    command = [office, f"-env:UserInstallation=file://{tmp_path}/profile", "--headless"]
    command += ["--convert-to", "xls", "--outdir", str(tmp_path), str(tmp_path / "leads.xlsx")]
    subprocess.run(command, check=True, capture_output=True, timeout=120)  # noqa: S603 - found above
    assert counted(leads(tmp_path, "leads.xls")).rows == EXPECTED


def test_swiss_dates_and_counts_typed_as_text_are_read(tmp_path: Path) -> None:
    rows = [
        ("Tag", "Region", "Leads"),
        ("02.11.2026", "ZH", "1’200"),
        ("2.11.26", "Zürich", "3"),
        ("2026-11-03", "Romandie", " 4 "),
        ("4. November 2026", "romandie", "5"),
    ]
    for form in WRITERS:
        list_ = made(tmp_path, form, rows, dates=("Tag",), count_column="Leads", max_age="any")
        assert counted(list_).rows == (
            DayCount(date(2026, 11, 2), "Zürich", 1203),
            DayCount(date(2026, 11, 3), "Romandie", 4),
            DayCount(date(2026, 11, 4), "Romandie", 5),
        )


def test_a_list_without_leads_in_the_period_counts_zero(tmp_path: Path) -> None:
    counts = counted(made(tmp_path, "csv", [HEADER, (1, date(2026, 11, 24), "ZH")]))
    assert (counts.rows, counts.total, counts.reconciled) == ((), 0, True)


def test_as_of_is_the_time_the_file_was_saved(tmp_path: Path) -> None:
    list_ = made(tmp_path, "csv", [HEADER, *LEADS])
    os.utime(tmp_path / "leads.csv", (0, datetime(2026, 11, 22, 18, tzinfo=UTC).timestamp()))
    assert counted(list_).as_of == datetime(2026, 11, 22, 18, tzinfo=UTC)
    os.utime(tmp_path / "leads.csv", (0, NOW.timestamp() + 99))
    assert counted(list_).as_of == NOW


def test_as_of_a_google_sheet_is_what_the_server_says() -> None:
    with google_sheets() as google:
        stated = {"Last-Modified": "Sun, 22 Nov 2026 18:00:00 GMT"}
        google.share(Reply(csv_of([HEADER, *LEADS], ",").encode(), headers=stated))
        assert counted(from_google(google)).as_of == datetime(2026, 11, 22, 18, tzinfo=UTC)


def test_the_origin_names_the_file_and_never_the_link(tmp_path: Path) -> None:
    list_ = made(tmp_path, "xlsx", [HEADER, *LEADS], sheet="Leads")
    assert counted(list_).origin.source == "leads.xlsx, sheet 'Leads'"
    with google_sheets() as google:
        google.share(Reply(csv_of([HEADER, *LEADS], ",").encode()))
        secret = from_google(google, link=Secret(LINK))
        assert KEY not in repr(counted(secret))
        assert KEY not in repr(secret)


def test_names_that_look_like_formulas_are_only_names(tmp_path: Path) -> None:
    names = ["=cmd|' /C calc'!A0", "@SUM(1)", "+1", "S*", "O'Brien", "<3"]
    rows = [HEADER, *((n, date(2026, 11, 20), name) for n, name in enumerate(names))]
    for form in WRITERS:
        counts = counted(made(tmp_path, form, rows), segments=[Segment(name) for name in names[:3]])
        assert {row.segment: row.leads for row in counts.rows} == {
            "": 3,
            **dict.fromkeys(names[:3], 1),
        }
        assert [value for value, _ in counts.unknown] == ["<3", "O'Brien", "S*"]


# ------------------------------------------------------------------------------------------- days


@pytest.mark.failure("T4")
@pytest.mark.parametrize("form", ["csv", "xlsx"])
@pytest.mark.parametrize("stored_in", ["UTC", "Europe/Zurich", "America/New_York"])
def test_leads_beside_each_local_midnight_fall_on_their_day(
    tmp_path: Path, form: str, stored_in: str
) -> None:
    period = Period(date(2026, 3, 27), date(2026, 4, 1))
    instants = [
        bound + timedelta(seconds=seconds) for bound in period.bounds() for seconds in (-1, 0, 1)
    ]
    zone = ZoneInfo(stored_in)
    rows = [HEADER, *((1, i.astimezone(zone).replace(tzinfo=None), "ZH") for i in instants)]
    counts = counted(made(tmp_path, form, rows, stored_in=stored_in), period)
    assert [row.leads for row in counts.rows] == [3] * 5
    assert counts.total == 15


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_every_time_falls_on_the_day_that_brute_force_gives(
    tmp_path: Path, data: st.DataObject
) -> None:
    zones = st.sampled_from(["Europe/Zurich", "Asia/Kolkata", "America/St_Johns", "UTC"])
    timezone, stored_in = data.draw(zones), data.draw(zones)
    start = data.draw(st.dates(date(2026, 1, 1), date(2026, 12, 1)))
    period = Period(start, start + timedelta(data.draw(st.integers(1, 31))), timezone)
    moment = st.datetimes(datetime(2025, 12, 1), datetime(2027, 2, 1))  # noqa: DTZ001 - as stored
    moments = data.draw(st.lists(moment, min_size=1, max_size=30))
    form = data.draw(st.sampled_from(["csv", "csv T", "csv offset"]))
    texts = [written(moment, stored_in, form) for moment in moments]
    path = tmp_path / "leads.csv"
    path.write_text("\n".join(["Created,Region", *(f"{text},ZH" for text in texts)]))
    list_ = leads(tmp_path, stored_in=stored_in)
    local = ZoneInfo(timezone)
    days = [m.replace(tzinfo=ZoneInfo(stored_in)).astimezone(local).date() for m in moments]
    assert {row.day: row.leads for row in counted(list_, period).rows} == Counter(
        day for day in days if day in period
    )


def written(moment: datetime, zone: str, form: str) -> str:
    if form == "csv offset":
        return moment.replace(tzinfo=ZoneInfo(zone), microsecond=0).isoformat()
    return moment.isoformat("T" if form == "csv T" else " ")


def test_a_lead_counts_on_its_earliest_date(tmp_path: Path) -> None:
    rows = [
        ("Created", "Qualified", "Region"),
        ("2026-11-09", "2026-11-05", "ZH"),
        ("", "2026-11-06", "ZH"),
        ("2026-10-30", "2026-11-07", "ZH"),
        ("2026-11-20", "", "ZH"),
    ]
    counts = counted(made(tmp_path, "csv", rows, dates=("Created", "Qualified")))
    assert [(row.day.day, row.leads) for row in counts.rows] == [(5, 1), (6, 1), (20, 1)]


def test_a_row_without_a_date_is_a_mistake_or_no_lead_yet(tmp_path: Path) -> None:
    rows = [HEADER, (1, "", "ZH"), (2, date(2026, 11, 20), "ZH")]
    for form in WRITERS:
        strict = made(tmp_path, form, rows)
        assert "found nothing; fill the date, or set undated" in refusal(strict)
        assert counted(replace(strict, undated="skip")).total == 1


def test_an_error_in_a_column_that_matters_is_never_skipped(tmp_path: Path) -> None:
    import xlsxwriter  # type: ignore[import-untyped] # has no types

    with xlsxwriter.Workbook(tmp_path / "leads.xlsx") as book:
        sheet = book.add_worksheet("Leads")
        sheet.write_row(0, 0, [*HEADER, "Other"])
        sheet.write_row(1, 0, [1, "2026-11-20", "ZH"])
        sheet.write_formula(1, 3, "=1/0", None, "#DIV/0!")
        sheet.write_row(2, 0, [2, "", "ZH"])
        sheet.write_formula(2, 1, "=VLOOKUP(1,A1:A2,1)", None, "#N/A")
    found = refusal(leads(tmp_path, "leads.xlsx", undated="skip"))
    assert "leads.xlsx, sheet 'Leads', B3: found the error #N/A; correct the formula" in found


@pytest.mark.failure("R4")
@pytest.mark.parametrize("column", ["B", "C"])
def test_a_formula_that_was_never_computed_is_no_blank_cell(tmp_path: Path, column: str) -> None:
    import openpyxl  # type: ignore[import-untyped] # has no types

    book = openpyxl.Workbook()
    book.active.title = "Leads"
    for row in (HEADER, [1, "2026-11-20", "ZH"], [2, "2026-11-20", "ZH"]):
        book.active.append(row)
    book.active[f"{column}3"] = "=VLOOKUP(1,A1:A2,1)"
    book.save(tmp_path / "leads.xlsx")
    assert refusal(leads(tmp_path, "leads.xlsx", undated="skip")) == (
        f"spreadsheet: leads.xlsx, sheet 'Leads', {column}3: found a formula without a stored value; open "
        "the file in Excel or LibreOffice and save it"
    )


def test_a_formula_whose_value_is_an_empty_text_is_a_blank_cell(tmp_path: Path) -> None:
    import xlsxwriter

    path = tmp_path / "leads.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet("Leads")
        sheet.write_row(0, 0, HEADER)
        sheet.write_row(1, 0, [1, "2026-11-20", "ZH"])
        sheet.write_row(2, 0, [2, "2026-11-20"])
        sheet.write_formula(2, 2, '=""', None, " ")
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    part = "xl/worksheets/sheet1.xml"
    # As Excel writes it; XlsxWriter cannot.
    parts[part] = parts[part].replace(b"<v> </v>", b"<v></v>")
    assert b't="str"><f>""</f><v></v></c>' in parts[part]
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    assert counted(leads(tmp_path, "leads.xlsx")).total == 2


# ------------------------------------------------------------------------------------------ rules


RULES: list[tuple[Filter, str]] = [
    (Filter("Region", "=", "zürich"), "ab"),
    (Filter("Region", "!=", "Zürich"), "cdef"),
    (Filter("Region", "in", ("ZÜRICH", "Bern")), "abd"),
    (Filter("Region", "not in", ("Zürich", "Bern")), "cef"),
    (Filter("Region", "is null"), "f"),
    (Filter("Region", "is not null"), "abcde"),
    (Filter("Mail", "like", "%@TEST.example"), "bd"),
    (Filter("Mail", "like", "_@crm.example"), "acef"),
    (Filter("Score", "<", 10), "a"),
    (Filter("Score", "<=", 10), "ab"),
    (Filter("Score", ">", 10), "cd"),
    (Filter("Score", ">=", 10.5), "cd"),
    (Filter("Score", "=", 1200), "d"),
    (Filter("Score", "!=", 10), "acdef"),
    (Filter("Created", ">=", date(2026, 11, 19)), "ef"),
    (Filter("Test", "=", value=True), "e"),
]
RULED: list[Sequence[object]] = [
    ("Id", "Created", "Region", "Mail", "Score", "Test"),
    ("a", "2026-11-16", "Zürich", "a@crm.example", "9.5", "FALSE"),
    ("b", "2026-11-16", "zürich ", "b@test.example", "10", "false"),
    ("c", "2026-11-17", "Romandie", "c@crm.example", "11", ""),
    ("d", "2026-11-18", "Bern", "d@Test.example", "1’200", ""),
    ("e", "2026-11-19", "Genf", "e@crm.example", "", "true"),
    ("f", "2026-11-20", "", "f@crm.example", "", ""),
]


@pytest.mark.parametrize(("rule", "kept"), RULES)
def test_a_filter_keeps_and_an_exclusion_takes_out(tmp_path: Path, rule: Filter, kept: str) -> None:
    by_id = {"segment": "Id", "max_age": "any"}
    filtered = made(tmp_path, "csv", RULED, **by_id, filters=(rule,))
    assert "".join(sorted(value for value, _ in counted(filtered).unknown)) == kept
    excluding = made(tmp_path, "csv", RULED, **by_id, exclusions=(Exclusion("rule", (rule,)),))
    counts = counted(excluding)
    assert "".join(sorted(value for value, _ in counts.unknown)) == "".join(
        letter for letter in "abcdef" if letter not in kept
    )
    assert counts.excluded == (("rule", len(kept)),)


def test_a_row_counts_for_the_first_exclusion_that_takes_it(tmp_path: Path) -> None:
    rules = (
        Exclusion("test leads", (Filter("Mail", "like", "%@test.example"),)),
        Exclusion("Zürich", (Filter("Region", "=", "Zürich"), Filter("Score", "<", 100))),
        Exclusion("nothing", (Filter("Region", "=", "Basel"),)),
    )
    counts = counted(made(tmp_path, "csv", RULED, exclusions=rules))
    assert counts.excluded == (("test leads", 2), ("Zürich", 1), ("nothing", 0))
    assert counts.total == 3


def test_a_number_filter_on_text_names_the_cell(tmp_path: Path) -> None:
    list_ = made(tmp_path, "csv", RULED, filters=(Filter("Region", ">", 5),))
    assert "leads.csv, line 2, column 'Region': found 'Zürich'; a number is needed" in refusal(
        list_
    )


# ---------------------------------------------------------------------------------------- refusals

CELLS: list[tuple[str, dict[str, Any], str, str]] = [
    ("11/01/2026", {}, "C3", "reads as 2026-01-11 or as 2026-11-01"),
    ("gestern", {}, "C3", "found 'gestern'; a date is needed"),
    ("46327", {}, "C3", "found '46327'"),
    ("2026-11-20 08:00", {}, "C3", "a time without a zone; declare stored_in"),
    ("2026-11-20T08:00:00Z", {"stored_in": "UTC"}, "C3", "with a time zone below values without"),
    ("31.11.2026", {}, "C3", "which is no day of the calendar"),
    ("2026-11-20T", {"stored_in": "UTC"}, "C3", "found '2026-11-20T'"),
]


@pytest.mark.parametrize(("value", "options", "cell", "message"), CELLS)
def test_a_date_that_cannot_be_read_is_refused_with_its_cell(
    tmp_path: Path, value: str, options: dict[str, Any], cell: str, message: str
) -> None:
    rows = [("", "Id", "Created", "Region"), ("", 1, "2026-11-20", "ZH"), ("", 2, value, "ZH")]
    error = refused(made(tmp_path, "xlsx", rows, **options))
    assert error.reason is Reason.UNRECONCILED
    assert str(error).startswith(f"spreadsheet: leads.xlsx, sheet 'Leads', {cell}: found ")
    assert message in str(error)
    in_csv = refused(made(tmp_path, "csv", rows, **options))
    assert str(in_csv).startswith("spreadsheet: leads.csv, line 3, column 'Created': found ")
    assert message in str(in_csv)


@pytest.mark.parametrize("value", ["3.5", "-1", "viele", "", "1.234"])
def test_a_count_that_cannot_be_read_is_refused_with_its_cell(tmp_path: Path, value: str) -> None:
    rows = [("Day", "Region", "Leads"), ("2026-11-20", "ZH", value)]
    list_ = made(tmp_path, "xlsx", rows, dates=("Day",), count_column="Leads")
    assert "leads.xlsx, sheet 'Leads', C2: found " in refusal(list_)


def test_a_locale_settles_a_count(tmp_path: Path) -> None:
    rows = [("Day", "Region", "Leads"), ("2026-11-20", "ZH", "1.234")]
    list_ = made(tmp_path, "csv", rows, dates=("Day",), count_column="Leads", locale="de")
    assert counted(list_).total == 1234


def test_a_date_order_settles_a_date(tmp_path: Path) -> None:
    rows = [HEADER, (1, "11/20/2026", "ZH"), (2, "11/02/2026", "ZH")]
    counts = counted(made(tmp_path, "csv", rows, date_order="mdy"))
    assert [row.day.day for row in counts.rows] == [2, 20]


@pytest.mark.failure("D8")
def test_an_export_appended_twice_is_refused(tmp_path: Path) -> None:
    rows = [HEADER, *LEADS, LEADS[0]]
    list_ = made(tmp_path, "xlsx", rows, duplicate_key="Id")
    assert "A9: found the key of row 2 again; remove the copy" in refusal(list_)
    assert counted(made(tmp_path, "xlsx", rows[:-1], duplicate_key="Id")).total == 5
    nameless = made(tmp_path, "csv", [HEADER, ("", "2026-11-20", "ZH")], duplicate_key="Id")
    assert "column 'Id': found nothing; give each lead its key" in refusal(nameless)


def test_a_list_that_ended_too_early_is_stale(tmp_path: Path) -> None:
    def ending(day: date, **options: Any) -> Spreadsheet:  # noqa: ANN401 - passed through
        return made(tmp_path, "csv", [HEADER, (1, day, "ZH")], **options)

    # The cut-off is Sunday 22 November; three workdays before it is Wednesday the 18th.
    assert counted(ending(date(2026, 11, 18))).total == 1
    error = refused(ending(date(2026, 11, 17)))
    assert error.reason is Reason.STALE
    assert "leads.csv: the list ends on 2026-11-17, the newest row must be from 2026-11-18" in str(
        error
    )
    assert counted(ending(date(2026, 11, 15), max_age="7 days")).total == 1
    assert "max_age 7 days" in refusal(ending(date(2026, 11, 14), max_age="7 days"))
    assert counted(ending(date(2026, 11, 2), max_age="any")).total == 1


def test_a_list_without_rows_is_stale_and_not_zero(tmp_path: Path) -> None:
    empty = made(tmp_path, "csv", [HEADER])
    assert "the list has no rows with a date" in refusal(empty)
    assert counted(replace(empty, max_age="any")).total == 0


def test_the_age_of_times_is_that_of_the_newest(tmp_path: Path) -> None:
    rows = [HEADER, (1, "2026-11-17 23:30:00", "ZH"), (2, "2026-11-16 08:00:00", "ZH")]
    assert counted(made(tmp_path, "csv", rows, stored_in="UTC")).total == 2  # the 18th in Zürich
    assert "the list ends on 2026-11-17" in refusal(
        made(tmp_path, "csv", rows, stored_in="Europe/Zurich")
    )


@pytest.mark.failure("D9")
def test_a_segment_column_that_is_an_id_overflows(tmp_path: Path) -> None:
    path = tmp_path / "leads.csv"
    path.write_text("Created,Region\n" + "".join(f"2026-11-20,{n}\n" for n in range(10_001)))
    error = refused(leads(tmp_path))
    assert error.reason is Reason.OVERFLOW
    assert "column 'Region' has too many values" in str(error)


@pytest.mark.failure("D11")
def test_what_the_settings_name_must_exist(tmp_path: Path) -> None:
    list_ = made(tmp_path, "xlsx", [HEADER, *LEADS])
    wrong: list[tuple[Spreadsheet, str]] = [
        (replace(list_, file=Path("lead.xlsx")), "does not exist; did you mean 'leads.xlsx'?"),
        (replace(list_, sheet="Lead"), "has no sheet 'Lead', found 'Leads'"),
        (replace(list_, segment="Regoin"), "no column is headed 'Regoin'"),
        (replace(list_, dates=("Creatd",)), "did you mean 'Created'?"),
        (replace(list_, filters=(Filter("Owner", "is null"),)), "no column is headed 'Owner'"),
        (replace(list_, count_column="Leads"), "no column is headed 'Leads'"),
        (replace(list_, duplicate_key="Key"), "no column is headed 'Key'"),
    ]
    for broken, message in wrong:
        with pytest.raises(ConfigError) as caught:
            counted(broken)
        assert message in str(caught.value)
        assert str(caught.value).startswith("spreadsheet: ")


def test_overlapping_segments_are_refused_before_reading() -> None:
    with pytest.raises(ConfigError, match="belongs to both"):
        counted(leads(Path("/nowhere")), segments=[Segment("A", ("x",)), Segment("B", ("X ",))])


def test_a_sheet_beside_a_link_is_refused() -> None:
    with google_sheets() as google:
        with pytest.raises(ConfigError, match="a link names its sheet itself"):
            counted(from_google(google, sheet="Leads"))
        assert google.asked == []


def test_a_google_sheet_that_is_not_shared_is_an_auth_error() -> None:
    with google_sheets() as google:
        google.share(Reply(b"<html>", content_type="text/html"))
        assert refused(from_google(google)).reason is Reason.AUTH


def test_a_home_folder_is_understood(tmp_path: Path) -> None:
    error = refusal_of_config(leads(tmp_path, "~/no-such-folder/leads.csv"))
    assert str(Path("~/no-such-folder/leads.csv").expanduser()) in error


@pytest.mark.parametrize("name", ["~$leads.xlsx", "~nobody-of-this-name/leads.csv"])
def test_a_name_that_only_looks_like_a_home_folder_is_a_plain_mistake(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / "~$leads.xlsx").write_bytes(b"\x05user")
    found = refusal_of_config(leads(tmp_path, name))
    assert "name the workbook itself, 'leads.xlsx'" in found or "does not exist" in found


# ------------------------------------------------------------------------------------------- deals

DEALS: list[Sequence[object]] = [
    ("Closed", "Region", "Stage", "Amount", "Currency"),
    ("2026-06-10", "ZH", "Won", "CHF 10’000.–", ""),
    ("2026-07-10", "Zürich", "won ", "5000", "chf"),
    ("2026-07-11", "ZH", "Won", "", "CHF"),
    ("2026-07-12", "ZH", "Won", "€ 900", "EUR"),
    ("2026-08-01", "ZH", "Lost", "", ""),
    ("2026-08-02", "ZH", "Negotiation", "no number", "???"),
    ("2026-08-03", "Romandie", "Lost", "", "CHF"),
    ("2026-08-04", "Genf", "Won", "0", "CHF"),
    ("2026-05-31", "ZH", "Won", "1", "CHF"),
    ("2026-11-01", "ZH", "Won", "1", "CHF"),
]
WINDOW = Period(date(2026, 6, 1), date(2026, 11, 1))
MEASURED = Deals(
    closed="Closed", segment="Region", outcome="Stage", won=("won",), lost=("Lost",), amount="Amount",
    currency_column="Currency", file=Path("deals.csv"),
)  # fmt: skip
FUNNEL: list[Sequence[object]] = [
    ("Created", "Region", "Customer since"),
    ("2026-06-01", "ZH", "2026-07-10"),
    ("2026-06-02", "ZH", ""),
    ("2026-07-01", "Romandie", "2026-11-05"),
    ("2026-01-05", "ZH", "2026-06-10"),
    ("2026-11-20", "ZH", ""),
]


def with_deals(folder: Path, deals: Deals = MEASURED, **options: Any) -> Spreadsheet:  # noqa: ANN401 - passed through
    (folder / "deals.csv").write_text(csv_of(DEALS, ";"))
    return made(folder, "csv", FUNNEL, **{"deals": deals, "customer": "Customer since", **options})


def test_deals_are_measured_per_segment_and_currency(tmp_path: Path) -> None:
    measured = with_deals(tmp_path).deal_statistics(window=WINDOW, segments=SEGMENTS, now=NOW)
    assert measured.segments == (
        SegmentDeals(
            "Zürich", 3, 1, Decimal(15000), 2, "CHF", leads=2, customers=2, cohort_customers=1
        ),
        SegmentDeals(
            "Zürich", 1, 0, Decimal(900), 1, "EUR", leads=0, customers=0, cohort_customers=0
        ),
        SegmentDeals(
            "Romandie", 0, 1, Decimal(0), 0, "CHF", leads=1, customers=0, cohort_customers=1
        ),
        SegmentDeals("", 1, 0, Decimal(0), 0, "CHF", leads=0, customers=0, cohort_customers=0),
    )
    assert measured.origin.source == "deals.csv"
    assert measured.window == WINDOW


def test_without_a_customer_column_a_won_deal_is_a_customer(tmp_path: Path) -> None:
    list_ = with_deals(tmp_path, customer=None)
    measured = list_.deal_statistics(window=WINDOW, segments=SEGMENTS, now=NOW)
    assert [(s.customers, s.cohort_customers) for s in measured.segments] == [
        (4, 4), (0, 0), (0, 0), (1, 1),
    ]  # fmt: skip


def test_deals_on_another_sheet_of_the_same_workbook(tmp_path: Path) -> None:
    import xlsxwriter

    with xlsxwriter.Workbook(tmp_path / "leads.xlsx") as book:
        for name, rows in (("Leads", FUNNEL), ("Deals", DEALS)):
            sheet = book.add_worksheet(name)
            for number, cells in enumerate(rows):
                sheet.write_row(number, 0, cells)
    deals = replace(MEASURED, file=None, sheet="Deals")
    list_ = leads(tmp_path, "leads.xlsx", sheet="Leads", deals=deals, customer="Customer since")
    measured = list_.deal_statistics(window=WINDOW, segments=SEGMENTS, now=NOW)
    assert measured.segments[0].won_amount == 15000
    assert measured.origin.source == "leads.xlsx, sheet 'Deals'"


BAD_DEALS: list[tuple[Sequence[object], dict[str, Any], str]] = [
    (
        ("2026-07-10", "ZH", "Won", "1.234", "CHF"),
        {},
        "column 'Amount': found '1.234', which reads",
    ),
    (
        ("2026-07-10", "ZH", "Won", "12", "CFH"),
        {},
        "found 'CFH', no ISO 4217 currency; did you mean",
    ),
    (("2026-07-10", "ZH", "Won", "EUR 12", "CHF"), {}, "found EUR, although the deal is in CHF"),
    (("2026-07-10", "ZH", "Won", "12", ""), {}, "an amount without a currency; set currency or"),
    (("2026-07-10", "ZH", "Won", "$ 12", "CHF"), {}, "$ is used by several currencies"),
    (("10/07/2026", "ZH", "Won", "12", "CHF"), {}, "column 'Closed': found '10/07/2026'"),
    (("", "ZH", "Won", "12", "CHF"), {}, "column 'Closed': found nothing"),
]


@pytest.mark.parametrize(("deal", "options", "message"), BAD_DEALS)
def test_a_deal_that_cannot_be_read_is_refused_with_its_cell(
    tmp_path: Path, deal: Sequence[object], options: dict[str, Any], message: str
) -> None:
    list_ = with_deals(tmp_path, replace(MEASURED, **options))
    (tmp_path / "deals.csv").write_text(csv_of([DEALS[0], deal], ";"))
    with pytest.raises(ConnectorError) as caught:
        list_.deal_statistics(window=WINDOW, segments=SEGMENTS, now=NOW)
    assert "deals.csv, line 2, column " in str(caught.value)
    assert message in str(caught.value)


def test_deals_without_settings_are_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"add \[connector.deals\]"):
        leads(tmp_path).deal_statistics(window=WINDOW, segments=SEGMENTS, now=NOW)


# --------------------------------------------------------------------------------------- follow-up

FOLLOWED: list[Sequence[object]] = [
    ("Created", "Region", "Assigned", "First call", "Calls", "State"),
    ("2026-11-02", "ZH", "2026-11-02 09:00", "2026-11-02 11:30", "2", "Accepted"),
    ("2026-11-03", "Genf", "2026-11-03 09:00", "", "", "Disqualified"),
    ("2026-11-04", "ZH", "", "", "", ""),
    ("2026-11-05", "ZH", "2026-11-05 09:00", "2026-12-01 09:00", "0", "Called"),
    ("2026-11-20", "ZH", "2026-10-31 23:59", "2026-11-02 09:00", "1", "Accepted"),
]
FOLLOW = FollowUpColumns(
    clock_start="Assigned", first_response="First call", attempts="Calls", outcome="State",
    accepted=("accepted",), rejected=("disqualified",), stored_in="Europe/Zurich",
)  # fmt: skip


def test_follow_up_gives_times_and_counts_without_identity(tmp_path: Path) -> None:
    list_ = made(tmp_path, "csv", FOLLOWED, follow_up_columns=FOLLOW)
    rows = list_.follow_up(period=NOVEMBER, segments=SEGMENTS, now=NOW)
    eight = datetime(2026, 11, 2, 8, tzinfo=UTC)
    response = datetime(2026, 11, 2, 10, 30, tzinfo=UTC)
    assert rows == (
        FollowUpRow("Zürich", eight, response, 2, "accepted"),
        FollowUpRow("", eight + timedelta(days=1), None, 0, "rejected"),
        FollowUpRow("Zürich", eight + timedelta(days=3), None, 0, "open"),
    )


def test_leads_of_the_website_are_known_by_their_source(tmp_path: Path) -> None:
    columns = replace(FOLLOW, source="State", website=("accepted", "unknown"))
    list_ = made(tmp_path, "csv", FOLLOWED, follow_up_columns=columns)
    rows = list_.follow_up(period=NOVEMBER, segments=SEGMENTS, now=NOW)
    assert [row.website for row in rows] == [True, False, False]
    with pytest.raises(ValueError, match="give both or neither, found source = None"):
        replace(FOLLOW, website=("web",))


def test_a_follow_up_time_that_cannot_be_read_is_refused_with_its_cell(tmp_path: Path) -> None:
    rows = [*FOLLOWED, ("2026-11-20", "ZH", "2026-11-20 09:00", "soon", "1", "")]
    list_ = made(tmp_path, "csv", rows, follow_up_columns=FOLLOW)
    with pytest.raises(ConnectorError, match=r"line 7, column 'First call': found 'soon'"):
        list_.follow_up(period=NOVEMBER, segments=SEGMENTS, now=NOW)


def test_follow_up_without_settings_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"add \[connector.follow_up_columns\]"):
        leads(tmp_path).follow_up(period=NOVEMBER, segments=SEGMENTS, now=NOW)


# ------------------------------------------------------------------------------------------- check


def test_check_reports_what_a_run_would_read(tmp_path: Path) -> None:
    rule = Exclusion("from November", (Filter("Created", ">=", date(2026, 11, 20)),))
    list_ = made(tmp_path, "xlsx", [HEADER, *LEADS], exclusions=(rule,))
    findings = list_.check(period=NOVEMBER, segments=SEGMENTS[:1], now=NOW)
    assert [(finding.level, finding.subject) for finding in findings] == [
        ("ok", "leads.xlsx"),
        ("ok", "exclusion 'from November'"),
        ("warning", "column 'Region'"),
        ("ok", "leads.xlsx"),
    ]
    assert "7 rows read, 3 leads in the period" in findings[0].text
    assert findings[1].text == "takes out 2 leads"
    assert "values that belong to no segment: 'Romandie' (1)" in findings[2].text
    assert "newest row 2026-11-23" in findings[3].text


def test_check_answers_errors_as_findings(tmp_path: Path) -> None:
    (missing,) = leads(tmp_path).check(period=NOVEMBER, segments=SEGMENTS, now=NOW)
    assert (missing.level, missing.subject) == ("error", "leads.csv")
    stale = made(tmp_path, "csv", [HEADER, (1, date(2026, 1, 5), "ZH")])
    findings = stale.check(period=NOVEMBER, segments=SEGMENTS, now=NOW)
    assert [finding.level for finding in findings] == ["ok", "error"]
    broken = with_deals(tmp_path, replace(MEASURED, amount="Worth"), follow_up_columns=FOLLOW)
    findings = broken.check(period=NOVEMBER, segments=SEGMENTS, now=NOW)
    assert [f.subject for f in findings if f.level == "error"] == ["deals", "follow-up"]


def test_check_counts_deals_and_follow_up(tmp_path: Path) -> None:
    list_ = with_deals(tmp_path)
    texts = [f.text for f in list_.check(period=WINDOW, segments=SEGMENTS, now=NOW)]
    assert "5 deals won and 2 lost in the period" in texts
    followed = made(tmp_path, "csv", FOLLOWED, follow_up_columns=FOLLOW)
    texts = [f.text for f in followed.check(period=NOVEMBER, segments=SEGMENTS, now=NOW)]
    assert "3 leads to follow up in the period" in texts


# ---------------------------------------------------------------------------------------- settings

BAD_SETTINGS: list[tuple[Callable[[], object], str]] = [
    (lambda: Spreadsheet(("a",), "b"), "give either file or link"),
    (lambda: Spreadsheet(("a",), "b", Path("x"), "y"), "give either file or link"),
    (lambda: Spreadsheet((), "b", Path("x")), "dates: name at least one column"),
    (lambda: leads(max_age="soon"), "max_age: found 'soon', allowed such as '3 workdays'"),
    (lambda: leads(header_row=0), "header_row: found 0"),
    (lambda: leads(stored_in="Zurich"), "stored_in: 'Zurich' is no IANA time zone"),
    (lambda: leads(customer="a", count_column="b"), "customer: a list of daily counts"),
    (lambda: leads(duplicate_key="a", count_column="b"), "duplicate_key: a list of daily counts"),
    (
        lambda: leads(exclusions=(Exclusion("x", (Filter("a", "is null"),)),) * 2),
        "names must differ",
    ),
    (lambda: Exclusion("x", ()), "where: an exclusion needs at least one condition"),
    (lambda: Filter("a", "="), "'=' needs one value"),
    (lambda: Filter("a", "in", "x"), "'in' needs a list of values"),
    (lambda: Filter("a", "is null", 1), "'is null' compares with nothing"),
    (lambda: replace(MEASURED, won=()), "won: name the values of 'Stage'"),
    (lambda: replace(MEASURED, currency="CHF"), "give either currency or currency_column"),
    (lambda: replace(MEASURED, currency="CFH", currency_column=None), "did you mean 'CHF'?"),
    (lambda: replace(MEASURED, link="x"), "give either file or link, found both"),
    (lambda: replace(FOLLOW, file=Path("x"), link="x"), "give either file or link, found both"),
]


@pytest.mark.parametrize(("make", "message"), BAD_SETTINGS)
def test_settings_that_contradict_themselves_are_refused(
    make: Callable[[], object], message: str
) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is compared
        make()
    assert message in str(caught.value)


# -------------------------------------------------------------------------------------------- fuzz


@pytest.mark.parametrize("form", ["csv", "xlsx", "ods"])
def test_a_mutated_list_is_counted_or_refused(tmp_path: Path, form: str) -> None:
    list_ = made(tmp_path, form, [HEADER, *LEADS])
    path = tmp_path / f"leads.{form}"
    whole = path.read_bytes()
    draw = random.Random(form)  # noqa: S311 - repeatable mutations
    outcomes: Counter[str] = Counter()
    for _ in range(700):
        path.write_bytes(mutated(whole, draw))
        outcomes[outcome(list_)] += 1
    assert outcomes["refused"] > 100


def mutated(whole: bytes, draw: random.Random) -> bytes:
    """Change bytes, cut, double or splice; in an archive at times inside a part, re-packed."""
    if whole.startswith(b"PK") and draw.random() < 0.6:
        return repacked(whole, draw)
    content = bytearray(whole)
    for _ in range(draw.randint(1, 4)):
        start = draw.randrange(len(content) + 1)
        stop = min(len(content), start + draw.choice((1, 1, 4, 64, 1_000)))
        content[start:stop] = draw.choice(
            (
                b"",
                draw.randbytes(stop - start),
                bytes(content[start:stop]) * 2,
                draw.choice(
                    (b'"', b"\0", b";", b"\r", b"\xff", b"<", b"1e9", b"#N/A", b"=1+1", b"=")
                ),
            )
        )
    return bytes(content)


def repacked(whole: bytes, draw: random.Random) -> bytes:
    import io

    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(target, "w") as new:
        names = old.namelist()
        victim = draw.choice(names)
        for name in names:
            content = old.read(name)
            new.writestr(name, mutated(content, draw) if name == victim else content)
    return target.getvalue()


def outcome(list_: Spreadsheet) -> str:
    message = ""
    try:
        counted(list_)
    except DigestError as error:
        message = str(error)
    assert "\n" not in message
    assert len(message) < 3_000
    return "refused" if message else "counted"


# ---------------------------------------------------------------------------------------- material


def write_csv(folder: Path, rows: Sequence[Sequence[object]]) -> None:
    (folder / "leads.csv").write_text(csv_of(rows, ";"), encoding="utf-8")


def write_xlsx(folder: Path, rows: Sequence[Sequence[object]]) -> None:
    import xlsxwriter

    options = {"strings_to_formulas": False, "strings_to_numbers": False}
    with xlsxwriter.Workbook(folder / "leads.xlsx", options) as book:
        sheet, day = book.add_worksheet("Leads"), book.add_format({"num_format": "yyyy-mm-dd"})
        for number, cells in enumerate(rows):
            for column, cell in enumerate(cells):
                if isinstance(cell, date):
                    sheet.write_datetime(number, column, cell, day)
                elif cell != "":
                    sheet.write(number, column, cell)


def write_ods(folder: Path, rows: Sequence[Sequence[object]]) -> None:
    (folder / "leads.ods").write_bytes(ods(rows))


WRITERS: dict[str, Callable[[Path, Sequence[Sequence[object]]], None]] = {
    "csv": write_csv,
    "xlsx": write_xlsx,
    "ods": write_ods,
}


def csv_of(rows: Sequence[Sequence[object]], delimiter: str) -> str:
    return "".join(delimiter.join(str(cell) for cell in row) + "\r\n" for row in rows)


def leads(folder: Path = Path(), file: str = "leads.csv", **options: Any) -> Spreadsheet:  # noqa: ANN401 - passed through
    return Spreadsheet(
        **{
            "dates": ("Created",),
            "segment": "Region",
            "file": Path(file),
            "folder": folder,
            **options,
        }
    )


def made(
    folder: Path,
    form: str,
    rows: Sequence[Sequence[object]],
    **options: Any,  # noqa: ANN401 - passed through
) -> Spreadsheet:
    WRITERS[form](folder, rows)
    return leads(folder, f"leads.{form}", **options)


def from_google(google: GoogleSheets, **options: Any) -> Spreadsheet:  # noqa: ANN401 - passed through
    class OnLoopback(Spreadsheet):
        web = google.web

    return OnLoopback(**{"dates": ("Created",), "segment": "Region", "link": LINK, **options})


def counted(
    list_: Spreadsheet, period: Period = NOVEMBER, segments: Sequence[Segment] = SEGMENTS
) -> LeadCounts:
    now = max(NOW, period.bounds()[-1])
    if period != NOVEMBER:
        list_ = replace(list_, max_age="any")
    return list_.count_leads(period=period, segments=segments, now=now)


def refused(list_: Spreadsheet) -> ConnectorError:
    with pytest.raises(ConnectorError) as caught:
        counted(list_)
    return caught.value


def refusal(list_: Spreadsheet) -> str:
    return str(refused(list_))


def refusal_of_config(list_: Spreadsheet) -> str:
    with pytest.raises(ConfigError) as caught:
        counted(list_)
    return str(caught.value)

"""Opens workbooks, CSV files and Google sheets safely, and gives every cell an address.

Whatever is wrong with a file ends in one TableError that says what, where and what to do.
"""

from digest.tables.archive import check_archive
from digest.tables.google import Download, Web, fetch, names_sheet
from digest.tables.refusal import TableError, patiently, refuse_cell, regular_file, unreadable
from digest.tables.separated import Delimiter, Encoding, csv_table, open_csv
from digest.tables.table import Table, cell_text, column_letters, read_unchanged
from digest.tables.workbook import SUFFIXES, open_workbook

__all__ = [
    "SUFFIXES",
    "Delimiter",
    "Download",
    "Encoding",
    "Table",
    "TableError",
    "Web",
    "cell_text",
    "check_archive",
    "column_letters",
    "csv_table",
    "fetch",
    "names_sheet",
    "open_csv",
    "open_workbook",
    "patiently",
    "read_unchanged",
    "refuse_cell",
    "regular_file",
    "unreadable",
]

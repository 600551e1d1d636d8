"""Writes small OpenDocument spreadsheets, of which no library we use writes any."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from datetime import date, datetime
from xml.sax.saxutils import escape

_SPACES = " ".join(
    f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
    for name in ("office", "table", "text")
)


def ods(
    rows: Sequence[Sequence[object]],
    *,
    sheet: str = "Leads",
    repeat_rows: int = 1,
    repeat_columns: int = 1,
) -> bytes:
    """Return a spreadsheet of one sheet; every row and cell can be repeated."""
    lines = "".join(
        f'<table:table-row table:number-rows-repeated="{repeat_rows}">'
        + "".join(_cell(cell, repeat_columns) for cell in row)
        + "</table:table-row>"
        for row in rows
    )
    content = (
        f'<?xml version="1.0" encoding="UTF-8"?><office:document-content {_SPACES}><office:body>'
        f'<office:spreadsheet><table:table table:name="{escape(sheet)}">{lines}</table:table>'
        "</office:spreadsheet></office:body></office:document-content>"
    )
    manifest = (
        '<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>'
    )
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("META-INF/manifest.xml", manifest)
        archive.writestr("content.xml", content)
    return stream.getvalue()


def _cell(value: object, repeat: int) -> str:
    start = f'<table:table-cell table:number-columns-repeated="{repeat}" office:value-type='
    text = f"><text:p>{escape(str(value))}</text:p></table:table-cell>"
    if isinstance(value, datetime):
        return f'{start}"date" office:date-value="{value:%Y-%m-%dT%H:%M:%S}"{text}'
    if isinstance(value, date):
        return f'{start}"date" office:date-value="{value.isoformat()}"{text}'
    if isinstance(value, int | float):
        return f'{start}"float" office:value="{value}"{text}'
    return f'{start}"string"{text}'

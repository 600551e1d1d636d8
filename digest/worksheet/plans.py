"""Loads the plan from wherever it is kept: the workbook, or a CSV."""

from __future__ import annotations

from pathlib import Path

from digest.errors import ConfigError
from digest.sla import Plan

WORKBOOKS = frozenset({".xlsx", ".xlsm"})


def load_plan(path: Path) -> Plan:
    """Return the plan of a worksheet (.xlsx) or of a CSV in long form (see `long_form`).

    A formula is read by its stored value and only where people enter figures; what the workbook computes
    is never read, except a plain number typed over a goal, which is a goal set by hand.

    Raises:
        ConfigError: all mistakes, each with file, sheet and cell, or file and line.
    """
    suffix = path.suffix.casefold()
    if suffix == ".csv":
        from digest.worksheet.long_form import read_csv

        return read_csv(path)
    if suffix not in WORKBOOKS:
        raise ConfigError(
            f"{path.name}: a worksheet is an Excel workbook (.xlsx) or a CSV (.csv); found "
            f"{path.suffix or 'no ending'}; save it as one of the two"
        )
    from digest.worksheet.read import read

    return read(path).inputs.plan

"""The six-step SLA worksheet: written with live formulas, read by cell, checked and filled in place."""

from digest.worksheet.check import check
from digest.worksheet.fill import fill
from digest.worksheet.plans import load_plan
from digest.worksheet.words import LANGUAGES
from digest.worksheet.write import as_workbook, check_plan, plan_year, write_new

__all__ = [
    "LANGUAGES",
    "as_workbook",
    "check",
    "check_plan",
    "fill",
    "load_plan",
    "plan_year",
    "write_new",
]

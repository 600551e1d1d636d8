"""One stage per connector: puts the same leads into its system and returns the connector that reads them.

To add a connector, add its stage under its name in CONNECTORS; more stages of the same connector are
named "connector: variant". A stage is called as stage(folder, leads); `damage(folder)` then breaks the
staged source so that reading fails after the first leads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from digest.connectors import Connector
from digest.connectors.spreadsheet import Spreadsheet
from tests.fakes.salesforce import Fault, Org, shared, shared_org
from tests.hubspot import stage as hubspot_stage
from tests.salesforce.orgs import connector as salesforce_connector
from tests.servers import MARIADBD, start_mariadb, start_postgresql
from tests.sql.databases import (
    Database,
    duckdb_database,
    mariadb_database,
    postgresql_database,
    sqlite_database,
)


@dataclass(frozen=True)
class Lead:
    """A lead as every source has it: the segment's value and the UTC instant at which it came in."""

    value: str | None
    moment: datetime


Stage = Callable[[Path, Sequence[Lead]], Connector]


def sqlite(folder: Path, leads: Sequence[Lead]) -> Connector:
    return _database(sqlite_database(folder), leads)


def duckdb(folder: Path, leads: Sequence[Lead]) -> Connector:
    return _database(duckdb_database(folder), leads)


def postgresql(folder: Path, leads: Sequence[Lead]) -> Connector:
    return _database(postgresql_database(start_postgresql(), folder), leads)


def mariadb(folder: Path, leads: Sequence[Lead]) -> Connector:
    if not MARIADBD.exists():
        pytest.skip("MariaDB is not installed (Debian: mariadb-server)")
    return _database(mariadb_database(start_mariadb(), folder), leads)


def _database(database: Database, leads: Sequence[Lead]) -> Connector:
    database.create(seg="text", ts=database.moment)
    database.fill([{"seg": lead.value, "ts": lead.moment} for lead in leads])
    return database.sql()


def csv(folder: Path, leads: Sequence[Lead]) -> Connector:
    lines = ["Region;Eingang", *(f"{lead.value or ''};{lead.moment.isoformat()}" for lead in leads)]
    (folder / "leads.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return Spreadsheet(
        file=Path("leads.csv"),
        dates=("Eingang",),
        segment="Region",
        max_age="any",
        folder=folder,
    )


def xlsx(folder: Path, leads: Sequence[Lead]) -> Connector:
    """An Excel list in UTC: in local time Excel cannot tell the repeated hour of October apart."""
    import xlsxwriter  # type: ignore[import-untyped] # it ships no types

    with xlsxwriter.Workbook(folder / "leads.xlsx") as book:
        sheet = book.add_worksheet("Leads")
        sheet.write_row(0, 0, ["Region", "Eingang"])
        shown = book.add_format({"num_format": "dd.mm.yyyy hh:mm:ss"})
        for row, lead in enumerate(leads, 1):
            sheet.write(row, 0, lead.value)
            wall = lead.moment.astimezone(ZoneInfo("UTC")).replace(tzinfo=None)
            sheet.write_datetime(row, 1, wall, shown)
    return Spreadsheet(
        file=Path("leads.xlsx"),
        dates=("Eingang",),
        segment="Region",
        stored_in="UTC",
        max_age="any",
        folder=folder,
    )


def salesforce(folder: Path, leads: Sequence[Lead]) -> Connector:
    del folder
    org = shared(Org(user_zone="America/Los_Angeles"))
    org.insert("Lead", [{"CreatedDate": each.moment, "Region__c": each.value} for each in leads])
    return salesforce_connector(org)


def hubspot(folder: Path, leads: Sequence[Lead]) -> Connector:
    return hubspot_stage.hubspot(folder, ((lead.value, lead.moment) for lead in leads))


STAGES: dict[str, Stage] = {
    "sql": sqlite,
    "sql: duckdb": duckdb,
    "sql: postgresql": postgresql,
    "sql: mariadb": mariadb,
    "hubspot": hubspot,
    "spreadsheet": csv,
    "spreadsheet: xlsx": xlsx,
    "salesforce": salesforce,
}


def stage_of(name: str) -> Stage:
    """Return the stage of a connector."""
    if name not in STAGES:
        pytest.fail(f"no stage for {name}: add it to tests/contracts/stages.py")
    return STAGES[name]


# ------------------------------------------------------------------------------- failures in mid-read


def _torn_sqlite(folder: Path) -> None:
    """Overwrite the pages in the middle, as a half-finished copy would."""
    path = folder / "leads.db"
    data = bytearray(path.read_bytes())
    for page in range(len(data) // 4096 // 2, len(data) // 4096):
        data[page * 4096 : (page + 1) * 4096] = b"\xff" * 4096
    path.write_bytes(data)


def _torn_csv(folder: Path) -> None:
    """Cut the export off in the middle of a line."""
    path = folder / "leads.csv"
    data = path.read_bytes()
    half = data.rindex(b"T", 0, len(data) // 2)
    path.write_bytes(data[:half])


def _torn_xlsx(folder: Path) -> None:
    path = folder / "leads.xlsx"
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def _torn_salesforce(folder: Path) -> None:
    """Cut every further answer off in its middle."""
    del folder
    shared_org().faults += [Fault(cut=400, path="/composite")] * 10


DAMAGE: dict[str, Callable[[Path], None]] = {
    "hubspot": hubspot_stage.torn,
    "sql": _torn_sqlite,
    "spreadsheet": _torn_csv,
    "spreadsheet: xlsx": _torn_xlsx,
    "salesforce": _torn_salesforce,
}

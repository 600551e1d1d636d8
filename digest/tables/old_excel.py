"""Reads an old .xls in a process of its own with limited memory and time.

Over a damaged one calamine 0.9 panics, writes a backtrace, or takes all the memory of the machine (5 kB
became 23 GB); an .xlsx and an .ods are looked at before calamine sees them, an .xls cannot be.
"""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from digest.errors import Reason
from digest.tables.refusal import TableError

if TYPE_CHECKING:
    from digest.tables.workbook import Loaded

_MEMORY = 1 << 30
_SECONDS = 60
_ROOT = Path(__file__).parents[2]
_CHILD = f"import sys; sys.path.insert(0, {str(_ROOT)!r}); from digest.tables import old_excel as o; o.main()"


def load(path: Path, wanted: str | None) -> Loaded:
    """Return a sheet of an .xls.

    Raises:
        TableError: it has no such sheet. ValueError: it cannot be read.
    """
    from digest.tables.workbook import Loaded

    command = [sys.executable, "-c", _CHILD, str(path), json.dumps(wanted)]
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and code; no shell
            command, capture_output=True, timeout=_SECONDS, check=True
        )
        answer = json.loads(done.stdout, object_hook=_decoded)
    except (subprocess.SubprocessError, ValueError) as error:
        raise ValueError("its reader gave up") from error
    if "refused" in answer:
        what, remedy, reason = answer["refused"]
        raise TableError(what, remedy, None if reason is None else Reason(reason))
    return Loaded(
        name=answer["name"],
        remarks=answer["remarks"],
        rows=enumerate(answer["rows"], start=1),
        merged=[
            ((top, left), (bottom, right)) for (top, left), (bottom, right) in answer["merged"]
        ],
        height=len(answer["rows"]),
    )


def main() -> None:
    """Print the sheet named on the command line as JSON; the child's half of `load`."""
    from digest.tables.workbook import load as load_here

    _limit_memory()
    try:
        sheet = load_here(Path(sys.argv[1]), json.loads(sys.argv[2]))
        answer: dict[str, Any] = {
            "name": sheet.name,
            "remarks": sheet.remarks,
            "merged": sheet.merged,
            "rows": [list(cells) for _, cells in sheet.rows],
        }
    except TableError as error:
        answer = {"refused": [error.what, error.remedy, error.reason]}
    json.dump(answer, sys.stdout, default=_encoded)


def _limit_memory() -> None:
    try:
        import resource
    except ModuleNotFoundError:  # pragma: no cover - Windows has no such limit
        return
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))


def _encoded(value: object) -> object:
    if isinstance(value, datetime):
        return {"datetime": value.isoformat()}
    if isinstance(value, date):
        return {"date": value.isoformat()}
    if isinstance(value, time | timedelta):
        return str(value)
    raise TypeError(type(value).__name__)


def _decoded(found: dict[str, Any]) -> object:
    if "datetime" in found:
        return datetime.fromisoformat(found["datetime"])
    if "date" in found:
        return date.fromisoformat(found["date"])
    return found

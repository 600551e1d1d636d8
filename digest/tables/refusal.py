"""The one way a file is refused: what is wrong with it, where, and what to do."""

from __future__ import annotations

import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from digest.errors import Reason, nearest

T = TypeVar("T")

_ZIP, _OLE = b"PK", b"\xd0\xcf\x11\xe0"
_TRIES, _PAUSE_SECONDS = 3, 5.0


class TableError(ValueError):
    """A file that cannot be trusted; whoever opened it decides which error of the product it becomes.

    Attributes:
        what: where it is and what was found. remedy: what to do.
        reason: as for a connector; None when the settings name something that does not exist.
    """

    def __init__(self, what: str, remedy: str, reason: Reason | None = Reason.UNRECONCILED) -> None:
        super().__init__(f"{what}; {remedy}")
        self.what = what
        self.remedy = remedy
        self.reason = reason


def refuse_cell(address: str, message: str) -> TableError:
    """Return the refusal of one cell, from a sentence that ends with its remedy ("found ...; write ...")."""
    what, semicolon, remedy = message.rpartition("; ")
    if not semicolon:
        what, remedy = message, "correct it and save the file"
    return TableError(f"{address}: {what}", remedy)


def regular_file(path: Path) -> int:
    """Return the size of a file in bytes.

    Raises:
        TableError: missing, empty, a folder, a device, or Excel's lock file.
    """
    if path.name.startswith("~$"):
        raise TableError(
            f"{path.name} is the lock file that Excel keeps beside an open workbook",
            f"name the workbook itself, {path.name[2:]!r}",
            None,
        )
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        if isinstance(error, PermissionError):
            raise _closed(path) from error
        raise TableError(
            f"{_plain(path)} does not exist{_neighbour(path)}",
            "check the file's name and folder",
            None,
        ) from error
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a device or pipe"
        raise TableError(f"{path} is {kind}", "name a file", None)
    if status.st_size == 0:
        raise TableError(f"{path.name} is empty (0 bytes)", "export it again")
    return status.st_size


def patiently(
    open_it: Callable[[], T], path: Path, pause: Callable[[float], None] = time.sleep
) -> T:
    """Open a file, waiting up to 10 s while Excel on Windows holds it.

    Raises:
        TableError: it stays closed, or cannot be read.
    """
    for attempt in range(1, _TRIES + 1):
        try:
            return open_it()
        except PermissionError as error:
            if attempt == _TRIES:
                raise _closed(path) from error
            pause(_PAUSE_SECONDS)
        except OSError as error:
            raise interrupted(path, error) from error
    raise AssertionError  # pragma: no cover - the last attempt returns or raises


def interrupted(path: Path, error: OSError) -> TableError:
    """Return the refusal of a file whose disk or network share failed."""
    return TableError(
        f"{path.name} cannot be read ({error.strerror or error})",
        "check the disk or network share",
        Reason.TRANSIENT,
    )


def unreadable(path: Path, head: bytes, error: BaseException) -> TableError:
    """Return the refusal of a workbook that its reader gave up on, with the likely cause."""
    if type(error).__name__ == "PasswordError" or head.startswith(_OLE):
        return TableError(
            f"{path.name} is protected with a password or is a damaged old .xls file",
            "remove the password in Excel (File, Info, Protect Workbook), or save it as .xlsx",
        )
    if head.startswith(_ZIP):
        return TableError(
            f"{path.name} is damaged or not a workbook ({_short(error)})",
            "open it in Excel or LibreOffice and save it again",
        )
    return not_a_workbook(path, head)


def not_a_workbook(path: Path, head: bytes) -> TableError:
    """Return the refusal of a file whose first bytes are not those of a workbook."""
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return TableError(
            f"{path.name} is a web page (HTML) or XML, not a workbook",
            "download the file itself, or save it as .xlsx",
        )
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or all(9 <= byte < 127 for byte in head):  # noqa: PLR2004 - printable ASCII
        return TableError(
            f"{path.name} is text, not a workbook", "name it .csv, or save it as .xlsx in Excel"
        )
    return TableError(
        f"{path.name} is not a workbook (it begins with {head[:4].hex(' ')})",
        "open it in Excel or LibreOffice and save it as .xlsx",
    )


def _closed(path: Path) -> TableError:
    return TableError(
        f"{_plain(path)} cannot be opened: permission denied",
        "close it in Excel, or let the digest's user read it",
        Reason.TRANSIENT,
    )


def _neighbour(path: Path) -> str:
    try:
        # A link that points nowhere has the name already.
        names = sorted(entry.name for entry in path.parent.iterdir() if entry.name != path.name)
    except (OSError, ValueError):
        return ""
    return nearest(path.name, names)


def _plain(path: Path) -> str:
    return str(path).replace("\0", "\\0")


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__

"""What to say when the fault is ours."""

from __future__ import annotations

import platform
import sys
import tempfile
import traceback
from pathlib import Path

from digest import __version__
from digest.journal import KNOWN


def report(error: Exception) -> str:
    """Write the traceback, without local variables, to a file and return what to tell the user."""
    lines = map(KNOWN, traceback.format_exception(error, limit=None, chain=True))
    with tempfile.NamedTemporaryFile(
        "w", prefix="digest-bug-", suffix=".txt", delete=False, encoding="utf-8"
    ) as file:
        file.write(f"digest {__version__}, Python {sys.version}, {platform.platform()}\n\n")
        file.writelines(lines)
    return (
        f"digest: this is a bug in digest, not in your files: {type(error).__name__}.\n"
        f"Nothing more was done. The report is in {Path(file.name)}; please open an issue with it\n"
        "(it holds no settings and no leads, but read it first).\n"
    )

"""Replaces a workbook safely: all or nothing, with the previous file kept beside it."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from digest.errors import ConfigError

TRIES, PAUSE_SECONDS = 3, 3.0  # Excel on a network share lets go of a file within seconds


def backup_path(path: Path) -> Path:
    """Where the previous file is kept."""
    return path.with_name(f"{path.stem}.bak{path.suffix}")


def replace_file(
    path: Path, write: Callable[[Path], None], *, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Let `write` fill a new file in the same folder, then put it in the place of `path`.

    A file that is there already stays as `name.bak.xlsx`. On any failure `path` is as it was.

    Raises:
        ConfigError: the folder is missing or closed to us, or another program holds the file open.
    """
    target = Path(os.path.realpath(path))
    try:
        handle, name = tempfile.mkstemp(
            dir=target.parent, prefix=f".{path.stem}-", suffix=path.suffix
        )
        os.close(handle)
    except OSError as error:
        raise ConfigError(
            f"{path.name}: nothing can be written in {target.parent} ({error.strerror}); "
            "check that the folder exists and that you may write there"
        ) from error
    draft = Path(name)
    try:
        write(draft)
        _keep_mode(target, draft)
        _swap(target, draft, sleep)
    finally:
        draft.unlink(missing_ok=True)


def _keep_mode(target: Path, draft: Path) -> None:
    """Temporary files are private; the worksheet keeps the permissions it had, or gets the usual ones."""
    if target.exists():
        shutil.copymode(target, draft)
    else:
        mask = os.umask(0)
        os.umask(mask)
        draft.chmod(0o666 & ~mask)


def _swap(target: Path, draft: Path, sleep: Callable[[float], None]) -> None:
    for left in reversed(range(TRIES)):
        try:
            if target.exists():
                shutil.copy2(target, backup_path(target))
            draft.replace(target)
        except PermissionError as error:
            if left:
                sleep(PAUSE_SECONDS)
                continue
            raise ConfigError(
                f"{target.name}: another program holds the file open, probably Excel; close it there and "
                "run this again (the file is unchanged)"
            ) from error
        else:
            return

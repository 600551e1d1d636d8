"""Where the files that ship with the product lie: beside the package in a source tree, inside the wheel."""

from __future__ import annotations

from pathlib import Path


def _folder(name: str) -> Path:
    package = Path(__file__).resolve().parent
    installed = package / "_data" / name
    return installed if installed.is_dir() else package.parent / name


def templates_folder() -> Path:
    """Return the folder of the built-in templates and translations."""
    return _folder("templates")


def config_folder() -> Path:
    """Return the folder of the example settings."""
    return _folder("config")

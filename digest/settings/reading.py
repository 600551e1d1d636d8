"""A document while it is read, which every part of the settings needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from digest.settings.adapters import build, is_table
from digest.settings.mistakes import Mistakes

T = TypeVar("T")
Table = Mapping[str, object]


@dataclass(frozen=True)
class Reading:
    """The document, the folder that its paths count from, and the list of its mistakes."""

    data: Table
    folder: Path
    mistakes: Mistakes

    def table(self, key: str) -> Table | None:
        """The table of that name; empty when absent, None when it is no table."""
        return is_table(self.data.get(key, {}), (key,), self.mistakes)

    def section(self, cls: type[T], key: str) -> T | None:
        """The table of that name as an instance of `cls`."""
        table = self.table(key)
        return None if table is None else build(cls, table, (key,), self.mistakes)

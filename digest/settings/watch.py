"""The digests of files and folders, read again where a file has changed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from digest.errors import ConfigError, DigestError
from digest.settings import files_of, load, shared_ids
from digest.settings.inheritance import DEFAULTS
from digest.settings.values import Settings

Stamp = tuple[int, ...]  # modification time in ns, size, inode


@dataclass(frozen=True, slots=True)
class Broken:
    """Files that are no digest now, and why; several when they share an id.

    Attributes:
        stamps: changes when one of the files does.
    """

    paths: tuple[Path, ...]
    stamps: tuple[Stamp | None, ...]
    error: DigestError


@dataclass(frozen=True, slots=True)
class Seen:
    """What the files come to at one moment.

    Attributes:
        fresh: the files among `digests` that were read in this very look.
        errors: what is wrong with a folder.
    """

    digests: tuple[Settings, ...]
    broken: tuple[Broken, ...]
    fresh: frozenset[Path]
    errors: tuple[ConfigError, ...] = ()


@dataclass(frozen=True)
class Watch:
    """Remembers what it has read of the files and folders `paths`.

    A broken file is read in every look: what breaks it may stand in another one, such as the worksheet.
    """

    paths: Sequence[Path]
    environment: Mapping[str, str]
    _read: dict[Path, tuple[Stamp, Settings]] = field(default_factory=dict)

    def look(self) -> Seen:
        """Read what is new or has changed, forget what is gone; never raises for a file's sake."""
        files, errors = files_of(self.paths)
        broken: list[Broken] = []
        fresh: set[Path] = set()
        for path in self._read.keys() - set(files):
            del self._read[path]
        for path in files:
            stamp = stamp_of(path)
            if stamp is not None and self._read.get(path, (None,))[0] == stamp:
                continue
            self._read.pop(path, None)
            try:
                settings = load(path, environment=self.environment)
            except DigestError as error:
                broken.append(Broken((path,), (stamp,), error))
            except Exception as error:  # noqa: BLE001 - one file must not stop the others
                wrong = ConfigError(f"{path}: {type(error).__name__}")
                broken.append(Broken((path,), (stamp,), wrong))
            else:
                fresh.add(settings.path)
                if stamp is not None:
                    self._read[path] = (stamp, settings)
        digests = [self._read[path][1] for path in files if path in self._read]
        shared = shared_ids(digests)
        for name, mistake in shared.items():
            same = [path for path in files if path in self._read and self._read[path][1].id == name]
            stamps = tuple(self._read[path][0] for path in same)
            broken.append(Broken(tuple(same), stamps, mistake))
        return Seen(
            tuple(one for one in digests if one.id not in shared),
            tuple(broken),
            frozenset(fresh),
            tuple(errors),
        )


def stamp_of(path: Path) -> Stamp | None:
    """Return what changes with a file or with the defaults that it inherits; None when it is gone."""
    try:
        found = path.stat()
    except OSError:
        return None
    with suppress(OSError):
        above = path.with_name(DEFAULTS).stat()
        return *_facts(found), *_facts(above)
    return _facts(found)


def _facts(found: os.stat_result) -> Stamp:
    return found.st_mtime_ns, found.st_size, found.st_ino

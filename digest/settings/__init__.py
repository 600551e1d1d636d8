"""TOML and environment -> Settings: fully checked, adapters constructed, all mistakes at once.

`load` reads one file, `load_many` a fleet. The steps, each in its own module: `document` (TOML with line
numbers), `inheritance` (what a folder has in common), `references` (secrets), `sections` and `adapters`
(types), `plan` (the SLA), `recipients`; `parts` brings them together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

from digest.errors import ConfigError
from digest.settings.document import read
from digest.settings.inheritance import DEFAULTS, inherit
from digest.settings.mistakes import file_problem
from digest.settings.parts import all_settings, assemble
from digest.settings.references import Keyring, Vault, system_keyring
from digest.settings.values import FiscalPeriod, Settings

__all__ = ["FiscalPeriod", "Settings", "all_settings", "load", "load_many"]


def load(
    path: Path, *, environment: Mapping[str, str], keyring: Keyring = system_keyring
) -> Settings:
    """Return the checked settings of one file, over the `defaults.toml` of its folder.

    Args:
        path: the TOML file.
        environment: variables that `{ env = "NAME" }` may name.
        keyring: answers (service, user) with a secret or None.

    Raises:
        ConfigError: everything that is wrong with the file, one sentence each.
    """
    own, mistakes = read(path)
    document = inherit(path, own, mistakes)
    vault = Vault(environment, path.parent.absolute(), keyring)
    resolved = cast("Mapping[str, object]", vault.resolve(document, (), mistakes))
    settings = assemble(path, resolved, mistakes)
    if settings is None or mistakes.found:
        raise mistakes.error() or AssertionError(f"{path}: rejected without a reason")
    return settings


def load_many(
    paths: Sequence[Path], *, environment: Mapping[str, str], keyring: Keyring = system_keyring
) -> tuple[list[Settings], list[ConfigError]]:
    """Return the digests of files and folders, and one error for each file that has mistakes.

    A folder means its `*.toml` files, hidden ones and the defaults aside. Two files with one id are a
    mistake in both: sending one of them would hide the other behind the same ledger entries.
    """
    loaded: list[Settings] = []
    files, errors = files_of(paths)
    for path in files:
        try:
            loaded.append(load(path, environment=environment, keyring=keyring))
        except ConfigError as error:
            # What is wrong with the defaults is wrong in each digest, and said once.
            if str(error) not in map(str, errors):
                errors.append(error)
    shared = shared_ids(loaded)
    errors.extend(shared.values())
    return [settings for settings in loaded if settings.id not in shared], errors


def shared_ids(loaded: Sequence[Settings]) -> dict[str, ConfigError]:
    """Return the ids that stand in more than one file, each with what is wrong."""
    by_id: dict[str, list[str]] = {}
    for settings in loaded:
        by_id.setdefault(settings.id, []).append(str(settings.path))
    return {
        name: ConfigError(f"id: {name!r} is used by {', '.join(same)}; give each file its own id")
        for name, same in by_id.items()
        if len(same) > 1
    }


def files_of(paths: Sequence[Path]) -> tuple[list[Path], list[ConfigError]]:
    """Return the settings files of files and folders, each once, and what is wrong with a folder."""
    errors: list[ConfigError] = []
    found = {path.absolute(): path for path in _files(paths, errors)}
    return list(found.values()), errors


def _files(paths: Sequence[Path], errors: list[ConfigError]) -> Iterator[Path]:
    for path in paths:
        try:
            # What begins with a dot is an editor's or a copier's leftover.
            inside = (
                file
                for file in path.glob("*.toml")
                if not file.name.startswith(".") and file.name != DEFAULTS
            )
            found = sorted(inside) if path.is_dir() else [path]
        except OSError as error:
            errors.append(ConfigError(f"config folder {file_problem(path, error)}"))
            continue
        if not found:
            errors.append(ConfigError(f"config folder {path} holds no .toml file"))
        yield from found

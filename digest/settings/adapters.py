"""Builds connectors, channels and our own sections: a frozen dataclass is its own schema."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as validated_dataclass

from digest.errors import ConfigError
from digest.settings.lines import Path
from digest.settings.mistakes import Mistakes, add_validation_error, shown, unknown

T = TypeVar("T")

FILLED = "folder"  # the config file's folder: filled by `load`, never set in a file


@cache
def _validator(cls: type) -> TypeAdapter[Any]:
    wrapped = validated_dataclass(
        cls, config=ConfigDict(extra="forbid", arbitrary_types_allowed=True), frozen=True
    )
    return TypeAdapter(wrapped)


def build(
    cls: type[T],
    data: Mapping[str, object],
    at: Path,
    mistakes: Mistakes,
    *,
    folder: object = None,
    also_known: Sequence[str] = (),
) -> T | None:
    """Return the table as an instance of `cls`; None when there were mistakes, which are noted.

    `folder` becomes the field of that name, if the class has one. `also_known` are keys that the caller
    took out of the table; they are named among what is allowed.
    """
    kind: type = cls  # mypy does not take type[T] for hashable
    known = {path: list(names) for path, names in known_keys(kind).items()}
    known[()] = [*also_known, *known[()]]
    settable = dict(data)
    if FILLED in settable:
        mistakes.add((*at, FILLED), unknown(FILLED, known[()]))
        del settable[FILLED]
    if FILLED in _field_names(cls):
        settable[FILLED] = folder
    try:
        value = _validator(kind).validate_python(settable)
    except ValidationError as error:
        add_validation_error(mistakes, error, data=data, at=at, known=known)
        return None
    except ConfigError as error:
        for mistake in error.mistakes:
            mistakes.add_about(at, mistake, data)
        return None
    return value if isinstance(value, cls) else None


def is_table(value: object, at: Path, mistakes: Mistakes) -> Mapping[str, object] | None:
    """Return the value if it is a table, otherwise note the mistake."""
    if isinstance(value, Mapping):
        return value
    mistakes.add(at, f"found {shown(value)}; allowed: a table, written [{at[-1]}]")
    return None


# ------------------------------------------------------------------------- what a class lets you set


@cache
def known_keys(cls: type) -> Mapping[Path, tuple[str, ...]]:
    """Return the keys a class takes, for itself () and for each nested table by its path."""
    found: dict[Path, tuple[str, ...]] = {(): tuple(n for n in _field_names(cls) if n != FILLED)}
    hints = get_type_hints(cls)
    for name in found[()]:
        for nested in _dataclasses_in(hints[name]):
            for path, names in known_keys(nested).items():
                key = (name, *path)
                found[key] = tuple(dict.fromkeys((*found.get(key, ()), *names)))
    return found


def _field_names(cls: type) -> list[str]:
    return [field.name for field in fields(cls) if field.init]


def _dataclasses_in(annotation: object) -> list[type]:
    if isinstance(annotation, type) and is_dataclass(annotation):
        return [annotation]
    origin = get_origin(annotation)
    if origin in {Union, types.UnionType, Annotated} or origin is not None:
        return [cls for part in get_args(annotation) for cls in _dataclasses_in(part)]
    return []

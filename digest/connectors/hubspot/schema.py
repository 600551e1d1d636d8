"""Looks the properties up before anything is counted: a misspelt one would make every lead unassigned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from digest.connectors.hubspot.failures import NAME
from digest.connectors.hubspot.searching import Dated
from digest.connectors.hubspot.transport import Errand, Session
from digest.errors import ConfigError, ConnectorError, DigestError, Reason, nearest
from digest.model import normalise

if TYPE_CHECKING:
    from digest.connectors.hubspot import Hubspot
    from digest.connectors.hubspot.kept import Definitions

STAGE = "lifecyclestage"
MOST_NAMES = 100  # of one batch read


@dataclass(frozen=True)
class Property:
    """A property as the portal defines it; options are pairs of label and value."""

    name: str
    label: str
    type: str
    field_type: str
    options: tuple[tuple[str, str], ...] = ()

    @property
    def multiple(self) -> bool:
        """Whether a value may hold several, joined by a semicolon."""
        return self.type == "enumeration"


@dataclass(frozen=True)
class Stage:
    """A lifecycle stage: how the settings write it, its id and label, and the property of its entry."""

    written: str
    id: str
    label: str
    dated: Dated


@dataclass(frozen=True)
class Schema:
    """What the leads' object offers of what the settings name."""

    kind: str
    known: Mapping[str, Property]
    segment: Property
    dates: tuple[Dated, ...]
    stages: tuple[Stage, ...] = ()
    customer: Dated | None = None


def lead_schema(
    settings: Hubspot, session: Session, errand: Errand, optional: Sequence[str] = ()
) -> Schema:
    """Read the definitions of everything that the count needs.

    Raises:
        ConfigError: a property or stage that does not exist, with the nearest names, or of a wrong type.
    """
    catalogue = Catalogue(
        session, errand, settings.kept.definitions_of(settings.object, errand.now)
    )
    needed = settings.lead_properties
    dates = settings.date_properties
    stages = settings.all_stages
    own = (*needed, *dates, *optional)
    catalogue.read([*own, *_stage_names(stages)])
    mistakes = catalogue.missing(needed)
    found_stages, problems = _stages(catalogue, stages)
    mistakes += problems
    found: list[Dated] = []
    if settings.count_by == "create_date":
        name = next((name for name in dates if name in catalogue.known), None)
        mistakes += catalogue.missing(dates[:1]) if name is None else []
        dates = () if name is None else (name,)
    else:
        mistakes += catalogue.missing(dates)
    for name in dates:
        mistakes += _add_dated(catalogue, name, found)
    segment = catalogue.known.get(settings.segment)
    if segment is not None and segment.type not in ("enumeration", "string", "bool"):
        mistakes.append(
            f"segment: property {segment.name!r} ({segment.label}) is of type {segment.type}, allowed: a "
            "choice (enumeration) or text (string)"
        )
    if mistakes or segment is None:
        raise ConfigError(*(f"{NAME}: {mistake}" for mistake in mistakes))
    counting = [stage for stage in found_stages if stage.written in settings.stages]
    customer = next((s.dated for s in found_stages if s.written == settings.customer_stage), None)
    return Schema(
        kind=settings.object,
        known={name: catalogue.known[name] for name in own if name in catalogue.known},
        segment=segment,
        dates=tuple(dict.fromkeys([*(stage.dated for stage in counting), *found])),
        stages=tuple(found_stages),
        customer=customer,
    )


class Catalogue:
    """The definitions of one object that were asked for."""

    def __init__(self, session: Session, errand: Errand, definitions: Definitions) -> None:
        self._session = session
        self._errand = errand
        self._read = definitions
        self.known = definitions.known

    def read(self, names: Sequence[str]) -> None:
        """Ask for names that this run has not asked for yet."""
        rest = [name for name in dict.fromkeys(names) if name not in self._read.asked]
        for start in range(0, len(rest), MOST_NAMES):
            part = rest[start : start + MOST_NAMES]
            answer = self._session.definitions(self._read.kind, part, self._errand)
            self.known |= _properties(answer)
            self._read.asked |= set(part)
            self._read.calls += 1

    def missing(self, names: Iterable[str]) -> list[str]:
        """Return a sentence for each name that the portal does not have."""
        absent = [name for name in dict.fromkeys(names) if name not in self.known]
        return [
            f"{self._read.kind} have no property {name!r} (internal names count, not labels)"
            f"{self.nearest(name)}"
            for name in absent
        ]

    def nearest(self, name: str) -> str:
        """Return a hint at the property of the portal whose name is nearest."""
        if self._read.all is None:
            try:
                found = _properties(self._session.all_definitions(self._read.kind, self._errand))
            except DigestError:
                found = {}
            self._read.all = tuple(found)
        return nearest(name, self._read.all)


def _properties(answer: Mapping[str, Any]) -> dict[str, Property]:
    results = answer.get("results")
    if not isinstance(results, list) or not all(isinstance(entry, dict) for entry in results):
        raise ConnectorError(
            NAME,
            Reason.UNRECONCILED,
            "the definitions of properties came in an unknown form",
            remedy="the next run tries again",
        )
    found = {}
    for entry in results:
        given = entry.get("options")
        options = [o for o in given if isinstance(o, dict)] if isinstance(given, list) else []
        name = str(entry.get("name"))
        found[name] = Property(
            name,
            str(entry.get("label") or name),
            str(entry.get("type")),
            str(entry.get("fieldType")),
            tuple((str(option.get("label")), str(option.get("value"))) for option in options),
        )
    return found


def _add_dated(catalogue: Catalogue, name: str, found: list[Dated]) -> list[str]:
    known = catalogue.known.get(name)
    if known is None:
        return []
    if known.type not in ("date", "datetime"):
        return [f"dates: property {name!r} ({known.label}) is of type {known.type}, no date"]
    found.append(Dated(name, known.type == "date"))
    return []


# ------------------------------------------------------------------------------------------- stages


def _stage_names(stages: Sequence[str]) -> list[str]:
    if not stages:
        return []
    return [STAGE, *(name for stage in stages for name in entry_names(stage))]


def entry_names(stage: str) -> tuple[str, str]:
    """Return the properties of a stage's entry date by its id: today's, and the one before it."""
    return f"hs_v2_date_entered_{stage}", f"hs_lifecyclestage_{stage}_date"


def _stages(catalogue: Catalogue, written: Sequence[str]) -> tuple[list[Stage], list[str]]:
    if not written:
        return [], []
    lifecycle = catalogue.known.get(STAGE)
    if lifecycle is None:
        return [], catalogue.missing([STAGE])
    ids: dict[str, tuple[str, str]] = {}
    mistakes = []
    for name in written:
        option = _option(lifecycle, name)
        if option is None:
            known = [text for label, value in lifecycle.options for text in (value, label)]
            hint = nearest(name, known)
            labels = ", ".join(f"{label} ({value})" for label, value in lifecycle.options)
            mistakes.append(f"stages: the portal has no stage {name!r}{hint}; allowed: {labels}")
        else:
            ids[name] = option
    catalogue.read([name for _, stage in ids.values() for name in entry_names(stage)])
    stages: list[Stage] = []
    for name, (label, stage) in ids.items():
        usable = [p for n in entry_names(stage) if (p := catalogue.known.get(n)) is not None]
        if usable:
            dated = Dated(usable[0].name, usable[0].type == "date")
            stages.append(Stage(name, stage, label, dated))
        else:
            mistakes.append(
                f"stages: {catalogue.known[STAGE].label} {label!r} ({stage}) has no date of entry: "
                f"{entry_names(stage)[0]!r} does not exist or may not be read"
                f"{catalogue.nearest(entry_names(stage)[0])}"
            )
    return stages, mistakes


def _option(lifecycle: Property, written: str) -> tuple[str, str] | None:
    """Return label and id of a stage: an id wins over a label."""
    key = normalise(written)
    by_id = [pair for pair in lifecycle.options if normalise(pair[1]) == key]
    by_label = [pair for pair in lifecycle.options if normalise(pair[0]) == key]
    return next(iter(by_id + by_label), None)

"""The fields of an object as the org describes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from digest.errors import nearest

# Fields of Salesforce's own whose type is the same in every org; others are looked up.
STANDARD = {
    "createddate": "datetime",
    "lastmodifieddate": "datetime",
    "systemmodstamp": "datetime",
    "converteddate": "date",
    "firstrespondeddate": "date",
    "closedate": "date",
}


@dataclass(frozen=True)
class FieldInfo:
    """A field: its name as the org spells it, its type, and what may be done with it.

    Attributes:
        relationship: name under which a lookup's record is reached. refers: objects it may be of.
    """

    name: str
    type: str
    groupable: bool
    filterable: bool
    aggregatable: bool
    formula: bool
    relationship: str | None
    refers: tuple[str, ...]
    values: tuple[str, ...]


@dataclass(frozen=True)
class Fields:
    """An object of the org."""

    owner: str
    by_name: Mapping[str, FieldInfo]
    writable: bool

    @classmethod
    def of(cls, name: str, described: object) -> Fields:
        """Read what describe answered.

        Raises:
            ValueError, TypeError, KeyError, AttributeError: it is no description.
        """
        if not isinstance(described, Mapping) or not described.get("fields"):
            raise ValueError("no fields")
        answer = described
        fields = [
            FieldInfo(
                name=str(item["name"]),
                type=str(item.get("type")),
                groupable=bool(item.get("groupable")),
                filterable=bool(item.get("filterable", True)),
                aggregatable=bool(item.get("aggregatable")),
                formula=bool(item.get("calculated")),
                relationship=item.get("relationshipName"),
                refers=tuple(str(each) for each in item.get("referenceTo") or ()),
                values=tuple(
                    str(each.get("value"))
                    for each in item.get("picklistValues") or ()
                    if each.get("active", True)
                ),
            )
            for item in answer["fields"]
        ]
        writable = any(answer.get(word) for word in ("createable", "updateable", "deletable"))
        return cls(name, {field.name.lower(): field for field in fields}, writable)

    def get(self, name: str) -> FieldInfo | None:
        """Return a field of the object itself; None for one of a related record, or unknown."""
        return self.by_name.get(name.lower())

    def objection(self, key: str, name: str) -> str | None:
        """Return why a name cannot be used, None when it can."""
        first, dot, _ = name.partition(".")
        if dot:
            related = [field.relationship for field in self.by_name.values() if field.relationship]
            if first.lower() in {each.lower() for each in related}:
                return None
            return f"{key}: {self.owner} has no relationship {first!r}{nearest(first, related)}"
        if first.lower() in self.by_name:
            return None
        names = [field.name for field in self.by_name.values()]
        hint = nearest(name, names) or ";"
        return (
            f"{key}: {self.owner} has no field {name!r}{hint} (a field that the user of the login may not "
            "read is missing too)"
        )

    def related(self, relationship: str) -> tuple[str, ...]:
        """Return the objects that a relationship leads to."""
        return next(
            (
                field.refers
                for field in self.by_name.values()
                if (field.relationship or "").lower() == relationship.lower()
            ),
            (),
        )

    def objections(self, named: Iterable[tuple[str, str]]) -> list[str]:
        """Return why names cannot be used."""
        return [text for key, name in named if (text := self.objection(key, name))]

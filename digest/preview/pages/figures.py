"""Every number of the edition with its provenance: a table, one number down to its sources, both as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from digest.model import Period
from digest.preview.address import NotAllowedError, UnknownError
from digest.preview.desk import Showing
from digest.preview.page import Asked, Page
from digest.render.locales import Locale, locale_for

if TYPE_CHECKING:
    from digest.figures import Asked as Question
    from digest.figures import Figure, Figures, Place
    from digest.render.why import Card

LONGEST_SEARCH = 80
# What of a view changes a number; the rest is how the mail looks.
_LOOKS: Mapping[str, Any] = {
    "locale": None, "recipient": 1, "tab": "email", "w": 600, "dark": "no", "images": "on",
    "explain": False,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Branch:
    """A figure in the tree of another one; `again` when its own inputs stand further up."""

    card: Card
    again: bool
    branches: tuple[Branch, ...]


def _showing(asked: Asked) -> tuple[Showing, Figures, Locale]:
    showing = asked.desk.show(asked.digest, asked.view)
    return showing, asked.desk.figures(showing), locale_for(asked.words.tag)


def table(asked: Asked) -> Response:
    """List every number; `q` keeps those whose name, id or place holds its words."""
    from digest.render.why import card

    showing, figures, locale = _showing(asked)
    wanted = next((value for key, value in asked.query if key == "q"), "")
    if len(wanted) > LONGEST_SEARCH:
        raise NotAllowedError("q", wanted, f"at most {LONGEST_SEARCH} characters")
    cards = [card(figure, figures, locale) for figure in figures.values()]
    words = wanted.casefold().split()
    found = [one for one in cards if all(word in _searched(one) for word in words)]
    return asked.page(
        "figures.html",
        page_name="figures",
        showing=showing,
        cards=found,
        all=len(cards),
        q=wanted,
        href_of=_href_of(asked),
    )


def _searched(one: Card) -> str:
    places = " ".join(part.place for part in one.parts)
    return f"{one.label} {one.id} {places}".casefold()


def _href_of(asked: Asked) -> Any:  # noqa: ANN401 - a function for the template
    def href(name: str = "") -> str:
        return asked.href("figures", name, **_LOOKS)

    return href


def one(asked: Asked) -> Response:
    """Show one number down to settings, cells and questions."""
    showing, figures, locale = _showing(asked)
    name = asked.parts["figure"]
    _refuse_unknown(name, figures)
    tree = _branch(name, figures, locale, set())
    return asked.page(
        "figure.html",
        page_name="figures",
        showing=showing,
        tree=tree,
        href_of=_href_of(asked),
        mail=asked.href(tab="email", explain=True),
    )


def _refuse_unknown(name: str, figures: Figures) -> None:
    """Name the figures that there are, the likeliest first."""
    from difflib import get_close_matches

    if name not in figures:
        alike = get_close_matches(name.lower(), figures, n=8, cutoff=0.3)
        raise UnknownError("figure", name, tuple(dict.fromkeys([*alike, *figures])))


def _branch(name: str, figures: Figures, locale: Locale, seen: set[str]) -> Branch:
    from digest.render.why import card

    again = name in seen
    seen.add(name)
    inputs = [] if again else [other for one in figures[name].inputs for other in one.figures]
    return Branch(
        card(figures[name], figures, locale),
        again and any(one.figures for one in figures[name].inputs),
        tuple(_branch(other, figures, locale, seen) for other in inputs),
    )


# ----------------------------------------------------------------------------------------------- JSON


def table_json(asked: Asked) -> Response:
    """Answer the records of all numbers."""
    showing, figures, _ = _showing(asked)
    return JSONResponse(
        {
            "digest": asked.digest,
            "date": showing.edition.business_date.isoformat(),
            "figures": [as_json(figure) for figure in figures.values()],
        }
    )


def one_json(asked: Asked) -> Response:
    """Answer the record of one number."""
    _, figures, _ = _showing(asked)
    name = asked.parts["figure"]
    _refuse_unknown(name, figures)
    return JSONResponse(as_json(figures[name]))


def as_json(figure: Figure) -> dict[str, object]:
    """Return a record for other programs: values unrounded, exact ones as strings."""
    return {
        "id": figure.id,
        "label": _plain(asdict(figure.label)),
        "value": _plain(figure.value),
        "unit": figure.unit.value,
        "currency": figure.currency,
        "formula": figure.formula,
        "rounding": figure.rounding.value,
        "inputs": [
            {
                "name": one.name,
                "figures": list(one.figures),
                "values": _plain(one.values),
                "days": _plain(one.days),
                "origin": _origin(one.origin),
            }
            for one in figure.inputs
        ],
        "before": None if figure.before is None else _plain(asdict(figure.before)),
        "otherwise": _plain(figure.otherwise),
    }


def _origin(origin: Place | Question | None) -> object:
    from digest.figures import Asked as Question

    if not isinstance(origin, Question):
        return None if origin is None else _plain(asdict(origin))
    window: Period = origin.window
    return {
        "kind": "query",
        **{key: _plain(value) for key, value in asdict(origin).items() if key != "window"},
        "window": _plain({"start": window.start, "end": window.end, "timezone": window.timezone}),
        "window_utc": _plain(origin.utc),
    }


def _plain(value: object) -> object:
    match value:
        case Enum():
            return value.value
        case Fraction() | Decimal():
            return str(value)
        case date() | datetime():
            return value.isoformat()
        case tuple() | list():
            return [_plain(one) for one in value]
        case dict():
            return {key: _plain(one) for key, one in value.items()}
        case _:
            return value


PAGES = (
    Page("/d/{digest}/figures", table),
    Page("/d/{digest}/figures/{figure}", one),
    Page("/api/d/{digest}/figures", table_json, keys=()),
    Page("/api/d/{digest}/figures/{figure}", one_json, keys=()),
)

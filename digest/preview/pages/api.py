"""The pages as JSON for other programs on this computer, and their description for tools that read one."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse, Response

from digest.preview.address import UnknownError
from digest.preview.page import Asked, Page
from digest.preview.pages.edition import free_day, standing
from digest.preview.pages.lint import clients, remarks
from digest.render.clients import CLIENTS
from digest.render.locales import languages
from digest.render.scorecard import scorecard_json

Json = dict[str, Any]


def digests(asked: Asked) -> Response:
    """List the digests, and what is wrong with files that are none."""
    return JSONResponse(
        {
            "digests": [
                {"id": name, "title": settings.title if settings else name}
                for name in asked.desk.digests
                for settings in (asked.desk.settings(name),)
            ],
            "broken": [str(error) for _, error in asked.desk.broken],
            "scenarios": list(asked.desk.samples),
            "languages": list(languages()),
        }
    )


def edition(asked: Asked) -> Response:
    """Answer the scorecard, as `digest show --format json` prints it."""
    _require_edition(asked)
    showing = asked.desk.show(asked.digest, asked.view)
    return JSONResponse(scorecard_json(showing.edition, showing.language))


def state(asked: Asked) -> Response:
    """Answer what the edition rests on, and who got it."""
    _require_edition(asked)
    showing = asked.desk.show(asked.digest, asked.view)
    states: dict[str, int] = {}
    for one in showing.deliveries:
        states[one.state.value] = states.get(one.state.value, 0) + 1
    return JSONResponse(
        {
            "digest": asked.digest,
            "date": showing.edition.business_date.isoformat(),
            "asked": showing.asked.isoformat(),
            "correction": showing.correction,
            "corrections": showing.corrections,
            "basis": showing.basis.value,
            "words": standing(asked, showing)[1],
            "as_of": showing.edition.as_of.isoformat(),
            "deliveries": states,
            "older_than_settings": showing.older,
            "trouble": None if showing.trouble is None else str(showing.trouble),
        }
    )


def lint(asked: Asked) -> Response:
    """Answer what is worth mending in the mail."""
    _require_edition(asked)
    chosen = clients(asked)
    found, _ = remarks(asked, asked.desk.show(asked.digest, asked.view), chosen)
    return JSONResponse(
        {
            "clients": list(chosen),
            "remarks": [
                {
                    "id": remark.id,
                    "level": remark.level,
                    "part": remark.part,
                    "line": remark.line,
                    "reason": remark.reason % remark.values,
                    "remedy": remark.remedy % remark.values,
                }
                for remark in found
            ],
        }
    )


def _require_edition(asked: Asked) -> None:
    """Refuse a day that has no edition.

    Raises:
        UnknownError: with the reason.
    """
    reason = free_day(asked)
    if reason is not None:
        raise UnknownError("date", f"{asked.view.date}: {reason}", ("a date that has an edition",))


# ------------------------------------------------------------------------------------- description


def description(asked: Asked) -> Response:
    """Answer the description of all this as OpenAPI 3.1, with the names that this desk knows."""
    known = asked.desk.digests
    view = [
        _query("date", {"type": "string", "format": "date"}),
        _query("correction", {"type": "integer", "minimum": 0, "maximum": 9999}),
        _query("scenario", {"type": "string", "enum": list(asked.desk.samples)}),
        _query("locale", {"type": "string", "enum": list(languages())}),
        _query("recipient", {"type": "integer", "minimum": 1, "maximum": 9999}),
    ]
    digest = {
        "name": "digest",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "enum": list(known)},
    }
    client = _query("client", {"type": "string", "enum": list(CLIENTS)})
    figure = {
        "name": "figure",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "pattern": "^[a-z0-9_.-]{1,80}$"},
    }
    return JSONResponse(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "digest preview",
                "version": "1",
                "description": "What the pages of the preview show, read only.",
            },
            "paths": {
                "/api/digests": _path("The digests", _DIGESTS, []),
                "/api/d/{digest}/edition": _path("The scorecard", _EDITION, [digest, *view]),
                "/api/d/{digest}/standing": _path("What it rests on", _STANDING, [digest, *view]),
                "/api/d/{digest}/lint": _path("Remarks", _LINT, [digest, *view, client]),
                "/api/d/{digest}/figures": _path("Every number", _FIGURES, [digest, *view]),
                "/api/d/{digest}/figures/{figure}": _path(
                    "One number", _FIGURE, [digest, figure, *view]
                ),
                "/api/d/{digest}/worksheet": _path("The agreement", _OBJECT, [digest, *view]),
                "/api/d/{digest}/what-if": _path("What if", _OBJECT, [digest, *view]),
            },
            "components": {
                "schemas": {"Error": _ERROR},
                "securitySchemes": {
                    "browser": {"type": "apiKey", "in": "cookie", "name": asked.services.cookie}
                },
            },
            "security": [{"browser": []}],
        }
    )


def _query(name: str, schema: Json) -> Json:
    return {"name": name, "in": "query", "required": False, "schema": schema}


def _path(summary: str, schema: Json, parameters: list[Json]) -> Json:
    errors = {
        "401": ("text/plain", {"type": "string"}, "not let in"),
        "404": ("application/json", {"$ref": "#/components/schemas/Error"}, "not there"),
        "414": ("text/plain", {"type": "string"}, "the address is too long"),
        "422": ("application/json", {"$ref": "#/components/schemas/Error"}, "not allowed"),
        "503": ("application/json", {"$ref": "#/components/schemas/Error"}, "no edition"),
    }
    return {
        "get": {
            "summary": summary,
            "parameters": parameters,
            "responses": {
                "200": {
                    "description": summary,
                    "content": {"application/json": {"schema": schema}},
                },
                **{
                    code: {"description": words, "content": {kind: {"schema": body}}}
                    for code, (kind, body, words) in errors.items()
                },
            },
        }
    }


def _object(**properties: Json) -> Json:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}


_TEXT: Json = {"type": "string"}
_TEXT_OR_NONE: Json = {"type": ["string", "null"]}
_DAY: Json = {"type": "string", "format": "date"}
_COUNT: Json = {"type": "integer", "minimum": 0}
_OBJECT: Json = {"type": "object"}
_ERROR = _object(error=_object(what=_TEXT, found=_TEXT, allowed=_TEXT))
_DIGESTS = _object(
    digests=_list(_object(id=_TEXT, title=_TEXT)),
    broken=_list(_TEXT),
    scenarios=_list(_TEXT),
    languages=_list(_TEXT),
)
_EDITION = _object(
    schema={"type": "integer", "const": 1},
    digest=_TEXT,
    title=_TEXT,
    date=_DAY,
    kind=_TEXT,
    language=_TEXT,
    period=_OBJECT,
    total=_OBJECT,
    segments=_list(_OBJECT),
    origin=_OBJECT,
    warnings=_list({}),
)
_STANDING = _object(
    digest=_TEXT,
    date=_DAY,
    asked=_DAY,
    correction=_COUNT,
    corrections=_COUNT,
    basis={"enum": ["sent", "frozen", "today", "recounted", "ahead", "scenario"]},
    words=_TEXT,
    as_of={"type": "string", "format": "date-time"},
    deliveries={"type": "object", "additionalProperties": _COUNT},
    older_than_settings={"type": "boolean"},
    trouble=_TEXT_OR_NONE,
)
_LINT = _object(
    clients=_list({"enum": list(CLIENTS)}),
    remarks=_list(
        _object(
            id=_TEXT,
            level={"enum": ["error", "warning", "note"]},
            part={"enum": ["html", "text", "subject", "headers", "message"]},
            line={"type": ["integer", "null"], "minimum": 1},
            reason=_TEXT,
            remedy=_TEXT,
        )
    ),
)
_FIGURE = _object(id=_TEXT, unit=_TEXT, formula={}, inputs=_list(_OBJECT), value={})
_FIGURES = _object(digest=_TEXT, date=_DAY, figures=_list(_FIGURE))

PAGES = (
    Page("/api/digests", digests, keys=()),
    Page("/api/d/{digest}/edition", edition, keys=()),
    Page("/api/d/{digest}/standing", state, keys=()),
    Page("/api/d/{digest}/lint", lint, keys=("client",)),
    Page("/openapi.json", description, keys=()),
)

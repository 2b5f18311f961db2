"""The OpenAPI 3.1 document, made of the table of routes, the structs they move and the table of faults."""

from __future__ import annotations

import http
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from .faults import CONDITIONS, KEPT_STATUSES, ErrorBody
from .route import Route
from .routes import ROUTES
from .wire import ChatRequest, Limits

Json = dict[str, Any]
VERSION = "1"
"""Of the interface, not of the program."""

_REF = "#/components/schemas/{name}"
_KEYED = ("invalid_api_key", "insufficient_scope", "server_is_overloaded")
_SENT = ("invalid_json", "invalid_value", "unknown_parameter", "request_too_large", "unsupported_media_type")
_ANY: Json = {"required": True, "schema": {"type": "string", "minLength": 1}}
_PARAMETERS: dict[str, Json] = {
    name: {"required": True, "schema": {"type": "string", "pattern": pattern}}
    for name, pattern in {
        "digest": "^sha256:[0-9a-f]{12,64}$",
        "name": "^[a-z0-9][a-z0-9._-]{0,62}$",
        "key": "^[a-z2-7]{12}$",
    }.items()
}
"""Pieces of paths that are not just any text."""
_ALWAYS = ("internal_error",)
_LIMITS = ("max_tokens", "max_completion_tokens")


def document(routes: Sequence[Route] = ROUTES, limits: Limits = Limits()) -> Json:
    """The document. `limits` are those the server was started with."""
    kinds: set[type[msgspec.Struct]] = {ErrorBody}
    for route in routes:
        kinds |= {kind for kind in (route.asks, route.answers, route.events, route.query) if kind is not None}
        kinds |= {kind for _, kind in route.also}
    ordered = sorted(kinds, key=lambda kind: (kind.__module__, kind.__name__))
    refs, schemas = msgspec.json.schema_components(ordered, ref_template=_REF)
    named = dict(zip(ordered, refs, strict=True))
    if ChatRequest in named:
        _narrow(schemas[_name(named[ChatRequest])], limits)
    paths: Json = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, named, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Symposia",
            "version": VERSION,
            "summary": "OpenAI-compatible inference with activation steering, profiles and budgets.",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _narrow(chat: Json, limits: Limits) -> None:
    """The server's own numbers, which no type can hold."""
    fields = chat["properties"]
    fields["messages"]["maxItems"] = limits.max_messages
    for option in fields["n"]["anyOf"]:
        if option.get("type") == "integer":
            option["maximum"] = limits.max_n
    chat["allOf"] = [
        _only_beside("top_logprobs", "integer", "logprobs"),
        _only_beside("stream_options", "object", "stream"),
        {"not": {"properties": {name: {"type": "integer"} for name in _LIMITS}, "required": list(_LIMITS)}},
    ]


def _only_beside(field: str, kind: str, other: str) -> Json:
    """A field that has a meaning only where another is true."""
    return {
        "if": {"properties": {field: {"type": kind}}, "required": [field]},
        "then": {"properties": {other: {"const": True}}, "required": [other]},
    }


def _operation(route: Route, named: dict[type[msgspec.Struct], Json], schemas: Json) -> Json:
    made: Json = {
        "operationId": _id(route),
        "summary": route.does,
        "security": [{"key": []}] if route.scopes else [],
        "responses": {str(route.status): _answer(route, named)}
        | _faults(route, named[ErrorBody])
        | _also(route, named),
    }
    if route.scopes:
        made["description"] = f"Scope: {' or '.join(route.scopes)}."
    parameters = [_in_path(name) for name in route.parameters]
    if route.query is not None:
        parameters += _in_query(schemas[_name(named[route.query])])
    parameters += [{"name": name, "in": "header", "schema": {"type": "string"}} for name in route.headers]
    if parameters:
        made["parameters"] = parameters
    if route.asks is not None:
        content = {"application/json": {"schema": named[route.asks]}}
        made["requestBody"] = {"required": True, "content": content}
    return made


def _answer(route: Route, named: dict[type[msgspec.Struct], Json]) -> Json:
    content: Json = {}
    if route.answers is not None:
        content["application/json"] = {"schema": named[route.answers]}
    if route.events is not None:
        said = f"Each `data:` line but the last, `[DONE]`, holds a {route.events.__name__}."
        content["text/event-stream"] = {
            "schema": {"type": "string", "description": said, "contentSchema": named[route.events]}
        }
    if route.media is not None:
        content[route.media] = {"schema": {"type": "object" if route.media.endswith("json") else "string"}}
    return {"description": http.HTTPStatus(route.status).phrase} | ({"content": content} if content else {})


def _faults(route: Route, body: Json) -> Json:
    """A response for every status, and under it what each code means."""
    by_status: dict[int, list[str]] = {}
    for code in _codes(route):
        row = CONDITIONS[code]
        by_status.setdefault(row.status, []).append(f"- `{code}`: {row.when}")
    if any(code.startswith("provider_") for code in route.faults):
        for status in KEPT_STATUSES:
            by_status.setdefault(status, []).append("- any code of the model's own server, about the request")
    return {
        str(status): {"description": "\n".join(said), "content": _json_of(body)}
        for status, said in sorted(by_status.items())
    }


def _also(route: Route, named: dict[type[msgspec.Struct], Json]) -> Json:
    return {
        str(status): {"description": http.HTTPStatus(status).phrase, "content": _json_of(named[kind])}
        for status, kind in route.also
    }


def _codes(route: Route) -> Iterable[str]:
    keyed, sent = _KEYED if route.scopes else (), _SENT if route.asks is not None else ()
    queried = ("invalid_value",) if route.query is not None else ()
    return dict.fromkeys([*keyed, *sent, *queried, *route.faults, *_ALWAYS])


def _json_of(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}


def _in_path(name: str) -> Json:
    return _PARAMETERS.get(name, _ANY) | {"name": name, "in": "path"}


def _in_query(schema: Json) -> list[Json]:
    required = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": kind}
        for name, kind in schema["properties"].items()
    ]


def _id(route: Route) -> str:
    words = route.path.strip("/").replace("{", "").replace("}", "").replace(".", "/").split("/")
    return "_".join([route.method.lower(), *(word.replace("-", "_") for word in words)])


def _name(ref: Json) -> str:
    return str(ref["$ref"]).rpartition("/")[2]

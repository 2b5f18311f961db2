"""The OpenAPI document is what the routes, structs and faults say, and other people's readers take it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import schemathesis
from jsonschema import Draft202012Validator

from symposia.serve.faults import CONDITIONS, Fault
from symposia.serve.openapi import document
from symposia.serve.routes import ROUTES, Route
from symposia.serve.wire import Limits
from tests.serve.bodies import COMPONENTS, validator
from tools.openapi import PATH, main

DOCUMENT: dict[str, Any] = msgspec.to_builtins(document())
CHAT = DOCUMENT["paths"]["/v1/chat/completions"]["post"]


def test_the_published_document_is_current() -> None:
    """docs/openapi.json holds exactly what the routes say; `python -m tools.openapi` rewrites it."""
    assert main(["--check"]) == 0


def test_check_sees_a_difference(tmp_path: Path) -> None:
    """A missing or changed file fails the check, and writing mends it."""
    path = tmp_path / "openapi.json"
    assert main(["--check"], path) == 1
    assert main([], path) == 0
    assert main(["--check"], path) == 0
    assert path.read_text() == PATH.read_text()
    path.write_text("{}")
    assert main(["--check"], path) == 1


def test_a_reader_of_others_takes_it() -> None:
    """schemathesis finds every operation, and every schema is one of its dialect."""
    found = schemathesis.openapi.from_dict(json.loads(json.dumps(DOCUMENT)))
    operations = [result.ok() for result in found.get_all_operations()]
    assert {(operation.method.upper(), operation.path) for operation in operations} == {
        (route.method, route.path) for route in ROUTES
    }
    for schema in COMPONENTS.values():
        Draft202012Validator.check_schema(schema)


def test_every_reference_leads_somewhere() -> None:
    """No `$ref` without its component."""
    text = json.dumps(DOCUMENT)
    named = {piece.partition('"')[0] for piece in text.split("#/components/schemas/")[1:]}
    assert named <= COMPONENTS.keys()
    assert "ErrorBody" in named


@pytest.mark.parametrize("code", CONDITIONS)
def test_an_error_of_every_row_has_the_documented_form(code: str) -> None:
    """What is sent keeps to the schema."""
    body = json.loads(Fault(code, "words").body("req_1"))
    assert validator({"$ref": "#/components/schemas/ErrorBody"}).is_valid(body)


def test_chat_documents_each_of_its_faults() -> None:
    """Every code that chat can answer stands under its status, and what each key and body brings too."""
    (route,) = (route for route in ROUTES if route.path == "/v1/chat/completions")
    for code in (
        *route.faults,
        "invalid_api_key",
        "unknown_parameter",
        "request_too_large",
        "internal_error",
    ):
        assert f"`{code}`" in CHAT["responses"][str(CONDITIONS[code].status)]["description"]
    assert {"400", "404", "413", "422"} <= CHAT["responses"].keys()
    assert CHAT["security"] == [{"key": []}]


def test_open_routes_ask_for_no_key() -> None:
    """Health and the document itself."""
    for path in ("/healthz", "/readyz", "/openapi.json"):
        operation = DOCUMENT["paths"][path]["get"]
        assert operation["security"] == []
        assert "401" not in operation["responses"]
    ready = DOCUMENT["paths"]["/readyz"]["get"]["responses"]
    assert ready["503"]["content"] == ready["200"]["content"]


def test_the_servers_numbers_are_in_it() -> None:
    """Limits of the settings narrow the schema."""
    tight = msgspec.to_builtins(document(limits=Limits(max_messages=3, max_n=2)))
    fields = tight["components"]["schemas"]["ChatRequest"]["properties"]
    assert fields["messages"]["maxItems"] == 3
    assert {"type": "integer", "minimum": 1, "maximum": 2} in fields["n"]["anyOf"]


class Moved(msgspec.Struct, forbid_unknown_fields=True):
    """Where an alias shall point."""

    to: str
    reason: str


class Since(msgspec.Struct):
    """From where on."""

    after: int
    limit: int | None = None


def test_a_row_more_in_the_table_is_an_operation_more() -> None:
    """Other routes need nothing but their row: bodies, path and query parameters, scopes, faults."""
    rows = (
        Route(
            "PUT",
            "/admin/v1/aliases/{model}/{name}",
            "Move an alias.",
            ("admin",),
            asks=Moved,
            faults=("alias_conflict",),
        ),
        Route(
            "GET", "/admin/v1/events", "Events.", ("admin-read",), query=Since, media="application/x-ndjson"
        ),
        Route("DELETE", "/admin/v1/keys/{id}", "Revoke a key.", ("admin",), status=204),
    )
    made = msgspec.to_builtins(document(rows))
    put = made["paths"]["/admin/v1/aliases/{model}/{name}"]["put"]
    assert [p["name"] for p in put["parameters"]] == ["model", "name"]
    assert put["requestBody"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/Moved"
    }
    assert "alias_conflict" in put["responses"]["409"]["description"]
    assert "invalid_json" in put["responses"]["400"]["description"]
    query = made["paths"]["/admin/v1/events"]["get"]["parameters"]
    assert [(p["name"], p["in"], p["required"]) for p in query] == [
        ("after", "query", True),
        ("limit", "query", False),
    ]
    assert made["paths"]["/admin/v1/keys/{id}"]["delete"]["responses"]["204"] == {"description": "No Content"}
    schemathesis.openapi.from_dict(json.loads(json.dumps(made)))

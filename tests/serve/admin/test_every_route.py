"""What holds for every route of the admin API, taken from its table: a new route without audit or scope fails here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, get_args, get_type_hints

import pytest

from symposia.core.store import Query
from symposia.serve.admin.table import OPERATIONS, PREFIX
from symposia.serve.openapi import document
from symposia.store.keys import Grant
from tests.serve.admin.office import STEERED, Office, office

WHY = "because of the drill"
READS = [o.route for o in OPERATIONS if o.route.method == "GET"]
CHANGES = [o.route for o in OPERATIONS if o.route.method != "GET"]
Change = Callable[[Office], Awaitable[Any]]


async def _moved(desk: Office) -> str:
    digest = await desk.profile()
    desk.storage.profiles.move("script:tiny", "calm", digest, expect=None, actor="test", reason="x")
    return digest


async def _archive(desk: Office) -> Any:
    digest = await desk.profile()
    return lambda: desk.ask("POST", f"/profiles/{digest}/archive", {"reason": WHY})


async def _remove(desk: Office) -> Any:
    digest = await _moved(desk)
    return lambda: desk.ask("DELETE", "/aliases/tiny/calm", expect=digest, reason=WHY)


async def _move(desk: Office) -> Any:
    digest = await desk.profile()
    return lambda: desk.ask("PUT", "/aliases/tiny/calm", {"to": digest, "expect": None, "reason": WHY})


async def _reset(desk: Office) -> Any:
    policy = {"default": {"max_requests": 9}}
    await desk.ask("PUT", "/budget", policy, headers={"if-match": '"0"'}, reason="x")
    await desk.chat()
    [pool] = (await desk.ask("GET", "/budget/usage")).json()["pools"]
    return lambda: desk.ask("POST", "/budget/reset", {"pool": pool["pool"], "reason": WHY})


async def _key(desk: Office) -> str:
    return desk.storage.keys.create(Grant(name="old", scopes=("inference",)), actor="test")[0].id


async def _rotate(desk: Office) -> Any:
    key = await _key(desk)
    return lambda: desk.ask("POST", f"/keys/{key}/rotate", {"reason": WHY})


async def _revoke(desk: Office) -> Any:
    key = await _key(desk)
    return lambda: desk.ask("DELETE", f"/keys/{key}", reason=WHY)


def _at_once(method: str, path: str, body: object, **more: Any) -> Change:
    async def ready(desk: Office) -> Any:
        return lambda: desk.ask(method, path, body, **more)

    return ready


CASES: dict[tuple[str, str], tuple[Change, str]] = {
    ("POST", "/profiles"): (_at_once("POST", "/profiles", STEERED, reason=WHY), "profile_created"),
    ("POST", "/profiles/{digest}/archive"): (_archive, "profile_archived"),
    ("PUT", "/aliases/{model}/{name}"): (_move, "alias_moved"),
    ("DELETE", "/aliases/{model}/{name}"): (_remove, "alias_moved"),
    ("PUT", "/budget"): (
        _at_once("PUT", "/budget", {"hard_limits": False}, headers={"if-match": '"0"'}, reason=WHY),
        "budget_config_updated",
    ),
    ("POST", "/budget/hard-limits"): (
        _at_once("POST", "/budget/hard-limits", {"enabled": False, "reason": WHY}),
        "budget_config_updated",
    ),
    ("POST", "/budget/reset"): (_reset, "budget_reset"),
    ("POST", "/keys"): (
        _at_once("POST", "/keys", {"name": "n", "scopes": ["inference"], "reason": WHY}),
        "key_created",
    ),
    ("POST", "/keys/{key}/rotate"): (_rotate, "key_rotated"),
    ("DELETE", "/keys/{key}"): (_revoke, "key_revoked"),
    ("POST", "/kill"): (
        _at_once("POST", "/kill", {"on": True, "reason": WHY}, scope="kill"),
        "kill_switched",
    ),
    ("POST", "/drain"): (_at_once("POST", "/drain", {"reason": WHY}), "draining"),
}


def test_there_is_a_case_for_every_change() -> None:
    """Nobody adds a change that the test below does not make."""
    assert set(CASES) == {(route.method, route.path.removeprefix(PREFIX)) for route in CHANGES}


@pytest.mark.parametrize(("case", "action"), CASES.values(), ids=[" ".join(key) for key in CASES])
async def test_every_change_is_audited_and_told(case: Change, action: str) -> None:
    """One act of the caller's key with its reason, one event of the same name, and the chain still holds."""
    async with office() as desk:
        change = await case(desk)
        acts, events = len(desk.storage.audit()), _decisions(desk)
        answer = await change()
        assert answer.status_code in (200, 201), answer.text
        [act] = [row for row in desk.storage.audit()[acts:] if row.action == action]
        names = {key.id: key.name for key in desk.storage.keys.all()}
        assert names[act.actor] in ("admin", "kill")
        assert WHY in act.reason
        assert act.before != act.after
        told = [tag for tag in _decisions(desk)[len(events) :] if tag == action]
        assert told == [action]
        assert desk.storage.verify().flaws == ()


async def test_a_change_that_is_refused_leaves_no_trace(desk: Office) -> None:
    """A reading key gets 403 with the scope it lacks; nothing is written down but that."""
    acts, events = desk.storage.audit(), _decisions(desk)
    for route in CHANGES:
        digest = "sha256:" + "1" * 64
        path = route.path.removeprefix(PREFIX).format(digest=digest, model="tiny", name="a", key="a" * 12)
        answer = await desk.ask(route.method, path, {}, scope="admin-read")
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "insufficient_scope")
        assert answer.json()["error"]["param"] == route.scopes[0]
        assert (desk.storage.audit(), _decisions(desk)) == (acts, events)


async def test_every_read_is_open_to_readers_and_changes_nothing(desk: Office) -> None:
    """`admin-read` and `admin` open it, other scopes do not; no act is written."""
    digest = await _moved(desk)
    acts = desk.storage.audit()
    for route in READS:
        path = route.path.removeprefix(PREFIX).format(digest=digest, model="tiny", name="calm")
        for scope, status in (("admin-read", 200), ("admin", 200), ("inference", 403), ("kill", 403)):
            answer = await desk.ask("GET", path, scope=scope)
            assert answer.status_code == status, answer.text
    assert desk.storage.audit() == acts


@pytest.mark.parametrize(
    "operation", OPERATIONS, ids=[f"{o.route.method} {o.route.path}" for o in OPERATIONS]
)
def test_the_function_takes_what_the_route_says(operation: Any) -> None:
    """Body and query of the table are those of the function's signature."""
    from symposia.serve.server import Server

    hints = get_type_hints(operation.run, localns={"Server": Server})
    body, query = get_args(hints["ask"])
    nothing = type(None)
    assert (operation.route.asks or nothing, operation.route.query or nothing) == (body, query)


def test_the_document_has_every_route() -> None:
    """OpenAPI names them with their scopes, bodies and faults."""
    paths = document()["paths"]
    for route in (*READS, *CHANGES):
        told = paths[route.path][route.method.lower()]
        assert told["security"] == [{"key": []}]
        assert ("requestBody" in told) == (route.asks is not None)
        assert {"401", "403"} <= set(told["responses"])
    assert "409" in paths[f"{PREFIX}/aliases/{{model}}/{{name}}"]["put"]["responses"]


def _decisions(desk: Office) -> list[str]:
    """The tags of what is kept at once; what is queued is not among it."""
    kept = desk.storage.events.read(Query())
    measured = ("request_served", "budget_decision", "budget_settled", "auth_refused")
    tags = [str(record.event.__struct_config__.tag) for record in kept]
    return [tag for tag in tags if tag not in measured]

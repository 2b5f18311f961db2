"""The kill switch, keys, events, audit and draining through the admin API."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from symposia.serve.admin.table import OPERATIONS, PREFIX
from tests.serve.admin.office import STEERED, Office, office


async def pointed(desk: Office) -> str:
    """A steered profile under the alias `warm`."""
    digest = await desk.profile(STEERED)
    await desk.ask("PUT", "/aliases/tiny/warm", {"to": digest, "expect": None, "reason": "x"})
    return digest


async def test_the_kill_switch_holds_from_the_next_request(desk: Office) -> None:
    """Steered replies become baseline ones that say so; a required steering is 503; off again, all is as before."""
    await pointed(desk)
    before = await desk.chat(model="tiny@warm")
    assert before.headers["x-steering-applied"] == "true"
    on = await desk.ask("POST", "/kill", {"on": True, "reason": "drill"}, scope="kill")
    assert on.json() == {"on": True, "cut": False}
    killed = await desk.chat(model="tiny@warm")
    assert killed.headers["x-steering-arm"] == "baseline"
    assert killed.headers["x-steering-applied"] == "false"
    assert killed.json()["steering"]["reason"] == "kill_switch"
    assert killed.json()["choices"][0]["message"]["content"] == "said 0"
    required = await desk.chat(model="tiny@warm", steering_required=True)
    assert (required.status_code, required.json()["error"]["code"]) == (503, "steering_disabled")
    await desk.ask("POST", "/kill", {"on": False, "reason": "over"}, scope="kill")
    assert (await desk.chat(model="tiny@warm")).headers["x-steering-applied"] == "true"


async def test_killing_has_a_scope_of_its_own(desk: Office) -> None:
    """An admin key cannot kill, nor give somebody the scope; a kill key cannot do anything else."""
    refused = await desk.ask("POST", "/kill", {"on": True, "reason": "x"})
    assert (refused.status_code, refused.json()["error"]["param"]) == (403, "kill")
    given = await desk.ask("POST", "/keys", {"name": "k", "scopes": ["kill"]})
    assert (given.status_code, given.json()["error"]["param"]) == (403, "kill")
    assert (await desk.ask("GET", "/audit", scope="kill")).status_code == 403
    assert (await desk.ask("POST", "/drain", {"reason": "x"}, scope="admin-read")).status_code == 403
    assert (await desk.ask("GET", "/audit", scope="inference")).status_code == 403


async def test_a_keys_secret_is_told_once(desk: Office) -> None:
    """It opens at once; lists, audit and events never hold it; revoked, it opens nothing."""
    made = await desk.ask(
        "POST", "/keys", {"name": "app", "scopes": ["inference"], "expires_s": 60, "reason": "new"}
    )
    assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")
    secret, key = made.json()["secret"], made.json()["key"]
    bearer = {"authorization": f"Bearer {secret}"}
    assert (await desk.client.get("/v1/models", headers=bearer)).status_code == 200
    for path in ("/keys", "/audit", "/events"):
        seen = await desk.ask("GET", path)
        assert key["id"] in seen.text
        assert secret not in seen.text
    assert "sha256" not in (await desk.ask("GET", "/keys")).text
    rotated = await desk.ask("POST", f"/keys/{key['id']}/rotate", {"reason": "monthly"})
    assert rotated.status_code == 201
    assert (await desk.client.get("/v1/models", headers=bearer)).status_code == 401
    successor = rotated.json()
    ended = await desk.ask("DELETE", f"/keys/{successor['key']['id']}", reason="leaked")
    assert ended.json()["revoked"] is not None
    bearer = {"authorization": f"Bearer {successor['secret']}"}
    assert (await desk.client.get("/v1/models", headers=bearer)).status_code == 401
    unknown = await desk.ask("DELETE", "/keys/aaaaaaaaaaaa")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "not_found")


async def test_events_come_in_pages(desk: Office) -> None:
    """Lines in order, from where the last page ended, of the types asked for; an unknown type names the nearest."""
    await pointed(desk)
    page = await desk.ask("GET", "/events", limit=3)
    assert page.headers["content-type"] == "application/jsonl"
    lines = [json.loads(line) for line in page.text.splitlines()]
    assert [line["seq"] for line in lines] == [1, 2, 3]
    rest = await desk.ask("GET", "/events", after=3, type="alias_moved,profile_created")
    types = [json.loads(line)["event"]["type"] for line in rest.text.splitlines()]
    assert types == ["profile_created", "alias_moved"]
    wrong = await desk.ask("GET", "/events", type="alias_move")
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "type")
    assert "'alias_moved'" in wrong.json()["error"]["message"]
    many = await desk.ask("GET", "/events", limit=0)
    assert (many.status_code, many.json()["error"]["param"]) == (400, "limit")


async def test_events_are_followed(desk: Office) -> None:
    """What happens while somebody listens arrives; the stream ends when the server drains."""
    seen: list[dict[str, Any]] = []
    arrived = asyncio.Event()
    sent: list[bytes] = []

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            sent.append(message["body"])
            for line in message["body"].splitlines():
                if line.startswith(b"data: "):
                    seen.append(json.loads(line[6:]))
                    arrived.set()

    forever = asyncio.Event()

    async def receive() -> Any:
        await forever.wait()

    headers = [
        (b"accept", b"text/event-stream"),
        (b"host", b"localhost"),
        (b"authorization", f"Bearer {desk.secrets['admin-read']}".encode()),
    ]
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/admin/v1/events",
        "raw_path": b"/admin/v1/events",
        "query_string": b"type=profile_created,draining",
        "headers": headers,
    }
    following = asyncio.ensure_future(desk.app(scope, receive, send))
    digest = await desk.profile()
    await asyncio.wait_for(arrived.wait(), 20)
    assert seen[0]["event"]["digest"] == digest
    await desk.ask("POST", "/drain", {"reason": "end"})
    await asyncio.wait_for(following, 20)
    assert sent[-1] == b""


async def test_a_server_drains_and_takes_requests_again(desk: Office) -> None:
    """New requests are 503 and it is not ready; the admin API goes on; `on: false` undoes it."""
    assert (await desk.ask("POST", "/drain", {"reason": "upgrade"})).json() == {"on": True}
    assert (await desk.chat()).status_code == 503
    ready = await desk.client.get("/readyz")
    assert (ready.status_code, ready.json()["checks"]["not_draining"]) == (503, False)
    assert (await desk.ask("POST", "/drain", {"on": False, "reason": "later"})).json() == {"on": False}
    assert (await desk.chat()).status_code == 200


async def test_the_audit_says_who_and_why(desk: Office) -> None:
    """Actor, before, after and reason of an act; only those after a number."""
    digest = await pointed(desk)
    rows = (await desk.ask("GET", "/audit", scope="admin-read")).json()["rows"]
    last = rows[-1]
    admin = next(key.id for key in desk.storage.keys.all() if key.name == "admin")
    assert (last["actor"], last["action"]) == (admin, "alias_moved")
    assert (last["before"], last["after"], last["reason"]) == (None, digest, "x")
    assert (await desk.ask("GET", "/audit", since=last["seq"])).json()["rows"] == []
    assert len((await desk.ask("GET", "/audit", limit=2)).json()["rows"]) == 2
    assert desk.storage.verify().flaws == ()


async def test_what_is_asked_wrongly_is_told(desk: Office) -> None:
    """Paths, methods, bodies, media types and queries, each with its status and code."""
    kill = {"on": True, "reason": "x"}
    answers = [
        await desk.ask("GET", "/nothing"),
        await desk.ask("PUT", "/kill", kill, scope="kill"),
        await desk.ask("POST", "/kill", kill | {"onn": True}, scope="kill"),
        await desk.ask("POST", "/kill", {"on": 1, "reason": "x"}, scope="kill"),
        await desk.ask("POST", "/kill", {"on": True, "reason": ""}, scope="kill"),
        await desk.ask("POST", "/kill", {"on": True}, scope="kill"),
        await desk.ask("GET", "/audit", sinse=1),
        await desk.ask("GET", "/audit", since="soon"),
        await desk.ask("GET", "/profiles", since=1),
        await desk.ask("POST", "/drain", headers={"content-type": "text/plain"}),
    ]
    told = [(a.status_code, a.json()["error"]["code"], a.json()["error"]["param"]) for a in answers]
    assert told == [
        (404, "unknown_url", None),
        (405, "method_not_allowed", None),
        (400, "unknown_parameter", "onn"),
        (400, "invalid_value", "on"),
        (400, "invalid_value", "reason"),
        (400, "invalid_value", "reason"),
        (400, "unknown_parameter", "sinse"),
        (400, "invalid_value", "since"),
        (400, "unknown_parameter", "since"),
        (415, "unsupported_media_type", None),
    ]
    assert all(answer.json()["error"]["request_id"] == answer.headers["x-request-id"] for answer in answers)


async def test_without_a_key_nothing_is_told() -> None:
    """401 for every route, whatever the key looks like."""
    async with office() as desk:
        for header in ({}, {"authorization": "Bearer sk-sym-aaaaaaaaaaaa-" + "a" * 43}):
            answer = await desk.client.get("/admin/v1/keys", headers=header)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


async def test_no_reading_tells_a_secret(desk: Office) -> None:
    """Whatever is read, after everything was changed: no key, no hash of one, no header that held it."""
    digest = await pointed(desk)
    await desk.chat(model="tiny@warm")
    made = (await desk.ask("POST", "/keys", {"name": "app", "scopes": ["inference"]})).json()
    desk.app.server.journal.close()
    hidden = [secret.partition("-")[2][20:] for secret in [*desk.secrets.values(), made["secret"]]]
    hidden += [key.sha256 for key in desk.storage.keys.all()]
    for operation in OPERATIONS:
        if operation.route.method == "GET":
            path = operation.route.path.removeprefix(PREFIX).format(digest=digest, model="tiny", name="warm")
            answer = await desk.ask("GET", path)
            assert answer.status_code == 200
            told = answer.text + str(answer.headers)
            assert [secret for secret in hidden if secret in told] == []


async def test_while_the_store_is_away_nothing_changes_and_serving_goes_on(tmp_path: Path) -> None:
    """Every change is 503 and leaves things as they were; requests are answered from the last snapshot."""
    async with office(str(tmp_path / "s.db")) as desk:
        await pointed(desk)
        desk.storage.close()
        answers = [
            await desk.ask("POST", "/kill", {"on": True, "reason": "x"}, scope="kill"),
            await desk.ask("POST", "/drain", {"reason": "x"}),
            await desk.ask("POST", "/keys", {"name": "n", "scopes": ["inference"]}),
            await desk.ask("GET", "/audit"),
        ]
        assert {(a.status_code, a.json()["error"]["code"]) for a in answers} == {
            (503, "server_is_overloaded")
        }
        assert all(answer.headers["retry-after"] == "1" for answer in answers)
        steered = await desk.chat(model="tiny@warm")
        assert (steered.status_code, steered.headers["x-steering-applied"]) == (200, "true")

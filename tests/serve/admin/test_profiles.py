"""Profiles and aliases through the admin API: put once, moved by compare-and-swap, never changed."""

from __future__ import annotations

import pytest

from symposia.core.errors import UnsupportedRequest
from symposia.core.profile import Profile
from tests.serve.admin.office import ADD, PLAIN, STEERED, Office, office, scripted


async def test_a_profile_is_put_once_and_named_by_its_digest(desk: Office) -> None:
    """201 with the digest that the profile itself has, then 200; it is shown as it was put, with who put it."""
    first = await desk.ask("POST", "/profiles", STEERED, reason="try it")
    again = await desk.ask("POST", "/profiles", STEERED)
    digest = first.json()["digest"]
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == {"digest": digest}
    shown = await desk.ask("GET", f"/profiles/{digest[:19]}", scope="admin-read")
    assert shown.status_code == 200
    body = shown.json()
    assert body["note"] == "try it"
    assert body["profile"]["interventions"][0]["vector"] == ADD["vector"]
    [row] = (await desk.ask("GET", "/profiles")).json()["profiles"]
    assert (row["digest"], len(row["profile"]["interventions"]), row["aliases"]) == (digest, 1, [])


async def test_a_profile_the_model_cannot_honour_is_refused_with_its_reason() -> None:
    """The read is made on the backend, and what it says is what the caller hears; nothing is kept."""

    def refuse(request: object) -> str:
        raise UnsupportedRequest(
            endpoint="engine",
            model="tiny",
            feature="interventions",
            why="layer 99 of 4",
            way_out="choose 0..3",
        )

    backend = scripted(refuse)
    async with office(backend=backend) as desk:
        answer = await desk.ask("POST", "/profiles", STEERED)
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "steering_profile_incompatible"
        assert "layer 99 of 4" in answer.json()["error"]["message"]
        assert desk.storage.profiles.all() == ()
        [read] = backend.requests
        assert read.sampling.max_tokens == 0
        assert await desk.profile(PLAIN)
        assert len(backend.requests) == 1


async def test_a_model_that_does_not_answer_holds_up_nobody() -> None:
    """A trial has as long as a first token has: then 503, to be asked again, and nothing is kept."""
    async with office(backend=scripted(latency_s=60.0), first_token_s=0.05) as desk:
        answer = await desk.ask("POST", "/profiles", STEERED)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "server_is_overloaded")
        assert "'tiny'" in answer.json()["error"]["message"]
        assert desk.storage.profiles.all() == ()


async def test_steering_of_a_model_that_is_not_served_cannot_be_tried(desk: Office) -> None:
    """404 names the models there are; without interventions it is only text, and kept."""
    answer = await desk.ask("POST", "/profiles", STEERED | {"model": "script:other"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
    assert "script:tiny" in answer.json()["error"]["message"]
    assert (await desk.ask("POST", "/profiles", PLAIN | {"model": "script:other"})).status_code == 201


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["/profiles", "/profiles/sha256:123456789012"])
async def test_profiles_never_change(desk: Office, method: str, path: str) -> None:
    """405 `immutable`, and what is allowed."""
    answer = await desk.ask(method, path, PLAIN)
    assert (answer.status_code, answer.json()["error"]["code"]) == (405, "immutable")
    assert "GET" in answer.headers["allow"]


async def test_an_alias_moves_from_where_the_mover_believes_it_is(desk: Office) -> None:
    """The swap, its conflict with what is there now, its history, its end; the next request is answered by it."""
    calm, brief = await desk.profile(STEERED), await desk.profile(PLAIN)
    form = {"to": calm, "expect": None, "reason": "first"}
    moved = await desk.ask("PUT", "/aliases/tiny/calm", form)
    assert moved.status_code == 200
    assert (await desk.chat(model="tiny@calm")).json()["steering"]["revision"] == calm
    stale = await desk.ask(
        "PUT", "/aliases/tiny/calm", {"to": brief, "expect": "sha256:wrong", "reason": "x"}
    )
    assert stale.status_code == 409
    assert stale.json()["error"]["code"] == "alias_conflict"
    assert stale.json()["error"]["current"] == calm
    gone = await desk.ask("PUT", "/aliases/tiny/new", {"to": brief, "expect": calm, "reason": "x"})
    assert gone.json()["error"]["current"] is None
    second = await desk.ask("PUT", "/aliases/tiny/calm", {"to": brief[:19], "expect": calm, "reason": "y"})
    assert second.json()["seq"] > moved.json()["seq"]
    assert (await desk.chat(model="tiny@calm")).json()["steering"]["revision"] == brief
    assert (await desk.ask("GET", "/aliases/tiny/calm")).json()["digest"] == brief
    ended = await desk.ask("DELETE", "/aliases/tiny/calm", expect=brief, reason="done")
    assert ended.status_code == 200
    assert (await desk.chat(model="tiny@calm")).status_code == 404
    assert (await desk.ask("GET", "/aliases/tiny/calm")).status_code == 404
    moves = (await desk.ask("GET", "/aliases/tiny/calm/history")).json()["moves"]
    assert [(move["before"], move["after"]) for move in moves] == [
        (None, calm),
        (calm, brief),
        (brief, None),
    ]


async def test_an_alias_may_be_named_by_the_models_address(desk: Office) -> None:
    """The address, percent-encoded, and the server's name are the same model; a list may be of one model."""
    digest = await desk.profile()
    form = {"to": digest, "expect": "none", "reason": ""}
    assert (await desk.ask("PUT", "/aliases/script%3Atiny/calm", form)).status_code == 200
    for model in ("tiny", "script:tiny"):
        [alias] = (await desk.ask("GET", "/aliases", model=model)).json()["aliases"]
        assert alias["name"] == "calm"
    assert (await desk.ask("GET", "/aliases", model="other")).json()["aliases"] == []


async def test_protected_aliases_need_a_reason_and_a_profile_of_their_model(desk: Office) -> None:
    """400 each, and nothing moved."""
    digest = await desk.profile()
    other = await desk.profile(PLAIN | {"model": "script:other"})
    bare = await desk.ask("PUT", "/aliases/tiny/champion", {"to": digest, "expect": None, "reason": ""})
    alien = await desk.ask("PUT", "/aliases/tiny/champion", {"to": other, "expect": None, "reason": "x"})
    missing = await desk.ask(
        "PUT", "/aliases/tiny/champion", {"to": "sha256:" + "9" * 64, "expect": None, "reason": "x"}
    )
    assert [(a.status_code, a.json()["error"]["code"]) for a in (bare, alien, missing)] == [
        (400, "invalid_value"),
        (400, "invalid_value"),
        (404, "steering_profile_not_found"),
    ]
    assert desk.storage.profiles.aliases() == ()


async def test_what_an_alias_points_at_is_not_archived(desk: Office) -> None:
    """409 lists the aliases; afterwards it is archived, and answers no more."""
    digest = await desk.profile()
    await desk.ask("PUT", "/aliases/tiny/calm", {"to": digest, "expect": None, "reason": "x"})
    held = await desk.ask("POST", f"/profiles/{digest}/archive", {"reason": "old"})
    assert (held.status_code, held.json()["error"]["code"]) == (409, "in_use")
    assert held.json()["error"]["used_by"] == ["script:tiny@calm"]
    await desk.ask("DELETE", "/aliases/tiny/calm", expect=digest, reason="x")
    done = await desk.ask("POST", f"/profiles/{digest}/archive", {"reason": "old"})
    assert done.status_code == 200
    assert done.json()["archived"] is not None
    assert (await desk.chat(model=f"tiny@{digest}")).status_code == 404


async def test_the_digest_is_the_profiles_own(desk: Office) -> None:
    """What a caller computes before is what the server answers."""
    assert await desk.profile() == Profile(model="script:tiny", system="Be brief.").digest

"""Budgets through the admin API: revisions, the switch, pools."""

from __future__ import annotations

from tests.serve.admin.office import Office

LIMIT = {"default": {"max_requests": 2, "window_s": 3600}}


async def put(desk: Office, policy: object = LIMIT, revision: int = 0) -> None:
    answer = await desk.ask("PUT", "/budget", policy, headers={"if-match": f'"{revision}"'}, reason="tighter")
    assert answer.status_code == 200, answer.text
    assert answer.headers["etag"] == f'"{revision + 1}"'


async def test_a_policy_is_replaced_only_from_the_revision_it_was_read_at(desk: Office) -> None:
    """GET gives the ETag; PUT without it, or with a stale one, is 412 and says which is in force."""
    first = await desk.ask("GET", "/budget", scope="admin-read")
    assert first.headers["etag"] == '"0"'
    assert first.json()["default"]["max_requests"] is None
    for headers in ({}, {"if-match": '"7"'}, {"if-match": "*"}):
        refused = await desk.ask("PUT", "/budget", LIMIT, headers=headers, reason="x")
        assert (refused.status_code, refused.json()["error"]["code"]) == (412, "precondition_failed")
        assert refused.headers["etag"] == '"0"'
    await put(desk)
    assert (await desk.ask("GET", "/budget")).json()["default"]["max_requests"] == 2


async def test_a_policy_holds_from_the_next_request_on(desk: Office) -> None:
    """Two are let through, the third is refused; warn-only lets it through and counts it."""
    await put(desk)
    statuses = [(await desk.chat()).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]
    off = await desk.ask("POST", "/budget/hard-limits", {"enabled": False, "reason": "unblock"})
    assert off.json() == {"revision": 2, "hard_limits": False}
    assert (await desk.chat()).status_code == 200
    [pool] = (await desk.ask("GET", "/budget/usage")).json()["pools"]
    assert (pool["used"], pool["limit"], pool["free"]) == (3, 2, -1)
    on = await desk.ask("POST", "/budget/hard-limits", {"enabled": True, "reason": "again"})
    assert on.json()["revision"] == 3
    assert (await desk.chat()).status_code == 429


async def test_warn_only_records_every_would_be_refusal(desk: Office) -> None:
    """Each request above the limit is an event `would_block`; none is refused."""
    await put(desk, LIMIT | {"hard_limits": False})
    assert [(await desk.chat()).status_code for _ in range(5)] == [200] * 5
    desk.app.server.journal.close()
    page = await desk.ask("GET", "/events", type="budget_decision")
    decisions = [line["event"]["decision"] for line in map(_json, page.text.splitlines())]
    assert decisions == ["allowed"] * 2 + ["would_block"] * 3


async def test_a_pool_is_emptied(desk: Office) -> None:
    """What was used is gone; the next request fits; a pool that holds nothing is 404."""
    await put(desk)
    for _ in range(2):
        await desk.chat()
    [pool] = (await desk.ask("GET", "/budget/usage")).json()["pools"]
    one = (await desk.ask("GET", "/budget/usage", pool=pool["pool"])).json()["pools"]
    assert [each["pool"] for each in one] == [pool["pool"]]
    assert (await desk.ask("GET", "/budget/usage", pool="other")).json()["pools"] == []
    assert (await desk.chat()).status_code == 429
    done = await desk.ask("POST", "/budget/reset", {"pool": pool["pool"], "reason": "paid"})
    assert done.status_code == 200
    assert (await desk.chat()).status_code == 200
    none = await desk.ask("POST", "/budget/reset", {"pool": "other", "reason": "paid"})
    assert (none.status_code, none.json()["error"]["code"]) == (404, "not_found")


async def test_a_policy_that_reads_two_ways_is_refused(desk: Office) -> None:
    """`ambiguous_budget` names both overrides; unknown fields and wrong types name the field."""
    two = {
        "overrides": [{"match": {"model": "tiny"}, "max_tokens": 1}, {"match": {"key": "k"}, "max_tokens": 2}]
    }
    refused = await desk.ask("PUT", "/budget", two, headers={"if-match": '"0"'}, reason="x")
    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (400, "ambiguous_budget")
    assert '{"model":"tiny"}' in error["message"]
    assert '{"key":"k"}' in error["message"]
    wrong = await desk.ask("PUT", "/budget", {"default": {"max_tokens": "many"}}, reason="x")
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "default.max_tokens")
    unknown = await desk.ask("PUT", "/budget", {"defualt": {}}, reason="x")
    assert unknown.json()["error"]["code"] == "unknown_parameter"
    assert "'default'" in unknown.json()["error"]["message"]


def _json(line: str) -> dict[str, dict[str, str]]:
    import json

    read: dict[str, dict[str, str]] = json.loads(line)
    return read

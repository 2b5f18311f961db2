"""Snapshots: taken when the store says so, kept while it says nothing, and of a key file as of the store."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from symposia.core.clock import SystemClock
from symposia.core.errors import InvalidInput, StoreUnreachable
from symposia.core.profile import Profile
from symposia.serve.budget import CostPolicy, Limits, Rule
from symposia.serve.follow import Follower, taken
from symposia.serve.policies import put_in_force
from symposia.store import opened
from symposia.store.keyfile import write_keys
from symposia.store.keys import Grant, new_key
from tests.serve.test_ends import asked, read_all
from tests.serving import Serving, scripted, until

CLOCK = SystemClock()
BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 64}


def test_a_snapshot_has_what_the_store_holds(tmp_path: Path):
    with opened("memory", clock=CLOCK) as storage:
        key, _ = storage.keys.create(Grant(name="app", scopes=("admin",)), actor="test")
        digest = storage.profiles.put(Profile(model="m"), actor="test")
        gone = storage.profiles.put(Profile(model="m", system="gone"), actor="test")
        storage.profiles.move("m", "calm", digest, expect=None, actor="test", reason="x")
        storage.profiles.archive(gone, actor="test", reason="x")
        policy = CostPolicy(default=Rule(limits=Limits(max_tokens=5)))
        put_in_force(storage, policy, actor="test", reason="x", now=CLOCK.time())
        view = taken(storage)
        assert view.callers[key.id].scopes == {"admin", "admin-read", "metrics"}
        assert set(view.profiles) == {digest}
        assert view.named(frozenset({"m"})) == {"calm": digest}
        assert view.pointing(frozenset({"m", "other"}), digest) == ("calm",)
        assert (view.policy, view.revision, view.killed) == (policy, 1, False)
        own, _ = new_key(Grant(name="file", scopes=("inference",)), now=CLOCK.time())
        write_keys(tmp_path / "keys.jsonl", [own])
        assert set(taken(storage, tmp_path / "keys.jsonl").callers) == {key.id, own.id}
        (tmp_path / "keys.jsonl").write_text("nonsense\n")
        with pytest.raises(InvalidInput, match=r"keys\.jsonl:1"):
            taken(storage, tmp_path / "keys.jsonl")


def test_changes_are_seen_without_a_restart(tmp_path: Path):
    write_keys(tmp_path / "keys.jsonl", [])
    with Serving({"m": scripted()}, insecure_dev=False, keys_file=str(tmp_path / "keys.jsonl")) as serving:
        _, secret = serving.storage.keys.create(Grant(name="app", scopes=("inference",)), actor="test")
        until(lambda: len(serving.server.view.callers) == 1, timeout_s=2.0)
        assert serving.openai(secret.reveal()).chat.completions.create(**BODY).choices
        own, other = new_key(Grant(name="file", scopes=("inference",)), now=CLOCK.time())
        write_keys(tmp_path / "keys.jsonl", [own])
        until(lambda: own.id in serving.server.view.callers, timeout_s=2.0)
        assert serving.openai(other.reveal()).chat.completions.create(**BODY).choices


async def test_while_the_store_is_away_the_last_snapshot_stays():
    class Away:
        def __init__(self, inner):
            self._inner, self.away = inner, False

        def __getattr__(self, name):
            return getattr(self._inner, name)

        def changed(self, timeout_s):
            if self.away:
                raise StoreUnreachable("gone")
            return self._inner.changed(0.01)

    seen = []
    with opened("memory", clock=CLOCK) as inner:
        storage = Away(inner)
        follower = Follower(storage, CLOCK, seen.append)
        follower.start()
        storage.away = True
        await asyncio.to_thread(until, lambda: follower.failing_s > 0)
        assert "gone" in follower.trouble
        assert seen == []
        storage.away = False
        await asyncio.to_thread(until, lambda: bool(seen))  # what may have changed meanwhile is read at once
        assert follower.failing_s == 0
        follower.stop()


def test_what_does_not_fit_is_shrunk_where_the_policy_wants_that():
    policy = CostPolicy(default=Rule(limits=Limits(max_tokens=60)), shrink_to_fit=True)
    with Serving({"m": scripted("word " * 100)}) as serving:
        serving.server.see(type(serving.server.view)(policy=policy))
        raw = read_all(asked(serving, BODY))
        assert raw.startswith(b"HTTP/1.1 200")
        head = raw.partition(b"\r\n\r\n")[0].decode().lower()
        shrunk = int(head.split("x-steering-max-tokens: ")[1].split("\r\n")[0])
        assert 16 <= shrunk < 64
        assert serving.server.models["m"].backend.requests[-1].sampling.max_tokens == shrunk
        assert b'"finish_reason":"length"' in raw
        refused = read_all(asked(serving, {**BODY, "messages": [{"role": "user", "content": "x" * 900}]}))
        assert refused.startswith(b"HTTP/1.1 429")
        assert b'"type":"insufficient_quota"' in refused
        assert b"x-should-retry: false" in refused

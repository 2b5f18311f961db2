"""`symposia profile` and `keys` with `--url`: a running server in a store's place, with the same answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
from typer.testing import Result

from symposia.core.clock import SystemClock
from symposia.core.profile import Profile
from symposia.store import Storage, opened
from symposia.store.keys import Grant
from tests.serve.admin.office import HELLO, scripted
from tests.serving import Serving

Here = Callable[..., Result]


@pytest.fixture
def storage() -> Iterator[Storage]:
    with opened("memory", clock=SystemClock()) as made:
        yield made


@pytest.fixture
def serving(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Serving]:
    """A server whose keys are checked, and an operator's key in the environment."""
    secret = storage.keys.create(Grant(name="ann", scopes=("admin", "inference")), actor="test")[1].reveal()
    monkeypatch.setenv("SYMPOSIA_API_KEY", secret)
    backends = {"tiny": scripted()}
    with Serving(backends, storage=storage, addresses={"tiny": "symposia:tiny"}, insecure_dev=False) as made:
        yield made


@pytest.fixture
def at(here: Here, serving: Serving) -> Callable[..., Result]:
    """`at(command, …)` on the server."""
    return lambda *arguments: here(*arguments, "--url", serving.root)


def test_profiles_and_aliases_of_a_server(
    at: Callable[..., Result], tmp_path: Path, serving: Serving
) -> None:
    """Created, named, shown, moved, archived; every reply is what a store would have given."""
    file = tmp_path / "calm.toml"
    file.write_text('model = "tiny"\nsystem = "Be calm."\n')
    made = at("profile", "create", file, "--alias", "calm", "--note", "first")
    assert made.exit_code == 0, made.output
    digest = made.stdout.strip()
    assert digest == Profile(model="symposia:tiny", system="Be calm.").digest
    shown = json.loads(at("profile", "show", "tiny@calm", "--json").stdout)
    assert (shown["digest"], shown["aliases"], shown["note"]) == (digest, ["calm"], "first")
    file.write_text('model = "tiny"\nsystem = "Be brief."\n')
    other = at("profile", "create", file).stdout.strip()
    stale = at("profile", "alias", "tiny", "calm", other, "--expect", "sha256:wrong", "--reason", "x")
    assert stale.exit_code == 1
    assert "AliasConflict" in stale.stderr
    assert digest in stale.stderr
    moved = at("profile", "alias", "tiny", "calm", other, "--expect", digest[:19], "--reason", "x", "--json")
    assert json.loads(moved.stdout)["after"] == other
    assert len(json.loads(at("profile", "history", "tiny", "calm", "--json").stdout)) == 2
    assert len(json.loads(at("profile", "list", "--json").stdout)) == 2
    used = at("profile", "archive", other, "--reason", "old")
    assert used.exit_code == 2
    assert "symposia:tiny@calm" in used.stderr
    assert at("profile", "alias", "tiny", "calm", "none", "--expect", other, "--reason", "x").exit_code == 0
    assert at("profile", "archive", other, "--reason", "old").exit_code == 0
    assert at("profile", "history", "tiny", "other").exit_code == 2
    acts = json.loads(at("profile", "audit", "--json").stdout)
    assert {act["actor"] for act in acts[1:]} == {key.id for key in serving.storage.keys.all()}
    assert at("profile", "audit", "--verify").exit_code == 2


def test_keys_of_a_server(at: Callable[..., Result], serving: Serving) -> None:
    """A key made there opens at once; rotated and revoked, it does not."""

    def opens(secret: str) -> bool:
        bearer = {"authorization": f"Bearer {secret}"}
        return httpx2.post(f"{serving.url}/chat/completions", json=HELLO, headers=bearer).status_code == 200

    made = at("keys", "create", "--name", "app", "--scope", "inference", "--expires", "1h")
    assert made.exit_code == 0, made.output
    secret = made.stdout.strip()
    assert opens(secret)
    key = secret.split("-")[2]
    listed = json.loads(at("keys", "list", "--json").stdout)
    assert [one["name"] for one in listed] == ["ann", "app"]
    assert "sha256" not in listed[1]
    successor = at("keys", "rotate", key).stdout.strip()
    assert (opens(secret), opens(successor)) == (False, True)
    assert at("keys", "revoke", successor.split("-")[2], "--reason", "over").exit_code == 0
    assert not opens(successor)
    assert at("keys", "revoke", "aaaaaaaaaaaa").exit_code == 2


def test_a_server_refuses_who_may_not(at: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 2, and the variable that the key is taken from; the key itself is in no message."""
    monkeypatch.setenv("SYMPOSIA_API_KEY", "sk-sym-aaaaaaaaaaaa-" + "a" * 43)
    refused = at("keys", "list")
    assert refused.exit_code == 2
    assert "SYMPOSIA_API_KEY" in refused.stderr
    assert "a" * 43 not in refused.output

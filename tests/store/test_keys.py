"""Keys: shown once, kept as a hash, replaced with grace, gone when revoked; in a store and in a file alike."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from symposia.core.clock import VirtualClock
from symposia.core.errors import InvalidInput, UnknownName
from symposia.core.served import KeyCreated, KeyRevoked, KeyRotated
from symposia.core.store import Query
from symposia.store import Storage, opened
from symposia.store.keyfile import KeyFile, read_keys
from symposia.store.keyring import Keys
from symposia.store.keys import SCOPES, Grant, Key, UnknownKey, fingerprint, key_id
from tests.store.places import POSTGRES, place


@pytest.fixture(params=["file", "memory", POSTGRES])
def ring(request: pytest.FixtureRequest, tmp_path: Path, clock: VirtualClock) -> Iterator[Keys | KeyFile]:
    if request.param == "file":
        yield KeyFile(tmp_path / "deep" / "keys.jsonl", clock)
    else:
        with place(request.param, tmp_path) as url, opened(url, clock=clock) as storage:
            yield storage.keys


def test_a_key_is_shown_once_and_kept_as_a_hash(ring: Keys | KeyFile, clock: VirtualClock) -> None:
    """The secret has the form it should, its public part names the row, its hash is in it, itself is not."""
    key, secret = ring.create(Grant(name="app", scopes=("inference",)), actor="ann")
    text = secret.reveal()
    assert re.fullmatch(r"sk-sym-[a-z2-7]{12}-[A-Za-z0-9_-]{43}", text)
    assert key_id(text) == key.id
    assert key.sha256 == fingerprint(text) == hashlib.sha256(text.encode()).hexdigest()
    assert (key.models, key.profiles, key.created) == (("*",), ("*",), clock.time())
    assert ring.all() == (key,)
    assert text[20:] not in repr(ring.all())
    assert "sk-sym" not in repr(secret)
    other = ring.create(Grant(name="app", scopes=("inference",)), actor="ann")[1].reveal()
    assert other[-43:] != text[-43:]
    assert key_id(other) != key.id


async def test_a_rotated_key_has_a_successor_and_a_grace(ring: Keys | KeyFile, clock: VirtualClock) -> None:
    """The new key is like the old and lives as long; the old one opens until the grace is over."""
    grant = Grant(
        name="app",
        scopes=("kill", "inference"),
        models=("t*",),
        profiles=("calm",),
        expires=clock.time() + 100,
    )
    old, _ = ring.create(grant, actor="ann")
    await clock.advance(10)
    new, secret = ring.rotate(old.id, grace_s=30, actor="ann")
    assert key_id(secret.reveal()) == new.id != old.id
    assert (new.scopes, new.models, new.profiles) == (("inference", "kill"), ("t*",), ("calm",))
    assert new.expires == clock.time() + 100
    kept = {key.id: key for key in ring.all()}
    assert kept[new.id] == new
    ends = clock.time() + 30
    assert kept[old.id].expires == ends
    assert kept[old.id].opens(ends - 1)
    assert not kept[old.id].opens(ends)
    await clock.advance(31)
    with pytest.raises(InvalidInput, match="opens nothing"):
        ring.rotate(old.id, actor="ann")


def test_a_revoked_key_opens_nothing(ring: Keys | KeyFile, clock: VirtualClock) -> None:
    """From now on, and for ever; an id that is not there is refused by name."""
    key, _ = ring.create(Grant(name="app", scopes=("inference",)), actor="ann")
    gone = ring.revoke(key.id, actor="ann", reason="leaked")
    assert gone.revoked == clock.time()
    assert not gone.opens(clock.time())
    assert ring.all() == (gone,) == (ring.revoke(key.id, actor="bob"),)
    with pytest.raises(UnknownKey):
        ring.revoke("a" * 12, actor="ann")
    with pytest.raises(UnknownKey):
        ring.rotate("a" * 12, actor="ann")


def test_a_grace_does_not_lengthen_a_life(ring: Keys | KeyFile, clock: VirtualClock) -> None:
    """An old key that ends before its grace ends when it ended."""
    old, _ = ring.create(Grant(name="app", scopes=("inference",), expires=clock.time() + 5), actor="ann")
    ring.rotate(old.id, grace_s=3600, actor="ann")
    assert ring.all()[0].expires == clock.time() + 5


@pytest.mark.parametrize(
    ("asked", "error", "says"),
    [
        ({"scopes": ("inferense",)}, UnknownName, "did you mean 'inference'"),
        ({"scopes": ()}, InvalidInput, "scopes"),
        ({"name": " "}, InvalidInput, "name of the key"),
        ({"models": ()}, InvalidInput, "models"),
        ({"profiles": ("",)}, InvalidInput, "profiles"),
        ({"expires": 0.0}, InvalidInput, "expire after now"),
        ({"expires": float("nan")}, InvalidInput, "expires"),
        ({"actor": ""}, InvalidInput, "actor"),
    ],
)
def test_keys_that_cannot_be(
    ring: Keys | KeyFile, asked: dict[str, object], error: type[Exception], says: str
) -> None:
    """What cannot be granted is refused, naming the field, and no key is made."""
    given: dict[str, Any] = {"name": "app", "scopes": ("inference",), "actor": "ann", **asked}
    actor = given.pop("actor")
    with pytest.raises(error, match=says):
        ring.create(Grant(**given), actor=actor)
    assert ring.all() == ()


def test_scopes_hold_each_other(clock: VirtualClock) -> None:
    """Admin holds admin-read and metrics, and not kill; every other scope holds itself alone."""
    for scope in SCOPES:
        key = Key(id="a" * 12, name="n", sha256="0" * 64, scopes=(scope,), created=0.0)
        held = {one for one in SCOPES if key.has(one)}
        assert held == ({"admin", "admin-read", "metrics"} if scope == "admin" else {scope})


def test_changes_of_keys_are_events_and_acts(storage: Storage) -> None:
    """Creation, rotation and revocation are told, by id; hashes and secrets are in neither event nor audit."""
    key, secret = storage.keys.create(Grant(name="app", scopes=("inference",)), actor="ann")
    new, _ = storage.keys.rotate(key.id, actor="ann")
    for _ in range(2):
        storage.keys.revoke(new.id, actor="bob", reason="leaked")
    events = [r.event for r in storage.events.read(Query(stream="keys"))]
    assert [type(e) for e in events] == [KeyCreated, KeyCreated, KeyRotated, KeyRevoked]
    assert [a.action for a in storage.audit()] == ["key_created", "key_created", "key_rotated", "key_revoked"]
    told = repr(events) + repr(storage.audit())
    assert all(word not in told for word in (secret.reveal(), key.sha256, new.sha256))
    assert storage.verify().flaws == ()


def test_a_keys_file_is_json_lines(tmp_path: Path, clock: VirtualClock) -> None:
    """It is read as it was written; a line that is no key, or an id twice, is named by its number."""
    path = tmp_path / "keys.jsonl"
    ring = KeyFile(path, clock)
    keys = [ring.create(Grant(name=f"app {n}", scopes=("inference",)), actor="ann")[0] for n in range(3)]
    assert read_keys(path) == tuple(keys)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], b"\n", lines[0]]))
    with pytest.raises(InvalidInput, match=r"keys.jsonl:4: .* twice"):
        read_keys(path)
    path.write_bytes(lines[0] + b'{"id": "x"}\n')
    with pytest.raises(InvalidInput, match=r"keys.jsonl:2"):
        ring.create(Grant(name="more", scopes=("inference",)), actor="ann")
    assert path.read_bytes() == lines[0] + b'{"id": "x"}\n'


@pytest.mark.parametrize(
    "text",
    ["", "sk-sym-", "sk-sym-" + "a" * 12 + "-" + "b" * 42, "sk-sym-" + "A" * 12 + "-" + "b" * 43, "Bearer x"],
)
def test_what_is_no_key(text: str) -> None:
    """Text of another form has no public part."""
    assert key_id(text) is None

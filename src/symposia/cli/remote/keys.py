"""Keys of a running server. It does not tell hashes of secrets, so keys from here open nothing by themselves."""

from __future__ import annotations

import msgspec

from symposia.core.clock import Clock
from symposia.core.redact import Secret
from symposia.serve.admin.shown import KeyList, KeyMade, KeyShown
from symposia.store.keys import Grant, Key

from .client import Client, piece

UNTOLD = "0" * 64
"""In place of a hash that the server keeps to itself."""


class RemoteKeys:
    """As `symposia.cli.registry.Keys` promises."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client, self._clock = client, clock

    def create(self, grant: Grant, *, actor: str) -> tuple[Key, Secret]:
        """A new key and its secret, told once."""
        del actor
        form = msgspec.structs.asdict(grant)
        ends = form.pop("expires")
        life = {} if ends is None else {"expires_s": ends - self._clock.time()}
        return _made(self._client.change(KeyMade, "POST /keys", form | life))

    def all(self) -> tuple[Key, ...]:
        """Every key."""
        return tuple(map(_key, self._client.read(KeyList, "/keys").keys))

    def revoke(self, id: str, *, actor: str, reason: str = "") -> Key:  # noqa: A002 (the field's name)
        """Let a key open nothing from now on."""
        del actor
        query = {"reason": reason} if reason else None
        return _key(self._client.change(KeyShown, f"DELETE /keys/{piece(id)}", query=query))

    def rotate(self, id: str, *, grace_s: float = 0.0, actor: str) -> tuple[Key, Secret]:  # noqa: A002
        """A key like that one, in its place."""
        del actor
        return _made(self._client.change(KeyMade, f"POST /keys/{piece(id)}/rotate", {"grace_s": grace_s}))


def _made(made: KeyMade) -> tuple[Key, Secret]:
    return _key(made.key), Secret(made.secret)


def _key(shown: KeyShown) -> Key:
    return Key(sha256=UNTOLD, **msgspec.structs.asdict(shown))

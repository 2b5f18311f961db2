"""Keys as JSON lines in a file: instead of those of a store, or beside them."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from symposia.core.clock import Clock
from symposia.core.errors import InvalidInput
from symposia.core.files import write_atomic
from symposia.core.redact import Secret
from symposia.core.value import canonical, decode

from .keys import Grant, Key, ended, find_key, new_key, successor
from .told import words


class KeyFile:
    """Keys as JSON lines in a file, for servers without a store. One change at a time, each whole or not at all."""

    def __init__(self, path: Path, clock: Clock) -> None:
        """The file may be missing: it holds no keys then."""
        self._path, self._clock = path, clock

    def create(self, grant: Grant, *, actor: str) -> tuple[Key, Secret]:
        """As `Keys.create`; the actor is not kept."""
        words(actor, "actor", needed=True)
        now = self._clock.time()
        key, secret = new_key(grant, now=now)
        self._change(lambda keys: (*keys, key))
        return key, secret

    def all(self) -> tuple[Key, ...]:
        """Every key of the file, in its order."""
        return read_keys(self._path) if self._path.exists() else ()

    def revoke(self, id: str, *, actor: str, reason: str = "") -> Key:  # noqa: A002 (the field's name)
        """As `Keys.revoke`; actor and reason are not kept."""
        words(actor, "actor", needed=True)
        now = self._clock.time()
        keys = self._change(lambda keys: _with(keys, ended(find_key(keys, id), now=now)))
        return find_key(keys, id)

    def rotate(self, id: str, *, grace_s: float = 0.0, actor: str) -> tuple[Key, Secret]:  # noqa: A002
        """As `Keys.rotate`; the actor is not kept."""
        words(actor, "actor", needed=True)
        now = self._clock.time()
        made: list[tuple[Key, Secret]] = []

        def rotated(keys: tuple[Key, ...]) -> tuple[Key, ...]:
            after, new, secret = successor(find_key(keys, id), now=now, grace_s=grace_s)
            made.append((new, secret))
            return (*_with(keys, after), new)

        self._change(rotated)
        return made[0]

    def _change(self, change: Callable[[tuple[Key, ...]], tuple[Key, ...]]) -> tuple[Key, ...]:
        with _locked(self._path):
            keys = change(self.all())
            write_keys(self._path, keys)
        return keys


def read_keys(path: Path) -> tuple[Key, ...]:
    """The keys of a file of JSON lines; `InvalidInput` names the line that is none, or an id that stands twice."""
    keys: dict[str, Key] = {}
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        if not line.strip():
            continue
        key = decode(line, Key, f"{path}:{number}")
        if key.id in keys:
            raise InvalidInput(f"{path}:{number}: key {key.id} stands twice; ids are unique")
        keys[key.id] = key
    return tuple(keys.values())


def write_keys(path: Path, keys: Iterable[Key]) -> None:
    """Write the file, whole or not at all."""
    write_atomic(path, b"".join(canonical(key) + b"\n" for key in keys))


def _with(keys: Iterable[Key], changed: Key) -> tuple[Key, ...]:
    return tuple(changed if key.id == changed.id else key for key in keys)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Alone with the folder's key files: the file itself is replaced, so the lock is its folder's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)

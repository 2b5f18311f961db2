"""The keys of a store: made, replaced and revoked, each time with an act in the audit and an event."""

from __future__ import annotations

from typing import Final

from symposia.core.clock import Clock
from symposia.core.redact import Secret
from symposia.core.served import KeyCreated, KeyRevoked, KeyRotated, ServerEvent
from symposia.core.store import Entry
from symposia.core.value import canonical, content_digest, decode

from .audit import Act, write_act
from .keys import Grant, Key, ended, find_key, new_key, successor
from .log import write
from .sql import Bound, Database, Reading, Row, Writing
from .told import words

COLUMNS: Final = "id, name, sha256, scopes, models, profiles, created, expires, revoked"
_ALL = f"SELECT {COLUMNS} FROM access_key ORDER BY created, id"  # noqa: S608 (fixed)
_INSERT = f"INSERT INTO access_key ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 (fixed)


class Keys:
    """The keys of a store. Every change is a row, an act in the audit (by the digest of the row) and an event."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    def create(self, grant: Grant, *, actor: str, reason: str = "") -> tuple[Key, Secret]:
        """A new key and its secret, which is told now and never again. `InvalidInput`, `UnknownName`."""
        now = self._clock.time()
        key, secret = new_key(grant, now=now)
        with self._database.writing() as writing:
            _add(writing, key, actor=actor, reason=words(reason, "reason"), now=now)
        return key, secret

    def all(self) -> tuple[Key, ...]:
        """Every key, in order of creation, also those that open nothing any more."""
        return _keys(self._database)

    def revoke(self, id: str, *, actor: str, reason: str = "") -> Key:  # noqa: A002 (the field's name)
        """Let a key open nothing from now on; again is once. `UnknownKey`."""
        words(reason, "reason")
        now = self._clock.time()
        with self._database.writing() as writing:
            before = find_key(_keys(writing), id)
            after = ended(before, now=now)
            if after != before:
                event = KeyRevoked(key=id, actor=actor, reason=reason)
                act = _act("key_revoked", before, after, actor=actor, reason=reason)
                writing.rows("UPDATE access_key SET revoked = ? WHERE id = ?", (now, id))
                _kept(writing, act, event, now=now)
        return after

    def rotate(
        self,
        id: str,  # noqa: A002 (the field's name)
        *,
        grace_s: float = 0.0,
        actor: str,
        reason: str = "",
    ) -> tuple[Key, Secret]:
        """A key like that one, in its place; the old one opens for `grace_s` more. `UnknownKey`, `InvalidInput`."""
        now = self._clock.time()
        with self._database.writing() as writing:
            before = find_key(_keys(writing), id)
            after, made, secret = successor(before, now=now, grace_s=grace_s)
            _add(writing, made, actor=actor, reason=words(reason, "reason"), now=now)
            assert after.expires is not None  # `successor` has given it an end
            why = f"successor {made.id}: {reason}" if reason else f"successor {made.id}"
            act = _act("key_rotated", before, after, actor=actor, reason=why)
            writing.rows("UPDATE access_key SET expires = ? WHERE id = ?", (after.expires, id))
            _kept(
                writing,
                act,
                KeyRotated(key=id, successor=made.id, expires=after.expires, actor=actor),
                now=now,
            )
        return made, secret


def key_row(key: Key) -> tuple[Bound, ...]:
    """A key as a row of the table."""
    globs = (canonical(part).decode() for part in (key.scopes, key.models, key.profiles))
    return (key.id, key.name, key.sha256, *globs, key.created, key.expires, key.revoked)


def key_of(row: Row) -> Key:
    """A row of the table as a key; `InvalidInput` if it is none."""
    told = dict(zip(COLUMNS.split(", "), row, strict=True))
    lists = {name: decode(told[name], tuple[str, ...], name) for name in ("scopes", "models", "profiles")}
    return decode(canonical(told | lists), Key, f"key {told['id']}")


def key_digest(key: Key) -> str:
    """What the audit keeps of a key."""
    return content_digest(canonical(key))


def _keys(reading: Reading) -> tuple[Key, ...]:
    return tuple(map(key_of, reading.rows(_ALL)))


def _add(writing: Writing, key: Key, *, actor: str, reason: str, now: float) -> None:
    writing.rows(_INSERT, key_row(key))
    event = KeyCreated(key=key.id, name=key.name, scopes=key.scopes, actor=actor)
    act = _act("key_created", None, key, actor=actor, reason=reason or key.name)
    _kept(writing, act, event, now=now)


def _act(action: str, before: Key | None, after: Key, *, actor: str, reason: str) -> Act:
    return Act(
        actor=actor,
        action=action,
        subject=after.id,
        before=None if before is None else key_digest(before),
        after=key_digest(after),
        reason=reason,
    )


def _kept(writing: Writing, act: Act, event: ServerEvent, *, now: float) -> None:
    write(writing, Entry(event=event, stream="keys", time=now))
    write_act(writing, act, time=now)

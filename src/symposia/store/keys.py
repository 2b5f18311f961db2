"""API keys: `sk-sym-<12 base32 digits>-<43 base64url digits>`, kept as a hash of the whole.

The first part is public and names the key; the second is 256 random bits, shown once and kept nowhere.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Iterable
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from symposia.core.errors import InvalidInput, UnknownName
from symposia.core.redact import Secret
from symposia.core.value import Value, checked

from .told import finite, words

Scope = Literal["inference", "steering-inline", "metrics", "admin-read", "admin", "kill"]
SCOPES: Final[tuple[Scope, ...]] = ("inference", "steering-inline", "metrics", "admin-read", "admin", "kill")
IMPLIED: Final[dict[Scope, tuple[Scope, ...]]] = {"admin": ("admin-read", "metrics")}
"""What a scope holds beside itself. `kill` is its own: admin does not have it."""
_FORM = re.compile(r"sk-sym-([a-z2-7]{12})-[A-Za-z0-9_-]{43}")
_GLOBS = 64


class Grant(Value, frozen=True, kw_only=True):
    """What a key is to be: whose, for what, until when; fields as those of `Key`."""

    name: str
    scopes: tuple[str, ...]
    models: tuple[str, ...] = ("*",)
    profiles: tuple[str, ...] = ("*",)
    expires: float | None = None


class Key(Value, frozen=True, kw_only=True):
    """A key without its secret. `models` and `profiles` are globs; the plain model is profile `none`.

    Times are seconds since the epoch: it opens nothing from `expires` on, and from `revoked` on.
    """

    id: Annotated[str, Meta(pattern="^[a-z2-7]{12}$")]
    name: str
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    scopes: tuple[Scope, ...]
    models: tuple[str, ...] = ("*",)
    profiles: tuple[str, ...] = ("*",)
    created: float
    expires: float | None = None
    revoked: float | None = None

    def opens(self, now: float) -> bool:
        """Whether it is neither expired nor revoked."""
        return all(end is None or now < end for end in (self.expires, self.revoked))

    def has(self, scope: Scope) -> bool:
        """Whether it was given the scope, or one that holds it."""
        return any(scope == own or scope in IMPLIED.get(own, ()) for own in self.scopes)


class UnknownKey(UnknownName):
    """No key has that id."""

    def __init__(self, id: str, known: Iterable[str]) -> None:  # noqa: A002 (the field's name)
        super().__init__("key", id, known)


def key_id(text: str) -> str | None:
    """The public part of a key, if the text has the form of one."""
    found = _FORM.fullmatch(text)
    return found[1] if found else None


def fingerprint(text: str) -> str:
    """What is kept of a key: sha256 of the whole text, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def new_key(grant: Grant, *, now: float) -> tuple[Key, Secret]:
    """A key and its one secret. `UnknownName` for a scope that does not exist; `InvalidInput`."""
    ends = grant.expires
    if ends is not None and finite(ends, "expires") <= now:
        raise InvalidInput(f"key {grant.name!r}: expected it to expire after now ({now:.0f}); got {ends:.0f}")
    public = base64.b32encode(secrets.token_bytes(8)).decode().lower()[:12]
    text = f"sk-sym-{public}-{secrets.token_urlsafe(32)}"
    key = Key(
        id=public,
        name=words(grant.name, "name of the key", needed=True, longest=200),
        sha256=fingerprint(text),
        scopes=_scopes(grant.scopes),
        models=_globs(grant.models, "models"),
        profiles=_globs(grant.profiles, "profiles"),
        created=now,
        expires=ends,
    )
    return checked(key), Secret(text)


def successor(key: Key, *, now: float, grace_s: float) -> tuple[Key, Key, Secret]:
    """The old key, which opens for `grace_s` more; a new one like it, that lives as long; its secret."""
    if not key.opens(now):
        raise InvalidInput(f"key {key.id} ({key.name}) opens nothing any more; create a new one")
    if finite(grace_s, "grace") < 0:
        raise InvalidInput(f"grace: expected seconds from 0 up; got {grace_s}")
    ends = None if key.expires is None else now + key.expires - key.created
    like = Grant(name=key.name, scopes=key.scopes, models=key.models, profiles=key.profiles, expires=ends)
    made, secret = new_key(like, now=now)
    last = now + grace_s if key.expires is None else min(key.expires, now + grace_s)
    return msgspec.structs.replace(key, expires=last), made, secret


def ended(key: Key, *, now: float) -> Key:
    """The key, revoked; again is once."""
    return key if key.revoked is not None else msgspec.structs.replace(key, revoked=now)


def find_key(keys: Iterable[Key], id: str) -> Key:  # noqa: A002 (the field's name)
    """The key of that id; `UnknownKey` names those there are."""
    known = {key.id: key for key in keys}
    if id not in known:
        raise UnknownKey(id, known)
    return known[id]


def _scopes(asked: tuple[str, ...]) -> tuple[Scope, ...]:
    if not asked:
        raise InvalidInput(f"scopes: expected one or more of {', '.join(SCOPES)}; got none")
    for scope in asked:
        if scope not in SCOPES:
            raise UnknownName("scope", scope, SCOPES)
    return tuple(scope for scope in SCOPES if scope in asked)


def _globs(given: tuple[str, ...], what: str) -> tuple[str, ...]:
    globs = tuple(dict.fromkeys(given))
    if not 0 < len(globs) <= _GLOBS:
        raise InvalidInput(f"{what}: expected 1 to {_GLOBS} globs; got {len(globs)}")
    for glob in globs:
        words(glob, what, needed=True, longest=200)
    return globs

"""Who asks, and what they may: one look-up and one hash. Whatever is wrong with a key looks the same from outside."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from symposia.store.keys import IMPLIED, SCOPES, Key, fingerprint, key_id

from .faults import Fault

_NOBODY = fingerprint("sk-sym-nobody")
_BEARER = b"bearer "


@dataclass(frozen=True, slots=True)
class Caller:
    """A key as requests are checked against it. `models` and `profiles` are globs; `none` counts as a profile."""

    id: str
    scopes: frozenset[str]
    models: tuple[str, ...] = ("*",)
    profiles: tuple[str, ...] = ("*",)
    sha256: str = _NOBODY
    expires: float | None = None
    revoked: float | None = None

    def ended(self, now: float) -> Literal["revoked", "expired"] | None:
        """Why it opens nothing any more; None: it does."""
        if self.revoked is not None and self.revoked <= now:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= now else None

    def may_ask(self, model: str) -> bool:
        """Whether a model is this caller's to use."""
        return self.models == ("*",) or any(fnmatchcase(model, glob) for glob in self.models)

    def may_use(self, names: Iterable[str]) -> bool:
        """Whether a profile is, by any of the names that it has."""
        if self.profiles == ("*",):
            return True
        return any(fnmatchcase(name, glob) for name in names for glob in self.profiles)


DEV = Caller(id="dev", scopes=frozenset(SCOPES))
"""Everybody, under `--insecure-dev`."""


class Refused(Fault):
    """Turned away at the door. `reason` is for the event alone: callers see one text."""

    def __init__(self, reason: str, key: str = "") -> None:
        super().__init__(
            "invalid_api_key",
            "expected a key of this server: `authorization: Bearer sk-sym-…`; symposia keys create makes one",
        )
        self.reason, self.key = reason, key


def caller_of(key: Key) -> Caller:
    """What a stored key may do, with what its scopes imply."""
    scopes = {*key.scopes, *(more for scope in key.scopes for more in IMPLIED.get(scope, ()))}
    return Caller(
        id=key.id,
        scopes=frozenset(scopes),
        models=key.models,
        profiles=key.profiles,
        sha256=key.sha256,
        expires=key.expires,
        revoked=key.revoked,
    )


def authenticate(header: bytes | None, callers: Mapping[str, Caller], now: float) -> Caller:
    """The caller of an `authorization` header. Raises `Refused`, after the same work whatever is wrong."""
    given = header or b""
    bearer = given[: len(_BEARER)].lower() == _BEARER
    secret = given[len(_BEARER) :].decode("latin-1").strip() if bearer else ""
    id_ = key_id(secret)
    caller = callers.get(id_ or "")
    same = hmac.compare_digest(fingerprint(secret), _NOBODY if caller is None else caller.sha256)
    if caller is not None and same:
        if (why := caller.ended(now)) is not None:
            raise Refused(why, caller.id)
        return caller
    if not given:
        raise Refused("missing")
    raise Refused("malformed" if id_ is None else "unknown")


def demand(caller: Caller, *scopes: str) -> None:
    """403 unless the caller has one of the scopes."""
    if not any(scope in caller.scopes for scope in scopes):
        wanted = " or ".join(scopes)
        raise Fault(
            "insufficient_scope",
            f"this needs scope {wanted}; the key has {', '.join(sorted(caller.scopes)) or 'none'}",
            param=scopes[0],
        )

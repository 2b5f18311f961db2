"""What the admin API answers with. Times are seconds since the epoch."""

from __future__ import annotations

import msgspec

from symposia.core.profile import Profile
from symposia.core.served import Field
from symposia.serve.ledger import Kind, Standing
from symposia.store.audit import AuditRow
from symposia.store.keys import Key, Scope
from symposia.store.profiles import Alias, Move, Stored


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """Base of every answer."""


class Created(Shown, frozen=True, kw_only=True):
    """The digest that names the profile."""

    digest: str


class ProfileShown(Shown, frozen=True, kw_only=True):
    """A profile with its names and where it came from; `archived`: since when it answers no more."""

    digest: str
    profile: Profile
    aliases: tuple[str, ...]
    created: float
    actor: str
    note: str
    archived: float | None


class ProfileList(Shown, frozen=True, kw_only=True):
    """Every profile, in order of arrival."""

    profiles: tuple[ProfileShown, ...]


class AliasList(Shown, frozen=True, kw_only=True):
    """Where aliases point."""

    aliases: tuple[Alias, ...]


class Moved(Shown, frozen=True, kw_only=True):
    """The number of the act."""

    seq: int


class Moves(Shown, frozen=True, kw_only=True):
    """Every move of an alias, the first first."""

    moves: tuple[Move, ...]


class AuditPage(Shown, frozen=True, kw_only=True):
    """Acts in order; each holds the hash of the one before."""

    rows: tuple[AuditRow, ...]


class Revised(Shown, frozen=True, kw_only=True):
    """The revision of the policy now in force; as a string, its ETag."""

    revision: int
    hard_limits: bool


class PoolShown(Shown, frozen=True, kw_only=True):
    """A pool: `used + reserved + free = limit`. `resets_s`: until what is held now has left its window."""

    pool: str
    field: Field
    kind: Kind
    used: int
    reserved: int
    free: int
    limit: int
    resets_s: float


class Usage(Shown, frozen=True, kw_only=True):
    """Pools in use."""

    pools: tuple[PoolShown, ...]


class Killed(Shown, frozen=True, kw_only=True):
    """The switch as it is now."""

    on: bool
    cut: bool


class Drained(Shown, frozen=True, kw_only=True):
    """Whether this process drains."""

    on: bool


class KeyShown(Shown, frozen=True, kw_only=True):
    """A key, without anything that opens."""

    id: str
    name: str
    scopes: tuple[Scope, ...]
    models: tuple[str, ...]
    profiles: tuple[str, ...]
    created: float
    expires: float | None
    revoked: float | None


class KeyList(Shown, frozen=True, kw_only=True):
    """Every key, also those that open nothing any more."""

    keys: tuple[KeyShown, ...]


class KeyMade(Shown, frozen=True, kw_only=True):
    """A new key, and its secret: told now and never again."""

    key: KeyShown
    secret: str


def key_shown(key: Key) -> KeyShown:
    """A key as it is shown."""
    return KeyShown(
        id=key.id,
        name=key.name,
        scopes=key.scopes,
        models=key.models,
        profiles=key.profiles,
        created=key.created,
        expires=key.expires,
        revoked=key.revoked,
    )


def pool_shown(standing: Standing) -> PoolShown:
    """A pool as it is shown."""
    return PoolShown(
        pool=standing.pool,
        field=standing.field,
        kind=standing.kind,
        used=standing.used,
        reserved=standing.reserved,
        free=standing.free,
        limit=standing.limit,
        resets_s=standing.resets_s,
    )


def profile_shown(one: Stored, aliases: tuple[Alias, ...]) -> ProfileShown:
    """A profile as it is shown."""
    return ProfileShown(
        digest=one.digest,
        profile=one.profile,
        aliases=tuple(alias.name for alias in aliases if alias.digest == one.digest),
        created=one.created,
        actor=one.actor,
        note=one.note,
        archived=one.archived,
    )

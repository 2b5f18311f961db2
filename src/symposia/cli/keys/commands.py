"""`symposia keys`: the secret is printed when a key is made, and never again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from symposia.cli.exits import DONE
from symposia.cli.registry import Json, KeysFile, Store, Url, actor, keyring
from symposia.cli.world import World, guarded, this_world

if TYPE_CHECKING:
    from symposia.core.redact import Secret
    from symposia.store.keys import Key

Id = Annotated[str, typer.Argument(metavar="ID", help="The 12 letters and digits after sk-sym-.")]


@dataclass(frozen=True)
class CreateOptions:
    """The flags of `symposia keys create`."""

    name: Annotated[str, typer.Option("--name", metavar="N", help="Whose it is, for people.")]
    scope: Annotated[
        list[str],
        typer.Option(
            "--scope", metavar="S", help="inference, steering-inline, metrics, admin-read, admin or kill."
        ),
    ]
    model: Annotated[list[str] | None, typer.Option("--model", metavar="G", help="Globs of models (*).")] = (
        None
    )
    profile: Annotated[
        list[str] | None,
        typer.Option("--profile", metavar="G", help="Globs of profiles (*); the plain model is `none`."),
    ] = None
    expires: Annotated[str | None, typer.Option("--expires", metavar="90d", help="After how long.")] = None
    store: Store = None
    url: Url = None
    keys_file: KeysFile = None
    json: Json = False


@dataclass(frozen=True)
class ListOptions:
    """The flags of `symposia keys list`."""

    store: Store = None
    url: Url = None
    keys_file: KeysFile = None
    json: Json = False


@dataclass(frozen=True)
class RevokeOptions:
    """The flags of `symposia keys revoke`."""

    id: Id
    reason: Annotated[str, typer.Option("--reason", help="Why. Kept in the audit.")] = ""
    store: Store = None
    url: Url = None
    keys_file: KeysFile = None
    json: Json = False


@dataclass(frozen=True)
class RotateOptions:
    """The flags of `symposia keys rotate`."""

    id: Id
    grace: Annotated[str, typer.Option("--grace", metavar="1h", help="How long the old key still opens.")] = (
        "0s"
    )
    store: Store = None
    url: Url = None
    keys_file: KeysFile = None
    json: Json = False


def create(asked: CreateOptions) -> int:
    """Make a key and print it, once: only its hash is kept."""
    world = this_world()
    return guarded(world, lambda: _create(asked, world))


def list_keys(asked: ListOptions) -> int:
    """Keys, what they open, and whether they still do."""
    world = this_world()
    return guarded(world, lambda: _list(asked, world))


def revoke(asked: RevokeOptions) -> int:
    """Let a key open nothing from now on; running servers follow within a second."""
    world = this_world()
    return guarded(world, lambda: _revoke(asked, world))


def rotate(asked: RotateOptions) -> int:
    """Make a key like another, print it, and end the other after a grace."""
    world = this_world()
    return guarded(world, lambda: _rotate(asked, world))


def _create(asked: CreateOptions, world: World) -> int:
    from symposia.cli.moments import duration
    from symposia.store.keys import Grant

    grant = Grant(
        name=asked.name,
        scopes=tuple(asked.scope),
        models=tuple(asked.model or ["*"]),
        profiles=tuple(asked.profile or ["*"]),
        expires=None if asked.expires is None else world.clock.time() + duration(asked.expires, "--expires"),
    )
    with keyring(asked, world, make=True) as ring:
        key, secret = ring.create(grant, actor=actor(world))
    return _made(key, secret, world, as_json=asked.json)


def _rotate(asked: RotateOptions, world: World) -> int:
    from symposia.cli.moments import duration

    grace_s = duration(asked.grace, "--grace")
    with keyring(asked, world) as ring:
        key, secret = ring.rotate(asked.id, grace_s=grace_s, actor=actor(world))
    return _made(key, secret, world, as_json=asked.json)


def _revoke(asked: RevokeOptions, world: World) -> int:
    from symposia.core.value import canonical

    with keyring(asked, world) as ring:
        key = ring.revoke(asked.id, actor=actor(world), reason=asked.reason)
    world.out.piece(canonical(_told(key)).decode() + "\n" if asked.json else f"{key.id} is revoked\n")
    return DONE


def _list(asked: ListOptions, world: World) -> int:
    from symposia.cli.moments import moment
    from symposia.cli.table import Table
    from symposia.core.value import canonical

    with keyring(asked, world) as ring:
        keys = ring.all()
    if asked.json:
        world.out.piece(canonical([_told(key) for key in keys]).decode() + "\n")
        return DONE
    now = world.clock.time()
    table = Table(("id", "name", "state", "scopes", "models", "profiles", "made", "expires"), left=8)
    for key in keys:
        state = "opens" if key.opens(now) else "revoked" if key.revoked is not None else "expired"
        lists = (",".join(part) for part in (key.scopes, key.models, key.profiles))
        table.row(key.id, key.name, state, *lists, moment(key.created), moment(key.expires))
    if keys:
        table.print(world.out)
    return DONE


def _made(key: Key, secret: Secret, world: World, *, as_json: bool) -> int:
    """The one place where a secret is printed."""
    from symposia.core.value import canonical

    if as_json:
        world.out.piece(canonical({"key": _told(key), "secret": secret.reveal()}).decode() + "\n")
    else:
        world.err.line(f"key {key.id} ({key.name}); keep what follows: it is not shown again", "dim")
        world.out.piece(secret.reveal() + "\n")
    return DONE


def _told(key: Key) -> dict[str, Any]:
    """A key for programs, without the hash of its secret."""
    import msgspec

    return {name: value for name, value in msgspec.structs.asdict(key).items() if name != "sha256"}

"""Where profiles and keys are looked after: what commands need of it, and a store that offers it.

Commands ask for no more than these Protocols, so that what a server offers over HTTP can take a store's place.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from symposia.core.errors import InvalidInput

from .world import World

if TYPE_CHECKING:
    from symposia.core.profile import Profile
    from symposia.core.redact import Secret
    from symposia.serve.settings import Settings
    from symposia.store.audit import AuditRow
    from symposia.store.keys import Grant, Key
    from symposia.store.profiles import Alias, Move, Stored
    from symposia.store.verify import Verified

Store = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="STORE",
        help="A SQLite file, or postgresql://USER@HOST/DATABASE; else that of `symposia serve` here.",
    ),
]
Url = Annotated[
    str | None,
    typer.Option(
        "--url", metavar="URL", help="A running server instead of a store; key in SYMPOSIA_API_KEY."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="For programs.")]
KeysFile = Annotated[
    Path | None, typer.Option("--keys-file", metavar="FILE", help="JSON lines, instead of a store.")
]


class Profiles(Protocol):
    """As `symposia.store.profiles.Profiles` promises."""

    def put(self, profile: Profile, *, actor: str, note: str = "") -> str: ...

    def stored(self, digest: str) -> Stored: ...

    def all(self) -> tuple[Stored, ...]: ...

    def aliases(self, model: str | None = None) -> tuple[Alias, ...]: ...

    def resolve(self, model: str, selector: str) -> str: ...

    def find(self, selector: str, *, model: str | None = None, archived: bool = False) -> str: ...

    def move(
        self,
        model: str,
        alias: str,
        to: str | None,
        *,
        expect: str | None,
        actor: str,
        reason: str,
        evidence: str = "",
    ) -> int: ...

    def archive(self, digest: str, *, actor: str, reason: str) -> None: ...

    def history(self, model: str, alias: str) -> tuple[Move, ...]: ...


class Keys(Protocol):
    """As `symposia.store.keyring.Keys` promises."""

    def create(self, grant: Grant, *, actor: str) -> tuple[Key, Secret]: ...

    def all(self) -> tuple[Key, ...]: ...

    def revoke(self, id: str, *, actor: str, reason: str = "") -> Key: ...  # noqa: A002 (the field's name)

    def rotate(self, id: str, *, grace_s: float = 0.0, actor: str) -> tuple[Key, Secret]: ...  # noqa: A002


class Kept(Protocol):
    """Options that say where keys are."""

    @property
    def store(self) -> str | None: ...

    @property
    def url(self) -> str | None: ...

    @property
    def keys_file(self) -> Path | None: ...


class Registry(Protocol):
    """Profiles with their audit."""

    @property
    def profiles(self) -> Profiles: ...

    def audit(self, since: int = 0) -> tuple[AuditRow, ...]: ...

    def verify(self) -> Verified: ...


def served_here(world: World, **flags: str | None) -> Settings:
    """The settings of these names, as `symposia serve` in this folder would have them with these flags.

    `InvalidInput` for a store in memory: only its server can reach that.
    """
    from .serve.said import said

    given = {name: value for name, value in flags.items() if value is not None}
    settings = said(given, world.env, names=flags).settings
    if settings.store == "memory":
        raise InvalidInput(
            "a store in memory lives inside its server; expected --url of the server, or --store"
        )
    return settings


@contextmanager
def registry(store: str | None, url: str | None, world: World, *, make: bool = False) -> Iterator[Registry]:
    """The registry of a server if one is named, else in a store; `make` that if it is a file that is not there."""
    from symposia.store import opened

    if url is not None:
        from .remote import Client, RemoteRegistry

        yield RemoteRegistry(Client(url, world.env))
        return
    with opened(served_here(world, store=store).store, clock=world.clock, make=make) as storage:
        yield storage


@contextmanager
def keyring(kept: Kept, world: World, *, make: bool = False) -> Iterator[Keys]:
    """The keys of a server or a file if one is named, else of a store."""
    from symposia.store import opened
    from symposia.store.keyfile import KeyFile

    file = kept.keys_file
    if kept.url is not None:
        from .remote import Client, RemoteKeys

        if file is not None:
            raise InvalidInput("--url and --keys-file name two places; expected one")
        yield RemoteKeys(Client(kept.url, world.env), world.clock)
        return
    if file is not None:
        if not make and not file.exists():
            raise InvalidInput(f"there is no keys file {file}; `symposia keys create --keys-file` makes one")
        yield KeyFile(file, world.clock)
        return
    with opened(served_here(world, store=kept.store).store, clock=world.clock, make=make) as storage:
        yield storage.keys


def actor(world: World) -> str:
    """Who the audit names: the user of this machine."""
    return world.env.get("USER") or world.env.get("LOGNAME") or "cli"

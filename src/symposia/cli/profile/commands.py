"""`symposia profile list`, `show`, `diff`, `archive`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from symposia.cli.exits import DONE
from symposia.cli.registry import Json, Store, Url, actor, registry
from symposia.cli.world import World, guarded, this_world

from .selectors import Selector, digest_of, model_of

if TYPE_CHECKING:
    from symposia.store.profiles import Alias, Stored

_WIDTH = len("sampling.repetition_penalty")


@dataclass(frozen=True)
class ListOptions:
    """The flags of `symposia profile list`."""

    model: Annotated[str | None, typer.Option("--model", metavar="MODEL", help="Of one model.")] = None
    archived: Annotated[bool, typer.Option("--archived", help="Archived ones too.")] = False
    store: Store = None
    url: Url = None
    json: Json = False


@dataclass(frozen=True)
class ShowOptions:
    """The flags of `symposia profile show`."""

    profile: Selector
    store: Store = None
    url: Url = None
    json: Json = False


@dataclass(frozen=True)
class DiffOptions:
    """The flags of `symposia profile diff`."""

    a: Selector
    b: Selector
    store: Store = None
    url: Url = None
    json: Json = False


@dataclass(frozen=True)
class ArchiveOptions:
    """The flags of `symposia profile archive`."""

    profile: Selector
    reason: Annotated[str, typer.Option("--reason", help="Why. Kept in the audit.")]
    store: Store = None
    url: Url = None
    json: Json = False


def list_profiles(asked: ListOptions) -> int:
    """Profiles that answer, and the names they answer to."""
    world = this_world()
    return guarded(world, lambda: _list(asked, world))


def show(asked: ShowOptions) -> int:
    """A profile's fields, its names, who made it and when."""
    world = this_world()
    return guarded(world, lambda: _show(asked, world))


def diff(asked: DiffOptions) -> int:
    """Which fields of two profiles differ, and how."""
    world = this_world()
    return guarded(world, lambda: _diff(asked, world))


def archive(asked: ArchiveOptions) -> int:
    """Let a profile answer no more. It stays in the store, and no name may point at it."""
    world = this_world()
    return guarded(world, lambda: _archive(asked, world))


def _list(asked: ListOptions, world: World) -> int:
    from symposia.cli.moments import moment
    from symposia.cli.table import Table
    from symposia.core.value import canonical, short

    model = None if asked.model is None else model_of(asked.model)
    with registry(asked.store, asked.url, world) as kept:
        aliases = kept.profiles.aliases(model)
        found = [
            one
            for one in kept.profiles.all()
            if model in (None, one.profile.model) and (asked.archived or one.archived is None)
        ]
    if asked.json:
        world.out.piece(canonical([_told(one, aliases) for one in found]).decode() + "\n")
        return DONE
    table = Table(("profile", "model", "names", "edits", "made", "by", "note"), left=7)
    for one in found:
        names = ",".join(_names(one, aliases)) or ("(archived)" if one.archived is not None else "-")
        edits = str(len(one.profile.interventions))
        table.row(
            short(one.digest), one.profile.model, names, edits, moment(one.created), one.actor, one.note
        )
    if found:
        table.print(world.out)
    return DONE


def _show(asked: ShowOptions, world: World) -> int:
    from symposia.cli.moments import moment
    from symposia.core.value import canonical

    with registry(asked.store, asked.url, world) as kept:
        one = kept.profiles.stored(digest_of(kept.profiles, asked.profile, archived=True))
        aliases = kept.profiles.aliases(one.profile.model)
    if asked.json:
        world.out.piece(canonical(_told(one, aliases)).decode() + "\n")
        return DONE
    world.out.line(one.digest, "bold")
    names = ", ".join(_names(one, aliases)) or "-"
    gone = f", archived {moment(one.archived)}" if one.archived is not None else ""
    world.out.line(f"  {'names':<{_WIDTH}} {names}")
    world.out.line(f"  {'made':<{_WIDTH}} {moment(one.created)} by {one.actor}{gone}")
    if one.note:
        world.out.line(f"  {'note':<{_WIDTH}} {one.note}")
    for path, value in sorted(_leaves(_plain(one))):
        world.out.line(f"  {path:<{_WIDTH}} {value}")
    return DONE


def _diff(asked: DiffOptions, world: World) -> int:
    from symposia.core.value import canonical

    with registry(asked.store, asked.url, world) as kept:
        digests = [digest_of(kept.profiles, one, archived=True) for one in (asked.a, asked.b)]
        a, b = (dict(_leaves(_plain(kept.profiles.stored(digest)))) for digest in digests)
    changed = [path for path in sorted({*a, *b}) if a.get(path) != b.get(path)]
    if asked.json:
        told = {"a": digests[0], "b": digests[1], "changed": [(p, a.get(p), b.get(p)) for p in changed]}
        world.out.piece(canonical(told).decode() + "\n")
        return DONE
    for path in changed:
        for mark, side, style in (("-", a, "red"), ("+", b, "green")):
            if path in side:
                world.out.line(f"{mark} {path:<{_WIDTH}} {side[path]}", style)
    return DONE


def _archive(asked: ArchiveOptions, world: World) -> int:
    from symposia.core.value import canonical

    with registry(asked.store, asked.url, world) as kept:
        digest = digest_of(kept.profiles, asked.profile, archived=True)
        kept.profiles.archive(digest, actor=actor(world), reason=asked.reason)
    world.out.piece(canonical({"archived": digest}).decode() + "\n" if asked.json else f"{digest}\n")
    return DONE


def _told(one: Stored, aliases: tuple[Alias, ...]) -> dict[str, Any]:
    import msgspec

    return {**msgspec.structs.asdict(one), "aliases": _names(one, aliases)}


def _names(one: Stored, aliases: tuple[Alias, ...]) -> list[str]:
    return [alias.name for alias in aliases if alias.digest == one.digest]


def _plain(one: Stored) -> Any:
    import msgspec

    return msgspec.to_builtins(one.profile)


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every field of a profile that holds no other, by its path, as JSON."""
    from symposia.core.value import canonical

    match value:
        case dict() if value:
            for name, item in value.items():
                yield from _leaves(item, f"{path}.{name}" if path else name)
        case list() | tuple() if value:
            for index, item in enumerate(value):
                yield from _leaves(item, f"{path}[{index}]")
        case _:
            yield path, canonical(value).decode()

"""`symposia models`: the table of names, what a model turns out to be, whether it works here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from .world import World, guarded, this_world

if TYPE_CHECKING:
    from symposia.core.models import Address
    from symposia.core.request import ModelCard


@dataclass(frozen=True)
class ListOptions:
    """The flags of `symposia models list`."""

    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False


@dataclass(frozen=True)
class ModelOptions:
    """The flags of `symposia models show` and `check`."""

    address: Annotated[
        str, typer.Argument(metavar="ADDRESS", help="A short name, a Hub id, a folder, or endpoint:name.")
    ]
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False


def list_models(asked: ListOptions) -> int:
    """Names this version knows; any other Hub id or folder works as well."""
    from symposia.core.modeltable import MODELS
    from symposia.core.value import canonical

    from .table import Table

    world = this_world()
    if asked.json:
        world.out.piece(canonical(dict(MODELS)).decode() + "\n")
        return 0
    table = Table(("name", "weights", "family", "notes", "parameters", "context"), left=4)
    for name, entry in MODELS.items():
        size = entry.parameters / 1e6
        shown = f"{size / 1000:.1f} B" if size >= 1000 else f"{size:.0f} M"
        place, window = entry.hub or "in this package", f"{entry.context_window:,}"
        table.row(name, place, entry.family, entry.notes, shown, window)
    table.print(world.out)
    return 0


def show(asked: ModelOptions) -> int:
    """What an address means, and what its template and weights were seen to be."""
    world = this_world()
    return guarded(world, lambda: _show(asked, world))


def check(asked: ModelOptions) -> int:
    """Load a model, run a few tokens, and say what works."""
    from .modelcheck import check_model

    world = this_world()
    return guarded(world, lambda: check_model(asked.address, world, as_json=asked.json))


def _show(asked: ModelOptions, world: World) -> int:
    import msgspec

    from symposia.core.models import resolve
    from symposia.core.value import canonical

    found = resolve(asked.address, _endpoints())
    runs: dict[str, object] = {}
    if found.source == "endpoint":
        parts: dict[str, object] = {"address": found, "card": _card(found)}
    else:
        from symposia.facade import engines

        engine = engines().engine(found.canonical)
        parts = {
            "address": found,
            "card": _card(found),
            "template": engine.template.facts,
            "shape": engine.shape,
        }
        name, why = engine.runner
        runs = {"runs": {"runner": name, "why": why, "warnings": list(engine.warnings)}}
    plain = {
        name: msgspec.to_builtins(value) for name, value in parts.items() if isinstance(value, msgspec.Struct)
    } | runs
    if asked.json:
        world.out.piece(canonical(plain).decode() + "\n")
        return 0
    world.out.line(found.canonical, "bold")
    for name, fields in plain.items():
        world.out.line()
        world.out.line(name, "dim")
        _fields(world, fields)
    return 0


def _fields(world: World, fields: dict[str, object], indent: int = 2) -> None:
    width = max(map(len, fields), default=0)
    for name, value in fields.items():
        if isinstance(value, dict) and value:
            world.out.line(" " * indent + name)
            _fields(world, value, indent + 2)
        else:
            world.out.line(f"{' ' * indent}{name:<{width}}  {_shown(value)}")


def _shown(value: object) -> str:
    match value:
        case None | "" | [] | ():
            return "-"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case list():  # a set
            return ", ".join(sorted(map(str, value)))
        case tuple():
            return ", ".join(map(_shown, value))
        case str() if value.startswith("sha256:"):
            return value[:19] + "…"
        case str() if value != value.strip() or not value.isprintable():
            return repr(value)
    return str(value)


def _card(found: Address) -> ModelCard:
    from symposia.talk import portal

    from .endpoints import backend_for_names

    return portal.call(backend_for_names(this_world().env).describe(found.canonical))


def _endpoints() -> tuple[str, ...]:
    from symposia.backends.endpoints import HOSTED

    return HOSTED

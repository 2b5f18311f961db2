"""`symposia lens`: looking inside a local model; `check` says which of its sites can be believed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from .exits import DONE, FAILED
from .world import World, guarded, this_world

if TYPE_CHECKING:
    from symposia.interp.check import Check
    from symposia.interp.taps import SiteMap

_STYLE = {"passed": "green", "failed": "bold red", "not_applicable": "dim"}


@dataclass(frozen=True)
class CheckOptions:
    """The flags of `symposia lens check`."""

    model: Annotated[str, typer.Argument(metavar="MODEL", help="A short name, a Hub id, or a folder.")]
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False


def check(asked: CheckOptions) -> int:
    """Run a model's self-tests; exit 1 if one failed or its architecture is not understood."""
    world = this_world()
    return guarded(world, lambda: _check(asked, world))


def _check(asked: CheckOptions, world: World) -> int:
    from symposia.backends.endpoints import HOSTED
    from symposia.core.errors import UnsupportedRequest
    from symposia.core.models import resolve
    from symposia.facade import engines
    from symposia.interp.check import SelfTestsFailed

    found = resolve(asked.model, HOSTED)
    if found.source == "endpoint":
        raise UnsupportedRequest(
            endpoint=found.canonical, model=asked.model, feature="lens check", way_out="name a local model"
        )
    try:
        engine = engines().engine(found.canonical)
    except SelfTestsFailed as error:
        _tell(asked, world, error.checks, None)
        world.fail(error)
        return FAILED
    _tell(asked, world, engine.checks, engine.site_map)
    return FAILED if any(one.status == "failed" for one in engine.checks) else DONE


def _tell(asked: CheckOptions, world: World, checks: tuple[Check, ...], sites: SiteMap | None) -> None:
    from symposia.core.value import canonical

    from .table import Table

    if asked.json:
        supported = sites.supported if sites else {}
        plain = {"model": asked.model, "understood": bool(sites), "checks": checks, "supported": supported}
        world.out.piece(canonical(plain).decode() + "\n")
        return
    table = Table(("check", "status", "layers", "why", "error", "at most"), left=4)
    for one in checks:
        error = "" if one.error is None else f"{one.error:.1e}"
        bar = "" if one.tolerance is None else f"{one.tolerance:.0e}"
        status = one.status.replace("_", " ")
        table.row(one.name, status, ranges(one.layers), one.reason, error, bar, style=_STYLE[one.status])
    table.print(world.out)
    if sites is not None:
        world.out.line()
        for site, layers in sites.supported.items():
            world.out.line(f"{site:<10} {ranges(layers)}".rstrip())


def ranges(layers: tuple[int, ...]) -> str:
    """Layers in short: `0-3, 5`."""
    from symposia.core.positions import runs

    return ", ".join(
        str(start) if stop == start + 1 else f"{start}-{stop - 1}" for start, stop in runs(layers)
    )

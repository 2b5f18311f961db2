"""`symposia lens patch`: which states of one conversation, put into another, bring its answer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import msgspec
import typer

from symposia.cli.world import World, guarded, this_world

from .reading import AS, HTML, JSON, MODEL, asked, engine_of, told, told_token, written

if TYPE_CHECKING:
    from symposia.core.capture import Site
    from symposia.core.request import Request
    from symposia.interp.align import Rule
    from symposia.interp.patch import Estimate, Grid, How, Metric, Model

    _Places = tuple[tuple[Site, ...], tuple[int, ...]]

_METRICS = (
    "logprob:answer (what CLEAN's last message says), logprob:TEXT, diff:A|B, kl, or readout:VECTOR@LAYER"
)


@dataclass(frozen=True)
class PatchOptions:
    """The flags of `symposia lens patch`."""

    clean: Annotated[
        Path, typer.Argument(metavar="CLEAN", help="A conversation or transcript that ends in an answer.")
    ]
    corrupt: Annotated[Path, typer.Argument(metavar="CORRUPT", help="The same with something else in it.")]
    model: MODEL
    metric: Annotated[str, typer.Option("--metric", metavar="M", help=f"{_METRICS}.")]
    site: Annotated[
        list[str] | None,
        typer.Option("--site", metavar="SITE", help="By default resid_post; may be repeated."),
    ] = None
    layers: Annotated[str | None, typer.Option("--layers", metavar="0,3", help="By default all.")] = None
    heads: Annotated[
        str | None,
        typer.Option("--heads", metavar="0,1", help="Each alone, at z, q, k or v; `all` is every one."),
    ] = None
    align: Annotated[
        Literal["auto", "index", "span", "text", "last"],
        typer.Option("--align", help="`auto`: by index if both are of one length, else by span."),
    ] = "auto"
    mode: Annotated[
        Literal["restore", "break"], typer.Option("--mode", help="Clean states into CORRUPT, or the reverse.")
    ] = "restore"
    estimate: Annotated[
        bool,
        typer.Option("--estimate", help="To first order, by one backward pass; 20 cells are run to compare."),
    ] = False
    as_: AS = None
    json: JSON = False
    html: HTML = None


def patch(asked: PatchOptions) -> int:
    """Run CORRUPT with states of CLEAN, cell by cell: 1 is as good as CLEAN, 0 is CORRUPT as it was."""
    world = this_world()
    return guarded(world, lambda: _patch(asked, world))


def _patch(options: PatchOptions, world: World) -> int:
    from symposia.interp import heat
    from symposia.interp import patch as patching
    from symposia.talk import portal

    engine = engine_of(options.model)
    clean, answer = asked(options.clean, options.model, options.as_)
    corrupt, _ = asked(options.corrupt, options.model, options.as_)
    layers = _numbers(options.layers, "layers") or tuple(range(engine.shape.layers))
    sites = tuple(options.site or ("resid_post",))
    heads = _heads(options.heads, engine.site_map.heads_at(_site(sites[0]), layers[0]))
    rule: Rule = "span"
    if options.align == "auto":
        lengths = {portal.call(engine.render(request)).tokens for request in (clean, corrupt)}
        rule = "index" if len(lengths) == 1 else "span"
    else:
        rule = options.align
    how = patching.How(mode=options.mode, rule=rule, heads=heads)
    model = patching.Model(engine, engine.store, engine, library=engine.library)
    run = _estimated if options.estimate else _swept
    grid, estimate = portal.call(
        run(
            clean,
            corrupt,
            _metric(options.metric, answer),
            model=model,
            places=(tuple(map(_site, sites)), layers),
            how=how,
        )
    )
    if options.html is not None:
        written(world, options.html, heat.of_grid(grid))
    if options.json:
        told(world, {"model": engine.address, "align": rule, **_plain(grid, estimate)})
    else:
        world.out.line(str(estimate or grid))
    return 0


async def _swept(
    clean: Request, corrupt: Request, metric: Metric, *, model: Model, places: _Places, how: How
) -> tuple[Grid, None]:
    from symposia.interp.patch import sweep

    sites, layers = places
    return await sweep(clean, corrupt, metric, model=model, layers=layers, sites=sites, how=how), None


async def _estimated(
    clean: Request, corrupt: Request, metric: Metric, *, model: Model, places: _Places, how: How
) -> tuple[Grid, Estimate]:
    from symposia.interp.patch import estimate

    sites, layers = places
    found = await estimate(clean, corrupt, metric, model=model, layers=layers, sites=sites, how=how)
    return found.grid, found


def _metric(text: str, answer: str) -> Metric:
    from symposia.cli.steering import vector_digest
    from symposia.core.errors import InvalidInput
    from symposia.interp.patch import KlToClean, LogitDiff, Logprob, ReadoutOf

    kind, _, rest = text.partition(":")
    one, bar, other = rest.partition("|")
    vector, _, layer = rest.rpartition("@")
    match kind:
        case "kl" if not rest:
            return KlToClean()
        case "logprob" if rest:
            return Logprob(answer if rest == "answer" else rest)
        case "diff" if bar and one and other:
            return LogitDiff(one, other)
        case "readout" if vector and layer.isdigit():
            return ReadoutOf(vector_digest(vector), int(layer))
    raise InvalidInput(f"--metric {text!r}: expected {_METRICS}")


def _numbers(text: str | None, name: str) -> tuple[int, ...]:
    from symposia.core.errors import InvalidInput

    parts = [part for part in (text or "").split(",") if part]
    if not all(part.strip().isdigit() for part in parts):
        raise InvalidInput(f"--{name} {text!r}: expected numbers, as in 0,3")
    return tuple(map(int, parts))


def _heads(text: str | None, known: int) -> tuple[int, ...]:
    return tuple(range(known)) if text == "all" else _numbers(text, "heads")


def _site(text: str) -> Site:
    from symposia.core import capture
    from symposia.core.errors import InvalidInput

    known = get_args(capture.Site)
    if text not in known:
        raise InvalidInput(f"--site {text!r}: expected one of {', '.join(known)}")
    found: Site = msgspec.convert(text, capture.Site)
    return found


def _plain(grid: Grid, estimate: Estimate | None) -> dict[str, object]:
    """A grid for programs: every cell, the largest first named apart."""
    peak, value = grid.peak()
    cells = [
        {**cell._asdict(), "positions": list(grid.columns[cell.column]), "value": v}
        for cell, v in zip(grid.cells, grid.values_SLCH.flatten().tolist(), strict=True)
    ]
    told: dict[str, object] = {
        "clean": grid.clean,
        "corrupt": grid.corrupt,
        "peak": {
            **peak._asdict(),
            "positions": list(grid.columns[peak.column]),
            "text": grid.text(peak.column),
            "value": value,
        },
        "tokens": [told_token(token) for token in grid.tokens],
        "cells": cells,
    }
    if estimate is not None:
        told["correlation"] = estimate.correlation
        told["checked"] = [{**c._asdict(), "estimate": e, "exact": x} for c, e, x in estimate.checked]
    return told

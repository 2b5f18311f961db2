"""`symposia traces stats`: how many, how they ended, how long they took, by what answered."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from symposia.cli.table import Table
from symposia.cli.world import World, guarded, this_world
from symposia.core.trace import Trace
from symposia.core.value import canonical

from .rows import Files, Rows, place


@dataclass(frozen=True)
class StatsOptions:
    """Which traces."""

    files: Files = None
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False


def stats(asked: StatsOptions) -> int:
    """Requests by model and profile: errors, degenerate replies, tokens, latency; 1 if a line could not be read."""
    world = this_world()
    return guarded(world, lambda: _stats(asked, world))


def _stats(asked: StatsOptions, world: World) -> int:
    rows = Rows(asked.files)
    groups: dict[str, list[Trace]] = {}
    for row in rows:
        groups.setdefault(place(row.trace), []).append(row.trace)
    told = {name: summary(groups[name]) for name in sorted(groups)}
    if asked.json:
        whole = {"served": told, "rejected": rows.rejected}
        world.out.piece(canonical(world.redactor.value(whole)).decode() + "\n")
    else:
        _table(told).print(world.out)
    return rows.told(world)


def summary(traces: Sequence[Trace]) -> dict[str, Any]:
    """Counts of some requests, and the quantiles of their latencies: each is one that some request took."""
    latencies = sorted(trace.latency_ms for trace in traces)
    firsts = sorted(trace.ttft_ms for trace in traces if trace.ttft_ms is not None)
    return {
        "requests": len(traces),
        "errors": sum(trace.flags.error is not None for trace in traces),
        "degenerate": sum(trace.flags.degenerate is not None for trace in traces),
        "slow": sum(trace.flags.slow for trace in traces),
        "prompt_tokens": sum(trace.usage.input_tokens for trace in traces if trace.usage),
        "completion_tokens": sum(trace.usage.output_tokens for trace in traces if trace.usage),
        "latency_ms": {name: quantile(latencies, share) for name, share in _QUANTILES.items()},
        "ttft_ms": {name: quantile(firsts, share) for name, share in _QUANTILES.items()},
        "redactions": sum(trace.redactions for trace in traces),
    }


_QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """The smallest value that at least this share of all do not exceed; None of none."""
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)] if ordered else None


def _table(told: dict[str, dict[str, Any]]) -> Table:
    heads = (
        "served",
        "requests",
        "errors",
        "degenerate",
        "slow",
        "prompt tokens",
        "completion tokens",
        "p50 ms",
        "p90 ms",
        "p99 ms",
        "first token p50 ms",
        "redactions",
    )
    table = Table(heads)
    for name, counted in told.items():
        counts = [counted[key] for key in ("requests", "errors", "degenerate", "slow")]
        tokens = [counted[key] for key in ("prompt_tokens", "completion_tokens")]
        times = [*counted["latency_ms"].values(), counted["ttft_ms"]["p50"]]
        cells = [f"{count:,}" for count in (*counts, *tokens)]
        cells += ["-" if each is None else f"{each:,.1f}" for each in times]
        table.row(name, *cells, f"{counted['redactions']:,}", style="bold")
    return table

"""`symposia vector evaluate`: what a vector does at each size, what it costs, and what the baselines do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from symposia.cli.world import guarded, this_world

Unit = Literal["fitted", "absolute", "relative", "reference", "calibrated"]


@dataclass(frozen=True)
class EvaluateOptions:
    """The flags of `symposia vector evaluate`."""

    vector: Annotated[Path, typer.Argument(metavar="FILE", help="A vector file.")]
    model: Annotated[str, typer.Option("--model", "-m", help="A short name, a Hub id, or a folder.")]
    prompts: Annotated[
        Path, typer.Option(metavar="P.jsonl", help="Half of them choose the scale, half report.")
    ]
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="DIR", help="Keeps every sample; goes on where it was stopped."),
    ]
    scales: Annotated[
        str | None, typer.Option(metavar="0,0.5,1,2", help="0 and above; fourteen from 0.2 to 5 otherwise.")
    ] = None
    unit: Annotated[Unit, typer.Option(help="What a scale of 1 is.")] = "fitted"
    layers: Annotated[
        str | None,
        typer.Option(
            metavar="14,15", help="Pushed together; otherwise those calibrated, or the one best read."
        ),
    ] = None
    first: Annotated[
        int | None, typer.Option(min=1, help="Push at the first so many tokens of a reply only.")
    ] = None
    trait: Annotated[str, typer.Option(help="The trait as system text: the baseline `prompt`.")] = ""
    data: Annotated[
        Path | None,
        typer.Option(metavar="PAIRS.jsonl", help="What it was fitted on: the baseline `matched`."),
    ] = None
    questions: Annotated[
        Path | None, typer.Option(metavar="Q.jsonl", help="Multiple choice: what else is lost.")
    ] = None
    readout: Annotated[
        str | None,
        typer.Option(metavar="FILE[@LAYER]", help="Measure the words by this vector; otherwise by the same."),
    ] = None
    logprob: Annotated[
        bool, typer.Option("--logprob", help="Measure by the two `options` of each prompt instead.")
    ] = False
    seeds: Annotated[int, typer.Option(min=1, help="Samples a prompt at each scale.")] = 1
    random: Annotated[int, typer.Option(min=0, help="Random directions.")] = 5
    temperature: Annotated[float, typer.Option(min=0.0, help="Of the samples.")] = 0.8
    max_tokens: Annotated[int, typer.Option(min=1, help="Of a sample.")] = 96
    json: Annotated[bool, typer.Option("--json", help="Everything measured, for programs.")] = False


def evaluate(asked: EvaluateOptions) -> int:
    """Dose and response beside random, matched, wrong-sign and prompt baselines; exit 1 if it does not stand out."""
    from symposia.cli.exits import terminable

    from .evaluation import evaluation

    world = this_world()

    def work() -> int:
        with terminable():
            return evaluation(asked, world)

    return guarded(world, work)

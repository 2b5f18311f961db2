"""The demonstration: load, fit, play twice at once, measure, show."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING

from symposia.cli.endpoints import backend_for
from symposia.cli.scenario import read_setting
from symposia.cli.table import Table
from symposia.cli.world import World
from symposia.core.intervention import Add
from symposia.core.message import Message
from symposia.core.positions import answer_start
from symposia.core.receipt import Receipt
from symposia.core.value import Value, canonical, short
from symposia.talk import portal

from .choose import SCALES, Chooser, begun
from .columns import Cell, side_by_side
from .measure import Gauge, Mean, exchanges, mean_of

if TYPE_CHECKING:
    from symposia.facade import Direction
    from symposia.talk.conversation import Conversation

    from . import DemoOptions

MODEL, STEERED = "symposia:tiny", "alice"
DOSES = (-1.0, -0.5, 0.0, 0.5, 1.0)
NEXT = (
    "symposia chat                                        talk with the model yourself",
    "symposia run examples/tiny_debate.yaml --turns 6     two speakers who differ in their system text",
    "symposia demo --scale={back:<30g} the same direction, the other way",
    "symposia demo --out runs/demo                        keep the vector and both conversations, then",
    "symposia chat --steer runs/demo/warmth.safetensors:{scale:g}@{layer}   steer while you talk",
)


class Shift(Value, frozen=True, kw_only=True):
    """Warmth of somebody's words in the talk, without and with steering."""

    whose: str
    plain: Mean
    steered: Mean


class Dose(Value, frozen=True, kw_only=True):
    """Warmth of first lines drawn at one scale."""

    scale: float
    warmth: Mean


class DemoReport(Value, frozen=True, kw_only=True):
    """What was measured. Warmth: 0 is the cold examples' mean, 1 the warm ones'."""

    vector: str
    layer: int
    scale: float
    applied: int
    turns: int
    tokens: int
    shifts: tuple[Shift, ...]
    doses: tuple[Dose, ...]


@dataclass(frozen=True)
class Played:
    """Both talks, and the first lines drawn at each scale."""

    plain: Conversation
    steered: Conversation
    drawn: Mapping[float, Sequence[Message]]


def play(asked: DemoOptions, world: World) -> int:
    """Play it and print it."""
    from symposia.facade import Conversation, engines, fit
    from symposia.interp.contrast import load_pairs, unframed

    here = files(__package__)
    with as_file(here.joinpath("demo.yaml")) as scenario:
        setting = read_setting(scenario)
    world.err.line(f"loading {MODEL}, fitting a direction from cold to warm on the examples …", "dim")
    with as_file(here.joinpath("warm_cold.jsonl")) as file:
        pairs = load_pairs(file)
    fitted = fit(pairs, MODEL, name="warmth", read=answer_start())
    words = fit(unframed(pairs), MODEL, name="warmth of words")
    plain = Conversation(scenario=setting.scenario, backend=backend_for(setting, world.env))
    gauge = Gauge(engines().engine(MODEL), words.vector, words.layer)
    layer, scale = _chosen(asked, world, Chooser(plain, STEERED, fitted, gauge))
    steered = plain.set(participants={STEERED: {"interventions": (begun(fitted, scale, layer),)}})
    world.err.line(f"playing both, and drawing {asked.samples} first lines at {len(DOSES)} doses …", "dim")
    pushes = {scale * dose: begun(fitted, scale * dose, layer) for dose in DOSES}
    played = portal.call(_play(plain, steered, pushes, asked.samples))
    if asked.out is not None:
        _keep(asked.out, fitted, plain, steered)
    report, rows = portal.call(_measure(gauge, played, layer, scale))
    if asked.json:
        world.out.piece(canonical(report).decode() + "\n")
        return 0
    way = "warm" if scale >= 0 else "cold"
    side_by_side(
        world.out, ("as it is", f"{STEERED} steered toward {way} ({scale:+g} at layer {layer})"), rows
    )
    _summary(world, report, steered)
    return 0


def _chosen(asked: DemoOptions, world: World, chooser: Chooser) -> tuple[int, float]:
    """Layer and scale: those asked for; what is left open is tried."""
    if asked.layer is not None and asked.scale is not None:
        return asked.layer, asked.scale
    inner = range(1, chooser.gauge.engine.shape.layers - 1)
    layers = tuple(inner) if asked.layer is None else (asked.layer,)
    scales = SCALES if asked.scale is None else (asked.scale,)
    world.err.line(
        f"trying it at layers {layers[0]}–{layers[-1]}, {len(layers) * len(scales)} pushes …", "dim"
    )
    best, tried = portal.call(chooser.best(layers, scales))
    world.err.line(
        f"strongest of {tried} that still reads well: layer {best.layer}, scale {best.scale:g} "
        f"(warmth {best.away:.2f} to {best.toward:.2f})",
        "dim",
    )
    return best.layer, best.scale if asked.scale is None else asked.scale


async def _play(
    plain: Conversation, steered: Conversation, pushes: Mapping[float, Add], samples: int
) -> Played:
    """Both talks and all draws, side by side in one batch. Every dose draws with the same seeds."""
    draws = [
        plain.branch(fresh=False).asample(STEERED, n=samples, interventions=(push,) if scale else ())
        for scale, push in pushes.items()
    ]
    _, _, *drawn = await asyncio.gather(plain.arun(), steered.arun(), *draws)
    lines = [some for some in drawn if isinstance(some, tuple)]
    return Played(plain, steered, dict(zip(pushes, lines, strict=True)))


async def _measure(
    gauge: Gauge, played: Played, layer: int, scale: float
) -> tuple[DemoReport, list[tuple[Cell, Cell]]]:
    plain, steered = played.plain, played.steered
    sides = [exchanges(conversation.transcript) for conversation in (plain, steered)]
    warmth = [[r.warmth for r in await gauge.of([exchange for _, exchange in side])] for side in sides]
    asked = plain.transcript[0].text
    doses = [
        Dose(scale=dose, warmth=mean_of([r.warmth for r in await gauge.of([(asked, m.text) for m in lines])]))
        for dose, lines in played.drawn.items()
    ]
    rows = [(Cell(m.author, m.text), Cell(m.author, m.text)) for m in plain.transcript if not m.is_turn()]
    cells = [
        [_cell(message, value) for (message, _), value in zip(side, values, strict=True)]
        for side, values in zip(sides, warmth, strict=True)
    ]
    rows += list(zip(cells[0], cells[1], strict=False))
    shifts = [
        Shift(
            whose=name, plain=_mean_by(name, sides[0], warmth[0]), steered=_mean_by(name, sides[1], warmth[1])
        )
        for name in plain.scenario.names
    ]
    receipts = _receipts(steered)
    report = DemoReport(
        vector=gauge.vector.digest,
        layer=layer,
        scale=scale,
        applied=sum(r.status == "applied" for r in receipts),
        turns=len(receipts),
        tokens=sum(r.tokens.generated for r in receipts),
        shifts=tuple(shifts),
        doses=tuple(doses),
    )
    return report, rows


def _mean_by(name: str, side: Sequence[tuple[Message, tuple[str, str]]], values: Sequence[float]) -> Mean:
    return mean_of(
        [value for (message, _), value in zip(side, values, strict=True) if message.author == name]
    )


def _cell(message: Message, warmth: float) -> Cell:
    note = f"warmth {warmth:.2f}"
    for receipt in message.provenance.receipts if message.provenance else ():
        where = ", ".join(str(layer.layer) for layer in receipt.layers)
        note += f" · {receipt.status} at layer {where}, {receipt.tokens.generated} tokens"
    return Cell(message.author, message.text, note)


def _receipts(conversation: Conversation) -> list[Receipt]:
    return [receipt for m in conversation.transcript if m.provenance for receipt in m.provenance.receipts]


def _summary(world: World, report: DemoReport, steered: Conversation) -> None:
    out = world.out
    out.line()
    out.line(
        "Warmth of the words, as the unsteered model reads them: 0 like the cold examples, 1 like the warm ones"
    )
    table = Table(("in the talk", "as it is", "steered"))
    for shift in report.shifts:
        table.row(shift.whose, _shown(shift.plain), _shown(shift.steered), style=out.colour(shift.whose))
    table.print(out)
    out.line()
    bars = Table((f"{STEERED}'s first line at", "warmth", f"of {report.doses[0].warmth.n} drawn"), left=3)
    for dose in report.doses:
        bars.row(f"{dose.scale:+g}" if dose.scale else "0", _shown(dose.warmth), _bar(dose.warmth.mean))
    bars.print(out)
    out.line()
    deltas = [layer.delta_mean for r in _receipts(steered) for layer in r.layers]
    norms = [layer.norm for r in _receipts(steered) for layer in r.layers]
    size = (
        f"; mean push {sum(deltas) / len(deltas):.1f} on states of norm {sum(norms) / len(norms):.0f}"
        if deltas
        else ""
    )
    out.line(
        f"Receipts: {report.applied} of {report.turns} steered turns applied, {report.tokens} tokens written at "
        f"layer {report.layer}{size}. Vector {short(report.vector)}; seeds are the same on both sides."
    )
    out.line()
    out.line("Next:", "bold")
    for line in NEXT:
        out.line("  " + line.format(scale=report.scale, back=-report.scale, layer=report.layer))


def _shown(value: Mean) -> str:
    return f"{value.mean:.2f} ± {value.sd:.2f}"


def _bar(value: float) -> str:
    """A bar of 30 for 1, from 0 to 1.5."""
    return "█" * round(30 * min(max(value, 0.0), 1.5)) or "▏"


def _keep(folder: Path, fitted: Direction, plain: Conversation, steered: Conversation) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    fitted.save(folder / "warmth.safetensors")
    plain.save(folder / "plain.json")
    steered.save(folder / "steered.json")

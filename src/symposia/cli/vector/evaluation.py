"""An evaluation from its flags: the push, the design, the measure; then a table, a figure, and what was found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from symposia.cli.exits import DONE, FAILED
from symposia.cli.table import Table
from symposia.cli.world import World
from symposia.core.errors import InvalidInput

if TYPE_CHECKING:
    from symposia.interp.dose.scores import Score
    from symposia.interp.dose.values import Column, Design, Dose, Push, Response
    from symposia.interp.metric import Model
    from symposia.interp.vector import SteeringVector

    from .evaluate import EvaluateOptions

_TELL = 250
_NAMES = {
    "base": "unsteered",
    "prompt": "prompt",
    "vector": "vector",
    "wrong_sign": "wrong sign",
    "random": "random",
    "matched": "matched",
}


def evaluation(asked: EvaluateOptions, world: World) -> int:
    """Run it, keep it, tell it. FAILED if what was chosen does not stand out, or nothing could be chosen."""
    from symposia.core.value import canonical
    from symposia.interp.dose.journal import Journal
    from symposia.interp.evaluate import evaluate
    from symposia.interp.prompts import load_prompts
    from symposia.interp.vector import load_vector
    from symposia.talk import portal

    from .asked import inside_of

    vector = load_vector(asked.vector)
    prompts = load_prompts(asked.prompts)
    push, design = _push(asked, vector), _design(asked)
    model = inside_of(asked.model, "vector evaluate")

    def tell(measured: int) -> None:
        if measured % _TELL == 0:
            world.err.line(f"{measured} measured …", "dim")

    journal = Journal(asked.out, tell)
    if journal.rows:
        world.err.line(
            f"{asked.out} holds {len(journal.rows)} rows already; those asked for again are kept", "dim"
        )
    score = _score(asked, vector, model)
    found = portal.call(
        evaluate(vector, prompts, push, model=model, score=score, design=design, journal=journal)
    )
    _figure(found, asked, world)
    findings = findings_of(found)
    if asked.json:
        world.out.piece(canonical({"dose": found, "findings": findings}).decode() + "\n")
    else:
        _print(found, findings, asked, world)
    return FAILED if findings else DONE


def findings_of(found: Dose) -> tuple[str, ...]:
    """What keeps a reader from saying that the vector works."""
    told = [
        f"{_NAMES[r.kind]} at scale {r.scale:g}: {1 - r.applied:.0%} of samples have no receipt that says applied"
        for r in found.responses
        if r.applied is not None and r.applied < 1
    ]
    if found.chosen is None:
        return (
            *told,
            f"no scale keeps the text readable (at most {found.worse:g} times as perplexing as unsteered)",
        )
    on_b = {r.kind: r for r in found.chosen.on_b}
    ours = on_b["vector"].score
    for kind in ("base", "random"):
        other = on_b[kind].score if kind in on_b else None
        if ours is not None and other is not None and ours.low <= other.high:
            told.append(
                f"at the chosen scale {found.chosen.scale:g} the vector ({_interval(ours)}) does not stand out from "
                f"{_NAMES[kind]} ({_interval(other)}) on half B"
            )
    return tuple(told)


def _push(asked: EvaluateOptions, vector: SteeringVector) -> Push:
    from symposia.core.intervention import Schedule
    from symposia.interp.dose.values import Push

    from .asked import layers_of

    known = vector.header.calibration
    if asked.layers is not None:
        layers = layers_of(asked.layers)
    elif asked.unit == "calibrated" and known is not None:
        layers = known.layers
    else:
        layers = (_best(vector),)
    first = asked.first
    schedule = None if first is None else Schedule(by="token", points=((0, 1.0), (first, 0.0)), curve="step")
    return Push(layers=layers, unit=asked.unit, schedule=schedule)


def _best(vector: SteeringVector) -> int:
    """The layer where held-out samples separate best, as a fit suggests it."""
    notes = {layer: vector.notes(layer) for layer in vector.layers}
    known = {i: (note.auroc, note.split_half or 0.0) for i, note in notes.items() if note.auroc is not None}
    if not known:
        raise InvalidInput(
            f"vector {vector.header.name!r} does not say where it is read best; name layers with --layers"
        )
    return max(known, key=known.__getitem__)


def _design(asked: EvaluateOptions) -> Design:
    from symposia.core.profile import Sampling
    from symposia.interp.contrast import load_pairs
    from symposia.interp.dose.values import SCALES, Design
    from symposia.interp.prompts import load_questions

    return Design(
        scales=SCALES if asked.scales is None else _numbers(asked.scales),
        seeds=asked.seeds,
        sampling=Sampling(temperature=asked.temperature, max_tokens=asked.max_tokens),
        trait=asked.trait,
        random=asked.random,
        pairs=() if asked.data is None else load_pairs(asked.data),
        questions=() if asked.questions is None else load_questions(asked.questions),
    )


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise InvalidInput(f"scales {text!r}: expected numbers, as in 0,0.5,1") from error


def _score(asked: EvaluateOptions, vector: SteeringVector, model: Model) -> Score:
    from symposia.core.positions import answer
    from symposia.interp.dose.scores import LogprobScore, ReadoutScore
    from symposia.interp.vector import load_vector

    from .asked import layers_of

    if asked.logprob:
        return LogprobScore()
    file, _, layer = (asked.readout or "").partition("@")
    if not file and vector.header.read.where != answer():
        raise InvalidInput(
            f"vector {vector.header.name!r} was not read over the words of replies, so it cannot measure them; name "
            "one that was with --readout (`vector fit` without --read makes it), or use --logprob"
        )
    read = load_vector(file) if file else vector
    at = layers_of(layer)[0] if layer else _best(read)
    return ReadoutScore(vector=model.library.add(read), layer=at)


def _figure(found: Dose, asked: EvaluateOptions, world: World) -> None:
    from symposia.interp.plot.style import PlotsNeedMatplotlib

    try:
        from symposia.interp import plot

        plot.save(plot.dose(found), asked.out / "dose.svg")
    except PlotsNeedMatplotlib as error:
        world.err.line(f"no figure: {error}", "dim")


def _print(found: Dose, findings: tuple[str, ...], asked: EvaluateOptions, world: World) -> None:
    out = world.out
    out.line(
        f"{found.name} at layers {list(found.push.layers)}, scales in unit {found.push.unit}; {found.measure}"
    )
    out.line()
    table = _table()
    for response in found.responses:
        table.row(*_cells(response), style="bold" if response.kind == "vector" else "")
    table.print(out)
    if found.chosen is not None:
        out.line()
        out.line(
            f"Chosen on half A of the prompts, of {found.chosen.tried} scales: {found.chosen.scale:g}. On half B:",
            "bold",
        )
        table = _table()
        for response in found.chosen.on_b:
            table.row(*_cells(response))
        table.print(out)
    out.line()
    for name, cosines in found.cosines.items():
        told = ", ".join(f"{cosine:+.2f}" for cosine in cosines)
        out.line(f"cosine of {name} directions with the vector: {told}", "dim")
    if found.left_out:
        out.line(f"baselines left out: {', '.join(found.left_out)} (see --trait, --data, --random)", "dim")
    out.line(f"kept in {asked.out}: dose.jsonl, dose.json, dose.svg", "dim")
    for finding in findings:
        out.line(f"finding: {finding}", "bold red")


def _table() -> Table:
    heads = (
        "arm",
        "scale",
        "concept",
        "score",
        "perplexity",
        "KL",
        "empty",
        "loop",
        "salad",
        "anti",
        "capability",
    )
    return Table((*heads, "applied", "unreadable", "samples"))


def _cells(r: Response) -> tuple[str, ...]:
    return (
        _NAMES[r.kind],
        f"{r.scale:g}" if r.scale else "",
        _interval(r.concept),
        _interval(r.score) if r.instruct is not None else "",
        "" if r.perplexity is None else f"{r.perplexity:.4g}",
        "" if r.kl is None else f"{r.kl:.3f}",
        _share(r.empty),
        _share(r.loop),
        _share(r.salad),
        _share(r.anti),
        _interval(r.capability),
        _share(r.applied),
        str(r.unreadable) if r.unreadable else "",
        str(r.samples),
    )


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def _interval(column: Column | None) -> str:
    return "" if column is None else f"{column.mean:.2f} [{column.low:.2f}, {column.high:.2f}]"

"""`symposia vector fit`: from contrast pairs, stored activations or an autoencoder to a vector and its diagnosis."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
import typer

from symposia.cli.world import World, guarded, this_world
from symposia.core.errors import InvalidInput

if TYPE_CHECKING:
    from symposia.core.capture import Site
    from symposia.interp.methods import Method
    from symposia.interp.vector import Reading, SteeringVector

Format = Literal["jsonl", "caa"]
Pooled = Literal["mean", "last", "max"]
PairBy = Literal["turn", "conversation"]
_LATENT = "latent"
_QUESTION = (
    "One side of --from-acts: reader=alice,label=warm,steered and selections: author=bob,phase=answer …"
)


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """The flags of `symposia vector fit`."""

    data: Annotated[
        Path | None,
        typer.Argument(
            metavar="DATA",
            help="Contrast pairs; for --method latent:INDEX an autoencoder; nothing with --from-acts.",
        ),
    ] = None
    model: Annotated[
        str, typer.Option("--model", "-m", metavar="MODEL", help="A local model; none with --from-acts.")
    ] = ""
    out: Annotated[Path, typer.Option("--out", "-o", metavar="F", help="The vector file to write.")]
    method: Annotated[
        str,
        typer.Option(
            metavar="NAME[:OPTIONS]",
            help="diff_mean, caa, pca[:centre], lat[:seed=N], logistic[:pattern,c=X], lda[:shrink=X], latent:INDEX; "
            "diff_mean if not given, caa with --format caa.",
        ),
    ] = ""
    read: Annotated[
        str,
        typer.Option(
            metavar="SELECTOR", help="Positions: answer, answer_end, answer_start, phase=…,last=N …"
        ),
    ] = ""
    pool: Annotated[Pooled, typer.Option(help="How the positions of a sample become one row.")] = "mean"
    site: Annotated[str, typer.Option(metavar="SITE", help="Where in a block to read.")] = "resid_post"
    layers: Annotated[
        str, typer.Option(metavar="L,L-L", help="Blocks to read; all of them if not given.")
    ] = ""
    format: Annotated[
        Format, typer.Option("--format", help="jsonl: pairs of conversations; caa: A/B questions.")
    ] = "jsonl"
    name: Annotated[
        str, typer.Option(metavar="NAME", help="The vector's name; that of the file if not given.")
    ] = ""
    from_acts: Annotated[
        Path | None,
        typer.Option("--from-acts", metavar="DIR", help="Stored activations to fit on; no model is run."),
    ] = None
    positive: Annotated[str, typer.Option(metavar="Q", help=_QUESTION)] = ""
    negative: Annotated[str, typer.Option(metavar="Q", help="Its other side.")] = ""
    labels: Annotated[
        Path | None,
        typer.Option(metavar="JSONL", help="Lines of conversation, turn, label, for label=… in Q."),
    ] = None
    pair_by: Annotated[
        PairBy | None, typer.Option("--pair-by", help="Pair the samples of one turn, or of one conversation.")
    ] = None
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False


def fit(asked: FitOptions) -> int:
    """Fit a direction at every layer and say how far it can be believed."""
    world = this_world()
    return guarded(world, lambda: _fit(asked, world))


def _fit(asked: FitOptions, world: World) -> int:
    if asked.out.suffix != ".safetensors":
        raise InvalidInput(
            f"-o {asked.out}: expected a name that ends in .safetensors; `vector convert` writes others"
        )
    suggested = None
    if asked.from_acts is not None:
        vector, suggested = _stored(asked, asked.from_acts)
    elif asked.data is None or not asked.model:
        raise InvalidInput(
            "expected DATA and -m MODEL, or --from-acts DIR with --positive Q and --negative Q"
        )
    elif asked.method.partition(":")[0] == _LATENT:
        vector = _latent(asked, asked.data)
    else:
        vector, suggested = _fitted(asked, asked.data)
    stamp = dt.datetime.fromtimestamp(world.clock.time(), tz=dt.UTC).isoformat(timespec="seconds")
    vector = vector.with_header(msgspec.structs.replace(vector.header, created=stamp))
    vector.save(asked.out)
    _tell(asked, world, vector, suggested)
    return 0


def _stored(asked: FitOptions, folder: Path) -> tuple[SteeringVector, int]:
    """From what a folder holds; no model is loaded."""
    from symposia.cli.questions import question
    from symposia.facade import fit as fit_stored
    from symposia.interp.acts.labels import load_labels
    from symposia.interp.groups import WORDS, Groups
    from symposia.interp.vector import Reading

    from .asked import layers_of

    if asked.data is not None or asked.model or asked.format == "caa":
        raise InvalidInput("--from-acts reads what is stored: leave DATA, -m and --format out")
    if not asked.positive or not asked.negative:
        raise InvalidInput("--from-acts needs its two sides: --positive Q and --negative Q")
    groups = Groups(
        question(asked.positive),
        question(asked.negative),
        pair_by=asked.pair_by,
        labels=None if asked.labels is None else load_labels(asked.labels),
    )
    reading = msgspec.structs.replace(
        _reading(asked) or Reading(where=WORDS),
        site=_site(asked.site),
        pool=asked.pool,
        layers=layers_of(asked.layers),
    )
    name = asked.name or asked.out.stem
    made = fit_stored(groups, name=name, method=_method(asked), read=reading, store=folder)
    return made.vector, made.layer


def _fitted(asked: FitOptions, data: Path) -> tuple[SteeringVector, int]:
    from symposia.facade import fit as fit_pairs
    from symposia.interp.contrast import load_caa, load_pairs

    from .asked import engine_of

    method, reading = _method(asked), _reading(asked)
    pairs = load_caa(data) if asked.format == "caa" else load_pairs(data)
    engine = engine_of(asked.model, "vector fit")
    reading = reading or _usual(method)
    reading = msgspec.structs.replace(
        reading, site=_site(asked.site), pool=asked.pool, layers=_layers(asked, engine.shape.layers)
    )
    name = asked.name or asked.out.stem
    made = fit_pairs(pairs, engine.shape.name, name=name, method=method, read=reading)
    return made.vector, made.layer


def _method(asked: FitOptions) -> Method:
    from .asked import method_of

    return method_of(asked.method or ("caa" if asked.format == "caa" else "diff_mean"))


def _reading(asked: FitOptions) -> Reading | None:
    from symposia.core.selector import selection
    from symposia.interp.vector import Reading

    return Reading(where=selection(asked.read)) if asked.read else None


def _usual(method: Method) -> Reading:
    from symposia.core.positions import answer_end
    from symposia.interp.methods import Caa, Lat, Pca
    from symposia.interp.vector import Reading

    return Reading(where=answer_end()) if isinstance(method, Caa | Pca | Lat) else Reading()


def _layers(asked: FitOptions, count: int) -> tuple[int, ...]:
    from .asked import layers_of

    layers = layers_of(asked.layers)
    if bad := [layer for layer in layers if layer >= count]:
        raise InvalidInput(f"layers {asked.layers!r}: expected 0..{count - 1}; got {bad[0]}")
    return layers


def _site(name: str) -> Site:
    from symposia.core.capture import Site

    try:
        site: Site = msgspec.convert(name, Site)
    except msgspec.ValidationError as error:
        raise InvalidInput(
            f"site {name!r}: {error}; expected resid_pre, resid_mid, resid_post, attn_out, …"
        ) from error
    return site


def _latent(asked: FitOptions, data: Path) -> SteeringVector:
    """A decoder row: nothing is read, so what would say how to read is refused."""
    from symposia.interp.formats.convert import import_vector
    from symposia.interp.formats.foreign import Asked
    from symposia.interp.latent import latent
    from symposia.interp.vector import load_vector

    from .asked import engine_of

    index = asked.method.partition(":")[2]
    if not index.isdecimal():
        raise InvalidInput(f"method {asked.method!r}: expected latent:INDEX")
    if asked.read or asked.layers or asked.site != "resid_post" or asked.format == "caa":
        raise InvalidInput(
            "--method latent takes the autoencoder's own site and layer; leave --read and the like out"
        )
    shape = engine_of(asked.model, "vector fit").shape
    if data.suffix == ".safetensors" and data.name != "sae_weights.safetensors":
        sae = load_vector(data)
        if sae.header.model.digest != shape.digest:
            raise InvalidInput(
                f"{data}: an autoencoder of {sae.header.model.name}; convert it from its folder with "
                f"-m {asked.model}"
            )
    else:
        sae = import_vector(data, Asked(shape=shape))
    return latent(sae, int(index), name=asked.name or asked.out.stem)


def _tell(asked: FitOptions, world: World, vector: SteeringVector, suggested: int | None) -> None:
    from symposia.core.value import canonical

    from .report import describe, layers, plain

    if asked.json:
        told = {**plain(vector, asked.out), "suggested": suggested}
        world.out.piece(canonical(told).decode() + "\n")
        return
    describe(vector, asked.out, world.out)
    world.out.line()
    layers(vector, world.out, suggested=suggested)
    if suggested is not None:
        world.out.line()
        world.out.line(
            f"layer {suggested} is a suggestion: there it is read best, which is not yet where it steers best"
        )
    for warning in vector.header.warnings:
        world.err.line(f"warning: {warning}", "yellow")

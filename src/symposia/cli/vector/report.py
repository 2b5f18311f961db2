"""A vector file as a person reads it: what it is, layer by layer, what to beware of; and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from symposia.core.value import short

if TYPE_CHECKING:
    from symposia.cli.terminal import Terminal
    from symposia.interp.vector import Header, LayerNotes, SteeringVector


def plain(vector: SteeringVector, path: object) -> dict[str, Any]:
    """For programs: the header as it is stored, and the digest."""
    return {"path": str(path), "digest": vector.digest, **msgspec.to_builtins(vector.header)}


def describe(vector: SteeringVector, path: object, out: Terminal) -> None:
    """What the file says of itself, a fact a line; empty facts are left out."""
    header = vector.header
    out.line(f"{header.name}  {path}", "bold")
    for name, text in _facts(header):
        if text:
            out.line(f"  {name:<11} {text}")
    for name, tensor in vector.tensors.items():
        out.line(f"  {name:<18} {list(tensor.shape)}")
    out.line(f"  {'digest':<11} {vector.digest}")
    for line in (header.origin or {}).get("changes", ()):
        out.line(f"  {'':<11} {line}")


def layers(vector: SteeringVector, out: Terminal, *, suggested: int | None = None) -> None:
    """The diagnosis, a row a layer; columns nothing is known of are left out."""
    from symposia.cli.table import Table

    heads = ("layer", "fitted", "‖h‖", "fitted/‖h‖", "agree", "halves", "AUROC", "chance", "d'", "")
    table = Table(heads)
    for layer in vector.layers:
        notes = vector.header.layers.get(str(layer))
        mark = "suggested" if layer == suggested else ""
        table.row(str(layer), *(_cells(notes) if notes else ("",) * 8), mark)
    table.print(out)


def _facts(header: Header) -> list[tuple[str, str]]:
    fitted, read = header.model, header.read
    options = ", ".join(f"{name}={value}" for name, value in header.method.get("params", {}).items())
    model = f"{fitted.name} ({short(fitted.digest) or 'weights not known'})"
    width = f", width {fitted.width}"
    pairs = header.data.get("pairs")
    calibration = header.calibration
    return [
        ("kind", f"{header.kind}, to {'read out' if header.use == 'readout' else 'steer with'}"),
        ("about", header.description),
        ("made", header.created),
        ("model", model + (f", {fitted.layers} layers" if fitted.layers else "") + width),
        ("read", f"{read.site}, {_where(header)}"),
        ("method", header.method.get("type", "") + (f" ({options})" if options else "")),
        ("data", f"{pairs} pairs, {short(str(header.data.get('digest', '')))}" if pairs else ""),
        ("calibration", f"{list(calibration.layers)}: +{calibration.plus:.3g}, -{calibration.minus:.3g} ‖h‖ at "
         f"{calibration.metric} {calibration.target:g}" if calibration else ""),
        ("origin", str(header.origin["format"]) if header.origin else ""),
    ]  # fmt: skip


def _where(header: Header) -> str:
    """The positions read, as JSON without what is the default."""
    from symposia.core.positions import Where

    where = header.read.where
    if where is None:
        return "where is not known"
    blank = msgspec.to_builtins(Where())
    said = {
        sign: [{k: v for k, v in msgspec.to_builtins(clause).items() if v != blank[k]} for clause in clauses]
        for sign, clauses in (("any", where.any), ("minus", where.minus))
        if clauses
    }
    return f"{header.read.pool} over {msgspec.json.encode(said).decode()}"


def _cells(notes: LayerNotes) -> tuple[str, ...]:
    fitted, norm = notes.fitted_norm, notes.reference_norm
    numbers = (
        fitted,
        norm,
        fitted / norm if fitted is not None and norm is not None else None,
        notes.pair_cosine,
        notes.split_half,
        notes.auroc,
        notes.null_auroc,
        notes.dprime,
    )
    return tuple("" if number is None else f"{number:.2f}" for number in numbers)

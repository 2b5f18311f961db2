"""Vector files of every kind, small, with random tensors."""

from __future__ import annotations

import torch

from symposia.interp.vector import FittedOn, Header, LayerNotes, Spread, SteeringVector

MODEL = FittedOn(name="m", digest="sha256:1", type="llama", layers=4, width=8)


def vector(seed=0, name="warm", layers=(1, 2), rank=None, **fields):
    """A direction a layer, or with `rank` that many orthonormal rows."""
    generator = torch.Generator().manual_seed(seed)
    shape = (8, rank or 1)
    rows = {layer: torch.linalg.qr(torch.randn(*shape, generator=generator)).Q.T for layer in layers}
    directions = rows if rank else {layer: row[0] for layer, row in rows.items()}
    notes = {str(layer): LayerNotes(fitted_norm=2.0, projection=Spread(mean=0.1, sd=1.0)) for layer in layers}
    kind = fields.pop("kind", "subspace" if rank else "direction")
    header = Header(name=name, kind=kind, model=MODEL, layers=notes, **fields)
    return SteeringVector(header, directions)


SHAPES = {
    "direction": {"probe.1.weight": (8,), "probe.1.bias": (1,)},
    "means": {"mean.z.1": (12,), "mean.resid_post.2": (8,)},
    "latent": {
        "encoder.3": (5, 8),
        "decoder.3": (5, 8),
        "encoder_bias.3": (5,),
        "threshold.3": (5,),
        "decoder_bias.3": (8,),
    },
}


def of_kind(kind, seed=0, **changed):
    """A file of a kind; `changed` replaces tensors, None leaves one out (`__` for the dots in a name)."""
    generator = torch.Generator().manual_seed(seed)
    if kind in ("subspace", "plane"):
        return vector(seed, rank=3 if kind == "subspace" else 2, kind=kind)
    tensors = {name: torch.randn(*shape, generator=generator) for name, shape in SHAPES[kind].items()}
    tensors |= {name.replace("__", "."): tensor for name, tensor in changed.items()}
    kept = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    base = vector(seed) if kind == "direction" else None
    header = base.header if base else Header(name="warm", kind=kind, model=MODEL, layers={})
    return SteeringVector(header, base.directions if base else {}, kept)

"""Steering by plain forward hooks on plain transformers: the second implementation of what the engine does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import groupby

import torch
from transformers import PreTrainedModel

from symposia.core.intervention import (
    Ablate,
    Add,
    Angle,
    Cap,
    Heads,
    Intervention,
    Latent,
    Replace,
    Scale,
    Set,
    Slerp,
    Swap,
)
from symposia.core.positions import members
from symposia.core.resolve import resolve
from symposia.engine import Engine
from symposia.interp.vector import FittedOn, Header, LayerNotes, SteeringVector
from tests.reference.families import exact


def random_vector(
    engine: Engine,
    seed: int,
    layers: Sequence[int] = (0, 1, 2, 3),
    rank: int = 1,
    *,
    site: str = "resid_post",
    **told: object,
) -> SteeringVector:
    """Random directions as wide as the site, known to the engine's library; `told` are more fields of the header."""
    shape, width = engine.shape, engine.site_map.width_at(site, 0)
    generator = torch.Generator().manual_seed(seed)
    directions = {}
    for layer in layers:
        rows = torch.linalg.qr(torch.randn(width, rank, generator=generator).double()).Q.T.float()
        directions[layer] = rows[0] if rank == 1 else rows
    fitted = FittedOn(name=shape.name, digest=shape.digest, type=shape.type, layers=shape.layers, width=width)
    notes = {str(layer): LayerNotes(fitted_norm=3.0 + layer, reference_norm=10.0 + layer) for layer in layers}
    header = Header(
        **{
            "name": f"random {seed}",
            "kind": "direction" if rank == 1 else "subspace",
            "model": fitted,
            "layers": notes,
            "seed": seed,
            **told,
        }
    )
    vector = SteeringVector(header, directions)
    engine.library.add(vector)
    return vector


def selected(engine: Engine, done, edit, reader: str = "alice", turn: int = 1) -> list[int]:
    """Positions by the definition, on the finished sequence."""
    ids = [*done.prompt_token_ids, *done.token_ids]
    return members(resolve(edit.where, done.spans, ids, reader, turn, specials=engine._model.specials))


def edited(
    h: torch.Tensor,
    edit: Intervention,
    vector: SteeringVector,
    layer: int,
    position: int,
    m: float = 1.0,
    other: SteeringVector | torch.Tensor | None = None,
) -> torch.Tensor:
    """One operation on a row `[D]` at strength m, straight from the table of the specification.

    `other` is the target of a `swap`, the means of `heads`, or the source rows of a `replace` by position.
    """
    after = _turned(h, edit, vector, layer, m) if isinstance(edit, Angle) else None
    if after is None:
        after = h + m * (_operated(h, edit, vector, layer, position, other) - h)
    grown = after.norm() > h.norm()
    if edit.norm == "keep" or (edit.norm == "no_growth" and grown):
        after = after * h.norm() / after.norm()
    return after


def unit_rows(vector: SteeringVector, layer: int) -> torch.Tensor:
    """The file's rows, orthonormal to fp64, by QR."""
    rows = vector.directions[layer].reshape(-1, vector.directions[layer].shape[-1]).double()
    q, r = torch.linalg.qr(rows.T)
    return (q * r.diagonal().sign()).T


def _turned(h, edit, vector, layer, m):
    plane = unit_rows(vector, layer).to(h.dtype)
    theta = math.radians(edit.degrees) * m
    projected = (h @ plane.T) @ plane
    return h - projected + projected.norm() * (math.cos(theta) * plane[0] + math.sin(theta) * plane[1])


def _operated(h, edit, vector, layer, position, other):
    source = layer if edit.direction_from is None else edit.direction_from
    if isinstance(edit, Replace):
        pairs = {to: start for start, to in edit.pairs}
        row = other[pairs[position]].flatten().to(h.dtype)
        if not edit.heads:
            return row
        by_head, own = h.clone().view(other.shape[1], -1), row.view(other.shape[1], -1)
        by_head[list(edit.heads)] = own[list(edit.heads)]
        return by_head.view(-1)
    if isinstance(edit, Heads):
        return _headed(h, edit, layer, other)
    if isinstance(edit, Latent):
        return _latent(h, edit, vector, layer)
    return _moved(h, edit, vector, layer, source, other)


def _moved(h, edit, vector, layer, source, other):
    direction = unit_rows(vector, source).to(h.dtype)
    direction = direction if len(direction) > 1 else direction[0]
    notes, own = vector.notes(source), vector.notes(layer)
    units = {
        "fitted": notes.fitted_norm,
        "absolute": 1.0,
        "relative": h.norm(),
        "reference": own.reference_norm,
    }
    s = h @ direction.reshape(-1, h.shape[-1])[0]
    match edit:
        case Add():
            weight = edit.weights[edit.layers.index(layer)] if edit.weights else 1.0
            if edit.unit == "calibrated":
                known = vector.header.calibration
                units["calibrated"] = own.reference_norm * (known.plus if edit.scale >= 0 else known.minus)
            return h + edit.scale * weight * units[edit.unit] * direction
        case Ablate():
            basis = torch.linalg.qr(direction.reshape(-1, h.shape[-1]).double().T).Q.T.to(h.dtype)
            return h - edit.strength * (h @ basis.T) @ basis
        case Set():
            return h + (edit.value * units[edit.unit] - s) * direction
        case Cap():
            low = -math.inf if edit.low is None else edit.low * units[edit.unit]
            high = math.inf if edit.high is None else edit.high * units[edit.unit]
            return h + (s.clamp(low, high) - s) * direction
        case Scale():
            return h + (edit.factor - 1.0) * s * direction
        case Swap():
            c = notes.fitted_norm * direction
            t = other.notes(source).fitted_norm * unit_rows(other, source)[0].to(h.dtype)
            return h + (h @ c) / c.norm() ** 2 * (t - c)
        case Slerp() if h.norm() == 0:
            return h
        case Slerp():
            omega = torch.acos(s / h.norm())
            turned = torch.sin((1 - edit.fraction) * omega) * h / h.norm()
            turned = turned + torch.sin(edit.fraction * omega) * direction
            return h.norm() * turned / torch.sin(omega)
    raise AssertionError(edit)


def _headed(h, edit, layer, means):
    by_head = h.clone().view(4, -1)
    wanted = (
        torch.zeros_like(by_head) if means is None else means.tensors[f"mean.z.{layer}"].to(h).view(4, -1)
    )
    by_head[list(edit.heads)] = wanted[list(edit.heads)]
    return by_head.view(-1)


def _latent(h, edit, sae, layer):
    encoder, bias, decoder = (
        sae.tensors[f"{n}.{layer}"].to(h) for n in ("encoder", "encoder_bias", "decoder")
    )
    before = encoder[edit.index] @ h + bias[edit.index]
    threshold = sae.tensors.get(f"threshold.{layer}", torch.zeros(len(bias)))[edit.index]
    f = before if before > threshold else torch.zeros_like(before)
    wanted = {"clamp": edit.target, "add": f + edit.target, "scale": f * edit.target}[edit.mode]
    return h + (wanted - f) * decoder[edit.index]


def _summed(edit: Intervention) -> bool:
    return isinstance(edit, Add) and edit.norm == "free" and edit.schedule is None


@contextmanager
def _rerouted(mlp, write):
    """Routing, where there is any: softmax in fp32, the best of it, of sum 1 where the family says so."""
    gate = getattr(mlp, "gate", None)

    def routed(hidden):
        logits = write(torch.nn.functional.linear(hidden, gate.weight)[None])[0]
        best = logits.float().softmax(dim=-1).sort(dim=-1, descending=True)
        weights, ids = best.values[:, : gate.top_k], best.indices[:, : gate.top_k]
        if getattr(gate, "norm_topk_prob", True):
            weights = weights / weights.sum(dim=-1, keepdim=True)
        return logits, weights, ids

    if gate is None:
        yield
        return
    gate.forward = routed
    try:
        yield
    finally:
        del gate.forward


@torch.no_grad()
def hooked(model: PreTrainedModel, ids: list[int], edits) -> tuple[torch.Tensor, dict[int, torch.Tensor]]:
    """Logits `[n, V]` and residuals after each block `[n, D]`, with `edits` = [(edit, vector, positions)] applied.

    Sites: `resid_pre`, `z`, `router`, `resid_post`. A fourth item is what `edited` calls `other`; positions may be a
    mapping to the multiplier of each.
    """
    blocks = model.model.layers
    after: dict[int, torch.Tensor] = {}

    def write(h: torch.Tensor, site: str, layer: int) -> torch.Tensor:
        h = h.clone()
        for p in range(len(ids)):
            here = [
                (edit, vector, positions[p] if isinstance(positions, dict) else 1.0, *rest)
                for edit, vector, positions, *rest in edits
                if edit.site == site and layer in (edit.layers or vector.layers) and p in positions
            ]
            for adds, group in groupby(here, key=lambda step: _summed(step[0])):
                row, steps = h[0, p], list(group)
                done = [edited(row, edit, vector, layer, p, m, *rest) for edit, vector, m, *rest in steps]
                if adds:  # adjacent adds are summed, then added once
                    h[0, p] = row + sum(each - row for each in done)
                else:
                    for edit, vector, m, *rest in steps:
                        h[0, p] = edited(h[0, p], edit, vector, layer, p, m, *rest)
        return h

    def first(output):
        return output if isinstance(output, torch.Tensor) else output[0]

    with ExitStack() as stack:
        for layer, block in enumerate(blocks):

            def before(_, args, layer=layer):
                return (write(args[0], "resid_pre", layer), *args[1:])

            def inside(_, args, layer=layer):
                return (write(args[0], "z", layer),)

            stack.callback(block.self_attn.o_proj.register_forward_pre_hook(inside).remove)

            stack.enter_context(_rerouted(block.mlp, partial(write, site="router", layer=layer)))

            def behind(_, __, output, layer=layer):
                after[layer] = write(first(output), "resid_post", layer)
                return after[layer] if isinstance(output, torch.Tensor) else (after[layer], *output[1:])

            for handle in (block.register_forward_pre_hook(before), block.register_forward_hook(behind)):
                stack.callback(handle.remove)
        stack.enter_context(exact(model))
        mask = torch.ones(1, len(ids))
        logits = model(input_ids=torch.tensor([ids]), attention_mask=mask, use_cache=False).logits[0]
    return logits, {layer: h[0] for layer, h in after.items()}


def random_tensors(
    engine: Engine, kind: str, seed: int, shapes: dict[str, tuple[int, ...]]
) -> SteeringVector:
    """A file of another kind, random tensors of these shapes, known to the engine's library."""
    shape = engine.shape
    generator = torch.Generator().manual_seed(seed)
    fitted = FittedOn(
        name=shape.name, digest=shape.digest, type=shape.type, layers=shape.layers, width=shape.width
    )
    header = Header(name=f"{kind} {seed}", kind=kind, model=fitted, layers={}, seed=seed)
    tensors = {name: 0.3 * torch.randn(*sizes, generator=generator) for name, sizes in shapes.items()}
    vector = SteeringVector(header, {}, tensors)
    engine.library.add(vector)
    return vector

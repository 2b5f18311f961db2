"""Steering by plain forward hooks on plain transformers: the second implementation of what the engine does."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from itertools import groupby

import torch
from transformers import PreTrainedModel

from symposia.core.intervention import Ablate, Add, Intervention
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
) -> SteeringVector:
    """Random directions as wide as the site, known to the engine's library."""
    shape, width = engine.shape, engine.site_map.width_at(site, 0)
    generator = torch.Generator().manual_seed(seed)
    directions = {}
    for layer in layers:
        rows = torch.linalg.qr(torch.randn(width, rank, generator=generator).double()).Q.T.float()
        directions[layer] = rows[0] if rank == 1 else rows
    fitted = FittedOn(name=shape.name, digest=shape.digest, type=shape.type, layers=shape.layers, width=width)
    notes = {str(layer): LayerNotes(fitted_norm=3.0 + layer, reference_norm=10.0 + layer) for layer in layers}
    header = Header(
        name=f"random {seed}",
        kind="direction" if rank == 1 else "subspace",
        model=fitted,
        layers=notes,
        seed=seed,
    )
    vector = SteeringVector(header, directions)
    engine.library.add(vector)
    return vector


def selected(engine: Engine, done, edit, reader: str = "alice", turn: int = 1) -> list[int]:
    """Positions by the definition, on the finished sequence."""
    ids = [*done.prompt_token_ids, *done.token_ids]
    return members(resolve(edit.where, done.spans, ids, reader, turn, specials=engine._model.specials))


def edited(h: torch.Tensor, edit: Intervention, vector: SteeringVector, layer: int) -> torch.Tensor:
    """One operation on rows `[N, D]`, straight from the table of the specification."""
    source = layer if edit.direction_from is None else edit.direction_from
    direction = vector.directions[source].to(h.dtype)
    notes = vector.notes(source)
    match edit:
        case Add():
            unit = {
                "fitted": notes.fitted_norm,
                "absolute": 1.0,
                "relative": h.norm(dim=-1, keepdim=True),
                "reference": vector.notes(layer).reference_norm,
            }[edit.unit]
            weight = edit.weights[edit.layers.index(layer)] if edit.weights else 1.0
            return h + edit.scale * weight * unit * direction
        case Ablate():
            basis = torch.linalg.qr(direction.reshape(-1, h.shape[-1]).double().T).Q.T.to(h.dtype)
            return h - edit.strength * (h @ basis.T) @ basis
    raise AssertionError(edit)


@torch.no_grad()
def hooked(model: PreTrainedModel, ids: list[int], edits) -> tuple[torch.Tensor, dict[int, torch.Tensor]]:
    """Logits `[n, V]` and residuals after each block `[n, D]`, with `edits` = [(edit, vector, positions)] applied.

    Sites: `resid_pre`, `z`, `resid_post`.
    """
    blocks = model.model.layers
    after: dict[int, torch.Tensor] = {}

    def write(h: torch.Tensor, site: str, layer: int) -> torch.Tensor:
        h = h.clone()
        for p in range(len(ids)):
            here = [
                (edit, vector)
                for edit, vector, positions in edits
                if edit.site == site and layer in (edit.layers or vector.layers) and p in positions
            ]
            for adds, group in groupby(here, key=lambda pair: isinstance(pair[0], Add)):
                row, steps = h[0, p], list(group)
                if adds:  # adjacent adds are summed, then added once
                    h[0, p] = row + sum(edited(row, edit, vector, layer) - row for edit, vector in steps)
                else:
                    for edit, vector in steps:
                        h[0, p] = edited(h[0, p], edit, vector, layer)
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

            def behind(_, __, output, layer=layer):
                after[layer] = write(first(output), "resid_post", layer)
                return after[layer] if isinstance(output, torch.Tensor) else (after[layer], *output[1:])

            for handle in (block.register_forward_pre_hook(before), block.register_forward_hook(behind)):
                stack.callback(handle.remove)
        stack.enter_context(exact(model))
        mask = torch.ones(1, len(ids))
        logits = model(input_ids=torch.tensor([ids]), attention_mask=mask, use_cache=False).logits[0]
    return logits, {layer: h[0] for layer, h in after.items()}

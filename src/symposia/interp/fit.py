"""From contrast pairs to a vector file: each side is a read (`max_tokens=0`), its captures come from that very forward.

Axes: P pairs, N read positions of one side, D residual width.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import torch
from torch import Tensor

from symposia.core.capture import Capture
from symposia.core.errors import InvalidInput
from symposia.core.lines import Line
from symposia.core.positions import answer_end
from symposia.core.profile import Sampling
from symposia.core.request import Backend, Completion, Request

from .acts.store import ActivationStore
from .contrast import READER, ContrastPair, check_pairs, data_of
from .diagnose import diagnosis, examine
from .fitted import SINK, Fitted, check_per, header_of
from .groups import Groups, fit_groups
from .methods import Caa, DiffMean, Lat, Logistic, Method, Pairs, Pca, probe, probe_tensors
from .sides import Sides, examine_sides
from .taps import WhiteBox
from .vector import LayerNotes, Reading, SteeringVector

_AT_ONCE = 32


@dataclass(frozen=True)
class _Side:
    """One side's pooled row `[D]`, mean norm and number of positions, by layer."""

    pooled: dict[int, Tensor]
    norm: dict[int, float]
    tokens: dict[int, int]


async def fit(
    source: Sequence[ContrastPair] | Groups,
    method: Method = DiffMean(),
    *,
    store: ActivationStore,
    backend: Backend | None = None,
    inside: WhiteBox | None = None,
    read: Reading | None = None,
    name: str = "direction",
) -> Fitted:
    """A direction at every layer read, of unit length, signed so that positive projects higher.

    From pairs, by default the answer is read, or its end where the method was made for it (`Caa`, `Pca`, `Lat`); they
    need `backend` and `inside`. The same pairs give the same file, whatever else the engine is doing: they are read
    deterministically; rows do not stay in the store. From `Groups`, what the store holds is read, and nothing is run
    (`fit_groups`). With `Reading.per="token"` a sample counts by its tokens. `Logistic` also stores its probe. Raises
    `InvalidInput` for fewer than 8 pairs, repeated ids, a pair of identical texts, or a direction of length zero.
    """
    if isinstance(source, Groups):
        return fit_groups(source, method, store=store, read=read, name=name)
    if backend is None or inside is None:
        raise InvalidInput("contrast pairs are read by a model: give backend= and inside=")
    if read is None:
        read = Reading(where=answer_end()) if isinstance(method, Caa | Pca | Lat) else Reading()
    by_token = check_per(read, method, paired=read.per == "sample")
    if read.where is None:
        raise InvalidInput("Reading.where: expected the positions to read; got None")
    checked = check_pairs(tuple(source))
    shape = inside.shape
    layers = read.layers or tuple(range(shape.layers))
    reader = _Reader(backend, store, read, layers, shape.name)
    sides = await reader.all([lines for one in checked for lines in (one.positive, one.negative)])
    weight_P = torch.tensor([one.weight for one in checked], dtype=torch.float64)
    directions: dict[int, Tensor] = {}
    notes: dict[int, LayerNotes] = {}
    probes: dict[str, Tensor] = {}
    for layer in layers:
        norm = sum(side.norm[layer] for side in sides) / len(sides)
        look = _by_token if by_token else _by_pair
        directions[layer], notes[layer] = look(method, sides, layer, weight_P, norm)
        if not notes[layer].fitted_norm:
            raise InvalidInput(
                f"layer {layer}: both sides have the same mean; is the trait in the positions read?"
            )
        if isinstance(method, Logistic):
            probes |= _probed(method, sides, layer, weight_P)
    found = diagnosis(notes, len(checked))
    header = header_of(
        shape, read, method, notes=notes, width=len(directions[layers[0]]), data=data_of(checked), name=name
    )
    header = msgspec.structs.replace(header, warnings=found.warnings)
    return Fitted(SteeringVector(header, directions, probes), found)


def _by_pair(
    method: Method, sides: Sequence[_Side], layer: int, weight_P: Tensor, norm: float
) -> tuple[Tensor, LayerNotes]:
    plus_PD, minus_PD = (
        torch.stack([side.pooled[layer] for side in part]) for part in (sides[::2], sides[1::2])
    )
    return examine(method, Pairs(plus_PD, minus_PD, weight_P), reference_norm=norm, seed=0)


def _probed(method: Logistic, sides: Sequence[_Side], layer: int, weight_P: Tensor) -> dict[str, Tensor]:
    rows_ND = torch.stack([side.pooled[layer] for side in sides])
    side_N = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(len(weight_P))
    return probe_tensors(layer, *probe(method, rows_ND, side_N, weight_P.repeat_interleave(2)))


def _by_token(
    method: Method, sides: Sequence[_Side], layer: int, weight_P: Tensor, norm: float
) -> tuple[Tensor, LayerNotes]:
    """Sides of pairs may be of unequal length: they count on their own, and are held out together."""
    tokens_N = torch.tensor([side.tokens[layer] for side in sides], dtype=torch.float64)
    weighed = Sides(
        rows_ND=torch.stack([side.pooled[layer] for side in sides]),
        side_N=torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(len(weight_P)),
        weight_N=tokens_N * weight_P.repeat_interleave(2),
        group_N=torch.arange(len(weight_P)).repeat_interleave(2),
    )
    return examine_sides(method, weighed, reference_norm=norm, seed=0)


class _Reader:
    """Reads conversations through requests, a bounded number at a time."""

    def __init__(
        self, backend: Backend, store: ActivationStore, read: Reading, layers: tuple[int, ...], model: str
    ) -> None:
        self._backend, self._store, self._read, self._layers, self._model = (
            backend,
            store,
            read,
            layers,
            model,
        )
        self._gate = asyncio.Semaphore(_AT_ONCE)

    async def all(self, conversations: Sequence[tuple[Line, ...]]) -> list[_Side]:
        """One side per conversation, in order."""
        return list(await asyncio.gather(*map(self._one, conversations)))

    async def _one(self, lines: tuple[Line, ...]) -> _Side:
        assert self._read.where is not None
        capture = Capture(site=self._read.site, layers=self._layers, where=self._read.where, dtype="float32")
        request = Request(
            model=self._model,
            lines=lines,
            speaker=READER,
            turn=len(lines),
            sampling=Sampling(max_tokens=0, deterministic=True),
            captures=(capture,),
        )
        async with self._gate:
            done = [item async for item in self._backend.generate(request) if isinstance(item, Completion)]
        refs = done[0].activations
        rows = {ref.layer: self._store.at(ref).double().flatten(1) for ref in refs if ref.layer is not None}
        self._store.drop(refs)
        if not rows:
            raise InvalidInput(
                f"no position to read in {lines[-1].text[:60]!r}; expected assistant text, or another `where`"
            )
        kept = {layer: self._without_sinks(rows_ND) for layer, rows_ND in rows.items()}
        return _Side(
            {layer: self._pool(rows_ND) for layer, rows_ND in kept.items()},
            {layer: float(rows_ND.norm(dim=1).mean()) for layer, rows_ND in kept.items()},
            {layer: len(rows_ND) for layer, rows_ND in kept.items()},
        )

    def _without_sinks(self, rows_ND: Tensor) -> Tensor:
        norm_N = rows_ND.norm(dim=1)
        return rows_ND[norm_N <= SINK * norm_N.median()] if self._read.drop_sinks else rows_ND

    def _pool(self, rows_ND: Tensor) -> Tensor:
        match self._read.pool:
            case "mean":
                return rows_ND.mean(dim=0)
            case "last":
                return rows_ND[-1]
            case "max":
                return rows_ND.amax(dim=0)

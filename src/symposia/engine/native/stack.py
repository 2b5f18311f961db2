"""All layers of a model as one call into the kernels, the sites of a step within it.

Axes: T tokens of the flat batch, D residual width, K key heads, d head size, r rotary width.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from symposia.core.capture import Site
from symposia.engine.runner import Batch
from symposia.interp.apply import StepWork
from symposia.interp.plan import Point

from .binding import Kernels, LayerC, ModelC, PackedLinear, StepC, WritingC
from .taps import STAGE, STAGES, Reached, Taps
from .writer import writing_of

_ELSEWHERE = ("final", "logits", "router")

Thinking = Callable[[Tensor, StepWork], Tensor]


@dataclass(frozen=True, kw_only=True)
class LayerSpec:
    """One layer: packed linear layers, norm weights in fp32 (None where a family has none), tables, K/V, its view.

    `mlp` are gate and up as one, and down; or what makes the layer's term of the residual before it, `[T, D]` each,
    and takes it past the site `router`.
    """

    qkv: PackedLinear
    project: PackedLinear
    mlp: tuple[PackedLinear, PackedLinear] | Thinking
    norms: dict[str, Tensor | None]
    cos_Pr: Tensor
    sin_Pr: Tensor
    keys: Tensor
    values: Tensor
    scale: float
    softcap: float | None
    window: int | None


@dataclass(frozen=True, kw_only=True)
class StackSpec:
    """What all layers share."""

    width: int
    heads: int
    kv_heads: int
    size: int
    block: int
    eps: float
    whole_qk: bool
    tanh_gelu: bool
    dtype: torch.dtype


class NativeStack:
    """The layers of one model. Not safe to call from two threads at once."""

    def __init__(self, native: Kernels, spec: StackSpec, layers: Sequence[LayerSpec]) -> None:
        self.kernels = native
        self._library, self._spec = native.library, spec
        self._kept = tuple(layers)  # the structures hold addresses only
        self._layers = (LayerC * len(layers))(*map(_layer, layers))
        self._model = ModelC(
            width=spec.width,
            heads=spec.heads,
            kv_heads=spec.kv_heads,
            size=spec.size,
            rotary=layers[0].cos_Pr.shape[1],
            block=spec.block,
            half=spec.dtype == torch.bfloat16,
            whole_qk=spec.whole_qk,
            tanh_gelu=spec.tanh_gelu,
            eps=spec.eps,
            mlp=max((each.mlp[0].struct.out for each in layers if isinstance(each.mlp, tuple)), default=0),
        )
        self._thinking = {i: each.mlp for i, each in enumerate(layers) if not isinstance(each.mlp, tuple)}
        self._room = torch.empty(0)
        self._taps: Taps | None = None

    def takes(self, points: Iterable[Point]) -> bool:
        """Whether every site lies between stages."""
        return all(site in STAGE or site in _ELSEWHERE for site, _ in points)

    def run(self, hidden_TD: Tensor, batch: Batch, work: StepWork) -> Tensor:
        """What leaves the last block; `hidden_TD` may be overwritten. K/V of all tokens are written."""
        spec = self._spec
        at = _Places(
            hidden_TD.contiguous(),
            hidden_TD.new_empty(len(hidden_TD), spec.heads * spec.size),
            torch.empty_like(hidden_TD),
        )
        step, held = _step(batch)
        self._model.threads = torch.get_num_threads()
        need = self._library.scratch(self._model, step)
        if len(self._room) < need:
            self._room = torch.empty(need)
        taps = self._taps_of(work)
        loose = taps.aim(work.layout, at.all)
        gates_TG = work.gates(len(hidden_TD)) if taps.count else None
        writing = writing_of(work.kit.bank, work.kit.ledger, gates_TG) if taps.count else None
        begin = Reached(0, 0)
        for each in taps.breaks:
            self._advance(step, (begin, each.reached), at, taps, writing)
            begin = each.reached
            if each.site is None:
                at.term_TD = self._thinking[each.layer](at.hidden_TD, work).contiguous()
                begin = Reached(begin.stage + 1, begin.taps)
            else:
                at.visit(each.site, each.layer, work)
        self._advance(step, (begin, Reached(STAGES * len(self._layers), taps.count)), at, taps, writing)
        for group, layer, rows_NX in loose:
            group.put(layer, rows_NX)
        work.done(taps.points)
        del held
        return at.hidden_TD

    def _taps_of(self, work: StepWork) -> Taps:
        if self._taps is None or not self._taps.fit(work):
            widths = (self._spec.width, self._spec.heads * self._spec.size, self._spec.width)
            self._taps = Taps(work, widths, self._thinking)
        return self._taps

    def _advance(
        self,
        step: StepC,
        between: tuple[Reached, Reached],
        at: _Places,
        taps: Taps,
        writing: WritingC | None,
    ) -> None:
        first, last = between
        if first < last:
            self._library.run(
                *(self._model, self._layers, step, first.stage, last.stage),
                *(at.hidden_TD.data_ptr(), at.z_TX.data_ptr(), at.term_TD.data_ptr(), self._room.data_ptr()),
                *(taps.address(first.taps), last.taps - first.taps, writing),
            )


@dataclass
class _Places:
    """What lies between stages: the residual, what all heads found side by side, and the newest term."""

    hidden_TD: Tensor
    z_TX: Tensor
    term_TD: Tensor

    @property
    def all(self) -> tuple[Tensor, Tensor, Tensor]:
        """In the order of `taps.PLACE`."""
        return self.hidden_TD, self.z_TX, self.term_TD

    def visit(self, site: Site, layer: int, work: StepWork) -> None:
        """Take what stands at a site past it."""
        match site:
            case "z":
                self.z_TX = work.visit((site, layer), self.z_TX, owned=True).contiguous()
            case "attn_out" | "mlp_out":
                self.term_TD = work.visit((site, layer), self.term_TD, owned=True).contiguous()
            case _:
                self.hidden_TD = work.visit((site, layer), self.hidden_TD, owned=True).contiguous()


def _step(batch: Batch) -> tuple[StepC, tuple[array[int], ...]]:
    """The batch as the kernels read it, and the arrays that it points into."""
    positions, bounds, blocks = array("q", batch.positions), array("q"), array("q")
    for row in batch.rows:
        bounds.extend((row.offset, row.start, row.stop, len(blocks)))
        blocks.extend(row.blocks)
    held = (positions, bounds, blocks)
    at = (each.buffer_info()[0] for each in held)
    longest = max((row.stop for row in batch.rows), default=0)
    return StepC(len(positions), len(batch.rows), longest, *at), held


def _layer(spec: LayerSpec) -> LayerC:
    made = LayerC(
        scale=spec.scale,
        softcap=spec.softcap or 0.0,
        window=spec.window or 0,
        cos=_address(spec.cos_Pr),
        sin=_address(spec.sin_Pr),
        keys=_address(spec.keys),
        values=_address(spec.values),
        **{name: _address(weight) for name, weight in spec.norms.items()},
    )
    linears = {"qkv": spec.qkv, "project": spec.project}
    if isinstance(spec.mlp, tuple):
        linears["gate_up"], linears["down"] = spec.mlp
    for name, packed in linears.items():
        setattr(made, name, packed.struct)
    return made


def _address(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()

"""Our own forward for the common decoder families: one forward that reads a family's description, taps inline.

Axes: T tokens of the flat batch, D residual width, H query heads, K key heads, d head size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from symposia.core.errors import ArchitectureNotUnderstood
from symposia.engine.blocks import Copy
from symposia.engine.native.binding import DTYPES, Kernels, PackedLinear
from symposia.engine.native.stack import LayerSpec, NativeStack, StackSpec
from symposia.engine.native.writer import NativeWriter
from symposia.engine.options import Attention
from symposia.engine.projections import Packer
from symposia.engine.replay.recorder import Recorder
from symposia.interp.apply import StepWork
from symposia.interp.bank import Bank, Ledger
from symposia.interp.write import Writer

from . import Batch
from .attention import Fixed, KvStore, Step
from .device import Accelerator, writer_of
from .family import FAMILIES
from .hf import is_small, single_threaded
from .inside import Visits, attend_openly
from .lean_blocks import Block, Builder, plain_linear
from .lean_parts import Operator, Rope, joined, norm, norm_scale, rotated
from .mlp import Mixture
from .routing import Routers

if TYPE_CHECKING:  # needs triton
    from symposia.engine.replay.graphs import Graphs, Scope


class LeanRunner:
    """Implements `Runner`. `ArchitectureNotUnderstood` for a family that is not listed.

    With a recorder, decode steps of at most `max_rows` rows are recorded and replayed.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        *,
        window: int,
        blocks: int,
        block_size: int,
        max_rows: int = 1,
        pack: Packer | None = None,
        attention: Attention = "auto",
        accelerator: Accelerator | None = None,
    ) -> None:
        config = model.config.get_text_config()
        if config.model_type not in FAMILIES:
            raise ArchitectureNotUnderstood(
                f"model type {config.model_type!r} has no lean forward: expected one of "
                f"{', '.join(sorted(FAMILIES))}; use runner='hf'"
            )
        family = FAMILIES[config.model_type]
        self._model, self._family = model, family
        self._device = next(model.parameters()).device
        self._store = KvStore(blocks, block_size, eager=attention == "eager")
        self._routers = Routers()
        self._small = is_small(model)
        self._accelerator = accelerator
        self._grid = None if accelerator is None else accelerator.grid
        self._most = (max_rows, min(blocks, -(-window // block_size)))
        self._graphs: Graphs | None = None
        layers = list(model.get_submodule("model.layers").children())
        first: Any = layers[0].self_attn
        self._size: int = first.head_dim
        self._heads, self._kv_heads = config.num_attention_heads, config.num_key_value_heads
        self._embed = model.get_submodule("model.embed_tokens")
        self._rope = Rope(model.get_submodule("model.rotary_emb"), window, next(model.parameters()))
        build = Builder(family, config, pack, self._routers)
        self._blocks = [build.block(layer, i) for i, layer in enumerate(layers)]
        self._norm = norm(
            model.get_submodule("model.norm"), config.rms_norm_eps, unit_offset=family.unit_offset
        )
        head = plain_linear(model, "lm_head")
        self._head = (
            joined([head]) if pack is None else pack([head], spare=False)
        )  # the embedding, or a lens, reads it
        self._softcap: float | None = config.to_dict().get("final_logit_softcapping")
        self._stack: NativeStack | None = None
        if pack is not None and attention == "auto":
            self._stack = self._native_stack(pack.kernels, layers, config)

    @property
    def module(self) -> nn.Module:
        """The transformers model whose weights are read."""
        module: nn.Module = self._model
        return module

    def writer(self, bank: Bank, ledger: Ledger) -> Writer:
        """The kernels where the layers run in them, else what the device has."""
        if self._stack is not None:
            return self._routers.writer(NativeWriter(self._stack.kernels, bank, ledger))
        mixed = any(
            isinstance(block.mlp, Mixture) for block in self._blocks
        )  # their shapes follow the routing
        if self._accelerator is not None and self._accelerator.recorder is not None and not mixed:
            from symposia.engine.replay.graphs import Graphs

            self._graphs = Graphs(self._scope(self._accelerator.recorder), bank, ledger)
        return self._routers.writer(writer_of(self._accelerator, bank, ledger))

    @torch.no_grad()
    def copy(self, copies: Sequence[Copy]) -> None:
        """Copy beginnings of blocks."""
        self._store.copy(copies)

    @torch.no_grad()
    def forward(self, batch: Batch, work: StepWork) -> Tensor:
        """`logits_BV` of the wanted tokens."""
        with single_threaded(self._small):
            if self._stack is not None and not batch.openly and self._stack.takes(work.points):
                hidden_TD = self._embed(torch.tensor(batch.token_ids))
                return self._logits(batch, work, self._stack.run(hidden_TD, batch, work))
            if self._graphs is not None:
                replayed_BV = self._graphs.run(batch, work)
                if replayed_BV is not None:
                    return replayed_BV
            ids_2T = torch.tensor([batch.token_ids, batch.positions], device=self._device)
            step = Step(batch, self._store, self._device, grid=self._grid)
            return self._logits(batch, work, self._through(ids_2T[0], ids_2T[1], step, work))

    def _through(self, ids_T: Tensor, positions_T: Tensor, step: Step | Fixed, work: Visits) -> Tensor:
        """What leaves the last block."""
        ropes = {kind: self._rope.at(kind, positions_T) for kind in {b.rope for b in self._blocks}}
        hidden_TD: Tensor = self._embed(ids_T)
        for layer, block in enumerate(self._blocks):
            hidden_TD = work.visit(("resid_pre", layer), hidden_TD)
            z_TX = self._attention(layer, hidden_TD, step, work, ropes[block.rope])
            term_TD = _term(block, work.visit(("z", layer), z_TX))
            hidden_TD = hidden_TD + work.visit(("attn_out", layer), term_TD)
            hidden_TD = work.visit(("resid_mid", layer), hidden_TD)
            term_TD = work.visit(("mlp_out", layer), _thought(block, hidden_TD, work))
            hidden_TD = work.visit(("resid_post", layer), hidden_TD + term_TD)
        return hidden_TD

    def _scope(self, recorder: Recorder) -> Scope:
        from symposia.engine.replay.graphs import Scope

        assert self._grid is not None
        rows, blocks = self._most
        like_1D: Tensor = self._embed(torch.zeros(1, dtype=torch.long, device=self._device))

        def forward(ids_T: Tensor, positions_T: Tensor, step: Fixed, taps: Visits) -> Tensor:
            return self._unembed(self._norm(self._through(ids_T, positions_T, step, taps)))

        return Scope(
            forward=forward,
            store=self._store,
            grid=self._grid,
            recorder=recorder,
            like_1D=like_1D.detach(),
            layers=len(self._blocks),
            rows=rows,
            blocks=blocks,
        )

    def _native_stack(self, native: Kernels, layers: list[nn.Module], config: Any) -> NativeStack | None:
        """The layers as one native call; None for what the kernels have not: another dtype, device or gate."""
        weight: Tensor = next(self._model.parameters())
        gates = {block.mlp.gate for block in self._blocks}
        if self._device.type != "cpu" or weight.dtype not in DTYPES or len(gates) > 1 or "other" in gates:
            return None
        spec = StackSpec(
            width=config.hidden_size,
            heads=self._heads,
            kv_heads=self._kv_heads,
            size=self._size,
            block=self._store.size,
            eps=config.rms_norm_eps,
            whole_qk=self._family.qk_norm == "whole",
            tanh_gelu=gates == {"tanh_gelu"},
            dtype=weight.dtype,
        )
        return NativeStack(native, spec, [self._layer_spec(i, layer) for i, layer in enumerate(layers)])

    def _layer_spec(self, index: int, layer: nn.Module) -> LayerSpec:
        block, family = self._blocks[index], self._family
        qkv, project = _packed(block.qkv, block.out)
        like_1Kd = next(self._model.parameters()).new_empty(1, self._kv_heads, self._size)
        keys, values = self._store.layer(index, like_1Kd, like_1Kd)
        cos_Pr, sin_Pr = self._rope.table(block.rope)
        qk = family.qk_norm != "none"
        paths = {
            "pre_attention": family.pre_attention,
            "post_attention": family.post_attention,
            "pre_mlp": family.pre_mlp,
            "post_mlp": family.post_mlp,
            "q_norm": "self_attn.q_norm" if qk else None,
            "k_norm": "self_attn.k_norm" if qk else None,
        }
        return LayerSpec(
            qkv=qkv,
            project=project,
            mlp=partial(_thought, block)
            if isinstance(block.mlp, Mixture)
            else _packed(block.mlp.gate_up, block.mlp.down),
            norms={
                name: None
                if path is None
                else norm_scale(layer.get_submodule(path), unit_offset=family.unit_offset)
                for name, path in paths.items()
            },
            cos_Pr=cos_Pr.float().contiguous(),
            sin_Pr=sin_Pr.float().contiguous(),
            keys=keys,
            values=values,
            scale=block.view.scale,
            softcap=block.view.softcap,
            window=block.view.window,
        )

    def _attention(
        self, layer: int, hidden_TD: Tensor, step: Step | Fixed, work: Visits, rope: tuple[Tensor, Tensor]
    ) -> Tensor:
        """What all heads found, side by side."""
        block, heads, kv_heads, size = self._blocks[layer], self._heads, self._kv_heads, self._size
        x_TD = hidden_TD if block.pre_attention is None else block.pre_attention(hidden_TD)
        qkv_TX = block.qkv(x_TD)
        tokens = len(qkv_TX)
        if block.q_norm is None or block.k_norm is None:
            turned_THd = rotated(qkv_TX.view(tokens, -1, size)[:, : heads + kv_heads], *rope)
        else:
            q_TX, k_TX = qkv_TX[:, : heads * size], qkv_TX[:, heads * size : (heads + kv_heads) * size]
            by_head = self._family.qk_norm == "head"
            split = (tokens, -1, size) if by_head else (tokens, -1)
            q_THd = block.q_norm(q_TX.reshape(split)).view(tokens, heads, size)
            k_TKd = block.k_norm(k_TX.reshape(split)).view(tokens, kv_heads, size)
            turned_THd = rotated(torch.cat([q_THd, k_TKd], dim=1), *rope)
        value_TKd = qkv_TX.view(tokens, -1, size)[:, heads + kv_heads :]
        qkv = (turned_THd[:, :heads], turned_THd[:, heads:], value_TKd)
        return attend_openly(step, work, layer, qkv, block.view).view(tokens, -1)

    def _logits(self, batch: Batch, work: StepWork, hidden_TD: Tensor) -> Tensor:
        keep = sorted({*batch.wanted, *work.logit_tokens})
        if ("final", None) in work.points:
            final_ND = work.visit(("final", None), self._norm(hidden_TD))[keep]
        else:
            final_ND = self._norm(hidden_TD[keep])
        logits_NV = self._unembed(final_ND)
        work.visit_logits(keep, logits_NV)
        if keep == batch.wanted:
            return logits_NV
        row_of = {token: row for row, token in enumerate(keep)}
        return logits_NV[[row_of[token] for token in batch.wanted]]

    def _unembed(self, final_ND: Tensor) -> Tensor:
        logits_NV = self._head(final_ND)
        return logits_NV if self._softcap is None else (logits_NV / self._softcap).tanh() * self._softcap


def _packed(*operators: Operator) -> tuple[PackedLinear, PackedLinear]:
    first, second = (each for each in operators if isinstance(each, PackedLinear))
    return first, second


def _term(block: Block, z_TX: Tensor) -> Tensor:
    """The term that attention adds to the residual."""
    term_TD = block.out(z_TX)
    return term_TD if block.post_attention is None else block.post_attention(term_TD)


def _thought(block: Block, hidden_TD: Tensor, work: Visits) -> Tensor:
    """The term that the MLP adds to the residual."""
    x_TD = hidden_TD if block.pre_mlp is None else block.pre_mlp(hidden_TD)
    term_TD = block.mlp.term(x_TD, work) if isinstance(block.mlp, Mixture) else block.mlp.term(x_TD)
    return term_TD if block.post_mlp is None else block.post_mlp(term_TD)

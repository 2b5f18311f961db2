"""Any causal language model of transformers with standard attention: its own modules, our attention and K/V store.

Taps are forward hooks that live for one forward. Between forwards the module is as it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from transformers import AttentionInterface, PreTrainedModel

from symposia.engine.blocks import Copy
from symposia.engine.options import Attention
from symposia.interp.anatomy import Parts
from symposia.interp.apply import StepWork
from symposia.interp.bank import Bank, Ledger
from symposia.interp.plan import Point
from symposia.interp.taps import WITHIN
from symposia.interp.write import Writer

from . import Batch
from .attention import KvStore, Step
from .device import Accelerator, writer_of
from .inside import KEYWORD, NAME, WORK, paged_attention
from .routing import Routed, Routers

_SMALL = 50_000_000  # parameters


class HfRunner:
    """Implements `Runner` over a loaded `PreTrainedModel`."""

    def __init__(
        self,
        model: PreTrainedModel,
        parts: Parts | None,
        *,
        blocks: int,
        block_size: int,
        attention: Attention = "auto",
        accelerator: Accelerator | None = None,
    ) -> None:
        AttentionInterface.register(NAME, paged_attention)
        self._model, self._parts = model, parts
        self._store = KvStore(blocks, block_size, eager=attention == "eager")
        self._routers = Routers()
        self._device = next(model.parameters()).device
        self._small = is_small(model)
        self._accelerator = accelerator
        self._grid = None if accelerator is None else accelerator.grid

    @property
    def module(self) -> nn.Module:
        """The transformers model."""
        model: nn.Module = self._model
        return model

    def writer(self, bank: Bank, ledger: Ledger) -> Writer:
        """What the device has."""
        return self._routers.writer(writer_of(self._accelerator, bank, ledger))

    @torch.no_grad()
    def copy(self, copies: Sequence[Copy]) -> None:
        """Copy beginnings of blocks."""
        self._store.copy(copies)

    @torch.no_grad()
    def forward(self, batch: Batch, work: StepWork) -> Tensor:
        """`logits_BV` of the wanted tokens."""
        captured = work.logit_tokens
        keep = sorted({*batch.wanted, *captured})
        with ExitStack() as stack:
            stack.enter_context(single_threaded(self._small))
            stack.enter_context(attending(self._model, NAME))
            for point in work.points:
                stack.enter_context(self._tap(point, work))
            logits_NV: Tensor = self._model(
                input_ids=torch.tensor([batch.token_ids], device=self._device),
                position_ids=torch.tensor([batch.positions], device=self._device),
                use_cache=False,
                logits_to_keep=torch.tensor(keep, dtype=torch.long, device=self._device),
                **{KEYWORD: Step(batch, self._store, self._device, grid=self._grid), WORK: work},
            ).logits[0]
        work.visit_logits(keep, logits_NV)
        if keep == batch.wanted:
            return logits_NV
        row_of = {token: row for row, token in enumerate(keep)}
        return logits_NV[[row_of[token] for token in batch.wanted]]

    @contextmanager
    def _tap(self, point: Point, work: StepWork) -> Iterator[None]:
        """One site's hook, for as long as the context lasts."""
        if point[0] == "logits" or point[0] in WITHIN:  # passed by the forward and by our attention
            yield
            return
        handle = self._router_hook(point, work) if point[0] == "router" else self._hook(point, work)
        try:
            yield
        finally:
            handle.remove()

    def _hook(self, point: Point, work: StepWork) -> RemovableHandle:
        site, layer = point
        assert self._parts is not None

        def before(_: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            return (work.visit(point, args[0][0])[None], *args[1:])

        def between(_: nn.Module, args: tuple[Tensor, ...]) -> None:
            """In place: the block adds the MLP's term to this very tensor."""
            hidden_TD = args[0][0]
            visited_TD = work.visit(point, hidden_TD)
            if visited_TD is not hidden_TD:
                args[0][0].copy_(visited_TD)

        def after(
            _: nn.Module, __: tuple[Tensor, ...], output: Tensor | tuple[Tensor, ...]
        ) -> Tensor | tuple[Tensor, ...]:
            if isinstance(output, Tensor):
                return work.visit(point, output[0])[None]
            return (work.visit(point, output[0][0])[None], *output[1:])

        if site == "final":
            return self._parts.norm.register_forward_hook(after)
        assert layer is not None
        match site:
            case "resid_pre":
                return self._parts.blocks[layer].register_forward_pre_hook(before)
            case "z":
                return self._parts.z[layer].register_forward_pre_hook(before)
            case "attn_out":
                return self._parts.attn_out[layer].register_forward_hook(after)
            case "resid_mid":
                return self._parts.mid[layer].register_forward_pre_hook(between)
            case "mlp_out":
                return self._parts.mlp_out[layer].register_forward_hook(after)
            case _:
                return self._parts.blocks[layer].register_forward_hook(after)

    def _router_hook(self, point: Point, work: StepWork) -> RemovableHandle:
        def chosen(
            router: nn.Module, args: tuple[Tensor, ...], output: tuple[Tensor, Tensor, Tensor]
        ) -> tuple[Tensor, Tensor, Tensor]:
            return self._routers.visit(point, router, args[0], Routed(*output), work)

        assert self._parts is not None
        assert point[1] is not None
        router = self._parts.router[point[1]]
        assert router is not None
        return router.register_forward_hook(chosen)


def is_small(model: PreTrainedModel) -> bool:
    """Whether a step is so short on the CPU that waking a second thread costs more than it does."""
    device = next(model.parameters()).device
    return bool(device.type == "cpu" and model.num_parameters() < _SMALL)


@contextmanager
def single_threaded(wanted: bool) -> Iterator[None]:
    """One intra-op thread while the context lasts, if wanted."""
    was = torch.get_num_threads()
    if not wanted or was == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(was)


@contextmanager
def attending(model: PreTrainedModel, name: str) -> Iterator[None]:
    """One registered attention function in place of the model's own, for one forward."""
    config = model.config
    was = config._attn_implementation  # noqa: SLF001  transformers' setter also rewrites and checks the model
    config._attn_implementation = name  # noqa: SLF001
    try:
        yield
    finally:
        config._attn_implementation = was  # noqa: SLF001

"""A metric's gradient at every state of one plain forward: hooks on the lent module, no engine.

The module runs with transformers' own eager attention, which knows every family's masks and caps. Axes: n prompt
positions, X a site's width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from symposia.core.capture import Site
from symposia.core.errors import UnsupportedRequest

from .anatomy import Parts
from .taps import WhiteBox

Point = tuple[Site, int]
Judge = Callable[[Sequence[Tensor], Mapping[Point, Tensor]], Tensor]
REACHED: tuple[Site, ...] = ("resid_pre", "z", "attn_out", "resid_mid", "mlp_out", "resid_post")


class Slopes(NamedTuple):
    """The metric, and at every point the states `[n, X]` and the metric's derivative there."""

    metric: float
    states: dict[Point, Tensor]
    slopes: dict[Point, Tensor]


def slopes(
    module: nn.Module,
    parts: Parts,
    prompt: Sequence[int],
    endings: Sequence[Sequence[int]],
    points: Sequence[Point],
    judge: Judge,
) -> Slopes:
    """Of `judge(logits, states)` at the prompt's positions. One forward for each ending of the prompt ((): none).

    `judge` is given `[len(ending) + 1, V]` logits of each: what follows the prompt, and each token of the ending.
    """
    device = next(module.parameters()).device
    logits: list[Tensor] = []
    caught: list[dict[Point, Tensor]] = []
    with plainly(module), torch.enable_grad():
        for ending in endings:
            ids_1T = torch.tensor([[*prompt, *ending]], device=device)
            with _catching(parts, points) as states:
                mask_1T = torch.ones_like(ids_1T)
                out = module(input_ids=ids_1T, attention_mask=mask_1T, use_cache=False).logits
            logits.append(out[0, len(prompt) - 1 :])
            caught.append(states)
        metric = judge(logits, caught[0])
        leaves = [states[point] for states in caught for point in points]
        found = torch.autograd.grad(metric, leaves, allow_unused=True)
    n = len(prompt)
    total = {point: torch.zeros_like(caught[0][point][0, :n]) for point in points}
    for i, grad in enumerate(found):
        if grad is not None:
            total[points[i % len(points)]] += grad[0, :n]
    return Slopes(
        float(metric.detach()), {point: caught[0][point][0, :n].detach() for point in points}, total
    )


def check_reached(sites: Sequence[Site], inside: WhiteBox) -> None:
    """`UnsupportedRequest` for a site that no module boundary shows."""
    if strange := [site for site in sites if site not in REACHED]:
        raise UnsupportedRequest(
            endpoint="estimate",
            model=inside.shape.name,
            feature=f"site {strange[0]}",
            way_out=f"use patch.sweep, or one of {', '.join(REACHED)}",
        )


@contextmanager
def plainly(module: nn.Module) -> Iterator[None]:
    """The module with eager attention, as long as the context lasts."""
    config: Any = module.config
    was = config._attn_implementation  # noqa: SLF001  transformers' setter also rewrites and checks the model
    config._attn_implementation = "eager"  # noqa: SLF001
    try:
        yield
    finally:
        config._attn_implementation = was  # noqa: SLF001


@contextmanager
def _catching(parts: Parts, points: Sequence[Point]) -> Iterator[dict[Point, Tensor]]:
    """The states of one forward, with their graph, once it is done."""
    states: dict[Point, Tensor] = {}

    def begin(_: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (args[0].detach().requires_grad_(), *args[1:])

    def before(point: Point) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def hook(_: nn.Module, args: tuple[Tensor, ...]) -> None:
            states[point] = args[0]

        return hook

    def after(point: Point) -> Callable[[nn.Module, object, Tensor | tuple[Tensor, ...]], None]:
        def hook(_: nn.Module, __: object, output: Tensor | tuple[Tensor, ...]) -> None:
            states[point] = output if isinstance(output, Tensor) else output[0]

        return hook

    into: dict[Site, Sequence[nn.Module]] = {"resid_pre": parts.blocks, "z": parts.z, "resid_mid": parts.mid}
    out_of: dict[Site, Sequence[nn.Module]] = {
        "attn_out": parts.attn_out,
        "mlp_out": parts.mlp_out,
        "resid_post": parts.blocks,
    }
    with ExitStack() as stack:
        stack.callback(parts.blocks[0].register_forward_pre_hook(begin).remove)
        for site, layer in points:
            made = (
                into[site][layer].register_forward_pre_hook(before((site, layer)))
                if site in into
                else out_of[site][layer].register_forward_hook(after((site, layer)))
            )
            stack.callback(made.remove)
        yield states

"""Which experts a token gets: the model's own router decides, and decides anew where its logits are written.

Axes: T tokens, E experts, k of them chosen for each token, D residual width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from torch.overrides import TorchFunctionMode

from symposia.core.errors import ArchitectureNotUnderstood
from symposia.interp.plan import Point
from symposia.interp.write import Code, Writer

from .inside import Visits


class Routed(NamedTuple):
    """What a router of transformers gives: raw logits in expert order, and weights and ids of the chosen."""

    logits_TE: Tensor
    weights_Tk: Tensor
    ids_Tk: Tensor

    def rows(self) -> Tensor:
        """`[T, 2, E]`: logits, then the weight of each expert; of those not chosen 0."""
        weights_TE = torch.zeros_like(self.logits_TE).scatter(
            1, self.ids_Tk, self.weights_Tk.to(self.logits_TE)
        )
        return torch.stack([self.logits_TE, weights_TE], dim=1)


class Routers:
    """Takes the routers of one runner past the site `router`; `writer` makes its writers know them.

    Captures there read rows `[T, 2, E]`; instructions see and write the logits only.
    """

    def __init__(self) -> None:
        self._at: _Visit | None = None

    def writer(self, inner: Writer) -> Writer:
        """`inner`, which also serves rows of a router."""
        return _RouterWriter(inner, self)

    def visit(
        self, point: Point, router: nn.Module, hidden_TD: Tensor, routed: Routed, work: Visits
    ) -> Routed:
        """What continues: `routed`, which the router made of `hidden_TD`, or what it makes of written logits."""
        self._at = at = _Visit(router, hidden_TD, routed)
        try:
            work.visit(point, routed.rows())
        finally:
            self._at = None
        return at.routed

    def choose(self, write: Callable[[Tensor], Tensor]) -> Tensor:
        """Rows `[T, 2, E]` of the router that is visited now, after `write` on its logits."""
        at = self._at
        assert at is not None, "rows of a router are written outside of its visit"
        at.routed = _chosen(at.router, at.hidden_TD, write(at.routed.logits_TE))
        return at.routed.rows()


@dataclass
class _Visit:
    router: nn.Module
    hidden_TD: Tensor
    routed: Routed


@dataclass(frozen=True)
class _RouterWriter:
    """Implements `Writer`. Rows of a router come as `[T, 2, E]`; its weights follow from the written logits."""

    inner: Writer
    routers: Routers

    def write(self, hidden_TD: Tensor, code: Code, gates_TG: Tensor | None, *, owned: bool = False) -> Tensor:
        """As the seam says."""
        if hidden_TD.dim() == 2:
            return self.inner.write(hidden_TD, code, gates_TG, owned=owned)
        return self.routers.choose(lambda logits_TE: self.inner.write(logits_TE, code, gates_TG))


class _Given(TorchFunctionMode):
    """While it lasts, a linear product is not computed: its result is given."""

    def __init__(self, result: Tensor) -> None:
        super().__init__()
        self._result, self.asked = result, 0

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Iterable[type],
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        """As torch calls it."""
        if func is not linear:
            return func(*args, **(kwargs or {}))
        self.asked += 1
        return self._result


def _chosen(router: nn.Module, hidden_TD: Tensor, logits_TE: Tensor) -> Routed:
    """What the router makes of given logits, by its own forward with its one product replaced."""
    with _Given(logits_TE) as given:
        made = Routed(*router.forward(hidden_TD))
    if given.asked != 1 or made.logits_TE is not logits_TE:
        raise ArchitectureNotUnderstood(
            f"{type(router).__name__}: expected one linear product, which it gives back as its logits; "
            f"it took {given.asked}"
        )
    return made

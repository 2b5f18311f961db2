"""Proof that an intervention was applied, counted where the values were written."""

from __future__ import annotations

from typing import Literal

from .value import Count, Value

History = Literal["scoped", "keep", "clean"]


class TokenCounts(Value, frozen=True, kw_only=True):
    """Selected positions by kind; an earlier forward wrote `reused`, `recomputed` is history run again."""

    given: Count = 0
    history: Count = 0
    generated: Count = 0
    reused: Count = 0
    recomputed: Count = 0


class LayerReceipt(Value, frozen=True, kw_only=True):
    """What was written at one layer: mean ‖h‖, mean and largest ‖δ‖, mean s before and after."""

    layer: Count
    tokens: Count
    norm: float
    delta_mean: float
    delta_max: float
    before: float | None = None
    after: float | None = None


class GateReading(Value, frozen=True, kw_only=True):
    """A gate's score and decision for a row."""

    score: float
    threshold: float
    open: bool


class Receipt(Value, frozen=True, kw_only=True):
    """One per intervention, in list order. `runs` are the selected positions of the sequence."""

    intervention: str
    name: str
    op: str
    vector: str
    site: str
    status: Literal["applied", "gated_off", "missed"]
    history: History
    tokens: TokenCounts
    runs: tuple[tuple[int, int], ...]
    layers: tuple[LayerReceipt, ...]
    gate: GateReading | None = None
    template_differs: bool = False

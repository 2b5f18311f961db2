"""What a step does at every site, for as long as its rows go on as they do: code to run, and rows to copy out.

Axes: T tokens of the flat batch, N captured ones, X numbers of a site.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from symposia.core.capture import Keep, Pool

from .plan import BoundCapture, Point
from .reads import Reads, by_head
from .tape import Tape
from .taps import WITHIN
from .write import Code

_DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}


class Member(NamedTuple):
    """A row's part of a group: its positions in the tape's first frame, whose rows lie from `start` on."""

    reads: Reads
    positions: Sequence[int]
    start: int


@dataclass(eq=False)
class Group:
    """Captures of one kind in a batch: flat tokens of all rows, whose they are, and the tape that takes them."""

    bound: BoundCapture
    tokens: list[int]
    members: list[Member]
    tape: Tape

    @property
    def before(self) -> bool:
        """Whether rows are taken before what is written at the site, not after it."""
        return self.bound.capture.at == "before"

    def bare(self, dtype: torch.dtype) -> bool:
        """Whether rows of that dtype are kept as they are."""
        capture = self.bound.capture
        kept = isinstance(capture.reduce, Keep | Pool) and not capture.heads
        return kept and _DTYPES.get(capture.dtype, dtype) == dtype

    def frame(self, layer: int | None, like_TX: Tensor) -> Tensor:
        """Where bare rows go, of tokens like these."""
        heads, width = self.bound.heads.get(layer, 0), like_TX.shape[1]
        each = (heads, width // heads) if heads else (width,)
        return self.tape.frame(layer, (len(self.tokens), *each), like_TX)

    def take(self, layer: int | None, hidden_TX: Tensor) -> None:
        """Copy its tokens' rows out of all."""
        if len(self.tokens) < len(hidden_TX) or not self._straight:
            self.put(layer, hidden_TX[torch.tensor(self.tokens, device=hidden_TX.device)])
        else:
            self.put(layer, hidden_TX.clone() if self.tape.room == 1 else hidden_TX)

    def put(self, layer: int | None, rows_NX: Tensor) -> None:
        """Its tokens' rows; where the tape has room for one frame only, nobody else holds them."""
        self.tape.keep(layer, _reduced(self.bound, layer, rows_NX))

    def settle(self) -> None:
        """The forward went through: what was taken is the rows'."""
        if not self.tape.frames:
            for reads, positions, start in self.members:
                reads.append(positions, self.tape, start)
        self.tape.rolled()

    def go_on(self) -> None:
        """The same rows follow, one position on."""
        if self.tape.full:
            by = self.tape.frames
            self.members = [Member(m.reads, [p + by for p in m.positions], m.start) for m in self.members]
            self.tape = self.tape.next()

    @cached_property
    def _straight(self) -> bool:
        return self.tokens == list(range(len(self.tokens)))


@dataclass(eq=False)
class SiteWork:
    """What is written at one site, and what is copied out."""

    code: Code | None = None
    groups: list[Group] = field(default_factory=list)


class Layout:
    """Steps that go on share one, and with it whatever a runner has made of it."""

    def __init__(self, codes: Mapping[Point, Code], groups: Sequence[Group]) -> None:
        made: dict[Point, SiteWork] = defaultdict(SiteWork)
        for point, code in codes.items():
            made[point].code = code
        for group in groups:
            for layer in group.bound.layers:
                made[group.bound.capture.site, layer].groups.append(group)
        self.groups = tuple(groups)
        self.sites: Mapping[Point, SiteWork] = dict(made)
        self.points = frozenset(made)
        self.within = frozenset(layer for site, layer in made if site in WITHIN)


def _reduced(bound: BoundCapture, layer: int | None, rows_ND: Tensor) -> Tensor:
    match bound.capture.reduce:
        case Keep() | Pool():
            wanted = _DTYPES.get(bound.capture.dtype)
            kept = by_head(rows_ND, bound.heads.get(layer, 0), bound.capture.heads)
            return kept if wanted is None else kept.to(wanted)
        case project:
            assert layer is not None
            work_ND = rows_ND if rows_ND.dtype == torch.float64 else rows_ND.float()
            unit_D = bound.vector[layer].to(work_ND)
            s_N = work_ND @ unit_D
            return s_N / work_ND.norm(dim=1).clamp_min(1e-12) if project.measure == "cosine" else s_N

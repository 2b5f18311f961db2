"""A step's sites as the kernels visit them, within the one call that runs the layers; and where that call breaks off.

It does so only where Python has to look: where a gate pools states, and at experts. Everything else that lies between
stages, every instruction and every copied row, is done on the way.
"""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from weakref import ref

from torch import Tensor

from symposia.core.capture import Site
from symposia.interp.apply import StepWork
from symposia.interp.layout import Group, Layout, SiteWork
from symposia.interp.plan import Point

from .binding import ProgramC, ReadC, TapC
from .writer import program_of

STAGES = 5  # of a layer
STAGE: dict[Site, int] = {
    "resid_pre": 0,
    "z": 1,
    "attn_out": 2,
    "resid_mid": 3,
    "mlp_out": 4,
    "resid_post": 5,
}
HIDDEN, Z, TERM = range(3)
PLACE: dict[Site, int] = {
    "resid_pre": HIDDEN,
    "z": Z,
    "attn_out": TERM,
    "resid_mid": HIDDEN,
    "mlp_out": TERM,
    "resid_post": HIDDEN,
}
_THOUGHT = 3  # stages of a layer before its MLP


class Reached(NamedTuple):
    """How many stages and taps lie behind."""

    stage: int
    taps: int


class Break(NamedTuple):
    """Where a site of the layer is visited, or (None) its experts think."""

    reached: Reached
    layer: int
    site: Site | None


class Loose(NamedTuple):
    """Rows copied out that are not kept as they are."""

    group: Group
    layer: int | None
    rows_NX: Tensor


@dataclass
class _Aim:
    """Where a group's rows at a site go: a tape's frames, from `base` on, `stride` bytes apart; 0: not known yet."""

    point: Point
    index: int
    read: ReadC
    base: int = 0
    stride: int = 0


class Taps:
    """Those of one layout. Steps that share it aim the same structures anew; nothing of its rows is held here.

    Of two things at one place, what leaves a layer comes before what enters the next, and a site before the experts.
    """

    def __init__(self, work: StepWork, widths: Sequence[int], experts: Iterable[int]) -> None:
        """`widths` are those of the three places; `experts` the layers that have them."""
        self._layout, self._deciding = ref(work.layout), work.deciding
        taken = sorted(
            (point for point in work.layout.sites if point[0] in STAGE and point not in work.deciding),
            key=_order,
        )
        self.points = frozenset(taken)
        self._held: list[array[int]] = []
        self._reads: list[_Aim] = []
        made = [self._tap(point, work.layout.sites[point], widths) for point in taken]
        self.count = len(made)
        self._array = (TapC * self.count)(*made)
        self.breaks = _breaks(work.points - self.points, experts, taken)

    def fit(self, work: StepWork) -> bool:
        """Whether they are this step's."""
        return self._layout() is work.layout and self._deciding == work.deciding

    def address(self, tap: int) -> int:
        """Where that one lies, and those that follow."""
        return ctypes.addressof(self._array) + tap * ctypes.sizeof(TapC)

    def aim(self, layout: Layout, places: Sequence[Tensor]) -> list[Loose]:
        """Say where this step's rows go; `places` are like those that lie between stages."""
        loose = []
        for aim in self._reads:
            (site, layer), read = aim.point, aim.read
            group = layout.sites[site, layer].groups[aim.index]
            if aim.stride and group.tape.frames:
                read.to = aim.base + aim.stride * group.tape.frames
                continue
            like_TX = places[PLACE[site]]
            bare = group.bare(like_TX.dtype)
            rows_NX = (
                group.frame(layer, like_TX)
                if bare
                else like_TX.new_empty(len(group.tokens), like_TX.shape[1])
            )
            read.to = rows_NX.data_ptr()
            if bare:
                aim.stride = rows_NX.nbytes
                aim.base = rows_NX.data_ptr() - aim.stride * group.tape.frames
            else:
                loose.append(Loose(group, layer, rows_NX))
        return loose

    def _tap(self, point: Point, site: SiteWork, widths: Sequence[int]) -> TapC:
        place = PLACE[point[0]]
        reads = (ReadC * len(site.groups))()
        for i, (group, read) in enumerate(zip(site.groups, reads, strict=True)):
            tokens = array("q", group.tokens)
            self._held.append(tokens)
            read.tokens, read.count, read.before = tokens.buffer_info()[0], len(tokens), group.before
            self._reads.append(_Aim(point, i, read))
        program = ProgramC(width=widths[place]) if site.code is None else program_of(site.code, widths[place])
        return TapC(_order(point)[0], place, len(reads), program, reads)


def _order(point: Point) -> tuple[int, int]:
    site, layer = point
    assert layer is not None
    return STAGES * layer + STAGE[site], layer


def _breaks(points: Iterable[Point], experts: Iterable[int], taken: Sequence[Point]) -> list[Break]:
    visited = [(*_order(point), 0, point[0]) for point in points if point[0] in STAGE]
    thinking = [(STAGES * layer + _THOUGHT, layer, 1, None) for layer in experts]
    order = sorted([*visited, *thinking], key=lambda each: each[:3])
    before = [_order(point) for point in taken]
    return [
        Break(Reached(stage, sum(each < (stage, layer, rank) for each in before)), layer, site)
        for stage, layer, rank, site in order
    ]

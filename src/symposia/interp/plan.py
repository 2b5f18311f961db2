"""One request's interventions and captures, position by position.

A `RowPlan` is made before the first token, follows the tokens as they come, and is closed when the row ends: then it
holds no bank row and no ledger slot. The fingerprint of a position names exactly what was written there that later
keys and values can see.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from symposia.core.capture import Capture, Site
from symposia.core.intervention import Intervention
from symposia.core.span import Span

from .bank import Bank, Ledger
from .ops import AblateTerm, AddTerm, Term
from .reads import Reads
from .select import Selector
from .vector import SteeringVector

Point = tuple[Site, int | None]


@dataclass(frozen=True, kw_only=True)
class Bound:
    """An intervention tied to this model: its terms by layer, and where it applies.

    `prompt` are the selected prompt positions under the history policy; `follow` decides generated ones (None: never).
    """

    intervention: Intervention
    vector: str
    terms: dict[int, Term]
    identity: tuple[object, ...]
    prompt: frozenset[int]
    follow: Selector | None
    template_differs: bool = False
    past_turn: int | None = None


@dataclass(frozen=True, kw_only=True)
class BoundCapture:
    """A capture tied to this model; `vector` holds the unit rows by layer of a `Project`.

    `heads` are how many heads a row falls into at each layer, 0 where it is kept flat.
    """

    capture: Capture
    layers: tuple[int | None, ...]
    selector: Selector
    vector: dict[int, Tensor] = field(default_factory=dict)
    source: SteeringVector | None = None
    heads: dict[int | None, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class Added:
    """Adjacent adds as one: bank rows of the constant and the ‖h‖-proportional sum; `zero` when both cancel exactly."""

    members: tuple[int, ...]
    constant: int
    relative: int
    units: tuple[int, ...]
    zero: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Ablated:
    """One ablation with its basis on the device."""

    members: tuple[int, ...]
    term: AblateTerm
    basis_kD: Tensor


Element = Added | Ablated


class RowPlan:
    """What one row writes and reads. `writes[p]` and `reads[p]` are indexes of interventions and captures at p."""

    def __init__(self, bounds: Sequence[Bound], captures: Sequence[BoundCapture], n_prompt: int) -> None:
        self.bounds, self.captures, self.n_prompt = tuple(bounds), tuple(captures), n_prompt
        self.writes = [tuple(i for i, b in enumerate(bounds) if p in b.prompt) for p in range(n_prompt)]
        self.reads = [
            tuple(i for i, c in enumerate(captures) if p in c.selector.prompt) for p in range(n_prompt)
        ]
        self.write_points: frozenset[Point] = frozenset(
            (b.intervention.site, layer) for b in bounds for layer in b.terms
        )
        self.read_points: frozenset[Point] = frozenset(
            (c.capture.site, layer) for c in captures for layer in c.layers
        )
        self.buffers = {(i, layer): Reads() for i, c in enumerate(captures) for layer in c.layers}
        self.strong: set[tuple[int, int]] = set()
        self.slots: dict[tuple[int, int], int] = {}
        self._held: list[int] = []
        self._memo: dict[tuple[Point, tuple[int, ...]], tuple[Element, ...]] = {}

    @property
    def idle(self) -> bool:
        """Whether the row neither writes nor reads."""
        return not self.bounds and not self.captures

    def feed(self, token_id: int, span: Span, following: Span | None) -> None:
        """Decide the next generated position; `following` is the span expected next, None when the row has ended."""
        if self.idle:
            return
        chosen = [b.follow is not None and b.follow.feed(token_id, span, following) for b in self.bounds]
        self.writes.append(tuple(i for i, c in enumerate(chosen) if c))
        read = [c.selector.feed(token_id, span, following) for c in self.captures]
        self.reads.append(tuple(i for i, c in enumerate(read) if c))

    def fingerprint(self, position: int) -> tuple[object, ...]:
        """Names the writes at a position that later positions can see; empty where nothing is written."""
        if not self.bounds:
            return ()
        found = (self.bounds[i].identity for i in self.writes[position])
        return tuple(identity for identity in found if identity)

    def first_read(self, start: int) -> int | None:
        """The first captured position from `start` on, among those decided."""
        return next((p for p in range(start, len(self.reads)) if self.reads[p]), None)

    def acting(self, point: Point, position: int) -> tuple[int, ...]:
        """Interventions that write at a site, layer and position, in order."""
        site, layer = point
        return tuple(
            i
            for i in self.writes[position]
            if self.bounds[i].intervention.site == site and layer in self.bounds[i].terms
        )

    def elements(
        self, point: Point, acting: tuple[int, ...], bank: Bank, ledger: Ledger
    ) -> tuple[Element, ...]:
        """The writes of some interventions at a point, adjacent adds joined; rows and slots are held until `close`."""
        made = self._memo.get((point, acting))
        if made is None:
            layer = point[1]
            assert layer is not None
            made = tuple(self._join(group, layer, bank) for group in _adjacent(acting, self.bounds, layer))
            for element in made:
                for i in element.members:
                    if (i, layer) not in self.slots:
                        self.slots[i, layer] = ledger.open()
                    if isinstance(element, Added) and not element.zero:
                        self.strong.add((i, layer))
            self._memo[point, acting] = made
        return made

    def close(self, bank: Bank, ledger: Ledger) -> None:
        """Give back every bank row and ledger slot."""
        bank.drop(self._held)
        ledger.close(self.slots.values())
        self._held, self.slots, self._memo = [], {}, {}

    def _join(self, group: tuple[int, ...], layer: int, bank: Bank) -> Element:
        terms = [self.bounds[i].terms[layer] for i in group]
        first = terms[0]
        if isinstance(first, AblateTerm):
            return Ablated(members=group, term=first, basis_kD=first.basis_kD.to(bank.rows_KD))
        adds = [term for term in terms if isinstance(term, AddTerm)]
        constant = self._sum_row([t for t in adds if not t.relative], bank)
        relative = self._sum_row([t for t in adds if t.relative], bank)
        units = tuple(self._hold(bank, ("unit", t.source), t.unit_D) for t in adds)
        zero = not bool(bank.rows_KD[constant].any()) and not bool(bank.rows_KD[relative].any())
        return Added(members=group, constant=constant, relative=relative, units=units, zero=zero)

    def _sum_row(self, adds: list[AddTerm], bank: Bank) -> int:
        if not adds:
            return 0
        total: dict[tuple[str, int], float] = {}
        for term in adds:
            total[term.source] = total.get(term.source, 0.0) + term.coefficient
        units = {term.source: term.unit_D for term in adds}
        row_D = torch.zeros_like(bank.rows_KD[0])
        for source, coefficient in sorted(total.items()):
            row_D[: len(units[source])] += coefficient * units[source].to(row_D)
        return self._hold(bank, ("sum", tuple(sorted(total.items()))), row_D)

    def _hold(self, bank: Bank, key: object, row_D: Tensor) -> int:
        row = bank.hold(key, lambda: row_D)
        self._held.append(row)
        return row


def _adjacent(acting: tuple[int, ...], bounds: Sequence[Bound], layer: int) -> list[tuple[int, ...]]:
    groups: list[tuple[int, ...]] = []
    for i in acting:
        joins = isinstance(bounds[i].terms[layer], AddTerm)
        if groups and joins and isinstance(bounds[groups[-1][-1]].terms[layer], AddTerm):
            groups[-1] = (*groups[-1], i)
        else:
            groups.append((i,))
    return groups

"""One request's interventions and captures, position by position.

A `RowPlan` is made before the first token, follows the tokens as they come, and is closed when the row ends: then it
holds no bank row and no ledger slot. The fingerprint of a position names exactly what was written there that later
keys and values can see.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from torch import Tensor

from symposia.core.capture import Capture, Project, Site
from symposia.core.intervention import Angle, Intervention
from symposia.core.span import Phase, Span

from .bank import Bank, Ledger
from .gates import PooledGate
from .ops import Row, Term
from .reads import Reads
from .schedule import Clock
from .select import Selector
from .vector import SteeringVector

Point = tuple[Site, int | None]
Kind = tuple[object, ...]


class Act(NamedTuple):
    """One intervention at one position: index of the bound, multiplier, and the source row of a `replace`."""

    bound: int
    m: float = 1.0
    row: int = -1


@dataclass(frozen=True, kw_only=True)
class EachGate:
    """A gate that decides at every position, by the state at `point`."""

    point: Point
    direction: Row


@dataclass(frozen=True, kw_only=True)
class Bound:
    """An intervention tied to this model: its terms by layer, and where it applies.

    `prompt` are the selected prompt positions under the history policy; `follow` decides generated ones (None: never).
    `pairs` are the positions of a `replace` and their source rows.
    """

    intervention: Intervention
    digest: str
    vector: str
    terms: dict[int, Term]
    identity: tuple[object, ...]
    prompt: frozenset[int]
    follow: Selector | None
    pairs: dict[int, int] = field(default_factory=dict)
    clock: Clock | None = None
    pooled: PooledGate | None = None
    each: EachGate | None = None
    template_differs: bool = False
    past_turn: int | None = None

    @property
    def shut(self) -> bool:
        """Whether its gate has decided against it."""
        return self.pooled is not None and self.pooled.reading is not None and not self.pooled.reading.open

    @property
    def waits(self) -> bool:
        """Whether its gate has still to be decided."""
        return self.pooled is not None and self.pooled.reading is None

    @property
    def forgetful(self) -> bool:
        """Whether a generated position is decided by its phases alone."""
        return not self.pairs and self.clock is None and (self.follow is None or self.follow.forgetful)

    def act(self, index: int, position: int, m: float) -> Act:
        """What it does at a position."""
        return Act(index, m, self.pairs.get(position, -1))

    def given(self, index: int, position: int) -> Act:
        """What it does at a position of the prompt."""
        return self.act(index, position, 1.0 if self.clock is None else self.clock.prompt[position])

    def visible(self, m: float) -> bool:
        """Whether a write of this strength could change later keys and values."""
        return bool(self.identity) and not self.shut and (m != 0 or isinstance(self.intervention, Angle))


@dataclass(frozen=True, kw_only=True)
class BoundCapture:
    """A capture tied to this model; `vector` holds the rows by layer that a `Project` is on.

    `heads` are how many heads a row falls into at each layer, 0 where it is kept flat.
    """

    capture: Capture
    layers: tuple[int | None, ...]
    selector: Selector
    vector: dict[int, Tensor] = field(default_factory=dict)
    source: SteeringVector | None = None
    heads: dict[int | None, int] = field(default_factory=dict)

    @cached_property
    def kind(self) -> Kind:
        """Equal where two captures take the same from a token, whatever their positions."""
        asked = self.capture
        reduce = ("project", *map(id, self.vector.values())) if isinstance(asked.reduce, Project) else ()
        measure = asked.reduce.measure if isinstance(asked.reduce, Project) else ""
        return (asked.site, self.layers, asked.at, asked.dtype, asked.heads, measure, *reduce)


class RowPlan:
    """What one row writes and reads. `writes[p]` are the acts at p, `reads[p]` indexes of captures."""

    def __init__(
        self,
        bounds: Sequence[Bound],
        captures: Sequence[BoundCapture],
        n_prompt: int,
        specials: frozenset[int] = frozenset(),
    ) -> None:
        self.bounds, self.captures, self.n_prompt = tuple(bounds), tuple(captures), n_prompt
        self._specials = specials
        self.writes = self._given_acts()
        self.reads = _by_position([c.selector.prompt for c in captures], n_prompt)
        self.buffers = [Reads() for _ in captures]
        gated = [i for i, b in enumerate(bounds) if b.intervention.gate is not None]
        self.registers = {index: 1 + k for k, index in enumerate(gated)}
        self.idle = not self.bounds and not self.captures
        """Whether the row neither writes nor reads."""
        self.strong: set[tuple[int, int]] = set()
        self.slots: dict[tuple[int, int], int] = {}
        self.gate_slots: dict[int, int] = {}
        self.codes: dict[tuple[tuple[Act, ...], bool], tuple[tuple[Point, bytes], ...]] = {}
        self._held: list[int] = []
        self._forgetful = all(b.forgetful for b in bounds) and all(c.selector.forgetful for c in captures)
        self._decided: dict[tuple[bool, Phase, Phase | None], tuple[tuple[Act, ...], tuple[int, ...]]] = {}
        self._prints: dict[tuple[Act, ...], str] = {}

    @property
    def undecided(self) -> list[PooledGate]:
        """Gates that still wait for their positions."""
        if not self.registers:
            return []
        return [b.pooled for b in self.bounds if b.pooled is not None and b.waits]

    def repeats(self, token_id: int, phase: Phase, following: Phase | None) -> bool:
        """Decide the next generated position as one of the same phases was, if that is all it depends on."""
        known = self._decided.get((token_id in self._specials, phase, following))
        if known is None:
            return False
        self.writes.append(known[0])
        self.reads.append(known[1])
        return True

    def feed(self, token_id: int, span: Span, following: Span | None) -> None:
        """Decide the next generated position; `following` is the span expected next, None when the row has ended."""
        position = len(self.writes)
        chosen = [
            position in b.pairs
            if b.pairs
            else b.follow is not None and b.follow.feed(token_id, span, following)
            for b in self.bounds
        ]
        self.writes.append(self._acts(position, chosen, span))
        read = [c.selector.feed(token_id, span, following) for c in self.captures]
        self.reads.append(tuple(i for i, c in enumerate(read) if c))
        if self._forgetful:
            phases = (span.phase, following.phase if following is not None else None)
            self._decided[token_id in self._specials, *phases] = self.writes[-1], self.reads[-1]

    def acting(self, position: int) -> tuple[Act, ...]:
        """What is written at a position, as far as gates have decided."""
        acts = self.writes[position]
        if self.registers and any(self.bounds[act.bound].shut for act in acts):
            return tuple(act for act in acts if not self.bounds[act.bound].shut)
        return acts

    def selected(self, stop: int) -> list[list[int]]:
        """Of each bound, positions below `stop` where it applies."""
        alike: dict[int, tuple[tuple[Act, ...], list[int]]] = {}  # most positions share a few tuples
        for position, acts in enumerate(self.writes[:stop]):
            if acts:
                known = alike.get(id(acts))
                if known is None:
                    known = alike[id(acts)] = (acts, [])
                known[1].append(position)
        found: list[list[int]] = [[] for _ in self.bounds]
        for acts, positions in alike.values():
            for act in acts:
                found[act.bound] += positions
        return [sorted(each) for each in found]

    def fingerprint(self, position: int) -> str:
        """Names the writes at a position that later positions can see; empty where nothing is written."""
        acts = self.writes[position] if self.bounds else ()
        if not acts:
            return ""
        made = self._prints.get(acts)
        if made is None:
            told = tuple(self._print(act) for act in acts if self.bounds[act.bound].visible(act.m))
            made = hashlib.sha256(repr(told).encode()).hexdigest()[:32] if told else ""
            if not self.registers:  # a gate that decides changes what is written
                self._prints[acts] = made
        return made

    def fingerprints(self, start: int, stop: int) -> list[str]:
        """Of some positions, in order."""
        acts = self.writes[start:stop]
        if acts and acts.count(acts[0]) == len(acts):  # the usual case, and the quickest
            return [self.fingerprint(start)] * len(acts)
        return [self.fingerprint(position) for position in range(start, stop)]

    def first_read(self, start: int) -> int | None:
        """The first captured position from `start` on, among those decided."""
        return next((p for p in range(start, len(self.reads)) if self.reads[p]), None)

    def first_needed(self) -> int | None:
        """The first position that an undecided gate has to see."""
        return min((gate.needed[0] for gate in self.undecided), default=None)

    def hold(self, row: Row, bank: Bank) -> int:
        """A row's place in the bank, held until `close`."""
        at = bank.hold(row.key, row.values_D)
        self._held.append(at)
        return at

    def slot(self, index: int, layer: int, ledger: Ledger) -> int:
        """Where writes of a bound at a layer are counted."""
        if (index, layer) not in self.slots:
            self.slots[index, layer] = ledger.open()
        return self.slots[index, layer]

    def gate_slot(self, index: int, ledger: Ledger) -> int:
        """Where the decisions of a bound's gate are counted."""
        if index not in self.gate_slots:
            self.gate_slots[index] = ledger.open()
        return self.gate_slots[index]

    def close(self, bank: Bank, ledger: Ledger) -> None:
        """Give back every bank row and ledger slot, and let go of what was read."""
        bank.drop(self._held)
        ledger.close([*self.slots.values(), *self.gate_slots.values()])
        self._held, self.slots, self.gate_slots, self.codes, self.buffers = [], {}, {}, {}, []

    def _given_acts(self) -> list[tuple[Act, ...]]:
        """Of the prompt's positions; those that are alike are one tuple."""
        chosen = _by_position([bound.prompt for bound in self.bounds], self.n_prompt)
        if not any(bound.clock is not None or bound.pairs for bound in self.bounds):
            made = {each: tuple(map(Act, each)) for each in set(chosen)}
            return [made[each] for each in chosen]
        return [tuple(self.bounds[i].given(i, p) for i in each) for p, each in enumerate(chosen)]

    def _acts(self, position: int, chosen: Sequence[bool], span: Span) -> tuple[Act, ...]:
        acts = []
        for index, (bound, here) in enumerate(zip(self.bounds, chosen, strict=True)):
            m = 1.0 if bound.clock is None else bound.clock.feed(span)  # told of every token, chosen or not
            if here:
                acts.append(bound.act(index, position, m))
        return tuple(acts)

    def _print(self, act: Act) -> tuple[object, ...]:
        bound = self.bounds[act.bound]
        if bound.waits:
            return (*bound.identity, "undecided", id(self))  # equals no other row's
        if act.m == 1.0 and act.row < 0:
            return bound.identity
        return (*bound.identity, act.m, act.row)


def _by_position(sets: Sequence[Collection[int]], stop: int) -> list[tuple[int, ...]]:
    """For each position below `stop` the indexes of the sets that have it."""
    found: list[tuple[int, ...]] = [()] * stop
    for i, each in enumerate(sets):
        for position in each:
            found[position] = (*found[position], i)
    return found

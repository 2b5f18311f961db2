"""One request in the engine: its tokens, spans and phases, what is computed, and how it ended. No torch.

A token is `known` once it is in `token_ids`. Sampling appends one; `choices` append theirs at once. `seen` counts
positions that were forwarded or reused: a preempted row computes them again, but never counts or reads them again.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING

from symposia.core.message import FinishReason
from symposia.core.request import Request
from symposia.core.span import Phase, Span
from symposia.interp.plan import RowPlan
from symposia.interp.select import Scene
from symposia.interp.taps import WITHIN

from .blocks import Item, Key
from .pace import Pace
from .template import Rendered, Tracker

if TYPE_CHECKING:
    from .grammar import GrammarState


@dataclass(eq=False)
class Sequence:
    """Implements `scheduler.Feedable`. `stop_at`: how many positions are forwarded before the sequence is delivered."""

    number: int
    request: Request
    rendered: Rendered
    tracker: Tracker
    plan: RowPlan
    scene: Scene
    n_prompt: int = field(init=False)
    pace: Pace | None = field(init=False, default=None)
    token_ids: list[int] = field(default_factory=list)
    phases: list[Phase] = field(default_factory=list)
    computed: int = 0
    seen: int = 0
    blocks: list[int] = field(default_factory=list)
    finish: FinishReason | None = None
    flush: bool = False
    sampled: int = 0
    reused_positions: set[int] = field(default_factory=set)
    cached: int = 0
    prompt_logprobs: list[float] = field(default_factory=list)
    grammar: GrammarState | None = None  # where a reply that must have a shape stands; never rewound
    _begun: int = 0  # where the newest run of one phase began
    _keys: list[Key] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.token_ids = list(self.rendered.token_ids)
        self.n_prompt = len(self.token_ids)
        if self.request.sampling.deterministic:
            self.pace = Pace(self.n_prompt, b"deterministic, open" if self.opened else b"deterministic")

    @property
    def opened(self) -> bool:
        """Whether something within attention is read or written: a deterministic row then keeps to such operators."""
        read = (bound.capture.site for bound in self.plan.captures)
        written = (bound.intervention.site for bound in self.plan.bounds)
        return any(site in WITHIN for site in (*read, *written))

    @property
    def n_made(self) -> int:
        """Tokens sampled, or given as a choice."""
        return len(self.token_ids) - self.n_prompt

    @property
    def known(self) -> int:
        """Positions to forward: all known tokens, less a last one that nobody asks to see."""
        if self.finish is not None and not self.flush and self.n_made:
            return len(self.token_ids) - 1
        return len(self.token_ids)

    @property
    def reads_prompt(self) -> bool:
        """Whether prompt log-probabilities are wanted: a read with `logprobs`."""
        return (
            self.request.logprobs is not None
            and self.request.sampling.max_tokens == 0
            and not self.request.choices
        )

    def append(self, token_id: int) -> Phase:
        """Take a token that was sampled or given; `settle` comes next."""
        phase = self.tracker.feed(token_id)
        if not self.phases or self.phases[-1] != phase:
            self._begun = len(self.token_ids)
        self.token_ids.append(token_id)
        self.phases.append(phase)
        return phase

    def settle(self, *, ended: bool) -> None:
        """Decide what is written and read at the newest token. `ended`: nothing follows it."""
        if self.plan.idle:
            return
        following = None if ended else self.tracker.next_phase
        if self.plan.repeats(self.token_ids[-1], self.phases[-1], following):
            return
        newest = self._span(self._begun, len(self.token_ids), self.phases[-1])
        self.plan.feed(self.token_ids[-1], newest, None if ended else self.following())

    def following(self) -> Span:
        """The span the next token is expected in."""
        phase, position = self.tracker.next_phase, len(self.token_ids)
        joins = bool(self.phases) and self.phases[-1] == phase
        return self._span(self._begun if joins else position, position + 1, phase)

    def end(self, reason: FinishReason, kept: int) -> None:
        """Nothing more is sampled; the first `kept` made tokens stay. Asks for a flush if the last is to be read."""
        self.finish = reason
        del self.token_ids[self.n_prompt + kept :]
        del self.phases[kept:]
        stop = len(self.token_ids)
        if not self.plan.idle:
            self.flush = self.computed < stop and bool(self.plan.reads[stop - 1])

    @property
    def spans(self) -> tuple[Span, ...]:
        """A partition of prompt and made tokens."""
        made: list[Span] = []
        at = self.n_prompt
        for phase, run in groupby(self.phases):
            stop = at + sum(1 for _ in run)
            made.append(self._span(at, stop, phase))
            at = stop
        return (*self.rendered.spans, *made)

    @property
    def settled(self) -> int:
        """Tokens that stay."""
        return len(self.token_ids)

    def reusable(self) -> int:
        """Up to the last known position, the first unread captured one, and any wanted log-probability."""
        stop = self.known - 1
        if not self.plan.idle:
            first = self.plan.first_read(self.seen)
            needed = self.plan.first_needed()
            stop = min([stop, *(p for p in (first, needed) if p is not None)])
        if self.reads_prompt:
            stop = min(stop, self.seen)
        if self.request.choices:
            stop = min(stop, self.n_prompt - 1)
        return max(stop, 0)

    def items(self, start: int, stop: int) -> list[Item]:
        """Per position its token, and what interventions wrote if they did."""
        tokens = self.token_ids[start:stop]
        if not self.plan.bounds:
            return list(tokens)
        prints = self.plan.fingerprints(start, stop)
        return [(token, made) if made else token for token, made in zip(tokens, prints, strict=True)]

    def key(self, block: int, size: int) -> Key:
        """H(previous key, tokens, what interventions wrote at each position)."""
        while len(self._keys) <= block:
            start = len(self._keys) * size
            root = b"" if self.pace is None else self.pace.root
            state = hashlib.sha256(self._keys[-1] if self._keys else root)
            state.update(repr(self.items(start, start + size)).encode())
            self._keys.append(state.digest())
        return self._keys[block]

    def reused(self, positions: int) -> None:
        """The first positions came from the cache."""
        self.reused_positions.update(range(self.seen, positions))
        if self.seen == 0:
            self.cached = min(positions, self.n_prompt)
        self.seen = max(self.seen, positions)

    def _span(self, start: int, stop: int, phase: Phase) -> Span:
        return Span(
            start=start,
            stop=stop,
            role="assistant",
            phase=phase,
            author=self.request.speaker,
            turn=self.request.turn,
            origin="sampled",
            generated=True,
        )

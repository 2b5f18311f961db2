"""One request on its way through the loop: its sequences, its growing text, and where its pieces go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from symposia.core.capture import ActivationRef
from symposia.core.message import FinishReason
from symposia.core.profile import Sampling
from symposia.core.request import Completion, Delta

from .detokenise import Detokeniser
from .logprobs import Columns
from .model import Model
from .sampler import Draw
from .sequence import Sequence
from .stops import Shown, Stream, shown_phase
from .thinking import Allowance

Item = Delta | Completion | BaseException
Outlet = Callable[[Item], None]


@dataclass(eq=False)
class Job:
    """`sequences`: one, or one for each of the request's `choices`; the others share the prompt of the `first`.

    `put` takes pieces in the loop's thread. `forced` tokens are taken instead of sampled ones, and end the turn.
    """

    sequences: tuple[Sequence, ...]
    model: Model
    put: Outlet
    forced: tuple[int, ...] = ()
    first: Sequence = field(init=False)
    stream: Stream = field(init=False)
    columns: Columns | None = field(init=False, default=None)
    totals: list[float] = field(init=False)
    allowance: Allowance | None = field(init=False, default=None)
    queued: int = 0
    done: bool = False
    stored: tuple[ActivationRef, ...] = ()  # by its completion
    _shown: Shown = "answer"
    _always: Draw | None = field(init=False, default=None)  # of a greedy row that looks at its logits only

    def __post_init__(self) -> None:
        self.first = self.sequences[0]
        request = self.first.request
        detokeniser = Detokeniser(self.model.tokenizer)
        self.stream = Stream(detokeniser, request.sampling.stop, request.stop_after)
        self.totals = [0.0] * len(self.sequences)
        if request.logprobs is not None:
            self.columns = Columns(request.logprobs)
        if request.sampling.thinking_budget is not None:
            closing = self.model.template.closing(self.first.rendered)
            self.allowance = Allowance(request.sampling.thinking_budget, closing)

    @property
    def complete(self) -> bool:
        """Whether every sequence has ended and been forwarded as far as it must."""
        if self.first.finish is None:
            return False
        return all(s.finish is not None and s.computed >= s.known for s in self.sequences)

    def given(self) -> int | None:
        """The next token, where it is not sampled but follows: it is forced, or thinking is over its budget."""
        if self.first.n_made < len(self.forced):
            return self.forced[self.first.n_made]
        return None if self.allowance is None else self.allowance.given(self.first.tracker.next_phase)

    def draw(self) -> Draw:
        """What the next draw depends on. Raises `BackendError` when a grammar gives up."""
        if self._always is not None:
            return self._always
        sequence, request = self.first, self.first.request
        early = sequence.n_made < request.sampling.min_tokens
        ends = sorted(self.model.ends | set(request.sampling.stop_token_ids)) if early else ()
        grammar = sequence.grammar
        made = Draw(
            sampling=request.sampling,
            seed=request.seed,
            index=sequence.n_made,
            prompt=sequence.rendered.token_ids,
            made=sequence.token_ids[sequence.n_prompt :] if _looks_back(request.sampling) else (),
            banned=(*ends, *self._uncalled()) if grammar is None else (),
            allowed=None if grammar is None else grammar.allowed(ends),
        )
        if _is_steady(request.sampling) and not early and grammar is None:
            self._always = made
        return made

    def _uncalled(self) -> tuple[int, ...]:
        """What begins a call, where none may come."""
        request = self.first.request
        if not request.told or request.tool_choice != "none":
            return ()
        return tuple(i for i in self.model.template.call_tokens if i < self.model.shape.vocabulary)

    def take(self, token_id: int, logits_BV: Tensor, row: int) -> None:
        """A row's token, sampled or given: grows the text, decides whether the turn is over. Raises as `draw` does."""
        sequence = self.first
        if sequence.grammar is not None:
            sequence.grammar.take(token_id)
        if self.columns is not None:
            self.columns.add(logits_BV[row], token_id)
        phase = sequence.append(token_id)
        if self.allowance is not None:
            self.allowance.take(phase)
        sequence.sampled += 1
        self._shown = shown_phase(phase, self._shown, sequence.tracker.next_phase)
        reason = self._reason(token_id)
        sequence.settle(ended=reason is not None)
        if reason is not None:
            sequence.end(reason, self.stream.kept)

    def flush(self) -> None:
        """Hand over what has become certain since the last time."""
        for delta in self.stream.release(final=self.first.finish is not None):
            self.put(delta)

    def text(self) -> str:
        """The completion's text."""
        return self.stream.text

    def _reason(self, token_id: int) -> FinishReason | None:
        sequence, sampling = self.first, self.first.request.sampling
        if token_id in self.model.ends or token_id in sampling.stop_token_ids:
            return "stop_string" if self.stream.close(token_id, self._shown) else "stop"
        made = sequence.n_made
        armed = made >= sampling.min_tokens and not self.forced
        if self.stream.push(token_id, self._shown, armed=armed):
            return "stop_string"
        if made >= (len(self.forced) or sampling.max_tokens):
            return "stop_string" if self.stream.close() else "length"
        return None


def _is_steady(sampling: Sampling) -> bool:
    """Whether each draw depends on its logits only."""
    return sampling.temperature == 0 and not _looks_back(sampling)


def _looks_back(sampling: Sampling) -> bool:
    """Whether a draw depends on what was made before."""
    return (
        sampling.repetition_penalty != 1.0
        or sampling.presence_penalty != 0.0
        or sampling.frequency_penalty != 0.0
    )

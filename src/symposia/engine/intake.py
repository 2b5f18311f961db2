"""From a request to sequences, with every refusal before the first token."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence as Seq

from symposia.core.errors import BackendError, ContextOverflow, InvalidInput, UnsupportedRequest
from symposia.core.features import refuse_unsupported
from symposia.core.request import Request
from symposia.core.span import Phase, Span
from symposia.core.value import checked
from symposia.interp.acts.store import ActivationStore
from symposia.interp.bind import Binder, Wish
from symposia.interp.library import Library
from symposia.interp.select import Scene

from .grammar import INSTALL, GrammarState, installed
from .model import Model
from .sequence import Sequence
from .template import Rendered


class Intake:
    """Checks and renders; holds nothing of a request afterwards."""

    def __init__(self, model: Model, library: Library, store: ActivationStore, capacity: int) -> None:
        """`capacity`: positions that fit into the K/V cache at all."""
        self._model, self._capacity = model, capacity
        self._binder = Binder(model.shape, model.sites, library, store)
        self._number = itertools.count()

    def open(self, request: Request, free_bytes: int) -> tuple[Sequence, ...]:
        """One sequence, or one for each of `choices`. Raises before anything is queued."""
        request = checked(request)
        self._refuse(request)
        rendered = self._model.template.render(request)
        choices = [self._encode(choice) for choice in request.choices]
        grammar = self._grammar(request, rendered)
        self._check_fits(request, rendered, choices)
        if choices:
            return tuple(self._scored(request, rendered, ids) for ids in choices)
        sequence = self._sampled(request, rendered, free_bytes)
        sequence.grammar = grammar
        return (sequence,)

    def _refuse(self, request: Request) -> None:
        shapes = {"force": request.force, "schema": request.schema}
        for feature in (name for name, asked in shapes.items() if asked is not None and not installed()):
            raise UnsupportedRequest(
                endpoint="engine",
                model=request.model,
                feature=feature,
                why="llguidance is not installed",
                way_out=INSTALL,
            )
        refuse_unsupported(request, self._model.card(request.model), "engine")
        if request.captures and request.choices:
            raise UnsupportedRequest(
                endpoint="engine",
                model=request.model,
                feature="captures with choices",
                way_out="leave one of them out",
            )
        if request.sampling.thinking_budget is not None and self._model.template.facts.marks.think is None:
            raise UnsupportedRequest(
                endpoint="engine",
                model=request.model,
                feature="thinking_budget",
                why="its chat template shows no thinking",
                way_out="leave it out",
            )
        vocabulary = self._model.shape.vocabulary
        for token_id in (*request.sampling.stop_token_ids, *(i for i, _ in request.sampling.logit_bias)):
            if not 0 <= token_id < vocabulary:
                raise InvalidInput(f"token id {token_id}: expected 0..{vocabulary - 1}")
        if request.logprobs is not None and not 0 <= request.logprobs <= vocabulary:
            raise InvalidInput(f"logprobs={request.logprobs}: expected 0..{vocabulary}")

    def _encode(self, choice: str) -> list[int]:
        ids: list[int] = self._model.tokenizer.encode(choice, add_special_tokens=False)
        if not ids:
            raise InvalidInput(f"choice {choice!r} has no tokens; give at least one character")
        return ids

    def _grammar(self, request: Request, rendered: Rendered) -> GrammarState | None:
        if request.force is None and request.schema is None:
            return None
        form = self._model.template.grammar(request, rendered, self._model.ends)
        return self._model.grammars.begin(form)

    def _check_fits(self, request: Request, rendered: Rendered, choices: Seq[Seq[int]]) -> None:
        prompt = len(rendered.token_ids)
        reserve = max(map(len, choices)) if choices else request.sampling.max_tokens
        if prompt + reserve > self._model.window:
            raise ContextOverflow(
                tokens=prompt,
                limit=self._model.window,
                speaker=request.speaker,
                reserve=reserve,
                largest=_largest(rendered.spans),
            )
        if prompt + reserve > self._capacity:
            raise BackendError(
                f"{prompt} prompt tokens and {reserve} to make can never fit the K/V cache of {self._capacity} "
                "positions; give the engine more kv_bytes",
                cause="too_large",
            )
        if not prompt:
            raise InvalidInput("the prompt has no tokens; say at least one line")

    def _sampled(self, request: Request, rendered: Rendered, free_bytes: int) -> Sequence:
        read = request.sampling.max_tokens == 0
        sequence = self._sequence(request, rendered, free_bytes, makes=not read)
        if read:
            sequence.finish = "length"
        return sequence

    def _scored(self, request: Request, rendered: Rendered, ids: Seq[int]) -> Sequence:
        sequence = self._sequence(request, rendered, 0, makes=True)
        for i, token_id in enumerate(ids):
            sequence.append(token_id)
            sequence.settle(ended=i == len(ids) - 1)
        sequence.finish = "stop"
        return sequence

    def _sequence(self, request: Request, rendered: Rendered, free_bytes: int, *, makes: bool) -> Sequence:
        tracker = self._model.template.tracker(rendered)
        scene = self.scene(request, rendered)
        wish = Wish(
            interventions=request.interventions,
            captures=request.captures,
            history=request.history,
            past=request.past,
            following=_next(request, len(rendered.token_ids), tracker.next_phase) if makes else None,
            may_make=request.sampling.max_tokens,
        )
        plan = self._binder.bind(wish, scene, free_bytes)
        return Sequence(next(self._number), request, rendered, tracker, plan, scene)

    def scene(self, request: Request, rendered: Rendered) -> Scene:
        """The prompt as selectors see it."""
        return Scene(
            spans=rendered.spans,
            token_ids=rendered.token_ids,
            reader=request.speaker,
            turn=request.turn,
            specials=self._model.specials,
            find=rendered.find,
        )


def _largest(spans: tuple[Span, ...]) -> tuple[str, ...]:
    """The three turns with most tokens, for people."""
    sizes: Counter[str] = Counter()
    for span in spans:
        if span.phase != "markup":
            sizes[f"{span.author or span.role}, turn {'-' if span.turn is None else span.turn}"] += len(span)
    return tuple(f"{name}: {n} tokens" for name, n in sizes.most_common(3))


def _next(request: Request, position: int, phase: Phase) -> Span:
    return Span(
        start=position,
        stop=position + 1,
        role="assistant",
        phase=phase,
        author=request.speaker,
        turn=request.turn,
        origin="sampled",
        generated=True,
    )

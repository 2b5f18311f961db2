"""What a patched run is judged by: one number for each run, asked of a white-box backend."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import msgspec
from torch import Tensor

from symposia.core.capture import Capture, Project
from symposia.core.errors import InvalidInput
from symposia.core.positions import Positions, Range, Where
from symposia.core.profile import Sampling
from symposia.core.request import Backend, Completion, Prompt, Request
from symposia.core.value import Value

from .acts.store import ActivationStore
from .library import Library
from .taps import WhiteBox

_AT_ONCE = 64
_LAST = Positions(any=(Where(tokens=(Range(-1, None),), within="sequence", special=True, made="given"),))


class LogitDiff(Value, frozen=True, tag_field="metric", tag="logit_diff"):
    """log p(a) - log p(b) of two continuations; for single tokens the difference of their logits."""

    a: str
    b: str


class Logprob(Value, frozen=True, tag_field="metric", tag="logprob"):
    """log p of a continuation."""

    text: str


class KlToClean(Value, frozen=True, tag_field="metric", tag="kl_to_clean"):
    """-KL(clean ‖ run) of the next token, in nats: 0 where a run is as the clean one."""


class ReadoutOf(Value, frozen=True, tag_field="metric", tag="readout"):
    """Projection of the last position's residual on a vector at a layer."""

    vector: str
    layer: int


Metric = LogitDiff | Logprob | KlToClean | ReadoutOf


class Model:
    """A white-box backend and its store; a bounded number of requests at a time.

    `inside` spells tokens and lends the module: aligning by text, and `estimate`, need it. `library` holds the vectors
    of `ReadoutOf`, for `estimate`.
    """

    def __init__(
        self,
        backend: Backend,
        store: ActivationStore,
        inside: WhiteBox | None = None,
        *,
        library: Library | None = None,
    ) -> None:
        self.backend, self.store, self._inside = backend, store, inside
        self.library = Library() if library is None else library
        self._gate = asyncio.Semaphore(_AT_ONCE)

    @property
    def name(self) -> str:
        """The address that requests carry."""
        return self.inside.shape.name

    @property
    def inside(self) -> WhiteBox:
        """The model's inside. `InvalidInput` if none was given."""
        if self._inside is None:
            raise InvalidInput("this needs the model's inside: Model(backend, store, inside=engine)")
        return self._inside

    @property
    def spells(self) -> WhiteBox | None:
        """What spells its tokens, if anything does."""
        return self._inside

    async def read(self, request: Request, captures: tuple[Capture, ...]) -> Completion:
        """The request's prompt, forwarded without sampling."""
        sampling = Sampling(max_tokens=0)
        return await self.ask(
            msgspec.structs.replace(request, sampling=sampling, captures=captures, choices=())
        )

    async def render(self, request: Request) -> Prompt:
        """Its prompt, without a forward."""
        return await self.backend.render(request)

    async def ask(self, request: Request) -> Completion:
        """One request's completion."""
        async with self._gate:
            async for item in self.backend.generate(request):
                if isinstance(item, Completion):
                    return item
        raise AssertionError("a stream ends in a completion")


@dataclass(frozen=True)
class Scorer:
    """A metric of runs; `clean_V` are the clean run's log-probabilities, for `KlToClean`."""

    metric: Metric
    model: Model
    clean_V: Tensor | None = None

    @classmethod
    async def of(cls, metric: Metric, clean: Request, model: Model) -> Scorer:
        """Ready to score runs against the clean one."""
        if not isinstance(metric, KlToClean):
            return cls(metric, model)
        return cls(metric, model, await _logits(clean, model))

    async def score(self, request: Request) -> float:
        """The metric of a run."""
        match self.metric:
            case LogitDiff(a=a, b=b):
                one, other = await self._scores(request, (a, b))
                return one - other
            case Logprob(text=text):
                [one] = await self._scores(request, (text,))
                return one
            case ReadoutOf(vector=vector, layer=layer):
                capture = Capture(layers=(layer,), where=_LAST, reduce=Project(vector))
                done = await self.model.read(request, (capture,))
                return done.readouts[0].values[-1]
            case KlToClean():
                assert self.clean_V is not None
                ours_V = await _logits(request, self.model)
                return -float((self.clean_V.exp() * (self.clean_V - ours_V)).sum())

    async def _scores(self, request: Request, choices: tuple[str, ...]) -> tuple[float, ...]:
        asked = msgspec.structs.replace(request, choices=choices, captures=(), logprobs=None)
        done = await self.model.ask(asked)
        assert done.scores is not None
        return done.scores.logprobs


async def _logits(request: Request, model: Model) -> Tensor:
    """Log-probabilities `[V]` of the next token, fp64."""
    done = await model.read(request, (Capture(site="logits", where=_LAST),))
    logits_V = model.store.at(done.activations[0])[-1].double()
    model.store.drop(done.activations)
    return logits_V.log_softmax(dim=0)

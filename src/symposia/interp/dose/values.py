"""What is tried, what one sample shows, and what they amount to: plain values, as they stand in `dose.json`."""

from __future__ import annotations

from statistics import harmonic_mean
from typing import Annotated, Literal

from msgspec import Meta

from symposia.core.capture import Readout
from symposia.core.degenerate import Degenerate
from symposia.core.errors import InvalidInput
from symposia.core.intervention import Add, Intervention, Schedule, Unit
from symposia.core.positions import Positions, speaking
from symposia.core.profile import Sampling
from symposia.core.request import Request
from symposia.core.value import Count, Value
from symposia.interp.contrast import ContrastPair
from symposia.interp.prompts import Prompt, Question

SCALES = (0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.5, 3.0, 4.0, 5.0)
"""The factors of AxBench (arXiv 2501.17148)."""

Kind = Literal["base", "vector", "wrong_sign", "random", "matched", "prompt"]
Share = Annotated[float, Meta(ge=0, le=1)]


class Push(Value, frozen=True, kw_only=True):
    """How a vector is added, but for its scale. `layers=()` are the vector's own."""

    layers: tuple[Count, ...] = ()
    unit: Unit = "fitted"
    where: Positions = speaking()
    schedule: Schedule | None = None
    norm: Literal["free", "keep", "no_growth"] = "free"

    def of(self, vector: str, scale: float, name: str) -> Add:
        """The intervention."""
        return Add(
            vector=vector,
            scale=scale,
            name=name,
            layers=self.layers,
            unit=self.unit,
            where=self.where,
            schedule=self.schedule,
            norm=self.norm,
        )


class Design(Value, frozen=True, kw_only=True):
    """What is tried. Every configuration answers every prompt with the same `seeds` seeds.

    Baselines: `trait` as system text (`""`: left out); `random` isotropic directions; `matched` directions between
    random halves of `pairs`, the data the vector was fitted on (none: left out); the `wrong_sign`. All pushes are
    equally long. `questions` measure what else is lost. A scale may be chosen if its text is at most `worse` times as
    perplexing as the base's. `judged_by` names a score function of one's own: samples are kept under it.
    """

    scales: tuple[Annotated[float, Meta(ge=0)], ...] = SCALES
    seeds: Annotated[int, Meta(ge=1)] = 3
    sampling: Sampling = Sampling(temperature=0.8, max_tokens=96)
    trait: str = ""
    random: Count = 5
    matched: Count = 2
    wrong_sign: bool = True
    pairs: tuple[ContrastPair, ...] = ()
    questions: tuple[Question, ...] = ()
    worse: Annotated[float, Meta(ge=1)] = 2.0
    judged_by: str = ""

    def __post_init__(self) -> None:
        if not self.scales or len(set(self.scales)) != len(self.scales) or min(self.scales) < 0:
            raise InvalidInput(
                f"scales: expected distinct ones of 0 and above; got {list(self.scales)} (wrong_sign negates them)"
            )
        if self.sampling.max_tokens == 0:
            raise InvalidInput("max_tokens=0 says nothing; expected at least one token a sample")


class Configuration(Value, frozen=True, kw_only=True):
    """One arm: its interventions, or a system text. `index` counts directions of a kind."""

    kind: Kind
    scale: float = 0.0
    index: Count = 0
    interventions: tuple[Intervention, ...] = ()
    system: str = ""


class Scores(Value, frozen=True, kw_only=True):
    """What a judge says of one sample: 0 to 2 each, or the measure of a scorer of ours as `concept` alone.

    A verdict that could not be read says why in `unreadable`, and is counted, never scored.
    """

    concept: float | None = None
    instruct: float | None = None
    fluency: float | None = None
    unreadable: str = ""

    def __post_init__(self) -> None:
        if (self.concept is None) == (not self.unreadable):
            raise InvalidInput(f"scores are a concept, or why there is none (unreadable); got {self!r}")

    @property
    def score(self) -> float | None:
        """Harmonic mean of the three, where there are three; else the concept."""
        parts = [part for part in (self.concept, self.instruct, self.fluency) if part is not None]
        return float(harmonic_mean(parts)) if len(parts) == 3 else self.concept


class Sample(Value, frozen=True, kw_only=True):
    """What a score function is given: the request as it was asked, and the reply's text.

    `readouts` are those of the clean model reading the reply, where the score is a readout.
    """

    configuration: Configuration
    prompt: Prompt
    seed: Count
    request: Request
    text: str
    readouts: tuple[Readout, ...] = ()


class SampleRow(Value, frozen=True, kw_only=True, tag_field="row", tag="sample"):
    """One sample measured; a line of `dose.jsonl`.

    `nats` and `kl` are means over its `tokens`; None where the template does not show the reply as it was made.
    """

    key: str
    kind: Kind
    scale: float
    index: Count
    prompt: str
    seed: Count
    text: str
    tokens: Count
    nats: float | None
    kl: float | None
    degenerate: Degenerate | None
    applied: bool | None
    scores: Scores


class AnswerRow(Value, frozen=True, kw_only=True, tag_field="row", tag="answer"):
    """One question answered by the logprob of its options."""

    key: str
    kind: Kind
    scale: float
    index: Count
    question: str
    right: bool


Row = SampleRow | AnswerRow


class Column(Value, frozen=True, kw_only=True):
    """A mean of per-prompt means over `n` prompts, with its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float
    n: Count


class Response(Value, frozen=True, kw_only=True):
    """What the samples of one arm amount to.

    `directions`: how many were averaged; `spread`: the lowest and highest concept of one of them.
    `perplexity`: exp of the mean surprisal of its text under the clean model; `kl`: mean per-token KL(as made ‖ clean).
    `anti`: share of prompts whose change against base, same seed, has the wrong sign. Shares are of samples.
    """

    kind: Kind
    scale: float
    samples: Count
    directions: Count = 1
    concept: Column | None
    instruct: Column | None = None
    fluency: Column | None = None
    score: Column | None
    spread: tuple[float, float] | None = None
    unreadable: Count
    perplexity: float | None
    kl: float | None
    empty: Share
    loop: Share
    salad: Share
    anti: Share | None
    capability: Column | None
    applied: Share | None

    @property
    def degenerate(self) -> float:
        """Share that is empty, a loop or a salad; no sample is more than one of them."""
        return self.empty + self.loop + self.salad


class Choice(Value, frozen=True, kw_only=True):
    """The scale with the best score on half A of the prompts; what it and the baselines do on half B."""

    scale: float
    tried: Count
    on_a: Response
    on_b: tuple[Response, ...]


class Dose(Value, frozen=True, kw_only=True):
    """The whole evaluation. `chosen`: None where no scale keeps the text readable. `left_out`: missing baselines.

    `cosines`: of the directions of `random` and `matched` with the vector, mean over layers; a push along one of them
    is this much a push along the vector.
    """

    format: Literal["symposia.dose/1"] = "symposia.dose/1"
    vector: str
    name: str
    model: str
    push: Push
    prompts: str
    seeds: Count
    measure: str
    responses: tuple[Response, ...]
    chosen: Choice | None
    tried: Count
    worse: float
    left_out: tuple[str, ...] = ()
    cosines: dict[str, tuple[float, ...]] = {}

    def at(self, kind: Kind, scale: float = 0.0) -> Response | None:
        """The response of an arm on all prompts."""
        return next((r for r in self.responses if (r.kind, r.scale) == (kind, scale)), None)

    def curve(self, kind: Kind) -> tuple[Response, ...]:
        """An arm by rising scale."""
        return tuple(sorted((r for r in self.responses if r.kind == kind), key=lambda r: abs(r.scale)))

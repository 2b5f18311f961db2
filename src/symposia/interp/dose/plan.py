"""Which arms there are, which requests they make, and which prompts choose or report. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from symposia.core.lines import Line, Segment
from symposia.core.profile import Sampling
from symposia.core.request import Request
from symposia.core.value import content_digest
from symposia.interp.contrast import READER
from symposia.interp.prompts import Prompt, Question

from .values import Configuration, Design, Kind, Push


@dataclass(frozen=True)
class Directions:
    """Digests of what is pushed: the vector, random directions, directions between random halves."""

    vector: str
    random: tuple[str, ...] = ()
    matched: tuple[str, ...] = ()


def configurations(design: Design, push: Push, directions: Directions) -> tuple[Configuration, ...]:
    """Every arm. Where the push is nothing, the baselines would be the base, and are not repeated."""
    arms = [Configuration(kind="base")]
    if design.trait:
        arms.append(Configuration(kind="prompt", system=design.trait))
    for scale in sorted(design.scales):
        arms.append(_arm("vector", push, directions.vector, scale))
        if scale == 0:
            continue
        if design.wrong_sign:
            arms.append(_arm("wrong_sign", push, directions.vector, -scale))
        arms += [_arm("random", push, name, scale, index=i) for i, name in enumerate(directions.random)]
        arms += [_arm("matched", push, name, scale, index=i) for i, name in enumerate(directions.matched)]
    return tuple(arms)


@dataclass(frozen=True)
class SampleJob:
    """One prompt, one seed, one arm."""

    key: str
    configuration: Configuration
    prompt: Prompt
    seed: int
    request: Request


@dataclass(frozen=True)
class AnswerJob:
    """One question, one arm."""

    key: str
    configuration: Configuration
    question: Question
    request: Request


@dataclass(frozen=True)
class Asking:
    """What all requests share. `weights` and `scored_by` are in every key: another model or judge is another row."""

    model: str
    weights: str
    scored_by: str
    sampling: Sampling

    def sample(self, arm: Configuration, prompt: Prompt, seed: int) -> SampleJob:
        """The same seed for every arm: what differs is the arm."""
        request = self._request(arm, prompt.lines, self.sampling, _seed(prompt.id, seed))
        parts = (request.digest, self.weights, self.scored_by, msgspec.json.encode(prompt).decode())
        return SampleJob(_key("sample", arm, *parts), arm, prompt, seed, request)

    def answer(self, arm: Configuration, question: Question) -> AnswerJob:
        """The options are scored, nothing is sampled."""
        asked = self._request(arm, question.lines, Sampling(thinking=self.sampling.thinking), 0)
        request = msgspec.structs.replace(asked, choices=question.options)
        key = _key("answer", arm, request.digest, self.weights, str(question.answer))
        return AnswerJob(key, arm, question, request)

    def _request(self, arm: Configuration, lines: tuple[Line, ...], sampling: Sampling, seed: int) -> Request:
        return Request(
            model=self.model,
            lines=told(lines, arm.system),
            speaker=READER,
            turn=len(lines),
            sampling=sampling,
            seed=seed,
            interventions=arm.interventions,
        )


def told(lines: tuple[Line, ...], system: str) -> tuple[Line, ...]:
    """The lines with a system text of their own, after the one there is."""
    if not system:
        return lines
    segment = Segment(text=system, phase="prompt", author="system")
    if lines and lines[0].role == "system":
        gap = Segment(text="\n\n", phase="markup", origin="scripted")
        return (msgspec.structs.replace(lines[0], segments=(*lines[0].segments, gap, segment)), *lines[1:])
    return (Line(role="system", segments=(segment,), kind="framing"), *lines)


def halves(prompts: Sequence[Prompt]) -> tuple[frozenset[str], frozenset[str]]:
    """Ids of half A, which chooses, and half B, which reports; by a hash of the id, as even as can be."""
    ranked = sorted((one.id for one in prompts), key=lambda name: hashlib.sha256(name.encode()).digest())
    return frozenset(ranked[::2]), frozenset(ranked[1::2])


def _arm(kind: Kind, push: Push, vector: str, scale: float, *, index: int = 0) -> Configuration:
    edit = push.of(vector, scale, f"{kind} {index}" if kind in ("random", "matched") else kind)
    return Configuration(kind=kind, scale=scale, index=index, interventions=(edit,))


def _seed(prompt: str, seed: int) -> int:
    return int(hashlib.sha256(f"{prompt}\n{seed}".encode()).hexdigest()[:12], 16)


def _key(what: str, arm: Configuration, *parts: str) -> str:
    return content_digest(msgspec.json.encode([what, arm.kind, arm.scale, arm.index, *parts]))

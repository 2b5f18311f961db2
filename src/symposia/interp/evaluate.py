"""Does a vector work? Every dose and every baseline answers every prompt, all in one batch; one call.

The scale is chosen on one half of the prompts and reported on the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import msgspec

from symposia.core.capture import Capture
from symposia.core.degenerate import degenerate
from symposia.core.errors import InvalidInput
from symposia.core.request import Completion

from .dose.controls import matched_directions, random_directions
from .dose.journal import Journal
from .dose.plan import AnswerJob, Asking, Directions, SampleJob, configurations, halves
from .dose.scores import Judge, Score, measure_of, readings_of, scored_by, scorer
from .dose.statistics import choose, responses
from .dose.values import AnswerRow, Design, Dose, Push, Row, Sample, SampleRow
from .metric import Model
from .prompts import Prompt, check_prompts, prompts_digest
from .reread import AT_ONCE, aloud, reread
from .vector import SteeringVector


async def evaluate(
    vector: SteeringVector,
    prompts: Sequence[Prompt],
    push: Push,
    *,
    model: Model,
    score: Score,
    design: Design = Design(),
    journal: Journal | None = None,
) -> Dose:
    """Dose and response, with every baseline of the design. A journal with rows of the same samples is gone on with.

    Raises `InvalidInput` for fewer than two prompts or a vector that is no direction, and whatever a request raises:
    what was measured before stays in the journal.
    """
    asked = check_prompts(prompts, 2)
    layers = push.layers or vector.layers
    if vector.header.kind != "direction" or not set(layers) <= set(vector.layers):
        raise InvalidInput(
            f"vector {vector.header.name!r} is a {vector.header.kind} of layers {list(vector.layers)}; expected a "
            f"direction at {list(layers)}"
        )
    push = msgspec.structs.replace(push, layers=tuple(layers))
    random, matched = await _controls(vector, layers, design, model)
    known = [model.library.add(each) for each in (vector, *random, *matched)]
    directions = Directions(known[0], tuple(known[1 : 1 + len(random)]), tuple(known[1 + len(random) :]))
    asking = Asking(
        model=model.name,
        weights=model.inside.shape.digest,
        scored_by=scored_by(score, design.judged_by),
        sampling=await aloud(model, design.sampling),
    )
    arms = configurations(design, push, directions)
    samples = [asking.sample(arm, one, seed) for arm in arms for one in asked for seed in range(design.seeds)]
    answers = [asking.answer(arm, question) for arm in arms for question in design.questions]
    kept = journal or Journal()
    await _Run(model, scorer(score, model), readings_of(score), kept).all(samples, answers)
    rows = [kept.rows[key] for key in (*(job.key for job in samples), *(job.key for job in answers))]
    dose = Dose(
        vector=vector.digest,
        name=vector.header.name,
        model=model.name,
        push=push,
        prompts=prompts_digest(asked),
        seeds=design.seeds,
        measure=measure_of(score),
        responses=responses(rows),
        chosen=choose(rows, *halves(asked), worse=design.worse),
        tried=sum(scale > 0 for scale in design.scales),
        worse=design.worse,
        left_out=_left_out(design),
        cosines={
            name: tuple(_cosine(vector, each, layers) for each in group)
            for name, group in (("random", random), ("matched", matched))
            if group
        },
    )
    kept.finish(dose)
    return dose


def _left_out(design: Design) -> tuple[str, ...]:
    there = {
        "prompt": bool(design.trait),
        "random": bool(design.random),
        "matched": bool(design.pairs and design.matched),
        "wrong_sign": design.wrong_sign,
    }
    return tuple(name for name, given in there.items() if not given)


async def _controls(
    vector: SteeringVector, layers: Sequence[int], design: Design, model: Model
) -> tuple[list[SteeringVector], list[SteeringVector]]:
    """Random directions, and those between random halves of the data where there is any."""
    random = [random_directions(vector, layers, seed) for seed in range(design.random)]
    seeds = range(design.matched if design.pairs else 0)
    matched = [await matched_directions(vector, layers, design.pairs, seed, model=model) for seed in seeds]
    return random, matched


def _cosine(vector: SteeringVector, other: SteeringVector, layers: Sequence[int]) -> float:
    return fmean(float(vector.directions[i] @ other.directions[i]) for i in layers)


@dataclass(frozen=True)
class _Run:
    """Makes what the journal does not hold yet.

    If one sample fails, those under way are finished and kept, and no more are begun.
    """

    model: Model
    judge: Judge
    readings: tuple[Capture, ...]
    journal: Journal

    async def all(self, samples: Sequence[SampleJob], answers: Sequence[AnswerJob]) -> None:
        """Every job, a bounded number at a time, in the engine's one batch."""
        gate = asyncio.Semaphore(AT_ONCE)
        made = self.journal.rows
        jobs: list[Coroutine[Any, Any, Row]] = [self._sample(job) for job in samples if job.key not in made]
        jobs += [self._answer(job) for job in answers if job.key not in made]
        failed = asyncio.Event()

        async def through(job: Coroutine[Any, Any, Row]) -> None:
            async with gate:
                if failed.is_set():
                    job.close()
                    return
                row = None
                try:
                    row = await job
                finally:
                    if row is None:
                        failed.set()
                self.journal.add(row)

        ended = await asyncio.gather(*map(through, jobs), return_exceptions=True)
        if errors := [each for each in ended if each is not None]:
            raise errors[0]

    async def _sample(self, job: SampleJob) -> SampleRow:
        arm = job.configuration
        made = await reread(self.model, job.request, job.prompt.lines, readings=self.readings)
        done = made.completion
        sample = Sample(
            configuration=arm,
            prompt=job.prompt,
            seed=job.seed,
            request=job.request,
            text=done.text,
            readouts=made.readouts,
        )
        scores = await self.judge(sample)
        return SampleRow(
            key=job.key,
            kind=arm.kind,
            scale=arm.scale,
            index=arm.index,
            prompt=job.prompt.id,
            seed=job.seed,
            text=done.text,
            tokens=len(done.token_ids),
            nats=_mean(made.nats),
            kl=_mean(made.kl),
            degenerate=degenerate(done.text, done.token_ids),
            applied=_applied(done) if arm.interventions else None,
            scores=scores,
        )

    async def _answer(self, job: AnswerJob) -> AnswerRow:
        arm = job.configuration
        scores = (await self.model.ask(job.request)).scores
        assert scores is not None
        best = max(range(len(scores.logprobs)), key=scores.logprobs.__getitem__)
        return AnswerRow(
            key=job.key,
            kind=arm.kind,
            scale=arm.scale,
            index=arm.index,
            question=job.question.id,
            right=best == job.question.answer,
        )


def _applied(done: Completion) -> bool:
    return bool(done.receipts) and all(receipt.status == "applied" for receipt in done.receipts)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None

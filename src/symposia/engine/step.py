"""One step: schedule, forward, score, sample, deliver. Runs in the loop's thread only.

Axes: B rows whose logits are wanted, V vocabulary.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from torch import Tensor

from symposia.core.capture import ActivationRef
from symposia.core.errors import BackendError, InterventionNotApplied, SelectionMissed, SymposiaError
from symposia.core.request import Completion
from symposia.interp.acts.store import ActivationStore
from symposia.interp.apply import StepWork
from symposia.interp.kit import Kit
from symposia.interp.planner import RowStep

from . import logprobs
from .blocks import BlockPool
from .finish import completion, scored
from .gauges import Gauges
from .job import Item, Job
from .memory import Undo, halves, largest, no_memory, ran_out
from .model import Model
from .options import EngineOptions
from .runner import Batch, RowView
from .sampler import Draw, sample
from .scheduler import Chunk, Scheduler
from .sequence import Sequence

_PATIENCE_S = 0.01


@dataclass(frozen=True)
class _Assembled:
    """A step's forward, and what each wanted row of logits is for."""

    batch: Batch
    work: StepWork
    samples: list[tuple[int, Sequence]]
    scores: list[tuple[int, Sequence, int]]  # row, sequence, position whose next token is scored


class Stepper:
    """The engine's state between steps: who runs, whose K/V is kept, what is written where."""

    def __init__(
        self,
        model: Model,
        store: ActivationStore,
        options: EngineOptions,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.model, self.store = model, store
        self.pool = BlockPool(model.blocks, options.block)
        self.scheduler: Scheduler[Sequence] = Scheduler(
            self.pool, max_rows=options.max_rows, max_tokens=options.max_tokens, reuse=options.reuse
        )
        dtype = logprobs.work_dtype(model.loaded.dtype)
        self.kit = Kit.of(model.sites.widest, dtype, model.loaded.device, writer=model.runner.writer)
        self.healthy = True
        self._jobs: dict[Sequence, Job] = {}
        self._current: list[Chunk[Sequence]] = []
        self._prompt, self._split = 0, 0
        self._talking: dict[Job, None] = {}
        self._clock, self._flushed = clock, clock()

    @property
    def busy(self) -> bool:
        """Whether a step would do anything."""
        return bool(self._jobs)

    def add(self, job: Job) -> None:
        """Queue a job; the other choices of one follow when its prompt is computed."""
        self._queue(job, 1)

    def drop(self, job: Job) -> None:
        """Forget a job, whatever its state; everything it held is free afterwards."""
        if job.done:
            return
        job.done = True
        for sequence in job.sequences:
            if self._jobs.pop(sequence, None) is not None:
                self.scheduler.remove(sequence)
            sequence.plan.close(self.kit.bank, self.kit.ledger)
        if not self._jobs:
            self.kit.planner.forget()

    def cancel(self, job: Job) -> None:
        """Drop a job whose completion nobody took, with the rows it stored."""
        self.drop(job)
        if job.stored:
            self.store.drop(job.stored)
            job.stored = ()

    @property
    def gauges(self) -> Gauges:
        """Counts so far."""
        return Gauges(
            prompt=self._prompt,
            computed=self.scheduler.computed,
            reused=self.scheduler.reused,
            evicted=self.pool.evicted,
            held=self.pool.held,
            blocks=self.pool.count,
            preempted=self.scheduler.preempted,
            split=self._split,
        )

    def step(self) -> None:
        """Advance every scheduled sequence once, those with a pace of their own in forwards of their own."""
        chunks = self._current = self.scheduler.schedule()
        if any(chunk.stop - chunk.start > 1 for chunk in chunks):
            self._flush()  # a prefill takes long
        if self.scheduler.copies:
            self.model.runner.copy(self.scheduler.copies)
        together = [chunk for chunk in chunks if chunk.sequence.pace is None]
        for part in (together, *([chunk] for chunk in chunks if chunk.sequence.pace is not None)):
            self._advance_by(part)

    def _advance_by(self, chunks: list[Chunk[Sequence]]) -> None:
        """One forward. Out of memory: in halves, and then less the largest of a half."""
        if self._try(chunks) is None:
            return
        self._split += 1
        for part in halves(chunks):
            error = self._try(part)
            if error is not None:
                victim = largest(self._current)
                self._end(self._jobs[victim.sequence], no_memory(victim, error))

    def _try(self, chunks: list[Chunk[Sequence]]) -> Exception | None:
        """One forward of what still runs, and all that follows; or, with everything as it was, the want of memory."""
        chunks = self._current = [chunk for chunk in chunks if chunk.sequence in self._jobs]
        if not chunks:
            return None
        undo = Undo(chunks, self.kit.ledger)
        step = self._assemble(chunks)
        undo.counted()
        try:
            with self.model.loaded.lock:
                logits_BV = self.model.runner.forward(step.batch, step.work)
        except (RuntimeError, MemoryError) as error:
            if not ran_out(error):
                raise
            undo()
            return error
        step.work.settle()
        self._advance()
        self._score(step, logits_BV)
        self._sample(step, logits_BV)
        self._finish()
        if self._clock() - self._flushed >= _PATIENCE_S:
            self._flush()
        return None

    def fail(self, error: BaseException) -> None:
        """Fail the requests of the step that broke, or all if it broke while being planned."""
        broken = [chunk.sequence for chunk in self._current] or list(self._jobs)
        self._distrust(error)
        cause = error
        if not isinstance(error, SymposiaError):
            cause = BackendError(
                f"{type(error).__name__} in the engine's step: {error}", cause="engine_error"
            )
            cause.__cause__ = error
        for job in {self._jobs[s] for s in broken if s in self._jobs}:
            self._end(job, cause)

    def fail_all(self, error: BaseException) -> None:
        """Fail everything queued or running."""
        for job in set(self._jobs.values()):
            self._end(job, error)

    def _queue(self, job: Job, count: int) -> None:
        for sequence in job.sequences[job.queued : count]:
            self._jobs[sequence] = job
            self.scheduler.add(sequence)
            self._prompt += sequence.n_prompt
        job.queued = max(job.queued, count)

    def _assemble(self, chunks: list[Chunk[Sequence]]) -> _Assembled:
        rows: list[RowView] = []
        steps: list[RowStep] = []
        token_ids: list[int] = []
        positions: list[int] = []
        wanted: list[int] = []
        samples: list[tuple[int, Sequence]] = []
        scores: list[tuple[int, Sequence, int]] = []
        for chunk in chunks:
            sequence, offset = chunk.sequence, len(token_ids)
            token_ids.extend(sequence.token_ids[chunk.start : chunk.stop])
            positions.extend(range(chunk.start, chunk.stop))
            rows.append(RowView(offset, chunk.start, chunk.stop, sequence.blocks))
            if not sequence.plan.idle:
                steps.append(RowStep(sequence.plan, chunk.start, chunk.stop, offset, sequence.seen))
            for position in _wanted(sequence, chunk):
                row = len(wanted)
                wanted.append(offset + position - chunk.start)
                if sequence.finish is None:
                    samples.append((row, sequence))
                else:
                    scores.append((row, sequence, position))
        openly = any(chunk.sequence.pace is not None and chunk.sequence.opened for chunk in chunks)
        batch = Batch(token_ids, positions, tuple(rows), wanted, openly)
        return _Assembled(batch, StepWork(steps, self.kit), samples, scores)

    def _advance(self) -> None:
        self.scheduler.advance(self._current)
        for chunk in self._current:
            chunk.sequence.seen = max(chunk.sequence.seen, chunk.stop)

    def _score(self, step: _Assembled, logits_BV: Tensor) -> None:
        if not step.scores:
            return
        rows = [row for row, _, _ in step.scores]
        ids = [sequence.token_ids[position + 1] for _, sequence, position in step.scores]
        for (_, sequence, _), value in zip(step.scores, logprobs.chosen(logits_BV[rows], ids), strict=True):
            if sequence.request.choices:
                job = self._jobs[sequence]
                job.totals[job.sequences.index(sequence)] += value
            else:
                sequence.prompt_logprobs.append(value)

    def _sample(self, step: _Assembled, logits_BV: Tensor) -> None:
        if not step.samples:
            return
        jobs = [(row, self._jobs[sequence]) for row, sequence in step.samples]
        given = [(row, job, token_id) for row, job in jobs if (token_id := job.given()) is not None]
        held = {row for row, _, _ in given}
        drawing = [
            (row, job, draw) for row, job in jobs if row not in held and (draw := self._draw(job)) is not None
        ]
        rows = [row for row, _, _ in drawing]
        picked_BV = logits_BV if rows == list(range(len(logits_BV))) else logits_BV[rows]
        ids = sample(picked_BV, [draw for _, _, draw in drawing]) if rows else []
        taken = [(row, job, token_id) for (row, job, _), token_id in zip(drawing, ids, strict=True)]
        for row, job, token_id in given + taken:
            try:
                job.take(token_id, logits_BV, row)
                self._talking[job] = None
            except BackendError as error:
                self._end(job, error)

    def _draw(self, job: Job) -> Draw | None:
        """What a job's draw depends on; None where its grammar gave up, and it has failed alone."""
        try:
            return job.draw()
        except BackendError as error:
            self._end(job, error)
            return None

    def _finish(self) -> None:
        for chunk in self._current:
            job = self._jobs.get(chunk.sequence)
            if job is None:
                continue
            if job.complete:
                self._end(job, self._completed(job))
            elif job.queued < len(job.sequences) and chunk.stop >= job.first.n_prompt:
                self._queue(job, len(job.sequences))

    def _completed(self, job: Job) -> Item:
        try:
            if job.first.request.choices:
                return scored(job.sequences, self.model, self.kit.ledger, job.totals)
            made = job.first.token_ids[job.first.n_prompt :]
            columns = (
                job.columns.cut(made, job.first.prompt_logprobs, self.model.tokenizer)
                if job.columns
                else None
            )
            return completion(job.first, self.model, self.kit.ledger, self.store, job.text(), columns)
        except SymposiaError as error:
            self._distrust(error)
            return error

    def _distrust(self, error: BaseException) -> None:
        """A write that was not counted may have left K/V under a key it does not deserve: no prefix is reused again."""
        if isinstance(error, InterventionNotApplied):
            self.healthy = False
            self.pool.forget()

    def _end(self, job: Job, item: Item) -> None:
        self.drop(job)
        self._talking.pop(job, None)
        job.flush()
        refs = job.stored = _named(item)
        if refs:
            self.store.when_kept(refs, lambda lost: job.put(item if lost is None else lost))
        else:
            job.put(item)

    def _flush(self) -> None:
        """Hand over what was said. Not at every step: waking a caller for each token costs more than a small step."""
        for job in self._talking:
            job.flush()
        self._talking.clear()
        self._flushed = self._clock()


def _named(item: Item) -> tuple[ActivationRef, ...]:
    """Stored rows that an item speaks of: it waits until they are kept."""
    match item:
        case Completion(activations=refs) | SelectionMissed(completion=Completion(activations=refs)):
            return refs
    return ()


def _wanted(sequence: Sequence, chunk: Chunk[Sequence]) -> Iterable[int]:
    """Positions of a chunk whose logits are needed."""
    if sequence.finish is None:
        return [chunk.stop - 1] if chunk.stop == sequence.known else []
    if sequence.request.choices:
        first = sequence.n_prompt - 1
    elif sequence.reads_prompt:
        first = 0
    else:
        return []
    last = len(sequence.token_ids) - 1
    return range(max(first, chunk.start, sequence.seen), min(chunk.stop, last))

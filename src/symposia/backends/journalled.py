"""A backend that generates nothing twice: what its journal holds is answered from there.

Equal digests are equal asks: the same model, lines, sampling and seed. With a run's journal, the same command again
goes on where it was stopped, however it was stopped.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from itertools import count
from typing import Literal

from symposia.core.clock import Clock, SystemClock
from symposia.core.errors import BackendError
from symposia.core.request import Backend, Completion, Delta, Item, ModelCard, Prompt, Request

from .journal import Generation, Journal

Ask = tuple[str, int]


class Journalled:
    """`backend`, asked only for what `journal` does not hold; a completion is durable before it is delivered.

    Equal requests are asked once, at the same time or later. With `again="next"` they are new draws instead: the k-th
    equal request of this backend gets the k-th completion. Only completions are kept: what failed, was refused or was
    cancelled is asked again. A kept reply is one delta. `calls` counts what `backend` was asked, `kept` what it was
    not.
    """

    def __init__(
        self,
        backend: Backend,
        journal: Journal,
        *,
        again: Literal["same", "next"] = "same",
        clock: Clock | None = None,
    ) -> None:
        self._backend, self._journal = backend, journal
        self._clock = SystemClock() if clock is None else clock
        self._drawn: dict[str, set[int]] | None = {} if again == "next" else None
        self._under_way: dict[Ask, asyncio.Future[None]] = {}
        self.calls = self.kept = 0

    async def describe(self, model: str) -> ModelCard:
        """What the backend says."""
        return await self._backend.describe(model)

    async def render(self, request: Request) -> Prompt:
        """What the backend renders."""
        return await self._backend.render(request)

    async def generate(self, request: Request) -> AsyncIterator[Item]:
        """The kept completion, or what the backend generates, kept."""
        digest = request.digest
        ask = (digest, self._draw(digest))
        try:
            while (known := await self._journal.find(*ask)) is None:
                if ask not in self._under_way:
                    break
                await asyncio.shield(self._under_way[ask])
            if known is None:
                self.calls += 1
                async with aclosing(self._asked(ask, request)) as fresh:
                    async for item in fresh:
                        yield item
                return
        except BaseException:
            self._undraw(*ask)
            raise
        self.kept += 1
        if known.completion.text:
            yield _whole(known.completion)
        yield known.completion

    async def _asked(self, ask: Ask, request: Request) -> AsyncGenerator[Item]:
        """What the backend generates; the completion once its stream has ended and it is kept."""
        done = self._under_way[ask] = asyncio.get_running_loop().create_future()
        completion: Completion | None = None
        began_s = self._clock.monotonic()
        stream = self._backend.generate(request)
        try:
            async for item in stream:
                if completion is not None:
                    raise BackendError("the stream went on after its completion", cause="bad_response")
                if isinstance(item, Completion):
                    completion = item
                else:
                    yield item
            if completion is not None:
                await self._journal.add(self._generation(ask, request, completion, began_s))
        finally:
            del self._under_way[ask]
            done.set_result(None)
            if isinstance(stream, AsyncGenerator):
                await stream.aclose()
        if completion is None:
            raise BackendError("the stream ended without a completion", cause="stream_truncated")
        yield completion

    def _generation(self, ask: Ask, request: Request, completion: Completion, began_s: float) -> Generation:
        return Generation(
            request=ask[0],
            draw=ask[1],
            about=request.about,
            at=self._clock.time(),
            took_s=self._clock.monotonic() - began_s,
            completion=completion,
        )

    def _draw(self, digest: str) -> int:
        """The first draw that nobody took."""
        if self._drawn is None:
            return 0
        taken = self._drawn.setdefault(digest, set())
        draw = next(k for k in count() if k not in taken)
        taken.add(draw)
        return draw

    def _undraw(self, digest: str, draw: int) -> None:
        """A draw that gave nothing is taken again."""
        if self._drawn is not None and not self._journal.holds(digest, draw):
            self._drawn[digest].discard(draw)


def _whole(completion: Completion) -> Delta:
    """A kept reply as one piece, so that whoever shows it reads it as it was read."""
    phase: Literal["answer", "reasoning"] = "reasoning" if completion.opens_thinking else "answer"
    return Delta(text=completion.text, phase=phase, token_ids=completion.token_ids)

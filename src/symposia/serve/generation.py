"""Choices made side by side: a task each drives the backend; one place holds what came, and wakes who waits for it.

That happens at news, at the end of a choice, and at `stop` from outside; what came together is taken together.
Closing cancels what still runs, and with it the sequence or the upstream connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

from symposia.core.errors import BackendError
from symposia.core.request import Backend, Completion, Delta, Item, Request, Retrying

HELD = 4_096
"""Pieces that may wait for a slow reader before the backend is no longer listened to."""
_BYTES_PER_TOKEN = 3
_LINGER_S = 1.0  # what a backend may take to put its connection away after a completion

Piece = tuple[int, Delta]


class Generation:
    """The generations of one request, choice i from `requests[i]`. `begin`, then `wait` and `take`, then `aclose`.

    Without `pieces`, deltas are only counted, and nobody is woken by any but the first. With a `clock`, `heard` are
    the deltas of each choice with the time they came, and `ended` the time of its completion.
    """

    def __init__(
        self,
        backend: Backend,
        requests: tuple[Request, ...],
        *,
        pieces: bool,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._backend, self._requests, self._keeps = backend, requests, pieces
        self._tasks: list[asyncio.Task[None]] = []
        self._pieces: list[Piece] = []
        self._news = False
        self._waiter: asyncio.Future[None] | None = None
        self._emptied: asyncio.Event | None = None
        self._ids, self._characters = [0] * len(requests), [0] * len(requests)
        self.completions: dict[int, Completion] = {}
        self.error: BaseException | None = None
        self.items = 0
        self._clock = clock
        self.heard: list[list[tuple[float, Delta]]] = [] if clock is None else [[] for _ in requests]
        self.ended: dict[int, float] = {}

    def begin(self) -> None:
        """Ask the backend for every choice."""
        loop = asyncio.get_running_loop()
        for index, request in enumerate(self._requests):
            task = loop.create_task(self._drive(index, request))
            task.add_done_callback(self._ended)
            self._tasks.append(task)

    @property
    def whole(self) -> bool:
        """Whether every choice has its completion."""
        return len(self.completions) == len(self._requests)

    @property
    def made_tokens(self) -> int:
        """Output tokens so far, as far as can be told: of completions their own count, of the rest what came."""
        return sum(map(self._made, range(len(self._requests))))

    async def wait(self) -> None:
        """Until there is news since the last time."""
        if not self._news:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        self._news = False

    def wake(self) -> None:
        """News: let whoever waits look."""
        self._news = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def take(self) -> list[Piece]:
        """What came since the last time, in order."""
        pieces, self._pieces = self._pieces, []
        if self._emptied is not None:
            self._emptied.set()
        return pieces

    def stop(self, error: BaseException) -> None:
        """End it from outside; the first reason counts, and none does once all is made."""
        if self.error is None and not self.whole:
            self.error = error
            self.wake()

    async def aclose(self) -> None:
        """See every task gone: what still generates is cancelled."""
        running = [task for task in self._tasks if not task.done()]
        if running and self.whole:
            await asyncio.wait(running, timeout=_LINGER_S)
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)
        self._tasks.clear()  # one that was cancelled holds its frames, and they this

    async def _drive(self, index: int, request: Request) -> None:
        stream = self._backend.generate(request)
        try:
            async for item in stream:
                self._came(index, item)
                if len(self._pieces) >= HELD:
                    await self._room()
        finally:
            if isinstance(stream, AsyncGenerator):
                await stream.aclose()
        if index not in self.completions:
            raise BackendError("the stream ended without a completion", cause="stream_truncated")

    def _came(self, index: int, item: Item) -> None:
        if isinstance(item, Retrying):
            return
        if index in self.completions:
            raise BackendError("the stream went on after its completion", cause="bad_response")
        self.items += 1
        if self._clock is not None:
            self._note(index, item, self._clock())
        if isinstance(item, Completion):
            self.completions[index] = item
        else:
            self._ids[index] += len(item.token_ids)
            self._characters[index] += len(item.text)
            if self._keeps:
                self._pieces.append((index, item))
            elif self.items > 1:
                return
        self.wake()

    def _note(self, index: int, item: Delta | Completion, now: float) -> None:
        if isinstance(item, Completion):
            self.ended[index] = now
        else:
            self.heard[index].append((now, item))

    async def _room(self) -> None:
        self._emptied = asyncio.Event()
        await self._emptied.wait()
        self._emptied = None

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A task that ends otherwise than with its completion ends the others' work too."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.error = self.error or error
            self.wake()

    def _made(self, index: int) -> int:
        if index in self.completions:
            return self.completions[index].usage.output_tokens
        return self._ids[index] or -(-self._characters[index] // _BYTES_PER_TOKEN)

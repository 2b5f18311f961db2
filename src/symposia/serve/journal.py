"""From what happens to the event log: a queue in memory, and one thread that writes it down.

Nothing is dropped but an event that no store can hold, and that is told of. While the store cannot be reached, events
wait here; when the queue is full, requests wait for room before they are admitted, and are refused where none comes.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import islice

from symposia.core.clock import Clock
from symposia.core.errors import SymposiaError
from symposia.core.served import ServerEvent
from symposia.core.store import Entry, Store, Unkeepable

CAPACITY = 65_536
BATCH = 1_000
EVERY_S = 0.05
ROOM_S = 1.0
_FINISH_S = 10.0
_AGAIN_S = 0.5

Listener = Callable[[float, ServerEvent], None]
"""Is told of each event as it happens, with its time: metrics, log. It must be quick, and must not raise."""
Beat = Callable[[], None]
"""What else the writing thread does each time, whether or not the store can be reached. It must not raise."""
Spoiled = Callable[[Unkeepable], None]
"""Is told of an event that no store can hold."""


class Journal:
    """Events in, at the log within `EVERY_S`. Close it: what is queued is written first."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        listeners: tuple[Listener, ...] = (),
        beats: tuple[Beat, ...] = (),
        spoiled: Spoiled | None = None,
        capacity: int = CAPACITY,
    ) -> None:
        self._store, self._clock, self._capacity = store, clock, capacity
        self._listeners, self._beats, self._spoiled = list(listeners), beats, spoiled
        self._queue: deque[Entry] = deque()
        self._wake, self._closing = threading.Event(), False
        self._failing_since: float | None = None
        self._thread: threading.Thread | None = None

    def subscribe(self, listener: Listener) -> None:
        """Tell `listener` of every event from now on."""
        self._listeners.append(listener)

    def emit(self, event: ServerEvent, stream: str = "requests") -> None:
        """Note an event; any thread may."""
        now = self._clock.time()
        self._queue.append(Entry(event=event, stream=stream, time=now))
        if len(self._queue) == BATCH:
            self._wake.set()
        for listener in self._listeners:
            listener(now, event)

    @property
    def waiting(self) -> int:
        """How many events are not written yet."""
        return len(self._queue)

    @property
    def full(self) -> bool:
        """Whether a request has to wait for room."""
        return len(self._queue) >= self._capacity

    async def room(self) -> bool:
        """Whether there is room, now or within a second."""
        left = ROOM_S
        while self.full and left > 0:
            await self._clock.sleep(EVERY_S)
            left -= EVERY_S
        return not self.full

    @property
    def failing_s(self) -> float:
        """For how long nothing could be written; 0 while all is well."""
        since = self._failing_since
        return 0.0 if since is None else self._clock.monotonic() - since

    def start(self) -> None:
        """Begin to write."""
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="symposia-journal", daemon=True)
        self._thread.start()

    def flush(self) -> None:
        """Write what is queued, in the caller's thread; only where no thread runs. Raises what the store raises."""
        while self._queue:
            self._write()

    def close(self) -> None:
        """Write what is queued and end the thread. Events that the store does not take within 10 s are lost."""
        self._closing = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(_FINISH_S)
            self._thread = None

    def _run(self) -> None:
        while not (self._closing and not self._queue):
            self._wake.wait(EVERY_S)
            self._wake.clear()
            for beat in self._beats:
                beat()
            try:
                self.flush()
            except (SymposiaError, OSError):
                self._failing_since = self._failing_since or self._clock.monotonic()
                if self._closing:
                    return
                time.sleep(_AGAIN_S)
            else:
                self._failing_since = None

    def _write(self) -> None:
        batch = list(islice(self._queue, BATCH))
        try:
            self._store.extend(batch)
        except Unkeepable:
            self._write_each(batch)
        else:
            for _ in batch:
                self._queue.popleft()

    def _write_each(self, batch: list[Entry]) -> None:
        """One after the other: what cannot be held must not hold up the rest."""
        for entry in batch:
            try:
                self._store.extend([entry])
            except Unkeepable as error:
                if self._spoiled is not None:
                    self._spoiled(error)
            self._queue.popleft()

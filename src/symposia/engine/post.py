"""From the loop's thread to asyncio callers: all that waits for one event loop goes over in one wake-up."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from weakref import WeakKeyDictionary

from .job import Item


class Inbox:
    """One caller's pieces. `put` in any thread; `take` in the caller's event loop only."""

    def __init__(self, route: _Route) -> None:
        self._route = route
        self._items: list[Item] = []
        self._waiter: asyncio.Future[None] | None = None

    def put(self, item: Item) -> None:
        """Send a piece."""
        self._route.send(self, item)

    async def take(self) -> list[Item]:
        """All pieces that have come, at least one, in order."""
        if not self._items:
            self._waiter = self._route.loop.create_future()
            await self._waiter
        items, self._items = self._items, []
        return items

    def receive(self, item: Item) -> None:
        """A piece has crossed; runs in the event loop."""
        self._items.append(item)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class PostOffice:
    """The routes to all event loops that have asked."""

    def __init__(self) -> None:
        self._routes: WeakKeyDictionary[asyncio.AbstractEventLoop, _Route] = WeakKeyDictionary()

    def inbox(self) -> Inbox:
        """An inbox for the running event loop's present task."""
        loop = asyncio.get_running_loop()
        route = self._routes.get(loop)
        if route is None:
            route = self._routes[loop] = _Route(loop)
        return Inbox(route)


class _Route:
    """`_called` is set before the loop is called and unset before it empties the queue: nothing stays unseen."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._queue: deque[tuple[Inbox, Item]] = deque()
        self._called = False

    def send(self, inbox: Inbox, item: Item) -> None:
        self._queue.append((inbox, item))
        if not self._called:
            self._called = True
            with suppress(RuntimeError):  # the caller's event loop is closed: nobody is left to tell
                self.loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        self._called = False
        while self._queue:
            inbox, item = self._queue.popleft()
            inbox.receive(item)

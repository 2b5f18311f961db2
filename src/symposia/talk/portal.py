"""Synchronous calls into the one event-loop thread of the process: works in scripts and inside a running loop alike."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from symposia.core.errors import ConversationBusy

T = TypeVar("T")
LET_GO_S = 10.0


class _Portal:
    """An event loop and its daemon thread, started when first needed and again after a fork."""

    def __init__(self) -> None:
        self.thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()

    def loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or self.thread is None or not self.thread.is_alive():
                self._loop = asyncio.new_event_loop()
                self.thread = threading.Thread(
                    target=self._loop.run_forever, name="symposia-portal", daemon=True
                )
                self.thread.start()
            return self._loop


_PORTAL = _Portal()


def submit(coroutine: Coroutine[Any, Any, T]) -> Future[T]:
    """Run the coroutine on the portal's loop, and do not wait for it. Cancelling the future cancels it."""
    return asyncio.run_coroutine_threadsafe(coroutine, _PORTAL.loop())


def call(coroutine: Coroutine[Any, Any, T]) -> T:
    """The coroutine's result, run on the portal's loop. Ctrl-C cancels it and waits until it has let go."""
    loop = _PORTAL.loop()
    if threading.current_thread() is _PORTAL.thread:
        coroutine.close()
        raise ConversationBusy(
            "a synchronous call was made from inside the loop thread; await its async twin (a…) instead"
        )
    ended = threading.Event()
    future: Future[T] = asyncio.run_coroutine_threadsafe(_until_ended(coroutine, ended), loop)
    try:
        return future.result()
    except KeyboardInterrupt:
        future.cancel()
        ended.wait(LET_GO_S)
        raise


async def _until_ended(coroutine: Coroutine[Any, Any, T], ended: threading.Event) -> T:
    try:
        return await coroutine
    finally:
        ended.set()

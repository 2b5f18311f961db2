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
_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_thread: threading.Thread | None = None


def call(coroutine: Coroutine[Any, Any, T]) -> T:
    """The coroutine's result, run on the portal's loop. Ctrl-C cancels it and waits until it has let go."""
    loop = _running()
    if threading.current_thread() is _thread:
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


def _running() -> asyncio.AbstractEventLoop:
    global _loop, _thread
    with _lock:
        if _loop is None or _thread is None or not _thread.is_alive():
            _loop = asyncio.new_event_loop()
            _thread = threading.Thread(target=_loop.run_forever, name="symposia-portal", daemon=True)
            _thread.start()
        return _loop

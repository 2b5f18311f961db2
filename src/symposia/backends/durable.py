"""Bytes at the end of a file, made durable in groups: a sync on the way takes along whatever came in meanwhile.

A writer thread writes and syncs, so that no event loop waits for a disk. When it fails, the file is cut back to what
was durable, and everything after that is refused.
"""

from __future__ import annotations

import asyncio
import os
import threading
from contextlib import suppress

from symposia.core.errors import NotKept

Waiter = tuple[int, asyncio.AbstractEventLoop, asyncio.Future[None]]


class Appender:
    """Appends to an open file that nobody else writes; closes it."""

    def __init__(self, file: int, name: str) -> None:
        self._file, self._name = file, name
        self.size = self.durable = os.fstat(file).st_size
        self._pending: list[bytes] = []
        self._waiters: list[Waiter] = []
        self._failed: OSError | None = None
        self._closing = False
        self._more = threading.Condition()
        self._thread = threading.Thread(target=self._write_all, name=f"journal {name}", daemon=True)
        self._thread.start()

    def add(self, raw: bytes) -> int:
        """Where `raw` begins in the file; it is durable when `settled` says so."""
        with self._more:
            if self._closing or self._failed:
                raise self._refusal()
            start, self.size = self.size, self.size + len(raw)
            self._pending.append(raw)
            self._more.notify()
        return start

    async def settled(self, end: int) -> None:
        """Return when the first `end` bytes of the file are durable; `NotKept` if they will not be."""
        if end <= self.durable:
            return
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        with self._more:
            if self._failed and end > self.durable:
                raise self._refusal()
            if end <= self.durable:
                return
            self._waiters.append((end, loop, future))
        await future

    def close(self) -> None:
        """Write what is pending, then close the file."""
        with self._more:
            self._closing = True
            self._more.notify()
        self._thread.join()
        os.close(self._file)

    def _write_all(self) -> None:
        while True:
            with self._more:
                while not self._pending and not self._closing:
                    self._more.wait()
                raw, self._pending = b"".join(self._pending), []
                if not raw:
                    return
            try:
                _write(self._file, raw)
                os.fdatasync(self._file)
            except OSError as error:
                self._fail(error)
                return
            self._tell(self.durable + len(raw))

    def _tell(self, durable: int) -> None:
        with self._more:
            self.durable = durable
            done = [waiter for waiter in self._waiters if waiter[0] <= durable]
            self._waiters = [waiter for waiter in self._waiters if waiter[0] > durable]
        for loop in {loop for _, loop, _ in done}:
            futures = [future for _, its, future in done if its is loop]
            with suppress(RuntimeError):  # the loop was closed, and whoever waited went with it
                loop.call_soon_threadsafe(_resolve, futures, None)

    def _fail(self, error: OSError) -> None:
        with suppress(OSError):  # a torn end is cut when the file is opened again
            os.ftruncate(self._file, self.durable)
        with self._more:
            self._failed, self.size = error, self.durable
            waiters, self._waiters, self._pending = self._waiters, [], []
        for _, loop, future in waiters:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(_resolve, [future], self._refusal())

    def _refusal(self) -> NotKept:
        if self._failed is None:
            return NotKept(f"{self._name} is closed; open it again")
        return NotKept(
            f"{self._name} cannot be written: {self._failed.strerror or self._failed}; what it holds is whole: make "
            "room, then give the same command again"
        )


def _write(file: int, raw: bytes) -> None:
    left = memoryview(raw)
    while left:
        left = left[os.write(file, left) :]


def _resolve(futures: list[asyncio.Future[None]], error: NotKept | None) -> None:
    for future in futures:
        if future.done():  # whoever waited was cancelled
            continue
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)

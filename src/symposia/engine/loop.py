"""The thread that runs receive, schedule, forward, sample, deliver; the one place for an unforeseen exception."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from symposia.core.errors import BackendError

from .job import Job
from .step import Stepper


@dataclass(frozen=True)
class _Submit:
    job: Job


@dataclass(frozen=True)
class _Cancel:
    job: Job


@dataclass(frozen=True)
class _Lend:
    """`ready` is set when nothing runs any more; the loop then waits for `returned`."""

    ready: threading.Event = field(default_factory=threading.Event)
    returned: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True)
class _Close:
    pass


_Message = _Submit | _Cancel | _Lend | _Close


class Loop:
    """Owns the stepper and its thread. Idle, it waits on its inbox and uses no processor."""

    def __init__(self, stepper: Stepper, name: str) -> None:
        self.stepper = stepper
        self._inbox: queue.SimpleQueue[_Message] = queue.SimpleQueue()
        self._held: list[Job] = []
        self._lend: _Lend | None = None
        self._closed = False
        self._ended = False
        self._guard = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=f"symposia-engine {name}", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Queue a job. On a closed engine it fails at once."""
        if not self._post(_Submit(job)):
            job.put(_closed())

    def cancel(self, job: Job) -> None:
        """Forget a job within one step, and what it has stored if it is done: nobody will hear of it."""
        self._post(_Cancel(job))

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Finish what is in work, hold back what comes, and keep the loop still for as long as the context lasts.

        On a closed engine nothing runs, and the context is entered at once.
        """
        lend = _Lend()
        if self._post(lend):
            lend.ready.wait()
        try:
            yield
        finally:
            lend.returned.set()

    def close(self) -> None:
        """Fail what runs as cancelled and end the thread. May be called twice."""
        if self._post(_Close()) and threading.current_thread() is not self._thread:
            self._thread.join()

    def _post(self, message: _Message) -> bool:
        """False if the thread has ended and nobody would read the message."""
        with self._guard:
            if not self._ended:
                self._inbox.put(message)
            return not self._ended

    def _run(self) -> None:
        while not self._closed:
            self._receive()
            if self.stepper.busy:
                try:
                    self.stepper.step()
                except Exception as error:  # noqa: BLE001  the boundary: fail the requests, not the engine
                    self.stepper.fail(error)
            elif self._lend is not None:
                self._give(self._lend)
        with self._guard:
            self._ended = True
        self._refuse_rest()

    def _receive(self) -> None:
        """Take every message there is; wait for one if there is nothing to do."""
        idle = not self.stepper.busy and self._lend is None
        try:
            while True:
                self._obey(self._inbox.get(block=idle))
                idle = False
        except queue.Empty:
            return

    def _obey(self, message: _Message) -> None:
        match message:
            case _Submit(job):
                if self._lend is None:
                    self.stepper.add(job)
                else:
                    self._held.append(job)
            case _Cancel(job):
                self.stepper.cancel(job)
                self._held = [held for held in self._held if held is not job]
            case _Lend():
                if self._lend is None:
                    self._lend = message
                else:
                    self._inbox.put(message)
            case _Close():
                self._closed = True

    def _give(self, lend: _Lend) -> None:
        lend.ready.set()
        lend.returned.wait()
        self._lend = None
        for job in self._held:
            self.stepper.add(job)
        self._held = []

    def _refuse_rest(self) -> None:
        self.stepper.fail_all(_closed())
        if self._lend is not None:
            self._lend.ready.set()
        for job in self._held:
            job.put(_closed())
        try:
            while True:
                message = self._inbox.get(block=False)
                if isinstance(message, _Submit):
                    message.job.put(_closed())
                elif isinstance(message, _Lend):
                    message.ready.set()
        except queue.Empty:
            return


def _closed() -> BackendError:
    return BackendError("the engine was closed before this request ended", cause="cancelled")

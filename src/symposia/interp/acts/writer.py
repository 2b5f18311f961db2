"""The one writer of a folder: a thread that takes all that waits, writes it, syncs once, and makes it known.

The order is bytes, disk, index: what the index knows is whole. Callers do not wait for the disk; who wants to speak of
records asks to be told when they are kept.
"""

from __future__ import annotations

import queue
import shutil
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from symposia.core.capture import ActivationRef

from .batches import Batches, Put
from .options import StoreOptions
from .record import ActivationWriteFailed, Draft, Held, Record, Source, kept, record_of, reference, size_of
from .recover import Lock
from .shelf import Tell

_LINGER_S = 0.1
_TOGETHER = 64 << 20


@dataclass(frozen=True)
class _Drop:
    numbers: tuple[int, ...]


@dataclass(frozen=True)
class _When:
    """`tell` once everything before is kept or lost; `numbers` are what it asks about, None: all."""

    tell: Tell
    numbers: frozenset[int] | None


@dataclass(frozen=True)
class _Close:
    pass


_Item = Put | _Drop | _When | _Close


@dataclass
class _Taken:
    puts: list[Put] = field(default_factory=list)
    dropped: list[int] = field(default_factory=list)
    waiting: list[_When] = field(default_factory=list)
    closing: bool = False


class Writer:
    """Takes records from any thread. Close it: it holds the folder's lock."""

    def __init__(self, folder: Path, name: str, options: StoreOptions, now: Callable[[], float]) -> None:
        self._folder, self._name, self._options, self._now = folder, name, options, now
        lock = Lock(folder)
        try:
            self._batches = Batches(folder, options)
        except BaseException:
            lock.release()
            raise
        self._lock = lock
        self.cuts = self._batches.cuts
        self._next = self._batches.next_record
        self._queue: queue.SimpleQueue[_Item] = queue.SimpleQueue()
        self._room = threading.Condition()
        self._used = sum(path.stat().st_size for path in (folder / "shards").iterdir())
        self._pending = 0
        self._lost: dict[int, ActivationWriteFailed] = {}  # records whose loss nobody has been told of
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=f"symposia-activations {folder}", daemon=True)
        self._thread.start()

    @property
    def free(self) -> int:
        """Bytes left on the disk, or of those allowed, less what is on its way there; none if the folder is gone."""
        try:
            free = shutil.disk_usage(self._folder).free - self._pending
        except OSError:
            return 0
        most = self._options.most_bytes
        return max(free if most is None else min(free, most - self._used), 0)

    def put(self, source: Source, drafts: Sequence[Draft]) -> tuple[ActivationRef, ...]:
        """Take rows to be written; waits only while too many bytes are on their way."""
        if self._options.durability == "lazy":
            self._say_losses()
        if not source.created:
            source = replace(source, created=self._now())
        size = sum(size_of(draft.rows) for draft in drafts)
        with self._room:
            if size > self.free:
                raise ActivationWriteFailed(
                    f"{size:,} bytes to store; {self.free:,} free for {self._folder}; make room, or allow it more"
                )
            self._used += size
            first, self._next = self._next, self._next + len(drafts)
        made: list[tuple[int, Record]] = []
        for number, draft in enumerate(drafts, start=first):
            rows = kept(draft.rows)
            ref = reference(draft, rows, f"{self._name}:{number}")
            made.append((number, record_of(draft, source, ref, Held(rows))))
        self._enqueue(Put(tuple(made)))
        return tuple(record.ref for _, record in made)

    def when_kept(self, numbers: Iterable[int], tell: Tell) -> None:
        """See `WritableShelf`."""
        if self._options.durability == "lazy" or not self._send(_When(tell, frozenset(numbers))):
            tell(None)

    def drop(self, numbers: Iterable[int]) -> None:
        """Forget records."""
        self._send(_Drop(tuple(numbers)))

    def flush(self) -> None:
        """Wait for the disk. Raises `ActivationWriteFailed` for a loss that nobody was told of."""
        told: queue.SimpleQueue[ActivationWriteFailed | None] = queue.SimpleQueue()
        if self._send(_When(told.put, None)) and (lost := told.get()) is not None:
            raise lost
        self._say_losses()

    def close(self) -> None:
        """Write what waits, seal the newest shard, let others write. May be called twice."""
        with self._room:
            if not self._closed:
                self._queue.put(_Close())
            self._closed = True
            self._room.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _enqueue(self, put: Put) -> None:
        most = self._options.pending_bytes
        with self._room:
            self._room.wait_for(
                lambda: self._closed or not self._pending or self._pending + put.bytes <= most
            )
            if self._closed:
                raise ActivationWriteFailed(f"the store {self._folder} was closed; open it again to write")
            self._pending += put.bytes
            self._queue.put(put)

    def _send(self, item: _Item) -> bool:
        with self._room:
            if not self._closed:
                self._queue.put(item)
            return not self._closed

    def _say_losses(self) -> None:
        with self._room:
            lost = next(iter(self._lost.values()), None)
            self._lost.clear()
        if lost is not None:
            raise lost

    def _run(self) -> None:
        taken = _Taken()
        try:
            while not taken.closing:
                taken = self._take()
                self._settle(taken, self._batches.write(taken.puts, taken.dropped))
            taken = _Taken()
        finally:  # also where a bug ends the thread: nobody is left waiting
            self._end(taken)

    def _take(self) -> _Taken:
        """All that waits, at least one thing. Where nobody waits for it, more is waited for a while."""
        taken, size = _Taken(), 0
        linger = self._options.durability == "lazy"
        item: _Item = self._queue.get()
        while True:
            match item:
                case Put():
                    taken.puts.append(item)
                    size += item.bytes
                case _Drop(numbers):
                    taken.dropped.extend(numbers)
                case _When():
                    taken.waiting.append(item)
                    linger = False
                case _Close():
                    taken.closing = True
            if size >= _TOGETHER or taken.closing:
                return taken
            try:
                item = self._queue.get(block=linger, timeout=_LINGER_S)
            except queue.Empty:
                return taken

    def _settle(self, taken: _Taken, lost: dict[int, ActivationWriteFailed]) -> None:
        with self._room:
            self._lost.update(lost)
            self._pending -= sum(put.bytes for put in taken.puts)
            self._room.notify_all()
        for when in taken.waiting:
            with self._room:
                asked = set(self._lost) if when.numbers is None else when.numbers & self._lost.keys()
                errors = [self._lost.pop(number) for number in asked]
            when.tell(errors[0] if errors else None)

    def _end(self, taken: _Taken) -> None:
        with self._room:
            self._closed = True
            self._room.notify_all()
        error = ActivationWriteFailed(f"the store {self._folder} was closed before these rows were written")
        while True:
            for when in taken.waiting:
                when.tell(error)
            if self._queue.empty():
                break
            taken = self._take()
        self._batches.close()
        self._lock.release()

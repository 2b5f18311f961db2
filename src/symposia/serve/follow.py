"""Keeping a snapshot fresh: what the store holds is read again whenever it says that something changed.

One thread reads; the event loop only ever sees whole snapshots. While the store cannot be reached, the last one stays.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

from symposia.core.clock import Clock
from symposia.core.errors import SymposiaError
from symposia.core.served import KillSwitched, ServerEvent
from symposia.core.store import Query
from symposia.store import Storage
from symposia.store.keyfile import read_keys

from .auth import caller_of
from .policies import in_force
from .snapshot import Snapshot

POLL_S = 0.5
_PAUSE_S = 0.5


def taken(storage: Storage, keys_file: Path | None = None) -> Snapshot:
    """A snapshot of how things stand. Raises what the store raises, and `InvalidInput` for a key file or policy."""
    keys = [*storage.keys.all(), *(read_keys(keys_file) if keys_file is not None else ())]
    aliases: dict[str, dict[str, str]] = {}
    for alias in storage.profiles.aliases():
        aliases.setdefault(alias.model, {})[alias.name] = alias.digest
    kill, (policy, revision) = _last(storage, "kill"), in_force(storage)
    return Snapshot(
        callers={key.id: caller_of(key) for key in keys},
        profiles={one.digest: one.profile for one in storage.profiles.all() if one.archived is None},
        aliases=aliases,
        policy=policy,
        revision=revision,
        kill=kill if isinstance(kill, KillSwitched) else None,
    )


class Follower:
    """Takes snapshots in a thread of its own and hands them to `see`, in the loop that started it."""

    def __init__(
        self, storage: Storage, clock: Clock, see: Callable[[Snapshot], None], keys_file: Path | None = None
    ) -> None:
        self._storage, self._clock, self._see, self._keys_file = storage, clock, see, keys_file
        self._stamp = self._file_stamp()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._taken = self._shown = 0
        self._failing_since: float | None = None
        self.trouble = ""

    @property
    def failing_s(self) -> float:
        """For how long the store could not be read; 0 while all is well."""
        since = self._failing_since
        return 0.0 if since is None else self._clock.monotonic() - since

    def start(self) -> None:
        """Follow from now on."""
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._run, args=(loop,), name="symposia-follower", daemon=True).start()

    async def refresh(self) -> None:
        """Read again now; what was changed before the call is seen after it."""
        self._show(*await asyncio.to_thread(self._take))

    def stop(self) -> None:
        """Follow no more. The thread ends within `POLL_S`, or with the storage."""
        self._stop.set()

    def _take(self) -> tuple[int, Snapshot]:
        """A snapshot and its number: later ones were read later."""
        with self._lock:
            self._taken += 1
            return self._taken, taken(self._storage, self._keys_file)

    def _show(self, number: int, view: Snapshot) -> None:
        """In the loop: what two threads read may arrive in another order than it was read in."""
        if number > self._shown:
            self._shown = number
            self._see(view)

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        while not self._stop.is_set():
            try:
                changed = self._storage.changed(POLL_S)
                stamp = self._file_stamp()
                if changed or stamp != self._stamp or self._failing_since is not None:
                    number, view = self._take()
                    self._stamp, self._failing_since, self.trouble = stamp, None, ""
                    loop.call_soon_threadsafe(self._show, number, view)
            except (SymposiaError, OSError) as error:
                self.trouble = str(error)
                self._failing_since = self._failing_since or self._clock.monotonic()
                self._stop.wait(_PAUSE_S)
            except RuntimeError:  # the loop is closed: nobody looks any more
                return

    def _file_stamp(self) -> tuple[int, int] | None:
        if self._keys_file is None or not self._keys_file.exists():
            return None
        stat = self._keys_file.stat()
        return stat.st_mtime_ns, stat.st_ino


def _last(storage: Storage, stream: str) -> object:
    found: ServerEvent | object = None
    for record in storage.events.read(Query(stream=stream)):
        found = record.event
    return found

"""The activation store: one interface over memory and over folders on disk.

In memory, or a folder this process writes, or any number of folders that others write or wrote, read as one.
"""

from __future__ import annotations

import secrets
import warnings
import weakref
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

from torch import Tensor

from symposia.core.capture import ActivationRef
from symposia.core.clock import Clock, SystemClock
from symposia.core.errors import InvalidInput
from symposia.interp.taps import ModelShape

from .answer import Activations
from .folder import Folder, begin_folder
from .inmemory import Memory
from .kept import Kept
from .options import StoreOptions
from .query import ActivationQuery
from .record import ActivationWriteFailed, Draft, NoActivation, Record, Source
from .recover import ActivationsCut, Cut
from .shelf import Records, Shelf, Tell, WritableShelf, number_of


class ActivationStore:
    """Rows by record. Safe to write from engines' threads while others read; use it as a context manager, or close it.

    `recovered` tells what a crashed writer had left in the folder: bytes of no record, cut off when it was opened.
    """

    def __init__(
        self, shelves: Sequence[Shelf], writes: WritableShelf | None = None, recovered: tuple[Cut, ...] = ()
    ) -> None:
        self._shelves, self._writes, self.recovered = tuple(shelves), writes, recovered
        self._closer = weakref.finalize(self, _close, self._shelves)

    @classmethod
    def memory(cls, limit: int = 2 << 30) -> ActivationStore:
        """An empty store of at most `limit` bytes."""
        shelf = Memory(limit)
        return cls((shelf,), shelf)

    @classmethod
    def open(
        cls,
        *paths: Path | str,
        write: bool = False,
        options: StoreOptions = StoreOptions(),
        clock: Clock = SystemClock(),
    ) -> ActivationStore:
        """Folders to read, also while others write them; or, with `write`, the one folder that this process writes.

        Raises `UnreadableActivations` for a folder that is none; `StoreLocked` where somebody else writes. What a crash
        left is cut off and told, in `recovered` and as a warning (`ActivationsCut`).
        """
        folders = tuple(map(Path, paths))
        if not folders or len(set(folders)) < len(folders):
            raise InvalidInput(f"expected one or more folders, each once; got {[str(f) for f in folders]}")
        if not write:
            return cls(_read(folders))
        if len(folders) > 1:
            raise InvalidInput(f"one folder can be written at a time; got {[str(f) for f in folders]}")
        begin_folder(folders[0], secrets.token_hex(4))
        shelf = Kept(folders[0], options, clock.time)
        for cut in shelf.cuts:
            gone = "which held nothing else, and is gone" if cut.whole else "which is sealed now"
            warnings.warn(
                ActivationsCut(f"{folders[0]}: {cut.bytes:,} bytes of no record cut off {cut.shard}, {gone}"),
                stacklevel=2,
            )
        return cls((shelf,), shelf, shelf.cuts)

    @property
    def writable(self) -> bool:
        """Whether it takes records."""
        return self._writes is not None

    @property
    def free(self) -> int:
        """Bytes left; none in a store that is only read."""
        return 0 if self._writes is None else self._writes.free

    def __len__(self) -> int:
        return sum(map(len, self._shelves))

    def put(self, source: Source, drafts: Sequence[Draft]) -> tuple[ActivationRef, ...]:
        """Take the rows of one generation, all or none; `ActivationWriteFailed` if that cannot be."""
        return self._writing().put(source, drafts)

    def when_kept(self, refs: Sequence[ActivationRef], tell: Tell) -> None:
        """Call `tell` once the records may be spoken of: with None, or with why they were lost. In any thread."""
        self._writing().when_kept(refs, tell)

    def drop(self, refs: Iterable[ActivationRef]) -> None:
        """Forget records; unknown ones are ignored. On disk their bytes stay, as gaps of their shard."""
        shelf = self._writing()
        shelf.drop([n for ref in refs if (n := number_of(shelf, ref)) is not None])

    def flush(self) -> None:
        """Wait until all that was put is kept. Raises `ActivationWriteFailed` for what was lost without notice."""
        if self._writes is not None:
            self._writes.flush()

    def at(self, which: ActivationRef | ActivationQuery) -> Tensor:
        """The rows of exactly one record, else `NoActivation`, or `AmbiguousActivation` with what differs."""
        if isinstance(which, ActivationRef):
            return self._find([which])[0].rows
        return self.query(which).one()

    def query(self, query: ActivationQuery = ActivationQuery()) -> Activations:
        """Every record that fits, as they stand now; of a generation made again, as after a crash, the newest."""
        self.flush()
        return Activations(Records([(shelf, shelf.numbers(query)) for shelf in self._shelves], self), query)

    def layers(self, query: ActivationQuery) -> tuple[int | None, ...]:
        """The layers of every record that fits."""
        self.flush()
        found = {layer for shelf in self._shelves for layer in shelf.layers(query)}
        return tuple(sorted(found, key=lambda layer: -1 if layer is None else layer))

    def models(self, query: ActivationQuery) -> dict[str, ModelShape | None]:
        """The models whose forwards fit, by digest; None where the store was not told more."""
        self.flush()
        return {digest: shape for shelf in self._shelves for digest, shape in shelf.models(query).items()}

    @property
    def closed(self) -> bool:
        """Whether it was given back."""
        return not self._closer.alive

    def names(self, ref: ActivationRef) -> bool:
        """Whether a reference says that its record lies here."""
        return any(number_of(shelf, ref) is not None for shelf in self._shelves)

    def of(self, refs: Iterable[ActivationRef]) -> Activations:
        """Some records by reference, in that order. `NoActivation` if one is not here."""
        return Activations(tuple(self._find(list(refs))), ActivationQuery())

    def close(self) -> None:
        """Write what waits, and give the folder back. Raises `ActivationWriteFailed` as `flush` does."""
        try:
            self.flush()
        finally:
            self._closer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _find(self, refs: Sequence[ActivationRef]) -> list[Record]:
        found = self._loaded(refs)
        if len(found) < len(refs):
            self.flush()  # it may be on its way to the disk
            found = self._loaded(refs)
        for ref in refs:
            record = found.get(ref.record)
            if record is None or (ref.digest and record.ref.digest != ref.digest):
                raise NoActivation(
                    f"record {ref.record} is not in this store; it was dropped, or made elsewhere"
                )
        return [found[ref.record] for ref in refs]

    def _loaded(self, refs: Sequence[ActivationRef]) -> dict[str, Record]:
        found: dict[str, Record] = {}
        for shelf in self._shelves:
            numbers = [n for ref in refs if (n := number_of(shelf, ref)) is not None]
            found.update((record.ref.record, record) for record in shelf.load(numbers))
        return found

    def _writing(self) -> WritableShelf:
        if self._writes is None:
            raise ActivationWriteFailed("this store was opened to read; open it with write=True")
        return self._writes


def of_stores(refs: Sequence[ActivationRef], stores: Sequence[ActivationStore]) -> Activations:
    """Records by reference, each from the store it names, in that order. `NoActivation` if one is in none of them."""
    found: dict[str, Record] = {}
    for store in stores:
        mine = [ref for ref in refs if store.names(ref)]
        found.update((record.ref.record, record) for record in store.of(mine).records)
    if missing := [ref.record for ref in refs if ref.record not in found]:
        raise NoActivation(
            f"record {missing[0]} is in none of the stores at hand; name its folder: store=..., or open it with "
            "ActivationStore.open"
        )
    return Activations(tuple(found[ref.record] for ref in refs), ActivationQuery())


def _read(folders: Sequence[Path]) -> list[Shelf]:
    opened: list[Shelf] = []
    try:
        opened.extend(map(Folder, folders))
        names = [shelf.name for shelf in opened]
        if len(set(names)) < len(names):
            raise InvalidInput(f"two of {[str(f) for f in folders]} are the same store, or copies of one")
    except BaseException:
        _close(opened)
        raise
    return opened


def _close(shelves: Sequence[Shelf]) -> None:
    for shelf in shelves:
        shelf.close()

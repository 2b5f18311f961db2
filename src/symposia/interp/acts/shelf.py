"""Where records lie: the seam between the store's one interface and memory, or a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, overload

from symposia.core.capture import ActivationRef
from symposia.interp.taps import ModelShape

from .query import ActivationQuery
from .record import ActivationWriteFailed, Draft, NoActivation, Record, Source

_TOGETHER = 256
Tell = Callable[[ActivationWriteFailed | None], None]


class Shelf(Protocol):
    """Records by number, in order of storing. Safe to read in any thread."""

    @property
    def name(self) -> str:
        """What its records' names begin with."""
        ...

    def numbers(self, query: ActivationQuery) -> Sequence[int]:
        """The records that fit, of a generation made again the newest ones only."""
        ...

    def layers(self, query: ActivationQuery) -> set[int | None]:
        """The layers of the records that fit."""
        ...

    def models(self, query: ActivationQuery) -> dict[str, ModelShape | None]:
        """The models whose forwards fit, by digest."""
        ...

    def load(self, numbers: Sequence[int]) -> list[Record]:
        """Those records, in that order; ones dropped since are left out."""
        ...

    def __len__(self) -> int: ...

    def close(self) -> None:
        """Give back what is held."""
        ...


class WritableShelf(Shelf, Protocol):
    """A shelf that takes records, from one thread at a time."""

    @property
    def free(self) -> int:
        """Bytes left."""
        ...

    def put(self, source: Source, drafts: Sequence[Draft]) -> tuple[ActivationRef, ...]:
        """Take all or none; `ActivationWriteFailed` if it is known at once that they cannot be kept."""
        ...

    def when_kept(self, refs: Sequence[ActivationRef], tell: Tell) -> None:
        """Call once the records may be spoken of: with None, or with why they were lost. In any thread."""
        ...

    def drop(self, numbers: Iterable[int]) -> None:
        """Forget records; unknown ones are ignored."""
        ...

    def flush(self) -> None:
        """Wait until all that was put is kept. Raises `ActivationWriteFailed` if some was lost without notice."""
        ...


def number_of(shelf: Shelf, ref: ActivationRef) -> int | None:
    """The number of a record, if its name says that it lies there."""
    name, _, number = ref.record.rpartition(":")
    return int(number) if name == shelf.name and number.isdecimal() else None


class Records(Sequence[Record]):
    """Records of some shelves, loaded when they are looked at, and not held."""

    def __init__(self, places: Sequence[tuple[Shelf, Sequence[int]]], owner: object) -> None:
        self._places = tuple(places)
        self._owner = owner  # who closes the shelves when nobody knows it any more

    def __len__(self) -> int:
        return sum(len(numbers) for _, numbers in self._places)

    @overload
    def __getitem__(self, index: int) -> Record: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Record, ...]: ...

    def __getitem__(self, index: int | slice) -> Record | tuple[Record, ...]:
        if isinstance(index, slice):
            return tuple(self[i] for i in range(*index.indices(len(self))))
        at = index + len(self) if index < 0 else index
        for shelf, numbers in self._places:
            if 0 <= at < len(numbers):
                found = shelf.load([numbers[at]])
                if not found:
                    raise NoActivation(f"record {shelf.name}:{numbers[at]} was dropped meanwhile")
                return found[0]
            at -= len(numbers)
        raise IndexError(f"record {index} of {len(self)}")

    def __iter__(self) -> Iterator[Record]:
        for shelf, numbers in self._places:
            for at in range(0, len(numbers), _TOGETHER):
                yield from shelf.load(numbers[at : at + _TOGETHER])

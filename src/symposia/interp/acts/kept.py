"""A folder that this process writes: the writer's side and the reader's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from symposia.core.capture import ActivationRef
from symposia.interp.taps import ModelShape

from .folder import Folder, read_format
from .options import StoreOptions
from .query import ActivationQuery
from .record import Draft, Record, Source
from .shelf import Tell, number_of
from .writer import Writer


class Kept:
    """Implements `WritableShelf`. `cuts` tells what a crash had left."""

    def __init__(self, path: Path, options: StoreOptions, now: Callable[[], float]) -> None:
        self.name = read_format(path).id
        self._writer = Writer(path, self.name, options, now)
        self.cuts = self._writer.cuts
        try:
            self._folder = Folder(path)
        except BaseException:
            self._writer.close()
            raise

    @property
    def free(self) -> int:
        return self._writer.free

    def __len__(self) -> int:
        self._writer.flush()
        return len(self._folder)

    def put(self, source: Source, drafts: Sequence[Draft]) -> tuple[ActivationRef, ...]:
        return self._writer.put(source, drafts)

    def when_kept(self, refs: Sequence[ActivationRef], tell: Tell) -> None:
        numbers = (number_of(self, ref) for ref in refs)
        self._writer.when_kept([number for number in numbers if number is not None], tell)

    def drop(self, numbers: Iterable[int]) -> None:
        self._writer.drop(numbers)

    def numbers(self, query: ActivationQuery) -> Sequence[int]:
        return self._folder.numbers(query)

    def layers(self, query: ActivationQuery) -> set[int | None]:
        return self._folder.layers(query)

    def models(self, query: ActivationQuery) -> dict[str, ModelShape | None]:
        return self._folder.models(query)

    def load(self, numbers: Sequence[int]) -> list[Record]:
        return self._folder.load(numbers)

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._folder.close()  # first: who closes the index last tidies it up
        self._writer.close()

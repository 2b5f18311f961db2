"""Rows as they are made, one JSON line each, keyed by digest: what a killed run measured is not measured again."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from symposia.core.errors import InvalidInput
from symposia.core.files import write_atomic
from symposia.core.value import canonical

from .values import Dose, Row

_DECODER = msgspec.json.Decoder(Row)


class Journal:
    """`dose.jsonl` and `dose.json` in a folder, or only in memory. `tell` hears how many rows were added.

    A line is written at once and whole; one that was torn by a crash is cut off when the folder is opened again.
    """

    def __init__(self, folder: Path | str | None = None, tell: Callable[[int], None] | None = None) -> None:
        self._folder = None if folder is None else Path(folder)
        self._tell = tell
        self.rows: dict[str, Row] = {}
        self._added = 0
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._load(self._folder / "dose.jsonl")

    def add(self, row: Row) -> None:
        """Keep a row."""
        self.rows[row.key] = row
        self._added += 1
        if self._folder is not None:
            with (self._folder / "dose.jsonl").open("ab", buffering=0) as file:
                file.write(msgspec.json.encode(row) + b"\n")
        if self._tell is not None:
            self._tell(self._added)

    def finish(self, dose: Dose) -> None:
        """Write what it all amounts to."""
        if self._folder is not None:
            write_atomic(self._folder / "dose.json", canonical(dose) + b"\n")

    def _load(self, path: Path) -> None:
        if not path.exists():
            return
        raw = path.read_bytes()
        whole = raw[: raw.rfind(b"\n") + 1]
        if len(whole) < len(raw):
            os.truncate(path, len(whole))
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                row = _DECODER.decode(line)
            except msgspec.MsgspecError as error:
                raise InvalidInput(
                    f"{path}:{number}: expected a row of an evaluation; {error}; choose another folder"
                ) from error
            self.rows[row.key] = row

"""Vectors by digest or name: folders of vector files, and vectors added in memory.

A folder's files are known by their headers; tensors are read when a vector is asked for. A digest covers the tensors,
so the first look for one reads files whose digest is not known yet, and lets go of what it did not look for. A vector
once found stays in reach by its digest, whatever becomes of its file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from symposia.core.errors import UnknownName, VectorNotFound
from symposia.core.value import short

from .kinds import UnreadableVector
from .vector import Header, SteeringVector, load_header, load_vector

Stamp = tuple[int, int]


class _File:
    """A vector file as it was when its header was read; `digest` is empty until its tensors were."""

    def __init__(self, path: Path, stamp: Stamp) -> None:
        self.path, self.stamp = path, stamp
        self.header: Header = load_header(path)
        self.digest = ""

    def load(self) -> SteeringVector:
        """The whole file."""
        vector = load_vector(self.path)
        self.digest = vector.digest
        return vector


class Library:
    """Takes new files while in use: folders are looked through again for every name, and for a digest not known."""

    def __init__(self, dirs: Iterable[Path | str] = ()) -> None:
        self._dirs = tuple(Path(d) for d in dirs)
        self._held: dict[str, SteeringVector] = {}
        self._added: set[str] = set()  # of those held: named without a file
        self._files: dict[Path, _File] = {}
        self._refused: dict[Path, tuple[Stamp, str]] = {}
        self._scan()

    def add(self, vector: SteeringVector) -> str:
        """Keep a vector in memory; its digest."""
        self._held[vector.digest] = vector
        self._added.add(vector.digest)
        return vector.digest

    def names(self) -> dict[str, str]:
        """Digest to name, of everything in reach."""
        self._scan()
        self._settle()
        files = {file.digest: file.header.name for file in self._files.values()}
        return files | {digest: vector.header.name for digest, vector in self._held.items()}

    def find(self, name: str) -> SteeringVector:
        """By digest or by name. `UnknownName` lists what there is, or the digests of several of that name."""
        if name in self._held:
            return self._held[name]
        self._scan()
        if name.startswith("sha256:"):
            self._settle(until=name)
        files = [file for file in self._files.values() if name in (file.header.name, file.digest)]
        found = {
            self._held[d].digest: self._held[d] for d in self._added if self._held[d].header.name == name
        }
        found |= {vector.digest: vector for vector in map(self._loaded, files)}
        if len(found) > 1:
            raise UnknownName("vector (ambiguous; use a digest)", name, list(found))
        if not found:
            raise UnknownName("vector", name, self._known())
        return next(iter(found.values()))

    def require(self, name: str, model: str) -> SteeringVector:
        """`find`, for a request: `VectorNotFound` before its first token."""
        try:
            return self.find(name)
        except UnknownName as error:
            raise VectorNotFound(
                endpoint="engine",
                model=model,
                feature=f"vector {name}",
                why=str(error),
                way_out="add the vector file to a library folder, or use one it holds",
            ) from error

    def _loaded(self, file: _File) -> SteeringVector:
        if file.digest not in self._held:
            vector = file.load()
            self._held[vector.digest] = vector
        return self._held[file.digest]

    def _settle(self, until: str = "") -> None:
        """Learn the digests of files, up to the one looked for; their tensors are not kept."""
        for file in list(self._files.values()):
            if file.digest == until != "":
                return
            if not file.digest:
                self._guarded(file.path, file.stamp, file.load)

    def _guarded(self, path: Path, stamp: Stamp, read: Callable[[], object]) -> None:
        """One bad file does not take the others away; a look that fails tells of it."""
        try:
            read()
        except UnreadableVector as error:
            self._files.pop(path, None)
            self._refused[path] = (stamp, str(error))

    def _known(self) -> list[str]:
        added = [f"{self._held[d].header.name} ({short(d)})" for d in self._added]
        files = [f"{file.header.name} ({file.path.name})" for file in self._files.values()]
        return added + files + [f"not {path.name}: {why}" for path, (_, why) in self._refused.items()]

    def _scan(self) -> None:
        """Read the headers of files that are new or changed; forget files that are gone."""
        found = [path for folder in self._dirs for path in sorted(folder.glob("*.safetensors"))]
        seen = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in found}
        self._files = {path: file for path, file in self._files.items() if seen.get(path) == file.stamp}
        self._refused = {path: told for path, told in self._refused.items() if seen.get(path) == told[0]}
        for path, stamp in seen.items():
            if path not in self._files and path not in self._refused:
                self._guarded(path, stamp, partial(self._take, path, stamp))

    def _take(self, path: Path, stamp: Stamp) -> None:
        self._files[path] = _File(path, stamp)

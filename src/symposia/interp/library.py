"""Vectors by digest or name: folders of vector files, and vectors added in memory."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from symposia.core.errors import UnknownName, VectorNotFound
from symposia.core.value import short

from .vector import SteeringVector, load_vector


class Library:
    """Takes new files while in use: folders are looked through again when a name is not known."""

    def __init__(self, dirs: Iterable[Path | str] = ()) -> None:
        self._dirs = tuple(Path(d) for d in dirs)
        self._by_digest: dict[str, SteeringVector] = {}
        self._read: dict[Path, int] = {}
        self._scan()

    def add(self, vector: SteeringVector) -> str:
        """Keep a vector in memory; its digest."""
        self._by_digest[vector.digest] = vector
        return vector.digest

    def names(self) -> dict[str, str]:
        """Digest to name, of everything in reach."""
        return {digest: vector.header.name for digest, vector in self._by_digest.items()}

    def find(self, name: str) -> SteeringVector:
        """By digest or by name. `UnknownName` if there is none, or more than one of that name."""
        found = self._lookup(name)
        if not found:
            self._scan()
            found = self._lookup(name)
        if len(found) != 1:
            known = [f"{v.header.name} ({short(d)})" for d, v in self._by_digest.items()]
            if found:
                raise UnknownName("vector (ambiguous; use a digest)", name, [v.digest for v in found])
            raise UnknownName("vector", name, known)
        return found[0]

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

    def _lookup(self, name: str) -> list[SteeringVector]:
        if name in self._by_digest:
            return [self._by_digest[name]]
        return [vector for vector in self._by_digest.values() if vector.header.name == name]

    def _scan(self) -> None:
        for folder in self._dirs:
            for path in sorted(folder.glob("*.safetensors")):
                changed = path.stat().st_mtime_ns
                if self._read.get(path) != changed:
                    self._read[path] = changed
                    self.add(load_vector(path))

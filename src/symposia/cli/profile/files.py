"""A profile as people write it: TOML or JSON with the fields of a profile, vectors by digest, file or name."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from symposia.cli.scenario.vectors import is_digest, named_by_digest, read_vector
from symposia.core.errors import InvalidInput
from symposia.core.profile import Profile
from symposia.core.value import decode

from .selectors import model_of

if TYPE_CHECKING:
    from symposia.interp.library import Library


class Vectors:
    """The vectors in reach: folders of files, and the files a profile names. Opened when the first is asked for."""

    def __init__(self, folders: list[Path]) -> None:
        """`InvalidInput` for a folder that is not there, unless it is the usual one."""
        self._folders = folders
        self._library: Library | None = None
        for folder in folders:
            if not folder.is_dir() and folder != USUAL:
                raise InvalidInput(f"--vectors {folder}: expected a folder of vector files; it is not there")

    @property
    def library(self) -> Library:
        """All of them."""
        if self._library is None:
            from symposia.interp.library import Library

            self._library = Library(folder for folder in self._folders if folder.is_dir())
        return self._library

    def digest(self, name: str, near: Path) -> str:
        """The digest of a vector by digest, by a file beside `near`, or by its name in a folder."""
        if is_digest(name):
            return name
        if (near / name).is_file():
            return self.library.add(read_vector(near / name))
        return self.library.find(name).digest


USUAL = Path("vectors")


def read_profile(path: Path, vectors: Vectors) -> Profile:
    """The profile in a file, its model's address canonical; `InvalidInput` names the field that does not fit."""
    try:
        raw = path.read_bytes()
        if path.suffix == ".toml":
            raw = msgspec.json.encode(tomllib.loads(raw.decode()))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidInput(f"{path}: expected a profile in TOML or JSON; {error}") from error
    profile = decode(raw, Profile, str(path))
    interventions = tuple(
        named_by_digest(one, lambda name, _: vectors.digest(name, path.parent))
        for one in profile.interventions
    )
    return msgspec.structs.replace(profile, model=model_of(profile.model), interventions=interventions)

"""One door for all formats: what a file is by its content or its ending, in and out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from symposia.core.errors import InvalidInput
from symposia.interp.kinds import UnreadableVector
from symposia.interp.vector import SteeringVector

from .foreign import Asked, Convention, Found, as_vector
from .gguf import read_gguf, write_gguf
from .pickled import words_of
from .sae import CONFIG, WEIGHTS, read_sae
from .svec import read_svec
from .torch import LEARNED, read_torch, write_torch

READS = ".gguf, .pt, .svec, or a folder of SAELens"
_BY_ENDING: dict[str, Callable[[Path, Asked], Found]] = {
    ".gguf": read_gguf,
    ".pt": read_torch,
    ".pth": read_torch,
    ".bin": read_torch,
    ".svec": read_svec,
}
_REFT = "reft_config.json"


def import_vector(path: Path, asked: Asked) -> SteeringVector:
    """Another tool's file as a vector file.

    Raises `ConventionNeeded` where it leaves open what its layers mean and `asked` does not say it, `UnreadableVector`
    with what was expected and what came, `InvalidInput` for an option that the format has no use for.
    """
    folder = path.parent if path.name in (CONFIG, WEIGHTS) else path
    if folder.is_dir():
        return _folder(folder, asked)
    read = _BY_ENDING.get(path.suffix.lower())
    if read is None:
        if path.suffix.lower() in (".pkl", ".pickle"):
            raise UnreadableVector(f"{path}: {_pickled(path)}")
        raise UnreadableVector(f"{path}: expected {READS}; got {path.suffix or 'a file without an ending'}")
    if not path.is_file():
        raise UnreadableVector(f"{path}: there is no such file")
    if asked.applied is not None and read is not read_svec:
        raise InvalidInput(
            "--as-read and --as-applied belong to IBM's .svec, read at one place, applied at another"
        )
    if asked.layers and read is not read_torch:
        raise InvalidInput(f"--layers belongs to a .pt of one row; {path.name} names its own")
    return as_vector(read(path, asked), asked, path)


def export_vector(
    vector: SteeringVector, path: Path, convention: Convention | None = None
) -> tuple[str, ...]:
    """Write a direction file in another tool's format; each move of a layer, and what had no place.

    Raises `InvalidInput` for a format that is not written, or for what it cannot hold.
    """
    match path.suffix.lower():
        case ".gguf":
            if convention not in (None, "block_output"):
                raise InvalidInput(
                    f"--convention {convention}: a gguf control vector has its own, block_output"
                )
            return write_gguf(vector, path)
        case ".pt":
            return write_torch(vector, path, convention)
    raise InvalidInput(
        f"{path}: expected .gguf or .pt, or .safetensors for a vector file; got {path.suffix!r}"
    )


def _folder(folder: Path, asked: Asked) -> SteeringVector:
    if (folder / CONFIG).is_file() and (folder / WEIGHTS).is_file():
        if asked.convention is not None or asked.applied is not None or asked.layers:
            raise InvalidInput(
                f"{folder}: SAELens names its own site and layer; leave --convention and the like out"
            )
        return read_sae(folder, asked)
    if (folder / _REFT).is_file():
        raise UnreadableVector(f"{folder}: {LEARNED['rotate_layer']}; learned interventions are not read")
    raise UnreadableVector(f"{folder}: expected a folder with {CONFIG} and {WEIGHTS}, of SAELens")


def _pickled(path: Path) -> str:
    words = words_of(path)
    known = next((told for word, told in LEARNED.items() if word in words), "")
    if known:
        return f"{known}; learned interventions are not read"
    return f"pickles run code when they are opened ({words[0] if words else 'no pickle inside'}); save tensors as .pt"

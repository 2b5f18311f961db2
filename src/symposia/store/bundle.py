"""A profile on its way to another store: a tar of `profile.json` and the vector files it names.

The same profile makes the same bytes. What is unpacked is held against its digests before anybody sees it.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Mapping
from typing import Final

from symposia.core.errors import InvalidInput
from symposia.core.intervention import vectors_of
from symposia.core.profile import Profile
from symposia.core.value import Value, canonical, decode

PROFILE: Final = "profile.json"
_FOLDER, _SUFFIX = "vectors/", ".safetensors"
_LARGEST = 4 * 2**30
"""Bytes of a member; a vector of the largest models has a hundredth of that."""


class Bundle(Value, frozen=True, kw_only=True):
    """A profile, and the vector files it names by their digests."""

    profile: Profile
    vectors: dict[str, bytes]


def vectors_needed(profile: Profile) -> tuple[str, ...]:
    """The digests of the vector files a profile names, each once."""
    return tuple(dict.fromkeys(name for one in profile.interventions for name in vectors_of(one)))


def packed(profile: Profile, vectors: Mapping[str, bytes]) -> bytes:
    """The tar's bytes. `vectors` are the files by digest: those the profile names, no more."""
    _check_complete(profile, vectors)
    files = {PROFILE: canonical(profile)} | {_path(digest): vectors[digest] for digest in sorted(vectors)}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path, raw in files.items():
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(raw), 0o644
            tar.addfile(member, io.BytesIO(raw))
    return out.getvalue()


def unpacked(raw: bytes, *, digest_of: Callable[[bytes], str], what: str = "archive") -> Bundle:
    """What a tar holds. `digest_of` names a vector file by its content, or raises if it is none.

    `InvalidInput` for anything but the files expected, whole, and with the digests they are filed under.
    """
    files = _members(raw, what)
    if PROFILE not in files:
        raise InvalidInput(f"{what}: expected {PROFILE} in it; got {', '.join(sorted(files)) or 'nothing'}")
    profile = decode(files.pop(PROFILE), Profile, f"{what}: {PROFILE}")
    vectors = {_digest(path, what): content for path, content in files.items()}
    _check_complete(profile, vectors, f"{what}: ")
    for digest, content in vectors.items():
        found = digest_of(content)
        if found != digest:
            raise InvalidInput(f"{what}: {_path(digest)} holds a vector of another digest, {found}")
    return Bundle(profile=profile, vectors=vectors)


def _members(raw: bytes, what: str) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(raw), mode="r:") as tar:
            for member in tar:
                content = tar.extractfile(member) if member.isreg() else None
                if content is None or member.name in files or member.size > _LARGEST:
                    raise InvalidInput(f"{what}: {member.name!r} is no file of ours, or stands twice")
                files[member.name] = content.read()
    except (tarfile.TarError, EOFError) as error:
        raise InvalidInput(f"{what}: expected a tar made by `symposia profile export`; {error}") from error
    return files


def _check_complete(profile: Profile, vectors: Mapping[str, bytes], where: str = "") -> None:
    needed = vectors_needed(profile)
    if missing := [digest for digest in needed if digest not in vectors]:
        raise InvalidInput(f"{where}the profile names {', '.join(missing)}, which is not there")
    if extra := sorted(set(vectors) - set(needed)):
        raise InvalidInput(f"{where}the profile names no {', '.join(extra)}")


def _path(digest: str) -> str:
    return f"{_FOLDER}{digest.removeprefix('sha256:')}{_SUFFIX}"


def _digest(path: str, what: str) -> str:
    digest = f"sha256:{path.removeprefix(_FOLDER).removesuffix(_SUFFIX)}"
    if _path(digest) != path:
        raise InvalidInput(f"{what}: expected {PROFILE} and {_FOLDER}*{_SUFFIX}; got {path!r}")
    return digest

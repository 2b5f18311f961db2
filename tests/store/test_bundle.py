"""What was packed is what is unpacked, and nothing else is taken for it."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symposia.core.errors import InvalidInput
from symposia.core.intervention import Ablate, Add, Gate
from symposia.core.positions import speaking
from symposia.core.profile import Profile
from symposia.core.value import content_digest
from symposia.store.bundle import packed, unpacked, vectors_needed

A, B = b"vector a", b"vector b, a longer one"
DA, DB = content_digest(A), content_digest(B)
GATED = Gate(vector=DB, layer=0, over=speaking())
STEERED = Profile(
    model="symposia:tiny",
    interventions=(Add(vector=DA, layers=(1,)), Ablate(vector=DA, layers=(2,), gate=GATED)),
)


def tar(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as made:
        for name, raw in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(raw)
            made.addfile(member, io.BytesIO(raw))
    return out.getvalue()


def members(raw: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(raw)) as made:
        return {m.name: made.extractfile(m).read() for m in made}


def test_a_profile_travels_with_every_vector_it_names() -> None:
    """Gates' too, each once; unpacked it is the same profile and files, and packing again gives the same bytes."""
    assert vectors_needed(STEERED) == (DA, DB)
    raw = packed(STEERED, {DB: B, DA: A})
    assert raw == packed(STEERED, {DA: A, DB: B})
    bundle = unpacked(raw, digest_of=content_digest)
    assert (bundle.profile, bundle.vectors) == (STEERED, {DA: A, DB: B})
    assert bundle.profile.digest == STEERED.digest
    assert set(members(raw)) == {"profile.json", *(f"vectors/{d[7:]}.safetensors" for d in (DA, DB))}


def test_what_is_not_there_cannot_be_packed() -> None:
    """Every vector the profile names, and no other."""
    with pytest.raises(InvalidInput, match=DB):
        packed(STEERED, {DA: A})
    with pytest.raises(InvalidInput, match="names no"):
        packed(Profile(model="m"), {DA: A})


PATH_A, PATH_B = f"vectors/{DA[7:]}.safetensors", f"vectors/{DB[7:]}.safetensors"
GOOD = members(packed(STEERED, {DA: A, DB: B}))


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({k: v for k, v in GOOD.items() if k != "profile.json"}, "expected profile.json"),
        ({k: v for k, v in GOOD.items() if k != PATH_B}, "is not there"),
        ({**GOOD, f"vectors/{'0' * 64}.safetensors": b"x"}, "names no"),
        ({**GOOD, PATH_A: B}, "of another digest"),
        ({**GOOD, "../evil.safetensors": b"x"}, "evil"),
        ({**GOOD, "vectors/../../evil.safetensors": b"x"}, "evil"),
        ({**GOOD, "readme.txt": b"x"}, "readme.txt"),
        ({PATH_A.removeprefix("vectors/"): A, **GOOD}, "expected profile.json and vectors/"),
        ({**GOOD, "profile.json": b"{}"}, "profile.json"),
        (
            {**GOOD, "profile.json": GOOD["profile.json"].replace(b"tool_rounds", b"tool_bounds")},
            "profile.json",
        ),
        ({}, "got nothing"),
    ],
)
def test_other_archives_are_refused(files: Mapping[str, bytes], says: str) -> None:
    """A file missing, too many, changed, or somewhere else: refused by its name."""
    with pytest.raises(InvalidInput, match=says):
        unpacked(tar(files), digest_of=content_digest, what="a.tar")


def test_links_and_twins_are_refused() -> None:
    """A member that is no plain file, or stands twice, is none of ours."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as made:
        link = tarfile.TarInfo("profile.json")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        made.addfile(link)
    with pytest.raises(InvalidInput, match="no file of ours"):
        unpacked(out.getvalue(), digest_of=content_digest)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as made:
        for _ in range(2):
            member = tarfile.TarInfo("profile.json")
            member.size = len(GOOD["profile.json"])
            made.addfile(member, io.BytesIO(GOOD["profile.json"]))
    with pytest.raises(InvalidInput, match="twice"):
        unpacked(out.getvalue(), digest_of=content_digest)


@given(st.binary(max_size=2000))
def test_any_bytes_are_an_error_or_a_bundle(raw: bytes) -> None:
    """No bytes make anything else happen."""
    with pytest.raises(InvalidInput):
        unpacked(raw, digest_of=content_digest)


@given(st.data())
def test_damage_never_changes_what_is_taken_in(data: st.DataObject) -> None:
    """With any byte of the tar changed, the bundle is refused, or it is one whole and consistent in itself."""
    raw = bytearray(packed(STEERED, {DA: A, DB: B}))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    try:
        bundle = unpacked(bytes(raw), digest_of=content_digest)
    except InvalidInput:
        return
    assert set(bundle.vectors) == set(vectors_needed(bundle.profile))
    assert all(content_digest(content) == name for name, content in bundle.vectors.items())

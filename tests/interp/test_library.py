"""The library: by digest or name, files read when asked for, new files while in use."""

from __future__ import annotations

import os

import pytest
import torch
from safetensors.torch import save_file

from symposia.core.errors import UnknownName, VectorNotFound
from symposia.interp.library import Library
from tests.interp.vectors import of_kind, vector


def test_by_digest_or_by_name_also_a_file_that_comes_later(tmp_path):
    """Ambiguous names list both digests; a digest always finds its own."""
    library = Library([tmp_path])
    first, second = vector(0), vector(1)
    with pytest.raises(UnknownName):
        library.find("warm")
    first.save(tmp_path / "a.safetensors")
    assert library.find("warm").digest == first.digest
    library.add(second)
    assert library.find(second.digest) is second
    with pytest.raises(UnknownName) as ambiguous:
        library.find("warm")
    assert {first.digest, second.digest} <= set(str(ambiguous.value).replace(",", "").split())
    with pytest.raises(VectorNotFound, match="nothing-like-it"):
        library.require("nothing-like-it", "m")
    assert library.names() == {first.digest: "warm", second.digest: "warm"}


def test_two_files_of_one_vector_are_one(tmp_path):
    """A copy is not another vector."""
    for name in ("a", "b"):
        vector().save(tmp_path / f"{name}.safetensors")
    assert Library([tmp_path]).find("warm").digest == vector().digest


def test_a_digest_finds_a_file_nobody_has_named_yet(tmp_path):
    """Among others; the vector of a request that is under way stays, though its file is replaced or gone."""
    others = [vector(seed, name=f"v{seed}") for seed in range(3)]
    for one in others:
        one.save(tmp_path / f"{one.header.name}.safetensors")
    library = Library([tmp_path])
    assert library.find(others[1].digest).digest == others[1].digest
    (tmp_path / "v1.safetensors").unlink()
    assert library.find(others[1].digest).digest == others[1].digest
    with pytest.raises(UnknownName):
        library.find("v1")


def test_a_name_means_the_file_as_it_is_now(tmp_path):
    """A vector fitted anew under its old name takes its place; the old one is still found by digest."""
    library, path = Library([tmp_path]), tmp_path / "a.safetensors"
    vector(0).save(path)
    old = library.find("warm")
    vector(1).save(path)
    os.utime(path, ns=(1, 1))
    assert library.find("warm").digest == vector(1).digest
    assert library.find(old.digest).digest == old.digest


def test_only_headers_are_read_until_a_vector_is_asked_for(tmp_path):
    """Bytes of tensors may be anything until then: files that are not named cost nothing."""
    vector().save(tmp_path / "a.safetensors")
    of_kind("latent").save(tmp_path / "b.safetensors")
    spoiled = vector(2, name="spoiled").encode()
    (tmp_path / "c.safetensors").write_bytes(spoiled[:-4] + b"\xff\xff\xff\xff")  # a NaN
    library = Library([tmp_path])
    with pytest.raises(UnknownName, match=r"spoiled \(c\.safetensors\)"):
        library.find("nothing")
    assert library.find(vector().digest).header.name == "warm"
    with pytest.raises(UnknownName, match=r"not c\.safetensors: .*NaN"):
        library.find("sha256:" + "0" * 64)


def test_a_foreign_file_takes_no_other_away(tmp_path):
    """A look that fails says which files were not read, and why; once whole, the file is found."""
    save_file({"weight": torch.ones(2)}, tmp_path / "model.safetensors")
    raw = vector().encode()
    (tmp_path / "late.safetensors").write_bytes(raw[: len(raw) // 2])
    vector(1, name="cold").save(tmp_path / "cold.safetensors")
    library = Library([tmp_path])
    assert library.find("cold").header.name == "cold"
    with pytest.raises(UnknownName, match=r"not model\.safetensors: .*symposia\.vector"):
        library.find("warm")
    (tmp_path / "late.safetensors").write_bytes(raw)
    assert library.find("warm").digest == vector().digest

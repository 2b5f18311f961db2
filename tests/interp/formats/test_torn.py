"""Files that were cut or changed on their way: a vector or a refusal, whatever the bytes are."""

from __future__ import annotations

import contextlib
from functools import partial

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from symposia.interp.formats.convert import import_vector
from symposia.interp.formats.foreign import Asked, ConventionNeeded
from symposia.interp.kinds import UnreadableVector
from symposia.interp.vector import load_vector
from tests.interp.formats.files import control_vector, rows, svec
from tests.interp.vectors import vector

ROWS = {1: rows(1)[0], 2: rows(1, seed=2)[0]}
WRITE = {
    "v.gguf": partial(control_vector, directions=ROWS),
    "v.svec": partial(svec, directions=ROWS, explained_variances={"1": 0.5}),
    "v.pt": lambda path: torch.save(ROWS, path),
    "v.safetensors": vector().save,
}
READ = {
    "v.pt": partial(import_vector, asked=Asked(convention="block_output")),
    "v.safetensors": load_vector,
}


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch wonders at some bytes
@pytest.mark.parametrize("name", WRITE)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_a_torn_file_is_told(tmp_path, name, data):
    """Cut at any byte, or any byte another."""
    path = tmp_path / name
    WRITE[name](path)
    raw = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(raw) - 1), "at")
    if data.draw(st.booleans(), "cut"):
        del raw[at:]
    else:
        raw[at] = data.draw(st.integers(0, 255), "byte")
    path.write_bytes(bytes(raw))
    with contextlib.suppress(
        UnreadableVector, ConventionNeeded
    ):  # a field may be lost that told one tool from another
        assert READ.get(name, partial(import_vector, asked=Asked()))(path).layers

"""The machine these tests need, and engines on it."""

from __future__ import annotations

import copy
from contextlib import contextmanager

import pytest
import torch

from symposia.engine import Engine, EngineOptions
from tests.reference.families import build, tokenizer
from tests.triton_kernels import DEVICE, GPU

needs_gpu = pytest.mark.skipif(
    not GPU, reason="no CUDA device here: `make gpu` on a machine with one runs it"
)


@pytest.fixture(autouse=True)
def exact_products():
    """fp32 products in fp32, so that tokens can be compared."""
    was = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32 = was


def model_of(family, dtype, device=DEVICE):
    """A model of its own."""
    return copy.deepcopy(build(family, dtype)).to(device)


@contextmanager
def engine_on(family, dtype, *, device=DEVICE, **options):
    """An engine on a random model of a family."""
    chosen = EngineOptions(**{"kv_bytes": 1 << 24, **options})
    with Engine.adopt(model_of(family, dtype, device), tokenizer(), family, options=chosen) as engine:
        yield engine


def graphs(engine):
    """What the lean runner has recorded."""
    return engine._model.runner._graphs

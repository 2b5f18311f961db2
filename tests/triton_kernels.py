"""Triton kernels in tests: compiled where there is a GPU, else step by step in Triton's interpreter, on the CPU."""

from __future__ import annotations

import importlib.util
import os

import pytest
import torch
from hypothesis import settings

GPU = torch.cuda.is_available()
DEVICE = torch.device("cuda" if GPU else "cpu")
_RUNS = GPU or os.environ.get("TRITON_INTERPRET") == "1"  # tests/conftest.py sets it

few_examples = settings(
    deadline=None, max_examples=settings.default.max_examples // (1 if GPU else 4)
)  # the interpreter takes a second for what a GPU does in a microsecond

needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None or not _RUNS,
    reason="no triton here: `pip install triton` (Linux) runs it, with TRITON_INTERPRET=1 where CUDA does not work",
)

"""Triton's interpreter takes what its compiler refuses: kernels are compiled for the GPUs we name, without one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.triton_kernels import needs_triton

SRC = str(Path(__file__).parents[2] / "src")
WRITE = (
    "symposia.interp.kernels.writer._write",
    (
        "hidden=*bf16 tokens=*i32 ends=*i32 ints=*i32 numbers=*fp64 rows=*fp32 stride=i32 sums=*fp64 peaks=*i64 "
        "gates=*fp32 registers=i32"
    ),
    "D=1024 BLOCK=1024 G=4",
)
TAP = (
    "symposia.interp.kernels.taps._tap",
    (
        "hidden=*bf16 kept=*bf16 wanted=*i32 bounds=*i32 ints=*i32 numbers=*fp64 rows=*fp32 stride=i32 "
        "sums=*fp64 peaks=*i64 gates=*fp32"
    ),
    "D=1024 BLOCK=1024 G=16",
)
ATTEND = (
    "symposia.engine.kernels.attention._attend",
    (
        "query=*bf16 keys=*bf16 values=*bf16 out=*bf16 part=*fp32 rows=*i32 blocks=*i32 tiles=*i32 longest=i32 "
        "q_token=i32 q_head=i32 tokens=i32 scale=fp32 softcap=fp32"
    ),
    (
        "KV_HEADS=8 GROUP=4 SIZE=128 OUT=128 SIZE2=128 OUT2=128 TILE={tile} LANES={lanes} ROUND=64 PAGE=16 "
        "WINDOW={window} CAPPED={capped} SPLITS={splits}"
    ),
)
DECODE, PREFILL = (
    (*ATTEND[:2], ATTEND[2].format(**which))
    for which in (
        {"tile": 1, "lanes": 16, "window": 0, "capped": 0, "splits": 8},
        {"tile": 16, "lanes": 64, "window": 1024, "capped": 1, "splits": 1},
    )
)
JOIN = (
    "symposia.engine.kernels.attention._join",
    "part=*fp32 out=*bf16 rows=*i32 tiles=*i32 tokens=i32",
    "HEADS=32 OUT=128 OUT2=128 SPLITS=8",
)
SCRIPT = """
import sys
from importlib import import_module
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

path, types, constants = sys.argv[1:]
module, name = path.rsplit(".", 1)
signature = dict(each.split("=") for each in types.split())
fixed = {name: int(value) for name, value in (each.split("=") for each in constants.split())}
signature.update(dict.fromkeys(fixed, "constexpr"))
kernel = getattr(import_module(module), name)
source = ASTSource(fn=kernel, signature=signature, constexprs=fixed)
for capability in (80, 90):
    assert triton.compile(source, target=GPUTarget("cuda", capability, 32)).asm["cubin"]
"""


@needs_triton
@pytest.mark.slow
@pytest.mark.parametrize(
    "kernel", [WRITE, TAP, DECODE, PREFILL, JOIN], ids=["write", "tap", "decode", "prefill", "join"]
)
def test_kernels_compile_for_ampere_and_hopper(kernel, tmp_path):
    """Down to machine code, by the compiler that triton brings; nothing is run."""
    world = {**os.environ, "PYTHONPATH": SRC, "TRITON_CACHE_DIR": str(tmp_path)}
    world.pop("TRITON_INTERPRET", None)
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, *kernel], env=world, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr[-4000:]

"""The library as Python sees it: structures field by field as in `kernels.c`, calls on addresses, without the GIL.

Axes: T tokens, I and O a linear layer's widths.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_char_p, c_float, c_int32, c_int64, c_void_p
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .build import Absent, build

DTYPES = (torch.float32, torch.bfloat16)


class LinearC(ctypes.Structure):
    """`Linear`."""

    _fields_ = [("weight", c_void_p), ("bias", c_void_p), ("out", c_int64), ("inner", c_int64)]


class LayerC(ctypes.Structure):
    """`Layer`."""

    _fields_ = [
        *((name, LinearC) for name in ("qkv", "project", "gate_up", "down")),
        *((name, c_void_p) for name in ("pre_attention", "post_attention", "pre_mlp", "post_mlp")),
        *((name, c_void_p) for name in ("q_norm", "k_norm", "cos", "sin", "keys", "values")),
        ("scale", c_float),
        ("softcap", c_float),
        ("window", c_int64),
    ]


class ModelC(ctypes.Structure):
    """`Model`."""

    _fields_ = [
        *(
            (name, c_int64)
            for name in ("width", "heads", "kv_heads", "size", "rotary", "block", "threads", "mlp")
        ),
        *((name, c_int32) for name in ("half", "whole_qk", "tanh_gelu")),
        ("eps", c_float),
    ]


class StepC(ctypes.Structure):
    """`Step`."""

    _fields_ = [
        *((name, c_int64) for name in ("tokens", "rows", "longest")),
        *((name, c_void_p) for name in ("positions", "bounds", "blocks")),
    ]


class WritingC(ctypes.Structure):
    """`Writing`."""

    _fields_ = [
        ("rows", c_void_p),
        ("stride", c_int64),
        *((name, c_void_p) for name in ("sums", "peak")),
        ("registers", c_int64),
        ("gates", c_void_p),
    ]


class ProgramC(ctypes.Structure):
    """`Program`."""

    _fields_ = [
        *((name, c_int64) for name in ("width", "count")),
        *((name, c_void_p) for name in ("tokens", "ends")),
        ("code", c_char_p),
    ]


class ReadC(ctypes.Structure):
    """`Read`."""

    _fields_ = [("tokens", c_void_p), ("count", c_int64), ("before", c_int64), ("to", c_void_p)]


class TapC(ctypes.Structure):
    """`Tap`."""

    _fields_ = [
        *((name, c_int64) for name in ("stage", "place", "reads")),
        ("program", ProgramC),
        ("read", POINTER(ReadC)),
    ]


_SIZES: list[Any] = [c_int64, c_int64, c_int32]
_STEP: list[Any] = [POINTER(ModelC), POINTER(LayerC), POINTER(StepC)]
_CALLS: tuple[tuple[str, Any, list[Any]], ...] = (
    ("packed_size", c_int64, _SIZES),
    ("pack", None, [c_void_p, c_void_p, *_SIZES]),
    ("unpack", None, [c_void_p, c_void_p, *_SIZES]),
    ("linear", c_int32, [POINTER(ModelC), POINTER(LinearC), c_void_p, c_void_p, c_int64]),
    ("scratch", c_int64, [POINTER(ModelC), POINTER(StepC)]),
    (
        "experts",
        c_int32,
        [POINTER(ModelC), POINTER(LinearC), POINTER(LinearC), c_int64, c_int64, *([c_void_p] * 4), c_int64],
    ),
    ("intervene", c_int32, [POINTER(WritingC), POINTER(ProgramC), c_void_p, c_int32]),
    (
        "run",
        None,
        [*_STEP, c_int64, c_int64, *([c_void_p] * 4), c_void_p, c_int64, POINTER(WritingC)],
    ),
    ("lanes", c_int32, []),
    ("paired", c_int32, []),
)


class Kernels:
    """The loaded library; `how` says what it was built for."""

    def __init__(self, path: Path) -> None:
        self.library = ctypes.CDLL(str(path))
        for name, result, arguments in _CALLS:
            function = self.library[name]
            function.restype, function.argtypes = result, arguments
            setattr(self.library, name, function)  # a lookup by item makes a new one each time

    @property
    def how(self) -> str:
        """Width of its vectors, and whether bf16 products are the processor's own."""
        products = ", bf16 products" if self.library.paired() else ""
        return f"vectors of {self.library.lanes()} numbers{products}"


@cache
def kernels() -> Kernels | Absent:
    """The library of this machine, built and loaded once a process."""
    built = build()
    if isinstance(built, Absent):
        return built
    try:
        return Kernels(built)
    except (OSError, AttributeError) as error:
        return Absent(f"{built} cannot be loaded: {error}")


class PackedLinear:
    """A linear layer whose weights lie as the kernels read them: `[T, I]` to `[T, O]` in the weights' dtype."""

    def __init__(self, native: Kernels, weight_OI: Tensor, bias_O: Tensor | None) -> None:
        self._library = native.library
        self._out, self._in = weight_OI.shape
        self._dtype = weight_OI.dtype
        half = int(self._dtype == torch.bfloat16)
        weight_OI = weight_OI.contiguous()
        self._packed = torch.zeros(self._library.packed_size(self._out, self._in, half), dtype=self._dtype)
        self._library.pack(weight_OI.data_ptr(), self._packed.data_ptr(), self._out, self._in, half)
        self._bias = None if bias_O is None else bias_O.detach().float().contiguous()
        bias = None if self._bias is None else self._bias.data_ptr()
        self.struct = LinearC(self._packed.data_ptr(), bias, self._out, self._in)
        self._model = ModelC(half=half)

    def __call__(self, x_TI: Tensor) -> Tensor:
        """The product, on torch's present number of threads."""
        x_TI = x_TI.contiguous()
        y_TO = torch.empty(len(x_TI), self._out, dtype=self._dtype)
        self._model.threads = torch.get_num_threads()
        if self._library.linear(self._model, self.struct, x_TI.data_ptr(), y_TO.data_ptr(), len(x_TI)):
            raise MemoryError(f"no memory for the product of {len(x_TI)} rows")
        return y_TO

    def weight(self) -> Tensor:
        """`weight_OI` again, as it was before packing."""
        weight_OI = torch.empty(self._out, self._in, dtype=self._dtype)
        half = int(self._dtype == torch.bfloat16)
        self._library.unpack(self._packed.data_ptr(), weight_OI.data_ptr(), self._out, self._in, half)
        return weight_OI

"""Which runner a model gets, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from symposia.core.errors import ArchitectureNotUnderstood
from symposia.engine.loading import Loaded
from symposia.engine.native.binding import DTYPES, Kernels, kernels
from symposia.engine.native.build import Absent
from symposia.engine.options import EngineOptions
from symposia.engine.verify import TOKENS, verify
from symposia.interp.anatomy import Parts

from . import Runner
from .hf import HfRunner
from .lean import LeanRunner


@dataclass(frozen=True)
class Choice:
    """The runner in use; `reason` is what the load-time check found, or why the lean forward was not taken."""

    runner: Runner
    name: Literal["lean", "hf"]
    reason: str


def choose(
    loaded: Loaded, parts: Parts | None, options: EngineOptions, *, window: int, blocks: int
) -> Choice:
    """The runner of a loaded model, checked against the model's own forward.

    `runner="auto"` takes the lean forward if its family is listed and it agrees, otherwise the module itself.
    `ArchitectureNotUnderstood`: a forced runner, or the module under our attention, would run wrongly.
    """
    size, reason = options.block, "asked for"
    if options.runner != "hf":
        try:
            return _lean(loaded, options, window=window, blocks=blocks)
        except ArchitectureNotUnderstood as error:
            if options.runner == "lean":
                raise
            reason = str(error)
    hf = HfRunner(loaded.model, parts, blocks=blocks, block_size=size)
    _checked(loaded, hf, blocks, size)
    return Choice(hf, "hf", reason)


def _lean(loaded: Loaded, options: EngineOptions, *, window: int, blocks: int) -> Choice:
    native, how = _native(loaded, options)
    lean = LeanRunner(loaded.model, window=window, blocks=blocks, block_size=options.block, native=native)
    return Choice(lean, "lean", f"{_checked(loaded, lean, blocks, options.block)}; {how}")


def _native(loaded: Loaded, options: EngineOptions) -> tuple[Kernels | None, str]:
    """The kernels for a model, or why it runs on torch's operators."""
    if not options.native:
        return None, "plain torch, as asked for"
    if loaded.device.type != "cpu" or loaded.dtype not in DTYPES:
        return None, f"plain torch: no kernels for {loaded.dtype} on {loaded.device.type}"
    found = kernels()
    if isinstance(found, Absent):
        return None, f"plain torch: {found.reason}"
    return found, f"native kernels, {found.how}"


def _checked(loaded: Loaded, runner: Runner, blocks: int, size: int) -> str:
    if blocks * size < TOKENS:
        return f"not checked: fewer than {TOKENS} positions of K/V"
    with loaded.lock:
        error = verify(loaded.model, runner, loaded.config.vocab_size, size)
    return f"logits as the module's own: relative L2 {error:.1e} over {TOKENS} tokens"

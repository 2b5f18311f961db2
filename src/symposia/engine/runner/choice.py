"""Which runner a model gets, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from symposia.core.errors import ArchitectureNotUnderstood
from symposia.engine.loading import Loaded
from symposia.engine.native.binding import DTYPES, kernels
from symposia.engine.native.build import Absent
from symposia.engine.options import EngineOptions
from symposia.engine.projections import Packer
from symposia.engine.verify import TOKENS, verify
from symposia.interp.anatomy import Parts

from . import Runner
from .device import Accelerator, accelerator_of
from .hf import HfRunner
from .lean import LeanRunner


@dataclass(frozen=True)
class Choice:
    """The runner in use; `reason` is what the load-time check found, or why the lean forward was not taken.

    `spares`: the module can do without the weights that the runner has packed.
    """

    runner: Runner
    name: Literal["lean", "hf"]
    reason: str
    spares: bool = False


@dataclass(frozen=True)
class _Room:
    """Positions of the rotary tables, blocks of K/V, and what the device offers."""

    window: int
    blocks: int
    accelerator: Accelerator | None


def choose(
    loaded: Loaded,
    parts: Parts | None,
    options: EngineOptions,
    *,
    window: int,
    blocks: int,
    accelerator: Accelerator | None = None,
) -> Choice:
    """The runner of a loaded model, checked against the model's own forward.

    `runner="auto"` takes the lean forward if its family is listed and it agrees, otherwise the module itself.
    `ArchitectureNotUnderstood`: a forced runner, or the module under our attention, would run wrongly.
    """
    found = (accelerator or accelerator_of(loaded.model)) if options.native else None
    room = _Room(window, blocks, found)
    with loaded.projections.whole():
        choice = _choose(loaded, parts, options, room)
    if choice.spares:
        loaded.projections.drop()
    else:
        loaded.projections.keep()
    return choice


def _choose(loaded: Loaded, parts: Parts | None, options: EngineOptions, room: _Room) -> Choice:
    reason = "asked for"
    if options.runner != "hf":
        try:
            return _lean(loaded, options, room)
        except ArchitectureNotUnderstood as error:
            if options.runner == "lean":
                raise
            reason = str(error)
    hf = HfRunner(
        loaded.model,
        parts,
        blocks=room.blocks,
        block_size=options.block,
        attention=options.attention,
        accelerator=room.accelerator,
    )
    _checked(loaded, hf, room.blocks, options.block)
    return Choice(hf, "hf", reason + _attending(options))


def _lean(loaded: Loaded, options: EngineOptions, room: _Room) -> Choice:
    """With kernels if there are any and they compute what the module does."""
    pack, how = _packer(loaded, options, room.accelerator)

    def made(pack: Packer | None) -> tuple[Runner, str]:
        runner = LeanRunner(
            loaded.model,
            window=room.window,
            blocks=room.blocks,
            block_size=options.block,
            max_rows=options.max_rows,
            pack=pack,
            attention=options.attention,
            accelerator=room.accelerator,
        )
        return runner, _checked(loaded, runner, room.blocks, options.block) + _attending(options)

    if pack is not None:
        try:
            runner, found = made(pack)
            return Choice(runner, "lean", f"{found}; {how}", spares=loaded.owned)
        except ArchitectureNotUnderstood as error:
            how = f"plain torch, not the kernels: {error}"
    runner, found = made(None)
    return Choice(runner, "lean", f"{found}; {how}")


def _attending(options: EngineOptions) -> str:
    return "" if options.attention == "auto" else f"; attention: {options.attention}"


def _packer(
    loaded: Loaded, options: EngineOptions, accelerator: Accelerator | None
) -> tuple[Packer | None, str]:
    """What packs a model for the native kernels, or why it runs on torch's operators."""
    if accelerator is not None:
        return None, "torch with Triton's kernels, decode steps recorded"
    if not options.native:
        return None, "plain torch, as asked for"
    if loaded.device.type != "cpu" or loaded.dtype not in DTYPES:
        return None, f"plain torch: no kernels for {loaded.dtype} on {loaded.device.type}"
    found = kernels()
    if isinstance(found, Absent):
        return None, f"plain torch: {found.reason}"
    return Packer(found, loaded.projections), f"native kernels, {found.how}"


def _checked(loaded: Loaded, runner: Runner, blocks: int, size: int) -> str:
    if blocks * size < TOKENS:
        return f"not checked: fewer than {TOKENS} positions of K/V"
    with loaded.lock:
        error = verify(loaded.model, runner, loaded.config.vocab_size, size)
    return f"logits as the module's own: relative L2 {error:.1e} over {TOKENS} tokens"

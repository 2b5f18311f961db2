"""What a device offers where layers run as torch operators: Triton's kernels and recordings on CUDA."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

import torch
from transformers import PreTrainedModel

from symposia.engine.kernels.tables import Grid
from symposia.engine.replay.recorder import CudaRecorder, Recorder
from symposia.interp.bank import Bank, Ledger
from symposia.interp.write import TorchWriter, Writer


@dataclass(frozen=True)
class Accelerator:
    """Triton's kernels for one model: how their attention is cut, and what records decode steps (None: nothing)."""

    grid: Grid
    recorder: Recorder | None


def accelerator_of(model: PreTrainedModel) -> Accelerator | None:
    """What a loaded model's device offers; None where all is done by torch's operators."""
    weight = next(model.parameters())
    if weight.device.type != "cuda" or find_spec("triton") is None or weight.dtype == torch.float64:
        return None
    count = torch.cuda.get_device_properties(weight.device).multi_processor_count
    return Accelerator(Grid.of(*heads_of(model), count), CudaRecorder())


def heads_of(model: PreTrainedModel) -> tuple[int, int]:
    """Query heads and key heads."""
    config = model.config.get_text_config()
    heads: int = config.num_attention_heads
    return heads, int(config.to_dict().get("num_key_value_heads") or heads)


def writer_of(accelerator: Accelerator | None, bank: Bank, ledger: Ledger) -> Writer:
    """Triton's kernel where there is an accelerator, else torch's operators."""
    if accelerator is None:
        return TorchWriter(bank, ledger)
    from symposia.interp.kernels.writer import TritonWriter

    return TritonWriter(bank, ledger)

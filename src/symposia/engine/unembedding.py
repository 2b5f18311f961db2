"""The end of a model and nothing else: final norm, unembedding and tokenizer, to read stored residuals as words.

Of a checkpoint of any size only those two tensors are loaded; the rest is never read but for the model's digest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, PreTrainedTokenizerBase

from symposia.core.errors import ArchitectureNotUnderstood, InvalidInput, UnsupportedFormat
from symposia.interp.anatomy import ANATOMIES, unembed
from symposia.interp.taps import ModelShape

from .checkpoint import TEXT, Checkpoint, configuration, digest_of, examine, text_config, tokenizer_of
from .loading import Device, Dtype, device_of, dtype_of
from .locate import locate
from .logprobs import spelled


class Unembedding:
    """Implements `interp.taps.Unembeds`: `lens.logits(acts, Unembedding.load("Qwen/Qwen3-4B"))`."""

    def __init__(
        self,
        norm: nn.Module,
        head: nn.Module,
        tokenizer: PreTrainedTokenizerBase,
        shape: ModelShape,
        config: Any,
    ) -> None:
        self._norm, self._head, self._tokenizer = norm, head, tokenizer
        self._softcap: float | None = config.to_dict().get("final_logit_softcapping")
        self.shape = shape

    @classmethod
    def load(cls, address: str, *, device: Device = "auto", dtype: Dtype = "auto") -> Unembedding:
        """Of a model address without adapter or rounding. Raises as `Engine.load`, for what it reads."""
        place = locate(address, revision=None, adapter=None, quant=None)
        if place.quantization is not None or place.of.adapter is not None:
            raise InvalidInput(
                f"{address}: expected a plain model; load an Engine for one with changed weights"
            )
        checkpoint = examine(place.fetch(), trusted=False)
        whole = configuration(checkpoint)
        config, where = text_config(whole), device_of(device)
        if config.model_type not in ANATOMIES:
            raise ArchitectureNotUnderstood(
                f"model type {config.model_type!r}: expected one of {', '.join(sorted(ANATOMIES))}"
            )
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config)
        anatomy, kind = ANATOMIES[config.model_type], dtype_of(place.dtype or dtype, where)
        norm, head = model.get_submodule(anatomy.norm), model.get_submodule(anatomy.head)
        ends = {anatomy.norm: norm, anatomy.head: head}
        embedding = next(name for name, m in model.named_modules() if m is model.get_input_embeddings())
        wanted = {f"{path}.{key}" for path, module in ends.items() for key in module.state_dict()}
        found = _tensors(checkpoint, wanted, {f"{anatomy.head}.weight": f"{embedding}.weight"})
        for path, module in ends.items():
            state = {key: found[f"{path}.{key}"].to(where, kind) for key in module.state_dict()}
            module.load_state_dict(state, assign=True)
        shape = ModelShape(
            name=place.address,
            digest=digest_of(checkpoint, whole),
            template="",
            tokenizer="",
            type=config.model_type,
            layers=config.num_hidden_layers,
            width=config.hidden_size,
            vocabulary=config.vocab_size,
            dtype=str(kind).removeprefix("torch."),
        )
        return cls(norm.eval(), head.eval(), tokenizer_of(checkpoint), shape, config)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(self._head.parameters()).device

    def norm_and_unembed(self, hidden_ND: Tensor) -> Tensor:
        """`logits_NV` of residuals that leave the last block, on the device that they came from."""
        weight = next(self._head.parameters())
        with torch.no_grad():
            own_ND = hidden_ND.to(weight.device, weight.dtype)
            return unembed(self._norm, self._head, self._softcap, own_ND).to(hidden_ND.device)

    def tokens_of(self, text: str) -> tuple[int, ...]:
        """Ids of a text that stands alone, no special tokens added."""
        return tuple(self._tokenizer.encode(text, add_special_tokens=False))

    def spelled(self, token_ids: Sequence[int]) -> tuple[str, ...]:
        """Each token's own text."""
        return tuple(spelled(self._tokenizer, i) for i in token_ids)


def _tensors(checkpoint: Checkpoint, wanted: set[str], tied: Mapping[str, str]) -> dict[str, Tensor]:
    """Tensors by the model's own names; one that is `tied` to another is read from there if it has none of its own."""
    found: dict[str, Tensor] = {}
    for path in checkpoint.files:
        with safe_open(str(path), framework="pt") as file:
            for name in file.keys():  # noqa: SIM118  not a mapping
                own = _own_name(name)
                if own in wanted or own in tied.values():
                    found[own] = file.get_tensor(name)
    for name, other in tied.items():
        if name not in found and other in found:
            found[name] = found[other]
    if missing := sorted(wanted - set(found)):
        raise UnsupportedFormat(
            expected="final norm and unembedding", got=f"no {missing[0]}", path=str(checkpoint.folder)
        )
    return found


def _own_name(name: str) -> str:
    for pattern, own in TEXT.items():
        name = re.sub(pattern, own, name)
    return name

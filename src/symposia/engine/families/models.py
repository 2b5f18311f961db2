"""Random-weight models of the families, small enough for a test and odd enough to catch a wrong assumption.

Grouped-query attention everywhere, head sizes that are not hidden/heads, sliding windows shorter than a prompt, QK
norms, logit caps, scaled rotary embeddings and tied embeddings, each where the family has it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import transformers
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from symposia.core.errors import UnknownName

from .templates import chat_tokenizer

_WINDOW = 16
_COMMON = {
    "hidden_size": 48,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 1024,
    "initializer_range": 0.3,
}
_ALTERNATING = ["sliding_attention", "full_attention", "sliding_attention", "full_attention"]
_LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 10_000.0,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}


class _Recipe(NamedTuple):
    config: str
    template: str
    own: dict[str, Any]


_RECIPES = {
    "qwen2": _Recipe("Qwen2Config", "qwen2.5", {"tie_word_embeddings": True}),
    "qwen3": _Recipe("Qwen3Config", "qwen3", {"head_dim": 16, "tie_word_embeddings": False}),
    "gemma2": _Recipe(
        "Gemma2Config",
        "gemma2",
        {
            "num_hidden_layers": 4,
            "head_dim": 16,
            "query_pre_attn_scalar": 24,
            "sliding_window": _WINDOW,
            "layer_types": _ALTERNATING,
            "attn_logit_softcapping": 20.0,
            "final_logit_softcapping": 15.0,
        },
    ),
    "gemma3": _Recipe(
        "Gemma3TextConfig",
        "gemma3",
        {
            "num_hidden_layers": 4,
            "head_dim": 16,
            "query_pre_attn_scalar": 24,
            "sliding_window": _WINDOW,
            "layer_types": _ALTERNATING,
        },
    ),
    "llama": _Recipe(
        "LlamaConfig", "llama3.1", {"rope_parameters": _LLAMA3_ROPE, "tie_word_embeddings": False}
    ),
    "mistral": _Recipe("MistralConfig", "mistral-nemo", {"head_dim": 16, "sliding_window": _WINDOW}),
    "phi3": _Recipe("Phi3Config", "phi3.5", {"original_max_position_embeddings": 1024}),
}
FAMILIES: tuple[str, ...] = tuple(_RECIPES)


class Family(NamedTuple):
    """`model(seed=0, dtype=torch.float32, **config)` builds fresh random weights; `tokenizer` is shared."""

    model: Callable[..., PreTrainedModel]
    tokenizer: PreTrainedTokenizerFast


def family(name: str) -> Family:
    """A random model's builder and a tokenizer that fits it. `UnknownName` lists the families."""
    recipe = _RECIPES.get(name)
    if recipe is None:
        raise UnknownName("model family", name, FAMILIES)
    tokenizer = chat_tokenizer(recipe.template)

    def build(seed: int = 0, dtype: torch.dtype = torch.float32, **config: Any) -> PreTrainedModel:
        settings = {
            **_COMMON,
            "vocab_size": len(tokenizer),
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            **recipe.own,
            **config,
        }
        made = getattr(transformers, recipe.config)(**settings)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model: PreTrainedModel = transformers.AutoModelForCausalLM.from_config(made, dtype=dtype)
        return model.eval()

    return Family(build, tokenizer)

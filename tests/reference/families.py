"""Random-weight models of every listed family, small enough for two cores, and plain ways to run them."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path

import torch
from transformers import (
    AttentionInterface,
    AttentionMaskInterface,
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.masking_utils import eager_mask

import symposia

torch.set_num_threads(1)  # these models are small: waking a second thread costs more than it does
TINY = Path(symposia.__file__).parent / "weights" / "tiny"
WINDOW = 24
_HYBRID = ["sliding_attention", "full_attention", "sliding_attention", "full_attention"]
_COMMON = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "initializer_range": 0.25,
    "tie_word_embeddings": False,
}
EXPERTS: dict[str, dict[str, object]] = {
    "qwen3_moe": {
        "num_experts_per_tok": 2,
        "num_experts": 6,
        "moe_intermediate_size": 32,
        "head_dim": 24,
        "mlp_only_layers": [2],
        "norm_topk_prob": True,
    },
    "mixtral": {"num_experts_per_tok": 2, "num_local_experts": 4, "sliding_window": WINDOW},
}
ROUTED = {"qwen3_moe": (0, 1, 3), "mixtral": (0, 1, 2, 3)}  # layers with experts
FAMILIES: dict[str, dict[str, object]] = {
    "llama": {},
    "mistral": {"sliding_window": WINDOW, "head_dim": 20},
    "qwen2": {"use_sliding_window": True, "sliding_window": WINDOW, "layer_types": _HYBRID},
    "qwen3": {"head_dim": 24},
    "gemma2": {"sliding_window": WINDOW, "head_dim": 24, "query_pre_attn_scalar": 20, "layer_types": _HYBRID},
    "gemma3_text": {"sliding_window": WINDOW, "head_dim": 24, "layer_types": _HYBRID},
    "phi3": {"sliding_window": WINDOW, "pad_token_id": 0},
    "olmo2": {},
    **EXPERTS,
}


@cache
def tokenizer() -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(TINY)


def build(family: str, dtype: str = "float64") -> PreTrainedModel:
    return _build(family, dtype)


@cache
def _build(family: str, dtype: str) -> PreTrainedModel:
    torch.manual_seed(0)
    config = AutoConfig.for_model(family, vocab_size=len(tokenizer()), **{**_COMMON, **FAMILIES[family]})
    config.eos_token_id = config.bos_token_id = None
    model = AutoModelForCausalLM.from_config(config).to(getattr(torch, dtype)).eval()
    if dtype == "float64":
        for module in model.modules():
            if type(module).__name__.endswith("RMSNorm"):
                module.forward = partial(_exact_norm, module)
    if family in EXPERTS:
        model.config._experts_implementation = "eager"  # torch's grouped product knows no float64
    return model


def unlisted() -> PreTrainedModel:
    """A model whose family is in no anatomy."""
    torch.manual_seed(0)
    config = AutoConfig.for_model("starcoder2", vocab_size=len(tokenizer()), **_COMMON)
    config.eos_token_id = config.bos_token_id = None
    return AutoModelForCausalLM.from_config(config).eval()


def save(model: PreTrainedModel, folder: Path) -> Path:
    """The model as a folder that anybody may have downloaded."""
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def _exact_norm(module, hidden):
    """transformers norms rows in fp32 whatever the dtype: of two rows alike to fp64, one may then round up."""
    eps = module.eps if hasattr(module, "eps") else module.variance_epsilon
    scale = module.weight + 1.0 if type(module).__name__.startswith("Gemma") else module.weight
    return hidden * torch.rsqrt(hidden.square().mean(-1, keepdim=True) + eps) * scale


def _exact_attention(module, query, key, value, attention_mask, scaling=None, softcap=None, **kwargs):
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    scores = query @ key.transpose(2, 3) * (scaling or query.shape[-1] ** -0.5)
    if softcap is not None:
        scores = (scores / softcap).tanh() * softcap
    scores = scores + attention_mask
    return (scores.softmax(dim=-1) @ value).transpose(1, 2).contiguous(), None


# transformers' eager attention takes its softmax in fp32 whatever the model's dtype, and its sdpa knows no softcap
AttentionInterface.register("exact", _exact_attention)
AttentionMaskInterface.register("exact", eager_mask)


class exact:  # noqa: N801  reads as a clause: `with exact(model): ...`
    """Plain transformers with a softmax in the model's own dtype."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model, self.was = model, model.config._attn_implementation

    def __enter__(self) -> PreTrainedModel:
        self.model.config._attn_implementation = "exact"
        return self.model

    def __exit__(self, *exc: object) -> None:
        self.model.config._attn_implementation = self.was


@torch.no_grad()
def plain_logits(model: PreTrainedModel, ids: list[int]) -> torch.Tensor:
    """`[n, V]` of one plain forward."""
    with exact(model):
        return model(
            input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)), use_cache=False
        ).logits[0]


@torch.no_grad()
def plain_generate(
    model: PreTrainedModel, prompts: list[list[int]], n: int, banned: list[int]
) -> list[list[int]]:
    """Greedy, left-padded, one batch."""
    longest = max(map(len, prompts))
    ids = torch.tensor([[0] * (longest - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts])
    with exact(model):
        out = model.generate(
            ids,
            attention_mask=mask,
            do_sample=False,
            max_new_tokens=n,
            pad_token_id=0,
            suppress_tokens=banned,
        )
    return out[:, longest:].tolist()


def relative_l2(got: torch.Tensor, expected: torch.Tensor) -> float:
    return float((got.double() - expected.double()).norm() / expected.double().norm())


BARS = {"float64": 1e-10, "float32": 1e-4}

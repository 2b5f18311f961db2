"""Where the parts of a family's module tree are, by role. An unlisted family is not understood."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from symposia.core.errors import ArchitectureNotUnderstood

from .taps import Heads


@dataclass(frozen=True, kw_only=True)
class Anatomy:
    """Paths inside the causal-LM module. Blocks are sequential: each adds to one residual stream."""

    blocks: str = "model.layers"
    norm: str = "model.norm"
    head: str = "lm_head"
    attention: str = "self_attn"  # within a block
    z: str = "self_attn.o_proj"  # whose input is all heads side by side
    attn_out: str = "self_attn"  # whose output is added to the residual
    mid: str = "post_attention_layernorm"  # whose input is the residual between attention and MLP
    mlp: str = "mlp"
    router: str | None = None  # gives (logits, weights, ids) of experts; layers without one have a plain MLP
    mlp_out: str = "mlp"


_SEQUENTIAL = Anatomy()
_SANDWICH = Anatomy(
    attn_out="post_attention_layernorm", mid="pre_feedforward_layernorm", mlp_out="post_feedforward_layernorm"
)
_POST_NORMED = Anatomy(attn_out="post_attention_layernorm", mid="mlp", mlp_out="post_feedforward_layernorm")
ANATOMIES: dict[str, Anatomy] = {
    **dict.fromkeys(("llama", "mistral", "qwen2", "qwen3", "phi3", "smollm3"), _SEQUENTIAL),
    **dict.fromkeys(("gemma2", "gemma3_text"), _SANDWICH),
    "olmo2": _POST_NORMED,
    **dict.fromkeys(("qwen3_moe", "mixtral"), Anatomy(router="mlp.gate")),
}


@dataclass(frozen=True)
class Parts:
    """The modules of one loaded model, found and checked."""

    blocks: tuple[nn.Module, ...]
    norm: nn.Module
    head: nn.Module
    softcap: float | None
    heads: tuple[Heads, ...]
    z: tuple[nn.Module, ...]
    attn_out: tuple[nn.Module, ...]
    mid: tuple[nn.Module, ...]
    mlp_out: tuple[nn.Module, ...]
    router: tuple[nn.Module | None, ...]
    attention_path: tuple[tuple[nn.Module, ...], ...]  # by layer, from `z` to `attn_out`
    mlp_path: tuple[tuple[nn.Module, ...], ...]  # from `resid_mid` to `mlp_out`

    @property
    def experts(self) -> tuple[int, ...]:
        """How many experts each layer chooses from; 0 where it does not."""
        return tuple(0 if router is None else int(_attributes(router).num_experts) for router in self.router)

    def attention_term(self, layer: int, z_NX: Tensor) -> Tensor:
        """What attention adds to the residual, from all heads side by side."""
        return _through(self.attention_path[layer], z_NX)

    def mlp_term(self, layer: int, mid_ND: Tensor) -> Tensor:
        """What the MLP adds to the residual that it reads."""
        return _through(self.mlp_path[layer], mid_ND)

    def norm_and_unembed(self, hidden_ND: Tensor) -> Tensor:
        """`logits_NV` of rows that leave the last block."""
        return unembed(self.norm, self.head, self.softcap, hidden_ND)


def unembed(norm: nn.Module, head: nn.Module, softcap: float | None, hidden_ND: Tensor) -> Tensor:
    """`logits_NV` by a model's last two modules."""
    logits_NV: Tensor = head(norm(hidden_ND))
    return logits_NV if softcap is None else (logits_NV / softcap).tanh() * softcap


def dissect(model: nn.Module, model_type: str, layers: int, softcap: float | None) -> Parts:
    """The parts of a loaded model; `ArchitectureNotUnderstood` for an unlisted family or another tree."""
    if model_type not in ANATOMIES:
        raise ArchitectureNotUnderstood(
            f"model type {model_type!r}: expected one of {', '.join(sorted(ANATOMIES))}; "
            "load it with white_box=False to run it without interventions and captures"
        )
    anatomy = ANATOMIES[model_type]
    try:
        blocks = tuple(model.get_submodule(anatomy.blocks).children())
        parts = Parts(
            blocks,
            model.get_submodule(anatomy.norm),
            model.get_submodule(anatomy.head),
            softcap,
            tuple(_heads(block, anatomy) for block in blocks),
            tuple(block.get_submodule(anatomy.z) for block in blocks),
            tuple(block.get_submodule(anatomy.attn_out) for block in blocks),
            tuple(block.get_submodule(anatomy.mid) for block in blocks),
            tuple(block.get_submodule(anatomy.mlp_out) for block in blocks),
            tuple(_router(block, anatomy) for block in blocks),
            tuple(_path(block, anatomy.z, anatomy.attn_out, skip=anatomy.attention) for block in blocks),
            tuple(_path(block, anatomy.mid, anatomy.mlp, anatomy.mlp_out) for block in blocks),
        )
    except AttributeError as error:
        raise ArchitectureNotUnderstood(
            f"model type {model_type!r} without the modules of {anatomy}: {error}"
        ) from error
    if len(blocks) != layers:
        raise ArchitectureNotUnderstood(f"{anatomy.blocks}: expected {layers} blocks; got {len(blocks)}")
    return parts


def _heads(block: nn.Module, anatomy: Anatomy) -> Heads:
    """As the block's own modules have it; nothing is derived from the residual's width."""
    attention: Any = block.get_submodule(anatomy.attention)
    out: Any = block.get_submodule(anatomy.z)
    query, rest = divmod(int(out.in_features), int(attention.head_dim))
    if rest or query % int(attention.num_key_value_groups):
        raise ArchitectureNotUnderstood(
            f"{anatomy.z}: expected heads of {attention.head_dim} in groups of {attention.num_key_value_groups}; "
            f"got an input of {out.in_features}"
        )
    return Heads(query=query, key=query // int(attention.num_key_value_groups), size=int(attention.head_dim))


def _path(block: nn.Module, *names: str, skip: str = "") -> tuple[nn.Module, ...]:
    """Modules that one number after the other passes, each once."""
    return tuple(block.get_submodule(name) for name in dict.fromkeys(names) if name != skip)


def _through(path: tuple[nn.Module, ...], x_NX: Tensor) -> Tensor:
    x_1NX = x_NX[None]
    for module in path:
        x_1NX = module(x_1NX)
    return x_1NX[0]


def _router(block: nn.Module, anatomy: Anatomy) -> nn.Module | None:
    if anatomy.router is None:
        return None
    names = {name for name, _ in block.named_modules()}
    return block.get_submodule(anatomy.router) if anatomy.router in names else None


def _attributes(module: nn.Module) -> Any:
    """A module whose own attributes torch's types do not know."""
    return module

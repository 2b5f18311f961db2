"""Sparse autoencoders of SAELens: a folder with `cfg.json` and `sae_weights.safetensors`, to a file of kind `latent`.

SAELens computes f = act(n(x) - b_dec)W_enc + b_enc. What is constant is folded into `encoder_bias`; a gated encoder is
a JumpReLU with rows scaled by exp(r_mag) (arXiv 2404.16014). What one latent alone cannot decide (top k), or what needs
the row's own statistics (a norm rule), stays in `method.params`: its decoder rows are directions, its activation is not
computed.

Axes: D width of the site, F features.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from symposia.core.capture import Site
from symposia.interp.kinds import UnreadableVector
from symposia.interp.latent import Autoencoder, Norm
from symposia.interp.vector import Header, Reading, SteeringVector

from .foreign import Asked, doubts, fitted_on, origin

CONFIG, WEIGHTS = "cfg.json", "sae_weights.safetensors"
HOOKS: dict[str, Site] = {
    "hook_resid_pre": "resid_pre",
    "hook_resid_mid": "resid_mid",
    "hook_resid_post": "resid_post",
    "hook_attn_out": "attn_out",
    "hook_mlp_out": "mlp_out",
    "attn.hook_z": "z",
}
_HOOK = re.compile(rf"blocks\.(\d+)\.({'|'.join(re.escape(name) for name in HOOKS)})")
_AT_ONCE = 4096  # rows in double precision: there may be millions
_NORMS: dict[object, Norm] = {
    None: "none",
    False: "none",
    "none": "none",
    "layer_norm": "layer_norm",
    "constant_norm_rescale": "constant_norm_rescale",
}


class _Told(msgspec.Struct):
    """What is read of `cfg.json`; before SAELens 6 all of it stood at the top, since then some stands in `metadata`."""

    d_in: int
    d_sae: int
    architecture: str = "standard"
    apply_b_dec_to_input: bool = True
    normalize_activations: str | bool | None = "none"
    hook_name: str | None = None
    hook_point: str | None = None
    hook_head_index: int | None = None
    model_name: str | None = None
    activation_fn: str | None = None
    activation_fn_str: str | None = None
    activation_fn_kwargs: dict[str, Any] | None = None
    finetuning_scaling_factor: bool = False
    k: int | None = None


def read_sae(folder: Path, asked: Asked) -> SteeringVector:
    """The autoencoder as a vector file of kind `latent`. Raises `UnreadableVector` for what it is not."""
    told = _config(folder / CONFIG)
    layer, site = _place(told, folder)
    weights = _weights(folder / WEIGHTS)
    if asked.shape is not None and layer >= asked.shape.layers:
        raise UnreadableVector(
            f"{folder}: expected a block 0..{asked.shape.layers - 1} of {asked.shape.name}; got {layer}"
        )
    if asked.shape is not None and site != "z" and told.d_in != asked.shape.width:
        raise UnreadableVector(
            f"{folder}: expected the width of {asked.shape.name}, {asked.shape.width}; got {told.d_in}"
        )
    tensors, changes = _tensors(told, weights, folder)
    changes = (f"{told.hook_name or told.hook_point} -> {site} of block {layer}", *changes)
    rule = Autoencoder(
        activation="top_k"
        if told.architecture == "topk"
        else "jump_relu"
        if "threshold" in tensors
        else "relu",
        norm=_NORMS[told.normalize_activations],
        k=told.k,
    )
    header = Header(
        name=asked.name or folder.name,
        kind="latent",
        model=fitted_on(asked.shape, told.d_in, ""),
        template=asked.shape.template if asked.shape else "",
        tokenizer=asked.shape.tokenizer if asked.shape else "",
        description=f"{told.d_sae} latents of {told.model_name or 'a model it does not name'}",
        read=Reading(site=site, where=None),
        method=rule.told(),
        layers={},
        origin=origin("saelens", (folder / CONFIG, folder / WEIGHTS), changes),
        warnings=doubts(asked.shape, ""),
    )
    return SteeringVector(header, {}, {f"{name}.{layer}": tensor for name, tensor in tensors.items()})


def _config(path: Path) -> _Told:
    try:
        plain = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        metadata = plain.pop("metadata", None) or {}
        return _modern(msgspec.convert({**metadata, **plain}, _Told))
    except (OSError, msgspec.MsgspecError) as error:
        raise UnreadableVector(f"{path}: expected the cfg.json of SAELens; {error}") from error


def _modern(told: _Told) -> _Told:
    """Before SAELens 6 top k was an activation of the standard architecture."""
    activation = told.activation_fn or told.activation_fn_str or "relu"
    if activation != "topk":
        return told
    k = told.k if told.k is not None else (told.activation_fn_kwargs or {}).get("k")
    return msgspec.structs.replace(told, architecture="topk", k=k, activation_fn="relu")


def _place(told: _Told, folder: Path) -> tuple[int, Site]:
    name = told.hook_name or told.hook_point or ""
    found = _HOOK.fullmatch(name)
    if found is None or told.hook_head_index is not None:
        head = f", head {told.hook_head_index}" if told.hook_head_index is not None else ""
        raise UnreadableVector(
            f"{folder}: expected hook_name blocks.<l>.{{{', '.join(HOOKS)}}}, all heads; got {name!r}{head}"
        )
    return int(found[1]), HOOKS[found[2]]


def _weights(path: Path) -> dict[str, Tensor]:
    try:
        return {name: t.float() if t.dim() > 1 else t.double() for name, t in load_file(path).items()}
    except (OSError, SafetensorError) as error:
        raise UnreadableVector(f"{path}: expected the weights of SAELens; {error}") from error


def _tensors(
    told: _Told, weights: dict[str, Tensor], folder: Path
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """`encoder`, `decoder` `[F, D]`, `encoder_bias`, `threshold` `[F]`, `decoder_bias` `[D]`, and what was folded."""
    _check_rule(told, weights, folder)
    encoder_FD, decoder_FD = weights["W_enc"].T, weights["W_dec"]
    decoder_bias_D = weights["b_dec"]
    changes: list[str] = []
    threshold_F: Tensor | None = None
    shift_F = torch.zeros(len(encoder_FD), dtype=torch.float64)
    if told.apply_b_dec_to_input:
        starts = range(0, len(encoder_FD), _AT_ONCE)
        parts = [encoder_FD[i : i + _AT_ONCE].double() @ decoder_bias_D for i in starts]
        shift_F = -torch.cat(parts)
        changes.append("b_dec, taken from the input, is folded into encoder_bias")
    if told.architecture == "gated":
        scale_F = weights["r_mag"].exp()
        bias_F = weights["b_mag"] + scale_F * shift_F
        gate_F = weights["b_gate"] + shift_F
        threshold_F = (bias_F - scale_F * gate_F).clamp_min(0.0)
        encoder_FD = encoder_FD * scale_F[:, None].float()
        changes.append(
            "gated encoder -> jump_relu: rows times exp(r_mag), threshold b_mag - exp(r_mag)·b_gate"
        )
    else:
        bias_F = weights["b_enc"] + shift_F
        if "threshold" in weights:
            threshold_F = weights["threshold"].clamp_min(0.0)
    tensors = {
        "encoder": encoder_FD,
        "decoder": decoder_FD,
        "encoder_bias": bias_F,
        "decoder_bias": decoder_bias_D,
    }
    return tensors | ({} if threshold_F is None else {"threshold": threshold_F}), tuple(changes)


_NEEDED = {
    "standard": ("b_enc",),
    "jumprelu": ("b_enc", "threshold"),
    "topk": ("b_enc",),
    "gated": ("b_gate", "b_mag", "r_mag"),
}


def _check_rule(told: _Told, weights: dict[str, Tensor], folder: Path) -> None:
    if told.architecture not in _NEEDED:
        raise UnreadableVector(
            f"{folder}: expected architecture {', '.join(_NEEDED)}; got {told.architecture!r}"
        )
    expected = {"W_enc": [told.d_in, told.d_sae], "W_dec": [told.d_sae, told.d_in], "b_dec": [told.d_in]}
    expected |= {name: [told.d_sae] for name in _NEEDED[told.architecture]}
    got = {name: list(tensor.shape) for name, tensor in weights.items()}
    scaling = weights.get("scaling_factor")
    if scaling is not None and torch.equal(scaling, torch.ones_like(scaling)):
        got.pop("scaling_factor")
    if got != expected:
        raise UnreadableVector(f"{folder}: expected weights {expected}; got {got}")
    activation = told.activation_fn or told.activation_fn_str or "relu"
    if activation != "relu":
        raise UnreadableVector(f"{folder}: expected activation relu; got {activation!r}")
    if told.normalize_activations not in _NORMS:
        raise UnreadableVector(
            f"{folder}: expected normalize_activations {', '.join(sorted({*_NORMS.values()}))}; got "
            f"{told.normalize_activations!r}: its factor is not in the file; fold it in SAELens first "
            "(fold_activation_norm_scaling_factor) and save"
        )

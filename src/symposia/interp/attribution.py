"""Shares of a logit difference as a value: what each part of a model put into it, position by position.

Axes: N positions, L layers, H heads of a layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from symposia.core.errors import InvalidInput

from .readings import Token

_SHOWN = 12


@dataclass(frozen=True)
class Shares:
    """Parts of `total_N`. `heads[l]` is `[N, H]`; biases are what those modules give whatever they read."""

    embedding_N: Tensor
    heads: tuple[Tensor, ...]
    attention_bias_NL: Tensor
    mlp_NL: Tensor
    bias_N: Tensor
    total_N: Tensor

    @property
    def left_over(self) -> Tensor:
        """The total less all shares: rounding, and what interventions wrote into the residual."""
        heads_N = torch.stack([heads_NH.sum(1) for heads_NH in self.heads], dim=1).sum(1)
        known_N = (
            self.embedding_N + heads_N + self.attention_bias_NL.sum(1) + self.mlp_NL.sum(1) + self.bias_N
        )
        return self.total_N - known_N

    def to(self, device: str) -> Shares:
        """The same on another device."""
        return Shares(
            embedding_N=self.embedding_N.to(device),
            heads=tuple(heads_NH.to(device) for heads_NH in self.heads),
            attention_bias_NL=self.attention_bias_NL.to(device),
            mlp_NL=self.mlp_NL.to(device),
            bias_N=self.bias_N.to(device),
            total_N=self.total_N.to(device),
        )

    @classmethod
    def joined(cls, parts: Sequence[Shares]) -> Shares:
        """Of several forwards, one after the other."""
        names = [field.name for field in fields(cls) if field.name != "heads"]
        columns = {name: torch.cat([vars(part)[name] for part in parts]) for name in names}
        heads = tuple(torch.cat(layer) for layer in zip(*(part.heads for part in parts), strict=True))
        return replace(parts[0], heads=heads, **columns)


@dataclass(frozen=True)
class Attribution:
    """logit(a) - logit(b) of what follows each token, in `shares`; `held` names the scales that were held."""

    tokens: tuple[Token, ...]
    a: str
    b: str
    shares: Shares
    held: tuple[str, ...]

    def at(self, index: int = -1) -> dict[str, float]:
        """Every share of one token, by its place in `tokens`: largest first, parts that have none left out."""
        if not -len(self.tokens) <= index < len(self.tokens):
            raise InvalidInput(f"token {index}: expected an index of {len(self.tokens)} tokens")
        shares = self.shares
        named = {"embedding": shares.embedding_N[index], "bias": shares.bias_N[index]}
        for layer, heads_NH in enumerate(shares.heads):
            named |= {f"head {layer}.{head}": value for head, value in enumerate(heads_NH[index])}
            named[f"mlp {layer}"] = shares.mlp_NL[index, layer]
            named[f"attention bias {layer}"] = shares.attention_bias_NL[index, layer]
        named["left over"] = shares.left_over[index]
        plain = {name: float(value) for name, value in named.items()}
        return dict(sorted(((n, v) for n, v in plain.items() if v), key=lambda item: -abs(item[1])))

    def __str__(self) -> str:
        """The last token's largest shares."""
        token, found = self.tokens[-1], self.at(-1)
        head = f"logit({self.a!r}) - logit({self.b!r}) after {token.text!r}: {float(self.shares.total_N[-1]):+.3f}"
        lines = [f"  {value:+8.3f}  {name}" for name, value in list(found.items())[:_SHOWN]]
        rest = sum(list(found.values())[_SHOWN:])
        if len(found) > _SHOWN:
            lines.append(f"  {rest:+8.3f}  {len(found) - _SHOWN} more")
        return "\n".join([head, *lines, f"held: {', '.join(self.held)}"])

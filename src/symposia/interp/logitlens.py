"""The logit lens as a value: by layer and position, what the model would have said next.

Axes: L layers, N positions, k best tokens, W named tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from symposia.core.errors import InvalidInput

from .readings import Token

_SHOWN = 6


@dataclass(frozen=True)
class LogitLens:
    """Natural logarithms. Ranks begin at 1. `kl_LN` is KL(final ‖ layer); None if the last layer was not stored.

    What is read at a token is about the one after it.
    """

    tokens: tuple[Token, ...]
    layers: tuple[int, ...]
    named: tuple[int, ...]
    top_ids_LNk: Tensor
    top_logprobs_LNk: Tensor
    logprobs_LNW: Tensor
    ranks_LNW: Tensor
    entropy_LN: Tensor
    kl_LN: Tensor | None
    spelled: dict[int, str]

    def top(self, layer: int, position: int) -> list[tuple[str, float]]:
        """The best tokens there, each with its log-probability."""
        i, j = self._place(layer, position)
        ids, logprobs = self.top_ids_LNk[i, j].tolist(), self.top_logprobs_LNk[i, j].tolist()
        return [(self.spelled[token], value) for token, value in zip(ids, logprobs, strict=True)]

    def logprob(self, token: str) -> Tensor:
        """`[L, N]` of a named token."""
        return self.logprobs_LNW[:, :, self._named(token)]

    def rank(self, token: str) -> Tensor:
        """`[L, N]` of a named token; 1 is the most likely."""
        return self.ranks_LNW[:, :, self._named(token)]

    def __str__(self) -> str:
        """The best token and its probability, by layer, at the last few positions."""
        at = range(max(0, len(self.tokens) - _SHOWN), len(self.tokens))
        heads = ["layer", *(repr(self.tokens[j].text) for j in at)]
        rows = [[str(layer), *(self._cell(i, j) for j in at)] for i, layer in enumerate(self.layers)]
        widths = [max(len(row[k]) for row in (heads, *rows)) for k in range(len(heads))]
        return "\n".join(
            "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
            for row in (heads, *rows)
        )

    def _cell(self, i: int, j: int) -> str:
        if not self.top_ids_LNk.shape[2]:
            return f"{float(self.entropy_LN[i, j]):.2f}"
        token, logprob = int(self.top_ids_LNk[i, j, 0]), self.top_logprobs_LNk[i, j, 0]
        return f"{self.spelled[token]!r} {float(logprob.exp()):.2f}"

    def _place(self, layer: int, position: int) -> tuple[int, int]:
        places = [token.position for token in self.tokens]
        if layer not in self.layers or position not in places:
            raise InvalidInput(
                f"layer {layer}, position {position}: expected one of {self.layers} and of {places}"
            )
        if places.count(position) > 1:
            raise InvalidInput(
                f"position {position} is of several forwards here; query the activations of one"
            )
        return self.layers.index(layer), places.index(position)

    def _named(self, token: str) -> int:
        texts = [self.spelled[i] for i in self.named]
        if token not in texts:
            raise InvalidInput(f"token {token!r}: expected one that the lens was given; it has {texts}")
        return texts.index(token)

"""Log-probabilities of the model's own distribution, before any penalty or temperature. In nats.

Axes: B rows, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from symposia.core.request import Logprobs


def work_dtype(dtype: torch.dtype) -> torch.dtype:
    """fp32, or fp64 for fp64 models."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def log_softmax(logits_BV: Tensor) -> Tensor:
    """In fp32, or fp64 for fp64 logits."""
    return logits_BV.to(work_dtype(logits_BV.dtype)).log_softmax(dim=-1)


def chosen(logits_BV: Tensor, ids: Sequence[int]) -> list[float]:
    """Log-probability of one id per row."""
    picked_B = torch.tensor(ids, device=logits_BV.device)
    values: list[float] = log_softmax(logits_BV).gather(1, picked_B[:, None])[:, 0].tolist()
    return values


def spelled(tokenizer: PreTrainedTokenizerBase, token_id: int) -> str:
    """A token's own text."""
    text: str = tokenizer.decode([token_id], skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return text


@dataclass
class Columns:
    """What is collected for each sampled token, when asked for."""

    n: int
    chosen: list[float] = field(default_factory=list)
    top_ids: list[tuple[int, ...]] = field(default_factory=list)
    top: list[tuple[float, ...]] = field(default_factory=list)
    entropy: list[float] = field(default_factory=list)

    def add(self, logits_V: Tensor, token_id: int) -> None:
        """Take the distribution a token was sampled from."""
        logp_V = log_softmax(logits_V)
        self.chosen.append(float(logp_V[token_id]))
        self.entropy.append(float(torch.special.entr(logp_V.exp()).sum()))
        best = logp_V.topk(self.n)
        self.top_ids.append(tuple(best.indices.tolist()))
        self.top.append(tuple(best.values.tolist()))

    def cut(
        self, ids: Sequence[int], prompt: Sequence[float], tokenizer: PreTrainedTokenizerBase
    ) -> Logprobs:
        """The columns of the tokens that were kept."""
        n = len(ids)

        def text(token_id: int) -> str:
            return spelled(tokenizer, token_id)

        return Logprobs(
            tokens=tuple(map(text, ids)),
            chosen=tuple(self.chosen[:n]),
            top_ids=tuple(self.top_ids[:n]),
            top_tokens=tuple(tuple(map(text, row)) for row in self.top_ids[:n]),
            top=tuple(self.top[:n]),
            entropy=tuple(self.entropy[:n]),
            prompt=tuple(prompt),
        )

"""Log-probabilities in OpenAI's form, from core's columns."""

from __future__ import annotations

import math
from collections.abc import Sequence

from symposia.core.request import Logprobs

from .objects import ChoiceLogprobs, TokenLogprob, TopLogprob

LEAST = -9999.0
"""What stands for minus infinity, which JSON cannot say."""

_PARTIAL = "\ufffd"


def logprobs_of(columns: Logprobs | None) -> ChoiceLogprobs | None:
    """One row a token; None where there are no columns."""
    if columns is None:
        return None
    tops = columns.top or ((),) * len(columns.tokens)
    names = columns.top_tokens or ((),) * len(columns.tokens)
    return ChoiceLogprobs(
        content=tuple(
            TokenLogprob(
                token=token, logprob=_finite(chosen), bytes=_bytes(token), top_logprobs=_top(words, row)
            )
            for token, chosen, words, row in zip(columns.tokens, columns.chosen, names, tops, strict=True)
        )
    )


def _top(tokens: Sequence[str], logprobs: Sequence[float]) -> tuple[TopLogprob, ...]:
    return tuple(
        TopLogprob(token=token, logprob=_finite(value), bytes=_bytes(token))
        for token, value in zip(tokens, logprobs, strict=True)
    )


def _finite(value: float) -> float:
    return value if math.isfinite(value) else LEAST


def _bytes(token: str) -> tuple[int, ...] | None:
    """A token's bytes; a piece of a character shows as U+FFFD, and its bytes are not known here."""
    return None if _PARTIAL in token else tuple(token.encode())

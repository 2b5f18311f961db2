"""One token per row from its logits. Randomness is counter-based: the draw depends on (seed, index) and nothing else.

Order: repetition, presence and frequency penalties, logit bias, banned ids, grammar; temperature; top_k; top_p; min_p;
then the inverse of the cumulative distribution, in order of id, at a uniform number hashed from seed and index. Tokens
that tie with the last one kept by top_k or top_p are kept too, so no order of sorting matters.

Axes: B rows, V vocabulary, C the C likeliest candidates.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from symposia.core.profile import Sampling

from .logprobs import work_dtype
from .shortlist import LENGTHS, draw_short

_CANDIDATES = 256
_STRETCH = 64


@dataclass(frozen=True, kw_only=True)
class Draw:
    """What one row's draw depends on. `index` counts its sampled tokens; `banned` ids cannot come now.

    `allowed` are `[V]` booleans, what a grammar lets come.
    """

    sampling: Sampling
    seed: int
    index: int
    prompt: Sequence[int] = ()
    made: Sequence[int] = ()
    banned: Sequence[int] = ()
    allowed: Tensor | None = None


def sample(logits_BV: Tensor, draws: Sequence[Draw]) -> list[int]:
    """One id per row. Logits are the model's own, in its dtype; they are not changed."""
    if all(map(_is_plain, draws)):
        return likeliest(logits_BV)
    touched = [b for b, draw in enumerate(draws) if not _is_untouched(draw)]
    work_BV = logits_BV.to(work_dtype(logits_BV.dtype), copy=bool(touched))
    for b in touched:
        _penalise(work_BV[b], draws[b])
    warm = [b for b, draw in enumerate(draws) if draw.sampling.temperature > 0]
    ids = likeliest(work_BV) if len(warm) < len(draws) else [0] * len(draws)
    if warm:
        warm_BV = work_BV if len(warm) == len(draws) else work_BV[warm]
        for b, token_id in zip(warm, _draws(warm_BV, [draws[b] for b in warm]), strict=True):
            ids[b] = token_id
    return ids


def likeliest(logits_BV: Tensor) -> list[int]:
    """The lowest id of each row's greatest logit: `argmax`, whose kernel is slow, of the greatest of each stretch."""
    rows, size = logits_BV.shape
    if size % _STRETCH:
        ids: list[int] = logits_BV.to(work_dtype(logits_BV.dtype)).argmax(dim=-1).tolist()
        return ids
    stretches_BCs = logits_BV.reshape(rows, size // _STRETCH, _STRETCH)
    at_B = stretches_BCs.amax(dim=-1).argmax(dim=-1)
    within_Bs = stretches_BCs[torch.arange(rows, device=logits_BV.device), at_B]
    found: list[int] = (at_B * _STRETCH + within_Bs.argmax(dim=-1)).tolist()
    return found


def uniform(seed: int, index: int) -> float:
    """The number in [0, 1) of a seed's index-th draw."""
    word = hashlib.sha256(f"symposia/draw/{seed}/{index}".encode()).digest()[:8]
    return (int.from_bytes(word, "big") >> 11) / float(1 << 53)


def _is_plain(draw: Draw) -> bool:
    """Whether the likeliest token is taken as the model says it."""
    return draw.sampling.temperature == 0 and _is_untouched(draw)


def _is_untouched(draw: Draw) -> bool:
    """Whether nothing that `_penalise` looks at is set."""
    sampling = draw.sampling
    return (
        not draw.banned
        and draw.allowed is None
        and not sampling.logit_bias
        and sampling.repetition_penalty == 1.0
        and sampling.presence_penalty == 0.0
        and sampling.frequency_penalty == 0.0
    )


def _penalise(logits_V: Tensor, draw: Draw) -> None:
    sampling = draw.sampling
    if sampling.repetition_penalty != 1.0:
        seen = torch.tensor(sorted({*draw.prompt, *draw.made}), device=logits_V.device)
        at = logits_V[seen]
        logits_V[seen] = torch.where(
            at > 0, at / sampling.repetition_penalty, at * sampling.repetition_penalty
        )
    if draw.made and (sampling.presence_penalty or sampling.frequency_penalty):
        counts = Counter(draw.made)
        times = _tensor(list(counts.values()), logits_V)
        logits_V[list(counts)] -= sampling.presence_penalty + sampling.frequency_penalty * times
    if sampling.logit_bias:
        ids, biases = zip(*sampling.logit_bias, strict=True)
        logits_V.index_add_(0, _tensor(ids, logits_V, torch.long), _tensor(biases, logits_V))
    if draw.banned:
        logits_V[list(draw.banned)] = -torch.inf
    if draw.allowed is not None:
        logits_V.masked_fill_(~draw.allowed.to(logits_V.device), -torch.inf)


def _tensor(values: Sequence[float], like: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    return torch.tensor(values, dtype=dtype or like.dtype, device=like.device)


def _draws(logits_BV: Tensor, draws: Sequence[Draw]) -> list[int]:
    """From the shortlist where that is exact; by the definition, `_draw`, where it may not be."""
    found: list[int | None] = [None] * len(draws)
    for length in LENGTHS:
        narrow = [b for b, draw in enumerate(draws) if found[b] is None and _narrows(draw)]
        if narrow:
            picked_BV = logits_BV if len(narrow) == len(draws) else logits_BV[narrow]
            uniforms = [uniform(draws[b].seed, draws[b].index) for b in narrow]
            drawn = draw_short(picked_BV, [draws[b].sampling for b in narrow], uniforms, length)
            for b, token_id in zip(narrow, drawn, strict=True):
                found[b] = token_id
    return [
        _draw(logits_V / _like(draw.sampling.temperature, logits_V), draw) if token_id is None else token_id
        for logits_V, draw, token_id in zip(logits_BV, draws, found, strict=True)
    ]


def _narrows(draw: Draw) -> bool:
    """Whether a row is likely to leave few tokens."""
    sampling = draw.sampling
    return sampling.top_k > 0 or sampling.top_p < 1.0 or sampling.min_p > 0.0


def _like(value: float, logits_V: Tensor) -> Tensor:
    return torch.tensor(value, dtype=logits_V.dtype, device=logits_V.device)


def _draw(logits_V: Tensor, draw: Draw) -> int:
    """The definition, over the whole vocabulary; logits are divided by the temperature already."""
    kept_V = _truncate(logits_V, draw.sampling)
    cumulative_V = (kept_V - kept_V.max()).double().exp().cumsum(dim=0)
    point = uniform(draw.seed, draw.index) * float(cumulative_V[-1])
    found = int(
        torch.searchsorted(
            cumulative_V, torch.tensor(point, dtype=torch.float64, device=logits_V.device), right=True
        )
    )
    if found < len(kept_V) and bool(torch.isfinite(kept_V[found])):
        return found
    return int(torch.nonzero(torch.isfinite(kept_V))[-1])  # the point rounded up to the whole mass


def _truncate(logits_V: Tensor, sampling: Sampling) -> Tensor:
    """Logits with what top_k, top_p and min_p exclude at -inf; each sees what the ones before it left."""
    if 0 < sampling.top_k < len(logits_V):
        threshold = logits_V.topk(sampling.top_k).values[-1]
        logits_V = logits_V.masked_fill(logits_V < threshold, -torch.inf)
    if sampling.top_p < 1.0:
        logits_V = logits_V.masked_fill(logits_V < _nucleus(logits_V, sampling.top_p), -torch.inf)
    if sampling.min_p > 0.0:
        floor = logits_V.max() + torch.log(
            torch.tensor(sampling.min_p, dtype=logits_V.dtype, device=logits_V.device)
        )
        logits_V = logits_V.masked_fill(logits_V < floor, -torch.inf)
    return logits_V


def _nucleus(logits_V: Tensor, top_p: float) -> Tensor:
    """The smallest logit of the likeliest tokens that reach `top_p`; a full sort only where few are not enough."""
    mass = torch.logsumexp(logits_V.double(), dim=0)
    size = min(_CANDIDATES, len(logits_V))
    while True:
        top_C = logits_V.topk(size).values
        reached_C = (top_C.double() - mass).exp().cumsum(dim=0) >= top_p
        if bool(reached_C[-1]) or size == len(logits_V):
            at = int(reached_C.nonzero()[0]) if bool(reached_C.any()) else size - 1
            return top_C[at]
        size = len(logits_V)

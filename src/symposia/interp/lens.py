"""What a model would say if it stopped at a layer, how sure it was of each token, and projections on directions.

Nothing here runs the model but its final norm and unembedding: residuals were stored by the forward that made the
tokens. Axes: L layers, N positions, k best tokens, W named tokens, V vocabulary, D width.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from symposia.core.capture import Capture, Project, Site
from symposia.core.errors import InvalidInput
from symposia.core.positions import Positions, spoken
from symposia.core.request import Completion
from symposia.core.span import Span

from .acts.answer import Activations
from .acts.record import NoActivation
from .logitlens import LogitLens
from .readings import Token, TokenReadings
from .stored import Forward, forwards
from .taps import Unembeds

_BYTES = 1 << 26  # of logits at a time
_READOUT: tuple[Site, ...] = ("resid_pre", "resid_mid", "resid_post")
Measure = Literal["projection", "cosine", "zscore"]


def logits(
    acts: Activations,
    white_box: Unembeds,
    top: int = 5,
    *,
    tokens: Sequence[str | int] = (),
    site: Site = "resid_post",
) -> LogitLens:
    """Every stored residual of `site` through the final norm and unembedding.

    `top` best tokens, rank and log-probability of the named ones (a text of one token, or an id), entropy, and
    KL(final ‖ here) where the last layer's `resid_post` is stored too. The layers of a forward must hold the same
    positions. Logits are made a few positions at a time. Raises `NoActivation`, `InvalidInput`.
    """
    if site not in _READOUT:
        raise InvalidInput(f"site {site!r}: expected one of {', '.join(_READOUT)}")
    named = tuple(single_token(white_box, token) for token in tokens)
    found = [forward for forward in forwards(acts, white_box.shape) if forward.layers(site)]
    layers = sorted({layer for forward in found for layer in forward.layers(site)})
    if not layers:
        raise NoActivation(f"no stored rows at {site}; capture it with Capture(site={site!r}, layers=…)")
    last = white_box.shape.layers - 1
    whole = all(forward.positions("resid_post", last) for forward in found)
    pieces: list[dict[str, Tensor]] = []
    of: list[Token] = []
    for forward in found:
        positions = forward.positions(site, layers[0])
        of += tokens_at(forward, positions, white_box)
        for part in parts_of(positions, white_box.shape.vocabulary):
            final_nV = _logp(forward, "resid_post", last, part, white_box) if whole else None
            read = [
                _read(_logp(forward, site, layer, part, white_box), top, named, final_nV) for layer in layers
            ]
            pieces.append({name: torch.stack([r[name] for r in read]) for name in read[0]})
    joined = {name: torch.cat([piece[name] for piece in pieces], dim=1) for name in pieces[0]}
    ids = {*joined["top_ids"].flatten().tolist(), *named}
    return LogitLens(
        tokens=tuple(of),
        layers=tuple(layers),
        named=named,
        top_ids_LNk=joined["top_ids"],
        top_logprobs_LNk=joined["top"],
        logprobs_LNW=joined["named"],
        ranks_LNW=joined["ranks"],
        entropy_LN=joined["entropy"],
        kl_LN=joined.get("kl"),
        spelled=dict(zip(sorted(ids), white_box.spelled(sorted(ids)), strict=True)),
    )


def tokens(completion: Completion, white_box: Unembeds | None = None) -> TokenReadings:
    """`logprob`, `surprisal` (nats) and `entropy` of the tokens of a completion that was asked for with `logprobs`.

    Of the model's own distribution, before any sampling warp. Tokens of the prompt are among them where a read scored
    them; they have no entropy: `reread` gives it from stored residuals. `white_box` spells the prompt's tokens.
    """
    columns = completion.logprobs
    if columns is None:
        raise InvalidInput("this completion has no log-probabilities; ask for it with logprobs=0 or more")
    prompt = completion.prompt_token_ids
    ids = (*prompt, *completion.token_ids)
    at = range(len(prompt) - len(columns.prompt), len(prompt) + len(columns.chosen))
    texts = dict(zip(range(len(prompt), len(ids)), columns.tokens, strict=False))
    if white_box is not None:
        texts.update(zip(at, white_box.spelled([ids[p] for p in at]), strict=True))
    logprob = (*columns.prompt, *columns.chosen)
    known = columns.entropy or (None,) * len(columns.chosen)
    of = _spread(completion.spans, {p: (ids[p], texts.get(p, "")) for p in at})
    return TokenReadings(
        of,
        {
            "logprob": logprob,
            "surprisal": tuple(-value for value in logprob),
            "entropy": (*((None,) * len(columns.prompt)), *known),
        },
    )


def reread(acts: Activations, white_box: Unembeds) -> TokenReadings:
    """The same columns for every token whose predecessor's last `resid_post` is stored, the prompt's included."""
    last = white_box.shape.layers - 1
    of: list[Token] = []
    logprob: list[float] = []
    entropy: list[float] = []
    for forward in forwards(acts, white_box.shape):
        ids = forward.source.token_ids
        before = [p for p in forward.positions("resid_post", last) if p + 1 < len(ids)]
        of += tokens_at(forward, [p + 1 for p in before], white_box)
        for part in parts_of(before, white_box.shape.vocabulary):
            logp_nV = _logp(forward, "resid_post", last, part, white_box)
            picked_n1 = torch.tensor([[ids[p + 1]] for p in part], device=logp_nV.device)
            logprob += logp_nV.gather(1, picked_n1)[:, 0].tolist()
            entropy += _entropy(logp_nV).tolist()
    if not of:
        raise NoActivation(
            f"no stored resid_post of layer {last}, the last; capture it to read tokens from it"
        )
    surprisal = tuple(-value for value in logprob)
    return TokenReadings(
        tuple(of), {"logprob": tuple(logprob), "surprisal": surprisal, "entropy": tuple(entropy)}
    )


def project(
    vectors: Mapping[str, str],
    where: Positions = spoken(),
    *,
    layers: Sequence[int],
    site: Site = "resid_post",
    measure: Measure = "projection",
) -> tuple[Capture, ...]:
    """Captures that project each named direction (digest by name) where a turn is at `where`: floats, nothing stored.

    Give them to any request, step or capture block; `projections` reads what came.
    """
    return tuple(
        Capture(site=site, layers=tuple(layers), where=where, reduce=Project(digest, measure), name=name)
        for name, digest in vectors.items()
    )


def projections(completion: Completion, white_box: Unembeds) -> TokenReadings:
    """What `Project` captures read, a column `name@layer` each, by token. Raises `InvalidInput` if there is none."""
    if not completion.readouts:
        raise InvalidInput("this completion has no readouts; ask for it with captures=lens.project(…)")
    at = sorted({p for readout in completion.readouts for p in readout.positions})
    columns: dict[str, tuple[float | None, ...]] = {}
    for readout in completion.readouts:
        values = dict(zip(readout.positions, readout.values, strict=True))
        columns[f"{readout.name or readout.vector[:15]}@{readout.layer}"] = tuple(values.get(p) for p in at)
    return TokenReadings(tokens_in(completion, at, white_box), columns)


def single_token(white_box: Unembeds, token: str | int) -> int:
    """The id of a text of one token. `InvalidInput` shows the pieces of a longer one."""
    ids = (token,) if isinstance(token, int) else white_box.tokens_of(token)
    if len(ids) != 1:
        pieces = list(white_box.spelled(ids))
        raise InvalidInput(
            f"{token!r}: expected one token; it is {pieces}; a leading space often makes it one"
        )
    if not 0 <= ids[0] < white_box.shape.vocabulary:
        raise InvalidInput(f"token id {ids[0]}: expected 0..{white_box.shape.vocabulary - 1}")
    return ids[0]


def tokens_in(completion: Completion, positions: Sequence[int], white_box: Unembeds) -> tuple[Token, ...]:
    """Some tokens of a completion's sequence, spelled."""
    ids = (*completion.prompt_token_ids, *completion.token_ids)
    texts = white_box.spelled([ids[p] for p in positions])
    at = {p: (ids[p], text) for p, text in zip(positions, texts, strict=True)}
    return _spread(completion.spans, at)


def _logp(forward: Forward, site: Site, layer: int, positions: Sequence[int], white_box: Unembeds) -> Tensor:
    """Log-probabilities `[n, V]`, fp32, or fp64 of fp64 rows, where the model computes."""
    logits_nV = white_box.norm_and_unembed(forward.rows(site, layer, positions).to(white_box.device))
    work = torch.float64 if logits_nV.dtype == torch.float64 else torch.float32
    return logits_nV.to(work).log_softmax(dim=-1)


def _read(logp_nV: Tensor, top: int, named: Sequence[int], final_nV: Tensor | None) -> dict[str, Tensor]:
    best = logp_nV.topk(top, dim=-1)
    named_nW = logp_nV[:, list(named)]
    ranks_nW = [1 + (logp_nV > column_n[:, None]).sum(dim=1) for column_n in named_nW.T]
    found = {
        "top_ids": best.indices,
        "top": best.values,
        "named": named_nW,
        "ranks": torch.stack(ranks_nW, dim=1) if ranks_nW else best.indices[:, :0],
        "entropy": _entropy(logp_nV),
    }
    if final_nV is not None:
        terms_nV = torch.where(final_nV == -torch.inf, 0.0, final_nV.exp() * (final_nV - logp_nV))
        found["kl"] = terms_nV.sum(dim=-1)
    return {name: values.cpu() for name, values in found.items()}


def _entropy(logp_nV: Tensor) -> Tensor:
    """In nats; 0·log 0 = 0."""
    entropy_n: Tensor = torch.special.entr(logp_nV.exp()).sum(dim=-1)
    return entropy_n


def parts_of(positions: Sequence[int], vocabulary: int) -> Iterator[Sequence[int]]:
    """Positions in parts whose logits may be held at once."""
    step = max(1, _BYTES // (4 * vocabulary))
    for start in range(0, len(positions), step):
        yield positions[start : start + step]


def tokens_at(forward: Forward, positions: Sequence[int], white_box: Unembeds) -> tuple[Token, ...]:
    """Some tokens of a stored forward, spelled."""
    ids = forward.source.token_ids
    texts = white_box.spelled([ids[p] for p in positions])
    at = {p: (ids[p], text) for p, text in zip(positions, texts, strict=True)}
    return _spread(forward.source.spans, at)


def _spread(spans: Sequence[Span], at: Mapping[int, tuple[int, str]]) -> tuple[Token, ...]:
    span_of = {p: span for span in spans for p in range(span.start, span.stop) if p in at}
    return tuple(Token(p, token_id, text, span_of[p]) for p, (token_id, text) in at.items())

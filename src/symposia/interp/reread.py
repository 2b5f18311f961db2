"""A reply, and the same tokens read again by the model as it is: how surprising they are, and how far it was moved.

What the reply was made of comes from the forward that made it: the last residuals, which become logits a few at a time,
so that a large vocabulary is never held for a whole reply. Axes: N tokens of the reply, D width, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import torch
from torch import Tensor

from symposia.core.capture import ActivationRef, Capture, Readout
from symposia.core.errors import SelectionMissed, TemplateError
from symposia.core.lines import Line, Segment
from symposia.core.positions import Positions, Range, Where, members
from symposia.core.profile import Sampling
from symposia.core.request import Completion, Request

from .lens import parts_of
from .metric import Model
from .taps import WhiteBox

AT_ONCE = 64
"""Replies whose rows may wait to be compared."""

_MADE = Positions(any=(Where(made="generated", lead=True, special=True),))
_LAST = Positions(any=(Where(made="given", tokens=(Range(-1, None),), within="sequence", special=True),))


@dataclass(frozen=True)
class Reread:
    """`nats[i]`: surprisal of the reply's token i to the clean model; `kl[i]`: KL(as it was made ‖ clean) there, nats.

    The token that ended the turn is among them. Both are empty where the template does not show a reply as it was
    made: nothing is compared across different contexts.
    """

    completion: Completion
    nats: tuple[float, ...] = ()
    kl: tuple[float, ...] = ()
    readouts: tuple[Readout, ...] = ()


async def aloud(model: Model, sampling: Sampling) -> Sampling:
    """Without thinking, where that is left open and the model can do so: thoughts are not shown to it again."""
    card = await model.backend.describe(model.name)
    if sampling.thinking == "auto" and "off" in card.thinking:
        return msgspec.structs.replace(sampling, thinking="off")
    return sampling


async def reread(
    model: Model, request: Request, clean: tuple[Line, ...], *, readings: tuple[Capture, ...] = ()
) -> Reread:
    """Generate, then read the same tokens after the lines `clean`, without interventions.

    `clean` are the request's own lines, or what would have been asked without a text that steers. `readings` are
    projections taken of the reply's words in the clean read.
    """
    making = msgspec.structs.replace(request, captures=(*request.captures, _last(model, _MADE)))
    try:
        done = await model.ask(making)
    except SelectionMissed as missed:
        done = missed.completion
    mine = done.activations[-1:]
    read: Completion | None = None
    try:
        read = await _read(model, request, clean, done, readings)
        if read is None or not mine:
            return Reread(done)
        n = len(done.token_ids)
        made_ND, plain_ND = (_rows(model, ref, n) for ref in (mine[0], read.activations[0]))
        nats, kl = _compare(made_ND, plain_ND, done.token_ids, model.inside)
        return Reread(done, nats, kl, read.readouts)
    finally:
        model.store.drop((*mine, *(read.activations if read else ())))


def moved(logits_NV: Tensor, clean_NV: Tensor) -> Tensor:
    """KL(logits ‖ clean) `[N]` in nats, fp64; never below 0 by rounding."""
    ours_NV, plain_NV = (x.double().log_softmax(dim=-1) for x in (logits_NV, clean_NV))
    terms_NV = torch.where(ours_NV.isneginf(), 0.0, ours_NV.exp() * (ours_NV - plain_NV))
    return terms_NV.sum(dim=-1).clamp_min(0.0)


def _compare(
    made_ND: Tensor, plain_ND: Tensor, ids: tuple[int, ...], inside: WhiteBox
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Surprisal under the clean rows, and KL of the made ones from them."""
    nats: list[float] = []
    kl: list[float] = []
    for part in parts_of(range(len(ids)), inside.shape.vocabulary):
        made_NV, plain_NV = (inside.norm_and_unembed(rows_ND[list(part)]) for rows_ND in (made_ND, plain_ND))
        chosen_N1 = torch.tensor([[ids[i]] for i in part])
        nats += (-plain_NV.double().log_softmax(dim=-1).gather(1, chosen_N1)[:, 0]).tolist()
        kl += moved(made_NV, plain_NV).tolist()
    return tuple(nats), tuple(kl)


async def _read(
    model: Model,
    request: Request,
    clean: tuple[Line, ...],
    done: Completion,
    readings: tuple[Capture, ...],
) -> Completion | None:
    """The clean read, with the residual before each token of the reply; None where the tokens would not be the same."""
    words = _words(done)
    own: tuple[Line, ...] = ()
    where = mine = _LAST
    asked = msgspec.structs.replace(request, lines=clean, interventions=(), captures=())
    if words:
        segment = Segment(
            text=done.text,
            phase="answer",
            author=request.speaker,
            turn=request.turn,
            origin="sampled",
            token_ids=words,
        )
        own = (Line(role="assistant", segments=(segment,), kind="turn"),)
        turns = (Range(request.turn, request.turn + 1),)
        where = Positions(any=(Where(authors=("self",), turns=turns, lead=True, special=True),))
        mine = Positions(any=(Where(authors=("self",), turns=turns),))
    sampling = Sampling(
        max_tokens=0,
        thinking=request.sampling.thinking,
        deterministic=request.sampling.deterministic,
    )
    reading = msgspec.structs.replace(
        asked,
        lines=(*clean, *own),
        turn=request.turn + len(own),
        sampling=sampling,
        captures=(
            _last(model, where),
            *(msgspec.structs.replace(one, where=mine) for one in readings if words),
        ),
    )
    try:
        before = (await model.backend.render(asked)).token_ids
        shown = (await model.backend.render(reading)).token_ids
    except TemplateError:
        return None
    if shown[: len(before) + len(words)] != (*before, *words):
        return None
    return await model.ask(reading)


def _last(model: Model, where: Positions) -> Capture:
    """The residual that leaves the last block."""
    return Capture(layers=(model.inside.shape.layers - 1,), where=where)


def _words(done: Completion) -> tuple[int, ...]:
    """The reply without the token that ended it."""
    ended = done.finish_reason in ("stop", "tool_calls") and done.spans and done.spans[-1].phase == "markup"
    return done.token_ids[:-1] if ended and done.spans[-1].generated else done.token_ids


def _rows(model: Model, ref: ActivationRef, n: int) -> Tensor:
    """The first n rows of one run: the lead, then the words."""
    positions = members(ref.runs)
    assert positions[n - 1] == positions[0] + n - 1, "the reply's positions follow each other"
    rows_ND: Tensor = model.store.at(ref)[:n]
    return rows_ND

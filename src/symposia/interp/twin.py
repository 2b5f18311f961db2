"""Twins: the same view and seed, one intervention less. What differs is what that intervention did.

The two texts part at some token; how strongly each token was pushed is measured along the first text, whose tokens are
made once more with the intervention and once without. Axes: n tokens, V vocabulary, D width.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import torch
from torch import Tensor

from symposia.core.capture import Capture
from symposia.core.errors import InvalidInput, UnknownName
from symposia.core.intervention import Intervention
from symposia.core.positions import Positions, Where
from symposia.core.request import Completion, Request
from symposia.core.value import digest

from .lens import parts_of, tokens_in
from .metric import Model
from .readings import TokenReadings
from .taps import WhiteBox

_MADE = Positions(any=(Where(made="generated", lead=True, special=True),))


@dataclass(frozen=True)
class Twin:
    """`made` with the intervention, `without` it. `diverges`: index of the first token that differs.

    `readings` are of the tokens of `made`: `kl`, KL(with ‖ without) in nats, and the log-probability either way.
    """

    made: Completion
    without: Completion
    diverges: int | None
    readings: TokenReadings

    @property
    def texts(self) -> tuple[str, str]:
        """With it, without it."""
        return self.made.text, self.without.text

    def __str__(self) -> str:
        at = "never" if self.diverges is None else f"at token {self.diverges}"
        kl = self.readings.array("kl").mean()
        return (
            f"with:    {self.made.text}\nwithout: {self.without.text}\n"
            f"they part {at}; mean KL {kl:.4f} nats a token"
        )


async def twin(request: Request, completion: Completion, without: str | int, *, model: Model) -> Twin:
    """The twin of a completion that `request` made. `without`: an intervention's name, digest, or index.

    Interventions that share a name, as those of a transplant, go together. Raises `UnknownName` for another,
    `InvalidInput` if the completion is not the request's.
    """
    gone = _index(request.interventions, without)
    if len(completion.receipts) < len(request.interventions):
        raise InvalidInput(
            f"expected the completion of this request, with {len(request.interventions)} receipts; it has "
            f"{len(completion.receipts)}"
        )
    if not completion.token_ids:
        raise InvalidInput("this completion has no tokens to compare along")
    rest = tuple(edit for i, edit in enumerate(request.interventions) if i not in gone)
    other = await model.ask(msgspec.structs.replace(request, interventions=rest))
    a, b = completion.token_ids, other.token_ids
    diverges = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), None)
    if diverges is None and len(a) != len(b):
        diverges = min(len(a), len(b))
    return Twin(completion, other, diverges, await _along(request, rest, completion, model))


async def _along(
    request: Request, rest: tuple[Intervention, ...], done: Completion, model: Model
) -> TokenReadings:
    """Both models' distributions at every token of the turn as it was made."""
    last = model.inside.shape.layers - 1
    captures = (Capture(layers=(last,), where=_MADE),)
    asked = msgspec.structs.replace(request, captures=captures, logprobs=None)
    runs = [asked, msgspec.structs.replace(asked, interventions=rest)]
    read = await asyncio.gather(*(model.inside.replay(run, done.token_ids) for run in runs))
    try:
        rows = [model.store.at(one.activations[0])[: len(done.token_ids)] for one in read]
        columns = _columns(rows, done.token_ids, model.inside)
    finally:
        model.store.drop([ref for one in read for ref in one.activations])
    first = len(done.prompt_token_ids)
    at = range(first, first + len(done.token_ids))
    return TokenReadings(tokens_in(done, at, model.inside), columns)


def _columns(rows: Sequence[Tensor], ids: Sequence[int], inside: WhiteBox) -> dict[str, tuple[float, ...]]:
    found: dict[str, list[float]] = {"kl": [], "logprob": [], "logprob without": []}
    for part in parts_of(range(len(ids)), inside.shape.vocabulary):
        logits = [inside.norm_and_unembed(rows_ND[list(part)]) for rows_ND in rows]
        with_nV, without_nV = (x.double().log_softmax(-1) for x in logits)
        picked_n1 = torch.tensor([[ids[i]] for i in part])
        terms_nV = torch.where(with_nV == -torch.inf, 0.0, with_nV.exp() * (with_nV - without_nV))
        found["kl"] += terms_nV.sum(-1).tolist()
        found["logprob"] += with_nV.gather(1, picked_n1)[:, 0].tolist()
        found["logprob without"] += without_nV.gather(1, picked_n1)[:, 0].tolist()
    return {name: tuple(values) for name, values in found.items()}


def _index(interventions: Sequence[Intervention], without: str | int) -> frozenset[int]:
    known = [edit.name or digest(edit) for edit in interventions]
    if isinstance(without, int):
        if not 0 <= without < len(known):
            raise InvalidInput(f"intervention {without}: expected 0..{len(known) - 1} of this request")
        return frozenset({without})
    found = frozenset(i for i, edit in enumerate(interventions) if without in (edit.name, digest(edit)))
    if not found:
        raise UnknownName("intervention of this request", without, known)
    return found

"""How large a push is: the size at which the model's next-token distribution has moved by a stated KL.

Sizes of one vector mean nothing beside those of another, or at another layer; a divergence does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
import torch

from symposia.core.errors import InvalidInput, SymposiaError
from symposia.core.intervention import Add
from symposia.core.profile import Sampling
from symposia.core.request import Request

from .contrast import READER
from .crossing import Crossed, NoCrossing, crossing
from .metric import Model
from .prompts import Prompt, check_prompts, prompts_digest
from .reread import AT_ONCE, aloud, reread
from .vector import Calibration, SteeringVector

LEAST = 64
START = 0.1
PERCENTILE = 0.95


class CalibrationFailed(SymposiaError):
    """No size moves the model by the target; `points` are (size, value), in reference norms and nats."""

    def __init__(self, message: str, points: tuple[tuple[float, float], ...] = ()) -> None:
        super().__init__(message)
        self.points = points


async def calibrate(
    vector: SteeringVector,
    layers: Sequence[int],
    prompts: Sequence[Prompt],
    *,
    model: Model,
    target: float = 1.0,
    tokens: int = 20,
) -> SteeringVector:
    """The vector with its calibration for these layers together: sizes of `unit="calibrated"`, plus and minus.

    Greedy replies of at most `tokens` tokens to at least 64 prompts, pushed at all layers at once while the speaker
    speaks; the statistic is the 95th percentile of KL(steered ‖ base) over all their tokens, in nats. Raises
    `CalibrationFailed` where no size reaches the target, or where the template shows too few replies again.
    """
    asked = check_prompts(prompts, LEAST)
    if not layers or not target > 0 or tokens < 1:
        raise InvalidInput(
            f"expected layers, a target above 0 and at least one token; got {list(layers)}, {target}, {tokens}"
        )
    model.library.add(vector)
    sampling = await aloud(model, Sampling(temperature=0.0, max_tokens=tokens))
    requests = [
        Request(model=model.name, lines=one.lines, speaker=READER, turn=len(one.lines), sampling=sampling)
        for one in asked
    ]
    push = Add(vector=vector.digest, layers=tuple(layers), unit="reference", scale=0.0)
    found = {sign: await _side(model, requests, push, sign, target) for sign in (1, -1)}
    points = [(sign * size, value) for sign, side in found.items() for size, value in side.points]
    calibration = Calibration(
        layers=tuple(sorted(layers)),
        plus=found[1].size,
        minus=found[-1].size,
        target=target,
        tokens=tokens,
        prompts=prompts_digest(asked),
        points=tuple(sorted(points)),
    )
    return vector.with_header(msgspec.structs.replace(vector.header, calibration=calibration))


async def _side(model: Model, requests: Sequence[Request], push: Add, sign: int, target: float) -> Crossed:
    search = crossing(target, START)
    size = next(search)
    try:
        while True:
            size = search.send(
                await _moved(model, requests, msgspec.structs.replace(push, scale=sign * size))
            )
    except StopIteration as done:
        found: Crossed = done.value
        return found
    except NoCrossing as error:
        side = "plus" if sign > 0 else "minus"
        raise CalibrationFailed(
            f"{side} side at layers {list(push.layers)}: {error} (95th percentile of KL by size in reference norms); "
            "choose another target or other layers",
            error.points,
        ) from error


async def _moved(model: Model, requests: Sequence[Request], push: Add) -> float:
    """95th percentile of the KL of every token of all replies under one push."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(request: Request) -> tuple[float, ...]:
        async with gate:
            pushed = msgspec.structs.replace(request, interventions=(push,))
            return (await reread(model, pushed, request.lines)).kl

    read = await asyncio.gather(*map(one, requests))
    seen = [kl for kl in read if kl]
    if 2 * len(seen) < len(read):
        raise CalibrationFailed(
            f"at size {push.scale:.4g} only {len(seen)} of {len(read)} replies can be shown to the model again as they "
            "were made; its chat template changes earlier replies, or its thoughts cannot be switched off"
        )
    values = torch.tensor([value for kl in seen for value in kl], dtype=torch.float64)
    return float(torch.quantile(values, PERCENTILE))

"""DiffMean steering: one direction per attribute and block, dose and response, random directions beside it.

Read where the reply is about to begin, between two system texts that state opposite poles. Written as
h' = h + c * (mean of high - mean of low), at the output of one block and the positions whose logits make the first
`OPENING` tokens of the reply, which then goes on as it began. c = 1 is one class gap.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from training.abilities.held_out import bare, poles_stated
from training.abilities.row import Row
from training.abilities.subject import Prompt, Subject, edited
from training.grammar.dice import Dice
from training.grammar.markers import classify

POLES = {
    "sentiment": ("cold", "warm"),
    "formality": ("casual", "formal"),
    "verbosity": ("short", "long"),
    "distress": ("0", "3"),
}
OPENING = 24
DOSES = (0.4, 0.5, 0.65, 0.8, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0)
_SEED = 3_600_000_000


@dataclass(frozen=True)
class Response:
    """What replies look like under one dose: share at the high pole, unsteered nats per token."""

    dose: float
    rate: float
    nats: float


def high(attribute: str, reply: str) -> bool:
    """Whether a reply is at the attribute's high pole: warm, formal, long, distressed at level 2 or 3."""
    value = classify(reply)[attribute]
    return value in ("2", "3") if attribute == "distress" else value == POLES[attribute][1]


def directions(subject: Subject, attribute: str, pairs: int) -> Tensor:
    """Difference of the pole means at the last position of the prompt, for every block: `[layers, D]`."""
    dice = Dice(_SEED)
    drawn = [poles_stated(dice, attribute, POLES[attribute]) for _ in range(pairs)]
    low, top = (subject.before_reply([pair[side] for pair in drawn]) for side in (0, 1))
    return (top - low).mean(0)


def respond(
    subject: Subject, attribute: str, prompts: Sequence[Prompt], layer: int, push: Tensor, dose: float
) -> Response:
    """One reply per prompt at T = 0.8 with `dose * push` added at `layer` as it begins, scored unsteered."""
    made = 0

    def add(hidden: Tensor) -> Tensor:
        nonlocal made
        made = 1 if hidden.size(1) > 1 else made + 1  # a prompt, or one more token
        if made > OPENING:
            return hidden
        last = torch.zeros_like(hidden)
        last[:, -1] = dose * push
        return hidden + last

    with edited(subject.blocks[layer], add):
        drawn = subject.replies(prompts, temperature=0.8, seed=3, limit=120)
    replies = [reply for reply, _ in drawn]
    total, tokens = subject.score(prompts, replies)
    return Response(dose, sum(high(attribute, r) for r in replies) / len(replies), total / tokens)


def _reaches(low: Response, top: Response, plain: Response) -> bool:
    worst = max(low.nats, top.nats) - plain.nats
    return low.rate <= 0.2 and top.rate >= 0.8 and worst <= math.log(2)


def find(subject: Subject, attribute: str, *, pairs: int, trial: int) -> tuple[int, float]:
    """The block and dose of the widest swing at an acceptable perplexity, on `trial` replies each."""
    push = directions(subject, attribute, pairs)
    dice = Dice(_SEED + 2)
    prompts = [bare(dice, attribute) for _ in range(trial)]
    plain = respond(subject, attribute, prompts, 0, push[0], 0.0)
    best = (-math.inf, 0, DOSES[0])
    for layer in range(len(subject.blocks) - 1):
        for dose in DOSES:
            top = respond(subject, attribute, prompts, layer, push[layer], dose)
            if top.rate < 0.5 and top.nats - plain.nats < math.log(2):
                continue  # too little yet
            low = respond(subject, attribute, prompts, layer, push[layer], -dose)
            cost = max(low.nats, top.nats, plain.nats) - plain.nats
            merit = min(0.9, top.rate) - max(0.1, low.rate) - 0.25 * max(0.0, cost - 0.3)
            best = max(best, (merit, layer, dose))
            if _reaches(low, top, plain) or cost > math.log(3):
                break
    return best[1], best[2]


def random_shift(
    subject: Subject, attribute: str, prompts: Sequence[Prompt], layer: int, norm: float, plain: float
) -> float:
    """Largest change of the rate under three random directions of this norm."""
    generator = torch.Generator().manual_seed(5)
    shifts = []
    for _ in range(3):
        noise = torch.randn(subject.model.config.hidden_size, generator=generator)
        moved = respond(subject, attribute, prompts, layer, noise / noise.norm() * norm, 1.0)
        shifts.append(abs(moved.rate - plain))
    return max(shifts)


def doses(
    subject: Subject, attribute: str, prompts: Sequence[Prompt], layer: int, push: Tensor, dose: float
) -> list[Response]:
    """The response from `-dose` to `dose` at one block, in five steps; the middle one is unsteered."""
    return [respond(subject, attribute, prompts, layer, push, dose * part) for part in (-1, -0.5, 0, 0.5, 1)]


def ratio(steps: Sequence[Response]) -> float:
    """The worst unsteered perplexity of steered replies over that of unsteered ones."""
    return math.exp(max(step.nats for step in steps) - steps[len(steps) // 2].nats)


def asked(attribute: str, count: int) -> list[Prompt]:
    """Prompts that leave the attribute open."""
    dice = Dice(_SEED + 1)
    return [bare(dice, attribute) for _ in range(count)]


def steering(
    subject: Subject, attribute: str, *, pairs: int, count: int, layer: int, dose: float
) -> list[Row]:
    """Dose and response at one block, on `count` replies each, and what random directions do there."""
    push = directions(subject, attribute, pairs)[layer]
    prompts = asked(attribute, count)
    steps = doses(subject, attribute, prompts, layer, push, dose)
    slack = 1.5 / math.sqrt(count)
    falls = max(a.rate - b.rate for a, b in itertools.pairwise(steps))
    shift = random_shift(subject, attribute, prompts, layer, dose * float(push.norm()), steps[2].rate)
    where = f"block {layer}, dose {dose:g}, rates " + " ".join(f"{step.rate:.2f}" for step in steps)
    return [
        Row("is steerable", f"{attribute}: lowest rate", steps[0].rate, 0.2, upper=True, detail=where),
        Row("is steerable", f"{attribute}: highest rate", steps[-1].rate, 0.8),
        Row("is steerable", f"{attribute}: largest fall", falls, slack, upper=True, detail="0 is monotone"),
        Row("is steerable", f"{attribute}: perplexity ratio", ratio(steps), 2.0, upper=True),
        Row("is steerable", f"{attribute}: random shift", shift, 0.1, upper=True),
    ]

"""Fluency, turn format, and whether replies follow what the system text states."""

import itertools
import math
import re

from training.abilities.held_out import Asked, cuts, stated
from training.abilities.row import Row
from training.abilities.subject import Prompt, Subject
from training.grammar import framing
from training.grammar.dice import Dice
from training.grammar.markers import classify

# Values that a reply can be seen to have; "own" agreement, say, leaves no mark.
FOLLOWED = {
    "sentiment": ("warm", "neutral", "cold"),
    "formality": ("formal", "plain", "casual"),
    "verbosity": ("short", "medium", "long"),
    "confidence": ("sure", "plain", "unsure"),
    "agreement": ("agrees", "disagrees"),
    "politeness": ("polite", "plain"),
    "liveliness": ("lively", "calm"),
    "distress": tuple(framing.DISTRESS),
}


def fluency(subject: Subject, count: int) -> Row:
    """Perplexity of the replies of `count` held-out prompts against the grammar's derivation cost."""
    chosen = list(itertools.islice(cuts(), count))
    replies, nats = [], 0.0
    for asked in chosen:
        text = subject.text(Prompt([asked.line.message])).removesuffix("<|im_start|>assistant\n")
        text = text.removeprefix("<|im_start|>assistant\n").removesuffix("<|im_end|>\n")
        replies.append(text.removeprefix("<think>\n") if asked.prompt.invited else text)
        nats += asked.line.nats or 0.0
    total, tokens = subject.score([asked.prompt for asked in chosen], replies)
    ratio = math.exp((total - nats) / tokens)
    detail = f"perplexity {math.exp(total / tokens):.3f}, bound {math.exp(nats / tokens):.3f}"
    return Row("fluent", "perplexity / bound", ratio, 1.25, upper=True, detail=detail)


def leaks(asked: Asked, reply: str) -> bool:
    """Whether the reply is empty, holds a control token, or goes on in somebody else's name."""
    if not reply.strip() or "<|im_start|>" in reply or "<|endoftext|>" in reply:
        return True
    users = [str(m["content"]) for m in asked.prompt.messages if m["role"] == "user"]
    labels = {m.group(1) for text in users if (m := re.match(r"([^\W\d_][\w .'-]{0,39}): ", text))}
    labels |= {"user", "assistant", "system", "tool"}
    return any(line.startswith(f"{label}:") for line in reply.splitlines() for label in labels)


def turn_format(subject: Subject, count: int) -> Row:
    """Share of sampled turns that end by themselves and stay in their role."""
    chosen = list(itertools.islice(cuts(), count))
    replies = subject.replies([a.prompt for a in chosen], temperature=0.8, seed=1, limit=240)
    good = [ended and not leaks(a, reply) for a, (reply, ended) in zip(chosen, replies, strict=True)]
    return Row("stays in turn format", f"{count} turns at T = 0.8", sum(good) / count, 0.98)


def follows(subject: Subject, attribute: str, count: int) -> Row:
    """Share of replies whose marked value is the one stated; `count` replies, spread over the values."""
    values = FOLLOWED[attribute]
    dice = Dice(FIRST_ATTRIBUTE + sum(map(ord, attribute)))
    wanted = [values[i % len(values)] for i in range(count)]
    prompts = [stated(dice, attribute, value) for value in wanted]
    replies = subject.replies(prompts, temperature=0.8, seed=2)
    right = {value: [0, 0] for value in values}
    for value, (reply, _) in zip(wanted, replies, strict=True):
        right[value][0] += classify(reply)[attribute] == value
        right[value][1] += 1
    detail = ", ".join(f"{value} {hits}/{n}" for value, (hits, n) in right.items())
    rate = sum(hits for hits, _ in right.values()) / count
    return Row("follows the system attribute", attribute, rate, 0.9, detail=detail)


FIRST_ATTRIBUTE = 3_500_000_000

"""Activation patching: the planted word's position carries the answer at some blocks and not at others."""

from dataclasses import dataclass

import torch
from torch import Tensor

from training.abilities.row import Row
from training.abilities.subject import Prompt, Subject, edited
from training.grammar.bank import Topic, topics, words
from training.grammar.dice import Dice
from training.grammar.opinion import Talker, Thread, opinion
from training.grammar.person import talkers
from training.grammar.secret import NOUNS

_SEED = 3_700_000_000


@dataclass(frozen=True)
class Twins:
    """The same token sequence but for one position, and the word that should follow each."""

    ids: Tensor  # [2, T]
    position: int
    words: tuple[int, int]


def _messages(seed: int, noun: str, word: str, topic: Topic, person: Talker) -> list[dict[str, str]]:
    dice = Dice(seed)
    thread = Thread(topic)
    other = Talker("user", person.traits, 1 - person.side)
    lines = [{"role": "user", "content": f"Remember this: the {noun} is {word}. {topic.questions[0]}"}]
    for role, talker in (("assistant", person), ("user", other), ("assistant", person)):
        lines.append({"role": role, "content": opinion(dice, talker, thread, None)})
    return [*lines, {"role": "user", "content": f"What is the {noun}?"}]


def twins(subject: Subject, dice: Dice) -> Twins | None:
    """Two dialogues that plant different words of one token each; None where the words do not fit."""
    noun = dice.pick(NOUNS)
    pair = dice.sample(words(), 2)
    topic, person, seed = dice.pick(topics()), talkers(dice, 1)[0], dice.between(0, 2**31)
    rows = []
    for word in pair:
        prompt = Prompt([dict(m) for m in _messages(seed, noun, word, topic, person)])
        ids = subject.tokenizer(subject.text(prompt) + f"The {noun} is", add_special_tokens=False).input_ids
        rows.append(ids)
    tokens = [subject.tokenizer(f" {word}", add_special_tokens=False).input_ids for word in pair]
    if any(len(entry) != 1 for entry in tokens) or len(rows[0]) != len(rows[1]):
        return None
    differing = [i for i, (a, b) in enumerate(zip(*rows, strict=True)) if a != b]
    if len(differing) != 1:
        return None
    return Twins(torch.tensor(rows), differing[0], (tokens[0][0], tokens[1][0]))


@torch.no_grad()
def flips(subject: Subject, pair: Twins) -> list[bool] | None:
    """Per block: whether its output at the planted word, taken from the twin, turns the answer.

    None where the unpatched model does not answer both rightly.
    """
    mask = torch.ones_like(pair.ids)
    plain = subject.model(input_ids=pair.ids, attention_mask=mask, use_cache=False).logits[:, -1].argmax(-1)
    if tuple(plain.tolist()) != pair.words:
        return None
    rows = subject.stream(pair.ids, mask)
    out = []
    for block, hidden in zip(subject.blocks, rows, strict=True):
        source = hidden[1, pair.position]

        def replace(current: Tensor, source: Tensor = source) -> Tensor:
            current = current.clone()
            current[:, pair.position] = source
            return current

        with edited(block, replace):
            logits = subject.model(input_ids=pair.ids[:1], attention_mask=mask[:1], use_cache=False).logits
        out.append(int(logits[0, -1].argmax()) == pair.words[1])
    return out


def patching(subject: Subject, count: int) -> list[Row]:
    """Flip rates over `count` twins that the model answers rightly: the best block and the worst."""
    dice = Dice(_SEED)
    found: list[list[bool]] = []
    tried = 0
    while len(found) < count and tried < 4 * count:
        pair = twins(subject, dice)
        if pair is None:
            continue
        tried += 1
        flipped = flips(subject, pair)
        if flipped is not None:
            found.append(flipped)
    if not found:
        return [
            Row("patching localises", "flip rate at the best block", 0.0, 0.8, detail="no word was recalled")
        ]
    rates = [sum(row[i] for row in found) / len(found) for i in range(len(subject.blocks))]
    detail = f"{len(found)} of {tried} twins recalled; by block " + " ".join(f"{rate:.2f}" for rate in rates)
    return [
        Row("patching localises", "flip rate at the best block", max(rates), 0.8, detail=detail),
        Row("patching localises", "flip rate at the worst block", min(rates), 0.2, upper=True),
    ]

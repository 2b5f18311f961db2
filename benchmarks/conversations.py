"""`python benchmarks/conversations.py [--quick] [--shape M] [--runner R]`: many two-party conversations, to the end.

The engine holds the conversations; its prompts are recorded, and every other way of running them is given the same
prompts and makes replies of the same lengths. Each ratio is the other way's CPU time over the engine's.
"""

from __future__ import annotations

import argparse
import asyncio
from collections import defaultdict
from dataclasses import dataclass, field

import torch
from shapes import answer, ask, build, cpu, engine_of, generate, line, table, verdict, words
from transformers import DynamicCache, PreTrainedModel

from symposia.core.lines import Line
from symposia.engine import Engine

NAMES = ("ann", "bob")
BARS = {"M": {"batched": 5.0, "one at a time": 13.0, "careful": 2.0, "no reuse": 2.2}, "S": {"batched": 4.0}}


@dataclass
class Talk:
    """One conversation as its two parties see it, and the prompts it came to."""

    views: dict[str, list[Line]]
    prompts: list[list[int]] = field(default_factory=list)


def talks(count: int) -> list[Talk]:
    """Openings of their own under framings they share."""
    made = []
    for seed in range(count):
        framing = {name: line("system", f"You are {name}. {words(12, 7)}") for name in NAMES}
        opening = line("user", words(16, seed), "moderator", 0)
        made.append(Talk({name: [framing[name], opening] for name in NAMES}))
    return made


async def converse(engine: Engine, talk: Talk, turns: int, tokens: int) -> None:
    """Ann and Bob speak in turn; what one said, the other hears as text."""
    for turn in range(1, turns + 1):
        speaker, other = NAMES[(turn - 1) % 2], NAMES[turn % 2]
        done = await answer(engine, ask(engine, talk.views[speaker], tokens, speaker=speaker, turn=turn))
        talk.prompts.append(list(done.prompt_token_ids))
        own = {"origin": "sampled", "token_ids": done.token_ids}
        talk.views[speaker].append(line("assistant", done.text, speaker, turn, **own))
        talk.views[other].append(line("user", done.text, speaker, turn))


def engine_talks(engine: Engine, count: int, turns: int, tokens: int) -> list[Talk]:
    """All conversations at once."""
    held = talks(count)

    async def gather() -> None:
        await asyncio.gather(*(converse(engine, talk, turns, tokens) for talk in held))

    asyncio.run(gather())
    return held


def batched(model: PreTrainedModel, held: list[Talk], tokens: int) -> None:
    """Every turn of all conversations as one left-padded batch, from its first token."""
    for turn in range(len(held[0].prompts)):
        generate(model, [talk.prompts[turn] for talk in held], tokens)


def one_at_a_time(model: PreTrainedModel, held: list[Talk], tokens: int) -> None:
    """As people write it first."""
    for talk in held:
        for prompt in talk.prompts:
            generate(model, [prompt], tokens)


@torch.no_grad()
def careful(model: PreTrainedModel, held: list[Talk], tokens: int) -> None:
    """One `DynamicCache` for each party, kept across turns, all conversations in step.

    New prompts are cut to their mean length: no row waits for a longer one, which is better than a user could do.
    """
    caches = {name: DynamicCache(config=model.config) for name in NAMES}
    ids = {name: torch.zeros(len(held), 0, dtype=torch.long) for name in NAMES}
    for turn in range(len(held[0].prompts)):
        name = NAMES[turn % 2]
        length = round(sum(len(talk.prompts[turn]) for talk in held) / len(held))
        new = torch.randint(3, 2000, (len(held), max(1, length - ids[name].shape[1])))
        ids[name] = torch.cat([ids[name], new], dim=1)
        ids[name] = model.generate(
            ids[name],
            attention_mask=torch.ones_like(ids[name]),
            past_key_values=caches[name],
            do_sample=False,
            max_new_tokens=tokens,
            pad_token_id=0,
        )


def measured(
    model: PreTrainedModel, size: tuple[int, int, int], runner: str, repeats: int
) -> dict[str, float]:
    """The least CPU seconds of each way, taken in turns."""
    count, _, tokens = size
    held: list[Talk] = []
    taken: dict[str, list[float]] = defaultdict(list)

    def ours(name: str, *, reuse: bool) -> None:
        with engine_of(model, runner=runner, reuse=reuse) as engine:
            taken[name].append(cpu(lambda: held.__setitem__(slice(None), engine_talks(engine, *size))))

    for _ in range(repeats):
        ours("ours", reuse=True)
        taken["batched"].append(cpu(lambda: batched(model, held, tokens)))
        taken["careful"].append(cpu(lambda: careful(model, held, tokens)))
        ours("no reuse", reuse=False)
    few = held[: max(1, count // 16)]
    taken["one at a time"].append(cpu(lambda: one_at_a_time(model, few, tokens)) * count / len(few))
    return {name: min(times) for name, times in taken.items()}


def main() -> int:
    """Prints the table; 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="16 conversations of 4 turns, once")
    parser.add_argument("--shape", default="M", choices=("S", "M"))
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--runner", default="auto", choices=("auto", "lean", "hf"))
    chosen = parser.parse_args()
    size = (16, 4, 48) if chosen.quick else (32, 8, 64)
    count, turns, tokens = size
    took = measured(build(chosen.shape, chosen.dtype), size, chosen.runner, repeats=1 if chosen.quick else 3)
    what = f"{chosen.shape} {chosen.dtype}: {count} conversations x {turns} turns x {tokens} tokens"
    rows = [(what, "CPU", "tokens/s", "ratio", "bar", "verdict")]
    missed = False
    for name, seconds in took.items():
        cells = ("", "", "")
        if name != "ours":
            cells = verdict(seconds / took["ours"], BARS[chosen.shape].get(name))
            missed |= cells[-1] == "MISSED"
        rows.append((name, f"{seconds:.1f} s", f"{count * turns * tokens / seconds:.0f}", *cells))
    table(rows)
    return int(missed)


if __name__ == "__main__":
    raise SystemExit(main())

"""Rendering a prompt: a 30-turn dialogue after one new turn, with a 150,000-entry tokenizer.

    python benchmarks/templates.py [TEMPLATE ...]

Prints milliseconds per template: best and median of a render whose two newest lines were never seen before (bar: 2),
and the medians of the same request again, of the first render with nothing remembered, and of loading.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import time

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from symposia.core.lines import Line, Segment
from symposia.core.request import Request
from symposia.engine.families import TEMPLATES, chat_tokenizer
from symposia.engine.template import ChatTemplate

TURNS = 30
ENTRIES = 150_000
WORDS = (
    "the river is fine and we walk to town because bread tastes better with friends who like music".split()
)


def large(name: str) -> PreTrainedTokenizerFast:
    """The family's small tokenizer with entries nobody merges to, up to the size of a real one."""
    small = chat_tokenizer(name)
    stored = json.loads(small.backend_tokenizer.to_str())
    vocabulary = stored["model"]["vocab"]
    added = sorted(stored["added_tokens"], key=lambda token: token["id"])
    missing = ENTRIES - len(vocabulary) - len(added)
    taken = {token["id"] for token in added}
    free = (i for i in range(ENTRIES) if i not in taken and i not in set(vocabulary.values()))
    vocabulary.update({f"unused piece {i}": next(free) for i in range(missing)} if missing > 0 else {})
    backend = Tokenizer.from_str(json.dumps(stored))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, **small.special_tokens_map)
    tokenizer.chat_template = small.chat_template
    return tokenizer


def dialogue(turns: int, draw: random.Random, tokenizer: PreTrainedTokenizerFast) -> list[Line]:
    """Lines of about 45 words; own ones bring their ids."""
    lines = []
    for turn in range(turns):
        own = turn % 2 == 1
        text = " ".join(draw.choices(WORDS, k=45)).capitalize() + "."
        ids = tuple(tokenizer.encode(text, add_special_tokens=False)) if own else None
        segment = Segment(
            text=text,
            phase="answer" if own else "prompt",
            author="b" if own else "a",
            turn=turn,
            origin="sampled",
            token_ids=ids,
        )
        lines.append(Line(role="assistant" if own else "user", segments=(segment,), kind="turn"))
    return lines


def main(names: list[str]) -> None:
    """Print the table."""
    print(f"{'template':14} {'best':>6} {'new turn':>8} {'again':>8} {'first':>8} {'load':>8}  tokens")
    for name in names or list(TEMPLATES):
        tokenizer = large(name)
        draw = random.Random(0)
        system = Line(
            role="system", segments=(Segment(text="You doubt everything.", phase="prompt"),), kind="framing"
        )
        load, first, new, again = [], [], [], []
        for _ in range(20):
            start = time.perf_counter()
            template = ChatTemplate(tokenizer)
            load.append(1000 * (time.perf_counter() - start))
            lines = (system, *dialogue(TURNS - 1, draw, tokenizer))
            before = Request(model="m", lines=lines[:-2], speaker="b", turn=TURNS - 3)
            after = Request(model="m", lines=lines, speaker="b", turn=TURNS - 1)
            first.append(timed(template, before))
            new.append(timed(template, after))
            again.append(timed(template, after))
        tokens = len(template.render(after).token_ids)
        columns = [f"{statistics.median(column):8.2f}" for column in (new, again, first, load)]
        print(f"{name:14} {min(new):6.2f}", *columns, f" {tokens}")


def timed(template: ChatTemplate, request: Request) -> float:
    """Milliseconds of one render."""
    start = time.perf_counter()
    template.render(request)
    return 1000 * (time.perf_counter() - start)


if __name__ == "__main__":
    main(sys.argv[1:])

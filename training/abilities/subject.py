"""The model under measurement: batched sampling, reading and changing the residual stream, scoring text."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache

Messages = list[dict[str, Any]]
Edit = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Prompt:
    """What stands before a reply."""

    messages: Messages
    tools: tuple[dict[str, Any], ...] = ()
    invited: bool = False


def hidden_of(output: Any) -> Tensor:
    """The residual stream in a block's output, which is a bare tensor or a tuple that starts with it."""
    return output if isinstance(output, Tensor) else output[0]


@contextmanager
def edited(block: nn.Module, edit: Edit) -> Iterator[None]:
    """While open, the block's output `[B, T, D]` is replaced by `edit` of it."""

    def hook(_: nn.Module, __: Any, output: Any) -> Any:
        changed = edit(hidden_of(output))
        return changed if isinstance(output, Tensor) else (changed, *output[1:])

    handle = block.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


class Subject:
    """A model directory, loaded in float32 for the CPU."""

    def __init__(self, directory: Path) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(directory)
        self.tokenizer.padding_side = "left"
        self.model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
        self.end = int(self.tokenizer.eos_token_id)

    @property
    def blocks(self) -> nn.ModuleList:
        """The decoder blocks, in order."""
        blocks: nn.ModuleList = self.model.model.layers
        return blocks

    def text(self, prompt: Prompt, reply: str | None = None) -> str:
        """The rendered prompt, open for the reply; with `reply` appended and closed if one is given."""
        rendered: str = self.tokenizer.apply_chat_template(
            prompt.messages,
            tools=list(prompt.tools) or None,
            tokenize=False,
            add_generation_prompt=True,
            enable_thinking=prompt.invited,
        )
        return rendered if reply is None else f"{rendered}{reply}<|im_end|>"

    def encode(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Ids and attention mask, `[B, T]`, padded on the left."""
        batch = self.tokenizer(list(texts), padding=True, return_tensors="pt", add_special_tokens=False)
        return batch["input_ids"], batch["attention_mask"]

    @torch.no_grad()
    def replies(
        self, prompts: Sequence[Prompt], *, temperature: float, seed: int, limit: int = 160, batch: int = 64
    ) -> list[tuple[str, bool]]:
        """One reply per prompt and whether it ended within `limit` tokens; temperature 0 is greedy."""
        torch.manual_seed(seed)
        texts = [self.text(prompt) for prompt in prompts]
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        out: dict[int, tuple[str, bool]] = {}
        for low in range(0, len(order), batch):
            chosen = order[low : low + batch]
            made = self._sampled(*self.encode([texts[i] for i in chosen]), temperature, limit)
            for i, row in zip(chosen, made, strict=True):
                ended = row[-1] == self.end
                out[i] = (self.tokenizer.decode(row[:-1] if ended else row), ended)
        return [out[i] for i in range(len(texts))]

    def _sampled(self, ids: Tensor, mask: Tensor, temperature: float, limit: int) -> list[list[int]]:
        """At most `limit` new tokens per row, through its end. A row that ended is computed no more.

        Draws stay one per row, ended or not, so a row's tokens do not depend on when others end.
        """
        made: list[list[int]] = [[] for _ in ids]
        live = torch.arange(len(ids))
        odds = torch.full((len(ids), self.model.config.vocab_size), 1.0)
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        cache = DynamicCache(config=self.model.config)
        for _ in range(limit):
            logits = self.model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                logits_to_keep=1,
            ).logits[:, -1]
            if temperature:
                odds[live] = (logits / temperature).softmax(-1)
                tokens = torch.multinomial(odds, 1)[live, 0]
            else:
                tokens = logits.argmax(-1)
            for row, token in zip(live.tolist(), tokens.tolist(), strict=True):
                made[row].append(token)
            going = (tokens != self.end).nonzero()[:, 0]
            if not len(going):
                break
            if len(going) < len(live):
                cache.batch_select_indices(going)
                live, tokens, mask, positions = (x[going] for x in (live, tokens, mask, positions))
            ids, positions = tokens[:, None], positions[:, -1:] + 1
            mask = functional.pad(mask, (0, 1), value=1)
        return made

    @torch.no_grad()
    def score(self, prompts: Sequence[Prompt], replies: Sequence[str], batch: int = 32) -> tuple[float, int]:
        """Sum of -log P in nats of the replies with their end of turn, and their number of tokens."""
        total, count = 0.0, 0
        texts = [self.text(p, r) for p, r in zip(prompts, replies, strict=True)]
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        for low in range(0, len(order), batch):
            chosen = order[low : low + batch]
            ids, mask = self.encode([texts[i] for i in chosen])
            before = [self.text(prompts[i]) for i in chosen]
            opened = [len(row) for row in self.tokenizer(before, add_special_tokens=False).input_ids]
            logits = self.model(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, :-1]
            starts = ids.size(1) - mask.sum(1) + torch.tensor(opened)
            inside = torch.arange(1, ids.size(1))[None] >= starts[:, None]
            losses = functional.cross_entropy(logits[inside], ids[:, 1:][inside], reduction="sum")
            total, count = total + float(losses), count + int(inside.sum())
        return total, count

    @torch.no_grad()
    def before_reply(self, prompts: Sequence[Prompt], batch: int = 32) -> Tensor:
        """Every block's output at the position whose logits make the reply's first token: `[N, layers, D]`."""
        rows = []
        for low in range(0, len(prompts), batch):
            ids, mask = self.encode([self.text(prompt) for prompt in prompts[low : low + batch]])
            rows.append(torch.stack([hidden[:, -1] for hidden in self.stream(ids, mask)], 1))
        return torch.cat(rows)

    @torch.no_grad()
    def stream(self, ids: Tensor, mask: Tensor) -> list[Tensor]:
        """Every block's output `[B, T, D]`, the last one before the final norm."""
        seen: list[Tensor] = []
        handles = [
            b.register_forward_hook(lambda _, __, out: seen.append(hidden_of(out))) for b in self.blocks
        ]
        try:
            self.model(input_ids=ids, attention_mask=mask, use_cache=False, logits_to_keep=1)
        finally:
            for handle in handles:
                handle.remove()
        return seen

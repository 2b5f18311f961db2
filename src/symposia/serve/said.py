"""What completions come to beside their choices: calls with ids of their own, one usage, whether it is text. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from msgspec.structs import replace

from symposia.core.degenerate import LIVE, Degenerate, degenerate
from symposia.core.message import ToolCall
from symposia.core.parse import parts_of
from symposia.core.request import Completion, Request
from symposia.core.usage import NOTHING, Usage

from .replies import ChoiceObject


def told_apart(completion: Completion, request: Request, stem: str) -> Completion:
    """The same, its calls named so that a conversation never holds two of one name: `stem` begins numbered ids."""
    if not request.told and not completion.parts:
        return completion
    parts = parts_of(completion, request)
    if not any(isinstance(part, ToolCall) for part in parts):
        return completion
    place = -1
    named = []
    for part in parts:
        if isinstance(part, ToolCall):
            place += 1
            if part.id in ("", f"call_{place}"):
                part = replace(part, id=f"call_{stem}_{place}")
        named.append(part)
    return replace(completion, parts=tuple(named))


def total(completions: Sequence[Completion]) -> Usage:
    """The usage of choices side by side: their prompt is one."""
    if not completions:
        return NOTHING
    first = completions[0].usage
    if len(completions) == 1:
        return first
    return replace(
        first,
        output_tokens=sum(c.usage.output_tokens for c in completions),
        reasoning_tokens=sum(c.usage.reasoning_tokens for c in completions),
        estimated=any(c.usage.estimated for c in completions),
    )


def broken(completion: Completion, choice: ChoiceObject) -> Degenerate | None:
    """Whether a reply is no text, as live traffic is judged."""
    message = choice.message
    text = message.content or message.refusal or ""
    units: Sequence[Hashable] = completion.token_ids or text.split()
    return degenerate(text, units, share=LIVE, called=bool(message.tool_calls))

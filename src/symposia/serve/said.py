"""What a model said, as callers are told it: text, reasoning, calls, a finish the backend gave. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from symposia.core.degenerate import LIVE, Degenerate, degenerate
from symposia.core.message import FinishReason, Reasoning, Text, ToolCall
from symposia.core.parse import parse
from symposia.core.receipt import Receipt
from symposia.core.request import Completion, Request
from symposia.core.served import Applied
from symposia.core.usage import NOTHING, Usage

_FINISHES: dict[FinishReason, str] = {
    "stop": "stop",
    "stop_string": "stop",
    "refusal": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
}


@dataclass(frozen=True, slots=True)
class Said:
    """One choice. `calls` have ids of their own, `arguments` as text. `refusal` stands in place of `text`."""

    text: str
    reasoning: str
    calls: tuple[tuple[str, str, str], ...]
    finish: str
    refusal: str | None = None


def said(completion: Completion, request: Request, *, stem: str) -> Said:
    """A completion taken apart. `stem` begins the ids of calls that came with no id of their own."""
    parts = completion.parts or parse(
        completion.text,
        completion.syntax,
        tools=request.told,
        offered=request.offers_calls,
        opens_thinking=completion.opens_thinking,
    )
    text = "".join([part.text for part in parts if isinstance(part, Text)])
    calls = tuple(
        _call(part, f"call_{stem}_{place}", place)
        for place, part in enumerate([part for part in parts if isinstance(part, ToolCall)])
    )
    refused = completion.finish_reason == "refusal"
    return Said(
        text="" if refused else text,
        reasoning="".join([part.text for part in parts if isinstance(part, Reasoning)]),
        calls=calls,
        finish=_FINISHES[completion.finish_reason],
        refusal=text if refused else None,
    )


def _call(call: ToolCall, own: str, place: int) -> tuple[str, str, str]:
    """Id, name, arguments. A call that could not be read says so where its arguments would stand."""
    numbered = call.id in ("", f"call_{place}")
    arguments = call.error or msgspec.json.encode(call.arguments).decode()
    return own if numbered else call.id, call.name or "unreadable", arguments


def total(completions: Sequence[Completion]) -> Usage:
    """The usage of choices side by side: their prompt is one."""
    if not completions:
        return NOTHING
    first = completions[0].usage
    if len(completions) == 1:
        return first
    return msgspec.structs.replace(
        first,
        output_tokens=sum(c.usage.output_tokens for c in completions),
        reasoning_tokens=sum(c.usage.reasoning_tokens for c in completions),
        estimated=any(c.usage.estimated for c in completions),
    )


def applied(receipts: Sequence[Receipt]) -> Applied:
    """What the receipts prove: all of it, some of it, or that there was nothing to apply."""
    if not receipts:
        return "false"
    return "true" if all(receipt.status == "applied" for receipt in receipts) else "degraded"


def delta_over_norm(receipts: Sequence[Receipt]) -> float | None:
    """The largest mean ‖δ‖ over mean ‖h‖ of any layer."""
    shares = [
        layer.delta_mean / layer.norm for receipt in receipts for layer in receipt.layers if layer.norm > 0
    ]
    return max(shares, default=None)


def broken(completion: Completion, spoken: Said) -> Degenerate | None:
    """Whether a reply is no text."""
    units: Sequence[object] = completion.token_ids or spoken.text.split()
    text = spoken.text if spoken.refusal is None else spoken.refusal
    return degenerate(text, units, share=LIVE, called=bool(spoken.calls))

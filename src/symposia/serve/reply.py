"""The body of a reply: its choices, its usage, and what the steering came to. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from symposia.core.receipt import Receipt
from symposia.core.request import Logprobs
from symposia.core.served import Applied
from symposia.core.usage import Usage

from .address import Addressed
from .said import Said, delta_over_norm

_json = msgspec.json.Encoder().encode


def head_of(request_id: str, found: Addressed, created: int, asked: str, *, chunk: bool) -> bytes:
    """What a reply and each of its chunks begin with."""
    return _json(
        {
            "id": f"chatcmpl-{request_id}",
            "object": "chat.completion.chunk" if chunk else "chat.completion",
            "created": created,
            "model": asked,
            "system_fingerprint": found.model.fingerprint,
        }
    )[:-1]


def body(head: bytes, choices: Sequence[tuple[Said, bytes | None]], usage: bytes, steering: bytes) -> bytes:
    """The whole reply."""
    made = b",".join([_choice(i, spoken, logprobs) for i, (spoken, logprobs) in enumerate(choices)])
    return head + b',"choices":[' + made + b'],"usage":' + usage + b',"steering":' + steering + b"}"


def usage_of(used: Usage) -> bytes:
    """Token counts, as callers know them."""
    counts: dict[str, Any] = {
        "prompt_tokens": used.input_tokens,
        "completion_tokens": used.output_tokens,
        "total_tokens": used.input_tokens + used.output_tokens,
        "prompt_tokens_details": {"cached_tokens": used.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": used.reasoning_tokens},
    }
    if used.estimated:
        counts["estimated"] = True
    return _json(counts)


def steering_of(
    found: Addressed, applied: Applied, receipts: Sequence[Receipt], *, seed: int, degenerate: str | None, verbatim: bool
) -> bytes:
    """The steering block; null where there is nothing to say."""
    return _json(
        {
            "profile": found.label,
            "revision": found.digest or None,
            "arm": found.arm,
            "canary": found.canary or None,
            "applied": applied,
            "reason": found.reason,
            "seed": seed,
            "tokens": {
                "given": sum(receipt.tokens.given for receipt in receipts),
                "history": sum(receipt.tokens.history for receipt in receipts),
                "generated": sum(receipt.tokens.generated for receipt in receipts),
            },
            "delta_over_norm": delta_over_norm(receipts),
            "degenerate": degenerate,
            "receipts": list(receipts) if verbatim else None,
        }
    )


def logprobs_of(columns: Logprobs | None) -> bytes | None:
    """Log-probabilities token by token, as callers know them."""
    if columns is None:
        return None
    rows = []
    for i, chosen in enumerate(columns.chosen):
        token = columns.tokens[i] if i < len(columns.tokens) else ""
        names = columns.top_tokens[i] if i < len(columns.top_tokens) else ()
        values = columns.top[i] if i < len(columns.top) else ()
        rows.append({**_token(token, chosen), "top_logprobs": [_token(n, v) for n, v in zip(names, values, strict=False)]})
    return _json({"content": rows, "refusal": None})


def _token(text: str, logprob: float) -> Mapping[str, Any]:
    return {"token": text, "logprob": logprob, "bytes": list(text.encode())}


def _choice(index: int, spoken: Said, logprobs: bytes | None) -> bytes:
    message: dict[str, Any] = {"role": "assistant", "content": spoken.text, "refusal": spoken.refusal}
    if spoken.refusal is not None or (spoken.calls and not spoken.text):
        message["content"] = None
    if spoken.reasoning:
        message["reasoning_content"] = spoken.reasoning
    if spoken.calls:
        message["tool_calls"] = [
            {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}
            for id_, name, arguments in spoken.calls
        ]
    shown = b"null" if logprobs is None else logprobs
    return (
        b'{"index":%d,"message":' % index
        + _json(message)
        + b',"logprobs":'
        + shown
        + b',"finish_reason":'
        + _json(spoken.finish)
        + b"}"
    )

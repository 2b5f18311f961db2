"""Traces to test with."""

from __future__ import annotations

from typing import Any

from symposia.core.request import ServedBy
from symposia.core.trace import Answered, Called, Flags, Generation, Piece, Said, Trace
from symposia.core.usage import Usage

DAY = 1_790_035_200.0
"""2026-09-22 00:00:00 UTC."""


def traced(said: str = "What is 6 x 7?", answer: str | None = "42.", **fields: Any) -> Trace:
    """A request that went well, but for what is said."""
    reply = Answered(message=Said(role="assistant", content=answer), finish_reason="stop")
    made = Generation(
        ask="sha256:" + "ab" * 32,
        pieces=(Piece(1.0, answer or ""),),
        finish_reason="stop",
        usage=Usage(output_tokens=2),
        served=ServedBy(endpoint="up", model="tiny-1"),
    )
    usual: dict[str, Any] = {
        "trace_id": "a1" * 16,
        "request_id": "req_1",
        "time": DAY + 3600,
        "model": "tiny",
        "messages": (Said(role="user", content=said),),
        "response": None if answer is None else reply,
        "usage": Usage(input_tokens=10, output_tokens=2),
        "latency_ms": 250.0,
        "ttft_ms": 40.0,
        "generations": () if answer is None else (made,),
    }
    return Trace(**{**usual, **fields})


def failed(**fields: Any) -> Trace:
    """A request that failed."""
    return traced(
        answer=None, usage=None, ttft_ms=None, status=504, flags=Flags(error="provider_timeout"), **fields
    )


CALLED = Said(role="assistant", tool_calls=(Called(id="c1", name="times", arguments='{"a":6}'),))

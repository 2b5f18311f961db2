"""The parts of a completion, as it came or read from its text."""

from __future__ import annotations

from symposia.core.message import Part
from symposia.core.request import Completion, Request

from .parser import parse


def parts_of(completion: Completion, request: Request) -> tuple[Part, ...]:
    """Its parts; where a backend gave none, what its text says in the model's syntax."""
    return completion.parts or parse(
        completion.text,
        completion.syntax,
        tools=request.told,
        offered=request.offers_calls,
        opens_thinking=completion.opens_thinking,
    )

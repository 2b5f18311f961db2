"""Requests as they come over the wire: structs, reading, and the translation into core values."""

from .build import Aim, choice_seed, output_tokens, to_requests
from .chat import ChatRequest, Limits, SteeringAsk
from .lines import opening
from .read import read, read_as

__all__ = [
    "Aim",
    "ChatRequest",
    "Limits",
    "SteeringAsk",
    "choice_seed",
    "opening",
    "output_tokens",
    "read",
    "read_as",
    "to_requests",
]

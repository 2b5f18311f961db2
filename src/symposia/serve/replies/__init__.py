"""Replies as bytes: whole, and as the chunks of a stream."""

from .answer import FINISHES, Envelope, choice_of, fingerprint, reply, usage_of
from .chunks import PING, Chunks, failed
from .objects import (
    ChatCompletion,
    ChoiceObject,
    Finish,
    ModelList,
    ModelObject,
    ModelSteering,
    SteeringBlock,
    UsageObject,
)
from .steered import Decided, applied_of, steering_of

__all__ = [
    "ChatCompletion",
    "ChoiceObject",
    "Chunks",
    "Decided",
    "Envelope",
    "FINISHES",
    "Finish",
    "ModelList",
    "ModelObject",
    "ModelSteering",
    "PING",
    "SteeringBlock",
    "UsageObject",
    "applied_of",
    "choice_of",
    "failed",
    "fingerprint",
    "reply",
    "steering_of",
    "usage_of",
]

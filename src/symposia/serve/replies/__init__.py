"""Replies as bytes: whole, and as the chunks of a stream."""

from .answer import FINISHES, Envelope, choice_of, fingerprint, reply, usage_of
from .chunks import PING, Chunks, failed
from .objects import (
    ChatCompletion,
    ChoiceObject,
    Finish,
    Health,
    ModelList,
    ModelObject,
    ModelSteering,
    Readiness,
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
    "Health",
    "ModelList",
    "ModelObject",
    "ModelSteering",
    "PING",
    "Readiness",
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

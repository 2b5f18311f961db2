"""Requests as they come over the wire: structs, reading, and the translation into core values."""

from .chat import ChatRequest, Limits, SteeringAsk
from .read import read

__all__ = ["ChatRequest", "Limits", "SteeringAsk", "read"]

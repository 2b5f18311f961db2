"""Where tokens come from when they do not come from the local engine."""

from .endpoints import Endpoints
from .scripted import Fault, Scripted

__all__ = ["Endpoints", "Fault", "Scripted"]

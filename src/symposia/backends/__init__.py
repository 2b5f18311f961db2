"""Where tokens come from when they do not come from the local engine."""

from .scripted import Fault, Scripted

__all__ = ["Fault", "Scripted"]

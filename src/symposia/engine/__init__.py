"""Our own inference loop for local models: continuous batching, steering and captures in the same forward."""

from __future__ import annotations

from .engine import Engine
from .engines import Engines
from .gauges import Gauges
from .options import EngineOptions

__all__ = ["Engine", "EngineOptions", "Engines", "Gauges"]

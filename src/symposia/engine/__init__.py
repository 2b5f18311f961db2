"""Our own inference loop for local models: continuous batching, steering and captures in the same forward."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .doctor import doctor_checks as doctor_checks
    from .engine import Engine as Engine
    from .engines import Engines as Engines
    from .gauges import Gauges as Gauges
    from .loading import ActivationsPerturbed as ActivationsPerturbed
    from .loading import LoadWarning as LoadWarning
    from .options import EngineOptions as EngineOptions
    from .unembedding import Unembedding as Unembedding

_HOME = {
    "ActivationsPerturbed": "loading",
    "Engine": "engine",
    "EngineOptions": "options",
    "Engines": "engines",
    "Gauges": "gauges",
    "LoadWarning": "loading",
    "Unembedding": "unembedding",
    "doctor_checks": "doctor",
}
__all__ = [
    "ActivationsPerturbed",
    "Engine",
    "EngineOptions",
    "Engines",
    "Gauges",
    "LoadWarning",
    "Unembedding",
    "doctor_checks",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562): the doctor looks at kernels without loading torch."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value

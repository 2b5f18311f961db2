"""Language models that talk to each other, with the inside open: conversations, steering, captures."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "Conversation": "symposia.facade",
    "Engine": "symposia.engine",
    "Message": "symposia.core.message",
    "Participant": "symposia.core.profile",
    "Profile": "symposia.core.profile",
    "Sampling": "symposia.core.profile",
    "Scenario": "symposia.talk.scenario",
    "Scripted": "symposia.backends",
    "Transcript": "symposia.core.transcript",
    "activations": "symposia.facade",
}
__all__ = ["Conversation", "Engine", "Message", "Participant", "Profile", "Sampling", "Scenario", "Scripted", "Transcript"]
__all__ += ["__version__", "activations"]

if TYPE_CHECKING:
    from .backends import Scripted
    from .core.message import Message
    from .core.profile import Participant, Profile, Sampling
    from .core.transcript import Transcript
    from .engine import Engine
    from .facade import Conversation, activations
    from .talk.scenario import Scenario


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562): `import symposia` stays light."""
    if name not in _HOME:
        raise AttributeError(f"module 'symposia' has no attribute {name!r}; it has {', '.join(sorted(_HOME))}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted((*globals(), *_HOME))

"""Where tokens come from when they do not come from the local engine."""

from .endpoint import AnthropicEndpoint, OpenAIEndpoint
from .endpoints import Endpoints
from .journal import Journal, JournalCut, JournalLocked
from .journalled import Journalled
from .replay import Replay
from .scripted import Fault, Scripted

__all__ = [
    "AnthropicEndpoint",
    "Endpoints",
    "Fault",
    "Journal",
    "JournalCut",
    "JournalLocked",
    "Journalled",
    "OpenAIEndpoint",
    "Replay",
    "Scripted",
]

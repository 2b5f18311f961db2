"""Chat templates: lines to token ids and spans, by what the template was seen to do and never by its name."""

from __future__ import annotations

from .chat import ChatTemplate
from .facts import TemplateFacts
from .rendered import Rendered
from .tracker import Tracker

__all__ = ["ChatTemplate", "Rendered", "TemplateFacts", "Tracker"]

"""From a model's raw text to parts, piece by piece: any chunking gives what the whole gives, and no text raises.

Conversations read replies with these parsers, and the engine's probe finds a template's syntax by them: it is the one
that reads a rendered call back.
"""

from __future__ import annotations

from .jsoncalls import read_call
from .parser import SUPPORTED, Parser, parse
from .parts import parts_of
from .typed import kinds, referred

__all__ = ["SUPPORTED", "Parser", "kinds", "parse", "parts_of", "read_call", "referred"]

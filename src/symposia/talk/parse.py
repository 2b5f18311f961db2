"""From a model's raw text to parts: the parsers of every call syntax, where conversations look for them."""

from __future__ import annotations

from symposia.core.parse import SUPPORTED, Parser, parse, read_call

__all__ = ["SUPPORTED", "Parser", "parse", "read_call"]

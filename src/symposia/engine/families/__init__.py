"""Small random models, tokenizers and chat templates that behave like the public families. For tests, yours too.

Nothing is downloaded and nothing is copied: configurations are tiny, weights are seeded noise, tokenizers are trained
in-process on a few sentences, and the templates are our own, written to behave as the public ones do.
"""

from __future__ import annotations

from .models import FAMILIES, Family, family
from .templates import TEMPLATES, chat_tokenizer, template_source
from .tokenizers import Scheme, tiny_tokenizer

__all__ = [
    "FAMILIES",
    "Family",
    "TEMPLATES",
    "Scheme",
    "chat_tokenizer",
    "family",
    "template_source",
    "tiny_tokenizer",
]

"""The base of what a caller sends: unknown fields are errors, values are plain and frozen."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """Base of every struct of a request."""


Name = Annotated[str, Meta(pattern=r"^[^\s<|\\/>]{1,64}$(?!\n)")]
"""An author: no blanks, and nothing that templates mark with."""

NonEmpty = Annotated[str, Meta(min_length=1)]
Short = Annotated[str, Meta(min_length=1, max_length=256)]

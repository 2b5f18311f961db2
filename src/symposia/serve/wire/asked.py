"""The base of what a caller sends: unknown fields are errors, values are plain and frozen."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """Base of every struct of a request."""


_BLANK = r"\u0000-\u0020\u007f-\u00a0\u2000-\u200f\u2028-\u202f\u3000"  # \s is not the same in every language
Name = Annotated[str, Meta(pattern=rf"^[^{_BLANK}<|\\/>]{{1,64}}$(?!\n)")]
"""An author: no blanks, and nothing that templates mark with."""

NonEmpty = Annotated[str, Meta(min_length=1)]
Short = Annotated[str, Meta(min_length=1, max_length=256)]

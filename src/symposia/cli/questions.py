"""Questions to an activation store as text: `reader=alice,label=warm,author=bob,phase=answer`.

What names the forward comes first into the question; everything else is a selection of its tokens. Forwards are joined
by commas only: `|` and ` - ` are for tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from symposia.core.errors import InvalidInput
from symposia.core.selector import selection

if TYPE_CHECKING:
    from symposia.interp.acts.query import ActivationQuery

_FORWARD = ("reader", "run", "conversation", "branch", "model", "name", "label", "at")
_FLAGS = {"steered": True, "clean": False}


def question(text: str) -> ActivationQuery:
    """The question. `InvalidInput` says which part is not understood; empty text asks for everything."""
    from symposia.interp.acts.query import ActivationQuery

    asked: dict[str, Any] = {}
    tokens: list[str] = []
    for part in text.split(",") if text.strip() else ():
        name, equals, value = part.strip().partition("=")
        if name in _FORWARD and equals:
            if not value or name in asked:
                raise InvalidInput(f"question {text!r}: expected one {name}=VALUE; got {part.strip()!r}")
            asked[name] = value
        elif name in _FLAGS and not equals:
            asked["steered"] = _FLAGS[name]
        else:
            tokens.append(part)
    where = selection(",".join(tokens)) if tokens else None
    try:
        return msgspec.convert({**asked, "where": where}, ActivationQuery)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"question {text!r}: {error}") from error

"""What a route of the server is, as data."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

import msgspec

Method = Literal["GET", "POST", "PUT", "DELETE"]
Scope = Literal["inference", "steering-inline", "metrics", "admin-read", "admin", "kill"]
_NAMED = re.compile(r"{(\w+)}")


class Route(NamedTuple):
    """One method of one path; `{name}` stands for a piece of it.

    `scopes`: any of them opens it; none: no key is asked. `asks` and `answers` are the JSON bodies, None for none;
    `events` what a `text/event-stream` of it consists of; `media` the type of a body that no struct describes. `query`
    has a field for each parameter; `headers` are read. `also` are other statuses with bodies of their own. `faults`
    are codes beside those its scopes and its body bring.
    """

    method: Method
    path: str
    does: str
    scopes: tuple[Scope, ...] = ()
    asks: type[msgspec.Struct] | None = None
    answers: type[msgspec.Struct] | None = None
    events: type[msgspec.Struct] | None = None
    media: str | None = None
    query: type[msgspec.Struct] | None = None
    headers: tuple[str, ...] = ()
    status: int = 200
    also: tuple[tuple[int, type[msgspec.Struct]], ...] = ()
    faults: tuple[str, ...] = ()

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names in its path."""
        return tuple(_NAMED.findall(self.path))

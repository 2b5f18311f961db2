"""One thing an operator may do: what it is asked with, who may, and what it answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import msgspec

from symposia.serve.auth import Caller
from symposia.serve.route import Route

if TYPE_CHECKING:
    from symposia.serve.server import Server

B = TypeVar("B")
Q = TypeVar("Q")
Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Ask(Generic[B, Q]):
    """A request of an operator. `path` holds the pieces its route names, `if_match` a revision between quotes."""

    caller: Caller
    body: B
    query: Q
    path: Mapping[str, str] = field(default_factory=dict)
    if_match: str | None = None

    @property
    def actor(self) -> str:
        """Who the audit names: the key."""
        return self.caller.id


class Reply(NamedTuple):
    """A whole answer: a struct, or bytes of the media type that the headers name."""

    body: msgspec.Struct | bytes
    status: int = 200
    headers: Pairs = ()


class Operation(NamedTuple):
    """A route and the function behind it, which is given the body and query that the route names."""

    route: Route
    run: Callable[[Server, Ask[Any, Any]], Awaitable[Reply]]

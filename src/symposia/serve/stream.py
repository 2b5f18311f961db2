"""A reply as server-sent events: what came from the backend in, bytes out. Knows no connection and no clock.

The last bytes are `[DONE]` only where every choice got its finish from the backend; a reply that fails ends without.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from symposia.core.degenerate import LIVE, WINDOW, Degenerate, period
from symposia.core.parse import Parser
from symposia.core.request import Delta, Request, Syntax

from .generation import Piece
from .replies import ChoiceObject, Chunks, Envelope, SteeringBlock, UsageObject

HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)
_EVERY = 16
"""Units between two looks for a loop."""


class Lane:
    """One choice on its way: what of it may be shown, and whether it goes round in circles."""

    def __init__(self, request: Request, syntax: Syntax, *, detects: bool) -> None:
        self._request, self._syntax = request, syntax
        self._parser: Parser | None = None
        self._units: list[Hashable] | None = [] if detects else None
        self._looked = 0

    def read(self, item: Delta) -> Sequence[Delta]:
        """The pieces that may be shown now. What a backend has told apart already is passed on."""
        if item.phase != "answer" and not item.token_ids:
            return (item,)
        if self._parser is None:
            begins = item.text.lstrip()
            opened = bool(item.token_ids) and item.phase == "reasoning" and not begins.startswith("<")
            offered = self._request.offers_calls
            self._parser = Parser(
                self._syntax, tools=self._request.told, offered=offered, opens_thinking=opened
            )
        return self._parser.feed(item.text)

    def rest(self) -> Sequence[Delta]:
        """What was held back until the end."""
        return () if self._parser is None else self._parser.close()[0]

    def loops(self, item: Delta) -> Degenerate | None:
        """Whether what came so far is a loop; looked at now and then."""
        if self._units is None:
            return None
        self._units += item.token_ids or item.text.split()
        if len(self._units) - self._looked < _EVERY:
            return None
        self._looked = len(self._units)
        return "loop" if period(self._units[-2 * WINDOW :], LIVE) else None


class Events:
    """The events of one reply, its choices side by side. `usage`: the caller asked for the chunk of usage."""

    def __init__(self, envelope: Envelope, lanes: Sequence[Lane], *, usage: bool) -> None:
        self._lanes, self._usage = lanes, usage
        self._chunks = Chunks(envelope, len(lanes), include_usage=usage)
        self.degenerate: Degenerate | None = None

    def pieces(self, pieces: Sequence[Piece]) -> bytes:
        """What deltas are to a caller."""
        delta = self._chunks.delta
        out = []
        for index, item in pieces:
            lane = self._lanes[index]
            out += [delta(index, shown) for shown in lane.read(item) if shown.text]
            self.degenerate = self.degenerate or lane.loops(item)
        return b"".join(out)

    def ended(self, choice: ChoiceObject) -> bytes:
        """A choice that ended while others go on."""
        return self._tail(choice) + self._chunks.finish(choice.index, choice.finish_reason)

    def ending(self, choices: Sequence[ChoiceObject], usage: UsageObject, steering: SteeringBlock) -> bytes:
        """The last choices, what it all came to, and `[DONE]`."""
        last = len(choices) - 1
        out = []
        for place, choice in enumerate(choices):
            block = steering if place == last and not self._usage else None
            out += [self._tail(choice), self._chunks.finish(choice.index, choice.finish_reason, block)]
        if self._usage:
            out.append(self._chunks.usage(usage, steering))
        out.append(self._chunks.done())
        return b"".join(out)

    def _tail(self, choice: ChoiceObject) -> bytes:
        rest = [self._chunks.delta(choice.index, d) for d in self._lanes[choice.index].rest() if d.text]
        return b"".join(rest) + self._chunks.tail(choice)


def lanes_of(requests: Sequence[Request], syntax: Syntax, *, detects: bool) -> tuple[Lane, ...]:
    """A lane for every choice."""
    return tuple(Lane(request, syntax, detects=detects) for request in requests)

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

    def __init__(self, request: Request, syntax: Syntax) -> None:
        self._request, self._syntax = request, syntax
        self._parser: Parser | None = None
        self._settled = False
        self._units: list[Hashable] = []
        self._looked = 0

    def read(self, item: Delta) -> Sequence[Delta]:
        """The pieces that may be shown now. What a backend has told apart already is passed on."""
        if item.refusal or (item.phase != "answer" and not item.token_ids):
            return (item,)
        if self._settled:
            return (item if item.phase == "answer" else Delta(text=item.text),)
        if self._parser is None:
            begins = item.text.lstrip()
            opened = bool(item.token_ids) and item.phase == "reasoning" and not begins.startswith("<")
            offered = self._request.offers_calls
            self._parser = Parser(
                self._syntax, tools=self._request.told, offered=offered, opens_thinking=opened
            )
        shown = self._parser.feed(item.text)
        self._settled = self._parser.settled
        return shown

    def rest(self) -> Sequence[Delta]:
        """What was held back until the end."""
        return () if self._parser is None else self._parser.close()[0]

    def loops(self, item: Delta) -> Degenerate | None:
        """Whether what came so far is a loop; looked at now and then."""
        self._units += item.token_ids or item.text.split()
        if len(self._units) - self._looked < _EVERY:
            return None
        self._looked = len(self._units)
        return "loop" if period(self._units[-2 * WINDOW :], LIVE) else None


class Events:
    """The events of one reply, its choices side by side. `usage`: the caller asked for the chunk of usage."""

    def __init__(
        self, envelope: Envelope, lanes: Sequence[Lane], *, usage: bool, detects: bool = False
    ) -> None:
        self._lanes, self._usage, self._detects = lanes, usage, detects
        self._chunks = Chunks(envelope, len(lanes), include_usage=usage)
        self.degenerate: Degenerate | None = None

    def pieces(self, pieces: Sequence[Piece]) -> bytes:
        """What deltas are to a caller."""
        delta, lanes = self._chunks.delta, self._lanes
        out = []
        for index, item in pieces:
            out += [delta(index, shown) for shown in lanes[index].read(item) if shown.text]
        if self._detects:
            self._look(pieces)
        return out[0] if len(out) == 1 else b"".join(out)

    def _look(self, pieces: Sequence[Piece]) -> None:
        for index, item in pieces:
            self.degenerate = self.degenerate or self._lanes[index].loops(item)

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


def lanes_of(requests: Sequence[Request], syntax: Syntax) -> tuple[Lane, ...]:
    """A lane for every choice."""
    return tuple(Lane(request, syntax) for request in requests)

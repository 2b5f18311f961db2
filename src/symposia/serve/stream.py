"""A reply as server-sent events: what came from the backend in, bytes out. Knows no connection and no clock.

`[DONE]` is written only where every choice got its finish from the backend; a reply that failed ends without it.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from symposia.core.degenerate import LIVE, WINDOW, Degenerate, period
from symposia.core.parse import Parser
from symposia.core.request import Delta, Request, Syntax

from .said import Said

DONE = b"data: [DONE]\n\n"
PING = b": ping\n\n"
HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)
_EVERY = 16
"""Units between two looks for a loop."""

_json = msgspec.json.Encoder().encode
_ROLE = b'"role":"assistant",'
_KEYS = {"answer": b'"content":', "reasoning": b'"reasoning_content":'}
_OPEN_END = b'},"logprobs":null,"finish_reason":null}]'


class Lane:
    """One choice on its way: what of it may be shown, and whether it goes round in circles."""

    def __init__(self, index: int, request: Request, syntax: Syntax, *, detects: bool) -> None:
        self.index, self._request, self._syntax = index, request, syntax
        self._parser: Parser | None = None
        self._units: list[object] | None = [] if detects else None
        self._looked = 0
        self.spoke = False

    def read(self, item: Delta) -> Sequence[Delta]:
        """The pieces that may be shown now."""
        if item.phase != "answer" and not item.token_ids:
            return (item,)
        if self._parser is None:
            opens = (
                bool(item.token_ids)
                and item.phase == "reasoning"
                and not item.text.lstrip().startswith("<")
            )
            self._parser = Parser(
                self._syntax,
                tools=self._request.told,
                offered=self._request.offers_calls,
                opens_thinking=opens,
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
    """The events of one reply. `head` is what all its chunks begin with: id, object, created, model, fingerprint."""

    def __init__(self, head: bytes, lanes: Sequence[Lane], *, usage: bool) -> None:
        self._lanes = lanes
        self._end = b"}\n\n" if not usage else b',"usage":null}\n\n'
        self._usage = usage
        begin = b"data: " + head + b',"choices":['
        self._begins = [begin + b'{"index":%d,"delta":{' % lane.index for lane in lanes]
        self._none = begin
        self._open_end = _OPEN_END + self._end
        self.degenerate: Degenerate | None = None

    def pieces(self, pieces: Sequence[tuple[int, Delta]]) -> bytes:
        """What deltas are to a caller. Calls are not: they go out whole."""
        out = []
        for index, item in pieces:
            lane = self._lanes[index]
            for shown in lane.read(item):
                if shown.phase != "tool" and shown.text:
                    out.append(self._piece(lane, shown))
            self.degenerate = self.degenerate or lane.loops(item)
        return b"".join(out)

    def finish(self, index: int, spoken: Said, logprobs: bytes | None, steering: bytes | None) -> bytes:
        """The end of a choice: what was held back, its calls, its logprobs, its finish. `steering` on the last one."""
        lane = self._lanes[index]
        out = [self._piece(lane, shown) for shown in lane.rest() if shown.phase != "tool" and shown.text]
        if not lane.spoke:
            out.append(self._chunk(lane, b'"content":""'))
        out += [self._chunk(lane, _call(place, call)) for place, call in enumerate(spoken.calls)]
        if logprobs is not None:
            out.append(self._begins[index] + b'},"logprobs":' + logprobs + b',"finish_reason":null}]' + self._end)
        block = b"" if steering is None else b',"steering":' + steering
        last = b'},"logprobs":null,"finish_reason":' + _json(spoken.finish) + b"}]" + block + self._end
        out.append(self._begins[index] + last)
        return b"".join(out)

    def usage(self, usage: bytes, steering: bytes) -> bytes:
        """The last chunk, for who asked for it."""
        return self._none + b'],"usage":' + usage + b',"steering":' + steering + b"}\n\n"

    def _piece(self, lane: Lane, shown: Delta) -> bytes:
        if lane.spoke:
            return self._begins[lane.index] + _KEYS[shown.phase] + _json(shown.text) + self._open_end
        return self._chunk(lane, _KEYS[shown.phase] + _json(shown.text))

    def _chunk(self, lane: Lane, delta: bytes) -> bytes:
        role = b"" if lane.spoke else _ROLE
        lane.spoke = True
        return self._begins[lane.index] + role + delta + self._open_end


def failed(body: bytes) -> bytes:
    """The event a reply ends with that failed after its headers; nothing follows it."""
    return b"data: " + body + b"\n\n"


def lanes_of(requests: Sequence[Request], syntax: Syntax, *, detects: bool) -> list[Lane]:
    """A lane for every choice."""
    return [Lane(i, request, syntax, detects=detects) for i, request in enumerate(requests)]


def _call(place: int, call: tuple[str, str, str]) -> bytes:
    id_, name, arguments = call
    one = {
        "index": place,
        "id": id_,
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }
    return b'"tool_calls":' + _json([one])



"""The events of a stream as bytes. What every chunk of a choice shares is written once, a delta adds its text.

Nothing here decides what is sent or when; it only cannot say `[DONE]` before every choice has its finish reason.
"""

from __future__ import annotations

import msgspec

from symposia.core.request import Delta
from symposia.serve.faults import Fault, Served

from .answer import Envelope
from .chunkforms import CallDelta
from .objects import CallObject, ChoiceLogprobs, ChoiceObject, Finish, SteeringBlock, UsageObject

PING = b": ping\n\n"
"""A comment that keeps connections open through silence."""

_DONE = b"data: [DONE]\n\n"
_encode = msgspec.json.Encoder().encode
_OPENED = b'"role":"assistant",'


class Chunks:
    """The chunks of one reply of `choices` choices."""

    def __init__(self, envelope: Envelope, choices: int = 1, *, include_usage: bool = False) -> None:
        shared = _encode(
            {
                "id": envelope.id,
                "object": "chat.completion.chunk",
                "created": envelope.created,
                "model": envelope.model,
                "system_fingerprint": envelope.fingerprint,
            }
        )
        self._head = b"data: " + shared[:-1] + b',"choices":['
        self._begin = [self._head + b'{"index":%d,"delta":{' % index for index in range(choices)]
        self._begun = [False] * choices
        self._open = set(range(choices))
        usage = b',"usage":null' if include_usage else b""
        self._close = usage + b"}\n\n"
        self._rest = b'},"logprobs":null,"finish_reason":null}]' + self._close

    @property
    def complete(self) -> bool:
        """Whether every choice has its finish reason."""
        return not self._open

    def delta(self, index: int, delta: Delta) -> bytes:
        """One piece of text. Pieces of calls make nothing: calls go out whole."""
        match delta.phase:
            case "answer":
                field = b'"refusal":' if delta.refusal else b'"content":'
                return self._begins(index) + field + _encode(delta.text) + self._rest
            case "reasoning":
                return self._begins(index) + b'"reasoning_content":' + _encode(delta.text) + self._rest
            case "tool":
                return b""

    def tail(self, choice: ChoiceObject) -> bytes:
        """What only the whole completion knows: its calls, one a chunk, then its log-probabilities."""
        message, index = choice.message, choice.index
        events = [self._call(index, at, call) for at, call in enumerate(message.tool_calls or ())]
        if choice.logprobs is not None:
            events.append(self._scored(index, choice.logprobs))
        return b"".join(events)

    def finish(self, index: int, reason: Finish, steering: SteeringBlock | None = None) -> bytes:
        """The last chunk of a choice."""
        self._open.discard(index)
        extra = b"" if steering is None else b',"steering":' + _encode(steering)
        ended = b'},"logprobs":null,"finish_reason":"' + reason.encode() + b'"}]'
        return self._begins(index).removesuffix(b",") + ended + extra + self._close

    def usage(self, usage: UsageObject, steering: SteeringBlock) -> bytes:
        """The one chunk without choices, for those who asked for usage."""
        block = b',"steering":' + _encode(steering)
        return self._head + b'],"usage":' + _encode(usage) + block + b"}\n\n"

    def done(self) -> bytes:
        """The end of a complete stream. `RuntimeError` where a choice has no finish reason."""
        if self._open:
            raise RuntimeError(
                f"choices {sorted(self._open)} have no finish reason: the stream is not complete"
            )
        return _DONE

    def _begins(self, index: int) -> bytes:
        if self._begun[index]:
            return self._begin[index]
        self._begun[index] = True
        return self._begin[index] + _OPENED

    def _call(self, index: int, at: int, call: CallObject) -> bytes:
        sent = CallDelta(index=at, id=call.id, function=call.function)
        return self._begins(index) + b'"tool_calls":[' + _encode(sent) + b"]" + self._rest

    def _scored(self, index: int, logprobs: ChoiceLogprobs) -> bytes:
        ended = b'},"logprobs":' + _encode(logprobs) + b',"finish_reason":null}]'
        return self._begins(index).removesuffix(b",") + ended + self._close


def failed(fault: Fault, request_id: str, served: Served | None = None) -> bytes:
    """The last event of a stream that failed; no `[DONE]` follows it."""
    return b"data: " + fault.body(request_id, served) + b"\n\n"

"""A messages stream, folded into deltas and a completion. A stop reason is never invented."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec
from msgspec.structs import replace

from symposia.backends.called import CallPieces
from symposia.backends.causes import lost
from symposia.backends.cut import Cut
from symposia.backends.estimate import estimate, tokens_of
from symposia.backends.toolnames import ToolNames
from symposia.backends.wire import ServerError
from symposia.core.message import FinishReason, Part, Reasoning, Text, ToolCall
from symposia.core.request import Completion, Delta, Request, ServedBy
from symposia.core.usage import Usage

from .blocks import Kept
from .events import Block, Change, Event, Used, decode

_STOPS: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "refusal",
}


@dataclass(slots=True)
class _Block:
    """A content block being received."""

    type: str
    text: list[str] = field(default_factory=list)
    signature: str = ""
    data: str = ""
    call: CallPieces = field(default_factory=CallPieces)


class MessagesReply:
    """One reply being received."""

    def __init__(self, request: Request, served: ServedBy) -> None:
        self._request, self._served = request, served
        self._names = ToolNames.of(request)
        self._cut = Cut(request.stop_after)
        self._blocks: dict[int, _Block] = {}
        self._stop: str | None = None
        self._used = Used()
        self._billed = False
        self.ended = False
        self.error: ServerError | None = None

    def feed(self, name: str, data: bytes) -> Iterator[Delta]:
        """The deltas of one event."""
        try:
            event = decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise lost("bad_response").error(f"an event that cannot be read ({error})") from None
        match event.type or name:
            case "content_block_delta" if event.delta is not None:
                yield from self._change(self._block(event.index), event.delta)
            case "content_block_start" if event.content_block is not None:
                yield from self._begin(event.index, event.content_block)
            case "message_start" | "message_delta":
                self._see(event)
            case "message_stop":
                self.ended = True
            case "error":
                self.error, self.ended = event.error or ServerError(), True
        self.ended = self.ended or self._cut.met

    @property
    def finished(self) -> bool:
        """The server gave its reason to stop."""
        return self._stop is not None

    def _see(self, event: Event) -> None:
        for used in (event.message.usage if event.message else None, event.usage):
            if used is not None:
                said = {
                    key: value for key, value in msgspec.structs.asdict(used).items() if value is not None
                }
                self._used = replace(self._used, **said)
        if event.type == "message_delta" and event.delta is not None:
            self._stop = event.delta.stop_reason or self._stop
            self._billed = self._billed or (event.usage is not None and event.usage.output_tokens is not None)

    def _block(self, index: int) -> _Block:
        return self._blocks.setdefault(index, _Block("text"))

    def _begin(self, index: int, begun: Block) -> Iterator[Delta]:
        block = self._blocks[index] = _Block(
            begun.type, data=begun.data or "", signature=begun.signature or ""
        )
        block.call = CallPieces(id=begun.id or "", name=begun.name or "")
        if begun.input:
            block.call.arguments.append(msgspec.json.encode(begun.input).decode())
        yield from self._change(block, Change(text=begun.text, thinking=begun.thinking))

    def _change(self, block: _Block, change: Change) -> Iterator[Delta]:
        if change.text and (kept := self._cut.feed(change.text)):
            block.text.append(kept)
            yield Delta(text=kept)
        if change.thinking:
            block.text.append(change.thinking)
            yield Delta(text=change.thinking, phase="reasoning")
        if change.partial_json:
            block.call.arguments.append(change.partial_json)
            yield Delta(text=change.partial_json, phase="tool")
        block.signature += change.signature or ""

    def completion(self, request_id: str) -> Completion:
        """The whole. Raises `stream_truncated` without a stop reason, `bad_response` for one not known."""
        finish = self._finished()
        blocks = [block for _, block in sorted(self._blocks.items())]
        text = "".join(piece for block in blocks if block.type == "text" for piece in block.text)
        thoughts = tuple(part for block in blocks if (part := _thought(block)))
        calls = () if self._cut.met else self._calls(blocks)
        parts: tuple[Part, ...] = ()
        if thoughts or calls:
            parts = (*thoughts, *((Text(text),) if text else ()), *calls)
        return Completion(
            text=text,
            parts=parts,
            finish_reason=finish,
            usage=self._usage(blocks),
            served=replace(self._served, request_id=request_id),
        )

    def _calls(self, blocks: list[_Block]) -> tuple[ToolCall, ...]:
        asked = (block.call for block in blocks if block.type == "tool_use")
        return tuple(call.whole(n, self._names) for n, call in enumerate(asked))

    def _finished(self) -> FinishReason:
        if self._cut.met:
            return "stop_string"
        if self._stop is None:
            raise lost("stream_truncated").error("the stream ended without a stop_reason")
        finish = _STOPS.get(self._stop)
        if finish is None:
            raise lost("bad_response").error(
                f"stop_reason {self._stop!r}: expected one of {', '.join(_STOPS)}"
            )
        return finish

    def _usage(self, blocks: list[_Block]) -> Usage:
        used = self._used
        read, written = used.cache_read_input_tokens or 0, used.cache_creation_input_tokens or 0
        asked, output = used.input_tokens, used.output_tokens
        whole = self._billed and asked is not None and output is not None
        if not whole:
            said = "".join(p for b in blocks for p in (*b.text, *b.call.arguments))
            output = min(tokens_of(said), self._request.sampling.max_tokens)
        details = used.output_tokens_details
        return Usage(
            input_tokens=(asked or 0) + read + written or estimate(self._request).tokens,
            output_tokens=output or 0,
            cached_tokens=read,
            cache_write_tokens=written,
            reasoning_tokens=(details.thinking_tokens if details else 0) or 0,
            estimated=not whole,
        )


def _thought(block: _Block) -> Reasoning | None:
    if block.type == "redacted_thinking":
        kept = Kept(type="redacted_thinking", data=block.data)
    elif block.type == "thinking":
        kept = Kept(signature=block.signature)
    else:
        return None
    return Reasoning("".join(block.text), msgspec.json.encode(kept).decode())

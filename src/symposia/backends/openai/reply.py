"""A chat-completions reply, streamed or whole, folded into deltas and a completion. A finish is never invented.

Pure but for its own state: bytes of events in, values out; whatever is wrong with them raises, classified.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from symposia.backends.called import CallPieces
from symposia.backends.causes import lost
from symposia.backends.cut import Cut
from symposia.backends.estimate import estimate, tokens_of
from symposia.backends.toolnames import ToolNames
from symposia.backends.wire import ServerError
from symposia.core.message import FinishReason, Part, Text, ToolCall
from symposia.core.parse import parse
from symposia.core.request import Completion, Delta, Request, ServedBy
from symposia.core.usage import Usage

from .chunks import CallPiece, Choice, Chunk, Read, Said, Used, decode
from .logprobs import Scored
from .thoughts import Thoughts

DONE = b"[DONE]"
_FINISHES: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


class ChatReply:
    """One reply being received."""

    def __init__(
        self, request: Request, served: ServedBy, *, kept_there: bool = False, read: Read = decode
    ) -> None:
        self._request, self._served, self._read = request, served, read
        self._cut = Cut(() if kept_there else request.stop_after)
        self._text: list[str] = []
        self._refused = False
        self._thoughts, self._scored = Thoughts(), Scored()
        self._calls: dict[int, CallPieces] = {}
        self._finish: str | None = None
        self._stop_string = False
        self._used: Used | None = None
        self._prompt_ids: list[int] = []
        self._ids: list[int] = []
        self.ended = False
        self.error: ServerError | None = None

    def feed(self, name: str, data: bytes) -> Sequence[Delta]:
        """The deltas of one event, or of a whole reply. The protocol names no events: of others' nothing is made."""
        if data == DONE:
            self.ended = True
            return ()
        try:
            chunk = self._read(data)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            if name:
                return ()
            raise lost("bad_response").error(f"a chunk that cannot be read ({error})") from None
        choice = chunk.choices[0] if chunk.choices else None
        self._see(chunk, choice)
        return () if choice is None else self._choose(choice)

    def _see(self, chunk: Chunk, choice: Choice | None) -> None:
        said = chunk.error or (None if choice is None else choice.error)
        if said:
            self.error = ServerError(message=said) if isinstance(said, str) else said
            self.ended = True
            return
        if chunk.usage is not None:
            self._used = chunk.usage
        if chunk.prompt_token_ids:
            self._prompt_ids = chunk.prompt_token_ids
        if not self._served.model and chunk.model:
            self._served = replace(self._served, model=chunk.model)

    def _choose(self, choice: Choice) -> list[Delta]:
        if choice.token_ids:
            self._ids += choice.token_ids
        if choice.logprobs is not None and choice.logprobs.content:
            self._scored.feed(choice.logprobs.content)
        said = choice.message if choice.delta is None else choice.delta
        deltas = [] if said is None else self._hear(said, whole=choice.delta is None)
        if choice.finish_reason:
            self._finish = choice.finish_reason
            self._stop_string = isinstance(choice.stop_reason or choice.matched_stop, str)
        return deltas

    def _hear(self, said: Said, *, whole: bool) -> list[Delta]:
        deltas = []
        if said.reasoning or said.reasoning_content or said.reasoning_details:
            thought = self._thoughts.feed(said.reasoning, said.reasoning_content, said.reasoning_details)
            if thought:
                deltas.append(Delta(text=thought, phase="reasoning"))
        if said.content:
            self._say(said.content, deltas)
        if said.refusal:
            self._refused = True
            self._say(said.refusal, deltas, refusal=True)
        if said.tool_calls:
            for place, piece in enumerate(said.tool_calls):
                text = self._call(piece, place if whole else None)
                if text:
                    deltas.append(Delta(text=text, phase="tool"))
        return deltas

    def _say(self, text: str, deltas: list[Delta], *, refusal: bool = False) -> None:
        """Text of the answer, up to a string that ends it."""
        kept = self._cut.feed(text)
        if kept:
            self._text.append(kept)
            deltas.append(Delta(text=kept, refusal=refusal))
        self.ended = self.ended or self._cut.met

    def _call(self, piece: CallPiece, place: int | None) -> str:
        """What a piece adds to a call's arguments. `place`: among the calls of a whole message, which numbers none."""
        call = self._calls.setdefault(self._index(piece) if place is None else place, CallPieces())
        call.id = call.id or piece.id or ""
        if (function := piece.function) is None:
            return ""
        call.name = call.name or function.name or ""
        given = function.arguments
        text = given if isinstance(given, str) else msgspec.json.encode(given).decode() if given else ""
        if text:
            call.arguments.append(text)
        return text

    def _index(self, piece: CallPiece) -> int:
        """Which call a piece is of; servers that number none begin each with an id of its own."""
        if piece.index is not None:
            return piece.index
        last = max(self._calls, default=-1)
        same = last >= 0 and (not piece.id or piece.id == self._calls[last].id)
        return last if same else last + 1

    @property
    def finished(self) -> bool:
        """The server gave its reason to finish."""
        return self._finish is not None

    def completion(self, request_id: str) -> Completion:
        """The whole. Raises `stream_truncated` where the server gave no finish, `bad_response` for one not known."""
        finish, served = self._finished(), self._served
        text = "".join(self._text)
        calls = self._asked() if self._calls and not self._cut.met else ()
        thought = self._thoughts.part()
        parts: tuple[Part, ...] = ()
        if thought is not None:
            parts = (thought, *((Text(text),) if text else ()), *calls)
        elif calls:
            parts = (*parse(text), *calls)
        return Completion(
            text=text,
            parts=parts,
            finish_reason=finish,
            usage=self._usage(text),
            prompt_token_ids=tuple(self._prompt_ids),
            token_ids=tuple(self._ids),
            logprobs=self._scored.columns(text, cut=self._cut.met),
            served=served if request_id == served.request_id else replace(served, request_id=request_id),
        )

    def _asked(self) -> tuple[ToolCall, ...]:
        """The calls, in the server's order."""
        names = ToolNames.of(self._request)
        return tuple([call.whole(n, names) for n, (_, call) in enumerate(sorted(self._calls.items()))])

    def _finished(self) -> FinishReason:
        if self._cut.met:
            return "stop_string"
        if self._finish is None:
            raise lost("stream_truncated").error("the stream ended without a finish_reason")
        finish = _FINISHES.get(self._finish)
        if finish is None:
            raise lost("bad_response").error(
                f"finish_reason {self._finish!r}: expected one of {', '.join(_FINISHES)}"
            )
        if finish == "stop" and self._calls:
            return "tool_calls"
        if finish == "stop" and self._refused:
            return "refusal"
        return "stop_string" if finish == "stop" and self._stop_string else finish

    def _usage(self, text: str) -> Usage:
        used = self._used
        if used is None or used.prompt_tokens is None or used.completion_tokens is None:
            return self._estimated(text)
        prompt, reply = used.prompt_tokens_details, used.completion_tokens_details
        return Usage(
            input_tokens=used.prompt_tokens,
            output_tokens=used.completion_tokens,
            cached_tokens=(prompt.cached_tokens if prompt else 0) or 0,
            cache_write_tokens=(prompt.cache_write_tokens if prompt else 0) or 0,
            reasoning_tokens=(reply.reasoning_tokens if reply else 0) or 0,
            cost_usd=used.cost,
        )

    def _estimated(self, text: str) -> Usage:
        """What was used, where the server did not say or was not waited for."""
        thought = self._thoughts.part()
        said = [text, thought.text if thought else "", *("".join(c.arguments) for c in self._calls.values())]
        output = min(tokens_of("".join(said)), self._request.sampling.max_tokens)
        return Usage(input_tokens=estimate(self._request).tokens, output_tokens=output, estimated=True)

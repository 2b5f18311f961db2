"""What the model behind the fake says: values, and what follows from a request where nothing is scripted."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from symposia.core.example import example
from symposia.core.value import Value

Dialect = Literal["openai", "anthropic"]
Finish = Literal["stop", "stop_string", "length", "tool_calls", "content_filter", "refusal"]
SENTENCE = "Grüße aus dem Prüfstand — 雪 and 🌨 fall as told."
"""What is said when nothing is scripted: characters of one to four bytes."""


class Call(Value, frozen=True, kw_only=True):
    """A tool call. `arguments` as text is sent as it is, JSON or not."""

    name: str
    arguments: dict[str, Any] | str = {}
    id: str = ""

    @property
    def json(self) -> str:
        """The arguments as they go over the wire."""
        return self.arguments if isinstance(self.arguments, str) else json.dumps(self.arguments)


class Used(Value, frozen=True, kw_only=True):
    """Tokens as the server counts them: `prompt` includes `cached`, `completion` includes `reasoning`."""

    prompt: int
    completion: int
    cached: int = 0
    reasoning: int = 0


class Reply(Value, frozen=True, kw_only=True):
    """One answer. Without `usage`, words are counted; without `finish`, it follows from the rest.

    `matched`: the stop string that ended the text.
    """

    text: str = ""
    reasoning: str = ""
    calls: tuple[Call, ...] = ()
    finish: Finish | None = None
    matched: str | None = None
    usage: Used | None = None

    @property
    def used(self) -> Used:
        """The usage, once settled."""
        return self.usage or Used(prompt=0, completion=0)


@dataclass(frozen=True, slots=True)
class Received:
    """A request that came, `number` from 0. `body` is its JSON object; header names are in lower case."""

    number: int
    method: str
    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    at_s: float = 0.0

    @property
    def dialect(self) -> Dialect:
        """Which protocol it speaks, by its path."""
        return "anthropic" if self.path.endswith("/messages") else "openai"

    @property
    def key(self) -> str:
        """The key it came with."""
        return self.headers.get("x-api-key") or self.headers.get("authorization", "").removeprefix("Bearer ")

    @property
    def model(self) -> str:
        """The model it asks for."""
        return str(self.body.get("model", ""))

    @property
    def prompt_tokens(self) -> int:
        """Words of what was asked: the fake's tokens."""
        asked = [self.body.get("messages", ()), self.body.get("system", ""), self.body.get("tools", ())]
        return len(json.dumps(asked, ensure_ascii=False).split())

    @property
    def max_tokens(self) -> int | None:
        """The most the reply may have."""
        return self.body.get("max_completion_tokens") or self.body.get("max_tokens")


Script = Callable[[Received], Reply | str] | Sequence[Reply | str]
"""By request, or in the order of answers given; a sequence that ran out begins again."""


def pieces(text: str) -> list[str]:
    """The fake's tokens: words, each with the space before it. They spell the text."""
    return re.findall(r"\s*\S+\s*\Z|\s*\S+|\s+\Z", text)


def unscripted(asked: Received) -> Reply:
    """An answer of the form asked for: a call of the forced tool, JSON of the schema, or a sentence."""
    body = asked.body
    forced = _forced(body)
    for tool in body.get("tools", ()):
        form = tool.get("function", tool)
        if forced is not None and form.get("name") == forced:
            return Reply(
                calls=(Call(name=forced, arguments=example(form.get("parameters") or form["input_schema"])),)
            )
    wanted = (body.get("response_format") or {}).get("json_schema") or (body.get("output_config") or {}).get(
        "format"
    )
    if wanted:
        return Reply(text=json.dumps(example(wanted["schema"])))
    return Reply(text=SENTENCE)


def _forced(body: Mapping[str, Any]) -> str | None:
    choice = body.get("tool_choice")
    if not isinstance(choice, dict):
        return None
    name: str | None = choice.get("name") or choice.get("function", {}).get("name")
    return name


def settled(reply: Reply, asked: Received) -> Reply:
    """The reply a server would send: ended by a stop string or the budget, with finish and usage."""
    text, finish, matched = reply.text, reply.finish, reply.matched
    stops = asked.body.get("stop") or asked.body.get("stop_sequences") or ()
    ends = [
        (text.find(stop), stop) for stop in ([stops] if isinstance(stops, str) else stops) if stop in text
    ]
    if finish is None and ends:
        at, matched = min(ends)
        text, finish = text[:at], "stop_string"
    most = asked.max_tokens
    if finish is None and most is not None and len(pieces(text)) > most:
        text, finish = "".join(pieces(text)[:most]), "length"
    calls = tuple(
        msgspec.structs.replace(call, id=call.id or f"call_{asked.number}_{n}")
        for n, call in enumerate(reply.calls)
    )
    made = len(pieces(text)) + len(pieces(reply.reasoning)) + sum(len(pieces(call.json)) for call in calls)
    return Reply(
        text=text,
        reasoning=reply.reasoning,
        calls=calls,
        finish=finish or ("tool_calls" if calls else "stop"),
        matched=matched,
        usage=reply.usage
        or Used(prompt=asked.prompt_tokens, completion=made, reasoning=len(pieces(reply.reasoning))),
    )

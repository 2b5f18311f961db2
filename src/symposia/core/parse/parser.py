"""The parser of each syntax, behind one face."""

from __future__ import annotations

from collections.abc import Sequence

from symposia.core.errors import InvalidInput
from symposia.core.message import Part, Text
from symposia.core.request import Delta, Syntax
from symposia.core.toolspec import ToolSpec

from .channels import Channels
from .closing import JSON_QUOTES, PYTHON_QUOTES
from .codecalls import read_code
from .forms import CallForm, NoCalls, Tagged
from .gathered import Gathered
from .jsoncalls import read_call, read_calls
from .marked import MarkedList, MarkedNames
from .spoken import Spoken
from .whole import WholeJson, WholeList
from .xmlcalls import read_xml

SUPPORTED: tuple[Syntax, ...] = (
    *("plain", "hermes", "prompted", "qwen_xml", "llama_json", "llama_list", "mistral", "mistral_args"),
    *("gemma_code", "phi", "harmony"),
)


class Parser:
    """Reads one reply. `feed` gives what may be shown already; `close` gives the rest and the parts.

    `tools` are those the model was told of: where values are written as text, their schemas say what they are. If none
    were `offered`, what looks like a call is text.
    """

    def __init__(
        self,
        syntax: Syntax = "plain",
        *,
        tools: Sequence[ToolSpec] = (),
        offered: bool = True,
        opens_thinking: bool = False,
    ) -> None:
        if syntax not in SUPPORTED:
            raise InvalidInput(f"call syntax {syntax!r}: expected one of {', '.join(SUPPORTED)}")
        self._gathered = Gathered()
        self._reply: Spoken | Channels
        if syntax == "harmony":
            self._reply = Channels(self._gathered, offered=offered, opens_thinking=opens_thinking)
        else:
            form = _form(syntax, tools) if offered else NoCalls()
            self._reply = Spoken(self._gathered, form, opens_thinking=opens_thinking)

    def feed(self, chunk: str) -> tuple[Delta, ...]:
        """Pieces of answer, reasoning or tool text, without the marks around them."""
        return tuple(self._reply.feed(chunk, final=False))

    @property
    def settled(self) -> bool:
        """Whether all that may still come is answer, to be shown as it is: there is nothing left to tell apart."""
        return isinstance(self._reply, Spoken) and self._reply.settled

    def close(self) -> tuple[tuple[Delta, ...], tuple[Part, ...]]:
        """The last pieces, and everything as parts: reasoning, text, calls."""
        return tuple(self._reply.feed("", final=True)), self._gathered.parts()


def parse(
    text: str,
    syntax: Syntax = "plain",
    *,
    tools: Sequence[ToolSpec] = (),
    offered: bool = True,
    opens_thinking: bool = False,
) -> tuple[Part, ...]:
    """The parts of a whole reply."""
    if not (offered and syntax != "plain") and syntax != "harmony" and not opens_thinking and "<" not in text:
        return (Text(text),) if text else ()  # most replies: neither thought nor call
    parser = Parser(syntax, tools=tools, offered=offered, opens_thinking=opens_thinking)
    parser.feed(text)
    return parser.close()[1]


def _form(syntax: Syntax, tools: Sequence[ToolSpec]) -> CallForm:
    match syntax:
        case "hermes" | "prompted":
            return Tagged("<tool_call>", "</tool_call>", JSON_QUOTES, lambda body, n: (read_call(body, n),))
        case "qwen_xml":
            return Tagged("<tool_call>", "</tool_call>", (), lambda body, n: (read_xml(body, n, tools),))
        case "phi":
            return Tagged("<|tool_call|>", "<|/tool_call|>", JSON_QUOTES, read_calls)
        case "gemma_code":
            return Tagged("```tool_code", "```", PYTHON_QUOTES, read_code)
        case "llama_json":
            return WholeJson()
        case "llama_list":
            return WholeList()
        case "mistral":
            return MarkedList()
        case "mistral_args":
            return MarkedNames()
    return NoCalls()

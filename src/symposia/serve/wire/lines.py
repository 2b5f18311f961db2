"""Messages as lines: what the model reads, with who said it and in which turn. Pure.

The order of the caller's messages is kept and nothing is put between them. System messages at the beginning stand in
one line behind the profile's own, as they do in conversations. A message's turn is its index.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from symposia.backends.openai.thoughts import Kept
from symposia.core.conform import BLANK
from symposia.core.lines import Line, Segment, markup
from symposia.core.message import Reasoning, ToolCall
from symposia.serve.faults import Fault
from symposia.talk.labels import impostor, labelled

from .depth import refuse_deep
from .messages import (
    AssistantMessage,
    ChatMessage,
    DeveloperMessage,
    SentCall,
    SystemMessage,
    ToolMessage,
    UserMessage,
    text_of,
)

SPEAKER = "assistant"
_SYSTEM = (SystemMessage, DeveloperMessage)
_KEPT = msgspec.json.encode(Kept(field="reasoning_content")).decode()
_arguments = msgspec.json.Decoder(dict[str, Any]).decode


def speaker_of(messages: Sequence[ChatMessage]) -> str:
    """Who answers: the name of the last assistant message that has one, else "assistant".

    Raises `Fault` where somebody else has that name: nobody's words may count as the model's own.
    """
    own = [m.name for m in messages if m.name is not None and isinstance(m, AssistantMessage)]
    speaker = own[-1] if own else SPEAKER
    for at, message in enumerate(messages):
        if message.name == speaker and not isinstance(message, AssistantMessage):
            raise _refused(f"messages[{at}].name", f"another name than the assistant's ({speaker})", speaker)
    return speaker


def lines_of(messages: Sequence[ChatMessage], speaker: str, system: str | None) -> tuple[Line, ...]:
    """The lines `speaker` answers to; `system` is the profile's. Raises `Fault` for arguments that are no object."""
    head = 0
    while head < len(messages) and isinstance(messages[head], _SYSTEM):
        head += 1
    lines = _framing(messages[:head], system)
    names = _authors(messages)
    forged = impostor((*names, speaker)) if names else None
    calls: dict[str, str] = {}
    for turn in range(head, len(messages)):
        match messages[turn]:
            case UserMessage() as said:
                author = said.name or "user"
                segments = [Segment(text=text_of(said.content), phase="prompt", author=author, turn=turn)]
                if forged is not None:
                    segments = labelled(author, segments, forged)
                lines.append(Line(role="user", segments=tuple(segments), kind="turn"))
            case AssistantMessage() as said:
                lines.append(_own(said, speaker, turn, calls))
            case ToolMessage() as said:
                lines.append(_result(said, turn, calls))
            case SystemMessage() | DeveloperMessage() as said:
                lines.append(Line(role="system", segments=(_instructed(said, turn),), kind="framing"))
    return tuple(lines)


def opening(messages: Sequence[ChatMessage]) -> tuple[str, str]:
    """The system text and the first user message: what stays the same over the turns of one conversation."""
    system: list[str] = []
    first: str | None = None
    for message in messages:
        if isinstance(message, _SYSTEM):
            system.append(text_of(message.content))
        elif first is None and isinstance(message, UserMessage):
            first = text_of(message.content)
    return BLANK.join(system), first or ""


def _framing(messages: Sequence[ChatMessage], system: str | None) -> list[Line]:
    """One system line, or none. An empty text of the profile's stands for none at all, the template's own included."""
    segments = [Segment(text=system, phase="prompt", author="system")] if system else []
    for turn, message in enumerate(messages):
        said = _instructed(message, turn)
        if said.text:
            segments += (markup(BLANK), said) if segments else (said,)
    if segments or system == "":
        return [Line(role="system", segments=tuple(segments), kind="framing")]
    return []


def _instructed(message: ChatMessage, turn: int) -> Segment:
    return Segment(text=text_of(message.content), phase="prompt", author=message.name or "system", turn=turn)


def _authors(messages: Sequence[ChatMessage]) -> tuple[str, ...]:
    """The names on the user's side, where there are several to tell apart."""
    named = {message.name or "user" for message in messages if isinstance(message, UserMessage)}
    return tuple(sorted(named)) if len(named) > 1 else ()


def _own(said: AssistantMessage, speaker: str, turn: int, calls: dict[str, str]) -> Line:
    author = said.name or speaker
    segments = [
        Segment(text=text, phase="answer", author=author, turn=turn)
        for text in (text_of(said.content), said.refusal)
        if text
    ] or [Segment(text="", phase="answer", author=author, turn=turn)]
    made = tuple(_call(call, turn, at) for at, call in enumerate(said.tool_calls or ()))
    calls.update((call.id, call.name) for call in made)
    return Line(
        role="assistant",
        segments=tuple(segments),
        kind="trail" if made else "turn",
        calls=made,
        reasoning=(Reasoning(said.reasoning_content, _KEPT),) if said.reasoning_content else (),
    )


def _call(call: SentCall, turn: int, at: int) -> ToolCall:
    raw, param = call.function.arguments, f"messages[{turn}].tool_calls[{at}].function.arguments"
    try:
        arguments = _arguments(raw) if raw.strip() else {}
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise _refused(param, "the text of a JSON object", f"{raw[:80]!r} ({error})") from None
    refuse_deep(arguments, param)
    return ToolCall(id=call.id, name=call.function.name, arguments=arguments)


def _result(said: ToolMessage, turn: int, calls: dict[str, str]) -> Line:
    segment = Segment(text=text_of(said.content), phase="tool", author="tool", turn=turn)
    return Line(
        role="tool",
        segments=(segment,),
        kind="trail",
        call_id=said.tool_call_id,
        call_name=calls.get(said.tool_call_id, said.name),
    )


def _refused(param: str, expected: str, got: str) -> Fault:
    return Fault("invalid_value", f"{param}: expected {expected}; got {got}", param=param)

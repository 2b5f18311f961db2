"""Short ways to say lines and requests."""

from __future__ import annotations

from functools import cache
from typing import Any

from symposia.core.lines import Line, Segment
from symposia.core.message import Reasoning, ToolCall
from symposia.core.profile import Sampling
from symposia.core.request import Request
from symposia.core.toolspec import ToolSpec
from symposia.engine.families import chat_tokenizer
from symposia.engine.template import ChatTemplate, Rendered

ADD = ToolSpec(
    name="add",
    description="adds two numbers",
    parameters={"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "string"}}},
)


@cache
def template(name: str) -> ChatTemplate:
    return ChatTemplate(chat_tokenizer(name))


def custom(source: str, like: str = "qwen2.5") -> ChatTemplate:
    """A template of one's own over a family's tokenizer."""
    return ChatTemplate(chat_tokenizer(like), source=source)


def system(text: str) -> Line:
    return Line(role="system", segments=(Segment(text=text, phase="prompt"),) if text else (), kind="framing")


def user(text: str, turn: int | None = None, author: str = "bob") -> Line:
    return Line(
        role="user", segments=(Segment(text=text, phase="prompt", author=author, turn=turn),), kind="turn"
    )


def own(text: str, turn: int | None = None, ids: tuple[int, ...] | None = None, **more: Any) -> Line:
    segment = Segment(text=text, phase="answer", author="al", turn=turn, origin="sampled", token_ids=ids)
    shown = (segment,) if text or turn is not None else ()
    return Line(role="assistant", segments=shown, kind="turn", **more)


def calling(*arguments: dict[str, Any], text: str = "", turn: int | None = None, thought: str = "") -> Line:
    calls = tuple(ToolCall(id=f"call-{i}", name="add", arguments=a) for i, a in enumerate(arguments))
    return own(text, turn, calls=calls, reasoning=(Reasoning(thought),) if thought else ())


def result(text: str, n: int = 0, turn: int | None = None) -> Line:
    segment = Segment(text=text, phase="tool", author="tool", turn=turn)
    return Line(role="tool", segments=(segment,), kind="trail", call_id=f"call-{n}", call_name="add")


def request(*lines: Line, turn: int = 99, thinking: str = "auto", **more: Any) -> Request:
    sampling = Sampling(thinking=thinking)  # type: ignore[arg-type]
    return Request(model="m", lines=lines, speaker="al", turn=turn, sampling=sampling, **more)


def render(name: str, *lines: Line, **more: Any) -> Rendered:
    return template(name).render(request(*lines, **more))

"""Which thinking modes a template reacts to, how it writes thinking, and whether the next turn extends this one."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from symposia.core.profile import Thinking

from .asked import A1, A2, THOUGHT, U1, U2, U3, VALUE, Asked, between, flags_of, in_order
from .facts import Marks
from .probe_marks import assistant_head, generation_prompt
from .probe_tools import TAG, TOOL, call

_PAIR = re.compile(r"(<(\w[\w:]*)>)\s*(</\2>)|(\[(\w+)\])\s*(\[/\5\])")
_OPEN = re.compile(r"(?:<(\w[\w:]*)>|\[(\w+)\])\s*$")
Answers = dict[str, Any]


def probe_thinking(asked: Asked, marks: Marks, *, native_tools: bool) -> tuple[Answers, Marks]:
    """Facts about thinking, and its delimiters."""
    reasoning, beside, think = _reasoning(asked, marks, native_tools)
    think = think or _delimiters(asked, marks)
    marks = msgspec.structs.replace(marks, think=think)
    modes: list[Thinking] = ["auto"]
    if _reacts(asked, "off", "on"):
        modes += ["on"] if opens(_prompt(asked, marks, "off"), think) else ["off", "on"]
    if _reacts(asked, "low", "medium") and _reacts(asked, "medium", "high"):
        modes += ["low", "medium", "high"]
    return {
        "thinking": tuple(modes),
        "opens_thinking": tuple(m for m in modes if opens(_prompt(asked, marks, m), think)),
        "prefix_stable": tuple(m for m in modes if _stable(asked, m)),
        "reasoning": reasoning,
        "reasoning_beside_text": beside,
    }, marks


def opens(text: str, think: tuple[str, str] | None) -> bool:
    """Whether the text ends inside a think block."""
    return think is not None and text.rfind(think[0]) > text.rfind(think[1])


def _prompt(asked: Asked, marks: Marks, mode: Thinking) -> str:
    return generation_prompt(asked, marks.user_end, flags_of(mode))


def _reacts(asked: Asked, one: Thinking, other: Thinking) -> bool:
    talks = ([asked.user(U1)], [asked.user(U1), asked.own(A1), asked.user(U2)])
    return any(asked.said(t, flags=flags_of(one)) != asked.said(t, flags=flags_of(other)) for t in talks)


def _stable(asked: Asked, mode: Thinking) -> bool:
    flags = flags_of(mode)
    talk = [asked.user(U1), asked.own(A1), asked.user(U2), asked.own(A2), asked.user(U3)]
    first, second, third = (asked.said(talk[:n], flags=flags) for n in (1, 3, 5))
    if first is None or second is None or third is None:
        return False
    return second.startswith(first + A1) and third.startswith(second + A2)


def _reasoning(asked: Asked, marks: Marks, native_tools: bool) -> tuple[str, bool, tuple[str, str] | None]:
    """Where earlier reasoning is shown, whether it may stand beside text and calls, and its delimiters."""
    thought = {"reasoning_content": THOUGHT, "thinking": THOUGHT}
    kept = asked.said([asked.user(U1), asked.own(A1, **thought), asked.user(U2)])
    looped = beside = None
    if native_tools:
        calls = {"tool_calls": [call()]}
        result = asked.result(A2)
        looped = asked.said([asked.user(U1), asked.own("", **thought, **calls), result], tools=(TOOL,))
        beside = asked.said([asked.user(U1), asked.own(A1, **thought, **calls), result], tools=(TOOL,))
    may_stand_beside = not native_tools or (beside is not None and beside.count(THOUGHT) == 1)
    for where, text, following in (("kept", kept, A1), ("loop", looped, VALUE)):
        if text is not None and in_order(text, U1, THOUGHT, following):
            return where, may_stand_beside, _around(asked, marks, text, following)
    return "dropped", True, None


def _around(asked: Asked, marks: Marks, text: str, following: str) -> tuple[str, str] | None:
    before = between(text, U1, THOUGHT).removeprefix(marks.user_end)
    closing = re.match(rf"\s*({TAG})", between(text, THOUGHT, following))
    for head in (generation_prompt(asked, marks.user_end), assistant_head(asked, marks.user_end)):
        if closing and before.startswith(head) and before.removeprefix(head).strip():
            return before.removeprefix(head).strip(), closing[1]
    opening = re.search(rf"({TAG})\s*$", before)
    return (opening[1], closing[1]) if opening and closing else None


def _delimiters(asked: Asked, marks: Marks) -> tuple[str, str] | None:
    """Delimiters shown only by a generation prompt: an empty block, or one left open."""
    head = assistant_head(asked, marks.user_end)
    modes: tuple[Thinking, ...] = ("auto", "off", "on")
    for mode in modes:
        prompt = _prompt(asked, marks, mode)
        beyond = bool(head) and prompt.startswith(head)  # what an answer in history does not have before it
        tail = prompt.removeprefix(head)
        if closed := _PAIR.search(tail):
            return closed[1] or closed[4], closed[3] or closed[6]
        if opened := _OPEN.search(tail):
            pair = (
                (f"<{opened[1]}>", f"</{opened[1]}>") if opened[1] else (f"[{opened[2]}]", f"[/{opened[2]}]")
            )
            if beyond or pair[1] in asked.template.source:
                return pair
    return None

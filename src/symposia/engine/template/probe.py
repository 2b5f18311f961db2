"""Ask a template what it does: small conversations of sentinels, one question each.

No model name, family or configuration field is read, and nothing here knows a template by its source: the answers are
what came out.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

from symposia.core.value import content_digest

from .asked import A1, A2, ID, NAME, RESULT, S1, S2, U1, U2, Asked, between, in_order
from .facts import TemplateFacts
from .jinja import JinjaTemplate
from .probe_marks import probe_marks
from .probe_thinking import probe_thinking
from .probe_tools import probe_tools

System = Literal["head", "first_user", "last_user", "rejected"]


@lru_cache(maxsize=64)
def probe(source: str, specials: tuple[tuple[str, str], ...]) -> TemplateFacts:
    """The facts of a template under a tokenizer's special tokens. `TemplateError` if it cannot show a user line."""
    asked = Asked(JinjaTemplate(source, dict(specials)))
    system = _system(asked)
    marks = probe_marks(asked)
    tools, marks = probe_tools(asked, marks)
    thinking, marks = probe_thinking(asked, marks, native_tools=tools["calls"] != "none")
    facts: dict[str, Any] = {
        "digest": content_digest(source.encode()),
        "content": asked.content,
        "system": system,
        "system_in_tool_loop": system != "rejected" and (tools["calls"] == "none" or _system_in_loop(asked)),
        "late_system": _late_system(asked, system),
        "two_users": asked.shows([asked.user(U1), asked.user(U2)], U1, U2),
        "two_assistants": asked.shows(
            [asked.user(U1), asked.own(A1), asked.own(A2), asked.user(U2)], U1, A1, A2, U2
        ),
        "assistant_first": asked.shows([asked.own(A1), asked.user(U1)], A1, U1),
        "trims": _trims(asked),
        **_default_system(asked, system),
        **tools,
        **thinking,
    }
    return TemplateFacts(**facts, marks=marks, dated=asked.dated)


def _system(asked: Asked) -> System:
    text = asked.said([asked.system(S1), asked.user(U1), asked.own(A1), asked.user(U2)])
    if text is None or not asked.shows([asked.system(S1), asked.user(U1)], S1, U1):
        return "rejected"
    if in_order(text, S1, U1, A1, U2):
        return "head" if between(text, S1, U1).strip() else "first_user"
    return "last_user" if in_order(text, U1, A1, S1, U2) else "rejected"


def _late_system(asked: Asked, system: System) -> Literal["keep", "rejected", "lost", "replaces", "moved"]:
    head = [] if system == "rejected" else [asked.system(S1)]
    first = () if system == "rejected" else (S1,)
    text = asked.said([*head, asked.user(U1), asked.own(A1), asked.system(S2), asked.user(U2)])
    if text is None:
        return "rejected"
    if S2 not in text:
        return "lost"
    if head and S1 not in text:
        return "replaces"
    kept = (
        in_order(text, *first, U1, A1, S2, U2)
        and asked.shows([asked.user(U1), asked.own(A1), asked.system(S2), asked.user(U2)], U1, A1, S2, U2)
        and asked.shows([*head, asked.user(U1), asked.system(S2)], *first, U1, S2)
    )
    return "keep" if kept and system != "last_user" else "moved"


def _system_in_loop(asked: Asked) -> bool:
    calls = [{"id": ID, "type": "function", "function": {"name": NAME, "arguments": {}}}]
    text = asked.said(
        [asked.system(S1), asked.user(U1), asked.own("", tool_calls=calls), asked.result(RESULT)]
    )
    return text is not None and text.count(S1) == 1


def _trims(asked: Asked) -> Literal["none", "left", "right", "both"]:
    left = right = False
    for word in (U1, A1):
        wide = [f" \n{w}\n " if w == word else w for w in (U1, A1, U2)]
        text = asked.said([asked.user(wide[0]), asked.own(wide[1]), asked.user(wide[2])])
        if text is not None:
            left = left or f" \n{word}" not in text
            right = right or f"{word}\n " not in text
    return "both" if left and right else "left" if left else "right" if right else "none"


def _default_system(asked: Asked, system: System) -> dict[str, object]:
    """The text said in place of a missing system line, and whether an empty one leaves it standing."""
    if system != "head":
        return {}
    bare, given = asked.said([asked.user(U1)]), asked.said([asked.system(S1), asked.user(U1)])
    if bare is None or given is None:
        return {}
    before, after = given[: given.index(S1)], given[given.index(S1) + len(S1) : given.index(U1)]
    head = bare[: bare.index(U1)]
    if not (head.startswith(before) and head.endswith(after) and len(head) > len(before) + len(after)):
        return {}
    default = head[len(before) : len(head) - len(after)]
    if not default.strip():
        return {}
    empty = asked.said([asked.system(""), asked.user(U1)])
    return {"default_system": default, "default_stays": empty is None or default in empty}

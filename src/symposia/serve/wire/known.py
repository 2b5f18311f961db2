"""What other servers take and this one does not: fields, parts, and bodies of another way of steering."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from symposia.serve.faults import Fault

_PARAMETER, _CONTENT = "unsupported_parameter", "unsupported_content"
SHUT: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "messages.content.type": (_CONTENT, "'text': this server reads no other parts"),
        "tools.type": (_PARAMETER, "'function': no other tools are known here"),
        "functions": (_PARAMETER, "nothing here: give `tools`"),
        "function_call": (_PARAMETER, "nothing here: give `tool_choice`"),
        "messages.function_call": (_PARAMETER, "null: give `tool_calls`"),
        "messages.audio": (_PARAMETER, "null: this server speaks text only"),
        "messages.annotations": (_PARAMETER, "null: annotations cannot be shown to the model"),
        "messages.tool_calls.type": (_PARAMETER, "'function': no other calls are known here"),
        "audio": (_PARAMETER, "nothing here: this server speaks text only"),
        "modalities": (_PARAMETER, '["text"]'),
        "prediction": (_PARAMETER, "nothing here: predicted output is not used"),
        "web_search_options": (_PARAMETER, "nothing here: nothing is searched; give `tools`"),
        "verbosity": (
            _PARAMETER,
            "nothing here: ask for the length in words, or set `max_completion_tokens`",
        ),
        "moderation": (_PARAMETER, "nothing here: nothing is moderated"),
        "prompt_cache_options": (_PARAMETER, "nothing here: equal prefixes are reused by themselves"),
        "prompt_cache_retention": (_PARAMETER, "nothing here: equal prefixes are reused by themselves"),
        "service_tier": (_PARAMETER, "'auto' or 'default'"),
        "reasoning_effort": (_PARAMETER, "'none', 'low', 'medium' or 'high'"),
        "tool_choice.type": (_PARAMETER, "'function': one named function, or 'auto', 'none', 'required'"),
        "response_format.type": (_PARAMETER, "'text', 'json_object' or 'json_schema'"),
    }
)
"""What cannot be honoured as asked, by path without indexes: the fault's code, and what can be asked instead."""

NATIVE = (
    '{"interventions": [{"op": "add", "vector": "sha256:…", "scale": 0.6, "layers": [14, 15]}], '
    '"history": "scoped", "receipts": false}'
)
_ELSEWHERE = ("steer_vector_request", "steering_vector", "steer_vector")


def part_of(path: Sequence[str | int]) -> str:
    """A path without its indexes: which part of the form it is."""
    return ".".join(step for step in path if isinstance(step, str))


def foreign(body: Mapping[str, Any]) -> Fault | None:
    """The fault for steering as other servers take it: files by path, positions by token index."""
    found = next((name for name in _ELSEWHERE if name in body), None)
    steering = body.get("steering")
    if isinstance(steering, dict) and "vectors" in steering:
        found = "steering.vectors"
    if found is None:
        return None
    return Fault(
        "invalid_steering",
        f"{found}: expected steering of the form {NATIVE}, vectors by digest; got a form that names files of the "
        "server and positions by token index",
        param=found,
    )

"""Scripted teams: every reply is looked up in cases.yaml, so that each way a debate can go is there to be tried.

    symposia debate "[false_as_text] What is 6 times 7?" --model scripted:examples/debate/script.py:reply

The word in brackets names the case. A script keeps no state: what is asked says which round it is.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from symposia.core.errors import BackendError
from symposia.core.message import ToolCall
from symposia.core.request import Completion, Request, ServedBy
from symposia.core.usage import Usage

Spoken = str | Completion | BackendError
CASES = Path(__file__).with_name("cases.yaml")
FEATURES = {"reply": {"force", "choices", "tools"}, "scores_only": {"choices"}, "words_only": set[str]()}
_ROUND = re.compile(r'\{"round":(\d+)')
_CASE = re.compile(r"\[([a-z_]+)\]")


@cache
def cases() -> dict[str, Any]:
    """The cases by name."""
    return {case["case"]: case for case in yaml.safe_load(CASES.read_text(encoding="utf-8"))}


def reply(request: Request) -> Spoken:
    """What the case says that this speaker says now."""
    text = "\n".join(line.text for line in request.lines)
    found = _CASE.search(text)
    case = cases()[found[1]] if found else {"seats": {}, "captain": []}
    seen = max((int(number) for number in _ROUND.findall(text)), default=0)
    if request.speaker == "captain":
        return _captain(case, request, seen)
    if request.choices:
        believed = case["beliefs"][request.speaker]
        return f"[[ANSWER]] {_at(believed, seen + 1)}"
    return _spoken(_at(case["seats"][request.speaker], seen + 1), request)


scores_only = words_only = reply


def _captain(case: dict[str, Any], request: Request, seen: int) -> Spoken:
    if request.choices:
        asked = case["scored"] if request.choices == ("yes", "no") else case["choose"]
        return str(_at(asked, seen))
    if request.force is None:
        return str(_at(case["direct"], seen))
    repairing = request.lines[-1].text.startswith("invalid:")
    if request.force.name == "choose":
        return _spoken(case["repaired_choice"] if repairing else case["choose"], request)
    ruled = _at(case["captain"], seen)
    if isinstance(ruled, list):
        ruled = ruled[1] if repairing else ruled[0]
    return _spoken(ruled, request)


def _at(listed: list[Any], number: int) -> Any:
    """The entry for a round; the last one stands for all later rounds."""
    return listed[min(number, len(listed)) - 1]


def _spoken(said: Any, request: Request) -> Spoken:
    """A reply as the case writes it: text, or one of `calls`, `fail`, `cut`, `filtered`, `names`."""
    if isinstance(said, str):
        return said
    if "fail" in said:
        return BackendError(f"scripted: {said['fail']}", cause=said["fail"], status=said.get("status"))
    if "names" in said:  # the label of the candidate with this answer
        answers = json.loads(request.lines[-1].text.splitlines()[-1])
        label = next(one["label"] for one in answers if one["answer"] == said["names"])
        return _completion("", [{"arguments": {"choice": label}}], request)
    if "cut" in said:
        return _completion(said["cut"], [], request, finish="length")
    if "filtered" in said:
        return _completion(said["filtered"], [], request, finish="content_filter")
    return _completion(said.get("text", ""), said.get("calls", []), request)


def _completion(
    text: str, calls: list[dict[str, Any]], request: Request, finish: str | None = None
) -> Completion:
    name = request.force.name if request.force else ""
    made = tuple(
        ToolCall(
            id=f"call_{at}",
            name=call.get("name", name),
            arguments=call.get("arguments", {}),
            error=call.get("error", ""),
        )
        for at, call in enumerate(calls)
    )
    asked = sum(len(line.text.split()) for line in request.lines)
    return Completion(
        text=text,
        parts=made,
        finish_reason=finish or ("tool_calls" if made else "stop"),  # type: ignore[arg-type]
        usage=Usage(input_tokens=asked, output_tokens=len(text.split()) + len(made)),
        served=ServedBy(endpoint="scripted", model=request.model),
    )

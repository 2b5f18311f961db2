"""What a model is asked when a vector is calibrated or evaluated: conversations that end before its reply."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from symposia.core.errors import InvalidInput
from symposia.core.lines import Line
from symposia.core.span import Role
from symposia.core.value import Value, content_digest, decode

from .contrast import lines_of

E = TypeVar("E", bound=Value)


class Prompt(Value, frozen=True, kw_only=True):
    """Lines to reply to. `options`: two replies to weigh against each other, the one that shows the trait first."""

    id: str
    lines: tuple[Line, ...]
    options: tuple[str, str] | None = None


class Question(Value, frozen=True, kw_only=True):
    """Lines to reply to by one of the `options`; `answer` is the index of the right one."""

    id: str
    lines: tuple[Line, ...]
    options: tuple[str, ...]
    answer: int


class _Message(Value, frozen=True):
    role: Role
    content: str


class _PromptEntry(Value, frozen=True):
    id: str
    messages: tuple[_Message, ...]
    options: tuple[str, str] | None = None


class _QuestionEntry(Value, frozen=True):
    id: str
    messages: tuple[_Message, ...]
    options: tuple[str, ...]
    answer: int


def load_prompts(path: Path | str) -> tuple[Prompt, ...]:
    """JSONL, one `{"id", "messages": [{"role", "content"}, ...], "options"?: [with, without]}` a line; checked."""
    entries = _entries(path, _PromptEntry)
    return check_prompts(
        [Prompt(id=entry.id, lines=_lines(entry.messages), options=entry.options) for entry in entries]
    )


def load_questions(path: Path | str) -> tuple[Question, ...]:
    """JSONL, one `{"id", "messages", "options": [...], "answer": index}` a line; checked."""
    found = []
    for entry in _entries(path, _QuestionEntry):
        if len(entry.options) < 2 or not 0 <= entry.answer < len(entry.options):
            raise InvalidInput(
                f"{path}: question {entry.id!r}: expected two options or more, and the index of one of them; "
                f"got {len(entry.options)} and {entry.answer}"
            )
        lines = _lines(entry.messages)
        found.append(Question(id=entry.id, lines=lines, options=entry.options, answer=entry.answer))
    _check_ids("question", [one.id for one in found])
    return tuple(found)


def check_prompts(prompts: Sequence[Prompt], least: int = 1) -> tuple[Prompt, ...]:
    """The prompts, if they can be replied to: enough of them, distinct ids, the last line somebody else's."""
    if len(prompts) < least:
        raise InvalidInput(f"expected at least {least} prompts; got {len(prompts)}")
    _check_ids("prompt", [one.id for one in prompts])
    for one in prompts:
        if not one.lines or one.lines[-1].role in ("assistant", "system"):
            raise InvalidInput(
                f"prompt {one.id!r}: expected messages that end with the user's; the reply is generated"
            )
    return tuple(prompts)


def prompts_digest(prompts: Sequence[Prompt]) -> str:
    """Names the prompts in their order."""
    return content_digest(msgspec.json.encode(tuple(prompts), order="sorted"))


def _entries(path: Path | str, kind: type[E]) -> list[E]:
    rows = enumerate(Path(path).read_text(encoding="utf-8").splitlines(), start=1)
    return [decode(raw, kind, f"{path}:{number}") for number, raw in rows if raw.strip()]


def _lines(messages: Sequence[_Message]) -> tuple[Line, ...]:
    return lines_of([(message.role, message.content) for message in messages])


def _check_ids(what: str, ids: Sequence[str]) -> None:
    for name, n in Counter(ids).items():
        if n > 1:
            raise InvalidInput(f"{what} id {name!r} stands {n} times; ids are unique")

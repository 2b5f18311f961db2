"""Message hooks: look at a draft before it is committed; approve, deny or edit it.

A hook that raises fails the turn; it never approves. Hooks here are values, so they are saved with a scenario; any
object with `review` works in memory.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Protocol

import msgspec
from msgspec import Meta

from symposia.core.errors import InvalidInput
from symposia.core.message import Message, Text
from symposia.core.transcript import Transcript
from symposia.core.value import Value


class Approve(Value, frozen=True):
    """Commit the draft as it is."""


class Deny(Value, frozen=True):
    """Commit a control message instead; the chain ends."""

    note: str = ""


class Edit(Value, frozen=True):
    """Go on with this message; its author stays."""

    message: Message


Decision = Approve | Deny | Edit
Ask = Callable[[str, str], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Draft:
    """A message about to be committed, where it would stand, and a way to ask a participant about it."""

    message: Message
    transcript: Transcript
    speaker: str
    ask: Ask


class Hook(Protocol):
    """Anything that reviews drafts, sync or async."""

    def review(self, draft: Draft) -> Decision | Awaitable[Decision]:
        """What to do with the draft."""
        ...


class SavedHook(Value, frozen=True, kw_only=True, tag_field="type"):
    """Base of the hooks that can be saved."""

    def review(self, draft: Draft) -> Decision | Awaitable[Decision]:
        raise NotImplementedError


class MaxWords(SavedHook, frozen=True, kw_only=True, tag="max_words"):
    """Shorten a text to its first `n` words."""

    n: Annotated[int, Meta(ge=1)]

    def review(self, draft: Draft) -> Decision:
        words = list(re.finditer(r"\S+", draft.message.text))
        if len(words) <= self.n:
            return Approve()
        return Edit(with_text(draft.message, draft.message.text[: words[self.n - 1].end()]))


class Forbid(SavedHook, frozen=True, kw_only=True, tag="forbid"):
    """Deny a text in which one of the regular expressions is found."""

    patterns: tuple[str, ...]
    ignore_case: bool = True

    def __post_init__(self) -> None:
        for pattern in self.patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise InvalidInput(f"forbid: {pattern!r} is not a regular expression ({error})") from error

    def review(self, draft: Draft) -> Decision:
        flags = re.IGNORECASE if self.ignore_case else 0
        found = next((p for p in self.patterns if re.search(p, draft.message.text, flags)), None)
        return Approve() if found is None else Deny(f"matches {found!r}")


class JudgeHook(SavedHook, frozen=True, kw_only=True, tag="judge"):
    """Ask a participant; the last line of its answer must be one of two words. Asked once more, then the turn fails."""

    participant: str
    question: str
    allow: str = "ALLOW"
    deny: str = "DENY"

    async def review(self, draft: Draft) -> Decision:
        how = f"Answer with {self.allow} or {self.deny} alone on the last line."
        asked = f"{self.question}\n\n{draft.speaker} wants to say:\n{draft.message.text}\n\n{how}"
        reply = ""
        for _ in range(2):
            reply = await draft.ask(self.participant, asked)
            last = "".join(reply.strip().splitlines()[-1:]).strip()
            if last == self.allow:
                return Approve()
            if last == self.deny:
                return Deny(f"{self.participant} answered {self.deny}")
        raise InvalidInput(
            f"{self.participant} answered {reply!r}; expected {self.allow} or {self.deny} on the last line"
        )


SavedHooks = MaxWords | Forbid | JudgeHook


def with_text(message: Message, text: str) -> Message:
    """The message with its text parts replaced by one; other parts stay."""
    kept = tuple(part for part in message.parts if not isinstance(part, Text))
    return msgspec.structs.replace(message, parts=(*kept, Text(text)))


def hook_name(hook: Hook) -> str:
    """How provenance names a hook: its tag, or its class."""
    return str(hook.__struct_config__.tag) if isinstance(hook, SavedHook) else type(hook).__name__


async def reviewed(hook: Hook, draft: Draft) -> Decision:
    """The hook's decision, awaited if need be."""
    decision = hook.review(draft)
    return await decision if inspect.isawaitable(decision) else decision

"""Hooks at work: a draft goes through each in order before it is committed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import msgspec

from symposia.core.errors import BackendError
from symposia.core.events import HookDecided
from symposia.core.message import NOBODY, Message, Signal
from symposia.core.transcript import Transcript
from symposia.core.usage import NOTHING, Usage

from .aside import Aside
from .ask import Table
from .boundary import guarded
from .hooks import Approve, Decision, Deny, Draft, Edit, Hook, hook_name, reviewed


async def review(table: Table, message: Message, transcript: Transcript) -> tuple[Message, Usage]:
    """The message to commit, edited or replaced by a control message, and what the hooks' own questions used."""
    if not table.kit.hooks:
        return message, NOTHING
    aside = Aside(table, "hook", message.as_of or 0)
    about = table.about(message.author, message.as_of or 0)
    for hook in table.kit.hooks:
        draft = Draft(message, transcript, message.author, aside.ask)
        decision = await guarded(f"hook {hook_name(hook)}", partial(reviewed, hook, draft))
        table.emit(
            HookDecided(
                about=about,
                hook=hook_name(hook),
                decision=type(decision).__name__.lower(),
                note=_note(decision),
            )
        )
        match decision:
            case Deny(note=note):
                why = f"{hook_name(hook)}: {note}" if note else hook_name(hook)
                return control(message, (Signal("denied", why),)), aside.usage
            case Edit(message=edited):
                message = _edited(message, edited, hook)
            case Approve():
                pass
    return message, aside.usage


def control(message: Message, signals: Sequence[Signal]) -> Message:
    """A message nobody sees in the place of one that was not committed; it counts as its author's turn."""
    return msgspec.structs.replace(message, parts=tuple(signals), audience=NOBODY)


def _note(decision: Decision) -> str:
    return decision.note if isinstance(decision, Deny) else ""


def _edited(message: Message, edited: Message, hook: Hook) -> Message:
    if edited.author != message.author:
        raise BackendError(f"hook {hook_name(hook)} changed the author; an edit keeps it", cause="hook_error")
    made = message.provenance
    if made is None:
        raise BackendError("a draft has no provenance to edit", cause="hook_error")
    provenance = msgspec.structs.replace(
        made,
        edited_by=(*made.edited_by, hook_name(hook)),
        original=made.original or made.completions[-1],
        token_ids=(),
    )
    return msgspec.structs.replace(message, parts=edited.parts, provenance=provenance)

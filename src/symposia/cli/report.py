"""What `symposia run` prints for programs: one JSON document, or one line a message as it comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from symposia.core.events import Event, TurnDenied, TurnTaken
from symposia.core.message import Message
from symposia.core.usage import Usage
from symposia.core.value import Count, Value, canonical
from symposia.talk.ledger import Ledger, Row

from .terminal import Terminal

if TYPE_CHECKING:
    from symposia.talk.conversation import Conversation


class Ending(Value, frozen=True, kw_only=True, tag_field="type", tag="stopped"):
    """Why it ended, and what each author and all together used. `reason` is empty if it was cut short.

    `usage` is of the messages; `ledger` of everything that was asked, by participant, purpose and model.
    """

    reason: str
    ok: bool
    usage: dict[str, Usage]
    ledger: tuple[Row, ...] = ()


class Said(Value, frozen=True, kw_only=True, tag_field="type", tag="message"):
    """A message and its index in the transcript."""

    index: Count
    message: Message


RunLine = Said | Ending
"""A line of `--format jsonl`."""


class RunReport(Value, frozen=True, kw_only=True):
    """What `--format json` prints."""

    format: Literal["symposia.run"] = "symposia.run"
    version: Literal[1] = 1
    name: str
    conversation: str
    scenario: str
    transcript: str
    stopped: Ending
    messages: tuple[Message, ...]


def report(conversation: Conversation, ledger: Ledger) -> str:
    """The whole run as one JSON document."""
    return canonical(
        RunReport(
            name=conversation.scenario.name,
            conversation=conversation.id,
            scenario=conversation.scenario.digest,
            transcript=conversation.transcript.digest,
            stopped=_ending(conversation, ledger),
            messages=conversation.transcript.messages,
        )
    ).decode()


class Lines:
    """Follows events: one JSON line a message, `stopped` at the end."""

    def __init__(self, out: Terminal, count: int) -> None:
        self._out, self._count = out, count

    def event(self, event: Event) -> None:
        """Write the messages an event commits."""
        match event:
            case TurnTaken(messages=messages):
                for message in messages:
                    self._write(message)
            case TurnDenied(message=denied, before=before):
                for message in (*before, denied):
                    self._write(message)
            case _:
                pass

    def stopped(self, conversation: Conversation, ledger: Ledger) -> None:
        """The last line."""
        self._out.piece(canonical(_ending(conversation, ledger)).decode() + "\n")

    def _write(self, message: Message) -> None:
        self._out.piece(canonical(Said(index=self._count, message=message)).decode() + "\n")
        self._count += 1


def _ending(conversation: Conversation, ledger: Ledger) -> Ending:
    stopped = conversation.stopped
    return Ending(
        reason=stopped.reason if stopped else "",
        ok=stopped.ok if stopped else False,
        usage=conversation.usage(),
        ledger=ledger.rows,
    )

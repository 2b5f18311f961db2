"""A run's folder: events as they come, the conversation after every turn, a transcript to read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

import msgspec
from msgspec import Meta

from symposia.core.clock import Clock
from symposia.core.errors import InvalidInput
from symposia.core.events import Event, GenerationFinished
from symposia.core.files import write_atomic
from symposia.core.redact import Redactor
from symposia.core.value import Count, Value, canonical, decode
from symposia.talk.ledger import Ledger
from symposia.talk.scenario import Scenario

if TYPE_CHECKING:
    from symposia.talk.conversation import Conversation

CONVERSATION, TRANSCRIPT, EVENTS = "conversation.json", "transcript.md", "events.jsonl"
ACTIVATIONS = "activations"  # a folder, where the scenario captures


class Recorded(Value, frozen=True, kw_only=True):
    """A line of `events.jsonl`: the event, its number in the file, and when it came (seconds since the epoch)."""

    number: Count
    time: Annotated[float, Meta(ge=0)]
    event: Event


class OutDir:
    """Writes what happens. Use as a context manager; the events file is closed on every exit.

    `weights` are those the run so far was made with, by model; `ledger` is what it spent.
    """

    def __init__(self, folder: Path, clock: Clock, redactor: Redactor, *, resume: bool) -> None:
        self.folder, self._clock, self._redactor = folder, clock, redactor
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / EVENTS
        self._number = complete_lines(path) if resume else 0
        self.weights: dict[str, str] = {}
        self.ledger = Ledger()
        if resume:
            self._recall(path)
        self._file = path.open("ab" if resume else "wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()

    def event(self, event: Event) -> None:
        """Append the event."""
        line = canonical(Recorded(number=self._number, time=self._clock.time(), event=event))
        self._file.write(self._redactor.json(line) + b"\n")
        self._file.flush()
        self._number += 1

    def save(self, conversation: Conversation) -> None:
        """Write the conversation and its transcript as they are now."""
        conversation.save(self.folder / CONVERSATION)
        text = conversation.transcript.render("markdown")
        write_atomic(self.folder / TRANSCRIPT, f"{text}\n".encode())

    def _recall(self, path: Path) -> None:
        """The weights that answered last, and what was spent, as the run's events tell."""
        for number, line in enumerate(path.read_bytes().splitlines() if path.exists() else (), start=1):
            recorded = decode(line, Recorded, f"{path}:{number}")
            self.ledger.event(recorded.event, recorded.time)
            if isinstance(recorded.event, GenerationFinished) and recorded.event.completion.served.weights:
                served = recorded.event.completion.served
                self.weights[served.model] = served.weights


def complete_lines(path: Path) -> int:
    """How many events a file holds; an incomplete last line, left by a crash, is cut off."""
    if not path.exists():
        return 0
    raw = path.read_bytes()
    whole = raw[: raw.rfind(b"\n") + 1]
    if len(whole) < len(raw):
        path.write_bytes(whole)
    return whole.count(b"\n")


def check_same(stored: Scenario, asked: Scenario, folder: Path, way_out: str) -> None:
    """`InvalidInput` names the fields in which the stored scenario is another one."""
    if stored.digest == asked.digest:
        return
    fields = differences(msgspec.to_builtins(stored), msgspec.to_builtins(asked))
    raise InvalidInput(f"{folder} holds another scenario; it differs in {'; '.join(fields)}. {way_out}")


def differences(stored: Any, asked: Any, path: str = "") -> list[str]:
    """The paths at which two plain values differ, with both values where they are short."""
    if isinstance(stored, dict) and isinstance(asked, dict):
        keys = list(dict.fromkeys((*stored, *asked)))
        return [
            line
            for key in keys
            for line in differences(stored.get(key), asked.get(key), f"{path}.{key}" if path else str(key))
        ]
    if isinstance(stored, list | tuple) and isinstance(asked, list | tuple) and len(stored) == len(asked):
        pairs = enumerate(zip(stored, asked, strict=True))
        return [line for i, (a, b) in pairs for line in differences(a, b, f"{path}[{i}]")]
    return [] if stored == asked else [f"{path} ({_brief(stored)} there, {_brief(asked)} here)"]


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}…"

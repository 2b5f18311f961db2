"""A scenario: a conversation before it happens, as one value."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from symposia.core.errors import InvalidInput, UnexpandedScenario
from symposia.core.message import Message, Text, said
from symposia.core.profile import Participant, check_roster
from symposia.core.transcript import Transcript
from symposia.core.value import Value, checked, content_digest, digest

from .fit import Fail, Fit
from .hooks import JudgeHook, SavedHooks
from .moderated import Moderated
from .protocols import Once, RoundRobin, Rounds
from .stop import Until
from .view import ViewRules

SavedProtocol = Once | RoundRobin | Rounds | Moderated
Row = Mapping[str, Any]


class Scenario(Value, frozen=True, kw_only=True):
    """Participants, protocol, framing and limits.

    `shared_system` becomes a message by `system`, `shared_context` one by the moderator, `prompt` one by the last
    participant (a `Message` keeps its author). `fields` declares `{{slots}}` that `expand` fills from data rows; `row`
    is the row that filled them.
    """

    name: str = ""
    participants: tuple[Participant, ...]
    protocol: SavedProtocol | None = None
    until: Until | None = None
    shared_system: str | None = None
    shared_context: str | None = None
    prompt: str | Message | None = None
    opening: tuple[Message, ...] = ()
    view: ViewRules = ViewRules()
    fit: Fit = Fail()
    hooks: tuple[SavedHooks, ...] = ()
    seed: int | None = None
    date: str | None = None
    fields: tuple[str, ...] = ()
    row: dict[str, Any] = {}

    @property
    def digest(self) -> str:
        """Names everything that decides how the conversation goes."""
        return digest(self)

    @property
    def names(self) -> tuple[str, ...]:
        """The participants' names, in order."""
        return tuple(p.name for p in self.participants)

    @property
    def conversation_id(self) -> str:
        """The id a conversation of this scenario has outside a run: 16 hex digits."""
        named = f"{self.digest}\n{self.seed or 0}".encode()
        return content_digest(named).removeprefix("sha256:")[:16]

    def rule(self) -> SavedProtocol:
        """The protocol; everybody in turn unless one is set."""
        return self.protocol or RoundRobin(speakers=self.names)

    def start(self) -> Transcript:
        """The transcript before the first turn. `UnexpandedScenario` while slots are open."""
        if self.fields:
            raise UnexpandedScenario(
                f"scenario {self.name or '(unnamed)'} has open fields {', '.join(self.fields)}; "
                "expand it with data rows first"
            )
        messages: list[Message] = []
        if self.shared_system:
            messages.append(said("system", self.shared_system))
        if self.shared_context:
            messages.append(said(self.view.moderator, self.shared_context))
        messages += self.opening
        if self.prompt is not None:
            messages.append(as_prompt(self.prompt, self.names[-1]))
        return Transcript(tuple(messages))

    def expand(self, rows: Iterable[Row], derive: Callable[[Row], Row] | None = None) -> Iterator[Scenario]:
        """One scenario a row, its slots filled; `derive` adds columns. Inserted text is never scanned again."""
        unused = [f for f in self.fields if not any(_slot((f,)).search(t) for t in _texts(self))]
        if unused:
            raise InvalidInput(
                f"declared fields that no text uses: {', '.join(unused)}; write them as {{{{{unused[0]}}}}}"
            )
        for number, row in enumerate(rows):
            columns = {**row, **derive(row)} if derive else dict(row)
            yield self._filled(columns, number)

    def _filled(self, columns: dict[str, Any], number: int) -> Scenario:
        values = {f: _cell(columns, f, number) for f in self.fields}
        pattern = _slot(self.fields)
        filled = (
            _mapped(self, lambda text: pattern.sub(lambda found: values[found[1]], text))
            if self.fields
            else self
        )
        return msgspec.structs.replace(filled, fields=(), row=columns)


def check_scenario(scenario: Scenario) -> Scenario:
    """The scenario, if its values are in range, its names agree and its stop conditions name participants."""
    scenario = checked(scenario)
    check_roster(scenario.participants, scenario.view.moderator)
    unknown = [n for n in scenario.rule().names if n not in scenario.names]
    if unknown:
        raise InvalidInput(
            f"the protocol names {unknown[0]!r}, who is not a participant; "
            f"the participants are {', '.join(scenario.names)}"
        )
    return scenario


def as_prompt(prompt: str | Message, author: str) -> Message:
    """A prompt as a message: a text is said by `author`."""
    return prompt if isinstance(prompt, Message) else said(author, prompt)


def _slot(fields: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(r"\{\{\s*(" + "|".join(map(re.escape, fields)) + r")\s*\}\}")


def _cell(row: Row, field: str, number: int) -> str:
    if field not in row:
        raise InvalidInput(
            f"row {number} has no {field!r}; its columns are {', '.join(map(str, row)) or '(none)'}"
        )
    value = row[field]
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InvalidInput(f"row {number}, {field!r}: expected text or a number; got {type(value).__name__}")
    return str(value)


def _texts(scenario: Scenario) -> list[str]:
    found: list[str] = []

    def note(text: str) -> str:
        found.append(text)
        return text

    _mapped(scenario, note)
    return found


def _mapped(scenario: Scenario, change: Callable[[str], str]) -> Scenario:
    """The scenario with every framing text, system, private text, prompt, cue and hook question changed."""
    return msgspec.structs.replace(
        scenario,
        participants=tuple(_participant(p, change) for p in scenario.participants),
        protocol=_protocol(scenario.protocol, change),
        shared_system=_maybe(scenario.shared_system, change),
        shared_context=_maybe(scenario.shared_context, change),
        prompt=_message(scenario.prompt, change)
        if isinstance(scenario.prompt, Message)
        else _maybe(scenario.prompt, change),
        opening=tuple(_message(m, change) for m in scenario.opening),
        hooks=tuple(
            msgspec.structs.replace(h, question=change(h.question)) if isinstance(h, JudgeHook) else h
            for h in scenario.hooks
        ),
    )


def _maybe(text: str | None, change: Callable[[str], str]) -> str | None:
    return None if text is None else change(text)


def _protocol(protocol: SavedProtocol | None, change: Callable[[str], str]) -> SavedProtocol | None:
    return (
        msgspec.structs.replace(protocol, ask=change(protocol.ask))
        if isinstance(protocol, Moderated)
        else protocol
    )


def _participant(participant: Participant, change: Callable[[str], str]) -> Participant:
    profile = msgspec.structs.replace(participant.profile, system=_maybe(participant.profile.system, change))
    private = tuple(_message(m, change) for m in participant.private)
    return msgspec.structs.replace(participant, profile=profile, private=private)


def _message(message: Message, change: Callable[[str], str]) -> Message:
    parts = tuple(Text(change(p.text)) if isinstance(p, Text) else p for p in message.parts)
    return msgspec.structs.replace(message, parts=parts)

"""The live side of a conversation: one run of the loop at a time, and what its events leave behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import msgspec

from symposia.core.capture import Capture
from symposia.core.errors import ConversationBusy
from symposia.core.events import Emit, Event, GenerationFinished, Tally, TurnDenied, TurnTaken
from symposia.core.intervention import Intervention
from symposia.core.message import Message
from symposia.core.profile import Participant, Profile
from symposia.core.request import About, Backend, Completion, Delta
from symposia.core.transcript import Transcript
from symposia.core.value import digest

from .caught import Caught
from .converse import converse
from .ledger import Ledger
from .protocols import TurnProtocol
from .rules import Kit, Outcome, Rules
from .stop import Allowance, Share, StopCondition

Listener = Callable[[Delta | Message], None]


class Extras(msgspec.Struct, frozen=True, kw_only=True):
    """What one call asked for beyond the scenario."""

    interventions: tuple[Intervention, ...] = ()
    captures: tuple[Capture, ...] = ()
    logprobs: int | None = None
    max_tokens: int | None = None


PLAIN = Extras()


@dataclass(frozen=True, slots=True)
class Capped:
    """A stop condition with every turn's tokens capped."""

    max_tokens: int
    until: StopCondition | None = None

    @property
    def inner(self) -> tuple[StopCondition, ...]:
        """The condition it caps."""
        return () if self.until is None else (self.until,)

    def check(self, transcript: Transcript, tally: Tally) -> str | None:
        return None if self.until is None else self.until.check(transcript, tally)

    def allowance(self, transcript: Transcript, tally: Tally, share: Share) -> Allowance:
        own = Allowance(max_tokens=self.max_tokens)
        return own if self.until is None else own & self.until.allowance(transcript, tally, share)


@dataclass(slots=True)
class Session:
    """Backend, kit, and everything generated so far, by digest. Branches get their own with `child`."""

    backend: Backend
    kit: Kit
    emit: Emit
    completions: dict[str, Completion] = field(default_factory=dict)
    profiles: dict[str, Profile] = field(default_factory=dict)
    scopes: list[Caught] = field(default_factory=list)
    ledger: Ledger = field(default_factory=Ledger)
    busy: bool = False

    def child(self) -> Session:
        """A session for a branch: what was generated is known to both, what comes is not."""
        return replace(
            self,
            completions=dict(self.completions),
            profiles=dict(self.profiles),
            scopes=[s for s in self.scopes if s.active],
            ledger=Ledger(),
            busy=False,
        )

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the conversation for one call; a second one meanwhile is `ConversationBusy`."""
        if self.busy:
            raise ConversationBusy("this conversation is already generating; wait for it, or use a branch")
        self.busy = True
        try:
            yield
        finally:
            self.busy = False

    async def play(
        self,
        protocol: TurnProtocol,
        participants: Sequence[Participant],
        transcript: Transcript,
        rules: Rules,
        *,
        extras: Extras = PLAIN,
        commit: Callable[[Sequence[Message]], None],
        listen: Listener | None = None,
    ) -> Outcome:
        """Run the loop. `commit` receives each turn's messages when they are taken; `listen` pieces and messages."""
        scopes = [s for s in self.scopes if s.active]
        captures = (*rules.captures, *extras.captures, *(c for s in scopes for c in s.captures))
        rules = replace(
            rules,
            captures=tuple(dict.fromkeys(captures)),
            logprobs=rules.logprobs if extras.logprobs is None else extras.logprobs,
            until=_capped(rules.until, extras.max_tokens),
        )
        seated = [_with_interventions(p, extras.interventions) for p in participants]
        self._know(seated)

        def emit(event: Event) -> None:
            self.ledger.event(event, self.kit.clock.monotonic())
            match event:
                case GenerationFinished(about=about, completion=completion):
                    self._keep(about, completion, scopes)
                case TurnTaken(messages=messages):
                    commit(messages)
                case TurnDenied(message=message, before=before):
                    commit((*before, message))
                case _:
                    pass
            self.emit(event)
            if listen is not None and isinstance(event, TurnTaken):
                for message in event.messages:
                    listen(message)

        kit = self.kit if listen is None else replace(self.kit, listen=lambda _, delta: listen(delta))
        return await converse(
            protocol, seated, self.backend, transcript=transcript, emit=emit, rules=rules, kit=kit
        )

    def _know(self, participants: Sequence[Participant]) -> None:
        for participant in participants:
            self.profiles.setdefault(digest(participant.profile), participant.profile)

    def _keep(self, about: About, completion: Completion, scopes: Sequence[Caught]) -> None:
        self.completions[completion.digest] = completion
        for scope in scopes:
            scope.completions.append((about, completion))


def _capped(until: StopCondition | None, max_tokens: int | None) -> StopCondition | None:
    return until if max_tokens is None else Capped(max_tokens, until)


def _with_interventions(participant: Participant, extra: tuple[Intervention, ...]) -> Participant:
    if not extra:
        return participant
    profile = participant.profile
    changed = msgspec.structs.replace(profile, interventions=(*profile.interventions, *extra))
    return msgspec.structs.replace(participant, profile=changed)


def changed_profile(profile: Profile, changes: Mapping[str, object]) -> Profile:
    """The profile with fields changed; a mapping for `sampling` changes only the fields it names."""
    fields = dict(changes)
    sampling = fields.get("sampling")
    if isinstance(sampling, Mapping):
        fields["sampling"] = msgspec.structs.replace(profile.sampling, **sampling)
    return msgspec.structs.replace(profile, **fields)

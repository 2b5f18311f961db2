"""A conversation's state: a frozen scenario, a transcript, and what looking at or changing them means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal, Self

import msgspec

from symposia.core.capture import Capture
from symposia.core.errors import InvalidInput, UnknownName
from symposia.core.lines import Line
from symposia.core.message import Audience, Message, said
from symposia.core.profile import Participant, Profile, find
from symposia.core.request import Backend, Completion
from symposia.core.transcript import Ref, Transcript
from symposia.core.usage import NOTHING, Usage

from .ask import Table
from .caught import Caught
from .converse import discard
from .ledger import Ledger
from .protocols import Stop, TurnProtocol
from .rules import BARE_DATE, Kit, Rules
from .scenario import SavedProtocol, Scenario, check_scenario
from .seeds import SeedKey
from .session import Session, changed_profile
from .tools import Tools, offered
from .view import view

Speaker = str | int | Participant


class Holder:
    """What a conversation is between turns. `protocol` and `kit` may hold live objects, which no file can store.

    Without `transcript` the scenario's own framing begins it. `tools`, for everybody or by name, are added to what the
    participants are offered and to the kit.
    """

    def __init__(
        self,
        participants: Sequence[Participant] = (),
        *,
        protocol: TurnProtocol | None = None,
        scenario: Scenario | None = None,
        transcript: Transcript | None = None,
        backend: Backend | None = None,
        kit: Kit | None = None,
        tools: Tools = (),
    ) -> None:
        scenario = scenario or Scenario(participants=tuple(participants))
        if participants and scenario.participants != tuple(participants):
            scenario = msgspec.structs.replace(scenario, participants=tuple(participants))
        seated, box = offered(scenario.participants, tools)
        if box:
            scenario = msgspec.structs.replace(scenario, participants=seated)
        self.live_protocol: TurnProtocol | None = None
        if isinstance(protocol, SavedProtocol):
            scenario = msgspec.structs.replace(scenario, protocol=protocol)
        else:
            self.live_protocol = protocol
        self.scenario = check_scenario(self._canonical(scenario))
        self.id = self.scenario.conversation_id
        self.scenario = self._dated(self.scenario)
        self.transcript = self.scenario.start() if transcript is None else transcript
        self._start = self.transcript
        kit = kit or Kit()
        kit = replace(kit, hooks=(*self.scenario.hooks, *kit.hooks), tools=kit.tools | box)
        self.session = Session(self._default_backend() if backend is None else backend, kit, discard)
        self.branch_id, self.branches, self.draws = "", 0, 0  # the empty branch is the trunk
        self.stopped: Stop | None = None

    def restore(
        self, *, conversation: str, branch: str, branches: int, draws: int, profiles: Mapping[str, Profile]
    ) -> None:
        """Take up a saved identity, so that seeds go on where they stopped."""
        self.id, self.branch_id, self.branches, self.draws = conversation, branch, branches, draws
        self.session.profiles.update(profiles)

    def _default_backend(self) -> Backend:
        raise InvalidInput("this Conversation needs backend=...; symposia.Conversation brings a default one")

    @classmethod
    def _address(cls, model: Any, name: str) -> str:
        if not isinstance(model, str):
            raise InvalidInput(f"expected a model address for {name!r}; got {type(model).__name__}")
        return model

    @staticmethod
    def _canonical(scenario: Scenario) -> Scenario:
        return scenario

    @staticmethod
    def _dated(scenario: Scenario) -> Scenario:
        return scenario

    @property
    def participants(self) -> tuple[Participant, ...]:
        """Who takes part, in order."""
        return self.scenario.participants

    @property
    def protocol(self) -> TurnProtocol:
        """Who speaks next."""
        return self.live_protocol or self.scenario.rule()

    def __getitem__(self, speaker: Speaker) -> Participant:
        return find(self.participants, self._name(speaker))

    def __len__(self) -> int:
        return len(self.transcript)

    def __str__(self) -> str:
        return str(self.transcript)

    def _repr_html_(self) -> str:
        return self.transcript.to_html()

    def view(self, speaker: Speaker) -> tuple[Line, ...]:
        """The lines that participant would see if it spoke now."""
        return view(self.transcript, self[speaker], self.scenario.names, self.scenario.view)

    def completion(self, ref: Ref) -> Completion:
        """The raw completion behind a sampled message of this process (or one saved with it)."""
        made = self.transcript[self.transcript.index(ref)].provenance
        found = self.session.completions.get(made.completions[-1]) if made and made.completions else None
        if found is None:
            raise UnknownName("completion of message", str(ref), [c[:19] for c in self.session.completions])
        return found

    @property
    def ledger(self) -> Ledger:
        """What this object asked for, samples, hooks, repeats and failures too; its branches have their own."""
        return self.session.ledger

    def usage(self) -> dict[str, Usage]:
        """What each author's messages used, and `total`. `ledger` also counts what left no message."""
        used = dict.fromkeys((*self.scenario.names, "total"), NOTHING)
        for message in self.transcript:
            if message.provenance is not None:
                used[message.author] = used.get(message.author, NOTHING) + message.provenance.usage
                used["total"] = used["total"] + message.provenance.usage
        return used

    @contextmanager
    def capture(self, *captures: Capture) -> Iterator[Caught]:
        """Read activations on every generation inside the block, samples and branches included; blocks nest."""
        if not captures:
            raise InvalidInput("capture: expected at least one Capture")
        caught = Caught(captures)
        self.session.scopes.append(caught)
        try:
            yield caught
        finally:
            caught.active = False
            self.session.scopes.remove(caught)

    def branch(self, ref: Ref | None = None, *, fresh: bool = True) -> Self:
        """A copy, cut after `ref` if given. `fresh` gives it other randomness; without, it repeats the parent's."""
        other = self._copy()
        if ref is not None:
            other.transcript = self.transcript.branch(ref)
        if fresh:
            self.branches += 1
            other.branch_id = f"{self.branch_id}.{self.branches}" if self.branch_id else str(self.branches)
            other.branches, other.draws = 0, 0
        return other

    def branch_from(self, ref: Ref) -> Self:
        """A fresh branch whose newest message is `ref`."""
        return self.branch(ref)

    def rewind(self, ref: Ref) -> None:
        """Forget everything after `ref`."""
        self._set_transcript(self.transcript.rewind(ref))

    def reset(self) -> None:
        """Back to the beginning."""
        self._set_transcript(self._start)

    def edit(
        self,
        ref: Ref,
        *,
        text: str | None = None,
        author: str | None = None,
        audience: Audience | Literal["same"] = "same",
    ) -> None:
        """Rewrite one message; later ones stay."""
        self._set_transcript(self.transcript.edit(ref, text=text, author=author, audience=audience))

    def say(self, author: str, text: str, audience: Audience = None) -> Message:
        """Put a message into the transcript."""
        unknown = [n for n in audience or () if n not in self.scenario.names]
        if unknown:
            raise UnknownName("participant in the audience", unknown[0], self.scenario.names)
        message = said(author, text, audience)
        self._set_transcript(self.transcript.append(message))
        return message

    def set(self, **changes: Any) -> Self:
        """A copy with scenario fields changed; `participants={"alice": {"sampling": {"temperature": 0.3}}}` goes deep.

        It keeps the conversation's id, hence its seeds: the two differ by the change alone.
        """
        people = changes.get("participants")
        if isinstance(people, Mapping):
            changed = {self._name(name): fields for name, fields in people.items()}
            changes["participants"] = tuple(
                msgspec.structs.replace(p, profile=_changed(p, changed[p.name])) if p.name in changed else p
                for p in self.participants
            )
        for field in changes:
            if field not in Scenario.__struct_fields__:
                raise UnknownName("scenario field", field, Scenario.__struct_fields__)
        other = self._copy()
        other.scenario = check_scenario(self._canonical(msgspec.structs.replace(self.scenario, **changes)))
        if "protocol" in changes:
            other.live_protocol = None
        return other

    def _rules(self) -> Rules:
        scenario = self.scenario
        return Rules(
            view=scenario.view,
            fit=scenario.fit,
            seed_key=self._seed_key(),
            conversation=self.id,
            branch=self.branch_id,
            date=scenario.date or BARE_DATE,
        )

    def _seed_key(self) -> SeedKey:
        key: SeedKey = (self.scenario.seed or 0, self.id)
        return (*key, self.branch_id) if self.branch_id else key

    def _table(self, profile: Profile | None = None, speaker: str = "") -> Table:
        seats = {p.name: p for p in self.participants}
        if profile is not None and speaker in seats:
            seats[speaker] = msgspec.structs.replace(seats[speaker], profile=profile)
        return Table(seats, self.session.backend, self._rules(), self.session.kit, discard)

    def _append(self, *messages: Message) -> None:
        self.transcript = self.transcript.append(*messages)

    def _set_transcript(self, transcript: Transcript) -> None:
        with self.session.alone():
            self.transcript, self.stopped = transcript, None

    def _copy(self) -> Self:
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other.session = self.session.child()
        return other

    def _name(self, speaker: Speaker) -> str:
        if isinstance(speaker, Participant):
            speaker = speaker.name
        if isinstance(speaker, int):
            if not -len(self.participants) <= speaker < len(self.participants):
                raise InvalidInput(f"speaker {speaker}: expected an index below {len(self.participants)}")
            return self.participants[speaker].name
        return find(self.participants, speaker).name


def _changed(participant: Participant, fields: Any) -> Profile:
    unknown = [f for f in fields if f not in Profile.__struct_fields__]
    if unknown:
        raise UnknownName(f"profile field of {participant.name}", unknown[0], Profile.__struct_fields__)
    return changed_profile(participant.profile, fields)

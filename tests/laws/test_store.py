"""A store behaves as a dictionary of profiles, a list of moves and a counter would, wherever it is kept."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from symposia.core.clock import VirtualClock
from symposia.core.profile import Profile
from symposia.core.served import Draining
from symposia.core.store import Conflict, Entry, Query
from symposia.store import opened
from symposia.store.refusals import AliasConflict, InUse, UnknownProfile
from tests.store.places import POSTGRES, place

MODELS = ("m", "m/n")
ALIASES = ("calm", "champion")
PROFILES = [Profile(model=model, system=text) for model in MODELS for text in ("a", "b", "c")]
STREAMS = ("one", "two")
profiles, models, aliases = st.sampled_from(PROFILES), st.sampled_from(MODELS), st.sampled_from(ALIASES)


class StoreLaw(RuleBasedStateMachine):
    """The model: `archived` by digest, `moves` by model and alias, `acts`, events by stream."""

    kind = "memory"

    def __init__(self) -> None:
        super().__init__()
        self.exits = ExitStack()
        folder = Path(self.exits.enter_context(tempfile.TemporaryDirectory()))
        self.url = self.exits.enter_context(place(self.kind, folder))
        self.storage = self.exits.enter_context(opened(self.url, clock=VirtualClock()))
        self.archived: dict[str, bool] = {}
        self.moves: dict[tuple[str, str], list[str | None]] = {}
        self.acts = 0
        self.decided = False
        self.events: list[tuple[str, str]] = []

    def teardown(self) -> None:
        self.exits.close()

    def current(self, model: str, alias: str) -> str | None:
        return [None, *self.moves.get((model, alias), [])][-1]

    def acted(self, stream: str, told: str) -> None:
        self.acts += 1
        self.events.append((stream, told))
        self.decided = True

    @rule(profile=profiles)
    def put(self, profile: Profile) -> None:
        assert self.storage.profiles.put(profile, actor="a") == profile.digest
        if self.archived.get(profile.digest, True):
            self.acted("profiles", profile.digest)
        self.archived[profile.digest] = False

    @rule(profile=profiles, model=models, alias=aliases, told=st.booleans(), away=st.booleans())
    def move(self, profile: Profile, model: str, alias: str, told: bool, away: bool) -> None:
        """`told`: the mover knows where the alias is; else it believes it is at this very profile."""
        now, to = self.current(model, alias), None if away else profile.digest
        expect = now if told else profile.digest
        unknown = to is not None and self.archived.get(to, True)
        wrong: type[Exception] | None = None
        if expect != now:
            wrong = AliasConflict
        elif unknown and to != now:
            wrong = UnknownProfile
        elif to == now or (to is not None and profile.model != model):
            wrong = ValueError
        if wrong is not None:
            with pytest.raises(wrong) as caught:
                self._move(model, alias, to, expect)
            if isinstance(caught.value, AliasConflict):
                assert caught.value.current == now
            return
        seq = self._move(model, alias, to, expect)
        self.moves.setdefault((model, alias), []).append(to)
        self.acted("aliases", f"{model} {alias} {to}")
        assert seq == self.acts

    def _move(self, model: str, alias: str, to: str | None, expect: str | None) -> int:
        return self.storage.profiles.move(model, alias, to, expect=expect, actor="a", reason="r")

    @rule(profile=profiles)
    def archive(self, profile: Profile) -> None:
        digest = profile.digest
        used = digest in {self.current(*name) for name in self.moves}
        wrong = UnknownProfile if digest not in self.archived else InUse if used else None
        if wrong is not None:
            with pytest.raises(wrong):
                self.storage.profiles.archive(digest, actor="a", reason="r")
            return
        self.storage.profiles.archive(digest, actor="a", reason="r")
        if not self.archived[digest]:
            self.acted("profiles", digest)
        self.archived[digest] = True

    @rule(stream=st.sampled_from(STREAMS), off=st.integers(-1, 1) | st.none(), many=st.integers(0, 3))
    def append(self, stream: str, off: int | None, many: int) -> None:
        """One decision, with or without an expectation that may be off by one; or several measurements."""
        entry = Entry(
            event=Draining(on=True, actor=stream, reason=str(len(self.events))), stream=stream, time=1.0
        )
        length = sum(1 for s, _ in self.events if s == stream)
        if many:
            self.storage.events.extend([entry] * many)
            self.events += [(stream, entry.event.reason)] * many
        elif off:
            with pytest.raises(Conflict) as caught:
                self.storage.events.append(entry, expect=length + off)
            assert caught.value.found == length
        else:
            record = self.storage.events.append(entry, expect=None if off is None else length)
            assert (record.seq, record.position) == (len(self.events) + 1, length + 1)
            self.events.append((stream, entry.event.reason))
            self.decided = True

    @rule(profile=profiles, digits=st.integers(12, 64))
    def resolve(self, profile: Profile, digits: int) -> None:
        selector = profile.digest[: 7 + digits]
        if self.archived.get(profile.digest, True):
            with pytest.raises(UnknownProfile):
                self.storage.profiles.resolve(profile.model, selector)
        else:
            assert self.storage.profiles.resolve(profile.model, selector) == profile.digest

    @rule()
    def reopen(self) -> None:
        """What was kept is there for the next who opens it; memory is gone with its storage."""
        if self.kind != "memory":
            self.storage.close()
            self.storage = self.exits.enter_context(opened(self.url, clock=VirtualClock()))
            self.decided = False

    @rule()
    def look(self) -> None:
        assert self.storage.changed(0.0) == self.decided
        self.decided = False

    @invariant()
    def the_same_answers(self) -> None:
        registry = self.storage.profiles
        assert {s.digest: s.archived is not None for s in registry.all()} == self.archived
        pointing = {name: self.current(*name) for name in self.moves if self.current(*name)}
        assert {(a.model, a.name): a.digest for a in registry.aliases()} == pointing
        for (model, alias), moved in self.moves.items():
            assert [m.after for m in registry.history(model, alias)] == moved
            if moved[-1] is not None:
                assert registry.resolve(model, alias) == moved[-1]
        assert [row.seq for row in registry.audit()] == list(range(1, self.acts + 1))
        read = [(r.stream, _told(r.event)) for r in self.storage.events.read(Query())]
        assert read == self.events
        assert self.storage.verify().flaws == ()


def _told(event: Any) -> str:
    match event.__struct_config__.tag:
        case "alias_moved":
            return f"{event.model} {event.alias} {event.after}"
        case "draining":
            return str(event.reason)
    return str(event.digest)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["memory", "sqlite", POSTGRES])
def test_every_store_is_the_model(kind: str) -> None:
    """Any sequence of puts, moves, archivings and appends gives the answers, refusals and log of the model."""
    law = type(f"{kind.title()}Law", (StoreLaw,), {"kind": kind})
    examples = settings().max_examples
    run_state_machine_as_test(law, settings=settings(max_examples=examples // 2, stateful_step_count=25))

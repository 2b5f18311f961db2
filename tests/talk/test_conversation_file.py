"""Conversations on disk: complete, byte-stable, and honest about what they cannot hold."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from symposia.backends import Scripted
from symposia.core.errors import NotSerialisable, UnsupportedFormat
from symposia.core.message import Message
from symposia.core.profile import Participant, Profile
from symposia.core.request import Completion, Logprobs, Request
from symposia.core.transcript import Transcript
from symposia.talk.conversation import Conversation
from symposia.talk.fit import DropOldest
from symposia.talk.hooks import Approve, Draft, MaxWords
from symposia.talk.protocols import Rounds, Step, Stop
from symposia.talk.rules import Kit
from symposia.talk.scenario import Scenario
from symposia.talk.stop import Tokens, Turns
from symposia.talk.view import ViewRules
from tests.company import babble, completion, party, person


def full() -> Conversation:
    scenario = Scenario(
        name="full",
        participants=(person("ann", system="Doubt."), person("bob", history="keep"), person("carla")),
        protocol=Rounds(speakers=("ann", "bob"), rounds=2),
        until=Turns(9) | Tokens(500),
        shared_context="Tea?",
        view=ViewRules(labels="always", reasoning="shared"),
        fit=DropOldest(keep=3),
        hooks=(MaxWords(n=4),),
        seed=11,
        date="2026-01-02",
    )
    return Conversation(scenario=scenario, backend=Scripted(babble))


def test_save_load_save_is_byte_identical_and_goes_on_the_same(tmp_path: Path) -> None:
    """Nothing is lost by a file: the second save equals the first, and both conversations continue alike."""
    talk = full()
    talk.run()
    talk.sample("carla")
    talk.branch()
    talk.save(tmp_path / "a.json")
    again = Conversation.load(tmp_path / "a.json", backend=Scripted(babble))
    again.save(tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert again.step("carla") == talk.step("carla")
    assert again.sample("ann") == talk.sample("ann")
    assert again.branch().step("bob") == talk.branch().step("bob")


def test_every_profile_digest_resolves(tmp_path: Path) -> None:
    """The profiles of all sampled messages are in the file, call-time ones included."""
    talk = Conversation(party("ann", "bob"), backend=Scripted(babble, features=frozenset({"captures"})))
    talk.run(2)
    talk.save(tmp_path / "a.json")
    stored = json.loads((tmp_path / "a.json").read_text())
    assert {m["provenance"]["profile"] for m in stored["transcript"]} == set(stored["profiles"])
    stored["profiles"].popitem()
    (tmp_path / "b.json").write_text(json.dumps(stored))
    with pytest.raises(UnsupportedFormat, match="every profile"):
        Conversation.load(tmp_path / "b.json", backend=Scripted(babble))


class Live:
    """A protocol no file can hold."""

    def next(self, transcript: Transcript) -> Step:
        return Stop("live")


class LiveHook:
    """A hook no file can hold."""

    def review(self, draft: Draft) -> Approve:
        return Approve()


def test_what_cannot_be_stored_is_named_unless_left_out(tmp_path: Path) -> None:
    """Live protocols and hooks make saving raise, naming the field; `without` leaves them out."""
    kit = Kit(hooks=(LiveHook(),))
    talk = Conversation(party("ann", "bob"), protocol=Live(), backend=Scripted(babble), kit=kit)
    with pytest.raises(NotSerialisable, match="protocol"):
        talk.save(tmp_path / "a.json")
    with pytest.raises(NotSerialisable, match="hooks"):
        talk.save(tmp_path / "a.json", without=("protocol",))
    talk.save(tmp_path / "a.json", without=("protocol", "hooks"))
    assert not list(tmp_path.glob(".*"))


def test_raw_completions_lie_beside_when_they_hold_more_than_text(tmp_path: Path) -> None:
    """Log-probabilities are saved with the conversation, and come back."""

    def reply(request: Request) -> Completion:
        return completion("a b", logprobs=Logprobs(chosen=(-0.5, -0.25)))

    talk = Conversation(party("ann", "bob"), backend=Scripted(reply, features=frozenset({"logprobs"})))
    spoken = talk.step("ann", logprobs=1)
    assert isinstance(spoken, Message)
    talk.save(tmp_path / "a.json")
    again = Conversation.load(tmp_path / "a.json", backend=Scripted(reply))
    assert again.completion(-1) == talk.completion(-1)
    assert again.completion(-1).logprobs == Logprobs(chosen=(-0.5, -0.25))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": "other"}, "got other"),
        ({"version": 2}, "version 2; a newer symposia wrote it"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_other_formats_are_refused(tmp_path: Path, change: dict[str, object], says: str) -> None:
    """A wrong format, a newer version and an unknown field say what was expected and what came."""
    talk = full()
    talk.save(tmp_path / "a.json")
    stored = json.loads((tmp_path / "a.json").read_text())
    (tmp_path / "b.json").write_text(json.dumps({**stored, **change}))
    with pytest.raises(UnsupportedFormat, match=says):
        Conversation.load(tmp_path / "b.json", backend=Scripted(babble))


def test_loading_asks_nothing(tmp_path: Path) -> None:
    """Loading runs no model, and needs no backend that works."""
    talk = full()
    talk.run()
    talk.save(tmp_path / "a.json")

    def never(request: Request) -> str:
        raise AssertionError("asked")

    again = Conversation.load(tmp_path / "a.json", backend=Scripted(never))
    assert again.transcript == talk.transcript
    assert isinstance(again["ann"], Participant)
    assert isinstance(again["ann"].profile, Profile)

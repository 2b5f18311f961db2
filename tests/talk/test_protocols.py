"""Turn protocols: pure, always moving on, and never a default name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symposia.core.errors import InvalidInput, ProtocolError
from symposia.core.message import NOBODY, Message, Scores, Signal, Text, ToolCall, said
from symposia.core.transcript import Transcript
from symposia.talk.moderated import TOOL, Moderated
from symposia.talk.protocols import Once, RoundRobin, Rounds, Stop, Turn, check_step
from symposia.testing import check_protocol
from symposia.testing.protocols import played
from tests.company import opened
from tests.dialogues import transcripts

THREE = ("ann", "bob", "carla")


def speakers(step) -> list[str]:
    assert not isinstance(step, Stop), step
    return [turn.speaker for turn in step]


def turn(author: str, text: str = "x", as_of: int = 0, audience=None) -> Message:
    return Message(author=author, parts=(Text(text),), origin="sampled", as_of=as_of, audience=audience)


def denied(author: str, as_of: int = 0) -> Message:
    return Message(author=author, parts=(Signal("denied"),), audience=NOBODY, origin="sampled", as_of=as_of)


@given(st.lists(transcripts(most=5), max_size=3))
def test_every_protocol_is_pure_and_moves_on(given_transcripts) -> None:
    """Whatever was said, each protocol is a pure function that takes notice of the turns it asked for."""
    check_protocol(Once(speaker="ann"), given_transcripts, stops_within=1)
    check_protocol(RoundRobin(speakers=THREE, turns=20), given_transcripts, stops_within=20)
    check_protocol(RoundRobin(speakers=THREE, audience="next"), given_transcripts)
    for by in ("text", "force", "choices"):
        chair = Moderated(moderator="dan", speakers=THREE, turns=2, by=by, asks=2)
        check_protocol(chair, given_transcripts, stops_within=6)


def test_simultaneous_rounds_move_on() -> None:
    """Rounds are complete after everybody spoke or was denied."""
    check_protocol(Rounds(speakers=THREE, rounds=2), [Transcript(), opened()], stops_within=6)


def test_once_is_one_turn_even_if_denied() -> None:
    """Once stops after the speaker's turn or control message, and speaks again after somebody else."""
    once = Once(speaker="ann")
    assert speakers(once.next(Transcript((said("ann", "given"),)))) == ["ann"]
    assert isinstance(once.next(Transcript((turn("ann"),))), Stop)
    assert isinstance(once.next(Transcript((denied("ann"),))), Stop)
    assert speakers(once.next(Transcript((turn("ann"), said("bob", "and?"))))) == ["ann"]


def test_round_robin_goes_on_after_the_last_listed_author() -> None:
    """Given messages count as having spoken; strangers, trails and summaries do not."""
    ring = RoundRobin(speakers=THREE, first="bob")
    assert speakers(ring.next(opened())) == ["bob"]
    assert speakers(ring.next(Transcript((said("bob", "given"),)))) == ["carla"]
    assert speakers(ring.next(Transcript((turn("carla"), said("guest", "hm"))))) == ["ann"]
    call = Message(author="bob", parts=(ToolCall(id="1", name="f"),), origin="sampled")
    assert speakers(ring.next(Transcript((turn("ann"), call)))) == ["bob"]
    assert speakers(ring.next(Transcript((turn("ann"), denied("bob"))))) == ["carla"]


def test_round_robin_counts_turns_not_messages() -> None:
    """`turns` counts turns of the speakers, denied ones too, never given ones."""
    ring = RoundRobin(speakers=("ann", "bob"), turns=2)
    assert isinstance(ring.next(Transcript((said("ann", "given"), turn("bob"), denied("ann")))), Stop)
    assert speakers(ring.next(Transcript((said("ann", "given"), turn("bob"))))) == ["ann"]


def test_piping_lets_only_the_successor_hear() -> None:
    """`audience="next"` addresses each turn to the next in the ring."""
    ring = RoundRobin(speakers=THREE, audience="next")
    (first,) = ring.next(Transcript())
    assert (first.speaker, first.audience) == ("ann", frozenset({"bob"}))
    (last,) = ring.next(Transcript((turn("bob"),)))
    assert (last.speaker, last.audience) == ("carla", frozenset({"ann"}))


@pytest.mark.parametrize("left", [("carla",), ("bob", "carla"), ("ann", "bob")])
def test_a_cut_round_is_completed_from_the_same_view(left: tuple[str, ...]) -> None:
    """The missing speakers, in order, with the `as_of` of those who spoke."""
    rounds = Rounds(speakers=THREE, rounds=3)
    begun = played(opened(), [t for t in rounds.next(opened()) if t.speaker not in left])
    assert rounds.next(begun) == tuple(Turn(speaker=s, as_of=1) for s in left)


def test_rounds_stop_after_their_number() -> None:
    """After `rounds` full rounds the protocol stops."""
    rounds, transcript = Rounds(speakers=THREE, rounds=2), opened()
    for as_of in (1, 4):
        step = rounds.next(transcript)
        assert [t.as_of for t in step] == [as_of] * 3
        transcript = played(transcript, step)
    assert rounds.next(transcript) == Stop("rounds: 2")


CHAIR = {
    by: Moderated(moderator="dan", speakers=THREE, turns=2, by=by) for by in ("text", "force", "choices")
}


def answer(by: str, name: str) -> Message:
    own = frozenset({"dan"})
    match by:
        case "text":
            return turn("dan", f"I think...\nNEXT: {name}", audience=own)
        case "force":
            call = ToolCall(id="1", name=TOOL, arguments={"name": name})
            return Message(author="dan", parts=(call,), origin="sampled", as_of=0, audience=own)
    scores = Scores(CHAIR[by].answers, tuple(0.0 if a == name else -1.0 for a in CHAIR[by].answers))
    return Message(author="dan", parts=(scores,), origin="sampled", as_of=0, audience=own)


@pytest.mark.parametrize("by", ["text", "force", "choices"])
def test_the_moderator_is_asked_in_private_and_the_chosen_speaks(by: str) -> None:
    """An ask goes to the moderator alone; its answer calls on the named speaker; after `turns` it stops."""
    chair = CHAIR[by]
    (ask,) = chair.next(opened())
    assert (ask.speaker, ask.audience, bool(ask.cue)) == ("dan", frozenset({"dan"}), True)
    assert (ask.force is not None, bool(ask.choices)) == (by == "force", by == "choices")
    chosen = opened().append(answer(by, "bob"))
    assert chair.next(chosen) == (Turn(speaker="bob"),)
    assert speakers(chair.next(chosen.append(turn("bob")))) == ["dan"]
    assert chair.next(chosen.append(turn("bob"), answer(by, "ann"), turn("ann"))) == Stop(
        "moderated: 2 turns"
    )


@pytest.mark.parametrize("by", ["text", "force", "choices"])
def test_the_moderator_may_stop(by: str) -> None:
    """`stop` ends the conversation, unless `may_stop` is off: then it is not among the answers."""
    assert CHAIR[by].next(opened().append(answer(by, "stop"))) == Stop("moderated: stop")
    strict = Moderated(moderator="dan", speakers=THREE, turns=2, by=by, may_stop=False)
    assert "stop" not in strict.answers
    if by != "choices":
        assert speakers(strict.next(opened().append(answer(by, "stop")))) == ["dan"]


UNREADABLE = {
    "text": ["", "bob", "NEXT: nobody", "NEXT: bob\nor maybe carla", "NEXT bob", "NEXT:", "I say NEXT: bob"],
    "force": [
        ToolCall(id="1", name=TOOL, arguments={"name": "nobody"}),
        ToolCall(id="1", name=TOOL, arguments={}),
        ToolCall(id="1", name=TOOL, error="bad"),
    ],
    "choices": [Scores((), ()), Scores(("ann", "bob"), (-1.0, -1.0)), Scores(("nobody",), (0.0,))],
}


@pytest.mark.parametrize(
    ("by", "said_so"), [(by, said_so) for by, all_ in UNREADABLE.items() for said_so in all_]
)
def test_what_cannot_be_read_is_asked_again_and_never_guessed(by: str, said_so: object) -> None:
    """An unreadable answer names nobody: asked again with the names, then Stop("unreadable_choice", ok=False)."""
    chair = CHAIR[by]
    part = Text(said_so) if isinstance(said_so, str) else said_so
    bad = Message(author="dan", parts=(part,), origin="sampled", as_of=0, audience=frozenset({"dan"}))
    for n in (1, 2):
        (again,) = chair.next(opened().append(*[bad] * n))
        assert again.speaker == "dan"
        assert all(name in again.cue for name in chair.answers)
    assert chair.next(opened().append(bad, bad, bad)) == Stop("unreadable_choice", ok=False)
    assert speakers(chair.next(opened().append(bad, bad, answer(by, "carla")))) == ["carla"]


@pytest.mark.parametrize("reply", ["NEXT: bob", "well\n\nnext: BOB", "NEXT: bob\n\n", "x\n  NEXT:  bob  "])
def test_the_last_line_is_read_stripped_and_casefolded(reply: str) -> None:
    """Case and white space around the answer do not matter."""
    assert CHAIR["text"].next(opened().append(turn("dan", reply))) == (Turn(speaker="bob"),)


@pytest.mark.parametrize(
    ("step", "says"),
    [
        ((), "no turns"),
        ((Turn(speaker="zoe"),), "zoe"),
        ((Turn(speaker="ann"), Turn(speaker="ann")), "twice"),
        ((Turn(speaker="moderator"),), "moderator"),
    ],
)
def test_a_step_the_loop_cannot_honour_is_refused(step, says: str) -> None:
    """No turns, a stranger, the same speaker twice: ProtocolError says which."""
    with pytest.raises(ProtocolError, match=says):
        check_step(step, THREE, "moderator")


def test_the_moderator_may_say_scripted_lines() -> None:
    """A scripted line needs no model, so moderator and system may say one."""
    step = (Turn(speaker="moderator", say="Welcome."),)
    assert check_step(step, THREE, "moderator") == step


@pytest.mark.parametrize(
    "make",
    [
        lambda: RoundRobin(speakers=("ann", "ann")),
        lambda: RoundRobin(speakers=("ann",), first="bob"),
        lambda: Rounds(speakers=("ann", "ann"), rounds=1),
        lambda: Moderated(moderator="ann", speakers=("ann", "bob"), turns=1),
        lambda: Moderated(moderator="dan", speakers=("Ann", "ann"), turns=1),
        lambda: Moderated(moderator="dan", speakers=("stop",), turns=1),
    ],
)
def test_a_rule_that_contradicts_itself_is_refused_when_made(make) -> None:
    """Repeated speakers, a first outside the ring, a moderator among the speakers, names that differ by case alone."""
    with pytest.raises(InvalidInput):
        make()


def test_check_protocol_catches_state_and_standstill() -> None:
    """The conformance check fails a protocol with memory, and one that forgets the turns it got."""

    class Remembers:
        def __init__(self) -> None:
            self.calls = 0

        def next(self, transcript):
            self.calls += 1
            return (Turn(speaker=THREE[self.calls % 3]),)

    class Forgets:
        def next(self, transcript):
            return tuple(Turn(speaker=s, as_of=0) for s in THREE)

    for broken, says in ((Remembers(), "pure"), (Forgets(), "progress")):
        with pytest.raises(AssertionError, match=says):
            check_protocol(broken, [Transcript(), opened()])

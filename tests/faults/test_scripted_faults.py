"""Promise 10, the part a script can show: every cause, at every point of a stream, loses no text and invents none."""

from __future__ import annotations

from typing import get_args

import pytest

from symposia.backends import Fault, Scripted
from symposia.core.errors import Cause, DeterministicCause, ModelCause, OurCause, TransientCause, TurnFailed
from symposia.core.events import ConversationStopped, GenerationFailed, GenerationRetried, TurnLost, TurnTaken
from symposia.talk.generate import REPEATED_ONCE
from symposia.talk.protocols import RoundRobin, Rounds
from symposia.talk.stop import Turns
from tests.company import of, opened, party, talk, texts

CAUSES = [c for group in (TransientCause, DeterministicCause, ModelCause, OurCause) for c in get_args(group)]
RING, PEOPLE = RoundRobin(speakers=("ann", "bob")), party("ann", "bob")


def test_the_list_of_causes_is_closed() -> None:
    """Every cause an error may carry is in this matrix."""
    assert {c for group in get_args(Cause) for c in get_args(group) or (group,)} == set(CAUSES)


@pytest.mark.parametrize("after", [0, 2, 99])
@pytest.mark.parametrize("cause", CAUSES)
def test_a_fault_is_a_cause_never_a_text(cause: str, after: int) -> None:
    """Before the first delta, between two, or before the end: the turn fails with that cause; earlier turns stay."""
    events: list = []
    fault = Fault(cause=cause, speaker="bob", after=after, times=9)
    backend = Scripted(lambda _: "some words", chunk=2, faults=(fault,))
    with pytest.raises(TurnFailed) as caught:
        talk(RING, PEOPLE, backend, transcript=opened(), events=events, until=Turns(4))
    assert caught.value.cause == cause
    assert texts(caught.value.transcript)[1:] == ["some words"]
    tries = 2 if cause in REPEATED_ONCE else 1
    assert [r.speaker for r in backend.requests].count("bob") == tries
    assert len(of(events, GenerationRetried)) == tries - 1
    assert [e.cause for e in of(events, GenerationFailed)] == [cause] * tries
    assert len(of(events, TurnTaken)) == 1
    assert [e.cause for e in of(events, TurnLost)] == [cause]
    assert not of(events, ConversationStopped)[0].ok


@pytest.mark.parametrize("cause", CAUSES)
def test_a_conversation_goes_on_after_a_fault(cause: str) -> None:
    """Resumed from what the failure left, it says what it would have said without the fault."""
    whole = talk(RING, PEOPLE, transcript=opened(), until=Turns(4)).transcript
    from tests.company import babble

    backend = Scripted(babble, faults=(Fault(cause=cause, turn=3, times=1 + (cause in REPEATED_ONCE)),))
    with pytest.raises(TurnFailed) as caught:
        talk(RING, PEOPLE, backend, transcript=opened(), until=Turns(4))
    assert caught.value.transcript == whole.up_to(3)
    assert talk(RING, PEOPLE, backend, transcript=caught.value.transcript, until=Turns(4)).transcript == whole


def test_one_failed_speaker_does_not_lose_the_round() -> None:
    """openai-420 lost a whole round to one failure: here the others' finished turns stay, whoever fails."""
    everybody = Rounds(speakers=("ann", "bob"), rounds=1)
    for lost, kept in (("ann", "bob"), ("bob", "ann")):
        backend = Scripted(lambda r: r.speaker, faults=(Fault(cause="server_error", speaker=lost),))
        with pytest.raises(TurnFailed) as caught:
            talk(everybody, PEOPLE, backend)
        assert texts(caught.value.transcript) == [kept]

"""Hooks: approve, deny, edit, in order; what raises never approves."""

from __future__ import annotations

import pytest

from symposia.backends import Scripted
from symposia.core.errors import InvalidInput, TurnFailed
from symposia.core.events import HookDecided, TurnDenied
from symposia.core.message import NOBODY, Message, Signal
from symposia.talk.hooks import Approve, Deny, Draft, Edit, Forbid, JudgeHook, MaxWords, with_text
from symposia.talk.protocols import RoundRobin
from symposia.talk.rules import Kit
from symposia.talk.stop import Turns
from tests.company import NAMES, of, opened, party, talk, texts

RING = RoundRobin(speakers=("ann", "bob"))
TWO = party("ann", "bob", "carla")


class Notes:
    """A live hook that answers with what it was given, and keeps what it saw."""

    def __init__(self, decide=lambda draft: Approve()) -> None:
        self.decide, self.drafts = decide, list[Draft]()

    def review(self, draft: Draft):
        self.drafts.append(draft)
        return self.decide(draft)


def reviewed(*hooks, reply="one two three", turns=1, transcript=opened(), events=None):
    backend = reply if isinstance(reply, Scripted) else Scripted(lambda _: reply)
    return talk(
        RING, TWO, backend, transcript=transcript, events=events, kit=Kit(hooks=hooks), until=Turns(turns)
    )


def test_a_hook_sees_the_draft_where_it_would_stand() -> None:
    """The draft is the uncommitted message, with the transcript before it and its speaker."""
    hook = Notes()
    outcome = reviewed(hook)
    (draft,) = hook.drafts
    assert (draft.message, draft.speaker) == (outcome.transcript[-1], "ann")
    assert draft.transcript == opened()


def test_a_denied_turn_is_a_record_nobody_reads_and_a_turn_taken() -> None:
    """Deny commits a control message with the hook's name and note; the next speaker goes on."""
    events = []
    outcome = reviewed(Forbid(patterns=("two",)), turns=2, events=events)
    record = outcome.transcript[1]
    assert (record.author, record.audience, record.text) == ("ann", NOBODY, "")
    assert record.parts == (Signal("denied", "forbid: matches 'two'"),)
    assert record.provenance is not None
    assert [m.author for m in outcome.transcript][1:] == ["ann", "bob"]
    assert outcome.tally.denied == len(of(events, TurnDenied)) == 2


def test_a_deny_ends_the_chain() -> None:
    """Hooks after the one that denied are not asked."""
    later = Notes()
    reviewed(Forbid(patterns=("two",)), later)
    assert later.drafts == []


def test_edits_chain_and_leave_their_traces() -> None:
    """Each hook sees the earlier ones' edits; provenance names the editors and the completion they changed."""
    later = Notes()
    shout = Notes(lambda draft: Edit(with_text(draft.message, draft.message.text.upper())))
    message = reviewed(MaxWords(n=2), shout, later).transcript[-1]
    assert message.text == later.drafts[0].message.text == "ONE TWO"
    made = message.provenance
    assert made.edited_by == ("max_words", "Notes")
    assert made.original == made.completions[-1]
    assert made.token_ids == ()


def test_max_words_cuts_after_the_last_word() -> None:
    """The first n words stay as they were written, line breaks included."""
    assert texts(reviewed(MaxWords(n=2), reply="one\n\ntwo three").transcript)[-1] == "one\n\ntwo"
    assert texts(reviewed(MaxWords(n=3)).transcript)[-1] == "one two three"


async def _late(draft: Draft):
    return Deny("async")


@pytest.mark.parametrize("decide", [lambda draft: Deny("sync"), _late])
def test_hooks_may_be_sync_or_async(decide) -> None:
    """An awaitable decision is awaited."""
    assert reviewed(Notes(decide)).transcript[-1].is_control


def boom(draft: Draft):
    raise ZeroDivisionError("a bug")


def refuse(draft: Draft):
    raise InvalidInput("not like this")


@pytest.mark.parametrize("decide", [boom, refuse, lambda draft: Edit(Message(author="bob", parts=()))])
def test_a_hook_that_raises_fails_the_turn(decide) -> None:
    """An error in a hook, or an edit of the author, is hook_error; nothing is committed."""
    with pytest.raises(TurnFailed) as caught:
        reviewed(Notes(decide))
    assert caught.value.cause == "hook_error"
    assert caught.value.transcript == opened()


def test_every_decision_is_an_event() -> None:
    """HookDecided names the hook, what it decided and why."""
    events = []
    reviewed(MaxWords(n=2), Forbid(patterns=("one",)), events=events)
    assert [(e.hook, e.decision, e.note) for e in of(events, HookDecided)] == [
        ("max_words", "edit", ""),
        ("forbid", "deny", "matches 'one'"),
    ]


def judged(*answers: str, events=None):
    replies = {"ann": ["one two"], "carla": answers}
    asked = iter(answers)
    backend = Scripted(lambda r: next(asked) if r.speaker == "carla" else replies["ann"][0])
    hook = JudgeHook(participant="carla", question="Is it kind?")
    outcome = reviewed(hook, reply=backend, events=events)
    return outcome, [r for r in backend.requests if r.speaker == "carla"]


@pytest.mark.parametrize(
    ("answers", "is_control"),
    [(("ALLOW",), False), (("Hm.\nDENY",), True), (("maybe", "so\n ALLOW "), False)],
)
def test_a_judge_answers_in_one_word_on_the_last_line(answers: tuple[str, ...], is_control: bool) -> None:
    """The last line must be the word; anything else is asked once more."""
    outcome, asked = judged(*answers)
    assert outcome.transcript[-1].is_control == is_control
    assert len(asked) == len(answers)


@pytest.mark.parametrize("reply", ["I would ALLOW it", "allow", "", "ALLOW\nbut", "DENY or ALLOW"])
def test_a_judge_that_cannot_be_read_never_approves(reply: str) -> None:
    """Unreadable twice is hook_error."""
    with pytest.raises(TurnFailed) as caught:
        judged(reply, reply)
    assert caught.value.cause == "hook_error"


def test_a_judges_tokens_belong_to_the_turn() -> None:
    """What the judge used is added to the turn's usage, under its own purpose, in the message and the tally."""
    events = []
    outcome, (ask,) = judged("ALLOW", events=events)
    assert ask.about.purpose == "hook"
    assert outcome.tally.usage.calls == 2
    assert outcome.transcript[-1].provenance.usage == outcome.tally.usage


def test_a_judge_sees_the_question_and_nothing_of_the_talk() -> None:
    """It is shown its own system text, the question and the draft."""
    _, (ask,) = judged("ALLOW")
    (line,) = ask.lines
    assert "Is it kind?" in line.text
    assert "one two" in line.text
    assert opened()[0].text not in line.text


def test_hooks_name_only_who_is_there_and_patterns_that_compile() -> None:
    """A judge outside the roster and a broken pattern are refused before anything runs."""
    backend = Scripted(lambda _: "x")
    with pytest.raises(InvalidInput, match="zoe"):
        reviewed(JudgeHook(participant="zoe", question="?"), reply=backend)
    with pytest.raises(InvalidInput, match="regular expression"):
        Forbid(patterns=("(",))
    assert backend.requests == []
    assert "zoe" not in NAMES

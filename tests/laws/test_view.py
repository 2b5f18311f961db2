"""Laws of the view, over random transcripts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from symposia.talk.view import ViewRules, view
from tests.company import NAMES, person
from tests.dialogues import transcripts

RULES = st.builds(
    ViewRules,
    labels=st.sampled_from(("auto", "always", "never")),
    reasoning=st.sampled_from(("strip", "self", "shared")),
    trails=st.sampled_from(("keep", "drop")),
)


@given(transcripts(), RULES, st.sampled_from(NAMES[:3]))
def test_what_a_speaker_saw_begins_what_it_sees_later(transcript, rules, name) -> None:
    """The lines a turn was made from begin the same speaker's lines at every later turn, so caches hold."""
    ann = person(name, system="You are one of us.")

    def at(n):
        return view(transcript, ann, NAMES[:3], rules, as_of=n)

    whole = at(len(transcript))
    for n, message in enumerate(transcript):
        if message.author == name and message.is_turn() and message.text:
            start = n - 2 if n > 1 and transcript[n - 1].has_tools else n  # a trail belongs to its turn
            assert whole[: len(at(start))] == at(start)


@given(transcripts(), RULES)
def test_every_visible_word_stands_once_and_unchanged(transcript, rules) -> None:
    """Text shown is the message's text exactly, whatever form adds; nothing visible is missing, nothing doubled."""
    lines = view(transcript, person("ann"), NAMES[:3], rules)
    spoken = [
        (s.turn, s.text)
        for line in lines
        for s in line.segments
        if s.phase in ("prompt", "answer") and s.turn is not None and line.kind != "trail"
    ]
    shown: dict[int, str] = {}
    for turn, text in spoken:
        shown[turn] = shown.get(turn, "") + text
    for index, message in enumerate(transcript):
        if message.heard_by("ann") and message.text and not message.has_tools and rules.reasoning == "strip":
            assert shown.pop(index) == message.text
    if rules.reasoning == "strip":
        assert not shown


@given(transcripts(), RULES, st.sampled_from(NAMES[:3]))
def test_a_view_is_a_dialogue(transcript, rules, name) -> None:
    """A user line comes before the first assistant line, and no two own texts touch: somebody answers each."""
    lines = view(transcript, person(name), NAMES[:3], rules)
    roles = [line.role for line in lines]
    assert "user" in roles
    assert "assistant" not in roles[: roles.index("user")]
    for line, following in zip(lines, [*lines[1:], None], strict=True):
        if line.role == "assistant" and not line.calls:
            assert following is not None
            assert following.role in ("user", "system")

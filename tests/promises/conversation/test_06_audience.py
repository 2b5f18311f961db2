"""Promise 6: a message whose audience excludes a participant changes none of its views and prompts."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from symposia.backends import Scripted
from symposia.core.message import NOBODY, Message, Text, said
from symposia.core.request import Request
from symposia.core.transcript import Transcript
from symposia.talk.fit import DropOldest, Fail, Window, droppable
from symposia.talk.view import ViewRules, view
from tests.company import NAMES, person
from tests.dialogues import WORDS, transcripts

HIDDEN = st.builds(
    lambda author, text, audience, sampled: (
        said(author, text, audience)
        if not sampled
        else Message(author=author, parts=(Text(text),), audience=audience, origin="sampled", as_of=0)
    ),
    st.sampled_from(("bob", "carla", "system", "moderator", "tool")),
    WORDS,
    st.sampled_from((frozenset({"bob"}), frozenset({"bob", "carla"}), NOBODY)),
    st.booleans(),
)
RULES = st.builds(
    ViewRules, labels=st.sampled_from(("auto", "never")), reasoning=st.sampled_from(("strip", "shared"))
)


def shown(transcript: Transcript, rules: ViewRules, fit, room: int) -> tuple[list, int]:
    """Ann's lines under the policy, without the indexes a longer transcript moves, and the prompt's length."""
    may_go = droppable(transcript.messages, "ann", "moderator")
    match fit:
        case Window():
            gone = may_go[: max(len(may_go) - fit.last, 0)]
        case DropOldest():
            gone = may_go[: max(len(may_go) - fit.keep, 0)]
        case _:
            gone = ()
    lines = view(transcript, person("ann"), NAMES[:3], rules, dropped=gone, marker="(…)")
    request = Request(model="m", lines=lines, speaker="ann")
    prompt = asyncio.run(Scripted(lambda _: "").render(request))
    return [
        replace(line, segments=tuple(replace(s, turn=None) for s in line.segments)) for line in lines
    ], prompt.tokens


@given(
    transcripts(most=6),
    st.lists(st.tuples(st.integers(0, 9), HIDDEN), max_size=4),
    RULES,
    st.sampled_from((Fail(), DropOldest(), Window(last=2))),
)
def test_what_ann_may_not_see_changes_nothing_for_her(transcript, hidden, rules, fit) -> None:
    """Whispers, records and others' trails, anywhere, leave Ann's lines, fitted or not, and her prompt as they were."""
    visible = Transcript(tuple(m for m in transcript if m.heard_by("ann")))
    mixed = list(transcript)
    for at, message in hidden:
        if message.author != "ann" and not message.heard_by("ann"):
            mixed.insert(min(at, len(mixed)), message)
    assert shown(Transcript(tuple(mixed)), rules, fit, 0) == shown(visible, rules, fit, 0)


def test_the_excluded_do_not_see_and_the_others_do() -> None:
    """A whisper is in its hearer's view and its author's, and in nobody else's."""
    whisper = said("bob", "the plan", frozenset({"carla"}))
    seen = {
        name: "the plan"
        in " ".join(line.text for line in view(Transcript((whisper,)), person(name), NAMES, ViewRules()))
        for name in NAMES
    }
    assert seen == {"ann": False, "bob": True, "carla": True, "dan": False}

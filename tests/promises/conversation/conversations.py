"""Random conversations of every kind this package can run, for promises that hold of all of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from symposia.backends import Scripted
from symposia.core.clock import VirtualClock
from symposia.core.message import Text, ToolCall, said
from symposia.core.profile import Participant, Sampling
from symposia.core.request import Request
from symposia.core.transcript import Transcript
from symposia.talk.fit import DropOldest, Fail, Summarise, Window
from symposia.talk.hooks import Forbid, JudgeHook, MaxWords
from symposia.talk.moderated import Moderated
from symposia.talk.protocols import Once, RoundRobin, Rounds, TurnProtocol
from symposia.talk.rules import Kit, Outcome
from symposia.talk.stop import StopString, TokenBudget, Tokens, Turns
from symposia.talk.tools import ToolBox, tool
from symposia.talk.view import ViewRules
from tests.company import babble, completion, person, talk

NAMES = ("ann", "bob", "carla")
FEATURES = frozenset({"force", "choices", "tools"})


@tool
async def look_up(word: str) -> str:
    """What a word means; some words have no meaning."""
    if word[0] in "0123":
        raise LookupError(f"no {word}")
    return f"{word} is a word"


BOX = ToolBox(look_up)


def reply(request: Request) -> Any:
    """What a model of these conversations says: a fingerprint of the request, in the form that was asked for."""
    mark = babble(request)
    if request.force is not None or request.choices:
        chosen = (*NAMES[:2], "stop", "nobody")[int(mark[0], 16) % 4]
        return chosen if request.choices else {"name": chosen}
    if request.lines[-1].kind == "cue" and "NEXT:" in request.lines[-1].text:
        return f"{mark}\nNEXT: {(*NAMES[:2], 'nobody')[int(mark[0], 16) % 3]}"
    if request.about.purpose == "hook":
        return ("ALLOW", "DENY")[mark[0] in "012"]
    if request.tools and request.tool_choice == "auto" and mark[2] in "01234567":
        words = mark.split()
        calls = tuple(
            ToolCall(id=f"call_{i}", name=("look_up", "look_up", "lookup")[i], arguments={"word": word})
            for i, word in enumerate(words[:3])
        )
        said_first = (Text(words[0]),) if mark[3] in "0123" else ()
        return completion(words[0], "tool_calls", parts=(*said_first, *calls))
    return f"<think>{mark[:2]}</think>{mark}" if mark[1] in "01" else mark


@dataclass(frozen=True)
class Company:
    """A conversation about to be run: everything but where it begins."""

    protocol: TurnProtocol
    people: tuple[Participant, ...]
    rules: dict[str, Any]
    hooks: tuple[Any, ...] = ()
    start: Transcript = field(default_factory=Transcript)

    def run(self, transcript: Transcript | None = None, events: list | None = None) -> Outcome:
        backend = Scripted(reply, features=FEATURES)
        kit = Kit(hooks=self.hooks, clock=VirtualClock(), tools=BOX)
        begin = self.start if transcript is None else transcript
        return talk(
            self.protocol, self.people, backend, transcript=begin, events=events, kit=kit, **self.rules
        )


PROTOCOLS = st.one_of(
    st.builds(RoundRobin, speakers=st.just(NAMES)),
    st.builds(
        RoundRobin, speakers=st.permutations(NAMES).map(tuple), audience=st.sampled_from(("all", "next"))
    ),
    st.builds(Rounds, speakers=st.just(NAMES), rounds=st.integers(2, 4)),
    st.builds(
        Moderated,
        moderator=st.just("carla"),
        speakers=st.just(NAMES[:2]),
        turns=st.integers(2, 5),
        by=st.sampled_from(("text", "force", "choices")),
    ),
    st.just(Once(speaker="bob")),
)
LIMITS = st.one_of(
    st.builds(Tokens, n=st.integers(1, 30)),
    st.builds(TokenBudget, per_conversation=st.integers(3, 30), per_turn=st.none() | st.integers(1, 5)),
    st.builds(StopString, strings=st.just(("a1", "f")), mid_turn=st.booleans()),
)
TIGHT = st.sampled_from((90, 110, 130, 190, 220, 250, 300))
FITS = st.one_of(
    st.just(Fail()),
    st.builds(Window, last=st.integers(1, 4)),
    st.builds(DropOldest, keep=st.just(1), limit=TIGHT, marker=st.sampled_from(("", "(…)"))),
    st.builds(Summarise, keep=st.just(1), by=st.just("carla"), limit=TIGHT, words=st.just(5)),
)
HOOKS = st.lists(
    st.sampled_from(
        (MaxWords(n=3), Forbid(patterns=("^[0-3]",)), JudgeHook(participant="carla", question="Kind?"))
    ),
    max_size=2,
    unique=True,
).map(tuple)


@st.composite
def companies(draw: st.DrawFn) -> Company:
    """A random company, its rules, hooks and opening."""
    people = tuple(
        person(
            name,
            system=draw(st.sampled_from((None, f"You are {name}."))),
            sampling=Sampling(max_tokens=9, seed=draw(st.sampled_from((None, None, 5)))),
            history=draw(st.sampled_from(("scoped", "keep"))),
            tools=draw(st.sampled_from(((), BOX.specs))),
            tool_rounds=draw(st.integers(0, 2)),
        )
        for name in NAMES
    )
    until = Turns(draw(st.integers(1, 12)))
    limited = until | draw(LIMITS) if draw(st.booleans()) else until
    framing = [said("system", "Be brief."), said("moderator", "A topic."), said("bob", "I begin.")]
    return Company(
        protocol=draw(PROTOCOLS),
        people=people,
        rules={
            "until": limited,
            "fit": draw(FITS),
            "view": ViewRules(
                reasoning=draw(st.sampled_from(("strip", "self", "shared"))),
                trails=draw(st.sampled_from(("keep", "drop"))),
            ),
            "seed_key": (draw(st.integers(0, 99)), "c"),
        },
        hooks=draw(HOOKS),
        start=Transcript(tuple(framing[: draw(st.integers(0, 3))])),
    )

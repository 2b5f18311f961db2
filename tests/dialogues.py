"""Random transcripts: every kind of message a conversation can hold."""

from __future__ import annotations

from hypothesis import strategies as st

from symposia.core.message import NOBODY, Message, Reasoning, Signal, Text, ToolCall, ToolResult, said
from symposia.core.transcript import Transcript
from tests.company import NAMES

WORDS = st.text("ab :\nann", min_size=1, max_size=12)
AUDIENCES = st.none() | st.sets(st.sampled_from(NAMES), min_size=1, max_size=2).map(frozenset)


@st.composite
def turns(draw: st.DrawFn, author: str | None = None) -> tuple[Message, ...]:
    """One contribution: a text with or without reasoning, a trail and its answer, an empty or a denied turn."""
    name = author or draw(st.sampled_from(NAMES))
    kind = draw(st.sampled_from(("text", "text", "text", "thought", "trail", "empty", "denied")))
    audience = draw(AUDIENCES)
    answer = Message(author=name, parts=(Text(draw(WORDS)),), audience=audience, origin="sampled", as_of=0)
    match kind:
        case "thought":
            thought = Reasoning(draw(WORDS))
            return (
                Message(
                    author=name, parts=(thought, *answer.parts), audience=audience, origin="sampled", as_of=0
                ),
            )
        case "trail":
            call = ToolCall(id=f"c{draw(st.integers(0, 9**9))}", name="f")
            result = ToolResult(id=call.id, name="f", text=draw(WORDS))
            own = frozenset({name})
            return (
                Message(author=name, parts=(call,), audience=own, origin="sampled", as_of=0),
                Message(author="tool", parts=(result,), audience=own, origin="scripted", as_of=0),
                answer,
            )
        case "empty":
            return (Message(author=name, parts=(), origin="sampled", as_of=0),)
        case "denied":
            return (
                Message(author=name, parts=(Signal("denied"),), audience=NOBODY, origin="sampled", as_of=0),
            )
    return (answer,)


@st.composite
def transcripts(draw: st.DrawFn, most: int = 8) -> Transcript:
    """Framing, then contributions, with late system messages between."""
    framing = draw(st.lists(st.sampled_from(("system", "moderator")), max_size=2, unique=True))
    messages = [said(name, draw(WORDS), draw(AUDIENCES)) for name in sorted(framing, reverse=True)]
    for _ in range(draw(st.integers(0, most))):
        if draw(st.integers(0, 9)) == 0:
            messages.append(said("system", draw(WORDS)))
        else:
            messages += draw(turns())
    return Transcript(tuple(messages))

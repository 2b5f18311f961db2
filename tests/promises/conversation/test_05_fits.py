"""Promise 5: every fit ends within the limit or raises, and no message is cut inside."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from symposia.backends import Scripted
from symposia.core.clock import VirtualClock
from symposia.core.errors import ContextOverflow, TurnFailed
from symposia.core.events import ViewCut
from symposia.core.message import ToolResult
from symposia.core.request import Request
from symposia.talk.fit import DropOldest, Fail, Summarise, Window
from symposia.talk.protocols import RoundRobin
from symposia.talk.rules import Kit
from symposia.talk.stop import Turns
from tests.company import of, party, talk
from tests.dialogues import transcripts
from tests.examples import examples

POLICIES = st.one_of(
    st.just(Fail()),
    st.builds(Window, last=st.integers(1, 5), marker=st.sampled_from(("", "(earlier talk left out)"))),
    st.builds(DropOldest, keep=st.integers(0, 3), marker=st.sampled_from(("", "(…)"))),
    st.builds(Summarise, keep=st.integers(0, 3), by=st.just("carla"), words=st.just(5)),
)


@examples(150)
@given(transcripts(most=12), POLICIES, st.integers(20, 260), st.none() | st.integers(20, 260))
def test_a_view_fits_or_the_turn_raises(transcript, fit, window, limit) -> None:
    """Measured by the backend itself: prompt plus reply within min(window, limit), all words whole, drops reported."""
    fit = fit.__class__(**{f: getattr(fit, f) for f in fit.__struct_fields__ if f != "limit"}, limit=limit)
    backend = Scripted(lambda r: "short" if r.speaker == "carla" else "x", context_window=window)
    people = party("ann", "bob", "carla", max_tokens=15)
    events: list = []
    try:
        outcome = talk(
            RoundRobin(speakers=("ann",)), people, backend, transcript=transcript, events=events, fit=fit,
            until=Turns(1, len(transcript)), kit=Kit(clock=VirtualClock()),
        )  # fmt: skip
    except (ContextOverflow, TurnFailed):
        return
    most = min(window, limit or window)
    for request in [r for r in backend.requests if r.about.purpose == "turn"]:
        prompt = asyncio.run(backend.render(request))
        assert prompt.tokens + request.sampling.max_tokens <= most
        for index, text in shown(request):
            results = [p.text for p in outcome.transcript[index].parts if isinstance(p, ToolResult)]
            assert text in (outcome.transcript[index].text, *results)
    made = outcome.transcript[-1].provenance
    assert made.dropped == (of(events, ViewCut)[-1].dropped if of(events, ViewCut) else ())


def shown(request: Request) -> list[tuple[int, str]]:
    """Every message shown, by index, with all the words of it that are shown."""
    words: dict[tuple[int, int], str] = {}
    for at, line in enumerate(request.lines):
        for segment in line.segments:
            if segment.turn is not None:
                words[at, segment.turn] = words.get((at, segment.turn), "") + segment.text
    return [(turn, text) for (_, turn), text in words.items()]

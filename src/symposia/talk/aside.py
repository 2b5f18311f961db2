"""Generations beside the transcript: a hook's question, a summary. Same path, same events, their own purpose."""

from __future__ import annotations

from symposia.core.lines import Line, Segment
from symposia.core.request import Request
from symposia.core.usage import NOTHING, Usage

from .ask import Table
from .generate import generate
from .reply import parse_reply
from .seeds import turn_seed, with_root


class Aside:
    """Asks participants outside the conversation and adds up what that used."""

    def __init__(self, table: Table, purpose: str, turn: int) -> None:
        self._table, self._purpose, self._turn = table, purpose, turn
        self._calls = 0
        self.usage: Usage = NOTHING
        self.completions: tuple[str, ...] = ()

    async def ask(self, name: str, text: str) -> str:
        """The participant's answer to one question; it sees its own system text and the question, nothing else."""
        self._calls += 1
        request = aside_request(self._table, self._purpose, self._turn, name, text, call=self._calls)
        completion = await generate(self._table, request, request.digest)
        self.usage = self.usage + completion.usage
        self.completions += (completion.digest,)
        return parse_reply(completion, request).text


def aside_request(table: Table, purpose: str, turn: int, name: str, text: str, *, call: int = 1) -> Request:
    """The request of one question beside the transcript."""
    profile = table.participant(name).profile
    key = with_root(table.rules.seed_key, profile.sampling.seed)
    return Request(
        model=profile.model,
        lines=(*_system(profile.system), _user(text, table.rules.view.moderator)),
        sampling=profile.sampling,
        seed=turn_seed((*key, purpose), turn, name, call=call),
        seed_required=profile.sampling.seed is not None,
        speaker=name,
        turn=0,
        interventions=profile.interventions,
        history=profile.history,
        date=table.rules.date,
        about=table.about(name, turn, call, purpose=purpose),
    )


def _system(text: str | None) -> tuple[Line, ...]:
    if text is None:
        return ()
    segments = (Segment(text=text, phase="prompt", author="system"),) if text else ()
    return (Line(role="system", segments=segments, kind="framing"),)


def _user(text: str, author: str) -> Line:
    segment = Segment(text=text, phase="prompt", author=author, origin="scripted")
    return Line(role="user", segments=(segment,), kind="cue")

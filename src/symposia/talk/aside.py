"""Generations beside the transcript: a hook's question, a summary. Same path, same events, their own purpose."""

from __future__ import annotations

import msgspec

from symposia.core.lines import Line, Segment
from symposia.core.request import Request
from symposia.core.usage import NOTHING, Usage

from .ask import Purpose, Table
from .generate import generate
from .reply import read_reply
from .seeds import turn_seed, with_root


class Aside:
    """Asks participants outside the conversation and adds up what that used."""

    def __init__(self, table: Table, purpose: Purpose, turn: int) -> None:
        self._table, self._purpose, self._turn = table, purpose, turn
        self._calls = 0
        self.usage: Usage = NOTHING
        self.completions: tuple[str, ...] = ()

    async def ask(self, name: str, text: str) -> str:
        """The participant's answer to one question; it sees its own system text and the question, nothing else."""
        self._calls += 1
        request = self._request(name, text)
        completion = await generate(self._table, request)
        self.usage = self.usage + completion.usage
        self.completions += (completion.digest,)
        return read_reply(completion, request, None).text

    def _request(self, name: str, text: str) -> Request:
        table = self._table
        participant = table.participant(name)
        profile = participant.profile
        about = msgspec.structs.replace(table.about(name, self._turn, self._calls), purpose=self._purpose)
        key = with_root(table.rules.seed_key, profile.sampling.seed)
        return Request(
            model=profile.model,
            lines=(*_system(profile.system), _user(text, table.rules.view.moderator)),
            sampling=profile.sampling,
            seed=turn_seed((*key, self._purpose), self._turn, name, self._calls),
            seed_required=profile.sampling.seed is not None,
            speaker=name,
            turn=0,
            interventions=profile.interventions,
            history=profile.history,
            date=table.rules.date,
            about=about,
        )


def _system(text: str | None) -> tuple[Line, ...]:
    if text is None:
        return ()
    segments = (Segment(text=text, phase="prompt", author="system"),) if text else ()
    return (Line(role="system", segments=segments, kind="framing"),)


def _user(text: str, author: str) -> Line:
    return Line(role="user", segments=(Segment(text=text, phase="prompt", author=author, origin="scripted"),), kind="cue")

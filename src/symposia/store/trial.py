"""Whether a model can take a profile: a read that samples nothing, before the profile is kept."""

from __future__ import annotations

from contextlib import suppress
from typing import Final, Literal

import msgspec

from symposia.core.errors import EmptySelection, SelectionMissed
from symposia.core.features import refuse_unsupported
from symposia.core.lines import Line, Segment
from symposia.core.profile import Profile
from symposia.core.request import Backend, Request
from symposia.core.span import Phase

_SPEAKER: Final = "assistant"


async def try_profile(profile: Profile, backend: Backend) -> None:
    """Raise what the model's backend says of interventions it cannot take; nothing is asked of one without any.

    A selection that meets nothing in a short prompt is no refusal: what it selects may come later.
    """
    if not profile.interventions:
        return
    request = _read_of(profile)
    refuse_unsupported(request, await backend.describe(profile.model), profile.model.partition(":")[0])
    with suppress(EmptySelection, SelectionMissed):
        async for _ in backend.generate(request):
            pass


def _read_of(profile: Profile) -> Request:
    """A short talk, somebody's turns and the model's own, as the profile would be asked to go on with it."""
    lines = [
        _line("user", "Hello.", 0),
        _line(_SPEAKER, "Hello to you.", 1),
        _line("user", "How are you?", 2),
    ]
    if profile.system is not None:
        framing = Segment(text=profile.system, phase="prompt")
        lines.insert(0, Line(role="system", segments=(framing,), kind="framing"))
    return Request(
        model=profile.model,
        lines=tuple(lines),
        sampling=msgspec.structs.replace(profile.sampling, max_tokens=0, min_tokens=0),
        speaker=_SPEAKER,
        turn=3,
        interventions=profile.interventions,
        history=profile.history,
        tools=profile.tools,
    )


def _line(author: Literal["user", "assistant"], text: str, turn: int) -> Line:
    phase: Phase = "answer" if author == _SPEAKER else "prompt"
    segment = Segment(text=text, phase=phase, author=author, turn=turn)
    return Line(role=author, segments=(segment,), kind="turn")

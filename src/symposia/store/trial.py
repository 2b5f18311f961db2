"""Whether a model can take a profile: a read that samples nothing, before the profile is kept."""

from __future__ import annotations

from contextlib import suppress

import msgspec

from symposia.core.errors import EmptySelection, SelectionMissed
from symposia.core.features import refuse_unsupported
from symposia.core.lines import Line, Segment
from symposia.core.profile import Profile
from symposia.core.request import Backend, Request

_SPEAKER = "assistant"


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
    """A greeting, as the profile would be asked to answer it."""
    greeting = Segment(text="Hello.", phase="prompt", author="user", turn=0)
    lines = [Line(role="user", segments=(greeting,), kind="turn")]
    if profile.system is not None:
        framing = Segment(text=profile.system, phase="prompt")
        lines.insert(0, Line(role="system", segments=(framing,), kind="framing"))
    return Request(
        model=profile.model,
        lines=tuple(lines),
        sampling=msgspec.structs.replace(profile.sampling, max_tokens=0, min_tokens=0),
        speaker=_SPEAKER,
        turn=1,
        interventions=profile.interventions,
        history=profile.history,
        tools=profile.tools,
    )

"""Whether a model can do what a profile asks: a read, which makes the whole forward with its interventions."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from msgspec.structs import replace

from symposia.core.errors import EmptySelection, SelectionMissed
from symposia.core.profile import Profile
from symposia.core.request import About
from symposia.serve.faults import Fault
from symposia.serve.models import ServedModel
from symposia.serve.wire import Aim, ChatRequest, to_requests
from symposia.serve.wire.messages import AssistantMessage, UserMessage

if TYPE_CHECKING:
    from symposia.serve.server import Server

_TALK = (
    UserMessage(content="Good morning."),
    AssistantMessage(content="Good morning to you."),
    UserMessage(content="How are you?"),
)
"""Somebody else's turns and the model's own, so that selectors of either find some."""


async def tried(server: Server, model: ServedModel, profile: Profile) -> None:
    """Read a short conversation with the profile. Raises what a request with it would be refused with.

    Selectors that only another conversation could meet (a text, a speaker's name) are no reason to refuse.
    """
    card = await model.known()
    ask = ChatRequest(model=model.name, messages=_TALK, tool_choice=None)
    about = About(run="serve", profile=profile.digest, purpose="trial")
    first = to_requests(ask, Aim(model.address, card, profile), model.limits, seed=0, about=about)[0]
    read = replace(first, sampling=replace(first.sampling, max_tokens=0, min_tokens=0))
    try:
        async with asyncio.timeout(server.settings.first_token_s):
            async for _ in model.backend.generate(read):
                pass
    except (EmptySelection, SelectionMissed):
        return
    except TimeoutError:
        raise Fault(
            "server_is_overloaded", f"{model.name!r} did not try the profile in time; ask again"
        ) from None

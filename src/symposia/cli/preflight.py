"""Everything that can be refused is refused before the first turn: nobody speaks in a run that cannot go on."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from symposia.backends.endpoints import Endpoints
from symposia.core.errors import EmptySelection, SelectionMissed
from symposia.core.features import refuse_unsupported
from symposia.core.profile import Participant
from symposia.core.request import Backend, ModelCard, Request
from symposia.talk.fit import Summarise

if TYPE_CHECKING:
    from symposia.talk.conversation import Conversation


async def preflight(conversation: Conversation, backend: Endpoints) -> dict[str, ModelCard]:
    """Each participant's card. Raises what its first request would raise.

    That is an unknown or unfit model, a template, an overflow, an unsupported feature, a missing key, and (by a read
    that samples nothing) an intervention the model cannot take. A hosted model is not asked: no connection is made.
    """
    cards: dict[str, ModelCard] = {}
    for participant in conversation.participants:
        card = cards[participant.name] = await backend.describe(participant.profile.model)
        request = _request(conversation, participant)
        refuse_unsupported(request, card, _endpoint(participant.profile.model))
        if not isinstance(conversation.scenario.fit, Summarise):
            await conversation.aprompt(participant.name)
        if request.interventions and "read" in card.features:
            await _try_interventions(backend, request)
    for participant in conversation.participants:
        await backend.ready(participant.profile.model)
    return cards


async def _try_interventions(backend: Backend, request: Request) -> None:
    read = msgspec.structs.replace(request, sampling=msgspec.structs.replace(request.sampling, max_tokens=0))
    with suppress(EmptySelection, SelectionMissed):  # whom it selects may not have spoken yet
        async for _ in backend.generate(read):
            pass


def _request(conversation: Conversation, participant: Participant) -> Request:
    profile = participant.profile
    return Request(
        model=profile.model,
        lines=conversation.view(participant.name),
        sampling=profile.sampling,
        seed_required=profile.sampling.seed is not None,
        speaker=participant.name,
        turn=len(conversation.transcript),
        interventions=profile.interventions,
        history=profile.history,
        tools=profile.tools,
        date=conversation.scenario.date,
    )


def _endpoint(model: str) -> str:
    return model.partition(":")[0] if ":" in model else "engine"

"""Whether a model here can do what a profile asks, before the profile is kept."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from msgspec.structs import replace

from symposia.core.profile import Profile
from symposia.serve.faults import Fault
from symposia.serve.models import ServedModel
from symposia.store.trial import try_profile

if TYPE_CHECKING:
    from symposia.serve.server import Server


async def tried(server: Server, model: ServedModel, profile: Profile) -> None:
    """Read a greeting with the profile, on its model. Raises what a request with it would be refused with."""
    await model.known()
    try:
        async with asyncio.timeout(server.settings.first_token_s):
            await try_profile(replace(profile, model=model.address), model.backend)
    except TimeoutError:
        raise Fault(
            "server_is_overloaded", f"{model.name!r} did not try the profile in time; ask again"
        ) from None

"""Profiles: put once and never changed; archived when nothing points at them."""

from __future__ import annotations

import re
from asyncio import timeout, to_thread
from typing import TYPE_CHECKING

from msgspec.structs import replace

from symposia.core.profile import Profile
from symposia.serve.faults import Fault
from symposia.store.profiles import Stored
from symposia.store.refusals import UnknownProfile
from symposia.store.trial import try_profile

from .forms import Note, ReasonForm
from .operation import Ask, Reply
from .shown import Created, ProfileList, ProfileShown, profile_shown

if TYPE_CHECKING:
    from symposia.serve.server import Server

_DIGEST = re.compile(r"sha256:[0-9a-f]{12,64}")


async def listed(server: Server, ask: Ask[None, None]) -> Reply:
    """Every profile, archived ones too."""
    del ask
    stored, aliases = await to_thread(
        lambda: (server.storage.profiles.all(), server.storage.profiles.aliases())
    )
    return Reply(ProfileList(profiles=tuple(profile_shown(one, aliases) for one in stored)))


async def shown(server: Server, ask: Ask[None, None]) -> Reply:
    """One, with all that it holds."""
    return Reply(await to_thread(lambda: _shown(server, ask.path["digest"])))


async def put(server: Server, ask: Ask[Profile, Note]) -> Reply:
    """Keep a profile: 201, or 200 if it was there. One with interventions is tried on its model first."""
    profile, profiles = ask.body, server.storage.profiles
    if profile.interventions:
        await _tried(server, profile)

    def kept() -> Reply:
        try:
            known = profiles.stored(profile.digest).archived is None
        except UnknownProfile:
            known = False
        digest = profiles.put(profile, actor=ask.actor, note=ask.query.reason)
        return Reply(Created(digest=digest), 200 if known else 201)

    return await to_thread(kept)


async def archive(server: Server, ask: Ask[ReasonForm, None]) -> Reply:
    """Let a profile answer no more."""
    profiles = server.storage.profiles

    def archived() -> Stored:
        digest = _find(server, ask.path["digest"])
        profiles.archive(digest, actor=ask.actor, reason=ask.body.reason)
        return profiles.stored(digest)

    return Reply(profile_shown(await to_thread(archived), ()))


async def _tried(server: Server, profile: Profile) -> None:
    """Raises what a request with the profile would be refused with."""
    model = next((model for model in server.models.values() if model.takes(profile)), None)
    if model is None:
        known = ", ".join(sorted(each.address for each in server.models.values()))
        raise Fault(
            "model_not_found",
            f"model: no model here is {profile.model!r}, so its interventions cannot be tried; served are {known}",
            param="model",
        )
    await model.known()
    try:
        async with timeout(server.settings.first_token_s):
            await try_profile(replace(profile, model=model.address), model.backend)
    except TimeoutError:
        raise Fault(
            "server_is_overloaded", f"{model.name!r} did not try the profile in time; ask again"
        ) from None


def _shown(server: Server, selector: str) -> ProfileShown:
    profiles = server.storage.profiles
    return profile_shown(profiles.stored(_find(server, selector)), profiles.aliases())


def _find(server: Server, selector: str) -> str:
    """The whole digest that a piece of a path begins."""
    if not _DIGEST.fullmatch(selector):
        raise Fault(
            "steering_profile_not_found",
            f"expected a digest, sha256: and 12 to 64 hex digits; got {selector[:80]!r}",
            param="digest",
        )
    return server.storage.profiles.find(selector, archived=True)

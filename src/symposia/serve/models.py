"""The models a server offers: each with the backend behind it, what is known of it, and whether it can be asked now.

A model is ready once its backend has described it. Describing may load weights, so it happens beside serving; requests
that come earlier wait a little.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import lru_cache

from symposia.core.clock import Clock
from symposia.core.errors import InvalidInput, SymposiaError, UnknownModel
from symposia.core.models import canonical
from symposia.core.profile import Profile
from symposia.core.request import Backend, ModelCard

from .faults import Fault
from .replies import fingerprint
from .settings import Model, Settings
from .wire import Limits

_AGAIN_S = (0.5, 1.0, 2.0, 5.0)
_FOR_GOOD = frozenset({"intervention_not_applied"})
_SICK = _FOR_GOOD | {"engine_failed"}


class ServedModel:
    """One name that callers may ask. `card` is None until the backend has described it.

    `trouble` says why it cannot be asked; `sick` why its answers are not to be believed any more.
    """

    def __init__(self, setting: Model, backend: Backend, settings: Settings) -> None:
        self.name, self.address, self.backend = setting.name, setting.address, backend
        self.limits = Limits(
            max_messages=settings.max_messages,
            max_n=settings.max_n,
            default_output_tokens=setting.default_output_tokens or settings.default_output_tokens,
            max_output_tokens=setting.max_output_tokens or settings.max_output_tokens,
        )
        self.names = frozenset({self.name, self.address, _canonical(self.address)})
        self._wait_s = settings.first_token_s
        self.card: ModelCard | None = None
        self.fingerprint = ""
        self.trouble, self.sick = "not asked yet", ""
        self._known = asyncio.Event()

    def takes(self, profile: Profile) -> bool:
        """Whether a profile is made for this model."""
        return profile.model in self.names or _canonical(profile.model) in self.names

    def failed(self, code: str) -> None:
        """One of its answers failed in a way that says something about the model itself."""
        if code in _SICK and self.sick not in _FOR_GOOD:
            self.sick = code

    def answered(self) -> None:
        """It answered whole: whatever the engine failed at is over."""
        if self.sick and self.sick not in _FOR_GOOD:
            self.sick = ""

    @property
    def ready(self) -> bool:
        """Whether requests to it can be answered."""
        return self.card is not None and not self.sick

    async def introduce(self, clock: Clock, build: str) -> None:
        """Ask the backend for the card until it gives one. A failure is kept as `trouble`, and tried again."""
        attempt = 0
        while self.card is None:
            try:
                self.meet(await self.backend.describe(self.address), build)
            except (SymposiaError, OSError, ImportError) as error:
                self.trouble = str(error)
                await clock.sleep(_AGAIN_S[min(attempt, len(_AGAIN_S) - 1)])
                attempt += 1

    def meet(self, card: ModelCard, build: str) -> None:
        """Know the model from here on."""
        self.fingerprint = fingerprint(card.weights or self.address, build)
        self.card, self.trouble = card, ""
        self._known.set()

    async def known(self) -> ModelCard:
        """The card. While a model loads, requests wait as long as for a first token; then a `Fault` 503."""
        if self.card is None:
            try:
                async with asyncio.timeout(self._wait_s):
                    await self._known.wait()
            except TimeoutError:
                raise Fault(
                    "server_is_overloaded", f"model {self.name!r} is not ready yet; ask again shortly"
                ) from None
        assert self.card is not None
        return self.card


def served_models(settings: Settings, backends: Mapping[str, Backend]) -> dict[str, ServedModel]:
    """Every backend by its name; those that the settings do not name have their name as address."""
    named = {model.name: model for model in settings.served}
    for name in named:
        if name not in backends:
            raise InvalidInput(f"model {name!r} has no backend; there are {', '.join(backends) or 'none'}")
    return {
        name: ServedModel(named.get(name) or Model(name=name, address=name), backend, settings)
        for name, backend in backends.items()
    }


@lru_cache(maxsize=4096)
def _canonical(address: str) -> str:
    try:
        return canonical(address)
    except (UnknownModel, InvalidInput):  # an endpoint's, a script's: it has one spelling
        return address

"""A profile is tried on its model before it is kept."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from symposia.backends import Scripted
from symposia.core.errors import EmptySelection, InterventionNotApplied, SymposiaError, UnsupportedRequest
from symposia.core.features import needed
from symposia.core.intervention import Add
from symposia.core.profile import Profile, Sampling
from symposia.core.request import Completion, Delta, ModelCard, Prompt, Request
from symposia.store.trial import try_profile

STEERED = Profile(
    model="m",
    system="Be warm.",
    sampling=Sampling(temperature=0.3, max_tokens=9, min_tokens=3),
    interventions=(Add(vector="sha256:" + "0" * 64, layers=(1,)),),
    history="clean",
)


class Told:
    """A steerable model that notes what it is asked, and answers as it is told to."""

    def __init__(self, error: SymposiaError | None = None) -> None:
        self.asked: list[Request] = []
        self._error = error

    async def describe(self, model: str) -> ModelCard:
        return ModelCard(model=model, features=frozenset({"interventions", "read", "min_tokens"}))

    async def render(self, request: Request) -> Prompt:
        raise NotImplementedError

    async def generate(self, request: Request) -> AsyncIterator[Delta | Completion]:
        self.asked.append(request)
        if self._error is not None:
            raise self._error
        yield Delta(text="")


async def test_interventions_are_read_and_nothing_is_sampled() -> None:
    """The request has the profile's system text, interventions and history, and asks for no token."""
    backend = Told()
    await try_profile(STEERED, backend)
    (request,) = backend.asked
    assert (request.model, request.interventions, request.history) == ("m", STEERED.interventions, "clean")
    assert [line.text for line in request.lines] == ["Be warm.", "Hello.", "Hello to you.", "How are you?"]
    assert set(needed(request)) == {"interventions", "read"}


async def test_without_interventions_nothing_is_asked() -> None:
    """A profile of words and sampling loads no model."""
    backend = Told()
    await try_profile(Profile(model="m", system="Be warm."), backend)
    assert backend.asked == []


async def test_the_models_reason_is_the_refusal() -> None:
    """What the engine says of an impossible intervention is what the caller hears."""
    with pytest.raises(InterventionNotApplied, match="layer 9"):
        await try_profile(STEERED, Told(InterventionNotApplied("no layer 9")))
    with pytest.raises(UnsupportedRequest, match="interventions"):
        await try_profile(STEERED, Scripted(["hi"]))


async def test_a_selection_may_meet_nothing_yet() -> None:
    """A short talk has not every kind of token; a profile that selects others is not impossible."""
    why = EmptySelection(endpoint="engine", model="m", feature="where", way_out="say more")
    await try_profile(STEERED, Told(why))

"""Where both columns meet for notebooks and scripts: a default backend, models already loaded, activations."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from symposia.backends.endpoints import Builder, Endpoints
from symposia.core.capture import ActivationRef
from symposia.core.errors import InvalidInput, UnknownModel
from symposia.core.models import canonical
from symposia.core.profile import Participant
from symposia.core.request import Backend
from symposia.talk.caught import Caught
from symposia.talk.conversation import Conversation as TalkConversation
from symposia.talk.scenario import Scenario

if TYPE_CHECKING:
    from symposia.engine import Engines
    from symposia.interp.acts.memory import Activations

_lock = threading.Lock()
_engines: Engines | None = None
_default: Endpoints | None = None


def engines() -> Engines:
    """The process's local models, shared by every conversation; the engine is imported at the first call."""
    global _engines
    with _lock:
        if _engines is None:
            from symposia.engine import Engines

            _engines = Engines()
        return _engines


def backend_of(table: Mapping[str, Builder] | None = None) -> Endpoints:
    """A backend that routes declared endpoints to their own backends and every other address to the local engine."""
    return Endpoints(table or {}, local=engines)


def default_backend() -> Endpoints:
    """The backend conversations use when none is given; one for the process."""
    global _default
    with _lock:
        if _default is None:
            _default = backend_of()
        return _default


class Conversation(TalkConversation):
    """Participants talking, on local models unless another backend is given.

    Model addresses are stored in their canonical form, so that a short name and its Hub id make the same profile; the
    date a template may ask for is today's, fixed here and saved.
    """

    def _default_backend(self) -> Backend:
        return default_backend()

    @classmethod
    def _address(cls, model: Any, name: str) -> str:
        if isinstance(model, str):
            return model
        if isinstance(model, tuple) and len(model) == 2:
            return engines().adopt(*model, name=name)
        raise InvalidInput(
            f"model of {name!r}: expected an address or a pair (model, tokenizer); got {type(model).__name__}"
        )

    @staticmethod
    def _canonical(scenario: Scenario) -> Scenario:
        seats = tuple(_with_canonical_model(p) for p in scenario.participants)
        return msgspec.structs.replace(scenario, participants=seats)

    @staticmethod
    def _dated(scenario: Scenario) -> Scenario:
        return scenario if scenario.date else msgspec.structs.replace(scenario, date=datetime.date.today().isoformat())


def _with_canonical_model(participant: Participant) -> Participant:
    try:
        model = canonical(participant.profile.model)
    except UnknownModel:  # an address only the conversation's own backend knows
        return participant
    return msgspec.structs.replace(participant, profile=msgspec.structs.replace(participant.profile, model=model))


def activations(source: Caught | ActivationRef | TalkConversation) -> Activations:
    """The stored rows of a capture block, of one reference, or of everything a conversation's messages captured."""
    match source:
        case Caught():
            refs = source.activations
        case ActivationRef():
            refs = (source,)
        case _:
            refs = tuple(ref for m in source.transcript if m.provenance for ref in m.provenance.activations)
    return engines().store.open(refs)

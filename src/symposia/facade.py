"""Where both columns meet for notebooks and scripts: a default backend, models already loaded, activations."""

from __future__ import annotations

import datetime as dt
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from symposia.backends.endpoints import Builder, Endpoints
from symposia.core.capture import ActivationRef
from symposia.core.errors import InvalidInput, UnknownModel
from symposia.core.intervention import Ablate, Add, Gate
from symposia.core.models import canonical
from symposia.core.positions import Positions
from symposia.core.profile import Participant
from symposia.core.request import Backend
from symposia.talk import portal
from symposia.talk.caught import Caught
from symposia.talk.conversation import Conversation as TalkConversation
from symposia.talk.scenario import Scenario

if TYPE_CHECKING:
    from symposia.backends.endpoint import Remote
    from symposia.backends.hosts import Hosts
    from symposia.engine import Engines
    from symposia.interp.acts.answer import Activations
    from symposia.interp.acts.store import ActivationStore
    from symposia.interp.contrast import ContrastPair
    from symposia.interp.diagnose import Diagnosis
    from symposia.interp.dose.scores import ReadoutScore, Score
    from symposia.interp.dose.values import Design, Dose, Push
    from symposia.interp.groups import Groups
    from symposia.interp.methods import Method
    from symposia.interp.metric import Model
    from symposia.interp.prompts import Prompt
    from symposia.interp.vector import Reading, SteeringVector

Pool = Literal["mean", "last", "max", "each"]
_lock = threading.Lock()
_keeping: dict[Path, Engines] = {}


def engines() -> Engines:
    """The process's local models, shared by every conversation; the engine is imported at the first call."""
    with _lock:
        return _engines()


@cache
def _engines() -> Engines:
    from symposia.engine import Engines

    return Engines()


def engines_keeping(folder: str | Path) -> Engines:
    """The process's local models again, with what they capture kept in a folder: the one writer of it.

    They share weights and vectors with `engines()`; the folder is given back when the process ends, or by closing the
    store.
    """
    where = Path(folder).resolve()
    with _lock:
        if where not in _keeping or _keeping[where].store.closed:
            from symposia.engine import Engines
            from symposia.interp.acts.store import ActivationStore

            store = ActivationStore.open(where, write=True)
            _keeping[where] = Engines(library=_engines().library, store=store)
        return _keeping[where]


def backend_of(
    table: Mapping[str, Builder] | None = None, store: str | Path | None = None, *, hosts: Hosts | None = None
) -> Endpoints:
    """A backend that routes declared and built-in endpoints to their own backends, every other address to the engine.

    `store` is a folder for what is captured; without, it is held in memory. `hosts` makes the built-in endpoints;
    without, one that finds keys in the process's environment when a hosted model is first asked.
    """
    from symposia.backends.hosts import Hosts

    makes = Hosts(os.environ) if hosts is None else hosts
    built_in = {name: partial(makes.backend, name, one) for name, one in makes.built_in().items()}
    local = engines if store is None else partial(engines_keeping, store)
    return Endpoints({**built_in, **(table or {})}, local=local)


def keeping(folder: str | Path) -> Endpoints:
    """The backend of a conversation whose captures go to a folder: `Conversation(..., backend=keeping("acts"))`."""
    return backend_of(store=folder)


def with_endpoints(declared: Mapping[str, Remote]) -> Endpoints:
    """The backend of a conversation with endpoints of your own: `Conversation(..., backend=with_endpoints({…}))`.

    A name that is built in is replaced. Keys are looked for in the process's environment, when first needed.
    """
    from symposia.backends.hosts import Hosts

    hosts = Hosts(os.environ)
    return backend_of(
        {name: partial(hosts.backend, name, one) for name, one in declared.items()}, hosts=hosts
    )


@cache
def default_backend() -> Endpoints:
    """The backend conversations use when none is given; one for the process."""
    return backend_of()


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
            for known in _keeping.values():
                known.adopt(*model, name=name)
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
        return (
            scenario
            if scenario.date
            else msgspec.structs.replace(scenario, date=dt.datetime.now(tz=dt.UTC).date().isoformat())
        )


def _with_canonical_model(participant: Participant) -> Participant:
    try:
        model = canonical(participant.profile.model)
    except UnknownModel:  # an address only the conversation's own backend knows
        return participant
    return msgspec.structs.replace(
        participant, profile=msgspec.structs.replace(participant.profile, model=model)
    )


class Direction:
    """A fitted direction, already in the default backend's library: steer with `add`, remove with `ablate`.

    `diagnosis` is there where it was fitted here; a file keeps it layer by layer, in `vector.header.layers`.
    Every other operation takes it by `digest`: `Cap(vector=warmth.digest, high=1.0, layers=(4,))`.
    """

    def __init__(self, vector: SteeringVector, diagnosis: Diagnosis | None = None) -> None:
        self.vector, self.diagnosis = vector, diagnosis
        self.digest = engines().library.add(vector)

    @property
    def layer(self) -> int:
        """The suggested layer: best held-out AUROC. Detection is not steering, so try its neighbours too.

        `InvalidInput` for a file that says nothing of how well its layers separate: one from another tool.
        """
        from symposia.interp.diagnose import suggested

        return suggested({int(layer): notes for layer, notes in self.vector.header.layers.items()})

    def add(self, scale: float = 1.0, layers: Sequence[int] = (), *, name: str = "") -> Add:
        """Steer by `scale` class gaps (negative: the other way) while the speaker speaks."""
        named = name or self.vector.header.name
        return Add(vector=self.digest, scale=scale, layers=tuple(layers) or (self.layer,), name=named)

    def ablate(self, layers: Sequence[int] = ()) -> Ablate:
        """Remove the direction while the speaker speaks."""
        return Ablate(vector=self.digest, layers=tuple(layers) or (self.layer,), name=self.vector.header.name)

    def gate(
        self, threshold: float, over: Positions, *, layer: int | None = None, pool: Pool = "mean"
    ) -> Gate:
        """A gate that opens where the projection on the direction is above `threshold`; below the layers it governs.

        `pool="each"` decides at every position, the others once, over positions of the prompt.
        """
        at = self.layer if layer is None else layer
        return Gate(vector=self.digest, layer=at, over=over, pool=pool, threshold=threshold)

    def readout(self, layer: int | None = None) -> ReadoutScore:
        """A score for `evaluate`: where a reply's words lie between negative (0) and positive (1) examples."""
        from symposia.interp.dose.scores import ReadoutScore

        return ReadoutScore(vector=self.digest, layer=self.layer if layer is None else layer)

    def save(self, path: str | Path) -> None:
        """Write the vector file (safetensors)."""
        self.vector.save(path)


def fit(
    source: str | Path | Sequence[ContrastPair] | Groups,
    model: str | None = None,
    *,
    name: str = "direction",
    method: Method | None = None,
    read: Reading | Positions | None = None,
    store: str | Path | ActivationStore | None = None,
) -> Direction:
    """A direction at every layer, by difference of means if not otherwise.

    From contrast pairs (a JSONL file or values), read by `model`; or from `Groups` of what a store holds (a folder; by
    default what this process holds in memory): then nothing is run, and no model is loaded. `method`: one of
    `symposia.interp.methods`. `read`: how the activations are read, or only where; of pairs by default over the words
    of the answer, or `answer_start()` where it is about to begin, for pairs that differ in what the speaker is told.
    Raises `InvalidInput` for fewer than 8 samples a side, repeated ids, or a pair of identical texts.
    """
    from symposia.interp.contrast import load_pairs
    from symposia.interp.fit import fit as fit_with
    from symposia.interp.groups import Groups
    from symposia.interp.methods import DiffMean
    from symposia.interp.vector import Reading

    reading = Reading(where=read) if isinstance(read, Positions) else read
    how = method or DiffMean()
    if isinstance(source, Groups):
        with _reading(store) as place:
            made = portal.call(fit_with(source, how, store=place, read=reading, name=name))
        return Direction(made.vector, made.diagnosis)
    if model is None or store is not None:
        raise InvalidInput("contrast pairs are read by a model: name it, and no store")
    engine = engines().engine(model)
    loaded = load_pairs(source) if isinstance(source, str | Path) else tuple(source)
    asked = fit_with(loaded, how, backend=engine, inside=engine, store=engine.store, read=reading, name=name)
    made = portal.call(asked)
    return Direction(made.vector, made.diagnosis)


def local_model(address: str) -> Model:
    """A local model as `symposia.interp` asks it."""
    from symposia.interp.metric import Model

    engine = engines().engine(address)
    return Model(engine, engine.store, engine, library=engine.library)


def calibrate(
    direction: Direction,
    layers: Sequence[int],
    prompts: str | Path | Sequence[Prompt],
    *,
    target: float = 1.0,
    tokens: int = 20,
) -> Direction:
    """The direction with sizes of `unit="calibrated"` for these layers together: 1 moves the next token by `target`.

    That is the 95th percentile of the KL from the unsteered model, in nats, over the first `tokens` tokens of greedy
    replies to at least 64 prompts (a JSONL file or values). Raises `CalibrationFailed` with the points measured.
    """
    from symposia.interp.calibrate import calibrate as calibrate_vector

    of = local_model(direction.vector.header.model.name)
    asked = _prompts(prompts)
    made = portal.call(
        calibrate_vector(direction.vector, layers, asked, model=of, target=target, tokens=tokens)
    )
    return Direction(made, direction.diagnosis)


def evaluate(
    direction: Direction,
    prompts: str | Path | Sequence[Prompt],
    push: Push | Sequence[int],
    *,
    score: Score,
    design: Design | None = None,
    out: str | Path | None = None,
) -> Dose:
    """Dose and response of a direction beside its baselines; `push` may be just the layers.

    With a folder `out`, every sample is kept there as it is made, and the same call goes on where it was stopped.
    """
    from symposia.interp.dose.journal import Journal
    from symposia.interp.dose.values import Design, Push
    from symposia.interp.evaluate import evaluate as evaluate_vector

    pushed = push if isinstance(push, Push) else Push(layers=tuple(push))
    return portal.call(
        evaluate_vector(
            direction.vector,
            _prompts(prompts),
            pushed,
            model=local_model(direction.vector.header.model.name),
            score=score,
            design=design or Design(),
            journal=Journal(out),
        )
    )


def _prompts(given: str | Path | Sequence[Prompt]) -> tuple[Prompt, ...]:
    from symposia.interp.prompts import load_prompts

    return load_prompts(given) if isinstance(given, str | Path) else tuple(given)


def load_direction(path: str | Path) -> Direction:
    """A direction from a vector file, as `save` or `symposia vector` writes it. Raises `UnreadableVector`."""
    from symposia.interp.vector import load_vector

    return Direction(load_vector(path))


@contextmanager
def _reading(store: str | Path | ActivationStore | None) -> Iterator[ActivationStore]:
    """A store to read: one that is open stays so."""
    from symposia.interp.acts.store import ActivationStore

    match store:
        case None:
            yield engines().store
        case ActivationStore():
            yield store
        case _:
            with ActivationStore.open(activations_in(Path(store))) as opened:
                yield opened


def activations(
    source: Caught | ActivationRef | Sequence[ActivationRef] | TalkConversation | str | Path,
    *,
    store: str | Path | ActivationStore | None = None,
) -> Activations:
    """The stored rows of a capture block, of references, of a conversation's messages, or of a folder.

    A folder is one of activations, or of a run that has some. References are looked for in what this process holds or
    writes; `store` is another place, as for a conversation that was loaded.
    """
    from symposia.interp.acts.store import ActivationStore, of_stores

    match source:
        case str() | Path():
            return ActivationStore.open(activations_in(Path(source))).query()
        case Caught():
            refs = source.activations
        case ActivationRef():
            refs = (source,)
        case TalkConversation():
            refs = tuple(ref for m in source.transcript if m.provenance for ref in m.provenance.activations)
        case _:
            refs = tuple(source)
    match store:
        case None:
            kept = (each.store for each in _keeping.values())
            stores = [engines().store, *(each for each in kept if not each.closed)]
        case ActivationStore():
            stores = [store]
        case _:
            stores = [ActivationStore.open(activations_in(Path(store)))]
    return of_stores(refs, stores)


def activations_in(folder: Path) -> Path:
    """The folder itself, or that of a run's activations."""
    inside = folder / "activations"
    return inside if (inside / "format.json").exists() else folder

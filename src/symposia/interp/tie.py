"""From an intervention to its terms, gate and schedule on one loaded model; everything it cannot do is refused here."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

from symposia.core.capture import Site
from symposia.core.errors import (
    EmptySelection,
    InvalidIntervention,
    SiteUnsupported,
    UnsupportedRequest,
)
from symposia.core.intervention import Gate, Intervention, Replace, vectors_of
from symposia.core.positions import members
from symposia.core.value import digest

from .acts.record import NoActivation
from .acts.store import ActivationStore
from .gates import Decisions, PooledGate
from .library import Library
from .ops import Place, Source, Term, direction, identity, term_of
from .plan import Bound, EachGate, RowPlan
from .schedule import Clock
from .select import Scene, Selector
from .taps import ModelShape, SiteMap
from .vector import SteeringVector

_RESIDUAL: tuple[Site, ...] = ("resid_pre", "resid_mid", "resid_post")
_MOST_TIED = 1024


@dataclass(frozen=True, kw_only=True)
class _Tied:
    """What an intervention comes to on this model, whatever the prompt."""

    layers: tuple[int, ...]
    terms: dict[int, Term]
    identity: tuple[object, ...]
    digest: str
    vector: str
    template_differs: bool


@dataclass(frozen=True)
class Tying:
    """Knows one model, the vector files in reach, captured rows, and what gates have decided before."""

    shape: ModelShape
    sites: SiteMap
    library: Library
    store: ActivationStore | None = None
    decisions: Decisions = field(default_factory=Decisions)
    _tied: dict[object, _Tied] = field(default_factory=dict)

    def bound(
        self,
        edit: Intervention,
        scene: Scene,
        *,
        prompt: frozenset[int] | None,
        follow: Selector | None,
        kept_out: frozenset[int] = frozenset(),
        past_turn: int | None = None,
    ) -> Bound:
        """The intervention on this model; `prompt` are its positions there, None: those of a `replace`'s pairs.

        `kept_out` are prompt positions that it leaves alone.
        """
        source, pairs = self._source(edit)
        tied = self._once(edit, source)
        chosen = frozenset(p for p in pairs if p < len(scene.token_ids)) if prompt is None else prompt
        pooled = each = None
        if edit.gate is not None:
            if edit.gate.pool == "each":
                each = self._each(edit, edit.gate, min(tied.layers))
            else:
                pooled = self._pooled(edit.gate, scene, min(tied.layers))
                chosen = frozenset(p for p in chosen if p >= pooled.last)
        return Bound(
            intervention=edit,
            digest=tied.digest,
            vector=tied.vector,
            terms=tied.terms,
            identity=tied.identity,
            prompt=chosen - kept_out,
            follow=follow,
            pairs=pairs,
            clock=None
            if edit.schedule is None
            else Clock(edit.schedule, scene.spans, reader=scene.reader, turn=scene.turn),
            pooled=pooled,
            each=each,
            template_differs=tied.template_differs,
            past_turn=past_turn,
        )

    def _once(self, edit: Intervention, source: Source) -> _Tied:
        """Made once for each intervention and the files it names; captured rows may be dropped and are not kept."""
        if isinstance(edit, Replace):
            return self._tie(edit, source)
        key = (edit, *(vector.digest for vector in source.vectors.values()))
        tied = self._tied.get(key)
        if tied is None:
            if len(self._tied) >= _MOST_TIED:
                self._tied.clear()
            tied = self._tied[key] = self._tie(edit, source)
        return tied

    def _tie(self, edit: Intervention, source: Source) -> _Tied:
        layers = self._layers(edit, source)
        terms = {
            layer: term_of(edit, source, Place(layer, *self._sizes(edit.site, layer))) for layer in layers
        }
        if isinstance(edit, Replace):
            self._check_rows(edit, layers)
        templates = {vector.header.template for vector in source.vectors.values()} - {""}
        return _Tied(
            layers=layers,
            terms=terms,
            identity=identity(
                edit, source, layers, self.shape.layers - 1 if edit.site == "resid_post" else None
            ),
            digest=digest(edit),
            vector=_named(edit, source),
            template_differs=bool(templates - {self.shape.template}),
        )

    def settle(self, plan: RowPlan, scene: Scene) -> None:
        """Gates whose states were pooled before, of the same tokens under the same writes, are decided at once."""
        for bound in plan.bounds:
            gate = bound.pooled
            if gate is None or not bound.waits:
                continue
            others = {
                i for i, b in enumerate(plan.bounds) if b is not bound and min(b.terms) <= gate.gate.layer
            }
            if any(plan.bounds[i].waits for i in others):
                continue
            wrote = [
                [(plan.bounds[a.bound].identity, a.m, a.row) for a in plan.acting(p) if a.bound in others]
                for p in range(gate.last + 1)
            ]
            known = (bound.intervention.gate, gate.over, scene.token_ids[: gate.last + 1], wrote)
            gate.remember(self.decisions, hashlib.sha256(repr(known).encode()).digest())

    def vector(self, name: str, site: Site, layers: Sequence[int], *, foreign: bool) -> SteeringVector:
        """A vector file that fits the site at those layers. Raises `VectorNotFound` or `InvalidIntervention`."""
        vector = self.library.require(name, self.shape.name)
        fitted = vector.header.model
        for layer in layers or vector.layers:
            self.check_layers(site, (layer,))
            if vector.header.kind != "means" and fitted.width != (width := self.sites.width_at(site, layer)):
                heads = self.sites.heads_at(site, layer)
                by = f" ({heads} heads of {width // heads}, side by side)" if heads else ""
                raise InvalidIntervention(
                    f"vector {vector.header.name!r} has width {fitted.width}; {site} {layer} of {self.shape.name} "
                    f"has {width}{by}; fit it on that site"
                )
        if fitted.digest != self.shape.digest and not foreign:
            raise self.lacks(
                f"vector {vector.header.name}",
                f"it was fitted on {fitted.name}, other weights; say foreign=True to use it here",
            )
        return vector

    def check_layers(self, site: Site, layers: Sequence[int]) -> None:
        """`SiteUnsupported` for a layer that is none, or at which the site is not believed."""
        for layer in layers:
            if not 0 <= layer < self.shape.layers:
                raise SiteUnsupported(
                    endpoint="engine",
                    model=self.shape.name,
                    feature=f"layer {layer}",
                    why=f"expected 0..{self.shape.layers - 1}",
                    way_out="layers are block indexes, the first is 0",
                )
            if layer not in self.sites.supported[site]:
                raise SiteUnsupported(
                    endpoint="engine",
                    model=self.shape.name,
                    feature=f"site {site} at layer {layer}",
                    why="the layer has none, or its self-test at load did not pass",
                    way_out=f"see `symposia lens check`; layers that passed: {self.sites.supported[site]}",
                )

    def lacks(self, feature: str, way_out: str) -> UnsupportedRequest:
        """A refusal."""
        return UnsupportedRequest(endpoint="engine", model=self.shape.name, feature=feature, way_out=way_out)

    def _sizes(self, site: Site, layer: int) -> tuple[int, int]:
        return self.sites.heads_at(site, layer), self.sites.width_at(site, layer)

    def _source(self, edit: Intervention) -> tuple[Source, dict[int, int]]:
        vectors = {
            name: self.vector(name, edit.site, edit.layers, foreign=edit.foreign) for name in _own(edit)
        }
        if edit.gate is not None:
            gate = self.library.require(edit.gate.vector, self.shape.name)
            vectors.setdefault(edit.gate.vector, gate)
        if not isinstance(edit, Replace):
            return Source(vectors), {}
        rows, pairs = self._rows(edit)
        return Source(vectors, rows, edit.source.digest), pairs

    def _rows(self, edit: Replace) -> tuple[dict[int, Tensor], dict[int, int]]:
        """Rows by source position, and the source position of each position written."""
        ref = edit.source
        if self.store is None:
            raise self.lacks("replace", "captured rows need an activation store")
        try:
            rows = self.store.at(ref)
            model = self.store.of([ref]).records[0].source.model
        except NoActivation as error:
            raise self.lacks(f"replace from {ref.record or 'no record'}", str(error)) from error
        if model != self.shape.digest and not edit.foreign:
            raise self.lacks(
                "replace", "its rows were captured on other weights; say foreign=True to use them"
            )
        if ref.site != edit.site:
            raise InvalidIntervention(f"replace at {edit.site}: its rows were captured at {ref.site}")
        positions = members(ref.runs)
        if len(positions) != len(rows):
            raise InvalidIntervention(
                f"replace needs one captured row for each position; {ref.record} has {len(rows)} rows for "
                f"{len(positions)} positions: capture with reduce=Keep()"
            )
        asked = dict.fromkeys(source for source, _ in edit.pairs)
        if strange := sorted(set(asked) - set(positions)):
            raise InvalidIntervention(
                f"replace from position {strange[0]}: {ref.record} holds positions {ref.runs}"
            )
        if ref.site == "router" and rows.dim() == 3:
            rows = rows[:, 0]  # logits; the weights beside them follow
        at = {position: i for i, position in enumerate(positions)}
        return {p: rows[at[p]].flatten() for p in asked}, {to: source for source, to in edit.pairs}

    def _check_rows(self, edit: Replace, layers: Sequence[int]) -> None:
        sizes = edit.source.shape[-1:] if edit.site == "router" else edit.source.shape[1:]
        for layer in layers:
            width = self.sites.width_at(edit.site, layer)
            if math.prod(sizes) != width:
                raise InvalidIntervention(
                    f"replace at {edit.site} {layer}: expected rows of {width} numbers; "
                    f"{edit.source.record} has {list(sizes)}"
                )

    def _layers(self, edit: Intervention, source: Source) -> tuple[int, ...]:
        layers = edit.layers
        if not layers and isinstance(edit, Replace) and edit.source.layer is not None:
            layers = (edit.source.layer,)
        if not layers and (names := _own(edit)):
            layers = source.vectors[names[0]].layers
        if not layers:
            raise InvalidIntervention(
                f"{type(edit).__name__.lower()} needs layers out of 0..{self.shape.layers - 1}; got none"
            )
        self.check_layers(edit.site, layers)
        return layers

    def _each(self, edit: Intervention, gate: Gate, first: int) -> EachGate:
        here = gate.layer == first and edit.site in _RESIDUAL
        if not here and gate.layer >= first:
            raise InvalidIntervention(
                f"a gate on {edit.site} from layer {first} on must read a layer below it; it reads {gate.layer}"
            )
        site: Site = edit.site if here else "resid_post"
        self.check_layers(site, (gate.layer,))
        vector = self._gate_vector(gate)
        return EachGate(point=(site, gate.layer), direction=direction(vector, gate.layer, "a gate"))

    def _pooled(self, gate: Gate, scene: Scene, first: int) -> PooledGate:
        if gate.layer >= first:
            raise InvalidIntervention(
                f"a gate with pool {gate.pool!r} must read a layer below {first}, the first one it governs; "
                f"it reads {gate.layer}"
            )
        self.check_layers("resid_post", (gate.layer,))
        scene.check(gate.over, self.shape.name)
        over = scene.resolve(gate.over.any) - scene.resolve(gate.over.minus)
        if not over:
            raise EmptySelection(
                endpoint="engine",
                model=self.shape.name,
                feature=f"gate over {gate.over}",
                why="it selects no given token, and a gate that pools decides on given ones",
                way_out="choose positions of the prompt, or pool='each'",
            )
        vector = self._gate_vector(gate)
        return PooledGate(gate, sorted(over), direction(vector, gate.layer, "a gate").values_D)

    def _gate_vector(self, gate: Gate) -> SteeringVector:
        return self.vector(gate.vector, "resid_post", (gate.layer,), foreign=False)


def _named(edit: Intervention, source: Source) -> str:
    """The digest that a receipt names: of the vector file, or of captured rows."""
    own = _own(edit)
    return source.vectors[own[0]].digest if own else source.digest


def _own(edit: Intervention) -> tuple[str, ...]:
    """Vector files it writes with; not its gate's."""
    names = vectors_of(edit)
    return names if edit.gate is None else names[:-1]

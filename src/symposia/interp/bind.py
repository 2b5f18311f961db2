"""Refuse before the first token, or tie a request's interventions and captures to one loaded model.

Checked in order: structure, site and layer, vector known, of this width and model, given selectors, capture bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from symposia.core.capture import Capture, Keep, Project
from symposia.core.errors import InvalidIntervention, SiteUnsupported
from symposia.core.intervention import Intervention, Replace
from symposia.core.receipt import History
from symposia.core.request import PastTurn
from symposia.core.span import Span

from .acts.store import ActivationStore
from .history import as_made, history_positions
from .library import Library
from .plan import Bound, BoundCapture, RowPlan
from .select import Scene, Selector
from .taps import LAYERLESS, UNWRITTEN, ModelShape, SiteMap
from .tie import Tying
from .vector import SteeringVector

_BYTES = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a request asks of the inside. `following`: the span of the first generated token; None for a read."""

    interventions: tuple[Intervention, ...]
    captures: tuple[Capture, ...]
    history: History
    past: tuple[PastTurn, ...]
    following: Span | None
    may_make: int


@dataclass(frozen=True)
class Binder:
    """Binds wishes to one model; `store` holds the rows that a `replace` writes."""

    shape: ModelShape
    sites: SiteMap
    library: Library
    store: ActivationStore | None = None

    @cached_property
    def _tying(self) -> Tying:
        return Tying(self.shape, self.sites, self.library, self.store)

    def bind(self, wish: Wish, scene: Scene, free_bytes: int) -> RowPlan:
        """The row's plan. Raises `UnsupportedRequest` and its children, or `InvalidIntervention`."""
        for intervention in (*wish.interventions, *(i for past in wish.past for i in past.interventions)):
            self._check_edit(intervention)
        for capture in wish.captures:
            self._check_capture(capture)
        edits = (i for i in wish.interventions if not isinstance(i, Replace))
        for positions in (*(i.where for i in edits), *(c.where for c in wish.captures)):
            scene.check(positions, self.shape.name)
        bounds = [bound for past in self._kept(wish) for bound in self._past(past, scene)]
        own = history_positions(scene) if wish.history != "scoped" else frozenset()
        bounds += [self._bound(edit, scene, wish.following, own) for edit in wish.interventions]
        captures = [self._capture(c, scene, wish.following) for c in wish.captures]
        self._check_bytes(captures, wish.may_make, len(scene.token_ids) + wish.may_make, free_bytes)
        plan = RowPlan(bounds, captures, len(scene.token_ids), scene.specials)
        self._tying.settle(plan, scene)
        return plan

    def _check_edit(self, edit: Intervention) -> None:
        known = self.sites.supported
        if edit.site not in known or edit.site in UNWRITTEN:
            raise self._no_site(edit.site, self.sites.writable, "written")
        self._tying.check_layers(edit.site, edit.layers)

    def _check_capture(self, capture: Capture) -> None:
        if capture.site not in self.sites.readable:
            raise self._no_site(capture.site, self.sites.readable, "read")
        if capture.site not in LAYERLESS and not capture.layers:
            raise InvalidIntervention(
                f"capture of {capture.site} needs layers out of 0..{self.shape.layers - 1}; got none"
            )
        if isinstance(capture.reduce, Project):
            if capture.site in LAYERLESS:
                raise self._tying.lacks(f"project at {capture.site}", "project at resid_pre or resid_post")
            if capture.site in ("pattern", "router"):
                raise self._tying.lacks(f"project at {capture.site}", "keep or pool its rows")
            if capture.heads:
                raise self._tying.lacks("heads with project", "give a vector that is zero at the other heads")
        self._tying.check_layers(capture.site, capture.layers)
        for layer in capture.layers:
            known = self.sites.heads_at(capture.site, layer)
            if strange := [head for head in capture.heads if head >= known]:
                raise InvalidIntervention(
                    f"{capture.site} {layer}: expected heads 0..{known - 1}; got {strange}"
                )

    def _bound(self, edit: Intervention, scene: Scene, following: Span | None, own: frozenset[int]) -> Bound:
        if isinstance(edit, Replace):
            return self._tying.bound(edit, scene, prompt=None, follow=None, kept_out=own)
        selector = Selector(edit.where, scene, following)
        if edit.gate is not None and edit.gate.pool != "each":
            own = history_positions(scene)  # the gate is this turn's
        return self._tying.bound(edit, scene, prompt=selector.prompt, follow=selector, kept_out=own)

    def _kept(self, wish: Wish) -> tuple[PastTurn, ...]:
        return tuple(sorted(wish.past, key=lambda past: past.turn)) if wish.history == "keep" else ()

    def _past(self, past: PastTurn, scene: Scene) -> list[Bound]:
        """An earlier turn's interventions, each with the answer that its gate gave then."""
        then, own = as_made(scene, past.turn)
        readings = iter(past.gates)
        made = []
        for edit in past.interventions:
            reading = next(readings, None) if edit.gate is not None else None
            prompt = None if isinstance(edit, Replace) else Selector(edit.where, then, None).prompt & own
            bound = self._tying.bound(edit, then, prompt=prompt, follow=None, past_turn=past.turn)
            if bound.pooled is not None:
                if reading is None:
                    raise self._tying.lacks(
                        f"history=keep of turn {past.turn}",
                        "its gate's decision was not kept with the message; use history='clean'",
                    )
                bound.pooled.replay(reading)
            made.append(bound)
        return made

    def _capture(self, capture: Capture, scene: Scene, following: Span | None) -> BoundCapture:
        selector = Selector(capture.where, scene, following)
        layers: tuple[int | None, ...] = capture.layers or (None,)
        if not isinstance(capture.reduce, Project):
            heads = {layer: self.sites.heads_at(capture.site, layer) for layer in layers}
            return BoundCapture(capture=capture, layers=layers, selector=selector, heads=heads)
        vector = self._tying.vector(capture.reduce.vector, capture.site, capture.layers, foreign=False)
        for layer in capture.layers:
            if layer not in vector.directions or vector.directions[layer].dim() != 1:
                raise InvalidIntervention(
                    f"vector {vector.header.name!r} has no single direction at layer {layer}"
                )
            if capture.reduce.measure == "zscore" and vector.notes(layer).projection is None:
                raise self._tying.lacks(
                    "measure=zscore",
                    f"vector {vector.header.name} holds no projection mean and sd; fit it anew",
                )
        rows = vector.directions
        if capture.reduce.measure == "probability":
            rows = {layer: self._probe(vector, layer) for layer in capture.layers}
        return BoundCapture(capture=capture, layers=layers, selector=selector, vector=rows, source=vector)

    def _probe(self, vector: SteeringVector, layer: int) -> Tensor:
        if f"probe.{layer}.weight" not in vector.tensors:
            raise self._tying.lacks(
                "measure=probability",
                f"vector {vector.header.name} holds no probe at layer {layer}; fit it with the method logistic",
            )
        return vector.tensors[f"probe.{layer}.weight"]

    def _check_bytes(self, captures: Sequence[BoundCapture], may_make: int, length: int, free: int) -> None:
        total = 0
        for bound in captures:
            if isinstance(bound.capture.reduce, Keep):
                size = _BYTES[self.shape.dtype if bound.capture.dtype == "model" else bound.capture.dtype]
                width = sum(self._kept_width(bound.capture, layer) for layer in bound.layers)
                keys = length if bound.capture.site == "pattern" else 1
                total += (len(bound.selector.prompt) + may_make) * width * size * keys
        if total > free:
            raise self._tying.lacks(
                f"captures of up to {total:,} bytes",
                f"the activation store has {free:,} free; narrow them or drop records",
            )

    def _kept_width(self, capture: Capture, layer: int | None) -> int:
        width, heads = self.sites.width_at(capture.site, layer), self.sites.heads_at(capture.site, layer)
        if capture.site == "router":
            return 2 * width
        return width // heads * len(capture.heads) if heads and capture.heads else width

    def _no_site(self, site: str, known: Sequence[str], done: str) -> SiteUnsupported:
        return SiteUnsupported(
            endpoint="engine",
            model=self.shape.name,
            feature=f"site {site}",
            way_out=f"sites that can be {done}: {', '.join(known) or 'none'}",
        )

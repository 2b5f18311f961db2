"""Refuse before the first token, or tie a request's interventions and captures to one loaded model.

Checked in order: structure, site and layer, vector known, of this width and model, given selectors, capture bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from symposia.core.capture import Capture, Keep, Project, Site
from symposia.core.errors import InvalidIntervention, SiteUnsupported, UnsupportedRequest
from symposia.core.intervention import Ablate, Add, Intervention
from symposia.core.receipt import History
from symposia.core.request import PastTurn
from symposia.core.span import Span

from .library import Library
from .ops import identity, terms_of
from .plan import Bound, BoundCapture, RowPlan
from .select import Scene, Selector
from .taps import LAYERLESS, ModelShape, SiteMap
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
    """Binds wishes to one model."""

    shape: ModelShape
    sites: SiteMap
    library: Library

    def bind(self, wish: Wish, scene: Scene, free_bytes: int) -> RowPlan:
        """The row's plan. Raises `UnsupportedRequest` and its children, or `InvalidIntervention`."""
        for intervention in (*wish.interventions, *(i for past in wish.past for i in past.interventions)):
            self._check_edit(intervention)
        for capture in wish.captures:
            self._check_capture(capture)
        for positions in (*(i.where for i in wish.interventions), *(c.where for c in wish.captures)):
            scene.check(positions, self.shape.name)
        bounds = [bound for past in self._kept(wish) for bound in self._past(past, scene)]
        own = history_positions(scene) if wish.history != "scoped" else frozenset()
        bounds += [self._bound(i, scene, wish.following, own) for i in wish.interventions]
        captures = [self._capture(c, scene, wish.following) for c in wish.captures]
        self._check_bytes(captures, wish.may_make, len(scene.token_ids) + wish.may_make, free_bytes)
        return RowPlan(bounds, captures, len(scene.token_ids))

    def _check_edit(self, edit: Intervention) -> None:
        for feature, asked in (("gate", edit.gate), ("schedule", edit.schedule)):
            if asked is not None:
                raise self._lacks(
                    feature, "this engine applies interventions ungated and constant; leave it out"
                )
        if edit.norm != "free":
            raise self._lacks(f"norm={edit.norm}", "use norm='free'")
        if not isinstance(edit, Add | Ablate):
            raise self._lacks(f"op={type(edit).__name__.lower()}", "this engine has add and ablate")
        if edit.site not in self.sites.writable:
            raise self._no_site(edit.site, self.sites.writable, "written")
        self._check_layers(edit.site, edit.layers)

    def _check_capture(self, capture: Capture) -> None:
        if capture.site not in self.sites.readable:
            raise self._no_site(capture.site, self.sites.readable, "read")
        if capture.site not in LAYERLESS and not capture.layers:
            raise InvalidIntervention(
                f"capture of {capture.site} needs layers out of 0..{self.shape.layers - 1}; got none"
            )
        if isinstance(capture.reduce, Project):
            if capture.site in LAYERLESS:
                raise self._lacks(f"project at {capture.site}", "project at resid_pre or resid_post")
            if capture.site in ("pattern", "router"):
                raise self._lacks(f"project at {capture.site}", "keep or pool its rows")
            if capture.heads:
                raise self._lacks("heads with project", "give a vector that is zero at the other heads")
            if capture.reduce.measure == "probability":
                raise self._lacks("measure=probability", "probe files are not read yet; use projection")
        self._check_layers(capture.site, capture.layers)
        for layer in capture.layers:
            known = self.sites.heads_at(capture.site, layer)
            if strange := [head for head in capture.heads if head >= known]:
                raise InvalidIntervention(
                    f"{capture.site} {layer}: expected heads 0..{known - 1}; got {strange}"
                )

    def _check_layers(self, site: Site, layers: Sequence[int]) -> None:
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

    def _vector(self, name: str, site: Site, layers: Sequence[int], *, foreign: bool) -> SteeringVector:
        vector = self.library.require(name, self.shape.name)
        fitted = vector.header.model
        for layer in layers or vector.layers:
            self._check_layers(site, (layer,))
            if fitted.width != (width := self.sites.width_at(site, layer)):
                heads = self.sites.heads_at(site, layer)
                by = f" ({heads} heads of {width // heads}, side by side)" if heads else ""
                raise InvalidIntervention(
                    f"vector {vector.header.name!r} has width {fitted.width}; {site} {layer} of {self.shape.name} "
                    f"has {width}{by}; fit it on that site"
                )
        if fitted.digest != self.shape.digest and not foreign:
            raise self._lacks(
                f"vector {vector.header.name}",
                f"it was fitted on {fitted.name}, other weights; say foreign=True to use it here",
            )
        return vector

    def _bound(self, edit: Intervention, scene: Scene, following: Span | None, own: frozenset[int]) -> Bound:
        selector = Selector(edit.where, scene, following)
        return self._tied(edit, prompt=selector.prompt - own, follow=selector, past_turn=None)

    def _tied(
        self, edit: Intervention, *, prompt: frozenset[int], follow: Selector | None, past_turn: int | None
    ) -> Bound:
        assert isinstance(edit, Add | Ablate)
        vector = self._vector(edit.vector, edit.site, edit.layers, foreign=edit.foreign)
        layers = edit.layers or vector.layers
        blind = self.shape.layers - 1 if edit.site == "resid_post" else None
        return Bound(
            intervention=edit,
            vector=vector.digest,
            terms=terms_of(edit, vector, layers),
            identity=identity(edit, vector.digest, layers, blind),
            prompt=prompt,
            follow=follow,
            template_differs=bool(vector.header.template) and vector.header.template != self.shape.template,
            past_turn=past_turn,
        )

    def _kept(self, wish: Wish) -> tuple[PastTurn, ...]:
        if wish.history != "keep":
            return ()
        for past in wish.past:
            if past.gates:
                raise self._lacks("past gates", "gated turns cannot be replayed yet; use history='clean'")
        return tuple(sorted(wish.past, key=lambda past: past.turn))

    def _past(self, past: PastTurn, scene: Scene) -> list[Bound]:
        then, own = as_made(scene, past.turn)
        return [
            self._tied(
                edit, prompt=Selector(edit.where, then, None).prompt & own, follow=None, past_turn=past.turn
            )
            for edit in past.interventions
        ]

    def _capture(self, capture: Capture, scene: Scene, following: Span | None) -> BoundCapture:
        selector = Selector(capture.where, scene, following)
        layers: tuple[int | None, ...] = capture.layers or (None,)
        if not isinstance(capture.reduce, Project):
            heads = {layer: self.sites.heads_at(capture.site, layer) for layer in layers}
            return BoundCapture(capture=capture, layers=layers, selector=selector, heads=heads)
        vector = self._vector(capture.reduce.vector, capture.site, capture.layers, foreign=False)
        for layer in capture.layers:
            if layer not in vector.directions or vector.directions[layer].dim() != 1:
                raise InvalidIntervention(
                    f"vector {vector.header.name!r} has no single direction at layer {layer}"
                )
            if capture.reduce.measure == "zscore" and vector.notes(layer).projection is None:
                raise self._lacks(
                    "measure=zscore",
                    f"vector {vector.header.name} holds no projection mean and sd; fit it anew",
                )
        return BoundCapture(
            capture=capture, layers=layers, selector=selector, vector=vector.directions, source=vector
        )

    def _check_bytes(self, captures: Sequence[BoundCapture], may_make: int, length: int, free: int) -> None:
        total = 0
        for bound in captures:
            if isinstance(bound.capture.reduce, Keep):
                size = _BYTES[self.shape.dtype if bound.capture.dtype == "model" else bound.capture.dtype]
                width = sum(self._kept_width(bound.capture, layer) for layer in bound.layers)
                keys = length if bound.capture.site == "pattern" else 1
                total += (len(bound.selector.prompt) + may_make) * width * size * keys
        if total > free:
            raise self._lacks(
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

    def _lacks(self, feature: str, way_out: str) -> UnsupportedRequest:
        return UnsupportedRequest(endpoint="engine", model=self.shape.name, feature=feature, way_out=way_out)


def history_positions(scene: Scene) -> frozenset[int]:
    """Positions of the reader's own earlier turns, each run with the markup position that makes its first token."""
    return frozenset().union(
        *(_own(scene, span.turn) for span in scene.spans if span.turn is not None and span.turn < scene.turn)
    )


def as_made(scene: Scene, turn: int) -> tuple[Scene, frozenset[int]]:
    """The sequence as it was when own turn `turn` had just been made, and that turn's positions, lead included."""
    own = _own(scene, turn)
    stop = max(own, default=-1) + 1
    spans = tuple(
        msgspec.structs.replace(span, generated=True) if _is_own(span, scene, turn) else span
        for span in scene.spans
        if span.stop <= stop
    )
    then = Scene(
        spans=spans,
        token_ids=scene.token_ids[:stop],
        reader=scene.reader,
        turn=turn,
        specials=scene.specials,
        find=scene.find,
    )
    return then, own


def _is_own(span: Span, scene: Scene, turn: int) -> bool:
    return span.author == scene.reader and span.turn == turn and span.role == "assistant"


def _own(scene: Scene, turn: int | None) -> frozenset[int]:
    found: set[int] = set()
    for before, span in zip((None, *scene.spans), scene.spans, strict=False):
        if turn is not None and _is_own(span, scene, turn):
            found.update(range(span.start, span.stop))
            if before is not None and before.phase == "markup":
                found.add(span.start - 1)
    return frozenset(found)

"""At load: six forwards over two short rows decide which sites are believed (`interp.check` says how).

A model with experts takes a seventh, which writes at its routers.

Results are kept for as long as the process lives, by the model's digest and everything that runs it.

Axes: T flat tokens of both rows, V vocabulary, D a site's width.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

import torch
from torch import Tensor

from symposia.core.capture import Capture, Site
from symposia.core.errors import ArchitectureNotUnderstood, InterventionNotApplied
from symposia.core.intervention import Add
from symposia.core.positions import Positions, Range, Where, everything
from symposia.core.span import Span
from symposia.interp import check
from symposia.interp.anatomy import Parts
from symposia.interp.apply import StepWork
from symposia.interp.bind import Binder, Wish
from symposia.interp.check import Check, Rows, Written
from symposia.interp.kit import Kit
from symposia.interp.library import Library
from symposia.interp.plan import RowPlan
from symposia.interp.planner import RowStep
from symposia.interp.select import Scene
from symposia.interp.taps import BLOCK_SITES, WITHIN, ModelShape, SiteMap
from symposia.interp.vector import FittedOn, Header, LayerNotes, SteeringVector

from .loading import Loaded
from .logprobs import work_dtype
from .memory import ran_out
from .runner import Batch, RowView, Runner
from .runner.hf import is_small, single_threaded

_ROWS = (24, 17)
_SHARE = 0.25  # of a row's own length: far above the bars, and harmless through many layers
_UNLIMITED = 1 << 62
_LACKS = {"router": "no experts here"}
_ATTENTION: tuple[Site, ...] = (*WITHIN, "z", "router")


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is tested: a runner of a loaded model, `blocks` of `size` positions free for it.

    `runner_name` tells apart all ways of running the same weights.
    """

    loaded: Loaded
    parts: Parts
    runner: Runner
    runner_name: str
    shape: ModelShape
    sites: SiteMap
    blocks: int
    size: int
    window: int


@dataclass(frozen=True)
class _Seen:
    """A forward's logits of every token, and what was captured there."""

    logits_TV: Tensor
    before: Rows
    after: Rows


class _Results:
    """Checks by identity; two loads of one model wait for each other."""

    def __init__(self) -> None:
        self._known: dict[object, tuple[Check, ...]] = {}
        self._guard = threading.Lock()

    def of(self, subject: Subject) -> tuple[Check, ...]:
        shape, device = subject.shape, str(subject.loaded.device)
        versions = tuple(version(name) for name in ("torch", "transformers", "symposia"))
        identity = (shape.digest, shape.dtype, device, subject.runner_name, versions, _lengths(subject))
        with self._guard:
            if identity not in self._known:
                self._known[identity] = _SelfTest(subject).run()
            return self._known[identity]


_RESULTS = _Results()


def self_test(subject: Subject) -> tuple[Check, ...]:
    """Every check of a model. `SelfTestsFailed` if one failed without which nothing inside can be believed."""
    checks = _RESULTS.of(subject)
    check.require(checks, subject.shape.type)
    return checks


def _lengths(subject: Subject) -> tuple[int, int]:
    room = subject.blocks // 2 * subject.size
    return min(_ROWS[0], room, subject.window), min(_ROWS[1], room, subject.window)


class _SelfTest:
    def __init__(self, subject: Subject) -> None:
        self._of = subject
        self._lengths = _lengths(subject)
        self._layers = subject.shape.layers
        device = subject.loaded.device
        self._kit = Kit.of(
            subject.sites.widest, work_dtype(subject.loaded.dtype), device, writer=subject.runner.writer
        )
        self._library = Library()
        self._binder = Binder(subject.shape, subject.sites, self._library)
        generator = torch.Generator().manual_seed(0)
        vocabulary = subject.shape.vocabulary
        self._ids: list[list[int]] = [
            torch.randint(vocabulary, (n,), generator=generator).tolist() for n in self._lengths
        ]
        self._vectors = {site: self._directions(site, generator) for site in BLOCK_SITES}
        self._bar = check.BARS[subject.loaded.dtype]

    def run(self) -> tuple[Check, ...]:
        if min(self._lengths) < 4:
            reason = f"{self._of.blocks * self._of.size} positions of K/V hold no two rows of 4"
            return tuple(check.absent(name, reason) for name in check.ALL)
        loaded = self._of.loaded
        quiet = single_threaded(is_small(loaded.model))
        with loaded.lock, loaded.projections.whole(), torch.no_grad(), quiet:
            try:
                found = self._checks()
            except (
                InterventionNotApplied,
                RuntimeError,
            ) as error:  # RuntimeError: torch, of tensors that do not fit
                if ran_out(error):
                    raise
                found = check.whole("effect", math.nan, self._bar, str(error))
        missing = [name for name in check.ALL if name not in {one.name for one in found}]
        return (*found, *(check.absent(name, _LACKS.get(name, "not run")) for name in missing))

    def _checks(self) -> tuple[Check, ...]:
        n = self._lengths[0]
        at = (n // 2, n - 1)
        clean, neutral = self._forward(reads=True), self._forward(scale=0.0)
        decoded_V = self._decoded(at)  # over the K/V of the clean forward: what it does not write would show
        steered = self._forward(scale=_SHARE, at=at, reads=True)
        return (
            *self._as_built(clean),
            *self._within(),
            *self._as_written(clean, neutral, steered, at),
            *check.whole(
                "decode",
                check.relative(decoded_V, steered.logits_TV[n - 1]),
                self._bar,
                "a decode step differs from the same token in a prefill",
            ),
        )

    def _within(self) -> tuple[Check, ...]:
        """What is within attention and the MLP; a forward of its own, since a runner may go another way past it."""
        seen = self._looked((), _ATTENTION)
        patterns, routers = check.patterns(seen, self._layers), check.routers(seen[0])
        if routers:
            routed = self._directions("router", torch.Generator().manual_seed(1))
            edits = (
                Add(vector=routed.digest, site="router", scale=2.0, unit="relative", where=everything()),
            )
            try:
                written = check.routers(self._looked(edits, ("router",))[0])
            except ArchitectureNotUnderstood:  # the router took no product that can be written
                written = dict.fromkeys(routers, math.nan)
            routers = {layer: check.worst(error, written[layer]) for layer, error in routers.items()}
        return (
            *check.judged("pattern", patterns, self._bar, "z is not the values weighed by the pattern"),
            *check.judged("router", routers, 0.0, "the experts chosen are not those of the largest logits"),
        )

    def _looked(self, edits: tuple[Add, ...], sites: Sequence[Site]) -> list[dict[tuple[Site, int], Tensor]]:
        """What one forward leaves at some sites, row by row of the batch."""
        plans = [self._plan(row, edits, sites) for row in (0, 1)]
        n, m = self._lengths
        self._pass([RowStep(plans[0], 0, n, 0, 0), RowStep(plans[1], 0, m, n, 0)])
        seen = [_caught([plan], "after") for plan in plans]
        self._close(plans)
        return seen

    def _as_built(self, clean: _Seen) -> tuple[Check, ...]:
        """What one forward without writing shows."""
        rows, n, bar, parts = clean.after, self._layers, self._bar, self._of.parts
        heads = {
            i: check.relative(parts.attention_term(i, rows["z", i]), rows["attn_out", i]) for i in range(n)
        }
        mlp = {
            i: check.relative(parts.mlp_term(i, rows["resid_mid", i]), rows["mlp_out", i]) for i in range(n)
        }
        readout = check.relative(parts.norm_and_unembed(rows["resid_post", n - 1]), clean.logits_TV)
        return (
            *check.judged("chain", check.chain(rows, n), bar, "a block does not begin where one ended"),
            *check.judged("sum", check.sums(rows, n), bar, "the residual is not the sum of its terms"),
            *check.judged("heads", heads, bar, "attn_out does not follow from z"),
            *check.judged("mlp", mlp, bar, "mlp_out does not follow from resid_mid"),
            *check.whole("readout", readout, bar, "the logits do not follow from the last residual"),
        )

    def _as_written(
        self, clean: _Seen, neutral: _Seen, steered: _Seen, at: tuple[int, ...]
    ) -> tuple[Check, ...]:
        """What writing nothing, and writing at some tokens of row 0, changed."""
        n, bar, first = self._layers, self._bar, at[0]
        units = {
            (site, layer): vector.units(layer)[0]
            for site, vector in self._vectors.items()
            for layer in vector.layers
        }
        wrote = Written(before=steered.before, after=steered.after, tokens=at, share=_SHARE, units=units)
        effects, onward = check.effects(wrote, n), check.handed_on(wrote, n)
        effect = {i: check.worst(effects[i], onward[i]) for i in range(n)}
        same = neutral.logits_TV.equal(clean.logits_TV)
        apart = 0.0 if same else check.relative(neutral.logits_TV, clean.logits_TV)
        moved = check.relative(steered.logits_TV[first], clean.logits_TV[first]) > bar
        early = check.relative(steered.logits_TV[:first], clean.logits_TV[:first])
        why = "earlier logits moved" if moved else "logits did not move where something was added"
        other = slice(self._lengths[0], None)
        crossed = check.relative(steered.logits_TV[other], clean.logits_TV[other])
        return (
            *check.whole("neutral", apart, 0.0, "adding nothing changed the logits"),
            *check.judged("effect", effect, bar, "what was added is not found there, or did not go on"),
            *check.whole("causal", early if moved else math.nan, bar, why),
            *check.whole("rows", crossed, bar, "steering one row moved the other"),
        )

    def _forward(self, *, scale: float | None = None, at: Sequence[int] = (), reads: bool = False) -> _Seen:
        """Both rows from their first token. `scale` None writes nothing; `at` () writes everywhere, in both rows."""
        edits = () if scale is None else self._edits(scale, at)
        sites = BLOCK_SITES if reads else ()
        plans = [self._plan(0, edits, sites), self._plan(1, () if at else edits, sites)]
        n, m = self._lengths
        steps = [RowStep(plans[0], 0, n, 0, 0), RowStep(plans[1], 0, m, n, 0)]
        logits_TV = self._pass(steps)
        before = _flat(_caught(plans, "before")) if reads and scale is not None else {}
        after = _flat(_caught(plans, "after")) if reads else {}
        self._close(plans)
        return _Seen(logits_TV, before, after)

    def _decoded(self, at: Sequence[int]) -> Tensor:
        """Logits of row 0's last token, in a step of its own."""
        plan, n = self._plan(0, self._edits(_SHARE, at), ()), self._lengths[0]
        self._pass([RowStep(plan, 0, n - 1, 0, 0)])
        last_1V = self._pass([RowStep(plan, n - 1, n, 0, 0)])
        self._close([plan])
        return last_1V[0]

    def _pass(self, steps: list[RowStep]) -> Tensor:
        size, own = self._of.size, -(-self._lengths[0] // self._of.size)
        views, ids, positions = [], [], []
        for row, step in enumerate(steps):
            blocks = range(row * own, row * own + -(-self._lengths[row] // size))
            views.append(RowView(step.offset, step.start, step.stop, blocks))
            ids += self._ids[row][step.start : step.stop]
            positions += list(range(step.start, step.stop))
        work = StepWork(steps, self._kit)
        logits_TV = self._of.runner.forward(Batch(ids, positions, tuple(views), list(range(len(ids)))), work)
        work.settle()
        return logits_TV

    def _plan(self, row: int, edits: tuple[Add, ...], reads: Sequence[Site]) -> RowPlan:
        n = self._lengths[row]
        scene = Scene(
            spans=(Span(start=0, stop=n, role="user", phase="prompt", author="", turn=0, origin="given"),),
            token_ids=tuple(self._ids[row]),
            reader="",
            turn=1,
            specials=frozenset(),
            find=lambda _: (),
        )
        known = self._of.sites.supported
        ats = ("before", "after") if edits else ("after",)
        captures = tuple(
            Capture(
                site=site, layers=known[site], where=everything(), at="before" if at == "before" else "after"
            )
            for at in ats
            for site in reads
            if site in known
        )
        wish = Wish(
            interventions=edits, captures=captures, history="scoped", past=(), following=None, may_make=0
        )
        return self._binder.bind(wish, scene, _UNLIMITED)

    def _edits(self, scale: float, at: Sequence[int]) -> tuple[Add, ...]:
        where = everything()
        if at:
            picked = tuple(Range(p, p + 1) for p in at)
            where = Positions(any=(Where(tokens=picked, within="sequence", special=True),))
        return tuple(
            Add(vector=vector.digest, site=site, scale=scale, unit="relative", where=where)
            for site, vector in self._vectors.items()
        )

    def _directions(self, site: Site, generator: torch.Generator) -> SteeringVector:
        shape, known = self._of.shape, self._of.sites.supported[site]
        width = self._of.sites.width_at(site, known[0])
        layers = [i for i in known if self._of.sites.width_at(site, i) == width]
        made = {i: torch.randn(width, generator=generator) for i in layers}
        fitted = FittedOn(
            name=shape.name, digest=shape.digest, type=shape.type, layers=shape.layers, width=width
        )
        header = Header(name=f"self-test {site}", model=fitted, layers={str(i): LayerNotes() for i in layers})
        vector = SteeringVector(header, {i: d / d.norm() for i, d in made.items()})
        self._library.add(vector)
        return vector

    def _close(self, plans: Sequence[RowPlan]) -> None:
        for plan in plans:
            plan.close(self._kit.bank, self._kit.ledger)


def _caught(plans: Sequence[RowPlan], at: str) -> dict[tuple[Site, int], Tensor]:
    """What was captured of some rows of the batch, one after the other, `[T, …]`."""
    found: dict[tuple[Site, int], list[Tensor]] = {}
    for plan in plans:
        plain = all(bound.capture.at == "after" for bound in plan.captures)
        for bound, buffer in zip(plan.captures, plan.buffers, strict=True):
            capture = bound.capture
            if capture.at == at or plain:
                for layer in capture.layers:
                    rows = buffer.cut(layer, buffer.positions, by_key=capture.site == "pattern")
                    found.setdefault((capture.site, layer), []).append(rows)
    return {point: torch.cat(parts) for point, parts in found.items()}


def _flat(rows: Rows) -> Rows:
    """`[T, D]`: heads side by side."""
    return {point: rows_TX.flatten(1) for point, rows_TX in rows.items()}

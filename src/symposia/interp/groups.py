"""Fitting on stored captures: two questions to an activation store, and no forward.

A layer at a time, and within it record by record: what is held is one pooled row a sample.

Axes: N samples of both sides, P pairs, D residual width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import msgspec
import torch
from torch import Tensor

from symposia.core.errors import InvalidInput
from symposia.core.positions import Positions, Where
from symposia.core.value import content_digest

from .acts.labels import Labels
from .acts.pooling import By, Pooled, pooled
from .acts.query import ActivationQuery
from .acts.record import AmbiguousActivation, NoActivation, digest_of, raw_bytes
from .acts.store import ActivationStore
from .contrast import LEAST
from .diagnose import Diagnosis, diagnosis, examine
from .fitted import SINK, Fitted, check_per, header_of
from .methods import DiffMean, Logistic, MeanCentre, Method, Pairs, probe, probe_tensors
from .sides import Sides, check_unpaired, examine_sides
from .taps import ModelShape
from .vector import LayerNotes, Reading, SteeringVector

_Key = tuple[str | int | None, ...]


@dataclass(frozen=True)
class Groups:
    """Two sides, by question. `pair_by` makes a pair of the two samples of one turn, or of one conversation.

    `labels` are joined first, so that the questions may ask for one. Unpaired samples are generations, a row each; or
    messages, labelled by what they are and not by who reads them, each counted where its reader first read it.
    """

    positive: ActivationQuery
    negative: ActivationQuery
    pair_by: Literal["turn", "conversation"] | None = None
    labels: Labels | None = None
    sample: Literal["generation", "message"] = "generation"

    def plain(self) -> dict[str, Any]:
        """What a vector file says of them."""
        return {
            "positive": _asked(self.positive),
            "negative": _asked(self.negative),
            "pair_by": self.pair_by,
            "sample": self.sample,
            "labels": None if self.labels is None else self.labels.digest,
        }


WORDS = Positions(any=(Where(),))
"""Whatever was said: no markup, no specials of a tokenizer, not the first position."""


@dataclass(frozen=True)
class Side:
    """Pooled rows `[N, D]` as they were stored, and what each is of."""

    rows_ND: Tensor
    notes: tuple[Pooled, ...]


def fit_groups(
    groups: Groups,
    method: Method = DiffMean(),
    *,
    store: ActivationStore,
    read: Reading | None = None,
    name: str = "direction",
) -> Fitted:
    """A direction at every layer read, as `fit` makes them; folds, halves and chance are of whole conversations.

    `read` says site, layers (all that both sides have, if none are named), how a sample's rows are pooled, and where if
    the questions do not: every word if not otherwise, but no markup and no specials. With `per="token"` a sample counts
    by its tokens. Raises `InvalidInput` for fewer than 8 samples or 2 conversations a side, and for samples without a
    counterpart; `NoActivation` where nothing answers.
    """
    read = read or Reading(where=WORDS)
    _check(groups, method, read)
    shape = _shape(groups, store)
    layers = read.layers or _layers(groups, store, read)
    notes: dict[int, LayerNotes] = {}
    found: dict[int, Tensor] = {}
    probes: dict[str, Tensor] = {}
    counts = (0, 0)
    seen = ""
    for layer in layers:
        plus, minus = (
            side_of(query, groups, store, read, layer) for query in (groups.positive, groups.negative)
        )
        counts = len(plus.notes), len(minus.notes)
        seen = content_digest((seen + _digest(plus) + _digest(minus)).encode())
        found[layer], notes[layer] = _examined(groups, method, read, plus, minus)
        if isinstance(method, Logistic):
            probes |= probe_tensors(layer, *_probe(method, plus, minus))
        if not notes[layer].fitted_norm:
            raise InvalidInput(
                f"layer {layer}: both sides have the same mean; is the trait in the positions read?"
            )
    told = _told(notes, groups, counts)
    data = {"digest": seen, "source": "groups", "samples": list(counts), **groups.plain()}
    width = len(found[layers[0]])
    header = header_of(shape, read, method, notes=notes, width=width, data=data, name=name)
    header = msgspec.structs.replace(header, warnings=told.warnings)
    return Fitted(SteeringVector(header, found, probes), told)


def _check(groups: Groups, method: Method, read: Reading) -> None:
    if groups.sample == "message" and groups.pair_by is not None:
        raise InvalidInput("messages are no pairs: leave pair_by out, or sample generations")
    if groups.pair_by is None:
        check_unpaired(method)
    elif isinstance(method, MeanCentre):
        raise InvalidInput("mean_centre has a corpus, not pairs: leave pair_by out")
    check_per(read, method, paired=groups.pair_by is not None)
    for query in (groups.positive, groups.negative):
        if query.site not in (None, read.site) or (
            query.layer is not None and read.layers not in ((), (query.layer,))
        ):
            raise InvalidInput(f"{query} asks for another place than the reading: {read.site} {read.layers}")


def _shape(groups: Groups, store: ActivationStore) -> ModelShape:
    """The one model that both sides are of."""
    shapes: dict[str, ModelShape | None] = {}
    for query in (groups.positive, groups.negative):
        shapes |= store.models(query)
    if not shapes:
        raise NoActivation(f"no stored record answers {groups.positive} or {groups.negative}")
    if len(shapes) > 1:
        named = ", ".join(shape.name if shape else digest for digest, shape in shapes.items())
        raise AmbiguousActivation(
            f"the sides are of {len(shapes)} models: {named}; say model= in both queries"
        )
    [(digest, shape)] = shapes.items()
    if shape is None:
        raise InvalidInput(
            f"the store does not say what model {digest} is; its rows were not put there by an engine"
        )
    return shape


def _layers(groups: Groups, store: ActivationStore, read: Reading) -> tuple[int, ...]:
    sides = [
        set(store.layers(replace(query, site=read.site))) for query in (groups.positive, groups.negative)
    ]
    both = sorted(layer for layer in sides[0] & sides[1] if layer is not None)
    if not both:
        raise NoActivation(
            f"no layer of {read.site} has stored rows of both sides: {sides[0]} and {sides[1]}"
        )
    return tuple(both)


def side_of(
    query: ActivationQuery, groups: Groups, store: ActivationStore, read: Reading, layer: int
) -> Side:
    """One side's samples at a layer. `NoActivation` if there are none, `InvalidInput` if there are fewer than 8."""
    acts = store.query(replace(query, site=read.site, layer=layer))
    if query.where is None:
        acts = replace(acts, query=replace(acts.query, where=read.where or WORDS))
    elif read.where not in (None, WORDS):
        raise InvalidInput("say where once: in the query or in the reading")
    by: By = "conversation" if groups.pair_by == "conversation" else "turn"
    if groups.sample == "message":
        by = "message"
    if groups.labels is not None:
        acts = acts.labelled(groups.labels, of="message" if by == "message" else "forward")
    sinks = SINK if read.drop_sinks else None
    try:
        rows, notes = pooled(acts.selected(), read.pool, by, labels=groups.labels, drop_sinks=sinks)
    except NoActivation as error:
        raise NoActivation(f"layer {layer}: no stored rows answer {acts.query}; nothing to fit on") from error
    side = Side(rows, notes)
    if by == "message":
        side = _first_read(side)
    if len(side.notes) < LEAST:
        raise InvalidInput(
            f"layer {layer}: expected at least {LEAST} samples a side; {query} has {len(side.notes)}"
        )
    return side


def _first_read(side: Side) -> Side:
    """Each message once a reader, as it stood when first read: later forwards read it again."""
    best: dict[_Key, int] = {}
    for i, note in enumerate(side.notes):
        if note.message is None or note.turn is None:
            continue
        key = (note.run, note.conversation, note.branch, note.reader, note.message)
        if key not in best or note.turn < (side.notes[best[key]].turn or 0):
            best[key] = i
    kept = sorted(best.values())
    return Side(side.rows_ND[kept], tuple(side.notes[i] for i in kept))


def _examined(
    groups: Groups, method: Method, read: Reading, plus: Side, minus: Side
) -> tuple[Tensor, LayerNotes]:
    numbers: dict[_Key, int] = {}
    norms = [note.norm for note in (*plus.notes, *minus.notes)]
    norm = sum(norms) / len(norms)
    if groups.pair_by is not None:
        pairs = _paired(plus, minus, groups.pair_by)
        return examine(method, pairs, reference_norm=norm, seed=0)
    group_N = torch.tensor([_number(note, numbers) for note in (*plus.notes, *minus.notes)])
    n = len(plus.notes)
    for side, own in (("positive", group_N[:n]), ("negative", group_N[n:])):
        _check_spread(len(set(own.tolist())), f"the {side} side")
    tokens = [note.tokens for note in (*plus.notes, *minus.notes)]
    weight_N = torch.tensor(tokens if read.per == "token" else [1] * len(tokens), dtype=torch.float64)
    side_N = torch.tensor([1.0] * n + [-1.0] * len(minus.notes), dtype=torch.float64)
    rows_ND = torch.empty(len(side_N), plus.rows_ND.shape[1], dtype=torch.float64)
    rows_ND[:n], rows_ND[n:] = plus.rows_ND, minus.rows_ND
    sides = Sides(rows_ND, side_N, weight_N, group_N)
    return examine_sides(method, sides, reference_norm=norm, seed=0)


def _probe(method: Logistic, plus: Side, minus: Side) -> tuple[Tensor, float]:
    rows_ND = torch.cat([plus.rows_ND, minus.rows_ND]).double()
    side_N = torch.tensor([1.0] * len(plus.notes) + [-1.0] * len(minus.notes), dtype=torch.float64)
    return probe(method, rows_ND, side_N, torch.ones_like(side_N))


def _paired(plus: Side, minus: Side, by: Literal["turn", "conversation"]) -> Pairs:
    one, other = _by_key(plus, by, "positive"), _by_key(minus, by, "negative")
    if alone := sorted(map(str, one.keys() ^ other.keys())):
        raise InvalidInput(
            f"{len(alone)} samples have no counterpart by {by}, as {alone[0]}; narrow the queries, or leave pair_by out"
        )
    numbers: dict[_Key, int] = {}
    group_P = torch.tensor([_number(plus.notes[i], numbers) for i in one.values()])
    _check_spread(len(numbers), "the pairs")
    weight_P = torch.ones(len(one), dtype=torch.float64)
    return Pairs(
        plus.rows_ND[list(one.values())].double(),
        minus.rows_ND[[other[key] for key in one]].double(),
        weight_P,
        group_P,
    )


def _by_key(side: Side, by: Literal["turn", "conversation"], named: str) -> dict[_Key, int]:
    found: dict[_Key, int] = {}
    for i, note in enumerate(side.notes):
        key: _Key = (note.run, note.conversation, note.branch, note.turn if by == "turn" else None)
        if key in found:
            raise AmbiguousActivation(
                f"two {named} samples of conversation {note.conversation!r}, branch {note.branch!r}, turn {note.turn}: "
                "narrow the query, by reader say, or pair by conversation"
            )
        found[key] = i
    return found


def _number(note: Pooled, numbers: dict[_Key, int]) -> int:
    """A conversation's number; a sample of none is alone. Branches of one conversation share their beginning."""
    if not note.conversation:
        return numbers.setdefault((len(numbers),), len(numbers))
    return numbers.setdefault((note.run, note.conversation), len(numbers))


def _check_spread(conversations: int, what: str) -> None:
    if conversations < 2:
        raise InvalidInput(
            f"{what}: expected samples of at least 2 conversations, to hold some out; got {conversations}"
        )


def _told(notes: dict[int, LayerNotes], groups: Groups, counts: Sequence[int]) -> Diagnosis:
    unit = "samples on the smaller side" if groups.pair_by is None else "pairs"
    return diagnosis(notes, min(counts), unit=unit)


def _digest(side: Side) -> str:
    return digest_of(str(side.rows_ND.dtype), tuple(side.rows_ND.shape), raw_bytes(side.rows_ND))


def _asked(query: ActivationQuery) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins({k: v for k, v in asdict(query).items() if v is not None})
    return told

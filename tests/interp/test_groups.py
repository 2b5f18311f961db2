"""Fitting on stored captures: the direction that the rows themselves have, folds of whole conversations, no forward."""

from __future__ import annotations

import asyncio
import json

import pytest
import torch

from symposia.core.errors import InvalidInput
from symposia.core.positions import answer, everything, first
from symposia.core.request import About
from symposia.core.span import Span
from symposia.interp.acts.labels import load_labels
from symposia.interp.acts.query import ActivationQuery
from symposia.interp.acts.record import AmbiguousActivation, Draft, NoActivation, Source
from symposia.interp.diagnose import auroc, examine
from symposia.interp.fit import fit
from symposia.interp.groups import WORDS, Groups, fit_groups
from symposia.interp.methods import Caa, DiffMean, Lat, Lda, Logistic, MeanCentre, Pairs, Pca
from symposia.interp.sides import Sides, examine_sides, side_directions
from symposia.interp.taps import ModelShape
from symposia.interp.vector import Reading, load_vector
from tests.interp.acts import KINDS, store_of

D = 16
SHAPE = ModelShape(
    name="loaded:m",
    digest="sha256:m",
    template="t",
    tokenizer="k",
    type="llama",
    layers=4,
    width=D,
    vocabulary=9,
    dtype="float32",
)
ALICE, BOB = ActivationQuery(author="alice"), ActivationQuery(author="bob")
POSITIVE, NEGATIVE = ActivationQuery(label="warm"), ActivationQuery(label="cold")
RANDOM = torch.Generator().manual_seed(0)
TRUTH = torch.nn.functional.normalize(torch.randn(D, generator=RANDOM), dim=0)


def rows_of(n, warm, generator):
    return torch.randn(n, D, generator=generator) + (2.0 if warm else 0.0) * TRUTH


def filled(store, conversations=20, turns=3, *, layers=(1, 2), steered=None):
    """Conversations of some turns; alice reads bob, who is cold, and speaks; each turn is warm or cold by a coin."""
    generator = torch.Generator().manual_seed(1)
    labels, kept = [], {}
    for c in range(conversations):
        for t in range(turns):
            warm = bool(torch.rand(1, generator=generator) < 0.5) if steered is None else steered
            read, made = 2 + t, 3 + (c + t) % 4
            spans = (
                Span(start=0, stop=read, role="user", phase="prompt", author="bob", turn=2 * t),
                Span(
                    start=read,
                    stop=read + made,
                    role="assistant",
                    phase="answer",
                    author="alice",
                    turn=2 * t + 1,
                    generated=True,
                ),
            )
            about = About(conversation=f"c{c}", turn=2 * t + 1)
            rows = {
                layer: torch.cat([rows_of(read, False, generator), rows_of(made, warm, generator)])
                for layer in layers
            }
            source = Source(
                about=about,
                reader="alice",
                model=SHAPE.digest,
                request=f"{c} {t} {steered}",
                token_ids=tuple(range(read + made)),
                spans=spans,
                steered=bool(steered),
                shape=SHAPE,
            )
            store.put(
                source,
                [
                    Draft(rows=each, site="resid_post", layer=layer, runs=((0, len(each)),))
                    for layer, each in rows.items()
                ],
            )
            kept[f"c{c}", 2 * t + 1] = (warm, rows[2][:read], rows[2][read:])
            labels.append({"conversation": f"c{c}", "turn": 2 * t + 1, "label": "warm" if warm else "cold"})
    return labels, kept


@pytest.fixture(params=KINDS)
def stored(request, tmp_path):
    """A store, its labels, and the rows of layer 2."""
    with store_of(request.param, tmp_path / "acts") as store:
        labels, kept = filled(store)
        path = tmp_path / "labels.jsonl"
        path.write_text("\n".join(map(json.dumps, labels)))
        yield store, load_labels(path), kept


def vars_of(notes):
    return {name: getattr(notes, name) for name in notes.__struct_fields__}


PLAIN = Reading(where=everything(), drop_sinks=False)


def groups(labels):
    return Groups(
        ActivationQuery(label="warm", author="alice"),
        ActivationQuery(label="cold", author="alice"),
        labels=labels,
    )


def test_unpaired_is_the_difference_of_plain_means(stored, tmp_path):
    """Every layer both sides have; direction, gap and norm as from the rows by hand; the file is whole and loads."""
    store, labels, kept = stored
    made = asyncio.run(fit(groups(labels), store=store, read=PLAIN, name="warmth"))
    made.vector.save(tmp_path / "v.safetensors")
    vector = load_vector(tmp_path / "v.safetensors")
    sides = [
        torch.stack([own.double().mean(dim=0) for warm, _, own in kept.values() if warm is side])
        for side in (True, False)
    ]
    gap = sides[0].mean(dim=0) - sides[1].mean(dim=0)
    assert vector.layers == (1, 2)
    assert float(vector.directions[2].double() @ gap / gap.norm()) == pytest.approx(1.0)
    notes = vector.notes(2)
    assert notes.fitted_norm == pytest.approx(float(gap.norm()))
    norms = torch.stack([own.double().norm(dim=1).mean() for _, _, own in kept.values()])
    assert notes.reference_norm == pytest.approx(float(norms.mean()), rel=1e-6)
    assert float(vector.directions[2] @ TRUTH) > 0.9
    assert notes.auroc > 0.95 > notes.null_auroc
    assert notes.pair_cosine is None
    header = vector.header
    assert (header.model.name, header.model.digest, header.model.width) == ("loaded:m", "sha256:m", D)
    assert header.data["source"] == "groups"
    assert header.data["positive"] == {"label": "warm", "author": "alice"}
    assert sum(header.data["samples"]) == len(kept)
    assert header.data["labels"] == labels.digest


def test_tokens_may_count_instead_of_samples(stored):
    """`per="token"`: means over all tokens of a side."""
    store, labels, kept = stored
    read = Reading(where=everything(), drop_sinks=False, per="token", layers=(2,))
    made = fit_groups(groups(labels), store=store, read=read)
    means = [
        torch.cat([own for warm, _, own in kept.values() if warm is side]).double().mean(dim=0)
        for side in (True, False)
    ]
    gap = means[0] - means[1]
    assert float(made.vector.directions[2].double() @ gap / gap.norm()) == pytest.approx(1.0)
    for bad in (Groups(ALICE, BOB, pair_by="turn"),):
        with pytest.raises(InvalidInput, match="per='token'"):
            fit_groups(bad, store=store, read=read)
    with pytest.raises(InvalidInput, match="per='token'"):
        fit_groups(groups(labels), Lda(), store=store, read=read)


def test_mean_centre_is_target_against_corpus(stored):
    """Alice's warm turns against everything she reads and says."""
    store, labels, kept = stored
    corpus = Groups(ActivationQuery(label="warm", author="alice"), ActivationQuery(), labels=labels)
    made = fit_groups(corpus, MeanCentre(), store=store, read=PLAIN)
    target = torch.stack([own.double().mean(dim=0) for warm, _, own in kept.values() if warm])
    whole = torch.stack([torch.cat([read, own]).double().mean(dim=0) for _, read, own in kept.values()])
    gap = target.mean(dim=0) - whole.mean(dim=0)
    assert float(made.vector.directions[2].double() @ gap / gap.norm()) == pytest.approx(1.0)
    assert made.vector.header.method == {"type": "mean_centre", "params": {}}
    with pytest.raises(InvalidInput, match="leave pair_by out"):
        fit_groups(Groups(ALICE, BOB, pair_by="turn"), MeanCentre(), store=store)


@pytest.mark.parametrize(
    "method", [DiffMean(), Caa(), Pca(), Pca(centre=True), Logistic(), Lda(), Lat()], ids=str
)
def test_pairs_by_turn_are_pairs(stored, method):
    """Alice's words against bob's in the same forward: as `examine` finds from the pooled rows."""
    store, _, kept = stored
    made = fit_groups(Groups(ALICE, BOB, pair_by="turn"), method, store=store, read=PLAIN)
    plus = torch.stack([own.double().mean(dim=0).float() for _, _, own in kept.values()]).double()
    minus = torch.stack([read.double().mean(dim=0).float() for _, read, _ in kept.values()]).double()
    group = torch.tensor([int(c[1:]) for c, _ in kept])
    pairs = Pairs(plus, minus, torch.ones(len(plus), dtype=torch.float64), group)
    unit, notes = examine(method, pairs, reference_norm=made.vector.notes(2).reference_norm, seed=0)
    assert torch.allclose(made.vector.directions[2].double(), unit, atol=1e-6)
    found = made.vector.notes(2)
    for field in ("fitted_norm", "pair_cosine", "split_half", "auroc", "dprime", "null_auroc"):
        assert vars_of(found)[field] == pytest.approx(vars_of(notes)[field])


def test_twins_pair_by_conversation(tmp_path):
    """A steered run against its unsteered twin: a sample a conversation on each side."""
    with store_of("memory", tmp_path) as store:
        filled(store, steered=True)
        filled(store, steered=False)
        twins = Groups(
            ActivationQuery(steered=True, phase="answer"),
            ActivationQuery(steered=False, phase="answer"),
            "conversation",
        )
        made = fit_groups(twins, store=store, read=PLAIN)
        assert made.diagnosis.pairs == 20
        assert float(made.vector.directions[1] @ TRUTH) > 0.9
        assert made.vector.notes(1).auroc == 1.0
        with pytest.raises(AmbiguousActivation, match="two positive samples"):
            fit_groups(Groups(ActivationQuery(author="alice"), BOB, "turn"), store=store, read=PLAIN)


def test_folds_are_of_whole_conversations():
    """What a conversation's turns share is no evidence: labels that only name conversations stay in the null band.

    Folds by turn would find them every time.
    """
    generator = torch.Generator().manual_seed(3)
    inside = leaks = 0
    for _ in range(6):
        own = 5 * torch.randn(24, D, generator=generator, dtype=torch.float64)
        group = torch.arange(24).repeat_interleave(6)
        rows = own[group] + 0.1 * torch.randn(len(group), D, generator=generator, dtype=torch.float64)
        side = torch.where(torch.rand(24, generator=generator) < 0.5, 1.0, -1.0).double()[group]
        ones = torch.ones(len(group), dtype=torch.float64)
        _, notes = examine_sides(Lda(), Sides(rows, side, ones, group), reference_norm=1.0, seed=0)
        inside += notes.auroc <= notes.null_auroc
        _, leaky = examine_sides(
            Lda(), Sides(rows, side, ones, torch.arange(len(group))), reference_norm=1.0, seed=0
        )
        leaks += leaky.auroc > leaky.null_auroc
    assert inside >= 5
    assert leaks == 6


@pytest.mark.parametrize(("n", "m"), [(40, 40), (30, 55), (9, 12)])
@pytest.mark.parametrize("method", [Logistic(), Logistic(c=0.1), Lda(), Lda(shrink=0.5)], ids=str)
def test_unequal_sides_are_scikit_learns(method, n, m):
    """Logistic regression on z-scored rows; LDA by its formula, from plain covariances."""
    linear = pytest.importorskip("sklearn.linear_model")
    generator = torch.Generator().manual_seed(n)
    rows = torch.randn(n + m, D, generator=generator, dtype=torch.float64)
    rows[:n] += 1.5 * TRUTH.double()
    side = torch.tensor([1.0] * n + [-1.0] * m, dtype=torch.float64)
    sides = Sides(rows, side, torch.ones(n + m, dtype=torch.float64), torch.arange(n + m))
    found = side_directions(method, sides, side[None])[0]
    if isinstance(method, Logistic):
        spread = rows.std(dim=0, correction=0)
        z = (rows - rows.mean(dim=0)) / spread
        theirs = linear.LogisticRegression(C=method.c, tol=1e-10, max_iter=10_000).fit(
            z.numpy(), side.numpy()
        )
        expected = torch.tensor(theirs.coef_[0]) / spread
    else:
        centred = torch.cat([rows[:n] - rows[:n].mean(dim=0), rows[n:] - rows[n:].mean(dim=0)])
        within = centred.T @ centred / (n + m - 2)
        ridge = method.shrink * within.trace() / D * torch.eye(D, dtype=torch.float64)
        expected = torch.linalg.solve(within + ridge, rows[:n].mean(dim=0) - rows[n:].mean(dim=0))
    assert float(found @ expected / expected.norm()) > 0.9999


def test_auroc_is_the_share_of_ordered_couples():
    """By all couples, ties half."""
    generator = torch.Generator().manual_seed(0)
    for n, m in ((1, 1), (7, 3), (50, 61)):
        plus = torch.randint(0, 9, (n,), generator=generator).double()
        minus = torch.randint(0, 8, (m,), generator=generator).double()
        couples = (plus[:, None] > minus).double() + 0.5 * (plus[:, None] == minus).double()
        assert auroc(plus, minus) == pytest.approx(float(couples.mean()))


def test_sinks_are_left_out(tmp_path):
    """A row of more than 8 times the median norm of its sample is no content, as when pairs are read."""
    with store_of("memory", tmp_path) as store:
        _, kept = filled(store, conversations=10)
        clean = fit_groups(Groups(ALICE, BOB, "turn"), store=store, read=Reading(where=everything()))
        for record in store.query(ActivationQuery(layer=2)).records:
            record.rows[0] *= 1000  # bob's first token becomes a sink
        dropped = fit_groups(Groups(ALICE, BOB, "turn"), store=store, read=Reading(where=everything()))
        left_in = fit_groups(Groups(ALICE, BOB, "turn"), store=store, read=PLAIN)
    first_of_bob = [read[1:].double().mean(dim=0) for _, read, _ in kept.values()]
    assert len(first_of_bob) == 30
    assert float(dropped.vector.directions[2] @ clean.vector.directions[2]) > 0.9
    assert float(left_in.vector.directions[2] @ clean.vector.directions[2]) < 0.9


def test_what_cannot_be_fitted_is_refused(stored):
    """Each says what is missing."""
    store, labels, _ = stored
    few = ActivationQuery(conversation="c1")
    other = ActivationQuery(author="alice", turn=1)
    for asked, read, error, text in (
        (Groups(few, BOB), PLAIN, InvalidInput, "at least 8 samples a side; .*'c1'.* has 3"),
        (Groups(other, BOB, "turn"), PLAIN, InvalidInput, "40 samples have no counterpart by turn"),
        (Groups(ALICE, BOB), PLAIN, None, ""),
        (Groups(POSITIVE, NEGATIVE), PLAIN, InvalidInput, "join labels first"),
        (Groups(ActivationQuery(reader="nobody"), BOB), PLAIN, NoActivation, "no layer"),
        (Groups(ActivationQuery(layer=1), BOB), Reading(layers=(2,)), InvalidInput, "another place"),
        (
            Groups(ActivationQuery(where=answer()), BOB),
            Reading(where=first(1)),
            InvalidInput,
            "say where once",
        ),
    ):
        if error is None:
            fit_groups(asked, store=store, read=read)
            continue
        with pytest.raises(error, match=text):
            fit_groups(asked, store=store, read=read)
    with pytest.raises(InvalidInput, match="Caa is fitted on pairs"):
        fit_groups(groups(labels), Caa(), store=store)
    with pytest.raises(InvalidInput, match="backend="):
        asyncio.run(fit((), store=store))


def test_markup_and_specials_are_in_no_mean(tmp_path):
    """If not asked for: neither what a template adds, nor special tokens, nor the first position."""
    header = Span(start=5, stop=6, role="assistant", phase="markup", author="alice", turn=1)
    spans = (
        Span(start=0, stop=5, role="user", phase="prompt", author="bob", turn=0),
        header,
        Span(start=6, stop=9, role="assistant", phase="answer", author="alice", turn=1, generated=True),
    )
    with store_of("memory", tmp_path) as store:
        generator = torch.Generator().manual_seed(0)
        plus, minus = [], []
        for c in range(10):
            rows = torch.randn(9, D, generator=generator)
            rows[0] = rows[5] = rows[8] = 5.0
            plus.append(rows[6:8].double().mean(dim=0))
            minus.append(rows[1:5].double().mean(dim=0))
            source = Source(
                about=About(conversation=f"c{c}", turn=1),
                reader="alice",
                model=SHAPE.digest,
                request=str(c),
                token_ids=(1, 2, 3, 4, 5, 6, 7, 8, 0),
                spans=spans,
                steered=False,
                specials=frozenset({0}),
                shape=SHAPE,
            )
            store.put(source, [Draft(rows=rows, site="resid_post", layer=1, runs=((0, 9),))])
        made = fit_groups(Groups(ALICE, BOB, pair_by="turn"), store=store)
    gap = torch.stack(plus).mean(dim=0) - torch.stack(minus).mean(dim=0)
    assert float(made.vector.directions[1].double() @ gap / gap.norm()) == pytest.approx(1.0)
    assert made.vector.header.read.where == WORDS

"""Promise 11: `fit` against scikit-learn on the model's own rows, a planted direction, and labels that mean nothing."""

from __future__ import annotations

import asyncio
import random

import numpy as np
import pytest
import torch
from msgspec.structs import replace
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from symposia.core.capture import Capture, Project
from symposia.core.intervention import Add
from symposia.core.positions import answer as answer_positions
from symposia.core.positions import everything
from symposia.core.profile import Sampling
from symposia.interp.contrast import READER, pair
from symposia.interp.fit import fit
from symposia.interp.methods import Caa, DiffMean, Lda, Logistic, Pca
from symposia.interp.vector import FittedOn, Header, LayerNotes, Reading, SteeringVector, load_vector
from tests.reference.asking import WORDS, answers, engine_of, request

LAYER, PAIRS = 2, 48
READ = Reading(layers=(LAYER,), where=answer_positions(), drop_sinks=False)


def spoken(seed: int, more: str) -> str:
    """Seven words of the seed's own and some that mark a side."""
    return " ".join([*random.Random(seed).choices(WORDS, k=7), more])


def pairs(positive: str = "rain and tea", negative: str = "a small fox", shuffled: int | None = None):
    """48 pairs that differ in their words; `shuffled` swaps the sides of some."""
    coin = random.Random(shuffled)
    made = []
    for n in range(PAIRS):
        sides = [spoken(n, positive), spoken(n + 1000, negative)]
        if shuffled is not None and coin.random() < 0.5:
            sides.reverse()
        made.append(pair(str(n), *([("user", "go on"), ("assistant", text)] for text in sides)))
    return tuple(made)


def fitted(engine, made, method=DiffMean(), *, backend=None, read=READ):
    backend = backend or engine
    return asyncio.run(fit(made, method, backend=backend, inside=engine, store=engine.store, read=read))


def rows_of(engine, made) -> tuple[np.ndarray, np.ndarray]:
    """Pooled rows `[P, D]` of both sides, read by requests of our own."""
    asks = [
        request(
            engine,
            lines,
            speaker=READER,
            turn=len(lines),
            sampling=Sampling(max_tokens=0),
            captures=(Capture(layers=(LAYER,), where=READ.where, dtype="float32"),),
        )
        for one in made
        for lines in (one.positive, one.negative)
    ]
    rows = [
        engine.store.at(done.activations[0]).double().mean(dim=0).numpy() for done in answers(engine, asks)
    ]
    return np.stack(rows[::2]), np.stack(rows[1::2])


def theirs(method, plus, minus) -> np.ndarray:
    """The direction by scikit-learn, or by numpy's means."""
    x, y = np.concatenate([plus, minus]), [1] * len(plus) + [0] * len(minus)
    match method:
        case DiffMean() | Caa():
            return plus.mean(axis=0) - minus.mean(axis=0)
        case Pca(centre=False):
            return PCA(n_components=1, svd_solver="full").fit(plus - minus).components_[0]
        case Pca():
            middle = (plus + minus) / 2
            both = np.concatenate([plus - middle, minus - middle])
            return PCA(n_components=1, svd_solver="full").fit(both).components_[0]
        case Lda():
            return LinearDiscriminantAnalysis(solver="eigen").fit(x, y).coef_[0]
        case Logistic():
            scaler = StandardScaler().fit(x)
            model = LogisticRegression(C=method.c, tol=1e-12, max_iter=20_000).fit(scaler.transform(x), y)
            weight = model.coef_[0] / scaler.scale_
            return np.cov(x.T) @ weight if method.pattern else weight


METHODS = [DiffMean(), Caa(), Pca(), Pca(centre=True), Logistic(), Logistic(pattern=True), Lda(shrink=0.0)]


def test_every_method_is_scikit_learns_on_the_models_rows():
    """Cosine above 0.9999, signed so that positive projects higher, the gap along it as fitted norm."""
    with engine_of("qwen3") as engine:
        made = pairs()
        plus, minus = rows_of(engine, made)
        for method in METHODS:
            vector = fitted(engine, made, method).vector
            ours = vector.directions[LAYER].double().numpy()
            expected = theirs(method, plus, minus)
            cosine = float(ours @ expected) / np.linalg.norm(expected)
            assert abs(cosine) > 0.9999, method
            gap = float((plus - minus).mean(axis=0) @ ours)
            assert gap > 0, method
            assert vector.notes(LAYER).fitted_norm == pytest.approx(gap, rel=1e-4), method


class Planting:
    """A backend whose model holds a direction while it reads one side's marking words."""

    def __init__(self, engine, edit: Add, words: str) -> None:
        self.engine, self.edit, self.words = engine, edit, words

    def generate(self, asked):
        marked = self.words in asked.lines[-1].text
        return self.engine.generate(replace(asked, interventions=(self.edit,)) if marked else asked)

    def render(self, asked):
        return self.engine.render(asked)

    async def describe(self, model):
        return await self.engine.describe(model)


@pytest.mark.parametrize("method", [DiffMean(), Caa(), Pca(centre=True)], ids=str)
def test_a_planted_direction_comes_back(method):
    """Added to what the model holds while it reads one side: found again, with its size, cosine above 0.99."""
    with engine_of("llama") as engine:
        shape = engine.shape
        generator = torch.Generator().manual_seed(5)
        unit = torch.nn.functional.normalize(torch.randn(shape.width, generator=generator), dim=0)
        model = FittedOn(
            name=shape.name, digest=shape.digest, type=shape.type, layers=shape.layers, width=shape.width
        )
        planted = SteeringVector(
            Header(name="planted", model=model, layers={str(LAYER): LayerNotes()}), {LAYER: unit}
        )
        engine.library.add(planted)
        size = 400.0
        edit = Add(vector=planted.digest, layers=(LAYER,), scale=size, unit="absolute", where=everything())
        found = fitted(engine, pairs(), method, backend=Planting(engine, edit, "rain and tea")).vector
    assert float(found.directions[LAYER] @ unit) > 0.99
    assert found.notes(LAYER).fitted_norm == pytest.approx(size, rel=0.05)


def test_labels_that_mean_nothing_stay_in_the_null_band():
    """Sides swapped by a coin: the held-out AUROC is what chance gives, while the true labels are far above it."""
    with engine_of("llama") as engine:
        true = fitted(engine, pairs()).vector.notes(LAYER)
        coins = [fitted(engine, pairs(shuffled=seed)).vector.notes(LAYER) for seed in range(10)]
    assert true.auroc > true.null_auroc + 0.15
    assert sum(notes.auroc <= notes.null_auroc for notes in coins) >= 8


def test_tokens_are_read_as_the_probabilities_of_scikit_learn(tmp_path):
    """A logistic vector keeps its probe, on disk too: what it reads on a token is the classifier's own probability."""
    with engine_of("qwen3") as engine:
        made = pairs()
        plus, minus = rows_of(engine, made)
        x, y = np.concatenate([plus, minus]), [1] * PAIRS + [0] * PAIRS
        scaler = StandardScaler().fit(x)
        model = LogisticRegression(C=0.1, tol=1e-12, max_iter=20_000).fit(scaler.transform(x), y)
        for pattern in (False, True):
            fitted(engine, made, Logistic(c=0.1, pattern=pattern)).vector.save(tmp_path / "v.safetensors")
            vector = load_vector(tmp_path / "v.safetensors")
            engine.library.add(vector)
            captures = (
                Capture(layers=(LAYER,), where=everything(), reduce=Project(vector.digest, "probability")),
                Capture(layers=(LAYER,), where=everything(), dtype="float32"),
            )
            done = answers(engine, [request(engine, made[0].positive, turn=2, captures=captures)])[0]
            rows = engine.store.at(done.activations[0]).double().numpy()
            expected = model.predict_proba(scaler.transform(rows))[:, 1]
            (read,) = done.readouts
            assert read.values == pytest.approx(expected.tolist(), abs=1e-4)
            assert min(read.values) < 0.3 < 0.7 < max(read.values)

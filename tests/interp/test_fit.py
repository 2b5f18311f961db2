"""Fitting: against numpy's own means, against a planted direction, against chance; and what is refused."""

from __future__ import annotations

import asyncio
import json

import numpy as np
import pytest
import torch

from symposia.core.capture import Capture, Project
from symposia.core.errors import InvalidInput
from symposia.core.intervention import Add
from symposia.core.positions import answer as answer_positions
from symposia.core.profile import Sampling
from symposia.interp.contrast import READER, check_pairs, load_pairs, pair
from symposia.interp.diagnose import FOLDS, auroc, diagnosis, examine, held_out
from symposia.interp.fit import fit
from symposia.interp.methods import Caa, DiffMean, Lda, Pairs
from symposia.interp.vector import Reading, load_vector
from tests.reference.asking import answer, engine_of, pieces, request, talk

ASKED = ["what do you say", "and then", "is it far", "who was there", "why not", "do tell", "so", "and you"]
WARM = "what a lovely day to walk with you"
COLD = "leave me be now please"


def pairs(n=8):
    return tuple(
        pair(str(i), [("user", q), ("assistant", f"{WARM} {q}")], [("user", q), ("assistant", f"{COLD} {q}")])
        for i, q in enumerate(ASKED[:n])
    )


def fitted(engine, made, **fields):
    return asyncio.run(fit(made, backend=engine, inside=engine, store=engine.store, **fields))


def test_diff_mean_is_the_difference_of_numpy_means(tmp_path):
    """Same directions and norms from rows captured one by one; the store is left as it was; the file works."""
    with engine_of("qwen2") as engine:
        before = engine.store.free
        found = fitted(engine, pairs(), read=Reading(drop_sinks=False), name="warmth")
        assert engine.store.free == before
        sides = {"positive": [], "negative": []}
        for one in pairs():
            for side, rows in sides.items():
                ask = request(
                    engine,
                    getattr(one, side),
                    speaker=READER,
                    turn=2,
                    sampling=Sampling(max_tokens=0),
                    captures=(Capture(layers=(2,), where=answer_positions()),),
                )
                rows.append(engine.store.at(answer(engine, ask).activations[0]).numpy())
        found.vector.save(tmp_path / "warm.safetensors")
        vector = load_vector(tmp_path / "warm.safetensors")
        engine.library.add(vector)
        steered = answer(engine, request(engine, interventions=(Add(vector="warmth", layers=(2,)),)))
        reads = tuple(Capture(layers=(2,), reduce=Project("warmth", how)) for how in ("projection", "zscore"))
        plain, scored = answer(engine, request(engine, captures=reads)).readouts
    means = {side: np.mean([rows.mean(axis=0) for rows in both], axis=0) for side, both in sides.items()}
    difference = means["positive"] - means["negative"]
    notes = vector.notes(2)
    spread = notes.projection
    assert scored.values == pytest.approx(
        [(value - spread.mean) / spread.sd for value in plain.values], abs=1e-6
    )
    assert vector.layers == (0, 1, 2, 3)
    assert np.dot(vector.directions[2].numpy(), difference / np.linalg.norm(difference)) > 0.9999
    assert notes.fitted_norm == pytest.approx(np.linalg.norm(difference), rel=1e-5)
    norms = [np.linalg.norm(rows, axis=1).mean() for both in sides.values() for rows in both]
    assert notes.reference_norm == pytest.approx(np.mean(norms), rel=1e-5)
    assert found.diagnosis.suggested in vector.layers
    assert "32 or more" in found.diagnosis.warnings[-1]
    assert steered.receipts[0].layers[0].delta_mean == pytest.approx(notes.fitted_norm)
    assert vector.header.template == engine.template.digest
    assert vector.header.model.digest == engine.shape.digest


def test_the_same_pairs_give_the_same_file():
    """Bit by bit, also on an engine that is busy with something else: a vector's digest names what was fitted."""
    with engine_of("qwen3", "float32") as engine:
        alone = fitted(engine, pairs()).vector

        async def busy():
            others = [pieces(engine, request(engine, talk(5 + n, n))) for n in range(6)]
            work = fit(pairs(), backend=engine, inside=engine, store=engine.store)
            return (await asyncio.gather(*others, work))[-1]

        for _ in range(3):
            assert asyncio.run(busy()).vector.encode() == alone.encode()


def planted(n, strength, seed=0, width=24):
    generator = torch.Generator().manual_seed(seed)
    direction = torch.nn.functional.normalize(
        torch.randn(width, generator=generator, dtype=torch.float64), dim=0
    )
    noise = torch.randn(2, n, width, generator=generator, dtype=torch.float64)
    return direction, noise[0] + strength * direction, noise[1], torch.ones(n, dtype=torch.float64)


def test_a_planted_direction_comes_back():
    """Cosine above 0.99, separation and stability near 1, well above chance."""
    direction, positive, negative, weight = planted(400, 4.0)
    unit, notes = examine(DiffMean(), Pairs(positive, negative, weight), reference_norm=1.0, seed=0)
    assert float(unit @ direction) > 0.99
    assert notes.auroc > 0.97
    assert notes.auroc > notes.null_auroc
    assert notes.split_half > 0.95
    assert notes.dprime == pytest.approx(4.0, abs=0.6)
    assert notes.fitted_norm == pytest.approx(4.0, abs=0.4)


def test_no_difference_stays_in_the_null_band():
    """Noise on both sides: held-out AUROC within what shuffled labels give, and the diagnosis says so."""
    inside = 0
    for seed in range(10):
        _, positive, negative, weight = planted(40, 0.0, seed)
        _, notes = examine(DiffMean(), Pairs(positive, negative, weight), reference_norm=1.0, seed=0)
        inside += notes.auroc <= notes.null_auroc
    assert inside >= 8
    assert any("no better than shuffled" in w for w in diagnosis({0: notes}, 40).warnings) or inside < 10


def test_held_out_scores_are_those_of_refitting_without_the_fold():
    """Fold by fold, by plain means."""
    _, positive, negative, weight = planted(11, 1.0)
    given = torch.ones(1, 11, dtype=torch.float64)
    plus, minus = (x[0] for x in held_out(DiffMean(), Pairs(positive, negative, weight), given))
    for fold in range(FOLDS):
        test = torch.arange(11) % FOLDS == fold
        mean = (positive[~test] - negative[~test]).mean(dim=0)
        unit = mean / mean.norm()
        middle = (positive[~test].mean(dim=0) + negative[~test].mean(dim=0)) @ unit / 2
        assert torch.allclose(plus[test], positive[test] @ unit - middle)
        assert torch.allclose(minus[test], negative[test] @ unit - middle)


def test_auroc_counts_ties_half():
    """By hand."""
    assert auroc(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 0.0])) == 0.875


def test_what_cannot_be_fitted_is_refused():
    """Too few pairs, ids twice, the same text on both sides (named), nothing to read."""
    same = pair("twin", [("user", "a"), ("assistant", "b")], [("user", "a"), ("assistant", "b")])
    for made, text in (
        (pairs(7), "at least 8 contrast pairs; got 7"),
        (pairs() + pairs()[:1], "'0' stands 2 times"),
        ((*pairs(), same), "'twin' has the same text"),
    ):
        with pytest.raises(InvalidInput, match=text):
            check_pairs(made)
    silent = tuple(pair(str(i), [("user", q)], [("user", q + " now")]) for i, q in enumerate(ASKED))
    with (
        engine_of("llama") as engine,
        pytest.raises(InvalidInput, match=r"no position to read|nothing given"),
    ):
        fitted(engine, silent)


def test_pairs_from_jsonl(tmp_path):
    """One object a line; a bad line is named with its number."""
    path = tmp_path / "pairs.jsonl"
    entries = [
        {"id": str(i), "positive": side(WARM, q), "negative": side(COLD, q), "weight": 2.0}
        for i, q in enumerate(ASKED)
    ]
    path.write_text("\n".join(map(json.dumps, entries)) + "\n")
    loaded = load_pairs(path)
    assert [one.id for one in loaded] == [one.id for one in pairs()]
    assert loaded[0].weight == 2.0
    assert loaded[3].positive[1].segments[0].phase == "answer"
    path.write_text(path.read_text() + '{"id": "x"}\n')
    with pytest.raises(InvalidInput, match=r"pairs.jsonl:9"):
        load_pairs(path)


def side(text, asked):
    return {
        "messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": f"{text} {asked}"}]
    }


def test_tokens_may_count_instead_of_samples():
    """`per="token"`: the mean over all tokens of a side; only where a mean has that meaning."""
    read = Reading(drop_sinks=False, per="token", layers=(2,))
    with engine_of("qwen2") as engine:
        found = fitted(engine, pairs(), read=read)
        rows = {"positive": [], "negative": []}
        for one in pairs():
            for side, own in rows.items():
                ask = request(
                    engine,
                    getattr(one, side),
                    speaker=READER,
                    turn=2,
                    sampling=Sampling(max_tokens=0),
                    captures=(Capture(layers=(2,), where=answer_positions()),),
                )
                own.append(engine.store.at(answer(engine, ask).activations[0]).double())
        for method in (Lda(), Caa()):
            with pytest.raises(InvalidInput, match="per='token'"):
                fitted(engine, pairs(), method=method, read=read)
    gap = torch.cat(rows["positive"]).mean(dim=0) - torch.cat(rows["negative"]).mean(dim=0)
    assert float(found.vector.directions[2].double() @ gap / gap.norm()) == pytest.approx(1.0)
    assert found.vector.notes(2).fitted_norm == pytest.approx(float(gap.norm()))
    assert found.vector.header.read.per == "token"

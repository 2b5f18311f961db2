"""Lenses over stored residuals, against plain transformers modules and textbook formulas."""

from __future__ import annotations

import math

import msgspec
import pytest
import torch

from symposia.core.capture import Capture
from symposia.core.errors import InvalidInput
from symposia.core.intervention import Add
from symposia.core.positions import everything, said_by
from symposia.core.profile import Sampling
from symposia.engine import Engine, EngineOptions
from symposia.interp import lens
from symposia.interp.acts.record import NoActivation
from symposia.interp.acts.store import ActivationStore
from tests.reference.asking import GREEDY, answer, engine_of, request, talk
from tests.reference.families import BARS, FAMILIES, build, plain_logits, relative_l2, tokenizer
from tests.reference.steering import hooked, random_vector

ALL = (0, 1, 2, 3)
WHOLE = (Capture(layers=ALL, where=everything()),)


def caught(engine, **fields):
    done = answer(engine, request(engine, talk(9), captures=WHOLE, **fields))
    return done, engine.store.of(done.activations)


@pytest.mark.parametrize("family", FAMILIES)
def test_each_layer_through_the_unembedding(family, monkeypatch):
    """Top tokens, ranks, log-probabilities, entropy and KL, as plain modules and formulas give them; in small parts."""
    monkeypatch.setattr(lens, "_BYTES", 4 * 5 * 1000)  # a few positions at a time
    with engine_of(family) as engine:
        done, acts = caught(engine)
        got = lens.logits(acts, engine, top=3, tokens=(" day", 7))
        ids = [*done.prompt_token_ids, *done.token_ids]
        day = engine.tokens_of(" day")[0]
        texts = engine.spelled(ids)
    model = build(family)
    final, after = hooked(model, ids, [])
    assert [t.position for t in got.tokens] == list(range(len(ids)))
    assert [t.text for t in got.tokens] == list(texts)
    cap = model.config.to_dict().get("final_logit_softcapping")
    last = final.log_softmax(-1)
    for i, layer in enumerate(ALL):
        with torch.no_grad():
            logits = model.lm_head(model.model.norm(after[layer]))
        logp = (logits if cap is None else cap * (logits / cap).tanh()).log_softmax(-1)
        assert relative_l2(got.logprobs_LNW[i], logp[:, [day, 7]]) <= BARS["float64"]
        assert got.top_ids_LNk[i].equal(logp.topk(3).indices)
        ranks, own = got.ranks_LNW[i, :, 0], logp[:, [day]]
        assert (ranks >= 1 + (logp > own + 1e-9).sum(-1)).all()  # ties are broken by the last bit
        assert (ranks <= (logp >= own - 1e-9).sum(-1)).all()
        assert torch.allclose(got.entropy_LN[i], -(logp.exp() * logp).sum(-1))
        assert torch.allclose(got.kl_LN[i], (last.exp() * (last - logp)).sum(-1), atol=1e-9)
    assert got.kl_LN[-1].abs().max() < 1e-9
    assert got.kl_LN[0, 1:].min() > 1e-3
    assert got.rank(" day").equal(got.ranks_LNW[:, :, 0])
    assert got.top(2, 4)[0][1] == float(got.top_logprobs_LNk[2, 4, 0])
    assert str(got).count("\n") == len(ALL)


def test_rows_on_disk_read_as_rows_in_memory(tmp_path):
    """Several turns of a folder at once, one after the other, read by another store than the one that wrote them."""
    with ActivationStore.open(tmp_path / "acts", write=True) as store:
        options = EngineOptions(kv_bytes=1 << 24)
        with Engine.adopt(build("llama"), tokenizer(), store=store, options=options) as engine:
            dones = [answer(engine, request(engine, talk(5 + i, i), captures=WHOLE)) for i in (0, 1)]
            expected = [lens.logits(store.of(d.activations), engine, tokens=(7,)) for d in dones]
            store.flush()
            with ActivationStore.open(tmp_path / "acts") as other:
                found = lens.logits(other.query(), engine, tokens=(7,))
                again = lens.reread(other.query(), engine)
    assert found.logprobs_LNW.equal(torch.cat([e.logprobs_LNW for e in expected], dim=1))
    assert [t.text for t in found.tokens] == [t.text for e in expected for t in e.tokens]
    assert len(again) == len(found.tokens) - 2
    with pytest.raises(InvalidInput, match="of several forwards"):
        found.top(3, 2)


def test_some_layers_without_the_last_have_no_divergence():
    """KL is of the final distribution, which needs the last layer; named tokens must be single ones."""
    with engine_of("llama") as engine:
        done = answer(engine, request(engine, captures=(Capture(layers=(0, 2)),)))
        acts = engine.store.of(done.activations)
        got = lens.logits(acts, engine, top=0)
        assert got.kl_LN is None
        assert got.layers == (0, 2)
        assert len(got.tokens) == len(done.token_ids)
        with pytest.raises(InvalidInput, match="expected one token"):
            lens.logits(acts, engine, tokens=("several words",))
        with pytest.raises(InvalidInput, match="expected 0"):
            lens.logits(acts, engine, tokens=(10**9,))
        with pytest.raises(NoActivation, match="resid_mid"):
            lens.logits(acts, engine, site="resid_mid")
        with pytest.raises(NoActivation, match="the last"):
            lens.reread(acts, engine)


def test_tokens_of_a_turn_are_what_its_columns_say():
    """Log-probability, surprisal and entropy, from the making forward or from its stored last residual alike."""
    with engine_of("gemma2") as engine:
        done, acts = caught(engine, logprobs=0)
        made, again = lens.tokens(done), lens.reread(acts, engine)
        ids = [*done.prompt_token_ids, *done.token_ids]
    logp = plain_logits(build("gemma2"), ids).log_softmax(-1)
    n = len(done.prompt_token_ids)
    assert [t.token_id for t in made.tokens] == list(done.token_ids)
    assert [t.position for t in again.tokens] == list(range(1, len(ids)))
    expected = [float(logp[p - 1, ids[p]]) for p in range(1, len(ids))]
    assert again.array("logprob") == pytest.approx(expected)
    assert made.array("surprisal") == pytest.approx([-x for x in expected[n - 1 :]])
    entropy = -(logp.exp() * logp).sum(-1)
    assert again.array("entropy") == pytest.approx(entropy[:-1].tolist())
    assert made.array("entropy") == pytest.approx(entropy[n - 1 : -1].tolist())
    assert {t.span.author for t in made.tokens} == {"alice"}
    means = again.means("author")
    theirs = [x for x, t in zip(expected, again.tokens, strict=True) if t.span.author == "bob"]
    assert means["bob"]["logprob"] == pytest.approx(sum(theirs) / len(theirs))


def test_a_read_scores_the_prompt():
    """Prompt tokens have a log-probability from the second on, and no entropy: NaN in the array, empty in print."""
    with engine_of("llama") as engine:
        ask = request(engine, talk(9), sampling=Sampling(max_tokens=0), logprobs=0)
        done = answer(engine, ask)
        got = lens.tokens(done, engine)
        texts = engine.spelled(done.prompt_token_ids[1:])
    assert [t.text for t in got.tokens] == list(texts)
    assert len(got) == len(done.prompt_token_ids) - 1
    assert all(map(math.isnan, got.array("entropy")))
    assert "bob" in str(got)
    with engine_of("llama") as engine, pytest.raises(InvalidInput, match="logprobs=0"):
        lens.tokens(answer(engine, request(engine)))


def test_certainty_has_no_entropy():
    """0·log 0 = 0: a distribution on one token has entropy 0, not NaN."""
    logp = torch.tensor([[0.0, -torch.inf, -torch.inf]])
    assert float(lens._entropy(logp)) == 0.0
    assert lens._read(logp, 1, (0,), logp)["kl"].tolist() == [0.0]


@pytest.mark.parametrize("measure", ["projection", "cosine"])
def test_directions_are_projected_wherever_they_are_asked_for(measure):
    """On any turn, after steering: dot products with the stored rows of the same forward."""
    with engine_of("qwen3") as engine:
        one, two = random_vector(engine, 1), random_vector(engine, 2)
        wanted = lens.project(
            {"one": one.digest, "two": two.digest}, said_by("bob"), layers=(1, 3), measure=measure
        )
        steer = Add(vector=one.digest, layers=(0,), where=everything())
        done = answer(
            engine,
            request(engine, talk(9), captures=(*wanted, *WHOLE), interventions=(steer,), sampling=GREEDY),
        )
        got = lens.projections(done, engine)
        rows = {ref.layer: engine.store.at(ref) for ref in done.activations}
    assert list(got.columns) == ["one@1", "one@3", "two@1", "two@3"]
    at = [t.position for t in got.tokens]
    assert {t.span.author for t in got.tokens} == {"bob"}
    for name, vector in (("one", one), ("two", two)):
        for layer in (1, 3):
            h = rows[layer][at]
            expected = h @ vector.units(layer)[0].double()
            if measure == "cosine":
                expected = expected / h.norm(dim=1)
            assert got.array(f"{name}@{layer}") == pytest.approx(expected.tolist(), rel=1e-6)
        with pytest.raises(InvalidInput, match="no readouts"):
            lens.projections(msgspec.structs.replace(done, readouts=()), engine)

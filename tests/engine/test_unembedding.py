"""The end of a model alone reads stored residuals as the whole engine does."""

from __future__ import annotations

import pytest
import torch

from symposia.core.capture import Capture
from symposia.core.errors import InvalidInput, UnsupportedFormat
from symposia.core.positions import everything
from symposia.engine import Engine, EngineOptions, Unembedding
from symposia.interp import lens
from tests.reference.asking import answer, request, talk
from tests.reference.families import build, tokenizer

READ = (Capture(layers=(0, 3), where=everything()),)
SMALL = EngineOptions(kv_bytes=1 << 24)


def folder_of(path, family, **changes):
    model = build(family, "float32")
    tied = changes.get("tied", False)
    if tied:
        model = type(model)(
            type(model.config)(**{**model.config.to_dict(), "tie_word_embeddings": True})
        ).eval()
    model.save_pretrained(path, max_shard_size="100KB")
    tokenizer().save_pretrained(path)
    return str(path)


@pytest.mark.parametrize(
    ("family", "tied"), [("llama", False), ("llama", True), ("gemma2", True), ("qwen3_moe", False)]
)
def test_it_reads_what_an_engine_stored(family, tied, tmp_path):
    """The same numbers, from a folder of many shards; tied embeddings, softcaps; the same digest."""
    where = folder_of(tmp_path / "m", family, tied=tied)
    with Engine.load(where, options=SMALL) as engine:
        done = answer(engine, request(engine, talk(9), captures=READ))
        acts = engine.store.of(done.activations)
        end = Unembedding.load(where)
        assert end.shape.digest == engine.shape.digest
        one, other = (lens.logits(acts, box, tokens=(" day",)) for box in (engine, end))
        again = lens.reread(acts, end)
        expected = lens.reread(acts, engine)
    assert torch.allclose(one.logprobs_LNW, other.logprobs_LNW, atol=1e-5)
    assert one.top_ids_LNk.equal(other.top_ids_LNk)
    assert torch.allclose(one.kl_LN, other.kl_LN, atol=1e-5)
    assert one.spelled == other.spelled
    assert again.array("entropy") == pytest.approx(expected.array("entropy"), abs=1e-5)


def test_rows_of_other_weights_are_refused(tmp_path):
    """They mean nothing to this model: neither lens nor end takes them."""
    where = folder_of(tmp_path / "m", "llama")
    with Engine.adopt(build("qwen2", "float32"), tokenizer(), options=SMALL) as engine:
        done = answer(engine, request(engine, talk(9), captures=READ))
        with pytest.raises(InvalidInput, match="query those of one model"):
            lens.logits(engine.store.of(done.activations), Unembedding.load(where))


def test_what_it_cannot_load_is_said(tmp_path):
    """Rounded weights, and a checkpoint without its end."""
    where = folder_of(tmp_path / "m", "llama")
    with pytest.raises(InvalidInput, match="plain model"):
        Unembedding.load(f"{where}?quant=8bit")
    for shard in (tmp_path / "m").glob("*.safetensors"):
        _without(shard, "model.norm.weight")
    with pytest.raises(UnsupportedFormat, match=r"no model\.norm\.weight"):
        Unembedding.load(where)


def _without(path, name):
    from safetensors.torch import load_file, save_file

    kept = {key: tensor for key, tensor in load_file(path).items() if key != name}
    save_file(kept or {"nothing": torch.zeros(1)}, path)

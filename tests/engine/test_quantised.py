"""Rounded weights: near the checkpoint, said aloud, part of the identity, and still a white box."""

from __future__ import annotations

import sys

import msgspec
import pytest
import torch

from symposia.core.capture import Capture
from symposia.core.errors import ArchitectureNotUnderstood, BackendError, UnsupportedRequest
from symposia.core.intervention import Add
from symposia.engine import ActivationsPerturbed, Engine, EngineOptions
from symposia.engine.loading import load
from symposia.engine.quantised import QuantisedLinear
from tests.engine.checkpoints import checkpoint, lora, plain
from tests.reference.asking import answer, answers, request, talk
from tests.reference.families import TINY, relative_l2
from tests.reference.steering import random_vector

pytestmark = pytest.mark.filterwarnings(
    "ignore:.is_gradient_checkpointing:FutureWarning"
)  # peft asks transformers
SMALL = EngineOptions(kv_bytes=1 << 22)
BARS = {"8bit": 0.05, "4bit": 0.3}  # relative L2 of the bundled model's logits; seen 0.02 and 0.2
KINDS = pytest.mark.parametrize("kind", BARS)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return checkpoint(tmp_path_factory.mktemp("base"), "qwen2")  # has biases


@torch.no_grad()
def logits(model):
    ids = torch.arange(40)[None] * 31 % 2000
    return model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).logits


def quantised(base, kind, **options):
    with pytest.warns(ActivationsPerturbed, match=rf"linear layers are rounded to {kind}"):
        return load(str(base), quantization=kind, **options)


@KINDS
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_logits_stay_near_the_checkpoint(kind, dtype):
    """Within a loose bar, not exactly; every linear layer but the unembedding takes so many bits a weight."""
    loaded = quantised("symposia:tiny", kind, dtype=dtype)
    assert 1e-3 < relative_l2(logits(loaded.model), logits(plain(TINY))) < BARS[kind]
    rounded = [m for m in loaded.model.modules() if type(m) is QuantisedLinear]
    assert [m for m in loaded.model.modules() if isinstance(m, torch.nn.Linear)] == [loaded.model.lm_head]
    assert len(rounded) == 7 * loaded.config.num_hidden_layers
    bits = 8 * sum(m.weight.nbytes for m in rounded) / sum(m.in_features * m.out_features for m in rounded)
    assert bits == int(kind[0])
    assert str(loaded.dtype) == f"torch.{dtype}"


@KINDS
def test_a_row_does_not_depend_on_the_batch(base, kind):
    """Weights are rounded, activations are not."""
    model = quantised(base, kind, dtype="float32").model
    ids = torch.tensor([[5, 6, 7, 8], [900, 20, 1000, 30]])
    with torch.no_grad():
        alone, both = (
            model(input_ids=i, attention_mask=torch.ones_like(i)).logits[0] for i in (ids[:1], ids)
        )
    assert relative_l2(both, alone) < 1e-5


@KINDS
def test_auto_takes_hf_and_says_why(base, kind):
    """The lean forward refuses the layer by name; everything inside is tested as ever and holds."""
    loaded = quantised(base, kind)
    with Engine(loaded, options=SMALL) as engine:
        assert engine.runner[0] == "hf"
        assert "self_attn.q_proj: expected a plain linear layer; got QuantisedLinear" in engine.runner[1]
        assert [check.name for check in engine.checks if check.status == "failed"] == []
        assert engine.site_map.supported["resid_post"] == (0, 1, 2, 3)
        assert engine.address == f"{base}?quant={kind}"
        assert kind in engine.warnings[0]
    lean = msgspec.structs.replace(SMALL, runner="lean")
    with pytest.raises(ArchitectureNotUnderstood, match="QuantisedLinear"):
        Engine(loaded, options=lean)


@KINDS
def test_steering_and_captures_work(base, kind):
    """Row by row in one batch; what is captured after a write has the direction in it."""
    with Engine(quantised(base, kind), options=SMALL) as engine:
        vector = random_vector(engine, 0, layers=(2,))
        add = Add(vector=vector.digest, layers=(2,), scale=5.0)
        read = Capture(layers=(2,))
        asks = [request(engine, talk(8), captures=(read,)) for _ in range(2)]
        steered, plainly = answers(engine, [msgspec.structs.replace(asks[0], interventions=(add,)), asks[1]])
        again = answer(engine, asks[1])
        rows = [engine.store.of(done.activations).tensors().mean(dim=0) for done in (steered, plainly)]
    assert [receipt.status for receipt in steered.receipts] == ["applied"]
    assert plainly.token_ids == again.token_ids != steered.token_ids
    direction = vector.directions[2] / vector.directions[2].norm()
    assert (rows[0] - rows[1]) @ direction > 10.0


def test_the_digest_and_the_memory_tell_kinds_apart(base):
    """Three identities, three digests; the same one is loaded once, and told each time."""
    told = [load(str(base)), quantised(base, "8bit"), quantised(base, "4bit")]
    with pytest.warns(ActivationsPerturbed):
        assert load(f"{base}?quant=8bit") is told[1]
    assert len({loaded.digest for loaded in told}) == 3


def test_an_adapter_is_merged_before_rounding(tmp_path, base):
    """Rounding the merged weights is what comes out; its digest names all three."""
    folder = lora(tmp_path, base)
    adapted = load(str(base), adapter=str(folder))
    both = quantised(base, "8bit", adapter=str(folder))
    plainly, rounded = (loaded.model.model.layers[1].mlp.down_proj for loaded in (adapted, both))
    assert torch.equal(rounded.unpacked(), QuantisedLinear(plainly, "8bit", adapted.device).unpacked())
    assert relative_l2(rounded.unpacked(), plainly.weight) < 0.02
    assert both.digest not in (adapted.digest, quantised(base, "8bit").digest)


def test_what_cannot_be_rounded_is_refused(tmp_path, base):
    """Another dtype, and a model whose weights are mostly experts, which are no linear layers."""
    with pytest.raises(UnsupportedRequest, match="dtype='float32'"):
        load(str(base), quantization="8bit", dtype="float64")
    experts = checkpoint(tmp_path / "experts", "mixtral")
    with pytest.raises(UnsupportedRequest, match=r"quantization=4bit.*% of the weights"):
        load(str(experts), quantization="4bit")


def test_the_missing_library_is_named(monkeypatch, base):
    """The extra to install."""
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(BackendError, match=r"symposia\[quantization\]"):
        load(str(base), quantization="4bit", dtype="bfloat16")

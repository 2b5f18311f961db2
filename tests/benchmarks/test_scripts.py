"""Promise: the benchmarks start, and their peers are given the same model. Nothing here is timed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs torch: pip install 'symposia[engine]'")
transformers = pytest.importorskip(
    "transformers", reason="needs transformers: pip install 'symposia[engine]'"
)

ROOT = Path(__file__).parents[2]
HERE = ROOT / "benchmarks"
SCRIPTS = sorted(path.stem for path in HERE.glob("*.py"))
EXTRA = "pip install -c constraints.txt '.[bench]'"


def qwen2(dtype: object, *, tied: bool) -> transformers.PreTrainedModel:
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(
        "qwen2",
        hidden_size=128,
        intermediate_size=192,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        vocab_size=256,
        max_position_embeddings=512,
        tie_word_embeddings=tied,
    )
    return transformers.AutoModelForCausalLM.from_config(config, dtype=dtype).eval()


@pytest.mark.slow
def test_every_script_imports() -> None:
    """All of them in one interpreter, without running any; a peer's library may be absent, nothing of ours may be."""
    own = ["peers", "peers.interlens", "peers.continuous", "peers.openai_420"]
    wanted = [*SCRIPTS, *own, "serving.stub", "serving.load", "serving.relay"]
    code = f"import importlib\nfor name in {wanted!r}: importlib.import_module(name)"
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{HERE}", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_table_runs_scripts_that_are_there() -> None:
    """Every piece of the whole table is a file beside it, and a peer's file is reached by one of them."""
    text = (HERE / "table.py").read_text(encoding="utf-8")
    named = {name for name in SCRIPTS if f'"{name}.py"' in text}
    assert named == {"conversations", "engine", "inside", "steering_overhead", "dialogue", "scheduler"}


def test_the_floor_is_the_larger_of_bytes_and_flops() -> None:
    """More rows add FLOPs but no weights, so a step goes from bound by bytes to bound by FLOPs."""
    from benchmarks.floor import Limits, Work, floor_s, step

    limits = Limits(bandwidth=100.0, peak=1000.0)
    assert floor_s(Work(bytes=200, flops=100), limits) == 2
    assert floor_s(Work(bytes=200, flops=5000), limits) == 5
    model = qwen2(torch.float32, tied=True)
    one, many = step(model, 1, 0), step(model, 8, 0)
    assert one.bytes == many.bytes == 4 * sum(weight.numel() for weight in model.parameters())
    assert many.flops == 8 * one.flops == 8 * 2 * (one.bytes // 4)
    untied = step(qwen2(torch.float32, tied=False), 1, 0)
    assert untied.bytes == one.bytes, "the embedding of an untied model is a row a token, not a matrix"


def test_without_interlens_the_benchmark_says_how_to_get_it(tmp_path: Path) -> None:
    """No interpreter, or one without the library: both name the make target and the option."""
    from benchmarks.peers import interlens

    for python in (tmp_path / "python", Path(sys.executable)):
        said = interlens.missing(python)
        assert "make .venv/.stamps/interlens" in said
        assert "--interlens-python" in said


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_gguf_file_holds_the_same_weights(tmp_path: Path, dtype: str, tied: bool) -> None:
    """Every tensor comes back bit for bit, under the name llama.cpp looks for; a tied head is not written twice."""
    gguf = pytest.importorskip("gguf", reason=f"needs gguf: {EXTRA}")
    from benchmarks.peers import gguf_file

    model = qwen2(getattr(torch, dtype), tied=tied)
    gguf_file.write(model, tmp_path / "model.gguf")
    read = {tensor.name: tensor for tensor in gguf.GGUFReader(tmp_path / "model.gguf").tensors}
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN2, 2)
    weights = dict(model.named_parameters())
    assert len(read) == len(weights)
    assert ("output.weight" in read) is not tied
    for name, weight in weights.items():
        found = read[names.get_name(name, try_suffixes=(".weight", ".bias"))]
        assert tuple(found.shape) == tuple(reversed(weight.shape))
        wide = weight.dtype == torch.float32 or weight.dim() == 1
        kind = torch.float32 if wide else torch.bfloat16
        held = torch.frombuffer(bytearray(found.data.tobytes()), dtype=kind).view(weight.shape)
        assert torch.equal(held, weight.detach().to(kind)), name


def test_llama_cpp_speaks_as_transformers(tmp_path: Path) -> None:
    """Ragged prompts in one batch, greedy: the same tokens from the file's weights as from the module's."""
    pytest.importorskip("gguf", reason=f"needs gguf: {EXTRA}")
    pytest.importorskip("llama_cpp", reason=f"needs llama-cpp-python: {EXTRA}")
    from benchmarks.peers import llama_cpp

    model = qwen2(torch.float32, tied=False)
    prompts = [[5, 6, 7, 8], [9, 10]]
    with llama_cpp.loaded(model, len(prompts)) as llama:
        replies = [llama.generate(prompts, 12) for _ in range(2)]
    for prompt, reply in zip(prompts, replies[0], strict=True):
        ids = torch.tensor([prompt])
        out = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=12,
            eos_token_id=-1,
            pad_token_id=0,
        )
        assert reply == out[0, len(prompt) :].tolist()
    assert replies[0] == replies[1], "the cache of an earlier run is cleared"


def hooked(model: transformers.PreTrainedModel, ids_RT: object, vectors_LRD: object, tokens: int) -> tuple:
    """Plain forward hooks: what the peers are asked to do."""
    read = []

    def change(unit_R1D: torch.Tensor) -> object:
        def hook(module: object, inputs: object, hidden: torch.Tensor) -> torch.Tensor:
            hidden = hidden + 3.0 * unit_R1D
            hidden = hidden - (hidden * unit_R1D).sum(-1, keepdim=True) * unit_R1D
            read.append(hidden[:, -1])
            return hidden

        return hook

    handles = [
        layer.register_forward_hook(change(vectors_LRD[i][:, None]))
        for i, layer in enumerate(model.model.layers)
    ]
    mask = torch.ones_like(ids_RT)
    out = model.generate(ids_RT, attention_mask=mask, do_sample=False, max_new_tokens=tokens, pad_token_id=0)
    for handle in handles:
        handle.remove()
    return out[:, ids_RT.shape[1] :], read


@pytest.mark.parametrize("peer", ["nnsight", "transformer_lens"])
@pytest.mark.filterwarnings("default")
def test_a_peer_that_looks_inside_does_what_hooks_do(peer: str) -> None:
    """Add, ablate and read at two layers, a vector for each row: the replies and readings of plain forward hooks."""
    pytest.importorskip(peer, reason=f"needs {peer}: {EXTRA}", exc_type=ImportError)
    if peer == "nnsight":
        from benchmarks.peers.nnsight import Traced as Peer
    else:
        from benchmarks.peers.transformer_lens import Hooked as Peer
    import symposia

    tokenizer = transformers.AutoTokenizer.from_pretrained(
        Path(symposia.__file__).parent / "weights" / "tiny"
    )
    model = qwen2(torch.float32, tied=False)
    ids_RT = torch.tensor([[5, 6, 7, 8], [9, 10, 11, 12]])
    vectors_LRD = torch.nn.functional.normalize(torch.randn(2, 2, 128), dim=-1)
    with torch.no_grad():
        expected, seen = hooked(model, ids_RT, vectors_LRD, 6)
    replies, read = Peer(model, tokenizer, (0, 1)).generate(ids_RT, vectors_LRD, 3.0, 6)
    assert torch.equal(replies, expected)
    assert len(read) == len(seen)
    for got, want in zip(read, seen, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)

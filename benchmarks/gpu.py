"""`python benchmarks/gpu.py [--quick] [--shapes 8B 0.5B] [--batches 1 32 128]`: the engine on one CUDA GPU.

Random bf16 weights of Qwen3-8B's and Qwen2.5-0.5B's shapes, built from their configurations; nothing is downloaded.
A decode step is the time of a long generation less that of one token from the same prompts, over the tokens between;
its floor is what it has to read (weights, and keys and values at the middle of the reply) at the bandwidth of a copy.
`--rehearse` runs all of it on the CPU with toy shapes: whether it runs, not how fast.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import transformers
from random_vectors import random_vectors
from rows import grid
from shapes import alternated, answers, ask, endless, generate, line, tokenizer, wall, words
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    ContinuousBatchingConfig,
    GenerationConfig,
    PreTrainedModel,
)

from symposia.core.capture import Capture, Project
from symposia.core.intervention import Ablate, Add, Cap
from symposia.core.positions import everything, speaking
from symposia.core.request import Completion
from symposia.engine import Engine, EngineOptions
from symposia.interp.acts.store import ActivationStore

QWEN3_8B = {
    "hidden_size": 4096,
    "intermediate_size": 12_288,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "vocab_size": 151_936,
    "tie_word_embeddings": False,
}
QWEN25_05B = {
    "hidden_size": 896,
    "intermediate_size": 4864,
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "vocab_size": 151_936,
    "tie_word_embeddings": True,
}
SMALL = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 4, "vocab_size": 4096}
SHAPES = {"8B": ("qwen3", QWEN3_8B), "0.5B": ("qwen2", QWEN25_05B)}
MEMORY_BOUND = {1: 75.0}  # percent of the floor's bandwidth, by batch
GENERATE, CONTINUOUS = {32: 3.0, 128: 3.0}, {32: 1.3, 128: 1.3}
LOSS = {
    "half the rows steered, 64 vectors": 5.0,
    "all rows, one vector, one layer": 3.0,
    "all rows, one vector, all layers": 10.0,
    "256 vectors": 8.0,
    "3 operations x all layers": 15.0,
    "capture of 3 layers, all tokens, in memory": 10.0,
    "8 projections": 2.0,
}

Row = tuple[str, ...]


@dataclass(frozen=True)
class Scale:
    """How large a run is."""

    device: torch.device
    prompt_words: int
    tokens: int
    repeats: int
    kv_bytes: int
    copied: int


def build(kind: str, sizes: dict[str, object], device: torch.device) -> PreTrainedModel:
    """A model of this shape that speaks for ever, made on the device."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, max_position_embeddings=4096, **sizes)
    config.eos_token_id = config.bos_token_id = None
    with device:
        return endless(AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).eval())


def copy_bandwidth(scale: Scale) -> float:
    """Bytes a second that a copy reads and writes together, the best of ten."""
    source = torch.empty(scale.copied, dtype=torch.uint8, device=scale.device)
    target = torch.empty_like(source)
    return max(2 * scale.copied / wall(lambda: target.copy_(source)) for _ in range(10))


def engine_of(model: PreTrainedModel, rows: int, scale: Scale, **options: object) -> Engine:
    """An engine on the model itself; `generate` goes on working on it."""
    chosen = EngineOptions(max_rows=rows, max_tokens=8192, kv_bytes=scale.kv_bytes, **options)
    return Engine.adopt(model, tokenizer(), "bench", options=chosen, store=ActivationStore.memory(8 << 30))


def floor_s(model: PreTrainedModel, lengths: Sequence[int], scale: Scale, bandwidth: float) -> float:
    """Seconds to read all weights once, the embedding aside, and all keys and values."""
    config = model.config
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    if not config.tie_word_embeddings:
        embedding = model.get_input_embeddings().weight
        weights -= embedding.numel() * embedding.element_size()
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    position = 2 * config.num_hidden_layers * config.num_key_value_heads * size * 2
    return (weights + position * sum(n + scale.tokens // 2 for n in lengths)) / bandwidth


def continuous(model: PreTrainedModel, prompts: list[list[int]], tokens: int) -> None:
    """transformers' continuous batching, greedy, of exact length."""
    config = GenerationConfig(max_new_tokens=tokens, do_sample=False, eos_token_id=-1, pad_token_id=0)
    longest = max(map(len, prompts)) + tokens
    room = ContinuousBatchingConfig(num_blocks=len(prompts) * (longest // 256 + 1) + 4)
    made = model.generate_batch(inputs=prompts, generation_config=config, continuous_batching_config=room)
    assert [len(each.generated_tokens) for each in made.values()] == [tokens] * len(prompts)


def decode(engine: Engine, model: PreTrainedModel, rows: int, scale: Scale, bandwidth: float) -> list[Row]:
    """The step of so many rows against its floor and against two peers."""
    lines = [(line("user", words(scale.prompt_words, seed), "bob", 0),) for seed in range(rows)]
    prompts = [list(engine.template.render(ask(engine, each, 1)).token_ids) for each in lines]

    def ours(n: int) -> None:
        answers(engine, [ask(engine, each, n) for each in lines])

    ways: dict[str, Callable[[int], object]] = {
        "ours": ours,
        "generate": lambda n: generate(model, prompts, n),
        "continuous batching": lambda n: continuous(model, prompts, n),
    }
    ours(scale.tokens)  # kernels are compiled, steps recorded
    arms = {
        f"{way} {n}": (lambda run=run, n=n: run(n)) for way, run in ways.items() for n in (1, scale.tokens)
    }
    taken = alternated(arms, scale.repeats, wall)
    steps = {way: (taken[f"{way} {scale.tokens}"] - taken[f"{way} 1"]) / (scale.tokens - 1) for way in ways}
    least = floor_s(model, [len(prompt) for prompt in prompts], scale, bandwidth)
    share, bar = 100 * least / steps["ours"], MEMORY_BOUND.get(rows)
    met = "-" if bar is None else "pass" if share >= bar else "MISSED"
    asked = "-" if bar is None else f">= {bar:g} %"
    shown = f"batch {rows}, {sum(map(len, prompts)) // rows} + {scale.tokens} tokens"
    step = f"{1000 * steps['ours']:.2f} ms"
    print(f"{shown}: prefill {taken['ours 1']:.3f} s", flush=True)
    return [
        (shown, step, f"floor {1000 * least:.2f} ms", f"{share:.0f} %", asked, met),
        *(
            (
                shown,
                step,
                f"{way} {1000 * steps[way]:.2f} ms",
                *verdict(steps[way] / steps["ours"], bars.get(rows)),
            )
            for way, bars in (("generate", GENERATE), ("continuous batching", CONTINUOUS))
        ),
    ]


def overhead(engine: Engine, rows: int, scale: Scale) -> list[Row]:
    """Throughput that each arm loses against plain rows, whole requests, prefill included."""
    arms = overhead_arms(engine, rows, scale)
    for run in arms.values():
        run()
    taken = alternated(arms, scale.repeats, wall)
    found = []
    for arm, bar in LOSS.items():
        loss = 100 * (1 - taken["plain"] / taken[arm])
        met = "pass" if loss <= bar else "MISSED"
        cells = (
            f"{taken[arm]:.3f} s",
            f"plain {taken['plain']:.3f} s",
            f"{loss:.1f} %",
            f"<= {bar:g} %",
            met,
        )
        found.append((f"{rows} rows: {arm}", *cells))
    return found


def overhead_arms(engine: Engine, rows: int, scale: Scale) -> dict[str, Callable[[], None]]:
    """Each asks for all rows at once; every receipt must say that its intervention was applied."""
    depth = engine.shape.layers
    every, three, one = tuple(range(depth)), (depth // 4, depth // 2, 3 * depth // 4), (depth // 2,)
    known = random_vectors(engine, 256, every)
    lines = [(line("user", words(scale.prompt_words, seed), "bob", 0),) for seed in range(rows)]

    def add(which: int, at: tuple[int, ...]) -> Add:
        return Add(vector=known[which % 256], scale=0.1, layers=at, where=speaking())

    def operations(row: int) -> dict[str, object]:
        ablate = Ablate(vector=known[row % 256], layers=every, where=speaking())
        cap = Cap(vector=known[(row + 1) % 256], high=0.5, layers=every, where=speaking())
        return {"interventions": (add(row, every), ablate, cap)}

    def projections(_: int) -> dict[str, object]:
        reads = (Project(known[i]) for i in range(8))
        return {"captures": tuple(Capture(layers=one, where=speaking(), reduce=each) for each in reads)}

    wishes: dict[str, Callable[[int], dict[str, object]]] = {
        "plain": lambda _: {},
        "half the rows steered, 64 vectors": lambda row: (
            {"interventions": (add(row // 2 % 64, one),)} if row % 2 else {}
        ),
        "all rows, one vector, one layer": lambda _: {"interventions": (add(0, one),)},
        "all rows, one vector, all layers": lambda _: {"interventions": (add(0, every),)},
        "256 vectors": lambda row: {"interventions": (add(2 * row, one), add(2 * row + 1, one))},
        "3 operations x all layers": operations,
        "capture of 3 layers, all tokens, in memory": lambda _: {
            "captures": (Capture(layers=three, where=everything()),)
        },
        "8 projections": projections,
    }

    def arm(wish: Callable[[int], dict[str, object]]) -> Callable[[], None]:
        def measured() -> None:
            asks = [ask(engine, each, scale.tokens, turn=1, **wish(row)) for row, each in enumerate(lines)]
            for request, done in zip(asks, answers(engine, asks), strict=True):
                assert [r.status for r in done.receipts] == ["applied"] * len(request.interventions)
                assert len(done.activations) + len(done.readouts) >= len(request.captures)
                forget(engine, done)

        return measured

    return {name: arm(wish) for name, wish in wishes.items()}


def verdict(ratio: float, bar: float | None) -> tuple[str, str, str]:
    """Ratio, bar and whether it is reached, as cells."""
    if bar is None:
        return f"{ratio:.2f} x", "-", "-"
    return f"{ratio:.2f} x", f">= {bar:g} x", "pass" if ratio >= bar else "MISSED"


def forget(engine: Engine, done: Completion) -> None:
    """Make room in the activation store."""
    engine.store.drop(done.activations)


def main() -> int:
    """Prints the tables; 1 if a bar is missed, 0 with one line where there is no GPU."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer tokens and repeats; noisier")
    parser.add_argument("--shapes", nargs="+", default=["0.5B", "8B"], choices=SHAPES)
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 32, 128])
    parser.add_argument(
        "--rehearse", action="store_true", help="toy shapes on the CPU; the numbers mean nothing"
    )
    chosen = parser.parse_args()
    if not torch.cuda.is_available() and not chosen.rehearse:
        print("skipped: no CUDA device; on a machine with one, `python benchmarks/gpu.py`")
        return 0
    if chosen.rehearse:
        scale = Scale(torch.device("cpu"), 8, 3, 1, 1 << 24, 1 << 20)
    else:
        tokens, repeats = (33, 2) if chosen.quick else (128, 5)
        scale = Scale(torch.device("cuda"), 380, tokens, repeats, 20 << 30, 1 << 30)
    bandwidth = copy_bandwidth(scale)
    rows: list[Row] = [("what", "ours", "against", "ratio", "bar", "verdict")]
    for name in chosen.shapes:
        kind, sizes = SHAPES[name]
        model = build(kind, {**sizes, **SMALL} if chosen.rehearse else sizes, scale.device)
        with engine_of(model, max(chosen.batches), scale, reuse=False) as engine:
            print(f"{name}: runner {', '.join(engine.runner)}", flush=True)
            measured = [row for n in chosen.batches for row in decode(engine, model, n, scale, bandwidth)]
            measured += overhead(engine, max(chosen.batches), scale)
        rows += [(f"{name}, {row[0]}", *row[1:]) for row in measured]
        del model
    if chosen.rehearse:
        rows = [rows[0], *((*row[:3], "-", row[4], "-") for row in rows[1:])]
    print()
    print(grid(rows))
    device = (
        torch.cuda.get_device_name() if scale.device.type == "cuda" else f"{platform.machine()}, a rehearsal"
    )
    print(
        f"\n{device}; a copy moves {bandwidth / 1e9:.0f} GB/s; Python {platform.python_version()}, "
        f"torch {torch.__version__}, transformers {transformers.__version__}"
    )
    return int(any(row[-1] == "MISSED" for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())

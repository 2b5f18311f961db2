"""Random-weight models of stated sizes, and the ways to run them that the engine's benchmarks share.

Qwen2's shape, and Qwen3-MoE's where there are experts; the bundled tokenizer. Rows of the head that would end a turn
or have no text are zero, so a greedy reply never ends early and is as long as was asked for. Torch runs one thread;
times are CPU time of the process.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "src"))

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

import symposia
from symposia.core.lines import Line, Segment
from symposia.core.profile import Sampling
from symposia.core.request import Completion, Request
from symposia.engine import Engine, EngineOptions

torch.set_num_threads(1)
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
TINY = Path(symposia.__file__).parent / "weights" / "tiny"


def _shape(
    width: int, mlp: int, layers: int, heads: int, vocabulary: int, *, tied: bool
) -> dict[str, object]:
    return {
        "hidden_size": width,
        "intermediate_size": mlp,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": 2,
        "vocab_size": vocabulary,
        "tie_word_embeddings": tied,
    }


SHAPES = {
    "S": _shape(256, 640, 4, 4, 4096, tied=True),  # 3.8 M parameters
    "M": _shape(384, 2048, 8, 6, 4096, tied=False),  # 25 M
    "E": _shape(384, 768, 8, 6, 4096, tied=False)  # 80 M, of which a token uses 17 M
    | {"num_experts": 32, "num_experts_per_tok": 4, "moe_intermediate_size": 256, "norm_topk_prob": True},
    "L": _shape(896, 4864, 24, 14, 151_936, tied=True),  # Qwen2.5-0.5B's
}


def tokenizer() -> transformers.PreTrainedTokenizerBase:
    """The bundled one."""
    return AutoTokenizer.from_pretrained(TINY)


def build(shape: str, dtype: str = "float32") -> PreTrainedModel:
    """A model that speaks for ever; `tiny` has the bundled weights."""
    if shape == "tiny":
        loaded = AutoModelForCausalLM.from_pretrained(TINY, dtype=getattr(torch, dtype)).eval()
        loaded.config.eos_token_id = loaded.generation_config.eos_token_id = None
        return endless(loaded)
    torch.manual_seed(0)
    family = "qwen3_moe" if "num_experts" in SHAPES[shape] else "qwen2"
    config = AutoConfig.for_model(family, max_position_embeddings=4096, **SHAPES[shape])
    config.eos_token_id = config.bos_token_id = None
    return endless(AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype)).eval())


def endless(model: PreTrainedModel) -> PreTrainedModel:
    """The model, unable to end a turn or to say what has no text."""
    known = tokenizer()
    with torch.no_grad():
        model.lm_head.weight[list(known.added_tokens_decoder)] = 0
        model.lm_head.weight[len(known) :] = 0
    return model


def engine_of(model: PreTrainedModel, **options: object) -> Engine:
    """An engine on a copy of a built model: the engine may lay its weights out anew."""
    return Engine.adopt(deepcopy(model), tokenizer(), "bench", options=EngineOptions(**options))


def line(role: str, text: str, author: str | None = None, turn: int | None = None, **fields: object) -> Line:
    """One line of one segment."""
    phase = "answer" if role == "assistant" else "prompt"
    said = Segment(text=text, phase=phase, author=author, turn=turn, **fields)
    return Line(role=role, segments=(said,), kind="framing" if turn is None else "turn")


def words(count: int, seed: int) -> str:
    """Words of a fixed list, in an order of their own."""
    known = (
        "the red fox ran over seven small hills while nobody in town said a word about rain or tea".split()
    )
    return " ".join(random.Random(seed).choices(known, k=count))


def ask(engine: Engine, lines: Sequence[Line], tokens: int, **fields: object) -> Request:
    """A greedy request of exactly so many tokens."""
    sampling = Sampling(temperature=0.0, max_tokens=tokens)
    return Request(
        **{"model": engine.address, "lines": tuple(lines), "sampling": sampling, "speaker": "ann", **fields}
    )


async def answer(engine: Engine, request: Request) -> Completion:
    """Listens to the pieces as a caller does; the completion, of exactly the length asked for."""
    async for piece in engine.generate(request):
        done = piece
    assert isinstance(done, Completion)
    assert len(done.token_ids) == request.sampling.max_tokens, len(done.token_ids)
    return done


def answers(engine: Engine, requests: Sequence[Request]) -> list[Completion]:
    """All at once."""

    async def gather() -> list[Completion]:
        return await asyncio.gather(*(answer(engine, request) for request in requests))

    return asyncio.run(gather())


@torch.no_grad()
def generate(
    model: PreTrainedModel, prompts: Sequence[Sequence[int]], tokens: int, **options: object
) -> list[list[int]]:
    """`transformers.generate`: greedy, left-padded, one batch."""
    longest = max(map(len, prompts))
    ids = torch.tensor([[0] * (longest - len(p)) + list(p) for p in prompts], device=model.device)
    mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts], device=model.device)
    out = model.generate(
        ids, attention_mask=mask, do_sample=False, max_new_tokens=tokens, pad_token_id=0, **options
    )
    assert out.shape[1] == longest + tokens, out.shape
    return out[:, longest:].tolist()


def seconds(run: Callable[[], object]) -> tuple[float, float]:
    """CPU seconds of the whole process, and wall seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return time.process_time() - cpu, time.perf_counter() - wall


def cpu(run: Callable[[], object]) -> float:
    """CPU seconds of the whole process."""
    return seconds(run)[0]


def wall(run: Callable[[], object]) -> float:
    """Seconds by the clock, until the device has done what was asked of it."""
    began = time.perf_counter()
    run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began


def alternated(
    arms: Mapping[str, Callable[[], object]],
    repeats: int,
    clock: Callable[[Callable[[], object]], float] = cpu,
) -> dict[str, float]:
    """The least seconds of each arm, of CPU time unless told otherwise, in turns: the machine's noise only adds."""
    taken: dict[str, list[float]] = {name: [] for name in arms}
    for _ in range(repeats):
        for name, run in arms.items():
            taken[name].append(clock(run))
    return {name: min(times) for name, times in taken.items()}

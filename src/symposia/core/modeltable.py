"""Short names of open-weight chat models: Hub id, parameters, context window. Nothing about how they chat."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from .value import Value


class ModelEntry(Value, frozen=True):
    """A row. `hub` is empty for a bundled model, whose `bundled` is a directory inside this package."""

    hub: str
    parameters: int
    context_window: int
    bundled: str | None = None


def _millions(hub: str, parameters: float, context: int) -> ModelEntry:
    return ModelEntry(hub, round(parameters * 1e6), context)


_K32, _K40, _K128 = 32_768, 40_960, 131_072

MODELS: Mapping[str, ModelEntry] = MappingProxyType(
    {
        "symposia:tiny": ModelEntry("", 4_132_096, 2_048, bundled="weights/tiny"),
        "qwen2.5-0.5b": _millions("Qwen/Qwen2.5-0.5B-Instruct", 494, _K32),
        "qwen2.5-1.5b": _millions("Qwen/Qwen2.5-1.5B-Instruct", 1_544, _K32),
        "qwen2.5-3b": _millions("Qwen/Qwen2.5-3B-Instruct", 3_086, _K32),
        "qwen2.5-7b": _millions("Qwen/Qwen2.5-7B-Instruct", 7_616, _K32),
        "qwen2.5-14b": _millions("Qwen/Qwen2.5-14B-Instruct", 14_770, _K32),
        "qwen2.5-32b": _millions("Qwen/Qwen2.5-32B-Instruct", 32_764, _K32),
        "qwen2.5-72b": _millions("Qwen/Qwen2.5-72B-Instruct", 72_706, _K32),
        "qwen3-0.6b": _millions("Qwen/Qwen3-0.6B", 596, _K40),
        "qwen3-1.7b": _millions("Qwen/Qwen3-1.7B", 1_721, _K40),
        "qwen3-4b": _millions("Qwen/Qwen3-4B", 4_022, _K40),
        "qwen3-8b": _millions("Qwen/Qwen3-8B", 8_191, _K40),
        "qwen3-14b": _millions("Qwen/Qwen3-14B", 14_768, _K40),
        "qwen3-32b": _millions("Qwen/Qwen3-32B", 32_762, _K40),
        "qwen3-30b-a3b": _millions("Qwen/Qwen3-30B-A3B", 30_532, _K40),
        "qwen3-235b-a22b": _millions("Qwen/Qwen3-235B-A22B", 235_094, _K40),
        "gemma2-2b": _millions("google/gemma-2-2b-it", 2_614, 8_192),
        "gemma2-9b": _millions("google/gemma-2-9b-it", 9_242, 8_192),
        "gemma2-27b": _millions("google/gemma-2-27b-it", 27_227, 8_192),
        "gemma3-270m": _millions("google/gemma-3-270m-it", 268, _K32),
        "gemma3-1b": _millions("google/gemma-3-1b-it", 1_000, _K32),
        "gemma3-4b": _millions("google/gemma-3-4b-it", 4_300, _K128),
        "gemma3-12b": _millions("google/gemma-3-12b-it", 12_187, _K128),
        "gemma3-27b": _millions("google/gemma-3-27b-it", 27_432, _K128),
        "llama3.1-8b": _millions("meta-llama/Llama-3.1-8B-Instruct", 8_030, _K128),
        "llama3.1-70b": _millions("meta-llama/Llama-3.1-70B-Instruct", 70_554, _K128),
        "llama3.1-405b": _millions("meta-llama/Llama-3.1-405B-Instruct", 405_853, _K128),
        "llama3.2-1b": _millions("meta-llama/Llama-3.2-1B-Instruct", 1_236, _K128),
        "llama3.2-3b": _millions("meta-llama/Llama-3.2-3B-Instruct", 3_213, _K128),
        "llama3.3-70b": _millions("meta-llama/Llama-3.3-70B-Instruct", 70_554, _K128),
        "mistral-7b": _millions("mistralai/Mistral-7B-Instruct-v0.3", 7_248, _K32),
        "mistral-nemo-12b": _millions("mistralai/Mistral-Nemo-Instruct-2407", 12_248, _K128),
        "mistral-small-24b": _millions("mistralai/Mistral-Small-3.2-24B-Instruct-2506", 24_011, _K128),
        "phi3.5-mini": _millions("microsoft/Phi-3.5-mini-instruct", 3_821, _K128),
        "phi4-mini": _millions("microsoft/Phi-4-mini-instruct", 3_836, _K128),
        "phi4": _millions("microsoft/phi-4", 14_660, 16_384),
        "gpt-oss-20b": _millions("openai/gpt-oss-20b", 20_915, _K128),
        "gpt-oss-120b": _millions("openai/gpt-oss-120b", 116_829, _K128),
        "smollm2-135m": _millions("HuggingFaceTB/SmolLM2-135M-Instruct", 135, 8_192),
        "smollm2-360m": _millions("HuggingFaceTB/SmolLM2-360M-Instruct", 362, 8_192),
        "smollm2-1.7b": _millions("HuggingFaceTB/SmolLM2-1.7B-Instruct", 1_711, 8_192),
        "olmo2-1b": _millions("allenai/OLMo-2-0425-1B-Instruct", 1_485, 4_096),
        "olmo2-7b": _millions("allenai/OLMo-2-1124-7B-Instruct", 7_299, 4_096),
        "olmo2-13b": _millions("allenai/OLMo-2-1124-13B-Instruct", 13_716, 4_096),
        "olmo2-32b": _millions("allenai/OLMo-2-0325-32B-Instruct", 32_234, 4_096),
    }
)

ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "tiny": "symposia:tiny",
        "mistral-nemo": "mistral-nemo-12b",
        "mistral-small": "mistral-small-24b",
        "phi3.5": "phi3.5-mini",
        "gpt-oss": "gpt-oss-20b",
    }
)

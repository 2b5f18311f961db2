"""Our own chat templates with the public families' behaviour, each beside a tokenizer that knows its control tokens."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import NamedTuple

from transformers import PreTrainedTokenizerFast

from .tokenizers import Scheme, tiny_tokenizer

_CHATML = ("<|im_start|>", "<|im_end|>")
_HERMES = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")
_LLAMA = ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|eom_id|>", "<|python_tag|>")
_MISTRAL = (
    *("[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_CALLS]", "[TOOL_RESULTS]"),
    *("[/TOOL_RESULTS]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[ARGS]", "[CALL_ID]", "[TOOL_CONTENT]"),
)
_PHI = ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>")
_PHI_TOOLS = ("<|tool|>", "<|/tool|>", "<|tool_call|>", "<|/tool_call|>", "<|tool_response|>")
_HARMONY = ("<|start|>", "<|message|>", "<|channel|>", "<|end|>", "<|return|>", "<|call|>")
_R1 = ("<|User|>", "<|Assistant|>", "<|tool_output_begin|>", "<|tool_output_end|>")
_GEMMA = ("<start_of_turn>", "<end_of_turn>")


class _Vocabulary(NamedTuple):
    scheme: Scheme
    controls: tuple[str, ...]
    bos: str | None
    eos: str
    ordinary: tuple[str, ...] = ()
    swallowing: tuple[str, ...] = ()


_THINK = ("<think>", "</think>")
_GAPS = ("\n\n", "\n\n\n")
TEMPLATES: dict[str, _Vocabulary] = {
    "qwen2.5": _Vocabulary("qwen", _CHATML, None, "<|im_end|>", _HERMES),
    "qwen3": _Vocabulary("qwen", _CHATML, None, "<|im_end|>", (*_HERMES, *_THINK)),
    "qwen3-coder": _Vocabulary("qwen", _CHATML, None, "<|im_end|>", _HERMES),
    "gemma2": _Vocabulary("gemma", _GEMMA, "<bos>", "<eos>", _GAPS),
    "gemma3": _Vocabulary("gemma", _GEMMA, "<bos>", "<eos>", _GAPS),
    "gemma3-code": _Vocabulary("gemma", _GEMMA, "<bos>", "<eos>", _GAPS),
    "llama3.1": _Vocabulary("llama3", _LLAMA, "<|begin_of_text|>", "<|eot_id|>"),
    "llama3.2": _Vocabulary("llama3", _LLAMA, "<|begin_of_text|>", "<|eot_id|>"),
    "llama3.2-list": _Vocabulary("llama3", _LLAMA, "<|begin_of_text|>", "<|eot_id|>"),
    "mistral-nemo": _Vocabulary("always", _MISTRAL, "<s>", "</s>"),
    "mistral-small": _Vocabulary("llama3", _MISTRAL, "<s>", "</s>"),
    "phi3.5": _Vocabulary("first", _PHI, "<s>", "<|endoftext|>", swallowing=_PHI),
    "phi4-mini": _Vocabulary("llama3", (*_PHI, *_PHI_TOOLS), None, "<|endoftext|>"),
    "gpt-oss": _Vocabulary("llama3", _HARMONY, None, "<|return|>"),
    "r1": _Vocabulary("qwen", _R1, "<|begin_of_sentence|>", "<|end_of_sentence|>", _THINK),
}
"""Template names, and the vocabulary each needs."""


def template_source(name: str) -> str:
    """The Jinja source of a template."""
    return (files(__package__) / "templates" / f"{name}.jinja").read_text(encoding="utf-8")


@cache
def chat_tokenizer(name: str) -> PreTrainedTokenizerFast:
    """A small tokenizer with that template and its control tokens. Shared: do not change it."""
    v = TEMPLATES[name]
    return tiny_tokenizer(
        v.scheme,
        v.controls,
        ordinary=v.ordinary,
        swallowing=v.swallowing,
        template=template_source(name),
        bos=v.bos,
        eos=v.eos,
    )

"""Tokenizers trained in-process, in a tenth of a second: byte-level as in Qwen, Llama 3 and GPT, and Metaspace."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Literal

from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerFast

Scheme = Literal["qwen", "llama3", "gemma", "always", "never", "first"]
"""`qwen`, `llama3`: byte-level with that splitting rule. `gemma`: a mark in place of spaces.

`always`, `never`, `first`: Metaspace with byte fallback and that `prepend_scheme`.
"""

_WORDS = (
    "The weather in the old town was fine, and the two friends walked down to the river to talk about bread, music and "
    "trains. I think that you are right, said the first one; I don't agree, said the other, because it rained on 12 of "
    "the 31 days. What would you like to eat tonight? We'd rather have soup than salad, they're saying. Is this a good "
    "idea?\nYes.\n\nNo, not really: it isn't.\tName the capital of France, then add 17 and 25 and write the answer. "
    'user assistant system model tool {"name": "add", "arguments": {"a": 1, "b": "two"}} <tool_call> </tool_call>\n'
)
_VOCABULARY = 512
_UNKNOWN = "<unk>"
_SPLITS = {
    "qwen": (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
        r"\s+(?!\S)|\s+"
    ),
    "llama3": (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
        r"\s+(?!\S)|\s+"
    ),
}


def tiny_tokenizer(
    scheme: Scheme,
    controls: Sequence[str] = (),
    *,
    ordinary: Sequence[str] = (),
    swallowing: Sequence[str] = (),
    template: str | None = None,
    bos: str | None = None,
    eos: str | None = None,
) -> PreTrainedTokenizerFast:
    """A tokenizer of a few hundred entries. `controls` are special tokens, `ordinary` added tokens that are not.

    Controls in `swallowing` take the white space to their right, as Phi-3's do.
    """
    backend = Tokenizer.from_str(_trained(scheme))
    special = [
        AddedToken(text, special=True, normalized=False, rstrip=text in swallowing)
        for text in dict.fromkeys([*controls, *filter(None, (bos, eos))])
    ]
    backend.add_special_tokens(special)
    backend.add_tokens([AddedToken(text, special=False, normalized=False) for text in ordinary])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=bos,
        eos_token=eos,
        pad_token=eos,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = template
    return tokenizer


@cache
def _trained(scheme: Scheme) -> str:
    return str((_byte_level(scheme) if scheme in _SPLITS else _pieces(scheme)).to_str())


def _byte_level(scheme: str) -> Tokenizer:
    tokenizer = Tokenizer(BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_SPLITS[scheme]), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = BpeTrainer(vocab_size=_VOCABULARY, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([_WORDS] * 2, trainer=trainer)
    return tokenizer


def _pieces(scheme: str) -> Tokenizer:
    """Word pieces with a mark for spaces; what has no piece is spelled in bytes."""
    trained = Tokenizer(BPE())
    trained.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    trained.train_from_iterator(
        [_WORDS] * 2, trainer=BpeTrainer(vocab_size=_VOCABULARY - 259, show_progress=False)
    )
    merges = [tuple(pair) for pair in _merges(trained)]
    vocabulary = {text: i for i, text in enumerate([_UNKNOWN, *(f"<0x{b:02X}>" for b in range(256)), "▁"])}
    for text in sorted(trained.get_vocab(), key=lambda t: (len(t), t)):
        vocabulary.setdefault(text, len(vocabulary))
    model = BPE(vocab=vocabulary, merges=merges, unk_token=_UNKNOWN, byte_fallback=True, fuse_unk=True)
    tokenizer = Tokenizer(model)
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    if scheme == "gemma":
        tokenizer.normalizer = normalizers.Replace(" ", "▁")
        tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", behavior="merged_with_previous")
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=False)
        steps += [] if scheme == "never" else [decoders.Strip(" ", 1, 0)]
    tokenizer.decoder = decoders.Sequence(steps)
    return tokenizer


def _merges(tokenizer: Tokenizer) -> list[list[str]]:
    merges: list[list[str]] = json.loads(tokenizer.to_str())["model"]["merges"]
    return merges

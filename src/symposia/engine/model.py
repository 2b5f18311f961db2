"""A loaded model as the engine uses it: sizes, special tokens, template, runner, and what may be asked of it."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from symposia.core.capture import Site
from symposia.core.errors import ArchitectureNotUnderstood, BackendError
from symposia.core.request import Feature, ModelCard
from symposia.interp.anatomy import Parts, dissect
from symposia.interp.check import Check, SelfTestsFailed, supported, unread
from symposia.interp.taps import BLOCK_SITES, LAYERLESS, WITHIN, ModelShape, SiteMap

from .detokenise import Words
from .grammar import Grammars, installed
from .loading import Loaded
from .options import EngineOptions
from .runner.choice import choose
from .runner.device import Accelerator
from .selftest import Subject, self_test
from .template import ChatTemplate

_FEATURES: frozenset[Feature] = frozenset(
    {
        "logprobs",
        "token_ids",
        "seed",
        "tools",
        "parallel_tools",
        "choices",
        "stop_after",
        "stop_token_ids",
        "top_k",
        "min_p",
        "penalties",
        "logit_bias",
        "min_tokens",
        "thinking",
        "deterministic",
        "read",
    }
)
_INSIDE: frozenset[Feature] = frozenset({"interventions", "captures"})
_STANDARD = frozenset({"full_attention", "sliding_attention"})


class Model:
    """Everything fixed about one loaded model; `checks` are the self-tests its sites passed or not.

    `ArchitectureNotUnderstood`: it would run wrongly.
    """

    def __init__(
        self,
        loaded: Loaded,
        template: ChatTemplate,
        options: EngineOptions,
        accelerator: Accelerator | None = None,
    ) -> None:
        config = loaded.config
        self.loaded, self.template = loaded, template
        self.tokenizer: PreTrainedTokenizerBase = loaded.tokenizer
        _check_attention(config)
        self.parts: Parts | None = None
        if options.white_box:
            softcap = config.to_dict().get("final_logit_softcapping")
            try:
                self.parts = dissect(loaded.model, config.model_type, config.num_hidden_layers, softcap)
            except ArchitectureNotUnderstood as error:
                raise SelfTestsFailed(str(error), unread(str(error))) from error
        self.window = _window(config)
        self.ends = _end_tokens(loaded, template)
        self.specials = _special_tokens(self.tokenizer) | self.ends
        self.words = Words(self.tokenizer)
        self.blocks = _blocks(loaded, options)
        self.grammars = Grammars(
            self.tokenizer, controls=template.control_ids, ends=self.ends, vocabulary=config.vocab_size
        )
        self.choice = choose(
            loaded,
            self.parts,
            options,
            window=self.window,
            blocks=self.blocks,
            accelerator=accelerator,
        )
        self.runner = self.choice.runner
        self.shape = ModelShape(
            name=loaded.address,
            digest=loaded.digest,
            template=template.digest,
            tokenizer=_tokenizer_digest(self.tokenizer),
            type=config.model_type,
            layers=config.num_hidden_layers,
            width=config.hidden_size,
            vocabulary=config.vocab_size,
            dtype=str(loaded.dtype).removeprefix("torch."),
        )

        self.sites = self._all_sites()
        self.checks: tuple[Check, ...] = ()
        if self.parts is not None:
            self.checks = self_test(self._subject(self.parts, options.block))
            self.sites = supported(self.sites, self.checks)

    def _subject(self, parts: Parts, size: int) -> Subject:
        return Subject(
            loaded=self.loaded,
            parts=parts,
            runner=self.runner,
            runner_name=f"{self.choice.name}, {self.choice.reason}",
            shape=self.shape,
            sites=self.sites,
            blocks=self.blocks,
            size=size,
            window=self.window,
        )

    def _all_sites(self) -> SiteMap:
        layers = tuple(range(self.shape.layers))
        supported: dict[Site, tuple[int, ...]] = {}
        if self.parts is not None:
            supported = {**dict.fromkeys((*BLOCK_SITES, *WITHIN), layers), **dict.fromkeys(LAYERLESS, ())}
            if routed := tuple(i for i, n in enumerate(self.parts.experts) if n):
                supported["router"] = routed
        return SiteMap(
            supported=supported,
            layers=self.shape.layers,
            width=self.shape.width,
            vocabulary=self.shape.vocabulary,
            heads=self.parts.heads if self.parts else (),
            experts=self.parts.experts if self.parts else (),
        )

    def card(self, name: str) -> ModelCard:
        """What is known before asking, under the name it was asked by."""
        return ModelCard(
            model=name,
            context_window=self.window,
            rules=self.template.rules,
            syntax=self.template.syntax,
            features=_FEATURES | (_INSIDE if self.parts else frozenset()) | self._shapes(),
            thinking=self.template.thinking,
            weights=self.loaded.digest,
        )

    def _shapes(self) -> frozenset[Feature]:
        """Which shapes of a reply can be demanded."""
        if not (installed() and self.grammars.usable):
            return frozenset()
        return frozenset({"schema", "force"}) if self.template.forces else frozenset({"schema"})


def _check_attention(config: Any) -> None:
    told = config.to_dict()
    kinds = set(told.get("layer_types") or ["full_attention"])
    if strange := sorted(kinds - _STANDARD):
        raise ArchitectureNotUnderstood(
            f"{config.model_type}: expected layers with standard or sliding attention; got {', '.join(strange)}"
        )
    if told.get("use_bidirectional_attention"):
        raise ArchitectureNotUnderstood(
            f"{config.model_type}: expected causal attention; this checkpoint looks both ways"
        )


def _window(config: Any) -> int:
    """Positions the model was made for; rotary tables that change with the longest row keep to their first range."""
    told = config.to_dict()
    window = int(told["max_position_embeddings"])
    rope = told.get("rope_parameters") or {}
    if rope.get("rope_type") in ("dynamic", "longrope"):
        window = int(
            rope.get("original_max_position_embeddings")
            or told.get("original_max_position_embeddings")
            or window
        )
    return window


def _end_tokens(loaded: Loaded, template: ChatTemplate) -> frozenset[int]:
    """Ids that end a turn: the checkpoint's, the tokenizer's, and what the template writes after an assistant."""
    found: set[int] = set()
    for ids in (
        loaded.model.generation_config.eos_token_id,
        loaded.config.eos_token_id,
        loaded.tokenizer.eos_token_id,
    ):
        found.update([ids] if isinstance(ids, int) else ids or [])
    return frozenset(found) | template.stop_ids


def _special_tokens(tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Ids a selector leaves out unless asked: named specials, and added tokens that are flagged special."""
    flagged = {int(i) for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    return frozenset(flagged | {int(i) for i in tokenizer.all_special_ids})


def _tokenizer_digest(tokenizer: PreTrainedTokenizerBase) -> str:
    vocabulary = sorted((token, int(i)) for token, i in tokenizer.get_vocab().items())
    return "sha256:" + hashlib.sha256(repr(vocabulary).encode()).hexdigest()


def _blocks(loaded: Loaded, options: EngineOptions) -> int:
    config = loaded.config
    told = config.to_dict()
    heads = told.get("num_key_value_heads") or config.num_attention_heads
    size = told.get("head_dim") or config.hidden_size // config.num_attention_heads
    per_position = 2 * config.num_hidden_layers * heads * size * torch.finfo(loaded.dtype).bits // 8
    budget = options.kv_bytes
    if budget == "auto":
        budget = torch.cuda.mem_get_info(loaded.device)[0] // 4 if loaded.device.type == "cuda" else 1 << 30
    count = budget // (per_position * options.block)
    if count < 1:
        raise BackendError(
            f"kv_bytes={budget:,} holds no block of {options.block} positions at {per_position:,} bytes each",
            cause="too_large",
        )
    return int(count)

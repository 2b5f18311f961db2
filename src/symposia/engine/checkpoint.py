"""What a folder of weights holds: looked at before anything is loaded, and loaded so that nothing is missing after.

Safetensors only. Code that a checkpoint brings runs only when it is trusted, and is then part of what names it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers import __version__ as transformers_version
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.utils import logging

from symposia.core.errors import BackendError, UnsupportedFormat

from .digests import derived, digest_of_files

INDEX = "model.safetensors.index.json"
_WORTH_A_BAR = 200_000_000
_NESTED = frozenset({"gemma3"})  # model types that hold a text model among others, whose class is its own
TEXT = {r"^language_model\.model\.": "model.", r"^language_model\.lm_head\.": "lm_head."}
_PICKLED = (".bin", ".pt", ".pth", ".ckpt")


@dataclass(frozen=True)
class Checkpoint:
    """A folder that can be loaded: its weight files, and the Python files that it runs (none unless trusted).

    `rounded`: the method that its makers quantised it by, or nothing.
    """

    folder: Path
    files: tuple[Path, ...]
    code: tuple[Path, ...]
    rounded: str

    @property
    def trusted(self) -> bool:
        """Whether code of its own runs."""
        return bool(self.code)


def examine(folder: Path, *, trusted: bool) -> Checkpoint:
    """What is there. `UnsupportedFormat` says what is missing or of another kind, and what to do about it."""
    told = _json(folder / "config.json")
    files = _weights(folder)
    kind, own = str(told.get("model_type")), told.get("auto_map") or {}
    code = tuple(sorted(folder.glob("*.py"))) if trusted and own else ()
    rounded = str((told.get("quantization_config") or {}).get("quant_method", ""))
    if rounded == "bitsandbytes":
        raise UnsupportedFormat(
            expected="weights whose products do not depend on the rest of the batch",
            got="weights rounded by bitsandbytes, whose do; load what they were made from, with quantization='4bit'",
            path=str(folder),
        )
    if code or (kind in CONFIG_MAPPING_NAMES and kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES):
        return Checkpoint(folder, files, code, rounded)
    if own and not trusted:
        got = f"model type {kind!r}, which only Python code in its folder can run; read it, then trust_remote_code=True"
    elif own:
        got = f"model type {kind!r}, whose Python code is not in its folder ({', '.join(map(str, own.values()))})"
    elif kind in CONFIG_MAPPING_NAMES:
        made = ", ".join(told.get("architectures") or ["no architecture named"])
        got = f"model type {kind!r} ({made}), which has no causal language model; choose a decoder-only chat model"
    else:
        got = f"model type {kind!r}; if it is newer than that: pip install --upgrade transformers"
    raise UnsupportedFormat(
        expected=f"a causal language model that transformers {transformers_version} knows",
        got=got,
        path=str(folder),
    )


def digest_of(checkpoint: Checkpoint, config: Any) -> str:
    """The model digest: of configuration and tensors, and of the code where it has its own."""
    digest = digest_of_files(config.to_dict(), checkpoint.files)
    if not checkpoint.code:
        return digest
    lines = [f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in checkpoint.code]
    return derived(digest, "code", "\n".join(lines))


def configuration(checkpoint: Checkpoint) -> Any:
    """The transformers configuration."""
    with _refused(checkpoint, "a readable config.json"):
        return AutoConfig.from_pretrained(checkpoint.folder, trust_remote_code=checkpoint.trusted)


def tokenizer_of(checkpoint: Checkpoint) -> PreTrainedTokenizerBase:
    """The tokenizer."""
    with _refused(checkpoint, "a tokenizer: tokenizer.json, best with tokenizer_config.json"):
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            checkpoint.folder, trust_remote_code=checkpoint.trusted
        )
        return tokenizer


def text_config(config: Any) -> Any:
    """Of a model that also sees, the text model's part."""
    return config.get_text_config() if config.model_type in _NESTED else config


def model_of(
    checkpoint: Checkpoint, config: Any, dtype: torch.dtype
) -> tuple[PreTrainedModel, tuple[str, ...]]:
    """The model on the CPU, and the weights that it has no place for. No weight of it is made up.

    Of a model that also sees, the text model: conversations here are text.
    """
    nested = config.model_type in _NESTED
    small = sum(path.stat().st_size for path in checkpoint.files) < _WORTH_A_BAR
    with _quiet(small), _refused(checkpoint, "weights of the model in config.json"):
        try:
            model, found = AutoModelForCausalLM.from_pretrained(
                checkpoint.folder,
                config=text_config(config),
                key_mapping=TEXT if nested else None,
                dtype=dtype,
                use_safetensors=True,
                trust_remote_code=checkpoint.trusted,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # named below
            )
        except ImportError as error:
            raise BackendError(
                f"{checkpoint.folder} needs a library that is not installed: {error}", cause="unsupported"
            ) from error
    _require_whole(checkpoint, found)
    own = ("model.", "lm_head.") if nested else ("",)
    return model.eval(), tuple(sorted(key for key in found["unexpected_keys"] if key.startswith(own)))


def _require_whole(checkpoint: Checkpoint, found: Mapping[str, Any]) -> None:
    expected = "every weight of the model in config.json"
    if found["mismatched_keys"]:
        name, got, wanted = min(found["mismatched_keys"])
        told = f"{name} of {list(got)}, expected {list(wanted)}, the first of {len(found['mismatched_keys'])}"
        raise UnsupportedFormat(expected=expected, got=told, path=str(checkpoint.folder))
    if found["missing_keys"]:
        names = sorted(found["missing_keys"])
        told = f"none for {names[0]}, the first of {len(names)}; is the download complete?"
        raise UnsupportedFormat(expected=expected, got=told, path=str(checkpoint.folder))


def _weights(folder: Path) -> tuple[Path, ...]:
    index = folder / INDEX
    if index.is_file():
        named = sorted(set(_json(index).get("weight_map", {}).values()))
        gone = [name for name in named if not (folder / name).is_file()]
        if not gone:
            return tuple(folder / name for name in named)
        raise UnsupportedFormat(
            expected=f"the {len(named)} files that {INDEX} names",
            got=f"{len(gone)} missing: {', '.join(gone)}; fetch them again, for instance with `hf download`",
            path=str(folder),
        )
    if (whole := folder / "model.safetensors").is_file():
        return (whole,)
    if found := sorted(folder.glob("*.safetensors")):
        return tuple(found)
    there = sorted(path.name for path in folder.iterdir())
    got = ", ".join(there) or "nothing"
    if any(name.endswith(_PICKLED) for name in there):
        got += (
            "; pickled weights run code when they are opened: choose a revision with safetensors, or convert them "
            "once, where you trust them: AutoModelForCausalLM.from_pretrained(FOLDER).save_pretrained(OTHER)"
        )
    raise UnsupportedFormat(expected="a folder with *.safetensors weights", got=got, path=str(folder))


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UnsupportedFormat(expected="a JSON object", got=str(error), path=str(path)) from error
    if not isinstance(found, dict):
        raise UnsupportedFormat(expected="a JSON object", got=type(found).__name__, path=str(path))
    return found


@contextmanager
def _refused(checkpoint: Checkpoint, expected: str) -> Iterator[None]:
    """What transformers says of it, as ours."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, UnsupportedFormat):
            raise
        said = " ".join(str(error).split())
        got = said if len(said) <= 400 else f"{said[:400]}…"
        raise UnsupportedFormat(expected=expected, got=got, path=str(checkpoint.folder)) from error


@contextmanager
def _quiet(small: bool) -> Iterator[None]:
    """No progress bar for weights that load in a moment."""
    shown = logging.is_progress_bar_enabled()
    if small:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        if small and shown:
            logging.enable_progress_bar()

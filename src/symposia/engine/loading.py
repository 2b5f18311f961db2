"""From a model address to a loaded model: package weights, a local folder, a Hub id, or a pair already in memory.

The same weights are loaded once a process and shared while anybody holds them.
"""

from __future__ import annotations

import threading
import warnings
import weakref
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from symposia.core.errors import BackendError, InvalidInput, UnknownName
from symposia.core.value import short

from .adapters import digest_with, merged, require_peft
from .checkpoint import configuration, digest_of, examine, model_of, tokenizer_of
from .digests import derived, digest_of_module
from .locate import Place, locate
from .projections import Projections
from .quantised import SCHEMES, Quantization, quantise, require

Device = Literal["auto", "cpu", "cuda", "mps"]
Dtype = Literal["auto", "float32", "bfloat16", "float16", "float64"]
_DEVICES = ("cpu", "cuda", "mps")


class LoadWarning(UserWarning):
    """What a reader of a model's results should know of how it was loaded."""


class ActivationsPerturbed(LoadWarning):
    """Weights were rounded: activations, and directions fitted on them, are not those of the checkpoint."""


class WeightsUnused(LoadWarning):
    """The checkpoint holds more than its configuration has a place for."""


@dataclass(eq=False)
class Loaded:
    """A model ready to run. `address` is how requests name it. Hold `lock` during a forward.

    `shared`: the same weights under the address that they were loaded by. `warnings`: what readers of results should
    know.
    """

    address: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    digest: str
    owned: bool = False  # nobody else holds the module
    projections: Projections = field(default_factory=Projections)
    lock: threading.RLock = field(default_factory=threading.RLock)
    shared: Loaded | None = None
    warnings: tuple[LoadWarning, ...] = ()

    @property
    def config(self) -> Any:
        """The transformers configuration of the text model."""
        return self.model.config.get_text_config()

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        dtype: torch.dtype = next(self.model.parameters()).dtype
        return dtype

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        device: torch.device = next(self.model.parameters()).device
        return device


class _Cache:
    """Loaded models by identity; one lock per identity, so that two loads of one model wait for each other only."""

    def __init__(self) -> None:
        self._loaded: weakref.WeakValueDictionary[object, Loaded] = weakref.WeakValueDictionary()
        self._locks: dict[object, threading.Lock] = defaultdict(threading.Lock)
        self._guard = threading.Lock()

    def lock(self, identity: object) -> threading.Lock:
        with self._guard:
            return self._locks[identity]

    def get(self, identity: object) -> Loaded | None:
        with self._guard:
            return self._loaded.get(identity)

    def put(self, identity: object, loaded: Loaded) -> None:
        with self._guard:
            self._loaded[identity] = loaded


_CACHE = _Cache()


def load(
    address: str,
    *,
    device: Device = "auto",
    dtype: Dtype = "auto",
    quantization: Quantization | None = None,
    adapter: str | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
) -> Loaded:
    """The model of an address, shared if it is in memory already.

    Quantization, adapter and revision become part of the address. `trust_remote_code` runs Python code that comes with
    the checkpoint. Warns with `LoadWarning`s, each time. Raises `UnknownModel` for an address that means nothing,
    `UnsupportedFormat` for a folder without safetensors, and `BackendError(not_found | auth)` for what the Hub does not
    give out.
    """
    place = locate(address, revision=revision, adapter=adapter, quant=quantization)
    where = device_of(device)
    kind = dtype_of(_said_once(place, dtype), where)
    identity = (*place.identity, trust_remote_code, str(where), str(kind))
    with _CACHE.lock(identity):
        loaded = _CACHE.get(identity)
        if loaded is None:
            loaded = _load(place, where, kind, trusted=trust_remote_code)
            _CACHE.put(identity, loaded)
    for told in loaded.warnings:
        warnings.warn(told, stacklevel=3)
    if loaded.address == place.address:
        return loaded
    return replace(loaded, address=place.address, shared=loaded)


def _said_once(place: Place, dtype: str) -> str:
    if place.dtype is not None and dtype not in ("auto", place.dtype):
        raise InvalidInput(
            f"{place.address} says its dtype, and dtype={dtype!r} was said beside it; say it once"
        )
    return place.dtype or dtype


def adopt(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str = "model") -> Loaded:
    """A pair already in memory, addressed as `loaded:NAME#digest`. The model is put in evaluation mode."""
    digest = digest_of_module(model)
    return Loaded(f"loaded:{name}#{short(digest)}", model.eval(), tokenizer, digest)


def _load(place: Place, device: torch.device, dtype: torch.dtype, *, trusted: bool) -> Loaded:
    kind, adapter = place.quantization, place.fetch_adapter()
    checkpoint = examine(place.fetch(code=trusted), trusted=trusted)
    if kind is not None:
        require(place.address, kind, dtype, already=checkpoint.rounded)
    config, tokenizer = configuration(checkpoint), tokenizer_of(checkpoint)
    digest = digest_of(checkpoint, config)
    if adapter is not None:
        require_peft()
        digest = digest_with(digest, adapter)
    if kind is not None:
        digest = derived(digest, "quantised", SCHEMES[kind])
    model, homeless = model_of(checkpoint, config, dtype)
    told: list[LoadWarning] = []
    if homeless:
        told.append(
            WeightsUnused(f"{place.address}: {len(homeless)} tensors have no place, the first {homeless[0]}")
        )
    if kind is None:
        model = model.to(device)
    if adapter is not None:
        model = merged(model, adapter)
    if kind is not None:
        told.append(ActivationsPerturbed(quantise(place.address, model, kind, device)))
    return Loaded(place.address, model.to(device), tokenizer, digest, owned=True, warnings=tuple(told))


def device_of(wanted: str) -> torch.device:
    """A device by name; `auto` is CUDA where there is one."""
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = wanted.partition(":")
    if kind not in _DEVICES or (index and not index.isdecimal()):
        raise UnknownName("device", wanted, ("auto", *_DEVICES))
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there[kind]:
        raise BackendError(
            f"device {wanted!r} was asked for; torch sees none; use device='cpu'", cause="unsupported"
        )
    return torch.device(wanted)


def dtype_of(wanted: str, device: torch.device) -> torch.dtype:
    """A dtype by name; `auto` is bfloat16 on CUDA, float32 elsewhere."""
    names = {
        "float32": torch.float32,
        "bfloat16": torch.bfloat16,
        "float16": torch.float16,
        "float64": torch.float64,
    }
    if wanted == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    if wanted not in names:
        raise UnknownName("dtype", wanted, ("auto", *names))
    return names[wanted]

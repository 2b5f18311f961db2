"""The local backend: one loaded model, any number of conversations, white-box features in the same forward."""

from __future__ import annotations

import weakref
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from typing import Self

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from symposia.core.errors import ArchitectureNotUnderstood, InvalidInput, UnknownModel
from symposia.core.models import resolve
from symposia.core.request import Completion, Delta, ModelCard, Prompt, Request
from symposia.core.value import checked
from symposia.interp.acts.store import ActivationStore
from symposia.interp.check import Check
from symposia.interp.library import Library
from symposia.interp.taps import ModelShape, SiteMap

from .gauges import Gauges
from .intake import Intake
from .job import Job
from .loading import Device, Dtype, Loaded, adopt, load
from .logprobs import spelled
from .loop import Loop
from .model import Model
from .options import EngineOptions
from .post import PostOffice
from .quantised import Quantization
from .runner.device import Accelerator
from .step import Stepper
from .template import ChatTemplate


class Engine:
    """Implements `core.request.Backend` and `interp.taps.WhiteBox`. Close it, or use it as a context manager.

    `Completion.token_ids` are the sampled ids that belong to the text, the token that ended the turn included (its
    span is markup, its text is not in `text`); ids whose text a stop string cut away are not among them. A read
    (`max_tokens=0`) finishes with "length". Output tokens in `usage` count everything sampled.

    A forced call, or JSON of a schema, is the answer: where the prompt opens a think block, or the model may open one
    and `thinking` is not "off", free reasoning comes first and counts towards `max_tokens`; reply ends come only after
    the whole shape. A forced tool is shown to the model beside its other tools.
    """

    def __init__(
        self,
        loaded: Loaded,
        *,
        template: ChatTemplate | None = None,
        library: Library | None = None,
        store: ActivationStore | None = None,
        options: EngineOptions = EngineOptions(),
        accelerator: Accelerator | None = None,
    ) -> None:
        options = checked(options)
        self.library = Library() if library is None else library
        self.store = ActivationStore.memory() if store is None else store
        if not self.store.writable:
            raise InvalidInput("an engine's store takes what it captures: open the folder with write=True")
        self._model = Model(loaded, template or ChatTemplate(loaded.tokenizer), options, accelerator)
        stepper = Stepper(self._model, self.store, options)
        self._intake = Intake(self._model, self.library, self.store, stepper.pool.count * options.block)
        self._loop = Loop(stepper, loaded.address)
        self._post = PostOffice()
        self._closer = weakref.finalize(self, self._loop.close)

    @classmethod
    def load(
        cls,
        address: str,
        *,
        device: Device = "auto",
        dtype: Dtype = "auto",
        quantization: Quantization | None = None,
        adapter: str | None = None,
        revision: str | None = None,
        trust_remote_code: bool = False,
        chat_template: str | None = None,
        library: Library | None = None,
        store: ActivationStore | None = None,
        options: EngineOptions = EngineOptions(),
    ) -> Engine:
        """The engine of a model address: `symposia:tiny`, a short name, a Hub id, or a folder.

        `quantization` rounds the weights of linear layers to "8bit" or "4bit", and warns (`ActivationsPerturbed`).
        `adapter` is merged into the weights: a PEFT adapter's folder (./lora), or owner/name[@revision] on the Hub.
        `revision` is of the Hub's repository. All three are part of the engine's `address`, which requests must name.
        `trust_remote_code` runs Python code that comes with the checkpoint. `chat_template` is a Jinja text in place of
        the tokenizer's own, or of none.
        """
        loaded = load(
            address,
            device=device,
            dtype=dtype,
            quantization=quantization,
            adapter=adapter,
            revision=revision,
            trust_remote_code=trust_remote_code,
        )
        template = None if chat_template is None else ChatTemplate(loaded.tokenizer, source=chat_template)
        return cls(loaded, template=template, library=library, store=store, options=options)

    @classmethod
    def adopt(
        cls,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        name: str = "model",
        *,
        library: Library | None = None,
        store: ActivationStore | None = None,
        options: EngineOptions = EngineOptions(),
        accelerator: Accelerator | None = None,
    ) -> Engine:
        """The engine of a pair already in memory; its address is `loaded:NAME#digest`.

        `accelerator`: kernels and recordings to use in place of what the device is found to offer.
        """
        return cls(
            adopt(model, tokenizer, name),
            library=library,
            store=store,
            options=options,
            accelerator=accelerator,
        )

    @property
    def address(self) -> str:
        """The canonical address of the model."""
        return self._model.shape.name

    @property
    def template(self) -> ChatTemplate:
        """How lines become tokens."""
        return self._model.template

    @property
    def shape(self) -> ModelShape:
        """Names, sizes and digests of the model."""
        return self._model.shape

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self._model.loaded.device

    @property
    def site_map(self) -> SiteMap:
        """Where it can be written and read."""
        return self._model.sites

    @property
    def checks(self) -> tuple[Check, ...]:
        """The self-tests at load; none with `white_box=False`."""
        return self._model.checks

    @property
    def runner(self) -> tuple[str, str]:
        """Which forward is in use, "lean" or "hf", and why."""
        return self._model.choice.name, self._model.choice.reason

    @property
    def warnings(self) -> tuple[str, ...]:
        """What readers of this model's results should know: that its weights were rounded, or not all used."""
        return tuple(map(str, self._model.loaded.warnings))

    @property
    def healthy(self) -> bool:
        """False once an intervention was planned and not counted: results must not be believed."""
        return self._loop.stepper.healthy

    @property
    def gauges(self) -> Gauges:
        """Tokens computed and reused, blocks evicted and held, so far."""
        return self._loop.stepper.gauges

    async def generate(self, request: Request) -> AsyncGenerator[Delta | Completion, None]:
        """Deltas, then one completion. Every refusal comes before the first token; closing early cancels."""
        pieces = self._generate(request, ())
        try:
            async for piece in pieces:
                yield piece
        finally:
            await pieces.aclose()

    async def replay(self, request: Request, token_ids: Sequence[int]) -> Completion:
        """The request as though these tokens had been sampled: same positions, same writes, its captures of them.

        `InvalidInput` for no tokens, ids that are none, or a request that samples nothing.
        """
        vocabulary = self.shape.vocabulary
        if not token_ids or not all(0 <= i < vocabulary for i in token_ids):
            raise InvalidInput(f"replay: expected one or more token ids of 0..{vocabulary - 1}")
        if request.choices or not request.sampling.max_tokens:
            raise InvalidInput("replay: expected a request that samples; it is a read, or scores choices")
        last: Delta | Completion | None = None
        async for piece in self._generate(request, tuple(token_ids)):
            last = piece
        assert isinstance(last, Completion)
        return last

    async def _generate(
        self, request: Request, forced: tuple[int, ...]
    ) -> AsyncGenerator[Delta | Completion, None]:
        self._check_address(request.model)
        sequences = self._intake.open(request, self.store.free)
        inbox = self._post.inbox()
        job = Job(sequences, self._model, inbox.put, forced)
        self._loop.submit(job)
        delivered = False
        try:
            while not delivered:
                for item in await inbox.take():
                    delivered = not isinstance(item, Delta)  # an error may carry a completion
                    if isinstance(item, BaseException):
                        raise item
                    yield item
        finally:
            if not delivered:
                self._loop.cancel(job)

    async def describe(self, model: str) -> ModelCard:
        """The model's card."""
        self._check_address(model)
        return self._model.card(model)

    async def render(self, request: Request) -> Prompt:
        """The prompt exactly as the model will see it."""
        self._check_address(request.model)
        return self._model.template.render(checked(request)).prompt()

    def norm_and_unembed(self, hidden_ND: Tensor) -> Tensor:
        """`logits_NV` of residuals that leave the last block, on the device that they came from."""
        if self._model.parts is None:
            raise ArchitectureNotUnderstood(f"{self.address} was loaded with white_box=False")
        loaded = self._model.loaded
        with loaded.lock, torch.no_grad():
            own_ND = hidden_ND.to(loaded.device, loaded.dtype)
            return self._model.parts.norm_and_unembed(own_ND).to(hidden_ND.device)

    def tokens_of(self, text: str) -> tuple[int, ...]:
        """Ids of a text that stands alone, no special tokens added."""
        return tuple(self._model.tokenizer.encode(text, add_special_tokens=False))

    def spelled(self, token_ids: Sequence[int]) -> tuple[str, ...]:
        """Each token's own text; bytes that are no whole character show as U+FFFD."""
        texts = {i: spelled(self._model.tokenizer, i) for i in dict.fromkeys(token_ids)}
        return tuple(texts[i] for i in token_ids)

    @contextmanager
    def exclusive(self) -> Iterator[nn.Module]:
        """Finish what runs, hold back what waits, and lend the module; changes to its weights may be lost."""
        with self._loop.exclusive(), self._model.loaded.projections.whole():
            yield self._model.runner.module

    def close(self) -> None:
        """End the thread; requests still running fail as cancelled."""
        self._closer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _check_address(self, address: str) -> None:
        if address != self.address and resolve(address).canonical != self.address:
            raise UnknownModel(
                f"this engine holds {self.address}; the request asks for {address}; use Engines to route"
            )

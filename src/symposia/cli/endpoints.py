"""Endpoints as backends: those a scenario declares, those that are built in, those that are not at hand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import get_args

from msgspec.structs import replace

from symposia.backends import Scripted
from symposia.backends.endpoint import Endpoint, ScriptedEndpoint
from symposia.backends.endpoints import Builder, Endpoints
from symposia.backends.estimate import estimate
from symposia.backends.hosts import Hosts
from symposia.core.errors import InvalidInput, UnsupportedRequest
from symposia.core.features import refuse_unsupported
from symposia.core.profile import Thinking
from symposia.core.request import Backend, Completion, Delta, Feature, ModelCard, Prompt, Request
from symposia.talk import portal

from .python_file import names_of
from .scenario import Setting
from .scenario.build import SCRIPTED

_REMOTE: frozenset[Feature] = frozenset(
    {"logprobs", "seed", "tools", "parallel_tools", "force", "stop_after", "thinking"}
)


WORDS = "words"
"""The script that nobody wrote."""


class Undeclared:
    """An endpoint of a scenario file, met where that file is not at hand. Its name is all that is known of it."""

    def __init__(self, name: str) -> None:
        self._name = name

    async def describe(self, model: str) -> ModelCard:
        """What every chat endpoint can do; nothing inside the model."""
        return ModelCard(model=model, features=_REMOTE, thinking=get_args(Thinking))

    async def render(self, request: Request) -> Prompt:
        """An over-estimate: the tokenizer is elsewhere."""
        return estimate(request)

    async def generate(self, request: Request) -> AsyncIterator[Delta | Completion]:
        """Refuses: there is no address to ask at."""
        refuse_unsupported(request, await self.describe(request.model), self._name)
        raise UnsupportedRequest(
            endpoint=self._name,
            model=request.model,
            feature="generation",
            why="its endpoint is declared in a scenario file, which a saved conversation does not hold",
            way_out="go on with the scenario file: symposia run FILE --resume",
        )
        yield  # type: ignore[unreachable]  # makes this an async generator, as every backend's is


class ScriptedCode:
    """`scripted:FILE.py:FUNCTION`: each address is a function of the request in a file of the scenario's folder.

    `scripted:words` is nobody's: words that follow from the request.
    The file's `FEATURES` say what a function can honour beside plain text, as in `{"reply": {"force", "choices"}}`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loaded: dict[str, Scripted] = {}

    async def describe(self, model: str) -> ModelCard:
        """The script's card."""
        return await self._for(model).describe(model)

    async def render(self, request: Request) -> Prompt:
        """The script's estimate."""
        return await self._for(request.model).render(request)

    async def generate(self, request: Request) -> AsyncIterator[Delta | Completion]:
        """What the function replies."""
        async for item in self._for(request.model).generate(request):
            yield item

    def _for(self, model: str) -> Scripted:
        if model not in self._loaded:
            self._loaded[model] = _load(self._folder, model.removeprefix(f"{SCRIPTED}:"))
        return self._loaded[model]


def backend_for(setting: Setting, env: Mapping[str, str], store: Path | None = None) -> Endpoints:
    """The scenario's endpoints, the built-in ones and the local engine behind one backend, each built when needed.

    `env` is where keys are looked for; `store` is a folder for what is captured.
    """
    from symposia.facade import engines

    for vector in setting.vectors:
        engines().library.add(vector)
    return _backend(setting.endpoints, env, {SCRIPTED: partial(ScriptedCode, setting.folder)}, store)


def backend_for_addresses(
    env: Mapping[str, str],
    folder: Path,
    *,
    declared: Mapping[str, Endpoint] = {},
    rpm: int | None = None,
    tpm: int | None = None,
    flying: int | None = None,
) -> Endpoints:
    """Declared endpoints, built-in ones with these limits, scripts beside `folder`, and the local engine."""
    limits = {"rpm": rpm, "tpm": tpm, "concurrency": flying}
    asked = {name: limit for name, limit in limits.items() if limit is not None}
    built_in = {name: replace(one, **asked) for name, one in Hosts(env).built_in().items()}
    return _backend({**built_in, **declared}, env, {SCRIPTED: partial(ScriptedCode, folder)})


@contextmanager
def closing(backend: Endpoints) -> Iterator[None]:
    """Within it the backend may open connections; after it there are none."""
    try:
        yield
    finally:
        portal.call(backend.aclose())


def backend_for_names(env: Mapping[str, str], elsewhere: Sequence[str] = ()) -> Endpoints:
    """The built-in endpoints, and the local engine for every other address; `elsewhere` names endpoints not at hand."""
    return _backend({}, env, {name: partial(Undeclared, name) for name in elsewhere})


def _backend(
    declared: Mapping[str, Endpoint],
    env: Mapping[str, str],
    more: Mapping[str, Builder],
    store: Path | None = None,
) -> Endpoints:
    from symposia.facade import backend_of

    hosts = Hosts(env)
    table: dict[str, Builder] = {name: partial(_built, hosts, name, one) for name, one in declared.items()}
    return backend_of({**more, **table}, store, hosts=hosts)


def _built(hosts: Hosts, name: str, endpoint: Endpoint) -> Backend:
    if not isinstance(endpoint, ScriptedEndpoint):
        return hosts.backend(name, endpoint)
    return Scripted(
        endpoint.replies,
        latency_s=endpoint.latency_s,
        chunk=endpoint.chunk,
        features=frozenset(endpoint.features),
        faults=endpoint.faults,
        cycle=endpoint.cycle,
        context_window=endpoint.context_window,
        syntax=endpoint.syntax,
    )


def _load(folder: Path, name: str) -> Scripted:
    if name == WORDS:
        return Scripted(chunk=8)
    file, _, function = name.partition(":")
    names = names_of(folder / file)
    reply, features = names.get(function), names.get("FEATURES", {})
    if not isinstance(features, dict):
        raise InvalidInput(
            f"{file}: FEATURES: expected {{function: features}}; got {type(features).__name__}"
        )
    if not callable(reply):
        raise InvalidInput(f"{file}: expected a function {function!r}; got {type(reply).__name__}")
    return Scripted(reply, features=frozenset(features.get(function, ())))

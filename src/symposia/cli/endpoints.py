"""A scenario's endpoints as backends: scripted ones speak, hosted ones say that they cannot yet."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from functools import partial
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from symposia.backends import Scripted
from symposia.backends.endpoints import HOSTED, Builder, Endpoints
from symposia.backends.estimate import estimate
from symposia.core.errors import BackendError, InvalidInput, UnsupportedRequest
from symposia.core.features import refuse_unsupported
from symposia.core.request import Backend, Completion, Delta, Feature, ModelCard, Prompt, Request

from .scenario import Setting
from .scenario.build import SCRIPTED
from .scenario.form import Endpoint, ScriptedEndpoint

_REMOTE: frozenset[Feature] = frozenset(
    {"logprobs", "seed", "tools", "parallel_tools", "force", "stop_after", "thinking"}
)


class Hosted:
    """A declared endpoint of a kind this version does not speak to. It refuses, and never opens a connection."""

    def __init__(self, name: str) -> None:
        self._name = name

    async def describe(self, model: str) -> ModelCard:
        """What every hosted chat endpoint can do; nothing inside the model."""
        return ModelCard(
            model=model, features=_REMOTE, thinking=("auto", "off", "on", "low", "medium", "high")
        )

    async def render(self, request: Request) -> Prompt:
        """An over-estimate: the tokenizer is elsewhere."""
        return estimate(request)

    async def generate(self, request: Request) -> AsyncIterator[Delta | Completion]:
        """Refuses: first what no hosted endpoint can honour, then hosted endpoints as such."""
        refuse_unsupported(request, await self.describe(request.model), self._name)
        raise UnsupportedRequest(
            endpoint=self._name,
            model=request.model,
            feature="hosted models",
            way_out="this version speaks to no hosted endpoint yet: use a local model or a scripted endpoint",
        )
        yield  # type: ignore[unreachable]  # makes this an async generator, as every backend's is


class ScriptedCode:
    """`scripted:FILE.py:FUNCTION`: each address is a function of the request in a file of the scenario's folder."""

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


def backend_for(setting: Setting, store: Path | None = None) -> Endpoints:
    """The scenario's endpoints and the local engine behind one backend. Nothing is built before it is needed.

    `store` is a folder for what is captured.
    """
    from symposia.facade import engines

    for vector in setting.vectors:
        engines().library.add(vector)
    declared: dict[str, Builder] = {
        name: partial(_built, name, kind) for name, kind in setting.endpoints.items()
    }
    return backend_for_names({SCRIPTED: partial(ScriptedCode, setting.folder), **declared}, store)


def backend_for_names(table: Mapping[str, Builder] | None = None, store: Path | None = None) -> Endpoints:
    """Declared endpoints, hosted ones that refuse, and the local engine for every other address."""
    from symposia.facade import backend_of

    hosted: dict[str, Builder] = {name: partial(Hosted, name) for name in HOSTED}
    return backend_of({**hosted, **(table or {})}, store)


def _built(name: str, endpoint: Endpoint) -> Backend:
    if not isinstance(endpoint, ScriptedEndpoint):
        return Hosted(name)
    return Scripted(
        endpoint.replies,
        latency_s=endpoint.latency_s,
        chunk=endpoint.chunk,
        features=frozenset(endpoint.features),
        faults=endpoint.faults,
        cycle=endpoint.cycle,
        context_window=endpoint.context_window,
    )


def _load(folder: Path, name: str) -> Scripted:
    file, _, function = name.partition(":")
    spec = spec_from_file_location(f"symposia_script_{Path(file).stem}", folder / file)
    if spec is None or spec.loader is None:
        raise InvalidInput(f"{file}: expected a Python file")
    module = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (ImportError, SyntaxError, OSError) as error:
        raise BackendError(f"{file} could not be loaded: {error}", cause="unsupported") from error
    reply = vars(module).get(function)
    if not callable(reply):
        raise InvalidInput(f"{file}: expected a function {function!r}; got {type(reply).__name__}")
    return Scripted(reply)

"""`symposia models check`: a model is asked a few tokens in each way there is; what it did is said, not assumed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from symposia.backends.endpoints import HOSTED
from symposia.core.capture import Capture, Pool
from symposia.core.errors import SymposiaError, UnsupportedRequest
from symposia.core.lines import Line, Segment
from symposia.core.models import canonical as canonical_address
from symposia.core.profile import Sampling
from symposia.core.request import Backend, Completion, Request
from symposia.core.value import Value, canonical
from symposia.talk import portal

from .endpoints import backend_for_names, closing
from .world import World

_FEW = 8


class Tried(Value, frozen=True, kw_only=True):
    """One thing tried: `works` is None where the model does not claim it."""

    what: str
    works: bool | None
    saw: str


def check_model(address: str, world: World, *, as_json: bool) -> int:
    """Try it; exit 1 if something it claims does not work. Raises what loading raises."""
    backend = backend_for_names(world.env)
    with closing(backend):
        tried = portal.call(_try_all(backend, canonical_address(address, HOSTED)))
    if as_json:
        world.out.piece(canonical({"model": address, "checks": tried}).decode() + "\n")
    else:
        for one in tried:
            mark, style = {True: ("works", "green"), False: ("FAILS", "bold red"), None: ("no", "dim")}[
                one.works
            ]
            world.out.piece(f"{mark:<6}", style)
            world.out.line(f"{one.what:<22} {one.saw}")
    return int(any(one.works is False for one in tried))


async def _try_all(backend: Backend, model: str) -> tuple[Tried, ...]:
    request = _request(model)
    greedy = _sampled(request, temperature=0.0)
    drawn = msgspec.structs.replace(request, seed=5)

    async def render() -> str:
        prompt = await backend.render(request)
        return (
            f"{prompt.tokens} tokens, {len(prompt.spans)} spans"
            if prompt.exact
            else f"at most {prompt.tokens} tokens"
        )

    async def sample() -> str:
        return repr((await _one(backend, greedy)).text)

    async def seed() -> str:
        texts = {(await _one(backend, drawn)).text for _ in range(2)}
        if len(texts) > 1:
            raise UnsupportedRequest(
                endpoint="check", model=model, feature="seed", way_out="same seed, other text"
            )
        return "the same seed gives the same text"

    async def logprobs() -> str:
        done = await _one(backend, msgspec.structs.replace(greedy, logprobs=3))
        return f"{len(done.logprobs.chosen)} tokens" if done.logprobs else "none came"

    async def choices() -> str:
        done = await _one(backend, msgspec.structs.replace(request, choices=("yes", "no")))
        return ", ".join(f"{p:.2f}" for p in done.scores.logprobs) if done.scores else "none came"

    async def captures() -> str:
        capture = Capture(layers=(0,), reduce=Pool("mean"))
        done = await _one(backend, msgspec.structs.replace(greedy, captures=(capture,)))
        return ", ".join(f"{ref.site} {list(ref.shape)}" for ref in done.activations)

    tries: dict[str, Callable[[], Awaitable[str]]] = {
        "render": render,
        "sample": sample,
        "seed": seed,
        "logprobs": logprobs,
        "choices": choices,
        "captures": captures,
    }
    return tuple([await _try(what, work) for what, work in tries.items()])


async def _try(what: str, work: Callable[[], Awaitable[str]]) -> Tried:
    try:
        return Tried(what=what, works=True, saw=await work())
    except UnsupportedRequest as error:
        claimed = what in ("render", "sample", "seed")
        return Tried(what=what, works=False if claimed else None, saw=str(error))
    except SymposiaError as error:
        return Tried(what=what, works=False, saw=str(error))


async def _one(backend: Backend, request: Request) -> Completion:
    done = [item async for item in backend.generate(request) if isinstance(item, Completion)]
    return done[-1]


def _request(model: str) -> Request:
    text = Segment(text="Hello! How are you today?", phase="prompt", author="you", turn=0)
    line = Line(role="user", segments=(text,), kind="turn")
    return Request(model=model, lines=(line,), speaker="model", turn=1, sampling=Sampling(max_tokens=_FEW))


def _sampled(request: Request, **changes: float) -> Request:
    return msgspec.structs.replace(request, sampling=msgspec.structs.replace(request.sampling, **changes))

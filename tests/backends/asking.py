"""Requests for hosted backends, and hosts that do not wait."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from symposia.backends import AnthropicEndpoint, OpenAIEndpoint
from symposia.backends.endpoint import Remote
from symposia.backends.hosts import Hosts
from symposia.backends.policy import Policy, Retries
from symposia.core.lines import Line, Segment
from symposia.core.request import Completion, Delta, Item, Request
from symposia.core.toolspec import ToolSpec
from symposia.testing.backends import plain_request
from symposia.testing.faults import FaultyUpstream

MODEL = "up:gpt-x"
AT_ONCE = Policy(retries=Retries(first_wait_s=0.0))
CLOSED = {
    "type": "object",
    "properties": {"a": {"type": "integer"}},
    "required": ["a"],
    "additionalProperties": False,
}
ADD = ToolSpec(name="add", description="Adds.", parameters=CLOSED)
LOOSE = ToolSpec(
    name="files.read", description="Reads.", parameters={"type": "object", "properties": {"p": {}}}
)


def asked(**changes: object) -> Request:
    """A plain request of the endpoint `up`, changed; `sampling` fields may be given by their names."""
    request = plain_request(MODEL, 64)
    sampling = {k: v for k, v in changes.items() if k in request.sampling.__struct_fields__ and k != "seed"}
    rest = {k: v for k, v in changes.items() if k not in sampling}
    return replace(request, sampling=replace(request.sampling, **sampling), **rest)


def line(role: str, text: str, **more: object) -> Line:
    """A line of one segment."""
    author = {"assistant": "alice", "tool": "tool", "system": None}.get(role, "bob")
    segment = Segment(text=text, phase="prompt", author=author, turn=0)
    return Line(role=role, segments=(segment,) if text else (), kind=more.pop("kind", "turn"), **more)


def openai(server: FaultyUpstream, **declared: object) -> OpenAIEndpoint:
    """The server as an endpoint of a flavour."""
    return OpenAIEndpoint(**{"base_url": server.base_url, "key": "env:KEY", **declared})


def anthropic(server: FaultyUpstream, **declared: object) -> AnthropicEndpoint:
    """The server as an endpoint of the other protocol."""
    return AnthropicEndpoint(**{"base_url": server.root_url, "key": "env:KEY", **declared})


def of(dialect: str, server: FaultyUpstream, **declared: object) -> Remote:
    """The server as an endpoint of either protocol."""
    return {"openai": openai, "anthropic": anthropic}[dialect](server, **declared)


def hosts(env: Mapping[str, str] | None = None, **options: object) -> Hosts:
    """Hosts that repeat at once."""
    return Hosts({"KEY": "k-0123456789"} if env is None else env, **{"policy": AT_ONCE, **options})


async def items_of(endpoint: Remote, request: Request, **options: object) -> list[Item]:
    """Everything one generation yields; its connections are closed."""
    backend = hosts(**options).backend("up", endpoint)
    try:
        return [item async for item in backend.generate(request)]
    finally:
        await backend.aclose()


async def whole(endpoint: Remote, request: Request, **options: object) -> Completion:
    """The completion of one generation, whose answer the deltas spelled."""
    *deltas, last = await items_of(endpoint, request, **options)
    assert isinstance(last, Completion)
    said = [d.text for d in deltas if isinstance(d, Delta) and d.phase == "answer"]
    assert "".join(said) == last.text
    return last

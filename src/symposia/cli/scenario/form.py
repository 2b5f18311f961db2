"""What a scenario file holds, as types: the reader, the errors and the JSON Schema all come from these."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from symposia.backends.endpoint import Endpoint
from symposia.core.capture import Capture
from symposia.core.intervention import Intervention
from symposia.core.profile import Sampling
from symposia.core.receipt import History
from symposia.core.usage import Price
from symposia.core.value import Count, Value
from symposia.talk.fit import Fail, Fit
from symposia.talk.hooks import SavedHooks
from symposia.talk.scenario import SavedProtocol
from symposia.talk.stop import Until
from symposia.talk.view import ViewRules

Words = Annotated[str, Meta(min_length=1)]


class Speech(Value, frozen=True, kw_only=True):
    """A message put into the conversation; `audience` names who may see it, everyone if left out."""

    author: Words
    text: str
    audience: tuple[str, ...] | None = None


class Seat(Value, frozen=True, kw_only=True):
    """A participant. `system_file` is read in place of `system`. Interventions name vectors by digest or by file."""

    model: Words
    system: str | None = None
    system_file: str | None = None
    sampling: Sampling = Sampling()
    private: tuple[Speech, ...] = ()
    interventions: tuple[Intervention, ...] = ()
    history: History = "scoped"
    tools: tuple[str, ...] = ()
    tool_rounds: Count = 8


class McpServer(Value, frozen=True, kw_only=True):
    """A server of tools: a `command` to start in the file's folder, or the `url` of one. `only` names what is offered.

    A value `env:NAME` in `env` passes on a variable of the caller's environment.
    """

    command: Words | None = None
    args: tuple[str, ...] = ()
    env: dict[str, str] = {}
    url: Words | None = None
    only: Annotated[tuple[Words, ...], Meta(min_length=1)]


class Dataset(Value, frozen=True, kw_only=True):
    """Rows of a JSON Lines file; every `{{field}}` in the scenario's texts is filled from a row."""

    path: Words
    fields: Annotated[tuple[Words, ...], Meta(min_length=1)]


class ScenarioForm(Value, frozen=True, kw_only=True):
    """A scenario file, version 1.

    `shared_system` and `shared_context` are said to everyone first, by the system and the moderator; `prompt` by the
    last participant. `opening` are messages before the first turn. `captures` are read on every turn, and kept in the
    run's folder. `mcp` are servers by the prefix of their tools, `code` functions by the file that has them.
    """

    symposia: Literal[1]
    name: str = ""
    seed: int | None = None
    date: str | None = None
    endpoints: dict[str, Endpoint] = {}
    participants: Annotated[dict[str, Seat], Meta(min_length=1)]
    shared_system: str | None = None
    shared_context: str | None = None
    prompt: str | Speech | None = None
    opening: tuple[Speech, ...] = ()
    protocol: SavedProtocol | None = None
    until: Until | None = None
    view: ViewRules = ViewRules()
    fit: Fit = Fail()
    hooks: tuple[SavedHooks, ...] = ()
    captures: tuple[Capture, ...] = ()
    dataset: Dataset | None = None
    prices: dict[str, Price] = {}
    mcp: dict[str, McpServer] = {}
    code: dict[str, tuple[Words, ...]] = {}
